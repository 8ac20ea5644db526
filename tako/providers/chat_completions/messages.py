"""A Message to the elements of `messages`.

| ours                     | on the wire                                                                |
|--------------------------|----------------------------------------------------------------------------|
| only text                | `content` is one string; a blank line between the parts of a system's      |
| text and media           | `content` is a list of blocks, data as `data:` URLs                        |
| sound                    | `input_audio`: the data and its format; an answer's own sound by its id    |
| document                 | `file`: the data and a name, or an id; one that is text is a block of text |
| call                     | `tool_calls`, the arguments as a string of JSON                            |
| result                   | one message with the role `tool` each; an error says so in its text        |
| media in a result        | a user's message after all results: the API takes text alone in a result   |
| thinking                 | the field it came in, for a service that wants it back; else left out      |
| opaque, `replay`         | the fields that came with it; left out if from another vendor              |
| a user's opaque part     | the block as it is; InvalidInput if another vendor's                       |
| cache marks              | on the blocks, for a service that has them; else left out                  |

What has no place there raises InvalidInput; nothing else is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from tako.errors import InvalidInput
from tako.models import (
    AudioPart,
    CacheControl,
    DocumentPart,
    ImagePart,
    Message,
    OpaquePart,
    Part,
    Replay,
    Role,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    VideoPart,
)
from tako.parts import ImageUrlPart
from tako.providers.body import json_bytes, json_text, misplaced, only_text
from tako.providers.chat_completions.dialect import Dialect

__all__ = ["LEGACY_ID", "encode_message", "in_order", "user_blocks"]

LEGACY_ID: Final = "call_of_function_"
"""How ids begin that are made up for the one call of models from before 2024, which has none. The id
tells that the result goes back as it did then, with the role `function`."""

AUDIO_FORMATS: Final = {
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/x-wav": "wav",
    "audio/vnd.wave": "wav",
    "audio/mpeg": "mp3",
    "audio/mp3": "mp3",
}
ENDINGS: Final = {"application/pdf": "pdf", "text/plain": "txt", "text/markdown": "md", "text/html": "html"}

Block: TypeAlias = Mapping[str, Any]


TOOL: Final = Role.TOOL  # looking a member up costs, and it is done for each message


def in_order(messages: Sequence[Message]) -> Sequence[Message]:
    """The messages as they can be sent: results with media and the results after them are one message.

    The media are shown in a user's message, and this API takes none between the results of one answer.
    """
    found: list[Message] = []
    for message in messages:
        if message.role is TOOL and found and found[-1].role is TOOL and _holds_media(found[-1]):
            found[-1] = Message.tool((*found[-1].content, *message.content))  # type: ignore[arg-type]
        else:
            found.append(message)
    return found


def _holds_media(message: Message) -> bool:
    results = (part for part in message.content if type(part) is ToolResultPart)
    return any(type(item) is not TextPart for part in results for item in part.content)


def encode_message(message: Message, dialect: Dialect) -> bytes:
    """The elements of `messages` for one message, joined by commas; none if there is nothing in it."""
    match message.role:
        case Role.SYSTEM:
            text, content = only_text(dialect.owner, message), _content(message, message.content, dialect)
            content = text if type(content) is str else content
            return _object({"role": "system", "content": content}) if text else b""
        case Role.USER:
            return _object({"role": "user", "content": _content(message, message.content, dialect)})
        case Role.ASSISTANT:
            return _assistant(message, dialect)
        case Role.TOOL:
            return _results(message, dialect)


def _object(fields: Mapping[str, Any]) -> bytes:
    return json_bytes(fields, "a message")


def _content(message: Message, parts: Sequence[Part], dialect: Dialect) -> str | list[Block]:
    texts: list[str] = []
    for part in parts:
        if type(part) is not TextPart or (part.cache_control is not None and dialect.takes_cache_marks):
            return user_blocks(message, parts, dialect)
        texts.append(part.text)
    return "".join(texts)


def user_blocks(message: Message, parts: Sequence[Part], dialect: Dialect) -> list[Block]:
    """The blocks of a user's content; raises InvalidInput for a part that has no place in it."""
    blocks: list[Block] = []
    for part in parts:
        found = _blocks_of(message, part, dialect)
        mark: CacheControl | None = getattr(part, "cache_control", None)
        if mark is not None and found and dialect.takes_cache_marks:
            found = [*found[:-1], {**found[-1], "cache_control": mark.model_dump(exclude_none=True)}]
        blocks += found
    return blocks


def _blocks_of(message: Message, part: Part, dialect: Dialect) -> list[Block]:
    match part:
        case TextPart(text=text):
            return [_text(text)]
        case ImagePart(mime=mime, data_b64=data, detail=detail):
            return [_image(f"data:{mime};base64,{data}", detail)]
        case ImageUrlPart(url=url, detail=detail):
            return [_image(url, detail)]
        case DocumentPart():
            return _document(part, dialect)
        case AudioPart():
            return [_sound(part, dialect)]
        case VideoPart() if dialect.takes_video:
            return [{"type": "video_url", "video_url": {"url": _address(part, dialect)}}]
        case OpaquePart(replay=Replay(vendor=vendor, data=data)) if vendor == dialect.vendor:
            return [data]
        case _:
            raise misplaced(dialect.owner, message, part)


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def _image(url: str, detail: str | None) -> Block:
    return {
        "type": "image_url",
        "image_url": {"url": url} if detail is None else {"url": url, "detail": detail},
    }


def _address(part: DocumentPart | AudioPart | VideoPart, dialect: Dialect) -> str:
    """The data as a `data:` URL, or the address that was given."""
    if part.data_b64 is not None:
        return f"data:{part.mime};base64,{part.data_b64}"
    if part.url is not None:
        return part.url
    raise InvalidInput(f"{dialect.owner}: {part.type}: needs data or an address here, not a file_id")


def _document(part: DocumentPart, dialect: Dialect) -> list[Block]:
    if part.citations:
        raise InvalidInput(f"{dialect.owner}: document: citations cannot be asked for; leave them out")
    if part.text is not None:
        told = [text for text in (part.title, part.context, part.text) if text]
        return [_text("\n\n".join(told))]
    if not dialect.takes_files:
        raise InvalidInput(
            f"{dialect.owner}: document: takes no files; give its text, or its pages as images"
        )
    before = [_text(part.context)] if part.context else []
    if part.file_id is not None:
        if part.title is not None:
            raise InvalidInput(f"{dialect.owner}: document: title: a file has the name it was uploaded with")
        return [*before, {"type": "file", "file": {"file_id": part.file_id}}]
    if part.url is not None and part.url[:5].lower() != "data:" and not dialect.takes_file_urls:
        raise InvalidInput(
            f"{dialect.owner}: document: this vendor fetches no files; give the document as data, or allow "
            "tako to fetch it (url_prefetch=True)"
        )
    name = part.title or f"document.{ENDINGS.get(part.mime, part.mime.partition('/')[2])}"
    return [*before, {"type": "file", "file": {"filename": name, "file_data": _address(part, dialect)}}]


def _sound(part: AudioPart, dialect: Dialect) -> Block:
    form = AUDIO_FORMATS.get(part.mime)
    if form is None and dialect.takes_any_audio:
        form = part.mime.partition("/")[2].removeprefix("x-")
    if part.data_b64 is None or form is None:
        raise InvalidInput(
            f"{dialect.owner}: audio: should be data of the type audio/wav or audio/mpeg; "
            "an address can be fetched by tako (url_prefetch=True)"
        )
    return {"type": "input_audio", "input_audio": {"data": part.data_b64, "format": form}}


def _assistant(message: Message, dialect: Dialect) -> bytes:
    fields: dict[str, Any] = {}
    calls: list[Block] = []
    images: list[Block] = []
    said: list[TextPart] = []
    for part in message.content:
        match part:
            case TextPart(text=text):
                if text:
                    said.append(part)
            case ToolCallPart(id=call_id) if call_id.startswith(LEGACY_ID):
                fields["function_call"] = _function(part)
            case ToolCallPart():
                calls.append(_tool_call(part, dialect))
            case AudioPart():
                said += _own_sound(message, part, dialect, fields)
            case ImagePart(mime=mime, data_b64=data) if dialect.returns_images:
                images.append(_image(f"data:{mime};base64,{data}", None))
            case ThinkingPart(text=text, replay=Replay(vendor=vendor, data=data)) if vendor == dialect.vendor:
                _add_thinking(fields, data, text)
            case OpaquePart(replay=Replay(vendor=vendor, data=data)) if vendor == dialect.vendor:
                fields.update(_opaque_fields(data))
            case ThinkingPart() | OpaquePart():
                pass  # another vendor's
            case _:
                raise misplaced(dialect.owner, message, part)
    if calls:
        fields["tool_calls"] = calls
    if images:
        fields["images"] = images
    if not said and not fields:
        return b""
    return _object({"role": "assistant", "content": _content(message, said, dialect) or None, **fields})


def _add_thinking(fields: dict[str, Any], data: Mapping[str, Any], text: str) -> None:
    """Put thinking back where it came from: `data` names the field."""
    field = data.get("field")
    if isinstance(field, str) and text:
        fields[field] = fields.get(field, "") + text


def _opaque_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an answer that are sent back; of its audio, the vendor wants the id alone."""
    fields = dict(data)
    audio = fields.get("audio")
    if isinstance(audio, dict):
        fields["audio"] = {"id": audio.get("id")}
    return fields


def _own_sound(message: Message, part: AudioPart, dialect: Dialect, fields: dict[str, Any]) -> list[TextPart]:
    """What the model said aloud: by its id where the vendor knows it, else in the words that it heard."""
    replay = part.replay
    if replay is not None and replay.vendor == dialect.vendor and "id" in replay.data:
        fields["audio"] = {"id": replay.data["id"]}
        return []
    if part.transcript:
        return [TextPart(text=part.transcript)]
    raise misplaced(dialect.owner, message, part)


def _function(part: ToolCallPart) -> Block:
    return {"name": part.name, "arguments": json_text(part.args, f"the arguments of {part.name!r}")}


def _tool_call(part: ToolCallPart, dialect: Dialect) -> Block:
    extras = part.replay.data if part.replay and part.replay.vendor == dialect.vendor else {}
    function = _function(part)
    if extras.get("type") == "custom":
        return {**extras, "id": part.id, "custom": {"name": part.name, "input": function["arguments"]}}
    return {"type": "function", **extras, "id": part.id, "function": function}


def _results(message: Message, dialect: Dialect) -> bytes:
    """A message for each result, and then one with all that is no text in them."""
    encoded: list[bytes] = []
    shown: list[Block] = []
    for part in message.content:
        if type(part) is not ToolResultPart:
            raise misplaced(dialect.owner, message, part)
        media = [item for item in part.content if type(item) is not TextPart]
        encoded.append(_object(_result(part, dialect, has_media=bool(media))))
        if media:
            shown.append(_text(f"What {part.name or 'the tool'} returned for call {part.id}:"))
            shown += user_blocks(message, media, dialect)
    if shown:
        encoded.append(_object({"role": "user", "content": shown}))
    return b",".join(encoded)


def _result(part: ToolResultPart, dialect: Dialect, *, has_media: bool) -> Block:
    what = f"the result of {part.name or part.id!r}"
    if part.content:
        text = "".join([item.text for item in part.content if type(item) is TextPart])
        if not text and has_media:
            text = "See the message after the results."
    else:
        text = json_text(part.result, what)
    if part.is_error:
        # This API has no field for it, and the model has to know.
        text = f"Error: {text}"
    if not part.id.startswith(LEGACY_ID):
        return {"role": "tool", "tool_call_id": part.id, "content": _marked(text, part, dialect)}
    if not part.name:
        raise InvalidInput(f"{dialect.owner}: the result of call {part.id!r} needs the name of its function")
    return {"role": "function", "name": part.name, "content": text}


def _marked(text: str, part: ToolResultPart, dialect: Dialect) -> str | list[Block]:
    if part.cache_control is None or not dialect.takes_cache_marks:
        return text
    return [{**_text(text), "cache_control": part.cache_control.model_dump(exclude_none=True)}]
