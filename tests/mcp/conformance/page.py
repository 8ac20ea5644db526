"""The tables of docs/mcp-conformance.md: how they are written, and how they are read back."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tests.mcp.arms import ARMS
from tests.mcp.conformance.scenarios import REQUIRED, Role
from tests.mcp.peers import ROOT

__all__ = ["PAGE", "Table", "read", "written"]

PAGE = ROOT / "docs" / "mcp-conformance.md"
BEGIN, END = "<!-- tables: written by `make conformance` -->", "<!-- end of tables -->"
WORDS = {True: "pass", False: "fail"}


@dataclass(frozen=True, slots=True)
class Table:
    """How our client or our server did at one revision, scenario by scenario, on each arm."""

    role: Role
    revision: str
    rows: tuple[tuple[str, tuple[bool, ...]], ...]

    def __str__(self) -> str:
        required = REQUIRED[self.role, self.revision]
        parts = [f"## The {self.role}, {self.revision}"]
        for title, wanted in (("required", True), ("not scored", False)):
            rows = [row for row in self.rows if (row[0] in required) is wanted]
            lines = [f"| {title} | {' | '.join(ARMS)} |", f"|---|{'---|' * len(ARMS)}"]
            lines += [f"| {name} | {' | '.join(WORDS[passed] for passed in arms)} |" for name, arms in rows]
            counts = [f"{sum(row[1][column] for row in rows)} of {len(rows)}" for column in range(len(ARMS))]
            lines.append(f"| **{len(rows)} scenarios** | {' | '.join(counts)} |")
            parts.append("\n".join(lines))
        return "\n\n".join(parts)


def written(page: str, tables: Iterable[Table]) -> str:
    """The page with these tables in the place of its former ones."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin and end, "the page has lost the marks between which its tables are"
    body = "\n\n".join(str(table) for table in tables)
    return f"{before}{BEGIN}\n\n{body}\n\n{END}{after}"


def read(page: str) -> dict[tuple[str, str], dict[str, tuple[bool, ...]]]:
    """By role and revision: the scenarios that the page has, and on which arms it says they pass."""
    found: dict[tuple[str, str], dict[str, tuple[bool, ...]]] = {}
    here: dict[str, tuple[bool, ...]] = {}
    for line in page.splitlines():
        if title := re.fullmatch(r"## The (client|server), (\S+)", line):
            here = found.setdefault((title[1], title[2]), {})
        elif row := re.fullmatch(r"\| ([\w/-]+) \| (.*) \|", line):
            words = row[2].split(" | ")
            if set(words) <= set(WORDS.values()):
                here[row[1]] = tuple(word == WORDS[True] for word in words)
    return found
