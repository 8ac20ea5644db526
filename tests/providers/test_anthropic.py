"""Anthropic: what its constructor takes, and what goes to the vendor."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, Field
from pydantic_core import from_json

from tako.effects import HttpRequest
from tako.errors import InvalidInput
from tako.models import (
    CacheControl,
    ChatRequest,
    ContentPart,
    Message,
    OpaquePart,
    Replay,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolSchema,
)
from tako.providers import Anthropic
from tako.providers.anthropic.blocks import CODEC
from tako.providers.closed_schema import closed_schema
from tests.support.vendor_types import check, library

USER = Message.user("hello")
PIXEL = "iVBORw0KGgo="
MARK, HOUR = CacheControl(), CacheControl(ttl="1h")
WEATHER = ToolSchema(
    name="weather", description="Look it up", input_schema={"type": "object"}, cache_control=MARK
)
SIGNED = Replay(vendor="anthropic", data={"signature": "s=="})
REDACTED = Replay(vendor="anthropic", data={"type": "redacted_thinking", "data": "x/+=="})


def sent(
    *messages: Message, stream: bool = False, provider: Anthropic | None = None, **fields: Any
) -> dict[str, Any]:
    request = ChatRequest(messages=messages or (USER,), **fields)
    body = (provider or Anthropic("claude", "k")).http_request(request, stream=stream).body
    decoded: dict[str, Any] = from_json(body)
    return decoded


def blocks_of(message: Message) -> list[Any]:
    (encoded,) = sent(message)["messages"]
    blocks: list[Any] = encoded["content"]
    return blocks


def http(provider: Anthropic, *, stream: bool = False) -> HttpRequest:
    return provider.http_request(ChatRequest(messages=(USER,)), stream=stream)


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
        ("https://api.anthropic.com/v1/", "https://api.anthropic.com/v1/messages"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/v1/messages"),
        ("https://gateway/acct/anthropic/v1/messages", "https://gateway/acct/anthropic/v1/messages"),
    ],
)
def test_the_address_is_never_doubled(base_url: str, url: str) -> None:
    assert http(Anthropic("m", "k", base_url=base_url)).url == url


def test_the_head_of_a_request() -> None:
    provider = Anthropic(
        "claude", "sk-1", timeout_secs=7, headers={"Anthropic-Beta": "a,b"}, version="2099-01-01"
    )
    request = http(provider)
    assert (request.method, request.read_timeout) == ("POST", 7.0)
    assert dict(request.headers) == {
        "content-type": "application/json",
        "anthropic-version": "2099-01-01",
        "x-api-key": "sk-1",
        "accept": "application/json",
        "anthropic-beta": "a,b",
    }
    assert dict(http(provider, stream=True).headers)["accept"] == "text/event-stream"
    assert dict(http(Anthropic("m", "")).headers).keys() == {"content-type", "anthropic-version", "accept"}


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-usual")
    assert dict(http(Anthropic("m")).headers)["x-api-key"] == "sk-usual"
    assert "sk-usual" not in repr(Anthropic("m"))
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(InvalidInput, match="ANTHROPIC_API_KEY"):
        Anthropic("m")


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"model": " "}, "model"),
        ({"base_url": "x"}, "base_url"),
        ({"timeout_secs": -1}, "timeout_secs"),
        ({"default_max_tokens": 0}, "default_max_tokens"),
        ({"default_max_tokens": 1.5}, "default_max_tokens"),
        ({"default_max_tokens": True}, "default_max_tokens"),
        ({"version": ""}, "version"),
        ({"version": "a\r\nb"}, "version"),
        ({"headers": [("a", "b\n")]}, "headers"),
        ({"tls": {}}, "tls"),
        ({"capabilities": 1}, "capabilities"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        Anthropic(**{"model": "m", "api_key": "k", **wrong})


def test_all_system_messages_go_to_the_top_in_order() -> None:
    body = sent(
        Message.system([ContentPart.text("a"), ContentPart.text("b", cache_control=HOUR)]),
        USER,
        Message.system("c"),
    )
    assert body["system"] == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "c"},
    ]
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]
    assert "system" not in sent(Message.system(" "), USER)


def test_results_of_a_turn_are_one_message() -> None:
    calls = [ContentPart.tool_call("a", "f", {"x": 1}), ContentPart.tool_call("b", "g", {})]
    results = ToolResultPart(id="b", result={"y": [1]}, is_error=True, cache_control=MARK)
    body = sent(
        USER,
        Message.assistant(calls),
        Message.tool([ContentPart.tool_result("a", "done")]),
        Message.tool([results, ContentPart.tool_result("c", "")]),
        USER,
        Message.tool([ContentPart.tool_result("d", None)]),
    )
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "done"},
                {
                    "type": "tool_result",
                    "tool_use_id": "b",
                    "content": '{"y":[1]}',
                    "is_error": True,
                    "cache_control": {"type": "ephemeral"},
                },
                {"type": "tool_result", "tool_use_id": "c"},
            ],
        },
        {"role": "user", "content": [{"type": "text", "text": "hello"}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "d", "content": "null"}]},
    ]


def test_images() -> None:
    data = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content = [
        ContentPart(type="image", mime="image/png", data_b64=PIXEL, cache_control=MARK),
        ContentPart.image_url("https://x/y.png"),
        ContentPart.image_url(f"data:image/png;base64,{PIXEL}"),
    ]
    assert blocks_of(Message.user(content)) == [
        {"type": "image", "source": data, "cache_control": {"type": "ephemeral"}},
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        {"type": "image", "source": data},
    ]
    with pytest.raises(InvalidInput, match="image_url"):
        blocks_of(Message.user([ContentPart.image_url("data:image/svg+xml,<svg/>")]))


def test_thinking_goes_back_as_it_came_and_only_to_its_vendor() -> None:
    other = Replay(vendor="openai", data={"signature": "s"})
    assert blocks_of(
        Message.assistant(
            [
                ThinkingPart(text="hm", replay=SIGNED),
                ThinkingPart(text="not signed"),
                ThinkingPart(text="theirs", replay=other),
                OpaquePart(replay=REDACTED),
                OpaquePart(replay=other),
                TextPart(text="t"),
                ToolCallPart(
                    id="a",
                    name="f",
                    args={},
                    replay=Replay(vendor="anthropic", data={"caller": {"type": "direct"}}),
                ),
                ToolCallPart(id="b", name="f", args={}, replay=other),
            ]
        )
    ) == [
        {"type": "thinking", "thinking": "hm", "signature": "s=="},
        {"type": "redacted_thinking", "data": "x/+=="},
        {"type": "text", "text": "t"},
        {"type": "tool_use", "caller": {"type": "direct"}, "id": "a", "name": "f", "input": {}},
        {"type": "tool_use", "id": "b", "name": "f", "input": {}},
    ]


def test_blank_text_and_empty_messages_are_left_out() -> None:
    only_foreign = Message.assistant([ThinkingPart(text="hm")])
    call = Message.assistant([TextPart(text="\n\n"), ContentPart.tool_call("a", "f", {})])
    body = sent(USER, Message.assistant(""), only_foreign, Message.tool([]), call)
    assert [len(message["content"]) for message in body["messages"]] == [1, 1]
    with pytest.raises(InvalidInput, match="messages"):
        sent(Message.system("s"), Message.user(" "))


def test_calls_of_other_vendors_are_put_into_what_this_one_takes() -> None:
    call = ToolCallPart(id="functions.f:0", name="f", args="not json")
    body = sent(
        USER, Message.assistant([call]), Message.tool([ToolResultPart(id="functions.f:0", result="x")])
    )
    assert body["messages"][1]["content"][0]["id"] == "functions_f_0"
    assert body["messages"][1]["content"][0]["input"] == {"INVALID_JSON": "not json"}
    assert body["messages"][2]["content"][0]["tool_use_id"] == "functions_f_0"


@pytest.mark.parametrize(
    "message",
    [
        Message.system([ContentPart.image(PIXEL)]),
        Message.user([ContentPart.tool_call("1", "f", {})]),
        Message.user([ContentPart.tool_result("1", "x")]),
        Message.assistant([ContentPart.image(PIXEL)]),
        Message(role=Message.tool([]).role, content=(ContentPart.text("x"),)),
        Message.tool([ContentPart.tool_result("1", object())]),
        Message.user("\udc00"),
    ],
)
def test_what_has_no_place_raises(message: Message) -> None:
    with pytest.raises(InvalidInput):
        sent(USER, message)


def test_options() -> None:
    assert sent(
        temperature=0.5,
        top_p=0.9,
        stop=("a",),
        tools=(WEATHER,),
        tool_choice="weather",
        metadata={"user_id": "u"},
        extra={
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        },
    ) == {
        "model": "claude",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        "temperature": 0.5,
        "top_p": 0.9,
        "stop_sequences": ["a"],
        "metadata": {"user_id": "u"},
        "tools": [
            {
                "name": "weather",
                "description": "Look it up",
                "input_schema": {"type": "object"},
                "cache_control": {"type": "ephemeral"},
            },
            {"type": "web_search_20250305", "name": "web_search"},
        ],
        "tool_choice": {"type": "tool", "name": "weather"},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    assert sent(max_tokens=9, stream=True)["max_tokens"] == 9
    assert sent(provider=Anthropic("m", "k", default_max_tokens=5))["max_tokens"] == 5
    assert sent(stream=True)["stream"] is True


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"metadata": {"tenant": "x"}}, "metadata"),
        ({"extra": {"system": "x"}}, "system"),
        ({"extra": {"stream": True}}, "stream"),
        ({"extra": {"tools": {}}}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"output_schema": {"properties": 7}}, "output_schema"),
    ],
)
def test_what_this_vendor_does_not_have_raises(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        sent(**fields)


@pytest.mark.parametrize(("choice", "wanted"), [("auto", "auto"), ("required", "any"), ("none", "none")])
def test_tool_choice(choice: str, wanted: str) -> None:
    assert sent(tools=(WEATHER,), tool_choice=choice)["tool_choice"] == {"type": wanted}
    merged = sent(
        tools=(WEATHER,), tool_choice=choice, extra={"tool_choice": {"disable_parallel_tool_use": True}}
    )
    assert merged["tool_choice"] == {"type": wanted, "disable_parallel_tool_use": True}


class Answer(BaseModel):
    """What to say."""

    name: str = Field(min_length=1, description="Who")
    size: int | None = Field(default=None, ge=1)
    kinds: dict[str, int] = Field(default_factory=dict)


def test_an_output_schema_is_closed_and_told_in_words_where_it_cannot_be_held() -> None:
    body = sent(output_schema=Answer.model_json_schema(), extra={"output_config": {"effort": "low"}})
    assert body["output_config"]["effort"] == "low"
    schema = body["output_config"]["format"]["schema"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["name"]["description"] == "Who\n\n{minLength: 1}"
    assert schema["properties"]["kinds"]["additionalProperties"] is False
    assert 'additionalProperties: {"type":"integer"}' in schema["properties"]["kinds"]["description"]
    one_of = closed_schema(
        {"oneOf": [{"type": "object"}, {"type": "string", "format": "regex"}], "minItems": 5}
    )
    assert one_of == {
        "anyOf": [
            {"type": "object", "additionalProperties": False},
            {"type": "string", "description": "{format: regex}"},
        ],
        "description": "{minItems: 5}",
    }
    assert closed_schema(one_of) == one_of
    both = {"anyOf": [{"type": ["object", "null"]}], "oneOf": [{}], "enum": [1, {"a": 1}], "const": "c"}
    assert closed_schema(both) == {
        "anyOf": [{"type": ["object", "null"], "additionalProperties": False}],
        "const": "c",
        "description": '{oneOf: [{}], enum: [1,{"a":1}]}',
    }
    kept = {"$ref": "#/$defs/A", "description": "d"}
    assert closed_schema({**kept, "maxLength": 3}) == kept
    assert closed_schema({"allOf": [{"type": "object"}, {"enum": ["a", None]}]}) == {
        "allOf": [{"type": "object", "additionalProperties": False}, {"enum": ["a", None]}]
    }


def test_a_message_is_encoded_once() -> None:
    sent(USER)
    kept = USER.encoded(CODEC, lambda message: pytest.fail("it was not kept"))
    assert from_json(kept)["role"] == "user"


def test_the_vendors_library_takes_our_requests() -> None:
    types = library("anthropic.types")
    body = sent(
        Message.system("s"),
        Message.user(
            [
                ContentPart.text("u", cache_control=HOUR),
                ContentPart.image(PIXEL),
                ContentPart.image_url("https://x/y"),
            ]
        ),
        Message.assistant(
            [
                ThinkingPart(text="hm", replay=SIGNED),
                OpaquePart(replay=REDACTED),
                ContentPart.tool_call("1", "weather", {"x": 1}),
            ]
        ),
        Message.tool([ToolResultPart(id="1", result={"t": 7}, is_error=True, cache_control=MARK)]),
        tools=(WEATHER,),
        tool_choice="weather",
        output_schema=Answer.model_json_schema(),
        stop=("x",),
        stream=True,
        metadata={"user_id": "u"},
        temperature=0.1,
    )
    for message in body["messages"]:
        check(types.MessageParam, message)
    for block in body["system"]:
        check(types.TextBlockParam, block)
    for tool in body["tools"]:
        check(types.ToolParam, tool)
    check(types.ToolChoiceParam, body["tool_choice"])
    check(types.OutputConfigParam, body["output_config"])
    check(types.MetadataParam, body["metadata"])
    params = types.message_create_params
    known = (
        params.MessageCreateParamsBase.__annotations__ | params.MessageCreateParamsStreaming.__annotations__
    )
    # The library has forgotten the words for sampling, which newer models refuse and older ones take.
    assert body.keys() - known.keys() == {"temperature"}
