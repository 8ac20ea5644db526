"""MistralDecoder: a chat completion of Mistral, whole or as a stream, to ChatChunks.

All that is common is in ChatDecoder. What is Mistral's own is a `content` that may be a list:

| block         | what becomes of it                                                               |
|---------------|----------------------------------------------------------------------------------|
| text          | TextDelta at once                                                                |
| thinking      | ThinkingDelta at once; a ThinkingBlock when something else comes, or the end     |
| reference     | a TextBlock: the text before it, with its citations                              |
| every other   | OpaqueBlock, the block as it came                                                |

In a stream a block of thinking comes in pieces, and nothing says which is the last. Each block goes
back as it came: what it has besides its text (`signature`, `closed`, references inside of it) is in
the replay data, and so is a reference.

An error inside a stream has its status in `raw_status_code`. The words of an error are in one of:

| where         | what it is                                                                       |
|---------------|----------------------------------------------------------------------------------|
| message       | text, or an object with a `detail` like the next                                 |
| detail        | text, or a list of objects with the place (`loc`) and what is wrong there        |
| error         | text, or an object with a message (gateways)                                     |
"""

from __future__ import annotations

from typing import Any, Final

from tako.errors import ProtocolError
from tako.events import ChatChunk, OpaqueBlock, TextBlock, ThinkingBlock, ThinkingDelta
from tako.models import Citation, OpaquePart, Replay, TextPart, ThinkingPart
from tako.providers.answer import MAX_BLOCKS, Pieces, known_text
from tako.providers.chat_completions.decode import ChatDecoder
from tako.providers.chat_completions.dialect import Dialect
from tako.providers.mistral.encode import OWNER, VENDOR

__all__ = ["DIALECT", "MistralDecoder", "explained"]

# The mark is whole before the blank line after it: some recorders and proxies leave that out.
DIALECT: Final = Dialect(owner=OWNER, vendor=VENDOR, ends_without_blank_line=True)


class Thought:
    """A block of thinking that is open."""

    __slots__ = ("_items", "_said", "_text", "fields")

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self._items: list[dict[str, Any]] = []
        self._said = Pieces()
        self._text = Pieces()

    def say(self, text: str) -> None:
        self._said.add(text)
        self._text.add(text)

    def refer(self, item: dict[str, Any]) -> None:
        """Keep something that is no text in its place."""
        if len(self._items) >= MAX_BLOCKS:
            raise ProtocolError(f"a block of thinking has more than {MAX_BLOCKS} parts", phase="decode")
        self._end_text()
        self._items.append(item)

    def part(self) -> ThinkingPart:
        data = dict(self.fields)
        if self._items:
            self._end_text()
            data["thinking"] = self._items
        return ThinkingPart(text=self._text.join(), replay=Replay(vendor=VENDOR, data=data))

    def _end_text(self) -> None:
        text = self._said.join()
        if text:
            self._items.append({"type": "text", "text": text})
            self._said = Pieces()


class MistralDecoder(ChatDecoder):
    """One answer of Mistral. See the table at the head of this file."""

    __slots__ = ("_thought",)

    def __init__(self, dialect: Dialect = DIALECT) -> None:
        super().__init__(dialect)
        self._thought: Thought | None = None

    def _read(self, event: Any, chunks: list[ChatChunk]) -> None:
        if type(event) is dict and event.get("object") == "error":
            event = {**event, "message": explained(event)[0], "status": event.get("raw_status_code")}
        super()._read(event, chunks)

    def _read_content(self, value: Any, chunks: list[ChatChunk]) -> None:
        for block in value if type(value) is list else (value,):
            kind = block.get("type", "text") if type(block) is dict else "text"
            if kind == "text":
                self._take_text(block["text"] if type(block) is dict else block, chunks)
            elif kind == "thinking":
                self._take_thought(block, chunks)
            elif kind == "reference":
                self._take_reference(block, chunks)
            else:
                self._close_thought(chunks)
                self._drop_text()
                self._put(OpaqueBlock(OpaquePart(replay=Replay(vendor=VENDOR, data=block))), chunks)

    def _take_text(self, text: Any, chunks: list[ChatChunk]) -> None:
        if text:
            self._close_thought(chunks)
        super()._take_text(text, chunks)

    def _take_thought(self, block: dict[str, Any], chunks: list[ChatChunk]) -> None:
        """Take a block of thinking, or a piece of one."""
        if self._thought is None:
            self._thought = Thought()
            self._drop_text()
            self._is_plain = False
        thought = self._thought
        for name, value in block.items():
            if name not in ("type", "thinking") and value is not None and len(thought.fields) < MAX_BLOCKS:
                thought.fields[name] = value
        thoughts = block.get("thinking") or ()
        for item in (thoughts,) if type(thoughts) is str else thoughts:
            if type(item) is dict and item.get("type", "text") != "text":
                thought.refer(item)
                continue
            text = item["text"] if type(item) is dict else item
            if type(text) is not str:
                raise ProtocolError(f"text was expected, not {type(text).__name__}", phase="decode")
            if text:
                thought.say(text)
                chunks.append(ThinkingDelta(text))
        if self._is_whole:
            self._close_thought(chunks)

    def _close_thought(self, chunks: list[ChatChunk]) -> None:
        block = self._closed_thought()
        if block is not None:
            self._put(block, chunks)

    def _closed_thought(self) -> ThinkingBlock | None:
        """The block of thinking that was open, if there was one with something in it."""
        thought, self._thought = self._thought, None
        part = None if thought is None else thought.part()
        if part is None or not (part.text or (part.replay and part.replay.data)):
            return None
        return ThinkingBlock(part)

    def _take_reference(self, block: dict[str, Any], chunks: list[ChatChunk]) -> None:
        self._close_thought(chunks)
        text = self._text()
        self._drop_text()
        citations = tuple([Citation(source=str(name)) for name in block["reference_ids"]])
        replay = Replay(vendor=VENDOR, data={"references": [block]})
        chunks.append(TextBlock(TextPart(text=text, citations=citations, replay=replay)))

    def _read_call(self, entry: dict[str, Any]) -> None:
        block = self._closed_thought()
        if block is not None:
            self._hold(block)
        if entry.get("id") == "null":
            entry = {**entry, "id": None}  # some models know no ids, and this is how it is said
        super()._read_call(entry)

    def _put(self, chunk: ChatChunk, chunks: list[ChatChunk]) -> None:
        """Append a block, or hold it if a call that came before it is held: their order counts."""
        if self._held:
            self._hold(chunk)
        else:
            chunks.append(chunk)

    def _end(self, chunks: list[ChatChunk]) -> None:
        self._close_thought(chunks)
        super()._end(chunks)


def explained(payload: Any) -> tuple[str | None, str | None]:
    """The message and the code of an error, in whichever of its shapes; None for what it does not say."""
    if not isinstance(payload, dict):
        return _words(payload), None
    error = payload.get("error")
    found = error if isinstance(error, dict) else payload
    message = _words(found.get("message")) or _words(found.get("detail")) or _words(error)
    code = found.get("code") or found.get("type")
    return message, None if code is None else str(code)


def _words(value: Any, depth: int = 4) -> str | None:
    """The text in a message, wherever in it that is."""
    if isinstance(value, list) and depth:
        return "; ".join([words for item in value[:MAX_BLOCKS] if (words := _words(item, depth - 1))]) or None
    if isinstance(value, dict) and depth:
        names = ("detail", "message", "msg")
        words = next((words for name in names if (words := _words(value.get(name), depth - 1))), None)
        place = value.get("loc")
        if words and isinstance(place, list) and place:
            return f"{'.'.join(map(str, place))}: {words}"
        return words
    return known_text(value)
