"""Training: from rollouts, which say who was right for a task, to a router that chooses so by itself.

    rollouts = rollouts_from_journals(["monday.jsonl", "tuesday.jsonl"])
    TrinityTrainer(labels=("code", "math", "chat")).fit(rollouts).export_json("router.json")
    router = tako.routers.ModelRouter("router.json")

`python -m tako.training` does the same for a file of rollouts. Each name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tako.routers.features import FEATURE_DIM, featurise_text
    from tako.training.command_line import cli
    from tako.training.journals import rollouts_from_journals
    from tako.training.onnx_file import onnx_bytes
    from tako.training.rollout import Rollout, label_from_scores, rollouts_of_lines, to_lines
    from tako.training.trainer import TrinityTrainer

__all__ = [
    "FEATURE_DIM",
    "Rollout",
    "TrinityTrainer",
    "cli",
    "featurise_text",
    "label_from_scores",
    "onnx_bytes",
    "rollouts_from_journals",
    "rollouts_of_lines",
    "to_lines",
]

_NAMES_OF = {
    "command_line": "cli",
    "journals": "rollouts_from_journals",
    "onnx_file": "onnx_bytes",
    "rollout": "Rollout label_from_scores rollouts_of_lines to_lines",
    "trainer": "TrinityTrainer",
}
_HOME_OF = {name: home for home, names in _NAMES_OF.items() for name in names.split()}
_OF_ROUTERS = ("FEATURE_DIM", "featurise_text")


def __getattr__(name: str) -> object:
    if name in _OF_ROUTERS:
        module = import_module("tako.routers.features")
    elif name in _HOME_OF:
        module = import_module(f"{__name__}.{_HOME_OF[name]}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
