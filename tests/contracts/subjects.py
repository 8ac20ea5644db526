"""The providers that are held to the contracts, each with a way to make it say what a test wants.

A Reply is what a model is to answer. A Subject knows how its vendor would put that on the wire (or,
for the providers without one, how to script it), and how such an answer breaks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tako.errors import TransportError
from tako.events import ChatChunk, ChatEnd, TextDelta, ToolCall
from tako.models import ChatRequest, ChatResponse, Message, Part, Role, TextPart, ToolCallPart, Usage
from tako.providers import Anthropic, Fake, OpenAI, Provider, PythonProvider
from tako.providers.anthropic.decode import MessagesDecoder
from tako.providers.base import StreamDecoder
from tako.providers.fake import Truncated
from tako.providers.chat_completions.decode import ChatDecoder
from tako.testing import Answer, Hangup, ReceivedRequest, ScriptedVendor
from tako.testing.vendor import Piece

USAGE = Usage(input_tokens=11, output_tokens=7)


@dataclass(frozen=True)
class Reply:
    """What the model says: text, and the calls that it asks for."""

    text: str = ""
    calls: tuple[ToolCallPart, ...] = ()

    @property
    def words(self) -> list[str]:
        return re.findall(r"\s*\S+|\s+$", self.text)


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

    def vendor(
        self, said: Sequence[Reply], spoil: Callable[[bytes], Sequence[Piece]] | None = None
    ) -> ScriptedVendor:
        """Says the replies in order: the how manieth is asked for is read off the conversation."""
        if self.answer is None:
            return ScriptedVendor(Answer())
        answers = [self.answer(reply) for reply in said]

        def answer(request: ReceivedRequest) -> Answer:
            body = json.loads(request.body)
            turn = sum(message["role"] == "assistant" for message in body["messages"])
            whole, streamed = answers[min(turn, len(answers) - 1)]
            found: Answer = streamed if body.get("stream") else whole
            if spoil is None:
                return found
            return Answer(tuple(spoil(found.body)), found.status, found.headers, "chunked")

        return ScriptedVendor(answer)


# OpenAI.


def openai_stream(reply: Reply) -> bytes:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in reply.words]
    for index, call in enumerate(reply.calls):
        text = json.dumps(call.args, ensure_ascii=index % 2 == 0)
        first: dict[str, Any] = {
            "index": index,
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        deltas.append({"tool_calls": [first]})
        for start in range(0, len(text), 5):
            piece = {"index": index, "function": {"arguments": text[start : start + 5]}}
            deltas.append({"tool_calls": [piece]})
    events: list[dict[str, Any]] = [
        {"id": "r1", "model": "m", "choices": [{"index": 0, "delta": d, "finish_reason": None}]}
        for d in deltas
    ]
    reason = "tool_calls" if reply.calls else "stop"
    events.append({"id": "r1", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    events.append(
        {"id": "r1", "model": "m", "choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7}}
    )
    return b"".join(_event(event) for event in events) + b"data: [DONE]\n\n"


def openai_whole(reply: Reply) -> bytes:
    calls = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(c.args)}}
        for c in reply.calls
    ]
    message = {"role": "assistant", "content": reply.text or None, "tool_calls": calls or None}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    usage = {"prompt_tokens": 11, "completion_tokens": 7}
    return json.dumps({"id": "r1", "model": "m", "choices": [choice], "usage": usage}).encode()


# Anthropic.


def anthropic_stream(reply: Reply) -> bytes:
    usage = {"input_tokens": 11, "output_tokens": 1}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "r1", "model": "m", "content": [], "usage": usage}}
    ]
    index = 0
    if reply.text:
        events.append(_block(index, {"type": "text", "text": ""}))
        events += [_delta(index, {"type": "text_delta", "text": word}) for word in reply.words]
        events.append({"type": "content_block_stop", "index": index})
        index += 1
    for call in reply.calls:
        events.append(_block(index, {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}))
        text = json.dumps(call.args, ensure_ascii=False)
        events += [
            _delta(index, {"type": "input_json_delta", "partial_json": text[start : start + 5]})
            for start in range(0, len(text), 5)
        ]
        events.append({"type": "content_block_stop", "index": index})
        index += 1
    reason = {"stop_reason": "tool_use" if reply.calls else "end_turn", "stop_sequence": None}
    events.append({"type": "message_delta", "delta": reason, "usage": {"output_tokens": 7}})
    events.append({"type": "message_stop"})
    return b"".join(_event(event, event["type"]) for event in events)


def anthropic_whole(reply: Reply) -> bytes:
    content: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    content += [{"type": "tool_use", "id": c.id, "name": c.name, "input": c.args} for c in reply.calls]
    return json.dumps(
        {
            "id": "r1",
            "model": "m",
            "content": content,
            "stop_reason": "tool_use" if reply.calls else "end_turn",
            "usage": {"input_tokens": 11, "output_tokens": 7},
        }
    ).encode()


def _block(index: int, block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def _delta(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def _event(payload: dict[str, Any], name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(payload, ensure_ascii=False)}\n\n".encode()


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


OPENAI = Subject(
    "openai",
    lambda url, said: OpenAI("m", "key", base_url=url),
    lambda reply: (Answer.json(openai_whole(reply)), Answer.events([openai_stream(reply)])),
    ChatDecoder,
)
ANTHROPIC = Subject(
    "anthropic",
    lambda url, said: Anthropic("m", "key", base_url=url),
    lambda reply: (Answer.json(anthropic_whole(reply)), Answer.events([anthropic_stream(reply)])),
    MessagesDecoder,
)
FAKE = Subject("fake", _fake, broken=_fake_broken)
PYTHON = Subject("python", _python, broken=_python_broken)

SUBJECTS = (OPENAI, ANTHROPIC, FAKE, PYTHON)
VENDORS = (OPENAI, ANTHROPIC)


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


def with_odd_value(number: int, odd: Any) -> Callable[[bytes], Sequence[Piece]]:
    """A vendor one of whose values is not what it should be: the how manieth, and what it is instead."""

    def spoil(body: bytes) -> list[Piece]:
        blocks = body.split(b"\n\n")
        places = []
        for index, block in enumerate(blocks):
            head, _, payload = block.rpartition(b"data: ")
            if payload[:1] == b"{":
                event = json.loads(payload)
                places += [(index, head, event, path) for path in _paths(event)]
        index, head, event, path = places[number % len(places)]
        value: Any = event
        for key in path[:-1]:
            value = value[key]
        value[path[-1]] = odd
        blocks[index] = head + b"data: " + json.dumps(event).encode()
        return [b"\n\n".join(blocks)]

    return spoil


def _paths(value: Any) -> Iterator[tuple[Any, ...]]:
    """Where the values in a JSON value are."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (key,)
        yield from ((key, *rest) for rest in _paths(inner))


def text_of(events: Sequence[Any]) -> str:
    return "".join(event.text for event in events if type(event) is TextDelta)
