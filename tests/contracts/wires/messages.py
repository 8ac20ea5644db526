"""Anthropic's messages, as Anthropic, Google and Amazon send them."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.contracts.wires.framing import event_frame, sse_event
from tests.contracts.wires.reply import Reply, pieces, plain_json

__all__ = ["bedrock_stream", "stream", "whole"]


def events(reply: Reply) -> list[dict[str, Any]]:
    usage = {"input_tokens": 11, "output_tokens": 1}
    found: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "r1", "model": "m", "content": [], "usage": usage}}
    ]
    index = 0
    if reply.text:
        found.append(_block(index, {"type": "text", "text": ""}))
        found += [_delta(index, {"type": "text_delta", "text": word}) for word in reply.words]
        found.append({"type": "content_block_stop", "index": index})
        index += 1
    for call in reply.calls:
        found.append(_block(index, {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}))
        found += [
            _delta(index, {"type": "input_json_delta", "partial_json": piece})
            for piece in pieces(plain_json(call.args))
        ]
        found.append({"type": "content_block_stop", "index": index})
        index += 1
    reason = {"stop_reason": "tool_use" if reply.calls else "end_turn", "stop_sequence": None}
    found.append({"type": "message_delta", "delta": reason, "usage": {"output_tokens": 7}})
    return [*found, {"type": "message_stop"}]


def stream(reply: Reply) -> bytes:
    return b"".join(sse_event(event, event["type"]) for event in events(reply))


def bedrock_stream(reply: Reply) -> bytes:
    """The same events, each as base64 in a frame of Amazon's."""
    payloads = [base64.b64encode(json.dumps(event).encode()).decode() for event in events(reply)]
    return b"".join(event_frame("chunk", {"bytes": payload}) for payload in payloads)


def whole(reply: Reply) -> bytes:
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
