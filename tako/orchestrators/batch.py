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
from tako.events import ToolCallPending, ToolCallResult, ToolCallStart
from tako.models import ToolCallPart
from tako.orchestrators.agent_steps import CallTools, Paused
from tako.orchestrators.calls import missing_tool, perform, settle
from tako.orchestrators.decisions import PendingCall
from tako.orchestrators.gate import Passed, Refused, is_refused, is_wide_open, pass_gate, waits_for
from tako.orchestrators.scope import Scope
from tako.tools.concurrency import Lane, Route, Stage, plan, route_of, take
from tako.tools.output import ToolOutput
from tako.tools.tool import Tool

__all__ = ["perform_batch"]


def perform_batch(scope: Scope, step: CallTools) -> Flow[None]:
    """Perform the calls that have no result yet, as far as the outside lets them."""
    run = scope.run
    if scope.show is not None:
        yield from _announce(scope, step)
    run.announced()
    if scope.steering is not None:
        scope.calls = yield Call(scope.steering.watch_calls, ([call.id for call in step.calls],))
    is_open = is_wide_open(scope)
    if is_open and len(step.calls) == 1 and (yield from _perform_alone(scope, step.calls[0])):
        return
    routing = partial(_route, scope, is_open)
    for stage in plan(step.calls, routing, scope.agent.concurrency):
        waits = yield from _perform_stage(scope, stage, is_open)
        if waits:
            run.feed(Paused(_pending(scope, step.calls)))
            return


def _perform_alone(scope: Scope, call: ToolCallPart) -> Flow[bool]:
    """Perform the one call of a batch that nobody has an opinion on, which is what most batches are.

    False if there is more to it than that.
    """
    tool = scope.agent.tools.get(call.name)
    if tool is None or tool.function is None or tool.approval or tool.recursive:
        return False
    yield from perform(scope, call, tool, call.args)
    return True


def _announce(scope: Scope, step: CallTools) -> Flow[None]:
    """Tell of the calls; or, of those announced before, what the outside has answered since then."""
    if not step.is_new:
        for part in scope.run.take_unshown():
            yield scope.tell(
                ToolCallResult(step.step, part.name, part.id, part.result, part.is_error, part.content)
            )
        return
    starts = [ToolCallStart(step.step, call.name, call.id, call.args) for call in step.calls]
    yield scope.tell(*starts, *[_pending_event(scope, step, call) for call in step.calls])


def _pending_event(scope: Scope, step: CallTools, call: ToolCallPart) -> ToolCallPending:
    tool = scope.agent.tools.get(call.name)
    tool_class = "mutating" if tool is None else tool.tool_class
    return ToolCallPending(step.step, call.name, call.id, call.args, tool_class)


def _route(scope: Scope, is_open: bool, call: ToolCallPart) -> Route:
    """A call that no tool will run holds nobody up."""
    tool = scope.agent.tools.get(call.name)
    if tool is None or (not is_open and is_refused(scope, call, tool)):
        return Route.INSTANT
    return route_of(tool, scope.agent.concurrency)


def _perform_stage(scope: Scope, stage: Stage, is_open: bool) -> Flow[bool]:
    """Bring the calls of a stage to their results; True if one of them waits for the outside."""
    ready: dict[str, tuple[Tool, Any]] = {}
    waits = False
    for call in stage.calls:
        tool = scope.agent.tools.get(call.name)
        if tool is None:
            yield from settle(scope, call, missing_tool(scope, call))
        elif (is_open and tool.function is not None and not tool.approval) or _is_under_way(scope, call):
            ready[call.id] = tool, call.args
        elif waits_for(scope, call) is not None:
            waits = True
        else:
            verdict = yield from _at_gate(scope, call, tool)
            if isinstance(verdict, Refused):
                output = ToolOutput(verdict.words, is_error=verdict.is_error)
                yield from settle(scope, call, output, tool)
            else:
                ready[call.id] = tool, verdict.arguments
    if len(ready) == 1:
        [call] = [call for call in stage.calls if call.id in ready]
        yield from perform(scope, call, *ready[call.id])
    elif ready:
        flows = tuple([_walk(scope, lane, ready) for lane in stage.lanes])
        for outcome in (yield Gather(flows, stage.limit, OnError.COLLECT)):
            if type(outcome) is Failed:
                raise outcome.error
    return waits or any(_is_under_way(scope, call) for call in stage.calls)


def _is_under_way(scope: Scope, call: ToolCallPart) -> bool:
    """Its agent has begun, and waited for the outside; the call itself has passed the gate."""
    return scope.run.suspended(call.id) is not None


def _at_gate(scope: Scope, call: ToolCallPart, tool: Tool) -> Flow[Passed | Refused]:
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


def _pending(scope: Scope, calls: tuple[ToolCallPart, ...]) -> tuple[PendingCall, ...]:
    """Everything in the batch that the outside has to answer, so that it is asked once."""
    return tuple(
        [PendingCall.of(call, what) for call in calls if (what := waits_for(scope, call)) is not None]
    )
