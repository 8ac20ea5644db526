"""Hypothesis strategies: ways to cut a body, worlds that go wrong, conversations, hostile bytes.

    @given(strategies.conversations())
    def test_my_provider_takes_any_history(messages): ...

Needs Hypothesis: `pip install tako-sansio[testing]`. Values shrink towards the plain case: one
piece, no fault, a short conversation in ASCII.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from typing import Any, Final

try:
    from hypothesis import strategies as st
except ImportError as error:  # pragma: no cover - the tests of this module need it themselves
    raise ImportError("tako.testing.strategies needs Hypothesis: pip install tako-sansio[testing]") from error

from tako.models import (
    AudioPart,
    ChatResponse,
    DocumentPart,
    FinishReason,
    ImagePart,
    ImageUrlPart,
    Message,
    Part,
    Replay,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
    VideoPart,
)
from tako.testing.faults import Cut, Faults

__all__ = [
    "MEDIA",
    "conversations",
    "cuts",
    "faults",
    "hostile_bytes",
    "json_values",
    "responses",
    "texts",
]

_AWKWARD = (
    "\u2028",  # a line end to str.splitlines, but to no protocol
    "\u2029",
    "\x85",
    "\x00",
    "\ufeff",  # the byte order mark
    "\r\n\r\n",
    "data: [DONE]\n\n",
    '"}\\',
    "e\u0301",
    "\U0001f419",  # beyond the basic plane: two units in UTF-16, four bytes in UTF-8
    "\u202etxet",
)

_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

_PDF = "JVBERi0xLjQKJSVFT0YK"
_WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="

_NAMES = st.text("abcxyz_019", min_size=1, max_size=12).map(lambda rest: f"f{rest}")


def texts(*, max_size: int = 40) -> st.SearchStrategy[str]:
    """Any text that UTF-8 can carry, with what breaks careless readers more often than by chance."""
    plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=max_size)
    return plain | st.lists(plain | st.sampled_from(_AWKWARD), max_size=4).map("".join)


def json_values(*, max_leaves: int = 10) -> st.SearchStrategy[Any]:
    """Any JSON value. No NaN, which is none; integers also beyond 64 bits."""
    leaves = (
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts()
    )
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(max_size=8), inner, max_size=3),
        max_leaves=max_leaves,
    )


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The data in pieces: whole, at chosen places, or byte by byte. No piece is empty."""
    if len(data) > 1 and draw(st.sampled_from((False, False, False, True))):
        return [data[index : index + 1] for index in range(len(data))]
    places = draw(st.sets(st.integers(1, max(1, len(data) - 1)), max_size=12))
    edges = [0, *sorted(place for place in places if place < len(data)), len(data)]
    return [data[one:other] for one, other in pairwise(edges) if one < other]


_ARGUMENTS = st.dictionaries(_NAMES, json_values(max_leaves=4), max_size=3)
_RESULTS = texts() | json_values(max_leaves=4)


def _seconds(longest: float) -> st.SearchStrategy[float]:
    return st.just(0.0) | st.floats(0, longest)


@st.composite
def faults(
    draw: st.DrawFn, *, body_size: int = 4096, max_seconds: float = 200.0, cancel: bool = False
) -> Faults:
    """A world that goes wrong. `body_size` bounds the places, `max_seconds` the times; with
    `cancel` the run is cancelled at some moment too, or around some effect."""
    places = st.none() | st.integers(0, body_size)
    times = _seconds(max_seconds)
    sizes = st.lists(st.integers(1, 100), min_size=1, max_size=5)
    named: tuple[Cut, ...] = ("written", "seeded")
    cut: st.SearchStrategy[Cut] = st.sampled_from(named) | sizes.map(tuple)
    cancelled = draw(st.sampled_from((None, "at", "after", "during"))) if cancel else None
    return Faults(
        cut=draw(cut),
        connect_delay=draw(times),
        delay=draw(times),
        jitter=draw(times),
        call_seconds=draw(times),
        slow_reader=draw(times),
        reset_at=draw(places),
        truncate_at=draw(places),
        garbage_at=draw(places),
        garbage=draw(hostile_bytes()),
        cancel_at=draw(times) if cancelled == "at" else None,
        cancel_after=draw(st.integers(0, 50)) if cancelled == "after" else None,
        cancel_during=draw(st.integers(1, 50)) if cancelled == "during" else None,
    )


def hostile_bytes(*, max_size: int = 200) -> st.SearchStrategy[bytes]:
    """What no honest peer sends: broken UTF-8 and JSON, stray line ends, unfinished fields, noise."""
    fragments = st.sampled_from(
        (
            b"\xff\xfe",
            b"\xc3(",
            b"\xed\xa0\x80",  # a surrogate in UTF-8
            b"\x00",
            b"\r",
            b"\n",
            b"\r\n\r\n",
            b"data:",
            b"data: {\n\n",
            b"data: null\n\n",
            b"data: [1,2]\n\n",
            b'data: {"choices":[{"delta":null}]}\n\n',
            b'data: {"type":"content_block_delta","index":99}\n\n',
            b"event: error\n",
            b"event: \xff\n",
            b"data: [DONE]\n\n",
            b"id:\x00\n",
            b"retry: -1\n",
            b"[" * 64,
            b'{"a":' * 32,
            b'"\\ud800"',
            b"1e999",
            b"<html>",
        )
    )
    noise = st.binary(max_size=20)
    return st.lists(fragments | noise, max_size=12).map(b"".join).map(lambda data: data[:max_size])


_MEDIA: dict[str, st.SearchStrategy[Any]] = {
    "image": st.just(ImagePart(mime="image/png", data_b64=_PNG)),
    "image_url": st.just(ImageUrlPart(url="https://example.com/a%20b.png")),
    "document": st.just(DocumentPart(data_b64=_PDF, title="report")),
    "document_text": texts().map(
        lambda text: DocumentPart(mime="text/plain", text=text or ".", title="notes")
    ),
    "document_url": st.just(DocumentPart(url="https://example.com/a.pdf")),
    "audio": st.just(AudioPart(mime="audio/wav", data_b64=_WAV)),
    "video": st.just(VideoPart(mime="video/mp4", data_b64=_WAV)),
}
MEDIA: Final = tuple(_MEDIA)
"""The kinds of media that `conversations` can put into messages."""
EVERYWHERE: Final = ("image",)
_SIGNED: Final = Replay(vendor="anthropic", data={"signature": "c2ln"})


def _media(kinds: Collection[str], most: int) -> st.SearchStrategy[list[Any]]:
    found = [_MEDIA[kind] for kind in kinds]
    return st.lists(st.one_of(found), max_size=most) if found else st.just([])


@st.composite
def _answers(draw: st.DrawFn, calls: range, replay: Replay = _SIGNED) -> Message:
    """What a model says; each of the calls has its number in its id."""
    parts: list[Part] = []
    if draw(st.booleans()):
        parts.append(ThinkingPart(text=draw(texts()), replay=draw(st.none() | st.just(replay))))
    if not calls or draw(st.booleans()):
        parts.append(TextPart(text=draw(texts()) or "."))
    for number in calls:
        parts.append(ToolCallPart(id=f"call_{number}", name=draw(_NAMES), args=draw(_ARGUMENTS)))
    return Message.assistant(parts)


@st.composite
def _results(draw: st.DrawFn, message: Message, kinds: Collection[str]) -> Message:
    """The tool message that answers the calls of an assistant's message, in any order."""
    results = []
    for call in message.tool_calls:
        fields: dict[str, Any] = {"result": draw(_RESULTS), "is_error": draw(st.booleans())}
        media = draw(_media(kinds, 2))
        if media:
            fields["content"] = (TextPart(text=draw(texts()) or "."), *media)
        results.append(ToolResultPart(id=call.id, name=call.name, **fields))
    return Message.tool(draw(st.permutations(results)))


@st.composite
def _users(draw: st.DrawFn, kinds: Collection[str]) -> Message:
    return Message.user([TextPart(text=draw(texts()) or "."), *draw(_media(kinds, 2))])


@st.composite
def conversations(
    draw: st.DrawFn,
    *,
    max_turns: int = 4,
    media: Collection[str] = EVERYWHERE,
    result_media: Collection[str] = (),
    replay: Replay = _SIGNED,
) -> list[Message]:
    """A history that every provider has to take: each tool call has its result, in the next message.

    There are calls side by side, thinking, images, and text of every script; ids are unique.
    It may end with an answer, with the results of tools, or with the user.

    media         kinds of MEDIA in the user's messages
    result_media  kinds of MEDIA in the results of tools, which not every provider takes
    replay        what some of the thinking came with
    """
    messages = [Message.system(draw(texts()) or ".")] if draw(st.booleans()) else []
    count = 0
    for _ in range(draw(st.integers(1, max_turns))):
        messages.append(draw(_users(media)))
        for _ in range(draw(st.integers(0, 2))):
            calls = range(count, count + draw(st.integers(1, 3)))
            count = calls.stop
            asked = draw(_answers(calls, replay))
            messages += [asked, draw(_results(asked, result_media))]
        if draw(st.booleans()):
            messages.append(draw(_answers(range(0), replay)))
    return messages


@st.composite
def responses(draw: st.DrawFn) -> ChatResponse:
    """A whole answer of a model, to script one with: text, thinking, tool calls, usage known or not."""
    calls = range(draw(st.integers(0, 3)))
    reason: FinishReason = (
        "tool_calls" if calls else draw(st.sampled_from(("stop", "length", "content_filter")))
    )
    counts = st.none() | st.integers(0, 100_000)
    usage = Usage(input_tokens=draw(counts), output_tokens=draw(counts))
    return ChatResponse(message=draw(_answers(calls)), finish_reason=reason, usage=usage)
