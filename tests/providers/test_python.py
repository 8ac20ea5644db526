"""PythonProvider: functions of every shape as a model, and all that they can get wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tako.errors import Cancelled, InvalidInput, ProviderError, RateLimited, TakoError
from tako.events import ChatChunk, ChatEnd, ChatError, TextDelta, ThinkingDelta, ToolCall
from tako.models import (
    Capabilities,
    ChatRequest,
    ChatResponse,
    Message,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolSchema,
    Usage,
)
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.python import PythonProvider
from tako.testing.faults import Faults
from tako.testing.simulator import Simulator

REQUEST = ChatRequest(model="m", messages=(Message.user("hi"),))
CALL = ToolCallPart(id="1", name="t", args={"a": None})
KNOWN = Usage(input_tokens=3, output_tokens=4)
NO_USAGE = Usage()


def chat(provider: PythonProvider, request: ChatRequest = REQUEST) -> ChatResponse:
    return Simulator().run(provider.chat_flow(request))


def stream(provider: PythonProvider) -> tuple[list[ChatChunk], ChatResponse]:
    run = Simulator()._start(provider.stream_flow(REQUEST), None)
    return list(run), run.result


def told(provider: PythonProvider) -> tuple[list[Any], TakoError]:
    """The chunks of a stream that fails, and the error."""
    chunks: list[Any] = []
    with pytest.raises(TakoError) as caught:
        for chunk in Simulator()._start(provider.stream_flow(REQUEST), None):
            chunks.append(chunk)
    return chunks, caught.value


def returning(value: Any) -> list[Callable[[Any], Any]]:
    def plain(request: Any) -> Any:
        return value

    async def asynchronous(request: Any) -> Any:
        return value

    return [plain, asynchronous]


def yielding(*items: Any) -> list[Callable[[Any], Any]]:
    def generator(request: Any) -> Iterator[Any]:
        yield from items

    async def async_generator(request: Any) -> AsyncIterator[Any]:
        for item in items:
            yield item

    def iterator(request: Any) -> Any:
        return iter(items)

    return [generator, async_generator, iterator]


# What functions return.


@pytest.mark.parametrize(
    ("value", "content", "usage", "reason"),
    [
        ("hello", (TextPart(text="hello"),), NO_USAGE, "stop"),
        ({"text": "hello"}, (TextPart(text="hello"),), NO_USAGE, "stop"),
        ({"text": "hello", "input_tokens": 3, "output_tokens": 4}, (TextPart(text="hello"),), KNOWN, "stop"),
        (CALL, (CALL,), NO_USAGE, "tool_calls"),
        ([TextPart(text="a"), CALL], (TextPart(text="a"), CALL), NO_USAGE, "tool_calls"),
        (({"type": "text", "text": "a"},), (TextPart(text="a"),), NO_USAGE, "stop"),
        (
            Message.assistant([ThinkingPart(text="hm"), CALL]),
            (ThinkingPart(text="hm"), CALL),
            NO_USAGE,
            "tool_calls",
        ),
        (
            {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
            (TextPart(text="a"),),
            NO_USAGE,
            "stop",
        ),
        (
            ChatResponse(message=Message.assistant("a"), finish_reason="length", usage=KNOWN),
            (TextPart(text="a"),),
            KNOWN,
            "length",
        ),
        (
            {
                "message": {"role": "assistant", "content": [{"type": "text", "text": "a"}]},
                "finish_reason": "length",
            },
            (TextPart(text="a"),),
            NO_USAGE,
            "length",
        ),
    ],
)
def test_what_a_function_returns_is_an_answer(value: Any, content: Any, usage: Usage, reason: str) -> None:
    for function in returning(value):
        provider = PythonProvider("mine", function)
        whole = chat(provider)
        assert (whole.message.content, whole.usage, whole.finish_reason) == (content, usage, reason)
        chunks, pieces = stream(provider)
        assert pieces == whole
        assert isinstance(chunks[-1], ChatEnd) and (chunks[-1].usage, chunks[-1].finish_reason) == (
            usage,
            reason,
        )


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        b"x",
        {},
        {"text": 5},
        {"text": "a", "input_tokens": "many"},
        [5],
        [{"type": "bogus"}],
        {"role": "assistant", "content": 5},
        {"message": 5},
        object(),
    ],
)
def test_what_is_no_answer_is_a_provider_error(value: Any) -> None:
    for function in returning(value):
        provider = PythonProvider("mine", function)
        with pytest.raises(ProviderError, match="Python provider returned") as caught:
            chat(provider)
        assert caught.value.provider == "mine"
        chunks, error = told(provider)
        assert [type(chunk) for chunk in chunks] == [ChatError, ChatEnd]
        assert str(error) == str(caught.value)


# What generators yield.

DELTAS = (
    {"kind": "delta", "text": "a"},
    {"kind": "delta", "tool_calls": [{"index": 0, "id": "1", "name": "t", "arguments_fragment": '{"a"'}]},
    {"kind": "delta", "text": "b", "tool_calls": [{"index": 0, "arguments_fragment": ": null}"}]},
    {"kind": "delta", "tool_calls": [{"index": 2, "name": "u"}]},
    {"kind": "end", "finish_reason": "tool_calls", "usage": {"input_tokens": 3, "output_tokens": 4}},
)


@pytest.mark.parametrize(
    ("items", "content", "usage", "reason"),
    [
        (("a", "", "b"), (TextPart(text="ab"),), NO_USAGE, "stop"),
        ((), (), NO_USAGE, "stop"),
        (
            (TextDelta("a"), ThinkingDelta("hm"), ToolCall(CALL)),
            (ThinkingPart(text="hm"), TextPart(text="a"), CALL),
            NO_USAGE,
            "stop",
        ),
        (("a", CALL, ChatEnd("tool_calls", KNOWN), "late"), (TextPart(text="a"), CALL), KNOWN, "tool_calls"),
        (
            DELTAS,
            (TextPart(text="ab"), CALL, ToolCallPart(id="call_2", name="u", args={})),
            KNOWN,
            "tool_calls",
        ),
        (DELTAS[:3], (TextPart(text="ab"), CALL), NO_USAGE, "tool_calls"),
        (({"kind": "end", "finish_reason": "length", "usage": None},), (), NO_USAGE, "length"),
        (
            ({"kind": "delta", "tool_calls": [{"name": "t", "arguments_fragment": "{oops"}]},),
            (ToolCallPart(id="call_0", name="t", args="{oops"),),
            NO_USAGE,
            "tool_calls",
        ),
    ],
)
def test_what_a_generator_yields_is_an_answer_in_pieces(
    items: Any, content: Any, usage: Usage, reason: str
) -> None:
    for function in yielding(*items):
        for provider in (PythonProvider("mine", stream=function), PythonProvider("mine", function)):
            chunks, pieces = stream(provider)
            assert (pieces.message.content, pieces.usage, pieces.finish_reason) == (content, usage, reason)
            assert chat(provider) == pieces
            assert [type(chunk) for chunk in chunks].count(ChatEnd) == 1 and isinstance(chunks[-1], ChatEnd)


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (5, "bad type: int"),
        (None, "bad type"),
        ({"text": "no kind"}, "is not a chunk"),
        ({"kind": "surprise"}, "is not a chunk"),
        ({"kind": "end", "finish_reason": "stop"}, "is not a chunk"),
        ({"kind": "end", "finish_reason": "tired", "usage": {}}, "unknown finish_reason 'tired'"),
        ({"kind": "end", "finish_reason": "stop", "usage": {"input_tokens": "x"}}, "bad Usage"),
        ({"kind": "end", "finish_reason": "stop", "usage": 5}, "bad Usage"),
        ({"kind": "error", "message": "out of luck"}, "out of luck"),
        ({"kind": "delta", "tool_calls": 5}, "bad type"),
        ({"kind": "delta", "tool_calls": ["x"]}, "bad type: str"),
        ({"kind": "delta", "tool_calls": [{"index": "x"}]}, "bad type"),
        ({"kind": "delta", "tool_calls": [{"name": "t", "arguments_fragment": 5}]}, "bad type"),
        (ChatError(ProviderError("told")), "told"),
    ],
)
def test_what_is_no_chunk_breaks_the_stream(item: Any, words: str) -> None:
    for function in yielding("before", item, "after"):
        provider = PythonProvider("mine", stream=function)
        chunks, error = told(provider)
        assert isinstance(error, ProviderError) and words in str(error)
        assert [type(chunk) for chunk in chunks] == [TextDelta, ChatError, ChatEnd]
        assert chunks[-1].finish_reason == "error"
        assert error.partial.text == "before"
        with pytest.raises(ProviderError):
            chat(provider)


def test_calls_that_were_cut_off_are_not_in_the_answer() -> None:
    def generator(request: Any) -> Iterator[Any]:
        yield from DELTAS[:2]
        raise RuntimeError("cut")

    chunks, error = told(PythonProvider("mine", stream=generator))
    assert error.partial.message.tool_calls == ()
    assert not [chunk for chunk in chunks if isinstance(chunk, ToolCall)]


def test_a_call_without_a_name_is_an_error() -> None:
    for function in yielding({"kind": "delta", "tool_calls": [{"arguments_fragment": "{}"}]}):
        assert "tool call 0 has no name" in str(told(PythonProvider("mine", stream=function))[1])


# What functions raise.


def test_what_a_function_raises_is_the_cause_of_a_provider_error() -> None:
    original = KeyError("x")

    def plain(request: Any) -> Any:
        raise original

    async def asynchronous(request: Any) -> Any:
        raise original

    def generator(request: Any) -> Iterator[str]:
        yield "before"
        raise original

    async def async_generator(request: Any) -> AsyncIterator[str]:
        yield "before"
        raise original

    functions: list[Any] = [plain, asynchronous, generator, async_generator]
    for function in functions:
        chunks, error = told(PythonProvider("mine", function))
        assert str(error) == "Python provider raised: KeyError: 'x'"
        assert error.__cause__ is original and error.provider == "mine"
        assert [type(chunk) for chunk in chunks][-2:] == [ChatError, ChatEnd]


def test_an_error_of_tako_goes_through_as_it_is() -> None:
    error = RateLimited("slow down", retry_after=3)

    def plain(request: Any) -> Any:
        raise error

    with pytest.raises(RateLimited) as caught:
        chat(PythonProvider("mine", plain))
    assert caught.value is error and error.provider == "mine"


def test_a_cancel_keeps_what_was_said() -> None:
    for function in yielding("a", "b", "c"):
        run = Simulator(faults=Faults(call_seconds=1, cancel_at=3.5))._start(
            PythonProvider("mine", stream=function).stream_flow(REQUEST), None
        )
        with pytest.raises(Cancelled) as caught:
            list(run)
        assert caught.value.partial.text in ("ab", "a")
        assert caught.value.partial.finish_reason == "error"


# What functions are given.


def given_to(request: ChatRequest) -> dict[str, Any]:
    seen: list[dict[str, Any]] = []

    def keep(payload: dict[str, Any]) -> str:
        seen.append(payload)
        return "ok"

    chat(PythonProvider("mine", keep), request)
    return seen[0]


def test_a_function_is_given_what_is_set_and_nothing_else() -> None:
    assert given_to(ChatRequest(messages=(Message.user("hi"),))) == {
        "model": "",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        "stream": False,
    }


def test_zero_is_set() -> None:
    payload = given_to(
        ChatRequest(messages=(), temperature=0.0, seed=0, top_p=0.0, max_tokens=5, stop=("x",))
    )
    assert payload == {
        "model": "",
        "messages": [],
        "temperature": 0.0,
        "seed": 0,
        "top_p": 0.0,
        "max_tokens": 5,
        "stop": ["x"],
        "stream": False,
    }


def test_tools_are_among_it() -> None:
    schema = ToolSchema(name="t", description="d", input_schema={"type": "object"})
    payload = given_to(ChatRequest(messages=(), tools=(schema,), tool_choice="t", metadata={"a": "b"}))
    assert payload["tools"] == [{"name": "t", "description": "d", "input_schema": {"type": "object"}}]
    assert (payload["tool_choice"], payload["metadata"]) == ("t", {"a": "b"})


def test_a_function_knows_which_of_the_two_it_serves() -> None:
    seen: list[tuple[str, bool]] = []

    def first(payload: dict[str, Any]) -> str:
        seen.append(("chat", payload["stream"]))
        return "a"

    def second(payload: dict[str, Any]) -> Iterator[str]:
        seen.append(("stream", payload["stream"]))
        yield "b"

    provider = PythonProvider("mine", first, second)
    assert (chat(provider).text, stream(provider)[1].text) == ("a", "b")
    assert seen == [("chat", False), ("stream", True)]


def test_a_function_that_says_so_is_given_the_request_itself() -> None:
    seen: list[Any] = []

    def by_name(request: ChatRequest) -> str:
        seen.append(request)
        return "ok"

    def by_class(request: Any) -> str:
        seen.append(request)
        return "ok"

    by_class.__annotations__["request"] = ChatRequest
    chat(PythonProvider("mine", by_name))
    chat(PythonProvider("mine", by_class))
    assert [one is REQUEST for one in seen] == [True, True]


def test_an_object_that_can_be_called_will_do() -> None:
    @dataclass
    class Model:  # a dataclass cannot be hashed
        word: str

        def __call__(self, request: Any) -> str:
            return self.word

    assert chat(PythonProvider("mine", Model("hey"))).text == "hey"


def test_its_calls_are_performed_by_an_agent() -> None:
    def answer(payload: dict[str, Any]) -> Any:
        last = payload["messages"][-1]
        return "done" if last["role"] == "tool" else ToolCallPart(id="1", name="double", args={"x": 4})

    def double(x: int) -> int:
        return 2 * x

    result = Simulator().run(SingleAgent(PythonProvider("mine", answer), tools=[double]), "go")
    assert result.text == "done"
    assert result.new_messages[2].content[0].result == 8  # type: ignore[union-attr]


# What it says of itself.


def test_what_it_can_is_read_off_its_functions() -> None:
    plain, _ = returning("x")
    generator, async_generator, _ = yielding("x")
    streaming = [
        PythonProvider("a", plain),
        PythonProvider("a", plain, generator),
        PythonProvider("a", generator),
        PythonProvider("a", async_generator),
        PythonProvider("a", stream=generator),
    ]
    assert [one.capabilities.supports_streaming for one in streaming] == [False, True, True, True, True]
    assert PythonProvider("a", plain).capabilities.max_context_tokens == 32_000
    assert PythonProvider("a", plain, max_context_tokens=5).capabilities.max_context_tokens == 5
    own = Capabilities(supports_vision=True)
    assert PythonProvider("a", plain, capabilities=own).capabilities is own
    assert (PythonProvider("python:m", plain).model, PythonProvider("p", plain).model) == ("m", "")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("", print), "id"),
        ((5, print), "id"),
        (("a",), "chat function, a stream function, or both"),
        (("a", 5), "chat should be a function"),
        (("a", print, "x"), "stream should be a function"),
    ],
)
def test_a_wrong_argument_is_named(arguments: Any, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        PythonProvider(*arguments)


@pytest.mark.parametrize("options", [{"max_context_tokens": "x"}, {"capabilities": 5}])
def test_a_wrong_option_is_named(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(options))):
        PythonProvider("a", print, **options)
