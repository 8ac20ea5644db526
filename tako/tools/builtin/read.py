"""read: the lines of a text file with their numbers, or a picture for the model to see.

| the file is             | the answer is                                                               |
|-------------------------|-----------------------------------------------------------------------------|
| text                    | `<number>TAB<line>` for each line asked for                                 |
|                         | before them `[Lines a-b of total]`, if these are not all the lines          |
|                         | after them, in brackets, what was cut or replaced, and CRLF line ends       |
| empty                   | that it is                                                                  |
| png, jpeg, gif, webp    | the image, up to IMAGE_LIMIT bytes                                          |
| anything else           | an error with its kind and size                                             |
| no file at all          | an error with what it is                                                    |

Numbers start at 1; `offset` counts the lines to skip, so it is the number of the last line not wanted.
A byte order mark and the \\r of a line end are not shown.

Invariants. A file is never held as a whole: lines pass through a buffer, a line longer than LINE_LIMIT
keeps its beginning, and the answer ends at OUTPUT_LIMIT. No more than SCAN_LIMIT bytes are looked through,
for lines to skip or to count; then the answer says that. The token is looked at between two chunks.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from typing import Annotated, BinaryIO

from pydantic import Field

from tako.cancellation import CancellationToken
from tako.errors import ToolError
from tako.parts import ImagePart, TextPart, image_type
from tako.tools.builtin.contents import SAMPLE, decoded, other_than_text
from tako.tools.builtin.directory import explained, size_in_words
from tako.tools.builtin.workspace import Workspace
from tako.tools.context import ToolContext
from tako.tools.output import ToolOutput
from tako.tools.tool import Tool

__all__ = ["read_tool"]

CHUNK = 256 * 1024
"""Bytes that are read between two looks at the token."""
LINE_LIMIT = 2000
"""Bytes of one line that are shown."""
OUTPUT_LIMIT = 256 * 1024
"""Bytes of lines in one answer."""
IMAGE_LIMIT = 5 * 1024 * 1024
"""Bytes of an image; what the vendors take at most."""
SCAN_LIMIT = 64 * 1024 * 1024
"""Bytes that one call looks through."""

BOM = b"\xef\xbb\xbf"
CRLF = b"\r\n"


def read_tool(workspace: Workspace) -> Tool:
    """The tool that shows the model what is in a file of the workspace."""

    def read(
        file_path: str,
        offset: Annotated[int, Field(ge=0)] = 0,
        limit: Annotated[int, Field(ge=1)] = 2000,
        *,
        context: ToolContext,
    ) -> str | ToolOutput:
        """Read a text file: each line as its number, a tab and the text. Images are shown.

        Args:
            file_path: The file, absolute or relative to the workspace
            offset: How many lines to skip
            limit: How many lines to read
        """
        path = workspace.shown(file_path)
        with explained(path):
            with os.fdopen(workspace.open_file(file_path), "rb", buffering=CHUNK) as source:
                return _read(source, path, offset, limit, context.cancel)

    return Tool(read, read_only=True)


@dataclass(slots=True)
class _Passage:
    """The lines that were asked for, and all that is to be said of them."""

    first: int
    lines: list[str] = field(default_factory=list)
    size: int = 0
    replaced: int = 0
    carriage_returns: bool = False
    is_full: bool = False

    @property
    def end(self) -> int:
        return self.first + len(self.lines)


class _Scan:
    """Reading on in a file, with an eye on the token and on how far it has come."""

    def __init__(self, source: BinaryIO, cancel: CancellationToken) -> None:
        self.source = source
        self.cancel = cancel
        self.budget = SCAN_LIMIT

    def chunk(self) -> bytes | None:
        """The next bytes, b"" at the end; None if enough was looked through."""
        self.cancel.raise_if_cancelled()
        if self.budget <= 0:
            return None
        return self._counted(self.source.read(CHUNK))

    def piece(self, limit: int) -> bytes:
        """The next line with its end, or as much of it as the limit allows."""
        return self._counted(self.source.readline(limit))

    def _counted(self, data: bytes) -> bytes:
        self.budget -= len(data)
        return data


def _read(
    source: BinaryIO, path: str, offset: int, limit: int, cancel: CancellationToken
) -> str | ToolOutput:
    head = source.read(SAMPLE)
    if not head:
        return f"[{path} is empty]"
    size = os.fstat(source.fileno()).st_size
    kind = other_than_text(head)
    if kind is not None:
        mime = image_type(head)
        if mime is not None:
            return _image(head, source, path, mime, size)
        raise ToolError(f"{path} is no text: {kind}, {size_in_words(size)}; use a program made for it")
    source.seek(len(BOM) if head.startswith(BOM) else 0)
    scan = _Scan(source, cancel)
    _skip(scan, path, offset)
    passage = _collect(scan, offset, limit)
    total = _count_rest(scan, passage.end)
    if not passage.lines and not offset:
        return f"[{path} is empty]"
    if not passage.lines:
        raise ToolError(f"{path} has {_lines(offset)}; offset {offset} is past the end")
    return _told(passage, total)


def _lines(number: int) -> str:
    return "1 line" if number == 1 else f"{number} lines"


def _skip(scan: _Scan, path: str, offset: int) -> None:
    """Go to the line after `offset` lines; raises ToolError if there are fewer, or they take too long."""
    found, last = 0, b"\n"
    while found < offset:
        chunk = scan.chunk()
        if chunk is None:
            raise ToolError(
                f"{path}: line {offset + 1} is more than {size_in_words(SCAN_LIMIT)} into the file; "
                "use bash with sed -n or tail"
            )
        if not chunk:
            found += last != b"\n"
            raise ToolError(f"{path} has {_lines(found)}; offset {offset} is past the end")
        ends = chunk.count(b"\n")
        if found + ends >= offset:
            index = -1
            for _ in range(offset - found):
                index = chunk.find(b"\n", index + 1)
            scan.source.seek(index + 1 - len(chunk), os.SEEK_CUR)
            return
        found, last = found + ends, chunk[-1:]


def _collect(scan: _Scan, offset: int, limit: int) -> _Passage:
    passage = _Passage(offset)
    # The first line is read in any case: it may begin where the budget ends.
    while not passage.lines or (len(passage.lines) < limit and not passage.is_full and scan.budget > 0):
        scan.cancel.raise_if_cancelled()
        piece = scan.piece(LINE_LIMIT + len(CRLF))
        if not piece:
            break
        line = piece.removesuffix(b"\n")
        if piece.endswith(CRLF):
            passage.carriage_returns = True
            line = line[:-1]
        whole = len(line) <= LINE_LIMIT
        text, replaced, used = decoded(line[:LINE_LIMIT], whole=whole)
        if "\0" in text:
            replaced += text.count("\0")
            text = text.replace("\0", "\ufffd")
        if not whole:
            text += _rest_of_line(scan, piece, len(line) - used)
        passage.lines.append(f"{passage.end + 1}\t{text}")
        passage.replaced += replaced
        passage.size += len(text.encode())
        passage.is_full = passage.size >= OUTPUT_LIMIT
    return passage


def _rest_of_line(scan: _Scan, piece: bytes, dropped: int) -> str:
    """What is said instead of the rest of a long line, which is passed over."""
    while piece and not piece.endswith(b"\n") and scan.budget > 0:
        scan.cancel.raise_if_cancelled()
        before, piece = piece[-1:], scan.piece(CHUNK)
        dropped += len(piece.removesuffix(CRLF).removesuffix(b"\n"))
        dropped -= before + piece == CRLF
    more = "more than " if piece and not piece.endswith(b"\n") else ""
    return f"[... {more}{size_in_words(dropped)} cut ...]"


def _count_rest(scan: _Scan, found: int) -> int | None:
    """How many lines the file has; None if it takes too long to tell."""
    last = b"\n"
    while chunk := scan.chunk():
        found, last = found + chunk.count(b"\n"), chunk[-1:]
    return None if chunk is None else found + (last != b"\n")


def _told(passage: _Passage, total: int | None) -> str:
    lines = passage.lines
    end = passage.end
    if passage.first or total != end:
        of = f"more than {end}" if total is None else total
        lines = [f"[Lines {passage.first + 1}-{end} of {of}]", *lines]
    notes = []
    if passage.is_full and total != end:
        notes.append(f"cut at {size_in_words(OUTPUT_LIMIT)}; go on with offset={end}")
    if passage.replaced:
        notes.append(f"no text in UTF-8, shown as \ufffd: {passage.replaced:,} characters")
    if passage.carriage_returns:
        notes.append("the line ends are CRLF; edit takes and keeps them")
    return "\n".join([*lines, *(f"[{note}]" for note in notes)])


def _image(head: bytes, source: BinaryIO, path: str, mime: str, size: int) -> ToolOutput:
    data = head + source.read(IMAGE_LIMIT + 1 - len(head))
    if len(data) > IMAGE_LIMIT:
        raise ToolError(
            f"{path} is an image ({mime}) of {size_in_words(size)}; "
            f"at most {size_in_words(IMAGE_LIMIT)} can be shown, make it smaller first"
        )
    words = f"{path}: {mime}, {size_in_words(len(data))}"
    image = ImagePart(mime=mime, data_b64=base64.b64encode(data).decode())
    return ToolOutput(words, content=(TextPart(text=words), image))
