"""Evaluations on executors: of the standard library, and of Dask with two workers of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import pytest

from tako.errors import InvalidInput
from tako.eval import AttemptDone, Dataset, Eval, EvalReport, Task, run_on, stream_on
from tako.eval.names import named
from tests.eval.agents import grade, make_agent

TASKS = Dataset(
    name="five",
    tasks=tuple([Task(id=name, prompt=f"say {name}", expected_substring=name) for name in "abcde"]),
)
AGENTS = "tests.eval.agents"


def in_new_processes(workers: int) -> ProcessPoolExecutor:
    """Not forked off: this process has threads."""
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


@pytest.fixture(scope="module")
def dask() -> Iterator[Executor]:
    """Two local workers, each a process."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client.get_executor()


def comparable(report: EvalReport) -> object:
    return [(one.task_id, one.number, one.passed, one.text, one.error) for one in report.attempts]


def test_two_dask_workers_give_the_report_of_this_process(dask: Executor) -> None:
    here = Eval(make_agent(), TASKS, k=2, grader=grade).run_sync()
    there = run_on(dask, f"{AGENTS}:make_agent()", TASKS, k=2, portion=2, grader=f"{AGENTS}:grade")
    assert comparable(there) == comparable(here)
    assert there.pass_at_k == 1.0
    assert there.total_attempts == 10


def test_the_work_is_done_by_both_workers_and_not_here(dask: Executor) -> None:
    report = run_on(dask, f"{AGENTS}:whose", TASKS, attempts=4, concurrency=1)
    processes = {attempt.text for attempt in report.attempts}
    assert len(processes) == 2
    assert str(os.getpid()) not in processes


def test_a_worker_that_dies_costs_its_portion_alone() -> None:
    with in_new_processes(1) as executor:
        steps = list(stream_on(executor, f"{AGENTS}:dies", TASKS.first(2)))
    assert [type(step).__name__ for step in steps] == ["AttemptDone", "AttemptDone", "EvalReport"]
    report = steps[-1]
    assert isinstance(report, EvalReport)
    assert report.attempts[0].passed
    assert "the worker failed (BrokenProcessPool" in (report.attempts[1].error or "")
    assert report.errors == 1


class Here:
    """An executor that works when it is asked for the result, and takes only so much."""

    def __init__(self, takes: int = 99) -> None:
        self.takes = takes
        self.called_off = 0

    def submit(self, function: Any, /, *arguments: Any) -> Any:
        if not self.takes:
            raise RuntimeError("all workers have died")
        self.takes -= 1
        return _Later(self, partial(function, *arguments))


class _Later:
    def __init__(self, executor: Here, work: Any) -> None:
        self._executor = executor
        self.result = work

    def cancel(self) -> None:
        self._executor.called_off += 1


def test_what_an_executor_does_not_take_has_failed_and_is_not_the_end() -> None:
    report = run_on(Here(takes=2), f"{AGENTS}:agent", TASKS, portion=2)
    failure = "the worker failed (RuntimeError: all workers have died)"
    assert [attempt.error for attempt in report.attempts] == [None] * 4 + [failure]


def test_who_stops_early_calls_the_rest_off() -> None:
    executor = Here()
    steps = stream_on(executor, f"{AGENTS}:agent", TASKS)
    first = next(steps)
    assert isinstance(first, AttemptDone)
    assert (first.done, first.total) == (1, 5)
    steps.close()
    assert executor.called_off == 5


@pytest.mark.parametrize(
    "name", ["agents", "tests.eval.agents:", ":agent", "no.such:agent", f"{AGENTS}:nobody"]
)
def test_a_name_that_leads_nowhere_says_so(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"expected \"module:attribute\"|there is no"):
        named(name)


def test_portions_are_checked_before_anything_is_sent() -> None:
    with pytest.raises(InvalidInput, match="portion should be"):
        run_on(Here(takes=0), f"{AGENTS}:agent", TASKS, portion=0)
