"""RunResult: what a run gives back, however it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, cast

from typing_extensions import TypeVar

from tako.models import Message, Usage
from tako.orchestrators.decisions import PendingCall

if TYPE_CHECKING:
    from tako.orchestrators.agent_run import AgentRun

__all__ = ["OutputT", "RunResult", "StopReason"]

OutputT = TypeVar("OutputT", default=None)

StopReason: TypeAlias = Literal[
    "stop",
    "length",
    "content_filter",
    "other",
    "max_steps",
    "approval_required",
    "result_required",
    "cancelled",
    "error",
]
"""Why a run ended: the model's own reasons first, then ours.

"stop" is a whole answer; "length" and "content_filter" cut it off; "max_steps" is the limit of the
agent; "approval_required" and "result_required" wait for `pending`; "cancelled" is the token's or
the owner's; "error" stands only in the partial result of a TakoError.
"""


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
    cost_usd       the price, where the provider knows one
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
    run: AgentRun | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 60 else f"{self.text[:60]}…"
        return (
            f"RunResult(text={text!r}, stop_reason={self.stop_reason!r}, steps={self.steps}, "
            f"input_tokens={self.usage.input_tokens}, output_tokens={self.usage.output_tokens})"
        )
