"""Orchestrators: what makes an answer of a prompt, by one model or by many.

| to                                                          | use                              |
|-------------------------------------------------------------|----------------------------------|
| let one model work with tools                               | SingleAgent                      |
| have a model plan, and workers carry it out side by side    | Conductor, Worker                |
| have somebody else speak at each step                       | Trinity, Role, TurnTaking        |
| have an answer revised until it is good enough              | SelfCaller                       |
| grow many answers as a tree, and take the best              | AbMcts, TreeSearch               |
| put one inside another                                      | Orchestrator.as_tool, SubAgent   |

Each name is imported when it is first used. How a run stands in others is in `place`, what it has used in
`ledger`, what it begins with in `opening`; all orchestrators share these.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tako.orchestrators.ab_mcts import AbMcts, SearchResult, SearchRun
    from tako.orchestrators.agent_run import AgentRun
    from tako.orchestrators.base import Orchestrator
    from tako.orchestrators.conductor import Conductor, ConductorResult, Quorum, Worker
    from tako.orchestrators.result import RunResult, SubAgentUsage
    from tako.orchestrators.self_caller import SelfCaller, SelfCallerResult
    from tako.orchestrators.single_agent import SingleAgent
    from tako.orchestrators.sub_agent import SubAgent
    from tako.orchestrators.tree_search import TreeSearch
    from tako.orchestrators.trinity import Role, Trinity, TurnTaking

__all__ = [
    "AbMcts",
    "AgentRun",
    "Conductor",
    "ConductorResult",
    "Orchestrator",
    "Quorum",
    "Role",
    "RunResult",
    "SearchResult",
    "SearchRun",
    "SelfCaller",
    "SelfCallerResult",
    "SingleAgent",
    "SubAgent",
    "SubAgentUsage",
    "TreeSearch",
    "Trinity",
    "TurnTaking",
    "Worker",
]

_NAMES_OF = {
    "ab_mcts": "AbMcts SearchResult SearchRun",
    "agent_run": "AgentRun",
    "base": "Orchestrator",
    "conductor": "Conductor ConductorResult Quorum Worker",
    "result": "RunResult SubAgentUsage",
    "self_caller": "SelfCaller SelfCallerResult",
    "single_agent": "SingleAgent",
    "sub_agent": "SubAgent",
    "tree_search": "TreeSearch",
    "trinity": "Role Trinity TurnTaking",
}
_HOME_OF = {name: home for home, names in _NAMES_OF.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
