"""Amazon's converse."""

from __future__ import annotations

import json
from typing import Any

from tests.contracts.wires.framing import event_frame
from tests.contracts.wires.reply import Reply, arguments_text, pieces

__all__ = ["stream", "whole"]

USAGE = {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}


def whole(reply: Reply) -> bytes:
    content: list[dict[str, Any]] = [{"text": reply.text}] if reply.text else []
    content += [{"toolUse": {"toolUseId": c.id, "name": c.name, "input": c.args}} for c in reply.calls]
    return json.dumps(
        {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": _reason(reply),
            "usage": USAGE,
            "metrics": {"latencyMs": 5},
        }
    ).encode()


def stream(reply: Reply) -> bytes:
    events: list[tuple[str, dict[str, Any]]] = [("messageStart", {"role": "assistant"})]
    index = 0
    if reply.text:
        events += [("contentBlockDelta", _delta(index, {"text": word})) for word in reply.words]
        events.append(("contentBlockStop", {"contentBlockIndex": index}))
        index += 1
    for number, call in enumerate(reply.calls):
        start = {"toolUse": {"toolUseId": call.id, "name": call.name}}
        events.append(("contentBlockStart", {"contentBlockIndex": index, "start": start}))
        events += [
            ("contentBlockDelta", _delta(index, {"toolUse": {"input": piece}}))
            for piece in pieces(arguments_text(call, number))
        ]
        events.append(("contentBlockStop", {"contentBlockIndex": index}))
        index += 1
    events.append(("messageStop", {"stopReason": _reason(reply)}))
    events.append(("metadata", {"usage": USAGE, "metrics": {"latencyMs": 5}}))
    return b"".join(event_frame(name, payload) for name, payload in events)


def _reason(reply: Reply) -> str:
    return "tool_use" if reply.calls else "end_turn"


def _delta(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"contentBlockIndex": index, "delta": delta}
