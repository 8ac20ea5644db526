"""Scope: one run, and everything that it is performed with.

The equipment of an agent is a value and its run is data; what belongs to neither is here, and lives
as long as the run is driven: who listens, the handle of the user, how deep this agent stands in others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tako.cancellation import CancellationToken
from tako.effects import Emit
from tako.events import OrchEvent
from tako.orchestrators.agent_run import AgentRun
from tako.orchestrators.equipment import Equipment
from tako.orchestrators.place import Place, Show
from tako.orchestrators.result import RunResult
from tako.tools.context import ToolContext

if TYPE_CHECKING:
    from tako.mcp.session import Session
    from tako.models import ToolCallPart
    from tako.steering import Mode, SteeredRun, Steering
    from tako.tools.registry import ToolRegistry

__all__ = ["Scope"]


@dataclass(slots=True)
class Scope:
    """`show` is None when nobody listens, and then no event is made."""

    equipment: Equipment
    run: AgentRun
    show: Show | None = None
    steering: Steering | None = None
    depth: int = 0
    path: tuple[str, ...] = ()
    is_journalled: bool = False
    steered: SteeredRun | None = None
    """What this run has of the handle."""
    # Where there are MCP servers:
    sessions: tuple[Session, ...] | None = None
    own_tools: ToolRegistry | None = None
    """Those that are the agent's without its servers."""
    generations: list[int] | None = None
    """Of which time the servers' tools are that the equipment has."""
    # Of this turn, where there is a handle:
    mode: Mode | None = None
    instructions: tuple[str, ...] = ()
    turn: CancellationToken | None = None
    calls: Mapping[str, CancellationToken] = field(default_factory=dict)

    @classmethod
    def at(cls, place: Place, equipment: Equipment, run: AgentRun, steering: Steering | None = None) -> Scope:
        """Of a run that stands there."""
        return cls(equipment, run, place.show, steering, place.depth, place.path, place.is_journalled)

    @property
    def place(self) -> Place:
        """Where this run stands."""
        return Place(self.show, self.depth, self.path, self.is_journalled)

    def tell(self, *events: OrchEvent) -> Emit:
        """Emit these; only to be asked for while somebody listens."""
        return Emit(events if self.show is None else self.show(events))

    @property
    def cost_usd(self) -> float | None:
        """The price of all that was used, with the sub-agents; None if a part of it is not known."""
        equipment, run = self.equipment, self.run
        if equipment.casting is None:
            cost = equipment.provider.capabilities.cost_usd(run.own_usage)
        else:
            cost = equipment.casting.cost_usd(run)
        for one in run.sub_agents:
            cost = None if cost is None or one.cost_usd is None else cost + one.cost_usd
        return cost

    def result(self) -> RunResult[Any]:
        """What there is, at any moment."""
        return self.run.result(self.cost_usd)

    def context(self, call: ToolCallPart, progress: Callable[[Any], Sequence[Any]] | None) -> ToolContext:
        """What the tool may know of its call."""
        return ToolContext(
            call_id=call.id,
            tool_name=call.name,
            step=self.run.step,
            run_id=self.run.run_id,
            principal=self.run.options.principal,
            steering=self.steering,
            depth=self.depth,
            show=progress,
            caller=self,
        )
