"""Answers of Gemini and Vertex, whole and as streams: the tables of the decoder, row by row."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.errors import ProtocolError, ProviderError, TakoError, TransportError
from tako.events import Logprobs, OtherChoice, TextDelta, ThinkingDelta, ToolCall
from tako.models import (
    AudioPart,
    ChatRequest,
    ChatResponse,
    Citation,
    ImagePart,
    Message,
    OpaquePart,
    Replay,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    VideoPart,
)
from tako.providers import Gemini
from tako.providers.answer import MAX_BLOCKS
from tako.providers.gemini.decode import FAILURES, REASONS, GeminiDecoder, usage_of
from tako.providers.gemini.partial import PartialArguments
from tako.testing import strategies
from tests.effort import examples
from tests.support.answers import collect, cuts, event_stream, spoiled, streamed, told

PIXEL = "iVBORw0KGgo="
SIGNED = Replay(vendor="gemini", data={"thoughtSignature": "c2ln"})
SIGNATURE = {"thoughtSignature": "c2ln"}


def event(*parts: Any, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **fields}
    if reason is not None:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "responseId": "r", "modelVersion": "gemini-9"}


def lines(*events: Any) -> bytes:
    return event_stream(*(json.dumps(each) for each in events))


def answer(*events: Any) -> ChatResponse:
    """What is in the events, which has to be the same as a stream, as an array, and as one whole answer."""
    from_lines, failure = collect(streamed(GeminiDecoder(), [lines(*events)]))
    assert failure is None, failure
    from_array, failure = collect(streamed(GeminiDecoder(), [json.dumps(events, indent=1).encode()]))
    assert failure is None, failure
    assert from_lines == from_array
    if len(events) == 1:
        assert GeminiDecoder().whole(events[0]) == from_lines
    return from_lines


def broken(body: bytes) -> tuple[ChatResponse, TakoError]:
    response, failure = collect(streamed(GeminiDecoder(), [body]))
    assert isinstance(failure, TakoError)
    return response, failure


def content_of(*parts: Any, reason: str = "STOP") -> tuple[Any, ...]:
    return answer(event(*parts, reason=reason)).message.content


CALL = {"functionCall": {"name": "f", "args": {"a": 1}}}


@pytest.mark.parametrize(
    ("parts", "content"),
    [
        ([{"text": "a"}, {"text": "b"}], [TextPart(text="ab")]),
        ([{"text": "a"}, {}, {"text": ""}, {"text": "b"}], [TextPart(text="ab")]),
        ([{"text": "a", **SIGNATURE}], [TextPart(text="a", replay=SIGNED)]),
        (
            [{"text": "a"}, {"text": "b", **SIGNATURE}, {"text": "c"}],
            [TextPart(text="a"), TextPart(text="b", replay=SIGNED), TextPart(text="c")],
        ),
        (
            [{"text": "a"}, {"text": "", **SIGNATURE}, {"text": "b"}],
            [TextPart(text="a"), TextPart(text="", replay=SIGNED), TextPart(text="b")],
        ),
        (
            [{"text": "h", "thought": True}, {"text": "m", "thought": True}, {"text": "a"}],
            [ThinkingPart(text="hm"), TextPart(text="a")],
        ),
        (
            [{"text": "a"}, {"text": "h", "thought": True, **SIGNATURE}, {"text": "m", "thought": True}],
            [TextPart(text="a"), ThinkingPart(text="h", replay=SIGNED), ThinkingPart(text="m")],
        ),
        ([{"text": "", "thought": True}], []),
        (
            [{"executableCode": {"code": "1"}, **SIGNATURE}, {"codeExecutionResult": {"outcome": "OK"}}],
            [
                OpaquePart(
                    replay=Replay(vendor="gemini", data={"executableCode": {"code": "1"}, **SIGNATURE})
                ),
                OpaquePart(replay=Replay(vendor="gemini", data={"codeExecutionResult": {"outcome": "OK"}})),
            ],
        ),
        (
            [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}],
            [ImagePart(mime="image/png", data_b64=PIXEL)],
        ),
        (
            [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": PIXEL}, **SIGNATURE}],
            [TextPart(text="a"), ImagePart(mime="image/png", data_b64=PIXEL), OpaquePart(replay=SIGNED)],
        ),
        (
            [{"inlineData": {"mimeType": "audio/L16;rate=24000", "data": PIXEL}}],
            [
                AudioPart(
                    mime="audio/l16",
                    data_b64=PIXEL,
                    replay=Replay(vendor="gemini", data={"inlineData": {"mimeType": "audio/L16;rate=24000"}}),
                )
            ],
        ),
        (
            [{"inlineData": {"mimeType": "video/mp4", "data": PIXEL}}],
            [VideoPart(mime="video/mp4", data_b64=PIXEL)],
        ),
        *(
            ([part], [OpaquePart(replay=Replay(vendor="gemini", data=part))])
            for part in (
                {"inlineData": {"mimeType": "application/pdf", "data": PIXEL}},
                {"inlineData": {"mimeType": "image/png", "data": PIXEL}, "thought": True},
                {"inlineData": {"mimeType": "image/png", "data": PIXEL, "displayName": "x"}},
                {"new": 1},
            )
        ),
    ],
)
def test_what_a_part_becomes(parts: list[Any], content: list[Any]) -> None:
    assert list(content_of(*parts)) == content
    # In events of their own they are the same.
    *before, last = [event(part) for part in parts]
    last["candidates"][0]["finishReason"] = "STOP"
    assert list(answer(*before, last).message.content) == content


def test_text_and_thinking_are_told_at_once() -> None:
    decoder = GeminiDecoder()
    assert decoder.feed(lines(event({"text": "h", "thought": True}))) == [ThinkingDelta("h")]
    block, delta = decoder.feed(lines(event({"text": "a"})))
    assert (type(block).__name__, delta) == ("ThinkingBlock", TextDelta("a"))
    assert decoder.feed(lines(event({"text": "b"}))) == [TextDelta("b")]


def test_what_is_decoded_is_sent_back_as_it_came() -> None:
    parts = [
        {"text": "h", "thought": True, **SIGNATURE},
        {"text": "a"},
        {"text": "b", **SIGNATURE},
        {"text": "", **SIGNATURE},
        {"executableCode": {"code": "1"}},
        {"codeExecutionResult": {"outcome": "OK"}, **SIGNATURE},
        {"inlineData": {"mimeType": "image/png", "data": PIXEL}, **SIGNATURE},
        {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": PIXEL}, **SIGNATURE},
        {"functionCall": {"name": "f", "args": {"a": 1}, "id": "1", "more": 2}, **SIGNATURE},
        {"functionCall": {"name": "f", "args": {"a": 1}}},
        {"inlineData": {"mimeType": "video/mp4", "data": PIXEL}},
        {"text": "", **SIGNATURE},
    ]
    message = answer(event(*parts, reason="STOP")).message
    request = ChatRequest(messages=(Message.user("x"), message))
    body = json.loads(Gemini("m", "k").http_request(request, stream=False).body)
    assert body["contents"][1]["parts"] == parts


def test_calls_have_their_own_ids_also_where_they_are_the_same() -> None:
    with_id = {"functionCall": {"name": "f", "args": {"a": 1}, "id": "v"}}
    response = answer(event(CALL, CALL, with_id, with_id, {"functionCall": {"name": "g"}}, reason="STOP"))
    calls = response.message.tool_calls
    assert [(call.name, call.args) for call in calls] == [("f", {"a": 1})] * 4 + [("g", {})]
    assert [call.id for call in calls] == [
        "gemini_call_r_0",
        "gemini_call_r_1",
        "v",
        "gemini_call_r_3",
        "gemini_call_r_4",
    ]
    assert (response.finish_reason, response.raw_finish_reason) == ("tool_calls", "STOP")


def test_blocks_after_a_call_keep_their_place() -> None:
    code = {"executableCode": {"code": "1"}}
    kinds = [
        type(part) for part in content_of({"text": "a"}, CALL, code, {"text": "h", "thought": True}, CALL)
    ]
    assert kinds == [TextPart, ToolCallPart, OpaquePart, ThinkingPart, ToolCallPart]


def test_text_after_a_call_keeps_its_place() -> None:
    parts: list[Any] = [{"text": "a"}, CALL, {"text": "b"}, {"text": "c"}, CALL, {"text": "d", **SIGNATURE}]
    first, call, second, other, signed = content_of(*parts)
    assert [type(each) for each in (call, other)] == [ToolCallPart] * 2
    assert [first, second, signed] == [
        TextPart(text="a"),
        TextPart(text="bc"),
        TextPart(text="d", replay=SIGNED),
    ]
    response, error = broken(lines(*[event(part) for part in parts]))
    assert isinstance(error, TransportError)
    assert response.message.text == "abcd"
    assert response.message.content[-1] == TextPart(text="d", replay=SIGNED)


@pytest.mark.parametrize("last", [{"text": "x"}, {"text": "x", "thought": True}])
def test_what_is_open_is_told_also_where_no_more_can_be_held(last: dict[str, Any]) -> None:
    call = {"functionCall": {"name": "f"}}
    response, error = broken(lines(event(*[call] * MAX_BLOCKS, last)))
    assert isinstance(error, TransportError)
    assert [part.text for part in response.message.content if isinstance(part, TextPart | ThinkingPart)] == [
        "x"
    ]


def test_a_call_is_told_at_the_end_only_and_never_from_a_stream_that_broke() -> None:
    decoder = GeminiDecoder()
    assert decoder.feed(lines(event(CALL, reason="STOP"))) == []
    assert next(type(chunk) for chunk in decoder.feed(b"")) is ToolCall
    response, error = broken(lines(event(CALL)))
    assert isinstance(error, TransportError)
    assert response.message.content == ()


@pytest.mark.parametrize("call", [{"args": {}}, {"name": ""}, {"name": 7}])
def test_a_call_without_a_name_is_an_error(call: dict[str, Any]) -> None:
    assert isinstance(broken(lines(event({"functionCall": call}, reason="STOP")))[1], ProtocolError)


# Arguments that are streamed.


def pieces(*partial: Any, more: bool = True, **fields: Any) -> dict[str, Any]:
    call: dict[str, Any] = {**fields, "partialArgs": list(partial)}
    if more:
        call["willContinue"] = True
    return {"functionCall": call}


def test_streamed_arguments_become_one_call() -> None:
    response = answer(
        event({"functionCall": {"name": "f", "id": "1", "willContinue": True}, **SIGNATURE}),
        event(pieces({"jsonPath": "$.city", "stringValue": "Par", "willContinue": True})),
        event(pieces({"jsonPath": "$.city", "stringValue": "is"})),
        event(
            pieces(
                {"jsonPath": "$.n[0]['a \\' b']", "numberValue": 1.5},
                {"jsonPath": '$.n[0]["c"]', "boolValue": False},
                {"jsonPath": "$.n[1]", "nullValue": "NULL_VALUE"},
            )
        ),
        event({"functionCall": {}}),
        event(pieces({"jsonPath": "$.x", "stringValue": ""}, name="g", more=False)),
        event(reason="STOP"),
    )
    first, second = response.message.tool_calls
    assert (first.id, first.name, first.replay) == ("1", "f", SIGNED)
    assert first.args == {"city": "Paris", "n": [{"a ' b": 1.5, "c": False}, None]}
    assert (second.name, second.args) == ("g", {"x": ""})


def test_a_new_name_ends_the_call_before() -> None:
    response = answer(
        event(pieces({"jsonPath": "$.a", "numberValue": 1}, name="f")),
        event(pieces({"jsonPath": "$.b", "numberValue": 2}, name="g"), {"functionCall": {}}),
        event(reason="STOP"),
    )
    assert [(call.name, call.args) for call in response.message.tool_calls] == [
        ("f", {"a": 1}),
        ("g", {"b": 2}),
    ]


@pytest.mark.parametrize(
    "parts",
    [
        [pieces({"jsonPath": "$.a", "stringValue": "x"}, name="f")],
        [pieces({"jsonPath": "$.a", "stringValue": "x", "willContinue": True}, name="f", more=False)],
        [
            pieces({"jsonPath": "$.a", "stringValue": "x", "willContinue": True}, name="f"),
            {"functionCall": {}},
        ],
    ],
)
@pytest.mark.parametrize("reason", ["MAX_TOKENS", "STOP"])
def test_a_call_whose_arguments_were_cut_is_an_error(parts: list[Any], reason: str) -> None:
    response, error = broken(lines(event({"text": "a"}), event(*parts), event(reason=reason)))
    assert isinstance(error, ProviderError)
    assert "cut" in error.message
    assert response.message.content == (TextPart(text="a"),)


@pytest.mark.parametrize(
    "path", ["", "$", "city", "$.", "$.a[", "$[0]", "$.a[1]", "$.a..b", "$..a", "$.a[-1]", 7, "$" + ".a" * 65]
)
def test_a_place_that_is_none_is_an_error(path: Any) -> None:
    with pytest.raises(ProtocolError):
        PartialArguments().add({"jsonPath": path, "numberValue": 1})


def test_a_place_inside_a_value_is_an_error_and_arguments_have_a_limit() -> None:
    arguments = PartialArguments()
    arguments.add({"jsonPath": "$.a", "stringValue": "x"})
    for path in ("$.a.b", "$.a[0]"):
        with pytest.raises(ProtocolError):
            arguments.add({"jsonPath": path, "numberValue": 1})
    with pytest.raises(ProtocolError, match="more than"):
        for number in range(MAX_BLOCKS + 1):
            arguments.add({"jsonPath": f"$.b{number}", "numberValue": 1})


# How an answer ends.


@pytest.mark.parametrize(("raw", "reason"), [*REASONS.items(), ("NEW_ONE", "other")])
def test_finish_reasons(raw: str, reason: str) -> None:
    response = answer(event({"text": "a"}, reason=raw))
    assert (response.finish_reason, response.raw_finish_reason) == (reason, raw)


@pytest.mark.parametrize("raw", sorted(FAILURES))
def test_what_the_vendor_calls_a_failure_is_one(raw: str) -> None:
    response, error = broken(lines(event({"text": "a"}, CALL, reason=raw, finishMessage="so it is")))
    assert isinstance(error, ProviderError)
    assert error.code == raw
    assert "so it is" in error.message
    assert (response.text, response.message.tool_calls, response.finish_reason) == ("a", (), "error")
    with pytest.raises(ProviderError, match=raw):
        GeminiDecoder().whole(event({"text": "a"}, reason=raw))


def test_all_the_vendors_reasons_are_known() -> None:
    types = pytest.importorskip(
        "google.genai.types", reason="the vendor's library is not installed: google.genai"
    )
    assert {reason.value for reason in types.FinishReason} == REASONS.keys() | FAILURES


@pytest.mark.parametrize(
    ("events", "is_whole"),
    [
        ([], False),
        ([event({"text": "a"})], False),
        ([event({"text": "a"}, reason="STOP")], True),
        ([event({"text": "a"}), event(reason="STOP")], True),
        ([event({"text": "a"}, reason="STOP"), {"usageMetadata": {"promptTokenCount": 1}}], True),
        ([event({"text": "a"}, reason="STOP"), event()], True),
        ([event({"text": "a"}, reason="STOP"), event({"text": ""})], True),
        ([event({"text": "a"}, reason="STOP"), event({"text": "b"})], False),
        ([event({"text": "a"}, reason="STOP"), event({"text": "b"}, reason="STOP")], True),
        ([event({"executableCode": {"code": "1"}}, reason="STOP")], False),
        ([event({"toolCall": {}}, reason="STOP")], False),
        ([event({"executableCode": {"code": "1"}}, reason="MAX_TOKENS")], True),
        ([event({"executableCode": {}}, reason="STOP"), event({"codeExecutionResult": {}})], False),
        ([{"promptFeedback": {"blockReason": "SAFETY"}}], True),
        ([{"promptFeedback": {}}], True),
        ([{"promptFeedback": {}}, event({"text": "a"})], False),
        ([{"usageMetadata": {"promptTokenCount": 1}}], False),
        ([{"candidates": [{"index": 1, "finishReason": "STOP"}]}], False),
    ],
)
def test_when_a_stream_is_whole(events: list[Any], is_whole: bool) -> None:
    for body in (lines(*events), json.dumps(events).encode()):
        _, failure = collect(streamed(GeminiDecoder(), [body] if events else []))
        assert (failure is None) == is_whole
        assert is_whole or isinstance(failure, TransportError)


def test_an_array_that_is_not_closed_is_not_whole() -> None:
    body = json.dumps([event({"text": "a"}, reason="STOP")]).encode()
    response, error = broken(body[:-1])
    assert isinstance(error, TransportError)
    assert response.text == "a"


def test_a_blocked_prompt_is_an_answer_that_says_so() -> None:
    feedback = {"blockReason": "SAFETY", "safetyRatings": [{"category": "c"}]}
    response = answer({"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 3}})
    assert (response.finish_reason, response.raw_finish_reason) == ("content_filter", None)
    assert response.details == {"promptFeedback": feedback}
    assert response.usage.input_tokens == 3
    assert answer({"promptFeedback": {"safetyRatings": []}}).finish_reason == "other"


@pytest.mark.parametrize("payload", [{}, {"candidates": []}, {"usageMetadata": {}}, [], 7, None])
def test_a_whole_answer_without_an_answer_is_an_error(payload: Any) -> None:
    with pytest.raises(ProtocolError):
        GeminiDecoder().whole(payload)


# Facts.


def test_usage_is_all_that_was_read_and_written() -> None:
    counts = {
        "promptTokenCount": 10,
        "toolUsePromptTokenCount": 5,
        "cachedContentTokenCount": 4,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 2,
    }
    usage = usage_of(counts)
    assert (usage.input_tokens, usage.output_tokens) == (15, 5)
    assert (usage.cache_read_tokens, usage.reasoning_tokens, usage.raw) == (4, 2, counts)
    assert usage_of({"promptTokenCount": 0}).input_tokens == 0
    assert usage_of({}).input_tokens is None
    assert usage_of({"promptTokenCount": None, "candidatesTokenCount": "x"}).output_tokens is None


def test_the_last_usage_counts_unless_it_counts_nothing() -> None:
    def used(*usages: dict[str, Any]) -> Any:
        return answer(
            *({"usageMetadata": usage} for usage in usages), event({"text": "a"}, reason="STOP")
        ).usage.raw

    assert used({"promptTokenCount": 1, "candidatesTokenCount": 9}, {"promptTokenCount": 2}) == {
        "promptTokenCount": 2
    }
    assert used({"promptTokenCount": 1}, {"trafficType": "ON_DEMAND"}) == {"promptTokenCount": 1}
    assert used({"trafficType": "ON_DEMAND"}) == {"trafficType": "ON_DEMAND"}


def test_what_else_is_said_is_in_the_details() -> None:
    response = answer(
        {"createTime": "then", **event({"text": "a"}, safetyRatings=[1], avgLogprobs=-0.5)},
        event(safetyRatings=[2], urlContextMetadata={"u": 1}, reason="STOP", finishMessage="done"),
    )
    assert response.details == {
        "createTime": "then",
        "avgLogprobs": -0.5,
        "safetyRatings": [2],
        "urlContextMetadata": {"u": 1},
        "finishMessage": "done",
    }
    assert (response.model, response.response_id) == ("gemini-9", "r")


def test_log_probabilities() -> None:
    result = {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}, {"logProbability": -1}],
        "topCandidates": [{"candidates": [{"token": "b", "logProbability": -2}]}],
    }
    chunks = streamed(GeminiDecoder(), [lines(event({"text": "a"}, logprobsResult=result, reason="STOP"))])
    (found,) = [chunk for chunk in chunks if type(chunk) is Logprobs]
    assert [(t.token, t.logprob, t.top) for t in found.tokens] == [
        ("a", -0.5, (("b", -2.0),)),
        ("", -1.0, ()),
    ]


def grounded(*supports: Any, chunks: Any = None) -> dict[str, Any]:
    found = [{"web": {"uri": "https://u", "title": "U"}}, {"retrievedContext": {"text": "T", "title": "D"}}]
    return {"groundingChunks": found if chunks is None else chunks, "groundingSupports": list(supports)}


def places(text: str, metadata: Any, *parts: Any) -> list[tuple[Any, ...]]:
    response = answer(event({"text": text}, *parts), event(reason="STOP", groundingMetadata=metadata))
    assert response.details["groundingMetadata"] == metadata
    (part, *_) = response.message.content
    assert isinstance(part, TextPart)
    assert part.text == text
    return [(c.source, c.title, c.text, c.start, c.end) for c in part.citations]


def test_grounding_becomes_citations_with_places_in_characters() -> None:
    support = {"segment": {"startIndex": 3, "endIndex": 5, "text": "bc"}, "groundingChunkIndices": [0, 1, 9]}
    metadata = grounded(support)
    assert places("\u20acbc", metadata) == [("https://u", "U", None, 1, 3), (None, "D", "T", 1, 3)]
    # A signature in an empty part behind the text does not come between them.
    assert places("\u20acbc", metadata, {"text": "", **SIGNATURE})[0] == ("https://u", "U", None, 1, 3)
    # The vendor counts from elsewhere: the words are looked for.
    assert places("xy\u20acbc", metadata)[0] == ("https://u", "U", None, 3, 5)
    assert places("other", metadata)[0] == ("https://u", "U", None, None, None)
    assert places("x", grounded(chunks=[{}, {"web": {"uri": "u"}}])) == [("u", None, None, None, None)]


def test_citations_are_told_once_and_keep_the_vendors_object() -> None:
    source = {"startIndex": 0, "endIndex": 1, "uri": "https://u", "license": "mit"}
    first = event({"text": "a"}, citationMetadata={"citationSources": [source]})
    again = event(
        {"text": "b"}, citationMetadata={"citations": [source, {"endIndex": 2, "title": "t"}]}, reason="STOP"
    )
    (part,) = answer(first, again).message.content
    assert isinstance(part, TextPart)
    assert part.citations == (
        Citation(source="https://u", start=0, end=1, replay=Replay(vendor="gemini", data=source)),
        Citation(
            title="t", start=0, end=2, replay=Replay(vendor="gemini", data={"endIndex": 2, "title": "t"})
        ),
    )


def test_places_are_in_characters_also_where_the_vendor_repeats_no_words() -> None:
    source = {"startIndex": 3, "endIndex": 4, "uri": "u"}
    (part,) = answer(
        event({"text": "\u20acab"}, citationMetadata={"citations": [source]}, reason="STOP")
    ).message.content
    assert isinstance(part, TextPart)
    assert [(c.start, c.end) for c in part.citations] == [(1, 2)]


def test_a_stream_that_broke_keeps_what_belongs_to_its_text() -> None:
    response, error = broken(lines(event({"text": "h", "thought": True}), event({"text": "a", **SIGNATURE})))
    assert isinstance(error, TransportError)
    assert response.message.content == (ThinkingPart(text="h"), TextPart(text="a", replay=SIGNED))


def test_other_candidates_are_told_whole_before_the_end() -> None:
    def second(*parts: Any, reason: str | None = None) -> dict[str, Any]:
        return {"content": {"parts": list(parts)}, "index": 1, **({"finishReason": reason} if reason else {})}

    one, two = event({"text": "a"}), event(reason="STOP")
    one["candidates"].append(second({"text": "x"}))
    two["candidates"].append(second({"text": "y", **SIGNATURE}, CALL, reason="MAX_TOKENS"))
    chunks = streamed(GeminiDecoder(), [lines(one, two)])
    assert type(chunks[-2]) is OtherChoice
    response = answer(one, two)
    (choice,) = response.other_choices
    assert choice.index == 1
    assert choice.message.content[:2] == (TextPart(text="x"), TextPart(text="y", replay=SIGNED))
    (call,) = choice.message.tool_calls
    assert (call.id, choice.finish_reason, choice.raw_finish_reason) == (
        "gemini_call_r_1_0",
        "length",
        "MAX_TOKENS",
    )
    # Without numbers their places count, and one that failed does not spoil the first.
    failed = {"candidates": [{"content": {"parts": [{"text": "a"}]}}, second(reason="MALFORMED_RESPONSE")]}
    for candidate in failed["candidates"]:
        candidate.pop("index", None)
    whole = GeminiDecoder().whole(failed)
    assert (whole.text, whole.other_choices[0].finish_reason) == ("a", "error")


def test_other_candidates_have_limits() -> None:
    many = {"candidates": [{"index": number} for number in range(200)]}
    assert "more than" in broken(lines(many))[1].message
    # Each of them is small enough: it is all of them together that are not.
    texts = [{"index": n, "content": {"parts": [{"text": "x" * 1_000_000}]}} for n in range(1, 18)]
    assert "other candidates" in broken(lines({"candidates": texts}))[1].message


# Frames.

STATUS = {"code": 499, "message": "it was cancelled", "status": "CANCELLED"}


@pytest.mark.parametrize(
    "body",
    [
        lines(event({"text": "a"}, reason="STOP"), {"error": STATUS}),
        lines(event({"text": "a"}, reason="STOP")) + json.dumps({"error": STATUS}, indent=2).encode() + b"\n",
        json.dumps([event({"text": "a"}), {"error": STATUS}]).encode(),
        b"[" + json.dumps({"error": STATUS}).encode() + b"]",
        json.dumps({"error": STATUS}, indent=2).encode(),
        json.dumps({"error": STATUS}).encode(),
    ],
)
def test_an_error_inside_a_stream(body: bytes) -> None:
    response, error = broken(body)
    assert isinstance(error, ProviderError)
    assert (error.status, error.code) == (499, "CANCELLED")
    assert "it was cancelled" in error.message
    assert response.text == ("a" if b'"a"' in body else "")
    whole = {"error": STATUS}
    with pytest.raises(ProviderError, match="cancelled"):
        GeminiDecoder().whole(whole)
    with pytest.raises(ProviderError, match="cancelled"):
        GeminiDecoder().whole([whole])


DONE = json.dumps(event({"text": "a\u2028b"}, reason="STOP"), ensure_ascii=False)


@pytest.mark.parametrize(
    "body",
    [
        f"data: {DONE}\n\n",
        f"data:{DONE}\r\n\r\n",
        f"\r\n: hi\nevent: x\nid\nretry: 1\ndata: {DONE}",
        f"data: {DONE}\n\ndata: [DONE]\n\ndata:\n\n",
        f" \n[{DONE}\n]\n",
        f"\n{DONE}",
    ],
)
def test_the_frames_that_are_taken(body: str) -> None:
    for piece in ([body.encode()], [body.encode()[i : i + 1] for i in range(len(body.encode()))]):
        response, failure = collect(streamed(GeminiDecoder(), piece))
        assert failure is None
        assert response.text == "a\u2028b"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", TransportError),
        (b" \n", TransportError),
        (b"data: {\n\n", ProtocolError),
        (b"data: 7\n\n", ProtocolError),
        (b"<html>", ProtocolError),
        (b"[7]", ProtocolError),
        (b"[}", ProtocolError),
        (b'{"candidates":', ProtocolError),
        (lines(event({"text": "a"}, reason="STOP")) + b"oops\n", ProtocolError),
        (lines({"candidates": [7]}), ProtocolError),
        (lines({"candidates": 7}), ProtocolError),
        (lines(event({"inlineData": {"mimeType": "image/png", "data": "?"}}, reason="STOP")), ProtocolError),
    ],
)
def test_the_frames_that_are_not(body: bytes, kind: type[TakoError]) -> None:
    assert type(broken(body)[1]) is kind


BODIES = [
    lines(
        event({"text": "h\u20ac", "thought": True, **SIGNATURE}),
        event({"text": "a"}, {"text": "b", **SIGNATURE}),
        event(CALL, {"executableCode": {"code": "1"}}, CALL),
        event(pieces({"jsonPath": "$.a", "stringValue": "x"}, name="g"), {"functionCall": {}}),
        event({"text": "c"}, groundingMetadata=grounded(), reason="STOP"),
        {"usageMetadata": {"promptTokenCount": 1}},
    ),
    json.dumps([event({"text": 'a"]}\\'}), event(CALL, reason="STOP")], indent=1).encode(),
    lines(event({"text": "a"})) + json.dumps({"error": STATUS}, indent=1).encode(),
]


@given(st.sampled_from(BODIES), st.data())
def test_any_cut_gives_the_same(body: bytes, data: st.DataObject) -> None:
    whole = told(streamed(GeminiDecoder(), [body]))
    assert told(streamed(GeminiDecoder(), data.draw(strategies.cuts(body)))) == whole


@pytest.mark.parametrize("body", BODIES[:2])
def test_cut_off_at_any_byte_it_never_looks_whole(body: bytes) -> None:
    last = body.rindex(b"STOP")
    for size in range(last):
        chunks = streamed(GeminiDecoder(), [body[:size]])
        told(chunks)
        response, failure = collect(chunks)
        assert failure is not None
        assert response.message.tool_calls == ()


@settings(max_examples=examples(2), deadline=None)
@given(st.integers(0, 2**32), strategies.hostile_bytes())
def test_oddities_end_in_order_and_every_cut_of_them_is_the_same(seed: int, noise: bytes) -> None:
    chance = random.Random(seed)
    events = [json.loads(line[5:]) for line in BODIES[0].split(b"\n") if line]
    place = chance.randrange(len(events))
    events[place] = spoiled(events[place], chance)
    array = json.dumps(events).encode()
    where = chance.randrange(len(array))
    for body in (lines(*events), array, array[:where] + noise + array[where:], noise):
        whole = told(streamed(GeminiDecoder(), [body] if body else []))
        assert told(streamed(GeminiDecoder(), cuts(body, chance))) == whole
