r"""Patterns of paths: what `*`, `**`, `?`, `[a-z]` and `{a,b}` mean, for glob, for grep and for .gitignore.

A pattern is a row of segments, one for each name of a path. All patterns of a set are followed at once
while a tree is walked, as a machine whose states are positions in the rows:

| segment         | a name that fits it      | a name that does not |
|-----------------|--------------------------|----------------------|
| a name's shape  | moves on to the next     | is given up          |
| `**`            | stays (or moves on, for `**` may stand for no name at all)      ||

So no path is ever matched twice, a directory that no row can pass through is never opened, and there
is nothing that could be tried in exponentially many ways. In one name, the text between two stars is
looked for once, from the left: an atomic group never looks for it again.

Invariants. A set is immutable. A `Level` is what is left of it in one directory; equal positions share
a Level, so a tree of ten thousand directories makes a handful.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

__all__ = ["BadPattern", "Level", "PathPatterns", "Segment", "expand_braces", "parse_pattern"]

LONGEST_PATTERN: Final = 1_000
LONGEST_BRACED: Final = 10_000
"""Characters of a pattern before its braces are expanded."""
MOST_ALTERNATIVES: Final = 256
MOST_NESTED_BRACES: Final = 10
MOST_LEVELS: Final = 4_096
"""Levels that a set keeps for use again; odd trees under odd patterns could make one per directory."""

CLASSES: Final = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "space": r" \t\n\r\f\v",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
STAR: Final = object()


class BadPattern(ValueError):
    """The pattern means nothing; the message says why and what to write."""


class Segment:
    """The shape of one name. `literal` and `suffix` are set where no regular expression is needed."""

    __slots__ = ("_compiled", "literal", "source", "suffix")

    def __init__(self, tokens: Sequence[object]) -> None:
        """Tokens are STAR, or regular expressions of one character each."""
        self.source = _source(tokens)
        stars = [token is STAR for token in tokens]
        self.literal = None if any(stars) else _literal(tokens)
        self.suffix = _literal(tokens[1:]) if stars[:1] == [True] and sum(stars) == 1 else None
        self._compiled: re.Pattern[str] | None = None

    def fits(self, name: str) -> bool:
        """Is this name of the shape?"""
        if self.literal is not None:
            return name == self.literal
        if self.suffix is not None:
            return name.endswith(self.suffix)
        if self._compiled is None:
            self._compiled = re.compile(self.source, re.DOTALL)
        return self._compiled.match(name) is not None

    @property
    def names_the_dot(self) -> bool:
        """Does it begin with a dot that is written as one?"""
        return self.source.startswith(r"\.")


Row = tuple["Segment | None", ...]
"""A pattern; None stands for `**`."""


class PathPatterns:
    """A set of patterns, in order. With `hidden`, `*` and `**` take names that begin with a dot, too."""

    __slots__ = ("_levels", "hidden", "rows", "top")

    def __init__(self, rows: Sequence[Row], *, hidden: bool = False) -> None:
        self.rows = tuple(rows)
        self.hidden = hidden
        self._levels: dict[frozenset[tuple[int, int]], Level] = {}
        self.top = self.level({place for index in range(len(self.rows)) for place in self.reach(index, 0)})

    def reach(self, index: int, position: int) -> list[tuple[int, int]]:
        """The position itself, and those that follow at once because `**` may stand for nothing."""
        row, places = self.rows[index], [(index, position)]
        while row[position] is None:
            position += 1
            places.append((index, position))
        return places

    def level(self, places: set[tuple[int, int]]) -> Level:
        """The Level of these positions."""
        key = frozenset(places)
        found = self._levels.get(key)
        if found is None:
            if len(self._levels) >= MOST_LEVELS:
                self._levels.clear()
            found = self._levels[key] = Level(self, key)
        return found


class Level:
    """What a set of patterns says of the names in one directory."""

    __slots__ = ("_inner", "_last", "_literals", "_others", "_patterns", "_suffixes")

    def __init__(self, patterns: PathPatterns, places: frozenset[tuple[int, int]]) -> None:
        rows = patterns.rows
        self._patterns = patterns
        self._inner = [place for place in sorted(places) if place[1] < len(rows[place[0]]) - 1]
        self._last = [
            (index, segment)
            for index, position in sorted(places)
            if position == len(rows[index]) - 1 and (segment := rows[index][position]) is not None
        ]
        shapes = [segment for _, segment in self._last]
        self._literals = frozenset(shape.literal for shape in shapes if shape.literal is not None)
        self._suffixes = tuple({shape.suffix for shape in shapes if shape.suffix is not None})
        others = dict.fromkeys(s for s in shapes if s.literal is None and s.suffix is None)
        sources = [shape.source if self._takes_dot(shape) else rf"(?!\.){shape.source}" for shape in others]
        self._others = re.compile("|".join(sources), re.DOTALL).match if sources else None

    def __bool__(self) -> bool:
        """False where nothing here and nothing below can match."""
        return bool(self._last or self._inner)

    def _takes_dot(self, shape: Segment) -> bool:
        return self._patterns.hidden or shape.names_the_dot

    def matches(self, name: str) -> bool:
        """Does any of the patterns end with this name?"""
        if name in self._literals:
            return True
        if self._suffixes and name.endswith(self._suffixes) and (self._patterns.hidden or name[0] != "."):
            return True
        return self._others is not None and self._others(name) is not None

    def matching(self, name: str) -> list[int]:
        """Which of the patterns end with this name; the last of them first."""
        if not self.matches(name):
            return []
        dot = name[0] == "."
        return [
            index
            for index, shape in reversed(self._last)
            if shape.fits(name) and not (dot and not self._takes_dot(shape))
        ]

    def below(self, name: str) -> Level:
        """What is left of the patterns in the directory of this name."""
        patterns, dot, places = self._patterns, name[0] == ".", set()
        for index, position in self._inner:
            shape = patterns.rows[index][position]
            if shape is None:
                if not dot or patterns.hidden:
                    places.update(patterns.reach(index, position))
            elif shape.fits(name) and not (dot and not self._takes_dot(shape)):
                places.update(patterns.reach(index, position + 1))
        return patterns.level(places)


def parse_pattern(pattern: str) -> Row:
    """The row of a pattern without braces. Raises BadPattern.

    A `**` that is not a whole segment is a `*`; one at the end stands for at least one name.
    """
    _require_length(pattern, LONGEST_PATTERN)
    row: list[Segment | None] = []
    tokens: list[object] = []
    at, end = 0, len(pattern)
    while at < end:
        sign = pattern[at]
        if sign == "\\":
            at += 1
            if at == end:
                raise BadPattern("it ends in a backslash, with nothing to escape")
            sign = pattern[at]
            if sign != "/":
                tokens.append(re.escape(sign))
        elif sign == "[":
            at, token = _bracket(pattern, at + 1)
            tokens.append(token)
        elif sign == "*":
            if tokens[-1:] != [STAR]:
                tokens.append(STAR)
            if pattern.startswith("**", at) and _is_whole_segment(pattern, at):
                tokens = [None]
            while pattern.startswith("*", at + 1):
                at += 1
        elif sign != "/":
            tokens.append("." if sign == "?" else re.escape(sign))
        at += 1
        if sign == "/":
            row.append(_segment(tokens))
            tokens = []
    row.append(_segment(tokens))
    return (*row, Segment([STAR])) if row[-1] is None else tuple(row)


def _require_length(pattern: str, most: int) -> None:
    if len(pattern) > most:
        raise BadPattern(f"it has {len(pattern):,} characters; use at most {most:,}")


def _segment(tokens: list[object]) -> Segment | None:
    return None if tokens == [None] else Segment(tokens)


def _is_whole_segment(pattern: str, at: int) -> bool:
    rest = pattern[at:].lstrip("*")
    return (at == 0 or pattern[at - 1] == "/") and (not rest or rest.startswith(("/", "\\/")))


def _bracket(pattern: str, at: int) -> tuple[int, str]:
    """A set of characters as a regular expression, and where its `]` is. `at` stands behind its `[`."""
    negated = pattern[at : at + 1] in ("!", "^")
    at = first = at + negated
    members: list[str] = []
    while at < len(pattern) and (pattern[at] != "]" or at == first):
        close = pattern.find("]", at + 2) if pattern.startswith("[:", at) else -1
        if close > at + 2 and pattern[close - 1] == ":":
            members.append(_class(pattern[at + 2 : close - 1]))
            at = close + 1
            continue
        at, low = _character(pattern, at)
        high = low
        if pattern.startswith("-", at) and pattern[at + 1 : at + 2] not in ("", "]"):
            at, high = _character(pattern, at + 1)
        # A range that runs backwards is its first character, as in git.
        members.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else re.escape(low))
    if at >= len(pattern):
        raise BadPattern(r"a [ is never closed by a ]; for the character itself write \[")
    return at, f"[{'^' if negated else ''}{''.join(members)}]"


def _class(name: str) -> str:
    if name not in CLASSES:
        raise BadPattern(f"[:{name}:] is no class; there are {', '.join(CLASSES)}")
    return CLASSES[name]


def _character(pattern: str, at: int) -> tuple[int, str]:
    at += pattern.startswith("\\", at)
    if at >= len(pattern):
        raise BadPattern(r"a [ is never closed by a ]; for the character itself write \[")
    return at + 1, pattern[at]


def _source(tokens: Sequence[object]) -> str:
    """Tokens as a regular expression for a whole name."""
    chunks = [""]
    for token in tokens:
        if token is STAR:
            chunks.append("")
        else:
            chunks[-1] += str(token)
    *others, last = chunks
    middle = "".join([others[0], *(f"(?>.*?{chunk})" for chunk in others[1:])]) if others else ""
    return f"{middle}{'.*' if others else ''}{last}\\Z"


def _literal(tokens: Sequence[object]) -> str | None:
    """The text that these tokens stand for, if there is only one."""
    plain = [re.sub(r"\\(.)", r"\1", str(token), flags=re.DOTALL) for token in tokens]
    same = all(re.escape(text) == token for text, token in zip(plain, tokens, strict=True))
    return "".join(plain) if same else None


def expand_braces(pattern: str, depth: int = 0) -> list[str]:
    """The patterns that `{a,b}` stands for; braces without a comma stand for themselves.

    Raises BadPattern for too many, and for a brace that is never closed.
    """
    if depth > MOST_NESTED_BRACES:
        raise BadPattern(f"braces are nested more than {MOST_NESTED_BRACES} deep")
    _require_length(pattern, LONGEST_BRACED)
    made = [""]
    while True:
        opened, commas, closed = _braces(pattern)
        if opened < 0:
            return [begun + pattern for begun in made]
        cuts = [opened, *commas, closed]
        inner = [pattern[start + 1 : end] for start, end in pairwise(cuts)]
        options = [option for part in inner for option in expand_braces(part, depth + 1)]
        if len(made) * len(options) > MOST_ALTERNATIVES:
            raise BadPattern(f"its braces stand for more than {MOST_ALTERNATIVES} patterns; use fewer")
        if not commas:
            options = [f"\\{{{option}\\}}" for option in options]
        made = [f"{begun}{pattern[:opened]}{option}" for begun in made for option in options]
        _require_length(made[0], LONGEST_PATTERN)
        pattern = pattern[closed + 1 :]


def _braces(pattern: str) -> tuple[int, list[int], int]:
    """Where the first pair of braces opens, has its commas, and closes; -1 if there is none."""
    opened, depth, at, commas = -1, 0, 0, list[int]()
    while at < len(pattern):
        sign = pattern[at]
        if sign == "\\":
            at += 1
        elif sign == "[":
            at, _ = _bracket(pattern, at + 1)
        elif sign == "{":
            opened = at if depth == 0 else opened
            depth += 1
        elif sign == "}" and depth:
            depth -= 1
            if depth == 0:
                return opened, commas, at
        elif sign == "," and depth == 1:
            commas.append(at)
        at += 1
    if depth:
        raise BadPattern(r"a { is never closed by a }; for the character itself write \{")
    return -1, [], -1
