"""What an AgentRun asks for, and what it is fed: its steps and their outcomes.

A step says what is to be done next; an outcome, in the past tense, what came of it. Which outcome fits
which state is in the table of `agent_run`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tako.models import ChatResponse, Message, ToolCallPart, ToolResultPart
from tako.orchestrators.decisions import PendingCall
from tako.orchestrators.result import StopReason

if TYPE_CHECKING:
    from tako.orchestrators.agent_run import AgentRun

__all__ = [
    "Broken",
    "CallModel",
    "CallSuspended",
    "CallTools",
    "CheckOutput",
    "Finished",
    "HistoryReplaced",
    "ModelReplied",
    "Outcome",
    "OutputAccepted",
    "OutputRejected",
    "Paused",
    "State",
    "Step",
    "Told",
    "ToolReplied",
]


State: TypeAlias = Literal["asking", "calling", "checking", "ended"]


@dataclass(slots=True)
class CallModel:
    """Call the model with these messages."""

    step: int
    messages: Sequence[Message]


@dataclass(slots=True)
class CallTools:
    """Perform these calls, which have no result yet. `is_new` is False when they were announced before."""

    step: int
    calls: tuple[ToolCallPart, ...]
    is_new: bool


@dataclass(slots=True)
class CheckOutput:
    """See whether the answer fits the output type."""

    step: int
    text: str


@dataclass(slots=True)
class Finished:
    """There is nothing to do."""

    stop_reason: StopReason


Step: TypeAlias = CallModel | CallTools | CheckOutput | Finished


@dataclass(slots=True)
class ModelReplied:
    response: ChatResponse
    wants_output: bool = False
    """An output type is set: the text is to be checked before the run may end."""


@dataclass(slots=True)
class ToolReplied:
    result: ToolResultPart


@dataclass(slots=True)
class CallSuspended:
    """The call runs an agent that waits for the outside itself; it goes on from `run`."""

    call_id: str
    run: AgentRun


@dataclass(slots=True)
class Paused:
    """Nothing more can be done before the outside has answered these calls."""

    pending: tuple[PendingCall, ...]


@dataclass(slots=True)
class OutputAccepted:
    value: Any


@dataclass(slots=True)
class OutputRejected:
    message: str


@dataclass(slots=True)
class Told:
    """The user, or a guard, has something to say: the model is asked (again) with it."""

    messages: tuple[Message, ...]


@dataclass(slots=True)
class HistoryReplaced:
    """From now on the model is asked with these messages, and what comes after them."""

    messages: tuple[Message, ...]


@dataclass(slots=True)
class Broken:
    """The run ends here. `response` is what the model had said of its answer, `detail` says more."""

    stop_reason: Literal["cancelled", "interrupted", "aborted", "error"]
    response: ChatResponse | None = None
    detail: str = ""


Outcome: TypeAlias = (
    ModelReplied
    | ToolReplied
    | CallSuspended
    | Paused
    | OutputAccepted
    | OutputRejected
    | Told
    | HistoryReplaced
    | Broken
)
