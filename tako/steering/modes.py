"""Mode: what the agent may do for a while, told by one name.

A mode is asked before each call of a tool, and before anybody is asked to approve it:

| `gate` says | meaning                                                                        |
|-------------|--------------------------------------------------------------------------------|
| words       | the call is refused, and the model reads the words                             |
| True        | the call goes on and nobody is asked                                           |
| None        | the mode has no opinion: the tool's own `approval` and the agent's policy rule |

The built-in answer, first match: a mode that is not mutating refuses each tool that is; then the mode's
policy may refuse; then a call that `approves` names goes on. A mode can approve, but never allow: what
the agent's own policy denies stays denied.

| mode         | mutating tools | approves    | tells the model                       |
|--------------|----------------|-------------|---------------------------------------|
| DEFAULT      | as configured  |             |                                       |
| PLAN         | refused        |             | to explore and to present a plan      |
| ACCEPT_EDITS | as configured  | write, edit |                                       |

Your own: make a Mode, or override `gate`, with no I/O in it: it runs between two steps of the agent.
A `gate` that raises refuses the call.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tako.errors import InvalidInput
from tako.parts import ToolCallPart
from tako.tools.patterns import CallPattern
from tako.tools.policy import ToolPolicy
from tako.tools.tool import Tool

__all__ = ["ACCEPT_EDITS", "DEFAULT", "PLAN", "Mode", "mode_of"]


@dataclass(frozen=True)
class Mode:
    """A way of working.

    name          what people and events call it
    mutating      whether tools that change something may run
    instructions  a further block of the system prompt while the mode is in force
    approves      calls that nobody has to approve: names of tools, or patterns as CallPattern reads them
    policy        what may be called in this mode, on top of the agent's own policy

    Raises InvalidInput that names the argument.
    """

    name: str
    mutating: bool = True
    instructions: str = ""
    approves: tuple[str | CallPattern, ...] = ()
    policy: ToolPolicy | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise InvalidInput(f"Mode: name should be some text, not {self.name!r}")
        if not isinstance(self.instructions, str):
            raise InvalidInput(f"Mode: instructions should be text, not {type(self.instructions).__name__}")
        if not isinstance(self.mutating, bool):
            raise InvalidInput(f"Mode: mutating should be True or False, not {self.mutating!r}")
        if self.policy is not None and not isinstance(self.policy, ToolPolicy):
            raise InvalidInput(f"Mode: policy should be a ToolPolicy, not {type(self.policy).__name__}")
        if not isinstance(self.approves, tuple | list):
            raise InvalidInput("Mode: approves should be a tuple such as ('write', 'bash(command=git *)')")
        patterns = tuple([CallPattern.of(pattern) for pattern in self.approves])
        object.__setattr__(self, "approves", patterns)

    def gate(self, call: ToolCallPart, tool: Tool | None) -> Literal[True] | str | None:
        """None for no opinion, True to go on without approval, or words that refuse the call.

        `tool` is None if there is no tool of that name; the agent says so itself.
        """
        if tool is None:
            return None
        if not self.mutating and tool.tool_class == "mutating":
            return (
                f"mode {self.name!r} does not allow tools that change something, and {call.name!r} is one; "
                "look and read only, and say what you would change"
            )
        if self.policy is not None:
            words = self.policy.refusal(call.name, call.args)
            if words is not None:
                return f"mode {self.name!r}: {words}"
        for pattern in self.approves:
            if CallPattern.of(pattern).matches(call.name, call.args):
                return True
        return None


DEFAULT = Mode("default")
PLAN = Mode(
    "plan",
    mutating=False,
    instructions=(
        "You are in plan mode. Explore first: read and search as much as you need. Do not change anything: "
        "tools that do are refused. Then present a plan, step by step, with the files and commands "
        "concerned, and wait until the user has agreed to it."
    ),
)
ACCEPT_EDITS = Mode("accept-edits", approves=("write", "edit"))

_BUILT_IN = {mode.name: mode for mode in (DEFAULT, PLAN, ACCEPT_EDITS)}


def mode_of(mode: Mode | str) -> Mode:
    """A mode, or the built-in one of that name (`_` is as good as `-`); raises InvalidInput."""
    if isinstance(mode, Mode):
        return mode
    found = _BUILT_IN.get(mode.replace("_", "-")) if isinstance(mode, str) else None
    if found is None:
        raise InvalidInput(f"mode should be one of {', '.join(_BUILT_IN)}, or a Mode, not {mode!r}")
    return found
