"""ToolContext: what a tool may know of the call that it serves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tako.cancellation import CancellationToken
from tako.effects import Emit
from tako.models import Principal

if TYPE_CHECKING:
    from tako.steering import Steering

__all__ = ["OfContext", "ToolContext"]


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Handed to a tool that has a parameter annotated with this class.

    `cancel` is cancelled when the tool should stop: a long blocking tool looks at it now and then
    (`context.cancel.raise_if_cancelled()`) and so gives its thread back. `steering` is the handle of
    the run, where there is one; a sub-agent's tools have none. `depth` is 0 in the outermost agent.
    """

    call_id: str
    tool_name: str
    step: int
    run_id: str
    principal: Principal
    cancel: CancellationToken = field(default_factory=CancellationToken)
    steering: Steering | None = field(default=None, repr=False)
    depth: int = 0
    show: Callable[[Any], Sequence[Any]] | None = field(default=None, repr=False)
    """Makes the events of what a tool says on its way; None if nobody looks."""
    caller: object = field(default=None, repr=False)
    """The agent at work, for tools that run an agent themselves."""

    def progress(self, item: Any) -> Emit:
        """What a tool that is a flow yields to show how far it is."""
        return Emit(() if self.show is None else self.show(item))


class OfContext(ABC):
    """The base of what a tool can have as well, by a parameter annotated with its class.

    `of` is called with the context when the tool is; a ToolError of it is what the model is told.
    """

    @classmethod
    @abstractmethod
    def of(cls, context: ToolContext) -> OfContext:
        """The instance for this call."""
