"""G01-G09: a user with a handle. See docs/checklist.md for what was decided otherwise."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tako import InvalidInput, SingleAgent, Steering, SteeringError, SubAgent, Tool, ToolContext, tool
from tako.effects import Flow, Sleep
from tako.events import GuardFired, ModeChanged, StepStart
from tako.models import ImagePart
from tako.providers import Fake
from tako.steering import (
    PLAN,
    Abort,
    Answer,
    ContinuationGuard,
    InterruptOutcome,
    PromptPolicy,
    QuestionSet,
    UserInput,
    ask_user_tool,
)
from tako.testing import Faults, Simulator
from tests.checklist.plays import Asked, Driver, Played, by_task, call, drivers, is_simulated, play


@tool(read_only=True)
def look(at: str = "") -> str:
    return f"seen {at}"


def said(body: Asked) -> list[tuple[str, str]]:
    """Who says what in a request; calls are left out."""
    return [(message["role"], message.get("content") or "") for message in body["messages"]]


def system_of(body: Asked) -> str:
    return "".join(text for role, text in said(body) if role == "system")


@drivers
def test_G01_a_message_queued_during_a_tool_stands_behind_its_result_in_the_next_request(
    driver: Driver,
) -> None:
    steering = Steering()

    @tool
    def slow() -> str:
        steering.queue("also the fins")
        return "finished"

    played = play(
        driver,
        [[call("1", "slow"), call("2", "look")], "done"],
        lambda model: SingleAgent(model, tools=[slow, look]),
        steering=steering,
    )
    assert said(played.asked[0]) == [("user", "go")]
    assert said(played.asked[1])[2:] == [("tool", "finished"), ("tool", "seen "), ("user", "also the fins")]
    assert played.result.undelivered == ()


@drivers
def test_G02_words_for_the_next_turn_are_in_the_next_request_alone(driver: Driver) -> None:
    steering = Steering()

    @tool
    def slow() -> None:
        steering.add_policy(PromptPolicy("brief", "Be brief.", scope="next_turn"))
        steering.queue("hurry")

    played = play(
        driver,
        [[call("1", "slow")], [call("2", "look")], "done"],
        lambda model: SingleAgent(model, system="You fish.", tools=[slow, look]),
        steering=steering,
    )
    assert [system_of(body) for body in played.asked] == ["You fish.", "You fish.\n\nBe brief.", "You fish."]
    assert said(played.asked[1])[-1] == ("user", "hurry")


@drivers
def test_G03_one_interrupted_call_is_a_cancelled_result_and_the_run_goes_on(driver: Driver) -> None:
    steering, outcomes = Steering(), []

    def long() -> Flow[str]:
        yield Sleep(30)
        return "slept"

    def impatient() -> Flow[str]:
        yield Sleep(0.1)
        outcomes.append(steering.interrupt_tool("1"))
        yield Sleep(0.1)
        outcomes.append(steering.interrupt_tool("1"))
        return "done waiting"

    tools = [Tool.from_flow(function, read_only=True) for function in (long, impatient)]
    played = play(
        driver,
        [[call("1", "long"), call("2", "impatient")], "went on"],
        lambda model: SingleAgent(model, tools=tools),
        steering=steering,
    )
    first, second = played.answers
    assert first == ("cancelled: the user interrupted this call", True)
    assert second == ("done waiting", False)
    assert outcomes == [InterruptOutcome.INTERRUPTED, InterruptOutcome.ALREADY_FINISHED]
    assert (played.result.text, played.result.stop_reason, len(played.asked)) == ("went on", "stop", 2)
    assert played.seconds < 10
    if is_simulated(driver):
        assert played.seconds == pytest.approx(0.2)


@drivers
def test_G03_a_call_can_be_interrupted_as_soon_as_it_was_told_of(driver: Driver) -> None:
    steering, outcomes, ran = Steering(), [], []

    @tool
    def change(n: int) -> str:
        ran.append(n)
        return f"changed {n}"

    def take_back(event: Any) -> None:
        if event.kind == "tool_call_pending" and event.id == "1":
            outcomes.append(steering.interrupt_tool("1"))

    played = play(
        driver,
        [[call("1", "change", n=1), call("2", "change", n=2)], "done"],
        lambda model: SingleAgent(model, tools=[change]),
        steering=steering,
        on_event=take_back,
        streaming=True,
    )
    assert outcomes == [InterruptOutcome.INTERRUPTED]
    assert played.answers == [("cancelled: the user interrupted this call", True), ("changed 2", False)]
    assert ran == [2]


@drivers
def test_G04_in_plan_mode_nothing_is_changed_and_reading_works(driver: Driver) -> None:
    ran: list[str] = []

    @tool
    def change() -> None:
        ran.append("change")

    played = play(
        driver,
        [[call("1", "change"), call("2", "look", at="sea")], "a plan"],
        lambda model: SingleAgent(
            model, tools=[change, look], needs_approval="mutating", approval=lambda _: ran.append("asked")
        ),
        steering=Steering(mode="plan"),
    )
    (words, is_error), read = played.answers
    assert "mode 'plan' does not allow tools that change something" in words and is_error
    assert read == ("seen sea", False)
    assert ran == [], "neither run nor asked about"
    assert "plan mode" in system_of(played.asked[0])


@drivers
def test_G04_a_change_of_mode_counts_from_the_next_request_on(driver: Driver) -> None:
    steering, ran = Steering(), []

    @tool
    def change() -> None:
        ran.append("change")
        steering.set_mode(PLAN)

    played = play(
        driver,
        [[call("1", "change"), call("2", "change")], [call("3", "change")], "done"],
        lambda model: SingleAgent(model, tools=[change]),
        steering=steering,
        streaming=True,
    )
    assert [is_error for _, is_error in played.answers] == [False, False, True]
    assert len(ran) == 2
    assert ModeChanged(2, "default", "plan", "operator") in played.events


@drivers
def test_G05_what_cannot_be_queued(driver: Driver) -> None:
    steering, told = Steering(), list[Any]()

    def refused(content: Any, turn_id: str | None = None) -> str | None:
        with pytest.raises(SteeringError) as caught:
            steering.queue(content, turn_id=turn_id)
        return caught.value.code

    @tool
    def meddle(context: ToolContext) -> None:
        assert context.steering is steering
        told.append(refused(""))
        told.append(refused([ImagePart(mime="image/png", data_b64="eA==")]))
        told.append(refused("hello", "turn_of_yesterday"))
        told.append(steering.queue("hello", turn_id=steering.turn_id) == steering.turn_id)

    assert refused("too early") == "no_active_turn"
    played = play(
        driver,
        [[call("1", "meddle")], "done"],
        lambda model: SingleAgent(model, tools=[meddle]),
        steering=steering,
    )
    assert played.answers == [(None, False)]
    assert told == ["empty", "not_text", "turn_mismatch", True]
    assert refused("too late") == "no_active_turn"


@pytest.mark.parametrize("bound", [None, 0, -1, True])
def test_G06_a_guard_without_a_bound_is_refused(bound: Any) -> None:
    with pytest.raises(InvalidInput, match="max_iterations should be a positive whole number"):
        ContinuationGuard("tests", "Go on.", lambda snapshot: "continue", max_iterations=bound)


def guarded(driver: Driver, decide: Any, bound: int = 2) -> Played:
    steering = Steering()
    steering.add_guard(ContinuationGuard("tests", "Are the tests green?", decide, max_iterations=bound))
    return play(
        driver, ["first", "second", "third", "fourth"], SingleAgent, steering=steering, streaming=True
    )


def decisions(played: Played) -> list[str]:
    return [event.decision for event in played.events if isinstance(event, GuardFired)]


@drivers
def test_G06_a_guard_goes_on_until_its_bound(driver: Driver) -> None:
    played = guarded(driver, lambda snapshot: "continue")
    assert [said(body)[-1] for body in played.asked] == [
        ("user", "go"),
        ("user", "Are the tests green?"),
        ("user", "Are the tests green?"),
    ]
    assert decisions(played) == ["continue", "continue", "exhausted"]
    assert (played.result.text, played.result.stop_reason) == ("third", "stop")


@drivers
def test_G06_a_guard_may_be_content_abort_or_fail(driver: Driver) -> None:
    content = guarded(driver, lambda snapshot: "stop" if snapshot.text == "second" else "continue")
    assert (content.result.text, decisions(content)) == ("second", ["continue", "stop"])
    aborted = guarded(driver, lambda snapshot: Abort("it goes round in circles"))
    assert (aborted.result.stop_reason, aborted.result.detail) == ("aborted", "it goes round in circles")
    assert (aborted.result.text, len(aborted.asked)) == ("first", 1)
    failed = guarded(driver, lambda snapshot: 1 / 0)
    assert (failed.result.text, failed.result.stop_reason, decisions(failed)) == ("first", "stop", ["failed"])


@drivers
def test_G07_prompt_policies_stand_by_precedence_and_stay_as_long_as_they_should(driver: Driver) -> None:
    steering = Steering()
    low = steering.add_policy(PromptPolicy("low", "LOW", precedence=1))
    steering.add_policy(PromptPolicy("high", "HIGH", precedence=9))
    steering.add_policy(PromptPolicy("late", "LATE", scope="next_turn", when=lambda now: now.step >= 2))

    @tool
    def drop() -> None:
        steering.remove_policy(low)

    played = play(
        driver,
        [[call("1", "look")], [call("2", "look")], [call("3", "drop")], "done"],
        lambda model: SingleAgent(model, tools=[look, drop]),
        steering=steering,
        streaming=True,
    )
    assert [system_of(body) for body in played.asked] == [
        "HIGH\n\nLOW",
        "HIGH\n\nLOW",
        "HIGH\n\nLOW\n\nLATE",
        "HIGH",
    ]
    told = [(event.kind, event.name) for event in played.events if event.kind.startswith("prompt_policy")]
    assert told[:3] == [("prompt_policy_installed", name) for name in ("low", "high", "late")]
    assert told.count(("prompt_policy_applied", "high")) == 4
    assert told.count(("prompt_policy_applied", "late")) == 1
    assert ("prompt_policy_removed", "low") in told and ("prompt_policy_removed", "late") in told


QUESTIONS = {
    "questions": [
        {"header": "Where", "question": "Which sea?", "options": [{"label": "North"}, {"label": "South"}]}
    ]
}


def asked_user(driver: Driver, steering: Steering | None, **options: Any) -> Any:
    """What the model reads that asked the user something."""
    timeout = options.pop("timeout", None)
    [answer] = play(
        driver,
        [[call("1", "ask_user", **QUESTIONS)], "done"],
        lambda model: SingleAgent(model, tools=[ask_user_tool(timeout=timeout)]),
        steering=steering,
        **options,
    ).answers
    return answer


@drivers
def test_G08_the_user_answers_or_does_not_want_to(driver: Driver) -> None:
    def answering(questions: QuestionSet) -> UserInput:
        assert questions.questions[0].question == "Which sea?"
        return UserInput(status="answered", answers=(Answer(question_index=0, selected_options=(1,)),))

    told, is_error = asked_user(driver, Steering(ask=answering))
    assert told == {"status": "answered", "answers": [{"question": "Which sea?", "selected": ["South"]}]}
    assert not is_error
    told, is_error = asked_user(driver, Steering(ask=lambda questions: None))
    assert (told, is_error) == ({"status": "cancelled", "answers": []}, False)


@drivers
def test_G08_nobody_is_there_to_be_asked(driver: Driver) -> None:
    words, is_error = asked_user(driver, Steering())
    assert "Steering(ask=...)" in words and is_error
    words, is_error = asked_user(driver, None)
    assert "nobody can be asked here" in words and is_error


@drivers
def test_G08_the_user_takes_too_long(driver: Driver) -> None:
    hangs = threading.Event()

    def bridge(questions: QuestionSet) -> None:
        if not is_simulated(driver):
            hangs.wait(10)

    told, is_error = asked_user(driver, Steering(ask=bridge), timeout=0.1, faults=Faults(call_seconds=5))
    hangs.set()
    assert (told, is_error) == ({"status": "timed_out", "answers": []}, False)


@drivers
def test_G08_a_sub_agent_cannot_ask(driver: Driver) -> None:
    asked: list[QuestionSet] = []
    played = play(
        driver,
        by_task(
            go=[[call("1", "agent", prompt="ask")], "done"],
            ask=[[call("2", "ask_user", **QUESTIONS)], "decided myself"],
        ),
        lambda model: SingleAgent(model, tools=[ask_user_tool(), SubAgent()]),
        steering=Steering(ask=asked.append),
    )
    assert said(played.asked[2])[-1][1].startswith(
        "Error: nobody can be asked here: only the outermost agent"
    )
    assert (played.answers, asked) == ([("decided myself", False)], [])


@drivers
def test_G09_each_turn_is_told_of_once_under_a_name_of_its_own(driver: Driver) -> None:
    played = play(
        driver,
        [[call("1", "look")], [call("2", "look")], "done"],
        lambda model: SingleAgent(model, tools=[look]),
        streaming=True,
    )
    started = [event for event in played.events if isinstance(event, StepStart)]
    assert [event.step for event in started] == [1, 2, 3]
    assert len({event.turn_id for event in started}) == 3


def test_G09_also_from_run_to_run() -> None:
    simulator, agent = Simulator(), SingleAgent(Fake("hello"))
    first, second = (next(simulator.stream(agent, "go")) for _ in range(2))
    assert type(first) is type(second) is StepStart
    assert first.turn_id != second.turn_id
