"""What a server gives, read from any JSON: a value, or a ProtocolError; nothing else, and nothing made up."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import ProtocolError
from tako.mcp.catalogue import (
    CallResult,
    Completion,
    Content,
    Contents,
    PromptInfo,
    PromptResult,
    ResourceInfo,
    TemplateInfo,
    ToolInfo,
    listed,
    needed,
    optional,
)
from tako.models import Role
from tako.parts import AudioPart, DocumentPart, ImagePart, TextPart

MEMBERS = (
    "name", "description", "inputSchema", "outputSchema", "annotations", "title", "readOnlyHint", "uri",
    "uriTemplate", "mimeType", "size", "arguments", "required", "text", "blob", "type", "data", "resource",
    "content", "structuredContent", "isError", "role", "messages", "completion", "values", "total", "hasMore",
)  # fmt: skip
WORDS = (
    "text",
    "image",
    "audio",
    "resource",
    "resource_link",
    "image/png",
    "audio/wav",
    "eA==",
    "user",
    "assistant",
)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats(allow_nan=False)
    | st.sampled_from(WORDS) | st.text(max_size=3)
)  # fmt: skip
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=8),
    max_leaves=25,
)
READERS: tuple[Callable[[Any], Any], ...] = (
    ToolInfo.of, ResourceInfo.of, TemplateInfo.of, PromptInfo.of, Contents.of, Content.of, CallResult.of,
    PromptResult.of, Completion.of,
)  # fmt: skip


def used(value: Any) -> None:
    """All that can be done with a value; an odd one may say ProtocolError here, and nothing else."""
    match value:
        case Content():
            value.part()
        case Contents():
            assert isinstance(value.data, bytes)
        case CallResult():
            assert isinstance(value.text, str)
            for piece in value.content:
                piece.part()
        case PromptResult():
            value.to_messages()
    repr(value)


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__self__.__name__)
@given(data=st.data())
def test_any_json_is_a_value_or_a_protocol_error(read: Callable[[Any], Any], data: st.DataObject) -> None:
    raw = data.draw(ANYTHING)
    try:
        used(read(raw))
    except ProtocolError:
        pass


GOOD: dict[Callable[[Any], Any], dict[str, Any]] = {
    ToolInfo.of: {
        "name": "t", "inputSchema": {}, "description": "d", "title": "T", "outputSchema": {},
        "annotations": {"readOnlyHint": True},
    },
    ResourceInfo.of: {"uri": "a:b", "name": "n", "title": "T", "description": "d", "size": 5},
    TemplateInfo.of: {"uriTemplate": "a:{b}", "name": "n", "title": "T", "description": "d", "mimeType": "m"},
    PromptInfo.of: {"name": "p", "arguments": [{"name": "a", "required": True}], "title": "T"},
    Contents.of: {"uri": "a:b", "text": "t", "mimeType": "m"},
    CallResult.of: {"content": [{"type": "text", "text": "t"}], "structuredContent": {}, "isError": False},
    PromptResult.of: {"messages": [{"role": "user", "content": {"type": "text", "text": "t"}}]},
    Completion.of: {"completion": {"values": ["v"], "total": 1, "hasMore": False}},
}  # fmt: skip
NEEDED = {"name", "inputSchema", "uri", "uriTemplate", "content", "messages", "completion"}


@pytest.mark.parametrize("read", GOOD, ids=lambda read: read.__self__.__name__)
@given(data=st.data())
def test_one_member_that_is_wrong_is_missed_only_where_it_is_needed(
    read: Callable[[Any], Any], data: st.DataObject
) -> None:
    good = GOOD[read]
    name = data.draw(st.sampled_from(sorted(good)))
    wrong = data.draw(st.none() | st.just(10**400) | st.just({"no": 1}) | st.just([None]))
    if type(wrong) is type(good[name]) and name not in NEEDED:
        return
    raw = {**good, name: wrong}
    try:
        used(read(raw))
    except ProtocolError as error:
        assert name in NEEDED | {"arguments"} or "argument" in error.message
    else:
        assert name not in NEEDED or type(wrong) is type(good[name])


def test_true_is_no_number_and_a_number_no_bool() -> None:
    assert optional({"n": True}, "n", int) is None
    assert optional({"n": True}, "n", int | float) is None
    assert optional({"n": 1}, "n", bool) is None
    assert optional({"n": False}, "n", bool) is False
    assert optional({"n": 1}, "n", int | float) == 1
    with pytest.raises(ProtocolError, match="a thing has no 'n'"):
        needed({"n": True}, "n", int, "a thing")


def test_hints_are_the_servers_word_or_none() -> None:
    hints = {"readOnlyHint": 1, "title": "A", "destructiveHint": False}
    info = ToolInfo.of({"name": "t", "inputSchema": {}, "annotations": hints})
    assert (info.read_only, info.destructive, info.idempotent) == (None, False, None)
    assert info.title == "A"
    assert info.raw["annotations"]["readOnlyHint"] == 1


@pytest.mark.parametrize(
    ("raw", "part"),
    [
        ({"type": "text", "text": "t"}, TextPart(text="t")),
        (
            {"type": "image", "mimeType": "image/png", "data": "eA=="},
            ImagePart(mime="image/png", data_b64="eA=="),
        ),
        (
            {"type": "audio", "mimeType": "audio/wav", "data": "eA=="},
            AudioPart(mime="audio/wav", data_b64="eA=="),
        ),
        ({"type": "resource_link", "uri": "a:b", "name": "n"}, TextPart(text="[resource n: a:b]")),
        ({"type": "resource", "resource": {"uri": "a:b", "text": "t"}}, TextPart(text="t")),
        (
            {"type": "resource", "resource": {"uri": "a:b", "mimeType": "image/png", "blob": "eA=="}},
            ImagePart(mime="image/png", data_b64="eA=="),
        ),
        (
            {"type": "resource", "resource": {"uri": "a:b", "mimeType": "application/pdf", "blob": "eA=="}},
            DocumentPart(mime="application/pdf", data_b64="eA==", title="a:b"),
        ),
        ({"type": "hologram"}, TextPart(text="[content of the unknown kind 'hologram']")),
    ],
)  # fmt: skip
def test_each_kind_of_content_becomes_what_a_model_can_be_given(raw: Any, part: Any) -> None:
    assert Content.of(raw).part() == part


@pytest.mark.parametrize(
    "raw",
    [
        {"type": "image", "mimeType": "image/png", "data": "no base64!"},
        {"type": "image", "mimeType": "", "data": "eA=="},
        {"type": "image", "mimeType": "image/png", "data": ""},
        {"type": "resource", "resource": {"uri": "a:b", "mimeType": "image/png"}},
    ],
)
def test_what_no_model_takes_is_described(raw: Any) -> None:
    part = Content.of(raw).part()
    assert isinstance(part, TextPart)
    assert "cannot be shown" in part.text


def test_contents_give_their_bytes_or_say_that_they_are_none() -> None:
    assert Contents.of({"uri": "a:b", "text": "\u00e4"}).data == b"\xc3\xa4"
    assert Contents.of({"uri": "a:b", "blob": base64.b64encode(b"\0\xff").decode()}).data == b"\0\xff"
    with pytest.raises(ProtocolError, match="a:b are no base64"):
        assert Contents.of({"uri": "a:b", "blob": "?"}).data


def test_a_prompt_becomes_messages() -> None:
    result = PromptResult.of({
        "messages": [
            {"role": "user", "content": {"type": "text", "text": "q"}},
            {"role": "assistant", "content": {"type": "text", "text": "a"}},
        ]
    })  # fmt: skip
    assert [(one.role, one.text) for one in result.to_messages()] == [(Role.USER, "q"), (Role.ASSISTANT, "a")]


def test_values_of_a_completion_are_texts() -> None:
    found = Completion.of({"completion": {"values": ["a", 1, None, "b"], "total": 9, "hasMore": True}})
    assert (found.values, found.total, found.has_more) == (("a", "b"), 9, True)


def test_a_page_is_a_list() -> None:
    assert listed({"tools": [1]}, "tools") == [1]
    wrong: tuple[Any, ...] = {"tools": {}}, {}, [], None
    for page in wrong:
        with pytest.raises(ProtocolError, match="tools"):
            listed(page, "tools")
