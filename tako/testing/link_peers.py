"""Links of the simulated world: who is at the other end, and what arrives when.

A `LinkPeer` is the other end as a script: told what it is sent, it gives what it sends, as the pieces of
an Answer: bytes, a Pause, a Reset (the link breaks) or a Hangup (its end). What it gives takes the delay of
the faults, and is cut as they say. `peers` of the Simulator makes one for each Open.

Invariants. Nothing is delivered while nobody waits for an outcome, however long ago it has arrived. The
machine of a link is called at the moment at which its bytes arrive, and at no other.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol, TypeAlias

from tako.driving.live_link import LiveLink, link_closed, link_lost, no_such_link
from tako.links import Endpoint, LinkMachine
from tako.testing.vendor import Hangup, Pause, Piece, Reset

__all__ = ["LinkPeer", "Links", "Peers"]


class LinkPeer(Protocol):
    """The other end of one link."""

    def connected(self) -> Iterable[Piece]:
        """What it says before it is told anything."""

    def received(self, data: bytes) -> Iterable[Piece]:
        """What it says to this; b"" is our end of the link."""


Peers: TypeAlias = Callable[[Endpoint], LinkPeer]
"""Who is at an endpoint; raises TransportError if there is nobody."""


@dataclass(slots=True)
class _Link:
    live: LiveLink
    peer: LinkPeer
    name: str
    arrivals: deque[tuple[float, bytes | Reset | Hangup]] = field(default_factory=deque)
    last: float = 0.0
    """When the last of them arrives."""


class Links:
    """All links of one world; `late` gives how long a piece takes, `size` how much of it comes at once."""

    def __init__(
        self, clock: Callable[[], float], late: Callable[[], float], size: Callable[[], int | None]
    ) -> None:
        self._clock = clock
        self._late = late
        self._size = size
        self._links: dict[int, _Link] = {}
        self._numbers = count(1)

    @property
    def open(self) -> tuple[int, ...]:
        """Those that nobody has hung up."""
        return tuple(self._links)

    def connect(self, peer: LinkPeer, machine: LinkMachine, name: str) -> int:
        number = next(self._numbers)
        link = self._links[number] = _Link(LiveLink(machine), peer, name)
        machine.attach(lambda: self._poked(link))
        self._schedule(link, peer.connected())
        self._flush(link)
        return number

    def live(self, number: int) -> LiveLink:
        """Raises TransportError if it was hung up."""
        link = self._links.get(number)
        if link is None:
            raise no_such_link()
        return link.live

    def flush(self, number: int) -> None:
        """What is to be written is, at once."""
        if (link := self._links.get(number)) is not None:
            self._flush(link)

    def hang_up(self, number: int) -> None:
        link = self._links.pop(number, None)
        if link is None:
            return
        link.live.goodbye()
        self._flush(link)
        link.peer.received(b"")
        link.live.lost(link_closed())

    def next_arrival(self) -> float:
        """When something arrives that somebody waits for."""
        due = [link.arrivals[0][0] for link in self._links.values() if link.arrivals and link.live.is_awaited]
        return min(due, default=math.inf)

    def deliver(self) -> None:
        """Give to the machines what has arrived by now."""
        for link in list(self._links.values()):
            while link.arrivals and link.live.is_awaited and link.arrivals[0][0] <= self._clock():
                self._deliver(link, link.arrivals.popleft()[1])

    def _deliver(self, link: _Link, what: bytes | Reset | Hangup) -> None:
        if not isinstance(what, bytes):
            reason = "the connection was reset" if isinstance(what, Reset) else ""
            link.live.received(b"")
            link.live.lost(link_lost(link.name, reason=reason))
            link.arrivals.clear()
            return
        size = self._size()
        if size is not None and len(what) > size:
            link.arrivals.appendleft((self._clock(), what[size:]))
            what = what[:size]
        link.live.received(what)
        self._flush(link)

    def _poked(self, link: _Link) -> None:
        link.live.settle()
        self._flush(link)

    def _flush(self, link: _Link) -> None:
        data = bytes(link.live.outgoing)
        if data:
            link.live.outgoing.clear()
            self._schedule(link, link.peer.received(data))

    def _schedule(self, link: _Link, pieces: Iterable[Piece]) -> None:
        moment = max(link.last, self._clock())
        for piece in pieces:
            if isinstance(piece, Pause):
                moment += piece.seconds
            elif piece != b"":
                moment += self._late()
                link.arrivals.append((moment, piece))
        link.last = moment
