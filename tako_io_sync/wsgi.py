"""A handler as a WSGI application (PEP 3333), for any WSGI server, or mounted in Django or Flask.

    app = application(handler)

The flow runs on the thread that the server gives us, and goes on when the server asks for more: that is
the backpressure. What WSGI cannot say, this cannot do:

| WSGI has                                    | so                                                       |
|---------------------------------------------|----------------------------------------------------------|
| the head go out with the first piece        | a handler that wants to be heard early emits a piece     |
| a client that left found out by sending     | then the server calls `close`, which cancels the flow    |
| faults after the head raised to the server  | it cuts the connection, as far as it knows how to        |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

from tako.driving.serving import as_limits, log_failure
from tako.driving.serving_mounted import MountedAnswer, refused
from tako.errors import InvalidInput, ProtocolError
from tako.serving import Handler, HttpIncoming, ResponseData, ResponseHead, ServerLimits
from tako_io_sync.runtime import EventStream, Runtime, default_runtime

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["application"]


def application(
    handler: Handler, runtime: Runtime | None = None, *, limits: ServerLimits | None = None
) -> WSGIApplication:
    """The application. Of the limits, the size of bodies is ours; the others are the server's."""
    limits, _ = as_limits(limits, 0)
    body_size = limits.body_size

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            incoming = _incoming(environ, body_size)
        except ProtocolError as error:
            return _refuse(error.status or 400, start_response)
        return _answer(handler, incoming, runtime or default_runtime(), start_response)

    return answer


def _incoming(environ: WSGIEnvironment, body_size: int) -> HttpIncoming:
    """Raises ProtocolError, with the status to answer with."""
    headers = []
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            headers.append((name[5:].lower().replace("_", "-"), value))
        elif name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            headers.append((name.lower().replace("_", "-"), value))
    return HttpIncoming(
        environ["REQUEST_METHOD"],
        environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace") or "/",
        environ.get("QUERY_STRING", ""),
        tuple(headers),
        _body(environ, body_size),
        environ.get("REMOTE_ADDR", ""),
    )


def _body(environ: WSGIEnvironment, limit: int) -> bytes:
    given = environ.get("CONTENT_LENGTH") or ""
    if given and not (given.isascii() and given.isdigit()):
        raise ProtocolError("the content-length is not a number", phase="request", status=400)
    # A chunked body has no length; only some servers say that they find its end.
    length = int(given[:20]) if given else limit + 1 if environ.get("wsgi.input_terminated") else 0
    if given and length > limit:
        raise ProtocolError(f"the body is over {limit} bytes", phase="request", status=413)
    pieces, left = [], length
    while left and (piece := environ["wsgi.input"].read(left)):
        pieces.append(piece)
        left -= len(piece)
    if given and left:
        raise ProtocolError("the client hung up in the middle of its request", phase="request", status=400)
    if not given and length and not left:
        raise ProtocolError(f"the body is over {limit} bytes", phase="request", status=413)
    return b"".join(pieces)


def _answer(
    handler: Handler, incoming: HttpIncoming, runtime: Runtime, start_response: StartResponse
) -> Iterable[bytes]:
    """The flow, driven to its head."""
    answer = MountedAnswer(incoming)
    try:
        events = runtime.stream(handler(incoming))
    except Exception as error:
        log_failure(incoming, error)
        return _refuse(500, start_response)
    try:
        while not isinstance(head := answer.take(next(events)), ResponseHead):
            pass
    except Exception as error:
        log_failure(incoming, _reason(error, events))
        events.close()
        return _refuse(500, start_response)
    except BaseException:
        events.close()
        raise
    start_response(_status_line(head.status), list(head.headers))
    return _Body(incoming, answer, events)


def _reason(error: Exception, events: EventStream[None]) -> Exception:
    """Why there is no head: for a flow that has ended, what it raised or returned as its failure."""
    if not isinstance(error, StopIteration):
        return error
    try:
        events.result  # noqa: B018
    except Exception as failure:
        return failure
    return InvalidInput("a handler emits a ResponseHead before it returns")


def _refuse(status: int, start_response: StartResponse) -> Iterable[bytes]:
    head, body = refused(status)
    start_response(_status_line(status), list(head.headers))
    return [body.data]


def _status_line(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Unknown"  # PEP 3333 wants a reason


class _Body:
    """The rest of the answer, as the server asks for it."""

    def __init__(self, incoming: HttpIncoming, answer: MountedAnswer, events: EventStream[None]) -> None:
        self._incoming = incoming
        self._answer = answer
        self._events = events

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            for event in self._events:
                if isinstance(data := self._answer.take(event), ResponseData):
                    return data.data
            self._events.result  # noqa: B018  a flow may return its failure
        except Exception as error:
            log_failure(self._incoming, error)
            raise
        raise StopIteration

    def close(self) -> None:
        """The server calls this when the answer is whole, or when the client has left."""
        self._events.close()
