"""PartialArguments: the arguments of a call that Vertex streams, put together piece by piece.

Each piece names its place by a path, `$.city` or `$.stops[0]['street name']`, and holds a text, a
number, a truth value or null. A text whose piece says `willContinue` goes on in the next piece for
the same place. What is put together is the JSON text of an object, so that a call that came in
pieces and one that came whole are the same from there on.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, Final

from pydantic_core import from_json, to_json

from tako.errors import ProtocolError
from tako.providers.answer import MAX_BLOCKS, Pieces

__all__ = ["PartialArguments"]

STEP: Final = re.compile(
    r"\.([^.\[\]'\"]+)|\[(\d{1,9})\]|\['((?:[^'\\]|\\.)*)'\]|\[(\"(?:[^\"\\]|\\.)*\")\]", re.DOTALL
)
MAX_DEPTH: Final = 64
KINDS: Final = ("stringValue", "numberValue", "boolValue")


class PartialArguments:
    """The arguments of one call, as far as they came. Raises ProtocolError for what cannot be placed."""

    __slots__ = ("_count", "_growing", "_root", "is_whole")

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}
        self._growing: dict[str, tuple[Any, Any, Pieces]] = {}
        self._count = 0
        self.is_whole = True
        """Whether no text waits for its rest."""

    def add(self, piece: dict[str, Any]) -> None:
        path = piece["jsonPath"]
        if type(path) is not str:
            raise ProtocolError("the place of an argument should be a text", phase="decode")
        value = next((piece[kind] for kind in KINDS if kind in piece), None)
        if path not in self._growing:
            self._count += 1
            if self._count > MAX_BLOCKS:
                raise ProtocolError(f"a call has more than {MAX_BLOCKS} arguments", phase="decode")
            holder, key = self._place(path)
            self._put(holder, key, value)
            if type(value) is str and piece.get("willContinue"):
                self._growing[path] = (holder, key, Pieces())
        if path in self._growing:
            holder, key, pieces = self._growing[path]
            if value is not None:
                pieces.add(value)
            if not piece.get("willContinue"):
                del self._growing[path]
                self._put(holder, key, pieces.join())
        self.is_whole = not self._growing

    def json(self) -> str:
        return to_json(self._root).decode()

    def _place(self, path: str) -> tuple[Any, Any]:
        """What holds the place, made as far as it is not there yet, and the place in it."""
        steps = _steps(path)
        holder: Any = self._root
        for step, following in pairwise(steps):
            inner = _at(holder, step)
            if inner is None:
                inner = [] if type(following) is int else {}
                self._put(holder, step, inner)
            holder = inner
        if type(holder) is not (list if type(steps[-1]) is int else dict):
            raise ProtocolError(f"the argument at {path!r} has no place", phase="decode")
        return holder, steps[-1]

    def _put(self, holder: Any, key: Any, value: Any) -> None:
        if type(holder) is list and type(key) is int:
            if key > len(holder):
                raise ProtocolError("an element of an argument came before the one in front", phase="decode")
            holder[key : key + 1] = [value]
        elif type(holder) is dict and type(key) is str:
            holder[key] = value
        else:
            raise ProtocolError("a piece of an argument has no place", phase="decode")


def _at(holder: Any, key: Any) -> Any:
    if type(holder) is dict:
        return holder.get(key)
    return holder[key] if type(holder) is list and type(key) is int and key < len(holder) else None


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    place = 1
    while path.startswith("$") and place < len(path):
        found = STEP.match(path, place)
        if found is None or len(steps) >= MAX_DEPTH:
            break
        place = found.end()
        name, index, single, double = found.groups()
        if index is not None:
            steps.append(int(index))
        elif double is not None:
            steps.append(str(from_json(double)))
        else:
            steps.append(name if single is None else re.sub(r"\\(.)", r"\1", single))
    if not steps or place != len(path):
        raise ProtocolError(f"the place of an argument cannot be read: {path[:100]!r}", phase="decode")
    return steps
