"""Links: the links of a Runtime, by number: opening them, and ending them.

| a link is ended    | by                                          | and is given                            |
|--------------------|---------------------------------------------|-----------------------------------------|
| in order           | its last words, and the end of its input    | the seconds of the Hangup               |
| on demand          | SIGTERM to its process group, if it has one | PATIENCE                                |
| by force           | SIGKILL; closing it                         |                                         |

Invariants. A number is never given twice, also not in a forked process, where its parent's links are
unknown. Whatever happens while a link is being ended, it is closed afterwards. Several are ended side by
side.
"""

from __future__ import annotations

import select
from time import monotonic
from typing import TYPE_CHECKING

from tako.driving.live_link import link_numbers, no_such_link
from tako.errors import InvalidInput, TransportError
from tako.links import Child, Endpoint, LinkMachine, Socket, StandardStreams
from tako_io_sync._calls import Interrupted
from tako_io_sync._link import Link, Stream

if TYPE_CHECKING:
    from tako_io_sync._driver import Driver

__all__ = ["Links"]

PATIENCE = 0.5
"""Seconds that a process has between SIGTERM and SIGKILL."""


class Links:
    """May be used from any thread."""

    def __init__(self) -> None:
        self._links: dict[int, Link] = {}

    def __len__(self) -> int:
        return len(self._links)

    def __getitem__(self, number: int) -> Link:
        """Raises TransportError, as for any link that is not open here."""
        link = self._links.get(number)
        if link is None:
            raise no_such_link()
        return link

    def open(self, driver: Driver, endpoint: Endpoint, machine: LinkMachine) -> int:
        """The number of a new link; raises TransportError, TimedOut, InvalidInput or Interrupted."""
        if not hasattr(select, "poll"):
            raise InvalidInput("links need poll(), which this system does not have: use the asyncio arm here")
        stream = _open_stream(driver, endpoint)
        try:
            link = Link(stream, machine)
        except BaseException as error:
            stream.close()
            if isinstance(error, OSError):
                raise TransportError(f"a link cannot be opened: {error.strerror}", phase="link") from error
            raise
        number = next(link_numbers)
        self._links[number] = link
        if driver.steps.must_stop:
            del self._links[number]
            link.force()
            raise Interrupted
        return number

    def hang_up(self, driver: Driver, number: int, seconds: float) -> None:
        """End a link; it is closed then, whatever happens. Raises Interrupted."""
        link = self._links.pop(number, None)
        if link is not None:
            _hang_up([link], seconds, PATIENCE, driver)

    def close(self, seconds: float, patience: float = PATIENCE) -> None:
        """End all of them, side by side."""
        links = []
        while self._links:
            links.append(self._links.popitem()[1])
        _hang_up(links, seconds, patience, None)

    def forget(self) -> None:
        """In a forked process: they are the parent's."""
        links, self._links = self._links, {}
        for link in links.values():
            link.forget()


def _open_stream(driver: Driver, endpoint: Endpoint) -> Stream:
    match endpoint:  # what they import is not for those who have no links
        case Child():
            from tako_io_sync._child import ChildStream

            return ChildStream(endpoint)
        case Socket():
            from tako_io_sync._sockets import connect

            return connect(driver, endpoint)
        case StandardStreams():
            from tako_io_sync._standard import StandardStream

            return StandardStream()
    raise InvalidInput(f"a link leads to a Child, a Socket or StandardStreams, not {type(endpoint).__name__}")


def _hang_up(links: list[Link], seconds: float, patience: float, driver: Driver | None) -> None:
    """In order, then with a demand, then by force."""
    try:
        for link in links:
            link.say_goodbye()
        rest = _not_closed_within(seconds, links, driver)
        rest = [link for link in rest if link.terminate()]
        _not_closed_within(patience, rest, driver)
    finally:
        for link in links:
            link.force()


def _not_closed_within(seconds: float, links: list[Link], driver: Driver | None) -> list[Link]:
    end = monotonic() + seconds
    return [link for link in links if not link.wait_until_closed(max(0.0, end - monotonic()), driver)]
