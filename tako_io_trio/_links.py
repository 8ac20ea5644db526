"""Links under trio: how an asker waits, and who reads.

There is no task that reads. Whoever waits for an outcome, and finds that nobody reads, reads for all: a
task of its own would cost each Ask another round of trio's scheduler. One who reads and gets what he
waited for, or is cut short, wakes another of those who wait, and that one reads on.

| who waits | does what                  | and is woken                                               |
|-----------|----------------------------|------------------------------------------------------------|
| reader    | reads                      | by what it reads; by its outcome, which interrupts         |
| follower  | is parked                  | by its outcome; to be the reader                           |

Invariants. A read that is cut short loses nothing. No exception leaves a system task, for that would end
the run of trio.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

import trio

from tako.driving.async_links import AsyncLink, AsyncLinks
from tako.driving.live_link import Asking, peer_of
from tako.links import Child, Endpoint, LinkMachine, Socket, StandardStreams
from tako_io_trio._wires import StandardWire, TrioWire, connect, start_child

__all__ = ["Link", "Links"]


class Links(AsyncLinks):
    """The links of a Runtime in one run of trio."""

    def __init__(self) -> None:
        super().__init__()
        self.run = trio.lowlevel.current_trio_token()

    async def _connect(self, endpoint: Endpoint, machine: LinkMachine) -> AsyncLink:
        link = Link(peer_of(endpoint), machine)
        match endpoint:
            case Child():
                link.start(await start_child(link, endpoint))
            case Socket():
                link.start(await connect(link, endpoint))
            case StandardStreams():
                link.start(StandardWire(link))
        return link


class _Waiter:
    """A task, parked while it waits."""

    __slots__ = ("_is_woken", "_task")

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None
        self._is_woken = False

    def wake(self) -> None:
        self._is_woken = True
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    async def wait(self) -> None:
        if self._is_woken:
            return
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


class _Asker(_Waiter):
    """One who waits for an outcome: parked, or reading a wire."""

    __slots__ = ("wire",)

    def __init__(self) -> None:
        super().__init__()
        self.wire: TrioWire | None = None

    def wake(self) -> None:
        if self.wire is not None:
            self.wire.interrupt()
        else:
            super().wake()

    def read_on(self) -> None:
        """Be the reader."""
        super().wake()
        self._is_woken = False


class Link(AsyncLink):
    """An open link, read by whoever waits."""

    __slots__ = ("_followers", "_is_read", "_run")

    _wire: TrioWire

    def __init__(self, peer: str, machine: LinkMachine) -> None:
        super().__init__(peer, machine)
        self._run = trio.lowlevel.current_trio_token()
        self._is_read = False
        self._followers: dict[_Asker, None] = {}

    def _waiter(self) -> _Asker:
        return _Asker()

    async def _hear(self, asking: Asking, waiter: Any) -> None:
        asker = cast(_Asker, waiter)
        try:
            while asking.outcome is None:
                if not self._can_be_read:
                    self._followers[asker] = None
                    await asker.wait()
                else:
                    await self._read(asker)
        finally:
            self._followers.pop(asker, None)
            self._listen()

    @property
    def _can_be_read(self) -> bool:
        return not self._is_read and not self._has_ended and not self.live.is_flooded

    def _listen(self) -> None:
        if self._followers and self._can_be_read:
            self._followers.popitem()[0].read_on()

    async def _read(self, asker: _Asker) -> None:
        """Read one piece, for all."""
        self._is_read = True
        asker.wire = self._wire
        try:
            data = await self._wire.read()
        finally:
            asker.wire = None
            self._is_read = False
        if data is not None:
            self.received(data)

    async def _outlast(self, condition: Callable[[], bool], seconds: float) -> bool:
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                ender = _Asker()
                nursery.start_soon(self._hear, Asking(ender.wake), ender)
                await self._until(condition)
                nursery.cancel_scope.cancel()
        return condition()

    def _soon(self, function: Callable[[], None]) -> None:
        try:
            self._run.run_sync_soon(function)
        except trio.RunFinishedError:
            pass  # and with the run, the link

    def _later(self, seconds: float, function: Callable[[], None]) -> None:
        async def wait() -> None:
            await trio.sleep(seconds)
            function()

        self._background(wait)

    def _background(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.spawn(function)

    def spawn(self, function: Callable[[], Awaitable[None]]) -> None:
        """Start a system task."""
        try:
            trio.lowlevel.spawn_system_task(self._contain, function, name="tako link")
        except RuntimeError:
            pass  # the run is ending, and the link with it

    async def _contain(self, function: Callable[[], Awaitable[None]]) -> None:
        """No error may leave a system task; it would be a machine's, and the link is of no use after it."""
        try:
            await function()
        except Exception:
            self.close()
