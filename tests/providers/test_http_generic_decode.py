"""HttpGeneric's answers, found by pointers: whole, streamed, cut, broken and hostile."""

from __future__ import annotations

import json
from collections.abc import Iterable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import InvalidInput, ProtocolError, ProviderError, RateLimited, TakoError, TransportError
from tako.events import ChatChunk, ChatEnd, ChatError, TextDelta, ThinkingDelta, ToolCall
from tako.models import ChatRequest, ChatResponse, Message, TextPart, ThinkingPart, ToolCallPart, Usage
from tako.providers import HttpGeneric
from tako.providers.answer import MAX_BLOCKS
from tako.providers.http_generic.pointer import Pointer
from tako.testing import (
    Answer,
    ScriptedVendor,
    Simulator,
    check_provider,
    check_split_invariance,
    check_stream_contract,
    check_truncation,
    strategies,
)
from tests.support.answers import collect, event_stream, play, spoiled, streamed, told

REQUEST = ChatRequest(messages=(Message.user("hello"),))
DONE = "[DONE]"


def generic(pointer: str = "/text", **options: Any) -> HttpGeneric:
    template = {"prompt": "{{ prompt }}", "stream": "{{ stream }}"}
    return HttpGeneric("parrot:1", "p-1", "https://parrot.test/talk", template, pointer, **options)


def whole(payload: Any, pointer: str = "/text", **options: Any) -> ChatResponse:
    provider = generic(pointer, **options)
    response, _, _ = play(provider.chat_flow(REQUEST), [json.dumps(payload).encode()])
    return response


def error_of(payload: Any, kind: type[TakoError], pointer: str = "/text", **options: Any) -> TakoError:
    with pytest.raises(kind) as caught:
        whole(payload, pointer, **options)
    assert type(caught.value) is kind
    return caught.value


# Pointers: the examples of RFC 6901, section 5, and what lies beside them.

DOCUMENT = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
    "~1": 9,
    "0": {"01": "member"},
}


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("", DOCUMENT),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/foo/1", "baz"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
        ("/~01", 9),
        ("/0/01", "member"),
        ("/foo/2", None),
        ("/foo/-", None),
        ("/foo/-1", None),
        ("/foo/00", None),
        ("/foo/01", None),
        ("/foo/٠", None),
        ("/foo/9999999999999", None),
        ("/foo/0/0", None),
        ("/foo/bar", None),
        ("/nothing/at/all", None),
        ("/foo/", None),
    ],
)
def test_pointers_find_what_the_rfc_says(pointer: str, found: Any) -> None:
    assert Pointer(pointer).find(DOCUMENT) == found
    assert repr(Pointer(pointer)) == f"Pointer({pointer!r})"


@pytest.mark.parametrize("text", ["a", "a/b", "/~", "/~2", "/a~", " /a", None, 3])
def test_what_is_no_pointer_is_refused(text: Any) -> None:
    with pytest.raises(InvalidInput, match="JSON pointer"):
        Pointer(text)


@given(st.text(), strategies.json_values())
def test_any_member_can_be_pointed_at(name: str, value: Any) -> None:
    pointer = Pointer("/" + name.replace("~", "~0").replace("/", "~1"))
    assert pointer.find({name: value}) == value
    Pointer(pointer.text * 2).find(value)


# Whole answers.

EVERYTHING = {
    "thinking_pointer": "/thoughts",
    "finish_reason_pointer": "/why",
    "usage_pointer": "/counts",
    "tool_calls_pointer": "/calls",
    "tool_call_id_pointer": "/no",
    "tool_call_name_pointer": "/tool",
    "tool_call_arguments_pointer": "/with",
    "id_pointer": "/ref",
    "model_pointer": "/who",
}


def test_everything_is_where_the_pointers_say() -> None:
    payload = {
        "text": "Hi",
        "thoughts": "hm",
        "why": "tool_use",
        "counts": {"input_tokens": 3, "output_tokens": 4},
        "calls": [
            {"no": "c1", "tool": "look", "with": {"a": 1}},
            {"no": 2, "tool": "look", "with": '{"a": 2}'},
            {"tool": "rest"},
            {"no": "c4", "tool": "look", "with": "not json"},
        ],
        "ref": "r1",
        "who": "p-1-large",
    }
    response = whole(payload, response_config=EVERYTHING)
    assert response.message.content == (
        ThinkingPart(text="hm"),
        TextPart(text="Hi"),
        ToolCallPart(id="c1", name="look", args={"a": 1}),
        ToolCallPart(id="2", name="look", args={"a": 2}),
        ToolCallPart(id="call_r1_2", name="rest", args={}),
        ToolCallPart(id="c4", name="look", args="not json"),
    )
    assert (response.finish_reason, response.raw_finish_reason) == ("tool_calls", "tool_use")
    assert response.usage == Usage(input_tokens=3, output_tokens=4, raw=payload["counts"])
    assert (response.model, response.response_id) == ("p-1-large", "r1")


def test_without_pointers_an_answer_is_its_text() -> None:
    response = whole({"text": "Hi", "usage": {"input_tokens": 3}, "error": None})
    assert response == ChatResponse(message=Message.assistant("Hi"), finish_reason="stop")
    assert whole({"text": ""}).message.content == ()
    assert whole("Hi", "").text == "Hi"
    assert whole([{"generated": "Hi"}], "/0/generated").text == "Hi"


def test_calls_may_be_a_single_one_and_come_without_text() -> None:
    config = {
        "tool_calls_pointer": "/call",
        "tool_call_name_pointer": "/name",
        "tool_call_arguments_pointer": "/args",
    }
    response = whole({"text": None, "call": {"name": "look", "args": {}}}, response_config=config)
    assert [call.name for call in response.message.tool_calls] == ["look"]
    assert response.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({}, "no text at response_text_pointer '/text'"),
        ({"text": None}, "no text at"),
        ({"text": 7}, "no text at '/text', but int"),
        ({"text": ["a"]}, "no text at '/text', but list"),
        ([], "no text at"),
        (None, "no text at"),
    ],
)
def test_an_answer_without_text_is_no_answer(payload: Any, words: str) -> None:
    assert words in error_of(payload, ProtocolError).message


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, (3, 4, None, None)),
        ({"input": 3, "output": 4}, (3, 4, None, None)),
        ({"prompt": 3, "completion": 4}, (3, 4, None, None)),
        ({"inputTokens": 3, "outputTokens": 0}, (3, 0, None, None)),
        ({"prompt_eval_count": 3, "eval_count": 4}, (3, 4, None, None)),
        (
            {
                "prompt_tokens": 3,
                "completion_tokens": 4,
                "prompt_tokens_details": {"cached_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
            (3, 4, 1, 2),
        ),
        ({"input_tokens": "3", "output_tokens": True}, (None, None, None, None)),
        ("many", (None, None, None, None)),
        (None, (None, None, None, None)),
    ],
)
def test_counts_go_by_their_usual_names(counts: Any, usage: tuple[Any, ...]) -> None:
    found = whole({"text": "x", "u": counts}, response_config={"usage_pointer": "/u"}).usage
    assert (found.input_tokens, found.output_tokens, found.cache_read_tokens, found.reasoning_tokens) == usage


def test_counts_of_other_names_have_pointers_of_their_own() -> None:
    config = {
        "usage_pointer": "",
        "usage_pointers": {"input_tokens": "/in/all", "cache_write_tokens": "/kept"},
    }
    payload = {"text": "x", "in": {"all": 5}, "kept": 2, "output_tokens": 1, "input_tokens": 99}
    usage = whole(payload, response_config=config).usage
    assert usage == Usage(input_tokens=5, output_tokens=1, cache_write_tokens=2, raw=payload)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [("stop", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("enough", "length"),
     (True, "stop"), ("odd", "other"), (2, "other"), (None, "other"), ({}, "other")],
)  # fmt: skip
def test_reasons_have_meanings(raw: Any, reason: str) -> None:
    config = {"finish_reason_pointer": "/why"}
    response = whole({"text": "x", "why": raw}, response_config=config, finish_reasons={"enough": "length"})
    assert response.finish_reason == reason
    assert (
        response.raw_finish_reason == {True: "true", 2: "2"}.get(raw, raw)
        if not isinstance(raw, dict)
        else True
    )


def test_a_call_that_was_cut_off_is_an_error() -> None:
    payload = {"text": "x", "why": "length", "calls": [{"no": "1", "tool": "f", "with": '{"a'}]}
    error = error_of(payload, ProviderError, response_config=EVERYTHING)
    assert "was cut" in error.message and error.partial.text == "x"
    error_of({"text": "x", "calls": [{"no": "1", "with": {}}]}, ProtocolError, response_config=EVERYTHING)


# Refusals.


def refused(status: int, body: Any, **options: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        play(generic(**options).chat_flow(REQUEST), [json.dumps(body).encode()], status)
    return caught.value


def test_a_429_is_rate_limited() -> None:
    error = refused(429, {"error": {"message": "slow down", "code": 7, "retry_after": 3}})
    assert type(error) is RateLimited and (error.retry_after, error.code) == (3.0, "7")
    assert type(refused(500, {})) is ProviderError


def test_pointers_find_what_a_refusal_says() -> None:
    options = {"error_message_pointer": "/fault/words", "error_code_pointer": "/fault/no"}
    error = refused(400, {"fault": {"words": "no such parrot", "no": 17}}, **options)
    assert "no such parrot" in error.message and error.code == "17"
    error = refused(400, {"error": {"message": "usual", "type": "t"}}, **options)
    assert "usual" in error.message and error.code == "t"


def test_an_error_in_a_good_answer_is_one() -> None:
    error = error_of({"error": {"message": "busy", "code": "server_error"}}, ProviderError)
    assert "busy" in error.message and error.status == 500
    options = {"error_message_pointer": "/detail", "error_code_pointer": "/code"}
    error = error_of({"detail": "busy", "code": 429}, RateLimited, **options)
    assert "busy" in error.message and error.code == "429"
    assert whole({"text": "x", "detail": "all is well"}, **options).text == "x"


# Streams.

NDJSON = {
    "kind": "ndjson",
    "content_pointer": "/say",
    "finish_reason_pointer": "/over",
    "usage_pointer": "/counts",
    "thinking_pointer": "/think",
    "tool_calls_pointer": "/calls",
}


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> str:
    return json.dumps(
        {"id": "r", "model": "m", "choices": [{"delta": delta, "finish_reason": finish}], **more}
    )


def sse(*events: str, **config: Any) -> list[ChatChunk]:
    decoder = generic(stream_config={"kind": "openai_sse", **config}).decoder()
    return streamed(decoder, [event_stream(*events)])


def lines(*frames: Any, **config: Any) -> list[ChatChunk]:
    decoder = generic(stream_config={**NDJSON, **config}).decoder()
    return streamed(decoder, [b"".join(json.dumps(frame).encode() + b"\n" for frame in frames)])


def failure(chunks: Iterable[ChatChunk]) -> TakoError:
    *_, error, end = chunks
    told([error, end])
    assert type(error) is ChatError
    return error.error


COUNTS = {"prompt_tokens": 1, "completion_tokens": 2}
USAGE = Usage(input_tokens=1, output_tokens=2, raw=COUNTS)


def test_a_stream_of_events() -> None:
    said = chunk({"content": "Hi"}), chunk({"reasoning_content": "hm"}), chunk({}, "length")
    usage = json.dumps({"choices": [], "usage": COUNTS})
    end = ChatEnd("length", USAGE, "length", "m", "r")
    wanted = [TextDelta("Hi"), ThinkingDelta("hm"), end]
    assert sse(*said, usage, DONE) == wanted
    assert sse(*said, usage) == wanted
    assert sse(*said, usage, end="eof") == wanted
    assert sse(chunk({"content": "Hi"}), DONE)[-1] == ChatEnd("other", Usage(), None, "m", "r")


def test_where_the_end_of_events_is_the_end_of_the_answer() -> None:
    begun, over = chunk({"content": "Hi"}), chunk({}, "stop")
    assert type(failure(sse(begun))) is TransportError
    assert type(failure(sse(begun, over, end="done"))) is TransportError
    assert sse(begun, over, DONE, end="done")[-1].kind == "end"
    assert sse(begun, end="eof")[-1].finish_reason == "other"  # type: ignore[union-attr]
    for empty in (sse(end="eof"), sse("{}", "null", end="eof"), sse(DONE)):
        assert isinstance(failure(empty), (TransportError, ProtocolError))


def test_a_stream_of_lines() -> None:
    frames = {"think": "hm"}, {"say": "H"}, {"say": ""}, {"say": "i"}, {"ping": 1}
    last = {"over": True, "counts": COUNTS}
    wanted = [ThinkingDelta("hm"), TextDelta("H"), TextDelta("i"), ChatEnd("stop", USAGE, "true")]
    assert lines(*frames, last) == wanted
    assert lines(*frames, last, {"say": "after"}) == wanted
    assert lines(*frames, last, end="eof") == wanted
    assert type(failure(lines(*frames))) is TransportError
    assert lines(*frames, end="eof")[-1] == ChatEnd("other", Usage())


PIECES = [
    {"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}},
    {"index": 1, "id": "b", "function": {"name": "g", "arguments": '{"y":'}},
    {"index": 0, "function": {"arguments": '{"x": '}},
    {"index": 1, "function": {"arguments": " 2}"}},
    {"index": 0, "function": {"arguments": "1}"}},
]


def test_calls_in_pieces_are_put_together_by_their_index() -> None:
    calls = [
        ToolCall(ToolCallPart(id="a", name="f", args={"x": 1})),
        ToolCall(ToolCallPart(id="b", name="g", args={"y": 2})),
    ]
    events = [chunk({"tool_calls": [piece]}) for piece in PIECES]
    assert sse(*events, chunk({}, "tool_calls"), DONE)[:-1] == calls
    assert lines(*({"calls": piece} for piece in PIECES), {"over": "stop"}) == [
        *calls,
        ChatEnd("tool_calls", Usage(), "stop"),
    ]


def test_calls_without_an_index_are_told_apart_by_id_and_name() -> None:
    def names(*pieces: dict[str, Any]) -> list[Any]:
        chunks = lines(*({"calls": [piece]} for piece in pieces), {"over": "stop"})
        return [(call.name, call.args) for call in chunks if isinstance(call, ToolCall)]

    whole_calls = [{"function": {"name": name, "arguments": {"n": name}}} for name in "fg"]
    assert names(*whole_calls) == [("f", {"n": "f"}), ("g", {"n": "g"})]
    begun, rest = {"id": "1", "function": {"name": "f", "arguments": "{"}}, {"function": {"arguments": "}"}}
    other = {"id": "2", "function": {"name": "f", "arguments": "{}"}}
    assert names(begun, rest, other) == [("f", {}), ("f", {})]


def test_a_call_that_is_cut_off_is_never_run() -> None:
    pieces = [{"calls": piece} for piece in PIECES[:-1]]  # the first call lacks its end, the second does not
    for chunks in (lines(*pieces, end="eof"), lines(*pieces), lines(*pieces, {"over": "length"})):
        assert isinstance(failure(chunks), (TransportError, ProviderError))
        assert not [chunk for chunk in chunks if type(chunk) is ToolCall]


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ({"error": {"message": "busy", "code": "overloaded"}}, ProviderError),
        ({"error": "busy"}, ProviderError),
        ({"say": 7}, ProtocolError),
        ({"think": []}, ProtocolError),
        ({"calls": ["f"], "over": "stop"}, ProtocolError),
        ({"detail": "busy"}, ProviderError),
    ],
)
def test_what_breaks_a_stream(frame: Any, kind: type[TakoError]) -> None:
    decoder = generic(stream_config=NDJSON, error_message_pointer="/detail").decoder()
    body = b"".join(json.dumps(line).encode() + b"\n" for line in ({"say": "Hi"}, frame))
    chunks = streamed(decoder, [body])
    assert chunks[0] == TextDelta("Hi")
    assert type(failure(chunks)) is kind


def test_nothing_is_kept_without_a_limit() -> None:
    call = {"function": {"name": "f", "arguments": "{}"}}
    assert "blocks" in failure(lines({"calls": [call] * (MAX_BLOCKS + 1)})).message
    assert (
        "characters"
        in failure(lines(*[{"calls": {"index": 0, "function": {"arguments": "x" * (1 << 22)}}}] * 5)).message
    )


SSE_BODY = event_stream(
    chunk({"content": "Hé\u2028"}),
    *(chunk({"tool_calls": [piece]}) for piece in PIECES),
    chunk({}, "tool_calls"),
    json.dumps({"choices": [], "usage": COUNTS}),
    DONE,
)
NDJSON_BODY = b"".join(
    json.dumps(frame, ensure_ascii=False).encode() + b"\r\n"
    for frame in (
        {"say": "Hé\u2028"},
        *({"calls": [piece]} for piece in PIECES),
        {"over": "stop", "counts": COUNTS},
    )
)
STREAMS: dict[str, tuple[dict[str, Any], bytes]] = {
    "sse": ({"kind": "openai_sse", "end": "done"}, SSE_BODY),
    "ndjson": (NDJSON, NDJSON_BODY),
}


@pytest.mark.parametrize("name", STREAMS)
def test_streams_keep_the_contracts(name: str) -> None:
    config, body = STREAMS[name]
    provider = generic(stream_config=config)
    check_split_invariance(provider.decoder, body)
    check_truncation(provider.decoder, body)
    assert [call.args for call in collect(streamed(provider.decoder(), [body]))[0].message.tool_calls] == [
        {"x": 1},
        {"y": 2},
    ]


@pytest.mark.parametrize("name", STREAMS)
@given(data=st.data())
def test_hostile_bytes_are_an_answer(name: str, data: st.DataObject) -> None:
    config, body = STREAMS[name]
    place = data.draw(st.integers(0, len(body)))
    hostile = body[:place] + data.draw(strategies.hostile_bytes()) + body[place:]
    provider = generic(stream_config={**config, "end": data.draw(st.sampled_from(("reason", "eof")))})
    check_stream_contract(streamed(provider.decoder(), data.draw(strategies.cuts(hostile))))


@given(st.integers())
def test_odd_values_are_an_answer(seed: int) -> None:
    chance = Random(seed)
    payload = {"text": "a", "why": "stop", "counts": COUNTS, "thoughts": "b", "ref": "r", "who": "w",
               "calls": [{"no": "1", "tool": "f", "with": "{}"}]}  # fmt: skip
    try:
        assert isinstance(whole(spoiled(payload, chance), response_config=EVERYTHING), ChatResponse)
    except TakoError as error:
        assert not isinstance(error, InvalidInput)
    frames = [json.loads(line) for line in NDJSON_BODY.splitlines()]
    place = chance.randrange(len(frames))
    frames[place] = spoiled(frames[place], chance)
    check_stream_contract(lines(*frames))


def test_a_stream_without_a_stream_config_is_refused_before_anything_is_sent() -> None:
    vendor = ScriptedVendor(Answer())
    with pytest.raises(InvalidInput, match="no stream_config"):
        Simulator(vendor=vendor).run(generic().stream_flow(REQUEST))
    assert vendor.requests == []


def test_the_conformance_kit_is_satisfied() -> None:
    body = event_stream(chunk({"content": "Hello"}), chunk({"content": " there"}), chunk({}, "stop"), DONE)
    provider = generic(stream_config={"kind": "openai_sse", "end": "done"})
    check_provider(
        lambda: provider, whole=Answer.json('{"text": "Hello there"}'), streamed=Answer.events([body])
    )
