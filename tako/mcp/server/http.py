"""A server over Streamable HTTP: a handler of requests, both eras at one address.

Which era a POST is of, it says itself:

| it has                                              | era       | and needs                    |
|-----------------------------------------------------|-----------|------------------------------|
| a revision in `_meta`; or no session, and a header  | modern    | headers that mirror its body |
| MCP-Protocol-Version of none of the handshake       |           |                              |
| the method initialize                               | handshake | nothing; it makes a session  |
| anything else                                       | handshake | Mcp-Session-Id               |

| answer | when                                                                                         |
|--------|----------------------------------------------------------------------------------------------|
| 200    | JSON; or SSE, when something has to be said before the result                                |
| 202    | notifications, and answers to what we have asked                                             |
| 400    | no JSON, no JSON-RPC, no session id, a revision that we do not speak; most modern errors     |
| 403    | Host or Origin are none of ours: a page in a browser that was led to us (DNS rebinding)      |
| 404    | another path; a session that is over; in the modern era a method that we do not have         |
| 405    | another method than POST, and, with a session, GET and DELETE                                |
| 406    | Accept has not both application/json and text/event-stream                                   |
| 415    | the body is not application/json                                                             |
| 503    | every session that may be kept is in use                                                     |

Invariants. Sessions live in this process: to serve the handshake era with several, send each client to the
one that it began with; the modern era needs nothing of the kind. A client that goes away in the midst of a
POST stops what it asked for. What a session is told on no request's account is kept, EVENTS of it, and given
to the next GET, from Last-Event-ID on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from tako.effects import Emit, Flow, Succeeded, entropy, gather, now, within
from tako.errors import Cancelled, Interrupted, InvalidInput
from tako.mcp.errors import HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION, McpError
from tako.mcp.server.doors import Doors
from tako.mcp.server.envelope import check_arguments, check_headers, introduced
from tako.mcp.server.exchange import (
    KEEP_ALIVE,
    PING,
    Exchange,
    event,
    head_of_events,
    json_answer,
    refusal,
    said,
)
from tako.mcp.server.http_session import HttpSession, Sessions
from tako.mcp.server.mailbox import Mailbox
from tako.mcp.server.methods import initialized, perform, speaks, welcome
from tako.mcp.server.news import Subscription
from tako.mcp.server.server import McpServer, News
from tako.mcp.versions import HANDSHAKE, is_modern
from tako.serving import HttpIncoming, ResponseData, ResponseHead
from tako.wire import jsonrpc
from tako.wire.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR

__all__ = ["HttpHandler"]

Json: TypeAlias = Any

HANDSHAKE_NAMES: Final = frozenset(revision.name for revision in HANDSHAKE)
MAX_LISTENS: Final = 1000
STATUS: Final = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    MISSING_CAPABILITY: 400,
    UNSUPPORTED_VERSION: 400,
    METHOD_NOT_FOUND: 404,
}
"""Of an error in the modern era; of all others 200."""


class HttpHandler:
    """A Handler: called with a request, it gives the flow that answers it."""

    def __init__(
        self,
        server: McpServer,
        path: str,
        hosts: Iterable[str] | None,
        origins: Iterable[str],
        max_sessions: int,
        session_seconds: float,
    ) -> None:
        if not isinstance(path, str) or not path.startswith("/"):
            raise InvalidInput(f'path should begin with "/", not {path!r}')
        self._server = server
        self._path = path.rstrip("/") or "/"
        self._doors = Doors(hosts, origins)
        self._sessions = Sessions(server, max_sessions, session_seconds)
        self._listens: set[object] = set()

    def __repr__(self) -> str:
        return f"<HttpHandler of {self._server.name!r} at {self._path}>"

    def __call__(self, request: HttpIncoming) -> Flow[None]:
        if (request.path.rstrip("/") or "/") != self._path:
            return refusal(404, INVALID_REQUEST, f"there is nothing here; MCP is at {self._path}")
        if not self._doors.admit(request):
            return refusal(403, INVALID_REQUEST, "this Host or Origin may not call this server")
        match request.method:
            case "POST":
                return self._post(request)
            case "GET" | "DELETE" if request.header("mcp-session-id") is not None:
                return self._get(request) if request.method == "GET" else self._delete(request)
        return refusal(405, INVALID_REQUEST, "POST messages here", (("allow", "POST, GET, DELETE"),))

    # POST.

    def _post(self, request: HttpIncoming) -> Flow[None]:
        if _media_type(request.header("content-type")) != "application/json":
            return refusal(415, INVALID_REQUEST, "the body should be application/json")
        if not _accepts(request, "application/json") or not _accepts(request, "text/event-stream"):
            return refusal(406, INVALID_REQUEST, "Accept should have application/json and text/event-stream")
        message = jsonrpc.parse(request.body)
        if isinstance(message, jsonrpc.Malformed):
            failure = message.answer
            code = INVALID_REQUEST if failure is None else failure.error.code
            return refusal(400, code, message.reason, id=None if failure is None else failure.id)
        if isinstance(message, jsonrpc.Request) and message.id is None:
            return refusal(400, INVALID_REQUEST, "the id of a request is a text or a number")
        if self._is_modern(request, message):
            return self._modern(request, message)
        if isinstance(message, jsonrpc.Request) and message.method == "initialize":
            return self._initialize(message)
        return self._in_session(request, message)

    def _is_modern(self, request: HttpIncoming, message: jsonrpc.Message | jsonrpc.Batch) -> bool:
        if isinstance(message, jsonrpc.Request) and is_modern(_params(message)):
            return True
        version = request.header("mcp-protocol-version")
        return (
            version is not None
            and version.strip() not in HANDSHAKE_NAMES
            and request.header("mcp-session-id") is None
        )

    # The modern era.

    def _modern(self, request: HttpIncoming, message: jsonrpc.Message | jsonrpc.Batch) -> Flow[None]:
        if isinstance(message, jsonrpc.Notification):
            return _accepted()
        if not isinstance(message, jsonrpc.Request):
            return refusal(400, INVALID_REQUEST, "the body should be one request or notification")
        params = _params(message)
        try:
            check_headers(request.headers, message.method, params)
            peer = introduced(params)
            tool = self._server.tools.get(str(params.get("name"))) if message.method == "tools/call" else None
            if tool is not None:
                check_arguments(request.headers, tool.marks, params.get("arguments"))
            if message.method == "subscriptions/listen":
                return self._listen(message, Subscription(message.id, params))
        except McpError as error:
            return refusal(
                STATUS.get(error.number, 200), error.number, error.message, id=message.id, data=error.data
            )
        exchange = Exchange(None)
        answering = _answered(message.id, perform(self._server, peer, message.method, params, exchange))
        return self._answer(exchange, answering, speaks(self._server, message.method, params), is_modern=True)

    def _answer(
        self,
        exchange: Exchange,
        answering: Flow[dict[str, Json] | None],
        is_lively: bool,
        *,
        is_modern: bool = False,
    ) -> Flow[None]:
        message = yield from exchange.run(answering, is_lively)
        error = message.get("error") if is_modern and message is not None else None
        yield from exchange.finish(message, 200 if error is None else STATUS.get(error["code"], 200))

    def _listen(self, message: jsonrpc.Request, subscription: Subscription) -> Flow[None]:
        """News, until the client goes away, or does not read."""
        mine = object()
        if len(self._listens) >= MAX_LISTENS:
            yield from refusal(503, INTERNAL_ERROR, f"more than {MAX_LISTENS} subscriptions", id=message.id)
            return
        outbox: Mailbox[bytes] = Mailbox()

        def bring(news: News) -> None:
            notice = subscription.about(news)
            if notice is not None and not outbox.put(event(said(*notice))):
                outbox.close()

        self._listens.add(mine)
        stop_listening = self._server.listen(bring)
        try:
            yield Emit((head_of_events(), ResponseData(event(said(*subscription.opening())))))
            while not outbox.is_closed:
                events = yield from outbox.take(PING)
                yield Emit((ResponseData(b"".join(events) or KEEP_ALIVE),))
        finally:
            stop_listening()
            self._listens.discard(mine)

    # The handshake era.

    def _initialize(self, message: jsonrpc.Request) -> Flow[None]:
        try:
            peer = initialized(_params(message))
        except McpError as error:
            yield from refusal(400, error.number, error.message, id=message.id)
            return
        session = self._sessions.begin((yield from entropy(16)).hex(), peer, (yield from now()))
        if session is None:
            yield from refusal(503, INTERNAL_ERROR, "too many sessions are in use; try again", id=message.id)
            return
        result = {"jsonrpc": "2.0", "id": message.id, "result": welcome(self._server, peer)}
        yield Emit(json_answer(200, result, (("mcp-session-id", session.id),)))

    def _in_session(self, request: HttpIncoming, message: jsonrpc.Message | jsonrpc.Batch) -> Flow[None]:
        session = yield from self._session(request)
        if session is None:
            return
        if isinstance(message, jsonrpc.Batch) and not session.peer.revision.has_batches:
            yield from refusal(400, INVALID_REQUEST, "this revision of MCP has no batches")
            return
        members = message.members if isinstance(message, jsonrpc.Batch) else (message,)
        for member in members:
            self._heed(session, member)
        requests = [one for one in members if isinstance(one, jsonrpc.Request)]
        exchange = Exchange(session)
        flows = [_answered(one.id, self._perform(session, one, exchange)) for one in requests]
        flows += [
            _spoiled(one) for one in members if isinstance(one, jsonrpc.Malformed) and one.answer is not None
        ]
        if not flows:
            yield from _accepted()
        elif isinstance(message, jsonrpc.Batch):
            yield from exchange.finish((yield from exchange.run(_all(flows), True)), 200)
        else:
            params = _params(requests[0])
            yield from self._answer(exchange, flows[0], speaks(self._server, requests[0].method, params))

    def _session(self, request: HttpIncoming) -> Flow[HttpSession | None]:
        """The session of a request; None if it has been refused for having none."""
        id = request.header("mcp-session-id")
        version = request.header("mcp-protocol-version")
        if id is None:
            yield from refusal(400, INVALID_REQUEST, "Mcp-Session-Id is missing; initialize first")
        elif version is not None and version.strip() not in HANDSHAKE_NAMES:
            yield from refusal(
                400, INVALID_REQUEST, f"this server does not speak the revision {version[:40]!r}"
            )
        else:
            session = self._sessions.find(id.strip(), (yield from now()))
            if session is not None:
                return session
            yield from refusal(404, INVALID_REQUEST, "this session is over; initialize a new one")
        return None

    def _heed(self, session: HttpSession, message: jsonrpc.Message | jsonrpc.Malformed) -> None:
        """What needs no answer."""
        match message:
            case jsonrpc.Success(id, result):
                session.answered(id, Succeeded(result))
            case jsonrpc.Failure(id, error):
                session.refused(id, McpError(error.message, error.code, error.data))
            case jsonrpc.Notification("notifications/cancelled", Mapping() as params):
                session.cancel(params.get("requestId"))

    def _perform(self, session: HttpSession, message: jsonrpc.Request, exchange: Exchange) -> Flow[Json]:
        if message.id is None or message.method == "initialize":
            raise McpError("this cannot stand in a batch", INVALID_REQUEST)
        token = session.begin(message.id)
        try:
            flow = perform(self._server, session.peer, message.method, _params(message), exchange)
            return (yield from within(None, flow, token))
        finally:
            session.end(message.id)

    # GET and DELETE.

    def _get(self, request: HttpIncoming) -> Flow[None]:
        if not _accepts(request, "text/event-stream"):
            yield from refusal(406, INVALID_REQUEST, "Accept should have text/event-stream")
            return
        session = yield from self._session(request)
        if session is None:
            return
        last = request.header("last-event-id")
        stream = session.open_stream(
            int(last)
            if last is not None and last.isascii() and last[:18].isdigit() and len(last) < 18
            else None
        )
        try:
            yield Emit((head_of_events(),))
            while not stream.is_closed:
                events = yield from stream.take(PING)
                yield Emit((ResponseData(b"".join(events) or KEEP_ALIVE),))
                self._sessions.find(session.id, (yield from now()))  # it is in use
        finally:
            session.close_stream(stream)

    def _delete(self, request: HttpIncoming) -> Flow[None]:
        session = yield from self._session(request)
        if session is not None:
            self._sessions.end(session.id)
            yield Emit((ResponseHead(204),))


def _answered(id: jsonrpc.Id, flow: Flow[Json]) -> Flow[dict[str, Json] | None]:
    """The message that answers a request; None if the client has cancelled it."""
    try:
        return {"jsonrpc": "2.0", "id": id, "result": (yield from flow)}
    except Interrupted:
        return None
    except McpError as error:
        told: dict[str, Json] = {"code": error.number, "message": error.message}
        if error.data is not None:
            told["data"] = error.data
    except Cancelled:  # by the function itself, or else the next effect is cut short as well
        told = {"code": INTERNAL_ERROR, "message": "it was cancelled at the server"}
    return {"jsonrpc": "2.0", "id": id, "error": told}


def _spoiled(message: jsonrpc.Malformed) -> Flow[dict[str, Json] | None]:
    assert message.answer is not None
    error = {"code": message.answer.error.code, "message": message.reason}
    return {"jsonrpc": "2.0", "id": message.answer.id, "error": error}
    yield  # a flow without effects


def _all(flows: Sequence[Flow[dict[str, Json] | None]]) -> Flow[list[dict[str, Json]]]:
    """The answers to a batch, worked on side by side."""
    outcomes = yield from gather(*flows, limit=16)
    values = [outcome.value for outcome in outcomes if isinstance(outcome, Succeeded)]
    return [value for value in values if value is not None]


def _accepted() -> Flow[None]:
    yield Emit((ResponseHead(202, (("content-length", "0"),)),))


def _params(message: jsonrpc.Request) -> Mapping[str, Json]:
    return message.params if isinstance(message.params, Mapping) else {}


def _media_type(value: str | None) -> str:
    return (value or "").partition(";")[0].strip().lower()


def _accepts(request: HttpIncoming, wanted: str) -> bool:
    """Whether Accept has the type; one that is not there has all."""
    told = [value for name, value in request.headers if name == "accept"]
    types = [_media_type(one) for value in told for one in value.split(",")]
    return not told or any(one in (wanted, "*/*", wanted.partition("/")[0] + "/*") for one in types)
