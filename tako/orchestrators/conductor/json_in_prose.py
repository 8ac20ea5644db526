"""JSON in prose: the objects that stand in what a model has said, whatever it has said around them.

| the text                        | what is tried                                                         |
|---------------------------------|-----------------------------------------------------------------------|
| is an object                    | that                                                                  |
| has a fence, or words around it | each place where an object may begin: a brace, and a quote or a brace |
| has other braces                | they begin none, or end nowhere, or hold no JSON: the next place      |
| has objects in objects          | the outer ones first                                                  |

Invariants. Nothing is raised, whatever the text. No more than LONGEST characters are looked at, and no
object is deeper than DEEPEST. The time is linear in the length: of the places where an object may begin,
those that are still open at any character stand in each other, as brackets, or take each other for text,
and there are twice DEEPEST of them at most. A backslash outside of a string ends an attempt, because
otherwise two attempts that read the same text differently could come to agree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["DEEPEST", "LONGEST", "objects_in"]

LONGEST = 1 << 18
"""Characters of a text that are searched."""
DEEPEST = 10
"""Brackets that may be open at once in an object."""

_START = re.compile(r'\{(?=\s*["}])')
_SIGN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\]\\]', re.DOTALL)
"""A whole string, a bracket, or what must not stand alone: a quote, or a backslash outside of strings."""
# Models put line ends into strings as they are; we know what they mean.
_DECODER = json.JSONDecoder(strict=False)


def objects_in(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text, in the order in which they begin."""
    text, place = text[:LONGEST], 0
    while (found := _START.search(text, place)) is not None:
        start, place = found.start(), found.end()
        end = _end_of(text, start)
        if end is None:
            continue
        try:
            value = _DECODER.decode(text[start:end])
        except ValueError:
            continue
        yield value


def _end_of(text: str, start: int) -> int | None:
    """Where as many brackets are closed as have opened from there on; None if that is nowhere."""
    depth = 0
    for found in _SIGN.finditer(text, start):
        first, end = found.span()
        sign = text[first]
        if sign in "{[":
            depth += 1
            if depth > DEEPEST:
                return None
        elif sign in "}]":
            depth -= 1
            if depth == 0:
                return end
        elif end - first == 1:
            return None
    return None
