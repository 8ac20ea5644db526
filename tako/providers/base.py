"""What a provider is, and the two machines that every provider shares.

A provider turns a ChatRequest into a ChatResponse by two flows: `chat_flow`, and `stream_flow`, which also
emits the answer piece by piece. `relay` is what becomes of the pieces: it is given each batch of
chunks and returns the events to emit (none is fine), so that an agent can show them as its own.

StreamDecoder: a wire machine from bytes to ChatChunks.

| state    | input              | chunks                                | next     |
|----------|--------------------|---------------------------------------|----------|
| open     | bytes              | what became whole                     | open     |
| open     | the terminal mark  | ..., ChatEnd                          | ended    |
| open     | b"" without a mark | ChatError, ChatEnd("error")           | ended    |
| open     | bytes that break   | ..., ChatError, ChatEnd("error")      | ended    |
| ended    | anything           | none                                  | ended    |

Invariant (contracts 1 and 2): `feed` never raises, whatever the bytes and however they are cut.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from tako import _adapters
from tako.effects import Failed, Flow
from tako.errors import InvalidInput, ProtocolError, TakoError
from tako.events import (
    ChatChunk,
    ChatEnd,
    ChatError,
    Logprobs,
    MediaBlock,
    OpaqueBlock,
    OtherChoice,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolCall,
)
from tako.models import (
    NOT_COUNTED,
    Capabilities,
    ChatRequest,
    ChatResponse,
    Choice,
    Message,
    Part,
    TextPart,
    ThinkingPart,
    TokenLogprob,
)
from tako.wire import END, NEED_DATA, End, NeedData

if TYPE_CHECKING:
    from tako._adapters import AsyncEvents, SyncEvents
    from tako.cancellation import CancellationToken

__all__ = ["Provider", "Relay", "ResponseBuilder", "StreamDecoder", "as_they_are", "check_request"]

Relay: TypeAlias = Callable[[list[ChatChunk]], Sequence[Any]]


def as_they_are(chunks: list[ChatChunk]) -> Sequence[Any]:
    """The relay of somebody who iterates over a provider: every chunk is an event."""
    return chunks


class Provider(ABC):
    """A model that can be asked. Write `chat_flow` and `stream_flow`; the rest follows from them."""

    id: str
    model: str = ""
    capabilities: Capabilities = Capabilities()

    @abstractmethod
    def chat_flow(self, request: ChatRequest) -> Flow[ChatResponse]:
        """Ask for a whole answer; raises a TakoError."""

    @abstractmethod
    def stream_flow(self, request: ChatRequest, relay: Relay = as_they_are) -> Flow[ChatResponse]:
        """Ask for an answer in pieces, emit what `relay` makes of them, return the whole.

        Every failure is told as ChatError and ChatEnd first, and then raised.
        """

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id}>"

    def estimate_tokens(self, request: ChatRequest) -> int:
        """About how many tokens the request is, counted here and not by the vendor (see `estimate`)."""
        from tako.providers.estimate import estimate_tokens  # most programs never ask

        check_request(request)
        return estimate_tokens(request, self.id.partition(":")[0])

    def chat_sync(self, request: ChatRequest, *, cancel: CancellationToken | None = None) -> ChatResponse:
        """Ask for a whole answer, blocking; raises a TakoError."""
        check_request(request)
        return _adapters.run_sync(self.chat_flow(request), cancel)

    async def chat(self, request: ChatRequest, *, cancel: CancellationToken | None = None) -> ChatResponse:
        """Ask for a whole answer under asyncio or trio, whichever is running."""
        check_request(request)
        return await _adapters.run_async(self.chat_flow(request), cancel)

    def stream_sync(
        self, request: ChatRequest, *, cancel: CancellationToken | None = None
    ) -> SyncEvents[ChatChunk, ChatResponse]:
        """The chunks, blocking: `with p.stream_sync(r) as chunks: for c in chunks: ...`.

        A failure is a ChatError among the chunks; `chunks.result` raises it.
        """
        check_request(request)
        return _adapters.stream_sync(lambda: _telling(self.stream_flow(request)), cancel)

    def stream(
        self, request: ChatRequest, *, cancel: CancellationToken | None = None
    ) -> AsyncEvents[ChatChunk, ChatResponse]:
        """The chunks under asyncio or trio: `async with p.stream(r) as chunks: ...`."""
        check_request(request)
        return _adapters.stream_async(lambda: _telling(self.stream_flow(request)), cancel)


def check_request(request: object) -> None:
    """Raises InvalidInput for what many a client takes instead: a text, or messages by themselves."""
    if not isinstance(request, ChatRequest):
        raise InvalidInput(
            "a provider is asked with a ChatRequest, such as ChatRequest(messages=[Message.user('Hi')]), "
            f"not with {type(request).__name__}"
        )


def _telling(flow: Flow[ChatResponse]) -> Flow[Any]:
    """The chunks tell of a failure; whoever asks for the result gets it raised."""
    try:
        return (yield from flow)
    except TakoError as error:
        return Failed(error)


class StreamDecoder(ABC):
    """Bytes of one vendor's stream in, ChatChunks out. See the table at the head of this file."""

    __slots__ = ("_pending", "ended", "usage")

    def __init__(self) -> None:
        self.ended = False
        self.usage = NOT_COUNTED
        # Made by the first `receive_data`: an empty deque takes as much memory as a whole decoder.
        self._pending: deque[ChatChunk] | None = None

    def feed(self, data: bytes) -> list[ChatChunk]:
        """The chunks that these bytes complete; b"" is the end of the input. Never raises."""
        chunks: list[ChatChunk] = []
        if self.ended:
            return chunks
        try:
            self.decode(data, chunks)
        except MISTAKES as error:
            self._break(chunks, peers_mistake(error))
        else:
            if chunks:
                self.ended = type(chunks[-1]) is ChatEnd
        return chunks

    @abstractmethod
    def decode(self, data: bytes, chunks: list[ChatChunk]) -> None:
        """Append the chunks that these bytes complete, a ChatEnd last at the terminal mark.

        May raise a TakoError, or stumble over an unexpected shape: what was appended still counts.
        Has to raise when b"" comes before the terminal mark.
        """

    def fail(self, error: TakoError) -> list[ChatChunk]:
        """The chunks that tell of a failure from outside; none if the stream has ended."""
        chunks: list[ChatChunk] = []
        if not self.ended:
            self._break(chunks, error)
        return chunks

    def _break(self, chunks: list[ChatChunk], error: TakoError) -> None:
        self.ended = True
        chunks.append(ChatError(error))
        chunks.append(self._end_of_failure())

    def _end_of_failure(self) -> ChatEnd:
        """The last chunk of a broken stream, with what is known of the answer all the same."""
        return ChatEnd("error", self.usage)

    def receive_data(self, data: bytes) -> None:
        """As every wire machine: take bytes, b"" is the end of the input."""
        if self._pending is None:
            self._pending = deque()
        self._pending.extend(self.feed(data))

    def next_event(self) -> ChatChunk | NeedData | End:
        """As every wire machine: the next chunk, NEED_DATA, or END after ChatEnd."""
        if self._pending:
            return self._pending.popleft()
        return END if self.ended else NEED_DATA


MISTAKES = (TakoError, KeyError, IndexError, TypeError, AttributeError, ValueError)
"""What decoding may raise, by intent or by stumbling over an unexpected shape."""


def peers_mistake(error: Exception) -> TakoError:
    """The error to tell of; InvalidInput means that one of our values was made of what the peer sent."""
    if isinstance(error, TakoError) and not isinstance(error, InvalidInput):
        return error
    return unexpected_shape(error)


def unexpected_shape(error: Exception) -> ProtocolError:
    """What a KeyError and its like are for the caller: the peer sent something else."""
    reason = f"{type(error).__name__}: {error}"
    return ProtocolError(f"the answer does not have the expected shape ({reason})", phase="decode")


MANY = 1024
"""Pieces of text that are kept as they came, before they are joined."""


class ResponseBuilder:
    """Chunks in, the whole response out; at any moment, so that a broken stream keeps what it had."""

    __slots__ = ("_choices", "_end", "_joined", "_logprobs", "_parts", "_texts", "_thinking", "error")

    def __init__(self) -> None:
        self._choices: list[Choice] = []
        self._logprobs: list[TokenLogprob] | None = None
        self._parts: list[Part] = []
        self._texts: list[str] = []
        self._joined: list[str] = []
        self._thinking: list[str] = []
        self._end: ChatEnd | None = None
        self.error: TakoError | None = None

    def add(self, chunks: Iterable[ChatChunk]) -> None:
        """Take the next chunks, in order."""
        texts = self._texts
        for chunk in chunks:
            kind = type(chunk)
            if kind is TextDelta:
                texts.append(chunk.text)  # type: ignore[union-attr]
            else:
                self._add_other(chunk)
        if len(texts) > MANY:
            # A word is ten times as large as an object as it is as text: keep long answers joined.
            self._joined.append("".join(texts))
            texts.clear()

    def _add_other(self, chunk: ChatChunk) -> None:
        match chunk:
            case ThinkingDelta(text):
                self._thinking.append(text)
            case ThinkingBlock(part):
                self._thinking.clear()
                self._flush()
                self._parts.append(part)
            case TextBlock(part):
                self._flush_block(part)
            case ToolCall(part) | OpaqueBlock(part) | MediaBlock(part):
                self._flush()
                self._parts.append(part)
            case Logprobs(tokens):
                self._logprobs = [*(self._logprobs or ()), *tokens]
            case OtherChoice(choice):
                self._choices.append(choice)
            case ChatError(error):
                self.error = error
            case ChatEnd():
                self._end = chunk
            case _:
                pass  # text, or a kind that came after this was written

    def _flush(self) -> None:
        if self._thinking:
            self._parts.append(ThinkingPart(text="".join(self._thinking)))
            self._thinking.clear()
        if self._texts or self._joined:
            text = "".join((*self._joined, *self._texts))
            self._joined.clear()
            self._texts.clear()
            if text:
                self._parts.append(TextPart(text=text))

    def _flush_block(self, block: TextPart) -> None:
        """Put the block in the place of its deltas, which are the last ones; text before them stays."""
        text = "".join((*self._joined, *self._texts))
        self._joined.clear()
        self._texts.clear()
        before = text.removesuffix(block.text)
        if before:
            self._texts.append(before)
        self._flush()
        self._parts.append(block)

    def response(self, request_id: str | None = None) -> ChatResponse:
        """What there is. Without a ChatEnd the finish reason is "error"."""
        self._flush()
        end = self._end or ChatEnd("error", NOT_COUNTED)
        return ChatResponse(
            message=Message.assistant(self._parts),
            finish_reason=end.finish_reason,
            usage=end.usage,
            raw_finish_reason=end.raw_finish_reason,
            model=end.model,
            response_id=end.response_id,
            request_id=request_id,
            other_choices=tuple(self._choices),
            logprobs=None if self._logprobs is None else tuple(self._logprobs),
            details=end.details or {},
        )

    def finish(self, request_id: str | None = None) -> ChatResponse:
        """The whole response; raises the error that broke it, with what there was as `partial`."""
        response = self.response(request_id)
        if self.error is None:
            return response
        self.error.partial, self.error.usage = response, response.usage
        raise self.error
