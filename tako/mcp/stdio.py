"""Stdio: a server that is a program of ours, spoken to over its standard input and output."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tako.effects import Flow, call
from tako.errors import InvalidInput
from tako.links import Child, Endpoint
from tako.mcp.channel import Channel, LinkChannel
from tako.mcp.config import ServerConfig
from tako.mcp.framing import Framing, Lines

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Stdio"]


_LAUNCHER: Final = re.compile(r"(python|node|npx|uvx|bunx)[\d.]*(\.exe|\.cmd)?")
_SILENT: Final = frozenset(("-m", "-u", "-y", "--yes"))
"""Options of theirs that have no value of their own."""


@dataclass(frozen=True, eq=False, repr=False)
class Stdio(ServerConfig):
    """A server as a child process.

    command  the program, looked for in PATH; no shell
    args     its arguments
    env      variables that it gets besides ours; a value None takes one away
    cwd      the folder where it starts

    It is started when it is first needed, in a process group of its own, and ended with the Runtime: its
    input is closed, and if it does not go by itself the group gets SIGTERM, then SIGKILL. The end of what
    it says on standard error is in the error if it dies. The other arguments are those of ServerConfig.
    """

    command: str
    args: Sequence[str] = ()
    env: Mapping[str, str | None] | None = field(default=None, repr=False, kw_only=True)
    cwd: str | PathLike[str] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.command, str) or not self.command:
            raise InvalidInput(f"command should be the name of a program, not {self.command!r}")
        if isinstance(self.args, str) or not all(isinstance(one, str) for one in self.args):
            raise InvalidInput("args should be a list of texts")
        for name, value in (self.env or {}).items():
            if not isinstance(name, str) or not (value is None or isinstance(value, str)):
                raise InvalidInput(f"env: {name!r} should be a text and its value a text or None")
        if self.cwd is not None and not isinstance(self.cwd, str) and not hasattr(self.cwd, "__fspath__"):
            raise InvalidInput(f"cwd should be the path of a folder, not {type(self.cwd).__name__}")

    @property
    def label(self) -> str:
        """The program, and what it runs if it is there to run others. Other arguments may be secrets."""
        command = _last_name(self.command)
        return f"the MCP server {' '.join((command, *_run_by(command, self.args)))!r}"

    def channel(self) -> Channel:
        return LinkChannel(self.label, self._connect)

    def _connect(self) -> Flow[tuple[Endpoint, Framing]]:
        environ = None
        if self.env:
            ours: Mapping[str, str] = yield from call(dict, os.environ)
            merged = {**ours, **self.env}
            environ = tuple([(name, value) for name, value in merged.items() if value is not None])
        folder = None if self.cwd is None else os.fspath(self.cwd)
        return Child((self.command, *self.args), environ, folder), Lines()


def _run_by(command: str, args: Sequence[str]) -> Sequence[str]:
    """The name of the script or package that a launcher is given, if that comes first."""
    if _LAUNCHER.fullmatch(command):
        for argument in args:
            if argument not in _SILENT:
                return () if argument.startswith("-") else (_last_name(argument)[:80],)
    return ()


def _last_name(path: str) -> str:
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]
