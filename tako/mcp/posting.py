"""PostingChannel: what a session over HTTP does while it waits, whatever its answers come by.

Each message of ours is a POST of its own. The answer to a request, and what the server says and asks before
it, comes to a Reading, which `_read` follows:

| what has come                     | then                                                              |
|-----------------------------------|-------------------------------------------------------------------|
| progress that was asked for       | the ear hears it                                                  |
| `notifications/cancelled`         | the token of the request that it names is cancelled               |
| another notification              | the ear hears it                                                  |
| a request                         | the ear answers it, while a second flow reads on: a Beside        |
| the answer                        | it is returned, or raised                                         |
| nothing, for the request's timeout| TimedOut                                                          |

A Beside is over when the request is answered and something else has come, or the stream has ended: then who
stood below it goes on reading. So they stand on each other only as deep as there are requests unanswered at
the same time, of which MOST_BESIDE are taken. While the host thinks, no time is counted; when it has
answered, it is counted anew.

Invariants. Answers that belong to another request are passed over. Who has the answer to a request waits no
more for the requests that came with it: their tokens are cancelled. A refusal of an answer of ours is the
server's own affair, and not an error.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from tako.cancellation import CancellationToken
from tako.effects import Flow, Succeeded, gather, sleep, within
from tako.errors import Interrupted, InvalidInput, ProtocolError, TimedOut
from tako.mcp.channel import Channel, Ear, told
from tako.mcp.conversation import Incoming, Notice, Refusal, Reply
from tako.mcp.errors import McpError
from tako.wire import jsonrpc
from tako.wire.jsonrpc import Failure, Notification, Request, Success

__all__ = ["AGAIN", "Message", "PostingChannel", "Reading", "answered", "raise_failure"]

Json: TypeAlias = Any
Message: TypeAlias = Request | Incoming | Notification | Notice | Success | Failure | ProtocolError

MOST_BESIDE: Final = 16
"""Requests of the server that are answered at the same time, for each request of ours."""
BUSY: Final = -32000
CANCELLED: Final = "notifications/cancelled"
PROGRESS: Final = "notifications/progress"


class _Again:
    """Given back by a flow that has read beside: go on yourself."""


AGAIN: Final = _Again()


class Reading:
    """The wait for the answer to one request; or listening, if the id is None."""

    __slots__ = ("ear", "has_ended", "hears", "id", "incoming", "messages", "timeout")

    def __init__(self, ear: Ear, id: int | None = None, *, hears: bool = False, timeout: float | None = None):
        self.ear = ear
        self.id = id
        self.hears = hears
        """Whether progress is to be heard."""
        self.timeout = timeout
        self.messages: deque[Message] = deque()
        """What has come and was not looked at yet."""
        self.has_ended = False
        """Nothing more comes by the way that it came so far."""
        self.incoming: dict[jsonrpc.Id, Incoming] = {}
        """Requests of the server's that are being answered."""


class Beside:
    """A request of the server's that is answered while another flow reads on."""

    __slots__ = ("depth", "is_answered", "is_reading", "over", "silent")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.is_answered = False
        self.is_reading = False
        """Whether the other flow waits for the server, and not for something that stands on this."""
        self.over = CancellationToken()
        """The other flow has come back."""
        self.silent = CancellationToken()
        """The time is up within which something should have come after the answer."""


class PostingChannel(Channel):
    """A Channel whose messages go by POST. How they come is its kind's."""

    @abstractmethod
    def _arrive(self, reading: Reading) -> Flow[None]:
        """Wait until a message has come, or what it comes by has ended."""

    @abstractmethod
    def _await(self, reading: Reading) -> Flow[None]:
        """Wait until a message has come, over as many streams as it takes; none if listening is over."""

    @abstractmethod
    def _say(self, told: Reply | Refusal) -> Flow[None]:
        """Send an answer of ours; raises TransportError or TimedOut."""

    def _read(self, reading: Reading, beside: Beside | None = None) -> Flow[Json]:
        """The result of the request; AGAIN if who stands below should go on, or listening is over."""
        messages = reading.messages
        while True:
            if beside is not None:
                if not beside.is_answered:
                    beside.is_reading = True
                    yield from self._arrive(reading)
                    beside.is_reading = False
                if beside.is_answered:
                    return AGAIN
            elif not messages:
                yield from self._wait(reading)
            if not messages:
                return AGAIN
            message = messages.popleft()
            if isinstance(message, Success):
                if message.id == reading.id and reading.id is not None:
                    return message.result
            elif isinstance(message, Notification | Notice):
                yield from self._noticed(message, reading)
            elif isinstance(message, Request | Incoming):
                result = yield from self._requested(message, reading, beside)
                if result is not AGAIN:
                    return result
            else:
                raise_failure(message, reading.id)

    def _wait(self, reading: Reading) -> Flow[None]:
        """`_await` for as long as the request lets it; raises TimedOut."""
        waiting, timeout = self._await(reading), reading.timeout
        yield from (waiting if timeout is None else within(timeout, waiting))

    def _noticed(self, notice: Notification | Notice, reading: Reading) -> Flow[None]:
        method = notice.method
        params = notice.params if isinstance(notice.params, Mapping) else {}
        if method == CANCELLED:
            id = params.get("requestId")
            incoming = reading.incoming.get(id) if isinstance(id, str | int | float) else None
            if incoming is not None:
                incoming.token.cancel()
        elif method != PROGRESS or (reading.hears and params.get("progressToken") == reading.id):
            yield from reading.ear.hear(method, params)

    def _requested(self, request: Request | Incoming, reading: Reading, below: Beside | None) -> Flow[Json]:
        """Have the ear answer, and read on meanwhile."""
        depth = 1 if below is None else below.depth + 1
        if depth > MOST_BESIDE:
            words = f"more than {MOST_BESIDE} requests at once"
            yield from self._say(Refusal(request.id, BUSY, words))
            return AGAIN
        incoming = request
        if isinstance(incoming, Request):
            params = incoming.params if isinstance(incoming.params, Mapping) else {}
            incoming = Incoming(incoming.id, incoming.method, params)
        reading.incoming[incoming.id] = incoming
        beside = Beside(depth)
        outcomes = yield from gather(
            self._answer(incoming, reading, beside), self._read_on(incoming, reading, beside)
        )
        assert isinstance(outcomes[1], Succeeded)
        return outcomes[1].value

    def _answer(self, incoming: Incoming, reading: Reading, beside: Beside) -> Flow[None]:
        answer = yield from answered(incoming, reading.ear)
        if answer is not None:
            try:
                yield from self._say(answer)
            except InvalidInput as error:  # what JSON cannot say
                words = f"the client failed: {error.message}"
                yield from self._say(Refusal(incoming.id, jsonrpc.INTERNAL_ERROR, words))
        reading.incoming.pop(incoming.id, None)
        beside.is_answered = True
        if reading.timeout is None:
            return
        try:
            yield from within(None, sleep(reading.timeout), beside.over)
        except Interrupted:
            return
        if beside.is_reading:
            beside.silent.cancel()

    def _read_on(self, incoming: Incoming, reading: Reading, beside: Beside) -> Flow[Json]:
        try:
            result = yield from within(None, self._read(reading, beside), beside.silent)
            if result is not AGAIN:
                incoming.token.cancel()
            return result
        except Interrupted:
            raise self._silence(reading.timeout) from None
        finally:
            beside.over.cancel()

    def _silence(self, seconds: float | None) -> TimedOut:
        return TimedOut(f"{self.peer} was silent for {seconds:g} seconds", phase="mcp")


def raise_failure(message: Failure | ProtocolError, id: int | None) -> None:
    """Raise what has come instead of the answer; nothing if it belongs to another request."""
    if isinstance(message, ProtocolError):
        raise message
    if id is not None and (message.id is None or message.id == id):
        raise McpError(message.error.message, message.error.code, message.error.data)


def answered(incoming: Incoming, ear: Ear) -> Flow[Reply | Refusal | None]:
    """What is to be said to a request of the server's; None if the server has cancelled it."""
    if incoming.method == "ping":
        return Reply(incoming.id, {})
    try:
        return (yield from told(incoming, ear))
    except Interrupted:
        return None
