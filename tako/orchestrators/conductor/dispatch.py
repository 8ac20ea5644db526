"""Dispatch: one plan's tasks, performed side by side.

| a worker          | its result | and the others                                                 |
|-------------------|------------|----------------------------------------------------------------|
| has answered      | done       | are cancelled, if as many are done now as the join wants       |
| was cut off       | partial    | go on: it counts for no join                                   |
| failed, timed out | failed     | are cancelled under fail_fast; otherwise they go on            |
| is not known      | failed     | go on: it is the plan's mistake, and the coordinator's to mend |
| is stopped        | cancelled  |                                                                |

Invariants. The workers run in one Gather, so that none outlives it; they are started in the plan's order, and
no more than max_fanout at once. There is a result for each task at any moment, in the plan's order: what
has not come to its end is cancelled. Those that listen hear of the results in that order, when all are
there; and then of the scores, which the verifier gives side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tako.effects import Flow, Gather, OnError, Outcome, Succeeded
from tako.errors import Cancelled, InvalidInput, ProviderError, TakoError
from tako.events import ToolCallResult, ToolCallStart, VerifierScore
from tako.models import Message, TextPart
from tako.orchestrators.conductor.patience import patient
from tako.orchestrators.conductor.plan import Assignment, Join, Plan, Quorum
from tako.orchestrators.conductor.prompts import task_for
from tako.orchestrators.conductor.rounds import WorkerResult
from tako.orchestrators.conductor.workers import Hand
from tako.orchestrators.judging import scored, watched
from tako.orchestrators.ledger import Ledger
from tako.orchestrators.nesting import nested
from tako.orchestrators.opening import Opening
from tako.orchestrators.place import Place
from tako.orchestrators.result import RunResult
from tako.tools.tool import words_of
from tako.verifiers.base import Candidate, Score, Verifier

__all__ = ["Crew", "Dispatch"]


@dataclass(frozen=True, slots=True)
class Crew:
    """The workers, and the rules by which they work."""

    hands: Mapping[str, Hand]
    max_fanout: int
    fail_fast: bool
    join: Join
    verifier: Verifier | None


class _Enough(Exception):
    """Raised by the worker after which no other is needed."""


@dataclass(slots=True)
class Dispatch:
    """The tasks of one plan on their way; `results` can be asked for at any moment."""

    crew: Crew
    place: Place
    opening: Opening
    books: Ledger
    step: int
    plan: Plan
    earlier: Sequence[WorkerResult]
    _ended: list[WorkerResult | None] = field(init=False)
    """By place; of each the worker's own thread writes it, where there are threads."""
    _failure: tuple[str, Exception] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._ended = [None] * len(self.plan.dispatch)

    @property
    def results(self) -> tuple[WorkerResult, ...]:
        """One for each task, as it stands."""
        return tuple(
            [
                one or self._result(place, "cancelled", error="it was stopped")
                for place, one in enumerate(self._ended)
            ]
        )

    def perform(self) -> Flow[None]:
        """All of it; raises ProviderError when a worker fails that must not."""
        if self.place.show is not None:
            yield self.place.tell(*[self._start(place) for place in range(len(self.plan.dispatch))])
        flows = tuple([self._work(place, self.books.page()) for place in range(len(self.plan.dispatch))])
        try:
            yield Gather(flows, self.crew.max_fanout, OnError.STOP)
        except _Enough:
            pass
        if self.place.show is not None:
            yield self.place.tell(*[self._told(result) for result in self.results])
        if self._failure is not None:
            raise _fatal(*self._failure)
        if self.crew.verifier is not None:
            yield from self._judge(self.crew.verifier)

    # One worker.

    def _work(self, place: int, ledger: Ledger) -> Flow[None]:
        """Its result, whatever happens; raises _Enough if the others are not needed any more."""
        assignment = self.plan.dispatch[place]
        try:
            flow = self._flow(place, assignment, ledger)
        except InvalidInput as error:
            self._ended[place] = self._result(place, "failed", error=error.message)
            return
        try:
            answer = self._answer(place, (yield from flow))
        except Cancelled as error:
            self._ended[place] = self._result(place, "cancelled", _text_of(error), "it was stopped")
        except Exception as error:  # a worker may be anybody's code: whatever it raises is an answer
            self._ended[place] = self._result(place, "failed", _text_of(error), _words(error))
            if self.crew.fail_fast:
                self._failure = self._failure or (assignment.worker, error)
                raise _Enough from None
        else:
            self._ended[place] = answer
            if self._is_joined():
                raise _Enough

    def _flow(self, place: int, assignment: Assignment, ledger: Ledger) -> Flow[RunResult[Any]]:
        """What the worker does; raises InvalidInput for what the plan has wrong."""
        hand = self.crew.hands.get(assignment.worker)
        if hand is None:
            raise InvalidInput(
                f"unknown worker {assignment.worker!r}; there are: {', '.join(self.crew.hands)}"
            )
        run, name = hand.for_task(assignment.tools), f"{hand.name}:{self._id(place)}"
        text = task_for(assignment.task, self._seen(assignment))
        prompt = [Message.user((TextPart(text=text), *hand.media(self.opening.media)))]
        options = {"principal": self.opening.principal, **hand.options}
        flow = patient(nested(self.place, name, run, prompt, ledger, **options), hand.timeout)
        if self.crew.verifier is None or self.place.show is None:
            return flow
        return watched(
            flow,
            self.crew.verifier,
            self.opening.task,
            path=self.place.below(name).path,
            step=self.step,
            branch=place + 1,
            ledger=ledger,
            place=self.place,
        )

    def _seen(self, assignment: Assignment) -> Sequence[WorkerResult]:
        """The earlier results that the plan shows to the worker; raises InvalidInput."""
        if assignment.sees == "all":
            return self.earlier
        found = []
        for wanted in assignment.sees:
            name = str(wanted).strip().removeprefix("#")
            seen = [one for one in self.earlier if name in (str(one.number), one.id)]
            if not seen:
                raise InvalidInput(f"sees: there is no result {wanted!r} of an earlier step")
            found += seen
        return found

    def _answer(self, place: int, result: RunResult[Any]) -> WorkerResult:
        """What a worker has said, whole or cut off; raises ProviderError if that is nothing."""
        if result.stop_reason == "stop":
            return self._result(place, "done", result.text)
        words = f"stopped ({result.stop_reason})"
        if not result.text:
            raise ProviderError(f"{words}, without an answer")
        return self._result(place, "partial", result.text, words)

    def _is_joined(self) -> bool:
        """Whether as many are done as are wanted."""
        join = self.plan.join or self.crew.join
        if join == "all":
            return False
        wanted = join.count if isinstance(join, Quorum) else 1
        return sum(one is not None and one.status == "done" for one in self._ended) >= wanted

    # The verifier.

    def _judge(self, verifier: Verifier) -> Flow[None]:
        """Score each answer; one that cannot be judged has the reason, and no score."""
        answers = [
            (place, one) for place, one in enumerate(self._ended) if one is not None and one.has_answer
        ]
        task = self.opening.task
        flows = [
            scored(self.place, verifier, Candidate(task, one.text), self.books.page()) for _, one in answers
        ]
        outcomes: list[Outcome[Score]] = yield Gather(tuple(flows), self.crew.max_fanout, OnError.COLLECT)
        told = []
        for (place, one), outcome in zip(answers, outcomes, strict=True):
            if isinstance(outcome, Succeeded):
                value, reason = outcome.value.value, outcome.value.reason
                told.append(VerifierScore(self.step, place + 1, value, reason=reason))
                self._ended[place] = replace(one, score=value, reason=reason)
            else:
                self._ended[place] = replace(one, reason=_words(outcome.error))
        if told and self.place.show is not None:
            yield self.place.tell(*told)

    # Words and events.

    def _id(self, place: int) -> str:
        return f"step{self.step}-{place + 1}"

    def _result(self, place: int, status: Any, text: str = "", error: str = "") -> WorkerResult:
        one = self.plan.dispatch[place]
        number = len(self.earlier) + place + 1
        return WorkerResult(number, self._id(place), one.worker, one.task, status, text, error)

    def _start(self, place: int) -> ToolCallStart:
        one = self.plan.dispatch[place]
        return ToolCallStart(self.step, f"worker:{one.worker}", self._id(place), {"task": one.task})

    def _told(self, one: WorkerResult) -> ToolCallResult:
        told = {"worker": one.worker}
        if one.has_answer:
            told["result"] = one.text
        if one.status != "done":
            told["cut_off" if one.has_answer else "error"] = one.error
        return ToolCallResult(self.step, f"worker:{one.worker}", one.id, told, not one.has_answer)


def _fatal(worker: str, error: Exception) -> ProviderError:
    """What a run ends with in which no worker may fail."""
    fields: dict[str, Any] = {}
    if isinstance(error, TakoError):
        names = ("provider", "model", "status", "code", "request_id", "retry_after", "body")
        fields = {name: getattr(error, name) for name in names}
    fatal = ProviderError(
        f"Conductor worker failed (fail_fast): {worker}: {_words(error)}", phase="worker", **fields
    )
    fatal.__cause__ = error
    return fatal


def _words(error: Exception) -> str:
    return error.message if isinstance(error, TakoError) else words_of(error)


def _text_of(error: Exception) -> str:
    """What a worker had said before it was stopped."""
    partial = error.partial if isinstance(error, TakoError) else None
    return partial.text if isinstance(partial, RunResult) else ""
