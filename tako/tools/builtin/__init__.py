"""The tools that tako brings: files, searching, a shell, the web.

| tool      | class     | may                                                        |
|-----------|-----------|------------------------------------------------------------|
| read      | read_only | show lines of a text, or an image                          |
| write     | mutating  | write a whole file                                         |
| edit      | mutating  | replace a passage of a text                                |
| glob      | read_only | find files by their names                                  |
| grep      | read_only | find lines by a pattern                                    |
| bash      | mutating  | run a command; not confined to the workspace               |
| web_fetch | read_only | fetch a page; asked for by itself, not among the defaults  |

Who allows or denies calls by patterns (ToolPolicy, approvals that are remembered) should know that a pattern
reads the text of a path, not where it leads. Of a file in src, spelled in another way than src/...:

| rule                           | ./src/a, /work/src/a, b/../src/a | through a link   |
|--------------------------------|----------------------------------|------------------|
| allow `write(file_path=src/*)` | not let through                  | not let through  |
| deny `write(file_path=src/*)`  | NOT STOPPED                      | NOT STOPPED      |
| deny `write(file_path=*src*)`  | stopped                          | NOT STOPPED      |

An allowing rule fails closed, but for a link in src that leads elsewhere in the root. A denying one keeps out
mistakes, not somebody who wants in, and bash reads none of these: what must not be touched should not be in
the root, nor within reach of the user that the agent runs as.

`defaults(root)` makes the first six for one directory. The others are loaded when they are asked for.
Everything that touches the system is in the functions of the tools, which a driver calls.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, TypedDict, Unpack

# A package has its modules as attributes: imported later, this one would hide its own function.
from tako.tools.builtin.web_fetch import web_fetch
from tako.tools.builtin.workspace import Workspace
from tako.tools.tool import Tool

if TYPE_CHECKING:
    from tako.tools.builtin.bash import bash_tool
    from tako.tools.builtin.edit import edit_tool
    from tako.tools.builtin.read import read_tool
    from tako.tools.builtin.search import glob_tool, grep_tool
    from tako.tools.builtin.write import write_tool

__all__ = [
    "Workspace",
    "bash_tool",
    "defaults",
    "edit_tool",
    "glob_tool",
    "grep_tool",
    "read_tool",
    "web_fetch",
    "write_tool",
]

_HOMES = {
    "bash_tool": "bash",
    "edit_tool": "edit",
    "glob_tool": "search",
    "grep_tool": "search",
    "read_tool": "read",
    "write_tool": "write",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class BashOptions(TypedDict, total=False):
    """What `bash_tool` takes besides the root; see there."""

    environ: Mapping[str, str] | None
    keep: Collection[str]
    timeout: float
    max_timeout: float
    max_output: int
    max_processes: int | None
    max_memory: int | None
    max_file_size: int | None
    max_total_output: int | None
    shell: str


def defaults(
    root: str | os.PathLike[str] = ".", *, confined: bool = True, **bash: Unpack[BashOptions]
) -> list[Tool]:
    """read, write, edit, glob, grep and bash for one directory.

    `confined` keeps the first five inside of it; what else is given goes to `bash_tool`. Raises
    InvalidInput for a root that is no path.
    """
    from tako.tools.builtin.bash import bash_tool
    from tako.tools.builtin.edit import edit_tool
    from tako.tools.builtin.read import read_tool
    from tako.tools.builtin.search import glob_tool, grep_tool
    from tako.tools.builtin.write import write_tool

    workspace = Workspace(root, confined=confined)
    return [
        read_tool(workspace),
        write_tool(workspace),
        edit_tool(workspace),
        glob_tool(workspace),
        grep_tool(workspace),
        bash_tool(workspace.root, **bash),
    ]
