"""What the checklist's wire tests share: encoding a request, and asking a scripted vendor."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json

from tako.errors import TakoError
from tako.events import ChatChunk
from tako.models import ChatRequest, ChatResponse, Message
from tako.providers.http import HttpProvider
from tako.testing import Answer, ScriptedVendor, Simulator
from tests.support.answers import event_stream

__all__ = ["USER", "asked", "body_of", "data_lines", "refused", "streamed"]

USER = Message.user("hello")


def body_of(provider: HttpProvider, *messages: Message, **fields: Any) -> Any:
    """The body that a request becomes, decoded."""
    return from_json(provider.http_request(ChatRequest(messages=messages, **fields), stream=False).body)


def data_lines(*events: dict[str, Any] | str) -> Answer:
    """A stream of server-sent events."""
    texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return Answer.events([event_stream(*texts)])


def asked(provider: HttpProvider, answer: dict[str, Any] | Answer) -> ChatResponse:
    """What the provider makes of an answer; raises what it raises."""
    whole = answer if isinstance(answer, Answer) else Answer.json(json.dumps(answer))
    simulator = Simulator(vendor=ScriptedVendor(whole))
    return simulator.run(provider.chat_flow(ChatRequest(messages=(USER,))))


def refused(provider: HttpProvider, status: int, body: Any = None, **headers: str) -> TakoError:
    """The error that a refusal becomes."""
    try:
        asked(provider, Answer.json(json.dumps(body or {}), status, **headers))
    except TakoError as error:
        return error
    raise AssertionError(f"a status of {status} was no error")


def streamed(provider: HttpProvider, answer: Answer) -> tuple[list[ChatChunk], ChatResponse | TakoError]:
    """The chunks of a stream, and the response or the error at its end."""
    chunks: list[ChatChunk] = []

    def relay(new: list[ChatChunk]) -> list[ChatChunk]:
        chunks.extend(new)
        return new

    simulator = Simulator(vendor=ScriptedVendor(answer))
    try:
        return chunks, simulator.run(provider.stream_flow(ChatRequest(messages=(USER,)), relay))
    except TakoError as error:
        return chunks, error
