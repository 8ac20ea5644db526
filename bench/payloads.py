"""What two vendors send, rendered once, so that both sides of a comparison get the same bytes.

Shapes and sizes are those of real answers: an OpenAI chunk has some 330 bytes of which four are
news, an Anthropic event 120. Letters outside of ASCII and JSON escapes are among the tokens.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["ANSWER", "anthropic_events", "frames", "openai_answer", "openai_events", "text_of"]

ANSWER = "Paris is the capital of France, and has been for a while."

TOKENS = (
    "The", " quick", " brown", " fox", " jumps", " over", " the", " lazy", " dog", ".", "\n\n", "```", "def",
    " main", "():", "\n   ", ' "', "na\u00efve", '"', " \u2014", " caf\u00e9", " tokens", ",", " \U0001f419",
)  # fmt: skip

MODEL = "gpt-4o-mini-2024-07-18"
USAGE = {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29}


def text_of(count: int) -> str:
    """The text of an answer of that many tokens."""
    return "".join(TOKENS[number % len(TOKENS)] for number in range(count))


def openai_events(count: int) -> list[str]:
    """The data of each event of a streamed chat completion, the mark at its end included."""
    pieces: list[dict[str, Any]] = [{"role": "assistant", "content": "", "refusal": None}]
    pieces += [{"content": TOKENS[number % len(TOKENS)]} for number in range(count)]
    events = [_chunk([_choice(delta, None)], None) for delta in pieces]
    return [*events, _chunk([_choice({}, "stop")], None), _chunk([], USAGE), "[DONE]"]


def anthropic_events(count: int) -> list[str]:
    """The data of each event of a streamed message."""
    message: dict[str, Any] = {
        "id": "msg_01XFDUDYJgAACzvnptvVoYEL", "type": "message", "role": "assistant", "content": [],
        "model": "claude-sonnet-4-20250514", "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": 25, "cache_read_input_tokens": 0, "output_tokens": 1},
    }  # fmt: skip
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
    ]
    for number in range(count):
        delta = {"type": "text_delta", "text": TOKENS[number % len(TOKENS)]}
        events.append({"type": "content_block_delta", "index": 0, "delta": delta})
    events.append({"type": "content_block_stop", "index": 0})
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    events.append({"type": "message_delta", "delta": end, "usage": {"output_tokens": 15}})
    events.append({"type": "message_stop"})
    return [_json(event) for event in events]


def frames(events: list[str]) -> list[bytes]:
    """Each event as a vendor frames it: Anthropic names the type of the event in a line of its own."""
    framed = []
    for data in events:
        kind = json.loads(data).get("type") if data.startswith('{"type"') else None
        line = "" if kind is None else f"event: {kind}\n"
        framed.append(f"{line}data: {data}\n\n".encode())
    return framed


def openai_answer() -> bytes:
    """A whole chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": ANSWER, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _json({**_envelope("chat.completion"), "choices": [choice], "usage": USAGE}).encode()


def _chunk(choices: list[dict[str, Any]], usage: dict[str, int] | None) -> str:
    fields = {**_envelope("chat.completion.chunk"), "choices": choices, "usage": usage}
    return _json({**fields, "obfuscation": "Zk3qTx8w"})


def _choice(delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}


def _envelope(kind: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "object": kind, "created": 1741569952,
        "model": MODEL, "service_tier": "default", "system_fingerprint": "fp_b376dfbbd5",
    }  # fmt: skip


def _json(value: object) -> str:
    # As vendors write it: compact, and with letters as they are.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
