"""Graders: what says whether an answer to a task has passed.

| grader    | passes                                                          | score                   |
|-----------|-----------------------------------------------------------------|-------------------------|
| Expected  | what the task expects holds; a task with a patch is tested      | 1 or 0                  |
| Verified  | a verifier's score is at least the mark                         | the verifier's          |

Wherever a grader is wanted, a Verifier, or a function of (task, output), does as well: `grader_of`. What a
function gives is read as that of a verifier is, or is a Grade.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final

from pydantic import Field

from tako.effects import Call, Flow
from tako.errors import InvalidInput
from tako.eval.patches import grade_patch_here
from tako.eval.task import Task
from tako.models import NOT_COUNTED, Usage, Value
from tako.verifiers import Candidate, Score, Verifier, verifier_of
from tako.verifiers.function import score_of

__all__ = ["Expected", "Grade", "Grader", "Verified", "grader_of"]

PASSING: Final = 0.5
"""The score from which on an answer has passed, unless somebody says otherwise."""


class Grade(Value):
    """What a grader says of an answer."""

    called: ClassVar[str | None] = "Grade"

    passed: bool
    score: float = Field(ge=0, le=1)
    reason: str = ""
    usage: Usage = NOT_COUNTED
    cost_usd: float | None = None


class Grader(ABC):
    """Write `grade_flow`."""

    @abstractmethod
    def grade_flow(self, task: Task, output: str) -> Flow[Grade]:
        """Grade an answer; raises a TakoError where that cannot be done."""


class Expected(Grader):
    """By what the task says itself."""

    def grade_flow(self, task: Task, output: str) -> Flow[Grade]:
        if task.verify_patch is None:
            passed, log = task.passes(output), ""
        else:
            passed, log = yield Call(grade_patch_here, (task.verify_patch, output), token_argument="token")
        return Grade(passed=passed, score=float(passed), reason=log)


class Verified(Grader):
    """By a verifier, or a function that is one, and a mark from which on an answer has passed."""

    def __init__(self, verifier: Verifier | Callable[..., Any], *, passing_score: float = PASSING) -> None:
        """Raises InvalidInput that names the argument."""
        if (
            isinstance(passing_score, bool)
            or not isinstance(passing_score, int | float)
            or not 0 <= passing_score <= 1
        ):
            raise InvalidInput(f"passing_score should be a number from 0 to 1, not {passing_score!r}")
        self._verifier = verifier_of(verifier)
        self._mark = passing_score

    def grade_flow(self, task: Task, output: str) -> Flow[Grade]:
        score = yield from self._verifier.score_flow(Candidate(task.prompt, output))
        return _graded(score, self._mark)


class _ByFunction(Grader):
    def __init__(self, function: Callable[[Task, str], Any]) -> None:
        self._function = function

    def grade_flow(self, task: Task, output: str) -> Flow[Grade]:
        said = yield Call(self._function, (task, output))
        return said if isinstance(said, Grade) else _graded(score_of(said, "the grader"), PASSING)


def _graded(score: Score, mark: float) -> Grade:
    return Grade(
        passed=score.value >= mark,
        score=score.value,
        reason=score.reason,
        usage=score.usage,
        cost_usd=score.cost_usd,
    )


def grader_of(value: object, argument: str = "grader") -> Grader:
    """The grader itself, or one made of a verifier or a function; raises InvalidInput."""
    if value is None:
        return Expected()
    if isinstance(value, Grader):
        return value
    if isinstance(value, Verifier):
        return Verified(value)
    if isinstance(value, type) or not callable(value):
        what = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        raise InvalidInput(
            f"{argument} should be a Grader, a Verifier or a function of (task, output), not {what}"
        )
    try:
        inspect.signature(value).bind(None, "")
    except TypeError as error:
        raise InvalidInput(f"{argument} should be a function of (task, output): {error}") from None
    except ValueError:  # some built-in functions do not tell
        pass
    return _ByFunction(value)
