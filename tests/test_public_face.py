"""The public ways to run: blocking, under asyncio and under trio, found out at call time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

import tako
import tako_io_asyncio
import tako_io_sync
import tako_io_trio
from tako import CancellationToken, ChatRequest, InvalidInput, Message, SingleAgent
from tako.errors import TimedOut
from tako.providers import Fake
from tako.providers.fake import Truncated

AGENT = SingleAgent(Fake("Hello you"))
KINDS = ["step_start", "assistant_text", "assistant_text", "final"]
REQUEST = ChatRequest(messages=[Message.user("hi")])


def in_asyncio(function: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await function()

    return asyncio.run(main())


libraries = pytest.mark.parametrize("within", [in_asyncio, trio.run], ids=["asyncio", "trio"])
modules = pytest.mark.parametrize(
    ("within", "module"), [(in_asyncio, tako_io_asyncio), (trio.run, tako_io_trio)], ids=["asyncio", "trio"]
)


def test_run_sync() -> None:
    assert AGENT.run_sync("hi").text == "Hello you"
    assert tako_io_sync.run(AGENT, "hi").text == "Hello you"


def test_stream_sync() -> None:
    with AGENT.stream_sync("hi") as events:
        assert [event.kind for event in events] == KINDS
    assert events.result.text == "Hello you"
    with tako_io_sync.stream(AGENT, "hi") as events:
        assert [event.kind for event in events] == KINDS


def test_the_result_of_a_stream_reads_on_to_its_end() -> None:
    with AGENT.stream_sync("hi") as events:
        next(events)
        assert events.result.text == "Hello you"


@libraries
def test_run(within: Any) -> None:
    async def main() -> Any:
        return await AGENT.run("hi")

    assert within(main).text == "Hello you"


@libraries
def test_stream_as_a_context_manager(within: Any) -> None:
    async def main() -> None:
        async with AGENT.stream("hi") as events:
            assert [event.kind async for event in events] == KINDS
        assert events.result.text == "Hello you"

    within(main)


@libraries
def test_stream_awaited(within: Any) -> None:
    async def main() -> None:
        kinds = []
        async for event in await AGENT.stream("hi"):
            kinds.append(event.kind)
        assert kinds == KINDS

    within(main)


@libraries
def test_stream_left_early_gives_what_there_was(within: Any) -> None:
    async def main() -> None:
        async with AGENT.stream("hi") as events:
            assert (await anext(events)).kind == "step_start"
        assert events.result.stop_reason == "cancelled"

    within(main)


@libraries
def test_the_result_before_the_end(within: Any) -> None:
    async def main() -> None:
        events = AGENT.stream("hi")
        with pytest.raises(InvalidInput, match="never opened"):
            _ = events.result
        await events.aclose()
        async with AGENT.stream("hi") as events:
            await anext(events)
            with pytest.raises(InvalidInput, match="end"):
                _ = events.result

    within(main)


@modules
def test_the_explicit_adapter(within: Any, module: Any) -> None:
    async def main() -> None:
        assert (await module.run(AGENT, "hi")).text == "Hello you"
        async with module.Runtime() as runtime, runtime.stream(AGENT, "hi") as events:
            assert [event.kind async for event in events] == KINDS

    within(main)


def test_no_library_is_running() -> None:
    coroutine = AGENT.run("hi")
    with pytest.raises(InvalidInput, match="_sync"):
        coroutine.send(None)


def test_under_trio_in_guest_mode_trio_is_found() -> None:
    """A trio task that runs inside an asyncio loop sees both."""

    async def in_trio() -> str:
        await trio.sleep(0)
        return (await AGENT.run("hi")).text

    async def main() -> str:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        trio.lowlevel.start_guest_run(
            in_trio, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=done.set_result
        )
        text: str = (await done).unwrap()
        return text

    assert asyncio.run(main()) == "Hello you"


@libraries
def test_a_timeout(within: Any) -> None:
    slow = SingleAgent(Fake("slow", delay_ms=60_000))

    async def main() -> None:
        with pytest.raises(TimedOut) as caught:
            await slow.run("hi", timeout=0.02)
        assert caught.value.partial.stop_reason == "cancelled"

    within(main)
    with pytest.raises(TimedOut, match=r"not done within 0\.02 seconds"):
        slow.run_sync("hi", timeout=0.02)


@pytest.mark.parametrize("timeout", [0, -1, "soon"])
def test_a_timeout_that_is_none(timeout: Any) -> None:
    with pytest.raises(InvalidInput, match="timeout"):
        AGENT.run_sync("hi", timeout=timeout)


def test_a_provider_blocking() -> None:
    provider = Fake("Hello you")
    assert provider.chat_sync(REQUEST).text == "Hello you"
    with provider.stream_sync(REQUEST) as chunks:
        assert [chunk.kind for chunk in chunks] == ["delta", "delta", "end"]
    assert chunks.result.text == "Hello you"
    token = CancellationToken()
    token.cancel()
    with pytest.raises(tako.Cancelled):
        Fake("slow", delay_ms=1000).chat_sync(REQUEST, cancel=token)


@libraries
def test_a_provider_async(within: Any) -> None:
    async def main() -> None:
        provider = Fake("Hello you")
        assert (await provider.chat(REQUEST)).text == "Hello you"
        async with provider.stream(REQUEST) as chunks:
            assert [chunk.kind async for chunk in chunks] == ["delta", "delta", "end"]
        assert chunks.result.text == "Hello you"

    within(main)


def test_the_failure_of_a_providers_stream_is_told_and_then_raised_by_the_result() -> None:
    with Fake(script=[Truncated("half")]).stream_sync(REQUEST) as chunks:
        assert [chunk.kind for chunk in chunks] == ["delta", "error", "end"]
    with pytest.raises(tako.TransportError) as caught:
        _ = chunks.result
    assert caught.value.partial.text == "half"


def test_the_failure_of_an_agents_stream_is_raised_by_the_iteration() -> None:
    with SingleAgent(Fake(script=[Truncated("half")])).stream_sync("hi") as events:
        assert next(events).kind == "step_start"
        assert next(events).kind == "assistant_text"
        with pytest.raises(tako.TransportError):
            next(events)
