"""Furnishing: an agent's equipment, completed by the tools of its MCP servers.

The servers are connected when a run first needs their tools, which is before its first step. Before each
later step nothing is asked: only if a server has said that its tools are others now, or was connected
anew, is its list asked for again. A sub-agent has those tools that its parent has when it begins, unless it
was given its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tako.effects import Flow
from tako.mcp.remote_tool import remote_tools, sessions_of
from tako.orchestrators.sub_agent import require_traces

if TYPE_CHECKING:
    from tako.orchestrators.scope import Scope

__all__ = ["furnish"]


def furnish(scope: Scope) -> Flow[None]:
    """See to it that the scope has the tools of its servers, as they are now.

    Raises what a server cannot be reached for, and InvalidInput if two tools have the same name, or a
    sub-agent could change something with them unseen.
    """
    if scope.sessions is None:
        scope.sessions = yield from sessions_of(scope.equipment.servers)
    if scope.generations == [session.generation for session in scope.sessions]:
        return
    own = scope.own_tools = scope.equipment.tools if scope.own_tools is None else scope.own_tools
    found = yield from remote_tools(scope.sessions, [tool.name for tool in own])
    tools = own.and_also(found)
    require_traces(tools, scope.equipment.policy)
    scope.equipment = replace(scope.equipment, tools=tools)
    # As of now: what has changed while the lists were asked for is heard of by then, or later.
    scope.generations = [session.generation for session in scope.sessions]
