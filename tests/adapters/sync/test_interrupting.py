"""Interrupting a part of a flow: within 100 ms, whatever is in flight, and what is around it goes on."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from tako.cancellation import CancellationToken
from tako.effects import Call, Emit, Flow, Gather, OnError, Receive, Resolve, Send, Sleep, Succeeded, Within
from tako.errors import Cancelled, Interrupted, InvalidInput, TimedOut
from tako.testing.vendor import Answer, Pause, ScriptedVendor
from tako_io_sync import Runtime
from tako_io_sync._watchdog import Watch, Watchdog
from tako_io_sync.loopback import LoopbackServer
from tests.adapters.sync.kit import (
    Cancelling,
    Certificates,
    arms_threads,
    fetch,
    in_time,
    nothing_left_behind,
    post,
    three_tries,
    wait_until,
)
from tests.adapters.sync.test_cancelling import SITUATIONS
from tests.adapters.sync.test_http import Foreign, Raw

SOON = 0.03


def one(effect: Any) -> Flow[Any]:
    return (yield effect)


@contextmanager
def in_a_part_of_the_part(_: Certificates) -> Iterator[Flow[Any]]:
    yield one(Within(None, one(Within(30, one(Within(None, one(Sleep(30)), CancellationToken()))))))


@contextmanager
def in_a_child_of_the_part(_: Certificates) -> Iterator[Flow[Any]]:
    part = Within(30, one(Sleep(30)), CancellationToken())
    yield one(Gather((one(part), one(Sleep(0))), on_error=OnError.COLLECT))


every_situation = pytest.mark.parametrize(
    "situation",
    [*SITUATIONS, in_a_part_of_the_part, in_a_child_of_the_part],
    ids=lambda situation: situation.__name__,
)


def interruptible(flow: Flow[Any], token: CancellationToken) -> Flow[Any]:
    try:
        yield Within(None, flow, token)
    except Interrupted as error:
        yield Sleep(0)
        return error
    return "not interrupted"


@every_situation
@three_tries
def test_a_token_that_another_thread_cancels(situation: Any, certificates: Certificates) -> None:
    token = CancellationToken()
    cancelling = Cancelling(token, 0.06)

    def around(flow: Flow[Any], url: str) -> Flow[Any]:
        began = yield from fetch(post(url))
        error = yield from interruptible(flow, token)
        took = time.monotonic() - cancelling.moment
        return began, type(error), took, (yield from fetch(post(url)))

    with LoopbackServer(ScriptedVendor(Answer.json("1"))) as server:
        with situation(certificates) as flow, nothing_left_behind(), Runtime() as runtime:
            with cancelling:
                began, error, took, ended = runtime.run(around(flow, server.url))
            assert (began, error, ended) == ((200, b"1"), Interrupted, (200, b"1"))
            assert runtime.run(fetch(post(server.url))) == (200, b"1")
            in_time(took)
            assert not token._callbacks
            del flow
        assert server.connections == 1


@three_tries
def test_a_token_that_a_signal_handler_cancels(runtime: Runtime) -> None:
    with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(30))))) as server, nothing_left_behind():
        for flow in (one(Sleep(30)), fetch(post(server.url)), one(Gather((one(Sleep(30)),)))):
            token = CancellationToken()
            former = signal.signal(signal.SIGALRM, lambda *_, token=token: token.cancel())
            try:
                signal.setitimer(signal.ITIMER_REAL, SOON)
                start = time.monotonic()
                assert isinstance(runtime.run(interruptible(flow, token)), Interrupted)
                in_time(time.monotonic() - start, SOON + 0.1)
            finally:
                signal.signal(signal.SIGALRM, former)


@three_tries
def test_names_are_left_behind(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()

    def slow(*arguments: Any) -> list[Any]:
        release.wait(5)
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with nothing_left_behind():
        for flow in (one(Resolve("slow.example")), fetch(post("http://slow.example/"))):
            token = CancellationToken()
            with Cancelling(token, SOON) as cancelling:
                assert isinstance(runtime.run(interruptible(flow, token)), Interrupted)
            in_time(cancelling.took)
        release.set()


@three_tries
def test_a_foreign_adapter_is_left_behind() -> None:
    gate, token = threading.Event(), CancellationToken()
    with ExitStack() as stack:
        session = stack.enter_context(requests.Session())
        foreign = Foreign(Raw(b"one"), gate=gate)
        session.mount("http://", foreign)
        runtime = stack.enter_context(Runtime(session))
        with nothing_left_behind():
            with Cancelling(token, SOON) as cancelling:
                error = runtime.run(interruptible(fetch(post("http://host/")), token))
            assert isinstance(error, Interrupted)
            in_time(cancelling.took)
            gate.set()
            assert foreign.closed.wait(2)  # its answer, which nobody waits for any more


@three_tries
def test_a_function_that_does_not_stop_is_left_behind(runtime: Runtime) -> None:
    release, token = threading.Event(), CancellationToken()

    async def stubborn() -> None:
        release.wait(5)

    functions: list[Callable[[], Any]] = [lambda: release.wait(5), stubborn]
    with nothing_left_behind():
        for function in functions:
            token = CancellationToken()
            with Cancelling(token, SOON) as cancelling:
                error = runtime.run(interruptible(one(Call(function)), token))
            assert isinstance(error, Interrupted)
            assert isinstance(error.__cause__, Cancelled)
            assert error.__cause__.abandoned
            in_time(cancelling.took, 0.3)  # the loop of the coroutine gets its own grace at the end
        release.set()


@pytest.mark.parametrize("on_error", OnError)
def test_children_that_wait_for_their_turn_never_start(runtime: Runtime, on_error: OnError) -> None:
    started: list[int] = []

    def child(number: int) -> Flow[None]:
        started.append(number)
        yield Sleep(30)

    token = CancellationToken()
    with Cancelling(token, SOON), nothing_left_behind():
        gather = one(Gather(tuple(child(number) for number in range(5)), 2, on_error))
        assert len(runtime.run(interruptible(gather, token)).partial) == 5
    assert sorted(started) == [0, 1]


def test_interrupted_while_the_consumer_has_an_event_no_child_starts_any_more(runtime: Runtime) -> None:
    """Nobody waits then, so nobody can be woken: the next wait has to look."""
    started: list[int] = []

    def child(number: int) -> Flow[None]:
        started.append(number)
        yield Emit((number,))
        yield Sleep(30)

    token = CancellationToken()
    gather = one(Gather((child(0), child(1)), 1, OnError.COLLECT))
    with runtime.stream(interruptible(gather, token)) as events:
        assert next(events) == 0
        token.cancel()
        assert list(events) == []
        assert len(events.result.partial) == 2
    assert started == [0]


# A token that is cancelled at the worst moment, by what the arm itself calls there.


def first_piece(url: str) -> Flow[bytes]:
    head = yield Send(post(url))
    data: bytes = yield Receive(head.exchange)
    return data


def test_interrupted_just_before_a_wait_begins(runtime: Runtime) -> None:
    token = CancellationToken()

    class Meddling(Watchdog):
        def watch(self, deadline: float, callback: Callable[[], None]) -> Watch:
            token.cancel()
            return super().watch(deadline, callback)

    runtime.watchdog = Meddling()
    with LoopbackServer(ScriptedVendor(Answer(before=(Pause(30),)))) as server, nothing_left_behind():
        start = time.monotonic()
        part = one(Within(30, one(Send(post(server.url, read_timeout=2)))))
        assert isinstance(runtime.run(interruptible(part, token)), Interrupted)
        assert time.monotonic() - start < 1


def test_interrupted_just_when_the_head_has_come() -> None:
    """It belongs to nobody then: what it can be read from is closed."""
    token = CancellationToken()

    class Meddling(HTTPAdapter):
        def send(self, *arguments: Any, **options: Any) -> requests.Response:
            response = super().send(*arguments, **options)
            token.cancel()
            return response

    with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(30))))) as server, requests.Session() as session:
        session.mount("http://", Meddling())
        with Runtime(session) as runtime:
            part = one(Send(post(server.url)))
            assert isinstance(runtime.run(interruptible(part, token)), Interrupted)
            wait_until(lambda: not server.open_connections, "the peer is still connected")


def test_interrupted_just_when_a_piece_has_come() -> None:
    token = CancellationToken()

    class Meddling(Raw):
        def read1(self, size: int, *, decode_content: bool) -> bytes:
            token.cancel()
            return self.read()

    with requests.Session() as session, Runtime(session) as runtime:
        session.mount("http://", Foreign(Meddling(b"one", b"two")))
        assert isinstance(runtime.run(interruptible(first_piece("http://host/"), token)), Interrupted)


class Late(CancellationToken):
    """A token whose canceller is slow: the part that it should have stopped has ended by then."""

    callback: Callable[[], None]

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        self.callback = callback
        return lambda: None


def disturbed(url: str) -> Flow[Any]:
    """Wait for each kind of thing, while the wake of a part that has ended comes."""
    head = yield Send(post(url))
    replies = [(yield Receive(head.exchange))]
    late = Late()
    yield Within(None, one(Sleep(0)), late)
    for effect in (
        Receive(head.exchange),
        Sleep(2 * SOON),
        Call(lambda: time.sleep(2 * SOON)),
        Gather((one(Sleep(2 * SOON)), one(Sleep(0))), 1),
    ):
        timer = threading.Timer(SOON, late.callback)
        timer.start()
        replies.append((yield effect))
        timer.join()
        late = Late()
        yield Within(None, one(Sleep(0)), late)
    return replies


DISTURBED = [b"one", b"two", None, None, [Succeeded(None), Succeeded(None)]]


@pytest.mark.parametrize("token", [None, CancellationToken()], ids=["alone", "in another part"])
def test_a_late_wake_disturbs_no_wait(runtime: Runtime, token: CancellationToken | None) -> None:
    answer = Answer((b"one", Pause(2 * SOON), b"two", Pause(30)))
    with LoopbackServer(ScriptedVendor(answer)) as server:
        assert runtime.run(one(Within(None, disturbed(server.url), token))) == DISTURBED


def test_late_wakes_disturb_nothing(runtime: Runtime) -> None:
    """Tokens are cancelled as their parts end, by a thread that does not wait."""
    tokens = [CancellationToken() for _ in range(150)]
    reached = 0

    def part(url: str) -> Flow[Any]:
        head = yield Send(post(url))
        return head.exchange

    def flow(url: str) -> Flow[Any]:
        nonlocal reached
        whole = 0
        for number, token in enumerate(tokens):
            reached = number
            with contextlib.suppress(Interrupted):
                exchange = yield Within(None, part(url), token)
                while (yield Receive(exchange)):  # it came back whole: nobody may break it off
                    whole += 1
            yield Sleep(0)
        return whole

    def cancel() -> None:
        for number, token in enumerate(tokens):
            while reached < number:
                time.sleep(0)
            time.sleep(0.00002 * (number % 64))
            token.cancel()

    with LoopbackServer(ScriptedVendor(Answer.json("1"))) as server:
        thread = threading.Thread(target=cancel)
        thread.start()
        runtime.run(flow(server.url))
        thread.join()
    assert not any(token._callbacks for token in tokens)


def parted(url: str, part: Callable[[int], Any]) -> Flow[Any]:
    """Read on after a wait for the second piece was cut short, by whatever `part` is."""
    head = yield Send(post(url))
    first = yield Receive(head.exchange)
    try:
        yield part(head.exchange)
    except (Interrupted, TimedOut) as error:
        kind = type(error)
    return first, kind, (yield Receive(head.exchange))


@pytest.mark.parametrize("framing", ["chunked", "length", "close"])
@three_tries
def test_an_exchange_of_the_flow_around_is_read_on(framing: Any) -> None:
    """Its next piece is not lost, and comes as soon as it is there."""
    answer = Answer((b"one", Pause(0.2), b"two"), framing=framing)
    with LoopbackServer(ScriptedVendor(answer)) as server, nothing_left_behind(), Runtime() as runtime:
        token = CancellationToken()
        with Cancelling(token, SOON):
            flow = parted(server.url, lambda exchange: Within(None, one(Receive(exchange)), token))
            assert runtime.run(flow) == (b"one", Interrupted, b"two")
        flow = parted(server.url, lambda exchange: Within(SOON, one(Receive(exchange))))
        assert runtime.run(flow) == (b"one", TimedOut, b"two")


@three_tries
def test_a_read_that_was_left_ends_with_its_exchange(runtime: Runtime) -> None:
    """Closed, or dropped at the end of the flow, or cancelled with the run: no thread stays."""

    def flow(url: str) -> Flow[Any]:
        head = yield Send(post(url))
        yield Receive(head.exchange)
        token = CancellationToken()
        timer = threading.Timer(SOON, token.cancel)
        timer.start()
        yield from interruptible(one(Receive(head.exchange)), token)
        timer.join()
        assert any(thread.name == "tako-receive" for thread in arms_threads())
        yield Emit(("left",))
        return (yield Receive(head.exchange))

    with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(30))))) as server:
        with nothing_left_behind(), runtime.stream(flow(server.url)) as events:
            assert next(events) == "left"
        token = CancellationToken()
        with nothing_left_behind(), Cancelling(token, 4 * SOON) as cancelling, pytest.raises(Cancelled):
            runtime.run(flow(server.url), cancel=token)
        in_time(cancelling.took)
        wait_until(lambda: not server.open_connections, "the peer is still connected")


def test_what_the_part_opened_is_closed_while_what_is_around_it_goes_on(runtime: Runtime) -> None:
    exchanges: list[int] = []

    def opening(url: str) -> Flow[Any]:
        head = yield Send(post(url))
        exchanges.append(head.exchange)
        yield Sleep(30)

    def flow(url: str, token: CancellationToken) -> Flow[Any]:
        outer = yield Send(post(url))
        yield from interruptible(opening(url), token)
        wait_until(lambda: server.open_connections == 1, "the peer of the part is still connected")
        with pytest.raises(InvalidInput):
            yield Receive(exchanges[0])
        return (yield Receive(outer.exchange))

    token = CancellationToken()
    with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(30))))) as server, nothing_left_behind():
        with Cancelling(token, SOON):
            assert runtime.run(flow(server.url, token)) == b"one"


@three_tries
def test_the_run_is_cancelled_in_a_part(runtime: Runtime) -> None:
    with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(30))))) as server, nothing_left_behind():
        for flow in (one(Sleep(30)), fetch(post(server.url))):
            run, token = CancellationToken(), CancellationToken()
            with Cancelling(run, SOON) as cancelling, pytest.raises(Cancelled):
                runtime.run(interruptible(flow, token), cancel=run)
            in_time(cancelling.took)
            assert not token._callbacks
            assert not run._callbacks
