"""The one door from the core to the adapters: each is imported when it is first used.

Blocking calls go to `tako_io_sync`. Async calls go to the library that is running, found out at
call time: trio first, because in its guest mode a trio task runs inside an asyncio loop.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from tako.effects import Flow
from tako.errors import InvalidInput

if TYPE_CHECKING:
    from types import TracebackType

    from tako.cancellation import CancellationToken
    from tako.serving import Handler

__all__ = [
    "AsyncEvents",
    "SyncEvents",
    "run_async",
    "run_sync",
    "serve_async",
    "serve_sync",
    "stream_async",
    "stream_sync",
]

T = TypeVar("T")
E = TypeVar("E", covariant=True)
R = TypeVar("R", covariant=True)


class SyncEvents(Protocol[E, R]):
    """A flow that is iterated: the events, and then the result."""

    def __enter__(self) -> SyncEvents[E, R]: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def __iter__(self) -> Iterator[E]: ...
    def __next__(self) -> E: ...
    def close(self) -> None:
        """Stop; what the flow still gives back is the result."""

    @property
    def result(self) -> R:
        """What the flow returned. Reads on to the end if it has not been reached."""
        ...


class _AsyncStream(Protocol[E, R]):
    """What an async adapter makes of a flow; the same under asyncio and trio."""

    def __aiter__(self) -> AsyncIterator[E]: ...
    async def __anext__(self) -> E: ...
    async def aclose(self) -> None: ...
    @property
    def result(self) -> R: ...


def run_sync(flow: Flow[T], cancel: CancellationToken | None = None) -> T:
    """Drive a flow to its end, blocking."""
    import tako_io_sync

    return tako_io_sync.run(flow, cancel=_token(cancel))


def stream_sync(
    make: Callable[[], Flow[Any]], cancel: CancellationToken | None = None
) -> SyncEvents[Any, Any]:
    """Iterate over the events of a flow, blocking."""
    import tako_io_sync

    return tako_io_sync.stream(make(), cancel=_token(cancel))


async def run_async(flow: Flow[T], cancel: CancellationToken | None = None) -> T:
    """Drive a flow to its end under the running async library."""
    return cast(T, await _running().run(flow, cancel=_token(cancel)))


def stream_async(
    make: Callable[[], Flow[Any]], cancel: CancellationToken | None = None
) -> AsyncEvents[Any, Any]:
    """Iterate over the events of a flow under the running async library."""
    return AsyncEvents(make, _token(cancel))


def serve_sync(
    handler: Handler,
    host: str,
    port: int,
    cancel: CancellationToken | None = None,
    ready: Callable[[int], None] | None = None,
) -> None:
    """Answer HTTP requests, blocking, until it is cancelled."""
    from tako_io_sync import http_server

    http_server.serve(handler, host, port, cancel=_token(cancel), ready=ready)


async def serve_async(
    handler: Handler,
    host: str,
    port: int,
    cancel: CancellationToken | None = None,
    ready: Callable[[int], None] | None = None,
) -> None:
    """Answer HTTP requests under the running async library, until it is cancelled."""
    server: Any
    if _running().__name__ == "tako_io_trio":
        from tako_io_trio import http_server as server
    else:
        from tako_io_asyncio import http_server as server
    await server.serve(handler, host, port, cancel=_token(cancel), ready=ready)


def _token(cancel: CancellationToken | None) -> CancellationToken | None:
    """What stops the work, if anything does; raises InvalidInput for what cannot."""
    if cancel is not None and not hasattr(cancel, "on_cancel"):
        raise InvalidInput(f"cancel should be a tako.CancellationToken, not {type(cancel).__name__}")
    return cancel


def _running() -> Any:
    """The adapter of the async library that runs this code."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        import tako_io_trio

        return tako_io_trio
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        import tako_io_asyncio

        return tako_io_asyncio
    raise InvalidInput(
        "no async library is running here: await this inside asyncio.run(...) or trio.run(...), "
        "or use the blocking twin, whose name ends in _sync"
    )


class AsyncEvents(Generic[E, R]):
    """Events of a flow, to be opened: `async with x.stream(p) as events: async for e in events`.

    `async for e in await x.stream(p)` works as well; then close it with `aclose()` if you stop early.
    """

    def __init__(self, make: Callable[[], Flow[Any]], cancel: CancellationToken | None) -> None:
        self._make = make
        self._cancel = cancel
        self._stream: _AsyncStream[E, R] | None = None

    def _open(self) -> _AsyncStream[E, R]:
        stream = self._stream
        if stream is None:
            stream = self._stream = cast(
                "_AsyncStream[E, R]", _running().stream(self._make(), cancel=self._cancel)
            )
        return stream

    async def __aenter__(self) -> AsyncEvents[E, R]:
        self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __await__(self) -> Generator[Any, Any, AsyncEvents[E, R]]:
        async def opened() -> AsyncEvents[E, R]:
            self._open()
            return self

        return opened().__await__()

    def __aiter__(self) -> AsyncIterator[E]:
        return self._open().__aiter__()

    async def __anext__(self) -> E:
        return await self._open().__anext__()

    async def aclose(self) -> None:
        """Stop; what the flow still gives back is the result."""
        if self._stream is not None:
            await self._stream.aclose()

    @property
    def result(self) -> R:
        """What the flow returned, once the events have been read or the stream was closed."""
        if self._stream is None:
            raise InvalidInput("the stream was never opened; iterate over it before asking for its result")
        return self._stream.result
