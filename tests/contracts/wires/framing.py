"""The three ways in which vendors frame the events of a stream, and how to take them apart again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tako.wire.eventstream import EventStreamParser, encode_frame
from tests.contracts.wires.reply import plain_json

__all__ = ["EVENT_STREAM", "LINES", "SSE", "Framing", "sse_event"]


@dataclass(frozen=True)
class Framing:
    """`spoiled(body, number, change)` changes the how manieth JSON event of a body."""

    name: str
    content_type: str
    parts: Callable[[bytes], list[tuple[bytes, Any]]]
    """The body as pairs of what stands before an event and the event; None for what is no JSON object."""
    joined: Callable[[Sequence[tuple[bytes, Any]]], bytes]


def sse_event(payload: dict[str, Any], name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {plain_json(payload)}\n\n".encode()


def _sse_parts(body: bytes) -> list[tuple[bytes, Any]]:
    found: list[tuple[bytes, Any]] = []
    for block in body.split(b"\n\n"):
        head, mark, payload = block.rpartition(b"data: ")
        found.append((head + mark, json.loads(payload)) if payload[:1] == b"{" else (block, None))
    return found


def _sse_joined(parts: Sequence[tuple[bytes, Any]]) -> bytes:
    return b"\n\n".join(head if event is None else head + json.dumps(event).encode() for head, event in parts)


def _line_parts(body: bytes) -> list[tuple[bytes, Any]]:
    return [(b"", json.loads(line)) for line in body.split(b"\n") if line]


def _line_joined(parts: Sequence[tuple[bytes, Any]]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for _, event in parts)


def _frame_parts(body: bytes) -> list[tuple[bytes, Any]]:
    frames = EventStreamParser().feed(body)
    return [(str(frame.headers[":event-type"]).encode(), json.loads(frame.payload)) for frame in frames]


def _frame_joined(parts: Sequence[tuple[bytes, Any]]) -> bytes:
    return b"".join(event_frame(name.decode(), event) for name, event in parts)


def event_frame(name: str, payload: Any) -> bytes:
    """One event as AWS frames it."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return encode_frame(headers, json.dumps(payload).encode())


SSE = Framing("sse", "text/event-stream", _sse_parts, _sse_joined)
LINES = Framing("lines", "application/x-ndjson", _line_parts, _line_joined)
EVENT_STREAM = Framing("event stream", "application/vnd.amazon.eventstream", _frame_parts, _frame_joined)
