"""Contract 8: every scenario gives the same events and result on all three arms as in the simulator."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio

import tako_io_asyncio
import tako_io_sync
import tako_io_trio
from tako.cancellation import CancellationToken
from tako.effects import Flow
from tako.testing import SCENARIOS, Scenario, ScriptedVendor, check_scenario
from tako_io_sync.loopback import LoopbackServer


class _Read:
    """The events of an async stream, read to its end, as `check_scenario` wants them."""

    def __init__(self, events: list[Any], result: Callable[[], Any], error: Exception | None) -> None:
        self._events, self._result, self._error = events, result, error

    def __iter__(self) -> Iterator[Any]:
        yield from self._events
        if self._error is not None:
            raise self._error

    @property
    def result(self) -> Any:
        return self._result()


class _AsyncArm:
    def __init__(self, module: Any, main: Callable[[Callable[[], Any]], Any]) -> None:
        self._module, self._main = module, main

    def run(self, flow: Flow[Any], cancel: CancellationToken) -> Any:
        async def main() -> Any:
            return await self._module.run(flow, cancel=cancel)

        return self._main(main)

    def stream(self, flow: Flow[Any], cancel: CancellationToken) -> _Read:
        async def main() -> _Read:
            events: list[Any] = []
            stream = self._module.stream(flow, cancel=cancel)
            try:
                async for event in stream:
                    events.append(event)
            except Exception as error:
                return _Read(events, lambda: stream.result, error)
            return _Read(events, lambda: stream.result, None)

        read: _Read = self._main(main)
        return read


class _SyncArm:
    def run(self, flow: Flow[Any], cancel: CancellationToken) -> Any:
        return tako_io_sync.run(flow, cancel=cancel)

    def stream(self, flow: Flow[Any], cancel: CancellationToken) -> Any:
        return tako_io_sync.stream(flow, cancel=cancel)


ARMS: dict[str, Any] = {
    "sync": _SyncArm(),
    "trio": _AsyncArm(tako_io_trio, trio.run),
    "asyncio": _AsyncArm(tako_io_asyncio, lambda main: asyncio.run(main())),
}


@contextmanager
def serve(vendor: ScriptedVendor) -> Iterator[str]:
    with LoopbackServer(vendor) as server:
        yield server.url


def later(seconds: float, function: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name.replace(" ", "-"))
def test_8_the_arm_does_what_the_simulator_does(arm: str, scenario: Scenario) -> None:
    check_scenario(scenario, ARMS[arm].run, ARMS[arm].stream, serve, later)
