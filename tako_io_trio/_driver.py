"""Driver: an AsyncDriver whose effects are cut short as trio cuts them: by cancelling a scope.

| what                    | how it cancels the scope                              |
|-------------------------|-------------------------------------------------------|
| a token, any thread     | `_on_cancel` or `_on_wake`, called in trio's thread   |
| a deadline of a Within  | the deadline of the scope                             |

Invariant. The scope is around the one effect in flight, and around nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio

from tako.cancellation import CancellationToken
from tako.driving.async_driver import AsyncDriver, AsyncRuntime, Interrupted
from tako.effects import Effect, Flow, Gather
from tako_io_trio._calls import on_thread
from tako_io_trio._gather import Group
from tako_io_trio._http import look_up

__all__ = ["Driver"]

T = TypeVar("T")


class Driver(AsyncDriver[T]):
    """One flow on its way: `advance` until it gives None, or `close`; then `result`."""

    __slots__ = ("_run", "_scope")

    guards_every_call = False  # a scope that is cancelled cannot be swallowed
    _checkpoint = staticmethod(trio.lowlevel.checkpoint_if_cancelled)

    def __init__(
        self,
        runtime: AsyncRuntime,
        flow: Flow[T],
        token: CancellationToken | None,
        parent: AsyncDriver[Any] | None = None,
    ) -> None:
        self._run = trio.lowlevel.current_trio_token()
        self._scope: trio.CancelScope | None = None
        super().__init__(runtime, flow, token, parent, trio.current_time)

    def child(self, flow: Flow[Any], token: CancellationToken) -> AsyncDriver[Any]:
        return Driver(self._runtime, flow, token, self)

    def _gather(self, effect: Gather) -> Group:
        return Group(self, effect)

    def _soon(self, function: Callable[[], None]) -> None:
        try:
            self._run.run_sync_soon(function)
        except trio.RunFinishedError:
            pass  # the run is over, and with it everything that was in flight

    def _interrupt(self) -> None:
        if self._scope is not None:
            self._scope.cancel()

    async def _do_guarded(self, effect: Effect) -> Any:
        deadline = self.steps.deadline
        with trio.CancelScope(deadline=math.inf if deadline is None else deadline) as scope:
            self._scope = scope
            try:
                return await self._do(effect)
            finally:
                self._scope = None
        raise Interrupted

    def _on_thread(self, function: Callable[[], Any], token: CancellationToken) -> Awaitable[Any]:
        return on_thread(function, token, self.steps)

    def _sleep(self, seconds: float) -> Awaitable[None]:
        return trio.sleep(seconds)

    def _look_up(self, host: str, port: int) -> Awaitable[list[str]]:
        return look_up(host, port)
