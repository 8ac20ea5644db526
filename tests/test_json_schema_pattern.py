"""Regular expressions of strangers: matched as JavaScript and Python do, in linear time, or not at all."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.json_schema.pattern import REMEMBERED, Pattern, Unreadable


def matches(pattern: str, text: str) -> bool:
    return Pattern(pattern).is_in(text, lambda steps: None)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("", ["", "x"], []),
        ("^$", [""], ["x", "\n"]),
        ("^a$", ["a"], ["a\n", "ab", "ba"]),
        ("^a|b$", ["ax", "xb"], ["xa", "bx"]),
        ("(^|,)a(,|$)", ["a", "a,b", "b,a"], ["ab", "b,ab"]),
        (r"^\d+$", ["12"], ["", "1a", "\u0663"]),
        (r"^\w\W\s\S$", ["a- x", "_\u00e9\u00a0\u00e9"], ["aa x"]),
        (r"^[^\s\d]$", ["a"], [" ", "1"]),
        (r"^[\W_]$", ["_", "-"], ["a"]),
        ("^[^a-zb]$", ["A", "{"], ["a", "b", "c"]),
        ("^.$", ["a", "\U0001f419", "\x85"], ["\n", "\u2028", "ab"]),
        ("^(?:ab){2,3}$", ["abab", "ababab"], ["ab", "abababab"]),
        ("^a{2}$", ["aa"], ["a", "aaa"]),
        ("^a{2,}$", ["aa", "aaaa"], ["a"]),
        ("^a{0,2}?b$", ["b", "aab"], ["aaab"]),
        ("^(a?){3}$", ["", "aaa"], ["aaaa"]),
        ("^(a*)*$", ["", "aaa"], ["b"]),
        ("^(?<year>[0-9]{4})-(?<m>0[1-9]|1[0-2])$", ["2026-11"], ["2026-13"]),
        (r"^[a\-z]$", ["-", "a"], ["b"]),
        (r"^[+-]?[.\]]$", ["-.", "]"], ["-"]),
        (r"^\x41\u0042\u{1F419}\t\/\.$", ["AB\U0001f419\t/."], ["AB"]),
        ("^{x}$", ["{x}"], ["x"]),
        ("a^b", [], ["ab", "a^b"]),
    ],
)
def test_patterns_are_those_of_javascript(pattern: str, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not matches(pattern, text)] == []
    assert [text for text in bad if matches(pattern, text)] == []


@pytest.mark.parametrize(
    "pattern",
    [
        r"\bx",
        r"(a)\1",
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        "(?i)a",
        "(?P<a>b)",
        r"\p{L}",
        r"\Aa\Z",
        "(",
        ")",
        "a)",
        "[a",
        "[]a]",
        "[^]",
        "*",
        "a**",
        "{2}",
        "a{3,2}",
        "[b-a]",
        r"[a-\d]",
        "\\",
        r"\ud83d\udc19",
        r"\u{110000}",
        "^*",
        "(^)?",
        "^^a",
        "(^a?)*",
        "$^",
        "a{1001}",
        "(a{99}){99}",
        "((){999}){999}",
        "(" * 51 + ")" * 51,
        "a" * 4001,
    ],
)
def test_what_is_not_surely_understood_is_not_matched(pattern: str) -> None:
    with pytest.raises(Unreadable):
        Pattern(pattern)


@pytest.mark.parametrize("pattern", ["^(a+)+$", "^(a|a)*$", "(.*a){20}$", r"^(\w+\s?)*$", "(a?){100}a{100}b"])
def test_patterns_that_explode_elsewhere_take_linear_work(pattern: str) -> None:
    spent = []
    read = Pattern(pattern)
    for size in (1_000, 10_000):
        steps: list[int] = []
        assert not read.is_in("a" * size + "!", steps.append)
        spent.append(sum(steps))
    assert spent[1] < 10 * spent[0] + 1000


ATOMS = st.sampled_from(["a", "b", "ab", ".", "[ab]", "[^a]", r"\d", r"\w", r"\s", "1", "(?:)"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,}", "*?"])).map(
            lambda p: f"(?:{p[0]}){p[1]}"
        ),
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda p: f"({p[0]}|{p[1]})"),
    ),
    max_leaves=6,
)


@given(
    st.tuples(st.sampled_from(["", "^"]), PATTERNS, st.sampled_from(["", "$"])).map("".join),
    st.lists(st.text("ab1 c", max_size=6), min_size=3, max_size=3),
)
def test_patterns_match_as_those_of_python_do(pattern: str, texts: list[str]) -> None:
    theirs = re.compile(pattern.replace("$", r"\Z"), re.ASCII)
    for text in texts:
        assert matches(pattern, text) is (theirs.search(text) is not None), text


def test_what_is_remembered_has_a_limit_and_forgetting_changes_nothing() -> None:
    pattern = Pattern("^[^b]*a[^b]*$")
    texts = ["".join(map(chr, range(0x100 + start, 0x100 + start + 900))) for start in range(0, 9000, 900)]
    for text in texts:
        assert pattern.is_in(f"a{text}", lambda steps: None)
        assert not pattern.is_in(text, lambda steps: None)
        kept = {id(state): len(state.moves) for state in (pattern._start, *pattern._states.values())}
        assert sum(kept.values()) <= REMEMBERED
