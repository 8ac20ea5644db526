"""Chance and Draws: numbers that follow from their seed, and from the distribution that they should."""

from __future__ import annotations

from itertools import islice
from math import asin, exp, isfinite, pi, sqrt
from statistics import fmean, pvariance

import pytest

from tako.chance import BetaShape, Chance, Draws

MANY = 2500
PINNED_CHANCE = [524, 739]
PINNED_FRACTIONS = [0.5925464217890717, 0.745491683132655, 0.1839705450236251]


def share(values: list[float], limit: float) -> float:
    return sum(value <= limit for value in values) / len(values)


def margin(probability: float) -> float:
    """Four standard deviations of a share among MANY; the seeds are fixed, so a test that passes stays so."""
    return 4 * sqrt(probability * (1 - probability) / MANY)


def probability_of(log_odds: float) -> float:
    return 1 / (1 + exp(-log_odds)) if log_odds > -700 else 0.0


def test_the_numbers_of_a_seed_are_the_same_for_ever():
    """A dumped search holds a counter alone: with other numbers it would go on to another tree."""
    assert [Chance(7).below(1000), Chance(7, stream=1).below(1000)] == PINNED_CHANCE
    assert list(islice(iter(Draws(7, 1).fraction, None), 3)) == PINNED_FRACTIONS


def test_occasions_differ_by_seed_and_by_number_and_by_nothing_else():
    first = {(seed, number): Draws(seed, number).fraction() for seed in range(8) for number in range(8)}
    assert len(set(first.values())) == 64
    assert all(Draws(*key).fraction() == value for key, value in first.items())
    assert Draws(2**64 - 1, 2**64 - 1).fraction() != Draws(2**64 - 1, 0).fraction()


def test_fractions_are_even_and_never_zero_and_do_not_repeat():
    fraction = Draws(1, 1).fraction
    values = [fraction() for _ in range(MANY)]
    assert all(0 < value <= 1 for value in values)
    assert len(set(values)) == MANY  # no block is given twice
    assert fmean(values) == pytest.approx(1 / 2, abs=4 * sqrt(1 / 12 / MANY))
    assert pvariance(values) == pytest.approx(1 / 12, rel=0.05)
    assert all(
        share(values, limit / 8) == pytest.approx(limit / 8, abs=margin(limit / 8)) for limit in range(1, 8)
    )


@pytest.mark.parametrize(
    ("freedom", "limit", "probability"),
    [
        (1.0, 1.0, 0.75),  # Cauchy's
        (1.0, -3.0, 0.1024164),
        (2.0, 1.0, 0.5 + 1 / (2 * sqrt(3))),
        (2.0, -2.0, 0.5 - 1 / sqrt(6)),
        (5.0, 0.7266868, 0.75),
        (10.0, 1.812461, 0.95),
        (10.0, -0.699812, 0.25),
        (1e6, 0.674490, 0.75),  # as good as normal
        (1e6, -1.281552, 0.1),
    ],
)
def test_a_students_draw_is_one(freedom: float, limit: float, probability: float):
    draws = Draws(11, round(10 * freedom))
    values = [draws.student(freedom) for _ in range(MANY)]
    assert share(values, limit) == pytest.approx(probability, abs=margin(probability))


@pytest.mark.parametrize(
    ("a", "b"), [(0.5, 0.5), (1.0, 1.0), (0.9, 1.1), (1.5, 0.5), (0.5, 20.0), (3.0, 4.0), (40.0, 9.5)]
)
def test_the_moments_of_a_beta_draw(a: float, b: float):
    draws, shape = Draws(12, round(100 * a + b)), BetaShape.of(a, b)
    values = [probability_of(draws.log_odds(shape)) for _ in range(MANY)]
    mean, variance = a / (a + b), a * b / (a + b) ** 2 / (a + b + 1)
    assert fmean(values) == pytest.approx(mean, abs=4 * sqrt(variance / MANY))
    assert pvariance(values) == pytest.approx(variance, rel=0.12)


def test_jeffreys_draw_has_the_arcsine_distribution():
    draws, shape = Draws(13, 1), BetaShape.of(0.5, 0.5)
    values = [probability_of(draws.log_odds(shape)) for _ in range(MANY)]
    for limit in (0.01, 0.1, 0.3, 0.5, 0.9):
        probability = 2 / pi * asin(sqrt(limit))
        assert share(values, limit) == pytest.approx(probability, abs=margin(probability))


def test_the_draws_of_extreme_shapes_are_finite_and_can_be_told_apart():
    """A beta draw of a tiny shape is 0 or 1 as a float, and two of them could not be compared."""
    draws = Draws(14, 1)
    assert all(isfinite(draws.student(freedom)) for freedom in (0.25, 1e6) for _ in range(500))
    for a, b in ((1e-6, 1e-6), (1e6, 1e-6), (1e-6, 1e6), (1e6, 1e6), (1e9, 1.0), (1e-3, 0.5)):
        values = [draws.log_odds(BetaShape.of(a, b)) for _ in range(100)]
        assert all(map(isfinite, values))
        assert len(set(values)) == 100
