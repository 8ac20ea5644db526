"""Gathering: which children of a Gather may start, and what their ends mean. Pure bookkeeping.

Each child is waiting, running or ended. While the gathering is open, waiting children start in
order as long as fewer than `limit` run. It closes for good when a child fails under OnError.STOP,
or when the driver closes it: from then on nothing starts, those that wait count as cancelled, and
the driver cancels those that run. It is done when none waits or runs.

Invariants. Outcomes stand in the order of the flows, whatever finished first. A parent whose time
is up, or whose token is cancelled, is interrupted if that cost it a child; what the others gave is
the `partial` of its Cancelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tako.effects import Effect, Failed, Flow, Gather, OnError, Outcome
from tako.errors import Cancelled

if TYPE_CHECKING:
    from tako.driving.steps import Returned, Steps

__all__ = ["Gathering"]


class Gathering:
    """The state of one Gather; the driver starts, reports and stops."""

    __slots__ = ("_flows", "_limit", "_next", "_on_error", "_outcomes", "error", "is_open", "running")

    def __init__(self, effect: Gather) -> None:
        self._flows = effect.flows
        self._limit = effect.limit or len(effect.flows)
        self._on_error = effect.on_error
        self._outcomes: list[Outcome[Any] | None] = [None] * len(effect.flows)
        self._next = 0
        self.running = 0
        """How many children have started and not ended."""
        self.is_open = True
        self.error: Exception | None = None
        """The failure that closed it, to be thrown into the parent."""

    def next_to_start(self) -> tuple[int, Flow[Any]] | None:
        """The next child to start, with its number, or None; call until None."""
        if not self.is_open or self.running >= self._limit or self._next >= len(self._flows):
            return None
        index = self._next
        self._next += 1
        self.running += 1
        return index, self._flows[index]

    def ended(self, index: int, outcome: Outcome[Any]) -> None:
        """A child returned or raised. Afterwards look at `is_open`: if False, cancel the others."""
        self._outcomes[index] = outcome
        self.running -= 1
        if type(outcome) is Failed and self._on_error is OnError.STOP and self.is_open:
            self.error = outcome.error
            self.close()

    def close(self) -> None:
        """Start no more; what has not started is cancelled."""
        self.is_open = False
        for index in range(self._next, len(self._flows)):
            self._flows[index].close()
            self._outcomes[index] = Failed(Cancelled("cancelled before it started"))
        self._next = len(self._flows)

    @property
    def is_done(self) -> bool:
        return self.running == 0 and self._next >= len(self._flows)

    def outcomes(self) -> list[Outcome[Any]]:
        """All outcomes, in the order of the flows; only when done. Raises the error that closed it."""
        if self.error is not None:
            raise self.error
        return [outcome for outcome in self._outcomes if outcome is not None]

    def resume(self, steps: Steps[Any]) -> Effect | Returned[Any]:
        """Go on with the parent; only when done. What `Steps.send` gives and raises."""
        outcomes = [outcome for outcome in self._outcomes if outcome is not None]
        failure = self.error
        if (failure is None or isinstance(failure, Cancelled)) and steps.must_stop:
            for outcome in outcomes:
                if type(outcome) is Failed and isinstance(outcome.error, Cancelled):
                    return steps.interrupt(partial=outcomes)
        return steps.send(outcomes) if failure is None else steps.throw(failure)
