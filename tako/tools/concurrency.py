"""Which calls of a batch run side by side: the plan, as data, before anything runs.

| route      | calls                                                     | may run beside                 |
|------------|-----------------------------------------------------------|--------------------------------|
| READ_ONLY  | of tools that change nothing                              | other reads, up to `read_only` |
| CONCURRENT | of tools that change something and say that it may be,    | others of this route, up to    |
|            | and of tools that run agents                              | `mutating`                     |
| SERIAL     | of all other tools                                        | nothing                        |
| INSTANT    | that no tool will run: refused by policy, of unknown name | whatever stands there          |

A batch is cut where the route changes, in the model's order; each piece is a stage, and a stage begins when
the one before it has ended. So a read after a write sees the write, and a read before it does not. An instant
call touches nothing: it joins the stage that it stands in and never cuts one.

A stage has lanes. A lane is a queue of calls that one flow works through, taking the next with `take`; a tool
that is capped at n has n lanes that share one queue, and any other call has a lane of its own. Run
the lanes side by side, `limit` at a time, and both bounds hold, with no semaphore: a lane that runs always
runs a call, and a call never holds a place that belongs to another batch. That is why a tool
that runs an agent, whose batches are planned for themselves, can wait for nothing but its own work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from tako.models import ToolCallPart, Value
from tako.tools.tool import Tool

__all__ = ["ConcurrencyConfig", "Lane", "Route", "Stage", "ToolConcurrency", "plan", "route_of", "take"]

Lane = deque[ToolCallPart]
"""The calls that a flow takes one after the other; several flows may share a lane."""

Limit = Annotated[int, Field(gt=0, strict=True)]


class ToolConcurrency(Value):
    """How the calls of one tool run, whatever the tool says of itself.

    concurrent  True: side by side with others of its kind, also if it changes something; False: always alone
    limit       how many of them at most
    """

    concurrent: bool = True
    limit: Limit | None = None


class ConcurrencyConfig(Value):
    """How many calls of a batch may run side by side.

    read_only  calls that change nothing
    mutating   calls that change something and may run side by side all the same
    tools      by name: a number is a cap for that tool and changes nothing else; or a ToolConcurrency
    """

    read_only: Limit = 8
    mutating: Limit = 10
    tools: dict[str, Limit | ToolConcurrency] = Field(default_factory=dict)

    if TYPE_CHECKING:  # any mapping will do; kept as declared above

        def __init__(
            self,
            *,
            read_only: int = 8,
            mutating: int = 10,
            tools: Mapping[str, int | ToolConcurrency] | None = None,
        ) -> None: ...

    def cap(self, name: str) -> int | None:
        """How many calls of one tool may run side by side; None if only its kind is limited."""
        told = self.tools.get(name)
        return told.limit if isinstance(told, ToolConcurrency) else told


class Route(Enum):
    """What a call may run beside; see the head of the file."""

    READ_ONLY = "read_only"
    CONCURRENT = "concurrent"
    SERIAL = "serial"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class Stage:
    """Calls between two barriers: in the model's order, and as lanes to run `limit` at a time."""

    route: Route
    calls: tuple[ToolCallPart, ...]
    lanes: tuple[Lane, ...]
    limit: int


def route_of(tool: Tool | None, config: ConcurrencyConfig) -> Route:
    """What a call of this tool may run beside; None is a tool that is not there."""
    if tool is None:
        return Route.INSTANT
    told = config.tools.get(tool.name)
    side_by_side = tool.read_only or tool.concurrent or tool.recursive
    if isinstance(told, ToolConcurrency):
        side_by_side = told.concurrent
    if not side_by_side:
        return Route.SERIAL
    return Route.READ_ONLY if tool.read_only else Route.CONCURRENT


def plan(
    calls: Sequence[ToolCallPart], routing: Callable[[ToolCallPart], Route], config: ConcurrencyConfig
) -> list[Stage]:
    """The stages of a batch: every call stands in one of them, once."""
    if len(calls) == 1:
        return [Stage(routing(calls[0]), (calls[0],), (deque(calls),), 1)]
    stages: list[Stage] = []
    gathered: list[ToolCallPart] = []
    standing = Route.INSTANT
    for call in calls:
        route = routing(call)
        joins = route is Route.INSTANT or (route is standing and route is not Route.SERIAL)
        if gathered and not joins and standing is not Route.INSTANT:
            stages.append(_stage(standing, gathered, config))
            gathered = []
        if route is not Route.INSTANT:
            standing = route
        gathered.append(call)
    if gathered:
        stages.append(_stage(standing, gathered, config))
    return stages


def take(lane: Lane) -> ToolCallPart | None:
    """The next call of a lane, or None if another flow took the last: safe from any thread."""
    try:
        return lane.popleft()
    except IndexError:
        return None


def _stage(route: Route, calls: list[ToolCallPart], config: ConcurrencyConfig) -> Stage:
    if route is Route.SERIAL or route is Route.INSTANT:
        return Stage(route, tuple(calls), (deque(calls),), 1)
    lanes: list[Lane] = []
    shared: dict[str, Lane] = {}
    for call in calls:
        cap = config.cap(call.name)
        if cap is None:
            lanes.append(deque((call,)))
            continue
        lane = shared.setdefault(call.name, deque())
        lane.append(call)
        if len(lane) <= cap:
            lanes.append(lane)
    limit = config.read_only if route is Route.READ_ONLY else config.mutating
    return Stage(route, tuple(calls), tuple(lanes), limit)
