"""Turns: whose turn it was at each step of a run with several speakers, and whose it is now.

It goes with the run, as data, and is a value: what happens makes the next one of it.

| happens                        | whose turn it is                         | the end is                  |
|--------------------------------|------------------------------------------|-----------------------------|
| given(place, ...)              | that speaker's                           |                             |
| replied, with calls of tools   | nobody's: to be chosen                   | not reached                 |
| replied, paused by the vendor  | the same speaker's, to go on from there  | not reached                 |
| replied, otherwise             | nobody's                                 | open: may somebody else     |
|                                |                                          | have to speak?              |
| broke                          | nobody's                                 | settled                     |
| settled                        | nobody's                                 | settled                     |

Invariants. A turn that was given is not given again, also not by a run that is loaded: who chooses is
asked once. What is an answer and not advice about it, its speaker says; the last one stands, whoever
speaks after it. What was used is kept by speaker, because each has a price of its own; what others than
the speakers have used is kept with its price, which is unknown as soon as a part of it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from tako.models import NOT_COUNTED, ChatResponse, Usage, Value
from tako.orchestrators.result import SubAgentUsage

if TYPE_CHECKING:
    from tako.orchestrators.ledger import Ledger

__all__ = ["UNKNOWN", "Turns"]

UNKNOWN = -1
"""The place of who spoke and was not chosen: an agent without a cast that has gone on with the run."""
CUT = frozenset(("length", "content_filter", "error"))
"""Reasons for which an answer is not whole."""

Place = Annotated[int, Field(ge=UNKNOWN)]


class Turns(Value):
    """A value; see the table at the head of this file.

    now          whose turn it is, by place; None while that is to be chosen
    is_answer    what `now` says is an answer
    spoken       who has spoken at each step
    usage        what each has used, by place; an agent's is in `runs`
    beside       what routers and judges have used
    beside_cost  its price; None if that is not known
    runs         what the agents among the speakers have used
    answer_end   where in the conversation the answer ends that the run has so far; 0 before there is one
    has_answer   it is one, and not what was said beside a call of a tool
    is_cut       it was cut off
    score        what a judge thinks of it, and why
    is_open      the last reply may have been the end, and nobody has said so yet
    """

    now: Place | None = None
    is_answer: bool = True
    spoken: tuple[Place, ...] = ()
    usage: dict[Place, Usage] = Field(default_factory=dict)
    beside: Usage = NOT_COUNTED
    beside_cost: float | None = 0.0
    runs: tuple[SubAgentUsage, ...] = ()
    answer_end: int = Field(default=0, ge=0)
    has_answer: bool = False
    is_cut: bool = False
    score: float | None = None
    score_reason: str = ""
    is_open: bool = False

    def given(self, place: int, *, is_answer: bool) -> Turns:
        """It is that speaker's turn."""
        return self.model_copy(update={"now": place, "is_answer": is_answer})

    def replied(self, response: ChatResponse, end: int) -> Turns:
        """Who had the turn has said this; the conversation ends there."""
        return self._with_words(response, end, is_answer=self.now is None or self.is_answer)

    def broke(self, response: ChatResponse | None, end: int) -> Turns:
        """The turn was stopped, and this is what there is of it."""
        turns = self
        if response is not None:
            is_answer = bool(response.message.content) and (self.now is None or self.is_answer)
            turns = self._with_words(response, end, is_answer=is_answer)
        return turns.model_copy(update={"now": None, "is_open": False})

    def _with_words(self, response: ChatResponse, end: int, *, is_answer: bool) -> Turns:
        has_calls = bool(response.message.tool_calls)
        paused = response.finish_reason == "pause" and not has_calls
        place = UNKNOWN if self.now is None else self.now
        changes: dict[str, Any] = {
            "now": self.now if paused else None,
            "spoken": (*self.spoken, place),
            "usage": {**self.usage, place: self.usage.get(place, NOT_COUNTED) + response.usage},
            "is_open": self.now is not None and not (paused or has_calls),
        }
        if is_answer and not (has_calls and self.has_answer):
            is_cut = response.finish_reason in CUT
            changes |= {"answer_end": end, "has_answer": not has_calls, "is_cut": is_cut}
            changes |= {"score": None, "score_reason": ""}
        return self.model_copy(update=changes)

    def settled(self) -> Turns:
        """It has been decided whether that was the end."""
        return self.model_copy(update={"is_open": False})

    def judged(self, score: float, reason: str) -> Turns:
        """The last answer has a score."""
        return self.model_copy(update={"score": score, "score_reason": reason})

    def ran(self, ledger: Ledger) -> Turns:
        """An agent has spoken, and all that is in the ledger is what it has used."""
        return self.model_copy(update={"runs": (*self.runs, *ledger.sub_agents)})

    def asked(self, ledger: Ledger) -> Turns:
        """A router or a judge was asked, and all that is in the ledger is what it has used."""
        ours, theirs = self.beside_cost, ledger.cost_usd
        cost = None if ours is None or theirs is None else ours + theirs
        return self.model_copy(update={"beside": self.beside + ledger.usage, "beside_cost": cost})
