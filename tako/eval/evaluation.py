"""Eval: an agent, a dataset, and how often each task is tried.

| an attempt       | what happens                                                                      |
|------------------|-----------------------------------------------------------------------------------|
| waits            | no more than `concurrency` are under way at once, in the order of the tasks       |
| runs             | the agent is asked, and timed; a failure is the attempt's `error`                 |
| is graded        | by the grader, timed by itself; a grader that fails is an error and no pass       |
| is told          | as AttemptDone, to whoever iterates                                               |

Invariants. One attempt's failure is nobody else's. The report has every attempt, in the order of the
tasks, whatever finished first. A cancelled evaluation reports on what was done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from os import fspath
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from tako import _adapters
from tako.effects import Call, Emit, Flow, Gather, Now, OnError, Outcome, Succeeded
from tako.errors import Cancelled, InvalidInput
from tako.eval.attempting import Attempting, RunFn, Runner, agent_of, failed_attempt
from tako.eval.graders import Grader, grader_of
from tako.eval.report import Attempt, EvalReport
from tako.eval.task import Dataset, Task
from tako.orchestrators.base import Orchestrator
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.base import Provider
from tako.verifiers import Verifier

if TYPE_CHECKING:
    from os import PathLike

    from tako._adapters import AsyncEvents, SyncEvents
    from tako.cancellation import CancellationToken

__all__ = ["AttemptDone", "Eval"]


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

    orch                 whom to ask: an orchestrator, a provider, a function from a prompt to an answer,
                         plain or async, or whatever has such a method `run`
    dataset              the tasks; where they have `max_tokens`, orch has to be one that can be told of it
    k                    what pass@k is told of
    attempts             how often each task is tried; k times if None
    concurrency          how many attempts are under way at once
    grader               a Grader, a Verifier, or a function of (task, output); what the task expects if None
    orch_name            what the report calls the agent
    allow_unsafe_grader  tasks may have code run that a model has written (`verify_patch`)
    journals             a folder: each attempt of an orchestrator keeps its journal there, and what is in
                         them is not done again

    Raises InvalidInput that names the argument.
    """

    def __init__(
        self,
        orch: Orchestrator[Any] | Provider | RunFn | Runner,
        dataset: Dataset,
        *,
        k: int = 1,
        attempts: int | None = None,
        concurrency: int = 4,
        grader: Grader | Verifier | Callable[[Task, str], Any] | None = None,
        orch_name: str = "orchestrator",
        allow_unsafe_grader: bool = False,
        journals: str | PathLike[str] | None = None,
    ) -> None:
        agent = agent_of(orch)
        if not isinstance(dataset, Dataset):
            raise InvalidInput(f"dataset should be a tako.eval.Dataset, not {type(dataset).__name__}")
        _check_counts(k=k, concurrency=concurrency, attempts=k if attempts is None else attempts)
        if attempts is not None and attempts < k:
            raise InvalidInput(
                f"attempts should be at least k: pass@{k} cannot be told of {attempts} attempts"
            )
        if not isinstance(orch_name, str):
            raise InvalidInput(f"orch_name should be text, not {type(orch_name).__name__}")
        if not allow_unsafe_grader and any(task.verify_patch is not None for task in dataset.tasks):
            raise InvalidInput(
                "this dataset has tasks whose answers are applied as patches and run; if that may be done "
                "here, pass allow_unsafe_grader=True"
            )
        _check_limits(agent, dataset)
        if journals is not None and not isinstance(agent, Orchestrator):
            raise InvalidInput("journals are kept of orchestrators, and orch is a function")
        self.orch = orch
        self.dataset = dataset
        self.k = k
        self.attempts = k if attempts is None else attempts
        self.concurrency = concurrency
        self.orch_name = orch_name
        self._journals = None if journals is None else _folder(journals)
        self._attempting = Attempting(agent, grader_of(grader), self._journals)

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
            if self._journals is not None:
                from tako.eval.files import make_folder  # most evaluations write nothing

                yield Call(make_folder, (self._journals,))
            start: float | None = (yield Now()) if streaming else None
            told = count(1)
            flows = [self._tell(self._attempting.flow(*one), done, told, len(plan), start) for one in plan]
            outcomes = yield Gather(tuple(flows), self.concurrency, OnError.COLLECT)
        except Cancelled:
            return self.report(_in_order(done, plan))
        return self.report([_attempt(*one, outcome) for one, outcome in zip(plan, outcomes, strict=True)])

    def report(self, attempts: list[Attempt]) -> EvalReport:
        """The report on these attempts, wherever they were made."""
        metadata = {task.id: task.metadata for task in self.dataset.tasks}
        planned = len(self.dataset) * self.attempts
        return EvalReport.of(
            self.dataset.name, self.orch_name, self.k, attempts, metadata, planned_attempts=planned
        )

    def _tell(
        self, flow: Flow[Attempt], done: list[Attempt], told: count[int], total: int, start: float | None
    ) -> Flow[Attempt]:
        """Go through an attempt, and tell of it; nobody listens where no start is given."""
        attempt = yield from flow
        done.append(attempt)
        if start is not None:
            now = yield Now()
            yield Emit((AttemptDone(attempt, next(told), total, now - start),))
        return attempt


def _attempt(task: Task, number: int, outcome: Outcome[Attempt]) -> Attempt:
    """What came of one. The evaluation was not cancelled: an agent that was, was so by itself."""
    if isinstance(outcome, Succeeded):
        return outcome.value
    if isinstance(outcome.error, Cancelled):
        return failed_attempt(task, number, outcome.error)
    raise outcome.error


def _in_order(done: list[Attempt], plan: list[tuple[Task, int]]) -> list[Attempt]:
    places = {(task.id, number): place for place, (task, number) in enumerate(plan)}
    return sorted(done, key=lambda attempt: places[attempt.task_id, attempt.number])


def _check_limits(agent: object, dataset: Dataset) -> None:
    """Raise InvalidInput where a task says how long an answer may be, and nobody would be told of it."""
    limited = [task.id for task in dataset.tasks if task.max_tokens is not None]
    if limited and not isinstance(agent, SingleAgent):
        raise InvalidInput(
            f"the dataset {dataset.name!r} has tasks with max_tokens (the first is {limited[0]!r}), of which "
            f"a SingleAgent alone is told, and orch is of type {type(agent).__name__}; leave max_tokens out "
            "of the tasks, and say it to the models of orch"
        )


def _check_counts(**counts: object) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InvalidInput(f"{name} should be a whole number of at least 1, not {value!r}")


def _folder(path: object) -> str:
    try:
        name: object = fspath(cast("str", path))
    except TypeError:
        name = None
    if not isinstance(name, str) or not name:
        raise InvalidInput(f"journals should be the path of a folder, not {path!r}")
    return name
