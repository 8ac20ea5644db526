"""Mistral's answers: what is not as OpenAI's, and that the rest is."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from tako import SingleAgent, tool
from tako.errors import InvalidInput, ProtocolError, ProviderError, RateLimited, TakoError, TransportError
from tako.events import (
    ChatChunk,
    ChatEnd,
    ChatError,
    OpaqueBlock,
    OtherChoice,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolCall,
)
from tako.models import ChatRequest, ChatResponse, Message, Replay, TextPart, ThinkingPart, Usage
from tako.providers import Mistral
from tako.providers.answer import MAX_BLOCKS, MAX_TEXT
from tako.providers.mistral.decode import MistralDecoder, explained
from tako.testing import Answer, ScriptedVendor, Simulator
from tests.effort import examples
from tests.support.answers import collect, cuts, event_stream, play, spoiled, streamed, told

REQUEST = ChatRequest(messages=(Message.user("hello"),))
COUNTS = {"prompt_tokens": 10, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 4}}
USAGE = Usage(input_tokens=10, output_tokens=7, cache_read_tokens=4, raw=COUNTS)
DONE = "[DONE]"
REFERENCE = {"type": "reference", "reference_ids": [1, "b"]}
FILE = {"type": "file", "file_id": "f"}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def thinking(*items: str | dict[str, Any], **more: Any) -> dict[str, Any]:
    found = [text(item) if isinstance(item, str) else item for item in items]
    return {"type": "thinking", "thinking": found, **more}


def call(call_id: Any, name: str, arguments: Any, index: int = 0) -> dict[str, Any]:
    return {"id": call_id, "index": index, "function": {"name": name, "arguments": arguments}}


def chunk(delta: dict[str, Any], finish: str | None = None, index: int = 0, **more: Any) -> str:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return json.dumps({"id": "c1", "model": "small", "choices": [choice], **more}, ensure_ascii=False)


def answer(message: dict[str, Any], finish: str | None = "stop") -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {"id": "c1", "model": "small", "choices": [choice], "usage": COUNTS}


def chunks_of(*events: str) -> list[ChatChunk]:
    return streamed(MistralDecoder(), [event_stream(*events, DONE)])


def content_of(*contents: Any) -> list[ChatChunk]:
    """The chunks of a stream with these contents, without the end."""
    chunks = chunks_of(*[chunk({"content": content}) for content in contents], chunk({}, "stop"))
    told(chunks)
    return chunks[:-1]


def error_in(chunks: list[ChatChunk]) -> TakoError:
    told(chunks)
    error = chunks[-2]
    assert type(error) is ChatError
    return error.error


def whole(payload: Any) -> ChatResponse:
    response, _, _ = play(Mistral("m", "").chat_flow(REQUEST), [json.dumps(payload).encode()])
    return response


def thought(words: str, **data: Any) -> ThinkingPart:
    return ThinkingPart(text=words, replay=Replay(vendor="mistral", data=data))


def cited(words: str) -> TextBlock:
    (part,) = [c.part for c in content_of([text(words or "x"), REFERENCE]) if type(c) is TextBlock]
    return TextBlock(part.model_copy(update={"text": words}))


def test_plain_text_is_as_with_everybody() -> None:
    chunks = chunks_of(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}, p="abc"),
        chunk({"content": "lo"}),
        chunk({"content": ""}, "stop", usage=COUNTS),
    )
    assert chunks == [
        TextDelta("Hel"),
        TextDelta("lo"),
        ChatEnd("stop", USAGE, "stop", "small", "c1"),
    ]
    response = whole(answer({"content": "Hello", "tool_calls": None}))
    assert (response.text, response.usage, response.response_id) == ("Hello", USAGE, "c1")


def test_the_mark_counts_without_the_blank_line_after_it() -> None:
    body = event_stream(chunk({"content": "Hi"}, "stop")) + b"data: [DONE]"
    assert type(streamed(MistralDecoder(), [body])[-2]) is TextDelta
    assert isinstance(error_in(streamed(MistralDecoder(), [body[:-1]])), TransportError)
    assert isinstance(error_in(streamed(MistralDecoder(), [body[:-12]])), TransportError)


def test_thinking_in_pieces_is_one_block() -> None:
    pieces = [[thinking("hm, ")], [thinking()], [thinking("so", signature="s")], [thinking("!", closed=True)]]
    assert content_of("", *pieces, "It ", [text("is")]) == [
        ThinkingDelta("hm, "),
        ThinkingDelta("so"),
        ThinkingDelta("!"),
        ThinkingBlock(thought("hm, so!", signature="s", closed=True)),
        TextDelta("It "),
        TextDelta("is"),
    ]


def test_an_empty_piece_of_text_does_not_part_thinking() -> None:
    assert content_of([thinking("a")], "", [text("")], [thinking("b")])[-1] == ThinkingBlock(thought("ab"))


@pytest.mark.parametrize(
    "events",
    [
        [chunk({}, "stop")],
        [chunk({"tool_calls": [call("a", "f", "{}")]}, "tool_calls")],
        [chunk({"content": [FILE]}, "stop")],
        [chunk({"content": [REFERENCE]}, "stop")],
    ],
)
def test_thinking_ends_before_whatever_comes_next(events: list[str]) -> None:
    chunks = chunks_of(chunk({"content": [thinking("hm")]}), *events)
    assert chunks[:2] == [ThinkingDelta("hm"), ThinkingBlock(thought("hm"))]
    response, _ = collect(chunks)
    assert response.message.content[0] == thought("hm")


def test_what_is_no_text_inside_of_thinking_is_kept_in_its_place() -> None:
    items = [text("ab"), REFERENCE, text("c"), {"type": "tool_reference", "tool": "x"}]
    pieces = [[thinking("a")], [thinking("b", REFERENCE)], [thinking("c", items[3])]]
    assert content_of(*pieces)[-1] == ThinkingBlock(thought("abc", thinking=items))


def test_blocks_of_thinking_in_a_whole_answer_stay_apart_and_an_empty_one_is_none() -> None:
    content = [thinking("a", closed=True), thinking("b"), thinking(), text("c")]
    response = whole(answer({"content": content}))
    assert response.message.content == (thought("a", closed=True), thought("b"), TextPart(text="c"))
    chunks = chunks_of(chunk({"content": [thinking()], "tool_calls": [call("a", "f", "{}")]}, "tool_calls"))
    assert [type(c) for c in chunks] == [ToolCall, ChatEnd]


def test_a_reference_cites_no_text_from_before_a_thought() -> None:
    chunks = content_of("No. ", [thinking("hm")], "It is", [REFERENCE])
    assert chunks[-1] == cited("It is")


def test_a_reference_cites_the_text_before_it() -> None:
    chunks = content_of("It ", [text("is"), REFERENCE], " so", [REFERENCE, text(".")])
    assert chunks == [
        TextDelta("It "),
        TextDelta("is"),
        cited("It is"),
        TextDelta(" so"),
        cited(" so"),
        TextDelta("."),
    ]
    first = cited("It is").part
    assert [citation.source for citation in first.citations] == ["1", "b"]
    assert first.replay == Replay(vendor="mistral", data={"references": [REFERENCE]})
    response, _ = collect([*chunks, ChatEnd("stop", Usage())])
    assert [part.text for part in response.message.content if type(part) is TextPart] == ["It is", " so", "."]


def test_a_block_that_nobody_knows_is_kept() -> None:
    chunks = content_of("a", [FILE], [text("b"), REFERENCE])
    assert type(chunks[1]) is OpaqueBlock and chunks[1].part.replay == Replay(vendor="mistral", data=FILE)
    assert chunks[-1] == cited("b"), "the text before the block is not cited"


def test_blocks_after_a_call_keep_their_place() -> None:
    chunks = chunks_of(
        chunk({"tool_calls": [call("a", "f", "{}")]}),
        chunk({"content": [thinking("hm")]}),
        chunk({"content": [FILE]}),
        chunk({}, "tool_calls"),
    )
    assert [type(c) for c in chunks] == [ThinkingDelta, ToolCall, ThinkingBlock, OpaqueBlock, ChatEnd]


def test_what_is_kept_goes_back_as_it_came() -> None:
    content = [thinking("a", REFERENCE, closed=True), text("b"), REFERENCE, FILE, thinking("c"), text("d")]
    message = whole(answer({"content": content})).message
    body = from_json(Mistral("m", "").http_request(ChatRequest(messages=(message,)), stream=False).body)
    assert body["messages"] == [{"role": "assistant", "content": content}]


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [("stop", "stop"), ("length", "length"), ("model_length", "length"), ("odd", "other")],
)
def test_reasons(reason: str, wanted: str) -> None:
    response = whole(answer({"content": "t"}, reason))
    assert (response.finish_reason, response.raw_finish_reason) == (wanted, reason)


def test_a_reason_that_is_an_error_is_one() -> None:
    error = error_in(chunks_of(chunk({"content": "t"}), chunk({}, "error")))
    assert isinstance(error, ProviderError) and error.code == "error"


@pytest.mark.parametrize("arguments", ["", '{"summary": "The cache wa'])
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_call_that_was_cut_off_is_an_error_that_keeps_the_rest(arguments: str, is_stream: bool) -> None:
    calls = {"content": "t", "tool_calls": [call("a", "f", arguments)]}
    with pytest.raises(ProviderError) as caught:
        if is_stream:
            body = event_stream(chunk(calls, "length", usage=COUNTS), DONE)
            play(Mistral("m", "").stream_flow(REQUEST), [body])
        else:
            whole(answer(calls, "length"))
    assert caught.value.code == "length"
    partial = caught.value.partial
    assert (partial.text, partial.message.tool_calls, partial.usage) == ("t", (), USAGE)


def test_calls_without_ids_get_some() -> None:
    calls = [call("null", "f", "{}", 0), call(None, "g", {"x": 1}, 1), call("abcDEF123", "h", "{}", 2)]
    found = whole(answer({"content": "", "tool_calls": calls}, "tool_calls")).message.tool_calls
    assert [(part.name, part.args) for part in found] == [("f", {}), ("g", {"x": 1}), ("h", {})]
    assert found[2].id == "abcDEF123"
    assert len({part.id for part in found}) == 3 and "null" not in {part.id for part in found}


def test_other_choices_have_their_own_thinking() -> None:
    chunks = chunks_of(
        chunk({"content": [thinking("one")]}),
        chunk({"content": [thinking("two")]}, index=1),
        chunk({"content": "1"}, "stop"),
        chunk({"content": "2"}, "length", index=1),
    )
    (other,) = [c.choice for c in chunks if type(c) is OtherChoice]
    assert other.message.content == (thought("two"), TextPart(text="2"))
    assert other.finish_reason == "length"
    response, _ = collect(chunks)
    assert response.message.content == (thought("one"), TextPart(text="1"))


def test_an_error_inside_a_stream() -> None:
    event = {"object": "error", "message": {"detail": "too much"}, "code": 1300, "raw_status_code": 429}
    error = error_in(chunks_of(chunk({"content": "t"}), json.dumps(event)))
    assert isinstance(error, RateLimited)
    assert (error.status, error.code) == (429, "1300") and "too much" in error.message


@pytest.mark.parametrize(
    ("payload", "message", "code"),
    [
        ({"object": "error", "message": "no", "type": "invalid", "code": "3051"}, "no", "3051"),
        ({"object": "error", "message": "no", "type": "invalid", "code": None}, "no", "invalid"),
        ({"message": "no", "code": 1300, "type": "x"}, "no", "1300"),
        ({"message": "Unauthorized", "request_id": "r"}, "Unauthorized", None),
        ({"detail": "no"}, "no", None),
        (
            {"detail": [{"loc": ["body", "messages", 0], "msg": "bad", "type": "value_error"}, "worse"]},
            "body.messages.0: bad; worse",
            None,
        ),
        (
            {"message": {"detail": [{"loc": ["body", "n"], "msg": "bad"}]}, "type": "invalid"},
            "body.n: bad",
            "invalid",
        ),
        ({"error": {"message": "no", "code": 7}}, "no", "7"),
        ({"error": "no"}, "no", None),
        ({"error": {}}, None, None),
        ({}, None, None),
        ("no", "no", None),
        (None, None, None),
        ([], None, None),
        ({"detail": [[[[[["deep"]]]]]]}, None, None),
    ],
)
def test_the_shapes_of_a_refusal(payload: Any, message: str | None, code: str | None) -> None:
    assert explained(payload) == (message, code)


def test_a_refusal_tells_what_the_vendor_told() -> None:
    body = json.dumps({"object": "error", "message": {"detail": [{"loc": ["n"], "msg": "bad"}]}, "code": 3})
    headers = (("content-type", "application/json"), ("mistral-correlation-id", "r-1"))
    with pytest.raises(ProviderError, match="n: bad") as caught:
        play(Mistral("m", "").chat_flow(REQUEST), [body.encode()], 422, headers)
    error = caught.value
    assert (error.status, error.code, error.request_id, error.body) == (422, "3", "r-1", body)


@pytest.mark.parametrize(
    "content",
    [7, [7], [None], [{"type": "text"}], [{"type": "text", "text": 7}], [{"type": "thinking", "thinking": 7}]]
    + [
        [{"type": "thinking", "thinking": [7]}],
        [{"type": "reference"}],
        [{"type": "reference", "reference_ids": 7}],
    ],
)
def test_content_that_nobody_can_read_is_an_error_with_what_came_before(content: Any) -> None:
    chunks = chunks_of(chunk({"content": "t"}), chunk({"content": content}), chunk({}, "stop"))
    assert chunks[0] == TextDelta("t")
    assert isinstance(error_in(chunks), ProtocolError)


def test_nothing_is_kept_without_a_limit() -> None:
    decoder = MistralDecoder()
    piece = event_stream(chunk({"content": [thinking("x" * 4_000_000)]}))
    chunks = [c for _ in range(MAX_TEXT // 4_000_000 + 1) for c in decoder.feed(piece)]
    assert isinstance(error_in(chunks), ProtocolError)
    many = chunk({"content": [thinking(*[REFERENCE] * (MAX_BLOCKS + 1))]})
    assert isinstance(error_in(chunks_of(many)), ProtocolError)


@tool
def double(x: int) -> int:
    """Twice the number."""
    return 2 * x


def test_a_run_of_three_turns_with_two_tools_side_by_side() -> None:
    turns = [
        [
            chunk({"content": [thinking("hm", signature="s")]}),
            chunk({"tool_calls": [call(f"D681Pev{turn}a", "double", '{"x":1}')]}),
            chunk(
                {"tool_calls": [call(f"D681Pev{turn}b", "double", '{"x":2}', 1)]}, "tool_calls", usage=COUNTS
            ),
            DONE,
        ]
        for turn in range(2)
    ]
    turns.append([chunk({"content": "2 and 4"}, "stop", usage=COUNTS), DONE])
    vendor = ScriptedVendor([Answer.events([event_stream(*turn)]) for turn in turns])
    agent = SingleAgent(Mistral("m", "k"), tools=[double])
    result = Simulator(vendor=vendor).run(agent.flow("Double both", streaming=True))
    assert (result.text, result.usage.input_tokens) == ("2 and 4", 30)
    messages = from_json(vendor.requests[2].body)["messages"]
    asked = [entry["id"] for message in messages for entry in message.get("tool_calls", ())]
    answered = [(m["tool_call_id"], m["content"]) for m in messages if m["role"] == "tool"]
    assert asked == ["D681Pev0a", "D681Pev0b", "D681Pev1a", "D681Pev1b"]
    assert answered == list(zip(asked, "2424", strict=True))
    assert messages[1]["content"] == [thinking("hm", signature="s")]


# Properties

WORDS = st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=8)
MORE: list[dict[str, Any]] = [{}, {"closed": True}, {"signature": "s"}]
REFERENCES = st.just(REFERENCE) | st.just({"type": "tool_reference", "title": "t"})


@st.composite
def blocks(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A content of blocks; no two of thinking side by side, which a stream cannot tell from one."""
    found: list[dict[str, Any]] = []
    for kind in draw(st.lists(st.sampled_from(["text", "thinking", "reference", "file"]), max_size=6)):
        if kind == "text":
            found.append(text(draw(WORDS)))
        elif kind == "thinking" and not (found and found[-1]["type"] == "thinking"):
            more = draw(st.sampled_from(MORE))
            found.append(thinking(*draw(st.lists(WORDS | REFERENCES, min_size=1, max_size=3)), **more))
        elif kind in ("reference", "file"):
            found.append(REFERENCE if kind == "reference" else FILE)
    return found


@st.composite
def answers(draw: st.DrawFn) -> tuple[dict[str, Any], list[str]]:
    """One answer as the vendor would send it whole, and as it would stream it."""
    content = draw(blocks())
    count = draw(st.integers(0, 2))
    calls = [call(f"id{n}", "f", draw(st.sampled_from(["{}", '{"x": 1}', "no"])), n) for n in range(count)]
    reason = "tool_calls" if calls else draw(st.sampled_from(["stop", "length", "model_length"]))
    events = [chunk({"role": "assistant", "content": ""})]
    for block in content:
        if block["type"] == "thinking":
            more = {name: value for name, value in block.items() if name not in ("type", "thinking")}
            events += [chunk({"content": [thinking(item)]}) for item in block["thinking"]]
            events.append(chunk({"content": [thinking(**more)]}))
        elif block["type"] == "text" and draw(st.booleans()):
            events.append(chunk({"content": block["text"]}))
        else:
            events.append(chunk({"content": [block]}))
    if calls:
        events.append(chunk({"tool_calls": calls}))
    events += [chunk({}, reason, usage=COUNTS), DONE]
    return answer({"content": content, "tool_calls": calls or None}, reason), events


@settings(max_examples=examples(2), deadline=None)
@given(answers())
def test_whole_and_streamed_are_the_same_answer(pair: tuple[dict[str, Any], list[str]]) -> None:
    payload, events = pair
    response, error = collect(streamed(MistralDecoder(), [event_stream(*events)]))
    assert error is None
    assert MistralDecoder().whole(payload) == response


@settings(max_examples=examples(2), deadline=None)
@given(blocks().filter(bool))
def test_what_was_said_is_sent_again_unchanged(content: list[dict[str, Any]]) -> None:
    message = MistralDecoder().whole(answer({"content": content})).message
    body = from_json(Mistral("m", "").http_request(ChatRequest(messages=(message,)), stream=False).body)
    assert joined(body["messages"][0]["content"]) == joined(content)


def joined(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Blocks with the texts that follow each other as one, which they are to a reader."""
    found: list[dict[str, Any]] = []
    for block in [text(content)] if isinstance(content, str) else content:
        if block["type"] == "thinking":
            block = {**block, "thinking": joined(block["thinking"])}
        if block["type"] == "text" and found and found[-1]["type"] == "text":
            found[-1] = text(found[-1]["text"] + block["text"])
        else:
            found.append(block)
    return found


@given(answers(), st.integers(0, 2**32))
def test_cuts_change_nothing_and_half_an_answer_never_looks_whole(
    pair: tuple[dict[str, Any], list[str]], seed: int
) -> None:
    body, chance = event_stream(*pair[1]), Random(seed)
    assert told(streamed(MistralDecoder(), cuts(body, chance))) == told(streamed(MistralDecoder(), [body]))
    chunks = streamed(MistralDecoder(), [body[: chance.randrange(len(body) - 2)]])
    assert isinstance(error_in(chunks), TransportError)
    assert not any(type(c) is ToolCall for c in chunks)


@given(answers(), st.integers(0, 2**32))
def test_an_answer_with_something_odd_in_it_is_an_answer(
    pair: tuple[dict[str, Any], list[str]], seed: int
) -> None:
    (payload, events), chance = pair, Random(seed)
    for _ in range(4):
        place = chance.randrange(len(events) - 1)
        odd = json.dumps(spoiled(json.loads(events[place]), chance))
        chunks = streamed(MistralDecoder(), [event_stream(*events[:place], odd, *events[place + 1 :])])
        told(chunks)
        check_kept(*collect(chunks))
    try:
        check_kept(MistralDecoder().whole(spoiled(payload, chance)), None)
    except TakoError as error:
        check_kept(error.partial, error)


def check_kept(response: ChatResponse, error: Exception | None) -> None:
    """A response that can be kept, whatever came; and that it is the peer's fault."""
    assert ChatResponse.model_validate_json(response.model_dump_json()) == response
    assert not isinstance(error, InvalidInput)
