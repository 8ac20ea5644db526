"""Sockets and TLS: the four operations of tako.driving.streams.

A ByteStream is a protocol that keeps what has arrived until it is read. asyncio's own StreamReader
and StreamWriter take twice the memory and, with a timeout around each read, half as much time again.
All streams of a Network are read into one buffer of READ_SIZE, for asyncio hands over what it read
before it reads again.

| state of a stream | how it is reached                         | a read gives           |
|-------------------|-------------------------------------------|------------------------|
| open              | connected, or TLS has begun               | what comes             |
| paused            | READ_SIZE bytes have not been read yet    | them; open again       |
| ended             | the peer has hung up                      | what is left, then b"" |
| broken            | an error, or we have shut it              | what is left, then it  |

Invariants. A consumer that does not read stops the peer: at most twice READ_SIZE is kept. A read
that is cancelled loses nothing. What waits too long is found by one timer for all streams of a
Network, because a timeout around each read would cost as much as the read.
"""

from __future__ import annotations

import asyncio
import math
import os
import select
import socket
import ssl
import sys
from collections import deque
from collections.abc import Mapping
from functools import partial
from ipaddress import ip_address
from typing import Any, cast

from tako.driving.async_http import AsyncNetwork
from tako.driving.streams import Connect, NothingSent, Operation, Read, StartTls, Write
from tako.driving.tls import apply_tls
from tako.effects import TlsOptions
from tako_io_asyncio._calls import on_thread

__all__ = ["ByteStream", "Network", "look_up"]

READ_SIZE = 65536
HEAD_START = 0.25
"""Seconds that an address is tried before the next one is tried beside it: RFC 8305, section 5."""
NO_LIMIT = 86400.0
"""Our own limit is for the handshake too; asyncio's, of a minute, cannot be switched off."""


async def look_up(host: str, port: int) -> list[str]:
    """The addresses of a host, in the resolver's order, some of them twice; raises OSError."""
    # Not by the loop's own getaddrinfo: asyncio.run would not end before a resolver that hangs does.
    try:
        found = await on_thread(partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM))
    except UnicodeError as error:
        raise OSError("it is not a host name") from error
    return [str(entry[4][0]) for entry in found]


class Network(AsyncNetwork["ByteStream"]):
    """The connections of a Runtime in one event loop."""

    def __init__(self, environ: Mapping[str, str], *, max_idle_per_host: int, idle_seconds: float) -> None:
        self.loop = asyncio.get_running_loop()
        super().__init__(
            environ, self.loop.time, max_idle_per_host=max_idle_per_host, idle_seconds=idle_seconds
        )
        self._contexts: dict[TlsOptions | None, ssl.SSLContext] = {}
        self._patience = _Patience(self.loop)
        self._buffer = memoryview(bytearray(READ_SIZE))

    def close(self) -> None:
        """Shut every idle connection."""
        self._exchanges.close()
        self._patience.close()

    async def _perform(self, operation: Operation[ByteStream]) -> Any:
        match operation:
            case Read():
                return await operation.stream.read(operation.seconds)
            case Write():
                return await operation.stream.write(operation.data, operation.seconds)
            case Connect():
                async with asyncio.timeout(operation.seconds):
                    return await self._connect(operation.host, operation.port)
            case StartTls():
                context = self._context(operation.options)
                async with asyncio.timeout(operation.seconds):
                    return await operation.stream.start_tls(context, operation.server_name)

    async def _connect(self, host: str, port: int) -> ByteStream:
        """To the first address that answers; the next is tried as well when one fails or is slow."""
        waiting = deque((host,) if _is_address(host) else dict.fromkeys(await look_up(host, port)))
        if len(waiting) == 1:
            return await self._connect_to(waiting[0], port)
        failure: BaseException = OSError("the name has no address")
        attempts: set[asyncio.Task[ByteStream]] = set()
        try:
            while waiting or attempts:
                if waiting:
                    attempts.add(asyncio.create_task(self._connect_to(waiting.popleft(), port)))
                done, _ = await asyncio.wait(
                    attempts, timeout=HEAD_START if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                for attempt in done:
                    attempts.discard(attempt)
                    if (error := attempt.exception()) is None:
                        return attempt.result()
                    failure = error
            raise failure
        finally:
            for attempt in attempts:
                attempt.add_done_callback(_shut_late_winner)
                attempt.cancel()
            if attempts:
                await asyncio.wait(attempts)

    async def _connect_to(self, address: str, port: int) -> ByteStream:
        try:
            _, stream = await self.loop.create_connection(
                lambda: ByteStream(self.loop, self._buffer, self._patience), address, port
            )
        except OSError as error:
            if error.errno is None:
                raise
            # asyncio says "Connect call failed" instead of why.
            raise OSError(error.errno, os.strerror(error.errno)) from error
        return stream

    def _context(self, options: TlsOptions | None) -> ssl.SSLContext:
        context = self._contexts.get(options)
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            apply_tls(context, options)
            self._contexts[options] = context
        return context


class ByteStream(asyncio.BufferedProtocol):
    """A connection, read when it is asked to be. TCP_NODELAY is asyncio's default."""

    __slots__ = (
        "_arrived", "_buffer", "_ended", "_error", "_is_full", "_is_paused", "_loop", "_patience",
        "_transport", "_waiter",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, buffer: memoryview, patience: _Patience) -> None:
        self._loop = loop
        self._buffer = buffer
        self._patience = patience
        self._transport: asyncio.Transport | None = None
        self._arrived = bytearray()
        self._ended = False
        self._error: OSError | None = None
        self._is_paused = False
        self._is_full = False
        self._waiter: asyncio.Future[None] | None = None

    async def read(self, seconds: float | None) -> bytes:
        """What has arrived, b"" once the peer has hung up; raises OSError."""
        while not self._arrived:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            await self._wait(seconds)
        data = bytes(self._arrived)
        self._arrived.clear()
        if self._is_paused:
            self._is_paused = False
            self._open_transport().resume_reading()
        return data

    async def write(self, data: bytes, seconds: float | None) -> None:
        """Give all of it to the system; raises OSError, NothingSent if it took nothing."""
        transport = self._open_transport()
        if not transport.is_closing():
            # The first piece is sent at once: if that fails, the transport is closing and nothing was.
            transport.write(data)
        if transport.is_closing():
            raise NothingSent("the peer has closed the connection")
        while self._is_full:
            if self._error is not None:
                raise self._error
            await self._wait(seconds)

    async def start_tls(self, context: ssl.SSLContext, server_name: str) -> ByteStream:
        """Speak TLS from here on; raises OSError, and then this is shut."""
        try:
            if self._arrived:
                raise ConnectionError("the peer spoke before TLS had begun")
            secured = await self._loop.start_tls(
                self._open_transport(),
                self,
                context,
                server_hostname=server_name,
                ssl_handshake_timeout=NO_LIMIT,
            )
        except BaseException:
            self.shut()
            raise
        self.connection_made(cast(asyncio.Transport, secured))
        return self

    def readable(self) -> bool:
        """True if a read would not wait, also for what the loop has not looked at yet."""
        transport = self._open_transport()
        if self._arrived or self._ended or self._error is not None or transport.is_closing():
            return True
        return _has_input(transport.get_extra_info("socket").fileno())

    def shut(self) -> None:
        """Close the connection now; who waits for it gets an error. Never fails."""
        if self._error is None:
            self._error = ConnectionAbortedError("the connection was closed at this end")
        self._wake(None)
        if self._transport is not None:
            try:
                self._transport.abort()
            except RuntimeError:
                pass  # the loop is closed, and its sockets with it

    def give_up(self) -> None:
        """Whoever waits has waited too long."""
        self._wake(TimeoutError())

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(0)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._arrived += self._buffer[:nbytes]
        if len(self._arrived) >= READ_SIZE and not self._is_paused:
            self._is_paused = True
            self._open_transport().pause_reading()
        self._wake(None)

    def eof_received(self) -> bool:
        self._ended = True
        self._wake(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._error is None and not self._ended:
            self._error = exc if isinstance(exc, OSError) else ConnectionResetError("the connection was lost")
        self._wake(None)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._wake(None)

    # Waiting.

    async def _wait(self, seconds: float | None) -> None:
        """Until something has changed; raises TimeoutError."""
        self._waiter = waiter = self._loop.create_future()
        if seconds is not None:
            self._patience.begin(self, seconds)
        try:
            await waiter
        finally:
            self._waiter = None
            if seconds is not None:
                self._patience.end(self)

    def _wake(self, error: Exception | None) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)

    def _open_transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport


class _Patience:
    """Who waits until when. The timer is moved when it rings, not when a read begins or ends."""

    __slots__ = ("_loop", "_rings_at", "_timer", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[ByteStream, float] = {}
        self._rings_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, stream: ByteStream, seconds: float) -> None:
        until = self._waiting[stream] = self._loop.time() + seconds
        if until < self._rings_at:
            self._set(until)

    def end(self, stream: ByteStream) -> None:
        self._waiting.pop(stream, None)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = math.inf

    def _set(self, until: float) -> None:
        self.close()
        self._rings_at = until
        self._timer = self._loop.call_at(until, self._ring)

    def _ring(self) -> None:
        now = self._loop.time()
        for stream, until in list(self._waiting.items()):
            if until <= now:
                self.end(stream)
                stream.give_up()
        self._rings_at = math.inf
        if self._waiting:
            self._set(min(self._waiting.values()))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _shut_late_winner(attempt: asyncio.Task[ByteStream]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().shut()


def _has_input(descriptor: int) -> bool:
    """Whether there is something to read on a socket, or its end, or an error; True if it is closed."""
    if descriptor < 0:
        return True
    if sys.platform == "win32":
        return bool(select.select([descriptor], [], [], 0)[0])
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(0))
