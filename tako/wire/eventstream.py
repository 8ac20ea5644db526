"""AWS event streams (`application/vnd.amazon.eventstream`): bytes in, frames out, and back.

A frame, all numbers in network byte order:

| bytes | what                                                                    |
|-------|-------------------------------------------------------------------------|
| 4     | the size of the whole frame                                             |
| 4     | the size of its headers                                                 |
| 4     | CRC-32 of these eight bytes                                             |
| ...   | headers: size of the name (1), name, type (1), value                    |
| ...   | payload                                                                 |
| 4     | CRC-32 of everything before                                             |

| type | value                  | size  | in Python             |
|------|------------------------|-------|-----------------------|
| 0, 1 | true, false            | 0     | bool                  |
| 2-5  | byte, short, int, long | 1-8   | int                   |
| 6    | bytes                  | 2 + n | bytes                 |
| 7    | string, UTF-8          | 2 + n | str                   |
| 8    | milliseconds from 1970 | 8     | Timestamp, an int     |
| 9    | UUID                   | 16    | Identifier, its bytes |

The states of a parser are an open stream, an ended one (b"" was received) and a failed one. Between
two pieces it holds the start of one frame, no more: `max_headers_size` and `max_payload_size` are
checked as soon as the first twelve bytes are there, and so is their CRC, so that a spoiled size is
never waited for. The end of the input inside a frame is a mistake of the peer.

No byte is looked at again because more arrived, so time is linear for any cut. The messages of one
stream say the same in their headers over and over, so headers that were read once are looked up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Final, TypeAlias
from zlib import crc32

from tako.errors import InvalidInput, ProtocolError
from tako.wire import END, NEED_DATA, End, NeedData

__all__ = ["EventStreamParser", "Frame", "HeaderValue", "Identifier", "Timestamp", "encode_frame"]

# AWS documents 128 KiB and 16 MiB; its own SDK for Python takes payloads of up to 24 MiB.
DEFAULT_MAX_HEADERS_SIZE: Final = 128 * 1024
DEFAULT_MAX_PAYLOAD_SIZE: Final = 24 * 1024 * 1024

PRELUDE: Final = Struct("!III")
SIZES: Final = Struct("!II")
CHECKSUM: Final = Struct("!I")
LENGTH: Final = Struct("!H")
PRELUDE_SIZE: Final = PRELUDE.size
FRAME_SIZE: Final = PRELUDE_SIZE + CHECKSUM.size  # of a frame that holds nothing

TRUE, FALSE, BYTES, STRING, TIMESTAMP, IDENTIFIER = 0, 1, 6, 7, 8, 9
INTEGERS: Final = {2: Struct("!b"), 3: Struct("!h"), 4: Struct("!i"), 5: Struct("!q")}
LONG: Final = INTEGERS[5]
IDENTIFIER_SIZE: Final = 16

# How many different headers are remembered, and of what size: a stream has about eight, of 100 bytes.
REMEMBERED: Final = 32
REMEMBERED_SIZE: Final = 512


class Timestamp(int):
    """Milliseconds since 1970; a type of its own, so that it is written as what it was read as."""

    __slots__ = ()


class Identifier(bytes):
    """The sixteen bytes of a UUID; a type of its own, so that it is written as what it was read as."""

    __slots__ = ()


HeaderValue: TypeAlias = bool | int | bytes | str | Timestamp | Identifier


@dataclass(slots=True)
class Frame:
    """One message: its headers, such as `:message-type` and `:event-type`, and its payload."""

    headers: dict[str, HeaderValue]
    payload: bytes


class EventStreamParser:
    """Takes one `application/vnd.amazon.eventstream` body apart.

    Read it in one of two ways, and stay with it: `receive_data` and `next_event`, as every wire
    machine, or `feed`, the same frames by the batch. Frames before the peer's mistake are always
    handed over before the ProtocolError is raised.
    """

    __slots__ = (
        "_ended",
        "_failure",
        "_frames",
        "_input",
        "_max_headers_size",
        "_max_payload_size",
        "_needed",
        "_remembered",
    )

    def __init__(
        self,
        max_payload_size: int = DEFAULT_MAX_PAYLOAD_SIZE,
        max_headers_size: int = DEFAULT_MAX_HEADERS_SIZE,
    ) -> None:
        if max_payload_size < 0 or max_headers_size < 0:
            raise InvalidInput("max_payload_size and max_headers_size cannot be negative")
        self._max_payload_size = max_payload_size
        self._max_headers_size = max_headers_size
        self._input = bytearray()  # the start of a frame
        self._needed = PRELUDE_SIZE  # as much of it as there must be before it is looked at again
        self._ended = False
        self._failure: str | None = None
        self._frames: deque[Frame] = deque()
        self._remembered: dict[bytes, dict[str, HeaderValue]] = {}

    def receive_data(self, data: bytes) -> None:
        """Take the next piece of the body; b"" is its end.

        What the peer does wrong in this piece is raised by `next_event`, after the frames before
        it. Raises ProtocolError if the stream had failed before, InvalidInput after the end.
        """
        if self._failure is not None:
            raise ProtocolError(self._failure, phase="decode")
        self._frames.extend(self._receive(data))

    def next_event(self) -> Frame | NeedData | End:
        """Give the next frame, NEED_DATA when there is none yet, END when there will be none.

        Raises ProtocolError once the frames before the peer's mistake have been given.
        """
        if self._frames:
            return self._frames.popleft()
        if self._failure is not None:
            raise ProtocolError(self._failure, phase="decode")
        return END if self._ended else NEED_DATA

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next piece of the body, b"" at its end, and give the frames it completed.

        A mistake of the peer is raised by the first call that has no frame to give, and by every
        later one: feed b"" at the end of the input, or a mistake in the last piece stays unseen.
        Raises ProtocolError, and InvalidInput after the end.
        """
        frames = self._receive(data)
        if not frames and self._failure is not None:
            raise ProtocolError(self._failure, phase="decode")
        return frames

    def _receive(self, data: bytes) -> list[Frame]:
        if self._failure is not None:
            return []
        if self._ended and data:
            raise InvalidInput(
                "data after the end of the input: make one EventStreamParser for each response"
            )
        held = self._input
        if not data:
            self._ended = True
            if held:
                self._fail("the event stream ends in the middle of a frame")
            return []
        if held:
            held += data
            if len(held) < self._needed:
                return []
            data = bytes(held)
            held.clear()
        frames: list[Frame] = []
        try:
            used = self._cut(data, frames)
        except ProtocolError as fault:
            self._fail(fault.message)
        else:
            if used < len(data):
                held += data[used:] if used else data
        return frames

    def _cut(self, data: bytes, frames: list[Frame]) -> int:
        """Cut whole frames off the front, give how many bytes they had; raises ProtocolError."""
        position, size = 0, len(data)
        self._needed = PRELUDE_SIZE
        while size - position >= PRELUDE_SIZE:
            frame_size, headers_size, checksum = PRELUDE.unpack_from(data, position)
            if crc32(data[position : position + 8]) != checksum:
                raise _malformed("the checksum of a frame's sizes is wrong")
            self._check_sizes(frame_size, headers_size)
            end = position + frame_size
            if end > size:
                self._needed = frame_size
                break
            payload_start = position + PRELUDE_SIZE + headers_size
            block = data[position + PRELUDE_SIZE : payload_start]
            payload = data[payload_start : end - 4]
            # The CRC of a whole is that of its parts in turn, which are here without another copy.
            running = crc32(payload, crc32(block, crc32(data[position + 8 : position + 12], checksum)))
            if running != CHECKSUM.unpack_from(data, end - 4)[0]:
                raise _malformed("the checksum of a frame is wrong")
            known = self._remembered.get(block)
            frames.append(Frame(self._read_headers(block) if known is None else known.copy(), payload))
            position = end
        return position

    def _check_sizes(self, frame_size: int, headers_size: int) -> None:
        payload_size = frame_size - headers_size - FRAME_SIZE
        if 0 <= payload_size <= self._max_payload_size and headers_size <= self._max_headers_size:
            return
        if payload_size < 0:
            raise _malformed("a frame is smaller than what it holds")
        if headers_size > self._max_headers_size:
            what, limit, name = "headers", self._max_headers_size, "max_headers_size"
        else:
            what, limit, name = "a payload", self._max_payload_size, "max_payload_size"
        raise _malformed(
            f"a frame has {what} of more than {limit} bytes; if the server is meant to send that much at "
            f"once, pass a larger {name}"
        )

    def _read_headers(self, block: bytes) -> dict[str, HeaderValue]:
        headers = _headers(block)
        if len(self._remembered) < REMEMBERED and len(block) <= REMEMBERED_SIZE:
            self._remembered[block] = headers.copy()
        return headers

    def _fail(self, fault: str) -> None:
        """Remember the mistake, and let go of what was held for a stream that cannot go on."""
        self._failure = fault
        self._input.clear()
        self._remembered.clear()


def _malformed(fault: str) -> ProtocolError:
    return ProtocolError(f"the event stream is malformed: {fault}", phase="decode")


def _headers(block: bytes) -> dict[str, HeaderValue]:
    """Read all headers of a frame; raises ProtocolError."""
    headers: dict[str, HeaderValue] = {}
    position, size = 0, len(block)
    while position < size:
        start = position + 1
        position = start + block[position]
        if position >= size:
            raise _malformed("a header is cut off")
        try:
            name = block[start:position].decode()
        except UnicodeDecodeError:
            raise _malformed("the name of a header is not UTF-8") from None
        if name in headers:
            raise _malformed(f"the header {name!r} is there twice")
        headers[name], position = _value(block, position)
    return headers


def _value(block: bytes, position: int) -> tuple[HeaderValue, int]:
    """Read the type at this place and its value; give the place behind them as well."""
    kind = block[position]
    start = position + 1
    if kind in (STRING, BYTES):
        start += LENGTH.size
        # What is missing of the length counts as nothing, and is then noticed as missing.
        end = start + int.from_bytes(block[start - LENGTH.size : start], "big")
        value = _whole(block, start, end)
        if kind == BYTES:
            return value, end
        try:
            return value.decode(), end
        except UnicodeDecodeError:
            raise _malformed("the value of a header is not UTF-8") from None
    if kind <= FALSE:
        return kind == TRUE, start
    if kind == TIMESTAMP:
        end = start + LONG.size
        return Timestamp(LONG.unpack(_whole(block, start, end))[0]), end
    if kind == IDENTIFIER:
        end = start + IDENTIFIER_SIZE
        return Identifier(_whole(block, start, end)), end
    if kind not in INTEGERS:
        raise _malformed(f"a header has the unknown type {kind}")
    integer = INTEGERS[kind]
    end = start + integer.size
    number: int = integer.unpack(_whole(block, start, end))[0]
    return number, end


def _whole(block: bytes, start: int, end: int) -> bytes:
    if end > len(block):
        raise _malformed("a header is cut off")
    return block[start:end]


def encode_frame(headers: Mapping[str, HeaderValue], payload: bytes = b"") -> bytes:
    """The bytes of one frame.

    An int is written in the smallest type that holds it. Raises InvalidInput for what a frame
    cannot hold, and for what AWS's own reader would refuse.
    """
    block = b"".join([_encoded_header(name, value) for name, value in headers.items()])
    _check_size(len(block), DEFAULT_MAX_HEADERS_SIZE, "the headers of a frame")
    _check_size(len(payload), DEFAULT_MAX_PAYLOAD_SIZE, "the payload of a frame")
    sizes = SIZES.pack(FRAME_SIZE + len(block) + len(payload), len(block))
    frame = b"".join((sizes, CHECKSUM.pack(crc32(sizes)), block, payload))
    return frame + CHECKSUM.pack(crc32(frame))


def _check_size(size: int, limit: int, what: str) -> None:
    if size > limit:
        raise InvalidInput(f"{what} cannot be {size} bytes, only {limit}; send several frames")


def _encoded_header(name: str, value: HeaderValue) -> bytes:
    encoded = _utf8(name, "the name of a header")
    if len(encoded) > 255:
        raise InvalidInput(f"the name of the header {name[:40]!r} is longer than 255 bytes")
    return bytes((len(encoded),)) + encoded + _encoded_value(name, value)


def _encoded_value(name: str, value: HeaderValue) -> bytes:
    if isinstance(value, bool):
        return bytes((TRUE if value else FALSE,))
    if isinstance(value, int):
        return _encoded_integer(name, value)
    if isinstance(value, Identifier):
        if len(value) != IDENTIFIER_SIZE:
            raise InvalidInput(f"the header {name!r} is an Identifier of {len(value)} bytes, not of 16")
        return bytes((IDENTIFIER,)) + value
    if not isinstance(value, str | bytes):
        raise InvalidInput(f"the header {name!r} is a {type(value).__name__}, which a frame cannot hold")
    kind, raw = (BYTES, value) if isinstance(value, bytes) else (STRING, _utf8(value, f"the header {name!r}"))
    if len(raw) > 0xFFFF:
        raise InvalidInput(f"the header {name!r} is longer than 65535 bytes; put it into the payload")
    return bytes((kind,)) + LENGTH.pack(len(raw)) + raw


def _encoded_integer(name: str, value: int) -> bytes:
    kinds = {TIMESTAMP: LONG} if isinstance(value, Timestamp) else INTEGERS
    for kind, integer in kinds.items():
        if -(1 << 8 * integer.size - 1) <= value < 1 << 8 * integer.size - 1:
            return bytes((kind,)) + integer.pack(value)
    raise InvalidInput(f"the header {name!r} is a number of more than 64 bits; send it as a string")


def _utf8(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{what} holds half of a surrogate pair, which UTF-8 cannot") from None
