"""Connections that can be interrupted: how the arm learns of a socket before there is an answer.

requests and urllib3 show a socket to nobody until the head of the answer has come. So the
connection classes of the pools that are used get a subclass each, `interruptible(cls)`, that tells
the Operation of the calling thread what it is doing and with which socket. Nothing else changes:
a connection used outside of an Operation behaves as it did.

| phase     | until                | how `Operation.stop` breaks it off, from any thread           |
|-----------|----------------------|----------------------------------------------------------------|
| connect   | a name is resolved   | seen within SLICE; the look-up is left behind in its thread    |
|           | TCP is connected     | seen within SLICE                                              |
| proxy     | the tunnel is open   | as for tls                                                     |
| tls       | the handshake ends   | a duplicate of the socket is shut: the original is in          |
|           |                      | OpenSSL's hands                                                |
| send      | the request is out   | the socket is shut, which wakes whoever waits for it           |
| head      | the head has come    | the same                                                       |

Invariants. Sockets are shut by other threads and closed only by their own, so that a descriptor is
never shut that belongs to somebody else by now. A class with a way of its own to connect (SOCKS, a
Unix socket) keeps it, and can be interrupted from then on. When nobody could stop an operation
(`can_stop=False`) no thread is started, no descriptor is duplicated and nothing is polled.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from functools import cache
from http.client import HTTPException, HTTPResponse, RemoteDisconnected, parse_headers
from time import monotonic
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError
from urllib3.util import connection as urllib3_connection
from urllib3.util import wait_for_write

from tako.driving.streams import translate
from tako.errors import TakoError
from tako_io_sync._mailbox import Empty, Mailbox

__all__ = ["Operation", "interruptible", "look_up", "performing", "shut"]

SLICE = 0.03
"""Seconds after which a thread that cannot be woken looks whether it should stop."""

MOST_INTERIM_ANSWERS = 20

_IN_PROGRESS = (
    0,
    errno.EINPROGRESS,
    errno.EWOULDBLOCK,
    errno.EAGAIN,
    getattr(errno, "WSAEWOULDBLOCK", 10035),
)

_here = threading.local()


class Operation:
    """What one thread does on one connection, and how others stop it."""

    __slots__ = ("_duplicate", "_lock", "_socket", "can_stop", "endpoint", "failure", "phase", "stopped")

    def __init__(self, endpoint: str, *, can_stop: bool) -> None:
        self.endpoint = endpoint
        self.can_stop = can_stop
        self.phase = "send"
        self.stopped = False
        self.failure: TakoError | None = None
        """What went wrong while connecting, in our words."""
        self._socket: Any = None
        self._duplicate: socket.socket | None = None
        self._lock = threading.RLock()  # reentrant: a signal handler may stop what it interrupts

    def stop(self) -> None:
        """Break it off, from any thread. It fails, or looks as if the peer had hung up."""
        self.stopped = True
        with self._lock:
            if self._duplicate is not None:
                shut(self._duplicate)
            if self._socket is not None:
                shut(self._socket)

    def use(self, connected: Any) -> None:
        """This is the socket now."""
        self._socket = connected
        if self.stopped:
            self.stop()

    def duplicate(self, connected: socket.socket) -> None:
        """A socket that somebody else is going to wrap: keep a second hold on it until `drop_duplicate`."""
        self._duplicate = connected.dup()
        if self.stopped:
            self.stop()

    def drop_duplicate(self) -> None:
        with self._lock:
            duplicate, self._duplicate = self._duplicate, None
        if duplicate is not None:
            duplicate.close()

    def release(self) -> None:
        """The socket is not ours any more: from now on `stop` leaves it alone."""
        with self._lock:
            self._socket = None


class performing:
    """`with performing(operation):` connections that this thread uses report to it."""

    __slots__ = ("_operation", "_outer")

    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    def __enter__(self) -> None:
        self._outer: Operation | None = getattr(_here, "operation", None)
        _here.operation = self._operation

    def __exit__(self, *_: object) -> None:
        _here.operation = self._outer


@cache
def interruptible(connection_class: type[Any]) -> type[Any]:
    """The class of connections that report to the Operation they are used in."""
    if issubclass(connection_class, _Reporting):
        return connection_class
    own = {"response_class": _Response} if connection_class.response_class is HTTPResponse else {}
    return type(f"Interruptible{connection_class.__name__}", (_Reporting, connection_class), own)


class _Head:
    """What a head is read from. http.client takes the end of the input for the end of the head, so
    that half a head would look like a whole one."""

    __slots__ = ("_has_begun", "_read")

    def __init__(self, file: Any) -> None:
        self._read = file.readline
        self._has_begun = False

    def readline(self, limit: int) -> bytes:
        line: bytes = self._read(limit)
        if not line and self._has_begun:
            raise RemoteDisconnected("the peer hung up in the head of its answer")
        self._has_begun = True
        return line


class _Response(HTTPResponse):
    """http.client skips any number of "100 Continue", and takes another 1xx, like 103, for the answer."""

    def begin(self) -> None:
        file: Any = self.fp
        if self.headers is not None or file is None:
            return
        head: Any = _Head(file)
        self.fp = head
        try:
            super().begin()
        finally:
            self.fp = file

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(MOST_INTERIM_ANSWERS):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if status == 101 or not 100 <= status < 200:
                return version, status, reason
            parse_headers(self.fp)
        raise HTTPException("too many interim answers")


class _Reporting:
    """Put in front of a subclass of urllib3's HTTPConnection."""

    def _new_conn(self: Any) -> socket.socket:
        operation: Operation | None = getattr(_here, "operation", None)
        ours = super()._new_conn.__func__ is HTTPConnection._new_conn  # type: ignore[misc]
        if operation is None or not ours:
            connected: socket.socket = super()._new_conn()  # type: ignore[misc]
        else:
            try:
                connected = _open(operation, self)
            except OSError as error:
                # urllib3 takes this one for what it is: nothing was sent.
                raise NewConnectionError(self, "not connected") from error
        if operation is not None:
            operation.phase = (
                "proxy" if self._tunnel_host else "tls" if isinstance(self, HTTPSConnection) else "send"
            )
            if operation.can_stop:
                operation.duplicate(connected)
        return connected

    def connect(self: Any) -> None:
        operation: Operation | None = getattr(_here, "operation", None)
        if operation is None:
            super().connect()  # type: ignore[misc]
            return
        operation.phase = "connect"
        operation.failure = None
        try:
            super().connect()  # type: ignore[misc]
            operation.use(self.sock)
        finally:
            operation.drop_duplicate()
        operation.phase = "send"

    def _tunnel(self: Any) -> None:
        super()._tunnel()  # type: ignore[misc]
        operation: Operation | None = getattr(_here, "operation", None)
        if operation is not None:
            if operation.stopped:  # http.client takes the end of the input for the end of the head
                raise ConnectionAbortedError("stopped")
            operation.phase = "tls"

    def request(self: Any, *arguments: Any, **keywords: Any) -> None:
        operation: Operation | None = getattr(_here, "operation", None)
        if operation is not None and self.sock is not None:
            operation.use(self.sock)
        super().request(*arguments, **keywords)  # type: ignore[misc]

    def getresponse(self: Any) -> Any:
        operation: Operation | None = getattr(_here, "operation", None)
        if operation is not None:
            operation.phase = "head"
        return super().getresponse()  # type: ignore[misc]


def _open(operation: Operation, connection: Any) -> socket.socket:
    """Connect to the first address that answers, within the connection's timeout for all of it."""
    host, port, seconds = connection._dns_host, connection.port, connection.timeout
    deadline = None if seconds is None else monotonic() + seconds
    try:
        reason = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in _look_up_for(operation, host, port, deadline):
            candidate = socket.socket(family, kind, protocol)
            try:
                for option in connection.socket_options or ():
                    candidate.setsockopt(*option)
                if connection.source_address:
                    candidate.bind(connection.source_address)
                _connect(operation, candidate, address, deadline)
                candidate.settimeout(_left(deadline))  # the handshake gets what is left
                return candidate
            except OSError as error:
                candidate.close()
                reason = error
            except BaseException:
                candidate.close()
                raise
        raise reason
    except OSError as error:
        operation.failure = translate(error, "connect", f"{host}:{port}", seconds)
        raise


def _connect(operation: Operation, candidate: socket.socket, address: Any, deadline: float | None) -> None:
    if not operation.can_stop:
        candidate.settimeout(_left(deadline))
        candidate.connect(address)
        return
    candidate.setblocking(False)
    code = candidate.connect_ex(address)
    if code in _IN_PROGRESS:
        while not wait_for_write(candidate, _slice(operation, deadline)):
            pass
        code = candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def look_up(host: str, port: int) -> list[Any]:
    """What getaddrinfo says; raises OSError."""
    try:
        return socket.getaddrinfo(host, port, urllib3_connection.allowed_gai_family(), socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"{host!r} is not a valid name") from error


def _look_up_for(operation: Operation, host: str, port: int, deadline: float | None) -> list[Any]:
    """Addresses; found on a thread of its own if somebody could want to leave it behind."""
    host = host.strip("[]")
    if not operation.can_stop or _is_address(host):
        return look_up(host, port)
    answer: Mailbox[list[Any] | OSError] = Mailbox()

    def ask() -> None:
        try:
            answer.put(look_up(host, port))
        except OSError as error:
            answer.put(error)

    threading.Thread(target=ask, name="tako-resolve", daemon=True).start()
    while True:
        try:
            found = answer.get(timeout=_slice(operation, deadline))
        except Empty:
            continue
        if isinstance(found, OSError):
            raise found
        return found


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False


def _slice(operation: Operation, deadline: float | None) -> float:
    """How long to wait before looking again; raises OSError if the operation was stopped meanwhile."""
    if operation.stopped:
        raise ConnectionAbortedError("stopped")
    return min(SLICE, _left(deadline) or SLICE)


def _left(deadline: float | None) -> float | None:
    """Seconds until the deadline; raises TimeoutError if there are none."""
    if deadline is None:
        return None
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def shut(connected: Any) -> None:
    """Shut a socket down so that whoever waits for it wakes. Never fails.

    SSLSocket.shutdown would take the TLS layer off under the hands of a reading thread, which would
    then read ciphertext; so the method of the plain socket is used.
    """
    plain: Callable[[Any, int], None] = socket.socket.shutdown
    try:
        plain(connected, socket.SHUT_RDWR)
    except TypeError:  # a wrapper that is no socket: pyOpenSSL, TLS inside TLS
        inner = getattr(connected, "socket", None)
        if inner is not None:
            shut(inner)
        else:
            connected.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is closed, or was never connected
