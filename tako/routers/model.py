"""RouterModel: a small neural network that says which candidate a text is for; a value, kept as JSON.

    {"kind": "tako-router", "version": 1,
     "labels": ["code", "math", "chat"],
     "layers": [{"weights": [[...16 numbers...], ...32 rows...], "biases": [...32 numbers...]},
                {"weights": [[...32 numbers...], ...3 rows...], "biases": [...3 numbers...]}]}

| field   | is                                                                                             |
|---------|------------------------------------------------------------------------------------------------|
| kind    | always the same, so that another file is not taken for one                                     |
| version | of this format: 1                                                                              |
| labels  | the names of the candidates, one for each output; or none, and the outputs are places          |
| layers  | each a row of weights for each of its outputs, and a bias for each. The first takes the        |
|         | sixteen features (`features`), the others what the layer before them gives; between two layers |
|         | what is below zero is zero (ReLU). The outputs of the last are logits                          |

Invariants. A model that exists can be used: its shapes fit each other, and its numbers are so small that no
features make anything infinite of them. Any other text is InvalidInput, whatever is in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import mul
from typing import Any, Final, cast

from pydantic_core import from_json, to_json

from tako.errors import InvalidInput
from tako.routers.features import FEATURE_DIM

__all__ = ["Layer", "RouterModel", "softmax"]

KIND: Final = "tako-router"
VERSION: Final = 1
MOST_LAYERS, MOST_OUTPUTS, MOST_WEIGHTS = 16, 4096, 1_000_000
LARGEST: Final = 1e6
"""What a weight may be at most: (4096 * 1e6) to the power of sixteen layers is still a number."""
BOUNDS: Final = "numbers from -1e6 to 1e6 alone"


@dataclass(frozen=True, slots=True)
class Layer:
    """`weights` has a row for each output, and a row a number for each input."""

    weights: tuple[tuple[float, ...], ...]
    biases: tuple[float, ...]

    def outputs(self, inputs: Sequence[float]) -> list[float]:
        """What it makes of its inputs, before anything is cut off."""
        return [
            sum(map(mul, row, inputs)) + bias for row, bias in zip(self.weights, self.biases, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class RouterModel:
    """A network from features to candidates; see the head of the file. Raises InvalidInput."""

    layers: tuple[Layer, ...]
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("layers", "labels"):
            value = getattr(self, name)
            if not isinstance(value, Iterable) or isinstance(value, str):
                raise _wrong(f"{name} should be a list, not {type(value).__name__}")
            object.__setattr__(self, name, tuple(value))
        if not 0 < len(self.layers) <= MOST_LAYERS:
            raise _wrong(f"layers should be 1 to {MOST_LAYERS}, not {len(self.layers)}")
        size = FEATURE_DIM
        for number, layer in enumerate(self.layers):
            _check(layer, size, f"layers[{number}]")
            size = len(layer.biases)
        if (
            sum([len(inner.biases) * len(outer.biases) for inner, outer in pairwise(self.layers)])
            > MOST_WEIGHTS
        ):
            raise _wrong(f"layers hold more than {MOST_WEIGHTS} weights")
        if not self.labels:
            return
        if len(self.labels) != size:
            raise _wrong(f"labels are {len(self.labels)}, and the last layer has {size} outputs")
        if not all(map(_is_name, self.labels)):
            raise _wrong("labels should be names of candidates")
        if len(set(self.labels)) < size:
            raise _wrong("labels has a name twice")

    @property
    def outputs(self) -> int:
        """How many candidates it knows."""
        return len(self.layers[-1].biases)

    def logits(self, features: Sequence[float]) -> list[float]:
        """How much speaks for each candidate; raises InvalidInput for anything but sixteen numbers."""
        if len(features) != FEATURE_DIM:
            raise InvalidInput(f"features should be {FEATURE_DIM} numbers, not {len(features)}")
        if not _are_small(features):
            raise InvalidInput(f"features should be {BOUNDS}")
        values = list(features)
        for layer in self.layers[:-1]:
            values = [value if value > 0 else 0.0 for value in layer.outputs(values)]
        return self.layers[-1].outputs(values)

    def probabilities(self, features: Sequence[float]) -> list[float]:
        """How likely each candidate is the right one; together 1."""
        return softmax(self.logits(features))

    def dumps(self) -> str:
        """The model as JSON; `loads` gives an equal one."""
        layers = [{"weights": layer.weights, "biases": layer.biases} for layer in self.layers]
        data = {"kind": KIND, "version": VERSION, "labels": self.labels or None, "layers": layers}
        return to_json(data).decode()

    @classmethod
    def loads(cls, text: str | bytes) -> RouterModel:
        """The model in a JSON text; raises InvalidInput that says what is wrong with it."""
        try:
            data = from_json(text, allow_inf_nan=False)
        except (ValueError, TypeError) as error:
            raise _wrong(f"it is no JSON ({error})") from None
        if not isinstance(data, dict) or data.get("kind") != KIND:
            raise _wrong(f'it should be an object whose "kind" is "{KIND}"')
        if data.get("version") != VERSION or isinstance(data["version"], bool):
            raise _wrong(f"its version should be {VERSION}; make it anew with this version of tako")
        layers, labels = data.get("layers"), data.get("labels")
        labels = [] if labels is None else labels
        if not isinstance(layers, list) or not isinstance(labels, list):
            raise _wrong("its layers should be a list, and its labels a list or null")
        if len(layers) > MOST_LAYERS:
            raise _wrong(f"layers should be 1 to {MOST_LAYERS}, not {len(layers)}")
        found = [_layer(layer, f"layers[{number}]") for number, layer in enumerate(layers)]
        return cls(tuple(found), tuple(labels))


def softmax(logits: Sequence[float]) -> list[float]:
    """Probabilities that add up to 1, whatever the size of the logits."""
    highest = max(logits)
    powers = [math.exp(logit - highest) for logit in logits]
    total = math.fsum(powers)
    return [power / total for power in powers]


def _layer(data: Any, place: str) -> Layer:
    """A layer of what JSON gave; raises InvalidInput."""
    if not isinstance(data, dict):
        raise _wrong(f'{place} should be an object of "weights" and "biases"')
    weights, biases = data.get("weights"), data.get("biases")
    if not isinstance(weights, list) or not all(isinstance(row, list) for row in weights):
        raise _wrong(f"{place}: weights should be a list of rows, one for each output")
    if not isinstance(biases, list):
        raise _wrong(f"{place}: biases should be a list of numbers")
    return Layer(tuple(map(tuple, weights)), tuple(biases))


def _check(layer: object, inputs: int, place: str) -> None:
    """The size before the numbers: what is far too large is refused quickly. Raises InvalidInput."""
    if not isinstance(layer, Layer):
        raise _wrong(f"{place} should be a Layer, not {type(layer).__name__}")
    outputs = len(layer.biases)
    if not 0 < outputs <= MOST_OUTPUTS:
        raise _wrong(f"{place} should have 1 to {MOST_OUTPUTS} outputs, not {outputs}")
    if len(layer.weights) != outputs:
        raise _wrong(f"{place} has {len(layer.weights)} rows of weights and {outputs} biases")
    for number, row in enumerate(layer.weights):
        if len(row) != inputs:
            raise _wrong(f"{place}: weights[{number}] should have {inputs} numbers, not {len(row)}")
    if not _are_small(layer.biases):
        raise _wrong(f"{place}: biases should hold {BOUNDS}")
    for number, row in enumerate(layer.weights):
        if not _are_small(row):
            raise _wrong(f"{place}: weights[{number}] should hold {BOUNDS}")


def _are_small(values: Iterable[object]) -> bool:
    """Whether they are numbers, none of them too large; True is none, and NaN is not small."""
    kinds = set(map(type, values))
    return all(issubclass(kind, int | float) and kind is not bool for kind in kinds) and all(
        map(LARGEST.__ge__, map(abs, cast("Iterable[float]", values)))
    )


def _is_name(label: object) -> bool:
    """Whether it is text that a file can hold."""
    return isinstance(label, str) and label != "" and label.encode(errors="ignore").decode() == label


def _wrong(what: str) -> InvalidInput:
    return InvalidInput(f"this is no model of a router: {what}")
