"""ChunkedDecoder against h11, which reads the same bytes as a whole answer."""

from __future__ import annotations

from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import ProtocolError, TakoError, TransportError
from tako.wire import END, NEED_DATA
from tako.wire.chunked import MAX_LINE, MAX_TRAILERS, ChunkedDecoder

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def encode(
    chunks: list[bytes], *, extension: bytes = b"", trailers: bytes = b"", upper: bool = False
) -> bytes:
    size = b"%X" if upper else b"%x"
    body = b"".join(size % len(chunk) + extension + b"\r\n" + chunk + b"\r\n" for chunk in chunks)
    return body + b"0" + extension + b"\r\n" + trailers + b"\r\n"


def decode(*pieces: bytes) -> tuple[bytes, str, bytes]:
    """The body, how it ended, and what followed."""
    decoder = ChunkedDecoder()
    body = bytearray()
    for piece in pieces:
        if not piece:
            continue
        decoder.receive_data(piece)
        try:
            while isinstance(event := decoder.next_event(), bytes):
                body += event
        except TakoError as error:
            return bytes(body), type(error).__name__, b""
        assert event is (END if decoder.ended else NEED_DATA)
    decoder.receive_data(b"")
    try:
        while isinstance(event := decoder.next_event(), bytes):
            body += event
    except TakoError as error:
        return bytes(body), type(error).__name__, b""
    return bytes(body), "END", decoder.trailing


def decode_with_h11(data: bytes) -> tuple[bytes, str]:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "h")]))
    client.send(h11.EndOfMessage())
    client.receive_data(HEAD + data)
    body = bytearray()
    try:
        while True:
            event = client.next_event()
            if isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return bytes(body), "END"
            elif event is h11.NEED_DATA:
                return bytes(body), "TransportError"
    except h11.RemoteProtocolError:
        return bytes(body), "ProtocolError"


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


bodies = st.lists(st.binary(min_size=1, max_size=40), max_size=8)
extensions = st.sampled_from([b"", b";a", b";a=b", b'; a="b c"', b" "])
trailers = st.sampled_from([b"", b"x-sum: 1\r\n", b"a: b\r\nc:\r\n"])
cuts = st.lists(st.integers(0, 2000), max_size=6)


@given(bodies, extensions, trailers, st.booleans(), cuts)
def test_the_body_is_what_the_chunks_hold_however_they_are_cut(
    chunks: list[bytes], extension: bytes, trailer: bytes, upper: bool, places: list[int]
) -> None:
    data = encode(chunks, extension=extension, trailers=trailer, upper=upper)
    assert decode(*cut(data + b"next", places)) == (b"".join(chunks), "END", b"next")
    assert decode_with_h11(data) == (b"".join(chunks), "END")


@given(bodies, trailers)
def test_every_byte_alone(chunks: list[bytes], trailer: bytes) -> None:
    data = encode(chunks, trailers=trailer)
    assert decode(*(data[i : i + 1] for i in range(len(data)))) == (b"".join(chunks), "END", b"")


@given(bodies, trailers)
def test_truncated_anywhere_it_never_looks_whole(chunks: list[bytes], trailer: bytes) -> None:
    data = encode(chunks, trailers=trailer)
    for end in range(len(data)):
        body, outcome, _ = decode(data[:end])
        assert outcome == "TransportError"
        assert b"".join(chunks).startswith(body)


@given(bodies, trailers, st.integers(0, 400), st.binary(min_size=1, max_size=3), cuts)
def test_garbage_ends_as_in_h11(
    chunks: list[bytes], trailer: bytes, place: int, garbage: bytes, places: list[int]
) -> None:
    data = encode(chunks, trailers=trailer)
    place %= len(data)
    data = data[:place] + garbage + data[place + len(garbage) :]
    whole = decode(data)
    body, outcome = decode_with_h11(data)
    assert decode(*cut(data, places))[:2] == whole[:2]
    if outcome == "END" or whole[1] == "END":
        assert whole[:2] == (body, outcome)
    assert (outcome == "ProtocolError") <= (whole[1] != "END")


@given(st.binary(max_size=60), cuts)
def test_any_bytes_are_an_answer(data: bytes, places: list[int]) -> None:
    assert decode(*cut(data, places))[:2] == decode(data)[:2]


def test_one_event_for_all_chunks_that_arrived() -> None:
    decoder = ChunkedDecoder()
    decoder.receive_data(encode([b"one", b"two", b"three"]))
    assert decoder.next_event() == b"onetwothree"
    assert decoder.ended
    assert decoder.next_event() is END
    assert decoder.next_event() is END


def test_a_part_of_a_chunk_is_handed_over_at_once() -> None:
    decoder = ChunkedDecoder()
    decoder.receive_data(b"ff\r\nhalf")
    assert decoder.next_event() == b"half"
    assert decoder.next_event() is NEED_DATA


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"x\r\n", "not a number"),
        (b"-1\r\n", "not a number"),
        (b"0x1\r\n", "not a number"),
        (b"1_0\r\n", "not a number"),
        (b"\r\n", "not a number"),
        (b"12345678901234567\r\n", "not a number"),
        (b"1" + b" " * MAX_LINE, "not a number"),
        (b"1;" + b"e" * MAX_LINE + b"\r\n", "not a number"),
        (b"1\r\nab\r\n", "longer"),
        (b"0\r\nno header\r\n", "not a header"),
        (b"0\r\na:" + b"b" * MAX_LINE, "not a header"),
        (b"0\r\n" + b"a: b\r\n" * (MAX_TRAILERS // 6 + 1), "too long"),
    ],
)
def test_what_is_no_chunk_is_a_sticky_error(data: bytes, words: str) -> None:
    decoder = ChunkedDecoder()
    decoder.receive_data(b"4\r\ngood\r\n" + data)
    event = decoder.next_event()
    assert isinstance(event, bytes) and event in (b"good", b"gooda")
    for _ in range(2):
        with pytest.raises(ProtocolError, match=words) as caught:
            while decoder.next_event() != NEED_DATA:
                pass
        assert caught.value.phase == "body"
    decoder.receive_data(b"4\r\ngood\r\n")
    with pytest.raises(ProtocolError):
        decoder.next_event()


def test_the_end_of_the_input_is_a_sticky_error() -> None:
    decoder = ChunkedDecoder()
    decoder.receive_data(b"4\r\ngo")
    decoder.receive_data(b"")
    assert decoder.next_event() == b"go"
    for _ in range(2):
        with pytest.raises(TransportError) as caught:
            decoder.next_event()
        assert caught.value.phase == "body"
