"""OpenAI: what its constructor takes, and what goes to the vendor."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from pydantic import BaseModel
from pydantic_core import from_json

from tako.effects import HttpRequest, TlsOptions
from tako.errors import InvalidInput
from tako.models import (
    AudioPart,
    CacheControl,
    Capabilities,
    ChatRequest,
    ContentPart,
    DocumentPart,
    ImagePart,
    Message,
    OpaquePart,
    Replay,
    TextPart,
    Thinking,
    ThinkingPart,
    ToolCallPart,
    ToolSchema,
)
from tako.parts import ImageUrlPart
from tako.providers import OpenAI
from tako.providers.chat_completions.dialect import OPENAI
from tako.testing import strategies
from tests.support.vendor_types import check, library

USER = Message.user("hello")
PIXEL = "iVBORw0KGgo="
WEATHER = ToolSchema(
    name="weather",
    description="Look it up",
    input_schema={"type": "object", "properties": {"city": {"type": "string"}}},
    cache_control=CacheControl(),
)


def sent(
    *messages: Message, stream: bool = False, provider: OpenAI | None = None, **fields: Any
) -> dict[str, Any]:
    request = ChatRequest(messages=messages or (USER,), **fields)
    body = (provider or OpenAI("gpt-4o", "k")).http_request(request, stream=stream).body
    decoded: dict[str, Any] = from_json(body)
    return decoded


def messages_of(*messages: Message) -> list[Any]:
    listed: list[Any] = sent(*messages)["messages"]
    return listed


def http(provider: OpenAI, *, stream: bool = False) -> HttpRequest:
    return provider.http_request(ChatRequest(messages=(USER,)), stream=stream)


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.openai.com", "https://api.openai.com/v1/chat/completions"),
        ("https://api.openai.com/", "https://api.openai.com/v1/chat/completions"),
        ("https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1/chat/completions"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/chat/completions"),
        ("https://api.groq.com/openai/v1", "https://api.groq.com/openai/v1/chat/completions"),
        ("https://host/api/v4", "https://host/api/v4/chat/completions"),
        ("https://host/v1beta/openai/chat/completions", "https://host/v1beta/openai/chat/completions"),
    ],
)
def test_the_address_is_never_doubled(base_url: str, url: str) -> None:
    assert http(OpenAI("m", "k", base_url=base_url)).url == url


def test_the_head_of_a_request() -> None:
    tls = TlsOptions(extra_roots="x")
    provider = OpenAI(
        "gpt-4o", "sk-1", organization="org-1", headers={"X-Mine": "1"}, timeout_secs=7, tls=tls
    )
    request = http(provider)
    assert request.method == "POST"
    assert request.read_timeout == 7.0
    assert request.tls is tls
    assert dict(request.headers) == {
        "content-type": "application/json",
        "authorization": "Bearer sk-1",
        "openai-organization": "org-1",
        "accept": "application/json",
        "x-mine": "1",
    }
    assert dict(http(provider, stream=True).headers)["accept"] == "text/event-stream"


def test_a_header_of_the_caller_wins() -> None:
    headers = http(OpenAI("m", "k", headers=[("Authorization", "Basic x")])).headers
    assert [value for name, value in headers if name == "authorization"] == ["Basic x"]


def test_an_empty_key_sends_none() -> None:
    assert "authorization" not in dict(http(OpenAI("m", "")).headers)


def test_keys_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-usual")
    monkeypatch.setenv("OTHER", "sk-other")
    assert dict(http(OpenAI("m")).headers)["authorization"] == "Bearer sk-usual"
    assert dict(http(OpenAI("m", "$ENV:OTHER")).headers)["authorization"] == "Bearer sk-other"
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(InvalidInput, match="OPENAI_API_KEY"):
        OpenAI("m")


def test_a_key_is_never_shown() -> None:
    provider = OpenAI("m", "sk-secret", headers={"x-key": "sk-secret"})
    assert "secret" not in repr(provider)
    assert "secret" not in repr(http(provider))
    with pytest.raises(InvalidInput) as caught:
        OpenAI("m", "sk-secret", headers={"x-key": "sk-secret\n"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"api_key": 7}, "api_key"),
        ({"api_key": "sk\n"}, "api key"),
        ({"base_url": "api.openai.com"}, "base_url"),
        ({"base_url": "ftp://x"}, "base_url"),
        ({"base_url": "https://x?y=1"}, "base_url"),
        ({"base_url": "https://x:port"}, "base_url"),
        ({"base_url": None}, "base_url"),
        ({"organization": ""}, "organization"),
        ({"organization": "a\nb"}, "organization"),
        ({"timeout_secs": 0}, "timeout_secs"),
        ({"timeout_secs": "9"}, "timeout_secs"),
        ({"timeout_secs": True}, "timeout_secs"),
        ({"timeout_secs": float("nan")}, "timeout_secs"),
        ({"max_tokens_field": "tokens"}, "max_tokens_field"),
        ({"headers": 7}, "headers"),
        ({"headers": [("a",)]}, "headers"),
        ({"headers": {"a b": "c"}}, "headers"),
        ({"headers": {"a": 1}}, "headers"),
        ({"tls": "x"}, "tls"),
        ({"capabilities": {}}, "capabilities"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        OpenAI(**{"model": "m", "api_key": "k", **wrong})


def test_the_model_is_kept_whole() -> None:
    provider = OpenAI("ft:gpt-4o:acme::id", "k")
    assert provider.id == "openai:ft:gpt-4o:acme::id"
    assert sent(provider=provider)["model"] == "ft:gpt-4o:acme::id"
    assert sent(provider=provider, model="other")["model"] == "other"


def test_capabilities_can_be_given() -> None:
    assert OpenAI("m", "k").capabilities.supports_tools
    assert OpenAI("m", "k", capabilities=Capabilities()).capabilities == Capabilities()


def test_text_is_one_string() -> None:
    assert messages_of(
        Message.system([ContentPart.text("a"), ContentPart.text("b")]),
        Message.user([ContentPart.text("c"), ContentPart.text("d")]),
        Message.assistant("e"),
    ) == [
        {"role": "system", "content": "a\n\nb"},
        {"role": "user", "content": "cd"},
        {"role": "assistant", "content": "e"},
    ]


def test_images_are_blocks() -> None:
    content = (ContentPart.text("what?"), ContentPart.image(PIXEL), ContentPart.image_url("https://x/y.png"))
    assert messages_of(Message.user(content))[0]["content"] == [
        {"type": "text", "text": "what?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
    ]


def test_calls_and_each_result_in_a_message_of_its_own() -> None:
    calls = [ContentPart.tool_call("1", "f", {"x": 1}), ContentPart.tool_call("2", "g", "not json")]
    results = [
        ContentPart.tool_result("1", {"y": [1]}),
        ContentPart.tool_result("2", "no such tool", is_error=True),
        ContentPart.tool_result("3", None),
    ]
    assert messages_of(USER, Message.assistant(calls), Message.tool(results))[1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"type": "function", "id": "1", "function": {"name": "f", "arguments": '{"x":1}'}},
                {"type": "function", "id": "2", "function": {"name": "g", "arguments": "not json"}},
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": '{"y":[1]}'},
        {"role": "tool", "tool_call_id": "2", "content": "Error: no such tool"},
        {"role": "tool", "tool_call_id": "3", "content": "null"},
    ]


def test_what_belongs_to_another_vendor_is_left_out_and_our_own_goes_back() -> None:
    theirs, ours = (
        Replay(vendor="anthropic", data={"type": "x"}),
        Replay(vendor="openai", data={"refusal": "r"}),
    )
    custom = Replay(vendor="openai", data={"type": "custom"})
    assert messages_of(
        USER,
        Message.assistant([ThinkingPart(text="hm", replay=theirs), OpaquePart(replay=theirs)]),
        Message.assistant([OpaquePart(replay=ours), ContentPart.text("t")]),
        Message.assistant([ToolCallPart(id="1", name="f", args={}, replay=theirs)]),
        Message.assistant([ToolCallPart(id="1", name="f", args="4 + 4", replay=custom)]),
    )[1:] == [
        {"role": "assistant", "content": "t", "refusal": "r"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"type": "function", "id": "1", "function": {"name": "f", "arguments": "{}"}}],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"type": "custom", "id": "1", "custom": {"name": "f", "input": "4 + 4"}}],
        },
    ]


@pytest.mark.parametrize(
    "message",
    [
        Message.system([ContentPart.image(PIXEL)]),
        Message.user([ContentPart.tool_call("1", "f", {})]),
        Message.user([ContentPart.tool_result("1", "x")]),
        Message.assistant([ContentPart.image(PIXEL)]),
        Message(role=Message.tool([]).role, content=(ContentPart.text("x"),)),
        Message.tool([ContentPart.tool_result("1", object())]),
        Message.user("\ud800"),
    ],
)
def test_what_has_no_place_raises(message: Message) -> None:
    with pytest.raises(InvalidInput):
        sent(message)


def test_nothing_to_send_raises() -> None:
    with pytest.raises(InvalidInput, match="messages"):
        OpenAI("m", "k").http_request(ChatRequest(messages=()), stream=False)
    assert messages_of(USER, Message.assistant([TextPart(text="")])) == messages_of(USER)


def test_options() -> None:
    body = sent(
        temperature=0.5,
        top_p=0.9,
        max_tokens=7,
        stop=("a", "b"),
        seed=3,
        tools=(WEATHER,),
        tool_choice="weather",
        metadata={"k": "v"},
        extra={"n": 2, "top_p": None, "tools": [{"type": "custom", "custom": {"name": "c"}}]},
    )
    assert body == {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "hello"}],
        "temperature": 0.5,
        "max_tokens": 7,
        "stop": ["a", "b"],
        "seed": 3,
        "metadata": {"k": "v"},
        "n": 2,
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "weather",
                    "description": "Look it up",
                    "parameters": WEATHER.input_schema,
                },
            },
            {"type": "custom", "custom": {"name": "c"}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
    }


def test_a_stream_asks_for_usage_and_extra_is_merged_into_it() -> None:
    body = sent(stream=True, extra={"stream_options": {"include_obfuscation": False}})
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True, "include_obfuscation": False}
    assert "stream_options" not in sent(stream=True, extra={"stream_options": None})


@pytest.mark.parametrize("name", ["messages", "stream"])
def test_extra_cannot_take_the_place_of_the_request(name: str) -> None:
    with pytest.raises(InvalidInput, match=name):
        sent(extra={name: []})


@pytest.mark.parametrize(
    ("choice", "wanted"), [("auto", "auto"), ("required", "required"), ("none", "none"), (None, None)]
)
def test_tool_choice(choice: str | None, wanted: str | None) -> None:
    assert sent(tools=(WEATHER,), tool_choice=choice).get("tool_choice") == wanted


def test_tool_choice_without_tools() -> None:
    assert "tool_choice" not in sent(tool_choice="auto")
    for choice in ("required", "weather"):
        with pytest.raises(InvalidInput, match="tool_choice"):
            sent(tool_choice=choice)
    with pytest.raises(InvalidInput, match="tool_choice"):
        sent(tools=(WEATHER,), tool_choice="whether")


@pytest.mark.parametrize(
    ("model", "field"),
    [
        ("gpt-4o", "max_tokens"),
        ("gpt-5-mini", "max_completion_tokens"),
        ("o1", "max_completion_tokens"),
        ("o3-mini", "max_completion_tokens"),
        ("o4-mini-2025-04-16", "max_completion_tokens"),
        ("ft:o4-mini:acme::id", "max_completion_tokens"),
        ("openai/gpt-5", "max_completion_tokens"),
        ("gpt-6.1-sol", "max_completion_tokens"),
        ("gpt-10", "max_completion_tokens"),
        ("gpt-4.1", "max_tokens"),
        ("gpt-oss-120b", "max_tokens"),
        ("olmo-7b", "max_tokens"),
    ],
)
def test_the_limit_has_two_names(model: str, field: str) -> None:
    assert sent(model=model, max_tokens=9)[field] == 9
    forced = OpenAI("x", "k", max_tokens_field="max_tokens")
    assert sent(provider=forced, model=model, max_tokens=9)["max_tokens"] == 9


def content(*parts: Any) -> list[Any]:
    blocks: list[Any] = messages_of(Message.user(parts))[0]["content"]
    return blocks


def test_how_closely_to_look_at_an_image() -> None:
    near = ImagePart(mime="image/png", data_b64=PIXEL, detail="high")
    far = ImageUrlPart(url="https://x/y.png", detail="low")
    assert [block["image_url"].get("detail") for block in content(near, far)] == ["high", "low"]


@pytest.mark.parametrize(
    ("mime", "form"),
    [
        ("audio/wav", "wav"),
        ("audio/wave", "wav"),
        ("audio/x-wav", "wav"),
        ("audio/vnd.wave", "wav"),
        ("audio/mpeg", "mp3"),
        ("audio/mp3", "mp3"),
    ],
)
def test_sound(mime: str, form: str) -> None:
    assert content(AudioPart(mime=mime, data_b64=PIXEL)) == [
        {"type": "input_audio", "input_audio": {"data": PIXEL, "format": form}}
    ]


@pytest.mark.parametrize(
    ("document", "blocks"),
    [
        (
            DocumentPart(data_b64=PIXEL),
            [
                {
                    "type": "file",
                    "file": {
                        "filename": "document.pdf",
                        "file_data": f"data:application/pdf;base64,{PIXEL}",
                    },
                }
            ],
        ),
        (
            DocumentPart(data_b64=PIXEL, mime="text/csv", title="a.csv", context="sales"),
            [
                {"type": "text", "text": "sales"},
                {"type": "file", "file": {"filename": "a.csv", "file_data": f"data:text/csv;base64,{PIXEL}"}},
            ],
        ),
        (DocumentPart(file_id="f1"), [{"type": "file", "file": {"file_id": "f1"}}]),
        (
            DocumentPart(text="all", title="T", context="C", mime="text/plain"),
            [{"type": "text", "text": "T\n\nC\n\nall"}],
        ),
    ],
)
def test_documents(document: DocumentPart, blocks: list[Any]) -> None:
    assert content(document) == blocks


@pytest.mark.parametrize(
    ("part", "named"),
    [
        (AudioPart(mime="audio/flac", data_b64=PIXEL), "audio"),
        (AudioPart(mime="audio/wav", url="https://x/y.wav"), "url_prefetch"),
        (DocumentPart(url="https://x/y.pdf"), "url_prefetch"),
        (DocumentPart(data_b64=PIXEL, citations=True), "citations"),
        (DocumentPart(file_id="f", title="t"), "title"),
        (ContentPart.video("https://x/y.mp4"), "video"),
        (OpaquePart(replay=Replay(vendor="anthropic", data={"type": "x"})), "opaque"),
    ],
)
def test_what_a_user_cannot_send(part: Any, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        content(part)


def test_a_block_written_by_hand_goes_as_it_is() -> None:
    block = {"type": "text", "text": "x", "prompt_cache_breakpoint": {}}
    assert content(OpaquePart(replay=Replay(vendor="openai", data=block))) == [block]


def test_what_the_model_said_aloud_goes_back_by_its_id_or_in_its_words() -> None:
    ours = AudioPart(
        mime="audio/wav", data_b64=PIXEL, transcript="t", replay=Replay(vendor="openai", data={"id": "a1"})
    )
    theirs = AudioPart(mime="audio/wav", data_b64=PIXEL, transcript="t")
    assert messages_of(USER, Message.assistant([ours]))[1]["audio"] == {"id": "a1"}
    assert messages_of(USER, Message.assistant([theirs]))[1] == {"role": "assistant", "content": "t"}
    with pytest.raises(InvalidInput, match="audio"):
        messages_of(USER, Message.assistant([AudioPart(mime="audio/wav", data_b64=PIXEL)]))


def test_media_in_results_come_after_the_results_in_the_messages_that_follow() -> None:
    image = ContentPart.image(PIXEL)
    results = [
        ContentPart.tool_result("1", None, name="look", content=[image]),
        ContentPart.tool_result("2", "b"),
        ContentPart.tool_result("3", "c", content=[image]),
    ]
    apart = messages_of(*[Message.tool([result]) for result in results], USER)
    assert apart == messages_of(Message.tool(results), USER)
    assert [message["role"] for message in apart] == ["tool", "tool", "tool", "user", "user"]


def test_media_in_results_come_after_all_results_of_the_message() -> None:
    image = ContentPart.image(PIXEL)
    results = [
        ContentPart.tool_result("1", None, name="look", content=[ContentPart.text("a"), image]),
        ContentPart.tool_result("2", "b", content=[image], is_error=True),
        ContentPart.tool_result("3", {"seen": 1}),
    ]
    block = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    assert messages_of(Message.tool(results)) == [
        {"role": "tool", "tool_call_id": "1", "content": "a"},
        {"role": "tool", "tool_call_id": "2", "content": "Error: See the message after the results."},
        {"role": "tool", "tool_call_id": "3", "content": '{"seen":1}'},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What look returned for call 1:"},
                block,
                {"type": "text", "text": "What the tool returned for call 2:"},
                block,
            ],
        },
    ]


def test_every_setting_has_its_field() -> None:
    body = sent(
        tools=(ToolSchema(name="f", description="d", input_schema={}, strict=True),),
        parallel_tool_calls=False,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        n=2,
        top_logprobs=3,
        thinking=Thinking(effort="low"),
        extra={"service_tier": "flex", "prediction": {"type": "content", "content": "x"}},
    )
    function = {"name": "f", "description": "d", "parameters": {}, "strict": True}
    assert body["tools"] == [{"type": "function", "function": function}]
    del body["tools"], body["messages"], body["model"]
    assert body == {
        "parallel_tool_calls": False,
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        "n": 2,
        "logprobs": True,
        "top_logprobs": 3,
        "reasoning_effort": "low",
        "service_tier": "flex",
        "prediction": {"type": "content", "content": "x"},
    }
    assert "top_logprobs" not in sent(top_logprobs=0)
    assert sent(top_logprobs=0)["logprobs"] is True
    assert sent(thinking=Thinking(enabled=False))["reasoning_effort"] == "none"
    assert "reasoning_effort" not in sent(thinking=Thinking())
    assert "parallel_tool_calls" not in sent(parallel_tool_calls=False)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"top_k": 3}, "top_k"),
        ({"thinking": Thinking(budget_tokens=9)}, "budget_tokens"),
        ({"thinking": Thinking(summary="auto")}, "summary"),
    ],
)
def test_what_openai_cannot_be_asked(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        sent(**fields)


def test_a_custom_tool_can_be_chosen() -> None:
    tools = [{"type": "custom", "custom": {"name": "c"}}]
    body = sent(extra={"tools": tools}, tool_choice="c")
    assert body["tool_choice"] == {"type": "custom", "custom": {"name": "c"}}
    chat = library("openai.types.chat")
    check(chat.ChatCompletionToolChoiceOptionParam, body["tool_choice"])


TAKEN = tuple(kind for kind in strategies.MEDIA if kind not in ("video", "document_url"))


@given(strategies.conversations(media=TAKEN, result_media=TAKEN))
def test_the_vendors_library_takes_every_conversation(messages: list[Message]) -> None:
    chat = library("openai.types.chat")
    body = sent(*messages, tools=(WEATHER,))
    waiting: list[str] = []
    for message in body["messages"]:
        check(chat.ChatCompletionMessageParam, message)
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
        else:
            assert not waiting, "somebody speaks before all calls have their results"
            waiting = [call["id"] for call in message.get("tool_calls", ())]
    assert not waiting


class Closed(BaseModel, extra="forbid"):
    city: str
    temperature: float | None
    tags: list[str]


class WithDefault(Closed):
    wind: int = 0


def properties(**schemas: Any) -> dict[str, Any]:
    return {"type": "object", "properties": schemas, "required": [*schemas], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (Closed.model_json_schema(), True),
        (WithDefault.model_json_schema(), False),
        (properties(x={"$ref": "#/$defs/y"}) | {"$defs": {"y": {"type": "string"}}}, True),
        (
            properties(x={"$ref": "#/$defs/y", "description": "d"}) | {"$defs": {"y": {"type": "string"}}},
            False,
        ),
        (properties(x={"type": "string"}) | {"$defs": {"y": {"type": "object"}}}, False),
        (properties(x={"enum": ["a", "b"]}), True),
        (properties(x={"type": "integer", "minimum": 1}), True),
        (properties(x={"type": "string", "minLength": 1}), False),
        (properties(x={"type": "string", "format": "uri"}), False),
        (properties(x={}), False),
        (properties(x={"type": "array"}), False),
        (properties(x={"type": "object"}), False),
        (properties(x=properties()), True),
        ({"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}, False),
        (properties(x={"type": "string"}) | {"required": []}, False),
        ({"anyOf": [properties()]}, False),
        ({"type": "array", "items": {"type": "string"}}, False),
        ({"type": "object", "properties": [], "required": 7, "additionalProperties": False}, False),
    ],
)
def test_a_schema_is_strict_only_where_the_vendor_takes_it(schema: dict[str, Any], strict: bool) -> None:
    given = sent(output_schema=schema)["response_format"]
    assert given["type"] == "json_schema"
    assert given["json_schema"]["strict"] is strict
    assert given["json_schema"]["schema"] == schema


def test_strict_agrees_with_the_vendors_library() -> None:
    """What the library makes strict of a model, we take as strict."""
    strictly = library("openai.lib._pydantic").to_strict_json_schema
    assert sent(output_schema=strictly(Closed))["response_format"]["json_schema"]["strict"] is True


def test_the_name_of_a_schema() -> None:
    assert (
        sent(output_schema={"title": "Wetter für 2"})["response_format"]["json_schema"]["name"]
        == "Wetter_f_r_2"
    )
    assert sent(output_schema={})["response_format"]["json_schema"]["name"] == "output"


def test_a_message_is_encoded_once() -> None:
    sent(USER)
    kept = USER.encoded(OPENAI, lambda message: pytest.fail("it was not kept"))
    assert from_json(kept) == {"role": "user", "content": "hello"}
    assert from_json(USER.encoded("another", lambda message: b"7")) == 7
    assert messages_of(USER) == [{"role": "user", "content": "hello"}]


def test_numbers_that_are_no_json_do_not_break_the_body() -> None:
    call = Message.assistant([ContentPart.tool_call("1", "f", {"x": float("nan")})])
    assert messages_of(call)[0]["tool_calls"][0]["function"]["arguments"] == '{"x":"NaN"}'


def test_the_vendors_library_takes_our_requests() -> None:
    chat = library("openai.types.chat")
    body = sent(
        Message.system("s"),
        Message.user([ContentPart.text("u"), ContentPart.image(PIXEL)]),
        Message.assistant([ContentPart.text("a"), ContentPart.tool_call("1", "weather", {"city": "Bonn"})]),
        Message.tool([ContentPart.tool_result("1", {"t": 7})]),
        Message.assistant(
            [
                ToolCallPart(
                    id="2", name="f", args="x", replay=Replay(vendor="openai", data={"type": "custom"})
                )
            ]
        ),
        tools=(WEATHER,),
        tool_choice="weather",
        output_schema=Closed.model_json_schema(),
        stop=("x",),
        stream=True,
    )
    for message in body["messages"]:
        check(chat.ChatCompletionMessageParam, message)
    for tool in body["tools"]:
        check(chat.ChatCompletionToolUnionParam, tool)
    check(chat.ChatCompletionToolChoiceOptionParam, body["tool_choice"])
    check(chat.ChatCompletionStreamOptionsParam, body["stream_options"])
    formats = library("openai.types.shared_params")
    check(formats.ResponseFormatJSONSchema, body["response_format"])
    known = chat.completion_create_params.CompletionCreateParamsStreaming.__annotations__
    base = chat.completion_create_params.CompletionCreateParamsBase.__annotations__
    assert body.keys() <= known.keys() | base.keys()
