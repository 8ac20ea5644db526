"""Performing one call of a tool: from the model's words to the result that it will read.

Nothing in here fails the run. A tool that is not there, arguments that do not fit, a tool that
raises: each is a result with is_error, in words that help the model to do better. Only a cancel
goes on, after the call got a result that says so.
"""

from __future__ import annotations

from typing import Any, Literal

from tako.effects import Emit, Flow
from tako.errors import Cancelled, ToolError
from tako.events import ToolCallResult, ToolProgress
from tako.models import ToolCallPart, ToolResultPart
from tako.orchestrators.agent_run import AgentRun, ToolReplied
from tako.orchestrators.decisions import Approved
from tako.tools import Tool, ToolContext, ToolRegistry
from tako.tools.tool import speakable

__all__ = ["perform", "waits_for"]


def waits_for(tool: Tool | None, run: AgentRun, call: ToolCallPart) -> Literal["approval", "result"] | None:
    """What a call needs from outside before it can go on; None if it can."""
    if tool is None or not (tool.approval or tool.function is None) or call.id in run.decisions:
        return None
    return "result" if tool.function is None else "approval"


def perform(tools: ToolRegistry, run: AgentRun, call: ToolCallPart, *, listening: bool) -> Flow[None]:
    """Run a call and feed its result to the run; raises Cancelled only, after feeding it.

    Without `listening` nobody looks at events, and none is made.
    """
    cancelled = None
    try:
        result, is_error = (yield from _invoke(tools, run, call, listening=listening)), False
    except Cancelled as error:
        cancelled, is_error = error, True
        result = "cancelled during execution"
        if error.abandoned:
            run.left_running(call.name)
            result = f"cancelled: {call.name} did not stop and is still running"
    except ToolError as error:
        result, is_error = speakable(error.message), True
    except Exception as error:  # a tool is somebody else's code: whatever it raises is an answer
        result, is_error = speakable(f"{type(error).__name__}: {error}"), True
    run.feed(ToolReplied(ToolResultPart(id=call.id, name=call.name, result=result, is_error=is_error)))
    if listening:
        yield Emit((ToolCallResult(run.step, call.name, call.id, result, is_error),))
    if cancelled is not None:
        raise cancelled


def _invoke(tools: ToolRegistry, run: AgentRun, call: ToolCallPart, *, listening: bool) -> Flow[Any]:
    """The flow of the tool that is called; raises ToolError if there is none of that name."""
    tool = tools.get(call.name)
    if tool is None:
        names = ", ".join(tool.name for tool in tools) or "none"
        raise ToolError(f"tool {call.name!r} not found; the tools are: {names}")
    arguments = call.args
    if run.decisions:
        decision = run.decisions.get(call.id)
        if isinstance(decision, Approved) and decision.args is not None:
            arguments = decision.args

    def context() -> ToolContext:
        return ToolContext(
            call_id=call.id,
            tool_name=call.name,
            step=run.step,
            run_id=run.run_id,
            principal=run.options.principal,
        )

    def progress(item: Any) -> ToolProgress:
        return ToolProgress(run.step, call.name, call.id, item)

    return tool.invoke(arguments, context, progress if listening else None)
