"""What each keyword of a JSON schema tests: functions of a value that give a Fault or None, made once.

MAKERS says which keywords make a test together, for values of which types, and in which order tests are made.
A test calls the nodes under it, with one less of depth if they are for something inside the value.

Invariant. A test's own work is linear in the value and the keyword, and more of it than for a few members
is told to the Run.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeAlias

from tako.errors import InvalidInput
from tako.json_schema.node import (
    ANYTHING,
    KINDS,
    NEVER,
    Fault,
    Node,
    Run,
    Test,
    kind_of,
    shown,
)
from tako.json_schema.pattern import Pattern
from tako.json_schema.reader import Reader
from tako.json_schema.values import canonical, is_finite, listed, told

__all__ = ["fill"]

Json: TypeAlias = Any
Kinds: TypeAlias = tuple[type, ...]

DEEPEST_CONSTANT: Final = 100

TYPES: Final[dict[str, tuple[Kinds, str]]] = {
    "null": ((type(None),), "null"),
    "boolean": ((bool,), "true or false"),
    "integer": ((int, float), "a whole number"),
    "number": ((int, float), "a number"),
    "string": ((str,), "text"),
    "array": ((list,), "a list"),
    "object": ((dict,), "an object"),
}
NUMBERS: Final = (int, float)
LIMITS: Final[dict[str, tuple[Callable[[Any, Any], bool], str]]] = {
    "minimum": (operator.ge, "at least"),
    "maximum": (operator.le, "at most"),
    "exclusiveMinimum": (operator.gt, "more than"),
    "exclusiveMaximum": (operator.lt, "less than"),
}
SIZES: Final[dict[str, tuple[type, Callable[[Any, Any], bool], str, str, str]]] = {
    "minLength": (str, operator.ge, "at least", "character", "characters"),
    "maxLength": (str, operator.le, "at most", "character", "characters"),
    "minItems": (list, operator.ge, "at least", "entry", "entries"),
    "maxItems": (list, operator.le, "at most", "entry", "entries"),
    "minProperties": (dict, operator.ge, "at least", "member", "members"),
    "maxProperties": (dict, operator.le, "at most", "member", "members"),
}


def fill(node: Node, reader: Reader, *, target: Node | None) -> None:
    """Give a node its tests; `target` is what it refers to."""
    tests = _types(node, reader)
    if target is not None:
        for kind in tests:
            tests[kind].append(_refers_to(target))
    for keywords, kinds, make in MAKERS:
        present = next((keyword for keyword in keywords if keyword in reader.schema), None)
        if present is not None and (test := make(reader, present)) is not None:
            for kind in kinds:
                if kind in tests:
                    tests[kind].append(test)
    node.tests = {kind: tuple(found) for kind, found in tests.items()}


def _types(node: Node, reader: Reader) -> dict[type, list[Test]]:
    """No tests yet for each type of value that may be; sets what a value of another should be."""
    if "type" not in reader.schema:
        return {kind: [] for kind in KINDS}
    wanted = reader.schema["type"]
    names = wanted if isinstance(wanted, list) else [wanted]
    for name in names:
        if not isinstance(name, str) or name not in TYPES:
            raise reader.wrong("type", f"should be one of {', '.join(TYPES)}, not {shown(name)}")
    node.wanted = tuple(dict.fromkeys([TYPES[name][1] for name in names]))
    found: dict[type, list[Test]] = {kind: [] for name in names for kind in TYPES[name][0]}
    if "integer" in names and "number" not in names:
        found[float].append(_is_whole(node.wanted))
    return found


# Any value.


def _is_whole(wanted: tuple[str, ...]) -> Test:
    def test(value: Json, run: Run, depth: int) -> Fault | None:
        if value.is_integer():
            return None
        return Fault(f"should be {' or '.join(wanted)}, not {told(value)}", wanted=wanted)

    return test


def _equal(reader: Reader, keyword: str) -> Test:
    constants = reader.constants(keyword) if keyword == "enum" else [reader.schema[keyword]]
    allowed = frozenset([canonical(one, DEEPEST_CONSTANT)[0] for one in constants])
    words = "should be " + listed(constants, "or")

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        text, steps = canonical(value, depth)
        if steps:
            run.spend(steps)
        return None if text in allowed else Fault(words, is_choice=True)

    return test


def _refers_to(target: Node) -> Test:
    """The test of a $ref."""

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        # The value is alive as long as it is checked, so that its identity stands for it.
        step = (id(target), id(value))
        if step in run.following:
            raise InvalidInput("the schema cannot be applied: it refers to itself without end")
        run.following.add(step)
        fault = target.fault(value, run, depth)
        run.following.discard(step)
        return fault

    return test


def _all_of(reader: Reader, keyword: str) -> Test:
    nodes = reader.nodes(keyword)

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        for node in nodes:
            fault = node.fault(value, run, depth)
            if fault is not None:
                return fault
        return None

    return test


def _any_of(reader: Reader, keyword: str) -> Test:
    nodes = reader.nodes(keyword)

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        faults: list[Fault] = []
        for node in nodes:
            fault = node.fault(value, run, depth)
            if fault is None:
                return None
            faults.append(fault)
        return _nearest(faults, value)

    return test


def _one_of(reader: Reader, keyword: str) -> Test:
    nodes = reader.nodes(keyword)

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        faults: list[Fault] = []
        certain = 0
        for node in nodes:
            fault = node.fault(value, run, depth)
            if fault is not None:
                faults.append(fault)
            elif not node.is_partial:
                certain += 1
                if certain > 1:
                    return Fault(f"fits more than one of {len(nodes)} forms, of which it may fit only one")
        return None if len(faults) < len(nodes) else _nearest(faults, value)

    return test


def _nearest(faults: list[Fault], value: Json) -> Fault:
    """What to say of a value that has none of several forms: why not the one that it comes nearest to."""
    if len(faults) == 1:
        return faults[0]
    wanted = dict.fromkeys([kind for fault in faults for kind in fault.wanted])
    if all(fault.wanted and not fault.path for fault in faults):
        kind = KINDS.get(kind_of(value), "something else")
        return Fault(f"should be {' or '.join(wanted)}, not {kind}", wanted=tuple(wanted))
    nearest = max(faults, key=_nearness)
    if not nearest.words.endswith(")"):
        nearest.words += f" (in the nearest of {len(faults)} forms that are allowed)"
    return nearest


def _nearness(fault: Fault) -> tuple[int, bool, bool]:
    return len(fault.path), not fault.is_choice, not fault.wanted


def _not(reader: Reader, keyword: str) -> Test:
    node = reader.node(keyword)

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        if node.is_partial or node.fault(value, run, depth) is not None:
            return None
        return Fault("is what the schema rules out (not)")

    return test


def _if(reader: Reader, keyword: str) -> Test | None:
    condition, *branches = [
        reader.node(name) if name in reader.schema else ANYTHING for name in ("if", "then", "else")
    ]

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        if condition.is_partial:
            return None
        fits = condition.fault(value, run, depth) is None
        return branches[0 if fits else 1].fault(value, run, depth)

    return test


# Numbers.


def _limit(reader: Reader, keyword: str) -> Test:
    limit = reader.number(keyword)
    compare, words = LIMITS[keyword]

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        if compare(value, limit):
            return None
        return Fault(f"should be {words} {told(limit)}, not {told(value)}")

    return test


def _multiple(reader: Reader, keyword: str) -> Test:
    divisor = reader.number(keyword)
    if divisor <= 0:
        raise reader.wrong(keyword, "should be more than 0")
    over, under = _ratio(divisor)

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        if is_finite(value):
            above, below = _ratio(value)
            if not above * under % (below * over):
                return None
        return Fault(f"should be a multiple of {told(divisor)}, not {told(value)}")

    return test


def _ratio(number: int | float) -> tuple[int, int]:
    """A number as it is written: 0.1 is a tenth."""
    return (number, 1) if isinstance(number, int) else Decimal(repr(number)).as_integer_ratio()


# Sizes and texts.


def _size(reader: Reader, keyword: str) -> Test:
    limit = reader.count(keyword)
    _, compare, words, one, more = SIZES[keyword]
    noun = one if limit == 1 else more

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        if compare(len(value), limit):
            return None
        return Fault(f"should have {words} {told(limit)} {noun}, not {len(value)}")

    return test


def _pattern(reader: Reader, keyword: str) -> Test | None:
    source = reader.schema[keyword]
    pattern = reader.pattern(keyword, source)
    if pattern is None:
        return None

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        return None if pattern.is_in(value, run.spend) else Fault(f"should match the pattern {shown(source)}")

    return test


# Objects.


def _required(reader: Reader, keyword: str) -> Test:
    names = reader.names(keyword, reader.schema[keyword])
    steps = len(names) >> 4

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        run.left -= steps
        for name in names:
            if name not in value:
                missing = [name for name in names if name not in value]
                return Fault(f"lacks {listed(missing, 'and')}")
        return None

    return test


def _members(reader: Reader, keyword: str) -> Test | None:
    known = reader.nodes_by_name("properties")
    read = [
        (reader.pattern("patternProperties", source), node)
        for source, node in reader.nodes_by_name("patternProperties").items()
    ]
    patterns = [(pattern, node) for pattern, node in read if pattern is not None]
    others = reader.node("additionalProperties") if "additionalProperties" in reader.schema else ANYTHING
    if len(patterns) < len(read):
        others = ANYTHING  # a name that fits no pattern may fit the one that is not matched
    return (
        _all_members(known, patterns, others) if patterns or others is not ANYTHING else _some_members(known)
    )


def _some_members(known: dict[str, Node]) -> Test:
    def test(value: Json, run: Run, depth: int) -> Fault | None:
        run.left -= len(value) >> 4
        for name, item in value.items():
            if name in known:
                fault = known[name].fault(item, run, depth - 1)
                if fault is not None:
                    fault.path.append(name)
                    return fault
        return None

    return test


def _all_members(known: dict[str, Node], patterns: list[tuple[Pattern, Node]], others: Node) -> Test:
    def faulty(name: str, item: Json, run: Run, depth: int) -> Fault | None:
        nodes = [node for pattern, node in patterns if pattern.is_in(name, run.spend)]
        if name in known:
            nodes.append(known[name])
        elif not nodes:
            if others is NEVER:
                return Fault(f"is not allowed here; what is: {listed(list(known), 'and')}")
            nodes.append(others)
        for node in nodes:
            fault = node.fault(item, run, depth)
            if fault is not None:
                return fault
        return None

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        run.spend(len(value) >> 4)
        for name, item in value.items():
            if not isinstance(name, str):
                return Fault("has a member whose name is not text")
            fault = faulty(name, item, run, depth - 1)
            if fault is not None:
                fault.path.append(name)
                return fault
        return None

    return test


def _names(reader: Reader, keyword: str) -> Test:
    node = reader.node(keyword)

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        for name in value:
            fault = node.fault(name, run, depth)
            if fault is not None:
                return Fault(f"has the name {shown(name)}, which {fault.words}")
        return None

    return test


def _dependent_names(reader: Reader, keyword: str) -> Test:
    needed = {name: reader.names(keyword, names) for name, names in reader.members(keyword).items()}
    steps = sum(map(len, needed.values())) + len(needed) >> 4

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        run.left -= steps
        for name, names in needed.items():
            if name in value:
                missing = [one for one in names if one not in value]
                if missing:
                    return Fault(f"lacks {listed(missing, 'and')}, which {shown(name)} needs")
        return None

    return test


def _dependent_schemas(reader: Reader, keyword: str) -> Test:
    nodes = reader.nodes_by_name(keyword)
    steps = len(nodes) >> 4

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        run.left -= steps
        for name, node in nodes.items():
            if name in value:
                fault = node.fault(value, run, depth)
                if fault is not None:
                    return fault
        return None

    return test


# Lists.


def _entries(reader: Reader, keyword: str) -> Test | None:
    first: tuple[Node, ...] = ()
    rest_in = "items"
    if "prefixItems" in reader.schema:
        first = reader.nodes("prefixItems")
    elif isinstance(reader.schema.get("items"), list):  # before 2020-12
        first = reader.nodes("items") if reader.schema["items"] else ()
        rest_in = "additionalItems"
    rest = reader.node(rest_in) if rest_in in reader.schema else ANYTHING
    start = len(first)

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        if rest is NEVER and len(value) > start:
            return Fault(
                f"should have at most {start} {'entry' if start == 1 else 'entries'}, not {len(value)}"
            )
        for index, item in enumerate(value):
            if index >= start and rest is ANYTHING:
                break
            node = first[index] if index < start else rest
            fault = node.fault(item, run, depth - 1)
            if fault is not None:
                fault.path.append(index)
                return fault
        return None

    return test


def _contains(reader: Reader, keyword: str) -> Test:
    node = reader.node(keyword)
    least = reader.count("minContains") if "minContains" in reader.schema else 1
    most = reader.count("maxContains") if "maxContains" in reader.schema else None

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        found = 0
        for item in value:
            if node.fault(item, run, depth - 1) is None:
                found += 1
        if found < least:
            return Fault(f"should have at least {told(least)} entries that fit (contains), not {found}")
        if most is not None and found > most and not node.is_partial:
            return Fault(f"should have at most {told(most)} entries that fit (contains), not {found}")
        return None

    return test


def _unique(reader: Reader, keyword: str) -> Test | None:
    if reader.schema[keyword] is False:
        return None
    if reader.schema[keyword] is not True:
        raise reader.wrong(keyword, "should be true or false")

    def test(value: Json, run: Run, depth: int) -> Fault | None:
        seen: dict[str, int] = {}
        for index, item in enumerate(value):
            text, steps = canonical(item, depth - 1)
            run.spend(steps + 1)
            if text in seen:
                return Fault(f"should have no entry twice; {seen[text]} and {index} are the same")
            seen[text] = index
        return None

    return test


Maker: TypeAlias = "Callable[[Reader, str], Test | None]"
ALL: Final = tuple(KINDS)

MAKERS: Final[tuple[tuple[tuple[str, ...], Kinds, Maker], ...]] = (
    (("const",), ALL, _equal),
    (("enum",), ALL, _equal),
    *(((keyword,), NUMBERS, _limit) for keyword in LIMITS),
    (("multipleOf",), NUMBERS, _multiple),
    *(((keyword,), (size[0],), _size) for keyword, size in SIZES.items()),
    (("pattern",), (str,), _pattern),
    (("required",), (dict,), _required),
    (("dependentRequired",), (dict,), _dependent_names),
    (("propertyNames",), (dict,), _names),
    (("properties", "patternProperties", "additionalProperties"), (dict,), _members),
    (("dependentSchemas",), (dict,), _dependent_schemas),
    (("prefixItems", "items"), (list,), _entries),
    (("contains",), (list,), _contains),
    (("uniqueItems",), (list,), _unique),
    (("allOf",), ALL, _all_of),
    (("anyOf",), ALL, _any_of),
    (("oneOf",), ALL, _one_of),
    (("not",), ALL, _not),
    (("if",), ALL, _if),
)
