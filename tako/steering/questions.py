"""Questions for a person, their answers, and the flow that gets the one for the other.

Questions reach a person over a bridge: a function of a QuestionSet, plain or async, that shows them and
returns a UserInput. What can come of it:

| the bridge                  | `asking` gives                                           |
|-----------------------------|----------------------------------------------------------|
| returns a UserInput         | that, once its answers were checked against the questions |
| returns None                | UserInput("cancelled")                                   |
| takes longer than `timeout` | UserInput("timed_out"); the bridge is cut short          |
| raises                      | SteeringError "bridge_failed", with the cause            |
| returns something else      | SteeringError "bad_answer"                               |
| is not there                | SteeringError "no_bridge"                                |

A question may be left without an answer. An answer may be text of the person's own, with or without an
option. A plain function that blocks and is cut short is left behind on its thread, as any call: a bridge
with a timeout is better async. Two tools may ask at a time: a bridge that has one screen takes turns.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, Self, TypeAlias

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tako.effects import Flow, call, within
from tako.errors import Cancelled, InvalidInput, SteeringError, TimedOut
from tako.parts import Value

__all__ = [
    "Answer",
    "Bridge",
    "Question",
    "QuestionOption",
    "QuestionSet",
    "UserInput",
    "asking",
    "ready_to_ask",
]


class QuestionOption(Value):
    """One of the answers to choose from."""

    label: str = Field(min_length=1)
    description: str | None = None


class Question(Value):
    """Something to ask a person.

    header        a word or two, for a tab or a list
    question      the question
    options       answers to choose from; none means that the person writes
    multi_select  whether several may be chosen
    """

    header: str = Field(min_length=1)
    question: str = Field(min_length=1)
    options: tuple[QuestionOption, ...] = ()
    multi_select: bool = False


class QuestionSet(Value):
    """Questions that are asked together."""

    questions: tuple[Question, ...] = Field(min_length=1)


class Answer(Value):
    """The answer to one question: the indexes of the options chosen, or text, or both."""

    question_index: int
    selected_options: tuple[int, ...] = ()
    text: str | None = None


class UserInput(Value):
    """What has come of asking. Only "answered" has answers."""

    status: Literal["answered", "cancelled", "timed_out"]
    answers: tuple[Answer, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.answers and self.status != "answered":
            raise PydanticCustomError("answers", 'only status "answered" goes with answers')
        return self


Bridge: TypeAlias = Callable[[QuestionSet], UserInput | Awaitable[UserInput | None] | None]
"""Shows questions to a person and returns what they say; None if they would not answer."""


def ready_to_ask(bridge: Bridge | None, questions: QuestionSet, timeout: float | None) -> Bridge:
    """The bridge, if there is one and the rest is right; raises SteeringError "no_bridge", InvalidInput."""
    if type(questions) is not QuestionSet:
        raise InvalidInput(f"questions should be a QuestionSet, not {type(questions).__name__}")
    if timeout is not None and (
        not isinstance(timeout, int | float) or isinstance(timeout, bool) or not timeout > 0
    ):
        raise InvalidInput(f"timeout should be a positive number of seconds, not {timeout!r}")
    if bridge is None:
        raise SteeringError(
            "nobody can be asked: give the function that shows questions as Steering(ask=...)",
            code="no_bridge",
        )
    return bridge


def asking(bridge: Bridge, questions: QuestionSet, timeout: float | None) -> Flow[UserInput]:
    """Ask over the bridge; raises SteeringError "bridge_failed" or "bad_answer"."""
    try:
        said = yield from within(timeout, _over(bridge, questions))
    except TimedOut:
        return UserInput(status="timed_out")
    if said is None:
        return UserInput(status="cancelled")
    if not isinstance(said, UserInput):
        raise _bad_answer(f"it should be a UserInput or None, not {type(said).__name__}")
    answered = set[int]()
    for answer in said.answers:
        index = answer.question_index
        if not 0 <= index < len(questions.questions):
            raise _bad_answer(
                f"there is no question {index}; there are {len(questions.questions)}, from 0 on"
            )
        if index in answered:
            raise _bad_answer(f"question {index} is answered twice")
        answered.add(index)
        problem = _problem(questions.questions[index], answer)
        if problem:
            raise _bad_answer(f"question {index}: {problem}")
    return said


def _over(bridge: Bridge, questions: QuestionSet) -> Flow[object]:
    """What the bridge returns; what it raises is not to be taken for an error of ours."""
    try:
        return (yield from call(bridge, questions))
    except Cancelled:
        raise
    except Exception as error:
        raise SteeringError(
            f"the questions did not reach the user: the bridge raised {type(error).__name__}: {error}",
            code="bridge_failed",
        ) from error


def _bad_answer(problem: str) -> SteeringError:
    return SteeringError(f"the bridge's answer does not fit the questions: {problem}", code="bad_answer")


def _problem(question: Question, answer: Answer) -> str | None:
    """What is wrong with an answer; None if nothing is."""
    chosen = answer.selected_options
    for option in chosen:
        if not 0 <= option < len(question.options):
            return f"there is no option {option}; it has {len(question.options)}, counted from 0"
    if len(set(chosen)) < len(chosen):
        return "an option is chosen twice"
    if len(chosen) > 1 and not question.multi_select:
        return f"only one option may be chosen, not {len(chosen)}"
    if not chosen and answer.text is None and not question.multi_select:
        return "neither an option is chosen nor text given; leave the answer out instead"
    return None
