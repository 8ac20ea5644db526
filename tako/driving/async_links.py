"""AsyncLink: a link under an async library; AsyncLinks: all those of a Runtime, and what it keeps.

What asyncio and trio do alike is here: in which order things are said, who is told, and how a link ends.
How to wait is the `AsyncLink` of an arm, and the bytes go through its `Wire`: the pipes of a child, a
socket, our own standard streams.

| state    | how it is reached                         | then                                          |
|----------|-------------------------------------------|-----------------------------------------------|
| open     | `start`                                   | asks and tells are written as they come       |
| breaking | the input has ended, where that is the    | a child has PATIENCE to exit, so that its     |
|          | end; or a write failed: the peer is deaf  | code can be told; then it is lost             |
| lost     | breaking is over, or the child has died   | all who wait hear why; it ends                |
| ending   | `hang_up`, lost, the machine `is_over`    | nobody may ask any more, who waits may get it |
|          |                                           | yet; last words are written, the wire's       |
|          |                                           | output is finished; the peer may go           |
| gone     | it went, was sent SIGTERM and went, or    | nothing of it is left: no process, no         |
|          | was killed; `close`, which waits for none | descriptor, no task                           |

Invariants. All of this happens in the thread of the library; only `poke` may be called from another. A
wait that is cut short takes nothing with it: bytes that were to be written still are, whole and in their
order, and what was read is given to the machine. Of our own standard streams the output outlives the
input: when that has ended the link lives on, with nothing to read, until its machine is over. Whoever finds
more than ROOM unwritten bytes waits until the peer has taken some, before the machine hears of the message.
The input is read only while somebody waits for an outcome, or the link is ending, and never while it is
flooded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from copy import copy
from typing import Any, Protocol

from tako.driving.live_link import (
    ORDERLY,
    ROOM,
    Asking,
    LiveLink,
    Tail,
    link_closed,
    link_lost,
    link_numbers,
    no_such_link,
)
from tako.effects import Flow, OnError, gather, hang_up, within
from tako.errors import InvalidInput
from tako.links import Child, Endpoint, Kept, LinkMachine

__all__ = ["DRAIN_LIMIT", "READ_SIZE", "AsyncLink", "AsyncLinks", "Waiter", "Wire"]

READ_SIZE = 65536
DRAIN_LIMIT = 1 << 20
"""Bytes that are still read of what a dead child has written: as much as a pipe can be made to hold."""
PATIENCE = 0.05
"""Seconds that a child which has closed its output has to exit, before the link is lost without a code."""
TERMINATION = 0.5
"""Seconds between SIGTERM and SIGKILL."""
FAREWELL = 2.0
"""Seconds that each of what a Runtime keeps has for its farewell."""


class Waiter(Protocol):
    """Somebody who waits, once. A wake that comes before the wait, twice or too late does no harm."""

    def wake(self) -> None: ...

    def wait(self) -> Awaitable[object]: ...


class Wire(Protocol):
    """The bytes of one link. It tells its link of `received`, `broke`, `exited` and `has_room`."""

    @property
    def is_child(self) -> bool:
        """Whether there will be a call of `exited`."""

    @property
    def ends_with_input(self) -> bool:
        """Whether there is nobody to write to when the input has ended."""

    def write(self, data: bytearray) -> int:
        """How much of it the system has taken, at once. Raises OSError."""

    def await_room(self) -> None:
        """Call `has_room` when the system takes more."""

    def drain(self) -> None:
        """Take in what a child has written already, without waiting."""

    def finish(self) -> None:
        """Nothing more is written: a child is to see the end of its input."""

    def terminate(self) -> None:
        """Ask a child and its group to end."""

    def close(self) -> None:
        """Let go of everything, at once; a child and its group are killed. Called once; never fails."""


class AsyncLink(ABC):
    """An open link, for any number of tasks at once."""

    __slots__ = (
        "_code", "_has_ended", "_has_finished", "_is_breaking", "_is_deaf", "_is_ending", "_is_full",
        "_is_gone", "_is_poked", "_peer", "_reason", "_taken", "_watchers", "_wire", "live", "tail",
    )  # fmt: skip

    _wire: Wire

    def __init__(self, peer: str, machine: LinkMachine) -> None:
        """`peer` is what errors call the other end."""
        self.live = LiveLink(machine)
        self.tail = Tail()
        self._peer = peer
        self._code: int | None = None
        self._reason = ""
        self._taken = 0  # bytes, since the beginning
        self._watchers: dict[Waiter, None] = {}
        self._has_ended = self._has_finished = False  # the input, the output
        self._is_deaf = False  # the peer
        self._is_full = self._is_poked = self._is_breaking = self._is_ending = self._is_gone = False

    def start(self, wire: Wire) -> None:
        """The wire is open."""
        self._wire = wire
        try:
            self.live.machine.attach(self.poke)
            self.live.settle()
            self.flush()
        except BaseException:
            self.close()
            raise

    @property
    def wants_data(self) -> bool:
        """Whether the wire is to read: for those who wait, or so that the peer can say its last and go."""
        return (self.live.is_awaited or self._is_ending) and not self.live.is_flooded

    @property
    def is_gone(self) -> bool:
        return self._is_gone

    # For those who ask.

    async def ask(self, message: Any) -> Any:
        """What the machine gives as the answer; raises its failure, or why the link was lost."""
        live = self.live
        if len(live.outgoing) > ROOM:
            await self._until(self._has_few_bytes)
        self._require_open()
        waiter = self._waiter()
        asking = live.ask(message, waiter.wake)
        self.flush()
        if asking.outcome is None:
            try:
                await self._hear(asking, waiter)
            except BaseException:
                live.forget(asking)
                self.flush()
                raise
        return asking.result()

    async def tell(self, message: Any) -> None:
        """Send, and wait until the system has taken it; raises what the machine refuses it with."""
        live = self.live
        if len(live.outgoing) > ROOM:
            await self._until(self._has_few_bytes)
        self._require_open()
        live.tell(message)
        self.flush()
        if not live.outgoing:
            return
        mark = self._taken + len(live.outgoing)
        await self._until(lambda: self._taken >= mark or live.error is not None)
        if live.error is not None and self._taken < mark:
            raise copy(live.error)

    async def hang_up(self, seconds: float = ORDERLY) -> None:
        """End in order if the peer does so within the seconds, else by force; cut short, by force at once."""
        if self._is_ending:
            await self._until(self._has_gone)
            return
        self._is_ending = True
        try:
            self.live.goodbye()
            await self._end(seconds)
        finally:
            self.close()

    def close(self) -> None:
        """End by force, now. Idempotent, and never fails; also when the library has stopped."""
        if self._is_gone:
            return
        self._is_gone = self._is_ending = True
        self.live.lost(link_closed())
        self._wire.close()
        self._changed()

    def poke(self) -> None:
        """As LinkMachine.attach says: from any thread."""
        if not self._is_poked:
            self._is_poked = True
            self._soon(self._poked)

    # For the wire.

    def received(self, data: bytes) -> None:
        """What was read; b"" is the end."""
        if self._has_ended:
            return
        self._has_ended = not data
        self.live.received(data)
        self.flush()
        if not data and self._wire.ends_with_input:
            self._break("")
        if self._is_ending:
            self._changed()  # the machine may be over by now

    def broke(self, reason: str) -> None:
        """Nothing more can be written. The rest of what the peer has said may still be read."""
        self._is_deaf = True
        self._break(reason)

    def exited(self, code: int) -> None:
        """The child has died. What it had said by then still counts."""
        self._code = code
        self._is_breaking = self._is_deaf = True
        self._lose()

    def _break(self, reason: str) -> None:
        is_news = not self._is_breaking
        if is_news:
            self._is_breaking = True
            self._reason = reason
        if not self._wire.is_child or self._code is not None or self.live.error is not None:
            self._lose()
        elif is_news:
            self._later(PATIENCE, self._lose)

    def has_room(self) -> None:
        """The system takes more."""
        self._is_full = False
        self.flush()
        self._listen()  # it may have been flooded

    def flush(self) -> None:
        """Write what there is, as far as the system takes it; end the link if its machine is done with it."""
        live = self.live
        if live.outgoing and not self._is_full:
            self._write(live.outgoing)
        if live.error is None and not self._is_ending and live.machine.is_over:
            if not self._has_ended:
                self._end_of_use()
            elif not self._wire.ends_with_input:
                self._end_of_output()

    # Inside.

    def _write(self, outgoing: bytearray) -> None:
        if self._is_deaf or self._has_finished:
            return
        try:
            taken = self._wire.write(outgoing)
        except OSError as error:
            self.broke(error.strerror or str(error))
            return
        self._taken += taken
        if taken == len(outgoing):
            outgoing.clear()
        else:
            del outgoing[:taken]
            self._is_full = True
            self._wire.await_room()
        if self._is_ending and not outgoing:
            self._finish()
        if self._watchers:
            self._changed()

    def _finish(self) -> None:
        """All is said."""
        if not self._has_finished:
            self._has_finished = True
            self._wire.finish()

    def _end_of_use(self) -> None:
        """The machine is over."""
        live = self.live
        if not live.outgoing:
            self._is_ending = True
            live.goodbye()
            if live.outgoing:
                self._write(live.outgoing)
            live.lost(link_closed())
            self._background(self._end_lost)

    def _end_of_output(self) -> None:
        """The machine is over, and the input has ended before."""
        if not self.live.outgoing:
            self._lose()
        elif not self._is_breaking:
            self._is_breaking = True
            self._later(ORDERLY, self._lose)

    def _poked(self) -> None:
        self._is_poked = False
        if not self._is_gone:
            self.live.settle()
            self.flush()

    def _lose(self) -> None:
        """Tell all who wait why there is no link any more, and end what there is of it."""
        live = self.live
        if live.error is None:
            self._wire.drain()
            live.lost(
                link_closed()
                if self._is_ending
                else link_lost(
                    self._peer,
                    code=self._code,
                    tail=self.tail.text(),
                    reason=self._reason if self._code is None else "",
                )
            )
        self._changed()
        if not self._is_ending:
            if self._is_done():
                self.close()
            else:
                self._is_ending = True
                self._background(self._end_lost)

    async def _end_lost(self) -> None:
        try:
            await self._end(ORDERLY)
        finally:
            self.close()

    async def _end(self, seconds: float) -> None:
        """Have the peer take the last words, and go."""
        self.flush()
        if self._is_deaf or not self.live.outgoing:
            self._finish()
        self._changed()
        if not await self._outlast(self._is_done, seconds) and self._wire.is_child:
            self._wire.terminate()
            await self._outlast(self._is_done, TERMINATION)

    def _is_done(self) -> bool:
        """Whether the peer has gone, or has no more to say to what we have said last."""
        if self._wire.is_child:
            return self._code is not None
        return self._is_deaf or (not self.live.outgoing and (self._has_ended or self.live.machine.is_over))

    def _has_gone(self) -> bool:
        return self._is_gone

    def _has_few_bytes(self) -> bool:
        return self._is_ending or len(self.live.outgoing) <= ROOM

    def _require_open(self) -> None:
        if self._is_ending:
            raise copy(self.live.error) if self.live.error is not None else link_closed()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            waiter = self._waiter()
            self._watchers[waiter] = None
            try:
                await waiter.wait()
            finally:
                self._watchers.pop(waiter, None)

    def _changed(self) -> None:
        """Whoever waits in `_until` looks again."""
        watchers, self._watchers = self._watchers, {}
        for waiter in watchers:
            waiter.wake()

    # The library's own.

    @abstractmethod
    def _waiter(self) -> Waiter:
        """The task that runs now, as one who will wait."""

    @abstractmethod
    async def _hear(self, asking: Asking, waiter: Waiter) -> None:
        """Have the wire read, until the asking has its outcome."""

    @abstractmethod
    async def _outlast(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Have the wire read, until the condition holds, which is told; no longer than the seconds."""

    @abstractmethod
    def _listen(self) -> None:
        """Have the wire read, if data is wanted."""

    @abstractmethod
    def _soon(self, function: Callable[[], None]) -> None:
        """Have it called in the library's thread, unless that is over. From any thread."""

    @abstractmethod
    def _later(self, seconds: float, function: Callable[[], None]) -> None:
        """Have it called after the seconds, unless the library has stopped by then."""

    @abstractmethod
    def _background(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start it as a task of nobody's, which is cancelled when the library stops."""


class AsyncLinks(ABC):
    """The links of a Runtime by their numbers, and what it keeps, where it runs."""

    def __init__(self) -> None:
        self._links: dict[int, AsyncLink] = {}
        self._kept: dict[Hashable, Kept] = {}
        self._is_closing = False

    @abstractmethod
    async def _connect(self, endpoint: Endpoint, machine: LinkMachine) -> AsyncLink:
        """A link that has started; cut short, it leaves nothing behind. Raises TransportError, TimedOut."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to say farewell to."""
        return not self._links and not self._kept

    async def open(self, endpoint: Endpoint, machine: LinkMachine) -> int:
        """The number of a new link; raises TransportError, TimedOut or InvalidInput."""
        if isinstance(endpoint, Child) and not endpoint.command:
            raise InvalidInput("command: expected a program and its arguments, not nothing")
        link = await self._connect(endpoint, machine)
        if self._is_closing:
            link.close()
            raise link_closed()
        number = next(link_numbers)
        self._links[number] = link
        return number

    async def hang_up(self, number: int, seconds: float) -> None:
        link = self._links.get(number)
        if link is None:
            return
        try:
            await link.hang_up(seconds)
        finally:
            if link.is_gone:
                self._links.pop(number, None)

    def keep(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """What is kept under the key; raises InvalidInput if it would have to be made at the end."""
        kept = self._kept.get(key)
        if kept is None:
            if self._is_closing:
                raise InvalidInput("this Runtime is being closed: it keeps nothing new")
            kept = self._kept[key] = make()
        return kept

    def farewell(self) -> Flow[None]:
        """Bid farewell to what is kept, then hang up; to be driven before `close`."""
        self._is_closing = True
        kept = tuple(self._kept.values())
        yield from gather(*map(_bid_farewell, kept), on_error=OnError.COLLECT)
        yield from gather(*map(hang_up, tuple(self._links)), on_error=OnError.COLLECT)

    def close(self) -> None:
        """End by force what is left, now. Idempotent; also when the library has stopped."""
        self._is_closing = True
        self._kept.clear()
        links, self._links = self._links, {}
        for link in links.values():
            link.close()

    def __getitem__(self, number: int) -> AsyncLink:
        """Raises TransportError, as for any link that was closed at this end."""
        link = self._links.get(number)
        if link is None:
            raise no_such_link()
        return link


def _bid_farewell(kept: Kept) -> Flow[None]:
    yield from within(FAREWELL, kept.farewell())
