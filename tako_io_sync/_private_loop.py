"""A private asyncio loop, for functions that turn out to be `async def`.

One for each run, made at the first need, so that what such a function leaves open (a client, an
async generator) can be used by the next one. It runs on the caller's own thread, for as long as an
awaitable takes, until somebody could cancel that, or the thread runs asyncio or trio already; from
then on a thread of its own runs it to the end. Invariant: `close` cancels the tasks that are left,
closes async generators, and never waits longer than GRACE for a task that will not stop.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any

from tako.driving.calls import GRACE
from tako.errors import Cancelled

__all__ = ["PrivateLoop"]

WORDS = "the awaited function was cancelled"


class PrivateLoop:
    """Runs awaitables. `run` is for the caller's thread, `start` for any."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None

    @property
    def can_run_here(self) -> bool:
        """Whether the calling thread may run it."""
        return self._thread is None and not _async_library_runs_here()

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Run it to its end on this thread; raises what it raises, or Cancelled if it cancels itself."""
        try:
            return self._loop.run_until_complete(_to_coroutine(awaitable))
        except asyncio.CancelledError as error:
            raise Cancelled(WORDS) from error

    def start(
        self, awaitable: Awaitable[Any], context: Context, report: Callable[[Any, BaseException | None], None]
    ) -> Callable[[], None]:
        """Run it on the loop's own thread, report its result or error, and return what cancels it."""
        if self._thread is None:
            self._start_thread()
        tasks: list[asyncio.Task[None]] = []

        async def perform() -> None:
            try:
                result = await awaitable
            except asyncio.CancelledError:
                report(None, Cancelled(WORDS))
            except BaseException as error:
                report(None, error)
            else:
                report(result, None)

        def begin() -> None:
            tasks.append(self._loop.create_task(perform(), context=context))

        def cancel() -> None:
            for task in tasks:
                task.cancel()

        self._loop.call_soon_threadsafe(begin)
        return lambda: _ask(self._loop, cancel)

    def close(self) -> None:
        """Cancel what is left and close the loop; a function that blocks its thread is left behind."""
        if self._loop.is_closed():
            return
        if self.can_run_here:
            self._finish()
            return
        if self._thread is None:
            self._start_thread()
        assert self._thread is not None
        _ask(self._loop, self._loop.stop)
        self._thread.join(3 * GRACE)

    def _start_thread(self) -> None:
        def serve() -> None:
            asyncio.set_event_loop(self._loop)
            try:
                self._loop.run_forever()
            finally:
                self._finish()

        self._thread = threading.Thread(target=serve, name="tako-asyncio", daemon=True)
        self._thread.start()

    def _finish(self) -> None:
        loop = self._loop
        try:
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks, timeout=GRACE))
            loop.run_until_complete(asyncio.wait_for(loop.shutdown_asyncgens(), GRACE))
        except TimeoutError:
            pass  # an async generator that will not be closed
        finally:
            loop.close()


async def _to_coroutine(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _ask(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(function)
    except RuntimeError:
        pass  # it is closed: there is nothing left to ask


def _async_library_runs_here() -> bool:
    if asyncio._get_running_loop() is not None:
        return True
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())
