"""Store: where the lines of a journal are, and the one that is in memory.

A store is opened for writing by one run at a time, and that gives a Writer; it can be read at any moment.
All of it blocks, so flows reach it by the Call effect; `close` alone is quick enough to be called by itself.

| what is found                      | what becomes of it                                                    |
|------------------------------------|-----------------------------------------------------------------------|
| nothing, or the beginning of a head| a new journal                                                         |
| a last line that is not whole      | was being written when its process died: nobody has its reply, and it |
|                                    | is dropped                                                            |
| another line that is not whole     | JournalError with its number: the file was changed by somebody        |
| a journal of another version       | JournalError that says so: nothing is written into it                 |
| a file that is no journal          | the same                                                              |

Invariants. When `append` returns, the lines are where a killed process leaves them. Lines of two threads
never mix. A Writer that has failed to write does not write again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from tako.journal.entry import Entry, read_line
from tako.journal.errors import JournalError

__all__ = ["HEAD", "MemoryStore", "Store", "Writer", "entries_in", "is_taken", "no_journal"]

HEAD: Final = b'{"tako_journal":1}\n'
_HEADS: Final = b'{"tako_journal":'
"""How the head of any version begins."""


class Writer(Protocol):
    """One run's hold on a journal."""

    entries: list[Entry]
    """What was kept before, in order."""

    def append(self, lines: list[bytes]) -> None:
        """Keep these lines, all or none of them; raises JournalError."""

    def close(self) -> None:
        """Let somebody else write; a second time changes nothing."""


class Store(Protocol):
    """Where one journal is."""

    name: str

    def read(self) -> list[Entry]:
        """All that is kept, as it was appended; raises JournalError."""

    def open(self) -> Writer:
        """Hold it for writing; raises JournalError, also if somebody else does."""


def entries_in(lines: Iterable[bytes], name: str) -> tuple[list[Entry], int]:
    """The entries in the lines behind the head, and how many bytes they are; raises JournalError."""
    entries: list[Entry] = []
    size, broken = 0, 0
    for number, line in enumerate(lines, 2):
        if broken:
            raise JournalError(
                f"journal {name}: line {broken} is not as it was written; a journal is not edited by hand, "
                "use journal.fork(...) to change a reply"
            )
        entry = read_line(line)
        if entry is None:
            broken = number  # which is right for the last line, and no other
        else:
            entries.append(entry)
            size += len(line)
    return entries, size


def is_taken(name: str) -> JournalError:
    """The error of whoever comes second."""
    return JournalError(
        f"journal {name} is being written by another run; wait for it, or give this run a journal of its own"
    )


def no_journal(name: str, head: bytes) -> JournalError:
    """The error of whoever finds this at the beginning of a file."""
    if head.startswith(_HEADS):
        return JournalError(
            f"journal {name} was written by another version of tako, and this one cannot read it; use that "
            "version, or give this run a journal of its own"
        )
    return JournalError(f"{name} is a file, but no journal; give the journal a path of its own")


class MemoryStore:
    """A journal that lives as long as its object: for tests, and for forks that are tried out."""

    __slots__ = ("_is_open", "lines", "name")

    def __init__(self, lines: Iterable[bytes] = ()) -> None:
        self.name = "in memory"
        self.lines = list(lines)
        """Each as it would stand in a file, behind its head."""
        self._is_open = False

    def read(self) -> list[Entry]:
        return entries_in(self.lines, self.name)[0]

    def open(self) -> Writer:
        if self._is_open:
            raise is_taken(self.name)
        entries, _ = entries_in(self.lines, self.name)
        del self.lines[len(entries) :]
        self._is_open = True
        return _MemoryWriter(self, entries)

    def release(self) -> None:
        self._is_open = False


class _MemoryWriter:
    __slots__ = ("_is_closed", "_store", "entries")

    def __init__(self, store: MemoryStore, entries: list[Entry]) -> None:
        self._store = store
        self.entries = entries
        self._is_closed = False

    def append(self, lines: list[bytes]) -> None:
        self._store.lines += lines

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._store.release()
