"""Group: an AsyncGroup whose children live in a nursery in a system task of trio's.

The nursery is none in the caller's task, because nothing may be held open while the consumer holds
an event. An error that left a system task would end the whole run of trio: so none does, they are
the parent's.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import trio

from tako.driving.async_driver import AsyncDriver
from tako.driving.async_group import AsyncGroup
from tako.effects import EVENT_BUFFER, Flow, Gather

__all__ = ["Group"]


class Group(AsyncGroup):
    """Flows side by side, and what they say."""

    native_cancelled = trio.Cancelled

    def __init__(self, parent: AsyncDriver[Any], effect: Gather) -> None:
        super().__init__(parent, effect, _Room())
        self._news = trio.lowlevel.ParkingLot()
        self._nursery: trio.Nursery | None = None
        trio.lowlevel.spawn_system_task(self._host, name="tako Gather", context=self._context)

    async def _host(self) -> None:
        """The system task: lives from the first child to the last."""
        async with trio.open_nursery() as self._nursery:
            self._start()

    def _spawn(self, index: int, flow: Flow[Any]) -> None:
        assert self._nursery is not None
        self._context.copy().run(self._nursery.start_soon, partial(self._drive, index, flow))

    async def _wait_for_news(self) -> None:
        await self._news.park()

    def _tell(self) -> None:
        self._news.unpark_all()

    async def _outlast(self) -> None:
        with trio.CancelScope(shield=True):
            while not self._gathering.is_done:
                await self._wait_for_news()


class _Room:
    """A semaphore that is no checkpoint while there is room: a child runs on, as it does under asyncio."""

    def __init__(self) -> None:
        self._places = trio.Semaphore(EVENT_BUFFER)

    async def acquire(self) -> None:
        try:
            self._places.acquire_nowait()
        except trio.WouldBlock:
            await self._places.acquire()

    def release(self) -> None:
        self._places.release()
