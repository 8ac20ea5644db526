r"""Safe regular expressions: a search that a pattern cannot make endless.

Python's `re` tries ways until one fits, and cannot be interrupted while it does. `(a+)+$` against thirty
letters a and a b tries a thousand million ways. So each pattern is weighed before it is used, from its
parsed form. A search in a line of n characters takes at most about

    length * ways * n ** (degree + 1)    steps

| part                          | ways                                | degree        | length     |
|-------------------------------|-------------------------------------|---------------|------------|
| a character, an anchor        | 1                                   | 0             | 1          |
| a set                         | 1                                   | 0             | its ranges |
| a group, a look around        | its own                             | its own       | some more  |
| one after the other           | multiplied                          | added         | added      |
| one or the other              | added                               | the largest   | added      |
| repeated, at most m times     | to the power of m, times the counts | times m       | times m    |
| repeated without end          | 1 if it is a row of characters, which cannot be split in two ways; |
|                               | endless otherwise                   | 1             | its own    |
| back reference                | 1                                   | 1             | 1          |
| what is not in this table     | endless                             |               |            |

That gives the longest line for which the steps stay below STEPS, which take some hundredths of a second.
Shorter lines are searched in this process; longer ones, and with an endless pattern all lines, in a
child process, which is killed when the time is used up or the call cancelled (see regex_child.py).

A pattern whose sets take long to compile, and one with a line end, which no line holds, are refused.

Invariants. Whatever the pattern and the lines, `search` ends by the deadline, and within hundredths of a
second of a cancel. Nothing is left behind by a `LineSearch` that was closed. A literal that every match
must hold is looked for first, which costs next to nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from re import _constants as kinds  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

from tako.cancellation import CancellationToken
from tako.errors import ToolError
from tako.tools.builtin.regex_child import RegexChild, TookTooLong

__all__ = ["Hit", "LineSearch", "Weight", "literal_of", "weigh"]

STEPS: Final = 4_000_000
"""Steps of one search in this process."""
ORDINARY_LENGTH: Final = 32
"""Length of a pattern that STEPS has in mind; only more is weighed."""
LONGEST_PATTERN: Final = 2_000
WIDEST_SETS: Final = 1_000_000
"""Characters in the ranges of all sets: compiling looks at each of them, and nothing can stop it."""
RANGE_LENGTH: Final = 2
"""What each range or category of a set adds: a character is compared with one after the other."""
GROUP_LENGTH: Final = 3
"""What a group adds: where it begins and ends is kept, and kept again at each turn of a repeat."""
MANY: Final = 10**9
"""More ways than anybody could try."""
LAST_LISTED: Final = 0xFFFF
"""Characters above this are compared with the range as a whole."""
OFTEN: Final = 1_000
"""Repeats of so many count as without end."""
BATCH: Final = 1_000_000
"""Characters of lines that the child is sent at once, or one line."""

ONE_CHARACTER: Final = (kinds.LITERAL, kinds.NOT_LITERAL, kinds.ANY, kinds.IN)
REPEATS: Final = (kinds.MAX_REPEAT, kinds.MIN_REPEAT, kinds.POSSESSIVE_REPEAT)


@dataclass(frozen=True, slots=True)
class Hit:
    """A line that matches, by its index, and where in it."""

    line: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Weight:
    """How many ways a pattern can be tried: see the head of this module."""

    ways: int = 1
    degree: int = 0
    length: int = 1

    @property
    def longest_line(self) -> int:
        """The longest line that may be searched in this process; 0 if none may."""
        if self.ways >= MANY:
            return 0
        each = self.ways * max(1, self.length // ORDINARY_LENGTH)
        return int((STEPS / each) ** (1 / (self.degree + 1)))


ENDLESS: Final = Weight(MANY)


def weigh(pattern: str, *, ignore_case: bool = False) -> Weight:
    """The weight of a valid pattern."""
    return _weigh(_parse(pattern, ignore_case=ignore_case))


def _parse(pattern: str, *, ignore_case: bool) -> Any:
    return parser.parse(pattern, re.IGNORECASE if ignore_case else 0)


def _weigh(items: Iterable[tuple[Any, Any]]) -> Weight:
    weights = [_weigh_one(kind, value) for kind, value in items]
    return Weight(
        min(MANY, prod(one.ways for one in weights)),
        sum(one.degree for one in weights),
        sum(one.length for one in weights),
    )


def _weigh_one(kind: Any, value: Any) -> Weight:
    if kind is kinds.IN:
        return Weight(length=RANGE_LENGTH * len(value))
    if kind in ONE_CHARACTER or kind is kinds.AT:
        return Weight()
    if kind is kinds.SUBPATTERN:
        return _weigh_group(value[3])
    if kind is kinds.ATOMIC_GROUP:
        return _weigh_group(value)
    if kind is kinds.ASSERT or kind is kinds.ASSERT_NOT:
        return _weigh_group(value[1])
    if kind is kinds.BRANCH:
        weights = [_weigh(branch) for branch in value[1]]
        return Weight(
            min(MANY, sum(one.ways for one in weights)),
            max(one.degree for one in weights),
            sum(one.length for one in weights),
        )
    if kind in REPEATS:
        return _weigh_repeat(*value)
    return Weight(degree=1) if kind is kinds.GROUPREF else ENDLESS


def _weigh_group(items: Any) -> Weight:
    weight = _weigh(items)
    return replace(weight, length=weight.length + GROUP_LENGTH)


def _weigh_repeat(least: int, most: int, body: Any) -> Weight:
    weight = _weigh(body)
    if most >= OFTEN:
        return Weight(degree=1, length=weight.length) if _is_row_of_characters(body) else ENDLESS
    if weight.ways > 1 and most > MANY.bit_length():
        return ENDLESS
    ways = weight.ways**most * (most - least + 1)
    return Weight(min(MANY, ways), weight.degree * most, weight.length * most)


def _is_row_of_characters(items: Iterable[tuple[Any, Any]]) -> bool:
    """At least one character, and nothing but characters and groups of them."""
    length = 0
    for kind, value in items:
        if kind in ONE_CHARACTER or (kind is kinds.SUBPATTERN and _is_row_of_characters(value[3])):
            length += 1
        else:
            return False
    return length > 0


def literal_of(pattern: str) -> str:
    """The longest text that each match must hold, or "" if none is known."""
    return max(_literals(_parse(pattern, ignore_case=False)), key=len, default="")


def _literals(items: Iterable[tuple[Any, Any]]) -> list[str]:
    """Runs of characters that stand in every match, in the order of the pattern."""
    runs = [""]
    for kind, value in items:
        if kind is kinds.LITERAL:
            runs[-1] += chr(value)
        elif kind is kinds.SUBPATTERN and not value[1] and not value[2]:
            runs += [*_literals(value[3]), ""]
        elif kind in REPEATS and value[0] > 0:
            runs += [*_literals(value[2]), ""]
        elif kind is not kinds.AT:
            runs.append("")
    return runs


class LineSearch:
    """A pattern that is looked for in lines; close it, or use it in a `with`.

    Raises ToolError for a pattern that is none.
    """

    def __init__(
        self,
        pattern: str,
        *,
        ignore_case: bool,
        fixed: bool,
        cancel: CancellationToken,
        deadline: float,
    ) -> None:
        if len(pattern) > LONGEST_PATTERN:
            raise ToolError(
                f"pattern: {len(pattern):,} characters are too many; use at most {LONGEST_PATTERN:,}"
            )
        source = re.escape(pattern) if fixed else pattern
        compiled, weight, literal = _compile(source, ignore_case=ignore_case)
        self._search = compiled.search
        self._longest = weight.longest_line
        folds = bool(compiled.flags & re.IGNORECASE)
        self._literal = "" if folds else literal
        # Without regard to case, other characters may stand for a letter, but none of ASCII do.
        self._folded = literal.lower() if folds and literal.isascii() else ""
        self._cancel = cancel
        self._deadline = deadline
        self._child = RegexChild(source, ignore_case=ignore_case, cancel=cancel, deadline=deadline)

    def __enter__(self) -> LineSearch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child process, if there is one. Idempotent."""
        self._child.close()

    def can_match(self, text: str) -> bool:
        """False if no line of the text can match."""
        if self._folded and text.isascii():
            return self._folded in text.lower()
        return self._literal in text

    def hits(self, lines: Sequence[str], most: int) -> list[Hit]:
        """The first `most` lines that match. Raises Cancelled, and TookTooLong."""
        literal, longest, search = self._literal, self._longest, self._search
        hits: list[Hit] = []
        risky: list[int] = []
        size = 0
        for index, line in enumerate(lines):
            if literal not in line:
                continue
            self.look_up()
            if len(line) > longest:
                risky.append(index)
                size += len(line)
            elif (match := search(line)) is not None:
                hits.append(Hit(index, *match.span()))
            if size >= BATCH or len(hits) >= most:
                hits += self._in_child(lines, risky, most)
                risky, size = [], 0
                if len(hits) >= most:
                    break
        hits += self._in_child(lines, risky, most)
        return sorted(hits, key=_line)[:most]

    def look_up(self) -> None:
        """Is it time to stop?"""
        self._cancel.raise_if_cancelled()
        if time.monotonic() >= self._deadline:
            raise TookTooLong

    def _in_child(self, lines: Sequence[str], risky: list[int], most: int) -> list[Hit]:
        if not risky:
            return []
        found = self._child.search([lines[index] for index in risky], most)
        return [Hit(risky[index], start, end) for index, start, end in found]


def _line(hit: Hit) -> int:
    return hit.line


def _compile(source: str, *, ignore_case: bool) -> tuple[re.Pattern[str], Weight, str]:
    """The pattern, its weight and its literal; raises ToolError for what is no pattern, or a useless one."""
    try:
        if _width(_parse(source, ignore_case=ignore_case)) > WIDEST_SETS:
            raise ToolError(
                "pattern: its sets, such as [a-z], have too many characters between them; "
                r"use fewer, or \w and \W"
            )
        compiled = re.compile(source, re.IGNORECASE if ignore_case else 0)
        weight, literal = weigh(source, ignore_case=ignore_case), literal_of(source)
    except re.error as error:
        place = "" if error.pos is None else f" at character {error.pos + 1}: {_around(source, error.pos)}"
        raise ToolError(
            f"pattern: not a regular expression of Python: {error.msg}{place}; "
            "escape special characters with a backslash, or use fixed=true for plain text"
        ) from error
    except (OverflowError, RecursionError) as error:
        raise ToolError(
            "pattern: it repeats too often or is nested too deeply; write a simpler one"
        ) from error
    if "\n" in literal:
        raise ToolError(
            "pattern: it holds a line end, and lines are searched one at a time; search for one of the lines"
        )
    return compiled, weight, literal


def _width(part: Any) -> int:
    """How many characters the ranges in a parsed pattern have."""
    if isinstance(part, tuple) and part and part[0] is kinds.RANGE:
        low, high = part[1]
        return max(0, min(int(high), LAST_LISTED) - int(low))
    return sum(map(_width, part)) if isinstance(part, list | tuple | parser.SubPattern) else 0


def _around(source: str, position: int) -> str:
    """The pattern near its mistake, which is marked."""
    start = max(0, position - 20)
    return f"{source[start:position]}>>>{source[position : position + 20]}"
