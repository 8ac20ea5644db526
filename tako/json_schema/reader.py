"""Reader: one schema within a schema, whose keywords are asked for by the kind of what they should hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from tako.errors import InvalidInput
from tako.json_schema.node import Node, shown, wrong_schema
from tako.json_schema.pattern import Pattern, Unreadable
from tako.json_schema.values import is_finite

__all__ = ["Patterns", "Reader"]

Json: TypeAlias = Any
Inner: TypeAlias = Callable[..., Node]

MOST_POSITIONS: Final = 100_000
"""In all patterns of a schema together."""


class Patterns:
    """The patterns of one schema, each read once, as far as they are not too many."""

    def __init__(self) -> None:
        self._known: dict[str, Pattern | Unreadable] = {}
        self._left = MOST_POSITIONS

    def read(self, source: str) -> Pattern | Unreadable:
        found = self._known.get(source)
        if found is None:
            try:
                if self._left < 0:
                    raise Unreadable("the patterns of the schema are too many")
                found = Pattern(source)
                self._left -= found.size
            except Unreadable as error:
                found = error
            self._left -= 10 + len(source)
            self._known[source] = found
        return found


class Reader:
    """Reads one schema. Raises InvalidInput that says where it is wrong."""

    def __init__(
        self,
        node: Node,
        schema: Mapping[str, Json],
        inner: Inner,
        patterns: Patterns,
        pass_over: Callable[[Node, str, str], None],
    ) -> None:
        self.schema = schema
        self._node = node
        self._inner = inner
        self._patterns = patterns
        self._pass_over = pass_over

    def wrong(self, keyword: str, words: str) -> InvalidInput:
        return wrong_schema((self._node.place, keyword), words)

    def number(self, keyword: str) -> int | float:
        found = self.schema[keyword]
        if isinstance(found, bool) or not isinstance(found, int | float) or not is_finite(found):
            raise self.wrong(keyword, "should be a number")
        return found

    def count(self, keyword: str) -> int:
        found = self.number(keyword)
        if found < 0 or found != int(found):
            raise self.wrong(keyword, "should be a whole number, not below 0")
        return int(found)

    def names(self, keyword: str, found: Json) -> tuple[str, ...]:
        if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
            raise self.wrong(keyword, "should be a list of names")
        return tuple(dict.fromkeys(found))

    def constants(self, keyword: str) -> list[Json]:
        found = self.schema[keyword]
        if not isinstance(found, list):
            raise self.wrong(keyword, "should be a list of values")
        return found

    def members(self, keyword: str) -> Mapping[str, Json]:
        found = self.schema.get(keyword, {})
        if not isinstance(found, dict):
            raise self.wrong(keyword, "should be an object")
        return found

    def node(self, keyword: str) -> Node:
        return self._inner(self.schema[keyword], keyword)

    def nodes_by_name(self, keyword: str) -> dict[str, Node]:
        return {name: self._inner(one, keyword, name) for name, one in self.members(keyword).items()}

    def nodes(self, keyword: str) -> tuple[Node, ...]:
        found = self.schema[keyword]
        if not isinstance(found, list) or not found:
            raise self.wrong(keyword, "should be a list of schemas")
        return tuple([self._inner(one, keyword, str(index)) for index, one in enumerate(found)])

    def pattern(self, keyword: str, source: Json) -> Pattern | None:
        """The pattern; None if it is passed over."""
        if not isinstance(source, str):
            raise self.wrong(keyword, "should be a regular expression")
        found = self._patterns.read(source)
        if isinstance(found, Unreadable):
            self._pass_over(self._node, keyword, f"the pattern {shown(source)} is not matched here: {found}")
            return None
        return found
