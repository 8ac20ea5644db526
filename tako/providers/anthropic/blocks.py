"""A message or a tool as JSON of the Messages API, which is kept with it.

| ours                     | block                                                                   |
|--------------------------|-------------------------------------------------------------------------|
| text                     | `text`, with the citations that this vendor made                        |
| image, image_url         | `image`; a `data:` URL is taken apart, because this vendor takes none   |
| document: base64 of PDF  | `document` from `base64`                                                |
| document: text, or its   | `document` from `text`                                                  |
| base64                   |                                                                         |
| document: url, file_id   | `document` from `url` (PDF only), from `file`                           |
| tool_call                | `tool_use`; what is no object is wrapped, as INVALID_JSON               |
| tool_result              | `tool_result` with `content` as blocks, or else the result as text; an  |
|                          | error that says nothing says so                                         |
| thinking, opaque         | the vendor's own, as it came; of another vendor: left out of an         |
|                          | assistant's message, and an error in a user's                           |
| blank text               | none: the vendor refuses it, and its own answers hold such text         |
| audio, video             | InvalidInput                                                            |

Cache marks go with every block that has a place for one. An image in a file of the vendor's, a
search result or a file for the container is an opaque part of a user's message or a tool's result.
"""

from __future__ import annotations

import base64
import re
from typing import Any, Final, TypeGuard

from tako.errors import InvalidInput
from tako.models import (
    CacheControl,
    DocumentPart,
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
from tako.parts import Replay
from tako.providers.body import json_bytes, json_text, misplaced, only_text
from tako.providers.urls import data_of, inline_image

__all__ = [
    "CODEC",
    "INLINE_CODEC",
    "OWNER",
    "VENDOR",
    "encode_blocks",
    "encode_inline_blocks",
    "encode_tool",
]

OWNER: Final = "Anthropic"
VENDOR: Final = "anthropic"
"""Whose replay data is sent back."""
CODEC: Final = "anthropic.messages"
"""For whom an encoded message is kept."""
INLINE_CODEC: Final = "anthropic.messages.inline"
"""The same for a host that fetches nothing: what is kept may hold no address."""

IMAGES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
PDF: Final = "application/pdf"
SILENT_ERROR: Final = "The tool failed and said nothing."
"""What an error says that has no words, because the vendor refuses one without."""
NOT_IN_IDS: Final = re.compile(r"[^a-zA-Z0-9_-]")


def encode_tool(tool: ToolSchema) -> bytes:
    """One element of `tools`."""
    fields: dict[str, Any] = {"name": tool.name}
    if tool.description:
        fields["description"] = tool.description
    fields["input_schema"] = tool.input_schema
    if tool.strict is not None:
        fields["strict"] = tool.strict
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


def encode_inline_blocks(message: Message) -> bytes:
    """The same for a host that fetches no address; raises InvalidInput for one."""
    for part in message.content:
        for inner in (part, *(part.content if type(part) is ToolResultPart else ())):
            url = inner.url if isinstance(inner, ImageUrlPart | DocumentPart) else None
            if url is not None and data_of(url) is None:
                raise InvalidInput(
                    f"{OWNER}: {inner.type}: this host fetches no address; give the data itself, "
                    "or allow tako to fetch it (url_prefetch=True)"
                )
    return encode_blocks(message)


def _marked(block: dict[str, Any], mark: CacheControl | None) -> dict[str, Any]:
    if mark is not None:
        block["cache_control"] = (
            {"type": mark.type} if mark.ttl is None else {"type": mark.type, "ttl": mark.ttl}
        )
    return block


def _text(part: TextPart) -> dict[str, Any] | None:
    if not part.text.strip():
        return None
    block: dict[str, Any] = {"type": "text", "text": part.text}
    cited = [citation.replay.data for citation in part.citations if _is_ours(citation.replay)]
    if cited:
        block["citations"] = cited
    return _marked(block, part.cache_control)


def _shown_block(message: Message, part: Part) -> dict[str, Any] | None:
    """The block of something that the model is shown, by a user or by a tool."""
    match part:
        case TextPart():
            return _text(part)
        case ImagePart(mime=mime, data_b64=data):
            if mime not in IMAGES:
                raise InvalidInput(f"{OWNER}: image: should be one of {', '.join(IMAGES)}, not {mime!r}")
            return _marked({"type": "image", "source": _base64(mime, data)}, part.cache_control)
        case ImageUrlPart():
            return _marked({"type": "image", "source": _image_source(part)}, part.cache_control)
        case DocumentPart():
            return _document(part)
        case OpaquePart(replay=replay):
            if not _is_ours(replay):
                raise InvalidInput(
                    f"{OWNER}: a {message.role.value} message holds a block of {replay.vendor!r}; "
                    "leave it out, or write it in Anthropic's words"
                )
            return replay.data
        case _:
            raise misplaced(OWNER, message, part)


def _base64(mime: str, data: str) -> dict[str, Any]:
    return {"type": "base64", "media_type": mime, "data": data}


def _image_source(part: ImageUrlPart) -> dict[str, Any]:
    if part.url[:5].lower() == "data:":
        return _base64(*inline_image(OWNER, part, IMAGES))
    return {"type": "url", "url": part.url}


def _document(part: DocumentPart) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "document", "source": _document_source(part)}
    for name, value in (("title", part.title), ("context", part.context)):
        if value is not None:
            block[name] = value
    if part.citations is not None:
        block["citations"] = {"enabled": part.citations}
    return _marked(block, part.cache_control)


def _document_source(part: DocumentPart) -> dict[str, Any]:
    """Where a document comes from; raises InvalidInput for a type that this vendor does not read."""
    if part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    if part.text is not None:
        return {"type": "text", "media_type": "text/plain", "data": part.text}
    mime, data = part.mime, part.data_b64
    if part.url is not None:
        inline = data_of(part.url)
        if inline is None:
            if mime != PDF:
                raise _unreadable(mime, "by its address")
            return {"type": "url", "url": part.url}
        mime, data = inline
    if mime == PDF:
        return _base64(mime, data or "")
    if not mime.startswith("text/"):
        raise _unreadable(mime, "as base64")
    try:
        text = base64.b64decode(data or "").decode()
    except ValueError:
        raise InvalidInput(f"{OWNER}: document: a {mime} document should be UTF-8") from None
    return {"type": "text", "media_type": "text/plain", "data": text}


def _unreadable(mime: str, given: str) -> InvalidInput:
    return InvalidInput(
        f"{OWNER}: document: {mime} cannot be given {given}; give a PDF, the text itself, or a file_id"
    )


def _assistant_block(message: Message, part: Part) -> dict[str, Any] | None:
    match part:
        case TextPart():
            return _text(part)
        case ThinkingPart(text=text, replay=replay):
            # Without the vendor's signature it would be refused.
            return {"type": "thinking", "thinking": text, **replay.data} if _is_ours(replay) else None
        case OpaquePart(replay=replay):
            return replay.data if _is_ours(replay) else None
        case ToolCallPart(replay=replay):
            extras = replay.data if _is_ours(replay) else {}
            call = {"id": _wire_id(part.id), "name": part.name, "input": _input(part)}
            return {"type": "tool_use", **extras, **call}
        case _:
            raise misplaced(OWNER, message, part)


def _is_ours(replay: Replay | None) -> TypeGuard[Replay]:
    return replay is not None and replay.vendor == VENDOR


def _input(part: ToolCallPart) -> dict[str, Any]:
    """The arguments as an object. The model may have written something else, and that has to remain
    a call that can be sent: Anthropic's documentation of fine-grained tool streaming says how."""
    return part.args if isinstance(part.args, dict) else {"INVALID_JSON": part.args}


def _wire_id(call_id: str) -> str:
    """The id in the letters that this vendor allows; other vendors' ids hold dots and colons."""
    return NOT_IN_IDS.sub("_", call_id) or "_"


def _result_block(message: Message, part: Part) -> dict[str, Any]:
    if type(part) is not ToolResultPart:
        raise misplaced(OWNER, message, part)
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": _wire_id(part.id)}
    content: str | list[dict[str, Any]]
    if part.content:
        content = [shown for inner in part.content if (shown := _shown_block(message, inner))]
    else:
        content = json_text(part.result, f"the result of {part.name or part.id!r}")
    if isinstance(content, str) and not content.strip():
        content = ""
    if part.is_error:
        block["is_error"] = True
        content = content or SILENT_ERROR
    if content:
        block["content"] = content
    return _marked(block, part.cache_control)


_BLOCK_OF = {
    Role.SYSTEM: _shown_block,
    Role.USER: _shown_block,
    Role.ASSISTANT: _assistant_block,
    Role.TOOL: _result_block,
}
