"""A JSON schema as Anthropic takes it for the answer's format.

It takes a subset: every object is closed, and no keyword outside a list. What it does not take is
told to the model in the description instead, which is what Anthropic's own library does; whoever
asked for the schema checks the answer against the whole of it anyway.
"""

from __future__ import annotations

from typing import Any

from tako.errors import InvalidInput
from tako.providers.body import json_text

__all__ = ["closed_schema"]

KEYWORDS = frozenset(
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
FORMATS = frozenset(
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
    """The nearest schema that Anthropic takes; raises InvalidInput for what is no schema."""
    try:
        return _closed(schema)
    except (TypeError, AttributeError) as error:
        raise InvalidInput(f"output_schema is not a JSON schema: {error}") from None


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    taken: dict[str, Any] = {}
    untaken: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword == "oneOf":
            taken["anyOf"] = [_closed(child) for child in value]
        elif _is_taken(keyword, value):
            taken[keyword] = _child(keyword, value)
        else:
            untaken[keyword] = value
    if taken.get("type") == "object":
        open_to = schema.get("additionalProperties")
        if open_to not in (None, False):
            untaken["additionalProperties"] = open_to
        taken["additionalProperties"] = False
    if untaken and "$ref" not in taken:
        rules = ", ".join(f"{keyword}: {json_text(value, keyword)}" for keyword, value in untaken.items())
        taken["description"] = f"{taken.get('description', '')}\n\n{{{rules}}}".lstrip()
    return taken


def _is_taken(keyword: str, value: Any) -> bool:
    if keyword == "format":
        return value in FORMATS
    if keyword == "minItems":
        return value in (0, 1)
    return keyword in KEYWORDS


def _child(keyword: str, value: Any) -> Any:
    if keyword in ("properties", "$defs", "definitions"):
        return {name: _closed(child) for name, child in value.items()}
    if keyword in ("anyOf", "allOf"):
        return [_closed(child) for child in value]
    return _closed(value) if keyword == "items" else value
