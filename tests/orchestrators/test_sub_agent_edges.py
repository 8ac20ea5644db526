"""Sub-agents in company: many at once, one in two families, slow ones, and traces that fail halfway."""

from __future__ import annotations

from typing import Any

import pytest

from tako.effects import Flow, Sleep
from tako.events import Final, SubAgentEvent
from tako.models import CacheControl, Capabilities, ChatRequest, ChatResponse, Role, TextPart
from tako.orchestrators.decisions import Approved
from tako.orchestrators.result import RunResult
from tako.orchestrators.single_agent import SingleAgent
from tako.orchestrators.sub_agent import SubAgent
from tako.providers.base import Relay, as_they_are
from tako.providers.fake import Fake, Reply
from tako.testing.simulator import Simulator
from tako.tools import CallPattern, ToolPolicy, tool
from tests.orchestrators.kit import assert_replayable, call, events_of, results
from tests.orchestrators.test_sub_agent import Family, delegates, look, unseen

MANY = [f"task {number}" for number in range(10)]


@tool(approval=True, concurrent=True)
def pay(amount: int) -> str:
    return f"paid {amount}"


class Crowd(Fake):
    """The parent delegates ten tasks at once; each child pays once and is done."""

    def __init__(self) -> None:
        def answer(request: ChatRequest) -> Reply:
            first = next(message.text for message in request.messages if message.role is Role.USER)
            turn = sum(message.role is Role.ASSISTANT for message in request.messages)
            if first == "go":
                return delegates(*MANY)[min(turn, 1)]
            return call("p", "pay", amount=int(first.split()[1])) if turn == 0 else f"{first} done"

        super().__init__(script=answer)


def check_crowd(result: RunResult[Any]) -> None:
    assert_replayable(result.new_messages)
    assert [part.result for part in results(result.new_messages)] == [f"{task} done" for task in MANY]
    assert [one.path[0] for one in result.sub_agents] == [f"agent:c{number}" for number in range(10)]
    assert result.usage.input_tokens == 2 + 2 * len(MANY)
    told = {str(entry.pattern) for entry in result.remembered}
    assert told == {str(CallPattern.exactly(call("p", "pay", amount=number))) for number in range(10)}


def crowd() -> SingleAgent[None]:
    return SingleAgent(
        Crowd(), tools=[pay, SubAgent(trace=unseen)], approval=lambda request: Approved(remember=True)
    )


@pytest.mark.parametrize("seed", range(4))
def test_ten_at_once_keep_to_themselves(seed: int) -> None:
    check_crowd(Simulator(seed).run(crowd(), "go"))


def test_ten_at_once_on_threads_lose_nothing() -> None:
    """What they have used and what was remembered in them is told to the parent from several threads."""
    for _ in range(3):
        check_crowd(crowd().run_sync("go"))


def test_hidden_definitions_are_marked_for_the_cache_as_all_are() -> None:
    model = Family(go=delegates("task"), task=["ok"])
    child = SubAgent(tools_allow=["look"], filter_tool_definitions=True)
    Simulator().run(SingleAgent(model, tools=[look, child, pay], cache_tools=CacheControl()), "go")
    [shown] = model.requests["task"][0].tools
    assert (shown.name, shown.cache_control) == ("look", CacheControl())


def test_one_sub_agent_can_stand_in_two_families() -> None:
    child = SubAgent(trace=unseen)
    for name in ("one", "two"):
        model = Family(go=delegates("task"), task=[f"{name} answers"])
        result = Simulator().run(SingleAgent(model, tools=[look, child], policy=ToolPolicy(deny=["x"])), "go")
        assert [part.result for part in results(result.new_messages)] == [f"{name} answers"]


class Slow(Family):
    """A child's second answer takes long."""

    def chat_flow(self, request: ChatRequest) -> Flow[ChatResponse]:
        if request.messages[0].text == "task" and len(request.messages) > 1:
            yield Sleep(100)
        return (yield from super().chat_flow(request))


def test_a_child_whose_time_is_up_says_what_it_had_and_what_it_used() -> None:
    looking: Reply = [TextPart(text="I look"), call("x", "look", at=1)]
    model = Slow(go=delegates("task"), task=[looking, "never"])
    result = Simulator().run(SingleAgent(model, tools=[look, SubAgent(timeout=5)]), "go")
    [part] = results(result.new_messages)
    assert part.is_error
    assert part.result == ("timed out: not done within 5 seconds\nSub-agent cancelled; it last said: I look")
    assert (result.stop_reason, result.sub_agents[0].usage.input_tokens) == ("stop", 1)
    assert result.usage.input_tokens == 3


class Whole(Family):
    """A model that cannot stream."""

    def __init__(self, **scripts: list[Reply]) -> None:
        super().__init__(**scripts)
        self.capabilities = Capabilities(supports_streaming=False)

    def stream_flow(self, request: ChatRequest, relay: Relay = as_they_are) -> Flow[ChatResponse]:
        assert relay is as_they_are, "it says that it cannot"
        return (yield from super().stream_flow(request, relay))


def test_a_model_that_cannot_stream_is_traced_too() -> None:
    seen: list[SubAgentEvent] = []
    model = Whole(go=delegates("task"), task=[call("x", "look", at=1), "ok"])
    agent = SingleAgent(model, tools=[look, SubAgent(trace=seen.append)])
    inner = [event for event in events_of(agent, "go") if isinstance(event, SubAgentEvent)]
    assert inner == seen
    assert [event.event.kind for event in seen] == [
        "step_start", "tool_call_start", "tool_call_pending", "tool_call_result",
        "step_start", "assistant_text", "final",
    ]  # fmt: skip


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("place", range(12))
def test_a_trace_that_fails_anywhere_ends_its_child_alone(place: int, streaming: bool) -> None:
    """The parent goes on, the history is whole, and what the models had answered is counted."""
    seen: list[SubAgentEvent] = []

    def trace(event: SubAgentEvent) -> None:
        seen.append(event)
        if len(seen) == place + 1:
            raise OSError("the log is full")

    calls = [call("x", "look", at=1), call("y", "look", at=2)]
    model = Family(go=delegates("task"), task=[calls, "ok"])
    agent = SingleAgent(model, tools=[look, SubAgent(trace=trace)])
    result = events_of(agent, "go")[-1].result if streaming else Simulator().run(agent, "go")
    assert_replayable(result.new_messages)
    [part] = results(result.new_messages)
    assert result.stop_reason == "stop"
    if len(seen) <= place:
        assert (part.result, isinstance(seen[-1].event, Final)) == ("ok", True)
    else:
        assert part.is_error and "the log is full" in part.result
    asked = sum(len(requests) for requests in model.requests.values())
    assert asked - 1 <= (result.usage.input_tokens or 0) <= asked


def test_a_price_that_is_not_known_of_a_grandchild_is_not_known_of_the_family() -> None:
    nobody_knows = Fake("leaf done")
    inner = SubAgent(name="inner", provider=nobody_knows)
    model = Family(go=delegates("mid"), mid=[call("m", "inner", prompt="x"), "mid done"])
    model.capabilities = Capabilities(usd_per_input_mtok=1_000_000.0, usd_per_output_mtok=0.0)
    result = Simulator().run(SingleAgent(model, tools=[SubAgent(tools=[inner])]), "go")
    [mid] = result.sub_agents
    assert (mid.cost_usd, mid.sub_agents[0].cost_usd, result.cost_usd) == (None, None, None)
