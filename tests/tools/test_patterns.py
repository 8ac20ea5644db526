"""Which calls a pattern means: in which reading, in how many ways it is written, how long it looks."""

from __future__ import annotations

import copy
import pickle
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from tako.errors import InvalidInput
from tako.models import ToolCallPart, Value
from tako.tools.patterns import GLOB_LIMIT, SEPARATORS, CallPattern

ALPHABET = "a;*?\\./"
TRICKY = st.text('ab*?\\"=:,;() .é\n', max_size=12)
NAMES = TRICKY.filter(bool)
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from([0.5, 1.0]) | TRICKY
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TRICKY, inner, max_size=3),
    max_leaves=5,
)


def bash(command: str) -> tuple[str, dict[str, Any]]:
    return "bash", {"command": command}


@pytest.mark.parametrize(
    ("pattern", "command"),
    [
        ("bash", "anything; at all"),
        ("b*", "anything; at all"),
        ("?ash", "ls"),
        ("bash(command=git status*)", "git status"),
        ("bash(command=git status*)", "git status --short src/a"),
        ("bash(command=git diff *)", "git diff HEAD..main"),
        ("bash(command=ls ?)", "ls a"),
        ("bash(command=make && make test)", "make && make test"),
        ("bash(command=make ** test)", "make x; cd /; test"),
        ("bash(command=**)", "a; b\n$(c)/../d"),
        (r"bash(command=ls \*)", "ls *"),
        ("bash(command=[ -f a ])", "[ -f a ]"),
        ("bash(command=cd ../lib/*)", "cd ../lib/a"),
        ("bash(command=git *, cwd=**)", "git log"),
    ],
)
def test_what_a_pattern_allows(pattern: str, command: str) -> None:
    name, args = bash(command)
    args |= {"cwd": "/", "limit": 1}
    assert CallPattern.of(pattern).matches(name, args)
    assert CallPattern.of(pattern).touches(name, args)


@pytest.mark.parametrize(
    "tail", ["; rm x", "& rm x", "| sh", "> x", "< x", "$(rm x)", "`rm x`", "\nrm x", "\rrm x"]
)
def test_a_star_lets_no_second_command_pass_and_a_denying_one_stops_it(tail: str) -> None:
    pattern = CallPattern("bash", command="git *")
    assert not pattern.matches(*bash(f"git log {tail}"))
    assert pattern.touches(*bash(f"git log {tail}"))
    assert not CallPattern("bash", command="git log ?x").matches(*bash("git log ;x"))
    assert CallPattern("bash", command="git **").matches(*bash(f"git log {tail}"))


@pytest.mark.parametrize("path", ["src/../x", "src/..", "src/a/../../x", r"src\..\x", "src/../src/x"])
def test_a_star_climbs_out_of_no_folder_and_a_denying_one_goes_along(path: str) -> None:
    for glob in ("src/*", "src/**", "src?*", r"src\\*"):
        assert not CallPattern("write", path=glob).matches("write", {"path": path})
    assert CallPattern("write", path="src*").touches("write", {"path": path})


def test_a_pattern_that_climbs_allows_as_many_steps_as_it_shows() -> None:
    pattern = CallPattern("read", path="../lib/*")
    assert pattern.matches("read", {"path": "../lib/a/b"})
    assert not pattern.matches("read", {"path": "../lib/../../etc/passwd"})
    assert pattern.matches("read", {"path": "../lib/..a/b.."})  # two dots in a name climb nowhere


@pytest.mark.parametrize(
    ("pattern", "args"),
    [
        ("read(path=a)", {}),
        ("read(path=**)", {}),
        ("read(path=a)", {"path": "A"}),
        ("read(path=a*)", {"path": None}),
        ("read(path=*)", "no JSON object"),
        ("read(path=*)", None),
        ("read(path=*)", ["path"]),
        ("Read", {}),
        ("read?", {}),
        ("read(limit:=1)", {"limit": True}),
        ("read(limit:=1)", {"limit": "1"}),
        ("read(all:=true)", {"all": 1}),
        ('read(paths:=["a"])', {"paths": ["a", "b"]}),
        ('read(paths:={"a":1})', {"paths": {"a": 1, "b": 2}}),
        ("read={}", {"path": "a"}),
        ('read={"path":"a*"}', {"path": "ab"}),
        ('read(path:="a*")', {"path": "ab"}),
    ],
)
def test_what_no_reading_takes_for_the_call(pattern: str, args: object) -> None:
    assert not CallPattern.of(pattern).matches("read", args)
    assert not CallPattern.of(pattern).touches("read", args)


def test_other_json_is_compared_by_value_and_a_glob_reads_its_compact_text() -> None:
    args = {"limit": 3, "all": True, "paths": ["src/a", {"b": None, "a": 1.0}]}
    assert CallPattern("read", limit=3, all=True).matches("read", args)
    assert CallPattern("read", limit=3.0).matches("read", args)
    assert CallPattern("read", paths=["src/a", {"a": 1, "b": None}]).matches("read", args)
    assert CallPattern.of('read(limit=3, all=t*, paths="[\\"src/*\\",{\\"a\\":1.0*}]")').matches("read", args)


def test_a_name_is_a_plain_glob_without_separators() -> None:
    assert CallPattern("mcp:*(x)").is_about("mcp:;(x)")
    assert CallPattern("*").is_about("any;thing/../at all")
    assert not CallPattern("mcp_*").is_about("xmcp_a")


def test_a_pattern_made_without_text_reads_and_writes_the_same() -> None:
    made = CallPattern("bash", command="git *", cwd="/a, b=c", self="x")
    assert str(made) == 'bash(command=git *, cwd="/a, b=c", self=x)'
    assert CallPattern.of(str(made)) == made == CallPattern.of(made)
    assert repr(made) == "CallPattern.of('bash(command=git *, cwd=\"/a, b=c\", self=x)')"
    assert len({made, CallPattern.of(str(made)), CallPattern("bash")}) == 2
    assert made != str(made)
    assert dict(made.arguments) == {"command": "git *", "cwd": "/a, b=c", "self": "x"}


def test_it_is_kept_in_json_as_its_text_and_survives_copies() -> None:
    class Memory(Value):
        patterns: tuple[CallPattern, ...]

    kept = Memory(patterns=(CallPattern("bash", command="a*"), CallPattern("read")))
    assert kept.model_dump_json() == '{"patterns":["bash(command=a*)","read"]}'
    loaded = Memory.model_validate_json(kept.model_dump_json())
    assert loaded == kept and loaded.patterns[0].matches(*bash("abc"))
    assert pickle.loads(pickle.dumps(kept.patterns)) == kept.patterns == copy.deepcopy(kept.patterns)
    assert Memory.model_json_schema()["properties"]["patterns"]["items"] == {"type": "string"}
    with pytest.raises(InvalidInput, match=r"patterns\.0"):
        Memory(patterns=("bash()",))  # type: ignore[arg-type]


def test_a_pattern_does_not_change() -> None:
    pattern = CallPattern("read")
    with pytest.raises(AttributeError):
        pattern.tool = "write"  # type: ignore[misc]
    assert not isinstance(pattern, BaseModel)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "tool is empty; write [*] for every tool"),
        ("bash(git status*)", "character 9: an argument is written name=glob"),
        ("bash()", "leave out the .* and write bash={} for none"),
        ("bash(command=a", "should stand in"),
        ("bash(command=a) x", "should stand in"),
        ("bash(command)", "name=glob or name:=JSON"),
        ("bash(=ls)", "character 6: an argument is written name=glob"),
        ("(command=ls)", "character 1: a tool's name"),
        ("bash(command=a, command=b)", "'command' stands there twice"),
        ('bash(command="a" b)', "into quotes as a whole"),
        ('bash(command="a)', "there should be JSON"),
        ("bash(limit:=NaN)", "NaN is no JSON"),
        ("bash(limit:=" + "[" * 100_000 + ")", "there should be JSON"),
        ("bash={} {}", "nothing should follow"),
        ("git status", "name with spaces or signs should stand in quotes"),
        ('x(a="\\ud800")', "lone surrogate|surrogates"),
    ],
)
def test_a_text_that_cannot_be_read_says_where_and_what_to_write(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        CallPattern.of(text)


def test_what_cannot_be_a_pattern_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"should be text such as 'bash\(command=git \*\)', not int"):
        CallPattern.of(3)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="tool should be text, not int"):
        CallPattern(3)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="limit should be text or other JSON"):
        CallPattern("read", limit=object())  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="limit should be text or other JSON"):
        CallPattern("read", limit=float("nan"))
    with pytest.raises(InvalidInput, match="path: a glob may have 4096 characters, and this one has 4097"):
        CallPattern("read", path="a" * GLOB_LIMIT + "*")
    assert CallPattern("read", path="a" * 9999).matches(
        "read", {"path": "a" * 9999}
    )  # literal text may be long


def test_stars_without_end_cost_one_walk() -> None:
    # With backtracking this takes longer than the sun will burn.
    pattern = CallPattern("bash", command="*a" * 2000 + "b")
    assert not pattern.matches(*bash("a" * 20_000))
    assert CallPattern("bash", command="**a**b").matches(*bash("a" * 100_000 + "b"))


@given(st.text(ALPHABET, max_size=8), st.text(ALPHABET, max_size=8), st.booleans())
@example("**a*.", "a;a.", True)
@example("a***", "a;", True)
@example("a*", "a/../a", True)
@example("a*", "a/../a", False)
@example("../*", "../a", True)
def test_a_glob_fits_what_its_definition_says(glob: str, text: str, careful: bool) -> None:
    pattern = CallPattern("t", a=glob)
    read = pattern.matches if careful else pattern.touches
    assert read("t", {"a": text}) == defined(glob, text, careful=careful)


def defined(glob: str, text: str, *, careful: bool) -> bool:
    """What the head of the module says, in the shortest words."""
    tokens: list[str] = []
    rest = glob
    while rest:
        size = next((size for size in (2,) if rest[:2] in (r"\*", r"\?", r"\\")), 1)
        if rest[0] == "*":
            size = len(rest) - len(rest.lstrip("*"))
        tokens.append(rest[:size])
        rest = rest[size:]

    def one(character: str) -> bool:
        return not (careful and character in SEPARATORS)

    @lru_cache
    def fits(token: int, place: int) -> bool:
        if token == len(tokens):
            return place == len(text)
        kind = tokens[token]
        if kind[0] == "*":
            free = len(kind) > 1 or (place < len(text) and one(text[place]))
            return fits(token + 1, place) or (place < len(text) and free and fits(token, place + 1))
        if place == len(text):
            return False
        here = one(text[place]) if kind == "?" else text[place] == kind[-1]
        return here and fits(token + 1, place + 1)

    def climbs(path: str) -> int:
        return path.replace("\\", "/").split("/").count("..")

    if not fits(0, 0):
        return False
    if not careful or (set(glob) == {"*"} and len(glob) > 1):
        return True
    plain = "".join("*" if token[0] == "*" else token[-1] for token in tokens)
    return climbs(text) <= climbs(plain)


@given(NAMES, st.dictionaries(NAMES, JSON, max_size=3))
@example("t", {"a": " x"})
@example("t", {"a": '"x"', "b": 'x"'})
@example("t", {"a": "x", "b c": "y", "d": "z"})
@example("t", {"a": "x, b=y", "b": "y,"})
@example("t:", {"a:": ":x", "b": "=(y)"})
def test_every_pattern_is_read_back_from_its_text(tool: str, arguments: dict[str, Any]) -> None:
    pattern = CallPattern(tool, **arguments)
    read = CallPattern.of(str(pattern))
    assert (read.tool, read.arguments, read.is_exact) == (tool, pattern.arguments, False)
    assert read == pattern


@given(NAMES, JSON, JSON)
@example("a*", {"a": "b*"}, {"a": "bc"})
@example("a", {"a": 1}, {"a": True})
@example("a", {"a": 1}, {"a": 1, "b": 1})
def test_an_exact_pattern_means_its_own_call_and_no_other(name: str, args: Any, other: Any) -> None:
    pattern = CallPattern.of(str(CallPattern.exactly(ToolCallPart(id="1", name=name, args=args))))
    assert pattern.is_exact
    assert pattern.matches(name, args) and pattern.touches(name, args)
    assert not pattern.matches(name + "x", args)
    if (
        ToolCallPart(id="1", name=name, args=args).model_dump_json()
        != ToolCallPart(id="1", name=name, args=other).model_dump_json()
        and args != other
    ):
        assert not pattern.matches(name, other) and not pattern.touches(name, other)


@given(st.text(ALPHABET, max_size=6), st.text(ALPHABET, max_size=6))
def test_what_is_allowed_is_always_stopped_as_well(glob: str, text: str) -> None:
    pattern = CallPattern("t", a=glob)
    assert pattern.touches("t", {"a": text}) or not pattern.matches("t", {"a": text})
