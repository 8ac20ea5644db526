"""Entry: one thing that a run has worked for, and where in the run it stands; a line of JSON.

A run is a tree of flows, and a position is the way to a place in it: the number of the thing in its flow,
then, for what is within that thing, which child it is and the number in there, and so on.

| position      | stands for                                                                        |
|---------------|-----------------------------------------------------------------------------------|
| (3,)          | the third thing that the outermost flow asked for                                 |
| (4, 1, 2)     | that was a Gather, say: the second thing that its second child asked for          |

    {"check":"8c736521","entry":{"at":[3],"kind":"model","digest":"…","asked":{…},"value":{…}}}

Invariants. A line is a whole entry or none: what was cut off, or changed, does not fit its check sum. An
entry is never changed; where there are two of one position, the later one holds.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, Final, TypeAlias

from pydantic import Field, StrictInt, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from tako.errors import InvalidInput

__all__ = [
    "DROPPED",
    "END",
    "MOST_OF_AN_ENTRY",
    "MOST_OF_A_LINE",
    "Entry",
    "Position",
    "Reached",
    "abridged",
    "digest_of",
    "holding",
    "json_of",
    "line_of",
    "read_line",
    "standing",
]

Position: TypeAlias = tuple[int, ...]

MOST_OF_AN_ENTRY: Final = 256 * 1024 * 1024
"""Bytes: more is not kept."""
MOST_OF_A_LINE: Final = MOST_OF_AN_ENTRY + 64
"""Bytes, with its check sum and its end: more is not read."""
END: Final = "end"
"""The kind of the entry that says how a run has ended."""
DROPPED: Final = "dropped"
"""The kind of an entry that says which positions a run has gone back to."""
MOST_OF_A_TEXT: Final = 2000
MOST_ITEMS: Final = 4
MOST_NAMES: Final = 100
"""Of what was asked, for those who read a journal: characters of a text, and the last items of a list, be
they messages and the like, or simple values."""
LEFT_OUT: Final = frozenset(("input_schema", "output_schema", "data_b64"))
"""Fields that nobody reads there; they are in the digest."""
DEEPEST: Final = 255
"""Numbers in a position."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What was kept at a position.

    kind    what was done: that of the Task, or "now", "entropy", "stopped", "end", "dropped"
    digest  of what it was done about, whole
    asked   the same, abridged for those who read
    value   what came of it, as JSON
    error   or how it failed, as JSON
    is_cut  it was stopped: it holds as long as something that came later builds on it
    """

    at: Annotated[tuple[Annotated[StrictInt, Field(ge=0)], ...], Field(max_length=DEEPEST)]
    kind: str
    digest: str = ""
    asked: Any = None
    value: Any = None
    error: dict[str, Any] | None = None
    is_cut: bool = False

    @property
    def is_tentative(self) -> bool:
        """Whether a run that goes on should try this again, unless it has gone on from it already."""
        return self.is_cut or self.error is not None


_ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)
_DEFAULTS: Final = {"digest": "", "asked": None, "value": None, "error": None, "is_cut": False}
_BEFORE_CHECK: Final = b'{"check":"'
_BEFORE_ENTRY: Final = b'","entry":'
_HEAD: Final = len(_BEFORE_CHECK) + 8 + len(_BEFORE_ENTRY)


def line_of(entry: Entry) -> bytes:
    """The entry as a line, with its end; raises InvalidInput for what is no JSON, or too much of it."""
    fields = {name: getattr(entry, name) for name in ("at", "kind", *_DEFAULTS)}
    told = {
        name: value for name, value in fields.items() if name not in _DEFAULTS or value != _DEFAULTS[name]
    }
    body = json_of(told, entry.kind)
    if len(body) > MOST_OF_AN_ENTRY:
        raise InvalidInput(
            f"journal: what {entry.kind!r} gave is {len(body):,} bytes; no more than {MOST_OF_AN_ENTRY:,} "
            "are kept"
        )
    return b"".join((_BEFORE_CHECK, _check(body), _BEFORE_ENTRY, body, b"}\n"))


def read_line(line: bytes) -> Entry | None:
    """The entry in a line with its end; None if it is not a whole one."""
    if not line.startswith(_BEFORE_CHECK) or not line.endswith(b"}\n") or len(line) > MOST_OF_A_LINE:
        return None
    body = line[_HEAD:-2]
    if line[len(_BEFORE_CHECK) : _HEAD] != _check(body) + _BEFORE_ENTRY:
        return None
    try:
        return _ENTRY.validate_python(from_json(body))
    except (ValidationError, ValueError):
        return None


def json_of(value: Any, what: str) -> bytes:
    """The value as JSON; raises InvalidInput that says whose it is."""
    try:
        return to_json(value, inf_nan_mode="constants")
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise InvalidInput(f"journal: what {what!r} is about, or gave, is not JSON: {error}") from error


def digest_of(kind: str, about: Any) -> str:
    """What tells this work from other work; the order of keys makes no difference."""
    return sha256(json_of(_sorted(about), kind)).hexdigest()[:32]


def abridged(about: Any) -> Any:
    """Of what was asked as much as somebody reads: the beginnings of texts, the ends of lists."""
    if isinstance(about, str):
        return about if len(about) <= MOST_OF_A_TEXT else f"{about[:MOST_OF_A_TEXT]}…"
    if isinstance(about, dict):
        return {name: abridged(value) for name, value in about.items() if name not in LEFT_OUT}
    if isinstance(about, list | tuple):
        most = MOST_ITEMS if about and isinstance(about[0], dict) else MOST_NAMES
        last = [abridged(item) for item in about[-most:]]
        return [f"… {len(about) - most} before", *last] if len(about) > most else last
    return about


class Reached:
    """How far each flow of a run has come in a journal."""

    __slots__ = ("_closed", "_numbers")

    def __init__(self) -> None:
        self._numbers: dict[Position, int] = {}
        self._closed: set[Position] = set()

    def add(self, position: Position) -> None:
        """Something is kept there."""
        self._closed.add(position)
        for depth in range(0, len(position), 2):
            flow, number = position[:depth], position[depth]
            if self._numbers.get(flow, -1) < number:
                self._numbers[flow] = number

    def is_built_on(self, position: Position) -> bool:
        """Whether its flow, or one around it, has gone on from there; or what it is within has ended."""
        return any(
            self._numbers.get(position[:depth], -1) > position[depth] or position[: depth - 1] in self._closed
            for depth in range(0, len(position), 2)
        )


def standing(entries: Iterable[Entry]) -> dict[Position, Entry]:
    """The last of each position, but for those that a run has gone back to, in order."""
    last: dict[Position, Entry] = {}
    for entry in entries:
        if entry.kind == DROPPED:
            for position in entry.value or ():
                last.pop(tuple(position), None)
            continue
        last.pop(entry.at, None)
        last[entry.at] = entry
    return last


def holding(last: dict[Position, Entry]) -> list[Entry]:
    """Of those that stand, what a run may go on from: all but failures on which nothing builds."""
    reached, found = Reached(), list[Entry]()
    for entry in reversed(last.values()):
        if not entry.is_tentative or reached.is_built_on(entry.at):
            found.append(entry)
            reached.add(entry.at)
    found.reverse()
    return found


def _check(body: bytes) -> bytes:
    return b"%08x" % zlib.crc32(body)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value, key=str)}
    return [_sorted(item) for item in value] if isinstance(value, list | tuple) else value
