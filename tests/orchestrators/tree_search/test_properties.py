"""TreeSearch under scripts of operations, beside a slow model of it and beside a dumped twin.

Each property was broken on purpose once: see the comments for what finds what.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.orchestrators.tree_search import TreeSearch
from tests.effort import examples
from tests.orchestrators.tree_search.kit import (
    believed,
    collected,
    is_expandable,
    operations,
    parameters,
    perform,
    searches,
)


@given(search=searches(), script=operations())
@settings(max_examples=examples(1.3))
def test_beliefs_are_what_the_scores_in_the_tree_make_of_them(search: TreeSearch, script: list[Any]):
    """A score told to the wrong node, arm or action, twice or not at all, and a wrong formula."""
    for operation in script:
        perform(search, operation)
    prior = search._options.prior
    actions = search.actions if search._options.model_selection == "stack" else (None,)
    for number in search._branches:
        for action in actions:
            scores = collected(search.nodes, number, action)
            if number == 0:
                scores["value"] = []  # nobody asks for the root's
            for name, found in believed(search, number, action).items():
                assert found == pytest.approx(parameters(prior, scores[name]), abs=1e-9), (number, name)
            assert (action in search._branches[number].arms) == bool(scores["every"])


@given(search=searches(), script=operations())
@settings(max_examples=examples(1.3))
def test_nothing_is_asked_that_has_no_place_and_nothing_that_has_is_forgotten(
    search: TreeSearch, script: list[Any]
):
    """Places that are not given back, counted twice, or not passed up; failures that are expanded."""
    for operation in script:
        places = {node.number for node in search.nodes if is_expandable(search, node)}
        came = perform(search, operation)
        if operation[0] == "ask":
            assert isinstance(came, tuple)
            assert len(came) == operation[1] or not any(is_expandable(search, node) for node in search.nodes)
            assert {trial.node for trial in came} <= places
            assert all(trial.action in search.actions for trial in came)
            assert [trial.id for trial in search.pending] == sorted({trial.id for trial in search.pending})
    for number, branch in search._branches.items():
        assert branch.is_open == any(
            is_expandable(search, node) for node in search.nodes if number in _way(search, node.number)
        )
        assert branch.open_children == sum(child.is_open for child in branch.children)


def _way(search: TreeSearch, number: int) -> set[int]:
    """The numbers from a node up to the root."""
    way = {number}
    while (parent := search.nodes[number].parent) is not None:
        number = parent
        way.add(number)
    return way


@given(search=searches(), script=operations(), data=st.data())
@settings(max_examples=examples(1.3))
def test_a_search_that_was_dumped_at_any_time_goes_on_to_the_same_tree(
    search: TreeSearch, script: list[Any], data: st.DataObject
):
    """A counter, a pending trial, an action or a state that is lost; beliefs in another order."""
    twin = TreeSearch.loads(search.dumps())
    dumped = data.draw(st.sets(st.integers(0, len(script) - 1)))
    for place, operation in enumerate(script):
        if place in dumped:
            twin = TreeSearch.loads(twin.dumps())
        assert perform(twin, operation) == perform(search, operation)
    assert twin.nodes == search.nodes
    assert twin.pending == search.pending
    assert twin.ask(5) == search.ask(5)
    assert twin.dumps() == search.dumps()


@given(search=searches(), script=operations())
@settings(max_examples=examples(0.5))
def test_the_tree_follows_from_seed_and_calls(search: TreeSearch, script: list[Any]):
    again = TreeSearch.loads(search.dumps())
    for one in (search, again):
        for operation in script:
            perform(one, operation)
    assert again.nodes == search.nodes
    ranks = [(-node.score, node.number) for node in search.nodes if node.score is not None]
    assert [node.number for node in search.best(len(search.nodes))] == [number for _, number in sorted(ranks)]
    for node in search.nodes[1:]:
        assert node.parent is not None and node.number in search.nodes[node.parent].children
        assert node.depth == search.nodes[node.parent].depth + 1
