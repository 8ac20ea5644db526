"""The four drivers, behind one face: play a flow against a scripted vendor, and see what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import trio

import tako_io_asyncio
import tako_io_sync
import tako_io_trio
from tako.cancellation import CancellationToken
from tako.effects import Failed, Flow, Succeeded
from tako.testing import Observed, ScriptedVendor, Simulator
from tako_io_sync.loopback import LoopbackServer

MakeFlow = Callable[[str], Flow[Any]]
OnEvent = Callable[[Any], None]


def _nothing(event: Any) -> None:
    """A consumer that only looks."""


def no_chance(size: int) -> bytes:
    """Entropy for runs that are to be compared."""
    return bytes(size)


class Driver:
    """`observe` plays a flow; `on_event` is called with each event before the next is asked for."""

    name: str

    def observe(
        self,
        vendor: ScriptedVendor,
        make_flow: MakeFlow,
        *,
        cancel: CancellationToken | None = None,
        on_event: OnEvent = _nothing,
    ) -> Observed:
        raise NotImplementedError


class Simulated(Driver):
    name = "simulator"

    def observe(
        self,
        vendor: ScriptedVendor,
        make_flow: MakeFlow,
        *,
        cancel: CancellationToken | None = None,
        on_event: OnEvent = _nothing,
    ) -> Observed:
        run = Simulator(vendor=vendor).stream(make_flow("http://vendor.test"), cancel=cancel)
        return _collect(run, on_event)


class Blocking(Driver):
    name = "sync"

    def observe(
        self,
        vendor: ScriptedVendor,
        make_flow: MakeFlow,
        *,
        cancel: CancellationToken | None = None,
        on_event: OnEvent = _nothing,
    ) -> Observed:
        with LoopbackServer(vendor) as server, tako_io_sync.Runtime(entropy=no_chance) as runtime:
            return _collect(runtime.stream(make_flow(server.url), cancel=cancel), on_event)


class Async(Driver):
    """trio and asyncio differ in who runs the main function and in the module of the adapter."""

    def __init__(self, name: str, module: Any, main: Callable[[Callable[[], Any]], Any]) -> None:
        self.name = name
        self._module = module
        self._main = main

    def observe(
        self,
        vendor: ScriptedVendor,
        make_flow: MakeFlow,
        *,
        cancel: CancellationToken | None = None,
        on_event: OnEvent = _nothing,
    ) -> Observed:
        async def main() -> Observed:
            events: list[Any] = []
            async with self._module.Runtime(entropy=no_chance) as runtime:
                stream = runtime.stream(make_flow(server.url), cancel=cancel)
                try:
                    async for event in stream:
                        events.append(event)
                        on_event(event)
                    return Observed(events, Succeeded(stream.result))
                except Exception as error:
                    return Observed(events, Failed(error))

        with LoopbackServer(vendor) as server:
            found: Observed = self._main(main)
            return found


def _collect(stream: Any, on_event: OnEvent) -> Observed:
    events: list[Any] = []
    try:
        for event in stream:
            events.append(event)
            on_event(event)
        return Observed(events, Succeeded(stream.result))
    except Exception as error:
        return Observed(events, Failed(error))


SIMULATOR = Simulated()
SYNC = Blocking()
TRIO = Async("trio", tako_io_trio, trio.run)
ASYNCIO = Async("asyncio", tako_io_asyncio, lambda main: asyncio.run(main()))

ARMS = (SYNC, TRIO, ASYNCIO)
DRIVERS = (SIMULATOR, *ARMS)
