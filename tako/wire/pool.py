"""Idle connections, by what they lead to: bookkeeping without I/O.

The connection that was used last is taken first, so that the others can grow old and go. Every
connection that is handed in comes out exactly once: taken, or among those that the pool gives back
to be closed. Those are part of the answer of every call, so nobody can forget to look for them.

All idle connections stand in one line, in the order in which they became idle, and in one stack
for each key. What is too old is at the front of the line and, for the same reason, at the bottom
of its stack. So each call looks at what it removes and at nothing else.

For one thread, or one event loop. `now` must not go back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Pool"]

Connection = TypeVar("Connection")


class _Idle(Generic[Connection]):
    """Compared by identity, so that equal connections are not mixed up."""

    __slots__ = ("connection", "key", "since")

    def __init__(self, key: Hashable, connection: Connection, since: float) -> None:
        self.key = key
        self.connection = connection
        self.since = since


class Pool(Generic[Connection]):
    """Idle connections, at most `max_idle_per_key` for a key, none idle for `idle_seconds`."""

    def __init__(self, *, max_idle_per_key: int = 32, idle_seconds: float = 90.0) -> None:
        self._max_idle_per_key = max_idle_per_key
        self._idle_seconds = idle_seconds
        self._line: dict[_Idle[Connection], None] = {}  # a dict keeps its order and can lose its middle
        self._stacks: dict[Hashable, deque[_Idle[Connection]]] = {}

    def __len__(self) -> int:
        return len(self._line)

    def take(self, key: Hashable, now: float) -> tuple[Connection | None, list[Connection]]:
        """The connection for this key that was used last, and those to close."""
        expired = self._expire(now)
        stack = self._stacks.get(key)
        if stack is None:
            return None, expired
        idle = stack.pop()
        if not stack:
            del self._stacks[key]
        del self._line[idle]
        return idle.connection, expired

    def put(self, key: Hashable, connection: Connection, now: float) -> list[Connection]:
        """Keep an idle connection; gives those to close, the oldest of its key where there are too many."""
        to_close = self._expire(now)
        idle = _Idle(key, connection, now)
        self._line[idle] = None
        stack = self._stacks.setdefault(key, deque())
        stack.append(idle)
        if len(stack) > self._max_idle_per_key:
            to_close.append(self._remove_oldest(stack))
        return to_close

    def drain(self) -> list[Connection]:
        """All of them, to be closed."""
        connections = [idle.connection for idle in self._line]
        self._line.clear()
        self._stacks.clear()
        return connections

    def _expire(self, now: float) -> list[Connection]:
        expired: list[Connection] = []
        while self._line:
            oldest = next(iter(self._line))
            if now - oldest.since < self._idle_seconds:
                break
            expired.append(self._remove_oldest(self._stacks[oldest.key]))
        return expired

    def _remove_oldest(self, stack: deque[_Idle[Connection]]) -> Connection:
        oldest = stack.popleft()
        if not stack:
            del self._stacks[oldest.key]
        del self._line[oldest]
        return oldest.connection
