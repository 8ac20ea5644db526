"""Links: long-lived duplex connections, that many flows ask over at once.

An exchange is one request and its answer, and belongs to the flow that sent it. A link belongs to the
Runtime: the pipes of a child process, a WebSocket, a gRPC stream. Where it leads is an `Endpoint`,
which is data; what goes over it is decided by a `LinkMachine`, which turns messages into bytes and bytes
into answers, and never waits.

    an asker -- Ask(message) --> machine.ask      -> ticket     --> data_to_send --> the link
    an asker <-- the outcome --- machine.outcomes <- by ticket  <-- receive_data <-- the link

| a link is | from                                   | and then                                       |
|-----------|----------------------------------------|------------------------------------------------|
| open      | Open has replied                       | asks and tells are written in their order      |
| over      | the machine says `is_over`             | the driver hangs up, as for Hangup             |
| lost      | the peer closed, died, or the bytes    | the machine hears `lost(error)`, and gives the |
|           | could not be written or read           | error to all who wait; each Ask gets it now    |
| closed    | Hangup, or the Runtime was closed      | the same, with an error that says so           |

Invariants. A driver calls a machine from one thread at a time. It reads only while somebody waits for an
outcome, so a peer that talks to nobody is held back by its own full pipe. After any call of the machine
the driver sends what `data_to_send` gives and hands out what `outcomes` gives. A ticket has one outcome;
one that was forgotten has none. What a child writes to its standard error is read along with the rest, and
its last STDERR_TAIL bytes are part of the error if it dies.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Protocol, TypeAlias

from tako.effects import Flow, Outcome, TlsOptions
from tako.errors import TakoError

__all__ = ["STDERR_TAIL", "UNSENT", "Child", "Endpoint", "Kept", "LinkMachine", "Socket", "StandardStreams"]

STDERR_TAIL = 8192
"""Bytes of a child's standard error that are kept."""


class _Unsent(Enum):
    UNSENT = "unsent"


UNSENT: Final = _Unsent.UNSENT
"""The `partial` of a TransportError where the peer cannot have seen a byte of what was asked."""


@dataclass(frozen=True, slots=True)
class Child:
    """A child process, in a process group of its own: its standard input and output are the link.

    command    the program and its arguments; no shell
    environ    all of its environment; None for ours
    directory  where it starts; None for where we are

    In order it is ended by closing its input; by force with SIGTERM, and then SIGKILL, to its group.
    """

    command: tuple[str, ...]
    environ: tuple[tuple[str, str], ...] | None = field(default=None, repr=False)
    directory: str | None = None


@dataclass(frozen=True, slots=True)
class Socket:
    """A TCP connection, under TLS if there are `tls` options. No proxy is asked."""

    host: str
    port: int
    tls: TlsOptions | None = None
    protocols: tuple[str, ...] = ()
    """What is offered by ALPN."""
    server_name: str | None = None
    """Whose certificate it has to be, if not the host's."""
    connect_timeout: float = 10.0
    """Seconds for name, connection and TLS."""


@dataclass(frozen=True, slots=True)
class StandardStreams:
    """Our own standard input and output; while it is open, what else is printed goes to standard error."""


Endpoint: TypeAlias = Child | Socket | StandardStreams


class LinkMachine(Protocol):
    """What frames a link. Nothing here waits, and nothing but `ask` and `tell` raises."""

    def attach(self, poke: Callable[[], None]) -> None:
        """The link is open. `poke` may be called from any thread when there is something to send, or an
        outcome, although the driver did not call: it then calls `data_to_send` and `outcomes`."""

    def ask(self, message: Any) -> Hashable:
        """Begin to ask; the ticket under which the outcome will be given. Raises if it cannot be asked."""

    def tell(self, message: Any) -> None:
        """Send without an answer. Raises if it cannot be sent."""

    def forget(self, ticket: Hashable) -> None:
        """Nobody waits for this any more."""

    def receive_data(self, data: bytes) -> None:
        """What has arrived; b"" is the end of it."""

    def lost(self, error: TakoError) -> None:
        """Nothing will arrive any more, and nothing can be sent."""

    def data_to_send(self) -> bytes:
        """What is to be written, once."""

    def outcomes(self) -> Sequence[tuple[Hashable, Outcome[Any]]]:
        """What became of those who asked, since the last time."""

    def goodbye(self) -> None:
        """The link is to be ended in order: what the protocol says last is to be sent now."""

    @property
    def is_over(self) -> bool:
        """True when the link is of no use any more, though it may still be open.

        After the end of its input too, as soon as there is nothing more to send: our own standard output
        stays open until then, for two seconds more if nobody reads it. Every other link ends at once.
        """


class Kept(Protocol):
    """What a Runtime keeps for all of its flows."""

    def farewell(self) -> Flow[None]:
        """What is to be done before the Runtime is closed; its time is limited, its failure is nobody's."""
