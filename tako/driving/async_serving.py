"""How an async arm performs the script of a Connection; alike under asyncio and trio.

| who                       | does                                                                    |
|---------------------------|-------------------------------------------------------------------------|
| tako.driving.serving      | decides what is done next on a connection                               |
| `converse`                | does exactly one thing at a time, feeds back, again                     |
| the AsyncClient of an arm | reads all the time, up to READ_AHEAD; waits, writes, shuts              |

Invariants. What `converse` has begun is closed when it ends, however it ends: the script, the socket,
the flow. It raises nothing but what cancels its task.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypeAlias

from tako.cancellation import CancellationToken
from tako.driving.async_events import Events
from tako.driving.serving import (
    NO_MORE,
    READ_AHEAD,
    Begin,
    Connection,
    Finish,
    Gone,
    Hear,
    Linger,
    Operation,
    Say,
    Take,
    cancel_quietly,
    log_bug,
)
from tako.effects import Flow

__all__ = ["FAIR_SECONDS", "AsyncClient", "converse"]

FAIR_SECONDS = 0.002
"""For so long a flow that never waits may keep the loop from the others."""

Stream: TypeAlias = Callable[[Flow[None], CancellationToken], Events[None]]


class AsyncClient(ABC):
    """The other side of a connection. One task waits here at a time, and what is read comes in beside it."""

    __slots__ = ("_arrived", "_has_ended", "_token")

    def __init__(self) -> None:
        self._arrived = bytearray()
        self._has_ended = False
        self._token: CancellationToken | None = None

    def watch(self, token: CancellationToken | None) -> None:
        """Cancel the token, if there is one, as soon as the client has hung up."""
        self._token = token
        if self._has_ended:
            self._leave()

    async def hear(self, until: float) -> bytes:
        """What has come; b"" once the client has hung up. Raises TimeoutError."""
        while not self._arrived and not self._has_ended:
            await self.wait(until)
        data = bytes(self._arrived)
        self._arrived.clear()
        self.go_on_reading()
        return data

    async def linger(self, until: float) -> None:
        """Say that nothing more comes, and read on until the client has seen it."""
        try:
            self.end_sending()
            while await self.hear(until):
                pass
        except (OSError, TimeoutError):
            pass  # it is gone, or it had its time

    @property
    def must_pause(self) -> bool:
        """Whether enough was read ahead."""
        return len(self._arrived) >= READ_AHEAD

    def take(self, data: bytes) -> None:
        """The arm has read something; b"" is the end, or that the connection was lost."""
        if data:
            self._arrived += data
        else:
            self._has_ended = True
            self._leave()
        self.wake()

    def _leave(self) -> None:
        if self._token is not None:
            cancel_quietly(self._token)
            self.shut(must_reset=False)  # whoever is sending waits no more

    @abstractmethod
    async def say(self, data: bytes) -> None:
        """Give it to the system; raises Gone."""

    @abstractmethod
    async def wait(self, until: float) -> None:
        """Until `wake` is called; raises TimeoutError."""

    @abstractmethod
    def wake(self) -> None: ...

    @abstractmethod
    def go_on_reading(self) -> None:
        """There is room again."""

    @abstractmethod
    def end_sending(self) -> None:
        """Close our half of the connection; raises OSError."""

    @abstractmethod
    def shut(self, *, must_reset: bool) -> None:
        """Close the connection; who waits is woken. Idempotent, never fails."""


async def converse(connection: Connection, client: AsyncClient, stream: Stream) -> None:
    """Serve one client to the end."""
    performing = _Performing(client, stream)
    script = connection.script()
    try:
        operation = script.send(None)
        while True:
            try:
                reply = await performing.perform(operation)
            except Exception as error:
                operation = script.throw(error)
            else:
                operation = script.send(reply)
    except StopIteration:
        pass
    except Exception as error:
        log_bug(error)
    finally:
        client.watch(None)
        client.shut(must_reset=connection.must_reset)
        script.close()
        await performing.finish()


class _Performing:
    __slots__ = ("_client", "_events", "_stream")

    def __init__(self, client: AsyncClient, stream: Stream) -> None:
        self._client = client
        self._stream = stream
        self._events: Events[None] | None = None

    async def perform(self, operation: Operation) -> Any:
        match operation:
            case Take():
                assert self._events is not None
                try:
                    return await self._events.__anext__()
                except StopAsyncIteration:
                    self._events.result  # noqa: B018  a flow may return its failure
                    return NO_MORE
            case Say():
                await self._say(operation.data)
            case Hear():
                return await self._client.hear(operation.until)
            case Begin():
                self._events = self._stream(operation.flow, operation.token)
                self._client.watch(operation.token)
            case Finish():
                self._client.watch(None)
                await self.finish()
            case Linger():
                await self._client.linger(operation.until)

    async def _say(self, data: bytes) -> None:
        try:
            await self._client.say(data)
        except OSError as error:
            raise Gone from error

    async def finish(self) -> None:
        """Close the flow, if there is one and it has not ended."""
        events, self._events = self._events, None
        if events is not None:
            await events.aclose()
