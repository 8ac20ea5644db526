"""A model as an ONNX file, written by hand: so little of Protocol Buffers is in it that no library is needed.

    features float32[1,16] -> MatMul -> Add -> Relu -> MatMul -> Add -> logits float32[1,K]

A message of Protocol Buffers is a list of fields; a field is its number and its kind in one number, and then
a number (kind 0), or a length and so many bytes (kind 2), which may be a message again. Numbers are written
seven bits a byte, the lowest first. The numbers of the fields are those of onnx.proto3, with opset 17.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final

from pydantic_core import to_json

from tako.routers.features import FEATURE_DIM
from tako.routers.model import RouterModel

__all__ = ["onnx_bytes"]

PRODUCER: Final = "tako-training"
GRAPH: Final = "tako-trinity"
IR_VERSION: Final = 8
OPSET: Final = 17
FLOAT: Final = 1


def onnx_bytes(model: RouterModel) -> bytes:
    """The file's bytes; a model's labels are in its metadata, under "labels", as JSON."""
    fields = [
        _number(1, IR_VERSION),
        _text(2, PRODUCER),
        _field(7, _graph(model)),
        _field(8, _text(1, "") + _number(2, OPSET)),
    ]
    if model.labels:
        fields.append(_field(14, _text(1, "labels") + _text(2, to_json(model.labels).decode())))
    return b"".join(fields)


def _graph(model: RouterModel) -> bytes:
    nodes: list[bytes] = []
    tensors: list[bytes] = []
    value, last = "features", len(model.layers) - 1
    for number, layer in enumerate(model.layers):
        weights, biases = f"weights_{number}", f"biases_{number}"
        product, result = f"product_{number}", "logits" if number == last else f"sum_{number}"
        columns = list(zip(*layer.weights, strict=True))  # MatMul wants a row for each input
        tensors.append(
            _tensor(weights, (len(columns), len(layer.biases)), [x for row in columns for x in row])
        )
        tensors.append(_tensor(biases, (len(layer.biases),), layer.biases))
        nodes += (_node("MatMul", (value, weights), product), _node("Add", (product, biases), result))
        value = result
        if number != last:
            value = f"active_{number}"
            nodes.append(_node("Relu", (result,), value))
    return b"".join(
        [
            *[_field(1, node) for node in nodes],
            _text(2, GRAPH),
            *[_field(5, tensor) for tensor in tensors],
            _field(11, _value("features", (1, FEATURE_DIM))),
            _field(12, _value("logits", (1, model.outputs))),
        ]
    )


def _node(operator: str, inputs: Iterable[str], output: str) -> bytes:
    return b"".join([_text(1, name) for name in inputs]) + _text(2, output) + _text(4, operator)


def _tensor(name: str, shape: Iterable[int], values: Sequence[float]) -> bytes:
    sizes = b"".join([_number(1, size) for size in shape])
    return sizes + _number(2, FLOAT) + _text(8, name) + _field(9, struct.pack(f"<{len(values)}f", *values))


def _value(name: str, shape: Iterable[int]) -> bytes:
    """A name with its type: a tensor of float32 of that shape."""
    sizes = b"".join([_field(1, _number(1, size)) for size in shape])
    return _text(1, name) + _field(2, _field(1, _number(1, FLOAT) + _field(2, sizes)))


# Protocol Buffers.


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _text(field: int, text: str) -> bytes:
    return _field(field, text.encode())
