"""Sampling: what a server asks of a model, in tako's terms, and the answer in the server's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import TakoError
from tako.mcp import McpError
from tako.mcp.sampling import SamplingRequest, sampling_answer
from tako.models import ChatRequest, ChatResponse, Message, Role
from tako.parts import ImagePart, TextPart, ToolCallPart, ToolResultPart
from tako.testing import Simulator
from tests.orchestrators.kit import Recorded, call, replied

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def asked(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"messages": list(messages), "maxTokens": 100, **more}


def said(content: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": content}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def answered(sampling: Any, params: Any, approve: Any = None) -> Any:
    return Simulator().run(sampling_answer(sampling, approve, params))


def test_everything_that_is_asked_is_in_the_request() -> None:
    tools = [
        {"name": "look", "description": "d", "inputSchema": {"type": "object"}},
        {"name": "x", "inputSchema": {}},
    ]
    params = asked(
        said(text("hello")),
        said(text("hi"), "assistant"),
        said({"type": "image", "mimeType": "image/png", "data": PIXEL}),
        systemPrompt="be brief",
        temperature=0.5,
        stopSequences=["END"],
        tools=tools,
        toolChoice={"mode": "required"},
        modelPreferences={"hints": [{"name": "claude"}, {"odd": 1}, 5, {"name": "gpt"}], "costPriority": 1},
    )
    found = SamplingRequest.of(params)
    request = found.request
    assert [message.role for message in request.messages] == [
        Role.SYSTEM,
        Role.USER,
        Role.ASSISTANT,
        Role.USER,
    ]
    assert [message.text for message in request.messages] == ["be brief", "hello", "hi", ""]
    assert request.messages[3].content == (ImagePart(mime="image/png", data_b64=PIXEL),)
    assert (request.max_tokens, request.temperature, request.stop) == (100, 0.5, ("END",))
    assert [(tool.name, tool.description) for tool in request.tools] == [("look", "d"), ("x", "")]
    assert request.tool_choice == "required"
    assert found.hints == ("claude", "gpt")
    assert found.raw is params


@pytest.mark.parametrize("choice", [None, {}, {"mode": "telepathy"}, {"mode": []}])
def test_a_choice_of_tools_that_is_not_known_is_the_models_own(choice: Any) -> None:
    assert SamplingRequest.of(asked(toolChoice=choice)).request.tool_choice is None


def test_a_call_and_its_result_become_tako_messages_and_the_result_has_the_tools_name() -> None:
    use = {"type": "tool_use", "id": "c1", "name": "look", "input": {"at": "sea"}}
    seen = {"type": "tool_result", "toolUseId": "c1", "content": [text("a "), text("fish")]}
    shown = {
        "type": "tool_result", "toolUseId": "c2", "isError": True,
        "content": [text("a picture"), {"type": "image", "mimeType": "image/png", "data": PIXEL}],
    }  # fmt: skip
    request = SamplingRequest.of(
        asked(said(text("go")), said([text("I look"), use], "assistant"), said([seen, shown, text("so?")]))
    ).request
    assert [message.role for message in request.messages] == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.USER]
    assert request.messages[1].tool_calls == (ToolCallPart(id="c1", name="look", args={"at": "sea"}),)
    first, second = request.messages[2].content
    assert first == ToolResultPart(id="c1", name="look", result="a fish")
    assert isinstance(second, ToolResultPart)
    assert (second.name, second.is_error) == ("tool", True)
    assert [type(part) for part in second.content] == [TextPart, ImagePart]
    assert request.messages[3].text == "so?"


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"messages": {}},
        asked(5),
        asked({"role": "user"}),
        asked({"content": text("x")}),
        asked(said("words")),
        asked(said(text("x"), 5)),  # type: ignore[arg-type]
        asked(said({"type": "text"})),
        asked(said({"type": "image", "data": PIXEL})),
        asked(said([{"type": "tool_use", "id": "1", "name": "n", "input": []}])),
        asked(said([{"type": "tool_result"}])),
        asked(tools=[{"name": "x"}]),
        asked(tools=[5]),
        asked(stopSequences=[5]),
        {"messages": [], "maxTokens": 0},
        {"messages": [], "maxTokens": -5},
        {"messages": [], "temperature": 10**400},
    ],
)
def test_a_request_that_is_spoiled_is_an_error_of_the_family_and_no_model_is_asked(params: Any) -> None:
    provider = Recorded(replied("no"))
    with pytest.raises(TakoError):
        answered(provider, params, lambda request: True)
    assert provider.requests == []


MEMBERS = (
    "messages", "role", "content", "type", "text", "data", "mimeType", "toolUseId", "id", "name", "input",
    "tools", "inputSchema", "maxTokens", "temperature", "stopSequences", "toolChoice", "modelPreferences",
    "hints", "systemPrompt",
)  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400)
    | st.sampled_from(["text", "image", "tool_use", "tool_result", "user", "assistant", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=6),
    max_leaves=25,
)  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(MEMBERS), ANYTHING, max_size=6),
    st.lists(
        ANYTHING
        | st.fixed_dictionaries({"role": st.just("user"), "content": st.lists(ANYTHING, max_size=2)}),
        max_size=3,
    ),
)
def test_any_request_is_answered_or_refused(params: dict[str, Any], messages: list[Any]) -> None:
    try:
        found = answered(lambda request: "yes", {"messages": messages, **params})
    except TakoError:
        return
    assert found["content"] == text("yes")


# Who is asked first.


@pytest.mark.parametrize("word", [False, None, "yes", 1])
def test_what_is_not_approved_is_refused_and_no_model_is_asked(word: Any) -> None:
    provider = Recorded(replied("no"))
    shown: list[SamplingRequest] = []

    async def approve(request: SamplingRequest) -> Any:
        shown.append(request)
        return word

    with pytest.raises(McpError, match="rejected") as caught:
        answered(provider, asked(said(text("hello"))), approve)
    assert caught.value.number == -1
    assert provider.requests == []
    assert shown[0].request.messages[0].text == "hello"


def test_a_function_may_be_approved_too() -> None:
    with pytest.raises(McpError, match="rejected"):
        answered(lambda request: "x", asked(), lambda request: False)


# Answers.


def test_a_provider_is_asked_with_its_own_model() -> None:
    provider = Recorded(replied("hello", finish_reason="stop", model="fake-2"))
    found = answered(provider, asked(said(text("hi"))), lambda request: True)
    assert found == {
        "role": "assistant", "content": text("hello"), "model": "fake-2", "stopReason": "endTurn",
    }  # fmt: skip
    assert provider.requests[0].max_tokens == 100


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("stop", "endTurn"),
        ("length", "maxTokens"),
        ("tool_calls", "toolUse"),
        ("content_filter", "content_filter"),
    ],
)
def test_why_it_stopped_is_told_in_the_words_of_the_specification(reason: str, told: str) -> None:
    provider = Recorded(replied("x", finish_reason=reason))
    found = answered(provider, asked(), lambda request: True)
    assert (found["stopReason"], found["model"]) == (told, provider.model)


def test_calls_and_pictures_in_an_answer_are_blocks() -> None:
    parts = TextPart(text="look"), ImagePart(mime="image/png", data_b64=PIXEL), call("c1", "fish", n=1)
    found = answered(Recorded(replied(*parts)), asked(), lambda request: True)
    assert found["content"] == [
        text("look"),
        {"type": "image", "mimeType": "image/png", "data": PIXEL},
        {"type": "tool_use", "id": "c1", "name": "fish", "input": {"n": 1}},
    ]


async def in_async(request: ChatRequest) -> str:
    return f"{len(request.messages)} messages"


@pytest.mark.parametrize(
    ("sampling", "words"),
    [
        (lambda request: "words", "words"),
        (in_async, "1 messages"),
        (lambda request: ChatResponse(message=Message.assistant("whole"), model="m"), "whole"),
        (lambda request: ChatResponse(message=Message.assistant("")), ""),
    ],
)
def test_a_function_gives_text_or_a_response(sampling: Any, words: str) -> None:
    found = answered(sampling, asked(said(text("hi"))))
    assert found["content"] == text(words)
    assert found["model"] == ("m" if words == "whole" else "host")


@pytest.mark.parametrize("given", [None, 5, {"content": "x"}])
def test_a_function_that_gives_something_else_is_told_so(given: Any) -> None:
    with pytest.raises(TypeError, match="ChatResponse or text"):
        answered(lambda request: given, asked())


def test_what_the_provider_fails_with_is_raised() -> None:
    with pytest.raises(TakoError, match="no money"):
        answered(Recorded(TakoError("no money")), asked(), lambda request: True)
