"""Attempting: one attempt at a task: the agent is asked, its answer is graded, and what that took is booked.

| the agent                        | the attempt                                                     |
|----------------------------------|-----------------------------------------------------------------|
| answers, wholly or cut off       | is graded; its `stop_reason` says how the answer ended          |
| waits for a decision or a result | has no answer: the `error` says what it waits for               |
| fails                            | has its `error`, and what was used until then                   |
| answers, and the grader fails    | has the answer and the `error`, and what both have used         |
| is cancelled                     | is none: Cancelled is raised                                    |

With journals each attempt has one of its own. It keeps what the agent did, the grade and the times; so an
evaluation that was killed goes on where it was, and what routers chose can be learned from: the grade stands
there as the score. An attempt that failed is made again, from where it failed. The time of one that was gone
on with has the break in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final, Protocol, TypeAlias

from tako.effects import Call, Flow, Now
from tako.effects import Task as Work
from tako.errors import Cancelled, InvalidInput, TakoError
from tako.eval.graders import Grade, Grader
from tako.eval.report import Attempt
from tako.eval.task import Task
from tako.models import NOT_COUNTED, Usage
from tako.orchestrators.base import Orchestrator
from tako.orchestrators.ledger import Ledger
from tako.orchestrators.nesting import answered, run_of
from tako.orchestrators.place import TOP, Place
from tako.orchestrators.result import RunResult
from tako.providers.base import Provider

__all__ = ["Attempting", "RunFn", "Runner", "agent_of", "failed_attempt", "journal_name"]

RunFn: TypeAlias = Callable[[str], Any | Awaitable[Any]]
"""What can be evaluated besides an orchestrator: a function from a prompt to text, or to a result."""


class Runner(Protocol):
    """An agent of another library: whatever has such a method."""

    def run(self, prompt: str, /) -> Any | Awaitable[Any]:
        """Answer with text, or with a result that has `text`."""
        ...


JOURNALLED: Final = replace(TOP, is_journalled=True)
LONGEST_NAME: Final = 60


def agent_of(value: object) -> Orchestrator[Any] | RunFn:
    """Whom to ask: an orchestrator, an agent on a provider, a function, or the `run` of anything else.

    Raises InvalidInput.
    """
    if isinstance(value, Orchestrator | Provider):
        return run_of(value, argument="orch")
    if isinstance(value, type):
        raise InvalidInput(f"orch should be an agent and not its class: write {value.__name__}(...)")
    run = value if callable(value) else getattr(value, "run", None)
    if not callable(run):
        raise InvalidInput(
            "orch should be an orchestrator, a provider, a function of a prompt, or have a method `run`, not "
            f"{type(value).__name__}"
        )
    return run


class Attempting:
    """What makes attempts: an agent, a grader, and the folder of the journals if there are any."""

    __slots__ = ("_agent", "_grader", "_journals")

    def __init__(self, agent: Orchestrator[Any] | RunFn, grader: Grader, journals: str | None) -> None:
        self._agent = agent
        self._grader = grader
        self._journals = journals

    def flow(self, task: Task, number: int) -> Flow[Attempt]:
        """Ask once, and grade the answer; only a cancel is raised."""
        started = yield Now()
        try:
            if self._journals is None:
                return (yield from self._made(task, number, TOP))
            from tako.journal import Journal, kept_in  # most evaluations keep none

            journal = Journal(f"{self._journals}/{journal_name(task.id, number)}")
            attempt: Attempt = yield from kept_in(journal, lambda: self._made(task, number, JOURNALLED))
            return attempt
        except Cancelled:
            raise
        except _NotGraded as failure:
            return failure.attempt
        except Exception as error:
            ended = yield Now()
            return failed_attempt(task, number, error, (ended - started) * 1000)

    def _made(self, task: Task, number: int, place: Place) -> Flow[Attempt]:
        """The attempt; raises whatever fails, so that a journal does not keep it as done."""
        started = yield Now()
        told = _told((yield from self._ask(task, place)))
        ended = yield Now()
        told |= {"task_id": task.id, "number": number, "elapsed_ms": (ended - started) * 1000}
        try:
            flow = self._grader.grade_flow(task, told["text"])
            grade = yield from place.kept(flow, _grading(task, told["text"]))
        except Cancelled:
            raise
        except Exception as error:
            raise _NotGraded(told, error) from error
        graded = yield Now()
        told["usage"] += grade.usage
        told["cost_usd"] = _sum(told["cost_usd"], grade.usage, grade.cost_usd)
        return Attempt(
            **told,
            passed=grade.passed,
            score=grade.score,
            reason=grade.reason,
            grading_ms=(graded - ended) * 1000,
        )

    def _ask(self, task: Task, place: Place) -> Flow[Any]:
        if isinstance(self._agent, Orchestrator):
            options = {} if task.max_tokens is None else {"max_tokens": task.max_tokens}
            return (yield from self._agent.perform(task.prompt, place, **options))
        return (yield Call(self._agent, (task.prompt,)))


class _NotGraded(Exception):
    """There is an answer, and the grader has failed."""

    def __init__(self, told: dict[str, Any], error: Exception) -> None:
        super().__init__()
        usage, cost = _used(error)
        told["usage"] += usage
        told["cost_usd"] = _sum(told["cost_usd"], usage, cost)
        self.attempt = Attempt(**told, error=f"the grader failed ({_words(error)})")


def failed_attempt(task: Task, number: int, error: Exception, elapsed_ms: float = 0.0) -> Attempt:
    """What is known of an attempt that gave no answer."""
    partial = getattr(error, "partial", None)
    usage, cost = _used(error)
    told: dict[str, Any] = {"stop_reason": "error"}
    if isinstance(partial, RunResult):
        told = {"text": partial.text, "steps": partial.steps, "stop_reason": partial.stop_reason}
    return Attempt(
        task_id=task.id,
        number=number,
        elapsed_ms=elapsed_ms,
        usage=usage,
        cost_usd=cost,
        error=_words(error),
        **told,
    )


def _told(result: Any) -> dict[str, Any]:
    """What the agent gave; raises Cancelled, ToolError if it waits, InvalidInput if that is no answer."""
    if isinstance(result, RunResult):
        answered("the agent", result)
        names = ("text", "steps", "usage", "cost_usd", "stop_reason")
        return {name: getattr(result, name) for name in names}
    text = result if isinstance(result, str) else getattr(result, "text", None)
    if not isinstance(text, str):
        raise InvalidInput(f"orch gave {type(result).__name__}; it should give text, or a result with `text`")
    usage = getattr(result, "usage", None)
    return {"text": text, "usage": usage if isinstance(usage, Usage) else NOT_COUNTED, "cost_usd": None}


def _grading(task: Task, text: str) -> Work:
    """What a journal is told of a grade: a score, which training can read."""
    expected = {"expected_substring", "expected_regex", "verify_patch"}

    def about() -> Any:
        return {"task": task.prompt, "text": text, **task.model_dump(mode="json", include=expected)}

    def encode(grade: Grade) -> Any:
        return {"value": grade.score, "grade": grade.model_dump(mode="json")}

    return Work("score", about, encode, lambda kept: Grade.model_validate(kept["grade"]))


def _used(error: Exception) -> tuple[Usage, float | None]:
    """What a failure says that was used, and its price; nothing used costs nothing."""
    if not isinstance(error, TakoError):
        return NOT_COUNTED, None
    ledger = Ledger()
    ledger.add_failure(error)
    return ledger.usage, ledger.cost_usd


def _sum(cost: float | None, usage: Usage, more: float | None) -> float | None:
    """What answer and grade have cost; None if a part of it is not known."""
    if usage == NOT_COUNTED and more is None:
        return cost
    return None if cost is None or more is None else cost + more


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def journal_name(task_id: str, number: int) -> str:
    """The file of an attempt: readable as far as a file system takes it, and never that of another task."""
    plain = "".join([letter if letter.isascii() and letter.isalnum() else "-" for letter in task_id])
    return f"{plain[:LONGEST_NAME]}-{sha256(task_id.encode()).hexdigest()[:12]}-{number + 1}.jsonl"
