"""The AWS event stream parser against botocore's, under every cut, truncation and flipped byte."""

from __future__ import annotations

import base64
import itertools
import json
import struct
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import InvalidInput, ProtocolError
from tako.wire import END, NEED_DATA
from tako.wire.eventstream import (
    EventStreamParser,
    Frame,
    HeaderValue,
    Identifier,
    Timestamp,
    encode_frame,
)

VECTORS = Path(__file__).parents[2].parent / "shared" / "corpus" / "vectors"
needs_vectors = pytest.mark.skipif(
    not VECTORS.is_dir(), reason="the recorded event stream vectors are not beside this repository"
)

FORMATS = {2: "!b", 3: "!h", 4: "!i", 5: "!q", 8: "!q"}


def lines(name: str) -> list[dict[str, Any]]:
    with (VECTORS / name).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def block_of(headers: list[tuple[str, int, Any]]) -> bytes:
    """Headers as bytes, each in the type that it says; written from the table and not with the encoder."""
    block = b""
    for name, kind, value in headers:
        raw = name.encode()
        block += bytes([len(raw)]) + raw + bytes([kind])
        if kind in FORMATS:
            block += struct.pack(FORMATS[kind], value)
        elif kind in (6, 7):
            data = value.encode() if kind == 7 else value
            block += struct.pack("!H", len(data)) + data
        elif kind == 9:
            block += value
    return block


def framed(block: bytes, payload: bytes = b"", *, headers_size: int | None = None) -> bytes:
    """A frame whose checksums are right, whatever it says."""
    size = len(block) if headers_size is None else headers_size
    sizes = struct.pack("!II", 16 + len(block) + len(payload), size)
    frame = sizes + struct.pack("!I", zlib.crc32(sizes)) + block + payload
    return frame + struct.pack("!I", zlib.crc32(frame))


def by_feed(pieces: list[bytes], **limits: int) -> tuple[list[Frame], bool]:
    parser = EventStreamParser(**limits)
    frames: list[Frame] = []
    failed = False
    for piece in [*pieces, b""]:
        try:
            frames += parser.feed(piece)
        except ProtocolError:
            failed = True
    return frames, failed


def by_next_event(pieces: list[bytes], **limits: int) -> tuple[list[Frame], bool]:
    parser = EventStreamParser(**limits)
    frames: list[Frame] = []
    failed = False
    for piece in [*pieces, b""]:
        try:
            parser.receive_data(piece)
            while isinstance(frame := parser.next_event(), Frame):
                frames.append(frame)
            assert frame is (NEED_DATA if piece else END)
        except ProtocolError:
            failed = True
    return frames, failed


def by_botocore(data: bytes) -> list[Frame]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return [Frame(message.headers, message.payload) for message in buffer]


def single_bytes(data: bytes) -> list[bytes]:
    return [data[index : index + 1] for index in range(len(data))]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(place for place in places if place < len(data))})
    return [data[start:end] for start, end in itertools.pairwise(bounds)]


def integers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)


NAMES = st.one_of(st.sampled_from([":message-type", ":event-type", "é"]), st.text(max_size=12))
TYPED = st.one_of(
    st.just((0, True)),
    st.just((1, False)),
    *(st.tuples(st.just(kind), integers(bits)) for kind, bits in ((2, 8), (3, 16), (4, 32), (5, 64))),
    st.tuples(st.just(6), st.binary(max_size=20)),
    st.tuples(st.just(7), st.text(max_size=20)),
    st.tuples(st.just(8), integers(64).map(Timestamp)),
    st.tuples(st.just(9), st.binary(min_size=16, max_size=16).map(Identifier)),
)
HEADERS = st.dictionaries(NAMES, TYPED, max_size=6)
MESSAGES = st.lists(st.tuples(HEADERS, st.binary(max_size=40)), max_size=5)
CUTS = st.lists(st.integers(0, 300), max_size=10)


def written(messages: list[tuple[dict[str, tuple[int, Any]], bytes]]) -> bytes:
    return b"".join(
        framed(block_of([(name, *typed) for name, typed in headers.items()]), payload)
        for headers, payload in messages
    )


def types_of(frames: list[Frame]) -> list[list[type]]:
    return [[type(value) for value in frame.headers.values()] for frame in frames]


@given(MESSAGES, CUTS)
def test_every_header_type_is_read_as_botocore_does_under_every_cut(
    messages: list[tuple[dict[str, tuple[int, Any]], bytes]], places: list[int]
) -> None:
    data = written(messages)
    wanted = [
        Frame({name: value for name, (_, value) in headers.items()}, payload) for headers, payload in messages
    ]
    assert by_botocore(data) == wanted
    for pieces in ([data] if data else [], cut(data, places), single_bytes(data)):
        for frames, failed in (by_feed(pieces), by_next_event(pieces)):
            assert (frames, failed) == (wanted, False)
            assert types_of(frames) == types_of(wanted)


@given(MESSAGES)
def test_what_is_written_is_read_here_and_by_botocore(
    messages: list[tuple[dict[str, tuple[int, Any]], bytes]],
) -> None:
    wanted = [
        Frame({name: value for name, (_, value) in headers.items()}, payload) for headers, payload in messages
    ]
    data = b"".join(encode_frame(frame.headers, frame.payload) for frame in wanted)
    frames, failed = by_feed([data] if data else [])
    assert (frames, failed) == (wanted, False)
    assert types_of(frames) == types_of(wanted)
    assert by_botocore(data) == wanted


@pytest.mark.parametrize(
    ("value", "kind"), [(-128, 2), (127, 2), (128, 3), (-32769, 4), (2**31, 5), (True, 0)]
)
def test_an_integer_is_written_in_the_smallest_type(value: int, kind: int) -> None:
    assert encode_frame({"n": value}) == framed(block_of([("n", kind, value)]))


@given(MESSAGES.filter(bool))
def test_a_truncated_stream_gives_the_whole_frames_and_fails(
    messages: list[tuple[dict[str, tuple[int, Any]], bytes]],
) -> None:
    data = written(messages)
    whole, _ = by_feed([data])
    bounds = list(itertools.accumulate((len(written([message])) for message in messages), initial=0))
    for end in range(1, len(data)):
        frames, failed = by_feed([data[:end]])
        count = sum(bound <= end for bound in bounds) - 1
        assert frames == whole[:count]
        assert failed is (end not in bounds)


@given(MESSAGES.filter(bool), st.integers(1, 255))
def test_a_flipped_byte_is_never_a_frame(
    messages: list[tuple[dict[str, tuple[int, Any]], bytes]], flip: int
) -> None:
    data = written(messages)
    whole, _ = by_feed([data])
    bounds = list(itertools.accumulate((len(written([message])) for message in messages), initial=0))
    for place in range(len(data)):
        spoiled = bytearray(data)
        spoiled[place] ^= flip
        frames, failed = by_feed([bytes(spoiled)])
        assert failed
        assert frames == whole[: sum(bound <= place for bound in bounds) - 1]


def vector_value(kind: str, value: Any) -> HeaderValue:
    if kind == "uuid":
        return Identifier(bytes.fromhex(value))
    if kind == "timestamp":
        return Timestamp(value)
    return base64.b64decode(value["b64"]) if kind == "bytes" else value


@needs_vectors
def test_recorded_frames() -> None:
    recorded = lines("eventstream.frames.jsonl")
    assert len(recorded) > 20
    for vector in recorded:
        data = base64.b64decode(vector["frame_b64"])
        for pieces in ([data], single_bytes(data)):
            frames, failed = by_feed(pieces)
            assert failed is (vector["expect"] == "error"), vector["name"]
            if failed:
                assert frames == [], vector["name"]
                continue
            headers = {name: vector_value(kind, value) for name, kind, value in vector["headers"]}
            assert frames == [Frame(headers, base64.b64decode(vector["payload_b64"]))], vector["name"]
            assert types_of(frames) == [[type(value) for value in headers.values()]], vector["name"]


@needs_vectors
def test_recorded_answers() -> None:
    recorded = lines("eventstream.bedrock.synthetic.jsonl")
    assert len(recorded) == 9
    for vector in recorded:
        body = base64.b64decode(vector["body_b64"])
        for pieces in ([body], single_bytes(body)):
            frames, failed = by_feed(pieces)
            # botocore ends without a word where the bytes end inside a frame; here that is a failure.
            assert failed is (vector["name"] == "truncated-in-the-middle-of-a-frame"), vector["name"]
            assert frames == by_botocore(body)
            events = [
                {frame.headers[":event-type"]: json.loads(frame.payload)}
                for frame in frames
                if frame.headers[":message-type"] == "event"
            ]
            known = [event for event in events if event in vector["events"]]
            assert known == vector["events"], vector["name"]
            assert len(events) - len(known) == (vector["name"] == "unknown-event-type-is-skipped")
            kinds = [frame.headers[":message-type"] for frame in frames]
            assert (kinds[-1] != "event") is (vector["error"] is not None), vector["name"]
            if vector["error"] is not None and vector["error"]["code"]:
                headers = frames[-1].headers
                code = headers.get(":exception-type") or headers.get(":error-code")
                assert code == vector["error"]["code"], vector["name"]


TWICE = block_of([("a", 0, True), ("a", 1, False)])


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (framed(TWICE), "'a' is there twice"),
        (framed(b"\x01a\x0a"), "unknown type 10"),
        (framed(b"\x01\xff\x00"), "name of a header is not UTF-8"),
        (framed(b"\x01a\x07\0\2\xc3("), "value of a header is not UTF-8"),
        (framed(b"\x01a\x07\0\3ab", b"cd"), "cut off"),
        (framed(b"\x01a\x06\0"), "cut off"),
        (framed(b"\x01a\x06"), "cut off"),
        (framed(b"\x01a\x05" + bytes(7), b"\0"), "cut off"),
        (framed(b"\x01a\x08" + bytes(7), b"\0"), "cut off"),
        (framed(b"\x01a\x09" + bytes(15), b"\0"), "cut off"),
        (framed(b"\x01a"), "cut off"),
        (framed(b"\x05a"), "cut off"),
        (framed(b"", b"x", headers_size=2), "smaller than what it holds"),
        (framed(b"", b"", headers_size=1)[:12], "smaller than what it holds"),
        (bytes(12), "checksum of a frame's sizes"),
        (framed(b"", b"x")[:-1] + b"\0", "checksum of a frame is"),
        (framed(b"", b"x")[:-1], "ends in the middle"),
        (b"\0", "ends in the middle"),
    ],
)
def test_what_is_no_frame_says_why(data: bytes, fault: str) -> None:
    for pieces in ([data], single_bytes(data)):
        parser = EventStreamParser()
        with pytest.raises(ProtocolError, match=fault) as caught:
            for piece in [*pieces, b""]:
                assert parser.feed(piece) == []
        assert caught.value.phase == "decode"


def test_a_spoiled_size_is_not_waited_for() -> None:
    """The first twelve bytes are enough to refuse what would never end."""
    sizes = struct.pack("!II", 0xFFFFFFFF, 0)
    with pytest.raises(ProtocolError, match="max_payload_size"):
        EventStreamParser().feed(sizes + struct.pack("!I", zlib.crc32(sizes)))
    with pytest.raises(ProtocolError, match="checksum"):
        EventStreamParser().feed(sizes + bytes(4))


@pytest.mark.parametrize(
    ("block", "payload", "failed"),
    [
        (b"", b"12345", False),
        (b"", b"123456", True),
        (b"\x04abcd\x00", b"", False),
        (b"\x05abcde\x00", b"", True),
        (b"\x04abcd\x00", b"12345", False),
    ],
)
def test_the_limits_are_exact(block: bytes, payload: bytes, failed: bool) -> None:
    data = framed(block, payload)
    for pieces in ([data], single_bytes(data)):
        assert by_feed(pieces, max_payload_size=5, max_headers_size=6)[1] is failed


def test_the_usual_limits_are_those_of_the_vendors_own_reader() -> None:
    parser = EventStreamParser()
    for headers_size, payload_size, failed in (
        (128 * 1024, 24 * 1024 * 1024, False),
        (128 * 1024 + 1, 0, True),
        (0, 24 * 1024 * 1024 + 1, True),
    ):
        sizes = struct.pack("!II", 16 + headers_size + payload_size, headers_size)
        parser, buffer = EventStreamParser(), EventStreamBuffer()
        parser.receive_data(sizes + struct.pack("!I", zlib.crc32(sizes)))
        buffer.add_data(sizes + struct.pack("!I", zlib.crc32(sizes)))
        if not failed:
            assert parser.next_event() is NEED_DATA
            assert list(buffer) == []
            continue
        with pytest.raises(ProtocolError):
            parser.next_event()
        with pytest.raises(Exception, match="exceeded the maximum"):
            list(buffer)


def test_limits_below_zero_are_refused() -> None:
    with pytest.raises(InvalidInput, match="negative"):
        EventStreamParser(max_payload_size=-1)
    with pytest.raises(InvalidInput, match="negative"):
        EventStreamParser(max_headers_size=-1)


def test_frames_before_a_failure_come_first_and_the_failure_stays() -> None:
    parser = EventStreamParser()
    parser.receive_data(framed(b"", b"1") + framed(b"", b"2") + bytes(12) + framed(b"", b"3"))
    assert parser.next_event() == Frame({}, b"1")
    assert parser.next_event() == Frame({}, b"2")
    for _ in range(2):
        with pytest.raises(ProtocolError, match="checksum") as caught:
            parser.next_event()
        assert caught.value.phase == "decode"
        for piece in (framed(b""), b""):
            with pytest.raises(ProtocolError):
                parser.receive_data(piece)
            with pytest.raises(ProtocolError):
                parser.feed(piece)


def test_the_end_between_frames_is_the_end() -> None:
    parser = EventStreamParser()
    assert parser.feed(framed(b"", b"1")) == [Frame({}, b"1")]
    assert parser.feed(b"") == []
    assert parser.feed(b"") == []
    assert parser.next_event() is END
    with pytest.raises(InvalidInput, match="one EventStreamParser for each"):
        parser.feed(b"3")


def test_frames_do_not_share_their_headers() -> None:
    parser = EventStreamParser()
    data = encode_frame({":event-type": "x"}) * 2
    first, second = parser.feed(data)
    first.headers.clear()
    second.headers["more"] = True
    assert parser.feed(data) == [Frame({":event-type": "x"}, b"")] * 2


@pytest.mark.parametrize(
    ("headers", "payload", "fault"),
    [
        ({"n" * 256: True}, b"", "longer than 255 bytes"),
        ({"é" * 128: True}, b"", "longer than 255 bytes"),
        ({"a": "x" * 65536}, b"", "'a' is longer than 65535"),
        ({"a": 2**63}, b"", "more than 64 bits"),
        ({"a": Timestamp(-(2**63) - 1)}, b"", "more than 64 bits"),
        ({"a": Identifier(b"x")}, b"", "'a' is an Identifier of 1 bytes"),
        ({"a": 1.5}, b"", "'a' is a float"),
        ({"a": None}, b"", "'a' is a NoneType"),
        ({"a": "\ud800"}, b"", "'a' holds half of a surrogate pair"),
        ({"\udfff": True}, b"", "surrogate"),
        ({"a": "x" * 65535, "b": "x" * 65535}, b"", "headers of a frame cannot be"),
        ({}, bytes(24 * 1024 * 1024 + 1), "payload of a frame cannot be"),
    ],
)
def test_what_a_frame_cannot_hold_is_refused(headers: dict[str, Any], payload: bytes, fault: str) -> None:
    with pytest.raises(InvalidInput, match=fault):
        encode_frame(headers, payload)


def test_a_large_frame_is_copied_a_few_times_only() -> None:
    payload = bytes(4 * 1024 * 1024)
    data = encode_frame({}, payload)
    pieces = [data[start : start + 65536] for start in range(0, len(data), 65536)]
    parser = EventStreamParser()
    tracemalloc.start()
    try:
        frames = [frame for piece in pieces for frame in parser.feed(piece)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert frames == [Frame({}, payload)]
    assert peak < 3.5 * len(payload)  # what is held, all of it as bytes, and the payload


def test_memory_does_not_grow_with_different_headers() -> None:
    parser = EventStreamParser()
    parser.feed(encode_frame({"number": -1}))
    tracemalloc.start()
    try:
        for number in range(2000):
            parser.feed(encode_frame({"number": f"{number}" * 50}))
        now, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert now < 64 * 1024


def count_calls(pieces: list[bytes]) -> int:
    calls = 0

    def profile(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        if event in ("call", "c_call"):
            calls += 1

    feed = EventStreamParser().feed
    sys.setprofile(profile)
    try:
        for piece in pieces:
            feed(piece)
    finally:
        sys.setprofile(None)
    return calls


EVENT = encode_frame(
    {":event-type": "contentBlockDelta", ":content-type": "application/json", ":message-type": "event"},
    b'{"contentBlockIndex":0,"delta":{"text":" fox"}}',
)


def test_calls_for_a_frame() -> None:
    count = 4000
    data = EVENT * count
    pieces = [data[start : start + 16384] for start in range(0, len(data), 16384)]
    assert count_calls(pieces) / count < 12


def test_calls_for_a_byte_do_not_grow() -> None:
    few, many = single_bytes(EVENT * 10), single_bytes(EVENT * 100)
    assert count_calls(many) / len(many) < 7
    assert count_calls(many) / len(many) == pytest.approx(count_calls(few) / len(few), rel=0.1)
    long = single_bytes(encode_frame({}, bytes(40000)))
    assert count_calls(long) / len(long) < 6
