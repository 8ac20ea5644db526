"""Node: one schema within a schema; what a check needs on its way; and a Fault, what was found wrong.

A fault is made where something does not fit, and each node that it is handed up through adds its part of
the place. So a value that fits costs no thought of where it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from tako.errors import InvalidInput

__all__ = [
    "ANYTHING",
    "KINDS",
    "NEVER",
    "STEPS",
    "Fault",
    "Node",
    "Place",
    "Run",
    "Test",
    "kind_of",
    "pointer",
    "shown",
    "wrong_schema",
]

Json: TypeAlias = Any
Place: TypeAlias = "tuple[Place, str] | str"
"""Where in a schema something is: what it is in, and its name there; "" or a reference to begin with.

Words are made of it when they are needed.
"""
Test: TypeAlias = "Callable[[Json, Run, int], Fault | None]"

STEPS: Final = 100_000
LONGEST_NAME: Final = 60

KINDS: Final[dict[type, str]] = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}
"""The types that JSON is read into, in words."""


class Run:
    """What one check has spent, and which references it is following."""

    __slots__ = ("following", "left")

    def __init__(self) -> None:
        self.left = STEPS
        self.following: set[tuple[int, int]] = set()

    def spend(self, steps: int) -> None:
        """Raises InvalidInput when too much was spent."""
        self.left -= steps
        if self.left < 0:
            raise InvalidInput(
                f"the value cannot be checked in {STEPS:,} steps; it is too large, or its schema too involved"
            )


class Fault:
    """Something that does not fit.

    path       where it is, the innermost first
    words      what is wrong
    wanted     the kinds that there could be, if it is of the wrong one
    is_choice  it is not one of the values that there could be: another form is meant, perhaps
    """

    __slots__ = ("is_choice", "path", "wanted", "words")

    def __init__(self, words: str, *, wanted: tuple[str, ...] = (), is_choice: bool = False) -> None:
        self.words = words
        self.wanted = wanted
        self.is_choice = is_choice
        self.path: list[str | int] = []

    def __str__(self) -> str:
        if not self.path:
            return f"the value {self.words}"
        return "".join([f"/{_escaped(segment)}" for segment in reversed(self.path)]) + f": {self.words}"


class Node:
    """One schema: what is tested for each type of value; a type that is not there does not fit."""

    __slots__ = ("is_partial", "place", "tests", "wanted")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.tests: dict[type, tuple[Test, ...]] = {}
        self.wanted: tuple[str, ...] = ()
        """The kinds that fit, in words."""
        self.is_partial = False
        """It may take what does not fit, because something was passed over."""

    def fault(self, value: Json, run: Run, depth: int) -> Fault | None:
        """What is wrong with the value, if anything is; `depth` is how much deeper it may go."""
        run.left -= 1
        if run.left < 0 or depth < 0:
            run.spend(0)
            raise InvalidInput("the value is nested too deeply to be checked")
        try:
            tests = self.tests[type(value)]
        except KeyError:
            kind = kind_of(value)
            if kind not in self.tests:
                return self._of_wrong_kind(value)
            tests = self.tests[kind]
        for test in tests:
            fault = test(value, run, depth)
            if fault is not None:
                return fault
        return None

    def _of_wrong_kind(self, value: Json) -> Fault:
        if not self.tests:
            return Fault("is not allowed here")
        kind = KINDS.get(kind_of(value))
        if kind is None:
            return Fault(f"should be JSON, which has no {type(value).__name__}")
        return Fault(f"should be {' or '.join(self.wanted)}, not {kind}", wanted=self.wanted)


ANYTHING: Final = Node("")
ANYTHING.tests = dict.fromkeys(KINDS, ())
NEVER: Final = Node("")


def kind_of(value: Json) -> type:
    """Which of KINDS a value is of; a tuple is a list, and what JSON does not have is `object`."""
    for kind in KINDS:
        if isinstance(value, kind):
            return kind
    return list if isinstance(value, tuple) else object


def shown(name: object) -> str:
    """A name or a value, short enough for a message."""
    text = name if isinstance(name, str) else repr(name)
    return f'"{text}"' if len(text) <= LONGEST_NAME else f'"{text[:LONGEST_NAME]}..."'


def pointer(place: Place) -> str:
    """A place in a schema as a JSON pointer."""
    segments: list[str] = []
    while not isinstance(place, str):
        place, segment = place
        segments.append(f"/{_escaped(segment)}")
    return place[:LONGEST_NAME] + "".join(reversed(segments))


def wrong_schema(place: Place, words: str) -> InvalidInput:
    """The error for a schema that is none."""
    return InvalidInput(f"the schema is wrong at {pointer(place) or 'its root'}: {words}")


def _escaped(segment: object) -> str:
    text = str(segment)
    text = text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}..."
    return text.replace("~", "~0").replace("/", "~1")
