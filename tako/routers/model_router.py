"""ModelRouter: chooses by a network that was trained, in pure Python.

| the model   | its outputs are for                                                        |
|-------------|----------------------------------------------------------------------------|
| with labels | the candidates of these names; a label that none of them has is left out   |
| without     | the candidates at these places; those beyond the last one are left out     |

Invariants. Every candidate can be chosen: one that the model does not know is an error, because it would wait
for its turn for ever. The confidence is the probability among those that can be chosen.
"""

from __future__ import annotations

from collections.abc import Sequence

from tako.effects import Call, Flow
from tako.errors import InvalidInput
from tako.routers.base import Router, RoutingDecision, Situation
from tako.routers.choosing import place_named
from tako.routers.features import featurise_text
from tako.routers.model import RouterModel, softmax
from tako.routers.model_file import ModelFile, Path

__all__ = ["ModelRouter", "decision_by"]


class ModelRouter(Router):
    """Chooses by a model.

    model  the path of a JSON file, which is read at the first choice; or a RouterModel

    Raises InvalidInput; what is wrong with the file is found out at the first choice.
    """

    def __init__(self, model: Path | RouterModel) -> None:
        self._model = model if isinstance(model, RouterModel) else None
        self._file = ModelFile(model) if not isinstance(model, RouterModel) else None

    def __repr__(self) -> str:
        return f"<ModelRouter of {'a model' if self._file is None else self._file.path}>"

    def choose_flow(self, situation: Situation) -> Flow[RoutingDecision]:
        model = self._model
        if model is None:
            assert self._file is not None
            # Asked for at every choice, and read at the first: a run asks for the same effects whether it is
            # the first with this router or not, so that its recording replays.
            model = yield Call(self._file.model)
            assert model is not None
        return decision_by(model.logits(featurise_text(situation.task)), model.labels, situation, repr(self))


def decision_by(
    logits: Sequence[float], labels: Sequence[str], situation: Situation, who: str
) -> RoutingDecision:
    """The likeliest candidate, the first of several; raises InvalidInput for one that is not known."""
    places = _places(len(logits), labels, situation.candidates, who)
    unknown = [name for place, name in enumerate(situation.candidates) if place not in places]
    if unknown:
        known_ones = ", ".join(map(repr, labels)) if labels else f"the first {len(logits)} candidates"
        raise InvalidInput(
            f"{who} could never choose {', '.join(map(repr, unknown))}: it knows {known_ones} alone. "
            "Train it with a class for each candidate, or give it fewer candidates",
            phase="router",
        )
    known = [(logits[output], place) for output, place in enumerate(places) if place is not None]
    shares = softmax([logit for logit, _ in known])
    best = max(range(len(known)), key=shares.__getitem__)
    return RoutingDecision(index=known[best][1], confidence=min(shares[best], 1.0), reason="the likeliest")


def _places(outputs: int, labels: Sequence[str], candidates: Sequence[str], who: str) -> list[int | None]:
    """The place of the candidate that each output is for; None for one that nobody is there for."""
    if labels:
        return [place_named(label, candidates, who) for label in labels]
    return [place if place < len(candidates) else None for place in range(outputs)]
