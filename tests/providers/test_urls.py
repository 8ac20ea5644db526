"""Media given by address: `data:` URLs taken apart, and others fetched once for vendors that cannot."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import InvalidInput, TakoError
from tako.fetching import UrlPolicy
from tako.models import ChatRequest, ContentPart, Message
from tako.parts import (
    AudioPart,
    CacheControl,
    DocumentPart,
    ImagePart,
    ImageUrlPart,
    ToolResultPart,
    VideoPart,
)
from tako.providers.urls import data_of, fetched_media, inline_image
from tako.testing import Answer, ReceivedRequest, ScriptedVendor, Simulator

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
PDF = b"%PDF-1.7\n"
POLICY = UrlPolicy()


def serve(request: ReceivedRequest) -> Answer:
    """A server with one picture and one document."""
    if "pdf" in request.target:
        return Answer((PDF,), 200, (("content-type", "application/pdf"),))
    if "png" in request.target:
        return Answer((PNG,), 200, (("content-type", "image/png"),))
    return Answer((), 404)


def fetched(*messages: Message, policy: UrlPolicy = POLICY) -> tuple[tuple[Message, ...], ScriptedVendor]:
    vendor = ScriptedVendor(serve)
    simulator = Simulator(vendor=vendor, addresses={"a.test": ("93.184.216.34",)})
    request = simulator.run(fetched_media(ChatRequest(messages=messages, max_tokens=7), policy))
    assert request.max_tokens == 7
    return request.messages, vendor


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("data:image/png;base64,AAAA", ("image/png", "AAAA")),
        ("DATA:Image/PNG;BASE64,AAAA", ("image/png", "AAAA")),
        ("data:image/png;charset=x;base64,AA==", ("image/png", "AA==")),
        ("data:;base64,AAAA", ("", "AAAA")),
        ("data:image/png;base64,", ("image/png", "")),
        ("data:text/plain,hello", None),
        ("https://a.test/x.png", None),
        (" data:image/png;base64,AAAA", None),
    ],
)
def test_data_urls_are_taken_apart(url: str, found: tuple[str, str] | None) -> None:
    assert data_of(url) == found


@given(st.text(max_size=30), st.binary(max_size=20))
def test_any_address_can_be_looked_at(text: str, data: bytes) -> None:
    data_of(text)
    encoded = base64.b64encode(data).decode()
    assert data_of(f"data:a/b;base64,{encoded}") == ("a/b", encoded)


def test_an_image_that_has_to_be_in_the_request() -> None:
    assert inline_image("V", ImageUrlPart(url="data:image/gif;base64,AAAA")) == ("image/gif", "AAAA")
    with pytest.raises(InvalidInput, match="V: image_url: should be one of image/png, not 'image/gif'"):
        inline_image("V", ImageUrlPart(url="data:image/gif;base64,AAAA"), ("image/png",))
    with pytest.raises(InvalidInput, match="url_prefetch=True") as caught:
        inline_image("V", ImageUrlPart(url="https://a.test/x.png?key=secret"))
    assert "https://a.test/x.png" in str(caught.value) and "secret" not in str(caught.value)


def test_every_kind_of_media_becomes_its_data() -> None:
    mark = CacheControl()
    (message,), vendor = fetched(
        Message.user(
            [
                ContentPart.text("look"),
                ImageUrlPart(url="https://a.test/x.png", mime="image/jpeg", detail="low", cache_control=mark),
                DocumentPart(url="HTTPS://a.test/x.pdf", title="t", context="c", citations=True),
            ]
        )
    )
    text, image, document = message.content
    assert text == ContentPart.text("look")
    encoded = base64.b64encode(PNG).decode()
    assert image == ImagePart(mime="image/png", data_b64=encoded, detail="low", cache_control=mark)
    encoded = base64.b64encode(PDF).decode()
    assert document == DocumentPart(data_b64=encoded, title="t", context="c", citations=True)
    assert [request.target for request in vendor.requests] == ["/x.png", "/x.pdf"]


def test_the_content_of_a_result_is_fetched_too() -> None:
    result = ContentPart.tool_result(
        "1", {"kept": True}, name="look", content=[ImageUrlPart(url="https://a.test/x.png")]
    )
    plain = ContentPart.tool_result("2", "x")
    (message,), _ = fetched(Message.tool([result, plain]))
    one, two = message.content
    assert isinstance(one, ToolResultPart) and type(one.content[0]) is ImagePart
    assert (one.id, one.name, one.result) == ("1", "look", {"kept": True})
    assert two is plain


@pytest.mark.parametrize(
    "part",
    [
        ContentPart.text("https://a.test/x.png"),
        ImageUrlPart(url="data:image/png;base64,AAAA"),
        ContentPart.image(b"x"),
        DocumentPart(url="gs://bucket/x.pdf"),
        DocumentPart(file_id="file-1"),
        DocumentPart(text="https://a.test/x.png"),
        AudioPart(mime="audio/wav", file_id="f"),
        VideoPart(mime="video/mp4", url="s3://bucket/x.mp4"),
    ],
    ids=lambda part: part.type,
)
def test_what_has_no_address_of_the_web_stays_as_it_is(part: Any) -> None:
    message = Message.user([part])
    (found,), vendor = fetched(message)
    assert found is message and vendor.requests == []


def test_what_was_fetched_is_kept_with_the_message() -> None:
    message = Message.user([ImageUrlPart(url="https://a.test/x.png")])
    (one,), vendor = fetched(message)
    (two,), other = fetched(message)
    assert one is two and len(vendor.requests) == 1 and other.requests == []
    assert message.content[0].type == "image_url"
    (equal,), other = fetched(message, policy=UrlPolicy())
    assert equal is one and other.requests == []
    (again,), other = fetched(message, policy=UrlPolicy(max_bytes=1000))
    assert again == one and len(other.requests) == 1


def test_a_refusal_to_fetch_is_the_callers() -> None:
    for url, kind in (("http://a.test/x.png", InvalidInput), ("https://a.test/nothing", TakoError)):
        message = Message.user([ImageUrlPart(url=url)])
        with pytest.raises(kind):
            fetched(message)
        assert message.kept_media(POLICY) is None
    with pytest.raises(TakoError):
        fetched(Message.user([DocumentPart(url="https://a.test/x.png")]))
