"""The parts of messages: one source each, constructors that go by looks, and errors that say what to do."""

from __future__ import annotations

import base64
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tako.errors import InvalidInput
from tako.models import ContentPart, Message
from tako.parts import (
    IMAGE_TYPES,
    AudioPart,
    CacheControl,
    Citation,
    DocumentPart,
    ImagePart,
    ImageUrlPart,
    OpaquePart,
    Part,
    Replay,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    VideoPart,
    parts_of,
)
from tako.testing import strategies

PARTS: TypeAdapter[Any] = TypeAdapter(Part)
REPLAY = Replay(vendor="v", data={"signature": "c2VjcmV0"})
EXAMPLES: dict[str, Any] = {
    "text": TextPart(
        text="hi", citations=(Citation(source="a", replay=REPLAY),), cache_control=CacheControl(ttl="1h")
    ),
    "image": ImagePart(mime="image/png", data_b64="AAAA", detail="high"),
    "image_url": ImageUrlPart(url="https://a.test/x.png", mime="image/png"),
    "document": DocumentPart(text="hello", mime="text/plain", title="t", citations=True),
    "audio": AudioPart(mime="audio/wav", data_b64="AAAA", transcript="hm", replay=REPLAY),
    "video": VideoPart(mime="video/mp4", url="gs://bucket/film"),
    "thinking": ThinkingPart(text="hm", replay=REPLAY),
    "tool_call": ToolCallPart(id="1", name="f", args={"a": None}, replay=REPLAY),
    "tool_result": ToolResultPart(
        id="1", result=[1], content=(TextPart(text="x"), ImagePart(mime="image/png", data_b64=""))
    ),
    "opaque": OpaquePart(replay=REPLAY),
}


def complaint(make: Any, *arguments: Any, **fields: Any) -> str:
    with pytest.raises(InvalidInput) as caught:
        make(*arguments, **fields)
    return caught.value.message


def test_there_is_an_example_of_each_kind() -> None:
    kinds = [kind.model_fields["type"].default for kind in get_args(get_args(Part)[0])]
    assert sorted(kinds) == sorted(EXAMPLES)


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_type_tells_which_part_it_is(kind: str) -> None:
    part = EXAMPLES[kind]
    assert part.type == kind
    assert isinstance(part, ContentPart)
    assert ContentPart(**part.model_dump()) == part
    assert PARTS.validate_json(PARTS.dump_json(part)) == part
    assert Message.user([part]).content == (part,)
    with pytest.raises(ValidationError):
        part.type = "other"


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_unknown_field_is_named(kind: str) -> None:
    part = EXAMPLES[kind]
    message = complaint(ContentPart, **part.model_dump(), colour="red")
    assert message.startswith(f"{type(part).__name__}: ") and "colour" in message


@pytest.mark.parametrize("kind", ["texts", None, 7, ""])
def test_an_unknown_kind_is_refused_with_the_known_ones(kind: Any) -> None:
    message = complaint(ContentPart, type=kind, text="x")
    assert all(name in message for name in EXAMPLES) and repr(kind) in message
    with pytest.raises(ValidationError, match="text"):
        PARTS.validate_python({"type": kind, "text": "x"})
    assert not isinstance("text", ContentPart)


def test_what_is_replayed_is_in_no_repr() -> None:
    for part in EXAMPLES.values():
        assert "c2VjcmV0" not in repr(part)
    assert "AAAA" not in repr([EXAMPLES["image"], EXAMPLES["audio"]])


# One source.

SOURCES = {"data_b64": "AAAA", "url": "https://a.test/x", "file_id": "file-1"}


@pytest.mark.parametrize(
    ("kind", "mime"), [(DocumentPart, "text/plain"), (AudioPart, "audio/wav"), (VideoPart, "video/mp4")]
)
def test_media_have_exactly_one_source(kind: Any, mime: str) -> None:
    sources = {**SOURCES, "text": "hello"} if kind is DocumentPart else SOURCES
    for name, value in sources.items():
        assert getattr(kind(mime=mime, **{name: value}), name) == value
    names = " or ".join(name for name in ("data_b64", "text", "url", "file_id") if name in sources)
    assert f"{kind.__name__}: value: needs exactly one of {names}" == complaint(kind, mime=mime)
    for one in sources:
        for other in sources.keys() - {one}:
            assert "exactly one of" in complaint(
                kind, mime=mime, **{one: sources[one], other: sources[other]}
            )


def test_an_empty_source_is_one() -> None:
    assert DocumentPart(mime="text/plain", text="").text == ""
    assert "exactly one" in complaint(DocumentPart, text="", url="https://a.test/x")


@pytest.mark.parametrize("mime", ["", "pdf", "Application/PDF", "a/b; charset=utf-8", "a/b\n"])
def test_a_type_of_media_looks_like_one(mime: str) -> None:
    assert "mime" in complaint(DocumentPart, mime=mime, text="x")


# Base64 and addresses.


@pytest.mark.parametrize("kind", [ImagePart, AudioPart])
def test_data_are_base64_or_a_data_url(kind: Any) -> None:
    mime = "image/png" if kind is ImagePart else "audio/wav"
    assert kind(mime=mime, data_b64=f"data:{mime};base64,AAAA").data_b64 == "AAAA"
    for data in ("A", "AAA", "AA A", "????", "AAAA\n"):
        assert "should be base64" in complaint(kind, mime=mime, data_b64=data)


@given(st.binary(max_size=50))
def test_bytes_survive(data: bytes) -> None:
    encoded = base64.b64encode(data).decode()
    for part in (
        ContentPart.image(data),
        ContentPart.audio(data),
        ContentPart.document(data),
        ContentPart.video(data),
    ):
        assert part.data_b64 == encoded


def test_images_are_of_known_types() -> None:
    for mime in IMAGE_TYPES:
        assert ContentPart.image("AAAA", mime).mime == mime
    assert "should be one of image/jpeg, image/png" in complaint(ContentPart.image, b"x", "image/bmp")
    assert "should start with https://, http:// or data:" in complaint(ContentPart.image_url, "ftp://a.test")
    assert ContentPart.image_url("HTTP://a.test").url == "HTTP://a.test"


# Constructors that go by looks.

DATA_URL = "data:image/gif;base64,AAAA"


def test_an_image_from_whatever_it_is() -> None:
    assert ContentPart.image(DATA_URL) == ImagePart(mime="image/gif", data_b64="AAAA")
    assert ContentPart.image("data:;base64,AAAA", "image/webp").mime == "image/webp"
    assert ContentPart.image("AAAA") == ImagePart(mime="image/png", data_b64="AAAA")


@pytest.mark.parametrize(
    ("start", "mime"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"something else", "image/png"),
    ],
)
def test_the_first_bytes_of_an_image_tell_its_type_where_nobody_does(start: bytes, mime: str) -> None:
    assert ContentPart.image(start).mime == mime
    assert ContentPart.image(start, "image/heic").mime == "image/heic"


@pytest.mark.parametrize("url", ["https://a.test/x", "HTTP://a.test/x", "gs://b/x", "s3://b/x"])
def test_an_address_is_known_by_its_scheme(url: str) -> None:
    assert ContentPart.document(url) == DocumentPart(url=url)
    assert ContentPart.audio(url) == AudioPart(mime="audio/wav", url=url)
    assert ContentPart.video(url) == VideoPart(mime="video/mp4", url=url)


def test_a_document_that_looks_like_nothing_is_a_text() -> None:
    assert ContentPart.document("hello") == DocumentPart(mime="text/plain", text="hello")
    assert ContentPart.document("AAAA").text == "AAAA"
    assert ContentPart.document(b"x", "text/csv", title="t", context="c", citations=True) == DocumentPart(
        mime="text/csv", data_b64="eA==", title="t", context="c", citations=True
    )
    assert ContentPart.document("data:text/csv;base64,eA==") == DocumentPart(mime="text/csv", data_b64="eA==")


def test_sound_and_film_that_look_like_nothing_are_base64() -> None:
    assert ContentPart.audio("AAAA", "audio/mpeg") == AudioPart(mime="audio/mpeg", data_b64="AAAA")
    assert ContentPart.video("data:video/webm;base64,AAAA").mime == "video/webm"
    assert "should be base64" in complaint(ContentPart.audio, "a sound")


def test_calls_and_results_by_hand() -> None:
    assert ContentPart.tool_call("1", "f", None) == ToolCallPart(id="1", name="f", args=None)
    content = [TextPart(text="x")]
    assert ContentPart.tool_result("1", 2, name="f", is_error=True, content=content) == ToolResultPart(
        id="1", name="f", result=2, is_error=True, content=(TextPart(text="x"),)
    )
    assert "content" in complaint(ToolResultPart, id="1", content=(EXAMPLES["tool_call"],))


@given(strategies.conversations())
def test_any_conversation_is_the_same_after_json(messages: list[Message]) -> None:
    assert [Message.model_validate_json(message.model_dump_json()) for message in messages] == messages


def test_text_is_a_part_and_parts_stay() -> None:
    assert parts_of("hi") == (TextPart(text="hi"),)
    assert parts_of(iter(EXAMPLES.values())) == tuple(EXAMPLES.values())


def test_fields_are_given_by_name() -> None:
    from tako.orchestrators.decisions import Denied

    with pytest.raises(InvalidInput, match=r"Denied takes its fields by name: reason, remember"):
        Denied("no")  # type: ignore[call-arg]
