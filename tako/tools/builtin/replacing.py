"""Replacing a file: the new one is written beside it, and takes its name in one step.

| step                                    | if it fails                                         |
|-----------------------------------------|-----------------------------------------------------|
| the old file is opened for writing      | it is refused: read-only, a pipe, a directory       |
| a file of a name of our own is created  | refused; nothing was changed                        |
| it gets the old one's mode and owner    | the mode stays what it can be                       |
| it is written, and has reached the disk | our file is removed; nothing was changed            |
| the call was cancelled                  | our file is removed; nothing was changed            |
| it takes the name                       | our file is removed; nothing was changed            |

Invariants. Whoever opens the name gets the old file or the new one, whole, whatever happens to us, and
however many replace it at once. Between the last look at the old one and the new name no other tool of this
process comes, though another process may. The mode gives nobody but us more than the old one did. After an
error or a cancel no file of ours is left. What the new file does not take over: other hard links to the old
one, extended attributes, and the bits that make a program run as its owner.
"""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import count
from threading import Lock

from tako.cancellation import CancellationToken
from tako.errors import ToolError
from tako.tools.builtin.directory import explained, shown
from tako.tools.builtin.workspace import Place

__all__ = ["CHUNK", "replace_file", "signature"]

CHUNK = 1024 * 1024
"""Bytes that are written between two looks at the token."""
TRIES = 100
"""Names that are tried for the new file; taken ones are left from a process that was killed."""

_numbers = count(1)
_turn = Lock()
"""So that no other tool of this process comes between the last look at a file and its replacement."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_turn.acquire, after_in_parent=_turn.release, after_in_child=_turn.release)


def signature(status: os.stat_result) -> tuple[int, int, int, int]:
    """What tells one state of a file from the next."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def replace_file(
    place: Place,
    data: bytes,
    cancel: CancellationToken,
    *,
    expected: tuple[int, int, int, int] | None = None,
) -> os.stat_result | None:
    """Write a file as a whole, and return the status of the one that it replaced.

    `expected` is the signature that the old one must still have. Raises ToolError and Cancelled; then the
    old file is what it was.
    """
    old = _replaceable(place)
    # Until it has the mode of the old one, what may have been secret in that is for nobody else to open.
    name, descriptor = _new_file(place, 0o666 if old is None else 0o600)
    try:
        try:
            with explained(place.path):
                if old is not None:
                    _take_over(descriptor, old)
                _write(descriptor, data, cancel)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        cancel.raise_if_cancelled()
        with _turn:
            if expected is not None:
                _require_unchanged(place, expected)
            place.directory.rename(name, place.name)
    except BaseException:
        place.directory.remove_file(name)
        raise
    place.directory.sync()
    return old


def _replaceable(place: Place) -> os.stat_result | None:
    """The status of the file that will be replaced; raises ToolError for what must not be."""
    if place.status() is None:
        return None
    # A rename would get round the protection of a read-only file; opening it does not.
    descriptor = place.directory.open_file(place.name, os.O_WRONLY)
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _new_file(place: Place, mode: int) -> tuple[str, int]:
    for _ in range(TRIES):
        name = f".tako-{os.getpid()}-{next(_numbers)}.tmp"
        descriptor = place.directory.create_file(name, mode, meant_for=place.name)
        if descriptor is not None:
            return name, descriptor
    raise ToolError(
        f"{shown(place.directory.path)}: it is full of files named .tako-*.tmp; remove them first"
    )


def _take_over(descriptor: int, old: os.stat_result) -> None:
    if not hasattr(os, "fchown"):
        return  # Windows has neither owners nor modes of this kind
    for owner, group in ((-1, old.st_gid), (old.st_uid, -1)):
        with suppress(OSError):  # then it becomes ours, as it would with any editor that saves this way
            os.fchown(descriptor, owner, group)
    mode = old.st_mode & 0o777
    if os.fstat(descriptor).st_gid != old.st_gid:
        mode &= 0o707 | (mode & 0o007) << 3  # another group may do no more than everybody might
    with suppress(OSError):  # some file systems have no modes
        os.fchmod(descriptor, mode)


def _write(descriptor: int, data: bytes, cancel: CancellationToken) -> None:
    rest = memoryview(data)
    while rest:
        cancel.raise_if_cancelled()
        rest = rest[os.write(descriptor, rest[:CHUNK]) :]


def _require_unchanged(place: Place, expected: tuple[int, int, int, int]) -> None:
    status = place.status()
    if status is None or signature(status) != expected:
        raise ToolError(f"{shown(place.path)} was changed by somebody else meanwhile; read it again")
