"""What the loop itself costs: the model is a Python function that answers at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from itertools import count
from typing import Any

from bench.call import PROMPT, SYSTEM
from bench.measure import Aim, Line, Work, compare
from bench.payloads import ANSWER
from tako import SingleAgent
from tako.models import ChatRequest, Message, Role, ToolCallPart
from tako.providers import Fake, PythonProvider

__all__ = ["lines"]

STEPS = 10
TURNS = 200
"""Runs between two entries of a loop, so that entering it does not count."""


def lines(seconds: float) -> Iterator[Line]:
    result = compare(stepping(), by_hand(), seconds)
    aim = Aim("cost", 30)
    yield result.line("agent step, one tool call", "the loop by hand on dicts", aim)
    with closing(asyncio.new_event_loop()) as loop:
        aim = Aim("cost", 40)
        for name, agent in agents():
            result = compare(under_asyncio(loop, turn(agent)), under_asyncio(loop, answering), seconds)
            work = f"await run, {name}, asyncio"
            yield result.line(work, "awaiting the model alone", aim)
            result = compare(under_trio(turn(agent)), under_trio(answering), seconds)
            work = f"await run, {name}, trio"
            yield result.line(work, "awaiting the model alone", aim)


def echo(text: str) -> str:
    """Give the text back."""
    return text


def stepping() -> Work:
    """An agent whose model asks for the tool STEPS times, and then answers."""
    numbers = count(1)

    def model(request: ChatRequest) -> Message | str:
        if len(request.messages) > 2 * STEPS:
            return ANSWER
        return Message.assistant([ToolCallPart(id=f"call_{next(numbers)}", name="echo", args={"text": "hi"})])

    provider = PythonProvider("python:model", model)
    agent = SingleAgent(provider, system=SYSTEM, tools=[echo], max_steps=STEPS + 1)

    def work() -> int:
        result = agent.run_sync(PROMPT)
        assert result.text == ANSWER and result.steps == STEPS + 1
        assert [message.role for message in result.new_messages].count(Role.TOOL) == STEPS
        return STEPS

    return work


def by_hand() -> Work:
    """The same on dicts, with nothing checked."""
    numbers = count(1)
    tools = {"echo": echo}

    def model(messages: list[dict[str, object]]) -> dict[str, object]:
        if len(messages) > 2 * STEPS:
            return {"role": "assistant", "content": ANSWER}
        function = {"name": "echo", "arguments": '{"text":"hi"}'}
        return {
            "role": "assistant",
            "tool_calls": [{"id": f"call_{next(numbers)}", "type": "function", "function": function}],
        }

    def work() -> int:
        messages: list[dict[str, object]] = [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": PROMPT},
        ]
        while True:
            message = model(messages)
            messages.append(message)
            calls = message.get("tool_calls")
            if not isinstance(calls, list):
                assert message["content"] == ANSWER
                return STEPS
            for call in calls:
                function = call["function"]
                result = tools[function["name"]](**json.loads(function["arguments"]))
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})

    return work


def agents() -> tuple[tuple[str, SingleAgent[Any]], ...]:
    async def model(request: ChatRequest) -> str:
        return ANSWER

    return (
        ("an async function", SingleAgent(PythonProvider("python:model", model))),
        ("Fake", SingleAgent(Fake(ANSWER))),
    )


def turn(agent: SingleAgent[Any]) -> Callable[[], Awaitable[str]]:
    async def run() -> str:
        return (await agent.run(PROMPT)).text

    return run


async def answering() -> str:
    return ANSWER


async def _turns(run: Callable[[], Awaitable[str]]) -> None:
    for _ in range(TURNS):
        assert await run() == ANSWER


def under_asyncio(loop: asyncio.AbstractEventLoop, run: Callable[[], Awaitable[str]]) -> Work:
    def work() -> int:
        loop.run_until_complete(_turns(run))
        return TURNS

    return work


def under_trio(run: Callable[[], Awaitable[str]]) -> Work:
    import trio

    def work() -> int:
        trio.run(_turns, run)
        return TURNS

    return work
