"""Beliefs: what scores make of a prior, and what is drawn from them."""

from __future__ import annotations

from math import exp, sqrt
from statistics import fmean, median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.chance import Draws
from tako.errors import InvalidInput
from tako.orchestrators.tree_search import BetaPrior, GaussianPrior
from tests.orchestrators.tree_search.kit import parameters

numbers = st.floats(1e-3, 1e3)
PRIORS = st.builds(GaussianPrior, st.floats(-2, 2), numbers, st.floats(0.25, 1e3), numbers) | st.builds(
    BetaPrior, numbers, numbers
)


@given(prior=PRIORS, scores=st.lists(st.floats(0, 1), max_size=30))
def test_learning_one_by_one_is_learning_all_at_once(prior: Any, scores: list[float]):
    posterior = prior.posterior()
    assert posterior.parameters == pytest.approx(parameters(prior, []))
    for count, score in enumerate(scores, 1):
        posterior.observe(score)
        assert posterior.parameters == pytest.approx(parameters(prior, scores[:count]), rel=1e-9)


def test_a_gaussian_draw_is_around_the_mean_of_prior_and_scores():
    posterior, draws = GaussianPrior(m=1.0, kappa=4, nu=9, tau_square=0.01).posterior(), Draws(1, 1)
    for score in (0.0, 0.2, 0.1, 0.1):
        posterior.observe(score)
    values = sorted(posterior.draw(draws) for _ in range(4000))
    location, scale, freedom = posterior.parameters
    assert (location, freedom) == (pytest.approx(0.55), 13)
    assert fmean(values) == pytest.approx(location, abs=4 * scale * sqrt(freedom / (freedom - 2) / 4000))
    assert values[3000] - median(values) == pytest.approx(0.693829 * scale, rel=0.1)  # of Student's 13


def test_a_beta_draw_after_a_score_is_no_draw_from_before():
    posterior, draws = BetaPrior().posterior(), Draws(1, 2)
    for score in (1.0, 0.75, 0.75):
        posterior.draw(draws)
        posterior.observe(score)
    values = [1 / (1 + exp(-posterior.draw(draws))) for _ in range(3000)]
    assert fmean(values) == pytest.approx(3.0 / 4.0, abs=4 * sqrt(3 / 16 / 5 / 3000))


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        (GaussianPrior, {"m": float("nan")}, "GaussianPrior: m should be a number"),
        (GaussianPrior, {"kappa": 0}, "GaussianPrior: kappa should be from 1e-06 to 1e\\+06"),
        (GaussianPrior, {"nu": 0.2}, "GaussianPrior: nu should be from 0.25"),
        (GaussianPrior, {"tau_square": -1}, "GaussianPrior: tau_square should be from"),
        (GaussianPrior, {"m": "0"}, "GaussianPrior: m should be a number"),
        (BetaPrior, {"a": 0.0}, "BetaPrior: a should be from"),
        (BetaPrior, {"b": True}, "BetaPrior: b should be a number"),
        (BetaPrior, {"b": 1e7}, "BetaPrior: b should be from"),
    ],
)
def test_a_prior_that_cannot_be_is_refused(kind: Any, fields: dict[str, Any], words: str):
    with pytest.raises(InvalidInput, match=words):
        kind(**fields)
