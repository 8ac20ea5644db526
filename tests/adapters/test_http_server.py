"""Handlers behind every server: the three arms, WSGI (wsgiref) and ASGI under both async libraries."""

from __future__ import annotations

import asyncio
import functools
import logging
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import trio

import tako_io_asyncio.http_server
import tako_io_sync.http_server
import tako_io_trio.http_server
from tako.cancellation import CancellationToken
from tako.driving.serving import Begin, Connection, Finish, Hear
from tako.effects import Call, Emit, Failed, Flow, Sleep
from tako.errors import InvalidInput, TakoError, TransportError
from tako.serving import HttpIncoming, ResponseData, ResponseHead, ServerLimits, respond
from tako_io_asyncio import asgi
from tako_io_sync import wsgi
from tests.adapters.async_kit import wait_until
from tests.adapters.http_server_kit import (
    EVERYBODY,
    SERVERS,
    AsgiHost,
    Client,
    Watched,
    ask,
    echo,
    get,
    leaving_nothing,
    pieces,
    server,
    trio_or_asyncio,
    wsgi_server,
)

SECRET = "what only the log may know"


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    with leaving_nothing():
        yield


# Everybody.


@pytest.mark.parametrize("kind", EVERYBODY)
def test_a_request_reaches_the_handler_whole(kind: str) -> None:
    body = bytes(range(256)) * 300
    reply = ask(kind, echo, "/a%20b/%C3%BC?q=%20", method="POST", headers={"X-Name": "octopus"}, body=body)
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/plain"
    assert reply.body == "POST /a b/ü q=%20 octopus ".encode() + body


@pytest.mark.parametrize("kind", EVERYBODY)
def test_effects_come_between_what_is_said(kind: str) -> None:
    reply = ask(kind, pieces(b"one ", b"two ", b"three", seconds=0.005))
    assert (reply.status, reply.body, reply.whole) == (200, b"one two three", True)


@pytest.mark.parametrize("kind", EVERYBODY)
def test_an_answer_may_bring_its_length(kind: str) -> None:
    reply = ask(kind, lambda request: respond(404, b"nothing here", "text/x-none"))
    assert (reply.status, reply.body) == (404, b"nothing here")
    assert (reply.headers["content-length"], reply.headers["content-type"]) == ("12", "text/x-none")


@pytest.mark.parametrize("kind", EVERYBODY)
@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_what_has_no_body_gets_none(kind: str, method: str, status: int) -> None:
    def handler(request: HttpIncoming) -> Flow[None]:
        yield Emit((ResponseHead(status, (("x-kept", "1"),)), ResponseData(b"dropped")))

    reply = ask(kind, handler, method=method)
    assert (reply.status, reply.body, reply.headers["x-kept"]) == (status, b"", "1")


@pytest.mark.parametrize("kind", EVERYBODY)
def test_other_events_are_dropped(kind: str) -> None:
    def handler(request: HttpIncoming) -> Flow[None]:
        yield Emit(("an event of an agent", ResponseHead(200), object(), ResponseData(b"kept")))

    assert ask(kind, handler).body == b"kept"


def _raises(request: HttpIncoming) -> Flow[None]:
    yield Sleep(0)
    raise ZeroDivisionError(SECRET)


def _raises_at_once(request: HttpIncoming) -> Flow[None]:
    raise ZeroDivisionError(SECRET)


def _returns_its_failure(request: HttpIncoming) -> Flow[Failed]:
    yield Sleep(0)
    return Failed(TakoError(SECRET))


def _never_answers(request: HttpIncoming) -> Flow[None]:
    yield Sleep(0)


def _emits_data_first(request: HttpIncoming) -> Flow[None]:
    yield Emit((ResponseData(b"x"),))
    yield Emit((ResponseHead(200),))


def _splits_a_header(request: HttpIncoming) -> Flow[None]:
    yield Emit((ResponseHead(200, (("x-evil", "a\r\nset-cookie: " + SECRET),)),))


def _has_no_such_status(request: HttpIncoming) -> Flow[None]:
    yield Emit((ResponseHead(42),))


def _times_out(request: HttpIncoming) -> Flow[None]:
    yield Call(_raise, (TimeoutError(SECRET),))


def _loses_a_pipe(request: HttpIncoming) -> Flow[None]:
    yield Call(_raise, (BrokenPipeError(SECRET),))


def _raise(error: Exception) -> None:
    raise error


FAILING = [
    _raises,
    _raises_at_once,
    _returns_its_failure,
    _never_answers,
    _emits_data_first,
    _splits_a_header,
    _has_no_such_status,
    _times_out,
    _loses_a_pipe,
]


@pytest.mark.parametrize("kind", EVERYBODY)
def test_failing_before_the_head_is_500_and_the_details_are_for_the_log(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    for handler in FAILING:
        caplog.clear()
        reply = ask(kind, handler)  # type: ignore[arg-type]
        assert (reply.status, reply.body) == (500, b"500 Internal Server Error\n"), handler
        assert "x-evil" not in reply.headers
        wait_until(lambda: len(caplog.records) == 1, f"{handler} was not logged once: {caplog.records}")
        assert caplog.records[0].name == "tako"
        assert caplog.records[0].levelno == logging.ERROR


@pytest.mark.parametrize("kind", EVERYBODY)
def test_failing_after_the_head_never_looks_whole(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    def handler(request: HttpIncoming) -> Flow[None]:
        length = (("content-length", "100"),) if kind == "wsgi" else ()  # wsgiref knows no other framing
        yield Emit((ResponseHead(200, length), ResponseData(b"half")))
        yield Sleep(0)
        raise ZeroDivisionError(SECRET)

    reply = ask(kind, handler)
    assert (reply.status, reply.body, reply.whole) == (200, b"half", False)
    assert SECRET in str(caplog.records[0].exc_info)


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("length", [3, 5])
def test_a_length_that_is_not_kept_is_a_failure(
    kind: str, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    reply = ask(kind, pieces(b"ab", b"cd", headers=(("content-length", str(length)),)))
    assert not reply.whole
    assert "content-length" in caplog.text


@pytest.mark.parametrize("kind", EVERYBODY)
def test_a_second_head_is_a_failure(kind: str) -> None:
    def handler(request: HttpIncoming) -> Flow[None]:
        length = (("content-length", "1"),)
        yield Emit((ResponseHead(200, length), ResponseHead(201, length), ResponseData(b"x")))

    if kind.startswith("asgi"):  # the error is the server's to see
        with pytest.raises(InvalidInput, match="one ResponseHead"):
            ask(kind, handler)
    else:
        reply = ask(kind, handler)
        # By WSGI the head goes out with the first data, and so it had not.
        assert reply.status == 500 if kind == "wsgi" else not reply.whole


@pytest.mark.parametrize("kind", EVERYBODY)
def test_a_body_over_the_limit_is_413(kind: str) -> None:
    limits = ServerLimits(body_size=1000)
    assert ask(kind, echo, method="POST", body=b"x" * 1000, limits=limits).status == 200
    assert ask(kind, echo, method="POST", body=b"x" * 1001, limits=limits).status == 413


def test_limits_are_checked() -> None:
    for wrong in ({"connections": 0}, {"head_size": 1.5}, {"idle_seconds": -1.0}, {"body_size": True}):
        with pytest.raises(InvalidInput, match=next(iter(wrong))):
            ServerLimits(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", SERVERS)
def test_where_nobody_can_listen_says_so(kind: str) -> None:
    with server("sync", echo) as port, pytest.raises(TransportError, match=f"port {port}"):
        if kind == "sync":
            tako_io_sync.http_server.serve(echo, port=port)
        elif kind == "trio":
            trio.run(functools.partial(tako_io_trio.http_server.serve, echo, port=port))
        else:
            asyncio.run(tako_io_asyncio.http_server.serve(echo, port=port))


# A client that goes away, where the server is somebody else's.


def test_wsgi_ends_the_flow_of_a_client_that_left() -> None:
    watched = Watched(piece=b"x" * 1000, seconds=0.001)
    with wsgi_server(watched) as port:
        with Client(port) as client:
            client.send(get(version="1.0")).until(b"x" * 1000)
        assert watched.ended.wait(1)
    assert watched.emitted < 1000


@pytest.mark.parametrize("under_trio", [False, True])
@pytest.mark.parametrize("seconds", [0.001, 30.0])
def test_asgi_cancels_the_flow_of_a_client_that_left(under_trio: bool, seconds: float) -> None:
    watched = Watched(seconds=seconds)
    host = AsgiHost(asgi.application(watched), leave_at=1)
    reply = host.play(under_trio, "/", "GET", {}, b"")
    assert not reply.whole
    assert watched.ended_at - host.left_at < 0.1


@pytest.mark.parametrize("under_trio", [False, True])
def test_asgi_knows_the_lifespan_and_its_mount(under_trio: bool) -> None:
    said: list[str] = []
    coming = ["lifespan.startup", "lifespan.shutdown"]
    application = asgi.application(echo)

    async def receive() -> dict[str, str]:
        return {"type": coming.pop(0)}

    async def send(message: dict[str, str]) -> None:
        said.append(message["type"])

    trio_or_asyncio(under_trio, lambda: application({"type": "lifespan"}, receive, send))
    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    incoming = asgi._incoming(
        {"method": "GET", "path": "/mount/a", "root_path": "/mount", "headers": [], "client": None}, b""
    )
    assert (incoming.path, incoming.peer) == ("/a", "")
    with pytest.raises(InvalidInput, match="websocket"):
        trio_or_asyncio(under_trio, lambda: application({"type": "websocket"}, receive, send))


def test_a_flow_that_a_token_of_its_own_cancels_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    def handler(request: HttpIncoming) -> Flow[None]:
        CancellationToken().cancel()
        yield Sleep(0)
        raise TakoError("cancelled elsewhere")

    assert ask("sync", handler).status == 500
    assert len(caplog.records) == 1


def test_wsgi_ends_the_flow_when_the_server_closes_the_answer() -> None:
    watched = Watched(seconds=0)
    said: list[str] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": ""}
    answer: Any = wsgi.application(watched)(environ, lambda status, headers: said.append(status))  # type: ignore
    assert said == ["200 OK"]
    assert next(answer) == b"data: x\n\n"
    assert watched.running == 1
    answer.close()
    assert watched.running == 0


def test_the_blocking_server_does_not_wait_for_what_another_thread_has_read() -> None:
    """It was told that there is something to read, but the thread of the visit was faster."""
    token = CancellationToken()
    running = tako_io_sync.http_server.Server(echo, "", 0, runtime=None, cancel=None, limits=None)
    connection = Connection(echo, ServerLimits(), token, time.monotonic, time.time, "")
    ours, theirs = socket.socketpair()
    with theirs, ours:
        visit = tako_io_sync.http_server._Visit(running, ours, connection)
        with pytest.raises(TimeoutError):
            visit._perform(Hear(time.monotonic()))
        visit._perform(Begin(echo(HttpIncoming("GET", "/")), token))
        timer = threading.Timer(1, theirs.send, (b"late",))
        timer.start()
        began = time.monotonic()
        visit.look()
        assert time.monotonic() - began < 0.5
        timer.cancel()
        timer.join()
        assert not token.is_cancelled
        theirs.send(b"in time")
        visit.look()
        assert visit._perform(Hear(0.0)) == b"in time"
        theirs.close()
        visit.look()
        assert token.is_cancelled
        visit._perform(Finish())


def test_ctrl_c_ends_the_blocking_server_in_order() -> None:
    watched = Watched(seconds=30.0)
    client: list[Client] = []

    def ready(port: int) -> None:
        def interrupt() -> None:
            client.append(Client(port).send(get()))
            assert watched.began.wait(1)
            signal.raise_signal(signal.SIGINT)

        threading.Thread(target=interrupt).start()

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        tako_io_sync.http_server.serve(watched, ready=ready)
    assert time.monotonic() - began < 1.5
    assert watched.running == 0
    client[0].socket.close()
