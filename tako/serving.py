"""Serving: how a flow answers an HTTP request, whoever listens.

A handler is a function of the request that gives a flow. The flow Emits one ResponseHead, then any
number of ResponseData, and returns; effects of every kind may come between:

    def hello(request):                                   # Handler
        yield Emit((ResponseHead(200, (("content-type", "text/plain")),),))
        for _ in range(3):
            yield Sleep(1.0)
            yield Emit((ResponseData(b"hello\\n"),))

| the flow                           | the client gets                                            |
|------------------------------------|------------------------------------------------------------|
| emits a head, or data              | it at once; but a head with a content-length goes with the |
|                                    | first data                                                 |
| returns after its head             | the end of a whole answer                                  |
| fails, or returns, before its head | 500 and no details; those go to the log named "tako"       |
| fails after its head               | a connection that is cut, so that nothing looks whole      |
| is cancelled as the server stops   | 503 before its head, else as above                         |
| emits anything else                | nothing: those events are dropped, as `run` drops them, so |
|                                    | an agent may be run in a handler as it is                  |

A client that does not read holds the flow back. One that goes away cancels it; to close its half of
the connection alone is to go away, as most servers have it. A flow is driven by the arm that listens:
`tako_io_*.http_server`, `tako_io_sync.wsgi`, `tako_io_asyncio.asgi`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TypeAlias

from tako.effects import Emit, Flow
from tako.errors import InvalidInput
from tako.wire.http1_server import HttpIncoming

__all__ = ["Handler", "HttpIncoming", "ResponseData", "ResponseHead", "ServerLimits", "end_to_end", "respond"]

Headers: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """The first thing that a handler emits; the final status alone, no 1xx.

    The server adds `date`, and what frames the body and ends the connection. A `content-length` is kept,
    and held against what comes; without one the body is as long as the flow goes on.
    """

    status: int
    headers: Headers = field(default=(), repr=False)


@dataclass(slots=True)
class ResponseData:
    """A piece of the body. For HEAD, and with a status that has no body, it is dropped."""

    data: bytes


Handler: TypeAlias = Callable[[HttpIncoming], Flow[None]]


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What one client may cost; raises InvalidInput for what is no positive number.

    connections   open at once, the others wait in the system's queue; None for 64 where each has a
                  thread, and 1000 where not
    head_size     bytes of the head of a request, and of trailers; above it the answer is 431
    body_size     bytes of a body, which is held whole; above it 413
    head_seconds  for the head, from its first byte (408), and for the first byte of a connection
    body_seconds  for the body, all of it (408)
    idle_seconds  between an answer and the next request; less if the place is needed
    send_seconds  in which a client has to take something of what was sent, or else it has gone away
    """

    connections: int | None = None
    head_size: int = 64 * 1024
    body_size: int = 4 * 1024 * 1024
    head_seconds: float = 10.0
    body_seconds: float = 120.0
    idle_seconds: float = 75.0
    send_seconds: float = 60.0

    def __post_init__(self) -> None:
        for limit in fields(self):
            value = getattr(self, limit.name)
            if value is None and limit.name == "connections":
                continue
            kinds = (int, float) if limit.name.endswith("seconds") else (int,)
            if not isinstance(value, kinds) or isinstance(value, bool) or not value > 0:
                raise InvalidInput(
                    f"ServerLimits({limit.name}=...): expected a number above 0, not {value!r}"
                )


def end_to_end(headers: Headers) -> Headers:
    """Headers without those that are about the connection: for a handler that does not own one."""
    return tuple((name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP)


_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)


def respond(status: int, body: bytes = b"", content_type: str = "text/plain; charset=utf-8") -> Flow[None]:
    """A whole answer at once."""
    head = ResponseHead(status, (("content-type", content_type), ("content-length", str(len(body)))))
    yield Emit((head, ResponseData(body)))
