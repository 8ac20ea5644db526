"""Calls: where a function runs that is not ours, and how it is left behind.

| who could stop it      | plain function             | what it returns is awaitable                    |
|------------------------|----------------------------|-------------------------------------------------|
| nobody                 | on the caller's own thread | on the caller's own thread, in the private loop |
| nobody, in a loop      | the same                   | in the private loop, on a thread of its own     |
| a token, a deadline,   | on a daemon thread         | the same                                        |
| whoever ends a Gather  |                            |                                                 |

When the flow must stop, the token of the call is cancelled and the function gets GRACE to stop. What
it returns or raises in that time is its reply: work that was done is not forgotten. If it is still running
then, it is left behind, and the Cancelled that the flow gets says so.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from tako.cancellation import CancellationToken
from tako.driving.calls import GRACE
from tako.effects import Call
from tako_io_sync._mailbox import Empty, Mailbox

if TYPE_CHECKING:
    from tako_io_sync._driver import Driver

__all__ = ["WAKE", "Interrupted", "on_worker", "perform_call"]

T = TypeVar("T")
_Outcome: TypeAlias = tuple[Any, BaseException | None]


class _Wake:
    pass


WAKE: Final = _Wake()
"""What is put into an inbox to say: look whether you must stop."""


class Interrupted(Exception):
    """A wait was cut short by the token or the deadline; `abandoned` if something still runs."""

    def __init__(self, *, abandoned: bool = False) -> None:
        super().__init__()
        self.abandoned = abandoned


def perform_call(driver: Driver, effect: Call) -> Any:
    """The value of the function, awaited if need be; raises what it raises, or Interrupted."""
    keywords, steps = effect.keywords, driver.steps
    if steps.token is None and steps.deadline is None:
        if effect.token_argument is not None:
            keywords = {**keywords, effect.token_argument: CancellationToken()}
        try:
            value = effect.function(*effect.arguments, **keywords)
        except (StopIteration, StopAsyncIteration) as error:
            raise _no_end(error) from error
        return _await(driver, value, None) if isinstance(value, Awaitable) else value
    parent = steps.token
    token = CancellationToken() if parent is None else parent.child()
    if effect.token_argument is not None:
        keywords = {**keywords, effect.token_argument: token}
    function = partial(_without_stop_iteration, partial(effect.function, *effect.arguments, **keywords))
    try:
        value = on_worker(driver, function, token)
        return _await(driver, value, token) if isinstance(value, Awaitable) else value
    finally:
        token.detach()


def on_worker(driver: Driver, function: Callable[[], Any], token: CancellationToken | None = None) -> Any:
    """Run it on a thread that can be left behind. `token` is the function's; one without gets no grace."""
    inbox: Mailbox[Any] = Mailbox()
    context = copy_context()

    def work() -> None:
        try:
            value = context.run(function)
        except BaseException as error:
            inbox.put((None, error))
        else:
            inbox.put((value, None))

    worker = threading.Thread(target=work, name="tako-call", daemon=True)
    worker.start()
    outcome = _outcome(driver, inbox, token)
    worker.join()
    return _unwrap(outcome)


def _await(driver: Driver, awaitable: Any, token: CancellationToken | None) -> Any:
    loop = driver.loop()
    if token is None and loop.can_run_here:
        return _without_stop_iteration(partial(loop.run, awaitable))
    inbox: Mailbox[Any] = Mailbox()
    token = token or CancellationToken()
    token.on_cancel(loop.start(awaitable, copy_context(), lambda value, error: inbox.put((value, error))))
    return _unwrap(_outcome(driver, inbox, token))


def _outcome(driver: Driver, inbox: Mailbox[Any], token: CancellationToken | None) -> _Outcome:
    """The value and the error that come; raises Interrupted if the function had to be left behind."""
    try:
        outcome = driver.wait(inbox)
        if outcome is WAKE:
            if token is None:
                raise Interrupted
            token.cancel()
            while outcome is WAKE:  # one more may have come before `wait` was over
                outcome = inbox.get(timeout=GRACE)
    except Empty:
        raise Interrupted(abandoned=True) from None
    except BaseException:
        if token is not None:
            token.cancel()
        raise
    value, error = outcome
    return value, error


def _unwrap(outcome: _Outcome) -> Any:
    value, error = outcome
    if error is not None:
        raise error
    return value


def _without_stop_iteration(function: Callable[[], T]) -> T:
    """Call it; StopIteration, which would end the flow it is thrown into, becomes a RuntimeError."""
    try:
        return function()
    except (StopIteration, StopAsyncIteration) as error:
        raise _no_end(error) from error


def _no_end(error: Exception) -> RuntimeError:
    return RuntimeError(f"the function raised {type(error).__name__}")
