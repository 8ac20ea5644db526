"""Once: of all who want the same thing done at the same time, one does it, and the others wait for it.

A hundred threads meet the same 401, or are the first to need the same session: one of them authorizes
or connects, and the rest get what came of it. They may run in different threads, tasks and arms.

| the one who does it   | those who wait                                            | who comes next  |
|-----------------------|-----------------------------------------------------------|-----------------|
| returns               | get the same value                                        | does it anew    |
| fails                 | each raises a copy of the error                           | does it anew    |
| is cancelled, closed  | the first of them to wake does it, with a flow of its own | waits with them |

Nothing is remembered once it is done. Whoever keeps what came of it looks first whether it is there; and
looks again inside the flow, because between that look and its turn somebody else may have finished.

Invariants. No lock is held, here or across a wait: `dict.setdefault` with a key that C alone compares is
one indivisible step, and whoever's turn it puts in is the one. Waiting is sleeping under a token, which
the one cancels when it is done, from whatever thread it runs in. A turn is taken out before those who
wait are woken, so nobody waits for a turn that is over. Who wants it from within the flow itself would
wait for itself for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Final, Generic, TypeVar

from tako.cancellation import CancellationToken
from tako.effects import Failed, Flow, Outcome, Sleep, Succeeded, within
from tako.errors import Cancelled, Interrupted

__all__ = ["Once"]

T = TypeVar("T")

_KEY: Final = "turn"
_NAP: Final = 3600.0
"""Seconds; nothing happens when they are over."""


class _Turn(Generic[T]):
    """Somebody does it now. `outcome` is set before `over` is cancelled; None if it was given up."""

    __slots__ = ("outcome", "over")

    def __init__(self) -> None:
        self.over = CancellationToken()
        self.outcome: Outcome[T] | None = None


class Once(Generic[T]):
    """A thing that is done by one at a time, for all who want it then."""

    __slots__ = ("_turns",)

    def __init__(self) -> None:
        self._turns: dict[str, _Turn[T]] = {}

    def __repr__(self) -> str:
        return f"<Once {'under way' if self._turns else 'idle'}>"

    def run(self, make: Callable[[], Flow[T]]) -> Flow[T]:
        """What the flow of `make` returns, or what somebody else's, under way now, does.

        Raises what that flow raises; a flow of our own is only made when it is our turn.
        """
        while True:
            mine: _Turn[T] = _Turn()
            turn = self._turns.setdefault(_KEY, mine)
            if turn is mine:
                return (yield from self._lead(turn, make))
            try:
                yield from within(None, _sleep_for_ever(), turn.over)
            except Interrupted:
                pass  # it is over
            outcome = turn.outcome
            if isinstance(outcome, Succeeded):
                return outcome.value
            if outcome is not None:
                raise _copied(outcome.error)

    def _lead(self, turn: _Turn[T], make: Callable[[], Flow[T]]) -> Flow[T]:
        try:
            value = yield from make()
            turn.outcome = Succeeded(value)
            return value
        except Cancelled:
            raise
        except Exception as error:
            turn.outcome = Failed(error)
            raise
        finally:
            del self._turns[_KEY]
            turn.over.cancel()


def _sleep_for_ever() -> Flow[None]:
    while True:
        yield Sleep(_NAP)


def _copied(error: Exception) -> Exception:
    """An error of one's own: raising one in two threads would mix up their tracebacks."""
    try:
        own = copy(error)
    except Exception:  # a stranger's error that cannot be made again from its arguments
        return error
    if type(own) is not type(error):
        return error
    own.__cause__ = error
    return own
