"""The WebSocket client against wsproto's own server, in memory: every cut, faults, refusals, limits."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

from tako.errors import InvalidInput, TakoError, TransportError
from tako.wire import END, NEED_DATA
from tako.wire.websocket import MAX_BODY, MAX_HELD_BACK, UpgradeRefused, WebSocketClient

LIMIT = 2000


def client(max_text: int = LIMIT, headers: tuple[tuple[str, str], ...] = ()) -> WebSocketClient:
    return WebSocketClient("a.example", "/mcp", max_text=max_text, headers=headers, subprotocol="mcp")


@dataclass
class Server:
    """The other end, by wsproto."""

    opening: bytes
    deflate: bool = True
    subprotocol: str | None = "mcp"
    connection: WSConnection = field(default_factory=lambda: WSConnection(ConnectionType.SERVER))

    def __post_init__(self) -> None:
        self.connection.receive_data(self.opening)
        (self.request,) = self.connection.events()
        assert isinstance(self.request, Request)

    def accept(self) -> bytes:
        return self.connection.send(
            AcceptConnection(
                subprotocol=self.subprotocol, extensions=[PerMessageDeflate()] if self.deflate else []
            )
        )

    def send(self, *events: Event) -> bytes:
        return b"".join(self.connection.send(event) for event in events)

    def receive(self, data: bytes) -> list[Event]:
        self.connection.receive_data(data)
        return list(self.connection.events())


def connected(max_text: int = LIMIT, *, deflate: bool = True) -> tuple[WebSocketClient, Server]:
    ours = client(max_text)
    server = Server(ours.opening(), deflate)
    ours.receive_data(server.accept())
    assert ours.next_text() is NEED_DATA
    return ours, server


def outcome(ours: WebSocketClient, pieces: list[bytes]) -> tuple[list[bytes], str]:
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


fragments = st.lists(st.text(max_size=30), min_size=1, max_size=4)
ACTIONS = st.one_of(
    st.tuples(st.just("text"), fragments),
    st.tuples(st.just("bytes"), fragments),
    st.tuples(st.just("pinged"), fragments),
    st.tuples(st.just("ping"), st.just(["x"])),
    st.tuples(st.just("pong"), st.just(["x"])),
    st.tuples(st.just("raw"), st.lists(st.sampled_from("\x81\x01\x88\xc1\x09\x00\x7f"), max_size=4)),
)


def played(server: Server, actions: list[tuple[str, list[str]]]) -> tuple[bytes, list[bytes]]:
    """The server's bytes, and the texts that they carry, up to the first raw bytes."""
    out, texts = bytearray(server.accept()), []
    whole = True
    for name, parts in actions:
        last = len(parts) - 1
        if name == "ping":
            out += server.send(Ping(b"are you there"))
        elif name == "pong":
            out += server.send(Pong(b"unasked"))
        elif name == "raw":
            out += "".join(parts).encode("latin-1")
            whole = whole and not parts
        else:
            for index, part in enumerate(parts):
                kind = BytesMessage(part.encode()) if name == "bytes" else TextMessage(part)
                kind = type(kind)(kind.data, message_finished=index == last)
                out += server.send(kind)
                if name == "pinged" and index < last:
                    out += server.send(Ping(b"in between"))
            if whole:
                texts.append("".join(parts).encode())
    return bytes(out), texts


@given(st.booleans(), st.lists(ACTIONS, max_size=5), st.lists(st.integers(0, 2000), max_size=8))
def test_every_cut_gives_the_same_texts(
    deflate: bool, actions: list[tuple[str, list[str]]], places: list[int]
) -> None:
    outcomes = []
    for how in ("whole", "some", "single"):
        ours = client()
        data, texts = played(Server(ours.opening(), deflate), actions)
        pieces = {"whole": [data], "some": cut(data, places), "single": cut(data, list(range(len(data))))}
        got, end = outcome(ours, pieces[how])
        outcomes.append((got, end.split()[0]))
        assert outcomes[-1][0][: len(texts)] == texts
    assert outcomes[0] == outcomes[1] == outcomes[2]


@given(st.booleans(), st.lists(st.text(max_size=300), max_size=6))
def test_a_servers_echo_comes_back(deflate: bool, texts: list[str]) -> None:
    ours, server = connected(deflate=deflate)
    for text in texts:
        heard = server.receive(ours.encode(text.encode()))
        assert "".join(event.data for event in heard if isinstance(event, TextMessage)) == text
        ours.receive_data(server.send(*heard))
        if text or heard:
            assert ours.next_text() == text.encode()
        assert ours.next_text() is NEED_DATA
    assert ours.data_to_send() == b""


@given(st.booleans(), st.binary(max_size=60))
def test_any_bytes_are_an_answer(deflate: bool, data: bytes) -> None:
    ours, _ = connected(deflate=deflate)
    assert outcome(ours, [data] if data else [])[1] != "ended"
    fresh = client()
    fresh.opening()
    assert outcome(fresh, [b"HTTP/1.1 " + data])[1] != "ended"


@pytest.mark.parametrize("deflate", [True, False])
def test_what_is_cut_off_anywhere_never_looks_whole(deflate: bool) -> None:
    actions = [("text", ["one"]), ("pinged", ["tw", "o"]), ("bytes", ["thr", "ee"])]
    size = len(played(Server(client().opening(), deflate), actions)[0])
    counts = []
    for end in range(size + 1):
        ours = client()
        data, texts = played(Server(ours.opening(), deflate), actions)
        got, how = outcome(ours, [data[:end]] if end else [])
        assert got == texts[: len(got)]
        assert how.startswith("TransportError the server hung up")
        counts.append(len(got))
    assert counts[0] == 0 and counts[-1] == 3 and counts == sorted(counts)


def test_the_upgrade_says_who_we_are() -> None:
    ours = client(headers=(("Authorization", "Bearer x"), ("X-Team", "sea")))
    server = Server(ours.opening())
    assert server.request.target == "/mcp"
    assert server.request.host == "a.example"
    assert server.request.subprotocols == ["mcp"]
    headers = dict(server.request.extra_headers)
    assert headers[b"authorization"] == b"Bearer x"
    assert headers[b"x-team"] == b"sea"


@pytest.mark.parametrize("name", ["a b", "", "Host", "Sec-WebSocket-Key", "connection"])
def test_a_header_that_cannot_be_sent_is_named(name: str) -> None:
    with pytest.raises(InvalidInput, match="header"):
        client(headers=((name, "x"),))


@pytest.mark.parametrize("value", ["sesame\r\nX: 1", "sesame\x00", "sesamé"])
def test_no_header_value_is_in_a_message(value: str) -> None:
    with pytest.raises(InvalidInput, match="header X-Key") as caught:
        client(headers=(("X-Key", value),))
    assert "sesam" not in str(caught.value)


def test_a_server_may_take_no_subprotocol_but_no_other() -> None:
    ours = client()
    server = Server(ours.opening(), subprotocol=None)
    ours.receive_data(server.accept() + server.send(TextMessage("hi")))
    assert ours.next_text() == b"hi"

    other = client()
    answer = Server(other.opening()).accept().replace(b"Protocol: mcp", b"Protocol: chat")
    assert outcome(other, [answer]) == (
        [],
        "ProtocolError the server spoils the WebSocket upgrade: unrecognized subprotocol chat",
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"Sec-WebSocket-Accept: ", b"Sec-WebSocket-Accept: x", "Bad accept token"),
        (b"Upgrade: websocket", b"Upgrade: chat", "Upgrade"),
        (b"Connection: Upgrade", b"Connection: close", "Connection"),
        (b"permessage-deflate", b"x-other", "unrecognized extension"),
        (b"server_max_window_bits=15", b"server_max_window_bits=many", "invalid literal"),
        (b"server_max_window_bits=15", b"server_max_window_bits=7", "Window size"),
        (b"server_max_window_bits=15", b"server_max_window_bits=15, permessage-deflate", "more than once"),
        (b"HTTP/1.1 101", b"SSH-2.0 101", "Bad HTTP message"),
    ],
)
def test_a_spoiled_upgrade_is_an_error(old: bytes, new: bytes, words: str) -> None:
    for pieces in (1, 7):
        ours = client()
        answer = Server(ours.opening()).accept()
        assert old in answer
        answer = answer.replace(old, new)
        texts, how = outcome(ours, cut(answer, list(range(0, len(answer), len(answer) // pieces))))
        assert texts == [] and how.startswith("ProtocolError") and words in how


def refused(answer: bytes, step: int = 10_000) -> UpgradeRefused:
    ours = client()
    ours.opening()
    with pytest.raises(UpgradeRefused) as caught:
        for start in range(0, len(answer), step):
            ours.receive_data(answer[start : start + step])
            ours.next_text()
        ours.receive_data(b"")
        ours.next_text()
    return caught.value


def test_a_refusal_keeps_what_the_server_said() -> None:
    server = Server(client().opening())
    answer = server.send(
        RejectConnection(
            status_code=401,
            headers=[(b"WWW-Authenticate", b'Bearer realm="sea"'), (b"retry-after", b"7")],
            has_body=True,
        ),
        RejectData(b"who\nare ", body_finished=False),
        RejectData(b"you?"),
    )
    for step in (1, 10_000):
        error = refused(answer, step)
        assert (error.status, error.body, error.retry_after) == (401, "who\nare you?", 7.0)
        assert error.challenges == ('Bearer realm="sea"',)
        assert "status 401: who are you?" in str(error) and "headers=" in str(error)
        assert not error.retryable


@pytest.mark.parametrize(
    ("answer", "status", "body", "wait"),
    [
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", 404, None, None),
        (b"HTTP/1.1 503 No\r\nContent-Length: 9\r\nRetry-After: 3\r\n\r\nbu", 503, "bu", 3.0),
        (b"HTTP/1.1 429 No\r\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n\r\n", 429, None, None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", None),
        (b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nzzz\r\n", 500, "hi", None),
        (b"HTTP/1.1 502 No\r\n\r\n" + b"x" * 100_000, 502, "x" * MAX_BODY, None),
    ],
)
def test_refusals(answer: bytes, status: int, body: str | None, wait: float | None) -> None:
    for step in (97, 1_000_000):
        error = refused(answer, step)
        assert (error.status, error.body, error.retry_after) == (status, body, wait)
        assert error.retryable == (status in (429, 500, 502, 503))


def test_a_head_that_never_ends_is_refused() -> None:
    ours = client()
    ours.opening()
    _, how = outcome(ours, [b"HTTP/1.1 101 Yes\r\n"] + [b"X: " + b"y" * 1000 + b"\r\n"] * 200)
    assert how.startswith("ProtocolError")


def frame(first: int, payload: bytes, *, masked: bool = False) -> bytes:
    size = len(payload)
    head = bytes([size]) if size < 126 else struct.pack("!BH", 126, size)
    if masked:
        head = bytes([head[0] | 0x80]) + head[1:] + b"\0\0\0\0"
    return bytes([first]) + head + payload


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(0x81, b"hi", masked=True), 1002),
        (frame(0xA1, b"hi"), 1002),  # a reserved bit
        (frame(0x83, b"hi"), 1002),  # an unknown opcode
        (frame(0x80, b"hi"), 1002),  # a continuation of nothing
        (frame(0x01, b"h") + frame(0x81, b"i"), 1002),  # a message in a message
        (frame(0x09, b""), 1002),  # a fragmented ping
        (frame(0xC9, b""), 1002),  # a compressed ping
        (frame(0x89, b"x" * 126), 1002),  # a ping that is too long
        (b"\x81\x7e\x00\x05hello", 1002),  # a length that is longer than it has to be
        (b"\x81\x7f" + b"\xff" * 8, 1002),
        (frame(0x88, b"x"), 1002),  # half of a close code
        (frame(0x88, b"\x03\xed"), 1002),  # 1005 is not for the wire
        (frame(0x88, b"\x00\x00"), 1002),
        (frame(0x81, b"\xff\xfe"), 1007),  # no UTF-8
        (frame(0x81, b"\xc3"), 1007),
        (frame(0xC1, b"\xff\xff\xff"), 1007),  # no deflate
        (frame(0x01, b"h") + frame(0xC0, b"i"), 1002),  # compressed from the middle on
    ],
)
def test_garbage_is_a_protocol_error_and_says_so_to_the_peer(data: bytes, code: int) -> None:
    ours, server = connected()
    texts, how = outcome(ours, [frame(0x81, b"before") + data])
    assert texts == [b"before"]
    assert how.startswith("ProtocolError the server breaks the WebSocket protocol: ")
    (close,) = server.receive(ours.data_to_send())
    assert isinstance(close, CloseConnection) and close.code == code
    with pytest.raises(TransportError, match="closed"):
        ours.encode(b"{}")


@pytest.mark.parametrize("deflate", [True, False])
@pytest.mark.parametrize("parts", [1, 3])
def test_the_limit_is_for_the_whole_message(deflate: bool, parts: int) -> None:
    for size, fits in ((LIMIT, True), (LIMIT + 1, False)):
        ours, server = connected(deflate=deflate)
        text = "x" * size
        edges = [index * size // parts for index in range(parts + 1)]
        data = b"".join(
            server.send(TextMessage(text[start:end], message_finished=end == size))
            for start, end in pairwise(edges)
        )
        texts, how = outcome(ours, [data + server.send(TextMessage("after"))])
        if fits:
            assert texts == [text.encode(), b"after"]
        else:
            assert texts == [] and "more than 2,000 bytes" in how
            (close,) = server.receive(ours.data_to_send())
            assert isinstance(close, CloseConnection) and close.code == 1009


def test_a_text_is_measured_in_bytes() -> None:
    ours, server = connected()
    assert outcome(ours, [server.send(TextMessage("é" * (LIMIT // 2 + 1)))])[1].startswith("ProtocolError")


@pytest.mark.parametrize("fragments", [1, 40])
def test_a_bomb_does_not_go_off(fragments: int) -> None:
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = squeezed.compress(b"\0" * 20_000_000) + squeezed.flush(zlib.Z_SYNC_FLUSH)[:-4]
    size = len(bomb) // fragments + 1
    pieces = [bomb[start : start + size] for start in range(0, len(bomb), size)]
    frames = [
        frame((0x42 if index == 0 else 0) | (0x80 if index == len(pieces) - 1 else 0), piece)
        for index, piece in enumerate(pieces)
    ]
    ours, _ = connected(1_000_000)
    tracemalloc.start()
    try:
        texts, how = outcome(ours, frames)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert texts == [] and "more than 1,000,000 bytes" in how
    assert peak < 6_000_000


def test_a_compressed_message_may_end_its_stream() -> None:
    ours, _ = connected()
    data = bytearray()
    for text in (b"Hello", b"Hello again", b""):
        squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
        # RFC 7692, section 7.2.3.4: a last block, and the empty one whose rest the reader adds.
        data += frame(0xC1, squeezed.compress(text) + squeezed.flush(zlib.Z_FINISH) + b"\0")
    ours.receive_data(bytes(data))
    assert [ours.next_text() for _ in range(4)] == [b"Hello", b"Hello again", b"", NEED_DATA]


@pytest.mark.parametrize("takeover", [True, False])
def test_the_window_is_kept_or_not_as_agreed(takeover: bool) -> None:
    ours = client()
    server = Server(ours.opening())
    deflate = PerMessageDeflate(server_no_context_takeover=not takeover)
    data = server.send(AcceptConnection(subprotocol="mcp", extensions=[deflate]))
    sizes = []
    for _ in range(3):
        message = server.send(TextMessage("the same words each time, which is what a window is for"))
        sizes.append(len(message))
        data += message
    ours.receive_data(data)
    texts = [ours.next_text() for _ in range(3)]
    assert texts[0] == texts[1] == texts[2]
    assert (sizes[1] < sizes[0] // 3) == takeover


def test_only_the_last_ping_is_answered() -> None:
    ours, server = connected()
    ours.receive_data(server.send(Ping(b"1"), Ping(b"2"), TextMessage("hi")))
    assert ours.next_text() == b"hi"
    (pong,) = server.receive(ours.data_to_send())
    assert isinstance(pong, Pong) and pong.payload == b"2"
    assert ours.data_to_send() == b""


@pytest.mark.parametrize(
    ("code", "words"),
    [(1000, "code 1000 (NORMAL_CLOSURE): bye"), (1011, "INTERNAL_ERROR"), (4001, "4001 (of its own): bye")],
)
def test_a_close_is_an_error_that_says_how(code: int, words: str) -> None:
    ours, server = connected()
    texts, how = outcome(ours, [server.send(TextMessage("last"), Ping(), CloseConnection(code, "bye"))])
    assert texts == [b"last"]
    assert how.startswith("TransportError the server has closed the WebSocket with") and words in how
    last = ours.data_to_send()
    assert len(last) == 6 + (last[1] & 0x7F)  # one frame: a pong may not come behind it
    (close,) = server.receive(last)
    assert isinstance(close, CloseConnection) and close.code == code


def test_a_close_without_a_code() -> None:
    ours, _ = connected()
    assert "1005 (NO_STATUS_RCVD)" in outcome(ours, [b"\x88\x00"])[1]


def test_after_our_goodbye_the_end_is_no_error() -> None:
    for answers in (True, False):
        ours, server = connected()
        ours.goodbye()
        (close,) = server.receive(ours.data_to_send())
        assert isinstance(close, CloseConnection) and close.code == 1000
        assert not ours.is_over
        last = frame(0x81, b"on its way")
        data = last + (server.send(close.response()) if answers else b"")
        assert outcome(ours, [data]) == ([b"on its way"], "ended")
        assert ours.data_to_send() == b""
        with pytest.raises(TransportError):
            ours.encode(b"{}")
    early = client()
    early.encode(b"{}")
    early.goodbye()
    assert early.is_over and early.next_text() is END and early.data_to_send() == b""


def test_texts_are_held_back_until_the_socket_is_open() -> None:
    ours = client()
    server = Server(ours.opening())
    assert ours.encode(b'"1"') == b"" == ours.encode(b'"2"')
    assert ours.data_to_send() == b""
    ours.receive_data(server.accept())
    assert ours.next_text() is NEED_DATA
    data = ours.encode(b'"3"')  # which may not overtake them
    heard = server.receive(data + ours.data_to_send())
    assert [event.data for event in heard if isinstance(event, TextMessage)] == ['"1"', '"2"', '"3"']


def test_what_is_held_back_is_bounded() -> None:
    ours = client()
    half = b"x" * (MAX_HELD_BACK // 2)
    assert ours.encode(half) == b"" == ours.encode(half)
    with pytest.raises(TransportError, match="has not opened the WebSocket yet"):
        ours.encode(b"x")


def test_a_url_that_makes_no_request_is_the_callers_fault() -> None:
    with pytest.raises(InvalidInput, match="URL"):
        WebSocketClient("a.example", "/a b", max_text=LIMIT).opening()
