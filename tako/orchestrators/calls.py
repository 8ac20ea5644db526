"""Performing one call of a tool: from the model's words to the result that it will read.

Nothing in here fails the run. A tool that is not there, arguments that do not fit, a tool that
raises, is too slow, or is interrupted: each is a result with is_error, in words that help the model to
do better. Only a cancel goes on, after the call got a result that says so. A tool that was stopped and
has something to say all the same is heard: what it returned then is in the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from pydantic_core import PydanticSerializationError, to_json

from tako.effects import Emit, Flow, as_task, within
from tako.errors import Cancelled, Interrupted, InvalidInput, TakoError, TimedOut, ToolError
from tako.events import ToolCallResult, ToolProgress
from tako.models import TextPart, ToolCallPart, ToolResultPart
from tako.orchestrators.agent_steps import CallSuspended, ToolReplied
from tako.orchestrators.limits import cut_content, cut_result
from tako.orchestrators.place import Show
from tako.orchestrators.scope import Scope
from tako.orchestrators.tasks import tool_task
from tako.tools.output import ToolOutput
from tako.tools.tool import Tool, speakable, words_of

if TYPE_CHECKING:
    from tako.orchestrators.agent_run import AgentRun
    from tako.parts import ResultPart

__all__ = ["Suspended", "missing_tool", "perform", "settle"]


class Suspended(Exception):
    """What a tool raises whose own agent waits for the outside: the call stays open, and its run is kept."""

    def __init__(self, run: AgentRun) -> None:
        super().__init__()
        self.run = run


def perform(scope: Scope, call: ToolCallPart, tool: Tool, arguments: Any) -> Flow[None]:
    """Run a call and feed its result to the run; raises Cancelled only, after feeding it."""
    cancelled = None
    try:
        output = yield from _invoke(scope, call, tool, arguments)
    except Suspended as suspended:
        scope.run.feed(CallSuspended(call.id, suspended.run))
        return
    except Exception as error:
        output, cancelled = _failed(scope, call, error), error if isinstance(error, Cancelled) else None
    told = settle(scope, call, output, tool)
    if told is not None:
        yield told
    if cancelled is not None:
        raise cancelled


def settle(scope: Scope, call: ToolCallPart, output: Any, tool: Tool | None = None) -> Emit | None:
    """Feed the result of a call to the run; what is left to do is to tell of it, if somebody listens."""
    part = _part(scope, call, output, tool)
    scope.run.feed(ToolReplied(part))
    if scope.steered is not None:
        scope.steered.call_ended(call.id)
    if scope.show is None:
        return None
    return scope.tell(
        ToolCallResult(scope.run.step, call.name, call.id, part.result, part.is_error, part.content)
    )


def missing_tool(scope: Scope, call: ToolCallPart) -> ToolOutput:
    """What the model reads that asked for a tool which is not there."""
    names = ", ".join(tool.name for tool in scope.equipment.tools) or "none"
    return ToolOutput.error(f"tool {call.name!r} not found; the tools are: {names}")


def _invoke(scope: Scope, call: ToolCallPart, tool: Tool, arguments: Any) -> Flow[Any]:
    """The flow of the tool, within its time and with the token by which the user can interrupt it."""
    listener = None if scope.show is None else _listener(scope, call, scope.show)
    flow = tool.invoke(arguments, lambda: scope.context(call, listener), listener)
    token = scope.calls.get(call.id) if scope.calls else None
    if tool.timeout is not None or token is not None:
        flow = within(tool.timeout, flow, token)
    if scope.is_journalled and not tool.recursive:  # what an agent does is kept one by one
        return as_task(_to_its_result(scope, call, tool, flow), tool_task(tool.name, arguments))
    return flow


def _to_its_result(scope: Scope, call: ToolCallPart, tool: Tool, flow: Flow[Any]) -> Flow[ToolResultPart]:
    """What the model will read, also where the tool fails; raises Cancelled only."""
    try:
        output = yield from flow
    except Cancelled:
        raise
    except Exception as error:
        output = _failed(scope, call, error)
    return _part(scope, call, output, tool)


def _failed(scope: Scope, call: ToolCallPart, error: Exception) -> ToolOutput:
    """The result of a call that failed: a tool is somebody else's code, so whatever it raises is one."""
    if isinstance(error, Cancelled):
        return _stopped(scope, call, error, "cancelled during execution")
    if isinstance(error, Interrupted):
        return _stopped(scope, call, error, "cancelled: the user interrupted this call")
    if isinstance(error, TimedOut):
        return _stopped(scope, call, error, f"timed out: {error.message}")
    if isinstance(error, ToolError):
        return ToolOutput.error(speakable(str(error.message)))
    return ToolOutput.error(words_of(error))


def _listener(scope: Scope, call: ToolCallPart, show: Show) -> Callable[[Any], Sequence[Any]]:
    """What becomes of what the tool says on its way."""
    return lambda item: show((ToolProgress(scope.run.step, call.name, call.id, item),))


def _part(scope: Scope, call: ToolCallPart, output: Any, tool: Tool | None) -> ToolResultPart:
    """The result as the model will read it, no longer than it may be."""
    limit, own = scope.equipment.tool_output_limit, None if tool is None else tool.max_output
    if own is not None and (limit is None or own < limit):
        limit = own
    if type(output) is ToolResultPart:
        return output  # it was kept so, or is about to be
    if type(output) is not ToolOutput:
        result = output if limit is None else cut_result(output, limit)
        return ToolResultPart(id=call.id, name=call.name, result=result, is_error=False)
    try:
        part = ToolResultPart(
            id=call.id,
            name=call.name,
            result=output.value if limit is None else cut_result(output.value, limit),
            content=cast("tuple[ResultPart, ...]", output.content),  # checked there
            is_error=output.is_error,
            cache_control=output.cache_control,
        )
    except InvalidInput as error:
        words = f"tool {call.name!r} returned parts that no model can read: {error.message}"
        return ToolResultPart(id=call.id, name=call.name, result=words, is_error=True)
    if limit is None or not part.content:
        return part
    return part.model_copy(update={"content": cut_content(part.content, limit)})


def _stopped(scope: Scope, call: ToolCallPart, error: TakoError, words: str) -> ToolOutput:
    """The result of a call that was stopped: why, and what it had to say all the same."""
    cut = error if isinstance(error, Cancelled) else error.__cause__
    if isinstance(cut, Cancelled) and cut.abandoned:
        scope.run.left_running(call.name)
        words = f"{words}; {call.name} did not stop and is still running"
    words = speakable(words)
    said = error.partial if isinstance(error.partial, ToolOutput) else ToolOutput(error.partial)
    last_words = _as_text(said.value)
    parts = said.content if isinstance(said.content, tuple | list) else ()
    # Where there are parts, the model reads nothing else.
    content = (TextPart(text=words), *parts) if parts else ()
    return ToolOutput(f"{words}\n{last_words}" if last_words else words, content, is_error=True)


def _as_text(value: Any) -> str:
    """What a tool returned is JSON; what an error carries may be anything, and is left out if it is not."""
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return to_json(value).decode() if isinstance(value, dict | list | int | float) else ""
    except PydanticSerializationError:
        return ""
