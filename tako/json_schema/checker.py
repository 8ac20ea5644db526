"""Checker: a JSON schema of somebody else (2020-12), made ready to check values with.

A schema becomes nodes, one for each schema in it, which hold what is to be tested for each type of value;
`keywords` makes the tests. Whatever a schema refers to has to be in it: nothing is ever fetched.

| keyword                                               | here                                           |
|-------------------------------------------------------|------------------------------------------------|
| type, enum, const; the limits of numbers, texts,      | applied; multipleOf is exact for decimals, and |
| lists, objects; properties, required, items,          | 1.0 is an integer                              |
| prefixItems, contains, uniqueItems, propertyNames,    |                                                |
| additionalProperties, dependentRequired               |                                                |
| allOf, anyOf, oneOf, not, if, dependentSchemas        | applied                                        |
| $ref, $id, $anchor, $defs, definitions                | applied within the document                    |
| a list of items, additionalItems                      | applied as in older drafts                     |
| pattern, patternProperties                            | applied if Pattern can read them               |
| patterns that it cannot read, a $ref to elsewhere,    | passed over: everything fits                   |
| $dynamicRef, unevaluatedItems, unevaluatedProperties  |                                                |
| format, default, title, and whatever there is more    | do not say whether a value fits                |

What was passed over is listed in `passed_over`, and the nodes above it are *partial*: they may take a value
that the schema does not. Where that would turn into a refusal (`not`, `if`, too many in `oneOf` and
`contains`) a partial node is taken to say nothing.

Invariants. What fits is never refused but for the limits. A node is made once, so that a schema may refer to
itself; one that would be applied to the same value without end is found out. A check takes at most STEPS
steps of about a microsecond and goes no deeper than DEEPEST. No value and no schema raises
anything but InvalidInput.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote, urldefrag, urljoin

from tako.errors import InvalidInput
from tako.json_schema.keywords import fill
from tako.json_schema.node import ANYTHING, NEVER, Node, Place, Run, pointer, shown, wrong_schema
from tako.json_schema.reader import Patterns, Reader

__all__ = ["Checker", "check", "compiled"]

Json: TypeAlias = Any

DEEPEST: Final = 100
"""Schemas in schemas, and values in values."""
MOST_NODES: Final = 20_000
MOST_NAMES: Final = 1_000
LONGEST_ADDRESS: Final = 1_000
MOST_TOLD: Final = 100
"""Entries of `passed_over`."""

ONE: Final = (
    "additionalItems", "additionalProperties", "contains", "else", "if", "items", "not", "propertyNames",
    "then", "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
LISTS: Final = ("allOf", "anyOf", "items", "oneOf", "prefixItems")
MAPS: Final = ("$defs", "definitions", "dependentSchemas", "patternProperties", "properties")
"""Under which keywords there are schemas."""
UNKNOWN: Final = ("$dynamicRef", "unevaluatedItems", "unevaluatedProperties")
"""Keywords that are passed over though values may be refused because of them."""


class Checker:
    """A schema that was understood. `passed_over` says which of its words are not applied, and where."""

    __slots__ = ("_root", "passed_over")

    def __init__(self, root: Node, passed_over: tuple[str, ...]) -> None:
        self._root = root
        self.passed_over = passed_over

    def check(self, value: Json) -> None:
        """Raise InvalidInput that says where the value does not fit, and how."""
        try:
            fault = self._root.fault(value, Run(), DEEPEST)
        except RecursionError:
            raise InvalidInput("the value or its schema is nested too deeply to be checked here") from None
        if fault is not None:
            raise InvalidInput(str(fault))


def compiled(schema: Json) -> Checker:
    """A schema made ready; raises InvalidInput that says what is wrong with it, and where."""
    compiler = _Compiler(schema)
    try:
        return compiler.checker()
    except RecursionError:
        raise InvalidInput("the schema is nested too deeply") from None


def check(value: Json, schema: Json) -> None:
    """Raise InvalidInput if the value does not fit the schema, or the schema is wrong."""
    compiled(schema).check(value)


class _Compiler:
    """Makes the nodes of one schema; those that wait to be filled are in a list, so that nothing recurs."""

    def __init__(self, schema: Json) -> None:
        self._schema = schema
        self._nodes: dict[int, Node] = {}
        """By the identity of the schema, which lives as long as the compiler does."""
        self._waiting: list[tuple[Node, Mapping[str, Json], str, int]] = []
        self._bases: dict[int, str] = {}
        self._named: dict[tuple[str, str], Json] = {}
        """What is called so: resources by ("uri", ""), anchors by ("uri", "anchor")."""
        self._passed_over: list[str] = []
        self._above: dict[Node, list[Node]] = {}
        """By node, the nodes that it says something for."""
        self._patterns = Patterns()

    def checker(self) -> Checker:
        self._index()
        root = self.node(self._schema, "", "", DEEPEST)
        while self._waiting:
            node, schema, base, depth = self._waiting.pop()
            self._fill(node, schema, base, depth)
        self._spread()
        return Checker(root, tuple(self._passed_over))

    def _spread(self) -> None:
        """What has a partial node under it is partial too."""
        waiting = [node for node in self._nodes.values() if node.is_partial]
        while waiting:
            for above in self._above.get(waiting.pop(), ()):
                if not above.is_partial:
                    above.is_partial = True
                    waiting.append(above)

    def _index(self) -> None:
        """Find what has a name, and what names are relative to."""
        self._named["", ""] = self._schema
        waiting = [(self._schema, "")]
        while waiting:
            schema, base = waiting.pop()
            if not isinstance(schema, dict) or id(schema) in self._bases:
                continue
            own = schema.get("$id")
            if isinstance(own, str) and not own.startswith("#"):
                base = _address(base, own)[0]
                if len(base) > LONGEST_ADDRESS:
                    raise InvalidInput(f"the schema has an $id of more than {LONGEST_ADDRESS:,} characters")
                self._named.setdefault((base, ""), schema)
            self._bases[id(schema)] = base
            for keyword in ("$anchor", "$dynamicAnchor"):
                if isinstance(name := schema.get(keyword), str) and name:
                    self._named.setdefault((base, name), schema)
            if len(self._named) > MOST_NAMES:
                raise InvalidInput(f"the schema has more than {MOST_NAMES:,} names for its parts")
            waiting += [(inner, base) for inner in _inner(schema)]

    def node(self, schema: Json, place: Place, base: str, depth: int, *, parent: Node | None = None) -> Node:
        """The node of a schema, to be filled later."""
        if schema is True:
            return ANYTHING
        if schema is False:
            return NEVER
        if not isinstance(schema, dict):
            raise wrong_schema(place, "a schema should be an object, true or false")
        found = self._nodes.get(id(schema))
        if found is None:
            if depth < 0:
                raise InvalidInput(f"the schema is nested deeper than {DEEPEST}")
            if len(self._nodes) >= MOST_NODES:
                raise InvalidInput(f"the schema holds more than {MOST_NODES:,} schemas")
            found = self._nodes[id(schema)] = Node(place)
            self._waiting.append((found, schema, self._bases.get(id(schema), base), depth))
        if parent is not None:
            self._above.setdefault(found, []).append(parent)
        return found

    def _fill(self, node: Node, schema: Mapping[str, Json], base: str, depth: int) -> None:
        def inner(wanted: Json, *segments: str) -> Node:
            place: Place = node.place
            for segment in segments:
                place = (place, segment)
            return self.node(wanted, place, base, depth - 1, parent=node)

        for keyword in UNKNOWN:
            if keyword in schema:
                self._pass_over(node, keyword, "is not applied")
        reader = Reader(node, schema, inner, self._patterns, self._pass_over)
        target = self._target(node, schema["$ref"], base) if "$ref" in schema else None
        fill(node, reader, target=target)

    def _pass_over(self, node: Node, keyword: str, reason: str) -> None:
        node.is_partial = True
        if len(self._passed_over) < MOST_TOLD:
            self._passed_over.append(f"{pointer((node.place, keyword))}: {reason}")

    def _target(self, node: Node, ref: Json, base: str) -> Node | None:
        """The node that a reference leads to; None if it leads out of the document."""
        place = (node.place, "$ref")
        if not isinstance(ref, str):
            raise wrong_schema(place, "should be text")
        address, fragment = _address(base, ref)
        root = self._named.get((address, ""))
        if root is None:
            self._pass_over(node, "$ref", "leads out of the document, and nothing is fetched")
            return None
        if fragment and not fragment.startswith("/"):
            found = self._named.get((address, fragment), _MISSING)
        else:
            found = _pointed(root, fragment)
        if found is _MISSING:
            raise wrong_schema(place, f"nothing is at {shown(ref)}")
        return self.node(found, ref, self._bases.get(id(root), address), DEEPEST, parent=node)


_MISSING: Final = object()


def _inner(schema: Mapping[str, Json]) -> Iterator[Json]:
    """The schemas right under this one."""
    for keyword, found in schema.items():
        if isinstance(found, dict):
            if keyword in MAPS:
                yield from found.values()
            elif keyword in ONE:
                yield found
        elif isinstance(found, list) and keyword in LISTS:
            yield from found


def _address(base: str, reference: str) -> tuple[str, str]:
    """A reference made whole: which document, and where in it."""
    if reference.startswith("#"):
        return base, unquote(reference[1:])
    try:
        address, fragment = urldefrag(urljoin(base, reference))
    except ValueError:  # such as a host with half a bracket
        return reference, ""
    return address, unquote(fragment)


def _pointed(root: Json, pointer: str) -> Json:
    """What a JSON pointer (RFC 6901) leads to."""
    found = root
    for segment in pointer.split("/")[1:]:
        segment = segment.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(segment, _MISSING)
        elif isinstance(found, list) and segment.isdecimal() and len(segment) < 10:
            found = found[int(segment)] if int(segment) < len(found) else _MISSING
        else:
            return _MISSING
    return found
