"""AsyncGroup: the children of a Gather, each a task with a driver of its own.

| who                 | does                                              | waits for                      |
|---------------------|---------------------------------------------------|--------------------------------|
| a child's task      | drives its flow, puts its events into the buffer  | room, while the group is open  |
| the parent's driver | takes one event when it is asked for one          | an event, or the last end      |

The children have to live while the consumer of the parent holds an event, and nothing may be held
open around that: so their tasks are the group's, and in no task group or nursery of the caller's.
How they are started and waited for is the library's; all else is here.

Invariants. Events come in the order of their arrival. The children are at most EVENT_BUFFER ahead of
the consumer; once they are cancelled they get as much room again, for they have something left to
say and the consumer may never read again. When `next_event` gives NO_MORE, or `stop` is done, no
child is left.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from contextvars import copy_context
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from tako.cancellation import CancellationToken
from tako.driving.gathering import Gathering
from tako.driving.steps import Returned
from tako.effects import EVENT_BUFFER, Effect, Failed, Flow, Gather, Outcome, Succeeded
from tako.errors import Cancelled

if TYPE_CHECKING:
    from tako.driving.async_driver import AsyncDriver

__all__ = ["NO_MORE", "AsyncGroup", "Room"]


class _NoMore(Enum):
    NO_MORE = "no more"


NO_MORE: Final = _NoMore.NO_MORE


class Room(Protocol):
    """A semaphore of the library's, for as many events as the buffer has places."""

    async def acquire(self) -> object: ...
    def release(self) -> None: ...


class AsyncGroup(ABC):
    """Flows side by side, and what they say."""

    native_cancelled: ClassVar[type[BaseException]]
    """What the library raises in a task that it cancels."""

    def __init__(self, parent: AsyncDriver[Any], effect: Gather, room: Room) -> None:
        token = parent.steps.token
        self._parent = parent
        self._gathering = Gathering(effect)
        self._token = token.child() if token is not None else CancellationToken()
        self._context = copy_context()
        self._events: deque[Any] = deque()
        self._room = room
        self._crash: BaseException | None = None
        self._is_cancelled = False
        self._is_stopping = False

    async def next_event(self) -> Any:
        """The next event of any child, NO_MORE once all have ended."""
        while not self._events:
            if self._gathering.is_done:
                return NO_MORE
            await self._wait_for_news()
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
        self._tell()  # if none has started, none will tell of its end

    async def stop(self) -> None:
        """Cancel the children and stay until they are gone, even if this is cancelled meanwhile."""
        self._is_stopping = True
        self.cancel()
        self._make_room(self._gathering.running)
        try:
            await self._outlast()
        finally:
            self._token.detach()

    # The library's own.

    @abstractmethod
    def _spawn(self, index: int, flow: Flow[Any]) -> None:
        """Start a task that does `_drive`, in a copy of `_context`."""

    @abstractmethod
    async def _wait_for_news(self) -> None:
        """Wait for the next `_tell`."""

    @abstractmethod
    def _tell(self) -> None:
        """Wake the parent, if it waits for news."""

    @abstractmethod
    async def _outlast(self) -> None:
        """Wait for news until the gathering is done; if this is cancelled meanwhile, then after it."""

    # A child.

    def _start(self) -> None:
        """Start as many as may run."""
        while (child := self._gathering.next_to_start()) is not None:
            self._spawn(*child)

    async def _drive(self, index: int, flow: Flow[Any]) -> None:
        outcome: Outcome[Any] = Failed(Cancelled())
        try:
            outcome = await self._outcome(self._parent.child(flow, self._token))
        except self.native_cancelled:
            raise
        except BaseException as crash:
            self._crash = crash
        finally:
            self._gathering.ended(index, outcome)
            if self._crash or not self._gathering.is_open or self._parent.steps.must_stop:
                self.cancel()
            else:
                self._start()
            self._tell()

    async def _outcome(self, driver: AsyncDriver[Any]) -> Outcome[Any]:
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
        self._tell()

    def _make_room(self, count: int) -> None:
        for _ in range(count):
            self._room.release()
