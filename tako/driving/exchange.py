"""HTTP exchanges over byte streams: everything that an adapter need not decide.

SIGNATURES FIRST; the bodies are being filled in. Nothing below changes without a reason.

An adapter has a `Stream` of its own, with two methods that never wait, and performs four
operations that do:

| operation | reply            | what the adapter does                                        |
|-----------|------------------|--------------------------------------------------------------|
| Connect   | a stream         | resolves the name, connects a TCP socket, sets TCP_NODELAY   |
| StartTls  | a stream         | handshakes as a client over the stream; the old one is spent |
| Write     | None             | writes all of it, NothingSent if not one byte was accepted   |
| Read      | bytes, b"" = end | what the socket has, at once; at most 64 KiB                 |

`seconds` is the limit for the operation, None for none. A failure is thrown into the script as
the OSError that it is (builtin TimeoutError where the limit was reached); what is no OSError
(a cancellation) is thrown or the script closed, and the stream that was being opened is shut.

The adapter's whole part:

    async def send(self, request):
        script = self._exchanges.open(request)
        exchange = await self._perform(script)      # send/throw replies, until StopIteration
        return exchange                             # .status, .headers

    async def receive(self, exchange):
        while (data := exchange.take()) is NEED_DATA:
            try:
                received = await exchange.stream.read(exchange.read_seconds)
            except OSError as error:
                raise exchange.failure(error) from error
            exchange.receive_data(received)
        return data                                 # b"" at the end

    def close(self, exchange):                      # also when cancelled; as often as one likes
        exchange.close()

and `exchanges.close()` at the end of the runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from tako.effects import Headers, HttpRequest, TlsOptions
from tako.errors import TakoError
from tako.wire import NeedData

__all__ = [
    "Connect",
    "Exchange",
    "Exchanges",
    "NothingSent",
    "Operation",
    "Read",
    "Script",
    "StartTls",
    "Stream",
    "Write",
]


class Stream(Protocol):
    """What the script must be able to do with an adapter's stream without waiting."""

    def readable(self) -> bool:
        """True if a read would not wait: there are bytes, or the end, or an error."""

    def shut(self) -> None:
        """Close the socket now, without a farewell; wakes whoever waits for it. Never fails."""


S = TypeVar("S", bound=Stream)
T = TypeVar("T")


class NothingSent(OSError):
    """A write failed before one byte of it was accepted, so that it is safe to send it again."""


@dataclass(frozen=True, slots=True)
class Connect:
    host: str
    port: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class StartTls(Generic[S]):
    stream: S
    server_name: str
    options: TlsOptions | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Write(Generic[S]):
    stream: S
    data: bytes
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Read(Generic[S]):
    stream: S
    seconds: float | None


Operation: TypeAlias = Connect | StartTls[S] | Write[S] | Read[S]
Script: TypeAlias = Generator[Operation[S], Any, T]


class Exchange(Generic[S]):
    """One request and its answer, on a stream that nobody else has."""

    status: int
    headers: Headers
    stream: S
    read_seconds: float | None

    def take(self) -> bytes | NeedData:
        """All of the body that has arrived, b"" at its end; raises ProtocolError, TransportError."""
        raise NotImplementedError

    def receive_data(self, data: bytes) -> None:
        """Feed what was read from the stream, b"" if the peer hung up."""
        raise NotImplementedError

    def failure(self, error: OSError) -> TakoError:
        """The TransportError or TimedOut to raise for a read that failed; shuts the stream."""
        raise NotImplementedError

    def close(self) -> None:
        """Give the stream back to the pool if the body was read, else shut it. Idempotent."""
        raise NotImplementedError


class Exchanges(Generic[S]):
    """The connections of one runtime. For one thread, or one event loop, at a time."""

    def __init__(self, environ: Mapping[str, str], clock: Callable[[], float]) -> None:
        """`environ` is where proxies are read from; `clock` is monotonic and counts seconds."""

    def open(self, request: HttpRequest) -> Script[S, Exchange[S]]:
        """Send a request and wait for the head; raises InvalidInput, TransportError, TimedOut, ProtocolError."""
        raise NotImplementedError

    def close(self) -> None:
        """Shut every idle connection."""
