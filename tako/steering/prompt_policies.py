"""PromptPolicy: words that join the system prompt of requests, for as long as its scope says.

| scope        | applies to                                     | ends                               |
|--------------|------------------------------------------------|------------------------------------|
| "next_turn"  | the next request in which it matches           | with that request, or with the run |
| "every_turn" | each request in which it matches               | with the run                       |
| "persistent" | each request in which it matches, in every run | when it is removed                 |

A policy that was installed between two runs belongs to the next one. It matches if it has no `when`, or
`when` says True. A `when` that raises is no match, and is told of as GuardFired with the decision
"failed" and the policy's name and id; such a policy stays installed.

The highest precedence comes first; equal ones come in the order in which they were installed. A policy
adds words and never alters what tools may do.

Each installing and removing is told of, also that of a "next_turn" policy that was used; only what ends
with the run does so silently, as nobody is left to be told.
"""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from tako.errors import InvalidInput, SteeringError
from tako.events import GuardFired, PromptPolicyApplied, PromptPolicyInstalled, PromptPolicyRemoved
from tako.steering.turns import Snapshot, reason_of

if TYPE_CHECKING:
    from tako.events import OrchEvent

__all__ = ["PromptPolicies", "PromptPolicy"]

Scope: TypeAlias = Literal["next_turn", "every_turn", "persistent"]


@dataclass(frozen=True, slots=True)
class PromptPolicy:
    """Words for the system prompt.

    name        what events call it
    content     the words
    scope       how long it stays
    precedence  the higher, the further in front
    when        whether it applies to the request that is being made; quick and without side effects

    Raises InvalidInput that names the argument.
    """

    name: str
    content: str
    scope: Scope = "every_turn"
    precedence: int = 0
    when: Callable[[Snapshot], bool] | None = None

    def __post_init__(self) -> None:
        for argument in ("name", "content"):
            value = getattr(self, argument)
            if not isinstance(value, str) or not value.strip():
                raise InvalidInput(f"PromptPolicy: {argument} should be some text, not {value!r}")
        if self.scope not in get_args(Scope):
            raise InvalidInput(
                f'PromptPolicy: scope should be "next_turn", "every_turn" or "persistent", not {self.scope!r}'
            )
        if not isinstance(self.precedence, int):
            raise InvalidInput(f"PromptPolicy: precedence should be a whole number, not {self.precedence!r}")
        if self.when is not None and (not callable(self.when) or inspect.iscoroutinefunction(self.when)):
            raise InvalidInput("PromptPolicy: when should be a plain function of a Snapshot, or None")


class PromptPolicies:
    """The policies of a session, by id. What is done to the dict are single steps: see `handle`.

    `notices` takes the events of what users do. Installed is written before the policy can be seen, and
    Removed after it is gone, so that nobody reads Applied outside of the two.
    """

    __slots__ = ("_notices", "_numbers", "_policies")

    def __init__(self, notices: deque[OrchEvent]) -> None:
        self._policies: dict[str, PromptPolicy] = {}
        self._numbers = count(1)
        self._notices = notices

    def add(self, policy: PromptPolicy) -> str:
        if not isinstance(policy, PromptPolicy):
            raise InvalidInput(f"policy should be a PromptPolicy, not {type(policy).__name__}")
        id = f"policy-{next(self._numbers)}"
        self._notices.append(PromptPolicyInstalled(id, policy.name, policy.scope, policy.precedence))
        self._policies[id] = policy
        return id

    def remove(self, id: str) -> None:
        policy = self._policies.pop(id, None)
        if policy is None:
            raise SteeringError(
                f"there is no prompt policy {id!r}; it may have been used up or removed", code="not_found"
            )
        self._notices.append(PromptPolicyRemoved(id, policy.name))

    def pick(self, step: int, snapshot: Snapshot) -> tuple[list[str], list[OrchEvent]]:
        """The words that apply to this request, in their order, and what there is to tell.

        Runs users' code. Taking a "next_turn" policy out is what entitles to use it: one that was
        removed a moment ago, by its owner, is not used.
        """
        contents: list[str] = []
        events: list[OrchEvent] = []
        for id, policy in self._in_order():
            applies, failure = _asked(policy, snapshot)
            if failure:
                events.append(GuardFired(step, policy.name, id, "failed", 0, failure))
            if not applies:
                continue
            used_up = policy.scope == "next_turn"
            if used_up and self._policies.pop(id, None) is None:
                continue
            contents.append(policy.content)
            events.append(PromptPolicyApplied(step, id, policy.name, policy.scope, policy.precedence))
            if used_up:
                events.append(PromptPolicyRemoved(id, policy.name))
        return contents, events

    def end_run(self) -> None:
        """Drop what ends with the run."""
        for id, policy in self._in_order():
            if policy.scope != "persistent":
                self._policies.pop(id, None)

    def _in_order(self) -> list[tuple[str, PromptPolicy]]:
        found = [(id, self._policies.get(id)) for id in list(self._policies)]
        present = [(id, policy) for id, policy in found if policy is not None]
        return sorted(present, key=lambda entry: -entry[1].precedence)


def _asked(policy: PromptPolicy, snapshot: Snapshot) -> tuple[bool, str]:
    """Whether the policy matches, and what went wrong when it was asked."""
    if policy.when is None:
        return True, ""
    try:
        return bool(policy.when(snapshot)), ""
    except Exception as error:
        return False, reason_of(error)
