"""A search as text: what is in it, and that no other text makes a search that fails later."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.errors import InvalidInput
from tako.orchestrators.tree_search import TreeSearch
from tests.effort import examples
from tests.orchestrators.tree_search.kit import operations, perform, searches, told


def dumped() -> dict[str, Any]:
    """A search with an answer, an answer to it, a failure and two trials pending, at its limits."""
    search = TreeSearch(("a", "b"), seed=9, branching_factor=2, max_depth=3)
    told(search, (0, "a", 0.5), (0, "b", 0.25), (2, "a", None))
    search.ask(2)
    saved: dict[str, Any] = json.loads(search.dumps())
    return saved


def test_a_text_holds_what_was_told_and_no_beliefs():
    saved = dumped()
    assert saved["version"] == 1
    assert saved["options"] == {
        "actions": ["a", "b"],
        "seed": 9,
        "posterior": "gaussian",
        "prior": {"m": 0.0, "kappa": 1.0, "nu": 1.0, "tau_square": 0.1},
        "model_selection": "thompson",
        "branching_factor": 2,
        "max_depth": 3,
    }
    assert len(saved["pending"]) == 2
    assert saved["asked"] == saved["pending"][1]["id"] == saved["pending"][0]["id"] + 1
    assert set(saved["nodes"][0]) == {"parent", "action", "score", "state", "error"}
    assert set(saved["pending"][0]) == {"id", "node", "action"}


DAMAGES: list[tuple[tuple[str | int, ...], Any]] = [
    (("version",), 2),
    (("options", "seed"), -1),
    (("options", "actions"), ["a"]),
    (("options", "actions"), []),
    (("options", "posterior"), "beta"),  # whose prior has other fields
    (("options", "prior"), {}),
    (("options", "prior", "nu"), 0),
    (("options", "prior", "more"), 1),
    (("options", "model_selection"), "best"),
    (("options", "branching_factor"), 1),  # the root has two children
    (("options", "max_depth"), 1),
    (("options", "max_depth"), 101),
    (("asked",), 4),
    (("asked",), 0),
    (("asked",), 1e300),
    (("nodes", 0, "parent"), 1),
    (("nodes", 0, "parent"), None),
    (("nodes", 1, "parent"), 7),
    (("nodes", 1, "parent"), -1),
    (("nodes", 0, "action"), "nobody"),
    (("nodes", 0, "action"), None),
    (("nodes", 0, "score"), 1.5),
    (("nodes", 0, "score"), None),
    (("nodes", 0, "error"), "down"),
    (("nodes", 2, "error"), None),
    (("nodes", 2, "score"), 0.5),
    (("nodes", 0, "more"), 1),
    (("pending", 0, "node"), 3),  # which failed
    (("pending", 0, "node"), 4),
    (("pending", 0, "node"), 0),  # which is full
    (("pending", 0, "action"), "nobody"),
    (("pending", 0, "id"), 99),
    (("pending", 0, "id"), 0),
    (("pending", 1, "id"), 99),
    (("pending",), None),
]


@pytest.mark.parametrize(("way", "value"), DAMAGES)
def test_a_text_that_contradicts_itself_is_refused(way: tuple[str | int, ...], value: Any):
    saved = dumped()
    _put(saved, way, value)
    with pytest.raises(InvalidInput):
        TreeSearch.loads(json.dumps(saved))


def _put(saved: Any, way: tuple[str | int, ...], value: Any) -> None:
    for step in way[:-1]:
        saved = saved[step]
    saved[way[-1]] = value


NO_SEARCH: list[Any] = ["", "{}", "null", "[" * 100_000, b"\xff", "1" * 5000, '{"version": NaN}', None, 7]


@pytest.mark.parametrize("text", NO_SEARCH, ids=range(len(NO_SEARCH)))
def test_a_text_that_is_no_search_is_refused(text: Any):
    with pytest.raises(InvalidInput, match=r"dumped|dumps"):
        TreeSearch.loads(text)


def test_a_state_that_no_tell_would_have_taken_is_refused():
    for state in (float("nan"), float("inf")):
        saved = dumped()
        saved["nodes"][0]["state"] = state
        with pytest.raises(InvalidInput):
            TreeSearch.loads(json.dumps(saved))
    text = json.dumps(dumped()).replace('{"text": "by a"}', "[" * 101 + "]" * 101)
    with pytest.raises(InvalidInput, match="at most 100 deep"):
        TreeSearch.loads(text)
    with pytest.raises(InvalidInput, match="JSON value"):
        TreeSearch.loads(text.replace("[" * 101 + "]" * 101, "1e999"))


def test_no_more_was_told_than_was_asked():
    saved = {**dumped(), "pending": [], "asked": 3}
    assert TreeSearch.loads(json.dumps(saved)).ask(1)
    with pytest.raises(InvalidInput, match="contradict"):
        TreeSearch.loads(json.dumps({**saved, "asked": 2}))


def test_the_limits_of_a_search_are_those_of_a_text():
    saved = dumped()
    saved["asked"] = 2**53
    last = TreeSearch.loads(json.dumps(saved))
    assert last.ask() == ()  # there is no number left
    assert TreeSearch.loads(last.dumps()).pending == last.pending
    many = TreeSearch(seed=1)
    many.ask(1000)
    saved = json.loads(many.dumps())
    saved["pending"].append({"id": 1001, "node": 0, "action": "answer"})
    with pytest.raises(InvalidInput, match="at most 1000"):
        TreeSearch.loads(json.dumps({**saved, "asked": 1001}))


def test_every_text_that_is_dumped_can_be_loaded_as_bytes_too():
    text = json.dumps(dumped())
    assert json.loads(TreeSearch.loads(text.encode()).dumps()) == json.loads(text)


values = (
    st.none() | st.integers(-2, 9) | st.floats(-0.5, 1.5) | st.sampled_from(["a", "b", "", [], {}, "beta"])
)


@given(search=searches(), script=operations(), data=st.data())
@settings(max_examples=examples(1.3))
def test_a_damaged_text_is_refused_or_goes_on_to_the_end(
    search: TreeSearch, script: list[Any], data: st.DataObject
):
    """Any value of a text is exchanged; what loads has to take whatever comes next."""
    for operation in script:
        perform(search, operation)
    saved = json.loads(search.dumps())
    ways = sorted(_ways(saved), key=str)
    for way in data.draw(st.lists(st.sampled_from(ways), min_size=1, max_size=2, unique=True)):
        try:
            _put(saved, way, data.draw(values))
        except (TypeError, KeyError, IndexError):
            pass  # what was above it has been exchanged before
    try:
        other = TreeSearch.loads(json.dumps(saved))
    except InvalidInput:
        return
    for operation in script:
        perform(other, operation)
    for trial in other.pending:
        other.tell(trial.id, 0.5)
    assert other.as_svg() and other.as_text() and other.as_dot() and other.as_data()
    assert TreeSearch.loads(other.dumps()).nodes == other.nodes


def _ways(value: Any, way: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in [(*way, key), *_ways(item, (*way, key))]]
