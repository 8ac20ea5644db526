"""Tools: Python functions that a model may call."""

from __future__ import annotations

from tako.tools.context import ToolContext
from tako.tools.registry import ToolRegistry
from tako.tools.tool import Tool, tool

__all__ = ["Tool", "ToolContext", "ToolRegistry", "tool"]
