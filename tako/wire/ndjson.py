"""Newline-delimited JSON: bytes in, lines out; each line is one JSON value, which others decode.

The states are an open stream, an ended one (b"" was received) and a failed one (a line was too
long). A line ends at LF alone; a CR right before it belongs to the line end. Nothing else divides:
a lone CR is white space to JSON, and U+2028 or U+0085 may stand inside its strings. Blank lines,
which some servers send to keep a connection alive, are no events.

A last line that the end of the input cuts off before its LF is given as a line, because there are
senders that leave the last LF out. Whether it is whole cannot be seen here: a value that was cut in
two is no valid JSON, except for a bare number, and the vendor's own last message tells the rest.

No byte is looked at again because more arrived, so time is linear for any cut.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from tako.errors import InvalidInput, ProtocolError
from tako.wire import END, NEED_DATA, End, NeedData

__all__ = ["NDJSONParser"]

DEFAULT_MAX_LINE_SIZE: Final = 8 * 1024 * 1024

SPACE: Final = 0x20
FIRST_LETTER = b"!"
"""What is not smaller begins with something that is no white space."""
WHITE_SPACE: Final = b" \t\r"


class NDJSONParser:
    """Takes a body of newline-delimited JSON apart.

    Read it in one of two ways, and stay with it: `receive_data` and `next_event`, as every wire
    machine, or `feed`, the same lines by the batch. Lines before one that is too long are always
    handed over before the ProtocolError is raised. What is held between two calls is at most
    `max_line_size` bytes, and the lines that nobody has asked for.
    """

    __slots__ = ("_ended", "_failure", "_line", "_lines", "_max_line_size")

    def __init__(self, max_line_size: int = DEFAULT_MAX_LINE_SIZE) -> None:
        if max_line_size < 1:
            raise InvalidInput(f"max_line_size must be at least 1 byte, not {max_line_size}")
        self._max_line_size = max_line_size
        self._line = bytearray()
        self._ended = False
        self._failure: str | None = None
        self._lines: deque[bytes] = deque()

    def receive_data(self, data: bytes) -> None:
        """Take the next piece of the body; b"" is its end.

        A line that becomes too long in this piece is raised by `next_event`, after the lines before
        it. Raises ProtocolError if the stream had failed before, InvalidInput after the end.
        """
        if self._failure is not None:
            raise ProtocolError(self._failure, phase="decode")
        self._lines.extend(self._receive(data))

    def next_event(self) -> bytes | NeedData | End:
        """Give the next line, NEED_DATA when there is none yet, END when there will be none.

        Raises ProtocolError once the lines before the one that is too long have been given.
        """
        if self._lines:
            return self._lines.popleft()
        if self._failure is not None:
            raise ProtocolError(self._failure, phase="decode")
        return END if self._ended else NEED_DATA

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next piece of the body, b"" at its end, and give the lines it completed.

        A line that is too long is raised by the first call that has no line to give, and by every
        later one: feed b"" at the end of the input, or the last line may stay unseen.
        Raises ProtocolError, and InvalidInput after the end.
        """
        lines = self._receive(data)
        if lines:
            return lines
        if self._failure is not None:
            raise ProtocolError(self._failure, phase="decode")
        return []

    def _receive(self, data: bytes) -> list[bytes]:
        if self._failure is not None:
            return []
        if self._ended:
            if data:
                raise InvalidInput("data after the end of the input: make one NDJSONParser for each response")
            return []
        if not data:
            return self._receive_end()
        line = self._line
        cut = data.rfind(b"\n")
        if cut < 0:
            line += data
            lines = []
        else:
            whole = b"".join((line, data[:cut])) if line else data[:cut]
            line[:] = data[cut + 1 :]
            lines = self._cut(whole)
        # A CR at the end may be half of a line end, and is not counted before that is known.
        if len(line) > self._max_line_size and len(line.removesuffix(b"\r")) > self._max_line_size:
            self._fail()
        return lines

    def _receive_end(self) -> list[bytes]:
        """Give the line that has no LF, if there is one."""
        self._ended = True
        line = bytes(self._line)
        self._line.clear()
        return self._cut(line)

    def _cut(self, text: bytes) -> list[bytes]:
        """Cut whole lines apart, without their ends; stop at one that is too long."""
        every = text.split(b"\n")
        # The common case, in one go: no line is too long, and none is blank or begins with a blank.
        if len(text) <= self._max_line_size and b"\r" not in text and min(every) >= FIRST_LETTER:
            return every
        lines: list[bytes] = []
        for line in every:
            if line[-1:] == b"\r":
                line = line[:-1]
            if len(line) > self._max_line_size:
                self._fail()
                break
            # Hardly a line begins with white space, so hardly one is looked at twice.
            if line and (line[0] > SPACE or line.strip(WHITE_SPACE)):
                lines.append(line)
        return lines

    def _fail(self) -> None:
        """Remember the mistake, once, and let go of what was held."""
        self._line.clear()
        self._failure = (
            f"the peer sent a line of more than {self._max_line_size} bytes; if it is meant to send that "
            "much at once, pass a larger max_line_size"
        )
