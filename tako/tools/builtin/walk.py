"""Walk: the files below a directory that patterns and .gitignore files let through, one after the other.

    open the start -> list it -> its files, by name -> enter its directories, by name -> ... -> the end
                                    |
                                    a limit is met: the end, and `notes` says so

A directory is listed before anything in it is looked at, because its .gitignore lies among the rest.
Each is opened by its name in the open one above (see directory.py): no link is ever followed, and what
somebody moves while we walk leads nowhere else.

What is left out: `.git`; what is ignored, unless asked for; directories that the patterns cannot pass
through. Where a walk starts is never left out: who names a directory that is hidden or ignored wants to
see it. The rules above it that would empty it are then not heard; those that lie in it are.

Invariants. At most DEPTH directories are open, the names of at most DEPTH directories are held, and these
are at most ENTRIES in all. All are closed when the walk ends or is given up. Raises Cancelled between two
entries, and ToolError if the start cannot be opened.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from tako.cancellation import CancellationToken
from tako.errors import ToolError
from tako.tools.builtin.directory import Directory, Entry, Kind
from tako.tools.builtin.ignore import NOTHING_IGNORED, Ignored, IgnoreRules
from tako.tools.builtin.path_patterns import Level
from tako.tools.builtin.workspace import Workspace

__all__ = ["Found", "Limits", "Walk"]

LONGEST_RULES: Final = 250_000
"""Bytes of a .gitignore that are read; so many may take a second or two, and cannot be interrupted."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a walk goes before it gives up and says so."""

    entries: int = 200_000
    depth: int = 100


LIMITS: Final = Limits()


@dataclass(slots=True)
class Found:
    """A name that the patterns take: a file, or a link, which may lead to one."""

    directory: Directory
    name: str
    kind: Kind
    prefix: str

    @property
    def path(self) -> str:
        """From where the walk started."""
        return self.prefix + self.name


@dataclass(slots=True)
class _Visit:
    """A directory that is open, and those in it that are still to be entered, the next one last."""

    directory: Directory
    prefix: str
    level: Level
    ignored: Ignored
    waiting: list[str] = field(default_factory=list)


class Walk:
    """One walk from `path`; iterate `files()` once, then read `notes()`."""

    def __init__(
        self,
        workspace: Workspace,
        path: str,
        level: Level,
        cancel: CancellationToken,
        *,
        deadline: float,
        include_ignored: bool = False,
        limits: Limits = LIMITS,
    ) -> None:
        self.start = ""
        """The absolute path where it started; known when there is a first file."""
        self.ignored = 0
        """Entries that a .gitignore keeps out."""
        self.deadline = deadline
        self._limits = limits
        self._workspace = workspace
        self._path = path
        self._level = level
        self._cancel = cancel
        self._include_ignored = include_ignored
        self._seen = self._unreadable = self._too_deep = self._cut_rules = 0
        self._stopped = ""

    def files(self) -> Iterator[Found]:
        """Files and links, each directory's own first, sorted by name."""
        visits = [self._begin()]
        try:
            yield from self._files_of(visits[0])
            while visits and not self._stopped:
                here = visits[-1]
                if not here.waiting:
                    visits.pop().directory.close()
                    continue
                inner = self._enter(here, here.waiting.pop(), len(visits))
                if inner is not None:
                    visits.append(inner)
                    yield from self._files_of(inner)
        finally:
            for visit in visits:
                visit.directory.close()

    def notes(self) -> list[str]:
        """What the walk left out, in words for the model."""
        notes = [self._stopped] if self._stopped else []
        if self._unreadable:
            notes.append(f"{_count(self._unreadable, 'entry', 'entries')} could not be read")
        if self._too_deep:
            deep = _count(self._too_deep, "directory", "directories")
            notes.append(f"{deep} more than {self._limits.depth} deep not entered: name one as path")
        if self._cut_rules:
            notes.append(f"only the beginning read of {_count(self._cut_rules, '.gitignore', '.gitignores')}")
        return notes

    def count_unreadable(self) -> None:
        """Somebody could not read what the walk has found."""
        self._unreadable += 1

    def _is_out_of_time(self) -> bool:
        """Stop the walk once its time is used up."""
        if time.monotonic() < self.deadline:
            return False
        self._stopped = (
            "the time was used up before everything was searched: name a smaller directory as path"
        )
        return True

    def _begin(self) -> _Visit:
        if self._include_ignored:
            directory, ignored = self._workspace.directory(self._path), NOTHING_IGNORED
        else:
            directory, ignored = self._with_rules_above()
        self.start = directory.path
        return _Visit(directory, "", self._level, ignored)

    def _with_rules_above(self) -> tuple[Directory, Ignored]:
        """The start, and what the files above it say of it; those count from the root on."""
        directory = self._workspace.directory(self._path)
        names = _names_between(self._workspace.root, directory.path)
        if names is None:
            return directory, NOTHING_IGNORED
        directory.close()
        directory = self._workspace.directory(".")
        ignored = self._with_excluded(directory, NOTHING_IGNORED)
        for name in names:
            try:
                ignored = self._with_rules_of(directory, ignored)
                inner = directory.open_directory(name)
            finally:
                directory.close()
            is_ignored = ignored.has_directory(name)
            directory, ignored = inner, ignored.below(name)
            if is_ignored or ignored.ignores_everything():
                ignored = NOTHING_IGNORED
        return directory, ignored

    def _with_excluded(self, directory: Directory, ignored: Ignored) -> Ignored:
        """With .git/info/exclude, which speaks from the root as a .gitignore there would, but lower."""
        try:
            with directory.open_directory(".git") as git, git.open_directory("info") as info:
                return self._with_rules_of(info, ignored, "exclude")
        except ToolError:
            return ignored  # not a repository, or a worktree, whose .git is a file

    def _with_rules_of(self, directory: Directory, ignored: Ignored, name: str = ".gitignore") -> Ignored:
        self._cancel.raise_if_cancelled()
        if self._is_out_of_time():
            return ignored
        try:
            descriptor = directory.open_file(name)
        except ToolError as error:
            self._unreadable += error.code == "EACCES"
            return ignored
        with open(descriptor, "rb") as file:
            text = file.read(LONGEST_RULES + 1)
        is_cut = len(text) > LONGEST_RULES
        if is_cut:  # half a rule may mean much more than a whole one
            text = text[:LONGEST_RULES].rpartition(b"\n")[0]
        rules = IgnoreRules(text)
        self._cut_rules += rules.cut or is_cut
        return ignored.with_rules(rules)

    def _enter(self, here: _Visit, name: str, depth: int) -> _Visit | None:
        level = here.level.below(name)
        if not level:
            return None
        if depth >= self._limits.depth:
            self._too_deep += 1
            return None
        try:
            directory = here.directory.open_directory(name)
        except ToolError:
            self._unreadable += 1
            return None
        return _Visit(directory, f"{here.prefix}{name}/", level, here.ignored.below(name))

    def _files_of(self, here: _Visit) -> Iterator[Found]:
        entries = self._entries_of(here.directory)
        if not self._include_ignored and any(entry.name == ".gitignore" for entry in entries):
            here.ignored = self._with_rules_of(here.directory, here.ignored)
        entries.sort(key=_name)
        ignored, level = here.ignored, here.level
        for entry in entries:
            name, kind = entry.name, entry.kind
            # Looked at for each name: against thousands of rules one alone may take hundredths of a second.
            self._cancel.raise_if_cancelled()
            if self._is_out_of_time():
                return
            if name == ".git":
                continue
            if kind == "directory":
                if ignored.has_directory(name):
                    self.ignored += 1
                else:
                    here.waiting.append(name)
            elif (kind == "file" or kind == "link") and level.matches(name):
                if name in ignored:
                    self.ignored += 1
                else:
                    yield Found(here.directory, name, kind, here.prefix)
        here.waiting.reverse()

    def _entries_of(self, directory: Directory) -> list[Entry]:
        found: list[Entry] = []
        if self._is_out_of_time():
            return found
        room = self._limits.entries - self._seen
        try:
            for entry in directory.entries():
                self._cancel.raise_if_cancelled()
                if len(found) >= room:
                    self._stopped = (
                        f"stopped after {self._limits.entries:,} entries, not everything was searched: "
                        "name a smaller directory as path"
                    )
                    break
                found.append(entry)
        except ToolError:
            self._unreadable += 1
        self._seen += len(found)
        return found


def _name(entry: Entry) -> str:
    return entry.name


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _names_between(top: str, path: str) -> list[str] | None:
    """The names that lead from a directory down to another; None if it is not below."""
    for start in (top, os.path.realpath(top)):
        if path == start:
            return []
        if path.startswith(os.path.join(start, "")):
            return path[len(os.path.join(start, "")) :].split(os.sep)
    return None
