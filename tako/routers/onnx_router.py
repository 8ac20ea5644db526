"""OnnxRouter: chooses by a network in an ONNX file, such as TrinityTrainer exports, run by onnxruntime.

The file has the input `features`, float32[1,16], and the output `logits`, float32[1,K]; and among its
metadata, under `labels`, what its outputs are called, if that is known. onnxruntime comes with an extra:
`pip install tako-sansio[onnx]`. Whoever does not want it has ModelRouter.

Invariants. As ModelRouter's: every candidate can be chosen, or it is an error. onnxruntime is imported, the
file read and the network run in blocking functions, which are reached through the Call effect alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

from pydantic_core import from_json

from tako.effects import Call, Flow
from tako.errors import InvalidInput
from tako.routers.base import Router, RoutingDecision, Situation
from tako.routers.features import FEATURE_DIM, featurise_text
from tako.routers.model_file import Path, path_text
from tako.routers.model_router import decision_by

__all__ = ["OnnxRouter"]

INPUT: Final = "features"
OUTPUT: Final = "logits"
LABELS: Final = "labels"


class OnnxRouter(Router):
    """Chooses by an ONNX file.

    path    of the file, which is opened at the first choice
    labels  the names of the candidates that its outputs are for; those of the file, if nothing is said; and
            where the file has none either, they are places

    Raises InvalidInput; what is wrong with the file is found out at the first choice.
    """

    def __init__(self, path: Path, *, labels: Iterable[str] | None = None) -> None:
        self.path = path_text(path)
        if isinstance(labels, str) or not isinstance(labels, Iterable | None):
            raise InvalidInput("OnnxRouter: labels should be a list of names")
        self._labels = None if labels is None else tuple(labels)
        if self._labels is not None and not _are_names(self._labels):
            raise InvalidInput(
                "OnnxRouter: labels should be names of candidates, none of them empty and none there twice"
            )
        self._session: Any = None

    def __repr__(self) -> str:
        return f"<OnnxRouter of {self.path}>"

    def __getstate__(self) -> dict[str, Any]:
        # A session stays where it was opened: another process opens its own.
        return {**self.__dict__, "_session": None}

    def choose_flow(self, situation: Situation) -> Flow[RoutingDecision]:
        logits, labels = yield Call(self._run, (featurise_text(situation.task),))
        return decision_by(logits, labels, situation, repr(self))

    def _run(self, features: list[float]) -> tuple[list[float], tuple[str, ...]]:
        """What the network makes of the features, and the labels; blocks. Raises InvalidInput."""
        if self._session is None:
            self._session = _open(self.path)
        from numpy import array, float32  # comes with onnxruntime

        try:
            output = self._session.run([OUTPUT], {INPUT: array([features], dtype=float32)})[0]
            logits = [float(value) for value in output.reshape(-1)]
        except Exception as error:  # onnxruntime has no root of its own
            raise InvalidInput(
                f"the model {self.path} cannot be used: it should take {INPUT} as "
                f"float32[1,{FEATURE_DIM}] and give {OUTPUT} as float32[1,K] ({error})"
            ) from error
        labels = _labels(self._session, self.path) if self._labels is None else self._labels
        if labels and len(logits) != len(labels):
            raise InvalidInput(
                f"OnnxRouter: labels are {len(labels)}, and {self.path} has {len(logits)} outputs"
            )
        if not logits or not all(map(math.isfinite, logits)):
            raise InvalidInput(f"the model {self.path} gave {logits[:3]}..., which are no finite numbers")
        return logits, labels


def _labels(session: Any, path: str) -> tuple[str, ...]:
    """The labels in the file's metadata, none if it says nothing; raises InvalidInput for anything else."""
    told = session.get_modelmeta().custom_metadata_map.get(LABELS)
    if told is None:
        return ()
    try:
        labels = from_json(told)
    except ValueError:
        labels = None
    if not isinstance(labels, list) or not _are_names(labels):
        raise InvalidInput(
            f"the model {path} has {LABELS!r} among its metadata that are no JSON list of different names; "
            "say with labels=[...] who its outputs are for"
        )
    return tuple(labels)


def _are_names(labels: Sequence[object]) -> bool:
    return all(isinstance(label, str) and label for label in labels) and len(set(labels)) == len(labels)


def _open(path: str) -> Any:
    """A session of onnxruntime; raises InvalidInput."""
    try:
        import onnxruntime
    except ImportError as error:
        raise InvalidInput(
            "OnnxRouter needs onnxruntime, which is not installed: pip install tako-sansio[onnx]; or use "
            "ModelRouter, which needs nothing"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # so small a network needs no pool
    options.log_severity_level = 4  # what goes wrong is raised, and nothing printed
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InvalidInput(f"the model {path} cannot be opened: {error}") from error
