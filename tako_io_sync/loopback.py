"""A vendor on a real socket: LoopbackServer plays a ScriptedVendor over HTTP/1.1 on 127.0.0.1.

The simulator plays the same script in virtual time, so a scenario is written once and runs on
every driver. For tests of your own providers and adapters:

    vendor = ScriptedVendor(Answer.events([b"data: one\\n\\n", Pause(0.1), b"data: two\\n\\n"]))
    with LoopbackServer(vendor) as server:
        ...  # ask server.url

What goes over the wire is exactly what the script says. Each bytes piece is one write (one HTTP
chunk where the framing is chunked). An answer that brings its own content-length or
transfer-encoding is framed already: its pieces are sent as they are. Connections are kept unless
the request says otherwise or the framing is "close".

One thread accepts, and one serves each connection. Invariant: when the `with` is left all of
them have ended, whatever they were doing, and every socket is closed.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from types import TracebackType

import h11

from tako.testing.vendor import Answer, Hangup, Pause, Piece, ReceivedRequest, Reset, ScriptedVendor

__all__ = ["LoopbackServer"]

READ_SIZE = 65536
MAX_REQUEST_HEAD = 1 << 20
JOIN_SECONDS = 5.0
PEER_LEFT = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
RST_ON_CLOSE = struct.pack("ii", 1, 0)


class _Ended(Exception):
    """This connection has come to its end."""


class LoopbackServer:
    """Serves the vendor's answers at `url` while the `with` is open.

    `tls` is a server's SSLContext. `before_piece` is called in the server's thread with the number
    of each piece just before it is played, so that a test can hold the next chunk back until the
    client has seen the one before; it must return before the `with` is left.

    connections       how many were accepted, all in all
    open_connections  how many are open now
    sent              every bytes piece whose writing has begun, in order
    """

    def __init__(
        self,
        vendor: ScriptedVendor,
        *,
        tls: ssl.SSLContext | None = None,
        before_piece: Callable[[int], object] | None = None,
    ) -> None:
        self.vendor = vendor
        self.connections = 0
        self.sent: list[bytes] = []
        self._tls = tls
        self._before_piece = before_piece
        self._listener: socket.socket | None = None
        self._closing = False
        self._closer, self._closed = socket.socketpair()  # readable once the server closes
        self._lock = threading.Lock()
        self._serving: dict[threading.Thread, socket.socket] = {}
        self._acceptor = threading.Thread(target=self._accept, name="tako-loopback", daemon=True)
        self.url = ""

    def __enter__(self) -> LoopbackServer:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        scheme = "http" if self._tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._listener is not None, "enter the server's `with` first"
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def open_connections(self) -> int:
        """Connections that neither side has closed yet, as far as the server has noticed."""
        return len(self._serving)

    def close(self) -> None:
        """Break off everything and wait for the threads; raises RuntimeError if one would not end."""
        if self._closing or self._listener is None:
            return
        self._closing = True
        self._closer.send(b"x")
        self._acceptor.join(JOIN_SECONDS)
        with self._lock:
            serving = dict(self._serving)
            for connection in serving.values():
                _shut(connection)
        end = time.monotonic() + JOIN_SECONDS
        for thread in serving:
            thread.join(max(0.0, end - time.monotonic()))
        self._listener.close()
        self._closer.close()
        self._closed.close()
        if any(thread.is_alive() for thread in serving):
            raise RuntimeError(
                "the server cannot close: before_piece or the vendor's function has not returned"
            )

    def _accept(self) -> None:
        assert self._listener is not None
        waiting = select.poll()
        waiting.register(self._listener, select.POLLIN)
        waiting.register(self._closed, select.POLLIN)
        while True:
            waiting.poll()
            if self._closing:
                return
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._tls.wrap_socket(
                    connection, server_side=True, do_handshake_on_connect=False
                )
            self.connections += 1
            thread = threading.Thread(
                target=self._serve, args=(connection,), name="tako-loopback", daemon=True
            )
            with self._lock:
                self._serving[thread] = connection
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
            rest = b""
            while True:
                request, rest, keep = self._read_request(connection, rest)
                self._play(connection, self.vendor.answer(request), request, keep)
        except (_Ended, OSError):
            pass  # that is how a connection ends
        finally:
            with self._lock:
                del self._serving[threading.current_thread()]
            connection.close()

    def _read_request(self, connection: socket.socket, data: bytes) -> tuple[ReceivedRequest, bytes, bool]:
        """The next request, the bytes behind it, and whether the client keeps the connection."""
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_REQUEST_HEAD)
        head: h11.Request | None = None
        body = bytearray()
        if data:
            parser.receive_data(data)
        while True:
            try:
                event = parser.next_event()
            except h11.RemoteProtocolError as error:
                connection.sendall(
                    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n" + str(error).encode()
                )
                raise _Ended from None
            if event is h11.NEED_DATA:
                received = connection.recv(READ_SIZE)
                if not received:
                    raise _Ended
                parser.receive_data(received)
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                raise _Ended
        assert head is not None
        headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers)
        request = ReceivedRequest(head.method.decode(), head.target.decode("latin-1"), headers, bytes(body))
        return request, parser.trailing_data[0], parser.our_state is not h11.MUST_CLOSE and _keeps(request)

    def _play(self, connection: socket.socket, answer: Answer, request: ReceivedRequest, keep: bool) -> None:
        """Play one answer; returns if the connection is kept, else raises _Ended."""
        for fault in answer.before:
            self._play_fault(connection, fault)
        framed = any(name in ("content-length", "transfer-encoding") for name, _ in answer.headers)
        bare = answer.status in (204, 304) or request.method == "HEAD"
        keep = keep and answer.framing != "close"
        connection.sendall(_head(answer, framed=framed or bare, keep=keep))
        chunked = answer.framing == "chunked" and not framed
        for index, piece in enumerate(() if bare else answer.pieces):
            if self._before_piece is not None:
                self._before_piece(index)
            if not isinstance(piece, bytes):
                self._play_fault(connection, piece)
            elif piece:
                self.sent.append(piece)  # first, so that it is there when the client has the piece
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked and not bare:
            connection.sendall(b"0\r\n\r\n")
        if not keep:
            raise _Ended

    def _play_fault(self, connection: socket.socket, fault: Piece) -> None:
        if isinstance(fault, Pause):
            self._pause(connection, fault.seconds)
            return
        if isinstance(fault, Reset):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
        else:
            assert isinstance(fault, Hangup), fault
        raise _Ended

    def _pause(self, connection: socket.socket, seconds: float) -> None:
        """Wait, but not for a client that has left, nor when the server closes."""
        waiting = select.poll()
        waiting.register(self._closed, select.POLLIN)
        waiting.register(connection, PEER_LEFT)
        if waiting.poll(seconds * 1000):
            raise _Ended


def _keeps(request: ReceivedRequest) -> bool:
    return "close" not in (request.header("connection") or "").lower()


def _head(answer: Answer, *, framed: bool, keep: bool) -> bytes:
    try:
        reason = HTTPStatus(answer.status).phrase
    except ValueError:
        reason = ""
    lines = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in answer.headers)]
    if not framed and answer.framing == "chunked":
        lines.append("transfer-encoding: chunked")
    elif not framed and answer.framing == "length":
        lines.append(f"content-length: {len(answer.body)}")
    if not keep:
        lines.append("connection: close")
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def _shut(connection: socket.socket) -> None:
    """Wake the thread that uses the socket; the descriptor stays that thread's to close."""
    try:
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        pass  # it is closed already
