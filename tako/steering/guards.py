"""ContinuationGuard: a function that looks at a turn that is over and says whether the agent is done.

| decision    | who says it                  | what follows                                              |
|-------------|------------------------------|-----------------------------------------------------------|
| "continue"  | `decide`                     | the prompt goes to the model as a user's message          |
| "stop"      | `decide`                     | nothing: this guard has no objection                      |
| "abort"     | `decide` returns Abort       | the run ends with that reason                             |
| "exhausted" | "continue" beyond the bound  | as "stop"                                                 |
| "failed"    | `decide` raises or talks     | as "stop"; the reason is in the event                     |
|             | nonsense                     |                                                           |

Each time a guard is asked there is one GuardFired. Guards are asked in the order in which they were
added; if several want to go on, all their prompts are sent, in that order. An Abort wins over all:
the guards behind it are not asked, and those before it that wanted to go on are told of as "stop".

The bound counts the prompts of one guard in one run. A guard at its bound is still asked, because it
may still abort. `max_steps` bounds the run as ever.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Literal, TypeAlias, get_args

from tako.errors import InvalidInput, SteeringError
from tako.events import GuardFired
from tako.steering.turns import Snapshot, reason_of

__all__ = ["Abort", "ContinuationGuard", "Guards", "Verdict"]

Trigger: TypeAlias = Literal["finish", "turn_end"]


@dataclass(frozen=True, slots=True)
class Abort:
    """End the run, for this reason."""

    reason: str


Decision: TypeAlias = Literal["continue", "stop"] | Abort


@dataclass(frozen=True, slots=True)
class ContinuationGuard:
    """Keeps an agent at work until a function is content, or the bound is reached.

    name            what events call it
    prompt          what the model is told when it should go on
    decide          quick and without side effects; it may be asked more often than it is heeded
    max_iterations  how often in one run the prompt may be sent
    trigger         "finish": asked when the model is done; "turn_end": asked after every turn

    Raises InvalidInput that names the argument.
    """

    name: str
    prompt: str
    decide: Callable[[Snapshot], Decision]
    max_iterations: int
    trigger: Trigger = "finish"

    def __post_init__(self) -> None:
        for argument in ("name", "prompt"):
            value = getattr(self, argument)
            if not isinstance(value, str) or not value.strip():
                raise InvalidInput(f"ContinuationGuard: {argument} should be some text, not {value!r}")
        if not callable(self.decide) or inspect.iscoroutinefunction(self.decide):
            raise InvalidInput("ContinuationGuard: decide should be a plain function of a Snapshot")
        bound = self.max_iterations
        if not isinstance(bound, int) or isinstance(bound, bool) or bound <= 0:
            raise InvalidInput(
                f"ContinuationGuard: max_iterations should be a positive whole number, not {bound!r}: "
                "a guard without a bound could keep the agent at work for ever"
            )
        if self.trigger not in get_args(Trigger):
            raise InvalidInput(
                f'ContinuationGuard: trigger should be "finish" or "turn_end", not {self.trigger!r}'
            )


@dataclass(slots=True)
class Verdict:
    """What all guards together say of one turn."""

    events: list[GuardFired] = field(default_factory=list)
    continuing: list[ContinuationGuard] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)
    """The new counts of those that go on; to be kept by whoever heeds the verdict."""
    abort: str | None = None


class Guards:
    """The guards of a session, by id. Adding and removing are single steps of a dict: see `handle`."""

    __slots__ = ("_guards", "_numbers")

    def __init__(self) -> None:
        self._guards: dict[str, ContinuationGuard] = {}
        self._numbers = count(1)

    def add(self, guard: ContinuationGuard) -> str:
        if not isinstance(guard, ContinuationGuard):
            raise InvalidInput(f"guard should be a ContinuationGuard, not {type(guard).__name__}")
        id = f"guard-{next(self._numbers)}"
        self._guards[id] = guard
        return id

    def remove(self, id: str) -> None:
        if self._guards.pop(id, None) is None:
            raise SteeringError(f"there is no guard {id!r}; it may have been removed", code="not_found")

    def ask(self, snapshot: Snapshot, triggers: tuple[Trigger, ...], iterations: dict[str, int]) -> Verdict:
        """Ask the guards with these triggers; `iterations` says how often each has gone on.

        Runs users' code.
        """
        verdict = Verdict()
        for id in list(self._guards):
            guard = self._guards.get(id)
            if guard is None or guard.trigger not in triggers:
                continue
            done = iterations.get(id, 0)
            decision, reason = _asked(guard, snapshot)
            if decision == "continue" and done >= guard.max_iterations:
                decision, reason = "exhausted", f"its bound of {guard.max_iterations} is reached"
            if decision == "continue":
                done = verdict.counted[id] = done + 1
                verdict.continuing.append(guard)
            verdict.events.append(GuardFired(snapshot.step, guard.name, id, decision, done, reason))
            if decision == "abort":
                verdict.abort = reason
                return _overruled(verdict, guard.name)
        return verdict


def _asked(guard: ContinuationGuard, snapshot: Snapshot) -> tuple[str, str]:
    """The decision and its reason; whatever goes wrong in `decide` is a decision too."""
    try:
        decision: object = guard.decide(snapshot)
    except Exception as error:
        return "failed", reason_of(error)
    if type(decision) is Abort:
        return "abort", str(decision.reason)
    if decision == "continue" or decision == "stop":
        return str(decision), ""
    return "failed", f'decide should return "continue", "stop" or Abort(...), not {type(decision).__name__}'


def _overruled(verdict: Verdict, by: str) -> Verdict:
    """The same verdict, in which nobody goes on: an abort has the last word."""
    for event in verdict.events:
        if event.id in verdict.counted:
            event.decision, event.reason = "stop", f"guard {by!r} aborts the run"
            event.iteration -= 1
    verdict.continuing.clear()
    verdict.counted.clear()
    return verdict
