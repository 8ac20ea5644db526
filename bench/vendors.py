"""Bytes of a stream to typed events, beside the vendor's own library on the same bytes.

One line a vendor. Both sides get the same pieces of 16 KiB and give all that they know how to give:
ours the chunks, theirs the objects of their library. An event is one on the wire.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.decode import cut, decoding
from bench.measure import Aim, Line, compare
from bench.official import OFFICIAL, work
from bench.payloads import (
    anthropic_events,
    converse_stream,
    frames,
    gemini_stream,
    ollama_stream,
    openai_events,
    responses_events,
    text_of,
)
from tako.providers import Anthropic, Bedrock, Gemini, Mistral, Ollama, OpenAI, OpenAIResponses
from tako.providers.http import HttpProvider

__all__ = ["lines"]

TOKENS = 1000
PIECE = 16384
AIM = Aim("ratio", 0.2)
"""Five times the events per second."""

VENDORS: dict[str, tuple[Callable[[], HttpProvider], Callable[[int], list[bytes]]]] = {
    "OpenAI": (lambda: OpenAI("m", ""), lambda count: frames(openai_events(count))),
    "OpenAI responses": (lambda: OpenAIResponses("m", ""), lambda count: frames(responses_events(count))),
    "Anthropic": (lambda: Anthropic("m", ""), lambda count: frames(anthropic_events(count))),
    "Gemini": (lambda: Gemini("m", "key"), gemini_stream),
    "Bedrock": (
        lambda: Bedrock("m", region="r", access_key_id="id", secret_access_key="secret"),
        converse_stream,
    ),
    "Mistral": (lambda: Mistral("m", ""), lambda count: frames(openai_events(count))),
    "Ollama": (lambda: Ollama("m"), ollama_stream),
}


def lines(seconds: float) -> Iterator[Line]:
    for name, (provider, stream) in VENDORS.items():
        events = stream(TOKENS)
        pieces = cut(b"".join(events), PIECE)
        theirs = work(OFFICIAL[name], pieces, len(events), text_of(TOKENS))
        if theirs is not None:
            ours = decoding(provider().decoder, pieces, len(events), text_of(TOKENS))
            yield compare(ours, theirs, seconds).line(f"{name} event", "the vendor's own library", AIM)
