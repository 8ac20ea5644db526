"""Ollama's answers: whole, streamed, cut, broken and hostile."""

from __future__ import annotations

import json
import sys
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from tako import SingleAgent, tool
from tako.errors import InvalidInput, ProtocolError, ProviderError, TakoError, TransportError
from tako.events import ChatChunk, ChatEnd, ChatError, Logprobs, TextDelta, ThinkingDelta, ToolCall
from tako.models import ChatRequest, ChatResponse, Message, Replay, ThinkingPart, TokenLogprob, Usage
from tako.providers import Ollama
from tako.providers.answer import MAX_BLOCKS, MAX_TEXT
from tako.providers.ollama.decode import OllamaDecoder
from tako.testing import Answer, ScriptedVendor, Simulator
from tako.testing.strategies import hostile_bytes
from tests.effort import examples
from tests.support.answers import collect, cuts, play, spoiled, streamed, told

REQUEST = ChatRequest(messages=(Message.user("hello"),))
MADE = "2026-08-04T19:58:15.115854Z"
TIMES = {
    "total_duration": 900,
    "load_duration": 100,
    "prompt_eval_duration": 300,
    "eval_duration": 500,
}
METRICS = {**TIMES, "prompt_eval_count": 11, "eval_count": 7}
USAGE = Usage(input_tokens=11, output_tokens=7, raw=METRICS)


def piece(message: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    said = {"message": {"role": "assistant", "content": "", **message}} if message is not None else {}
    return {"model": "llama", "created_at": MADE, **said, "done": False, **more}


def last(message: dict[str, Any] | None = None, reason: str | None = "stop", **more: Any) -> dict[str, Any]:
    told_reason = {} if reason is None else {"done_reason": reason}
    return piece(message or {}, **{"done": True, **told_reason, **METRICS, **more})


def call(name: Any, arguments: Any, **more: Any) -> dict[str, Any]:
    return {**more, "function": {"name": name, "arguments": arguments}}


def lines(*events: Any) -> bytes:
    return b"".join(json.dumps(event, ensure_ascii=False).encode() + b"\n" for event in events)


def chunks_of(*events: Any) -> list[ChatChunk]:
    return streamed(OllamaDecoder(), [lines(*events)])


def error_in(chunks: list[ChatChunk]) -> TakoError:
    told(chunks)
    error = chunks[-2]
    assert type(error) is ChatError
    return error.error


def whole(payload: Any) -> ChatResponse:
    response, _, _ = play(Ollama("m").chat_flow(REQUEST), [json.dumps(payload).encode()])
    return response


def test_text_and_thinking_come_as_they_are_written() -> None:
    assert chunks_of(
        piece({"thinking": "hm"}),
        piece({"content": "Hel"}),
        piece({"content": "lo\u2028"}),
        last(),
    ) == [
        ThinkingDelta("hm"),
        TextDelta("Hel"),
        TextDelta("lo\u2028"),
        ChatEnd("stop", USAGE, "stop", "llama", None, TIMES),
    ]


def test_a_whole_answer() -> None:
    response = whole(last({"content": "Hello", "thinking": "hm"}))
    assert response.message == Message.assistant([ThinkingPart(text="hm"), *Message.user("Hello").content])
    assert (response.finish_reason, response.raw_finish_reason) == ("stop", "stop")
    assert (response.usage, response.model, response.details) == (USAGE, "llama", TIMES)


def test_the_flow_streams_and_returns_the_whole() -> None:
    body = lines(piece({"content": "Hi"}), last())
    headers = (("content-type", "application/x-ndjson"),)
    response, emitted, request = play(Ollama("m").stream_flow(REQUEST), [body], 200, headers)
    assert response.text == "Hi"
    assert emitted == [TextDelta("Hi"), ChatEnd("stop", USAGE, "stop", "llama", None, TIMES)]
    assert from_json(request.body)["stream"] is True


def test_answers_of_generate_are_read_too() -> None:
    start = {"model": "m", "created_at": MADE, "done": False}
    assert chunks_of(
        {**start, "response": "", "thinking": "hm"},
        {**start, "response": "Hi"},
        {**start, "response": "", "done": True, "done_reason": "stop", "context": [1, 2], **METRICS},
    ) == [
        ThinkingDelta("hm"),
        TextDelta("Hi"),
        ChatEnd("stop", USAGE, "stop", "m", None, TIMES),
    ]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_calls_are_taken_from_any_line_and_announced_at_the_end(place: int) -> None:
    calls = {"tool_calls": [call("f", {"x": 1}, id="a"), call("g", {}, id="b")]}
    events = [piece({"content": "t"}), piece({"content": "u"}), last()]
    events[place]["message"] |= calls
    chunks = chunks_of(*events)
    assert [(c.id, c.name, c.args) for c in chunks if type(c) is ToolCall] == [
        ("a", "f", {"x": 1}),
        ("b", "g", {}),
    ]
    assert [type(c) for c in chunks] == [TextDelta, TextDelta, ToolCall, ToolCall, ChatEnd]
    end = chunks[-1]
    # The server says "stop" where it calls.
    assert type(end) is ChatEnd and (end.finish_reason, end.raw_finish_reason) == ("tool_calls", "stop")


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        (call("f", {"x": 1}), {"x": 1}),
        (call("f", None), {}),
        (call("f", ""), {}),
        (call("f", '{"x": 1}'), {"x": 1}),
        (call("f", "no JSON"), "no JSON"),
        (call("f", [1]), [1]),
        ({"function": {"name": "f"}}, {}),
    ],
)
def test_arguments_in_every_form(entry: dict[str, Any], wanted: Any) -> None:
    assert whole(last({"tool_calls": [entry]})).message.tool_calls[0].args == wanted


def test_what_comes_with_a_call_goes_back_with_it() -> None:
    (part,) = whole(
        last({"tool_calls": [call("f", {}, id="a", type="function", mark="m")]})
    ).message.tool_calls
    assert part.replay == Replay(vendor="ollama", data={"mark": "m"})
    (plain,) = whole(last({"tool_calls": [call("f", {}, id="a")]})).message.tool_calls
    assert plain.replay is None


def ids(*answers: dict[str, Any]) -> list[str]:
    return [part.id for answer in answers for part in whole(answer).message.tool_calls]


def test_ids_that_are_made_up_are_different_in_each_answer() -> None:
    two = {"tool_calls": [call("f", {}), call("f", {})]}
    found = ids(
        last(two),
        last(two, created_at="2026-08-04T19:58:15.115855Z"),
        last(two, prompt_eval_count=12),
        last(two, total_duration=901),
    )
    assert len(set(found)) == 8
    assert all(name.startswith("call_") for name in found)
    assert ids(last(two)) == found[:2], "the same bytes give the same ids"
    repeated = {"tool_calls": [call("f", {}, id="a"), call("f", {}, id="a"), call("f", {}, id="b")]}
    first, second, third = ids(last(repeated))
    assert (first, third) == ("a", "b") and second not in ("", "a", "b")


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("load", "other"),
        ("unload", "other"),
        ("custom", "other"),
        (None, "other"),
    ],
)
def test_reasons(reason: str | None, wanted: str) -> None:
    end = chunks_of(piece({"content": "t"}), last(reason=reason))[-1]
    assert type(end) is ChatEnd
    assert (end.finish_reason, end.raw_finish_reason) == (wanted, reason)


def test_a_call_that_was_cut_off_is_an_error() -> None:
    cut = {"tool_calls": [call("f", '{"x": ', id="a")]}
    error = error_in(chunks_of(piece({"content": "t"}), piece(cut), last(reason="length")))
    assert isinstance(error, ProviderError) and error.code == "length"
    # Arguments that came as an object are whole, and so is a call that something came after.
    assert whole(last({"tool_calls": [call("f", {"x": 1})]}, "length")).message.tool_calls[0].args == {"x": 1}
    followed = chunks_of(piece(cut), piece({"content": "t"}), last(reason="length"))
    assert [c.args for c in followed if type(c) is ToolCall] == ['{"x": ']


def test_counts_that_are_missing_are_not_known() -> None:
    answer = last({"content": "t"})
    del answer["prompt_eval_count"]
    usage = whole(answer).usage
    assert (usage.input_tokens, usage.output_tokens) == (None, 7)
    assert usage.raw == {**TIMES, "eval_count": 7}
    nothing = whole({"message": {"content": "t"}, "done": True})
    assert (nothing.usage, nothing.details) == (Usage(), {})
    assert whole(last({"content": "t"}, eval_count="7")).usage.output_tokens is None


@tool
def double(x: int) -> int:
    """Twice the number."""
    return 2 * x


def test_log_probabilities() -> None:
    entry = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [{"token": "b", "logprob": -1}]}
    chunks = chunks_of(piece({"content": "a"}, logprobs=[entry]), last(logprobs=[]))
    assert chunks[1] == Logprobs((TokenLogprob(token="a", logprob=-0.5, top=(("b", -1.0),)),))


@pytest.mark.parametrize("is_stream", [False, True])
def test_an_error_inside_an_answer(is_stream: bool) -> None:
    if is_stream:
        error = error_in(chunks_of(piece({"content": "t"}), {"error": "the model runner has stopped"}))
    else:
        with pytest.raises(ProviderError) as caught:
            whole({"error": "the model runner has stopped"})
        error = caught.value
    assert isinstance(error, ProviderError)
    assert "the model runner has stopped" in error.message


def test_a_refusal_tells_what_the_server_told() -> None:
    body = b'{"error":"model \'x\' not found"}'
    with pytest.raises(ProviderError, match="model 'x' not found") as caught:
        play(Ollama("x").stream_flow(REQUEST), [body], 404, (("content-type", "application/json"),))
    assert (caught.value.status, caught.value.provider) == (404, "ollama:x")


def test_an_end_without_done_is_an_error() -> None:
    for events in ([], [piece({"content": "t"})], [piece({"tool_calls": [call("f", {})]})]):
        chunks = chunks_of(*events)
        assert isinstance(error_in(chunks), TransportError)
        assert not any(type(c) is ToolCall for c in chunks)
    with pytest.raises(ProtocolError, match="done"):
        whole(piece({"content": "t"}))


def test_the_last_line_may_lack_its_end() -> None:
    chunks = streamed(OllamaDecoder(), [lines(piece({"content": "t"}), last())[:-1]])
    assert [type(c) for c in chunks] == [TextDelta, ChatEnd]


def test_after_the_end_nothing_comes() -> None:
    decoder = OllamaDecoder()
    assert decoder.feed(lines(piece({"content": "t"}), last(), piece({"content": "more"})))[-1:] != []
    assert decoder.feed(lines(piece({"content": "more"}))) == []
    assert decoder.feed(b"") == []


@pytest.mark.parametrize(
    "event",
    [
        b"<html>",
        b"7",
        b"null",
        b"[]",
        b'{"message": 7}',
        b'{"message": []}',
        lines(piece({"content": 7})),
        lines(piece({"thinking": ["x"]})),
        lines(piece({"tool_calls": 7})),
        lines(piece({"tool_calls": [7]})),
        lines(piece({"tool_calls": [{}]})),
        b'{"error": 7}',
        b"[" * 5000,
    ],
)
def test_what_nobody_can_read_is_an_error_with_what_came_before(event: bytes) -> None:
    chunks = streamed(
        OllamaDecoder(), [lines(piece({"content": "t"})) + event.strip() + b"\n" + lines(last())]
    )
    assert chunks[0] == TextDelta("t")
    assert isinstance(error_in(chunks), (ProtocolError, ProviderError))


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"status": "pulling"},
        {"message": None},
        {"error": None},
        {"error": ""},
        piece({"content": None, "tool_calls": None, "thinking": None, "unknown": {"x": 1}}),
        piece({"content": ""}, done="yes"),
        piece({"images": ["x"]}),
        piece({}, logprobs=[{}, 7]),
    ],
)
def test_what_is_unknown_or_null_is_skipped(event: dict[str, Any]) -> None:
    assert [type(c) for c in chunks_of(piece({"content": "t"}), event, last())] == [TextDelta, ChatEnd]


@pytest.mark.parametrize("payload", [{}, [], 7, None, {"done": True}, {"message": {}, "done": False}])
def test_a_whole_answer_that_is_none(payload: Any) -> None:
    with pytest.raises(ProtocolError) as caught:
        whole(payload)
    assert caught.value.body == json.dumps(payload)
    assert caught.value.provider == "ollama:m"


def test_a_call_without_a_name_is_an_error() -> None:
    assert isinstance(error_in(chunks_of(last({"tool_calls": [call("", {})]}))), ProtocolError)


def test_nothing_is_kept_without_a_limit() -> None:
    many = piece({"tool_calls": [call("f", {})] * (MAX_BLOCKS + 1)})
    assert isinstance(error_in(chunks_of(many)), ProtocolError)
    decoder = OllamaDecoder()
    chunks: list[ChatChunk] = []
    for _ in range(MAX_TEXT // 1_000_000):  # a line that never ends
        chunks += decoder.feed(b'{"x": "' + b"x" * 1_000_000)
    assert isinstance(error_in(chunks), ProtocolError)


def test_a_line_costs_at_most_eight_calls() -> None:
    body = lines(*[piece({"content": f"token {n}"}) for n in range(1000)])
    decoder = OllamaDecoder()
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        chunks = decoder.feed(body)
    finally:
        sys.setprofile(None)
    assert len(chunks) == 1000
    assert calls <= 8 * 1000


def test_a_run_of_three_turns_with_two_tools_side_by_side() -> None:
    both = {"tool_calls": [call("double", {"x": 1}), call("double", {"x": 2})]}
    turns = [
        lines(piece({"thinking": "hm"}), piece(both), last()),
        lines(piece(both), last(created_at="2026-08-04T19:58:17Z")),
        lines(piece({"content": "2 and 4"}), last()),
    ]
    vendor = ScriptedVendor([Answer.events([turn]) for turn in turns])
    agent = SingleAgent(Ollama("llama"), tools=[double])
    result = Simulator(vendor=vendor).run(agent.flow("Double both", streaming=True))
    assert (result.text, result.usage.input_tokens) == ("2 and 4", 33)
    messages = from_json(vendor.requests[2].body)["messages"]
    asked = [entry["id"] for message in messages for entry in message.get("tool_calls", ())]
    answered = [(m["tool_call_id"], m["content"], m["tool_name"]) for m in messages if m["role"] == "tool"]
    assert len(set(asked)) == 4, "no id comes twice in a conversation"
    assert answered == [(name, text, "double") for name, text in zip(asked, "2424", strict=True)]
    assert messages[1]["thinking"] == "hm"


# Properties

TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=12)
ARGUMENTS = st.dictionaries(TEXT, st.integers(-9, 9) | TEXT, max_size=3)
CALLS = st.lists(st.tuples(st.text(alphabet="abc_", min_size=1, max_size=6), ARGUMENTS), max_size=4)


@st.composite
def answers(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One answer as the server would send it whole, and as it would stream it."""
    texts, thoughts = draw(st.lists(TEXT, max_size=4)), draw(st.lists(TEXT, max_size=2))
    calls = [call(name, arguments) for name, arguments in draw(CALLS)]
    reason = draw(st.sampled_from(["stop", "length", "load", None]))
    message: dict[str, Any] = {"content": "".join(texts)}
    events = [piece({"thinking": thought}) for thought in thoughts] + [piece({"content": t}) for t in texts]
    if thoughts:
        message["thinking"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
        size = draw(st.integers(0, len(calls)))
        events += [piece({"tool_calls": some}) for some in (calls[:size], calls[size:]) if some]
    return last(message, reason), [*events, last(reason=reason)]


@settings(max_examples=examples(2), deadline=None)
@given(answers())
def test_whole_and_streamed_are_the_same_answer(
    pair: tuple[dict[str, Any], list[dict[str, Any]]],
) -> None:
    payload, events = pair
    response, error = collect(chunks_of(*events))
    assert error is None
    assert OllamaDecoder().whole(payload) == response


@settings(max_examples=examples(2), deadline=None)
@given(answers(), st.integers(0, 2**32))
def test_cuts_change_nothing_and_half_an_answer_never_looks_whole(
    pair: tuple[dict[str, Any], list[dict[str, Any]]], seed: int
) -> None:
    body, chance = lines(*pair[1]), Random(seed)
    assert told(streamed(OllamaDecoder(), cuts(body, chance))) == told(streamed(OllamaDecoder(), [body]))
    chunks = streamed(OllamaDecoder(), [body[: chance.randrange(len(body) - 1)]])
    assert isinstance(error_in(chunks), (TransportError, ProtocolError))
    assert not any(type(c) is ToolCall for c in chunks)


@settings(max_examples=examples(2), deadline=None)
@given(answers(), st.integers(0, 2**32), hostile_bytes())
def test_garbage_is_an_answer(
    pair: tuple[dict[str, Any], list[dict[str, Any]]], seed: int, garbage: bytes
) -> None:
    (payload, events), chance = pair, Random(seed)
    for _ in range(4):
        place = chance.randrange(len(events))
        odd = [*events[:place], spoiled(events[place], chance), *events[place + 1 :]]
        check_valid(chunks_of(*odd))
    body = lines(*events)
    place = chance.randrange(len(body))
    check_valid(streamed(OllamaDecoder(), [body[:place] + garbage + body[place:]]))
    try:
        response = OllamaDecoder().whole(spoiled(payload, chance))
    except TakoError as error:
        assert not isinstance(error, InvalidInput)
        response = error.partial
    assert ChatResponse.model_validate_json(response.model_dump_json()) == response


def check_valid(chunks: list[ChatChunk]) -> None:
    """Contract 2, and a response that can be kept, whatever came; and that it is the peer's fault."""
    told(chunks)
    response, error = collect(chunks)
    assert ChatResponse.model_validate_json(response.model_dump_json()) == response
    assert not isinstance(error, InvalidInput)


def test_lines_that_are_read_at_once_say_what_they_say_one_by_one() -> None:
    """Any mixture of plain lines and odd ones, together and apart, gives the same chunks."""
    plain = [
        b'{"model":"m","created_at":"t","message":{"role":"assistant","content":"%b"},"done":false}' % text
        for text in (
            b"a",
            b"",
            b"\\n\\u00e9",
            "\u00e9\u2028".encode(),
            b'x\\"}',
            b"\xff",
            b"\\x",
            b"\\ud800",
            b"\x01",
        )
    ]
    odd = [
        b'{"model":"m","created_at":"t","message":{"role":"assistant","content":"b","thinking":"h"},"done":false}',
        b'x{"model":"m","created_at":"t","message":{"role":"assistant","content":"c"},"done":false}',
        b'{"model":"m","created_at":"t","message":{"role":"assistant","content":"d"},"done":false}}',
        b'{"model":"m","created_at":"t","message":{"role":"assistant","content":"e"},"done":false},{}',
        b'{"model":"m","created_at":"\xff","message":{"role":"assistant","content":"f"},"done":false}',
    ]
    chance = Random(7)
    for _ in range(400):
        body = b"".join(line + b"\n" for line in chance.choices(plain[:5], k=chance.randrange(6)))
        body += b"".join(line + b"\n" for line in chance.sample(plain + odd, chance.randrange(3)))
        body += chance.choice(plain) + b"\n"
        together = told(streamed(OllamaDecoder(), [body]))
        apart = told(streamed(OllamaDecoder(), [line + b"\n" for line in body.split(b"\n")[:-1]]))
        assert together == apart


def test_plain_lines_are_a_message_even_if_the_last_object_has_none() -> None:
    body = b'{"model":"m","created_at":"t","message":{"role":"assistant","content":"hi"},"done":false}\n'
    response, error = collect(streamed(OllamaDecoder(), [body, b'{"done":true,"done_reason":"stop"}\n']))
    assert (response.text, error) == ("hi", None)
