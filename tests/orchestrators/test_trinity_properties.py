"""Trinity under any sequence of choices and replies, and a cancel anywhere.

The cast has every kind of speaker, a model or an agent; the script says of each step who is chosen and what
is said: an answer, advice, a verdict, calls of tools, one that has to be approved, an answer that is cut off,
paused or broken, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tako.effects import Flow, Sleep
from tako.errors import ProviderError, TakoError
from tako.events import AssistantText, StepStart, VerifierScore
from tako.models import ChatRequest, ChatResponse, Message, TextPart, Usage
from tako.models import Role as MessageRole
from tako.orchestrators.decisions import Approved
from tako.orchestrators.result import RunResult
from tako.orchestrators.single_agent import SingleAgent
from tako.orchestrators.trinity import Role, Trinity
from tako.providers.fake import Fake, Reply, Truncated
from tako.routers.base import Router, RoutingDecision, Situation
from tako.steering import Steering
from tako.testing import Faults, Simulator, check_history
from tako.tools import tool
from tests.effort import examples
from tests.orchestrators.kit import call

ONE = Usage(input_tokens=1, output_tokens=1)
REPLIES: tuple[Callable[[int], Reply], ...] = (
    lambda n: f"answer {n}",
    lambda n: f"answer {n}",
    lambda n: "ACCEPT",
    lambda n: "ACCEPT",
    lambda n: "REVISE: no",
    lambda n: "",
    lambda n: [TextPart(text="look"), call("a", "add", a=n, b=1)],
    lambda n: [call("same", "add", a=n, b=1), call("same", "add", a=n, b="x")],
    lambda n: call("p", "pay", amount=n),
    lambda n: _ended(f"cut {n}", "length"),
    lambda n: _ended(f"paused {n}", "pause"),
    lambda n: Truncated(f"broken {n}"),
    lambda n: ProviderError("no", status=400),
)
FAILURES = 2
"""Of these at the end, which end the run."""


def _ended(text: str, reason: Any) -> ChatResponse:
    return ChatResponse(message=Message.assistant(text), finish_reason=reason, usage=ONE)


@tool
def add(a: int, b: int) -> int:
    return a + b


@tool(approval=True)
def pay(amount: int) -> str:
    return f"paid {amount}"


@dataclass(frozen=True)
class Turn:
    place: int
    reply: int


turns = st.builds(Turn, st.integers(0, 4), st.integers(0, len(REPLIES) - 1))
calm = st.builds(Turn, st.integers(0, 4), st.integers(0, len(REPLIES) - FAILURES - 1))


class Director(Router):
    def __init__(self, script: list[Turn]) -> None:
        self.script, self.count = script, 0

    def choose_flow(self, situation: Situation) -> Flow[RoutingDecision]:
        self.count += 1
        yield Sleep(1)
        return RoutingDecision(index=self.script[situation.step % len(self.script)].place, usage=ONE)


class Play:
    """A cast that says what the script has; each reply of a model costs one token each way."""

    def __init__(self, script: list[Turn], *, agents: bool = True, max_steps: int = 6) -> None:
        self.script, self.said = script, 0
        self.asked: list[ChatRequest] = []
        self.router = Director(script)
        self.judged = 0
        model = Fake(script=self.answer)
        agent = SingleAgent(model, max_steps=2) if agents else model
        self.trinity = Trinity(
            {
                "thinker": Role(model, "Think.", "thinker"),
                "worker": model,
                "verifier": Role(model, "Check.", "verifier"),
                "agent": Role(agent, "Be brief."),
                "adviser": Role(agent, kind="thinker"),
            },
            self.router,
            tools=[add, pay],
            verifier=self.judge,
            max_steps=max_steps,
        )

    def answer(self, request: ChatRequest) -> Reply:
        self.asked.append(request)
        self.said += 1
        return REPLIES[self.script[self.said % len(self.script)].reply](self.said)

    def judge(self, text: str) -> float:
        self.judged += 1
        return 0.5

    def run(self, simulator: Simulator | None = None, **options: Any) -> RunResult[Any]:
        """What there is, however it ended; approved by somebody if need be."""
        prompt: Any = "go"
        for _ in range(20):
            try:
                result = (simulator or Simulator()).run(self.trinity, prompt, **options)
            except TakoError as error:
                assert isinstance(error.partial, RunResult) and error.usage == error.partial.usage
                return error.partial
            if not result.pending:
                return result
            prompt = self.trinity.load(result.run.dumps())
            for pending in prompt.pending:
                prompt.answer(pending, Approved())
        raise AssertionError("it never ends")


def assert_whole(play: Play, result: RunResult[Any]) -> None:
    check_history(result.new_messages)
    for request in play.asked:
        check_history(request.messages)
    run = result.run
    assert run.loads(run.dumps()).dumps() == run.dumps()
    assert result.steps <= run.options.max_steps
    assert run.turns is None or len(run.turns.spoken) == result.steps


def twice_the_assistant(messages: list[Message]) -> list[str]:
    """What was said behind another's words, with nothing in between."""
    pairs = pairwise(messages)
    return [old.text for old, new in pairs if old.role is new.role is MessageRole.ASSISTANT]


@given(st.lists(turns, min_size=1, max_size=8))
def test_any_choices_and_replies_give_a_history_that_every_vendor_takes_and_are_booked_once(
    script: list[Turn],
) -> None:
    play = Play(script)
    result = play.run()
    assert_whole(play, result)
    assert all(text.startswith("paused") for text in twice_the_assistant(result.new_messages))
    for request in play.asked:
        assert all(text.startswith("paused") for text in twice_the_assistant(list(request.messages)))
    refused = sum(1 for n in range(1, play.said + 1) if script[n % len(script)].reply == len(REPLIES) - 1)
    used = result.usage.input_tokens or 0
    assert play.said + play.router.count - refused <= used <= play.said + play.router.count


@given(st.lists(calm, min_size=1, max_size=8))
@settings(max_examples=examples(0.7))
def test_the_text_is_the_last_answer_and_never_advice_or_a_verdict(script: list[Turn]) -> None:
    play = Play(script, agents=False)
    result = play.run()
    assert result.stop_reason in ("stop", "length", "max_steps")
    spoken = result.run.turns.spoken if result.run.turns is not None else ()
    if not {1, 3} & set(spoken):
        assert result.text == ""
    if result.stop_reason != "max_steps":
        assert spoken[-1] == 2  # with a verifier in the cast nobody else has the last word
        assert result.new_messages[-1].text == "ACCEPT"


@given(st.lists(turns, min_size=1, max_size=8))
@settings(max_examples=examples(0.7))
def test_who_listens_gets_the_same_result(script: list[Turn]) -> None:
    alone, heard = Play(script), Play(script)
    try:
        stream = Simulator().stream(heard.trinity, "go")
        events = list(stream)
        result = stream.result
    except TakoError as error:
        events, result = [], error.partial
    try:
        expected = Simulator().run(alone.trinity, "go")
    except TakoError as error:
        expected = error.partial
    assert result == expected
    assert alone.judged == heard.judged  # defect 38
    whole = [event for event in events if isinstance(event, VerifierScore) and not event.is_partial]
    assert not events or len(whole) == alone.judged
    steps = [event.step for event in events if isinstance(event, StepStart)]
    assert steps == sorted(set(steps))
    assert all(event.step in steps for event in events if isinstance(event, AssistantText))


@given(st.lists(turns, min_size=1, max_size=5), st.integers(0, 60), st.booleans(), st.booleans())
@settings(max_examples=examples(1.5))
def test_a_cancel_anywhere_leaves_what_there_was(
    script: list[Turn], moment: int, during: bool, steered: bool
) -> None:
    play = Play(script)
    faults = Faults(cancel_during=moment) if during else Faults(cancel_after=moment)
    simulator = Simulator(faults=faults)
    options: dict[str, Any] = {"steering": Steering()} if steered else {}
    try:
        stream = simulator.stream(play.trinity, "go", **options)
        for _ in stream:
            pass
        result = stream.result
        struck = len(simulator.trace) >= moment
        assert result.stop_reason in ("cancelled", "approval_required", "stop", "length", "max_steps")
        if result.stop_reason == "stop" and struck:
            assert result.new_messages[-1].text == "ACCEPT"  # no draft looks like an answer that was accepted
    except TakoError as error:
        assert isinstance(error.partial, RunResult)
        result = error.partial
        assert result.stop_reason == "error"
    assert_whole(play, result)
