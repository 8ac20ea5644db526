"""StreamReading: what the server says before an answer, in one event stream after the other.

| state   | from                               | and then                                              |
|---------|------------------------------------|-------------------------------------------------------|
| ended   | it was made; b"" was fed; `broke`  | `begin`, with the stream that goes on after           |
|         |                                    | `last_event_id`, if an event had an id                |
| running | `begin`                            | `feed` puts messages into `messages`                  |

A message that is no JSON-RPC is a ProtocolError among the messages, raised by who comes to it. Events of
another type than "message", and those with no data (which only bring an id) are not messages.

Before the next stream is asked for, `delay` is waited, which the server may name. Who listens waits twice as
long after each stream in a row that ended within BRIEF and had no message in it, up to LONGEST_PAUSE: so a
server that ends them all at once is neither given up nor asked without a pause. Who was too early, because
the server had not noticed the end of the stream before (409), asks again after a moment.

Invariants. Nothing here waits. The messages do not depend on how the bytes were cut. `tries` counts the
streams that were asked for since an event was heard. What is kept is bounded: by MOST_OF_AN_ANSWER for an
event, and for the rest by what one feed brings.
"""

from __future__ import annotations

import re
from typing import Final

from tako.errors import ProtocolError, TakoError
from tako.mcp.channel import Ear
from tako.mcp.http_peer import MOST_OF_AN_ANSWER
from tako.mcp.posting import Message, Reading
from tako.wire import jsonrpc
from tako.wire.sse import SSEParser

__all__ = ["StreamReading", "messages_in"]

DELAY: Final = 1.0
"""Seconds before a stream is asked for again, unless the server says how long."""
MOST_DELAY: Final = 300.0
BRIEF: Final = 1.0
"""Seconds; a stream to listen to that was over sooner, with nothing said, was of no use."""
SHORTEST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 60.0
"""Seconds before a stream is asked for that follows on such; but never less than the server says."""

_SENDABLE_ID: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,4094}[\x21-\x7e])?")


class StreamReading(Reading):
    """A Reading of event streams. `name` is what the server is called in messages."""

    __slots__ = (
        "_begun_at", "_is_of_use", "_name", "_parser", "_pause", "_place", "_takes_batches", "delay", "error",
        "exchange", "is_early", "last_event_id", "tries",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        ear: Ear,
        id: int | None = None,
        *,
        hears: bool = False,
        timeout: float | None = None,
        takes_batches: bool = False,
    ) -> None:
        super().__init__(ear, id, hears=hears, timeout=timeout)
        self._name = name
        self._takes_batches = takes_batches
        self._parser = SSEParser(MOST_OF_AN_ANSWER)
        self._place = 0
        self.has_ended = True
        self.exchange = 0
        """0 before there was one."""
        self.last_event_id = ""
        self.delay = DELAY
        """Seconds to wait before the next stream is asked for."""
        self._begun_at = 0.0
        self._is_of_use = False
        """Whether the last stream had a message in it."""
        self._pause = 0.0
        """What a listener has waited last because of streams that were of no use."""
        self.tries = 0
        self.is_early = False
        """Whether the server had not noticed yet that another stream has ended: it soon will have."""
        self.error: TakoError | None = None
        """Why the last stream ended, or could not be had; None if it ended in order."""

    @property
    def can_resume(self) -> bool:
        """Whether there is an id from which on to resume, and a header can carry it."""
        return _SENDABLE_ID.fullmatch(self.last_event_id) is not None

    def begin(self, exchange: int, moment: float = 0.0) -> None:
        """A stream is received from this exchange: the first, or the one that goes on after the last.

        `moment` is now, for who listens.
        """
        self._parser = SSEParser(MOST_OF_AN_ANSWER)
        self.exchange = exchange
        self.has_ended = False
        self.error = None
        self._begun_at = moment
        self._is_of_use = self.is_early = False

    def pause(self, moment: float) -> float:
        """Seconds for who listens to wait before the next stream is asked for; once for each."""
        if self.is_early:
            return min(self.delay, SHORTEST_PAUSE * 3.0 ** (self.tries - 1))
        if self._is_of_use or moment - self._begun_at >= BRIEF:
            self._pause = 0.0
            return self.delay
        longer = 2 * self._pause or max(self.delay, SHORTEST_PAUSE)
        self._pause = min(longer, max(self.delay, LONGEST_PAUSE))
        return max(self.delay, self._pause)

    def feed(self, data: bytes) -> None:
        """What has arrived; b"" is the end of the stream. Raises ProtocolError for an event too large."""
        parser = self._parser
        for event in parser.feed(data):
            self._place += 1
            self.tries = 0
            if event.data and event.event == "message":
                self._is_of_use = True
                text = event.data.encode("utf-8", "surrogatepass")
                where = f"event {self._place} of {self._name}"
                self.messages += messages_in(text, where, takes_batches=self._takes_batches)
        if parser.last_event_id:
            self.last_event_id = parser.last_event_id
        if parser.retry is not None:
            self.delay = min(parser.retry / 1000, MOST_DELAY)
        if not data:
            self.has_ended = True

    def broke(self, error: TakoError) -> None:
        """The connection was lost in the middle of the stream."""
        self.error = error
        self.has_ended = True


def messages_in(text: bytes, where: str, *, takes_batches: bool = False) -> list[Message]:
    """The messages in one text; `where` it stands is said in the errors among them."""
    message = jsonrpc.parse(text, max_size=MOST_OF_AN_ANSWER)
    if not isinstance(message, jsonrpc.Batch):
        return [_sound(message, where, text)]
    if takes_batches:
        return [_sound(member, where, text) for member in message.members]
    return [ProtocolError(f"{where} is a batch, and this revision of MCP has none", phase="decode")]


def _sound(message: jsonrpc.Message | jsonrpc.Malformed, where: str, text: bytes) -> Message:
    if not isinstance(message, jsonrpc.Malformed):
        return message
    beginning = text[:200].decode("utf-8", "replace")
    return ProtocolError(
        f"{where} is no message of JSON-RPC: {message.reason}; it begins with {beginning!r}", phase="decode"
    )
