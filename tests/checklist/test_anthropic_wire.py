"""N01-N10: the Messages API of Anthropic, what is sent and what is understood."""

from __future__ import annotations

from typing import Any

import pytest

from tako.errors import TransportError
from tako.events import ChatEnd, ChatError, ThinkingBlock, ThinkingDelta
from tako.models import (
    CacheControl,
    ChatResponse,
    Message,
    OpaquePart,
    Part,
    Replay,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolSchema,
    Usage,
)
from tako.providers import Anthropic
from tako.testing import Answer
from tests.checklist.wires import USER, asked, body_of, data_lines, streamed

CLAUDE = Anthropic("claude", "k")
SIGNED = ThinkingPart(text="so", replay=Replay(vendor="anthropic", data={"signature": "s=="}))
FOREIGN = ThinkingPart(text="hm", replay=Replay(vendor="openai", data={"encrypted_content": "x"}))
CACHED = {"input_tokens": 3, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7}
STOP = {"type": "message_stop"}


def start(**usage: int) -> dict[str, Any]:
    return {
        "type": "message_start",
        "message": {"id": "m1", "model": "claude", "content": [], "usage": usage},
    }


def end(**usage: int) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}


def block(place: int, kind: str, *deltas: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": place, "content_block": {"type": kind, **fields}},
        *[{"type": "content_block_delta", "index": place, "delta": delta} for delta in deltas],
        {"type": "content_block_stop", "index": place},
    ]


def said(text: str, place: int = 0) -> list[dict[str, Any]]:
    return block(place, "text", {"type": "text_delta", "text": text}, text="")


def replied(*events: dict[str, Any] | str) -> ChatResponse:
    _, response = streamed(CLAUDE, data_lines(start(), *events, end(), STOP))
    assert isinstance(response, ChatResponse)
    return response


def assistants_blocks(*parts: Part) -> Any:
    messages = body_of(CLAUDE, USER, Message.assistant(parts), Message.user("go on"))["messages"]
    return [message["content"] for message in messages if message["role"] == "assistant"]


def test_N01_system_is_always_a_list_of_text_blocks_in_order() -> None:
    assert body_of(CLAUDE, Message.system("a"), USER)["system"] == [{"type": "text", "text": "a"}]
    two = Message.system([TextPart(text="a"), TextPart(text="b")])
    assert [item["text"] for item in body_of(CLAUDE, two, USER)["system"]] == ["a", "b"]
    assert "system" not in body_of(CLAUDE, USER)


def test_N02_cache_marks_stand_only_where_they_were_put() -> None:
    marks = (None, CacheControl(), CacheControl(ttl="1h"), CacheControl(ttl="5m"))
    system = Message.system([TextPart(text="x", cache_control=mark) for mark in marks])
    assert [item.get("cache_control") for item in body_of(CLAUDE, system, USER)["system"]] == [
        None,
        {"type": "ephemeral"},
        {"type": "ephemeral", "ttl": "1h"},
        {"type": "ephemeral", "ttl": "5m"},
    ]
    assert "cache_control" not in body_of(CLAUDE, system, USER)["system"][0]


def test_N03_marks_of_definitions_texts_and_results_reach_the_wire() -> None:
    mark = CacheControl()
    tool = ToolSchema(name="t", description="", input_schema={"type": "object"}, cache_control=mark)
    body = body_of(
        CLAUDE,
        Message.user([TextPart(text="x", cache_control=mark)]),
        Message.assistant([ToolCallPart(id="1", name="t")]),
        Message.tool([ToolResultPart(id="1", name="t", result="r", cache_control=mark)]),
        tools=(tool,),
    )
    user, _, result = (message["content"][0] for message in body["messages"])
    assert [item["cache_control"] for item in (body["tools"][0], user, result)] == [{"type": "ephemeral"}] * 3


def test_N04_signed_thinking_goes_back_before_the_text() -> None:
    assert assistants_blocks(SIGNED, TextPart(text="Hi")) == [
        [{"type": "thinking", "thinking": "so", "signature": "s=="}, {"type": "text", "text": "Hi"}]
    ]


def test_N05_foreign_thinking_is_dropped_and_a_message_of_nothing_else_with_it() -> None:
    assert assistants_blocks(FOREIGN) == []
    assert assistants_blocks(FOREIGN, TextPart(text="Hi")) == [[{"type": "text", "text": "Hi"}]]
    assert assistants_blocks(ThinkingPart(text="of nobody"), TextPart(text="Hi"))[0][0]["type"] == "text"


@pytest.mark.parametrize(
    ("counted", "usage"),
    [
        ({"input_tokens": 3, "output_tokens": 2}, Usage(input_tokens=3, output_tokens=2)),
        (
            {**CACHED, "output_tokens": 2},
            Usage(input_tokens=15, output_tokens=2, cache_read_tokens=7, cache_write_tokens=5),
        ),
    ],
)
def test_N06_usage_is_read_with_and_without_cache_counts(counted: dict[str, int], usage: Usage) -> None:
    answer = {
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": "end_turn",
        "usage": counted,
    }
    assert asked(CLAUDE, answer).usage == usage.model_copy(update={"raw": counted})


def test_N07_thinking_streams_as_deltas_and_then_one_block_with_its_signature() -> None:
    sign = {"type": "signature_delta", "signature": "s=="}
    think = {"type": "thinking_delta", "thinking": "so"}
    events = [start(), *block(0, "thinking", think, sign, thinking="", signature=""), end(), STOP]
    chunks, _ = streamed(CLAUDE, data_lines(*events))
    assert chunks[:-1] == [ThinkingDelta("so"), ThinkingBlock(SIGNED)]

    events = [start(), *block(0, "thinking", sign, thinking="", signature=""), end(), STOP]
    chunks, _ = streamed(CLAUDE, data_lines(*events))
    assert chunks[:-1] == [ThinkingBlock(ThinkingPart(text="", replay=SIGNED.replay))]


def test_N08_cache_counts_survive_a_later_count_that_leaves_them_out() -> None:
    answer = data_lines(start(**CACHED, output_tokens=1), *said("Hi"), end(output_tokens=9), STOP)
    _, response = streamed(CLAUDE, answer)
    assert isinstance(response, ChatResponse)
    usage = response.usage
    counts = (usage.input_tokens, usage.output_tokens, usage.cache_write_tokens, usage.cache_read_tokens)
    assert counts == (15, 9, 5, 7)


def test_N09_redacted_thinking_is_kept_and_goes_back_as_it_came() -> None:
    redacted = {"type": "redacted_thinking", "data": "x/+=="}
    response = replied(*block(0, kind="redacted_thinking", data="x/+=="), *said("Hi", 1))
    opaque, _ = response.message.content
    assert type(opaque) is OpaquePart
    assert assistants_blocks(*response.message.content)[0][0] == redacted

    whole = {"type": "message", "role": "assistant", "stop_reason": "end_turn", "content": [redacted]}
    assert assistants_blocks(*asked(CLAUDE, whole).message.content) == [[redacted]]


def test_N10_the_unknown_is_skipped_and_an_early_end_is_an_error() -> None:
    odd = {"type": "something_new", "value": 1}
    assert replied(odd, {"type": "ping"}, *block(0, "hologram", size=3), *said("Hi", 1)).text == "Hi"

    chunks, error = streamed(CLAUDE, data_lines(start(output_tokens=1), *said("Half"), end(output_tokens=4)))
    assert [type(chunk) for chunk in chunks[-2:]] == [ChatError, ChatEnd]
    assert isinstance(error, TransportError)
    assert (error.partial.text, error.partial.usage.output_tokens) == ("Half", 4)

    _, error = streamed(CLAUDE, Answer.events([b""]))
    assert isinstance(error, TransportError)
