"""HTTP exchanges of the async arms, against real sockets."""

from __future__ import annotations

import gc
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tako.cancellation import CancellationToken
from tako.driving.async_http import receive
from tako.driving.streams import NothingSent
from tako.effects import Close, Emit, Flow, HttpRequest, Receive, Send, TlsOptions, Within
from tako.errors import InvalidInput, ProtocolError, TakoError, TimedOut, TransportError
from tako.testing.vendor import Answer, Hangup, Pause, ReceivedRequest, Reset, ScriptedVendor
from tako_io_sync.loopback import LoopbackServer
from tests.adapters.async_kit import (
    Arm,
    Certificates,
    fetch,
    full_backlog,
    get,
    read_head,
    relay,
    serving,
    silence,
    wait_until,
)

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
BROKEN: list[tuple[str, Answer, str]] = [
    ("reset before the head", Answer(before=(Reset(),)), "head"),
    ("hung up before the head", Answer(before=(Hangup(),)), "head"),
    ("reset in the body", Answer((b"one", Pause(0.05), Reset())), "body"),
    ("hung up in the body", Answer((b"one", Pause(0.05), Hangup())), "body"),
]


class HttpCases:
    def test_a_connection_is_kept(self, arm: Arm) -> None:
        with LoopbackServer(ScriptedVendor(Answer.json("1"))) as server:

            async def scenario() -> None:
                for _ in range(3):
                    assert await arm.run(fetch(get(server.url))) == (200, b"1")

            arm.play(scenario)
            assert server.connections == 1
            wait_until(lambda: not server.open_connections, "the kept connection outlived the loop")

    def test_a_chunk_is_handed_over_before_the_next_is_sent(self, arm: Arm) -> None:
        seen = threading.Event()

        def wait_for_the_consumer(index: int) -> None:
            if index == 1:
                assert seen.wait(5), "the first chunk was held back"

        vendor = ScriptedVendor(Answer.events([b"one", b"two"]))
        with LoopbackServer(vendor, before_piece=wait_for_the_consumer) as server:

            async def scenario() -> None:
                events = []
                async for event in arm.stream(relay(get(server.url))):
                    events.append(event)
                    if event == b"one":
                        seen.set()
                assert events == ["head", b"one", b"two"]

            arm.play(scenario)

    def test_a_large_body_goes_both_ways(self, arm: Arm) -> None:
        size = 5_000_000

        def echo(request: ReceivedRequest) -> Answer:
            return Answer((request.body,), framing="length")

        with LoopbackServer(ScriptedVendor(echo)) as server:

            async def scenario() -> None:
                body = bytes(range(256)) * (size // 256)
                assert await arm.run(fetch(HttpRequest("POST", server.url, body=body))) == (200, body)

            arm.play(scenario)

    def test_a_consumer_that_does_not_read_stops_the_peer(self, arm: Arm) -> None:
        piece = b"x" * 65536
        with LoopbackServer(ScriptedVendor(Answer((piece,) * 1000))) as server:

            async def scenario() -> None:
                async with arm.stream(relay(get(server.url))) as events:
                    async for event in events:
                        if event != "head":
                            break
                    await arm.sleep(0.3)
                    before = len(server.sent)
                    await arm.sleep(0.2)
                    assert len(server.sent) == before < 300
                    size = 0
                    async for event in events:
                        size += len(event)
                    assert size > 64_000_000

            arm.play(scenario)

    def test_a_stale_connection_is_not_used(self, arm: Arm) -> None:
        """The peer hangs up after each answer, without having said so."""

        def serve(connection: socket.socket) -> None:
            read_head(connection)
            connection.sendall(OK)

        with serving(serve) as port:

            async def scenario() -> None:
                for _ in range(3):
                    assert await arm.run(fetch(get(f"http://127.0.0.1:{port}"))) == (200, b"ok")
                    await arm.sleep(0.02)

            arm.play(scenario)

    def test_a_connection_that_went_stale_behind_a_busy_loop_is_not_used(self, arm: Arm) -> None:
        def serve(connection: socket.socket) -> None:
            read_head(connection)
            connection.sendall(OK)

        def twice(url: str) -> Flow[Any]:
            yield from fetch(get(url))
            time.sleep(0.05)  # the loop does not turn
            return (yield from fetch(get(url)))

        with serving(serve) as port:

            async def scenario() -> None:
                assert await arm.run(twice(f"http://127.0.0.1:{port}")) == (200, b"ok")

            arm.play(scenario)

    def test_a_write_that_was_not_accepted_says_so(self, arm: Arm) -> None:
        def serve(connection: socket.socket) -> None:
            read_head(connection)
            connection.sendall(OK)
            reset(connection)

        with serving(serve) as port:

            async def scenario() -> None:
                async with arm.Runtime() as runtime:
                    network = await runtime.network()
                    exchange = await network.open(get(f"http://127.0.0.1:{port}"))
                    stream = exchange.stream
                    while await receive(exchange):
                        pass
                    time.sleep(0.05)
                    assert stream.readable()
                    with pytest.raises(NothingSent):
                        await stream.write(b"x", 1.0)
                        await stream.write(b"x", 1.0)
                    stream.shut()

            arm.play(scenario)

    def test_an_answer_left_unread_costs_its_connection(self, arm: Arm) -> None:
        def flow(url: str) -> Flow[int]:
            head = yield Send(get(url))
            yield Close(head.exchange)
            yield Close(head.exchange)
            return head.exchange

        with LoopbackServer(ScriptedVendor(Answer((b"x" * 100_000, Pause(5))))) as server:

            async def scenario() -> None:
                assert await arm.run(flow(server.url)) == 1
                await arm.until(lambda: not server.open_connections, "it is still open")

            arm.play(scenario)

    def test_what_a_flow_leaves_open_is_closed_with_it(self, arm: Arm) -> None:
        def flow(url: str) -> Flow[int]:
            head = yield Send(get(url))
            return head.exchange

        with LoopbackServer(ScriptedVendor(Answer((b"x", Pause(5))))) as server:

            async def scenario() -> None:
                await arm.run(flow(server.url))
                await arm.until(lambda: not server.open_connections, "it is still open")

            arm.play(scenario)

    def test_a_stream_that_is_dropped_lets_go_of_its_connection(self, arm: Arm) -> None:
        with LoopbackServer(ScriptedVendor(Answer((b"x", Pause(5))))) as server:

            async def scenario() -> None:
                token = CancellationToken()
                async for event in arm.stream(relay(get(server.url)), cancel=token):
                    if event == b"x":
                        break
                gc.collect()
                assert not token._callbacks
                await arm.until(lambda: not server.open_connections, "it is still open")

            arm.play(scenario)

    def test_receiving_from_what_is_not_open(self, arm: Arm) -> None:
        def flow() -> Flow[bytes]:
            return (yield Receive(7))

        async def scenario() -> None:
            with pytest.raises(InvalidInput, match="exchange 7 is not open"):
                await arm.run(flow())

        arm.play(scenario)

    @pytest.mark.parametrize(("name", "answer", "phase"), BROKEN, ids=[name for name, _, _ in BROKEN])
    def test_a_broken_answer(self, arm: Arm, name: str, answer: Answer, phase: str) -> None:
        with LoopbackServer(ScriptedVendor(answer)) as server:
            self.fails(arm, get(server.url), TransportError, phase)

    def test_a_body_that_ends_with_the_connection(self, arm: Arm) -> None:
        with LoopbackServer(ScriptedVendor(Answer((b"all", b" of it"), framing="close"))) as server:

            async def scenario() -> None:
                assert await arm.run(fetch(get(server.url))) == (200, b"all of it")

            arm.play(scenario)

    def test_bytes_that_are_not_http(self, arm: Arm) -> None:
        with serving(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")) as port:
            self.fails(arm, get(f"http://127.0.0.1:{port}"), ProtocolError, "head")

    def test_a_refused_connection(self, arm: Arm) -> None:
        failure = self.fails(arm, get("http://127.0.0.1:1"), TransportError, "connect")
        assert "refused" in failure.message.lower()

    def test_a_name_that_does_not_exist(self, arm: Arm) -> None:
        self.fails(arm, get("http://does-not-exist.invalid"), TransportError, "connect")

    def test_a_name_with_several_addresses(self, arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
        """The first refuses, so the second is taken."""
        with LoopbackServer(ScriptedVendor(Answer.json("1"))) as server:

            def find(*_: Any, **__: Any) -> list[Any]:
                return [
                    (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, server.port))
                    for address in ("127.0.0.2", "127.0.0.1", "127.0.0.3")
                ]

            monkeypatch.setattr(socket, "getaddrinfo", find)

            async def scenario() -> None:
                assert await arm.run(fetch(get(f"http://twins.test:{server.port}"))) == (200, b"1")

            arm.play(scenario)

    def test_no_connection_in_time(self, arm: Arm) -> None:
        with full_backlog() as port:
            self.fails(arm, get(f"http://127.0.0.1:{port}", connect_timeout=0.1), TimedOut, "connect")

    def test_no_handshake_in_time(self, arm: Arm) -> None:
        with serving(silence) as port:
            self.fails(arm, get(f"https://127.0.0.1:{port}", connect_timeout=0.1), TimedOut, "tls")

    def test_no_head_in_time(self, arm: Arm) -> None:
        with serving(silence) as port:
            self.fails(arm, get(f"http://127.0.0.1:{port}", read_timeout=0.1), TimedOut, "head")

    def test_no_body_in_time(self, arm: Arm) -> None:
        with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(5))))) as server:
            self.fails(arm, get(server.url, read_timeout=0.1), TimedOut, "body")

    def test_a_request_that_is_not_taken_in_time(self, arm: Arm) -> None:
        with serving(lambda connection: time.sleep(0.5)) as port:
            request = HttpRequest(
                "POST", f"http://127.0.0.1:{port}", body=b"x" * 20_000_000, read_timeout=0.1
            )
            self.fails(arm, request, TimedOut, "send")

    def test_a_slow_body_is_not_late(self, arm: Arm) -> None:
        """The limit is for each read: it starts anew with each of them."""
        pieces = [piece for index in range(6) for piece in (b"%d" % index, Pause(0.06))]
        with LoopbackServer(ScriptedVendor(Answer(tuple(pieces)))) as server:

            async def scenario() -> None:
                assert await arm.run(fetch(get(server.url, read_timeout=0.2))) == (200, b"012345")

            arm.play(scenario)

    def test_a_short_limit_beside_a_long_one(self, arm: Arm) -> None:
        with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(30))))) as server:

            async def patient() -> None:
                async with arm.leave_after(0.4):
                    await arm.run(fetch(get(server.url, read_timeout=10)))

            async def impatient() -> None:
                for seconds in (0.1, 0.02):
                    began = time.monotonic()
                    with pytest.raises(TimedOut):
                        await arm.run(fetch(get(server.url, read_timeout=seconds)))
                    assert seconds <= time.monotonic() - began < seconds + 0.1

            async def scenario() -> None:
                await arm.side_by_side(patient, impatient)

            arm.play(scenario)

    def test_a_read_that_was_cut_short_loses_nothing(self, arm: Arm) -> None:
        def flow(url: str) -> Flow[list[Any]]:
            head = yield Send(get(url))
            seen: list[Any] = []

            def one() -> Flow[Any]:
                return (yield Receive(head.exchange))

            while True:
                try:
                    data = yield Within(0.03, one())
                except TimedOut:
                    seen.append("late")
                    continue
                if not data:
                    return seen
                seen.append(data)

        with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(0.1), b"two")))) as server:

            async def scenario() -> None:
                seen = await arm.run(flow(server.url))
                assert [item for item in seen if item != "late"] == [b"one", b"two"]
                assert "late" in seen

            arm.play(scenario)

    # TLS.

    def test_tls_with_an_authority_of_our_own(self, arm: Arm, certificates: Certificates) -> None:
        context = certificates.server_context("127.0.0.1")
        tls = TlsOptions(extra_roots=certificates.roots)
        with LoopbackServer(ScriptedVendor(Answer((b"a" * 100_000, b"b"))), tls=context) as server:

            async def scenario() -> None:
                for _ in range(3):
                    assert (await arm.run(fetch(get(server.url, tls=tls))))[1] == b"a" * 100_000 + b"b"

            arm.play(scenario)
            assert server.connections == 1

    def test_a_pinned_address_and_the_name_that_is_asked_for(
        self, arm: Arm, certificates: Certificates
    ) -> None:
        names: list[str | None] = []
        context = certificates.server_context("api.example.org", names_asked=names)
        tls = TlsOptions(extra_roots=certificates.roots)
        with LoopbackServer(ScriptedVendor(Answer.json("1")), tls=context) as server:
            request = get(f"https://api.example.org:{server.port}/", tls=tls, pinned_address="127.0.0.1")

            async def scenario() -> None:
                assert await arm.run(fetch(request)) == (200, b"1")

            arm.play(scenario)
            assert names == ["api.example.org"]
            assert server.vendor.requests[0].header("host") == f"api.example.org:{server.port}"

    @pytest.mark.parametrize("trusted", [True, False])
    def test_a_certificate_that_does_not_fit(
        self, arm: Arm, certificates: Certificates, trusted: bool
    ) -> None:
        context = certificates.server_context("other.example.org")
        tls = TlsOptions(extra_roots=certificates.roots) if trusted else None
        with LoopbackServer(ScriptedVendor(Answer.json("1")), tls=context) as server:
            failure = self.fails(arm, get(server.url, tls=tls), TransportError, "tls")
            assert ("not trusted" in failure.message) and not server.vendor.requests

    def test_tls_to_a_port_without_it(self, arm: Arm) -> None:
        with serving(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
            self.fails(arm, get(f"https://127.0.0.1:{port}"), TransportError, "tls")

    def test_a_peer_that_resets_in_the_handshake(self, arm: Arm) -> None:
        def serve(connection: socket.socket) -> None:
            connection.recv(1)
            reset(connection)

        with serving(serve) as port:
            self.fails(arm, get(f"https://127.0.0.1:{port}"), TransportError, "tls")

    # Proxies.

    def test_a_proxy(self, arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
        with LoopbackServer(ScriptedVendor(Answer.json("1"))) as proxy:
            monkeypatch.setenv("http_proxy", f"http://user:secret@127.0.0.1:{proxy.port}")

            async def scenario() -> None:
                assert await arm.run(fetch(get("http://vendor.test/path"))) == (200, b"1")

            arm.play(scenario)
            request = proxy.vendor.requests[0]
            assert request.target == "http://vendor.test/path"
            assert request.header("proxy-authorization") == "Basic dXNlcjpzZWNyZXQ="

    def test_a_tunnel(self, arm: Arm, certificates: Certificates) -> None:
        asked: list[bytes] = []
        context = certificates.server_context("vendor.test")
        tls = TlsOptions(extra_roots=certificates.roots)
        with (
            LoopbackServer(ScriptedVendor(Answer.json("1")), tls=context) as server,
            serving(tunnel_to(server.port, asked)) as port,
        ):

            async def scenario() -> None:
                async with arm.Runtime(environ={"https_proxy": f"http://127.0.0.1:{port}"}) as runtime:
                    for _ in range(2):
                        assert await runtime.run(fetch(get("https://vendor.test/", tls=tls))) == (200, b"1")

            arm.play(scenario)
            assert len(asked) == 1 and asked[0].startswith(b"CONNECT vendor.test:443 HTTP/1.1\r\n")

    def test_a_tunnel_is_refused(self, arm: Arm) -> None:
        def serve(connection: socket.socket) -> None:
            read_head(connection)
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")

        with serving(serve) as port:
            environ = {"https_proxy": f"http://127.0.0.1:{port}"}
            self.fails(arm, get("https://vendor.test/"), TransportError, "proxy", environ=environ)

    # Runtimes.

    def test_a_closed_runtime(self, arm: Arm) -> None:
        with LoopbackServer(ScriptedVendor(Answer.json("1"))) as server:

            async def scenario() -> None:
                runtime = arm.Runtime()
                assert await runtime.run(fetch(get(server.url))) == (200, b"1")
                await runtime.aclose()
                await runtime.aclose()
                await arm.until(lambda: not server.open_connections, "it is still open")
                with pytest.raises(InvalidInput, match="this Runtime is closed"):
                    await runtime.run(fetch(get(server.url)))

            arm.play(scenario)

    def test_a_runtime_in_one_loop_after_the_other(self, arm: Arm) -> None:
        runtime = arm.Runtime()
        with LoopbackServer(ScriptedVendor(Answer.json("1"))) as server:

            async def scenario() -> None:
                assert await runtime.run(fetch(get(server.url))) == (200, b"1")

            arm.play(scenario)
            arm.play(scenario)
            assert server.connections == 2

    def test_a_runtime_in_two_loops_at_once(self, arm: Arm) -> None:
        runtime = arm.Runtime()
        failures: list[BaseException] = []
        with LoopbackServer(ScriptedVendor(Answer.json("1"))) as server:

            async def inner() -> None:
                try:
                    await runtime.run(fetch(get(server.url)))
                except TakoError as error:
                    failures.append(error)

            async def scenario() -> None:
                await runtime.run(fetch(get(server.url)))
                thread = threading.Thread(target=arm._play, args=(inner,))
                thread.start()
                thread.join()
                await runtime.aclose()

            arm.play(scenario)
        assert [type(failure) for failure in failures] == [InvalidInput]

    def fails(
        self,
        arm: Arm,
        request: HttpRequest,
        kind: type[TakoError],
        phase: str,
        **options: Any,
    ) -> TakoError:
        """The request fails in this phase, as a stream and as a run; the error."""
        failures: list[TakoError] = []

        def flow() -> Flow[Any]:
            yield Emit(("begin",))
            return (yield from fetch(request))

        async def scenario() -> None:
            async with arm.Runtime(**options) as runtime:
                with pytest.raises(TakoError) as failure:
                    await runtime.run(flow())
                failures.append(failure.value)
                stream = runtime.stream(flow())
                with pytest.raises(TakoError) as failure:
                    async for event in stream:
                        assert event == "begin"
                failures.append(failure.value)
                assert [event async for event in stream] == []
                with pytest.raises(kind):
                    stream.result  # noqa: B018

        arm.play(scenario)
        assert [(type(failure), failure.phase) for failure in failures] == [(kind, phase)] * 2
        return failures[0]


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def tunnel_to(port: int, asked: list[bytes]) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        asked.append(read_head(connection))
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as other:
            back = threading.Thread(target=pump, args=(other, connection))
            back.start()
            pump(connection, other)
            back.join()

    return serve


def pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
