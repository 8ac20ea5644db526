"""O01-O08: chat completions, as OpenAI and those who copy it speak them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tako.errors import ProviderError, RateLimited
from tako.events import ThinkingBlock, ThinkingDelta, ToolCall
from tako.models import (
    CacheControl,
    ChatResponse,
    Message,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolSchema,
)
from tako.providers import OpenAI
from tests.checklist.wires import USER, asked, body_of, data_lines, refused, streamed

GPT = OpenAI("gpt-4o", "k")
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at":"sea"}'}}
PART = ToolCallPart(id="c1", name="look", args={"at": "sea"})


def answer(message: dict[str, Any], finish: str | None) -> dict[str, Any]:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {"id": "r1", "model": "gpt", "choices": [choice], "usage": usage}


def piece(delta: dict[str, Any], finish: str | None = None) -> str:
    return json.dumps({"id": "r1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def test_O01_system_and_user_and_the_settings() -> None:
    body = body_of(GPT, Message.system("Be short."), USER, temperature=0.5, max_tokens=9)
    assert body["messages"] == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "hello"},
    ]
    assert (body["temperature"], body["max_tokens"]) == (0.5, 9)
    assert body_of(OpenAI("gpt-5", "k"), USER, max_tokens=9)["max_completion_tokens"] == 9
    two = Message.system([TextPart(text="a"), TextPart(text="b")])
    assert body_of(GPT, two, USER)["messages"][0] == {"role": "system", "content": "a\n\nb"}
    assert [message["role"] for message in body_of(GPT, Message.system([]), USER)["messages"]] == ["user"]


def test_O02_cache_marks_are_left_out() -> None:
    mark = CacheControl(ttl="1h")
    body = body_of(
        GPT,
        Message.system([TextPart(text="a", cache_control=mark)]),
        Message.user([TextPart(text="b", cache_control=mark)]),
        tools=(ToolSchema(name="t", description="", input_schema={"type": "object"}, cache_control=mark),),
    )
    assert "cache_control" not in json.dumps(body)


def test_O03_each_result_is_a_message_and_an_error_says_so() -> None:
    results = [
        ToolResultPart(id="1", name="a", result="fine"),
        ToolResultPart(id="2", name="b", result="no such file", is_error=True),
    ]
    calls = Message.assistant([ToolCallPart(id="1", name="a"), ToolCallPart(id="2", name="b")])
    assert body_of(GPT, USER, calls, Message.tool(results))["messages"][2:] == [
        {"role": "tool", "tool_call_id": "1", "content": "fine"},
        {"role": "tool", "tool_call_id": "2", "content": "Error: no such file"},
    ]


def test_O04_calls_go_back_with_their_arguments_as_text_and_an_empty_answer_not_at_all() -> None:
    (_, assistant) = body_of(GPT, USER, Message.assistant([PART]))["messages"]
    (call,) = assistant["tool_calls"]
    assert (call["id"], call["type"], call["function"]["name"]) == ("c1", "function", "look")
    assert json.loads(call["function"]["arguments"]) == {"at": "sea"}
    for empty in (Message.assistant([]), Message.assistant([ThinkingPart(text="hm")])):
        assert [message["role"] for message in body_of(GPT, USER, empty, USER)["messages"]] == [
            "user",
            "user",
        ]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", "tool_calls"),  # what there is counts for more than what is said of it
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("something_new", "tool_calls"),
    ],
)
def test_O05_text_calls_usage_and_why_it_ended(finish: str, reason: str) -> None:
    response = asked(GPT, answer({"content": "Look:", "tool_calls": [CALL]}, finish))
    assert (response.text, response.message.tool_calls) == ("Look:", (PART,))
    assert (response.usage.input_tokens, response.usage.output_tokens) == (3, 2)
    assert (response.finish_reason, response.raw_finish_reason) == (reason, finish)
    for finish, reason in (("stop", "stop"), ("length", "length"), ("something_new", "other")):
        assert asked(GPT, answer({"content": "text"}, finish)).finish_reason == reason


def test_O06_calls_without_a_reason_are_calls_whole_or_streamed() -> None:
    response = asked(GPT, answer({"content": None, "tool_calls": [CALL]}, None))
    assert (response.finish_reason, response.message.tool_calls) == ("tool_calls", (PART,))
    for finish in (None, "stop", "something_new"):
        _, response_or_error = streamed(
            GPT, data_lines(piece({"tool_calls": [{"index": 0, **CALL}]}, finish), "[DONE]")
        )
        assert isinstance(response_or_error, ChatResponse)
        assert response_or_error.message.tool_calls == (PART,)
        assert response_or_error.finish_reason == "tool_calls"


def test_O07_how_a_status_is_understood() -> None:
    told = {status: refused(GPT, status) for status in (429, 503, 500, 400)}
    assert {status: type(error) for status, error in told.items()} == {
        429: RateLimited, 503: ProviderError, 500: ProviderError, 400: ProviderError,
    }  # fmt: skip
    assert [error.retryable for error in told.values()] == [True, True, True, False]


def test_O08_no_thinking_is_made_up_and_a_call_in_pieces_is_one_call() -> None:
    chunks, _ = streamed(
        GPT,
        data_lines(
            piece({"role": "assistant", "content": "So"}),
            piece({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "look", "arguments": ""}}]}),
            *[
                piece({"tool_calls": [{"index": 0, "function": {"arguments": text}}]})
                for text in ('{"at"', ':"s', 'ea"}')
            ],
            piece({}, "tool_calls"),
            "[DONE]",
        ),
    )
    assert [chunk for chunk in chunks if isinstance(chunk, ThinkingDelta | ThinkingBlock)] == []
    assert [chunk for chunk in chunks if isinstance(chunk, ToolCall)] == [ToolCall(PART)]
