"""What the vendors send, rendered once, so that both sides of a comparison get the same bytes.

Shapes and sizes are those of real answers: an OpenAI chunk has some 330 bytes of which four are
news, an Anthropic event 120. Letters outside of ASCII and JSON escapes are among the tokens.
"""

from __future__ import annotations

import json
from typing import Any

from tako.wire.eventstream import encode_frame

__all__ = [
    "ANSWER",
    "anthropic_events",
    "converse_stream",
    "frames",
    "gemini_stream",
    "ollama_stream",
    "openai_answer",
    "openai_events",
    "responses_events",
    "text_of",
]

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


def responses_events(count: int) -> list[str]:
    """The data of each event of a streamed response."""
    place = {
        "item_id": "msg_67c9fdcf37fc8190ba82116e33fb28c501b8b0ad29eb3fc8",
        "output_index": 0,
        "content_index": 0,
    }
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
    item = {
        "id": place["item_id"],
        "type": "message",
        "status": "in_progress",
        "content": [],
        "role": "assistant",
    }
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": _response("in_progress", [], None)},
        {"type": "response.in_progress", "response": _response("in_progress", [], None)},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **place, "part": part},
    ]
    for number in range(count):
        delta = {**place, "delta": TOKENS[number % len(TOKENS)], "logprobs": [], "obfuscation": "Zk3qTx8w"}
        events.append({"type": "response.output_text.delta", **delta})
    part = {**part, "text": text_of(count)}
    item = {**item, "status": "completed", "content": [part]}
    usage = {
        "input_tokens": 19, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 10,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 29,
    }  # fmt: skip
    events += [
        {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": _response("completed", [item], usage)},
    ]
    return [_json({**event, "sequence_number": number}) for number, event in enumerate(events)]


def _response(status: str, output: list[dict[str, Any]], usage: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "id": "resp_67c9fdcecf488190bdd9a0409de3a1ec07b8b0ad4e5eb654", "object": "response",
        "created_at": 1741290958, "status": status, "error": None, "incomplete_details": None,
        "instructions": None, "max_output_tokens": None, "model": MODEL, "output": output,
        "parallel_tool_calls": True, "previous_response_id": None, "reasoning": {"effort": None},
        "store": True, "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto",
        "tools": [], "top_p": 1.0, "truncation": "disabled", "usage": usage, "metadata": {},
    }  # fmt: skip


def gemini_stream(count: int) -> list[bytes]:
    """Each event of a streamed generateContent as it is framed."""
    events = []
    for number in range(count):
        candidate: dict[str, Any] = {
            "content": {"parts": [{"text": TOKENS[number % len(TOKENS)]}], "role": "model"}, "index": 0,
        }  # fmt: skip
        if number == count - 1:
            candidate["finishReason"] = "STOP"
        usage = {
            "promptTokenCount": 19, "candidatesTokenCount": number, "totalTokenCount": 19 + number,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 19}],
        }  # fmt: skip
        event = {
            "candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash",
            "responseId": "q8JlaMTnA6-8qsMPxpLyuQ4",
        }  # fmt: skip
        events.append(f"data: {_json(event)}\r\n\r\n".encode())
    return events


def converse_stream(count: int) -> list[bytes]:
    """Each event of a ConverseStream as it is framed."""
    events: list[tuple[str, dict[str, Any]]] = [("messageStart", {"role": "assistant"})]
    for number in range(count):
        delta = {"contentBlockIndex": 0, "delta": {"text": TOKENS[number % len(TOKENS)]}}
        events.append(("contentBlockDelta", delta))
    events.append(("contentBlockStop", {"contentBlockIndex": 0}))
    events.append(("messageStop", {"stopReason": "end_turn"}))
    usage = {"inputTokens": 19, "outputTokens": 10, "totalTokens": 29}
    events.append(("metadata", {"usage": usage, "metrics": {"latencyMs": 711}}))
    framed = []
    for name, payload in events:
        headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
        framed.append(encode_frame(headers, _json({**payload, "p": "abcdefghijklm"}).encode()))
    return framed


def ollama_stream(count: int) -> list[bytes]:
    """Each line of a streamed chat."""
    head = {"model": "llama3.2", "created_at": "2026-01-01T10:00:00.123456Z"}
    lines: list[dict[str, Any]] = []
    for number in range(count):
        message = {"role": "assistant", "content": TOKENS[number % len(TOKENS)]}
        lines.append({**head, "message": message, "done": False})
    end = {"role": "assistant", "content": ""}
    counts = {"total_duration": 5, "load_duration": 1, "prompt_eval_count": 19, "eval_count": 10}
    lines.append({**head, "message": end, "done": True, "done_reason": "stop", **counts})
    return [_json(line).encode() + b"\n" for line in lines]


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
