"""Rollout: a task, and who turned out to be right for it. Trainers learn from them.

They are kept as JSON, one a line: {"prompt": "Refactor this", "label": 0}. The label is the place of the
candidate; what else is in a line is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic_core import from_json, to_json

from tako.errors import InvalidInput
from tako.routers.features import FEATURE_DIM, featurise_text

__all__ = ["Rollout", "label_from_scores", "rollouts_of_lines", "to_lines"]

MOST_CLASSES: Final = 4096


@dataclass(frozen=True, slots=True)
class Rollout:
    """`features` are those of the prompt; where there are none, the trainer makes them."""

    prompt: str
    label: int
    features: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Raises InvalidInput for what nothing can be learned from."""
        if not isinstance(self.prompt, str):
            raise InvalidInput(f"prompt should be text, not {type(self.prompt).__name__}")
        if isinstance(self.label, bool) or not isinstance(self.label, int):
            raise InvalidInput(f"label should be the place of a candidate, from 0, not {self.label!r}")
        if not 0 <= self.label < MOST_CLASSES:
            raise InvalidInput(f"label should be from 0 to {MOST_CLASSES - 1}, not {self.label}")
        if not isinstance(self.features, Iterable):
            raise InvalidInput(f"features should be numbers, not {type(self.features).__name__}")
        object.__setattr__(self, "features", tuple(self.features))
        if self.features and len(self.features) != FEATURE_DIM:
            raise InvalidInput(f"features should be {FEATURE_DIM} numbers, not {len(self.features)}")
        for value in self.features:
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e6:
                raise InvalidInput(f"features should be numbers from -1e6 to 1e6, not {value!r}")

    @classmethod
    def from_prompt(cls, prompt: str, label: int) -> Rollout:
        """With the features of the prompt."""
        return cls(prompt, label, tuple(featurise_text(prompt)) if isinstance(prompt, str) else ())


def label_from_scores(scores: Sequence[float]) -> int:
    """The place of the highest score, the first of several; raises InvalidInput for none, and for NaN."""
    if not isinstance(scores, Sequence) or isinstance(scores, str | bytes):
        raise InvalidInput(f"scores should be a list of numbers, not {type(scores).__name__}")
    if not scores:
        raise InvalidInput("scores is empty; there is nobody who could be the best")
    for score in scores:
        if isinstance(score, bool) or not isinstance(score, int | float) or score != score:
            raise InvalidInput(f"scores should be numbers, and one of them is {score!r}")
    return max(range(len(scores)), key=scores.__getitem__)


def rollouts_of_lines(data: bytes, name: str = "rollouts") -> list[Rollout]:
    """The rollouts in lines of JSON; raises InvalidInput that names the line."""
    if not isinstance(data, bytes):
        raise InvalidInput(f"data should be bytes, not {type(data).__name__}")
    found = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        try:
            value = from_json(line)
        except ValueError as error:
            raise InvalidInput(f"{place} is no JSON: {error}") from None
        if not isinstance(value, dict) or not {"prompt", "label"} <= value.keys():
            raise InvalidInput(f'{place} should look like {{"prompt": "...", "label": 0}}')
        try:
            found.append(Rollout.from_prompt(value["prompt"], value["label"]))
        except InvalidInput as error:
            raise InvalidInput(f"{place}: {error}") from None
    return found


def to_lines(rollouts: Iterable[Rollout]) -> bytes:
    """The rollouts as lines of JSON; half of a surrogate pair, which no file can hold, becomes a "?"."""
    lines = [{"prompt": one.prompt.encode(errors="replace"), "label": one.label} for one in rollouts]
    return b"".join([to_json(line) + b"\n" for line in lines])
