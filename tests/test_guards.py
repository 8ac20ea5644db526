"""Guards: the verifiers under the name of the original, with rules that are all or nothing."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tako.verifiers
from tako import guards
from tako.errors import InvalidInput
from tests.verifiers.kit import score, value, watched


def test_guards_are_the_verifiers_but_for_the_rules() -> None:
    assert set(guards.__all__) == set(tako.verifiers.__all__)
    others = [name for name in guards.__all__ if name != "RuleBased"]
    assert [name for name in others if getattr(guards, name) is not getattr(tako.verifiers, name)] == []
    assert issubclass(guards.RuleBased, tako.verifiers.RuleBased)


@pytest.mark.parametrize(
    ("text", "expected"), [("", 0), ("aaaa", 0), ("zzz", 0), ("zaaa", 1), ("zaaaaa", 1), ("zaaaaaa", 0)]
)
def test_a_rule_is_kept_or_it_is_not(text: str, expected: float) -> None:
    assert value(guards.RuleBased(min_chars=4, max_chars=6, pattern="z"), text) == expected


def test_defect_40_a_guard_counts_characters_and_not_bytes() -> None:
    said = score(guards.RuleBased(min_chars=4), "ééé")
    assert (said.value, said.reason) == (0.0, "it has 3 of at least 4 characters")


def test_without_a_rule_every_answer_is_good() -> None:
    assert value(guards.RuleBased(), "") == 1.0


def test_defect_22_a_look_at_a_growing_answer_only_says_what_there_is() -> None:
    """The original let the first 1 end the answer; whether it ends is not the guard's to say."""
    guard = guards.RuleBased(min_chars=3)
    assert watched(guard, ["aaa", "bbb", "ccc"]) == [1.0, 1.0, 1.0]
    assert value(guard, "aaabbbccc") == 1.0


@given(st.lists(st.text("az", max_size=3), min_size=1, max_size=5))
def test_a_guard_watches_as_it_judges(pieces: list[str]) -> None:
    guard = guards.RuleBased(min_chars=4, max_chars=6, pattern="z")
    assert watched(guard, pieces) == [value(guard, text) for text in accumulate(pieces)]


def test_a_wrong_rule_is_refused_as_in_the_original() -> None:
    with pytest.raises(ValueError, match="pattern is no regular expression"):
        guards.RuleBased(pattern="(")
    with pytest.raises(InvalidInput, match="min_chars"):
        guards.RuleBased(min_chars=-1)
