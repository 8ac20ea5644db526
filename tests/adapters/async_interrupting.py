"""Interrupting a part of a flow: within 100 ms, in every phase, and what is around it goes on."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tako.cancellation import CancellationToken
from tako.effects import (
    Call,
    Effect,
    Emit,
    Flow,
    Gather,
    OnError,
    Receive,
    Resolve,
    Send,
    Sleep,
    Succeeded,
    Within,
)
from tako.errors import Cancelled, Interrupted, InvalidInput
from tako.testing.vendor import Answer, Pause, ScriptedVendor
from tako_io_sync.loopback import LoopbackServer
from tests.adapters.async_cancelling import LIMIT, PHASES, Make, one
from tests.adapters.async_kit import Arm, Cancelling, call_threads, fetch, get, relay, wait_until

SLACK = 0.15
"""Seconds that a busy machine may add."""
SOON = 0.03


@contextlib.contextmanager
def in_a_part_of_the_part() -> Iterator[Make]:
    nested = Within(None, one(Within(30, one(Within(None, one(Sleep(30)), CancellationToken())))))
    yield lambda arm: one(nested)


@contextlib.contextmanager
def in_a_child_of_the_part() -> Iterator[Make]:
    """A token that is the child's, and that of the part around it, are two."""
    part = Within(30, one(Sleep(30)), CancellationToken())
    yield lambda arm: one(Gather((one(part), one(Sleep(0))), on_error=OnError.COLLECT))


each_phase = pytest.mark.parametrize(
    "phase", [*PHASES, in_a_part_of_the_part, in_a_child_of_the_part], ids=lambda phase: phase.__name__
)


def interruptible(flow: Flow[Any], token: CancellationToken) -> Flow[Any]:
    try:
        yield Within(None, flow, token)
    except Interrupted as error:
        yield Sleep(0)
        return error
    return "not interrupted"


class Late(CancellationToken):
    """A token whose canceller is slow: the part that it should have stopped has ended by then."""

    callback: Callable[[], None]

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        self.callback = callback
        return lambda: None


def disturbed(url: str) -> Flow[Any]:
    """Wait for each kind of thing, while the wake of a part that has ended comes."""
    head = yield Send(get(url))
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


class InterruptingCases:
    @each_phase
    def test_a_token_that_another_thread_cancels(self, arm: Arm, phase: Any) -> None:
        with phase() as make, LoopbackServer(ScriptedVendor(Answer.json("1"))) as server:

            def flow() -> Flow[Any]:
                began = yield from fetch(get(server.url))
                error = yield from interruptible(make(arm), cancelling.token)
                took = time.monotonic() - cancelling.moment
                return began, type(error), took, (yield from fetch(get(server.url)))

            cancelling = Cancelling(seconds=SOON)

            async def scenario() -> None:
                async with arm.Runtime() as runtime:
                    with cancelling:
                        began, error, took, ended = await runtime.run(flow())
                    assert (began, error, ended) == ((200, b"1"), Interrupted, (200, b"1"))
                    assert 0 <= took < LIMIT + SLACK
                    assert await runtime.run(fetch(get(server.url))) == (200, b"1")
                assert not cancelling.token._callbacks, "the token still knows the part"

            arm.play(scenario)
            assert server.connections == 1

    def test_a_token_that_a_signal_handler_cancels(self, arm: Arm) -> None:
        token = CancellationToken()
        former = signal.signal(signal.SIGALRM, lambda *_: token.cancel())

        async def scenario() -> None:
            began = time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, SOON)
            assert isinstance(await arm.run(interruptible(one(Sleep(30)), token)), Interrupted)
            assert time.monotonic() - began < SOON + LIMIT + SLACK

        try:
            arm.play(scenario)
        finally:
            signal.signal(signal.SIGALRM, former)

    def test_a_resolver_that_hangs_is_left_behind(self, arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
        release = threading.Event()

        def hang(*arguments: Any, **_: Any) -> list[Any]:
            if len(arguments) < 6 or not arguments[5] & socket.AI_NUMERICHOST:  # trio asks that first
                release.wait(5)
            raise socket.gaierror(socket.EAI_NONAME, "unknown")

        monkeypatch.setattr(socket, "getaddrinfo", hang)

        async def scenario() -> None:
            cancelling = Cancelling(seconds=SOON)
            with cancelling as token:
                error = await arm.run(interruptible(one(Resolve("slow.test")), token))
            assert isinstance(error, Interrupted)
            assert 0 <= cancelling.took < LIMIT + SLACK
            release.set()

        arm.play(scenario)

    def test_a_function_that_does_not_stop_is_left_behind(self, arm: Arm) -> None:
        release = threading.Event()

        async def scenario() -> None:
            cancelling = Cancelling(seconds=SOON)
            with cancelling as token:
                error = await arm.run(interruptible(one(Call(release.wait, (5,))), token))
            assert isinstance(error, Interrupted)
            assert isinstance(error.__cause__, Cancelled)
            assert error.__cause__.abandoned
            assert 0 <= cancelling.took < LIMIT + SLACK
            assert len(call_threads()) == 1
            release.set()

        arm.play(scenario)
        wait_until(lambda: not call_threads(), "a function that has returned keeps its thread")

    def test_children_that_wait_for_their_turn_never_start(self, arm: Arm) -> None:
        started: list[int] = []

        def child(number: int) -> Flow[None]:
            started.append(number)
            yield Sleep(30)

        for on_error in OnError:
            started.clear()

            async def scenario(on_error: OnError = on_error) -> None:
                gather = one(Gather(tuple(child(number) for number in range(5)), 2, on_error))
                with Cancelling(seconds=SOON) as token:
                    error = await arm.run(interruptible(gather, token))
                assert len(error.partial) == 5
                assert sorted(started) == [0, 1]

            arm.play(scenario)

    def test_a_late_wake_disturbs_no_wait(self, arm: Arm) -> None:
        answer = Answer((b"one", Pause(2 * SOON), b"two", Pause(30)))
        with LoopbackServer(ScriptedVendor(answer)) as server:

            async def scenario() -> None:
                assert await arm.run(disturbed(server.url)) == DISTURBED
                around = one(Within(None, disturbed(server.url), CancellationToken()))
                assert await arm.run(around) == DISTURBED

            arm.play(scenario)

    def test_late_wakes_disturb_nothing(self, arm: Arm) -> None:
        """Tokens are cancelled as their parts end, by a thread that does not wait."""
        tokens = [CancellationToken() for _ in range(200)]
        reached = 0

        def flow() -> Flow[int]:
            nonlocal reached
            for number, token in enumerate(tokens):
                reached = number
                with contextlib.suppress(Interrupted):
                    yield Within(None, one(Sleep(0)), token)
                yield Sleep(0)
                yield Call(int)
            return reached

        def cancel() -> None:
            for number, token in enumerate(tokens):
                while reached < number:
                    time.sleep(0)
                token.cancel()

        async def scenario() -> None:
            thread = threading.Thread(target=cancel)
            thread.start()
            assert await arm.run(flow()) == 199
            thread.join()
            assert not any(token._callbacks for token in tokens)

        arm.play(scenario)

    def test_what_the_part_opened_is_closed_while_what_is_around_it_goes_on(self, arm: Arm) -> None:
        with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(30))))) as server:

            def opening() -> Flow[Any]:
                head = yield Send(get(server.url))
                exchanges.append(head.exchange)
                yield Sleep(30)

            def flow(token: CancellationToken) -> Flow[Any]:
                outer = yield Send(get(server.url))
                yield from interruptible(opening(), token)
                while server.open_connections > 1:
                    yield Sleep(0.005)
                assert (yield Receive(outer.exchange)) == b"one"
                with pytest.raises(InvalidInput):
                    yield Receive(exchanges[0])
                return "went on"

            exchanges: list[int] = []

            async def scenario() -> None:
                with Cancelling(seconds=SOON) as token:
                    async with arm.leave_after(5) as leaving:
                        assert await arm.run(flow(token)) == "went on"
                    assert not leaving.left

            arm.play(scenario)

    def test_a_consumer_that_is_not_reading(self, arm: Arm) -> None:
        """The peer is rid of us at once, though nobody pulls; what is around the part is not touched."""
        with LoopbackServer(ScriptedVendor(Answer((b"one", b"two", Pause(30))))) as server:

            def flow(token: CancellationToken) -> Flow[Any]:
                head = yield Send(get(server.url))
                yield from interruptible(relay(get(server.url)), token)
                return (yield Receive(head.exchange))

            async def scenario() -> None:
                token = CancellationToken()
                async with arm.stream(flow(token)) as events:
                    assert await anext(events) == "head"
                    assert server.open_connections == 2
                    token.cancel()
                    await arm.until(lambda: server.open_connections == 1, "the peer is still connected")
                    async for _ in events:
                        pass
                    assert events.result in (b"one", b"onetwo")

            arm.play(scenario)

    def test_the_last_words_of_a_part_are_heard(self, arm: Arm) -> None:
        def speaking() -> Flow[str]:
            try:
                yield Sleep(30)
            except Cancelled:
                yield Emit(("last", "words"))
            return "what there was"

        def flow(token: CancellationToken) -> Flow[Any]:
            error = yield from interruptible(speaking(), token)
            return error.partial

        async def scenario() -> None:
            with Cancelling(seconds=SOON) as token:
                assert await arm.collect(flow(token)) == (["last", "words"], "what there was")

        arm.play(scenario)

    def test_the_run_is_cancelled_in_a_part(self, arm: Arm) -> None:
        async def scenario() -> None:
            effects: list[Effect] = [Sleep(30), Call(threading.Event().wait, (0.2,))]
            for effect in effects:
                token = CancellationToken()
                cancelling = Cancelling(seconds=SOON)
                with cancelling as run, pytest.raises(Cancelled):
                    await arm.run(interruptible(one(effect), token), cancel=run)
                assert 0 <= cancelling.took < LIMIT + SLACK
                assert not token._callbacks
                assert not run._callbacks

        arm.play(scenario, left_threads=1)
