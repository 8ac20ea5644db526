"""TreeSearch: what a trial becomes, how one is chosen, and what is refused."""

from __future__ import annotations

from collections import Counter
from math import sqrt
from random import Random
from typing import Any

import pytest

from tako.errors import InvalidInput
from tako.orchestrators.tree_search import BetaPrior, GaussianPrior, Node, TreeSearch, Trial
from tests.orchestrators.tree_search.kit import told


def choices(search: TreeSearch, count: int) -> Counter[Any]:
    """Where so many trials would go and by whom, each asked for as if it were the first."""
    found: Counter[Any] = Counter()
    for _ in range(count):
        [trial] = search.ask()
        search.give_back(trial.id)
        found[trial.node] += 1
        found[trial.action] += 1
    return found


def test_a_search_is_asked_and_told_in_any_order():
    search = TreeSearch(seed=3)
    first, second = search.ask(2)
    assert (first, second) == (Trial(1, 0, "answer"), Trial(2, 0, "answer"))
    assert search.pending == (first, second)
    later = search.tell(second.id, 0.75, {"text": "b"})
    assert later == Node(1, 0, "answer", 0.75, {"text": "b"}, 1)
    assert search.tell(first.id, 0.5) == Node(2, 0, "answer", 0.5, None, 1)
    assert search.pending == ()
    assert search.nodes[0] == Node(0, None, None, None, None, 0, (1, 2))
    assert search.best() == (later,)
    assert repr(search) == "TreeSearch(2 told, 0 pending)"


def test_the_best_are_the_earliest_of_equals_and_never_the_root_or_a_failure():
    search = told(TreeSearch(seed=1), (0, "answer", 0.5), (0, "answer", None), (0, "answer", 0.5))
    assert [node.number for node in search.best(5)] == [1, 3]
    assert TreeSearch(seed=1).best() == ()


def test_a_failure_is_a_score_of_0_for_its_parent_and_its_action_and_is_never_expanded():
    """Defect 24 of the original: one failure ended the search, and what was found was lost."""
    search = told(TreeSearch(("a", "b"), seed=5, branching_factor=2), (0, "a", 0.8), (0, "b", None))
    assert search.nodes[2] == Node(2, 0, "b", None, None, 1, (), "timed\nout")
    twin = told(TreeSearch(("a", "b"), seed=5), (0, "a", 0.8), (0, "b", 0.0))
    assert (
        search._branches[0].arms[None].generate.parameters == twin._branches[0].arms[None].generate.parameters
    )
    assert search._bandit._counts == twin._bandit._counts
    assert set(choices(search, 200)) == {0, 1, "a", "b"}  # it takes no place, and nobody goes there


def test_what_is_given_back_leaves_its_place_and_nothing_else():
    search = TreeSearch(seed=2, branching_factor=1, max_depth=1)
    [trial] = search.ask(3)
    assert search.ask() == ()
    search.give_back(trial.id)
    [again] = search.ask()
    assert again == Trial(2, 0, "answer")  # a number is never used twice: an old answer finds no trial
    search.tell(again.id, 1.0)
    assert (search.ask(), search.pending) == ((), ())


def test_a_closed_subtree_is_not_entered():
    search = told(
        TreeSearch(seed=4, branching_factor=2, max_depth=2),
        *[(0, "answer", 0.9), (0, "answer", 0.1), (1, "answer", 0.9), (1, "answer", 0.9), (2, "answer", 0.1)],
    )
    [last] = search.ask(9)
    assert last.node == 2
    assert search.ask() == ()
    search.fail(last.id, "lost")
    assert [trial.node for trial in search.ask(9)] == [2]


def test_a_router_overrules_the_action():
    search = TreeSearch(("a", "b"), seed=1)
    [trial] = search.ask()
    other = "b" if trial.action == "a" else "a"
    assert search.assign(trial.id, other) == Trial(trial.id, 0, other) == search.pending[0]
    assert search.tell(trial.id, 0.5).action == other


def test_the_state_is_a_copy_of_what_was_told_as_json_has_it():
    search = TreeSearch(seed=1)
    state: Any = {"turns": ["hello"], 1: (2, 3)}
    node = search.tell(search.ask()[0].id, 0.5, state)
    state["turns"].append("later")
    assert node.state == {"turns": ["hello"], "1": [2, 3]}
    assert search.nodes[1] is node


@pytest.mark.parametrize("posterior", ["gaussian", "beta"])
def test_gen_and_cont_and_the_children_are_chosen_as_often_as_they_draw_the_most(posterior: Any):
    """Compared with draws that are made in another way, from the scores that each belief is about."""
    tells = [
        (0, "answer", 0.4),
        (0, "answer", 0.6),
        (1, "answer", 0.7),
        (2, "answer", 0.5),
        (2, "answer", 0.9),
    ]
    found = choices(told(TreeSearch(seed=8, posterior=posterior, branching_factor=3), *tells), 800)
    random = Random(1)
    expected = Counter(_descent(random, posterior) for _ in range(4000))
    for node in range(3):
        share = expected[node] / 4000
        assert found[node] / 800 == pytest.approx(share, abs=4 * sqrt(share * (1 - share) / 660))


def _descent(random: Random, posterior: str) -> int:
    """Where it ends: at the root, or below it, at one of its two children or further down."""

    def draw(*scores: float) -> float:
        count, mean = len(scores), sum(scores) / len(scores) if scores else 0.0
        if posterior == "beta":
            return random.betavariate(0.5 + sum(scores), 0.5 + count - sum(scores))
        squares = sum((score - mean) ** 2 for score in scores) + count * mean * mean / (1 + count)
        variance = (0.1 + squares) / 2 / random.gammavariate((1 + count) / 2, 1)
        return random.gauss(count * mean / (1 + count), sqrt(variance / (1 + count)))

    if draw(0.4, 0.6) >= draw(0.7, 0.5, 0.9):
        return 0
    child = 1 if draw(0.4, 0.7) > draw(0.6, 0.5, 0.9) else 2
    scores = {1: (0.7,), 2: (0.5, 0.9)}[child]
    return child if draw(*scores) >= draw() else 3


@pytest.mark.parametrize("model_selection", ["thompson", "stack"])
def test_the_action_that_has_brought_more_is_taken_more_often(model_selection: Any):
    tells = [(0, name, score) for name, score in [("good", 0.9), ("bad", 0.1)] for _ in range(4)]
    search = TreeSearch(("bad", "good"), seed=6, model_selection=model_selection, max_depth=1)
    found = choices(told(search, *tells), 300)
    assert found["good"] > 250
    assert found["bad"] > 0


def test_where_each_action_has_beliefs_of_its_own_they_are_those_of_the_node():
    """Below a good action's answer the other one may be the better one."""
    tells = [
        (0, "a", 0.9),
        (0, "a", 0.9),
        (0, "b", 0.2),
        (1, "a", 0.1),
        (1, "a", 0.1),
        (1, "b", 1.0),
        (1, "b", 1.0),
    ]
    search = told(TreeSearch(("a", "b"), seed=6, model_selection="stack", max_depth=2), *tells)
    actions = {0: Counter[str](), 1: Counter[str]()}
    for _ in range(400):
        [trial] = search.ask()
        search.give_back(trial.id)
        if trial.node in actions:
            actions[trial.node][trial.action] += 1
    assert actions[0]["a"] > actions[0]["b"] > 0
    assert actions[1]["b"] > 2 * actions[1]["a"] > 0


def test_the_upper_bound_tries_each_action_first_then_weighs_mean_and_number():
    search = TreeSearch(("a", "b", "c"), seed=1, model_selection="ucb", max_depth=1)
    assert [trial.action for trial in search.ask(4)] == ["a", "b", "c", "a"]
    for trial, score in zip(search.pending, (0.5, 0.6, 0.0, 0.5), strict=True):
        search.tell(trial.id, score)
    # Bounds: 0.5 + sqrt(2 ln 4 / 2) = 1.68, 0.6 + sqrt(2 ln 4) = 2.27, 0 + 1.67.
    assert [trial.action for trial in search.ask()] == ["b"]
    search.tell(search.pending[0].id, 0.6)
    # 0.5 + 1.27, 0.6 + 1.27, 0 + 1.79: close, and the one that was tried less is behind still.
    assert [trial.action for trial in search.ask()] == ["b"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"actions": ()}, "actions should be a list of names"),
    ({"actions": "answer"}, "actions should be a list of names"),
    ({"actions": ("a", "a")}, "one is there twice"),
    ({"actions": ("a", "")}, "actions should be names"),
    ({"actions": ("\ud800",)}, "actions should be names"),
    ({"seed": -1}, "seed should be from 0 to"),
    ({"seed": 1.5}, "seed should be a whole number"),
    ({"seed": 2**64}, "seed should be from 0 to"),
    ({"posterior": "normal"}, "posterior should be 'gaussian' or 'beta'"),
    ({"prior": BetaPrior()}, "prior should be a GaussianPrior"),
    ({"posterior": "beta", "prior": GaussianPrior()}, "prior should be a BetaPrior"),
    ({"model_selection": "best"}, "model_selection should be one of"),
    ({"branching_factor": 0}, "branching_factor should be at least 1"),
    ({"branching_factor": True}, "branching_factor should be a whole number"),
    ({"max_depth": 0}, "max_depth should be from 1 to 100"),
    ({"max_depth": 101}, "max_depth should be from 1 to 100"),
]


@pytest.mark.parametrize(("options", "words"), REFUSED)
def test_wrong_options_are_refused_by_name(options: dict[str, Any], words: str):
    with pytest.raises(InvalidInput, match=words):
        TreeSearch(**{"seed": 1, **options})


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


MISTAKES: list[tuple[str, tuple[Any, ...], str]] = [
    ("ask", (0,), "count should be at least 1"),
    ("ask", (1000,), "at most 1000 trials pending"),
    ("best", (0,), "k should be at least 1"),
    ("tell", (1, 0.5), "trial 1 is not pending any more"),
    ("tell", (9, 0.5), "trial 9 was never asked"),
    ("tell", ("2", 0.5), "trial_id should be a whole number"),
    ("tell", (2, 1.1), "score should be from 0 to 1"),
    ("tell", (2, float("nan")), "score should be a number"),
    ("tell", (2, True), "score should be a number"),
    ("tell", (2, "high"), "score should be a number"),
    ("tell", (2, 0.5, {1, 2}), "state should be a JSON value"),
    ("tell", (2, 0.5, float("inf")), "state should be a JSON value"),
    ("tell", (2, 0.5, nested(101)), "state should be nested at most 100 deep"),
    ("tell", (2, 0.5, nested(100_000)), "state should be a JSON value"),
    ("fail", (1, "down"), "trial 1 is not pending any more"),
    ("fail", (2, None), "error should be text or an exception"),
    ("give_back", (1,), "trial 1 is not pending any more"),
    ("assign", (2, "nobody"), "action should be one of"),
    ("assign", (1, "answer"), "trial 1 is not pending any more"),
]


@pytest.mark.parametrize(("name", "arguments", "words"), MISTAKES)
def test_a_mistake_is_refused_and_changes_nothing(name: str, arguments: tuple[Any, ...], words: str):
    search = TreeSearch(seed=1)
    first, _ = search.ask(2)
    search.tell(first.id, 0.5)
    before = search.dumps()
    with pytest.raises(InvalidInput, match=words):
        getattr(search, name)(*arguments)
    assert search.dumps() == before


def test_an_error_is_kept_as_text_of_a_limited_length_that_can_be_written():
    search = TreeSearch(seed=1)
    errors = ["x" * 5000, KeyError("gone"), TimeoutError(), "half \ud800"]
    kept = [search.fail(trial.id, error).error for trial, error in zip(search.ask(4), errors, strict=True)]
    assert kept == ["x" * 2000, "'gone'", "TimeoutError", "half ?"]
    assert TreeSearch.loads(search.dumps()).nodes == search.nodes


def test_a_chain_ends_at_the_deepest_place_there_is():
    search = TreeSearch(seed=1, branching_factor=1)
    for depth in range(1, 101):
        assert search.tell(search.ask(5)[0].id, 0.5, nested(100)).depth == depth
    assert search.ask() == ()
    assert TreeSearch.loads(search.dumps()).nodes == search.nodes


def test_a_tell_costs_the_same_however_much_was_told():
    """Sufficient statistics, not lists of scores."""
    search = told(TreeSearch(seed=1, max_depth=1), *[(0, "answer", 0.5)] * 300)
    branch = search._branches[0]
    assert branch.arms[None].generate.parameters == pytest.approx(
        (150 / 301, sqrt((0.1 + 75 / 301) / 301 / 301), 301)
    )
    assert all(not hasattr(value, "__len__") for value in _slots(branch.arms[None].generate))


def _slots(value: Any) -> list[Any]:
    return [getattr(value, name) for name in value.__slots__]
