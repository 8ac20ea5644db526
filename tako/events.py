"""The events: ChatChunk, what a provider streams, and OrchEvent, what an orchestrator streams.

Plain slotted dataclasses, because they are made per token; `kind` tells them apart, with the names
of the original tako. The set is open: a reader that meets an unknown kind skips it.

Order of chunks (contract 2): any number of chunks, then at most one ChatError, then exactly one
ChatEnd. A ToolCall comes once, whole, when the vendor has finished it (contract 3).

Order of events in a run: for each step a StepStart, then text and thinking as they come. Then for
each call of the step, in the model's order, its ToolCallStart and its ToolCallPending, all before the
first of them runs; then for each call a ToolCallDecided, if anybody had to decide on it, its
ToolProgress, and its ToolCallResult, those of calls that run side by side mixed. The last event is
Final. What the user does with a Steering handle is told at the next boundary of the run: before the
next StepStart, or before Final. Who was chosen to speak is told before its StepStart (RoleChosen). What
others say who work for this run comes as SubAgentEvents, each with its path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

if TYPE_CHECKING:
    from tako.errors import TakoError
    from tako.models import (
        AudioPart,
        Choice,
        FinishReason,
        ImagePart,
        Message,
        OpaquePart,
        TextPart,
        ThinkingPart,
        TokenLogprob,
        ToolCallPart,
        Usage,
        VideoPart,
    )
    from tako.orchestrators.result import RunResult
    from tako.parts import Part
    from tako.steering.questions import QuestionSet, UserInput

__all__ = [
    "AssistantMedia",
    "AssistantText",
    "AssistantThinking",
    "AssistantThinkingBlock",
    "ChatChunk",
    "ChatEnd",
    "ChatError",
    "Final",
    "GuardFired",
    "HistoryTrimmed",
    "Logprobs",
    "MediaBlock",
    "MessageDelivered",
    "MessageQueued",
    "ModeChanged",
    "ModeProposed",
    "NodeAdded",
    "OpaqueBlock",
    "OrchEvent",
    "OtherChoice",
    "OutputRetry",
    "PlanMade",
    "PlanRejected",
    "PromptPolicyApplied",
    "PromptPolicyInstalled",
    "PromptPolicyRemoved",
    "Recursion",
    "RoleChosen",
    "StepStart",
    "SubAgentEvent",
    "TextBlock",
    "TextDelta",
    "ThinkingBlock",
    "ThinkingDelta",
    "ToolCall",
    "ToolCallDecided",
    "ToolCallPending",
    "ToolCallResult",
    "ToolCallStart",
    "ToolProgress",
    "TurnInterrupted",
    "UserAnswered",
    "UserAsked",
    "VerifierScore",
]


@dataclass(slots=True)
class TextDelta:
    """A piece of the answer's text."""

    kind: ClassVar[Literal["delta"]] = "delta"
    text: str


@dataclass(slots=True)
class TextBlock:
    """The text since the last block, whole, with what belongs to it: its citations, and what its
    vendor wants back. It repeats what the deltas said; text that nothing belongs to has none."""

    kind: ClassVar[Literal["text_block"]] = "text_block"
    part: TextPart


@dataclass(slots=True)
class ThinkingDelta:
    """A piece of thinking, to be shown while it is made."""

    kind: ClassVar[Literal["thinking_delta"]] = "thinking_delta"
    text: str


@dataclass(slots=True)
class ThinkingBlock:
    """A whole block of thinking with what its vendor wants back."""

    kind: ClassVar[Literal["thinking_block"]] = "thinking_block"
    part: ThinkingPart


@dataclass(slots=True)
class ToolCall:
    """A call, whole: it is announced once and never in pieces."""

    kind: ClassVar[Literal["tool_call"]] = "tool_call"
    part: ToolCallPart

    @property
    def id(self) -> str:
        return self.part.id

    @property
    def name(self) -> str:
        return self.part.name

    @property
    def args(self) -> Any:
        return self.part.args


@dataclass(slots=True)
class OpaqueBlock:
    """A block that tako does not interpret; it stays in the message."""

    kind: ClassVar[Literal["opaque"]] = "opaque"
    part: OpaquePart


@dataclass(slots=True)
class MediaBlock:
    """A picture, a sound or a film that the model made."""

    kind: ClassVar[Literal["media"]] = "media"
    part: ImagePart | AudioPart | VideoPart


@dataclass(slots=True)
class Logprobs:
    """Log probabilities of the next tokens of the answer."""

    kind: ClassVar[Literal["logprobs"]] = "logprobs"
    tokens: tuple[TokenLogprob, ...]


@dataclass(slots=True)
class OtherChoice:
    """One of the answers after the first, whole."""

    kind: ClassVar[Literal["other_choice"]] = "other_choice"
    choice: Choice


@dataclass(slots=True)
class ChatError:
    """The stream broke here. What came before it still counts; a ChatEnd follows."""

    kind: ClassVar[Literal["error"]] = "error"
    error: TakoError

    @property
    def message(self) -> str:
        return self.error.message


@dataclass(slots=True)
class ChatEnd:
    """The last chunk. After a ChatError the reason is "error"."""

    kind: ClassVar[Literal["end"]] = "end"
    finish_reason: FinishReason
    usage: Usage
    raw_finish_reason: str | None = None
    model: str | None = None
    response_id: str | None = None
    details: dict[str, Any] | None = None
    """What else the vendor said of the answer, in its own words."""


ChatChunk: TypeAlias = (
    TextDelta
    | TextBlock
    | ThinkingDelta
    | ThinkingBlock
    | ToolCall
    | MediaBlock
    | Logprobs
    | OtherChoice
    | OpaqueBlock
    | ChatError
    | ChatEnd
)


@dataclass(slots=True)
class StepStart:
    """The model is about to be called. `turn_id` names this turn and no other, in any run."""

    kind: ClassVar[Literal["step_start"]] = "step_start"
    step: int
    turn_id: str


@dataclass(slots=True)
class AssistantText:
    kind: ClassVar[Literal["assistant_text"]] = "assistant_text"
    step: int
    delta: str

    @property
    def text(self) -> str:
        """The delta, by the name that the first descriptions gave it."""
        return self.delta


@dataclass(slots=True)
class AssistantThinking:
    kind: ClassVar[Literal["assistant_thinking"]] = "assistant_thinking"
    step: int
    delta: str


@dataclass(slots=True)
class AssistantThinkingBlock:
    """A whole block of thinking with what its vendor wants back; it repeats what the deltas said."""

    kind: ClassVar[Literal["assistant_thinking_block"]] = "assistant_thinking_block"
    step: int
    part: ThinkingPart


@dataclass(slots=True)
class AssistantMedia:
    """A picture, a sound or a film that the model made."""

    kind: ClassVar[Literal["assistant_media"]] = "assistant_media"
    step: int
    part: ImagePart | AudioPart | VideoPart


@dataclass(slots=True)
class ToolCallStart:
    """The model asked for this call; it has not run yet, and may still be refused."""

    kind: ClassVar[Literal["tool_call_start"]] = "tool_call_start"
    step: int
    name: str
    id: str
    args: Any


@dataclass(slots=True)
class ToolCallPending:
    """The call stands before the gate: policy, mode and approval come next, then it runs or is refused."""

    kind: ClassVar[Literal["tool_call_pending"]] = "tool_call_pending"
    step: int
    name: str
    id: str
    args: Any
    tool_class: Literal["read_only", "mutating"]


@dataclass(slots=True)
class ToolCallDecided:
    """Somebody decided on the call. `by` is "policy", "mode", "remembered" or "approval"."""

    kind: ClassVar[Literal["tool_call_decided"]] = "tool_call_decided"
    step: int
    name: str
    id: str
    allowed: bool
    by: str
    reason: str = ""


@dataclass(slots=True)
class ToolProgress:
    """What a running tool has said on its way."""

    kind: ClassVar[Literal["tool_progress"]] = "tool_progress"
    step: int
    name: str
    id: str
    progress: Any


@dataclass(slots=True)
class ToolCallResult:
    """What the model will read. A refusal or a failure is a result too, with is_error."""

    kind: ClassVar[Literal["tool_call_result"]] = "tool_call_result"
    step: int
    name: str
    id: str
    result: Any
    is_error: bool
    content: tuple[Part, ...] = ()
    """What the model reads instead of `result`: text, pictures, documents."""


@dataclass(slots=True)
class OutputRetry:
    """The answer did not fit `output_type`; the model is told why and tries again."""

    kind: ClassVar[Literal["output_retry"]] = "output_retry"
    step: int
    error: str


@dataclass(slots=True)
class HistoryTrimmed:
    """The agent's trimmer made other messages of what the model is asked with."""

    kind: ClassVar[Literal["history_trimmed"]] = "history_trimmed"
    step: int
    before: int
    after: int


@dataclass(slots=True)
class TurnInterrupted:
    """The user stopped this turn: the model's answer, or the calls that ran."""

    kind: ClassVar[Literal["turn_interrupted"]] = "turn_interrupted"
    step: int
    turn_id: str


@dataclass(slots=True)
class MessageQueued:
    """The user handed in a message while this turn was going on."""

    kind: ClassVar[Literal["message_queued"]] = "message_queued"
    turn_id: str
    message: Message


@dataclass(slots=True)
class MessageDelivered:
    """The next call of the model has this message at its end: the user's, or a guard's."""

    kind: ClassVar[Literal["message_delivered"]] = "message_delivered"
    step: int
    message: Message


@dataclass(slots=True)
class ModeChanged:
    """Another mode is in force. `by` is "operator" or "agent"."""

    kind: ClassVar[Literal["mode_changed"]] = "mode_changed"
    step: int
    before: str
    after: str
    by: str


@dataclass(slots=True)
class ModeProposed:
    """The agent wants another mode; the operator has to confirm it."""

    kind: ClassVar[Literal["mode_proposed"]] = "mode_proposed"
    mode: str
    by: str


@dataclass(slots=True)
class GuardFired:
    """A guard was asked: "continue", "stop", "abort", "exhausted" (at its bound) or "failed" (it raised)."""

    kind: ClassVar[Literal["guard_fired"]] = "guard_fired"
    step: int
    name: str
    id: str
    decision: str
    iteration: int
    reason: str = ""


@dataclass(slots=True)
class PromptPolicyInstalled:
    kind: ClassVar[Literal["prompt_policy_installed"]] = "prompt_policy_installed"
    id: str
    name: str
    scope: str
    precedence: int


@dataclass(slots=True)
class PromptPolicyRemoved:
    kind: ClassVar[Literal["prompt_policy_removed"]] = "prompt_policy_removed"
    id: str
    name: str


@dataclass(slots=True)
class PromptPolicyApplied:
    """The system prompt of this step holds the policy's words."""

    kind: ClassVar[Literal["prompt_policy_applied"]] = "prompt_policy_applied"
    step: int
    id: str
    name: str
    scope: str
    precedence: int


@dataclass(slots=True)
class UserAsked:
    """The run waits for the user's answers."""

    kind: ClassVar[Literal["user_asked"]] = "user_asked"
    questions: QuestionSet


@dataclass(slots=True)
class UserAnswered:
    kind: ClassVar[Literal["user_answered"]] = "user_answered"
    answer: UserInput


@dataclass(slots=True)
class PlanMade:
    """A coordinator's plan: who is to do what, or that it is done."""

    kind: ClassVar[Literal["plan_made"]] = "plan_made"
    step: int
    thought: str
    assignments: tuple[tuple[str, str], ...]
    """Of each dispatch the worker and its task, in the plan's order."""
    halt: bool


@dataclass(slots=True)
class PlanRejected:
    """What the coordinator said is no plan; it is told why and tries again."""

    kind: ClassVar[Literal["plan_rejected"]] = "plan_rejected"
    step: int
    error: str


@dataclass(slots=True)
class RoleChosen:
    """A router has chosen who speaks next. `index` is its place among the candidates."""

    kind: ClassVar[Literal["role_chosen"]] = "role_chosen"
    step: int
    role: str
    index: int
    confidence: float
    reason: str = ""


@dataclass(slots=True)
class VerifierScore:
    """What a verifier thinks of an answer, from 0 to 1; a partial one is of an answer that still grows.

    `branch` is the dispatch, from 1, of a Conductor; the role's place at Trinity; the node of an AbMcts.
    """

    kind: ClassVar[Literal["verifier_score"]] = "verifier_score"
    step: int
    branch: int
    score: float
    is_partial: bool = False
    reason: str = ""


@dataclass(slots=True)
class Recursion:
    """A SelfCaller's guard has judged an answer; below the mark, and the cap not reached, it is revised."""

    kind: ClassVar[Literal["recursion"]] = "recursion"
    depth: int
    confidence: float
    reason: str = ""


@dataclass(slots=True)
class NodeAdded:
    """A search has a new answer in its tree; `parent` is the node that it was made from, 0 the root."""

    kind: ClassVar[Literal["node_added"]] = "node_added"
    step: int
    node: int
    parent: int
    candidate: str
    score: float
    error: str = ""


@dataclass(slots=True)
class SubAgentEvent:
    """An event of somebody who works for this run: an agent that a tool runs, a worker, a role, a rollout.
    The path names who leads to it, outermost first."""

    kind: ClassVar[Literal["sub_agent_event"]] = "sub_agent_event"
    path: tuple[str, ...]
    event: OrchEvent


@dataclass(slots=True)
class Final:
    """The last event of a run that did not fail: the result, however it ended."""

    kind: ClassVar[Literal["final"]] = "final"
    text: str
    usage: Usage
    result: RunResult[Any]


OrchEvent: TypeAlias = (
    StepStart
    | AssistantText
    | AssistantThinking
    | AssistantThinkingBlock
    | AssistantMedia
    | ToolCallStart
    | ToolCallPending
    | ToolCallDecided
    | ToolProgress
    | ToolCallResult
    | OutputRetry
    | HistoryTrimmed
    | TurnInterrupted
    | MessageQueued
    | MessageDelivered
    | ModeChanged
    | ModeProposed
    | GuardFired
    | PromptPolicyInstalled
    | PromptPolicyRemoved
    | PromptPolicyApplied
    | UserAsked
    | UserAnswered
    | PlanMade
    | PlanRejected
    | RoleChosen
    | VerifierScore
    | Recursion
    | NodeAdded
    | SubAgentEvent
    | Final
)
