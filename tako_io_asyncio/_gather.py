"""Group: an AsyncGroup whose children are asyncio's tasks.

They are no TaskGroup's, because nothing may be held open while the consumer holds an event.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tako.driving.async_driver import AsyncDriver
from tako.driving.async_group import AsyncGroup
from tako.effects import EVENT_BUFFER, Flow, Gather

__all__ = ["Group"]


class Group(AsyncGroup):
    """Flows side by side, and what they say."""

    native_cancelled = asyncio.CancelledError

    def __init__(self, parent: AsyncDriver[Any], effect: Gather) -> None:
        super().__init__(parent, effect, asyncio.Semaphore(EVENT_BUFFER))
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()  # the loop holds them weakly
        self._start()

    def _spawn(self, index: int, flow: Flow[Any]) -> None:
        task = asyncio.create_task(self._drive(index, flow), context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wait_for_news(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _tell(self) -> None:
        self._news.set()

    async def _outlast(self) -> None:
        cancelled: asyncio.CancelledError | None = None
        while not self._gathering.is_done:
            try:
                await self._wait_for_news()
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
