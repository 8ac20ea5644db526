"""ChatDecoder: a chat completion, whole or as a stream, to ChatChunks.

| event                         | what becomes of it                                         |
|-------------------------------|------------------------------------------------------------|
| delta.content, delta.refusal  | TextDelta at once                                          |
| delta.reasoning_content       | ThinkingDelta at once (compatible servers; also reasoning) |
| delta.tool_calls              | gathered by index until the end                            |
| delta.audio                   | gathered until the end, then an OpaqueBlock                |
| usage, id, model              | kept for the ChatEnd                                       |
| error                         | raised, so ChatError and ChatEnd                           |
| [DONE]                        | the calls, the ChatEnd                                     |
| anything else                 | skipped                                                    |

The hot path is a delta of one choice with nothing but text; `_read` knows all the rest, and knows
that case as well. Only the first choice is read.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic_core import from_json, to_json

from tako.errors import ProtocolError
from tako.events import ChatChunk, OpaqueBlock, TextDelta, ThinkingDelta
from tako.models import FinishReason, OpaquePart, Replay, Usage
from tako.providers.answer import (
    MAX_BLOCKS,
    AnswerDecoder,
    PendingCall,
    Pieces,
    known_count,
    known_text,
    refused,
)
from tako.providers.chat_completions.encode import VENDOR
from tako.providers.http import parse_json
from tako.wire.sse import SSEParser

__all__ = ["ChatDecoder", "usage_of"]

DONE: Final = b"[DONE]"

REASONS: Final[dict[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}

AUDIO_PIECES: Final = ("data", "transcript")
CALL_FIELDS: Final = frozenset(("index", "id", "type", "function", "custom"))


class ChatDecoder(AnswerDecoder):
    """One answer of the chat completions API. See the table at the head of this file."""

    __slots__ = ("_audio", "_has_choice", "_last_call", "_slots", "_sse")

    vendor = VENDOR
    reasons = REASONS

    def __init__(self) -> None:
        super().__init__()
        self._sse = SSEParser()
        self._slots: dict[Any, PendingCall] = {}
        self._last_call: PendingCall | None = None
        self._audio: dict[str, Pieces] = {}
        self._has_choice = False

    def decode(self, data: bytes, chunks: list[ChatChunk]) -> None:
        for payload in self._sse.feed_data(data):
            try:
                event = from_json(payload)
            except ValueError:
                if payload.strip() == DONE:
                    self._end(chunks)
                    return
                event = parse_json(payload, "an event of the stream")
            try:
                (choice,) = event["choices"]
                delta = choice["delta"]
                if (
                    len(delta) == 1
                    and "content" in delta
                    and choice["finish_reason"] is None
                    and choice["index"] == 0
                ):
                    text = delta["content"]
                    if type(text) is str:
                        if text:
                            chunks.append(TextDelta(text))
                        continue
            except (KeyError, TypeError, ValueError):
                pass  # not the common case, so `_read` finds out what it is
            self._read(event, "delta", chunks)
        if not data:
            raise self._broken_off("[DONE]")
        if chunks:
            self._has_choice = True

    def take_answer(self, payload: Any, chunks: list[ChatChunk]) -> None:
        self._read(payload, "message", chunks)
        self._end(chunks)

    def _end(self, chunks: list[ChatChunk]) -> None:
        if not self._has_choice and not chunks:
            raise ProtocolError("the answer has no choices", phase="decode")
        if self._audio:
            audio = {name: pieces.join() for name, pieces in self._audio.items()}
            replay = Replay(vendor=VENDOR, data={"audio": audio})
            chunks.append(OpaqueBlock(OpaquePart(replay=replay)))
        self._finish(chunks, self._last_call)

    def _read(self, event: Any, field: str, chunks: list[ChatChunk]) -> None:
        """Take one event, or a whole answer; what they say of a choice is in its `delta` or `message`."""
        if type(event) is not dict:
            raise ProtocolError(f"an object was expected, not {type(event).__name__}", phase="decode")
        if event.get("error"):
            raise refused(event["error"])
        self._response_id = known_text(event.get("id")) or self._response_id
        self._model = known_text(event.get("model")) or self._model
        usage = event.get("usage")
        if type(usage) is dict:
            self.usage = usage_of(usage)
        for choice in event.get("choices") or ():
            if choice.get("index") in (0, None):
                self._read_choice(choice, choice.get(field) or {}, chunks)
                return

    def _read_choice(self, choice: dict[str, Any], delta: dict[str, Any], chunks: list[ChatChunk]) -> None:
        self._has_choice = True
        if choice.get("error"):
            raise refused(choice["error"])
        thinking = known_text(delta.get("reasoning_content")) or known_text(delta.get("reasoning"))
        if thinking:
            chunks.append(ThinkingDelta(thinking))
        for name in ("content", "refusal"):
            text = delta.get(name)
            if text:
                if type(text) is not str:
                    raise ProtocolError(f"{name} is no text but {type(text).__name__}", phase="decode")
                chunks.append(TextDelta(text))
        for entry in delta.get("tool_calls") or ():
            self._read_call(entry)
        legacy = delta.get("function_call")
        if legacy and any(legacy.values()):
            # The one call of models from before 2024; some servers send it with nothing in it.
            self._read_call({"index": 0, "function": legacy})
        for name, value in (delta.get("audio") or {}).items():
            self._read_audio(name, value)
        self._reason = known_text(choice.get("finish_reason")) or self._reason

    def _read_call(self, entry: dict[str, Any]) -> None:
        """Take a whole call or a piece of one."""
        custom = entry.get("custom")
        function = entry.get("function") or custom or {}
        call_id, name = known_text(entry.get("id")) or "", known_text(function.get("name")) or ""
        call = self._call_of(entry.get("index"), call_id, name)
        if not (call.id or call.name):
            call.extras = {key: value for key, value in entry.items() if key not in CALL_FIELDS}
        call.id = call.id or call_id
        call.name = call.name or name
        if custom:
            call.takes_text, call.shows_cut = True, False
            call.extras["type"] = "custom"
        arguments = function.get("input") if custom else function.get("arguments")
        if type(arguments) is str:
            call.arguments.add(arguments)
        elif arguments is not None:
            # Some compatible servers send the value instead of its text.
            call.arguments.add(to_json(arguments).decode())

    def _call_of(self, index: Any, call_id: str, name: str) -> PendingCall:
        """The call that a piece belongs to: the one at its index, or the last one if it has none.

        Whole answers have no index, and some servers say 0 for every call: there, another id begins
        another call, and so does a name where neither index nor id can tell.
        """
        call = self._last_call if index is None else self._slots.get(index)
        is_other = call is not None and (
            bool(call_id and call.id and call_id != call.id)
            or bool(index is None and not call_id and name and call.name)
        )
        if call is None or is_other:
            call = PendingCall()
            self._hold(call)
            self._slots[index] = call
        self._last_call = call
        return call

    def _read_audio(self, name: str, value: Any) -> None:
        if not known_text(value) or (name in self._audio and name not in AUDIO_PIECES):
            return
        if len(self._audio) >= MAX_BLOCKS:
            raise ProtocolError(f"the audio has more than {MAX_BLOCKS} fields", phase="decode")
        self._audio.setdefault(name, Pieces()).add(value)


def usage_of(usage: dict[str, Any]) -> Usage:
    """OpenAI's counts: its input holds what was cached, its output holds the reasoning."""
    read = usage.get("prompt_tokens_details")
    written = usage.get("completion_tokens_details")
    read = read if type(read) is dict else {}
    written = written if type(written) is dict else {}
    return Usage(
        input_tokens=known_count(usage.get("prompt_tokens")),
        output_tokens=known_count(usage.get("completion_tokens")),
        cache_read_tokens=known_count(read.get("cached_tokens")),
        cache_write_tokens=known_count(read.get("cache_write_tokens")),
        reasoning_tokens=known_count(written.get("reasoning_tokens")),
        raw=usage,
    )
