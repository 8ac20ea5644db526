"""The providers that are held to the contracts, each with a way to make it say what a test wants.

A Reply is what a model is to answer. A Subject knows how its vendor would put that on the wire (or,
for the providers without one, how to script it), and how such an answer breaks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from tako.errors import TransportError
from tako.events import ChatChunk, ChatEnd, TextDelta, ToolCall
from tako.models import ChatRequest, ChatResponse, Message, Part, Role, TextPart, ToolCallPart, Usage
from tako.providers import (
    Anthropic,
    AnthropicBedrock,
    AnthropicVertex,
    AzureOpenAI,
    Bedrock,
    Fake,
    Gemini,
    Mistral,
    Ollama,
    OpenAI,
    OpenAICompatible,
    OpenAIResponses,
    Provider,
    PythonProvider,
    Vertex,
)
from tako.providers.base import StreamDecoder
from tako.providers.fake import Truncated
from tako.providers.http import HttpProvider
from tako.testing import Answer, Hangup, ReceivedRequest, ScriptedVendor
from tako.testing.vendor import Piece
from tests.contracts.drivers import SIMULATOR, Driver
from tests.contracts.wires import chat_completions, converse, gemini, messages, ollama, responses
from tests.contracts.wires.framing import EVENT_STREAM, LINES, SSE, Framing
from tests.contracts.wires.reply import Reply

USAGE = Usage(input_tokens=11, output_tokens=7)


def _names() -> st.SearchStrategy[str]:
    return st.sampled_from(("look", "write", "unknown"))


# Few letters, chosen to break careless readers: a property that plays on sockets has no time for more.
TEXTS = st.text(alphabet='a"\\é\u2028\U0001f419{[ \n\r', max_size=24)
VALUES = st.none() | st.integers() | TEXTS | st.lists(TEXTS, max_size=2)
ARGUMENTS = st.dictionaries(st.sampled_from(("text", "n", "é\u2028")), VALUES, max_size=2)


@st.composite
def replies(draw: st.DrawFn, *, most_calls: int = 3) -> Reply:
    """An answer with text, calls or both."""
    calls = draw(st.lists(st.tuples(_names(), ARGUMENTS), max_size=most_calls))
    text = draw(TEXTS)
    return Reply(
        text if text or calls else "fine",
        tuple(ToolCallPart(id=f"call_{i}", name=name, args=args) for i, (name, args) in enumerate(calls)),
    )


def _turns_in_messages(body: dict[str, Any]) -> int:
    return sum(message["role"] == "assistant" for message in body["messages"])


def _says_stream(request: ReceivedRequest, body: dict[str, Any]) -> bool:
    return bool(body.get("stream"))


@dataclass(frozen=True)
class Subject:
    """One provider. `answer` is None for those that need no network."""

    name: str
    provider: Callable[[str, Sequence[Reply]], Provider]
    answer: Callable[[Reply], tuple[Answer, Answer]] | None = None
    """What the vendor sends for a reply: whole, and streamed."""
    decoder: Callable[[], StreamDecoder] | None = None
    broken: Callable[[str, Reply, float], Provider] | None = None
    """A provider without a network that breaks off in the midst of a reply."""
    framing: Framing = SSE
    turns: Callable[[dict[str, Any]], int] = _turns_in_messages
    """How many answers there are in the conversation of a request's body."""
    is_stream: Callable[[ReceivedRequest, dict[str, Any]], bool] = _says_stream
    keeps_ids: bool = True
    """Whether the vendor gives ids to calls."""

    def same_calls(self, got: Sequence[ToolCallPart], wanted: Sequence[ToolCallPart]) -> bool:
        """Whether these are the calls that the model asked for."""
        names = [(call.name, call.args) for call in got] == [(call.name, call.args) for call in wanted]
        return names and (not self.keeps_ids or [c.id for c in got] == [c.id for c in wanted])

    def vendor(
        self, said: Sequence[Reply], spoil: Callable[[bytes], Sequence[Piece]] | None = None
    ) -> ScriptedVendor:
        """Says the replies in order: the how manieth is asked for is read off the conversation."""
        if self.answer is None:
            return ScriptedVendor(Answer())
        answers = [self.answer(reply) for reply in said]

        def answer(request: ReceivedRequest) -> Answer:
            body = json.loads(request.body)
            whole, streamed = answers[min(self.turns(body), len(answers) - 1)]
            found: Answer = streamed if self.is_stream(request, body) else whole
            if spoil is None:
                return found
            return Answer(tuple(spoil(found.body)), found.status, found.headers, "chunked")

        return ScriptedVendor(answer)


# Fake and PythonProvider.


def _turn(request: ChatRequest) -> int:
    return sum(message.role is Role.ASSISTANT for message in request.messages)


def _parts(reply: Reply) -> list[Part]:
    text: list[Part] = [TextPart(text=reply.text)] if reply.text else []
    return [*text, *reply.calls]


def _fake(url: str, said: Sequence[Reply]) -> Provider:
    def script(request: ChatRequest) -> ChatResponse:
        reply = said[min(_turn(request), len(said) - 1)]
        return ChatResponse(
            message=Message.assistant(_parts(reply)),
            finish_reason="tool_calls" if reply.calls else "stop",
            usage=USAGE,
        )

    return Fake(script=script)


def _fake_broken(url: str, reply: Reply, fraction: float) -> Provider:
    return Fake(script=[Truncated(reply.text[: int(len(reply.text) * fraction)])])


def _python(url: str, said: Sequence[Reply]) -> Provider:
    def stream(request: ChatRequest) -> Iterator[ChatChunk]:
        reply = said[min(_turn(request), len(said) - 1)]
        yield from (TextDelta(word) for word in reply.words)
        yield from (ToolCall(call) for call in reply.calls)
        yield ChatEnd("tool_calls" if reply.calls else "stop", USAGE)

    return PythonProvider("python:test", stream=stream)


def _python_broken(url: str, reply: Reply, fraction: float) -> Provider:
    def stream(request: ChatRequest) -> Iterator[ChatChunk]:
        yield TextDelta(reply.text[: int(len(reply.text) * fraction)])
        raise TransportError("it broke", phase="body")

    return PythonProvider("python:test", stream=stream)


def wire(
    name: str,
    provider: Callable[[str], HttpProvider],
    format: Any,
    framing: Framing = SSE,
    stream: Callable[[Reply], bytes] | None = None,
    **more: Any,
) -> Subject:
    """A provider behind HTTP whose vendor answers in this format."""

    def answer(reply: Reply) -> tuple[Answer, Answer]:
        streamed = Answer(
            ((stream or format.stream)(reply),), headers=(("content-type", framing.content_type),)
        )
        return Answer.json(format.whole(reply)), streamed

    example = provider("http://vendor.test")
    return Subject(name, lambda url, said: provider(url), answer, example.decoder, framing=framing, **more)


KEYS: Any = {"region": "us-east-1", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "secret"}

OPENAI = wire("openai", lambda url: OpenAI("m", "key", base_url=url), chat_completions)
ANTHROPIC = wire("anthropic", lambda url: Anthropic("m", "key", base_url=url), messages)
FAKE = Subject("fake", _fake, broken=_fake_broken)
PYTHON = Subject("python", _python, broken=_python_broken)

VENDORS = (
    OPENAI,
    wire("compatible", lambda url: OpenAICompatible("m", "key", base_url=url), chat_completions),
    wire("azure", lambda url: AzureOpenAI(url, "m", "key"), chat_completions),
    wire(
        "responses",
        lambda url: OpenAIResponses("m", "key", base_url=url),
        responses,
        turns=responses.turns,
    ),
    ANTHROPIC,
    wire(
        "anthropic-vertex",
        lambda url: AnthropicVertex("p", "m", "token", endpoint_url=url),
        messages,
        is_stream=lambda request, body: ":streamRawPredict" in request.target,
    ),
    wire(
        "anthropic-bedrock",
        lambda url: AnthropicBedrock("m", endpoint_url=url, **KEYS),
        messages,
        EVENT_STREAM,
        messages.bedrock_stream,
        is_stream=lambda request, body: "invoke-with-response-stream" in request.target,
    ),
    wire(
        "gemini",
        lambda url: Gemini("m", "key", base_url=url),
        gemini,
        turns=gemini.turns,
        is_stream=lambda request, body: ":streamGenerateContent" in request.target,
    ),
    wire(
        "vertex",
        lambda url: Vertex("p", "m", "token", endpoint_url=url),
        gemini,
        turns=gemini.turns,
        is_stream=lambda request, body: ":streamGenerateContent" in request.target,
    ),
    wire(
        "bedrock",
        lambda url: Bedrock("m", endpoint_url=url, **KEYS),
        converse,
        EVENT_STREAM,
        is_stream=lambda request, body: "converse-stream" in request.target,
    ),
    wire("mistral", lambda url: Mistral("m", "key", base_url=url), chat_completions),
    wire("ollama", lambda url: Ollama("m", base_url=url), ollama, LINES, keeps_ids=False),
)
SUBJECTS = (*VENDORS, FAKE, PYTHON)
FORMATS = tuple({type(vendor.decoder()): vendor for vendor in VENDORS if vendor.decoder}.values())
"""One vendor for each way to decode, where the properties do not depend on who speaks it."""


THOROUGH = (OPENAI, ANTHROPIC, FAKE, PYTHON)
"""Played with all examples on the arms; the others are, on the simulator, where that costs little."""


def examples(quick: int, driver: Driver, subject: Subject) -> settings:
    """So many examples in the quick profile, and as many times more in a thorough one as elsewhere."""
    if driver is not SIMULATOR and subject not in THOROUGH:
        quick = max(2, quick // 5)
    return settings(max_examples=max(2, quick * settings().max_examples // 50))


def cut_off(fraction: float) -> Callable[[bytes], Sequence[Piece]]:
    """A vendor that hangs up in the midst of its answer."""
    return lambda body: (body[: int(len(body) * fraction)], Hangup())


def in_pieces(places: Sequence[int]) -> Callable[[bytes], Sequence[Piece]]:
    """A vendor that writes its answer in pieces of these sizes, over and over."""

    def spoil(body: bytes) -> list[Piece]:
        found: list[Piece] = []
        start = number = 0
        while start < len(body):
            size = places[number % len(places)]
            found.append(body[start : start + size])
            start, number = start + size, number + 1
        return found

    return spoil


def with_odd_value(framing: Framing, number: int, odd: Any) -> Callable[[bytes], Sequence[Piece]]:
    """A vendor one of whose values is not what it should be: the how manieth, and what it is instead."""

    def spoil(body: bytes) -> list[Piece]:
        parts = framing.parts(body)
        places = [(event, path) for _, event in parts if event is not None for path in _paths(event)]
        value, path = places[number % len(places)]
        for key in path[:-1]:
            value = value[key]
        value[path[-1]] = odd
        return [framing.joined(parts)]

    return spoil


def _paths(value: Any) -> Iterator[tuple[Any, ...]]:
    """Where the values in a JSON value are."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (key,)
        yield from ((key, *rest) for rest in _paths(inner))


def text_of(events: Sequence[Any]) -> str:
    return "".join(event.text for event in events if type(event) is TextDelta)
