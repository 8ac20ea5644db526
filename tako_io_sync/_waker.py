"""Waker: a pipe to oneself, to end a poll from another thread or from a signal handler."""

from __future__ import annotations

import os
import threading
from math import ceil

__all__ = ["Waker", "milliseconds"]

LONGEST = 86_400.0
"""Seconds of one poll, whose limit has to fit into an int of C."""


class Waker:
    """`descriptor` is readable from `set` until `clear`. Raises OSError if there are no descriptors left."""

    __slots__ = ("_end", "_is_set", "_lock", "descriptor")

    def __init__(self) -> None:
        self.descriptor, self._end = os.pipe()
        os.set_blocking(self.descriptor, False)
        self._is_set = False
        self._lock = threading.RLock()  # reentrant: a signal handler may set what it interrupts

    def set(self) -> None:
        """Never waits. After `close` it does nothing: the descriptor may be another's by then."""
        with self._lock:
            if not self._is_set and self._end >= 0:
                self._is_set = True
                os.write(self._end, b"\0")

    def clear(self) -> None:
        """What was set before has to be looked at after this."""
        with self._lock:
            if self._is_set:
                self._is_set = False
                os.read(self.descriptor, 16)

    def close(self) -> None:
        """Idempotent."""
        with self._lock:
            end, self._end = self._end, -1
            if end >= 0:
                os.close(end)
                os.close(self.descriptor)

    def forget(self) -> None:
        """Close it in a forked process, where the lock may be held by a thread that is not there."""
        self._lock = threading.RLock()
        self.close()


def milliseconds(seconds: float | None) -> int | None:
    """What poll takes; it never ends before the time."""
    return None if seconds is None else ceil(min(seconds, LONGEST) * 1000)
