"""What the decoders of all vendors share: one way to take an answer, whole or in pieces.

A whole answer is decoded as the chunks that it would have been, by the same steps and into the
same ResponseBuilder. So a blocking and a streamed call cannot come to disagree.

Calls are held back until the terminal mark, because only the reason for ending, which comes last,
tells whether the last of them is whole. Blocks after the first call are held with it, so that they
keep their order, which matters to the vendor that gets its thinking back.
Invariants: nothing is kept without a limit; a call that was cut off is an error, never a ToolCall.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json, to_json

from tako.errors import ProtocolError, ProviderError, RateLimited, TakoError, TransportError
from tako.events import ChatChunk, ChatEnd, ToolCall
from tako.models import ChatResponse, FinishReason, Replay, ToolCallPart
from tako.providers.base import MISTAKES, ResponseBuilder, StreamDecoder, peers_mistake

__all__ = [
    "MAX_BLOCKS",
    "MAX_TEXT",
    "AnswerDecoder",
    "Pending",
    "PendingCall",
    "Pieces",
    "cut_short",
    "known_count",
    "known_text",
    "refused",
]

MAX_TEXT = 16 * 1024 * 1024
"""Characters of one text that has to be kept until it is whole, such as the arguments of a call."""
MAX_BLOCKS = 1024
"""Blocks, or calls, of one answer."""
MAX_KEPT_BODY = 64 * 1024

STATUS_OF = {
    "authentication_error": 401,
    "api_error": 500,
    "billing_error": 402,
    "insufficient_quota": 429,
    "internal_error": 500,
    "internal_server_error": 500,
    "invalid_request_error": 400,
    "not_found_error": 404,
    "overloaded": 529,
    "overloaded_error": 529,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "request_too_large": 413,
    "requests": 429,
    "server_error": 500,
    "service_unavailable": 503,
    "timeout_error": 504,
    "tokens": 429,
}
"""The status that a code or type of error would have had, had the vendor known before the head."""


class Pieces:
    """Text that arrives in pieces and is kept until it is whole; raises ProtocolError at MAX_TEXT."""

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._size = 0

    def add(self, text: str) -> None:
        self._size += len(text)
        if self._size > MAX_TEXT:
            raise ProtocolError(
                f"the answer holds a block of more than {MAX_TEXT} characters", phase="decode"
            )
        self._pieces.append(text)

    def join(self) -> str:
        return "".join(self._pieces)


class PendingCall:
    """A call of which not all has arrived.

    extras      what the vendor wants back with it
    takes_text  its argument is text and not JSON
    shows_cut   its arguments show whether they are whole: half an object is no JSON
    """

    __slots__ = ("arguments", "extras", "id", "name", "shows_cut", "takes_text")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments = Pieces()
        self.extras: dict[str, Any] = {}
        self.takes_text = False
        self.shows_cut = True

    def part(self, vendor: str, call_id: str, *, is_cut: bool, reason: str | None) -> ToolCallPart:
        """The call, whole; raises ProviderError if it is not, ProtocolError if it has no name."""
        if not self.name:
            raise ProtocolError("the answer calls a tool but does not say which", phase="decode")
        replay = Replay(vendor=vendor, data=self.extras) if self.extras else None
        return ToolCallPart(id=call_id, name=self.name, args=self._args(reason, is_cut=is_cut), replay=replay)

    def _args(self, reason: str | None, *, is_cut: bool) -> Any:
        if is_cut and not self.shows_cut:
            raise cut_short(self.name, reason)
        text = self.arguments.join()
        if self.takes_text:
            return text
        try:
            # Some vendors leave the arguments out for a tool that takes none.
            return from_json(text) if is_cut or text.strip() else {}
        except ValueError:
            if is_cut:
                raise cut_short(self.name, reason) from None
            return text


Pending = PendingCall | ChatChunk


class AnswerDecoder(StreamDecoder):
    """A StreamDecoder that takes a whole answer as well, and knows how any answer ends."""

    __slots__ = ("_details", "_held", "_model", "_reason", "_response_id")

    vendor: str
    reasons: Mapping[str, FinishReason]

    def __init__(self) -> None:
        super().__init__()
        self._held: list[Pending] = []
        self._reason: str | None = None
        self._model: str | None = None
        self._response_id: str | None = None
        # What goes into ChatEnd.details; None until there is something.
        self._details: dict[str, Any] | None = None

    @abstractmethod
    def take_answer(self, payload: Any, chunks: list[ChatChunk]) -> None:
        """Append the chunks of a whole answer, a ChatEnd last. May raise as `decode` may."""

    def whole(self, payload: Any) -> ChatResponse:
        """The response in a whole answer; raises a TakoError that carries what there was."""
        chunks: list[ChatChunk] = []
        try:
            self.take_answer(payload, chunks)
        except MISTAKES as error:
            self._break(chunks, peers_mistake(error))
        builder = ResponseBuilder()
        builder.add(chunks)
        return builder.finish()

    def _hold(self, item: Pending) -> None:
        if len(self._held) >= MAX_BLOCKS:
            raise ProtocolError(f"the answer has more than {MAX_BLOCKS} blocks", phase="decode")
        self._held.append(item)

    def _break(self, chunks: list[ChatChunk], error: TakoError) -> None:
        chunks += [item for item in self._held if type(item) is not PendingCall]  # type: ignore[misc]
        super()._break(chunks, error)

    def _end_of_failure(self) -> ChatEnd:
        return ChatEnd("error", self.usage, self._reason, self._model, self._response_id, self._details)

    def _finish(self, chunks: list[ChatChunk], last: PendingCall | None) -> None:
        """Append what was held back and the ChatEnd; `last` is the call that the answer ends in, if any.

        Raises ProviderError if that call was cut off.
        """
        reason = self.reasons.get(self._reason or "", "other")
        was_cut = reason in ("length", "content_filter")
        ids: set[str] = set()
        held, self._held = self._held, []
        for item in held:
            if type(item) is not PendingCall:
                chunks.append(item)  # type: ignore[arg-type]
                continue
            call_id = self._call_id(item, ids)
            part = item.part(self.vendor, call_id, is_cut=was_cut and item is last, reason=self._reason)
            chunks.append(ToolCall(part))
        if ids and reason in ("stop", "other"):
            # Some servers say "stop", or nothing, where they call a tool.
            reason = "tool_calls"
        end = ChatEnd(reason, self.usage, self._reason, self._model, self._response_id, self._details)
        chunks.append(end)

    def _call_id(self, call: PendingCall, ids: set[str]) -> str:
        """The call's id, or one that no other answer has, if the server gave none or gave it twice."""
        call_id = call.id
        if not call_id or call_id in ids:
            call_id = f"call_{self._response_id or self.vendor}_{len(ids)}"
        ids.add(call_id)
        return call_id

    def _broken_off(self, mark: str) -> TransportError:
        """What to raise at an end of input before the vendor's terminal mark."""
        return TransportError(f"the stream ended before {mark}: the answer is not whole", phase="body")


def cut_short(name: str, reason: str | None) -> ProviderError:
    """What to raise for a call that ends before its arguments do."""
    return ProviderError(
        f"the answer was cut ({reason}) in the middle of a call of {name!r}; a larger max_tokens may help",
        code=reason,
        phase="decode",
    )


def refused(error: Any, *, request_id: str | None = None) -> ProviderError:
    """An error that the vendor reports inside an answer, with the status it would have had."""
    found: Mapping[str, Any] = error if isinstance(error, dict) else {"message": error}
    names: Sequence[Any] = (found.get("code"), found.get("type"), found.get("status"))
    status = None
    for name in names:
        if type(name) is int and 400 <= name < 600:
            status = name
        elif type(name) is str:
            status = STATUS_OF.get(name.lower())
        if status is not None:
            break
    code = next((str(name) for name in names if name is not None), None)
    kind = RateLimited if status == 429 else ProviderError
    return kind(
        f"the vendor broke the answer off: {known_text(found.get('message')) or 'no explanation given'}",
        status=status,
        code=code,
        request_id=request_id,
        phase="body",
        body=to_json(error).decode()[:MAX_KEPT_BODY],
    )


def known_count(value: Any) -> int | None:
    """A count of tokens, or None for what is no count."""
    return value if type(value) is int and value >= 0 else None


def known_text(value: Any) -> str | None:
    """A string that is not empty, or None."""
    return value if type(value) is str and value else None
