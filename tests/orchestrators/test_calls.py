"""Calls of tools through an agent: every shape of function, every way to go wrong, in which order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from tako.effects import Flow, Gather, Sleep
from tako.errors import Cancelled, TimedOut, ToolError, TransportError
from tako.events import ToolProgress
from tako.models import TextPart, ToolCallPart, ToolResultPart
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.fake import Fake, Reply
from tako.testing.simulator import Simulator
from tako.tools import Tool, ToolContext, ToolOutput, tool
from tests.orchestrators.kit import Recorded, assert_replayable, call, events_of, results


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Address(BaseModel):
    city: str
    lines: list[str] = Field(default_factory=list)


@dataclass
class Point:
    x: int
    y: float = 0.5


def plain(a: int, b: int = 2) -> int:
    return a + b


async def asynchronous(a: int) -> int:
    return a * 10


def progressing(count: int) -> Iterator[str]:
    for number in range(count):
        yield f"{number} of {count}"
    return "all done"  # type: ignore[return-value]


def last_counts(count: int) -> Iterator[int]:
    yield from range(count)


async def async_progressing(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


def with_context(word: str, context: ToolContext) -> str:
    return f"{word} {context.call_id} {context.step} {context.cancel.is_cancelled}"


async def async_with_context(context: ToolContext) -> str:
    return context.tool_name


def progressing_with_context(context: ToolContext, count: int) -> Iterator[str]:
    for number in range(count):
        yield f"{context.call_id}:{number}"


def positional(context: ToolContext, a: int, b: int = 5, /, *, c: int = 0) -> list[Any]:
    return [context.tool_name, a, b, c]


def open_ended(a: int, **others: Any) -> dict[str, Any]:
    return {"a": a, **others}


def shadowing(json: str, copy: int = 3, model_name: str = "m") -> list[Any]:
    return [json, copy, model_name]


def rich(
    colour: Colour,
    address: Address,
    when: date,
    tags: frozenset[str] = frozenset(),
    size: Annotated[int, Field(ge=1, le=9)] = 1,
    either: int | str = "x",
) -> Any:
    return {"colour": colour, "address": address, "when": when, "tags": tags, "size": size, "either": either}


class Greeter:
    """Greets people."""

    def __init__(self) -> None:
        self.greeted: list[str] = []

    def greet(self, name: str) -> str:
        self.greeted.append(name)
        return f"hello {name}"

    def __call__(self, name: str) -> str:
        return f"called {name}"


def answer_of(function: Callable[..., Any] | Tool, args: Any, **options: Any) -> ToolResultPart:
    """What the model reads after it has called this tool with these arguments."""
    name = function.name if isinstance(function, Tool) else function.__name__
    script: list[Reply] = [ToolCallPart(id="7", name=name, args=args), "ok"]
    result = Simulator().run(SingleAgent(Fake(script=script), tools=[function], **options), "go")
    assert result.text == "ok"
    assert_replayable(result.new_messages)
    (part,) = results(result.new_messages)
    return part


def answered(function: Callable[..., Any] | Tool, args: Any) -> tuple[Any, bool]:
    part = answer_of(function, args)
    return part.result, part.is_error


@pytest.mark.parametrize(
    ("function", "args", "result"),
    [
        (plain, {"a": 1}, 3),
        (plain, {"a": "1", "b": 1}, 2),
        (asynchronous, {"a": 4}, 40),
        (progressing, {"count": 3}, "all done"),
        (last_counts, {"count": 3}, 2),
        (last_counts, {"count": 0}, None),
        (async_progressing, {"count": 3}, 2),
        (with_context, {"word": "w"}, "w 7 1 False"),
        (async_with_context, {}, "async_with_context"),
        (progressing_with_context, {"count": 2}, "7:1"),
        (positional, {"a": 1}, ["positional", 1, 5, 0]),
        (positional, {"a": 1, "b": 2, "c": 3}, ["positional", 1, 2, 3]),
        (open_ended, {"a": 1, "z": [None]}, {"a": 1, "z": [None]}),
        (shadowing, {"json": "{}"}, ["{}", 3, "m"]),
        (shadowing, {"json": "{}", "copy": 1, "model_name": "n"}, ["{}", 1, "n"]),
        (Greeter().greet, {"name": "Ann"}, "hello Ann"),
        (Tool(Greeter(), name="greeter"), {"name": "Ann"}, "called Ann"),
    ],
)
def test_every_shape_of_function_is_a_tool(function: Any, args: Any, result: Any) -> None:
    assert answered(function, args) == (result, False)


def test_arguments_have_the_types_of_the_signature() -> None:
    args = {"colour": "blue", "address": {"city": "Bonn"}, "when": "2024-02-29", "tags": ["a"], "either": 3}
    result, is_error = answered(rich, args)
    assert not is_error
    assert result == {
        "colour": "blue", "address": {"city": "Bonn", "lines": []}, "when": "2024-02-29", "tags": ["a"],
        "size": 1, "either": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("function", "args", "words"),
    [
        (plain, {}, "a: Field required"),
        (plain, {"a": "one"}, "a: Input should be a valid integer"),
        (plain, {"a": 1, "c": 2}, "c: Extra inputs are not permitted"),
        (plain, [1], "invalid arguments"),
        (plain, None, "invalid arguments"),
        (plain, '{"a": 1', "not valid JSON"),
        (shadowing, {}, "json: Field required"),
        (rich, {"colour": "green"}, "colour: Input should be 'red' or 'blue'"),
        (rich, {"address": {"city": 1}}, "address.city: Input should be a valid string"),
        (rich, {"size": 10}, "size: Input should be less than or equal to 9"),
        (open_ended, {"z": 1}, "a: Field required"),
    ],
)
def test_bad_arguments_are_told_to_the_model(function: Any, args: Any, words: str) -> None:
    result, is_error = answered(function, args)
    assert is_error and words in result


def test_a_model_cannot_pass_the_context() -> None:
    result, is_error = answered(with_context, {"word": "w", "context": {"call_id": "mine"}})
    assert is_error and "context: Extra inputs" in result

    def loose(context: ToolContext, **others: Any) -> str:
        return context.call_id

    assert answered(loose, {"context": "mine"}) == ("7", False)


# What a tool returns.


@pytest.mark.parametrize(
    ("value", "result"),
    [
        (None, None), (True, True), (3, 3), (2.5, 2.5), ("text", "text"), ("", ""), ([1, (2,)], [1, [2]]),
        (Point(1), {"x": 1, "y": 0.5}), (Address(city="x"), {"city": "x", "lines": []}),
        (date(2024, 2, 29), "2024-02-29"), (Colour.RED, "red"), ({1: 2}, {"1": 2}), (b"bytes", "bytes"),
        (float("nan"), None), ({"x": [float("inf")]}, {"x": [None]}), (2**70, 2**70), ([2**70], [2**70]),
        ("caf\udce9", "caf?"), ("é", "é"),
    ],
)  # fmt: skip
def test_a_result_is_made_json(value: Any, result: Any) -> None:
    def give() -> Any:
        return value

    assert answered(give, {}) == (result, False)


def circular() -> Any:
    loop: list[Any] = []
    loop.append(loop)
    return loop


def deep() -> Any:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "make",
    [
        object,
        circular,
        deep,
        lambda: 2**20_000,
        lambda: {"x": object()},
        lambda: b"\xff",
        lambda: ["\udce9"],
        lambda: open,
    ],
)
def test_a_result_that_is_no_json_is_told_to_the_model(make: Callable[[], Any]) -> None:
    def give() -> Any:
        return make()

    result, is_error = answered(give, {})
    assert is_error and "not JSON" in result and "'give'" in result


# What a tool raises.


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ToolError("ask for Bonn instead"), "ask for Bonn instead"),
        (KeyError("x"), "KeyError: 'x'"),
        (RuntimeError(), "RuntimeError: "),
        (TransportError("gone"), "TransportError: gone"),
        (StopIteration(3), "StopIteration"),
        (OSError("caf\udce9"), "OSError: caf?"),
    ],
)
@pytest.mark.parametrize("shape", ["plain", "async", "generator", "async generator"])
def test_what_a_tool_raises_is_told_to_the_model(error: Exception, words: str, shape: str) -> None:
    def fail() -> None:
        raise error

    async def fail_later() -> None:
        raise error

    def fail_between() -> Iterator[int]:
        yield 1
        raise error

    async def fail_between_later() -> AsyncIterator[int]:
        yield 1
        raise error

    shapes = {
        "plain": fail,
        "async": fail_later,
        "generator": fail_between,
        "async generator": fail_between_later,
    }
    result, is_error = answered(shapes[shape], {})
    assert is_error and words in result


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (Unspeakable(), "Unspeakable"),
        (ToolError(404), "404"),  # type: ignore[arg-type]
        (ToolError("caf\udce9"), "caf?"),
        (TimedOut("slow", partial={"a": object()}), "timed out: slow"),
    ],
)
def test_an_error_that_has_no_words_is_told_all_the_same(error: Exception, words: str) -> None:
    def fail() -> None:
        raise error

    agent = SingleAgent(Fake(script=[call("1", "fail"), "ok"]), tools=[fail])
    [part] = results(agent.run_sync("go").new_messages)
    assert part.is_error and part.result == words


def test_an_unknown_tool_is_told_to_the_model_with_the_names_of_the_others() -> None:
    model = Recorded(call("1", "subtract"), "ok")
    result = Simulator().run(SingleAgent(model, tools=[plain, asynchronous]), "go")
    (part,) = results(result.new_messages)
    assert part.is_error and "'subtract' not found; the tools are: asynchronous, plain" in part.result
    assert result.text == "ok"


@pytest.mark.parametrize("limit", [None, 10])
@pytest.mark.parametrize("content", [None, 5, "abc", ["x"], (object(),)])
def test_parts_that_are_none_are_told_to_the_model(content: Any, limit: int | None) -> None:
    def give() -> ToolOutput:
        return ToolOutput("value", content=content)

    part = answer_of(give, {}, tool_output_limit=limit)
    assert part.is_error and "returned parts that no model can read" in part.result


@pytest.mark.parametrize(
    ("last_words", "result", "content"),
    [
        ("half of it", "WHY\nhalf of it", ()),
        ({"done": [1]}, 'WHY\n{"done":[1]}', ()),
        ([1, 2], "WHY\n[1,2]", ()),
        (0, "WHY\n0", ()),
        (None, "WHY", ()),
        ("", "WHY", ()),
        (ToolOutput({"done": 1}), 'WHY\n{"done":1}', ()),
        (ToolOutput.of("seen"), "WHY\nseen", ("WHY", "seen")),
        (ToolOutput("x", content=5), "WHY\nx", ()),  # type: ignore[arg-type]
    ],
)
def test_what_a_tool_says_when_its_time_is_up_is_kept(last_words: Any, result: str, content: Any) -> None:
    def slow() -> Flow[Any]:
        try:
            yield Sleep(10)
        except Cancelled:
            return last_words

    part = answer_of(Tool.from_flow(slow, timeout=1), {})
    why = "timed out: not done within 1 seconds"
    assert part.is_error and part.result == result.replace("WHY", why)
    assert [one.text for one in part.content if isinstance(one, TextPart)] == [
        text.replace("WHY", why) for text in content
    ]


# Progress.


@pytest.mark.parametrize(
    ("function", "progress"),
    [
        (progressing, ["0 of 2", "1 of 2"]),
        (async_progressing, [0, 1]),
        (progressing_with_context, ["7:0", "7:1"]),
    ],
)
def test_what_a_generator_yields_is_progress(function: Any, progress: list[Any]) -> None:
    model = Fake(script=[call("7", function.__name__, count=2), "ok"])
    events = events_of(SingleAgent(model, tools=[function]), "go")
    assert [e for e in events if isinstance(e, ToolProgress)] == [
        ToolProgress(1, function.__name__, "7", item) for item in progress
    ]


def test_a_generator_is_closed_when_the_run_is_cancelled() -> None:
    closed: list[str] = []

    def endless(context: ToolContext) -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append("closed")

    stream = Simulator().stream(SingleAgent(Fake(script=[call("1", "endless"), "ok"]), tools=[endless]), "go")
    for event in stream:
        if event.kind == "tool_progress":
            stream.close()
    assert closed == ["closed"]
    assert stream.result.stop_reason == "cancelled"


# Order.


class Log:
    """Tools that say when they began and ended; each waits once in between."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def tool(self, name: str, *, read_only: bool) -> Tool:
        def body() -> Iterator[None]:
            self.entries.append(f"{name} begins")
            yield
            self.entries.append(f"{name} ends")

        return Tool(body, name=name, read_only=read_only)


def performed(plan: str, seed: int = 0, **options: Any) -> tuple[list[str], Simulator]:
    """Play a batch: "r" reads, "m" changes something."""
    log = Log()
    tools = [log.tool(f"{kind}{index}", read_only=kind == "r") for index, kind in enumerate(plan)]
    script: list[Reply] = [[call(one.name, one.name) for one in tools], "ok"]
    simulator = Simulator(seed)
    result = simulator.run(SingleAgent(Fake(script=script), tools=tools, **options), "go")
    assert [part.id for part in results(result.new_messages)] == [one.name for one in tools]
    return log.entries, simulator


def in_order(*names: str) -> list[str]:
    return [f"{name} {what}" for name in names for what in ("begins", "ends")]


def test_calls_that_change_something_run_alone_and_in_order() -> None:
    for seed in range(10):
        assert performed("mmm", seed)[0] == in_order("m0", "m1", "m2")


def test_calls_that_only_read_run_side_by_side() -> None:
    gathers = [e.effect for e in performed("rrr")[1].trace if isinstance(e.effect, Gather)]
    assert [(len(one.flows), one.limit) for one in gathers] == [(3, 8)]
    assert any(performed("rrr", seed)[0][1].endswith("begins") for seed in range(10))


def test_a_change_stands_between_the_reads_before_and_after_it() -> None:
    for seed in range(10):
        entries = performed("rrmrr", seed)[0]
        place = entries.index("m2 begins")
        assert sorted(entries[:place]) == sorted(in_order("r0", "r1"))
        assert entries[place + 1] == "m2 ends"


def test_so_many_run_side_by_side_as_are_allowed() -> None:
    for seed in range(10):
        entries = performed("rrrr", seed, tool_concurrency=2)[0]
        running = 0
        for entry in entries:
            running += 1 if entry.endswith("begins") else -1
            assert running <= 2
    assert performed("rrr", tool_concurrency=1)[0] == in_order("r0", "r1", "r2")


def test_a_tool_that_says_cancelled_ends_the_run_alone_or_side_by_side() -> None:
    @tool(read_only=True)
    def give_up() -> None:
        raise Cancelled

    @tool(read_only=True)
    def fine() -> str:
        return "fine"

    for calls in ([call("1", "give_up")], [call("1", "fine"), call("2", "give_up")]):
        model = Recorded(calls, "ok")
        result = Simulator().run(SingleAgent(model, tools=[give_up, fine]), "go")
        assert (result.stop_reason, len(model.requests)) == ("cancelled", 1)
        assert_replayable(result.new_messages)
        assert results(result.new_messages)[-1].result == "cancelled during execution"


def test_a_tool_that_says_cancelled_does_not_stop_those_beside_it() -> None:
    @tool(read_only=True)
    def give_up() -> None:
        raise Cancelled

    def slow() -> Flow[str]:
        yield Sleep(1)
        return "fine"

    script: list[Reply] = [[call("1", "give_up"), call("2", "slow")], "ok"]
    tools = [give_up, Tool.from_flow(slow, read_only=True)]
    result = Simulator().run(SingleAgent(Fake(script=script), tools=tools), "go")
    assert [part.result for part in results(result.new_messages)] == ["cancelled during execution", "fine"]
