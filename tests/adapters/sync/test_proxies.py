"""Proxies from the environment: plain ones, CONNECT, credentials, exceptions."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tako.effects import TlsOptions
from tako.errors import TransportError
from tako.testing.vendor import Answer, ScriptedVendor
from tako_io_sync import Runtime
from tako_io_sync.loopback import LoopbackServer
from tests.adapters.sync.kit import SERVER, SERVERS_SIDE, Certificates, fetch, nothing_left_behind, post


@dataclass
class TunnelProxy:
    """Connects clients with whatever port they name on this machine, whatever host they name."""

    answer: bytes = b"HTTP/1.1 200 fine\r\n\r\n"
    heads: list[bytes] = field(default_factory=list)

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        listener = socket.create_server(("127.0.0.1", 0))
        pumps: list[threading.Thread] = []
        ends: list[socket.socket] = []

        def pump(source: socket.socket, sink: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    sink.sendall(data)
                sink.shutdown(socket.SHUT_WR)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    ends.append(client)
                    SERVERS_SIDE.add(client)
                    head = b""
                    while b"\r\n\r\n" not in head and (data := client.recv(65536)):
                        head += data
                    if not head:
                        continue
                    self.heads.append(head)
                    client.sendall(self.answer)
                    if b" 200 " not in self.answer:
                        client.shutdown(socket.SHUT_WR)
                        continue
                    port = int(head.split(b" ")[1].rsplit(b":", 1)[1])
                    origin = socket.create_connection(("127.0.0.1", port))
                    ends.append(origin)
                    SERVERS_SIDE.add(origin)
                    for pair in ((client, origin), (origin, client)):
                        pumps.append(threading.Thread(target=pump, args=pair, name=SERVER, daemon=True))
                        pumps[-1].start()

        server = threading.Thread(target=serve, name=SERVER, daemon=True)
        server.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            server.join()
            for end in ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            for pumping in pumps:
                pumping.join()
            for end in ends:
                end.close()
                SERVERS_SIDE.discard(end)


def test_a_plain_proxy_gets_the_whole_url(monkeypatch: pytest.MonkeyPatch) -> None:
    vendor = ScriptedVendor(Answer.json(b"{}"))
    with LoopbackServer(vendor) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:pass@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "exempt.example")
        with Runtime() as runtime:
            assert runtime.run(fetch(post("http://api.example/x"))) == (200, b"{}")
            with pytest.raises(TransportError) as caught:
                runtime.run(fetch(post("http://exempt.example/x", pinned_address="127.0.0.1")))
            assert caught.value.phase == "connect"
    (request,) = vendor.requests
    assert (request.target, request.header("host")) == ("http://api.example/x", "api.example")
    assert request.header("proxy-authorization") == "Basic dXNlcjpwYXNz"


def test_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with LoopbackServer(ScriptedVendor(Answer.json(b"{}"))) as server, Runtime() as runtime:
        assert runtime.run(fetch(post(server.url))) == (200, b"{}")


def test_a_tunnel(monkeypatch: pytest.MonkeyPatch, certificates: Certificates) -> None:
    names: list[str] = []
    tls = TlsOptions(extra_roots=certificates.roots)
    proxy = TunnelProxy()
    with LoopbackServer(
        ScriptedVendor(Answer.events([b"one", b"two"])),
        tls=certificates.server_context("api.example", names_asked=names),
    ) as server:
        port = server.port
        with proxy.running() as address, nothing_left_behind():
            monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass@{address}")
            with Runtime() as runtime:
                for _ in range(2):
                    assert runtime.run(fetch(post(f"https://api.example:{port}/", tls=tls))) == (
                        200,
                        b"onetwo",
                    )
        assert server.connections == 1
    assert names == ["api.example"]
    assert proxy.heads[0].startswith(b"CONNECT api.example:%d " % port)
    assert b"\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n" in proxy.heads[0]


def test_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with TunnelProxy(b"HTTP/1.1 407 no\r\n\r\n").running() as address, nothing_left_behind():
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:hush@{address}")
        with Runtime() as runtime, pytest.raises(TransportError, match="407") as caught:
            runtime.run(fetch(post("https://api.example/")))
        assert caught.value.phase == "proxy"
        assert "hush" not in str(caught.value)
        del caught


def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hush@127.0.0.1:1")
    with Runtime() as runtime, pytest.raises(TransportError, match=r"127\.0\.0\.1:1 .*refused") as caught:
        runtime.run(fetch(post("https://api.example/")))
    assert caught.value.phase == "connect"
    assert "hush" not in str(caught.value)


def test_a_pinned_address_goes_around_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with LoopbackServer(ScriptedVendor(Answer.json(b"{}"))) as server, Runtime() as runtime:
        request = post(f"http://api.example:{server.port}/", pinned_address="127.0.0.1")
        assert runtime.run(fetch(request)) == (200, b"{}")
