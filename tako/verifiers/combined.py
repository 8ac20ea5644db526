"""Weighted, AllOf, AnyOf: verifiers made of verifiers.

| verifier | its score               | its reason                       |
|----------|-------------------------|----------------------------------|
| Weighted | the weighted mean       | those of all that gave one       |
| AllOf    | the lowest              | that of the lowest               |
| AnyOf    | the highest             | that of the highest              |

The members are asked side by side; the first that fails stops the others, and its error is raised. A growing
answer is judged by the members that can do so, once each of them has had something to say: by what each said
last.

Invariants. What the members have used is in the score, and of those that were done before one failed in the
error. Order matters to nothing but the reasons.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

from tako.effects import Flow, gather
from tako.errors import InvalidInput, TakoError
from tako.models import NOT_COUNTED, Usage
from tako.verifiers.base import Candidate, Score, Verifier, Watch
from tako.verifiers.function import verifier_of

__all__ = ["AllOf", "AnyOf", "Member", "Weighted"]

HEAVIEST: Final = 1_000_000
"""A weight: so that their sum is a number."""

Member: TypeAlias = Verifier | Callable[..., Any]


class _Combined(Verifier):
    """What the three have in common; `combine` is what tells them apart."""

    def __init__(self, members: Iterable[Member]) -> None:
        """Raises InvalidInput that names the member."""
        self._members = tuple(
            [
                verifier_of(member, f"{type(self).__name__}: members[{place}]")
                for place, member in enumerate(_listed(members, type(self).__name__))
            ]
        )

    @abstractmethod
    def combine(self, scores: Sequence[tuple[int, Score]]) -> tuple[float, str]:
        """One number and its reason, of scores with the places of the members that gave them."""

    def score_flow(self, candidate: Candidate) -> Flow[Score]:
        flows = [member.score_flow(candidate) for member in self._members]
        scores = yield from _side_by_side(flows)
        return self._together(list(enumerate(scores)), scores)

    def watch(self) -> Watch | None:
        watches = [(place, member.watch()) for place, member in enumerate(self._members)]
        able = {place: watch for place, watch in watches if watch is not None}
        return partial(self._look, able, {}) if able else None

    def _look(
        self, watches: dict[int, Watch], last: dict[int, Score], candidate: Candidate
    ) -> Score | Flow[Score] | None:
        flows: dict[int, Flow[Score]] = {}
        new: list[Score] = []
        for place, watch in watches.items():
            said = watch(candidate)
            if isinstance(said, Score):
                last[place] = said
                new.append(said)
            elif said is not None:
                flows[place] = said
        if len(last.keys() | flows.keys()) < len(watches) or not (new or flows):
            return None
        return (
            self._finish(last, new, flows) if flows else self._together(sorted(last.items(), key=_place), new)
        )

    def _finish(self, last: dict[int, Score], new: list[Score], flows: dict[int, Flow[Score]]) -> Flow[Score]:
        scores = yield from _side_by_side(list(flows.values()))
        last.update(zip(flows, scores, strict=True))
        return self._together(sorted(last.items(), key=_place), [*new, *scores])

    def _together(self, scores: Sequence[tuple[int, Score]], new: Sequence[Score]) -> Score:
        """One score of all; only the new ones have cost something now."""
        value, reason = self.combine(scores)
        return Score(value=value, reason=reason, usage=_usage(new), cost_usd=_cost(new))


class Weighted(_Combined):
    """The weighted mean: `Weighted([(RuleBased(min_chars=200), 1), (judge, 3)])`.

    A member by itself weighs 1; so one judge given three times is the mean of three judgements.
    """

    def __init__(self, members: Iterable[Member | tuple[Member, float]]) -> None:
        """Raises InvalidInput that names the member."""
        pairs = [
            member if isinstance(member, tuple) and len(member) == 2 else (member, 1.0)
            for member in _listed(members, "Weighted")
        ]
        super().__init__([member for member, _ in pairs])
        self._weights = [_weight(weight, place) for place, (_, weight) in enumerate(pairs)]

    def combine(self, scores: Sequence[tuple[int, Score]]) -> tuple[float, str]:
        total = sum(self._weights[place] for place, _ in scores)
        value = sum(self._weights[place] / total * score.value for place, score in scores)
        return min(value, 1.0), "; ".join([score.reason for _, score in scores if score.reason])


class AllOf(_Combined):
    """The lowest of the members' scores: `AllOf([Command(...), judge])`."""

    def combine(self, scores: Sequence[tuple[int, Score]]) -> tuple[float, str]:
        lowest = min([score for _, score in scores], key=_value)
        return lowest.value, lowest.reason


class AnyOf(_Combined):
    """The highest of the members' scores: `AnyOf([Pattern("42"), judge])`."""

    def combine(self, scores: Sequence[tuple[int, Score]]) -> tuple[float, str]:
        highest = max([score for _, score in scores], key=_value)
        return highest.value, highest.reason


def _side_by_side(flows: Sequence[Flow[Score]]) -> Flow[list[Score]]:
    """The scores in order; raises the first failure, with what all have used until then."""
    scores: dict[int, Score] = {}

    def told(place: int, flow: Flow[Score]) -> Flow[None]:
        scores[place] = yield from flow

    try:
        yield from gather(*[told(place, flow) for place, flow in enumerate(flows)])
    except TakoError as error:
        used = error.usage if isinstance(error.usage, Usage) else NOT_COUNTED
        error.usage = used + _usage([scores[place] for place in sorted(scores)])
        raise
    return [scores[place] for place in range(len(flows))]


def _usage(scores: Iterable[Score]) -> Usage:
    total = NOT_COUNTED
    for score in scores:
        total += score.usage
    return total


def _cost(scores: Iterable[Score]) -> float | None:
    """The price of those that used something; None if one is not known, or none did."""
    costs = [score.cost_usd for score in scores if score.usage != NOT_COUNTED or score.cost_usd is not None]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known and len(known) == len(costs) else None


def _value(score: Score) -> float:
    return score.value


def _place(item: tuple[int, Score]) -> int:
    return item[0]


def _listed(members: object, name: str) -> list[Any]:
    if isinstance(members, str | Verifier) or not isinstance(members, Iterable):
        raise InvalidInput(f"{name}: members should be a list of verifiers, not {type(members).__name__}")
    listed = list(members)
    if not listed:
        raise InvalidInput(f"{name}: members is empty; give it at least one verifier")
    return listed


def _weight(weight: object, place: int) -> float:
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= HEAVIEST:
        raise InvalidInput(
            f"Weighted: the weight of members[{place}] should be a number above 0 and at most {HEAVIEST:,}, "
            f"not {weight!r}"
        )
    return float(weight)
