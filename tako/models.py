"""What people hand in and get back: messages, requests, answers.

All of them are values: frozen Pydantic models, checked when they are made. That is why an encoded
message can be kept with the message (see `providers/base.py`) and a run can be written to JSON at
any moment. Names and shapes are those of the original tako, with what the second original added:
thinking with replay data, cache marks, and more kinds of token counts.

What a message is made of is in `parts`, and can be had from here as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tako.parts import (
    AudioPart,
    CacheControl,
    Citation,
    ContentPart,
    DocumentPart,
    ImagePart,
    ImageUrlPart,
    OpaquePart,
    Part,
    Replay,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    Value,
    VideoPart,
    describe,
    parts_of,
)

__all__ = [
    "NOT_COUNTED",
    "AudioPart",
    "CacheControl",
    "Capabilities",
    "ChatRequest",
    "ChatResponse",
    "Choice",
    "Citation",
    "ContentPart",
    "DocumentPart",
    "FinishReason",
    "ImagePart",
    "ImageUrlPart",
    "Message",
    "OpaquePart",
    "Part",
    "Principal",
    "RateLimit",
    "RateLimits",
    "Replay",
    "Role",
    "TextPart",
    "Thinking",
    "ThinkingPart",
    "TokenLogprob",
    "ToolCallPart",
    "ToolResultPart",
    "ToolSchema",
    "Usage",
    "Value",
    "VideoPart",
    "describe",
]

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "pause", "error", "other"]
"""Why an answer ended. After "pause" the vendor wants to go on by itself: send the history again."""


class Role(str, Enum):
    """Who speaks. A tool message carries the results of the calls of the assistant before it."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class _Encodable(Value):
    """A value that keeps what an encoder made of it, so that a long history is encoded once."""

    __slots__ = ("_encoded",)

    if TYPE_CHECKING:
        _encoded: ClassVar[tuple[object, bytes]]  # a slot, not a field

    def encoded(self, codec: object, encode: Callable[[Self], bytes]) -> bytes:
        """`encode(self)`, kept with the value for as long as the same codec asks for it."""
        try:
            kept_for, data = self._encoded
            if kept_for == codec:
                return data
        except AttributeError:
            pass
        data = encode(self)
        object.__setattr__(self, "_encoded", (codec, data))
        return data


class Message(_Encodable):
    """One turn of a conversation."""

    __slots__ = ("_media",)

    role: Role
    content: tuple[Part, ...] = ()

    if TYPE_CHECKING:
        _media: ClassVar[tuple[object, Message]]  # a slot, not a field

    def kept_media(self, policy: object) -> Message | None:
        """What this message became when its addresses were fetched under this policy, if they were."""
        try:
            kept_for, message = self._media
        except AttributeError:
            return None
        return message if kept_for == policy else None

    def keep_media(self, policy: object, message: Message) -> None:
        """Keep what the message became: an address is fetched once, and not at each step."""
        object.__setattr__(self, "_media", (policy, message))

    if TYPE_CHECKING:  # any sequence will do, and a role by its name; kept as declared above

        def __init__(
            self,
            *,
            role: Role | Literal["system", "user", "assistant", "tool"],
            content: Sequence[Part] = (),
        ) -> None: ...

    @classmethod
    def system(cls, content: str | Iterable[Part]) -> Message:
        return cls(role=Role.SYSTEM, content=parts_of(content))

    @classmethod
    def user(cls, content: str | Iterable[Part]) -> Message:
        return cls(role=Role.USER, content=parts_of(content))

    @classmethod
    def assistant(cls, content: str | Iterable[Part]) -> Message:
        return cls(role=Role.ASSISTANT, content=parts_of(content))

    @classmethod
    def tool(cls, results: Iterable[ToolResultPart]) -> Message:
        return cls(role=Role.TOOL, content=tuple(results))

    @property
    def text(self) -> str:
        """The text parts, joined. Thinking is not among them."""
        return "".join([part.text for part in self.content if type(part) is TextPart])

    @property
    def tool_calls(self) -> tuple[ToolCallPart, ...]:
        return tuple([part for part in self.content if type(part) is ToolCallPart])


class ToolSchema(_Encodable):
    """What a model is told of a tool."""

    name: str
    description: str
    input_schema: dict[str, Any]
    strict: bool | None = None
    """Whether the arguments have to follow the schema to the letter, where the vendor can be told."""
    cache_control: CacheControl | None = None


class Usage(Value):
    """Tokens that were counted by the vendor. None is "not known"; zero means zero.

    input_tokens holds all that was read, cached or not, and output_tokens all that was written,
    thinking included, whatever the vendor's own way of counting; `raw` is the vendor's object.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    raw: dict[str, Any] | None = Field(default=None, repr=False)

    @property
    def total(self) -> int:
        """Input and output together, as far as they are known."""
        return (self.input_tokens or 0) + (self.output_tokens or 0)

    def __getitem__(self, name: str) -> Any:
        """The same as the attribute, for those who read a usage as a dict."""
        return self.__dict__[name]

    def __add__(self, other: Usage) -> Usage:
        """The sum field by field; what neither knows stays None. `raw` belongs to one call only."""
        if type(other) is not Usage:
            return NotImplemented
        ours, others = self.__dict__, other.__dict__
        sums: dict[str, Any] = {}
        adds = self.raw is not None
        for name in _COUNTS:
            mine, theirs = ours[name], others[name]
            if theirs is not None:
                sums[name] = (mine or 0) + theirs
                adds = True
            elif mine is not None:
                sums[name] = mine
        return Usage(**sums) if adds else self


NOT_COUNTED = Usage()
"""Nothing is known. One is enough: a usage is a value."""

_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


class Thinking(Value):
    """How a model thinks before it answers. What is not set is the vendor's own way.

    effort         the vendor's word for how hard: minimal, low, medium, high, ...
    budget_tokens  how many tokens it may think at most
    summary        whether and how thinking is shown: "none" hides it where it can be hidden

    `enabled=False` asks for none at all. A vendor that cannot be asked so says InvalidInput.
    """

    enabled: bool = True
    effort: str | None = None
    budget_tokens: int | None = Field(default=None, gt=0)
    summary: Literal["auto", "concise", "detailed", "none"] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.enabled and (self.effort or self.budget_tokens or self.summary):
            raise PydanticCustomError("thinking", "enabled=False goes with no other setting")
        return self


class ChatRequest(Value):
    """One call of a model. An empty `model` is the provider's own; None is the vendor's default."""

    model: str = ""
    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = Field(default=None, gt=0)
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    max_tokens: int | None = Field(default=None, gt=0)
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int | None = Field(default=None, gt=0)
    """How many answers; those after the first are the response's other_choices."""
    top_logprobs: int | None = Field(default=None, ge=0)
    """Ask for the log probabilities of the tokens, and of so many others at each place."""
    thinking: Thinking | None = None
    tool_choice: str | None = None
    """None or "auto", "required", "none", or the name of the tool to call."""
    parallel_tool_calls: bool | None = None
    output_schema: dict[str, Any] | None = None
    """A JSON schema that the answer has to follow."""
    stream: bool = False
    """Read by PythonProvider's functions; which method is called decides for everybody else."""
    metadata: dict[str, str] = Field(default_factory=dict)
    extra: dict[str, Any] = Field(default_factory=dict)
    """Fields of the vendor's own request, merged into the body last."""

    if TYPE_CHECKING:  # any sequence will do; kept as declared above

        def __init__(
            self,
            *,
            messages: Sequence[Message],
            model: str = "",
            tools: Sequence[ToolSchema] = (),
            temperature: float | None = None,
            top_p: float | None = None,
            top_k: int | None = None,
            presence_penalty: float | None = None,
            frequency_penalty: float | None = None,
            max_tokens: int | None = None,
            stop: Sequence[str] = (),
            seed: int | None = None,
            n: int | None = None,
            top_logprobs: int | None = None,
            thinking: Thinking | None = None,
            tool_choice: str | None = None,
            parallel_tool_calls: bool | None = None,
            output_schema: dict[str, Any] | None = None,
            stream: bool = False,
            metadata: dict[str, str] | None = None,
            extra: dict[str, Any] | None = None,
        ) -> None: ...


class TokenLogprob(Value):
    """A token of the answer, its log probability, and the likeliest tokens at its place."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


class Choice(Value):
    """Another answer to the same request."""

    index: int
    message: Message
    finish_reason: FinishReason = "stop"
    raw_finish_reason: str | None = None


class RateLimit(Value):
    """One of the vendor's limits: how much, how much is left, and in how many seconds it is whole again."""

    limit: int | None = None
    remaining: int | None = None
    reset_secs: float | None = None


class RateLimits(Value):
    """What the vendor's headers say of its limits; None for one that it did not mention."""

    requests: RateLimit | None = None
    tokens: RateLimit | None = None
    input_tokens: RateLimit | None = None
    output_tokens: RateLimit | None = None
    raw: dict[str, str] = Field(default_factory=dict, repr=False)


class ChatResponse(Value):
    """A model's whole answer. `finish_reason` is the common one, `raw_finish_reason` the vendor's."""

    message: Message
    finish_reason: FinishReason = "stop"
    usage: Usage = NOT_COUNTED
    raw_finish_reason: str | None = None
    model: str | None = None
    response_id: str | None = None
    request_id: str | None = None
    other_choices: tuple[Choice, ...] = ()
    logprobs: tuple[TokenLogprob, ...] | None = None
    rate_limits: RateLimits | None = None
    details: dict[str, Any] = Field(default_factory=dict, repr=False)
    """What else the vendor said of the answer, in its own words: safety ratings, grounding, filters."""

    @property
    def text(self) -> str:
        return self.message.text


class Principal(Value):
    """On whose behalf a run is made."""

    tenant_id: str = "anonymous"
    user_id: str = "anonymous"
    roles: tuple[str, ...] = ()
    trace_id: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)


class Capabilities(Value):
    """What a provider can do, and what it costs where that is known."""

    max_context_tokens: int = 0
    supports_streaming: bool = False
    supports_tools: bool = False
    supports_vision: bool = False
    supports_json_mode: bool = False
    supports_documents: bool = False
    supports_audio: bool = False
    supports_thinking: bool = False
    usd_per_input_mtok: float | None = None
    usd_per_output_mtok: float | None = None

    def cost_usd(self, usage: Usage) -> float | None:
        """The price of what was used, or None if a price or a count is not known."""
        prices = (self.usd_per_input_mtok, self.usd_per_output_mtok)
        counts = (usage.input_tokens, usage.output_tokens)
        total = 0.0
        for price, count in zip(prices, counts, strict=True):
            if price is None or count is None:
                return None
            total += price * count / 1_000_000
        return total
