"""Approval: who is asked whether a call may run, about which calls, and with what in hand.

What becomes of the answer is in `gate`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tako.errors import InvalidInput
from tako.models import Principal, ToolCallPart
from tako.tools.tool import Tool

__all__ = ["ApprovalRequest", "Approve", "NeedsApproval", "is_marked", "needs_of"]


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """What the approval callback is asked about. `path` names the sub-agents that lead to the call."""

    call: ToolCallPart
    tool_class: Literal["read_only", "mutating"]
    step: int
    run_id: str
    principal: Principal
    path: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.call.name

    @property
    def args(self) -> Any:
        return self.call.args


Approve: TypeAlias = Callable[[ApprovalRequest], Any]
"""Answers with Approved, Denied, Answered, True or False; plain or async."""
NeedsApproval: TypeAlias = Callable[[ToolCallPart, Tool], bool]


def needs_of(which: str | NeedsApproval) -> NeedsApproval:
    """The predicate behind "marked", "mutating", "all", or the caller's own; raises InvalidInput."""
    if callable(which):
        if inspect.iscoroutinefunction(which):
            raise InvalidInput("needs_approval should be a plain function: nobody awaits its answer")
        return which
    if which not in _NEEDS:
        raise InvalidInput(
            f"needs_approval should be one of {', '.join(_NEEDS)}, or a function, not {which!r}"
        )
    return _NEEDS[which]


def is_marked(call: ToolCallPart, tool: Tool) -> bool:
    """The tool itself asks for it."""
    return tool.approval


_NEEDS: dict[str, NeedsApproval] = {
    "marked": is_marked,
    "mutating": lambda call, tool: tool.approval or not tool.read_only,
    "all": lambda call, tool: True,
}
