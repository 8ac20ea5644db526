"""The model as a value, its file, and the router that chooses by it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json, to_json

from tako.effects import Call
from tako.errors import InvalidInput, TakoError
from tako.routers import FEATURES, ModelRouter, RouterModel, featurise_text
from tako.routers.model import Layer
from tako.testing import Playbook, Simulator

from ..effort import examples
from .kit import ROLES, choose, situation


def rows(*places: dict[str, float]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row.get(name, 0.0) for name in FEATURES) for row in places)


LINEAR = Layer(rows({"backtick": 3}, {"symbols": 2}, {"bias": 1}), (0.0, 0.0, 0.0))
MODEL = RouterModel((LINEAR,), ("code", "math", "chat"))
DEEP = RouterModel(
    (Layer(rows({"size": -1}, {"bias": 2}), (0.5, 0.0)), Layer(((5.0, 1.0), (0.0, 3.0)), (0.0, -1.0)))
)


def data(**changes: Any) -> dict[str, Any]:
    return {**from_json(MODEL.dumps()), **changes}


def layer(**changes: Any) -> dict[str, Any]:
    return data(layers=[{**data()["layers"][0], **changes}])


def test_a_network_by_hand() -> None:
    features = featurise_text("123456789")  # size 1, so -1 + 0.5 is cut off by ReLU, and 2 goes on
    assert DEEP.logits(features) == pytest.approx([2.0, 5.0])
    assert DEEP.probabilities(features) == pytest.approx([1 / (1 + math.e**3), 1 / (1 + math.e**-3)])
    assert DEEP.logits(featurise_text("")) == pytest.approx([4.5, 5.0])
    with pytest.raises(InvalidInput, match="features should be 16 numbers, not 2"):
        DEEP.logits([1, 2])
    for wrong in ([math.nan] * 16, [1e308] * 16, "a" * 16, [True] * 16):
        with pytest.raises(InvalidInput, match="features should be numbers from -1e6 to 1e6"):
            DEEP.logits(wrong)  # type: ignore[arg-type]


@settings(max_examples=examples(0.5))
@given(
    st.integers(1, 4).flatmap(
        lambda size: st.tuples(
            st.lists(st.lists(st.floats(-1e6, 1e6), min_size=16, max_size=16), min_size=size, max_size=size),
            st.lists(st.floats(-1e6, 1e6), min_size=size, max_size=size),
            st.sampled_from([(), tuple("abcd"[:size])]),
        )
    )
)
def test_a_model_comes_back_from_its_text_as_it_was(parts: Any) -> None:
    weights, biases, labels = parts
    model = RouterModel((Layer(tuple(map(tuple, weights)), tuple(biases)),), labels)
    assert RouterModel.loads(model.dumps()) == RouterModel.loads(model.dumps().encode()) == model
    assert sum(model.probabilities(featurise_text("any `text` of 3"))) == pytest.approx(1)


def test_the_largest_model_there_is_gives_numbers() -> None:
    deep = [Layer(tuple([(1e6,) * 16] * 3), (1e6,) * 3)] + [Layer(tuple([(1e6,) * 3] * 3), (1e6,) * 3)] * 15
    assert all(map(math.isfinite, RouterModel(tuple(deep)).probabilities(featurise_text("A1 " * 1000))))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], 'whose "kind" is "tako-router"'),
        (data(kind="other"), 'whose "kind"'),
        (data(version=2), "version should be 1"),
        (data(version=True), "version should be 1"),
        (data(layers=[]), "layers should be 1 to 16, not 0"),
        (data(layers=data()["layers"] * 17), "layers should be 1 to 16, not 17"),
        (data(layers={}), "layers should be a list"),
        (data(layers=[1]), r"layers\[0\] should be an object"),
        (data(labels=0), "labels a list or null"),
        (data(labels={}), "labels a list or null"),
        (data(labels=["a", "b"]), "labels are 2, and the last layer has 3 outputs"),
        (data(labels=["a", "b", "a"]), "labels has a name twice"),
        (data(labels=["a", "b", 3]), "labels should be names"),
        (data(labels=["a", "b", ["c"]]), "labels should be names"),
        (data(labels=["a", "b", ""]), "labels should be names"),
        (layer(weights=None), "weights should be a list of rows"),
        (layer(weights=[1, 2, 3]), "weights should be a list of rows"),
        (layer(weights=[[0] * 16] * 2), "2 rows of weights and 3 biases"),
        (layer(weights=[[0] * 16, [0] * 15, [0] * 16]), r"weights\[1\] should have 16 numbers, not 15"),
        (layer(weights=[[0] * 16] * 2 + [[0] * 15 + ["1"]]), r"weights\[2\] should hold numbers"),
        (layer(weights=[[0] * 16] * 2 + [[0] * 15 + [2e6]]), r"weights\[2\] should hold numbers"),
        (layer(biases=[0, 0, True]), "biases should hold numbers"),
        (layer(biases=[0, 0, 10**400]), "biases should hold numbers"),
        (layer(biases=7), "biases should be a list"),
        (layer(weights=[], biases=[]), r"1 to 4096 outputs, not 0"),
    ],
)
def test_a_text_that_is_no_model_is_refused_with_words(value: Any, words: str) -> None:
    text = to_json(value) if not isinstance(value, dict) else _dumped(value)
    with pytest.raises(InvalidInput, match=words):
        RouterModel.loads(text)


def _dumped(value: dict[str, Any]) -> str:
    import json

    return json.dumps(value)


@pytest.mark.parametrize(
    "text", [b"", "{", b"\xff", "[" * 5000, "1" * 5000, '{"kind":"tako-router","version":1,"layers":[NaN]}']
)
def test_what_is_no_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidInput, match="no model of a router"):
        RouterModel.loads(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["weights", "biases"]), inner)
        ),
        max_leaves=6,
    ),
    st.sampled_from(["layers", "labels", "version", "kind", "layer", "weights", "biases"]),
)
def test_any_other_value_is_a_model_or_invalid_input(value: Any, where: str) -> None:
    changed = {
        "layer": lambda: data(layers=[value]),
        "weights": lambda: layer(weights=value),
        "biases": lambda: layer(biases=value),
    }.get(where, lambda: data(**{where: value}))()
    try:
        model = RouterModel.loads(_dumped(changed))
    except InvalidInput:
        return
    assert all(map(math.isfinite, model.logits(featurise_text("x"))))


@pytest.mark.parametrize("number", [math.nan, math.inf, 1e7, -1e7])
def test_a_model_that_is_made_by_hand_is_checked_as_well(number: float) -> None:
    with pytest.raises(InvalidInput, match=r"layers\[0\]: weights\[0\] should hold numbers"):
        RouterModel((Layer(((number,) * 16,), (0.0,)),))
    with pytest.raises(InvalidInput, match=r"layers\[0\]: biases should hold numbers"):
        RouterModel((Layer(((0.0,) * 16,), (number,)),))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((None,), "layers should be a list, not NoneType"),
        ((3,), "layers should be a list, not int"),
        (([3],), r"layers\[0\] should be a Layer, not int"),
        (([LINEAR], "abc"), "labels should be a list, not str"),
        (([LINEAR], ["a", "b", "\ud800"]), "labels should be names"),  # which no file could hold
        (([Layer((("1",) * 16,), (0.0,))],), "should hold numbers"),  # type: ignore[arg-type]
    ],
)
def test_a_model_of_anything_else_is_refused(arguments: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        RouterModel(*arguments)


def test_lists_do_as_well_and_the_model_is_a_value_all_the_same() -> None:
    assert hash(RouterModel([LINEAR], ["code", "math", "chat"])) == hash(MODEL)  # type: ignore[arg-type]


def test_a_row_that_is_far_too_long_is_refused_before_its_numbers_are_read() -> None:
    with pytest.raises(InvalidInput, match=r"weights\[0\] should have 16 numbers, not 5000"):
        RouterModel.loads(_dumped(layer(weights=[["x"] * 5000] * 3)))


def test_the_likeliest_candidate_is_chosen_by_its_label_wherever_it_stands() -> None:
    router = ModelRouter(MODEL)
    shuffled = ("chat|fake:c", "code|fake:a", "math|fake:b")
    places = {"`x`": 1, "1 + 1": 2, "hello": 0}
    assert {task: choose(router, task, shuffled).index for task in places} == places
    decision = choose(router, "`x`", shuffled)
    powers = [math.exp(value) for value in (3, 0, 1)]
    assert decision.confidence == pytest.approx(powers[0] / sum(powers))


def test_without_labels_outputs_are_places_and_those_beyond_the_candidates_are_left_out() -> None:
    router = ModelRouter(RouterModel((LINEAR,)))
    assert [choose(router, task).index for task in ("`x`", "1 + 1", "hello")] == [0, 1, 2]
    decision = choose(router, "hello", ("a", "b"))
    assert (decision.index, decision.confidence) == (0, 0.5)
    assert choose(ModelRouter(MODEL), "hello", ("math", "code")).index == 1  # the first output of equals


def test_a_candidate_that_could_never_be_chosen_is_an_error() -> None:
    """The original left surplus candidates out without a word (reference 2.8, 3)."""
    four = ("a", "b", "c", "d")
    with pytest.raises(InvalidInput, match="could never choose 'd': it knows the first 3 candidates alone"):
        choose(ModelRouter(RouterModel((LINEAR,))), "x", four)
    with pytest.raises(
        InvalidInput, match="could never choose 'poet': it knows 'code', 'math', 'chat' alone"
    ):
        choose(ModelRouter(MODEL), "x", (*ROLES, "poet"))


def test_a_file_is_read_at_the_first_choice_by_a_call_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "router.json"
    router = ModelRouter(path)
    with pytest.raises(InvalidInput, match=r"router\.json cannot be read: No such file"):
        choose(router, "`x`", ROLES)
    path.write_text(MODEL.dumps())
    assert choose(router, "`x`", ROLES).index == 0
    path.unlink()
    simulator = Simulator()
    for _ in range(2):  # the same effects, whether the file was read or not
        assert simulator.run(router.choose_flow(situation("1 + 1", ROLES))).index == 1
        assert [type(one.effect) for one in simulator.trace] == [Call]
    Playbook(router.choose_flow(situation("1 + 1"))).expect(Call, reply=MODEL).returns(
        Simulator()
        .run(ModelRouter(MODEL).choose_flow(situation("1 + 1")))
        .model_copy(update={"reason": "the likeliest"})
    )


def test_what_is_wrong_with_a_file_is_said_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "router.json"
    path.write_bytes(b"{}")
    with pytest.raises(InvalidInput, match=r"router\.json cannot be used: this is no model"):
        choose(ModelRouter(str(path)), "x")
    with pytest.raises(InvalidInput, match="cannot be read"):
        choose(ModelRouter(tmp_path), "x")
    for value in ("", None, 3, b"router.json", "a\0b"):
        with pytest.raises(TakoError, match="path should be the path of a file"):
            ModelRouter(value)  # type: ignore[arg-type]
