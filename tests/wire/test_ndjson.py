"""The NDJSON parser: what divides lines and what does not, every cut, and the limits."""

from __future__ import annotations

import itertools
import json
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.errors import InvalidInput, ProtocolError
from tako.wire import END, NEED_DATA
from tako.wire.ndjson import NDJSONParser

UNLIMITED = 10**9


def oracle(data: bytes, limit: int = UNLIMITED) -> tuple[list[bytes], bool]:
    """The lines of a whole input and whether it fails; slow and obvious, a byte at a time."""
    raw_lines = [b""]
    for value in data:
        if value == 0x0A:
            raw_lines.append(b"")
        else:
            raw_lines[-1] += bytes([value])
    lines: list[bytes] = []
    for line in raw_lines:
        if line.endswith(b"\r"):
            line = line[:-1]
        if len(line) > limit:
            return lines, True
        if any(value not in b" \t\r" for value in line):
            lines.append(line)
    return lines, False


def by_feed(pieces: list[bytes], limit: int = UNLIMITED) -> tuple[list[bytes], bool]:
    parser = NDJSONParser(max_line_size=limit)
    lines: list[bytes] = []
    failed = False
    for piece in [*pieces, b""]:
        try:
            lines += parser.feed(piece)
        except ProtocolError:
            failed = True
    return lines, failed


def by_next_event(pieces: list[bytes], limit: int = UNLIMITED) -> tuple[list[bytes], bool]:
    parser = NDJSONParser(max_line_size=limit)
    lines: list[bytes] = []
    failed = False
    for piece in [*pieces, b""]:
        try:
            parser.receive_data(piece)
            while isinstance(line := parser.next_event(), bytes):
                lines.append(line)
            assert line is (NEED_DATA if piece else END)
        except ProtocolError:
            failed = True
    return lines, failed


def single_bytes(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(place for place in places if place < len(data))})
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


FRAGMENTS = st.one_of(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b" ", b"\t", b"\x0b", b"\0", b"\r\r\n"]),
    st.sampled_from(["\u2028".encode(), "\u0085".encode(), "é\U0001f419".encode(), b"\xe2\x80", b"\xff"]),
    st.sampled_from([b"{}", b'{"a":1}\n', b"[]\r\n", b"1", b'"x"']),
    st.binary(max_size=4),
)
STREAMS = st.lists(FRAGMENTS, max_size=24).map(b"".join)
CUTS = st.lists(st.integers(0, 80), max_size=10)


@settings(deadline=None)
@given(STREAMS, CUTS, st.one_of(st.just(UNLIMITED), st.integers(1, 8)))
def test_agrees_with_the_oracle_under_every_cut(data: bytes, places: list[int], limit: int) -> None:
    whole = oracle(data, limit)
    for pieces in ([data] if data else [], cut(data, places), single_bytes(data)):
        assert by_feed(pieces, limit) == whole
        assert by_next_event(pieces, limit) == whole


@settings(deadline=None)
@given(st.lists(st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=4)), st.booleans())
def test_what_is_written_is_read(values: list[object], carriage_return: bool) -> None:
    end = "\r\n" if carriage_return else "\n"
    data = "".join(json.dumps(value, ensure_ascii=False) + end for value in values)
    raw = data.encode("utf-8", "surrogatepass")
    lines, failed = by_feed([raw] if raw else [])
    assert [json.loads(line.decode("utf-8", "surrogatepass")) for line in lines] == values
    assert not failed


@settings(deadline=None)
@given(STREAMS)
def test_a_truncated_stream_gives_the_first_lines_and_the_start_of_the_next(data: bytes) -> None:
    whole, _ = by_feed([data] if data else [])
    for end in range(1, len(data)):
        lines, _ = by_feed([data[:end]])
        assert lines[:-1] == whole[: max(len(lines) - 1, 0)]
        if lines and lines[-1] != whole[len(lines) - 1]:
            assert whole[len(lines) - 1].startswith(lines[-1].rstrip(b"\r"))


def test_only_line_feeds_divide() -> None:
    line = '{"text":"a\u2028b\u2029c\u0085d\x0be\x0cf"}'.encode()
    assert NDJSONParser().feed(line + b"\r{}\n" + line + b"\r\n") == [line + b"\r{}", line]


def test_blank_lines_are_no_lines() -> None:
    assert NDJSONParser().feed(b"\n\r\n  \n\t\r\n {}\n\n") == [b" {}"]


def test_the_last_line_needs_no_end() -> None:
    parser = NDJSONParser()
    parser.receive_data(b"1\n2")
    assert parser.next_event() == b"1"
    assert parser.next_event() is NEED_DATA
    parser.receive_data(b"")
    assert parser.next_event() == b"2"
    assert parser.next_event() is END
    parser.receive_data(b"")
    assert parser.next_event() is END
    with pytest.raises(InvalidInput, match="one NDJSONParser for each"):
        parser.feed(b"3")


@pytest.mark.parametrize(
    ("data", "failed"),
    [
        (b"12345\n", False),
        (b"123456\n", True),
        (b"12345\r\n", False),
        (b"12345\r", False),
        (b"12345\r\r\n", True),
        (b"12345", False),
        (b"123456", True),
        (b"1234\n" * 9, False),
        (b"      \n", True),
    ],
)
def test_the_limit_is_exact(data: bytes, failed: bool) -> None:
    for pieces in ([data], single_bytes(data)):
        assert by_feed(pieces, 5)[1] is failed


def test_lines_before_a_failure_come_first_and_the_failure_stays() -> None:
    parser = NDJSONParser(max_line_size=4)
    parser.receive_data(b"1\n2\n12345\n3\n")
    assert parser.next_event() == b"1"
    assert parser.next_event() == b"2"
    for _ in range(2):
        with pytest.raises(ProtocolError, match=r"more than 4 bytes.*max_line_size") as caught:
            parser.next_event()
        assert caught.value.phase == "decode"
        for piece in (b"3\n", b""):
            with pytest.raises(ProtocolError):
                parser.receive_data(piece)
            with pytest.raises(ProtocolError):
                parser.feed(piece)


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidInput, match="max_line_size"):
        NDJSONParser(max_line_size=0)


def test_memory_is_bounded() -> None:
    limit = 256 * 1024
    parser = NDJSONParser(max_line_size=limit)
    parser.feed(b"\n")
    tracemalloc.start()
    try:
        for _ in range(400):
            parser.feed(b"x" * 4096)
    except ProtocolError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 3 * limit


def count_calls(pieces: list[bytes]) -> int:
    calls = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        if event in ("call", "c_call"):
            calls += 1

    feed = NDJSONParser().feed
    sys.setprofile(profile)
    try:
        for piece in pieces:
            feed(piece)
    finally:
        sys.setprofile(None)
    return calls


def test_calls_for_a_line() -> None:
    count = 4000
    data = b'{"message":{"role":"assistant","content":" fox"},"done":false}\n' * count
    pieces = [data[start : start + 16384] for start in range(0, len(data), 16384)]
    assert count_calls(pieces) / count < 2.3


@pytest.mark.parametrize("line", [b"{}\n", b"[1]\r\n", b"x" * 400 + b"\n"])
def test_calls_for_a_byte_do_not_grow(line: bytes) -> None:
    few, many = single_bytes(line * 20), single_bytes(line * 200)
    assert count_calls(many) / len(many) < 9
    assert count_calls(many) / len(many) == pytest.approx(count_calls(few) / len(few), rel=0.05)
