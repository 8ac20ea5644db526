"""Which JSON schemas OpenAI takes as `strict`, where the model cannot leave the schema.

It is a subset (https://platform.openai.com/docs/guides/structured-outputs): every object closed and
all its properties required, an object at the root, no keyword outside a list. A schema outside of
it is refused as strict, and taken as a strong hint without it.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["is_strict", "schema_name"]

KEYWORDS = frozenset(
    {
        "$defs",
        "$ref",
        "additionalProperties",
        "anyOf",
        "const",
        "definitions",
        "description",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "items",
        "maxItems",
        "maximum",
        "minItems",
        "minimum",
        "multipleOf",
        "pattern",
        "properties",
        "required",
        "title",
        "type",
    }
)
FORMATS = frozenset({"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid"})
SAYS_WHAT = ("type", "anyOf", "enum", "const")


def is_strict(schema: dict[str, Any]) -> bool:
    """Whether this schema, as the root, is one that OpenAI takes as strict."""
    try:
        return schema.get("type") == "object" and "anyOf" not in schema and _fits(schema)
    except (TypeError, AttributeError):
        return False  # not a well-formed schema: the vendor says best what is wrong with it


def _fits(schema: Any) -> bool:
    if not isinstance(schema, dict) or not schema.keys() <= KEYWORDS:
        return False
    if "$ref" in schema:
        return len(schema) == 1
    if not any(keyword in schema for keyword in SAYS_WHAT) or schema.get("format", "date") not in FORMATS:
        return False
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if "object" in kinds and not _is_closed(schema):
        return False
    if "array" in kinds and "items" not in schema:
        return False
    children = [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())]
    for group in ("properties", "$defs", "definitions"):
        children += schema.get(group, {}).values()
    return all(map(_fits, children))


def _is_closed(schema: dict[str, Any]) -> bool:
    properties = schema.get("properties", {})
    return schema.get("additionalProperties") is False and set(schema.get("required", ())) == set(properties)


def schema_name(schema: dict[str, Any]) -> str:
    """A name that OpenAI takes: the title in its 64 letters, digits, dashes and underscores."""
    title = schema.get("title")
    return re.sub(r"[^a-zA-Z0-9_-]", "_", title)[:64] if isinstance(title, str) and title else "output"
