"""Anthropic's answers: any answer, any cut, anything odd."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from tako.errors import InvalidInput, TakoError, TransportError
from tako.events import (
    ChatChunk,
    ToolCall,
)
from tako.models import (
    ChatRequest,
    ChatResponse,
    Message,
)
from tako.providers.anthropic import Anthropic
from tako.providers.anthropic.decode import MessagesDecoder
from tests.effort import examples
from tests.support.answers import collect, event_stream, spoiled, streamed, told
from tests.support.anthropic_answers import (
    PAGE,
    START,
    STOP,
    answer,
    ended,
    error_in,
    stream_of,
)

TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=12)
NAMES = st.text(alphabet="abcdefgh_", min_size=1, max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)
BLOCKS = st.lists(
    st.one_of(
        st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}),
        st.fixed_dictionaries(
            {"type": st.just("text"), "text": TEXT, "citations": st.lists(st.just(PAGE), max_size=2)}
        ),
        st.fixed_dictionaries({"type": st.just("thinking"), "thinking": TEXT, "signature": TEXT}),
        st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": TEXT}),
        st.fixed_dictionaries({"type": st.just("tool_use"), "id": NAMES, "name": NAMES, "input": OBJECT}),
        st.fixed_dictionaries(
            {"type": st.just("server_tool_use"), "id": NAMES, "name": NAMES, "input": OBJECT}
        ),
    ),
    max_size=5,
)
REASONS = st.sampled_from(["end_turn", "tool_use", "max_tokens", "refusal", "pause_turn", None])


@st.composite
def answers(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """One answer as the vendor would send it whole, and as it would stream it."""
    blocks, reason = draw(BLOCKS), draw(REASONS)
    events = [START]
    for index, block in enumerate(blocks):
        events += stream_of(index, block, draw(st.integers(0, 12)))
    return answer(*blocks, reason=reason), event_stream(
        *events, ended(reason), STOP, named=draw(st.booleans())
    )


@settings(max_examples=examples(2), deadline=None)
@given(answers())
def test_whole_and_streamed_are_the_same_answer(pair: tuple[dict[str, Any], bytes]) -> None:
    payload, body = pair
    response, error = collect(streamed(MessagesDecoder(), [body]))
    try:
        assert MessagesDecoder().whole(payload) == response
        assert error is None
    except TakoError as raised:
        assert (type(raised), str(raised)) == (type(error), str(error))
        assert raised.partial == response


@settings(max_examples=examples(2), deadline=None)
@given(answers(), st.data())
def test_any_cut_gives_the_same_chunks(pair: tuple[dict[str, Any], bytes], data: st.DataObject) -> None:
    _, body = pair
    places = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    pieces = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True) if a < b]
    assert told(streamed(MessagesDecoder(), pieces)) == told(streamed(MessagesDecoder(), [body]))


@settings(max_examples=examples(2), deadline=None)
@given(answers(), st.data())
def test_cut_off_anywhere_it_never_looks_whole(
    pair: tuple[dict[str, Any], bytes], data: st.DataObject
) -> None:
    _, body = pair
    size = data.draw(st.integers(0, len(body) - 1))
    chunks = streamed(MessagesDecoder(), [body[:size]])
    assert isinstance(error_in(chunks), TransportError)
    assert not any(type(c) is ToolCall for c in chunks)


@settings(max_examples=examples(2), deadline=None)
@given(answers())
def test_what_came_goes_back_as_it_came(pair: tuple[dict[str, Any], bytes]) -> None:
    """Contract 4 for one vendor: its own blocks are sent back unchanged, text aside."""
    payload, body = pair
    response, error = collect(streamed(MessagesDecoder(), [body]))
    request = ChatRequest(messages=(Message.user("x"), response.message))
    encoded = from_json(Anthropic("m", "").http_request(request, stream=False).body)["messages"][1:]
    returned = [block for message in encoded for block in message["content"] if block["type"] != "text"]
    wanted = [
        block
        for block in payload["content"]
        if block["type"] != "text" and (block["type"] != "thinking" or block["signature"])
    ]
    if error is not None:
        del wanted[-1]  # the call that was cut off
    ids: set[str] = set()
    for block in wanted:
        if block["type"] == "tool_use" and block["id"] in ids:
            return  # the second of two calls with one id gets another
        ids.add(block.get("id", ""))
    assert returned == wanted


KEYS = [
    "type",
    "index",
    "delta",
    "content_block",
    "message",
    "text",
    "thinking",
    "signature",
    "partial_json",
    "usage",
]
KEYS += ["error", "id", "model", "stop_reason", "name", "input", "content", "input_tokens", "data"]
TYPES = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "error",
]
TYPES += [
    "text",
    "thinking",
    "tool_use",
    "text_delta",
    "thinking_delta",
    "input_json_delta",
    "signature_delta",
    "x",
    "",
]
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(TYPES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)


@settings(max_examples=examples(2), deadline=None)
@given(st.lists(ODD | st.binary(max_size=30), max_size=5), st.booleans())
def test_garbage_is_an_answer(events: list[Any], ends: bool) -> None:
    lines = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    chunks = streamed(MessagesDecoder(), [event_stream(*lines, *([STOP] if ends else []))])
    check_valid(chunks)


@settings(max_examples=examples(2), deadline=None)
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
        check_valid(streamed(MessagesDecoder(), [event_stream(*lines, STOP)]))
    check_whole(spoiled(payload, chance))


@settings(max_examples=examples(2), deadline=None)
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
        response = MessagesDecoder().whole(payload)
    except TakoError as error:
        assert not isinstance(error, InvalidInput)
        response = error.partial
    assert ChatResponse.model_validate_json(response.model_dump_json()) == response
