"""SelfCaller for any replies, any scores, any cancel and any nesting: what always holds.

| property               | says                                                                             |
|------------------------|----------------------------------------------------------------------------------|
| whole, however it ends | new_messages is valid input, of a failure as well (contract 4); there is one     |
|                        | Final, or an error that has a SelfCallerResult (contract 5)                      |
| counted                | usage is that of every call of the model and of the guard (26)                   |
| the same               | the same replies give the same events (contract 9)                               |
| one chain              | nested SelfCallers run at most the outermost cap + 1 attempts together, whatever |
|                        | their own caps and guards (39)                                                   |
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tako.effects import Flow, Sleep
from tako.errors import ProviderError, TakoError
from tako.events import AssistantText, Final, OrchEvent, Recursion, StepStart
from tako.models import Message, TextPart, Usage
from tako.orchestrators.base import Orchestrator
from tako.orchestrators.self_caller import SelfCaller, SelfCallerResult
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.fake import Fake, Reply, Truncated
from tako.testing import check_history
from tako.testing.faults import Faults
from tako.testing.simulator import Simulator
from tako.tools import tool
from tako.verifiers.base import Candidate, Score, Verifier, Watch
from tests.effort import examples
from tests.orchestrators.kit import call

SCORES = st.sampled_from([0.0, 0.3, 0.6, 0.7, 1.0])


@tool
def look(at: int = 0) -> str:
    return "seen"


REPLIES: st.SearchStrategy[Callable[[], Reply]] = st.sampled_from(
    [
        lambda: "one two",
        lambda: "x",
        lambda: [TextPart(text=" ")],
        lambda: [TextPart(text="I look"), call("c", "look", at=1)],
        lambda: [call("", "look"), call("", "nope")],
        lambda: Truncated("half an"),
        lambda: ProviderError("no", status=500),
    ]
)


class Judge(Verifier):
    """Plays its scores, and the last one for ever; each takes a second and a token."""

    def __init__(self, scores: list[float], *, fails_at: int | None = None, watches: bool = False) -> None:
        self.scores, self.fails_at, self.watches = scores, fails_at, watches
        self.asked = 0

    def score_flow(self, candidate: Candidate) -> Flow[Score]:
        number, self.asked = self.asked, self.asked + 1
        yield Sleep(1)
        if number == self.fails_at:
            raise ProviderError("the judge is out", usage=Usage(input_tokens=1))
        return Score(value=self.scores[min(number, len(self.scores) - 1)], usage=Usage(input_tokens=1))

    def watch(self) -> Watch | None:
        return (lambda candidate: Score(value=1.0)) if self.watches else None


@st.composite
def stories(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "replies": draw(st.lists(REPLIES, min_size=1, max_size=5)),
        "scores": draw(st.lists(SCORES, min_size=1, max_size=4)),
        "cap": draw(st.integers(0, 3)),
        "keep": draw(st.sampled_from(["last", "best"])),
        "fails_at": draw(st.none() | st.integers(0, 2)),
        "watches": draw(st.booleans()),
        "delay": draw(st.sampled_from([0, 1000])),
    }


def make(story: dict[str, Any]) -> tuple[SelfCaller[Any], Fake, Judge]:
    script = [reply() for reply in story["replies"]]
    model = Fake(script=script, delay_ms=story["delay"])
    judge = Judge(story["scores"], fails_at=story["fails_at"], watches=story["watches"])
    agent = SingleAgent(model, tools=[look], max_steps=2)
    return SelfCaller(agent, judge, max_depth=story["cap"], keep=story["keep"]), model, judge


def play(
    story: dict[str, Any], faults: Faults | None = None
) -> tuple[list[OrchEvent], SelfCallerResult[Any], TakoError | None, Fake, Judge]:
    """The events, the result or what there was of it, what it failed with, and who was asked how often."""
    caller, model, judge = make(story)
    run = Simulator(faults=faults).stream(caller, "go")
    events: list[OrchEvent] = []
    try:
        events.extend(run)
        result: Any = run.result
        error = None
    except TakoError as raised:
        result, error = raised.partial, raised
        assert raised.usage == result.usage
    assert isinstance(result, SelfCallerResult)
    return events, result, error, model, judge


def check(events: list[OrchEvent], result: SelfCallerResult[Any], error: TakoError | None) -> None:
    check_history(result.new_messages)
    assert result.new_messages[0] == Message.user("go")
    finals = [one for one in events if isinstance(one, Final)]
    assert (len(finals), result.stop_reason == "error") == ((1, False) if error is None else (0, True))
    if finals:
        assert events[-1] is finals[0] and finals[0].result is result
    steps = [one.step for one in events if isinstance(one, StepStart)]
    assert steps == list(range(1, len(steps) + 1))
    if result.attempts:
        assert result.text in [one.text for one in result.attempts]
        judged = [one.confidence for one in result.attempts if one.confidence is not None]
        assert result.confidence in judged if judged else result.confidence is None
        assert sum(one.steps for one in result.attempts) == result.steps


@settings(max_examples=examples(2))
@given(stories())
def test_it_is_whole_and_counted_however_it_ends(story: dict[str, Any]) -> None:
    events, result, error, model, judge = play(story)
    check(events, result, error)
    event("failed" if error else "ended")
    assert result.usage.input_tokens == model.call_count + judge.asked
    assert len(result.attempts) <= story["cap"] + 1
    assert play(story)[0][:-1] == events[:-1]  # Final holds the run, and no two runs are equal
    # What was streamed of the last attempt is its whole text, unless that was an older step's.
    said = "".join(
        [one.delta for one in events if isinstance(one, AssistantText) and one.step == result.steps]
    )
    assert said == result.attempts[-1].text or not said


@settings(max_examples=examples(3))
@given(stories(), st.integers(0, 30), st.booleans())
def test_a_cancel_anywhere_returns_what_there_was(story: dict[str, Any], moment: int, during: bool) -> None:
    faults = Faults(cancel_during=moment) if during else Faults(cancel_after=moment)
    events, result, error, model, judge = play(story, faults)
    if result.stop_reason == "cancelled":
        event("cancelled")
        check_history(result.new_messages)
        judged = [one for one in result.attempts if one.confidence is not None]
        if judged:
            assert result.confidence == max(one.confidence or 0 for one in judged)
        assert (result.usage.input_tokens or 0) <= model.call_count + judge.asked
    else:
        check(events, result, error)


@settings(max_examples=examples(2))
@given(
    st.lists(st.tuples(st.integers(0, 4), st.lists(SCORES, min_size=1, max_size=4)), min_size=1, max_size=4)
)
def test_defect_39_nested_ones_make_one_chain(levels: list[tuple[int, list[float]]]) -> None:
    counter = itertools.count()
    model = Fake(script=lambda request: f"answer {next(counter)}")
    target: Orchestrator[Any] = SingleAgent(model)
    for cap, scores in levels:  # the outermost is the last
        target = SelfCaller(target, Judge(scores), max_depth=cap)
    run = Simulator().stream(target, "go")
    depths = [one.depth for one in run if isinstance(one, Recursion)]
    outermost = levels[-1][0]
    result = run.result
    assert isinstance(result, SelfCallerResult)
    assert model.call_count <= outermost + 1
    assert model.call_count == result.steps == result.depth + 1
    assert depths == sorted(depths) and depths[-1] == result.depth
    check_history(result.new_messages)
    assert [one.text for one in result.new_messages] == ["go", result.text]
