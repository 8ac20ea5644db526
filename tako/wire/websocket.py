"""The client's side of a WebSocket that carries texts: the upgrade, messages, control frames, the close.

| state      | what moves it on                         | next    | `next_text` meanwhile            |
|------------|------------------------------------------|---------|----------------------------------|
| CONNECTING | 101, and the peer's answer to our key    | OPEN    | NEED_DATA                        |
|            | any other status, and its body           | FAILED  |                                  |
| OPEN       | `goodbye`                                | CLOSING | texts, NEED_DATA                 |
|            | a close frame, or the end without one    | FAILED  |                                  |
| CLOSING    | a close frame, or the end without one    | ENDED   | texts that were still on the way |
| any        | bytes that the protocol does not allow   | FAILED  |                                  |
| ENDED      |                                          |         | END                              |
| FAILED     |                                          |         | raises, the same every time      |

wsproto reads and writes the frames and the upgrade (RFC 6455), and agrees on compression. What is
inflated (RFC 7692) is inflated here, because wsproto puts no bound to it, and loses track of a compressed
message when a ping comes between two of its fragments.

Invariants. What came before a fault is handed over before it is raised. A message, all its fragments
together and after inflating, has at most `max_text` bytes; the body of a refusal is kept to MAX_BODY. A
ping that comes before the last one was answered takes its place (RFC 6455, section 5.5.3), so pings pile
nothing up. Texts that are sent before the socket is open are held back, MAX_HELD_BACK bytes of them.
"""

from __future__ import annotations

import math
import re
import zlib
from enum import Enum
from typing import Any, Final

from h11 import LocalProtocolError
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits
from wsproto.utilities import RemoteProtocolError

from tako.errors import InvalidInput, ProtocolError, ProviderError, TakoError, TransportError
from tako.wire import END, NEED_DATA, End, NeedData
from tako.wire.retry_after import retry_hint

__all__ = ["MAX_HELD_BACK", "UpgradeRefused", "WebSocketClient"]

Headers = tuple[tuple[str, str], ...]

MAX_HELD_BACK: Final = 64 * 1024 * 1024
MAX_BODY: Final = 8 * 1024

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e]*")
_OURS = ("host", "upgrade", "connection", "content-length", "transfer-encoding")


class UpgradeRefused(ProviderError):
    """The server answered the upgrade with a status of its own; `challenges` are its www-authenticate."""

    def __init__(self, message: str, *, challenges: tuple[str, ...] = (), **fields: Any) -> None:
        super().__init__(message, **{"phase": "upgrade", **fields})
        self.challenges = challenges


class _State(Enum):
    CONNECTING = "connecting"
    OPEN = "open"
    CLOSING = "closing"
    ENDED = "ended"
    FAILED = "failed"


class WebSocketClient:
    """One connection. `peer` is what messages call the other side.

    Raises InvalidInput for a header that cannot be sent, naming it but never its value.
    """

    __slots__ = (
        "_body", "_ended", "_failure", "_fault", "_held_back", "_held_size", "_max_text", "_out", "_peer",
        "_pong", "_refusal", "_request", "_socket", "_state", "_text",
    )  # fmt: skip

    def __init__(
        self,
        authority: str,
        target: str,
        *,
        max_text: int,
        headers: Headers = (),
        subprotocol: str | None = None,
        peer: str = "the server",
    ) -> None:
        self._request = Request(
            host=authority,
            target=target,
            extensions=[_Deflate(max_text)],
            subprotocols=[] if subprotocol is None else [subprotocol],
            extra_headers=_checked(headers),
        )
        self._socket = WSConnection(ConnectionType.CLIENT)
        self._max_text = max_text
        self._peer = peer
        self._state = _State.CONNECTING
        self._failure: TakoError | None = None
        self._ended = False  # nothing more will be read
        self._fault: str | None = None  # what is wrong with the answer to the upgrade
        self._text = bytearray()  # what has come of a message
        self._out = bytearray()
        self._pong = b""
        self._held_back: list[bytes] = []
        self._held_size = 0
        self._refusal: RejectConnection | None = None
        self._body = bytearray()

    def opening(self) -> bytes:
        """The upgrade request."""
        try:
            return self._socket.send(self._request)
        except (LocalProtocolError, UnicodeError) as error:
            raise InvalidInput("the upgrade request is not valid HTTP; check the URL") from error

    def encode(self, text: bytes) -> bytes:
        """A text message; nothing while it has to be held back. Raises TransportError once it is closed."""
        if self._state is _State.OPEN:
            frame = self._socket.send(TextMessage(text.decode()))
            if not self._out:
                return frame
            self._out += frame  # behind those that were held back
            return self.data_to_send()
        if self._state is not _State.CONNECTING:
            raise TransportError("the WebSocket is closed; nothing can be sent any more", phase="link")
        self._held_size += len(text)
        if self._held_size > MAX_HELD_BACK:
            raise TransportError(
                f"{self._peer} has not opened the WebSocket yet, and {MAX_HELD_BACK:,} bytes wait for it",
                phase="upgrade",
            )
        self._held_back.append(text)
        return b""

    def receive_data(self, data: bytes) -> None:
        """Take what was read from the peer; b"" is the end of it. Never raises."""
        if self._ended or self.is_over:
            return
        self._ended = not data
        try:
            if self._state is _State.CONNECTING:
                self._socket.receive_data(data or None)
            elif data:
                self._socket.receive_data(data)
        except (RemoteProtocolError, ValueError) as error:  # ValueError: a parameter that is no number
            self._fault = None if self._ended else str(error)
            self._ended = True

    def next_text(self) -> bytes | NeedData | End:
        """The next whole message. Raises ProtocolError, UpgradeRefused or TransportError, for ever."""
        if not self.is_over:
            for event in self._socket.events():
                if isinstance(event, (TextMessage, BytesMessage)):
                    text = self._message(event)
                    if text is not None:
                        return text
                else:
                    self._obey(event)
                if self.is_over:
                    break
            else:
                if self._ended:
                    self._cut_off()
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        return END if self._state is _State.ENDED else NEED_DATA

    def data_to_send(self) -> bytes:
        """Pongs, close frames, and the texts that were held back."""
        if self._pong:
            self._out += self._pong
            self._pong = b""
        if not self._out:
            return b""
        data = bytes(self._out)
        self._out.clear()
        return data

    def goodbye(self) -> None:
        """Send a close frame; the peer's own is still waited for."""
        if self._state is _State.CONNECTING:
            self._held_back.clear()
            self._state = _State.ENDED
        elif self._state is _State.OPEN:
            self._say_close(CloseReason.NORMAL_CLOSURE)
            self._state = _State.CLOSING

    @property
    def is_over(self) -> bool:
        return self._state is _State.ENDED or self._state is _State.FAILED

    def _message(self, event: TextMessage | BytesMessage) -> bytes | None:
        """A piece of a message; all of it, if this was the last."""
        data = event.data
        piece = data.encode() if isinstance(data, str) else bytes(data)
        text = self._text
        if len(text) + len(piece) > self._max_text:
            self._too_big()
            return None
        if not event.message_finished:
            text += piece
            return None
        if text:
            text += piece
            piece = bytes(text)
            text.clear()
        return piece

    def _obey(self, event: Event) -> None:
        """What is no message."""
        if isinstance(event, Ping):
            if self._state is _State.OPEN:
                self._pong = self._socket.send(event.response())
        elif isinstance(event, AcceptConnection):
            self._open(event)
        elif isinstance(event, RejectConnection):
            self._refusal = event
            if not event.has_body:
                self._refuse(event)
        elif isinstance(event, RejectData):
            self._body += event.data[: MAX_BODY - len(self._body)]
            if self._refusal is not None and (event.body_finished or len(self._body) == MAX_BODY):
                self._refuse(self._refusal)
        elif isinstance(event, CloseConnection):
            self._close(event)

    def _open(self, event: AcceptConnection) -> None:
        if len(event.extensions) > 1:  # only one is offered, and it can be taken once
            self._fail(
                ProtocolError(f"{self._peer} wants to compress each message more than once", phase="upgrade")
            )
            return
        self._state = _State.OPEN
        for text in self._held_back:
            self._out += self._socket.send(TextMessage(text.decode()))
        self._held_back.clear()

    def _refuse(self, refusal: RejectConnection) -> None:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in refusal.headers]
        body = bytes(self._body).decode("utf-8", "replace")
        words = " ".join(body.split())[:200]
        # Without a clock, a date counts only beside the peer's own; -inf makes the others infinite.
        wait = retry_hint(headers, -math.inf)
        status = refusal.status_code
        advice = {
            401: "; it wants credentials: give them in headers=",
            403: "; the credentials in headers= do not allow it",
            404: "; check the path of the URL",
        }
        self._fail(
            UpgradeRefused(
                f"{self._peer} has refused the WebSocket with status {status}"
                + (f": {words}" if words else "")
                + advice.get(status, ""),
                status=status,
                body=body or None,
                retry_after=wait if wait is not None and math.isfinite(wait) else None,
                challenges=tuple(value for name, value in headers if name == "www-authenticate"),
            )
        )

    def _close(self, event: CloseConnection) -> None:
        """The peer has closed; or wsproto could not read on, which it tells in the same way."""
        if self._socket.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
            if event.code == CloseReason.MESSAGE_TOO_BIG:
                self._too_big()
                return
            code = CloseReason(event.code)
            is_content = code is CloseReason.INVALID_FRAME_PAYLOAD_DATA
            self._violated(code, "a message is spoiled" if is_content else event.reason or code.name)
        elif self._state is _State.CLOSING:
            self._state = _State.ENDED
        else:
            self._pong = b""
            self._out += self._socket.send(event.response())
            name = CloseReason(event.code).name if event.code in tuple(CloseReason) else "of its own"
            words = f"{self._peer} has closed the WebSocket with code {event.code:d} ({name})"
            self._fail(
                TransportError(
                    words + (f": {event.reason}" if event.reason else ""),
                    phase="link",
                    code=f"{event.code:d}",
                )
            )

    def _cut_off(self) -> None:
        """There are no more bytes, and nobody has said why."""
        if self._state is _State.CLOSING:
            self._state = _State.ENDED
        elif self._refusal is not None:
            self._refuse(self._refusal)
        elif self._fault is not None:
            self._fail(
                ProtocolError(f"{self._peer} spoils the WebSocket upgrade: {self._fault}", phase="upgrade")
            )
        else:
            connecting = self._state is _State.CONNECTING
            when = "in the middle of the upgrade" if connecting else "without a close frame"
            self._fail(TransportError(f"{self._peer} hung up {when}", phase="link"))

    def _too_big(self) -> None:
        self._say_close(CloseReason.MESSAGE_TOO_BIG)
        self._fail(
            ProtocolError(
                f"{self._peer} sent a message of more than {self._max_text:,} bytes; ask it for less at once",
                phase="decode",
            )
        )

    def _violated(self, code: CloseReason, reason: str) -> None:
        self._say_close(code)
        self._fail(ProtocolError(f"{self._peer} breaks the WebSocket protocol: {reason}", phase="decode"))

    def _say_close(self, code: CloseReason) -> None:
        if self._socket.state is ConnectionState.OPEN:
            self._pong = b""
            self._out += self._socket.send(CloseConnection(code=code))

    def _fail(self, error: TakoError) -> None:
        self._failure = error
        self._state = _State.FAILED
        self._text.clear()
        self._held_back.clear()


class _Deflate(PerMessageDeflate):
    """permessage-deflate whose inflating is bounded: negotiation and compressing are wsproto's."""

    _TAIL = b"\x00\x00\xff\xff"
    """What the sender takes off the end of each message (RFC 7692, section 7.2.1)."""

    def __init__(self, max_text: int) -> None:
        super().__init__()
        self._max_text = max_text
        self._inflater: zlib._Decompress | None = None
        self._is_compressed = False  # the message
        self._is_control = False  # the frame, which may stand between two fragments
        self._size = 0

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        self._is_control = opcode.iscontrol()
        if self._is_control or opcode is Opcode.CONTINUATION:
            return RsvBits(False, False, False)  # it may not have the bit
        self._is_compressed = rsv.rsv1
        self._size = 0
        return RsvBits(True, False, False)

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        return data if self._is_control or not self._is_compressed else self._inflated(data)

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        if self._is_control or not fin or not self._is_compressed:
            return None
        # The window is kept, agreed or not: a message that does not look back into it reads the same.
        return self._inflated(self._TAIL)

    def _inflated(self, data: bytes) -> bytes | CloseReason:
        pieces = []
        while data:
            inflater = self._inflater
            if inflater is None:
                inflater = self._inflater = zlib.decompressobj(-self.server_max_window_bits)
            room = self._max_text - self._size
            try:
                piece = inflater.decompress(data, room + 1)
            except zlib.error:
                return CloseReason.INVALID_FRAME_PAYLOAD_DATA
            self._size += len(piece)
            if len(piece) > room:
                return CloseReason.MESSAGE_TOO_BIG
            pieces.append(piece)
            data = inflater.unconsumed_tail
            if inflater.eof:  # a last block ends the stream, not the message (RFC 7692, section 7.2.3.4)
                data = inflater.unused_data
                self._inflater = None
        return b"".join(pieces)


def _checked(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The caller's headers as wsproto wants them; raises InvalidInput."""
    checked = []
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
        if name.lower() in _OURS or name.lower().startswith("sec-websocket-"):
            raise InvalidInput(f"header {name} belongs to the upgrade itself; leave it out")
        checked.append((name.encode("ascii"), value.strip().encode("ascii")))
    return checked
