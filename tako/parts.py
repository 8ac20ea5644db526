"""The parts that messages are made of: text, media, thinking, calls and their results.

All of them are values: frozen Pydantic models, checked when they are made. A part is one of ten
kinds, told apart by `type`:

| type        | fields                                                      | found in        |
|-------------|-------------------------------------------------------------|-----------------|
| text        | text, citations, cache_control, replay                      | any message     |
| image       | mime, data_b64, detail, cache_control                       | user, assistant |
| image_url   | url, mime, detail, cache_control                            | user            |
| document    | mime, one of data_b64, text, url, file_id; title, context, citations, cache_control | user |
| audio       | mime, one of data_b64, url, file_id; cache_control          | user, assistant |
| video       | mime, one of data_b64, url, file_id; cache_control          | user            |
| thinking    | text, replay                                                | assistant       |
| tool_call   | id, name, args, replay                                      | assistant       |
| tool_result | id, name, result, content, is_error, cache_control          | tool            |
| opaque      | replay                                                      | assistant, user |

`replay` is what one vendor wants back unchanged (signatures, encrypted reasoning). It is sent to
the vendor that it came from and to nobody else. An opaque part in a user's message is a block of
one vendor's own, written by hand; any other vendor refuses it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from tako.errors import InvalidInput

__all__ = [
    "IMAGE_TYPES",
    "AudioPart",
    "CacheControl",
    "Citation",
    "ContentPart",
    "DocumentPart",
    "ImagePart",
    "ImageUrlPart",
    "OpaquePart",
    "Part",
    "Replay",
    "ResultPart",
    "TextPart",
    "ThinkingPart",
    "ToolCallPart",
    "ToolResultPart",
    "Value",
    "VideoPart",
    "describe",
    "image_type",
    "parts_of",
]

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp", "image/heic", "image/heif")
"""The first four are taken by every vendor that takes images."""
MIME = r"^[a-z]+/[a-z0-9.+_-]+$"


WORDS = {"tuple_type": "should be a list or a tuple"}
"""Where Pydantic's words would mislead: a list is as good."""


def describe(error: ValidationError) -> str:
    """A validation error in one line: which field, and what is wrong with it."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'value'}: {WORDS.get(item['type'], item['msg'])}"
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    )


class Value(BaseModel):
    """A frozen model whose constructor raises InvalidInput instead of Pydantic's error."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, ser_json_inf_nan="constants")
    called: ClassVar[str | None] = None
    """What errors call it, where that is not the name of the class."""

    def __init__(self, *positional: Any, **fields: Any) -> None:
        if positional:
            names = [name for name in type(self).model_fields if name not in ("type", "kind")]
            raise InvalidInput(
                f"{self.called or type(self).__name__} takes its fields by name: {', '.join(names)}"
            )
        try:
            self.__pydantic_validator__.validate_python(fields, self_instance=self)
        except ValidationError as error:
            raise InvalidInput(f"{self.called or type(self).__name__}: {describe(error)}") from error


class CacheControl(Value):
    """The end of a prefix that the vendor should keep. Vendors without marks do not see it."""

    type: Literal["ephemeral"] = "ephemeral"
    ttl: Literal["5m", "1h"] | None = None


class Replay(Value):
    """Opaque data of one vendor, to be given back to it unchanged."""

    vendor: str
    data: dict[str, Any] = Field(repr=False)


class Citation(Value):
    """Where a piece of an answer comes from.

    `start` and `end` are the place in the text of the part that was grounded, where the vendor says;
    `text` is what the source says there. `replay` is the vendor's own object.
    """

    source: str | None = None
    """A URL, or the name or number of a document."""
    title: str | None = None
    text: str | None = None
    start: int | None = None
    end: int | None = None
    replay: Replay | None = None


class TextPart(Value):
    type: Literal["text"] = "text"
    text: str
    citations: tuple[Citation, ...] = ()
    cache_control: CacheControl | None = None
    replay: Replay | None = None


def _bare_base64(data: str) -> str:
    """The base64 of a `data:` URL, or the base64 that was given; raises Pydantic's error."""
    if data.startswith("data:"):
        data = data.partition(",")[2]
    try:
        base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise PydanticCustomError("base64", "should be base64: {reason}", {"reason": str(error)}) from None
    return data


Base64: TypeAlias = Annotated[str, AfterValidator(_bare_base64)]
Detail: TypeAlias = Literal["auto", "low", "high"]


class ImagePart(Value):
    """An image as base64; a `data:` URL is taken apart."""

    type: Literal["image"] = "image"
    mime: str
    data_b64: Base64 = Field(repr=False)
    detail: Detail | None = None
    """How closely to look, for vendors that can be told."""
    cache_control: CacheControl | None = None

    @field_validator("mime")
    @classmethod
    def _known_type(cls, mime: str) -> str:
        if mime not in IMAGE_TYPES:
            raise PydanticCustomError("image_type", f"should be one of {', '.join(IMAGE_TYPES)}")
        return mime


class ImageUrlPart(Value):
    """An image by its address: the vendor fetches it, or tako does, if it was told to."""

    type: Literal["image_url"] = "image_url"
    url: str
    mime: str | None = None
    detail: Detail | None = None
    cache_control: CacheControl | None = None

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        if not url.lower().startswith(("https://", "http://", "data:")):
            raise PydanticCustomError("image_url", "should start with https://, http:// or data:")
        return url


class _Media(Value):
    """Something to read, hear or see, from exactly one source: base64, an address, or the id that
    the vendor gave it when it was uploaded there."""

    mime: str = Field(pattern=MIME)
    data_b64: Base64 | None = Field(default=None, repr=False)
    url: str | None = None
    file_id: str | None = None
    cache_control: CacheControl | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in SOURCES if getattr(self, name, None) is not None]
        if len(given) != 1:
            sources = " or ".join(name for name in SOURCES if name in type(self).model_fields)
            raise PydanticCustomError("source", f"needs exactly one of {sources}")
        return self


SOURCES = ("data_b64", "text", "url", "file_id")


class DocumentPart(_Media):
    """A document, such as a PDF; a plain text can be given as `text`.

    title      what the model knows it by, and what a citation calls it
    context    what the model is told of it, and does not cite
    citations  whether the answer should say what it took from it, where the vendor can
    """

    type: Literal["document"] = "document"
    mime: str = Field(default="application/pdf", pattern=MIME)
    text: str | None = None
    title: str | None = None
    context: str | None = None
    citations: bool | None = None


class AudioPart(_Media):
    """Speech or sound. `transcript` is what a vendor heard in its own answer."""

    type: Literal["audio"] = "audio"
    transcript: str | None = None
    replay: Replay | None = None


class VideoPart(_Media):
    type: Literal["video"] = "video"


class ThinkingPart(Value):
    """A whole block of thinking. Never part of the answer's text."""

    type: Literal["thinking"] = "thinking"
    text: str = ""
    replay: Replay | None = None


class ToolCallPart(Value):
    """A call that the model asks for. `args` is any JSON; text that was no JSON stays a string."""

    type: Literal["tool_call"] = "tool_call"
    id: str
    name: str
    args: Any = Field(default_factory=dict)
    replay: Replay | None = None


class OpaquePart(Value):
    """A block that tako does not interpret, kept for the vendor that it came from."""

    type: Literal["opaque"] = "opaque"
    replay: Replay


ResultPart: TypeAlias = Annotated[
    TextPart | ImagePart | ImageUrlPart | DocumentPart | AudioPart | VideoPart | OpaquePart,
    Field(discriminator="type"),
]


class ToolResultPart(Value):
    """The answer to one call: text or any JSON; or `content`, where the model should see more than that.

    With `content` the model reads that, and `result` is for programs only.
    """

    type: Literal["tool_result"] = "tool_result"
    id: str
    name: str = ""
    result: Any = None
    content: tuple[ResultPart, ...] = ()
    is_error: bool = False
    cache_control: CacheControl | None = None


Part: TypeAlias = Annotated[
    TextPart
    | ImagePart
    | ImageUrlPart
    | DocumentPart
    | AudioPart
    | VideoPart
    | ThinkingPart
    | ToolCallPart
    | ToolResultPart
    | OpaquePart,
    Field(discriminator="type"),
]

_PART_TYPES: dict[str, type[Value]] = {
    "text": TextPart,
    "image": ImagePart,
    "image_url": ImageUrlPart,
    "document": DocumentPart,
    "audio": AudioPart,
    "video": VideoPart,
    "thinking": ThinkingPart,
    "tool_call": ToolCallPart,
    "tool_result": ToolResultPart,
    "opaque": OpaquePart,
}


class _AnyPart(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return type(instance) in _PART_TYPES.values()


class ContentPart(metaclass=_AnyPart):
    """The union of all parts under one name: a constructor by `type`, and helpers.

    `ContentPart(type="text", text="hi")` is `ContentPart.text("hi")` is `TextPart(text="hi")`, and
    every part is an instance of it.
    """

    def __new__(cls, **fields: Any) -> Any:
        kind = fields.get("type")
        part = _PART_TYPES.get(kind) if isinstance(kind, str) else None
        if part is None:
            raise InvalidInput(f"ContentPart: type should be one of {', '.join(_PART_TYPES)}, not {kind!r}")
        return part(**fields)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        union: CoreSchema = handler.generate_schema(Part)
        return union

    @staticmethod
    def text(text: str, *, cache_control: CacheControl | None = None) -> TextPart:
        """A piece of text."""
        return TextPart(text=text, cache_control=cache_control)

    @staticmethod
    def image(data: bytes | str, mime: str | None = None) -> ImagePart:
        """An image from its bytes, from base64 or from a `data:` URL (whose type then counts).

        Without a type its first bytes tell; where they do not, it is image/png.
        """
        if isinstance(data, bytes):
            mime = mime or image_type(data)
            data = base64.b64encode(data).decode()
        elif isinstance(data, str) and data.startswith("data:"):
            mime = data[5:].partition(",")[0].partition(";")[0] or mime
        elif isinstance(data, str) and data.lower().startswith(("https://", "http://")):
            raise InvalidInput("ContentPart.image: this is an address; use ContentPart.image_url(...)")
        elif isinstance(data, str) and "." in data:
            raise InvalidInput("ContentPart.image: this looks like a path; use Path(...).read_bytes()")
        return ImagePart(mime=mime or "image/png", data_b64=data)

    @staticmethod
    def image_url(url: str, mime: str | None = None) -> ImageUrlPart:
        """An image by its address."""
        return ImageUrlPart(url=url, mime=mime)

    @staticmethod
    def document(
        data: bytes | str,
        mime: str = "application/pdf",
        *,
        title: str | None = None,
        context: str | None = None,
        citations: bool | None = None,
    ) -> DocumentPart:
        """A document from its bytes, its address, a `data:` URL, or the text that it is."""
        source = _source(data, mime)
        if "data_b64" not in source and "url" not in source:
            source = {"text": data, "mime": "text/plain"}
        return DocumentPart(**source, title=title, context=context, citations=citations)

    @staticmethod
    def audio(data: bytes | str, mime: str = "audio/wav") -> AudioPart:
        """Sound from its bytes, its address, base64, or a `data:` URL."""
        return AudioPart(**_media(data, mime))

    @staticmethod
    def video(data: bytes | str, mime: str = "video/mp4") -> VideoPart:
        """A film from its bytes, its address, base64, or a `data:` URL."""
        return VideoPart(**_media(data, mime))

    @staticmethod
    def tool_call(id: str, name: str, args: Any) -> ToolCallPart:
        """A call, for writing a history by hand."""
        return ToolCallPart(id=id, name=name, args=args)

    @staticmethod
    def tool_result(
        id: str,
        result: Any,
        *,
        name: str = "",
        is_error: bool = False,
        content: Sequence[ResultPart] = (),
    ) -> ToolResultPart:
        """The answer to a call, for writing a history by hand."""
        return ToolResultPart(id=id, name=name, result=result, is_error=is_error, content=tuple(content))


def image_type(data: bytes) -> str | None:
    """The type of image that the first bytes belong to, of those that every vendor takes."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def _source(data: bytes | str, mime: str) -> dict[str, Any]:
    """The source that `data` is by its looks; base64 does not look like anything."""
    if isinstance(data, bytes):
        return {"mime": mime, "data_b64": base64.b64encode(data).decode()}
    if isinstance(data, str) and data.startswith("data:"):
        return {"mime": data[5:].partition(",")[0].partition(";")[0] or mime, "data_b64": data}
    if isinstance(data, str) and data.lower().startswith(("https://", "http://", "gs://", "s3://")):
        return {"mime": mime, "url": data}
    return {"mime": mime}


def _media(data: bytes | str, mime: str) -> dict[str, Any]:
    source = _source(data, mime)
    return source if len(source) > 1 else {**source, "data_b64": data}


def parts_of(content: str | Iterable[Part]) -> tuple[Part, ...]:
    """A text as a part; parts as they are."""
    return (TextPart(text=content),) if isinstance(content, str) else tuple(content)
