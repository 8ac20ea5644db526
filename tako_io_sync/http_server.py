"""An HTTP server in plain blocking Python: a thread for each connection, and one that accepts.

    serve(handler, port=8000)                      # until Ctrl-C, or `cancel` is cancelled

    with listening(handler) as server:             # beside what else the program does
        requests.get(server.url)

What is said on a connection is decided in tako.driving.serving; here is how sockets are listened on, read,
written and waited for. The thread that accepts also watches the clients whose flows run, because
their own threads wait in the flow. There is no TLS: that is for the proxy in front.

Invariant. When the server has ended no thread and no socket of it is left, but the thread of a
handler that does not stop, of which the log tells.
"""

from __future__ import annotations

import logging
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tako.cancellation import CancellationToken
from tako.driving.serving import (
    BACKLOG,
    NO_MORE,
    READ_AHEAD,
    READ_SIZE,
    STOP_SECONDS,
    TICK,
    Begin,
    Connection,
    Finish,
    Gone,
    Hear,
    Linger,
    Operation,
    Say,
    Take,
    as_limits,
    cancel_quietly,
    cannot_listen,
    log_bug,
    longest_idle,
    waiting,
)
from tako.errors import TakoError
from tako.serving import Handler, ServerLimits
from tako_io_sync.runtime import EventStream, Runtime, default_runtime

__all__ = ["Server", "listening", "serve"]

RST_ON_CLOSE = struct.pack("ii", 1, 0)
CONNECTIONS = 64
LONGEST_WAIT = 2_000_000.0
"""Seconds that poll can count, in milliseconds."""

_log = logging.getLogger("tako")


def serve(
    handler: Handler,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    runtime: Runtime | None = None,
    cancel: CancellationToken | None = None,
    ready: Callable[[int], None] | None = None,
    limits: ServerLimits | None = None,
) -> None:
    """Answer requests until `cancel` is cancelled, or Ctrl-C, which is raised on; flows are cancelled then.

    `ready` is called with the port once clients can connect. Raises TransportError where it cannot listen.
    """
    server = Server(handler, host, port, runtime=runtime, cancel=cancel, limits=limits)
    with server.open():
        if ready is not None:
            ready(server.port)
        server.run()


@contextmanager
def listening(
    handler: Handler,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    runtime: Runtime | None = None,
    cancel: CancellationToken | None = None,
    limits: ServerLimits | None = None,
) -> Iterator[Server]:
    """A server that runs in a thread of its own while the `with` is open."""
    server = Server(handler, host, port, runtime=runtime, cancel=cancel, limits=limits)
    with server.open():
        thread = threading.Thread(target=server.run, name="tako-server", daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join()


class Server:
    """One server, for one run: `open` it, `run` it, `stop` it from anywhere."""

    def __init__(
        self,
        handler: Handler,
        host: str,
        port: int,
        *,
        runtime: Runtime | None,
        cancel: CancellationToken | None,
        limits: ServerLimits | None,
    ) -> None:
        self._handler = handler
        self._host = host
        self._port = port
        self.runtime = runtime or default_runtime()
        self._stop = CancellationToken() if cancel is None else cancel.child()
        self.limits, self._places = as_limits(limits, CONNECTIONS)
        self._visits: dict[Connection, _Visit] = {}
        self._listener: socket.socket | None = None

    @contextmanager
    def open(self) -> Iterator[None]:
        """Clients can connect from here on; they are answered once it runs. Raises TransportError."""
        self._listener = listener = _listen(self._host, self._port)
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        undo = self._stop.on_cancel(self._wake)
        try:
            yield
        finally:
            undo()
            self._stop.detach()
            for open_now in (listener, self._waker, self._woken):
                open_now.close()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._listener is not None, "open the server first"
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    def stop(self) -> None:
        """Accept nobody any more, cancel the flows, and let `run` end. Idempotent, from any thread."""
        self._stop.cancel()

    def run(self) -> None:
        """Answer requests until it is stopped, in this thread and one for each connection."""
        try:
            while not self._stop.is_cancelled:
                self._tick()
        finally:
            self._end()

    def leave(self, visit: _Visit) -> None:
        """The thread of a visit ends."""
        was_full = len(self._visits) >= self._places
        self._visits.pop(visit.connection, None)
        if was_full:
            self._wake()

    def _wake(self) -> None:
        try:
            self._waker.send(b"x")
        except OSError:
            pass  # it is full, and so awake, or closed, and so over

    def _tick(self) -> None:
        """Wait for something to do, and do it."""
        assert self._listener is not None
        visits = list(self._visits.values())
        sockets = {self._woken: None, **{visit.socket: visit for visit in visits if visit.is_watching}}
        if len(visits) < self._places:
            sockets[self._listener] = None
        elif (idle := longest_idle(visit.connection for visit in visits)) is not None:
            self._visits[idle].break_off()
        for ready in _readable(sockets, TICK if visits else None):
            visit = sockets[ready]
            if visit is not None:
                visit.look()
            elif ready is self._listener:
                self._accept(self._listener)
            else:
                ready.recv(READ_SIZE)

    def _accept(self, listener: socket.socket) -> None:
        try:
            accepted, address = listener.accept()
        except OSError:  # the client has left already, or there are no descriptors
            time.sleep(TICK)
            return
        visit = _Visit(self, accepted, Connection(
            self._handler, self.limits, self._stop, time.monotonic, time.time, str(address[0])
        ))  # fmt: skip
        self._visits[visit.connection] = visit
        try:
            visit.thread.start()
        except RuntimeError:  # there are no threads; the next may have more luck
            self.leave(visit)
            accepted.close()

    def _end(self) -> None:
        cancel_quietly(self._stop)
        visits = list(self._visits.values())
        for connection in waiting(visit.connection for visit in visits):
            if (visit := self._visits.get(connection)) is not None:
                visit.break_off()
        _join(visits, STOP_SECONDS)
        for visit in visits:
            visit.break_off()
        _join(visits, STOP_SECONDS)
        left = [visit for visit in visits if visit.thread.is_alive()]
        if left:
            _log.error("%d handlers did not stop when they were cancelled, and were left behind", len(left))


class _Visit:
    """A client, and the thread that serves it. What is read ahead is read by the server's thread."""

    __slots__ = (
        "_arrived", "_events", "_has_left", "_lock", "_server", "_token", "connection", "socket", "thread",
    )  # fmt: skip

    def __init__(self, server: Server, accepted: socket.socket, connection: Connection) -> None:
        accepted.setblocking(False)  # two threads read, and what one was told of the other may have taken
        self.socket = accepted
        self.connection = connection
        self.thread = threading.Thread(target=self._run, name="tako-server-client", daemon=True)
        self._server = server
        self._arrived = bytearray()
        self._has_left = False
        self._token: CancellationToken | None = None  # while it is watched
        self._lock = threading.Lock()  # who holds it may read, or close the socket
        self._events: EventStream[None] | None = None

    @property
    def is_watching(self) -> bool:
        return self._token is not None and not self._has_left and len(self._arrived) < READ_AHEAD

    def look(self) -> None:
        """Something has come while the flow runs: the next request, or the end. In the server's thread."""
        with self._lock:
            token = self._token
            if token is None or self._has_left:
                return
            try:
                data = self.socket.recv(READ_SIZE)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            self._arrived += data
            self._has_left = not data
        if not data:
            cancel_quietly(token)
            self.break_off()

    def break_off(self) -> None:
        """Wake the thread that reads or writes; the socket stays that thread's to close."""
        with self._lock:
            try:
                self.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is closed already

    def _run(self) -> None:
        script = self.connection.script()
        try:
            operation = script.send(None)
            while True:
                try:
                    reply = self._perform(operation)
                except Exception as error:
                    operation = script.throw(error)
                else:
                    operation = script.send(reply)
        except StopIteration:
            pass
        except Exception as error:
            log_bug(error)
        finally:
            script.close()
            self._end()

    def _end(self) -> None:
        try:
            self._finish()
        except TakoError as error:
            log_bug(error)
        finally:
            with self._lock:
                if self.connection.must_reset:
                    _reset_when_closed(self.socket)
                self.socket.close()
            self._server.leave(self)

    def _perform(self, operation: Operation) -> Any:
        match operation:
            case Take():
                assert self._events is not None
                for event in self._events:
                    return event
                self._events.result  # noqa: B018  a flow may return its failure
                return NO_MORE
            case Say():
                self._say(operation.data)
            case Hear():
                return self._hear(operation.until)
            case Begin():
                self._events = self._server.runtime.stream(operation.flow, cancel=operation.token)
                self._token = operation.token
            case Finish():
                self._finish()
            case Linger():
                self._linger(operation.until)

    def _hear(self, until: float) -> bytes:
        if self._arrived:
            data = bytes(self._arrived)
            self._arrived.clear()
            return data
        while not self._has_left:
            try:
                return self.socket.recv(READ_SIZE)
            except BlockingIOError:
                _wait(self.socket, until - time.monotonic())
            except OSError:
                break
        return b""

    def _say(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self.socket.send(rest) :]
            except BlockingIOError:
                try:
                    _wait(self.socket, self._server.limits.send_seconds, to_write=True)
                except TimeoutError as error:
                    raise Gone from error
            except OSError as error:
                raise Gone from error

    def _linger(self, until: float) -> None:
        try:
            self.socket.shutdown(socket.SHUT_WR)
            while self._hear(until):
                pass
        except OSError:
            pass  # it is gone, or it had its time

    def _finish(self) -> None:
        """Close the flow, if there is one and it has not ended."""
        with self._lock:
            self._token = None
        events, self._events = self._events, None
        if events is not None:
            events.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # Of a name that has both, such as localhost, most clients try the older kind too.
        family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # whom it accepts inherits that
    except OSError as error:
        raise cannot_listen(host, port, error) from error
    listener.setblocking(False)
    return listener


def _join(visits: Iterable[_Visit], seconds: float) -> None:
    end = time.monotonic() + seconds
    for visit in visits:
        visit.thread.join(max(0.0, end - time.monotonic()))


def _readable(sockets: Iterable[socket.socket], seconds: float | None) -> list[socket.socket]:
    """Those that a read would not wait at."""
    if sys.platform == "win32":
        return select.select(list(sockets), [], [], seconds)[0]
    poll = select.poll()
    by_number = {}
    for each in sockets:
        if (number := each.fileno()) >= 0:  # else its thread has closed it in the meantime
            by_number[number] = each
            poll.register(number, select.POLLIN)
    found = poll.poll(None if seconds is None else seconds * 1000)
    return [by_number[number] for number, _ in found]


def _wait(waited_for: socket.socket, seconds: float, *, to_write: bool = False) -> None:
    """Until it can be read from, or written to; raises TimeoutError."""
    seconds = max(0.0, seconds)
    if sys.platform == "win32":
        one = [waited_for]
        found = any(select.select([] if to_write else one, one if to_write else [], one, seconds))
    else:
        poll = select.poll()
        poll.register(waited_for, select.POLLOUT if to_write else select.POLLIN)
        found = bool(poll.poll(min(seconds, LONGEST_WAIT) * 1000))
    if not found:
        raise TimeoutError


def _reset_when_closed(plain: socket.socket) -> None:
    try:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
    except OSError:
        pass  # the client was faster
