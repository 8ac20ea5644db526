"""Exchange: the answer to one POST, which is JSON unless something has to be said before it.

| state     | from                                       | what is written                                  |
|-----------|--------------------------------------------|--------------------------------------------------|
| silent    | the start                                  | nothing                                          |
| streaming | the first notification, or question of ours| the head of SSE, and each of them as an event    |
| finished  | `finish`                                   | streaming: the result as the last event;         |
|           |                                            | silent: the head and the result, as JSON         |

So a status of its own can be given to an error as long as nothing was said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from pydantic_core import to_json

from tako.effects import Emit, Flow, Headers, Outcome, Succeeded, gather
from tako.mcp.errors import McpError
from tako.mcp.server.mailbox import Mailbox
from tako.serving import ResponseData, ResponseHead
from tako.wire.jsonrpc import INTERNAL_ERROR, Id

if TYPE_CHECKING:
    from tako.mcp.server.http_session import HttpSession

__all__ = [
    "KEEP_ALIVE", "PING", "Exchange", "event", "head_of_events", "json_answer", "refusal", "said",
]  # fmt: skip

Json: TypeAlias = Any
T = TypeVar("T")

PING: Final = 15.0
"""Seconds after which a stream that has nothing to say says so, or somebody in between would close it."""
KEEP_ALIVE: Final = b": nothing new\n\n"


class Exchange:
    """A Voice that speaks in the answer to one POST. Without a session nothing can be asked."""

    __slots__ = ("_is_streaming", "_outbox", "_session")

    def __init__(self, session: HttpSession | None) -> None:
        self._session = session
        self._outbox: Mailbox[bytes] = Mailbox()
        self._is_streaming = False

    def say(self, method: str, params: dict[str, Json]) -> None:
        """Send a notification; from any thread."""
        self._outbox.put(event(said(method, params)))

    def ask(self, method: str, params: dict[str, Json]) -> Flow[Json]:
        """The client's answer, which comes as a POST of its own; raises McpError."""
        if self._session is None:
            raise McpError("a server asks nothing in this era", INTERNAL_ERROR)
        return (yield from self._session.ask(method, params, self._send))

    def _send(self, message: dict[str, Json]) -> None:
        self._outbox.put(event(message), must=True)

    def run(self, flow: Flow[T], is_lively: bool) -> Flow[T]:
        """The flow's result. What is said by a lively one is sent at once, else before the result."""
        if not is_lively:
            return (yield from flow)
        outcomes: list[Outcome[Any]] = yield from gather(self._ended(flow), self._write())
        assert isinstance(outcomes[0], Succeeded)
        result: T = outcomes[0].value
        return result

    def finish(self, message: Json, status: int) -> Flow[None]:
        """The last message; None if the client wants none."""
        left = yield from self._outbox.take(0)
        if left:
            yield from self._emit(left)
        if self._is_streaming:
            if message is not None:
                yield Emit((ResponseData(event(message)),))
        elif message is None:
            yield Emit((head_of_events(),))
        else:
            yield Emit(json_answer(status, message))

    def _ended(self, flow: Flow[T]) -> Flow[T]:
        try:
            return (yield from flow)
        finally:
            self._outbox.close()

    def _write(self) -> Flow[None]:
        while True:
            events = yield from self._outbox.take(PING)
            if events:
                yield from self._emit(events)
            elif self._outbox.is_closed:
                return
            elif self._is_streaming:
                yield Emit((ResponseData(KEEP_ALIVE),))

    def _emit(self, events: list[bytes]) -> Flow[None]:
        data = ResponseData(b"".join(events))
        if self._is_streaming:
            yield Emit((data,))
        else:
            self._is_streaming = True
            yield Emit((head_of_events(), data))


def said(method: str, params: dict[str, Json]) -> dict[str, Json]:
    """A notification as a message."""
    message: dict[str, Json] = {"jsonrpc": "2.0", "method": method}
    if params:
        message["params"] = params
    return message


def event(message: Json, id: int | None = None) -> bytes:
    """A message as an event of SSE."""
    name = b"" if id is None else b"id: %d\n" % id
    return b"event: message\n" + name + b"data: " + _written(message) + b"\n\n"


def head_of_events() -> ResponseHead:
    # A proxy that holds back what is to be seen at once (nginx does) is asked not to.
    return ResponseHead(
        200,
        (("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")),
    )


def json_answer(status: int, message: Json, headers: Headers = ()) -> tuple[ResponseHead, ResponseData]:
    body = _written(message)
    told = (("content-type", "application/json"), ("content-length", str(len(body))), *headers)
    return ResponseHead(status, told), ResponseData(body)


def refusal(
    status: int, code: int, words: str, headers: Headers = (), *, id: Id = None, data: Json = None
) -> Flow[None]:
    """An error as the whole answer."""
    error: dict[str, Json] = {"code": code, "message": words}
    if data is not None:
        error["data"] = data
    yield Emit(json_answer(status, {"jsonrpc": "2.0", "id": id, "error": error}, headers))


def _written(message: Json) -> bytes:
    try:
        return to_json(message, inf_nan_mode="null")
    except (ValueError, RecursionError) as error:
        id = message.get("id") if isinstance(message, dict) else None
        told = {"code": INTERNAL_ERROR, "message": f"the server failed: its result is not JSON ({error})"}
        return to_json({"jsonrpc": "2.0", "id": id, "error": told})
