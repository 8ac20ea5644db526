"""JsonSchema, and the passages of an answer that it and others are after."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tako.errors import InvalidInput
from tako.verifiers import JsonSchema
from tako.verifiers.passages import NO_JSON, code_in, fenced, json_value_in
from tests.verifiers.kit import score, value

PRICE = {"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]}
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "text",
    [
        '{"price": 9}',
        ' \n{"price": 9}\n',
        'Here it is:\n```json\n{"price": 9}\n```\nGood luck!',
        'First\n```python\nprint({})\n```\nand then\n~~~\n{"price": 9}\n~~~',
        'The answer is {"price": 9}, I think.',
    ],
)
def test_json_is_found_where_models_put_it(text: str) -> None:
    assert score(JsonSchema(PRICE), text).value == 1.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nine", "there is no JSON in it"),
        ("", "there is no JSON in it"),
        ('{"price": NaN}', "there is no JSON in it"),
        ('{"price": 9', "there is no JSON in it"),
        ("[" * 100_000, "there is no JSON in it"),
        ("\ud800", "there is no JSON in it"),
        ('{"price": "9"}', "/price: should be a number, not text"),
        ("[]", "should be"),
        ("```\n{}\n```", "price"),
    ],
)
def test_the_reason_is_the_first_fault(text: str, reason: str) -> None:
    said = score(JsonSchema(PRICE), text)
    assert said.value == 0.0
    assert reason in said.reason


def test_null_is_json() -> None:
    assert value(JsonSchema({"type": "null"}), "null") == 1.0
    assert value(JsonSchema(True), "null") == 1.0
    assert value(JsonSchema(False), "null") == 0.0


class Price(BaseModel):
    price: float


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "numbr"}, "JsonSchema: schema: "),
        ("{}", "JsonSchema: schema should be a dict, as JSON has it, not str"),
        (Price, "take its model_json_schema"),
    ],
)
def test_what_is_no_schema_is_refused(schema: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        JsonSchema(schema)
    assert value(JsonSchema(Price.model_json_schema()), '{"price": 2}') == 1.0


def test_there_is_no_judging_json_that_still_grows() -> None:
    assert JsonSchema(PRICE).watch() is None


@given(TREES)
def test_any_json_is_found_again_as_it_is_and_fenced(tree: Any) -> None:
    text = json.dumps(tree)
    assert json_value_in(text) == tree
    assert json_value_in(f"See:\n```json\n{text}\n```\n") == tree


@given(st.text(alphabet="{}[]`~\"' \n:,1a\ud800") | st.text())
def test_any_text_is_searched_without_an_error(text: str) -> None:
    json_value_in(text)
    assert all(isinstance(block, str) for block in fenced(text))
    assert code_in(text) in (text, *fenced(text))


LINES = st.lists(st.text(alphabet="ab `\t", max_size=8).filter(lambda line: "```" not in line), max_size=4)


@given(LINES, LINES, st.sampled_from(["", "  ", "\t"]), st.sampled_from(["```", "````", "~~~"]))
def test_a_block_is_what_was_put_into_the_fence(
    before: list[str], lines: list[str], indent: str, fence: str
) -> None:
    block = "".join(f"{line}\n" for line in lines)
    written = [
        *before,
        f"{indent}{fence}py",
        *[f"{indent}{line}" for line in lines],
        f"{indent}{fence}",
        "end",
    ]
    assert list(fenced("\n".join(written))) == [block]
    assert list(fenced("\r\n".join(written))) == [block]


def test_fences_as_models_write_them() -> None:
    assert list(fenced("```a``` is inline")) == []
    assert list(fenced("````\n```\n````")) == ["```\n"]
    assert list(fenced("```\nnever closed")) == ["never closed\n"]
    assert list(fenced("1. so:\n   ```python\n   if x:\n       y\n   ```")) == ["if x:\n    y\n"]


def test_the_code_is_the_longest_block() -> None:
    text = "```sh\npip install it\n```\n```py\ndef f():\n    return 1\n```\n```py\nf()\n```"
    assert code_in(text) == "def f():\n    return 1\n"
    assert code_in("x = 1") == "x = 1"
    assert json_value_in("no braces") is NO_JSON
