"""FileStore: a journal as a file of lines, JSON each.

The functions here block and touch the disk; flows reach them through the Call effect alone.

Invariants. Lines are appended by a single write to a file opened for appending, so those of several threads
do not mix, and are flushed to the disk before `append` returns (sync="off" leaves that to the system: a
killed process loses nothing then, a machine without power may). The file is locked while a run writes it;
the lock goes with the process, however it dies. Where the system has no flock (Windows) there is no lock,
and two runs must not be given one file. What macOS calls flushed may still be in the drive's own memory.
The file is for its owner's eyes alone (where there are modes): it holds conversations.
"""

from __future__ import annotations

import os
from io import BufferedReader, FileIO

from tako.journal.entry import MOST_OF_A_LINE, Entry
from tako.journal.errors import JournalError
from tako.journal.store import HEAD, entries_in, is_taken, no_journal

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["FileStore", "hold", "reason_of"]

MOST_OF_A_HEAD = 64


class FileStore:
    """One journal in one file."""

    __slots__ = ("_flushes", "name", "path")

    def __init__(self, path: str, *, flushes: bool) -> None:
        self.path = self.name = path
        self._flushes = flushes

    def read(self) -> list[Entry]:
        try:
            with FileIO(self.path) as file:
                return _entries(file, self.name)[0]
        except OSError as error:
            raise JournalError(f"journal {self.name} cannot be read: {reason_of(error)}") from error

    def open(self) -> _FileWriter:
        try:
            return self._open()
        except OSError as error:
            raise JournalError(f"journal {self.name} cannot be opened: {reason_of(error)}") from error

    def _open(self) -> _FileWriter:
        is_new = not os.path.exists(self.path)
        file = FileIO(self.path, "a+", opener=_private)
        try:
            hold(file, self.name)
            file.seek(0)
            entries, size = _entries(file, self.name)
            if size != file.seek(0, os.SEEK_END):
                file.truncate(size)
            if size == 0:
                file.write(HEAD)
            if self._flushes:
                os.fsync(file.fileno())
                if is_new:
                    _flush_folder(self.path)
        except BaseException:
            file.close()
            raise
        return _FileWriter(file, entries, self.name, self._flushes)


class _FileWriter:
    __slots__ = ("_file", "_flushes", "_has_failed", "_name", "entries")

    def __init__(self, file: FileIO, entries: list[Entry], name: str, flushes: bool) -> None:
        self.entries = entries
        self._file = file
        self._name = name
        self._flushes = flushes
        self._has_failed = False

    def append(self, lines: list[bytes]) -> None:
        data = b"".join(lines)
        try:
            if self._has_failed:
                raise OSError("an earlier entry could not be written")
            if self._file.write(data) != len(data):
                raise OSError("there is no room for it")
            if self._flushes:
                os.fsync(self._file.fileno())
        except (OSError, ValueError) as error:  # ValueError: closed, because the run was left behind
            self._has_failed = True
            raise JournalError(f"journal {self._name} cannot be written: {reason_of(error)}") from error

    def close(self) -> None:
        self._file.close()


def hold(file: FileIO, name: str) -> None:
    """Lock the file until it is closed; raises JournalError if somebody else has."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise is_taken(name) from error


def reason_of(error: Exception) -> str:
    """The system's words, without the path, which the message has."""
    return getattr(error, "strerror", None) or str(error)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _entries(file: FileIO, name: str) -> tuple[list[Entry], int]:
    """What stands in the file, and the size of what is whole of it; raises JournalError."""
    reader = BufferedReader(file, 1 << 20)  # line by line: a journal need not be in memory as bytes as well
    try:
        head = reader.readline(MOST_OF_A_HEAD)
        if head != HEAD:
            if HEAD.startswith(head):
                return [], 0
            raise no_journal(name, head)
        entries, size = entries_in(iter(lambda: reader.readline(MOST_OF_A_LINE), b""), name)
        return entries, len(HEAD) + size
    finally:
        reader.detach()


def _flush_folder(path: str) -> None:
    """Make sure that the file's name is on the disk too, where folders can be flushed."""
    try:
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    except OSError:  # pragma: no cover - Windows
        return
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
