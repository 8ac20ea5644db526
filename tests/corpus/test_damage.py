"""Every recorded stream, cut off and with bytes flipped, ends in order; nothing looks whole that is not."""

from __future__ import annotations

import random

import pytest

from tako.events import ChatChunk, ChatEnd, ChatError, ToolCall
from tests.corpus.subject import Subject
from tests.corpus.test_decoding import SUBJECTS, of
from tests.support.answers import collect, streamed
from tests.support.corpus import ABSENT, CORPUS

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=ABSENT)

EVERY_OFFSET = 250
"""Bodies up to this long are cut at every offset, longer ones at as many."""
FLIPS = 12


def offsets(size: int, chance: random.Random) -> list[int]:
    """Where to cut: everywhere in a short body; in a long one, near its end above all."""
    if size <= EVERY_OFFSET:
        return list(range(size))
    near_the_end = range(max(0, size - 60), size)
    return sorted({*near_the_end, *chance.sample(range(size), EVERY_OFFSET - 60)})


def is_whole(chunks: list[ChatChunk]) -> bool:
    """Whether a stream looks whole; asserts that it ended in order, as `told` does, at less cost."""
    kinds = [type(chunk) for chunk in chunks]
    assert kinds.index(ChatEnd) == len(kinds) - 1
    if ChatError not in kinds:
        return True
    assert kinds.index(ChatError) == len(kinds) - 2
    return False


@pytest.mark.parametrize(("subject", "endpoint"), SUBJECTS)
def test_cut_off_anywhere_it_never_looks_whole(subject: Subject, endpoint: str) -> None:
    for exchange in of(subject, endpoint):
        if not exchange.is_stream:
            continue
        provider, body = subject.provider(exchange), exchange.body
        whole, _ = collect(streamed(provider.decoder(), [body]))
        for size in offsets(len(body), random.Random(exchange.id)):
            chunks = streamed(provider.decoder(), [body[:size]])
            if not is_whole(chunks):
                assert not any(type(chunk) is ToolCall for chunk in chunks), f"{exchange.id} cut at {size}"
                continue
            if exchange.id in subject.ends_early:
                continue
            # Nothing is missing but what the vendor sends after the end: usage, or a blank line.
            start, _ = collect(chunks)
            where = f"{exchange.id} cut at {size} of {len(body)}"
            assert start.message == whole.message, where
            assert start.raw_finish_reason == whole.raw_finish_reason, where


@pytest.mark.parametrize(("subject", "endpoint"), SUBJECTS)
def test_with_a_byte_flipped_it_ends_in_order(subject: Subject, endpoint: str) -> None:
    for exchange in of(subject, endpoint):
        if not exchange.is_stream:
            continue
        chance = random.Random(exchange.id)
        for _ in range(FLIPS):
            body = bytearray(exchange.body)
            for _ in range(chance.choice((1, 1, 3, 20))):
                body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
            is_whole(streamed(subject.provider(exchange).decoder(), [bytes(body)]))
