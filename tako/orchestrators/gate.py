"""The gate: what stands between a call that the model asks for and its tool.

Each is asked in this order, and the first that has an opinion decides:

| who           | says yes                         | says no                   | asks the outside            |
|---------------|----------------------------------|---------------------------|-----------------------------|
| policy        |                                  | always final              |                             |
| mode          | no approval is needed            | final in this turn        |                             |
| remembered    | no approval is needed            | a denial goes first       |                             |
| decision      | the run was answered             | (is a result already)     |                             |
| external tool |                                  |                           | the run pauses for a result |
| approval      | the callback approved, or nobody | the callback denied,      | there is no callback: the   |
|               | has to                           | failed, or makes no sense | run pauses                  |

Invariants. A refusal is a result for the model and never an exception. Whoever edits the arguments
does not get them past the policy and the mode: they are asked again. Whoever fails refuses, be it the
callback, the policy, the mode or the predicate. A call is looked at once, when its turn has come: what
was remembered a moment ago counts, and a rule that changes its mind later does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tako.effects import Call, Flow, as_task
from tako.errors import Cancelled, InvalidInput
from tako.events import ToolCallDecided
from tako.models import ToolCallPart
from tako.orchestrators.approval import ApprovalRequest, Approve, is_marked
from tako.orchestrators.decisions import (
    Answered,
    Approved,
    Decision,
    Denied,
    denial,
    digest_of,
    with_arguments,
)
from tako.orchestrators.scope import Scope
from tako.orchestrators.tasks import ruling_task
from tako.tools.policy import EVERYTHING
from tako.tools.tool import Tool, words_of

__all__ = [
    "Passed",
    "Refused",
    "Waits",
    "decided",
    "is_refused",
    "is_wide_open",
    "pass_gate",
    "waits_for",
]


WaitsFor: TypeAlias = Literal["approval", "result"]


@dataclass(slots=True)
class Passed:
    """Run the tool with these arguments."""

    arguments: Any


@dataclass(slots=True)
class Refused:
    """Do not: this is the result, an error unless somebody else performed the call."""

    words: Any
    is_error: bool = True


@dataclass(slots=True)
class Waits:
    """Not before the outside has said something."""

    what: WaitsFor


@dataclass(slots=True)
class _Ruling:
    """What a rule says that was there before the call."""

    allowed: bool
    by: str
    reason: str = ""


@dataclass(slots=True)
class _Standing:
    """How a call stands before anybody is asked about it."""

    decision: Decision | None
    ruling: _Ruling | None
    waits_for: WaitsFor | None = None
    has_to_ask: bool = False


def is_wide_open(scope: Scope) -> bool:
    """Whether nobody but a tool itself could have an opinion on a call."""
    equipment, run = scope.equipment, scope.run
    return (
        scope.mode is None
        and equipment.policy is EVERYTHING
        and equipment.needs_approval is is_marked
        and not run.batch.decisions
        and not run.remembered
    )


def waits_for(scope: Scope, call: ToolCallPart, tool: Tool) -> WaitsFor | None:
    """What the call needs from outside before it can go on; None if it can. Nobody is asked."""
    return _standing(scope, call, tool).waits_for


def is_refused(scope: Scope, call: ToolCallPart, tool: Tool) -> bool:
    """Whether a rule that was there before the call says no to it."""
    ruling = _ruling(scope, with_arguments(call, _decision_on(scope, call)), tool)
    return ruling is not None and not ruling.allowed


def pass_gate(scope: Scope, call: ToolCallPart, tool: Tool) -> Flow[Passed | Refused | Waits]:
    """Decide on a call, unless the outside has to; asks the approval callback if that is needed."""
    standing = _standing(scope, call, tool)
    if standing.waits_for is not None:
        return Waits(standing.waits_for)
    decision, ruling, by = standing.decision, standing.ruling, "approval"
    edited = with_arguments(call, decision)
    if standing.has_to_ask:
        decision = yield from _ask(scope, call, tool)
        edited = with_arguments(call, decision)
        if edited is not call:
            ruling = _ruling(scope, edited, tool)
    if ruling is not None and (not ruling.allowed or decision is None):
        by = ruling.by
        decision = Approved() if ruling.allowed else Denied(reason=ruling.reason)
    if decision is None:
        return Passed(call.args)
    if scope.show is not None:
        yield scope.tell(decided(scope.run.step, call.name, call.id, decision, by))
    if isinstance(decision, Denied):
        return Refused(denial(decision) if by == "approval" else decision.reason)
    if isinstance(decision, Answered):
        return Refused(decision.result, decision.is_error)
    return Passed(edited.args)


def _decision_on(scope: Scope, call: ToolCallPart) -> Decision | None:
    """What the outside said of this very call."""
    bound = scope.run.batch.decisions.get(call.id)
    return bound.decision if bound is not None and bound.digest == digest_of(call) else None


def _standing(scope: Scope, call: ToolCallPart, tool: Tool) -> _Standing:
    equipment, decision = scope.equipment, _decision_on(scope, call)
    ruling = _ruling(scope, with_arguments(call, decision), tool)
    if decision is not None or (ruling is not None and not ruling.allowed):
        return _Standing(decision, ruling)
    if tool.function is None:
        return _Standing(None, ruling, "result")
    if ruling is None:
        try:
            needs_approval = bool(equipment.needs_approval(call, tool))
        except Exception as error:
            return _Standing(None, _Ruling(False, "approval", f"needs_approval failed ({words_of(error)})"))
        if needs_approval:
            has_to_wait = equipment.approval is None
            return _Standing(None, None, "approval" if has_to_wait else None, not has_to_wait)
    return _Standing(None, ruling)


def _ruling(scope: Scope, call: ToolCallPart, tool: Tool) -> _Ruling | None:
    """What the policy, the mode and the remembered decisions say; None if they have no opinion."""
    by = "policy"
    word: str | bool | None
    try:
        word = scope.equipment.policy.refusal(call.name, call.args)
        if word is None and scope.mode is not None:
            by = "mode"
            word = scope.mode.gate(call, tool)
            if word is True:
                return _Ruling(True, by)
            if word is not None and not isinstance(word, str):  # a subclass that only says no
                word = f"the mode {scope.mode.name!r} does not allow this call"
    except Exception as error:
        word = f"the {by} failed ({words_of(error)}), and so no call is allowed"
    if word is not None:
        return _Ruling(False, by, str(word))
    allowed = None
    for entry in scope.run.remembered:
        if not entry.allowed and entry.pattern.touches(call.name, call.args):
            return _Ruling(False, "remembered", entry.reason or "such calls were denied before")
        if entry.allowed and entry.pattern.matches(call.name, call.args):
            allowed = _Ruling(True, "remembered")
    return allowed


def _ask(scope: Scope, call: ToolCallPart, tool: Tool) -> Flow[Decision]:
    """What the callback decides; what is no decision is a refusal."""
    run, approve = scope.run, scope.equipment.approval
    request = ApprovalRequest(call, tool.tool_class, run.step, run.run_id, run.options.principal, scope.path)
    assert approve is not None  # otherwise the call waits for the outside, and does not come here
    ruling = _ruled(approve, request)
    if scope.is_journalled:
        ruling = as_task(ruling, ruling_task(call, scope.path))
    answer = yield from ruling
    try:
        run.keep_in_mind(call, answer)
    except InvalidInput:
        pass  # a call that no pattern can say is asked about again
    return answer


def _ruled(approve: Approve, request: ApprovalRequest) -> Flow[Decision]:
    """The same, whatever it is that the callback gave or raised; raises Cancelled only."""
    try:
        answer = yield Call(approve, (request,))
    except Cancelled:
        raise
    except Exception as error:
        return Denied(reason=f"the approval failed ({words_of(error)})")
    if isinstance(answer, bool):
        return Approved() if answer else Denied()
    if not isinstance(answer, Approved | Denied | Answered):
        return Denied(reason=f"the approval callback gave {type(answer).__name__} and no decision")
    return answer


def decided(step: int, name: str, id: str, decision: Decision, by: str = "approval") -> ToolCallDecided:
    """The event that tells of a decision."""
    allowed = not isinstance(decision, Denied)
    reason = decision.reason if isinstance(decision, Denied) else ""
    if isinstance(decision, Answered):
        reason = "answered by somebody else"
    elif isinstance(decision, Approved) and decision.args is not None:
        reason = "with other arguments"
    return ToolCallDecided(step, name, id, allowed, by, reason)
