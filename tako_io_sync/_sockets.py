"""A TCP connection, maybe under TLS, as the stream of a link.

Connecting and the handshake do not block: the thread waits in a poll, which a token, a deadline and the
connect timeout end. Only the look-up of a name cannot be ended so; where somebody could want to, it is done
on a thread that can be left behind.

Invariants. The socket never blocks. TLS may have to read in order to write, and the other way round: what
a write waits for is read anyway, and `wants_to_write` says when a read waits for a write.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import ssl
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from tako.driving.live_link import link_lost, peer_of
from tako.driving.streams import Budget, translate
from tako.driving.tls import apply_tls
from tako.errors import TakoError
from tako.links import Socket
from tako_io_sync._calls import WAKE, Interrupted, on_worker
from tako_io_sync._connections import look_up
from tako_io_sync._mailbox import Empty, Mailbox
from tako_io_sync._waker import Waker, milliseconds

if TYPE_CHECKING:
    from tako_io_sync._driver import Driver

__all__ = ["SocketStream", "connect"]

READ_SIZE = 65536
_READY = object()


class SocketStream:
    """A socket that is connected, and does not block."""

    outlives = False
    ends_with_input = True
    others: tuple[int, ...] = ()
    period: float | None = None

    def __init__(self, connected: socket.socket, peer: str) -> None:
        self.source = self.sink = connected.fileno()
        self.wants_to_write = False
        self._socket = connected
        self._peer = peer

    def read(self) -> bytes:
        self.wants_to_write = False
        try:
            return self._socket.recv(READ_SIZE)
        except ssl.SSLWantReadError:
            raise BlockingIOError from None
        except ssl.SSLWantWriteError:
            self.wants_to_write = True
            raise BlockingIOError from None

    def write(self, data: bytearray) -> int:
        try:
            return self._socket.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def attend(self, descriptor: int) -> bool:
        return False

    def has_died(self) -> bool:
        return False

    def finish_writing(self) -> None:
        pass  # many a server takes half an end for a whole one, and would not say what it still has

    def obituary(self, reason: str) -> TakoError:
        return link_lost(self._peer, reason=reason)

    def terminate(self) -> bool:
        return False

    def kill(self) -> None:
        pass

    def close(self) -> None:
        if isinstance(self._socket, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):  # says goodbye, and would wait for an answer
                self._socket.unwrap()
        self._socket.close()

    def forget(self) -> None:
        self._socket.close()


class Readiness:
    """An inbox for `Driver.wait` at which a socket is waited for."""

    def __init__(self) -> None:
        self._waker = Waker()
        self._inbox: Mailbox[Any] = Mailbox()
        self._descriptor = -1
        self._what = 0

    def put(self, item: Any) -> None:
        self._inbox.put(item)
        self._waker.set()

    def get(self, *, timeout: float | None = None) -> Any:
        poll = select.poll()
        poll.register(self._waker.descriptor, select.POLLIN)
        poll.register(self._descriptor, self._what)
        events = poll.poll(milliseconds(timeout))
        if not events:
            raise Empty
        self._waker.clear()
        return self._inbox.get() if self._inbox.items else _READY

    def wait(self, driver: Driver, waiting: socket.socket, what: int, seconds: float | None) -> None:
        """Until it is ready; raises TimeoutError after the seconds, or Interrupted."""
        self._descriptor, self._what = waiting.fileno(), what
        end = None if seconds is None else monotonic() + seconds
        try:
            while (item := driver.wait(self, None if end is None else max(0.0, end - monotonic()))) is WAKE:
                if driver.steps.must_stop:
                    raise Interrupted
        except Empty:
            raise TimeoutError from None
        assert item is _READY

    def close(self) -> None:
        self._waker.close()


def connect(driver: Driver, endpoint: Socket) -> SocketStream:
    """A connection; raises TransportError, TimedOut, InvalidInput or Interrupted."""
    peer, seconds = peer_of(endpoint), endpoint.connect_timeout
    budget = Budget(monotonic, seconds)
    phase, connected = "connect", None
    try:
        with contextlib.closing(Readiness()) as readiness:
            connected = _connect(driver, endpoint, readiness, lambda: budget.left("connect", peer))
            if endpoint.tls is not None:
                phase = "tls"
                connected = _secure(connected, endpoint)
                _shake_hands(driver, connected, readiness, lambda: budget.left("tls", peer))
        return SocketStream(connected, peer)
    except BaseException as error:
        if connected is not None:
            connected.close()
        if isinstance(error, OSError):
            raise translate(error, phase, peer, seconds) from error
        raise


def _connect(
    driver: Driver, endpoint: Socket, readiness: Readiness, left: Callable[[], float | None]
) -> socket.socket:
    """The first address that answers."""
    host = endpoint.host.strip("[]")
    look = partial(look_up, host, endpoint.port)
    reason = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in on_worker(driver, look) if driver.can_stop else look():
        candidate = socket.socket(family, kind, protocol)
        try:
            candidate.setblocking(False)
            candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = candidate.connect_ex(address)
            if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
                readiness.wait(driver, candidate, select.POLLOUT, left())
                code = candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                return candidate
            reason = OSError(code, os.strerror(code))
        except BaseException:
            candidate.close()
            raise
        candidate.close()
    raise reason


def _secure(connected: socket.socket, endpoint: Socket) -> ssl.SSLSocket:
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        apply_tls(context, endpoint.tls)
        if endpoint.protocols:
            context.set_alpn_protocols(list(endpoint.protocols))
        name = endpoint.server_name or endpoint.host.strip("[]")
        return context.wrap_socket(connected, server_hostname=name, do_handshake_on_connect=False)
    except BaseException:
        connected.close()
        raise


def _shake_hands(
    driver: Driver, connected: ssl.SSLSocket, readiness: Readiness, left: Callable[[], float | None]
) -> None:
    while True:
        try:
            connected.do_handshake()
            return
        except ssl.SSLWantReadError:
            what = select.POLLIN
        except ssl.SSLWantWriteError:
            what = select.POLLOUT
        readiness.wait(driver, connected, what, left())
