"""Template: a JSON value with placeholders, compiled once, filled for each request.

| in the template                | in the body                                                      |
|--------------------------------|------------------------------------------------------------------|
| `"{{ temperature }}"`          | the value itself: a number, a list, an object                    |
| the same, where nothing is set | nothing: the field, or the element of the list, is left out      |
| `"Answer: {{ prompt }}"`       | text; numbers, lists and objects as JSON, nothing for what is not set |
| `"{{ messages \\| openai }}"`   | the value in another of its formats                              |
| `'{{ "{{" }}'`                 | `{{`: what stands in quotes is taken as it is                    |

Invariant: which placeholders there are is known when the template is made. An unknown name or
format is an InvalidInput then, and not text that reaches the vendor.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from tako.errors import InvalidInput
from tako.providers.body import json_text

__all__ = ["Slot", "Template"]

PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
QUOTED = re.compile(r'\{\{\s*"([^"]*)"\s*\}\}')
CONTENT = re.compile(r"\s*(\w+)\s*(?:\|\s*(\w+)\s*)?")

Formats: TypeAlias = Mapping[str, tuple[str, ...]]
"""Names of placeholders, each with its formats, the usual one first."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for a value."""

    name: str
    format: str


@dataclass(frozen=True, slots=True)
class _Text:
    """Text with slots in it."""

    pieces: tuple[str | Slot, ...]


ValueOf: TypeAlias = Callable[[Slot], Any]
"""What belongs into a slot; None for what is not set."""


class Template:
    """A JSON value with slots. Raises InvalidInput, which says where, for what cannot be filled."""

    __slots__ = ("_root", "slots")

    def __init__(self, what: str, value: Any, known: Formats) -> None:
        self.slots: set[Slot] = set()
        self._root = self._compile(what, value, known)

    def fill(self, value_of: ValueOf) -> Any:
        """The value with what belongs into its slots; None if it is one slot for nothing."""
        return _filled(self._root, value_of)

    def _compile(self, what: str, value: Any, known: Formats) -> Any:
        if isinstance(value, str):
            return self._compile_text(what, value, known)
        if isinstance(value, Mapping):
            return {str(name): self._compile(f"{what}.{name}", item, known) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._compile(f"{what}[{index}]", item, known) for index, item in enumerate(value)]
        if value is None or isinstance(value, bool | int | float):
            return value
        raise InvalidInput(f"{what} should be JSON, not {type(value).__name__}")

    def _compile_text(self, what: str, text: str, known: Formats) -> Any:
        pieces: list[str | Slot] = []
        place = 0
        while (start := text.find("{{", place)) >= 0:
            if start > place:
                pieces.append(text[place:start])
            found = QUOTED.match(text, start) or PLACEHOLDER.match(text, start)
            if found is None:
                raise InvalidInput(
                    f"{what}: a placeholder is not closed by }}}}: {text[start : start + 40]!r}"
                )
            pieces.append(found[1] if found.re is QUOTED else self._slot(what, found[1], known))
            place = found.end()
        if place < len(text):
            pieces.append(text[place:])
        if not any(isinstance(piece, Slot) for piece in pieces):
            return "".join(map(str, pieces))
        return pieces[0] if len(pieces) == 1 else _Text(tuple(pieces))

    def _slot(self, what: str, content: str, known: Formats) -> Slot:
        found = CONTENT.fullmatch(content)
        name, wanted = (found[1], found[2]) if found else (content.strip(), None)
        if name not in known:
            nearest = difflib.get_close_matches(name, known, 1)
            hint = f" (did you mean {nearest[0]}?)" if nearest else ""
            raise InvalidInput(f"{what}: unknown placeholder {name!r}{hint}; there are {', '.join(known)}")
        formats = known[name]
        if wanted is not None and wanted not in formats:
            raise InvalidInput(f"{what}: {name} has the formats {', '.join(formats)}, not {wanted!r}")
        slot = Slot(name, wanted or formats[0])
        self.slots.add(slot)
        return slot


def _filled(node: Any, value_of: ValueOf) -> Any:
    match node:
        case Slot():
            return value_of(node)
        case _Text(pieces):
            return "".join([_text(piece, value_of) for piece in pieces])
        case dict():
            fields = {name: (item, _filled(item, value_of)) for name, item in node.items()}
            return {name: new for name, (old, new) in fields.items() if not _is_left_out(old, new)}
        case list():
            items = [(item, _filled(item, value_of)) for item in node]
            return [new for old, new in items if not _is_left_out(old, new)]
        case _:
            return node


def _is_left_out(old: Any, new: Any) -> bool:
    """A null that is written in the template stays; one that comes from a slot is nothing."""
    return new is None and type(old) is Slot


def _text(piece: str | Slot, value_of: ValueOf) -> str:
    if isinstance(piece, str):
        return piece
    value = value_of(piece)
    return "" if value is None else json_text(value, f"{{{{ {piece.name} }}}}")
