"""AgentRun under any script: whatever the model, the tools, the outside and the user's cancel do.

A script is a list of turns of fate; `advance` takes one and does with the run what its next step asks
for. Each property plays the same script in another way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, assert_never

from hypothesis import example, given
from hypothesis import strategies as st

from tako.models import ChatResponse, Message, ThinkingPart, ToolCallPart, ToolResultPart, Usage
from tako.orchestrators.agent_run import (
    AgentRun,
    Broken,
    CallModel,
    CallSuspended,
    CallTools,
    CheckOutput,
    Finished,
    HistoryReplaced,
    ModelReplied,
    OutputAccepted,
    OutputRejected,
    Paused,
    RunOptions,
    Told,
    ToolReplied,
)
from tako.orchestrators.agent_steps import Step
from tako.orchestrators.decisions import Answered, Approved, Decision, Denied, PendingCall
from tests.orchestrators.kit import assert_replayable

AWKWARD: tuple[Any, ...] = (None, "ok", "", {"n": None}, [1, {"x": [2.5]}], "\u2028\U0001f419", 2**70, False)
IDS: tuple[tuple[str, ...], ...] = (
    (),
    (),
    (),
    (),
    ("a",),
    ("",),
    ("a", "b"),
    ("", ""),
    ("a", "a"),
    ("a", ""),
    ("c", "b", "a"),
    ("a", "call_1_0", "a"),
)


def reply(
    ids: tuple[str, ...], text: str, reason: Any, tokens: tuple[int | None, int | None]
) -> ChatResponse:
    """What a model may say: thinking, text, calls side by side with ids that are missing or repeated."""
    parts: list[Any] = [ThinkingPart(text="hm")] if len(text) == 1 else []
    parts += Message.assistant(text).content if text else ()
    parts += [ToolCallPart(id=id, name="t", args=AWKWARD[index]) for index, id in enumerate(ids)]
    usage = Usage(input_tokens=tokens[0], output_tokens=tokens[1])
    return ChatResponse(message=Message.assistant(parts), finish_reason=reason, usage=usage)


replies = st.builds(
    reply,
    st.sampled_from(IDS),
    st.sampled_from(["", "x", "some text"]),
    st.sampled_from(["stop", "length", "tool_calls", "error"]),
    st.sampled_from([(None, None), (3, None), (0, 5), (100, 7)]),
)
ASKED = [Message.user("a"), Message.assistant([ToolCallPart(id="a", name="t")])]
HISTORIES = (
    [],
    [Message.user("a"), Message.assistant("b")],
    [*ASKED, Message.tool([ToolResultPart(id="a")])],
)


@dataclass
class Turn:
    """One turn of fate; of its fields the state of the run picks the one that applies."""

    reply: ChatResponse
    result: Any
    pick: int
    pauses: bool
    waits_for: Literal["approval", "result"]
    decision: Decision
    accepts: bool
    breaks: Literal["cancelled", "interrupted", "aborted", "error"] | None
    breaks_with_answer: bool
    meddles: Literal["tells", "trims", "suspends"] | None


decisions: st.SearchStrategy[Decision] = st.one_of(
    st.just(Approved()), st.just(Denied()), st.builds(Answered, result=st.sampled_from(AWKWARD))
)
turns = st.builds(
    Turn,
    reply=replies,
    result=st.sampled_from(AWKWARD),
    pick=st.integers(0, 5),
    pauses=st.sampled_from([False, False, True]),
    waits_for=st.sampled_from(["approval", "result"]),
    decision=decisions,
    accepts=st.sampled_from([False, False, True]),
    breaks=st.sampled_from([None] * 24 + ["cancelled", "interrupted", "aborted", "error"]),
    breaks_with_answer=st.booleans(),
    meddles=st.sampled_from([None] * 6 + ["tells", "trims", "suspends"]),
)


@dataclass
class Script:
    history: list[Message]
    options: RunOptions
    wants_output: bool
    turns: list[Turn]

    def start(self) -> AgentRun:
        return AgentRun([Message.user("go")], self.history, self.options)

    def advance(self, run: AgentRun, turn: Turn) -> Usage:
        """Do what the run asks for, as fate has it; returns what that has used."""
        step = run.next_step()
        if turn.breaks is not None and not run.is_finished:
            answer = turn.reply if turn.breaks_with_answer and isinstance(step, CallModel) else None
            run.feed(Broken(turn.breaks, answer))
            return answer.usage if answer else Usage()
        if turn.meddles is not None and self.meddle(run, step, turn):
            return Usage()
        match step:
            case CallModel():
                run.feed(ModelReplied(turn.reply, self.wants_output))
                return turn.reply.usage
            case CallTools():
                run.announced()
                one = step.calls[turn.pick % len(step.calls)]
                if turn.pauses:
                    open_calls = [one, *(call for call in step.calls if call is not one)][: 1 + turn.pick]
                    run.feed(Paused(tuple(PendingCall(call=c, waits_for=turn.waits_for) for c in open_calls)))
                else:
                    run.feed(ToolReplied(ToolResultPart(id=one.id, name=one.name, result=turn.result)))
            case CheckOutput():
                run.feed(OutputAccepted(step.text) if turn.accepts else OutputRejected("no"))
            case Finished():
                if run.pending:
                    pending = run.pending[turn.pick % len(run.pending)]
                    refused = pending.waits_for == "result" and isinstance(turn.decision, Approved)
                    run.answer(pending, Denied() if refused else turn.decision)
            case _:
                assert_never(step)
        return Usage()

    def meddle(self, run: AgentRun, step: Step, turn: Turn) -> bool:
        """What the user, the caller's trimmer and a sub-agent may do; False if it does not fit here."""
        if turn.meddles == "tells" and (isinstance(step, CallModel) or run.can_go_on):
            run.feed(Told((Message.user("and this"), Message.user("and that"))))
        elif turn.meddles == "trims" and isinstance(step, CallModel):
            run.feed(HistoryReplaced((Message.user("in short"),)))
        elif turn.meddles == "suspends" and isinstance(step, CallTools):
            run.feed(CallSuspended(step.calls[turn.pick % len(step.calls)].id, waiting_child(turn.waits_for)))
            run.feed(Paused(()))
        else:
            return False
        return True


def waiting_child(waits_for: Literal["approval", "result"]) -> AgentRun:
    """A sub-agent that waits; it has used nothing."""
    child = AgentRun([Message.user("task")], (), RunOptions())
    call = ToolCallPart(id="k", name="t")
    child.feed(ModelReplied(ChatResponse(message=Message.assistant([call])), False))
    child.feed(Paused((PendingCall(call=call, waits_for=waits_for),)))
    return child


scripts = st.builds(
    Script,
    history=st.sampled_from(HISTORIES),
    options=st.builds(RunOptions, max_steps=st.integers(1, 3), output_retries=st.integers(0, 3)),
    wants_output=st.booleans(),
    turns=st.lists(turns, min_size=4, max_size=12),
)


SAYS_NO = Turn(
    reply=reply((), "x", "stop", (1, 1)),
    result=None,
    pick=0,
    pauses=False,
    waits_for="result",
    decision=Denied(),
    accepts=False,
    breaks=None,
    breaks_with_answer=False,
    meddles=None,
)
NEVER_FITS = Script([], RunOptions(max_steps=1, output_retries=3), wants_output=True, turns=[SAYS_NO] * 6)


def state_of(run: AgentRun) -> tuple[Any, ...]:
    """Everything that can be seen of a run."""
    return run.next_step(), run.dumps(), run.result(), run.is_finished, run.pending, run.can_go_on


@given(scripts)
def test_new_messages_can_always_be_the_next_history(script: Script) -> None:
    run = script.start()
    for turn in script.turns:
        script.advance(run, turn)
        assert_replayable(run.new_messages)
        result = run.result()
        assert result.new_messages == run.new_messages
        assert script.history + result.new_messages == run.messages
        AgentRun([Message.user("and then?")], script.history + result.new_messages, script.options)


@given(scripts)
@example(NEVER_FITS)
def test_usage_is_the_sum_and_steps_are_bounded(script: Script) -> None:
    run = script.start()
    used = Usage()
    for turn in script.turns:
        used += script.advance(run, turn)
        assert run.usage == used
        assert run.step <= script.options.max_steps


@given(scripts)
def test_asking_for_the_next_step_changes_nothing_but_once(script: Script) -> None:
    run = script.start()
    for turn in script.turns:
        first, text = run.next_step(), run.dumps()
        assert run.next_step() == first
        assert run.dumps() == text
        script.advance(run, turn)


@given(scripts)
def test_a_run_can_be_written_and_read_between_any_two_steps(script: Script) -> None:
    kept, moved = script.start(), script.start()
    for turn in script.turns:
        if kept.result().output is not None:
            break  # the value is checked again, which test_agent_run has
        moved = AgentRun.loads(moved.dumps())
        assert state_of(moved) == state_of(kept)
        script.advance(kept, turn)
        script.advance(moved, turn)
    assert moved.result() == kept.result()


@given(scripts, st.integers(0, 12))
def test_a_copy_and_its_original_do_not_touch_each_other(script: Script, place: int) -> None:
    run = script.start()
    _play(script, run, script.turns[:place])
    other = run.copy()
    before = state_of(run)
    assert state_of(other) == before
    _play(script, other, script.turns[place:])
    assert state_of(run) == before
    _play(script, run, script.turns[place:])
    assert state_of(run) == state_of(other)


def _play(script: Script, run: AgentRun, turns: Sequence[Turn]) -> None:
    for turn in turns:
        script.advance(run, turn)
