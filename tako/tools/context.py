"""ToolContext: what a tool may know of the call that it serves."""

from __future__ import annotations

from dataclasses import dataclass, field

from tako.cancellation import CancellationToken
from tako.models import Principal

__all__ = ["ToolContext"]


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Handed to a tool that has a parameter annotated with this class.

    `cancel` is cancelled when the tool should stop: a long blocking tool looks at it now and then
    (`context.cancel.raise_if_cancelled()`) and so gives its thread back.
    """

    call_id: str
    tool_name: str
    step: int
    run_id: str
    principal: Principal
    cancel: CancellationToken = field(default_factory=CancellationToken)
