"""ChatRequest to the body of a chat completion.

| ours                        | on the wire                                                        |
|-----------------------------|--------------------------------------------------------------------|
| only text                   | `content` is one string                                            |
| text and images             | `content` is a list of blocks, data as `data:` URLs                |
| call                        | `tool_calls`, the arguments as a string of JSON                    |
| result                      | one message with the role `tool` each; an error says so in its text |
| thinking                    | left out: no field of this API takes it back                       |
| opaque, `replay`            | the fields that came with it; left out if from another vendor      |
| cache marks                 | left out: the vendor finds prefixes by itself                      |

What has no place there raises InvalidInput; nothing else is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tako.errors import InvalidInput
from tako.models import (
    ChatRequest,
    ImagePart,
    ImageUrlPart,
    Message,
    OpaquePart,
    Part,
    Replay,
    Role,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolSchema,
)
from tako.providers.body import (
    chosen_tool,
    join_body,
    json_bytes,
    json_text,
    merge_extra,
    misplaced,
    only_text,
    vendor_tools,
)
from tako.providers.chat_completions.strict import is_strict, schema_name

__all__ = ["CODEC", "VENDOR", "encode_body", "encode_message", "encode_tool"]

OWNER: Final = "OpenAI"
VENDOR: Final = "openai"
"""Whose replay data is sent back."""
CODEC: Final = "openai.chat"
"""For whom an encoded message is kept."""

REASONING_FAMILIES: Final = ("gpt-5", "o1", "o3", "o4")


def encode_body(request: ChatRequest, *, model: str, stream: bool, max_tokens_field: str) -> bytes:
    """The body; raises InvalidInput for what OpenAI cannot be asked."""
    messages = [data for message in request.messages if (data := message.encoded(CODEC, encode_message))]
    if not messages:
        raise InvalidInput(f"{OWNER}: messages: there is nothing to send")
    theirs, extra = vendor_tools(OWNER, request.extra)
    tools = [tool.encoded(CODEC, encode_tool) for tool in request.tools]
    tools += [json_bytes(tool, "extra: tools") for tool in theirs]
    fields = _fields(request, model, max_tokens_field)
    if stream:
        fields["stream"] = True
        fields["stream_options"] = {"include_usage": True}
    merge_extra(OWNER, fields, extra, ("messages", "stream"))
    return join_body(fields, (("messages", messages), ("tools", tools)))


def _fields(request: ChatRequest, model: str, max_tokens_field: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"model": model}
    if request.max_tokens is not None:
        fields[_limit_field(max_tokens_field, model)] = request.max_tokens
    for name in ("temperature", "top_p", "seed"):
        value = getattr(request, name)
        if value is not None:
            fields[name] = value
    if request.stop:
        fields["stop"] = request.stop
    if request.metadata:
        fields["metadata"] = request.metadata
    tool = chosen_tool(OWNER, request)
    if tool is not None:
        fields["tool_choice"] = {"type": "function", "function": {"name": tool}}
    elif request.tool_choice is not None and (request.tools or request.extra.get("tools")):
        fields["tool_choice"] = request.tool_choice
    if request.output_schema is not None:
        fields["response_format"] = _response_format(request.output_schema)
    return fields


def _limit_field(field: str, model: str) -> str:
    """The name of max_tokens: reasoning models refuse the old one, compatible servers the new one."""
    if field != "auto":
        return field
    family = model.removeprefix("ft:").removeprefix("openai/")
    return "max_completion_tokens" if family.startswith(REASONING_FAMILIES) else "max_tokens"


def _response_format(schema: dict[str, Any]) -> dict[str, Any]:
    strict = is_strict(schema)
    json_schema = {"name": schema_name(schema), "schema": schema, "strict": strict}
    return {"type": "json_schema", "json_schema": json_schema}


def encode_tool(tool: ToolSchema) -> bytes:
    """One element of `tools`."""
    function = {"name": tool.name, "description": tool.description, "parameters": tool.input_schema}
    return json_bytes({"type": "function", "function": function}, f"the schema of tool {tool.name!r}")


def encode_message(message: Message) -> bytes:
    """The elements of `messages` for one message, joined by commas; none for an empty assistant's."""
    match message.role:
        case Role.SYSTEM:
            return _object({"role": "system", "content": only_text(OWNER, message)})
        case Role.USER:
            return _object({"role": "user", "content": _user_content(message)})
        case Role.ASSISTANT:
            return _assistant(message)
        case Role.TOOL:
            return b",".join([_tool_result(message, part) for part in message.content])


def _object(fields: Mapping[str, Any]) -> bytes:
    return json_bytes(fields, "a message")


def _user_content(message: Message) -> str | list[dict[str, Any]]:
    if all(type(part) is TextPart for part in message.content):
        return message.text
    return [_user_block(message, part) for part in message.content]


def _user_block(message: Message, part: Part) -> dict[str, Any]:
    match part:
        case TextPart(text=text):
            return {"type": "text", "text": text}
        case ImagePart(mime=mime, data_b64=data):
            return {"type": "image_url", "image_url": {"url": f"data:{mime};base64,{data}"}}
        case ImageUrlPart(url=url):
            return {"type": "image_url", "image_url": {"url": url}}
        case _:
            raise misplaced(OWNER, message, part)


def _assistant(message: Message) -> bytes:
    fields: dict[str, Any] = {}
    calls: list[dict[str, Any]] = []
    for part in message.content:
        match part:
            case ToolCallPart():
                calls.append(_tool_call(part))
            case OpaquePart(replay=Replay(vendor="openai", data=data)):
                fields.update(_assistant_fields(data))
            case TextPart() | ThinkingPart() | OpaquePart():
                pass  # text is joined below; the other two belong to other vendors
            case _:
                raise misplaced(OWNER, message, part)
    text = message.text
    if calls:
        fields["tool_calls"] = calls
    if not text and not fields:
        return b""
    return _object({"role": "assistant", "content": text or None, **fields})


def _assistant_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an answer that are sent back; of its audio, the vendor wants the id alone."""
    fields = dict(data)
    audio = fields.get("audio")
    if isinstance(audio, dict):
        fields["audio"] = {"id": audio.get("id")}
    return fields


def _tool_call(part: ToolCallPart) -> dict[str, Any]:
    extras = part.replay.data if part.replay and part.replay.vendor == VENDOR else {}
    arguments = json_text(part.args, f"the arguments of {part.name!r}")
    if extras.get("type") == "custom":
        return {**extras, "id": part.id, "custom": {"name": part.name, "input": arguments}}
    return {
        "type": "function",
        **extras,
        "id": part.id,
        "function": {"name": part.name, "arguments": arguments},
    }


def _tool_result(message: Message, part: Part) -> bytes:
    if type(part) is not ToolResultPart:
        raise misplaced(OWNER, message, part)
    text = json_text(part.result, f"the result of {part.name or part.id!r}")
    if part.is_error:
        # This API has no field for it, and the model has to know.
        text = f"Error: {text}"
    return _object({"role": "tool", "tool_call_id": part.id, "content": text})
