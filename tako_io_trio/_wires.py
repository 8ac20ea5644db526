"""Wires: the bytes of a link: a child's pipes, a socket, our own standard streams.

| endpoint        | source and sink        | reads by                      | writes by                       |
|-----------------|------------------------|-------------------------------|---------------------------------|
| Child           | _Descriptor, its pipes | `wait_readable`, os.read      | os.write, then `wait_writable`  |
| Socket          | _Descriptor            | `wait_readable`, recv         | send, then `wait_writable`      |
| ... under TLS   | _Stream, an SSLStream  | receive_some                  | send_all in a system task       |
| StandardStreams | _Descriptor            | as a pipe; a file: a thread   | as a pipe, or by a thread       |

A child has one system task, which reads its standard error and waits for its death. Its group is killed
with it, before its number is the system's again (where there are process descriptors: Linux).

Invariants. A read that is cut short loses nothing. `close` works without the run: it may be over.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import trio
from outcome import Error, Outcome

from tako.driving.async_links import DRAIN_LIMIT, READ_SIZE, Wire
from tako.driving.live_link import not_started, peer_of
from tako.driving.own_streams import OwnStreams
from tako.driving.streams import translate
from tako.driving.tls import apply_tls
from tako.errors import InvalidInput
from tako.links import Child, Socket
from tako_io_trio._http import SocketStream
from tako_io_trio._http import connect as connect_to

if TYPE_CHECKING:
    from tako_io_trio._links import Link

__all__ = ["ChildWire", "SocketWire", "StandardWire", "TrioWire", "connect", "start_child"]

T = TypeVar("T")

REAP_SECONDS = 1.0
"""How long a child that was killed is waited for; only one that hangs in the kernel takes so long."""
ATOMIC = 512 if sys.platform == "win32" else select.PIPE_BUF
"""Bytes that a blocking pipe takes without blocking, once it is said to take any."""


class TrioWire(Wire, Protocol):
    async def read(self) -> bytes | None:
        """What comes, b"" at the end; None: look again. Raises trio.Cancelled alone."""

    def interrupt(self) -> None:
        """Have the one who reads look again. A wait that goes on elsewhere is not disturbed."""


# Where bytes come from and go to.


class _Descriptor:
    """Something that trio can watch, by its number."""

    def __init__(
        self,
        link: Link,
        number: int,
        receive: Callable[[int, int], bytes] = os.read,
        send: Callable[[int, Any], int] = os.write,
    ) -> None:
        self._link = link
        self._number = number
        self._receive = receive
        self._send = send

    async def read(self) -> bytes | None:
        number = self._number
        if number < 0:
            return b""
        try:
            await trio.lowlevel.wait_readable(number)
            return self._receive(self._number, READ_SIZE)  # which is -1 if this was closed since it was woken
        except (BlockingIOError, InterruptedError):
            return None
        except trio.ClosedResourceError:
            return None if self._number >= 0 else b""
        except OSError:
            return b""  # the peer is gone, or we have closed this

    def interrupt(self) -> None:
        # A cancel scope around each read would cost as much as the read.
        trio.lowlevel.notify_closing(self._number)

    def drain(self, take: Callable[[bytes], object]) -> None:
        """Take what can be read without waiting. For a descriptor that does not block."""
        left = DRAIN_LIMIT
        while left > 0:
            try:
                data = self._receive(self._number, READ_SIZE)
            except OSError:
                return
            take(data)
            if not data:
                return
            left -= len(data)

    def write(self, data: bytearray) -> int:
        try:
            return self._send(self._number, data)
        except (BlockingIOError, InterruptedError):
            return 0

    def await_room(self) -> None:
        self._link.spawn(self._wait_for_room)

    async def _wait_for_room(self) -> None:
        while self._number >= 0:
            try:
                await trio.lowlevel.wait_writable(self._number)
            except trio.ClosedResourceError:
                continue  # or it was the reader of the same socket that was meant
            self._link.has_room()
            return

    def forget(self) -> None:
        """It is about to be closed."""
        number, self._number = self._number, -1
        if number >= 0:
            try:
                trio.lowlevel.notify_closing(number)
            except RuntimeError:
                pass  # the run is over: nobody waits


class _Stream:
    """A stream of trio's: what it is given is sent by a system task, a piece at a time."""

    def __init__(self, link: Link, stream: trio.abc.Stream) -> None:
        self._link = link
        self._stream = stream
        self._is_sending = False
        self._sent = 0  # of what the last call of `write` was given
        self._scope: trio.CancelScope | None = None

    async def read(self) -> bytes | None:
        try:
            with trio.CancelScope() as self._scope:
                return bytes(await self._stream.receive_some(READ_SIZE))
            return None
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            return b""

    def interrupt(self) -> None:
        if self._scope is not None:
            self._scope.cancel()

    def write(self, data: bytearray) -> int:
        if self._is_sending:
            return 0
        sent, self._sent = self._sent, 0
        if piece := bytes(data[sent : sent + READ_SIZE]):
            self._is_sending = True
            self._link.spawn(partial(self._send, piece))
        return sent

    def await_room(self) -> None:
        """The system task tells when it has done."""

    async def _send(self, piece: bytes) -> None:
        try:
            await self._stream.send_all(piece)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            self._link.broke(str(error.__cause__ or error))
        else:
            self._is_sending = False
            self._sent = len(piece)
            self._link.has_room()

    def drain(self, take: Callable[[bytes], object]) -> None:
        """There is nothing that could be read without waiting."""

    def forget(self) -> None:
        """Whoever waits is told by the stream."""


class _Blocking:
    """A descriptor that cannot be watched: a thread reads or writes a piece, and what it read is kept."""

    def __init__(self, link: Link, number: int) -> None:
        self._link = link
        self._number = number
        self._run = trio.lowlevel.current_trio_token()
        self._news = trio.Event()
        self._is_busy = self._is_closed = False
        self._written = 0  # of what the last call of `write` was given
        self._data: bytes | None = None

    async def read(self) -> bytes | None:
        if not self._is_busy:
            self._is_busy = True
            self._start(_read_some, self._was_read)
        if self._data is None:
            self._news = trio.Event()
            await self._news.wait()
        data, self._data = self._data, None
        if data:
            self._is_busy = False
        return data

    def interrupt(self) -> None:
        self._news.set()

    def write(self, data: bytearray) -> int:
        if self._is_busy:
            return 0
        written, self._written = self._written, 0
        if piece := bytes(data[written : written + READ_SIZE]):
            self._is_busy = True
            self._start(partial(_write_all, piece), self._was_written)
        return written

    def await_room(self) -> None:
        """The thread tells when it has done."""

    def forget(self) -> None:
        self._is_closed = True
        self._data = b""
        self._news.set()

    def _start(self, function: Callable[[int], T], then: Callable[[Outcome[T]], None]) -> None:
        # A duplicate, because a descriptor that is closed under a thread may be somebody else's next.
        number = os.dup(self._number)

        def deliver(outcome: Outcome[T]) -> None:
            os.close(number)
            try:
                self._run.run_sync_soon(then, outcome)
            except trio.RunFinishedError:
                pass  # nobody waits for this

        trio.lowlevel.start_thread_soon(partial(function, number), deliver, "tako-link")

    def _was_read(self, outcome: Outcome[bytes]) -> None:
        if not self._is_closed:
            self._data = b"" if isinstance(outcome, Error) else outcome.unwrap()
            self._news.set()

    def _was_written(self, outcome: Outcome[int]) -> None:
        self._is_busy = False
        if self._is_closed:
            return
        if isinstance(outcome, Error):
            self._link.broke(str(outcome.error))
        else:
            self._written = outcome.unwrap()
            self._link.has_room()


def _read_some(descriptor: int) -> bytes:
    return os.read(descriptor, READ_SIZE)


def _write_all(piece: bytes, descriptor: int) -> int:
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    return len(piece)


def _write_what_fits(descriptor: int, data: bytearray) -> int:
    """Write to what blocks, without blocking: a flag of the other end's is not ours to change."""
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    written = 0
    while written < len(data) and room.poll(0):
        written += os.write(descriptor, data[written : written + ATOMIC])
    return written


# Children.


async def start_child(link: Link, endpoint: Child) -> ChildWire:
    """Raises TransportError if it cannot be started."""
    try:
        process = await trio.lowlevel.open_process(
            endpoint.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if endpoint.environ is None else dict(endpoint.environ),
            cwd=endpoint.directory,
            start_new_session=True,
        )
    except OSError as error:
        raise not_started(endpoint, error) from error
    except ValueError as error:
        raise InvalidInput(f"{peer_of(endpoint)} cannot be started: {error}") from error
    return ChildWire(link, process)


class ChildWire:
    """The pipes of a child, and its death."""

    is_child = True
    ends_with_input = True

    def __init__(self, link: Link, process: trio.Process) -> None:
        self._link = link
        self._process = process
        self._streams = (cast(Any, process.stdin), cast(Any, process.stdout), cast(Any, process.stderr))
        # Under Windows trio's pipes have no number that could be watched.
        self._output, self._input, self._errors = (
            _Descriptor(link, stream.fileno()) if hasattr(stream, "fileno") else _Stream(link, stream)
            for stream in self._streams
        )
        self.read, self.interrupt = self._input.read, self._input.interrupt
        self.write, self.await_room = self._output.write, self._output.await_room
        self._is_closed = False
        link.spawn(self._attend)

    def drain(self) -> None:
        self._errors.drain(self._link.tail.add)
        self._input.drain(self._link.received)

    def finish(self) -> None:
        self._output.forget()
        self._streams[0].close()

    def terminate(self) -> None:
        _signal_group(self._process, signal.SIGTERM)

    def close(self) -> None:
        self._is_closed = True
        if self._process.poll() is None:
            _kill_group(self._process)
            _reap(self._process)
        for end in (self._output, self._input, self._errors):
            end.forget()
        for stream in self._streams:
            stream.close()

    async def _attend(self) -> None:
        """The system task."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read_errors)
            await _death(self._process)
            if not self._is_closed:
                _kill_group(self._process)  # what it leaves behind, while the number is still its own
                self._link.exited(await self._process.wait())
            nursery.cancel_scope.cancel()

    async def _read_errors(self) -> None:
        while (data := await self._errors.read()) != b"":
            if data:
                self._link.tail.add(data)


async def _death(process: trio.Process) -> None:
    """Until it has died; it is not reaped by then, where the system has process descriptors."""
    try:
        descriptor = os.pidfd_open(process.pid) if sys.platform == "linux" else None
    except OSError:
        descriptor = None  # an old kernel, or one that is imitated
    if descriptor is None:
        await process.wait()
        return
    try:
        await trio.lowlevel.wait_readable(descriptor)
    finally:
        os.close(descriptor)


def _signal_group(process: trio.Process, number: int) -> None:
    if sys.platform == "win32":
        process.terminate()
        return
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # nobody is left of it, or on macOS only the dead


def _kill_group(process: trio.Process) -> None:
    _signal_group(process, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)


def _reap(process: trio.Process) -> None:
    end = time.monotonic() + REAP_SECONDS
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.0005)


# Sockets.


async def connect(link: Link, endpoint: Socket) -> SocketWire:
    """Raises TransportError or TimedOut."""
    where = peer_of(endpoint)
    phase = "connect"
    connected: socket.socket | None = None
    stream: trio.abc.Stream | None = None
    try:
        with trio.fail_after(endpoint.connect_timeout):
            connected = await connect_to(endpoint.host, endpoint.port)
            if endpoint.tls is not None:
                phase = "tls"
                stream = await _secure(connected, endpoint)
    except trio.TooSlowError as error:
        _close(connected)
        raise translate(TimeoutError(), phase, where, endpoint.connect_timeout) from error
    except (OSError, trio.BrokenResourceError) as error:
        _close(connected)
        cause = error if isinstance(error, OSError) else error.__cause__
        failure = cause if isinstance(cause, OSError) else ConnectionResetError("the connection was lost")
        raise translate(failure, phase, where, endpoint.connect_timeout) from error
    except BaseException:
        _close(connected)
        raise
    return SocketWire(link, connected, stream)


async def _secure(connected: socket.socket, endpoint: Socket) -> trio.abc.Stream:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    apply_tls(context, endpoint.tls)
    if endpoint.protocols:
        context.set_alpn_protocols(endpoint.protocols)
    secured = trio.SSLStream(
        SocketStream(connected),
        context,
        server_hostname=endpoint.server_name or endpoint.host,
        https_compatible=True,
    )
    await secured.do_handshake()
    return secured


def _close(connected: socket.socket | None) -> None:
    if connected is not None:
        connected.close()


class SocketWire:
    """A connection, as it is or under TLS."""

    is_child = False
    ends_with_input = True

    def __init__(self, link: Link, connected: socket.socket, stream: trio.abc.Stream | None) -> None:
        self._socket = connected
        self._end = (
            _Stream(link, stream)
            if stream is not None
            else _Descriptor(
                link,
                connected.fileno(),
                receive=lambda _, size: connected.recv(size),
                send=lambda _, data: connected.send(data),
            )
        )
        self.read, self.interrupt = self._end.read, self._end.interrupt
        self.write, self.await_room = self._end.write, self._end.await_room

    def drain(self) -> None:
        """There is no child."""

    def finish(self) -> None:
        """The peer sees the end when this is closed."""

    def terminate(self) -> None:
        """There is no child."""

    def close(self) -> None:
        self._end.forget()
        if self._socket.fileno() >= 0:
            try:
                trio.lowlevel.notify_closing(self._socket)
            except RuntimeError:
                pass  # the run is over: nobody waits
            self._socket.close()


# Our own standard streams.


class StandardWire:
    """Our own input and output. Meanwhile, what else is printed goes to standard error.

    They are never made non-blocking: who gave them to us may share them with others, a terminal for one.
    """

    is_child = False
    ends_with_input = False

    def __init__(self, link: Link) -> None:
        """Raises InvalidInput if they are taken, TransportError if there are none."""
        self._streams = streams = OwnStreams()
        self._input = (
            _Descriptor(link, streams.source)
            if _is_pipe_or_socket(streams.source) or os.isatty(streams.source)
            else _Blocking(link, streams.source)
        )
        self._output = (
            _Descriptor(link, streams.sink, send=_write_what_fits)
            if _is_pipe_or_socket(streams.sink)
            else _Blocking(link, streams.sink)
        )
        self.read, self.interrupt = self._input.read, self._input.interrupt
        self.write, self.await_room = self._output.write, self._output.await_room

    def drain(self) -> None:
        """There is no child."""

    def finish(self) -> None:
        """They are the process's, and end with it."""

    def terminate(self) -> None:
        """There is no child."""

    def close(self) -> None:
        self._input.forget()
        self._output.forget()
        self._streams.close()


def _is_pipe_or_socket(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return sys.platform != "win32" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))
