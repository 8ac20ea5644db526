"""Group: the children of a Gather, each a task with a driver of its own.

| who                | does                                               | waits for                      |
|--------------------|----------------------------------------------------|--------------------------------|
| a child's task     | drives its flow, puts its events into the buffer   | room, while the group is open  |
| the parent's driver | takes one event when it is asked for one          | an event, or the last end      |

The tasks belong to the group and not to a TaskGroup, because they have to live while the consumer
of the parent holds an event, and nothing may be held open around that.

Invariants. Events come in the order of their arrival. The children are at most EVENT_BUFFER ahead of
the consumer; once they are cancelled they get as much room again, for they have something left to
say and the consumer may never read again. When `next_event` gives NO_MORE, or `stop` is done, no
child is left.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import copy_context
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from tako.cancellation import CancellationToken
from tako.driving.gathering import Gathering
from tako.driving.steps import Returned
from tako.effects import EVENT_BUFFER, Effect, Failed, Flow, Gather, Outcome, Succeeded
from tako.errors import Cancelled

if TYPE_CHECKING:
    from tako_io_asyncio._driver import Driver

__all__ = ["NO_MORE", "Group"]


class _NoMore(Enum):
    NO_MORE = "no more"


NO_MORE: Final = _NoMore.NO_MORE


class Group:
    """Flows side by side, and what they say."""

    def __init__(self, parent: Driver[Any], effect: Gather) -> None:
        token = parent.steps.token
        self._parent = parent
        self._gathering = Gathering(effect)
        self._token = token.child() if token is not None else CancellationToken()
        self._context = copy_context()
        self._events: deque[Any] = deque()
        self._room = asyncio.Semaphore(EVENT_BUFFER)
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._crash: BaseException | None = None
        self._is_cancelled = False
        self._is_stopping = False
        self._start()

    async def next_event(self) -> Any:
        """The next event of any child, NO_MORE once all have ended."""
        while not self._events:
            if self._gathering.is_done:
                return NO_MORE
            self._news.clear()
            await self._news.wait()
        self._room.release()
        return self._events.popleft()

    def resume(self) -> Effect | Returned[Any]:
        """Go on with the parent, after NO_MORE. Raises what no flow can handle: KeyboardInterrupt."""
        self._token.detach()
        if self._crash is not None:
            raise self._crash
        return self._gathering.resume(self._parent.steps)

    def cancel(self) -> None:
        """Start no more, and have those that run end. Idempotent."""
        self._gathering.close()
        if not self._is_cancelled:
            self._is_cancelled = True
            self._make_room(EVENT_BUFFER)
        try:
            self._token.cancel()
        except Exception as error:  # a callback that somebody hung on the token of a call
            self._crash = error

    async def stop(self) -> None:
        """Cancel the children and stay until they are gone, even if this is cancelled meanwhile."""
        self._is_stopping = True
        self.cancel()
        self._make_room(len(self._tasks))
        cancelled: asyncio.CancelledError | None = None
        while not self._gathering.is_done:
            self._news.clear()
            try:
                await self._news.wait()
            except asyncio.CancelledError as error:
                cancelled = error
        self._token.detach()
        if cancelled is not None:
            raise cancelled

    def _start(self) -> None:
        """Start as many as may run."""
        while (child := self._gathering.next_to_start()) is not None:
            task = asyncio.create_task(self._drive(*child), context=self._context.copy())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _drive(self, index: int, flow: Flow[Any]) -> None:
        outcome: Outcome[Any] = Failed(Cancelled())
        try:
            outcome = await self._outcome(self._parent.child(flow, self._token))
        except asyncio.CancelledError:
            raise
        except BaseException as crash:
            self._crash = crash
        finally:
            self._gathering.ended(index, outcome)
            if self._crash or not self._gathering.is_open or self._parent.steps.must_stop:
                self.cancel()
            else:
                self._start()
            self._news.set()

    async def _outcome(self, driver: Driver[Any]) -> Outcome[Any]:
        try:
            while (events := await driver.advance()) is not None:
                for event in events:
                    await self._hand_over(event)
                if self._is_stopping:
                    break  # `close` tells the flow, and gives what it still gives back
            await driver.close()
            return Succeeded(driver.result)
        except Exception as error:
            return Failed(error)
        finally:
            await driver.close()

    async def _hand_over(self, event: Any) -> None:
        if self._is_stopping:
            return
        await self._room.acquire()
        self._events.append(event)
        self._news.set()

    def _make_room(self, count: int) -> None:
        for _ in range(count):
            self._room.release()
