"""The tools glob and grep: which files there are, and which of their lines match.

| asked for         | walked (walk.py)                          | then                                 |
|-------------------|-------------------------------------------|--------------------------------------|
| glob, a pattern   | the directories that it can enter         | newest first, FILES at most          |
| grep, a directory | the same for its glob, or all             | each file's lines (grep.py), by path |
| grep, a file      | nothing                                   | its lines, hidden or ignored or not  |

Both stay inside the workspace, follow no links, leave out what .gitignore files name unless asked, and
names that begin with a dot unless the pattern has that dot. What they left out they say. They end within
their time, whatever the pattern, the tree and the files, and soon after a cancel.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from typing import Annotated, Final

from pydantic import Field

from tako.errors import ToolError
from tako.tools.builtin.grep import Grep
from tako.tools.builtin.path_patterns import BadPattern, PathPatterns, Row, expand_braces, parse_pattern
from tako.tools.builtin.regex import LineSearch
from tako.tools.builtin.regex_child import TookTooLong
from tako.tools.builtin.walk import Found, Walk
from tako.tools.builtin.workspace import Workspace
from tako.tools.context import ToolContext
from tako.tools.tool import Tool

__all__ = ["glob_tool", "grep_tool"]

FILES: Final = 1_000
"""Paths that glob shows."""
SECONDS: Final = 10.0
"""How long one search may take."""


def glob_tool(workspace: Workspace, *, seconds: float = SECONDS) -> Tool:
    """The tool that finds files by a pattern of their paths; one search takes `seconds` at most."""

    def glob(pattern: str, call: ToolContext, path: str | None = None, include_ignored: bool = False) -> str:
        """Find files whose path matches a pattern; the newest come first.

        Args:
            pattern: * and ? stay within a name, ** stands for any directories, [a-z] for a character,
                {a,b} for either; a backslash takes a character as it is. Example: src/**/*.{ts,tsx}.
                Hidden files are found only if the pattern has their dot, as in **/.env*
            path: The directory to search; the workspace if left out
            include_ignored: Also find what .gitignore files ignore
        """
        walk = _walk(workspace, call, path, _patterns(pattern), seconds, include_ignored=include_ignored)
        newest, count = _newest(workspace, walk)
        return _listed(workspace, walk, newest, count)

    return Tool(glob, read_only=True)


def grep_tool(workspace: Workspace, *, seconds: float = SECONDS) -> Tool:
    """The tool that finds lines by a regular expression; one search takes `seconds` at most."""

    def grep(
        pattern: str,
        call: ToolContext,
        path: str | None = None,
        glob: str | None = None,
        context: Annotated[int, Field(ge=0, le=100)] = 0,
        max_results: Annotated[int, Field(ge=1, le=10_000)] = 200,
        ignore_case: bool = False,
        fixed: bool = False,
        include_ignored: bool = False,
    ) -> str:
        """Find lines that match a regular expression (of Python, one line at a time).

        The result has path:line:text; with context, path:line> text for a match and path:line  text
        for its neighbours.

        Args:
            pattern: The regular expression
            path: The directory or file to search; the workspace if left out
            glob: Only files of this pattern: of their name, as in *.{ts,tsx}, or, if it has a
                slash, of their path below `path`, as in src/**/*.py
            context: Lines to show before and after each match
            max_results: The most matching lines to show
            ignore_case: Upper and lower case are the same
            fixed: The pattern is plain text, no regular expression
            include_ignored: Also search what .gitignore files ignore
        """
        files = _patterns("**" if not glob else glob if "/" in glob else f"**/{glob}", "glob")
        walk = _walk(workspace, call, path, files, seconds, include_ignored=include_ignored)
        with LineSearch(
            pattern, ignore_case=ignore_case, fixed=fixed, cancel=call.cancel, deadline=walk.deadline
        ) as search:
            found = Grep(search, context=context, most=max_results)
            notes = _search(workspace, path or ".", walk, found)
        return _told(found.lines, "No matches found.", notes, walk)

    return Tool(grep, read_only=True)


def _walk(
    workspace: Workspace,
    call: ToolContext,
    path: str | None,
    patterns: PathPatterns,
    seconds: float,
    *,
    include_ignored: bool,
) -> Walk:
    """The walk of one call; its time begins now."""
    deadline = time.monotonic() + seconds
    return Walk(
        workspace,
        path or ".",
        patterns.top,
        call.cancel,
        deadline=deadline,
        include_ignored=include_ignored,
    )


def _patterns(pattern: str, argument: str = "pattern") -> PathPatterns:
    """The patterns of a glob. Raises ToolError."""
    try:
        return PathPatterns([_row(one) for one in expand_braces(pattern)])
    except BadPattern as error:
        raise ToolError(f"{argument} {pattern[:100]!r}: {error}") from error


def _row(pattern: str) -> Row:
    if not pattern:
        raise BadPattern("it is empty; ** stands for all files")
    if pattern.startswith("/"):
        raise BadPattern("it begins with a slash; name the directory as path, and the pattern below it")
    if pattern.endswith("/"):
        raise BadPattern("it ends with a slash, and only files are found; write ** behind it")
    names = [name for name in pattern.split("/") if name not in ("", ".")]
    if ".." in names:
        raise BadPattern("it goes up with ..; name the directory as path, and the pattern below it")
    return parse_pattern("/".join(names))


def _newest(workspace: Workspace, walk: Walk) -> tuple[list[str], int]:
    """The newest files that a walk finds, ties by path, and how many there are in all."""
    count = 0
    found: list[tuple[int, str]] = []
    for one in walk.files():
        modified = _modified(workspace, walk, one)
        if modified is None:
            continue
        count += 1
        found.append((-modified, one.path))
        if len(found) >= 4 * FILES:
            found.sort()
            del found[FILES:]
    found.sort()
    return [path for _, path in found[:FILES]], count


def _modified(workspace: Workspace, walk: Walk, found: Found) -> int | None:
    """When a file was changed; None if it is gone, or a link that leads to no file inside."""
    try:
        if found.kind == "file":
            status = found.directory.status(found.name)
        else:
            status = workspace.status(found.directory.path_of(found.name))
    except ToolError:
        if found.kind == "file":
            walk.count_unreadable()
        return None
    return None if status is None or not stat.S_ISREG(status.st_mode) else status.st_mtime_ns


def _listed(workspace: Workspace, walk: Walk, newest: list[str], count: int) -> str:
    shown = _shown_below(workspace, walk.start)
    if count > len(newest):
        files = f"the newest {len(newest):,} of {count:,} files: use a narrower pattern or path for the rest"
    else:
        files = f"{count:,} file{'' if count == 1 else 's'}"
    notes = [files, *walk.notes()] if newest else walk.notes()
    return _told([shown(path) for path in newest], "No files matched the pattern.", notes, walk)


def _search(workspace: Workspace, path: str, walk: Walk, found: Grep) -> list[str]:
    """Search a file, or all that a walk finds. Returns what was left out."""
    shown = workspace.shown(path)
    stopped = []
    try:
        status = workspace.status(path)
        if status is not None and stat.S_ISREG(status.st_mode):
            found.file(workspace.open_file(path), shown)
            return found.notes()
        below: Callable[[str], str] | None = None
        for one in walk.files():
            if not found.is_open:
                break
            below = below or _shown_below(workspace, walk.start)
            if one.kind == "file":
                shown = below(one.path)
                _search_one(one, shown, walk, found)
    except TookTooLong as error:
        if not found.lines:
            raise ToolError(f"{shown}: {error}") from error
        stopped = [f"stopped in {shown}: {error}"]
    return [*stopped, *found.notes(), *walk.notes()]


def _search_one(one: Found, shown: str, walk: Walk, found: Grep) -> None:
    try:
        descriptor = one.directory.open_file(one.name)
    except ToolError:
        walk.count_unreadable()
        return
    try:
        found.file(descriptor, shown)
    except OSError:
        walk.count_unreadable()


def _told(lines: list[str], nothing: str, notes: list[str], walk: Walk) -> str:
    """Results and notes, each note in brackets on a line of its own."""
    if not lines and walk.ignored:
        ignored = "1 ignored entry" if walk.ignored == 1 else f"{walk.ignored:,} ignored entries"
        notes.append(f"{ignored} left out: include_ignored=true searches what is ignored, too")
    parts = ["\n".join(lines) if lines else nothing]
    if notes:
        parts.append("\n".join(f"({note})" for note in notes))
    return "\n\n".join(parts)


def _shown_below(workspace: Workspace, start: str) -> Callable[[str], str]:
    """How paths below a directory are shown: from the workspace's root, in one line each."""
    base = workspace.shown(start)
    prefix = "" if base == "." else f"{base.rstrip('/')}/"

    def shown(path: str) -> str:
        whole = prefix + path
        return whole if whole.isprintable() else repr(whole)

    return shown
