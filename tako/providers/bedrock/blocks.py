"""Messages to blocks of the Converse API.

| ours                         | on the wire                                                        |
|------------------------------|--------------------------------------------------------------------|
| text                         | `text`; `citationsContent`, as it came, in an answer               |
| image, audio, video          | `image`, `audio`, `video`: base64, or an s3:// address             |
| document                     | `document`: base64, text, or an s3:// address; its name is the     |
|                              | title in the letters AWS allows, or "Document 1"; no two are equal |
| tool_call                    | `toolUse`                                                          |
| tool_result                  | `toolResult`: objects as `json`, all else as `text`; or `content`  |
| thinking                     | `reasoningContent` with its signature; left out without one of     |
|                              | this vendor, because it would be refused                           |
| opaque                       | as it came; left out of an answer of another vendor                |
| cache mark                   | `cachePoint` after the block; after the result for parts inside it;|
|                              | InvalidInput right after a document that is no PDF                 |
| blank text, no content       | left out: AWS refuses it, and its own answers hold such text       |

What has no place there raises InvalidInput. Ids of calls that other vendors gave are brought into the
letters and the length that AWS allows, and two that differ stay different.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, Final

from tako.errors import InvalidInput
from tako.models import (
    AudioPart,
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
    VideoPart,
)
from tako.parts import ResultPart
from tako.providers.body import json_bytes, json_text, misplaced, only_text
from tako.providers.urls import data_of, inline_image

__all__ = ["CODEC", "OWNER", "VENDOR", "DocumentNames", "cache_point", "documents_of", "encode_blocks"]

OWNER: Final = "Bedrock"
VENDOR: Final = "bedrock"
"""Whose replay data is sent back."""
CODEC: Final = "bedrock.converse"
"""For whom an encoded message is kept."""

Block = dict[str, Any]

IMAGES: Final = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
PDF: Final = "application/pdf"
DOCUMENTS: Final = {
    "application/msword": "doc",
    PDF: "pdf",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/plain": "txt",
}
VIDEOS: Final = {
    "video/3gpp": "three_gp",
    "video/mp4": "mp4",
    "video/mpeg": "mpeg",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-flv": "flv",
    "video/x-matroska": "mkv",
    "video/x-ms-wmv": "wmv",
}
AUDIOS: Final = {
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/m4a": "m4a",
    "audio/mp3": "mp3",
    "audio/mp4": "mp4",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/opus": "opus",
    "audio/wav": "wav",
    "audio/webm": "webm",
    "audio/x-aac": "x-aac",
    "audio/x-m4a": "m4a",
    "audio/x-matroska": "mka",
    "audio/x-wav": "wav",
}

CALL_ID: Final = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
NOT_IN_CALL_IDS: Final = re.compile(r"[^a-zA-Z0-9_.:-]+")
NOT_IN_TOOL_NAMES: Final = re.compile(r"[^a-zA-Z0-9_-]")
# AWS names letters, digits, hyphens, parentheses and brackets; it takes underscores as well.
NOT_IN_DOCUMENT_NAMES: Final = re.compile(r"[^a-zA-Z0-9_()\[\] -]+")
SPACES: Final = re.compile(r"\s+")
MAX_DOCUMENT_NAME: Final = 200


class DocumentNames:
    """The names of the documents of one request, none of them twice."""

    __slots__ = ("_given",)

    def __init__(self) -> None:
        self._given: set[str] = set()

    def new(self, title: str | None) -> str:
        """A name for the next document."""
        wanted = SPACES.sub(" ", NOT_IN_DOCUMENT_NAMES.sub("-", SPACES.sub(" ", title or ""))).strip(" -")
        wanted = wanted[: MAX_DOCUMENT_NAME - 10].rstrip()
        number = 2 if wanted else 1
        name = wanted or "Document 1"
        while name in self._given:
            name = f"{wanted} ({number})" if wanted else f"Document {number}"
            number += 1
        self._given.add(name)
        return name


def documents_of(parts: Iterable[Part]) -> list[DocumentPart]:
    """The documents among the parts, and in the results among them, in order."""
    found: list[DocumentPart] = []
    for part in parts:
        if type(part) is DocumentPart:
            found.append(part)
        elif type(part) is ToolResultPart and part.content:
            found += documents_of(part.content)
    return found


def encode_blocks(message: Message, names: Sequence[str] = ()) -> bytes:
    """The blocks of a message, joined by commas; `names` are those of its documents, in order."""
    if message.role is Role.SYSTEM:
        only_text(OWNER, message)
    blocks_of: dict[type, Any] = _ANSWER_BLOCKS if message.role is Role.ASSISTANT else _GIVEN_BLOCKS
    if message.role is Role.TOOL:
        blocks_of = {ToolResultPart: _result}
    left = iter(names)
    blocks: list[Block] = []
    for part in message.content:
        make = blocks_of.get(type(part))
        if make is None:
            raise misplaced(OWNER, message, part)
        block = make(part, left)
        if block:
            blocks += (block, *cache_point(_mark_of(part)))
    return json_bytes(blocks, "a message")[1:-1]


def cache_point(mark: CacheControl | None) -> tuple[Block, ...]:
    """What stands after a block that is marked."""
    if mark is None:
        return ()
    ttl = {} if mark.ttl is None else {"ttl": mark.ttl}
    return ({"cachePoint": {"type": "default", **ttl}},)


def _mark_of(part: Part) -> CacheControl | None:
    """The mark that stands after the part's block.

    AWS makes text of documents, but for PDF, and then stumbles over a mark that follows one:
    https://github.com/aws/aws-sdk-java-v2/issues/6277. Raises InvalidInput for it.
    """
    mark: CacheControl | None = getattr(part, "cache_control", None)
    if mark is not None and type(part) is DocumentPart and part.mime != PDF:
        raise InvalidInput(
            f"{OWNER}: document: AWS refuses a cache mark right after a document of type {part.mime}; "
            "mark a text after it instead"
        )
    if mark is None and type(part) is ToolResultPart:
        marks = [mark for inner in part.content if (mark := getattr(inner, "cache_control", None))]
        return marks[-1] if marks else None
    return mark


def _text(part: TextPart, names: Iterator[str]) -> Block | None:
    return {"text": part.text} if part.text.strip() else None


def _answer_text(part: TextPart, names: Iterator[str]) -> Block | None:
    if part.replay is not None and part.replay.vendor == VENDOR:
        return part.replay.data
    return _text(part, names)


def _image(part: ImagePart, names: Iterator[str]) -> Block:
    return {"image": {"format": _format(part, IMAGES, part.mime), "source": {"bytes": part.data_b64}}}


def _linked_image(part: ImageUrlPart, names: Iterator[str]) -> Block:
    mime, data = inline_image(OWNER, part, IMAGES)
    return {"image": {"format": IMAGES[mime], "source": {"bytes": data}}}


def _document(part: DocumentPart, names: Iterator[str]) -> Block:
    source = _source(part) if part.text is None else {"text": part.text}
    fields = {"format": _format(part, DOCUMENTS, part.mime), "name": next(names), "source": source}
    if part.context is not None:
        fields["context"] = part.context
    if part.citations is not None:
        fields["citations"] = {"enabled": part.citations}
    return {"document": fields}


def _audio(part: AudioPart, names: Iterator[str]) -> Block:
    return {"audio": {"format": _format(part, AUDIOS, part.mime), "source": _source(part)}}


def _video(part: VideoPart, names: Iterator[str]) -> Block:
    return {"video": {"format": _format(part, VIDEOS, part.mime), "source": _source(part)}}


def _format(part: Part, formats: dict[str, str], mime: str) -> str:
    if mime not in formats:
        raise InvalidInput(f"{OWNER}: {part.type}: should be one of {', '.join(formats)}, not {mime!r}")
    return formats[mime]


def _source(part: DocumentPart | AudioPart | VideoPart) -> Block:
    """Where the bytes are; Bedrock fetches from S3 and from nowhere else."""
    if part.data_b64 is not None:
        return {"bytes": part.data_b64}
    url = part.url or ""
    if url.startswith("s3://"):
        return {"s3Location": {"uri": url}}
    found = data_of(url)
    if found is not None:
        return {"bytes": found[1]}
    raise InvalidInput(
        f"{OWNER}: {part.type}: this vendor takes data and s3:// addresses only; give the data, or allow "
        "tako to fetch it (url_prefetch=True)"
    )


def _thinking(part: ThinkingPart, names: Iterator[str]) -> Block | None:
    if part.replay is None or part.replay.vendor != VENDOR:
        return None
    return {"reasoningContent": {"reasoningText": {"text": part.text, **part.replay.data}}}


def _own(part: OpaquePart, names: Iterator[str]) -> Block | None:
    return part.replay.data if part.replay.vendor == VENDOR else None


def _given_opaque(part: OpaquePart, names: Iterator[str]) -> Block:
    if part.replay.vendor != VENDOR:
        raise InvalidInput(
            f"{OWNER}: opaque: a block of {part.replay.vendor!r} cannot be sent to this vendor; leave it out"
        )
    return part.replay.data


def _call(part: ToolCallPart, names: Iterator[str]) -> Block:
    extras = part.replay.data if part.replay is not None and part.replay.vendor == VENDOR else {}
    # The model may have written something else than an object, and that has to remain sendable.
    arguments = part.args if isinstance(part.args, dict) else {"INVALID_JSON": part.args}
    name = NOT_IN_TOOL_NAMES.sub("_", part.name)[:64] or "_"
    return {"toolUse": {**extras, "toolUseId": _wire_id(part.id), "name": name, "input": arguments}}


def _wire_id(call_id: str) -> str:
    if CALL_ID.fullmatch(call_id):
        return call_id
    digest = sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{NOT_IN_CALL_IDS.sub('_', call_id)[:47]}_{digest}"


def _result(part: ToolResultPart, names: Iterator[str]) -> Block:
    fields: Block = {"toolUseId": _wire_id(part.id), "content": _result_content(part, names)}
    if part.is_error:
        fields["status"] = "error"
    return {"toolResult": fields}


def _result_content(part: ToolResultPart, names: Iterator[str]) -> list[Block]:
    if part.content:
        return [block for inner in part.content if (block := _inner_block(inner, names))]
    if isinstance(part.result, dict):
        return [{"json": part.result}]
    text = json_text(part.result, f"the result of {part.name or part.id!r}")
    return [{"text": text}] if text.strip() else []


def _inner_block(part: ResultPart, names: Iterator[str]) -> Block | None:
    make = _RESULT_BLOCKS.get(type(part))
    if make is None:
        raise InvalidInput(f"{OWNER}: the result of a tool cannot hold a part of type {part.type!r}")
    block: Block | None = make(part, names)
    return block


_RESULT_BLOCKS: Final[dict[type, Any]] = {
    TextPart: _text,
    ImagePart: _image,
    ImageUrlPart: _linked_image,
    DocumentPart: _document,
    VideoPart: _video,
    OpaquePart: _given_opaque,
}
_GIVEN_BLOCKS: Final[dict[type, Any]] = {**_RESULT_BLOCKS, AudioPart: _audio}
_ANSWER_BLOCKS: Final[dict[type, Any]] = {
    TextPart: _answer_text,
    ImagePart: _image,
    AudioPart: _audio,
    ThinkingPart: _thinking,
    ToolCallPart: _call,
    OpaquePart: _own,
}
