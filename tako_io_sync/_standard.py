"""Our own standard input and output as the stream of a link.

While it is open nobody else gets at the protocol: descriptor 1 leads to standard error, so that what is
printed shows up there, and descriptor 0 to nothing, so that a child which inherits it does not eat our input.

Invariants. Whoever gave us the two may share them with others (a terminal, or one pipe for output and
errors), so they are never made non-blocking: they are polled first, and no more is written at once than a
pipe that is ready takes.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading

from tako.driving.live_link import link_lost, peer_of
from tako.errors import InvalidInput, TakoError, TransportError
from tako.links import StandardStreams

__all__ = ["StandardStream"]

READ_SIZE = 65536
PIECE = getattr(select, "PIPE_BUF", 512)
"""What a pipe takes without waiting when poll says that it is writable."""

_taken = threading.Lock()


class StandardStream:
    """Raises InvalidInput if they are a link already, TransportError if we were started without them."""

    wants_to_write = False
    outlives = False
    finishes = True
    others: tuple[int, ...] = ()
    period: float | None = None

    def __init__(self) -> None:
        if not _taken.acquire(blocking=False):
            raise InvalidInput("the standard streams are a link already: hang up that one first")
        _flush_output()
        opened: list[int] = []
        try:
            for descriptor in (0, 1):
                opened.append(os.dup(descriptor))
            nothing = os.open(os.devnull, os.O_RDONLY)
        except OSError as error:
            for descriptor in opened:
                os.close(descriptor)
            _taken.release()
            raise TransportError(
                f"the standard streams are not open: {error.strerror}", phase="link"
            ) from error
        self.source, self.sink = opened
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        os.close(nothing)
        self._is_open = True

    def read(self) -> bytes:
        _require(self.source, select.POLLIN)
        return os.read(self.source, READ_SIZE)

    def write(self, data: bytearray) -> int:
        _require(self.sink, select.POLLOUT)
        return os.write(self.sink, data[:PIECE])

    def attend(self, descriptor: int) -> bool:
        return False

    def has_died(self) -> bool:
        return False

    def finish_writing(self) -> None:
        pass  # whoever reads it sees the end when we end

    def obituary(self, reason: str) -> TakoError:
        return link_lost(peer_of(StandardStreams()), reason=reason)

    def terminate(self) -> bool:
        return False

    def kill(self) -> None:
        pass

    def close(self) -> None:
        if self._is_open:
            _flush_output()
            os.dup2(self.source, 0)
            os.dup2(self.sink, 1)
            self.forget()

    def forget(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self.source)
            os.close(self.sink)
            _taken.release()


def _require(descriptor: int, what: int) -> None:
    poll = select.poll()
    poll.register(descriptor, what)
    if not poll.poll(0):
        raise BlockingIOError


def _flush_output() -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # there may be none, or it is closed
        sys.stdout.flush()
