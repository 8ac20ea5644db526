"""Performing a batch: all the calls that the model asked for in one answer.

| what                  | order                                                                           |
|-----------------------|---------------------------------------------------------------------------------|
| announced             | every call, in the model's order, before anything else happens                  |
| stages                | one after the other, as `tools.concurrency` plans them: reads side by side, what |
|                       | changes something alone, barriers between                                       |
| the gate, in a stage  | call by call, in the model's order: a person is asked one thing at a time       |
| the tools, in a stage | side by side, within the limits                                                 |

Invariants. Each call gets one result, whatever happens to the others. Nothing of a stage begins
before the one before it has ended. When a call waits for the outside, the stages behind it do not
begin; everything in the batch that the outside has to decide is asked for at once.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from tako.effects import Call, Failed, Flow, Gather, OnError, within
from tako.errors import Interrupted
from tako.events import ToolCallPending, ToolCallStart
from tako.models import ToolCallPart
from tako.orchestrators.agent_steps import CallTools, Paused
from tako.orchestrators.calls import missing_tool, perform, settle
from tako.orchestrators.decisions import PendingCall
from tako.orchestrators.gate import Passed, Refused, Waits, is_refused, is_wide_open, pass_gate, waits_for
from tako.orchestrators.scope import Scope
from tako.tools.concurrency import Lane, Route, Stage, plan, route_of, take
from tako.tools.output import ToolOutput
from tako.tools.tool import Tool

__all__ = ["perform_batch"]


def perform_batch(scope: Scope, step: CallTools) -> Flow[None]:
    """Perform the calls that have no result yet, as far as the outside lets them."""
    run = scope.run
    if scope.steered is not None:  # first, so that a call can be stopped as soon as it was told of
        scope.calls = yield Call(scope.steered.watch_calls, ([call.id for call in step.calls],))
    if step.is_new:
        if scope.show is not None:
            yield from _announce(scope, step)
        run.announced()
    is_open = is_wide_open(scope)
    if is_open and len(step.calls) == 1 and (tool := _simple(scope, step.calls[0])) is not None:
        yield from perform(scope, step.calls[0], tool, step.calls[0].args)
        return
    stages = plan(step.calls, partial(_route, scope, is_open), scope.equipment.concurrency)
    for number, stage in enumerate(stages, 1):
        pending = yield from _perform_stage(scope, stage)
        if pending or any(run.suspended(call.id) is not None for call in stage.calls):
            behind = [call for later in stages[number:] for call in later.calls]
            run.feed(Paused((*pending, *_pending(scope, behind))))
            return


def _simple(scope: Scope, call: ToolCallPart) -> Tool | None:
    """The tool of a call that nothing has to be planned for, if it stands alone; most do."""
    tool = scope.equipment.tools.get(call.name)
    return None if tool is None or tool.function is None or tool.approval or tool.recursive else tool


def _announce(scope: Scope, step: CallTools) -> Flow[None]:
    """Tell of the calls, before anything happens to them."""
    starts = [ToolCallStart(step.step, call.name, call.id, call.args) for call in step.calls]
    yield scope.tell(*starts, *[_pending_event(scope, step, call) for call in step.calls])


def _pending_event(scope: Scope, step: CallTools, call: ToolCallPart) -> ToolCallPending:
    tool = scope.equipment.tools.get(call.name)
    tool_class = "mutating" if tool is None else tool.tool_class
    return ToolCallPending(step.step, call.name, call.id, call.args, tool_class)


def _route(scope: Scope, is_open: bool, call: ToolCallPart) -> Route:
    """A call that no tool will run holds nobody up."""
    tool = scope.equipment.tools.get(call.name)
    if tool is None:
        return Route.INSTANT
    if not is_open and not _is_under_way(scope, call, tool) and is_refused(scope, call, tool):
        return Route.INSTANT
    return route_of(tool, scope.equipment.concurrency)


def _perform_stage(scope: Scope, stage: Stage) -> Flow[list[PendingCall]]:
    """Bring the calls of a stage to their results; those that wait for the outside are returned."""
    ready: dict[str, tuple[Tool, Any]] = {}
    pending: list[PendingCall] = []
    for call in stage.calls:
        tool = scope.equipment.tools.get(call.name)
        if tool is None:
            told = settle(scope, call, missing_tool(scope, call))
            if told is not None:
                yield told
            continue
        if _is_free(scope, call, tool):
            ready[call.id] = tool, call.args
            continue
        verdict = yield from _at_gate(scope, call, tool)
        if isinstance(verdict, Passed):
            ready[call.id] = tool, verdict.arguments
        elif isinstance(verdict, Waits):
            pending.append(PendingCall.of(call, verdict.what))
        else:
            told = settle(scope, call, ToolOutput(verdict.words, is_error=verdict.is_error), tool)
            if told is not None:
                yield told
    if len(ready) == 1:
        [call] = [call for call in stage.calls if call.id in ready]
        yield from perform(scope, call, *ready[call.id])
    elif ready:
        flows = tuple([_walk(scope, lane, ready) for lane in stage.lanes])
        for outcome in (yield Gather(flows, stage.limit, OnError.COLLECT)):
            if type(outcome) is Failed:
                raise outcome.error
    return pending


def _is_under_way(scope: Scope, call: ToolCallPart, tool: Tool) -> bool:
    """Its agent has begun, and waited for the outside; the call itself has passed the gate."""
    return tool.recursive and scope.run.suspended(call.id) is not None


def _is_free(scope: Scope, call: ToolCallPart, tool: Tool) -> bool:
    """Nobody has an opinion on the call, or nobody has one any more."""
    if _is_under_way(scope, call, tool):
        return True
    return tool.function is not None and not tool.approval and is_wide_open(scope)


def _at_gate(scope: Scope, call: ToolCallPart, tool: Tool) -> Flow[Passed | Refused | Waits]:
    """What the gate says, unless the user takes the call back before anybody has decided on it."""
    token = scope.calls.get(call.id)
    if token is None:
        return (yield from pass_gate(scope, call, tool))
    try:
        return (yield from within(None, pass_gate(scope, call, tool), token))
    except Interrupted:
        return Refused("cancelled while it waited for approval: the user interrupted this call")


def _walk(scope: Scope, lane: Lane, ready: dict[str, tuple[Tool, Any]]) -> Flow[None]:
    """Perform the calls of a lane, one after the other, for as long as it has some."""
    while (call := take(lane)) is not None:
        if call.id in ready:
            yield from perform(scope, call, *ready[call.id])


def _pending(scope: Scope, calls: list[ToolCallPart]) -> list[PendingCall]:
    """What the outside will have to answer of calls that have not begun, so that it is asked once."""
    found: list[PendingCall] = []
    for call in calls:
        tool = scope.equipment.tools.get(call.name)
        if tool is not None and (what := waits_for(scope, call, tool)) is not None:
            found.append(PendingCall.of(call, what))
    return found
