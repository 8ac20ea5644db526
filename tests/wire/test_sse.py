"""The SSE parser against the WHATWG algorithm, under every cut, and within its limits."""

from __future__ import annotations

import base64
import itertools
import json
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.errors import InvalidInput, ProtocolError
from tako.wire import END, NEED_DATA
from tako.wire.sse import ServerSentEvent, SSEParser
from tests.effort import examples

VECTORS = Path(__file__).parents[2].parent / "shared" / "corpus" / "vectors" / "sse.jsonl"

UNLIMITED = 10**9


class Outcome(NamedTuple):
    """All that can be seen of a parser after a whole input."""

    events: list[ServerSentEvent]
    last_event_id: str
    retry: int | None
    failed: bool


# The oracle: section 9.2.6, one byte and then one line at a time. Slow, obvious, and written from
# the standard alone.


def oracle_lines(data: bytes) -> tuple[list[bytes], bytes]:
    """The lines that have an end, and what comes after the last of them."""
    lines: list[bytes] = []
    line = b""
    position = 0
    while position < len(data):
        byte = data[position : position + 1]
        position += 1
        if byte == b"\r":
            if data[position : position + 1] == b"\n":
                position += 1
            lines.append(line)
            line = b""
        elif byte == b"\n":
            lines.append(line)
            line = b""
        else:
            line += byte
    return lines, line


def oracle(data: bytes, limit: int = UNLIMITED) -> Outcome:
    if data.startswith(b"\xef\xbb\xbf"):
        data = data[3:]
    lines, tail = oracle_lines(data)
    events: list[ServerSentEvent] = []
    data_buffer, type_buffer, id_buffer, last_event_id = b"", "", "", ""
    retry: int | None = None
    for line in lines:
        if len(line) > limit:
            return Outcome(events, last_event_id, retry, True)
        if line == b"":
            last_event_id = id_buffer
            if data_buffer != b"":
                text = data_buffer[:-1].decode("utf-8", "replace")
                events.append(ServerSentEvent(type_buffer or "message", text, last_event_id))
            data_buffer, type_buffer = b"", ""
            continue
        if line.startswith(b":"):
            continue
        if b":" in line:
            field, value = line.split(b":", 1)
            if value.startswith(b" "):
                value = value[1:]
        else:
            field, value = line, b""
        if field == b"event":
            type_buffer = value.decode("utf-8", "replace")
        elif field == b"data":
            data_buffer += value + b"\n"
            if len(data_buffer) > limit:
                return Outcome(events, last_event_id, retry, True)
        elif field == b"id":
            if b"\x00" not in value:
                id_buffer = value.decode("utf-8", "replace")
        elif field == b"retry" and value != b"" and all(byte in b"0123456789" for byte in value):
            retry = int(value)
    return Outcome(events, last_event_id, retry, len(tail) > limit)


# Three ways to read a parser; all must show the same.


def by_feed(pieces: list[bytes], limit: int = UNLIMITED) -> Outcome:
    parser = SSEParser(max_event_size=limit)
    events: list[ServerSentEvent] = []
    failed = False
    for piece in [*pieces, b""]:
        try:
            events += parser.feed(piece)
        except ProtocolError:
            failed = True
    return Outcome(events, parser.last_event_id, parser.retry, failed)


def by_next_event(pieces: list[bytes], limit: int = UNLIMITED) -> Outcome:
    parser = SSEParser(max_event_size=limit)
    events: list[ServerSentEvent] = []
    failed = False
    for piece in [*pieces, b""]:
        try:
            parser.receive_data(piece)
            while isinstance(event := parser.next_event(), ServerSentEvent):
                events.append(event)
            assert event is (NEED_DATA if piece else END)
        except ProtocolError:
            failed = True
    return Outcome(events, parser.last_event_id, parser.retry, failed)


def data_by_feed_data(pieces: list[bytes], limit: int = UNLIMITED) -> tuple[list[str], bool]:
    parser = SSEParser(max_event_size=limit)
    payloads: list[bytes] = []
    failed = False
    for piece in [*pieces, b""]:
        try:
            payloads += parser.feed_data(piece)
        except ProtocolError:
            failed = True
    return [payload.decode("utf-8", "replace") for payload in payloads], failed


def single_bytes(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(place for place in places if place < len(data))})
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


# Mostly lines that mean something, with every line end; now and then what nobody would send.
FIELDS = [
    b"data: a",
    b"data:b",
    b"data",
    b"data:",
    b"data: ",
    b"data:  ",
    b"data: \0",
    b"data : c",
    b" data: d",
]
FIELDS += [b"event: f", b"event:g", b"event", b"event: ", b"event: \xff", b"id: 1", b"id:2", b"id", b"id: \0"]
FIELDS += [b"id: \xe2\x80", b"retry: 5", b"retry:", b"retry: x", b": comment", b":", b"data: \xed\xa0\x80"]
FIELDS += ["data: é€\U0001f419".encode(), "data: h\u2028i\u0085j\x0bk".encode()]
LINES = [field + end for field in [*FIELDS, *[b""] * 12] for end in (b"\n", b"\r\n", b"\r")]
LINES += [b"data: l\n\n", b"event: m\ndata: {}\n\n", b"event:n\r\ndata:o\r\n\r\n"] * 4
LINES += ["data: p\u2028q\n\n".encode(), b"id: 3\ndata: r\n\n", b"event: s\ndata: t\ndata: u\n\n"] * 4
RUBBISH = [b"data", b"event", b"id", b"retry", b":", b": ", b" ", b"\n", b"\r", b"\0", b"7", b"\xef\xbb\xbf"]
RUBBISH += [b"\xef", b"\xbb", b"\xe2\x80", b"\xf0\x9f", b"\xff"]
PARTS = st.sampled_from(LINES) | st.sampled_from(LINES * 4 + RUBBISH) | st.binary(max_size=3)
STARTS = st.sampled_from([b"", b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf", b"\xef\xbb"])
# Two sizes, as a list has five parts on average where it may be empty.
BODIES = (st.lists(PARTS, max_size=8) | st.lists(PARTS, min_size=8, max_size=24)).map(b"".join)
STREAMS = st.builds(bytes.__add__, STARTS, BODIES)
CUTS = st.lists(st.integers(0, 120), max_size=12)


# The algorithm


@settings(deadline=None, max_examples=examples(4))
@given(STREAMS)
def test_agrees_with_the_standard(data: bytes) -> None:
    assert by_feed([data]) == oracle(data)


@settings(deadline=None, max_examples=examples(4))
@given(STREAMS, CUTS)
def test_every_way_of_reading_and_of_cutting_gives_the_same(data: bytes, places: list[int]) -> None:
    whole = oracle(data)
    for pieces in (cut(data, places), single_bytes(data)):
        assert by_feed(pieces) == whole
        assert by_next_event(pieces) == whole
        assert data_by_feed_data(pieces) == ([event.data for event in whole.events], False)


@settings(deadline=None, max_examples=examples(4))
@given(STREAMS)
def test_cutting_before_decoding_loses_nothing(data: bytes) -> None:
    decoded_first = data.decode("utf-8", "replace").encode()
    assert by_feed([data]) == by_feed([decoded_first])


@settings(deadline=None, max_examples=examples(4))
@given(STREAMS)
def test_a_truncated_stream_gives_the_first_of_its_events(data: bytes) -> None:
    whole = by_feed([data]).events
    for end in range(len(data)):
        events = by_feed([data[:end]]).events
        assert events == whole[: len(events)]


def vectors() -> list[dict[str, Any]]:
    if not VECTORS.exists():
        return []
    with VECTORS.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.mark.skipif(not VECTORS.exists(), reason="the recorded SSE vectors are not beside this repository")
def test_recorded_vectors() -> None:
    recorded = vectors()
    assert len(recorded) > 50
    for vector in recorded:
        chunks = [base64.b64decode(chunk) for chunk in vector["chunks_b64"]]
        wanted = [ServerSentEvent(event["event"], event["data"], event["id"]) for event in vector["events"]]
        for pieces in (chunks, [b"".join(chunks)], single_bytes(b"".join(chunks))):
            outcome = by_feed([piece for piece in pieces if piece])
            assert outcome.events == wanted, vector["name"]
            if "retry" in vector:
                assert outcome.retry == vector["retry"], vector["name"]


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"data: 1\r\ndata: 2\r\n\r\n", [("message", "1\n2", "")]),
        (b"event: a\ndata: 1\n\ndata: 2\n\n", [("a", "1", ""), ("message", "2", "")]),
        (b"event: a\nid: 3\ndata: 1\n\ndata: 2\n\n", [("a", "1", "3"), ("message", "2", "3")]),
        (b"event: a\n\ndata: 1\n\n", [("message", "1", "")]),
        (b"event: a\nevent: b\ndata: 1\n\n", [("b", "1", "")]),
        (b"event: \ndata: \n\ndata:  \n\n", [("message", "", ""), ("message", " ", "")]),
        (b"data: 1\nevent: a\ndata: 2\n\n", [("a", "1\n2", "")]),
        (b"\n\ndata\n\n:\n\n", [("message", "", "")]),
        ("data: é\u2028\n\n".encode(), [("message", "é\u2028", "")]),
    ],
)
def test_what_is_easily_got_wrong(data: bytes, events: list[tuple[str, str, str]]) -> None:
    wanted = [ServerSentEvent(*event) for event in events]
    for place in range(1, len(data)):
        assert by_feed([data[:place], data[place:]]).events == wanted
    assert by_feed([data]).events == wanted


def test_an_event_is_given_at_the_lone_cr_that_ends_it() -> None:
    parser = SSEParser()
    assert parser.feed(b"data: 1\r\n\r") == [ServerSentEvent("message", "1", "")]
    assert parser.feed(b"\n") == []
    assert parser.feed(b"\r\ndata: 2\r\r") == [ServerSentEvent("message", "2", "")]


def test_only_a_blank_line_makes_an_id_the_last_event_id() -> None:
    parser = SSEParser()
    assert parser.feed(b"id: 1\n") == []
    assert parser.last_event_id == ""
    assert parser.feed(b"\n") == []
    assert parser.last_event_id == "1"
    assert parser.feed(b"id: 2\0\ndata: x\n\nid: 3\ndata: y") == [ServerSentEvent("message", "x", "1")]
    assert parser.feed(b"") == []
    assert parser.last_event_id == "1"


@pytest.mark.parametrize(
    ("value", "retry"),
    [(b"0", 0), (b"0030", 30), (b"", 7), (b"-1", 7), (b"1.5", 7), (b" 1", 7), ("\u0663".encode(), 7)],
)
def test_retry_is_ascii_digits_or_ignored(value: bytes, retry: int) -> None:
    assert by_feed([b"retry:7\nretry: " + value + b"\n"]).retry == retry


def test_a_retry_that_no_one_could_wait_for_is_ignored() -> None:
    assert by_feed([b"retry: 7\nretry: " + b"9" * 10_000 + b"\n"]).retry == 7


def test_feed_data_does_not_decode() -> None:
    assert SSEParser().feed_data(b"data: \xff\n\n") == [b"\xff"]
    assert SSEParser().feed(b"data: \xff\n\n") == [ServerSentEvent("message", "\ufffd", "")]


# The end of the input


def test_end_of_input() -> None:
    parser = SSEParser()
    parser.receive_data(b"data: 1\n\ndata: 2\n")
    parser.receive_data(b"")
    assert parser.next_event() == ServerSentEvent("message", "1", "")
    assert parser.next_event() is END
    parser.receive_data(b"")
    assert parser.next_event() is END
    with pytest.raises(InvalidInput, match="one SSEParser for each"):
        parser.receive_data(b"\n")
    with pytest.raises(InvalidInput):
        parser.feed(b"\n")


# Limits


@settings(deadline=None, max_examples=examples(4))
@given(STREAMS, CUTS, st.integers(2, 20))
def test_limits_do_not_depend_on_the_cut(data: bytes, places: list[int], limit: int) -> None:
    # From 2, because two bytes that may become a byte order mark are held back and not counted.
    whole = oracle(data, limit)
    for pieces in ([data] if data else [], cut(data, places), single_bytes(data)):
        assert by_feed(pieces, limit) == whole
        assert by_next_event(pieces, limit) == whole
        assert data_by_feed_data(pieces, limit) == ([event.data for event in whole.events], whole.failed)


@pytest.mark.parametrize(
    ("data", "failed"),
    [
        (b"data: 4567\n\n", False),
        (b"data: 45678\n\n", True),
        (b"data: 4567\r\n\r\n", False),
        (b"\xef\xbb\xbfdata: 4567\n\n", False),
        (b":123456789", False),
        (b":1234567890", True),
        (b"data:45678\ndata:123\n\n", False),
        (b"data:45678\ndata:1234\n\n", True),
        (b"data\n" * 10 + b"\n", False),
        (b"data\n" * 11 + b"\n", True),
        (b":comment\n" * 20, False),
    ],
)
def test_the_limit_is_exact(data: bytes, failed: bool) -> None:
    for pieces in ([data], single_bytes(data)):
        assert by_feed(pieces, 10).failed is failed


def test_events_before_a_failure_come_first_and_the_failure_stays() -> None:
    parser = SSEParser(max_event_size=20)
    parser.receive_data(b"data: 1\n\ndata: 2\n\n:" + b"x" * 20)
    assert parser.next_event() == ServerSentEvent("message", "1", "")
    assert parser.next_event() == ServerSentEvent("message", "2", "")
    for _ in range(2):
        with pytest.raises(ProtocolError, match=r"more than 20 bytes.*max_event_size") as caught:
            parser.next_event()
        assert caught.value.phase == "decode"
        with pytest.raises(ProtocolError):
            parser.receive_data(b"data: 3\n\n")

    parser = SSEParser(max_event_size=20)
    assert len(parser.feed(b"data: 1\n\ndata: 2\n\n:" + b"x" * 20)) == 2
    for piece in (b"data: 3\n\n", b"", b""):
        with pytest.raises(ProtocolError):
            parser.feed(piece)
        with pytest.raises(ProtocolError):
            parser.feed_data(piece)


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="max_event_size"):
        SSEParser(max_event_size=0)


@pytest.mark.parametrize("piece", [b"x" * 4096, b"data: y\n" * 512, b"data\n" * 800, b": comment\n" * 400])
def test_memory_is_bounded(piece: bytes) -> None:
    limit = 64 * 1024
    parser = SSEParser(max_event_size=limit)
    parser.feed(b"\n")
    tracemalloc.start()
    try:
        for _ in range(100):
            parser.feed(piece)
    except ProtocolError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 3 * limit


# Work, counted in function calls, which no busy machine can disturb


def count_calls(function: Callable[[], object]) -> int:
    calls = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        if event in ("call", "c_call"):
            calls += 1

    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


UNNAMED = b'data: {"choices":[{"index":0,"delta":{"content":" fox"}}]}\n\n'
NAMED = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0}\n\n'


@pytest.mark.parametrize(
    ("block", "calls_of_feed_data", "calls_of_feed"), [(UNNAMED, 1.3, 3.3), (NAMED, 1.3, 4.3)]
)
def test_calls_for_an_event(block: bytes, calls_of_feed_data: float, calls_of_feed: float) -> None:
    count = 4000
    data = block * count
    pieces = [data[start : start + 16384] for start in range(0, len(data), 16384)]

    def run(feed: Callable[[bytes], list[Any]]) -> None:
        assert sum(len(feed(piece)) for piece in pieces) == count

    assert count_calls(lambda: run(SSEParser().feed_data)) / count < calls_of_feed_data
    assert count_calls(lambda: run(SSEParser().feed)) / count < calls_of_feed


@pytest.mark.parametrize("block", [UNNAMED, NAMED, b"data: line\n" * 9 + b"\n", b": \r\n\r\ndata:\r\n"])
def test_calls_for_a_byte_do_not_grow(block: bytes) -> None:
    def run(data: bytes) -> float:
        feed = SSEParser().feed
        pieces = single_bytes(data)
        return count_calls(lambda: [feed(piece) for piece in pieces]) / len(data)

    few, many = run(block * 20), run(block * 200)
    assert many < 9
    assert many == pytest.approx(few, rel=0.05)


def test_calls_for_a_byte_do_not_grow_in_one_long_event() -> None:
    def run(lines: int) -> float:
        feed = SSEParser().feed
        pieces = single_bytes(b"data: xyz\n" * lines)
        return count_calls(lambda: [feed(piece) for piece in pieces]) / len(pieces)

    assert run(2000) == pytest.approx(run(200), rel=0.05)
