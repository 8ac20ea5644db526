"""The events: ChatChunk, what a provider streams, and OrchEvent, what an orchestrator streams.

Plain slotted dataclasses, because they are made per token; `kind` tells them apart, with the names
of the original tako. The set is open: a reader that meets an unknown kind skips it.

Order of chunks (contract 2): any number of chunks, then at most one ChatError, then exactly one
ChatEnd. A ToolCall comes once, whole, when the vendor has finished it (contract 3).

Order of events in a run: for each step a StepStart, then text and thinking as they come, then for
each call a ToolCallStart, its ToolProgress, and its ToolCallResult; the last one is Final.
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
        OpaquePart,
        TextPart,
        ThinkingPart,
        TokenLogprob,
        ToolCallPart,
        Usage,
        VideoPart,
    )
    from tako.orchestrators.result import RunResult

__all__ = [
    "AssistantText",
    "AssistantThinking",
    "ChatChunk",
    "ChatEnd",
    "ChatError",
    "Final",
    "Logprobs",
    "MediaBlock",
    "OpaqueBlock",
    "OrchEvent",
    "OtherChoice",
    "OutputRetry",
    "StepStart",
    "TextBlock",
    "TextDelta",
    "ThinkingBlock",
    "ThinkingDelta",
    "ToolCall",
    "ToolCallResult",
    "ToolCallStart",
    "ToolProgress",
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


@dataclass(slots=True)
class AssistantThinking:
    kind: ClassVar[Literal["assistant_thinking"]] = "assistant_thinking"
    step: int
    delta: str


@dataclass(slots=True)
class ToolCallStart:
    """The model asked for this call; it has not run yet, and may still be refused."""

    kind: ClassVar[Literal["tool_call_start"]] = "tool_call_start"
    step: int
    name: str
    id: str
    args: Any


@dataclass(slots=True)
class ToolProgress:
    """What a running generator tool has yielded."""

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


@dataclass(slots=True)
class OutputRetry:
    """The answer did not fit `output_type`; the model is told why and tries again."""

    kind: ClassVar[Literal["output_retry"]] = "output_retry"
    step: int
    error: str


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
    | ToolCallStart
    | ToolProgress
    | ToolCallResult
    | OutputRetry
    | Final
)
