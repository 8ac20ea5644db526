"""What happens on the connections of the three servers, seen from raw sockets."""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import requests

import tako_io_asyncio.http_server
import tako_io_sync.http_server
import tako_io_trio.http_server
from tako.cancellation import CancellationToken
from tako.driving.serving import TICK
from tako.effects import Call, Emit, Flow, Sleep
from tako.serving import HttpIncoming, ResponseData, ResponseHead, ServerLimits
from tests.adapters.async_kit import AsyncioArm, TrioArm, wait_until
from tests.adapters.http_server_kit import (
    SERVERS,
    TEXT,
    Client,
    Watched,
    ask_port,
    echo,
    get,
    leaving_nothing,
    pieces,
    server,
)

pytestmark = pytest.mark.parametrize("kind", SERVERS)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    with leaving_nothing():
        yield


def end_of(path: str) -> bytes:
    """How the answer of `echo` ends, chunked."""
    return f"GET {path}  None ".encode() + b"\r\n0\r\n\r\n"


# Many requests on one connection.


def test_requests_may_follow_each_other_or_come_at_once(kind: str) -> None:
    with server(kind, echo) as port, Client(port) as client:
        client.send(get("/1")).until(end_of("/1"))
        client.send(get("/2") + get("/3"))
        client.until(end_of("/2"))
        client.until(end_of("/3"))
        client.send(b"\r\n" + get("/4", "connection: close"))
        assert b"connection: close" in client.until(b"\r\n\r\n").lower()
        assert client.rest().endswith(end_of("/4"))


def test_bursts_of_requests_lose_none(kind: str) -> None:
    def handler(request: HttpIncoming) -> Flow[None]:
        if request.path == "/slow":  # so that the client is watched when its answer ends
            yield Sleep(TICK + 0.001)
        yield from echo(request)

    with server(kind, handler) as port, Client(port) as client:
        for number in range(30):
            client.send(get(f"/{number}") + get("/a") + get("/b"))
            for path in (f"/{number}", "/a", "/b"):
                client.until(end_of(path))
            if number % 6 == 0:
                client.send(get("/slow")).until(end_of("/slow"))


def test_who_is_still_sending_hears_the_refusal(kind: str) -> None:
    with server(kind, echo) as port, Client(port) as client:
        client.send(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5000000\r\n\r\n")
        client.send(b"x" * 2_000_000)
        assert client.rest().startswith(b"HTTP/1.1 413 ")


def test_a_request_that_comes_while_another_is_answered_waits(kind: str) -> None:
    held, running = threading.Event(), []

    def handler(request: HttpIncoming) -> Flow[None]:
        running.append(request.path)
        yield Emit((ResponseHead(200, TEXT),))
        yield Call(held.wait, (5,))
        yield Emit((ResponseData(request.path.encode() + request.body),))

    with server(kind, handler) as port, Client(port) as client:
        body = b"b" * 300_000  # more than is read ahead
        client.send(get("/1")).until(b"\r\n\r\n")
        sender = threading.Thread(target=client.send, args=(
            b"POST /2 HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body,
        ))  # fmt: skip
        sender.start()
        assert client.has_nothing(0.05)
        assert running == ["/1"]
        held.set()
        client.until(b"/1\r\n0\r\n\r\n")
        client.until(b"/2" + body)
        sender.join()


def test_the_client_is_told_to_go_on(kind: str) -> None:
    with server(kind, echo, limits=ServerLimits(body_size=10)) as port, Client(port) as client:
        head = b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n"
        client.send(head % 3)
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert client.send(b"abc").until(b"0\r\n\r\n").count(b"abc") == 1
        assert client.send(head % 11).until(b"\r\n").startswith(b"HTTP/1.1 413 ")


def test_http_1_0_is_answered_until_the_end(kind: str) -> None:
    with server(kind, echo) as port, Client(port) as client:
        head, _, body = client.send(get("/x", version="1.0")).rest().partition(b"\r\n\r\n")
    assert body == b"GET /x  None "
    assert b"chunked" not in head


def test_a_cut_answer_without_framing_is_a_reset(kind: str) -> None:
    def handler(request: HttpIncoming) -> Flow[None]:
        yield Emit((ResponseHead(200), ResponseData(b"half")))
        raise ZeroDivisionError

    with server(kind, handler) as port, Client(port) as client:
        with pytest.raises(ConnectionResetError):
            client.send(get(version="1.0")).rest()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x: yyyyyyy\r\n" * 200, 431),
        (b"GET / HTTP/3.0\r\nhost: x\r\n\r\n", 505),
        (b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x", 408),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nabc", 408),
    ],
)
def test_what_is_wrong_is_refused_and_the_connection_closed(kind: str, sent: bytes, status: int) -> None:
    limits = ServerLimits(head_size=1000, head_seconds=0.1, body_seconds=0.1)
    with server(kind, echo, limits=limits) as port, Client(port) as client:
        answer = client.send(sent).rest()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"connection: close" in answer.lower()
    assert answer.count(b"HTTP/1.1") == 1


def test_who_says_nothing_or_drips_is_dropped(kind: str) -> None:
    with server(kind, echo, limits=ServerLimits(head_seconds=0.1, idle_seconds=0.1)) as port:
        with Client(port) as silent, Client(port) as idle:
            idle.send(get("/")).until(end_of("/"))
            began = time.monotonic()
            assert silent.rest() == idle.rest() == b""
            assert time.monotonic() - began < 0.5
        with Client(port) as dripping:
            began = time.monotonic()
            with pytest.raises(OSError):
                for byte in get("/", "x: " + "y" * 500):
                    dripping.send(bytes((byte,)))
                    time.sleep(0.02)
                    if dripping.has_nothing(0.001) is False:
                        raise ConnectionError
            assert time.monotonic() - began < 1


# As it is said.


def test_everything_is_heard_at_once(kind: str) -> None:
    go_on = [threading.Event() for _ in range(3)]

    def handler(request: HttpIncoming) -> Flow[None]:
        yield Emit((ResponseHead(200, (("content-type", "text/event-stream"),)),))
        for number, event in enumerate(go_on):
            yield Call(event.wait, (5,))
            yield Emit((ResponseData(b"data: %d\n\n" % number),))

    with server(kind, handler) as port, Client(port) as client:
        client.send(get()).until(b"\r\n\r\n")
        for number, event in enumerate(go_on):
            assert client.has_nothing(0.005)
            event.set()
            client.until(b"data: %d\n\n\r\n" % number)
        client.until(b"0\r\n\r\n")


def test_a_client_that_does_not_read_holds_the_flow_back_but_not_the_server(kind: str) -> None:
    piece = b"x" * 65536
    watched = Watched(piece=piece, seconds=0)
    with server(kind, watched) as port:
        client = Client(port, receive_buffer=65536)
        client.send(get()).until(b"\r\n\r\n")
        for _ in range(2):
            emitted = -1
            while watched.emitted != emitted:  # until the system's buffers are full
                emitted = watched.emitted
                time.sleep(0.05)
            assert 0 < emitted * len(piece) - len(client.data) < 16 * 2**20
            goal = len(client.data) + emitted * len(piece) // 2
            while len(client.data) < goal:
                client.data += client.socket.recv(2**20)
        assert watched.emitted > emitted
    assert watched.running == 0
    client.socket.close()


def test_a_client_that_takes_nothing_for_too_long_has_gone(kind: str) -> None:
    watched = Watched(piece=b"x" * 65536, seconds=0)
    with server(kind, watched, limits=ServerLimits(send_seconds=0.1)) as port, Client(port, 65536) as client:
        client.send(get())
        assert watched.ended.wait(3)


# A client that goes away.


@pytest.mark.parametrize(
    ("watched", "how"),
    [
        (functools.partial(Watched, seconds=30.0), "closes"),
        (functools.partial(Watched, seconds=30.0), "resets"),
        (functools.partial(Watched, seconds=30.0, emits_head=False), "closes"),
        (functools.partial(Watched, blocks=True), "shuts"),
        (functools.partial(Watched, seconds=0.001), "closes"),
    ],
    ids=["in a sleep", "reset in a sleep", "before the head", "in a call", "between pieces"],
)
def test_who_goes_away_cancels_the_flow(kind: str, watched: functools.partial[Watched], how: str) -> None:
    handler = watched()
    with server(kind, handler) as port, Client(port) as client:
        client.send(get("/") + get("/pipelined"))
        assert handler.began.wait(1)
        time.sleep(0.02)
        left_at = time.monotonic()
        if how == "resets":
            client.socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, tako_io_sync.http_server.RST_ON_CLOSE
            )
        if how == "shuts":
            client.socket.shutdown(socket.SHUT_WR)
        else:
            client.socket.close()
        assert handler.ended.wait(1)
        assert handler.ended_at - left_at < 0.1
        handler.ended.clear()
        assert not handler.ended.wait(0.02), "the request behind it was begun"


def test_who_goes_away_while_it_does_not_read_cancels_the_flow(kind: str) -> None:
    watched = Watched(piece=b"x" * 65536, seconds=0)
    with server(kind, watched) as port, Client(port, 65536) as client:
        client.send(get())
        assert watched.began.wait(1)
        time.sleep(0.1)
        left_at = time.monotonic()
        client.socket.close()
        assert watched.ended.wait(1)
        assert watched.ended_at - left_at < 0.1


def test_who_listens_to_the_token_cannot_end_the_server(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    began, ended = threading.Event(), threading.Event()

    def listen(token: CancellationToken) -> None:
        def complain() -> None:
            ended.set()
            raise ZeroDivisionError

        token.on_cancel(complain)
        began.set()
        ended.wait(5)

    def handler(request: HttpIncoming) -> Flow[None]:
        if request.path == "/listen":
            yield Call(listen, token_argument="token")
        yield from echo(request)

    with server(kind, handler) as port:
        with Client(port) as client:
            client.send(get("/listen"))
            assert began.wait(1)
        assert ended.wait(1)
        assert ask_port(port, "/a").body == b"GET /a  None "


# Many clients.


def test_a_flow_that_never_waits_leaves_time_for_others(kind: str) -> None:
    watched = Watched(seconds=0)

    def handler(request: HttpIncoming) -> Flow[None]:
        return watched(request) if request.path == "/watched" else echo(request)

    def drain(greedy: Client) -> None:
        with contextlib.suppress(ConnectionResetError):
            while greedy.socket.recv(2**20):
                pass

    with server(kind, handler) as port, Client(port) as greedy:
        thread = threading.Thread(target=drain, args=(greedy.send(get("/watched")),))
        thread.start()
        assert watched.began.wait(1)
        began = time.monotonic()
        assert ask_port(port, "/a").body == b"GET /a  None "
        assert time.monotonic() - began < 1
        assert watched.running == 1
        greedy.socket.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_small_answers_do_not_wait_for_each_other(kind: str) -> None:
    with server(kind, echo) as port, Client(port) as client:
        began = time.monotonic()
        for _ in range(30):
            client.send(get("/")).until(end_of("/"))
        assert time.monotonic() - began < 0.7  # Nagle and a late ACK make 44 ms of each


def test_many_slow_streams_side_by_side(kind: str) -> None:
    count = 20 if kind == "sync" else 100
    handler = pieces(*(b"data: %d\n\n" % number for number in range(5)), seconds=0.02)
    with server(kind, handler) as port:
        clients = [Client(port) for _ in range(count)]
        began = time.monotonic()
        for client in clients:
            client.send(get("/", "connection: close"))
        for client in clients:
            with client:
                assert client.rest().endswith(b"data: 4\n\n\r\n0\r\n\r\n")
        assert time.monotonic() - began < 2


def test_all_places_taken(kind: str) -> None:
    watched = Watched()

    def handler(request: HttpIncoming) -> Flow[None]:
        return watched(request) if request.path == "/watched" else echo(request)

    with server(kind, handler, limits=ServerLimits(connections=2)) as port:
        with Client(port) as first, Client(port) as second, Client(port) as third:
            first.send(get("/watched")).until(b"data")
            second.send(get("/watched")).until(b"data")
            third.send(get("/3"))
            assert third.has_nothing(0.1)
            first.socket.close()
            third.until(end_of("/3"))
            with Client(port) as fourth:  # the third is idle, and has to go
                fourth.send(get("/4")).until(end_of("/4"))
                assert third.rest() == b""


# The end.


@pytest.mark.parametrize("emits_head", [False, True])
def test_when_the_server_stops_flows_are_cancelled(kind: str, emits_head: bool) -> None:
    watched = Watched(seconds=30.0, emits_head=emits_head)
    with server(kind, watched, seconds_to_stop=0.5) as port:
        idle, busy, half = Client(port), Client(port), Client(port)
        idle.send(get("/", "x: y")[:-2])
        half.send(get())
        busy.send(get())
        wait_until(lambda: watched.running == 2, "it does not run")
    assert watched.running == 0
    answer = busy.rest()
    assert b"0\r\n\r\n" not in answer
    assert answer.startswith(b"HTTP/1.1 200 " if emits_head else b"HTTP/1.1 503 ")
    assert idle.rest() == b""
    for client in (idle, busy, half):
        client.socket.close()


def test_a_runtime_may_be_given_and_the_server_be_embedded(kind: str) -> None:
    if kind == "sync":
        with tako_io_sync.Runtime(max_threads=3) as runtime:
            with tako_io_sync.http_server.listening(echo, runtime=runtime) as running:
                assert requests.get(f"{running.url}/a", timeout=5).text == "GET /a  None "
        return
    arm = TrioArm() if kind == "trio" else AsyncioArm()
    module = tako_io_trio if kind == "trio" else tako_io_asyncio

    async def scenario() -> None:
        async with module.Runtime() as runtime:
            ports: list[int] = []
            asked: list[bytes] = []

            async def ask() -> None:
                await arm.until(lambda: bool(ports), "it does not listen")
                thread = threading.Thread(target=lambda: asked.append(ask_port(ports[0], "/a").body))
                thread.start()
                await arm.until(lambda: bool(asked), "no answer")
                thread.join()

            async def serve() -> None:
                async with arm.leave_after(0.15) as leaving:  # the library's own cancelling ends it as well
                    await module.http_server.serve(echo, runtime=runtime, ready=ports.append)
                assert leaving.left

            await arm.side_by_side(serve, ask)
            assert asked == [b"GET /a  None "]

    arm.play(scenario)
