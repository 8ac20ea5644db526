"""FeatureRouter: chooses by the sixteen features of the task, and weights or thresholds of your own.

    FeatureRouter(weights={"code": {"backtick": 2, "says_code": 1}, "chat": {"bias": 0.5}})
    FeatureRouter(thresholds=[("backtick", 1, "code"), ("words", 0.8, "expert")], default="chat")

| of         | chosen is                                            | the confidence is          |
|------------|------------------------------------------------------|----------------------------|
| weights    | whose features, each by its weight, add up to most;  | its share by softmax       |
|            | the first of several                                 |                            |
| thresholds | the candidate of the first feature that is as large  | 1, and 0.5 for the default |
|            | as its threshold, else the default                   |                            |
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from tako.effects import Flow
from tako.errors import InvalidInput
from tako.routers.base import Router, RoutingDecision, Situation
from tako.routers.choosing import Target, place_of, require_target
from tako.routers.features import FEATURES, featurise_text
from tako.routers.model import LARGEST, softmax

__all__ = ["FeatureRouter"]

Weights: TypeAlias = Mapping[Target, Mapping[str, float]]
Thresholds: TypeAlias = Iterable[tuple[str, float, Target]]

SURE, NOT_SURE = 1.0, 0.5


class FeatureRouter(Router):
    """Chooses by features, whose names are in `tako.routers.FEATURES`. Give it weights, or thresholds.

    weights     for each candidate that may be chosen, by name or place, what each feature counts for it; a
                feature that is not named counts nothing
    thresholds  a feature, the least that it has to be, and the candidate that it leads to; in order
    default     who is chosen where no feature is as large; the first candidate, if nothing else is said

    Raises InvalidInput that names the argument.
    """

    def __init__(
        self,
        *,
        weights: Weights | None = None,
        thresholds: Thresholds | None = None,
        default: Target | None = None,
    ) -> None:
        if (weights is None) == (thresholds is None):
            raise InvalidInput("FeatureRouter: give it weights or thresholds, and not both")
        if weights is not None and default is not None:
            raise InvalidInput(
                "FeatureRouter: default goes with thresholds; with weights somebody always wins"
            )
        self._weights = [] if weights is None else _weights(weights)
        self._thresholds = [] if thresholds is None else _thresholds(thresholds)
        self._default: Target = 0 if default is None else default
        require_target(self._default, "FeatureRouter: default")

    def choose_flow(self, situation: Situation) -> Flow[RoutingDecision]:
        features = featurise_text(situation.task)
        yield from ()  # nothing has to be asked for
        return self._by_weight(features, situation) if self._weights else self._by_size(features, situation)

    def _by_weight(self, features: list[float], situation: Situation) -> RoutingDecision:
        places = [
            place_of(target, situation.candidates, "the FeatureRouter (weights)")
            for target, _ in self._weights
        ]
        sums = [
            math.fsum([features[feature] * weight for feature, weight in row]) for _, row in self._weights
        ]
        shares = softmax(sums)
        best = max(range(len(shares)), key=shares.__getitem__)
        return RoutingDecision(
            index=places[best], confidence=min(shares[best], 1.0), reason="by its features"
        )

    def _by_size(self, features: list[float], situation: Situation) -> RoutingDecision:
        who, candidates = "the FeatureRouter", situation.candidates
        places = [place_of(target, candidates, f"{who} (thresholds)") for _, _, target in self._thresholds]
        default = place_of(self._default, candidates, f"{who} (default)")
        for place, (feature, least, _) in zip(places, self._thresholds, strict=True):
            if features[feature] >= least:
                reason = f"{FEATURES[feature]} is {features[feature]:.3g}"
                return RoutingDecision(index=place, confidence=SURE, reason=reason)
        return RoutingDecision(index=default, confidence=NOT_SURE, reason="no feature is large enough")


def _weights(given: Weights) -> list[tuple[Target, list[tuple[int, float]]]]:
    """A row of (feature, weight) for each candidate; raises InvalidInput."""
    if not isinstance(given, Mapping) or not given:
        raise InvalidInput("FeatureRouter: weights should give each candidate the weights of its features")
    rows = []
    for target, row in given.items():
        argument = f"FeatureRouter: weights[{target!r}]"
        require_target(target, "FeatureRouter: what weights are for")
        if not isinstance(row, Mapping):
            raise InvalidInput(f"{argument} should give features their weights, not {type(row).__name__}")
        rows.append((target, [(_feature(name, argument), _number(row[name], argument)) for name in row]))
    return rows


def _thresholds(given: Thresholds) -> list[tuple[int, float, Target]]:
    """Feature, threshold and candidate; raises InvalidInput."""
    rules = [] if isinstance(given, str) or not isinstance(given, Iterable) else list(given)
    if not rules:
        raise InvalidInput(
            "FeatureRouter: thresholds should be a list of (feature, the least that it has to be, candidate)"
        )
    found = []
    for number, rule in enumerate(rules):
        argument = f"FeatureRouter: thresholds[{number}]"
        if not isinstance(rule, tuple | list) or len(rule) != 3:
            raise InvalidInput(f"{argument} should be (feature, the least that it has to be, candidate)")
        require_target(rule[2], f"{argument}[2]")
        found.append((_feature(rule[0], argument), _number(rule[1], argument), rule[2]))
    return found


def _feature(name: object, argument: str) -> int:
    if name not in FEATURES:
        raise InvalidInput(f"{argument}: {name!r} is no feature; there are {', '.join(FEATURES)}")
    return FEATURES.index(str(name))


def _number(value: object, argument: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LARGEST:
        raise InvalidInput(f"{argument}: a number from -1e6 to 1e6 was expected, not {value!r}")
    return float(value)
