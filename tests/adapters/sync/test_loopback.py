"""The loopback server plays its script to the byte, and ends with its `with`."""

from __future__ import annotations

import socket
import ssl
import threading
import time

import pytest

from tako.testing.vendor import Answer, Hangup, Pause, ReceivedRequest, Reset, ScriptedVendor
from tako_io_sync.loopback import LoopbackServer
from tests.adapters.sync.kit import Certificates, nothing_left_behind, wait_until

REQUEST = b"POST /v1/chat HTTP/1.1\r\nHost: h\r\nX-Key: one\r\nContent-Length: 2\r\n\r\n{}"


def exchange(server: LoopbackServer, request: bytes = REQUEST) -> bytes:
    """All that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), 5) as client:
        client.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize(
    ("answer", "sent"),
    [
        (
            Answer((b"ab", b"", b"cde"), 200, (("x", "1"),)),
            b"HTTP/1.1 200 OK\r\nx: 1\r\n%b\r\n\r\n%b"
            % (b"transfer-encoding: chunked\r\nconnection: close", b"2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"),
        ),
        (
            Answer.json(b"{}", 429, retry_after="3"),
            b"HTTP/1.1 429 Too Many Requests\r\n%b\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
            % b"content-type: application/json\r\nretry-after: 3",
        ),
        (Answer((b"all",), 299, (), "close"), b"HTTP/1.1 299 \r\nconnection: close\r\n\r\nall"),
        (Answer((b"not sent",), 204, ()), b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"),
        (
            Answer((b"3\r\nab",), 200, (("transfer-encoding", "chunked"),)),
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n3\r\nab",
        ),
        (
            Answer((b"abc", Hangup(), b"def"), 200, (), "length"),
            b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\nconnection: close\r\n\r\nabc",
        ),
        (Answer((b"x",), before=(Hangup(),)), b""),
    ],
)
def test_the_bytes_are_the_scripts(answer: Answer, sent: bytes) -> None:
    with LoopbackServer(ScriptedVendor(answer)) as server:
        assert exchange(server) == sent


def test_what_was_asked_is_recorded_and_connections_are_kept() -> None:
    vendor = ScriptedVendor(Answer.json(b"{}"))
    with LoopbackServer(vendor) as server:
        with socket.create_connection(("127.0.0.1", server.port), 5) as client:
            client.sendall(REQUEST + REQUEST)  # the second one comes with the first
            received = b""
            while received.count(b"{}") < 2:
                received += client.recv(65536)
            assert server.connections == server.open_connections == 1
        wait_until(lambda: server.open_connections == 0, "the server did not notice that the client has left")
    headers = (("host", "h"), ("x-key", "one"), ("content-length", "2"))
    assert vendor.requests == [ReceivedRequest("POST", "/v1/chat", headers, b"{}")] * 2


def test_a_reset_is_a_reset() -> None:
    with (
        LoopbackServer(ScriptedVendor(Answer((b"ab", Reset())))) as server,
        pytest.raises(ConnectionResetError),
    ):
        exchange(server)


def test_a_pause_takes_its_time() -> None:
    with LoopbackServer(ScriptedVendor(Answer((b"a", Pause(0.1), b"b"), before=(Pause(0.1),)))) as server:
        start = time.monotonic()
        exchange(server)
        assert 0.2 <= time.monotonic() - start < 1


def test_a_piece_can_be_held_back() -> None:
    release = threading.Event()

    def hold(index: int) -> None:
        assert index == 0 or release.wait(5)

    server = LoopbackServer(ScriptedVendor(Answer((b"first", b"second"))), before_piece=hold)
    with server, socket.create_connection(("127.0.0.1", server.port), 5) as client:
        client.sendall(REQUEST)
        received = b""
        while b"first" not in received:
            received += client.recv(65536)
        assert server.sent == [b"first"]
        release.set()
        while b"second" not in received:
            received += client.recv(65536)


def test_a_request_that_is_none_is_refused() -> None:
    with LoopbackServer(ScriptedVendor(Answer())) as server:
        assert exchange(server, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("when", ["idle", "paused", "sending", "in the handshake"])
def test_it_ends_at_once_whatever_it_does(when: str, certificates: Certificates) -> None:
    tls = certificates.server_context("127.0.0.1") if when == "in the handshake" else None
    answer = Answer((Pause(60),)) if when == "paused" else Answer((b"x" * 50_000_000,))
    with nothing_left_behind():
        with LoopbackServer(ScriptedVendor(answer), tls=tls) as server:
            client = socket.create_connection(("127.0.0.1", server.port), 5)
            if when in ("paused", "sending"):
                client.sendall(REQUEST)
                client.recv(1)
            wait_until(lambda: server.open_connections == 1, "nobody serves")
            start = time.monotonic()
        assert time.monotonic() - start < 0.5
        client.close()


def test_a_thread_that_will_not_end_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tako_io_sync.loopback.JOIN_SECONDS", 0.05)
    release = threading.Event()
    server = LoopbackServer(ScriptedVendor(Answer((b"x",))), before_piece=lambda _: release.wait(5))
    with pytest.raises(RuntimeError, match="has not returned"), server:
        client = socket.create_connection(("127.0.0.1", server.port), 5)
        client.sendall(REQUEST)
        client.recv(1)
    release.set()
    client.close()
    wait_until(lambda: server.open_connections == 0, "it does not end")


def test_tls(certificates: Certificates) -> None:
    context = ssl.create_default_context(cadata=certificates.roots)
    vendor = ScriptedVendor(Answer.json(b"{}"))
    with LoopbackServer(vendor, tls=certificates.server_context("127.0.0.1")) as server:
        assert server.url.startswith("https://")
        plain = socket.create_connection(("127.0.0.1", server.port), 5)
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
            client.sendall(REQUEST)
            assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
