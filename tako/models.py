"""What people hand in and get back: messages, requests, answers.

All of them are values: frozen Pydantic models, checked when they are made. That is why an encoded
message can be kept with the message (see `providers/base.py`) and a run can be written to JSON at
any moment. Names and shapes are those of the original tako, with what the second original added:
thinking with replay data, cache marks, and more kinds of token counts.

A part is one of seven kinds, told apart by `type`:

| type        | fields                              | found in              |
|-------------|-------------------------------------|-----------------------|
| text        | text, cache_control, replay         | any message           |
| image       | mime, data_b64, cache_control       | user                  |
| image_url   | url, mime, cache_control            | user                  |
| thinking    | text, replay                        | assistant             |
| tool_call   | id, name, args, replay              | assistant             |
| tool_result | id, name, result, is_error, cache_control | tool            |
| opaque      | replay                              | assistant             |

`replay` is what one vendor wants back unchanged (signatures, encrypted reasoning). It is sent to
the vendor that it came from and to nobody else.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import CoreSchema, PydanticCustomError

from tako.errors import InvalidInput

__all__ = [
    "NOT_COUNTED",
    "CacheControl",
    "Capabilities",
    "ChatRequest",
    "ChatResponse",
    "ContentPart",
    "FinishReason",
    "ImagePart",
    "ImageUrlPart",
    "Message",
    "OpaquePart",
    "Part",
    "Principal",
    "Replay",
    "Role",
    "TextPart",
    "ThinkingPart",
    "ToolCallPart",
    "ToolResultPart",
    "ToolSchema",
    "Usage",
    "Value",
    "describe",
]

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "error", "other"]

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")


def describe(error: ValidationError) -> str:
    """A validation error in one line: which field, and what is wrong with it."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'value'}: {item['msg']}"
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    )


class Value(BaseModel):
    """A frozen model whose constructor raises InvalidInput instead of Pydantic's error."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, ser_json_inf_nan="constants")
    called: ClassVar[str | None] = None
    """What errors call it, where that is not the name of the class."""

    def __init__(self, **fields: Any) -> None:
        try:
            self.__pydantic_validator__.validate_python(fields, self_instance=self)
        except ValidationError as error:
            raise InvalidInput(f"{self.called or type(self).__name__}: {describe(error)}") from error


class Role(str, Enum):
    """Who speaks. A tool message carries the results of the calls of the assistant before it."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class CacheControl(Value):
    """The end of a prefix that the vendor should keep. Vendors without marks do not see it."""

    type: Literal["ephemeral"] = "ephemeral"
    ttl: Literal["5m", "1h"] | None = None


class Replay(Value):
    """Opaque data of one vendor, to be given back to it unchanged."""

    vendor: str
    data: dict[str, Any] = Field(repr=False)


class TextPart(Value):
    type: Literal["text"] = "text"
    text: str
    cache_control: CacheControl | None = None
    replay: Replay | None = None


class ImagePart(Value):
    """An image as base64; a `data:` URL is taken apart."""

    type: Literal["image"] = "image"
    mime: str
    data_b64: str = Field(repr=False)
    cache_control: CacheControl | None = None

    @field_validator("mime")
    @classmethod
    def _known_type(cls, mime: str) -> str:
        if mime not in IMAGE_TYPES:
            raise PydanticCustomError("image_type", f"should be one of {', '.join(IMAGE_TYPES)}")
        return mime

    @field_validator("data_b64")
    @classmethod
    def _bare_base64(cls, data: str) -> str:
        if data.startswith("data:"):
            data = data.partition(",")[2]
        try:
            base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise PydanticCustomError(
                "image_data", "should be base64: {reason}", {"reason": str(error)}
            ) from None
        return data


class ImageUrlPart(Value):
    """An image that the vendor fetches."""

    type: Literal["image_url"] = "image_url"
    url: str
    mime: str | None = None
    cache_control: CacheControl | None = None

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        if not url.lower().startswith(("https://", "http://", "data:")):
            raise PydanticCustomError("image_url", "should start with https://, http:// or data:")
        return url


class ThinkingPart(Value):
    """A whole block of thinking. Never part of the answer's text."""

    type: Literal["thinking"] = "thinking"
    text: str = ""
    replay: Replay | None = None


class ToolCallPart(Value):
    """A call that the model asks for. `args` is any JSON; text that was no JSON stays a string."""

    type: Literal["tool_call"] = "tool_call"
    id: str
    name: str
    args: Any = Field(default_factory=dict)
    replay: Replay | None = None


class ToolResultPart(Value):
    """The answer to one call: text, or any JSON."""

    type: Literal["tool_result"] = "tool_result"
    id: str
    name: str = ""
    result: Any = None
    is_error: bool = False
    cache_control: CacheControl | None = None


class OpaquePart(Value):
    """A block that tako does not interpret, kept for the vendor that it came from."""

    type: Literal["opaque"] = "opaque"
    replay: Replay


Part: TypeAlias = Annotated[
    TextPart | ImagePart | ImageUrlPart | ThinkingPart | ToolCallPart | ToolResultPart | OpaquePart,
    Field(discriminator="type"),
]

_PART_TYPES: dict[str, type[Value]] = {
    "text": TextPart,
    "image": ImagePart,
    "image_url": ImageUrlPart,
    "thinking": ThinkingPart,
    "tool_call": ToolCallPart,
    "tool_result": ToolResultPart,
    "opaque": OpaquePart,
}


class _AnyPart(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return type(instance) in _PART_TYPES.values()


class ContentPart(metaclass=_AnyPart):
    """The union of all parts under one name: a constructor by `type`, and helpers.

    `ContentPart(type="text", text="hi")` is `ContentPart.text("hi")` is `TextPart(text="hi")`, and
    every part is an instance of it.
    """

    def __new__(cls, **fields: Any) -> Any:
        kind = fields.get("type")
        part = _PART_TYPES.get(kind) if isinstance(kind, str) else None
        if part is None:
            raise InvalidInput(f"ContentPart: type should be one of {', '.join(_PART_TYPES)}, not {kind!r}")
        return part(**fields)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        union: CoreSchema = handler.generate_schema(Part)
        return union

    @staticmethod
    def text(text: str, *, cache_control: CacheControl | None = None) -> TextPart:
        """A piece of text."""
        return TextPart(text=text, cache_control=cache_control)

    @staticmethod
    def image(data: bytes | str, mime: str = "image/png") -> ImagePart:
        """An image from its bytes, from base64 or from a `data:` URL (whose type then counts)."""
        if isinstance(data, bytes):
            data = base64.b64encode(data).decode()
        elif isinstance(data, str) and data.startswith("data:"):
            mime = data[5:].partition(",")[0].partition(";")[0] or mime
        return ImagePart(mime=mime, data_b64=data)

    @staticmethod
    def image_url(url: str, mime: str | None = None) -> ImageUrlPart:
        """An image by its address."""
        return ImageUrlPart(url=url, mime=mime)

    @staticmethod
    def tool_call(id: str, name: str, args: Any) -> ToolCallPart:
        """A call, for writing a history by hand."""
        return ToolCallPart(id=id, name=name, args=args)

    @staticmethod
    def tool_result(id: str, result: Any, *, name: str = "", is_error: bool = False) -> ToolResultPart:
        """The answer to a call, for writing a history by hand."""
        return ToolResultPart(id=id, name=name, result=result, is_error=is_error)


def _parts(content: str | Iterable[Part]) -> tuple[Part, ...]:
    return (TextPart(text=content),) if isinstance(content, str) else tuple(content)


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

    role: Role
    content: tuple[Part, ...] = ()

    if TYPE_CHECKING:  # any sequence will do, and a role by its name; kept as declared above

        def __init__(
            self,
            *,
            role: Role | Literal["system", "user", "assistant", "tool"],
            content: Sequence[Part] = (),
        ) -> None: ...

    @classmethod
    def system(cls, content: str | Iterable[Part]) -> Message:
        return cls(role=Role.SYSTEM, content=_parts(content))

    @classmethod
    def user(cls, content: str | Iterable[Part]) -> Message:
        return cls(role=Role.USER, content=_parts(content))

    @classmethod
    def assistant(cls, content: str | Iterable[Part]) -> Message:
        return cls(role=Role.ASSISTANT, content=_parts(content))

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


class ChatRequest(Value):
    """One call of a model. An empty `model` is the provider's own."""

    model: str = ""
    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = Field(default=None, gt=0)
    stop: tuple[str, ...] = ()
    seed: int | None = None
    tool_choice: str | None = None
    """None or "auto", "required", "none", or the name of the tool to call."""
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
            max_tokens: int | None = None,
            stop: Sequence[str] = (),
            seed: int | None = None,
            tool_choice: str | None = None,
            output_schema: dict[str, Any] | None = None,
            stream: bool = False,
            metadata: dict[str, str] | None = None,
            extra: dict[str, Any] | None = None,
        ) -> None: ...


class ChatResponse(Value):
    """A model's whole answer. `finish_reason` is the common one, `raw_finish_reason` the vendor's."""

    message: Message
    finish_reason: FinishReason = "stop"
    usage: Usage = NOT_COUNTED
    raw_finish_reason: str | None = None
    model: str | None = None
    response_id: str | None = None
    request_id: str | None = None

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
