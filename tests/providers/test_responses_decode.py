"""Responses: answers, whole and as streams, to chunks."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from tako.errors import ProtocolError, ProviderError, RateLimited, TransportError
from tako.events import (
    ChatChunk,
    ChatEnd,
    Logprobs,
    OpaqueBlock,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolCall,
)
from tako.models import ChatRequest, ChatResponse, Message, TextPart, ThinkingPart, TokenLogprob, Usage
from tako.providers.answer import MAX_BLOCKS
from tako.providers.openai import OpenAIResponses
from tako.providers.responses import decode
from tests.effort import examples
from tests.support.answers import collect, cuts, event_stream, spoiled, streamed, told

PROVIDER = OpenAIResponses("m", "")
NOTE = {"type": "url_citation", "url": "https://x", "title": "X", "start_index": 0, "end_index": 5}
PART = {"type": "output_text", "text": "It is so.", "annotations": [NOTE], "logprobs": []}
MESSAGE: dict[str, Any] = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "phase": "final_answer",
    "content": [PART],
}
REASONING: dict[str, Any] = {
    "type": "reasoning",
    "id": "rs_1",
    "encrypted_content": "secret",
    "summary": [{"type": "summary_text", "text": "Let "}, {"type": "summary_text", "text": "me see."}],
}
CALL: dict[str, Any] = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "look",
    "arguments": '{"x":1}',
    "status": "completed",
}
CUSTOM: dict[str, Any] = {
    "type": "custom_tool_call",
    "id": "ctc_1",
    "call_id": "call_2",
    "name": "grammar",
    "input": "4 + 4",
    "status": "completed",
}
SEARCH: dict[str, Any] = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"query": "q"},
}
USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 17,
}


def response(*items: dict[str, Any], **fields: Any) -> dict[str, Any]:
    own = {"id": "resp_1", "model": "gpt-5", "status": "completed", "usage": USAGE, "output": [*items]}
    return {**own, **fields}


def whole(*items: dict[str, Any], **fields: Any) -> ChatResponse:
    return PROVIDER.decode(response(*items, **fields))


def begun(item: dict[str, Any]) -> dict[str, Any]:
    """An item as a stream adds it."""
    empty = {"content": [], "summary": [], "arguments": "", "input": "", "status": "in_progress"}
    return {name: empty.get(name, value) for name, value in item.items()}


def growing(index: int, item: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of one item between its beginning and its end."""
    place = {"output_index": index, "item_id": item.get("id")}
    match item["type"]:
        case "message":
            found: list[dict[str, Any]] = []
            for number, part in enumerate(item["content"]):
                spot = {**place, "content_index": number}
                name = "refusal" if part["type"] == "refusal" else "text"
                kind = "response.refusal" if name == "refusal" else "response.output_text"
                found.append({"type": "response.content_part.added", **spot, "part": {**part, name: ""}})
                found += [
                    {"type": f"{kind}.delta", **spot, "delta": word}
                    for word in (part[name][:3], part[name][3:])
                ]
                found.append({"type": f"{kind}.done", **spot, name: part[name]})
                found.append({"type": "response.content_part.done", **spot, "part": part})
            return found
        case "reasoning":
            kind = "response.reasoning_summary_text"
            return [
                {"type": f"{kind}.{end}", **place, "summary_index": number, field: part["text"]}
                for number, part in enumerate(item["summary"])
                for end, field in (("delta", "delta"), ("done", "text"))
            ]
        case "function_call" | "custom_tool_call":
            kind = "function_call_arguments" if "arguments" in item else "custom_tool_call_input"
            text = item.get("arguments") or item.get("input") or ""
            return [
                {"type": f"response.{kind}.delta", **place, "delta": piece} for piece in (text[:2], text[2:])
            ]
    return [{"type": f"response.{item['type']}.searching", **place}]


def events(*items: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    final = response(*items, **fields)
    found: list[dict[str, Any]] = [
        {
            "type": "response.created",
            "response": {**final, "status": "in_progress", "output": [], "usage": None},
        },
        {"type": "keepalive"},
    ]
    for index, item in enumerate(items):
        found.append({"type": "response.output_item.added", "output_index": index, "item": begun(item)})
        found += growing(index, item)
        found.append({"type": "response.output_item.done", "output_index": index, "item": item})
    return [*found, {"type": f"response.{final['status']}", "response": final}]


def stream(*listed: dict[str, Any]) -> bytes:
    return event_stream(*[json.dumps(event) for event in listed], named=True)


def read(*listed: dict[str, Any]) -> list[ChatChunk]:
    return streamed(PROVIDER.decoder(), [stream(*listed)])


def of(chunks: list[ChatChunk]) -> ChatResponse:
    found, error = collect(chunks)
    assert error is None
    return found


def failure(chunks: list[ChatChunk]) -> Exception:
    told(chunks)
    _, error = collect(chunks)
    assert error is not None
    return error


TWO_PARTS = {**MESSAGE, "content": [PART, {"type": "refusal", "refusal": "But no."}]}
ORDERS = [
    (MESSAGE,),
    (REASONING, MESSAGE),
    (REASONING, CALL, CUSTOM),
    (REASONING, SEARCH, TWO_PARTS),
    (REASONING, CALL, {**REASONING, "id": "rs_2"}, MESSAGE, SEARCH),
]


@pytest.mark.parametrize("items", ORDERS)
def test_an_answer_goes_back_as_the_items_that_it_came_as(items: tuple[dict[str, Any], ...]) -> None:
    for answer in (whole(*items), of(read(*events(*items)))):
        request = ChatRequest(messages=(Message.user("q"), answer.message))
        sent = from_json(PROVIDER.http_request(request, stream=False).body)["input"][1:]
        for item in sent:
            for part in item.get("content", ()):
                if part["type"] == "output_text":
                    part["logprobs"] = []
        assert sent == [*items]


@pytest.mark.parametrize("items", ORDERS)
def test_a_stream_says_what_a_whole_answer_says(items: tuple[dict[str, Any], ...]) -> None:
    assert of(read(*events(*items))) == whole(*items)


def test_the_parts_of_an_answer() -> None:
    answer = whole(REASONING, TWO_PARTS, CALL, CUSTOM)
    thought, text, refusal, _, _ = answer.message.content
    assert isinstance(thought, ThinkingPart)
    assert thought.text == "Let me see."
    assert isinstance(text, TextPart)
    (citation,) = text.citations
    assert (citation.source, citation.title, citation.start, citation.end) == ("https://x", "X", 0, 5)
    assert isinstance(refusal, TextPart)
    assert (refusal.text, answer.details["refusal"]) == ("But no.", "But no.")
    assert [(found.id, found.name, found.args) for found in answer.message.tool_calls] == [
        ("call_1", "look", {"x": 1}),
        ("call_2", "grammar", "4 + 4"),
    ]
    assert (answer.finish_reason, answer.raw_finish_reason) == ("tool_calls", "completed")
    assert (answer.model, answer.response_id) == ("gpt-5", "resp_1")
    assert answer.usage == Usage(
        input_tokens=10,
        output_tokens=7,
        cache_read_tokens=4,
        cache_write_tokens=2,
        reasoning_tokens=5,
        raw=USAGE,
    )


def test_the_chunks_of_a_stream_in_order() -> None:
    kinds = [type(chunk) for chunk in read(*events(REASONING, MESSAGE, SEARCH, CALL))]
    assert kinds == [
        ThinkingDelta,
        ThinkingDelta,
        ThinkingBlock,
        TextDelta,
        TextDelta,
        TextBlock,
        OpaqueBlock,
        ToolCall,
        ChatEnd,
    ]


def test_text_is_told_at_once() -> None:
    decoder = PROVIDER.decoder()
    listed = events(MESSAGE)
    place = next(n for n, event in enumerate(listed) if event["type"].endswith("output_text.delta"))
    assert decoder.feed(stream(*listed[: place + 1])) == [TextDelta("It ")]


@pytest.mark.parametrize(
    ("fields", "reason", "raw"),
    [
        ({}, "stop", "completed"),
        ({"status": "complete"}, "stop", "complete"),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "length",
            "incomplete",
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            "content_filter",
            "incomplete",
        ),
        ({"status": "incomplete", "incomplete_details": {"reason": "steered"}}, "other", "incomplete"),
        ({"status": "queued", "usage": None}, "other", "queued"),
        ({"status": None}, "other", None),
    ],
)
def test_reasons(fields: dict[str, Any], reason: str, raw: str | None) -> None:
    answer = whole(MESSAGE, **fields)
    assert (answer.finish_reason, answer.raw_finish_reason) == (reason, raw)
    assert answer.details.get("incomplete_details") == fields.get("incomplete_details")


INCOMPLETE = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}


@pytest.mark.parametrize(
    "call",
    [
        {**CALL, "arguments": '{"x":', "status": "incomplete"},
        {**CALL, "arguments": '{"x":1}', "status": "incomplete"},  # more might have followed
        {**CALL, "arguments": '{"x":', "status": None},
        {**CUSTOM, "status": "incomplete"},
        {**CUSTOM, "status": None},
    ],
)
def test_a_call_that_was_cut_off_is_an_error(call: dict[str, Any]) -> None:
    for chunks in (read(*events(MESSAGE, call, **INCOMPLETE)),):
        error = failure(chunks)
        assert isinstance(error, ProviderError)
        assert error.code == "max_output_tokens"
        answer, _ = collect(chunks)
        assert (answer.text, answer.message.tool_calls) == ("It is so.", ())
    with pytest.raises(ProviderError, match="max_tokens") as caught:
        whole(MESSAGE, call, **INCOMPLETE)
    assert caught.value.partial.text == "It is so."
    assert caught.value.partial.raw_finish_reason == "incomplete"


@pytest.mark.parametrize("call", [CALL, CUSTOM, {**CALL, "status": None}])
def test_a_call_that_is_whole_counts_although_the_answer_is_not(call: dict[str, Any]) -> None:
    answer = whole(call, **INCOMPLETE)
    assert (len(answer.message.tool_calls), answer.finish_reason) == (1, "length")


@pytest.mark.parametrize(
    ("fields", "kind", "code", "status"),
    [
        (
            {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "too many"}},
            RateLimited,
            "rate_limit_exceeded",
            429,
        ),
        (
            {"status": "failed", "error": {"code": "server_error", "message": "oh"}},
            ProviderError,
            "server_error",
            500,
        ),
        ({"status": "failed", "error": None}, ProviderError, "failed", None),
        ({"status": "cancelled"}, ProviderError, "cancelled", None),
    ],
)
def test_a_response_that_failed(fields: dict[str, Any], kind: type, code: str, status: int | None) -> None:
    with pytest.raises(ProviderError) as caught:
        whole(MESSAGE, **fields)
    errors: list[Any] = [caught.value, failure(read(*events(MESSAGE, **fields)))]
    for error in errors:
        assert (type(error), error.code, error.status) == (kind, code, status)
    chunks = read(*events(MESSAGE, **fields))
    answer, _ = collect(chunks)
    assert (answer.text, answer.usage.input_tokens) == ("It is so.", 10)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "server_error", "message": "oh no", "param": None},
        {"type": "error", "error": {"type": "server_error", "message": "oh no"}},
        {"error": {"code": "server_error", "message": "oh no"}},
    ],
)
def test_an_error_in_the_stream(event: dict[str, Any]) -> None:
    error = failure(read(*events(MESSAGE)[:-1], event))
    assert isinstance(error, ProviderError)
    assert (error.status, error.code) == (500, "server_error")
    assert "oh no" in error.message


def test_an_error_in_the_place_of_an_answer() -> None:
    with pytest.raises(ProviderError, match="oh no"):
        PROVIDER.decode({"error": {"message": "oh no", "code": "server_error"}})
    nothing: tuple[Any, ...] = ([], "x", None, {}, {"id": "resp_1"})
    for odd in nothing:
        with pytest.raises(ProtocolError):
            PROVIDER.decode(odd)


def test_cut_off_anywhere_it_never_looks_whole() -> None:
    body = stream(*events(REASONING, MESSAGE, CALL, SEARCH))
    complete = of(streamed(PROVIDER.decoder(), [body]))
    for size in range(len(body)):
        chunks = streamed(PROVIDER.decoder(), [body[:size]])
        told(chunks)
        answer, error = collect(chunks)
        if error is None:
            assert (answer, len(body) - size) == (complete, 0)
        assert error is None or isinstance(error, TransportError)
        assert error is None or not answer.message.tool_calls


@pytest.mark.parametrize("items", ORDERS)
def test_any_cut_gives_the_same_chunks(items: tuple[dict[str, Any], ...]) -> None:
    body = stream(*events(*items))
    expected = told(streamed(PROVIDER.decoder(), [body]))
    assert told(streamed(PROVIDER.decoder(), cuts(body, random.Random(len(body))))) == expected
    assert told(streamed(PROVIDER.decoder(), [body[n : n + 1] for n in range(len(body))])) == expected


# Servers that leave things out.


def without(listed: list[dict[str, Any]], *endings: str) -> list[dict[str, Any]]:
    return [event for event in listed if not event["type"].endswith(endings)]


@pytest.mark.parametrize(
    "endings",
    [
        (".delta",),
        ("content_part.added", "content_part.done"),
        ("output_item.added",),
        ("output_item.added", ".delta", ".done"),
        ("output_item.added", "content_part.added", ".delta"),
    ],
)
def test_what_a_server_leaves_out_is_found_elsewhere(endings: tuple[str, ...]) -> None:
    items = (REASONING, MESSAGE)
    answer = of(read(*without(events(*items), *endings)))
    assert (answer.text, answer.message.content[0]) == ("It is so.", whole(*items).message.content[0])
    assert len(answer.message.content) == 2


def test_a_terminal_event_without_items() -> None:
    listed = events(REASONING, MESSAGE, CALL)
    listed[-1]["response"]["output"] = []
    assert of(read(*listed)) == whole(REASONING, MESSAGE, CALL)


def test_items_that_are_never_done() -> None:
    listed = without(events(REASONING, MESSAGE, SEARCH, CALL), "output_item.done")
    listed[-1]["response"]["output"] = []
    answer = of(read(*listed))
    thought, _, _ = answer.message.content
    assert isinstance(thought, ThinkingPart)
    assert (thought.text, answer.text) == ("Let me see.", "It is so.")
    assert thought.replay is not None
    assert thought.replay.data["summary"] == [{"type": "summary_text", "text": "Let me see."}]
    assert answer.message.tool_calls[0].args == {"x": 1}


@pytest.mark.parametrize("call", [{**CALL, "arguments": '{"x":'}, CUSTOM])
def test_half_a_call_that_is_never_done_is_an_error(call: dict[str, Any]) -> None:
    listed = without(events(MESSAGE, call), "output_item.done")
    listed[-1]["response"]["output"] = []
    error = failure(read(*listed))
    assert isinstance(error, ProviderError)
    assert error.code == "completed"


def test_items_with_one_id_or_none_are_all_taken() -> None:
    for same in ("x", None, ""):
        calls = [{**CALL, "id": same, "call_id": f"c{number}"} for number in range(3)]
        for answer in (whole(*calls), of(read(*events(*calls)))):
            assert [call.id for call in answer.message.tool_calls] == ["c0", "c1", "c2"]


def test_reasoning_that_is_done_after_the_text_comes_before_it() -> None:
    listed = events(REASONING, MESSAGE)
    late = next(event for event in listed if event.get("item") is REASONING)
    listed.remove(late)
    listed.insert(-1, late)
    thought, text = of(read(*listed)).message.content
    assert isinstance(thought, ThinkingPart)
    assert (thought.text, text.type) == ("Let me see.", "text")


@pytest.mark.parametrize("ending", ["message", "incomplete"])
def test_what_is_encrypted_counts_only_when_it_is_done(ending: str) -> None:
    """The vendor says that what it adds may hold half of it; half of it is refused."""
    begun_thought = {**begun(REASONING), "encrypted_content": "sec"}
    events: list[dict[str, Any]] = [
        {"type": "response.output_item.added", "output_index": 0, "item": begun_thought},
        *growing(0, REASONING),
    ]
    if ending == "message":
        events += [{"type": "response.output_item.added", "output_index": 1, "item": begun(MESSAGE)}]
        events += growing(1, MESSAGE)
    events += [{"type": "response.incomplete", "response": response(status="incomplete")}]
    answer, error = collect(streamed(PROVIDER.decoder(), [event_stream(*map(json.dumps, events))]))
    assert error is None
    thought = answer.message.content[0]
    assert isinstance(thought, ThinkingPart)
    assert thought.text == "Let me see."
    assert thought.replay is not None
    assert thought.replay.data["id"] == "rs_1"
    assert "encrypted_content" not in thought.replay.data


def test_places_may_be_missing() -> None:
    listed = [
        {name: value for name, value in event.items() if name != "output_index"}
        for event in events(REASONING, MESSAGE, CALL)
    ]
    assert of(read(*listed)) == whole(REASONING, MESSAGE, CALL)


def test_calls_side_by_side_are_told_apart_by_their_ids() -> None:
    second = {**CALL, "id": "fc_2", "call_id": "call_2", "arguments": '{"y":2}'}
    own = [events(call)[2:-1] for call in (CALL, second)]
    listed = [
        {name: value for name, value in event.items() if name != "output_index"}
        for pair in zip(*own, strict=True)
        for event in pair
    ]
    for event in listed:
        if event["type"] == "response.output_item.done":
            event["item"] = {**event["item"], "arguments": ""}
    answer = of(read(*listed, {"type": "response.completed", "response": response()}))
    assert [call.args for call in answer.message.tool_calls] == [{"x": 1}, {"y": 2}]


def test_what_follows_the_end_is_not_looked_at() -> None:
    body = stream(*events(MESSAGE)) + b"data: [DONE]\n\n" + stream(*events(CALL))
    assert of(streamed(PROVIDER.decoder(), [body])) == whole(MESSAGE)


def test_a_refusal_of_which_only_the_pieces_come() -> None:
    place = {"output_index": 0, "content_index": 0}
    answer = of(
        read(
            {"type": "response.refusal.delta", **place, "delta": "But no."},
            {"type": "response.completed", "response": response()},
        )
    )
    assert (answer.text, answer.details["refusal"]) == ("But no.", "But no.")


def test_summary_and_content_are_both_thinking_unless_they_are_the_same() -> None:
    content = [{"type": "reasoning_text", "text": "In full."}]
    both = whole({**REASONING, "content": content}).message.content[0]
    assert isinstance(both, ThinkingPart)
    assert both.text == "Let me see.In full."
    same = whole({**REASONING, "summary": [{"type": "summary_text", "text": "In full."}], "content": content})
    assert same.message.content[0] == ThinkingPart(text="In full.", replay=same.message.content[0].replay)  # type: ignore[union-attr]


def test_reasoning_as_it_grows_in_full() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    chunks = read(
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.reasoning_text.delta", "output_index": 0, "delta": "hm"},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": response()},
    )
    thought = of(chunks).message.content[0]
    assert isinstance(thought, ThinkingPart)
    assert thought.replay is not None
    assert thought.replay.data["content"] == [{"type": "reasoning_text", "text": "hm"}]


def test_text_without_an_id_is_only_text() -> None:
    part = {"type": "output_text", "text": "Hi", "annotations": []}
    answer = whole({"type": "message", "role": "assistant", "content": [part]})
    assert answer.message.content == (TextPart(text="Hi"),)


def test_a_call_without_an_id_gets_one() -> None:
    bare = {"type": "function_call", "name": "look", "arguments": ""}
    first, second = whole(bare, {**bare, "arguments": "no json"}).message.tool_calls
    assert first.id != second.id
    assert (first.args, second.args) == ({}, "no json")
    with pytest.raises(ProtocolError, match="which"):
        whole({"type": "function_call", "call_id": "c", "arguments": "{}"})


def test_log_probabilities_come_once() -> None:
    tokens = [{"token": "It", "logprob": -0.5, "top_logprobs": [{"token": "I", "logprob": -1}]}]
    wanted = (TokenLogprob(token="It", logprob=-0.5, top=(("I", -1.0),)),)
    message = {**MESSAGE, "content": [{**PART, "logprobs": tokens}]}
    assert whole(message).logprobs == wanted
    listed = events(message)
    assert [chunk.tokens for chunk in read(*listed) if type(chunk) is Logprobs] == [wanted]
    delta = next(event for event in listed if event["type"].endswith("output_text.delta"))
    delta["logprobs"] = tokens
    assert [chunk.tokens for chunk in read(*listed) if type(chunk) is Logprobs] == [wanted]


def test_annotations_that_only_their_events_tell() -> None:
    message = {**MESSAGE, "content": [{**PART, "annotations": []}]}
    listed = events(message)
    place = next(n for n, event in enumerate(listed) if event["type"] == "response.content_part.done")
    note = {"type": "response.output_text.annotation.added", "output_index": 0, "annotation": NOTE}
    text = of(read(*listed[:place], note, *listed[place:])).message.content[0]
    assert isinstance(text, TextPart)
    assert [citation.source for citation in text.citations] == ["https://x"]


def test_what_is_not_known_is_skipped() -> None:
    listed = events(MESSAGE)
    odd: list[dict[str, Any]] = [
        {"type": "response.brand_new", "x": 1},
        {"type": "response.brand_new.delta", "delta": {}},
        {"type": "response.mcp_call_arguments.delta", "output_index": 7, "delta": "x"},
        {"type": None},
        {},
    ]
    assert of(read(*listed[:3], *odd, *listed[3:])) == whole(MESSAGE)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.function_call_arguments.delta", "output_index": 9, "delta": "{"},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": 7},
        {"type": "response.output_item.added", "output_index": 0},
        {"type": "response.output_item.done", "output_index": 0, "item": {"type": "message", "content": 7}},
        {"type": "response.completed", "response": []},
    ],
)
def test_what_makes_no_sense_is_an_error(event: dict[str, Any]) -> None:
    assert isinstance(failure(read(event)), ProtocolError)


def test_what_was_held_back_is_told_when_the_stream_breaks() -> None:
    listed = events(CALL, REASONING, MESSAGE)
    place = next(n for n, event in enumerate(listed) if event["type"] == "response.output_text.done")
    answer, error = collect(read(*listed[:place]))
    assert isinstance(error, TransportError)
    assert answer.text == "It is so."
    assert [part.type for part in answer.message.content] == ["thinking", "text"]


def test_there_is_a_limit_to_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    added = {"type": "response.output_item.added", "item": begun(CALL)}
    many = [{**added, "output_index": number} for number in range(MAX_BLOCKS + 1)]
    assert isinstance(failure(read(*many)), ProtocolError)
    searches = [{**SEARCH, "id": f"ws_{number}"} for number in range(2 * MAX_BLOCKS + 1)]
    with pytest.raises(ProtocolError, match="items"):
        whole(*searches)
    monkeypatch.setattr(decode, "MAX_TEXT", 5000)
    word = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "abcd"}
    decoder = PROVIDER.decoder()
    data = stream(*[word] * 100)
    chunks = [chunk for _ in range(100) for chunk in decoder.feed(data)]
    assert isinstance(failure(chunks), ProtocolError)


@settings(max_examples=examples(2), deadline=None)
@given(st.sampled_from(ORDERS), st.integers(0, 2**32))
def test_spoiled_answers_end_in_order(items: tuple[dict[str, Any], ...], seed: int) -> None:
    chance = random.Random(seed)
    listed = events(*items)
    place = chance.randrange(len(listed))
    listed[place] = spoiled(listed[place], chance)
    told(read(*listed))
    try:
        PROVIDER.decode(spoiled(response(*items), chance))
    except (ProtocolError, ProviderError):
        pass
