"""A command that is run to its end, for those who want its exit code and the end of what it said.

It is blocking, and reached through the Call effect alone. Nothing of the command is left when it returns,
also when its time was up, or its token was cancelled: then Cancelled is raised.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tako.cancellation import CancellationToken
from tako.errors import Cancelled
from tako.tools.builtin.running import CANCEL_GRACE, MARK, TERM_GRACE, Limits, RunningCommand

__all__ = ["CommandEnded", "run_to_end"]


@dataclass(frozen=True, slots=True)
class CommandEnded:
    """How a command has ended."""

    code: int | None
    """Its exit code; below zero the signal that killed it; None if the program that runs us has taken it."""
    output: str
    """What it wrote to stdout and stderr: the beginning and the end, if that was long."""
    verdict: str = ""
    """Why it was stopped, in words that go on after "The command"; "" if it ended by itself."""

    @property
    def is_success(self) -> bool:
        return self.code == 0 and not self.verdict


def run_to_end(
    arguments: Sequence[str],
    *,
    directory: str,
    timeout: float,
    max_output: int,
    token: CancellationToken,
    environ: Mapping[str, str],
    limits: Limits,
) -> CommandEnded:
    """Run it. Raises OSError, or ValueError for a NUL, if it cannot be started, and Cancelled."""
    token.raise_if_cancelled()
    environment = dict(environ)
    if MARK in os.environ:  # we are below a command ourselves
        environment[MARK] = os.environ[MARK]
    running = RunningCommand(
        arguments,
        directory=directory,
        environ=environment,
        timeout=timeout,
        limits=limits,
        max_output=max_output,
    )
    undo = token.on_cancel(running.wake)
    try:
        while running.pump() and not running.is_cancelled:
            pass
        running.stop(CANCEL_GRACE if running.is_cancelled else TERM_GRACE)
    finally:
        undo()
        running.close()
    if running.was_cut_short:
        raise Cancelled("cancelled: the command was stopped")
    return CommandEnded(running.exit_code, running.output.text(), running.verdict or "")
