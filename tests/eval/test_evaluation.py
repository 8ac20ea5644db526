"""Evaluations, in the simulator and on the arms."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import trio

from tako import CancellationToken, SingleAgent, Trinity, tool
from tako.errors import Cancelled, InvalidInput, ProviderError
from tako.eval import Dataset, Eval, EvalReport, Grade, Task, as_html, load_synthetic
from tako.eval.attempting import journal_name
from tako.eval.evaluation import AttemptDone
from tako.models import NOT_COUNTED, ChatRequest, Message, TextPart, ToolCallPart, Usage
from tako.providers import Fake
from tako.testing import Faults, Simulator
from tako.training import rollouts_from_journals
from tako.verifiers import Candidate, LlmJudge, Score, Verifier

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


LIMITED = Dataset(name="short", tasks=(TASKS.tasks[0], TASKS.tasks[1].model_copy(update={"max_tokens": 7})))


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
        "the grader failed (InvalidInput: the grader gave 7; a score is a number from 0 to 1)"
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


class Elsewhere:
    """An agent of another library, as the first tako took them."""

    async def run(self, prompt: str) -> str:
        return prompt.removeprefix("say ")


def test_a_provider_and_whatever_has_a_method_run_can_be_evaluated() -> None:
    orchs: list[Fake | Elsewhere] = [Fake(script=echo), Elsewhere()]
    for orch in orchs:
        assert [attempt.passed for attempt in Eval(orch, TASKS).run_sync().attempts] == [True, True, False]


def test_an_agent_that_waits_for_approval_has_given_no_answer() -> None:
    @tool(approval=True)
    def send(to: str) -> str:
        return to

    asks = Message.assistant([TextPart(text="say a"), ToolCallPart(id="1", name="send", args={"to": "a"})])
    one = Eval(SingleAgent(Fake(script=[asks]), tools=[send]), TASKS.first(1))
    (attempt,) = Simulator().run(one.flow()).attempts
    assert (attempt.passed, attempt.stop_reason, attempt.text) == (False, "approval_required", "say a")
    assert (attempt.error or "").startswith("ToolError: the agent waits for a decision on send")
    assert attempt.usage != NOT_COUNTED


def test_an_agent_that_cancels_itself_has_failed_and_is_in_the_report() -> None:
    def gives_up(prompt: str) -> str:
        if prompt == "say b":
            raise Cancelled("enough")
        return "a"

    report = Simulator().run(Eval(gives_up, TASKS).flow())
    assert [attempt.error for attempt in report.attempts] == [None, "Cancelled: enough", None]
    assert report.is_complete


def test_tasks_with_fewer_than_k_attempts_are_not_in_pass_at_k() -> None:
    simulator = Simulator(faults=Faults(cancel_at=3.5))
    report = simulator.run(Eval(agent(delay_ms=1000), TASKS, k=2, concurrency=1).flow())
    assert [(result.attempts, result.pass_at_k) for result in report.task_results] == [(2, 1.0), (1, None)]
    assert (report.pass_at_k, report.planned_attempts, report.is_complete) == (1.0, 6, False)
    assert "3 of 6 attempts" in str(report)


def test_what_a_grader_that_fails_has_used_is_counted() -> None:
    report = Simulator().run(Eval(agent(), TASKS, grader=LlmJudge(Fake("no idea"), "good", retries=0)).flow())
    assert all((attempt.error or "").startswith("the grader failed") for attempt in report.attempts)
    assert (report.usage.output_tokens or 0) > 3  # those of the agent


def test_words_that_no_file_takes_do_not_cost_the_report() -> None:
    def fails(prompt: str) -> str:
        if prompt == "say b":
            raise ValueError("half: \ud83d")
        return "whole: \ud83d\ude00, half: \ud83d"

    report = Simulator().run(Eval(fails, TASKS).flow())
    assert report.attempts[0].text == "whole: \U0001f600, half: \ufffd"
    assert EvalReport.model_validate_json(report.model_dump_json()) == report
    assert "half: \ufffd" in as_html(report)


def test_with_journals_an_evaluation_goes_on_and_only_what_failed_is_done_again(tmp_path: Path) -> None:
    asked: list[str] = []

    def model(request: ChatRequest) -> str:
        asked.append(request.messages[-1].text)
        if len(asked) == 2:
            raise ProviderError("no", status=500)
        return echo(request)

    judged: list[str] = []

    def grade(task: Task, output: str) -> bool:
        judged.append(task.id)
        return True

    def evaluate() -> EvalReport:
        one = Eval(
            SingleAgent(Fake(script=model)), TASKS, grader=grade, concurrency=1, journals=tmp_path / "j"
        )
        return one.run_sync()

    assert evaluate().errors == 1
    whole = evaluate()
    assert (whole.pass_rate, asked, judged) == (1.0, ["say a", "say b", "say c", "say b"], ["a", "c", "b"])
    assert evaluate() == whole
    assert len(asked) == 4


def test_training_learns_from_the_journals_of_an_evaluation(tmp_path: Path) -> None:
    router = {"say a": 0, "say b": 1, "say c": 1}
    chosen = SingleAgent(Fake("nonsense"), candidates=[Fake(script=echo)], router=lambda task: router[task])
    report = Eval(chosen, TASKS, grader=lambda task, output: output == task.id, journals=tmp_path).run_sync()
    assert [attempt.passed for attempt in report.attempts] == [False, True, True]
    rollouts = rollouts_from_journals(sorted(tmp_path.iterdir()))
    assert [(rollout.prompt, rollout.label) for rollout in rollouts] == [("say b", 1), ("say c", 1)]


def test_journals_have_names_that_a_file_system_takes() -> None:
    names = {journal_name(task, 0) for task in ("a/b", "a.b", "A/B", "..", "\u00e9" * 500, "x" * 5000)}
    assert len({name.lower() for name in names}) == 6
    assert all(name.isascii() and "/" not in name and len(name) < 100 for name in names)


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
        ({"orch": SingleAgent}, r"not its class: write SingleAgent\(\.\.\.\)"),
        ({"dataset": []}, "dataset should be a tako.eval.Dataset"),
        ({"k": 0}, "k should be a whole number"),
        ({"k": True}, "k should be a whole number"),
        ({"concurrency": 0}, "concurrency should be"),
        ({"k": 3, "attempts": 2}, "attempts should be at least k"),
        ({"grader": 7}, "grader should be a Grader"),
        ({"grader": Length}, "not the class Length"),
        ({"grader": lambda output: True}, r"function of \(task, output\): too many"),
        ({"orch_name": None}, "orch_name should be text"),
        ({"journals": 7}, "journals should be the path of a folder"),
        ({"journals": "x", "orch": echo}, "journals are kept of orchestrators"),
        (
            {"orch": Trinity({"a": Fake()}, lambda task: 0), "dataset": LIMITED},
            r"dataset 'short' has tasks with max_tokens \(the first is 'b'\).* orch is of type Trinity",
        ),
        ({"orch": echo, "dataset": LIMITED}, "orch is of type function; leave max_tokens out"),
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
