"""Scripts of exchange.py, played by hand: each operation that is expected, and the reply to it."""

from __future__ import annotations

import gzip
import ssl
from collections.abc import Iterator
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.driving.exchange import (
    MOST_ROUTES,
    Connect,
    Exchange,
    Exchanges,
    NothingSent,
    Operation,
    Read,
    Script,
    StartTls,
    Write,
)
from tako.effects import HttpRequest, TlsOptions
from tako.errors import Cancelled, InvalidInput, ProtocolError, TakoError, TimedOut, TransportError
from tako.wire import NEED_DATA
from tests.effort import examples

T = TypeVar("T")


class Pipe:
    """A stream of the fake network. `waiting` is what a read would give now."""

    def __init__(self, name: str = "pipe") -> None:
        self.name = name
        self.waiting = False
        self.shut_times = 0

    def readable(self) -> bool:
        return self.waiting

    def shut(self) -> None:
        self.shut_times += 1

    @property
    def is_shut(self) -> bool:
        return self.shut_times > 0

    def __repr__(self) -> str:
        return f"<{self.name}>"


class World:
    """Exchanges with a clock that tests turn."""

    def __init__(self, **environ: str) -> None:
        self.now = 1000.0
        self.exchanges: Exchanges[Pipe] = Exchanges(
            environ, lambda: self.now, max_idle_per_host=2, idle_seconds=90
        )

    def open(self, request: HttpRequest) -> Script[Pipe, Exchange[Pipe]]:
        return self.exchanges.open(request)

    def exchange(self, pipe: Pipe, *, answer: bytes, request: HttpRequest | None = None) -> Exchange[Pipe]:
        """A plain exchange over a fresh connection, up to the head."""
        request = request or GET
        return play(
            self.open(request), (CONNECT, pipe), (Write(pipe, WIRE, 120.0), None), (Read(pipe, 120.0), answer)
        )


GET = HttpRequest("GET", "http://a.example/x")
HTTPS = HttpRequest("GET", "https://a.example/x")
CONNECT = Connect("a.example", 80, 10.0)
WIRE = b"GET /x HTTP/1.1\r\nHost: a.example\r\nAccept-Encoding: gzip, deflate\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"
SHORT = OK + b"Content-Length: 2\r\n\r\nok"
TUNNEL = b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"

Act = tuple[Operation[Pipe], object]


def play(script: Script[Pipe, T], *acts: Act) -> T:
    """Play the script; an exception as a reply is thrown in."""
    remaining: Iterator[Act] = iter(acts)
    try:
        operation = next(script)
        while True:
            expected, reply = next(remaining, (None, None))
            assert operation == expected
            operation = script.throw(reply) if isinstance(reply, BaseException) else script.send(reply)
    except StopIteration as stop:
        assert next(remaining, None) is None, "the script ended early"
        result: T = stop.value
        return result


def bodies(exchange: Exchange[Pipe], *received: bytes) -> bytes:
    """The whole body, as an adapter reads it."""
    waiting = iter(received)
    body = b""
    while True:
        while (data := exchange.take()) is NEED_DATA:
            exchange.receive_data(next(waiting))
        if not data:
            return body
        body += data


# ------------------------------------------------------------- ways to the head


def test_a_plain_exchange() -> None:
    world, pipe = World(), Pipe()
    exchange = world.exchange(pipe, answer=SHORT)
    assert (exchange.status, exchange.headers) == (200, (("content-length", "2"),))
    assert exchange.take() == b"ok"
    assert not pipe.is_shut
    assert exchange.take() == exchange.take() == b""
    exchange.close()
    assert not pipe.is_shut


def test_tls_has_the_name_of_the_url_and_what_is_left_of_the_time() -> None:
    world, raw, secured = World(), Pipe("raw"), Pipe("secured")
    options = TlsOptions(extra_roots="-----BEGIN")
    request = HttpRequest(
        "GET",
        "https://a.example./x",
        pinned_address="10.0.0.1",
        tls=options,
        connect_timeout=5,
        read_timeout=None,
    )
    script = world.open(request)
    assert next(script) == Connect("10.0.0.1", 443, 5)
    world.now += 2
    assert script.send(raw) == StartTls(raw, "a.example", options, 3)
    wire = WIRE.replace(b"a.example", b"a.example.")
    assert script.send(secured) == Write(secured, wire, None)
    assert script.send(None) == Read(secured, None)
    with pytest.raises(StopIteration) as stop:
        script.send(EMPTY)
    assert stop.value.value.stream is secured


def test_the_head_may_come_in_pieces_and_after_interim_answers() -> None:
    pipe = Pipe()
    exchange = play(
        World().open(GET),
        (CONNECT, pipe),
        (Write(pipe, WIRE, 120.0), None),
        (Read(pipe, 120.0), b"HTTP/1.1 103 Early"),
        (Read(pipe, 120.0), b" Hints\r\n\r\nHTTP/1.1 20"),
        (Read(pipe, 120.0), b"4 No Content\r\n\r\n"),
    )
    assert (exchange.status, bodies(exchange)) == (204, b"")


def test_a_request_that_cannot_be_sent_opens_nothing() -> None:
    for request in (
        HttpRequest("GET", "ftp://a.example/"),
        HttpRequest("GET", "http://a.example/", headers=(("x-key", "secret\n"),)),
    ):
        with pytest.raises(InvalidInput) as caught:
            next(World().open(request))
        assert "secret" not in str(caught.value)
    with pytest.raises(InvalidInput, match="http_proxy"):
        next(World(http_proxy="socks5://p:1").open(GET))


# ---------------------------------------------------------------------- proxies


def test_a_plain_request_through_a_proxy_has_the_whole_url() -> None:
    pipe = Pipe()
    script = World(http_proxy="http://me:pw@p:3128").open(HttpRequest("GET", "http://a.example:81/x?y"))
    wire = (
        b"GET http://a.example:81/x?y HTTP/1.1\r\nHost: a.example:81\r\n"
        b"Proxy-Authorization: Basic bWU6cHc=\r\n"
        b"Accept-Encoding: gzip, deflate\r\n\r\n"
    )
    play(
        script, (Connect("p", 3128, 10.0), pipe), (Write(pipe, wire, 120.0), None), (Read(pipe, 120.0), EMPTY)
    )


def test_a_tunnel_through_a_tls_proxy() -> None:
    raw, outer, inner = Pipe("raw"), Pipe("outer"), Pipe("inner")
    options = TlsOptions(extra_roots="-----BEGIN", client_cert="me.pem")
    request = HttpRequest("GET", "https://a.example/x", tls=options)
    tunnel = TUNNEL[:-2] + b"Proxy-Authorization: Basic bWU6cHc=\r\n\r\n"
    exchange = play(
        World(https_proxy="https://me:pw@p").open(request),
        (Connect("p", 443, 10.0), raw),
        (StartTls(raw, "p", TlsOptions(extra_roots="-----BEGIN"), 10.0), outer),
        (Write(outer, tunnel, 10.0), None),
        (Read(outer, 10.0), b"HTTP/1.1 200 Conn"),
        (Read(outer, 10.0), b"ected\r\n\r\n"),
        (StartTls(outer, "a.example", options, 10.0), inner),
        (Write(inner, WIRE, 120.0), None),
        (Read(inner, 120.0), EMPTY),
    )
    assert exchange.stream is inner


@pytest.mark.parametrize(
    ("answer", "kind", "status", "words"),
    [
        (b"HTTP/1.1 407 Who?\r\n\r\n", TransportError, 407, "user and password.*https_proxy"),
        (b"HTTP/1.1 403 No\r\n\r\n", TransportError, 403, "p:1 answered 403 .* a.example:443"),
        (b"HTTP/1.1 200 OK\r\n\r\n\x16", ProtocolError, None, "p:1"),
        (b"SSH-2.0\r\n\r\n", ProtocolError, None, "p:1"),
        (b"", TransportError, None, "p:1 hung up"),
        (TimeoutError(), TimedOut, None, "p:1"),
        (ConnectionResetError(104, "reset"), TransportError, None, "p:1 failed: reset"),
    ],
)
def test_a_proxy_that_opens_no_tunnel(
    answer: object, kind: type[TakoError], status: int | None, words: str
) -> None:
    pipe = Pipe()
    script = World(https_proxy="me:secret@p:1").open(HTTPS)
    tunnel = TUNNEL[:-2] + b"Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n"
    with pytest.raises(kind, match=words) as caught:
        play(
            script,
            (Connect("p", 1, 10.0), pipe),
            (Write(pipe, tunnel, 10.0), None),
            (Read(pipe, 10.0), answer),
        )
    assert (caught.value.phase, caught.value.status) == ("proxy", status)
    assert "secret" not in str(caught.value) and "Basic" not in str(caught.value)
    assert pipe.is_shut


def test_the_tunnel_shares_the_time_for_connecting() -> None:
    world, pipe = World(https_proxy="p:1"), Pipe()
    script = world.open(HTTPS)
    next(script)
    world.now += 4
    assert script.send(pipe) == Write(pipe, TUNNEL, 6.0)
    world.now += 6
    with pytest.raises(TimedOut, match=r"longer than 10 s.*connect_timeout"):
        script.send(None)
    assert pipe.is_shut


def test_a_pinned_address_goes_past_the_proxy() -> None:
    script = World(http_proxy="p:1").open(HttpRequest("GET", "http://a.example/x", pinned_address="::1"))
    assert next(script) == Connect("::1", 80, 10.0)


# --------------------------------------------------------------------- failures


def certificate_error() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


@pytest.mark.parametrize(
    ("step", "failure", "kind", "phase", "words"),
    [
        (
            0,
            ConnectionRefusedError(111, "Connection refused"),
            TransportError,
            "connect",
            "a.example:443.*refused",
        ),
        (0, OSError("odd"), TransportError, "connect", "odd"),
        (0, TimeoutError(), TimedOut, "connect", "10 s.*connect_timeout"),
        (1, certificate_error(), TransportError, "tls", "self-signed certificate.*tls.extra_roots"),
        (1, ssl.SSLError(1, "wrong version number"), TransportError, "tls", "wrong version"),
        (1, TimeoutError(), TimedOut, "tls", "connect_timeout"),
        (2, BrokenPipeError(32, "Broken pipe"), TransportError, "send", "a.example:443 failed: Broken pipe"),
        (2, NothingSent("closed"), TransportError, "send", "closed"),
        (2, TimeoutError(), TimedOut, "send", "read_timeout"),
        (3, TimeoutError(), TimedOut, "head", "120 s.*read_timeout"),
        (3, ConnectionResetError(104, "reset"), TransportError, "head", "a.example:443 failed: reset"),
        (3, b"", TransportError, "head", "a.example:443 hung up"),
        (3, b"junk\r\n\r\n", ProtocolError, "head", "a.example:443 does not speak"),
    ],
)
def test_a_failure_on_the_way_is_told_once_and_shuts(
    step: int, failure: object, kind: type[TakoError], phase: str, words: str
) -> None:
    pipe = Pipe()
    acts: list[Act] = [
        (Connect("a.example", 443, 10.0), pipe),
        (StartTls(pipe, "a.example", None, 10.0), pipe),
        (Write(pipe, WIRE, 120.0), None),
        (Read(pipe, 120.0), b""),
    ]
    acts = [*acts[:step], (acts[step][0], failure)]
    with pytest.raises(kind, match=words) as caught:
        play(World().open(HTTPS), *acts)
    assert caught.value.phase == phase
    if isinstance(failure, OSError):
        assert caught.value.__cause__ is failure
    assert pipe.is_shut is (step > 0)


@pytest.mark.parametrize("end", [GeneratorExit(), Cancelled(), KeyboardInterrupt()])
@pytest.mark.parametrize("step", range(6))
def test_whoever_ends_a_script_leaves_nothing_open(step: int, end: BaseException) -> None:
    pipes = [Pipe("raw"), Pipe("secured")]
    replies: list[object] = [None, pipes[0], None, b"HTTP/1.1 200 OK\r\n\r\n", pipes[1], None]
    script = World(https_proxy="p:1").open(HTTPS)
    for reply in replies[: step + 1]:
        script.send(reply)
    with pytest.raises(type(end)):
        script.throw(end)
    assert [pipe.is_shut for pipe in pipes] == [1 <= step <= 3, step >= 4]  # the raw one is spent by then


def test_an_early_answer_is_read_although_the_request_could_not_be_sent() -> None:
    for failure in (BrokenPipeError(), TimeoutError()):
        world, pipe = World(), Pipe()
        pipe.waiting = True
        exchange = play(
            world.open(GET),
            (CONNECT, pipe),
            (Write(pipe, WIRE, 120.0), failure),
            (Read(pipe, 120.0), b"HTTP/1.1 413 Too Large\r\n"),
            (Read(pipe, 120.0), b"Content-Length: 2\r\n\r\nno"),
        )
        assert (exchange.status, bodies(exchange)) == (413, b"no")
        assert pipe.is_shut  # half a request went over it


@pytest.mark.parametrize("answer", [b"", b"junk\r\n\r\n", ConnectionResetError(), TimeoutError()])
def test_where_there_is_no_early_answer_the_failure_to_send_is_told(answer: object) -> None:
    pipe, failure = Pipe(), BrokenPipeError()
    pipe.waiting = True
    with pytest.raises(TransportError) as caught:
        play(
            World().open(GET),
            (CONNECT, pipe),
            (Write(pipe, WIRE, 120.0), failure),
            (Read(pipe, 120.0), answer),
        )
    assert caught.value.phase == "send"
    assert caught.value.__cause__ is failure
    assert pipe.is_shut


# ------------------------------------------------------------------------- body


def test_a_body_as_it_comes() -> None:
    pipe = Pipe()
    exchange = World().exchange(pipe, answer=OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb")
    assert exchange.take() == b"ab"
    assert exchange.take() is NEED_DATA
    exchange.receive_data(b"\r\n2\r\ncd\r\n0\r\n\r\n")
    assert (exchange.take(), exchange.take()) == (b"cd", b"")


def test_a_body_comes_decoded() -> None:
    wire = gzip.compress(b"hello")
    answer = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(wire)
    assert bodies(World().exchange(Pipe(), answer=answer), wire[:9], wire[9:]) == b"hello"


@pytest.mark.parametrize(
    ("received", "kind"),
    [
        (b"", TransportError),
        (b"zz\r\n", ProtocolError),
        (TimeoutError(), TimedOut),
        (OSError(), TransportError),
    ],
)
def test_a_body_that_breaks_off(received: bytes | OSError, kind: type[TakoError]) -> None:
    pipe = Pipe()
    exchange = World().exchange(pipe, answer=OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    assert exchange.take() == b"a"
    with pytest.raises(kind, match=r"a\.example:80") as caught:
        if isinstance(received, OSError):
            raise exchange.failure(received)
        exchange.receive_data(received)
        exchange.take()
    assert caught.value.phase == "body"
    assert pipe.is_shut
    exchange.close()
    assert pipe.shut_times == 1


def test_a_closed_exchange_that_was_not_read_is_shut() -> None:
    pipe = Pipe()
    exchange = World().exchange(pipe, answer=SHORT[:-1])
    exchange.close()
    exchange.close()
    assert pipe.shut_times == 1


def test_an_end_that_lies_in_the_buffer_is_found_when_closing() -> None:
    world, pipe = World(), Pipe()
    exchange = world.exchange(pipe, answer=OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")
    assert exchange.take() == b"a"
    exchange.close()
    assert next(world.open(GET)) == Write(pipe, WIRE, 120.0)


# ---------------------------------------------------------------------- pooling


def kept(world: World, *pipes: Pipe, request: HttpRequest = GET) -> None:
    """Let these pipes become idle, the last one last."""
    for exchange in [world.exchange(pipe, answer=EMPTY, request=request) for pipe in pipes]:
        assert exchange.take() == b""


def test_the_connection_used_last_is_used_again() -> None:
    world, first, second = World(), Pipe("first"), Pipe("second")
    kept(world, first, second)
    again = (Write(second, WIRE, 120.0), None), (Read(second, 120.0), SHORT)
    exchange = play(world.open(GET), *again)
    assert bodies(exchange) == b"ok"
    assert bodies(play(world.open(GET), *again)) == b"ok"


@pytest.mark.parametrize(
    "request_",
    [
        HttpRequest("GET", "http://b.example/x"),
        HttpRequest("GET", "http://a.example:81/x"),
        HttpRequest("GET", "https://a.example:80/x"),
        HttpRequest("GET", "http://a.example/x", pinned_address="10.0.0.1"),
        HttpRequest("GET", "http://a.example/x", tls=TlsOptions(client_cert="me.pem")),
    ],
)
def test_a_connection_is_only_used_for_what_it_leads_to(request_: HttpRequest) -> None:
    world = World()
    kept(world, Pipe())
    assert isinstance(next(world.open(request_)), Connect)


def test_a_stale_connection_is_shut_and_the_next_one_tried() -> None:
    world, good, stale = World(), Pipe("good"), Pipe("stale")
    kept(world, good, stale)
    stale.waiting = True
    script = world.open(GET)
    assert next(script) == Write(good, WIRE, 120.0)
    assert stale.is_shut and not good.is_shut


def test_a_request_is_sent_again_only_if_nothing_of_it_was_sent() -> None:
    world, first, second, third = World(), Pipe("first"), Pipe("second"), Pipe("third")
    kept(world, first, second)
    exchange = play(
        world.open(GET),
        (Write(second, WIRE, 120.0), NothingSent()),
        (Write(first, WIRE, 120.0), NothingSent()),
        (CONNECT, third),
        (Write(third, WIRE, 120.0), None),
        (Read(third, 120.0), SHORT),
    )
    assert bodies(exchange) == b"ok"
    assert first.is_shut and second.is_shut and not third.is_shut
    for failure in (BrokenPipeError(), None):
        with pytest.raises(TransportError):
            acts: list[Act] = [(Write(third, WIRE, 120.0), failure)]
            play(world.open(GET), *(acts if failure else [*acts, (Read(third, 120.0), b"")]))
        assert third.is_shut
        third = Pipe()
        kept(world, third)


def test_too_old_and_too_many_are_shut() -> None:
    world, pipes = World(), [Pipe(str(number)) for number in range(3)]
    kept(world, *pipes)
    assert [pipe.is_shut for pipe in pipes] == [True, False, False]
    world.now += 90
    assert next(world.open(GET)) == CONNECT
    assert all(pipe.is_shut for pipe in pipes)


def test_closing_shuts_what_is_idle_and_keeps_nothing_more() -> None:
    world, idle, busy = World(), Pipe("idle"), Pipe("busy")
    exchange = world.exchange(busy, answer=EMPTY)
    kept(world, idle)
    world.exchanges.close()
    assert idle.is_shut and not busy.is_shut
    assert exchange.take() == b""
    assert busy.is_shut


def test_proxies_are_looked_up_once_for_an_origin() -> None:
    class Counting(dict[str, str]):
        reads = 0

        def get(self, *arguments: Any) -> Any:
            self.reads += 1
            return super().get(*arguments)

    environ = Counting()
    exchanges: Exchanges[Pipe] = Exchanges(environ, lambda: 0.0)
    next(exchanges.open(GET))
    before = environ.reads
    next(exchanges.open(GET))
    assert environ.reads == before > 0
    for number in range(MOST_ROUTES):
        next(exchanges.open(HttpRequest("GET", f"http://{number}.example/")))
    before = environ.reads
    next(exchanges.open(GET))
    assert environ.reads > before  # the oldest are forgotten, so that memory is bounded


# ------------------------------------------------------------------- properties

moves = st.lists(
    st.tuples(
        st.sampled_from(["open", "finish", "drop", "fail", "stale", "cancel"]),
        st.integers(0, 5),
        st.sampled_from([0.0, 1.0, 50.0]),
    ),
    max_size=40,
)


@given(moves)
@settings(max_examples=examples(3))
def test_every_stream_has_one_owner_and_is_shut_in_the_end(script: list[tuple[str, int, float]]) -> None:
    world, pipes, running = World(), list[Pipe](), list[Exchange[Pipe]]()

    def perform(opening: Script[Pipe, Exchange[Pipe]], *, until: type | None) -> Exchange[Pipe] | None:
        reply: object = None
        while True:
            try:
                operation = opening.send(reply)
            except StopIteration as stop:
                exchange: Exchange[Pipe] = stop.value
                return exchange
            if type(operation) is until:
                opening.close()
                return None
            if isinstance(operation, Connect):
                pipes.append(Pipe(str(len(pipes))))
                reply = pipes[-1]
            else:
                assert not isinstance(operation, StartTls)
                assert not operation.stream.is_shut
                assert all(operation.stream is not exchange.stream for exchange in running)
                reply = SHORT if isinstance(operation, Read) else None

    for move, choice, pause in script:
        world.now += pause
        if move in ("open", "cancel"):
            until = (Connect, Write, Read)[choice % 3] if move == "cancel" else None
            exchange = perform(world.open(GET), until=until)
            if exchange:
                running.append(exchange)
        elif move == "stale":
            if pipes:
                pipe = pipes[choice % len(pipes)]
                pipe.waiting = all(pipe is not exchange.stream for exchange in running)
        elif running:
            exchange = running.pop(choice % len(running))
            if move == "finish":
                assert bodies(exchange) == b"ok"
            elif move == "fail":
                exchange.failure(OSError())
            exchange.close()
    for exchange in running:
        exchange.close()
    world.exchanges.close()
    assert [pipe.shut_times for pipe in pipes] == [1] * len(pipes)
