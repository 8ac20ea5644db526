"""OnnxRouter: the same choices as in pure Python, and what it says of files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from tako.effects import Call
from tako.errors import InvalidInput
from tako.routers import ModelRouter, OnnxRouter, RouterModel
from tako.testing import Simulator
from tako.training import onnx_bytes

from .kit import ROLES, choose, situation
from .test_model_router import DEEP, LINEAR, MODEL

TASKS = ("`x`", "1 + 1", "hello", "", "é" * 500)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: the extra `onnx`")
    path = tmp_path / "router.onnx"
    path.write_bytes(onnx_bytes(MODEL))
    return path


def test_it_chooses_as_the_pure_one_does_and_knows_the_labels_of_the_file(path: Path) -> None:
    shuffled = ("chat|fake:c", "code|fake:a", "math|fake:b")
    router, pure = OnnxRouter(path), ModelRouter(MODEL)
    for candidates in (ROLES, shuffled):
        for task in TASKS:
            one, other = choose(router, task, candidates), choose(pure, task, candidates)
            assert one.index == other.index
            assert one.confidence == pytest.approx(other.confidence, abs=1e-5)


def test_labels_may_be_given_and_without_any_outputs_are_places(path: Path) -> None:
    assert choose(OnnxRouter(path, labels=["chat", "code", "math"]), "`x`", ROLES).index == 2
    path.write_bytes(onnx_bytes(RouterModel((LINEAR,))))
    assert choose(OnnxRouter(str(path)), "`x`", ("a", "b", "c")).index == 0
    with pytest.raises(InvalidInput, match="could never choose 'd': it knows the first 3 candidates"):
        choose(OnnxRouter(path), "x", ("a", "b", "c", "d"))
    with pytest.raises(InvalidInput, match=r"labels are 2, and .*router\.onnx has 3 outputs"):
        choose(OnnxRouter(path, labels=["code", "math"]), "x", ("code", "math"))


def test_the_file_is_opened_at_the_first_choice_by_a_call_and_kept(path: Path) -> None:
    router, simulator = OnnxRouter(path), Simulator()
    choose(router, "x", ROLES)
    path.unlink()
    simulator.run(router.choose_flow(situation("`x`", ROLES)))
    assert [type(one.effect) for one in simulator.trace] == [Call]
    with pytest.raises(InvalidInput, match="cannot be opened"):  # another process opens its own
        choose(pickle.loads(pickle.dumps(router)), "x", ROLES)


@pytest.mark.parametrize("data", [b"", b"no model", onnx_bytes(MODEL)[:-9], onnx_bytes(MODEL)[:200]])
def test_a_file_that_is_no_model_is_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match=r"the model .*router\.onnx cannot be"):
        choose(OnnxRouter(path), "x", ROLES)


@pytest.mark.parametrize(
    "told", [b'["code","math","chat"}', b'["code","math","math"]', b'{"code":1,"math":23}']
)
def test_labels_of_a_file_that_cannot_be_read_are_never_taken_for_none(path: Path, told: bytes) -> None:
    path.write_bytes(onnx_bytes(MODEL).replace(b'["code","math","chat"]', told.ljust(22)))
    with pytest.raises(InvalidInput, match="has 'labels' among its metadata that are no JSON list"):
        choose(OnnxRouter(path), "x", ROLES)
    assert choose(OnnxRouter(path, labels=MODEL.labels), "`x`", ROLES).index == 0


def test_a_model_with_other_names_is_refused(path: Path) -> None:
    path.write_bytes(onnx_bytes(DEEP).replace(b"features", b"other_in"))
    with pytest.raises(InvalidInput, match=r"it should take features as float32\[1,16\]"):
        choose(OnnxRouter(path), "x", ("a", "b"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"path": ""}, "path should be the path of a file"),
        ({"path": None}, "path should be the path of a file, not None"),
        ({"path": "x", "labels": "code"}, "labels should be a list of names"),
        ({"path": "x", "labels": 3}, "labels should be a list of names"),
        ({"path": "x", "labels": ["a", ""]}, "labels should be names of candidates"),
        ({"path": "x", "labels": ["a", "b", "a"]}, "none there twice"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        OnnxRouter(**arguments)
