"""Driver: an AsyncDriver whose effects are cut short as asyncio cuts them: by cancelling the task.

| what                    | how it cancels the task that waits           |
|-------------------------|----------------------------------------------|
| a token, any thread     | `_on_cancel` or `_on_wake`, called in the    |
|                         | loop's thread                                |
| a deadline of a Within  | a timer, set for this one effect             |

Invariants. We cancel it once, and take that back before the flow goes on, so that nobody else ever
sees it. A cancelling that was not ours goes on to whoever did it, even if a function that was called
has swallowed it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tako.cancellation import CancellationToken
from tako.driving.async_driver import AsyncDriver, AsyncRuntime, Interrupted
from tako.effects import Call, Effect, Flow, Gather
from tako_io_asyncio._calls import on_thread
from tako_io_asyncio._gather import Group
from tako_io_asyncio._http import look_up

__all__ = ["Driver"]

T = TypeVar("T")


class Driver(AsyncDriver[T]):
    """One flow on its way: `advance` until it gives None, or `close`; then `result`."""

    __slots__ = ("_interrupted", "_loop", "_waiting")

    guards_every_call = True

    def __init__(
        self,
        runtime: AsyncRuntime,
        flow: Flow[T],
        token: CancellationToken | None,
        parent: AsyncDriver[Any] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Task[Any] | None = None
        self._interrupted = False
        super().__init__(runtime, flow, token, parent, self._loop.time)

    def child(self, flow: Flow[Any], token: CancellationToken) -> AsyncDriver[Any]:
        return Driver(self._runtime, flow, token, self)

    def _gather(self, effect: Gather) -> Group:
        return Group(self, effect)

    def _soon(self, function: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            pass  # the loop is closed, and with it everything that was in flight

    def _interrupt(self) -> None:
        if self._waiting is not None and not self._interrupted:
            self._interrupted = True
            self._waiting.cancel()

    def _check_deadline(self, deadline: float) -> None:
        # A timer may be early by a step of the clock, and Steps would not believe it.
        if self._loop.time() < deadline:
            self._loop.call_at(deadline, self._check_deadline, deadline)
        elif self.steps.deadline == deadline:
            self._interrupt()

    async def _do_guarded(self, effect: Effect) -> Any:
        task = asyncio.current_task()
        assert task is not None
        cancels = task.cancelling()
        deadline = self.steps.deadline
        timer = None if deadline is None else self._loop.call_at(deadline, self._check_deadline, deadline)
        self._waiting = task
        interrupted = False
        try:
            try:
                return await self._do(effect)
            finally:
                self._waiting = None
                if timer is not None:
                    timer.cancel()
                if self._interrupted:
                    self._interrupted, interrupted = False, True
                    task.uncancel()
                if task.cancelling() > cancels:
                    raise asyncio.CancelledError  # not ours; a function that was called may have swallowed it
        except asyncio.CancelledError as error:
            if interrupted and task.cancelling() <= cancels:
                raise Interrupted from None
            if isinstance(effect, Call) and not task.cancelling():
                raise RuntimeError("the function that was called was cancelled, and not by us") from error
            raise

    def _on_thread(self, function: Callable[[], Any], token: CancellationToken) -> Awaitable[Any]:
        return on_thread(function, token, self.steps)

    def _sleep(self, seconds: float) -> Awaitable[None]:
        return asyncio.sleep(seconds)

    def _look_up(self, host: str, port: int) -> Awaitable[list[str]]:
        return look_up(host, port)
