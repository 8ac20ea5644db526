"""An HTTP server under trio: `await serve(handler)`, in a nursery or alone.

    async with trio.open_nursery() as nursery:
        nursery.start_soon(functools.partial(serve, handler, port=8000, cancel=token))

It ends when the token is cancelled, or its task is. What is said on a connection is decided in
tako.driving.serving; here is how trio listens, reads, writes and waits. There is no TLS: that is for the
proxy in front.

Invariant. When `serve` has ended no task and no socket of it is left.
"""

from __future__ import annotations

import math
import socket
import struct
import time
from collections.abc import Callable

import trio

import tako_io_trio
from tako.cancellation import CancellationToken
from tako.driving.async_events import Events
from tako.driving.async_serving import FAIR_SECONDS, AsyncClient, converse
from tako.driving.serving import (
    BACKLOG,
    READ_SIZE,
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
from tako_io_trio import Runtime

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


async def _listen(host: str, port: int) -> trio.socket.SocketType:
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # Of a name that has both, such as localhost, most clients try the older kind too.
        family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # whom it accepts inherits that
    except OSError as error:
        raise cannot_listen(host, port, error) from error
    listener.setblocking(False)
    return trio.socket.from_stdlib_socket(listener)


class _Server:
    def __init__(
        self,
        handler: Handler,
        listener: trio.socket.SocketType,
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
        self._clients: dict[Connection, _Client] = {}
        self._place_is_free = trio.Event()

    async def run(self) -> None:
        stopping = trio.Event()
        run = trio.lowlevel.current_trio_token()

        def stop_soon() -> None:
            try:
                run.run_sync_soon(stopping.set)
            except trio.RunFinishedError:
                pass  # and the server with it

        undo = self._stop.on_cancel(stop_soon)
        try:
            async with trio.open_nursery() as nursery:
                accepting = trio.CancelScope()
                nursery.start_soon(self._accept, nursery, accepting)
                await stopping.wait()
                accepting.cancel()
                for connection in waiting(self._clients):
                    self._clients[connection].shut(must_reset=False)
                nursery.cancel_scope.deadline = trio.current_time() + STOP_SECONDS
        finally:
            undo()

    async def _accept(self, nursery: trio.Nursery, accepting: trio.CancelScope) -> None:
        with accepting:
            while True:
                await self._find_place()
                try:
                    accepted, address = await self._listener.accept()
                except OSError:  # the client has left already, or there are no descriptors
                    await trio.sleep(TICK)
                    continue
                client = _Client(accepted, self._limits.send_seconds)
                connection = Connection(
                    self._handler, self._limits, self._stop, trio.current_time, time.time, str(address[0])
                )
                self._clients[connection] = client
                nursery.start_soon(self._serve, connection, client)

    async def _find_place(self) -> None:
        while len(self._clients) >= self._places:
            idle = longest_idle(self._clients)
            if idle is not None:
                self._clients[idle].shut(must_reset=False)
            self._place_is_free = trio.Event()
            with trio.move_on_after(TICK):
                await self._place_is_free.wait()

    async def _serve(self, connection: Connection, client: _Client) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.read)
                await converse(connection, client, self._stream)
                nursery.cancel_scope.cancel()
        finally:
            client.shut(must_reset=False)
            del self._clients[connection]
            self._place_is_free.set()

    def _stream(self, flow: Flow[None], token: CancellationToken) -> Events[None]:
        return tako_io_trio.stream(flow, cancel=token, runtime=self._runtime)


class _Client(AsyncClient):
    """A plain socket: trio's own lets others run at every write, and a piece of an answer is small."""

    __slots__ = ("_changed", "_room", "_send_seconds", "_shares_at", "_socket")

    def __init__(self, accepted: trio.socket.SocketType, send_seconds: float) -> None:
        super().__init__()
        self._socket = socket.socket(fileno=accepted.detach())
        self._socket.setblocking(False)
        self._send_seconds = send_seconds
        self._shares_at = -math.inf  # when the others have to be let in between
        self._changed = trio.Event()
        self._room = trio.Event()

    async def read(self) -> None:
        """Read what comes, as long as there is room for it."""
        data = b"-"
        while data:
            while self.must_pause:
                self._room = trio.Event()
                await self._room.wait()
            try:
                await trio.lowlevel.wait_readable(self._socket)
                data = self._socket.recv(READ_SIZE)
            except BlockingIOError:
                continue
            except (OSError, ValueError, trio.ClosedResourceError):  # ValueError: it was closed before
                data = b""
            self.take(data)

    async def say(self, data: bytes) -> None:
        rest = memoryview(data)
        if trio.current_time() > self._shares_at:
            await trio.lowlevel.checkpoint()
            self._shares_at = trio.current_time() + FAIR_SECONDS
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                await self._wait_writable()
            except OSError as error:
                raise Gone from error

    async def _wait_writable(self) -> None:
        try:
            with trio.fail_after(self._send_seconds):
                await trio.lowlevel.wait_writable(self._socket)
        except (trio.ClosedResourceError, trio.TooSlowError) as error:
            raise Gone from error

    async def wait(self, until: float) -> None:
        self._changed = trio.Event()
        with trio.move_on_at(until) as waited:
            await self._changed.wait()
        if waited.cancelled_caught:
            raise TimeoutError

    def wake(self) -> None:
        self._changed.set()

    def go_on_reading(self) -> None:
        self._room.set()

    def end_sending(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def shut(self, *, must_reset: bool) -> None:
        if self._socket.fileno() < 0:
            return
        if must_reset:
            _reset_when_closed(self._socket)
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()


def _reset_when_closed(plain: socket.socket) -> None:
    try:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
    except OSError:
        pass  # the client was faster
