"""tako under asyncio: `await run(...)`, `stream(...)`, and the Runtime that owns what they use.

An adapter performs effects and decides nothing. What is decided, and where: which flow goes on and
when it has to stop, in tako.driving.steps; which child of a Gather starts, in tako.driving.gathering;
HTTP, connections and proxies, in tako.driving.exchange. The loops around them that only await, alike
under asyncio and trio, are in tako.driving.async_*. What is asyncio's own is here:

| file         | holds                                                       |
|--------------|-------------------------------------------------------------|
| __init__.py  | the Runtime: how long its connections live                  |
| _driver.py   | how one effect is cut short                                 |
| _gather.py   | how a child of a Gather is started, heard and waited for    |
| _calls.py    | threads that can be left behind                             |
| _http.py     | sockets and TLS                                             |
| _links.py    | links: how an asker waits                                   |
| _wires.py    | their bytes: children, sockets, standard streams            |

tako_io_trio is its twin, name by name.

Invariants. Nothing is started that is not needed: no task and no queue between a socket and whoever
iterates, but for the children of a Gather. Nothing is held open while the caller has an event: no
timeout, no task group, no context variable. What a flow opened is closed when it ends, however it
ends. Idle connections and links live as long as their Runtime, and no longer than the event loop:
`asyncio.run` closes them, because they hang on an async generator that it shuts down. Only `aclose` does it
in order: it bids farewell to what is kept, and hangs up.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

from tako.cancellation import CancellationToken
from tako.driving.async_events import Events
from tako.driving.clock import never_back
from tako.driving.targets import MakesFlow, as_flow
from tako.effects import Flow
from tako.errors import InvalidInput
from tako_io_asyncio._driver import Driver
from tako_io_asyncio._http import Network
from tako_io_asyncio._links import Links

__all__ = ["Events", "Runtime", "run", "stream"]

T = TypeVar("T")


async def run(
    target: Flow[T] | MakesFlow[T],
    *arguments: Any,
    cancel: CancellationToken | None = None,
    runtime: Runtime | None = None,
    **options: Any,
) -> T:
    """Drive a flow, or the flow of an agent, to its end; its events are dropped.

    Raises what the flow raises. If the task is cancelled, so is the flow.
    """
    flow = as_flow(target, *arguments, **options)
    driver = Driver(runtime or _default_runtime(), flow, cancel)
    while await driver.advance() is not None:
        pass
    return driver.result


def stream(
    target: Flow[T] | MakesFlow[T],
    *arguments: Any,
    cancel: CancellationToken | None = None,
    runtime: Runtime | None = None,
    **options: Any,
) -> Events[T]:
    """The events of a flow, to be iterated in the running event loop, and then its result."""
    flow = as_flow(target, *arguments, streaming=True, **options)
    return Events(Driver(runtime or _default_runtime(), flow, cancel))


class Runtime:
    """Owns the connections and links of everything that is run on it, for one event loop at a time.

    `environ` is where proxies are looked for; `entropy` and `clock` (seconds since the epoch, never
    going back) answer Entropy and Now.
    """

    def __init__(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], float] | None = None,
        max_idle_per_host: int = 32,
        idle_seconds: float = 90.0,
    ) -> None:
        self.entropy = entropy
        self.clock = clock or never_back(time.time)
        self._environ = os.environ if environ is None else environ
        self._max_idle_per_host = max_idle_per_host
        self._idle_seconds = idle_seconds
        self._network: Network | None = None
        self._links: Links | None = None
        self._lifetime: AsyncGenerator[None, None] | None = None
        self._is_closed = False

    async def run(
        self,
        target: Flow[T] | MakesFlow[T],
        *arguments: Any,
        cancel: CancellationToken | None = None,
        **options: Any,
    ) -> T:
        """As the function `run`, on this runtime."""
        return await run(target, *arguments, cancel=cancel, runtime=self, **options)

    def stream(
        self,
        target: Flow[T] | MakesFlow[T],
        *arguments: Any,
        cancel: CancellationToken | None = None,
        **options: Any,
    ) -> Events[T]:
        """As the function `stream`, on this runtime."""
        return stream(target, *arguments, cancel=cancel, runtime=self, **options)

    async def __aenter__(self) -> Runtime:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Bid farewell to what is kept, hang up every link, close every idle connection. Idempotent.

        Connections in use are closed when their flows end. Raises InvalidInput in another event loop than
        the one that it is used in.
        """
        links = self._links
        is_ours = links is None or links.loop is asyncio.get_running_loop()
        if links is not None and not is_ours and not links.loop.is_closed():
            raise InvalidInput("this Runtime is in use in another event loop: close it there")
        self._is_closed = True
        try:
            if links is not None and is_ours and not links.is_empty:
                await self.run(links.farewell())
        finally:
            if self._lifetime is not None:
                await self._lifetime.aclose()

    async def links(self) -> Links:
        """The links, and what is kept; as `network` says."""
        links = self._links
        if links is None or links.loop is not asyncio.get_running_loop():
            await self.network()
            links = self._links
            assert links is not None
        return links

    async def network(self) -> Network:
        """The connections, made when they are first needed. Raises InvalidInput once closed."""
        loop = asyncio.get_running_loop()
        network = self._network
        if network is not None and network.loop is loop:
            return network
        if self._is_closed:
            raise InvalidInput(
                "this Runtime is closed; make another, or leave runtime= out for the default one"
            )
        if network is not None and not network.loop.is_closed():
            raise InvalidInput("this Runtime is in use in another event loop; make one for each loop")
        self._network = network = Network(
            self._environ, max_idle_per_host=self._max_idle_per_host, idle_seconds=self._idle_seconds
        )
        if self._links is not None:
            self._links.close()  # those of a loop that was closed before anybody could end them
        self._links = links = Links()
        self._lifetime = self._live(network, links)
        await anext(self._lifetime)
        return network

    async def _live(self, network: Network, links: Links) -> AsyncGenerator[None, None]:
        """Ends with the Runtime or the loop, whichever is first: asyncio closes what generators are open."""
        try:
            yield
        finally:
            links.close()
            network.close()
            if self._network is network:
                self._network = self._links = None
            await asyncio.sleep(0)  # a transport closes its socket in the loop's next round


_defaults: dict[asyncio.AbstractEventLoop, Runtime] = {}

if hasattr(os, "register_at_fork"):
    # A child must not speak on its parent's connections.
    os.register_at_fork(after_in_child=_defaults.clear)


def _default_runtime() -> Runtime:
    """The Runtime of the running event loop."""
    loop = asyncio.get_running_loop()
    runtime = _defaults.get(loop)
    if runtime is None:
        for other in list(_defaults):
            if other.is_closed():
                _defaults.pop(other, None)
        runtime = _defaults[loop] = Runtime()
    return runtime
