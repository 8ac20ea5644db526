"""Each provider through three turns of a model that calls two tools at once, on all three arms.

The other side is a mock of the vendors that others wrote. It goes on to the next turn only if it finds
the results of the calls in the conversation, so what we send back is read by somebody else's code.
Claude on Vertex, and its streams on Bedrock, are in test_three_turns_scripted.py: the mock has not got them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio

from tako import SingleAgent, tool
from tako.events import AssistantText, ToolCallResult
from tako.models import Message, ToolResultPart
from tako.providers import (
    Anthropic,
    AnthropicBedrock,
    AzureOpenAI,
    Bedrock,
    Gemini,
    HttpGeneric,
    Mistral,
    Ollama,
    OpenAI,
    OpenAICodex,
    OpenAICompatible,
    OpenAIResponses,
    Provider,
    Vertex,
)
from tako.providers.openai.codex import CodexCredentials
from tests.interop.mock import running_mock

QUESTION = "Compare Paris and Oslo"
ANSWER = "Paris is warmer, and its clock agrees with Oslo's."
TURNS: list[tuple[dict[str, object], dict[str, object]]] = [
    (
        {"hasToolResult": False},
        {
            "toolCalls": [
                {"name": "weather", "arguments": {"city": "Paris"}},
                {"name": "weather", "arguments": {"city": "Oslo"}},
            ]
        },
    ),
    (
        {"toolResultContains": "Oslo: 4 degrees"},
        {
            "toolCalls": [
                {"name": "clock", "arguments": {"city": "Paris"}},
                {"name": "clock", "arguments": {"city": "Oslo"}},
            ]
        },
    ),
    ({"toolResultContains": "Oslo: noon"}, {"content": ANSWER}),
]
FIXTURES: list[dict[str, object]] = [
    {"match": {"userMessage": QUESTION, **match}, "response": response} for match, response in TURNS
]
RESULTS = ["Paris: 11 degrees", "Oslo: 4 degrees", "Paris: noon", "Oslo: noon"]


@tool
def weather(city: str) -> str:
    """The temperature in a city."""
    return f"{city}: {11 if city == 'Paris' else 4} degrees"


@tool
def clock(city: str) -> str:
    """The time in a city."""
    return f"{city}: noon"


TEMPLATE = {
    "model": "{{ model }}",
    "messages": "{{ messages | openai }}",
    "tools": "{{ tools | openai }}",
    "stream": "{{ stream }}",
}
KEYS: Any = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "secret", "region": "us-east-1"}
CLAUDE_ON_BEDROCK = "anthropic.claude-3-5-sonnet-20241022-v2:0"

PROVIDERS: dict[str, Callable[[str], Provider]] = {
    "openai": lambda url: OpenAI("gpt-4o", "key", base_url=url),
    "openai-compatible": lambda url: OpenAICompatible("some-model", "key", base_url=f"{url}/v1"),
    "openai-responses": lambda url: OpenAIResponses("gpt-4o", "key", base_url=url),
    "openai-codex": lambda url: OpenAICodex("gpt-5", CodexCredentials("token", "account"), base_url=url),
    "azure": lambda url: AzureOpenAI(url, "gpt-4o", "key"),
    "anthropic": lambda url: Anthropic("claude-sonnet-4-5", "key", base_url=url),
    "anthropic-bedrock": lambda url: AnthropicBedrock(CLAUDE_ON_BEDROCK, endpoint_url=url, **KEYS),
    "gemini": lambda url: Gemini("gemini-2.5-flash", "key", base_url=url),
    "vertex": lambda url: Vertex("project", "gemini-2.5-flash", "token", endpoint_url=url),
    "bedrock": lambda url: Bedrock(CLAUDE_ON_BEDROCK, endpoint_url=url, **KEYS),
    "mistral": lambda url: Mistral("mistral-large-latest", "key", base_url=url),
    "ollama": lambda url: Ollama("llama3.2", base_url=url),
    "http-generic": lambda url: HttpGeneric(
        "mine",
        "m",
        f"{url}/v1/chat/completions",
        TEMPLATE,
        "/choices/0/message/content",
        response_config={"tool_calls_pointer": "/choices/0/message/tool_calls"},
        stream_config={"kind": "openai_sse"},
    ),
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_mock(FIXTURES, tmp_path_factory.mktemp("mock")) as address:
        yield address


def run_sync(agent: SingleAgent) -> tuple[str, list[Any]]:
    result = agent.run_sync(QUESTION)
    return result.text, results_in(result.new_messages)


def run_trio(agent: SingleAgent) -> tuple[str, list[Any]]:
    result = trio.run(agent.run, QUESTION)
    return result.text, results_in(result.new_messages)


def run_asyncio(agent: SingleAgent) -> tuple[str, list[Any]]:
    result = asyncio.run(agent.run(QUESTION))
    return result.text, results_in(result.new_messages)


def stream_sync(agent: SingleAgent) -> tuple[str, list[Any]]:
    with agent.stream_sync(QUESTION) as events:
        return told(list(events))


async def _streamed(agent: SingleAgent) -> tuple[str, list[Any]]:
    async with agent.stream(QUESTION) as events:
        return told([event async for event in events])


def stream_trio(agent: SingleAgent) -> tuple[str, list[Any]]:
    return trio.run(_streamed, agent)


def stream_asyncio(agent: SingleAgent) -> tuple[str, list[Any]]:
    return asyncio.run(_streamed(agent))


def told(events: list[Any]) -> tuple[str, list[Any]]:
    text = "".join(event.delta for event in events if type(event) is AssistantText)
    return text, [event.result for event in events if type(event) is ToolCallResult]


def results_in(messages: list[Message]) -> list[Any]:
    return [part.result for message in messages for part in message.content if type(part) is ToolResultPart]


STREAMED = [stream_sync, stream_trio, stream_asyncio]
WAYS = [run_sync, run_trio, run_asyncio, *STREAMED]
CASES = [
    pytest.param(name, way, id=f"{name}-{way.__name__}")
    for name in PROVIDERS
    for way in WAYS
    if not (name == "anthropic-bedrock" and way in STREAMED)
]


@pytest.mark.parametrize(("name", "way"), CASES)
def test_three_turns_with_two_tools_each(name: str, way: Any, url: str) -> None:
    agent = SingleAgent(PROVIDERS[name](url), tools=[weather, clock])
    text, results = way(agent)
    assert results == RESULTS
    assert text == ANSWER
