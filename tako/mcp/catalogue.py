"""What a server offers and gives: tools, resources, prompts, and what comes back from them.

Values, read from JSON. What a server has to give is checked, and ProtocolError says what is missing;
what it may give has a default; what no revision names is kept in `raw`, where everything is as it came.

| value        | from                     | and it gives                                      |
|--------------|--------------------------|---------------------------------------------------|
| ToolInfo     | tools/list               | CallResult, of which each piece is a Content      |
| ResourceInfo | resources/list           | Contents                                          |
| TemplateInfo | resources/templates/list | the same, once its URI is filled in               |
| PromptInfo   | prompts/list             | PromptResult, whose messages a model can be given |
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Final, TypeAlias

from tako.errors import InvalidInput, ProtocolError
from tako.models import Message, Role
from tako.parts import AudioPart, DocumentPart, ImagePart, Part, TextPart

__all__ = [
    "CallResult",
    "Completion",
    "Content",
    "Contents",
    "PromptArgument",
    "PromptInfo",
    "PromptMessage",
    "PromptResult",
    "ResourceInfo",
    "TemplateInfo",
    "ToolInfo",
]

Json: TypeAlias = Any
Raw: TypeAlias = Mapping[str, Json]

NOTHING: Final[Raw] = {}


@dataclass(frozen=True, slots=True)
class ToolInfo:
    """A tool of a server. The hints are the server's word, None where it says nothing."""

    name: str
    description: str
    input_schema: dict[str, Json] = field(repr=False)
    output_schema: dict[str, Json] | None = field(default=None, repr=False)
    title: str | None = None
    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, raw: Json) -> ToolInfo:
        name = needed(raw, "name", str, "a tool")
        hints = optional(raw, "annotations", dict) or NOTHING
        return cls(
            name=name,
            description=optional(raw, "description", str) or "",
            input_schema=dict(needed(raw, "inputSchema", dict, f"the tool {name!r}")),
            output_schema=optional(raw, "outputSchema", dict),
            title=optional(raw, "title", str) or optional(hints, "title", str),
            read_only=optional(hints, "readOnlyHint", bool),
            destructive=optional(hints, "destructiveHint", bool),
            idempotent=optional(hints, "idempotentHint", bool),
            open_world=optional(hints, "openWorldHint", bool),
            raw=raw,
        )


@dataclass(frozen=True, slots=True)
class ResourceInfo:
    uri: str
    name: str
    title: str | None = None
    description: str | None = None
    mime: str | None = None
    size: int | None = None
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, raw: Json) -> ResourceInfo:
        return cls(uri=needed(raw, "uri", str, "a resource"), size=optional(raw, "size", int), **_named(raw))


@dataclass(frozen=True, slots=True)
class TemplateInfo:
    """Resources whose URI has places to fill in, as RFC 6570 says."""

    uri_template: str
    name: str
    title: str | None = None
    description: str | None = None
    mime: str | None = None
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, raw: Json) -> TemplateInfo:
        return cls(uri_template=needed(raw, "uriTemplate", str, "a resource template"), **_named(raw))


@dataclass(frozen=True, slots=True)
class PromptArgument:
    name: str
    description: str | None = None
    required: bool = False

    @classmethod
    def of(cls, raw: Json) -> PromptArgument:
        return cls(
            needed(raw, "name", str, "an argument of a prompt"),
            optional(raw, "description", str),
            optional(raw, "required", bool) or False,
        )


@dataclass(frozen=True, slots=True)
class PromptInfo:
    name: str
    title: str | None = None
    description: str | None = None
    arguments: tuple[PromptArgument, ...] = ()
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, raw: Json) -> PromptInfo:
        return cls(
            name=needed(raw, "name", str, "a prompt"),
            title=optional(raw, "title", str),
            description=optional(raw, "description", str),
            arguments=tuple([PromptArgument.of(one) for one in optional(raw, "arguments", list) or ()]),
            raw=raw,
        )


@dataclass(frozen=True, slots=True)
class Contents:
    """What a resource holds: `text`, or `data`."""

    uri: str
    mime: str | None = None
    text: str | None = None
    data_b64: str | None = field(default=None, repr=False)
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, raw: Json) -> Contents:
        return cls(
            needed(raw, "uri", str, "the contents of a resource"),
            optional(raw, "mimeType", str),
            optional(raw, "text", str),
            optional(raw, "blob", str),
            raw,
        )

    @property
    def data(self) -> bytes:
        """The bytes; those of the text, if it is text. Raises ProtocolError for what is no base64."""
        if self.data_b64 is None:
            return (self.text or "").encode()
        try:
            return base64.b64decode(self.data_b64, validate=True)
        except ValueError as error:
            raise ProtocolError(f"the contents of {self.uri} are no base64: {error}") from None


@dataclass(frozen=True, slots=True)
class Content:
    """A piece of a result or a message. Which fields there are, `kind` says.

    text           text
    image, audio   mime, data_b64
    resource_link  uri, name, mime: a resource to be read
    resource       contents: one that was sent along
    anything else  raw
    """

    kind: str
    text: str | None = None
    mime: str | None = None
    data_b64: str | None = field(default=None, repr=False)
    uri: str | None = None
    name: str | None = None
    contents: Contents | None = None
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, raw: Json) -> Content:
        kind = needed(raw, "type", str, "a piece of content")
        match kind:
            case "text":
                return cls(kind, text=needed(raw, "text", str, "a text"), raw=raw)
            case "image" | "audio":
                return cls(
                    kind,
                    mime=needed(raw, "mimeType", str, f"an {kind}"),
                    data_b64=needed(raw, "data", str, f"an {kind}"),
                    raw=raw,
                )
            case "resource_link":
                link = ResourceInfo.of(raw)
                return cls(kind, uri=link.uri, name=link.name, mime=link.mime, raw=raw)
            case "resource":
                held = Contents.of(needed(raw, "resource", dict, "an embedded resource"))
                return cls(kind, uri=held.uri, mime=held.mime, contents=held, raw=raw)
        return cls(kind, raw=raw)

    def part(self) -> Part:
        """It as something that a model can be given; what no model takes is described in words."""
        try:
            return self._part()
        except InvalidInput as error:  # a type that no vendor takes, or no base64
            return TextPart(text=f"[{self.kind} of type {self.mime}, which cannot be shown: {error.message}]")

    def _part(self) -> Part:
        match self.kind:
            case "text":
                return TextPart(text=self.text or "")
            case "image" | "audio" if not self.data_b64:
                raise InvalidInput("it is empty")
            case "image":
                return ImagePart(mime=self.mime or "", data_b64=self.data_b64 or "")
            case "audio":
                return AudioPart(mime=self.mime or "", data_b64=self.data_b64)
            case "resource_link":
                return TextPart(text=f"[resource {self.name}: {self.uri}]")
            case "resource" if self.contents is not None:
                return _held(self.contents)
        return TextPart(text=f"[content of the unknown kind {self.kind!r}]")


def _held(contents: Contents) -> Part:
    if contents.text is not None:
        return TextPart(text=contents.text)
    if not contents.data_b64:
        raise InvalidInput("it is empty")
    mime = contents.mime or "application/octet-stream"
    if mime.startswith("image/"):
        return ImagePart(mime=mime, data_b64=contents.data_b64)
    return DocumentPart(mime=mime, data_b64=contents.data_b64, title=contents.uri)


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a tool gave back. `structured` fits the tool's output schema, if it has one."""

    content: tuple[Content, ...] = ()
    structured: Json = None
    is_error: bool = False
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, raw: Json) -> CallResult:
        pieces = needed(raw, "content", list, "the result of a tool")
        return cls(
            tuple([Content.of(piece) for piece in pieces]),
            raw.get("structuredContent"),
            raw.get("isError") is True,
            raw,
        )

    @property
    def text(self) -> str:
        """The texts, joined."""
        return "".join([piece.text for piece in self.content if piece.text is not None])


@dataclass(frozen=True, slots=True)
class PromptMessage:
    role: str
    content: Content

    @classmethod
    def of(cls, raw: Json) -> PromptMessage:
        role = needed(raw, "role", str, "a message of a prompt")
        return cls(role, Content.of(needed(raw, "content", dict, "a message of a prompt")))


@dataclass(frozen=True, slots=True)
class PromptResult:
    messages: tuple[PromptMessage, ...]
    description: str | None = None
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, raw: Json) -> PromptResult:
        messages = needed(raw, "messages", list, "a prompt")
        return cls(
            tuple([PromptMessage.of(message) for message in messages]),
            optional(raw, "description", str),
            raw,
        )

    def to_messages(self) -> list[Message]:
        """The prompt as messages for a model."""
        return [
            Message(
                role=Role.ASSISTANT if message.role == "assistant" else Role.USER,
                content=(message.content.part(),),
            )
            for message in self.messages
        ]


@dataclass(frozen=True, slots=True)
class Completion:
    """Values that an argument could have; `has_more` if there are others."""

    values: tuple[str, ...]
    total: int | None = None
    has_more: bool = False

    @classmethod
    def of(cls, raw: Json) -> Completion:
        found = needed(raw, "completion", dict, "a completion")
        values = needed(found, "values", list, "a completion")
        return cls(
            tuple([value for value in values if isinstance(value, str)]),
            optional(found, "total", int),
            optional(found, "hasMore", bool) or False,
        )


def needed(raw: Json, name: str, kind: type | UnionType, what: str) -> Any:
    """A member that has to be there; raises ProtocolError that names it."""
    value = raw.get(name) if type(raw) is dict else None  # which is what the reader of JSON gives
    if type(value) is not kind and not _is(value, kind):
        raise ProtocolError(f"{what} has no {name!r}, or not of the right type", phase="mcp")
    return value


def optional(raw: Raw, name: str, kind: type | UnionType) -> Any:
    """A member that may be there: None if it is not, or is something else."""
    value = raw.get(name)
    return value if type(value) is kind or _is(value, kind) else None


def _is(value: Json, kind: type | UnionType) -> bool:
    """Whether it is one of a kind; True and False are no numbers."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _named(raw: Raw) -> dict[str, Any]:
    return {
        "name": needed(raw, "name", str, "a resource"),
        "title": optional(raw, "title", str),
        "description": optional(raw, "description", str),
        "mime": optional(raw, "mimeType", str),
        "raw": raw,
    }


def listed(result: Json, member: str) -> Sequence[Json]:
    """The members of a page of a list; raises ProtocolError."""
    page: Sequence[Json] = needed(result, member, list, f"the list of {member}")
    return page
