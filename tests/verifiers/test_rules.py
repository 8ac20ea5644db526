"""RuleBased and Pattern: what they count, what they grade, and what they say of an answer that grows."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.errors import InvalidInput
from tako.testing import Playbook
from tako.verifiers import Candidate, Pattern, RuleBased
from tests.effort import examples
from tests.verifiers.kit import TASK, score, value, watched

PIECES = st.lists(st.text(max_size=6), min_size=1, max_size=6)


def test_defect_40_characters_are_counted_and_not_bytes() -> None:
    rules = RuleBased(min_chars=4)
    assert value(rules, "éé") == 0.5  # four bytes
    assert value(rules, "🐙🐙🐙🐙") == 1.0


def test_defect_40_the_length_is_graded() -> None:
    rules = RuleBased(min_chars=200)
    assert [value(rules, "x" * length) for length in (0, 50, 100, 200, 900)] == [0, 0.25, 0.5, 1, 1]
    assert score(rules, "x" * 50).reason == "it has 50 of at least 200 characters"


def test_too_long_is_graded_as_well() -> None:
    rules = RuleBased(min_chars=2, max_chars=4)
    assert [value(rules, "x" * length) for length in (1, 2, 4, 8, 16)] == [0.5, 1, 1, 0.5, 0.25]
    assert score(rules, "x" * 8).reason == "it has 8 characters, of 4 allowed"


def test_the_score_is_the_mean_of_what_is_asked_for() -> None:
    assert value(RuleBased(), "") == 1.0
    assert value(RuleBased(pattern="b"), "abc") == 1.0
    assert value(RuleBased(pattern="z"), "abc") == 0.0
    both = RuleBased(min_chars=6, pattern="z")
    assert value(both, "abc") == 0.25
    assert value(both, "abz") == 0.75
    assert score(both, "abc").reason == "it has 3 of at least 6 characters; nothing in it fits 'z'"
    assert score(both, "abcabz").reason == ""


@pytest.mark.parametrize(
    ("options", "text", "expected", "reason"),
    [
        ({}, "x 42", 1.0, ""),
        ({}, "none", 0.0, r"nothing in it fits '\\d+'"),
        ({"times": 4}, "1 2 3", 0.75, r"'\\d+' is found 3 times of 4"),
        ({"times": 2}, "1 2 3", 1.0, ""),
        ({"expect": "whole"}, "42", 1.0, ""),
        ({"expect": "whole"}, "x 42", 0.0, r"it is not all '\\d+'"),
        ({"expect": "absent"}, "x", 1.0, ""),
        ({"expect": "absent"}, "x 42", 0.0, r"it holds '\\d+'"),
    ],
)
def test_a_pattern_is_found_whole_or_absent(
    options: dict[str, Any], text: str, expected: float, reason: str
) -> None:
    said = score(Pattern(r"\d+", **options), text)
    assert (said.value, said.reason) == (expected, reason)


def test_a_compiled_pattern_keeps_its_flags() -> None:
    assert value(Pattern(re.compile("YES", re.IGNORECASE)), "yes") == 1.0
    assert len(score(Pattern("x" * 1000), "").reason) < 150


def test_rules_need_nothing_of_the_world() -> None:
    for verifier in (RuleBased(min_chars=2, pattern="a"), Pattern("a"), Pattern("a", expect="whole")):
        Playbook(verifier.score_flow(Candidate(TASK, "a"))).returns()


WATCHING = [
    RuleBased(),
    RuleBased(min_chars=5, max_chars=9, pattern="[a-f]"),
    Pattern("[a-f0]", times=3),
    Pattern("[a-f0]", expect="absent"),
]


@settings(max_examples=examples(2))
@given(st.sampled_from(WATCHING), PIECES, PIECES)
def test_a_watch_judges_what_there_is_however_it_came(
    verifier: Any, pieces: list[str], others: list[str]
) -> None:
    text = "".join(pieces)
    said = watched(verifier, pieces)
    assert said[-1] == value(verifier, text)  # the end of an answer is no surprise
    assert watched(verifier, [text]) == said[-1:]  # nor is it another one in one piece
    watch = verifier.watch()
    for other in others:
        watch(Candidate(TASK, other))
    assert watch(Candidate(TASK, text)).value == said[-1]  # and nothing is remembered


def test_what_has_to_be_whole_is_not_judged_before() -> None:
    assert Pattern("a+", expect="whole").watch() is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"min_chars": -1}, "min_chars should be a whole number of at least 0, not -1"),
        ({"min_chars": 1.5}, "min_chars should"),
        ({"min_chars": True}, "min_chars should"),
        ({"max_chars": 0}, "max_chars should"),
        ({"min_chars": 5, "max_chars": 4}, "max_chars .4. should not be less than min_chars .5."),
        ({"pattern": "("}, "pattern is no regular expression: "),
        ({"pattern": "a{9999999999}"}, "pattern is no regular expression: "),
        ({"pattern": "(" * 20_000 + ")" * 20_000}, "pattern is no regular expression: "),
        ({"pattern": b"a"}, "pattern should be a regular expression, not bytes"),
        ({"pattern": re.compile(b"a")}, "pattern should be a regular expression, not Pattern"),
    ],
)
def test_wrong_rules_are_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=f"^RuleBased: {message}"):
        RuleBased(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pattern": "("}, "pattern is no regular expression: "),
        (
            {"pattern": "a", "expect": "full"},
            "expect should be one of 'found', 'whole', 'absent', not 'full'",
        ),
        ({"pattern": "a", "times": 0}, "times should"),
        ({"pattern": "a", "times": 2, "expect": "whole"}, "times goes with expect='found'"),
    ],
)
def test_a_wrong_pattern_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=f"^Pattern: {message}"):
        Pattern(**arguments)
