"""Place: where a run stands: who listens to it, in what it is nested, and whether a journal is kept.

The outermost run stands at TOP or at AUDIENCE. What it runs itself (a worker, a role, a rollout, an agent
behind a tool) stands `below` it, under a name: its events reach the same listener as SubAgentEvents whose
path says who speaks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

from tako.effects import Emit, Flow, Task, as_task
from tako.events import OrchEvent, SubAgentEvent

__all__ = ["AUDIENCE", "TOP", "Place", "Show", "under"]

T = TypeVar("T")

Show: TypeAlias = Callable[[Sequence[OrchEvent]], Sequence[Any]]
"""What becomes of a run's events: those that are emitted in their place."""


@dataclass(frozen=True, slots=True)
class Place:
    """`show` is None when nobody listens, and then no event is made."""

    show: Show | None = None
    depth: int = 0
    """In how many runs this one is nested."""
    path: tuple[str, ...] = ()
    """Their names, outermost first."""
    is_journalled: bool = False

    def below(self, name: str) -> Place:
        """The place of a run that this one makes."""
        show = None if self.show is None else under(name, self.show)
        return replace(self, show=show, depth=self.depth + 1, path=(*self.path, name))

    def tell(self, *events: OrchEvent) -> Emit:
        """Emit these; only to be asked for while somebody listens."""
        return Emit(events if self.show is None else self.show(events))

    def kept(self, flow: Flow[T], task: Task) -> Flow[T]:
        """The flow, and where a journal is kept its result is kept there."""
        return as_task(flow, task) if self.is_journalled else flow


def under(name: str, outer: Show | None, trace: Callable[[SubAgentEvent], object] | None = None) -> Show:
    """What becomes of the events of somebody of that name: told to the trace, and to who is around."""

    def show(events: Sequence[OrchEvent]) -> Sequence[Any]:
        told: list[SubAgentEvent] = []
        for event in events:
            path = (name, *event.path) if isinstance(event, SubAgentEvent) else (name,)
            inner = event.event if isinstance(event, SubAgentEvent) else event
            told.append(SubAgentEvent(path, inner))
        if trace is not None:
            for one in told:
                trace(one)
        return () if outer is None else outer(told)

    return show


def _as_they_are(events: Sequence[OrchEvent]) -> Sequence[Any]:
    return events


TOP = Place()
"""Nobody listens, and nobody is around."""
AUDIENCE = Place(_as_they_are)
"""Somebody iterates over the events."""
