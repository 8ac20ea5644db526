"""Content: what a tool, a prompt or a resource gives back, as the blocks that MCP has for it.

| what a function gives            | is, in a result of MCP                                              |
|----------------------------------|---------------------------------------------------------------------|
| text                             | a text                                                              |
| numbers, lists, dicts, models    | their JSON as a text, and `structuredContent` if there is a schema  |
| TextPart, ImagePart, AudioPart   | text, image, audio                                                  |
| ImageUrlPart                     | a link to a resource                                                |
| DocumentPart                     | an embedded resource, or a link to one if it has but an address     |
| Embedded                         | an embedded resource                                                |
| ResourceLink                     | a link to a resource                                                |

A tool that has more to say than one value returns `answer(...)`.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from pydantic_core import to_json

from tako.errors import InvalidInput
from tako.models import Message
from tako.parts import AudioPart, DocumentPart, ImagePart, ImageUrlPart, Part, TextPart
from tako.tools.output import ToolOutput

__all__ = ["Block", "Embedded", "ResourceLink", "answer", "as_text", "block_of", "contents_of", "messages_of"]

Json: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Embedded:
    """The contents of a resource: text, or bytes. Raises InvalidInput unless it is exactly one of them."""

    uri: str
    text: str | None = None
    blob: bytes | None = field(default=None, repr=False)
    mime: str | None = None

    def __post_init__(self) -> None:
        if (self.text is None) == (self.blob is None):
            raise InvalidInput(f"Embedded({self.uri!r}): pass text=... or blob=..., one of them")

    def contents(self) -> dict[str, Json]:
        """It as MCP says it."""
        told: dict[str, Json] = {"uri": self.uri}
        if self.mime is not None:
            told["mimeType"] = self.mime
        if self.blob is not None:
            told["blob"] = base64.b64encode(self.blob).decode("ascii")
        else:
            told["text"] = self.text
        return told


@dataclass(frozen=True, slots=True)
class ResourceLink:
    """Where a resource is, which the client may read if it wants to."""

    uri: str
    name: str
    description: str | None = None
    mime: str | None = None


Block: TypeAlias = str | Part | Embedded | ResourceLink


def answer(*blocks: Block, structured: Json = None, is_error: bool = False) -> ToolOutput:
    """What a tool gives back that has several things to say, or a picture and a value for programs.

    `structured` is what the tool's output schema describes. A tool whose answer has an Embedded or a
    ResourceLink is for MCP alone: a model's vendor knows neither.
    """
    parts = tuple([TextPart(text=block) if isinstance(block, str) else block for block in blocks])
    for part in parts:
        block_of(part)  # raises for what is none
    return ToolOutput(structured, cast("tuple[Part, ...]", parts), is_error)


def as_text(value: Json) -> str:
    """Text as it is, and all else as JSON."""
    return value if isinstance(value, str) else to_json(value, inf_nan_mode="null").decode()


def block_of(item: Any) -> dict[str, Json]:
    """A block of MCP; raises InvalidInput for what cannot be one."""
    match item:
        case str():
            return {"type": "text", "text": item}
        case TextPart():
            return {"type": "text", "text": item.text}
        case ImagePart():
            return {"type": "image", "data": item.data_b64, "mimeType": item.mime}
        case AudioPart(data_b64=str(data)):
            return {"type": "audio", "data": data, "mimeType": item.mime}
        case Embedded():
            return {"type": "resource", "resource": item.contents()}
        case ResourceLink():
            return _link(item.uri, item.name, item.mime, item.description)
        case ImageUrlPart():
            return _link(item.url, "image", item.mime)
        case DocumentPart():
            return _document(item)
    raise InvalidInput(
        f"MCP has no block for {type(item).__name__}; it has text, images, audio, Embedded and ResourceLink"
    )


def _document(part: DocumentPart) -> dict[str, Json]:
    if part.url is not None:
        return _link(part.url, part.title or "document", part.mime, part.context)
    resource: dict[str, Json] = {
        "uri": "document:" + (part.title or "untitled").replace(" ", "-"),
        "mimeType": part.mime,
    }
    if part.text is not None:
        resource["text"] = part.text
    elif part.data_b64 is not None:
        resource["blob"] = part.data_b64
    else:
        raise InvalidInput("a document that is only known by a vendor's file_id cannot be given to a client")
    return {"type": "resource", "resource": resource}


def _link(uri: str, name: str, mime: str | None = None, description: str | None = None) -> dict[str, Json]:
    told: dict[str, Json] = {"type": "resource_link", "uri": uri, "name": name}
    if mime is not None:
        told["mimeType"] = mime
    if description is not None:
        told["description"] = description
    return told


def contents_of(value: Any, uri: str, mime: str | None) -> list[dict[str, Json]]:
    """What a resource's function gave, as the contents of that resource."""
    if isinstance(value, list | tuple) and value and all(type(item) is Embedded for item in value):
        return [item.contents() for item in value]
    if type(value) is Embedded:
        return [value.contents()]
    if isinstance(value, bytes | bytearray | memoryview):
        return [Embedded(uri, blob=bytes(value), mime=mime or "application/octet-stream").contents()]
    if isinstance(value, str):
        return [Embedded(uri, value, mime=mime).contents()]
    return [Embedded(uri, as_text(value), mime=mime or "application/json").contents()]


def messages_of(value: Any) -> list[dict[str, Json]]:
    """What a prompt's function gave, as messages. Each has one block, so one of ours may become several."""
    if isinstance(value, Message):
        if value.role.value not in ("user", "assistant"):
            raise InvalidInput(
                f'a prompt has messages of "user" and "assistant", not of {value.role.value!r}'
            )
        return [{"role": value.role.value, "content": block_of(part)} for part in value.content]
    if isinstance(value, Mapping):
        raise InvalidInput("a prompt should give text, parts or Messages, not a dict")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [message for item in value for message in messages_of(item)]
    return [{"role": "user", "content": block_of(value)}]
