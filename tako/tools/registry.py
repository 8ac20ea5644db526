"""ToolRegistry: the tools of an agent by name, in an order that does not change.

Tools are told to the model sorted by name, so that the same set makes the same bytes and a
vendor's prompt cache can hit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tako.errors import InvalidInput
from tako.models import CacheControl, ToolSchema
from tako.tools.tool import Tool

__all__ = ["ToolRegistry"]


class ToolRegistry:
    """An immutable set of tools. Raises InvalidInput when two have the same name.

    With `cache` the last definition, and so all of them, are marked for the vendor's prompt cache.
    """

    __slots__ = ("_cache", "_tools", "get", "schemas")

    get: Callable[[str], Tool | None]
    """The tool of that name, or None."""

    def __init__(
        self, tools: Iterable[Tool | Callable[..., Any]] = (), *, cache: CacheControl | None = None
    ) -> None:
        if not isinstance(tools, Iterable):
            raise InvalidInput(f"tools should be a list of functions or tools, not {type(tools).__name__}")
        found: dict[str, Tool] = {}
        for index, item in enumerate(tools):
            if not callable(item):
                hint = "; write tools=[*them]" if isinstance(item, list | tuple) else ""
                raise InvalidInput(
                    f"tools[{index}] should be a function or Tool, not {type(item).__name__}{hint}"
                )
            one = item if isinstance(item, Tool) else Tool(item)
            if one.name in found:
                raise InvalidInput(f"tools: two tools are named {one.name!r}; give one of them another name=")
            found[one.name] = one
        self._tools = dict(sorted(found.items()))
        self._cache = cache
        self.get = self._tools.get
        self.schemas: tuple[ToolSchema, ...] = _marked([one.schema for one in self._tools.values()], cache)

    def only(self, wanted: Callable[[str], bool]) -> ToolRegistry:
        """Those whose names are wanted."""
        return ToolRegistry([one for one in self if wanted(one.name)], cache=self._cache)

    def and_also(self, others: Iterable[Tool]) -> ToolRegistry:
        """These and others; raises InvalidInput when two have the same name."""
        return ToolRegistry((*self, *others), cache=self._cache)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)


def _marked(schemas: list[ToolSchema], cache: CacheControl | None) -> tuple[ToolSchema, ...]:
    if cache is not None and schemas:
        schemas[-1] = schemas[-1].model_copy(update={"cache_control": cache})
    return tuple(schemas)
