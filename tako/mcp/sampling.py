"""Sampling: a server asks for an answer of a model, and gets it from a tako provider.

`SamplingRequest` is what the server asks, in tako's own terms, for whoever approves it. The provider's own
model is asked, whatever the server would like: its preferences are shown to who approves, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

from tako.effects import Flow, call
from tako.errors import InvalidInput
from tako.mcp.catalogue import Content, needed, optional
from tako.mcp.errors import McpError
from tako.models import ChatRequest, ChatResponse, Message, Role, ToolSchema
from tako.parts import ImagePart, Part, ResultPart, TextPart, ToolCallPart, ToolResultPart
from tako.providers.base import Provider
from tako.wire.jsonrpc import INVALID_PARAMS

__all__ = ["SamplingRequest", "sampling_answer"]

Json: TypeAlias = Any

REFUSED: Final = -1
"""The code that the specification has for "the user said no"."""

STOP_REASONS: Final = {"stop": "endTurn", "length": "maxTokens", "tool_calls": "toolUse"}


@dataclass(frozen=True, slots=True)
class SamplingRequest:
    """What a server wants a model to be asked.

    hints  the models that it would like, by parts of their names
    """

    request: ChatRequest
    hints: tuple[str, ...] = ()
    raw: Mapping[str, Json] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, params: Mapping[str, Json]) -> SamplingRequest:
        messages: list[Message] = []
        system = optional(params, "systemPrompt", str)
        if system:
            messages.append(Message.system(system))
        names: dict[str, str] = {}
        for raw in needed(params, "messages", list, "a sampling request"):
            messages += _messages(raw, names)
        choice = (optional(params, "toolChoice", dict) or {}).get("mode")
        request = ChatRequest(
            messages=messages,
            tools=[_tool(raw) for raw in optional(params, "tools", list) or ()],
            tool_choice=choice if choice in ("auto", "required", "none") else None,
            max_tokens=optional(params, "maxTokens", int),
            temperature=optional(params, "temperature", int | float),
            stop=tuple(optional(params, "stopSequences", list) or ()),
        )
        preferences = optional(params, "modelPreferences", dict) or {}
        hints = [
            hint.get("name") for hint in optional(preferences, "hints", list) or () if isinstance(hint, dict)
        ]
        return cls(request, tuple(hint for hint in hints if isinstance(hint, str)), params)


def sampling_answer(
    sampling: Provider | Callable[[ChatRequest], Any],
    approve: Callable[[SamplingRequest], Any] | None,
    params: Mapping[str, Json],
) -> Flow[Json]:
    """The result of sampling/createMessage; raises McpError if it is refused."""
    try:
        asked = SamplingRequest.of(params)
    except InvalidInput as error:
        raise McpError(error.message, INVALID_PARAMS) from error
    if approve is not None and (yield from call(approve, asked)) is not True:
        raise McpError("the user has rejected the sampling request", REFUSED)
    if isinstance(sampling, Provider):
        response = yield from sampling.chat_flow(asked.request)
        return _result(response, response.model or sampling.model)
    answered = yield from call(sampling, asked.request)
    if isinstance(answered, str):
        answered = ChatResponse(message=Message.assistant(answered))
    if not isinstance(answered, ChatResponse):
        raise TypeError(f"sampling should give a ChatResponse or text, not {type(answered).__name__}")
    return _result(answered, answered.model or "host")


def _result(response: ChatResponse, model: str) -> Json:
    content = [block for part in response.message.content if (block := _block(part)) is not None]
    content = content or [{"type": "text", "text": ""}]
    return {
        "role": "assistant",
        # Revisions before 2025-11-25 know one block alone.
        "content": content[0] if len(content) == 1 else content,
        "model": model,
        "stopReason": STOP_REASONS.get(response.finish_reason, response.finish_reason),
    }


def _block(part: Part) -> Json:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart():
            return {"type": "image", "mimeType": part.mime, "data": part.data_b64}
        case ToolCallPart():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.args}
    return None


def _messages(raw: Json, names: dict[str, str]) -> Sequence[Message]:
    """A message of the server's; results of tools are messages of their own in tako.

    `names` are those of the tools that were called so far, by the id of the call: results do not say them.
    """
    role = needed(raw, "role", str, "a message")
    content = raw.get("content")
    blocks = content if isinstance(content, list) else [content]
    results = [_tool_result(block, names) for block in blocks if _kind(block) == "tool_result"]
    parts = [_part(block) for block in blocks if _kind(block) != "tool_result"]
    names.update((part.id, part.name) for part in parts if isinstance(part, ToolCallPart))
    found: list[Message] = [Message.tool(results)] if results else []
    if parts:
        found.append(Message(role=Role.ASSISTANT if role == "assistant" else Role.USER, content=parts))
    return found


def _kind(block: Json) -> Json:
    return block.get("type") if isinstance(block, Mapping) else None


def _part(block: Json) -> Part:
    if _kind(block) == "tool_use":
        return ToolCallPart(
            id=needed(block, "id", str, "a call of a tool"),
            name=needed(block, "name", str, "a call of a tool"),
            args=needed(block, "input", dict, "a call of a tool"),
        )
    return Content.of(block).part()


def _tool_result(block: Json, names: Mapping[str, str]) -> ToolResultPart:
    id = needed(block, "toolUseId", str, "the result of a tool")
    pieces = [Content.of(piece) for piece in optional(block, "content", list) or ()]
    is_text = all(piece.kind == "text" for piece in pieces)
    return ToolResultPart(
        id=id,
        name=names.get(id, "tool"),
        result="".join([piece.text or "" for piece in pieces]),
        content=() if is_text else cast("tuple[ResultPart, ...]", tuple([piece.part() for piece in pieces])),
        is_error=optional(block, "isError", bool) or False,
    )


def _tool(raw: Json) -> ToolSchema:
    return ToolSchema(
        name=needed(raw, "name", str, "a tool"),
        description=optional(raw, "description", str) or "",
        input_schema=needed(raw, "inputSchema", dict, "a tool"),
    )
