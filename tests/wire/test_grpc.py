"""The gRPC stream against h2's own server side, in memory: every cut, windows, statuses, faults, limits."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
import zlib
from itertools import pairwise

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded
from h2.settings import SettingCodes, Settings
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tako.errors import ProtocolError, ProviderError, TakoError, TransportError
from tako.wire import END, NEED_DATA
from tako.wire.grpc import (
    ENVELOPE,
    MAX_UNSENT,
    WINDOW,
    GrpcStream,
    StreamRefused,
    decode_frame,
    encode_frame,
)

LIMIT = 200_000
HEAD = [(":status", "200"), ("content-type", "application/grpc+proto")]
FINE = [("grpc-status", "0")]


def message(text: bytes, flag: int = 0) -> bytes:
    body = encode_frame(text)
    return struct.pack("!BL", flag, len(body)) + body


class Server:
    """The other end, by h2."""

    def __init__(self, opening: bytes, **initial: int) -> None:
        self.connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        values = {SettingCodes[name.upper()]: value for name, value in initial.items()}
        self.connection.local_settings = Settings(client=False, initial_values=values)
        self.connection.initiate_connection()
        self.headers: dict[str, str] = {}
        self.data = bytearray()
        self.ended = False
        self.acknowledges = True
        self.receive(opening)

    def receive(self, data: bytes) -> None:
        for event in self.connection.receive_data(data):
            if isinstance(event, RequestReceived):
                self.headers = dict(event.headers)
            elif isinstance(event, DataReceived):
                self.data += event.data
                if self.acknowledges and event.flow_controlled_length:
                    self.connection.acknowledge_received_data(event.flow_controlled_length, 1)
            elif isinstance(event, StreamEnded):
                self.ended = True

    def head(self, headers: list[tuple[str, str]] = HEAD, *, end: bool = False) -> None:
        self.connection.send_headers(1, headers, end_stream=end)

    def send(self, data: bytes, size: int = 16384) -> None:
        for start in range(0, len(data), size):
            self.connection.send_data(1, data[start : start + size])

    def end(self, trailers: list[tuple[str, str]] = FINE) -> None:
        self.connection.send_headers(1, trailers, end_stream=True)

    def texts(self) -> list[bytes]:
        """What has arrived so far, whole messages only."""
        texts, data = [], bytes(self.data)
        while len(data) >= 5 and len(data) >= 5 + struct.unpack_from("!BL", data)[1]:
            flag, size = struct.unpack_from("!BL", data)
            assert flag == 0
            texts.append(decode_frame(data[5 : 5 + size]))
            data = data[5 + size :]
        return texts

    def out(self) -> bytes:
        return self.connection.data_to_send()

    def reach(self, ours: GrpcStream) -> None:
        """Hand over what there is, which is not the end."""
        if data := self.out():
            ours.receive_data(data)


def client(max_text: int = LIMIT) -> GrpcStream:
    return GrpcStream("a.example:50051", "/a.Service/Open", scheme="http", max_text=max_text)


def connected(max_text: int = LIMIT, **initial: int) -> tuple[GrpcStream, Server]:
    ours = client(max_text)
    server = Server(ours.opening(), **initial)
    server.head()
    server.reach(ours)
    assert ours.next_text() is NEED_DATA
    server.receive(ours.data_to_send())
    return ours, server


def outcome(ours: GrpcStream, pieces: list[bytes]) -> tuple[list[bytes], str]:
    """The texts of these pieces and of the end of the input, and how it ended."""
    texts: list[bytes] = []
    for piece in (*pieces, b""):
        ours.receive_data(piece)
        try:
            while isinstance(text := ours.next_text(), bytes):
                texts.append(text)
        except TakoError as error:
            with pytest.raises(type(error)):
                ours.next_text()  # it is sticky
            assert ours.is_over
            return texts, f"{type(error).__name__} {error}"
        if text is END:
            return texts, "ended"
    raise AssertionError("the input has ended, and nothing says so")


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges) if start < end]


@st.composite
def answers(draw: DrawFn) -> tuple[bytes, list[bytes]]:
    """A server's bytes and the texts in them: data frames cut anyhow, pings, and an end of some kind."""
    ours = client()
    server = Server(ours.opening())
    server.head()
    texts = draw(st.lists(st.binary(min_size=1, max_size=40), max_size=4))
    body = b"".join(map(message, texts))
    for piece in cut(body, draw(st.lists(st.integers(0, 300), max_size=4))):
        server.send(piece)
        if draw(st.booleans()):
            server.connection.ping(b"pingping")
    match draw(st.integers(0, 6)):
        case 0:
            server.end()
        case 1:
            server.end([("grpc-status", "16"), ("grpc-message", "who%20are%20you")])
        case 2:
            server.connection.reset_stream(1, ErrorCodes.CANCEL)
        case 3:
            server.connection.close_connection(ErrorCodes.ENHANCE_YOUR_CALM, b"slowly")
        case 4:
            return server.out() + draw(st.binary(max_size=30)), texts
        case 5:
            server.send(b"\x01\x00\x00\x00\x00")
    return server.out(), texts


@given(answers(), st.lists(st.integers(0, 2000), max_size=8))
def test_every_cut_gives_the_same_texts(answer: tuple[bytes, list[bytes]], places: list[int]) -> None:
    data, texts = answer
    outcomes = []
    for pieces in ([data], cut(data, places), cut(data, list(range(len(data))))):
        ours = client()
        ours.opening()
        got, how = outcome(ours, pieces)
        outcomes.append((got, how.split()[0]))
        assert outcomes[-1][0][: len(texts)] == texts
    assert outcomes[0] == outcomes[1] == outcomes[2]


@given(
    st.lists(st.binary(min_size=1, max_size=3000), min_size=1, max_size=4),
    st.integers(16, 400),
    st.integers(1, 5000),
)
def test_a_servers_echo_comes_back_through_any_window(texts: list[bytes], window: int, size: int) -> None:
    ours, server = connected(initial_window_size=window)
    waiting = b"".join(ours.encode(text) for text in texts)
    assert len(server.data) <= window
    for _ in range(2_000):
        if not waiting:
            break
        server.receive(waiting)
        server.reach(ours)
        assert ours.next_text() is NEED_DATA
        waiting = ours.data_to_send()
    assert server.texts() == texts
    for start in range(0, len(server.data), size):
        server.send(bytes(server.data[start : start + size]))
    server.reach(ours)
    assert [ours.next_text() for _ in texts] == texts
    assert ours.next_text() is NEED_DATA


def test_the_request_says_what_grpc_wants() -> None:
    ours, server = connected()
    assert server.headers[":method"] == "POST"
    assert server.headers[":path"] == "/a.Service/Open"
    assert server.headers[":authority"] == "a.example:50051"
    assert server.headers["te"] == "trailers"
    assert server.headers["content-type"] == "application/grpc"
    assert server.headers["grpc-accept-encoding"] == "identity"
    assert not ours.is_over and not server.ended


def test_nothing_is_sent_into_a_closed_window_and_all_when_it_opens() -> None:
    ours, server = connected()
    server.acknowledges = False
    big = bytes(range(256)) * 1000
    server.receive(ours.encode(big))
    assert len(server.data) == 65535  # what RFC 9113, section 6.9.2, begins with
    assert ours.encode(b"second") == b"" == ours.data_to_send()
    for stream in (None, 1):  # the windows of the connection and of the stream
        server.connection.increment_flow_control_window(300_000, stream)
        server.reach(ours)
        assert ours.next_text() is NEED_DATA
    server.receive(ours.data_to_send())
    assert server.texts() == [big, b"second"]


def test_a_larger_initial_window_opens_the_stream_too() -> None:
    ours, server = connected(initial_window_size=10)
    server.acknowledges = False
    server.receive(ours.encode(b"x" * 100))
    assert len(server.data) == 10
    server.connection.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1000})
    server.reach(ours)
    assert ours.next_text() is NEED_DATA
    server.receive(ours.data_to_send())
    assert server.texts() == [b"x" * 100]


def test_a_peer_that_takes_nothing_is_given_up() -> None:
    ours, _ = connected()
    half = b"x" * (MAX_UNSENT // 2)
    ours.encode(half)
    ours.encode(half[: MAX_UNSENT // 2 - 1])
    with pytest.raises(TransportError, match="does not take"):
        ours.encode(half)


def test_a_flood_is_held_back_by_the_window_until_it_is_looked_at() -> None:
    ours, server = connected(4 * WINDOW)
    room = server.connection.local_flow_control_window(1)
    assert room == WINDOW
    server.send(message(b"x" * (2 * WINDOW))[:room])
    server.reach(ours)
    assert ours.data_to_send() == b""
    assert ours.next_text() is NEED_DATA
    server.receive(ours.data_to_send())
    assert server.connection.local_flow_control_window(1) > WINDOW // 2


def test_what_is_cut_off_anywhere_never_looks_whole() -> None:
    ours = client()
    server = Server(ours.opening())
    server.head()
    texts = [b"one", b"two", b"three"]
    for text in texts:
        server.send(message(text), 4)
        server.connection.ping(b"pingping")
    data = server.out()
    counts = []
    for end in range(len(data) + 1):
        ours = client()
        ours.opening()
        got, how = outcome(ours, [data[:end]] if end else [])
        assert got == texts[: len(got)]
        assert how == "TransportError the server hung up without ending the gRPC stream"
        counts.append(len(got))
    assert counts[0] == 0 and counts[-1] == 3 and counts == sorted(counts)


@given(st.binary(max_size=80), st.integers(0, 9), st.integers(0, 1))
def test_any_bytes_are_an_answer(data: bytes, kind: int, stream: int) -> None:
    framed = len(data).to_bytes(3, "big") + bytes([kind, len(data) & 0x2D]) + stream.to_bytes(4, "big") + data
    for wire in (data, framed, framed + framed):
        ours, _ = connected()
        assert outcome(ours, [wire] if wire else [])[1] != "ended"
        fresh = client()
        fresh.opening()
        assert outcome(fresh, [wire] if wire else [])[1] != "ended"


def ending(trailers: list[tuple[str, str]]) -> TakoError:
    ours, server = connected()
    server.send(message(b"before"))
    server.end(trailers)
    server.reach(ours)
    assert ours.next_text() == b"before"
    with pytest.raises(TakoError) as caught:
        ours.next_text()
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "retryable", "words"),
    [
        ("16", "UNAUTHENTICATED", False, "certificate"),
        ("7", "PERMISSION_DENIED", False, "certificate"),
        ("12", "UNIMPLEMENTED", False, "check the endpoint"),
        ("14", "UNAVAILABLE", True, "grün"),
        ("8", "RESOURCE_EXHAUSTED", True, "grün"),
        ("99", "99", False, "99 (of its own): grün"),
    ],
)
def test_a_status_is_an_error_with_its_words(status: str, code: str, retryable: bool, words: str) -> None:
    error = ending([("grpc-status", status), ("grpc-message", "gr%C3%BCn")])
    assert isinstance(error, StreamRefused)
    assert (error.number, error.code, error.retryable) == (int(status), code, retryable)
    assert words in str(error)


def test_an_end_that_nobody_asked_for_is_an_error_even_if_it_is_fine() -> None:
    error = ending(FINE)
    assert type(error) is TransportError and "status 0 (OK)" in str(error)


@pytest.mark.parametrize("trailers", [[("x", "y")], [("grpc-status", "")], [("grpc-status", "no")]])
def test_an_end_without_a_status_is_against_the_rules(trailers: list[tuple[str, str]]) -> None:
    error = ending(trailers)
    assert type(error) is ProtocolError and "without a status" in str(error)


def test_trailers_alone_are_a_status() -> None:
    ours = client()
    server = Server(ours.opening())
    server.head([*HEAD, ("grpc-status", "12"), ("grpc-message", "no such service")], end=True)
    assert "StreamRefused" in outcome(ours, [server.out()])[1]


@pytest.mark.parametrize(
    ("head", "error", "words"),
    [
        ([(":status", "404"), ("content-type", "text/html")], ProviderError, "HTTP status 404"),
        ([(":status", "200"), ("content-type", "text/html")], ProtocolError, "'text/html'"),
        ([(":status", "200")], ProtocolError, "no gRPC server"),
    ],
)
def test_a_server_that_is_no_grpc_server(
    head: list[tuple[str, str]], error: type[TakoError], words: str
) -> None:
    ours = client()
    server = Server(ours.opening())
    server.head(head)
    server.reach(ours)
    with pytest.raises(error, match=words) as caught:
        ours.next_text()
    assert caught.value.status == (404 if error is ProviderError else None)


def test_a_server_that_speaks_http1() -> None:
    for step in (1, 1000):
        ours = client()
        ours.opening()
        answer = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        pieces = [answer[start : start + step] for start in range(0, len(answer), step)]
        assert "speaks HTTP/1.1, not gRPC" in outcome(ours, pieces)[1]


@pytest.mark.parametrize(
    ("code", "last", "words"),
    [
        (0, 2**31 - 1, "hung up"),  # in order: what is open goes on
        (0, 0, "going away: NO_ERROR, bye"),  # it has not taken our stream
        (11, 1, "going away: ENHANCE_YOUR_CALM, bye"),
        (77, 1, "going away: error 77, bye"),
    ],
)
def test_going_away(code: int, last: int, words: str) -> None:
    ours, server = connected()
    goaway = b"\0\0\x0b\x07\0\0\0\0\0" + struct.pack("!LL", last, code) + b"bye"
    server.send(message(b"before"))
    before = server.out()
    server.send(message(b"after"))
    texts, how = outcome(ours, [before + goaway + server.out()])
    assert texts == ([b"before", b"after"] if words == "hung up" else [b"before"])
    assert how.startswith("TransportError") and words in how


def test_a_reset_stream_says_why() -> None:
    ours, server = connected()
    server.connection.reset_stream(1, ErrorCodes.REFUSED_STREAM)
    assert "cut the gRPC stream off: REFUSED_STREAM" in outcome(ours, [server.out()])[1]
    with pytest.raises(TransportError, match="closed"):
        ours.encode(b"{}")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (message(b"x", flag=1), "the coding 'identity', which we do not know"),
        (struct.pack("!BL", 0, LIMIT + ENVELOPE + 1), "more than 200,000 bytes"),
        (message(b"x" * (LIMIT + 1)), "more than 200,000 bytes"),
        (b"\0\0\0\0\x01\x0a", "does not end"),
        (b"\0\0\0\0\x02\x0a\x05", "no Protocol Buffer"),
    ],
)
def test_a_message_that_may_not_be(data: bytes, words: str) -> None:
    ours, server = connected()
    server.send(message(b"before") + data)
    texts, how = outcome(ours, [server.out()])
    assert texts == [b"before"]
    assert how.startswith("ProtocolError") and words in how


@pytest.mark.parametrize(
    ("coding", "squeezed", "words"),
    [
        ("gzip", gzip.compress(encode_frame(b"hello")), ""),
        ("deflate", zlib.compress(encode_frame(b"hello")), ""),
        ("gzip", gzip.compress(encode_frame(bytes(LIMIT))), ""),
        ("gzip", gzip.compress(bytes(8_000_000)), "more than 200,000 bytes"),
        ("gzip", gzip.compress(encode_frame(b"hello"))[:-9], "cut off"),
        ("gzip", b"hello", "damaged"),
        ("snappy", b"hello", "coding 'snappy'"),
    ],
)
def test_a_compressed_message(coding: str, squeezed: bytes, words: str) -> None:
    ours = client()
    server = Server(ours.opening())
    server.head([*HEAD, ("grpc-encoding", coding)])
    server.send(message(b"plain") + struct.pack("!BL", 1, len(squeezed)) + squeezed)
    wire = server.out()
    tracemalloc.start()
    try:
        texts, how = outcome(ours, [wire])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert texts[0] == b"plain" and len(texts) == (1 if words else 2)
    assert words in how and how.startswith("ProtocolError" if words else "TransportError")
    assert peak < 2_000_000


def test_the_longest_message() -> None:
    ours, server = connected()
    server.send(message(b"x" * LIMIT))
    server.reach(ours)
    assert ours.next_text() == b"x" * LIMIT


def test_an_end_inside_a_message() -> None:
    ours, server = connected()
    server.send(message(b"before") + message(b"cut off")[:-1])
    server.end()
    texts, how = outcome(ours, [server.out()])
    assert texts == [b"before"]
    assert "inside a message" in how


@pytest.mark.parametrize(
    "wire",
    [
        b"\0\0\x01\x05\0\0\0\0\x02x",  # a push
        b"\0\0\0\x00\0\0\0\0\x03",  # data of a stream that is not
        b"\0\0\x03\x06\0\0\0\0\0abc",  # a ping of three bytes
        b"\0\0\x04\x08\0\0\0\0\x01\0\0\0\0",  # a window that opens by nothing
        b"\0\0\x01\x01\x04\0\0\0\x01\xff",  # a head that HPACK does not know
        b"\0\x40\x01\x00\0\0\0\0\x01" + bytes(16385),  # a frame over the limit
        b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\0\x01",  # a setting that may not be
    ],
)
def test_what_http2_does_not_allow(wire: bytes) -> None:
    ours, server = connected()
    server.send(message(b"before"))
    texts, how = outcome(ours, [server.out() + wire])
    assert texts == [b"before"]
    assert how.startswith("ProtocolError the server breaks HTTP/2: ")


def test_a_frame_that_is_too_long_is_not_waited_for() -> None:
    ours, _ = connected()
    ours.receive_data(b"\xff\xff\xff\x00\0\0\0\0\x01")
    with pytest.raises(ProtocolError, match="16,777,215 bytes is over the limit"):
        ours.next_text()


def test_endless_heads_are_bounded() -> None:
    ours, _ = connected()
    flood = b"\0\x40\x00\x01\0\0\0\0\x01" + bytes(16384)
    more = b"\0\x40\x00\x09\0\0\0\0\x01" + bytes(16384)
    tracemalloc.start()
    try:
        how = outcome(ours, [flood, *([more] * 1000)])[1]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert how.startswith("ProtocolError")
    assert peak < 8_000_000


def test_an_empty_text_is_passed_over() -> None:
    ours, server = connected()
    server.send(b"\0\0\0\0\0" + message(b"") + message(b"x") + b"\0\0\0\0\0")
    server.reach(ours)
    assert ours.next_text() == b"x"
    assert ours.next_text() is NEED_DATA


@pytest.mark.parametrize("answers_us", [True, False])
def test_after_our_goodbye_the_end_is_no_error(answers_us: bool) -> None:
    ours, server = connected()
    server.acknowledges = False
    server.receive(ours.encode(b"x" * 100_000))
    ours.goodbye()
    server.receive(ours.data_to_send())
    assert not server.ended  # there is still something to send, which the window does not let through
    for stream in (None, 1):
        server.connection.increment_flow_control_window(100_000, stream)
    server.send(message(b"on its way"))
    server.reach(ours)
    assert ours.next_text() == b"on its way"
    assert ours.next_text() is NEED_DATA
    server.receive(ours.data_to_send())
    assert server.ended and server.texts() == [b"x" * 100_000]
    assert not ours.is_over
    with pytest.raises(TransportError, match="closed"):
        ours.encode(b"{}")
    if answers_us:
        server.end()
    assert outcome(ours, [server.out()] if answers_us else []) == ([], "ended")


@given(st.binary(max_size=400))
def test_a_frame_is_read_as_it_was_written(text: bytes) -> None:
    unknown = b"\x10\xff\x01" + b"\x19" + bytes(8) + b"\x22\x03abc" + b"\x2d" + bytes(4) + b"\x08\x07"
    assert decode_frame(encode_frame(text)) == text
    assert decode_frame(unknown + encode_frame(text) + unknown) == text
    assert decode_frame(encode_frame(b"first") + encode_frame(text)) == text
    assert decode_frame(b"") == b""


@given(st.binary(max_size=12))
def test_any_protocol_buffer_is_an_answer(data: bytes) -> None:
    try:
        assert decode_frame(data) in data
    except ProtocolError as error:
        assert error.phase == "decode"


@pytest.mark.parametrize(
    "data", [b"\x0b", b"\x0c", b"\x02\x00", b"\x80" * 11, b"\x09abc", b"\x0d", b"\x0a\x02x", b"\x08"]
)
def test_what_is_no_protocol_buffer(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_frame(data)
