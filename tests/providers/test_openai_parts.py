"""What OpenAI's answers hold besides text and calls: sound, other answers, probabilities, citations."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pydantic_core import from_json

from tako.errors import InvalidInput, ProtocolError, ProviderError
from tako.events import ChatEnd, Logprobs, OtherChoice, TextBlock, TextDelta, ToolCall
from tako.models import (
    AudioPart,
    ChatRequest,
    ChatResponse,
    ContentPart,
    Message,
    OpaquePart,
    TextPart,
    ThinkingPart,
    TokenLogprob,
)
from tako.providers.answer import MAX_BLOCKS, MAX_TEXT
from tako.providers.chat_completions.decode import MAX_CHOICES, ChatDecoder
from tako.providers.openai import OpenAI
from tests.providers.test_openai_decode import answer, call_piece, chunk, chunks_of, error_in, whole
from tests.support.answers import collect, event_stream


def test_audio_is_a_part_with_its_words_and_its_id_goes_back() -> None:
    audio = {"id": "au1", "data": "SUQzBAA=", "transcript": "hello", "expires_at": 7}
    response = whole(answer({"content": None, "audio": audio}))
    (part,) = response.message.content
    assert type(part) is AudioPart
    assert (part.mime, part.data_b64, part.transcript) == ("audio/mpeg", "SUQzBAA=", "hello")
    pieces = [
        {"id": "au1"},
        {"id": "au1", "data": "SUQz"},
        {"data": "BAA=", "transcript": "hel"},
        {"transcript": "lo"},
    ]
    again, _ = collect(chunks_of(*[chunk({"audio": piece}) for piece in pieces], chunk({}, "stop")))
    assert again.message == response.message
    body = OpenAI("m", "").http_request(ChatRequest(messages=(response.message,)), stream=False).body
    assert from_json(body)["messages"] == [{"role": "assistant", "content": None, "audio": {"id": "au1"}}]


@pytest.mark.parametrize(
    ("start", "mime"),
    [
        (b"RIFF1234WAVE", "audio/wav"),
        (b"ID3\4", "audio/mpeg"),
        (b"\xff\xfb1", "audio/mpeg"),
        (b"fLaC", "audio/flac"),
        (b"OggS", "audio/ogg"),
        (b"\xff\xf11", "audio/aac"),
        (b"\0\1\0\1", "audio/pcm"),
    ],
)
def test_what_sound_is_shows_in_its_first_bytes(start: bytes, mime: str) -> None:
    response = whole(answer({"audio": {"id": "a", "data": base64.b64encode(start).decode()}}))
    assert [part.mime for part in response.message.content if type(part) is AudioPart] == [mime]


def test_pieces_of_sound_that_were_filled_up_one_by_one_are_one_sound() -> None:
    pieces = [base64.b64encode(piece).decode() for piece in (b"RIFF", b"12345", b"678")]
    events = [chunk({"audio": {"id": "a", "data": piece}}) for piece in pieces]
    response, _ = collect(chunks_of(*events, chunk({}, "stop")))
    (part,) = response.message.content
    assert type(part) is AudioPart and base64.b64decode(part.data_b64 or "") == b"RIFF12345678"
    with pytest.raises(ProtocolError, match="base64"):
        whole(answer({"audio": {"id": "a", "data": "no base64!"}}))
    without = whole(answer({"audio": {"id": "a", "transcript": "hm"}})).message.content
    assert [part.replay.data for part in without if type(part) is OpaquePart] == [
        {"audio": {"id": "a", "transcript": "hm"}}
    ]


def other(index: int, delta: dict[str, Any], finish: str | None = None) -> str:
    return json.dumps({"choices": [{"index": index, "delta": delta, "finish_reason": finish}]})


def test_answers_after_the_first_are_told_whole_at_the_end() -> None:
    both = json.dumps(
        {"choices": [{"index": 1, "delta": {"content": "B"}}, {"index": 0, "delta": {"content": "a"}}]}
    )
    chunks = chunks_of(
        other(2, {"reasoning": "hm"}),
        both,
        other(1, {"tool_calls": [call_piece(0, '{"x"', id="i", name="f")]}),
        other(2, {"content": "c"}, "length"),
        chunk({"content": "b"}),
        other(1, {"tool_calls": [call_piece(0, ":1}")]}, "tool_calls"),
        chunk({"tool_calls": [call_piece(0, "{}", id="j", name="g")]}, "tool_calls"),
    )
    assert [type(c) for c in chunks] == [TextDelta, TextDelta, ToolCall, OtherChoice, OtherChoice, ChatEnd]
    response, error = collect(chunks)
    assert (response.text, error) == ("ab", None)
    first, second = response.other_choices
    assert (first.index, first.message.text, first.finish_reason) == (1, "B", "tool_calls")
    assert [(c.id, c.args) for c in first.message.tool_calls] == [("i", {"x": 1})]
    assert (second.index, second.finish_reason, second.raw_finish_reason) == (2, "length", "length")
    assert second.message.content == (ThinkingPart(text="hm"), TextPart(text="c"))


def test_answers_of_a_whole_one_are_told_by_their_place_where_the_index_does_not() -> None:
    choices = [{"index": 0, "message": {"content": text}, "finish_reason": "stop"} for text in "abc"]
    response = whole({"choices": choices})
    assert response.text == "a"
    assert [(c.index, c.message.text) for c in response.other_choices] == [(1, "b"), (2, "c")]
    turned = [
        {"index": 1, "message": {"content": "no"}},
        {"index": 0, "message": {"content": "yes"}, "finish_reason": "stop"},
    ]
    response = whole({"choices": turned})
    assert (response.text, response.other_choices[0].message.text) == ("yes", "no")


def test_a_cut_call_in_another_answer_is_an_error_before_any_call() -> None:
    chunks = chunks_of(
        other(1, {"tool_calls": [call_piece(0, '{"x', id="i", name="f")]}, "length"),
        chunk({"tool_calls": [call_piece(0, "{}", id="j", name="g")]}, "tool_calls"),
    )
    assert isinstance(error_in(chunks), ProviderError)
    assert not any(type(c) is ToolCall for c in chunks)


def test_log_probabilities_are_told_with_the_tokens() -> None:
    entry = {"token": "Hi", "logprob": -0.5, "bytes": [72], "top_logprobs": [{"token": "Ho", "logprob": -1}]}
    odd = [{"token": "x", "logprob": None}, {"logprob": 1}, "x", {"token": "y", "logprob": 1e400}]
    probabilities = {"content": [entry, *odd], "refusal": None}
    wanted = (TokenLogprob(token="Hi", logprob=-0.5, top=(("Ho", -1.0),)),)
    event = {"index": 0, "delta": {"content": "Hi"}, "logprobs": probabilities, "finish_reason": None}
    chunks = chunks_of(json.dumps({"choices": [event]}), chunk({}, "stop"))
    assert chunks[:2] == [TextDelta("Hi"), Logprobs(wanted)]
    payload = answer({"content": "Hi"})
    payload["choices"][0]["logprobs"] = probabilities
    assert whole(payload).logprobs == wanted
    for unknown in (7, {"content": 7}, {"tokens": ["Hi"]}):
        payload["choices"][0]["logprobs"] = unknown
        assert whole(payload).logprobs is None


def test_what_an_answer_cites_belongs_to_its_text() -> None:
    found = {"url": "https://x", "title": "X", "start_index": 0, "end_index": 2}
    note = {"type": "url_citation", "url_citation": found}
    file = {"type": "file", "file": {"hash": "h"}}
    response = whole(answer({"content": "Hi you", "annotations": [note, file]}))
    (part,) = response.message.content
    assert type(part) is TextPart and part.text == "Hi you"
    (citation,) = part.citations
    assert (citation.source, citation.title, citation.start, citation.end) == ("https://x", "X", 0, 2)
    assert response.details["annotations"] == [note, file]
    chunks = chunks_of(
        chunk({"content": "Hi"}), chunk({"content": " you"}), chunk({"annotations": [note, file]}, "stop")
    )
    assert [type(c) for c in chunks] == [TextDelta, TextDelta, TextBlock, ChatEnd]
    assert collect(chunks)[0].message == response.message
    assert messages_again(response) == [{"role": "assistant", "content": "Hi you"}]


def messages_again(response: ChatResponse) -> list[Any]:
    body = OpenAI("m", "").http_request(ChatRequest(messages=(response.message,)), stream=False).body
    listed: list[Any] = from_json(body)["messages"]
    return listed


def test_what_else_is_said_of_an_answer_is_in_its_details() -> None:
    payload = answer({"content": "", "refusal": "I cannot"}, service_tier="flex", system_fingerprint="fp")
    payload["choices"][0]["content_filter_results"] = {"hate": {"filtered": False}}
    assert whole(payload).details == {
        "service_tier": "flex",
        "system_fingerprint": "fp",
        "content_filter_results": {"hate": {"filtered": False}},
        "refusal": "I cannot",
    }
    events = [
        chunk({"refusal": "I "}, service_tier="auto", system_fingerprint=None),
        chunk({"refusal": "cannot"}, "stop", service_tier="flex", prompt_filter_results=[]),
    ]
    response, _ = collect(chunks_of(*events))
    assert response.details == {"service_tier": "flex", "refusal": "I cannot"}
    assert response.text == "I cannot"


def test_the_one_call_of_old_goes_back_as_it_came() -> None:
    legacy = {"name": "f", "arguments": '{"x":1}'}
    response = whole(answer({"content": None, "function_call": legacy}, "function_call"))
    (call,) = response.message.tool_calls
    assert messages_again(response) == [{"role": "assistant", "content": None, "function_call": legacy}]
    pieces = [chunk({"function_call": {"name": "f", "arguments": ""}})]
    pieces += [chunk({"function_call": {"arguments": text}}) for text in ('{"x"', ":1}")]
    assert collect(chunks_of(*pieces, chunk({}, "function_call")))[0].message == response.message
    result = Message.tool([ContentPart.tool_result(call.id, "7", name="f")])
    body = OpenAI("m", "").http_request(ChatRequest(messages=(result,)), stream=False).body
    assert from_json(body)["messages"] == [{"role": "function", "name": "f", "content": "7"}]
    nameless = Message.tool([ContentPart.tool_result(call.id, "7")])
    with pytest.raises(InvalidInput, match="name"):
        OpenAI("m", "").http_request(ChatRequest(messages=(nameless,)), stream=False)


def test_what_is_gathered_has_limits() -> None:
    choices = [other(n, {"content": "x"}) for n in range(MAX_CHOICES + 2)]
    assert isinstance(error_in(chunks_of(*choices)), ProtocolError)
    long = event_stream(other(1, {"content": "x" * 4_000_000}))
    decoder = ChatDecoder()
    chunks = [c for _ in range(MAX_TEXT // 4_000_000 + 1) for c in decoder.feed(long)]
    assert isinstance(error_in(chunks), ProtocolError)
    fields = [chunk({"audio": {f"f{n}": "x"}}) for n in range(MAX_BLOCKS + 2)]
    assert isinstance(error_in(chunks_of(*fields)), ProtocolError)
    notes = [chunk({"annotations": [{"n": n}]}) for n in range(MAX_BLOCKS + 2)]
    assert isinstance(error_in(chunks_of(*notes)), ProtocolError)
    filters = [chunk({}, content_filter_results={str(n): 1}) for n in range(MAX_BLOCKS + 2)]
    assert isinstance(error_in(chunks_of(*filters)), ProtocolError)


def test_citations_that_come_one_by_one_are_each_told_once() -> None:
    notes = [{"type": "url_citation", "url": f"https://x/{n}"} for n in range(2)]
    events = [chunk({"content": "a"}), *[chunk({"annotations": [n]}) for n in (notes[0], *notes)]]
    response, _ = collect(chunks_of(*events, chunk({}, "stop")))
    (part,) = response.message.content
    assert type(part) is TextPart
    assert [citation.source for citation in part.citations] == ["https://x/0", "https://x/1"]
