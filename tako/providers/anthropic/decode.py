"""MessagesDecoder: an answer of the Messages API, whole or as a stream, to ChatChunks.

An answer is a list of blocks. In a stream each is opened, grows by deltas and is closed:

| block                 | while it grows        | when it is closed                                |
|-----------------------|-----------------------|--------------------------------------------------|
| text                  | TextDelta at once     | TextBlock, if it has citations                   |
| thinking              | ThinkingDelta at once | ThinkingBlock with the signature                 |
| tool_use              | gathered              | held until the end, then a ToolCall              |
| redacted_thinking and | gathered              | OpaqueBlock, the block as it came                |
| every other           |                       |                                                  |

| event                        | what becomes of it                                              |
|------------------------------|-----------------------------------------------------------------|
| message_start, message_delta | id, model, reason, counts and what is in DETAILS are kept; a    |
|                              | count that is not repeated stays                                |
| message_stop                 | what is still open is closed; the calls, the ChatEnd            |
| error                        | raised, so ChatError and ChatEnd                                |
| ping and every other         | skipped                                                         |

A whole answer is read as blocks that open and close at once. Text that follows a call goes out at
once, so it comes to stand before the call; other blocks after a call wait with it, and keep their
order. An answer that max_tokens ended in a call is an error, whatever there is of the call, as the
vendor's documentation has it. A citation is kept as it came, because a web search wants it back.
The event's type is in its data, so the `event:` lines are not looked at.

Bedrock sends the same events in another wrapping: see `bedrock`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pydantic_core import from_json, to_json

from tako.errors import ProtocolError, TakoError
from tako.events import ChatChunk, OpaqueBlock, TextBlock, TextDelta, ThinkingBlock, ThinkingDelta
from tako.models import FinishReason, OpaquePart, TextPart, ThinkingPart, Usage
from tako.parts import Citation, Replay
from tako.providers.answer import (
    MAX_BLOCKS,
    AnswerDecoder,
    PendingCall,
    Pieces,
    known_count,
    known_text,
    refused,
)
from tako.providers.anthropic.blocks import VENDOR
from tako.providers.http import parse_json
from tako.wire.sse import SSEParser

__all__ = ["MessagesDecoder", "citation_of", "usage_of"]

REASONS: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "content_filter",
}
DETAILS: Final = ("stop_sequence", "stop_details", "container", "context_management", "diagnostics")
"""What a message says besides the answer, and goes into the details of its end."""

CALL_FIELDS: Final = frozenset(("type", "id", "name", "input"))


class Block:
    """A block that is open: as it was opened, and what has grown since.

    A block that waits was opened after a call: it is held with it, so that they keep their order.
    """

    __slots__ = ("call", "fields", "grown", "kind", "signature", "text", "waits")

    def __init__(self, kind: str, fields: dict[str, Any], *, waits: bool) -> None:
        self.kind = kind
        self.fields = fields
        self.waits = waits
        self.grown: dict[str, Pieces] = {}
        self.text = Pieces()
        self.signature = Pieces()
        self.call: PendingCall | None = None


class CitedText:
    """A block of text that is open and may have citations; they come before it, after it, or within."""

    __slots__ = ("citations", "index", "text")

    def __init__(self, index: Any) -> None:
        self.index = index
        self.text = Pieces()
        self.citations: list[Citation] = []


class MessagesDecoder(AnswerDecoder):
    """One answer of the Messages API. See the tables at the head of this file."""

    __slots__ = ("_blocks", "_cited", "_counts", "_last_call", "_sse")

    vendor = VENDOR
    reasons = REASONS

    def __init__(self) -> None:
        super().__init__()
        self._sse = SSEParser()
        self._blocks: dict[Any, Block] = {}
        self._cited: CitedText | None = None
        self._last_call: PendingCall | None = None
        self._counts: dict[str, Any] = {}

    def decode(self, data: bytes, chunks: list[ChatChunk]) -> None:
        for payload in self._sse.feed_data(data):
            try:
                event = from_json(payload)
            except ValueError:
                event = parse_json(payload, "an event of the stream")
            try:
                delta = event["delta"]
                if delta["type"] == "text_delta" and event["type"] == "content_block_delta":
                    text = delta["text"]
                    if type(text) is str and self._cited is None:
                        if text:
                            chunks.append(TextDelta(text))
                        continue
            except (KeyError, TypeError):
                pass  # not the common case, so `_read` finds out what it is
            if self._read(event, chunks):
                return
        if not data:
            raise self._broken_off("message_stop")

    def take_answer(self, payload: Any, chunks: list[ChatChunk]) -> None:
        self._require_object(payload)
        if payload.get("type") == "error":
            raise refused(payload.get("error"), request_id=known_text(payload.get("request_id")))
        self._start(payload)
        for index, fields in enumerate(payload["content"] or ()):
            self._open(index, fields, chunks)
            self._close(index, chunks)
        self._finish(chunks, self._last_call)

    def _break(self, chunks: list[ChatChunk], error: TakoError) -> None:
        self._close_text(chunks)
        super()._break(chunks, error)

    def _require_object(self, event: Any) -> None:
        if type(event) is not dict:
            raise ProtocolError(f"an object was expected, not {type(event).__name__}", phase="decode")

    def _read(self, event: Any, chunks: list[ChatChunk]) -> bool:
        """Take one event; whether it was the terminal mark."""
        self._require_object(event)
        match event.get("type"):
            case "content_block_delta":
                self._grow(event.get("index"), event["delta"], chunks)
            case "content_block_start":
                self._open(event.get("index"), event["content_block"], chunks)
            case "content_block_stop":
                self._close(event.get("index"), chunks)
            case "message_start":
                self._start(event["message"])
            case "message_delta":
                delta = event.get("delta") or {}
                self._reason = known_text(delta.get("stop_reason")) or self._reason
                self._keep_details(delta)
                self._keep_details(event)
                self._count(event.get("usage"))
            case "error":
                raise refused(event.get("error"), request_id=known_text(event.get("request_id")))
            case "message_stop":
                self._close_text(chunks)
                for index in list(self._blocks):
                    self._close(index, chunks)
                self._finish(chunks, self._last_call)
                return True
        return False

    def _keep_details(self, found: dict[str, Any], names: Iterable[str] = DETAILS) -> None:
        for name in names:
            value = found.get(name)
            if value is not None:
                self._details = {**(self._details or {}), name: value}

    def _start(self, message: dict[str, Any]) -> None:
        """Take the head of a message, or a whole one."""
        self._response_id = known_text(message.get("id"))
        self._model = known_text(message.get("model"))
        self._reason = known_text(message.get("stop_reason"))
        self._keep_details(message)
        self._count(message.get("usage"))

    def _count(self, usage: Any) -> None:
        if type(usage) is dict:
            self._counts.update({name: count for name, count in usage.items() if count is not None})
            self.usage = usage_of(self._counts)

    def _open(self, index: Any, fields: dict[str, Any], chunks: list[ChatChunk]) -> None:
        kind = fields["type"]
        self._close_text(chunks)
        self._close(index, chunks)  # if it is opened twice, it is two blocks
        self._last_call = None
        if kind == "text":
            self._open_text(index, fields, chunks)
            return
        if len(self._blocks) >= MAX_BLOCKS:
            raise ProtocolError(f"more than {MAX_BLOCKS} blocks are open at once", phase="decode")
        block = self._blocks[index] = Block(kind, fields, waits=bool(self._held))
        if kind == "thinking":
            block.text.add(_checked_text(fields.get("thinking") or ""))
            block.signature.add(_checked_text(fields.get("signature") or ""))
        elif kind == "tool_use":
            self._last_call = block.call = _call_of(fields)

    def _open_text(self, index: Any, fields: dict[str, Any], chunks: list[ChatChunk]) -> None:
        if "citations" in fields:
            self._cited = CitedText(index)
            for citation in fields["citations"] or ():
                self._cite(index, citation)
        if fields.get("text"):
            self._say(_checked_text(fields["text"]), chunks)

    def _say(self, text: str, chunks: list[ChatChunk]) -> None:
        if text:
            chunks.append(TextDelta(text))
            if self._cited is not None:
                self._cited.text.add(text)

    def _cite(self, index: Any, citation: Any) -> None:
        """Keep a citation for the text that is open; one that comes unannounced begins it anew."""
        if self._cited is None:
            self._cited = CitedText(index)
        if len(self._cited.citations) >= MAX_BLOCKS:
            raise ProtocolError(f"a block of text has more than {MAX_BLOCKS} citations", phase="decode")
        self._cited.citations.append(citation_of(citation))

    def _close_text(self, chunks: list[ChatChunk]) -> None:
        cited, self._cited = self._cited, None
        if cited is not None and cited.citations and (text := cited.text.join()):
            chunks.append(TextBlock(TextPart(text=text, citations=tuple(cited.citations))))

    def _grow(self, index: Any, delta: dict[str, Any], chunks: list[ChatChunk]) -> None:
        kind = delta.get("type")
        block = self._blocks.get(index)
        if kind == "text_delta":
            self._say(_checked_text(delta["text"]), chunks)
        elif kind == "citations_delta" and block is None:
            self._cite(index, delta["citation"])
        elif kind == "thinking_delta":
            text = _checked_text(delta["thinking"])
            if text and not (block is not None and block.waits):
                chunks.append(ThinkingDelta(text))
            if block is not None:
                block.text.add(text)
        elif block is None:
            if kind == "input_json_delta":
                raise ProtocolError("arguments came for a call that was not begun", phase="decode")
        elif kind == "input_json_delta":
            pieces = block.text if block.call is None else block.call.arguments
            pieces.add(_checked_text(delta["partial_json"]))
        elif kind == "signature_delta":
            block.signature.add(_checked_text(delta["signature"]))
        elif block.kind not in ("thinking", "tool_use"):
            _grow_fields(block, delta)

    def _close(self, index: Any, chunks: list[ChatChunk]) -> None:
        block = self._blocks.pop(index, None)
        if block is None:  # text, or a block that was not begun
            if self._cited is not None and self._cited.index == index:
                self._close_text(chunks)
            return
        if block.call is not None:
            self._hold(block.call)
            return
        chunk = _thinking(block) if block.kind == "thinking" else _opaque(block)
        if chunk is None:
            return
        if block.waits:
            self._hold(chunk)
        else:
            chunks.append(chunk)


def _checked_text(text: Any) -> str:
    if type(text) is not str:
        raise ProtocolError(f"text was expected, not {type(text).__name__}", phase="decode")
    return text


def _call_of(fields: dict[str, Any]) -> PendingCall:
    call = PendingCall()
    # A whole answer that was cut off holds an object all the same: the vendor mends what is broken.
    call.shows_cut = False
    call.id = known_text(fields.get("id")) or ""
    call.name = known_text(fields.get("name")) or ""
    call.extras = {key: value for key, value in fields.items() if key not in CALL_FIELDS}
    if fields.get("input"):
        # All of it in a whole answer; in a stream it is empty, and grows as text.
        call.arguments.add(to_json(fields["input"]).decode())
    return call


def _thinking(block: Block) -> ChatChunk | None:
    text, signature = block.text.join(), block.signature.join()
    if not text and not signature:
        return None
    replay = Replay(vendor=VENDOR, data={"signature": signature}) if signature else None
    return ThinkingBlock(ThinkingPart(text=text, replay=replay))


def _opaque(block: Block) -> ChatChunk | None:
    """The block with what has grown; none if its input was cut off, as it cannot be sent back."""
    fields = {**block.fields, **{name: pieces.join() for name, pieces in block.grown.items()}}
    text = block.text.join()
    if text:
        try:
            fields["input"] = from_json(text)
        except ValueError:
            return None
    return OpaqueBlock(OpaquePart(replay=Replay(vendor=VENDOR, data=fields)))


def _grow_fields(block: Block, delta: dict[str, Any]) -> None:
    """Let a block of an unknown kind grow: text by text, everything else by replacement."""
    for name, value in delta.items():
        if type(value) is not str:
            if value is not None and len(block.fields) < MAX_BLOCKS:
                block.fields[name] = value
        elif name != "type" and len(block.grown) < MAX_BLOCKS:
            if name not in block.grown:
                block.grown[name] = Pieces()
                block.grown[name].add(known_text(block.fields.get(name)) or "")
            block.grown[name].add(value)


def citation_of(found: Any) -> Citation:
    """A citation with what it says in common words; the place in the source is in the vendor's own."""
    if type(found) is not dict:
        raise ProtocolError(f"a citation was expected, not {type(found).__name__}", phase="decode")
    number = found.get("document_index")
    return Citation(
        source=known_text(found.get("url"))
        or known_text(found.get("source"))
        or (str(number) if type(number) is int else None),
        title=known_text(found.get("title")) or known_text(found.get("document_title")),
        text=known_text(found.get("cited_text")),
        replay=Replay(vendor=VENDOR, data=found),
    )


def usage_of(counts: dict[str, Any]) -> Usage:
    """Anthropic's counts. Its input leaves out what was read from and written to the cache."""
    fresh = known_count(counts.get("input_tokens"))
    read = known_count(counts.get("cache_read_input_tokens"))
    written = known_count(counts.get("cache_creation_input_tokens"))
    details = counts.get("output_tokens_details")
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        output_tokens=known_count(counts.get("output_tokens")),
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=known_count(details.get("thinking_tokens")) if type(details) is dict else None,
        raw=dict(counts),
    )
