"""HttpChannel: a session over Streamable HTTP: each message of ours is a POST, which brings its answer.

| what a request is answered with  | then                                                                |
|----------------------------------|---------------------------------------------------------------------|
| a JSON body                      | it is the answer                                                    |
| an event stream                  | it is read up to the answer, see posting                            |
| ... that ends before the answer  | GET with Last-Event-ID, after the delay that the server names, if   |
|                                  | an event had an id; MOST_TRIES without hearing anything             |
| 404, and there is a session      | SessionExpired; the channel is not open any more                    |
| 401, 403, and there is `auth`    | it is met, which no limit of time is for, and the request sent again|
| 400, 404 or 405 to `initialize`  | the server may be of 2024: from here on a PairChannel does it all   |
| anything else                    | McpError or HttpRefusal, see http_peer                              |

| headers, besides the user's      | handshake era                       | modern era                     |
|----------------------------------|-------------------------------------|--------------------------------|
| Mcp-Session-Id                   | after `initialize`, if it gave one  | never                          |
| MCP-Protocol-Version             | once settled, if the revision has it| always                         |
| Mcp-Method, Mcp-Name, Mcp-Param- | never                               | always, as the body says it    |

A request that is given up in the handshake era is withdrawn by `notifications/cancelled`: at once if the
server was silent for too long; else before the next message, for who is cancelled cannot wait. In the
modern era the end of its exchange says it. What a server asks on no request's stream is for Asides.

Invariants. An id is never given twice. A stream is only resumed by the flow that has begun it, since what
others open ends with them. When an answer has been read, its connection is left so that it can be used
again, if the server lets it. Once a server may have seen a request, no error of it is UNSENT.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, Final, TypeAlias

from tako.cancellation import CancellationToken
from tako.effects import Close, Flow, Headers, HttpHead, Now, Receive, Sleep, within
from tako.errors import Cancelled, Interrupted, ProtocolError, TakoError, TimedOut, TransportError
from tako.mcp.channel import UNSENT, Ear, Outgoing
from tako.mcp.conversation import Notice, Refusal, Reply, dumped
from tako.mcp.errors import McpError
from tako.mcp.http_asides import Asides
from tako.mcp.http_events import StreamReading, messages_in
from tako.mcp.http_peer import (
    EVENT_STREAM,
    MOST_OF_AN_ANSWER,
    Challenged,
    HttpPeer,
    HttpRefusal,
    kind_of,
    may_pass,
)
from tako.mcp.mirrored import encoded
from tako.mcp.posting import CANCELLED, PostingChannel, Reading, raise_failure
from tako.mcp.sse_pair import PairChannel
from tako.mcp.versions import Revision
from tako.wire import jsonrpc
from tako.wire.jsonrpc import METHOD_NOT_FOUND, Failure, Success

__all__ = ["HttpChannel", "SessionExpired"]

Json: TypeAlias = Any

MOST_TRIES: Final = 5
"""How often a stream is asked for again without hearing an event."""
LINGER: Final = 0.05
"""Seconds that a stream may take to end after the answer, so that its connection can be used again."""
MOST_LINGERS: Final = 3
"""How often in a row that is waited for in vain."""
FAREWELL: Final = 2.0
"""Seconds for what is said without much interest in how it is taken."""
UNHEARD: Final = 300.0
"""Seconds of silence after which a stream that is listened to is asked for anew: it may be dead."""
MOST_WITHDRAWN: Final = 256
MOST_KINDS: Final = 64

_ACCEPT: Final = (("accept", f"application/json, {EVENT_STREAM}"), ("content-type", "application/json"))
_SESSION_ID: Final = re.compile(r"[\x21-\x7e]+")
_OLDER: Final = (400, 404, 405)
"""What a server of 2024-11-05 may say to a POST of `initialize`."""


class SessionExpired(TransportError):
    """The server knows our session no more, and has not acted upon the request: begin a new one."""


class HttpChannel(PostingChannel):
    """A channel over Streamable HTTP; or, as it may turn out, over what came before it.

    `patience`: seconds that a server may send nothing at all on its way to an answer; None for no limit
    but that of the request. `can_be_asked`: whether there is anything that the host does for servers.
    """

    mirrors = True

    def __init__(
        self, server: HttpPeer, patience: float | None = None, *, can_be_asked: bool = False
    ) -> None:
        super().__init__(server.name)
        self._server = server
        self._patience = patience
        self._can_be_asked = can_be_asked
        self._ids = count(1)
        self._is_open = False
        self._revision: Revision | None = None
        self._is_modern = False
        self._session: str | None = None
        self._headers: Headers = ()
        self._kinds: dict[str, Headers] = {}
        """The headers of each method, in the modern era."""
        self._withdrawn: deque[int] = deque(maxlen=MOST_WITHDRAWN)
        """Requests that nobody waits for any more, and the server has not been told so."""
        self._lingers_in_vain = 0
        self._pair: PairChannel | None = None
        self._asides = Asides(self._hear_session)

    @property
    def is_open(self) -> bool:
        return self._is_open if self._pair is None else self._pair.is_open

    def open(self) -> Flow[None]:
        """Make ready; nothing is sent before the first request. Raises InvalidInput."""
        yield from self.close()
        yield from self._server.open()
        self._revision, self._is_modern = None, False
        self._withdrawn.clear()
        self._make_headers()
        self._is_open = True

    def settle(self, revision: Revision | None) -> None:
        self._revision = revision
        self._is_modern = revision is not None and revision.is_modern
        self._make_headers()
        if self._pair is not None:
            self._pair.settle(revision)

    def ask(self, request: Outgoing, ear: Ear) -> Flow[Json]:
        if self._pair is not None:
            return (yield from self._pair.ask(request, ear))
        self._require_open()
        auth = self._server.auth
        if auth is not None:
            yield from auth.renew()  # here, where no time is counted yet
        if self._withdrawn:
            yield from self._withdraw()
        id = next(self._ids)
        if self._can_be_asked and self._has_asides and self._asides.may_matter(request):
            asking = partial(self._asked, id, request, ear)
            return (yield from self._asides.beside(asking, request.timeout, ear))
        return (yield from self._asked(id, request, ear))

    def tell(self, method: str, params: dict[str, Json]) -> Flow[None]:
        if self._pair is not None:
            return (yield from self._pair.tell(method, params))
        self._require_open()
        if self._withdrawn:
            yield from self._withdraw()
        yield from self._notify(Notice(method, params), self._server.send)

    def listen(self, ear: Ear) -> Flow[None]:
        """Until the server has no more to say, or offers no stream of its own: the modern era has none."""
        if self._pair is not None:
            return (yield from self._pair.listen(ear))
        self._require_open()
        if not self._is_modern:
            yield from self._asides.listen(ear)

    def close(self) -> Flow[None]:
        pair, self._pair = self._pair, None
        session, self._session = self._session, None
        was_open, self._is_open = self._is_open, False
        if pair is not None:
            yield from pair.close()
        elif was_open and session is not None:
            try:
                yield from within(FAREWELL, self._end_session())
            except Cancelled:
                raise
            except TakoError:
                pass  # the server will notice that we are gone

    # A request, up to its answer or to the stream that will bring it.

    def _asked(
        self, id: int, request: Outgoing, ear: Ear, late: CancellationToken | None = None
    ) -> Flow[Json]:
        """The result of a request, however often it is challenged; `late` stands for its limit of time."""
        timeout, attempt = request.timeout, 0
        while True:
            try:
                asking = self._ask(id, request, ear)
                if late is not None:
                    asking = within(None, asking, late)
                elif timeout is not None:
                    asking = within(timeout, asking)
                reply = yield from asking
                return (yield from self._result_of(reply)) if type(reply) is StreamReading else reply
            except Challenged as challenged:
                refused = challenged
            except (TimedOut, Interrupted) as error:
                if error.partial is not UNSENT and self._given_up(id, request.method):
                    yield from self._withdraw()
                if error.phase is None and timeout is not None:  # no exchange's own limit
                    raise self._silence(timeout) from None
                raise
            except HttpRefusal as error:
                if request.method != "initialize" or error.status not in _OLDER:
                    raise
                return (yield from self._fall_back(error, request, ear))
            except (McpError, TransportError, ProtocolError):
                raise  # it is over
            except BaseException:
                self._given_up(id, request.method)
                raise
            attempt += 1
            yield from self._asides.working(self._server.meet(refused, attempt))

    def _ask(self, id: int, request: Outgoing, ear: Ear) -> Flow[Json | StreamReading]:
        method, params = request.method, request.params
        if request.hears:
            params = {**params, "_meta": {**params.get("_meta", {}), "progressToken": id}}
        if method == "initialize":
            self._begin_session(None)
        session = self._session
        headers = self._headers
        if self._is_modern:
            headers = self._headers_of(method, request.name, request.headers)
        body = dumped({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
        head = yield from self._server.send_once("POST", headers, body, read_timeout=self._patience)
        if head.status != 200:
            raise (yield from self._refused(head, session))
        if method == "initialize":
            self._begin_session(head.header("mcp-session-id"))
        kind = kind_of(head)
        if kind == "application/json":
            return self._result((yield from self._server.whole_body(head)), id)
        if kind != EVENT_STREAM:
            yield Close(head.exchange)
            raise ProtocolError(
                f"{self.peer} answers with {kind[:60] or 'a body of no type'}, and not with JSON or a stream "
                "of events: is the URL right?",
                phase="head",
                status=head.status,
            )
        reading = StreamReading(
            self.peer, ear, id,
            hears=request.hears, timeout=request.timeout, takes_batches=self._takes_batches,
        )  # fmt: skip
        reading.begin(head.exchange)
        yield from self._arrive(reading)
        return reading

    def _result(self, body: bytes, id: int) -> Json:
        """What a body in JSON gives as the result; raises McpError or ProtocolError."""
        message = jsonrpc.parse(body, max_size=MOST_OF_AN_ANSWER)
        if type(message) is Success and message.id == id:
            return message.result
        for found in messages_in(body, f"the answer of {self.peer}", takes_batches=self._takes_batches):
            if isinstance(found, Success) and found.id == id:
                return found.result
            if isinstance(found, Failure | ProtocolError):
                raise_failure(found, id)
        raise ProtocolError(f"{self.peer} has not answered the request, but something else", phase="body")

    def _refused(self, head: HttpHead, session: str | None) -> Flow[TakoError]:
        """The error that an answer stands for that has no result in it. Ends the exchange."""
        status = head.status
        if status < 300:
            yield from self._server.drain(head)
            return ProtocolError(
                f"{self.peer} gives no answer, but HTTP {status}", phase="head", status=status
            )
        error: TakoError = yield from self._server.refusal(head)
        knows_method = not (isinstance(error, McpError) and error.number == METHOD_NOT_FOUND)
        if status == 404 and session is not None and knows_method:
            if self._session == session:  # else there is a new one already
                self._is_open, self._session = False, None
            return SessionExpired(f"{self.peer} has ended the session", phase="head", partial=UNSENT)
        return error

    def _fall_back(self, refusal: HttpRefusal, request: Outgoing, ear: Ear) -> Flow[Json]:
        """Try the way of 2024-11-05, as the specification wants it; raises the refusal if it is none."""
        pair = PairChannel(self._server)
        try:
            yield from pair.open()
        except Cancelled:
            raise
        except TakoError as error:
            raise refusal from error
        self._pair = pair
        self.overheard = pair.overheard
        return (yield from pair.ask(request, ear))

    def _result_of(self, reading: StreamReading) -> Flow[Json]:
        """What the stream of a request brings, and those that go on after it."""
        result = yield from self._read(reading)
        if not reading.has_ended:
            yield from self._let_end(reading)
        yield Close(reading.exchange)
        return result

    def _wait(self, reading: Reading) -> Flow[None]:
        assert isinstance(reading, StreamReading)
        attempt = 0
        while True:
            exchange, last_work = reading.exchange, self._asides.last_work
            try:
                return (yield from super()._wait(reading))
            except Challenged as challenged:
                refused = challenged
            except TimedOut as error:
                if error.phase is not None or not self._asides.has_worked_since(last_work):
                    raise
                if reading.exchange != exchange:
                    reading.broke(error)  # what was opened within the limit has ended with it
                continue
            attempt += 1
            yield from self._asides.working(self._server.meet(refused, attempt))

    # Streams.

    def _hear_session(self, ear: Ear) -> Flow[None]:
        yield from self._read(StreamReading(self.peer, ear, takes_batches=self._takes_batches))

    def _arrive(self, reading: Reading) -> Flow[None]:
        assert isinstance(reading, StreamReading)
        try:
            while not (reading.messages or reading.has_ended):
                reading.feed((yield Receive(reading.exchange)))
        except TransportError as error:
            reading.broke(error)
        except TimedOut as error:
            if reading.id is not None:
                raise
            reading.broke(error)

    def _await(self, reading: Reading) -> Flow[None]:
        assert isinstance(reading, StreamReading)
        while not reading.messages:
            if not reading.has_ended:
                yield from self._arrive(reading)
            else:
                self._asides.resuming.add(reading)
                try:
                    if not (yield from self._resume(reading)):
                        return
                finally:
                    self._asides.resuming.discard(reading)

    def _resume(self, reading: StreamReading) -> Flow[bool]:
        """Go on with another stream; False if there is nothing to listen to. Raises TransportError."""
        if reading.exchange:
            yield Close(reading.exchange)
        while True:
            if reading.id is not None and not reading.can_resume:
                raise self._lost("it gave no event an id from which to resume", reading)
            if reading.tries >= MOST_TRIES:
                raise self._lost(f"it could not be resumed {MOST_TRIES} times", reading)
            if reading.exchange or reading.tries:
                yield Sleep(reading.delay if reading.id is not None else reading.pause((yield Now())))
            reading.tries += 1
            try:
                return (yield from self._hear(reading))
            except Challenged:
                raise  # for `_wait`, which has time for it
            except (McpError, TransportError, TimedOut) as error:
                error.partial = None  # the request itself was sent
                is_early = error.status == 409  # it has not noticed yet that the stream before has ended
                if isinstance(error, SessionExpired) or (
                    isinstance(error, HttpRefusal | McpError)
                    and not (is_early or may_pass(error.status or 0))
                ):
                    raise
                reading.error, reading.is_early = error, is_early

    def _hear(self, reading: StreamReading) -> Flow[bool]:
        """Ask for a stream; False if the server offers none to listen to."""
        is_awaited, session = reading.id is not None, self._session
        head = yield from self._server.send_once(
            "GET", self._headers_to_hear(reading), read_timeout=self._patience if is_awaited else UNHEARD
        )
        status = head.status
        if status == 200 and kind_of(head) == EVENT_STREAM:
            if is_awaited:
                reading.begin(head.exchange)
            else:
                reading.begin(head.exchange, (yield Now()))
                reading.tries = 0
                self._asides.begun()
            return True
        was_heard = status == 404 and reading.exchange != 0  # so the session was known, and is not any more
        if is_awaited or was_heard or status in (401, 403, 409) or may_pass(status):
            if not is_awaited:
                self._asides.put_off()
            raise (yield from self._refused(head, session))
        yield from self._server.drain(head)  # 405, or whatever else means that it offers none
        return False

    def _lost(self, why: str, reading: StreamReading) -> TransportError:
        words = "the stream" if reading.id is None else "the stream before the answer"
        error = TransportError(f"{self.peer} has ended {words}, and {why}", phase="body")
        error.__cause__ = reading.error
        return error

    def _let_end(self, reading: StreamReading) -> Flow[None]:
        """Read on to the end of the stream, which should be near, so that the connection can be kept."""
        if self._lingers_in_vain >= MOST_LINGERS:
            return
        try:
            yield from within(LINGER, _to_the_end(reading.exchange))
            self._lingers_in_vain = 0
        except TimedOut:
            self._lingers_in_vain += 1
        except (TransportError, ProtocolError):
            pass

    # What is said besides requests.

    def _say(self, told: Reply | Refusal) -> Flow[None]:
        message: dict[str, Json] = {"jsonrpc": "2.0", "id": told.id}
        if isinstance(told, Reply):
            message["result"] = told.result
        else:
            message["error"] = {"code": told.number, "message": told.message}
            if told.data is not None:
                message["error"]["data"] = told.data
        try:
            head = yield from self._server.send("POST", self._headers, dumped(message))
        except (HttpRefusal, McpError):
            return  # the credentials are for less than that
        except (TransportError, TimedOut) as error:
            error.partial = None  # the request that we wait for has been sent
            raise
        yield from self._server.drain(head)

    def _notify(self, notice: Notice, send: Callable[[str, Headers, bytes], Flow[HttpHead]]) -> Flow[None]:
        message: dict[str, Json] = {"jsonrpc": "2.0", "method": notice.method}
        if notice.params:
            message["params"] = notice.params
        session, headers = self._session, self._headers
        if self._is_modern:
            headers = self._headers_of(notice.method, None, ())
        head = yield from send("POST", headers, dumped(message))
        if head.status >= 300:
            raise (yield from self._refused(head, session))
        yield from self._server.drain(head)

    def _given_up(self, id: int, method: str) -> bool:
        """Note that nobody waits for the request; whether the server is to be told. From any thread."""
        if self._is_modern or method == "initialize":  # which must not be cancelled
            return False
        self._withdrawn.append(id)
        return True

    def _withdraw(self) -> Flow[None]:
        """Tell the server what nobody waits for any more. Never fails."""
        while self._withdrawn:
            try:
                notice = Notice(CANCELLED, {"requestId": self._withdrawn.popleft()})
                yield from within(FAREWELL, self._notify(notice, self._server.send_once))
            except IndexError:
                return  # another thread was faster
            except Cancelled:
                raise
            except TakoError:
                self._withdrawn.clear()  # it does not hear, or does not want to

    def _end_session(self) -> Flow[None]:
        head = yield from self._server.send_once("DELETE", self._headers)
        yield from self._server.drain(head)

    # Headers.

    @property
    def _has_asides(self) -> bool:
        return self._revision is not None and not self._is_modern

    @property
    def _takes_batches(self) -> bool:
        return self._revision is not None and self._revision.has_batches

    def _require_open(self) -> None:
        if not self._is_open:
            raise TransportError(f"{self.peer} is not connected", phase="link", partial=UNSENT)

    def _begin_session(self, session: str | None) -> None:
        if session is not None and not _SESSION_ID.fullmatch(session):
            raise ProtocolError(f"{self.peer} gave a session id that is not visible ASCII", phase="head")
        self._session = session
        self._asides.begin_session()
        self._make_headers()

    def _make_headers(self) -> None:
        """Make anew what goes with every request."""
        headers = (*self._server.own, *_ACCEPT)
        revision = self._revision
        if revision is not None and revision.has_version_header:
            headers = (*headers, ("mcp-protocol-version", revision.name))
        if self._session is not None and not self._is_modern:
            headers = (*headers, ("mcp-session-id", self._session))
        self._headers = headers
        self._kinds = {}

    def _headers_of(self, method: str, name: str | None, more: Headers) -> Headers:
        """What goes with a message of the modern era."""
        kinds = self._kinds
        headers = kinds.get(method)
        if headers is None:
            headers = (*self._headers, ("mcp-method", encoded(method)))
            if len(kinds) < MOST_KINDS:
                kinds[method] = headers
        if name is not None:
            headers = (*headers, ("mcp-name", encoded(name)))
        return (*headers, *more)

    def _headers_to_hear(self, reading: StreamReading) -> Headers:
        headers = [pair for pair in self._headers if pair not in _ACCEPT]
        headers.append(("accept", EVENT_STREAM))
        if reading.can_resume:
            headers.append(("last-event-id", reading.last_event_id))
        return tuple(headers)


def _to_the_end(exchange: int) -> Flow[None]:
    while (yield Receive(exchange)):
        pass
