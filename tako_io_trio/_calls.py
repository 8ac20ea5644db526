"""Calls: functions that are not ours. An `async def` is awaited here; a plain one gets a thread.

| function    | runs                 | when it has to stop                                               |
|-------------|----------------------|-------------------------------------------------------------------|
| async def   | in the caller's task | it is cancelled, as trio cancels, and waited for                   |
| plain       | on a thread of trio's | its token is cancelled; it has GRACE to end; then it is left behind |

The threads are those that trio keeps for `trio.to_thread.run_sync`, without its limit: functions
that were left behind must not keep others from starting.

Invariants. A function sees the caller's context variables. What it still returns in its GRACE is
the reply. StopIteration never leaves here, for in a generator it would look like an end.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

import trio
from outcome import Outcome

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
    except trio.Cancelled:
        token.cancel()
        raise
    finally:
        token.detach()


async def on_thread(function: Callable[[], T], token: CancellationToken, steps: Steps[Any]) -> T:
    """Run a plain function on a thread, which is left behind if it does not stop when we have to."""
    run = trio.lowlevel.current_trio_token()
    finished = trio.Event()
    result: Outcome[T] | None = None

    def deliver(outcome: Outcome[T]) -> None:
        nonlocal result
        result = outcome
        try:
            run.run_sync_soon(finished.set)
        except trio.RunFinishedError:
            pass  # nobody waits for this

    trio.lowlevel.start_thread_soon(partial(copy_context().run, function), deliver, "tako-call")
    try:
        await finished.wait()
    except trio.Cancelled:
        token.cancel()
        with trio.move_on_after(GRACE, shield=True):
            await finished.wait()
        if not steps.must_stop:
            raise
        if not finished.is_set():
            raise Cancelled(
                "cancelled; the function that was called is still running", abandoned=True
            ) from None
    assert result is not None
    return result.unwrap()


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
