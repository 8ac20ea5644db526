"""What a server does on a connection, as a script: the arms that perform it decide nothing.

A Connection yields operations and is sent their replies:

| operation | reply             | what the arm does                                                     |
|-----------|-------------------|-----------------------------------------------------------------------|
| Hear      | bytes, b"" = end  | gives what the client has sent, at once; raises TimeoutError          |
| Say       | None              | gives the bytes to the system; raises Gone if the client takes none   |
| Begin     | None              | makes a stream of the events of the flow, and watches the client      |
| Take      | event, or NO_MORE | the next event of that stream; raises what the flow raises            |
| Finish    | None              | closes that stream, and watches no more                               |
| Linger    | None              | says that nothing more comes, and waits until the client hangs up     |

To watch is to read ahead while the flow runs, about READ_AHEAD bytes, which the next Hear gives. Once the
client has hung up, or is lost, the token of the Begin is cancelled and every Say raises Gone. (Behind
more than that an end is not seen; then Say finds it out.) When the script has ended, however it did, the
stream is closed and so is the socket: reset, if `must_reset`.

| what                                 | then                                                       |
|--------------------------------------|------------------------------------------------------------|
| `stop` is cancelled                  | who waits for a request is shut by the arm (`waiting`),    |
|                                      | flows are cancelled; who does not end in STOP_SECONDS is   |
|                                      | broken off                                                 |
| all places are taken                 | nobody is accepted; the connection that has been idle for  |
|                                      | longest is shut (`longest_idle`), now or once there is one |
| a fault of the client, or a refusal  | an answer without details, Linger, and the end             |

Linger is there because to close a socket with something unread in it resets the connection, and the
client might lose the answer: RFC 9112, section 9.6.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from tako.cancellation import CancellationToken
from tako.effects import Flow
from tako.errors import Cancelled, InvalidInput, ProtocolError, TransportError
from tako.serving import Handler, HttpIncoming, ResponseData, ResponseHead, ServerLimits
from tako.wire import END
from tako.wire.http1_server import Http1Server, State

__all__ = [
    "BACKLOG",
    "NO_MORE",
    "READ_AHEAD",
    "READ_SIZE",
    "STOP_SECONDS",
    "TICK",
    "Begin",
    "Connection",
    "Finish",
    "Gone",
    "Hear",
    "Linger",
    "NoMore",
    "Operation",
    "Say",
    "Take",
    "as_limits",
    "cancel_quietly",
    "cannot_listen",
    "log_bug",
    "log_failure",
    "longest_idle",
    "waiting",
]

BACKLOG = 1024
READ_SIZE = 65536
READ_AHEAD = 65536
STOP_SECONDS = 0.5
TICK = 0.05
"""Seconds between two looks at what nobody tells us of: a client that leaves, a place that is free."""
LINGER_SECONDS = 1.0

_log = logging.getLogger("tako")


class NoMore(Enum):
    NO_MORE = "no more events"


NO_MORE: Final = NoMore.NO_MORE


class Gone(Exception):
    """The client is not there any more, or does not take what it is sent."""


@dataclass(frozen=True, slots=True)
class Hear:
    until: float


@dataclass(frozen=True, slots=True)
class Say:
    data: bytes


@dataclass(frozen=True, slots=True)
class Begin:
    flow: Flow[None]
    token: CancellationToken


@dataclass(frozen=True, slots=True)
class Take:
    pass


@dataclass(frozen=True, slots=True)
class Finish:
    pass


@dataclass(frozen=True, slots=True)
class Linger:
    until: float


Operation: TypeAlias = Hear | Say | Begin | Take | Finish | Linger
Script: TypeAlias = Generator[Operation, Any, None]

_TAKE: Final = Take()


class Connection:
    """One client. `monotonic` is the arm's clock for limits, `clock` gives the time of day for dates.

    is_answering  a request has come whole, and its answer is not out yet
    idle_since    when it began to wait for a request that is not the first, and nothing of it has come
    """

    __slots__ = (
        "_clock", "_handler", "_limits", "_machine", "_monotonic", "_stop", "idle_since", "is_answering",
    )  # fmt: skip

    def __init__(
        self,
        handler: Handler,
        limits: ServerLimits,
        stop: CancellationToken,
        monotonic: Callable[[], float],
        clock: Callable[[], float],
        peer: str,
    ) -> None:
        self._handler = handler
        self._limits = limits
        self._stop = stop
        self._monotonic = monotonic
        self._clock = clock
        self._machine = Http1Server(max_head_size=limits.head_size, max_body_size=limits.body_size, peer=peer)
        self.is_answering = False
        self.idle_since: float | None = None

    @property
    def must_reset(self) -> bool:
        return self._machine.must_reset

    def script(self) -> Script:
        """All that happens on this connection; ends when nothing more is to be said."""
        machine = self._machine
        patience = self._limits.head_seconds  # a client that connects has something to say
        try:
            while (incoming := (yield from self._next_request(patience))) is not None:
                self.is_answering = True
                yield from self._answer(incoming)
                self.is_answering = False
                if not machine.keeps or self._stop.is_cancelled:
                    break
                machine.start_next_cycle()
                patience = self._limits.idle_seconds
                self.idle_since = self._monotonic()
            if machine.state is State.DONE and not self._stop.is_cancelled:
                yield Linger(self._monotonic() + LINGER_SECONDS)
        except Gone:
            pass  # and what was in flight is ended with this script

    def _next_request(self, patience: float) -> Generator[Operation, Any, HttpIncoming | None]:
        """None if there will be none; if that is the client's fault, it was told."""
        machine, limits = self._machine, self._limits
        state = machine.state
        until = self._monotonic() + patience
        while True:
            try:
                event = machine.next_event()
            except ProtocolError as error:
                yield Say(machine.refuse(error.status or 400, self._clock()))
                return None
            if machine.state is not state:
                self.idle_since = None
                state = machine.state
                seconds = limits.head_seconds if state is State.HEAD else limits.body_seconds
                until = self._monotonic() + seconds
            if isinstance(event, HttpIncoming):
                return event
            if event is END:
                return None
            if go_on := machine.data_to_send():
                yield Say(go_on)
            try:
                data = yield Hear(until)
            except TimeoutError:
                if state is not State.IDLE:
                    yield Say(machine.refuse(408, self._clock()))
                return None
            machine.receive_data(data)

    def _answer(self, incoming: HttpIncoming) -> Script:
        """Raises Gone. The state of the machine says how it went: DONE, or cut."""
        machine = self._machine
        token = self._stop.child()
        held = b""
        try:
            yield Begin(self._handler(incoming), token)
            while (event := (yield _TAKE)) is not NO_MORE:
                if isinstance(event, ResponseData):
                    data, held = held + machine.send_data(event.data), b""
                elif isinstance(event, ResponseHead):
                    if self._stop.is_cancelled:
                        machine.close_after_answer()
                    data = machine.send_head(event.status, event.headers, self._clock())
                    if _tells_length(event):
                        held, data = data, b""  # it goes with the first of the body, in one packet
                else:
                    continue
                if data:
                    yield Say(data)
            end = held + machine.send_end()
        except Gone:
            raise
        except Exception as error:
            end = held + self._fail(incoming, error, token)
        yield Finish()
        token.detach()
        if end:
            yield Say(end)

    def _fail(self, incoming: HttpIncoming, error: Exception, token: CancellationToken) -> bytes:
        """What the client gets instead of the answer, or of the rest of it: nothing."""
        if not (isinstance(error, Cancelled) and token.is_cancelled):
            log_failure(incoming, error)
        if self._machine.has_begun:
            return b""
        if self._stop.is_cancelled:
            self._machine.close_after_answer()
            return self._machine.refuse(503, self._clock())
        return self._machine.refuse(500, self._clock())


def _tells_length(head: ResponseHead) -> bool:
    return any(name.lower() == "content-length" for name, _ in head.headers)


def log_failure(incoming: HttpIncoming, error: Exception) -> None:
    """Who runs the server is told what the client is not."""
    _log.error("the handler of %s %r failed: %s", incoming.method, incoming.path, error, exc_info=error)


def log_bug(error: Exception) -> None:
    """One connection met with what should not happen; the others go on."""
    _log.error("a connection failed: %s", error, exc_info=error)


def cancel_quietly(token: CancellationToken) -> None:
    """Cancel a flow; what those who listen to its token raise is no reason for the server to end."""
    try:
        token.cancel()
    except Exception as error:
        log_bug(error)


def longest_idle(connections: Iterable[Connection]) -> Connection | None:
    """Who gives up its place to the next."""
    longest: Connection | None = None
    since = 0.0
    for connection in connections:
        idle_since = connection.idle_since
        if idle_since is not None and (longest is None or idle_since < since):
            longest, since = connection, idle_since
    return longest


def waiting(connections: Iterable[Connection]) -> list[Connection]:
    """Whom nobody answers at the moment: they can be shut without harm when the server stops."""
    return [connection for connection in connections if not connection.is_answering]


def cannot_listen(host: str, port: int, error: OSError) -> TransportError:
    return TransportError(
        f"cannot listen on {host}, port {port}: {error.strerror or error}; "
        "is another server there already? port=0 takes any that is free",
        phase="listen",
    )


def as_limits(limits: ServerLimits | None, connections: int) -> tuple[ServerLimits, int]:
    """The limits that were given or the usual ones, and how many places there are."""
    limits = ServerLimits() if limits is None else limits
    if not isinstance(limits, ServerLimits):
        raise InvalidInput(f"limits: expected ServerLimits, not {type(limits).__name__}")
    return limits, connections if limits.connections is None else limits.connections
