"""JSON values as text: to be compared, and to be shown in a message.

Invariants. Two values have the same canonical text if they are equal in JSON schema: 1 is 1.0 and not true,
and the order of members says nothing. What is shown is short.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any, Final, TypeAlias

from tako.errors import InvalidInput
from tako.json_schema.node import KINDS, kind_of, shown

__all__ = ["canonical", "is_finite", "listed", "told"]

Json: TypeAlias = Any

MOST_SHOWN: Final = 10


def is_finite(number: int | float) -> bool:
    return isinstance(number, int) or isfinite(number)


def canonical(value: Json, depth: int) -> tuple[str, int]:
    """The same text for values that are equal in JSON, and how many steps it took.

    Texts and not tuples, since nobody can choose texts that all have the same hash.
    """
    if type(value) is str:
        return f"{value!r},", len(value) >> 6
    pieces: list[str] = []
    _write(value, pieces, depth)
    text = "".join(pieces)
    return text, len(pieces) + (len(text) >> 6)


def _write(value: Json, pieces: list[str], depth: int) -> None:
    if depth < 0:
        raise InvalidInput("the value is nested too deeply to be checked")
    kind = kind_of(value)
    if kind is dict:
        pieces.append("{")
        for name in sorted(value, key=str):
            pieces.append(f"{name!r}:")
            _write(value[name], pieces, depth - 1)
        pieces.append("}")
    elif kind is list:
        pieces.append("[")
        for item in value:
            _write(item, pieces, depth - 1)
        pieces.append("]")
    elif kind is str:
        pieces.append(f"{str.__repr__(value)},")  # whatever enum it may belong to
    elif kind is float and value.is_integer():
        pieces.append(f"{int(value):x},")
    elif kind is int:
        pieces.append(f"{value:x},")  # not decimal, which Python refuses beyond a few thousand digits
    else:
        pieces.append(f"{value!r},")


def told(number: int | float) -> str:
    return str(number) if isinstance(number, float) or abs(number) < 10**20 else "a very large number"


def listed(values: Sequence[Json], word: str) -> str:
    """Values for a message: a few of them, and short."""
    if not values:
        return "nothing"
    few = [_shown(value) for value in values[:MOST_SHOWN]]
    if len(values) > MOST_SHOWN:
        few.append(f"{len(values) - MOST_SHOWN} more")
    return few[0] if len(few) == 1 else f"{', '.join(few[:-1])} {word} {few[-1]}"


def _shown(value: Json) -> str:
    if isinstance(value, str):
        return shown(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return told(value) if isinstance(value, int | float) else KINDS.get(kind_of(value), "something")
