"""RuleBased and Pattern: what an answer looks like, judged at once and by itself.

| verifier  | a part of the score               | its value                                              |
|-----------|-----------------------------------|--------------------------------------------------------|
| RuleBased | the length, if there is a limit   | 1 within the limits; below, length / min_chars; above, |
|           |                                   | max_chars / length                                     |
| RuleBased | the pattern, if there is one      | 1 if it is found, else 0                               |
| Pattern   | expect="found"                    | how often it is found / times, at most 1               |
| Pattern   | expect="whole"                    | 1 if all the answer fits it, else 0                    |
| Pattern   | expect="absent"                   | 1 if it is found nowhere, else 0                       |

The score is the mean of the parts. A length counts characters, and not the bytes that they take.

Invariants. The same text gets the same score, in any state of the world; so an answer that grows is judged
by what there is of it, however it came in pieces. `whole` alone says nothing before the end.

The patterns are their author's, for Python's `re`, and run to their end: one that goes astray on some text
(`(a+)+$`) takes the program with it. Each look at a growing answer searches it anew.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Literal, TypeAlias, get_args

from tako.effects import Flow
from tako.errors import InvalidInput
from tako.verifiers.base import Candidate, Score, Verifier, Watch

__all__ = ["Expected", "Pattern", "RuleBased", "pattern_of"]

Expected: TypeAlias = Literal["found", "whole", "absent"]


class RuleBased(Verifier):
    """Scores length and pattern, each in part: the mean of what is asked for, 1 if nothing is."""

    def __init__(
        self,
        *,
        min_chars: int = 0,
        max_chars: int | None = None,
        pattern: str | re.Pattern[str] | None = None,
    ) -> None:
        """Raises InvalidInput that names the argument."""
        _check_count("RuleBased: min_chars", min_chars, 0)
        if max_chars is not None:
            _check_count("RuleBased: max_chars", max_chars, 1)
            if max_chars < min_chars:
                raise InvalidInput(
                    f"RuleBased: max_chars ({max_chars}) should not be less than min_chars ({min_chars})"
                )
        self._min, self._max = min_chars, max_chars
        self._pattern = None if pattern is None else pattern_of("RuleBased: pattern", pattern)

    def score_flow(self, candidate: Candidate) -> Flow[Score]:
        return self._score(candidate)
        yield  # a flow without effects

    def watch(self) -> Watch | None:
        return self._score

    def grade(self, parts: list[float]) -> float:
        """What the parts make together; each is from 0 to 1."""
        return sum(parts) / len(parts) if parts else 1.0

    def _score(self, candidate: Candidate) -> Score:
        parts: list[float] = []
        reasons: list[str] = []
        length = len(candidate.text)
        if self._min or self._max is not None:
            parts.append(self._length_part(length, reasons))
        if self._pattern is not None:
            is_found = self._pattern.search(candidate.text) is not None
            parts.append(float(is_found))
            if not is_found:
                reasons.append(f"nothing in it fits {_shown(self._pattern)}")
        return Score(value=self.grade(parts), reason="; ".join(reasons))

    def _length_part(self, length: int, reasons: list[str]) -> float:
        if length < self._min:
            reasons.append(f"it has {length:,} of at least {self._min:,} characters")
            return length / self._min
        if self._max is not None and length > self._max:
            reasons.append(f"it has {length:,} characters, of {self._max:,} allowed")
            return self._max / length
        return 1.0


class Pattern(Verifier):
    """Scores by a regular expression that should be found, fit the whole answer, or be absent."""

    def __init__(self, pattern: str | re.Pattern[str], *, expect: Expected = "found", times: int = 1) -> None:
        """`times` is how often it should be found. Raises InvalidInput that names the argument."""
        self._pattern = pattern_of("Pattern: pattern", pattern)
        if expect not in get_args(Expected):
            words = ", ".join(map(repr, get_args(Expected)))
            raise InvalidInput(f"Pattern: expect should be one of {words}, not {expect!r}")
        _check_count("Pattern: times", times, 1)
        if times > 1 and expect != "found":
            raise InvalidInput(f"Pattern: times goes with expect='found', and not with {expect!r}")
        self._expect, self._times = expect, times

    def score_flow(self, candidate: Candidate) -> Flow[Score]:
        return self._score(candidate)
        yield  # a flow without effects

    def watch(self) -> Watch | None:
        return None if self._expect == "whole" else self._score

    def _score(self, candidate: Candidate) -> Score:
        text, pattern = candidate.text, self._pattern
        if self._expect == "whole":
            fits = pattern.fullmatch(text) is not None
            return Score(value=float(fits), reason="" if fits else f"it is not all {_shown(pattern)}")
        if self._expect == "absent":
            found = pattern.search(text)
            return Score(value=float(found is None), reason=f"it holds {_shown(pattern)}" if found else "")
        count = sum(1 for _ in islice(pattern.finditer(text), self._times))
        if count == self._times:
            return Score(value=1.0)
        wanted = f" {count} times of {self._times}" if self._times > 1 else ""
        reason = f"{_shown(pattern)} is found{wanted}" if count else f"nothing in it fits {_shown(pattern)}"
        return Score(value=count / self._times, reason=reason)


def pattern_of(argument: str, pattern: object) -> re.Pattern[str]:
    """A regular expression made ready; raises InvalidInput that names the argument."""
    if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
        return pattern
    if not isinstance(pattern, str):
        raise InvalidInput(f"{argument} should be a regular expression, not {type(pattern).__name__}")
    try:
        return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidInput(f"{argument} is no regular expression: {error}") from error


def _shown(pattern: re.Pattern[str]) -> str:
    source = pattern.pattern
    return repr(source if len(source) <= 100 else f"{source[:97]}...")


def _check_count(argument: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidInput(f"{argument} should be a whole number of at least {least}, not {value!r}")
