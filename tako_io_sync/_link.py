"""Link: an open link in the blocking arm. Whoever waits reads, for all who wait.

There is no thread that serves a link. Of those who wait for something on it one is the reader: it polls
the descriptors, writes what is left to be written, gives the machine what has come, and wakes the others,
who wait at an inbox each. When its own wait is over it hands the reading on; if nobody is left, nobody
reads, and the peer is held back by its own full pipe.

| a waiter  | waits at         | until                                                               |
|-----------|------------------|---------------------------------------------------------------------|
| reads     | the descriptors  | it is done, or must stop: then the eldest of those who follow reads |
| follows   | its inbox        | it is done, or must stop, or is to read                             |

| whose wait | is done when                                           | and if it is cut short       |
|------------|--------------------------------------------------------|------------------------------|
| an Ask's   | its outcome has come, or the link is lost              | the machine is to forget it  |
| a Tell's   | the system has taken its bytes, or the link is lost    | they stay on their way       |
| a Hangup's | the link is closed                                     | it is closed by force        |

A Waiter is an inbox too, so `Driver.wait` waits at it as at any other: a token or a deadline is heard within
milliseconds, by a reader through the waker, a pipe that is polled along with the rest.

| a link     | until                                        | meanwhile                                    |
|------------|----------------------------------------------|----------------------------------------------|
| open       | the peer has gone, the machine is over, or   | anybody may ask; our own standard output is  |
|            | somebody hangs up                            | open though the input has ended              |
| hanging up | the peer has gone, or the time is up         | nobody may; who waits may yet be answered    |
| lost       | nobody polls its descriptors any more        | everybody has heard why, and whoever asks    |
|            |                                              | hears it again                               |
| closed     |                                              | its process is reaped, nothing is left open  |

Invariants. The machine, the stream and all of this are touched under the lock alone, which is never held
while waiting for a peer (for a dying process, 0.15 s at most). Only the reader polls, and nothing that it
may be polling is closed before it has left. The lock is not reentrant: if a machine, or a signal handler,
pokes while it is held, its holder does what is to be done. If a signal handler raises there, the link is
lost: what it has read or written may be torn. Nobody gives the machine more while ROOM bytes are unwritten,
and nothing is read while the link is flooded. Whoever is alone on a link writes, polls and
reads, and nothing else: there is no other system call, no thread, no wake-up.
"""

from __future__ import annotations

import select
import threading
from collections import deque
from collections.abc import Callable, Iterable
from copy import copy
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from tako.driving.live_link import ORDERLY, ROOM, LiveLink, link_closed
from tako.errors import TakoError
from tako.links import LinkMachine
from tako_io_sync._calls import WAKE, Interrupted
from tako_io_sync._mailbox import Empty, Mailbox
from tako_io_sync._waker import Waker, milliseconds

if TYPE_CHECKING:
    from tako_io_sync._driver import Driver

__all__ = ["Link", "Stream"]

TORN = "something was raised while it was read or written"
"""Why a link is lost on which a signal handler has interrupted us: nobody knows which bytes have gone."""

LOOK = 0.05
"""Seconds between two looks at how late it is, when the last words are being written."""

FORCE = 1.0
"""Seconds after which one who closes by force does not wait for the reader to leave."""

MOST_LAST_READS = 64
"""Reads of what a lost peer has left behind: who holds its pipe may write for ever."""


class Stream(Protocol):
    """What a link goes over. Nothing waits: `read` and `write` raise BlockingIOError instead, or OSError."""

    source: int
    """The descriptor that `read` reads from."""
    sink: int
    """The one that `write` writes to; maybe the same."""
    others: tuple[int, ...]
    """What is polled besides, and then handed to `attend`."""
    period: float | None
    """Seconds between two looks at `has_died`, where no descriptor tells of it."""
    outlives: bool
    """Whether it is to be waited for when the input has ended and we hang up: a process."""
    ends_with_input: bool
    """Whether there is nobody to write to when the input has ended."""

    @property
    def wants_to_write(self) -> bool:
        """True if a read is waiting until it can write: TLS."""

    def read(self) -> bytes: ...

    def write(self, data: bytearray) -> int: ...

    def attend(self, descriptor: int) -> bool:
        """See what there is; False if it is not to be polled any more."""

    def has_died(self) -> bool:
        """True when the peer is no more, even if somebody holds its end open."""

    def finish_writing(self) -> None:
        """There will be nothing more."""

    def obituary(self, reason: str) -> TakoError:
        """Why it was lost."""

    def terminate(self) -> bool:
        """Demand an end; False if there is nobody to demand it from."""

    def kill(self) -> None: ...

    def close(self) -> None:
        """End what is left of the peer, and close the descriptors."""

    def forget(self) -> None:
        """In a forked process: close our copies, and leave everything else alone."""


class Waiter(Mailbox[Any]):
    """One thread's wait for something on a link; an inbox for `Driver.wait`."""

    __slots__ = ("_link", "end", "is_done")

    def __init__(self, link: Link) -> None:
        # As a Mailbox begins; there is one of these for each message, so each call counts.
        self.items = deque()
        self.lock = threading.Lock()
        self.lock.acquire()
        self._link = link
        self.is_done = False
        self.end = 0
        """Of a Tell: how many bytes the link has to have written."""

    def put(self, item: Any) -> None:
        """Have `get` return. From any thread, also in a signal handler: takes no lock of the link."""
        super().put(item)
        if self._link.reader is self:
            self._link.waker.set()

    def get(self, *, timeout: float | None = None) -> Any:
        """WAKE, or None: something has changed. Raises Empty after the seconds."""
        link, items = self._link, self.items
        if link.reader is not self:
            return None if self.is_done else super().get(timeout=timeout)
        end = None if timeout is None else monotonic() + timeout
        while not items:
            link.read(self, timeout)
            if self.is_done:
                return None
            if end is not None and (timeout := end - monotonic()) <= 0 and not items:
                raise Empty
        return items.popleft()

    def finish(self) -> None:
        """It has come. Called under the lock."""
        self.is_done = True
        self._link.waiters.pop(self, None)
        super().put(None)

    def succeed(self) -> None:
        """Nobody reads now: it is to. Called under the lock."""
        self._link.reader = self
        super().put(None)


class Link:
    """One open link, for any number of threads. `with link:` holds its lock."""

    def __init__(self, stream: Stream, machine: LinkMachine) -> None:
        """Raises what the machine does, and OSError; the stream is then still open."""
        self.waker = Waker()
        self.reader: Waiter | None = None
        self._stream = stream
        self._lock = threading.Lock()
        self._poll = select.poll()
        for descriptor in {stream.source, self.waker.descriptor, *stream.others}:
            self._poll.register(descriptor, select.POLLIN)
        self._polled = select.POLLIN
        self._period = stream.period
        self._last_moment: float | None = None  # for the last words, once there is nothing else to do
        self.waiters: dict[Waiter, None] = {}  # who is not done, in the order in which they came
        self._tellers: list[Waiter] = []
        self._written = 0
        self._is_poked = False
        self._is_hanging_up = False
        self._has_ended = False  # the input
        self._has_finished = False  # the output
        self._is_closed = False
        try:
            self._live = LiveLink(machine)
            with self:
                machine.attach(self.poke)
                self._live.settle()
                self._flush()
        except BaseException:
            self.waker.close()
            raise

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None and not isinstance(error, TakoError):
            self._lose(TORN)
        self._leave()
        if self._is_poked:
            self.poke()

    def ask(self, driver: Driver, message: Any) -> Any:
        """The answer; raises the failure, what the machine refuses it with, or why the link was lost."""
        waiter, asking = Waiter(self), None
        self._make_room(driver)
        try:
            with self:
                self._require_open()
                asking = self._live.ask(message, waiter.finish)
                self._join(waiter)
                self._flush()
            self._wait(driver, waiter)
        except BaseException as error:  # also one that a signal handler has raised anywhere in here
            with self:
                self._part(waiter)
                if asking is not None:
                    self._live.forget(asking)
                    self._flush()
            if asking is None or asking.outcome is None or not isinstance(error, Interrupted):
                raise
        return asking.result()

    def tell(self, driver: Driver, message: Any) -> None:
        """Returns when the system has taken the bytes; raises as `ask`."""

        def say() -> int:
            self._live.tell(message)
            return len(self._live.outgoing)

        self._make_room(driver)
        self._wait_for_writing(driver, say)

    def poke(self) -> None:
        """The machine has something by itself. From any thread, also while the lock is held."""
        self._is_poked = True
        while self._is_poked and self._lock.acquire(blocking=False):  # else the holder does it
            self._is_poked = False
            try:
                if not self._is_closed:
                    self._live.settle()
                    self._flush()
            finally:
                self._leave()

    def say_goodbye(self) -> None:
        """From now on nobody can ask, and the peer is told that this is the end."""
        with self:
            if not self._is_hanging_up and self._live.error is None:
                self._is_hanging_up = True
                self._live.goodbye()
                self._flush()

    def wait_until_closed(self, seconds: float, driver: Driver | None) -> bool:
        """Whether it is, in time; reads if nobody else does. Raises Interrupted."""
        waiter = Waiter(self)
        with self:
            if self._is_closed:
                return True
            self._join(waiter)
        end = monotonic() + seconds
        try:
            while not waiter.is_done:
                left = max(0.0, end - monotonic())
                item = waiter.get(timeout=left) if driver is None else driver.wait(waiter, left)
                if item is WAKE and driver is not None and driver.steps.must_stop:
                    raise Interrupted
        except Empty:
            return waiter.is_done
        finally:
            with self:
                self._part(waiter)
        return True

    def terminate(self) -> bool:
        """Demand that the peer ends; False if there is nobody to demand it from."""
        with self:
            return not self._is_closed and self._stream.terminate()

    def force(self) -> None:
        """Close it, whatever the peer does."""
        with self:
            if self._is_closed:
                return
            self._is_hanging_up = True
            self._stream.kill()
            self._lose()
        self.wait_until_closed(FORCE, None)  # a reader has to leave first

    def forget(self) -> None:
        """In a forked process: it is the parent's. Its lock may be held by a thread that is not here."""
        self._is_closed = True
        self._stream.forget()
        self.waker.forget()

    def read(self, reader: Waiter, seconds: float | None) -> None:
        """Wait until something happens, and see to it. For the reader alone, who may be none afterwards."""
        if self._interest() != self._polled:
            with self:
                self._poll_for_interest()
        period = self._period
        if period is not None and (seconds is None or seconds > period):
            seconds = period
        events = self._poll.poll(milliseconds(seconds))
        with self:
            if self._live.error is None:
                self._handle(events)
            if reader.is_done or self._live.error is not None:
                self._hand_over()

    def _make_room(self, driver: Driver) -> None:
        """Wait until the peer has taken enough of what there is for it already."""
        if len(self._live.outgoing) > ROOM:
            self._wait_for_writing(driver, lambda: len(self._live.outgoing) - ROOM)

    def _wait_for_writing(self, driver: Driver, say: Callable[[], int]) -> None:
        """Wait until so many of the unwritten bytes are taken as `say` gives, which the lock is held for."""
        waiter = Waiter(self)
        try:
            with self:
                self._require_open()
                waiter.end = say() + self._written
                self._tellers.append(waiter)
                self._join(waiter)
                self._flush()
            self._wait(driver, waiter)
        except BaseException:
            with self:
                self._part(waiter)
                if waiter in self._tellers:
                    self._tellers.remove(waiter)
            raise
        if self._written < waiter.end:
            self._require_open()

    def _wait(self, driver: Driver, waiter: Waiter) -> None:
        """Until it is done; raises Interrupted if the flow must stop before."""
        while not waiter.is_done:
            if driver.wait(waiter) is WAKE and driver.steps.must_stop:
                raise Interrupted
        if self.reader is waiter:  # it was done before it could read
            with self:
                self._part(waiter)

    # What follows is done under the lock.

    def _leave(self) -> None:
        """Release the lock, when what was done with the link has had its consequences."""
        try:
            live, reader = self._live, self.reader
            if live.outgoing:
                if self._has_ended and self._last_moment is None and live.machine.is_over:
                    self._last_moment = monotonic() + ORDERLY
                    self._period = LOOK
                    self.waker.set()
                elif reader is not None and self._polled == select.POLLIN:
                    self.waker.set()
            elif live.error is None and (self._is_hanging_up or live.machine.is_over):
                self._end()
            if live.error is not None:
                if reader is not None:
                    self.waker.set()
                elif not self._is_closed:
                    self._close()
            elif reader is not None and reader.is_done:
                self.waker.set()
        finally:
            self._lock.release()

    def _end(self) -> None:
        """Everything was said: the peer is to end now, or is not needed any more."""
        is_over = self._live.machine.is_over
        if not self._is_hanging_up and not self._has_ended:
            self._is_hanging_up = True
            self._live.goodbye()
            self._flush()
            self._lose()
        elif not self._is_hanging_up or ((is_over or self._has_ended) and not self._stream.outlives):
            self._lose()
        elif not self._has_finished and self._polled == select.POLLIN:
            self._has_finished = True
            self._stream.finish_writing()

    def _require_open(self) -> None:
        if self._is_hanging_up:
            raise link_closed()
        if self._live.error is not None:
            raise copy(self._live.error)

    def _join(self, waiter: Waiter) -> None:
        if not waiter.is_done:
            self.waiters[waiter] = None
            if self.reader is None:
                self.reader = waiter

    def _part(self, waiter: Waiter) -> None:
        """It waits no more."""
        self.waiters.pop(waiter, None)
        if self.reader is waiter:
            self._hand_over()

    def _hand_over(self) -> None:
        """The reader reads no more: the next one does, if there is one."""
        self.reader = None
        if self._live.error is None:
            for eldest in self.waiters:
                eldest.succeed()
                break

    def _handle(self, events: Iterable[tuple[int, int]]) -> None:
        stream = self._stream
        for descriptor, what in events:
            if descriptor == stream.source:
                if what != select.POLLOUT or stream.wants_to_write:
                    self._receive()
            elif descriptor == self.waker.descriptor:
                self.waker.clear()
            elif descriptor != stream.sink and not stream.attend(descriptor):
                self._poll.unregister(descriptor)
        self._flush()
        if self._live.error is None:
            last = self._last_moment
            if stream.has_died() or (last is not None and monotonic() >= last):
                self._lose()
            else:
                self._poll_for_interest()

    def _receive(self) -> None:
        if self._live.error is not None:
            return
        try:
            data = self._stream.read()
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        if data:
            self._live.received(data)
        elif self._stream.ends_with_input and not (self._is_hanging_up and self._stream.outlives):
            self._lose()
        else:
            self._end_input()
            self._poll.unregister(self._stream.source)

    def _flush(self) -> None:
        """Write what the system takes now."""
        outgoing, write = self._live.outgoing, self._stream.write
        try:
            while outgoing:
                if self._has_finished:
                    outgoing.clear()
                    break
                size = write(outgoing)
                del outgoing[:size]
                self._written += size
        except BlockingIOError:
            pass
        except OSError as error:
            self._lose(error.strerror or str(error))
        if self._tellers:
            for teller in [each for each in self._tellers if each.end <= self._written]:
                self._tellers.remove(teller)
                teller.finish()

    def _interest(self) -> int:
        """What the descriptors are to be polled for."""
        live = self._live
        if live.outgoing and live.is_flooded:
            return select.POLLOUT
        return (
            select.POLLIN | select.POLLOUT if live.outgoing or self._stream.wants_to_write else select.POLLIN
        )

    def _poll_for_interest(self) -> None:
        """For the reader alone."""
        wanted, stream = self._interest(), self._stream
        changed = wanted ^ self._polled
        self._polled = wanted
        if stream.sink == stream.source:
            if changed:
                self._poll.register(stream.sink, wanted)
            return
        if changed & select.POLLOUT:
            self._poll_descriptor(stream.sink, wanted & select.POLLOUT)
        if changed & select.POLLIN and not self._has_ended:
            self._poll_descriptor(stream.source, wanted & select.POLLIN)

    def _poll_descriptor(self, descriptor: int, what: int) -> None:
        if what:
            self._poll.register(descriptor, what)
        else:
            self._poll.unregister(
                descriptor
            )  # a mask of nothing would still tell of its end, again and again

    def _end_input(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._live.received(b"")

    def _lose(self, reason: str = "") -> None:
        """The peer is gone, or we are: everybody gets what there still is, and then the reason."""
        live = self._live
        if live.error is not None:
            return
        for _ in range(MOST_LAST_READS):
            try:
                data = self._stream.read()
            except OSError:
                break  # BlockingIOError, as a rule
            if not data:
                self._end_input()
                break
            live.received(data)
        live.lost(link_closed() if self._is_hanging_up else self._stream.obituary(reason))
        tellers, self._tellers = self._tellers, []
        for teller in tellers:
            teller.finish()

    def _close(self) -> None:
        """Nobody polls any more."""
        self._is_closed = True
        self._stream.close()
        self.waker.close()
        for waiter in list(self.waiters):
            waiter.finish()
