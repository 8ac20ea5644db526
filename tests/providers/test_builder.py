"""ResponseBuilder: an answer of any length is whole, and held about once."""

from __future__ import annotations

import tracemalloc

from tako.events import (
    ChatChunk,
    ChatEnd,
    Logprobs,
    MediaBlock,
    OtherChoice,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
)
from tako.models import (
    Choice,
    Citation,
    ImagePart,
    Message,
    Replay,
    TextPart,
    ThinkingPart,
    TokenLogprob,
    Usage,
)
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


def parts_after(*chunks: ChatChunk) -> list[tuple[str, str]]:
    builder = ResponseBuilder()
    builder.add(chunks)
    return [(part.type, getattr(part, "text", "")) for part in builder.response().message.content]


CITED = TextPart(text="two words", citations=(Citation(source="https://sea.example"),))


def test_a_block_of_text_takes_the_place_of_its_deltas() -> None:
    block = [TextDelta("two"), TextDelta(" words"), TextBlock(CITED)]
    assert parts_after(*block) == [("text", "two words")]
    assert parts_after(TextDelta("Before: "), *block) == [("text", "Before: "), ("text", "two words")]
    assert parts_after(*block, TextDelta(", after")) == [("text", "two words"), ("text", ", after")]
    assert parts_after(*block, *block) == [("text", "two words")] * 2
    builder = ResponseBuilder()
    builder.add(block)
    assert builder.response().message.content == (CITED,)


def test_a_block_of_text_that_is_longer_than_what_is_kept_apart() -> None:
    words = [f"{number} " for number in range(PIECES)]
    builder = ResponseBuilder()
    builder.add([TextDelta("Before. ")])
    for word in words:
        builder.add([TextDelta(word)])
    builder.add([TextBlock(TextPart(text="".join(words), citations=CITED.citations))])
    assert [part.text for part in builder.response().message.content] == ["Before. ", "".join(words)]


def test_a_block_without_text_keeps_what_its_vendor_wants_back() -> None:
    signed = TextPart(text="", replay=Replay(vendor="v", data={"signature": "s"}))
    assert parts_after(TextDelta("a"), TextBlock(signed)) == [("text", "a"), ("text", "")]


def test_media_other_choices_and_log_probabilities_are_in_the_response() -> None:
    image = ImagePart(mime="image/png", data_b64="AAAA")
    choice = Choice(index=1, message=Message.assistant("or this"))
    tokens = [TokenLogprob(token=token, logprob=-0.5, top=(("x", -1.0),)) for token in "ab"]
    builder = ResponseBuilder()
    builder.add([TextDelta("look: "), MediaBlock(image), OtherChoice(choice)])
    builder.add([Logprobs((tokens[0],)), Logprobs((tokens[1],))])
    builder.add([ChatEnd("stop", Usage(), details={"filter": "off"})])
    response = builder.finish()
    assert [part.type for part in response.message.content] == ["text", "image"]
    assert response.other_choices == (choice,)
    assert response.logprobs == tuple(tokens)
    assert response.details == {"filter": "off"}


def test_an_answer_without_log_probabilities_says_none() -> None:
    assert ResponseBuilder().response().logprobs is None
