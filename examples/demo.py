"""One agent on a real model, by the blocking, the trio and the asyncio arm in turn: `make demo`.

The model is SmolLM2-135M, served by llama.cpp on this machine. It is tiny: two examples in the history
show it what is wanted, and the server's grammar holds the arguments of its calls and the form of its
answers. With OPENAI_API_KEY or ANTHROPIC_API_KEY set, that vendor's model is used instead.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import trio
from pydantic import BaseModel

from examples import local_model
from tako import AgentRun, Approved, ContentPart, Message, RunResult, SingleAgent, Tool, ToolError
from tako.events import AssistantText, Final, OrchEvent, OutputRetry, StepStart, ToolCallResult, ToolCallStart
from tako.providers import Anthropic, OpenAI, Provider

WEATHER = {
    "Cairo": "31 degrees, sun",
    "Lima": "19 degrees, fog",
    "Oslo": "-3 degrees, snow",
    "Paris": "9 degrees, fog",
    "Rome": "24 degrees, sun",
    "Tokyo": "17 degrees, rain",
}


def weather(city: str) -> str:
    """Look up the weather in a city."""
    if city not in WEATHER:
        raise ToolError(f"there is no weather station in {city}")
    return WEATHER[city]


class Report(BaseModel):
    """What the agent's answer has to fit."""

    city: str
    degrees: int
    sky: Literal["sun", "rain", "snow", "fog"]


def agent_on(provider: Provider, *, ask_first: bool = False) -> SingleAgent[Report]:
    return SingleAgent(
        provider,
        system="You report the weather.",
        tools=[Tool(weather, approval=ask_first)],
        tool_choice="required",
        output_type=Report,
        temperature=0,
        max_tokens=64,
    )


def example(city: str, report: Report) -> list[Message]:
    """A question that was answered as it should be."""
    call = f"example_{city}"
    return [
        Message.user(f"What is the weather in {city}?"),
        Message.assistant([ContentPart.tool_call(call, "weather", {"city": city})]),
        Message.tool([ContentPart.tool_result(call, WEATHER[city], name="weather")]),
        Message.assistant(report.model_dump_json()),
    ]


HISTORY = [
    *example("Lima", Report(city="Lima", degrees=19, sky="fog")),
    *example("Rome", Report(city="Rome", degrees=24, sky="sun")),
]


def show(event: OrchEvent) -> None:
    """Print an event as it comes; the pieces of the answer stay on one line."""
    match event:
        case StepStart():
            print(f"  step {event.step}  ", end="")
        case ToolCallStart():
            print(f"call    {event.name} {event.args}")
        case ToolCallResult():
            print(f"          result  {event.result}")
        case AssistantText():
            print(event.delta, end="|")
        case OutputRetry():
            print(f"\n          mended  {event.error}")
        case Final():
            result = event.result
            end = "" if result.pending else "\n"
            print(f"{end}  end     {result.stop_reason}, {result.steps} steps, {result.usage.total} tokens")
        case _:
            print(event)
    print(end="", flush=True)


def asked(agent: SingleAgent[Report], city: str) -> AgentRun:
    return agent.start(f"What is the weather in {city}?", history=HISTORY)


def blocking(agent: SingleAgent[Report], run: AgentRun) -> RunResult[Report]:
    with agent.stream_sync(run) as events:
        for event in events:
            show(event)
    return events.result


async def asynchronous(agent: SingleAgent[Report], run: AgentRun) -> RunResult[Report]:
    """The same under trio and under asyncio: tako finds out which one is running."""
    async with agent.stream(run) as events:
        async for event in events:
            show(event)
    return events.result


def approved(agent: SingleAgent[Report], text: str) -> AgentRun:
    """A run that waits for an approval, from its JSON; another process would do the same."""
    run = agent.load(text)
    print(f"  loaded  {len(text)} characters of JSON: {text[:48]}...")
    for pending in run.pending:
        print(f"  approve {pending.call.name} {pending.call.args}")
        run.answer(pending.call.id, Approved())
    return run


@contextmanager
def providers() -> Iterator[tuple[Provider, Provider]]:
    """Two wires to talk over: the local model speaks both, a vendor its own."""
    if os.environ.get("OPENAI_API_KEY"):
        yield OpenAI("gpt-4o-mini"), OpenAI("gpt-4o-mini")
    elif os.environ.get("ANTHROPIC_API_KEY"):
        yield Anthropic("claude-haiku-4-5"), Anthropic("claude-haiku-4-5")
    else:
        with local_model.running() as server:
            address = local_model.address_of(server)
            yield (
                OpenAI("SmolLM2-135M", "", base_url=address),
                Anthropic("SmolLM2-135M", "", base_url=address),
            )


def main() -> None:
    with providers() as (one, other):
        agent = agent_on(one)
        print(f"The blocking arm, on {one.id}")
        print(f"  output  {blocking(agent, asked(agent, 'Oslo')).output!r}\n")

        agent = agent_on(other)
        print(f"The trio arm, on {other.id}")
        print(f"  output  {trio.run(asynchronous, agent, asked(agent, 'Tokyo')).output!r}\n")

        agent = agent_on(one)
        print(f"The asyncio arm, on {one.id}")
        print(f"  output  {asyncio.run(asynchronous(agent, asked(agent, 'Cairo'))).output!r}\n")

        agent = agent_on(one, ask_first=True)
        print(f"Begun by the blocking arm, resumed from its JSON by the trio arm, on {one.id}")
        run = asked(agent, "Paris")
        blocking(agent, run)
        print(f"  output  {trio.run(asynchronous, agent, approved(agent, run.dumps())).output!r}")


if __name__ == "__main__":
    main()
