"""Threads for functions that are not ours, under asyncio.

They are daemons of our own and no executor's: an executor's would keep the interpreter from ending
while a function that nobody waits for any more is still running. What a call is, and what becomes of
one that is cut short, is in tako.driving.calls.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Generic, TypeVar

from tako.cancellation import CancellationToken
from tako.driving.calls import GRACE
from tako.driving.steps import Steps
from tako.errors import Cancelled

__all__ = ["on_thread"]

T = TypeVar("T")


async def on_thread(
    function: Callable[[], T], token: CancellationToken | None = None, steps: Steps[Any] | None = None
) -> T:
    """Run a plain function on a thread, which is left behind if it does not stop when we have to."""
    loop = asyncio.get_running_loop()
    finished: asyncio.Future[None] = loop.create_future()
    outcome = _Outcome[T]()

    def work() -> None:
        try:
            outcome.value = function()
        except BaseException as error:
            outcome.error = error
        try:
            loop.call_soon_threadsafe(_finish, finished)
        except RuntimeError:
            pass  # the loop is closed: nobody waits for this

    threading.Thread(target=copy_context().run, args=(work,), name="tako-call", daemon=True).start()
    try:
        await asyncio.wait((finished,))
    except asyncio.CancelledError:
        if token is None or steps is None:
            raise
        token.cancel()
        await asyncio.wait((finished,), timeout=GRACE)
        if not steps.must_stop:
            raise
        if not finished.done():
            raise Cancelled(
                "cancelled; the function that was called is still running", abandoned=True
            ) from None
    return outcome.unwrap()


def _finish(finished: asyncio.Future[None]) -> None:
    if not finished.done():
        finished.set_result(None)


class _Outcome(Generic[T]):
    """What a function did on its thread, whatever that was."""

    __slots__ = ("error", "value")
    value: T

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def unwrap(self) -> T:
        if self.error is None:
            return self.value
        try:
            raise self.error
        finally:
            self.error = None  # its traceback holds this frame: no cycle
