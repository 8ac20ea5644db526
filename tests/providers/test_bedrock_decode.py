"""ConverseDecoder: every row of its tables, its limits, and streams of our own making.

What AWS really sent is in tests/corpus; here is what the recordings do not hold.
"""

from __future__ import annotations

import base64
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from tako.effects import HttpHead
from tako.errors import ProtocolError, ProviderError, RateLimited, TakoError, TransportError
from tako.events import (
    ChatChunk,
    ChatEnd,
    ChatError,
    MediaBlock,
    OpaqueBlock,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolCall,
)
from tako.models import ChatResponse, OpaquePart, TextPart, ThinkingPart
from tako.providers import answer
from tako.providers.bedrock import Bedrock, decode
from tako.providers.bedrock.decode import ConverseDecoder, usage_of
from tako.testing.conformance import check_truncation
from tako.testing.strategies import cuts as ways_to_cut
from tako.testing.strategies import hostile_bytes
from tako.wire.eventstream import encode_frame
from tests.support.answers import collect, play, spoiled, streamed, told

Event = tuple[str, dict[str, Any]]

STOP: Event = ("messageStop", {"stopReason": "end_turn", "p": "ab"})
COUNTS = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}
METADATA: Event = ("metadata", {"usage": COUNTS, "metrics": {"latencyMs": 9}, "p": "abc"})
PIXEL = "iVBORw0KGgo="
CITATION = {
    "title": "policy",
    "sourceContent": [{"text": "20 "}, {"text": "days"}],
    "location": {"documentChar": {"documentIndex": 2, "start": 0, "end": 7}},
}


def start(index: int, block: dict[str, Any]) -> Event:
    return "contentBlockStart", {"contentBlockIndex": index, "start": block, "p": "a"}


def delta(index: int, change: dict[str, Any]) -> Event:
    return "contentBlockDelta", {"contentBlockIndex": index, "delta": change, "p": "a"}


def stop(index: int) -> Event:
    return "contentBlockStop", {"contentBlockIndex": index}


def stop_for(reason: str | None) -> Event:
    return "messageStop", {"stopReason": reason}


def frames(*events: Event) -> bytes:
    return b"".join(
        encode_frame({":message-type": "event", ":event-type": kind}, to_json(event))
        for kind, event in events
    )


def exception(kind: str, **fields: Any) -> bytes:
    return encode_frame({":message-type": "exception", ":exception-type": kind}, to_json(fields))


def chunks_of(*events: Event, ends: tuple[Event, ...] = (STOP, METADATA)) -> list[ChatChunk]:
    chunks = streamed(ConverseDecoder(), [frames(*events, *ends)])
    told(chunks)
    return chunks


def error_of(body: bytes) -> TakoError:
    chunks = streamed(ConverseDecoder(), [body])
    told(chunks)
    (error,) = [chunk.error for chunk in chunks if type(chunk) is ChatError]
    return error


def answer_of(*blocks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": list(blocks)}
    return {"output": {"message": message}, "stopReason": "end_turn", "usage": COUNTS, **fields}


def whole(*blocks: dict[str, Any], **fields: Any) -> ChatResponse:
    return ConverseDecoder().whole(answer_of(*blocks, **fields))


CALL = (start(1, {"toolUse": {"toolUseId": "t1", "name": "f", "type": "tool_use"}}),)
ARGUMENTS = (
    delta(1, {"toolUse": {"input": '{"a"'}}),
    delta(1, {"toolUse": {"input": ": 1}"}}),
    stop(1),
)


def test_text_goes_out_at_once_and_the_end_says_the_rest() -> None:
    chunks = chunks_of(delta(0, {"text": "Hel"}), delta(0, {"text": ""}), delta(0, {"text": "lo"}), stop(0))
    assert chunks[:-1] == [TextDelta("Hel"), TextDelta("lo")]
    end = chunks[-1]
    assert isinstance(end, ChatEnd)
    assert (end.finish_reason, end.raw_finish_reason) == ("stop", "end_turn")
    assert end.details == {"metrics": {"latencyMs": 9}}
    assert (end.usage.input_tokens, end.usage.output_tokens, end.usage.raw) == (3, 4, COUNTS)


def test_a_call_is_announced_once_whole() -> None:
    chunks = chunks_of(*CALL, *ARGUMENTS, ends=(stop_for("tool_use"), METADATA))
    (call,) = [chunk for chunk in chunks if type(chunk) is ToolCall]
    assert (call.id, call.name, call.args, call.part.replay) == ("t1", "f", {"a": 1}, None)
    assert chunks.index(call) == len(chunks) - 2
    without = chunks_of(*CALL, stop(1), ends=(stop_for("tool_use"), METADATA))
    assert [chunk.args for chunk in without if type(chunk) is ToolCall] == [{}]


@pytest.mark.parametrize("reason", ["max_tokens", "model_context_window_exceeded", "guardrail_intervened"])
def test_a_call_that_was_cut_off_is_an_error(reason: str) -> None:
    for events in ((*CALL, ARGUMENTS[0]), (*CALL, *ARGUMENTS)):
        chunks = chunks_of(*events, ends=(stop_for(reason), METADATA))
        assert not [chunk for chunk in chunks if type(chunk) is ToolCall]
        (error,) = [chunk.error for chunk in chunks if type(chunk) is ChatError]
        assert error.code == reason
    call = {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}}
    with pytest.raises(ProviderError) as failure:
        whole(call, stopReason=reason)
    assert failure.value.usage.output_tokens == 4
    # A call before the text that was cut off is whole.
    assert [part.name for part in whole(call, {"text": "a"}, stopReason=reason).message.tool_calls] == ["f"]


def test_thinking_keeps_its_signature_and_what_was_redacted() -> None:
    half, other = base64.b64encode(b"ab").decode(), base64.b64encode(b"cdef").decode()
    chunks = chunks_of(
        delta(0, {"reasoningContent": {"text": "hm"}}),
        delta(0, {"reasoningContent": {"signature": "si"}}),
        delta(0, {"reasoningContent": {"signature": "g=="}}),
        stop(0),
        delta(1, {"reasoningContent": {"redactedContent": half}}),
        delta(1, {"reasoningContent": {"redactedContent": other}}),
        stop(1),
    )
    thought, opaque = chunks[1:3]
    assert chunks[0] == ThinkingDelta("hm")
    assert isinstance(thought, ThinkingBlock)
    assert thought.part.replay is not None
    assert (thought.part.text, thought.part.replay.data) == ("hm", {"signature": "sig=="})
    assert isinstance(opaque, OpaqueBlock)
    assert opaque.part.replay.data == {
        "reasoningContent": {"redactedContent": base64.b64encode(b"abcdef").decode()}
    }


def test_thinking_without_a_signature_has_nothing_to_send_back() -> None:
    (part,) = whole({"reasoningContent": {"reasoningText": {"text": "hm"}}}).message.content
    assert part == ThinkingPart(text="hm")


def test_a_whole_answer_is_what_the_stream_of_it_is() -> None:
    response = whole(
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "YWI="}},
        {"text": "See "},
        {"citationsContent": {"content": [{"text": "20 days"}], "citations": [CITATION]}},
        {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1}}},
        {"image": {"format": "png", "source": {"bytes": PIXEL}}},
        metrics={"latencyMs": 9},
        stopReason="tool_use",
    )
    chunks = chunks_of(
        delta(0, {"reasoningContent": {"text": "hm"}}),
        delta(0, {"reasoningContent": {"signature": "s"}}),
        stop(0),
        delta(1, {"reasoningContent": {"redactedContent": "YWI="}}),
        stop(1),
        delta(2, {"text": "See "}),
        stop(2),
        delta(3, {"citation": CITATION}),
        delta(3, {"text": "20 "}),
        delta(3, {"text": "days"}),
        stop(3),
        start(4, {"toolUse": {"toolUseId": "t1", "name": "f"}}),
        delta(4, {"toolUse": {"input": '{"a":1}'}}),
        stop(4),
        start(5, {"image": {"format": "png"}}),
        delta(5, {"image": {"source": {"bytes": PIXEL}}}),
        stop(5),
        ends=(stop_for("tool_use"), METADATA),
    )
    assert collect(chunks) == (response, None)
    kinds = ["thinking", "opaque", "text", "text", "tool_call", "image"]
    assert [part.type for part in response.message.content] == kinds
    assert response.text == "See 20 days"


def test_citations_are_told_with_their_text_and_kept_for_the_vendor() -> None:
    chunks = chunks_of(delta(0, {"text": "20 days"}), delta(0, {"citation": CITATION}), stop(0))
    block = chunks[1]
    assert isinstance(block, TextBlock)
    (citation,) = block.part.citations
    assert (citation.source, citation.title, citation.text) == ("2", "policy", "20 days")
    assert block.part.replay is not None
    assert block.part.replay.data == {
        "citationsContent": {"content": [{"text": "20 days"}], "citations": [CITATION]}
    }
    web = {"source": "s", "location": {"web": {"url": "https://a.example"}}}
    (part,) = whole({"citationsContent": {"content": [{"text": "x"}], "citations": [web]}}).message.content
    assert isinstance(part, TextPart)
    assert [found.source for found in part.citations] == ["https://a.example"]
    named = {**CITATION, "source": "policy.pdf"}
    (part,) = whole({"citationsContent": {"content": [{"text": "x"}], "citations": [named]}}).message.content
    assert isinstance(part, TextPart)
    assert [found.source for found in part.citations] == ["policy.pdf"]


def test_what_aws_runs_itself_is_kept_and_is_no_call() -> None:
    chunks = chunks_of(
        start(0, {"toolUse": {"toolUseId": "s", "name": "nova_code_interpreter", "type": "server_tool_use"}}),
        delta(0, {"toolUse": {"input": '{"snippet":'}}),
        delta(0, {"toolUse": {"input": '"1"}'}}),
        stop(0),
        start(1, {"toolResult": {"toolUseId": "s", "status": "success"}}),
        delta(1, {"toolResult": [{"text": "a"}]}),
        delta(1, {"toolResult": [{"json": {"b": 1}}]}),
        stop(1),
    )
    assert [chunk.part.replay.data for chunk in chunks if type(chunk) is OpaqueBlock] == [
        {
            "toolUse": {
                "toolUseId": "s",
                "name": "nova_code_interpreter",
                "type": "server_tool_use",
                "input": {"snippet": "1"},
            }
        },
        {
            "toolResult": {
                "toolUseId": "s",
                "status": "success",
                "content": [{"text": "a"}, {"json": {"b": 1}}],
            }
        },
    ]
    assert len(chunks) == 3
    cut = chunks_of(
        start(0, {"toolUse": {"toolUseId": "s", "name": "n", "type": "server_tool_use"}}),
        delta(0, {"toolUse": {"input": '{"a'}}),
        ends=(stop_for("max_tokens"), METADATA),
    )
    assert [type(chunk) for chunk in cut] == [ChatEnd]


def test_unknown_blocks_events_and_fields_are_kept_or_skipped() -> None:
    chunks = chunks_of(
        ("somethingNew", {"x": 1}),
        start(0, {}),
        delta(0, {}),
        start(1, {"hologram": {"a": "x", "n": 1}}),
        delta(1, {"hologram": {"a": "y", "b": [1]}}),
        delta(1, {"hologram": {"n": 2}}),
        stop(1),
        stop(7),
    )
    (opaque,) = chunks[:-1]
    assert isinstance(opaque, OpaqueBlock)
    assert opaque.part.replay.data == {"hologram": {"a": "xy", "n": 2, "b": [1]}}
    (part,) = whole({"searchResult": {"source": "s"}}).message.content
    assert isinstance(part, OpaquePart)
    assert part.replay.data == {"searchResult": {"source": "s"}}
    assert whole({}, {"text": "a"}).text == "a"
    foreign = encode_frame({":message-type": "event", ":event-type": "new"}, b"\xff no JSON")
    assert [type(chunk) for chunk in streamed(ConverseDecoder(), [foreign + frames(STOP, METADATA)])] == [
        ChatEnd
    ]
    assert whole({"text": "a", "newField": 1}, newField={"b": 2}).details == {"newField": {"b": 2}}


@pytest.mark.parametrize(
    "image",
    [
        {"format": "png", "source": {"s3Location": {"uri": "s3://b/k"}}},
        {"format": "tiff", "source": {"bytes": PIXEL}},
        {"format": "png", "error": {"message": "no"}},
    ],
)
def test_an_image_that_is_not_there_is_kept_as_it_came(image: dict[str, Any]) -> None:
    (part,) = whole({"image": image}).message.content
    assert isinstance(part, OpaquePart)
    assert part.replay.data == {"image": image}


def test_an_image_in_pieces_is_put_together() -> None:
    pieces = [base64.b64encode(piece).decode() for piece in (b"\x89P", b"NG\xff")]
    chunks = chunks_of(
        start(0, {"image": {"format": "png"}}),
        *[delta(0, {"image": {"source": {"bytes": piece}}}) for piece in pieces],
        stop(0),
    )
    (media,) = chunks[:-1]
    assert isinstance(media, MediaBlock)
    assert base64.b64decode(media.part.data_b64 or "") == b"\x89PNG\xff"
    assert type(error_of(frames(*[delta(0, {"image": {"source": {"bytes": "%"}}})]))) is ProtocolError


@pytest.mark.parametrize(
    ("reason", "ours"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("content_filtered", "content_filter"),
        ("guardrail_intervened", "content_filter"),
        ("tool_use", "tool_calls"),
        ("something_new", "other"),
        (None, "other"),
    ],
)
def test_reasons(reason: str | None, ours: str) -> None:
    response = whole({"text": "a"}, stopReason=reason)
    assert (response.finish_reason, response.raw_finish_reason) == (ours, reason)


@pytest.mark.parametrize("reason", ["malformed_model_output", "malformed_tool_use"])
def test_an_answer_that_aws_could_not_read_is_an_error(reason: str) -> None:
    chunks = chunks_of(delta(0, {"text": "a"}), *CALL, *ARGUMENTS, ends=(stop_for(reason), METADATA))
    response, error = collect(chunks)
    assert isinstance(error, ProviderError)
    assert (error.code, response.text, response.message.tool_calls) == (reason, "a", ())
    assert response.usage.output_tokens == 4


def test_counts_hold_what_was_cached() -> None:
    usage = usage_of(
        {"inputTokens": 2, "outputTokens": 9, "cacheReadInputTokens": 30, "cacheWriteInputTokens": 400}
    )
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (432, 30, 400)
    nothing = usage_of({"inputTokens": None, "cacheReadInputTokens": "x"})
    assert (nothing.input_tokens, nothing.output_tokens, nothing.cache_read_tokens) == (None, None, None)


def test_the_answer_ends_with_the_second_of_stop_and_metadata() -> None:
    text = delta(0, {"text": "a"})
    in_order = chunks_of(text)
    assert chunks_of(text, ends=(METADATA, STOP)) == in_order
    # What comes after the end is not looked at.
    assert chunks_of(text, ends=(STOP, METADATA, delta(0, {"text": "b"}))) == in_order
    twice = chunks_of(text, ends=(STOP, stop_for("max_tokens"), METADATA))
    assert twice == in_order


def test_without_metadata_the_counts_are_lost_and_that_is_an_error() -> None:
    response, error = collect(streamed(ConverseDecoder(), [frames(delta(0, {"text": "a"}), STOP)]))
    assert type(error) is TransportError
    assert "before metadata" in error.message
    # Whoever can do without the counts has the text, and why it ended.
    assert (response.text, response.raw_finish_reason, response.finish_reason) == ("a", "end_turn", "error")


@pytest.mark.parametrize("size", [0, 1, 60, -1])
def test_a_stream_that_breaks_off_is_an_error_wherever_it_does(size: int) -> None:
    body = frames(("messageStart", {"role": "assistant"}), *CALL, *ARGUMENTS)
    assert type(error_of(body[:size])) is TransportError
    assert type(error_of(body)) is TransportError
    whole_body = frames(delta(0, {"text": "a"}), STOP, METADATA)
    assert type(error_of(whole_body[:-1])) is TransportError


def test_a_stream_cut_at_any_byte_never_looks_whole() -> None:
    events = (("messageStart", {"role": "assistant"}), *CALL, *ARGUMENTS, stop(0), delta(1, {"text": "a"}))
    check_truncation(ConverseDecoder, frames(*events, stop_for("tool_use"), METADATA))


def test_a_block_that_is_opened_twice_is_two_blocks() -> None:
    second = start(1, {"toolUse": {"toolUseId": "b", "name": "g"}})
    chunks = chunks_of(*CALL, *ARGUMENTS[:-1], second)
    assert [(c.name, c.args) for c in chunks if type(c) is ToolCall] == [("f", {"a": 1}), ("g", {})]


def test_cited_text_after_a_call_is_said_once() -> None:
    cited = (delta(2, {"text": "t"}), delta(2, {"citation": CITATION}), stop(2))
    chunks = chunks_of(*CALL, *ARGUMENTS, *cited)
    assert [type(chunk) for chunk in chunks] == [TextDelta, TextBlock, ToolCall, ChatEnd]
    assert collect(chunks)[0].text == "t"


@pytest.mark.parametrize(
    ("kind", "fields", "status"),
    [
        ("throttlingException", {}, 429),
        ("validationException", {}, 400),
        ("internalServerException", {}, 500),
        ("serviceUnavailableException", {}, 503),
        ("modelTimeoutException", {}, 408),
        ("modelStreamErrorException", {}, 424),
        ("modelStreamErrorException", {"originalStatusCode": 529, "originalMessage": "busy"}, 529),
        ("modelStreamErrorException", {"originalStatusCode": 200}, 424),
        ("newException", {}, None),
    ],
)
def test_exceptions_in_a_stream(kind: str, fields: dict[str, Any], status: int | None) -> None:
    body = frames(delta(0, {"text": "a"})) + exception(kind, message="no luck", **fields)
    error = error_of(body)
    assert isinstance(error, RateLimited if status == 429 else ProviderError)
    assert (error.status, error.code) == (status, kind)
    assert "no luck" in error.message
    assert str(fields.get("originalMessage", "")) in error.message


def test_an_error_frame_says_it_in_headers() -> None:
    headers = {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "oops"}
    error = error_of(encode_frame(headers, b""))
    assert (error.status, error.code, error.message.endswith("oops")) == (500, "InternalFailure", True)
    bare = error_of(encode_frame({":message-type": "error"}, b"\xff"))
    assert (bare.status, bare.code) == (None, None)
    assert "no explanation" in bare.message


@pytest.mark.parametrize(
    ("body", "headers", "message", "code"),
    [
        (
            b'{"message":"m"}',
            (("x-amzn-errortype", "ValidationException:http://x/"),),
            "m",
            "ValidationException",
        ),
        (b'{"Message":"m","__type":"com.aws#AccessDenied"}', (), "m", "AccessDenied"),
        (b'{"message":"m","code":"C"}', (), "m", "C"),
        (b'{"error":{"message":"m","type":"from_a_gateway"}}', (), "m", "from_a_gateway"),
        (b'{"message":"m"}', (), "m", "429"),
        (b"<html>", (), "<html>", "429"),
        (b"[]", (), "[]", "429"),
    ],
)
def test_refusals(body: bytes, headers: tuple[tuple[str, str], ...], message: str, code: str) -> None:
    provider = Bedrock("m", region="us-east-1", api_key="k")
    from tests.providers.test_bedrock import REQUEST  # one request for both files

    ids = (*headers, ("x-amzn-requestid", "r-1"))
    with pytest.raises(RateLimited) as failure:
        play(provider.chat_flow(REQUEST), [body], 429, ids)
    error = failure.value
    assert (error.status, error.code, error.request_id) == (429, code, "r-1")
    assert message in error.message
    assert provider.explain(None, HttpHead(500, (), 1)) == (None, "500")


STREAM = frames(
    ("messageStart", {"role": "assistant"}),
    delta(0, {"reasoningContent": {"text": "h\u2028m"}}),
    delta(0, {"reasoningContent": {"signature": "s"}}),
    stop(0),
    delta(1, {"text": "Grüße \U0001f419"}),
    delta(1, {"citation": CITATION}),
    stop(1),
    start(2, {"toolUse": {"toolUseId": "t", "name": "f"}}),
    delta(2, {"toolUse": {"input": '{"a":"ü"}'}}),
    stop(2),
    stop_for("tool_use"),
    METADATA,
)
WHOLE = told(streamed(ConverseDecoder(), [STREAM]))


@given(ways_to_cut(STREAM))
def test_any_cut_gives_the_same_chunks(pieces: list[bytes]) -> None:
    assert told(streamed(ConverseDecoder(), pieces)) == WHOLE


def test_cut_off_anywhere_it_never_announces_a_call() -> None:
    for size in range(len(STREAM)):
        chunks = streamed(ConverseDecoder(), [STREAM[:size]])
        told(chunks)
        assert any(type(chunk) is ChatError for chunk in chunks), size
        assert not any(type(chunk) is ToolCall for chunk in chunks), size


@given(hostile_bytes(), st.integers(0, len(STREAM)), st.booleans())
def test_garbage_ends_in_order(garbage: bytes, place: int, is_framed: bool) -> None:
    if is_framed:
        garbage = encode_frame({":message-type": "event", ":event-type": "contentBlockDelta"}, garbage)
    told(streamed(ConverseDecoder(), [STREAM[:place] + garbage + STREAM[place:]]))


EVENTS: list[Event] = [
    *CALL,
    *ARGUMENTS,
    delta(0, {"text": "a"}),
    delta(0, {"citation": CITATION}),
    delta(3, {"reasoningContent": {"text": "a", "signature": "s", "redactedContent": "YQ=="}}),
    start(4, {"image": {"format": "png"}}),
    delta(4, {"image": {"source": {"bytes": PIXEL}}}),
    start(5, {"toolResult": {"toolUseId": "t"}}),
    delta(5, {"toolResult": [{"text": "a"}]}),
    stop(0),
    STOP,
    METADATA,
]


def test_odd_values_anywhere_end_in_order() -> None:
    chance = random.Random(7)
    for _ in range(300):
        place = chance.randrange(len(EVENTS))
        events = list(EVENTS)
        kind, event = events[place]
        events[place] = (kind, spoiled(event, chance))
        told(streamed(ConverseDecoder(), [frames(*events)]))
    payload = answer_of(
        {"text": "a"},
        {"reasoningContent": {"reasoningText": {"text": "a"}}},
        {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}},
        {"citationsContent": {"content": [{"text": "a"}], "citations": [CITATION]}},
    )
    for _ in range(300):
        try:
            ConverseDecoder().whole(spoiled(payload, chance))
        except TakoError:
            continue


def test_nothing_is_kept_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "MAX_TEXT", 100)
    long = "x" * 60
    for changes in (
        [{"text": long}] * 2,
        [{"reasoningContent": {"text": long}}] * 2,
        [{"reasoningContent": {"signature": long}}] * 2,
        [{"reasoningContent": {"redactedContent": base64.b64encode(b"x" * 60).decode()}}] * 2,
        [{"hologram": {"a": long}}] * 2,
    ):
        error = error_of(frames(*[delta(0, change) for change in changes], STOP, METADATA))
        assert "more than 100 characters" in error.message
    monkeypatch.setattr(decode, "MAX_ITEMS", 3)
    printed = [delta(0, {"toolResult": [{"text": "a"}]})] * 4
    assert "elements" in error_of(frames(start(0, {"toolResult": {}}), *printed)).message
    open_blocks = [start(index, {"image": {}}) for index in range(answer.MAX_BLOCKS + 1)]
    assert "open at once" in error_of(frames(*open_blocks)).message
    fields = [delta(0, {"hologram": {f"f{index}": 1}}) for index in range(answer.MAX_BLOCKS + 1)]
    assert "fields" in error_of(frames(*fields)).message
    calls = [
        start(index, {"toolUse": {"toolUseId": str(index), "name": "f"}})
        for index in range(answer.MAX_BLOCKS + 1)
    ]
    closed = [event for index, call in enumerate(calls) for event in (call, stop(index))]
    assert "blocks" in error_of(frames(*closed)).message


def test_blocks_after_a_call_keep_their_order() -> None:
    chunks = chunks_of(
        *CALL,
        *ARGUMENTS,
        delta(2, {"reasoningContent": {"text": "hm"}}),
        stop(2),
        ends=(stop_for("tool_use"), METADATA),
    )
    assert [type(chunk) for chunk in chunks] == [ToolCall, ThinkingBlock, ChatEnd]
    response, _ = collect(chunks)
    assert type(response.message.content[1]) is ThinkingPart
