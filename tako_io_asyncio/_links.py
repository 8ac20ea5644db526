"""Links under asyncio: how an asker waits, and how a link's wire is had to read.

An asker waits for a future. The wire, which is in _wires.py, is told to `listen` when somebody waits, and
stops by itself when there is something to read that nobody waits for. So one Ask after another costs no
system calls but those that write, poll and read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tako.driving.async_links import AsyncLink, AsyncLinks
from tako.driving.live_link import Asking, peer_of
from tako.links import Child, Endpoint, LinkMachine, Socket, StandardStreams
from tako_io_asyncio._wires import ListeningWire, StandardWire, connect, start_child

__all__ = ["Link", "Links"]


class Links(AsyncLinks):
    """The links of a Runtime in one event loop."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()

    async def _connect(self, endpoint: Endpoint, machine: LinkMachine) -> AsyncLink:
        link = Link(self.loop, peer_of(endpoint), machine)
        match endpoint:
            case Child():
                link.start(start_child(link, endpoint))
            case Socket():
                link.start(await connect(link, endpoint))
            case StandardStreams():
                link.start(StandardWire(link))
        return link


class _Waiter:
    __slots__ = ("_future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._future: asyncio.Future[None] = loop.create_future()

    def wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)

    def wait(self) -> asyncio.Future[None]:
        return self._future


class Link(AsyncLink):
    """An open link. Its wire is told to `listen` when somebody waits, and stops by itself."""

    __slots__ = ("_tasks", "loop")

    _wire: ListeningWire

    def __init__(self, loop: asyncio.AbstractEventLoop, peer: str, machine: LinkMachine) -> None:
        super().__init__(peer, machine)
        self.loop = loop
        self._tasks: set[asyncio.Task[None]] = set()

    def _waiter(self) -> _Waiter:
        return _Waiter(self.loop)

    async def _hear(self, asking: Asking, waiter: Any) -> None:
        self._wire.listen()
        await waiter.wait()

    async def _outlast(self, condition: Callable[[], bool], seconds: float) -> bool:
        self._wire.listen()
        if not condition():
            try:
                async with asyncio.timeout(seconds):
                    await self._until(condition)
            except TimeoutError:
                pass
        return condition()

    def _listen(self) -> None:
        self._wire.listen()

    def _soon(self, function: Callable[[], None]) -> None:
        try:
            self.loop.call_soon_threadsafe(function)
        except RuntimeError:
            pass  # the loop is closed, and with it the link

    def _later(self, seconds: float, function: Callable[[], None]) -> None:
        self.loop.call_later(seconds, function)

    def _background(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = self.loop.create_task(function())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
