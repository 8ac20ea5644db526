"""EvalReport: what came of an evaluation, as data: numbers, and every attempt they were made of.

pass@k is the chance that at least one of k answers is right. Of n attempts at a task, of which c passed,
it is estimated without bias by 1 - C(n - c, k) / C(n, k) (Chen and others, arXiv 2107.03374), and averaged
over the tasks; taking the share of passes to the power of k instead would be too low.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Any, ClassVar

from pydantic import Field, field_validator

from tako.errors import InvalidInput
from tako.models import NOT_COUNTED, Usage, Value

__all__ = ["Attempt", "EvalReport", "TaskResult", "pass_at_k", "percentile"]


class Attempt(Value):
    """One answer to one task."""

    called: ClassVar[str | None] = "Attempt"

    task_id: str
    number: int = Field(ge=0)
    text: str = ""
    passed: bool = False
    score: float = Field(default=0.0, ge=0, le=1)
    reason: str = ""
    elapsed_ms: float = Field(default=0.0, ge=0)
    grading_ms: float = Field(default=0.0, ge=0)
    steps: int = 0
    usage: Usage = NOT_COUNTED
    """Of the answer and of its grader."""
    cost_usd: float | None = None
    stop_reason: str = ""
    error: str | None = None
    """Why there is no answer, or no grade."""

    @field_validator("text", "reason", "error")
    @classmethod
    def _can_be_written(cls, words: str | None) -> str | None:
        """Halves of surrogate pairs, which models do say, would cost the whole report."""
        if words is None or words.isascii():
            return words
        return words.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class TaskResult(Value):
    """What came of the attempts at one task."""

    called: ClassVar[str | None] = "TaskResult"

    task_id: str
    attempts: int
    passes: int
    pass_at_k: float | None
    """None if there were fewer than k attempts, because the evaluation was cancelled."""
    score: float
    """The mean over the attempts."""
    elapsed_ms: tuple[float, ...]
    error: str | None = None
    """The first that there was."""
    metadata: dict[str, Any] = Field(default_factory=dict)


class EvalReport(Value):
    """The whole of it. Times are of the answers alone; grading is timed by itself."""

    called: ClassVar[str | None] = "EvalReport"

    dataset: str
    orchestrator: str
    k: int
    tasks_run: int
    total_attempts: int
    planned_attempts: int
    """More than there are if the evaluation was cancelled."""
    errors: int
    pass_rate: float
    """Passes of all attempts."""
    pass_at_k: float
    """The mean over the tasks with at least k attempts; 0 where there is none."""
    mean_score: float
    p50_latency_ms: float
    p95_latency_ms: float
    p50_grading_ms: float
    usage: Usage
    cost_usd: float | None
    task_results: tuple[TaskResult, ...]
    attempts: tuple[Attempt, ...]

    def __str__(self) -> str:
        cost = "" if self.cost_usd is None else f", ${self.cost_usd:.4f}"
        failed = f", {self.errors} failed" if self.errors else ""
        planned = "" if self.is_complete else f" of {self.planned_attempts}"
        return (
            f"{self.orchestrator} on {self.dataset}: pass@{self.k} {self.pass_at_k:.1%} "
            f"({self.tasks_run} tasks, {self.total_attempts}{planned} attempts{failed}), "
            f"p50 {self.p50_latency_ms:.0f} ms, p95 {self.p95_latency_ms:.0f} ms{cost}"
        )

    @property
    def is_complete(self) -> bool:
        """Whether all attempts were made; a cancelled evaluation reports on those that were."""
        return self.total_attempts == self.planned_attempts

    @classmethod
    def of(
        cls,
        dataset: str,
        orchestrator: str,
        k: int,
        attempts: Sequence[Attempt],
        metadata: dict[str, Any],
        *,
        planned_attempts: int | None = None,
    ) -> EvalReport:
        """The report on these attempts, task by task in the order in which they come."""
        by_task: dict[str, list[Attempt]] = {}
        for attempt in attempts:
            by_task.setdefault(attempt.task_id, []).append(attempt)
        results = tuple([_of_task(tries, k, metadata.get(name, {})) for name, tries in by_task.items()])
        times = [attempt.elapsed_ms for attempt in attempts]
        usage, costs = NOT_COUNTED, [attempt.cost_usd for attempt in attempts]
        for attempt in attempts:
            usage += attempt.usage
        return cls(
            dataset=dataset,
            orchestrator=orchestrator,
            k=k,
            tasks_run=len(results),
            total_attempts=len(attempts),
            planned_attempts=len(attempts) if planned_attempts is None else planned_attempts,
            errors=sum(attempt.error is not None for attempt in attempts),
            pass_rate=_mean([float(attempt.passed) for attempt in attempts]),
            pass_at_k=_mean([result.pass_at_k for result in results if result.pass_at_k is not None]),
            mean_score=_mean([attempt.score for attempt in attempts]),
            p50_latency_ms=percentile(times, 50),
            p95_latency_ms=percentile(times, 95),
            p50_grading_ms=percentile([attempt.grading_ms for attempt in attempts], 50),
            usage=usage,
            cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
            task_results=results,
            attempts=tuple(attempts),
        )


def _of_task(attempts: Sequence[Attempt], k: int, metadata: dict[str, Any]) -> TaskResult:
    passes = sum(attempt.passed for attempt in attempts)
    errors = [attempt.error for attempt in attempts if attempt.error is not None]
    return TaskResult(
        task_id=attempts[0].task_id,
        attempts=len(attempts),
        passes=passes,
        pass_at_k=pass_at_k(len(attempts), passes, k) if len(attempts) >= k else None,
        score=_mean([attempt.score for attempt in attempts]),
        elapsed_ms=tuple([attempt.elapsed_ms for attempt in attempts]),
        error=errors[0] if errors else None,
        metadata=metadata,
    )


def pass_at_k(attempts: int, passes: int, k: int) -> float:
    """The chance that one of k attempts passes, estimated from so many; raises InvalidInput."""
    if not 0 <= passes <= attempts or not 1 <= k <= attempts:
        raise InvalidInput(
            f"pass@k needs 1 <= k <= attempts and 0 <= passes <= attempts, not k={k!r}, "
            f"attempts={attempts!r}, passes={passes!r}"
        )
    return 1.0 - comb(attempts - passes, k) / comb(attempts, k)


def percentile(values: Sequence[float], percent: float) -> float:
    """By linear interpolation between the two nearest; 0 where there is nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
