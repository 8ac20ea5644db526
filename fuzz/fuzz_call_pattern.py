"""Fuzz the patterns of calls: a text is a pattern, or InvalidInput, and a pattern is its text.

Nothing else may be raised. What is allowed by a pattern is always stopped by it as well, and the pattern
that is read back from the text decides alike.

`python fuzz/fuzz_call_pattern.py --runs 10000 --seed 1` is a plain loop of random inputs.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pydantic_core import from_json

from fuzz.texts import Target, main
from tako.errors import InvalidInput
from tako.models import ToolCallPart
from tako.tools.patterns import CallPattern

WORDS = ["bash", "read", "mcp_*", "(", ")", ",", "=", ":=", ":", '"', "\\", "*", "**", "?", " ", "\n", "\0"]
WORDS += ["bash(command=git *)", "read(path=src/*)", "fetch(retries:=3)", 'bash={"command":"make"}', '"a b"']
WORDS += ['{"a":1}', "[1,null]", "1e999", "-0", "NaN", "null", "true", '"\\ud800"', "..", "../", ";"]
WORDS += ["command", "path", "é", "\u2028", "\ud800", "[" * 300, 'bash(command=" x")']


def check(text: str) -> None:
    """The pattern stands before the first line end; the call that is asked about behind it."""
    written, _, asked = text.partition("\n")
    name, _, rest = asked.partition(" ")
    try:
        pattern = CallPattern.of(written)
    except InvalidInput:
        return
    again = CallPattern.of(str(pattern))
    assert again == pattern, f"{written!r} became {str(pattern)!r} and then {str(again)!r}"
    assert (again.tool, again.arguments) == (pattern.tool, pattern.arguments), written
    assert again.is_exact == pattern.is_exact and again.takes_any_arguments == pattern.takes_any_arguments
    calls = [(name, args(rest, pattern)), (pattern.tool, pattern.arguments), (pattern.tool, rest)]
    for tool, given in calls:
        allowed, stopped = pattern.matches(tool, given), pattern.touches(tool, given)
        assert stopped or not allowed, (written, tool, given)
        assert (again.matches(tool, given), again.touches(tool, given)) == (allowed, stopped), written
        assert pattern.is_about(tool) or not stopped, (written, tool)
    check_exact(*calls[0])


def check_exact(name: str, given: object) -> None:
    try:
        exact = CallPattern.exactly(ToolCallPart(id="1", name=name, args=given))
    except InvalidInput:
        return
    assert exact.matches(name, given) and CallPattern.of(str(exact)).matches(name, given), (name, given)
    assert not exact.matches(name + "x", given), (name, given)


def args(text: str, pattern: CallPattern) -> object:
    """The arguments of the call: JSON, or the text as each argument that the pattern speaks of."""
    try:
        return from_json(text.encode(), allow_inf_nan=False)
    except ValueError:
        return dict.fromkeys(pattern.arguments, text)


if __name__ == "__main__":
    main(Target(check, WORDS), __doc__ or "")
