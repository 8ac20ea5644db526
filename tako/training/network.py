"""Network: two layers of numbers that learn, in plain Python.

    features -> 16 x hidden weights -> ReLU -> hidden x classes weights -> softmax

| what        | how                                                                                       |
|-------------|-------------------------------------------------------------------------------------------|
| the start   | normal draws, scaled by the root of 2 / (inputs + outputs) (Glorot and Bengio, 2010)      |
| the loss    | cross-entropy: minus the logarithm of the right class's share                             |
| a step      | the mean gradient of a batch, times the learning rate, is taken off                       |

Invariants. The same seed and the same rollouts in the same order give the same network. What is saved is
work, and nothing of what is learned: a feature that a text has not costs nothing on the way up; a hidden
unit that no text of a batch reaches is not touched by it; and one that no text of a whole epoch has reached
has not been changed by it either, so that nothing will ever reach it: it is left out from then on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import compress
from operator import add, mul
from typing import Final, NamedTuple, TypeAlias

from tako.chance import Chance
from tako.routers.features import FEATURE_DIM
from tako.routers.model import Layer, RouterModel, softmax

__all__ = ["Network", "Text"]

Floats: TypeAlias = Sequence[float]


class Text(NamedTuple):
    """The features of a text, and those of them that are not zero, with their places."""

    features: Floats
    present: list[tuple[int, float]]

    @classmethod
    def of(cls, features: Floats) -> Text:
        return cls(features, [(place, value) for place, value in enumerate(features) if value])


class Network:
    """Weights that change: of each hidden unit those of its features, and what it counts for each class."""

    __slots__ = ("_awake", "_inner", "_inner_bias", "_outer", "_outer_bias", "_reached")

    def __init__(self, hidden: int, classes: int, chance: Chance) -> None:
        inner, outer = _drawn(FEATURE_DIM, hidden, chance), _drawn(classes, hidden, chance)
        self._become(_turned(inner, hidden), _turned(outer, hidden), [0.0] * hidden, [0.0] * classes)

    @classmethod
    def of(cls, model: RouterModel) -> Network:
        """The network of a model with two layers, to go on from."""
        inner, outer = model.layers
        network = cls.__new__(cls)
        counts = _turned(outer.weights, len(inner.biases))
        network._become(list(inner.weights), counts, list(inner.biases), list(outer.biases))
        return network

    def _become(
        self, inner: list[Floats], outer: list[Floats], inner_bias: list[float], outer_bias: list[float]
    ) -> None:
        self._inner, self._inner_bias = inner, inner_bias
        self._outer, self._outer_bias = outer, outer_bias
        self._awake = list(range(len(inner)))
        """The hidden units that something may still reach."""
        self._reached: set[int] = set()
        """Those of them that something has reached in this epoch."""

    def model(self, labels: Sequence[str] = ()) -> RouterModel:
        """What it has learned; raises InvalidInput if its numbers have grown out of all bounds."""
        inner = Layer(tuple(map(tuple, self._inner)), tuple(self._inner_bias))
        outer = Layer(tuple(zip(*self._outer, strict=True)), tuple(self._outer_bias))
        return RouterModel((inner, outer), tuple(labels))

    def learn(self, batch: Sequence[Text], labels: Sequence[int], rate: float) -> float:
        """Take one step; gives the loss of the batch as it was before, summed over its texts."""
        active = self._hidden(batch)
        classes = _turned([self._outer[place] for place in self._awake], len(self._outer_bias))
        errors, loss = list[Floats](), 0.0
        for values, label in zip(active, labels, strict=True):
            shares = softmax(
                [
                    sum(map(mul, row, values)) + bias
                    for row, bias in zip(classes, self._outer_bias, strict=True)
                ]
            )
            loss -= math.log(max(shares[label], SMALLEST))
            shares[label] -= 1.0
            errors.append(shares)  # by how much the share of each class is too large
        self._step(batch, active, errors, -rate / len(batch))
        return loss

    def end_epoch(self) -> None:
        """All texts have been learned from once: what none of them has reached is left out from here on."""
        self._awake = [place for place in self._awake if place in self._reached]
        self._reached.clear()

    def _hidden(self, batch: Sequence[Text]) -> list[Floats]:
        """What each unit that is awake gives for each text."""
        columns = _turned([self._inner[place] for place in self._awake], FEATURE_DIM)
        biases = [self._inner_bias[place] for place in self._awake]
        found = list[Floats]()
        for text in batch:
            sums: Floats = biases
            for place, value in text.present:
                sums = _sum(sums, value, columns[place])
            found.append([each if each > 0 else 0.0 for each in sums])
        return found

    def _step(
        self, batch: Sequence[Text], active: Sequence[Floats], errors: Sequence[Floats], step: float
    ) -> None:
        """Move each weight by so much of what it has added to the errors."""
        features = _turned([text.features for text in batch], FEATURE_DIM)
        flags = [set(each) <= FLAG for each in features]
        of_class = _turned(errors, len(self._outer_bias))
        for place, values in zip(self._awake, zip(*active, strict=True), strict=True):
            if not any(values):
                continue
            self._reached.add(place)
            counts = self._outer[place]
            slopes = [
                sum(map(mul, counts, error)) if value else 0.0
                for value, error in zip(values, errors, strict=True)
            ]
            self._outer[place] = [
                weight + step * sum(map(mul, values, each))
                for weight, each in zip(counts, of_class, strict=True)
            ]
            self._inner[place] = [
                weight + step * sum(compress(slopes, each) if is_flag else map(mul, slopes, each))
                for weight, each, is_flag in zip(self._inner[place], features, flags, strict=True)
            ]
            self._inner_bias[place] += step * sum(slopes)
        self._outer_bias = [
            bias + step * sum(each) for bias, each in zip(self._outer_bias, of_class, strict=True)
        ]


FLAG: Final = frozenset((0.0, 1.0))
"""Most features are there or not: what comes of them is a sum of some, and not of products."""
SMALLEST: Final = 1e-300
"""What is taken for the share of a class that has none, whose logarithm would have no end."""


def _turned(rows: Sequence[Floats], width: int) -> list[Floats]:
    """The columns of rows of that width; of no rows they are empty."""
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _sum(row: Floats, factor: float, other: Floats) -> Floats:
    """The row, and so many times the other; half of all features are 1, for which there is a shorter way."""
    if factor == 1.0:
        return list(map(add, row, other))
    return [mine + factor * theirs for mine, theirs in zip(row, other)]  # noqa: B905


def _drawn(rows: int, columns: int, chance: Chance) -> list[list[float]]:
    """Weights at the start."""
    scale = math.sqrt(2 / (rows + columns))
    return [[scale * _normal(chance) for _ in range(columns)] for _ in range(rows)]


def _normal(chance: Chance) -> float:
    """A draw from the normal distribution, by the way of Box and Muller (1958)."""
    radius = math.sqrt(-2 * math.log(1 - chance.fraction()))
    return radius * math.cos(2 * math.pi * chance.fraction())
