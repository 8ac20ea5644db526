"""Runs the bash tool by hand, and looks whether anything of a command is left."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from tako.cancellation import CancellationToken
from tako.models import Principal
from tako.tools import ToolContext, ToolOutput
from tako.tools.builtin.bash import bash_tool
from tako.tools.builtin.family import processes

needs_proc = pytest.mark.skipif(not processes(), reason="there is no /proc")

WITNESS = "WITNESS_OF_TEST"
WAIT_TO_GO = "until [ -e go ]; do sleep 0.01; done"
"""What a command does until its test puts a file `go` into the root."""
BUSY_MACHINE = 0.4
"""Seconds that a machine that does other things may add to what has to be over at once. With the 50 ms that
it may take it is still less than TERM_GRACE, so that a cancel which waits for that is seen."""
LONG = 5.0
"""Seconds that are enough on any machine, and few beside the thirty for which a command would go on."""


def context(cancel: CancellationToken | None = None) -> ToolContext:
    return ToolContext("call_1", "bash", 1, "run_1", Principal(), cancel or CancellationToken())


def bash(
    command: str, *, cancel: CancellationToken | None = None, timeout_ms: int = 5_000, **options: Any
) -> tuple[list[str], ToolOutput]:
    """The pieces of progress and the result of one command."""
    steps = bash_tool(**{"root": os.getcwd(), **options})(command, context(cancel), timeout_ms)
    pieces = []
    while True:
        try:
            pieces.append(next(steps))
        except StopIteration as stop:
            return pieces, stop.value


def until(condition: Callable[[], object]) -> None:
    """Wait for what is about to happen."""
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def result_of(command: str, **options: Any) -> str:
    """The text of a command that is expected to work."""
    _, output = bash(command, **options)
    assert not output.is_error, output.value
    return str(output.value)


def error_of(command: str, **options: Any) -> str:
    """The text of a command that is expected to fail."""
    _, output = bash(command, **options)
    assert output.is_error, output.value
    return str(output.value)


def alive(witness: str) -> list[str]:
    """The names of processes that hold this in their environment; one that has ended has none."""
    found = []
    for pid in processes():
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                if witness.encode() not in file.read():
                    continue
            with open(f"/proc/{pid}/comm") as file:
                found.append(file.read().strip())
        except OSError:
            continue
    return found


def children() -> list[int]:
    """The children of this process, zombies too."""
    found = []
    for pid in processes():
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                if int(file.read().rpartition(b")")[2].split()[1]) == os.getpid():
                    found.append(pid)
        except OSError:
            continue
    return found


@contextmanager
def nothing_left_behind() -> Iterator[dict[str, str]]:
    """Gives the environment for commands; afterwards nobody has it, and no thread, file or child is new."""
    witness = uuid4().hex
    threads, files, before = set(threading.enumerate()), len(os.listdir("/proc/self/fd")), children()
    yield {"PATH": os.environ["PATH"], WITNESS: witness}
    assert alive(witness) == []
    assert [thread.name for thread in threading.enumerate() if thread.name == "tako-bash"] == []
    assert children() == before
    end = time.monotonic() + 2  # the arms' own threads and files may take a moment
    while time.monotonic() < end:
        new = [thread for thread in threading.enumerate() if thread not in threads]
        left = [thread for thread in new if "trio" not in thread.name.lower()]
        if not left and len(os.listdir("/proc/self/fd")) <= files:
            return
        gc.collect()  # dear, with all that the tests have loaded, and hardly ever needed
        time.sleep(0.02)
    raise AssertionError(f"left behind: {left}, {len(os.listdir('/proc/self/fd')) - files} files")
