"""Gemini's plain events: one candidate, one piece of text. A quick way takes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bench.measure import count_calls
from tako.events import TextDelta
from tako.providers.gemini.decode import GeminiDecoder
from tests.support.answers import event_stream

PLAIN = {"usageMetadata": {"promptTokenCount": 1}}


def event(*parts: Any, reason: str | None = None) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "responseId": "r", "modelVersion": "gemini-9"}


def lines(*events: Any) -> bytes:
    return event_stream(*(json.dumps(each) for each in events))


@pytest.mark.parametrize("extra", [{}, {"createTime": "2026"}])
def test_a_plain_event_takes_few_function_calls(extra: dict[str, str]) -> None:
    def work(count: int) -> Callable[[], None]:
        events = [{**event({"text": "word "}), **PLAIN, **extra}] * count
        body = lines(*events, event({"text": "."}, reason="STOP")).replace(b"\n", b"\r\n")

        def decode() -> None:
            decoder = GeminiDecoder()
            assert len(decoder.feed(body) + decoder.feed(b"")) == count + 2

        return decode

    few, many = (count_calls(work(count)) for count in (100, 600))
    assert (many - few) / 500 <= (13 if not extra else 20)


@pytest.mark.parametrize(
    ("odd", "chunks"),
    [
        ({"responseId": "other"}, [TextDelta("x")]),
        ({"usageMetadata": {"promptTokenCount": 5}}, [TextDelta("x")]),
        ({"usageMetadata": {"trafficType": "t"}}, [TextDelta("x")]),
        ({"usageMetadata": None}, [TextDelta("x")]),
        ({"createTime": "later"}, [TextDelta("x")]),
        ({"news": 1}, [TextDelta("x")]),
        ({"error": None}, [TextDelta("x")]),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, [TextDelta("x")]),
        ({"candidates": [{"index": 1, "content": {"parts": [{"text": "x"}]}}]}, []),
        ({"candidates": [{"content": {"parts": [{"text": ""}]}}]}, []),
        (
            {"candidates": [{"content": {"parts": [{"text": "x", "thoughtSignature": "s"}]}}]},
            [TextDelta("x")],
        ),
    ],
)
@pytest.mark.parametrize("place", [2, 3])
def test_the_quick_way_and_the_careful_one_say_the_same(
    odd: dict[str, Any], chunks: list[Any], place: int
) -> None:
    """An event in a list is never taken the quick way."""
    quick, careful = GeminiDecoder(), GeminiDecoder()
    events = [
        {**event({"text": word}), "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": number}}
        for number, word in enumerate("abc")
    ]
    events.insert(place, {**event({"text": "x"}), **PLAIN, **odd})
    events.append({"candidates": [{"finishReason": "STOP"}]})
    told_quickly = [quick.feed(lines(each)) for each in events] + [quick.feed(b"")]
    told_carefully = [careful.feed(lines([each])) for each in events] + [careful.feed(b"")]
    assert told_quickly == told_carefully
    assert told_quickly[place] == chunks
