"""Fake: what it is told to say, whole or in pieces, and how often it was asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given

from tako.errors import Cancelled, InvalidInput, ProviderError, RateLimited, TransportError
from tako.events import (
    ChatChunk,
    ChatEnd,
    ChatError,
    OpaqueBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolCall,
)
from tako.models import (
    ChatRequest,
    ChatResponse,
    ContentPart,
    Message,
    OpaquePart,
    Part,
    Replay,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    Usage,
)
from tako.providers.fake import Fake, Truncated
from tako.testing.faults import Faults
from tako.testing.simulator import Simulator
from tako.testing.strategies import texts

REQUEST = ChatRequest(messages=(Message.user("hi"),))
CALL = ToolCallPart(id="1", name="t", args={"a": 1})
THINKING = ThinkingPart(text="so it is", replay=Replay(vendor="v", data={"signature": "s"}))
OPAQUE = OpaquePart(replay=Replay(vendor="v", data={}))


def chat(fake: Fake) -> ChatResponse:
    return Simulator().run(fake.chat_flow(REQUEST))


def stream(fake: Fake) -> tuple[list[ChatChunk], ChatResponse]:
    run = Simulator()._start(fake.stream_flow(REQUEST), None)
    return list(run), run.result


def test_it_says_ok_where_it_is_told_nothing() -> None:
    assert chat(Fake()).text == "ok"
    assert (Fake().id, Fake().model, Fake(id="fake:small").model) == ("fake:test", "test", "small")
    assert repr(Fake()) == "<Fake fake:test>"


def test_it_costs_one_token_each_way_and_counts_its_calls() -> None:
    fake = Fake("hello")
    assert [chat(fake).text, stream(fake)[1].text] == ["hello", "hello"]
    assert chat(fake).usage == Usage(input_tokens=1, output_tokens=1)
    assert fake.call_count == 3


def test_a_script_is_played_and_its_last_reply_stays() -> None:
    fake = Fake(script=["a", "b"])
    assert [chat(fake).text for _ in range(4)] == ["a", "b", "b", "b"]


def test_a_function_is_asked_for_each_reply() -> None:
    assert chat(Fake(script=lambda request: request.messages[0].text + "!")).text == "hi!"


RESPONSE = ChatResponse(
    message=Message.assistant("cut"),
    finish_reason="length",
    usage=Usage(output_tokens=9),
    raw_finish_reason="max",
    model="m",
    response_id="r",
)


@pytest.mark.parametrize(
    ("reply", "content", "reason"),
    [
        ("text", (TextPart(text="text"),), "stop"),
        ("", (), "stop"),
        (CALL, (CALL,), "tool_calls"),
        ([THINKING, TextPart(text="a b"), CALL], (THINKING, TextPart(text="a b"), CALL), "tool_calls"),
        ((OPAQUE, TextPart(text="x")), (OPAQUE, TextPart(text="x")), "stop"),
        (Message.assistant([CALL]), (CALL,), "tool_calls"),
        (RESPONSE, (TextPart(text="cut"),), "length"),
        ([], (), "stop"),
    ],
)
def test_each_kind_of_reply_is_the_same_whole_and_in_pieces(reply: Any, content: Any, reason: str) -> None:
    whole = chat(Fake(script=[reply]))
    chunks, pieces = stream(Fake(script=[reply]))
    assert whole == pieces
    assert (whole.message, whole.finish_reason) == (Message.assistant(content), reason)
    assert isinstance(chunks[-1], ChatEnd) and chunks[-1].usage == whole.usage
    if isinstance(reply, ChatResponse):
        assert whole == reply


def test_a_stream_is_word_by_word_and_calls_are_whole() -> None:
    chunks, _ = stream(Fake(script=[[THINKING, TextPart(text=" one  two\n"), CALL, OPAQUE]]))
    assert chunks == [
        ThinkingDelta("so"),
        ThinkingDelta(" it"),
        ThinkingDelta(" is"),
        ThinkingBlock(THINKING),
        TextDelta(" one"),
        TextDelta("  two"),
        TextDelta("\n"),
        ToolCall(CALL),
        OpaqueBlock(OPAQUE),
        ChatEnd("tool_calls", Usage(input_tokens=1, output_tokens=1)),
    ]


@given(texts())
def test_no_letter_is_lost_in_a_stream(text: str) -> None:
    chunks, response = stream(Fake(text))
    assert "".join(chunk.text for chunk in chunks if isinstance(chunk, TextDelta)) == text == response.text


@pytest.mark.parametrize("error", [ProviderError("no", status=500), RateLimited("slow", retry_after=2)])
def test_an_error_is_raised_after_it_was_told(error: ProviderError) -> None:
    with pytest.raises(type(error)) as caught:
        chat(Fake(script=[error]))
    assert caught.value is error and isinstance(error.partial, ChatResponse)
    told: list[Any] = []
    with pytest.raises(type(error)):
        for chunk in Simulator()._start(Fake(script=[error]).stream_flow(REQUEST), None):
            told.append(chunk)
    assert [type(chunk) for chunk in told] == [ChatError, ChatEnd]
    assert told[-1].finish_reason == "error"


def test_a_truncated_answer_never_looks_whole() -> None:
    with pytest.raises(TransportError) as caught:
        chat(Fake(script=[Truncated("half an")]))
    assert caught.value.partial.text == "half an"
    assert caught.value.partial.finish_reason == "error"
    told: list[Any] = []
    with pytest.raises(TransportError):
        for chunk in Simulator()._start(Fake(script=[Truncated("half an")]).stream_flow(REQUEST), None):
            told.append(chunk)
    assert [chunk.kind for chunk in told] == ["delta", "delta", "error", "end"]


def test_a_delay_passes_before_an_answer_and_between_pieces() -> None:
    simulator = Simulator()
    simulator.run(Fake("a b", delay_ms=250).chat_flow(REQUEST))
    assert simulator.now == 0.25
    simulator.run(Fake("a b", delay_ms=250).stream_flow(REQUEST))
    assert simulator.now == 0.25 + 3 * 0.25


def test_a_cancel_in_a_stream_keeps_what_was_said() -> None:
    run = Simulator(faults=Faults(cancel_at=0.25))._start(
        Fake("a b c", delay_ms=100).stream_flow(REQUEST), None
    )
    told = []
    with pytest.raises(Cancelled) as caught:
        for chunk in run:
            told.append(chunk)
    assert caught.value.partial.text == "a b"
    assert [chunk.kind for chunk in told] == ["delta", "delta", "error", "end"]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Fake(5), "canned_text"),  # type: ignore[arg-type]
        (lambda: Fake(id=5), "id"),  # type: ignore[arg-type]
        (lambda: Fake(delay_ms=-1), "delay_ms"),
        (lambda: Fake(delay_ms="1"), "delay_ms"),  # type: ignore[arg-type]
        (lambda: Fake(delay_ms=float("nan")), "delay_ms"),
        (lambda: Fake(script=[]), "script is empty"),
        (lambda: Fake(script="abc"), "script should be a list"),
        (lambda: Fake(script=5), "script should be a list"),  # type: ignore[arg-type]
        (lambda: Fake(script=["a", 5]), r"script\[1\]"),  # type: ignore[list-item]
        (lambda: Fake(script=[None]), r"script\[0\]"),  # type: ignore[list-item]
    ],
)
def test_a_wrong_argument_is_named(make: Callable[[], Fake], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        make()


def test_a_part_that_no_model_answers_with_is_refused() -> None:
    document: Part = ContentPart.document(b"x")
    with pytest.raises(InvalidInput, match="does not answer with a part of type 'document'"):
        chat(Fake(script=[document]))
