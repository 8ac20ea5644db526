"""Section 6.11: the original's live calls of vendors, with answers as the vendors give them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tako import CacheControl, Message, SingleAgent, Thinking, tool
from tako.effects import Flow, Succeeded, sleep
from tako.events import AssistantThinkingBlock, Final, ToolCallStart
from tako.models import ChatRequest, TextPart
from tako.providers import Anthropic, OpenAIResponses
from tako.providers.anthropic import BatchRow, Canceled, Errored, Expired, MessageBatch
from tako.providers.anthropic import Succeeded as Answered
from tako.providers.openai import OpenAICodex
from tako.providers.openai.codex import CodexCredentials
from tako.testing import Answer, ScriptedVendor
from tests.checklist.plays import ANTHROPIC_THINKS, Driver, drivers, play
from tests.checklist.wires import data_lines
from tests.contracts.subjects import ANTHROPIC, OPENAI, Subject, wire
from tests.contracts.wires import responses

RESPONSES = wire("responses", lambda url: OpenAIResponses("m", "k", base_url=url), responses)
CODEX = wire(
    "codex",
    lambda url: OpenAICodex("m", CodexCredentials("token", "account"), base_url=url),
    responses,
)


@drivers
@pytest.mark.parametrize("vendor", [ANTHROPIC, OPENAI], ids=lambda vendor: vendor.name)
@pytest.mark.parametrize("streaming", [False, True])
def test_smoke_provider_roundtrip(driver: Driver, vendor: Subject, streaming: bool) -> None:
    played = play(driver, ["PONG"], SingleAgent, "Say PONG.", wire=vendor, streaming=streaming)
    assert (played.result.text, played.result.stop_reason) == ("PONG", "stop")
    assert played.result.usage.input_tokens and played.result.usage.output_tokens
    if streaming:
        assert "assistant_text" in played.kinds and type(played.events[-1]) is Final


def cached(*, written: int, read: int, streaming: bool) -> Answer:
    """An answer of Anthropic's that tells of its cache."""
    usage = {
        "input_tokens": 10,
        "output_tokens": 2,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
    }
    text = {"type": "text", "text": "ok"}
    message = {"id": "m", "model": "m", "stop_reason": "end_turn", "content": [text], "usage": usage}
    if not streaming:
        return Answer.json(json.dumps(message))
    return data_lines(
        {"type": "message_start", "message": {**message, "stop_reason": None, "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ok"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    )


@tool(read_only=True)
def look(at: str = "") -> str:
    return f"seen {at}"


@drivers
@pytest.mark.parametrize("streaming", [False, True])
def test_anthropic_caching(driver: Driver, streaming: bool) -> None:
    """The first call writes the cache and the second, with the same prefix, reads it."""
    seen = []
    for counts in ({"written": 5000, "read": 0}, {"written": 0, "read": 5000}):
        seen.append(
            play(
                driver,
                [cached(**counts, streaming=streaming)],
                lambda model: SingleAgent(
                    model,
                    system=[TextPart(text="A long system prompt.", cache_control=CacheControl())],
                    tools=[look],
                    cache_tools=CacheControl(ttl="1h"),
                ),
                wire=ANTHROPIC,
                streaming=streaming,
            )
        )
    first, second = (played.result.usage for played in seen)
    assert (first.cache_write_tokens, first.cache_read_tokens) == (5000, 0)
    assert (second.cache_write_tokens, second.cache_read_tokens) == (0, 5000)
    bodies = [played.asked[0] for played in seen]
    assert bodies[0] == bodies[1]
    assert bodies[0]["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert bodies[0]["tools"][-1]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


FIELDS: dict[str, Any] = {"type": "message", "role": "assistant", "stop_reason": "end_turn"}
ROWS = [
    ("a", {"type": "succeeded", "message": {**FIELDS, "content": [{"type": "text", "text": "PONG"}]}}),
    ("b", {"type": "errored", "error": {"type": "invalid_request_error", "message": "No."}}),
    ("c", {"type": "canceled"}),
    ("d", {"type": "expired"}),
]


def batch_answer(status: str) -> Answer:
    return Answer.json(json.dumps({"id": "b1", "processing_status": status, "request_counts": {}}))


@drivers
def test_anthropic_batch_and_anthropic_batch_cancel_and_mixed(driver: Driver) -> None:
    """Submit, cancel what has not begun, ask until it has ended, read the four kinds of outcome."""
    lines = "\n".join(json.dumps({"custom_id": id, "result": result}) for id, result in ROWS)
    states = iter(("in_progress", "canceling", "canceling", "ended"))
    vendor = ScriptedVendor(
        lambda request: (
            Answer.json(lines) if request.target.endswith("/results") else batch_answer(next(states))
        )
    )

    def flow(url: str) -> Flow[MessageBatch]:
        batches = Anthropic("m", "k", base_url=url).batches
        ask = ChatRequest(messages=(Message.user("Say PONG."),))
        batch = yield from batches.create_flow({id: ask for id, _ in ROWS})
        batch = yield from batches.cancel_flow(batch.id)
        while not batch.is_terminal:
            yield from sleep(0.01)
            batch = yield from batches.retrieve_flow(batch.id)
        yield from batches.results_flow(batch)
        return batch

    seen = driver.observe(vendor, flow)
    assert isinstance(seen.outcome, Succeeded), seen.outcome
    assert [type(row.outcome) for row in seen.events if isinstance(row, BatchRow)] == [
        Answered, Errored, Canceled, Expired,
    ]  # fmt: skip
    assert seen.events[0].outcome.response.text == "PONG"
    assert [request.target.rpartition("batches")[2] for request in vendor.requests] == [
        "", "/b1/cancel", "/b1", "/b1", "/b1/results",
    ]  # fmt: skip


ASKED = {
    "budget": (Thinking(budget_tokens=2048), {"type": "enabled", "budget_tokens": 2048}),
    "adaptive": (Thinking(effort="high"), {"type": "adaptive"}),
}


@drivers
@pytest.mark.parametrize("how", ASKED)
def test_streaming_anthropic_thinking_and_adaptive_thinking(driver: Driver, how: str) -> None:
    thinking, on_the_wire = ASKED[how]
    played = play(
        driver,
        [ANTHROPIC_THINKS],
        lambda model: SingleAgent(model, thinking=thinking),
        wire=ANTHROPIC,
        streaming=True,
    )
    assert played.asked[0]["thinking"] == on_the_wire
    [block] = [event for event in played.events if isinstance(event, AssistantThinkingBlock)]
    assert (block.part.text, played.result.text) == ("so", "eight")


REASONING = {
    "type": "reasoning",
    "id": "rs_1",
    "encrypted_content": "secret",
    "summary": [{"type": "summary_text", "text": "Let me see."}],
}
LOOKS = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "look",
    "arguments": '{"at":"sea"}',
    "status": "completed",
}


def reasons_and_calls() -> Answer:
    """What a Responses stream says that thinks and then calls a tool."""
    place = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
    arguments = {"item_id": "fc_1", "output_index": 1}
    done = {"id": "r1", "model": "m", "status": "completed", "output": [REASONING, LOOKS], "usage": USED}
    return data_lines(
        {
            "type": "response.created",
            "response": {**done, "status": "in_progress", "output": [], "usage": None},
        },
        {"type": "response.output_item.added", "output_index": 0, "item": {**REASONING, "summary": []}},
        {"type": "response.reasoning_summary_text.delta", **place, "delta": "Let me see."},
        {"type": "response.reasoning_summary_text.done", **place, "text": "Let me see."},
        {"type": "response.output_item.done", "output_index": 0, "item": REASONING},
        {"type": "response.output_item.added", "output_index": 1, "item": {**LOOKS, "arguments": ""}},
        {"type": "response.function_call_arguments.delta", **arguments, "delta": '{"at":'},
        {"type": "response.function_call_arguments.delta", **arguments, "delta": '"sea"}'},
        {"type": "response.output_item.done", "output_index": 1, "item": LOOKS},
        {"type": "response.completed", "response": done},
    )


USED = {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}


@drivers
@pytest.mark.parametrize("vendor", [RESPONSES, CODEX], ids=lambda vendor: vendor.name)
def test_streaming_openai_responses_thinking_and_streaming_openai_codex(
    driver: Driver, vendor: Subject
) -> None:
    played = play(
        driver,
        [reasons_and_calls(), "a fish"],
        lambda model: SingleAgent(model, tools=[look]),
        wire=vendor,
        streaming=True,
    )
    [block] = [event for event in played.events if isinstance(event, AssistantThinkingBlock)]
    assert block.part.text == "Let me see."
    assert [event for event in played.events if isinstance(event, ToolCallStart)] == [
        ToolCallStart(1, "look", "call_1", {"at": "sea"})
    ]
    assert (played.answers, played.result.text) == ([("seen sea", False)], "a fish")
    kept = [item for item in played.asked[1]["input"] if item.get("type") == "reasoning"]
    assert [item["encrypted_content"] for item in kept] == ["secret"], "it goes back as it came"
