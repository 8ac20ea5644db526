"""Grades: the score in what a judge wrote, whatever it wrote around it.

A judge is asked for `{"reason": ..., "score": ...}`. What is read, on a scale from 0 to 10:

| where                                     | such as                               | is read as         |
|-------------------------------------------|---------------------------------------|--------------------|
| the score in a JSON object                | {"score": 7}, in a fence or a text    | 0.7                |
| what follows `score:`, if it is the same  | **Score:** 7/10 because ...           | 0.7                |
| wherever that stands                      |                                       |                    |
| a line that is a number and nothing else  | 85%                                   | 0.85               |
| the only number in the text               | I would give it 7 out of 10.          | 0.7                |

| how a number is written                   | stands for                                                 |
|-------------------------------------------|------------------------------------------------------------|
| 7, 0.5, .5, -1                            | itself, on the scale                                       |
| 7/10, 7 out of 10, if the scale ends there| itself, on the scale                                       |
| any other fraction; 85%, 85 percent       | that part of the whole scale                               |

Invariants. Each step is tried if the ones before it found nothing to read; one that found something which
is no score on this scale, or two different ones, ends the search: there is no guess, and no number is bent
into the scale. What cannot be read is told in words for the judge. Any text is read in linear time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tako.errors import OutputInvalid
from tako.verifiers.passages import json_value_in

__all__ = ["Scale", "read_grade"]

LONGEST_TEXT: Final = 100_000
"""Characters of a judge's text that is read."""
LONGEST_REASON: Final = 4_000
"""Characters of a judge's reason that are kept."""

# A number is whole: not a piece of 1,000 or of a date, and not the beginning of a range.
_NUMBER: Final = re.compile(
    r"(?<![\w.,/])(?<!\w[-\u2212])([-+\u2212]?(?:\d{1,17}(?:\.\d{1,17})?|\.\d{1,17}))"
    r"(?:[ \t]{0,2}(?:/|out of)[ \t]{0,2}(\d{1,17}(?:\.\d{1,17})?)|([ \t]?%|[ \t]percent\b))?"
    r"(?![.,/]?[\d%]|\w|[ \t]{0,2}[-/\u2212\u2013][ \t]{0,2}\d)",
    re.IGNORECASE,
)
_LABEL: Final = re.compile(r"\b(?:score|rating|grade)[\"'*_` ]{0,4}[:=][\"'*_`\s]{0,6}", re.IGNORECASE)
_DECORATION: Final = "\"'*_`#>()[] \t\r\n"


@dataclass(frozen=True, slots=True)
class Scale:
    """What a judge's numbers run from and to; each method gives the part of it that was meant, from 0 to 1,
    and raises OutputInvalid for what is not on it."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"from {self.low:g} to {self.high:g}"

    def part(self, number: float) -> float:
        return self._checked((number - self.low) / (self.high - self.low), f"{number:g}")

    def fraction(self, number: float, whole: float) -> float:
        if whole == self.high:
            return self.part(number)
        return self._checked(number / whole if whole else math.nan, f"{number:g}/{whole:g}")

    def percent(self, number: float) -> float:
        return self._checked(number / 100, f"{number:g}%")

    def _checked(self, part: float, said: str) -> float:
        if not 0 <= part <= 1:  # NaN is not either
            raise OutputInvalid(f"{said} is no score {self}")
        return part


def read_grade(text: str, scale: Scale) -> tuple[float, str]:
    """The score, as a part of the scale from 0 to 1, and its reason; raises OutputInvalid."""
    if len(text) > LONGEST_TEXT:
        raise OutputInvalid(f"it has {len(text):,} characters, and at most {LONGEST_TEXT:,} are read")
    value = json_value_in(text)
    if isinstance(value, dict):
        names = {str(name).lower(): name for name in value}
        if "score" in names:
            return _of_json(value[names["score"]], scale), _reason(value.get(names.get("reason"), ""))
    labels = list(_LABEL.finditer(text))
    if labels or isinstance(value, dict):
        return _agreed([_NUMBER.match(text, label.end()) for label in labels], scale), _reason(text)
    alone = [line for line in map(_alone, text.split("\n")) if line is not None]
    return _agreed(alone or list(_NUMBER.finditer(text)), scale), _reason(text)


def _of_json(value: Any, scale: Scale) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return scale.part(float(value))
        except OverflowError:
            raise OutputInvalid(f"the score is no number {scale}") from None
    written = _alone(value) if isinstance(value, str) else None
    if written is None:
        raise OutputInvalid("the score is not written as a number")
    return _value(written, scale)


def _agreed(numbers: Sequence[re.Match[str] | None], scale: Scale) -> float:
    """The one value of them all."""
    shares = {round(_value(number, scale), 9) if number else None for number in numbers}
    if not shares or None in shares:
        raise OutputInvalid("there is no score in it that could be read")
    if len(shares) > 1:
        raise OutputInvalid("it holds several numbers, and nothing says which of them is the score")
    number = numbers[0]
    assert number is not None
    return _value(number, scale)


def _value(number: re.Match[str], scale: Scale) -> float:
    value = float(number[1].replace("\u2212", "-"))
    if number[3] is not None:
        return scale.percent(value)
    return scale.part(value) if number[2] is None else scale.fraction(value, float(number[2]))


def _alone(text: str) -> re.Match[str] | None:
    """The number that a text is, but for decoration."""
    return _NUMBER.fullmatch(text.lstrip(_DECORATION).rstrip(f"{_DECORATION}."))


def _reason(said: object) -> str:
    return said.strip()[:LONGEST_REASON] if isinstance(said, str) else ""
