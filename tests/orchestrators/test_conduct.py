"""What conducting a run leaves behind: the handle, the error, and what guards were told of the run."""

from __future__ import annotations

from typing import Any

import pytest

from tako.driving.steps import Steps
from tako.effects import Call
from tako.errors import SteeringError
from tako.models import Message
from tako.orchestrators.result import RunResult
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.fake import Fake
from tako.steering import Abort, ContinuationGuard, InterruptOutcome, Snapshot, Steering
from tako.testing.faults import Faults
from tako.testing.simulator import Simulator
from tako.tools import Tool, ToolContext, tool
from tests.orchestrators.kit import Recorded, call, results


@tool(read_only=True)
def look(at: int) -> str:
    return f"seen {at}"


def test_a_run_that_is_given_up_in_the_middle_leaves_its_handle_free() -> None:
    """A flow may be closed by who drives it, at any effect, and then nothing of it is told any more."""
    steering = Steering()
    agent = SingleAgent(Fake("done"))
    steps = Steps(agent.flow("go", steering=steering), lambda: 0.0)
    steps.send(None)
    begin = steps.send(bytes(8))
    assert isinstance(begin, Call)
    begin.function(*begin.arguments)
    with pytest.raises(SteeringError):
        Simulator().run(agent, "go", steering=steering)
    steps.close()
    assert Simulator().run(agent, "go", steering=steering).text == "done"


def test_an_error_of_a_handle_in_the_middle_of_a_run_is_an_error_like_others() -> None:
    """Only one at the beginning leaves the run as it was."""

    def trim(messages: list[Message]) -> list[Message]:
        raise SteeringError("of somebody else's handle")

    with pytest.raises(SteeringError) as caught:
        Simulator().run(SingleAgent(Fake("done"), trim=trim), "go")
    partial = caught.value.partial
    assert isinstance(partial, RunResult) and partial.stop_reason == "error"
    assert partial.run is not None and partial.run.is_finished


def test_a_guard_is_told_of_the_last_answer() -> None:
    seen: list[Snapshot] = []

    def decide(snapshot: Snapshot) -> Any:
        seen.append(snapshot)
        return "stop"

    steering = Steering()
    steering.add_guard(ContinuationGuard("guard", "go on", decide, 1, trigger="turn_end"))
    agent = SingleAgent(Fake(script=[call("1", "look", at=1), "done"]), tools=[look])
    Simulator().run(agent, "go", steering=steering)
    assert [(one.step, one.text, one.tool_calls) for one in seen] == [(1, "", ("look",)), (2, "done", ())]


def test_a_run_keeps_its_id_as_often_as_it_is_resumed() -> None:
    agent = SingleAgent(Fake("done"))
    first = Simulator(1).run(agent, "go").run
    assert first is not None and first.run_id
    again = Simulator(2).run(agent, agent.load(first.dumps())).run
    assert again is not None and again.run_id == first.run_id


def test_a_trimmer_may_work_in_the_list_that_it_is_given() -> None:
    def trim(messages: list[Message]) -> list[Message]:
        del messages[:-1]
        return messages

    model = Recorded("done")
    result = Simulator().run(SingleAgent(model, trim=trim), "go", history=[Message.user("long ago")])
    assert [message.text for message in model.requests[0].messages] == ["go"]
    assert result.run is not None and len(result.run.messages) == 3


@tool(read_only=True)
def say(context: ToolContext) -> str:
    """A user who says something while a tool runs."""
    assert context.steering is not None
    context.steering.queue("late")
    return "said"


def test_what_is_queued_in_a_run_that_has_no_steps_left_is_given_back() -> None:
    agent = SingleAgent(Fake(script=[call("1", "say"), "done"]), tools=[say], max_steps=1)
    result = Simulator().run(agent, "go", steering=Steering())
    assert result.stop_reason == "max_steps"
    assert [message.text for message in result.undelivered] == ["late"]


def test_what_is_queued_when_a_guard_ends_the_run_between_two_turns_is_given_back() -> None:
    steering = Steering()
    steering.add_guard(
        ContinuationGuard("guard", "x", lambda snapshot: Abort("enough"), 1, trigger="turn_end")
    )
    agent = SingleAgent(Fake(script=[call("1", "say"), "done"]), tools=[say])
    result = Simulator().run(agent, "go", steering=steering)
    assert (result.stop_reason, result.detail, result.steps) == ("aborted", "enough", 1)
    assert [message.text for message in result.undelivered] == ["late"]


def test_a_call_that_has_its_result_is_over_for_who_would_interrupt_it() -> None:
    outcomes: list[InterruptOutcome] = []

    @tool
    def stop(context: ToolContext) -> str:
        assert context.steering is not None
        outcomes.append(context.steering.interrupt_tool("1"))
        return "asked"

    agent = SingleAgent(
        Fake(script=[[call("1", "look", at=1), call("2", "stop")], "done"]), tools=[look, stop]
    )
    Simulator().run(agent, "go", steering=Steering())
    assert outcomes == [InterruptOutcome.ALREADY_FINISHED]


def test_a_tool_that_ignores_its_time_limit_is_named() -> None:
    slow = Tool(lambda: "late", name="slow", timeout=1)
    agent = SingleAgent(Fake(script=[call("1", "slow"), "done"]), tools=[slow])
    result = Simulator(faults=Faults(call_seconds=60)).run(agent, "go")
    assert (result.text, result.still_running) == ("done", ("slow",))
    [part] = results(result.new_messages)
    assert part.result == "timed out: not done within 1 seconds; slow did not stop and is still running"
