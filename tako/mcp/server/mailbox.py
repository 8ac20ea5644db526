"""Mailbox: what is put in from any thread, one flow takes out.

A tool that reports its progress runs in a worker thread, or in a task that awaits; the flow that writes to
the client waits elsewhere. Neither may wait for the other, and no lock is held.

| a mailbox is | from      | `put`                            | `take`                              |
|--------------|-----------|----------------------------------|-------------------------------------|
| open         | the start | keeps it, or False if it is full | all there is, waiting for the first |
| closed       | `close`   | False                            | what is left, and then [] for ever  |

Invariants. One flow takes. Nothing that was kept is lost, and it is taken in the order in which it was put.
No wake-up is missed: who takes hangs up its bell before it looks, and who puts rings it afterwards.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, TypeVar

from tako.cancellation import CancellationToken
from tako.effects import Flow, Sleep, within
from tako.errors import Interrupted, TimedOut

__all__ = ["Mailbox", "sleep_for_ever"]

T = TypeVar("T")

MAX_KEPT: Final = 1024
"""What may wait for a peer that does not read. Progress and log messages beyond it are dropped."""
_NAP: Final = 3600.0


class Mailbox(Generic[T]):
    """A way from many threads to one flow."""

    __slots__ = ("_bell", "_is_closed", "_is_rung", "_kept", "_limit")

    def __init__(self, limit: int = MAX_KEPT) -> None:
        self._limit = limit
        self._kept: deque[T] = deque()
        self._bell: CancellationToken | None = None
        self._is_closed = False
        self._is_rung = False

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def put(self, item: T, *, must: bool = False) -> bool:
        """Keep it, and wake who takes; False if it was dropped. What `must` be kept is not counted."""
        if self._is_closed or (len(self._kept) >= self._limit and not must):
            return False
        self._kept.append(item)
        self._wake()
        return True

    def ring(self) -> None:
        """Have who takes look again, or not wait the next time."""
        self._is_rung = True
        self._wake()

    def close(self) -> None:
        """Nothing will be put any more."""
        self._is_closed = True
        self._wake()

    def take(self, seconds: float | None = None) -> Flow[list[T]]:
        """All there is, in order; [] if there is nothing, and it was closed or rung, or the time is over."""
        self._bell = bell = CancellationToken()
        if not self._kept and not self._is_closed and not self._is_rung:
            try:
                yield from within(seconds, sleep_for_ever(), bell)
            except (Interrupted, TimedOut):
                pass
        self._is_rung = False
        taken: list[T] = []
        while self._kept:
            taken.append(self._kept.popleft())
        return taken

    def _wake(self) -> None:
        bell = self._bell
        if bell is not None:
            bell.cancel()


def sleep_for_ever() -> Flow[None]:
    """Wait for a token, or a limit of time."""
    while True:
        yield Sleep(_NAP)
