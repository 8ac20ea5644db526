"""Family: all the processes that a command has brought forth, and how they are stopped.

The command leads a session of its own. Who belongs to it is read from /proc:

| a process                                          | belongs, because                                   |
|----------------------------------------------------|----------------------------------------------------|
| of the session, in whatever process group          | the session is the command's                       |
| that left it (setsid, a daemon), child of a member | its parent belongs                                 |
| that left it, whose parent has ended               | its environment holds the mark of this command     |
| that belonged when last looked at                  | once a member, always a member                     |
| that was there before the command began            | no, and so it is never looked at again             |

Not found is who left the session, lost its parent and cleared its environment, all between two looks;
and, where there is no /proc (macOS), everybody who left the process group: there the group is all that
is known, nobody is counted, and no memory is measured. Processes of other users can be seen but not
stopped. None of this holds hostile code: that needs a container.

Invariants. Nobody else is ever signalled, also where numbers are given out again: the leader is not reaped
before the last signal was sent, so that its number, which is the group's, stays its own; if somebody else
reaped it, the group is left alone, and its members are signalled one by one. They are known by their number
and the moment of their birth, and on Linux are signalled by a file that means this very process. Where /proc
cannot be read (no files left to open), nobody is seen, and the group is still signalled.
May be used from several threads.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from threading import Lock

__all__ = ["Family", "Member", "processes"]

PROC = "/proc"


@dataclass(frozen=True, slots=True)
class Member:
    """A process as it was when it was looked at; a zombie has ended and waits for its parent."""

    pid: int
    name: str
    is_zombie: bool
    parent: int
    group: int
    session: int
    born: int
    pages: int
    """Of memory, that are its own or shared with others."""


def processes() -> set[int]:
    """The numbers of all processes; none where there is no /proc, or it cannot be read."""
    try:
        return {int(name) for name in os.listdir(PROC) if name.isdecimal()}
    except OSError:
        return set()


class Family:
    """The processes below a command: look at them, signal them, reap them."""

    __slots__ = ("_leader", "_lock", "_mark", "_members", "_strangers")

    def __init__(self, leader: int, mark: str, strangers: set[int]) -> None:
        """`strangers` are the processes that there were before the leader was started."""
        self._leader = leader
        self._mark = mark.encode()
        self._strangers = strangers
        self._members: dict[int, Member] = {}
        self._lock = Lock()

    def look(self) -> list[Member]:
        """The members that there are now, zombies too."""
        with self._lock:
            numbers = processes()
            if not numbers:
                return []  # it cannot be read now; what is known is kept
            self._strangers &= numbers
            found: dict[int, Member] = {}
            for pid in sorted(numbers - self._strangers):  # parents come before their children
                member = _member(pid)
                if member is not None and self._belongs(member, found):
                    found[pid] = member
                elif member is not None:
                    self._strangers.add(pid)
            self._members = found
            return list(found.values())

    def signal(self, number: int) -> None:
        """Send it to all who are alive and whom we may signal."""
        has_group = self._is_child()
        if has_group:
            try:
                os.killpg(self._leader, number)  # at once to all of it: a fork cannot slip through
            except (ProcessLookupError, PermissionError):
                pass  # all have ended; or are another user's, and are told of as still alive
        for member in self.look():
            if not member.is_zombie and not (has_group and member.group == self._leader):
                _send(member, number)

    def reap(self) -> None:
        """Collect orphans that became our own children: where we are the first process, as in a container."""
        for member in self.look():
            if member.is_zombie and member.parent == os.getpid() and member.pid != self._leader:
                try:
                    os.waitpid(member.pid, os.WNOHANG)
                except ChildProcessError:
                    pass  # somebody else collects them here

    def _is_child(self) -> bool:
        """Whether the leader's number is still its own: it is our child, alive or not yet reaped."""
        if not hasattr(os, "waitid"):
            return True  # macOS before Python 3.13: nobody can tell
        try:
            os.waitid(os.P_PID, self._leader, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def _belongs(self, member: Member, found: dict[int, Member]) -> bool:
        if member.session == self._leader or member.parent in found:
            return True
        known = self._members.get(member.pid)
        return (known is not None and known.born == member.born) or self._is_marked(member.pid)

    def _is_marked(self, pid: int) -> bool:
        try:
            with open(f"{PROC}/{pid}/environ", "rb") as file:
                return self._mark in file.read()
        except OSError:
            return False  # it has ended, or is another user's


def _member(pid: int) -> Member | None:
    try:
        with open(f"{PROC}/{pid}/stat", "rb") as file:
            stat = file.read()
    except OSError:
        return None
    opening, closing = stat.index(b"("), stat.rindex(b")")  # the name may hold anything, also brackets
    fields = stat[closing + 2 :].split()
    return Member(
        pid,
        stat[opening + 1 : closing].decode("utf-8", "replace"),
        fields[0] in (b"Z", b"X"),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        born=int(fields[19]),
        pages=int(fields[21]),
    )


def _send(member: Member, number: int) -> None:
    """Signal one process, and not the one that has its number by now."""
    try:
        file = os.pidfd_open(member.pid) if hasattr(os, "pidfd_open") else None
    except ProcessLookupError:
        return
    except OSError:
        file = None  # an old kernel, or a sandbox around us, or no file left to open
    try:
        now = _member(member.pid)
        if now is None or now.born != member.born:
            return
        if file is not None:
            signal.pidfd_send_signal(file, number)
        else:  # since the look its number would have to go all the way round
            os.kill(member.pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # it has ended; or it is another user's, and is told of as still alive
    finally:
        if file is not None:
            os.close(file)
