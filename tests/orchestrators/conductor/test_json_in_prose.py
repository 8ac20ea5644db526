"""Finding the objects in what a model has said, in linear time."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.orchestrators.conductor import json_in_prose
from tako.orchestrators.conductor.json_in_prose import DEEPEST, LONGEST, objects_in
from tests.effort import examples

PIECES = st.sampled_from(['{"', "{", "}", '"', "\\", "[", "]", ":", ",", " ", "a", "1", "{}", '{"a":', "\n"])
junk = st.lists(PIECES, max_size=60).map("".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=4), values, max_size=4)


@settings(max_examples=examples(0.6))
@given(before=st.text(max_size=40) | junk, found=objects, after=st.text(max_size=40) | junk)
def test_whatever_stands_around_an_object_it_is_found(before: str, found: Any, after: str) -> None:
    """Defect 33."""
    assert found in list(objects_in(before + json.dumps(found) + after))


@given(text=junk | st.text())
def test_any_text_is_read_and_what_is_found_stands_in_it(text: str) -> None:
    for found in objects_in(text):
        assert isinstance(found, dict)
        assert len(json.dumps(found, ensure_ascii=False)) <= 6 * len(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('```json\n{"a": 1}\n```', [{"a": 1}]),
        ('use {braces}, and "quotes: {"a": 1}', [{"a": 1}]),
        ('{"a": {"b": 2}}', [{"a": {"b": 2}}, {"b": 2}]),
        ('{"a": "{\\"b\\": 2}"}', [{"a": '{"b": 2}'}]),
        ('{"a": "two\nlines"}', [{"a": "two\nlines"}]),
        ('{"open": {"a": 1}', [{"a": 1}]),
        ('{"a": [1, 2}, {"b": 1}', [{"b": 1}]),
        ('{"a": nothing} {"b": 1}', [{"b": 1}]),
        ("no braces", []),
        ("}", []),
    ],
)
def test_what_is_found(text: str, found: list[Any]) -> None:
    assert list(objects_in(text)) == found


def test_an_object_has_a_depth_and_a_text_a_length() -> None:
    def nested(depth: int) -> str:
        return '{"a":' * depth + "1" + "}" * depth

    assert len(list(objects_in(nested(DEEPEST)))) == DEEPEST
    # What is too deep is not found, and what stands in it is.
    assert len(list(objects_in(nested(DEEPEST + 5)))) == DEEPEST
    assert not list(objects_in(" " * LONGEST + "{}"))


@pytest.mark.parametrize(
    "unit",
    ['{"a":', '{"\\"', '{"a":"', '{"', '{"{"', '{"a":[', '{"a":{},"b":[{"c":1},', '{"}', "{ ", '"{"a'],
)
def test_the_time_is_linear(unit: str) -> None:
    """By counting what is looked at: twice the text, twice as often."""

    def asked(text: str) -> int:
        count = 0

        def profile(frame: Any, kind: str, function: Any) -> None:
            nonlocal count
            if kind == "c_call" and getattr(function, "__name__", "") == "span":
                count += 1

        sys.setprofile(profile)
        try:
            list(json_in_prose.objects_in(text))
        finally:
            sys.setprofile(None)
        return count

    once = asked(unit * 80)
    assert asked(unit * 160) <= 2.5 * once
    assert once <= 80 * len(unit) * 2 * DEEPEST
