"""A handler as an ASGI application (ASGI 3: http and lifespan), for any ASGI server, or mounted in one.

    app = application(handler)

It names no async library: it is driven by the arm of whatever runs the server, so that it works under
hypercorn's trio workers as well as under uvicorn. While the flow runs, a second one beside it listens
for the client's leaving, and cancels the first.

| the client, or the flow        | then                                                                 |
|--------------------------------|----------------------------------------------------------------------|
| leaves                         | the flow is cancelled, and nothing more is sent                      |
| does not read                  | the server's `send` waits, and the flow with it                      |
| fails before its head          | 500 without details                                                  |
| fails after its head           | the error is raised to the server, which cuts the connection         |
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, TypeAlias
from urllib.parse import unquote

from tako._adapters import run_async, stream_async
from tako.cancellation import CancellationToken
from tako.driving.serving import as_limits, log_failure
from tako.driving.serving_mounted import MountedAnswer, refused
from tako.effects import Flow, call, gather, within
from tako.errors import Cancelled, Interrupted, InvalidInput, ProtocolError
from tako.serving import Handler, HttpIncoming, ResponseData, ResponseHead, ServerLimits

__all__ = ["application"]

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]


class _Runtime(Protocol):
    """A Runtime of tako_io_asyncio or of tako_io_trio."""

    def run(self, target: Flow[None], *, cancel: CancellationToken | None = None) -> Awaitable[None]: ...
    def stream(self, target: Flow[None], *, cancel: CancellationToken | None = None) -> Any: ...


def application(
    handler: Handler, runtime: _Runtime | None = None, *, limits: ServerLimits | None = None
) -> Application:
    """The application. Of the limits, the size of bodies is ours; the others are the server's."""
    limits, _ = as_limits(limits, 0)
    body_size = limits.body_size

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            raise InvalidInput(f"this application answers http, not {scope['type']}")
        try:
            body = await _body(receive, body_size)
        except ProtocolError as error:
            await _refuse(error.status or 400, send)
            return
        if body is not None:
            await _Exchange(handler, _incoming(scope, body), runtime, receive, send).run()

    return answer


async def _live(receive: Receive, send: Send) -> None:
    """Nothing is to be started or stopped: a Runtime that was handed in is its owner's."""
    while True:
        match (await receive())["type"]:
            case "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            case "lifespan.shutdown":
                await send({"type": "lifespan.shutdown.complete"})
                return


async def _body(receive: Receive, limit: int) -> bytes | None:
    """None if the client has left; raises ProtocolError, with the status to answer with."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > limit:
            raise ProtocolError(f"the body is over {limit} bytes", phase="request", status=413)
        if not message.get("more_body", False):
            return bytes(body)


def _incoming(scope: Message, body: bytes) -> HttpIncoming:
    raw = scope.get("raw_path")
    path: str = scope["path"] if raw is None else unquote(raw.decode("latin-1").partition("?")[0])
    root = scope.get("root_path", "")
    if root and path.startswith(root):  # the path is whole in ASGI, also where it is mounted below
        path = path[len(root) :]
    headers = tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]
    )
    client = scope.get("client")
    return HttpIncoming(
        scope["method"],
        path or "/",
        scope.get("query_string", b"").decode("latin-1"),
        headers,
        body,
        client[0] if client else "",
    )


async def _refuse(status: int, send: Send) -> None:
    head, body = refused(status)
    await send(_start(head))
    await send({"type": "http.response.body", "body": body.data, "more_body": False})


def _start(head: ResponseHead) -> Message:
    headers = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in head.headers]
    return {"type": "http.response.start", "status": head.status, "headers": headers}


class _Exchange:
    """One request, and the flow that answers it."""

    def __init__(
        self,
        handler: Handler,
        incoming: HttpIncoming,
        runtime: _Runtime | None,
        receive: Receive,
        send: Send,
    ) -> None:
        self._handler = handler
        self._incoming = incoming
        self._runtime = runtime
        self._receive = receive
        self._send = send
        self._gone = CancellationToken()
        self._answered = CancellationToken()

    async def run(self) -> None:
        """Raises what the flow raises after its head."""
        both = self._both()
        await (run_async(both) if self._runtime is None else self._runtime.run(both))

    def _both(self) -> Flow[None]:
        yield from gather(self._answer_flow(), self._watch_flow())

    def _answer_flow(self) -> Flow[None]:
        try:
            yield from call(self._answer)
        finally:
            self._answered.cancel()

    def _watch_flow(self) -> Flow[None]:
        try:
            yield from within(None, call(self._watch), self._answered)
        except Interrupted:
            pass  # it is over, and the client still there

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.cancel()

    async def _answer(self) -> None:
        answer = MountedAnswer(self._incoming)
        try:
            await self._relay(answer)
            answer.end()
        except Exception as error:
            if self._gone.is_cancelled:
                if not isinstance(error, Cancelled | OSError):
                    log_failure(self._incoming, error)
                return
            log_failure(self._incoming, error)
            if answer.has_begun:
                raise
            await _refuse(500, self._send)
        else:
            if not self._gone.is_cancelled:
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _relay(self, answer: MountedAnswer) -> None:
        flow = self._handler(self._incoming)
        runtime = self._runtime
        events = (
            stream_async(lambda: flow, cancel=self._gone)
            if runtime is None
            else runtime.stream(flow, cancel=self._gone)
        )
        async with events:
            async for event in events:
                told = answer.take(event)
                if self._gone.is_cancelled:
                    continue  # what a cancelled flow still says is for nobody
                if isinstance(told, ResponseHead):
                    await self._send(_start(told))
                    # Some servers hold the head back until there is something behind it.
                    await self._send({"type": "http.response.body", "body": b"", "more_body": True})
                elif isinstance(told, ResponseData):
                    await self._send({"type": "http.response.body", "body": told.data, "more_body": True})
            events.result  # noqa: B018  a flow may return its failure
