"""A20-A28: the loop, as a stream of events. See docs/checklist.md for what was decided otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest

import tako_io_sync
from tako import CancellationToken, Denied, SingleAgent, tool
from tako.errors import InvalidInput
from tako.events import (
    AssistantText,
    AssistantThinking,
    AssistantThinkingBlock,
    Final,
    OrchEvent,
    StepStart,
    ToolCallPending,
    ToolCallStart,
)
from tako.models import TextPart, ThinkingPart
from tako.providers import OpenAI
from tako.testing import Answer, ScriptedVendor, Simulator
from tako.tools.builtin import bash_tool
from tako_io_sync.loopback import LoopbackServer
from tests.checklist.plays import ANTHROPIC_THINKS, LOOPS, Driver, call, drivers, play
from tests.contracts.subjects import ANTHROPIC, OPENAI
from tests.contracts.wires.reply import Reply


@tool(read_only=True)
def look(at: str = "") -> str:
    return f"seen {at}"


def looking(model: Any) -> SingleAgent:
    return SingleAgent(model, tools=[look])


@drivers
def test_A20_a_text_is_one_visible_event_and_the_result_is_that_of_a_whole_answer(driver: Driver) -> None:
    streamed = play(driver, ["Hello!"], SingleAgent, streaming=True)
    assert streamed.kinds == ["step_start", "assistant_text", "final"]
    assert streamed.events[1] == AssistantText(1, "Hello!")
    assert streamed.events[-1].result is streamed.result
    assert streamed.result == play(driver, ["Hello!"], SingleAgent).result


@drivers
def test_A21_thinking_comes_as_deltas_and_a_block_and_stands_before_the_text(driver: Driver) -> None:
    played = play(driver, [ANTHROPIC_THINKS], SingleAgent, wire=ANTHROPIC, streaming=True)
    assert played.kinds == [
        "step_start", "assistant_thinking", "assistant_thinking_block", "assistant_text", "final",
    ]  # fmt: skip
    thought, text = played.result.new_messages[-1].content
    assert played.events[1:3] == [AssistantThinking(1, "so"), AssistantThinkingBlock(1, thought)]  # type: ignore[arg-type]
    assert type(thought) is ThinkingPart and type(text) is TextPart
    assert thought.replay is not None and thought.replay.vendor == "anthropic"
    assert thought.replay.data["signature"] == "s=="
    assert (thought.text, text.text, played.result.text) == ("so", "eight", "eight")


@drivers
def test_A22_a_call_is_seen_and_carried_out_within_the_stream(driver: Driver) -> None:
    played = play(driver, [[call("1", "look", at="sea")], "a fish"], looking, streaming=True)
    assert ToolCallStart(1, "look", "1", {"at": "sea"}) in played.events
    assert [message.role.value for message in played.result.new_messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert (played.result.text, played.answers) == ("a fish", [("seen sea", False)])


def test_A23_the_result_is_there_for_those_who_read_no_event() -> None:
    script = [OPENAI.answer(reply)[1] for reply in (Reply("", (call("1", "look"),)), Reply("a fish"))]  # type: ignore[misc]
    vendor = ScriptedVendor(script)
    assert Simulator(vendor=vendor).stream(looking(OpenAI("m", "k")), "go").result.text == "a fish"
    with LoopbackServer(ScriptedVendor(script)) as server:
        agent = looking(OpenAI("m", "k", base_url=server.url))
        with agent.stream_sync("go") as events:
            assert events.result.text == "a fish"


@pytest.mark.parametrize("library", LOOPS)
def test_A23_under_an_event_loop_the_result_is_there_after_the_end(library: str) -> None:
    """Reading on would have to be awaited, and an attribute is not."""
    with LoopbackServer(ScriptedVendor(OPENAI.answer(Reply("a fish"))[1])) as server:  # type: ignore[misc]
        agent = looking(OpenAI("m", "k", base_url=server.url))

        async def main() -> None:
            async with agent.stream("go") as events:
                with pytest.raises(InvalidInput, match="has not ended"):
                    events.result  # noqa: B018
                async for _ in events:
                    pass
                assert events.result.text == "a fish"

        LOOPS[library](main)


@drivers
def test_A24_a_stream_with_a_cancelled_token_is_a_final_event_alone(driver: Driver) -> None:
    token = CancellationToken()
    token.cancel()
    played = play(driver, ["never"], looking, cancel=token, streaming=True)
    assert played.result.stop_reason == "cancelled"
    assert (len(played.result.new_messages), played.result.text, played.asked) == (1, "", [])
    assert played.kinds == ["final"]


@drivers
def test_A25_a_call_is_told_of_before_it_is_pending_with_the_class_of_its_tool(driver: Driver) -> None:
    script = [[call("1", "bash", command="echo hi"), call("2", "look"), call("3", "unknown")], "done"]
    played = play(
        driver, script, lambda model: SingleAgent(model, tools=[look, bash_tool(".")]), streaming=True
    )
    told = [event for event in played.events if isinstance(event, ToolCallStart | ToolCallPending)]
    assert [(type(event), event.id) for event in told] == [
        (kind, id) for kind in (ToolCallStart, ToolCallPending) for id in ("1", "2", "3")
    ]
    classes = [event.tool_class for event in told if isinstance(event, ToolCallPending)]
    assert classes == ["mutating", "read_only", "mutating"]
    assert played.events.index(told[-1]) < played.kinds.index("tool_call_result")


@drivers
def test_A26_who_denies_all_still_sees_each_call_and_the_model_reads_the_reason(driver: Driver) -> None:
    ran: list[str] = []

    @tool
    def change() -> None:
        ran.append("change")

    played = play(
        driver,
        [[call("1", "change")], "understood"],
        lambda model: SingleAgent(
            model, tools=[change], needs_approval="all", approval=lambda request: Denied(reason="not today")
        ),
        streaming=True,
    )
    assert "tool_call_pending" in played.kinds and ran == []
    assert played.answers == [("approval denied: not today", True)]
    assert (played.result.text, played.result.stop_reason) == ("understood", "stop")


@drivers
def test_A27_what_only_a_provider_says_does_not_reach_the_consumer(driver: Driver) -> None:
    played = play(driver, [[call("1", "look")], "a fish"], looking, streaming=True)
    assert {type(event) for event in played.events} <= set(OrchEvent.__args__)
    assert not {"end", "tool_call", "delta", "error"} & set(played.kinds)
    assert type(played.events[0]) is StepStart and type(played.events[-1]) is Final


def long_answer() -> Answer:
    return OPENAI.answer(Reply(" ".join(["word"] * 40)))[1]  # type: ignore[misc]


def test_A28_who_leaves_a_stream_early_cancels_the_run_and_keeps_what_there_was() -> None:
    with Simulator(vendor=ScriptedVendor(long_answer())).stream(SingleAgent(OpenAI("m", "k")), "go") as run:
        assert [next(run).kind for _ in range(3)] == ["step_start", "assistant_text", "assistant_text"]
    assert run.result.stop_reason == "cancelled"
    assert run.result.text.startswith("word word")
    assert run.open_exchanges == ()


def test_A28_on_the_blocking_arm() -> None:
    with LoopbackServer(ScriptedVendor(long_answer())) as server, tako_io_sync.Runtime() as runtime:
        agent = SingleAgent(OpenAI("m", "k", base_url=server.url))
        with runtime.stream(agent, "go") as events:
            assert next(iter(events)).kind == "step_start"
            next(iter(events))
        assert (events.result.stop_reason, events.result.text[:4]) == ("cancelled", "word")


@pytest.mark.parametrize("library", LOOPS)
def test_A28_on_the_async_arms(library: str) -> None:
    with LoopbackServer(ScriptedVendor(long_answer())) as server:
        agent = SingleAgent(OpenAI("m", "k", base_url=server.url))

        async def main() -> None:
            async with agent.stream("go") as events:
                async for event in events:
                    if event.kind == "assistant_text":
                        break
            assert (events.result.stop_reason, events.result.text[:4]) == ("cancelled", "word")

        LOOPS[library](main)


def test_A28_nothing_is_made_that_nobody_has_taken() -> None:
    """No queue stands between the two: what is not read is not received, down to the socket."""
    pieces = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks_of(100)]
    simulator = Simulator(vendor=ScriptedVendor(Answer.events(pieces)))
    run = simulator.stream(SingleAgent(OpenAI("m", "k")), "go")
    for _ in range(11):
        next(run)
    assert sum(done.what.startswith("Receive") for done in simulator.trace) <= 12
    run.close()


def chunks_of(count: int) -> list[dict[str, Any]]:
    return [
        {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]} for _ in range(count)
    ]
