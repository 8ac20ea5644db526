"""Runs that wait for the outside: paused, written, read, answered in parts, and gone on with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.effects import Flow, Sleep
from tako.events import ToolCallDecided, ToolCallResult, TurnInterrupted
from tako.models import ToolCallPart
from tako.orchestrators.agent_run import AgentRun
from tako.orchestrators.decisions import Answered, Approved, Decision, Denied
from tako.orchestrators.result import RunResult
from tako.orchestrators.single_agent import SingleAgent
from tako.orchestrators.sub_agent import SubAgent
from tako.providers.fake import Fake
from tako.steering import PLAN, ContinuationGuard, Mode, Snapshot, Steering
from tako.testing.faults import Faults
from tako.testing.simulator import Deadlock, Simulator
from tako.tools import CallPattern, Tool, ToolPolicy, tool
from tests.orchestrators.kit import assert_replayable, call, events_of, kinds, results
from tests.orchestrators.test_sub_agent import Family, delegates, look, unseen

RAN: list[Any] = []


@tool(approval=True)
def pay(amount: int) -> str:
    RAN.append(amount)
    return f"paid {amount}"


ask = Tool.external("ask", "Ask a person.", {"type": "object"})


def run(agent: SingleAgent[Any], prompt: Any = "go", **options: Any) -> RunResult[Any]:
    result: RunResult[Any] = Simulator().run(agent, prompt, **options)
    assert_replayable(result.new_messages)
    return result


def waiting(result: RunResult[Any]) -> AgentRun:
    assert result.run is not None and result.pending
    return result.run


def nested(**options: Any) -> tuple[Family, SingleAgent[None]]:
    """A parent, two children; one has a child of its own that pays twice, in two steps."""
    RAN.clear()
    model = Family(
        go=delegates("mid", "two"),
        mid=[[call("m", "agent", prompt="leaf"), call("p", "pay", amount=1)], "mid done"],
        leaf=[call("p", "pay", amount=2), call("p", "pay", amount=3), "leaf done"],
        two=[call("p", "pay", amount=4), "two done"],
    )
    return model, SingleAgent(model, tools=[pay, SubAgent(trace=unseen)], **options)


def answer_all(agent: SingleAgent[Any], result: RunResult[Any], *, journeys: bool) -> RunResult[Any]:
    """Say yes until nobody asks any more; each answer, if need be, in another process."""
    for _ in range(10):
        if result.stop_reason != "approval_required":
            return result
        paused = waiting(result)
        for pending in result.pending:
            paused = agent.load(paused.dumps()) if journeys else paused
            paused.answer(pending, Approved())
        result = run(agent, agent.load(paused.dumps()) if journeys else paused)
    raise AssertionError("it never ends")


@pytest.mark.parametrize("journeys", [False, True])
def test_children_of_children_that_pause_more_than_once(journeys: bool) -> None:
    model, agent = nested()
    first = run(agent)
    assert [(one.path, one.call.args["amount"]) for one in first.pending] == [
        (("agent:c0",), 1),
        (("agent:c0", "agent:m"), 2),
        (("agent:c1",), 4),
    ]
    result = answer_all(agent, first, journeys=journeys)
    assert result.stop_reason == "stop" and sorted(RAN) == [1, 2, 3, 4]
    assert [part.result for part in results(result.new_messages)] == ["mid done", "two done"]
    asked = sum(len(requests) for requests in model.requests.values())
    assert result.usage.input_tokens == asked == 9, "each question to the model once"
    [mid, two] = result.sub_agents
    assert mid.sub_agents[0].path == ("agent:c0", "agent:m")
    assert (mid.usage.input_tokens, mid.sub_agents[0].usage.input_tokens, two.steps) == (5, 3, 2)


def test_a_resumed_child_that_is_cancelled_keeps_what_it_has_used() -> None:
    model, agent = nested()
    paused = waiting(run(agent))
    for pending in paused.pending:
        paused.answer(pending, Denied())
    text = paused.dumps()
    simulator = Simulator()
    simulator.run(agent, agent.load(text))
    for number in range(len(simulator.trace) + 1):
        before = sum(len(requests) for requests in model.requests.values())
        stopped: RunResult[Any] = Simulator(faults=Faults(cancel_after=number)).run(agent, agent.load(text))
        assert_replayable(stopped.new_messages)
        asked = sum(len(requests) for requests in model.requests.values()) - before
        assert stopped.usage.input_tokens == 4 + asked
        assert stopped.run is not None
        assert agent.load(stopped.run.dumps()).usage == stopped.usage


@pytest.mark.parametrize("edited_by", ["callback", "answer"])
def test_a_child_whose_prompt_was_edited_goes_on_after_a_pause(edited_by: str) -> None:
    """The model's own arguments do not fit: only what they were edited to does."""
    model = Family(go=[call("c", "agent", task="?"), "done"], better=[call("x", "ask"), "ok"])
    edited = Approved(args={"prompt": "better"})
    agent = SingleAgent(
        model,
        tools=[ask, SubAgent(trace=unseen)],
        needs_approval=lambda asked, one: one.name == "agent",
        approval=(lambda request: edited) if edited_by == "callback" else None,
    )
    result = run(agent)
    if edited_by == "answer":
        paused = waiting(result)
        paused.answer("c", edited)
        result = run(agent, agent.load(paused.dumps()))
    assert result.stop_reason == "result_required"
    paused = agent.load(waiting(result).dumps())
    paused.answer("x", Answered(result="42"))
    result = run(agent, paused)
    assert [part.result for part in results(result.new_messages)] == ["ok"]


def test_a_call_that_is_under_way_does_not_wait_for_approval_again() -> None:
    """It was allowed by the mode of its time; what is pending is what its agent waits for."""
    model = Family(go=delegates("task"), task=[call("x", "ask"), call("y", "ask"), "ok"])
    agent = SingleAgent(
        model,
        tools=[ask, SubAgent(trace=unseen)],
        needs_approval=lambda asked, one: one.name == "agent",
    )
    easy = Mode("easy", approves=("agent",))
    paused = waiting(run(agent, steering=Steering(mode=easy)))
    paused.answer("x", Answered(result="1"))
    again = run(agent, paused, steering=Steering())
    assert [(one.path, one.call.id) for one in again.pending] == [(("agent:c0",), "y")]


def test_a_call_that_was_edited_runs_as_edited_also_where_nobody_has_to_approve_it_any_more() -> None:
    """The agent was changed between the pause and the answer; what the person said still holds."""

    @tool
    def change(to: int) -> int:
        return to

    model = Family(go=[call("1", "change", to=1000), "done"])
    paused = waiting(run(SingleAgent(model, tools=[change], needs_approval="mutating")))
    paused.answer("1", Approved(args={"to": 5}))
    result = run(SingleAgent(model, tools=[change]), paused)
    assert results(result.new_messages)[0].result == 5


def test_only_an_agent_can_be_under_way() -> None:
    """The tool of that name runs no agent any more, or never did: its call is asked about as any other."""
    ran: list[str] = []

    @tool(approval=True)
    def agent(prompt: str) -> None:
        ran.append(prompt)

    model = Family(go=delegates("x"), x=[call("a", "ask"), "ok"])
    begun = waiting(run(SingleAgent(model, tools=[ask, SubAgent(trace=unseen)])))
    begun.answer("a", Answered(result="1"))
    changed = SingleAgent(model, tools=[ask, agent])
    result = run(changed, changed.load(begun.dumps()))
    assert (result.stop_reason, ran) == ("approval_required", [])


@pytest.mark.parametrize("seed", range(4))
def test_a_child_goes_on_alone_also_in_a_mode_that_would_refuse_to_begin_with_it(seed: int) -> None:
    """A refused call holds nobody up; this one runs, and stays in its place."""
    log: list[str] = []
    alone = Mode("alone", policy=ToolPolicy(deny=["agent"]))

    @tool(read_only=True)
    def see() -> None:
        log.append("seen")

    @tool
    def work() -> Iterator[None]:
        yield
        log.append("worked")

    model = Family(
        go=[[call("c", "agent", prompt="task"), call("s", "see")], "done"],
        task=[call("x", "ask"), call("w", "work"), "ok"],
    )
    agent = SingleAgent(model, tools=[ask, see, work, SubAgent(trace=unseen)])
    paused = waiting(run(agent))
    paused.answer("x", Answered(result="1"))
    result = Simulator(seed).run(agent, paused, steering=Steering(mode=alone))
    assert ([part.result for part in results(result.new_messages)], log) == (["ok", None], ["worked", "seen"])


def test_a_denied_sub_agent_never_runs() -> None:
    model = Family(go=delegates("task"), task=["ok"])
    agent = SingleAgent(model, tools=[look, SubAgent()], needs_approval=lambda asked, one: True)
    paused = waiting(run(agent))
    paused.answer("c0", Denied(reason="no agents"))
    result = run(agent, paused)
    assert [part.result for part in results(result.new_messages)] == ["approval denied: no agents"]
    assert "task" not in model.requests and result.sub_agents == ()


def test_a_denial_remembered_in_the_parent_binds_a_child_that_goes_on() -> None:
    RAN.clear()
    model = Family(
        go=[[*delegates("task")[0], call("p", "pay", amount=1)], "done"],  # type: ignore[misc]
        task=[call("x", "ask"), call("y", "pay", amount=2), "ok"],
    )
    agent = SingleAgent(model, tools=[ask, pay, SubAgent(trace=unseen)])
    paused = waiting(run(agent))
    paused.answer("p", Denied(reason="no more", remember=CallPattern.of("pay")))
    paused.answer("x", Answered(result="1"))
    result = run(agent, paused)
    assert (result.stop_reason, RAN) == ("stop", [])


def test_a_call_id_that_is_used_again_in_a_later_step_is_another_call() -> None:
    """The same id, the same agent, two steps: each has its own run, its own usage, its own pause."""
    model = Family(
        go=[call("c", "agent", prompt="one"), call("c", "agent", prompt="two"), "done"],
        one=[call("x", "ask"), "one done"],
        two=[call("x", "ask"), "two done"],
    )
    agent = SingleAgent(model, tools=[ask, SubAgent(trace=unseen)])
    result = run(agent)
    for answer in ("1", "2"):
        paused = agent.load(waiting(result).dumps())
        paused.answer("x", Answered(result=answer))
        result = run(agent, paused)
    assert [part.result for part in results(result.new_messages)] == ["one done", "two done"]
    assert [one.usage.input_tokens for one in result.sub_agents] == [2, 2]
    assert result.usage.input_tokens == 7


def test_what_was_answered_is_told_also_when_nothing_is_left_to_run() -> None:
    model = Family(go=[call("x", "ask"), "done"])
    agent = SingleAgent(model, tools=[ask])
    paused = waiting(run(agent))
    paused.answer("x", Answered(result="42"))
    told = [event for event in events_of(agent, agent.load(paused.dumps())) if event.kind != "assistant_text"]
    assert told[0] == ToolCallDecided(1, "ask", "x", True, "approval", "answered by somebody else")
    assert told[1] == ToolCallResult(1, "ask", "x", "42", False)
    assert kinds(told[2:]) == ["step_start", "final"]


def test_what_was_answered_is_told_once_however_often_the_run_goes_on() -> None:
    model = Family(
        go=[[call("c", "agent", prompt="task"), call("x", "ask")], "done"],
        task=[call("a", "ask"), call("b", "ask"), "ok"],
    )
    agent = SingleAgent(model, tools=[ask, SubAgent(trace=unseen)])
    result = run(agent)
    told: list[str] = []
    for answers in (["x", "a"], ["b"]):
        paused = agent.load(waiting(result).dumps())
        for id in answers:
            paused.answer(id, Answered(result=id))
        events = events_of(agent, paused)
        told += [event.id for event in events if isinstance(event, ToolCallResult)]
        result = events[-1].result
    assert (told, result.stop_reason) == (["x", "c"], "stop")


@given(st.permutations(["1", "2", "3"]), st.integers(1, 2), st.lists(st.booleans(), min_size=4, max_size=4))
def test_answers_in_any_order_and_in_parts(order: list[str], cut: int, journeys: list[bool]) -> None:
    RAN.clear()
    calls: list[ToolCallPart] = [call("1", "pay", amount=1), call("2", "ask"), call("3", "pay", amount=3)]
    agent = SingleAgent(Family(go=[calls, "done"]), tools=[pay, ask])
    decisions: dict[str, Decision] = {"1": Approved(), "2": Answered(result=2), "3": Denied(reason="no")}
    paused = waiting(run(agent))
    for number, id in enumerate(order):
        if number == cut:
            still = run(agent, paused)
            assert {one.call.id for one in still.pending} == set(order[cut:])
        paused.answer(id, decisions[id])
        if journeys[number]:
            paused = agent.load(paused.dumps())
    result = run(agent, paused.copy() if journeys[3] else paused)
    assert [part.result for part in results(result.new_messages)] == ["paid 1", 2, "approval denied: no"]
    assert (result.stop_reason, RAN) == ("stop", [1])


def test_a_call_whose_agent_has_begun_is_never_said_not_to_have_run() -> None:
    """Its agent may have changed something: a model that reads "not run" would do it again."""
    _, agent = nested()
    first = run(agent)
    waits = "not done yet: its agent has begun, and waits for an approval"
    assert [part.result for part in results(first.new_messages)] == [waits, waits]
    paused = waiting(first)
    for pending in paused.pending:
        paused.answer(pending, Denied())
    token = CancellationToken()
    token.cancel()
    stopped = run(agent, paused, cancel=token)
    words = "stopped before it was done; what its agent did until then has happened"
    assert [part.result for part in results(stopped.new_messages)] == [words, words]


# Written and read at any effect.


@pytest.mark.parametrize("steered", [False, True])
def test_a_run_with_children_can_be_written_at_every_effect(steered: bool) -> None:
    """What is lost with the process is begun again, and the end is the same."""
    _, agent = nested(approval=lambda request: True)

    def options() -> dict[str, Any]:
        return {"steering": Steering()} if steered else {}

    simulator = Simulator()
    whole = simulator.run(agent, "go", **options())
    for number in range(len(simulator.trace)):
        started = agent.start("go")
        with pytest.raises(Deadlock):
            Simulator(max_effects=number).run(agent, started, **options())
        resumed = run(agent, agent.load(started.dumps()), **options())
        assert resumed.new_messages == whole.new_messages
        assert (resumed.usage, resumed.stop_reason) == (whole.usage, "stop")


def test_a_resumed_run_can_be_written_at_every_effect() -> None:
    _, agent = nested()
    paused = waiting(run(agent))
    for pending in paused.pending:
        paused.answer(pending, Denied())
    text = paused.dumps()
    simulator = Simulator()
    whole = simulator.run(agent, agent.load(text))
    for number in range(len(simulator.trace)):
        started = agent.load(text)
        with pytest.raises(Deadlock):
            Simulator(max_effects=number).run(agent, started)
        resumed = run(agent, agent.load(started.dumps()))
        assert resumed.new_messages == whole.new_messages
        assert resumed.usage == whole.usage


# Turns that are interrupted.


def test_an_interrupted_turn_is_told_of_by_its_own_number() -> None:
    """The call gets its result, so the run stands before the next step already; the turn was the first."""

    def slow() -> Flow[str]:
        yield Sleep(1.0)
        return "slow"

    steering = Steering()
    simulator = Simulator(faults=Faults(cancel_at=0.5, instead=steering.interrupt_turn))
    agent = SingleAgent(Family(go=[call("s", "slow"), "done"]), tools=[Tool.from_flow(slow)])
    events = list(simulator.stream(agent, "go", steering=steering))
    [told] = [event for event in events if isinstance(event, TurnInterrupted)]
    assert told.step == 1 and told.turn_id.endswith("_1")
    assert events[-1].result.stop_reason == "interrupted"


def test_a_cancelled_token_stops_a_resumed_run_before_its_first_effect() -> None:
    _, agent = nested()
    paused = waiting(run(agent))
    for pending in paused.pending:
        paused.answer(pending, Approved())
    token = CancellationToken()
    token.cancel()
    result = run(agent, paused, cancel=token)
    assert (result.stop_reason, RAN, result.pending) == ("cancelled", [], ())
    assert result.usage.input_tokens == 4


def test_a_resumed_run_is_in_the_mode_of_its_new_handle() -> None:
    RAN.clear()
    agent = SingleAgent(Family(go=[call("p", "pay", amount=1), "done"]), tools=[pay])
    paused = waiting(run(agent))
    paused.answer("p", Approved())
    result = run(agent, paused, steering=Steering(mode=PLAN))
    assert results(result.new_messages)[0].is_error and RAN == []


def test_what_was_said_before_a_turn_was_interrupted_is_kept() -> None:
    steering = Steering()
    agent = SingleAgent(Fake("one two three four", delay_ms=100))
    said: list[str] = []
    simulator = Simulator()
    stream = simulator.stream(agent, "go", steering=steering)
    for event in stream:
        if event.kind == "assistant_text" and not said:
            said.append(event.delta)
            steering.interrupt_turn()
    result = stream.result
    assert result.stop_reason == "interrupted" and said[0] and result.text.startswith(said[0])
    assert result.steps == 1


def test_the_end_of_a_turn_is_looked_at_once_also_when_the_run_goes_on() -> None:
    seen: list[int] = []

    def decide(snapshot: Snapshot) -> Literal["stop"]:
        seen.append(snapshot.step)
        if snapshot.step == 1:
            steering.queue("and then?")
        return "stop"

    steering = Steering()
    steering.add_guard(ContinuationGuard("watch", "go on", decide, max_iterations=1, trigger="turn_end"))
    result = run(SingleAgent(Fake(script=["one", "two"])), steering=steering)
    assert (seen, result.text, result.steps) == ([1, 2], "two", 2)


@pytest.mark.parametrize("remember", [False, True, CallPattern.of("pay")])
def test_what_is_to_be_remembered_of_a_decision_survives_a_journey(remember: bool | CallPattern) -> None:
    """A decision of which nothing is remembered came back with a pattern `False`."""
    model = Family(go=[[call("p", "pay", amount=1)], [call("q", "pay", amount=1)], "done"])
    agent = SingleAgent(model, tools=[pay])
    paused = waiting(run(agent))
    paused.answer("p", Approved(remember=remember))
    again = agent.load(paused.dumps())
    assert again.batch.decisions["p"].decision == Approved(remember=remember)
    result = run(agent, again)
    assert [pending.call.id for pending in result.pending] == ([] if remember else ["q"])
    assert len(again.remembered) == bool(remember)
