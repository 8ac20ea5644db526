"""Mailbox: where one thread waits for what others put in, for so long and no longer.

It is what queue.SimpleQueue is, but for one thing. CPython's has looked at the clock twice by the time it
waits (seen on 3.11): if the time was over in between, or while a signal was handled, it takes what is left,
a number below zero, for "for ever". A lock keeps to its time.

Invariants. The lock is free, or there is nothing to be told: whoever puts something in frees it after that,
so whoever finds nothing and then gets the lock looks once more. `put` waits for nobody, so that it may be
called in a signal handler, and in the midst of `get`.
"""

from __future__ import annotations

from collections import deque
from queue import Empty
from threading import Lock
from typing import Generic, TypeVar

__all__ = ["Empty", "Mailbox"]

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Many may put in; one takes out."""

    __slots__ = ("items", "lock")

    def __init__(self) -> None:
        self.items: deque[T] = deque()
        """What is in it, for the one who takes out."""
        self.lock = Lock()
        self.lock.acquire()

    def put(self, item: T) -> None:
        self.items.append(item)
        if self.lock.locked():
            try:
                self.lock.release()
            except RuntimeError:
                pass  # somebody else has put something in at this very moment

    def get(self, *, timeout: float | None = None) -> T:
        """The next; raises Empty after the seconds."""
        items = self.items
        while not items:
            if not self.lock.acquire(timeout=-1 if timeout is None else timeout):
                raise Empty
        return items.popleft()
