"""Rollouts from journals: what routers chose in earlier runs, and how well it went.

| in a journal                   | is                                                   |
|--------------------------------|------------------------------------------------------|
| a choice of a router           | a try of that candidate at that task                 |
| a score behind it, in its flow | how well the try went; of several the mean           |
| a choice without a score       | no try: nobody knows how it went                     |
| scores of a nested run         | that run's own, which its own choices are judged by  |

The label of a task is the candidate with the best mean, the first of several; a task at which nobody reached
`min_score` has none, because all that is known of it is who is wrong.

Invariants. Labels are places, so all choices have to be among the same candidates. Journals keep the first
two thousand characters of a task: a rollout of a longer one has the features of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from tako.errors import InvalidInput
from tako.journal import Journal
from tako.journal.entry import Entry, Position
from tako.routers.model_file import Path
from tako.training.rollout import Rollout, label_from_scores

__all__ = ["rollouts_from_journals"]

UNTRIED: Final = -1.0


def rollouts_from_journals(journals: Iterable[Journal | Path], *, min_score: float = 0.5) -> list[Rollout]:
    """What there is to be learned from these journals, or their paths, in the order of their tasks.

    Blocks. Raises InvalidInput for choices among other candidates, and JournalError.
    """
    if isinstance(journals, str) or not isinstance(journals, Iterable):
        raise InvalidInput("journals should be a list of journals, or of their paths")
    if isinstance(min_score, bool) or not isinstance(min_score, int | float) or not 0 <= min_score <= 1:
        raise InvalidInput(f"min_score should be a number from 0 to 1, not {min_score!r}")
    known: list[Any] | None = None
    tries: dict[str, dict[int, list[float]]] = {}
    for one in journals:
        journal = one if isinstance(one, Journal) else Journal(one)
        for choice, score in _tries(journal.entries()):
            task, names, place = choice
            if known is not None and names != known:
                raise InvalidInput(
                    f"{journal!r} has a choice among {_shown(names)}, and an earlier one was among "
                    f"{_shown(known)}; labels are places, so train on one list of candidates"
                )
            known = names
            tries.setdefault(task, {}).setdefault(place, []).append(score)
    return list(_rollouts(tries, min_score))


def _rollouts(tries: dict[str, dict[int, list[float]]], least: float) -> Iterator[Rollout]:
    for task, scores_of in tries.items():
        means = [UNTRIED] * (1 + max(scores_of))
        for place, scores in scores_of.items():
            means[place] = sum(scores) / len(scores)
        best = label_from_scores(means)
        if means[best] >= least:
            yield Rollout.from_prompt(task, best)


_Choice = tuple[str, list[Any], int]


def _tries(entries: Iterable[Entry]) -> Iterator[tuple[_Choice, float]]:
    """Each score with the choice that it judges: the last one before it in its flow."""
    last: dict[Position, _Choice] = {}
    for entry in sorted(entries, key=lambda entry: entry.at):
        flow, value = entry.at[:-1], entry.value
        if entry.kind == "route":
            last.pop(flow, None)  # a choice that failed has not chosen who is judged next
            choice = _choice(entry)
            if choice is not None:
                last[flow] = choice
        elif entry.kind == "score" and flow in last and isinstance(value, dict):
            score = value.get("value")
            if isinstance(score, int | float) and 0 <= score <= 1:
                yield last[flow], float(score)


def _choice(entry: Entry) -> _Choice | None:
    """The task, the candidates and the place that was chosen; None if it is no choice that was made."""
    match entry.asked, entry.value:
        case {"task": str(task), "candidates": list(names)}, {"index": int(place)} if place >= 0:
            return task, names, place
    return None


def _shown(names: list[Any]) -> str:
    return ", ".join(map(str, names))
