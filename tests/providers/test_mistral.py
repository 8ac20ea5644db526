"""Mistral: what its constructor takes, and what goes to the vendor."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from tako.effects import HttpRequest
from tako.errors import InvalidInput
from tako.models import (
    AudioPart,
    Capabilities,
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
from tako.providers import Mistral
from tako.providers.mistral.encode import CODEC, wire_id
from tako.testing import strategies
from tests.effort import examples
from tests.support.vendor_types import library

USER = Message.user("hello")
PIXEL = "iVBORw0KGgo="
WEATHER = ToolSchema(name="weather", description="Look it up", input_schema={"type": "object"}, strict=True)
OTHER = Replay(vendor="anthropic", data={"signature": "s"})


def own(data: dict[str, Any]) -> Replay:
    return Replay(vendor="mistral", data=data)


def sent(
    *messages: Message, stream: bool = False, provider: Mistral | None = None, **fields: Any
) -> dict[str, Any]:
    request = ChatRequest(messages=messages or (USER,), **fields)
    body = (provider or Mistral("small", "k")).http_request(request, stream=stream).body
    decoded: dict[str, Any] = from_json(body)
    return decoded


def wire(*messages: Message) -> list[dict[str, Any]]:
    encoded: list[dict[str, Any]] = sent(*messages)["messages"]
    return encoded


def http(provider: Mistral, *, stream: bool = False) -> HttpRequest:
    return provider.http_request(ChatRequest(messages=(USER,)), stream=stream)


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.mistral.ai", "https://api.mistral.ai/v1/chat/completions"),
        ("https://api.mistral.ai/v1/", "https://api.mistral.ai/v1/chat/completions"),
        ("https://gateway/x/v1/chat/completions", "https://gateway/x/v1/chat/completions"),
    ],
)
def test_the_address_is_never_doubled(base_url: str, url: str) -> None:
    assert http(Mistral("m", "k", base_url=base_url)).url == url


def test_the_head_of_a_request() -> None:
    provider = Mistral("small", "k-1", timeout_secs=7, headers={"X-Tenant": "a"})
    assert provider.id == "mistral:small"
    request = http(provider)
    assert (request.method, request.read_timeout) == ("POST", 7.0)
    assert dict(request.headers) == {
        "content-type": "application/json",
        "authorization": "Bearer k-1",
        "accept": "application/json",
        "x-tenant": "a",
    }
    assert dict(http(provider, stream=True).headers)["accept"] == "text/event-stream"


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", "k-usual")
    assert dict(http(Mistral("m")).headers)["authorization"] == "Bearer k-usual"
    assert "k-usual" not in repr(Mistral("m"))
    monkeypatch.delenv("MISTRAL_API_KEY")
    with pytest.raises(InvalidInput, match="MISTRAL_API_KEY"):
        Mistral("m")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"model": " "}, "model"),
        ({"base_url": "x"}, "base_url"),
        ({"timeout_secs": -1}, "timeout_secs"),
        ({"safe_prompt": 1}, "safe_prompt"),
        ({"random_seed": -1}, "random_seed"),
        ({"random_seed": True}, "random_seed"),
        ({"random_seed": 1.5}, "random_seed"),
        ({"headers": [("a", "b\n")]}, "headers"),
        ({"tls": {}}, "tls"),
        ({"capabilities": 1}, "capabilities"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        Mistral(**{"model": "m", "api_key": "k", **wrong})


def test_capabilities() -> None:
    assert Mistral("m", "k").capabilities.supports_documents
    mine = Capabilities(max_context_tokens=7)
    assert Mistral("m", "k", capabilities=mine).capabilities is mine


def test_the_smallest_request_says_no_more_than_it_has_to() -> None:
    assert sent() == {"model": "small", "messages": [{"role": "user", "content": "hello"}]}
    assert sent(stream=True) == {**sent(), "stream": True}
    assert sent(model="other")["model"] == "other"


def test_fields() -> None:
    given_fields: dict[str, Any] = {
        "max_tokens": 9,
        "temperature": 0.0,
        "top_p": 0.5,
        "top_k": 3,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "n": 2,
        "parallel_tool_calls": False,
        "stop": ("x", "y"),
        "metadata": {"a": "b"},
    }
    body = sent(**given_fields, extra={"prompt_cache_key": "c", "top_p": 0.6, "top_k": None})
    del body["messages"], given_fields["top_k"]
    assert body == {
        **given_fields,
        "model": "small",
        "stop": ["x", "y"],
        "top_p": 0.6,
        "prompt_cache_key": "c",
    }


def test_seeds_and_safety() -> None:
    provider = Mistral("m", "k", safe_prompt=True, random_seed=3)
    assert {"safe_prompt": True, "random_seed": 3}.items() <= sent(provider=provider).items()
    assert sent(provider=provider, seed=0)["random_seed"] == 0
    assert sent(provider=Mistral("m", "k", safe_prompt=False))["safe_prompt"] is False
    assert "seed" not in sent(seed=1)


@pytest.mark.parametrize(
    ("thinking", "wanted"),
    [
        (Thinking(), "high"),
        (Thinking(effort="low", summary="auto"), "low"),
        (Thinking(enabled=False), "none"),
    ],
)
def test_thinking_is_asked_for(thinking: Thinking, wanted: str) -> None:
    assert sent(thinking=thinking)["reasoning_effort"] == wanted


def test_a_schema_and_log_probabilities() -> None:
    schema = {"type": "object", "title": "My Answer"}
    assert sent(output_schema=schema)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "My_Answer", "schema": schema, "strict": True},
    }
    body = sent(top_logprobs=3)
    assert (body["logprobs"], body["top_logprobs"]) == (True, 3)
    assert "top_logprobs" not in sent(top_logprobs=0)


def test_tools() -> None:
    function = {"name": "weather", "description": "Look it up", "parameters": {"type": "object"}}
    loose = ToolSchema(name="weather", description="Look it up", input_schema={"type": "object"})
    theirs = {"type": "web_search"}
    assert sent(tools=(WEATHER, loose), extra={"tools": [theirs]})["tools"] == [
        {"type": "function", "function": {**function, "strict": True}},
        {"type": "function", "function": function},
        theirs,
    ]


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "any"),
        ("weather", {"type": "function", "function": {"name": "weather"}}),
    ],
)
def test_tool_choice(choice: str, wanted: Any) -> None:
    assert sent(tools=(WEATHER,), tool_choice=choice)["tool_choice"] == wanted


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"thinking": Thinking(budget_tokens=9)}, "budget_tokens"),
        ({"thinking": Thinking(summary="none")}, "summary"),
        ({"extra": {"stream": True}}, "stream"),
        ({"extra": {"messages": []}}, "messages"),
        ({"extra": {"tools": {}}}, "tools"),
    ],
)
def test_what_this_vendor_cannot_be_asked_raises(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        sent(**fields)


def test_what_a_user_can_say() -> None:
    (message,) = wire(
        Message.user(
            [
                ContentPart.text("look"),
                ContentPart.image(PIXEL),
                ImagePart(mime="image/png", data_b64=PIXEL, detail="low"),
                ImageUrlPart(url="https://x/y.png"),
                ImageUrlPart(url="https://x/y.png", detail="high"),
                DocumentPart(data_b64=PIXEL, title="a.pdf"),
                DocumentPart(url="https://x/y.pdf"),
                DocumentPart(file_id="f-1"),
                AudioPart(mime="audio/wav", data_b64=PIXEL),
                AudioPart(mime="audio/wav", url="https://x/y.wav"),
                OpaquePart(replay=own({"type": "resource", "x": 1})),
            ]
        )
    )
    assert message["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": f"data:image/png;base64,{PIXEL}"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}},
        {"type": "image_url", "image_url": "https://x/y.png"},
        {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "high"}},
        {
            "type": "document_url",
            "document_url": f"data:application/pdf;base64,{PIXEL}",
            "document_name": "a.pdf",
        },
        {"type": "document_url", "document_url": "https://x/y.pdf"},
        {"type": "file", "file_id": "f-1"},
        {"type": "input_audio", "input_audio": PIXEL},
        {"type": "input_audio", "input_audio": "https://x/y.wav"},
        {"type": "resource", "x": 1},
    ]
    assert wire(Message.user([TextPart(text="a"), TextPart(text="b")]))[0]["content"] == "ab"


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (DocumentPart(mime="text/plain", text="t"), "text part"),
        (DocumentPart(data_b64=PIXEL, context="c"), "context"),
        (DocumentPart(data_b64=PIXEL, citations=True), "citations"),
        (DocumentPart(file_id="f", title="t"), "title"),
        (AudioPart(mime="audio/wav", file_id="f"), "file_id"),
        (VideoPart(mime="video/mp4", url="https://x/y"), "video"),
        (OpaquePart(replay=OTHER), "anthropic"),
    ],
)
def test_what_has_no_place_in_a_message_raises(part: Any, named: str) -> None:
    for message in (Message.user([part]), Message.tool([ToolResultPart(id="1", content=(part,))])):
        with pytest.raises(InvalidInput, match=named):
            wire(message)


def test_a_turn_with_tools() -> None:
    assert wire(
        Message.system("be good"),
        Message.assistant(
            [
                TextPart(text="let me see"),
                ContentPart.tool_call("abcDEF123", "f", {"x": 1}),
                ToolCallPart(id="abcDEF124", name="g", args="no JSON", replay=own({"index": 1})),
            ]
        ),
        Message.tool(
            [
                ContentPart.tool_result("abcDEF123", {"y": [1]}, name="f"),
                ContentPart.tool_result("abcDEF124", "gone", is_error=True),
            ]
        ),
        Message.tool(
            [
                ToolResultPart(id="abcDEF125", content=(ContentPart.image(PIXEL),), is_error=True),
                ToolResultPart(id="abcDEF126", result=7, content=(TextPart(text="seven"),)),
            ]
        ),
    ) == [
        {"role": "system", "content": "be good"},
        {
            "role": "assistant",
            "content": "let me see",
            "tool_calls": [
                {"type": "function", "id": "abcDEF123", "function": {"name": "f", "arguments": '{"x":1}'}},
                {
                    "type": "function",
                    "index": 1,
                    "id": "abcDEF124",
                    "function": {"name": "g", "arguments": "no JSON"},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "abcDEF123", "content": '{"y":[1]}', "name": "f"},
        {"role": "tool", "tool_call_id": "abcDEF124", "content": "Error: gone"},
        {
            "role": "tool",
            "tool_call_id": "abcDEF125",
            "content": [
                {"type": "text", "text": "Error:"},
                {"type": "image_url", "image_url": f"data:image/png;base64,{PIXEL}"},
            ],
        },
        {"role": "tool", "tool_call_id": "abcDEF126", "content": "seven"},
    ]


def test_what_came_from_mistral_goes_back_as_it_came_and_only_there() -> None:
    reference = {"type": "reference", "reference_ids": [1]}
    cited = TextPart(text="so", citations=(Citation(source="1"),), replay=own({"references": [reference]}))
    items = [{"type": "text", "text": "hm"}, reference]
    assert wire(
        Message.assistant(
            [
                ThinkingPart(text="hm", replay=own({"closed": True})),
                ThinkingPart(text="hm", replay=own({"thinking": items})),
                ThinkingPart(text="not marked"),
                ThinkingPart(text="theirs", replay=OTHER),
                OpaquePart(replay=OTHER),
                OpaquePart(replay=own({"type": "file", "file_id": "f"})),
                cited,
                TextPart(text="and", replay=OTHER),
                OpaquePart(replay=own({"prefix": True})),
            ]
        ),
        Message.assistant([ThinkingPart(text="theirs", replay=OTHER)]),
    ) == [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": True},
                {"type": "thinking", "thinking": items},
                {"type": "file", "file_id": "f"},
                {"type": "text", "text": "so"},
                reference,
                {"type": "text", "text": "and"},
            ],
            "prefix": True,
        }
    ]
    with pytest.raises(InvalidInput, match="image"):
        wire(Message.assistant([ContentPart.image(PIXEL)]))
    with pytest.raises(InvalidInput, match="nothing to send"):
        sent(Message.assistant(""))


@settings(max_examples=examples(2), deadline=None)
@given(st.text(max_size=30), st.text(max_size=30))
def test_every_id_becomes_one_that_is_taken_and_no_two_become_one(one: str, other: str) -> None:
    assert re.fullmatch("[a-zA-Z0-9]{9}", wire_id(one))
    assert wire_id(wire_id(one)) == wire_id(one)
    if wire_id(one) != other and wire_id(other) != one:
        assert (wire_id(one) == wire_id(other)) == (one == other)


def test_ids_that_look_alike_stay_apart() -> None:
    alike = ["call_1", "call-1", "call.1", "call1", "call_10", "call_1 ", "toolu_01A", "toolu_01a", ""]
    alike += [f"call_{'0' * 20}_{n}" for n in range(1000)]
    assert len({wire_id(name) for name in alike}) == len(alike)
    assert wire_id("D681PevKs") == "D681PevKs"


def test_a_call_and_its_result_keep_finding_each_other() -> None:
    encoded = wire(
        Message.assistant([ContentPart.tool_call(name, "f", {}) for name in ("call_1", "call-1")]),
        Message.tool([ContentPart.tool_result(name, name) for name in ("call-1", "call_1")]),
    )
    first, second = (call["id"] for call in encoded[0]["tool_calls"])
    assert first != second
    assert {message["content"]: message["tool_call_id"] for message in encoded[1:]} == {
        "call_1": first,
        "call-1": second,
    }


def test_a_message_is_encoded_once() -> None:
    sent(USER)
    kept = USER.encoded(CODEC, lambda message: pytest.fail("it was not kept"))
    assert from_json(kept)["role"] == "user"


# The vendor's library as the judge

FILE = DocumentPart(data_b64=PIXEL, title="a.pdf")
SOUND = AudioPart(mime="audio/wav", data_b64=PIXEL)


def as_this_vendor_takes_it(part: Part) -> Part:
    """The part, or one of its kind that Mistral takes: what it does not take is tested above."""
    if part.type == "document" and (part.text or part.context or part.citations):
        return FILE
    if part.type in ("audio", "video"):
        return SOUND
    if type(part) is ToolResultPart:
        return part.model_copy(update={"content": tuple(map(as_this_vendor_takes_it, part.content))})
    return part


def library_takes(body: dict[str, Any]) -> None:
    """Assert that the vendor's library reads the body, and writes it again as it was."""
    models = library("mistralai.client.models")
    read = models.ChatCompletionRequest.model_validate(body)
    assert plain(read.model_dump(by_alias=True, exclude_unset=True)) == plain(body)


def plain(value: Any) -> Any:
    """Without what the library adds by itself."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if item is not None}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


@given(strategies.conversations())
def test_the_vendors_library_takes_any_conversation(messages: list[Message]) -> None:
    known = [
        Message(role=message.role, content=[as_this_vendor_takes_it(part) for part in message.content])
        for message in messages
    ]
    body = sent(*known)
    library_takes(body)
    asked = [call["id"] for message in body["messages"] for call in message.get("tool_calls", ())]
    answered = [message["tool_call_id"] for message in body["messages"] if message["role"] == "tool"]
    assert sorted(asked) == sorted(answered)


def test_the_vendors_library_takes_our_requests() -> None:
    reference = {"type": "reference", "reference_ids": [1]}
    library_takes(
        sent(
            Message.system("s"),
            Message.user([DocumentPart(file_id="f"), AudioPart(mime="audio/wav", data_b64=PIXEL)]),
            Message.assistant(
                [
                    ThinkingPart(text="hm", replay=own({"signature": "s", "closed": True})),
                    TextPart(text="so", replay=own({"references": [reference]})),
                    OpaquePart(replay=own({"prefix": True})),
                ]
            ),
            provider=Mistral("m", "k", safe_prompt=True, random_seed=1),
            tools=(WEATHER,),
            tool_choice="weather",
            thinking=Thinking(),
            output_schema={"type": "object"},
            temperature=0.5,
            stop=("x",),
            max_tokens=3,
            top_k=2,
            top_logprobs=2,
            metadata={"a": "b"},
            parallel_tool_calls=True,
            stream=True,
        )
    )
