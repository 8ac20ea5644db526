"""ResponseBuilder: an answer of any length is whole, and held about once."""

from __future__ import annotations

import tracemalloc

from tako.events import ChatEnd, TextDelta, ThinkingBlock, ThinkingDelta
from tako.models import ThinkingPart, Usage
from tako.providers.base import MANY, ResponseBuilder

PIECES = 5 * MANY + 7


def test_a_long_answer_is_whole_and_in_order() -> None:
    words = [f"{number} " for number in range(PIECES)]
    builder = ResponseBuilder()
    for word in words[: PIECES // 2]:
        builder.add([TextDelta(word)])
    builder.add([TextDelta(word) for word in words[PIECES // 2 :]])
    assert builder.response().message.text == "".join(words)
    builder.add(
        [
            ThinkingDelta("hm"),
            ThinkingBlock(ThinkingPart(text="hm")),
            TextDelta("end"),
            ChatEnd("stop", Usage()),
        ]
    )
    parts = builder.finish().message.content
    assert [part.type for part in parts] == ["text", "thinking", "text"]


def test_a_long_answer_is_held_as_text_and_not_as_words() -> None:
    builder = ResponseBuilder()
    tracemalloc.start()
    try:
        for number in range(20 * MANY):
            builder.add([TextDelta(f"{number:05d}")])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Five letters take more than fifty bytes as an object.
    assert held < 20 * MANY * 15
    assert len(builder.response().text) == 20 * MANY * 5
