"""The sixteen features, each by values made by hand, and the router that weighs them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.errors import InvalidInput
from tako.routers import FEATURE_DIM, FEATURES, FeatureRouter, featurise_text

from ..effort import examples
from .kit import ROLES, choose


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("size", "", 0.0),
        ("size", "123456789", 1.0),
        ("size", "é" * 4 + "x", 1.0),  # bytes, not characters
        ("size", "\ud800" * 3, 1.0),  # what no encoder takes has a size too
        ("words", "", 0.0),
        ("words", " a  b\tc\n", 0.03),
        ("words", "w " * 250, 1.0),
        ("question", "who?", 1.0),
        ("question", "who", 0.0),
        ("backtick", "a `b`", 1.0),
        ("backtick", "a 'b'", 0.0),
        ("code_words", "DEF f", 1.0),
        ("code_words", "I defer", 0.0),
        ("code_words", "a const x", 1.0),
        ("symbols", "1*2", 1.0),
        ("symbols", "∫", 1.0),
        ("symbols", "and/or", 1.0),
        ("symbols", "1-2", 0.0),
        ("digits", "a1b2", 0.5),
        ("digits", "", 0.0),
        ("digits", "١", 0.0),  # of ASCII alone
        ("capitals", "AbcD", 0.5),
        ("capitals", "É", 0.0),
        ("says_code", "deCODE", 1.0),
        ("says_code", "cod", 0.0),
        ("says_math", "MATHS", 1.0),
        ("says_math", "resolve", 1.0),
        ("says_math", "sum", 0.0),
        ("says_explain", "Explain", 1.0),
        ("says_explain", "described", 1.0),
        ("says_explain", "tell", 0.0),
        ("says_verify", "verify", 1.0),
        ("says_verify", "checked", 1.0),
        ("says_verify", "improve", 1.0),
        ("says_verify", "test", 0.0),
        ("lines", "a\nb\nc", 0.1),
        ("lines", "\n" * 30, 1.0),
        ("punctuation", ".,;:!abcde", 0.5),
        ("punctuation", "?-", 0.0),
        ("brackets", "f(x)", 1.0),
        ("brackets", ")(", 1.0),
        ("brackets", "f(x", 0.0),
        ("brackets", "none", 0.0),
        ("bias", "", 1.0),
    ],
)
def test_each_feature(name: str, text: str, value: float) -> None:
    assert featurise_text(text)[FEATURES.index(name)] == pytest.approx(value, abs=1e-12)


def test_all_of_a_text_at_once() -> None:
    text = "Check `f(1)`:\nwhy 2?"
    n = len(text)
    expected = [
        math.log10(1 + n), 0.04, 1, 1, 0, 0, 2 / n, 1 / n, 0, 0, 0, 1, 0.05, 1 / n, 1, 1,
    ]  # fmt: skip
    assert featurise_text(text) == pytest.approx(expected)
    assert FEATURE_DIM == len(FEATURES) == len(expected) == 16


@settings(max_examples=examples(0.5))
@given(st.text(st.characters(codec=None), max_size=60))
def test_any_text_has_features_that_are_finite_and_small(text: str) -> None:
    features = featurise_text(text)
    assert len(features) == FEATURE_DIM
    assert all(0 <= value <= 1 for value in features[1:]) and 0 <= features[0] < 3
    n = len(text.encode("utf-8", "surrogatepass"))
    digits = sum(letter in "0123456789" for letter in text)
    assert features[6] == pytest.approx(digits / n if n else 0)


def test_weights_choose_whom_most_speaks_for() -> None:
    router = FeatureRouter(
        weights={"code": {"backtick": 2, "says_code": 1}, 1: {"symbols": 1.5}, "chat|fake:c": {"bias": 0.5}}
    )
    places = {"`x` + 1": 0, "1 + 1": 1, "hello": 2, "my code": 0}
    assert {task: choose(router, task, ROLES).index for task in places} == places
    powers = [math.exp(value) for value in (2, 1.5, 0.5)]
    assert choose(router, "`x` + 1", ROLES).confidence == pytest.approx(powers[0] / sum(powers))
    assert choose(FeatureRouter(weights={2: {}, 0: {}}), "x").index == 2  # the first of equals


def test_thresholds_choose_the_first_that_is_reached() -> None:
    router = FeatureRouter(thresholds=[("backtick", 1, "code"), ("words", 0.03, 1)], default="chat")
    found = [choose(router, task, ROLES) for task in ("`a` b c", "a b c", "a b")]
    assert [one.index for one in found] == [0, 1, 2]
    assert [one.confidence for one in found] == [1, 1, 0.5]
    assert found[1].reason == "words is 0.03"
    assert choose(FeatureRouter(thresholds=[("bias", 2, 1)]), "x").index == 0


def test_a_slip_of_the_pen_is_found_at_the_first_choice() -> None:
    for router in (
        FeatureRouter(weights={"code": {"bias": 1}, "nobody": {}}),
        FeatureRouter(thresholds=[("bias", 1, "code"), ("bias", 1, "nobody")]),
        FeatureRouter(thresholds=[("bias", 1, "code")], default="nobody"),
    ):
        with pytest.raises(InvalidInput, match="'nobody', which is no candidate"):
            choose(router, "x")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "weights or thresholds, and not both"),
        ({"weights": {0: {}}, "thresholds": []}, "weights or thresholds, and not both"),
        ({"weights": {0: {}}, "default": 1}, "default goes with thresholds"),
        ({"weights": {}}, "weights should give each candidate"),
        ({"weights": [0]}, "weights should give each candidate"),
        ({"weights": {0: [1]}}, r"weights\[0\] should give features their weights, not list"),
        ({"weights": {-1: {}}}, "what weights are for"),
        ({"weights": {"a": {"sise": 1}}}, r"weights\['a'\]: 'sise' is no feature; there are size, words"),
        ({"weights": {"a": {"size": True}}}, "a number from -1e6 to 1e6 was expected, not True"),
        ({"weights": {"a": {"size": math.nan}}}, "not nan"),
        ({"thresholds": "size"}, "thresholds should be a list"),
        ({"thresholds": []}, "thresholds should be a list"),
        ({"thresholds": [("size", 1)]}, r"thresholds\[0\] should be \(feature"),
        ({"thresholds": [(["size"], 1, 0)]}, "is no feature"),
        ({"thresholds": [("size", "1", 0)]}, "not '1'"),
        ({"thresholds": [("size", 1, None)]}, r"thresholds\[0\]\[2\]"),
        ({"thresholds": [("size", 1, 0)], "default": 0.5}, "FeatureRouter: default"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        FeatureRouter(**arguments)
