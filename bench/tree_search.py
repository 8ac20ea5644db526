"""TreeSearch beside TreeQuest's ABMCTSA: `python -m bench.tree_search [--seeds 200] [--only needle]`.

Both search the same synthetic tasks with as many calls and the same priors; nothing is written. Of each
search the best node is taken (by the score that the search was told), and what it is truly worth. Seed by
seed both have the same hidden target, and the same luck at the same call, so their difference is counted in
pairs. The time is CPU time of asking and telling alone. Where treequest is not installed it says so.

| task    | an answer                                                                           |
|---------|-------------------------------------------------------------------------------------|
| drift   | as in treequest's own profile: one action makes a score better, the other worse     |
| creep   | the same in small steps, so that the calls are too few to come to the end           |
| number  | a guess, whose distance from a hidden number shrinks or grows when it is refined    |
| letters | a hidden word: the share of letters that are right; two are replaced at a time      |
| needle  | steps towards a goal which may also lead back or nowhere, and scores that are noisy |
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt
from platform import python_version
from random import Random
from statistics import fmean, stdev
from time import process_time
from typing import Any, Final, TypeAlias

from tako.orchestrators.tree_search import Family, ModelSelection, TreeSearch

__all__ = ["TASKS", "Comparison", "Task", "compare", "is_there"]

Answer: TypeAlias = Callable[[Random, Random, Any, str], tuple[Any, float, float]]
"""Gets the luck of the seed and of the call, what to go on from (None at first) and the action.

Gives a state, its score and what it is truly worth."""


@dataclass(frozen=True, slots=True)
class Task:
    """Something to search, by these actions."""

    name: str
    actions: tuple[str, ...]
    answer: Answer


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one search: what its best node is worth, and how many seconds it took of the CPU."""

    worth: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of many pairs of searches."""

    ours: float
    theirs: float
    difference: float
    margin: float
    """Half of the 95 % confidence interval of the difference."""
    ratio: float
    """Of our operations in a second to theirs; an operation is an ask and a tell."""

    @property
    def is_equal_or_better(self) -> bool:
        """Whether the interval reaches what is not worse."""
        return self.difference + self.margin >= 0


def _drift(step: float) -> Answer:
    def answer(seed: Random, call: Random, state: Any, action: str) -> tuple[Any, float, float]:
        low, high = (-step / 3, step) if action == "high" else (-step, step / 3)
        score = min(1.0, max(0.0, (0.5 if state is None else state) + call.uniform(low, high)))
        return score, score, score

    return answer


def _number(seed: Random, call: Random, state: Any, action: str) -> tuple[Any, float, float]:
    target = seed.randrange(1000)
    guess = call.randrange(1000) if state is None else state + round(call.gauss(0, 1 + abs(state - target)))
    guess = min(999, max(0, guess))
    worth = 1.0 / (1.0 + abs(guess - target) / 10)
    return guess, worth, worth


def _letters(seed: Random, call: Random, state: Any, action: str) -> tuple[Any, float, float]:
    target = seed.choices("abcdefgh", k=12)
    if state is None:
        word = call.choices("abcdefgh", k=12)
    else:
        word = list(state)
        for place in call.sample(range(12), 2):
            word[place] = call.choice("abcdefgh")
    worth = fmean(one == other for one, other in zip(word, target, strict=True))
    return "".join(word), worth, worth


def _needle(seed: Random, call: Random, state: Any, action: str) -> tuple[Any, float, float]:
    """Six steps to the goal; a quarter of all ways have no steps at all, which their scores do not show."""
    if state is None:
        state = [0, call.random() < 0.25]
    steps, is_dead = state
    if not is_dead:
        steps = min(6, max(0, steps + call.choices((-1, 0, 1), (0.2, 0.3, 0.5))[0]))
    worth = 0.1 + 0.8 * steps / 6
    return [steps, is_dead], min(1.0, max(0.0, call.gauss(worth, 0.08))), worth


TASKS: Final = {
    task.name: task
    for task in (
        Task("drift", ("high", "low"), _drift(0.3)),
        Task("creep", ("high", "low"), _drift(0.06)),
        Task("number", ("answer",), _number),
        Task("letters", ("answer",), _letters),
        Task("needle", ("answer",), _needle),
    )
}
WAYS: Final[tuple[tuple[Family, ModelSelection], ...]] = (("gaussian", "thompson"), ("beta", "thompson"))
FURTHER: Final[tuple[tuple[Family, ModelSelection], ...]] = (("gaussian", "ucb"), ("gaussian", "stack"))
"""Where there is more than one action."""


def is_there() -> bool:
    """Whether there is a TreeQuest to compare with."""
    return importlib.util.find_spec("treequest") is not None


def compare(task: Task, posterior: Family, selection: ModelSelection, seeds: int, calls: int) -> Comparison:
    """Search with both, for so many seeds, in turns."""
    ours: list[Outcome] = []
    theirs: list[Outcome] = []
    for seed in range(seeds):
        ours.append(_ours(task, posterior, selection, seed, calls))
        theirs.append(_theirs(task, posterior, selection, seed, calls))
    differences = [one.worth - other.worth for one, other in zip(ours, theirs, strict=True)]
    return Comparison(
        fmean(outcome.worth for outcome in ours),
        fmean(outcome.worth for outcome in theirs),
        fmean(differences),
        1.96 * stdev(differences) / sqrt(seeds),
        sum(outcome.seconds for outcome in theirs) / sum(outcome.seconds for outcome in ours),
    )


def _ours(task: Task, posterior: Family, selection: ModelSelection, seed: int, calls: int) -> Outcome:
    search = TreeSearch(task.actions, seed=seed, posterior=posterior, model_selection=selection)
    worths = [0.0]
    seconds = 0.0
    for call in range(calls):
        started = process_time()
        [trial] = search.ask()
        seconds += process_time() - started
        state, score, worth = _answered(task, seed, call, search.nodes[trial.node].state, trial.action)
        worths.append(worth)
        started = process_time()
        search.tell(trial.id, score, state)
        seconds += process_time() - started
    return Outcome(worths[search.best()[0].number], seconds)


def _theirs(task: Task, posterior: Family, selection: ModelSelection, seed: int, calls: int) -> Outcome:
    treequest: Any = importlib.import_module("treequest")
    importlib.import_module("numpy").random.seed(seed)
    strategy = selection if selection == "stack" else f"multiarm_bandit_{selection}"
    algorithm = treequest.ABMCTSA(dist_type=posterior, model_selection_strategy=strategy)
    tree = algorithm.init_tree()
    found: list[tuple[float, float]] = []
    seconds = 0.0
    for call in range(calls):
        started = process_time()
        tree, [trial] = algorithm.ask_batch(tree, 1, list(task.actions))
        seconds += process_time() - started
        state, score, worth = _answered(task, seed, call, trial.parent_state, trial.action)
        found.append((score, worth))
        started = process_time()
        tree = algorithm.tell(tree, trial.trial_id, (state, score))
        seconds += process_time() - started
    return Outcome(max(found, key=lambda pair: pair[0])[1], seconds)


def _answered(task: Task, seed: int, call: int, state: Any, action: str) -> tuple[Any, float, float]:
    return task.answer(Random(f"{task.name} {seed}"), Random(f"{task.name} {seed} {call}"), state, action)


def _rows(tasks: list[Task], seeds: int, calls: int) -> Iterator[str]:
    yield "| task | posterior | actions by | tako | TreeQuest | difference, 95 % interval | operations |"
    yield "|---|---|---|---|---|---|---|"
    for task in tasks:
        for posterior, selection in WAYS + (FURTHER if len(task.actions) > 1 else ()):
            found = compare(task, posterior, selection, seeds, calls)
            chosen = selection if len(task.actions) > 1 else "(one)"
            verdict = "" if found.is_equal_or_better else " WORSE"
            yield (
                f"| {task.name} | {posterior} | {chosen} | {found.ours:.4f} | {found.theirs:.4f} "
                f"| {found.difference:+.4f} ± {found.margin:.4f}{verdict} | {found.ratio:.1f} times |"
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, help="searches of each kind, at least 2")
    parser.add_argument("--calls", type=int, default=64, help="answers that a search gets")
    parser.add_argument("--only", default=",".join(TASKS), help="names of tasks, with commas between")
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    if unknown := set(names).difference(TASKS):
        parser.error(f"no task is called {', '.join(sorted(unknown))}; there are {', '.join(TASKS)}")
    if not is_there():
        print("treequest is not installed: nothing to compare with", file=sys.stderr)
        return 1
    for row in _rows([TASKS[name] for name in names], arguments.seeds, arguments.calls):
        print(row, flush=True)
    versions = f"treequest {importlib.metadata.version('treequest')}, Python {python_version()}"
    print(f"\n{arguments.seeds} seeds, {arguments.calls} calls each; {versions}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
