"""The client's side of one gRPC stream that carries texts both ways, on an HTTP/2 connection of its own.

    DATA frames of HTTP/2  >  messages: flag, length, and so many bytes  >  Frame { bytes json = 1; }

| state   | what moves it on                                        | next    | `next_text` meanwhile  |
|---------|---------------------------------------------------------|---------|------------------------|
| OPEN    | `goodbye`                                               | CLOSING | texts, NEED_DATA       |
|         | a status, a reset, GOAWAY, or the end of the input      | FAILED  |                        |
| CLOSING | status 0, or the end of the input                       | ENDED   | texts, NEED_DATA       |
|         | another status, a reset                                 | FAILED  |                        |
| any     | bytes that HTTP/2, gRPC or Protocol Buffers do not know | FAILED  |                        |
| ENDED   |                                                         |         | END                    |
| FAILED  |                                                         |         | raises, the same error |

h2 reads and writes the frames of HTTP/2. It is handed one frame at a time, because it forgets what stood
in front of a frame that is wrong. GOAWAY is read here: after it h2 would refuse what is still on its way.

Invariants. A text is sent as far as the peer's windows allow, and the rest when they open; MAX_UNSENT bytes
wait for that. What was received is acknowledged when it has been looked at, so a peer that nobody reads is
held back by its window. A message has at most `max_text` bytes and ENVELOPE, also after inflating. We offer
the coding "identity" alone and compress nothing; gzip and deflate are read all the same, since there are
servers that do not ask. Fields that are not known are passed over, and so is an empty text.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import Enum
from typing import Any, Final
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from tako.errors import InvalidInput, ProtocolError, ProviderError, TakoError, TransportError
from tako.wire import END, NEED_DATA, End, NeedData
from tako.wire.inflate import content_decoder

__all__ = ["MAX_UNSENT", "GrpcStream", "StreamRefused", "decode_frame", "encode_frame"]

Headers = tuple[tuple[str, str], ...]

MAX_UNSENT: Final = 64 * 1024 * 1024
ENVELOPE: Final = 1024
"""Bytes that a message may have besides its text."""
WINDOW: Final = 1024 * 1024
"""What the peer may send before we look at it."""
MAX_HTTP2_FRAME: Final = 16384
"""What RFC 9113, section 4.2, has as the least; we allow no more."""
GOAWAY: Final = 7
OPENING_WINDOWS: Final = (4, 8)
"""SETTINGS and WINDOW_UPDATE."""

OK: Final = 0
UNAVAILABLE: Final = 14
STATUSES: Final = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
    "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
ADVICE: Final = {
    7: "; this client may not use it: check the client's certificate",
    12: "; this server has no such service: check the endpoint",
    16: "; it wants to know who asks: check the client's certificate",
}


class StreamRefused(ProviderError):
    """The server ended the stream with a status that is not OK: `number` is it, `code` its name."""

    def __init__(self, message: str, *, number: int = 2, **fields: Any) -> None:
        super().__init__(message, **{"phase": "link", **fields})
        self.number = number

    @property
    def retryable(self) -> bool:  # type: ignore[override]
        """True for RESOURCE_EXHAUSTED and UNAVAILABLE, which another try may cure."""
        return self.number in (8, UNAVAILABLE)


class _State(Enum):
    OPEN = "open"
    CLOSING = "closing"
    ENDED = "ended"
    FAILED = "failed"


class GrpcStream:
    """One connection with one stream. `peer` is what messages call the other side."""

    __slots__ = (
        "_arrived", "_coding", "_connection", "_data", "_ended", "_failure", "_headers", "_is_half_closed",
        "_max_text", "_peer", "_state", "_status", "_stream", "_unsent",
    )  # fmt: skip

    def __init__(
        self, authority: str, path: str, *, scheme: str, max_text: int, peer: str = "the server"
    ) -> None:
        self._headers: Headers = (
            (":method", "POST"),
            (":scheme", scheme),
            (":path", path),
            (":authority", authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("grpc-accept-encoding", "identity"),
            ("user-agent", "grpc-tako"),
        )
        self._connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._connection.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
                SettingCodes.MAX_FRAME_SIZE: MAX_HTTP2_FRAME,
                SettingCodes.MAX_CONCURRENT_STREAMS: 0,
                SettingCodes.MAX_HEADER_LIST_SIZE: H2Connection.DEFAULT_MAX_HEADER_LIST_SIZE,
            },
        )
        self._stream = 0
        self._max_text = max_text
        self._peer = peer
        self._state = _State.OPEN
        self._failure: TakoError | None = None
        self._ended = False  # nothing more will be read
        self._arrived = bytearray()  # less than whole frames of HTTP/2, or some that were not looked at
        self._data = bytearray()  # less than a whole message, or some
        self._unsent = bytearray()
        self._is_half_closed = False  # the peer has ended its half of the stream
        self._status: tuple[int, str] | None = None
        self._coding = "identity"

    def opening(self) -> bytes:
        """The preface of the connection, and the head of the request."""
        connection = self._connection
        try:
            connection.initiate_connection()
            connection.increment_flow_control_window(WINDOW)
            self._stream = connection.get_next_available_stream_id()
            connection.send_headers(self._stream, self._headers)
        except (H2Error, ValueError) as error:
            raise InvalidInput("the head of the gRPC request cannot be sent; check the endpoint") from error
        return connection.data_to_send()

    def encode(self, text: bytes) -> bytes:
        """The text, as far as the peer takes it now. Raises TransportError once nothing can be sent."""
        if self._state is not _State.OPEN:
            raise TransportError("the gRPC stream is closed; nothing can be sent any more", phase="link")
        if len(self._unsent) + len(text) > MAX_UNSENT:
            raise TransportError(
                f"{self._peer} does not take what it is sent: {MAX_UNSENT:,} bytes wait for it", phase="link"
            )
        message = encode_frame(text)
        self._unsent += struct.pack("!BL", 0, len(message))
        self._unsent += message
        self._send()
        return self._connection.data_to_send()

    def receive_data(self, data: bytes) -> None:
        """Take what was read from the peer; b"" is the end of it. Never raises."""
        if self._ended or self.is_over:
            return
        self._ended = not data
        self._arrived += data

    def next_text(self) -> bytes | NeedData | End:
        """The next whole text. Raises ProtocolError, StreamRefused or TransportError, for ever."""
        while not self.is_over:
            try:
                text = self._message()
                if text:
                    return text
                if text is None:
                    if self._is_half_closed:
                        self._end()
                    elif not self._frame():
                        break
            except TakoError as failure:
                self._fail(failure)
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        return END if self._state is _State.ENDED else NEED_DATA

    def data_to_send(self) -> bytes:
        """Acknowledgements, windows, and what the peer's windows did not allow before."""
        return self._connection.data_to_send()

    def goodbye(self) -> None:
        """End our half of the stream behind what is still to be sent."""
        if self._state is _State.OPEN:
            self._state = _State.CLOSING
            self._send()

    @property
    def is_over(self) -> bool:
        return self._state is _State.ENDED or self._state is _State.FAILED

    def _send(self) -> None:
        """Hand to h2 what the windows allow, and the end of the stream behind the last of it."""
        connection, unsent = self._connection, self._unsent
        while unsent:
            room = min(connection.local_flow_control_window(self._stream), connection.max_outbound_frame_size)
            if room <= 0:
                return
            connection.send_data(self._stream, bytes(unsent[:room]))
            del unsent[:room]
        if self._state is _State.CLOSING:
            connection.end_stream(self._stream)

    def _frame(self) -> bool:
        """Look at the next frame of HTTP/2; False if there is none. Raises what the peer did wrong."""
        arrived = self._arrived
        length = int.from_bytes(arrived[:3], "big")
        if len(arrived) < 9 or len(arrived) < 9 + length <= 9 + MAX_HTTP2_FRAME:
            if self._ended:
                self._cut_off()
            return False
        if arrived[:5] == b"HTTP/":
            raise ProtocolError(
                f"{self._peer} speaks HTTP/1.1, not gRPC: check the port of the endpoint", phase="head"
            )
        if length > MAX_HTTP2_FRAME:
            raise self._violation(f"a frame of {length:,} bytes is over the limit")
        frame = bytes(arrived[: 9 + length])
        del arrived[: 9 + length]
        if frame[3] == GOAWAY and length >= 8:
            self._go_away(frame[9:])
            return True
        try:
            for event in self._connection.receive_data(frame):
                self._obey(event)
            if frame[3] in OPENING_WINDOWS and self._unsent:
                self._send()
        except H2Error as error:
            words = str(error).partition(" from <")[0]  # where in our memory is nobody's business
            raise self._violation(words or type(error).__name__) from error
        return True

    def _obey(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            self._data += event.data
            if event.flow_controlled_length:
                self._connection.acknowledge_received_data(event.flow_controlled_length, self._stream)
        elif isinstance(event, ResponseReceived):
            self._head(_text_headers(event.headers))
        elif isinstance(event, TrailersReceived):
            self._status = self._read_status(_text_headers(event.headers))
        elif isinstance(event, StreamEnded):
            self._is_half_closed = True
        elif isinstance(event, StreamReset):
            self._reset(int(event.error_code))

    def _head(self, headers: dict[str, str]) -> None:
        status = headers.get(":status", "")
        if "grpc-status" in headers:  # trailers alone
            self._status = self._read_status(headers)
            return
        self._coding = headers.get("grpc-encoding", "identity")
        kind = headers.get("content-type", "")
        if status != "200":
            raise ProviderError(
                f"{self._peer} answered with HTTP status {status[:9]}: it is no gRPC server; check the URL",
                phase="head",
                status=int(status) if status.isdecimal() and len(status) == 3 else None,
            )
        if not kind.startswith("application/grpc"):
            raise ProtocolError(
                f"{self._peer} is no gRPC server: its answer is {kind[:60]!r}; check the endpoint",
                phase="head",
            )

    def _read_status(self, headers: dict[str, str]) -> tuple[int, str]:
        value = headers.get("grpc-status", "")
        if not (value.isascii() and value.isdecimal() and len(value) < 4):
            raise ProtocolError(f"{self._peer} ended the gRPC stream without a status", phase="link")
        return int(value), unquote(headers.get("grpc-message", ""))[:1000]

    def _end(self) -> None:
        """The peer has ended the stream: with a status, or against the rules."""
        if self._data:
            raise ProtocolError(f"{self._peer} ended the gRPC stream inside a message", phase="decode")
        if self._status is None:
            raise ProtocolError(f"{self._peer} ended the gRPC stream without a status", phase="link")
        number, words = self._status
        if number == OK and self._state is _State.CLOSING:
            self._state = _State.ENDED
            return
        name = STATUSES[number] if number < len(STATUSES) else "of its own"
        said = f"{self._peer} has ended the gRPC stream with status {number} ({name})"
        said += (f": {words}" if words else "") + ADVICE.get(number, "")
        if number == OK:
            raise TransportError(said, phase="link", code=name)
        raise StreamRefused(said, number=number, code=name if number < len(STATUSES) else str(number))

    def _reset(self, code: int) -> None:
        raise TransportError(
            f"{self._peer} has cut the gRPC stream off: {_error_name(code)}",
            phase="link",
            code=_error_name(code),
        )

    def _go_away(self, payload: bytes) -> None:
        """The peer will take no new streams; with an error, or without ours, it ends this one as well."""
        last, code = struct.unpack("!LL", payload[:8])
        if code == ErrorCodes.NO_ERROR and last & 0x7FFFFFFF >= self._stream:
            return
        words = payload[8:208].decode("utf-8", "replace")
        raise TransportError(
            f"{self._peer} is going away: {_error_name(code)}" + (f", {words}" if words else ""),
            phase="link",
            code=_error_name(code),
        )

    def _cut_off(self) -> None:
        if self._state is not _State.CLOSING:
            raise TransportError(f"{self._peer} hung up without ending the gRPC stream", phase="link")
        self._state = _State.ENDED

    def _message(self) -> bytes | None:
        """The text of the next message; None if it is not whole. Raises ProtocolError."""
        data = self._data
        if len(data) < 5:
            return None
        is_compressed, size = struct.unpack_from("!BL", data)
        if size > self._max_text + ENVELOPE:
            raise self._too_big()
        if len(data) < 5 + size:
            return None
        message = bytes(data[5 : 5 + size])
        del data[: 5 + size]
        text = decode_frame(self._inflated(message) if is_compressed else message)
        if len(text) > self._max_text:
            raise self._too_big()
        return text

    def _inflated(self, message: bytes) -> bytes:
        decoder = content_decoder(self._coding) if self._coding in ("gzip", "deflate") else None
        if decoder is None:
            raise ProtocolError(
                f"{self._peer} sent a message in the coding {self._coding[:40]!r}, which we do not know",
                phase="decode",
            )
        inflated = bytearray()
        decoder.feed(message)
        while piece := decoder.take():
            inflated += piece
            if len(inflated) > self._max_text + ENVELOPE:
                raise self._too_big()
        decoder.finish()
        return bytes(inflated)

    def _too_big(self) -> ProtocolError:
        return ProtocolError(
            f"{self._peer} sent a message of more than {self._max_text:,} bytes; ask it for less at once",
            phase="decode",
        )

    def _violation(self, reason: str) -> ProtocolError:
        return ProtocolError(f"{self._peer} breaks HTTP/2: {reason}", phase="decode")

    def _fail(self, error: TakoError) -> None:
        self._failure = error
        self._state = _State.FAILED
        for buffer in (self._arrived, self._data, self._unsent):
            buffer.clear()


def _text_headers(headers: Iterable[Any]) -> dict[str, str]:
    """The first of each; h2 has decoded and checked them."""
    found: dict[str, str] = {}
    for name, value in headers:
        found.setdefault(name, value)
    return found


def _error_name(code: int) -> str:
    return ErrorCodes(code).name if code in tuple(ErrorCodes) else f"error {code}"


# Protocol Buffers, as much as one field needs.

_TAG: Final = b"\x0a"
"""Field 1, as bytes with their length in front."""


def encode_frame(text: bytes) -> bytes:
    """Frame { bytes json = 1; }"""
    size, length = len(text), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    length.append(size)
    return b"".join((_TAG, length, text))


def decode_frame(message: bytes) -> bytes:
    """The text of a Frame, b"" if it has none; of several the last. Raises ProtocolError."""
    text, position, end = b"", 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        field, kind = key >> 3, key & 7
        start = position
        if kind == 0:
            _, position = _varint(message, position)
        elif kind == 1:
            position += 8
        elif kind == 2:
            size, start = _varint(message, position)
            position = start + size
        elif kind == 5:
            position += 4
        else:
            raise ProtocolError(
                f"the peer sent a field of wire type {kind}, which is no longer used", phase="decode"
            )
        if field == 0 or position > end:
            raise ProtocolError("the peer sent a message that is no Protocol Buffer", phase="decode")
        if field == 1 and kind == 2:
            text = message[start:position]
    return text


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            break
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
    raise ProtocolError("the peer sent a number that does not end, in a Protocol Buffer", phase="decode")
