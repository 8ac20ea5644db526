"""What an editor knows of tools, decisions, steering and sub-agents."""

from __future__ import annotations

from typing import assert_type

import tako
from tako.orchestrators.decisions import PendingCall, Remembered
from tako.orchestrators.result import SubAgentUsage
from tako.steering import InterruptOutcome
from tako.tools import Workspace, defaults, tool, web_fetch


@tool(read_only=True, timeout=2.0)
def look(at: int) -> str:
    return f"seen {at}"


@tako.tool
def change(to: int, context: tako.ToolContext) -> tako.ToolOutput:
    context.cancel.raise_if_cancelled()
    if context.steering is not None:
        assert_type(context.steering.mode.name, str)
    return tako.ToolOutput.error(f"cannot change to {to}")


async def approve(request: tako.ApprovalRequest) -> tako.Approved | tako.Denied:
    return tako.Approved() if request.tool_class == "read_only" else tako.Denied(reason="no")


assert_type(look, tako.Tool)
assert_type(defaults("."), list[tako.Tool])
assert_type(web_fetch(), tako.Tool)
assert_type(Workspace(".").root, str)

agent = tako.SingleAgent(
    tako.providers.Fake("hello"),
    tools=[look, change, web_fetch(), *defaults("."), tako.SubAgent(trace=print, tools_allow=["read"])],
    policy=tako.ToolPolicy(deny=["bash(command=**rm **)"]) & tako.ToolPolicy.ALL,
    approval=approve,
    needs_approval="mutating",
    concurrency=tako.ConcurrencyConfig(read_only=4, tools={"bash": 1}),
    trim=lambda messages: messages[-10:],
    tool_output_limit=10_000,
    thinking=tako.Thinking(effort="high"),
    model=tako.model_names.claude.OPUS,
)


def steer(steering: tako.Steering) -> None:
    assert_type(steering.queue("and the tests"), str)
    assert_type(steering.interrupt_tool("call_1"), InterruptOutcome)
    assert_type(steering.turn_id, str | None)


def pause(result: tako.RunResult[None]) -> None:
    assert_type(result.pending, tuple[PendingCall, ...])
    assert_type(result.remembered, tuple[Remembered, ...])
    assert_type(result.sub_agents, tuple[SubAgentUsage, ...])
    assert_type(result.undelivered, tuple[tako.Message, ...])
    run = result.run
    if run is not None:
        for pending in run.pending:
            run.answer(pending, tako.Approved(args={"to": 1}, remember=tako.CallPattern.of("change")))
        assert_type(agent.load(run.dumps(key=b"0123456789abcdef"), key="0123456789abcdef"), tako.AgentRun)
