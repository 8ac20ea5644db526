"""The client's side of an HTTP/1.1 connection: many exchanges, one after the other.

| state   | what moves it on                                   | next     |
|---------|----------------------------------------------------|----------|
| IDLE    | `send_request`                                     | HEAD     |
| HEAD    | a final head: `ResponseHead` (1xx are skipped)     | BODY     |
| BODY    | the end of the body: `EndOfBody`                   | DONE     |
| DONE    | `start_next_cycle`, if `reusable`                  | IDLE     |
| any     | a fault: it is raised now and at every later call  | the same |

h11 writes the head of the request and reads the head of the answer: the grammar, its dark corners
and the checks against smuggling are its. The body is read here, because h11 makes an event, and
eleven microseconds, of every chunk, and a token is a chunk: that is as much as a whole bare
asyncio protocol costs. The tests hold both readers against each other.

Invariants. The events do not depend on how the bytes were cut, but for the number of BodyData, of
which there is one for everything that has arrived. What is sound is handed over before the fault
behind it is raised. Bytes that HTTP does not allow are a ProtocolError; a peer that hangs up too
early is a TransportError; both have phase "head" or "body". An answer never looks whole when it is
not. Limits: `max_head_size` for all heads of an answer together and for the trailers, MAX_LINE for
a line between chunks, inflate.PIECE for a decoded BodyData.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal, Protocol, TypeAlias

import h11

from tako.errors import InvalidInput, ProtocolError, TakoError, TransportError
from tako.wire import NEED_DATA, NeedData
from tako.wire.chunked import ChunkedDecoder
from tako.wire.inflate import CODINGS, Decoder, content_decoder

__all__ = ["END_OF_BODY", "BodyData", "EndOfBody", "Event", "Http1Connection", "ResponseHead"]

Headers: TypeAlias = tuple[tuple[str, str], ...]

MAX_HEAD_SIZE = 64 * 1024


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """Header names are in lower case. The body comes decoded, whatever content-encoding says."""

    status: int
    headers: Headers


@dataclass(slots=True)
class BodyData:
    data: bytes


class EndOfBody(Enum):
    """The body is whole."""

    END_OF_BODY = "end of body"


END_OF_BODY: Final = EndOfBody.END_OF_BODY
Event: TypeAlias = ResponseHead | BodyData | Literal[EndOfBody.END_OF_BODY]


class _State(Enum):
    IDLE = "idle"
    HEAD = "waiting for the head"
    BODY = "reading the body"
    DONE = "done"


_IDLE: Final = _State.IDLE
_HEAD: Final = _State.HEAD
_BODY: Final = _State.BODY
_DONE: Final = _State.DONE

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e]*")
_TARGET = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class _Sent:
    """The last request: what was asked for, and what h11 has made of it."""

    asked: tuple[str, str, Headers, int, str]
    request: h11.Request = field(repr=False)
    head: bytes = field(repr=False)
    keep_alive: bool


@dataclass(frozen=True, slots=True)
class _Known:
    """The head of the last answer that came in one piece, and what h11 has read in it."""

    head: bytes = field(repr=False)
    response: h11.Response = field(repr=False)


class Http1Connection:
    """One connection, seen from the client.

    `peer` is what messages call the other side. Raises InvalidInput for what the caller does wrong.
    """

    __slots__ = (
        "_arrived",
        "_body",
        "_decoder",
        "_ended",
        "_fault",
        "_head_size",
        "_keep_alive",
        "_known",
        "_last",
        "_max_head_size",
        "_method",
        "_parser",
        "_peer",
        "_state",
    )

    def __init__(self, *, max_head_size: int = MAX_HEAD_SIZE, peer: str = "the server") -> None:
        self._max_head_size = max_head_size
        self._peer = peer
        self._arrived: list[bytes] = []  # received and not looked at, or not used yet
        self._ended = False  # the peer has hung up
        self._fault: TakoError | None = None
        # One head after the other is often the same, and to check or to parse it costs more than the rest.
        self._last: _Sent | None = None
        self._known: _Known | None = None
        self._become_idle()

    def _become_idle(self) -> None:
        self._state = _IDLE
        self._method = ""
        self._parser: h11.Connection | None = None  # lives while the state is HEAD, if it is needed
        self._head_size = 0
        self._body: _Body = _Counted(0)
        self._decoder: Decoder | None = None
        self._keep_alive = True

    @property
    def reusable(self) -> bool:
        """True if another exchange may follow: the answer was whole and nothing came after it."""
        return self._state is _DONE and self._keep_alive and self.quiet

    @property
    def quiet(self) -> bool:
        """True if nothing was received that is not part of what was handed over."""
        return not (self._arrived or self._ended or self._fault)

    def start_next_cycle(self) -> None:
        """Make ready for another request; raises InvalidInput where the connection is not reusable."""
        if not self.reusable:
            raise InvalidInput("this connection cannot carry another request; open a new one")
        self._become_idle()

    def send_request(
        self, method: str, target: str, headers: Headers, body: bytes, *, authority: str
    ) -> bytes:
        """The bytes of a whole request.

        Host, Accept-Encoding and Content-Length are added where they are missing. Raises
        InvalidInput, naming the header but never its value, and leaves the connection as it was.
        """
        if self._state is not _IDLE:
            raise InvalidInput("the answer to the last request on this connection is not complete")
        asked = (method, target, tuple(headers), len(body), authority)
        last = self._last
        if last is None or last.asked != asked:  # the next head is often the last one again
            request, keep_alive = _request(method, target, _request_fields(method, headers, body, authority))
            self._parser, head = self._parser_of(request)
            last = self._last = _Sent(asked, request, head, keep_alive)
        self._method = method
        self._state = _HEAD
        self._keep_alive = last.keep_alive
        return last.head + body if body else last.head

    def _parser_of(self, request: h11.Request) -> tuple[h11.Connection, bytes]:
        """What reads the answer to a request, and the head of that."""
        parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=self._max_head_size)
        head = parser.send(request)
        assert head is not None
        return parser, head

    def receive_data(self, data: bytes) -> None:
        """Take what was read from the peer; b"" is the end of the input. Never raises."""
        if not data:
            self._ended = True
        elif self._state is _HEAD or self._state is _BODY:
            self._arrived.append(data)
        elif self._fault is None:
            self._keep_alive = False
            if self._state is _IDLE:
                self._fault = ProtocolError(f"{self._peer} answered before it was asked", phase="head")

    def next_event(self) -> Event | NeedData:
        """The next event; once the body has ended, END_OF_BODY for ever.

        Raises ProtocolError or TransportError.
        """
        if self._fault is not None:
            raise self._fault.with_traceback(None)
        try:
            if self._state is _BODY:
                return self._read_body()
            if self._state is _HEAD:
                return self._read_head()
        except TakoError as fault:
            self._fault = fault
            raise
        return END_OF_BODY if self._state is _DONE else NEED_DATA

    def _read_head(self) -> ResponseHead | NeedData:
        data = b"".join(self._arrived)
        self._arrived.clear()
        known = self._known
        if known is not None and not self._head_size and data.startswith(known.head):
            if len(data) > len(known.head):
                self._arrived.append(data[len(known.head) :])
            return self._start_body(known.response)
        parser = self._parser
        if parser is None:
            assert self._last is not None
            parser, _ = self._parser_of(self._last.request)
            self._parser = parser
        self._head_size += len(data)
        if data:
            parser.receive_data(data)
        try:
            event = parser.next_event()
            while isinstance(event, h11.InformationalResponse) and event.status_code != 101:
                event = parser.next_event()
        except h11.RemoteProtocolError as error:
            raise ProtocolError(f"{self._peer} does not speak HTTP/1.1: {error}", phase="head") from error
        unused = parser.trailing_data[0] if isinstance(event, h11.Response) else b""
        if self._head_size - len(unused) > self._max_head_size:
            raise ProtocolError(
                f"the head of the answer of {self._peer} is over {self._max_head_size} bytes", phase="head"
            )
        if isinstance(event, h11.Response):
            if unused:
                self._arrived.append(unused)
            if self._head_size == len(data):  # it came in one piece
                self._known = _Known(data[: len(data) - len(unused)], event)
            return self._start_body(event)
        if event is not h11.NEED_DATA:
            raise ProtocolError(f"{self._peer} wants to switch protocols; nobody asked it to", phase="head")
        if self._ended:
            raise TransportError(f"{self._peer} hung up before it answered", phase="head")
        return NEED_DATA

    def _start_body(self, response: h11.Response) -> ResponseHead:
        status = response.status_code
        headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in response.headers)
        self._parser = None
        self._state = _BODY
        self._body = body = _framing(self._method, status, headers, self._peer, self._max_head_size)
        if (
            response.http_version < b"1.1"
            or any(name == "connection" and _names_close(value) for name, value in headers)
            # Both framings at once: RFC 9112, section 6.3, wants such a connection closed.
            or {"transfer-encoding", "content-length"} <= {name for name, _ in headers}
        ):
            self._keep_alive = False
        if not body.done:
            codings = ",".join(value for name, value in headers if name == "content-encoding")
            try:
                self._decoder = content_decoder(codings) if codings else None
            except ProtocolError as fault:
                self._fault = fault  # the head is sound: status and headers come first
        return ResponseHead(status, headers)

    def _read_body(self) -> Event | NeedData:
        decoder, body = self._decoder, self._body
        if decoder is not None and (piece := decoder.take()):
            return BodyData(piece)
        if self._arrived and not body.done:
            arrived = self._arrived
            piece = body.read(arrived[0] if len(arrived) == 1 else b"".join(arrived))
            self._arrived = [body.rest] if body.rest else []
            if decoder is not None and piece:
                decoder.feed(piece)
                piece = decoder.take()
            if piece:
                return BodyData(piece)
        if body.fault is not None:
            raise body.fault
        if body.done or (self._ended and body.ends_with_input):
            if decoder is not None:
                decoder.finish()
            self._state = _DONE
            return END_OF_BODY
        if self._ended:
            raise TransportError(f"{self._peer} hung up in the middle of the answer", phase="body")
        return NEED_DATA


def _request(method: str, target: str, fields: list[tuple[str, str]]) -> tuple[h11.Request, bool]:
    """The request, and whether the connection is to be kept; raises InvalidInput."""
    if not _TOKEN.fullmatch(method):
        raise InvalidInput(f"method {method[:40]!r} is not an HTTP method")
    if not _TARGET.fullmatch(target):
        raise InvalidInput("the request target holds a character that a URL cannot carry; percent-encode it")
    try:
        request = h11.Request(method=method, target=target, headers=fields)
    except h11.LocalProtocolError as error:
        # The checks above should leave nothing for h11; its message may quote a value, so it is dropped.
        raise InvalidInput("the request is not valid HTTP; check its headers") from error.with_traceback(None)
    closes = any(name.lower() == "connection" and _names_close(value) for name, value in fields)
    return request, not closes


def _request_fields(method: str, headers: Headers, body: bytes, authority: str) -> list[tuple[str, str]]:
    """The header as it is sent; raises InvalidInput."""
    fields: list[tuple[str, str]] = []
    seen: set[str] = set()
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise InvalidInput(
                f"header name {name[:40]!r} holds a character that HTTP does not allow in a name"
            )
        if not _FIELD_VALUE.fullmatch(value):
            raise InvalidInput(
                f"the value of header {name} holds a line break, a control or a non-ASCII character; "
                "was it copied with something around it?"
            )
        lower = name.lower()
        if lower == "transfer-encoding":
            raise InvalidInput("header transfer-encoding is not for the caller: the body is sent whole")
        if lower in ("host", "content-length") and lower in seen:
            raise InvalidInput(f"header {name} is given twice")
        if lower == "content-length" and value.strip() != str(len(body)):
            raise InvalidInput("header content-length is not the length of the body; leave it out")
        seen.add(lower)
        fields.append((name, value.strip()))
    if "host" not in seen:
        fields.insert(0, ("Host", authority))
    if "accept-encoding" not in seen and method != "CONNECT":
        fields.append(("Accept-Encoding", CODINGS))
    if "content-length" not in seen and (body or method in ("POST", "PUT", "PATCH")):
        fields.append(("Content-Length", str(len(body))))
    return fields


def _names_close(value: str) -> bool:
    return any(option.strip().lower() == "close" for option in value.split(","))


class _Body(Protocol):
    """A framing: `read` takes the body's bytes out of what has arrived."""

    rest: bytes
    """What `read` did not use: the start of a line, or what follows the body."""
    done: bool
    fault: TakoError | None
    ends_with_input: bool

    def read(self, data: bytes) -> bytes: ...


def _framing(method: str, status: int, headers: Headers, peer: str, max_trailers: int) -> _Body:
    """How the end of the body is found: RFC 9112, section 6.3. h11 has checked the two headers."""
    if method == "HEAD" or status in (204, 304) or (method == "CONNECT" and status < 300):
        return _Counted(0)
    fields = dict(headers)
    if "transfer-encoding" in fields:
        return _Chunks(peer, max_trailers)
    if "content-length" in fields:
        return _Counted(int(fields["content-length"]))
    return _UntilClose()


class _Counted:
    """Content-Length bytes, or none."""

    __slots__ = ("_left", "done", "rest")
    fault: TakoError | None = None
    ends_with_input = False

    def __init__(self, length: int) -> None:
        self.rest = b""
        self.done = length == 0
        self._left = length

    def read(self, data: bytes) -> bytes:
        piece = data[: self._left]
        self.rest = data[self._left :]
        self._left -= len(piece)
        self.done = self._left == 0
        return piece


class _UntilClose:
    """Everything up to the end of the input."""

    __slots__ = ()
    rest = b""
    done = False
    fault: TakoError | None = None
    ends_with_input = True

    def read(self, data: bytes) -> bytes:
        return data


class _Chunks:
    """Chunks, which have a machine of their own."""

    __slots__ = ("_decoder", "done", "fault", "rest")
    ends_with_input = False

    def __init__(self, peer: str, max_trailers: int) -> None:
        self._decoder = ChunkedDecoder(max_trailers=max_trailers, whose=peer)
        self.rest = b""
        self.done = False
        self.fault: TakoError | None = None

    def read(self, data: bytes) -> bytes:
        decoder = self._decoder
        decoder.receive_data(data)
        try:
            found = decoder.next_event()
        except ProtocolError as fault:
            self.fault = fault
            return b""
        self.fault = decoder.fault
        if decoder.ended:
            self.done = True
            self.rest = decoder.trailing
        return found if isinstance(found, bytes) else b""
