"""How a run ends when it does not end well: cancelled anywhere, failed, paused; and how it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.effects import Within
from tako.errors import Cancelled, InvalidInput, ProviderError, TakoError, TimedOut, TransportError
from tako.events import AssistantText, ToolCallResult, ToolCallStart
from tako.models import ChatRequest, ChatResponse, Message, TextPart, ToolCallPart, Usage
from tako.orchestrators.agent_run import AgentRun
from tako.orchestrators.decisions import Answered, Approved, Decision, Denied
from tako.orchestrators.result import RunResult
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.fake import Fake, Reply, Truncated
from tako.testing.faults import Faults
from tako.testing.simulator import Deadlock, Simulator
from tako.tools import Tool, ToolContext, tool
from tests.orchestrators.kit import Recorded, assert_replayable, call, events_of, kinds, results


@tool(read_only=True)
def look(at: int) -> str:
    return f"seen {at}"


@tool
def change(to: int) -> Iterator[str]:
    yield "changing"
    yield f"changed to {to}"


@tool
async def walk(context: ToolContext) -> AsyncIterator[str]:
    yield "walking"
    yield f"walked in step {context.step}"


@tool(approval=True)
def pay(amount: int) -> str:
    return f"paid {amount}"


ask = Tool.external("ask", "Ask a person.", {"type": "object", "properties": {"what": {"type": "string"}}})

STORY: list[Reply] = [
    [
        TextPart(text="let me look"),
        call("1", "look", at=1),
        call("2", "look", at=2),
        call("3", "change", to=3),
    ],
    [call("4", "nowhere"), call("5", "walk"), call("6", "look", at="x")],
    "not a number",
    "7",
]


def by_turn(script: list[Reply]) -> Fake:
    """A model whose answer depends on the conversation alone, so that asking again changes nothing."""

    def answer(request: ChatRequest) -> Reply:
        turn = sum(message.role.value == "assistant" for message in request.messages)
        return script[min(turn, len(script) - 1)]

    return Fake(script=answer, delay_ms=10)


def agent() -> SingleAgent[int]:
    return SingleAgent(by_turn(STORY), tools=[look, change, walk], output_type=int)


WHOLE = Simulator().run(agent(), "go")


def test_the_story_is_the_one_that_the_rest_relies_on() -> None:
    assert (WHOLE.output, WHOLE.steps, WHOLE.stop_reason) == (7, 4, "stop")
    assert [part.is_error for part in results(WHOLE.new_messages)] == [False, False, False, True, False, True]


def assert_is_beginning(result: RunResult[Any], whole: RunResult[Any] = WHOLE) -> None:
    """A run that was cut off: valid, and nothing in it that the whole run has not."""
    assert_replayable(result.new_messages)
    for ours, theirs in zip(result.new_messages, whole.new_messages, strict=False):
        assert ours.role is theirs.role
        if ours.role.value != "tool":
            assert theirs.text.startswith(ours.text)
        assert len(ours.tool_calls) <= len(theirs.tool_calls)  # fewer where the answer broke off
        for got, full in zip(results([ours]), results([theirs]), strict=False):
            assert got == full or (got.is_error and "cancel" in got.result)
    assert (result.usage.input_tokens or 0) <= whole.usage.total


# A cancel, at every effect.


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("how", ["cancel_after", "cancel_during"])
def test_a_cancel_at_any_effect_leaves_a_result_to_go_on_from(how: str, streaming: bool) -> None:
    whole = Simulator()
    play(whole, agent(), streaming=streaming)
    effects = len(whole.trace)
    assert effects > 10
    for number in range(effects):
        simulator = Simulator(faults=Faults(**{how: number + (how == "cancel_during")}))
        _, result = play(simulator, agent(), streaming=streaming)
        assert result.stop_reason in ("cancelled", "stop")
        assert_is_beginning(result)
        if result.stop_reason == "cancelled":
            again = Simulator().run(agent(), "go on", history=result.new_messages)
            assert again.stop_reason == "stop"


def play(
    simulator: Simulator, target: SingleAgent[Any], *, streaming: bool
) -> tuple[list[Any], RunResult[Any]]:
    """The events and the result."""
    if not streaming:
        return [], simulator.run(target, "go")
    with simulator.stream(target, "go") as stream:
        return list(stream), stream.result


@given(st.integers(0, 60), st.integers(0, 10), st.booleans())
def test_a_cancel_is_right_under_any_interleaving(number: int, seed: int, streaming: bool) -> None:
    simulator = Simulator(seed, faults=Faults(cancel_after=number, call_seconds=0.01))
    events, result = play(simulator, agent(), streaming=streaming)
    assert_is_beginning(result)
    if streaming:
        assert events[-1].kind == "final" and events[-1].result == result


def test_cancelled_before_it_began() -> None:
    token = CancellationToken()
    token.cancel()
    model = Recorded("ok")
    result = Simulator().run(SingleAgent(model), "go", cancel=token)
    assert (result.stop_reason, result.steps, result.text, model.requests) == ("cancelled", 0, "", [])
    assert result.new_messages == [Message.user("go")]


def test_a_stream_that_nobody_read_has_a_result_all_the_same() -> None:
    model = Recorded("never")
    target = SingleAgent(model)
    simulated = Simulator().stream(target, "go")
    simulated.close()
    with target.stream_sync("go") as blocking:
        pass

    async def leave() -> RunResult[Any]:
        async with target.stream("go") as events:
            pass
        return events.result

    for result in (simulated.result, blocking.result, asyncio.run(leave()), trio.run(leave)):
        assert (result.stop_reason, result.steps) == ("cancelled", 0)
        assert result.new_messages == [Message.user("go")]
    assert model.requests == []


@pytest.mark.parametrize("cancel", ["x", True, object()])
def test_what_cannot_cancel_is_named(cancel: Any) -> None:
    with pytest.raises(InvalidInput, match=r"cancel should be a tako\.CancellationToken, not"):
        SingleAgent(Fake()).run_sync("go", cancel=cancel)
    with pytest.raises(InvalidInput, match=r"cancel should be a tako\.CancellationToken, not"):
        SingleAgent(Fake()).stream_sync("go", cancel=cancel)


def test_text_that_had_come_before_the_cancel_is_kept() -> None:
    token = CancellationToken()
    stream = Simulator().stream(SingleAgent(Fake("one two three four", delay_ms=5)), "go", cancel=token)
    for event in stream:
        if isinstance(event, AssistantText) and event.delta == " two":
            token.cancel()
    result = stream.result
    assert result.stop_reason == "cancelled"
    assert result.text.startswith("one two") and not result.text.endswith("four")
    assert result.new_messages[-1] == Message.assistant(result.text)


def test_no_tool_starts_and_no_model_is_asked_after_a_cancel() -> None:
    token = CancellationToken()
    ran: list[str] = []

    def first() -> str:
        token.cancel()
        return "done"

    def second() -> None:
        ran.append("second")

    model = Recorded([call("1", "first"), call("2", "second")], "never")
    result = Simulator().run(SingleAgent(model, tools=[first, second]), "go", cancel=token)
    assert ran == [] and len(model.requests) == 1
    done, stopped = results(result.new_messages)
    assert (done.result, done.is_error) == ("done", False)
    assert stopped.is_error and "cancelled" in stopped.result


def test_a_tool_that_did_not_stop_is_named() -> None:
    script: list[Reply] = [[call("1", "look", at=1), call("2", "look", at=2)], "never"]
    for names in (("look",), ("look", "look")):
        faults = Faults(call_seconds=60, cancel_at=1)
        fake = Fake(script=script if len(names) == 2 else [call("1", "look", at=1), "never"])
        result = Simulator(faults=faults).run(SingleAgent(fake, tools=[look]), "go")
        assert (result.stop_reason, result.still_running) == ("cancelled", names)
        assert all("still running" in part.result for part in results(result.new_messages))


def test_a_tool_sees_the_cancel_in_its_context() -> None:
    token = CancellationToken()
    seen: list[bool] = []

    def watch(context: ToolContext) -> None:
        token.cancel()
        seen.append(context.cancel.is_cancelled)
        context.cancel.raise_if_cancelled()

    result = Simulator().run(
        SingleAgent(Fake(script=[call("1", "watch"), "no"]), tools=[watch]), "go", cancel=token
    )
    assert seen == [True]
    assert (result.stop_reason, results(result.new_messages)[0].result) == (
        "cancelled",
        "cancelled during execution",
    )


def test_whoever_leaves_at_the_last_event_has_the_whole_result() -> None:
    stream = Simulator().stream(agent(), "go")
    for event in stream:
        if event.kind == "final":
            stream.close()
    assert stream.result == WHOLE


def test_leaving_at_any_event_gives_a_result_to_go_on_from() -> None:
    count = len(events_of(agent(), "go"))
    for number in range(count):
        stream = Simulator().stream(agent(), "go")
        for _ in range(number + 1):
            next(stream)
        stream.close()
        assert_is_beginning(stream.result)


def test_an_answer_that_came_whole_is_not_lost_by_a_cancel_while_it_is_shown() -> None:
    class Whole(Fake):
        def __init__(self, *script: Reply) -> None:
            super().__init__(script=script)
            self.capabilities = self.capabilities.model_copy(update={"supports_streaming": False})

    stream = Simulator().stream(SingleAgent(Whole("all of it")), "go")
    for event in stream:
        if event.kind == "assistant_text":
            stream.close()
    assert (stream.result.text, stream.result.usage.total) == ("all of it", 2)


# A failure.


@pytest.mark.parametrize("streaming", [False, True])
def test_an_answer_that_breaks_off_is_an_error_with_all_that_came(streaming: bool) -> None:
    target = SingleAgent(Fake(script=[call("1", "look", at=1), Truncated("half an")]), tools=[look])
    events: list[Any] = []
    with pytest.raises(TransportError) as caught:
        if streaming:
            for event in Simulator().stream(target, "go"):
                events.append(event)
        else:
            Simulator().run(target, "go")
    partial = caught.value.partial
    assert (partial.text, partial.steps, partial.stop_reason) == ("half an", 2, "error")
    assert partial.new_messages[-1] == Message.assistant("half an")
    assert_replayable(partial.new_messages)
    assert caught.value.usage == partial.usage
    assert "final" not in kinds(events)


def test_a_failure_before_any_answer_keeps_the_prompt() -> None:
    with pytest.raises(ProviderError) as caught:
        Simulator().run(SingleAgent(Fake(script=[ProviderError("no", status=503)])), "go")
    assert caught.value.retryable
    assert caught.value.partial.new_messages == [Message.user("go")]
    assert (
        Simulator().run(SingleAgent(Fake("ok")), "", history=caught.value.partial.new_messages).text == "ok"
    )


def test_calls_in_an_answer_that_broke_off_are_not_run() -> None:
    ran: list[str] = []

    def act() -> None:
        ran.append("act")

    class Breaking(Fake):
        def chat_flow(self, request: ChatRequest) -> Any:
            partial = ChatResponse(message=Message.assistant([call("1", "act")]), finish_reason="error")
            raise TransportError("gone", partial=partial)
            yield

    with pytest.raises(TransportError) as caught:
        Simulator().run(SingleAgent(Breaking(), tools=[act]), "go")
    assert ran == []
    assert_replayable(caught.value.partial.new_messages)
    assert "failed before" in results(caught.value.partial.new_messages)[0].result


def test_a_run_that_was_too_slow_has_what_there_was() -> None:
    def limited() -> Any:
        return (yield Within(0.025, agent().flow("go")))

    with pytest.raises(TimedOut) as caught:
        Simulator().run(limited())
    assert caught.value.partial.stop_reason == "cancelled"
    assert_is_beginning(caught.value.partial)


# A pause.

ASKING: list[Reply] = [
    [
        call("1", "look", at=1),
        call("2", "pay", amount=5),
        call("3", "ask", what="?"),
        call("4", "look", at=4),
    ],
    "done",
]


def test_a_run_pauses_at_what_the_outside_has_to_answer() -> None:
    model = Recorded(*ASKING)
    result = Simulator().run(SingleAgent(model, tools=[look, pay, ask]), "go")
    assert result.stop_reason == "approval_required"
    assert [(p.call.id, p.waits_for) for p in result.pending] == [("2", "approval"), ("3", "result")]
    assert [part.is_error for part in results(result.new_messages)] == [False, True, True, True]
    assert len(model.requests) == 1
    assert_replayable(result.new_messages)


@pytest.mark.parametrize("journey", [False, True])
@pytest.mark.parametrize(
    ("decision", "read"),
    [
        (Approved(), ("paid 5", False)),
        (Approved(args={"amount": 1}), ("paid 1", False)),
        (Approved(args={"amount": "much"}), ("invalid arguments", True)),
        (Denied(reason="too dear"), ("approval denied: too dear", True)),
        (Answered(result={"receipt": 1}), ({"receipt": 1}, False)),
    ],
)
def test_a_later_call_goes_on_with_the_answers(
    decision: Decision, read: tuple[Any, bool], journey: bool
) -> None:
    model = Recorded(*ASKING)
    target = SingleAgent(model, tools=[look, pay, ask])
    run = Simulator().run(target, "go").run
    assert run is not None
    if journey:
        run = target.load(run.dumps())
    run.answer("3", Answered(result="an answer"))
    run.answer("2", decision)
    if journey:
        run = target.load(run.dumps())
    result = Simulator().run(target, run)
    assert (result.text, result.stop_reason, result.pending) == ("done", "stop", ())
    first, second, third, fourth = results(result.new_messages)
    assert (first.result, third.result, fourth.result) == ("seen 1", "an answer", "seen 4")
    assert (second.result if not isinstance(second.result, str) else second.result[: len(read[0])]) == read[0]
    assert second.is_error == read[1]
    assert_replayable(result.new_messages)


def test_a_resumed_run_does_not_announce_or_run_a_call_again() -> None:
    target = SingleAgent(Fake(script=ASKING), tools=[look, pay, ask])
    before = events_of(target, "go")
    run = before[-1].result.run
    run.answer("2", Approved())
    run.answer("3", Answered(result="x"))
    after = events_of(target, run)
    assert [e.id for e in before if isinstance(e, ToolCallStart)] == ["1", "2", "3", "4"]
    assert [e.id for e in before if isinstance(e, ToolCallResult)] == ["1"]
    assert [e.id for e in after if isinstance(e, ToolCallStart)] == []
    assert [e.id for e in after if isinstance(e, ToolCallResult)] == ["3", "2", "4"]


def test_a_run_that_still_waits_gives_the_same_result_again() -> None:
    target = SingleAgent(Fake(script=ASKING), tools=[look, pay, ask])
    first = Simulator().run(target, "go")
    assert Simulator().run(target, first.run) == first


def test_an_approval_does_not_reach_a_later_call_of_the_same_id() -> None:
    script: list[Reply] = [call("1", "pay", amount=5), call("1", "pay", amount=5_000_000), "done"]
    target = SingleAgent(Fake(script=script), tools=[pay])
    run = Simulator().run(target, "go").run
    assert run is not None
    run.answer("1", Approved())
    result = Simulator().run(target, run)
    assert result.stop_reason == "approval_required"
    assert result.pending[0].call.args == {"amount": 5_000_000}


def test_a_cancelled_run_can_be_gone_on_from_by_its_messages() -> None:
    token = CancellationToken()
    token.cancel()
    target = SingleAgent(Fake(script=ASKING), tools=[look, pay, ask])
    first = Simulator().run(target, "go")
    run = first.run
    assert run is not None
    run.answer("2", Approved())
    run.answer("3", Denied())
    stopped = Simulator().run(target, run, cancel=token)
    assert stopped.stop_reason == "cancelled"
    assert_replayable(stopped.new_messages)
    assert results(stopped.new_messages)[0].result == "seen 1"


# The run as data: broken off at any effect, written, read and gone on with.


def test_a_run_that_lost_its_process_at_any_effect_ends_the_same() -> None:
    simulator = Simulator()
    run = agent().start("go")
    simulator.run(agent(), run)
    for number in range(len(simulator.trace)):
        run = agent().start("go")
        with pytest.raises(Deadlock):
            Simulator(max_effects=number).run(agent(), run)
        resumed = Simulator().run(agent(), AgentRun.loads(run.dumps()))
        assert resumed == WHOLE
        assert resumed.run is not None and resumed.run.run_id


# Any script, any fault.

some_calls = st.lists(
    st.builds(
        ToolCallPart,
        id=st.sampled_from(["", "a", "b"]),
        name=st.sampled_from(["look", "change", "walk", "pay", "ask", "nowhere"]),
        args=st.sampled_from([{}, {"at": 1}, {"to": 1}, {"amount": 1}, "{", None, [1]]),
    ),
    min_size=1,
    max_size=4,
)
some_replies = st.one_of(
    some_calls,
    st.sampled_from(["", "some text", Truncated("half"), ProviderError("no"), Message.assistant(())]),
)


@given(
    script=st.lists(some_replies, min_size=1, max_size=4),
    seed=st.integers(0, 5),
    cancel_after=st.none() | st.integers(0, 30),
    streaming=st.booleans(),
    max_steps=st.integers(1, 4),
)
def test_whatever_happens_there_is_a_valid_result(
    script: list[Reply], seed: int, cancel_after: int | None, streaming: bool, max_steps: int
) -> None:
    target = SingleAgent(Fake(script=script), tools=[look, change, walk, pay, ask], max_steps=max_steps)
    simulator = Simulator(seed, faults=Faults(cancel_after=cancel_after))
    events: list[Any] = []
    try:
        if streaming:
            stream = simulator.stream(target, "go")
            for event in stream:
                events.append(event)  # one by one: they count when an error follows
            result = stream.result
        else:
            result = simulator.run(target, "go")
    except TakoError as error:
        assert not isinstance(error, Cancelled)
        result = error.partial
    assert_replayable(result.new_messages)
    assert result.steps <= max_steps
    assert result.usage.total <= 2 * result.steps
    _assert_events_in_order(events)


def _assert_events_in_order(events: list[Any]) -> None:
    started: list[str] = []
    for event in events:
        if event.kind == "step_start":
            started = []
        elif event.kind == "tool_call_start":
            started.append(event.id)
        elif event.kind == "tool_progress":
            assert event.id in started
        elif event.kind == "tool_call_result":
            started.remove(event.id)
    assert "final" not in kinds(events)[:-1]


def test_usage_of_a_failed_answer_counts() -> None:
    class Counting(Fake):
        def chat_flow(self, request: ChatRequest) -> Any:
            partial = ChatResponse(message=Message.assistant("x"), usage=Usage(output_tokens=9))
            raise TransportError("gone", partial=partial)
            yield

    with pytest.raises(TransportError) as caught:
        Simulator().run(SingleAgent(Counting()), "go")
    assert caught.value.usage == Usage(output_tokens=9)
