"""Patience: a limit on the time that a flow itself takes, and not whoever listens to it.

Within counts everything that passes, also while the consumer looks at an event. Here a clock runs as long as
the flow, or any flow that it has side by side, waits for something of its own:

| the flow asks for  | the clock                                           |
|--------------------|-----------------------------------------------------|
| Emit               | does not run for it: the consumer takes its time    |
| Gather, Within     | runs for what their flows ask for                   |
| Now, Entropy, Keep | does not run: they wait for nothing                 |
| anything else      | runs, and the wait is cut short when the time is up |

Invariants. As with Within, a flow whose time is up is thrown Cancelled at each wait from then on, and what it
still gives back is the `partial` of the TimedOut that its caller gets. Once it has started, a wait is cut
short by its own time alone, so what is held back beside it does not prolong it.
"""

from __future__ import annotations

from typing import Any, TypeVar

from tako.cancellation import CancellationToken
from tako.effects import Effect, Emit, Entropy, Flow, Gather, Keep, Now, Within, within
from tako.errors import Cancelled, Interrupted, TimedOut
from tako.interposing import interposed, into_children

__all__ = ["patient"]

T = TypeVar("T")

INSTANT = (Emit, Now, Entropy, Keep)


def patient(flow: Flow[T], seconds: float | None) -> Flow[T]:
    """The flow's result; raises TimedOut when it has waited so long for what it asked for."""
    if seconds is None:
        return (yield from flow)
    patience = _Patience(seconds)
    try:
        return (yield from within(None, patience.around(flow), patience.token))
    except Interrupted as error:
        if not patience.token.is_cancelled:
            raise
        raise TimedOut(f"worker timed out after {seconds:g}s", partial=error.partial) from error


class _Patience:
    """The clock, and who is waited for."""

    __slots__ = ("_left", "_running", "_waits", "token")

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        """When the clock last stopped."""
        self._running: dict[str, float] = {}
        """Since when it runs, if it does."""
        self._waits: set[object] = set()
        """Those that are waited for."""
        self.token = CancellationToken()
        """Is cancelled when the time is up."""

    def around(self, flow: Flow[T]) -> Flow[T]:
        return interposed(flow, self._layer)

    def _layer(self, effect: Effect) -> Flow[Any]:
        if isinstance(effect, Gather | Within):
            return (yield into_children(effect, lambda _, child: self.around(child)))
        if isinstance(effect, INSTANT):
            return (yield effect)
        wait, began = object(), (yield Now())
        left = self._started(wait, began)
        try:
            reply = yield Within(left, _alone(effect))
        except Cancelled:
            self._stopped(wait, began)
            raise
        except Exception as error:
            if isinstance(error, TimedOut) and isinstance(error.__cause__, Cancelled):  # else it is its own
                self.token.cancel()
                raise error.__cause__ from None
            yield from self._came(wait, began)
            raise
        yield from self._came(wait, began)
        return reply

    def _started(self, wait: object, moment: float) -> float:
        """This is waited for from now on; how long it may be."""
        self._waits.add(wait)
        return max(self._left - (moment - self._running.setdefault("since", moment)), 0.0)

    def _came(self, wait: object, began: float) -> Flow[None]:
        """What was waited for is there; a cancel that comes now does not cost it."""
        try:
            moment = yield Now()
        except Cancelled:
            moment = began
        self._stopped(wait, moment)

    def _stopped(self, wait: object, moment: float) -> None:
        """It is not waited for any more; if it was the last, the clock stops, once: where flows are threads
        two may be the last."""
        self._waits.discard(wait)
        if not self._waits and (since := self._running.pop("since", None)) is not None:
            self._left -= max(moment - since, 0.0)


def _alone(effect: Effect) -> Flow[Any]:
    return (yield effect)
