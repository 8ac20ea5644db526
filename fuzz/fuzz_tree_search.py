"""Fuzz searches and models that were written down: a text is one that can go on, or InvalidInput.

Nothing else may be raised. A search that was read is asked, told, drawn, and written again; a model that was
read gives finite numbers for any features.

`python fuzz/fuzz_tree_search.py --runs 10000 --seed 1` is a plain loop of random inputs.
"""

from __future__ import annotations

import json
import math
import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.texts import Target, main
from tako.errors import InvalidInput
from tako.orchestrators.tree_search import TreeSearch
from tako.routers import FEATURE_DIM, RouterModel
from tako.training import Rollout, TrinityTrainer

VALUES: list[Any] = [None, True, 0, -1, 1, 2, 7, 10**30, 0.5, 1.5, 1e308, "", "1", "left", "gaussian", [], {}]
MODEL = (
    TrinityTrainer(hidden=2, epochs=1)
    .fit([Rollout.from_prompt("a", 0), Rollout.from_prompt("b?", 1)])
    .model()
)


def searches() -> list[str]:
    texts = []
    for posterior in ("gaussian", "beta"):
        search = TreeSearch(("left", "right"), seed=3, posterior=posterior, branching_factor=3, max_depth=4)
        for number in range(6):
            for trial in search.ask(2):
                if trial.id % 5 == 0:
                    search.fail(trial.id, "no")
                elif number < 5:
                    search.tell(trial.id, (trial.id * 7 % 10) / 10, {"n": trial.id})
        texts.append(search.dumps())
    return texts


SEEDS = [*searches(), MODEL.dumps()]


def check(text: str) -> None:
    try:
        model = RouterModel.loads(text)
    except InvalidInput:
        pass
    else:
        assert all(map(math.isfinite, model.probabilities([1.0] * FEATURE_DIM))), text
        assert RouterModel.loads(model.dumps()) == model, text
    try:
        search = TreeSearch.loads(text)
    except InvalidInput:
        return
    twin = TreeSearch.loads(search.dumps())
    for _ in range(3):
        asked = search.ask(2)
        assert asked == twin.ask(2), text
        for trial in asked:
            assert search.tell(trial.id, 0.5, None) == twin.tell(trial.id, 0.5, None), text
    assert search.dumps() == twin.dumps(), text
    assert search.as_text() and search.as_dot() and search.as_svg()
    assert len(search.best(3)) <= 3


class Written(Target):
    """What was written, with another value in a few places: nobody guesses a whole one."""

    def random_input(self, chance: random.Random) -> bytes:
        return self.varied(chance.choice(SEEDS).encode(), chance)

    def varied(self, data: bytes, chance: random.Random) -> bytes:
        try:
            tree = json.loads(data)
        except (ValueError, RecursionError):
            return chance.choice(SEEDS).encode()
        for _ in range(chance.randrange(3)):
            found = list(places(tree))
            if found:
                owner, key = chance.choice(found)
                owner[key] = chance.choice(VALUES)
        return json.dumps(tree).encode()


def places(tree: Any) -> Any:
    """Each place in it where a value stands."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(pairs):
        yield tree, key
        yield from places(value)


if __name__ == "__main__":
    main(Written(check, ()), __doc__ or "")
