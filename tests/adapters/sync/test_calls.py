"""Call, Sleep, Now, Entropy, Resolve: what is done where, and what comes back."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import tako_io_sync
from tako.cancellation import CancellationToken
from tako.effects import Call, Entropy, Flow, Gather, Now, Resolve, Sleep, Within, call
from tako.errors import Cancelled, InvalidInput, TransportError
from tako_io_sync import Runtime
from tests.adapters.sync.kit import nothing_left_behind


def here() -> threading.Thread:
    return threading.current_thread()


async def here_async() -> threading.Thread:
    await asyncio.sleep(0)
    return threading.current_thread()


def limited(flow: Flow[Any]) -> Flow[Any]:
    return (yield Within(60, flow))


def gathered(flow: Flow[Any]) -> Flow[Any]:
    (outcome,) = yield Gather((flow,))
    return outcome.value


@pytest.mark.parametrize("function", [here, here_async])
def test_a_plain_call_runs_on_the_callers_own_thread(function: Callable[[], Any], runtime: Runtime) -> None:
    with nothing_left_behind():
        assert runtime.run(call(function)) is threading.current_thread()


@pytest.mark.parametrize("function", [here, here_async])
@pytest.mark.parametrize("how", ["token", "deadline", "gather"])
def test_what_could_be_cancelled_runs_on_a_thread_that_can_be_left_behind(
    how: str, function: Callable[[], Any], runtime: Runtime
) -> None:
    token = CancellationToken() if how == "token" else None
    flow = call(function)
    with nothing_left_behind():
        flow = limited(flow) if how == "deadline" else gathered(flow) if how == "gather" else flow
        thread = runtime.run(flow, cancel=token)
        assert thread is not threading.current_thread()
        assert thread.daemon


@pytest.mark.parametrize("token", [None, CancellationToken()], ids=["plain", "with a token"])
@pytest.mark.parametrize("wrap", [lambda flow: flow, limited, gathered], ids=["bare", "limited", "gathered"])
class TestWhateverTheThread:
    def test_arguments(self, token: CancellationToken | None, wrap: Any, runtime: Runtime) -> None:
        assert runtime.run(wrap(call(dict, [("a", 1)], b=2)), cancel=token) == {"a": 1, "b": 2}

    def test_an_exception_is_thrown_as_it_is(
        self, token: CancellationToken | None, wrap: Any, runtime: Runtime
    ) -> None:
        def fail() -> None:
            raise LookupError("mine")

        async def fail_later() -> None:
            await asyncio.sleep(0)
            raise LookupError("mine")

        def flow(function: Callable[[], Any]) -> Flow[str]:
            try:
                yield Call(function)
            except LookupError as error:
                return str(error)
            return "nothing"

        assert runtime.run(wrap(flow(fail)), cancel=token) == "mine"
        assert runtime.run(wrap(flow(fail_later)), cancel=token) == "mine"

    @pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
    def test_stop_iteration_does_not_end_the_flow(
        self, kind: type[Exception], token: CancellationToken | None, wrap: Any, runtime: Runtime
    ) -> None:
        def stop() -> None:
            raise kind

        def flow() -> Flow[str]:
            try:
                yield Call(stop)
            except RuntimeError as error:
                return type(error.__cause__).__name__
            return "nothing"

        assert runtime.run(wrap(flow()), cancel=token) == kind.__name__

    def test_context_variables_are_seen(
        self, token: CancellationToken | None, wrap: Any, runtime: Runtime
    ) -> None:
        variable = contextvars.ContextVar("variable", default="unset")

        async def read() -> str:
            await asyncio.sleep(0)
            return variable.get()

        variable.set("mine")
        assert runtime.run(wrap(call(variable.get)), cancel=token) == "mine"
        assert runtime.run(wrap(call(read)), cancel=token) == "mine"

    def test_the_token_argument(self, token: CancellationToken | None, wrap: Any, runtime: Runtime) -> None:
        def tool(*, stop: CancellationToken) -> CancellationToken:
            return stop

        def flow() -> Flow[Any]:
            return (yield Call(tool, token_argument="stop"))

        given = runtime.run(wrap(flow()), cancel=token)
        assert type(given) is CancellationToken
        assert given is not token
        assert not given.is_cancelled


def test_one_loop_for_a_whole_run(runtime: Runtime) -> None:
    """An async generator, begun on this thread, goes on under a deadline and in a Gather, and is closed."""
    events: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(99):
                await asyncio.sleep(0)
                yield number
        finally:
            await asyncio.sleep(0)
            events.append("closed")

    loops: set[Any] = set()
    iterator = numbers()

    async def next_of(iterator: AsyncIterator[int]) -> int:
        loops.add(asyncio.get_running_loop())
        return await anext(iterator)

    def flow() -> Flow[list[int]]:
        found = [(yield from call(next_of, iterator))]
        found.append((yield from limited(call(next_of, iterator))))
        found.append((yield from gathered(call(next_of, iterator))))
        found.append((yield from call(next_of, iterator)))
        return found

    with nothing_left_behind():
        assert runtime.run(flow()) == [0, 1, 2, 3]
        assert events == ["closed"]
    (loop,) = loops
    assert loop.is_closed()


def test_tasks_that_a_function_leaves_are_cancelled(runtime: Runtime) -> None:
    seen: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def start() -> asyncio.Task[None]:
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        return task

    for flow in (call(start), gathered(call(start))):
        with nothing_left_behind():
            runtime.run(flow)
    assert seen == ["cancelled"] * 2


def test_a_task_that_will_not_stop_does_not_hold_up_the_run(runtime: Runtime) -> None:
    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass

    tasks: list[Any] = []

    async def start() -> None:
        tasks.append(asyncio.create_task(stubborn()))
        await asyncio.sleep(0)

    started = time.monotonic()
    runtime.run(call(start))
    assert time.monotonic() - started < 0.5


def test_a_coroutine_that_cancels_itself(runtime: Runtime) -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    for wrap in (lambda flow: flow, limited):
        with pytest.raises(Cancelled):
            runtime.run(wrap(call(give_up)))


@pytest.mark.parametrize("token", [None, CancellationToken()])
def test_system_exit_goes_to_the_caller(token: CancellationToken | None, runtime: Runtime) -> None:
    ended: list[str] = []

    def leave() -> None:
        raise SystemExit(3)

    def flow() -> Flow[None]:
        try:
            yield Call(leave)
        finally:
            ended.append("finally")

    for wrap in (lambda flow: flow, gathered):
        with nothing_left_behind(), pytest.raises(SystemExit):
            runtime.run(wrap(flow()), cancel=token)
    assert ended == ["finally"] * 2


def test_sleep_and_now() -> None:
    moments = iter([100.0, 103.0])

    def flow() -> Flow[float]:
        first = yield Now()
        yield Sleep(0.02)
        yield Sleep(0)
        yield Sleep(-1)
        second = yield Now()
        return float(second - first)

    with Runtime(clock=lambda: next(moments)) as runtime:
        start = time.monotonic()
        assert runtime.run(flow()) == 3.0
        assert time.monotonic() - start >= 0.02
    moments = iter([100.0, 103.0])
    with Runtime(clock=lambda: next(moments)) as runtime:
        start = time.monotonic()
        assert runtime.run(flow(), cancel=CancellationToken()) == 3.0
        assert time.monotonic() - start >= 0.02


def test_time_never_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def now() -> Flow[float]:
        moment: float = yield Now()
        return moment

    runtime = Runtime()
    assert abs(runtime.run(now()) - time.time()) < 5
    times = iter([2e12, 1e12, 3e12])
    monkeypatch.setattr(time, "time", lambda: next(times))
    runtime = Runtime()
    assert [runtime.run(now()) for _ in range(3)] == [2e12, 2e12, 3e12]


def test_entropy() -> None:
    def flow() -> Flow[bytes]:
        chance: bytes = yield Entropy(5)
        return chance

    assert Runtime(entropy=lambda size: b"x" * size).run(flow()) == b"xxxxx"
    assert len({tako_io_sync.run(flow()) for _ in range(9)}) == 9


@pytest.mark.parametrize("token", [None, CancellationToken()])
def test_resolve(token: CancellationToken | None, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    def flow(host: str) -> Flow[tuple[str, ...]]:
        addresses: tuple[str, ...] = yield Resolve(host)
        return addresses

    with nothing_left_behind():
        assert "127.0.0.1" in runtime.run(flow("localhost"), cancel=token)
        for host in ("nowhere.invalid", "x" * 300, ""):
            with pytest.raises(TransportError) as caught:
                runtime.run(flow(host), cancel=token)
            assert caught.value.phase == "resolve"
        found = [(2, 1, 6, "", (address, 443)) for address in ("10.0.0.2", "10.0.0.1", "10.0.0.2")]
        monkeypatch.setattr("socket.getaddrinfo", lambda *_: found)
        assert runtime.run(flow("many"), cancel=token) == ("10.0.0.2", "10.0.0.1")


def test_what_cannot_be_driven() -> None:
    with pytest.raises(InvalidInput, match="expected an agent or a flow"):
        tako_io_sync.run(7)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="arguments already"):
        tako_io_sync.run(call(int), "prompt")
