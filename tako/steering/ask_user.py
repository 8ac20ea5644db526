"""The tool with which a model asks the user.

It is a flow: the questions go over the bridge of the run's handle, and whoever reads the run's events
sees UserAsked and UserAnswered as they happen. The model reads labels, not indexes.
"""

from __future__ import annotations

from typing import Any

from tako.effects import Emit, Flow
from tako.errors import InvalidInput, SteeringError
from tako.events import UserAnswered, UserAsked
from tako.steering.questions import Bridge, Question, QuestionSet, UserInput, asking, ready_to_ask
from tako.tools.context import ToolContext
from tako.tools.output import ToolOutput
from tako.tools.tool import Tool

__all__ = ["ask_user_tool"]


def ask_user_tool(*, timeout: float | None = None) -> Tool:
    """A tool called `ask_user`; give it to the outermost agent, and run that with a Steering.

    `timeout` is how many seconds the user has to answer. A sub-agent's call, a handle without a bridge, and
    a bridge that fails are error results.
    """

    def ask_user(questions: list[Question], context: ToolContext) -> Flow[Any]:
        """Ask the user one or more questions and wait for the answers.

        Use it when a decision is the user's to take and cannot be found out otherwise.

        Args:
            questions: What to ask, all at once. Each may offer options to choose from.
        """
        steering = context.steering
        if steering is None:
            return ToolOutput.error(
                "nobody can be asked here: only the outermost agent with a Steering can ask; "
                "decide yourself, and say in your answer what you assumed"
            )
        try:
            asked = QuestionSet(questions=tuple(questions))
            bridge = ready_to_ask(steering.bridge, asked, timeout)
            return (yield from _ask(bridge, asked, timeout, context))
        except (SteeringError, InvalidInput) as error:
            return ToolOutput.error(f"the user could not be asked: {error.message}")

    return Tool.from_flow(ask_user, read_only=True)


def _ask(bridge: Bridge, questions: QuestionSet, timeout: float | None, context: ToolContext) -> Flow[Any]:
    if context.show is not None:
        yield Emit((UserAsked(questions),))
    said = yield from asking(bridge, questions, timeout)
    if context.show is not None:
        yield Emit((UserAnswered(said),))
    return _for_model(questions, said)


def _for_model(questions: QuestionSet, said: UserInput) -> dict[str, Any]:
    """The answers with the words of the questions, so that the model need not count."""
    answers = []
    for answer in said.answers:
        question = questions.questions[answer.question_index]
        found: dict[str, Any] = {"question": question.question}
        if answer.selected_options:
            found["selected"] = [question.options[index].label for index in answer.selected_options]
        if answer.text is not None:
            found["text"] = answer.text
        answers.append(found)
    return {"status": said.status, "answers": answers}
