"""Fuzz the safe regular expressions: a pattern is searched for, or ToolError, and no search takes long.

Nothing else may be raised. In a line that is as long as the weight of its pattern allows, the search ends
soon, and finds what Python finds.

`python fuzz/fuzz_regex.py --runs 10000 --seed 1` is a plain loop of random inputs.
"""

from __future__ import annotations

import re
import sys
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.texts import Target, main
from tako.cancellation import CancellationToken
from tako.errors import ToolError
from tako.tools.builtin.regex import Hit, LineSearch, weigh

LONGEST_LINE = 20_000

WORDS = ["a", "b", "A", "ab", ".", "\\w", "\\d+", "\\b", "^", "$", "|", "(", ")", "(?:", "(?=", "(?!"]
WORDS += ["(?<=", "(?>", "(?i)", "(?P<n>", "(?P=n)", "\\1", "(?(1)a|b)", "*", "+", "?", "*?", "+?", "++"]
WORDS += ["{2}", "{,9}", "{3,}", "{1000}", "{99999999999}", "[", "]", "[a-z]", "[^a]", "[\\w-]", "-", "\\"]
WORDS += ["\\N{DASH}", "(?#", "(?x) ", "(a+)+$", "(a|a)*", "(a*)*b", "\\n", "\\x00", "\\ud800", "\ud800", "é"]
WORDS += ["\u017f", "\n", "\nab", "\na"]


def check(text: str) -> None:
    """The pattern stands before the last line end, the line behind it; it is tried many times over too."""
    source, _, line = text.rpartition("\n")
    for ignore_case, fixed in ((False, False), (True, False), (False, True)):
        cancel, deadline = CancellationToken(), time.monotonic() + 60
        try:
            search = LineSearch(
                source, ignore_case=ignore_case, fixed=fixed, cancel=cancel, deadline=deadline
            )
        except ToolError:
            continue
        with search:
            plain = re.escape(source) if fixed else source
            longest = min(LONGEST_LINE, weigh(plain, ignore_case=ignore_case).longest_line)
            for each in (line, line * (LONGEST_LINE // max(1, len(line)))):
                check_line(search, re.compile(plain, re.IGNORECASE * ignore_case), each[:longest])


def check_line(search: LineSearch, expected: re.Pattern[str], line: str) -> None:
    """A line that may be searched in this process; an empty one where none may."""
    if not line:
        return
    match = expected.search(line)
    hits = [] if match is None else [Hit(0, *match.span())]
    assert search.hits([line], 1) == hits, f"{expected.pattern!r} in {line[:200]!r}"
    assert search.can_match(line) or not hits, f"{expected.pattern!r} in {line[:200]!r}"


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of Python, about sets that may mean something else one day
    main(Target(check, WORDS), __doc__ or "")
