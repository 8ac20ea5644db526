"""The server's side of an HTTP/1.1 connection: many requests, one after the other.

| state     | what moves it on                                       | next                          |
|-----------|--------------------------------------------------------|-------------------------------|
| IDLE      | the first byte of a request                            | HEAD                          |
| HEAD      | the end of the head                                    | BODY, ANSWERING without one   |
| BODY      | the end of the body: an HttpIncoming, whole            | ANSWERING                     |
| ANSWERING | `send_head`                                            | STREAMING                     |
|           | `refuse`: an answer without details                    | DONE                          |
| STREAMING | `send_end`                                             | DONE                          |
| DONE      | `start_next_cycle`, if it `keeps`                      | IDLE                          |
| IDLE,     | what the client does wrong: a ProtocolError, whose     | ANSWERING, and then it does   |
| HEAD,     | `status` is the answer; now and at every later call    | not keep                      |
| BODY      | the end of the input: END                              | the same                      |

h11 reads the head of the request and writes the head of the answer: the grammar, its dark corners and
the checks against smuggling are its. Bodies are read and written here, because h11 takes an event, and
eleven microseconds, for every chunk of them.

Invariants. The events do not depend on how the bytes were cut. A request is handed over whole or not at
all. What comes behind a request waits for the next cycle. An answer that was not ended never looks
whole: its framing says so, or `must_reset`. Limits: `max_head_size` bytes for a head and for trailers,
`max_body_size` for a body; who feeds the machine does not feed it while it answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum
from http import HTTPStatus
from typing import TypeAlias
from urllib.parse import unquote

import h11

from tako.errors import InvalidInput, ProtocolError
from tako.wire import END, NEED_DATA, End, NeedData
from tako.wire.chunked import ChunkedDecoder

__all__ = ["Http1Server", "HttpIncoming", "State", "check_head", "refusal"]

Headers: TypeAlias = tuple[tuple[str, str], ...]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
WITHOUT_BODY = (204, 304)


@dataclass(frozen=True, slots=True)
class HttpIncoming:
    """One HTTP request, whole. Header values hold secrets, so they are not in the repr.

    method   as it was sent: methods are in upper case
    path     decoded, "/" at least, below where the application is mounted; "*" for OPTIONS *
    query    as it was sent, without the "?"
    headers  names are in lower case
    peer     the address of the client, or of the proxy in between; "" if it is not known
    """

    method: str
    path: str
    query: str = field(default="", repr=False)
    headers: Headers = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    peer: str = ""

    def header(self, name: str) -> str | None:
        """The first value of a header, by its lower-case name."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class State(Enum):
    IDLE = "between requests"
    HEAD = "reading the head"
    BODY = "reading the body"
    ANSWERING = "waiting for the head of the answer"
    STREAMING = "sending the body of the answer"
    DONE = "done"


class _Framing(Enum):
    """How the client finds the end of the answer: RFC 9112, section 6.3."""

    NONE = "no body"
    COUNTED = "content-length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until the connection is closed"


def check_head(status: int, headers: Headers) -> None:
    """Raises InvalidInput, naming no value, for what cannot be the head of an answer."""
    _response(status, headers, 0.0)


def refusal(status: int) -> tuple[Headers, bytes]:
    """Headers and body of an answer that says no more than its status."""
    body = f"{status} {_phrase(status)}\n".encode()
    return (("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body)))), body


class Http1Server:
    """One connection, seen from the server. `peer` is the address that requests are said to come from.

    Raises InvalidInput for what the answering side does wrong, and is then as it was before.
    """

    __slots__ = (
        "_arrived", "_body", "_chunks", "_continue", "_ended", "_fault", "_framing", "_head", "_head_size",
        "_keep", "_left", "_max_body_size", "_max_head_size", "_method", "_parser", "_peer", "_version",
        "state",
    )  # fmt: skip

    def __init__(self, *, max_head_size: int, max_body_size: int, peer: str = "") -> None:
        self._max_head_size = max_head_size
        self._max_body_size = max_body_size
        self._peer = peer
        self._arrived = bytearray()  # received and not used yet
        self._ended = False  # the client has hung up
        self._fault: ProtocolError | None = None
        self._become_idle()

    def _become_idle(self) -> None:
        self.state = State.IDLE
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=self._max_head_size + 1)
        self._head_size = 0  # bytes that the parser was given
        self._head: HttpIncoming | None = None  # the request but for its body
        self._method = ""
        self._version = b"1.0"
        self._body = bytearray()
        self._chunks: ChunkedDecoder | None = None
        self._left = 0  # bytes of the body, or of the answer, still to come where they are counted
        self._continue = b""
        self._keep = False
        self._framing = _Framing.NONE

    # Requests.

    def receive_data(self, data: bytes) -> None:
        """Take what was read from the client; b"" is the end of the input. Never raises."""
        if data:
            self._arrived += data
        else:
            self._ended = True

    def next_event(self) -> HttpIncoming | NeedData | End:
        """The next request; NEED_DATA also while one is answered. Raises ProtocolError, with a status."""
        if self._fault is not None:
            raise self._fault.with_traceback(None)
        try:
            if self.state in (State.IDLE, State.HEAD) and not self._read_head():
                return END if self._ended else NEED_DATA
            if self.state is State.BODY and not self._read_body():
                return END if self._ended else NEED_DATA
        except ProtocolError as fault:
            self._fault = fault
            self._keep = False
            self.state = State.ANSWERING
            raise
        head, self._head = self._head, None
        if head is None:
            return NEED_DATA
        self.state = State.ANSWERING
        body = bytes(self._body)
        self._body = bytearray()
        return HttpIncoming(head.method, head.path, head.query, head.headers, body, head.peer)

    def data_to_send(self) -> bytes:
        """What the client waits for before it sends its body, if it does; RFC 9110, section 10.1.1."""
        data, self._continue = self._continue, b""
        return data if self.state is State.BODY and not self._body else b""

    def _read_head(self) -> bool:
        """True once there is a head."""
        arrived, parser = self._arrived, self._parser
        if not self._head_size:
            while arrived[:2] == b"\r\n":  # RFC 9112, section 2.2: some clients end a body with one more
                del arrived[:2]
            if not arrived or arrived == b"\r":
                return False
        self.state = State.HEAD
        piece = bytes(arrived[: self._max_head_size - self._head_size])
        if not piece:
            return False
        del arrived[: len(piece)]
        self._head_size += len(piece)
        parser.receive_data(piece)
        try:
            event = parser.next_event()
        except h11.RemoteProtocolError as error:
            raise _wrong(f"the client does not speak HTTP/1.1: {error}", error.error_status_hint) from error
        if isinstance(event, h11.Request):
            self._arrived[:0] = parser.trailing_data[0]
            self._begin(event)
            return True
        if self._head_size >= self._max_head_size:
            raise _wrong(f"the head of the request is over {self._max_head_size} bytes", 431)
        return False

    def _begin(self, request: h11.Request) -> None:
        """The head is there: what will its body be?"""
        headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers)
        self._method, self._version = method, version = request.method.decode("ascii"), request.http_version
        if not version.startswith(b"1."):
            raise _wrong("the request is of another version of HTTP", 505)
        if method == "CONNECT":
            raise _wrong("this server is no proxy", 501)
        path, query, authority = _target(request.target.decode("ascii"))
        if authority is not None:  # RFC 9112, section 3.2.2: it stands for whatever Host says
            headers = (("host", authority), *((name, value) for name, value in headers if name != "host"))
        self._head = HttpIncoming(method, path, query, headers, b"", self._peer)
        self._keep = version >= b"1.1" and not _names_close(headers)
        self.state = State.BODY
        given = dict(headers)
        if "transfer-encoding" in given:
            if "content-length" in given or version < b"1.1":  # section 6.1: somebody may be smuggling
                raise _wrong("the request has two framings, or one that its version does not know", 400)
            self._chunks = ChunkedDecoder(max_trailers=self._max_head_size, whose="the request")
        else:
            self._left = int(given.get("content-length", 0))
            if self._left > self._max_body_size:
                raise self._too_long()
        if self._parser.they_are_waiting_for_100_continue:
            self._continue = CONTINUE

    def _read_body(self) -> bool:
        """True once the body is whole."""
        if self._chunks is not None:
            return self._read_chunks(self._chunks)
        piece = self._arrived[: self._left]
        del self._arrived[: len(piece)]
        self._body += piece
        self._left -= len(piece)
        return not self._left

    def _read_chunks(self, chunks: ChunkedDecoder) -> bool:
        if self._arrived:
            chunks.receive_data(bytes(self._arrived))
            self._arrived.clear()
        try:
            while isinstance(piece := chunks.next_event(), bytes):
                self._body += piece
                if len(self._body) > self._max_body_size:
                    raise self._too_long()
        except ProtocolError as error:
            raise _wrong(error.message, error.status) from error
        if piece is NEED_DATA:
            return False
        self._arrived += chunks.trailing
        return True

    def _too_long(self) -> ProtocolError:
        return _wrong(f"the body of the request is over {self._max_body_size} bytes", 413)

    # Answers.

    @property
    def has_begun(self) -> bool:
        """True once the head of the answer was given out."""
        return self.state in (State.STREAMING, State.DONE)

    @property
    def keeps(self) -> bool:
        """True if another request may follow."""
        return self.state is State.DONE and self._keep

    @property
    def must_reset(self) -> bool:
        """True if the client would take the end of the connection for the end of the answer, wrongly."""
        return self.state is State.STREAMING and self._framing is _Framing.UNTIL_CLOSE

    def close_after_answer(self) -> None:
        """Let no request follow; the answer says so if its head is not out yet."""
        self._keep = False

    def start_next_cycle(self) -> None:
        """Make ready for another request; raises InvalidInput where the connection does not keep."""
        if not self.keeps:
            raise InvalidInput("this connection cannot carry another request; close it")
        self._become_idle()

    def send_head(self, status: int, headers: Headers, now: float) -> bytes:
        """The head of the answer. `now` is for its date, which RFC 9110, section 6.6.1, wants."""
        if self.state is not State.ANSWERING:
            raise InvalidInput("a handler emits one ResponseHead for each request, before its ResponseData")
        response, length = _response(status, headers, now)
        if self._method == "HEAD" or status in WITHOUT_BODY:
            framing = _Framing.NONE
        elif length is not None:
            framing = _Framing.COUNTED
        else:
            framing = _Framing.CHUNKED if self._version >= b"1.1" else _Framing.UNTIL_CLOSE
        keep = self._keep and framing is not _Framing.UNTIL_CLOSE and not _names_close(headers)
        if not keep:
            response = h11.Response(
                status_code=status,
                headers=[*response.headers.raw_items(), (b"connection", b"close")],
                reason=response.reason,
            )
        data = self._parser.send(response)
        assert data is not None
        self._keep, self._framing, self._left = keep, framing, length or 0
        self.state = State.STREAMING
        return data

    def send_data(self, data: bytes) -> bytes:
        """A piece of the body, framed."""
        if self.state is not State.STREAMING:
            raise InvalidInput("a handler emits a ResponseHead before its first ResponseData")
        match self._framing:
            case _Framing.CHUNKED:
                return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            case _Framing.COUNTED:
                if len(data) > self._left:
                    raise InvalidInput("the answer is longer than its content-length; leave the header out")
                self._left -= len(data)
                return data
            case _Framing.NONE:
                return b""
            case _Framing.UNTIL_CLOSE:
                return data

    def send_end(self) -> bytes:
        """The end of the answer, which is whole now."""
        if self.state is not State.STREAMING:
            raise InvalidInput("a handler emits a ResponseHead before it returns")
        if self._framing is _Framing.COUNTED and self._left:
            raise InvalidInput("the answer is shorter than its content-length; leave the header out")
        self.state = State.DONE
        return b"0\r\n\r\n" if self._framing is _Framing.CHUNKED else b""

    def refuse(self, status: int, now: float) -> bytes:
        """A whole answer that says no more than its status."""
        if not self.has_begun and self.state is not State.ANSWERING:
            self._keep = False  # the request is not whole
            self.state = State.ANSWERING
        headers, body = refusal(status)
        return self.send_head(status, headers, now) + self.send_data(body) + self.send_end()


def _wrong(message: str, status: int | None) -> ProtocolError:
    return ProtocolError(message, phase="request", status=status or 400)


def _target(target: str) -> tuple[str, str, str | None]:
    """Path, query, and the authority if it is in there: RFC 9112, section 3.2."""
    path, _, query = target.partition("?")
    if path == "*" or path.startswith("/"):
        return unquote(path), query, None
    scheme, mark, rest = path.partition("://")
    authority, _, path = rest.partition("/")
    if not mark or not authority or scheme.lower() not in ("http", "https"):
        raise _wrong("the target of the request is neither a path nor a URL", 400)
    return unquote(f"/{path}"), query, authority


def _names_close(headers: Headers) -> bool:
    return any(
        option.strip().lower() == "close"
        for name, value in headers
        if name.lower() == "connection"
        for option in value.split(",")
    )


def _response(status: int, headers: Headers, now: float) -> tuple[h11.Response, int | None]:
    """What h11 will write, checked by it, and the content-length; raises InvalidInput."""
    fields: list[tuple[bytes, bytes]] = []
    length: int | None = None
    has_date = False
    try:
        for name, value in headers:
            lower = name.lower()
            if lower == "transfer-encoding" or (lower == "content-length" and status == 204):
                continue  # the framing is ours; RFC 9110, section 8.6, allows a 204 no length
            if lower == "content-length":
                length = int(value)
            has_date = has_date or lower == "date"
            fields.append((name.encode("ascii"), value.encode("latin-1")))
        if not has_date:
            fields.append((b"date", formatdate(now, usegmt=True).encode("ascii")))
        response = h11.Response(status_code=status, headers=fields, reason=_phrase(status).encode("ascii"))
    except (AttributeError, TypeError, ValueError, h11.LocalProtocolError) as error:
        # What h11 says may quote a value, so it is dropped.
        raise InvalidInput(
            f"a ResponseHead of status {status!r} is not valid HTTP: statuses are from 200 to 999, headers "
            "pairs of text without line breaks"
        ) from error
    return response, length


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
