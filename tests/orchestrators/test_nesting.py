"""An orchestrator that another one runs, and one that is a tool: what is booked, told, handed on, raised."""

from __future__ import annotations

from typing import Any

import pytest

from tako.effects import Flow, Sleep, within
from tako.errors import Cancelled, InvalidInput, ProviderError, TimedOut, ToolError
from tako.events import AssistantText, Final, SubAgentEvent
from tako.models import Capabilities, ChatRequest, Message, Principal, Role, TextPart, Usage
from tako.orchestrators.base import Orchestrator, Prompt
from tako.orchestrators.ledger import Ledger
from tako.orchestrators.nested_tool import MAX_DEPTH
from tako.orchestrators.nesting import nested, run_of
from tako.orchestrators.place import AUDIENCE, TOP, Place
from tako.orchestrators.result import RunResult
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.fake import Fake, Reply, Truncated
from tako.testing import check_history
from tako.testing.faults import Faults
from tako.testing.playbook import Playbook
from tako.testing.simulator import Simulator
from tako.tools import Tool, ToolContext, tool
from tests.orchestrators.kit import Recorded, call, events_of, results

ONE = Usage(input_tokens=1, output_tokens=1)


class Priced(Fake):
    def __init__(self, *script: Reply) -> None:
        super().__init__(script=script)
        self.capabilities = Capabilities(usd_per_input_mtok=1_000_000.0, usd_per_output_mtok=0.0)


@tool(approval=True)
def dangerous() -> str:
    return "done"


def _rest() -> Flow[str]:
    yield Sleep(1000)
    return "rested"


rest = Tool.from_flow(_rest, name="rest")


class Canned(Orchestrator):
    """Has left something running."""

    def perform(self, prompt: Prompt, place: Place, **options: Any) -> Flow[RunResult]:
        yield Sleep(0)
        return RunResult("x", ONE, 1, [], "stop", still_running=("bash",))


def play(flow: Flow[Any], faults: Faults | None = None) -> Any:
    return Simulator(faults=faults).run(flow)


# run_of


def test_an_orchestrator_is_left_alone_and_a_provider_becomes_an_agent() -> None:
    agent = SingleAgent(Fake())
    assert run_of(agent) is agent
    model = Recorded("ok")
    made = run_of(model, system="Be brief.", tools=[dangerous], temperature=0.5, max_steps=3)
    assert isinstance(made, SingleAgent)
    assert made.options.max_steps == 3 and [one.name for one in made.tools] == ["dangerous"]
    Simulator().run(made, "hi")
    [request] = model.requests
    assert request.temperature == 0.5 and request.messages[0].text == "Be brief."


@pytest.mark.parametrize("value", ["openai:gpt-5", None, print, Fake])
def test_anything_else_is_refused_by_the_name_of_its_argument(value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"workers\['a'\] should be a provider"):
        run_of(value, argument="workers['a']")


# nested


def test_its_result_is_given_back_and_booked() -> None:
    ledger = Ledger()
    result = play(nested(TOP.below("team"), "code", run_of(Priced("fine")), "hi", ledger))
    assert result.text == "fine" and ledger.usage == ONE and ledger.cost_usd == 1.0
    assert [(one.path, one.model) for one in ledger.sub_agents] == [(("team", "code"), "test")]


def test_another_kind_of_orchestrator_is_booked_by_its_class() -> None:
    ledger = Ledger()
    play(nested(TOP, "w", Canned(), "hi", ledger))
    assert ledger.sub_agents[0].model == "Canned" and ledger.still_running == ("w/bash",)


def test_its_events_stand_under_its_name() -> None:
    def flow(*, streaming: bool) -> Flow[Any]:
        return nested(AUDIENCE if streaming else TOP, "w", run_of(Fake("a b")), "hi", Ledger())

    class Target:
        def flow(self, *_: Any, streaming: bool = False, **__: Any) -> Flow[Any]:
            return flow(streaming=streaming)

    events = list(Simulator().stream(Target()))
    assert all(isinstance(one, SubAgentEvent) and one.path == ("w",) for one in events)
    assert [one.event.delta for one in events if isinstance(one.event, AssistantText)] == ["a", " b"]


def test_a_failure_is_raised_and_what_it_used_is_booked() -> None:
    ledger = Ledger()
    with pytest.raises(ProviderError, match="no") as caught:
        play(nested(TOP, "w", run_of(Fake(script=[ProviderError("no", status=400)])), "hi", ledger))
    assert caught.value.usage == ONE == ledger.usage and len(ledger.sub_agents) == 1


def test_options_that_cannot_be_are_raised_when_it_is_driven() -> None:
    flow = nested(TOP, "w", run_of(Fake()), 7, Ledger())  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="prompt should be"):
        play(flow)


def test_a_cancelled_one_is_a_cancel_of_who_runs_it_with_what_there_was() -> None:
    ledger = Ledger()
    agent = SingleAgent(Fake("ok", delay_ms=1000))
    with pytest.raises(Cancelled) as caught:
        play(nested(TOP, "w", agent, "hi", ledger), Faults(cancel_at=0.5))
    assert caught.value.partial.stop_reason == "cancelled"
    assert [one.path for one in ledger.sub_agents] == [("w",)]


def test_one_that_runs_out_of_its_time_is_booked_once_and_its_result_goes_on() -> None:
    ledger = Ledger()
    agent = SingleAgent(Fake(script=[[TextPart(text="I try"), call("c", "rest")]]), tools=[rest])
    with pytest.raises(TimedOut) as caught:
        play(within(3, nested(TOP, "w", agent, "hi", ledger)))
    assert caught.value.partial.text == "I try" and ledger.usage == ONE
    check_history(caught.value.partial.new_messages)


@pytest.mark.parametrize(
    ("waiting", "words"),
    [(dangerous, "approval callback"), (Tool.external("dangerous", "", {}), "performed elsewhere")],
)
def test_one_that_waits_for_the_outside_is_an_error_that_says_what_to_do(waiting: Tool, words: str) -> None:
    ledger = Ledger()
    agent = SingleAgent(Fake(script=[[call("c", "dangerous")]]), tools=[waiting])
    with pytest.raises(ToolError, match=f"w waits for .*dangerous.*{words}") as caught:
        play(nested(TOP, "w", agent, "hi", ledger))
    assert ledger.usage == ONE and caught.value.partial.pending


# as_tool


def caller(worker: Orchestrator[Any], *, script: list[Reply] | None = None, **options: Any) -> SingleAgent:
    replies = script or [[call("c", "worker", prompt="task")], "done"]
    return SingleAgent(Priced(*replies), tools=[worker.as_tool("worker", **options)])


def ask(agent: SingleAgent, **options: Any) -> RunResult:
    result = Simulator(faults=options.pop("faults", None)).run(agent, "go", **options)
    check_history(result.new_messages)
    return result


def test_the_tool_is_named_after_the_class_and_says_what_it_wants() -> None:
    made = SingleAgent(Fake()).as_tool()
    assert made.name == "single_agent" and list(made.schema.input_schema["properties"]) == ["prompt"]
    other = SingleAgent(Fake()).as_tool(
        "ask", "Ask it.", read_only=True, approval=True, timeout=3, max_output=9
    )
    assert (other.name, other.schema.description, other.read_only, other.approval) == (
        "ask",
        "Ask it.",
        True,
        True,
    )
    assert (other.timeout, other.max_output) == (3, 9)


def test_its_answer_is_the_result_of_the_call_and_what_it_used_is_the_callers() -> None:
    model = Recorded("found")
    model.capabilities = Priced("").capabilities
    result = ask(caller(SingleAgent(model, system="You search.")))
    assert [part.result for part in results(result.new_messages)] == ["found"]
    assert [message.text for message in model.requests[0].messages] == ["You search.", "task"]
    assert result.usage == Usage(input_tokens=3, output_tokens=3) and result.cost_usd == 3.0
    assert [(one.path, one.usage) for one in result.sub_agents] == [(("worker:c",), ONE)]


def test_what_it_has_left_running_is_the_callers_too() -> None:
    assert ask(caller(Canned())).still_running == ("worker:c/bash",)


def test_its_events_are_in_the_callers_stream() -> None:
    inner = [one for one in events_of(caller(SingleAgent(Fake("found"))), "go") if type(one) is SubAgentEvent]
    assert {one.path for one in inner} == {("worker:c",)}
    assert [one.event.text for one in inner if isinstance(one.event, Final)] == ["found"]


def test_it_works_for_whom_its_caller_works() -> None:
    seen: list[Principal] = []

    @tool
    def who(context: ToolContext) -> str:
        seen.append(context.principal)
        return "ok"

    worker = SingleAgent(Fake(script=[[call("w", "who")], "ok"]), tools=[who])
    ask(caller(worker), tenant_id="acme", user_id="ann")
    assert [(one.tenant_id, one.user_id) for one in seen] == [("acme", "ann")]


@pytest.mark.parametrize(
    ("worker", "words"),
    [
        (SingleAgent(Fake(script=[ProviderError("out of order")])), "Sub-agent error: out of order"),
        (SingleAgent(Fake(script=[Truncated("half")])), "it last said: half"),
        (SingleAgent(Fake(script=[[call("x", "dangerous")]]), tools=[dangerous]), "approval callback"),
        (
            SingleAgent(Fake(script=[[TextPart(text="hm"), call("x", "nope")]]), max_steps=2),
            "stopped after 2 steps",
        ),
    ],
)
def test_anything_but_an_answer_is_an_error_result(worker: SingleAgent, words: str) -> None:
    result = ask(caller(worker))
    [part] = results(result.new_messages)
    assert part.is_error and words in part.result and result.text == "done"
    assert result.sub_agents[0].usage.output_tokens


def test_a_cancel_stops_it_and_its_last_words_are_in_the_result() -> None:
    worker = SingleAgent(Fake(script=[[TextPart(text="so far"), call("x", "rest")], "late"]), tools=[rest])
    result = ask(caller(worker), faults=Faults(cancel_at=1))
    [part] = results(result.new_messages)
    assert result.stop_reason == "cancelled" and part.is_error and "so far" in part.result
    assert result.usage == Usage(input_tokens=2, output_tokens=2)


def test_its_time_is_the_tools() -> None:
    worker = SingleAgent(Fake(script=[[TextPart(text="so far"), call("x", "rest")], "late"]), tools=[rest])
    result = ask(caller(worker, timeout=2))
    [part] = results(result.new_messages)
    assert result.text == "done" and "timed out" in part.result and "so far" in part.result


class Later(Orchestrator):
    """Stands for an orchestrator that is made after it."""

    target: SingleAgent

    def perform(self, prompt: Prompt, place: Place, **options: Any) -> Flow[RunResult]:
        return self.target.perform(prompt, place, **options)


def test_one_that_calls_itself_comes_to_an_end() -> None:
    def answer(request: ChatRequest) -> Reply:
        return "done" if request.messages[-1].role is Role.TOOL else [call("c", "myself", prompt="again")]

    later, model = Later(), Fake(script=answer)
    later.target = SingleAgent(model, tools=[later.as_tool("myself")])
    events = events_of(later.target, "go")
    refused = [one for one in events if "agents already stand" in repr(one)]
    assert refused and all(len(one.path) == MAX_DEPTH for one in refused if isinstance(one, SubAgentEvent))
    assert model.call_count == 2 * (MAX_DEPTH + 1) and events[-1].text == "done"


def test_two_of_them_work_side_by_side() -> None:
    worker = SingleAgent(Fake("ok", delay_ms=1000))
    both: list[Reply] = [[call("a", "worker", prompt="1"), call("b", "worker", prompt="2")], "done"]
    simulator = Simulator()
    result = simulator.run(caller(worker, script=both), "go")
    assert simulator.now == 1.0 and [one.path for one in result.sub_agents] == [("worker:a",), ("worker:b",)]


def test_it_can_be_called_where_no_agent_is() -> None:
    made = SingleAgent(Fake("found")).as_tool("worker")
    context = ToolContext("c", "worker", 1, "run", Principal(), depth=1)
    output = play(made.invoke({"prompt": "task"}, lambda: context))
    assert output.value == "found"
    deep = ToolContext("c", "worker", 1, "run", Principal(), depth=MAX_DEPTH)
    assert Playbook(made.invoke({"prompt": "task"}, lambda: deep)).returns().is_error


def test_a_conversation_goes_on_after_it() -> None:
    agent = caller(SingleAgent(Fake("found")), script=[[call("c", "worker", prompt="task")], "done", "again"])
    first = ask(agent)
    result = Simulator().run(agent, "more", history=first.new_messages)
    check_history([*first.new_messages, *result.new_messages])
    assert result.text == "again" and result.new_messages[0] == Message.user("more")
