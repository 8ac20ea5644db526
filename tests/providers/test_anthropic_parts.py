"""Anthropic: thinking, documents, results, citations and calls as they are sent; whole conversations."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic_core import from_json

from tako.errors import InvalidInput
from tako.models import (
    AudioPart,
    CacheControl,
    ChatRequest,
    Citation,
    ContentPart,
    DocumentPart,
    ImagePart,
    ImageUrlPart,
    Message,
    OpaquePart,
    Part,
    Replay,
    TextPart,
    Thinking,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolSchema,
    VideoPart,
)
from tako.providers import Anthropic
from tako.testing import strategies
from tests.support.vendor_types import check, library, plain

USER = Message.user("hello")
PIXEL = "iVBORw0KGgo="
PDF = "JVBERi0="
MARK = CacheControl(ttl="1h")
MARKED = {"type": "ephemeral", "ttl": "1h"}
TOOL = ToolSchema(name="f", description="Does it", input_schema={"type": "object"})
INTERLEAVED = "interleaved-thinking-2025-05-14"


def ours(data: dict[str, Any]) -> OpaquePart:
    return OpaquePart(replay=Replay(vendor="anthropic", data=data))


def sent(*messages: Message, provider: Anthropic | None = None, **fields: Any) -> dict[str, Any]:
    request = ChatRequest(messages=messages or (USER,), **fields)
    body: dict[str, Any] = from_json(
        (provider or Anthropic("m", "")).http_request(request, stream=False).body
    )
    return body


def blocks_of(message: Message) -> list[Any]:
    blocks: list[Any] = sent(message)["messages"][0]["content"]
    return blocks


# Thinking.


@pytest.mark.parametrize(
    ("thinking", "wanted", "config"),
    [
        (Thinking(enabled=False), {"type": "disabled"}, None),
        (Thinking(), {"type": "adaptive"}, None),
        (Thinking(effort="xhigh"), {"type": "adaptive"}, {"effort": "xhigh"}),
        (Thinking(budget_tokens=1024), {"type": "enabled", "budget_tokens": 1024}, None),
        (
            Thinking(budget_tokens=2000, effort="low", summary="none"),
            {"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
            {"effort": "low"},
        ),
        (Thinking(summary="auto"), {"type": "adaptive", "display": "summarized"}, None),
    ],
)
def test_thinking(thinking: Thinking, wanted: dict[str, Any], config: dict[str, Any] | None) -> None:
    body = sent(thinking=thinking)
    assert (body["thinking"], body.get("output_config")) == (wanted, config)
    types = library("anthropic.types")
    check(types.ThinkingConfigParam, wanted)


def test_effort_stands_beside_a_schema() -> None:
    body = sent(thinking=Thinking(effort="low"), output_schema={"type": "object"})
    assert body["output_config"].keys() == {"effort", "format"}


def test_a_budget_is_part_of_max_tokens() -> None:
    assert sent(thinking=Thinking(budget_tokens=4095))["max_tokens"] == 4096
    assert sent(thinking=Thinking(budget_tokens=4096))["max_tokens"] == 8192
    assert sent(thinking=Thinking(budget_tokens=1024), max_tokens=1025)["max_tokens"] == 1025
    with pytest.raises(InvalidInput, match=r"budget_tokens is 1024.*max_tokens.*is 1024"):
        sent(thinking=Thinking(budget_tokens=1024), max_tokens=1024)
    with pytest.raises(InvalidInput, match="at least 1024, not 1023"):
        sent(thinking=Thinking(budget_tokens=1023))


def test_an_interleaved_budget_is_for_all_of_a_turn() -> None:
    asked: dict[str, Any] = {"thinking": Thinking(budget_tokens=9000), "max_tokens": 2000}
    for provider in (
        Anthropic("m", "", betas=[INTERLEAVED]),
        Anthropic("m", "", headers={"Anthropic-Beta": f"a,{INTERLEAVED}"}),
    ):
        assert sent(provider=provider, tools=(TOOL,), **asked)["max_tokens"] == 2000
        with pytest.raises(InvalidInput, match="max_tokens"):
            sent(provider=provider, **asked)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"temperature": 0.5}, "temperature"),
        ({"top_p": 0.9}, "top_p"),
        ({"top_k": 5}, "top_k"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "f"}, "tool_choice"),
    ],
)
def test_what_does_not_go_with_a_budget(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=f"thinking.*{named}"):
        sent(thinking=Thinking(budget_tokens=1024), tools=(TOOL,), **wrong)
    # What the vendor takes with adaptive thinking depends on the model, and is for the vendor to say.
    assert sent(thinking=Thinking(), tools=(TOOL,), **wrong)["thinking"] == {"type": "adaptive"}


def test_what_goes_with_a_budget() -> None:
    fields: dict[str, Any] = {"temperature": 1.0, "top_p": 0.95, "tools": (TOOL,), "tool_choice": "auto"}
    body = sent(thinking=Thinking(budget_tokens=1024), **fields)
    assert (body["temperature"], body["top_p"], body["tool_choice"]) == (1.0, 0.95, {"type": "auto"})


def test_there_is_one_kind_of_summary() -> None:
    with pytest.raises(InvalidInput, match="'auto' or 'none'"):
        sent(thinking=Thinking(summary="detailed"))


# Documents, images, and the vendor's own blocks.


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            DocumentPart(data_b64=PDF, title="T", context="C", citations=True, cache_control=MARK),
            {
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                "title": "T",
                "context": "C",
                "citations": {"enabled": True},
                "cache_control": MARKED,
            },
        ),
        (
            DocumentPart(text="words", citations=False),
            {
                "source": {"type": "text", "media_type": "text/plain", "data": "words"},
                "citations": {"enabled": False},
            },
        ),
        (
            DocumentPart(mime="text/markdown", data_b64="IyDDqQ=="),
            {"source": {"type": "text", "media_type": "text/plain", "data": "# \u00e9"}},
        ),
        (DocumentPart(url="https://x/y.pdf"), {"source": {"type": "url", "url": "https://x/y.pdf"}}),
        (
            DocumentPart(url=f"data:application/pdf;base64,{PDF}"),
            {"source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
        ),
        (DocumentPart(file_id="file_1"), {"source": {"type": "file", "file_id": "file_1"}}),
    ],
)
def test_documents(part: DocumentPart, block: dict[str, Any]) -> None:
    wanted = {"type": "document", **block}
    assert blocks_of(Message.user([part])) == [wanted]
    check(library("anthropic.types").DocumentBlockParam, wanted)
    (result,) = blocks_of(Message.tool([ToolResultPart(id="1", content=(part,))]))
    assert result["content"] == [wanted]


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (DocumentPart(mime="application/zip", data_b64=PDF), "application/zip cannot be given as base64"),
        (DocumentPart(mime="text/html", url="https://x/y"), "text/html cannot be given by its address"),
        (DocumentPart(mime="text/plain", data_b64="/w=="), "UTF-8"),
        (ImagePart(mime="image/heic", data_b64=PIXEL), "image/heic"),
        (ImageUrlPart(url="data:image/heic;base64,AA=="), "image/heic"),
        (AudioPart(mime="audio/wav", data_b64="AA=="), "audio"),
        (VideoPart(mime="video/mp4", url="https://x/y"), "video"),
        (OpaquePart(replay=Replay(vendor="openai", data={"type": "x"})), "'openai'"),
    ],
)
def test_what_the_model_cannot_be_shown(part: Part, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        sent(Message.user([part]))
    with pytest.raises(InvalidInput, match=named):
        sent(USER, Message.tool([ToolResultPart(id="1", content=(part,))]))  # type: ignore[arg-type]


def test_blocks_of_this_vendors_own_go_as_they_are() -> None:
    image = {"type": "image", "source": {"type": "file", "file_id": "file_2"}, "cache_control": MARKED}
    found: dict[str, Any] = {
        "type": "search_result",
        "source": "https://x",
        "title": "X",
        "content": [{"type": "text", "text": "t"}],
        "citations": {"enabled": True},
    }
    upload = {"type": "container_upload", "file_id": "file_3"}
    assert blocks_of(Message.user([ours(image), ours(found), ours(upload)])) == [image, found, upload]
    (result,) = blocks_of(Message.tool([ToolResultPart(id="1", content=(ours(found),))]))
    assert result["content"] == [found]
    for block in (image, found, upload):
        check(library("anthropic.types").ContentBlockParam, block)


def test_a_result_with_content_shows_that_and_not_the_result() -> None:
    result = ToolResultPart(
        id="1",
        result={"for": "programs"},
        content=(
            TextPart(text="seen", cache_control=MARK),
            TextPart(text=" "),
            ImageUrlPart(url="https://x/y"),
        ),
        is_error=True,
        cache_control=MARK,
    )
    assert blocks_of(Message.tool([result])) == [
        {
            "type": "tool_result",
            "tool_use_id": "1",
            "content": [
                {"type": "text", "text": "seen", "cache_control": MARKED},
                {"type": "image", "source": {"type": "url", "url": "https://x/y"}},
            ],
            "is_error": True,
            "cache_control": MARKED,
        }
    ]
    nothing = ToolResultPart(id="1", result="x", content=(TextPart(text=""),))
    assert blocks_of(Message.tool([nothing])) == [{"type": "tool_result", "tool_use_id": "1"}]


@pytest.mark.parametrize("said", ["", " \n", (TextPart(text=" "),)])
def test_a_result_without_words_has_no_content_but_an_error_needs_some(said: Any) -> None:
    given = {"result": said} if isinstance(said, str) else {"content": said}
    result = {"type": "tool_result", "tool_use_id": "1"}
    assert blocks_of(Message.tool([ToolResultPart(id="1", **given)])) == [result]
    (failed,) = blocks_of(Message.tool([ToolResultPart(id="1", is_error=True, **given)]))
    assert failed == {**result, "is_error": True, "content": "The tool failed and said nothing."}


def test_citations_go_back_to_the_vendor_that_made_them() -> None:
    made = {"type": "web_search_result_location", "url": "https://x", "encrypted_index": "e"}
    theirs = Citation(source="y", replay=Replay(vendor="gemini", data={"x": 1}))
    cited = TextPart(
        text="t",
        citations=(Citation(replay=Replay(vendor="anthropic", data=made)), theirs, Citation(source="z")),
    )
    assert blocks_of(Message.assistant([cited])) == [{"type": "text", "text": "t", "citations": [made]}]
    only_theirs = TextPart(text="t", citations=(theirs,))
    assert blocks_of(Message.assistant([only_theirs])) == [{"type": "text", "text": "t"}]


# Tools and options.


@pytest.mark.parametrize(
    ("choice", "parallel", "wanted"),
    [
        (None, None, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("auto", True, {"type": "auto", "disable_parallel_tool_use": False}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("f", False, {"type": "tool", "name": "f", "disable_parallel_tool_use": True}),
        ("none", False, {"type": "none"}),
    ],
)
def test_parallel_calls(choice: str | None, parallel: bool | None, wanted: dict[str, Any] | None) -> None:
    body = sent(tools=(TOOL,), tool_choice=choice, parallel_tool_calls=parallel)
    assert body.get("tool_choice") == wanted
    if wanted is not None:
        check(library("anthropic.types").ToolChoiceParam, wanted)
    # Where no call can be made, there is nothing to say; the vendor refuses a choice without tools.
    assert "tool_choice" not in sent(parallel_tool_calls=False)


def test_tools() -> None:
    strict = ToolSchema(
        name="g", description="", input_schema={"type": "object"}, strict=True, cache_control=MARK
    )
    wanted = {"name": "g", "input_schema": {"type": "object"}, "strict": True, "cache_control": MARKED}
    assert sent(tools=(strict,))["tools"] == [wanted]
    check(library("anthropic.types").ToolParam, wanted)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": 1},
        {"n": 2},
        {"presence_penalty": 0.0},
        {"frequency_penalty": 1.0},
        {"top_logprobs": 0},
        {"metadata": {"tenant": "x"}},
    ],
)
def test_what_this_vendor_has_not(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        sent(**wrong)


def test_what_is_fine() -> None:
    body = sent(n=1, top_k=7, metadata={"user_id": "u"})
    assert (body["top_k"], body["metadata"], "n" in body) == (7, {"user_id": "u"}, False)


def test_betas_are_named_in_a_header() -> None:
    request = ChatRequest(messages=(USER,))
    provider = Anthropic("m", "", betas=["a", "b"])
    assert dict(provider.http_request(request, stream=False).headers)["anthropic-beta"] == "a,b"
    for wrong in ("a", ["\n"], [""]):
        with pytest.raises(InvalidInput, match="betas"):
            Anthropic("m", "", betas=wrong)


# Whole conversations.

MARKS = st.sampled_from((None, CacheControl(), MARK))
SIGNED = Replay(vendor="anthropic", data={"signature": "c2ln"})
SHOWN: st.SearchStrategy[Any] = st.one_of(
    st.builds(TextPart, text=strategies.texts(), cache_control=MARKS),
    st.builds(ImagePart, mime=st.just("image/png"), data_b64=st.just(PIXEL), cache_control=MARKS),
    st.builds(ImageUrlPart, url=st.just("https://x/y"), cache_control=MARKS),
    st.builds(
        DocumentPart,
        text=strategies.texts(),
        title=st.none() | strategies.texts(),
        context=st.none() | strategies.texts(),
        citations=st.none() | st.booleans(),
        cache_control=MARKS,
    ),
    st.builds(DocumentPart, data_b64=st.just(PDF), cache_control=MARKS),
    st.just(DocumentPart(url="https://x/y.pdf")),
    st.just(ours({"type": "search_result", "source": "x", "title": "X", "content": []})),
)
OWN: st.SearchStrategy[Any] = st.sampled_from(
    (
        ThinkingPart(text="hm", replay=SIGNED),
        ThinkingPart(text="theirs", replay=Replay(vendor="openai", data={"x": 1})),
        ours({"type": "redacted_thinking", "data": "x"}),
        ours({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
        OpaquePart(replay=Replay(vendor="gemini", data={"x": 1})),
        TextPart(
            text="so",
            citations=(
                Citation(
                    replay=Replay(
                        vendor="anthropic",
                        data={
                            "type": "page_location",
                            "cited_text": "t",
                            "document_index": 0,
                            "document_title": None,
                            "start_page_number": 1,
                            "end_page_number": 2,
                        },
                    )
                ),
            ),
        ),
    )
)


@st.composite
def histories(draw: st.DrawFn) -> list[Message]:
    """A conversation with parts of every kind that this vendor takes, put where they may stand."""
    messages = draw(strategies.conversations(max_turns=2))
    for place, message in enumerate(messages):
        match message.role.value:
            case "user":
                more = draw(st.lists(SHOWN, max_size=2))
                messages[place] = Message.user([*message.content, *more])
            case "assistant":
                own = draw(st.lists(OWN, max_size=2))
                messages[place] = Message.assistant([*own, *message.content])
            case "tool":
                shown = tuple(draw(st.lists(SHOWN, max_size=2)))
                results = [part.model_copy(update={"content": shown}) for part in message.content]
                messages[place] = Message.tool(results)  # type: ignore[arg-type]
    return messages


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories(), MARKS)
def test_the_vendors_library_takes_any_conversation(
    messages: list[Message], mark: CacheControl | None
) -> None:
    block_types: TypeAdapter[Any] = _block_types()
    tool = TOOL.model_copy(update={"cache_control": mark})
    body = sent(USER, *messages, tools=(tool,), max_tokens=9)
    blocks = [block for message in body["messages"] for block in message["content"]]
    inner = [block for result in blocks if type(result.get("content")) is list for block in result["content"]]
    for block in (*blocks, *inner, *body.get("system", ())):
        assert plain(block_types.validate_python(block)) == block
    assert all(message["content"] for message in body["messages"])
    assert {message["role"] for message in body["messages"]} <= {"user", "assistant"}
    check_order(body["messages"])


@cache
def _block_types() -> TypeAdapter[Any]:
    """Made once: the vendor has so many kinds of blocks that it takes a second."""
    kind: Any = library("anthropic.types").ContentBlockParam
    return TypeAdapter(kind)


def check_order(messages: list[dict[str, Any]]) -> None:
    """Every call of an assistant's message has its result in the very next one."""
    for place, message in enumerate(messages):
        calls = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        if calls:
            results = messages[place + 1]["content"]
            assert sorted(calls) == sorted(b["tool_use_id"] for b in results if b["type"] == "tool_result")


def test_a_call_keeps_what_its_vendor_wants_back() -> None:
    extras = {"caller": {"type": "direct"}}
    part = ToolCallPart(id="a", name="f", args=[1], replay=Replay(vendor="anthropic", data=extras))
    wanted = {"type": "tool_use", **extras, "id": "a", "name": "f", "input": {"INVALID_JSON": [1]}}
    assert blocks_of(Message.assistant([part])) == [wanted]
    assert ContentPart.tool_call("a", "f", {}).replay is None
