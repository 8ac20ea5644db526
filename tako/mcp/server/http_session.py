"""HttpSession: what a server remembers of one client of the handshake era, between its requests.

| what            | for                                                                                    |
|-----------------|----------------------------------------------------------------------------------------|
| the peer        | its revision, its capabilities, the log level it wants, what it has subscribed to      |
| running         | requests by id, so that the client can cancel one                                      |
| waiting         | our own questions by id, whose answers come as other POSTs, maybe in other threads     |
| events          | what was said on no request's account: EVENTS of it, numbered, for the stream of a GET |

Invariants. Anything here may be called from any thread: each step is one indivisible step of a dict, a deque
or a counter. Who waits for an answer sleeps under a token, which is cancelled after the answer was put down.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, Final, TypeAlias

from tako.cancellation import CancellationToken
from tako.effects import Failed, Flow, Outcome, within
from tako.errors import Interrupted, InvalidInput
from tako.mcp.errors import McpError
from tako.mcp.server.exchange import event, said
from tako.mcp.server.mailbox import Mailbox, sleep_for_ever
from tako.mcp.server.methods import Peer
from tako.mcp.server.news import for_session
from tako.mcp.server.server import McpServer, News
from tako.wire.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST, Id

__all__ = ["EVENTS", "HttpSession", "Sessions"]

Json: TypeAlias = Any
EVENTS: Final = 256
MAX_RUNNING: Final = 256
"""Requests of one session at once."""


class _Waiting:
    __slots__ = ("outcome", "over")

    def __init__(self) -> None:
        self.over = CancellationToken()
        self.outcome: Outcome[Json] | None = None


class HttpSession:
    """One client."""

    def __init__(self, id: str, peer: Peer, moment: float) -> None:
        self.id = id
        self.peer = peer
        self.last_used = moment
        self.stop_listening: Callable[[], None] = _nothing
        self._running: dict[Id, CancellationToken] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._questions = count(1)
        self._events: deque[tuple[int, bytes]] = deque(maxlen=EVENTS)
        self._numbers = count(1)
        self._last_given = 0
        self._stream: Mailbox[bytes] | None = None

    @property
    def is_busy(self) -> bool:
        return bool(self._running) or self._stream is not None

    # What the client asks.

    def begin(self, id: Id) -> CancellationToken:
        """The token of a request; raises McpError if its id is in use, or too many run."""
        if len(self._running) >= MAX_RUNNING:
            raise McpError(f"more than {MAX_RUNNING} requests at once in this session", INTERNAL_ERROR)
        token = CancellationToken()
        if self._running.setdefault(id, token) is not token:
            raise McpError("this id is in use already", INVALID_REQUEST)
        return token

    def end(self, id: Id) -> None:
        self._running.pop(id, None)

    def cancel(self, id: Json) -> None:
        """The client wants no answer any more."""
        token = self._running.get(id) if isinstance(id, str | int | float) else None
        if token is not None:
            token.cancel()

    # What we ask.

    def ask(
        self, method: str, params: dict[str, Json], send: Callable[[dict[str, Json]], object]
    ) -> Flow[Json]:
        """The answer; raises McpError."""
        id = next(self._questions)
        waiting = self._waiting[id] = _Waiting()
        message: dict[str, Json] = {"jsonrpc": "2.0", "id": id, "method": method}
        if params:
            message["params"] = params
        try:
            send(message)
            while waiting.outcome is None:
                try:
                    yield from within(None, sleep_for_ever(), waiting.over)
                except Interrupted:
                    pass
        finally:
            self._waiting.pop(id, None)
        if isinstance(waiting.outcome, Failed):
            raise waiting.outcome.error
        return waiting.outcome.value

    def answered(self, id: Id, outcome: Outcome[Json]) -> None:
        """An answer has come; one that nobody waits for is passed over."""
        waiting = self._waiting.get(id) if type(id) is int else None
        if waiting is not None and waiting.outcome is None:
            waiting.outcome = outcome
            waiting.over.cancel()

    def refused(self, id: Id, error: McpError) -> None:
        self.answered(id, Failed(error))

    # What is said on no request's account.

    def bring(self, news: News) -> None:
        """News, from any thread."""
        notice = for_session(news, self.peer)
        if notice is None:
            return
        number = next(self._numbers)
        told = event(said(*notice), number)
        self._events.append((number, told))
        stream = self._stream
        if stream is not None and stream.put(told):
            self._last_given = number

    def open_stream(self, last: int | None) -> Mailbox[bytes]:
        """What is to be written to a GET: first what it has missed. A stream that was open is closed."""
        if self._stream is not None:
            self._stream.close()
        stream: Mailbox[bytes] = Mailbox()
        self._catch_up(stream, self._last_given if last is None else last)
        self._stream = stream
        self._catch_up(stream, self._last_given)  # with what has come in between
        return stream

    def _catch_up(self, stream: Mailbox[bytes], given: int) -> None:
        for number, told in list(self._events):
            if number > given:
                stream.put(told)
                self._last_given = number

    def close_stream(self, stream: Mailbox[bytes]) -> None:
        stream.close()
        if self._stream is stream:
            self._stream = None

    def over(self) -> None:
        """It has ended: so does all that runs in it."""
        self.stop_listening()
        if self._stream is not None:
            self._stream.close()
        for token in list(self._running.values()):
            token.cancel()
        for id in list(self._waiting):
            self.refused(id, McpError("the session has ended", INTERNAL_ERROR))


class Sessions:
    """The sessions of one handler, by id; `limit` of them, each kept for `seconds` after it was used."""

    def __init__(self, server: McpServer, limit: int, seconds: float) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise InvalidInput(f"max_sessions should be a whole number of at least 1, not {limit!r}")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
            raise InvalidInput(f"session_seconds should be a positive number, not {seconds!r}")
        self._server = server
        self._limit = limit
        self._seconds = seconds
        self._sessions: dict[str, HttpSession] = {}

    def begin(self, id: str, peer: Peer, moment: float) -> HttpSession | None:
        """A new session; None if there are too many, and all of them are busy."""
        self._expire(moment)
        if len(self._sessions) >= self._limit:
            idle = [one for one in list(self._sessions.values()) if not one.is_busy]
            if not idle:
                return None
            self.end(min(idle, key=lambda one: one.last_used).id)
        session = self._sessions[id] = HttpSession(id, peer, moment)
        session.stop_listening = self._server.listen(session.bring)
        return session

    def find(self, id: str, moment: float) -> HttpSession | None:
        """The session, which is in use by that; None if it is over."""
        session = self._sessions.get(id)
        if session is not None and self._is_over(session, moment):
            self.end(id)
            return None
        if session is not None:
            session.last_used = moment
        return session

    def end(self, id: str) -> None:
        session = self._sessions.pop(id, None)
        if session is not None:
            session.over()

    def _is_over(self, session: HttpSession, moment: float) -> bool:
        return not session.is_busy and moment - session.last_used > self._seconds

    def _expire(self, moment: float) -> None:
        for session in list(self._sessions.values()):
            if self._is_over(session, moment):
                self.end(session.id)


def _nothing() -> None:
    """What is left to undo before there is anything."""
