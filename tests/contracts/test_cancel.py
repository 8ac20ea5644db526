"""Contract 6 for an agent on every arm: one cancel stops everything, in time, and nothing is left behind.

The arms' own tests cancel each effect in each of its phases; here it is the agent's result that counts.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio

import tako_io_asyncio
import tako_io_sync
import tako_io_trio
from tako import CancellationToken, RunResult, SingleAgent, ToolContext, tool
from tako.driving.targets import as_flow
from tako.effects import Flow, within
from tako.errors import Interrupted, TimedOut
from tako.models import ToolCallPart
from tako.providers import Anthropic, Fake, OpenAI
from tako.testing import Answer, Pause, ScriptedVendor, check_history
from tako_io_sync.loopback import LoopbackServer

IN_TIME = 0.1
BUSY_MACHINE = 0.15
"""What a machine that does other things may add."""
LONG = 30.0

RUNS: dict[str, Callable[..., Any]] = {
    "sync": tako_io_sync.run,
    "trio": lambda agent, prompt, cancel: trio.run(lambda: tako_io_trio.run(agent, prompt, cancel=cancel)),
    "asyncio": lambda agent, prompt, cancel: asyncio.run(tako_io_asyncio.run(agent, prompt, cancel=cancel)),
}
RUNS_A_FLOW: dict[str, Callable[[Flow[Any]], Any]] = {
    "sync": tako_io_sync.run,
    "trio": lambda flow: trio.run(lambda: tako_io_trio.run(flow)),
    "asyncio": lambda flow: asyncio.run(tako_io_asyncio.run(flow)),
}
arms = pytest.mark.parametrize("arm", RUNS)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    gc.collect()
    threads, files = set(threading.enumerate()), descriptors()
    yield
    end = time.monotonic() + 2
    while time.monotonic() < end:
        gc.collect()
        # trio keeps its idle threads for a while, for the next call.
        left = {
            t for t in threading.enumerate() if "Trio thread" not in t.name and "trio" not in t.name
        } - threads
        if not left and descriptors() <= files:
            return
        time.sleep(0.02)
    raise AssertionError(f"left behind: {left}, {descriptors() - files} descriptors")


def cancelled_run(arm: str, agent: SingleAgent, begun: threading.Event, prompt: Any = "go") -> RunResult:
    """Run, cancel from another thread when it has begun, and see that it ends in time."""
    token = CancellationToken()
    cancelled_at = 0.0

    def cancel() -> None:
        nonlocal cancelled_at
        assert begun.wait(5)
        time.sleep(0.05)
        cancelled_at = time.monotonic()
        token.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    result: RunResult = RUNS[arm](agent, prompt, cancel=token)
    late = time.monotonic() - cancelled_at
    canceller.join()
    assert late < IN_TIME + BUSY_MACHINE, f"it took {late:.3f} s"
    assert result.stop_reason == "cancelled"
    check_history(result.new_messages)
    return result


@arms
def test_6_while_the_model_is_silent(arm: str) -> None:
    begun = threading.Event()

    def answer(request: Any) -> Answer:
        begun.set()
        return Answer((b"{}",), before=(Pause(LONG),))

    with LoopbackServer(ScriptedVendor(answer)) as server, nothing_left_behind():
        for vendor in (OpenAI, Anthropic):
            begun.clear()
            cancelled_run(arm, SingleAgent(vendor("m", "k", base_url=server.url)), begun)


@arms
def test_6_inside_a_tool_that_heeds(arm: str) -> None:
    begun = threading.Event()

    @tool
    def slow(context: ToolContext) -> str:
        begun.set()
        while not context.cancel.is_cancelled:
            time.sleep(0.005)
        return "stopped"

    with nothing_left_behind():
        result = cancelled_run(arm, _calling(slow), begun)
    assert result.still_running == ()


@arms
def test_6_inside_an_async_tool(arm: str) -> None:
    begun = threading.Event()

    @tool
    async def slow() -> None:
        begun.set()
        # The blocking arm runs it on a private asyncio loop.
        await (trio.sleep(LONG) if arm == "trio" else asyncio.sleep(LONG))

    with nothing_left_behind():
        cancelled_run(arm, _calling(slow), begun)


@arms
def test_6_inside_tools_side_by_side(arm: str) -> None:
    begun = threading.Event()

    @tool(read_only=True)
    def slow(context: ToolContext) -> str:
        begun.set()
        while not context.cancel.is_cancelled:
            time.sleep(0.005)
        return "stopped"

    @tool(read_only=True)
    def quick() -> str:
        return "done"

    calls = [ToolCallPart(id=name, name=name, args={}) for name in ("quick", "slow")]
    with nothing_left_behind():
        result = cancelled_run(arm, SingleAgent(Fake(script=[calls]), tools=[slow, quick]), begun)
    # What was done is not lost.
    assert result.new_messages[2].content[0].result == "done"  # type: ignore[union-attr]


@arms
def test_6_a_tool_that_does_not_heed_is_named(arm: str) -> None:
    begun, release = threading.Event(), threading.Event()

    @tool
    def stubborn() -> str:
        begun.set()
        release.wait(LONG)
        return "at last"

    with nothing_left_behind():
        result = cancelled_run(arm, _calling(stubborn), begun)
        release.set()
    assert result.still_running == ("stubborn",)
    (part,) = result.new_messages[2].content
    assert "still running" in part.result  # type: ignore[union-attr]


@arms
def test_6_a_deadline_names_it_too(arm: str) -> None:
    release = threading.Event()

    @tool
    def stubborn() -> str:
        release.wait(LONG)
        return "at last"

    agent = _calling(stubborn)
    started = time.monotonic()
    with nothing_left_behind():
        with pytest.raises(TimedOut) as caught:
            if arm == "sync":
                agent.run_sync("go", timeout=0.1)
            elif arm == "trio":
                trio.run(lambda: agent.run("go", timeout=0.1))
            else:
                asyncio.run(agent.run("go", timeout=0.1))
        took = time.monotonic() - started
        release.set()
    assert took < 0.1 + IN_TIME + BUSY_MACHINE
    assert caught.value.partial.still_running == ("stubborn",)
    check_history(caught.value.partial.new_messages)


@arms
def test_6_a_part_is_interrupted_and_what_is_around_it_goes_on(arm: str) -> None:
    """The agent that was interrupted gives back what it had; the next one uses the same runtime."""
    begun, token = threading.Event(), CancellationToken()
    moments: list[float] = []

    def answer(request: Any) -> Answer:
        begun.set()
        return Answer((b"{}",), before=(Pause(LONG),))

    def cancel() -> None:
        assert begun.wait(5)
        time.sleep(0.03)
        moments.append(time.monotonic())
        token.cancel()

    def flow(silent: SingleAgent, other: SingleAgent) -> Flow[Any]:
        try:
            yield from within(None, as_flow(silent, "go"), token)
        except Interrupted as error:
            moments.append(time.monotonic())
            return error.partial, (yield from as_flow(other, "go"))

    with LoopbackServer(ScriptedVendor(answer)) as server, nothing_left_behind():
        canceller = threading.Thread(target=cancel)
        canceller.start()
        agents = SingleAgent(OpenAI("m", "k", base_url=server.url)), SingleAgent(Fake(script=["done"]))
        interrupted, after = RUNS_A_FLOW[arm](flow(*agents))
        canceller.join()
    assert moments[1] - moments[0] < IN_TIME + BUSY_MACHINE
    assert interrupted.stop_reason == "cancelled"
    check_history(interrupted.new_messages)
    assert after.text == "done"
    assert not token._callbacks


def test_6_without_anybody_to_cancel_a_tool_runs_on_the_callers_own_thread() -> None:
    seen: list[threading.Thread] = []

    @tool
    def where() -> None:
        seen.append(threading.current_thread())

    _calling(where).run_sync("go")
    assert seen == [threading.current_thread()]
    _calling(where).run_sync("go", cancel=CancellationToken())
    assert seen[1] is not threading.current_thread()


def _calling(one_tool: Any) -> SingleAgent:
    # With a delay, so that there is something left to cancel once the tool has ended.
    model = Fake(script=[ToolCallPart(id="1", name=one_tool.name, args={}), "done"], delay_ms=1)
    return SingleAgent(model, tools=[one_tool])
