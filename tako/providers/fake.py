"""Fake: a model for tests, that says what it is told to say.

`Fake("hello")` always answers so. With a script it plays one reply a call, and the last one from
then on; a reply is text, parts, a ChatResponse, an error to raise, or Truncated(text) for an answer
that breaks off. With a function it asks that for the reply, which makes it a model without memory.

Streaming gives the same answers in pieces: text and thinking word by word, everything else whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from tako.effects import Emit, Flow, Sleep
from tako.errors import InvalidInput, TakoError, TransportError
from tako.events import ChatChunk, ChatEnd, ChatError
from tako.models import Capabilities, ChatRequest, ChatResponse, ContentPart, Message, Part, Usage
from tako.providers.base import Provider, Relay, ResponseBuilder, as_they_are
from tako.providers.replies import chunks_of, response_of, text_chunks

__all__ = ["Fake", "Reply", "Truncated"]

ONE_EACH = Usage(input_tokens=1, output_tokens=1)


@dataclass(frozen=True, slots=True)
class Truncated:
    """An answer of which only this text arrives."""

    text: str


Reply: TypeAlias = str | Part | Sequence[Part] | Message | ChatResponse | TakoError | Truncated


class Fake(Provider):
    """A provider without a network. Counts its calls in `call_count`; each costs one token each way."""

    def __init__(
        self,
        canned_text: str = "ok",
        *,
        id: str = "fake:test",
        delay_ms: float = 0,
        script: Iterable[Reply] | Callable[[ChatRequest], Reply] | None = None,
    ) -> None:
        if not isinstance(canned_text, str):
            raise InvalidInput(f"Fake: canned_text should be text, not {type(canned_text).__name__}")
        if not isinstance(id, str):
            raise InvalidInput(f"Fake: id should be text, not {type(id).__name__}")
        if not isinstance(delay_ms, int | float) or not delay_ms >= 0:
            raise InvalidInput(f"Fake: delay_ms should be a number of at least 0, not {delay_ms!r}")
        self.id = id
        self.model = id.partition(":")[2]
        self.capabilities = Capabilities(
            supports_streaming=True, supports_tools=True, supports_vision=True, supports_json_mode=True
        )
        self._delay = delay_ms / 1000
        self._function = script if callable(script) else None
        self._script = [canned_text] if script is None or callable(script) else _replies(script)
        self._counter = itertools.count()  # counts from several threads without a lock
        self.call_count = 0

    def chat_flow(self, request: ChatRequest) -> Flow[ChatResponse]:
        reply = self._next_reply(request)
        if self._delay:
            yield Sleep(self._delay)
        if type(reply) is str and reply:
            return ChatResponse(message=Message.assistant(reply), usage=ONE_EACH)
        builder = ResponseBuilder()
        builder.add(_chunks(reply))
        return builder.finish()

    def stream_flow(self, request: ChatRequest, relay: Relay = as_they_are) -> Flow[ChatResponse]:
        builder, chunks = ResponseBuilder(), _chunks(self._next_reply(request))
        try:
            for chunk in chunks:
                if self._delay:
                    yield Sleep(self._delay)
                builder.add((chunk,))
                if events := relay([chunk]):
                    yield Emit(events)
        except TakoError as error:
            told: list[ChatChunk] = [ChatError(error), ChatEnd("error", ONE_EACH)]
            builder.add(told)
            if events := relay(told):
                yield Emit(events)
        return builder.finish()

    def _next_reply(self, request: ChatRequest) -> Reply:
        number = next(self._counter)
        self.call_count = number + 1
        if self._function is not None:
            return self._function(request)
        return self._script[min(number, len(self._script) - 1)]


def _replies(script: object) -> list[Reply]:
    """The replies of a script; raises InvalidInput."""
    if isinstance(script, str) or not isinstance(script, Iterable):
        raise InvalidInput(f"Fake: script should be a list or a function, not {type(script).__name__}")
    replies = list(script)
    if not replies:
        raise InvalidInput("Fake: script is empty; give it at least one reply")
    for index, reply in enumerate(replies):
        if not isinstance(reply, ContentPart | Message | ChatResponse | TakoError | Truncated | Sequence):
            raise InvalidInput(f"Fake: script[{index}] is no reply of a model: {type(reply).__name__}")
    return replies


def _chunks(reply: Reply) -> list[ChatChunk]:
    """The stream that a reply stands for."""
    if isinstance(reply, TakoError):
        return [ChatError(reply), ChatEnd("error", ONE_EACH)]
    if isinstance(reply, Truncated):
        error = TransportError("the answer broke off before its end", phase="body")
        return [*text_chunks(reply.text), ChatError(error), ChatEnd("error", ONE_EACH)]
    return chunks_of(response_of(reply, ONE_EACH))
