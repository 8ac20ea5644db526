"""Our own standard input and output as the stream of a link.

Invariants. Whoever gave us the two may share them with others (a terminal, or one pipe for output and
errors), so they are never made non-blocking: they are polled first, and no more is written at once than a
pipe that is ready takes.
"""

from __future__ import annotations

import os
import select

from tako.driving.live_link import link_lost, peer_of
from tako.driving.own_streams import OwnStreams
from tako.errors import TakoError
from tako.links import StandardStreams

__all__ = ["StandardStream"]

READ_SIZE = 65536
PIECE = getattr(select, "PIPE_BUF", 512)
"""What a pipe takes without waiting when poll says that it is writable."""


class StandardStream:
    """Raises InvalidInput if they are a link already, TransportError if we were started without them."""

    wants_to_write = False
    outlives = False
    ends_with_input = False
    others: tuple[int, ...] = ()
    period: float | None = None

    def __init__(self) -> None:
        self._streams = OwnStreams()
        self.source, self.sink = self._streams.source, self._streams.sink
        self.close, self.forget = self._streams.close, self._streams.forget

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


def _require(descriptor: int, what: int) -> None:
    poll = select.poll()
    poll.register(descriptor, what)
    if not poll.poll(0):
        raise BlockingIOError
