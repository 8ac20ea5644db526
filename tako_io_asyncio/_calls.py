"""Calls: functions that are not ours. An `async def` is awaited here; a plain one gets a thread.

| function    | runs                 | when it has to stop                                               |
|-------------|----------------------|-------------------------------------------------------------------|
| async def   | in the caller's task | it is cancelled, as asyncio cancels, and waited for                |
| plain       | on its own thread    | its token is cancelled; it has GRACE to end; then it is left behind |

The threads are daemons of our own and no executor's: an executor's would keep the interpreter from
ending while a function that nobody waits for any more is still running.

Invariants. A function sees the caller's context variables. What it still returns in its GRACE is
the reply. StopIteration never leaves here, for in a generator it would look like an end.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, TypeVar

from tako.cancellation import CancellationToken
from tako.driving.steps import Steps
from tako.effects import Call
from tako.errors import Cancelled

__all__ = ["GRACE", "on_thread", "perform_call"]

T = TypeVar("T")

GRACE = 0.05
"""Seconds for a plain function to stop before it is left behind."""


async def perform_call(effect: Call, steps: Steps[Any]) -> Any:
    """The function's value, awaited if need be.

    Raises what it raises, or Cancelled with `abandoned` if it would not stop.
    """
    token = steps.token.child() if steps.token is not None else CancellationToken()
    keywords = dict(effect.keywords)
    if effect.token_argument is not None:
        keywords[effect.token_argument] = token
    function = partial(effect.function, *effect.arguments, **keywords)
    try:
        if _is_coroutine_function(effect.function):
            value = function()
        else:
            value = await on_thread(function, token, steps)
        return await value if inspect.isawaitable(value) else value
    except (StopIteration, StopAsyncIteration) as error:
        raise RuntimeError(f"the function that was called raised {type(error).__name__}") from error
    except asyncio.CancelledError as error:
        token.cancel()
        task = asyncio.current_task()
        if task is not None and not task.cancelling():
            raise RuntimeError("the function that was called was cancelled, and not by us") from error
        raise
    finally:
        token.detach()


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


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


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
