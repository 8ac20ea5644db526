"""The server's HTTP/1.1 machine: bytes in, requests out; answers in, bytes out. No sockets."""

from __future__ import annotations

from typing import Any

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tako.errors import InvalidInput, ProtocolError
from tako.wire import END, NEED_DATA
from tako.wire.http1_server import Http1Server, HttpIncoming, State

HEAD_SIZE = 300
BODY_SIZE = 40


def machine() -> Http1Server:
    return Http1Server(max_head_size=HEAD_SIZE, max_body_size=BODY_SIZE, peer="10.0.0.1")


def heard(pieces: list[bytes]) -> list[Any]:
    """Every request of these bytes, and how they end: END, NEED_DATA, or the status of the refusal."""
    server, found = machine(), []
    for piece in [*pieces, b""]:
        server.receive_data(piece)
        while True:
            try:
                event = server.next_event()
            except ProtocolError as error:
                return [*found, error.status]
            if not isinstance(event, HttpIncoming):
                break
            found.append(event)
            server.data_to_send()
            server.send_head(204, (), 0.0)
            server.send_end()
            if not server.keeps:
                return [*found, "closed"]
            server.start_next_cycle()
    return [*found, event]


CHUNKS = b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nt: u\r\n\r\n"
SOUND = [
    b"GET /a%20b?c=d HTTP/1.1\r\nHost: x\r\nX-Twice: 1\r\nx-twice: \xfc\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\nhello",
    b"PUT / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + CHUNKS,
    b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET http://y:1/z HTTP/1.1\r\nhost: x\r\n\r\n",
    b"\r\nGET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 40\r\n\r\n" + b"y" * 40,
]
LAST = [
    b"",
    b"\r",
    b"GET / HTTP/1.0\r\n\r\nnobody reads this",
    b"GET / HTTP/1.1\r\nhost: x\r\nconnection: Keep-Alive, CLOSE\r\n\r\n",
    b"GET / HT",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhell",
    b"\x16\x03\x01",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
    b"GET nowhere HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET / HTTP/2.0\r\nhost: x\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * HEAD_SIZE + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nbad header\r\nx: " + b"y" * HEAD_SIZE + b"\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 41\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n29\r\n" + b"y" * 41 + b"\r\nzz",
    b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\nt: "
    + b"y" * HEAD_SIZE
    + b"\r\n\r\n",
]


def test_what_a_request_says() -> None:
    first, second, third, fourth, options, absolute, upgrade, longest, end = heard([b"".join(SOUND)])
    assert (first.method, first.path, first.query, first.body) == ("GET", "/a b", "c=d", b"")
    assert first.headers == (("host", "x"), ("x-twice", "1"), ("x-twice", "\xfc"))
    assert (first.header("x-twice"), first.header("none"), first.peer) == ("1", None, "10.0.0.1")
    assert second.body == third.body == fourth.body == b"hello"
    assert (options.path, longest.body) == ("*", b"y" * 40)
    assert (absolute.path, absolute.header("host")) == ("/z", "y:1")
    assert upgrade.header("upgrade") == "websocket"
    assert end is END


@pytest.mark.parametrize(("index", "end"), list(enumerate([
    END, END, "closed", "closed", END, END, 400, 400, 400, 400, 505, 501, 431, 431,
    413, 400, 400, 400, 400, 501, 413, 400, 400,
])))  # fmt: skip
def test_how_a_connection_ends(index: int, end: object) -> None:
    assert heard([LAST[index]])[-1] == end


@given(st.lists(st.sampled_from(SOUND), max_size=3), st.sampled_from(LAST), st.data())
def test_the_requests_do_not_depend_on_how_the_bytes_are_cut(
    sound: list[bytes], last: bytes, data: st.DataObject
) -> None:
    whole = b"".join((*sound, last))
    places = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    cut = [whole[start:end] for start, end in zip([0, *places], [*places, len(whole)], strict=True)]
    assert heard([piece for piece in cut if piece]) == heard([whole] if whole else [])


@pytest.mark.parametrize("last", LAST)
def test_nor_when_they_come_one_by_one(last: bytes) -> None:
    whole = SOUND[3] + last
    assert heard([bytes((byte,)) for byte in whole]) == heard([whole])


@given(st.binary(max_size=200), st.sampled_from(SOUND))
@example(b"\r\n" * 200, b"")
def test_any_bytes_are_requests_or_a_refusal(garbage: bytes, before: bytes) -> None:
    end = heard([before + garbage] if before + garbage else [])[-1]
    assert end in (END, "closed", 400, 413, 431, 501, 505)


@pytest.mark.parametrize("end", range(1, len(SOUND[3])))
def test_a_request_that_is_cut_off_is_none(end: int) -> None:
    assert heard([SOUND[3][:end]]) == [END]


def answered(request: bytes, status: int, headers: tuple[tuple[str, str], ...], *data: bytes) -> bytes:
    server = machine()
    server.receive_data(request)
    assert isinstance(server.next_event(), HttpIncoming)
    said = [server.send_head(status, headers, 784111777.0), *map(server.send_data, data), server.send_end()]
    return b"".join(said)


@given(
    st.sampled_from([b"GET", b"HEAD"]),
    st.sampled_from([b"1.1", b"1.0"]),
    st.sampled_from([200, 204, 304, 404, 599]),
    st.lists(st.binary(max_size=20), max_size=4),
    st.booleans(),
)
def test_a_client_reads_what_was_said(
    method: bytes, version: bytes, status: int, data: list[bytes], is_counted: bool
) -> None:
    length = (("Content-Length", str(sum(map(len, data)))),) if is_counted else ()
    request = method + b" / HTTP/" + version + b"\r\nhost: x\r\n\r\n"
    said = answered(request, status, (("X-Name", "\xfc"), *length), *data)
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(said)
    response = client.next_event()
    assert isinstance(response, h11.Response)
    fields = dict(response.headers)
    assert (response.status_code, fields[b"x-name"]) == (status, b"\xfc")
    assert fields[b"date"] == b"Sun, 06 Nov 1994 08:49:37 GMT"
    client.receive_data(b"")
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert client.trailing_data[0] == b"", "there is something behind the answer"
    assert body == (b"" if method == b"HEAD" or status in (204, 304) else b"".join(data))
    assert (b"close" in fields.get(b"connection", b"")) == (version == b"1.0")


def test_what_the_handler_does_wrong_leaves_the_machine_as_it_was() -> None:
    server = machine()
    server.receive_data(SOUND[1])
    assert isinstance(server.next_event(), HttpIncoming)
    wrong: Any
    for wrong in (
        (42, ()),
        ("200", ()),
        (101, ()),
        (200, (("x", "a\r\nb: c"),)),
        (200, (("b\xe4d", "x"),)),
        (200, (("x", "\u20ac"),)),
        (200, (("content-length", "-5"),)),
        (200, (("content-length", "many"),)),
        (200, (("content-length", "5"), ("content-length", "6"))),
        (200, ((1, 2),)),
        (200, ("xy", "z")),
    ):
        with pytest.raises(InvalidInput, match="not valid HTTP"):
            server.send_head(*wrong, 0.0)
        assert server.state is State.ANSWERING
    with pytest.raises(InvalidInput, match="before its first ResponseData"):
        server.send_data(b"x")
    with pytest.raises(InvalidInput, match="before it returns"):
        server.send_end()
    assert server.refuse(500, 0.0).startswith(b"HTTP/1.1 500 ")
    assert server.keeps


def test_requests_wait_for_their_turn() -> None:
    server = machine()
    server.receive_data(SOUND[0] + SOUND[1])
    assert isinstance(server.next_event(), HttpIncoming)
    assert server.next_event() is NEED_DATA
    with pytest.raises(InvalidInput, match="another request"):
        server.start_next_cycle()
    server.send_head(200, (("connection", "close"),), 0.0)
    server.send_end()
    assert not server.keeps


def test_only_what_looks_whole_without_its_end_must_be_reset() -> None:
    for version, must_reset in ((b"1.1", False), (b"1.0", True)):
        server = machine()
        server.receive_data(b"GET / HTTP/" + version + b"\r\nhost: x\r\n\r\n")
        server.next_event()
        server.send_head(200, (), 0.0)
        assert server.must_reset is must_reset
        server.send_end()
        assert not server.must_reset


def test_the_client_is_told_to_go_on_only_while_it_waits() -> None:
    server = machine()
    head, body = SOUND[2][:-5], SOUND[2][-5:]
    server.receive_data(head)
    assert server.next_event() is NEED_DATA
    assert server.data_to_send() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert server.data_to_send() == b""
    impatient = machine()
    impatient.receive_data(head + body[:1])
    assert impatient.next_event() is NEED_DATA
    assert impatient.data_to_send() == b""
