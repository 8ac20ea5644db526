"""The tool `bash`: a shell command, run where it does little harm and leaves nothing behind.

| what               | how                                                                                   |
|--------------------|---------------------------------------------------------------------------------------|
| shell              | a new one for each call, in the root, no startup files; sh where there is no bash     |
| stdin, terminal    | none: a question is answered with the end of input, a password prompt fails           |
| environment        | the program's own without what looks like a secret (environment.py)                   |
| output             | stdout and stderr in the order of arrival; lossy UTF-8; a long one loses its middle   |
| progress           | the text as it comes, at once at first, then gathered for INTERVAL                    |
| exit               | 0 is a result; another code or a signal is an error with the code and the output      |
| time is over       | TERM, half a second, KILL; an error with the output there was                         |
| cancelled          | TERM, 20 ms, KILL; an error with the output there was                                 |
| left in background | may finish its output for a quarter of a second, is stopped, and the result says so   |
| daemons            | who leaves the session is found by parent or by a mark in its environment (family.py) |
| limits             | see `bash_tool`; the command is killed and told why                                   |

It keeps accidents and careless models in bounds. It is no sandbox: the command is the same user on the same
machine as the program, sees the same files and the same network, and a hostile one finds its way out. Who
runs hostile code runs this whole program in a container.

Needs a POSIX system; on Windows `bash_tool` raises InvalidInput. Where there is no /proc (macOS), processes
and memory are not counted, and who left the process group is not found.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from time import monotonic

from tako.errors import Cancelled, InvalidInput, ToolError
from tako.tools.builtin.environment import scrubbed
from tako.tools.builtin.running import CANCEL_GRACE, MARK, TERM_GRACE, Limits, RunningCommand
from tako.tools.context import ToolContext
from tako.tools.output import ToolOutput
from tako.tools.tool import Tool

__all__ = ["bash_tool"]

GIB = 1024**3

INTERVAL = 0.1
"""Seconds between two pieces of progress."""
MAX_COMMAND = 100_000
"""Bytes of a command. Linux takes 131,071 in one argument."""
NOTES = 1_000
"""Characters of a result beside the output: the exit code, what was stopped."""
NAMES = 5
"""Processes that are named in a note."""

DESCRIPTION = """\
Run a shell command and read what it writes to stdout and stderr, in the order of arrival. Each call is a \
new {shell} in the root of the workspace: `cd` and variables do not last. There is no terminal and no input. \
Processes left in the background are stopped when the command ends. Of more than {max_output:,} characters \
of output the middle is cut: write more than that to a file. timeout_ms is at most {max_ms}."""


@dataclass(frozen=True, slots=True)
class _Shell:
    """How commands are run: what `bash_tool` was told."""

    root: str
    name: str
    environ: Mapping[str, str] | None
    keep: Collection[str]
    max_timeout: float
    max_output: int
    max_file_size: int | None
    limits: Limits

    def start(self, command: str, timeout: float) -> RunningCommand:
        """Raises ToolError, in words for the model, if there is nothing to run or nobody to run it."""
        if not 0 < timeout <= self.max_timeout:
            most = _milliseconds(self.max_timeout)
            raise ToolError(f"timeout_ms should be from 1 to {most}, not {_milliseconds(timeout)}")
        _check_command(command)
        path = self._path()
        environ = self._environ()
        try:
            return RunningCommand(
                (path, "-c", self._prologue(path, environ), path, command),
                directory=self.root,
                environ=environ,
                timeout=timeout,
                limits=self.limits,
                max_output=self.max_output,
            )
        except OSError as error:
            if not os.path.isdir(self.root):
                raise ToolError(
                    "the working directory does not exist any more; nothing can run in it"
                ) from error
            raise ToolError(f"the shell could not be started: {error.strerror or error}") from error

    def _path(self) -> str:
        path = shutil.which(self.name)
        if path is None and self.name == "bash":
            path = shutil.which("sh")
        if path is None:
            raise ToolError(f"there is no shell {self.name!r} on this machine, so no command can be run")
        return path

    def _environ(self) -> dict[str, str]:
        environ = scrubbed(os.environ, self.keep) if self.environ is None else dict(self.environ)
        if MARK in os.environ:  # we are below a command ourselves
            environ[MARK] = os.environ[MARK]
        return environ

    def _prologue(self, path: str, environ: Mapping[str, str]) -> str:
        """Sets the limits that a process has for itself, then becomes the shell of the command."""
        name = os.path.basename(path)
        steps = ["ulimit -c 0"]
        if self.max_file_size is not None:
            block = 1024 if name == "bash" and "POSIXLY_CORRECT" not in environ else 512
            steps.append(f"ulimit -f {-(-self.max_file_size // block)}")
        # Where the limit is lower already it cannot be raised, and need not be.
        limits = "".join(f"{step} 2>/dev/null; " for step in steps)
        return f'{limits}exec "$0" -c -- "$1" {shlex.quote(name)}'


def bash_tool(
    root: str,
    *,
    environ: Mapping[str, str] | None = None,
    keep: Collection[str] = (),
    timeout: float = 120,
    max_timeout: float = 600,
    max_output: int = 100_000,
    max_processes: int | None = 512,
    max_memory: int | None = 8 * GIB,
    max_file_size: int | None = 4 * GIB,
    max_total_output: int | None = GIB,
    shell: str = "bash",
) -> Tool:
    """A mutating tool that runs shell commands in `root`.

    environ           the whole environment of the commands; by default the program's, scrubbed
    keep              names of variables that are not scrubbed
    timeout           seconds for a command that asks for no other time
    max_timeout       seconds that a command may ask for
    max_output        characters of output that the model gets to read
    max_processes     that a command may have at once; a fork bomb is killed within a few looks at it
    max_memory        bytes that all processes of a command may use together
    max_file_size     bytes of one file that a command may write (RLIMIT_FSIZE)
    max_total_output  bytes that a command may write, read or cut
    shell             name or path of one that speaks sh's language; for "bash", if there is none, sh

    A limit of None is none. Processes and memory are looked at every 50 ms, so that both may be passed for a
    moment. No core files are written. Raises InvalidInput for arguments that make no sense, and on Windows.
    """
    if os.name != "posix":
        raise InvalidInput("bash: needs a POSIX system; on Windows give the agent a tool of your own")
    _check_text(root=root, shell=shell)
    _check_seconds(timeout=timeout, max_timeout=max_timeout)
    _check_limits(max_processes=max_processes, max_memory=max_memory)
    _check_limits(max_file_size=max_file_size, max_total_output=max_total_output)
    if not isinstance(max_output, int) or max_output < 1:
        raise InvalidInput(f"bash: max_output should be a positive number of characters, not {max_output!r}")
    if timeout > max_timeout:
        raise InvalidInput(
            f"bash: timeout ({timeout:g}) should not be more than max_timeout ({max_timeout:g})"
        )
    if isinstance(keep, str):
        raise InvalidInput('bash: keep should be a collection of names, such as ("GITHUB_TOKEN",)')
    if environ is not None and keep:
        raise InvalidInput(
            "bash: keep chooses from the program's own environment; put them into environ instead"
        )
    for name, value in (environ or {}).items():
        _check_variable(name, value)
    environ = None if environ is None else dict(environ)
    limits = Limits(max_processes, max_memory, max_total_output)
    how = _Shell(root, shell, environ, frozenset(keep), max_timeout, max_output, max_file_size, limits)
    default = round(timeout * 1000)

    def bash(
        command: str, context: ToolContext, timeout_ms: int = default
    ) -> Generator[str, None, ToolOutput]:
        """:param command: The command, as one would type it; several lines are a script.
        :param timeout_ms: Milliseconds after which the command is stopped.
        """
        return _run(how, command, timeout_ms / 1000, context)

    description = DESCRIPTION.format(
        shell=os.path.basename(shell), max_output=max_output, max_ms=_milliseconds(max_timeout)
    )
    return Tool(bash, description=description, max_output=max_output + NOTES)


def _run(
    shell: _Shell, command: str, timeout: float, context: ToolContext
) -> Generator[str, None, ToolOutput]:
    context.cancel.raise_if_cancelled()
    running = shell.start(command, timeout)
    undo = context.cancel.on_cancel(running.wake)
    try:
        yield from _progress(running)
        running.stop(TERM_GRACE)
    except Cancelled:
        running.is_cancelled = True
        running.stop(CANCEL_GRACE)
    finally:
        undo()
        running.close()
    return _report(running)


def _progress(running: RunningCommand) -> Generator[str, None, None]:
    """What the command writes, as it comes, until it is over or cancelled."""
    due = 0.0
    while running.pump() and not running.is_cancelled:
        if running.fresh.total and monotonic() >= due:
            text = running.fresh.take()
            if text:
                yield text
            due = monotonic() + INTERVAL
    rest = running.fresh.text()
    if rest and not running.is_cancelled:
        yield rest


def _report(running: RunningCommand) -> ToolOutput:
    """The result: how it ended, what it wrote, who had to be stopped."""
    output = running.output.text()
    lines = [output or "(no output)"]
    if running.was_cut_short:
        lines.insert(0, "The command was cancelled and stopped. What it had written:")
    elif running.verdict is not None:
        lines.insert(0, f"The command {running.verdict}. What it had written:")
    elif code := running.exit_code:
        lines.insert(0, _ending(code))
    is_error = len(lines) > 1
    if running.exit_code is None and not is_error:
        lines.append(
            "[the exit code is unknown: the program that runs this tool collects it, or ignores SIGCHLD]"
        )
    if running.left_behind:
        lines.append(f"[still running in the background, and stopped: {_names(running.left_behind)}]")
    if running.unstoppable:
        lines.append(f"[still running, and could not be stopped: {_names(running.unstoppable)}]")
    text = "".join(line if line.endswith("\n") else f"{line}\n" for line in lines[:-1]) + lines[-1]
    return ToolOutput(text, is_error=is_error)


def _ending(code: int) -> str:
    if code < 0:
        return f"Killed by {_signal_name(-code)}"
    if code > 128 and code - 128 in signal.valid_signals():
        return f"Exit code: {code} ({_signal_name(code - 128)})"  # how a shell tells of a signal
    return f"Exit code: {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _names(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMES:,} more" if len(names) > NAMES else ""
    return ", ".join(names[:NAMES]) + more


def _milliseconds(seconds: float) -> str:
    return f"{round(seconds * 1000):,}"


def _check_command(command: str) -> None:
    """Raises ToolError for what no shell can be given."""
    if not command.strip():
        raise ToolError("the command is empty")
    if "\0" in command:
        raise ToolError(
            "the command holds a NUL character, which no shell can be given; write it as $'\\0' or \\x00"
        )
    try:
        size = len(os.fsencode(command))
    except UnicodeEncodeError:
        raise ToolError(
            "the command holds a lone surrogate, which is no character; write it in another way"
        ) from None
    if size > MAX_COMMAND:
        raise ToolError(
            f"the command has {size:,} bytes, and {MAX_COMMAND:,} are allowed; "
            "write the long part to a file first"
        )


def _check_text(**values: object) -> None:
    for name, value in values.items():
        if not isinstance(value, str) or not value or "\0" in value:
            raise InvalidInput(f"bash: {name} should be text without NUL, not {value!r}")


def _check_variable(name: str, value: str) -> None:
    if not isinstance(name, str) or not name or "=" in name or "\0" in name:
        raise InvalidInput(f"bash: environ has a name that no variable can have: {name!r}")
    if not isinstance(value, str) or "\0" in value:
        raise InvalidInput(f"bash: environ[{name!r}] should be text without NUL")


def _check_seconds(**values: float) -> None:
    for name, value in values.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
            raise InvalidInput(f"bash: {name} should be a positive number of seconds, not {value!r}")


def _check_limits(**values: int | None) -> None:
    for name, value in values.items():
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise InvalidInput(f"bash: {name} should be a positive whole number, or None, not {value!r}")
