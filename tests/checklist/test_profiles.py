"""G10-G15: agents under agents, each with a profile of its own. See docs/checklist.md."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tako import (
    CancellationToken,
    Denied,
    InvalidInput,
    SingleAgent,
    SubAgent,
    Thinking,
    Tool,
    ToolContext,
    ToolPolicy,
    tool,
)
from tako.effects import Flow, Sleep
from tako.events import SubAgentEvent
from tako.providers import Fake
from tests.checklist.plays import SOON, Asked, Driver, by_task, call, drivers, is_simulated, play


@tool(read_only=True)
def look(at: str = "") -> str:
    return f"seen {at}"


@tool
def change(to: str = "") -> str:
    return f"changed {to}"


def task_of(body: Asked) -> str:
    """Which agent asks, by the first words of a user that it has."""
    return next(str(message["content"]) for message in body["messages"] if message["role"] == "user")


def of_task(asked: list[Asked], task: str) -> list[Asked]:
    return [body for body in asked if task_of(body) == task]


def defined(body: Asked) -> list[str]:
    return [one["function"]["name"] for one in body.get("tools", [])]


def test_G10_two_tools_of_one_name_are_refused_when_the_agent_is_made() -> None:
    def other() -> None: ...

    with pytest.raises(InvalidInput, match="two tools are named 'look'"):
        SingleAgent(Fake(), tools=[look, Tool(other, name="look")])
    with pytest.raises(InvalidInput, match="two tools are named 'agent'"):
        SingleAgent(Fake(), tools=[SubAgent(tools=[]), SubAgent(tools=[])])


CHANGING = by_task(
    go=[[call("1", "agent", prompt="child")], "done"],
    child=[[call("2", "change")], "I could not"],
)


@drivers
@pytest.mark.parametrize("own_tools", [None, [change]], ids=["the parent's tools", "its own"])
def test_G11_a_child_cannot_win_back_what_its_parent_may_not(driver: Driver, own_tools: Any) -> None:
    child = SubAgent(tools=own_tools, tools_allow=["look", "change"])
    played = play(
        driver,
        CHANGING,
        lambda model: SingleAgent(model, tools=[look, change, child], policy=ToolPolicy(deny=["change"])),
    )
    _, after = of_task(played.asked, "child")
    assert "tool 'change' is not allowed by policy" in after["messages"][-1]["content"]
    assert played.answers == [("I could not", False)]


@drivers
def test_G11_and_may_have_less(driver: Driver) -> None:
    child = SubAgent(tools_allow=["look"])
    script = by_task(
        go=[[call("1", "change", to="x"), call("2", "agent", prompt="child")], "done"],
        child=[[call("3", "change")], "I could not"],
    )
    played = play(driver, script, lambda model: SingleAgent(model, tools=[look, change, child]))
    assert played.answers == [("changed x", False), ("I could not", False)]


@drivers
@pytest.mark.parametrize("hides", [False, True])
def test_G12_what_a_child_may_not_call_is_shown_or_hidden_and_an_error_all_the_same(
    driver: Driver, hides: bool
) -> None:
    child = SubAgent(tools_allow=["look"], filter_tool_definitions=hides)
    played = play(driver, CHANGING, lambda model: SingleAgent(model, tools=[look, change, child]))
    before, after = of_task(played.asked, "child")
    assert defined(before) == (["look"] if hides else ["agent", "change", "look"])
    if not hides:
        assert before["tools"] == played.asked[0]["tools"], "so that the vendor's cache hits"
    words = after["messages"][-1]["content"]
    assert words.startswith("Error: tool 'change' " + ("not found" if hides else "is not allowed by policy"))


@drivers
def test_G13_a_trace_sees_what_the_child_does(driver: Driver) -> None:
    seen: list[SubAgentEvent] = []
    script = by_task(
        go=[[call("1", "agent", prompt="child")], "done"],
        child=[[call("2", "change", to="x")], "child done"],
    )
    for streaming in (False, True):
        seen.clear()
        played = play(
            driver,
            script,
            lambda model: SingleAgent(model, tools=[change, SubAgent(trace=seen.append)]),
            streaming=streaming,
        )
        assert played.answers == [("child done", False)]
        assert {event.path for event in seen} == {("agent:1",)}
        told = [event.event.kind for event in seen]
        assert told[0] == "step_start" and told[-1] == "final"
        assert "tool_call_pending" in told and "tool_call_result" in told
        assert [event for event in played.events if isinstance(event, SubAgentEvent)] == (
            seen if streaming else []
        )


def test_G13_a_child_that_can_change_something_without_a_trace_is_refused() -> None:
    with pytest.raises(InvalidInput, match="nobody would see it; pass trace"):
        SingleAgent(Fake(), tools=[change, SubAgent()])
    SingleAgent(Fake(), tools=[change, look, SubAgent(tools_allow=["look"])])


@drivers
def test_G13_an_approval_of_the_child_is_for_the_child_alone(driver: Driver) -> None:
    child = SubAgent(trace=lambda event: None, approval=lambda request: True)
    script = by_task(
        go=[[call("1", "change"), call("2", "agent", prompt="child")], "done"],
        child=[[call("3", "change", to="x")], "child done"],
    )
    played = play(
        driver,
        script,
        lambda model: SingleAgent(
            model,
            tools=[change, child],
            needs_approval=lambda asked, one: one.name == "change",
            approval=lambda request: Denied(reason="not you"),
        ),
    )
    assert played.answers == [("approval denied: not you", True), ("child done", False)]
    assert of_task(played.asked, "child")[1]["messages"][-1]["content"] == "changed x"


@drivers
def test_G14_thinking_of_the_child_is_in_its_requests_alone(driver: Driver) -> None:
    hard = SubAgent(name="hard", tools=[], thinking=Thinking(effort="high"))
    plain = SubAgent(name="plain", tools=[])
    script = by_task(
        go=[[call("1", "hard", prompt="think"), call("2", "plain", prompt="just do")], "done"],
        **{"think": "thought", "just do": "did"},
    )
    played = play(
        driver,
        script,
        lambda model: SingleAgent(model, tools=[hard, plain], thinking=Thinking(effort="low")),
    )
    efforts = {task_of(body): body.get("reasoning_effort") for body in played.asked}
    assert efforts == {"go": "low", "think": "high", "just do": None}


@drivers
def test_G15_at_the_limit_of_depth_no_child_is_started(driver: Driver) -> None:
    script = by_task(
        go=[[call("1", "agent", prompt="child")], "done"],
        child=[[call("2", "agent", prompt="grandchild")], "alone then"],
        grandchild="never",
    )
    played = play(driver, script, lambda model: SingleAgent(model, tools=[SubAgent()], max_depth=1))
    _, after = of_task(played.asked, "child")
    assert after["messages"][-1]["content"] == (
        "Error: Max sub-agent depth (1) reached. Cannot spawn further sub-agents."
    )
    assert of_task(played.asked, "grandchild") == []
    assert played.answers == [("alone then", False)]


@drivers
def test_G15_a_cancel_of_the_parent_reaches_what_the_child_does(driver: Driver) -> None:
    token, stopped = CancellationToken(), threading.Event()
    timer = threading.Timer(0.1, token.cancel)

    def flow() -> Flow[None]:
        try:
            yield Sleep(10)
        finally:
            stopped.set()

    def block(context: ToolContext) -> None:
        undo = context.cancel.on_cancel(stopped.set)
        timer.start()
        stopped.wait(10)
        undo()

    slow = Tool.from_flow(flow, name="slow") if is_simulated(driver) else Tool(block, name="slow")
    script = by_task(go=[[call("1", "agent", prompt="child")]], child=[[call("2", "slow")]])
    played = play(
        driver,
        script,
        lambda model: SingleAgent(model, tools=[slow, SubAgent(trace=lambda event: None)]),
        cancel=token,
        cancel_after=0.1,
    )
    assert stopped.is_set() and played.seconds < SOON
    assert (played.result.stop_reason, len(played.asked)) == ("cancelled", 2)
    [(words, is_error)] = played.answers
    assert words.startswith("cancelled during execution") and is_error
    assert [child.steps for child in played.result.sub_agents] == [1]
