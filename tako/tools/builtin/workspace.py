"""Workspace: the directory that tools work in, and the way from a path to a thing inside it.

A path comes from a model, so it is not trusted. It is walked name by name from the root, each directory
opened relative to the one before (see directory.py) and links resolved by hand, so that nothing is ever
used that was not found inside: not by `..`, not by an absolute path, not by a link, and not by a link that
somebody puts in the way while we walk.

| next name      | is                             | then                                                    |
|----------------|--------------------------------|---------------------------------------------------------|
| .              |                                | skipped                                                 |
| ..             | below the top                  | walked again from the top, without the last name        |
|                | at the top                     | refused; unconfined: skipped, as the system does        |
| not the last   | a directory                    | entered                                                 |
|                | missing, and `parents` is asked| made, unless a `..` is still to come                    |
|                | anything else                  | refused                                                 |
| any            | a link with a relative target  | the target's names come next                            |
|                | a link with an absolute one    | must name the root; walked again from the top           |
| the last       | anything else, or missing      | found: a Place                                          |

The top is the root. Without confinement it is the file system's, and the root is only where relative paths
begin. Links may lead anywhere inside; a link out of the root is refused even if it is there on purpose:
`Workspace(root, confined=False)` is the way out.

Invariants. A Workspace is a value: it holds two facts and no descriptor. What a walk may cost is bounded
(PATH_LIMIT, STEP_LIMIT). A hard link or a mount inside the root is inside. A shell that a tool starts is
not confined by this; only what goes through a Workspace is.

Everything but the constructor blocks, and is called in tool functions alone.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from stat import S_IFDIR, S_ISDIR

from tako.errors import InvalidInput, ToolError
from tako.tools.builtin.directory import BY_DESCRIPTOR, Directory, explained, shown

__all__ = ["Place", "Workspace"]

PATH_LIMIT = 4096
"""Characters of a path."""
STEP_LIMIT = 10_000
"""Names that one walk looks at, with those in links and those walked again."""
LINK_LIMIT = 40
"""Links that one walk follows; as many as Linux does."""


@dataclass(frozen=True, slots=True)
class Place:
    """A name in an open directory. The name is no link as far as we saw, and may be missing.

    "." is the directory itself. `path` is absolute.
    """

    directory: Directory
    name: str

    @property
    def path(self) -> str:
        return self.directory.path_of(self.name)

    def status(self) -> os.stat_result | None:
        """What is there; None if nothing is."""
        return self.directory.status(self.name)


class Workspace:
    """The directory that tools work in: `Workspace("project")`.

    root      where relative paths begin; made absolute here, and looked at when it is first used
    confined  whether paths must stay inside; False lets the tools go wherever the process may

    Raises InvalidInput for a root that is no path; its methods raise ToolError.
    """

    __slots__ = ("_by_descriptor", "confined", "root")

    def __init__(self, root: str | os.PathLike[str] = ".", *, confined: bool = True) -> None:
        name = os.fspath(root) if isinstance(root, str | os.PathLike) else None
        if not isinstance(name, str) or not name or "\0" in name:
            raise InvalidInput(f"Workspace: root should be the path of a directory, not {root!r}")
        if not isinstance(confined, bool):
            raise InvalidInput(f"Workspace: confined should be True or False, not {confined!r}")
        self.root = os.path.abspath(name)
        self.confined = confined
        self._by_descriptor = BY_DESCRIPTOR

    def __repr__(self) -> str:
        return f"Workspace({self.root!r}{'' if self.confined else ', confined=False'})"

    @contextmanager
    def place(self, path: str, *, parents: bool = False) -> Iterator[Place]:
        """Where a path leads, through links, with its directory held open; `parents` makes missing ones.

        A file has no names that end in `/` or `/.`: who denies `*.env` has denied it.
        """
        _require_path(path)
        closed = path.endswith(("/", "/.", os.sep, f"{os.sep}."))
        if parents and closed:
            raise ToolError(f"{shown(path)} names a directory; name the file in it")
        found = self._walk(path, parents) if self._by_descriptor else self._look_up(path, parents)
        with found.directory:
            if closed and not S_ISDIR(getattr(found.status(), "st_mode", S_IFDIR)):
                raise ToolError(f"{shown(path)} names a directory, and this is none; end it with the name")
            yield found

    def directory(self, path: str = ".") -> Directory:
        """A directory, for its `entries()` and what is in them: the caller closes it."""
        with self.place(path) as place:
            return place.directory.open_directory(place.name)

    def open_file(self, path: str) -> int:
        """The descriptor of a regular file, to read from: the caller closes it. Never waits."""
        with self.place(path) as place:
            return place.directory.open_file(place.name)

    def status(self, path: str) -> os.stat_result | None:
        """What a path leads to, through links; None if there is nothing."""
        try:
            with self.place(path) as place:
                return place.status()
        except ToolError as error:
            if error.code == "ENOENT":
                return None
            raise

    def shown(self, path: str) -> str:
        """A path as the model should read it: from the root if it is inside, and in one line."""
        inside = _names_below(path, (self.root,)) if os.path.isabs(path) else None
        return shown(path if inside is None else os.path.join(*inside) if inside else ".")

    def _walk(self, path: str, parents: bool) -> Place:
        top = self.root if self.confined else os.path.abspath(os.sep)
        aliases = (top, os.path.realpath(top)) if self.confined else (top,)
        whole = path if self.confined else os.path.join(self.root, path)
        walk = _Walk(top, aliases, whole, closed=self.confined, parents=parents)
        try:
            return walk.run()
        except BaseException:
            walk.here.close()
            raise

    def _look_up(self, path: str, parents: bool) -> Place:
        """The same by names alone, for systems without descriptors of directories."""
        with explained(path):
            real = os.path.realpath(os.path.join(self.root, path))
            top = os.path.realpath(self.root)
            if self.confined and _names_below(real, (top,)) is None:
                raise _outside(path, self.root)
            folder, name = (real, ".") if real == top else os.path.split(real)
            if parents:
                os.makedirs(folder, exist_ok=True)
        return Place(Directory.at(folder, by_descriptor=False), name or ".")


class _Walk:
    """One way from the top to a place. `here` is open at every moment, and handed over at the end."""

    def __init__(self, top: str, aliases: tuple[str, ...], path: str, *, closed: bool, parents: bool) -> None:
        self.top = top
        self.aliases = aliases
        self.path = path
        self.closed = closed
        self.parents = parents
        self.names: list[str] = []
        self.steps = self.links = 0
        self.pending = self._names_of(path)
        self.here = Directory.at(top)

    def run(self) -> Place:
        while self.pending:
            self.steps += 1
            if self.steps > STEP_LIMIT:
                raise ToolError(
                    f"{shown(self.path)}: the path goes through too many names; use a shorter one"
                )
            name = self.pending.pop()
            if name == "..":
                self._step_back()
            elif (target := self.here.link_target(name)) is not None:
                self._follow(target)
            elif not self.pending:
                return Place(self.here, name)
            else:
                self._enter(name)
        return Place(self.here, ".")

    def _names_of(self, path: str) -> list[str]:
        """The names still to walk, the next one last."""
        names: list[str] | None = _names(path)
        if os.path.isabs(path):
            names = _names_below(path, self.aliases)
            if names is None:
                raise _outside(self.path, self.top)
        assert names is not None
        return names[::-1]

    def _enter(self, name: str) -> None:
        try:
            inner = self.here.open_directory(name)
        except ToolError as error:
            if error.code != "ENOENT" or not self.parents or ".." in self.pending:
                raise
            self.here.create_directory(name)
            inner = self.here.open_directory(name)
        self._move(inner)
        self.names.append(name)

    def _step_back(self) -> None:
        # The parent of a directory may be another by now, and outside; the names from the top are not.
        if not self.names and self.closed:
            raise _outside(self.path, self.top)
        self._restart(self.names[:-1])

    def _follow(self, target: str) -> None:
        self.links += 1
        if self.links > LINK_LIMIT:
            with explained(self.path):
                raise OSError(errno.ELOOP, "too many links")
        names = self._names_of(target)
        if os.path.isabs(target):
            self._restart([])
        self.pending += names

    def _restart(self, names: list[str]) -> None:
        self.pending += names[::-1]
        self.names = []
        self._move(Directory.at(self.top))

    def _move(self, other: Directory) -> None:
        self.here.close()
        self.here = other


def _require_path(path: str) -> None:
    if not path:
        raise ToolError("the path is empty; name a file")
    if path == "~" or path.startswith("~/"):
        raise ToolError(
            f"{shown(path)}: ~ is not expanded; write the path in full, or ./~ for a file of this name"
        )
    if "\0" in path:
        raise ToolError(f"{shown(path)}: a path cannot hold a NUL character")
    if len(path) > PATH_LIMIT:
        raise ToolError(
            f"{shown(path)}: the path has {len(path):,} characters; at most {PATH_LIMIT:,} are allowed",
            code="ENAMETOOLONG",
        )


def _names(path: str) -> list[str]:
    return [name for name in path.replace(os.altsep or os.sep, os.sep).split(os.sep) if name not in ("", ".")]


def _names_below(path: str, tops: tuple[str, ...]) -> list[str] | None:
    """The names of an absolute path below one of the names of the top; None if it is below none."""
    names = _names(path)
    for top in map(_names, tops):
        if names[: len(top)] == top:
            return names[len(top) :]
    return None


def _outside(path: str, root: str) -> ToolError:
    return ToolError(
        f"{shown(path)} leads out of the workspace; only paths inside {shown(root)} are allowed, "
        "also through links",
        code="EXDEV",
    )
