"""Asking the user: the values, the bridge and all that can come of it, and the tool."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.errors import Cancelled, InvalidInput, SteeringError, TimedOut
from tako.events import UserAnswered, UserAsked
from tako.models import Principal
from tako.steering import Answer, Question, QuestionOption, QuestionSet, Steering, UserInput, ask_user_tool
from tako.testing import Faults, Simulator
from tako.tools import ToolContext, ToolOutput
from tests.steering.kit import Agent

COLOURS = tuple(QuestionOption(label=label) for label in ("red", "green", "blue"))
QUESTIONS = QuestionSet(
    questions=(
        Question(header="colour", question="Which colour?", options=COLOURS),
        Question(header="more", question="Which others?", options=COLOURS, multi_select=True),
        Question(header="name", question="Which name?"),
    )
)
ANSWERED = UserInput(
    status="answered",
    answers=(
        Answer(question_index=0, selected_options=(1,)),
        Answer(question_index=1, selected_options=(0, 2), text="and pink"),
        Answer(question_index=2, text="Tako"),
    ),
)


def ask(bridge: Any, *, timeout: float | None = None, simulator: Simulator | None = None) -> UserInput:
    steering = Steering(ask=bridge)
    return (simulator or Simulator()).run(steering.ask_flow(QUESTIONS, timeout))


def code_of(bridge: Any) -> str | None:
    with pytest.raises(SteeringError) as caught:
        ask(bridge)
    return caught.value.code


async def waits(questions: QuestionSet) -> UserInput:
    return ANSWERED


async def for_ever(questions: QuestionSet) -> UserInput:
    await trio.sleep_forever()
    return ANSWERED


def test_G08_answered_by_a_plain_bridge_and_by_an_async_one() -> None:
    seen: list[QuestionSet] = []
    assert ask(lambda questions: seen.append(questions) or ANSWERED) == ANSWERED  # type: ignore[func-returns-value]
    assert seen == [QUESTIONS]
    assert ask(waits) == ANSWERED


def test_G08_no_bridge() -> None:
    assert code_of(None) == "no_bridge"


def test_G08_cancelled_by_the_user() -> None:
    assert ask(lambda questions: None) == UserInput(status="cancelled")


def test_G08_timed_out() -> None:
    simulator = Simulator(faults=Faults(call_seconds=60))
    assert ask(lambda questions: ANSWERED, timeout=5, simulator=simulator) == UserInput(status="timed_out")
    assert simulator.now < 6
    assert ask(lambda questions: ANSWERED, timeout=61, simulator=simulator) == ANSWERED


@pytest.mark.parametrize("error", [OSError("line is dead"), TimedOut("mine"), InvalidInput("mine")])
def test_G08_a_bridge_that_raises_is_the_cause(error: Exception) -> None:
    def bridge(questions: QuestionSet) -> UserInput:
        raise error

    with pytest.raises(SteeringError, match="did not reach the user") as caught:
        ask(bridge, timeout=5)
    assert caught.value.code == "bridge_failed"
    assert caught.value.__cause__ is error


def test_a_cancel_of_who_asks_is_no_answer() -> None:
    cancel = CancellationToken()

    def bridge(questions: QuestionSet) -> UserInput:
        cancel.cancel()
        raise Cancelled

    with pytest.raises(Cancelled):
        Simulator().run(Steering(ask=bridge).ask_flow(QUESTIONS), cancel=cancel)


@pytest.mark.parametrize(
    "answer",
    [
        {"question_index": 3},
        {"question_index": -1},
        {"question_index": 0, "selected_options": (3,)},
        {"question_index": 0, "selected_options": (-1,)},
        {"question_index": 0, "selected_options": (0, 1)},
        {"question_index": 1, "selected_options": (0, 0)},
        {"question_index": 2, "selected_options": (0,)},
        {"question_index": 0},
        {"question_index": 2},
    ],
)
def test_G08_an_answer_that_does_not_fit_is_an_error(answer: Any) -> None:
    said = UserInput(status="answered", answers=(Answer(**answer),))
    assert code_of(lambda questions: said) == "bad_answer"


@pytest.mark.parametrize("said", ["yes", {"status": "answered"}, True])
def test_so_is_one_of_another_type(said: Any) -> None:
    assert code_of(lambda questions: said) == "bad_answer"


def test_one_question_is_answered_once_and_others_may_be_left_out() -> None:
    one = Answer(question_index=1)
    assert ask(lambda questions: UserInput(status="answered", answers=(one,))).answers == (one,)
    assert ask(lambda questions: UserInput(status="answered")).answers == ()
    assert code_of(lambda questions: UserInput(status="answered", answers=(one, one))) == "bad_answer"


@pytest.mark.parametrize("timeout", [0, -1, True, "5"])
def test_a_timeout_is_a_positive_number(timeout: Any) -> None:
    with pytest.raises(InvalidInput, match="timeout"):
        ask(waits, timeout=timeout)
    with pytest.raises(InvalidInput, match="QuestionSet"):
        Simulator().run(Steering(ask=waits).ask_flow("what?"))  # type: ignore[arg-type]


def test_G08_all_three_ways_to_ask() -> None:
    assert Steering(ask=waits).ask_sync(QUESTIONS, 5) == ANSWERED
    assert asyncio.run(Steering(ask=waits).ask(QUESTIONS, 5)) == ANSWERED
    assert trio.run(Steering(ask=waits).ask, QUESTIONS, 5) == ANSWERED
    assert trio.run(Steering(ask=for_ever).ask, QUESTIONS, 0.02) == UserInput(status="timed_out")
    cancel = CancellationToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        Steering(ask=waits).ask_sync(QUESTIONS, cancel=cancel)


def test_a_run_is_told_at_its_next_boundary() -> None:
    steering = Steering(ask=waits)
    Simulator().run(steering.ask_flow(QUESTIONS))
    agent = Agent(steering).begin_run()
    assert agent.begin_turn().events == ()
    Simulator().run(steering.ask_flow(QUESTIONS))
    assert agent.end_turn().events == (UserAsked(QUESTIONS), UserAnswered(ANSWERED))


def test_values_say_what_is_wrong() -> None:
    with pytest.raises(InvalidInput, match="QuestionSet: questions"):
        QuestionSet(questions=())
    with pytest.raises(InvalidInput, match="Question: header"):
        Question(header="", question="what?")
    with pytest.raises(InvalidInput, match='only status "answered"'):
        UserInput(status="cancelled", answers=(Answer(question_index=0),))


labels = st.text(min_size=1, max_size=5)
questions = st.builds(
    Question,
    header=labels,
    question=labels,
    options=st.lists(st.builds(QuestionOption, label=labels, description=st.none() | labels), max_size=3),
    multi_select=st.booleans(),
)
answers = st.builds(
    Answer,
    question_index=st.integers(0, 9),
    selected_options=st.lists(st.integers(0, 9), max_size=3),
    text=st.none() | labels,
)


@given(
    st.builds(QuestionSet, questions=st.lists(questions, min_size=1, max_size=3)),
    st.builds(UserInput, status=st.just("answered"), answers=st.lists(answers, max_size=3)),
)
def test_values_survive_json(asked: QuestionSet, said: UserInput) -> None:
    assert QuestionSet.model_validate_json(asked.model_dump_json()) == asked
    assert UserInput.model_validate_json(said.model_dump_json()) == said


# The tool


def context(steering: Steering | None, *, seen: bool = False) -> ToolContext:
    return ToolContext(
        call_id="1",
        tool_name="ask_user",
        step=1,
        run_id="run",
        principal=Principal(),
        steering=steering,
        show=(lambda item: [item]) if seen else None,
    )


def invoked(steering: Steering | None, questions: Any, **options: Any) -> Any:
    tool = ask_user_tool(**options)
    simulator = Simulator(faults=Faults(call_seconds=1))
    return simulator.run(tool.invoke({"questions": questions}, lambda: context(steering)))


def test_G08_a_model_asks_and_reads_words() -> None:
    tool = ask_user_tool()
    assert (tool.name, tool.tool_class) == ("ask_user", "read_only")
    assert set(tool.schema.input_schema["properties"]) == {"questions"}
    dumped = QUESTIONS.model_dump(mode="json")["questions"]
    assert invoked(Steering(ask=waits), dumped) == {
        "status": "answered",
        "answers": [
            {"question": "Which colour?", "selected": ["green"]},
            {"question": "Which others?", "selected": ["red", "blue"], "text": "and pink"},
            {"question": "Which name?", "text": "Tako"},
        ],
    }


def test_who_reads_the_events_sees_the_question_at_once() -> None:
    steering = Steering(ask=waits)
    agent = Agent(steering).begin_run()
    dumped = QUESTIONS.model_dump(mode="json")["questions"]
    for seen, expected in ((True, [UserAsked(QUESTIONS), UserAnswered(ANSWERED)]), (False, [])):
        flow = ask_user_tool().invoke({"questions": dumped}, lambda: context(steering, seen=seen))  # noqa: B023
        assert list(Simulator().stream(flow)) == expected
    assert agent.begin_turn().events == ()


def test_G08_a_model_that_cannot_ask_is_told() -> None:
    question = [{"header": "h", "question": "q"}]
    refused = invoked(None, question)
    assert isinstance(refused, ToolOutput)
    assert refused.is_error
    assert "only the outermost agent with a Steering can ask" in refused.value
    for steering, asked, words in (
        (Steering(), question, "nobody can be asked"),
        (Steering(ask=lambda questions: 1 / 0), question, "ZeroDivisionError"),  # type: ignore[arg-type, return-value]
        (Steering(ask=lambda questions: ANSWERED), question, "does not fit"),
        (Steering(ask=waits), [], "QuestionSet: questions"),
    ):
        output = invoked(steering, asked)
        assert output.is_error
        assert words in output.value


def test_G08_a_model_reads_that_nobody_has_answered() -> None:
    question = [{"header": "h", "question": "q"}]
    assert invoked(Steering(ask=lambda questions: None), question) == {"status": "cancelled", "answers": []}
    timed_out = invoked(Steering(ask=lambda questions: None), question, timeout=0.5)
    assert timed_out == {"status": "timed_out", "answers": []}
