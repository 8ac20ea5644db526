"""A JSON schema as Anthropic and Amazon Bedrock take it for the answer's format.

Both take the same subset, and refuse all else: every object is closed, and no keyword is outside a
list. What they do not take is told to the model in the description instead, which is what Anthropic's
own library does; whoever asked for the schema checks the answer against the whole of it anyway.

| keyword                    | what becomes of it                                                     |
|----------------------------|------------------------------------------------------------------------|
| oneOf                      | `anyOf`; told, if there is an anyOf beside it                          |
| additionalProperties       | false in every object; told, if it was another                         |
| format, minItems           | as they are, if they are one of the few that are taken; else told      |
| enum, const                | as they are, if they hold no objects and no arrays; else told          |
| beside `$ref`              | left out if it is not taken: the schema that is referred to says it    |
| any other outside KEYWORDS | told                                                                   |
"""

from __future__ import annotations

from typing import Any, Final

from tako.errors import InvalidInput
from tako.providers.body import json_text

__all__ = ["closed_schema"]

KEYWORDS: Final = frozenset(
    {
        "$defs",
        "$ref",
        "$schema",
        "additionalProperties",
        "allOf",
        "anyOf",
        "const",
        "definitions",
        "description",
        "enum",
        "format",
        "items",
        "minItems",
        "properties",
        "required",
        "title",
        "type",
    }
)
FORMATS: Final = frozenset(
    {
        "date",
        "date-time",
        "duration",
        "email",
        "hostname",
        "ipv4",
        "ipv6",
        "time",
        "uri",
        "uuid",
    }
)


def closed_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The nearest schema that is taken; raises InvalidInput for what is no schema."""
    try:
        return _closed(schema)
    except (TypeError, AttributeError) as error:
        raise InvalidInput(f"output_schema is not a JSON schema: {error}") from None


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    taken: dict[str, Any] = {}
    untaken: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword == "oneOf" and "anyOf" not in schema:
            taken["anyOf"] = [_closed(child) for child in value]
        elif _is_taken(keyword, value):
            taken[keyword] = _child(keyword, value)
        else:
            untaken[keyword] = value
    if _is_object(taken.get("type")):
        open_to = schema.get("additionalProperties")
        if open_to not in (None, False):
            untaken["additionalProperties"] = open_to
        taken["additionalProperties"] = False
    if untaken and "$ref" not in taken:
        rules = ", ".join(f"{keyword}: {json_text(value, keyword)}" for keyword, value in untaken.items())
        taken["description"] = f"{taken.get('description', '')}\n\n{{{rules}}}".lstrip()
    return taken


def _is_object(kind: Any) -> bool:
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def _is_taken(keyword: str, value: Any) -> bool:
    if keyword == "format":
        return value in FORMATS
    if keyword == "minItems":
        return value in (0, 1)
    if keyword in ("enum", "const"):
        return not any(isinstance(one, dict | list) for one in (value if keyword == "enum" else [value]))
    return keyword in KEYWORDS


def _child(keyword: str, value: Any) -> Any:
    if keyword in ("properties", "$defs", "definitions"):
        return {name: _closed(child) for name, child in value.items()}
    if keyword in ("anyOf", "allOf"):
        return [_closed(child) for child in value]
    return _closed(value) if keyword == "items" else value
