"""edit: one passage of a text file by another, found exactly.

| old_string                     | the answer                                                             |
|--------------------------------|------------------------------------------------------------------------|
| empty, or the same as the new  | refused                                                                |
| not there                      | refused, with the passage that is most like it                         |
| there once                     | replaced, and shown with its neighbours                                |
| there several times            | refused with the numbers of the lines; with replace_all all are replaced |

The file is worked on as bytes, so what is not touched stays as it is, even if it is not UTF-8. Line ends
are the file's: `\\n` in both strings stands for the end of line that the passage has, and the new text gets
the same, or what most lines of the file have. While we work a CRLF is the one byte NUL, which no text holds:
so nothing is ever found in the middle of it.

Invariants. One match means that no other place fits, not even one that overlaps. The file is replaced as a
whole (replacing.py), and only if nobody has changed it since it was read. Files and results are at most
FILE_LIMIT bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tako.cancellation import CancellationToken
from tako.errors import ToolError
from tako.tools.builtin.closest import closest
from tako.tools.builtin.contents import SAMPLE, other_than_text
from tako.tools.builtin.directory import explained, size_in_words
from tako.tools.builtin.replacing import replace_file, signature
from tako.tools.builtin.workspace import Place, Workspace
from tako.tools.builtin.write import as_bytes
from tako.tools.context import ToolContext
from tako.tools.tool import Tool

__all__ = ["edit_tool"]

FILE_LIMIT = 16 * 1024 * 1024
"""Bytes of a file that can be edited, before and after."""
NUMBERS = 10
"""Lines that are named where a passage is found too often."""
SHOWN_CHANGES = 3
LOOKED_AT = 1000
"""Places that are looked at for the ones to show: there may be millions in one line."""
SHOWN_LINES = 30
"""Lines of one passage in the answer."""
SHOWN_LINE = 200
"""Characters of a line in the answer."""
NEIGHBOURS = 2
"""Lines shown before and after a change."""

LF, CRLF = b"\n", b"\r\n"
MARK = b"\0"
"""A CRLF while we work."""

NUMBERED = re.compile(r"[ ]*\d+\t")


def edit_tool(workspace: Workspace) -> Tool:
    """The tool that changes passages in files of the workspace."""

    def edit(
        file_path: str,
        old_string: str,
        new_string: str,
        replace_all: bool = False,
        *,
        context: ToolContext,
    ) -> str:
        """Replace a passage of a text file. It must be in the file exactly once, unless replace_all is set.

        Args:
            file_path: The file, absolute or relative to the workspace
            old_string: The passage as it stands in the file, without the line numbers of read
            new_string: What stands there afterwards
            replace_all: Replace the passage wherever it is
        """
        path = workspace.shown(file_path)
        old, new = _spelled(old_string, "old_string"), _spelled(new_string, "new_string")
        if not old:
            raise ToolError("old_string is empty; give the passage to replace, or use write for a new file")
        if old == new:
            raise ToolError("old_string and new_string are the same; nothing would change")
        with workspace.place(file_path) as place:
            data, state = _content(place, path, context.cancel)
            change = _find(data, old, new, path)
            if change.count == 0:
                raise ToolError(_not_found(change, old_string, path, context.cancel))
            if not replace_all:
                _require_one(change, path)
            after = change.result(path)
            replace_file(place, after.replace(MARK, CRLF), context.cancel, expected=state)
        return _told(change, after, path)

    return Tool(edit)


@dataclass(frozen=True, slots=True)
class _Change:
    """What is replaced by what, spelled as in the data, and how often. Line ends are LF or MARK."""

    data: bytes
    old: bytes
    new: bytes
    count: int

    def line(self, at: int) -> int:
        """The number of the line at a place."""
        return self.data.count(LF, 0, at) + self.data.count(MARK, 0, at) + 1

    def result(self, path: str) -> bytes:
        """The data after the change; raises ToolError if it grows too large."""
        marks = self.data.count(MARK) + self.count * (self.new.count(MARK) - self.old.count(MARK))
        size = len(self.data) + self.count * (len(self.new) - len(self.old)) + marks
        if size > FILE_LIMIT:
            raise ToolError(
                f"{path} would have {size_in_words(size)}; at most {size_in_words(FILE_LIMIT)} are edited"
            )
        return self.data.replace(self.old, self.new)


def _spelled(text: str, name: str) -> bytes:
    if "\0" in text:
        raise ToolError(f"{name} holds a NUL character; texts have none")
    return as_bytes(text.replace("\r\n", "\n"), name)


def _content(place: Place, path: str, cancel: CancellationToken) -> tuple[bytes, tuple[int, int, int, int]]:
    """The whole file and the signature it had; raises ToolError if it is no text, or too long."""
    with explained(path):
        with os.fdopen(place.directory.open_file(place.name), "rb") as source:
            status = os.fstat(source.fileno())
            size = status.st_size
            if size > FILE_LIMIT:
                raise ToolError(
                    f"{path} has {size_in_words(size)}; at most {size_in_words(FILE_LIMIT)} are edited; "
                    "use bash with sed"
                )
            data = source.read(size + 1)
    cancel.raise_if_cancelled()
    if len(data) != size:
        raise ToolError(f"{path} changes while it is read; try again when it is complete")
    kind = other_than_text(data[:SAMPLE])
    if kind is None and MARK in data:
        kind = "binary data"
    if kind is not None:
        raise ToolError(f"{path} is no text: {kind}, {size_in_words(size)}; edit changes texts only")
    return data, signature(status)


def _find(data: bytes, old: bytes, new: bytes, path: str) -> _Change:
    """The passage in the file's spelling, with the line ends that most lines have first."""
    data = data.replace(CRLF, MARK)
    ends = (MARK, LF) if data.count(MARK) > data.count(LF) else (LF, MARK)
    changes = []
    for end in ends:
        spelled = old.replace(LF, end)
        changes.append(_Change(data, spelled, new.replace(LF, end), data.count(spelled)))
    first, second = changes
    if LF in old and first.count and second.count:
        raise ToolError(
            f"{path}: the passage is there with LF and with CRLF line ends; replace a single line at a time"
        )
    return first if first.count or not second.count else second


def _require_one(change: _Change, path: str) -> None:
    lines: list[str] = []
    at = change.data.find(change.old)
    while at >= 0 and len(lines) <= NUMBERS:
        lines.append(str(change.line(at)))
        at = change.data.find(change.old, at + 1)
    if len(lines) == 1:
        return
    named = list(dict.fromkeys(lines[:NUMBERS]))
    where = f"{'line' if len(named) == 1 else 'lines'} {', '.join(named)}"
    more = ", ..." if len(lines) > NUMBERS else ""
    times = f"{change.count} times" if change.count > 1 else "more than once, overlapping"
    raise ToolError(
        f"old_string is in {path} {times} ({where}{more}); "
        "give more of the text around it, or set replace_all"
    )


def _not_found(change: _Change, wanted: str, path: str, cancel: CancellationToken) -> str:
    lines = wanted.strip("\r\n").split("\n")
    if all(NUMBERED.match(line) for line in lines):
        return f"old_string is not in {path}; leave out the line numbers and tabs that read puts first"
    if change.old.replace(MARK, LF) in change.data.replace(MARK, LF):
        return (
            f"old_string is in {path} only with LF and CRLF line ends mixed; "
            "replace fewer lines at a time, down to a single one"
        )
    passage = closest(change.data.replace(MARK, LF), wanted, cancel)
    if passage is None:
        return f"old_string is not in {path}, nor anything like it; read the file again"
    why = "the same but for white space" if passage.spaced else "the most alike"
    told = _numbered("", passage.lines, passage.first)
    return "\n".join([f"old_string is not in {path}; this passage is {why}:", *told])


def _told(change: _Change, after: bytes, path: str) -> str:
    """How many were replaced, and the first of them with their neighbours."""
    told = [f"Replaced {change.count} {'occurrence' if change.count == 1 else 'occurrences'} in {path}"]
    growth = len(change.new) - len(change.old)
    old_text, new_text = change.data.replace(MARK, LF), after.replace(MARK, LF)
    at = shown = seen = 0
    for number in range(min(change.count, LOOKED_AT)):
        at = change.data.find(change.old, at)
        if at >= seen:  # not in a line that was shown
            if shown == SHOWN_CHANGES:
                break
            there = at + number * growth
            before = _Lines.of(old_text, at, at + len(change.old))
            told += _hunk(before, _Lines.of(new_text, there, there + len(change.new)))
            seen, shown = before.end, shown + 1
        at += len(change.old)
    if change.data.find(change.old, max(at, seen)) >= 0:
        told.append("[... the other places are not shown ...]")
    return "\n".join(told)


@dataclass(frozen=True, slots=True)
class _Lines:
    """The lines that a place touches, the number of the first, and where in the text they end."""

    text: bytes
    first: int
    start: int
    end: int
    lines: list[bytes]

    @classmethod
    def of(cls, text: bytes, start: int, end: int) -> _Lines:
        start = text.rfind(LF, 0, start) + 1
        end = text.find(LF, end)
        end = len(text) if end < 0 else end
        return cls(text, text.count(LF, 0, start) + 1, start, end, text[start:end].split(LF))

    def above(self) -> list[bytes]:
        return self.text[: self.start - 1].rsplit(LF, NEIGHBOURS)[-NEIGHBOURS:] if self.start else []

    def below(self) -> list[bytes]:
        rest = self.text[self.end + 1 :]
        return rest.removesuffix(LF).split(LF, NEIGHBOURS)[:NEIGHBOURS] if rest else []


def _hunk(before: _Lines, after: _Lines) -> list[str]:
    """One change as a diff has it; a line that is gone has the number that it had among its neighbours."""
    old, new = before.lines, after.lines
    shortest = min(len(old), len(new))
    lead = 0
    while lead < shortest and old[lead] == new[lead]:
        lead += 1
    tail = 0
    while tail < shortest - lead and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    above = [*after.above(), *new[:lead]][-NEIGHBOURS:]
    below = [*new[len(new) - tail :], *after.below()][:NEIGHBOURS]
    first = after.first + lead
    added = new[lead : len(new) - tail]
    return [
        *_numbered(" ", above, first - len(above)),
        *_numbered("-", old[lead : len(old) - tail], first),
        *_numbered("+", added, first),
        *_numbered(" ", below, first + len(added)),
    ]


def _numbered(mark: str, lines: Sequence[str | bytes], first: int) -> list[str]:
    """Lines for the answer, each of them cut, and all of them."""
    told = []
    for number, line in enumerate(lines[:SHOWN_LINES], first):
        text = line if isinstance(line, str) else line.decode("utf-8", "replace")
        if len(text) > SHOWN_LINE:
            text = f"{text[:SHOWN_LINE]}[... {len(text) - SHOWN_LINE:,} characters cut ...]"
        told.append(f"{mark}{number}\t{text}")
    if len(lines) > SHOWN_LINES:
        told.append(f"[... {len(lines) - SHOWN_LINES:,} lines cut ...]")
    return told
