"""Reading a plan: both shapes, prose around them, and words for the model where there is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.errors import InvalidInput
from tako.json_schema import check
from tako.orchestrators.conductor.plan import (
    MOST_ASSIGNMENTS,
    Assignment,
    Plan,
    Quorum,
    join_of,
    plan_in,
    plan_schema,
)
from tako.providers.closed_schema import closed_schema
from tests.effort import examples

words = st.text(min_size=1, max_size=12).filter(str.strip)
assignments = st.builds(
    Assignment,
    worker=words.map(str.strip),
    task=words,
    tools=st.none() | st.lists(words, max_size=2).map(tuple),
    sees=st.just("all") | st.lists(st.integers(1, 9), max_size=2).map(tuple),
)
plans = st.builds(
    Plan,
    thought=st.text(max_size=12),
    dispatch=st.lists(assignments, min_size=1, max_size=3).map(tuple),
    join=st.sampled_from([None, "all", "first", Quorum(2)]),
) | st.builds(Plan, thought=st.text(max_size=12), halt=st.just(True), final_answer=st.text(max_size=30))


def written(plan: Plan) -> dict[str, Any]:
    join = {"quorum": plan.join.count} if isinstance(plan.join, Quorum) else plan.join
    dispatch = []
    for one in plan.dispatch:
        entry: dict[str, Any] = {"worker": one.worker, "task": one.task, "sees": one.sees}
        dispatch.append(entry if one.tools is None else {**entry, "tools": one.tools})
    return {
        "thought": plan.thought,
        "dispatch": dispatch,
        "join": join,
        "halt": plan.halt,
        "final_answer": plan.final_answer,
    }


@settings(max_examples=examples(0.6))
@given(
    plan=plans,
    before=st.text(max_size=30) | st.sampled_from(["```json\n", 'Use {x: "y"}: ', '{"a": {}} {"b', "\\"]),
    after=st.text(max_size=30) | st.sampled_from(["\n```", '"}', '{"halt": 7}']),
)
def test_any_prose_around_any_plan(plan: Plan, before: str, after: str) -> None:
    """Defect 33."""
    assert plan_in(before + json.dumps(written(plan)) + after) == plan


@given(
    text=st.text()
    | st.lists(st.sampled_from(['{"halt":', "true", "}", '"dispatch":[', "{", "]", ","])).map("".join)
)
def test_any_text_is_a_plan_or_is_refused_in_words(text: str) -> None:
    try:
        assert isinstance(plan_in(text), Plan)
    except InvalidInput as error:
        assert error.message


SEEDS = """{
  "workers": [
    {"name": "code", "task": "Implement merge sort in Python.", "tools": ["fs"]},
    {"name": "math", "task": "Verify the O(n log n) bound."}
  ],
  "join_strategy": "all",
  "next_step": "summarise"
}"""


def test_the_shape_of_the_first_descriptions_is_read() -> None:
    """Defect 32."""
    assert plan_in(SEEDS) == Plan(
        dispatch=(
            Assignment("code", "Implement merge sort in Python.", ("fs",)),
            Assignment("math", "Verify the O(n log n) bound."),
        ),
        join="all",
        wants_answer=True,
    )


A = {"worker": "a", "task": "1"}


def planned(*assignments: Assignment) -> Plan:
    return Plan(dispatch=assignments)


@pytest.mark.parametrize(
    ("said", "plan"),
    [
        (
            {"dispatch": [A], "workers": [{"name": "b", "task": "2"}], "join": "first"},
            Plan(dispatch=(Assignment("a", "1"), Assignment("b", "2")), join="first"),
        ),
        ({"halt": True, "final_answer": "x", "dispatch": [A]}, Plan(halt=True, final_answer="x")),
        ({"final_answer": "x", "dispatch": [A]}, planned(Assignment("a", "1"))),
        ({"final_answer": "x"}, Plan(halt=True, final_answer="x")),
        ({"halt": True, "final_answer": 42}, Plan(halt=True, final_answer="42")),
        ({"halt": "True", "final_answer": ""}, Plan(halt=True, final_answer="")),
        ({"next_step": "done", "final_answer": "x"}, Plan(halt=True, final_answer="x")),
        ({"halt": False, "final_answer": "not yet"}, Plan()),
        ({"dispatch": None, "halt": None}, Plan()),
        ({"dispatch": [], "next_step": "final"}, Plan(wants_answer=True)),
        ({"dispatch": {"worker": "a", "task": 7, "sees": 1}}, planned(Assignment("a", "7", None, (1,)))),
        ({"workers": [A], "join_strategy": "merge"}, planned(Assignment("a", "1"))),
        ({"plan": {"halt": True, "final_answer": "wrapped"}}, Plan(halt=True, final_answer="wrapped")),
        ({"halt": True, "final_answer": "\ud800"}, Plan(halt=True, final_answer="?")),
        ({"next_step": "continue", "dispatch": [], "other": 1}, Plan()),
    ],
)  # fmt: skip
def test_what_is_read(said: Any, plan: Plan) -> None:
    assert plan_in(json.dumps(said)) == plan


def test_a_plan_that_is_none_does_not_hide_the_next() -> None:
    assert plan_in('{"halt": true} {"dispatch": 1} ' + '{"final_answer": "x"}').final_answer == "x"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I think the answer is 42.", "no whole JSON object"),
        ('{"halt": false, "dispatch": [', "no whole JSON object"),
        ('{"something": "else"}', "no whole JSON object"),
        ('{"halt": true}', 'no "final_answer"'),
        ('{"halt": 1, "dispatch": []}', '"halt" should be true or false'),
        ('{"dispatch": "code"}', '"dispatch" should be a list'),
        ('{"dispatch": ["code"]}', r"dispatch\[0\] should be an object"),
        ('{"dispatch": [{"task": "x"}]}', r'dispatch\[0\] does not say which "worker"'),
        ('{"workers": [{"name": "a", "task": " "}]}', r'workers\[0\] does not say which "task"'),
        ('{"dispatch": [{"worker": "a", "task": "x", "tools": [1]}]}', "tools should be a list of names"),
        ('{"dispatch": [{"worker": "a", "task": "x", "tools": {}}]}', "tools should be a list"),
        ('{"dispatch": [{"worker": "a", "task": "x", "sees": [1.5]}]}', "sees should be a list of numbers"),
    ],
)
def test_what_is_refused_and_in_which_words(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        plan_in(text)


def test_a_plan_hands_out_so_many_tasks_and_no_more() -> None:
    task = {"worker": "a", "task": "x"}
    assert len(plan_in(json.dumps({"dispatch": [task] * MOST_ASSIGNMENTS})).dispatch) == MOST_ASSIGNMENTS
    with pytest.raises(InvalidInput, match="64 tasks at once, not 65"):
        plan_in(json.dumps({"dispatch": [task] * (MOST_ASSIGNMENTS + 1)}))


def test_the_schema_says_what_is_read_and_is_taken_as_it_is() -> None:
    schema = plan_schema(["code", "math"])
    said: dict[str, Any] = {
        "thought": None,
        "dispatch": [{"worker": "code", "task": "x", "tools": None, "sees": [1]}],
        "join": {"quorum": 2},
        "halt": False,
        "final_answer": None,
    }
    check(said, schema)
    assert plan_in(json.dumps(said)).join == Quorum(2)
    stranger = {"worker": "x", "task": "x", "tools": None, "sees": None}
    with pytest.raises(InvalidInput, match="worker"):
        check({**said, "dispatch": [stranger]}, schema)
    assert closed_schema(schema) == schema


def test_a_join_is_said_in_four_ways() -> None:
    assert [join_of(value) for value in ("all", "first", 2, Quorum(2), {"quorum": 3})] == [
        "all", "first", Quorum(2), Quorum(2), Quorum(3),
    ]  # fmt: skip
    mistakes: tuple[Any, ...] = (0, True, "some", None, [], {"quorum": 0})
    for wrong in mistakes:
        with pytest.raises(InvalidInput, match='join should be "all", "first" or Quorum'):
            join_of(wrong)
    with pytest.raises(InvalidInput, match="count"):
        Quorum(0)
