"""Mirrored parameters: which marks are good, what becomes of a value, and back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import InvalidInput
from tako.mcp.mirrored import decoded, encoded, marks_of, mirrored


def marked(name: Any, type: Any = "string") -> dict[str, Any]:
    return {"type": type, "x-mcp-header": name}


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def test_marks_are_found_where_properties_alone_lead() -> None:
    schema = of(region=marked("Region"), deep=of(inner=marked("Count", "integer")), plain={"type": "string"})
    assert marks_of(schema) == {("region",): "Region", ("deep", "inner"): "Count"}


def test_a_property_may_have_the_name_of_a_keyword_or_of_the_mark() -> None:
    schema = of(items=marked("A"), properties=of(anyOf=marked("B")), **{"x-mcp-header": {"type": "string"}})
    assert marks_of(schema) == {("items",): "A", ("properties", "anyOf"): "B"}


def test_where_no_schema_is_a_mark_is_none() -> None:
    mark = {"x-mcp-header": "not a mark"}
    schema = of(a={"type": "string", "enum": [mark], "const": mark, "default": mark, "examples": [mark]})
    assert marks_of(schema) == {}
    assert [marks_of(odd) for odd in (None, True, 5, "x", [mark], {"properties": [mark]})] == [{}] * 6


WITHIN = [
    *[{word: marked("A")} for word in (
        "additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames",
        "then", "unevaluatedItems", "unevaluatedProperties")],
    *[{word: [True, marked("A")]} for word in ("allOf", "anyOf", "oneOf", "prefixItems")],
    *[{word: {"k": marked("A")}} for word in ("$defs", "definitions", "dependentSchemas",
                                             "patternProperties")],
]  # fmt: skip


@pytest.mark.parametrize("schema", WITHIN, ids=lambda schema: next(iter(schema)))
def test_a_mark_where_an_argument_is_not_reached_spoils_the_tool(schema: Any) -> None:
    for one in (schema, of(a=schema), {"items": of(a=schema)}):
        with pytest.raises(InvalidInput, match="no property"):
            marks_of(one)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (marked("A"), "no property"),
        (of(a=marked("two words")), "'a' is not the name"),
        (of(a=marked("")), "not the name"),
        (of(a=marked("A\n")), "not the name"),
        (of(a=marked("\u00c4")), "not the name"),
        (of(a=marked(5)), "not the name"),
        (of(a=marked(None)), "not the name"),
        (of(a=marked("A", "number")), "not a string, an integer or a boolean"),
        (of(a=marked("A", "object")), "not a string"),
        (of(a=marked("A", ["string", "null"])), "not a string"),
        (of(a={"x-mcp-header": "A"}), "not a string"),
        (of(a=marked("Same"), b=of(c=marked("sAME"))), "another property"),
    ],
)  # fmt: skip
def test_a_mark_that_is_not_good_spoils_the_tool(schema: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        marks_of(schema)


@pytest.mark.parametrize(
    ("value", "header"),
    [
        ("eu", "eu"),
        ("", ""),
        (True, "true"),
        (False, "false"),
        (-5, "-5"),
        (2**70, str(2**70)),
        (5.0, "5"),
        (1.5, "1.5"),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("a\tb", "=?base64?YQli?="),
        ("\u00e4", "=?base64?w6Q=?="),
        ("=?base64?eA==?=", "=?base64?PT9iYXNlNjQ/ZUE9PT89?="),
        (None, None),
        ([1], None),
        ({}, None),
        (10**4001, None),
        (float("inf"), None),
    ],
)
def test_a_value_becomes_a_header_or_is_left_out(value: Any, header: str | None) -> None:
    headers = mirrored({("p", "q"): "X"}, {"p": {"q": value}})
    assert headers == (() if header is None else (("Mcp-Param-X", header),))


def test_what_is_not_there_is_left_out() -> None:
    nothing: tuple[dict[str, Any], ...] = {}, {"p": None}, {"p": 5}, {"p": {}}
    assert [mirrored({("p", "q"): "X"}, arguments) for arguments in nothing] == [()] * 4


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_comes_back_as_it_was_from_a_value_that_any_header_can_hold(text: str) -> None:
    value = encoded(text)
    assert value.isascii()
    assert value.isprintable()
    assert value == value.strip()
    assert decoded(value) == text


@pytest.mark.parametrize("value", ["=?base64?!?=", "=?base64?eA?=", "=?base64?eB==?=", "=?base64?/w==?="])
def test_what_is_coded_and_not_well_is_none(value: str) -> None:
    assert decoded(value) is None


def test_what_only_looks_coded_is_itself() -> None:
    assert decoded("=?BASE64?eA==?=") == "=?BASE64?eA==?="
    assert decoded("=?base64?eA==?= ") == "=?base64?eA==?= "
