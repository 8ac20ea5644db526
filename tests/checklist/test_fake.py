"""K01-K02: the model for tests, which is called Fake here."""

from __future__ import annotations

from tako.events import ChatChunk, ChatEnd, TextDelta, ToolCall
from tako.models import ChatRequest, Message, ToolCallPart, Usage
from tako.providers import Fake
from tako.testing import Simulator

REQUEST = ChatRequest(messages=(Message.user("hello"),))
CALL = ToolCallPart(id="1", name="look", args={"at": "sea"})


def chunks_of(fake: Fake) -> list[ChatChunk]:
    return list(Simulator().stream(fake.stream_flow(REQUEST)))


def test_K01_text_is_a_delta_and_then_the_end_with_reason_and_usage() -> None:
    usage = Usage(input_tokens=1, output_tokens=1)
    assert chunks_of(Fake("Hi")) == [TextDelta("Hi"), ChatEnd("stop", usage)]


def test_K02_a_call_comes_whole_both_ways_are_counted_and_the_last_reply_stays() -> None:
    fake = Fake(script=["first", [CALL]])
    assert Simulator().run(fake.chat_flow(REQUEST)).text == "first"
    for _ in range(2):
        first, last = chunks_of(fake)
        assert first == ToolCall(CALL)
        assert type(last) is ChatEnd and last.finish_reason == "tool_calls"
    assert Simulator().run(fake.chat_flow(REQUEST)).message.tool_calls == (CALL,)
    assert fake.call_count == 4
