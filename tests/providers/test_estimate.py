"""The estimate of tokens: its rules, its invariants, and how far it is from what vendors counted."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tako
from tako.models import ChatRequest, ContentPart, Message, OpaquePart, Replay, ThinkingPart, ToolSchema
from tako.parts import ImagePart
from tako.providers.estimate import estimate_tokens, image_size, tokens_in_text
from tako.testing import strategies
from tests.support.corpus import ABSENT, CORPUS, Exchange, exchanges


def of(*parts: Any, **fields: Any) -> int:
    return estimate_tokens(ChatRequest(messages=[Message.user(list(parts))], **fields))


EMPTY = of()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("octopus", 2),
        ("an octopus has arms", 5),
        ("12345", 2),
        ("{}();", 2),
        ("a\n\nb", 3),
        ("a  b", 3),
        ("章魚有八隻手", 6),
        ("문어", 2),
        ("осьминог", 3),
        ("\U0001f419", 2),
        ("“—”", 3),
    ],
)
def test_text_is_counted_by_runs(text: str, tokens: int) -> None:
    assert tokens_in_text(text) == tokens


@given(strategies.texts(), strategies.texts(max_size=8), st.data())
def test_adding_text_never_lowers_it(text: str, more: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(text)))
    assert tokens_in_text(text[:place] + more + text[place:]) >= tokens_in_text(text)


# One character of each kind, between which the borders of runs lie.
KINDS = st.text(alphabet="ab1{ \n\x85\u1680é漢、Д‘\u2028\U0001f419\x00", max_size=12)


@given(KINDS, KINDS, st.data())
def test_adding_text_never_lowers_it_at_any_border(text: str, more: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(text)))
    assert tokens_in_text(text[:place] + more + text[place:]) >= tokens_in_text(text)


@given(strategies.conversations())
def test_a_longer_conversation_is_never_less(messages: list[Message]) -> None:
    counts = [estimate_tokens(ChatRequest(messages=messages[:end])) for end in range(len(messages) + 1)]
    assert counts == sorted(set(counts))
    assert counts[-1] == estimate_tokens(ChatRequest(messages=messages))


def test_everything_in_a_request_counts() -> None:
    tool = ToolSchema(name="look", description="Look at it", input_schema={"type": "object"})
    base = of(ContentPart.text("hi"))
    assert of(ContentPart.text("hi"), tools=[tool]) > base
    assert of(ContentPart.text("hi"), tools=[tool, tool]) > of(ContentPart.text("hi"), tools=[tool])
    assert of(ContentPart.text("hi"), output_schema={"type": "object"}) > base
    assert of(ContentPart.text("hi"), extra={"tools": [{"type": "web_search"}]}) > base
    opaque = OpaquePart(replay=Replay(vendor="x", data={"text": "hello"}))
    result = ContentPart.tool_result("1", {"a": 1})
    seen = ContentPart.tool_result("1", None, content=[ContentPart.image(b"")])
    for part in (ThinkingPart(text="hm"), opaque, ContentPart.tool_call("1", "look", {}), result, seen):
        assert of(part) > EMPTY, part
    assert of(seen) > of(result)


def test_a_provider_says_it() -> None:
    request = ChatRequest(messages=[Message.user("an octopus has arms")])
    assert tako.providers.Fake().estimate_tokens(request) == estimate_tokens(request) == 9


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height)


def jpeg(width: int, height: int) -> bytes:
    preview = b"\xff\xe0" + struct.pack(">H", 2002) + bytes(2000)
    table = b"\xff\xff\xff\xc4" + struct.pack(">H", 4) + b"xx"
    return b"\xff\xd8" + preview + table + b"\xff\xc2" + struct.pack(">HBHH", 11, 8, height, width) + bytes(9)


def webp(kind: bytes, rest: bytes) -> bytes:
    return b"RIFF\0\0\0\0WEBP" + kind + bytes(4) + rest + bytes(20)


def webp_lossy(width: int, height: int) -> bytes:
    return webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", width, height))


def webp_lossless(width: int, height: int) -> bytes:
    return webp(b"VP8L", b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14))


def webp_extended(width: int, height: int) -> bytes:
    return webp(b"VP8X", bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))


@pytest.mark.parametrize("make", [png, gif, jpeg, webp_lossy, webp_lossless, webp_extended])
def test_the_size_of_an_image_is_in_its_head(make: Any) -> None:
    data = make(1000, 600)
    assert image_size(base64.b64encode(data).decode()) == (1000, 600)
    assert of(ContentPart.image(data)) == EMPTY + 800
    assert of(ContentPart.image(make(9000, 9000))) == EMPTY + 1600
    assert of(ContentPart.image(make(1, 1))) == EMPTY + 85


@given(st.sampled_from((png, gif, jpeg, webp_lossy, webp_lossless, webp_extended)), st.data())
def test_the_head_of_a_broken_image_is_no_failure(make: Any, data: st.DataObject) -> None:
    whole = make(640, 480)
    cut = whole[: data.draw(st.integers(0, len(whole)))] + data.draw(st.binary(max_size=8))
    image_size(base64.b64encode(cut).decode())
    image_size(base64.b64encode(data.draw(st.binary(max_size=40))).decode())


def test_a_cut_image_has_no_size() -> None:
    whole = jpeg(640, 480)[:-9]
    for end in range(1960, len(whole)):
        assert image_size(base64.b64encode(whole[:end]).decode()) is None
    assert image_size(base64.b64encode(whole).decode()) == (640, 480)


def test_media_go_by_rules_of_thumb() -> None:
    assert of(ContentPart.image(b"what is this")) == EMPTY + 765
    assert of(ContentPart.image_url("https://a.test/x.png")) == EMPTY + 765
    assert of(ImagePart(mime="image/png", data_b64="", detail="low")) == EMPTY + 85
    assert of(ContentPart.document(b"%PDF" + bytes(120_000))) == EMPTY + 3 * 1500
    assert of(ContentPart.document(b"an octopus has arms", "text/plain")) == EMPTY + 5
    assert of(ContentPart.document("an octopus has arms")) == EMPTY + 5
    assert of(ContentPart.audio(bytes(50_000))) == EMPTY + 101
    assert of(ContentPart.video(bytes(80_000))) == EMPTY + 101


# Against what vendors have counted: requests of text and tools, since nobody recorded the rest whole.

CHAT = ("openai", "azure", "mistral", "openai-compat")


class Unusable(Exception):
    """Not a request of text and tools, or nobody counted it."""


def text_of(content: Any) -> str:
    if isinstance(content, list):
        if any(block.get("type") != "text" for block in content):
            raise Unusable
        return "\n".join(block["text"] for block in content)
    return content or ""


def from_chat(body: dict[str, Any]) -> ChatRequest:
    messages = []
    for message in body["messages"]:
        parts: list[Any] = [ContentPart.text(text_of(message.get("content")))]
        if message["role"] == "tool":
            parts = [ContentPart.tool_result(str(message.get("tool_call_id")), parts[0].text)]
        for call in message.get("tool_calls") or ():
            function = call["function"]
            parts.append(ContentPart.tool_call(str(call.get("id")), function["name"], function["arguments"]))
        role = "system" if message["role"] == "developer" else message["role"]
        messages.append(Message(role=role, content=parts))
    schema = (body.get("response_format") or {}).get("json_schema")
    functions = [tool["function"] for tool in body.get("tools") or ()]
    return ChatRequest(messages=messages, output_schema=schema, tools=schemas(functions, "parameters"))


def from_anthropic(body: dict[str, Any]) -> ChatRequest:
    messages = [Message.system(text_of(body.get("system")))]
    for message in body["messages"]:
        content, parts = message["content"], []
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            match block["type"]:
                case "text":
                    parts.append(ContentPart.text(block["text"]))
                case "tool_use":
                    parts.append(ContentPart.tool_call("", block["name"], block["input"]))
                case "tool_result":
                    parts.append(ContentPart.tool_result("", text_of(block.get("content"))))
                case _:
                    raise Unusable
        messages.append(Message(role=message["role"], content=parts))
    return ChatRequest(messages=messages, tools=schemas(body.get("tools") or (), "input_schema"))


def schemas(tools: Iterable[dict[str, Any]], parameters: str) -> list[ToolSchema]:
    return [
        ToolSchema(
            name=tool["name"],
            description=tool.get("description") or "",
            input_schema=tool[parameters],
        )
        for tool in tools
    ]


def counted(exchange: Exchange) -> tuple[int, int, int]:
    """What the vendor counted, what we say, and a quarter of the body's characters; raises Unusable."""
    body, usage = exchange.request["body_json"], exchange.expected.get("usage") or {}
    others = ("mcp_servers", "container", "thinking", "output_config", "output_format", "web_search_options")
    if (
        not body
        or any(name in body for name in others)
        or exchange.request.get("elided")
        or not usage.get("input")
        or exchange.status != 200
    ):
        raise Unusable
    is_anthropic = exchange.name.startswith("anthropic")
    try:
        request = (from_anthropic if is_anthropic else from_chat)(body)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise Unusable from None
    count, vendor = usage["input"], exchange.name.partition(".")[0].replace("azure", "azure-openai")
    if is_anthropic:
        count += (usage.get("cached_input") or 0) + (usage.get("cache_write") or 0)
    said = (
        json.dumps(body.get("messages")) + json.dumps(body.get("tools") or "") + str(body.get("system", ""))
    )
    return count, estimate_tokens(request, vendor), len(said) // 4


def spread(name: str) -> dict[str, Any]:
    ours, quarter = [], []
    for exchange in exchanges(name):
        try:
            count, estimate, naive = counted(exchange)
        except Unusable:
            continue
        if count >= 100:  # below, the vendor's own words around a request weigh more than the request
            ours.append(estimate / count)
            quarter.append(naive / count)
    ours.sort()
    size = len(ours)
    near = [sum(0.67 <= ratio <= 1.5 for ratio in ratios) / size for ratios in (ours, quarter)]
    marks = [round(ours[size * part // 100], 2) for part in (5, 25, 50, 75, 95)]
    return {"requests": size, "at 5 25 50 75 95 %": marks, "within half": near[0], "len/4": near[1]}


# Share of the requests whose estimate is between two thirds and one and a half times the count. Servers
# that are compatible with OpenAI put prompts of up to thousands of tokens of their own before ours.
WITHIN_HALF = {
    "anthropic.messages": 0.95,
    "azure.chat.completions": 0.7,
    "mistral.chat.completions": 0.9,
    "openai.chat.completions": 0.75,
    "openai-compat.chat.completions": 0.35,
}


@pytest.mark.skipif(not CORPUS.is_dir(), reason=ABSENT)
@pytest.mark.parametrize("name", WITHIN_HALF)
def test_how_far_it_is_from_what_was_counted(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = spread(name)
    with capsys.disabled():
        print(f"\n{name}: {found}")
    assert found["within half"] >= max(WITHIN_HALF[name], found["len/4"])
