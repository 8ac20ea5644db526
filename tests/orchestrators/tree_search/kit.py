"""A slow, obvious model of a search, and scripts of operations to hold it against."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from statistics import fmean
from typing import Any

from hypothesis import strategies as st

from tako.orchestrators.tree_search import BetaPrior, GaussianPrior, Node, Prior, TreeSearch

__all__ = [
    "believed",
    "collected",
    "is_expandable",
    "operations",
    "parameters",
    "perform",
    "searches",
    "told",
]

SCORES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0]) | st.floats(0, 1)
STATES = st.sampled_from([None, 0, "Käse", {"a": [1, 2.5, None]}, ["x", {}], True])


def searches() -> st.SearchStrategy[TreeSearch]:
    """Searches of all kinds, with nothing told."""
    return st.builds(
        _search,
        actions=st.sampled_from([("a",), ("a", "b"), ("a", "b", "c")]),
        seed=st.integers(0, 2**64 - 1),
        family=st.sampled_from(["gaussian", "beta"]),
        with_prior=st.booleans(),
        model_selection=st.sampled_from(["thompson", "ucb", "stack"]),
        branching_factor=st.none() | st.integers(1, 3),
        max_depth=st.none() | st.integers(1, 3),
    )


def _search(*, family: Any, with_prior: bool, **options: Any) -> TreeSearch:
    priors = {"gaussian": GaussianPrior(0.5, 2.0, 3.0, 0.04), "beta": BetaPrior(2, 1)}
    return TreeSearch(posterior=family, prior=priors[family] if with_prior else None, **options)


def told(search: TreeSearch, *tells: tuple[int, str, float | None]) -> TreeSearch:
    """A search whose tree is this one: of each node the parent, the action and the score."""
    for parent, action, score in tells:
        for _ in range(1000):
            [trial] = search.ask()
            if trial.node == parent:
                break
            search.give_back(trial.id)
        assert trial.node == parent, "never asked for"
        search.assign(trial.id, action)
        if score is None:
            search.fail(trial.id, "timed\nout")
        else:
            search.tell(trial.id, score, {"text": f"by {action}"})
    return search


def operations() -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """What may happen to a search; which pending trial it happens to is a number to be wrapped round."""
    some = st.integers(0, 100)
    told = st.tuples(st.just("tell"), some, SCORES, STATES)
    return st.lists(
        st.one_of(
            st.tuples(st.just("ask"), st.integers(1, 4)),
            told,
            told,
            st.tuples(st.just("fail"), some),
            st.tuples(st.just("give_back"), some),
            st.tuples(st.just("assign"), some, some),
        ),
        min_size=5,
        max_size=40,
    )


def perform(search: TreeSearch, operation: tuple[Any, ...]) -> object:
    """Do it, as far as there is a trial to do it to; whatever comes of it."""
    name, *arguments = operation
    if name == "ask":
        return search.ask(arguments[0])
    if not search.pending:
        return None
    trial = search.pending[arguments[0] % len(search.pending)]
    if name == "tell":
        return search.tell(trial.id, arguments[1], arguments[2])
    if name == "fail":
        return search.fail(trial.id, "no answer")
    if name == "give_back":
        return search.give_back(trial.id)
    return search.assign(trial.id, search.actions[arguments[1] % len(search.actions)])


def below(nodes: tuple[Node, ...], number: int) -> Iterator[Node]:
    """The nodes of a subtree without its root, in the order of telling."""
    for node in nodes[number + 1 :]:
        at = node
        while at.parent is not None and at.parent != number:
            at = nodes[at.parent]
        if at.parent == number:
            yield node


def collected(nodes: tuple[Node, ...], number: int, action: str | None) -> dict[str, list[float]]:
    """The scores that a node's beliefs are about: all of them, or those that one action has led to."""
    found: dict[str, list[float]] = {"value": [], "generate": [], "proceed": [], "every": []}
    own = nodes[number].score
    if own is not None:
        found["value"].append(own)
    for node in below(nodes, number):
        score = 0.0 if node.score is None else node.score
        found["value"].append(score)
        through = node
        while through.parent != number:
            assert through.parent is not None
            through = nodes[through.parent]
        if action in (None, through.action):
            found["generate" if through is node else "proceed"].append(score)
            found["every"].append(score)
    return found


def parameters(prior: Prior, scores: list[float]) -> tuple[float, ...]:
    """What a belief is after these scores, by the formulas for all of them at once."""
    count, total = len(scores), sum(scores)
    if isinstance(prior, BetaPrior):
        return prior.a + total, prior.b + count - total
    mean = fmean(scores) if scores else 0.0
    kappa, nu = prior.kappa + count, prior.nu + count
    squares = sum((score - mean) ** 2 for score in scores)
    shift = prior.kappa * count / kappa * (mean - prior.m) ** 2
    variance = (prior.nu * prior.tau_square + squares + shift) / nu
    return (prior.kappa * prior.m + total) / kappa, sqrt(variance / kappa), nu


def believed(search: TreeSearch, number: int, action: str | None) -> dict[str, tuple[float, ...]]:
    """What a search believes at a node, where it has been told anything."""
    branch = search._branches[number]
    found = {"value": branch.value.parameters}
    if (arm := branch.arms.get(action)) is not None:
        found["generate"] = arm.generate.parameters
        found["proceed"] = arm.proceed.parameters
        if action is not None:
            found["every"] = arm.every.parameters
    return found


def is_expandable(search: TreeSearch, node: Node) -> bool:
    """Whether a child of this node may be asked for."""
    options = search._options
    if node.error is not None or node.depth >= (options.max_depth or 100):
        return False
    taken = sum(search.nodes[child].error is None for child in node.children)
    taken += sum(trial.node == node.number for trial in search.pending)
    return options.branching_factor is None or taken < options.branching_factor
