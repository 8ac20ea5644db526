"""What can be interrupted: a run, a turn, a call; and what an interrupt has come to.

Each of them is a Stoppable: a token, and a fate that is written once. Whoever writes first has it, the
user who interrupts or the agent whose work is done, and everybody reads the same from then on:

| fate        | written by           | a further interrupt is told |
|-------------|----------------------|-----------------------------|
| none yet    |                      | INTERRUPTED, and it counts  |
| interrupted | `interrupt`, once    | INTERRUPTED                 |
| ended       | `end`, once          | ALREADY_FINISHED            |

So nobody hears INTERRUPTED of something that was over, or ALREADY_FINISHED of something that their word
has stopped. Writing once is `dict.setdefault`, one indivisible step; there is no lock to wait for, and
a signal handler may interrupt the very line that ends a turn.
"""

from __future__ import annotations

from enum import Enum

from tako.cancellation import CancellationToken

__all__ = ["InterruptOutcome", "Stoppable"]


class InterruptOutcome(Enum):
    """What an interrupt has come to."""

    INTERRUPTED = "interrupted"
    """It was in flight and is told to stop; what it has done by then is kept."""
    ALREADY_FINISHED = "already_finished"
    """It was over, or nothing is in flight any more."""
    UNKNOWN = "unknown"
    """Nothing of that name was ever announced here, or so long ago that it is forgotten."""


class Stoppable:
    """A stretch of work that somebody may stop.

    Its token is cancelled by `interrupt`, and by nothing else.
    """

    __slots__ = ("_fate", "token")

    def __init__(self) -> None:
        self.token = CancellationToken()
        self._fate: dict[str, InterruptOutcome] = {}

    def interrupt(self) -> InterruptOutcome:
        """Stop it, unless it has ended."""
        fate = self._fate.setdefault("fate", InterruptOutcome.INTERRUPTED)
        if fate is InterruptOutcome.INTERRUPTED:
            self.token.cancel()
        return fate

    def end(self) -> bool:
        """Nobody can interrupt it from now on; False if somebody did before."""
        fate = self._fate.setdefault("fate", InterruptOutcome.ALREADY_FINISHED)
        return fate is InterruptOutcome.ALREADY_FINISHED

    @property
    def is_interrupted(self) -> bool:
        return self._fate.get("fate") is InterruptOutcome.INTERRUPTED
