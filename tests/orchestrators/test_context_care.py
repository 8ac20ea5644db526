"""Context care: results that are cut, and histories that are trimmed, never in silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import InvalidInput, ProviderError
from tako.events import HistoryTrimmed, ToolCallResult
from tako.models import Message, TextPart
from tako.orchestrators.decisions import Approved
from tako.orchestrators.limits import cut_result, cut_text
from tako.orchestrators.single_agent import SingleAgent
from tako.parts import ContentPart
from tako.testing.simulator import Simulator
from tako.tools import Tool, ToolOutput, tool
from tests.orchestrators.kit import Recorded, assert_replayable, call, events_of, results

PIXEL = ContentPart.image(b"\x89PNG\r\n\x1a\n....")


@given(st.text(max_size=60), st.integers(1, 50))
def test_a_text_is_cut_in_the_middle_and_says_what_is_missing(text: str, limit: int) -> None:
    cut = cut_text(text, limit)
    if len(text) <= limit:
        assert cut == text
        return
    note = f"\n[... {len(text) - limit:,} of {len(text):,} characters cut ...]\n"
    head, _, tail = cut.partition(note)
    assert text.startswith(head) and text.endswith(tail) and len(head) + len(tail) == limit


def test_json_that_is_too_long_becomes_its_text() -> None:
    assert cut_result({"a": [1, 2]}, 11) == {"a": [1, 2]}
    assert cut_result({"a": [1, 2]}, 6).startswith('{"a"')
    assert cut_result(12345678, 2) == 12345678


def lister(**options: Any) -> Tool:
    return Tool(lambda: "0123456789" * 10, name="lister", **options)


@pytest.mark.parametrize(
    ("limit", "own", "length"),
    [(None, None, 100), (40, None, 40), (40, 60, 40), (60, 40, 40), (None, 20, 20), (100, None, 100)],
)
def test_the_limit_is_the_tools_own_and_the_agents(limit: int | None, own: int | None, length: int) -> None:
    agent = SingleAgent(
        Recorded(call("1", "lister"), "ok"), tools=[lister(max_output=own)], tool_output_limit=limit
    )
    [told] = [event for event in events_of(agent, "go") if isinstance(event, ToolCallResult)]
    assert sum(character.isdigit() for character in told.result.partition("\n[")[0]) <= length
    assert (f"{100 - length} of 100 characters cut" in told.result) == (length < 100)


def test_of_what_a_model_sees_the_text_is_cut_and_the_picture_is_not() -> None:
    @tool
    def show() -> ToolOutput:
        return ToolOutput.of([TextPart(text="x" * 50), PIXEL, TextPart(text="y" * 50)])

    agent = SingleAgent(Recorded(call("1", "show"), "ok"), tools=[show], tool_output_limit=60)
    [part] = results(Simulator().run(agent, "go").new_messages)
    first, picture, second = part.content
    assert isinstance(first, TextPart) and isinstance(second, TextPart)
    assert (first.text, picture) == ("x" * 50, PIXEL)
    assert "40 of 50 characters cut" in second.text


# The trimmer.


def last_two(messages: list[Message]) -> list[Message]:
    return messages[-2:] if len(messages) > 3 else messages


async def last_two_later(messages: list[Message]) -> Sequence[Message]:
    return last_two(messages)


def three_calls() -> Recorded:
    return Recorded(call("1", "look"), call("2", "look"), call("3", "look"), "done")


@tool(read_only=True)
def look() -> str:
    return "seen"


@pytest.mark.parametrize("trim", [last_two, last_two_later])
def test_the_model_is_asked_with_less_and_the_run_keeps_everything(trim: Any) -> None:
    model = three_calls()
    agent = SingleAgent(model, tools=[look], trim=trim)
    events: list[Any] = []
    if trim is last_two:
        events = events_of(agent, "go")
        result = events[-1].result
    else:
        with agent.stream_sync("go") as stream:
            events = list(stream)
        result = stream.result
    assert [len(request.messages) for request in model.requests] == [1, 3, 2, 2]
    assert [(e.step, e.before, e.after) for e in events if isinstance(e, HistoryTrimmed)] == [
        (3, 5, 2),
        (4, 4, 2),
    ]
    assert len(result.new_messages) == 8
    assert_replayable(result.new_messages)


def test_a_trimmed_view_goes_with_the_run() -> None:
    model = Recorded(call("1", "look"), call("2", "look"), call("3", "pay"), "done")
    pay = Tool(lambda: "paid", name="pay", approval=True)
    agent = SingleAgent(model, tools=[look, pay], trim=last_two)
    run = Simulator().run(agent, "go").run
    assert run is not None
    run = agent.load(run.dumps())
    run.answer("3", Approved())
    kept = SingleAgent(model, tools=[look, pay])
    Simulator().run(kept, run)
    assert len(model.requests[-1].messages) == 4, "the two that were kept, the call and its result"


@pytest.mark.parametrize(
    ("trim", "words"),
    [
        (
            lambda messages: messages[-1:] if len(messages) > 1 else messages,
            "results for .*the calls before it",
        ),
        (lambda messages: messages[:-1] or messages, "have no results"),
        (lambda messages: None, "trim should return a list of messages, not NoneType"),
        (lambda messages: [], "trim returned no messages"),
        (lambda messages: "text", "trim should return a list of messages, not str"),
        (lambda messages: ["text"], r"trim\[0\] should be a Message, not str"),
        (lambda messages: 1 / 0, "trim raised ZeroDivisionError"),
    ],
)
def test_a_trimmer_that_breaks_the_history_is_told_so(trim: Any, words: str) -> None:
    agent = SingleAgent(three_calls(), tools=[look], trim=trim)
    with pytest.raises(InvalidInput, match=words) as caught:
        Simulator().run(agent, "go")
    assert_replayable(caught.value.partial.new_messages)


def test_an_error_of_ours_goes_through_a_trimmer() -> None:
    def trim(messages: list[Message]) -> list[Message]:
        raise ProviderError("the compactor's model said no")

    with pytest.raises(ProviderError, match="said no"):
        Simulator().run(SingleAgent(three_calls(), tools=[look], trim=trim), "go")
