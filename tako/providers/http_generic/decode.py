"""GenericDecoder: an answer whose shape is told by pointers, whole or in frames, to ChatChunks.

| in a frame, or in the whole answer | what becomes of it                                        |
|------------------------------------|-----------------------------------------------------------|
| text, thinking                     | TextDelta, ThinkingDelta at once                          |
| calls                              | gathered, in streams by their index, until the end        |
| finish reason, usage, id, model    | kept for the ChatEnd                                      |
| `error` with anything in it        | raised, so ChatError and ChatEnd                          |
| nothing of these                   | skipped in a stream; a whole answer says nothing: raised, |
|                                    | with the message at error_message_pointer if there is one |
| the end (see config)               | the calls, the ChatEnd                                    |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json, to_json

from tako.errors import ProtocolError
from tako.events import ChatChunk, TextDelta, ThinkingDelta
from tako.models import FinishReason
from tako.providers.answer import AnswerDecoder, PendingCall, known_text, refused
from tako.providers.http import parse_json
from tako.providers.http_generic.config import Shape, StreamConfig
from tako.providers.http_generic.pointer import Pointer
from tako.providers.http_generic.values import VENDOR
from tako.wire.ndjson import NDJSONParser
from tako.wire.sse import SSEParser

__all__ = ["REASONS", "GenericDecoder"]

DONE: Final = b"[DONE]"

REASONS: Final[Mapping[str, FinishReason]] = {
    "stop": "stop",
    "STOP": "stop",
    "end_turn": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "COMPLETE": "stop",
    "true": "stop",
    "length": "length",
    "max_tokens": "length",
    "MAX_TOKENS": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "TOOL_CALL": "tool_calls",
    "content_filter": "content_filter",
    "content_filtered": "content_filter",
    "SAFETY": "content_filter",
}
"""What vendors call the reasons, as far as nobody means something else by it."""


class GenericDecoder(AnswerDecoder):
    """One answer. `stream` says how its frames come; None is for a whole answer."""

    __slots__ = ("_calls", "_error", "_has_frame", "_last_call", "_parser", "_shape", "_stream", "reasons")

    vendor = VENDOR

    def __init__(
        self,
        shape: Shape,
        reasons: Mapping[str, FinishReason],
        error: tuple[Pointer | None, Pointer | None],
        stream: StreamConfig | None = None,
    ) -> None:
        super().__init__()
        self._shape = shape
        # A vendor that gives no reasons has none but that it is done.
        self.reasons = reasons if shape.finish is not None else {"": "stop"}
        self._error = error
        self._stream = stream
        self._parser = NDJSONParser() if stream is not None and stream.kind == "ndjson" else SSEParser()
        self._calls: dict[Any, PendingCall] = {}
        self._last_call: PendingCall | None = None
        self._has_frame = False

    def decode(self, data: bytes, chunks: list[ChatChunk]) -> None:
        assert self._stream is not None
        ends_at_reason = self._stream.kind == "ndjson" and self._stream.end == "reason"
        parser = self._parser
        frames = parser.feed_data(data) if isinstance(parser, SSEParser) else parser.feed(data)
        for frame in frames:
            if frame.strip() == DONE and not isinstance(parser, NDJSONParser):
                self._end(chunks)
                return
            self._has_frame = (
                self._read(parse_json(frame, "a frame of the stream"), chunks) or self._has_frame
            )
            if ends_at_reason and self._reason is not None:
                self._end(chunks)
                return
        if not data:
            self._end_of_input(self._stream, chunks)

    def take_answer(self, payload: Any, chunks: list[ChatChunk]) -> None:
        self._has_frame = self._read(payload, chunks)
        says_something = bool(chunks or self._last_call or self._reason is not None)
        if not says_something and type(self._shape.text.find(payload)) is not str:
            self._raise_refusal(payload)
            raise ProtocolError(
                f"there is no text at response_text_pointer {self._shape.text.text!r}", phase="decode"
            )
        self._end(chunks)

    def _end_of_input(self, stream: StreamConfig, chunks: list[ChatChunk]) -> None:
        """End here if the stream may; raises TransportError if it is not whole."""
        mark = "[DONE]" if stream.kind == "openai_sse" else "a finish reason"
        has_reason = self._reason is not None and stream.kind == "openai_sse" and stream.end == "reason"
        if not (has_reason or (stream.end == "eof" and self._has_frame)):
            raise self._broken_off(mark)
        if self._reason is None and self._first_cut() is not None:
            raise self._broken_off("the end of a call")
        self._end(chunks)

    def _end(self, chunks: list[ChatChunk]) -> None:
        if not self._has_frame:
            self._raise_nothing()
        self._finish(chunks, self._first_cut() or self._last_call)

    def _first_cut(self) -> PendingCall | None:
        """The first call whose arguments show that they are not whole: pieces of several may be mixed."""
        calls = (call for call in self._held if type(call) is PendingCall)
        return next((call for call in calls if not _is_whole(call)), None)

    def _raise_nothing(self) -> None:
        raise ProtocolError("the answer holds nothing that any of the pointers finds", phase="decode")

    def _read(self, payload: Any, chunks: list[ChatChunk]) -> bool:
        """Take what there is in one frame, or in the whole answer; whether there was anything."""
        if isinstance(payload, dict) and payload.get("error"):
            raise refused(payload["error"])
        shape = self._shape
        thinking = _text_at(shape.thinking, payload)
        if thinking:
            chunks.append(ThinkingDelta(thinking))
        text = _text_at(shape.text, payload)
        if text:
            chunks.append(TextDelta(text))
        calls = shape.calls.find(payload) if shape.calls else None
        for entry in calls if isinstance(calls, list) else () if calls is None else (calls,):
            self._read_call(entry)
        reason = _reason(shape.finish.find(payload)) if shape.finish else None
        counts = shape.usage.find(payload) if shape.usage else None
        if type(counts) is dict:
            usage = shape.usage_of(counts)
            if usage.input_tokens is not None or usage.output_tokens is not None:
                self.usage = usage
        self._reason = reason or self._reason
        self._response_id = self._response_id or (known_text(shape.id.find(payload)) if shape.id else None)
        self._model = self._model or (known_text(shape.model.find(payload)) if shape.model else None)
        found = bool(thinking or calls or reason or counts or text is not None)
        if self._stream is not None and not found:
            self._raise_refusal(payload)
        return found

    def _raise_refusal(self, payload: Any) -> None:
        """Raise what the vendor says at the caller's pointers to errors, if it says anything."""
        message, code = (pointer.find(payload) if pointer else None for pointer in self._error)
        if known_text(message):
            raise refused({"message": message, "code": code})

    def _read_call(self, entry: Any) -> None:
        """Take a whole call or a piece of one."""
        shape = self._shape
        call_id = _scalar(shape.call_id.find(entry))
        name = known_text(shape.call_name.find(entry)) or ""
        call = self._call_of(entry, call_id, name)
        call.id = call.id or call_id
        call.name = call.name or name
        arguments = shape.call_arguments.find(entry)
        if type(arguments) is str:
            call.arguments.add(arguments)
        elif arguments is not None:
            call.arguments.add(to_json(arguments).decode())

    def _call_of(self, entry: Any, call_id: str, name: str) -> PendingCall:
        """The call that a piece belongs to. Where no index tells, another id begins another call, and
        so does a name; in a whole answer each entry is a call."""
        index = self._shape.call_index.find(entry) if self._shape.call_index else None
        if self._stream is None:
            call = None
        elif index is not None:
            call = self._calls.get(_scalar(index))
        else:
            call = self._last_call
        if call is not None and call_id and call.id and call_id != call.id:
            call = None
        if call is not None and index is None and not call_id and name and call.name:
            call = None
        if call is None:
            call = PendingCall()
            self._hold(call)
            self._calls[_scalar(index) or len(self._held)] = call
        self._last_call = call
        return call


def _is_whole(call: PendingCall) -> bool:
    """Whether the arguments are whole, as far as they show it."""
    try:
        from_json(call.arguments.join() or "{}")
    except ValueError:
        return False
    return True


def _text_at(pointer: Pointer | None, payload: Any) -> str | None:
    """The text there, or None; raises ProtocolError for what is no text."""
    found = pointer.find(payload) if pointer else None
    if found is not None and type(found) is not str:
        raise ProtocolError(
            f"there is no text at {pointer.text if pointer else ''!r}, but {type(found).__name__}",
            phase="decode",
        )
    return found


def _scalar(value: Any) -> str:
    """An id or an index, which some give as a number."""
    return value if type(value) is str else str(value) if type(value) is int else ""


def _reason(value: Any) -> str | None:
    """A reason as text; a vendor may as well say that it is done with true."""
    return "true" if value is True else _scalar(value) or None
