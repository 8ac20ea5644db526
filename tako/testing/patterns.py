"""Patterns: what is expected, compared field by field with what came.

A pattern is a value that should be equal; a dataclass of the same type, whose fields are patterns;
a tuple, list or mapping of patterns; a class, for any instance of it; ANY; or `matching(...)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from tako.testing.describing import brief, name_of

__all__ = ["ANY", "Difference", "differences", "matching"]


class _Any:
    """Equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "ANY"


class _Matching:
    """Equal to whatever satisfies a predicate."""

    def __init__(self, predicate: Callable[[Any], bool], text: str) -> None:
        self.predicate = predicate
        self.text = text

    def __eq__(self, other: object) -> bool:
        return bool(self.predicate(other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"matching({self.text})"


ANY: Any = _Any()
"""Stands for any value, in any field."""


def matching(predicate: Callable[[Any], bool], text: str = "") -> Any:
    """Stands for every value that the predicate accepts; `text` describes it in a mismatch."""
    return _Matching(predicate, text or name_of(predicate))


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the two do not agree."""

    place: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.place or 'it'}: expected {self.expected}, got {self.got}"


def differences(pattern: Any, value: Any, place: str = "") -> list[Difference]:
    """All places where a value is not what the pattern says; none if it is."""
    if pattern is value or isinstance(pattern, _Any):
        return []
    if isinstance(pattern, type):
        if isinstance(value, pattern):
            return []
        return [Difference(place, f"a {name_of(pattern)}", brief(value))]
    if type(pattern) is type(value):
        inside = _inside(pattern, value, place)
        if inside is not None:
            return inside
    if isinstance(pattern, BaseException) and type(pattern) is type(value):
        return differences(pattern.args, value.args, f"{place}.args")
    return [] if pattern == value else [Difference(place, brief(pattern), brief(value))]


def _inside(pattern: Any, value: Any, place: str) -> list[Difference] | None:
    """Compare two of one type part by part; None if it has no parts."""
    if is_dataclass(pattern):
        return [
            difference
            for field in fields(pattern)
            if field.compare
            for difference in differences(
                getattr(pattern, field.name), getattr(value, field.name), f"{place}.{field.name}".lstrip(".")
            )
        ]
    if isinstance(pattern, (tuple, list)):
        if len(pattern) != len(value):
            expected, got = f"{len(pattern)} items: {brief(pattern)}", f"{len(value)}: {brief(value)}"
            return [Difference(place, expected, got)]
        pairs = enumerate(zip(pattern, value, strict=True))
        return [
            found for index, (one, other) in pairs for found in differences(one, other, f"{place}[{index}]")
        ]
    if isinstance(pattern, Mapping):
        if pattern.keys() != value.keys():
            return [Difference(place, f"keys {brief(list(pattern))}", brief(list(value)))]
        return [
            found for key in pattern for found in differences(pattern[key], value[key], f"{place}[{key!r}]")
        ]
    return None
