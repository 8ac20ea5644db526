"""RegexChild: a process that searches lines with a pattern nobody dares to use at home.

    idle --search--> started --the ready word--> ready --lines--> searching --hits--> ready
                        |                                           |
                        |                                           deadline, cancel: killed
                        no ready word: refused

The child is the interpreter that runs us, without the environment's settings and without site-packages. It
reads frames (a length of four bytes, then UTF-8): first the pattern, then lines; and answers each
frame of lines with a frame of numbers. Lines cannot hold a line end, so they are joined by it.

Invariants. The process is started when it is first needed, and killed and waited for by `close`. It
is killed from outside by whoever cancels, or by a timer at the deadline; a reader that waits for it then
reads the end. A child whose parent died is ended by the system once it has used as much of
the processor as it had time. Raises Cancelled, or ToolError with words for the model.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from tako.cancellation import CancellationToken
from tako.errors import ToolError

__all__ = ["RegexChild", "TookTooLong", "interpreter_of"]

READY: Final = b"tako searches\n"

CHILD: Final = r"""
import re, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, (int(sys.argv[1]), int(sys.argv[1])))
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
except (ImportError, ValueError, OSError):
    pass  # there is no such limit here; the parent's timer is the one that counts
source, sink = sys.stdin.buffer, sys.stdout.buffer
def receive():
    size = source.read(4)
    if len(size) < 4:
        sys.exit()
    return source.read(int.from_bytes(size, "big")).decode("utf-8", "surrogatepass")
sink.write(b"tako searches\n")
sink.flush()
ignore_case, pattern = receive().split("\n", 1)
search = re.compile(pattern, re.IGNORECASE if ignore_case else 0).search
while True:
    most, *lines = receive().split("\n")
    hits = []
    for index, line in enumerate(lines):
        match = search(line)
        if match is not None:
            hits.append("%d %d %d" % (index, match.start(), match.end()))
            if len(hits) == int(most):
                break
    answer = "\n".join(hits).encode()
    sink.write(len(answer).to_bytes(4, "big") + answer)
    sink.flush()
"""

ADVICE: Final = (
    "repeats inside repeats, such as (a+)+ or (\\w+\\s?)*, and many .* in one pattern can take for ever; "
    "write it without them, or use fixed=true for plain text"
)


class TookTooLong(ToolError):
    """The time was used up while a pattern was tried."""

    def __init__(self) -> None:
        super().__init__(f"pattern: it takes too long and was stopped; {ADVICE}")


class RegexChild:
    """The process, whether it runs or not."""

    def __init__(
        self,
        pattern: str,
        *,
        ignore_case: bool,
        cancel: CancellationToken,
        deadline: float,
        python: str | None = None,
    ) -> None:
        """`python` is the interpreter to start: ours if None, none if empty."""
        self._first = f"{'i' if ignore_case else ''}\n{pattern}"
        self._cancel = cancel
        self._deadline = deadline
        self._python = interpreter_of(sys) if python is None else python
        self._process: subprocess.Popen[bytes] | None = None
        self._undo: list[Callable[[], None]] = []

    def search(self, lines: Sequence[str], most: int) -> list[tuple[int, int, int]]:
        """Index, start and end of the first `most` lines that match."""
        try:
            process = self._process or self._start()
            self._send(process, "\n".join([str(most), *lines]))
            answer = self._receive(process, int.from_bytes(self._receive(process, 4), "big"))
        except OSError as error:  # a pipe to a child that was killed
            raise self._failure() from error
        numbers = [int(word) for word in answer.split()]
        return list(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True))

    def close(self) -> None:
        """Kill the process and wait until it is gone. Idempotent."""
        for undo in self._undo:
            undo()
        self._undo = []
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                _close(pipe)
            process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        if not self._python:
            raise ToolError(f"pattern: there is no Python here to try such a pattern in safety; {ADVICE}")
        self._cancel.raise_if_cancelled()
        seconds = max(0.0, self._deadline - time.monotonic())
        self._process = process = subprocess.Popen(
            [self._python, "-I", "-S", "-c", CHILD, str(int(seconds) + 2)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        timer = threading.Timer(seconds, process.kill)
        timer.daemon = True
        timer.start()
        self._undo = [timer.cancel, self._cancel.on_cancel(process.kill)]
        if self._receive(process, len(READY)) != READY:
            raise ToolError(
                f"pattern: what runs here is no plain Python that could try it in safety; {ADVICE}"
            )
        self._send(process, self._first)
        return process

    def _send(self, process: subprocess.Popen[bytes], text: str) -> None:
        assert process.stdin is not None
        data = text.encode("utf-8", "surrogatepass")
        process.stdin.write(len(data).to_bytes(4, "big") + data)
        process.stdin.flush()

    def _receive(self, process: subprocess.Popen[bytes], size: int) -> bytes:
        assert process.stdout is not None
        data = process.stdout.read(size)
        if len(data) < size:
            raise self._failure()
        return data

    def _failure(self) -> ToolError:
        """Why the child is gone. Raises Cancelled if that is why."""
        self._cancel.raise_if_cancelled()
        if time.monotonic() >= self._deadline:
            return TookTooLong()
        return ToolError(f"pattern: the process that should try it in safety did not live; {ADVICE}")


def interpreter_of(system: object) -> str:
    """The Python that runs us, by what `sys` says; "" if it is none, or a program with Python inside."""
    executable: str = "" if getattr(system, "frozen", False) else getattr(system, "executable", None) or ""
    return executable


def _close(pipe: object) -> None:
    try:
        pipe.close()  # type: ignore[attr-defined]
    except OSError:
        return  # what was still to be sent has nobody to read it
