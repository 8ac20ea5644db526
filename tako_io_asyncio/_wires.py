"""Wires: the bytes of a link: a child's pipes, a socket, our own standard streams.

| endpoint        | wire          | read by                         | written by                             |
|-----------------|---------------|---------------------------------|----------------------------------------|
| Child           | ChildWire     | `add_reader` on a pipe          | os.write, then `add_writer`            |
| Socket          | SocketWire    | a Protocol, paused as need be   | its transport, as long as it is empty  |
| StandardStreams | StandardWire  | as a pipe; a file: by a thread  | as a pipe, or by a thread              |

A pipe is read and written here and not by asyncio's transports, which take another round of the loop for
each piece of a child's output. What no loop can watch (files; pipes, where the system is Windows) is read
and written by a thread, one piece at a time.

The death of a child is a file descriptor where the system has one for it (Linux), else a thread waits.

Invariants. Nothing is read that nobody waits for. What is not the loop's is let go of by `close` without
the loop: it may have stopped.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import signal
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

from tako.driving.async_links import DRAIN_LIMIT, READ_SIZE, Wire
from tako.driving.live_link import not_started, peer_of
from tako.driving.own_streams import OwnStreams
from tako.driving.streams import translate
from tako.driving.tls import apply_tls
from tako.errors import InvalidInput
from tako.links import Child, Socket
from tako_io_asyncio._http import look_up

if TYPE_CHECKING:
    from tako_io_asyncio._links import Link

__all__ = ["ChildWire", "ListeningWire", "SocketWire", "StandardWire", "connect", "start_child"]

REAP_SECONDS = 1.0
"""How long a child that was killed is waited for; only one that hangs in the kernel takes so long."""
ATOMIC = 512 if sys.platform == "win32" else select.PIPE_BUF
"""Bytes that a blocking pipe takes without blocking, once it is said to take any."""


class ListeningWire(Wire, Protocol):
    def listen(self) -> None:
        """Read, as long as the link wants data."""


# Descriptors.


class _Input(Protocol):
    def listen(self) -> None: ...
    def drain(self) -> None: ...
    def close(self) -> None: ...


class _WatchedInput:
    """A descriptor that the loop watches. `give` gets what was read, b"" at the end."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        descriptor: int,
        wants_data: Callable[[], bool],
        give: Callable[[bytes], None],
    ) -> None:
        """Raises NotImplementedError or PermissionError if the loop cannot watch it."""
        self._loop = loop
        self._descriptor = descriptor
        self._wants_data = wants_data
        self._give = give
        self._is_watched = self._has_ended = False
        self.listen()

    def listen(self) -> None:
        if not self._is_watched and not self._has_ended:
            self._loop.add_reader(self._descriptor, self._on_readable)
            self._is_watched = True

    def drain(self) -> None:
        """What can be read without waiting. For a descriptor that does not block."""
        taken = 0
        while taken < DRAIN_LIMIT and not self._has_ended:
            size = self._read()
            if not size:
                return
            taken += size

    def close(self) -> None:
        self._has_ended = True
        self._stop()

    def _on_readable(self) -> None:
        if self._wants_data():
            self._read()
        else:
            self._stop()

    def _read(self) -> int:
        try:
            data = os.read(self._descriptor, READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            data = b""  # a terminal that was hung up
        if not data:
            self.close()
        self._give(data)
        return len(data)

    def _stop(self) -> None:
        if self._is_watched:
            self._is_watched = False
            _unless_closed(self._loop.remove_reader, self._descriptor)


class _ThreadInput:
    """A descriptor that blocks: a thread reads a piece when it is wanted, and the piece is kept till then."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        descriptor: int,
        wants_data: Callable[[], bool],
        give: Callable[[bytes], None],
    ) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._wants_data = wants_data
        self._give = give
        self._is_reading = self._has_ended = False

    def listen(self) -> None:
        if not self._is_reading and not self._has_ended and self._wants_data():
            self._is_reading = True
            # A duplicate, because a descriptor that is closed under a thread may be somebody else's next.
            reading = partial(self._read, os.dup(self._descriptor))
            threading.Thread(target=reading, name="tako-link", daemon=True).start()

    def drain(self) -> None:
        """Its thread cannot be hurried."""

    def close(self) -> None:
        self._has_ended = True

    def _read(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, READ_SIZE)
        except OSError:
            data = b""
        finally:
            os.close(descriptor)
        _unless_closed(self._loop.call_soon_threadsafe, self._take, data)

    def _take(self, data: bytes) -> None:
        self._is_reading = False
        if self._has_ended:
            return
        self._has_ended = not data
        self._give(data)
        self.listen()


class _Output(Protocol):
    def write(self, data: bytearray) -> int: ...
    def await_room(self) -> None: ...
    def close(self) -> None: ...


class _WatchedOutput:
    """A descriptor that the loop can watch; one that `blocks` is written in pieces it has room for."""

    def __init__(self, link: Link, descriptor: int, *, blocks: bool) -> None:
        self._link = link
        self._descriptor = descriptor
        self._blocks = blocks
        self._is_watched = False

    def write(self, data: bytearray) -> int:
        if self._blocks:
            return _write_what_fits(self._descriptor, data)
        try:
            return os.write(self._descriptor, data)
        except (BlockingIOError, InterruptedError):
            return 0

    def await_room(self) -> None:
        self._is_watched = True
        self._link.loop.add_writer(self._descriptor, self._on_writable)

    def close(self) -> None:
        if self._is_watched:
            self._is_watched = False
            _unless_closed(self._link.loop.remove_writer, self._descriptor)

    def _on_writable(self) -> None:
        self.close()
        self._link.has_room()


class _ThreadOutput:
    """A descriptor that blocks and cannot be watched: a thread writes one piece at a time."""

    def __init__(self, link: Link, descriptor: int) -> None:
        self._link = link
        self._descriptor = descriptor
        self._is_writing = self._is_closed = False
        self._written = 0  # of what the last call was given

    def write(self, data: bytearray) -> int:
        if self._is_writing:
            return 0
        written, self._written = self._written, 0
        if piece := bytes(data[written : written + READ_SIZE]):
            self._is_writing = True
            writing = partial(self._write, os.dup(self._descriptor), piece)
            threading.Thread(target=writing, name="tako-link", daemon=True).start()
        return written

    def await_room(self) -> None:
        """The thread tells when it has done."""

    def close(self) -> None:
        self._is_closed = True

    def _write(self, descriptor: int, piece: bytes) -> None:
        reason = None
        rest = memoryview(piece)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            reason = error.strerror
        finally:
            os.close(descriptor)
        _unless_closed(self._link.loop.call_soon_threadsafe, self._after, len(piece), reason)

    def _after(self, written: int, reason: str | None) -> None:
        self._is_writing = False
        self._written = written
        if self._is_closed:
            return
        if reason is not None:
            self._link.broke(reason)
        else:
            self._link.has_room()


def _input(
    loop: asyncio.AbstractEventLoop,
    descriptor: int,
    wants_data: Callable[[], bool],
    give: Callable[[bytes], None],
) -> _Input:
    """By the loop if it can, else by a thread."""
    try:
        return _WatchedInput(loop, descriptor, wants_data, give)
    except (NotImplementedError, PermissionError):
        return _ThreadInput(loop, descriptor, wants_data, give)


def _write_what_fits(descriptor: int, data: bytearray) -> int:
    """Write to what blocks, without blocking: a flag of the other end's is not ours to change."""
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    written = 0
    while written < len(data) and room.poll(0):
        written += os.write(descriptor, data[written : written + ATOMIC])
    return written


def _unless_closed(function: Callable[..., object], *arguments: Any) -> None:
    try:
        function(*arguments)
    except RuntimeError:
        pass  # the loop is closed, and watches nothing any more


# Children.


def start_child(link: Link, endpoint: Child) -> ChildWire:
    """Raises TransportError if it cannot be started."""
    try:
        process = subprocess.Popen(
            endpoint.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
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

    def __init__(self, link: Link, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        self._link = link
        self._process = process
        self._files = (process.stdin, process.stdout, process.stderr)
        stdin, stdout, stderr = (file.fileno() for file in self._files)
        if sys.platform != "win32":
            for descriptor in (stdin, stdout, stderr):
                os.set_blocking(descriptor, False)
        self._output: _Output = (
            _ThreadOutput(link, stdin)
            if sys.platform == "win32"
            else _WatchedOutput(link, stdin, blocks=False)
        )
        self._input = _input(link.loop, stdout, lambda: link.wants_data, link.received)
        self._errors = _input(link.loop, stderr, lambda: True, link.tail.add)
        self._errors.listen()
        self.listen = self._input.listen
        self.write, self.await_room = self._output.write, self._output.await_room
        self._death = self._watch_death()

    def drain(self) -> None:
        self._errors.drain()
        self._input.drain()

    def finish(self) -> None:
        self._output.close()
        self._files[0].close()

    def terminate(self) -> None:
        _signal_group(self._process, signal.SIGTERM)

    def close(self) -> None:
        if self._process.returncode is None:
            _kill_group(self._process)
            _reap(self._process)
        self._unwatch_death()
        self._input.close()
        self._errors.close()
        self._output.close()
        for file in self._files:
            file.close()

    def _watch_death(self) -> int | None:
        """A descriptor that is readable when the child has died; None where there is no such thing."""
        if sys.platform == "linux":
            try:
                descriptor = os.pidfd_open(self._process.pid)
            except OSError:
                pass  # an old kernel, or one that is imitated
            else:
                self._link.loop.add_reader(descriptor, self._on_death)
                return descriptor
        threading.Thread(target=self._wait_for_death, name="tako-child", daemon=True).start()
        return None

    def _unwatch_death(self) -> None:
        if self._death is not None:
            _unless_closed(self._link.loop.remove_reader, self._death)
            os.close(self._death)
            self._death = None

    def _wait_for_death(self) -> None:
        if sys.platform == "win32":
            self._process.wait()
        else:
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        _unless_closed(self._link.loop.call_soon_threadsafe, self._on_death)

    def _on_death(self) -> None:
        self._unwatch_death()
        if not self._link.is_gone:
            _kill_group(self._process)  # what it leaves behind, while the number is still its own
            self._link.exited(self._process.wait())


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    if sys.platform == "win32":
        process.terminate()
        return
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # nobody is left of it, or on macOS only the dead


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    _signal_group(process, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)


def _reap(process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + REAP_SECONDS
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.0005)


# Sockets.


async def connect(link: Link, endpoint: Socket) -> SocketWire:
    """To the first address that answers; raises TransportError or TimedOut."""
    where = peer_of(endpoint)
    phase = "connect" if endpoint.tls is None else "tls"
    try:
        async with asyncio.timeout(endpoint.connect_timeout):
            return await _first_that_answers(link, endpoint)
    except OSError as error:
        if isinstance(error, ConnectionRefusedError):
            phase = "connect"
        raise translate(error, phase, where, endpoint.connect_timeout) from error


async def _first_that_answers(link: Link, endpoint: Socket) -> SocketWire:
    context = None
    if endpoint.tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        apply_tls(context, endpoint.tls)
        if endpoint.protocols:
            context.set_alpn_protocols(endpoint.protocols)
    failure = OSError("the name has no address")
    for address in dict.fromkeys(await look_up(endpoint.host, endpoint.port)):
        try:
            _, wire = await link.loop.create_connection(
                lambda: SocketWire(link),
                address,
                endpoint.port,
                ssl=context,
                server_hostname=(endpoint.server_name or endpoint.host) if context else None,
            )
        except OSError as error:
            # asyncio says "Connect call failed" instead of why.
            failure = error if error.errno is None or isinstance(error, ssl.SSLError) else _plain(error)
        else:
            return wire
    raise failure


def _plain(error: OSError) -> OSError:
    return OSError(error.errno, os.strerror(error.errno or 0))


class SocketWire(asyncio.Protocol):
    """A connection; paused from the first piece on that nobody waits for."""

    is_child = False
    ends_with_input = True

    def __init__(self, link: Link) -> None:
        self._link = link
        self._is_full = self._is_closed = False
        self._is_paused = True
        self._transport: asyncio.Transport

    def listen(self) -> None:
        if self._is_paused and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()

    def write(self, data: bytearray) -> int:
        if self._is_full:
            return 0
        if self._transport.is_closing():
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        self._transport.write(bytes(data))
        return len(data)

    def await_room(self) -> None:
        """`resume_writing` tells."""

    def drain(self) -> None:
        """There is no child."""

    def finish(self) -> None:
        """The peer sees the end when this is closed."""

    def terminate(self) -> None:
        """There is no child."""

    def close(self) -> None:
        self._is_closed = True
        _unless_closed(self._transport.abort)  # `close` would wait for what TLS says last

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=1, low=0)  # a high of 0 is full for ever under TLS
        self._transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        if not self._link.wants_data and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._link.received(data)

    def eof_received(self) -> bool:
        if not self._is_closed:
            self._link.received(b"")
        return self._transport.get_extra_info("sslcontext") is None  # to go on writing; TLS cannot

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._is_closed:
            self._link.broke(str(exc.strerror or exc) if isinstance(exc, OSError) else "")

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if not self._is_closed:
            self._link.has_room()


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
        self._input = _input(link.loop, streams.source, lambda: link.wants_data, link.received)
        self._output: _Output = (
            _WatchedOutput(link, streams.sink, blocks=True)
            if _is_pipe_or_socket(streams.sink)
            else _ThreadOutput(link, streams.sink)
        )
        self.listen = self._input.listen
        self.write, self.await_room = self._output.write, self._output.await_room

    def drain(self) -> None:
        """There is no child."""

    def finish(self) -> None:
        """They are the process's, and end with it."""

    def terminate(self) -> None:
        """There is no child."""

    def close(self) -> None:
        self._input.close()
        self._output.close()
        self._streams.close()


def _is_pipe_or_socket(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return sys.platform != "win32" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))
