"""OpenAI's answers: whole, streamed, cut, broken and hostile."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from tako.errors import InvalidInput, ProtocolError, ProviderError, RateLimited, TakoError, TransportError
from tako.events import (
    ChatChunk,
    ChatEnd,
    ChatError,
    TextDelta,
    ThinkingDelta,
    ToolCall,
)
from tako.models import (
    ChatRequest,
    ChatResponse,
    Message,
    TextPart,
    ThinkingPart,
    Usage,
)
from tako.providers.answer import MAX_BLOCKS, MAX_TEXT
from tako.providers.chat_completions.decode import ChatDecoder
from tako.providers.openai import OpenAI
from tests.effort import examples
from tests.support.answers import collect, event_stream, play, spoiled, streamed, told

REQUEST = ChatRequest(messages=(Message.user("hello"),))
COUNTS = {
    "prompt_tokens": 10,
    "completion_tokens": 7,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}
USAGE = Usage(input_tokens=10, output_tokens=7, cache_read_tokens=4, reasoning_tokens=3, raw=COUNTS)
DONE = "[DONE]"


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return json.dumps({"id": "c1", "model": "gpt", "choices": [choice], **more}, ensure_ascii=False)


def call_piece(index: int | None, arguments: Any, **more: Any) -> dict[str, Any]:
    name = more.pop("name", None)
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    place = {} if index is None else {"index": index}
    return {**place, "function": function, **more}


def answer(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "c1", "model": "gpt", "choices": [choice], "usage": COUNTS, **more}


def chunks_of(*events: str, done: bool = True) -> list[ChatChunk]:
    return streamed(ChatDecoder(), [event_stream(*events, *([DONE] if done else []))])


def error_in(chunks: Sequence[ChatChunk]) -> TakoError:
    told(chunks)
    error = chunks[-2]
    assert type(error) is ChatError
    return error.error


def whole(payload: dict[str, Any]) -> ChatResponse:
    response, _, _ = play(OpenAI("m", "").chat_flow(REQUEST), [json.dumps(payload).encode()])
    return response


def test_text_comes_as_it_is_written() -> None:
    usage = json.dumps({"choices": [], "usage": COUNTS})
    chunks = chunks_of(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo\u2028"}),
        chunk({}, "stop"),
        usage,
    )
    assert chunks == [TextDelta("Hel"), TextDelta("lo\u2028"), ChatEnd("stop", USAGE, "stop", "gpt", "c1")]


def test_a_whole_answer() -> None:
    response = whole(answer({"content": "Hello"}))
    assert response.message == Message.assistant("Hello")
    assert (response.finish_reason, response.raw_finish_reason) == ("stop", "stop")
    assert (response.usage, response.model, response.response_id) == (USAGE, "gpt", "c1")


def test_the_flow_streams_and_returns_the_whole() -> None:
    body = event_stream(chunk({"content": "Hi"}), chunk({}, "stop"), DONE)
    headers = (("content-type", "text/event-stream"), ("x-request-id", "r1"))
    response, emitted, request = play(OpenAI("m", "").stream_flow(REQUEST), [body], 200, headers)
    assert (response.text, response.request_id) == ("Hi", "r1")
    assert emitted == [TextDelta("Hi"), ChatEnd("stop", Usage(), "stop", "gpt", "c1")]
    assert from_json(request.body)["stream"] is True


def test_calls_are_announced_whole_and_once_at_the_end() -> None:
    chunks = chunks_of(
        chunk(
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [call_piece(0, "", id="a", name="f", type="function")],
            }
        ),
        chunk({"tool_calls": [call_piece(0, '{"x"')]}),
        chunk({"tool_calls": [call_piece(1, "", id="b", name="g"), call_piece(0, ":1}")]}),
        chunk({}, "tool_calls"),
    )
    assert [type(c) for c in chunks] == [ToolCall, ToolCall, ChatEnd]
    calls = [(c.id, c.name, c.args) for c in chunks if type(c) is ToolCall]
    assert calls == [("a", "f", {"x": 1}), ("b", "g", {})]


def test_a_call_in_a_completed_answer_keeps_arguments_that_are_no_json() -> None:
    response = whole(answer({"tool_calls": [call_piece(None, "{broken", id="a", name="f")]}, "tool_calls"))
    assert response.message.tool_calls[0].args == "{broken"


@pytest.mark.parametrize("reason", ["length", "content_filter"])
@pytest.mark.parametrize("arguments", ["", '{"x": "abc'])
def test_a_call_that_was_cut_off_is_an_error(reason: str, arguments: str) -> None:
    calls = [call_piece(0, "", id="a", name="f"), call_piece(1, arguments, id="b", name="g")]
    chunks = chunks_of(chunk({"content": "t"}), chunk({"tool_calls": calls}, reason))
    error = error_in(chunks)
    assert isinstance(error, ProviderError)
    assert (error.code, error.retryable) == (reason, False)
    assert [c.name for c in chunks if type(c) is ToolCall] == ["f"]
    with pytest.raises(ProviderError) as caught:
        whole(answer({"content": "t", "tool_calls": calls}, reason))
    assert (caught.value.code, str(caught.value)) == (reason, str(error))
    assert caught.value.partial.text == "t"
    assert caught.value.usage == USAGE


def test_a_whole_call_in_an_answer_that_was_cut_is_a_call() -> None:
    response = whole(answer({"tool_calls": [call_piece(None, '{"x":1}', id="a", name="f")]}, "length"))
    assert (response.finish_reason, len(response.message.tool_calls)) == ("length", 1)


@pytest.mark.parametrize("finish", ["stop", None, "", "odd"])
def test_calls_make_the_reason_tool_calls(finish: str | None) -> None:
    response = whole(answer({"tool_calls": [call_piece(None, "{}", id="a", name="f")]}, finish))
    assert (response.finish_reason, response.raw_finish_reason) == ("tool_calls", finish)


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        (None, "other"),
        ("odd", "other"),
        ("function_call", "tool_calls"),
        ("eos", "stop"),
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("model_length", "length"),
        ("sensitive", "content_filter"),
    ],
)
def test_reasons(finish: str | None, reason: str) -> None:
    assert whole(answer({"content": "x"}, finish)).finish_reason == reason
    chunks = chunks_of(chunk({"role": "assistant", "content": "x"}, finish))
    assert chunks[-1] == ChatEnd(reason, Usage(), finish, "gpt", "c1")


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        # no index: pieces go to the last call, a new id begins another
        (
            [
                call_piece(None, "{", id="a", name="f"),
                call_piece(None, "}"),
                call_piece(None, "{}", id="b", name="g"),
            ],
            [("a", "f", {}), ("b", "g", {})],
        ),
        # index 0 for each
        (
            [call_piece(0, '{"x":1}', id="a", name="f"), call_piece(0, '{"x":2}', id="b", name="f")],
            [("a", "f", {"x": 1}), ("b", "f", {"x": 2})],
        ),
        # neither index nor id
        (
            [call_piece(None, "{}", name="f"), call_piece(None, "{}", name="g")],
            [("call_c1_0", "f", {}), ("call_c1_1", "g", {})],
        ),
        # the same id twice, name and id repeated in each piece
        (
            [
                call_piece(0, "{", id="a", name="f"),
                call_piece(0, "}", id="a", name="f"),
                call_piece(1, "", id="a", name="g"),
            ],
            [("a", "f", {}), ("call_c1_1", "g", {})],
        ),
        # the arguments as a value, null or blank
        (
            [
                call_piece(0, {"x": 1}, id="a", name="f"),
                call_piece(1, None, id="b", name="g"),
                call_piece(2, " ", id="c", name="h"),
            ],
            [("a", "f", {"x": 1}), ("b", "g", {}), ("c", "h", {})],
        ),
    ],
)
def test_calls_as_compatible_servers_send_them(pieces: list[Any], wanted: list[Any]) -> None:
    chunks = chunks_of(*[chunk({"tool_calls": [piece]}) for piece in pieces], chunk({}, "tool_calls"))
    assert [(c.id, c.name, c.args) for c in chunks if type(c) is ToolCall] == wanted


def test_legacy_and_custom_calls_and_what_comes_with_them() -> None:
    legacy = whole(
        answer({"content": None, "function_call": {"name": "f", "arguments": '{"x":1}'}}, "function_call")
    )
    assert [(c.name, c.args) for c in legacy.message.tool_calls] == [("f", {"x": 1})]
    custom = {"id": "a", "type": "custom", "custom": {"name": "math", "input": "4 + 4"}}
    signed = {**call_piece(None, "{}", id="b", name="f"), "extra_content": {"signature": "s"}}
    calls = whole(answer({"tool_calls": [custom, signed]}, "tool_calls")).message.tool_calls
    assert [(c.name, c.args) for c in calls] == [("math", "4 + 4"), ("f", {})]
    assert [c.replay and c.replay.data for c in calls] == [
        {"type": "custom"},
        {"extra_content": {"signature": "s"}},
    ]
    empty = whole(
        answer({"content": "x", "function_call": {"name": "", "arguments": ""}, "audio": {"data": ""}})
    )
    assert empty.message == Message.assistant("x")


def test_refusals_are_text_and_reasoning_is_thinking() -> None:
    response = whole(answer({"content": None, "refusal": "I cannot", "reasoning_content": "hm"}))
    assert response.message.content == (ThinkingPart(text="hm"), TextPart(text="I cannot"))
    chunks = chunks_of(
        chunk({"reasoning": "h"}), chunk({"reasoning_content": "m"}), chunk({"refusal": "I"}, "stop")
    )
    assert chunks[:3] == [ThinkingDelta("h"), ThinkingDelta("m"), TextDelta("I")]


@pytest.mark.parametrize(
    ("error", "status", "code", "retryable"),
    [
        ({"message": "m", "type": "server_error", "code": None}, 500, "server_error", True),
        ({"message": "m", "type": "tokens", "code": "rate_limit_exceeded"}, 429, "rate_limit_exceeded", True),
        (
            {"message": "m", "type": "invalid_request_error", "code": "context_length_exceeded"},
            400,
            "context_length_exceeded",
            False,
        ),
        ({"message": "m", "code": 502}, 502, "502", True),
        ({"message": "m"}, None, None, False),
    ],
)
def test_an_error_inside_an_answer(error: dict[str, Any], status: int, code: str, retryable: bool) -> None:
    found = error_in(chunks_of(chunk({"content": "t"}), json.dumps({"error": error})))
    assert isinstance(found, RateLimited if status == 429 else ProviderError)
    assert (found.status, found.code, found.retryable) == (status, code, retryable)
    assert "m" in found.message
    assert from_json(found.body or "") == error
    with pytest.raises(ProviderError) as caught:
        whole({"error": error})
    assert (caught.value.status, caught.value.code) == (status, code)


def test_an_end_before_the_mark_is_an_error() -> None:
    for events in ([chunk({"content": "t"})], [chunk({"content": "t"}), chunk({}, "stop")], []):
        error = error_in(chunks_of(*events, done=False))
        assert isinstance(error, TransportError)
        assert (error.phase, error.retryable) == ("body", True)
    calls = chunk({"tool_calls": [call_piece(0, "{}", id="a", name="f")]}, "tool_calls")
    assert [type(c) for c in chunks_of(calls, done=False)] == [ChatError, ChatEnd]


def test_after_the_end_nothing_comes() -> None:
    decoder = ChatDecoder()
    assert decoder.feed(event_stream(chunk({"content": "t"}, "stop"), DONE, chunk({"content": "more"})))
    assert decoder.feed(event_stream(chunk({"content": "t"}))) == []
    assert decoder.feed(b"") == []


@pytest.mark.parametrize(
    "event",
    [
        "<html>",
        "7",
        "null",
        "[]",
        '"text"',
        '{"choices": 7}',
        '{"choices": [7]}',
        '{"choices": [{"index": 0, "delta": 7}]}',
        chunk({"content": 7}),
        chunk({"content": [{"type": "text"}]}),
        chunk({"tool_calls": 7}),
        chunk({"tool_calls": [7]}),
        chunk({"tool_calls": [{"index": [], "function": {}}]}),
        '{"error": 7}',
        "[" * 5000,
        '{"choices": [{"index": 0, "delta": ["content"]}]}',
    ],
)
def test_what_nobody_can_read_is_an_error_with_what_came_before(event: str) -> None:
    chunks = chunks_of(chunk({"content": "t"}), event)
    assert chunks[0] == TextDelta("t")
    assert isinstance(error_in(chunks), (ProtocolError, ProviderError))


@pytest.mark.parametrize(
    "event",
    [
        "{}",
        '{"choices": null}',
        '{"object": "ping"}',
        chunk({"unknown": {"x": 1}}),
        chunk({"tool_calls": None, "content": None}),
        '{"choices": [{"index": 0, "delta": null}]}',
        '{"choices": [{"index": 0}]}',
        '{"usage": null, "choices": []}',
        '{"usage": 7}',
        '{"usage": {"prompt_tokens": "7"}}',
    ],
)
def test_what_is_unknown_or_null_is_skipped(event: str) -> None:
    chunks = chunks_of(chunk({"content": "t"}), event, chunk({}, "stop"))
    assert chunks[0] == TextDelta("t")
    assert type(chunks[-1]) is ChatEnd and chunks[-1].finish_reason == "stop"
    assert len(chunks) == 2


@pytest.mark.parametrize(
    "payload", [{"choices": []}, {"choices": None}, {}, [], 7, None, {"choices": [7]}, {"choices": {"a": 1}}]
)
def test_a_whole_answer_that_is_none(payload: Any) -> None:
    with pytest.raises(ProtocolError) as caught:
        whole(payload)
    assert caught.value.body == json.dumps(payload)
    assert caught.value.provider == "openai:m"


def test_a_stream_of_nothing_has_no_choices() -> None:
    assert isinstance(error_in(chunks_of()), ProtocolError)


def test_a_call_without_a_name_is_an_error() -> None:
    assert isinstance(
        error_in(chunks_of(chunk({"tool_calls": [call_piece(0, "{}", id="a")]}, "tool_calls"))), ProtocolError
    )


def test_nothing_is_kept_without_a_limit() -> None:
    piece = event_stream(chunk({"tool_calls": [call_piece(0, "x" * 4_000_000, id="a", name="f")]}))
    decoder = ChatDecoder()
    chunks = [c for _ in range(MAX_TEXT // 4_000_000 + 1) for c in decoder.feed(piece)]
    assert isinstance(error_in(chunks), ProtocolError)
    many = [chunk({"tool_calls": [call_piece(n, "", id=str(n), name="f")]}) for n in range(MAX_BLOCKS + 1)]
    assert isinstance(error_in(chunks_of(*many)), ProtocolError)


def test_a_chunk_costs_at_most_eight_calls() -> None:
    body = event_stream(*[chunk({"content": f"token {n}"}) for n in range(1000)])
    decoder = ChatDecoder()
    decoder.feed(event_stream(chunk({"role": "assistant", "content": ""})))
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


# Properties

TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=12)
NAMES = st.text(alphabet="abcdefgh_", min_size=1, max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(TEXT, JSON, max_size=3).map(
    lambda value: json.dumps(value, ensure_ascii=False)
) | st.sampled_from(["", "not json", "{"])
CALLS = st.lists(st.tuples(NAMES, ARGUMENTS), max_size=4)
REASONS = st.sampled_from(["stop", "tool_calls", "length", "content_filter", None, "odd"])


@st.composite
def answers(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """One answer as the vendor would send it whole, and as it would stream it."""
    texts, thoughts = draw(st.lists(TEXT, max_size=4)), draw(st.lists(TEXT, max_size=2))
    calls, reason = draw(CALLS), draw(REASONS)
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts)}
    events = [chunk({"role": "assistant", "content": ""})]
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
        events += [chunk({"reasoning_content": thought}) for thought in thoughts]
    events += [chunk({"content": text}) for text in texts]
    if calls:
        message["tool_calls"] = [
            call_piece(None, a, id=f"id{n}", name=name) for n, (name, a) in enumerate(calls)
        ]
    for n, (name, arguments) in enumerate(calls):
        cut = draw(st.integers(0, len(arguments)))
        events.append(chunk({"tool_calls": [call_piece(n, arguments[:cut], id=f"id{n}", name=name)]}))
        events.append(chunk({"tool_calls": [call_piece(n, arguments[cut:])]}))
    events += [chunk({}, reason), json.dumps({"choices": [], "usage": COUNTS}), DONE]
    return answer(message, reason), event_stream(*events)


@settings(max_examples=examples(4), deadline=None)
@given(answers())
def test_whole_and_streamed_are_the_same_answer(pair: tuple[dict[str, Any], bytes]) -> None:
    payload, body = pair
    response, error = collect(streamed(ChatDecoder(), [body]))
    try:
        assert ChatDecoder().whole(payload) == response
        assert error is None
    except TakoError as raised:
        assert (type(raised), str(raised)) == (type(error), str(error))
        assert raised.partial == response


@settings(max_examples=examples(3), deadline=None)
@given(answers(), st.data())
def test_any_cut_gives_the_same_chunks(pair: tuple[dict[str, Any], bytes], data: st.DataObject) -> None:
    _, body = pair
    places = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    pieces = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True) if a < b]
    assert told(streamed(ChatDecoder(), pieces)) == told(streamed(ChatDecoder(), [body]))


@settings(max_examples=examples(2), deadline=None)
@given(answers(), st.data())
def test_cut_off_anywhere_it_never_looks_whole(
    pair: tuple[dict[str, Any], bytes], data: st.DataObject
) -> None:
    _, body = pair
    size = data.draw(st.integers(0, len(body) - 1))
    chunks = streamed(ChatDecoder(), [body[:size]])
    assert isinstance(error_in(chunks), TransportError)
    assert not any(type(c) is ToolCall for c in chunks)


KEYS = [
    "choices",
    "index",
    "delta",
    "message",
    "content",
    "tool_calls",
    "function",
    "name",
    "arguments",
    "finish_reason",
]
KEYS += [
    "usage",
    "error",
    "id",
    "model",
    "audio",
    "custom",
    "reasoning",
    "refusal",
    "function_call",
    "code",
    "type",
]
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 600)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", "{}", "stop", "length"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=examples(4), deadline=None)
@given(st.lists(ODD | st.binary(max_size=30), max_size=5), st.booleans())
def test_garbage_is_an_answer(events: list[Any], ends: bool) -> None:
    lines = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    chunks = streamed(ChatDecoder(), [event_stream(*lines, *([DONE] if ends else []))])
    check_valid(chunks)


@settings(max_examples=examples(6), deadline=None)
@given(answers(), st.integers(0, 2**32))
def test_an_answer_with_something_odd_in_it_is_an_answer(
    pair: tuple[dict[str, Any], bytes], seed: int
) -> None:
    (payload, body), chance = pair, Random(seed)
    events = [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]
    for _ in range(5):
        place = chance.randrange(len(events))
        lines = [json.dumps(event) for event in events]
        lines[place] = json.dumps(spoiled(events[place], chance))
        check_valid(streamed(ChatDecoder(), [event_stream(*lines, DONE)]))
    check_whole(spoiled(payload, chance))


@settings(max_examples=examples(4), deadline=None)
@given(ODD)
def test_garbage_as_a_whole_answer_is_an_answer(payload: Any) -> None:
    check_whole(payload)


def check_valid(chunks: list[ChatChunk]) -> None:
    """Contract 2, and a response that can be kept, whatever came; and that it is the peer's fault."""
    told(chunks)
    response, error = collect(chunks)
    assert ChatResponse.model_validate_json(response.model_dump_json()) == response
    assert not isinstance(error, InvalidInput)


def check_whole(payload: Any) -> None:
    try:
        response = ChatDecoder().whole(payload)
    except TakoError as error:
        assert not isinstance(error, InvalidInput)
        response = error.partial
    assert ChatResponse.model_validate_json(response.model_dump_json()) == response
