"""SqliteStore: journals in an SQLite file, each under the name of its run.

The functions here block and touch the disk; flows reach them through the Call effect alone.

Invariants. Entries that belong together are one transaction, with synchronous=FULL ("off" leaves the
flushing to the system). Runs of different names write one file at the same time. A run is held by a lock on
a file beside the database, which goes with the process, however it dies; the file is taken away by whoever
held it last and lived. (A lock on the database itself would meet SQLite's own.) Where the system has no flock
(Windows) there is no lock, and two runs must not be given one name.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO

from tako.journal.entry import Entry
from tako.journal.errors import JournalError
from tako.journal.file_store import hold, reason_of
from tako.journal.store import entries_in

__all__ = ["SqliteStore"]

SECONDS = 30.0
"""How long to wait for other runs that are writing their entries."""

TABLE = """
CREATE TABLE IF NOT EXISTS tako_journal (number INTEGER PRIMARY KEY, run TEXT NOT NULL, entry BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS tako_journal_run ON tako_journal (run, number);
"""


class SqliteStore:
    """The journal of one run in a database."""

    __slots__ = ("_flushes", "name", "path", "run")

    def __init__(self, path: str, run: str, *, flushes: bool) -> None:
        self.path = path
        self.run = run
        self.name = f"{path} (run {run!r})"
        self._flushes = flushes

    def read(self) -> list[Entry]:
        with self._told("read"):
            if not os.path.exists(self.path):
                raise FileNotFoundError(2, "No such file")
            connection = _connect(self.path)
            try:
                return self._entries(connection)
            finally:
                connection.close()

    def open(self) -> _SqliteWriter:
        with self._told("opened"):
            lock = self._hold()
            try:
                connection = self._prepared()
                try:
                    return _SqliteWriter(self, connection, lock, self._entries(connection))
                except BaseException:
                    connection.close()
                    raise
            except BaseException:
                self.let_go(lock)
                raise

    def _prepared(self) -> sqlite3.Connection:
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = _connect(self.path)
        try:
            connection.execute(f"PRAGMA synchronous={'FULL' if self._flushes else 'OFF'}")
            connection.executescript(TABLE)
        except BaseException:
            connection.close()
            raise
        return connection

    def _entries(self, connection: sqlite3.Connection) -> list[Entry]:
        try:
            found = connection.execute(
                "SELECT entry FROM tako_journal WHERE run = ? ORDER BY number", (self.run,)
            )
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        lines = [bytes(line) for (line,) in found]
        entries, _ = entries_in(lines, self.name)
        if len(entries) != len(lines):  # a transaction is never torn
            raise JournalError(f"journal {self.name}: its last entry is not as it was written")
        return entries

    def _hold(self) -> FileIO:
        """The lock; raises JournalError if somebody else has it."""
        path = self._lock_path
        while True:
            lock = FileIO(path, "a", opener=lambda path, flags: os.open(path, flags, 0o600))
            try:
                hold(lock, self.name)
                if os.path.exists(path) and os.path.samestat(os.fstat(lock.fileno()), os.stat(path)):
                    return lock
            except FileNotFoundError:
                pass
            except BaseException:
                lock.close()
                raise
            lock.close()  # whoever held it has just taken it away: this one locks nobody out

    @property
    def _lock_path(self) -> str:
        return f"{self.path}.{self.run}.lock"

    def let_go(self, lock: FileIO) -> None:
        """Take the lock away, while it is still ours."""
        try:
            os.unlink(self._lock_path)
        except OSError:
            pass  # it locks nobody out by being there
        lock.close()

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise JournalError(f"journal {self.name} cannot be {what}: {reason_of(error)}") from error


class _SqliteWriter:
    __slots__ = ("_connection", "_has_failed", "_lock", "_store", "entries")

    def __init__(
        self, store: SqliteStore, connection: sqlite3.Connection, lock: FileIO, entries: list[Entry]
    ) -> None:
        self.entries = entries
        self._store = store
        self._connection = connection
        self._lock = lock
        self._has_failed = False

    def append(self, lines: list[bytes]) -> None:
        run = self._store.run
        rows = ", ".join(["(?, ?)"] * len(lines))  # one statement: a transaction by itself, also in a thread
        values = [item for line in lines for item in (run, line)]
        try:
            if self._has_failed:
                raise sqlite3.OperationalError("an earlier entry could not be written")
            self._connection.execute(f"INSERT INTO tako_journal (run, entry) VALUES {rows}", values)
        except sqlite3.Error as error:
            self._has_failed = True
            raise JournalError(f"journal {self._store.name} cannot be written: {reason_of(error)}") from error

    def close(self) -> None:
        self._connection.close()
        if not self._lock.closed:
            self._store.let_go(self._lock)


def _connect(path: str) -> sqlite3.Connection:
    """A connection that several threads may use, each statement of which is a transaction."""
    if sqlite3.threadsafety != 3:
        raise sqlite3.NotSupportedError(
            "this Python's SQLite is not made for threads; keep it in a .jsonl file"
        )
    return sqlite3.connect(path, timeout=SECONDS, isolation_level=None, check_same_thread=False)
