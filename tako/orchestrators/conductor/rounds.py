"""Rounds: what came of each plan, and what a whole run of a Conductor gives back.

| status    | means                                                                  | text          | error |
|-----------|------------------------------------------------------------------------|---------------|-------|
| done      | the worker has answered                                                | the answer    |       |
| partial   | it has, and was cut off: `error` says by what                          | what there is | yes   |
| failed    | it could not be asked, failed, or was too slow                         | what there is | yes   |
| cancelled | others had done enough, one had failed for all, or the run was stopped | what there is | yes   |

Invariants. There is one result for each task of a plan, in its order, whatever happened. Results are
numbered through the whole run, from 1: so a plan names those that a worker may see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tako.orchestrators.conductor.plan import Plan
from tako.orchestrators.result import RunResult

__all__ = ["ConductorResult", "Round", "WorkerResult", "best_text"]


@dataclass(frozen=True, slots=True)
class WorkerResult:
    """What came of one task; what the status means stands at the head of this file."""

    number: int
    id: str
    """As in the events: "step1-2" is the second task of the first step."""
    worker: str
    task: str
    status: Literal["done", "partial", "failed", "cancelled"]
    text: str = ""
    error: str = ""
    score: float | None = None
    """The verifier's, from 0 to 1."""
    reason: str = ""
    """The verifier's, or why there is no score."""

    @property
    def has_answer(self) -> bool:
        """Whether there is something to go on with, whole or cut off."""
        return self.status in ("done", "partial")


@dataclass(frozen=True, slots=True)
class Round:
    """A plan, and what came of it; the plan that halts has no results."""

    plan: Plan
    results: tuple[WorkerResult, ...] = ()


@dataclass(slots=True, repr=False)
class ConductorResult(RunResult[None]):
    """The coordinator's final answer, and how it came to it.

    rounds  each plan with the results of its workers, in order
    steps   the calls of the coordinator, and all steps of the workers
    text    where there is no final answer, the best that the workers have given; see `best_text`
    """

    rounds: tuple[Round, ...] = ()

    def __repr__(self) -> str:
        return RunResult.__repr__(self).replace("RunResult", "ConductorResult", 1)


def best_text(rounds: tuple[Round, ...]) -> str:
    """The best that there is without a final answer: of the last round in which a worker has answered, the
    answer with the highest score; without scores its answers, each with its worker if there are several."""
    for one in reversed(rounds):
        answers = [result for result in one.results if result.has_answer and result.text]
        if not answers:
            continue
        if any(result.score is not None for result in answers):
            return max(answers, key=lambda result: -1.0 if result.score is None else result.score).text
        if len(answers) == 1:
            return answers[0].text
        return "\n\n".join([f"{result.worker}: {result.text}" for result in answers])
    return ""
