"""Verdict: what a verifier says of an answer, read from its words.

| it says                                                   | is read as          |
|-----------------------------------------------------------|---------------------|
| a JSON object with "verdict" (or "decision"), or with     | what stands there   |
| "accept" (or "accepted"), alone, in a fence or in prose   |                     |
| a first line of ACCEPT or REVISE, with or without more,   | that                |
| "Verdict:" before it, or marks of Markdown around it      |                     |
| a last line like that                                     | that                |
| anything else                                             | nothing: no verdict |

Invariants. Silence accepts nothing, nor does a sentence that only contains the word. Any text gives one
of the three, in time that grows with its length.
"""

from __future__ import annotations

import re

from pydantic_core import from_json

__all__ = ["verdict_of"]

LONGEST_LINE = 400
"""Characters of a line in which the word may stand."""
# Behind the word its sentence ends, or an explanation begins: "Accept." and "ACCEPT - fine", not "Accept if".
LINE = re.compile(
    r"[\s>*_#`~-]*(?:(?:final\s+|my\s+)?(?:verdict|decision)[\s*_`:=-]+)?"
    r"(?P<word>accept(?:ed|s)?|approved?|revised?|reject(?:ed|s)?)(?:[*_`\"')\]]|\s)*(?:$|[.,:;!(\n]|-|\u2013|\u2014)",
    re.IGNORECASE,
)
POSITIVE = ("accept", "approve")


def verdict_of(text: str) -> bool | None:
    """True if it accepts, False if it does not, None if it does not say."""
    stated = _stated(text)
    if stated is not None:
        return stated
    lines = [line for line in text.split("\n") if line.strip()]
    for line in (lines[:1], lines[-1:]):
        said = _read("".join(line))
        if said is not None:
            return said
    return None


def _read(line: str) -> bool | None:
    found = LINE.match(line[:LONGEST_LINE])
    return None if found is None else found["word"].lower().startswith(POSITIVE)


def _stated(text: str) -> bool | None:
    """What the JSON object in the text says."""
    begin, end = text.find("{"), text.rfind("}")
    if not 0 <= begin < end:
        return None
    try:
        stated = from_json(text[begin : end + 1])
    except ValueError:
        return None
    for name, value in stated.items() if isinstance(stated, dict) else ():
        known = name.lower()
        if known in ("accept", "accepted") and isinstance(value, bool):
            return value
        if known in ("verdict", "decision") and isinstance(value, str):
            return _read(value)
    return None
