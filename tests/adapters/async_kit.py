"""What the tests of the two async arms share: an Arm, small flows, odd servers, certificates.

Every scenario is written once, as an async function, and played by an Arm: `arm.play(scenario)`
runs it in a fresh event loop and then looks for what was left behind: descriptors, tasks, the
threads of calls, warnings of things that were not closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import ssl
import threading
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import trio
import trustme

import tako_io_asyncio
import tako_io_trio
from tako.cancellation import CancellationToken
from tako.effects import Close, Emit, Flow, HttpRequest, Receive, Send

Scenario = Callable[[], Awaitable[None]]


@dataclass
class Leaving:
    """Whether `arm.leave_after` cut its block short."""

    left: bool = False


class Arm:
    """An async adapter, and the few things of its library that a scenario needs."""

    name: str
    module: ModuleType
    native: type[BaseException]
    """What the library raises in a task that it cancels."""

    def __init__(self) -> None:
        self.run = self.module.run
        self.stream = self.module.stream
        self.Runtime = self.module.Runtime

    def play(self, scenario: Scenario, *, left_threads: int = 0) -> None:
        files = descriptors()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            self._play(scenario)
            gc.collect()
        assert not [str(warning.message) for warning in warned if warning.category is ResourceWarning]
        wait_until(lambda: descriptors() <= files, "a descriptor was left behind")
        wait_until(lambda: len(call_threads()) <= left_threads, "a thread was left behind")

    def _play(self, scenario: Scenario) -> None:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError

    def leave_after(self, seconds: float) -> contextlib.AbstractAsyncContextManager[Leaving]:
        """Cancel the block, as the library does it."""
        raise NotImplementedError

    async def side_by_side(self, *scenarios: Scenario) -> None:
        raise NotImplementedError

    async def until(self, condition: Callable[[], bool], complaint: str, seconds: float = 2.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, complaint
            await self.sleep(0.002)

    async def collect(self, flow: Flow[Any], **options: Any) -> tuple[list[Any], Any]:
        """All events of a flow, and its result."""
        stream = self.stream(flow, **options)
        events = [event async for event in stream]
        return events, stream.result


class TrioArm(Arm):
    name = "trio"
    module = tako_io_trio
    native = trio.Cancelled

    def _play(self, scenario: Scenario) -> None:
        async def main() -> None:
            tasks = trio.lowlevel.current_statistics().tasks_living
            await scenario()
            await self.until(  # one may be the default Runtime's
                lambda: trio.lowlevel.current_statistics().tasks_living <= tasks + 1, "a task was left behind"
            )

        trio.run(main)

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    @contextlib.asynccontextmanager
    async def leave_after(self, seconds: float) -> AsyncIterator[Leaving]:
        leaving = Leaving()
        with trio.move_on_after(seconds) as scope:
            yield leaving
        leaving.left = scope.cancelled_caught

    async def side_by_side(self, *scenarios: Scenario) -> None:
        async with trio.open_nursery() as nursery:
            for scenario in scenarios:
                nursery.start_soon(scenario)


class AsyncioArm(Arm):
    name = "asyncio"
    module = tako_io_asyncio
    native = asyncio.CancelledError

    def _play(self, scenario: Scenario) -> None:
        async def main() -> None:
            complaints: list[dict[str, Any]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
            await scenario()
            assert len(asyncio.all_tasks()) == 1, "a task was left behind"
            task = asyncio.current_task()
            assert task is not None and task.cancelling() == 0, "a cancel was left behind"
            gc.collect()
            assert not complaints

        asyncio.run(main())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @contextlib.asynccontextmanager
    async def leave_after(self, seconds: float) -> AsyncIterator[Leaving]:
        leaving = Leaving()
        try:
            async with asyncio.timeout(seconds) as limit:
                yield leaving
        except TimeoutError:
            if not limit.expired():
                raise
            leaving.left = True

    async def side_by_side(self, *scenarios: Scenario) -> None:
        async with asyncio.TaskGroup() as group:
            for scenario in scenarios:
                group.create_task(scenario())  # type: ignore[arg-type]


# Flows.


def get(url: str, **options: Any) -> HttpRequest:
    return HttpRequest("GET", url, **options)


def fetch(request: HttpRequest) -> Flow[tuple[int, bytes]]:
    """The whole answer."""
    head = yield Send(request)
    pieces = []
    while data := (yield Receive(head.exchange)):
        pieces.append(data)
    yield Close(head.exchange)
    return head.status, b"".join(pieces)


def relay(request: HttpRequest) -> Flow[str]:
    """The answer as events, piece by piece."""
    head = yield Send(request)
    yield Emit(("head",))
    while data := (yield Receive(head.exchange)):
        yield Emit((data,))
    yield Close(head.exchange)
    return "whole"


def numbers(count: int, result: Any = None) -> Flow[Any]:
    for number in range(count):
        yield Emit((number,))
    return result


# What is left behind.


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def call_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "tako-call"]


def wait_until(condition: Callable[[], bool], complaint: str, seconds: float = 2.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, complaint
        time.sleep(0.002)


@dataclass
class Cancelling:
    """Cancels a token from another thread a little later, and knows how long it took from then on."""

    token: CancellationToken = field(default_factory=CancellationToken)
    seconds: float = 0.05
    moment: float = 0.0
    took: float = -1.0

    def __enter__(self) -> CancellationToken:
        self._timer = threading.Timer(self.seconds, self._cancel)
        self._timer.start()
        return self.token

    def _cancel(self) -> None:
        self.moment = time.monotonic()
        self.token.cancel()

    def __exit__(self, *_: object) -> None:
        self.took = time.monotonic() - self.moment if self.moment else -1.0
        self._timer.join()


# Odd servers.


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port where connecting neither succeeds nor fails."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        time.sleep(0.01)
        yield listener.getsockname()[1]


@contextlib.contextmanager
def serving(serve: Callable[[socket.socket], object]) -> Iterator[int]:
    """A port where each connection is handed to `serve`, one after the other, and closed."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(5)
    open_now: list[socket.socket] = []
    closing = False

    def accept() -> None:
        with contextlib.suppress(OSError):
            while not closing:
                connection, _ = listener.accept()
                open_now.append(connection)
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(5)
                    serve(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        closing = True
        for connection in open_now:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def read_head(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(65536)
        if not received:
            raise ConnectionError
        data += received
    return data


def silence(connection: socket.socket) -> None:
    """Read whatever comes, say nothing."""
    while connection.recv(65536):
        pass


@dataclass
class Certificates:
    """An authority, and what it has signed."""

    authority: trustme.CA
    roots: str
    """PEM of the authority."""

    @classmethod
    def make(cls) -> Certificates:
        authority = trustme.CA()
        return cls(authority, authority.cert_pem.bytes().decode())

    def server_context(self, *names: str, names_asked: list[str | None] | None = None) -> ssl.SSLContext:
        """A server for these names; notes the names that clients ask for."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(*names).configure_cert(context)
        if names_asked is not None:
            context.sni_callback = lambda _, name, __: names_asked.append(name)  # type: ignore[assignment]
        return context
