"""A child process as the stream of a link: its pipes, its standard error, and its end.

| the process | is known by                                  | and then                                    |
|-------------|----------------------------------------------|---------------------------------------------|
| lives       |                                              | it may be signalled, with all of its group  |
| has died    | its process descriptor (Linux), or `waitid`  | what is left of its group is killed         |
| is reaped   | us: `obituary` and `close` do it             | its number is the system's again            |

Invariants. A group is signalled only while its leader is not reaped, so that its number is still its own.
One that dies while nobody waits at its link is reaped by the next who does: no thread watches.
The descriptors do not block. What it writes to standard error is read whenever there is some, and the last
of it is kept.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from time import monotonic, sleep

from tako.driving.live_link import Tail, link_lost, not_started, peer_of
from tako.errors import InvalidInput, TakoError
from tako.links import Child

__all__ = ["ChildStream"]

READ_SIZE = 65536
MOST_LAST_READS = 64

DYING = 0.05
"""Seconds that a process has to die in when its output or its input has ended, and again after SIGTERM."""

KILLED = 0.5
"""Seconds after SIGKILL in which a process is gone, or is in the hands of the system for good."""

LOOK = 0.05
"""Seconds between two looks, where there are no process descriptors."""

PAUSE = 0.001


class ChildStream:
    """A process in a session of its own. Raises TransportError if it cannot be started."""

    wants_to_write = False
    outlives = True
    ends_with_input = True

    def __init__(self, endpoint: Child) -> None:
        if not endpoint.command:
            raise InvalidInput("command: expected a program and its arguments, not nothing")
        try:
            self._process = process = subprocess.Popen(
                endpoint.command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=None if endpoint.environ is None else dict(endpoint.environ),
                cwd=endpoint.directory,
                start_new_session=True,
            )
        except OSError as error:
            raise not_started(endpoint, error) from error
        except ValueError as error:
            raise InvalidInput(f"{peer_of(endpoint)} cannot be started: {error}") from error
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        self._peer = peer_of(endpoint)
        self._pipes = (process.stdin, process.stdout, process.stderr)
        self.sink, self.source, self._errors = (pipe.fileno() for pipe in self._pipes)
        for descriptor in (self.sink, self.source, self._errors):
            os.set_blocking(descriptor, False)
        self._tail = Tail()
        self._handle = _process_descriptor(process.pid)
        self._has_died = False
        self.others: tuple[int, ...] = (
            (self._errors,) if self._handle is None else (self._errors, self._handle)
        )
        self.period = LOOK if self._handle is None else None

    def read(self) -> bytes:
        return os.read(self.source, READ_SIZE)

    def write(self, data: bytearray) -> int:
        return os.write(self.sink, data)

    def attend(self, descriptor: int) -> bool:
        if descriptor != self._errors:
            self._has_died = True
            return False
        return self._read_errors()

    def has_died(self) -> bool:
        if self._handle is None and not self._has_died:
            self._has_died = self._is_dead()
        return self._has_died

    def finish_writing(self) -> None:
        self._pipes[0].close()

    def obituary(self, reason: str) -> TakoError:
        """How it ended, with its last words; how the link did, if it lives."""
        code = self._process.returncode if self._has_ended_within(DYING) else None
        for _ in range(MOST_LAST_READS):
            if not self._read_errors():
                break
        return link_lost(self._peer, code=code, tail=self._tail.text(), reason=reason if code is None else "")

    def terminate(self) -> bool:
        self._signal(signal.SIGTERM)
        return True

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        self.finish_writing()
        if not self._has_ended_within(DYING):
            self.terminate()
            if not self._has_ended_within(DYING):
                self.kill()
                self._has_ended_within(KILLED)
        self._close_descriptors()

    def forget(self) -> None:
        self._process.returncode = 0  # it is nobody we could wait for
        self._close_descriptors()

    def _close_descriptors(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _read_errors(self) -> bool:
        """Whether there can be more."""
        try:
            data = os.read(self._errors, READ_SIZE)
        except OSError:
            return False
        self._tail.add(data)
        return bool(data)

    def _has_ended_within(self, seconds: float) -> bool:
        """Wait for its death; then its group is killed, and it is reaped."""
        end = monotonic() + seconds
        while not self._is_dead():
            if monotonic() >= end:
                return False
            sleep(PAUSE)
        self.kill()
        self._process.wait()
        return True

    def _is_dead(self) -> bool:
        """Without reaping it, where the system allows that."""
        if self._process.returncode is not None:
            return True
        if not hasattr(os, "waitid"):
            return self._process.poll() is not None
        try:
            status = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # somebody else has reaped it
            self._process.poll()
            return True
        return status is not None

    def _signal(self, number: int) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # all of it has ended
                os.killpg(self._process.pid, number)


def _process_descriptor(pid: int) -> int | None:
    """What is readable once the process has died; None where there is no such thing."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None  # an old kernel, or a sandbox that forbids it
