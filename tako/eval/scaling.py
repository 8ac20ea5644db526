"""Scaling out: the attempts of an evaluation on any executor that is like one of concurrent.futures.

The work is cut into portions, one task or several each. A portion goes to a worker as plain data with the
name of what makes the agent ("module:attribute"), because agents hold connections and do not travel; what
comes back is data as well. So a process pool, Dask's `client.get_executor()` and their like all do.

Invariants. The report is the same as of an evaluation that was made here, but for the times. A portion
that is lost with its worker counts as failed attempts, and is not the end of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Protocol

from tako import _adapters
from tako.effects import now
from tako.errors import InvalidInput
from tako.eval.evaluation import AttemptDone, Eval
from tako.eval.names import named
from tako.eval.report import Attempt, EvalReport
from tako.eval.task import Dataset, Task

__all__ = ["Executor", "run_on", "stream_on"]


class _Future(Protocol):
    def result(self) -> Any: ...
    def cancel(self) -> Any: ...


class Executor(Protocol):
    """What concurrent.futures calls an Executor, as far as it is needed here."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> _Future: ...


def run_on(
    executor: Executor,
    orch: str,
    dataset: Dataset,
    *,
    portion: int = 1,
    grader: str | None = None,
    **options: Any,
) -> EvalReport:
    """Evaluate on the executor's workers, blocking; `orch` and `grader` are names of what makes them.

    "module:attribute" is an orchestrator, a function from a prompt to an answer, or a class or function
    without parameters that is marked by "()" at the end: "my_agents:make_agent()". `options` are those of
    Eval. `concurrency` holds within a portion. Raises InvalidInput.
    """
    report = None
    for step in stream_on(executor, orch, dataset, portion=portion, grader=grader, **options):
        report = step if isinstance(step, EvalReport) else report
    assert report is not None
    return report


def stream_on(
    executor: Executor,
    orch: str,
    dataset: Dataset,
    *,
    portion: int = 1,
    grader: str | None = None,
    **options: Any,
) -> Generator[AttemptDone | EvalReport, None, None]:
    """The same, with each attempt when its portion is done, in the order of the tasks; last the report.

    Who stops early calls off the portions that no worker has begun.
    """
    if isinstance(portion, bool) or not isinstance(portion, int) or portion < 1:
        raise InvalidInput(f"portion should be a whole number of at least 1, not {portion!r}")
    here = Eval(named(orch), dataset, grader=None if grader is None else named(grader), **options)
    tasks = dataset.tasks
    portions = [tasks[start : start + portion] for start in range(0, len(tasks), portion)]
    attempts: list[Attempt] = []
    total, started = len(tasks) * here.attempts, _adapters.run_sync(now())
    futures = [
        _submitted(executor, orch, grader, dataset.model_copy(update={"tasks": some}), options)
        for some in portions
    ]
    try:
        for some, future in zip(portions, futures, strict=True):
            made = _attempts_of(future, some, here.attempts)
            elapsed = max(0.0, _adapters.run_sync(now()) - started)
            for attempt in made:
                attempts.append(attempt)
                yield AttemptDone(attempt, len(attempts), total, elapsed)
    finally:
        for future in futures:
            if not isinstance(future, Exception):
                future.cancel()
    yield here.report(attempts)


def _submitted(
    executor: Executor, orch: str, grader: str | None, portion: Dataset, options: dict[str, Any]
) -> _Future | Exception:
    """The portion on its way; or why it is not: an executor whose workers have died takes nothing more."""
    try:
        return executor.submit(evaluate_portion, orch, grader, portion.model_dump_json(), options)
    except Exception as error:
        return error


def _attempts_of(future: _Future | Exception, tasks: tuple[Task, ...], times: int) -> list[Attempt]:
    try:
        if isinstance(future, Exception):
            raise future
        return [Attempt.model_validate_json(text) for text in future.result()]
    except Exception as error:
        words = f"the worker failed ({type(error).__name__}: {error})"
        return [Attempt(task_id=task.id, number=n, error=words) for task in tasks for n in range(times)]


def evaluate_portion(orch: str, grader: str | None, dataset: str, options: dict[str, Any]) -> list[str]:
    """Run where the worker is: the attempts at these tasks, as JSON."""
    one = Eval(
        named(orch),
        Dataset.model_validate_json(dataset),
        grader=None if grader is None else named(grader),
        **options,
    )
    report = _adapters.run_sync(one.flow())
    return [attempt.model_dump_json() for attempt in report.attempts]
