"""AgentRun by hand: every row of its table, and everything that a state refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tako.errors import InvalidInput
from tako.models import Message, Principal, Role, ThinkingPart, ToolResultPart, Usage
from tako.orchestrators.agent_run import (
    AgentRun,
    Broken,
    CallModel,
    CallSuspended,
    CallTools,
    CheckOutput,
    Finished,
    ModelReplied,
    OutputAccepted,
    OutputRejected,
    Paused,
    RunOptions,
    Told,
    ToolReplied,
)
from tako.orchestrators.decisions import Answered, Approved, Denied, PendingCall
from tests.orchestrators.kit import assert_replayable, call, replied, results


def started(**options: Any) -> AgentRun:
    return AgentRun([Message.user("go")], [], RunOptions(**options))


def calling(*ids: str, **options: Any) -> AgentRun:
    """A run whose model has asked for these calls."""
    run = started(**options)
    run.feed(ModelReplied(replied(*[call(id, f"tool_{id}") for id in ids])))
    return run


def checking(**options: Any) -> AgentRun:
    run = started(**options)
    run.feed(ModelReplied(replied("3"), wants_output=True))
    return run


def ended() -> AgentRun:
    run = started()
    run.feed(ModelReplied(replied("done")))
    return run


def paused(waits_for: Any = "approval", *ids: str) -> AgentRun:
    run = calling(*(ids or ("a",)))
    run.feed(Paused(tuple(PendingCall(call=c, waits_for=waits_for) for c in run.batch.calls)))
    return run


def answer(id: str, result: Any = "yes") -> ToolReplied:
    return ToolReplied(ToolResultPart(id=id, name=f"tool_{id}", result=result))


def ids_of(run: AgentRun) -> list[str]:
    step = run.next_step()
    assert isinstance(step, CallTools)
    return [one.id for one in step.calls]


# The rows of the table.


def test_a_vendor_that_paused_is_asked_to_go_on_from_there() -> None:
    run = started(max_steps=3)
    run.feed(ModelReplied(replied("One, ", finish_reason="pause"), wants_output=True))
    step = run.next_step()
    assert isinstance(step, CallModel)
    assert [m.text for m in step.messages] == ["go", "One, "]
    run.feed(ModelReplied(replied("two.")))
    assert run.next_step() == Finished("stop")
    result = run.result()
    assert (result.text, result.steps) == ("One, two.", 2)
    assert [m.text for m in result.new_messages] == ["go", "One, ", "two."]


def test_an_answer_in_which_the_vendor_paused_is_checked_as_a_whole() -> None:
    run = started(max_steps=3)
    run.feed(ModelReplied(replied('{"a": ', finish_reason="pause"), wants_output=True))
    run.feed(ModelReplied(replied("1}"), wants_output=True))
    assert run.next_step() == CheckOutput(2, '{"a": 1}')


def test_an_answer_that_was_overtaken_is_no_output_any_more() -> None:
    run = started(max_steps=3)
    run.feed(ModelReplied(replied("1"), wants_output=True))
    run.feed(OutputAccepted(1))
    run.feed(Told((Message.user("another one"),)))
    run.feed(Broken("interrupted"))
    assert (run.result().output, run.result().stop_reason) == (None, "interrupted")


def test_a_run_that_ended_well_or_waits_can_still_be_aborted() -> None:
    done = started()
    done.feed(ModelReplied(replied("1")))
    for run in (done, paused()):
        run.feed(Broken("aborted", detail="enough"))
        assert (run.stop_reason, run.pending, run.result().detail) == ("aborted", (), "enough")
        assert_replayable(AgentRun.loads(run.dumps()).new_messages)


def test_who_could_not_be_asked_any_more_cannot_be_told_anything() -> None:
    for max_steps in (1, 2):
        run = started(max_steps=max_steps)
        run.feed(ModelReplied(replied("1")))
        assert run.can_go_on is (max_steps == 2)


def test_a_call_that_has_its_result_cannot_be_suspended() -> None:
    run = started()
    run.feed(ModelReplied(replied(call("a", "t"), call("b", "t"))))
    run.feed(ToolReplied(ToolResultPart(id="a", name="t")))
    for id in ("a", "nobody"):
        with pytest.raises(InvalidInput, match="waits for a result"):
            run.feed(CallSuspended(id, started()))


def test_a_call_that_was_approved_does_not_wait_for_approval_any_more() -> None:
    run = paused()
    before = results(run.new_messages)[0]
    for pending in run.pending:
        run.answer(pending, Approved())
    after = results(run.new_messages)[0]
    assert (before.result, after.result) == ("not run yet: the call waits for approval", "not run yet")


def test_a_vendor_that_only_pauses_is_asked_no_more_than_max_steps() -> None:
    run = started(max_steps=2)
    for _ in range(2):
        run.feed(ModelReplied(replied("more ", finish_reason="pause")))
    assert run.next_step() == Finished("max_steps")
    assert run.result().text == "more more "


def test_asking_wants_the_model_called_with_history_and_prompt() -> None:
    history = [Message.user("1"), Message.assistant("2")]
    run = AgentRun([Message.user("3")], history, RunOptions())
    step = run.next_step()
    assert isinstance(step, CallModel)
    assert (step.step, [m.text for m in step.messages]) == (1, ["1", "2", "3"])
    assert run.new_messages == [Message.user("3")]


def test_asking_then_calling() -> None:
    run = calling("a", "b")
    assert run.step == 1
    step = run.next_step()
    assert isinstance(step, CallTools) and step.is_new
    assert ids_of(run) == ["a", "b"]
    run.announced()
    step = run.next_step()
    assert isinstance(step, CallTools) and not step.is_new


def test_asking_then_checking() -> None:
    run = checking()
    assert run.next_step() == CheckOutput(1, "3")


def test_calls_come_before_the_check_of_an_output() -> None:
    run = started()
    run.feed(ModelReplied(replied(call("a", "t")), wants_output=True))
    assert isinstance(run.next_step(), CallTools)


@pytest.mark.parametrize(
    ("finish_reason", "stop_reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("other", "other"),
        ("error", "error"),
        ("tool_calls", "stop"),
    ],
)
def test_asking_then_ended_for_the_reason_of_the_model(finish_reason: Any, stop_reason: str) -> None:
    run = started()
    run.feed(ModelReplied(replied("done", finish_reason=finish_reason)))
    assert run.is_finished
    assert run.next_step() == Finished(stop_reason)  # type: ignore[arg-type]
    assert run.result().text == "done"


def test_calling_goes_on_until_all_have_replied_in_any_order() -> None:
    run = calling("a", "b", "c")
    run.feed(answer("c", "C"))
    assert ids_of(run) == ["a", "b"]
    run.feed(answer("a", "A"))
    run.feed(answer("b", "B"))
    assert isinstance(run.next_step(), CallModel)
    assert [part.result for part in results(run.new_messages)] == ["A", "B", "C"]
    assert [message.role for message in run.new_messages] == [Role.USER, Role.ASSISTANT, Role.TOOL]


def test_calling_then_ended_at_the_limit_of_steps() -> None:
    run = calling("a", max_steps=1)
    run.feed(answer("a"))
    assert run.next_step() == Finished("max_steps")
    assert_replayable(run.new_messages)


@pytest.mark.parametrize(
    ("waits", "reason"),
    [
        (("approval",), "approval_required"),
        (("result",), "result_required"),
        (("result", "approval"), "approval_required"),
    ],
)
def test_calling_then_paused(waits: tuple[Any, ...], reason: str) -> None:
    run = calling("a", "b")
    step = run.next_step()
    assert isinstance(step, CallTools)
    pending = tuple(PendingCall(call=c, waits_for=w) for c, w in zip(step.calls, waits, strict=False))
    run.feed(Paused(pending))
    assert run.next_step() == Finished(reason)  # type: ignore[arg-type]
    assert run.result().pending == run.pending == pending
    assert_replayable(run.new_messages)
    assert all(part.is_error for part in results(run.new_messages))


def test_an_accepted_output_ends_the_run() -> None:
    run = checking()
    run.feed(OutputAccepted(3))
    assert run.next_step() == Finished("stop")
    assert run.result().output == 3


def test_a_rejected_output_asks_the_model_again() -> None:
    run = checking()
    run.feed(OutputRejected("no integer"))
    step = run.next_step()
    assert isinstance(step, CallModel)
    assert "no integer" in step.messages[-1].text and step.messages[-1].role is Role.USER


def test_rejections_are_bounded_by_the_tries() -> None:
    run = checking(output_retries=1)
    run.feed(OutputRejected("once"))
    run.feed(ModelReplied(replied("x"), wants_output=True))
    run.feed(OutputRejected("twice"))
    assert run.next_step() == Finished("error")


def test_rejections_are_bounded_by_the_steps() -> None:
    run = checking(max_steps=1, output_retries=5)
    run.feed(OutputRejected("once"))
    assert run.next_step() == Finished("error")


@pytest.mark.parametrize("make", [started, lambda: calling("a", "b"), checking])
@pytest.mark.parametrize("reason", ["cancelled", "error"])
def test_every_state_can_break(make: Callable[[], AgentRun], reason: Any) -> None:
    run = make()
    run.feed(Broken(reason))
    assert run.next_step() == Finished(reason)
    assert_replayable(run.new_messages)
    assert run.result().stop_reason == reason


def test_what_the_model_had_said_when_it_broke_is_kept() -> None:
    run = started()
    run.feed(Broken("cancelled", replied("half an ans", usage=Usage(output_tokens=3))))
    result = run.result()
    assert (result.text, result.usage.output_tokens, result.steps) == ("half an ans", 3, 1)
    assert result.new_messages[-1] == Message.assistant("half an ans")


def test_an_answer_that_broke_before_its_first_word_adds_no_message() -> None:
    run = started()
    run.feed(Broken("error", replied(usage=Usage(input_tokens=7))))
    assert run.new_messages == [Message.user("go")]
    assert run.usage.input_tokens == 7


def test_calls_of_a_broken_answer_are_never_run() -> None:
    run = started()
    run.feed(Broken("error", replied(call("a", "t"))))
    assert run.next_step() == Finished("error")
    assert_replayable(run.new_messages)


def test_a_batch_that_breaks_keeps_its_results() -> None:
    run = calling("a", "b")
    run.feed(answer("b", "B"))
    run.feed(Broken("cancelled"))
    first, second = results(run.new_messages)
    assert first.is_error and "cancelled before" in first.result
    assert second.result == "B"


@pytest.mark.parametrize("make", [ended, paused])
def test_what_has_ended_does_not_break(make: Callable[[], AgentRun]) -> None:
    run = make()
    before = run.dumps()
    run.feed(Broken("error", replied("x")))
    assert run.dumps() == before


# What is refused changes nothing.

OUTCOMES = (
    ModelReplied(replied("x")),
    answer("a"),
    Paused(()),
    OutputAccepted(1),
    OutputRejected("no"),
)
EXPECTED: dict[str, set[type]] = {
    "asking": {ModelReplied},
    "calling": {ToolReplied, Paused},
    "checking": {OutputAccepted, OutputRejected},
    "ended": set(),
}
MAKERS: dict[str, Callable[[], AgentRun]] = {
    "asking": started,
    "calling": lambda: calling("a"),
    "checking": checking,
    "ended": ended,
}


@pytest.mark.parametrize("state", EXPECTED)
@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
def test_a_state_takes_its_own_outcomes_and_no_other(state: str, outcome: Any) -> None:
    run = MAKERS[state]()
    if type(outcome) in EXPECTED[state]:
        run.feed(outcome)
        return
    before = run.dumps()
    with pytest.raises(InvalidInput, match=f"{type(outcome).__name__} does not fit a run that is {state}"):
        run.feed(outcome)
    assert run.dumps() == before


@pytest.mark.parametrize("id", ["b", ""])
def test_a_result_for_no_call_is_refused(id: str) -> None:
    run = calling("a", "c")
    with pytest.raises(InvalidInput, match="no call"):
        run.feed(answer(id))


def test_a_second_result_for_a_call_is_refused() -> None:
    run = calling("a", "c")
    run.feed(answer("a", 1))
    with pytest.raises(InvalidInput, match="no call 'a'"):
        run.feed(answer("a", 2))
    run.feed(answer("c"))
    run.next_step()
    assert results(run.new_messages)[0].result == 1


def test_an_answer_to_what_does_not_wait_is_refused() -> None:
    for run in (started(), calling("a"), ended()):
        with pytest.raises(InvalidInput, match="pending are: none"):
            run.answer("a", Approved())
    run = paused()
    with pytest.raises(InvalidInput, match="pending are: a"):
        run.answer("b", Approved())


def test_a_result_that_is_awaited_cannot_be_approved() -> None:
    run = paused("result")
    with pytest.raises(InvalidInput, match="Answered"):
        run.answer("a", Approved())
    assert run.pending


@pytest.mark.parametrize("ends", ["history", "prompt"])
def test_open_calls_are_refused_at_the_start(ends: str) -> None:
    asked = [Message.user("x"), Message.assistant([call("7", "t")])]
    with pytest.raises(InvalidInput, match=f"{ends} ends with calls that have no results \\(7\\)"):
        if ends == "history":
            AgentRun([Message.user("y")], asked, RunOptions())
        else:
            AgentRun(asked, [], RunOptions())


def test_a_prompt_may_answer_the_calls_of_the_history() -> None:
    asked = [Message.user("x"), Message.assistant([call("7", "t")])]
    run = AgentRun([Message.tool([ToolResultPart(id="7", result=1)])], asked, RunOptions())
    assert_replayable(run.messages)


# Answers from outside.


def test_an_approved_call_is_open_again() -> None:
    run = paused()
    run.answer("a", Approved())
    step = run.next_step()
    assert isinstance(step, CallTools)
    assert [one.id for one in step.calls] == ["a"]
    assert run.batch.decisions["a"].decision == Approved()


@pytest.mark.parametrize(
    ("decision", "result", "is_error"),
    [
        (Denied(reason="too dear"), "approval denied: too dear", True),
        (Answered(result={"n": 1}), {"n": 1}, False),
        (Answered(result="lost", is_error=True), "lost", True),
    ],
)
def test_an_answer_is_the_result(decision: Any, result: Any, is_error: bool) -> None:
    run = paused()
    run.answer("a", decision)
    assert isinstance(run.next_step(), CallModel)
    assert [(r.result, r.is_error, r.name) for r in results(run.new_messages)] == [
        (result, is_error, "tool_a")
    ]


def test_a_run_waits_until_the_last_pending_call_is_answered() -> None:
    run = paused("approval", "a", "b")
    run.answer("b", Denied())
    assert run.next_step() == Finished("approval_required")
    assert [p.call.id for p in run.pending] == ["a"]
    with pytest.raises(InvalidInput, match="no call 'b'"):
        run.answer("b", Approved())
    run.answer("a", Answered(result=1))
    assert isinstance(run.next_step(), CallModel)
    assert_replayable(run.new_messages)


def test_what_is_no_call_and_what_is_no_decision_is_told_what_to_write() -> None:
    run = paused()
    with pytest.raises(InvalidInput, match="by its id, or by the PendingCall of `pending`, not ToolCallPart"):
        run.answer(run.pending[0].call, Approved())  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=r"Approved\(\), Denied\(.*\) or Answered\(.*\), not bool"):
        run.answer("a", True)  # type: ignore[arg-type]
    assert [p.call.id for p in run.pending] == ["a"]


def test_an_approval_is_for_one_call_and_not_for_the_next_of_the_same_id() -> None:
    run = paused()
    run.answer("a", Approved())
    run.feed(answer("a"))
    run.next_step()
    run.feed(ModelReplied(replied(call("a", "tool_a", other=1))))
    assert run.batch.decisions == {}


def test_an_answer_that_is_no_json_is_refused() -> None:
    with pytest.raises(InvalidInput, match="Answered: result: should be JSON"):
        Answered(result=object())


# Ids that vendors forget or repeat.


@pytest.mark.parametrize("ids", [[""], ["", ""], ["a", "a"], ["a", ""], ["", "a"], ["a", "b", "a"]])
def test_calls_get_ids_of_their_own_where_the_vendor_gave_none(ids: list[str]) -> None:
    run = calling(*ids)
    given = ids_of(run)
    assert all(given) and len(set(given)) == len(ids)
    for id in given:
        run.feed(ToolReplied(ToolResultPart(id=id)))
    assert isinstance(run.next_step(), CallModel)
    assert_replayable(run.new_messages)


def test_ids_that_are_distinct_stay_as_they_are() -> None:
    assert ids_of(calling("a", "b")) == ["a", "b"]


def test_own_ids_of_two_runs_of_a_conversation_differ() -> None:
    first = calling("")
    (id,) = ids_of(first)
    first.feed(ToolReplied(ToolResultPart(id=id)))
    first.next_step()
    first.feed(ModelReplied(replied("done")))
    second = AgentRun([Message.user("more")], first.messages, RunOptions())
    second.feed(ModelReplied(replied(call("", "t"))))
    assert ids_of(second) != [id]


def test_thinking_stays_in_the_message_and_out_of_the_text() -> None:
    run = started()
    run.feed(ModelReplied(replied(ThinkingPart(text="hm"), *replied("yes").message.content)))
    result = run.result()
    assert result.text == "yes"
    assert result.new_messages[-1].content[0] == ThinkingPart(text="hm")


def test_names_of_tools_that_still_run_are_in_the_result() -> None:
    run = calling("a")
    run.left_running("slow")
    run.left_running("slower")
    run.feed(Broken("cancelled"))
    assert run.result().still_running == ("slow", "slower")
    assert AgentRun.loads(run.dumps()).result().still_running == ("slow", "slower")


# The run as data.


def test_a_loaded_run_keeps_all_of_its_options() -> None:
    options = RunOptions(
        system=Message.system("be brief"),
        max_steps=3,
        temperature=0.0,
        seed=0,
        stop=("END",),
        tool_choice="t",
        metadata={"a": "b"},
        extra={"x": {"y": None}},
        principal=Principal(user_id="u", roles=("r",)),
    )
    run = AgentRun([Message.user("go")], [], options)
    run.run_id = "cafe"
    loaded = AgentRun.loads(run.dumps())
    assert (loaded.options, loaded.run_id) == (options, "cafe")
    assert AgentRun.loads(run.dumps().encode()).dumps() == run.dumps()


def test_none_in_arguments_and_results_survives() -> None:
    run = started()
    run.feed(ModelReplied(replied(call("a", "t", x=None, y=[None, {"z": None}]))))
    run.feed(answer("a", {"r": None}))
    run.next_step()
    assert AgentRun.loads(run.dumps()).messages == run.messages


def test_a_finished_run_that_was_loaded_has_its_output_checked_again() -> None:
    run = checking()
    run.feed(OutputAccepted(3))
    loaded = AgentRun.loads(run.dumps())
    assert loaded.next_step() == CheckOutput(1, "3")
    loaded.feed(OutputAccepted(3))
    assert loaded.result() == run.result()


def test_a_copy_goes_its_own_way() -> None:
    run = calling("a", "b")
    run.feed(answer("a", 1))
    other = run.copy()
    assert other.dumps() == run.dumps()
    other.feed(answer("b", 2))
    other.next_step()
    other.feed(ModelReplied(replied("end")))
    assert ids_of(run) == ["b"] and run.step == 1 and len(run.new_messages) == 3
    assert [part.id for part in results(other.new_messages)] == ["a", "b"]
    other.messages.clear()
    assert len(other.messages) == 4


def test_a_copy_of_a_finished_run_is_finished_and_has_the_output() -> None:
    run = checking()
    run.feed(OutputAccepted([3]))
    assert run.copy().result() == run.result()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "{}",
        "null",
        "[]",
        "3",
        b"\xff\xfe",
        "{",
        '{"options":{}}',
        None,
        5,
        '{"options":{},"state":"asleep"}',
        '{"version":2,"options":{},"state":"asking"}',
        '{"options":{},"state":"asking","surprise":1}',
        '{"options":{"temperature":"hot"},"state":"asking"}',
    ],
)
def test_what_is_no_run_is_refused(text: Any) -> None:
    with pytest.raises(InvalidInput, match="this is not a run that was dumped"):
        AgentRun.loads(text)


def changed(run: AgentRun, **fields: Any) -> str:
    return json.dumps({**json.loads(run.dumps()), **fields})


@pytest.mark.parametrize(
    "text",
    [
        '{"options":{},"state":"checking"}',
        '{"options":{},"state":"calling"}',
        changed(started(), history_size=-1),
        changed(started(), history_size=2),
        changed(calling("a"), state="asking"),
        changed(calling("a"), state="checking"),
        changed(calling("a"), calls=[]),
        changed(calling("a"), calls=[call("b", "tool_b").model_dump()]),
        changed(calling("a"), messages=[]),
        changed(calling("a"), results={"b": ToolResultPart(id="b").model_dump()}),
        changed(calling("a"), results={"a": ToolResultPart(id="b").model_dump()}),
        changed(started(), pending=[PendingCall(call=call("a", "t"), waits_for="result").model_dump()]),
        changed(started(), state="checking"),
    ],
)
def test_a_run_whose_fields_contradict_each_other_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="contradict"):
        AgentRun.loads(text)


def test_a_run_goes_on_in_another_process() -> None:
    run = AgentRun([Message.user("go")], [Message.user("before"), Message.assistant("ok")], RunOptions())
    run.feed(ModelReplied(replied(call("a", "t"), call("b", "t"))))
    run.announced()
    run.feed(answer("a", {"n": 1}))
    program = """
import sys
from tako.models import ChatResponse, Message, ToolResultPart, Usage
from tako.orchestrators.agent_run import AgentRun, ModelReplied, ToolReplied
run = AgentRun.loads(sys.stdin.read())
assert [call.id for call in run.next_step().calls] == ["b"]
run.feed(ToolReplied(ToolResultPart(id="b", name="tool_b", result="yes")))
run.next_step()
usage = Usage(input_tokens=10, output_tokens=5)
run.feed(ModelReplied(ChatResponse(message=Message.assistant("end"), usage=usage)))
print(run.dumps(), end="")
"""
    other = subprocess.run(
        [sys.executable, "-c", program], input=run.dumps(), capture_output=True, text=True, check=True
    )
    run.feed(answer("b"))
    run.next_step()
    run.feed(ModelReplied(replied("end")))
    assert other.stdout == run.dumps()
    assert AgentRun.loads(other.stdout).result() == run.result()
