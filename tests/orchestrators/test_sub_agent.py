"""Sub-agents: what a child gets of its parent, and what the parent gets of its child."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tako.cancellation import CancellationToken
from tako.effects import Flow, Sleep
from tako.errors import InvalidInput, ProviderError
from tako.events import Final, SubAgentEvent, ToolCallResult
from tako.models import Capabilities, ChatRequest, ChatResponse, Message, Role, Thinking, Usage
from tako.orchestrators.decisions import Approved, Denied
from tako.orchestrators.result import RunResult
from tako.orchestrators.single_agent import SingleAgent
from tako.orchestrators.sub_agent import SubAgent
from tako.providers.fake import Fake, Reply
from tako.steering import PLAN, InterruptOutcome, Mode, Steering
from tako.testing.faults import Faults
from tako.testing.simulator import Simulator
from tako.tools import CallPattern, Tool, ToolPolicy, tool
from tests.orchestrators.kit import assert_replayable, call, events_of, results


@tool(read_only=True)
def look(at: int) -> str:
    return f"seen {at}"


@tool
def change(to: int) -> str:
    return f"changed to {to}"


def unseen(event: SubAgentEvent) -> None:
    """A trace that only has to be there."""


class Family(Fake):
    """One model for parent and children: whose turn it is shows in the first message.

    The parent is asked "go", and a child what its parent has put into the prompt. Each plays its own
    script, by the number of answers that the conversation has.
    """

    def __init__(self, **scripts: list[Reply]) -> None:
        self.requests: dict[str, list[ChatRequest]] = {}

        def answer(request: ChatRequest) -> Reply:
            name = next(message.text for message in request.messages if message.role is Role.USER)
            self.requests.setdefault(name, []).append(request)
            turn = sum(message.role is Role.ASSISTANT for message in request.messages)
            return scripts[name][min(turn, len(scripts[name]) - 1)]

        super().__init__(script=answer)


def delegates(*prompts: str, **more: Any) -> list[Reply]:
    return [[call(f"c{index}", "agent", prompt=one, **more) for index, one in enumerate(prompts)], "done"]


def run(agent: SingleAgent[Any], prompt: Any = "go", **options: Any) -> RunResult[Any]:
    result: RunResult[Any] = Simulator().run(agent, prompt, **options)
    assert_replayable(result.new_messages)
    return result


def test_the_answer_of_the_child_is_the_result_of_the_call() -> None:
    model = Family(go=delegates("task"), task=[call("x", "look", at=1), "I saw it"])
    result = run(SingleAgent(model, tools=[look, SubAgent()]))
    assert [part.result for part in results(result.new_messages)] == ["I saw it"]
    assert [message.text for message in model.requests["task"][0].messages] == ["task"]


def test_what_it_has_used_is_added_and_listed() -> None:
    model = Family(go=delegates("one", "two"), one=[call("x", "look", at=1), "ok"], two=["ok"])
    result = run(SingleAgent(model, tools=[look, SubAgent()]))
    assert result.usage == Usage(input_tokens=5, output_tokens=5)
    assert result.run is not None and result.run.own_usage == Usage(input_tokens=2, output_tokens=2)
    assert [(one.path, one.usage.input_tokens, one.steps) for one in result.sub_agents] == [
        (("agent:c0",), 2, 2),
        (("agent:c1",), 1, 1),
    ]


class Priced(Fake):
    """A model that has a price."""

    def __init__(self, price: float | None, **options: Any) -> None:
        super().__init__(**options)
        self.capabilities = Capabilities(
            usd_per_input_mtok=price, usd_per_output_mtok=None if price is None else 0.0
        )


@pytest.mark.parametrize(("price", "cost"), [(2_000_000.0, 4.0), (None, None)])
def test_the_cost_is_that_of_the_whole_family(price: float | None, cost: float | None) -> None:
    parent = Priced(1_000_000.0, script=delegates("task"))
    child = Priced(price, canned_text="ok")
    result = run(SingleAgent(parent, tools=[look, SubAgent(provider=child)]))
    assert result.cost_usd == cost
    assert [one.cost_usd for one in result.sub_agents] == [None if price is None else 2.0]


def test_its_events_are_in_the_parents_stream_and_its_trace_under_a_path() -> None:
    seen: list[SubAgentEvent] = []
    model = Family(
        go=delegates("mid"), mid=[call("m", "agent", prompt="leaf"), "mid done"], leaf=["leaf done"]
    )
    agent = SingleAgent(model, tools=[SubAgent(trace=seen.append)])
    events = events_of(agent, "go")
    inner = [event for event in events if isinstance(event, SubAgentEvent)]
    finals = {event.path: event.event.text for event in inner if isinstance(event.event, Final)}
    assert finals == {("agent:c0",): "mid done", ("agent:c0", "agent:m"): "leaf done"}
    assert not any(isinstance(event.event, SubAgentEvent) for event in inner)
    # The outer child's trace saw all of them; the inner one's, its own from where it stands.
    assert [event for event in seen if event.path[0] == "agent:c0"] == inner
    assert {event.path for event in seen} == {("agent:c0",), ("agent:c0", "agent:m"), ("agent:m",)}


def test_a_trace_sees_everything_also_where_nobody_streams() -> None:
    seen: list[SubAgentEvent] = []
    model = Family(go=delegates("task"), task=[call("x", "change", to=1), "ok"])
    run(SingleAgent(model, tools=[change, SubAgent(trace=seen.append)]))
    assert any(isinstance(event.event, ToolCallResult) for event in seen)


def test_a_trace_that_fails_ends_the_child() -> None:
    def broken(event: SubAgentEvent) -> None:
        raise OSError("the log is full")

    model = Family(go=delegates("task"), task=[call("x", "change", to=1), "ok"])
    [part] = results(run(SingleAgent(model, tools=[change, SubAgent(trace=broken)])).new_messages)
    assert part.is_error and "the log is full" in part.result


@pytest.mark.parametrize(
    "make",
    [
        lambda: SingleAgent(Fake(), tools=[look, change, SubAgent()]),
        lambda: SingleAgent(Fake(), tools=[look, SubAgent(tools=[change])]),
        lambda: SingleAgent(Fake(), tools=[change, SubAgent(tools_allow=["ch*"])]),
        lambda: SingleAgent(Fake(), tools=[SubAgent(trace=unseen, tools=[SubAgent(tools=[change])])]),
    ],
)
def test_a_child_that_could_change_something_unseen_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(InvalidInput, match=r"may call change, which change something.*trace="):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: SingleAgent(Fake(), tools=[look, change, SubAgent(tools_allow=["look"])]),
        lambda: SingleAgent(Fake(), tools=[look, change, SubAgent()], policy=ToolPolicy(deny=["change"])),
        lambda: SingleAgent(Fake(), tools=[look, change, SubAgent(trace=unseen)]),
        lambda: SingleAgent(Fake(), tools=[look, SubAgent(), SubAgent(name="other")]),
        lambda: SingleAgent(
            Fake(), tools=[SubAgent(tools=[SubAgent(tools=[change])], tools_allow=["agent"])]
        ),
    ],
)
def test_a_child_that_only_reads_or_is_seen_is_fine(make: Callable[[], Any]) -> None:
    make()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"provider": "openai:gpt-5"}, "provider must be"),
        ({"trace": "log"}, "trace should be a function"),
        ({"approval": 5}, "approval should be a function"),
        ({"needs_approval": "never"}, "needs_approval should be one of"),
        ({"max_steps": 0}, "max_steps"),
        ({"tools_allow": "look"}, "allow should be a list"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        SubAgent(**wrong)


def test_a_policy_can_only_lose() -> None:
    model = Family(go=delegates("task"), task=[[call("x", "change", to=1), call("y", "look", at=1)], "tried"])
    child = SubAgent(trace=unseen, tools_allow=["change"])
    seen = events_of(
        SingleAgent(model, tools=[look, change, child], policy=ToolPolicy(deny=["change"])), "go"
    )
    inner = [one.event for one in seen if isinstance(one, SubAgentEvent)]
    told = [event for event in inner if isinstance(event, ToolCallResult)]
    assert [(one.name, one.is_error) for one in told] == [("change", True), ("look", True)]


@pytest.mark.parametrize(("hides", "shown"), [(False, ["agent", "change", "look"]), (True, ["look"])])
def test_definitions_are_the_parents_or_hidden(hides: bool, shown: list[str]) -> None:
    model = Family(go=delegates("task"), task=["ok"])
    child = SubAgent(tools_allow=["look"], filter_tool_definitions=hides)
    run(SingleAgent(model, tools=[look, change, child]))
    assert [schema.name for schema in model.requests["task"][0].tools] == shown


def test_its_own_model_system_thinking_and_limits_reach_its_requests_alone() -> None:
    model = Family(go=delegates("task"), task=["ok"])
    child = SubAgent(
        model="small", system="You look.", thinking=Thinking(effort="low"), max_tokens=77, temperature=0.5
    )
    agent = SingleAgent(model, tools=[look, child], model="large", thinking=Thinking(effort="high"))
    run(agent)
    [request], parent = model.requests["task"], model.requests["go"][0]
    assert (request.model, request.max_tokens, request.temperature) == ("small", 77, 0.5)
    assert request.messages[0] == Message.system("You look.")
    assert request.thinking == Thinking(effort="low") and parent.thinking == Thinking(effort="high")
    assert (parent.model, parent.max_tokens) == ("large", None)


def test_the_model_may_say_who_the_child_is_and_the_parents_model_goes_on() -> None:
    model = Family(go=delegates("task", system="You are a pirate."), task=["ok"])
    run(SingleAgent(model, tools=[SubAgent(system="You look.")], model="large"))
    [request] = model.requests["task"]
    assert request.messages[0] == Message.system("You are a pirate.")
    assert (request.model, request.max_tokens) == ("large", 4096)


def test_depth_has_a_limit() -> None:
    scripts: dict[str, list[Reply]] = {
        name: [call("c", "agent", prompt=below), f"{name} done"]
        for name, below in (("go", "one"), ("one", "two"), ("two", "three"), ("three", "four"))
    }
    model = Family(**scripts)
    events = events_of(SingleAgent(model, tools=[SubAgent()]), "go")
    told = [event for event in events if isinstance(event, SubAgentEvent)]
    deepest = [one for one in told if isinstance(one.event, ToolCallResult) and len(one.path) == 3]
    assert [(one.event.is_error, one.event.result) for one in deepest] == [  # type: ignore[union-attr]
        (True, "Max sub-agent depth (3) reached. Cannot spawn further sub-agents.")
    ]
    assert "four" not in model.requests
    [part] = results(run(SingleAgent(Family(**scripts), tools=[SubAgent()], max_depth=0)).new_messages)
    assert part.is_error and "depth (0)" in part.result


# How a child ends when it does not end well.


def test_a_child_that_fails_is_an_error_result_and_its_usage_counts() -> None:
    model = Family(
        go=delegates("task"), task=[call("x", "look", at=1), ProviderError("overloaded", status=529)]
    )
    result = run(SingleAgent(model, tools=[look, SubAgent()]))
    [part] = results(result.new_messages)
    assert part.is_error and part.result.startswith("Sub-agent error: overloaded")
    assert result.usage.input_tokens == 4, "an answer that failed is counted by this model, too"


def test_a_child_that_is_not_done_in_time_says_what_it_had() -> None:
    looking: Reply = [Message.assistant("still looking").content[0], call("x", "look", at=1)]
    model = Family(go=delegates("task"), task=[looking])
    [part] = results(run(SingleAgent(model, tools=[look, SubAgent(max_steps=2)])).new_messages)
    assert part.is_error
    assert part.result == "Sub-agent stopped after 2 steps, before it was done; it last said: still looking"


class Slow(Family):
    """The child's model takes a second."""

    def chat_flow(self, request: ChatRequest) -> Flow[ChatResponse]:
        if request.messages[-1].text == "task":
            yield Sleep(1.0)
        return (yield from super().chat_flow(request))


def test_a_cancel_reaches_the_child() -> None:
    token = CancellationToken()
    simulator = Simulator(faults=Faults(cancel_at=0.5))
    model = Slow(go=delegates("task"), task=["never"])
    result = simulator.run(SingleAgent(model, tools=[look, SubAgent()]), "go", cancel=token)
    assert (result.stop_reason, simulator.now) == ("cancelled", 0.5)
    assert results(result.new_messages)[0].is_error
    assert_replayable(result.new_messages)


def test_a_child_can_be_interrupted_alone() -> None:
    steering = Steering()
    outcomes: list[InterruptOutcome] = []
    faults = Faults(cancel_at=0.5, instead=lambda: outcomes.append(steering.interrupt_tool("c0")))
    model = Slow(go=delegates("task"), task=["never"])
    result = Simulator(faults=faults).run(
        SingleAgent(model, tools=[look, SubAgent()]), "go", steering=steering
    )
    assert (outcomes, result.text, result.stop_reason) == ([InterruptOutcome.INTERRUPTED], "done", "stop")
    assert results(result.new_messages)[0].result.startswith("cancelled: the user interrupted this call")


# Approvals of children.


def pays(**options: Any) -> tuple[Family, SingleAgent[None]]:
    model = Family(
        go=delegates("one", "two"),
        one=[[call("x", "change", to=1), call("y", "look", at=1)], "one done"],
        two=[call("x", "change", to=2), "two done"],
    )
    child = SubAgent(trace=unseen, **options.pop("child", {}))
    needs: Any = lambda asked, one: one.name == "change"  # noqa: E731
    return model, SingleAgent(model, tools=[look, change, child], needs_approval=needs, **options)


def test_children_that_wait_are_asked_about_at_once_and_go_on_in_another_process() -> None:
    model, agent = pays()
    first = run(agent)
    assert first.stop_reason == "approval_required"
    assert [(one.path, one.call.id) for one in first.pending] == [(("agent:c0",), "x"), (("agent:c1",), "x")]
    assert first.run is not None
    paused = agent.load(first.run.dumps())
    with pytest.raises(InvalidInput, match="several calls 'x' wait, of different agents"):
        paused.answer("x", Approved())
    one, two = paused.pending
    paused.answer(two, Denied(reason="not two"))
    paused = agent.load(paused.dumps())
    assert [waiting.path for waiting in paused.pending] == [("agent:c0",)]
    paused.answer(one, Approved())
    result = run(agent, agent.load(paused.dumps()))
    assert result.stop_reason == "stop"
    assert [part.result for part in results(result.new_messages)] == ["one done", "two done"]
    told = [results(model.requests[name][-1].messages) for name in ("one", "two")]
    assert [[part.result for part in parts] for parts in told] == [
        ["changed to 1", "seen 1"],
        ["approval denied: not two"],
    ]
    assert result.usage.input_tokens == 6, "the calls before the pause and after it"


def test_a_child_that_waits_keeps_the_answered_ones_of_its_batch() -> None:
    model, agent = pays()
    paused = run(agent).run
    assert paused is not None
    again = run(agent, paused)
    assert (again.stop_reason, len(again.pending)) == ("approval_required", 2)
    assert len(model.requests["one"]) == 1, "nobody was asked again"


def test_its_own_approval_is_for_the_child_alone() -> None:
    asked: list[tuple[str, ...]] = []
    _, agent = pays(
        child={"approval": lambda request: True}, approval=lambda request: asked.append(request.path)
    )
    assert run(agent).stop_reason == "stop" and asked == []


def test_the_parents_approval_is_asked_with_the_path() -> None:
    asked: list[tuple[tuple[str, ...], str]] = []

    def approve(request: Any) -> bool:
        asked.append((request.path, request.principal.tenant_id))
        return True

    _, agent = pays(approval=approve)
    assert run(agent, tenant_id="acme").stop_reason == "stop"
    assert sorted(asked) == [(("agent:c0",), "acme"), (("agent:c1",), "acme")]


def test_what_is_remembered_in_a_child_holds_for_the_family() -> None:
    def approve(request: Any) -> Approved:
        return Approved(remember=CallPattern.of("change"))

    _, agent = pays(approval=approve)
    result = run(agent)
    assert [str(entry.pattern) for entry in result.remembered] == ["change"]


def test_the_mode_in_force_reaches_the_child() -> None:
    careful = Mode("careful", policy=ToolPolicy(deny=["change"]))
    model = Family(go=delegates("task"), task=[call("x", "change", to=1), "tried"])
    agent = SingleAgent(model, tools=[change, SubAgent(trace=unseen)])
    run(agent, steering=Steering(mode=careful))
    [part] = results(model.requests["task"][-1].messages)
    assert part.is_error and "not allowed by policy" in part.result


def test_a_child_that_is_said_to_read_only_is_held_to_it() -> None:
    child = SubAgent(tools_allow=["look"], read_only=True)
    model = Family(go=delegates("task"), task=["ok"])
    agent = SingleAgent(model, tools=[look, change, child], needs_approval="mutating")
    assert run(agent, steering=Steering(mode=PLAN)).text == "done"
    for other in (SubAgent(read_only=True, trace=unseen), SubAgent(read_only=True, tools_allow=["agent*"])):
        deep = SubAgent(name="agent_2", trace=unseen)
        with pytest.raises(InvalidInput, match="said to be read_only, but may call"):
            SingleAgent(model, tools=[look, change, other, deep])


def test_what_a_child_left_running_is_told_with_its_path() -> None:
    model = Family(go=delegates("task"), task=[call("x", "look", at=1), "never"])
    faults = Faults(call_seconds=60, cancel_at=1)
    result = Simulator(faults=faults).run(SingleAgent(model, tools=[look, SubAgent()]), "go")
    assert (result.stop_reason, result.still_running) == ("cancelled", ("agent:c0/look",))


def test_a_sub_agent_needs_an_agent_around_it() -> None:
    from tako.models import Principal
    from tako.tools import ToolContext

    def context() -> ToolContext:
        return ToolContext(call_id="1", tool_name="agent", step=1, run_id="r", principal=Principal())

    tool_alone: Tool = SubAgent()
    with pytest.raises(InvalidInput, match="runs inside an agent"):
        Simulator().run(tool_alone.invoke({"prompt": "x"}, context))
