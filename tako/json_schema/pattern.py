r"""Pattern: a regular expression of a stranger, matched in a time that grows with the text and no faster.

Python's `re` tries ways until one fits, and `(a+)+$` has more of them than there is time. So patterns
are matched here without trying: all ways are followed side by side.

    "^(a|b)*c$"  --read-->  Row(^, Repeat(Choice(a, b)), c, $)  --number-->  0^ (1a | 2b)* 3c 4$

Each character of the pattern is a position (Glushkov's automaton). A state is the set of positions that
the text may have come to, kept as the bits of an integer; a character leads from a state to the next one.
What was found of that is remembered, so that a text usually costs one look into a dict per character.

The dialect is that of ECMA-262, which JSON Schema recommends: \d, \w are ASCII, `$` is the very end.

| what is read                                    | what is Unreadable                                |
|-------------------------------------------------|---------------------------------------------------|
| characters, `.`, sets, \d \w \s and their       | \b, looks around, back references, flags          |
| opposites, \t \n \v \f \r, \xHH, \uHHHH, \u{H}  | \p{...}, and all that is of one dialect alone     |
| groups with and without names, `|`, `^`, `$`    | an anchor after an anchor, or one that is repeated|
| * + ? {n} {n,} {n,m}, greedy or lazy            | more than POSITIONS, more than DEEPEST groups     |

Invariants. No pattern is matched wrongly: what cannot be read is Unreadable. What a text costs is told to
`spend`, which may raise. No more than REMEMBERED moves are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = ["Pattern", "Unreadable"]

POSITIONS: Final = 1_000
LONGEST: Final = 4_000
"""Characters of a pattern."""
DEEPEST: Final = 50
"""Groups in groups."""
WORK: Final = 20_000
"""Steps to number a pattern; repeats of repeats of nothing have no positions, and still take time."""
REMEMBERED: Final = 5_000

Ranges: TypeAlias = tuple[tuple[int, int], ...]

LAST: Final = 0x10FFFF
BEGIN: Final = "the beginning"
END: Final = "the end"
ANCHORS: Final[dict[str, Ranges]] = {BEGIN: ((-1, -1),), END: ((-2, -2),)}
"""They are two more characters, before the text and after it, which have numbers of their own."""

DIGITS: Final[Ranges] = ((0x30, 0x39),)
WORD: Final[Ranges] = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
SPACE: Final[Ranges] = (
    (0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029),
    (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF),
)  # fmt: skip
LINE_ENDS: Final[Ranges] = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
CLASSES: Final = {"d": DIGITS, "w": WORD, "s": SPACE}
CONTROLS: Final = {"t": 0x09, "n": 0x0A, "v": 0x0B, "f": 0x0C, "r": 0x0D}
HEX: Final = re.compile(r"x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}")
COUNT: Final = re.compile(r"\*|\+|\?|\{([0-9]{1,4})(,?)([0-9]{0,4})\}")
GROUP: Final = re.compile(r"\?:|\?<[A-Za-z_]\w*>|(?!\?)", re.ASCII)


class Unreadable(ValueError):
    """A pattern that is not matched; the message says why."""


@dataclass(frozen=True, slots=True)
class _Set:
    """One character, of those in the ranges."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class _Row:
    parts: tuple[_Part, ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    parts: tuple[_Part, ...]


@dataclass(frozen=True, slots=True)
class _Repeat:
    body: _Part
    least: int
    most: int | None


_Part: TypeAlias = "_Set | _Row | _Choice | _Repeat"


class _Reader:
    """Reads the text of a pattern from left to right."""

    def __init__(self, source: str) -> None:
        if len(source) > LONGEST:
            raise Unreadable(f"it has more than {LONGEST:,} characters")
        self._source = source
        self._at = 0

    def all(self) -> _Part:
        whole = self._choice(0)
        if self._at < len(self._source):
            raise Unreadable("it has a closing bracket too many")
        return whole

    def _next(self) -> str:
        """The next character, or "" at the end."""
        return self._source[self._at : self._at + 1]

    def _take(self) -> str:
        character = self._next()
        if not character:
            raise Unreadable("it ends too early")
        self._at += 1
        return character

    def _choice(self, depth: int) -> _Part:
        if depth > DEEPEST:
            raise Unreadable(f"its groups are nested more than {DEEPEST} deep")
        parts = [self._row(depth)]
        while self._next() == "|":
            self._at += 1
            parts.append(self._row(depth))
        return parts[0] if len(parts) == 1 else _Choice(tuple(parts))

    def _row(self, depth: int) -> _Part:
        parts: list[_Part] = []
        while self._next() not in ("", "|", ")"):
            part = self._atom(depth)
            counted = COUNT.match(self._source, self._at)
            if counted is not None:
                self._at = counted.end()
                part = _repeated(part, counted)
                if self._next() == "?":  # lazy: the same texts fit
                    self._at += 1
            parts.append(part)
        return parts[0] if len(parts) == 1 else _Row(tuple(parts))

    def _atom(self, depth: int) -> _Part:
        if COUNT.match(self._source, self._at) is not None:
            raise Unreadable("it repeats nothing")
        match self._take():
            case "(":
                opened = GROUP.match(self._source, self._at)
                if opened is None:
                    raise Unreadable("it has a group that looks around or sets flags")
                self._at = opened.end()
                body = self._choice(depth + 1)
                if self._take() != ")":
                    raise Unreadable("it has a group that is not closed")
                return body
            case "[":
                return self._set()
            case "\\":
                return _Set(self._escape())
            case ".":
                return _Set(_opposite(LINE_ENDS))
            case "^":
                return _Set(ANCHORS[BEGIN])
            case "$":
                return _Set(ANCHORS[END])
            case character:
                return _Set(((ord(character), ord(character)),))

    def _escape(self, *, in_set: bool = False) -> Ranges:
        """What comes after a backslash."""
        numbered = HEX.match(self._source, self._at)
        if numbered is not None:
            self._at = numbered.end()
            code = int(numbered[1] or numbered[2] or numbered[3], 16)
            if code > LAST or 0xD800 <= code <= 0xDFFF:  # halves of a pair make one character together
                raise Unreadable("it names a character that there is not")
            return ((code, code),)
        character = self._take()
        if character in CONTROLS:
            return ((CONTROLS[character], CONTROLS[character]),)
        if character.lower() in CLASSES:
            ranges = CLASSES[character.lower()]
            return ranges if character.islower() else _opposite(ranges)
        if character == "b" and in_set:
            return ((0x08, 0x08),)
        if character.isalnum() or not character.isascii():
            raise Unreadable(f"it uses \\{character}")
        return ((ord(character), ord(character)),)

    def _set(self) -> _Part:
        negated = self._next() == "^"
        self._at += negated
        if self._next() == "]":
            raise Unreadable("it begins a set with ], which dialects read in different ways")
        found: list[tuple[int, int]] = []
        while self._next() != "]":
            low = self._member()
            if self._next() == "-" and self._source[self._at + 1 : self._at + 2] != "]":
                self._at += 1
                high = self._member()
                if len(low) > 1 or len(high) > 1 or low[0][0] != low[0][1] or high[0][0] != high[0][1]:
                    raise Unreadable("it has a range from or to a class")
                if low[0][0] > high[0][0]:
                    raise Unreadable("it has a range that runs backwards")
                low = ((low[0][0], high[0][0]),)
            found += low
        self._at += 1
        ranges = tuple(sorted(found))
        return _Set(_opposite(ranges) if negated else ranges)

    def _member(self) -> Ranges:
        character = self._take()
        if character == "\\":
            return self._escape(in_set=True)
        return ((ord(character), ord(character)),)


def _repeated(part: _Part, counted: re.Match[str]) -> _Part:
    if isinstance(part, _Set) and part.ranges in ANCHORS.values():
        raise Unreadable("it repeats an anchor")
    match counted[0]:
        case "*":
            return _Repeat(part, 0, None)
        case "+":
            return _Repeat(part, 1, None)
        case "?":
            return _Repeat(part, 0, 1)
    least = int(counted[1])
    most = int(counted[3]) if counted[3] else None if counted[2] else least
    if most is not None and most < least:
        raise Unreadable("it repeats at most less than at least")
    return _Repeat(part, least, most)


def _opposite(ranges: Ranges) -> Ranges:
    """All characters that are in none of these sorted ranges."""
    found: list[tuple[int, int]] = []
    start = 0
    for low, high in ranges:
        if low > start:
            found.append((start, low - 1))
        start = max(start, high + 1)
    if start <= LAST:
        found.append((start, LAST))
    return tuple(found)


_Span: TypeAlias = tuple[bool, int, int]
"""Of a part: may it be left out, at which positions it begins, at which it ends."""
NOTHING: Final[_Span] = (True, 0, 0)


class _Numbering:
    """Gives each character of a pattern its position, and finds which may follow which."""

    def __init__(self) -> None:
        self.sets: list[Ranges] = []
        self.follow: list[int] = []
        self._work = 0

    def number(self, part: _Part) -> _Span:
        self._spend()
        match part:
            case _Set(ranges):
                if len(self.sets) >= POSITIONS:
                    raise Unreadable(f"written out it has more than {POSITIONS:,} characters")
                bit = 1 << len(self.sets)
                self.sets.append(ranges)
                self.follow.append(0)
                return False, bit, bit
            case _Row(parts):
                span = NOTHING
                for one in parts:
                    span = self._joined(span, self.number(one))
                return span
            case _Choice(parts):
                spans = [self.number(one) for one in parts]
                first = last = 0
                for _, begins, ends in spans:
                    first, last = first | begins, last | ends
                return any(span[0] for span in spans), first, last
            case _Repeat(body, least, most):
                return self._repeat(body, least, most)

    def _repeat(self, body: _Part, least: int, most: int | None) -> _Span:
        span = NOTHING
        for _ in range(least if most is not None else least - 1):
            span = self._joined(span, self.number(body))
        if most is None:
            optional, first, last = self.number(body)
            self._link(last, first)
            return self._joined(span, (optional or least == 0, first, last))
        rest = NOTHING
        for _ in range(most - least):  # x(x(x)?)?, from the inside, so that few links are needed
            _, first, last = self._joined(self.number(body), rest)
            rest = (True, first, last)
        return self._joined(span, rest)

    def _joined(self, left: _Span, right: _Span) -> _Span:
        self._link(left[2], right[1])
        return (
            left[0] and right[0],
            left[1] | (right[1] if left[0] else 0),
            right[2] | (left[2] if right[0] else 0),
        )

    def _link(self, ends: int, begins: int) -> None:
        while ends and begins:
            self._spend()
            bit = ends & -ends
            self.follow[bit.bit_length() - 1] |= begins
            ends ^= bit

    def _spend(self) -> None:
        self._work += 1
        if self._work > WORK:
            raise Unreadable("its repeats of repeats are too many")


class _State:
    """The positions that the text may have come to, and where each character leads from there."""

    __slots__ = ("is_end", "moves", "reach")

    def __init__(self, reach: int, *, is_end: bool) -> None:
        self.reach = reach
        self.is_end = is_end
        self.moves: dict[str, _State] = {}


class Pattern:
    """A pattern to be looked for in texts. Raises Unreadable for one that is not matched here."""

    __slots__ = (
        "_first", "_follow", "_last", "_masks", "_optional", "_remembered", "_sets", "_start", "_states",
        "_width",
    )  # fmt: skip

    def __init__(self, source: str) -> None:
        numbering = _Numbering()
        self._optional, self._first, self._last = numbering.number(_Reader(source).all())
        self._follow = numbering.follow
        self._sets: dict[Ranges, int] = {}
        """At which positions the same characters stand."""
        for position, ranges in enumerate(numbering.sets):
            self._sets[ranges] = self._sets.get(ranges, 0) | 1 << position
        self._width = sum(map(len, self._sets))
        self._require_single_anchors()
        self._forget()

    @property
    def size(self) -> int:
        """How many positions it has."""
        return len(self._follow)

    def _require_single_anchors(self) -> None:
        """Each anchor is a character that the text has once, so that none can be passed twice."""
        begins, ends = (self._sets.get(ranges, 0) for ranges in ANCHORS.values())
        for position, follow in enumerate(self._follow):
            bit = 1 << position
            if (bit & begins and follow & begins) or (bit & ends and follow & (begins | ends)):
                raise Unreadable("it has an anchor after an anchor")

    def _forget(self) -> None:
        self._states: dict[int, _State] = {}
        self._masks: dict[str, int] = {}
        self._remembered = 0
        self._start = _State(self._first, is_end=self._optional)

    def is_in(self, text: str, spend: Callable[[int], None]) -> bool:
        """Whether some part of the text fits; `spend` is told what that takes, in microseconds or so."""
        spend(1 + (len(text) >> 7))
        state = self._start
        if not state.is_end:
            state = state.moves.get(BEGIN) or self._move(state, BEGIN, spend)
        for character in text:
            if state.is_end:
                return True
            following = state.moves.get(character)
            state = self._move(state, character, spend) if following is None else following
        return state.is_end or (state.moves.get(END) or self._move(state, END, spend)).is_end

    def _move(self, state: _State, character: str, spend: Callable[[int], None]) -> _State:
        """Work out a move that is not remembered."""
        if self._remembered >= REMEMBERED:
            self._forget()
        spend(1)
        mask = self._masks.get(character)
        if mask is None:
            spend(self._width >> 2)
            mask = self._masks[character] = self._mask(character)
        positions = state.reach & mask
        found = self._states.get(positions)
        if found is None:
            spend(positions.bit_count() >> 2)
            found = self._states[positions] = _State(
                self._reach(positions), is_end=bool(positions & self._last)
            )
        state.moves[character] = found
        self._remembered += 1
        return found

    def _mask(self, character: str) -> int:
        """All positions at which this character may stand."""
        code = ANCHORS[character][0][0] if character in ANCHORS else ord(character)
        mask = 0
        for ranges, positions in self._sets.items():
            if any(low <= code <= high for low, high in ranges):
                mask |= positions
        return mask

    def _reach(self, positions: int) -> int:
        """Where the text may go from there; it may begin anew everywhere."""
        reach = self._first
        while positions:
            bit = positions & -positions
            reach |= self._follow[bit.bit_length() - 1]
            positions ^= bit
        return reach
