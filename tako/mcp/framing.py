"""Framing: how texts of JSON-RPC are cut out of the bytes of a link, and put into them.

| framing   | one text is               | before the first     | what else is sent    | where             |
|-----------|---------------------------|----------------------|----------------------|-------------------|
| Lines     | a line, ended by LF       | nothing              | nothing              | here              |
| WebSocket | a message, text or binary | upgrade of HTTP      | pongs, a close frame | wire/websocket.py |
| gRPC      | a message of a stream     | SETTINGS and HEADERS | acks, windows        | wire/grpc.py      |

A text is bytes of UTF-8; whether it is JSON at all is for the reader of JSON to say.

| a framing is | from                                       | `next_text` gives, or raises                   |
|--------------|--------------------------------------------|------------------------------------------------|
| running      | the start                                  | a text, or NEED_DATA                           |
| ended        | the end of the input of Lines; for others  | the texts that came before, then END           |
|              | the peer's end after our `goodbye`         |                                                |
| failed       | what the peer may not do; its refusal; for | the texts that came before, then the same      |
|              | others than Lines its end before `goodbye` | error at every call                            |

Invariants. Nothing here waits. The texts do not depend on how the bytes were cut. Bytes leave in the
order in which `opening`, `encode` and `data_to_send` gave them. A text of the peer has at most MAX_TEXT
bytes, also where it came compressed.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from tako.errors import ProtocolError
from tako.wire import END, NEED_DATA, End, NeedData
from tako.wire.ndjson import NDJSONParser

__all__ = ["MAX_TEXT", "Framing", "Lines"]

MAX_TEXT: Final = 16 * 1024 * 1024
"""Bytes that one text of the peer may have."""


class Framing(Protocol):
    """One direction and the other of one link. Only `next_text` and `encode` raise."""

    def opening(self) -> bytes:
        """What is sent at once, when the link is open. Called once, first."""

    def encode(self, text: bytes) -> bytes:
        """What is to be sent now for one JSON text, which is a single line.

        It may be less than all of the frame, or nothing: what the peer is not ready for yet comes from
        `data_to_send`. Raises TransportError for what cannot be sent any more.
        """

    def receive_data(self, data: bytes) -> None:
        """What has arrived; b"" is the end of it. After an end or a failure it is passed over."""

    def next_text(self) -> bytes | NeedData | End:
        """The next text of the peer. Raises ProtocolError, TransportError or ProviderError, for ever."""

    def data_to_send(self) -> bytes:
        """What is to be sent besides: answers of the protocol itself, and texts that were held back.

        To be asked for after `next_text` was asked until it had no more.
        """

    def goodbye(self) -> None:
        """We shall send no text any more; what the protocol says last is given by `data_to_send`."""

    @property
    def is_over(self) -> bool:
        """True when no text will be received any more, but those that `next_text` has not given yet."""


_BRACE = b"{"


class Lines:
    """A text is a line. CR before LF is dropped, empty lines are passed over.

    A last line without its LF is given as well: a JSON text that was cut in two is none.
    """

    __slots__ = ("_at_start", "_ended", "_failed", "_max_text", "_parser", "_texts")

    def __init__(self, max_text: int = MAX_TEXT) -> None:
        self._max_text = max_text
        self._parser = NDJSONParser(max_line_size=max_text)
        self._at_start = True  # the next byte is the first of a line, and somebody wants it
        self._texts: deque[bytes] = deque()
        self._ended = False
        self._failed = False

    def opening(self) -> bytes:
        """Nothing."""
        return b""

    def encode(self, text: bytes) -> bytes:
        """The text and LF."""
        return text + b"\n"

    def receive_data(self, data: bytes) -> None:
        """What has arrived; b"" is the end of it."""
        # The hot path: a server writes a line, it arrives whole and alone.
        if (
            self._at_start
            and data[:1] == _BRACE
            and data.find(b"\n") + 1 == len(data)
            and data[-2:] != b"\r\n"
            and len(data) <= self._max_text
        ):
            self._texts.append(data[:-1])
        elif not self.is_over:
            self._receive(data)

    def _receive(self, data: bytes) -> None:
        parser = self._parser
        try:
            parser.receive_data(data)
            while isinstance(line := parser.next_event(), bytes):
                self._texts.append(line)
        except ProtocolError:
            self._failed = True
        self._ended = not data
        self._at_start = data[-1:] == b"\n" and not self._failed

    def next_text(self) -> bytes | NeedData | End:
        """The next line. Raises ProtocolError behind the last that was not too long, for ever."""
        if self._texts:
            return self._texts.popleft()
        if self._failed:
            raise ProtocolError(
                f"the peer sent a line of more than {self._max_text:,} bytes; ask it for less at once",
                phase="decode",
            )
        return END if self._ended else NEED_DATA

    def data_to_send(self) -> bytes:
        """Nothing: lines have no protocol of their own."""
        return b""

    def goodbye(self) -> None:
        """Nothing is said; the end of the input says it."""

    @property
    def is_over(self) -> bool:
        return self._ended or self._failed
