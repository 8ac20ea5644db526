"""ResponsesDecoder: an answer of the responses API, whole or as a stream, to ChatChunks.

An answer is a list of items. In a stream each is added, grows by deltas and is done:

| item                  | while it grows                  | when it is done                              |
|-----------------------|---------------------------------|----------------------------------------------|
| message               | TextDelta at once, for a text   | TextBlock for each text with its citations   |
|                       | as for a refusal                | and the id, the phase, ... of the message    |
| reasoning             | ThinkingDelta at once           | ThinkingBlock with the item                  |
| function_call,        | gathered                        | held until the end, then a ToolCall          |
| custom_tool_call      |                                 |                                              |
| every other           | nothing                         | OpaqueBlock, the item as it came             |

| event                                  | what becomes of it                                       |
|----------------------------------------|----------------------------------------------------------|
| response.completed, .incomplete        | items that the stream left out; the calls, the ChatEnd   |
| response.failed, .cancelled, error     | raised, so ChatError and ChatEnd                         |
| response.output_item.*, content_part.* | see above                                                |
| ....delta                              | by the kind of the item that it belongs to               |
| created, in_progress, every other      | id and model are kept; the rest is skipped               |

A whole answer is read as items that are added and done at once. What follows a call waits with it,
text too: the order of items matters to this API, which takes a thought only before what it led to.
The event's type is in its data, so the `event:` lines are not looked at.

The raw finish reason is the `status`; what left an answer incomplete is in the details.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic_core import from_json

from tako.errors import ProtocolError, TakoError
from tako.events import (
    ChatChunk,
    ChatEnd,
    Logprobs,
    OpaqueBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
)
from tako.models import FinishReason, OpaquePart, Replay
from tako.providers.answer import (
    MAX_BLOCKS,
    MAX_TEXT,
    AnswerDecoder,
    PendingCall,
    known_text,
    refused,
)
from tako.providers.base import MANY
from tako.providers.chat_completions.facts import logprobs_of
from tako.providers.http import parse_json
from tako.providers.responses.dialect import Dialect
from tako.providers.responses.facts import facts_of, usage_of
from tako.providers.responses.growing import Item, Text, checked_text, fill_call, unfinished
from tako.providers.responses.items import CUSTOM_CALL
from tako.wire.sse import SSEParser

__all__ = ["ResponsesDecoder"]

REASONS: Final[dict[str, FinishReason]] = {
    "completed": "stop",
    "complete": "stop",  # as some servers write it
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}
"""By what left the answer incomplete, or by its status."""

TEXT_DELTA: Final = "response.output_text.delta"
TEXT_OF: Final = {"output_text": "text", "refusal": "refusal"}


class ResponsesDecoder(AnswerDecoder):
    """One answer of the responses API. See the tables at the head of this file."""

    __slots__ = ("_done", "_items", "_last_call", "_pieces", "_place", "_sse", "_text", "_waits", "vendor")

    reasons = REASONS

    def __init__(self, dialect: Dialect) -> None:
        super().__init__()
        self.vendor = dialect.vendor
        self._sse = SSEParser()
        self._items: dict[Any, Item] = {}
        self._done: set[Any] = set()
        self._last_call: PendingCall | None = None
        # The text that is open, and its place: output_index and content_index.
        self._text: Text | None = None
        self._place: tuple[Any, Any] = (None, None)
        self._pieces: list[str] = []
        self._waits = False

    def decode(self, data: bytes, chunks: list[ChatChunk]) -> None:
        for payload in self._sse.feed_data(data):
            try:
                event = from_json(payload)
            except ValueError:
                event = parse_json(payload, "an event of the stream")
            try:
                if event["type"] == TEXT_DELTA and not self._waits and not event.get("logprobs"):
                    text = event["delta"]
                    if (event["output_index"], event["content_index"]) == self._place and type(text) is str:
                        if text:
                            self._pieces.append(text)
                            chunks.append(TextDelta(text))
                        continue
            except (KeyError, TypeError):
                pass  # not the common case, so `_read` finds out what it is
            if self._read(event, chunks):
                return
        if not data:
            raise self._broken_off("response.completed")
        if len(self._pieces) > MANY:
            self._join_pieces()

    def take_answer(self, payload: Any, chunks: list[ChatChunk]) -> None:
        if type(payload) is dict and payload.get("error") and not payload.get("status"):
            raise refused(payload["error"])
        self._end(payload, chunks)

    def _break(self, chunks: list[ChatChunk], error: TakoError) -> None:
        text, self._text = self._text, None
        if self._waits and text is not None:
            self._held.append(TextDelta("".join(text.pieces)))
        super()._break(chunks, error)

    def _read(self, event: Any, chunks: list[ChatChunk]) -> bool:
        """Take one event; whether it was the terminal mark."""
        _require_object(event)
        kind = event.get("type")
        match kind:
            case "response.output_text.delta" | "response.refusal.delta":
                self._text_delta(event, chunks)
            case "response.output_item.added":
                self._add(_index_of(event), event["item"], chunks)
            case "response.output_item.done":
                self._finish_item(_index_of(event), event["item"], chunks)
            case "response.content_part.added":
                self._add_part(event, chunks)
            case "response.content_part.done":
                self._take_part(event)
            case "response.output_text.annotation.added":
                self._annotate(event)
            case "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled":
                self._end(event["response"], chunks)
                return True
            case "error" | None if kind or event.get("error"):
                raise refused(event.get("error") or event)
            case str() if kind.endswith(".delta"):
                self._grow(kind, event, chunks)
            case "response.created" | "response.in_progress" | "response.queued":
                self._take_head(event["response"])
        return False

    def _take_head(self, response: dict[str, Any]) -> None:
        self._response_id = known_text(response.get("id")) or self._response_id
        self._model = known_text(response.get("model")) or self._model
        usage = response.get("usage")
        if type(usage) is dict:
            self.usage = usage_of(usage)

    # Items.

    def _add(self, index: Any, fields: dict[str, Any], chunks: list[ChatChunk]) -> Item:
        self._finish_text({}, chunks)
        for place, other in list(self._items.items()):
            if other.grown is not None and other.fields.get("type") == "reasoning":
                # Some servers say that it is done when all else is; but it came first.
                self._finish_item(place, unfinished(other.fields), chunks)
        if len(self._done) + len(self._items) >= 2 * MAX_BLOCKS:
            raise ProtocolError(f"the answer has more than {MAX_BLOCKS} items", phase="decode")
        item = self._items[index] = Item(fields, waits=bool(self._held))
        if fields.get("type") in ("function_call", CUSTOM_CALL):
            # Its place among the blocks is where it began; what it says comes later.
            item.call = PendingCall()
            self._hold(item.call)
        return item

    def _grow(self, kind: str, event: dict[str, Any], chunks: list[ChatChunk]) -> None:
        """Take a piece of reasoning or of arguments; those of the vendor's own tools are skipped."""
        item = self._items.get(_index_of(event))
        if kind.startswith(("response.reasoning_summary_text.", "response.reasoning_text.")):
            text = checked_text(event["delta"])
            if text and not (item is not None and item.waits):
                chunks.append(ThinkingDelta(text))
            if item is not None:
                item.grow(text)
                item.field = "content" if kind.startswith("response.reasoning_text.") else "summary"
        elif kind in ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta"):
            if item is None:
                raise ProtocolError("arguments came for a call that was not begun", phase="decode")
            item.grow(checked_text(event["delta"]))

    def _finish_item(self, index: Any, fields: dict[str, Any], chunks: list[ChatChunk]) -> None:
        """Take an item that is done, whether or not it was added before."""
        if index is not None and index in self._done:
            return
        item = self._items.get(index) or self._add(index, fields, chunks)
        kind = fields["type"]
        self._last_call = None
        if kind == "message":
            self._finish_message(index, item, fields, chunks)
        elif item.call is not None:
            fill_call(item.call, item.whole(), {**item.fields, **fields})
            if fields.get("status") != "completed":
                self._last_call = item.call
        else:
            block: ThinkingBlock | OpaqueBlock | None
            if kind == "reasoning":
                block = item.thinking(fields, self.vendor)
            else:
                block = OpaqueBlock(OpaquePart(replay=Replay(vendor=self.vendor, data=fields)))
            if block is not None:
                self._put(block, chunks, waits=item.waits)
        self._items.pop(index, None)
        self._done |= {index, known_text(fields.get("id")) or index}

    def _put(self, chunk: ChatChunk, chunks: list[ChatChunk], *, waits: bool) -> None:
        if waits:
            self._hold(chunk)
        else:
            chunks.append(chunk)

    # Texts.

    def _finish_message(
        self, index: Any, item: Item, fields: dict[str, Any], chunks: list[ChatChunk]
    ) -> None:
        """Take the parts of a message that is done; those that came before are not taken twice."""
        item.fields = {**item.fields, **fields}
        parts = fields.get("content") or ()
        if index == self._place[0] and self._text is not None:
            self._finish_text(dict(enumerate(parts)).get(self._place[1]) or {}, chunks)
        for place, part in enumerate(parts):
            if place not in item.parts and part.get("type") in TEXT_OF:
                self._open_text(index, place, chunks)
                self._finish_text(part, chunks)

    def _text_delta(self, event: dict[str, Any], chunks: list[ChatChunk]) -> None:
        text = checked_text(event["delta"])
        index, place = _index_of(event), event.get("content_index")
        found = self._text
        if found is None or (index, place) != self._place:
            found = self._open_text(index, place, chunks)
        if event["type"] != TEXT_DELTA:
            found.kind = "refusal"
        tokens = logprobs_of({"content": event.get("logprobs")})
        if tokens:
            found.has_logprobs = True
            chunks.append(Logprobs(tokens))
        if text:
            found.pieces.append(text)
            if not self._waits:
                chunks.append(TextDelta(text))
            if len(found.pieces) > MANY:
                self._join_pieces()

    def _join_pieces(self) -> None:
        text = "".join(self._pieces)
        if len(text) > MAX_TEXT:
            raise ProtocolError(f"the answer holds a text of more than {MAX_TEXT} characters", phase="decode")
        self._pieces[:] = (text,)

    def _open_text(self, index: Any, place: Any, chunks: list[ChatChunk]) -> Text:
        self._finish_text({}, chunks)
        item = self._items.get(index) or self._add(index, {}, chunks)
        self._text = text = Text()
        self._place = (index, place)
        self._pieces = text.pieces
        self._waits = item.waits
        return text

    def _add_part(self, event: dict[str, Any], chunks: list[ChatChunk]) -> None:
        part = event.get("part") or {}
        if part.get("type") in TEXT_OF:
            self._open_text(_index_of(event), event.get("content_index"), chunks)

    def _take_part(self, event: dict[str, Any]) -> None:
        if self._text is not None and (_index_of(event), event.get("content_index")) == self._place:
            self._text.part = event.get("part") or {}

    def _annotate(self, event: dict[str, Any]) -> None:
        if self._text is not None and len(self._text.annotations) < MAX_BLOCKS:
            self._text.annotations.append(event.get("annotation"))

    def _finish_text(self, part: dict[str, Any], chunks: list[ChatChunk]) -> None:
        """End the open text, if there is one; `part` is what the vendor says of it at last."""
        text, self._text = self._text, None
        if text is None:
            return
        waits, self._waits = self._waits, False
        (index, place), self._place = self._place, (None, None)
        item = self._items.get(index)
        part = part or text.part
        said = "".join(text.pieces)
        whole = known_text(part.get(TEXT_OF.get(part.get("type", ""), "text"))) or said
        if waits:
            said = whole
            if said:
                self._hold(TextDelta(said))
        elif whole.startswith(said) and len(whole) > len(said):
            # Some servers leave out deltas, or all of them.
            chunks.append(TextDelta(whole[len(said) :]))
            said = whole
        if said and item is not None:
            item.parts.add(place)
        tokens = () if text.has_logprobs else logprobs_of({"content": part.get("logprobs")})
        if tokens:
            chunks.append(Logprobs(tokens))
        if text.kind == "refusal" or part.get("type") == "refusal":
            self._details = {"refusal": said}
        if said and item is not None and item.fields.get("id"):
            self._put(text.block(said, part, item.fields, self.vendor), chunks, waits=waits)

    # The end.

    def _end(self, response: Any, chunks: list[ChatChunk]) -> None:
        """Take the whole response, which ends a stream too; raises ProviderError for one that failed."""
        _require_object(response)
        self._take_head(response)
        status = known_text(response.get("status"))
        if status in ("failed", "cancelled") or response.get("error"):
            raise refused(response.get("error") or {"code": status, "message": f"the response is {status}"})
        self._finish_the_rest(response["output"] or (), status, chunks)
        self._finish_text({}, chunks)
        self._details = {**facts_of(response), **(self._details or {})} or None
        why = response.get("incomplete_details")
        self._reason = (known_text(why.get("reason")) if type(why) is dict else None) or status
        try:
            self._finish(chunks, self._last_call)
        finally:
            self._reason = status
        end = chunks[-1]
        if type(end) is ChatEnd:
            end.raw_finish_reason = status

    def _finish_the_rest(self, output: Sequence[Any], status: str | None, chunks: list[ChatChunk]) -> None:
        """Take the items that the stream left out, or left open; raises ProviderError for half a call."""
        left_out = [
            (index, fields)
            for index, fields in enumerate(output)
            if index not in self._done and (known_text(fields.get("id")) or index) not in self._done
        ]
        for index, fields in left_out:
            self._finish_item(index, fields, chunks)
        for index, item in list(self._items.items()):
            if item.call is not None:
                self._finish_item(index, {**item.fields, "status": None}, chunks)
                item.call.part(self.vendor, item.call.id, is_cut=True, reason=status)
            elif item.fields.get("type") in ("message", "reasoning"):
                self._finish_item(index, unfinished(item.fields), chunks)


def _require_object(event: Any) -> None:
    if type(event) is not dict:
        raise ProtocolError(f"an object was expected, not {type(event).__name__}", phase="decode")


def _index_of(event: Mapping[str, Any]) -> Any:
    """Which item an event is about: by its place, or by its id where a server gives no places."""
    index = event.get("output_index")
    if index is None:
        index = event.get("item_id") or (event.get("item") or {}).get("id")
    return index
