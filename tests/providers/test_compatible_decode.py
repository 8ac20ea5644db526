"""The answers of compatible servers: each oddity as a server sends it, by bytes of our own making."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.errors import ProtocolError, ProviderError, RateLimited, TakoError, TransportError
from tako.events import (
    ChatChunk,
    ChatEnd,
    OpaqueBlock,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolCall,
)
from tako.models import ChatRequest, ChatResponse, ImagePart, Message, OpaquePart, TextPart, ThinkingPart
from tako.providers import OpenAICompatible
from tako.providers.answer import MAX_BLOCKS, MAX_TEXT
from tako.providers.chat_completions.gathered import MAX_IMAGES
from tests.effort import examples
from tests.providers.test_openai_decode import answer, call_piece, chunk, error_in
from tests.support.answers import collect, event_stream, play, streamed, told

REQUEST = ChatRequest(messages=(Message.user("hello"),))
DONE = "[DONE]"


def made(preset: str | None = None, **quirks: Any) -> OpenAICompatible:
    return OpenAICompatible("m", "", preset=preset, base_url="http://localhost", quirks=quirks)


def chunks_of(*events: str, preset: str | None = None, **quirks: Any) -> list[ChatChunk]:
    return streamed(made(preset, **quirks).decoder(), [event_stream(*events, DONE)])


def whole(payload: Any, preset: str | None = None) -> ChatResponse:
    response, _, _ = play(made(preset).chat_flow(REQUEST), [json.dumps(payload).encode()])
    return response


# The end


@pytest.mark.parametrize("ending", ["\n\n", "\n", "", " \n", "\r\n\r\n", "\r"])
def test_the_mark_counts_without_a_blank_line_after_it(ending: str) -> None:
    body = event_stream(chunk({"content": "t"}), chunk({}, "stop")) + b"data: [DONE]" + ending.encode()
    response, error = collect(streamed(made().decoder(), [body]))
    assert (response.text, response.finish_reason, error) == ("t", "stop", None)
    singles = [body[n : n + 1] for n in range(len(body))]
    assert told(streamed(made().decoder(), singles)) == told(streamed(made().decoder(), [body]))


def test_without_the_mark_only_the_flag_and_a_reason_make_it_whole() -> None:
    body = event_stream(chunk({"content": "t"}), chunk({}, "stop"))
    for rest in (b"", b": keep-alive\n\n"):
        assert isinstance(error_in(streamed(made().decoder(), [body + rest])), TransportError)
        response, error = collect(streamed(made("perplexity").decoder(), [body + rest]))
        assert (response.text, error) == ("t", None)
    lenient: dict[str, Any] = {"ends_without_done": True}
    for events in ([], [chunk({"content": "t"})], [chunk({"content": "t"}, "")]):
        broken = streamed(made(**lenient).decoder(), [event_stream(*events)])
        assert isinstance(error_in(broken), TransportError)
    last = body.removesuffix(b"\n\n")
    assert collect(streamed(made(**lenient).decoder(), [last]))[1] is None
    for size in range(len(event_stream(chunk({"content": "t"}))), len(last)):
        assert isinstance(error_in(streamed(made(**lenient).decoder(), [body[:size]])), TransportError)


def test_a_reason_is_not_taken_back_by_an_empty_one() -> None:
    chunks = chunks_of(chunk({"content": "t"}, "length"), chunk({}, ""))
    end = chunks[-1]
    assert type(end) is ChatEnd and (end.finish_reason, end.raw_finish_reason) == ("length", "length")


@pytest.mark.parametrize(
    ("reason", "status"), [("insufficient_system_resource", 503), ("network_error", 502), ("error", None)]
)
def test_a_service_that_broke_down_has_not_answered(reason: str, status: int | None) -> None:
    calls = chunk({"tool_calls": [call_piece(0, '{"x": "ab', id="a", name="f")]})
    error = error_in(chunks_of(chunk({"content": "t"}), calls, chunk({}, reason)))
    assert isinstance(error, ProviderError)
    assert (error.code, error.status, error.retryable) == (reason, status, status is not None)


def test_a_full_context_cuts_calls_as_a_limit_does() -> None:
    calls = chunk({"tool_calls": [call_piece(0, '{"x": "ab', id="a", name="f")]})
    error = error_in(chunks_of(calls, chunk({}, "model_context_window_exceeded")))
    assert error.code == "model_context_window_exceeded"


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        # xAI: the reasoning stands beside the completion
        ({"completion_tokens_details": {"reasoning_tokens": 30}, "total_tokens": 45}, (10, 35)),
        # Gemini: nothing but the total tells of it
        ({"total_tokens": 45}, (10, 35)),
        # everybody else: it is in the completion already
        ({"completion_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 15}, (10, 5)),
        # Mistral: sound in the prompt
        ({"prompt_tokens_details": {"audio_tokens": 30}, "total_tokens": 45}, (40, 5)),
        ({"total_tokens": 7}, (10, 5)),
        ({"total_tokens": "45"}, (10, 5)),
        ({}, (10, 5)),
    ],
)
def test_tokens_that_only_the_total_holds_are_counted(usage: dict[str, Any], counts: tuple[int, int]) -> None:
    raw = {"prompt_tokens": 10, "completion_tokens": 5, **usage}
    found = whole({**answer({"content": "t"}), "usage": raw}).usage
    assert (found.input_tokens, found.output_tokens) == counts
    assert found.raw == raw


def test_text_is_not_kept_without_a_limit_and_an_answer_of_many_pieces_keeps_its_citations() -> None:
    decoder = made().decoder()
    for _ in range(3):
        assert len(decoder.feed(event_stream(*[chunk({"content": "ab"})] * 700))) == 700
    cited = {"type": "url_citation", "url_citation": {"url": "https://x", "start_index": 0, "end_index": 1}}
    rest = decoder.feed(event_stream(chunk({"annotations": [cited]}, "stop"), DONE))
    block = rest[0]
    assert type(block) is TextBlock and block.part.text == "ab" * 2100

    decoder = made().decoder()
    piece = event_stream(*[chunk({"content": "x" * 4096})] * 1025)
    chunks = [found for _ in range(MAX_TEXT // (4096 * 1025) + 1) for found in decoder.feed(piece)]
    assert isinstance(error_in(chunks), ProtocolError)


def test_comments_between_events_are_nothing() -> None:
    body = b": OPENROUTER PROCESSING\n\n" + event_stream(chunk({"content": "t"})) + b":\n\n"
    body += event_stream(chunk({}, "stop"), DONE)
    assert collect(streamed(made().decoder(), [body]))[0].text == "t"


# Text and thinking


def test_each_field_of_thinking() -> None:
    for field in ("reasoning_content", "reasoning"):
        assert chunks_of(chunk({field: "hm", "content": None}), chunk({}, "stop"))[0] == ThinkingDelta("hm")
    both = {"reasoning": "hm", "reasoning_content": "hm", "content": ""}
    assert chunks_of(chunk(both), chunk({}, "stop"))[:-1] == [ThinkingDelta("hm")]


def test_content_as_a_list() -> None:
    blocks = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "h"}]},
        {"type": "thinking", "thinking": "m"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "!"}]},
        {"type": "text", "text": "a"},
        "b",
        {"type": "unknown", "x": 7},
    ]
    response = whole(answer({"content": blocks}))
    assert response.message.content == (ThinkingPart(text="hm!"), TextPart(text="ab"))


def test_thinking_that_goes_back_is_a_block_before_what_it_led_to() -> None:
    calls = {"tool_calls": [call_piece(0, "{}", id="a", name="f")]}
    events = [chunk({"reasoning_content": "h"}), chunk({"reasoning_content": "m"}), chunk({"content": "t"})]
    events += [chunk({"content": "u"}), chunk(calls), chunk({}, "tool_calls")]
    chunks = chunks_of(*events, preset="deepseek")
    kinds = [type(c) for c in chunks]
    assert kinds == [ThinkingDelta, ThinkingDelta, ThinkingBlock, TextDelta, TextDelta, ToolCall, ChatEnd]
    response, _ = collect(chunks)
    thought = response.message.content[0]
    assert type(thought) is ThinkingPart and thought.text == "hm" and thought.replay is not None
    assert (thought.replay.vendor, thought.replay.data) == ("deepseek", {"field": "reasoning_content"})
    body = made("deepseek").http_request(ChatRequest(messages=(response.message,)), stream=False).body
    assert json.loads(body)["messages"][0]["reasoning_content"] == "hm"
    alone = chunks_of(chunk({"reasoning_content": "h"}, "stop"), preset="deepseek")
    assert [type(c) for c in alone] == [ThinkingDelta, ThinkingBlock, ChatEnd]
    message = {"reasoning_content": "hm", "content": "tu", **calls}
    assert whole(answer(message, "tool_calls"), "deepseek").message == response.message


def test_citations_after_thinking_in_between_have_no_place() -> None:
    place = {"type": "url_citation", "url": "https://x", "start_index": 0, "end_index": 1}
    events = [
        chunk({"content": "a"}),
        chunk({"reasoning_content": "h"}),
        chunk({"content": "b", "annotations": [place]}),
        chunk({}, "stop"),
    ]
    response, _ = collect(chunks_of(*events, preset="deepseek"))
    assert response.text == "ab"
    (cited,) = [part for part in response.message.content if type(part) is TextPart and part.citations]
    assert (cited.text, cited.citations[0].source, cited.citations[0].start) == ("b", "https://x", None)


def test_details_of_reasoning_are_put_together_and_go_back() -> None:
    def piece(index: int, **fields: Any) -> dict[str, Any]:
        return {"type": "reasoning.text", "index": index, "format": "f", **fields}

    pieces = [piece(0, text="h"), piece(0, text="m"), piece(0, signature="s"), piece(1, text="x")]
    events = [chunk({"reasoning": "x", "reasoning_details": [one]}) for one in pieces]
    response, _ = collect(chunks_of(*events, chunk({"content": "t"}, "stop"), preset="openrouter"))
    (kept,) = [part for part in response.message.content if type(part) is OpaquePart]
    wanted = [piece(0, text="hm", signature="s"), piece(1, text="x")]
    assert kept.replay.data == {"reasoning_details": wanted}
    body = made("openrouter").http_request(ChatRequest(messages=(response.message,)), stream=False).body
    assert json.loads(body)["messages"] == [
        {"role": "assistant", "content": "t", "reasoning_details": wanted}
    ]
    assert not any(type(c) is OpaqueBlock for c in chunks_of(*events, chunk({}, "stop")))


def test_text_that_repeats_all_before_it() -> None:
    events = [chunk({"content": text}) for text in ("a", "ab", "ab", "abc")]
    assert collect(chunks_of(*events, chunk({}, "stop"), repeats_text=True))[0].text == "abc"
    assert collect(chunks_of(*events, chunk({}, "stop")))[0].text == "aabababc"


def test_delta_and_message_side_by_side() -> None:
    def event(delta: Any, message: str, finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "message": {"content": message}, "finish_reason": finish}
        return json.dumps({"choices": [choice], "citations": ["https://x"], "usage": {"prompt_tokens": 1}})

    chunks = chunks_of(event({"content": "a"}, "a"), event({"content": "b"}, "ab"), event({}, "ab", "stop"))
    response, _ = collect(chunks)
    assert response.text == "ab"
    assert [c.source for c in response.message.content[0].citations] == ["https://x"]  # type: ignore[union-attr]
    alone = json.dumps({"choices": [{"index": 0, "message": {"content": "ab"}, "finish_reason": "stop"}]})
    assert collect(chunks_of(alone))[0].text == "ab"
    assert collect(chunks_of(chunk({"content": "ab"}), alone))[0].text == "ab"


def test_pages_that_were_searched_are_citations() -> None:
    page = {"title": "T", "url": "https://x", "snippet": "s"}
    response = whole({**answer({"content": "a"}), "search_results": [page], "citations": ["https://x"]})
    (part,) = response.message.content
    assert type(part) is TextPart
    assert [(c.source, c.title, c.text) for c in part.citations] == [("https://x", "T", "s")]
    assert response.details["citations"] == ["https://x"]


def test_pictures_are_parts_where_they_can_go_back() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    far = {"type": "image_url", "image_url": {"url": "https://x/y.png"}}
    response = whole(answer({"content": "see", "images": [image, far]}), "openrouter")
    assert [type(part) for part in response.message.content] == [TextPart, ImagePart]
    assert response.details["images"] == [far]
    assert whole(answer({"content": "see", "images": [image]})).details["images"] == [image]


# Calls


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        # index 0 and no id for each, whole arguments: another call
        (
            [call_piece(0, '{"x":1}', name="f"), call_piece(0, '{"x":2}', name="f")],
            [("f", {"x": 1}), ("f", {"x": 2})],
        ),
        # no id, and the name in each piece: still one call
        ([call_piece(0, '{"x"', name="f"), call_piece(0, ":1}", name="f")], [("f", {"x": 1})]),
        # an empty name and id after the first piece
        ([call_piece(0, "{", id="a", name="f"), call_piece(0, "}", id="", name="")], [("f", {})]),
        # the other kind beside it, with nothing in it
        ([call_piece(0, '{"x":1}', id="a", name="f", custom={"name": "", "input": ""})], [("f", {"x": 1})]),
        # an index that is a string, and one that is missing after it
        ([call_piece("0", "{", id="a", name="f"), call_piece(None, "}")], [("f", {})]),  # type: ignore[arg-type]
    ],
)
def test_calls_in_pieces(pieces: list[Any], wanted: list[Any]) -> None:
    chunks = chunks_of(*[chunk({"tool_calls": [piece]}) for piece in pieces], chunk({}, "tool_calls"))
    assert [(c.name, c.args) for c in chunks if type(c) is ToolCall] == wanted
    assert len({c.id for c in chunks if type(c) is ToolCall}) == len(wanted)


def test_each_entry_of_a_whole_answer_is_a_call() -> None:
    entries = [call_piece(0, {"x": 1}, name="f"), call_piece(0, {"x": 2}, name="f")]
    calls = whole(answer({"content": None, "tool_calls": entries}, "tool_calls")).message.tool_calls
    assert [call.args for call in calls] == [{"x": 1}, {"x": 2}]
    assert len({call.id for call in calls}) == 2


def test_calls_of_a_whole_answer_that_share_an_id_are_still_two() -> None:
    calls = [call_piece(None, "{}", id="a", name="f"), call_piece(None, '{"x":1}', id="a", name="f")]
    found = whole(answer({"tool_calls": calls}, "tool_calls")).message.tool_calls
    assert [call.args for call in found] == [{}, {"x": 1}]
    assert len({call.id for call in found}) == 2


def test_placeholders_are_nothing() -> None:
    message: dict[str, Any] = {
        "content": "4",
        "refusal": "",
        "tool_calls": None,
        "function_call": {"name": "", "arguments": ""},
        "audio": {"id": "", "data": "", "expires_at": 0, "transcript": ""},
        "annotations": [],
    }
    assert whole(answer(message)).message == Message.assistant("4")


# Usage


@pytest.mark.parametrize(
    "event",
    [
        {"choices": [], "usage": {"prompt_tokens": 5}},
        {"choices": None, "usage": {"prompt_tokens": 5}},
        {"choices": [], "x_groq": {"id": "r", "usage": {"prompt_tokens": 5}}},
        {"choices": [{"index": 0, "delta": {}, "usage": {"prompt_tokens": 5}}]},
        {
            "choices": [{"index": 0, "delta": {"content": "!"}, "finish_reason": None}],
            "usage": {"prompt_tokens": 5},
        },
    ],
)
def test_usage_in_odd_places(event: dict[str, Any]) -> None:
    first = chunk({"content": "t"}, usage={"prompt_tokens": 4})
    broken, _ = collect(streamed(made().decoder(), [event_stream(first)]))
    assert broken.usage.input_tokens == 4
    chunks = chunks_of(first, chunk({}, "stop", usage=None), json.dumps(event))
    assert type(chunks[-1]) is ChatEnd and chunks[-1].usage.input_tokens == 5


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 1}, "cached_tokens": 9}, (1, None, None)),
        ({"cached_tokens": 2}, (2, None, None)),
        ({"prompt_cache_hit_tokens": 3, "prompt_cache_miss_tokens": 1}, (3, None, None)),
        ({"cache_read_input_tokens": 4, "cache_creation_input_tokens": 5}, (4, 5, None)),
        ({"prompt_tokens_details": {"cache_write_tokens": 6}}, (None, 6, None)),
        ({"reasoning_tokens": 7}, (None, None, 7)),
        ({"completion_tokens_details": {"reasoning_tokens": 8}, "reasoning_tokens": 0}, (None, None, 8)),
        ({"prompt_tokens_details": None, "completion_tokens_details": []}, (None, None, None)),
    ],
)
def test_counts_under_their_names(usage: dict[str, Any], counts: tuple[int | None, ...]) -> None:
    found = whole({**answer({"content": "x"}), "usage": usage}).usage
    assert (found.cache_read_tokens, found.cache_write_tokens, found.reasoning_tokens) == counts
    assert found.raw == usage


# Errors in answers with status 200


@pytest.mark.parametrize(
    ("event", "status", "code"),
    [
        ({"error": {"message": "m", "code": 429}}, 429, "429"),
        ({"error": "m"}, None, None),
        ({"object": "error", "message": "m", "type": "invalid_request_error", "code": 400}, 400, "400"),
        ({"message": "m", "code": "server_error"}, 500, "server_error"),
        ({"choices": [{"index": 0, "error": {"message": "m", "code": 502}}]}, 502, "502"),
        ({"choices": None, "base_resp": {"status_code": 1004, "status_msg": "m"}}, None, "1004"),
        ({"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}, None, "error"),
    ],
)
def test_errors_in_all_their_forms(event: dict[str, Any], status: int | None, code: str | None) -> None:
    found = error_in(chunks_of(chunk({"content": "t"}), json.dumps(event)))
    assert isinstance(found, RateLimited if status == 429 else ProviderError)
    assert (found.status, found.code) == (status, code)
    assert "m" in found.message
    with pytest.raises(ProviderError) as caught:
        whole(event)
    assert (caught.value.status, caught.value.code) == (status, code)


def test_a_state_of_zero_is_no_error() -> None:
    assert whole({**answer({"content": "t"}), "base_resp": {"status_code": 0}}).text == "t"


# Limits and properties


def test_nothing_is_gathered_without_a_limit() -> None:
    entries = [chunk({"reasoning_details": [{"type": "t", "index": n}]}) for n in range(MAX_BLOCKS + 1)]
    assert isinstance(error_in(chunks_of(*entries, preset="openrouter")), ProtocolError)
    images = [chunk({"images": [{}]}) for n in range(MAX_BLOCKS + 1)]
    assert isinstance(error_in(chunks_of(*images)), ProtocolError)
    long = "x" * 4_000_000
    for delta, preset in (
        ({"reasoning_content": long}, "deepseek"),
        ({"reasoning_details": [{"type": "t", "index": 0, "text": long}]}, "openrouter"),
        ({"refusal": long}, None),
    ):
        decoder, piece = made(preset).decoder(), event_stream(chunk(delta))
        chunks = [c for _ in range(MAX_TEXT // 4_000_000 + 2) for c in decoder.feed(piece)]
        assert isinstance(error_in(chunks), ProtocolError)
    details = [
        chunk({"reasoning_details": [{"type": "t", "index": n, "text": long}]})
        for n in range(MAX_TEXT // 4_000_000 + 1)
    ]
    assert isinstance(error_in(chunks_of(*details, preset="openrouter")), ProtocolError)
    picture = event_stream(chunk({"images": [{"image_url": {"url": "x" * 7_000_000}}]}))
    decoder = made("openrouter").decoder()
    chunks = [found for _ in range(MAX_IMAGES // 7_000_000 + 1) for found in decoder.feed(picture)]
    assert isinstance(error_in(chunks), ProtocolError)


PIECES = st.sampled_from(
    [
        {"content": "a"},
        {"content": None},
        {"content": [{"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "c", "reasoning": None},
        {"reasoning_content": "h"},
        {"reasoning": "m", "reasoning_details": [{"type": "t", "index": 0, "text": "m"}]},
        {"refusal": "r"},
        {"tool_calls": [call_piece(0, '{"x":1}', id="a", name="f")]},
        {"tool_calls": [call_piece(0, '{"x":1}', name="f")]},
        {"tool_calls": [call_piece(None, "", name="g")]},
        {"annotations": [{"type": "url_citation", "url": "https://x"}]},
        {"audio": {"id": "a", "data": "AAAA"}},
        {"images": [{"image_url": {"url": "data:image/png;base64,AAAA"}}]},
        {},
    ]
)


@settings(max_examples=examples(2), deadline=None)
@given(
    st.lists(st.tuples(PIECES, st.integers(0, 2)), max_size=8),
    st.sampled_from([None, "openrouter", "deepseek", "perplexity"]),
    st.data(),
)
def test_any_cut_gives_the_same_chunks_and_what_was_told_can_be_sent(
    pieces: list[tuple[dict[str, Any], int]], preset: str | None, data: st.DataObject
) -> None:
    events = [
        json.dumps({"id": "c", "choices": [{"index": index, "delta": delta}]}) for delta, index in pieces
    ]
    body = event_stream(*events, chunk({}, "stop"), DONE)
    provider = made(preset)
    expected = told(streamed(provider.decoder(), [body]))
    places = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    parts = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True) if a < b]
    assert told(streamed(provider.decoder(), parts)) == expected
    response, error = collect(streamed(provider.decoder(), [body]))
    assert error is None
    for message in (response.message, *(choice.message for choice in response.other_choices)):
        if preset == "openrouter" and message.content:  # the others have no place for pictures or sound
            provider.http_request(ChatRequest(messages=(REQUEST.messages[0], message)), stream=False)


@given(st.lists(PIECES, max_size=6), st.sampled_from([None, "openrouter", "deepseek"]))
def test_whole_and_streamed_say_the_same(pieces: list[dict[str, Any]], preset: str | None) -> None:
    """One piece, as a delta and as a message, is the same answer."""
    for piece in pieces:
        response, error = collect(chunks_of(chunk(piece), chunk({}, "stop"), preset=preset))
        try:
            again = made(preset).decode({"id": "c1", "model": "gpt", **json.loads(chunk_as_message(piece))})
        except TakoError as raised:
            assert str(raised) == str(error)
            continue
        assert again.message == response.message


def chunk_as_message(piece: dict[str, Any]) -> str:
    return json.dumps({"choices": [{"index": 0, "message": piece, "finish_reason": "stop"}]})
