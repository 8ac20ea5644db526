"""A run's result has the type of the agent's output, by each of the ways to run it."""

from __future__ import annotations

from typing import assert_type

from pydantic import BaseModel

import tako
from tako.events import AssistantText, Final, OrchEvent
from tako.orchestrators.result import StopReason


class City(BaseModel):
    name: str
    inhabitants: int


plain = tako.SingleAgent(tako.providers.Fake("hello"))
structured = tako.SingleAgent(tako.providers.Fake("{}"), output_type=City)
numbers = tako.SingleAgent(tako.providers.Fake("[1]"), output_type=list[int])

assert_type(plain, tako.SingleAgent[None])
assert_type(structured, tako.SingleAgent[City])
assert_type(numbers, tako.SingleAgent[list[int]])


def blocking() -> None:
    result = structured.run_sync("Which city?", timeout=10.0, cancel=tako.CancellationToken())
    assert_type(result, tako.RunResult[City])
    assert_type(result.output, City)
    assert_type(result.output.inhabitants, int)
    assert_type(result.text, str)
    assert_type(result.usage, tako.Usage)
    assert_type(result.cost_usd, float | None)
    assert_type(result.new_messages, list[tako.Message])
    assert_type(result.stop_reason, StopReason)
    assert_type(plain.run_sync("hello").output, None)


async def asynchronous() -> None:
    assert_type((await structured.run("Which city?")).output, City)
    async with structured.stream("Which city?") as events:
        async for event in events:
            assert_type(event, OrchEvent)
    assert_type(events.result.output, City)
    async for event in await numbers.stream("Which numbers?"):
        assert_type(event, OrchEvent)


def streamed() -> None:
    with numbers.stream_sync("Which numbers?") as events:
        for event in events:
            match event:
                case AssistantText(step, delta):
                    assert_type(step, int)
                    assert_type(delta, str)
                case Final():
                    assert_type(event.text, str)
                case _:
                    pass
    assert_type(events.result.output, list[int])


def told_apart_by_kind(event: OrchEvent) -> str:
    if event.kind == "assistant_text":
        assert_type(event, AssistantText)
        return event.delta
    return ""


def resumed() -> None:
    run = structured.start("Which city?", history=[tako.Message.user("Hello")])
    assert_type(run, tako.AgentRun)
    assert_type(run.dumps(), str)
    run = structured.load(run.dumps())
    run.answer("1", tako.Approved())
    run.answer("2", tako.Denied(reason="no"))
    assert_type(structured.run_sync(run).output, City)


def refused() -> None:
    tako.SingleAgent("gpt-4o")  # type: ignore[arg-type]
    tako.SingleAgent(tako.providers.Fake("hello"), 5)  # type: ignore[call-arg, arg-type]
    plain.run_sync(5)  # type: ignore[arg-type]
    _ = structured.run_sync("Which city?").output.mayor  # type: ignore[attr-defined]
