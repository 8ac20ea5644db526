"""Ollama's chat."""

from __future__ import annotations

import json
from typing import Any

from tests.contracts.wires.reply import Reply

__all__ = ["stream", "whole"]

COUNTS = {"prompt_eval_count": 11, "eval_count": 7, "total_duration": 5}


def whole(reply: Reply) -> bytes:
    message = {"role": "assistant", "content": reply.text, "tool_calls": _calls(reply)}
    return json.dumps({**_envelope(message), "done": True, "done_reason": "stop", **COUNTS}).encode()


def stream(reply: Reply) -> bytes:
    messages: list[dict[str, Any]] = [{"content": word} for word in reply.words]
    messages += [{"content": "", "tool_calls": [call]} for call in _calls(reply)]
    lines = [{**_envelope({"role": "assistant", **message}), "done": False} for message in messages]
    end = _envelope({"role": "assistant", "content": ""})
    lines.append({**end, "done": True, "done_reason": "stop", **COUNTS})
    return b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines)


def _calls(reply: Reply) -> list[dict[str, Any]]:
    return [{"function": {"name": call.name, "arguments": call.args}} for call in reply.calls]


def _envelope(message: dict[str, Any]) -> dict[str, Any]:
    return {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": message}
