"""Byte streams: what an adapter does with them, as data, and what their failures mean.

An adapter has a `Stream` of its own, with two methods that never wait, and performs four
operations that do:

| operation | reply            | what the adapter does                                          |
|-----------|------------------|----------------------------------------------------------------|
| Connect   | a stream         | resolves the name, connects a TCP socket, sets TCP_NODELAY     |
| StartTls  | a stream         | handshakes as a client over the stream, which is then spent    |
| Write     | None             | writes all of it; NothingSent if not one byte was accepted     |
| Read      | bytes, b"" = end | what the socket has, at once, a single read of at most 64 KiB  |

`seconds` is the limit for the operation, None for none. A script yields operations and is sent
their replies. A failure is thrown into it as the OSError that it is: the builtin TimeoutError where
the limit was reached, and for what is none in the adapter's library an OSError made from it. It is
turned into a TransportError or TimedOut here and nowhere else.

`Stream.shut` is no operation because it must work while everything is being cancelled, when
nothing may wait any more.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from tako.effects import TlsOptions
from tako.errors import TakoError, TimedOut, TransportError

__all__ = [
    "Budget",
    "Connect",
    "NothingSent",
    "Operation",
    "Read",
    "Script",
    "StartTls",
    "Stream",
    "Write",
    "attempt",
    "translate",
]


class Stream(Protocol):
    """What the core does with an adapter's stream without waiting."""

    def readable(self) -> bool:
        """True if a read would not wait: there are bytes, or the end, or an error."""
        ...

    def shut(self) -> None:
        """Close the socket now, without a farewell, also in the midst of a handshake. Never fails."""


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
    """For SNI and for the check of the certificate; an IP address is checked as one."""
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


class Budget:
    """Seconds that several operations share."""

    __slots__ = ("_clock", "_deadline", "seconds")

    def __init__(self, clock: Callable[[], float], seconds: float | None) -> None:
        self.seconds = seconds
        self._clock = clock
        self._deadline = None if seconds is None else clock() + seconds

    def left(self, phase: str, endpoint: str) -> float | None:
        """What is left; raises TimedOut where that is nothing."""
        if self._deadline is None:
            return None
        left = self._deadline - self._clock()
        if left <= 0:
            raise translate(TimeoutError(), phase, endpoint, self.seconds)
        return left


def attempt(
    operation: Operation[S], phase: str, endpoint: str, seconds: float | None
) -> Generator[Operation[S], Any, Any]:
    """Perform an operation; raises TransportError or TimedOut. `seconds` is the limit to speak of."""
    try:
        return (yield operation)
    except OSError as error:
        raise translate(error, phase, endpoint, seconds) from error


_DOING = {
    "connect": "connecting to {}",
    "tls": "the TLS handshake with {}",
    "proxy": "opening a tunnel through the proxy {}",
    "send": "sending the request to {}",
    "head": "waiting for the answer of {}",
    "body": "reading the answer of {}",
}
_ADVICE = {
    "connect": "check the address, the network and the proxy variables",
    "tls": "check that this port speaks TLS",
    "proxy": "check the proxy variables",
}


def translate(error: OSError, phase: str, endpoint: str, seconds: float | None) -> TakoError:
    """What a failed operation means to the caller. No header and no key is in its message."""
    doing = _DOING[phase].format(endpoint)
    if isinstance(error, TimeoutError):
        option = "read_timeout" if phase in ("send", "head", "body") else "connect_timeout"
        # The system has limits of its own, shorter than ours or where we have none.
        limit = "too long" if seconds is None else f"longer than {seconds:g} s"
        return TimedOut(f"{doing} took {limit}; is the network slow? then raise {option}", phase=phase)
    mistrust = getattr(error, "verify_message", None)  # of an ssl.SSLCertVerificationError
    if mistrust:
        return TransportError(
            f"the certificate of {endpoint} is not trusted: {mistrust}; for a private authority, "
            "give its certificate in tls.extra_roots",
            phase=phase,
        )
    reason = error.strerror or str(error) or type(error).__name__
    advice = _ADVICE.get(phase, "try again; the request may have been acted upon")
    return TransportError(f"{doing} failed: {reason}; {advice}", phase=phase)
