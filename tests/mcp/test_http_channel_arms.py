"""HttpChannel on real sockets, by all three arms: the same flows and outcomes, connections used again."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

import tako_io_asyncio
import tako_io_sync
import tako_io_trio
from tako.effects import Flow, Succeeded, gather, within
from tako.errors import ProtocolError, TakoError, TimedOut, TransportError
from tako.mcp.channel import Channel, Outgoing
from tako.mcp.http import Http
from tako.mcp.http_channel import SessionExpired
from tako.mcp.versions import REVISIONS
from tako.testing import Answer
from tako.testing.vendor import Pause, ReceivedRequest, Reset, ScriptedVendor
from tako_io_sync.loopback import LoopbackServer
from tests.mcp.http_channel_kit import Ear, Server, ended_by, event, events, note, question, result, said

Json = Any
Run = Callable[[Flow[Any]], Any]


def run_sync(flow: Flow[Any]) -> Any:
    with tako_io_sync.Runtime() as runtime:
        return runtime.run(flow)


def run_trio(flow: Flow[Any]) -> Any:
    async def main() -> Any:
        async with tako_io_trio.Runtime() as runtime:
            return await runtime.run(flow)

    return trio.run(main)


def run_asyncio(flow: Flow[Any]) -> Any:
    async def main() -> Any:
        async with tako_io_asyncio.Runtime() as runtime:
            return await runtime.run(flow)

    return asyncio.run(main())


@pytest.fixture(params=[run_sync, run_trio, run_asyncio], ids=["sync", "trio", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    arm: Run = request.param
    return arm


def ask(channel: Channel, ear: Ear | None = None, timeout: float | None = 5.0, **params: Json) -> Flow[Json]:
    return channel.ask(Outgoing("tools/call", params, timeout=timeout), ear or Ear())


def opened(url: str, **options: Any) -> Flow[Channel]:
    channel = Http(url + "/mcp", **options).channel()
    yield from channel.open()
    yield from channel.ask(Outgoing("initialize", {}, timeout=5.0), Ear())
    channel.settle(REVISIONS["2025-11-25"])
    yield from channel.tell("notifications/initialized", {})
    return channel


def echo(message: Json) -> Answer:
    return said(result(message["id"], message["params"]))


def test_answers_in_json_over_one_connection(run: Run) -> None:
    server = Server(echo, session="s")

    def flow(url: str) -> Flow[None]:
        channel = yield from opened(url)
        for n in range(20):
            assert (yield from ask(channel, n=n)) == {"n": n}
        yield from channel.close()

    with LoopbackServer(server) as loopback:
        run(flow(loopback.url))
        assert loopback.connections == 1
    assert server.methods()[-1] == "DELETE"


def test_answers_in_streams_over_one_connection(run: Run) -> None:
    server = Server(lambda message: events(note("a"), result(message["id"], message["params"])))
    ear = Ear()

    def flow(url: str) -> Flow[None]:
        channel = yield from opened(url)
        for n in range(10):
            assert (yield from ask(channel, ear, n=n)) == {"n": n}

    with LoopbackServer(server) as loopback:
        run(flow(loopback.url))
        assert loopback.connections == 1
    assert len(ear.heard) == 10


def test_requests_are_answered_while_reading_goes_on(run: Run) -> None:
    server = Server(
        ended_by(
            "done", question("a", "x/y"), note("n1"), question("b", "x/z"), Pause(0.3), question("c", "ping"),
            note("n2"), Pause(0.2),
        )
    )  # fmt: skip
    ear = Ear(thinks=0.1)

    def flow(url: str) -> Flow[Json]:
        channel = yield from opened(url)
        return (yield from ask(channel, ear))

    with LoopbackServer(server) as loopback:
        assert run(flow(loopback.url)) == "done"
    assert [method for method, _ in ear.heard] == ["n1", "n2"]
    assert sorted(answer["id"] for answer in server.answers()) == ["a", "b", "c"]


def test_what_is_still_thought_about_ends_with_the_answer(run: Run) -> None:
    server = Server(ended_by("done", question("a", "x/y"), Pause(0.1)))
    ear = Ear(thinks=60.0)
    began = time.monotonic()

    def flow(url: str) -> Flow[Json]:
        channel = yield from opened(url)
        first = yield from ask(channel, ear)
        return first, (yield from ask(channel, ear))

    with LoopbackServer(server) as loopback:
        assert run(flow(loopback.url)) == ("done", "done")
    assert time.monotonic() - began < 3
    assert (ear.answered, server.answers()) == ([], [])


def test_silence_after_the_host_has_answered(run: Run) -> None:
    server = Server(ended_by("done", question("a", "x/y"), Pause(5)))
    began = time.monotonic()

    def flow(url: str) -> Flow[None]:
        channel = yield from opened(url)
        with pytest.raises(TimedOut, match=r"silent for 0\.2 seconds"):
            yield from ask(channel, Ear(thinks=0.3), timeout=0.2)

    with LoopbackServer(server) as loopback:
        run(flow(loopback.url))
    assert 0.4 < time.monotonic() - began < 3
    assert server.methods()[-1] == "notifications/cancelled"


@pytest.mark.parametrize("end", [(), (Reset(),)])
def test_a_stream_is_resumed(run: Run, end: tuple[Any, ...]) -> None:
    server = Server(
        events(event(note("a"), id="e", retry=20), Pause(0.05), *end),
        get=lambda request: events(note(request.header("last-event-id") or ""), result(2, "done")),
    )
    ear = Ear()

    def flow(url: str) -> Flow[Json]:
        channel = yield from opened(url)
        return (yield from ask(channel, ear))

    with LoopbackServer(server) as loopback:
        assert run(flow(loopback.url)) == "done"
    assert [method for method, _ in ear.heard] == ["a", "e"]


def test_a_cancelled_request_is_withdrawn_and_the_channel_goes_on(run: Run) -> None:
    server = Server(lambda message: events(Pause(9)) if message["params"].get("slow") else echo(message))

    def flow(url: str) -> Flow[Json]:
        channel = yield from opened(url)
        with pytest.raises(TimedOut):
            yield from within(0.1, ask(channel, slow=True))
        return (yield from ask(channel, n=1))

    with LoopbackServer(server) as loopback:
        assert run(flow(loopback.url)) == {"n": 1}
    assert server.methods()[2:] == ["tools/call", "notifications/cancelled", "tools/call"]


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
def test_a_body_that_swells_is_given_up(run: Run, kind: str) -> None:
    """64 MiB in 64 KiB: no more of it is unpacked than an answer may have."""
    swelling = gzip.compress(b"data: {" + bytes(64 << 20), 1)
    headers = (("content-type", kind), ("content-encoding", "gzip"))

    def flow(url: str) -> Flow[Json]:
        channel = yield from opened(url)
        with pytest.raises(ProtocolError, match=r"16,?777,?216 bytes"):
            yield from ask(channel)

    with LoopbackServer(Server(Answer((swelling,), 200, headers, "length"))) as loopback:
        run(flow(loopback.url))


def test_an_expired_session_and_a_dead_server(run: Run) -> None:
    def flow(url: str, stop: Callable[[], None]) -> Flow[None]:
        channel = yield from opened(url)
        with pytest.raises(SessionExpired):
            yield from ask(channel)
        yield from channel.open()
        stop()
        with pytest.raises(TransportError) as caught:
            yield from ask(channel)
        assert caught.value.phase in ("connect", "head", "send")
        assert (caught.value.partial is not None) == (caught.value.phase == "connect")

    with LoopbackServer(Server(Answer((b"",), 404), session="s")) as loopback:
        run(flow(loopback.url, loopback.close))


def test_listening_and_asking_side_by_side(run: Run) -> None:
    streams = [
        events(event(note("a"), id="1", retry=10), question("q", "x/y"), Pause(0.2)),
        Answer((b"",), 405),
    ]
    server = Server(echo, get=lambda request: streams.pop(0))
    ear = Ear()

    def flow(url: str) -> Flow[list[Any]]:
        channel = yield from opened(url)
        return (yield from gather(channel.listen(ear), *[ask(channel, n=n) for n in range(4)]))

    with LoopbackServer(server) as loopback:
        outcomes = run(flow(loopback.url))
    assert outcomes[1:] == [Succeeded({"n": n}) for n in range(4)]
    assert [method for method, _ in ear.heard] == ["a"]
    assert server.answers() == [result("q", {"did": "x/y"})]


# A server of 2024-11-05.


class OldServer:
    """One stream at /sse, which says what the posts to /post lead to."""

    def __init__(self) -> None:
        self._stream: socket.socket | None = None
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []

    def serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                self._open.append(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rb") as lines:
            while request := lines.readline():
                length = 0
                while (line := lines.readline()) not in (b"\r\n", b""):
                    name, _, value = line.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                body = lines.read(length)
                if request.startswith(b"GET /sse "):
                    self._stream = connection
                    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
                    connection.sendall(head + b"event: endpoint\ndata: /post\n\n")
                elif request.startswith(b"POST /sse "):
                    connection.sendall(b"HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n")
                else:
                    connection.sendall(b"HTTP/1.1 202 OK\r\ncontent-length: 0\r\n\r\n")
                    self._heard(json.loads(body))

    def _heard(self, message: Json) -> None:
        assert self._stream is not None
        if message.get("params", {}).get("die"):
            self._stream.shutdown(socket.SHUT_RDWR)
        elif "method" in message and "id" in message:
            with self._lock:
                for said_now in (
                    question(f"q{message['id']}", "x/y"),
                    result(message["id"], message["params"]),
                ):
                    self._stream.sendall(event(said_now))

    def close(self) -> None:
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)


@contextlib.contextmanager
def old_server() -> Iterator[str]:
    server = OldServer()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.serve, args=(listener,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/sse"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    server.close()


def test_the_pair_of_2024(run: Run) -> None:
    ear = Ear()

    def flow(url: str) -> Flow[None]:
        channel = Http(url).channel()
        yield from channel.open()
        yield from channel.ask(Outgoing("initialize", {}, timeout=5.0), ear)
        channel.settle(REVISIONS["2024-11-05"])
        yield from channel.tell("notifications/initialized", {})
        outcomes = yield from gather(*[ask(channel, ear, n=n) for n in range(8)])
        assert outcomes == [Succeeded({"n": n}) for n in range(8)]
        with pytest.raises(TakoError):
            yield from ask(channel, ear, die=True)
        assert not channel.is_open
        yield from channel.close()

    with old_server() as url:
        run(flow(url))
    assert {method for method, _ in ear.asked} == {"x/y"}


def test_a_vendor_is_asked_by_its_path() -> None:
    """The kit's server answers any path; what is asked for is the URL's own."""
    asked: list[str] = []

    def answer(request: ReceivedRequest) -> Answer:
        asked.append(request.target)
        return said(result(1, 1))

    def flow(url: str) -> Flow[Json]:
        channel = Http(url + "/a%20b?key=1").channel()
        yield from channel.open()
        return (yield from ask(channel))

    with LoopbackServer(ScriptedVendor(answer)) as loopback:
        assert run_sync(flow(loopback.url)) == 1
    assert asked == ["/a%20b?key=1"]
