"""Playing the network for one provider: replies by hand, and chunks in a form that compares."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from tako.effects import Close, Emit, Flow, HttpHead, HttpRequest, Now, Receive, Send
from tako.events import ChatChunk, ChatEnd, ChatError
from tako.models import ChatResponse
from tako.providers.base import ResponseBuilder, StreamDecoder

__all__ = ["collect", "cuts", "event_stream", "play", "spoiled", "streamed", "told"]

Headers = tuple[tuple[str, str], ...]


def play(
    flow: Flow[ChatResponse], body: Iterable[bytes], status: int = 200, headers: Headers = ()
) -> tuple[ChatResponse, list[Any], HttpRequest]:
    """Drive a flow through one exchange: its response, what it emitted, what it sent."""
    pieces = iter(body)
    emitted: list[Any] = []
    sent: list[HttpRequest] = []
    reply: Any = None
    while True:
        try:
            effect = flow.send(reply)
        except StopIteration as stop:
            return stop.value, emitted, sent[0]
        match effect:
            case Send(request):
                sent.append(request)
                reply = HttpHead(status, headers, 1)
            case Receive():
                reply = next(pieces, b"")
            case Emit(events):
                emitted += events
                reply = None
            case Now():
                reply = 1_700_000_000.0
            case Close():
                reply = None
            case _:
                raise AssertionError(f"an effect was not expected: {effect!r}")


def streamed(decoder: StreamDecoder, pieces: Iterable[bytes]) -> list[ChatChunk]:
    """All chunks of a stream that ends after these pieces."""
    chunks: list[ChatChunk] = []
    for piece in (*pieces, b""):
        chunks += decoder.feed(piece)
    return chunks


def collect(chunks: Iterable[ChatChunk]) -> tuple[ChatResponse, Exception | None]:
    """The response in the chunks, and the error among them."""
    builder = ResponseBuilder()
    builder.add(chunks)
    return builder.response(), builder.error


def told(chunks: Iterable[ChatChunk]) -> list[Any]:
    """The chunks in a form that compares: errors by what they say. Asserts contract 2 on the way."""
    listed = list(chunks)
    assert [type(chunk) for chunk in listed].count(ChatEnd) == 1
    assert type(listed[-1]) is ChatEnd
    errors = [chunk for chunk in listed if type(chunk) is ChatError]
    assert errors == listed[-2:-1] if errors else True
    assert (listed[-1].finish_reason == "error") == bool(errors)
    return [
        (type(chunk.error).__name__, chunk.error.message, chunk.error.status, chunk.error.code)
        if type(chunk) is ChatError
        else chunk
        for chunk in listed
    ]


def cuts(data: bytes, chance: random.Random) -> list[bytes]:
    """The data in pieces, of which many are tiny."""
    pieces = []
    while data:
        size = chance.choice((1, 1, 2, 3, 7, 40, 200, 1000))
        pieces.append(data[:size])
        data = data[size:]
    return pieces


def event_stream(*events: bytes | str, named: bool = False) -> bytes:
    """Data lines as a stream of events."""
    lines = [event.encode() if isinstance(event, str) else event for event in events]
    prefix = b"event: x\n" if named else b""
    return b"".join(prefix + b"data: " + line + b"\n\n" for line in lines)


ODD: tuple[Any, ...] = (None, True, 7, 0.5, "", "x", [], ["x"], [7], {}, {"x": 7})


def spoiled(value: Any, chance: random.Random) -> Any:
    """The JSON value with something odd in one place of it, or with that place missing."""
    inside = isinstance(value, (dict, list)) and bool(value) and chance.random() < 0.85
    if not inside:
        return chance.choice(ODD)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    copy, key = value.copy(), chance.choice(keys)
    if chance.random() < 0.1:
        del copy[key]
    else:
        copy[key] = spoiled(copy[key], chance)
    return copy
