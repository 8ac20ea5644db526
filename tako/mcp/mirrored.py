"""Mirrored parameters: arguments of a tool that are said in HTTP headers too, so that gateways can see them.

In the modern era a tool's input schema may mark a property with `x-mcp-header: NAME`; whoever calls the
tool over HTTP then sends the argument as `Mcp-Param-NAME` as well. A mark is good if

- its property is reached from the root by `properties` alone,
- the property is a string, an integer or a boolean,
- NAME is a token of RFC 9110, and no other mark has it, whatever the case of its letters.

A tool with a mark that is not is to be refused as a whole. A value that a header cannot carry as it is goes
as `=?base64?...?=`; one that is missing or null is not sent. Both sides use these functions.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from tako.effects import Headers
from tako.errors import InvalidInput

__all__ = ["Marks", "decoded", "encoded", "marks_of", "mirrored"]

Json: TypeAlias = Any
Marks: TypeAlias = Mapping[tuple[str, ...], str]
"""From the path of a property to the name of its header, without the prefix."""

MARK: Final = "x-mcp-header"
PREFIX: Final = "Mcp-Param-"
CARRIED: Final = ("string", "integer", "boolean")
TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
PLAIN: Final = re.compile(r"[\x20-\x7e]*")
CODED: Final = re.compile(r"=\?base64\?(.*)\?=")

# Where JSON Schema 2020-12 has schemas within schemas, besides `properties`.
ONE_SCHEMA: Final = frozenset(
    ("additionalProperties", "contains", "contentSchema", "else", "if", "items", "not", "propertyNames",
     "then", "unevaluatedItems", "unevaluatedProperties")
)  # fmt: skip
LISTS_OF_SCHEMAS: Final = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
MAPS_OF_SCHEMAS: Final = frozenset(("$defs", "definitions", "dependentSchemas", "patternProperties"))


def marks_of(schema: Json) -> Marks:
    """The marks in an input schema; raises InvalidInput for the first that is not good."""
    marks: dict[tuple[str, ...], str] = {}
    taken: set[str] = set()
    for path, found in _schemas(schema):
        if MARK not in found:
            continue
        if not path:
            raise InvalidInput(f"{MARK} stands where no property of the arguments is")
        where, name = ".".join(path), found[MARK]
        if not isinstance(name, str) or not TOKEN.fullmatch(name):
            raise InvalidInput(f"{MARK} of {where!r} is not the name of a header")
        if found.get("type") not in CARRIED:
            raise InvalidInput(f"{MARK} of {where!r}, which is not a string, an integer or a boolean")
        if name.lower() in taken:
            raise InvalidInput(f"{MARK} of {where!r} has been given to another property already")
        taken.add(name.lower())
        marks[path] = name
    return marks


def mirrored(marks: Marks, arguments: Mapping[str, Json]) -> Headers:
    """The headers that go with a call."""
    found = ((name, _at(arguments, path)) for path, name in marks.items())
    return tuple(
        [(PREFIX + name, encoded(text)) for name, value in found if (text := _text(value)) is not None]
    )


def encoded(text: str) -> str:
    """A text as the value of a header."""
    if PLAIN.fullmatch(text) and text == text.strip() and not CODED.fullmatch(text):
        return text
    return f"=?base64?{base64.b64encode(text.encode('utf-8', 'surrogatepass')).decode()}?="


def decoded(value: str) -> str | None:
    """The text in the value of a header; None if it is coded, and not well."""
    coded = CODED.fullmatch(value)
    if coded is None:
        return value
    try:
        data = base64.b64decode(coded[1], validate=True)
        return data.decode() if base64.b64encode(data).decode() == coded[1] else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _text(value: Json) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        if not value.is_integer():
            return str(value)
        value = int(value)  # a model may write an integer as 5.0
    if isinstance(value, int) and abs(value) < 10**4000:  # longer ones cannot be written down
        return str(value)
    return None


def _at(arguments: Json, path: tuple[str, ...]) -> Json:
    for name in path:
        if not isinstance(arguments, Mapping):
            return None
        arguments = arguments.get(name)
    return arguments


def _schemas(root: Json) -> Iterator[tuple[tuple[str, ...] | None, Mapping[str, Json]]]:
    """Each schema in a schema, with its path if `properties` alone lead there."""
    waiting: list[tuple[tuple[str, ...] | None, Json]] = [((), root)]
    while waiting:
        path, schema = waiting.pop()
        if not isinstance(schema, Mapping):
            continue
        yield path, schema
        for word, value in schema.items():
            if word == "properties" and isinstance(value, Mapping):
                for name, inner in value.items():
                    waiting.append((None if path is None else (*path, name), inner))
            elif word in ONE_SCHEMA:
                waiting.append((None, value))
            elif word in LISTS_OF_SCHEMAS and isinstance(value, list):
                waiting += [(None, inner) for inner in value]
            elif word in MAPS_OF_SCHEMAS and isinstance(value, Mapping):
                waiting += [(None, inner) for inner in value.values()]
