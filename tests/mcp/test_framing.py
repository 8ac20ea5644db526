"""Lines: what divides texts, every cut, the limit and the cost; and that all framings have the same face."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tako.errors import ProtocolError
from tako.mcp.framing import MAX_TEXT, Framing, Lines
from tako.wire import END, NEED_DATA
from tako.wire.grpc import GrpcStream
from tako.wire.websocket import WebSocketClient

BYTES = st.lists(
    st.sampled_from(
        [b"{", b"}", b"\n", b"\r", b"\r\n", b" ", b'{"a":1}\n', b"\xe2\x80\xa8", b"{}\r\n", b"x"]
    ),
    max_size=30,
).map(b"".join)


def oracle(data: bytes, limit: int) -> tuple[list[bytes], bool]:
    """The texts of a whole input, and whether it fails; slow and obvious."""
    texts = []
    for line in data.split(b"\n"):
        line = line[:-1] if line.endswith(b"\r") else line
        if len(line) > limit:
            return texts, True
        if line.strip(b" \t\r"):
            texts.append(line)
    return texts, False


def outcome(framing: Framing, pieces: list[bytes]) -> tuple[list[bytes], bool]:
    texts: list[bytes] = []
    for piece in (*pieces, b""):
        framing.receive_data(piece)
        try:
            while isinstance(text := framing.next_text(), bytes):
                texts.append(text)
        except ProtocolError:
            assert framing.is_over
    if not framing.is_over:
        raise AssertionError("the input has ended, and it is not over")
    try:
        assert framing.next_text() is END
    except ProtocolError:
        return texts, True
    return texts, False


@given(BYTES, st.lists(st.integers(0, 200), max_size=8), st.integers(1, 40))
@example(b"{}\n{}\n", [], 9)
def test_every_cut_gives_the_same_texts(data: bytes, places: list[int], limit: int) -> None:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    some = [data[start:end] for start, end in pairwise(edges) if start < end]
    lines = data.splitlines(keepends=True)
    for pieces in ([data] if data else [], some, [data[at : at + 1] for at in range(len(data))], lines):
        assert outcome(Lines(limit), [piece for piece in pieces if piece]) == oracle(data, limit)


@given(st.lists(st.text(min_size=1).map(lambda text: f'"{text}"'.replace("\n", "")), max_size=5))
def test_what_is_written_is_read(texts: list[str]) -> None:
    lines = Lines()
    assert lines.opening() == b""
    for text in texts:
        wire = lines.encode(text.encode())
        if not wire.endswith(b"\r\n"):
            lines.receive_data(wire)
            assert lines.next_text() == text.encode()
        assert lines.next_text() is NEED_DATA
    lines.goodbye()
    assert lines.data_to_send() == b"" and not lines.is_over


def test_after_a_failure_or_the_end_nothing_counts() -> None:
    lines = Lines(8)
    lines.receive_data(b'{"a":1}\n' + b"x" * 9 + b"\n")
    assert lines.next_text() == b'{"a":1}'
    for _ in range(2):
        with pytest.raises(ProtocolError, match="more than 8 bytes"):
            lines.next_text()
        lines.receive_data(b"{}\n")
    ended = Lines()
    ended.receive_data(b"")
    ended.receive_data(b"{}\n")
    assert ended.next_text() is END


def test_the_longest_line_fits_and_no_longer_one() -> None:
    line = b"{" + b"x" * 8 + b"}"
    for end in (b"\n", b"\r\n"):
        assert outcome(Lines(10), [line + end]) == ([line], False)
        assert outcome(Lines(9), [line + end]) == ([], True)


def test_memory_is_bounded() -> None:
    lines = Lines()
    tracemalloc.start()
    try:
        for _ in range(40):
            lines.receive_data(b"x" * 1024 * 1024)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    with pytest.raises(ProtocolError, match="16,777,216"):
        lines.next_text()
    assert peak < 3 * MAX_TEXT


def calls(work: Callable[[], object]) -> int:
    count = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count - 1  # taking the profile off


def test_calls_for_a_line_that_comes_alone() -> None:
    lines = Lines()

    def work() -> None:
        for _ in range(100):
            lines.receive_data(b'{"jsonrpc":"2.0","id":1,"result":{}}\n')
            while type(lines.next_text()) is bytes:
                pass

    assert calls(work) / 100 <= 9


def test_calls_for_a_byte_do_not_grow() -> None:
    def fed(count: int) -> Callable[[], None]:
        lines = Lines()

        def work() -> None:
            for _ in range(count):
                lines.receive_data(b"x")
                lines.next_text()

        return work

    few, many = calls(fed(100)) / 100, calls(fed(2000)) / 2000
    assert many == pytest.approx(few, rel=0.1)


@pytest.mark.parametrize(
    "framing",
    [
        Lines(),
        WebSocketClient("a.example", "/", max_text=MAX_TEXT),
        GrpcStream("a.example", "/s/m", scheme="http", max_text=MAX_TEXT),
    ],
    ids=lambda framing: type(framing).__name__,
)
def test_all_framings_have_the_same_face(framing: Framing) -> None:
    assert isinstance(framing.opening(), bytes)
    assert framing.next_text() is NEED_DATA
    assert isinstance(framing.encode(b"{}"), bytes)
    assert not framing.is_over
    framing.goodbye()
    assert isinstance(framing.data_to_send(), bytes)
    framing.receive_data(b"")
    assert framing.next_text() is END and framing.is_over
