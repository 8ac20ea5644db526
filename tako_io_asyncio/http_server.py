"""An HTTP server under asyncio: `await serve(handler)`, in a TaskGroup or alone.

    async with asyncio.TaskGroup() as group:
        group.create_task(serve(handler, port=8000, cancel=token))

It ends when the token is cancelled, or its task is. What is said on a connection is decided in
tako.driving.serving; here is how asyncio listens, reads, writes and waits. There is no TLS: that is for
the proxy in front.

Invariant. When `serve` has ended no task and no socket of it is left.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from typing import cast

import tako_io_asyncio
from tako.cancellation import CancellationToken
from tako.driving.async_events import Events
from tako.driving.async_serving import FAIR_SECONDS, AsyncClient, converse
from tako.driving.serving import (
    BACKLOG,
    STOP_SECONDS,
    TICK,
    Connection,
    Gone,
    as_limits,
    cannot_listen,
    longest_idle,
    waiting,
)
from tako.effects import Flow
from tako.serving import Handler, ServerLimits
from tako_io_asyncio import Runtime

__all__ = ["serve"]

RST_ON_CLOSE = struct.pack("ii", 1, 0)
CONNECTIONS = 1000


async def serve(
    handler: Handler,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    runtime: Runtime | None = None,
    cancel: CancellationToken | None = None,
    ready: Callable[[int], None] | None = None,
    limits: ServerLimits | None = None,
) -> None:
    """Answer requests until `cancel` is cancelled; flows in flight are cancelled then.

    `ready` is called with the port once clients can connect. Raises TransportError where it cannot listen.
    """
    limits, places = as_limits(limits, CONNECTIONS)
    stop = CancellationToken() if cancel is None else cancel.child()
    with await _listen(host, port) as listener:
        if ready is not None:
            ready(listener.getsockname()[1])
        try:
            await _Server(handler, listener, runtime, stop, limits, places).run()
        finally:
            stop.detach()


async def _listen(host: str, port: int) -> socket.socket:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        # Of a name that has both, such as localhost, most clients try the older kind too.
        family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # whom it accepts inherits that
    except OSError as error:
        raise cannot_listen(host, port, error) from error
    listener.setblocking(False)
    return listener


class _Server:
    def __init__(
        self,
        handler: Handler,
        listener: socket.socket,
        runtime: Runtime | None,
        stop: CancellationToken,
        limits: ServerLimits,
        places: int,
    ) -> None:
        self._handler = handler
        self._listener = listener
        self._runtime = runtime
        self._stop = stop
        self._limits = limits
        self._places = places
        self._loop = asyncio.get_running_loop()
        self._clients: dict[Connection, _Client] = {}
        self._conversations: set[asyncio.Task[None]] = set()
        self._place_is_free = asyncio.Event()

    async def run(self) -> None:
        stopping = asyncio.Event()

        def stop_soon() -> None:
            try:
                self._loop.call_soon_threadsafe(stopping.set)
            except RuntimeError:
                pass  # the loop is closed, and the server with it

        undo = self._stop.on_cancel(stop_soon)
        try:
            async with asyncio.TaskGroup() as group:
                accepting = group.create_task(self._accept(group))
                await stopping.wait()
                accepting.cancel()
                for connection in waiting(self._clients):
                    self._clients[connection].shut(must_reset=False)
                if self._conversations:
                    await asyncio.wait(self._conversations, timeout=STOP_SECONDS)
                for conversation in self._conversations:
                    conversation.cancel()
        finally:
            undo()
            await asyncio.sleep(0)  # a transport closes its socket in the loop's next round

    async def _accept(self, group: asyncio.TaskGroup) -> None:
        while True:
            await self._find_place()
            try:
                accepted, address = await self._loop.sock_accept(self._listener)
            except OSError:  # the client has left already, or there are no descriptors
                await asyncio.sleep(TICK)
                continue
            client = _Client(self._loop, self._limits.send_seconds)
            connection = Connection(
                self._handler, self._limits, self._stop, self._loop.time, time.time, str(address[0])
            )
            self._clients[connection] = client
            conversation = group.create_task(self._serve(connection, client, accepted))
            self._conversations.add(conversation)
            conversation.add_done_callback(self._conversations.discard)

    async def _find_place(self) -> None:
        while len(self._clients) >= self._places:
            idle = longest_idle(self._clients)
            if idle is not None:
                self._clients[idle].shut(must_reset=False)
            self._place_is_free.clear()
            try:
                async with asyncio.timeout(TICK):
                    await self._place_is_free.wait()
            except TimeoutError:
                pass  # look again for one that is idle

    async def _serve(self, connection: Connection, client: _Client, accepted: socket.socket) -> None:
        try:
            try:
                await self._loop.connect_accepted_socket(lambda: client, accepted)
            except OSError:
                return  # it has left already
            await converse(connection, client, self._stream)
        finally:
            client.shut(must_reset=False)
            accepted.close()
            del self._clients[connection]
            self._place_is_free.set()

    def _stream(self, flow: Flow[None], token: CancellationToken) -> Events[None]:
        return tako_io_asyncio.stream(flow, cancel=token, runtime=self._runtime)


class _Client(AsyncClient, asyncio.Protocol):
    def __init__(self, loop: asyncio.AbstractEventLoop, send_seconds: float) -> None:
        super().__init__()
        self._loop = loop
        self._send_seconds = send_seconds
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._is_paused = False  # in reading
        self._is_full = False  # the system takes no more at the moment
        self._is_lost = False
        self._shares_at = 0.0  # when the others have to be let in between

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(0)

    def data_received(self, data: bytes) -> None:
        self.take(data)
        if self.must_pause and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self.take(b"")
        return True  # its half may be closed: what was asked before that is refused in order

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self.take(b"")

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self.wake()

    # Called by the conversation.

    async def say(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            raise Gone
        transport.write(data)
        if self._loop.time() > self._shares_at:
            await asyncio.sleep(0)
            self._shares_at = self._loop.time() + FAIR_SECONDS
        while self._is_full and not self._is_lost:
            left = transport.get_write_buffer_size()
            try:
                await self.wait(self._loop.time() + self._send_seconds)
            except TimeoutError:
                if transport.get_write_buffer_size() >= left:
                    raise Gone from None
        if self._is_lost:
            raise Gone

    async def wait(self, until: float) -> None:
        waiter = self._waiter = self._loop.create_future()
        timer = self._loop.call_at(until, _expire, waiter)
        try:
            await waiter
        finally:
            self._waiter = None
            timer.cancel()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def go_on_reading(self) -> None:
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()

    def end_sending(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def shut(self, *, must_reset: bool) -> None:
        if self._transport is None or self._is_lost:
            return
        if must_reset:
            _reset_when_closed(self._transport.get_extra_info("socket"))
        self._transport.abort()


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


def _reset_when_closed(plain: socket.socket) -> None:
    try:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
    except OSError:
        pass  # the client was faster
