"""Server-sent events: the bytes of a `text/event-stream` body in, events out.

The algorithm is the one of the WHATWG HTML standard, section 9.2.6, kept to the letter. Its states
are few, and all of them are held at line granularity, which is what makes every cut of the bytes
give the same events:

    _start           the first bytes, as long as they may become a byte order mark; None after that
    _line            bytes of the line that is still arriving, without a line end
    _data, _event    the data and event type buffers of the block that is still arriving
    _id              the last event ID buffer, which a blank line makes `last_event_id`
    _after_cr        the input so far ended in CR, so that a LF at its front belongs to it
    _failure         what the peer did wrong; set once, then every call raises it
    _ended           b"" was received: a line or a block without its end was thrown away
    _closed          one of the last two: nothing is parsed any more

Bytes pass three stages. First the byte order mark goes, and CRLF and CR become LF, so that nothing
behind the door knows of them; a CR at the very end of a piece ends its line at once, and a LF after
it is swallowed. Then the input is cut behind its last LF: whole lines go on, the rest waits in
`_line`. Last, one regular expression takes the lines apart, in C: into blocks of the shape that
vendors send (an `event:` line or none, one `data:` line, the blank one), or, where that shape is
not found, into single lines, which go through the standard's steps one by one. Both ways are the
same algorithm; the first is only quicker.

Nothing is decoded before it has been cut. Line ends, colon and space are ASCII, so a field that is
decoded by itself gives what decoding the whole stream first would have given, and characters such
as U+2028 are never taken for line ends.

A line longer than `max_event_size`, or an event whose data (a LF counted for each of its lines) is
larger, is a ProtocolError. So what is held between two calls is at most twice that size. No byte is
looked at again because more arrived, so time is linear for any cut.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Final, TypeAlias

from tako.errors import InvalidInput, ProtocolError
from tako.wire import END, NEED_DATA, End, NeedData

__all__ = ["SSEParser", "ServerSentEvent"]

DEFAULT_MAX_EVENT_SIZE: Final = 8 * 1024 * 1024

# Event type, data and last event ID of a finished event; the first two are not decoded yet.
Block: TypeAlias = tuple[bytes, bytes, str]

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

# Fewer digits than this are an `int` that costs nothing to make and 300 million years of waiting;
# `int` itself refuses thousands of them.
MAX_RETRY_DIGITS: Final = 20

# A whole block (event, data, blank line) or one line, so that matches follow each other without a
# gap. Possessive: the standard removes the space whatever comes after it. The data of a block is
# not empty here, so that an empty second group means a single line.
BLOCK_OR_LINE: Final = re.compile(rb"(?:event: ?+(.++)\n)?data: ?+(.++)\n\n|(.*+)\n")


@dataclass(slots=True)
class ServerSentEvent:
    """One event as the standard dispatches it.

    event   its type, "message" where the stream gave none
    data    its data lines, joined with LF
    id      the last event ID at its time, which may have come with an earlier event, or ""
    """

    event: str
    data: str
    id: str


class SSEParser:
    """Takes one `text/event-stream` body apart.

    Read it in one of three ways, and stay with it: `receive_data` and `next_event`, as every wire
    machine; `feed`, the same events by the batch; `feed_data`, which gives only the data, as bytes,
    to those for whom an event is its JSON. Events that were complete before a mistake of the peer
    are always handed over before the ProtocolError is raised.
    """

    __slots__ = (
        "_after_cr",
        "_closed",
        "_data",
        "_ended",
        "_event",
        "_events",
        "_failure",
        "_id",
        "_last_event_id",
        "_line",
        "_max_event_size",
        "_retry",
        "_start",
    )

    def __init__(self, max_event_size: int = DEFAULT_MAX_EVENT_SIZE) -> None:
        if max_event_size < 1:
            raise InvalidInput(f"max_event_size must be at least 1 byte, not {max_event_size}")
        self._max_event_size = max_event_size
        self._line = bytearray()
        self._data = bytearray()
        self._event = b""
        self._id = ""
        self._last_event_id = ""
        self._retry: int | None = None
        self._start: bytes | None = b""
        self._after_cr = False
        self._ended = False
        self._closed = False
        self._failure: str | None = None
        # Made by the first `receive_data`: an empty deque takes as much memory as all the rest.
        self._events: deque[ServerSentEvent] | None = None

    @property
    def last_event_id(self) -> str:
        """What to send as `Last-Event-ID` when connecting again; "" for nothing."""
        return self._last_event_id

    @property
    def retry(self) -> int | None:
        """The milliseconds that the server asked to be waited before connecting again."""
        return self._retry

    def receive_data(self, data: bytes) -> None:
        """Take the next piece of the body; b"" is its end.

        What the peer does wrong in this piece is raised by `next_event`, after the events before
        it. Raises ProtocolError if the stream had failed before, InvalidInput after the end.
        """
        if self._failure is not None:
            raise ProtocolError(self._failure, phase="decode")
        if self._events is None:
            self._events = deque()
        self._events.extend(_decoded(self._receive(data)))

    def next_event(self) -> ServerSentEvent | NeedData | End:
        """Give the next event, NEED_DATA when there is none yet, END when there will be none.

        Raises ProtocolError once the events before the peer's mistake have been given.
        """
        if self._events:
            return self._events.popleft()
        if self._failure is not None:
            raise ProtocolError(self._failure, phase="decode")
        return END if self._ended else NEED_DATA

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take the next piece of the body, b"" at its end, and give the events it completed.

        A mistake of the peer is raised by the first call that has no event to give, and by every
        later one: feed b"" at the end of the input, or a mistake in the last piece stays unseen.
        Raises ProtocolError, and InvalidInput after the end.
        """
        blocks = self._receive(data)
        if blocks:
            return _decoded(blocks)
        if self._failure is not None:
            raise ProtocolError(self._failure, phase="decode")
        return []

    def feed_data(self, data: bytes) -> list[bytes]:
        """Do as `feed` does, and give only the data of each event, not decoded.

        Bytes are what a JSON decoder wants, and it refuses invalid UTF-8, where the standard would
        put U+FFFD into an answer without a word. Raises as `feed` does.
        """
        blocks = self._receive(data)
        if blocks:
            return [data for _, data, _ in blocks]
        if self._failure is not None:
            raise ProtocolError(self._failure, phase="decode")
        return []

    def _receive(self, data: bytes) -> list[Block]:
        """Take one piece: line ends made one, whole lines parsed, the rest kept."""
        if self._closed or not data:
            return self._receive_no_more(data)
        if self._start is not None:
            data = self._without_byte_order_mark(self._start + data)
        if self._after_cr or b"\r" in data:
            data = self._with_line_feeds(data)
        line = self._line
        if b"\n" not in data:
            line += data
            if len(line) > self._max_event_size:
                self._fail("a line")
            return []
        cut = data.rfind(b"\n") + 1
        lines = b"".join((line, data[:cut])) if line else data[:cut]
        line[:] = data[cut:]
        blocks = self._parse(lines)
        if len(line) > self._max_event_size:
            self._fail("a line")
        return blocks

    def _receive_no_more(self, data: bytes) -> list[Block]:
        """Take what is not parsed: the end of the input, and pieces after a failure or the end."""
        if self._ended and data:
            raise InvalidInput("data after the end of the input: make one SSEParser for each response")
        if not self._closed:
            self._ended = self._closed = True
            self._line.clear()
            self._data.clear()
        return []

    def _without_byte_order_mark(self, start: bytes) -> bytes:
        """Hold the first bytes back until it is known whether they are the mark; remove it once."""
        if len(start) < len(BYTE_ORDER_MARK) and BYTE_ORDER_MARK.startswith(start):
            self._start = start
            return b""
        self._start = None
        return start.removeprefix(BYTE_ORDER_MARK)

    def _with_line_feeds(self, data: bytes) -> bytes:
        """Make CRLF and CR to LF, also where a cut has parted CR and LF."""
        if self._after_cr:
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _parse(self, lines: bytes) -> list[Block]:
        """Run the standard's steps over whole lines; stop at a mistake."""
        blocks: list[Block] = []
        # No line and no block can be too large in what is not too large as a whole. Otherwise each
        # line is looked at by itself, so that the limit does not depend on how the bytes were cut.
        if len(lines) <= self._max_event_size:
            parts = BLOCK_OR_LINE.findall(lines)
        else:
            parts = [(b"", b"", line) for line in lines[:-1].split(b"\n")]
        for event, data, line in parts:
            if data and not self._data:
                blocks.append((event or self._event, data, self._id))
                self._event = b""
                self._last_event_id = self._id
            elif line:
                self._take_line(line)
            else:
                self._take_end_of_block(event, data, blocks)
            if self._closed:
                break
        return blocks

    def _take_line(self, line: bytes) -> None:
        """Process one field or comment; a field of an unknown name is ignored, as the standard says."""
        if len(line) > self._max_event_size:
            self._fail("a line")
            return
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._append_data(value)
        elif name == b"event":
            self._event = value
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) < MAX_RETRY_DIGITS:
            self._retry = int(value)

    def _take_end_of_block(self, event: bytes, data: bytes, blocks: list[Block]) -> None:
        """Process a blank line, and the event and data lines that were found together with it."""
        if event:
            self._event = event
        if data:
            self._append_data(data)
        if self._closed:
            return
        self._last_event_id = self._id
        if self._data:
            blocks.append((self._event, bytes(self._data[:-1]), self._id))
            self._data.clear()
        self._event = b""

    def _append_data(self, value: bytes) -> None:
        self._data += value
        self._data += b"\n"
        if len(self._data) > self._max_event_size:
            self._fail("the data of an event")

    def _fail(self, what: str) -> None:
        """Remember the mistake, and let go of what was held for a stream that cannot go on."""
        if self._closed:
            return
        self._closed = True
        self._line.clear()
        self._data.clear()
        self._failure = (
            f"the event stream holds {what} of more than {self._max_event_size} bytes; if the server is "
            "meant to send that much at once, pass a larger max_event_size"
        )


def _decoded(blocks: list[Block]) -> list[ServerSentEvent]:
    return [
        ServerSentEvent(
            event.decode("utf-8", "replace") if event else "message",
            data.decode("utf-8", "replace"),
            event_id,
        )
        for event, data, event_id in blocks
    ]
