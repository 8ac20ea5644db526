"""Anthropic's answers: whole, streamed, cut and broken."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from pydantic_core import from_json

from tako.errors import ProtocolError, ProviderError, RateLimited, TransportError
from tako.events import (
    ChatEnd,
    ChatError,
    OpaqueBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolCall,
)
from tako.models import (
    ChatRequest,
    Message,
    OpaquePart,
    Replay,
    ThinkingPart,
)
from tako.providers.answer import MAX_BLOCKS, MAX_TEXT
from tako.providers.anthropic import Anthropic
from tako.providers.anthropic.decode import MessagesDecoder
from tests.support.answers import collect, event_stream, play
from tests.support.anthropic_answers import (
    PAGE,
    REQUEST,
    START,
    STOP,
    USAGE,
    answer,
    call,
    chunks_of,
    closed,
    ended,
    error_in,
    event,
    grown,
    opened,
    whole,
)


def test_text_comes_as_it_is_written() -> None:
    chunks = chunks_of(
        opened(0, "text", text=""),
        event("ping"),
        grown(0, "text_delta", text="Hel"),
        grown(0, "text_delta", text="lo\u2028"),
        grown(0, "text_delta", text=""),
        closed(0),
        ended(),
    )
    assert chunks == [
        TextDelta("Hel"),
        TextDelta("lo\u2028"),
        ChatEnd("stop", USAGE, "end_turn", "claude", "m1"),
    ]


def test_a_whole_answer() -> None:
    response = whole(answer({"type": "text", "text": "Hello", "citations": None}))
    assert response.message == Message.assistant("Hello")
    assert (response.finish_reason, response.raw_finish_reason) == ("stop", "end_turn")
    assert (response.usage, response.model, response.response_id) == (USAGE, "claude", "m1")


def test_the_flow_streams_and_returns_the_whole() -> None:
    body = event_stream(START, grown(0, "text_delta", text="Hi"), ended(), STOP)
    headers = (("content-type", "text/event-stream"), ("request-id", "r1"))
    response, emitted, request = play(Anthropic("m", "").stream_flow(REQUEST), [body], 200, headers)
    assert (response.text, response.request_id, len(emitted)) == ("Hi", "r1", 2)
    assert from_json(request.body)["stream"] is True


def test_thinking_is_shown_live_and_kept_with_its_signature() -> None:
    chunks = chunks_of(
        opened(0, "thinking", thinking="", signature=""),
        grown(0, "thinking_delta", thinking="h"),
        grown(0, "thinking_delta", thinking="m"),
        grown(0, "signature_delta", signature="s="),
        grown(0, "signature_delta", signature="="),
        closed(0),
        opened(1, "redacted_thinking", data="x/+=="),
        closed(1),
        opened(2, "text", text="seed"),
        closed(2),
        ended(),
    )
    part = ThinkingPart(text="hm", replay=Replay(vendor="anthropic", data={"signature": "s=="}))
    redacted = OpaquePart(
        replay=Replay(vendor="anthropic", data={"type": "redacted_thinking", "data": "x/+=="})
    )
    assert chunks[:-1] == [
        ThinkingDelta("h"),
        ThinkingDelta("m"),
        ThinkingBlock(part),
        OpaqueBlock(redacted),
        TextDelta("seed"),
    ]
    streamed_response, _ = collect(chunks)
    response = whole(
        answer(
            {"type": "thinking", "thinking": "hm", "signature": "s=="},
            {"type": "redacted_thinking", "data": "x/+=="},
            {"type": "text", "text": "seed"},
        )
    )
    assert response == streamed_response
    body = Anthropic("m", "").http_request(ChatRequest(messages=(response.message,)), stream=False).body
    assert from_json(body)["messages"][0]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s=="},
        {"type": "redacted_thinking", "data": "x/+=="},
        {"type": "text", "text": "seed"},
    ]


def test_a_signature_alone_is_a_block_and_nothing_at_all_is_none() -> None:
    alone = chunks_of(opened(0, "thinking", thinking="", signature="s"), closed(0), ended())
    assert type(alone[0]) is ThinkingBlock and alone[0].part.text == ""
    assert len(chunks_of(opened(0, "thinking", thinking=""), closed(0), ended())) == 1


def test_calls_are_announced_whole_and_once_at_the_end() -> None:
    chunks = chunks_of(
        *call(0, "f", '{"x"', ":1}"), *call(1, "g"), *call(2, "h", "not json"), ended("tool_use")
    )
    assert [(c.id, c.name, c.args) for c in chunks if type(c) is ToolCall] == [
        ("t0", "f", {"x": 1}),
        ("t1", "g", {}),
        ("t2", "h", "not json"),
    ]
    assert type(chunks[-1]) is ChatEnd and chunks[-1].finish_reason == "tool_calls"


def test_a_block_that_is_opened_twice_is_two_blocks() -> None:
    first, second = call(0, "f", '{"x":1}'), call(0, "g")
    chunks = chunks_of(*first[:-1], *second, ended("tool_use"))
    assert [(c.name, c.args) for c in chunks if type(c) is ToolCall] == [("f", {"x": 1}), ("g", {})]


def test_blocks_may_be_open_at_once_and_left_open() -> None:
    chunks = chunks_of(
        opened(0, "tool_use", id="a", name="f", input={}),
        opened(1, "tool_use", id="b", name="g", input={}),
        grown(1, "input_json_delta", partial_json='{"y":'),
        grown(0, "input_json_delta", partial_json='{"x":1}'),
        grown(1, "input_json_delta", partial_json="2}"),
        ended("tool_use"),
    )
    assert [(c.id, c.args) for c in chunks if type(c) is ToolCall] == [("a", {"x": 1}), ("b", {"y": 2})]


def test_blocks_keep_their_order_after_a_call() -> None:
    signed = {"type": "thinking", "thinking": "hm", "signature": "s"}
    use = {"type": "tool_use", "id": "t1", "name": "f", "input": {}, "caller": {"type": "direct"}}
    response = whole(
        answer({"type": "text", "text": "a"}, use, signed, {**use, "id": "t2"}, reason="tool_use")
    )
    assert [part.type for part in response.message.content] == ["text", "tool_call", "thinking", "tool_call"]
    call_part = response.message.tool_calls[0]
    assert call_part.replay == Replay(vendor="anthropic", data={"caller": {"type": "direct"}})


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded", "refusal"])
@pytest.mark.parametrize("pieces", [(), ('{"x": "ab',), ('{"x": 1}',)])
def test_a_call_that_was_cut_off_is_an_error(reason: str, pieces: tuple[str, ...]) -> None:
    chunks = chunks_of(grown(0, "text_delta", text="t"), *call(1, "f"), *call(2, "g", *pieces), ended(reason))
    error = error_in(chunks)
    assert isinstance(error, ProviderError)
    assert (error.code, error.retryable) == (reason, False)
    assert [c.name for c in chunks if type(c) is ToolCall] == ["f"]
    assert type(chunks[-1]) is ChatEnd and chunks[-1].usage == USAGE


def test_text_after_a_call_shows_that_the_call_was_whole() -> None:
    after = chunks_of(*call(0, "f", ""), opened(1, "text", text="t"), closed(1), ended("max_tokens"))
    assert [type(c) for c in after] == [TextDelta, ToolCall, ChatEnd]


def test_blocks_that_waited_for_a_call_are_not_lost_with_it() -> None:
    events = [*call(0, "f", "{}"), opened(1, "thinking", thinking="hm", signature="s"), closed(1)]
    assert [type(c) for c in chunks_of(*events, stop=False)] == [ThinkingBlock, ChatError, ChatEnd]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("refusal", "content_filter"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "pause"),
        ("odd", "other"),
        (None, "other"),
    ],
)
def test_reasons(raw: str | None, reason: str) -> None:
    text = {"type": "text", "text": "x"}
    assert whole(answer(text, reason=raw)).finish_reason == reason
    end = chunks_of(grown(0, "text_delta", text="x"), ended(raw))[-1]
    assert type(end) is ChatEnd and (end.finish_reason, end.raw_finish_reason) == (reason, raw)
    if reason in ("stop", "other"):
        use = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
        assert whole(answer(use, reason=raw)).finish_reason == "tool_calls"


def test_unknown_blocks_are_kept_and_go_back_as_they_came() -> None:
    search = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"url": "u"}]}
    compaction = {"type": "compaction", "content": "all of it", "encrypted_content": "e"}
    chunks = chunks_of(
        opened(0, "server_tool_use", id="s1", name="web_search", input={}),
        grown(0, "input_json_delta", partial_json=""),
        grown(0, "input_json_delta", partial_json='{"query":"x"}'),
        closed(0),
        opened(1, "web_search_tool_result", tool_use_id="s1", content=[{"url": "u"}]),
        closed(1),
        opened(2, "compaction", content=None),
        grown(2, "compaction_delta", content="all "),
        grown(2, "compaction_delta", content="of it", encrypted_content="e"),
        closed(2),
        opened(3, "text", text="", citations=[]),
        grown(3, "citations_delta", citation={}),  # of nothing, so there is nothing to keep it with
        closed(3),
        ended(),
    )
    response, error = collect(chunks)
    assert error is None
    assert [part.replay.data for part in response.message.content if type(part) is OpaquePart] == [
        search,
        found,
        compaction,
    ]
    assert whole(answer(search, found, compaction)) == response


def test_an_unknown_block_that_was_cut_off_is_left_out() -> None:
    cut = [
        opened(0, "server_tool_use", id="s", name="n", input={}),
        grown(0, "input_json_delta", partial_json='{"q'),
    ]
    assert len(chunks_of(*cut, closed(0), ended("max_tokens"))) == 1


@pytest.mark.parametrize(
    "odd",
    [
        event("a_new_event", x=1),
        event("content_block_stop", index=9),
        "{}",
        event("ping"),
        grown(9, "signature_delta", signature="s"),
        grown(9, "a_new_delta", x=1),
        event("message_delta", delta=None, usage=None),
        event("message_delta", delta={}, usage={"output_tokens": None}),
    ],
)
def test_what_is_unknown_or_null_is_skipped(odd: str) -> None:
    chunks = chunks_of(grown(0, "text_delta", text="t"), odd, ended())
    assert chunks == [TextDelta("t"), ChatEnd("stop", USAGE, "end_turn", "claude", "m1")]


@pytest.mark.parametrize(
    "broken",
    [
        "<html>",
        "7",
        "null",
        "[]",
        event("content_block_delta"),
        event("content_block_delta", delta=7),
        grown(0, "text_delta", text=7),
        grown(0, "text_delta"),
        grown(0, "input_json_delta", partial_json="x"),
        grown(0, "thinking_delta", thinking=None),
        event("content_block_start", index=0),
        opened([], "thinking"),  # type: ignore[arg-type]
        opened(0, "thinking", thinking=7),
        event("content_block_start", index=0, content_block={}),
        event("message_start"),
        "[" * 5000,
        opened(0, "text", text=7),
        grown(0, "citations_delta"),
        grown(0, "citations_delta", citation="x"),
        opened(0, "text", text="", citations=[None]),
    ],
)
def test_what_nobody_can_read_is_an_error_with_what_came_before(broken: str) -> None:
    chunks = chunks_of(grown(0, "text_delta", text="t"), broken)
    assert chunks[0] == TextDelta("t")
    assert isinstance(error_in(chunks), ProtocolError)


@pytest.mark.parametrize(
    ("kind", "status", "retryable"),
    [
        ("overloaded_error", 529, True),
        ("rate_limit_error", 429, True),
        ("api_error", 500, True),
        ("timeout_error", 504, True),
        ("invalid_request_error", 400, False),
        ("authentication_error", 401, False),
        ("new_error", None, False),
    ],
)
def test_an_error_inside_an_answer(kind: str, status: int | None, retryable: bool) -> None:
    payload = {"type": "error", "error": {"type": kind, "message": "Sorry"}, "request_id": "r9"}
    error = error_in(chunks_of(grown(0, "text_delta", text="t"), json.dumps(payload)))
    assert isinstance(error, RateLimited if status == 429 else ProviderError)
    assert (error.status, error.code, error.retryable, error.request_id) == (status, kind, retryable, "r9")
    assert "Sorry" in error.message
    with pytest.raises(ProviderError) as caught:
        whole(payload)
    assert (caught.value.status, caught.value.code) == (status, kind)


def test_an_end_before_the_mark_is_an_error() -> None:
    text = grown(0, "text_delta", text="t")
    for events in ([], [text], [text, ended()], [*call(0, "f", "{}"), ended("tool_use")]):
        chunks = chunks_of(*events, stop=False)
        error = error_in(chunks)
        assert isinstance(error, TransportError)
        assert (error.phase, error.retryable) == ("body", True)
        assert not any(type(c) is ToolCall for c in chunks)
    # What was counted before it broke is not lost.
    end = chunks_of(text, stop=False)[-1]
    assert type(end) is ChatEnd and end.usage.input_tokens == 16


@pytest.mark.parametrize("payload", [{}, [], 7, None, {"content": 7}, {"content": [7]}, {"content": [{}]}])
def test_a_whole_answer_that_is_none(payload: Any) -> None:
    with pytest.raises(ProtocolError) as caught:
        whole(payload)
    assert caught.value.body == json.dumps(payload)


def test_a_whole_answer_without_content_is_empty() -> None:
    assert whole({**answer(), "content": None}).message == Message.assistant([])


def test_nothing_is_kept_without_a_limit() -> None:
    piece = event_stream(grown(0, "input_json_delta", partial_json="x" * 4_000_000))
    decoder = MessagesDecoder()
    decoder.feed(event_stream(opened(0, "tool_use", id="a", name="f", input={})))
    chunks = [c for _ in range(MAX_TEXT // 4_000_000 + 1) for c in decoder.feed(piece)]
    assert isinstance(error_in(chunks), ProtocolError)
    for many in (
        [opened(n, "thinking") for n in range(MAX_BLOCKS + 1)],
        [line for n in range(MAX_BLOCKS + 1) for line in call(n, "f")],
        [grown(0, "citations_delta", citation=PAGE)] * (MAX_BLOCKS + 1),
    ):
        assert isinstance(error_in(chunks_of(*many)), ProtocolError)


def test_an_event_costs_at_most_eight_calls() -> None:
    body = event_stream(*[grown(0, "text_delta", text=f"token {n}") for n in range(1000)], named=True)
    decoder = MessagesDecoder()
    decoder.feed(event_stream(START))
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        chunks = decoder.feed(body)
    finally:
        sys.setprofile(None)
    assert len(chunks) == 1000
    assert calls <= 8 * 1000
