"""Grep: the lines of files that match, with their neighbours, as text.

    src/one.py:3:the line that matches           without context

    src/one.py:2  the line before                with context; two spaces for a neighbour,
    src/one.py:3> the line that matches          > for a line that matches,
    --                                           and this between groups that do not touch

A file is read in blocks that end with a line, so its size does not matter. A file that holds a zero byte
is binary: what was found before it stays, the rest is not read. Bytes that are no UTF-8 become U+FFFD.

Invariants. At most `most` lines that match are shown, and neighbours do not count. At most two blocks are
held, and OUTPUT characters of result. Everything that was left out is counted, and `notes` says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from tako.tools.builtin.regex import Hit, LineSearch

__all__ = ["Grep"]

BLOCK: Final = 1 << 20
"""Bytes that are read at once, and of one line that are searched."""
SHOWN_LINE: Final = 500
"""Characters of a line that are shown."""
BEFORE_HIT: Final = 150
"""Of these, how many before the place that matches."""
OUTPUT: Final = 1_000_000
"""Characters of the result."""


class Grep:
    """One search: hand it `file` after file while `is_open`, then read `lines` and `notes`."""

    def __init__(self, search: LineSearch, *, context: int, most: int, block: int = BLOCK) -> None:
        self.lines: list[str] = []
        self.is_open = True
        """False once as many lines are there as may be, and it is known that there are more."""
        self._search = search
        self._context = context
        self._most = most
        self._block = block
        self._count = self._size = self._binary = self._long = 0

    def file(self, descriptor: int, path: str) -> None:
        """Search an open file, and close it. Raises Cancelled, TookTooLong and OSError."""
        try:
            self._search_file(descriptor, _Excerpt(path, self._context, self.lines))
        finally:
            os.close(descriptor)

    def _search_file(self, descriptor: int, excerpt: _Excerpt) -> None:
        number = 1
        for text in self._blocks(descriptor):
            if not self._search.can_match(text) and not self._context:
                number += text.count("\n")
                continue
            lines = text.split("\n")
            if not lines[-1]:
                lines.pop()
            hits = self._search.hits(lines, self._most - self._count + 1)
            self._take(excerpt, number, lines, hits)
            number += len(lines)
            if not self.is_open:
                return

    def notes(self) -> list[str]:
        """What was left out, in words for the model."""
        notes = []
        if not self.is_open:
            cut = self._count >= self._most
            notes.append(
                f"results truncated at {self._most:,} matching lines: use a narrower pattern, path or glob"
                if cut
                else f"results truncated at {OUTPUT:,} characters: use a narrower pattern, or less context"
            )
        if self._binary:
            notes.append(f"{self._binary:,} binary file{'' if self._binary == 1 else 's'} skipped")
        if self._long:
            lines = "line" if self._long == 1 else "lines"
            notes.append(f"only the first {self._block:,} bytes searched of {self._long:,} very long {lines}")
        return notes

    def _take(self, excerpt: _Excerpt, number: int, lines: list[str], hits: list[Hit]) -> None:
        room = self._most - self._count
        before = len(self.lines)
        excerpt.add(number, lines, hits[:room])
        self._count += len(hits[:room])
        self._size += sum(map(len, self.lines[before:]))
        self.is_open = len(hits) <= room and self._size < OUTPUT

    def _blocks(self, descriptor: int) -> Iterator[str]:
        """The text of a file in pieces that end with a line."""
        rest, skipping, first = b"", False, True
        while chunk := os.read(descriptor, self._block):
            self._search.look_up()
            if b"\0" in chunk:
                self._binary += 1
                return
            if skipping:
                _, end, chunk = chunk.partition(b"\n")
                skipping = not end
            data = rest + chunk
            cut = data.rfind(b"\n") + 1
            rest = data[cut:]
            if len(rest) >= self._block:
                self._long += 1
                data, cut, rest, skipping = data + b"\n", len(data) + 1, b"", True
            if cut:
                yield _decoded(data[:cut], first=first)
                first = False
        if rest:
            yield _decoded(rest, first=first)


class _Excerpt:
    """What is shown of one file: the lines that match and their neighbours, in order, each once."""

    def __init__(self, path: str, context: int, output: list[str]) -> None:
        self._path = path
        self._context = context
        self._output = output
        self._shown = 0
        """The number of the last line that is shown."""
        self._due = 0
        """The number of the last line that is still to be shown after one that matches."""
        self._tail: list[str] = []

    def add(self, first: int, lines: list[str], hits: list[Hit]) -> None:
        """Lines of the file from number `first` on; each begins where the one before ended."""
        if not self._context:
            self._output += [
                f"{self._path}:{first + hit.line}:{_around(lines[hit.line], hit)}" for hit in hits
            ]
            return
        known = len(self._tail)
        lines = [*self._tail, *lines]
        first -= known
        for hit in hits:
            number = first + known + hit.line
            self._neighbours(first, lines, self._shown + 1, min(self._due, number - 1))
            start = number - self._context
            if self._output and (not self._shown or start > self._shown + 1):
                self._output.append("--")
            self._neighbours(first, lines, max(self._shown + 1, start, first), number - 1)
            self._output.append(f"{self._path}:{number}> {_around(lines[number - first], hit)}")
            self._shown, self._due = number, number + self._context
        self._neighbours(first, lines, self._shown + 1, min(self._due, first + len(lines) - 1))
        self._tail = lines[-self._context :]

    def _neighbours(self, first: int, lines: list[str], start: int, end: int) -> None:
        for number in range(start, end + 1):
            self._output.append(f"{self._path}:{number}  {_around(lines[number - first])}")
            self._shown = number


def _around(line: str, hit: Hit | None = None) -> str:
    """A line, or of a long one what is around the hit."""
    if len(line) <= SHOWN_LINE:
        return line
    start = max(0, min(hit.start - BEFORE_HIT, len(line) - SHOWN_LINE)) if hit else 0
    end = start + SHOWN_LINE
    return f"{_cut(start)}{line[start:end]}{_cut(len(line) - end)}"


def _cut(number: int) -> str:
    return f"[... {number:,} characters cut ...]" if number > 0 else ""


def _decoded(data: bytes, *, first: bool) -> str:
    text = data.decode("utf-8", "replace")
    if first:
        text = text.removeprefix("\ufeff")
    return text.replace("\r\n", "\n") if "\r" in text else text
