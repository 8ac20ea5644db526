"""Where things are in a vendor's answers, as pointers: in whole ones, and in the frames of a stream.

| pointer                     | finds                                        | openai_sse has it at         |
|-----------------------------|----------------------------------------------|------------------------------|
| content_pointer             | the next piece of text (streams only)        | /choices/0/delta/content     |
| thinking_pointer            | thinking                                     | .../delta/reasoning_content  |
| finish_reason_pointer       | why the answer ended                         | /choices/0/finish_reason     |
| usage_pointer               | an object of counts                          | /usage                       |
| usage_pointers              | of our names of counts: where in that object | (the usual names are known)  |
| tool_calls_pointer          | the list of calls, or one call               | /choices/0/delta/tool_calls  |
| tool_call_id_pointer        | in a call: its id                            | /id                          |
| tool_call_name_pointer      | in a call: the tool                          | /function/name               |
| tool_call_arguments_pointer | in a call: its arguments, as text or object  | /function/arguments          |
| tool_call_index_pointer     | in a piece of a call: which call (streams)   | /index                       |
| id_pointer, model_pointer   | the vendor's id of the answer; its model     | /id, /model                  |

How a stream ends, besides an error (`end`):

| end      | openai_sse                                           | ndjson                             |
|----------|------------------------------------------------------|------------------------------------|
| "reason" | [DONE], or the end of input after a finish reason    | the first frame with a finish reason |
| "done"   | [DONE]                                               | (there is no such mark)            |
| "eof"    | [DONE] or the end of input                           | the end of input                   |

"reason" is the usual one. With "eof" nothing but the connection tells whether the answer is whole.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from tako.errors import InvalidInput
from tako.models import Usage, Value
from tako.providers.answer import known_count
from tako.providers.http_generic.pointer import Pointer

__all__ = ["ResponseConfig", "Shape", "StreamConfig"]


def _pointer(text: str) -> str:
    try:
        return Pointer(text).text
    except InvalidInput as error:
        raise PydanticCustomError("json_pointer", "{reason}", {"reason": error.message}) from None


JsonPointer: TypeAlias = Annotated[str, AfterValidator(_pointer)]
Count: TypeAlias = Literal[
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"
]

USUAL_COUNTS: dict[str, tuple[str, ...]] = {
    "input_tokens": (
        "/input_tokens", "/prompt_tokens", "/inputTokens", "/promptTokenCount", "/prompt_eval_count",
        "/input", "/prompt",
    ),
    "output_tokens": (
        "/output_tokens", "/completion_tokens", "/outputTokens", "/candidatesTokenCount", "/eval_count",
        "/output", "/completion",
    ),
    "cache_read_tokens": ("/prompt_tokens_details/cached_tokens", "/input_tokens_details/cached_tokens"),
    "reasoning_tokens": (
        "/completion_tokens_details/reasoning_tokens", "/output_tokens_details/reasoning_tokens",
    ),
}  # fmt: skip


class ResponseConfig(Value):
    """Where things are in a whole answer, besides its text."""

    called: ClassVar[str | None] = "invalid response_config"

    thinking_pointer: JsonPointer | None = None
    finish_reason_pointer: JsonPointer | None = None
    usage_pointer: JsonPointer | None = None
    usage_pointers: dict[Count, JsonPointer] = Field(default_factory=dict)
    tool_calls_pointer: JsonPointer | None = None
    tool_call_id_pointer: JsonPointer = "/id"
    tool_call_name_pointer: JsonPointer = "/function/name"
    tool_call_arguments_pointer: JsonPointer = "/function/arguments"
    id_pointer: JsonPointer | None = None
    model_pointer: JsonPointer | None = None


OPENAI_SSE = {
    "content_pointer": "/choices/0/delta/content",
    "thinking_pointer": "/choices/0/delta/reasoning_content",
    "finish_reason_pointer": "/choices/0/finish_reason",
    "usage_pointer": "/usage",
    "tool_calls_pointer": "/choices/0/delta/tool_calls",
    "id_pointer": "/id",
    "model_pointer": "/model",
}


class StreamConfig(ResponseConfig):
    """Where things are in each frame of a stream, and how the stream ends."""

    called: ClassVar[str | None] = "invalid stream_config"

    kind: Literal["openai_sse", "ndjson"]
    content_pointer: JsonPointer
    finish_reason_pointer: JsonPointer  # pyright: ignore  # required here
    tool_call_index_pointer: JsonPointer = "/index"
    end: Literal["reason", "done", "eof"] = "reason"

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, fields: Any) -> Any:
        if isinstance(fields, dict) and fields.get("kind") == "openai_sse":
            return {**OPENAI_SSE, **fields}
        return fields

    @model_validator(mode="after")
    def _can_end(self) -> Self:
        if self.kind == "ndjson" and self.end == "done":
            raise PydanticCustomError("end", 'end="done" is for openai_sse: ndjson has no mark of its own')
        return self


class Shape:
    """The pointers of one kind of answer, compiled. None for what the vendor does not tell."""

    __slots__ = (
        "call_arguments", "call_id", "call_index", "call_name", "calls", "counts", "finish", "id", "model",
        "text", "thinking", "usage",
    )  # fmt: skip

    def __init__(self, text: str, config: ResponseConfig) -> None:
        self.text = Pointer(text)
        self.thinking = _compiled(config.thinking_pointer)
        self.finish = _compiled(config.finish_reason_pointer)
        self.usage = _compiled(config.usage_pointer)
        self.calls = _compiled(config.tool_calls_pointer)
        self.call_id = Pointer(config.tool_call_id_pointer)
        self.call_name = Pointer(config.tool_call_name_pointer)
        self.call_arguments = Pointer(config.tool_call_arguments_pointer)
        self.call_index = _compiled(getattr(config, "tool_call_index_pointer", None))
        self.id = _compiled(config.id_pointer)
        self.model = _compiled(config.model_pointer)
        theirs: dict[str, tuple[str, ...]] = {name: (text,) for name, text in config.usage_pointers.items()}
        self.counts = {
            name: tuple(map(Pointer, pointers)) for name, pointers in {**USUAL_COUNTS, **theirs}.items()
        }

    def usage_of(self, counts: dict[str, Any]) -> Usage:
        """The counts under our names; None for what is not among them."""
        found = {}
        for name, pointers in self.counts.items():
            values = (known_count(pointer.find(counts)) for pointer in pointers)
            found[name] = next((value for value in values if value is not None), None)
        return Usage(**found, raw=counts)


def _compiled(text: str | None) -> Pointer | None:
    return None if text is None else Pointer(text)
