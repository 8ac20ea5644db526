"""Values are checked against the JSON schemas of others: as jsonschema does, in words, and within limits."""

from __future__ import annotations

import enum
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measure import count_calls
from tako.errors import InvalidInput
from tako.json_schema import Checker, check, compiled
from tako.json_schema.node import STEPS
from tests.support.vendor_types import library


def fits(value: Any, schema: Any) -> bool:
    try:
        check(value, schema)
    except InvalidInput as error:
        assert "schema is wrong" not in error.message, error.message
        return False
    return True


# Vectors: a schema, values that fit, values that do not.

TREE = {
    "$ref": "#/$defs/tree",
    "$defs": {
        "tree": {
            "type": "object",
            "properties": {
                "of": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
                "n": {"type": "integer"},
            },
        }
    },
}

VECTORS: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("true", True, [1, None, {}], []),
    ("false", False, [], [1, None, {}]),
    ("empty", {}, [1, None, {}], []),
    ("integer", {"type": "integer"}, [1, 1.0, -0.0, 10**400, 1e300], [1.5, True, "1", None, float("inf")]),
    ("number", {"type": "number"}, [1, 1.5], [True, "1"]),
    ("types", {"type": ["string", "null"]}, ["", None], [0, False, []]),
    ("integer or number", {"type": ["integer", "number"]}, [1.5], ["x"]),
    ("tuple", {"type": "array", "items": {"type": "integer"}}, [(1, 2)], [(1, "2")]),
    (
        "enum",
        {"enum": [1, "a", None, [1], {"a": 1.0}]},
        [1.0, "a", None, [1.0], {"a": 1}],
        [True, "b", [True], {}],
    ),
    ("enum of numbers", {"enum": [0, 1]}, [0, 1, 0.0], [False, True]),
    ("const", {"const": {"a": [1, {"b": False}]}}, [{"a": [1, {"b": False}]}], [{"a": [1, {"b": 0}]}]),
    ("const in any order", {"const": {"a": 1, "b": 2}}, [{"b": 2, "a": 1}], [{"a": 2, "b": 1}]),
    ("multipleOf", {"multipleOf": 0.01}, [0.07, 19.99, 4.35, 1, 1e300], [0.075, float("nan"), float("inf")]),
    ("multipleOf a tenth", {"multipleOf": 0.1}, [0.3, 0.7, 1.1, 3], [0.35]),
    ("multipleOf whole", {"multipleOf": 3}, [0, 9, 9.0, 3 * 10**400], [1, 9.5, 10**400]),
    ("multipleOf tiny", {"multipleOf": 1e-300}, [1e300, 5e-300], [1.5e-300]),
    ("limits", {"minimum": 1, "exclusiveMaximum": 3}, [1, 2.999], [0.999, 3, float("nan")]),
    ("strict limits", {"exclusiveMinimum": 1, "maximum": 3}, [1.01, 3], [1, 3.01, 2**60]),
    ("limits are for numbers", {"minimum": 5}, ["", [], True, None], [4]),
    ("beyond the reach of floats", {"maximum": 2**53}, [2**53], [2**53 + 1]),
    ("length", {"minLength": 1, "maxLength": 2}, ["a", "\U0001f419\U0001f419", 5], ["", "abc"]),
    ("length as a float", {"maxLength": 2.0}, ["ab"], ["abc"]),
    ("pattern", {"pattern": "b+c"}, ["abbcd", 7], ["ac", ""]),
    ("required", {"required": ["a", "b"]}, [{"a": None, "b": 1}, []], [{"a": 1}, {}]),
    (
        "properties",
        {"properties": {"a": {"type": "null"}, "b": False}},
        [{"a": None}, {"c": 1}, 3],
        [{"a": 1}, {"b": 1}],
    ),
    (
        "patternProperties",
        {"patternProperties": {"^x-": {"type": "string"}, "y$": {"maxLength": 1}}},
        [{"x-a": "s", "a": 1}, {"x-y": "s"}],
        [{"x-a": 1}, {"x-y": "ss"}, {"y": "ss"}],
    ),
    (
        "additionalProperties",
        {
            "properties": {"a": {}},
            "patternProperties": {"^b": {}},
            "additionalProperties": {"type": "integer"},
        },
        [{"a": "", "bb": "", "c": 1}],
        [{"c": ""}],
    ),
    ("closed", {"properties": {"a": {}}, "additionalProperties": False}, [{"a": 1}, {}], [{"b": 1}]),
    ("propertyNames", {"propertyNames": {"maxLength": 2}}, [{"ab": 1}, {}], [{"abc": 1}]),
    (
        "number of properties",
        {"minProperties": 1, "maxProperties": 2},
        [{"a": 1}],
        [{}, {"a": 1, "b": 2, "c": 3}],
    ),
    ("dependentRequired", {"dependentRequired": {"a": ["b"]}}, [{"a": 1, "b": 1}, {"b": 1}, {}], [{"a": 1}]),
    (
        "dependentSchemas",
        {"dependentSchemas": {"a": {"required": ["b"]}, "z": False}},
        [{"a": 1, "b": 1}, {}],
        [{"a": 1}, {"z": 1}],
    ),
    ("items", {"items": {"type": "integer"}}, [[], [1, 2], "x"], [[1, "2"]]),
    ("no items", {"items": False}, [[]], [[1]]),
    (
        "prefixItems",
        {"prefixItems": [{"type": "integer"}, {"type": "string"}]},
        [[], [1], [1, "a", None]],
        [["a"], [1, 1]],
    ),
    ("prefixItems and items", {"prefixItems": [{}], "items": {"type": "null"}}, [[1, None], [1]], [[1, 1]]),
    ("prefixItems alone", {"prefixItems": [{}], "items": False}, [[1], []], [[1, 1]]),
    ("items of old", {"items": [{"type": "integer"}], "additionalItems": False}, [[1], []], [["a"], [1, 1]]),
    ("contains", {"contains": {"type": "integer"}}, [["a", 1], {}], [[], ["a"]]),
    (
        "contains some",
        {"contains": {"const": 1}, "minContains": 2, "maxContains": 3},
        [[1, 1], [1, 2, 1, 1]],
        [[1], [1, 1, 1, 1]],
    ),
    (
        "contains none",
        {"contains": {"const": 1}, "minContains": 0, "maxContains": 1},
        [[], [2], [1]],
        [[1, 1]],
    ),
    ("length of lists", {"minItems": 1, "maxItems": 2}, [[1], [1, 2]], [[], [1, 2, 3]]),
    (
        "uniqueItems",
        {"uniqueItems": True},
        [[1, True, "1", None], [[1], [True]], [{"a": 1}, {"a": 2}], ["1", 1], [["a", "b"], ["a, b"]]],
        [[1, 1.0], [{"a": 1, "b": 2}, {"b": 2, "a": 1.0}], [[], []], ["a", "b", "a"]],
    ),
    ("uniqueItems false", {"uniqueItems": False}, [[1, 1]], []),
    ("allOf", {"allOf": [{"minimum": 1}, {"maximum": 3}]}, [2], [0, 4]),
    ("anyOf", {"anyOf": [{"type": "string"}, {"minimum": 3}]}, ["a", 3, None], [2]),
    ("oneOf", {"oneOf": [{"multipleOf": 3}, {"multipleOf": 5}]}, [3, 5], [15, 2]),
    ("not", {"not": {"type": "string"}}, [1], ["a"]),
    (
        "if",
        {
            "if": {"properties": {"k": {"const": 1}}, "required": ["k"]},
            "then": {"required": ["a"]},
            "else": {"required": ["b"]},
        },
        [{"k": 1, "a": 1}, {"b": 1}],
        [{"k": 1, "b": 1}, {"a": 1}],
    ),
    ("then without if", {"then": False, "else": False}, [1], []),
    ("a tree", TREE, [{"of": [{"of": [], "n": 1}]}, {}], [{"of": [{"of": [{"n": "x"}]}]}, 3]),
    (
        "a reference and more",
        {"$ref": "#/definitions/a", "minimum": 3, "definitions": {"a": {"type": "integer"}}},
        [3],
        [2, "a"],
    ),
    (
        "a reference to all",
        {"properties": {"next": {"$ref": "#"}}, "additionalProperties": False},
        [{"next": {"next": {}}}],
        [{"next": {"x": 1}}],
    ),
    ("escapes", {"$ref": "#/$defs/a~1b~0c%25%20d", "$defs": {"a/b~c% d": {"type": "null"}}}, [None], [1]),
    ("an escaped tilde", {"$ref": "#/$defs/~01", "$defs": {"~1": {"type": "null"}, "/": True}}, [None], [1]),
    ("const with odd names", {"const": {"a:1,'b'": 2}}, [{"a:1,'b'": 2}], [{"a": 1, "b": 2}, {"a:1,b": 2}]),
    ("const with names like values", {"const": {"a": 1, "b": 2}}, [{"a": 1, "b": 2}], [{"a:1,b": 2}]),
    ("into a list", {"allOf": [{"type": "integer"}], "properties": {"a": {"$ref": "#/allOf/0"}}}, [1], [{}]),
    (
        "an anchor",
        {"items": {"$ref": "#word"}, "$defs": {"w": {"$anchor": "word", "type": "string"}}},
        [["a"]],
        [[1]],
    ),
    (
        "a document of a name",
        {
            "$id": "https://x.example/a/b.json",
            "items": {"$ref": "b.json#/$defs/w"},
            "$defs": {"w": {"type": "string"}},
        },
        [["a"]],
        [[1]],
    ),
    (
        "a document in a document",
        {
            "$id": "https://x.example/",
            "items": {"$ref": "inner.json"},
            "$defs": {
                "i": {"$id": "inner.json", "$ref": "#/$defs/n", "$defs": {"n": {"type": "null"}}},
                "n": {"type": "string"},
            },
        },
        [[None]],
        [["a"]],
    ),
    (
        "names that are no keywords",
        {"properties": {"$ref": {"type": "string"}, "enum": {"type": "null"}}},
        [{"$ref": "a", "enum": None}],
        [{"$ref": 1}],
    ),
    (
        "what is no assertion",
        {"format": "email", "default": 3, "title": "x", "x-y": [], "examples": [1]},
        [None, "nobody"],
        [],
    ),
]


@pytest.mark.parametrize(
    ("schema", "good", "bad"), [vector[1:] for vector in VECTORS], ids=[v[0] for v in VECTORS]
)
def test_what_fits_and_what_does_not(schema: Any, good: list[Any], bad: list[Any]) -> None:
    checker = compiled(schema)
    assert checker.passed_over == ()
    for value in good:
        checker.check(value)
    for value in bad:
        with pytest.raises(InvalidInput):
            checker.check(value)


ORDER = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": {"type": "object", "properties": {"price": {"type": "number"}}}},
        "note": {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]},
        "count": {"type": "integer", "minimum": 1},
        "color": {"enum": ["red", "green", None]},
        "a/b~c": {"type": "null"},
        "pair": {"prefixItems": [{}, {}], "items": False, "minItems": 1},
        "form": {
            "oneOf": [
                {"properties": {"kind": {"const": "circle"}, "r": {"type": "number"}}, "required": ["kind"]},
                {
                    "properties": {"kind": {"const": "square"}, "side": {"type": "number"}},
                    "required": ["kind"],
                },
            ]
        },
        "closed": {"properties": {"x": {}, "y": {}}, "additionalProperties": False},
    },
    "required": ["items"],
}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "the value should be an object, not a list"),
        ({}, 'the value lacks "items"'),
        ({"items": [{}, {"price": "9"}]}, "/items/1/price: should be a number, not text"),
        ({"items": [], "note": 3}, "/note: should be text or null, not a number"),
        (
            {"items": [], "note": "long"},
            "/note: should have at most 3 characters, not 4 (in the nearest of 2 forms",
        ),
        ({"items": [], "count": 1.5}, "/count: should be a whole number, not 1.5"),
        ({"items": [], "count": 0}, "/count: should be at least 1, not 0"),
        ({"items": [], "color": "blue"}, '/color: should be "red", "green" or null'),
        ({"items": [], "a/b~c": 1}, "/a~1b~0c: should be null, not a number"),
        ({"items": [], "form": {"kind": "square", "side": "x"}}, "/form/side: should be a number, not text"),
        ({"items": [], "closed": {"z": 1}}, '/closed/z: is not allowed here; what is: "x" and "y"'),
        ({"items": [], "pair": [1, 2, 3]}, "/pair: should have at most 2 entries, not 3"),
        ({"items": [], "pair": []}, "/pair: should have at least 1 entry, not 0"),
        ({"items": [], "count": b"1"}, "/count: should be JSON, which has no bytes"),
    ],
)
def test_the_words_say_where_and_what(value: Any, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(value, ORDER)
    assert caught.value.message.startswith(words)


def test_words_stay_short_and_hold_no_text_of_the_value() -> None:
    schema = {
        "type": "object",
        "propertyNames": {"maxLength": 3},
        "additionalProperties": {"enum": list(range(99))},
    }
    for value in ({"x" * 10_000: 1}, {"a": "secret"}, {"a": 10**5000}):
        with pytest.raises(InvalidInput) as caught:
            check(value, schema)
        assert len(caught.value.message) < 300
        assert "secret" not in caught.value.message


def test_enums_of_python_and_types_made_from_those_of_json_are_what_they_hold() -> None:
    class Color(enum.StrEnum):
        RED = "red"

    class Size(enum.IntEnum):
        BIG = 3

    assert fits([Color.RED, Size.BIG], {"prefixItems": [{"enum": ["red"]}, {"const": 3, "type": "integer"}]})
    assert fits(Color.RED, {"type": "string", "pattern": "^red$"})
    assert not fits(object(), {}) and not fits({1}, {"items": {}})


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (3, "at its root: a schema should be"),
        ({"type": "strng"}, "at /type: should be one of null, boolean"),
        ({"properties": {"a": {"minimum": "3"}}}, "at /properties/a/minimum: should be a number"),
        ({"minimum": True}, "at /minimum"),
        ({"minimum": float("nan")}, "at /minimum"),
        ({"maxLength": -1}, "at /maxLength: should be a whole number"),
        ({"multipleOf": 0}, "at /multipleOf: should be more than 0"),
        ({"properties": []}, "at /properties: should be an object"),
        ({"items": 3}, "at /items: a schema should be"),
        ({"required": "a"}, "at /required: should be a list of names"),
        ({"dependentRequired": {"a": [1]}}, "at /dependentRequired"),
        ({"enum": "abc"}, "at /enum"),
        ({"anyOf": []}, "at /anyOf"),
        ({"allOf": [{}, 7]}, "at /allOf/1"),
        ({"uniqueItems": 1}, "at /uniqueItems"),
        ({"pattern": 1}, "at /pattern"),
        ({"$ref": 1}, "at /$ref"),
        ({"$ref": "#/$defs/a"}, 'at /$ref: nothing is at "#/$defs/a"'),
        ({"$ref": "#/allOf/1", "allOf": [{}]}, "at /$ref: nothing"),
        ({"$ref": "#nowhere"}, "at /$ref: nothing"),
        ({"$ref": "#/x", "x": {"items": {"type": 1}}}, "at #/x/items/type"),
    ],
)
def test_a_schema_that_is_wrong_is_said_to_be(schema: Any, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        compiled(schema)
    assert caught.value.message.startswith(f"the schema is wrong {words}")


# What is passed over, and what that does to the rest.

ELSEWHERE = {"$ref": "https://elsewhere.example/schema.json"}


@pytest.mark.parametrize(
    ("schema", "values", "places"),
    [
        (ELSEWHERE, [1, {}], ["/$ref: leads out"]),
        ({"$ref": "http://[broken"}, [1], ["/$ref: leads out"]),
        ({"pattern": r"(?=x)a"}, ["b"], ['/pattern: the pattern "(?=x)a" is not matched here']),
        ({"not": ELSEWHERE}, [1], ["/not/$ref"]),
        ({"not": {"anyOf": [{"items": ELSEWHERE}, False]}}, [[1]], ["/not/anyOf/0/items/$ref"]),
        ({"oneOf": [ELSEWHERE, {}]}, [1], ["/oneOf/0/$ref"]),
        ({"if": ELSEWHERE, "then": False, "else": False}, [1], ["/if/$ref"]),
        ({"contains": ELSEWHERE, "maxContains": 1}, [[1, 2]], ["/contains/$ref"]),
        (
            {"patternProperties": {r"\bx": {"type": "null"}}, "additionalProperties": False},
            [{"x": 1}, {"y": 1}],
            ["/patternProperties: the pattern"],
        ),
        ({"unevaluatedProperties": False}, [{"a": 1}], ["/unevaluatedProperties: is not applied"]),
        ({"not": {"unevaluatedItems": False}}, [[1]], ["/not/unevaluatedItems"]),
        (
            {"not": {"$ref": "#/$defs/a"}, "$defs": {"a": {"not": {"$dynamicRef": "#x"}}}},
            [1],
            ["#/$defs/a/not/$dynamicRef"],
        ),
    ],
)
def test_what_is_passed_over_is_told_and_refuses_nothing(
    schema: Any, values: list[Any], places: list[str]
) -> None:
    checker = compiled(schema)
    assert len(checker.passed_over) == len(places)
    assert all(told.startswith(place) for told, place in zip(checker.passed_over, places, strict=True))
    for value in values:
        checker.check(value)


def test_what_is_not_passed_over_still_counts_beside_it() -> None:
    assert not fits(1, {"oneOf": [ELSEWHERE, {"const": 1}, {"type": "integer"}]})
    assert not fits([], {"contains": ELSEWHERE})
    assert not fits(
        {"x": 1}, {"patternProperties": {r"\bx": {}}, "additionalProperties": False, "maxProperties": 0}
    )
    assert not fits("a", {"allOf": [ELSEWHERE, {"type": "integer"}]})


# Limits.


def nested(depth: int, innermost: Any = None) -> Any:
    value = innermost
    for _ in range(depth):
        value = [value]
    return value


def linked(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = {"next": value}
    return value


@pytest.mark.parametrize(
    ("value", "schema", "words"),
    [
        (nested(101), {"items": {"$ref": "#"}}, "nested too deeply"),
        (nested(101), {"const": 1}, "nested too deeply"),
        (linked(101), {"properties": {"next": {"$ref": "#"}}}, "nested too deeply"),
        (linked(101), {"additionalProperties": {"$ref": "#"}}, "nested too deeply"),
        (nested(101), {"contains": {"$ref": "#"}, "minContains": 0}, "nested too deeply"),
        (nested(101), {"items": {"uniqueItems": True}}, "nested too deeply"),
        (1, {"$ref": "#"}, "refers to itself without end"),
        (
            [1],
            {"items": {"anyOf": [{"$ref": "#/$defs/a"}]}, "$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}},
            "itself",
        ),
        ([0] * (STEPS + 1), {"items": {"type": "integer"}}, "100,000 steps"),
        (list(range(STEPS + 1)), {"uniqueItems": True}, "100,000 steps"),
        ({str(n): 0 for n in range(STEPS + 1)}, {"additionalProperties": {"minimum": 0}}, "100,000 steps"),
        ("x" * 129 * STEPS, {"pattern": "y"}, "100,000 steps"),
        (
            {str(n): 0 for n in range(2000)},
            {"patternProperties": {f"{n}x": {} for n in range(100)}},
            "100,000 steps",
        ),
    ],
)
def test_what_goes_too_far_is_refused_in_words(value: Any, schema: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        check(value, schema)


def test_values_may_be_as_deep_as_is_said() -> None:
    check(nested(100), {"items": {"$ref": "#"}})
    check({"of": nested(99)}, {"properties": {"of": {"const": nested(99)}}})


def test_a_schema_that_doubles_its_work_at_each_level_is_stopped() -> None:
    levels = {str(n): {"allOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(60)}
    with pytest.raises(InvalidInput, match="steps"):
        check(1, {"$ref": "#/$defs/0", "$defs": {**levels, "60": {}}})


def test_a_long_chain_of_references_is_no_recursion_error() -> None:
    links = {str(n): {"$ref": f"#/$defs/{n + 1}"} for n in range(2000)}
    checker = compiled({"$ref": "#/$defs/0", "$defs": {**links, "2000": {"type": "null"}}})
    with pytest.raises(InvalidInput, match="nested too deeply"):
        checker.check(None)


def test_little_stack_is_enough_to_say_so() -> None:
    checker = compiled({"items": {"$ref": "#"}})

    def down(frames: int) -> None:
        if frames:
            down(frames - 1)
        else:
            checker.check(nested(100))

    used = 0
    frame = sys._getframe()
    while frame is not None:
        used, frame = used + 1, frame.f_back  # type: ignore[assignment]
    with pytest.raises(InvalidInput, match="nested too deeply"):
        down(sys.getrecursionlimit() - used - 100)


def test_a_schema_that_is_nested_without_end_is_refused() -> None:
    schema: Any = {}
    for _ in range(50_000):
        schema = {"items": schema}
    with pytest.raises(InvalidInput, match="nested deeper"):
        compiled(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {str(n): {"not": {}} for n in range(20_000)}},
        {"allOf": [{"$anchor": f"a{n}"} for n in range(2000)]},
        {"$id": "x" * 2000},
    ],
)
def test_a_schema_that_is_too_large_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidInput, match="more than"):
        compiled(schema)


def test_what_a_flat_object_costs() -> None:
    names = ("string", "integer", "number")
    checker = compiled(
        {"type": "object", "properties": {name: {"type": name} for name in names}, "required": list(names)}
    )
    value = {"string": "", "integer": 1, "number": 2.5}
    assert count_calls(lambda: checker.check(value)) < 15


# Against jsonschema.


@pytest.fixture(scope="module")
def oracle() -> Any:
    return library("jsonschema")


NAMES = st.sampled_from(["a", "b", "ab", "c"])
NUMBERS = st.one_of(st.integers(-4, 9), st.sampled_from([0.5, 1.0, 1.5, 2.0, -0.0, 1e300, 10**30]))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.text("ab1", max_size=4))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
COUNTS = st.integers(0, 3)


def keywords(inner: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    some = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(NAMES, inner, max_size=3)
    names = st.lists(NAMES, max_size=2, unique=True)
    patterns = st.sampled_from(["a", "^a$", "b|c", "^(a|b)+$", "[^a]"])
    return {
        "type": st.one_of(TYPES, st.lists(TYPES, min_size=1, max_size=3, unique=True)),
        "enum": st.lists(VALUES, min_size=1, max_size=4),
        "const": VALUES,
        **dict.fromkeys(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"], NUMBERS),
        "multipleOf": st.sampled_from([1, 2, 3, 0.5, 0.25]),
        **dict.fromkeys(
            ["minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"], COUNTS
        ),
        "pattern": patterns,
        "properties": named,
        "dependentSchemas": named,
        "patternProperties": st.dictionaries(patterns, inner, max_size=2),
        "dependentRequired": st.dictionaries(NAMES, names, max_size=2),
        "required": names,
        **dict.fromkeys(
            ["additionalProperties", "propertyNames", "items", "contains", "not", "if", "then", "else"], inner
        ),
        "minContains": COUNTS,
        "maxContains": COUNTS,
        "uniqueItems": st.booleans(),
        **dict.fromkeys(["prefixItems", "allOf", "anyOf", "oneOf"], some),
        "$ref": st.sampled_from(["#/$defs/a", "#/$defs/b", "#anchor"]),
    }


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A few keywords each, chosen first: a schema of all of them fits nothing."""
    every = keywords(inner)
    chosen = st.lists(st.sampled_from(sorted(every)), min_size=1, max_size=4, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: every[name] for name in names}))


LEAVES = st.one_of(
    st.booleans(), TYPES.map(lambda name: {"type": name}), SCALARS.map(lambda value: {"const": value})
)
SCHEMAS = st.recursive(LEAVES, objects, max_leaves=12)


def with_definitions(schema: Any, a: Any, b: Any) -> Any:
    """References lead on to a or b, which may lead back: with a part of the value, and so not for ever."""
    if not isinstance(schema, dict):
        return schema
    down = {
        "type": ["array", "object", "string", "number"],
        "properties": {"a": {"$ref": "#/$defs/b"}},
        "items": a,
    }
    return {
        **schema,
        "$defs": {
            "a": down,
            "b": {"anyOf": [{"type": "null"}, down, b]},
            "c": {"$anchor": "anchor", "not": {"const": 1}},
        },
    }


@given(
    schema=st.builds(with_definitions, SCHEMAS, LEAVES, LEAVES),
    values=st.lists(VALUES, min_size=8, max_size=8),
)
def test_it_agrees_with_jsonschema(oracle: Any, schema: Any, values: list[Any]) -> None:
    theirs = oracle.Draft202012Validator(schema)
    ours: Checker = compiled(schema)
    assert ours.passed_over == ()
    for value in values:
        try:
            ours.check(value)
        except InvalidInput as error:
            assert not theirs.is_valid(value), error.message
        else:
            assert theirs.is_valid(value), value


WORDS = st.sampled_from([*keywords(st.none()), "$id", "$anchor", "$defs", "$dynamicRef"])
RUBBISH = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(NAMES, WORDS), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(RUBBISH, VALUES)
def test_whatever_is_handed_in_nothing_else_is_raised(schema: Any, value: Any) -> None:
    try:
        compiled(schema).check(value)
    except InvalidInput as error:
        assert error.message
