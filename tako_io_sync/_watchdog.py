"""The watchdog: wakes a flow whose time is up while its thread waits in a system call.

A socket's own timeout bounds one read, and a peer that sends a byte now and then never reaches it.
Deadlines of all flows of a runtime are watched by one thread, which lives only while there are any.

Invariants. A plain call never starts it. A watch that was ended is not called any more, but may be
in the midst of its call when `end` returns. Callbacks run in the watchdog's thread, one after the
other, so they must not wait.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from time import monotonic

__all__ = ["Watch", "Watchdog"]


class Watch:
    """One deadline, to be ended when it does not matter any more."""

    __slots__ = ("callback", "deadline", "watchdog")

    def __init__(self, watchdog: Watchdog, deadline: float, callback: Callable[[], None]) -> None:
        self.watchdog = watchdog
        self.deadline = deadline
        self.callback: Callable[[], None] | None = callback

    def __lt__(self, other: Watch) -> bool:
        return self.deadline < other.deadline


class Watchdog:
    """Calls back at deadlines on the monotonic clock."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watches: list[Watch] = []
        self._live = 0  # watches in the heap that were not ended
        self._thread: threading.Thread | None = None

    def watch(self, deadline: float, callback: Callable[[], None]) -> Watch:
        """Call back at the deadline, unless `end` is called before."""
        watch = Watch(self, deadline, callback)
        with self._changed:
            heapq.heappush(self._watches, watch)
            self._live += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="tako-watchdog", daemon=True)
                self._thread.start()
            elif self._watches[0] is watch:
                self._changed.notify()
        return watch

    def end(self, watch: Watch) -> None:
        """The deadline does not matter any more. Idempotent."""
        if watch.watchdog is not self:
            return  # it was its parent's, before a fork
        with self._changed:
            if watch.callback is None:
                return
            watch.callback = None
            self._live -= 1
            last = None
            if not self._live:
                last = self._thread
                self._changed.notify()
        if last is not None and last is not threading.current_thread():
            last.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._live:
                    self._watches.clear()
                    self._thread = None
                    return
                watch = self._watches[0]
                callback = watch.callback
                left = watch.deadline - monotonic()
                if callback is not None and left > 0:
                    self._changed.wait(min(left, threading.TIMEOUT_MAX))
                    continue
                heapq.heappop(self._watches)
                if callback is None:
                    continue
                watch.callback = None
                self._live -= 1
            callback()
