"""ConverseDecoder: an answer of the Converse API, whole or as a stream, to ChatChunks.

An answer is a list of blocks, each an object with one key that says what it is. In a stream they
grow by deltas, which are told apart by `contentBlockIndex`; only some are opened by a start:

| block                    | while it grows        | when it is closed                               |
|--------------------------|-----------------------|-------------------------------------------------|
| text, citationsContent   | TextDelta at once     | TextBlock, if there were citations              |
| reasoningContent         | ThinkingDelta at once | ThinkingBlock with the signature;               |
|                          |                       | OpaqueBlock for what was redacted               |
| toolUse                  | gathered              | held until the end, then a ToolCall             |
| toolUse of a tool that   | gathered              | OpaqueBlock                                     |
| AWS runs, toolResult     |                       |                                                 |
| image                    | gathered              | MediaBlock; OpaqueBlock, if it is no such image |
| every other              | gathered              | OpaqueBlock, the block as it came               |

| message                  | what becomes of it                                                       |
|--------------------------|--------------------------------------------------------------------------|
| contentBlock...          | as above                                                                 |
| messageStop              | the reason is kept                                                       |
| metadata                 | the counts; all else goes to `details`                                   |
| exception, error         | raised with the status it would have had, so ChatError and ChatEnd       |
| messageStart, unknown    | skipped                                                                  |

The terminal mark is the second of messageStop and metadata, which AWS always sends both, in this
order: what is still open is closed then. An input that ends between them broke off as well: its text
is whole, but the counts that budgets live on are lost, and so may be what a guardrail said of it. So
it is an error, whose partial response is the text with the raw reason.

| stopReason                                   | ours                                                 |
|----------------------------------------------|------------------------------------------------------|
| end_turn, stop_sequence                      | stop                                                 |
| tool_use                                     | tool_calls                                           |
| max_tokens, model_context_window_exceeded    | length                                               |
| content_filtered, guardrail_intervened       | content_filter                                       |
| malformed_model_output, malformed_tool_use   | an error: the model's words could not be read        |
| any other                                    | other                                                |

Counts: AWS leaves what was read from and written to the cache out of inputTokens; here it is in it.
Text that follows a call goes out at once, so it comes to stand before the call; other blocks after a
call wait with it. An answer that max_tokens ended in a call is an error, whatever there is of it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json, to_json

from tako.errors import InvalidInput, ProtocolError, ProviderError
from tako.events import ChatChunk, MediaBlock, OpaqueBlock, TextBlock, TextDelta, ThinkingBlock, ThinkingDelta
from tako.models import Citation, FinishReason, ImagePart, OpaquePart, Replay, TextPart, ThinkingPart, Usage
from tako.providers.answer import MAX_BLOCKS, AnswerDecoder, PendingCall, Pieces, known_count, known_text
from tako.providers.aws_errors import exception_in
from tako.providers.bedrock.blocks import IMAGES, VENDOR
from tako.providers.http import parse_json
from tako.wire.eventstream import EventStreamParser, Frame

__all__ = ["ConverseDecoder", "usage_of"]

REASONS: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}

MIME_OF: Final = {format: mime for mime, format in IMAGES.items()}
KINDS: Final = frozenset(("text", "reasoningContent", "toolUse", "citationsContent", "toolResult", "image"))
CALL_FIELDS: Final = frozenset(("toolUseId", "name", "input", "type"))
PADDING: Final = "p"
"""A field of random length in each event of a stream, which hides how long the event is."""
MAX_ITEMS: Final = 64 * 1024
"""Elements of one block, such as the pieces of what a tool of AWS printed."""


class Block:
    """A block that is open: its kind, as it was opened, and what has grown since.

    A block that waits was opened after a call: it is held with it, so that they keep their order.
    """

    __slots__ = ("bytes", "call", "fields", "grown", "items", "kind", "signature", "text", "waits")

    def __init__(self, kind: str, fields: dict[str, Any], *, waits: bool) -> None:
        self.kind = kind
        self.fields = fields
        self.waits = waits
        self.grown: dict[str, Pieces] = {}
        """Text in the fields of a block of an unknown kind."""
        self.text = Pieces()
        self.signature = Pieces()
        self.bytes = Pieces()
        """Each character is a byte: base64 that comes in pieces is padded in each of them."""
        self.items: list[Any] = []
        """Citations, or what a tool of AWS gave."""
        self.call: PendingCall | None = None

    def add_items(self, items: list[Any]) -> None:
        if len(self.items) + len(items) > MAX_ITEMS:
            raise ProtocolError(f"a block has more than {MAX_ITEMS} elements", phase="decode")
        self.items += items

    def add_bytes(self, text: Any) -> None:
        self.bytes.add(base64.b64decode(_checked_text(text), validate=True).decode("latin-1"))

    def base64(self) -> str:
        return base64.b64encode(self.bytes.join().encode("latin-1")).decode()

    def grow(self, delta: dict[str, Any]) -> None:
        """Grow a block of an unknown kind: text by text, everything else by replacement."""
        if len(self.fields) + len(delta) > MAX_BLOCKS:
            raise ProtocolError(f"a block has more than {MAX_BLOCKS} fields", phase="decode")
        for name, value in delta.items():
            if type(value) is not str:
                self.fields[name] = value
                continue
            if name not in self.grown:
                self.grown[name] = Pieces()
                self.grown[name].add(known_text(self.fields.get(name)) or "")
            self.grown[name].add(value)
            self.fields[name] = ""


class ConverseDecoder(AnswerDecoder):
    """One answer of the Converse API. See the tables at the head of this file."""

    __slots__ = ("_blocks", "_frames", "_is_counted", "_is_stopped", "_last_call")

    vendor = VENDOR
    reasons = REASONS

    def __init__(self) -> None:
        super().__init__()
        self._frames = EventStreamParser()
        self._blocks: dict[Any, Block] = {}
        self._last_call: PendingCall | None = None
        self._is_stopped = False
        self._is_counted = False

    def decode(self, data: bytes, chunks: list[ChatChunk]) -> None:
        if not data:
            raise self._broken_off("metadata" if self._is_stopped else "messageStop")
        for frame in self._frames.feed(data):
            if self._read(frame, chunks):
                return

    def take_answer(self, payload: Any, chunks: list[ChatChunk]) -> None:
        message = payload["output"]["message"]
        self._reason = known_text(payload.get("stopReason"))
        self._count(payload.get("usage"))
        self._keep(payload, ("output", "stopReason", "usage"))
        for index, block in enumerate(message.get("content") or ()):
            self._take_block(index, block, chunks)
        self._end(chunks)

    def _read(self, frame: Frame, chunks: list[ChatChunk]) -> bool:
        """Take one message of a stream; whether it was the last."""
        headers = frame.headers
        if headers.get(":message-type", "event") != "event":
            raise exception_in(frame)
        kind = headers.get(":event-type")
        if kind not in EVENTS:
            return False
        try:
            event = from_json(frame.payload)
        except ValueError:
            event = parse_json(frame.payload, "an event of the stream")
        if kind == "contentBlockDelta":
            self._grow(event["contentBlockIndex"], event["delta"], chunks)
        elif kind == "contentBlockStart":
            self._close(event["contentBlockIndex"], chunks)  # if it is opened twice, it is two blocks
            for name, fields in list(event["start"].items())[:1]:
                self._open(event["contentBlockIndex"], name, fields)
        elif kind == "contentBlockStop":
            self._close(event["contentBlockIndex"], chunks)
        elif kind == "messageStop" and not self._is_stopped:
            self._reason = known_text(event.get("stopReason"))
            self._keep(event, ("stopReason", PADDING))
            self._is_stopped = True
        elif kind == "metadata":
            self._count(event.get("usage"))
            self._keep(event, ("usage", PADDING))
            self._is_counted = True
        if not (self._is_stopped and self._is_counted):
            return False
        self._end(chunks)
        return True

    def _end(self, chunks: list[ChatChunk]) -> None:
        for index in list(self._blocks):
            self._close(index, chunks)
        if self.reasons.get(self._reason or "") == "error":
            raise ProviderError(
                f"the model's answer could not be read by AWS ({self._reason}); another try may help",
                code=self._reason,
                phase="decode",
            )
        self._finish(chunks, self._last_call)

    def _keep(self, fields: Mapping[str, Any], known: tuple[str, ...]) -> None:
        """Keep what else the vendor says: metrics, traces of guardrails, tiers."""
        others = {name: value for name, value in fields.items() if name not in known and value is not None}
        if others:
            self._details = {**(self._details or {}), **others}

    def _count(self, usage: Any) -> None:
        if type(usage) is dict:
            self.usage = usage_of(usage)

    def _take_block(self, index: int, block: dict[str, Any], chunks: list[ChatChunk]) -> None:
        """Take a block of a whole answer as the start and the deltas that it would have been."""
        kind = next((name for name in block if name in KINDS), None) or next(iter(block), None)
        if kind is None:
            return
        value = block[kind]
        match kind:
            case "text":
                self._grow(index, block, chunks)
            case "reasoningContent":
                # The whole block has one level more than its deltas.
                fields = {**value, **(value.get("reasoningText") or {})}
                self._grow(index, {kind: fields}, chunks)
            case "citationsContent":
                for citation in value.get("citations") or ():
                    self._grow(index, {"citation": citation}, chunks)
                for piece in value.get("content") or ():
                    self._grow(index, piece, chunks)
            case _:
                self._open(index, kind, value)
        self._close(index, chunks)

    def _open(self, index: Any, kind: str, fields: Any) -> Block:
        if len(self._blocks) >= MAX_BLOCKS:
            raise ProtocolError(f"more than {MAX_BLOCKS} blocks are open at once", phase="decode")
        self._last_call = None
        block = self._blocks[index] = Block(kind, fields, waits=bool(self._held))
        if kind == "toolUse" and fields.get("type") != "server_tool_use":
            self._last_call = block.call = _call_of(fields)
        return block

    def _grow(self, index: Any, delta: dict[str, Any], chunks: list[ChatChunk]) -> None:
        block = self._blocks.get(index)
        if "text" in delta:
            text = _checked_text(delta["text"])
            (block or self._open(index, "text", {})).text.add(text)
            if text:
                chunks.append(TextDelta(text))
        elif "citation" in delta:
            (block or self._open(index, "text", {})).add_items([delta["citation"]])
        elif "reasoningContent" in delta:
            block = block or self._open(index, "reasoningContent", {})
            self._think(block, delta["reasoningContent"], chunks)
        elif "toolUse" in delta:
            if block is None or block.kind != "toolUse":
                raise ProtocolError("arguments came for a call that was not begun", phase="decode")
            pieces = block.text if block.call is None else block.call.arguments
            pieces.add(_checked_text(delta["toolUse"]["input"]))
        else:
            for kind, value in delta.items():
                _grow_other(block or self._open(index, kind, {}), value)

    def _think(self, block: Block, delta: dict[str, Any], chunks: list[ChatChunk]) -> None:
        if "text" in delta:
            text = _checked_text(delta["text"])
            block.text.add(text)
            if text and not block.waits:
                chunks.append(ThinkingDelta(text))
        if "signature" in delta:
            block.signature.add(_checked_text(delta["signature"]))
        if "redactedContent" in delta:
            block.add_bytes(delta["redactedContent"])

    def _close(self, index: Any, chunks: list[ChatChunk]) -> None:
        block = self._blocks.pop(index, None)
        if block is None:
            return
        if block.call is not None:
            self._hold(block.call)
            return
        for chunk in _closed(block):
            # A text's deltas went out at once, so the block that repeats them has to follow them.
            if block.waits and block.kind != "text":
                self._hold(chunk)
            else:
                chunks.append(chunk)


EVENTS: Final = frozenset(
    ("contentBlockDelta", "contentBlockStart", "contentBlockStop", "messageStop", "metadata")
)


def _checked_text(text: Any) -> str:
    if type(text) is not str:
        raise ProtocolError(f"text was expected, not {type(text).__name__}", phase="decode")
    return text


def _call_of(fields: dict[str, Any]) -> PendingCall:
    call = PendingCall()
    # A whole answer that was cut off holds an object all the same: what is broken was mended.
    call.shows_cut = False
    call.id = known_text(fields.get("toolUseId")) or ""
    call.name = known_text(fields.get("name")) or ""
    call.extras = {key: value for key, value in fields.items() if key not in CALL_FIELDS}
    if "input" in fields:
        # All of it in a whole answer; in a stream it grows as text.
        call.arguments.add(to_json(fields["input"]).decode())
    return call


def _grow_other(block: Block, value: Any) -> None:
    if type(value) is list:
        block.add_items(value)
    elif block.kind == "image" and "bytes" in (value.get("source") or ()):
        block.add_bytes(value["source"]["bytes"])
    else:
        block.grow(value)


def _closed(block: Block) -> list[ChatChunk]:
    """What a block becomes that is no call."""
    match block.kind:
        case "text":
            return [_cited(block)] if block.items else []
        case "reasoningContent":
            return _thoughts(block)
        case "image":
            return [_image(block)]
        case "toolUse":
            return _server_call(block)
    fields = block.fields
    if block.grown:
        fields = {**fields, **{name: pieces.join() for name, pieces in block.grown.items()}}
    if block.items:
        fields = {**fields, "content": [*(fields.get("content") or ()), *block.items]}
    return [_opaque({block.kind: fields})]


def _server_call(block: Block) -> list[ChatChunk]:
    """A call that AWS answers itself; none if it was cut off, as it cannot be sent back."""
    text = block.text.join()
    try:
        given = from_json(text) if text else block.fields.get("input", {})
    except ValueError:
        return []
    return [_opaque({"toolUse": {**block.fields, "input": given}})]


def _opaque(block: dict[str, Any]) -> OpaqueBlock:
    return OpaqueBlock(OpaquePart(replay=Replay(vendor=VENDOR, data=block)))


def _cited(block: Block) -> ChatChunk:
    text = block.text.join()
    data = {"citationsContent": {"content": [{"text": text}], "citations": block.items}}
    citations = tuple([_citation(citation) for citation in block.items])
    return TextBlock(TextPart(text=text, citations=citations, replay=Replay(vendor=VENDOR, data=data)))


def _citation(citation: dict[str, Any]) -> Citation:
    source = known_text(citation.get("source"))
    for place in (citation.get("location") or {}).values():
        source = known_text(place.get("url")) or source
        index = next((value for name, value in place.items() if name.endswith("Index")), None)
        if source is None and index is not None:
            source = str(index)
    pieces = [known_text(piece.get("text")) or "" for piece in citation.get("sourceContent") or ()]
    return Citation(
        source=source,
        title=known_text(citation.get("title")),
        text="".join(pieces) or None,
        replay=Replay(vendor=VENDOR, data=citation),
    )


def _thoughts(block: Block) -> list[ChatChunk]:
    found: list[ChatChunk] = []
    text, signature = block.text.join(), block.signature.join()
    if text or signature:
        replay = Replay(vendor=VENDOR, data={"signature": signature}) if signature else None
        found.append(ThinkingBlock(ThinkingPart(text=text, replay=replay)))
    if data := block.base64():
        found.append(_opaque({"reasoningContent": {"redactedContent": data}}))
    return found


def _image(block: Block) -> ChatChunk:
    """The picture; what AWS could not make, or keeps elsewhere, is kept as it came."""
    fields = block.fields
    data = block.base64() or known_text((fields.get("source") or {}).get("bytes"))
    mime = MIME_OF.get(fields.get("format") or "")
    if mime is None or data is None:
        return _opaque({"image": fields})
    try:
        return MediaBlock(ImagePart(mime=mime, data_b64=data))
    except InvalidInput:
        raise ProtocolError("the answer holds an image that is no base64", phase="decode") from None


def usage_of(counts: dict[str, Any]) -> Usage:
    """AWS's counts. Its input leaves out what was read from and written to the cache."""
    fresh = known_count(counts.get("inputTokens"))
    read = known_count(counts.get("cacheReadInputTokens"))
    written = known_count(counts.get("cacheWriteInputTokens"))
    return Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        output_tokens=known_count(counts.get("outputTokens")),
        cache_read_tokens=read,
        cache_write_tokens=written,
        raw=counts,
    )
