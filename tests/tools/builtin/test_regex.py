"""Safe regular expressions: how they are weighed, that the child finds the same, that all ends in time."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.errors import Cancelled, ToolError
from tako.tools.builtin import regex
from tako.tools.builtin.regex import Hit, LineSearch, literal_of, weigh
from tako.tools.builtin.regex_child import CHILD, RegexChild, TookTooLong, interpreter_of

ENDLESS = [
    r"(a+)+$",
    r"(a|a)*b",
    r"(.*)*x",
    r"(\w+\s?)*$",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(a|aa)+$",
    r"(?:a?){40}a{40}",
    r"(a*)*b",
    r"([a-zA-Z]+)*1",
    r"(x+x+)+y",
    r"(?=(a+))*b",
    r"(?:(?:a|a)|a){2,30}b",
    r"(a)?(?(1)b|c)",
    "a?" * 30 + "a" * 30,
    "(a|a)" * 30 + "b",
]
HOSTILE = [
    (r"(a+)+$", "a" * 45_000 + "!"),
    (r"(a|a)*b", "a" * 45_000 + "!b"),
    (r"(\w+\s?)*$", "a" * 45_000 + "!"),
    (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 45_000),
    (r"[a-z]*[a-z]*[a-z]*[a-z]*[0-9]", "a" * 45_000),
    (r"(.*)*[xy]", "a" * 45_000),
]
SLOW = [r".*.*.*.*=.*", r"a*a*a*a*a*b", r"(\w+) (\w+) (\w+) (\w+) \1!", r"\s+.*\s+.*\s+$"]
HARMLESS = [
    r"def \w+\(",
    r"class (\w+)\b",
    r"foo|bar|baz",
    r"^import [a-z]{1,9}",
    r"(?:ab)*c",
    r"(?i:todo)",
    r"\d{4}-\d\d-\d\d",
    r"(?<=x)y",
    r"[^,]*$",
    "",
]


def later(seconds: float) -> float:
    return time.monotonic() + seconds


def cpu_of(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


UNIT = min(cpu_of(lambda: re.search("[ab]*c", "a" * 2_000)) for _ in range(5))
"""Two million steps: some thousandths of a second."""


@pytest.fixture
def token() -> Iterator[CancellationToken]:
    """A token; what listens to it must be gone in the end."""
    token = CancellationToken()
    yield token
    assert not token._callbacks


def search(
    pattern: str, token: CancellationToken, *, seconds: float = 30, fixed: bool = False, fold: bool = False
) -> LineSearch:
    return LineSearch(pattern, ignore_case=fold, fixed=fixed, cancel=token, deadline=later(seconds))


@pytest.mark.parametrize("pattern", ENDLESS)
def test_an_endless_pattern_is_never_tried_here(pattern: str) -> None:
    assert weigh(pattern).longest_line == 0


@pytest.mark.parametrize("pattern", SLOW)
def test_a_slow_pattern_is_tried_here_on_short_lines(pattern: str) -> None:
    assert 0 < weigh(pattern).longest_line < 200


@pytest.mark.parametrize("pattern", HARMLESS)
def test_a_harmless_pattern_is_tried_here(pattern: str) -> None:
    assert weigh(pattern).longest_line >= 1_000


FAR_RANGES = "".join(f"{chr(low)}-{chr(low + 1)}" for low in range(0x10000, 0x10000 + 2400, 4))
FAR_LETTERS = "".join(map(chr, range(0x10000, 0x10000 + 7600, 4)))


@pytest.mark.parametrize(
    ("pattern", "longest"),
    [
        (f"[{FAR_RANGES}]*x", 400),  # each of 600 ranges is compared
        (f"[^{FAR_LETTERS}]*x", 200),
        ("(" * 200 + "a" + ")" * 200 + "*b", 500),  # 200 places are kept at each turn
        ("()" * 900 + "(?:ab)*c", 300),
        ("(?:" + "(?=)" * 400 + "a?){19}c", 1),
    ],
)
def test_what_makes_each_step_dear_counts(pattern: str, longest: int) -> None:
    """Each of these took seconds in this process while a set, a group and a look ahead cost nothing."""
    assert weigh(pattern).longest_line <= longest


@pytest.mark.parametrize(
    "pattern", [*HARMLESS, *SLOW, r"\w*\d", r"(?:a{0,9}){0,3}b", "a{0,500}b", "a?" * 12 + "b"]
)
@pytest.mark.parametrize("letter", ["a", "x", "1", " ", "import aaa"])
def test_the_longest_line_takes_no_more_steps_than_were_meant(pattern: str, letter: str) -> None:
    line = (letter * 5_000)[: min(5_000, weigh(pattern).longest_line)]
    found = re.compile(pattern).search, re.compile(f"(?:{pattern})\0").search
    assert cpu_of(lambda: [search(line) for search in found]) < 200 * UNIT


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [
        ("foo", "foo"),
        (r"def \w+_tool\(", "_tool("),
        (r"^\s*import\b", "import"),
        ("foo|bar", ""),
        ("(abc)?d", "d"),
        ("(abc){2}", "abc"),
        ("(?i:abc)", ""),
        ("(?:ab(cd)e)+x", "ab"),
        ("a(?!bcd)", "a"),
        (r"(?x) a b c", "abc"),
        ("", ""),
    ],
)
def test_a_literal_that_each_match_holds(pattern: str, literal: str) -> None:
    assert literal_of(pattern) == literal


PIECES = st.sampled_from(
    [
        "a",
        "b",
        "k",
        "ab",
        ".",
        r"\w",
        "[ab]",
        "[^a]",
        "^",
        "$",
        r"\b",
        "(?:a|b)",
        "(?:ab|c)",
        "(a)",
        "(?=a)",
        "(?i:A)",
    ]
)
REPEATS = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{0,2}", "*?", "+?", "*+"])
patterns = st.lists(st.tuples(PIECES, REPEATS).map("".join), max_size=4).map("".join)
texts = st.lists(st.text("abcAk \u00e9\u212a", max_size=12), max_size=6)


def is_pattern(pattern: str) -> bool:
    try:
        return re.compile(pattern) is not None
    except re.error:
        return False


@given(patterns.filter(is_pattern), texts, st.booleans(), st.integers(1, 4))
def test_it_finds_the_first_lines_that_python_finds(
    pattern: str, lines: list[str], fold: bool, most: int
) -> None:
    compiled = re.compile(pattern, re.IGNORECASE if fold else 0)
    expected = [Hit(n, *found.span()) for n, line in enumerate(lines) if (found := compiled.search(line))]
    with search(pattern, CancellationToken(), fold=fold) as mine:
        if weigh(pattern, ignore_case=fold).longest_line >= 12:  # or each example would start a process
            assert mine.hits(lines, most) == expected[:most]
        assert mine.can_match("\n".join(lines)) or not expected


def test_without_regard_to_case_other_letters_stand_for_those_of_ascii(token: CancellationToken) -> None:
    with search("KISS", token, fold=True) as mine:
        lines = ["kiss", "\u212ai\u017f\u017f", "kis", "\u212a"]
        assert [mine.can_match(line) for line in lines] == [True, True, False, True]
        assert [hit.line for hit in mine.hits(lines, 9)] == [0, 1]
    with search("(?i)K", token) as mine:
        assert mine.can_match("k") and not mine.can_match("x")


def test_long_lines_go_to_the_child_and_come_back_in_order(token: CancellationToken) -> None:
    lines = ["b", "a1", "a" * 4_000 + "1", "x", "a" * 3_000, "a\u00e91", "a2", "\u00e9" * 4_000 + "a3"]
    with search(r"a\w*\d", token) as mine:
        assert 100 < mine._longest < 3_000
        found = mine.hits(lines, 99)
        assert [hit.line for hit in found] == [1, 2, 5, 6, 7]
        assert found[1] == Hit(2, 0, 4_001)
        assert found[-1] == Hit(7, 4_000, 4_002)
        assert [hit.line for hit in mine.hits(lines, 2)] == [1, 2]
        assert mine.hits(["z"], 2) == []


def test_the_child_takes_many_batches(token: CancellationToken) -> None:
    lines = ["ab" * 30_000, "", "ac" * 30_000] * 20
    with search("(a+)+b", token) as mine:
        assert [hit.line for hit in mine.hits(lines, 99)] == list(range(0, 60, 3))


@pytest.mark.parametrize(("pattern", "line"), HOSTILE)
def test_a_pattern_that_takes_for_ever_is_stopped_in_time(
    pattern: str, line: str, token: CancellationToken
) -> None:
    began = time.monotonic()
    with search(pattern, token, seconds=0.2) as mine:
        with pytest.raises(TookTooLong, match="it takes too long and was stopped; repeats inside repeats"):
            mine.hits([line], 1)
        process = mine._child._process
    assert time.monotonic() - began < 10, "it would take for ever"
    assert process is not None and process.returncode == -9, "killed, and waited for"


def test_what_a_literal_rules_out_costs_nothing(token: CancellationToken) -> None:
    with search("(.*)*x", token) as mine:
        assert mine.hits(["a" * 50_000], 1) == []
        assert mine._child._process is None


def test_a_cancel_ends_a_search_at_once_and_leaves_no_process(token: CancellationToken) -> None:
    with search("(a+)+$", token) as mine:
        assert mine.hits(["aa"], 1) == [Hit(0, 0, 2)]  # the process runs
        process = mine._child._process
        cancelled: list[float] = []

        def cancel() -> None:
            cancelled.append(time.monotonic())
            token.cancel()

        timer = threading.Timer(0.2, cancel)
        timer.start()
        with pytest.raises(Cancelled):
            mine.hits(["a" * 45_000 + "!"], 1)
    took = time.monotonic() - cancelled[0]
    assert took < 3, "the time that it has would be thirty seconds"
    assert process is not None and process.returncode == -9
    timer.join()


def test_a_cancel_between_lines_is_seen_here(token: CancellationToken) -> None:
    token.cancel()
    with search("a", token) as mine, pytest.raises(Cancelled):
        mine.hits(["a"], 1)
    with search("(a+)+$", token) as mine, pytest.raises(Cancelled):
        mine._child.search(["a"], 1)


def test_the_time_is_seen_between_lines_here(token: CancellationToken) -> None:
    with search("a", token, seconds=0) as mine, pytest.raises(TookTooLong):
        mine.hits(["a"], 1)


def test_a_child_whose_parent_is_gone_ends() -> None:
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", CHILD, "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None and process.stdout is not None
    for text in ("\n(a+)+$", "1\n" + "a" * 40_000 + "!"):
        process.stdin.write(len(text).to_bytes(4, "big") + text.encode())
    process.stdin.close()
    assert process.wait(10) != 0, "the system ended it, after a second of the processor"
    process.stdout.close()


@pytest.mark.parametrize(
    ("python", "words"),
    [
        ("", "there is no Python here to try such a pattern in safety"),
        ("/bin/echo", "what runs here is no plain Python"),
        ("/missing", "the process that should try it in safety did not live"),
    ],
)
def test_without_an_interpreter_a_pattern_is_refused_in_words(
    token: CancellationToken, python: str, words: str
) -> None:
    child = RegexChild("(a+)+$", ignore_case=False, cancel=token, deadline=later(9), python=python)
    with pytest.raises(ToolError) as caught:
        child.search(["a"], 1)
    child.close()
    assert words in str(caught.value)
    assert "use fixed=true for plain text" in str(caught.value)


def test_a_program_with_python_inside_is_not_started_again() -> None:
    assert interpreter_of(sys) == sys.executable
    assert interpreter_of(SimpleNamespace(executable="/usr/bin/app", frozen=True)) == ""
    assert interpreter_of(SimpleNamespace(executable=None)) == ""


def test_a_child_that_dies_is_an_error_and_no_hang(token: CancellationToken) -> None:
    with search("(a+)+$", token) as mine:
        assert mine.hits(["a"], 1)
        assert mine._child._process is not None
        mine._child._process.kill()
        with pytest.raises(ToolError, match="the process that should try it in safety did not live"):
            mine.hits(["a"], 1)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(x", "missing ), unterminated subpattern at character 1: >>>(x; escape special"),
        ("abc[", "unterminated character set at character 4: abc>>>["),
        ("a**", "multiple repeat at character 3: a*>>>*"),
        ("a{99999999999}", "it repeats too often"),
        ("(" * 1900, "nested too deeply"),
        ("(" * 400 + "a" + ")" * 400, "nested too deeply"),
        ("[\x01-\uffff]" * 390, "its sets, such as [a-z], have too many characters between them"),
        ("one\ntwo", "lines are searched one at a time"),
        (r"one\ntwo", "lines are searched one at a time"),
        ("a" * 3000, "3,000 characters are too many; use at most 2,000"),
    ],
)
def test_a_bad_pattern_is_refused_with_the_place(token: CancellationToken, pattern: str, words: str) -> None:
    with pytest.raises(ToolError) as caught:
        search(pattern, token)
    assert words in str(caught.value)


def test_sets_and_groups_in_plenty_are_searched(token: CancellationToken) -> None:
    for pattern in ("(a)" * 30, "[\u4e00-\u9fff]" * 20 + "|" + "a" * 30, r"a\n?" * 30):
        with search(pattern, token, fold=True) as mine:
            assert mine.hits(["A" * 30], 1) == [Hit(0, 0, 30)]


def test_plain_text_is_plain(token: CancellationToken) -> None:
    with search("(a+)+$", token, fixed=True) as mine:
        assert [hit.line for hit in mine.hits(["aaa", "x(a+)+$y", "(A+)+$"], 9)] == [1]
    with search("(a+)+$", token, fixed=True, fold=True) as mine:
        assert [hit.line for hit in mine.hits(["aaa", "x(a+)+$y", "(A+)+$"], 9)] == [1, 2]
    assert regex.weigh(re.escape("(a+)+$")).longest_line > 1_000_000
