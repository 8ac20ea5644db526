"""A run is interrupted at every point, in every way; and what it leaves behind is whole (contracts 4 to 6).

One story has everything in it that can be in flight: a model that streams, reads side by side, a slow
generator, a tool that is a flow, an approval that is asked for, a sub-agent with a tool of its own. It
is played once for each effect in it and each way to strike, on the simulator; and then anything that
Hypothesis can think of, in any interleaving.

| strike           | the run                                                                    |
|------------------|----------------------------------------------------------------------------|
| cancel           | the token of the run: it ends, "cancelled"                                 |
| run, close       | the same by the user's handle                                              |
| turn             | ends, "interrupted", unless it was over                                    |
| turn and a word  | goes on with the message                                                   |
| word             | goes on with the message, at the next call of the model                    |
| tool             | goes on; that call has a cancelled result                                  |
| hang up          | the consumer of the stream leaves: as cancel                               |
| time             | the limit of the whole run: TimedOut, with what there was                  |
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.effects import Call, Emit, Flow, Now, Sleep
from tako.errors import SteeringError, TimedOut
from tako.events import OrchEvent, ToolCallPending, ToolCallResult
from tako.models import ChatRequest, ChatResponse, Message, Role, TextPart, ThinkingPart
from tako.orchestrators.approval import ApprovalRequest
from tako.orchestrators.result import RunResult
from tako.orchestrators.single_agent import SingleAgent
from tako.orchestrators.sub_agent import SubAgent
from tako.providers import (
    Anthropic,
    AzureOpenAI,
    Bedrock,
    Gemini,
    Mistral,
    Ollama,
    OpenAI,
    OpenAICompatible,
    OpenAIResponses,
    Vertex,
)
from tako.providers.base import Relay, as_they_are
from tako.providers.fake import Fake, Reply
from tako.providers.http import HttpProvider
from tako.steering import InterruptOutcome, SteeredRun, Steering
from tako.testing.faults import Faults
from tako.testing.simulator import Simulator
from tako.tools import Tool, tool
from tests.orchestrators.kit import assert_replayable, call, results

AWS: Any = {"region": "us-east-1", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "secret"}
VENDORS: tuple[HttpProvider, ...] = (
    OpenAI("gpt-5", "key"),
    OpenAICompatible("m", "key", base_url="https://host.example/v1"),
    OpenAIResponses("gpt-5", "key"),
    AzureOpenAI("https://name.openai.azure.com", "gpt-5", "key"),
    Anthropic("claude-sonnet-4-5", "key"),
    Gemini("gemini-2.5-flash", "key"),
    Vertex("project", "gemini-2.5-flash", "token"),
    Bedrock("anthropic.claude-sonnet-4-5-20250929-v1:0", **AWS),
    Mistral("mistral-large-latest", "key"),
    Ollama("llama3.2"),
)
WORDS = "and hurry up"
STRIKES = (
    "cancel",
    "run",
    "close",
    "turn",
    "turn and a word",
    "word",
    "tool a",
    "tool c",
    "tool d",
    "tool e",
)
STORY: tuple[Reply, ...] = (
    [
        ThinkingPart(text="let me see"),
        TextPart(text="I look first"),
        call("a", "look", at=1),
        call("b", "look", at=2),
        call("c", "count"),
    ],
    [call("d", "wait"), call("e", "agent", prompt="child: look around")],
    "all is done",
)


LOG: list[str] = []
"""What began and ended in the telling that goes on, and the strike."""


class Counted(Fake):
    """A model whose questions and whole answers are counted; each answer has its usage."""

    def __init__(self) -> None:
        super().__init__(script=self.answer, delay_ms=2)

    def answer(self, request: ChatRequest) -> Reply:
        turn = sum(message.role is Role.ASSISTANT for message in request.messages)
        first = next(message for message in request.messages if message.role is Role.USER)
        if first.text.startswith("child"):
            return [call("x", "look", at=3)] if turn == 0 else "I looked"
        return STORY[min(turn, len(STORY) - 1)]

    def chat_flow(self, request: ChatRequest) -> Flow[ChatResponse]:
        yield Now()
        LOG.append("asked")
        response = yield from super().chat_flow(request)
        LOG.append("answered")
        return response

    def stream_flow(self, request: ChatRequest, relay: Relay = as_they_are) -> Flow[ChatResponse]:
        yield Now()
        LOG.append("asked")
        response = yield from super().stream_flow(request, relay)
        LOG.append("answered")
        return response


@tool(read_only=True)
def look(at: int) -> str:
    return f"seen {at}"


@tool
def count() -> Iterator[str]:
    for number in range(3):
        yield f"{number}"


def wait() -> Flow[str]:
    yield Sleep(0.01)
    yield Sleep(0.01)
    return "waited"


def approve(request: ApprovalRequest) -> bool:
    return True


AGENT = SingleAgent(
    Counted(),
    tools=[look, count, Tool.from_flow(wait), SubAgent(trace=lambda event: None)],
    approval=approve,
    needs_approval=lambda asked, one: one.name == "count",
)


class Story:
    """One telling: the handle of its user, and what was seen."""

    def __init__(self) -> None:
        LOG.clear()
        self.log = LOG
        self.steering = Steering()
        self.events: list[OrchEvent] = []
        self.token = CancellationToken()
        self.struck_at = 0

    def strike(self, how: str, simulator: Simulator) -> Callable[[], None]:
        """What to do, once; the log tells of it if it met something."""

        def struck() -> None:
            if "struck" in self.log or "missed" in self.log:
                return
            steering, outcome = self.steering, InterruptOutcome.INTERRUPTED
            if "word" in how:
                try:
                    steering.queue(WORDS)
                except SteeringError as error:
                    assert error.code == "no_active_turn"
                    self.log.append("missed")
                    return
            if how == "cancel":
                self.token.cancel()
            elif how.startswith("turn"):
                outcome = steering.interrupt_turn()
            elif how.startswith("tool"):
                outcome = steering.interrupt_tool(how.split()[1])
            elif how == "run":
                outcome = steering.interrupt()
            elif how == "close":
                outcome = InterruptOutcome.INTERRUPTED if steering.is_active else InterruptOutcome.UNKNOWN
                steering.close()
            self.log.append("struck" if outcome is InterruptOutcome.INTERRUPTED else "missed")
            self.struck_at = len(simulator.trace)

        return struck

    def tell(self, simulator: Simulator, *, streaming: bool, **options: Any) -> RunResult[Any]:
        """Play it; a handle that was closed before the run began is no failure."""
        flow = AGENT.flow("go", streaming=streaming, steering=self.steering, **options)
        run = simulator._start(flow, self.token)
        try:
            for event in run:
                self.events.append(event)
        except SteeringError as error:
            assert error.code == "closed" and "missed" in self.log
            return AGENT.start("go").result()
        return run.result


WHOLE = Story()
ENDING = WHOLE.tell(Simulator(), streaming=True)
CALLS = LOG.count("asked")


def test_the_story_is_the_one_that_the_rest_relies_on() -> None:
    assert (ENDING.text, ENDING.stop_reason, ENDING.steps) == ("all is done", "stop", 3)
    assert [part.id for part in results(ENDING.new_messages)] == ["a", "b", "c", "d", "e"]
    assert not any(part.is_error for part in results(ENDING.new_messages))
    assert ENDING.usage.input_tokens == CALLS == 5


@functools.cache
def assert_accepted(dumped: str) -> None:
    """Every vendor's encoder takes them, with a next question behind them."""
    messages = [Message.model_validate_json(line) for line in dumped.split("\n")]
    again = ChatRequest(messages=[*messages, Message.user("go on")], max_tokens=4096)
    for vendor in VENDORS:
        assert vendor.http_request(again, stream=False).body


def assert_left_whole(story: Story, result: RunResult[Any]) -> None:
    """What holds of every run, however it was struck."""
    assert_replayable(result.new_messages)
    assert_accepted("\n".join([message.model_dump_json() for message in result.new_messages]))
    used = result.usage.input_tokens or 0
    assert story.log.count("answered") <= used <= story.log.count("asked")
    told = [event.id for event in story.events if isinstance(event, ToolCallResult)]
    assert len(told) == len(set(told)), "a call with two results"
    pending = [event.id for event in story.events if isinstance(event, ToolCallPending)]
    assert set(told) <= set(pending)
    assert story.steering.is_active is False


def assert_nothing_ran_after(simulator: Simulator, strike: int) -> None:
    """Only events are handed out, and the handle is asked."""
    for done in simulator.trace[strike:]:
        effect = done.effect
        asks_handle = isinstance(effect, Call) and isinstance(
            getattr(effect.function, "__self__", None), SteeredRun
        )
        assert isinstance(effect, Emit) or asks_handle, done.what


def effects_of(streaming: bool) -> int:
    simulator = Simulator()
    Story().tell(simulator, streaming=streaming)
    return len(simulator.trace)


def play(how: str, moment: str, number: int, *, streaming: bool, seed: int = 0, **slow: float) -> None:
    """Strike at one effect, and look at what is left."""
    story = Story()
    simulator = Simulator(seed)
    moments: dict[str, Any] = {moment: number, **slow}
    simulator.faults = Faults(**moments, instead=story.strike(how, simulator))
    result = story.tell(simulator, streaming=streaming)
    assert_left_whole(story, result)
    assert_ended_as(how, story, result)
    if result.stop_reason in ("cancelled", "interrupted"):
        assert_nothing_ran_after(simulator, story.struck_at)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("how", STRIKES)
@pytest.mark.parametrize("moment", ["cancel_after", "cancel_during"])
def test_a_strike_at_every_effect(moment: str, how: str, streaming: bool) -> None:
    size = effects_of(streaming)
    assert size > 30
    for number in range(moment == "cancel_during", size + 1):
        play(how, moment, number, streaming=streaming)


def assert_ended_as(how: str, story: Story, result: RunResult[Any]) -> None:
    assert result.detail == ""
    if "missed" in story.log and how == "close":
        assert result.stop_reason in ("error", "stop")
    elif how in ("cancel", "run", "close"):
        assert result.stop_reason in ("cancelled", "stop")
    elif how == "turn":
        assert result.stop_reason in ("interrupted", "stop")
    else:
        assert result.stop_reason == "stop"
    if "word" in how:
        said = sum(message == Message.user(WORDS) for message in result.new_messages)
        kept = sum(message == Message.user(WORDS) for message in result.undelivered)
        assert said + kept == story.log.count("struck"), "what was accepted is delivered, or given back"


@given(
    st.integers(0, 1000),
    st.sampled_from(STRIKES),
    st.integers(1, 90),
    st.sampled_from(("cancel_after", "cancel_during")),
    st.booleans(),
)
def test_a_strike_under_any_interleaving(
    seed: int, how: str, number: int, moment: str, streaming: bool
) -> None:
    play(how, moment, number, streaming=streaming, seed=seed, call_seconds=0.01, slow_reader=0.003)


@pytest.mark.parametrize("after", range(1, 60, 3))
def test_a_consumer_that_hangs_up(after: int) -> None:
    story = Story()
    simulator = Simulator()
    run = simulator.stream(AGENT.flow("go", streaming=True, steering=story.steering))
    for _, event in zip(range(after), run, strict=False):
        story.events.append(event)
    struck_at = len(simulator.trace)
    run.close()
    assert_left_whole(story, run.result)
    assert_nothing_ran_after(simulator, struck_at)


@given(st.floats(0.0001, 0.08), st.integers(0, 50))
def test_a_limit_of_time(seconds: float, seed: int) -> None:
    from tako.orchestrators.base import _limited

    story = Story()
    flow = _limited(AGENT.flow("go", steering=story.steering), seconds)
    try:
        result = Simulator(seed, faults=Faults(call_seconds=0.004)).run(flow)
    except TimedOut as error:
        result = error.partial
        assert result.stop_reason == "cancelled"
    assert_left_whole(story, result)
