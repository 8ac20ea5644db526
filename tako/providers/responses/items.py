"""A Message to the elements of `input`: in this API a conversation is a list of items, not of messages.

| ours                         | on the wire                                                              |
|------------------------------|--------------------------------------------------------------------------|
| system, not at the beginning | a `message` with the role `system`, or `developer` (see Dialect)         |
| user                         | a `message`: text alone as a string, otherwise a list of `input_...`      |
| image                        | `input_image`: a `data:` URL or an address, and the detail               |
| document                     | `input_file`: data with a name, an address, or an id; a text as text     |
| assistant's text             | a `message`; with its id, phase and annotations if it came from here     |
| call                         | `function_call`, or `custom_tool_call` if it came as one                 |
| result                       | `function_call_output` or `custom_tool_call_output`: text, or a list     |
| thinking                     | the `reasoning` item as it came; left out where it would be refused      |
| opaque                       | the item as it came; left out if from another vendor                     |
| a user's opaque part         | an `input_...` block of its message, anything else an item of its own    |

Reasoning is left out where it is another vendor's, where it is the last of what the model said (the
API wants to see the item that it led to, which there is none of after a cancel), and where nothing
of it could be found again: it was not stored, and there is no encrypted or plain content.
What has no place there raises InvalidInput; nothing else is left out but marks for the cache.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, TypeAlias

from tako.errors import InvalidInput
from tako.models import (
    AudioPart,
    DocumentPart,
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
)
from tako.providers.body import json_bytes, json_text, misplaced, only_text
from tako.providers.responses.dialect import Dialect

__all__ = ["CUSTOM_CALL", "encode_items"]

Item: TypeAlias = dict[str, Any]

CUSTOM_CALL: Final = "custom_tool_call"
ENDINGS: Final = {"application/pdf": "pdf", "text/plain": "txt", "text/markdown": "md", "text/html": "html"}


def encode_items(message: Message, dialect: Dialect, *, stores: bool, custom: Collection[str] = ()) -> bytes:
    """The elements of `input` for one message, joined by commas; `custom` are the ids of custom calls."""
    items: list[Item]
    match message.role:
        case Role.SYSTEM:
            text = only_text(dialect.owner, message)
            items = [_message(dialect.system_role, text)] if text else []
        case Role.USER:
            items = _user(message, dialect)
        case Role.ASSISTANT:
            items = _assistant(message, dialect, stores=stores)
        case Role.TOOL:
            items = [_result(message, part, dialect, custom) for part in message.content]
    return json_bytes(items, "a message")[1:-1] if items else b""


def _message(role: str, content: str | list[Item]) -> Item:
    return {"type": "message", "role": role, "content": content}


def _is_ours(replay: Replay | None, dialect: Dialect) -> bool:
    return replay is not None and replay.vendor == dialect.vendor


def _user(message: Message, dialect: Dialect) -> list[Item]:
    items: list[Item] = []
    blocks: list[Item] = []
    for part in message.content:
        found = _blocks(message, part, dialect)
        if type(part) is OpaquePart and not str(found[0].get("type")).startswith("input_"):
            items += _of_user(blocks)
            items += found
            blocks = []
        else:
            blocks += found
    return items + _of_user(blocks)


def _of_user(blocks: list[Item]) -> list[Item]:
    if not blocks:
        return []
    (first, *rest) = blocks
    is_text = not rest and first.keys() == {"type", "text"}
    return [_message("user", first["text"] if is_text else blocks)]


def _text(text: str) -> Item:
    return {"type": "input_text", "text": text}


def _blocks(message: Message, part: Part, dialect: Dialect) -> list[Item]:
    """The blocks of a part that the model is given to read or to see."""
    match part:
        case TextPart(text=text):
            return [_text(text)]
        case ImagePart(mime=mime, data_b64=data):
            return [_image(f"data:{mime};base64,{data}", part.detail)]
        case ImageUrlPart(url=url):
            return [_image(url, part.detail)]
        case DocumentPart():
            return _document(part, dialect)
        case OpaquePart(replay=replay) if _is_ours(replay, dialect):
            return [replay.data]
        case _:
            raise misplaced(dialect.owner, message, part)


def _image(url: str, detail: str | None) -> Item:
    return {"type": "input_image", "image_url": url, "detail": detail or "auto"}


def _document(part: DocumentPart, dialect: Dialect) -> list[Item]:
    if part.citations:
        raise InvalidInput(f"{dialect.owner}: document: citations cannot be asked for; leave them out")
    if part.text is not None:
        told = [text for text in (part.title, part.context, part.text) if text]
        return [_text("\n\n".join(told))]
    before = [_text(part.context)] if part.context else []
    data = f"data:{part.mime};base64,{part.data_b64}" if part.data_b64 is not None else part.url
    if data is not None and data[:5].lower() == "data:":
        name = part.title or f"document.{ENDINGS.get(part.mime, part.mime.partition('/')[2])}"
        return [*before, {"type": "input_file", "filename": name, "file_data": data}]
    # A name goes with data only, so the model is told it beside the file.
    titled = [_text(part.title)] if part.title else []
    source = {"file_id": part.file_id} if part.file_id is not None else {"file_url": part.url}
    return [*titled, *before, {"type": "input_file", **source}]


def _assistant(message: Message, dialect: Dialect, *, stores: bool) -> list[Item]:
    items: list[Item] = []
    for part in message.content:
        match part:
            case TextPart():
                _add_text(items, part, dialect)
            case ThinkingPart(replay=replay):
                if replay is not None and _is_ours(replay, dialect):
                    items += _reasoning(replay.data, stores=stores)
            case OpaquePart(replay=replay):
                if _is_ours(replay, dialect):
                    items.append(replay.data)
            case ToolCallPart():
                items.append(_call(part, dialect))
            case AudioPart(transcript=str() as transcript):
                items.append(_message("assistant", transcript))
            case _:
                raise misplaced(dialect.owner, message, part)
    while items and items[-1].get("type") == "reasoning":
        items.pop()
    return items


def _add_text(items: list[Item], part: TextPart, dialect: Dialect) -> None:
    """Add a text as a message, or to the message before it if they were one."""
    replay = part.replay
    if replay is None or not _is_ours(replay, dialect):
        if part.text:
            items.append(_message("assistant", part.text))
        return
    facts, block = replay.data["message"], dict(replay.data["part"])
    if block.get("type") == "refusal":
        block["refusal"] = part.text
    else:
        cited = [citation.replay for citation in part.citations]
        block["text"] = part.text
        block["annotations"] = [found.data for found in cited if found and _is_ours(found, dialect)]
    if items and items[-1].get("type") == "message" and items[-1].get("id") == facts["id"]:
        items[-1]["content"].append(block)
    else:
        items.append({**facts, "content": [block]})


def _reasoning(item: Mapping[str, Any], *, stores: bool) -> list[Item]:
    if not (stores or item.get("encrypted_content") or item.get("content")):
        return []
    # The API gives null for what there is none of, and refuses some of these when it gets them back.
    return [{name: value for name, value in item.items() if value is not None}]


def _call(part: ToolCallPart, dialect: Dialect) -> Item:
    extras = part.replay.data if part.replay and _is_ours(part.replay, dialect) else {}
    said = json_text(part.args, f"the arguments of {part.name!r}")
    field = "input" if extras.get("type") == CUSTOM_CALL else "arguments"
    return {"type": "function_call", **extras, "call_id": part.id, "name": part.name, field: said}


def _result(message: Message, part: Part, dialect: Dialect, custom: Collection[str]) -> Item:
    if type(part) is not ToolResultPart:
        raise misplaced(dialect.owner, message, part)
    kind = "custom_tool_call_output" if part.id in custom else "function_call_output"
    return {"type": kind, "call_id": part.id, "output": _output(message, part, dialect)}


def _output(message: Message, part: ToolResultPart, dialect: Dialect) -> str | Sequence[Item]:
    # This API has no field for a failure, and the model has to know.
    if not part.content:
        text = json_text(part.result, f"the result of {part.name or part.id!r}")
        return f"Error: {text}" if part.is_error else text
    blocks = [_text("Error:")] if part.is_error else []
    for item in part.content:
        blocks += _blocks(message, item, dialect)
    return blocks
