"""Evaluations, in the simulator and on the arms."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import trio

from tako import CancellationToken, SingleAgent
from tako.errors import InvalidInput, ProviderError
from tako.eval import Dataset, Eval, EvalReport, Grade, Task, load_synthetic
from tako.eval.evaluation import AttemptDone
from tako.models import ChatRequest, Usage
from tako.providers import Fake
from tako.testing import Faults, Simulator
from tako.verifiers import Candidate, Score, Verifier

TASKS = Dataset(
    name="three",
    tasks=(
        Task(id="a", prompt="say a", expected_substring="a", metadata={"level": 1}),
        Task(id="b", prompt="say b", expected_regex="^b$"),
        Task(id="c", prompt="say c", expected_substring="c", expected_regex="never"),
    ),
)


def echo(request: ChatRequest) -> str:
    return request.messages[-1].text.removeprefix("say ")


def agent(**options: Any) -> SingleAgent:
    return SingleAgent(Fake(script=echo, **options))


def test_an_agent_is_asked_each_task_and_graded_by_what_the_task_expects() -> None:
    report = Simulator().run(Eval(agent(delay_ms=100), TASKS, k=2, concurrency=2, orch_name="echo").flow())
    assert [(result.task_id, result.attempts, result.passes) for result in report.task_results] == [
        ("a", 2, 2), ("b", 2, 2), ("c", 2, 0),
    ]  # fmt: skip
    assert report.pass_at_k == pytest.approx(2 / 3)
    assert report.usage == Usage(input_tokens=6, output_tokens=6)
    assert [attempt.elapsed_ms for attempt in report.attempts] == pytest.approx([100.0] * 6)
    assert report.task_results[0].metadata == {"level": 1}
    assert {attempt.stop_reason for attempt in report.attempts} == {"stop"}


def test_no_more_attempts_are_under_way_than_asked_for() -> None:
    simulator = Simulator()
    simulator.run(Eval(agent(delay_ms=1000), TASKS, k=4, concurrency=3).flow())
    assert simulator.now == pytest.approx(4.0, abs=0.1)  # twelve of a second each, three at a time


def test_a_failure_is_an_attempt_without_a_pass_and_nobody_elses() -> None:
    model = Fake(script=["a", ProviderError("no", status=500), "c"])
    report = Simulator().run(Eval(SingleAgent(model), TASKS, concurrency=1).flow())
    assert [attempt.error for attempt in report.attempts] == [None, "ProviderError: no", None]
    assert report.errors == 1
    assert (report.attempts[1].steps, report.attempts[1].stop_reason) == (1, "error")


def test_functions_can_be_evaluated_plain_and_async() -> None:
    async def later(prompt: str) -> str:
        return prompt.removeprefix("say ")

    for function in (lambda prompt: prompt.removeprefix("say "), later):
        report = Eval(function, TASKS).run_sync()
        assert [attempt.passed for attempt in report.attempts] == [True, True, False]


def test_a_function_that_gives_no_answer_is_told_so() -> None:
    report = Eval(lambda prompt: 7, TASKS).run_sync()
    assert (
        report.attempts[0].error
        == "InvalidInput: orch gave int; it should give text, or a result with `text`"
    )


class Length(Verifier):
    def score_flow(self, candidate: Candidate) -> Any:
        return Score(value=0.75, reason=candidate.task, usage=Usage(input_tokens=2), cost_usd=0.5)
        yield


def test_a_verifier_is_a_grader_and_what_it_uses_is_counted() -> None:
    report = Simulator().run(Eval(agent(), TASKS, grader=Length()).flow())
    assert [(attempt.passed, attempt.score, attempt.reason) for attempt in report.attempts] == [
        (True, 0.75, "say a"), (True, 0.75, "say b"), (True, 0.75, "say c"),
    ]  # fmt: skip
    assert report.usage == Usage(input_tokens=9, output_tokens=3)
    assert report.cost_usd is None  # the agent's price is not known


def test_a_function_is_a_grader_and_its_failure_is_an_error() -> None:
    def grade(task: Task, output: str) -> Any:
        return {"a": True, "b": Grade(passed=False, score=0.25, reason="meh"), "c": 7}[task.id]

    report = Simulator().run(Eval(agent(), TASKS, grader=grade).flow())
    first, second, third = report.attempts
    assert (first.passed, first.score) == (True, 1.0)
    assert (second.passed, second.score, second.reason) == (False, 0.25, "meh")
    assert third.error == (
        "the grader failed (TakoError: the grader gave 7; it should give True, False, a number from 0 to 1, "
        "or a Grade)"
    )
    assert not third.passed


def test_whoever_iterates_hears_of_each_attempt() -> None:
    run = Simulator().stream(Eval(agent(), TASKS, concurrency=1).flow(streaming=True))
    events = list(run)
    assert all(type(event) is AttemptDone for event in events)
    assert [(event.done, event.total, event.attempt.task_id) for event in events] == [
        (1, 3, "a"), (2, 3, "b"), (3, 3, "c"),
    ]  # fmt: skip
    assert isinstance(run.result, EvalReport)


def test_a_cancelled_evaluation_reports_on_what_was_done() -> None:
    simulator = Simulator(faults=Faults(cancel_at=2.5))
    report = simulator.run(Eval(agent(delay_ms=1000), TASKS, concurrency=1).flow())
    assert [attempt.task_id for attempt in report.attempts] == ["a", "b"]
    assert report.total_attempts == 2


def test_the_arms_agree() -> None:
    def comparable(report: EvalReport) -> Any:
        return [
            (attempt.task_id, attempt.number, attempt.passed, attempt.text) for attempt in report.attempts
        ]

    def make() -> Eval:
        return Eval(agent(delay_ms=1), TASKS, k=2, concurrency=3)

    blocking = comparable(make().run_sync())
    assert comparable(asyncio.run(make().run())) == blocking
    assert comparable(trio.run(make().run)) == blocking
    with make().stream_sync() as events:
        assert len(list(events)) == 6
        assert comparable(events.result) == blocking


def test_a_token_stops_an_evaluation() -> None:
    token = CancellationToken()
    token.cancel()
    assert Eval(agent(delay_ms=1), TASKS).run_sync(cancel=token).total_attempts == 0


def test_the_tasks_that_come_with_tako_can_be_passed() -> None:
    tasks = load_synthetic().tasks
    answers = {
        "sum": "42", "product": "144", "capital": "Lisbon.", "arms": "Eight", "reverse": "okat",
        "opposite": "Cold", "json": '{"ok": true}', "function": "def double(x):",
        "order": "apple, fig, pear", "yes": "Yes!",
    }  # fmt: skip
    assert len(tasks) == 10
    assert all(task.passes(answers[task.id]) for task in tasks)
    assert not any(task.passes("I do not know") for task in tasks)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"orch": 7}, "orch should be an orchestrator"),
        ({"orch": SingleAgent}, "orch should be an orchestrator"),
        ({"dataset": []}, "dataset should be a tako.eval.Dataset"),
        ({"k": 0}, "k should be a whole number"),
        ({"k": True}, "k should be a whole number"),
        ({"concurrency": 0}, "concurrency should be"),
        ({"k": 3, "attempts": 2}, "attempts should be at least k"),
        ({"grader": 7}, "grader should be a Grader"),
    ],
)
def test_what_cannot_be_is_refused_by_name(options: dict[str, Any], words: str) -> None:
    given = {"orch": agent(), "dataset": TASKS, **options}
    with pytest.raises(InvalidInput, match=words):
        Eval(given.pop("orch"), given.pop("dataset"), **given)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Task(id="x", prompt="p", expected_regex="("), "expected_regex: is no regular expression"),
        (lambda: Task(id="", prompt="p"), "id"),
        (lambda: Dataset(name="d", tasks=(TASKS.tasks[0],) * 2), "tasks: has two tasks with the id 'a'"),
    ],
)
def test_a_task_is_checked_when_it_is_made(make: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        make()


def test_a_task_that_expects_nothing_never_passes() -> None:
    assert not Task(id="x", prompt="p").passes("anything")
