"""Verdict: what a verifier says of an answer, read from its words.

| it says                                                   | is read as          |
|-----------------------------------------------------------|---------------------|
| a JSON object with "verdict" (or "decision"), or with     | what stands there   |
| "accept" (or "accepted"), alone, in a fence or in prose   |                     |
| a first or a last line of ACCEPT or REVISE, with or       | that                |
| without more, "Verdict:" before it, or marks of Markdown  |                     |
| ACCEPT in one of these places, REVISE in another          | REVISE              |
| ACCEPT with a condition in its line: but, if, once ...    | nothing: no verdict |
| anything else                                             | nothing: no verdict |

Invariants. Silence accepts nothing, nor does a sentence that only contains the word. Any text gives one
of the three, in time that grows with its length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from pydantic_core import from_json

__all__ = ["verdict_of"]

LONGEST_LINE = 400
"""Characters of a line in which the word may stand."""
# Behind the word its sentence ends, or an explanation begins: "Accept." and "ACCEPT - fine", not "Accept if".
LINE = re.compile(
    r"[\s>*_#`~-]*(?:(?:final\s+|my\s+)?(?:verdict|decision)[\s*_`:=-]+)?"
    r"(?P<word>accept(?:ed|s)?|approved?|revised?|reject(?:ed|s)?)(?:[*_`\"')\]]|\s)*"
    r"(?P<rest>$|[.,:;!(\n]|-|\u2013|\u2014)",
    re.IGNORECASE,
)
# "ACCEPT, but mend the sum" and "Accepted: no" accept nothing.
CONDITION = re.compile(
    r"\b(?:but|if|unless|provided|except|once|after|however|not yet|changes|revise|reject)\b"
    r"|^\W*(?:no|not|false)\b\W*$",
    re.IGNORECASE,
)
POSITIVE = ("accept", "approve")


def verdict_of(text: str) -> bool | None:
    """True if it accepts, False if it does not, None if it does not say."""
    stated = _stated(text)
    if stated is not None:
        return stated
    lines = [line for line in text.split("\n") if line.strip()]
    return _together(_read(line) for line in (*lines[:1], *lines[-1:]))


def _together(verdicts: Iterable[bool | None]) -> bool | None:
    """One that refuses counts more than one that accepts."""
    said = set(verdicts)
    return False if False in said else True if True in said else None


def _read(line: str) -> bool | None:
    line = line[:LONGEST_LINE]
    found = LINE.match(line)
    if found is None:
        return None
    if not found["word"].lower().startswith(POSITIVE):
        return False
    return None if CONDITION.search(line[found.start("rest") :]) else True


def _stated(text: str) -> bool | None:
    """What the JSON object in the text says."""
    begin, end = text.find("{"), text.rfind("}")
    if not 0 <= begin < end:
        return None
    try:
        stated = from_json(text[begin : end + 1])
    except ValueError:
        return None
    return _together(_of_field(name.lower(), value) for name, value in stated.items())


def _of_field(name: str, value: object) -> bool | None:
    if name in ("accept", "accepted") and isinstance(value, bool):
        return value
    return _read(value) if name in ("verdict", "decision") and isinstance(value, str) else None
