"""The default Runtime of asyncio: one for each event loop, and none of the parent's after a fork."""

from __future__ import annotations

import asyncio
import gc
import os
import time
import weakref

import pytest

import tako_io_asyncio
from tako.cancellation import CancellationToken
from tako.effects import Call, Flow
from tako.testing.vendor import Answer, ScriptedVendor
from tako_io_sync.loopback import LoopbackServer
from tests.adapters.async_kit import fetch, get


def test_the_default_runtime_goes_with_its_loop() -> None:
    with LoopbackServer(ScriptedVendor(Answer.json("1"))) as server:
        loops = []
        for _ in range(2):
            loop = asyncio.new_event_loop()
            loops.append(weakref.ref(loop))
            loop.run_until_complete(tako_io_asyncio.run(fetch(get(server.url))))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            del loop
        asyncio.run(tako_io_asyncio.run(fetch(get(server.url))))
        gc.collect()
        assert [loop() for loop in loops] == [None, None]
        assert server.connections == 3


def test_a_function_that_waits_for_something_cancelled() -> None:
    """Its CancelledError is its own failure, and no wish that anybody had for the run."""

    async def function() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    def flow() -> Flow[str]:
        try:
            yield Call(function)
        except RuntimeError as error:
            return type(error.__cause__).__name__
        return "nothing"

    for cancel in (None, CancellationToken()):
        assert asyncio.run(tako_io_asyncio.run(flow(), cancel=cancel)) == "CancelledError"


async def swallow() -> str:
    try:
        await asyncio.sleep(5)
    except asyncio.CancelledError:
        pass
    return "went on"


@pytest.mark.parametrize("call", [Call(swallow), Call(time.sleep, (0.2,)), Call(time.sleep, (0.02,))])
@pytest.mark.parametrize("token_too", [True, False])
def test_a_cancel_of_the_task_is_heeded_whatever_a_function_does(call: Call, token_too: bool) -> None:
    """Also when our own comes in the same round of the loop, so that the task sees one of the two."""

    def flow() -> Flow[str]:
        yield call
        return "went on"

    async def scenario() -> None:
        token = CancellationToken()
        task = asyncio.create_task(tako_io_asyncio.run(flow(), cancel=token if token_too else None))
        await asyncio.sleep(0.01)
        token.cancel()
        asyncio.get_running_loop().call_soon(task.cancel)
        await asyncio.wait((task,))
        assert task.cancelled()

    asyncio.run(scenario())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_child_does_not_speak_on_its_parents_connections() -> None:
    with LoopbackServer(ScriptedVendor(Answer.json("1"))) as server:

        async def parent() -> int:
            await tako_io_asyncio.run(fetch(get(server.url)))
            child = os.fork()
            if child == 0:
                os._exit(len(tako_io_asyncio._defaults))
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        assert asyncio.run(parent()) == 0
