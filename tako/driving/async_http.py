"""AsyncNetwork: HTTP exchanges for an async arm, which gives the streams and performs the operations.

Two loops between the machines of exchange.py and a library that awaits: `open` performs the script
that sends a request and waits for the head of its answer, `receive` reads on in the body.

Invariants. A script is closed however its loop ends, which shuts what was half open, also when the
task is cancelled. No OSError leaves here: the script and the exchange say what it means.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar, cast

from tako.driving.exchange import Exchange, Exchanges
from tako.driving.streams import Operation, Stream
from tako.effects import HttpRequest
from tako.wire import NEED_DATA

__all__ = ["AsyncNetwork", "AsyncStream", "receive"]


class AsyncStream(Stream, Protocol):
    """A stream that is read by whoever awaits what it gives."""

    async def read(self, seconds: float | None) -> bytes:
        """As the operation Read."""
        ...


S = TypeVar("S", bound=AsyncStream)


class AsyncNetwork(ABC, Generic[S]):
    """The connections of a runtime, where it runs."""

    def __init__(
        self,
        environ: Mapping[str, str],
        clock: Callable[[], float],
        *,
        max_idle_per_host: int,
        idle_seconds: float,
    ) -> None:
        """As Exchanges says."""
        self._exchanges: Exchanges[S] = Exchanges(
            environ, clock, max_idle_per_host=max_idle_per_host, idle_seconds=idle_seconds
        )

    async def open(self, request: HttpRequest) -> Exchange[S]:
        """Send a request and wait for the head of its answer; raises what `Exchanges.open` does."""
        script = self._exchanges.open(request)
        try:
            operation = next(script)
            while True:
                try:
                    reply = await self._perform(operation)
                except OSError as error:
                    operation = script.throw(error)
                else:
                    operation = script.send(reply)
        except StopIteration as stop:
            return cast("Exchange[S]", stop.value)
        finally:
            script.close()

    @abstractmethod
    async def _perform(self, operation: Operation[S]) -> Any:
        """Do what an operation asks for; raises OSError, and TimeoutError for its limit."""


async def receive(exchange: Exchange[S]) -> bytes:
    """What has arrived of the body, b"" at its end; raises TransportError, TimedOut, ProtocolError."""
    while (data := exchange.take()) is NEED_DATA:
        try:
            received = await exchange.stream.read(exchange.read_seconds)
        except OSError as error:
            raise exchange.failure(error) from error
        exchange.receive_data(received)
    return data
