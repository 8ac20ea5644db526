"""LiveLink: an open link as its driver has it: the machine, who waits, and what is still to be written.

| the driver                         | calls                             | and then                    |
|------------------------------------|-----------------------------------|-----------------------------|
| performs Ask                       | `ask`: an Asking                  | writes; waits for its wake  |
| ... and the wait was cut short     | `forget(asking)`                  | writes                      |
| performs Tell                      | `tell`                            | writes                      |
| was poked                          | `settle`                          | writes                      |
| has read                           | `received`                        | writes; looks at `is_over`  |
| met the end, or an error           | `lost(error)`                     | lets go of the stream       |

`outgoing` is what is to be written: the driver takes it from the front, as the system accepts it.
`is_awaited` says whether to read at all; but not while `is_flooded`: a peer that makes us answer (pongs,
acknowledgements, refusals) and takes no answers is held back until it has.

Invariants. Nothing here waits or locks: a driver with threads holds a lock of its own around each call.
Each Asking is woken at most once, by the call that brings its outcome, and has it by then. Once lost, a
link has one error for ever, and whoever asks gets it, each a copy of their own; what was not written by
then never will be, and the error of an Ask none of whose bytes were taken says so: its `partial` is UNSENT.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from copy import copy
from itertools import count
from typing import Any, Final

from tako.effects import Failed, Outcome
from tako.errors import TakoError, TransportError
from tako.links import STDERR_TAIL, UNSENT, Child, Endpoint, LinkMachine, Socket

__all__ = [
    "ORDERLY", "ROOM", "Asking", "LiveLink", "Tail", "link_closed", "link_lost", "link_numbers",
    "no_such_link", "not_started", "peer_of",
]  # fmt: skip

MOST_PROVOKED: Final = 1 << 20
"""Bytes that the peer may have made us say, by what it sent, without having taken them."""
ROOM: Final = 1 << 18
"""Unwritten bytes beyond which nobody may ask or tell more: a driver has them wait."""
ORDERLY: Final = 2.0
"""Seconds that a peer has to take the last words and go, where nobody named a limit."""


class Asking:
    """Who waits for an outcome, and the outcome. `wake` is called when it has come."""

    __slots__ = ("outcome", "place", "ticket", "wake")

    def __init__(self, wake: Callable[[], None]) -> None:
        self.wake = wake
        self.ticket: Hashable = None
        self.place: int | None = None
        """How many bytes the link was given before those of this; None if it gave none itself."""
        self.outcome: Outcome[Any] | None = None

    def result(self) -> Any:
        """What was answered; raises the failure."""
        outcome = self.outcome
        assert outcome is not None
        if isinstance(outcome, Failed):
            raise outcome.error
        return outcome.value


class LiveLink:
    """What the drivers of links have in common."""

    __slots__ = ("_given", "_provoked", "_waiting", "error", "machine", "outgoing")

    def __init__(self, machine: LinkMachine) -> None:
        self.machine = machine
        self.outgoing = bytearray(machine.data_to_send())
        self.error: TakoError | None = None
        """Why it was lost."""
        self._given = len(self.outgoing)  # bytes, since the beginning
        self._provoked = 0  # bytes of `outgoing`, at most, that answer what was received
        self._waiting: dict[Hashable, Asking] = {}

    @property
    def is_awaited(self) -> bool:
        """True while somebody waits for an outcome."""
        return bool(self._waiting)

    @property
    def is_flooded(self) -> bool:
        """True while the peer has not taken what it has made us say, and that is too much: do not read."""
        return self._provoked > MOST_PROVOKED and bool(self.outgoing)

    @property
    def is_over(self) -> bool:
        return self.error is not None or self.machine.is_over

    def ask(self, message: Any, wake: Callable[[], None]) -> Asking:
        """Begin to ask; the outcome may be there at once. Raises what the machine refuses it with."""
        self._require_open()
        asking = Asking(wake)
        asking.ticket = ticket = self.machine.ask(message)
        self._waiting[ticket] = asking
        given = self._given
        self.settle()
        if self._given != given:
            asking.place = given
        return asking

    def tell(self, message: Any) -> None:
        """Send; raises what the machine refuses it with."""
        self._require_open()
        self.machine.tell(message)
        self.settle()

    def forget(self, asking: Asking) -> None:
        """Nobody waits for this any more."""
        if self._waiting.pop(asking.ticket, None) is not None and self.error is None:
            self.machine.forget(asking.ticket)
            self.settle()

    def received(self, data: bytes) -> None:
        """What was read; b"" is the end."""
        if self.error is None:
            if not self.outgoing:
                self._provoked = 0
            given = self._given
            self.machine.receive_data(data)
            self.settle()
            self._provoked += self._given - given

    def settle(self) -> None:
        """Take from the machine what it has: bytes to write, and outcomes to hand out."""
        if self.error is None and (data := self.machine.data_to_send()):
            self.outgoing += data
            self._given += len(data)
        waiting = self._waiting
        for ticket, outcome in self.machine.outcomes():
            asking = waiting.pop(ticket, None)
            if asking is not None:
                asking.outcome = outcome
                asking.wake()

    def goodbye(self) -> None:
        """Have the machine say its last words, which are then to be written."""
        if self.error is None:
            self.machine.goodbye()
            self.settle()

    def lost(self, error: TakoError) -> None:
        """Nothing will come any more: everybody hears why. Only the first reason counts."""
        if self.error is not None:
            return
        self.error = error
        taken = self._given - len(self.outgoing)
        self.outgoing.clear()
        self.machine.lost(error)
        outcomes = dict(self.machine.outcomes())
        waiting, self._waiting = self._waiting, {}
        for ticket, asking in waiting.items():
            outcome = outcomes.get(ticket) or Failed(copy(error))  # if the machine has passed them over
            if asking.place is not None and asking.place >= taken:
                outcome = _unsent(outcome)
            asking.outcome = outcome
            asking.wake()

    def _require_open(self) -> None:
        if self.error is not None:
            raise copy(self.error)


def _unsent(outcome: Outcome[Any]) -> Outcome[Any]:
    """The same; of a loss, that it came before the message was sent."""
    if not isinstance(outcome, Failed) or not isinstance(outcome.error, TransportError):
        return outcome
    error = copy(outcome.error)
    error.partial = UNSENT
    return Failed(error)


class Tail:
    """The last STDERR_TAIL bytes of a child's standard error."""

    __slots__ = ("_bytes", "_cut")

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._cut = 0

    def add(self, data: bytes) -> None:
        self._bytes += data
        surplus = len(self._bytes) - STDERR_TAIL
        if surplus > 0:
            del self._bytes[:surplus]
            self._cut += surplus

    def text(self) -> str:
        """It as text, which says if something was cut."""
        text = self._bytes.decode("utf-8", "replace").strip()
        return f"[... {self._cut:,} bytes cut ...]\n{text}" if self._cut else text


def peer_of(endpoint: Endpoint) -> str:
    """Who is at the other end, as errors name it. The arguments of a command may hold secrets."""
    if isinstance(endpoint, Child):
        return f"the process {endpoint.command[0]!r}"
    return f"{endpoint.host}:{endpoint.port}" if isinstance(endpoint, Socket) else "our standard input"


def not_started(endpoint: Child, error: OSError) -> TransportError:
    """Why a child could not be started, from what `subprocess` raised."""
    if endpoint.directory is not None and error.filename == endpoint.directory:
        what, advice = f"in the directory {endpoint.directory!r}", "is that where it is to start?"
    else:
        what, advice = "", "is it installed, on the PATH, and executable?"
    words = f"{peer_of(endpoint)} cannot be started {what}".rstrip()
    return TransportError(f"{words}: {error.strerror or error}; {advice}", phase="link")


link_numbers: Final = count(1)
"""What links are called. One row for all Runtimes, and a forked process goes on with it: so a number that
was given elsewhere is nobody's here, and not another link's."""


def no_such_link() -> TransportError:
    """What those are told who ask over a link that this Runtime does not have."""
    return TransportError(
        "this link is not open here: it was closed, or it is another process's or event loop's",
        phase="link",
        partial=UNSENT,
    )


def link_closed() -> TransportError:
    """What those are told who ask over a link that we have closed."""
    return TransportError("the link was closed at this end", phase="link")


def link_lost(peer: str, *, code: int | None = None, tail: str = "", reason: str = "") -> TransportError:
    """Why a link ended that we had not closed: `code` is a child's exit code, below 0 a signal."""
    words = f"{peer} has closed the connection"
    if code is not None:
        words = f"{peer} " + (f"was killed by signal {-code}" if code < 0 else f"has exited with code {code}")
    elif reason:
        words = f"the connection to {peer} was lost: {reason}"
    if tail:
        words += f"; the end of its standard error:\n{tail}"
    return TransportError(words, phase="link", code=None if code is None else str(code))
