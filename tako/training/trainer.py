"""TrinityTrainer: learns from rollouts which candidate a task is for.

    trainer = TrinityTrainer().fit_jsonl("rollouts.jsonl")
    trainer.export_json("router.json")          # for ModelRouter("router.json")
    trainer.export_onnx("router.onnx")          # for OnnxRouter("router.onnx"), and for other languages
    ModelRouter(trainer.model())                # or without a file

It needs nothing but Python. What it learns by is in `network`.

Invariants. The same rollouts, settings and seed give the same model. Nothing is learned of rollouts that are
not all right: they are checked before the first step. What has been learned is finite, or it is an error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tako.chance import Chance
from tako.errors import InvalidInput
from tako.routers.features import featurise_text
from tako.routers.model import MOST_OUTPUTS, MOST_WEIGHTS, RouterModel
from tako.routers.model_file import Path, path_text
from tako.training.files import read_file, write_file
from tako.training.network import Network, Text
from tako.training.onnx_file import onnx_bytes
from tako.training.rollout import Rollout, rollouts_of_lines

__all__ = ["TrinityTrainer"]

START, ORDER = 1, 2
"""The streams of chance: the weights at the start, and the order of the rollouts."""


@dataclass(slots=True)
class TrinityTrainer:
    """Trains a network of one hidden layer.

    hidden      units in the hidden layer; with `weights` as many as those have
    epochs      how often each rollout is learned from
    lr          the learning rate
    batch_size  how many rollouts make a step
    seed        of the weights at the start, and of the order of the rollouts
    weights     a model of an earlier training to go on from, in place of a new one
    n_classes   how many candidates there are; as many as the labels say, if it is 0
    labels      the names of the candidates, which the model is to know them by; those of `weights`, if they
                have any

    Raises InvalidInput that names the argument.
    """

    hidden: int = 32
    epochs: int = 200
    lr: float = 0.05
    batch_size: int = 32
    seed: int = 42
    weights: RouterModel | None = None
    n_classes: int = 0
    labels: Sequence[str] = ()
    loss: float | None = field(default=None, init=False)
    """The mean loss of a rollout in the last epoch."""
    _model: RouterModel | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        for name, least, most in (
            ("hidden", 1, MOST_OUTPUTS),
            ("epochs", 1, None),
            ("batch_size", 1, None),
            ("seed", None, None),
            ("n_classes", 0, MOST_OUTPUTS),
        ):
            _require_whole(name, getattr(self, name), least, most)
        if isinstance(self.lr, bool) or not isinstance(self.lr, int | float) or not 0 < self.lr < math.inf:
            raise InvalidInput(f"lr should be a number above 0, not {self.lr!r}")
        is_list = isinstance(self.labels, Iterable) and not isinstance(self.labels, str)
        if not is_list or not all(isinstance(one, str) and one for one in self.labels):
            raise InvalidInput("labels should be a list of the names of the candidates")
        self.labels = tuple(self.labels)
        if self.labels and self.n_classes not in (0, len(self.labels)):
            raise InvalidInput(f"n_classes is {self.n_classes}, and there are {len(self.labels)} labels")
        self.n_classes = self.n_classes or len(self.labels)
        self._model = self._checked_start()

    def fit(self, rollouts: Iterable[Rollout]) -> TrinityTrainer:
        """Learn, and return itself; raises InvalidInput for rollouts that nothing can be learned from."""
        found = list(rollouts) if isinstance(rollouts, Iterable) else [rollouts]
        classes = self._classes(found)
        if self.hidden * classes > MOST_WEIGHTS:
            raise InvalidInput(
                f"hidden is {self.hidden}, and there are {classes} classes: that is more than {MOST_WEIGHTS} "
                "weights; take a smaller hidden"
            )
        texts = [Text.of(one.features or featurise_text(one.prompt)) for one in found]
        labels = [one.label for one in found]
        start = self.weights
        if start is not None and start.outputs != classes:
            raise InvalidInput(f"weights are for {start.outputs} candidates, and there are {classes} classes")
        network = (
            Network(self.hidden, classes, Chance(self.seed, START)) if start is None else Network.of(start)
        )
        network.model(self.labels)  # what cannot be a model is said before the work is done
        chance, order = Chance(self.seed, ORDER), list(range(len(found)))
        try:
            for _ in range(self.epochs):
                _shuffle(order, chance)
                loss = 0.0
                for first in range(0, len(order), self.batch_size):
                    batch = order[first : first + self.batch_size]
                    loss += network.learn([texts[n] for n in batch], [labels[n] for n in batch], self.lr)
                network.end_epoch()
            model = network.model(self.labels)
        except (InvalidInput, OverflowError, ValueError) as error:
            raise InvalidInput(
                f"the training has come to numbers without bounds; take a smaller lr than {self.lr}"
            ) from error
        self._model, self.loss, self.n_classes = model, loss / len(found), classes
        return self

    def fit_jsonl(self, path: Path) -> TrinityTrainer:
        """Learn from a file, one {"prompt": ..., "label": ...} a line. Blocks; raises InvalidInput."""
        return self.fit(rollouts_of_lines(read_file(path), path_text(path)))

    def predict(self, prompt: str) -> int:
        """The place of the candidate for a prompt; raises InvalidInput before anything was learned."""
        shares = self.predict_proba(prompt)
        return max(range(len(shares)), key=shares.__getitem__)

    def predict_proba(self, prompt: str) -> list[float]:
        """How likely each candidate is the right one for a prompt; raises as `predict` does."""
        if not isinstance(prompt, str):
            raise InvalidInput(f"prompt should be text, not {type(prompt).__name__}")
        return self.model().probabilities(featurise_text(prompt))

    def model(self) -> RouterModel:
        """What was learned, as a value; raises InvalidInput before anything was."""
        if self._model is None:
            raise InvalidInput("nothing has been learned yet; call fit(rollouts) first")
        return self._model

    def export_json(self, path: Path) -> None:
        """Write the model to a file for ModelRouter. Blocks; raises InvalidInput."""
        write_file(path, self.model().dumps().encode())

    def export_onnx(self, path: Path) -> None:
        """Write the model to a file for OnnxRouter. Blocks; raises InvalidInput."""
        write_file(path, onnx_bytes(self.model()))

    def _checked_start(self) -> RouterModel | None:
        start = self.weights
        if start is None:
            return None
        if not isinstance(start, RouterModel):
            raise InvalidInput(f"weights should be a RouterModel, not {type(start).__name__}")
        if len(start.layers) != 2:
            raise InvalidInput(f"weights should be a model of two layers, not {len(start.layers)}")
        if self.labels and start.labels and self.labels != start.labels:
            raise InvalidInput(
                f"labels are {', '.join(self.labels)}, and weights are for {', '.join(start.labels)}; leave "
                "labels away to go on with these"
            )
        self.labels, self.hidden = self.labels or start.labels, len(start.layers[0].biases)
        return start

    def _classes(self, rollouts: Sequence[Rollout]) -> int:
        """How many classes there are; raises InvalidInput."""
        if not rollouts:
            raise InvalidInput("rollouts is empty; there is nothing to learn from")
        for number, one in enumerate(rollouts):
            if not isinstance(one, Rollout):
                raise InvalidInput(f"rollouts[{number}] should be a Rollout, not {type(one).__name__}")
            if self.n_classes and one.label >= self.n_classes:
                raise InvalidInput(
                    f"rollouts[{number}] has the label {one.label}, and there are {self.n_classes} classes, "
                    f"from 0 to {self.n_classes - 1}"
                )
        return self.n_classes or 1 + max([one.label for one in rollouts])


def _shuffle(order: list[int], chance: Chance) -> None:
    """Fisher and Yates: every order is as likely as every other."""
    for last in range(len(order) - 1, 0, -1):
        other = chance.below(last + 1)
        order[last], order[other] = order[other], order[last]


def _require_whole(name: str, value: object, least: int | None, most: int | None) -> None:
    right = isinstance(value, int) and not isinstance(value, bool)
    if not right or (least is not None and value < least) or (most is not None and value > most):  # type: ignore[operator]
        bounds = f" from {least} to {most}" if most is not None else f" of at least {least}" if least else ""
        raise InvalidInput(f"{name} should be a whole number{bounds}, not {value!r}")
