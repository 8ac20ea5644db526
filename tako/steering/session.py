"""Session: what a handle keeps from run to run, shared by its users and by its runs.

Why there is no lock. A lock is held when a signal handler interrupts its holder, and waits for itself for
ever. All shared state is changed by single indivisible steps of dict and deque instead:

| state             | written by | the step                       | if two come at a time                 |
|-------------------|------------|--------------------------------|---------------------------------------|
| the active run    | runs       | `setdefault`, `pop` of one key | one run begins, the other is "busy"   |
| closed            | users      | one field, never set back      | `close` looks for a run after it has  |
|                   |            |                                | written, `begin` looks after it has   |
|                   |            |                                | begun: one of them sees the other     |
| the mode wanted   | users      | `append` to a deque of one     | the last one counts                   |
| the mode proposed | tools      | `setdefault`, `pop` of one key | one waits, one confirmation gets it   |
| the mode in force | the run    | one field                      | readers see the one or the other      |
| policies, guards  | users      | keys of a dict, copied to read | counts from this turn or from the next |
| notices           | all        | `append`, `popleft`            | each is told once                     |
| the inbox         | all        | see `inbox`                    |                                       |
| turns and calls   | all        | see `interrupts`, `steered_run` |                                      |
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from tako.events import ModeChanged
from tako.steering.guards import Guards
from tako.steering.prompt_policies import PromptPolicies

if TYPE_CHECKING:
    from tako.events import OrchEvent
    from tako.steering.modes import Mode
    from tako.steering.steered_run import SteeredRun

__all__ = ["NOTICE_LIMIT", "PAST_LIMIT", "Session"]

NOTICE_LIMIT = 1000
"""Events that wait to be told; beyond it the oldest are forgotten. What they tell of has happened anyway."""
PAST_LIMIT = 1000
"""Names of turns and of calls that a handle remembers after they have ended."""


class Session:
    """The state of a handle."""

    __slots__ = (
        "closed", "guards", "mode", "notices", "past_calls", "past_turns", "policies", "proposed", "runs",
        "wanted",
    )  # fmt: skip

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self.wanted: deque[tuple[Mode, str]] = deque(maxlen=1)
        self.proposed: dict[str, tuple[Mode]] = {}  # under one key, or empty
        self.runs: dict[str, SteeredRun] = {}  # under one key, or empty
        self.closed = False
        self.past_turns: deque[str] = deque(maxlen=PAST_LIMIT)
        self.past_calls: deque[str] = deque(maxlen=PAST_LIMIT)
        self.notices: deque[OrchEvent] = deque(maxlen=NOTICE_LIMIT)
        self.policies = PromptPolicies(self.notices)
        self.guards = Guards()

    @property
    def run(self) -> SteeredRun | None:
        """The run that has the handle."""
        return self.runs.get("run")

    def told(self) -> list[OrchEvent]:
        """What was noted since the last boundary; bounded, though others may go on noting."""
        events: list[OrchEvent] = []
        while self.notices and len(events) < NOTICE_LIMIT:
            try:
                events.append(self.notices.popleft())
            except IndexError:
                break
        return events

    def change_mode(self, step: int) -> list[OrchEvent]:
        """Put the mode in force that somebody wants."""
        try:
            mode, by = self.wanted.pop()
        except IndexError:
            return []
        if mode == self.mode:
            return []
        changed = ModeChanged(step, self.mode.name, mode.name, by)
        self.mode = mode
        return [changed]
