"""Fuzz patterns of paths and .gitignore files: a pattern is one, or BadPattern; a .gitignore never complains.

Nothing else may be raised. Many patterns that are followed at once say of each name what they say one by one.

`python fuzz/fuzz_path_patterns.py --runs 10000 --seed 1` is a plain loop of random inputs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.texts import Target, main
from tako.tools.builtin.ignore import NOTHING_IGNORED, IgnoreRules
from tako.tools.builtin.path_patterns import (
    LONGEST_PATTERN,
    MOST_ALTERNATIVES,
    BadPattern,
    Level,
    PathPatterns,
    Row,
    expand_braces,
    parse_pattern,
)

MOST_PATTERNS = 32
"""Each of them is followed by itself as well."""

WORDS = ["*", "**", "?", "/", "\\", "[", "]", "[a-z]", "[!a]", "[^", "[:alpha:]", "[[:digit:]]", "[]a]"]
WORDS += ["[z-a]", "{", "}", ",", "{a,b}", "{a}", "a", "b.py", ".", ".git", "#", "!", " ", "\\ ", "\n", "\r"]
WORDS += ["\0", "é", "**/", "/**", "*a*a", "--", "&&", "||", "~~", "\ud800", "\ufeff", "\n\n", "\n\na/b.py"]


def check(text: str) -> None:
    """Lines of patterns, then an empty line, then a path."""
    lines, _, path = text.partition("\n\n")
    names = [name for name in path.split("/") if name][:12] or ["a"]
    check_ignored(lines, names)
    rows: list[Row] = []
    for line in lines.split("\n")[:MOST_PATTERNS]:
        try:
            patterns = expand_braces(line)
            assert len(patterns) <= MOST_ALTERNATIVES, line
            for pattern in patterns[:MOST_PATTERNS]:
                rows.append(parse_pattern(pattern))
                assert len(pattern) <= LONGEST_PATTERN, line
        except BadPattern:
            continue
    for hidden in (False, True):
        check_rows(rows[:MOST_PATTERNS], names, hidden=hidden)


def check_rows(rows: list[Row], names: list[str], *, hidden: bool) -> None:
    together = PathPatterns(rows, hidden=hidden).top
    alone: list[Level] = [PathPatterns([row], hidden=hidden).top for row in rows]
    for name in names:
        expected = [index for index, level in enumerate(alone) if level.matching(name)]
        found = together.matching(name)
        assert sorted(set(found)) == expected, f"{found}, and one by one {expected}: {name!r}"
        assert together.matches(name) == bool(found), name
        together, alone = together.below(name), [level.below(name) for level in alone]
        assert bool(together) == any(alone), name


def check_ignored(lines: str, names: list[str]) -> None:
    rules = IgnoreRules(lines.encode("utf-8", "surrogatepass"))
    ignored = NOTHING_IGNORED.with_rules(rules)
    for name in names:
        if name in ignored:
            assert ignored.has_directory(name) or any(rules.directories_only), name
        ignored.ignores_everything()
        ignored = ignored.below(name).with_rules(rules)


if __name__ == "__main__":
    main(Target(check, WORDS, most_words=40), __doc__ or "")
