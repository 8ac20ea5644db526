"""HttpGeneric: what its constructor takes, and what its templates become."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from pydantic_core import from_json

from tako.effects import HttpRequest
from tako.errors import InvalidInput
from tako.models import (
    Capabilities,
    ChatRequest,
    ContentPart,
    Message,
    OpaquePart,
    Replay,
    Thinking,
    ThinkingPart,
    ToolSchema,
)
from tako.providers import HttpGeneric, OpenAI
from tako.providers.http_generic import ResponseConfig, StreamConfig
from tako.providers.http_generic.values import FORMATS
from tako.testing import Answer, ScriptedVendor, Simulator, strategies

URL = "https://parrot.test/v1/talk"
SSE = {"kind": "openai_sse"}
TOOL = ToolSchema(name="look", description="Look", input_schema={"type": "object", "properties": {}})
READS_CALLS = {"tool_calls_pointer": "/calls"}


def generic(template: Any = '"{{ messages }}"', **options: Any) -> HttpGeneric:
    given = {"id": "parrot:1", "model": "p-1", "url": URL, "pointer": "/text", **options}
    id, model, url, pointer = (given.pop(name) for name in ("id", "model", "url", "pointer"))
    return HttpGeneric(id, model, url, template, pointer, **given)


def http(provider: HttpGeneric, *messages: Message, stream: bool = False, **fields: Any) -> HttpRequest:
    request = ChatRequest(messages=messages or (Message.user("hello"),), **fields)
    return provider.http_request(request, stream=stream)


def sent(template: Any, *messages: Message, stream: bool = False, **fields: Any) -> Any:
    options = {"stream_config": SSE} if stream else {}
    provider = generic(template, response_config=READS_CALLS, **options)
    return from_json(http(provider, *messages, stream=stream, **fields).body)


def complaint(**options: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        generic(**options)
    assert caught.value.message.startswith("HttpGeneric: ")
    return caught.value.message


# The constructor.


@pytest.mark.parametrize("name", ["id", "model", "url"])
@pytest.mark.parametrize("value", ["", " ", None])
def test_id_model_and_url_are_required(name: str, value: Any) -> None:
    assert "id, model, url are required" in complaint(**{name: value})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stream_config": {"kind": "grpc"}}, "invalid stream_config: "),
        ({"stream_config": {}}, "invalid stream_config: "),
        ({"stream_config": {"kind": "ndjson"}}, "content_pointer: Field required"),
        ({"stream_config": {"kind": "ndjson", "content_pointer": "/a"}}, "finish_reason_pointer"),
        ({"stream_config": {**SSE, "content_pointer": "a"}}, "should be a JSON pointer"),
        ({"stream_config": {**SSE, "content_point": "/a"}}, "content_point"),
        (
            {
                "stream_config": {
                    "kind": "ndjson", "content_pointer": "/a", "finish_reason_pointer": "/b", "end": "done",
                }
            },
            "ndjson has no mark",
        ),
        ({"stream_config": "sse"}, "invalid stream_config should be a dict"),
        ({"stream_config": {3: 4}}, "keywords must be strings"),
        ({"response_config": {"usage_pointer": "/~2"}}, "invalid response_config: usage_pointer"),
        ({"response_config": {"usage_pointers": {"tokens": "/x"}}}, "usage_pointers"),
        ({"pointer": "text"}, "response_text_pointer should be a JSON pointer"),
        ({"error_message_pointer": "x"}, "error_message_pointer should be a JSON pointer"),
        ({"error_code_pointer": "x"}, "error_code_pointer should be a JSON pointer"),
        ({"finish_reasons": {"x": "done"}}, "finish_reasons['x'] should be one of"),
        ({"url": "parrot.test/x"}, "url should look like"),
        ({"url": "ftp://parrot.test/x"}, "url should look like"),
        ({"url": "https://{{ model }}.test/"}, "url should look like"),
        ({"url": "https://parrot.test/{{ system }}"}, "url: unknown placeholder 'system'"),
        ({"template": "{not json"}, "body_template is text, but no JSON"),
        ({"template": {"a": ["{{ modle }}"]}}, "body_template.a[0]: unknown placeholder 'modle' (did"),
        ({"template": {"a": "{{ model | openai }}"}}, "model has the formats tako, not 'openai'"),
        ({"template": {"a": "{{ model"}}, "a placeholder is not closed"),
        ({"template": {"a": "{{ }}"}}, "unknown placeholder ''"),
        ({"template": {"a": object()}}, "body_template.a should be JSON, not object"),
        ({"timeout_secs": 0}, "timeout_secs"),
        ({"headers": [("x", "$NOT_SET_ANYWHERE")]}, "environment variable `NOT_SET_ANYWHERE` is not set"),
        ({"headers": [("x", 3)]}, "headers['x'] should be text or a function, not int"),
        ({"headers": [("no name", lambda: "x")]}, "headers should be pairs of a header name"),
        ({"headers": [("x y", "v")]}, "headers should be pairs"),
        ({"headers": [("x", "a\nb")]}, "headers should be pairs"),
        ({"headers": ["x"]}, "headers should be pairs"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named(options: dict[str, Any], words: str) -> None:
    assert words in complaint(**options)


def test_the_face_of_the_original() -> None:
    provider = generic(timeout_secs=7, headers=[("X-A", "1")])
    assert (provider.id, provider.model, provider.supports_streaming) == ("parrot:1", "p-1", False)
    assert provider.capabilities == Capabilities(max_context_tokens=32_000)
    message = http(provider)
    assert (message.method, message.url, message.read_timeout) == ("POST", URL, 7.0)
    assert dict(message.headers) == {
        "content-type": "application/json",
        "accept": "application/json",
        "x-a": "1",
    }
    streaming = generic(
        stream_config=StreamConfig(kind="openai_sse", content_pointer="/x", finish_reason_pointer="/y")
    )
    assert streaming.supports_streaming and streaming.capabilities.supports_streaming
    assert dict(http(streaming, stream=True).headers)["accept"] == "text/event-stream"


def test_capabilities_follow_from_the_template_and_the_pointers() -> None:
    template = {"t": "{{ tools }}", "s": "{{ output_schema }}"}
    both = generic(template, response_config=ResponseConfig(tool_calls_pointer="/c"), stream_config=SSE)
    assert both.capabilities.supports_tools and both.capabilities.supports_json_mode
    assert not generic(template).capabilities.supports_tools
    assert not generic(response_config=READS_CALLS).capabilities.supports_tools
    assert generic(capabilities=Capabilities(supports_vision=True)).capabilities.supports_vision


def test_the_model_may_stand_in_the_address() -> None:
    provider = generic({"x": "{{ prompt }}"}, url="https://h.test/models/{{ model }}:run?v=1", model="a/b c")
    assert http(provider).url == "https://h.test/models/a%2Fb%20c:run?v=1"
    assert http(provider, model="z").url == "https://h.test/models/z:run?v=1"


# Headers.


def test_variables_of_any_name_anywhere_in_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY2", "two")
    monkeypatch.setenv("lower_case", "low")
    headers = [
        ("a", "$KEY2"),
        ("b", "Bearer $lower_case"),
        ("c", "$ENV:KEY2"),
        ("d", "k=$KEY2;$lower_case"),
        ("e", "$$KEY2 $5"),
    ]
    found = dict(http(generic({"p": "{{ prompt }}"}, headers=headers)).headers)
    assert [found[name] for name in "abcde"] == ["two", "Bearer low", "two", "k=two;low", "$KEY2 $5"]


def test_a_function_is_asked_for_its_header_before_each_request() -> None:
    tokens = iter(("first", "second"))

    async def token() -> str:
        return f"Bearer {next(tokens)}"

    vendor = ScriptedVendor(Answer.json('{"text": "hi"}'))
    provider = generic({"p": "{{ prompt }}"}, headers={"Authorization": token, "x": "1"})
    for _ in range(2):
        Simulator(vendor=vendor).run(provider.chat_flow(ChatRequest(messages=[Message.user("x")])))
    assert [request.header("authorization") for request in vendor.requests] == [
        "Bearer first",
        "Bearer second",
    ]
    assert [request.header("x") for request in vendor.requests] == ["1", "1"]


def test_what_a_function_returns_is_checked_and_not_shown() -> None:
    for value in ("", None, "secret\n"):
        provider = generic({"p": "{{ prompt }}"}, headers=[("k", lambda value=value: value)])
        with pytest.raises(InvalidInput, match=r"headers\['k'\]") as caught:
            Simulator(vendor=ScriptedVendor(Answer())).run(
                provider.chat_flow(ChatRequest(messages=[Message.user("x")]))
            )
        assert "secret" not in str(caught.value) and "secret" not in repr(provider)


# Templates.


def test_a_value_takes_the_place_of_its_placeholder() -> None:
    template = {
        "m": "{{ model }}",
        "t": "{{temperature}}",
        "inner": {"k": "{{ top_k }}", "list": ["{{ max_tokens }}", "{{ seed }}", 1, None]},
        "text": "T={{ temperature }} S={{ stop }} N={{ seed }}.",
        "p": "{{ prompt }}",
        "null": None,
        "literal": '{{ "{{" }} and }}',
        "stop": "{{ stop }}",
        "metadata": "{{ metadata }}",
        "penalties": ["{{ presence_penalty }}", "{{ frequency_penalty }}", "{{ top_p }}"],
        "parallel": "{{ parallel_tool_calls }}",
    }
    fields = {"temperature": 0.5, "max_tokens": 9, "stop": ("a", "b"), "top_k": 3}
    more = {"metadata": {"u": "1"}, "presence_penalty": 0.0, "frequency_penalty": 1.0, "top_p": 0.9}
    assert sent(template, **fields, **more, parallel_tool_calls=False) == {
        "m": "p-1",
        "t": 0.5,
        "inner": {"k": 3, "list": [9, 1, None]},
        "text": 'T=0.5 S=["a","b"] N=.',
        "p": "hello",
        "null": None,
        "literal": "{{ and }}",
        "stop": ["a", "b"],
        "metadata": {"u": "1"},
        "penalties": [0.0, 1.0, 0.9],
        "parallel": False,
    }
    empty = sent(template)
    assert empty["inner"] == {"list": [1, None]} and empty["penalties"] == []
    assert not {"t", "stop", "metadata", "parallel"} & empty.keys()


def test_a_template_may_be_text_and_its_root_a_placeholder() -> None:
    assert sent('{"q": "{{ prompt }}"}') == {"q": "hello"}
    assert sent('"{{ prompt }}"') == "hello"
    assert sent('["{{ prompt }}", 1]') == ["hello", 1]


def test_what_stands_in_a_request_is_never_read_as_a_template() -> None:
    assert sent({"p": "{{ prompt }}"}, Message.user("{{ model }}")) == {"p": "{{ model }}"}


SYSTEM = Message.system("Be brief")
TALK = (SYSTEM, Message.user("hi"), Message.assistant("yes?"), Message.user("go"))


def test_a_conversation_as_text() -> None:
    template = {"s": "{{ system }}", "p": "{{ prompt }}"}
    assert sent(template) == {"p": "hello"}
    assert sent(template, SYSTEM, Message.system("Or not"), Message.user("hi")) == {
        "s": "Be brief\n\nOr not",
        "p": "hi",
    }
    assert sent(template, *TALK)["p"] == "User: hi\n\nAssistant: yes?\n\nUser: go\n\nAssistant:"
    assert sent(template, *TALK[:-1])["p"] == "User: hi\n\nAssistant: yes?"
    private = Message.assistant([ThinkingPart(text="hm"), ContentPart.text("yes")])
    assert "hm" not in sent(template, Message.user("hi"), private)["p"]
    with pytest.raises(InvalidInput, match="a user message cannot hold a part of type 'image'"):
        sent(template, Message.user([ContentPart.image(b"x")]))


REPLAY = Replay(vendor="anthropic", data={"signature": "secret"})
RICH = (
    Message.system("s"),
    Message.user([ContentPart.text("look"), ContentPart.image(b"x")]),
    Message.assistant(
        [
            ThinkingPart(text="private", replay=REPLAY),
            OpaquePart(replay=REPLAY),
            ContentPart(type="tool_call", id="c1", name="look", args={"a": None}, replay=REPLAY),
        ]
    ),
    Message.tool([ContentPart.tool_result("c1", None, name="look", content=[ContentPart.text("seen")])]),
)


def test_messages_in_the_shape_of_tako() -> None:
    found = sent({"m": "{{ messages }}"}, *RICH)["m"]
    assert found == [
        {"role": "system", "content": [{"type": "text", "text": "s"}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image", "mime": "image/png", "data_b64": "eA=="},
            ],
        },
        {
            "role": "assistant",
            "content": [{"type": "tool_call", "id": "c1", "name": "look", "args": {"a": None}}],
        },
        {
            "role": "tool",
            "content": [
                {
                    "type": "tool_result",
                    "id": "c1",
                    "name": "look",
                    "result": None,
                    "content": [{"type": "text", "text": "seen"}],
                    "is_error": False,
                }
            ],
        },
    ]
    assert [Message.model_validate(message).text for message in found] == ["s", "look", "", ""]


@pytest.mark.parametrize(
    "template", ["{{ messages }}", "{{ messages | openai }}", "{{ prompt }}", "{{ request }}"]
)
def test_a_block_of_another_vendor_in_a_users_message_is_refused(template: str) -> None:
    opaque = OpaquePart(replay=Replay(vendor="anthropic", data={}))
    with pytest.raises(InvalidInput, match=r"opaque|own"):
        sent({"m": template}, Message.user([opaque]))
    if template != "{{ prompt }}":
        with pytest.raises(InvalidInput, match=r"opaque|own"):
            result = ContentPart.tool_result("1", None, content=[opaque])
            sent({"m": template}, Message.user("x"), Message.tool([result]))


@given(strategies.conversations())
def test_the_openai_format_is_what_openai_is_sent(messages: list[Message]) -> None:
    provider = OpenAI("p-1", "k", max_tokens_field="max_tokens")
    choice = {"tools": (TOOL,), "tool_choice": "look", "output_schema": {"type": "object"}, "max_tokens": 5}
    wanted = from_json(provider.http_request(ChatRequest(messages=messages, **choice), stream=True).body)
    template = {
        "model": "{{ model }}",
        "messages": "{{ messages | openai }}",
        "tools": "{{ tools | openai }}",
        "tool_choice": "{{ tool_choice | openai }}",
        "response_format": "{{ output_schema | openai }}",
        "max_tokens": "{{ max_tokens }}",
        "stream": "{{ stream }}",
        "stream_options": {"include_usage": "{{ stream }}"},
    }
    assert sent(template, *messages, stream=True, **choice) == wanted
    assert sent('"{{ request | openai }}"', *messages, stream=True, **choice) == wanted


def test_turns_are_the_messages_without_the_system() -> None:
    template = {"system": "{{ system }}", "turns": "{{ turns | openai }}", "ours": "{{ turns }}"}
    found = sent(template, *TALK)
    assert [message["role"] for message in found["turns"]] == ["user", "assistant", "user"]
    assert [message["role"] for message in found["ours"]] == ["user", "assistant", "user"]
    assert found["turns"][0] == {"role": "user", "content": "hi"}


def test_the_whole_request_in_the_shape_of_tako() -> None:
    found = sent(
        {"r": "{{ request }}"},
        stream=True,
        temperature=0.0,
        tools=[TOOL],
        tool_choice="look",
        thinking=Thinking(effort="low"),
    )
    assert found["r"] == {
        "model": "p-1",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}],
        "stream": True,
        "temperature": 0.0,
        "tools": [{"name": "look", "description": "Look", "input_schema": TOOL.input_schema}],
        "tool_choice": "look",
        "thinking": {"enabled": True, "effort": "low"},
    }


def test_extra_is_merged_into_the_body_last() -> None:
    template = {"p": "{{ prompt }}", "o": {"a": 1}, "x": 1}
    assert sent(template, extra={"o": {"b": 2}, "x": None, "y": 3}) == {
        "p": "hello",
        "o": {"a": 1, "b": 2},
        "y": 3,
    }
    with pytest.raises(InvalidInput, match="no object"):
        sent('"{{ prompt }}"', extra={"y": 3})


# What the template has no place for.

SETTINGS: dict[str, dict[str, Any]] = {
    "model": {"model": "other"},
    "tools": {"tools": (TOOL,)},
    "temperature": {"temperature": 0.0},
    "top_p": {"top_p": 0.5},
    "top_k": {"top_k": 1},
    "presence_penalty": {"presence_penalty": 0.0},
    "frequency_penalty": {"frequency_penalty": 0.0},
    "max_tokens": {"max_tokens": 1},
    "stop": {"stop": ("x",)},
    "seed": {"seed": 0},
    "thinking": {"thinking": Thinking(summary="auto")},
    "thinking_effort": {"thinking": Thinking(effort="low")},
    "thinking_budget_tokens": {"thinking": Thinking(budget_tokens=1)},
    "parallel_tool_calls": {"parallel_tool_calls": False},
    "output_schema": {"output_schema": {"type": "object"}},
    "metadata": {"metadata": {"a": "b"}},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_set_has_a_place_or_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=rf"the request sets {name}, .*\{{\{{ {name} \}}\}}"):
        sent({"p": "{{ prompt }}"}, **SETTINGS[name])
    assert "x" in sent({"p": "{{ prompt }}", "x": f"{{{{ {name} }}}}"}, **SETTINGS[name])


def test_no_field_of_a_request_is_forgotten() -> None:
    # `stream` is for functions, `extra` is merged; the other two are refused below.
    fields = set(ChatRequest.model_fields) - {"stream", "extra", "n", "top_logprobs"}
    assert fields <= {*SETTINGS, "messages", "tool_choice"}
    assert fields <= set(FORMATS)


def test_a_conversation_without_a_place_is_refused() -> None:
    with pytest.raises(InvalidInput, match="sets system"):
        sent({"p": "{{ prompt }}"}, *TALK)
    with pytest.raises(InvalidInput, match="sets messages"):
        sent({"s": "{{ system }}"}, *TALK)
    with pytest.raises(InvalidInput, match="nothing to send"):
        generic({"m": "{{ messages }}"}).http_request(ChatRequest(messages=()), stream=False)


def test_a_choice_of_tools_has_a_place_or_is_refused() -> None:
    template = {"p": "{{ prompt }}", "t": "{{ tools }}"}
    for choice in ("required", "none", "look"):
        with pytest.raises(InvalidInput, match="sets tool_choice"):
            sent(template, tools=[TOOL], tool_choice=choice)
        assert sent({**template, "c": "{{ tool_choice }}"}, tools=[TOOL], tool_choice=choice)["c"] == choice
    assert "c" not in sent({**template, "c": "{{ tool_choice }}"}, tool_choice="none")
    with pytest.raises(InvalidInput, match="tool_choice"):
        sent({**template, "c": "{{ tool_choice }}"}, tools=[TOOL], tool_choice="unknown")


def test_what_could_not_be_read_is_not_asked_for() -> None:
    template = {"r": "{{ request }}"}
    assert sent(template, n=1)
    for fields in ({"n": 2}, {"top_logprobs": 0}):
        with pytest.raises(InvalidInput, match="cannot be asked"):
            sent(template, **fields)
    with pytest.raises(InvalidInput, match="response_config has no tool_calls_pointer"):
        http(generic(template), tools=[TOOL])
    deaf = generic(template, stream_config={**SSE, "tool_calls_pointer": None})
    with pytest.raises(InvalidInput, match="stream_config has no tool_calls_pointer"):
        http(deaf, tools=[TOOL], stream=True)
    with pytest.raises(InvalidInput, match="no stream_config"):
        http(generic(template), stream=True)


def test_what_json_cannot_hold_is_refused() -> None:
    call = ContentPart.tool_call("1", "look", {"a": object()})
    with pytest.raises(InvalidInput, match="JSON"):
        sent({"m": "{{ messages }}"}, Message.assistant([call]))
    assert json.dumps(
        sent({"m": "{{ messages }}"}, Message.assistant([ContentPart.tool_call("1", "f", float("nan"))]))
    )
