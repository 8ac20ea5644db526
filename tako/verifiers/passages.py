"""Passages: what stands in an answer besides its sentences: fenced blocks, and JSON.

A fence is a line that begins with three or more backticks or tildes, and ends with the next line of nothing
but as many, or with the answer (CommonMark 4.5). One that is indented, as in a list, takes that much from
the lines in it. Everything here is linear in the text, and raises nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Any, Final, Literal

from pydantic_core import from_json

__all__ = ["NO_JSON", "NoJson", "code_in", "fenced", "json_value_in"]

_OPENING: Final = re.compile(r"([ \t]*)(`{3,}(?=[^`]*\Z)|~{3,})")


class NoJson(Enum):
    """What was found where there is no JSON: null is JSON."""

    NO_JSON = "no JSON"


NO_JSON: Final[Literal[NoJson.NO_JSON]] = NoJson.NO_JSON


def fenced(text: str) -> Iterator[str]:
    """What stands in each of the fenced blocks, in order, its last line ended."""
    fence, indent = "", 0
    block: list[str] = []
    for line in text.split("\n"):
        line = line.removesuffix("\r")
        if not fence:
            if opening := _OPENING.match(line):
                indent, fence = len(opening[1]), opening[2]
                block = []
        elif _closes(line.strip(), fence):
            yield "".join(block)
            fence = ""
        else:
            margin = len(line) - len(line.lstrip(" \t"))
            block.append(f"{line[min(indent, margin) :]}\n")
    if fence:
        yield "".join(block)


def _closes(line: str, fence: str) -> bool:
    return len(line) >= len(fence) and line == fence[0] * len(line)


def code_in(text: str) -> str:
    """The code of an answer: the longest of its fenced blocks, the first of these; without one, all of it.

    Answers show how to install and to call a thing, too, and that is shorter than the thing.
    """
    return max(fenced(text), key=len, default=text)


def json_value_in(text: str) -> Any | NoJson:
    """The JSON in an answer: all of it; or else the first fenced block that is JSON; or else what stands
    from the first brace or bracket to the last one of its kind."""
    value = _parsed(text)
    if value is not NO_JSON:
        return value
    for block in fenced(text):
        value = _parsed(block)
        if value is not NO_JSON:
            return value
    starts = [place for place in (text.find("{"), text.find("[")) if place >= 0]
    if not starts:
        return NO_JSON
    start = min(starts)
    end = text.rfind("}" if text[start] == "{" else "]")
    return _parsed(text[start : end + 1])


def _parsed(text: str) -> Any | NoJson:
    try:
        return from_json(text, allow_inf_nan=False)
    except (TypeError, ValueError):  # a lone surrogate is the former to pydantic, too deep a nest the latter
        return NO_JSON
