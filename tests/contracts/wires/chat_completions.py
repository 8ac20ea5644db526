"""Chat completions, as OpenAI sends them."""

from __future__ import annotations

import json
from typing import Any

from tests.contracts.wires.framing import sse_event
from tests.contracts.wires.reply import Reply, arguments_text, pieces

__all__ = ["stream", "whole"]

USAGE = {"prompt_tokens": 11, "completion_tokens": 7}


def stream(reply: Reply) -> bytes:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in reply.words]
    for index, call in enumerate(reply.calls):
        first: dict[str, Any] = {
            "index": index,
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        deltas.append({"tool_calls": [first]})
        for piece in pieces(arguments_text(call, index)):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    events = [_chunk(delta, None) for delta in deltas]
    events.append(_chunk({}, "tool_calls" if reply.calls else "stop"))
    events.append({"id": "r1", "model": "m", "choices": [], "usage": USAGE})
    return b"".join(sse_event(event) for event in events) + b"data: [DONE]\n\n"


def _chunk(delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
    return {"id": "r1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def whole(reply: Reply) -> bytes:
    calls = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(c.args)}}
        for c in reply.calls
    ]
    message = {"role": "assistant", "content": reply.text or None, "tool_calls": calls or None}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    return json.dumps({"id": "r1", "model": "m", "choices": [choice], "usage": USAGE}).encode()
