"""RunningCommand: a process and all below it, from its start to the moment when nothing of it is left.

| state     | what goes on                                                         | left when           |
|-----------|----------------------------------------------------------------------|---------------------|
| running   | `pump` takes output; the watcher looks at time, processes and memory | ended, or condemned |
| condemned | the watcher has sent TERM (time) or KILL (all else); see `verdict`   | ended, or GIVE_UP   |
| draining  | it has ended, somebody below it still holds its output               | output over, DRAIN  |
| stopping  | `stop`: TERM to who is left, KILL after a grace; a cancel hurries it | nobody is alive     |
| closed    | reaped, its files closed, the watcher's thread ended                 |                     |

Invariants. `pump` and `stop` are called by one thread at a time, not always the same; `wake` by any, also
in a signal handler. The watcher is a thread of its own because nobody may be pumping: whoever reads the
progress can take all the time he likes, and a fork bomb would not wait for him. What the command writes is
held back by the pipe then, and everywhere else by the bounds of Excerpt. In a process that was forked off
from ours while a command ran, the command is left alone and the files are closed: it is not its child.
A command ends with its program, unless that is killed: nobody is left then to stop it.
No step but the start needs a new file, so that in a program which has none left a command can be stopped.

The output is one pipe for stdout and stderr: only so does their order stay as it was. In a program that
ignores SIGCHLD, or collects all its children, the exit code of a command may be lost, and is None then.
"""

from __future__ import annotations

import atexit
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from tako.tools.builtin.excerpt import Excerpt
from tako.tools.builtin.family import Family, processes

__all__ = ["CANCEL_GRACE", "MARK", "TERM_GRACE", "Limits", "RunningCommand"]

TICK = 0.05
"""Seconds between two looks at a command that runs."""
TERM_GRACE = 0.5
"""Seconds between TERM and KILL."""
CANCEL_GRACE = 0.02
"""The same when somebody waits for the end: all has to be over in tako.driving.calls.GRACE."""
DRAIN = 0.25
"""Seconds in which the output may end after the command has: `tee` behind a `>(...)` has its last words."""
SETTLE = 0.02
"""Seconds in which who is just ending may end, before it counts as left in the background."""
KILL_WAIT = 0.5
"""Seconds in which a killed process should be gone. Who waits for a broken disk is not."""
GIVE_UP = 2.0
"""Seconds after which a condemned command is left alone, if it cannot be killed."""

PIECE = 16_384
"""Characters of progress that are shown at once."""
READ_SIZE = 65_536
READS = 16
"""Reads in a row before somebody looks at the clock."""

MARK = "TAKO_COMMAND"
"""The variable by which the processes of a command are found again. It lists the commands they are below."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a command is stopped; None is no limit."""

    processes: int | None
    memory: int | None
    """Bytes in use by all its processes together, shared ones counted for each."""
    output: int | None
    """Bytes that it may write, read by the model or not."""


class RunningCommand:
    """A started command: pump it until it is over, stop it, close it."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        directory: str,
        environ: Mapping[str, str],
        timeout: float,
        limits: Limits,
        max_output: int,
    ) -> None:
        """Raises OSError if it cannot be started."""
        self.output, self.fresh = Excerpt(max_output), Excerpt(PIECE)
        self.verdict: str | None = None
        """Why it was condemned, in words that go on after "The command"."""
        self.is_cancelled = False
        """Somebody wants it to end."""
        self.was_cut_short = False
        """It was cancelled before it had ended by itself."""
        self.left_behind: tuple[str, ...] = ()
        """Names of processes that were still alive when the command had ended by itself."""
        self.unstoppable: tuple[str, ...] = ()
        """Names of processes that could not be stopped."""
        self._alive: tuple[str, ...] = ()
        self._owner = os.getpid()
        self._limits, self._timeout = limits, timeout
        self._is_stopped, self._output_ended = False, False
        self._ended_at: float | None = None
        self._code: int | None = None
        self._is_reaped = False
        self._kill_at = float("inf")
        self._pause = 0.001
        self._over = threading.Event()
        # A signal handler may come while this very thread holds it.
        self._wake_lock = threading.RLock()
        mark = os.urandom(8).hex()
        strangers = processes()
        self._popen = self._start(arguments, directory, {**environ, MARK: _marks(environ, mark)})
        self._deadline = monotonic() + timeout
        self._family = Family(self._popen.pid, mark, strangers)
        self._has_census = bool(strangers)
        self._watcher = threading.Thread(target=self._watch, name="tako-bash", daemon=True)
        atexit.register(self._end_with_the_program)
        try:
            self._watcher.start()
        except BaseException:  # no thread to be had, or Ctrl-C
            self._family.signal(signal.SIGKILL)
            self._popen.wait()
            self._close_files()
            atexit.unregister(self._end_with_the_program)
            raise

    def _start(
        self, arguments: Sequence[str], directory: str, environ: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        self._pipe = self._wake_reader = self._wake_writer = writer = -1
        try:
            self._pipe, writer = os.pipe()
            self._wake_reader, self._wake_writer = os.pipe()
            for file in (self._pipe, self._wake_reader, self._wake_writer):
                os.set_blocking(file, False)
            return subprocess.Popen(
                arguments,
                cwd=directory,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                start_new_session=True,
            )
        except BaseException:
            self._close_files()
            raise
        finally:
            if writer >= 0:
                os.close(writer)

    @property
    def exit_code(self) -> int | None:
        """Of a closed command; negative is the signal that ended it, None if somebody else collected it."""
        if self._is_reaped or self._code is not None:
            return self._code
        code = self._popen.returncode
        return -signal.SIGKILL if code is None else code

    def wake(self) -> None:
        """The command is cancelled: whoever pumps it shall stop it now."""
        self.is_cancelled = True
        with self._wake_lock:
            if self._wake_writer >= 0:
                os.write(self._wake_writer, b"!")

    def pump(self) -> bool:
        """Take what was written, waiting a moment for it; False when there is nothing to wait for."""
        files = [self._wake_reader] if self._output_ended else [self._wake_reader, self._pipe]
        _wait_for(files, self._pause if self._output_ended else TICK)
        self._read()
        if self._output_ended:
            self._pause = min(2 * self._pause, TICK)
        now = monotonic()
        if not self._has_ended():
            return now < self._kill_at + GIVE_UP
        if self._ended_at is None:
            self._ended_at = now
        return not self._output_ended and now < self._ended_at + DRAIN

    def stop(self, grace: float) -> None:
        """End everything that is left of it: TERM, after the grace KILL. A cancel makes the grace short."""
        if self._owner != os.getpid():
            return
        self._is_stopped = True
        self._over.set()
        self.was_cut_short = self.is_cancelled and not self._has_ended()
        is_over = self._wait_for_end(0.0 if self.was_cut_short else SETTLE)
        if self.verdict is None and not self.was_cut_short:
            self.left_behind = self.left_behind or self._alive
        if not is_over:
            self._family.signal(signal.SIGTERM)
            is_over = self._wait_for_end(grace)
        if not self._has_census or not processes():
            self._family.signal(signal.SIGKILL)  # nobody knows who is left
        end = monotonic() + KILL_WAIT
        while not is_over and monotonic() < end:
            self._family.signal(signal.SIGKILL)
            is_over = self._wait_for_end(0.005)
        self.unstoppable = self._alive

    def close(self) -> None:
        """Stop what is not stopped, reap it, and give back all that it held."""
        try:
            if self._owner == os.getpid() and not sys.is_finalizing():
                if not self._is_stopped:
                    self.stop(CANCEL_GRACE)
                self._watcher.join()
                self._family.reap()
                self._popen.wait(KILL_WAIT)
        except subprocess.TimeoutExpired:
            pass  # it cannot be killed; `subprocess` reaps it when it can
        finally:
            self._close_files()
            atexit.unregister(self._end_with_the_program)

    def _close_files(self) -> None:
        with self._wake_lock:
            writer, self._wake_writer = self._wake_writer, -1
        for file in (self._pipe, self._wake_reader, writer):
            if file >= 0:
                os.close(file)
        self._pipe = self._wake_reader = -1

    def _read(self) -> None:
        for _ in range(READS):
            if self._output_ended:
                return
            try:
                piece = os.read(self._pipe, READ_SIZE)
            except BlockingIOError:
                return
            if not piece:
                self._output_ended = True
            self.output.write(piece)
            self.fresh.write(piece)
            if self._limits.output is not None and self.output.total > self._limits.output:
                self._condemn(f"was stopped because it wrote more than {self._limits.output:,} bytes", 0.0)

    def _has_ended(self) -> bool:
        """It is not reaped by this, where the system can do that: its number stays its own."""
        if self._code is not None or self._is_reaped:
            return True
        if self._popen.returncode is not None or not hasattr(os, "waitid"):
            return self._popen.poll() is not None
        try:
            ended = os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            self._is_reaped = True  # whoever collects all children of this program was here first
            return True
        if ended is not None:
            self._code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        return ended is not None

    def _wait_for_end(self, seconds: float) -> bool:
        """Take output until nobody is alive; False if somebody is when the time is over. A cancel hurries."""
        began = monotonic()
        while True:
            self._read()
            self._alive = self._names()
            if not self._alive and self._has_ended():
                return True
            if monotonic() >= began + (min(seconds, CANCEL_GRACE) if self.is_cancelled else seconds):
                return False
            _wait_for([] if self._output_ended else [self._pipe], 0.002)

    def _names(self) -> tuple[str, ...]:
        """Who is alive."""
        return tuple(member.name for member in self._family.look() if not member.is_zombie)

    def _condemn(self, verdict: str, grace: float) -> None:
        """Say why it has to end, once, and send the first signal."""
        if self.verdict is None:
            self.verdict = verdict
            self._kill_at = monotonic() + grace
            self._family.signal(signal.SIGTERM if grace else signal.SIGKILL)

    def _watch(self) -> None:
        """What the watcher's thread does until the command is stopped."""
        while not self._over.wait(self._until_next_look()):
            if self.verdict is None:
                self._judge()
            elif monotonic() >= self._kill_at:
                self._family.signal(signal.SIGKILL)

    def _until_next_look(self) -> float:
        left = self._deadline - monotonic()
        return left if 0 < left < TICK else TICK

    def _judge(self) -> None:
        limits = self._limits
        if monotonic() >= self._deadline:
            return self._end_in_time()
        if limits.processes is None and limits.memory is None:
            return None
        members = self._family.look()
        if limits.processes is not None and len(members) > limits.processes:
            return self._condemn(
                f"was stopped because it ran {len(members):,} processes, of {limits.processes:,} allowed", 0.0
            )
        used = sum(member.pages for member in members) * os.sysconf("SC_PAGE_SIZE")
        if limits.memory is not None and used > limits.memory:
            return self._condemn(
                f"was stopped because it used {used:,} bytes of memory, of {limits.memory:,} allowed", 0.0
            )
        return None

    def _end_with_the_program(self) -> None:
        """The interpreter ends while a command runs, in a thread that does not hold it up."""
        if self._owner == os.getpid():
            self._condemn("was stopped because the program ended", 0.0)

    def _end_in_time(self) -> None:
        """The time is over: also for those whom a command left behind that ended before."""
        if not self._has_ended():
            self._condemn(f"timed out after {round(self._timeout * 1000):,} ms", TERM_GRACE)
        else:
            left = self._names()
            self._family.signal(signal.SIGKILL)
            self.left_behind = self.left_behind or left


def _marks(environ: Mapping[str, str], mark: str) -> str:
    """The mark of this command beside those of the commands around it, whose processes it runs, too."""
    around = environ.get(MARK)
    return f"{around}:{mark}" if around else mark


def _wait_for(files: Sequence[int], seconds: float) -> None:
    """Until there is something to read, at most so long. The selector is bound to no thread and no loop."""
    # A poll needs no file of its own, as epoll does. Gevent takes it away and has its own as the default.
    kind = getattr(selectors, "PollSelector", selectors.DefaultSelector)
    with kind() as selector:
        for file in files:
            selector.register(file, selectors.EVENT_READ)
        selector.select(seconds)
