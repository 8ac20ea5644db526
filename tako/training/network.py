"""Network: two layers of numbers that learn, in plain Python.

    features -> 16 x hidden weights -> ReLU -> hidden x classes weights -> softmax

| what        | how                                                                                       |
|-------------|-------------------------------------------------------------------------------------------|
| the start   | normal draws, scaled by the root of 2 / (inputs + outputs) (Glorot and Bengio, 2010)      |
| the loss    | cross-entropy: minus the logarithm of the right class's share                             |
| a step      | the mean gradient of a batch, times the learning rate, is taken off                       |

Invariants. The same seed and the same rollouts in the same order give the same network. Texts are sparse:
most of their features are zero, and cost nothing. What is left is done to whole columns of weights, because
a list comprehension over two lists is about the fastest thing that Python does with numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import add, mul
from typing import Final, TypeAlias

from tako.chance import Chance
from tako.routers.features import FEATURE_DIM
from tako.routers.model import Layer, RouterModel, softmax

__all__ = ["Network"]

Row = list[float]
Sparse: TypeAlias = list[tuple[int, float]]


def sparse(features: Sequence[float]) -> Sparse:
    """The features that are not zero, with their places."""
    return [(place, value) for place, value in enumerate(features) if value]


class Network:
    """Weights that change: of each feature a column for the hidden units, of each class a row of them."""

    __slots__ = ("_inner", "_inner_bias", "_outer", "_outer_bias")

    def __init__(self, hidden: int, classes: int, chance: Chance) -> None:
        self._inner = _drawn(FEATURE_DIM, hidden, chance)
        self._outer = _drawn(classes, hidden, chance)
        self._inner_bias = [0.0] * hidden
        self._outer_bias = [0.0] * classes

    @classmethod
    def of(cls, model: RouterModel) -> Network:
        """The network of a model with two layers, to go on from."""
        network = cls.__new__(cls)
        inner, outer = model.layers
        network._inner = [list(column) for column in zip(*inner.weights, strict=True)]
        network._outer = [list(row) for row in outer.weights]
        network._inner_bias, network._outer_bias = list(inner.biases), list(outer.biases)
        return network

    def model(self, labels: Sequence[str] = ()) -> RouterModel:
        """What it has learned; raises InvalidInput if its numbers have grown out of all bounds."""
        inner = Layer(tuple(zip(*self._inner, strict=True)), tuple(self._inner_bias))
        outer = Layer(tuple(map(tuple, self._outer)), tuple(self._outer_bias))
        return RouterModel((inner, outer), tuple(labels))

    def learn(self, batch: Sequence[Sparse], labels: Sequence[int], rate: float) -> float:
        """Take one step; gives the loss of the batch as it was before, summed over its texts."""
        hidden, loss = len(self._inner_bias), 0.0
        inner = [[0.0] * hidden for _ in self._inner]
        outer = [[0.0] * hidden for _ in self._outer]
        inner_bias, outer_bias = [0.0] * hidden, [0.0] * len(outer)
        for features, label in zip(batch, labels, strict=True):
            active = self._hidden(features)
            errors = self._shares(active)
            loss -= math.log(max(errors[label], SMALLEST))
            errors[label] -= 1.0  # by how much the share of each class is too large
            slopes = [0.0] * hidden
            for place, error in enumerate(errors):
                outer[place] = _sum(outer[place], error, active)
                slopes = _sum(slopes, error, self._outer[place])
            slopes = [slope if value else 0.0 for slope, value in zip(slopes, active, strict=True)]
            for place, value in features:
                inner[place] = _sum(inner[place], value, slopes)
            inner_bias = _sum(inner_bias, 1.0, slopes)
            outer_bias = _sum(outer_bias, 1.0, errors)
        step = -rate / len(batch)
        self._inner = [_sum(row, step, change) for row, change in zip(self._inner, inner, strict=True)]
        self._outer = [_sum(row, step, change) for row, change in zip(self._outer, outer, strict=True)]
        self._inner_bias = _sum(self._inner_bias, step, inner_bias)
        self._outer_bias = _sum(self._outer_bias, step, outer_bias)
        return loss

    def _hidden(self, features: Sparse) -> Row:
        """What each hidden unit gives for a text."""
        sums = self._inner_bias
        for place, value in features:
            sums = _sum(sums, value, self._inner[place])
        return [each if each > 0 else 0.0 for each in sums]

    def _shares(self, active: Row) -> Row:
        rows = zip(self._outer, self._outer_bias, strict=True)
        return softmax([sum(map(mul, row, active)) + bias for row, bias in rows])


def _sum(row: Row, factor: float, other: Row) -> Row:
    """The row, and so many times the other; half of all features are 1, for which there is a shorter way."""
    if factor == 1.0:
        return list(map(add, row, other))
    return [mine + factor * theirs for mine, theirs in zip(row, other)]  # noqa: B905 - the hot path


SMALLEST: Final = 1e-300
"""What is taken for the share of a class that has none, whose logarithm would have no end."""


def _drawn(rows: int, columns: int, chance: Chance) -> list[Row]:
    """Weights at the start."""
    scale = math.sqrt(2 / (rows + columns))
    return [[scale * _normal(chance) for _ in range(columns)] for _ in range(rows)]


def _normal(chance: Chance) -> float:
    """A draw from the normal distribution, by the way of Box and Muller (1958)."""
    radius = math.sqrt(-2 * math.log(1 - chance.fraction()))
    return radius * math.cos(2 * math.pi * chance.fraction())
