"""Function and verifier_of: what may be called, with what, and what may come of it."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import InvalidInput, TakoError, ToolError
from tako.models import Usage
from tako.verifiers import Candidate, Function, RuleBased, Score, Verifier, verifier_of
from tests.verifiers.kit import TASK, score, value


def of_text(text: str) -> float:
    return len(text) / 10


def of_both(task: str, text: str) -> tuple[bool, str]:
    return task == TASK, f"{task}|{text}"


async def of_candidate(candidate: Candidate) -> float:
    return 1.0 if isinstance(candidate, Candidate) and candidate.text == "abc" else 0.0


class Strict:
    """An object that can be called."""

    def __call__(self, task: str, text: str) -> bool:
        return task in text

    async def later(self, text: str) -> float:
        return 0.25


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (of_text, 0.3),
        (of_both, 1.0),
        (of_candidate, 1.0),
        (Strict(), 0.0),
        (Strict().later, 0.25),
        (lambda text, least=6: len(text) / least, 0.5),
        (lambda task="", text="": float(text == "abc"), 1.0),
        (lambda *both: float(both == (TASK, "abc")), 1.0),
        (lambda text, *more: float(not more), 1.0),
        (lambda text="": float(text == "abc"), 1.0),
        (partial(of_both, TASK), 1.0),
    ],
)
def test_a_function_is_given_what_it_takes(function: Any, expected: float) -> None:
    assert value(verifier_of(function), "abc") == expected


def test_a_function_whose_signature_nobody_knows_gets_the_text() -> None:
    class Hidden:
        __signature__ = "nothing that could be read"

        def __call__(self, text: str) -> float:
            return float(text == "abc")

    assert value(verifier_of(Hidden()), "abc") == 1.0


def test_reasons_and_whole_scores_come_through() -> None:
    assert score(Function(of_both), "abc").reason == f"{TASK}|abc"
    whole = Score(value=0.5, reason="so", usage=Usage(input_tokens=3), cost_usd=0.1)
    assert score(Function(lambda text: whole), "abc") == whole


@pytest.mark.parametrize("number", [True, 1, 1.0, Fraction(1), Decimal(1)])
def test_every_kind_of_number_is_one(number: Any) -> None:
    assert value(Function(lambda text: number), "") == 1.0


class Several:
    """As an array of two: it looks like a number and is none."""

    def __float__(self) -> float:
        raise TypeError("only arrays of length 1")


@pytest.mark.parametrize(
    "given_value",
    [1.01, -0.01, 2, math.nan, math.inf, 10**400, None, "0.5", [0.5], (0.5, 1), (2, "two"), Several(), 1j],
)
def test_what_is_no_score_is_an_error_that_says_so(given_value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"the verifier <lambda> gave .*from 0 to 1"):
        score(Function(lambda text: given_value), "abc")


@given(st.floats())
def test_a_number_is_the_score_or_an_error_and_never_bent(number: float) -> None:
    if 0 <= number <= 1:
        assert value(Function(lambda text: number), "") == number
    else:
        with pytest.raises(InvalidInput):
            score(Function(lambda text: number), "")


def test_what_a_function_raises_is_a_tako_error_with_its_cause() -> None:
    with pytest.raises(TakoError, match="the verifier <lambda> raised ZeroDivisionError") as caught:
        score(Function(lambda text: 1 / 0), "abc")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_tako_error_of_a_function_goes_through() -> None:
    error = ToolError("no compiler here")

    def fails(text: str) -> float:
        raise error

    with pytest.raises(ToolError) as caught:
        score(Function(fails), "abc")
    assert caught.value is error


def test_functions_are_asked_under_every_kind_of_driver() -> None:
    verifier = verifier_of(of_candidate)
    assert verifier.score_sync("task", "abc").value == 1.0

    async def ask() -> Score:
        return await verifier.score("task", "abc")

    assert trio.run(ask).value == 1.0


def test_a_verifier_is_itself() -> None:
    rules = RuleBased(min_chars=3)
    assert verifier_of(rules) is rules
    assert isinstance(verifier_of(of_text), Verifier)


@pytest.mark.parametrize("wrong", [None, 0.5, "judge", object()])
def test_what_is_no_verifier_is_refused_by_its_argument(wrong: object) -> None:
    with pytest.raises(
        InvalidInput, match=r"^confidence must be a tako\.verifiers\..* function of"
    ) as caught:
        verifier_of(wrong, "confidence")
    assert isinstance(caught.value, TypeError)  # as in the original
    assert type(wrong).__name__ in str(caught.value)


def test_a_class_of_verifiers_is_not_taken_for_a_function() -> None:
    with pytest.raises(InvalidInput, match=r"^verifier should be a verifier and not its class.*RuleBased\("):
        verifier_of(RuleBased)


@pytest.mark.parametrize("function", [lambda: 1, lambda a, b, c: 1, lambda a, *, key: 1])
def test_a_function_that_takes_something_else_is_refused(function: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^guard: Function: function should take"):
        verifier_of(function, "guard")
    with pytest.raises(InvalidInput, match=r"^Function: function should be callable"):
        Function(3)  # type: ignore[arg-type]
