"""Answers of Anthropic as a test wants them: events, blocks, and reading them through the provider."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic_core import from_json

from tako.errors import TakoError
from tako.events import (
    ChatChunk,
    ChatError,
)
from tako.models import (
    ChatRequest,
    ChatResponse,
    Message,
    Usage,
)
from tako.providers.anthropic import Anthropic
from tako.providers.anthropic.decode import MessagesDecoder
from tests.support.answers import event_stream, play, streamed, told

__all__ = [
    "COUNTS",
    "GROWS",
    "LAST",
    "PAGE",
    "PLACE",
    "REQUEST",
    "START",
    "STOP",
    "TOTAL",
    "USAGE",
    "answer",
    "call",
    "chunks_of",
    "closed",
    "ended",
    "error_in",
    "event",
    "grown",
    "opened",
    "said_again",
    "stream_of",
    "whole",
]

PAGE = {
    "type": "web_search_result_location",
    "url": "https://x/y",
    "title": "Y",
    "cited_text": "it is so",
    "encrypted_index": "e==",
}
PLACE = {
    "type": "char_location",
    "document_index": 1,
    "document_title": None,
    "cited_text": "so it is",
    "start_char_index": 3,
    "end_char_index": 11,
    "file_id": None,
}
GROWS = {"text": ("text_delta", "text"), "thinking": ("thinking_delta", "thinking")}
REQUEST = ChatRequest(messages=(Message.user("hello"),))
COUNTS = {
    "input_tokens": 10,
    "cache_read_input_tokens": 4,
    "cache_creation_input_tokens": 2,
    "output_tokens": 1,
}
LAST = {"output_tokens": 7, "input_tokens": None, "output_tokens_details": {"thinking_tokens": 3}}
TOTAL = {**COUNTS, "output_tokens": 7, "output_tokens_details": {"thinking_tokens": 3}}
USAGE = Usage(
    input_tokens=16, output_tokens=7, cache_read_tokens=4, cache_write_tokens=2, reasoning_tokens=3, raw=TOTAL
)
STOP = '{"type":"message_stop"}'


def event(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields}, ensure_ascii=False)


START = event(
    "message_start",
    message={"id": "m1", "model": "claude", "content": [], "stop_reason": None, "usage": COUNTS},
)


def opened(index: int, kind: str, **fields: Any) -> str:
    return event("content_block_start", index=index, content_block={"type": kind, **fields})


def grown(index: int, kind: str, **fields: Any) -> str:
    return event("content_block_delta", index=index, delta={"type": kind, **fields})


def closed(index: int) -> str:
    return event("content_block_stop", index=index)


def ended(reason: str | None = "end_turn", usage: Any = LAST) -> str:
    return event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=usage)


def call(index: int, name: str, *pieces: str) -> list[str]:
    return [
        opened(index, "tool_use", id=f"t{index}", name=name, input={}),
        *[grown(index, "input_json_delta", partial_json=piece) for piece in pieces],
        closed(index),
    ]


def chunks_of(*events: str, stop: bool = True) -> list[ChatChunk]:
    return streamed(MessagesDecoder(), [event_stream(START, *events, *([STOP] if stop else []), named=True)])


def error_in(chunks: Sequence[ChatChunk]) -> TakoError:
    told(chunks)
    error = chunks[-2]
    assert type(error) is ChatError
    return error.error


def answer(*content: Any, reason: str | None = "end_turn") -> dict[str, Any]:
    head = {"type": "message", "id": "m1", "model": "claude", "role": "assistant"}
    return {**head, "content": list(content), "stop_reason": reason, "usage": TOTAL}


def whole(payload: Any) -> ChatResponse:
    response, _, _ = play(Anthropic("m", "").chat_flow(REQUEST), [json.dumps(payload).encode()])
    return response


def said_again(response: ChatResponse) -> list[Any]:
    """The blocks of an answer as they go back to the vendor."""
    request = ChatRequest(messages=(Message.user("x"), response.message))
    body = from_json(Anthropic("m", "").http_request(request, stream=False).body)
    blocks: list[Any] = body["messages"][1]["content"]
    return blocks


def stream_of(index: int, block: dict[str, Any], cut: int) -> list[str]:
    """One block as it would stream, its text or input in two pieces."""
    kind = block["type"]
    if kind in GROWS:
        delta, field = GROWS[kind]
        text = block[field]
        events = [opened(index, kind, **{field: ""})]
        events += [grown(index, delta, **{field: piece}) for piece in (text[:cut], text[cut:])]
        if "citations" in block:
            events[0] = opened(index, kind, text="", citations=[])
            events[1:1] = [grown(index, "citations_delta", citation=cited) for cited in block["citations"]]
        if "signature" in block:
            events.append(grown(index, "signature_delta", signature=block["signature"]))
    elif "input" in block:
        fields = {name: value for name, value in block.items() if name != "type"}
        text = json.dumps(block["input"])
        events = [opened(index, kind, **{**fields, "input": {}})]
        events += [grown(index, "input_json_delta", partial_json=piece) for piece in (text[:cut], text[cut:])]
    else:
        events = [opened(index, kind, **{name: value for name, value in block.items() if name != "type"})]
    return [*events, closed(index)]
