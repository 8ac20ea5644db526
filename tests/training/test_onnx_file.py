"""The ONNX file, as the official library reads it."""

from __future__ import annotations

from typing import Any

import pytest

from tako.routers import RouterModel
from tako.routers.model import Layer
from tako.training import Rollout, TrinityTrainer, onnx_bytes

onnx = pytest.importorskip("onnx", reason="onnx is not installed: what is written is not judged by it")

MODEL = TrinityTrainer(hidden=3, epochs=1, labels=["code", "mäth"]).fit([Rollout("a", 0)]).model()


def loaded(model: RouterModel) -> Any:
    file = onnx.load_model_from_string(onnx_bytes(model))
    onnx.checker.check_model(file, full_check=True)
    return file


def test_it_is_what_the_original_wrote() -> None:
    file = loaded(MODEL)
    assert (file.producer_name, file.graph.name) == ("tako-training", "tako-trinity")
    assert [(one.domain, one.version) for one in file.opset_import] == [("", 17)]
    assert [one.op_type for one in file.graph.node] == ["MatMul", "Add", "Relu", "MatMul", "Add"]
    assert {one.key: one.value for one in file.metadata_props} == {"labels": '["code","mäth"]'}
    for value, name, shape in (
        (file.graph.input[0], "features", [1, 16]),
        (file.graph.output[0], "logits", [1, 2]),
    ):
        tensor = value.type.tensor_type
        assert (value.name, tensor.elem_type) == (name, onnx.TensorProto.FLOAT)
        assert [one.dim_value for one in tensor.shape.dim] == shape
    assert len(file.graph.input) == len(file.graph.output) == 1


def test_the_numbers_are_those_of_the_model() -> None:
    tensors = [onnx.numpy_helper.to_array(one) for one in loaded(MODEL).graph.initializer]
    for layer, weights, biases in zip(MODEL.layers, tensors[::2], tensors[1::2], strict=True):
        assert [list(row) for row in zip(*weights.tolist(), strict=True)] == [
            pytest.approx(row, rel=1e-6) for row in layer.weights
        ]
        assert biases.tolist() == pytest.approx(layer.biases, rel=1e-6)


@pytest.mark.parametrize("sizes", [(1,), (200,), (3, 130, 2)])
def test_any_number_of_layers_of_any_size_can_be_written(sizes: tuple[int, ...]) -> None:
    layers, inputs = list[Layer](), 16
    for size in sizes:
        layers.append(Layer(((0.5,) * inputs,) * size, (0.0,) * size))
        inputs = size
    file = loaded(RouterModel(tuple(layers)))
    assert len(file.graph.node) == 3 * len(sizes) - 1
    assert not file.metadata_props
