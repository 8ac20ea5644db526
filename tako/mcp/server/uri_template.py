"""UriTemplate: addresses of resources with gaps: RFC 6570 level 1, and `{+name}` of level 2.

| in the template | stands for                                            | matches in an address          |
|-----------------|-------------------------------------------------------|--------------------------------|
| {name}          | a value, percent-encoded but for unreserved letters   | at least one, but no "/?#"     |
| {+name}         | a value with its reserved characters: a path, a query | at least one of any            |
| anything else   | itself                                                | itself                         |

The first of several gaps takes as little as it can. A match takes a bounded time, for the address is the
client's: a template has at most MAX_GAPS gaps, with something between any two of them, an address at most
MAX_ADDRESS characters, and where a gap may end is found once for each, from behind, and never tried again.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Final
from urllib.parse import unquote

from tako.errors import InvalidInput

__all__ = ["UriTemplate"]

MAX_GAPS: Final = 8
MAX_ADDRESS: Final = 4096
RESERVED: Final = "/?#"
_GAP: Final = re.compile(r"\{(\+?)([A-Za-z_][A-Za-z0-9_]*)\}")


class UriTemplate:
    """Raises InvalidInput for what is no template of level 1."""

    __slots__ = ("_gaps", "_start", "names", "text")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise InvalidInput(f"a URI template should be text, not {type(text).__name__}")
        self.text = text
        self.names = tuple([match[2] for match in _GAP.finditer(text)])
        literals = _GAP.sub("\0", text).split("\0")
        if any("{" in literal or "}" in literal for literal in literals):
            raise InvalidInput(f"URI template {text!r}: gaps are written {{name}} or {{+name}}")
        if not self.names or len(self.names) > MAX_GAPS or len(set(self.names)) < len(self.names):
            raise InvalidInput(
                f"URI template {text!r}: it needs 1 to {MAX_GAPS} gaps, each with its own name"
            )
        if not all(literals[1:-1]):
            raise InvalidInput(
                f"URI template {text!r}: put something between {{gaps}}, or nobody can tell them apart"
            )
        self._start = literals[0]
        self._gaps = [
            ("" if match[1] else RESERVED, literal)
            for match, literal in zip(_GAP.finditer(text), literals[1:], strict=True)
        ]

    def __repr__(self) -> str:
        return f"<UriTemplate {self.text}>"

    def match(self, address: str) -> dict[str, str] | None:
        """The values of the gaps, percent-decoded; None if the address is not one of these."""
        if len(address) > MAX_ADDRESS or not address.startswith(self._start):
            return None
        values, start = {}, len(self._start)
        for name, (reserved, literal), ends in zip(self.names, self._gaps, self._ends(address), strict=True):
            end = _first_end(address, start, reserved, ends)
            if end is None:
                return None
            values[name] = unquote(address[start:end])
            start = end + len(literal)
        return values

    def _ends(self, address: str) -> list[list[int]]:
        """For each gap, where it may end so that all behind it matches, in order: found from the last on."""
        *gaps, (reserved, literal) = self._gaps
        ends = [len(address) - len(literal)] if address.endswith(literal) else []
        found = [ends]
        for next_reserved, literal in reversed(gaps):
            ends = [
                match.start()
                for match in re.finditer(f"(?={re.escape(literal)})", address)
                if _first_end(address, match.start() + len(literal), reserved, ends) is not None
            ]
            found.append(ends)
            reserved = next_reserved
        return found[::-1]


def _first_end(address: str, start: int, reserved: str, ends: list[int]) -> int | None:
    """Where a gap that begins there ends first; None if it would be empty, or hold what is reserved."""
    index = bisect_right(ends, start)
    if index == len(ends) or any(address.find(letter, start, ends[index]) >= 0 for letter in reserved):
        return None
    return ends[index]
