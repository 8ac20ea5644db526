"""OpenBatch: the calls of one answer of the model, and what has become of each.

| a call       | is                                                                                 |
|--------------|------------------------------------------------------------------------------------|
| open         | to be performed                                                                    |
| decided on   | still open: the outside has approved it, and the gate will look at that            |
| suspended    | still open: its agent has begun, and waits; its run is kept                        |
| done         | it has its result, the tool's or the outside's, and nothing takes that away        |

Invariants. The batch is empty, or the last message of the conversation is the answer that asked for it.
Results come in any order and from several threads, and go into the conversation in the order of the calls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tako.errors import InvalidInput
from tako.models import Message, ToolCallPart, ToolResultPart
from tako.orchestrators.decisions import BoundDecision, PendingCall, step_of_path

if TYPE_CHECKING:
    from tako.orchestrators.agent_run import AgentRun

__all__ = ["OpenBatch"]

STAND_IN = {
    "approval_required": "not run yet: the call waits for approval",
    "result_required": "not answered yet: the result is awaited from outside",
    "cancelled": "not run: cancelled before execution",
    "interrupted": "not run: cancelled before execution, the user interrupted the turn",
    "aborted": "not run: the run was ended before execution",
    "error": "not run: the run failed before execution",
}
"""What stands for the result of a call that has none, by why the run has ended."""
BEGUN = {
    "": "not done yet: its agent has begun",
    "approval_required": "not done yet: its agent has begun, and waits for an approval",
    "result_required": "not done yet: its agent has begun, and waits for a result",
}
STOPPED = "stopped before it was done; what its agent did until then has happened"
"""The same for a call that is suspended: a model that reads "not run" would do it all again."""


class OpenBatch:
    """Empty when it is made, and again when the calls have their results."""

    __slots__ = ("_places", "calls", "decisions", "results", "suspended", "unshown", "was_announced")

    def __init__(self) -> None:
        self.open(())

    def open(self, calls: tuple[ToolCallPart, ...]) -> None:
        """Begin with these calls, and know nothing of those before: a vendor may use an id again."""
        self.calls = calls
        self._places = {call.id: place for place, call in enumerate(calls)} if calls else {}
        self.results: dict[str, ToolResultPart] = {}
        self.decisions: dict[str, BoundDecision] = {}
        """What the outside has decided on the calls, by their ids."""
        self.suspended: dict[str, AgentRun] = {}
        self.unshown: list[str] = []
        """Ids of calls that were answered from outside while nobody listened."""
        self.was_announced = False
        """The calls have been shown; a resumed run does not show them again."""

    def place(self, call_id: str) -> int:
        """Where the call stands among the others."""
        return self._places[call_id]

    def open_calls(self) -> tuple[ToolCallPart, ...]:
        """Those that have no result yet."""
        if not self.results:
            return self.calls
        return tuple([call for call in self.calls if call.id not in self.results])

    def reply(self, result: ToolResultPart) -> None:
        """Keep the result of an open call; raises InvalidInput if there is none of that id."""
        self._require_open(result.id)
        self.results[result.id] = result
        if self.suspended:
            self.suspended.pop(result.id, None)

    def suspend(self, call_id: str, run: AgentRun) -> None:
        """Keep the run of an open call's agent; raises InvalidInput if there is none of that id."""
        self._require_open(call_id)
        self.suspended[call_id] = run

    def answer(self, call_id: str, result: Any, *, is_error: bool) -> None:
        """A result from outside."""
        name = self.calls[self._places[call_id]].name
        self.results[call_id] = ToolResultPart(id=call_id, name=name, result=result, is_error=is_error)
        self.unshown.append(call_id)

    def take_unshown(self) -> list[ToolResultPart]:
        """The results from outside, once."""
        shown = [self.results[id] for id in self.unshown if id in self.results]
        self.unshown = []
        return shown

    def pending_below(self) -> list[PendingCall]:
        """What the sub-agents wait for, each with the call that leads to it."""
        return [
            pending.model_copy(update={"path": (step_of_path(call), *pending.path)})
            for call in self.calls
            if call.id in self.suspended
            for pending in self.suspended[call.id].pending
        ]

    def below(self, step: str) -> AgentRun:
        """The suspended run to which this step of a path leads."""
        return next(
            self.suspended[call.id]
            for call in self.calls
            if call.id in self.suspended and step_of_path(call) == step
        )

    def message(self, stop_reason: str) -> Message:
        """The tool message as it would be now; `stop_reason` is "" while the run goes on."""
        return Message.tool(
            [self.results.get(call.id) or self._stand_in(call, stop_reason) for call in self.calls]
        )

    def _stand_in(self, call: ToolCallPart, stop_reason: str) -> ToolResultPart:
        if call.id in self.suspended:
            words = BEGUN.get(stop_reason, STOPPED)
        else:
            words = STAND_IN.get(stop_reason, "not run yet")
        return ToolResultPart(id=call.id, name=call.name, result=words, is_error=True)

    def _require_open(self, call_id: str) -> None:
        if call_id in self.results or call_id not in self._places:
            raise InvalidInput(f"no call {call_id!r} waits for a result")
