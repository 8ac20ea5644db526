"""Verifier: what gives an answer a score from 0 to 1, and says why.

A guard is the same thing under another name: SelfCaller asks it whether an answer is good enough, AbMcts
and Conductor ask it how good one is. A function does as well wherever a verifier is wanted: `verifier_of`.

| is asked         | by                             | gives                                            |
|------------------|--------------------------------|--------------------------------------------------|
| score_flow       | whoever has a whole answer     | the Score                                        |
| watch            | whoever hears an answer grow   | None, if it cannot judge what is not whole; else |
|                  |                                | a function of the answer so far, for this answer |
|                  |                                | alone, that gives a Score, a flow of one, or     |
|                  |                                | None where it has nothing to say yet             |

Invariants. A score is a number from 0 to 1. What cannot be judged raises a TakoError: silence is no
score. What judging has used is in the score.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from pydantic import Field

from tako import _adapters
from tako.effects import Flow
from tako.models import NOT_COUNTED, Message, Usage, Value

if TYPE_CHECKING:
    from tako.cancellation import CancellationToken

__all__ = ["Candidate", "Score", "Verifier", "Watch"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer, and what it answers."""

    task: str
    """What was asked, as text."""
    text: str
    messages: tuple[Message, ...] = ()
    """The conversation that it ends, where there is one."""


class Score(Value):
    """What a verifier thinks of an answer."""

    value: float = Field(ge=0, le=1, allow_inf_nan=False)
    reason: str = ""
    usage: Usage = NOT_COUNTED
    """What the judge has used, if it is a model."""
    cost_usd: float | None = None
    """Its price; None if nothing was used, or the price is not known."""


Watch: TypeAlias = Callable[[Candidate], Score | Flow[Score] | None]
"""Looks at an answer that still grows."""


class Verifier(ABC):
    """Write `score_flow`; the blocking and the async ways to ask follow from it."""

    @abstractmethod
    def score_flow(self, candidate: Candidate) -> Flow[Score]:
        """Judge a whole answer; raises a TakoError where that cannot be done."""

    def watch(self) -> Watch | None:
        """For one answer that is being made: what judges it on its way, if this verifier can."""
        return None

    def score_sync(self, task: str, text: str, *, cancel: CancellationToken | None = None) -> Score:
        """Judge an answer, blocking."""
        return _adapters.run_sync(self.score_flow(Candidate(task, text)), cancel)

    async def score(self, task: str, text: str, *, cancel: CancellationToken | None = None) -> Score:
        """Judge an answer under asyncio or trio, whichever is running."""
        return await _adapters.run_async(self.score_flow(Candidate(task, text)), cancel)
