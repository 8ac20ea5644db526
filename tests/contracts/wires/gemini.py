"""Google's generateContent."""

from __future__ import annotations

import json
from typing import Any

from tests.contracts.wires.framing import sse_event
from tests.contracts.wires.reply import Reply

__all__ = ["stream", "turns", "whole"]

USAGE = {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18}


def whole(reply: Reply) -> bytes:
    parts = [*([{"text": reply.text}] if reply.text else []), *_calls(reply)]
    return json.dumps(_answer(parts, "STOP")).encode()


def stream(reply: Reply) -> bytes:
    parts = [*({"text": word} for word in reply.words), *_calls(reply)]
    events = [_answer([part], None) for part in parts]
    events.append(_answer([{"text": ""}], "STOP"))
    return b"".join(sse_event(event) for event in events)


def _calls(reply: Reply) -> list[dict[str, Any]]:
    return [{"functionCall": {"id": c.id, "name": c.name, "args": c.args}} for c in reply.calls]


def _answer(parts: list[dict[str, Any]], reason: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": "m", "responseId": "r1"}


def turns(body: dict[str, Any]) -> int:
    return sum(content.get("role") == "model" for content in body["contents"])
