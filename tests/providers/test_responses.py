"""OpenAIResponses: what its constructor takes, and what goes to the vendor."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given
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
    Message,
    OpaquePart,
    Part,
    Replay,
    TextPart,
    Thinking,
    ThinkingPart,
    ToolCallPart,
    ToolSchema,
)
from tako.parts import ImageUrlPart
from tako.providers import OpenAIResponses
from tako.testing import strategies
from tests.support.vendor_types import check, library, plain

USER = Message.user("hello")
PIXEL = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = ToolSchema(
    name="weather", description="Look it up", input_schema=SCHEMA, cache_control=CacheControl()
)
TAKEN = ("image", "image_url", "document", "document_text", "document_url")


def sent(
    *messages: Message, provider: OpenAIResponses | None = None, stream: bool = False, **fields: Any
) -> dict[str, Any]:
    request = ChatRequest(messages=messages or (USER,), **fields)
    body = (provider or OpenAIResponses("gpt-5", "k")).http_request(request, stream=stream).body
    decoded: dict[str, Any] = from_json(body)
    return decoded


def items(*messages: Message, **options: Any) -> list[Any]:
    listed: list[Any] = sent(*messages, provider=OpenAIResponses("gpt-5", "k", **options))["input"]
    return listed


def content(*parts: Any) -> Any:
    return items(Message.user(parts))[0]["content"]


def ours(data: dict[str, Any], vendor: str = "openai.responses") -> Replay:
    return Replay(vendor=vendor, data=data)


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.openai.com", "https://api.openai.com/v1/responses"),
        ("https://api.x.ai/v1/", "https://api.x.ai/v1/responses"),
        ("https://api.deepseek.com/responses", "https://api.deepseek.com/responses"),
    ],
)
def test_the_address_is_never_doubled(base_url: str, url: str) -> None:
    provider = OpenAIResponses("m", "k", base_url=base_url)
    assert provider.http_request(ChatRequest(messages=(USER,)), stream=False).url == url


def test_the_head_of_a_request() -> None:
    provider = OpenAIResponses("m", "sk-1", organization="o", project="p", headers={"X-Mine": "1"})
    assert dict(provider.http_request(ChatRequest(messages=(USER,)), stream=True).headers) == {
        "content-type": "application/json",
        "authorization": "Bearer sk-1",
        "openai-organization": "o",
        "openai-project": "p",
        "accept": "text/event-stream",
        "x-mine": "1",
    }
    assert "sk-1" not in repr(provider)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"model": ""}, "model"),
        ({"base_url": "x"}, "base_url"),
        ({"organization": ""}, "organization"),
        ({"project": "a\nb"}, "project"),
        ({"store": "yes"}, "store"),
        ({"reasoning_effort": ""}, "reasoning_effort"),
        ({"reasoning_summary": "long"}, "reasoning_summary"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        OpenAIResponses(**{"model": "m", "api_key": "k", **wrong})


def test_a_request_with_nothing_special() -> None:
    assert sent() == {
        "model": "gpt-5",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "input": [{"type": "message", "role": "user", "content": "hello"}],
    }
    assert sent(model="other", stream=True)["model"] == "other"
    assert sent(stream=True)["stream"] is True


def test_what_is_stored_needs_no_encrypted_reasoning() -> None:
    body = sent(provider=OpenAIResponses("m", "k", store=True))
    assert body["store"] is True
    assert "include" not in body
    assert "include" not in sent(extra={"store": True})


@pytest.mark.parametrize(
    ("model", "thinks"),
    [
        ("gpt-4o-mini", False),
        ("gpt-4.1-2025-04-14", False),
        ("ft:gpt-4o:us::1", False),
        ("gpt-3.5-turbo", False),
        ("chatgpt-4o-latest", False),
        ("gpt-5.3-chat-latest", False),
        ("gpt-5.3", True),
        ("o4-mini", True),
        ("openai/gpt-oss-20b", True),
        ("mine", True),
    ],
)
def test_a_model_that_never_thinks_is_not_asked_for_its_thoughts(model: str, thinks: bool) -> None:
    assert sent(model=model).get("include") == (["reasoning.encrypted_content"] if thinks else None)


def test_system_messages_at_the_beginning_are_instructions() -> None:
    body = sent(Message.system("a"), Message.system("b"), USER, Message.system("c"))
    assert body["instructions"] == "a\n\nb"
    assert body["input"][1] == {"type": "message", "role": "system", "content": "c"}
    with pytest.raises(InvalidInput, match="instructions"):
        sent(Message.system("a"), USER, extra={"instructions": "b"})
    assert sent(USER, extra={"instructions": "b"})["instructions"] == "b"


def test_a_conversation_that_the_vendor_keeps_needs_no_messages() -> None:
    with pytest.raises(InvalidInput, match="nothing to send"):
        sent(Message.system("a"))
    body = sent(Message.system("a"), extra={"previous_response_id": "resp_1"})
    assert (body["instructions"], body["previous_response_id"]) == ("a", "resp_1")
    assert "input" not in body
    result = Message.tool([ContentPart.tool_result("c1", "sunny")])
    assert sent(result, extra={"previous_response_id": "resp_1"})["input"] == [
        {"type": "function_call_output", "call_id": "c1", "output": "sunny"}
    ]


def test_options() -> None:
    body = sent(
        temperature=0.5,
        top_p=0.9,
        max_tokens=70,
        top_logprobs=2,
        n=1,
        parallel_tool_calls=False,
        metadata={"k": "v"},
        tools=(WEATHER,),
        extra={"text": {"verbosity": "low"}, "include": ["web_search_call.action.sources"], "top_p": None},
    )
    assert body == {
        "model": "gpt-5",
        "store": False,
        "input": [{"type": "message", "role": "user", "content": "hello"}],
        "temperature": 0.5,
        "max_output_tokens": 70,
        "top_logprobs": 2,
        "parallel_tool_calls": False,
        "metadata": {"k": "v"},
        "text": {"verbosity": "low"},
        "include": [
            "reasoning.encrypted_content",
            "message.output_text.logprobs",
            "web_search_call.action.sources",
        ],
        "tools": [
            {
                "type": "function",
                "name": "weather",
                "description": "Look it up",
                "parameters": SCHEMA,
                "strict": False,
            }
        ],
    }
    assert "include" not in sent(extra={"include": None})


@pytest.mark.parametrize(
    "field",
    [
        {"stop": ("x",)},
        {"seed": 1},
        {"n": 2},
        {"presence_penalty": 0.0},
        {"frequency_penalty": 1.0},
        {"top_k": 3},
        {"thinking": Thinking(budget_tokens=100)},
        {"extra": {"input": []}},
        {"extra": {"stream": True}},
    ],
)
def test_what_the_api_has_no_field_for(field: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        sent(**field)


@pytest.mark.parametrize(
    ("thinking", "reasoning"),
    [
        (None, {"effort": "low", "summary": "auto"}),
        (Thinking(effort="high"), {"effort": "high", "summary": "auto"}),
        (Thinking(summary="detailed"), {"effort": "low", "summary": "detailed"}),
        (Thinking(summary="none"), {"effort": "low"}),
        (Thinking(enabled=False), {"effort": "none"}),
    ],
)
def test_thinking(thinking: Thinking | None, reasoning: dict[str, str]) -> None:
    provider = OpenAIResponses("m", "k", reasoning_effort="low", reasoning_summary="auto")
    assert sent(provider=provider, thinking=thinking)["reasoning"] == reasoning
    assert "reasoning" not in sent(thinking=Thinking(summary="none"))


def test_an_output_schema_and_other_text_settings() -> None:
    closed = {**SCHEMA, "title": "City", "required": ["city"], "additionalProperties": False}
    text = sent(output_schema=closed, extra={"text": {"verbosity": "low"}})["text"]
    assert text == {
        "format": {"type": "json_schema", "name": "City", "schema": closed, "strict": True},
        "verbosity": "low",
    }
    assert sent(output_schema=SCHEMA)["text"]["format"]["strict"] is False


THEIRS = [
    {"type": "web_search"},
    {"type": "custom", "name": "grammar"},
    {"type": "mcp", "server_label": "docs"},
    {"type": "function", "name": "f", "parameters": {}, "strict": None},
]


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ("auto", "auto"),
        ("required", "required"),
        ("none", "none"),
        ("weather", {"type": "function", "name": "weather"}),
        ("grammar", {"type": "custom", "name": "grammar"}),
        ("f", {"type": "function", "name": "f"}),
        ("docs", {"type": "mcp", "server_label": "docs"}),
        ("web_search", {"type": "web_search"}),
    ],
)
def test_tool_choice(choice: str, wanted: Any) -> None:
    body = sent(tools=(WEATHER,), tool_choice=choice, extra={"tools": THEIRS})
    assert body["tool_choice"] == wanted
    assert [tool["type"] for tool in body["tools"]] == ["function", "web_search", "custom", "mcp", "function"]


def test_a_tool_that_is_not_there_cannot_be_chosen() -> None:
    for fields in ({}, {"tools": (WEATHER,)}, {"extra": {"tools": THEIRS}}):
        with pytest.raises(InvalidInput, match="tool_choice"):
            sent(tool_choice="unknown", **fields)
    assert "tool_choice" not in sent(tool_choice="auto")


def test_strict_tools() -> None:
    strict = WEATHER.model_copy(update={"strict": True, "description": ""})
    assert sent(tools=(strict,))["tools"] == [
        {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": True}
    ]


def test_what_a_user_sends() -> None:
    assert content(ContentPart.text("a")) == "a"
    assert content(
        ContentPart.text("a"),
        ContentPart.image(PIXEL),
        ImageUrlPart(url="https://x/y.png", detail="low"),
        OpaquePart(replay=ours({"type": "input_image", "file_id": "f2", "detail": "auto"})),
    ) == [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"},
        {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
        {"type": "input_image", "file_id": "f2", "detail": "auto"},
    ]


@pytest.mark.parametrize(
    ("document", "blocks"),
    [
        (
            DocumentPart(data_b64=PIXEL, title="a.pdf", context="C"),
            [
                {"type": "input_text", "text": "C"},
                {
                    "type": "input_file",
                    "filename": "a.pdf",
                    "file_data": f"data:application/pdf;base64,{PIXEL}",
                },
            ],
        ),
        (
            DocumentPart(url=f"data:text/csv;base64,{PIXEL}", mime="text/csv"),
            [
                {
                    "type": "input_file",
                    "filename": "document.csv",
                    "file_data": f"data:text/csv;base64,{PIXEL}",
                }
            ],
        ),
        (
            DocumentPart(url="https://x/y.pdf", title="T"),
            [
                {"type": "input_text", "text": "T"},
                {"type": "input_file", "file_url": "https://x/y.pdf"},
            ],
        ),
        (DocumentPart(file_id="f1"), [{"type": "input_file", "file_id": "f1"}]),
    ],
)
def test_documents(document: DocumentPart, blocks: list[Any]) -> None:
    assert content(document) == blocks


def test_a_document_that_is_text_is_text() -> None:
    assert content(DocumentPart(text="all", title="T", context="C", mime="text/plain")) == "T\n\nC\n\nall"


def test_an_item_of_the_vendors_own_stands_by_itself() -> None:
    approval = {"type": "mcp_approval_response", "approval_request_id": "a", "approve": True}
    parts: list[Part] = [
        ContentPart.text("yes"),
        OpaquePart(replay=ours(approval)),
        ContentPart.text("go on"),
    ]
    assert items(Message.user(parts)) == [
        {"type": "message", "role": "user", "content": "yes"},
        approval,
        {"type": "message", "role": "user", "content": "go on"},
    ]


@pytest.mark.parametrize(
    "message",
    [
        Message.user([DocumentPart(data_b64=PIXEL, citations=True)]),
        Message.user([AudioPart(mime="audio/wav", data_b64=PIXEL)]),
        Message.user([ContentPart.video("https://x/y.mp4")]),
        Message.user([OpaquePart(replay=ours({"type": "input_text"}, "openai"))]),
        Message.system([ContentPart.image(PIXEL)]),
        Message.assistant([ContentPart.image(PIXEL)]),
        Message(role="tool", content=[ContentPart.text("x")]),
        Message.tool([ContentPart.tool_result("1", object())]),
        Message.tool(
            [ContentPart.tool_result("1", "", content=[AudioPart(mime="audio/wav", data_b64=PIXEL)])]
        ),
    ],
)
def test_what_has_no_place_raises(message: Message) -> None:
    with pytest.raises(InvalidInput):
        sent(USER, message)


def test_what_the_model_said_goes_back_as_it_came() -> None:
    annotation = {"type": "url_citation", "url": "https://x", "title": "X", "start_index": 0, "end_index": 1}
    facts = {
        "type": "message",
        "role": "assistant",
        "id": "msg_1",
        "status": "completed",
        "phase": "commentary",
    }
    reasoning: dict[str, Any] = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "encrypted_content": "x",
        "status": None,
    }
    said = TextPart(
        text="a",
        citations=(Citation(replay=ours(annotation)), Citation(replay=ours({}, "another"))),
        replay=ours({"message": facts, "part": {"type": "output_text"}}),
    )
    refused = TextPart(text="no", replay=ours({"message": facts, "part": {"type": "refusal"}}))
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    call = ToolCallPart(id="c1", name="f", args={"x": 1}, replay=ours({"id": "fc_1", "namespace": "n"}))
    found = items(
        USER,
        Message.assistant(
            [
                ThinkingPart(text="hm", replay=ours(reasoning)),
                OpaquePart(replay=ours(search)),
                said,
                refused,
                call,
            ]
        ),
    )
    assert found[1:] == [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        search,
        {
            **facts,
            "content": [
                {"type": "output_text", "text": "a", "annotations": [annotation]},
                {"type": "refusal", "refusal": "no"},
            ],
        },
        {
            "type": "function_call",
            "id": "fc_1",
            "namespace": "n",
            "call_id": "c1",
            "name": "f",
            "arguments": '{"x":1}',
        },
    ]


def test_what_belongs_to_another_vendor_is_left_out() -> None:
    theirs = Replay(vendor="openai", data={"type": "x"})
    message = Message.assistant(
        [
            ThinkingPart(text="hm", replay=theirs),
            ThinkingPart(text="hm"),
            OpaquePart(replay=theirs),
            TextPart(text="t", replay=theirs),
            TextPart(text=""),
            AudioPart(mime="audio/wav", data_b64=PIXEL, transcript="said"),
            ToolCallPart(id="1", name="f", args="no json", replay=theirs),
        ]
    )
    assert items(USER, message)[1:] == [
        {"type": "message", "role": "assistant", "content": "t"},
        {"type": "message", "role": "assistant", "content": "said"},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "no json"},
    ]


REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}


@pytest.mark.parametrize(
    ("item", "store", "kept"),
    [
        (REASONING, True, True),
        (REASONING, False, False),
        ({**REASONING, "encrypted_content": "x"}, False, True),
        ({**REASONING, "content": [{"type": "reasoning_text", "text": "x"}]}, False, True),
    ],
)
def test_reasoning_that_the_vendor_could_not_find_again_is_left_out(
    item: dict[str, Any], store: bool, kept: bool
) -> None:
    message = Message.assistant([ThinkingPart(replay=ours(item)), ContentPart.text("t")])
    found = items(USER, message, store=store)
    assert [entry["type"] for entry in found[1:]] == (["reasoning", "message"] if kept else ["message"])


def test_reasoning_without_what_it_led_to_is_left_out() -> None:
    thought = ThinkingPart(replay=ours({**REASONING, "encrypted_content": "x"}))
    assert items(USER, Message.assistant([thought]), USER) == items(USER, USER)


def test_results() -> None:
    results = [
        ContentPart.tool_result("1", {"y": [1]}),
        ContentPart.tool_result("2", "no such tool", is_error=True),
        ContentPart.tool_result(
            "3", None, content=[ContentPart.text("a"), ContentPart.image(PIXEL)], is_error=True
        ),
    ]
    assert items(Message.tool(results)) == [
        {"type": "function_call_output", "call_id": "1", "output": '{"y":[1]}'},
        {"type": "function_call_output", "call_id": "2", "output": "Error: no such tool"},
        {
            "type": "function_call_output",
            "call_id": "3",
            "output": [
                {"type": "input_text", "text": "Error:"},
                {"type": "input_text", "text": "a"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"},
            ],
        },
    ]


def test_the_result_of_a_custom_call_knows_its_call() -> None:
    custom = ours({"type": "custom_tool_call", "id": "ctc_1"})
    calls = Message.assistant(
        [ToolCallPart(id="1", name="c", args="4 + 4", replay=custom), ToolCallPart(id="2", name="f", args={})]
    )
    results = Message.tool([ContentPart.tool_result("1", "8"), ContentPart.tool_result("2", "9")])
    assert [entry["type"] for entry in items(results)] == ["function_call_output"] * 2
    # The message was encoded before; with its calls in sight it is another one.
    found = items(USER, calls, results)
    assert found[1] == {
        "type": "custom_tool_call",
        "id": "ctc_1",
        "call_id": "1",
        "name": "c",
        "input": "4 + 4",
    }
    assert [entry["type"] for entry in found[2:]] == [
        "function_call",
        "custom_tool_call_output",
        "function_call_output",
    ]
    assert [entry["type"] for entry in items(results)] == ["function_call_output"] * 2


def test_one_message_is_kept_for_each_way_of_storing() -> None:
    message = Message.assistant([ThinkingPart(replay=ours(REASONING)), ContentPart.text("t")])
    for store in (True, False, True):
        assert len(items(USER, message, store=store)) == (3 if store else 2)


@cache
def input_items() -> TypeAdapter[Any]:
    """The type of an item, of which there are dozens of kinds: putting it together takes a while."""
    kind: Any = library("openai.types.responses").ResponseInputItemParam
    return TypeAdapter(kind)


@given(strategies.conversations(media=TAKEN, result_media=TAKEN))
def test_the_vendors_library_takes_every_conversation(messages: list[Message]) -> None:
    judge = input_items()
    body = sent(*messages, tools=(WEATHER,), stream=True)
    waiting: list[str] = []
    for item in body["input"]:
        assert plain(judge.validate_python(item)) == item
        if item["type"] == "function_call_output":
            waiting.remove(item["call_id"])
        elif item["type"] == "function_call":
            waiting.append(item["call_id"])
        else:
            assert item["role"] == "assistant" or not waiting, "a call is left without its result"
    assert not waiting


def test_the_vendors_library_takes_the_other_fields() -> None:
    params = library("openai.types.responses.response_create_params")
    body = sent(
        Message.system("s"),
        USER,
        tools=(WEATHER,),
        tool_choice="weather",
        temperature=0.5,
        max_tokens=20,
        top_logprobs=1,
        metadata={"a": "b"},
        thinking=Thinking(effort="low", summary="auto"),
        output_schema=SCHEMA,
        extra={"tools": [{"type": "web_search"}], "previous_response_id": "resp_1"},
    )
    check(params.ResponseCreateParamsNonStreaming, body)
