"""ChatRequest to the body of a call of the Messages API.

| ours                    | on the wire                                                            |
|-------------------------|------------------------------------------------------------------------|
| system messages         | `system`, blocks of all of them in order                               |
| user                    | `user`; images as base64 or by address                                 |
| tool                    | `user`, `tool_result` blocks; tool messages in a row are one message   |
| assistant               | `assistant`; calls as `tool_use`                                       |
| thinking, opaque        | the vendor's own, as they came; left out if from another vendor        |
| cache marks             | on text, images, results, tools                                        |
| blank text, no content  | left out: the vendor refuses it, and its own answers hold such text    |

What has no place there raises InvalidInput; nothing else is left out.
"""

from __future__ import annotations

import re
from typing import Any, Final

from tako.errors import InvalidInput
from tako.models import (
    CacheControl,
    ChatRequest,
    ImagePart,
    ImageUrlPart,
    Message,
    OpaquePart,
    Part,
    Role,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolSchema,
)
from tako.parts import IMAGE_TYPES
from tako.providers.anthropic.schema import closed_schema
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

__all__ = ["CODEC", "VENDOR", "encode_blocks", "encode_body", "encode_tool"]

OWNER: Final = "Anthropic"
VENDOR: Final = "anthropic"
"""Whose replay data is sent back."""
CODEC: Final = "anthropic.messages"
"""For whom an encoded message is kept."""

SYSTEM, TOOL = Role.SYSTEM, Role.TOOL  # looking a member up costs, and it is done for each message
NOT_IN_IDS: Final = re.compile(r"[^a-zA-Z0-9_-]")
DATA_URL: Final = re.compile(r"(?i)data:([^;,]*);base64,(.*)", re.DOTALL)
CHOICES: Final = {"auto": "auto", "required": "any", "none": "none"}


def encode_body(request: ChatRequest, *, model: str, stream: bool, default_max_tokens: int) -> bytes:
    """The body; raises InvalidInput for what Anthropic cannot be asked."""
    system, messages = _conversation(request)
    if not messages:
        raise InvalidInput(f"{OWNER}: messages: there is nothing to send but system messages")
    theirs, extra = vendor_tools(OWNER, request.extra)
    tools = [tool.encoded(CODEC, encode_tool) for tool in request.tools]
    tools += [json_bytes(tool, "extra: tools") for tool in theirs]
    fields = _fields(request, model, default_max_tokens)
    if stream:
        fields["stream"] = True
    merge_extra(OWNER, fields, extra, ("messages", "stream", "system"))
    return join_body(fields, (("system", system), ("messages", messages), ("tools", tools)))


def _conversation(request: ChatRequest) -> tuple[list[bytes], list[bytes]]:
    """The elements of `system` and of `messages`. Every call of a turn has its result in one message."""
    system: list[bytes] = []
    messages: list[bytes] = []
    results: list[bytes] = []
    for message in request.messages:
        data = message.encoded(CODEC, encode_blocks)
        role = message.role
        if role is TOOL:
            if data:
                results.append(data)
        elif role is SYSTEM:
            if data:
                system.append(data)
        elif data:
            if results:
                messages.append(_user_message(results))
                results = []
            messages.append(data)
    if results:
        messages.append(_user_message(results))
    return system, messages


def _user_message(blocks: list[bytes]) -> bytes:
    return b'{"role":"user","content":[%s]}' % b",".join(blocks)


def _fields(request: ChatRequest, model: str, default_max_tokens: int) -> dict[str, Any]:
    if request.seed is not None:
        raise InvalidInput(f"{OWNER}: seed: this vendor has none; leave it out")
    fields: dict[str, Any] = {"model": model, "max_tokens": request.max_tokens or default_max_tokens}
    for name in ("temperature", "top_p"):
        value = getattr(request, name)
        if value is not None:
            fields[name] = value
    if request.stop:
        fields["stop_sequences"] = request.stop
    if request.metadata:
        unknown = request.metadata.keys() - {"user_id"}
        if unknown:
            raise InvalidInput(f"{OWNER}: metadata: this vendor takes user_id only, not {sorted(unknown)}")
        fields["metadata"] = request.metadata
    tool = chosen_tool(OWNER, request)
    if tool is not None:
        fields["tool_choice"] = {"type": "tool", "name": tool}
    elif request.tool_choice is not None and (request.tools or request.extra.get("tools")):
        fields["tool_choice"] = {"type": CHOICES[request.tool_choice]}
    if request.output_schema is not None:
        format = {"type": "json_schema", "schema": closed_schema(request.output_schema)}
        fields["output_config"] = {"format": format}
    return fields


def encode_tool(tool: ToolSchema) -> bytes:
    """One element of `tools`."""
    fields = {"name": tool.name, "description": tool.description, "input_schema": tool.input_schema}
    return json_bytes(_marked(fields, tool.cache_control), f"the schema of tool {tool.name!r}")


def encode_blocks(message: Message) -> bytes:
    """What is kept of a message: for user and assistant the element of `messages`; for system and
    tool, which become part of something larger, the blocks alone, joined by commas."""
    if message.role is Role.SYSTEM:
        only_text(OWNER, message)
    block_of = _BLOCK_OF[message.role]
    blocks = [block for part in message.content if (block := block_of(message, part))]
    if not blocks:
        return b""
    if message.role in (Role.SYSTEM, Role.TOOL):
        return json_bytes(blocks, "a message")[1:-1]
    return json_bytes({"role": message.role.value, "content": blocks}, "a message")


def _marked(block: dict[str, Any], mark: CacheControl | None) -> dict[str, Any]:
    if mark is not None:
        block["cache_control"] = (
            {"type": mark.type} if mark.ttl is None else {"type": mark.type, "ttl": mark.ttl}
        )
    return block


def _text(part: TextPart) -> dict[str, Any] | None:
    if not part.text.strip():
        return None
    return _marked({"type": "text", "text": part.text}, part.cache_control)


def _user_block(message: Message, part: Part) -> dict[str, Any] | None:
    match part:
        case TextPart():
            return _text(part)
        case ImagePart(mime=mime, data_b64=data):
            source = {"type": "base64", "media_type": mime, "data": data}
            return _marked({"type": "image", "source": source}, part.cache_control)
        case ImageUrlPart(url=url):
            return _marked({"type": "image", "source": _source(url)}, part.cache_control)
        case _:
            raise misplaced(OWNER, message, part)


def _source(url: str) -> dict[str, Any]:
    """Where an image comes from; a `data:` URL is taken apart, because this vendor takes none."""
    if url[:5].lower() != "data:":
        return {"type": "url", "url": url}
    found = DATA_URL.fullmatch(url)
    if found is None or found[1].lower() not in IMAGE_TYPES:
        raise InvalidInput(
            f"{OWNER}: image_url: a data: URL should hold base64 of one of {', '.join(IMAGE_TYPES)}, "
            f"not {url[:40]!r}"
        )
    return {"type": "base64", "media_type": found[1].lower(), "data": found[2]}


def _assistant_block(message: Message, part: Part) -> dict[str, Any] | None:
    match part:
        case TextPart():
            return _text(part)
        case ThinkingPart(text=text, replay=replay):
            # Without the vendor's signature it would be refused.
            return (
                {"type": "thinking", "thinking": text, **replay.data} if _is_ours(part) and replay else None
            )
        case OpaquePart(replay=replay):
            return replay.data if _is_ours(part) else None
        case ToolCallPart():
            extras = part.replay.data if part.replay and _is_ours(part) else {}
            return {
                "type": "tool_use",
                **extras,
                "id": _wire_id(part.id),
                "name": part.name,
                "input": _input(part),
            }
        case _:
            raise misplaced(OWNER, message, part)


def _is_ours(part: ThinkingPart | OpaquePart | ToolCallPart) -> bool:
    return part.replay is not None and part.replay.vendor == VENDOR


def _input(part: ToolCallPart) -> dict[str, Any]:
    """The arguments as an object. The model may have written something else, and that has to remain
    a call that can be sent, so it is wrapped as Anthropic's documentation says."""
    return part.args if isinstance(part.args, dict) else {"INVALID_JSON": part.args}


def _wire_id(call_id: str) -> str:
    """The id in the letters that this vendor allows; other vendors' ids hold dots and colons."""
    return NOT_IN_IDS.sub("_", call_id) or "_"


def _tool_block(message: Message, part: Part) -> dict[str, Any]:
    if type(part) is not ToolResultPart:
        raise misplaced(OWNER, message, part)
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": _wire_id(part.id)}
    text = json_text(part.result, f"the result of {part.name or part.id!r}")
    if text:
        block["content"] = text
    if part.is_error:
        block["is_error"] = True
    return _marked(block, part.cache_control)


_BLOCK_OF = {
    Role.SYSTEM: _user_block,
    Role.USER: _user_block,
    Role.ASSISTANT: _assistant_block,
    Role.TOOL: _tool_block,
}
