"""Ollama: what its constructor takes, and what goes to the server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from pydantic_core import from_json

from tako.effects import HttpRequest, Send, Within
from tako.errors import InvalidInput
from tako.fetching import UrlPolicy
from tako.models import (
    AudioPart,
    Capabilities,
    ChatRequest,
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
    Usage,
)
from tako.providers import Ollama
from tako.providers.ollama.encode import CODEC
from tako.providers.prefetch import prefetch_policy
from tako.testing import strategies
from tests.support.vendor_types import library

USER = Message.user("hello")
PIXEL = "iVBORw0KGgo="
WEATHER = ToolSchema(
    name="weather",
    description="Look it up",
    input_schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
OTHER = Replay(vendor="anthropic", data={"signature": "s"})


def sent(
    *messages: Message, stream: bool = False, provider: Ollama | None = None, **fields: Any
) -> dict[str, Any]:
    request = ChatRequest(messages=messages or (USER,), **fields)
    body = (provider or Ollama("llama")).http_request(request, stream=stream).body
    decoded: dict[str, Any] = from_json(body)
    return decoded


def wire(*messages: Message) -> list[dict[str, Any]]:
    encoded: list[dict[str, Any]] = sent(*messages)["messages"]
    return encoded


def http(provider: Ollama, *, stream: bool = False) -> HttpRequest:
    return provider.http_request(ChatRequest(messages=(USER,)), stream=stream)


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://localhost:11434", "http://localhost:11434/api/chat"),
        ("http://localhost:11434/", "http://localhost:11434/api/chat"),
        ("http://localhost:11434/api/", "http://localhost:11434/api/chat"),
        ("https://gateway/ollama/api/chat", "https://gateway/ollama/api/chat"),
    ],
)
def test_the_address_is_never_doubled(base_url: str, url: str) -> None:
    assert http(Ollama("m", base_url=base_url)).url == url


def test_the_head_of_a_request() -> None:
    provider = Ollama("llama", timeout_secs=7, api_key="k-1", headers={"X-Tenant": "a"})
    assert provider.id == "ollama:llama"
    request = http(provider)
    assert (request.method, request.read_timeout) == ("POST", 7.0)
    assert dict(request.headers) == {
        "content-type": "application/json",
        "authorization": "Bearer k-1",
        "accept": "application/json",
        "x-tenant": "a",
    }
    assert "k-1" not in repr(provider)
    plain = dict(http(Ollama("m"), stream=True).headers)
    assert plain == {"content-type": "application/json", "accept": "application/x-ndjson"}


def test_a_key_is_asked_for_only_if_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "k-usual")
    assert dict(http(Ollama("m", api_key=None)).headers)["authorization"] == "Bearer k-usual"
    assert "authorization" not in dict(http(Ollama("m")).headers)


def test_capabilities() -> None:
    assert Ollama("m").capabilities.max_context_tokens == 8192
    assert Ollama("m").capabilities.cost_usd(Usage(input_tokens=1, output_tokens=1)) == 0.0
    mine = Capabilities(max_context_tokens=7)
    assert Ollama("m", capabilities=mine).capabilities is mine


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"model": " "}, "model"),
        ({"base_url": "localhost:11434"}, "base_url"),
        ({"base_url": 7}, "base_url"),
        ({"base_url": "http://localhost:11434/v1"}, "OpenAICompatible"),
        ({"timeout_secs": -1}, "timeout_secs"),
        ({"keep_alive": True}, "keep_alive"),
        ({"keep_alive": ""}, "keep_alive"),
        ({"keep_alive": []}, "keep_alive"),
        ({"options": [1]}, "options"),
        ({"options": {1: 2}}, "options"),
        ({"options": {"a": object()}}, "options"),
        ({"api_key": "$ENV:TAKO_NOT_THERE"}, "TAKO_NOT_THERE"),
        ({"headers": [("a", "b\n")]}, "headers"),
        ({"tls": {}}, "tls"),
        ({"capabilities": 1}, "capabilities"),
        ({"url_prefetch": "yes"}, "url_prefetch"),
        ({"url_prefetch_max_bytes": 7}, "url_prefetch_max_bytes"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        Ollama(**{"model": "m", **wrong})


def test_whether_to_stream_is_always_said() -> None:
    assert sent() == {
        "model": "llama",
        "stream": False,
        "messages": [{"role": "user", "content": "hello"}],
    }
    assert sent(stream=True)["stream"] is True
    assert sent(model="other")["model"] == "other"


def test_options_are_those_of_the_request_over_those_of_the_constructor() -> None:
    provider = Ollama("m", options={"num_ctx": 100, "temperature": 1.0, "seed": 1})
    body = sent(
        provider=provider,
        temperature=0.0,
        top_p=0.5,
        top_k=3,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        max_tokens=9,
        stop=("x", "y"),
        extra={"options": {"num_ctx": 200, "min_p": 0.1}},
    )
    assert body["options"] == {
        "num_ctx": 200,
        "temperature": 0.0,
        "seed": 1,
        "top_p": 0.5,
        "top_k": 3,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "num_predict": 9,
        "stop": ["x", "y"],
        "min_p": 0.1,
    }
    assert sent(provider=provider, seed=0)["options"]["seed"] == 0
    assert sent(provider=provider)["options"] == {"num_ctx": 100, "temperature": 1.0, "seed": 1}


@pytest.mark.parametrize("value", ["5m", -1, 0, 2.5])
def test_keep_alive(value: float | str) -> None:
    assert sent(provider=Ollama("m", keep_alive=value))["keep_alive"] == value


@pytest.mark.parametrize(
    ("thinking", "wanted"),
    [
        (Thinking(), True),
        (Thinking(summary="auto"), True),
        (Thinking(enabled=False), False),
        (Thinking(effort="low"), "low"),
    ],
)
def test_thinking_is_asked_for(thinking: Thinking, wanted: object) -> None:
    assert sent(thinking=thinking)["think"] == wanted


def test_a_schema_and_log_probabilities() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    assert sent(output_schema=schema)["format"] == schema
    body = sent(top_logprobs=3)
    assert (body["logprobs"], body["top_logprobs"]) == (True, 3)
    assert "top_logprobs" not in sent(top_logprobs=0)


def test_tools_and_their_choice() -> None:
    tool = {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Look it up",
            "parameters": WEATHER.input_schema,
        },
    }
    theirs = {"type": "function", "function": {"name": "own"}}
    assert sent(tools=(WEATHER,), extra={"tools": [theirs]})["tools"] == [tool, theirs]
    assert sent(tools=(WEATHER,), tool_choice="auto")["tools"] == [tool]
    # There is no field that forbids calling, but what the model is not told of it cannot call.
    assert "tools" not in sent(tools=(WEATHER,), tool_choice="none", extra={"tools": [theirs]})


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tools": (WEATHER,), "tool_choice": "required"}, "tool_choice"),
        ({"tools": (WEATHER,), "tool_choice": "weather"}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"n": 2}, "n:"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"metadata": {"a": "b"}}, "metadata"),
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


def test_what_is_asked_for_anyway_is_fine() -> None:
    assert sent(n=1, parallel_tool_calls=True).keys() == {"model", "stream", "messages"}


def test_a_turn_with_tools() -> None:
    assert wire(
        Message.system("be good"),
        USER,
        Message.assistant(
            [
                ThinkingPart(text="hm"),
                ThinkingPart(text="theirs", replay=OTHER),
                OpaquePart(replay=OTHER),
                TextPart(text="let me "),
                TextPart(text="see"),
                ContentPart.tool_call("a", "f", {"x": 1}),
                ToolCallPart(
                    id="b", name="g", args="no JSON", replay=Replay(vendor="ollama", data={"extra": 7})
                ),
            ]
        ),
        Message.tool(
            [
                ContentPart.tool_result("a", {"y": [1]}, name="f"),
                ContentPart.tool_result("b", "gone", is_error=True),
            ]
        ),
        Message.assistant([ThinkingPart(text="theirs", replay=OTHER)]),
    ) == [
        {"role": "system", "content": "be good"},
        {"role": "user", "content": "hello"},
        {
            "role": "assistant",
            "content": "let me see",
            "thinking": "hm",
            "tool_calls": [
                {"type": "function", "id": "a", "function": {"name": "f", "arguments": {"x": 1}}},
                {
                    "type": "function",
                    "extra": 7,
                    "id": "b",
                    "function": {"name": "g", "arguments": {"INVALID_JSON": "no JSON"}},
                },
            ],
        },
        {"role": "tool", "content": '{"y":[1]}', "tool_name": "f", "tool_call_id": "a"},
        # The name is that of the call, if the result does not say it.
        {"role": "tool", "content": "Error: gone", "tool_name": "g", "tool_call_id": "b"},
    ]


def test_images_are_bare_base64_also_in_results() -> None:
    url = ContentPart.image_url(f"data:image/png;base64,{PIXEL}")
    image = ContentPart.image(PIXEL)
    assert wire(
        Message.user([ContentPart.text("a"), image, ContentPart.text("b"), url]),
        Message.assistant([ContentPart.tool_call("1", "see", {}), image]),
        Message.tool([ToolResultPart(id="1", result={"for": "programs"}, content=(image,), is_error=True)]),
    ) == [
        {"role": "user", "content": "ab", "images": [PIXEL, PIXEL]},
        {
            "role": "assistant",
            "content": "",
            "images": [PIXEL],
            "tool_calls": [{"type": "function", "id": "1", "function": {"name": "see", "arguments": {}}}],
        },
        {"role": "tool", "content": "Error: ", "images": [PIXEL], "tool_name": "see", "tool_call_id": "1"},
    ]


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (ImageUrlPart(url="https://x/y.png"), "url_prefetch=True"),
        (DocumentPart(mime="text/plain", text="t"), "document"),
        (DocumentPart(data_b64=PIXEL), "document"),
        (AudioPart(mime="audio/wav", data_b64=PIXEL), "audio"),
        (OpaquePart(replay=OTHER), "anthropic"),
    ],
)
def test_what_has_no_place_in_a_message_raises(part: Any, named: str) -> None:
    for message in (Message.user([part]), Message.tool([ToolResultPart(id="1", content=(part,))])):
        if type(part) is OpaquePart and message.role == "tool":
            named = "opaque"
        with pytest.raises(InvalidInput, match=named):
            wire(message)


def test_a_message_of_the_vendors_own() -> None:
    own = OpaquePart(replay=Replay(vendor="ollama", data={"content": "x", "images": [PIXEL]}))
    assert wire(Message.user([own])) == [{"role": "user", "content": "x", "images": [PIXEL]}]
    with pytest.raises(InvalidInput, match="one of its own"):
        wire(Message.user([own, TextPart(text="more")]))
    with pytest.raises(InvalidInput, match="nothing to send"):
        sent(Message.assistant(""))


def test_a_message_is_encoded_once() -> None:
    sent(USER)
    kept = USER.encoded(CODEC, lambda message: pytest.fail("it was not kept"))
    assert from_json(kept)["role"] == "user"


def test_images_by_address_are_fetched_first_if_that_is_allowed() -> None:
    request = ChatRequest(messages=(Message.user([ImageUrlPart(url="https://example.com/a.png")]),))
    assert type(next(Ollama("m", url_prefetch=True).chat_flow(request))) is Within
    assert type(next(Ollama("m", url_prefetch=True).chat_flow(ChatRequest(messages=(USER,))))) is Send


# The options for fetching


def test_no_policy_means_that_nothing_is_fetched() -> None:
    assert prefetch_policy("Ollama", False) is None


def test_a_policy_from_options() -> None:
    assert prefetch_policy("Ollama", True) == UrlPolicy()
    assert prefetch_policy(
        "Ollama",
        True,
        allow_http=True,
        allow_private_ips=True,
        allow_hosts=["*.example.com"],
        allow_cidrs=["10.0.0.0/8"],
        timeout_secs=3,
        max_bytes=9,
    ) == UrlPolicy(
        allow_http=True,
        allow_private_addresses=True,
        allow_hosts=("*.example.com",),
        allow_networks=("10.0.0.0/8",),
        timeout_secs=3,
        max_bytes=9,
    )
    mine = UrlPolicy(max_redirects=0)
    assert prefetch_policy("Ollama", mine) is mine


@pytest.mark.parametrize(
    "option",
    [
        {"allow_http": True},
        {"allow_private_ips": True},
        {"allow_hosts": ["a"]},
        {"allow_cidrs": []},
        {"timeout_secs": 3.0},
        {"max_bytes": 9},
    ],
)
def test_an_option_that_would_be_ignored_raises(option: dict[str, Any]) -> None:
    (name,) = option
    for prefetch in (False, UrlPolicy()):
        with pytest.raises(InvalidInput, match=rf"Bedrock: url_prefetch_{name} .*url_prefetch=True"):
            prefetch_policy("Bedrock", prefetch, **option)


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ({"allow_cidrs": ["10.0.0.0/40"]}, "url_prefetch_allow_cidrs"),
        ({"allow_hosts": ["*"]}, "url_prefetch_allow_hosts"),
        ({"allow_hosts": "a"}, "url_prefetch_allow_hosts"),
        ({"allow_http": 1}, "url_prefetch_allow_http"),
        ({"timeout_secs": 0}, "url_prefetch_timeout_secs"),
        ({"max_bytes": 0.5}, "url_prefetch_max_bytes"),
    ],
)
def test_a_wrong_option_is_named_as_it_was_given(option: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=f"Ollama: {named}: ") as caught:
        prefetch_policy("Ollama", True, **option)
    assert "UrlPolicy" not in str(caught.value)


# The vendor's library as the judge


def without_ids(message: dict[str, Any]) -> dict[str, Any]:
    """The library knows no ids of calls; the server does, since 2025-11."""
    plain = {name: value for name, value in message.items() if name != "tool_call_id"}
    if "tool_calls" in plain:
        plain["tool_calls"] = [{"function": call["function"]} for call in plain["tool_calls"]]
    return plain


def as_this_vendor_takes_it(message: Message) -> Message:
    """The message with the images by address as data; all else has to be taken as it is."""
    return Message(role=message.role, content=[_inline(part) for part in message.content])


def _inline(part: Part) -> Part:
    if type(part) is ImageUrlPart and not part.url.startswith("data:"):
        return ImagePart(mime="image/png", data_b64=PIXEL)
    return part


def _is_known(part: Part) -> bool:
    return type(part) not in (DocumentPart, AudioPart) and part.type != "video"


@given(strategies.conversations())
def test_the_vendors_library_takes_any_conversation(messages: list[Message]) -> None:
    types = library("ollama._types")
    known = [
        Message(role=message.role, content=[part for part in message.content if _is_known(part)])
        for message in messages
    ]
    encoded = wire(*map(as_this_vendor_takes_it, known))
    calls = 0
    for message in encoded:
        images = [types.Image(value=image) for image in message.get("images", ())] or None
        read = types.Message(**{**message, "images": images})
        assert read.model_dump(exclude_none=True) == without_ids(message)
        calls += len(message.get("tool_calls", ())) - (message["role"] == "tool")
    assert calls == 0, "each call has its result"


def test_the_vendors_library_takes_our_requests() -> None:
    types = library("ollama._types")
    body = sent(
        provider=Ollama("m", keep_alive="5m"),
        tools=(WEATHER,),
        thinking=Thinking(effort="high"),
        output_schema={"type": "object"},
        temperature=0.5,
        stop=("x",),
        max_tokens=3,
        top_logprobs=2,
        seed=4,
    )
    options = types.Options(**body["options"]).model_dump(exclude_none=True)
    assert options == body["options"]
    body.pop("options")
    assert types.ChatRequest(**body).model_dump(exclude_none=True) == body
