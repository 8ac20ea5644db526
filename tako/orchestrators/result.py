"""RunResult: what a run gives back, however it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, cast

from typing_extensions import TypeVar

from tako.models import Message, Usage, Value
from tako.orchestrators.decisions import PendingCall, Remembered

if TYPE_CHECKING:
    from tako.orchestrators.agent_run import AgentRun

__all__ = ["OutputT", "ResultT", "RunResult", "StopReason", "SubAgentUsage"]

OutputT = TypeVar("OutputT", default=None)
ResultT = TypeVar("ResultT", bound="RunResult[Any]", default="RunResult[None]", covariant=True)

StopReason: TypeAlias = Literal[
    "stop",
    "length",
    "content_filter",
    "other",
    "max_steps",
    "approval_required",
    "result_required",
    "budget",
    "interrupted",
    "aborted",
    "cancelled",
    "error",
]
"""Why a run ended: the model's own reasons first, then ours.

"stop" is a whole answer; "length" and "content_filter" cut it off; "max_steps" is the limit of the
agent, "budget" one of what may be spent; "approval_required" and "result_required" wait for `pending`;
"interrupted" is the user's, by a Steering handle, and "aborted" a guard's; "cancelled" is the token's or
the owner's; "error" stands only in the partial result of a TakoError.
"""


class SubAgentUsage(Value):
    """What one run of a sub-agent has used; `path` as in SubAgentEvent. Its own sub-agents are counted
    in `usage`, and listed. `depth` is how deep SelfCallers have gone in it."""

    path: tuple[str, ...]
    model: str
    usage: Usage
    steps: int
    cost_usd: float | None = None
    sub_agents: tuple[SubAgentUsage, ...] = ()
    depth: int = 0


@dataclass(slots=True)
class RunResult(Generic[OutputT]):
    """The answer and all that belongs to it.

    text           the text of the last answer, as far as there is one
    output         the checked value, where the agent has an output_type
    usage          what all calls of the model have used together
    steps          how often the model was called
    new_messages   what to append to the history: always valid input for the next call
    stop_reason    why the run ended
    pending        the calls that wait for an answer from outside
    still_running  names of blocking tools that ignored their cancel and were left running
    cost_usd       the price, where the providers know theirs; with the sub-agents
    detail         more on the stop_reason: what a guard said
    sub_agents     what each run of a sub-agent has used; it is in `usage` as well
    remembered     decisions on patterns of calls, to be handed to the next run
    undelivered    what the user queued and the model has not been told
    run            the run itself: `run.dumps()` to keep it, `run.answer(...)` to go on
    """

    text: str
    usage: Usage
    steps: int
    new_messages: list[Message]
    stop_reason: StopReason
    output: OutputT = cast(Any, None)
    cost_usd: float | None = None
    pending: tuple[PendingCall, ...] = ()
    still_running: tuple[str, ...] = ()
    detail: str = ""
    sub_agents: tuple[SubAgentUsage, ...] = ()
    remembered: tuple[Remembered, ...] = ()
    undelivered: tuple[Message, ...] = ()
    run: AgentRun = field(default=cast(Any, None), repr=False, compare=False)

    @property
    def depth(self) -> int:
        """How deep SelfCallers have gone, wherever in this run they stand; 0 without any."""
        return _deepest(self.sub_agents)

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 60 else f"{self.text[:60]}…"
        return (
            f"{type(self).__name__}(text={text!r}, stop_reason={self.stop_reason!r}, steps={self.steps}, "
            f"input_tokens={self.usage.input_tokens}, output_tokens={self.usage.output_tokens})"
        )


def _deepest(runs: tuple[SubAgentUsage, ...]) -> int:
    return max([max(run.depth, _deepest(run.sub_agents)) for run in runs], default=0)
