"""What is believed about a source of scores: a prior, and the scores that came since.

| family   | a score is                             | the belief about its mean | a draw               |
|----------|----------------------------------------|---------------------------|----------------------|
| gaussian | normal, of unknown mean and variance   | normal-inverse-gamma      | a mean               |
| beta     | a share of a success and of a failure  | beta                      | the log odds of one  |

A posterior is told scores one by one (`observe`) and keeps what suffices: their number, their mean and
their squared distance from it (Welford, 1962), or the two counts. So a score costs the same however many
were before it. With the variance unknown, the mean of a normal-inverse-gamma is a Student's variable,
which is drawn at once and not by way of a variance (Murphy, Probabilistic Machine Learning: Advanced
Topics, 3.4.3).

Draws are there to be compared with draws of the same family, and for nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Final, Literal, TypeAlias

from tako.chance import BetaShape, Draws
from tako.errors import InvalidInput

__all__ = ["BetaPosterior", "BetaPrior", "Family", "GaussianPosterior", "GaussianPrior", "Posterior", "Prior"]

Family: TypeAlias = Literal["gaussian", "beta"]

LEAST: Final = 1e-6
MOST: Final = 1e6
"""Weights and variances outside of this would be lost in, or drown, any number of scores from 0 to 1."""
LEAST_FREEDOM: Final = 0.25
"""Below, the draws are too large for a float."""


@dataclass(frozen=True, slots=True)
class GaussianPrior:
    """A normal-inverse-gamma prior; raises InvalidInput for what is out of range."""

    m: float = 0.0
    """The mean that is expected,"""
    kappa: float = 1.0
    """and how many scores this expectation is worth."""
    nu: float = 1.0
    """How many scores the expected variance is worth,"""
    tau_square: float = 0.1
    """and what it is."""

    def __post_init__(self) -> None:
        _require(self, "m", -MOST)
        _require(self, "kappa", LEAST)
        _require(self, "nu", LEAST_FREEDOM)
        _require(self, "tau_square", LEAST)

    def posterior(self) -> GaussianPosterior:
        """The belief before the first score."""
        return GaussianPosterior(self)


@dataclass(frozen=True, slots=True)
class BetaPrior:
    """A beta prior, Jeffreys' unless told otherwise; raises InvalidInput for what is out of range."""

    a: float = 0.5
    """How many successes were seen before the first score,"""
    b: float = 0.5
    """and how many failures."""

    def __post_init__(self) -> None:
        _require(self, "a", LEAST)
        _require(self, "b", LEAST)

    def posterior(self) -> BetaPosterior:
        """The belief before the first score."""
        return BetaPosterior(self)


Prior: TypeAlias = GaussianPrior | BetaPrior


class GaussianPosterior:
    """The mean of normal scores, of which neither mean nor variance is known."""

    __slots__ = ("_count", "_freedom", "_location", "_mean", "_prior", "_scale", "_squares")

    def __init__(self, prior: GaussianPrior) -> None:
        self._prior = prior
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0
        """The sum of the squared distances from the mean."""
        self._location = prior.m
        self._scale = sqrt(prior.tau_square / prior.kappa)
        self._freedom = prior.nu

    def observe(self, score: float) -> None:
        """Learn one more score, in a time that does not depend on how many there were."""
        prior = self._prior
        self._count = count = self._count + 1
        step = score - self._mean
        self._mean = mean = self._mean + step / count
        self._squares += step * (score - mean)
        kappa = prior.kappa + count
        surprise = mean - prior.m
        squares = (
            prior.nu * prior.tau_square + self._squares + prior.kappa * count / kappa * surprise * surprise
        )
        self._location = (prior.kappa * prior.m + count * mean) / kappa
        self._freedom = freedom = prior.nu + count
        self._scale = sqrt(squares / (freedom * kappa))

    def draw(self, draws: Draws) -> float:
        """A mean that may be the true one, as often as is believed."""
        return self._location + self._scale * draws.student(self._freedom)

    @property
    def parameters(self) -> tuple[float, float, float]:
        """Location, scale and degrees of freedom of the Student's variable that the mean is."""
        return self._location, self._scale, self._freedom


class BetaPosterior:
    """The rate of success, where a score counts as a share of a success."""

    __slots__ = ("_a", "_b", "_shape")

    def __init__(self, prior: BetaPrior) -> None:
        self._a = prior.a
        self._b = prior.b
        self._shape: BetaShape | None = None
        """Made for the first draw after a score: most beliefs are told more often than asked."""

    def observe(self, score: float) -> None:
        """Learn one more score."""
        self._a += score
        self._b += 1.0 - score
        self._shape = None

    def draw(self, draws: Draws) -> float:
        """The log odds of a rate that may be the true one, as often as is believed."""
        shape = self._shape
        if shape is None:
            self._shape = shape = BetaShape.of(self._a, self._b)
        return draws.log_odds(shape)

    @property
    def parameters(self) -> tuple[float, float]:
        """Successes and failures, those of the prior included."""
        return self._a, self._b


Posterior: TypeAlias = GaussianPosterior | BetaPosterior


def _require(prior: Prior, name: str, least: float) -> None:
    """Keep the field as a float, if it is a number in its range; raises InvalidInput."""
    value, kind = getattr(prior, name), type(prior).__name__
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise InvalidInput(f"{kind}: {name} should be a number, not {value!r}")
    if not least <= value <= MOST:
        raise InvalidInput(f"{kind}: {name} should be from {least:g} to {MOST:g}, not {value!r}")
    object.__setattr__(prior, name, float(value))  # so that 1 and 1.0 are written alike
