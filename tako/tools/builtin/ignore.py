r"""What .gitignore files say, as git reads them (its own documentation: gitignore(5)).

| line          | means                                                                            |
|---------------|----------------------------------------------------------------------------------|
| `name`        | whatever has this name, here and below                                           |
| `/name`, `a/b`| a slash before the end ties it to the directory of the file                      |
| `name/`       | a directory only                                                                 |
| `!name`       | not ignored after all; in vain below a directory that is ignored                 |
| `#`, empty    | nothing; `\#`, `\!` and `\ ` at the end are the characters themselves            |

Within a file the last line that matches decides; between files the deepest. What a pattern cannot mean
(an open bracket, a backslash at the end) matches nothing, and no complaint is made: git makes none.

Two known differences. `a**/b` is `a*/b` as git's documentation says; git itself takes a `**` that stands
behind plain text for any number of directories. And the user's own file (core.excludesFile) is not read,
for it stands outside of the workspace.

Names are compared as git does, byte by byte: text that is not ASCII stands for its bytes.

Invariants. An Ignored is immutable and belongs to one directory; going down makes the next. It is never
asked about what is below an ignored directory.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from tako.tools.builtin.path_patterns import BadPattern, Level, PathPatterns, Row, parse_pattern

__all__ = ["NOTHING_IGNORED", "IgnoreRules", "Ignored"]

MOST_RULES: Final = 10_000
"""Lines of one file that are looked at."""

SOME_NAME: Final = "\x01"
"""A name that no rule means, but those that mean every name."""


class IgnoreRules:
    """The lines of one file. `cut` says that there were more than are looked at."""

    __slots__ = ("cut", "directories_only", "negated", "patterns")

    def __init__(self, text: bytes) -> None:
        lines = text.removeprefix(b"\xef\xbb\xbf").decode("latin-1").split("\n")
        self.cut = len(lines) > MOST_RULES
        rules = [rule for line in lines[:MOST_RULES] if (rule := _rule(line)) is not None]
        self.patterns = PathPatterns([row for row, _, _ in rules], hidden=True)
        self.negated = tuple([negated for _, negated, _ in rules])
        self.directories_only = tuple([only for _, _, only in rules])

    def verdict(self, level: Level, name: str, *, directory: bool) -> bool | None:
        """True for ignored, False for taken back, None if no line speaks of it."""
        for index in level.matching(name):
            if directory or not self.directories_only[index]:
                return not self.negated[index]
        return None


@dataclass(frozen=True, slots=True)
class Ignored:
    """All that is said about the names in one directory, the deepest file first."""

    layers: tuple[tuple[IgnoreRules, Level], ...] = ()

    def __contains__(self, name: str) -> bool:
        """Is a file of this name ignored?"""
        return bool(self.layers) and self._decide(name, directory=False)

    def has_directory(self, name: str) -> bool:
        """Is a directory of this name ignored?"""
        return bool(self.layers) and self._decide(name, directory=True)

    def _decide(self, name: str, *, directory: bool) -> bool:
        name = _as_bytes(name)
        for rules, level in self.layers:
            verdict = rules.verdict(level, name, directory=directory)
            if verdict is not None:
                return verdict
        return False

    def below(self, name: str) -> Ignored:
        """What is said in the directory of this name by the files up here."""
        name = _as_bytes(name)
        layers = [(rules, level.below(name)) for rules, level in self.layers]
        return Ignored(tuple([(rules, level) for rules, level in layers if level]))

    def with_rules(self, rules: IgnoreRules) -> Ignored:
        """The same with the file that lies in this directory."""
        return Ignored(((rules, rules.patterns.top), *self.layers))

    def ignores_everything(self) -> bool:
        """Is a rule meant for every name here, as `build/*` is in build?"""
        return SOME_NAME in self


NOTHING_IGNORED: Final = Ignored()


def _as_bytes(name: str) -> str:
    return name if name.isascii() else os.fsencode(name).decode("latin-1")


def _rule(line: str) -> tuple[Row, bool, bool] | None:
    """The row of a line, whether it takes back, and whether it means directories only."""
    line = _without_trailing_spaces(line.removesuffix("\r"))
    if not line or line.startswith("#"):
        return None
    negated = line.startswith("!")
    pattern = line[negated:]
    directories_only = pattern.endswith("/")
    pattern = pattern[: len(pattern) - directories_only]
    if not pattern:
        return None
    try:
        row = parse_pattern(pattern.removeprefix("/"))
    except BadPattern:
        return None
    return row if "/" in pattern else (None, *row), negated, directories_only


def _without_trailing_spaces(line: str) -> str:
    kept = line.rstrip(" ")
    backslashes = len(kept) - len(kept.rstrip("\\"))
    return line[: len(kept) + 1] if backslashes % 2 else kept
