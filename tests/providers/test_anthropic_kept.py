"""Besides the answer: citations, details and a paused turn are kept, and go back as they came."""

from __future__ import annotations

import json
from typing import Any

from tako import SingleAgent
from tako.errors import TransportError
from tako.events import (
    ChatEnd,
    TextBlock,
    TextDelta,
)
from tako.models import (
    Citation,
    Replay,
    TextPart,
)
from tako.providers.anthropic import Anthropic
from tako.providers.anthropic.decode import MessagesDecoder
from tako.testing import Answer, ScriptedVendor, Simulator
from tests.support.answers import collect, event_stream
from tests.support.anthropic_answers import (
    LAST,
    PAGE,
    PLACE,
    START,
    answer,
    chunks_of,
    closed,
    ended,
    event,
    grown,
    opened,
    said_again,
    stream_of,
    whole,
)


def test_citations_are_kept_with_the_text_they_belong_to() -> None:
    chunks = chunks_of(
        opened(0, "text", text=""),
        grown(0, "text_delta", text="First, "),
        closed(0),
        opened(1, "text", text="", citations=[]),
        grown(1, "citations_delta", citation=PAGE),
        grown(1, "text_delta", text="it "),
        grown(1, "text_delta", text="is so"),
        grown(1, "citations_delta", citation=PLACE),
        closed(1),
        opened(2, "text", text="", citations=[]),
        grown(2, "text_delta", text="."),
        closed(2),
        ended(),
    )
    assert [type(c) for c in chunks] == [TextDelta] * 3 + [TextBlock, TextDelta, ChatEnd]
    response, _ = collect(chunks)
    first, cited, last = response.message.content
    assert (first, last) == (TextPart(text="First, "), TextPart(text="."))
    assert cited == TextPart(
        text="it is so",
        citations=(
            Citation(
                source="https://x/y",
                title="Y",
                text="it is so",
                replay=Replay(vendor="anthropic", data=PAGE),
            ),
            Citation(source="1", text="so it is", replay=Replay(vendor="anthropic", data=PLACE)),
        ),
    )
    blocks = [
        {"type": "text", "text": "First, "},
        {"type": "text", "text": "it is so", "citations": [PAGE, PLACE]},
        {"type": "text", "text": "."},
    ]
    assert whole(answer(*blocks)) == response
    assert said_again(response) == blocks


def test_citations_that_come_unannounced_or_are_not_closed_are_kept_too() -> None:
    unannounced = [
        opened(0, "text", text=""),
        grown(0, "citations_delta", citation=PAGE),
        grown(0, "text_delta", text="t"),
    ]
    for events in ([*unannounced, closed(0), ended()], [*unannounced, ended()]):
        response, error = collect(chunks_of(*events))
        assert error is None
        (part,) = response.message.content
        assert type(part) is TextPart and len(part.citations) == 1
    # Nor does a stream that breaks off lose them.
    response, error = collect(chunks_of(*unannounced, stop=False))
    assert isinstance(error, TransportError)
    assert said_again(response) == [{"type": "text", "text": "t", "citations": [PAGE]}]
    following = collect(
        chunks_of(*unannounced, opened(1, "text", text=""), grown(1, "text_delta", text="u"), ended())
    )[0]
    assert said_again(following) == [
        {"type": "text", "text": "t", "citations": [PAGE]},
        {"type": "text", "text": "u"},
    ]


def test_what_a_message_says_besides_the_answer_is_in_the_details() -> None:
    container = {"id": "c1", "expires_at": "2026-01-01T00:00:00Z"}
    refusal = {"type": "refusal", "category": "cyber", "explanation": None}
    edits: dict[str, Any] = {"applied_edits": []}
    delta = {"stop_reason": "refusal", "stop_sequence": None, "stop_details": refusal, "container": container}
    event_of_end = event("message_delta", delta=delta, usage=LAST, context_management=edits)
    end = chunks_of(grown(0, "text_delta", text="t"), event_of_end)[-1]
    assert type(end) is ChatEnd and end.finish_reason == "content_filter"
    assert end.details == {"stop_details": refusal, "container": container, "context_management": edits}
    text = {"type": "text", "text": "t"}
    payload = {**answer(text, reason="stop_sequence"), "stop_sequence": "|", "container": None}
    assert whole(payload).details == {"stop_sequence": "|"}
    assert whole(answer(text)).details == {}


def test_a_turn_that_paused_goes_back_exactly_as_it_came() -> None:
    """Contract 4: the vendor goes on from its own words, so not a byte of them may change."""
    blocks: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "hm", "signature": "s=="},
        {"type": "thinking", "thinking": "", "signature": "omitted=="},
        {"type": "redacted_thinking", "data": "x/+=="},
        {"type": "text", "text": "I look it up."},
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "s1",
            "content": [
                {"type": "web_search_result", "url": "u", "encrypted_content": "e", "page_age": None}
            ],
        },
        {"type": "text", "text": "It is so", "citations": [PAGE]},
        {"type": "text", "text": ", and "},
        {"type": "mcp_tool_use", "id": "s2", "name": "f", "server_name": "s", "input": {}},
        {"type": "mcp_tool_result", "tool_use_id": "s2", "is_error": False, "content": []},
        {"type": "container_upload", "file_id": "f1"},
        {"type": "server_tool_use", "id": "s3", "name": "code_execution", "input": {"code": "1"}},
    ]
    response = whole(answer(*blocks, reason="pause_turn"))
    assert (response.finish_reason, response.raw_finish_reason) == ("pause", "pause_turn")
    assert said_again(response) == blocks
    events = [line for index, block in enumerate(blocks) for line in stream_of(index, block, 3)]
    assert collect(chunks_of(*events, ended("pause_turn")))[0] == response


def test_an_agent_goes_on_after_a_pause() -> None:
    search = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
    paused, ended_turn = (
        json.dumps(answer(search, reason="pause_turn")),
        json.dumps(answer({"type": "text", "text": "Found."})),
    )
    vendor = ScriptedVendor([Answer.json(paused), Answer.json(ended_turn)])
    result = Simulator(vendor=vendor).run(SingleAgent(Anthropic("m", "")), "look")
    assert (result.text, result.steps) == ("Found.", 2)
    second = json.loads(vendor.requests[1].body)["messages"]
    assert [message["role"] for message in second] == ["user", "assistant"]
    assert second[1]["content"] == [search]


def test_a_cited_text_is_told_whole_as_soon_as_it_is_closed() -> None:
    events = [opened(0, "text", text="", citations=[]), grown(0, "citations_delta", citation=PAGE)]
    decoder = MessagesDecoder()
    first = decoder.feed(event_stream(START, *events, grown(0, "text_delta", text="t")))
    assert [type(c) for c in first] == [TextDelta]
    assert [type(c) for c in decoder.feed(event_stream(closed(0)))] == [TextBlock]
