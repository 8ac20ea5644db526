"""What becomes of a plan's tasks: joins, failures, limits of time, what workers see and use, scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tako.effects import Flow, Sleep
from tako.errors import ProviderError
from tako.events import SubAgentEvent, ToolCallResult, ToolCallStart
from tako.models import AudioPart, DocumentPart, ImagePart, Message, TextPart, Usage
from tako.orchestrators.base import Orchestrator, Prompt
from tako.orchestrators.conductor import Conductor, Quorum, Worker
from tako.orchestrators.conductor.rounds import WorkerResult
from tako.orchestrators.place import Place
from tako.orchestrators.result import RunResult
from tako.orchestrators.single_agent import SingleAgent
from tako.providers import Fake, PythonProvider
from tako.testing import Faults, Simulator
from tako.tools import Tool, tool
from tests.orchestrators.conductor.kit import answer, plan
from tests.orchestrators.kit import Recorded, replied, results
from tests.orchestrators.kit import call as tool_call

END = answer("done")


def one_round(
    workers: dict[str, Any], *tasks: Any, more: dict[str, Any] | None = None, **options: Any
) -> tuple[list[WorkerResult], str, float]:
    """The results of a round, what the coordinator is told of it, and how long it took."""
    coordinator, simulator = Recorded(plan(*tasks, **(more or {})), END), Simulator()
    result = simulator.run(Conductor(coordinator, workers, **options), "the question")
    return list(result.rounds[0].results), coordinator.requests[1].messages[-1].text, simulator.now


def slow(text: str, seconds: float) -> Fake:
    return Fake(text, delay_ms=1000 * seconds)


def failing(seconds: float = 0.0, **fields: Any) -> Fake:
    return Fake(script=[ProviderError("overloaded", **fields)], delay_ms=1000 * seconds)


def test_workers_run_side_by_side_and_no_more_than_the_fanout() -> None:
    tasks = [("a", "x")] * 6
    assert one_round({"a": slow("done", 1.0)}, *tasks, max_fanout=3)[2] == pytest.approx(2.0)
    assert one_round({"a": slow("done", 1.0)}, *tasks, max_fanout=6)[2] == pytest.approx(1.0)


def test_a_failure_is_a_result_and_the_others_go_on() -> None:
    found, told, _ = one_round({"a": failing(), "b": Fake("fine")}, ("a", "x"), ("b", "y"), ("c", "z"))
    assert [(one.status, one.text, one.error) for one in found] == [
        ("failed", "", "overloaded"),
        ("done", "fine", ""),
        ("failed", "", "unknown worker 'c'; there are: a, b"),
    ]
    assert '- #1 a (task: "x"): ERROR: overloaded\n- #2 b (task: "y"): fine\n' in told
    assert '- #3 c (task: "z"): ERROR: unknown worker' in told


class Broken(Orchestrator[RunResult[None]]):
    """Somebody else's code."""

    def perform(self, prompt: Prompt, place: Place, **options: Any) -> Flow[RunResult[None]]:
        yield Sleep(1.0)
        raise KeyError("mine")


def test_36_the_slot_of_a_worker_that_crashes_stays() -> None:
    events = list(
        Simulator().stream(
            Conductor(Fake(script=[plan(("a", "x"), ("b", "y")), END]), {"a": Broken(), "b": Fake("fine")}),
            "go",
        )
    )
    told = [event for event in events if isinstance(event, ToolCallResult)]
    assert [(one.id, one.result, one.is_error) for one in told] == [
        ("step1-1", {"worker": "a", "error": "KeyError: 'mine'"}, True),
        ("step1-2", {"worker": "b", "result": "fine"}, False),
    ]


def test_2_a_worker_that_is_a_function_runs_in_the_callers_scope() -> None:
    async def chat(request: Any) -> str:
        return "from a function"

    found, _, _ = one_round({"a": PythonProvider("mine", chat)}, ("a", "x"))
    assert found[0].text == "from a function"


@pytest.mark.parametrize("task", ["é" * 200, "word " * 40, "😀" * 61, "x" * 60])
def test_3_a_task_is_cut_by_characters(task: str) -> None:
    _, told, _ = one_round({"a": Fake("fine")}, ("a", task))
    line = told.splitlines()[1]
    shown = line.partition('(task: "')[2].partition('")')[0]
    assert len(shown) <= 60 and task.startswith(shown.removesuffix("..."))
    assert shown.endswith("...") == (len(task) > 60)


def test_27_fail_fast_stops_the_others_at_once() -> None:
    simulator = Simulator()
    workers = {"a": failing(1.0, status=529, provider="v"), "b": slow("late", 60.0), "c": Fake("fine")}
    script = [plan(("c", "z"), ("a", "x"), ("b", "y")), END]
    run = simulator.stream(Conductor(Fake(script=script), workers, fail_fast=True), "go")
    events = []
    with pytest.raises(
        ProviderError, match=r"Conductor worker failed \(fail_fast\): a: overloaded"
    ) as caught:
        for event in run:
            events.append(event)
    assert simulator.now < 3.0
    error = caught.value
    assert (error.status, error.provider, error.phase) == (529, "v", "worker")
    assert isinstance(error.__cause__, ProviderError)
    assert [one.status for one in error.partial.rounds[0].results] == ["done", "failed", "cancelled"]
    assert (error.partial.text, error.partial.stop_reason) == ("fine", "error")
    assert error.usage == error.partial.usage != Usage()
    told = [event.id for event in events if isinstance(event, ToolCallResult)]
    assert told == ["step1-1", "step1-2", "step1-3"]


def test_fail_fast_is_not_for_what_the_plan_has_wrong() -> None:
    found, _, _ = one_round({"a": Fake("fine")}, ("nobody", "x"), ("a", "y"), fail_fast=True)
    assert [one.status for one in found] == ["failed", "done"]


def test_fail_fast_is_for_any_exception_and_for_silence() -> None:
    for worker in (Broken(), Fake(script=[replied(finish_reason="length")])):
        with pytest.raises(ProviderError, match="fail_fast"):
            one_round({"a": worker}, ("a", "x"), fail_fast=True)


RACE: dict[str, Callable[[], Any]] = {
    "wrong": lambda: failing(0.5),
    "cut": lambda: Fake(script=[replied("as far as", finish_reason="length")], delay_ms=600),
    "quick": lambda: slow("one", 1.0),
    "middle": lambda: slow("two", 2.0),
    "late": lambda: slow("three", 3.0),
}


@pytest.mark.parametrize(
    ("join", "in_the_plan", "statuses", "seconds"),
    [
        ("all", None, "failed partial done done done", 3.0),
        ("first", None, "failed partial done cancelled cancelled", 1.0),
        (Quorum(2), None, "failed partial done done cancelled", 2.0),
        (9, None, "failed partial done done done", 3.0),
        ("all", "first", "failed partial done cancelled cancelled", 1.0),
        ("first", "all", "failed partial done done done", 3.0),
        ("first", {"quorum": 2}, "failed partial done done cancelled", 2.0),
    ],
)
def test_how_many_have_to_succeed(join: Any, in_the_plan: Any, statuses: str, seconds: float) -> None:
    workers = {name: make() for name, make in RACE.items()}
    tasks = [(name, "x") for name in RACE]
    found, told, took = one_round(workers, *tasks, more={"join": in_the_plan}, join=join, max_fanout=5)
    assert [one.status for one in found] == statuses.split()
    assert took == pytest.approx(seconds)
    assert told.count("CANCELLED: it was stopped") == statuses.count("cancelled")
    assert '- #2 cut (task: "x"): (cut off: stopped (length)) as far as' in told


def test_who_was_not_started_is_cancelled_as_well() -> None:
    found, _, took = one_round({"a": slow("one", 1.0)}, *[("a", "x")] * 5, join="first", max_fanout=2)
    assert took == pytest.approx(1.0)
    assert [one.status for one in found].count("done") >= 1 and found[4].status == "cancelled"


def test_34_a_truncated_answer_is_a_partial_result() -> None:
    cut = Fake(script=[replied("as far as", finish_reason="length")])
    events = list(Simulator().stream(Conductor(Fake(script=[plan(("a", "x")), END]), {"a": cut}), "go"))
    (told,) = [event for event in events if isinstance(event, ToolCallResult)]
    assert told.result == {"worker": "a", "result": "as far as", "cut_off": "stopped (length)"}
    assert not told.is_error


def test_a_worker_that_waits_for_the_outside_is_told_what_is_missing() -> None:
    @tool(approval=True)
    def pay(cents: int) -> None:
        """Pay."""

    agent = SingleAgent(Fake(script=[tool_call("1", "pay", cents=5)]), tools=[pay])
    found, told, _ = one_round({"a": agent}, ("a", "x"))
    assert found[0].status == "failed" and "waits for a decision on pay" in told


# Time.


def test_a_worker_that_is_too_slow_is_stopped_and_what_it_said_is_kept() -> None:
    agent = SingleAgent(
        Fake(script=[[TextPart(text="I look."), tool_call("1", "nap")]]), tools=[Tool.from_flow(nap)]
    )
    workers = {"a": Worker(agent, timeout=2.0), "b": slow("fine", 1.0), "c": slow("late", 9.0)}
    found, told, took = one_round(workers, ("a", "x"), ("b", "y"), ("c", "z"), worker_timeout_secs=5)
    assert [(one.status, one.text) for one in found] == [
        ("failed", "I look."),
        ("done", "fine"),
        ("failed", ""),
    ]
    assert took == pytest.approx(5.0)
    assert "ERROR: worker timed out after 2s; it had said: I look." in told
    assert "ERROR: worker timed out after 5s\n" in told


def nap() -> Flow[str]:
    """Sleep for long."""
    yield Sleep(60.0)
    return "awake"


def test_35_a_slow_listener_is_not_the_workers_fault() -> None:
    """It says more than is held for the listener, who looks at each piece for longer than it may work."""

    def outcome(seconds: float) -> WorkerResult:
        workers = {"a": Fake(" ".join(["word"] * 80), delay_ms=1)}
        one = Conductor(Fake(script=[plan(("a", "x")), END]), workers, worker_timeout_secs=seconds)
        run = Simulator(faults=Faults(slow_reader=10.0)).stream(one, "go")
        found: WorkerResult = list(run)[-1].result.rounds[0].results[0]
        return found

    assert outcome(0.1).status == "done"
    assert outcome(0.05).error == "worker timed out after 0.05s"


def test_no_limit_of_time_is_one_as_well() -> None:
    assert (
        one_round({"a": slow("at last", 1e6)}, ("a", "x"), worker_timeout_secs=None)[0][0].text == "at last"
    )


# What a worker knows and uses.


def test_a_worker_knows_its_task_and_nothing_else() -> None:
    worker = Recorded("fine")
    Simulator().run(Conductor(Fake(script=[plan(("a", "x")), END]), {"a": worker}), "the question")
    assert worker.requests[0].messages == (Message.user("x"),)


SEEN = 'Results of others, for your task:\n\n#1 a (task: "x"):\nfrom x\n\nYour task:\n\n'


@pytest.mark.parametrize(
    ("sees", "told"),
    [
        ([1], SEEN + "y"),
        (1, SEEN + "y"),
        ("#1", SEEN + "y"),
        (["step1-1"], SEEN + "y"),
        (None, "y"),
        ([], "y"),
        ("all", SEEN.replace("\n\nYour", '\n\n#2 b (task: "z"):\nERROR: overloaded\n\nYour') + "y"),
    ],
)
def test_32_an_earlier_result_is_seen_where_the_plan_says_so(sees: Any, told: str) -> None:
    worker = Recorded("from x", "from y")
    second = plan({"worker": "a", "task": "y", "sees": sees})
    coordinator = Fake(script=[plan(("a", "x"), ("b", "z")), second, END])
    result = Simulator().run(Conductor(coordinator, {"a": worker, "b": failing()}), "go")
    assert worker.requests[1].messages[-1].text == told
    assert [one.number for done in result.rounds for one in done.results] == [1, 2, 3]


def test_what_is_not_there_cannot_be_seen() -> None:
    found, told, _ = one_round({"a": Fake()}, {"worker": "a", "task": "x", "sees": [1]})
    assert found[0].status == "failed" and "sees: there is no result 1 of an earlier step" in told


@tool(read_only=True)
def read(path: str) -> str:
    """Read a file."""
    return f"content of {path}"


@tool
def write(path: str) -> str:
    """Write a file."""
    return "written"


@pytest.mark.parametrize(
    ("tools", "offered"),
    [(None, ["read", "write"]), (["read"], ["read"]), (["*"], ["read", "write"]), ([], []), ("fs", []),
     (["write(path=b*)"], ["write"])],
)  # fmt: skip
def test_32_a_plan_says_which_tools_a_provider_may_use(tools: Any, offered: list[str]) -> None:
    worker = Recorded([tool_call("1", "write", path="a")], "done")
    coordinator = Fake(script=[plan({"worker": "a", "task": "x", "tools": tools}), END])
    one = Conductor(coordinator, {"a": Worker(worker, tools=[write, read])}, tools=[read])
    Simulator().run(one, "go")
    assert sorted(schema.name for schema in worker.requests[0].tools) == offered
    (part,) = results(worker.requests[1].messages)
    assert part.is_error == (tools not in (None, ["*"]))


def test_a_pattern_that_is_none_is_told_to_the_coordinator() -> None:
    found, _, _ = one_round({"a": Fake()}, {"worker": "a", "task": "x", "tools": ["read("]})
    assert found[0].status == "failed" and "allow[0]" in found[0].error


def test_an_orchestrator_keeps_its_tools_and_its_instructions() -> None:
    model, own_model = Recorded("fine"), Recorded("fine")
    workers = {
        "a": Worker(SingleAgent(model, tools=[read], system="Mine."), system="Yours."),
        "b": SingleAgent(own_model, system="Mine."),
        "c": Worker(Fake("x"), system=[TextPart(text="Parts.")]),
    }
    tasks = [{"worker": name, "task": "x", "tools": ["write"]} for name in workers]
    assert [one.status for one in one_round(workers, *tasks, tools=[write])[0]] == ["done"] * 3
    assert model.requests[0].messages[0] == Message.system("Yours.")
    assert own_model.requests[0].messages[0] == Message.system("Mine.")
    assert [schema.name for schema in model.requests[0].tools] == ["read"]


def test_a_worker_is_shown_the_media_that_it_can_read() -> None:
    picture = ImagePart(mime="image/png", data_b64="iVBORw0KGgo=")
    document = DocumentPart(mime="application/pdf", data_b64="JVBERi0=")
    sound = AudioPart(mime="audio/wav", data_b64="UklGRg==")
    blind = Recorded("fine")
    blind.capabilities = blind.capabilities.model_copy(
        update={"supports_vision": False, "supports_documents": True, "supports_audio": True}
    )
    seeing, inner = Recorded("fine"), Recorded(answer("x"))
    workers: dict[str, Any] = {"blind": blind, "eye": seeing, "team": Conductor(inner, {"a": Fake()})}
    prompt = Message.user([TextPart(text="What?"), picture, document, sound])
    Simulator().run(
        Conductor(Fake(script=[plan(*[(name, "look") for name in workers]), END]), workers), prompt
    )
    assert blind.requests[0].messages[0].content[1:] == (document, sound)
    assert seeing.requests[0].messages[0].content[1:] == (picture,)
    assert inner.requests[0].messages[1].content[1] == picture  # it has workers of its own


def test_the_principal_goes_with_the_task() -> None:
    seen: list[Any] = []

    class Asking(Orchestrator[RunResult[None]]):
        def perform(self, prompt: Prompt, place: Place, **options: Any) -> Flow[RunResult[None]]:
            seen.append((options["principal"].tenant_id, place.path, place.depth))
            return SingleAgent(Fake("fine")).perform(prompt, place, **options)

    Simulator().run(Conductor(Fake(script=[plan(("a", "x")), END]), {"a": Asking()}), "go", tenant_id="acme")
    assert seen == [("acme", ("a:step1-1",), 1)]


def test_the_events_of_a_round_in_their_order() -> None:
    one = Conductor(
        Fake(script=[plan(("a", "x"), ("a", "y")), END]), {"a": Fake("fine")}, verifier=lambda text: 1
    )
    events = list(Simulator(seed=3).stream(one, "go"))
    starts = [event for event in events if isinstance(event, ToolCallStart)]
    assert [(one.name, one.id, one.args) for one in starts] == [
        ("worker:a", "step1-1", {"task": "x"}),
        ("worker:a", "step1-2", {"task": "y"}),
    ]
    order = [type(event).__name__ for event in events]
    assert order.index("SubAgentEvent") > order.index("ToolCallStart") + 1
    last_of_workers = max(place for place, event in enumerate(events) if isinstance(event, SubAgentEvent))
    first_result = order.index("ToolCallResult")
    assert last_of_workers < first_result
    assert order[first_result : first_result + 4] == ["ToolCallResult"] * 2 + ["VerifierScore"] * 2
