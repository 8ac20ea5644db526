"""Tools: Python functions that a model may call, what may be called, and the ones that tako brings.

The built-in tools are loaded when they are first asked for: an agent without them does not pay.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tako.tools.context import ToolContext
from tako.tools.output import ToolOutput
from tako.tools.registry import ToolRegistry
from tako.tools.tool import Tool, tool

if TYPE_CHECKING:
    from tako.tools.builtin import Workspace, defaults
    from tako.tools.builtin.web_fetch import web_fetch
    from tako.tools.concurrency import ConcurrencyConfig, ToolConcurrency
    from tako.tools.patterns import CallPattern
    from tako.tools.policy import ToolPolicy

__all__ = [
    "CallPattern",
    "ConcurrencyConfig",
    "Tool",
    "ToolConcurrency",
    "ToolContext",
    "ToolOutput",
    "ToolPolicy",
    "ToolRegistry",
    "Workspace",
    "defaults",
    "tool",
    "web_fetch",
]

_HOMES = {
    "CallPattern": "patterns",
    "ConcurrencyConfig": "concurrency",
    "ToolConcurrency": "concurrency",
    "ToolPolicy": "policy",
    "Workspace": "builtin",
    "defaults": "builtin",
    "web_fetch": "builtin",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
