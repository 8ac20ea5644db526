"""Furnishing: an agent's equipment, completed by the tools of its MCP servers.

The servers are connected when a run first needs their tools, which is before its first step. Before each
later step nothing is asked: only if a server has said that its tools are others now, or was connected
anew, is its list asked for again. Where a journal is kept the lists are in it, as the servers gave them: a
run that goes on has the tools that it had, and a replay asks nobody. A sub-agent has those tools that its
parent has when it begins, unless it was given its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tako.effects import Flow, Task
from tako.mcp.catalogue import ToolInfo
from tako.mcp.remote_tool import Catalogues, catalogues_of, sessions_of, tools_of
from tako.orchestrators.sub_agent import require_traces

if TYPE_CHECKING:
    from tako.mcp.config import ServerConfig
    from tako.mcp.session import Session
    from tako.orchestrators.scope import Scope

__all__ = ["furnish"]


def furnish(scope: Scope) -> Flow[None]:
    """See to it that the scope has the tools of its servers, as they are now.

    Raises what a server cannot be reached for, and InvalidInput if two tools have the same name, or a
    sub-agent could change something with them unseen.
    """
    servers = scope.equipment.servers
    if scope.sessions is None:
        scope.sessions = yield from sessions_of(servers)
    catalogues = yield from scope.place.kept(_news(scope, scope.sessions), _catalogues_task(servers))
    if catalogues is None:
        return
    own = scope.own_tools = scope.equipment.tools if scope.own_tools is None else scope.own_tools
    tools = own.and_also(tools_of(scope.sessions, catalogues, [tool.name for tool in own]))
    require_traces(tools, scope.equipment.policy)
    scope.equipment = replace(scope.equipment, tools=tools)


def _news(scope: Scope, sessions: tuple[Session, ...]) -> Flow[Catalogues | None]:
    """What the servers offer; None if that is what they offered before."""
    if scope.generations == [session.generation for session in sessions]:
        return None
    catalogues = yield from catalogues_of(sessions)
    # As of now: what has changed while the lists were asked for is heard of by then, or later.
    scope.generations = [session.generation for session in sessions]
    return catalogues


def _catalogues_task(servers: tuple[ServerConfig, ...]) -> Task:
    return Task("catalogue", lambda: [server.label for server in servers], _dumped, _loaded)


def _dumped(catalogues: Catalogues | None) -> Any:
    return None if catalogues is None else [[info.raw for info in infos] for infos in catalogues]


def _loaded(kept: Any) -> Catalogues | None:
    return None if kept is None else [tuple([ToolInfo.of(raw) for raw in infos]) for infos in kept]
