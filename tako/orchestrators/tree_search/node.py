"""Node and Trial: what a search hands out, and what a node may hold."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from tako.errors import InvalidInput

__all__ = ["Node", "Trial", "parsed", "state_of"]

DEEPEST_STATE: Final = 100
"""Of lists and objects in one another: what any parser of JSON will read again."""


@dataclass(frozen=True, slots=True)
class Node:
    """An answer in the tree, or the root, or a failure; as it was when it was asked for."""

    number: int
    """0 for the root, then in the order of telling."""
    parent: int | None
    """The number of the node that this one goes on from."""
    action: str | None
    """Who made it; nobody made the root."""
    score: float | None
    """From 0 to 1; None for the root and for what failed."""
    state: Any
    """Any JSON value: what is needed to go on from here."""
    depth: int
    children: tuple[int, ...] = ()
    error: str | None = None
    """Why there is no answer."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One more child of `node`, to be made by `action`, and told of by `id`."""

    id: int
    node: int
    action: str


def state_of(value: Any) -> Any:
    """A copy of the value as JSON has it (tuples are lists, keys are text); raises InvalidInput."""
    kind = type(value)
    if value is None or kind is bool or (kind is str and value.isascii()):
        return value
    try:
        text = _ENCODE(value)
        if text.count("[") + text.count("{") > DEEPEST_STATE and _depth(value) > DEEPEST_STATE:
            raise InvalidInput(f"state should be nested at most {DEEPEST_STATE} deep")
        return json.loads(text)
    except InvalidInput:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"state should be a JSON value: {error}") from error


def parsed(text: str | bytes) -> Any:
    """The value in a JSON text; raises ValueError or RecursionError, for NaN and infinities too."""
    return json.loads(text, parse_constant=_refuse)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _depth(value: object) -> int:
    """How deep it is nested; level by level, so that no depth is too much to be counted."""
    depth = 0
    level: list[object] = [value]
    while level := [each for item in level for each in _items(item)]:
        depth += 1
    return depth


def _items(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values() or (None,)
    return (value or (None,)) if isinstance(value, list | tuple) else ()


_ENCODE = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
