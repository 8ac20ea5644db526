"""Sockets and TLS: the four operations of tako.driving.streams.

A ByteStream is a socket, or trio's SSLStream on one. trio's own SocketStream does the same for
half as much time again: it tries to read before it waits, which for a token that is still to come
is a system call for nothing.

| state of a stream | how it is reached                   | a read gives               |
|-------------------|-------------------------------------|----------------------------|
| open              | connected, or TLS has begun         | what comes                 |
| ended             | the peer has hung up                | what is left, then b""     |
| shut              | `shut`, or somebody waited too long | an error                   |

Invariants. A consumer that does not read stops the peer: nothing is read ahead, but for a record of
TLS. A read that is cancelled loses nothing. What waits too long is found by one task for all streams
of a Network, because a cancel scope around each read would cost as much as the read.
"""

from __future__ import annotations

import math
import os
import select
import socket
import ssl
import sys
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import trio

from tako.driving.async_http import AsyncNetwork
from tako.driving.streams import Connect, NothingSent, Operation, Read, StartTls, Write
from tako.driving.tls import apply_tls
from tako.effects import TlsOptions

__all__ = ["ByteStream", "Network", "SocketStream", "connect", "look_up"]

READ_SIZE = 65536
HEAD_START = 0.25
"""Seconds that an address is tried before the next one is tried beside it: RFC 8305, section 5."""


async def look_up(host: str, port: int) -> list[str]:
    """The addresses of a host, in the resolver's order, some of them twice; raises OSError."""
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError("it is not a host name") from error
    return [str(entry[4][0]) for entry in found]


async def connect(host: str, port: int) -> socket.socket:
    """To the first address that answers, the next being tried beside it when it is slow; raises OSError."""
    try:
        if (version := _address_version(host)) is not None:
            connected = await _connect_to(host, port, version)
        else:
            stream = await trio.open_tcp_stream(host, port, happy_eyeballs_delay=HEAD_START)
            connected = stream.socket
    except OSError as error:
        raise _reason(error) from error
    plain = socket.socket(fileno=connected.detach())
    plain.setblocking(False)
    return plain


class Network(AsyncNetwork["ByteStream"]):
    """The connections of a Runtime in one run of trio."""

    def __init__(self, environ: Mapping[str, str], *, max_idle_per_host: int, idle_seconds: float) -> None:
        self.run = trio.lowlevel.current_trio_token()
        super().__init__(
            environ, trio.current_time, max_idle_per_host=max_idle_per_host, idle_seconds=idle_seconds
        )
        self._contexts: dict[TlsOptions | None, ssl.SSLContext] = {}
        self._patience = _Patience()

    async def watch(self) -> None:
        """Find what waits too long, until this is cancelled; then shut every idle connection."""
        try:
            await self._patience.watch()
        finally:
            self._exchanges.close()

    async def _perform(self, operation: Operation[ByteStream]) -> Any:
        try:
            match operation:
                case Read():
                    return await operation.stream.read(operation.seconds)
                case Write():
                    return await operation.stream.write(operation.data, operation.seconds)
                case Connect():
                    with trio.fail_after(_or_never(operation.seconds)):
                        plain = await connect(operation.host, operation.port)
                        return ByteStream(SocketStream(plain), self._patience)
                case StartTls():
                    context = self._context(operation.options)
                    with trio.fail_after(_or_never(operation.seconds)):
                        return await operation.stream.start_tls(context, operation.server_name)
        except trio.TooSlowError:
            raise TimeoutError from None

    def _context(self, options: TlsOptions | None) -> ssl.SSLContext:
        context = self._contexts.get(options)
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            apply_tls(context, options)
            self._contexts[options] = context
        return context


class ByteStream:
    """A connection, read when it is asked to be. TCP_NODELAY is trio's default."""

    __slots__ = ("_error", "_patience", "_socket", "_stream")

    def __init__(self, socket: SocketStream, patience: _Patience) -> None:
        self._socket = socket
        self._stream: trio.abc.Stream = socket
        self._patience = patience
        self._error: OSError | None = None

    async def read(self, seconds: float | None) -> bytes:
        """What has arrived, b"" once the peer has hung up; raises OSError."""
        if seconds is not None:
            self._patience.begin(self, seconds)
        try:
            return bytes(await self._stream.receive_some(READ_SIZE))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._failure(error) from error
        finally:
            self._patience.end(self)

    async def write(self, data: bytes, seconds: float | None) -> None:
        """Give all of it to the system; raises OSError, NothingSent if it took nothing."""
        sent = self._socket.sent
        if seconds is not None:
            self._patience.begin(self, seconds)
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            failure = self._failure(error)
            if self._socket.sent == sent and self._error is None:
                raise NothingSent(str(failure)) from error
            raise failure from error
        finally:
            self._patience.end(self)

    async def start_tls(self, context: ssl.SSLContext, server_name: str) -> ByteStream:
        """Speak TLS from here on; raises OSError, and then this is shut."""
        secured = trio.SSLStream(self._stream, context, server_hostname=server_name, https_compatible=True)
        try:
            await secured.do_handshake()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            failure = self._failure(error)
            self.shut()
            raise failure from error
        except BaseException:
            self.shut()
            raise
        self._stream = secured
        return self

    def readable(self) -> bool:
        """True if a read would not wait."""
        return self._error is not None or self._socket.readable()

    def shut(self) -> None:
        """Close the connection now; who waits for it gets an error. Never fails."""
        if self._error is None:
            self._error = ConnectionAbortedError("the connection was closed at this end")
        self._socket.shut()

    def give_up(self) -> None:
        """Whoever waits has waited too long."""
        self._error = TimeoutError()
        self._socket.shut()

    def _failure(self, error: Exception) -> OSError:
        """What trio wraps, unwrapped; or why it was shut."""
        if self._error is not None:
            return self._error
        cause = error if isinstance(error, OSError) else error.__cause__
        return cause if isinstance(cause, OSError) else ConnectionResetError("the connection was lost")


class SocketStream(trio.abc.Stream):
    """A socket as a stream for SSLStream to stand on; it counts what it sends."""

    __slots__ = ("_plain", "sent")

    def __init__(self, plain: socket.socket) -> None:
        self._plain = plain
        self.sent = 0

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        while True:
            if self._plain.fileno() < 0:
                raise trio.ClosedResourceError
            await trio.lowlevel.wait_readable(self._plain)
            try:
                return self._plain.recv(max_bytes or READ_SIZE)
            except BlockingIOError:
                continue

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            if self._plain.fileno() < 0:
                raise trio.ClosedResourceError
            try:
                sent = self._plain.send(rest)
            except BlockingIOError:
                await self.wait_send_all_might_not_block()
            else:
                self.sent += sent
                rest = rest[sent:]

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.wait_writable(self._plain)

    async def aclose(self) -> None:
        self.shut()
        await trio.lowlevel.checkpoint()

    def readable(self) -> bool:
        descriptor = self._plain.fileno()
        if descriptor < 0:
            return True
        if sys.platform == "win32":
            return bool(select.select([descriptor], [], [], 0)[0])
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        return bool(waiting.poll(0))

    def shut(self) -> None:
        if self._plain.fileno() >= 0:
            try:
                trio.lowlevel.notify_closing(self._plain)
            except RuntimeError:
                pass  # the run is over: nobody waits
            self._plain.close()


class _Patience:
    """Who waits until when. The watch looks when the first would be late, not when a read begins or ends."""

    __slots__ = ("_changed", "_looks_at", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[ByteStream, float] = {}
        self._looks_at = math.inf
        self._changed = trio.lowlevel.ParkingLot()

    def begin(self, stream: ByteStream, seconds: float) -> None:
        until = self._waiting[stream] = trio.current_time() + seconds
        if until < self._looks_at:
            self._looks_at = until
            self._changed.unpark_all()

    def end(self, stream: ByteStream) -> None:
        self._waiting.pop(stream, None)

    async def watch(self) -> None:
        while True:
            with trio.CancelScope(deadline=self._looks_at):
                await self._changed.park()
            now = trio.current_time()
            for stream, until in list(self._waiting.items()):
                if until <= now:
                    self.end(stream)
                    stream.give_up()
            self._looks_at = min(self._waiting.values(), default=math.inf)


def _address_version(host: str) -> int | None:
    """4 or 6, or None for a name."""
    try:
        return ip_address(host).version
    except ValueError:
        return None


async def _connect_to(address: str, port: int, version: int) -> trio.socket.SocketType:
    """To the one address there is. `open_tcp_stream` would open a nursery to try it beside others."""
    connected = trio.socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
    try:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await connected.connect((address, port))
    except BaseException:
        connected.close()
        raise
    return connected


def _or_never(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


def _reason(error: OSError) -> OSError:
    """Why the last address could not be reached, in the system's words and not in trio's."""
    cause = error.__cause__
    if isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[-1]
    if not isinstance(cause, OSError):
        cause = error
    return error if cause.errno is None else OSError(cause.errno, os.strerror(cause.errno))
