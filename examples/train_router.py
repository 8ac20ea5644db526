"""A router that learns from what was right before: from journals to a file of weights, and to a Trinity.

    python -m examples.train_router

Monday: every task goes to each role, a verifier scores the answers, and a journal keeps both. Tuesday:
rollouts are taken from the journals, a small network is trained on them (in plain Python, in a second),
written to a JSON file, and used in place of the rules. No key is needed: the models here are functions.

What to keep in mind:

- Who was never tried at a kind of task cannot win there: let a part of the tasks go to anybody.
- The network sees sixteen features of a task, not its meaning: it learns kinds of tasks, not topics.
- A label is a place in the order of the roles; `labels=` writes their names into the model, so that it goes
  on knowing them where the order is another.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tako import ChatRequest
from tako.journal import Journal
from tako.orchestrators.trinity import Trinity
from tako.providers import Fake
from tako.routers import ModelRouter, RegexRouter, Router
from tako.training import TrinityTrainer, rollouts_from_journals

__all__ = ["main"]

TASKS = [
    text.format(n=n, m=3 * n + 1)
    for n in range(2, 8)
    for text in (
        "{n} people share {m} apples. How many are left over?",
        "Explain to a child what `sort(items)[{n}]` is for, and why it can fail",
    )
]
NEW = [
    "11 people share 40 stamps. How many are left over?",
    "Explain to a child what `join(words)` is for, and why it can fail",
]


def model(strength: str) -> Fake:
    """A model that is good at one thing."""

    def answer(request: ChatRequest) -> str:
        asked = next(message.text for message in reversed(request.messages) if message.role.value == "user")
        return "a good answer" if strength in asked else "a poor answer"

    return Fake(id=f"fake:{strength}", script=answer)


ROLES = {"calculator": model("How many"), "teacher": model("Explain")}


def judge(task: str, answer: str) -> float:
    """The verifier; in life it runs tests, checks a schema, or asks a model."""
    return 0.9 if "good" in answer else 0.1


def journalled(folder: Path) -> list[Path]:
    """Monday: each task at each role, and a journal of each run."""
    paths = []
    for number, task in enumerate(TASKS):
        for place, role in enumerate(ROLES):
            path = folder / f"{number}-{role}.jsonl"
            trinity = Trinity(ROLES, _always(place), verifier=judge)
            trinity.run_sync(task, journal=Journal(path, sync="off"))
            paths.append(path)
    return paths


def _always(place: int) -> Callable[[str], int]:
    return lambda task: place


def right(router: Router) -> int:
    """How many of the new tasks get a good answer."""
    trinity = Trinity(ROLES, router)
    return sum(["good" in trinity.run_sync(task).text for task in NEW])


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rollouts = rollouts_from_journals(journalled(folder))
        print(f"{len(rollouts)} rollouts from {2 * len(TASKS)} journals")

        trainer = TrinityTrainer(epochs=60, lr=0.2, batch_size=4, labels=tuple(ROLES)).fit(rollouts)
        trainer.export_json(folder / "router.json")
        print("good answers to new tasks, by the rules:", right(RegexRouter()), "of", len(NEW))
        print("by what was learned:", right(ModelRouter(folder / "router.json")), "of", len(NEW))
        decision = ModelRouter(trainer.model()).choose_sync(NEW[0], list(ROLES))
        print(f"{NEW[0]!r} -> {list(ROLES)[decision.index]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
