"""Models: values that are checked when they are made, never change, and survive JSON."""

from __future__ import annotations

import base64
import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from tako.errors import InvalidInput
from tako.models import (
    CacheControl,
    Capabilities,
    ChatRequest,
    ChatResponse,
    ContentPart,
    ImagePart,
    ImageUrlPart,
    Message,
    OpaquePart,
    Part,
    Principal,
    Replay,
    Role,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolSchema,
    Usage,
)
from tako.testing.strategies import conversations, responses

REPLAY = Replay(vendor="v", data={"signature": "secret"})
PARTS: dict[str, Any] = {
    "text": TextPart(text="hi"),
    "image": ImagePart(mime="image/png", data_b64="aGk="),
    "image_url": ImageUrlPart(url="https://example.com/a.png"),
    "thinking": ThinkingPart(text="hm", replay=REPLAY),
    "tool_call": ToolCallPart(id="1", name="t", args={"a": None}),
    "tool_result": ToolResultPart(id="1", name="t", result=[1]),
    "opaque": OpaquePart(replay=REPLAY),
}


# Parts.


@pytest.mark.parametrize("kind", PARTS)
def test_a_part_is_known_by_its_type(kind: str) -> None:
    part = PARTS[kind]
    assert part.type == kind
    assert isinstance(part, ContentPart)
    assert ContentPart(**part.model_dump()) == part
    assert TypeAdapter(Part).validate_json(part.model_dump_json()) == part
    assert Message(role="assistant", content=[part.model_dump()]).content == (part,)  # type: ignore[arg-type]


def test_other_things_are_no_parts() -> None:
    for other in ("text", {"type": "text"}, Message.user("x"), REPLAY, None):
        assert not isinstance(other, ContentPart)


def test_the_helpers_make_parts() -> None:
    mark = CacheControl(ttl="1h")
    assert ContentPart.text("hi", cache_control=mark) == TextPart(text="hi", cache_control=mark)
    assert ContentPart.image(b"hi") == PARTS["image"]
    assert ContentPart.image("aGk=", "image/gif") == ImagePart(mime="image/gif", data_b64="aGk=")
    assert ContentPart.image_url("https://example.com/a.png") == PARTS["image_url"]
    assert ContentPart.tool_call("1", "t", {"a": None}) == PARTS["tool_call"]
    assert ContentPart.tool_result("1", [1], name="t") == PARTS["tool_result"]
    assert ContentPart.tool_result("1", "no", is_error=True).is_error


def test_a_data_url_is_taken_apart() -> None:
    assert ContentPart.image("data:image/webp;base64,aGk=") == ImagePart(mime="image/webp", data_b64="aGk=")
    assert ContentPart.image("data:;base64,aGk=", "image/gif").mime == "image/gif"
    assert ImagePart(mime="image/png", data_b64="data:image/png;base64,aGk=").data_b64 == "aGk="


@given(st.binary(max_size=200))
def test_an_image_of_bytes_keeps_them(data: bytes) -> None:
    assert base64.b64decode(ContentPart.image(data).data_b64) == data


def test_a_type_of_ones_own_can_hold_parts() -> None:
    class Note(BaseModel):
        part: ContentPart

    note = Note(part={"type": "text", "text": "hi"})  # type: ignore[arg-type]
    assert note.part == TextPart(text="hi")  # type: ignore[comparison-overlap]
    assert Note.model_validate_json(note.model_dump_json()) == note


# What is refused, and in which words.


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ContentPart(type="bogus"), "ContentPart: type should be one of text, image, .* not 'bogus'"),
        (lambda: ContentPart(text="x"), "ContentPart: type should be one of"),
        (lambda: ContentPart(type=["text"]), "ContentPart: type should be one of"),
        (lambda: TextPart(), "TextPart: text: Field required"),
        (lambda: TextPart(text=5), "TextPart: text: Input should be a valid string"),
        (lambda: TextPart(text="x", txt="y"), "txt: Extra inputs are not permitted"),
        (lambda: ContentPart.image(b"x", "image/tiff"), "ImagePart: mime: should be one of image/jpeg"),
        (lambda: ContentPart.image("not base64!"), "ImagePart: data_b64: should be base64"),
        (lambda: ContentPart.image("é"), "ImagePart: data_b64"),
        (lambda: ContentPart.image(5), "ImagePart: data_b64"),  # type: ignore[arg-type]
        (lambda: ContentPart.image_url("ftp://x"), "ImageUrlPart: url: should start with https://"),
        (lambda: ContentPart.image_url("file:///etc/passwd"), "url: should start with"),
        (lambda: CacheControl(ttl="2h"), "CacheControl: ttl"),
        (lambda: Message(role="boss"), "Message: role"),
        (lambda: Message.user([5]), "Message: content.0"),  # type: ignore[list-item]
        (lambda: Message(role="user", content=[{"type": "bogus"}]), "content.0: Input tag 'bogus'"),
        (lambda: Message(role="user", content=[{"type": "text"}]), "content.0.text: .*text: Field required"),
        (lambda: ChatRequest(messages=(), max_tokens=0), "ChatRequest: max_tokens"),
        (lambda: ChatRequest(messages=["x"]), "ChatRequest: messages.0"),
        (lambda: ChatRequest(messages=(), stop="END"), "ChatRequest: stop"),
        (lambda: ChatResponse(message=Message.user("x"), finish_reason="tired"), "finish_reason"),
        (lambda: Usage(input_tokens=1.5), "Usage: input_tokens"),
        (lambda: ToolSchema(name="x", description="y", input_schema=5), "ToolSchema: input_schema"),
        (lambda: Principal(roles="admin"), "Principal: roles"),
    ],
)
def test_what_is_wrong_is_named(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        make()
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, TypeError)
    assert "http" not in str(caught.value).replace("https://, http://", "")  # no advertisement of a manual


@pytest.mark.parametrize(
    ("value", "field"),
    [(PARTS["text"], "text"), (Message.user("x"), "role"), (Usage(), "input_tokens"), (REPLAY, "vendor"),
     (ChatRequest(messages=()), "model"), (Principal(), "user_id"), (Capabilities(), "supports_tools")],
)  # fmt: skip
def test_a_value_does_not_change(value: Any, field: str) -> None:
    before = getattr(value, field)
    with pytest.raises(ValidationError, match="frozen"):
        setattr(value, field, "other")
    assert getattr(value, field) == before


def test_what_is_secret_or_long_is_not_shown() -> None:
    assert "secret" not in repr(REPLAY) and "secret" not in repr(PARTS["thinking"])
    assert "aGk=" not in repr(PARTS["image"])
    assert "vendor's own" not in repr(Usage(raw={"x": "vendor's own"}))


# Messages.


def test_the_text_of_a_message_is_its_text_parts() -> None:
    message = Message.assistant(
        [PARTS["thinking"], TextPart(text="a"), PARTS["tool_call"], TextPart(text="b")]
    )
    assert message.text == "ab"
    assert message.tool_calls == (PARTS["tool_call"],)
    assert Message.tool([PARTS["tool_result"]]).text == ""
    assert ChatResponse(message=message).text == "ab"


def test_a_message_is_made_of_text_or_parts_by_anybody() -> None:
    makers = {Role.SYSTEM: Message.system, Role.USER: Message.user, Role.ASSISTANT: Message.assistant}
    for role, make in makers.items():
        assert make("hi") == make([PARTS["text"]]) == make(iter([PARTS["text"]]))
        assert (make("hi").role, make("hi").text) == (role, "hi")
    assert Message.tool(iter([PARTS["tool_result"]])).role is Role.TOOL


@given(conversations(max_turns=2))
def test_any_message_survives_json(messages: list[Message]) -> None:
    request = ChatRequest(messages=tuple(messages))
    assert ChatRequest.model_validate_json(request.model_dump_json()) == request
    for message in messages:
        assert Message.model_validate_json(message.model_dump_json()) == message
        assert Message.model_validate(message.model_dump(mode="json")) == message


@given(responses())
def test_any_response_survives_json(response: ChatResponse) -> None:
    assert ChatResponse.model_validate_json(response.model_dump_json()) == response


# What an encoder made is kept.


class Encoder:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, value: Any) -> bytes:
        self.calls += 1
        return f"{value.model_dump_json()} {self.calls}".encode()


@pytest.mark.parametrize(
    "make",
    [lambda: Message.user("x"), lambda: ToolSchema(name="t", description="", input_schema={})],
    ids=["message", "schema"],
)
def test_a_value_is_encoded_once_for_a_codec(make: Callable[[], Any]) -> None:
    value, encoder = make(), Encoder()
    first = value.encoded("one", encoder)
    assert value.encoded("one", encoder) is first
    assert value.encoded("".join(("o", "ne")), encoder) is first  # an equal codec is the same codec
    assert encoder.calls == 1
    second = value.encoded("two", encoder)
    assert second != first and value.encoded("two", encoder) is second
    assert encoder.calls == 2


@pytest.mark.parametrize(
    "change",
    [
        copy.copy,
        copy.deepcopy,
        lambda value: pickle.loads(pickle.dumps(value)),
        lambda value: value.model_copy(),
        lambda value: Message.model_validate_json(value.model_dump_json()),
    ],
)
def test_what_was_kept_stays_with_its_own_value(change: Callable[[Message], Message]) -> None:
    value, encoder = Message.user("x"), Encoder()
    value.encoded("one", encoder)
    other = change(value)
    assert other == value and hash(other) == hash(value)
    other.encoded("one", encoder)
    assert encoder.calls == 2


def test_a_changed_copy_is_encoded_anew() -> None:
    value, encoder = Message.user("x"), Encoder()
    value.encoded("one", encoder)
    other = value.model_copy(update={"role": Role.SYSTEM})
    assert b'"system"' in other.encoded("one", encoder)


def test_what_an_encoder_raises_is_not_kept() -> None:
    value = Message.user("x")

    def fail(value: Message) -> bytes:
        raise InvalidInput("no")

    with pytest.raises(InvalidInput):
        value.encoded("one", fail)
    assert value.encoded("one", lambda _: b"ok") == b"ok"


# Usage and prices.

counts = st.none() | st.integers(0, 10**9)
usages = st.builds(
    Usage, input_tokens=counts, output_tokens=counts, cache_read_tokens=counts, cache_write_tokens=counts,
    reasoning_tokens=counts,
)  # fmt: skip


@given(usages, usages, usages)
def test_usage_is_summed_field_by_field(a: Usage, b: Usage, c: Usage) -> None:
    total = a + b
    for name in (
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
    ):
        known = [value for value in (getattr(a, name), getattr(b, name)) if value is not None]
        assert getattr(total, name) == (sum(known) if known else None)
    assert a + Usage() == a == Usage() + a
    assert (a + b) + c == a + (b + c)
    assert a.total == (a.input_tokens or 0) + (a.output_tokens or 0)


def test_what_a_vendor_said_of_one_call_is_not_summed() -> None:
    assert (Usage(raw={"x": 1}) + Usage(raw={"y": 2})).raw is None


def test_usage_is_added_to_usage_only() -> None:
    with pytest.raises(TypeError):
        Usage() + 1  # type: ignore[operator]


@pytest.mark.parametrize(
    ("prices", "usage", "cost"),
    [
        ((2.0, 8.0), Usage(input_tokens=500_000, output_tokens=250_000), 3.0),
        ((0.0, 0.0), Usage(input_tokens=5, output_tokens=5), 0.0),
        ((2.0, 8.0), Usage(input_tokens=0, output_tokens=0), 0.0),
        ((2.0, None), Usage(input_tokens=5, output_tokens=5), None),
        ((None, 8.0), Usage(input_tokens=5, output_tokens=5), None),
        ((2.0, 8.0), Usage(input_tokens=5), None),
        ((2.0, 8.0), Usage(), None),
    ],
)
def test_a_cost_is_known_where_prices_and_counts_are(prices: Any, usage: Usage, cost: float | None) -> None:
    capabilities = Capabilities(usd_per_input_mtok=prices[0], usd_per_output_mtok=prices[1])
    assert capabilities.cost_usd(usage) == cost
