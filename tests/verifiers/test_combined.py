"""Weighted, AllOf, AnyOf: what they make of their members' scores, failures and costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.effects import Flow, Gather, OnError, Sleep
from tako.errors import InvalidInput, OutputInvalid, TakoError, ToolError
from tako.models import Usage
from tako.testing import Playbook, Simulator
from tako.verifiers import (
    AllOf,
    AnyOf,
    Candidate,
    LlmJudge,
    Pattern,
    RuleBased,
    Score,
    Verifier,
    Watch,
    Weighted,
)
from tests.verifiers.kit import TASK, Judge, look, score, value, watched

PARTS = st.floats(0, 1)


class Says(Verifier):
    """Thinks the same of everything, after a while."""

    def __init__(
        self,
        number: float,
        reason: str = "",
        *,
        tokens: int | None = None,
        cost: float | None = None,
        after: float = 0,
    ) -> None:
        usage = Usage(input_tokens=tokens)
        self.score_to_give = Score(value=number, reason=reason, usage=usage, cost_usd=cost)
        self.after = after

    def score_flow(self, candidate: Candidate) -> Flow[Score]:
        yield Sleep(self.after)
        return self.score_to_give


class Fails(Says):
    def score_flow(self, candidate: Candidate) -> Flow[Score]:
        yield Sleep(self.after)
        raise ToolError("no compiler here", usage=Usage(input_tokens=5))


def fixed(number: float) -> Callable[[str], float]:
    return lambda text: number


@given(st.lists(st.tuples(PARTS, st.floats(0.001, 1000)), min_size=1, max_size=4))
def test_a_weighted_score_is_the_weighted_mean(parts: list[tuple[float, float]]) -> None:
    total = sum(weight for _, weight in parts)
    expected = sum(number * weight for number, weight in parts) / total
    combined = value(Weighted([(fixed(number), weight) for number, weight in parts]), "")
    assert combined == pytest.approx(expected)
    assert min(numbers := [number for number, _ in parts]) - 1e-9 <= combined <= max(numbers) + 1e-9


@given(st.lists(PARTS, min_size=1, max_size=4))
def test_all_of_is_the_lowest_and_any_of_the_highest(numbers: list[float]) -> None:
    members = [fixed(number) for number in numbers]
    assert value(AllOf(members), "") == min(numbers)
    assert value(AnyOf(members), "") == max(numbers)
    assert value(Weighted(members), "") == pytest.approx(sum(numbers) / len(numbers))


def test_reasons_are_those_that_count() -> None:
    members = [Says(0.5, "half"), Says(0.2, "low"), Says(0.9), Says(0.8, "high")]
    assert score(Weighted(members), "").reason == "half; low; high"
    assert score(AllOf(members), "").reason == "low"
    assert score(AnyOf(members[:2]), "").reason == "half"


def test_members_are_asked_side_by_side() -> None:
    simulator = Simulator()
    verifier = AllOf([Says(0.5, after=3), Says(0.4, after=2), Weighted([Says(0.6, after=3)])])
    assert simulator.run(verifier.score_flow(Candidate(TASK, ""))).value == 0.4
    assert simulator.now == 3
    playbook = Playbook(verifier.score_flow(Candidate(TASK, ""))).expect(Gather)
    assert isinstance(playbook.effect, Gather)
    assert playbook.effect.on_error is OnError.STOP
    playbook.close()


@pytest.mark.parametrize(
    ("members", "tokens", "cost"),
    [
        ([Says(1), fixed(1)], None, None),
        ([Says(1, tokens=2, cost=0.5), Says(1, tokens=3, cost=0.25), fixed(1)], 5, 0.75),
        ([Says(1, tokens=2, cost=0.5), Says(1, tokens=3)], 5, None),  # a price is not known
        ([Says(1, cost=0.5)], None, 0.5),
    ],
)
@pytest.mark.parametrize("kind", [Weighted, AllOf, AnyOf])
def test_what_the_members_used_is_in_the_score(
    kind: Any, members: list[Any], tokens: int | None, cost: float | None
) -> None:
    said = score(kind(members), "")
    assert (said.usage.input_tokens, said.cost_usd) == (tokens, cost)


def test_a_failure_stops_the_others_and_loses_nothing_that_was_used() -> None:
    simulator = Simulator()
    verifier = AnyOf([Says(1, tokens=2, after=1), Fails(0, after=2), Says(1, tokens=7, after=60)])
    with pytest.raises(ToolError, match="no compiler here") as caught:
        simulator.run(verifier.score_flow(Candidate(TASK, "")))
    assert simulator.now == 2
    assert caught.value.usage.input_tokens == 2 + 5


def test_a_judge_that_says_nothing_is_the_error_of_the_whole() -> None:
    with pytest.raises(OutputInvalid):
        score(AllOf([LlmJudge(Judge("Hm."), "Good?"), fixed(1)]), "")
    with pytest.raises(TakoError, match="gave 3"):
        score(Weighted([fixed(3)]), "")


def test_nobody_who_can_watch_is_no_watch() -> None:
    assert AllOf([fixed(1), Pattern("a", expect="whole")]).watch() is None


def test_a_growing_answer_is_judged_by_those_who_can() -> None:
    rules = RuleBased(min_chars=4)
    assert watched(Weighted([(rules, 1), (Pattern("c"), 3), (fixed(1), 9)]), "abcd") == [
        pytest.approx(each) for each in (0.0625, 0.125, 0.1875 + 0.75, 1.0)
    ]
    assert watched(AllOf([rules, Pattern("c"), fixed(0)]), "abcd") == [0, 0, 0.75, 1]
    assert watched(AnyOf([rules, Pattern("c"), fixed(1)]), "abcd") == [0.25, 0.5, 1, 1]


def test_nothing_is_said_before_each_has_spoken_and_then_the_last_word_counts() -> None:
    replies = [f'{{"score": {number}}}' for number in (0.5, 0.1)]
    judge = LlmJudge(Judge(*replies), "Good?", streaming_min_chars=0, streaming_every_n=2)
    verifier = AllOf([RuleBased(min_chars=8), judge])
    assert watched(verifier, "abcdefgh") == [None, 0.25, 0.375, 0.1, 0.1, 0.1, 0.1, 0.1]
    watch = verifier.watch()
    assert watch is not None
    assert look(watch, "abcdefgh") is None  # another answer, another count


def test_two_judges_watch_side_by_side_and_each_look_costs_what_it_costs() -> None:
    judges = [LlmJudge(Judge(f'{{"score": {n}}}'), "Good?", streaming_min_chars=0) for n in (0.2, 0.4)]
    watch = Weighted([*judges, RuleBased()]).watch()
    assert watch is not None
    for text in ("a", "ab"):
        said = look(watch, text)
        assert said is not None
        assert said.value == pytest.approx(1.6 / 3)
        assert (said.usage.total, said.cost_usd) == (4, 4.0)


def test_what_is_said_at_once_costs_as_well_as_what_takes_a_while() -> None:
    class Watches(Says):
        def watch(self) -> Watch | None:
            return lambda candidate: self.score_to_give

    judge = LlmJudge(Judge('{"score": 1}'), "Good?", streaming_min_chars=0)
    watch = AllOf([Watches(0.5, tokens=3, cost=0.5), judge]).watch()
    assert watch is not None
    said = look(watch, "a")
    assert said is not None
    assert (said.value, said.usage.input_tokens, said.cost_usd) == (0.5, 4, 2.5)


def test_where_nobody_has_anything_new_nothing_is_said() -> None:
    judge = LlmJudge(Judge('{"score": 1}'), "Good?", streaming_min_chars=0, streaming_every_n=2)
    assert watched(AnyOf([judge]), "abcd") == [None, 1.0, None, 1.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AllOf([]), "AllOf: members is empty"),
        (lambda: AnyOf(RuleBased()), "AnyOf: members should be a list of verifiers, not RuleBased"),  # type: ignore[arg-type]
        (lambda: AllOf("ab"), "AllOf: members should be a list"),  # type: ignore[arg-type]
        (lambda: Weighted(7), "Weighted: members should be a list"),  # type: ignore[arg-type]
        (lambda: AnyOf([fixed(1), 3]), r"AnyOf: members\[1\] must be a tako.verifiers"),  # type: ignore[list-item]
        (lambda: Weighted([(fixed(1), 0)]), r"weight of members\[0\] should be a number above 0"),
        (lambda: Weighted([(fixed(1), float("nan"))]), "weight"),
        (lambda: Weighted([(fixed(1), 10**400)]), "weight"),
        (lambda: Weighted([(fixed(1), "2")]), "weight"),  # type: ignore[list-item]
    ],
)
def test_wrong_members_are_refused_by_place(make: Callable[[], Verifier], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make()
