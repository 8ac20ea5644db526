"""Bytes of a stream to typed chunks: no socket, only the decoders."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic_core import from_json

from bench.measure import Aim, Line, Work, compare
from bench.payloads import anthropic_events, frames, openai_events, text_of
from tako.events import TextDelta
from tako.providers.anthropic.decode import MessagesDecoder
from tako.providers.base import StreamDecoder
from tako.providers.chat_completions.decode import ChatDecoder

__all__ = ["lines"]

SIZES = ((16384, 2000), (64, 500), (1, 100))
"""Bytes of a piece, and events of the stream that is cut into such pieces."""

VENDORS: tuple[tuple[str, Callable[[], StreamDecoder], Callable[[int], list[str]], float], ...] = (
    ("OpenAI", ChatDecoder, openai_events, 0.45),
    ("Anthropic", MessagesDecoder, anthropic_events, 0.3),
)


def lines(seconds: float) -> Iterator[Line]:
    for name, decoder, events, rate in VENDORS:
        for size, count in SIZES:
            data = events(count)
            pieces = cut(b"".join(frames(data)), size)
            ours = decoding(decoder, pieces, len(data), text_of(count))
            work = f"{name} event, {size:,} B pieces"
            if size == SIZES[0][0]:
                result = compare(ours, parsing(data), seconds)
                aim = Aim("rate", rate)
                yield result.line(work, "from_json of the bare payloads", aim)
            theirs = openai_sse(pieces)
            if theirs is not None:
                result = compare(ours, theirs, seconds)
                aim = Aim("ratio", 1.0)
                yield result.line(work, "openai's SSE parser alone", aim)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def decoding(make: Callable[[], StreamDecoder], pieces: list[bytes], events: int, text: str) -> Work:
    def work() -> int:
        decoder = make()
        feed = decoder.feed
        texts = [chunk.text for piece in pieces for chunk in feed(piece) if type(chunk) is TextDelta]
        if not decoder.ended:
            feed(b"")  # some vendors have no mark but the end
        assert decoder.ended and "".join(texts) == text
        return events

    return work


def parsing(events: list[str]) -> Work:
    payloads = [event.encode() for event in events if event != "[DONE]"]

    def work() -> int:
        for payload in payloads:
            from_json(payload)
        return len(payloads)

    return work


def openai_sse(pieces: list[bytes]) -> Work | None:
    """OpenAI's own parser, up to data that nobody has parsed; None if the SDK is not installed."""
    try:
        from openai._streaming import SSEDecoder
    except ImportError:
        return None

    def work() -> int:
        return sum(1 for _ in SSEDecoder().iter_bytes(iter(pieces)))

    return work
