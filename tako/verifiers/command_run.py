"""Running a Command's job: blocking, reached through the Call effect alone.

    private directory made -> files written -> command run -> all that it started stopped -> directory removed

Invariants. Whatever happens, the order above is kept to its end: no process and no file is left behind, also
if the command is cancelled or runs out of time. What the processes may do, and how they are stopped, is said
in tako.tools.builtin.command, which runs them.
"""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory
from typing import Final

from tako.cancellation import CancellationToken
from tako.errors import TakoError
from tako.tools.builtin.command import run_to_end
from tako.tools.builtin.environment import scrubbed
from tako.tools.builtin.running import Limits
from tako.verifiers.command import Ended, Job

__all__ = ["run_command"]

MOST_WRITTEN: Final = 1024**3
"""Bytes of output, kept or not, before a command is stopped."""


def run_command(job: Job, text: str, cancel: CancellationToken) -> Ended:
    """Run it on this answer; raises Cancelled, and TakoError if it cannot be run."""
    cancel.raise_if_cancelled()
    try:
        # What a command made unreadable is not worth losing its score for.
        with TemporaryDirectory(prefix="tako-", ignore_cleanup_errors=True) as private:
            for name, content in (*job.files.items(), (job.filename, text)):
                _write(os.path.join(private, name), content)
            return _run(job, private, cancel)
    except OSError as error:
        raise TakoError(f"Command: {job.arguments[0]} could not be run: {error}", phase="verifier") from error


def _write(path: str, content: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "x", encoding="utf-8", errors="surrogatepass", newline="") as file:
        file.write(content)


def _run(job: Job, private: str, cancel: CancellationToken) -> Ended:
    ended = run_to_end(
        [_filled(word, private, job.filename) for word in job.arguments],
        directory=private if job.directory is None else job.directory,
        environ=scrubbed(os.environ, job.keep) if job.environ is None else job.environ,
        timeout=job.timeout,
        limits=Limits(job.max_processes, job.max_memory, MOST_WRITTEN),
        max_output=job.max_output,
        token=cancel,
    )
    if ended.verdict:
        return Ended(-1, ended.output, ended.verdict)
    if ended.code is None:
        raise TakoError(
            "Command: the exit code is unknown: this program collects its children, or ignores SIGCHLD",
            phase="verifier",
        )
    return Ended(ended.code, ended.output)


def _filled(word: str, private: str, filename: str) -> str:
    return word.replace("{file}", os.path.join(private, filename)).replace("{directory}", private)
