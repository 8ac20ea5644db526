"""Eval: an agent, a dataset, and how often each task is tried.

| an attempt       | what happens                                                                      |
|------------------|-----------------------------------------------------------------------------------|
| waits            | no more than `concurrency` are under way at once, in the order of the tasks       |
| runs             | the agent is asked, and timed; a failure is the attempt's `error`                  |
| is graded        | by the grader, timed by itself; a grader that fails is an error and no pass       |
| is told          | as AttemptDone, to whoever iterates                                               |

Invariants. One attempt's failure is nobody else's. The report has every attempt, in the order of the
tasks, whatever finished first. A cancelled evaluation reports on what was done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from tako import _adapters
from tako.effects import Call, Emit, Failed, Flow, Gather, Now, OnError, Succeeded
from tako.errors import Cancelled, InvalidInput, TakoError
from tako.eval.graders import Grader, grader_of
from tako.eval.report import Attempt, EvalReport
from tako.eval.task import Dataset, Task
from tako.models import NOT_COUNTED, Usage
from tako.orchestrators.base import Orchestrator
from tako.orchestrators.place import TOP
from tako.orchestrators.result import RunResult
from tako.verifiers import Verifier

if TYPE_CHECKING:
    from tako._adapters import AsyncEvents, SyncEvents
    from tako.cancellation import CancellationToken

__all__ = ["AttemptDone", "Eval", "RunFn"]

RunFn: TypeAlias = Callable[[str], Any | Awaitable[Any]]
"""What can be evaluated besides an orchestrator: a function from a prompt to text, or to a result."""


@dataclass(slots=True)
class AttemptDone:
    """One more attempt has ended; `done` of `total` have, in so many seconds."""

    kind: ClassVar[Literal["attempt_done"]] = "attempt_done"
    attempt: Attempt
    done: int
    total: int
    elapsed_secs: float


class Eval:
    """How well an agent does.

    orch                 an orchestrator, or a function from a prompt to an answer, plain or async
    dataset              the tasks
    k                    what pass@k is told of
    attempts             how often each task is tried; k times if None
    concurrency          how many attempts are under way at once
    grader               a Grader, a Verifier, or a function of (task, output); what the task expects if None
    orch_name            what the report calls the agent
    allow_unsafe_grader  tasks may have code run that a model has written (`verify_patch`)

    Raises InvalidInput that names the argument.
    """

    def __init__(
        self,
        orch: Orchestrator[Any] | RunFn,
        dataset: Dataset,
        *,
        k: int = 1,
        attempts: int | None = None,
        concurrency: int = 4,
        grader: Grader | Verifier | Callable[[Task, str], Any] | None = None,
        orch_name: str = "orchestrator",
        allow_unsafe_grader: bool = False,
    ) -> None:
        if not isinstance(orch, Orchestrator) and (not callable(orch) or isinstance(orch, type)):
            raise InvalidInput(
                f"orch should be an orchestrator, or a function of a prompt, not {type(orch).__name__}"
            )
        if not isinstance(dataset, Dataset):
            raise InvalidInput(f"dataset should be a tako.eval.Dataset, not {type(dataset).__name__}")
        for name, value in (
            ("k", k),
            ("concurrency", concurrency),
            ("attempts", k if attempts is None else attempts),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidInput(f"{name} should be a whole number of at least 1, not {value!r}")
        if attempts is not None and attempts < k:
            raise InvalidInput(
                f"attempts should be at least k: pass@{k} cannot be told of {attempts} attempts"
            )
        if not allow_unsafe_grader and any(task.verify_patch is not None for task in dataset.tasks):
            raise InvalidInput(
                "this dataset has tasks whose answers are applied as patches and run; if that may be done "
                "here, pass allow_unsafe_grader=True"
            )
        self.orch = orch
        self.dataset = dataset
        self.k = k
        self.attempts = k if attempts is None else attempts
        self.concurrency = concurrency
        self.orch_name = orch_name
        self._grader = grader_of(grader)

    def run_sync(self, *, cancel: CancellationToken | None = None) -> EvalReport:
        """Evaluate, blocking."""
        return _adapters.run_sync(self.flow(), cancel)

    async def run(self, *, cancel: CancellationToken | None = None) -> EvalReport:
        """Evaluate under asyncio or trio, whichever is running."""
        return await _adapters.run_async(self.flow(), cancel)

    def stream_sync(self, *, cancel: CancellationToken | None = None) -> SyncEvents[AttemptDone, EvalReport]:
        """Each attempt as it is done, blocking: `with e.stream_sync() as events: for e in events: ...`."""
        return _adapters.stream_sync(lambda: self.flow(streaming=True), cancel)

    def stream(self, *, cancel: CancellationToken | None = None) -> AsyncEvents[AttemptDone, EvalReport]:
        """Each attempt as it is done, under asyncio or trio."""
        return _adapters.stream_async(lambda: self.flow(streaming=True), cancel)

    def flow(self, *, streaming: bool = False) -> Flow[EvalReport]:
        """The evaluation as a flow; with `streaming` it emits an AttemptDone for each attempt."""
        done: list[Attempt] = []
        plan = [(task, number) for task in self.dataset.tasks for number in range(self.attempts)]
        try:
            started: float | None = (yield Now()) if streaming else None
            flows = [self._tell(self.attempt(*one), done, len(plan), started) for one in plan]
            outcomes = yield Gather(tuple(flows), self.concurrency, OnError.COLLECT)
        except Cancelled:
            return self.report(_in_order(done, plan))
        for outcome in outcomes:
            if type(outcome) is Failed and not isinstance(outcome.error, Cancelled):
                raise outcome.error
        return self.report([outcome.value for outcome in outcomes if type(outcome) is Succeeded])

    def report(self, attempts: list[Attempt]) -> EvalReport:
        """The report on these attempts, wherever they were made."""
        metadata = {task.id: task.metadata for task in self.dataset.tasks}
        return EvalReport.of(self.dataset.name, self.orch_name, self.k, attempts, metadata)

    def _tell(
        self, flow: Flow[Attempt], done: list[Attempt], total: int, started: float | None
    ) -> Flow[Attempt]:
        """Go through an attempt, and tell of it; nobody listens where no start is given."""
        attempt = yield from flow
        done.append(attempt)
        if started is not None:
            count, now = len(done), (yield Now())
            yield Emit((AttemptDone(attempt, count, total, now - started),))
        return attempt

    def attempt(self, task: Task, number: int) -> Flow[Attempt]:
        """Ask once, and grade the answer; only a cancel is raised."""
        started = yield Now()
        failure, answer = None, None
        try:
            answer = _answer(task, number, (yield from self._ask(task)))
        except Cancelled:
            raise
        except Exception as error:
            failure = error
        ended = yield Now()
        elapsed = {"elapsed_ms": (ended - started) * 1000}
        if answer is None:
            assert failure is not None
            return _failed(task, number, failure).model_copy(update=elapsed)
        answer = answer.model_copy(update=elapsed)
        try:
            grade = yield from self._grader.grade_flow(task, answer.text)
        except Cancelled:
            raise
        except Exception as error:
            return answer.model_copy(update={"error": f"the grader failed ({_words(error)})"})
        graded = yield Now()
        return answer.model_copy(
            update={
                "passed": grade.passed,
                "score": grade.score,
                "reason": grade.reason,
                "grading_ms": (graded - ended) * 1000,
                "usage": answer.usage + grade.usage,
                "cost_usd": _sum(answer.cost_usd, grade),
            }
        )

    def _ask(self, task: Task) -> Flow[Any]:
        if isinstance(self.orch, Orchestrator):
            return (yield from self.orch.perform(task.prompt, TOP))
        return (yield Call(self.orch, (task.prompt,)))


def _answer(task: Task, number: int, result: Any) -> Attempt:
    """What the agent gave; raises Cancelled, or InvalidInput for what is no answer."""
    if isinstance(result, RunResult):
        if result.stop_reason == "cancelled":
            raise Cancelled
        return Attempt(
            task_id=task.id,
            number=number,
            text=result.text,
            steps=result.steps,
            usage=result.usage,
            cost_usd=result.cost_usd,
            stop_reason=result.stop_reason,
        )
    text = result if isinstance(result, str) else getattr(result, "text", None)
    if not isinstance(text, str):
        raise InvalidInput(f"orch gave {type(result).__name__}; it should give text, or a result with `text`")
    usage = getattr(result, "usage", None)
    return Attempt(
        task_id=task.id,
        number=number,
        text=text,
        usage=usage if isinstance(usage, Usage) else NOT_COUNTED,
    )


def _failed(task: Task, number: int, error: Exception) -> Attempt:
    """What is known of an attempt that gave no answer."""
    partial = error.partial if isinstance(error, TakoError) else None
    used = partial if isinstance(partial, RunResult) else None
    return Attempt(
        task_id=task.id,
        number=number,
        text="" if used is None else used.text,
        steps=0 if used is None else used.steps,
        usage=NOT_COUNTED if used is None else used.usage,
        cost_usd=None if used is None else used.cost_usd,
        stop_reason="error",
        error=_words(error),
    )


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _sum(cost: float | None, grade: Any) -> float | None:
    """What answer and grade have cost; None if a part of it is not known."""
    if grade.usage == NOT_COUNTED and grade.cost_usd is None:
        return cost
    return None if cost is None or grade.cost_usd is None else cost + grade.cost_usd


def _in_order(done: list[Attempt], plan: list[tuple[Task, int]]) -> list[Attempt]:
    places = {(task.id, number): place for place, (task, number) in enumerate(plan)}
    return sorted(done, key=lambda attempt: places[attempt.task_id, attempt.number])
