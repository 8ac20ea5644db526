"""Rollouts from journals of real runs, and from journals that are made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tako import InvalidInput
from tako.journal import Journal
from tako.journal.entry import Entry, line_of
from tako.orchestrators.ab_mcts import AbMcts
from tako.orchestrators.trinity import Trinity
from tako.providers import Fake
from tako.training import Rollout, rollouts_from_journals

NAMES = ["a", "b", "c"]


def route(at: tuple[int, ...], place: int, task: str = "x", names: list[str] = NAMES) -> Entry:
    return Entry(at, "route", asked={"task": task, "candidates": names, "step": 1}, value={"index": place})


def score(at: tuple[int, ...], value: Any) -> Entry:
    return Entry(at, "score", asked={"task": "x", "text": "y"}, value={"value": value})


def labels(*entries: Entry, **options: Any) -> list[tuple[str, int]]:
    journal = Journal.memory([line_of(entry) for entry in entries])
    return [(one.prompt, one.label) for one in rollouts_from_journals([journal], **options)]


def test_the_candidate_with_the_best_mean_is_the_label() -> None:
    tries = [
        route((1,), 0),
        score((2,), 0.9),
        route((3,), 0),
        score((4,), 0.2),
        route((5,), 2),
        score((6,), 0.6),
    ]
    assert labels(*tries) == [("x", 2)]
    assert labels(*tries[:4]) == [("x", 0)]
    assert labels(*tries, min_score=0.7) == []
    assert labels(*tries, route((7,), 1, "z"), score((8,), 1)) == [("x", 2), ("z", 1)]


def test_scores_belong_to_the_choice_before_them_in_their_own_flow() -> None:
    assert labels(route((1, 0, 1), 0), route((1, 1, 1), 1), score((1, 1, 2), 0.9), score((1, 0, 2), 0.8)) == [
        ("x", 1)
    ]
    nested = [route((1,), 0), score((2, 0, 3), 1.0), score((3,), 0.1)]
    assert labels(*nested) == []  # the nested run's own score says nothing of who was chosen here
    assert labels(score((1,), 1.0), route((2,), 0)) == []


def test_a_choice_that_failed_is_no_try_and_neither_is_what_is_no_choice() -> None:
    failed = Entry((3,), "route", asked={"task": "x", "candidates": NAMES}, error={"message": "no"})
    after = [Entry((4,), "model", value={}), score((5,), 1.0)]
    assert labels(route((1,), 0), score((2,), 0.6), failed, *after) == [("x", 0)]
    assert labels(route((1,), 0), score((2,), 0.1), failed, *after) == []
    assert labels(route((1,), -1), score((2,), 1.0)) == []
    assert labels(route((1,), 0), score((2,), None), score((3,), 7)) == []
    assert labels(Entry((1,), "route", value=3), score((2,), 1.0)) == []


def test_labels_are_places_so_all_choices_have_to_be_among_the_same() -> None:
    with pytest.raises(InvalidInput, match="has a choice among b, a, and an earlier one was among a, b, c"):
        labels(route((1,), 0), score((2,), 1.0), route((3,), 0, "x", ["b", "a"]), score((4,), 1.0))


def test_a_wrong_argument_is_named() -> None:
    with pytest.raises(InvalidInput, match="journals should be a list"):
        rollouts_from_journals("run.jsonl")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="journals should be a list"):
        rollouts_from_journals(Journal.memory())  # type: ignore[arg-type]
    for value in (True, 2, "0.5"):
        with pytest.raises(InvalidInput, match="min_score should be a number from 0 to 1"):
            rollouts_from_journals([], min_score=value)  # type: ignore[arg-type]


def judge(task: str, text: str) -> float:
    return 0.9 if text == "good" else 0.2


def test_runs_of_trinity_and_of_a_search_are_learned_from(tmp_path: Path) -> None:
    trinity = Trinity(
        {"first": Fake("bad"), "second": Fake("good")},
        lambda task: 1 if "sum" in task else 0,
        verifier=judge,
    )
    paths = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for path, prompt in zip(paths, ("a sum", "a poem"), strict=True):
        trinity.run_sync(prompt, journal=Journal(path, sync="off"))
    assert rollouts_from_journals(paths) == [Rollout.from_prompt("a sum", 1)]
    both = rollouts_from_journals(paths, min_score=0.1)
    assert both == [Rollout.from_prompt("a sum", 1), Rollout.from_prompt("a poem", 0)]

    search = AbMcts(
        Fake("bad"),
        candidates=[Fake("good", id="fake:better")],
        verifier=judge,
        router=lambda situation: situation.step % 2,
        max_iterations=4,
        batch_size=4,
        min_confidence=None,
        seed=1,
    )
    journal = Journal.memory()
    search.run_sync("a search", journal=journal)
    assert rollouts_from_journals([journal])[0] == Rollout.from_prompt("a search", 1)
