"""The parts of a message to the elements of `parts`.

| ours                   | on the wire                                                               |
|------------------------|---------------------------------------------------------------------------|
| text                   | `text`; an empty one only if the vendor wants something back with it      |
| image, audio, video,   | `inlineData` as base64, `fileData` by address or by the id of an upload;  |
| document               | a document that is text as `text/plain`; its title and context as a text  |
|                        | in front of it; an image's detail as `mediaResolution`                    |
| thinking               | as it came from this vendor; left out if from another                     |
| tool_call              | `functionCall`; with its id, unless the id was made by us; with a mark,   |
|                        | where the model wants a signature and there is none                       |
| tool_result            | `functionResponse`: an object as it is, all else as {"output": ...}, or   |
|                        | as {"error": ...} if it is one; media of its content in `parts`, and all  |
|                        | that is text, such as the title of a document, in its output              |
| opaque                 | as it came; another vendor's is left out (assistant) or refused (user)    |

A thought's signature (`thoughtSignature`) goes back on the very part that it came with: it is in that
part's `replay`. Models since Gemini 3 refuse a turn whose first call has none; for calls that another
model made, or that a caller wrote, the vendor has a word to put there instead. Media have no replay,
so a signature that came with some is an opaque part right behind it, without content of its own,
which is put back into the one before it.
"""

from __future__ import annotations

import base64
from typing import Any, Final

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
    VideoPart,
)
from tako.providers.body import json_bytes, misplaced, only_text
from tako.providers.urls import data_of

__all__ = ["ALONE", "MADE_ID", "OWNER", "VENDOR", "encode_parts", "encode_signed_parts"]

OWNER: Final = "Gemini"
VENDOR: Final = "gemini"
"""Whose replay data is sent back: the same models answer behind both APIs."""
MADE_ID: Final = "gemini_call_"
"""What the ids of calls begin with that the vendor gave none: they mean nothing to it."""
ALONE: Final = frozenset(("thoughtSignature",))
"""Fields that belong to a part and make none by themselves."""
UNSIGNED: Final = {"thoughtSignature": "skip_thought_signature_validator"}
"""The vendor's own word for a call that never had a signature."""

FILES: Final = "https://generativelanguage.googleapis.com/v1beta/"
SUFFIXES: Final = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
}
RESOLUTIONS: Final = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}
Media = ImagePart | ImageUrlPart | DocumentPart | AudioPart | VideoPart


def encode_parts(message: Message) -> bytes:
    """The parts of a message, joined by commas; raises InvalidInput for one that has no place in it."""
    return json_bytes(_entries(message), "a message")[1:-1]


def encode_signed_parts(message: Message) -> bytes:
    """The same for a model that refuses calls without a signature: only the first of a turn needs one."""
    entries = _entries(message)
    place = next((place for place, entry in enumerate(entries) if "functionCall" in entry), None)
    if place is not None:
        entries[place] = {**UNSIGNED, **entries[place]}
    return json_bytes(entries, "a message")[1:-1]


def _entries(message: Message) -> list[dict[str, Any]]:
    if message.role is Role.SYSTEM:
        only_text(OWNER, message)
    parts_of = _PARTS_OF[message.role]
    found: list[dict[str, Any]] = []
    for part in message.content:
        for entry in parts_of(message, part):
            if found and entry.keys() <= ALONE:
                found[-1] = {**found[-1], **entry}
            else:
                found.append(entry)
    return found


def _ours(replay: Replay | None) -> dict[str, Any] | None:
    """What this vendor wants back, or None."""
    return replay.data if replay is not None and replay.vendor == VENDOR else None


def _text(part: TextPart) -> list[dict[str, Any]]:
    extras = _ours(part.replay) or {}
    return [{"text": part.text, **extras}] if part.text or extras else []


def _user_parts(message: Message, part: Part) -> list[dict[str, Any]]:
    match part:
        case TextPart():
            return _text(part)
        case ImagePart() | ImageUrlPart() | DocumentPart() | AudioPart() | VideoPart():
            return _media(part)
        case OpaquePart(replay=replay):
            data = _ours(replay)
            if data is None:
                raise InvalidInput(f"{OWNER}: a block of {replay.vendor!r} can be sent to that vendor only")
            return [data]
        case _:
            raise misplaced(OWNER, message, part)


def _model_parts(message: Message, part: Part) -> list[dict[str, Any]]:
    match part:
        case TextPart():
            return _text(part)
        case ThinkingPart(text=text, replay=replay):
            extras = _ours(replay)
            return [] if extras is None else [{"text": text, "thought": True, **extras}]
        case OpaquePart(replay=replay):
            extras = _ours(replay)
            return [] if extras is None else [extras]
        case ToolCallPart():
            return [_call(part)]
        case ImagePart() | AudioPart() | VideoPart():
            return _media(part)
        case _:
            raise misplaced(OWNER, message, part)


def _call(part: ToolCallPart) -> dict[str, Any]:
    extras = dict(_ours(part.replay) or {})
    # The vendor takes an object only. The model may have written something else, and that has to
    # remain a call that can be sent.
    args = part.args if isinstance(part.args, dict) else {"INVALID_JSON": part.args}
    call = {"name": part.name, "args": args, **_id(part.id), **extras.pop("functionCall", {})}
    return {"functionCall": call, **extras}


def _id(call_id: str) -> dict[str, str]:
    return {} if call_id.startswith(MADE_ID) else {"id": call_id}


def _result_parts(message: Message, part: Part) -> list[dict[str, Any]]:
    if type(part) is not ToolResultPart:
        raise misplaced(OWNER, message, part)
    result = part.result
    media: list[dict[str, Any]] = []
    if part.content:
        entries = [entry for inner in part.content for entry in _user_parts(message, inner)]
        result = "\n".join([entry["text"] for entry in entries if "text" in entry])
        media = [entry for entry in entries if "text" not in entry]
    if part.is_error:
        response = {"error": result}
    elif isinstance(result, dict):
        response = result
    else:
        response = {"output": result}
    found: dict[str, Any] = {"name": part.name, "response": response, **_id(part.id)}
    if media:
        found["parts"] = media
    return [{"functionResponse": found}]


def _media(part: Media) -> list[dict[str, Any]]:
    found = _source(part)
    match part:
        case ImagePart(detail=detail) | ImageUrlPart(detail=detail):
            if detail in RESOLUTIONS:
                found["mediaResolution"] = {"level": RESOLUTIONS[detail]}
        case AudioPart(replay=replay):
            extras = dict(_ours(replay) or {})
            found.get("inlineData", {}).update(extras.pop("inlineData", {}))
            found |= extras
        case DocumentPart(title=title, context=context, citations=citations):
            if citations:
                raise InvalidInput(f"{OWNER}: document: this vendor cannot be asked to cite it; leave it out")
            words = "\n".join(words for words in (title, context) if words)
            return [{"text": words}, found] if words else [found]
    return [found]


def _source(part: Media) -> dict[str, Any]:
    """Where the media comes from; a `data:` URL is taken apart."""
    data = getattr(part, "data_b64", None)
    if data is not None:
        return {"inlineData": {"mimeType": part.mime, "data": data}}
    text = getattr(part, "text", None)
    if text is not None:
        return {"inlineData": {"mimeType": part.mime, "data": base64.b64encode(text.encode()).decode()}}
    file_id = getattr(part, "file_id", None)
    if file_id is not None:
        uri = file_id if "://" in file_id else FILES + "files/" + file_id.removeprefix("files/")
        return {"fileData": {"mimeType": part.mime, "fileUri": uri}}
    url: str = part.url  # type: ignore[union-attr, assignment]
    found = data_of(url)
    if found is not None:
        return {"inlineData": {"mimeType": found[0], "data": found[1]}}
    if url[:5].lower() == "data:":
        raise InvalidInput(f"{OWNER}: a data: URL should hold base64, not {url[:40]!r}")
    return {"fileData": {"mimeType": part.mime or _guessed(url), "fileUri": url}}


def _guessed(url: str) -> str:
    """The type of an image, by the end of its address; raises InvalidInput."""
    path = url.partition("?")[0].partition("#")[0]
    mime = SUFFIXES.get(path.rpartition(".")[2].lower())
    if mime is None:
        raise InvalidInput(
            f"{OWNER}: image_url: this vendor has to be told the type of {path[:200]!r}: give mime=..., such "
            "as image/png, or allow tako to fetch it (url_prefetch=True)"
        )
    return mime


_PARTS_OF = {
    Role.SYSTEM: _user_parts,
    Role.USER: _user_parts,
    Role.ASSISTANT: _model_parts,
    Role.TOOL: _result_parts,
}
