"""An agent with a journal: it is killed, goes on, replays, is forked, and never does a thing twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import tako_io_asyncio
import tako_io_sync
import tako_io_trio
from tako.cancellation import CancellationToken
from tako.effects import Entropy, Failed, Gather, OnError, Resolve, Sleep, Task, as_task
from tako.errors import InvalidInput, ProviderError, TimedOut, ToolError, TransportError
from tako.events import AssistantText, Final, SubAgentEvent
from tako.journal import Ended, Entry, Journal, JournalMismatch, kept_in
from tako.journal.entry import line_of
from tako.models import ChatResponse, ContentPart, Message, Replay, TextPart, ThinkingPart, Usage
from tako.orchestrators.decisions import Answered, Denied
from tako.orchestrators.single_agent import SingleAgent
from tako.orchestrators.sub_agent import SubAgent
from tako.providers.fake import Fake
from tako.steering import Steering
from tako.testing.faults import Faults
from tako.testing.simulator import Simulator
from tako.tools import Tool, tool
from tako.tools.output import ToolOutput
from tests.effort import examples
from tests.orchestrators.kit import Recorded, assert_replayable, call, events_of, replied

PNG = ContentPart.image(b"\x89PNG\r\n\x1a\n")


class World:
    """A model with a script, and tools that count their calls."""

    def __init__(self, *script: Any) -> None:
        self.model = Recorded(*script)
        self.calls: Counter[str] = Counter()

    @property
    def agent(self) -> SingleAgent[Any]:
        return SingleAgent(self.model, tools=list(self.tools()), max_steps=6)

    def tools(self) -> Any:
        @tool(read_only=True)
        def look(what: str = "") -> Any:
            self.calls[f"look {what}"] += 1
            return {"seen": what}

        @tool
        def paint(what: str = "") -> Any:
            self.calls[f"paint {what}"] += 1
            return [TextPart(text=what), PNG]

        @tool
        def fail(what: str = "") -> Any:
            self.calls[f"fail {what}"] += 1
            raise (ToolError if what else KeyError)(what)

        @tool(read_only=True)
        def mark(what: str = "") -> Any:
            self.calls[f"mark {what}"] += 1
            return ToolOutput({"n": None}, is_error=True)

        return look, paint, fail, mark


@st.composite
def scripts(draw: st.DrawFn) -> list[Any]:
    """Answers with calls side by side, then a last one."""
    script: list[Any] = []
    names = st.sampled_from(["look", "paint", "fail", "mark"])
    for step in range(draw(st.integers(1, 3))):
        wanted = draw(
            st.lists(st.tuples(names, st.sampled_from(["", "sea", "sky\u2028"])), min_size=1, max_size=3)
        )
        calls = [call(f"{step}.{n}", name, what=what) for n, (name, what) in enumerate(wanted)]
        thought = ThinkingPart(text="hm", replay=Replay(vendor="fake", data={"signature": "x" * step}))
        script.append(replied(thought, TextPart(text=f"step {step}"), *calls, finish_reason="tool_calls"))
    script.append(replied("done", usage=Usage(input_tokens=3, raw={"in": 3})))
    return script


def run(world: World, journal: Journal | None, seed: int = 0, **options: Any) -> Any:
    return Simulator(seed).run(
        world.agent, "go", **({} if journal is None else {"journal": journal}), **options
    )


def cut_at(journal: Journal, size: int) -> Journal:
    return Journal.memory(b"".join(journal._store.lines)[:size].splitlines(keepends=True))


@given(scripts(), st.integers(0, 5), st.integers(0, 5), st.floats(0, 1))
@settings(max_examples=examples(0.3))
def test_a_run_killed_at_any_byte_goes_on_as_if_it_had_not_been(
    script: list[Any], seed: int, other: int, share: float
) -> None:
    first, whole = World(*script), Journal.memory()
    expected = run(first, whole, seed)
    assert_replayable(expected.new_messages)
    left = cut_at(whole, int(share * len(b"".join(whole._store.lines))))
    asked = len(left.steps())
    used = Counter(entry.asked["tool"] for entry in left.entries() if entry.kind == "tool")
    second = World(*script[asked:])
    result = run(second, left, other)
    assert result == expected
    assert len(second.model.requests) == len(script) - asked
    done = sum(first.calls.values())
    assert sum(second.calls.values()) == done - sum(used.values())
    assert not second.calls - first.calls


@given(scripts(), st.integers(0, 5), st.integers(0, 5))
@settings(max_examples=examples(0.25))
def test_a_recording_replays_with_no_model_and_no_tool(script: list[Any], seed: int, other: int) -> None:
    journal = Journal.memory()
    expected = run(World(*script), journal, seed)
    nobody = World(AssertionError("asked"))
    assert run(nobody, Journal.replay(journal), other) == expected
    assert run(nobody, journal, other) == expected
    assert not nobody.model.requests
    assert not nobody.calls


@given(scripts(), st.integers(0, 5))
@settings(max_examples=examples(0.15))
def test_two_runs_of_the_same_give_the_same_entries(script: list[Any], seed: int) -> None:
    one, two = Journal.memory(), Journal.memory()
    run(World(*script), one, seed)
    run(World(*script), two, seed)
    assert one._store.lines == two._store.lines


@given(scripts(), st.integers(0, 20))
@settings(max_examples=examples(0.25))
def test_a_cancelled_run_is_not_at_its_end(script: list[Any], effects: int) -> None:
    journal = Journal.memory()
    world = World(*script)
    flow = world.agent.flow("go", journal=journal)
    Simulator(faults=Faults(cancel_after=effects)).run(flow) if effects else None
    asked = len(journal.steps())
    rest = World(*script[asked:])
    assert run(rest, journal, 3) == run(World(*script), None, 3) or journal.is_finished
    assert run(World("?"), Journal.replay(journal)).text == "done"


def test_a_run_without_a_journal_is_the_same() -> None:
    script = [replied(call("1", "look", what="sea"), finish_reason="tool_calls"), "done"]
    assert run(World(*script), None) == run(World(*script), Journal.memory())


def test_events_are_told_again_and_answers_come_in_one_piece() -> None:
    script = [replied(call("1", "look"), finish_reason="tool_calls"), "one two three"]
    journal = Journal.memory()
    live = events_of(World(*script).agent, "go", journal=journal)
    again = events_of(World("?").agent, "go", journal=Journal.replay(journal))
    texts = [event.delta for event in again if isinstance(event, AssistantText)]
    assert texts == ["one two three"]
    assert [e for e in live if not isinstance(e, AssistantText)] == [
        e for e in again if not isinstance(e, AssistantText)
    ]
    assert isinstance(again[-1], Final)


def test_a_run_that_was_not_streamed_can_be_streamed_when_it_goes_on() -> None:
    journal = Journal.memory()
    run(World("hello there"), journal)
    assert [e.kind for e in events_of(World("?").agent, "go", journal=journal)] == [
        "step_start", "assistant_text", "final",
    ]  # fmt: skip


def test_another_prompt_is_a_mismatch_at_the_first_step() -> None:
    journal, world = Journal.memory(), World("hi")
    run(world, journal)
    words = r"step 1 .*model 'test', and .* differ in messages\[0\]\.content\[0\]\.text: 'go' there, 'some"
    with pytest.raises(JournalMismatch, match=words + ".*fork the journal") as caught:
        Simulator().run(world.agent, "something else", journal=journal)
    assert caught.value.step == 1
    assert caught.value.partial.stop_reason == "error"
    assert len(world.model.requests) == 1


def test_a_tool_that_is_called_with_something_else_is_a_mismatch_and_is_not_called() -> None:
    """A tool's failure is a result for the model; that the journal does not fit is not."""
    script = [replied(call("1", "look", what="sea"), finish_reason="tool_calls"), "done"]
    journal = Journal.memory()
    run(World(*script), journal)
    world = World(*script)
    journal.fork(fork := Journal.memory(), at=1, reply=call("1", "look", what="sky"))
    mixed = Journal.memory([*fork._store.lines, *journal._store.lines[2:]])
    with pytest.raises(JournalMismatch, match=r"step 1 .*has tool 'look', .* differ in arguments"):
        run(world, mixed)
    assert not world.calls
    assert not world.model.requests


def test_a_run_that_was_cancelled_before_it_began_says_so_as_without_a_journal() -> None:
    token = CancellationToken()
    token.cancel()
    for journal in (None, Journal.memory()):
        world = World("?")
        result = tako_io_sync.run(world.agent, "go", cancel=token, journal=journal)
        assert (result.stop_reason, result.text) == ("cancelled", "")
        assert not world.model.requests
    assert journal is not None
    assert run(World("hi"), journal).text == "hi"


def test_a_run_whose_time_was_up_goes_on_and_can_be_streamed() -> None:
    journal = Journal.memory()
    slow = SingleAgent(Fake("never", delay_ms=3_600_000))
    with pytest.raises(TimedOut) as caught:
        slow.run_sync("go", timeout=0.05, journal=journal)
    assert caught.value.partial.stop_reason == "cancelled"
    assert not journal.is_finished
    quick = SingleAgent(Fake("at last"))
    with quick.stream_sync("go", journal=journal) as events:
        next(events)  # and nobody wants the rest
    with quick.stream_sync("go", timeout=60, journal=journal) as events:
        assert [event.result.text for event in events if isinstance(event, Final)] == ["at last"]
    assert journal.result == Ended("at last", "stop", 1)


def test_a_replay_reaches_for_no_network() -> None:
    """Not even where a flow does so outside of any task."""

    def make() -> Any:
        yield Entropy(1)
        return (yield Resolve("example.org"))

    journal = Journal.memory([line_of(Entry((1,), "entropy", "1", value="00"))])
    with pytest.raises(JournalMismatch, match=r"the journal ends here, .* the network \(Resolve\)"):
        Simulator().run(kept_in(Journal.replay(journal), make))


def test_a_replay_says_where_its_journal_ends() -> None:
    script = [replied(call("1", "look", what="sea"), finish_reason="tool_calls"), "done"]
    journal = Journal.memory()
    run(World(*script), journal)
    short = Journal.memory(journal._store.lines[:3])
    world = World("?")
    with pytest.raises(JournalMismatch, match=r"step 2 .*the journal ends here"):
        run(world, Journal.replay(short))
    assert not world.model.requests


def test_a_failed_call_is_tried_again_when_the_run_goes_on() -> None:
    script = [replied(call("1", "look"), finish_reason="tool_calls"), TransportError("gone")]
    journal = Journal.memory()
    with pytest.raises(TransportError):
        run(World(*script), journal)
    assert not journal.is_finished
    assert [step.error for step in journal.steps()] == ["", "gone"]
    world = World("back")
    assert run(world, journal).text == "back"
    assert not world.calls
    assert [step.text for step in journal.steps()] == ["", "back"]


def test_a_replay_fails_as_the_run_has_failed() -> None:
    journal = Journal.memory()
    error = ProviderError("no", status=400, code="bad", request_id="r1", provider="fake:test")
    with pytest.raises(ProviderError):
        run(World(error), journal)
    with pytest.raises(JournalMismatch, match="ends here"):
        run(World("?"), Journal.replay(journal))  # what failed at the end is not a reply


def test_a_fork_says_something_else_and_goes_on_from_there() -> None:
    script = [replied(call("1", "look", what="sea"), finish_reason="tool_calls"), "the sea", "?"]
    journal, fork = Journal.memory(), Journal.memory()
    expected = run(World(*script), journal)
    assert journal.fork(fork, at=2, reply=call("2", "paint", what="sea")) is fork
    world = World("painted")
    result = run(world, fork)
    assert result.text == "painted"
    assert world.calls == {"paint sea": 1}
    assert len(world.model.requests) == 1
    assert [step.number for step in fork.steps()] == [1, 2, 3]
    assert run(World("?"), Journal.replay(journal)) == expected  # as it was


@pytest.mark.parametrize("reply", ["no", Message.assistant("no"), replied("no"), [TextPart(text="no")]])
def test_a_fork_takes_a_reply_in_any_shape(reply: Any) -> None:
    journal = Journal.memory()
    run(World("yes"), journal)
    assert run(World("?"), journal.fork(Journal.memory(), at=1, reply=reply)).text == "no"


@pytest.mark.parametrize("reply", [Message.user("no"), None, b"no", 5])
def test_a_fork_refuses_what_no_model_says(reply: Any) -> None:
    journal = Journal.memory()
    run(World("yes"), journal)
    with pytest.raises(InvalidInput):
        journal.fork(Journal.memory(), at=1, reply=reply)


def test_a_fork_counts_as_the_steps_do_also_those_that_have_failed() -> None:
    """Two side by side, the first of which fails: the second is step 2, whoever has used it."""

    def asked(says: str) -> Any:
        def flow() -> Any:
            yield Sleep(len(says))
            if says == "no":
                raise TransportError("gone")
            return replied(says)

        return as_task(
            flow(), Task("model", lambda: says, lambda r: r.model_dump(), ChatResponse.model_validate)
        )

    def make() -> Any:
        outcomes = yield Gather((asked("no"), asked("yes")), on_error=OnError.COLLECT)
        yield Sleep(1)
        raise TransportError("the end") if isinstance(outcomes[0], Failed) else AssertionError

    journal = Journal.memory()
    with pytest.raises(TransportError):
        Simulator().run(kept_in(journal, make))
    assert [(step.number, step.error, step.text) for step in journal.steps()] == [
        (1, "gone", ""),
        (2, "", "yes"),
    ]
    second = journal.fork(Journal.memory(), at=2, reply="another")
    assert [(step.error, step.text) for step in second.steps()] == [("gone", ""), ("", "another")]
    first = journal.fork(Journal.memory(), at=1, reply="it said something after all")
    assert [(step.error, step.text) for step in first.steps()] == [("", "it said something after all")]


@pytest.mark.parametrize("at", [0, 2, -1, True, "1"])
def test_a_fork_at_no_step_is_refused(at: Any) -> None:
    journal = Journal.memory()
    run(World("yes"), journal)
    with pytest.raises(InvalidInput, match="at should be the number of a step, 1 to 1,"):
        journal.fork(Journal.memory(), at=at, reply="no")
    with pytest.raises(InvalidInput, match="new journal"):
        journal.fork(journal, at=1, reply="no")
    with pytest.raises(InvalidInput, match="not one that is read alone"):
        journal.fork(Journal.replay(Journal.memory()), at=1, reply="no")


def test_approvals_are_asked_for_once() -> None:
    asked: list[str] = []

    def approve(request: Any) -> Any:
        asked.append(request.call.id)
        return {"1": True, "2": Denied(reason="no"), "3": Answered(result={"x": None})}[request.call.id]

    def agent(*script: Any) -> SingleAgent[Any]:
        return SingleAgent(
            Recorded(*script), tools=list(World().tools()), approval=approve, needs_approval="all"
        )

    calls = [call(id, "look", what=id) for id in "123"]
    journal = Journal.memory()
    expected = Simulator().run(
        agent(replied(*calls, finish_reason="tool_calls"), "done"), "go", journal=journal
    )
    again = Simulator().run(agent("?"), "go", journal=Journal.replay(journal))
    assert again == expected
    assert asked == ["1", "2", "3"]


def test_what_a_sub_agent_does_is_kept_one_by_one() -> None:
    def agent(script: list[Any], below: list[Any]) -> SingleAgent[Any]:
        child = SubAgent(name="child", provider=Recorded(*below), tools=[World().agent.tools.get("look")])
        return SingleAgent(Recorded(*script), tools=[child])

    top = [
        replied(call("1", "child", prompt="a"), call("2", "child", prompt="b"), finish_reason="tool_calls"),
        "top",
    ]
    below = [replied(call("x", "look", what="sea"), finish_reason="tool_calls"), "below"]
    whole = Journal.memory()

    def below_of(request: Any) -> Any:
        return below[1] if request.messages[-1].role.value == "tool" else below[0]

    def make(model: Any, child_model: Any) -> SingleAgent[Any]:
        child = SubAgent(
            name="child", provider=child_model, tools=[World().agent.tools.get("look")], trace=lambda e: None
        )
        return SingleAgent(model, tools=[child])

    expected = Simulator(2).run(make(Recorded(*top), Fake(script=below_of)), "go", journal=whole)
    assert expected.usage.input_tokens == 10 + 1 + 2 * (10 + 1)
    for kept in range(0, len(whole._store.lines), 2):
        left = Journal.memory(whole._store.lines[:kept])
        asked = {step.number for step in left.steps()}
        child_model = Fake(script=below_of)
        rest = top[sum(len(step.at) == 1 for step in left.steps()) :]
        model = Recorded(*rest) if rest else Recorded("?")
        assert Simulator(kept).run(make(model, child_model), "go", journal=left) == expected
        assert len(model.requests) + child_model.call_count == 6 - len(asked)
    shown = events_of(make(Recorded("?"), Fake("?")), "go", journal=Journal.replay(whole))
    assert any(isinstance(event, SubAgentEvent) for event in shown)


def test_a_run_that_waited_goes_on_with_a_journal_of_its_own() -> None:
    world = World(replied(call("1", "ext"), finish_reason="tool_calls"), "done")
    agent = SingleAgent(world.model, tools=[Tool.external("ext", "", {"type": "object"})])
    first, second = Journal.memory(), Journal.memory()
    paused = Simulator().run(agent, "go", journal=first)
    assert paused.stop_reason == "result_required"
    state = paused.run.dumps()

    def answered() -> Any:
        run = agent.load(state)
        run.answer("1", Answered(result=5))
        return run

    expected = Simulator().run(agent, answered(), journal=second)
    assert expected.text == "done"
    assert Simulator().run(agent, answered(), journal=Journal.replay(second)) == expected
    with pytest.raises(JournalMismatch):
        Simulator().run(agent, answered(), journal=first)


def test_a_handle_and_a_journal_are_refused_together() -> None:
    with pytest.raises(InvalidInput, match="steering or journal"):
        World("x").agent.flow("go", journal=Journal.memory(), steering=Steering())
    with pytest.raises(InvalidInput, match=r"journal should be a tako\.journal\.Journal, not str"):
        World("x").agent.flow("go", journal="run.jsonl")  # type: ignore[arg-type]


def test_a_whole_response_comes_back_as_it_was() -> None:
    response = ChatResponse(
        message=Message.assistant(
            [
                ThinkingPart(text="hm", replay=Replay(vendor="v", data={"signature": "sk-" + "a1" * 20})),
                TextPart(text="x", replay=Replay(vendor="v", data={"a": None})),
                PNG,
                call("1", "look", what=None),
            ]
        ),
        finish_reason="tool_calls",
        usage=Usage(input_tokens=1, output_tokens=0, raw={"deep": {"x": [1, None]}}),
        raw_finish_reason="tools",
        model="m",
        response_id="r",
        request_id="q",
        details={"safety": [1.5, float("inf")]},
    )

    class Verbatim(Fake):
        def chat_flow(self, request: Any) -> Any:
            return response if len(request.messages) == 1 else replied("done")
            yield

    journal = Journal.memory()
    Simulator().run(SingleAgent(Verbatim(), tools=list(World().tools())), "go", journal=journal)
    assert journal.steps()[0].response == response


ARMS = {
    "sync": lambda agent, journal: tako_io_sync.run(agent, "go", journal=journal),
    "trio": lambda agent, journal: trio.run(lambda: tako_io_trio.run(agent, "go", journal=journal)),
    "asyncio": lambda agent, journal: asyncio.run(tako_io_asyncio.run(agent, "go", journal=journal)),
}


@pytest.mark.parametrize("suffix", ["jsonl", "sqlite"])
def test_adapters_agree_on_what_is_kept(tmp_path: Path, suffix: str) -> None:
    calls = [call(f"{n}", "look", what=f"{n}") for n in range(6)]
    script = [
        replied(*calls, finish_reason="tool_calls"),
        replied(call("p", "paint"), finish_reason="tool_calls"),
        "done",
    ]
    seen, results = [], []
    for name, arm in ARMS.items():
        journal = Journal(tmp_path / f"{name}.{suffix}", sync="off")
        results.append(arm(World(*script).agent, journal))
        seen.append(
            sorted((e.at, e.kind, e.asked, repr(e.value)) for e in journal.entries() if e.kind != "entropy")
        )
        for other in ARMS.values():
            world = World("?")
            assert other(world.agent, Journal.replay(journal)) == results[-1]
            assert not world.calls
    assert results[0] == results[1] == results[2]
    assert seen[0] == seen[1] == seen[2]
