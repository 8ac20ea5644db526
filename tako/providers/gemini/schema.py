"""A JSON schema as Gemini takes it: for the arguments of a tool, and for the format of an answer.

Gemini has two fields for either: the older one (`parameters`, `responseSchema`) takes a dialect of
OpenAPI without $ref, lists of types or additionalProperties, and refuses what it does not know;
the newer one (`parametersJsonSchema`, `responseJsonSchema`) takes JSON Schema itself, with $defs,
$ref, anyOf and additionalProperties, and passes over keywords that it does not know. The newer one
is used, so that a schema says there what it says here. What is left to do:

| keyword           | becomes                                                                    |
|-------------------|----------------------------------------------------------------------------|
| `const`           | `enum` with that one value, which is in the vendor's list where const is not |
| `nullable: true`  | "null" among the types: OpenAPI's word for it means nothing in JSON Schema |
| every other       | stays                                                                      |
"""

from __future__ import annotations

from typing import Any, Final

from tako.errors import InvalidInput

__all__ = ["taken_schema"]

BY_NAME: Final = ("properties", "$defs", "definitions", "patternProperties")
IN_A_LIST: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
ALONE: Final = ("items", "additionalProperties", "not")
MAX_DEPTH: Final = 100


def taken_schema(schema: dict[str, Any], what: str) -> dict[str, Any]:
    """The same schema in the words that Gemini knows; raises InvalidInput for what is no schema."""
    try:
        taken = _taken(schema, 0)
    except (TypeError, AttributeError) as error:
        raise InvalidInput(f"{what} is not a JSON schema: {error}") from None
    if not isinstance(taken, dict):
        raise InvalidInput(f"{what} is not a JSON schema: it should be an object")
    return taken


def _taken(schema: Any, depth: int) -> Any:
    if not isinstance(schema, dict):
        return schema  # true and false are schemas too
    if depth > MAX_DEPTH:
        raise InvalidInput(f"a schema is nested more than {MAX_DEPTH} deep")
    taken: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword == "const":
            taken["enum"] = [value]
        elif keyword in BY_NAME:
            taken[keyword] = {name: _taken(child, depth + 1) for name, child in value.items()}
        elif keyword in IN_A_LIST:
            taken[keyword] = [_taken(child, depth + 1) for child in value]
        elif keyword in ALONE:
            taken[keyword] = _taken(value, depth + 1)
        elif keyword != "nullable":
            taken[keyword] = value
    if schema.get("nullable") is True:
        return _nullable(taken)
    return taken


def _nullable(taken: dict[str, Any]) -> dict[str, Any]:
    types = taken.get("type")
    if types is None:
        return {"anyOf": [taken, {"type": "null"}]}
    listed = types if isinstance(types, list) else [types]
    if "null" not in listed:
        listed = [*listed, "null"]
    with_null = {**taken, "type": listed}
    if "enum" in taken and None not in taken["enum"]:
        with_null["enum"] = [*taken["enum"], None]
    return with_null
