"""FileTokens: tokens in a file that nobody else can read.

The functions here block and touch the disk; flows reach them through the Call effect alone.

| moment  | what is done                                                                                 |
|---------|----------------------------------------------------------------------------------------------|
| read    | the file is opened, and then looked at: a regular file, ours, nothing for group and others   |
| written | a new file is made beside it with mode 0600, filled, flushed to the disk, and put in place   |

Invariants. There is no moment at which the tokens are in a file that others can read, or in half a file:
`os.replace` is indivisible. A file that others can read, or a link to one, is refused, not mended, because
its tokens may be known by now. Threads and programs that write at the same time take turns, by a lock on a
file beside it, which stays. A file that is damaged is an error, for it may be somebody's and not ours.
On Windows modes say nothing, and there is no such lock: the folder has to be a private one, of one program.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pydantic_core import from_json, to_json

from tako.errors import InvalidInput

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["FileTokens"]

MOST_OF_A_FILE: Final = 4 * 1024 * 1024
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_HAS_MODES: Final = os.name == "posix"


class FileTokens:
    """Tokens and registrations in a file with mode 0600; its folder has to exist."""

    __slots__ = ("path",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises InvalidInput for what is no path; the file is not touched before its first use."""
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
            raise InvalidInput("FileTokens: path should be the path of a file")
        self.path = os.path.abspath(os.path.expanduser(os.fspath(path)))

    def __repr__(self) -> str:
        return f"FileTokens({self.path!r})"

    def get(self, key: str) -> str | None:
        """Raises InvalidInput if the file cannot be trusted or read."""
        return self._read().get(key)

    def set(self, key: str, value: str | None) -> None:
        """Raises InvalidInput if the file cannot be trusted, read or written."""
        try:
            with self._turn():
                values = self._read()
                if value is not None:
                    values[key] = value
                elif values.pop(key, None) is None:
                    return
                self._replace(to_json(values, indent=1))
        except OSError as error:
            raise InvalidInput(f"the tokens cannot be kept in {self.path}: {error.strerror}") from None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Keep other writers out. Closing the file is what lets them in again."""
        descriptor = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | _NO_LINK, 0o600)
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> dict[str, str]:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | _NO_LINK | getattr(os, "O_NONBLOCK", 0))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise InvalidInput(f"the tokens in {self.path} cannot be read: {error.strerror}") from None
        try:
            self._require_private(os.fstat(descriptor))
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(MOST_OF_A_FILE + 1)
        finally:
            os.close(descriptor)
        try:
            values = from_json(data or b"{}") if len(data) <= MOST_OF_A_FILE else None
        except ValueError:
            values = None
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise InvalidInput(
                f"{self.path} does not hold tokens; give another path, or remove it to authorize anew"
            )
        return values

    def _require_private(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise InvalidInput(f"{self.path} is not a file; give FileTokens the path of one")
        if _HAS_MODES and (found.st_mode & 0o077 or found.st_uid != os.geteuid()):
            raise InvalidInput(
                f"{self.path} is not private (mode {stat.S_IMODE(found.st_mode):04o}, owner {found.st_uid}): "
                "others may know the tokens in it. Revoke them, remove the file, and authorize anew"
            )

    def _replace(self, data: bytes) -> None:
        fresh = f"{self.path}.{os.getpid()}.{id(data):x}.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            os.replace(fresh, self.path)
        except BaseException:
            os.unlink(fresh)
            raise
