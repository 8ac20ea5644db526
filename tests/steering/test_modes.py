"""Modes: what their gate says of a call, and how they are made."""

from __future__ import annotations

from typing import Any

import pytest

from tako.errors import InvalidInput
from tako.parts import ToolCallPart
from tako.steering import ACCEPT_EDITS, DEFAULT, PLAN, Mode, Steering
from tako.steering.modes import mode_of
from tako.tools import CallPattern, Tool, ToolPolicy

READ = Tool(lambda path: path, name="read", read_only=True)
WRITE = Tool(lambda path: path, name="write")
BASH = Tool(lambda command: command, name="bash", approval=True)


def gate(mode: Mode, tool: Tool, **args: Any) -> bool | str | None:
    return mode.gate(ToolCallPart(id="1", name=tool.name, args=args), tool)


def test_the_default_has_no_opinion() -> None:
    assert [gate(DEFAULT, tool) for tool in (READ, WRITE, BASH)] == [None, None, None]


def test_G04_plan_refuses_what_changes_something_and_says_so() -> None:
    words = gate(PLAN, WRITE)
    assert isinstance(words, str)
    assert "'plan'" in words
    assert "'write'" in words
    assert gate(PLAN, READ) is None
    assert isinstance(gate(PLAN, Tool.external("deploy", "", {})), str)
    assert "plan" in PLAN.instructions


def test_accept_edits_approves_write_and_edit_alone() -> None:
    assert gate(ACCEPT_EDITS, WRITE) is True
    assert gate(ACCEPT_EDITS, BASH, command="ls") is None


def test_a_pattern_approves_some_calls_of_a_tool() -> None:
    mode = Mode("git", approves=("bash(command=git *)", CallPattern("read")))
    assert gate(mode, BASH, command="git log") is True
    assert gate(mode, BASH, command="git log; rm -rf x") is None
    assert gate(mode, READ) is True


def test_what_refuses_is_stronger_than_what_approves() -> None:
    assert isinstance(gate(Mode("m", mutating=False, approves=("write",)), WRITE), str)
    words = gate(
        Mode("m", approves=("bash",), policy=ToolPolicy(deny=["bash(command=rm*)"])), BASH, command="rm"
    )
    assert isinstance(words, str)
    assert words.startswith("mode 'm': ")
    assert "policy" in words


def test_of_a_tool_that_is_not_there_no_mode_has_an_opinion() -> None:
    call = ToolCallPart(id="1", name="write", args={})
    assert [mode.gate(call, None) for mode in (DEFAULT, PLAN, ACCEPT_EDITS)] == [None, None, None]


def test_a_mode_of_your_own_overrides_the_gate() -> None:
    class Office(Mode):
        def gate(self, call: ToolCallPart, tool: Tool | None) -> Any:
            return "not at night" if call.name == "bash" else super().gate(call, tool)

    mode = Office("office", approves=("write",))
    assert gate(mode, BASH) == "not at night"
    assert gate(mode, WRITE) is True
    assert Steering(mode=mode).mode is mode
    assert mode == Office("office", approves=("write",)) != Mode("office", approves=("write",))


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"name": " "}, "name"),
        ({"name": "m", "mutating": 1}, "mutating"),
        ({"name": "m", "instructions": None}, "instructions"),
        ({"name": "m", "approves": "write"}, "approves"),
        ({"name": "m", "approves": ("bash(",)}, "pattern"),
        ({"name": "m", "policy": ["read"]}, "policy"),
    ],
)
def test_a_wrong_argument_is_named(fields: Any, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        Mode(**fields)


def test_the_built_in_modes_go_by_their_names() -> None:
    assert [mode_of(name) for name in ("default", "plan", "accept-edits", "accept_edits")] == [
        DEFAULT,
        PLAN,
        ACCEPT_EDITS,
        ACCEPT_EDITS,
    ]
    for wrong in ("Plan B", 7):
        with pytest.raises(InvalidInput, match="default, plan, accept-edits"):
            Steering().set_mode(wrong)  # type: ignore[arg-type]
