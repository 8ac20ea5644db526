"""One HTTP exchange: the answer's body as it arrives, and the connection's way back to its pool.

http.client reads the head and says how the body is framed. The body itself is read from the
socket's buffered file, one system call a time, because urllib3 takes five microseconds for every
chunk and a token is a chunk:

| framing        | read with                                 | whole when                        |
|----------------|-------------------------------------------|-----------------------------------|
| chunked        | tako.wire.chunked                         | the last chunk has come           |
| Content-Length | a counter                                 | that many bytes have come         |
| until close    | nothing                                   | the peer hangs up                 |
| foreign        | the response's own `read1`                | it says so                        |

"Foreign" is what an adapter of the user's makes of an answer, and a content coding that urllib3
knows and we do not.

A Reading is a `receive` that goes on beside whoever waits for it:

| state     | until                                | whoever asks gets                          |
|-----------|--------------------------------------|--------------------------------------------|
| under way | something has come                   | nothing yet; may go away and come back     |
| ended     | `result` was asked for               | what `receive` gave or raised, once        |
| stopped   |                                      | nothing: the exchange is closed            |

Invariants. `receive` gives what has arrived and never waits for more. The connection goes back to
the pool only if the body was read to its end and nothing came behind it; else it is closed. After
that the operation has let go of the socket.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from http.client import HTTPException, HTTPResponse
from typing import Any

from requests import RequestException, Response, Timeout
from requests.exceptions import ContentDecodingError
from urllib3.exceptions import DecodeError, HTTPError, InvalidChunkLength
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

from tako.driving.calls import GRACE
from tako.driving.streams import translate
from tako.effects import Headers
from tako.errors import ProtocolError, TakoError, TransportError
from tako.wire import END, NEED_DATA
from tako.wire.chunked import ChunkedDecoder
from tako.wire.inflate import Decoder, content_decoder
from tako_io_sync._connections import Operation
from tako_io_sync._mailbox import Mailbox

__all__ = ["Exchange", "Reading", "root"]

READ_SIZE = 65536


class Exchange:
    """An answer whose head has come. For one thread at a time, but for `operation.stop`."""

    __slots__ = (
        "_chunks", "_decoder", "_done", "_fault", "_file", "_left", "_read", "_read_timeout",
        "_response", "headers", "operation", "status",
    )  # fmt: skip

    def __init__(self, operation: Operation, response: Response, read_timeout: float | None) -> None:
        raw = response.raw
        inner = getattr(raw, "_fp", None)
        self.operation = operation
        self.status = response.status_code
        self._response = response
        self._read_timeout = read_timeout
        self._done = False
        self._fault: TakoError | None = None
        self._decoder: Decoder | None = None
        operation.phase = "body"
        try:
            if isinstance(inner, HTTPResponse) and hasattr(inner.fp, "read1"):
                self.headers: Headers = tuple(
                    [(name.lower(), value) for name, value in inner.msg.raw_items()]
                )
                read = self._framing(raw, inner)
            else:
                self.headers = tuple([(name.lower(), value) for name, value in response.headers.items()])
                read = self._foreign(raw)
            if not self._done:
                self._read = read
        except ProtocolError as error:
            self._fault = error  # the head is sound: the flow gets that first
            self._discard()

    def receive(self) -> bytes:
        """What has arrived, b"" at the end; raises TransportError, TimedOut, ProtocolError, for ever."""
        if self._fault is None:
            try:
                return self._read() if self._decoder is None else self._inflate(self._decoder)
            except TakoError as error:
                self._fault = error
            except (OSError, HTTPError, HTTPException, ValueError) as error:
                self._fault = self._failure(error)
                self._fault.__cause__ = error
            self._discard()
        raise self._fault.with_traceback(None)

    def close(self) -> None:
        """The flow is done with it. An answer that was not read to its end costs the connection."""
        if not self._done:
            self._discard()

    def _framing(self, raw: Any, inner: HTTPResponse) -> Callable[[], bytes]:
        """How the body is to be read; raises ProtocolError."""
        self._file = inner.fp
        self.operation.use(getattr(inner.fp.raw, "_sock", None))
        if inner.length == 0:
            self._finish()
            return self._read
        fields = dict(self.headers)
        coding = fields.get("content-encoding")
        if coding:
            try:
                self._decoder = content_decoder(coding)
            except ProtocolError:
                if set(coding.lower().replace(" ", "").split(",")) <= set(raw.CONTENT_DECODERS):
                    return self._foreign(raw)
                raise
        if inner.chunked:
            self._chunks = ChunkedDecoder()
            return self._read_chunks
        if "transfer-encoding" in fields:
            raise ProtocolError(f"{self.operation.endpoint} uses an unknown transfer coding", phase="body")
        if inner.length is not None:
            self._left: int = inner.length
            return self._read_counted
        if "content-length" in fields:
            raise ProtocolError(
                f"{self.operation.endpoint} sent a content-length that is no number", phase="body"
            )
        return self._read_until_close

    def _read_chunks(self) -> bytes:
        chunks = self._chunks
        while True:
            chunks.receive_data(self._file.read1(READ_SIZE))
            data = chunks.next_event()
            if chunks.ended:
                # RFC 9112, section 6.3: after an answer framed in both ways the connection is closed.
                both = self._response.raw.headers.get("content-length") is not None
                self._finish(reusable=not chunks.trailing and not both)
            if data is END:
                return b""
            if data is not NEED_DATA:
                return data

    def _read_counted(self) -> bytes:
        data: bytes = self._file.read1(READ_SIZE)
        if not data:
            raise self._hung_up()
        self._left = left = self._left - len(data)
        if left <= 0:
            self._finish(reusable=left == 0)
        return data if left >= 0 else data[:left]

    def _read_until_close(self) -> bytes:
        data: bytes = self._file.read1(READ_SIZE)
        if not data:
            if self.operation.stopped:  # it looks like an end, but is none
                raise self._hung_up()
            self._discard()
        return data

    def _inflate(self, decoder: Decoder) -> bytes:
        while not (piece := decoder.take()):
            data = self._read()
            if not data:
                decoder.finish()
                return b""
            decoder.feed(data)
        return piece

    def _foreign(self, raw: Any) -> Callable[[], bytes]:
        """Leave it to the response; what can be shut, of what it has, is its connection's socket."""
        connected = getattr(getattr(raw, "connection", None), "sock", None)
        if connected is not None:
            self.operation.use(connected)
        if hasattr(raw, "read1"):
            read: Callable[[], bytes] = partial(raw.read1, READ_SIZE, decode_content=True)
        else:
            read = partial(next, self._response.iter_content(READ_SIZE), b"")

        def read_on() -> bytes:
            data = read()
            if not data:
                if self.operation.stopped:
                    raise self._hung_up()
                self._discard()  # urllib3 has taken the connection back by now, and keeps it
            return data

        return read_on

    def _finish(self, *, reusable: bool = True) -> None:
        """The body is whole: the connection goes back to its pool."""
        if not reusable or self.operation.stopped:
            self._discard()
            return
        self._let_go()
        raw: Any = self._response.raw
        raw._fp.close()  # the buffered file alone: the socket is the connection's
        raw.release_conn()

    def _discard(self) -> None:
        """Nobody reads on: the connection is closed."""
        self._let_go()
        self._response.close()

    def _let_go(self) -> None:
        self._done = True
        self._read = bytes  # which gives b"", and ends the circle through the bound method
        self.operation.release()

    def _hung_up(self) -> TransportError:
        return TransportError(f"{self.operation.endpoint} hung up in the middle of the answer", phase="body")

    def _failure(self, error: Exception) -> TakoError:
        cause = root(error)
        if cause is not None:
            return translate(cause, "body", self.operation.endpoint, self._read_timeout)
        if isinstance(error, (DecodeError, InvalidChunkLength, ContentDecodingError)):
            return ProtocolError(f"the body of {self.operation.endpoint} is malformed", phase="body")
        return self._hung_up()


class Reading:
    """A `receive` on a thread of its own. Its outcome comes into `inbox`; meanwhile the exchange is its."""

    __slots__ = ("_exchange", "_thread", "inbox")

    def __init__(self, exchange: Exchange) -> None:
        self.inbox: Mailbox[Any] = Mailbox()
        self._exchange = exchange
        self._thread = threading.Thread(target=self._receive, name="tako-receive", daemon=True)
        self._thread.start()

    def result(self, outcome: tuple[bytes, Exception | None]) -> bytes:
        """What came into the inbox, as `receive` gives it or raises it."""
        self._thread.join()
        data, error = outcome
        if error is not None:
            raise error
        return data

    def stop(self) -> None:
        """Break it off and close the exchange; what cannot be woken does that when it wakes."""
        self._exchange.operation.stop()
        self._thread.join(GRACE)
        if not self._thread.is_alive():
            self._exchange.close()

    def _receive(self) -> None:
        try:
            outcome: tuple[bytes, Exception | None] = (self._exchange.receive(), None)
        except Exception as error:
            outcome = (b"", error)
        if self._exchange.operation.stopped:
            self._exchange.close()
        self.inbox.put(outcome)


def root(error: BaseException | None) -> OSError | None:
    """The failure of the system that requests and urllib3 have wrapped up, if there is one."""
    while error is not None:
        if isinstance(error, OSError) and not isinstance(error, RequestException):
            return error
        if isinstance(error, (Urllib3TimeoutError, Timeout)):
            return TimeoutError("timed out")
        inner = getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((value for value in reversed(error.args) if isinstance(value, BaseException)), None)
        error = inner or error.__cause__
    return None
