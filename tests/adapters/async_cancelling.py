"""Cancelling: within 100 ms, in every phase, by every way, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
import trio

from tako.cancellation import CancellationToken
from tako.effects import Call, Effect, Emit, Flow, Gather, HttpRequest, OnError, Receive, Send, Sleep, Within
from tako.errors import Cancelled, TimedOut
from tako.testing.vendor import Answer, Pause, ScriptedVendor
from tako_io_sync.loopback import LoopbackServer
from tests.adapters.async_kit import (
    Arm,
    Cancelling,
    call_threads,
    fetch,
    full_backlog,
    get,
    relay,
    serving,
    silence,
    wait_until,
)

LIMIT = 0.1
"""Seconds in which everything has to stop."""
SLACK = 0.1
"""Seconds that a busy machine may add to that; LIMIT is what was seen on one that is not."""

Make = Callable[[Arm], Flow[Any]]
Phase = Callable[[], AbstractContextManager[Make]]


def one(effect: Effect) -> Flow[Any]:
    return (yield effect)


async def sleep_long() -> None:
    """For either library."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        await trio.sleep(30)
    else:
        await asyncio.sleep(30)


def sleep_until_cancelled(token: CancellationToken) -> None:
    while True:
        token.raise_if_cancelled()
        time.sleep(0.005)


# The phases. Each is a context manager that gives the flow which is cancelled in it.


@contextlib.contextmanager
def connecting() -> Iterator[Make]:
    with full_backlog() as port:
        yield lambda arm: fetch(get(f"http://127.0.0.1:{port}"))


@contextlib.contextmanager
def connecting_to_one_of_many() -> Iterator[Make]:
    """A name with two addresses, neither of which answers."""
    with full_backlog() as port, pytest.MonkeyPatch.context() as patch:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))] * 2
        found[1] = (*found[1][:4], ("127.1.0.1", port))
        patch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        yield lambda arm: fetch(get(f"http://twins.test:{port}"))


@contextlib.contextmanager
def handshaking() -> Iterator[Make]:
    with serving(silence) as port:
        yield lambda arm: fetch(get(f"https://127.0.0.1:{port}"))


@contextlib.contextmanager
def waiting_for_the_head() -> Iterator[Make]:
    with serving(silence) as port:
        yield lambda arm: fetch(get(f"http://127.0.0.1:{port}"))


@contextlib.contextmanager
def between_chunks() -> Iterator[Make]:
    with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(30))))) as server:
        yield lambda arm: relay(get(server.url))


@contextlib.contextmanager
def sending() -> Iterator[Make]:
    """A body that the peer does not take."""

    def flow(port: int) -> Flow[Any]:
        yield Send(HttpRequest("POST", f"http://127.0.0.1:{port}", body=b"x" * 20_000_000))

    with serving(lambda connection: time.sleep(0.4)) as port:
        yield lambda arm: flow(port)


@contextlib.contextmanager
def sleeping() -> Iterator[Make]:
    yield lambda arm: one(Sleep(30))


@contextlib.contextmanager
def in_a_coroutine() -> Iterator[Make]:
    yield lambda arm: one(Call(sleep_long))


@contextlib.contextmanager
def in_a_function_that_heeds_its_token() -> Iterator[Make]:
    yield lambda arm: one(Call(sleep_until_cancelled, token_argument="token"))


@contextlib.contextmanager
def in_a_gather() -> Iterator[Make]:
    with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(30))))) as server:

        def family() -> Flow[Any]:
            inner = one(Gather((relay(get(server.url)), one(Sleep(30)))))
            return (yield Gather((inner, one(Call(sleep_long)), one(Sleep(30))), 2))

        yield lambda arm: family()


@contextlib.contextmanager
def in_a_gather_that_collects() -> Iterator[Make]:
    yield lambda arm: one(Gather(tuple(one(Sleep(30)) for _ in range(3)), 2, OnError.COLLECT))


PHASES: list[Phase] = [
    connecting,
    connecting_to_one_of_many,
    handshaking,
    waiting_for_the_head,
    between_chunks,
    sending,
    sleeping,
    in_a_coroutine,
    in_a_function_that_heeds_its_token,
    in_a_gather,
    in_a_gather_that_collects,
]
each_phase = pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.__name__)


class CancellingCases:
    @each_phase
    def test_a_token_that_another_thread_cancels(self, arm: Arm, phase: Phase) -> None:
        with phase() as make:

            async def scenario() -> None:
                cancelling = Cancelling()
                with cancelling as token, pytest.raises(Cancelled):
                    await arm.run(make(arm), cancel=token)
                assert 0 <= cancelling.took < LIMIT + SLACK
                assert not token._callbacks, "the token still knows the run"

            arm.play(scenario)

    @each_phase
    def test_a_task_that_its_library_cancels(self, arm: Arm, phase: Phase) -> None:
        ended: list[str] = []

        def watched(flow: Flow[Any]) -> Flow[Any]:
            try:
                return (yield from flow)
            except Cancelled:
                ended.append("cancelled")
                raise

        with phase() as make:

            async def scenario() -> None:
                for cancel in (None, CancellationToken()):
                    began = time.monotonic()
                    async with arm.leave_after(0.05) as leaving:
                        await arm.run(watched(make(arm)), cancel=cancel)
                    assert leaving.left
                    assert time.monotonic() - began < 0.05 + LIMIT + SLACK
                assert ended == ["cancelled"] * 2

            arm.play(scenario)

    @each_phase
    def test_a_limit_of_time(self, arm: Arm, phase: Phase) -> None:
        with phase() as make:

            def flow() -> Flow[Any]:
                try:
                    yield Within(0.05, make(arm))
                except TimedOut:
                    yield Sleep(0)
                    return "too late"

            async def scenario() -> None:
                for cancel in (None, CancellationToken()):
                    began = time.monotonic()
                    assert await arm.run(flow(), cancel=cancel) == "too late"
                    assert time.monotonic() - began < 0.05 + LIMIT + SLACK

            arm.play(scenario)

    @each_phase
    def test_a_stream_whose_token_is_cancelled(self, arm: Arm, phase: Phase) -> None:
        def told(flow: Flow[Any]) -> Flow[str]:
            try:
                yield from flow
            except Cancelled:
                yield Emit(("it was cancelled",))
            return "what there was"

        with phase() as make:

            async def scenario() -> None:
                cancelling = Cancelling()
                with cancelling as token:
                    events, result = await arm.collect(told(make(arm)), cancel=token)
                assert 0 <= cancelling.took < LIMIT + SLACK
                assert (events[-1], result) == ("it was cancelled", "what there was")

            arm.play(scenario)

    def test_a_token_that_was_cancelled_before(self, arm: Arm) -> None:
        token = CancellationToken()
        token.cancel()

        async def scenario() -> None:
            with pytest.raises(Cancelled):
                await arm.run(one(Sleep(30)), cancel=token)
            assert await arm.collect(said(), cancel=token) == ([1], "end")

        def said() -> Flow[str]:
            yield Emit((1,))
            return "end"

        arm.play(scenario)

    def test_the_task_goes_on_after_its_run_was_cancelled(self, arm: Arm) -> None:
        async def scenario() -> None:
            for _ in range(3):
                with Cancelling(seconds=0.01) as token, pytest.raises(Cancelled):
                    await arm.run(one(Sleep(30)), cancel=token)
                await arm.sleep(0.01)
            async with arm.leave_after(5) as leaving:
                with Cancelling(seconds=0.01) as token, pytest.raises(Cancelled):
                    await arm.run(one(Sleep(30)), cancel=token)
                await arm.sleep(0.01)
            assert not leaving.left

        arm.play(scenario)

    def test_both_cancel_at_once(self, arm: Arm) -> None:
        """The library's cancel is never lost, whoever was first."""

        async def scenario() -> None:
            for effect in (Sleep(30), Call(sleep_long), Call(time.sleep, (0.2,))):
                for _ in range(3):
                    token = CancellationToken()

                    async def cancel(token: CancellationToken = token) -> None:
                        await arm.sleep(0.02)
                        token.cancel()

                    async def driven(effect: Effect = effect, token: CancellationToken = token) -> None:
                        async with arm.leave_after(0.02) as leaving:
                            with contextlib.suppress(Cancelled):
                                await arm.run(one(effect), cancel=token)
                            await arm.sleep(30)
                        assert leaving.left

                    await arm.side_by_side(driven, cancel)

        arm.play(scenario, left_threads=0)

    def test_a_consumer_that_is_not_reading(self, arm: Arm) -> None:
        """The peer is rid of us at once, though nobody pulls."""
        with LoopbackServer(ScriptedVendor(Answer((b"one", b"two", Pause(30))))) as server:

            async def scenario() -> None:
                token = CancellationToken()
                async with arm.stream(relay(get(server.url)), cancel=token) as events:
                    assert await anext(events) == "head"
                    cancelling = Cancelling(token, seconds=0.05)
                    with cancelling:
                        await arm.until(lambda: not server.open_connections, "the peer is still connected")
                    assert cancelling.took < LIMIT + SLACK
                    rest: list[Any] = []
                    with pytest.raises(Cancelled):
                        async for event in events:
                            rest.append(event)

            arm.play(scenario)

    def test_children_whose_consumer_is_not_reading(self, arm: Arm) -> None:
        ended: list[int] = []

        def child(number: int) -> Flow[None]:
            try:
                for event in range(1000):
                    yield Emit((event,))
                    yield Sleep(0)
            finally:
                ended.append(number)

        async def scenario() -> None:
            token = CancellationToken()
            async with arm.stream(one(Gather((child(0), child(1)))), cancel=token) as events:
                await anext(events)
                await arm.sleep(0.02)
                token.cancel()
                await arm.until(lambda: sorted(ended) == [0, 1], "the children live on", LIMIT + SLACK)
                with pytest.raises(Cancelled):
                    async for _ in events:
                        pass

        arm.play(scenario)

    def test_a_function_that_does_not_stop_is_left_behind(self, arm: Arm) -> None:
        release = threading.Event()
        seen: list[bool] = []

        def flow() -> Flow[Any]:
            try:
                yield Call(release.wait, (5,))
            except Cancelled as error:
                seen.append(error.abandoned)
                raise

        def timed() -> Flow[Any]:
            try:
                yield Within(0.05, flow())
            except TimedOut:
                return "too late"

        async def scenario() -> None:
            cancelling = Cancelling()
            with cancelling as token, pytest.raises(Cancelled):
                await arm.run(flow(), cancel=token)
            assert 0 <= cancelling.took < LIMIT + SLACK
            assert await arm.run(timed()) == "too late"
            async with arm.leave_after(0.05) as leaving:
                await arm.run(flow())
            assert leaving.left
            # The library's own cancel leaves it behind as well, but that is told by the library's error.
            assert seen == [True, True, False]
            assert len(call_threads()) == 3

        try:
            arm.play(scenario, left_threads=3)
        finally:
            release.set()
        wait_until(lambda: not call_threads(), "a function that has returned keeps its thread")

    def test_what_a_function_returns_in_its_grace_is_the_reply(self, arm: Arm) -> None:
        def function(token: CancellationToken) -> str:
            while not token.is_cancelled:
                time.sleep(0.002)
            return "what there was"

        def flow() -> Flow[Any]:
            return (yield Call(function, token_argument="token"))

        async def scenario() -> None:
            with Cancelling() as token:
                assert await arm.run(flow(), cancel=token) == "what there was"
            with pytest.raises(TimedOut) as failure:
                await arm.run(one(Within(0.03, one(Call(sleep_until_cancelled, token_argument="token")))))
            assert failure.value.partial is None

        arm.play(scenario)

    def test_a_callback_of_a_function_that_raises(self, arm: Arm) -> None:
        """It is told to whoever waits, and does not end the library's whole run."""

        def function(token: CancellationToken) -> None:
            token.on_cancel(lambda: 1 / 0)
            time.sleep(0.01)
            raise KeyError

        def child() -> Flow[Any]:
            yield Call(function, token_argument="token")

        def listening(token: CancellationToken) -> None:
            token.on_cancel(lambda: 1 / 0)
            while not token.is_cancelled:
                time.sleep(0.002)

        def flow() -> Flow[Any]:
            yield Gather((child(), one(Call(listening, token_argument="token"))))

        async def scenario() -> None:
            with pytest.raises((KeyError, ZeroDivisionError)):
                await arm.run(flow())

        arm.play(scenario)

    def test_leaving_in_the_midst_of_everything(self, arm: Arm) -> None:
        """Cancelled at many moments: nothing hangs, nothing is left."""
        with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(0.01), b"two")))) as server:

            def family() -> Flow[Any]:
                flows = [relay(get(server.url)) for _ in range(3)]
                return (yield Gather((*flows, one(Call(time.sleep, (0.01,))), one(Sleep(0.02))), 4))

            async def scenario() -> None:
                for step in range(25):
                    async with arm.leave_after(step * 0.002), arm.stream(family()) as events:
                        async for _ in events:
                            pass
                    token = CancellationToken()
                    with Cancelling(token, seconds=step * 0.002), contextlib.suppress(Cancelled):
                        await arm.run(family(), cancel=token)

            arm.play(scenario)

    def test_a_child_that_reads_what_its_parent_opened(self, arm: Arm) -> None:
        """The failure of a sibling ends the read, and not the exchange."""
        with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(0.3), b"two")))) as server:

            def failing() -> Flow[None]:
                yield Sleep(0.05)
                raise KeyError

            def flow() -> Flow[Any]:
                head = yield Send(get(server.url))
                first = yield Receive(head.exchange)
                began = time.monotonic()
                try:
                    yield Gather((one(Receive(head.exchange)), failing()))
                except KeyError:
                    assert time.monotonic() - began < 0.05 + LIMIT
                return first, (yield Receive(head.exchange))

            async def scenario() -> None:
                assert await arm.run(flow()) == (b"one", b"two")

            arm.play(scenario)

    def test_a_cancel_between_receiving_and_reading(self, arm: Arm) -> None:
        """A token that is cancelled while nothing is in flight stops the flow at its next wait."""
        with LoopbackServer(ScriptedVendor(Answer((b"one", Pause(30))))) as server:

            def flow(token: CancellationToken) -> Flow[Any]:
                head = yield Send(get(server.url))
                yield Receive(head.exchange)
                token.cancel()
                yield Receive(head.exchange)

            async def scenario() -> None:
                token = CancellationToken()
                with pytest.raises(Cancelled):
                    await arm.run(flow(token), cancel=token)

            arm.play(scenario)
