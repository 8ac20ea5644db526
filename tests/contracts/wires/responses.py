"""OpenAI's responses."""

from __future__ import annotations

import json
from typing import Any

from tests.contracts.wires.framing import sse_event
from tests.contracts.wires.reply import Reply, arguments_text, pieces

__all__ = ["stream", "turns", "whole"]


def items(reply: Reply) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if reply.text:
        part = {"type": "output_text", "text": reply.text, "annotations": []}
        message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
        found.append({**message, "content": [part]})
    for index, call in enumerate(reply.calls):
        found.append(
            {
                "type": "function_call",
                "id": f"fc_{index}",
                "call_id": call.id,
                "name": call.name,
                "arguments": arguments_text(call, index),
                "status": "completed",
            }
        )
    return found


def response(reply: Reply) -> dict[str, Any]:
    usage = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
    fields = {"id": "r1", "object": "response", "model": "m", "error": None, "incomplete_details": None}
    return {**fields, "status": "completed", "output": items(reply), "usage": usage}


def whole(reply: Reply) -> bytes:
    return json.dumps(response(reply)).encode()


def stream(reply: Reply) -> bytes:
    begun = {**response(reply), "status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(items(reply)):
        events += _message(index, item, reply.words) if item["type"] == "message" else _call(index, item)
    events.append({"type": "response.completed", "response": response(reply)})
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    return b"".join(sse_event(event, event["type"]) for event in numbered)


def _message(index: int, item: dict[str, Any], words: list[str]) -> list[dict[str, Any]]:
    place = {"item_id": item["id"], "output_index": index, "content_index": 0}
    text = item["content"][0]["text"]
    empty = {**item["content"][0], "text": ""}
    events: list[dict[str, Any]] = [
        _item("added", index, {**item, "content": [], "status": "in_progress"}),
        {"type": "response.content_part.added", **place, "part": empty},
    ]
    events += [{"type": "response.output_text.delta", **place, "delta": word} for word in words]
    events.append({"type": "response.output_text.done", **place, "text": text})
    events.append({"type": "response.content_part.done", **place, "part": item["content"][0]})
    return [*events, _item("done", index, item)]


def _call(index: int, item: dict[str, Any]) -> list[dict[str, Any]]:
    place = {"item_id": item["id"], "output_index": index}
    kind = "response.function_call_arguments"
    events = [_item("added", index, {**item, "arguments": "", "status": "in_progress"})]
    events += [{"type": f"{kind}.delta", **place, "delta": piece} for piece in pieces(item["arguments"])]
    events.append({"type": f"{kind}.done", **place, "arguments": item["arguments"]})
    return [*events, _item("done", index, item)]


def _item(what: str, index: int, item: dict[str, Any]) -> dict[str, Any]:
    return {"type": f"response.output_item.{what}", "output_index": index, "item": item}


def turns(body: dict[str, Any]) -> int:
    """How many answers are in the conversation: runs of items that a model wrote."""
    count, within = 0, False
    for item in body["input"]:
        ours = item.get("type") in ("function_call", "reasoning") or item.get("role") == "assistant"
        count += ours and not within
        within = ours
    return count
