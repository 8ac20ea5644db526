"""The chunked transfer coding, undone (RFC 9112, section 7.1).

For an adapter whose HTTP library reads the head, and takes longer over each chunk than a token is
worth. One `next_event` gives what all chunks that have arrived hold together.

| state    | what is read                         | next                              |
|----------|--------------------------------------|-----------------------------------|
| SIZE     | the line with the size of a chunk    | DATA; TRAILERS if the size is 0   |
| DATA     | the bytes of the chunk               | BREAK                             |
| BREAK    | the line break behind them           | SIZE                              |
| TRAILERS | header lines up to an empty one      | ENDED                             |
| ENDED    | nothing; what follows is `trailing`  |                                   |

Invariants. How the bytes were cut decides how many events there are and nothing else. Only an
unfinished line is ever kept back, so no more than MAX_LINE bytes are. What is sound is handed over
before the fault behind it is raised. Extensions and trailers are checked and dropped. Limits: MAX_LINE
bytes for a line, MAX_TRAILERS for all trailers.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from tako.errors import ProtocolError, TakoError, TransportError
from tako.wire import END, NEED_DATA, End, NeedData

__all__ = ["ChunkedDecoder"]

MAX_LINE = 4096
MAX_TRAILERS = 64 * 1024

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r\n")
_BREAK_AND_SIZE_LINE = re.compile(rb"\r\n" + _SIZE_LINE.pattern)
_TRAILER_LINE = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\x00\r\n]*)?\r?\n")


class _State(Enum):
    SIZE = "size"
    DATA = "data"
    BREAK = "line break"
    TRAILERS = "trailers"
    ENDED = "ended"


_SIZE: Final = _State.SIZE
_DATA: Final = _State.DATA
_BREAK: Final = _State.BREAK
_TRAILERS: Final = _State.TRAILERS
_ENDED: Final = _State.ENDED


class ChunkedDecoder:
    """Chunks in, the bytes that they hold out."""

    __slots__ = ("_input", "_input_ended", "_left", "_state", "_trailers_left", "_whose", "fault")

    def __init__(self, *, max_trailers: int = MAX_TRAILERS, whose: str = "the answer") -> None:
        """`whose` body it is, in the words of errors."""
        self._state = _SIZE
        self._input = b""  # received and not used: nothing, the start of a line, or what follows the end
        self._input_ended = False
        self._left = 0  # bytes of the present chunk still to come
        self._trailers_left = max_trailers
        self._whose = whose
        self.fault: TakoError | None = None
        """What the peer did wrong, as soon as it is known; `next_event` raises it when its turn comes."""

    @property
    def ended(self) -> bool:
        """True once the last chunk and its trailers were read; `next_event` has nothing but END left."""
        return self._state is _ENDED

    @property
    def trailing(self) -> bytes:
        """What was received behind the end: no part of this body."""
        return self._input if self._state is _ENDED else b""

    def receive_data(self, data: bytes) -> None:
        """Take what was read from the peer; b"" is the end of the input. Never raises."""
        if data:
            self._input = self._input + data if self._input else data
        else:
            self._input_ended = True

    def next_event(self) -> bytes | NeedData | End:
        """The bytes of all chunks that have arrived; END once they were handed over and it was the last.

        Raises ProtocolError for what is no chunk, TransportError where the input ends too early.
        """
        if self.fault is None and self._input and self._state is not _ENDED:
            pieces: list[bytes] = []
            try:
                self._read(pieces)
            except ProtocolError as fault:
                self.fault = fault
            if pieces:
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self.fault is not None:
            raise self.fault.with_traceback(None)
        if self._state is _ENDED:
            return END
        if self._input_ended:
            self.fault = TransportError("the server hung up in the middle of the answer", phase="body")
            raise self.fault
        return NEED_DATA

    def _read(self, pieces: list[bytes]) -> None:
        """Move on through the input as far as it goes; raises ProtocolError."""
        data, position, state = self._input, 0, self._state
        size = len(data)
        match_next = _BREAK_AND_SIZE_LINE.match
        try:
            while position < size and state is not _ENDED:
                if state is _DATA:
                    end = position + self._left
                    pieces.append(data[position:end])
                    if end > size:
                        self._left, position = end - size, size
                        break
                    position, state = end, _BREAK
                    line = match_next(data, position)
                    if line is None or line.end() - position > MAX_LINE:
                        continue  # it is not complete, or not right: see below
                elif state is _BREAK:
                    if data[position : position + 2] != b"\r\n":
                        if data[position:] != b"\r":
                            raise self._malformed("a chunk is longer than it said")
                        break
                    position, state = position + 2, _SIZE
                    continue
                elif state is _SIZE:
                    line = _SIZE_LINE.match(data, position)
                    if line is None or line.end() - position > MAX_LINE:
                        self._check_unfinished(data, position, "a chunk size is not a number")
                        break
                else:
                    position, state = self._skip_trailers(data, position)
                    break
                position = line.end()
                self._left = int(line[1], 16)
                state = _DATA if self._left else _TRAILERS
        finally:
            self._state, self._input = state, data[position:]

    def _skip_trailers(self, data: bytes, position: int) -> tuple[int, _State]:
        while (line := _TRAILER_LINE.match(data, position)) and line.end() - position <= MAX_LINE:
            self._trailers_left -= line.end() - position
            if self._trailers_left < 0:
                raise self._malformed("its trailers are too long")
            position = line.end()
            if line[0] in (b"\r\n", b"\n"):
                return position, _ENDED
        self._check_unfinished(data, position, "a trailer is not a header")
        return position, _TRAILERS

    def _check_unfinished(self, data: bytes, position: int, fault: str) -> None:
        """A line that does not match is at fault, unless it is only not complete yet."""
        if b"\n" in data[position:] or len(data) - position > MAX_LINE:
            raise self._malformed(fault)

    def _malformed(self, fault: str) -> ProtocolError:
        return ProtocolError(f"the body of {self._whose} is malformed: {fault}", phase="body")
