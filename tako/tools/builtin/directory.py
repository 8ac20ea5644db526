"""Directory: an open directory, and what may be done to the names in it without following a link.

A path that was checked and is then used by its name can be another thing by then: somebody has put a
link where the directory was. So a directory is held open, by its descriptor, and every name in it is
used relative to that. What was found inside stays inside, whatever happens to the path.

| name is    | status        | open_file   | open_directory | link_target    |
|------------|---------------|-------------|----------------|----------------|
| a file     | its own       | descriptor  | ENOTDIR        | None           |
| a directory| its own       | refused     | the Directory  | None           |
| a link     | the link's    | refused     | ENOTDIR, ELOOP | where it leads |
| a pipe, a socket, a device | its own | refused, and never waits | ENOTDIR | None |
| missing    | None          | ENOENT      | ENOENT         | None           |

Where the system cannot open relative to a descriptor (Windows), names are joined to the path, and the
gap between check and use is as wide as the system leaves it: there, confinement keeps out mistakes, not
somebody who changes links at the same moment.

Everything here blocks, and is called in tool functions alone. All that goes wrong is a ToolError in
words for the model; its `code` is the name of the system's error, such as "ENOENT".
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tako.errors import ToolError

__all__ = ["BY_DESCRIPTOR", "Directory", "Entry", "Kind", "explained", "kind_of", "shown", "size_in_words"]

Kind: TypeAlias = Literal["file", "directory", "link", "pipe", "socket", "device"]

BY_DESCRIPTOR = (
    {os.open, os.stat, os.readlink, os.mkdir, os.rename, os.unlink} <= os.supports_dir_fd
    and os.scandir in os.supports_fd
    and hasattr(os, "O_NOFOLLOW")
    and hasattr(os, "O_DIRECTORY")
)
"""Whether names can be used relative to an open directory."""

SHOWN_PATH = 300
"""Characters of a path that a message holds."""

_QUIET = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOCTTY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
# To pass through a directory takes the right to search it, not to list it; O_PATH asks for no more.
_PASS = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _QUIET

WORDS = {
    errno.ENOENT: "it does not exist; find what there is with glob",
    errno.ENOTDIR: "a part of the path is no directory",
    errno.EACCES: "permission denied",
    errno.EPERM: "the system does not permit it",
    errno.EROFS: "the file system is read-only; write somewhere else",
    errno.ENOSPC: "the disk is full; nothing was changed",
    errno.EDQUOT: "the disk quota is used up; nothing was changed",
    errno.ENAMETOOLONG: "the name is too long for the file system; use a shorter one",
    errno.ELOOP: "it is a link, or links lead in a circle; name the file that it should lead to",
    errno.EILSEQ: "the file system does not take this name",
    errno.EFBIG: "it would be larger than the file system allows",
    errno.EMFILE: "too many files are open; try again later",
    errno.ENFILE: "too many files are open; try again later",
    errno.EBUSY: "it is in use by the system and cannot be replaced",
}

KIND_WORDS: dict[Kind, str] = {
    "file": "a file",
    "directory": "a directory",
    "link": "a link",
    "pipe": "a named pipe",
    "socket": "a socket",
    "device": "a device",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a directory. A link is a "link", wherever it leads."""

    name: str
    kind: Kind


class Directory:
    """An open directory; close it, or use it in a `with`.

    `path` is where it was found: absolute, without links below the workspace's root. A walk through a deep
    tree should keep paths and open one directory at a time: descriptors are few.
    """

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: str, descriptor: int | None) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def at(cls, path: str, *, by_descriptor: bool = BY_DESCRIPTOR) -> Directory:
        """Open a directory by its path, through links as well."""
        with explained(path):
            if by_descriptor:
                return cls(path, os.open(path, _PASS))
            if not stat.S_ISDIR(os.stat(path).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "no directory")
            return cls(path, None)

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Directory {self.path!r}>"

    def close(self) -> None:
        """Give the descriptor back. Idempotent."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _named(self, name: str) -> str:
        return name if self._descriptor is not None else os.path.join(self.path, name)

    def path_of(self, name: str) -> str:
        """The absolute path of a name in here."""
        return self.path if name == "." else os.path.join(self.path, name)

    def status(self, name: str = ".") -> os.stat_result | None:
        """What the name is, of a link the link itself; None if there is no such name."""
        with explained(self.path_of(name)):
            try:
                return os.stat(self._named(name), dir_fd=self._descriptor, follow_symlinks=False)
            except FileNotFoundError:
                return None

    def link_target(self, name: str) -> str | None:
        """Where a link leads, as it is written in it; None for anything else."""
        with explained(self.path_of(name)):
            try:
                return os.readlink(self._named(name), dir_fd=self._descriptor)
            except OSError as error:
                if error.errno in (errno.EINVAL, errno.ENOENT):
                    return None
                raise

    def entries(self) -> Iterator[Entry]:
        """The names in it, one after the other, in the system's order, however many there are."""
        with explained(self.path):
            opened = (
                self.path
                if self._descriptor is None
                else os.open(".", os.O_RDONLY | os.O_DIRECTORY | _NO_LINK | _QUIET, dir_fd=self._descriptor)
            )
            try:
                with os.scandir(opened) as found:
                    for entry in found:
                        yield Entry(entry.name, _kind_of_entry(entry))
            finally:
                if isinstance(opened, int):
                    os.close(opened)

    def open_directory(self, name: str) -> Directory:
        """A directory in this one."""
        path = self.path_of(name)
        if self._descriptor is None:
            with explained(path):
                if os.path.islink(path):
                    raise OSError(errno.ELOOP, "a link")
            return Directory.at(path, by_descriptor=False)
        with explained(path):
            return Directory(path, os.open(name, _PASS | _NO_LINK, dir_fd=self._descriptor))

    def open_file(self, name: str, flags: int = os.O_RDONLY) -> int:
        """The descriptor of a regular file in here; everything else is refused, and nothing is waited for.

        The caller closes it. The kind is looked at before, because opening alone may wake a device, and
        after, because the name may be another thing by then.
        """
        path = self.path_of(name)
        with explained(path):
            _require_file(os.stat(self._named(name), dir_fd=self._descriptor, follow_symlinks=False), path)
            descriptor = os.open(
                self._named(name), flags | _NO_LINK | _NO_WAIT | _QUIET, dir_fd=self._descriptor
            )
            try:
                _require_file(os.fstat(descriptor), path)
            except BaseException:
                os.close(descriptor)
                raise
            return descriptor

    def create_file(self, name: str, mode: int = 0o666, *, meant_for: str | None = None) -> int | None:
        """The descriptor of a new, empty file; None if the name is taken.

        The umask is taken off the mode. What goes wrong is told of the name that the file is `meant_for`.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _QUIET
        with explained(self.path_of(meant_for or name)):
            try:
                return os.open(self._named(name), flags, mode, dir_fd=self._descriptor)
            except FileExistsError:
                return None

    def create_directory(self, name: str) -> None:
        """A new directory; it may be there already."""
        with explained(self.path_of(name)):
            try:
                os.mkdir(self._named(name), dir_fd=self._descriptor)
            except FileExistsError:
                return

    def rename(self, old: str, new: str) -> None:
        """Give a name to the file that has another, in one step; what had the name is gone."""
        with explained(self.path_of(new)):
            os.replace(
                self._named(old), self._named(new), src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor
            )

    def remove_file(self, name: str) -> None:
        """Remove a name; it may be gone already."""
        with explained(self.path_of(name)):
            try:
                os.unlink(self._named(name), dir_fd=self._descriptor)
            except FileNotFoundError:
                return

    def sync(self) -> None:
        """Have the names reach the disk, where the file system can be told."""
        if self._descriptor is None:
            return
        try:
            descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | _QUIET, dir_fd=self._descriptor)
        except OSError:
            return  # it may be searched and not listed; the rename is done all the same
        try:
            os.fsync(descriptor)
        except OSError:
            return  # some file systems cannot
        finally:
            os.close(descriptor)


def _require_file(status: os.stat_result, path: str) -> None:
    kind = kind_of(status)
    if kind == "file":
        return
    if kind == "link":
        raise OSError(errno.ELOOP, "a link")
    advice = "list it with glob" if kind == "directory" else "only regular files can be read and written"
    raise ToolError(f"{shown(path)} is {KIND_WORDS[kind]}; {advice}", code=_CODES.get(kind, "EINVAL"))


_CODES: dict[Kind, str] = {"directory": "EISDIR"}


def kind_of(status: os.stat_result) -> Kind:
    """What a status is the status of."""
    mode = status.st_mode
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    if stat.S_ISLNK(mode):
        return "link"
    if stat.S_ISFIFO(mode):
        return "pipe"
    return "socket" if stat.S_ISSOCK(mode) else "device"


def _kind_of_entry(entry: os.DirEntry[str]) -> Kind:
    if entry.is_symlink():
        return "link"
    if entry.is_file(follow_symlinks=False):
        return "file"
    if entry.is_dir(follow_symlinks=False):
        return "directory"
    try:
        return kind_of(entry.stat(follow_symlinks=False))
    except FileNotFoundError:
        return "device"  # gone since it was listed; nobody opens these


def shown(path: str) -> str:
    """A path as a message tells it: in one line, escaped where it cannot be printed, cut if it is endless."""
    if len(path) > SHOWN_PATH:
        path = f"{path[:SHOWN_PATH]}[... {len(path) - SHOWN_PATH:,} characters cut ...]"
    return path if path.isprintable() else repr(path)


def size_in_words(size: int) -> str:
    """A number of bytes for a reader."""
    return "1 byte" if size == 1 else f"{size:,} bytes"


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn what the system says of a path into words for the model."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        words = WORDS.get(number) or (error.strerror or str(error)).lower()
        raise ToolError(f"{shown(path)}: {words}", code=errno.errorcode.get(number)) from error
    except UnicodeEncodeError as error:
        raise ToolError(
            f"{shown(path)}: a name of a file cannot hold half a character", code="EILSEQ"
        ) from error
