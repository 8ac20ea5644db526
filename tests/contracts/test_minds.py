"""Contracts 2 and 4 to 9 for every orchestrator, in the simulator and on all arms."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.effects import Failed, Succeeded, within
from tako.errors import TakoError
from tako.events import AssistantText, Final, StepStart, SubAgentEvent
from tako.models import ContentPart, Message
from tako.orchestrators.result import RunResult
from tako.testing import Faults, ScriptedVendor, Simulator, check_history, comparable, first_difference
from tests.contracts.drivers import ARMS, SIMULATOR, Driver
from tests.contracts.minds import MINDS, Cast, Make
from tests.effort import examples

HISTORY = [Message.user("Hello"), Message.assistant("Hi.")]
PROMPT = "What is there?"

minds = pytest.mark.parametrize("make", MINDS.values(), ids=MINDS)
arms = pytest.mark.parametrize("driver", ARMS, ids=lambda driver: driver.name)


def observe(
    driver: Driver, make: Make, cast: Cast | None = None, *, streaming: bool = True, **options: Any
) -> Any:
    mind = make(cast or Cast())
    return driver.observe(
        ScriptedVendor([]), lambda url: mind.flow(PROMPT, streaming=streaming, history=HISTORY), **options
    )


def check_result(result: RunResult[Any]) -> None:
    """Contract 4: what came of a run is valid input for the next one."""
    check_history([*HISTORY, *result.new_messages])
    assert result.new_messages[0] == Message.user(PROMPT)


def told(events: list[Any]) -> list[str]:
    """The events, but for what chance has put into them: drivers have each their own."""
    return [re.sub(r"turn_[0-9a-f]{16}_", "turn_", repr(event)) for event in events]


@minds
def test_8_the_arms_agree(make: Make) -> None:
    expected = observe(SIMULATOR, make)
    assert isinstance(expected.outcome, Succeeded), expected.outcome
    for driver in ARMS:
        seen = observe(driver, make)
        assert first_difference(told(expected.events), told(seen.events)) is None, driver.name
        assert comparable(seen.outcome.value) == comparable(expected.outcome.value)


@minds
def test_the_events_of_a_run_end_with_one_final_that_is_the_result(make: Make) -> None:
    seen = observe(SIMULATOR, make)
    result = seen.outcome.value
    assert [event for event in seen.events if type(event) is Final] == seen.events[-1:]
    assert seen.events[-1].result is result
    assert seen.events[-1].text == result.text
    assert result.stop_reason == "stop"
    check_result(result)


@minds
def test_what_is_said_at_the_top_ends_with_the_answer(make: Make) -> None:
    """Whoever prints the assistant's text since the last step has read the answer."""
    said = ""
    seen = observe(SIMULATOR, make)
    for event in seen.events:
        if type(event) is StepStart:
            said = ""
        elif type(event) is AssistantText:
            said += event.delta
    assert said == seen.outcome.value.text != ""


@minds
def test_nobody_listens_and_the_result_is_the_same(make: Make) -> None:
    silent, heard = observe(SIMULATOR, make, streaming=False), observe(SIMULATOR, make)
    assert silent.events == []
    assert comparable(silent.outcome.value) == comparable(heard.outcome.value)


@minds
def test_defect_26_usage_is_that_of_everybody(make: Make) -> None:
    """A call of a model costs one token each way here, so they can be counted."""
    cast = Cast()
    result = observe(SIMULATOR, make, cast).outcome.value
    assert result.usage.input_tokens == result.usage.output_tokens == cast.calls


@minds
def test_5_6_a_cancel_at_any_moment_gives_what_there_is(make: Make) -> None:
    whole = Simulator()
    whole.run(make(Cast(delay_ms=10)).flow(PROMPT, history=HISTORY))

    @settings(max_examples=examples(1))
    @given(moment=st.floats(0, whole.now), streaming=st.booleans(), seed=st.integers(0, 50))
    def holds(moment: float, streaming: bool, seed: int) -> None:
        simulator = Simulator(faults=Faults(cancel_at=moment), seed=seed)
        run = simulator.stream(make(Cast(delay_ms=10)).flow(PROMPT, streaming=streaming, history=HISTORY))
        events = list(run)
        check_result(run.result)
        assert run.result.stop_reason in ("cancelled", "stop")
        assert run.open_exchanges == ()
        if streaming:
            assert type(events[-1]) is Final
            assert events[-1].result is run.result

    holds()


@minds
@arms
def test_6_a_cancel_leaves_nothing_running(make: Make, driver: Driver) -> None:
    before = set(threading.enumerate())
    token = CancellationToken()

    def cancel(event: Any) -> None:
        if type(event) in (StepStart, SubAgentEvent):
            token.cancel()

    seen = observe(driver, make, Cast(delay_ms=5_000), cancel=token, on_event=cancel)
    check_result(seen.outcome.value)
    assert seen.outcome.value.stop_reason == "cancelled"
    for thread in set(threading.enumerate()) - before:
        thread.join(1.0)
        assert not thread.is_alive() or thread.name.startswith("Trio thread"), (
            thread.name
        )  # it waits for work


@minds
def test_9_the_same_replies_give_the_same_run(make: Make) -> None:
    first, second = observe(SIMULATOR, make), observe(SIMULATOR, make)
    assert comparable(first.events) == comparable(second.events)


@minds
def test_5_a_run_that_takes_too_long_says_what_it_had(make: Make) -> None:
    with pytest.raises(TakoError) as caught:
        Simulator().run(within(0.15, make(Cast(delay_ms=100)).flow(PROMPT, history=HISTORY)))
    assert isinstance(caught.value.partial, RunResult)
    check_result(caught.value.partial)


@minds
@pytest.mark.parametrize("calls", [0, 1, 2])
def test_5_a_failure_carries_what_there_was(make: Make, calls: int) -> None:
    """Every model fails after so many calls: a run ends well all the same, or says what it had."""
    cast = Cast(fails_after=calls)
    seen = observe(SIMULATOR, make, cast)
    if isinstance(seen.outcome, Failed):
        error = seen.outcome.error
        assert isinstance(error, TakoError), error
        assert isinstance(error.partial, RunResult)
        check_result(error.partial)
        assert error.usage == error.partial.usage
    else:
        check_result(seen.outcome.value)


@minds
def test_pictures_a_system_prompt_and_an_owner_are_taken(make: Make) -> None:
    picture = Message.user([ContentPart.text("What is this?"), ContentPart.image(b"png", "image/png")])
    options: dict[str, Any] = {"system": "Be brief.", "tenant_id": "t", "user_id": "u"}
    result = Simulator().run(make(Cast()).flow([picture], history=HISTORY, **options))
    assert result.new_messages[0] == picture
