"""Threads for functions that are not ours, under trio.

They are those that trio keeps for `trio.to_thread.run_sync`, without its limit: functions that were
left behind must not keep others from starting. What a call is, and what becomes of one that is cut
short, is in tako.driving.calls.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, TypeVar

import trio
from outcome import Outcome

from tako.cancellation import CancellationToken
from tako.driving.calls import GRACE
from tako.driving.steps import Steps
from tako.errors import Cancelled

__all__ = ["on_thread"]

T = TypeVar("T")


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
