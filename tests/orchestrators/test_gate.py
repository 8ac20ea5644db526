"""The gate: who decides on a call, in which order, and what the model gets to read of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.errors import InvalidInput
from tako.events import ToolCallDecided, ToolCallPending, ToolCallResult, ToolCallStart
from tako.models import ToolCallPart
from tako.orchestrators.approval import ApprovalRequest
from tako.orchestrators.decisions import Answered, Approved, Decision, Denied, PendingCall, digest_of
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.fake import Fake
from tako.steering import PLAN, Mode, Steering
from tako.testing.simulator import Simulator
from tako.tools import CallPattern, Tool, ToolPolicy, tool
from tests.orchestrators.kit import call, events_of, kinds, results

RAN: list[Any] = []


@tool(read_only=True)
def look(at: int) -> str:
    return f"seen {at}"


@tool
def change(to: int) -> str:
    RAN.append(to)
    return f"changed to {to}"


@tool(approval=True)
def pay(amount: int) -> str:
    RAN.append(amount)
    return f"paid {amount}"


ask = Tool.external("ask", "Ask a person.", {"type": "object"})
TOOLS = [look, change, pay, ask]


def agent(*calls: ToolCallPart, **options: Any) -> SingleAgent[None]:
    RAN.clear()
    return SingleAgent(Fake(script=[list(calls), "done"]), tools=TOOLS, **options)


def told(target: SingleAgent[Any], **options: Any) -> list[ToolCallResult]:
    return [event for event in events_of(target, "go", **options) if isinstance(event, ToolCallResult)]


# Policy.


def test_what_the_policy_refuses_is_a_result_and_never_runs() -> None:
    target = agent(call("1", "change", to=1), call("2", "look", at=2), policy=ToolPolicy(deny=["change"]))
    first, second = told(target)
    assert first.is_error and "not allowed by policy" in first.result
    assert (second.result, RAN) == ("seen 2", [])


def test_the_policy_is_asked_before_anybody_else() -> None:
    asked: list[str] = []
    target = agent(
        call("1", "pay", amount=5),
        policy=ToolPolicy(allow=["look"]),
        approval=lambda request: asked.append(request.name),
    )
    [only] = told(target)
    assert only.is_error and asked == [] and RAN == []


def test_nobody_gets_other_arguments_past_the_policy() -> None:
    policy = ToolPolicy(deny=["pay(amount:=1000)"])
    target = agent(
        call("1", "pay", amount=5), policy=policy, approval=lambda _: Approved(args={"amount": 1000})
    )
    [only] = told(target)
    assert only.is_error and "not allowed by policy" in only.result and RAN == []
    paused = Simulator().run(agent(call("1", "pay", amount=5), policy=policy), "go").run
    assert paused is not None
    paused.answer("1", Approved(args={"amount": 1000}))
    result = Simulator().run(agent(call("1", "pay", amount=5), policy=policy), paused)
    assert results(result.new_messages)[0].is_error and RAN == []


# The callback.


@pytest.mark.parametrize(
    ("answer", "reads"),
    [
        (True, "paid 5"),
        (Approved(), "paid 5"),
        (Approved(args={"amount": 3}), "paid 3"),
        (Answered(result="paid by hand"), "paid by hand"),
        (False, "approval denied: the call was not approved"),
        (Denied(reason="too much"), "approval denied: too much"),
        (None, "approval denied: the approval callback gave NoneType and no decision"),
        ("yes", "approval denied: the approval callback gave str and no decision"),
    ],
)
def test_what_the_callback_answers_is_done(answer: Any, reads: str) -> None:
    [only] = told(agent(call("1", "pay", amount=5), approval=lambda request: answer))
    assert only.result == reads
    assert only.is_error == reads.startswith("approval denied")


def test_a_callback_that_fails_refuses() -> None:
    def broken(request: ApprovalRequest) -> bool:
        raise RuntimeError("no screen")

    [only] = told(agent(call("1", "pay", amount=5), approval=broken))
    assert only.is_error and "no screen" in only.result and RAN == []


def test_the_callback_may_be_async() -> None:
    async def approve(request: ApprovalRequest) -> bool:
        await asyncio.sleep(0)
        return request.args == {"amount": 5}

    target = agent(call("1", "pay", amount=5), approval=approve)
    assert results(target.run_sync("go").new_messages)[0].result == "paid 5"


def test_the_callback_knows_what_it_is_asked_about() -> None:
    seen: list[ApprovalRequest] = []

    def approve(request: ApprovalRequest) -> bool:
        seen.append(request)
        return True

    told(agent(call("1", "pay", amount=5), approval=approve), tenant_id="acme")
    [request] = seen
    assert (request.name, request.args, request.tool_class, request.step) == (
        "pay",
        {"amount": 5},
        "mutating",
        1,
    )
    assert request.principal.tenant_id == "acme" and request.path == () and request.run_id


@pytest.mark.parametrize(
    ("which", "asked"),
    [
        ("marked", ["pay"]),
        ("mutating", ["change", "pay"]),
        ("all", ["look", "change", "pay"]),
        (lambda asked, one: asked.args.get("to") == 1, ["change"]),
    ],
)
def test_which_calls_need_approval(which: Any, asked: list[str]) -> None:
    seen: list[str] = []

    def approve(request: ApprovalRequest) -> bool:
        seen.append(request.name)
        return True

    calls = call("1", "look", at=1), call("2", "change", to=1), call("3", "pay", amount=1)
    told(agent(*calls, approval=approve, needs_approval=which))
    assert seen == asked


def test_needs_approval_is_checked() -> None:
    with pytest.raises(InvalidInput, match="needs_approval should be one of marked, mutating, all"):
        agent(needs_approval="sometimes")


def test_a_call_is_announced_before_the_gate_and_decided_before_it_runs() -> None:
    events = events_of(agent(call("1", "pay", amount=5), approval=lambda request: True), "go")
    about = [event for event in events if getattr(event, "id", None) == "1"]
    assert [type(event) for event in about] == [
        ToolCallStart,
        ToolCallPending,
        ToolCallDecided,
        ToolCallResult,
    ]
    assert about[2] == ToolCallDecided(1, "pay", "1", True, "approval")


def test_a_person_is_asked_one_thing_at_a_time_in_the_models_order() -> None:
    open_questions = [0]
    order: list[int] = []

    def approve(request: ApprovalRequest) -> bool:
        open_questions[0] += 1
        assert open_questions == [1]
        order.append(request.args["at"])
        open_questions[0] -= 1
        return True

    calls = [call(str(number), "look", at=number) for number in range(5)]
    told(agent(*calls, approval=approve, needs_approval="all"))
    assert order == [0, 1, 2, 3, 4]


# Without a callback: pending calls, their digests, and answers.


def test_a_decision_is_bound_to_the_arguments() -> None:
    run = Simulator().run(agent(call("1", "pay", amount=5)), "go").run
    assert run is not None
    [pending] = run.pending
    assert pending.digest == digest_of(call("1", "pay", amount=5))
    other = PendingCall.of(call("1", "pay", amount=500), "approval")
    with pytest.raises(InvalidInput, match="made for other arguments"):
        run.answer(other, Approved())
    for digest in (other.digest, "", None):  # a client that sends nothing has approved of nothing
        with pytest.raises(InvalidInput, match="made for other arguments"):
            run.answer("1", Approved(), digest=digest)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="made for other arguments"):
        run.answer(pending, Approved(), digest=other.digest)
    run.answer("1", Approved(), digest=pending.digest)
    assert run.pending == ()


def test_a_decision_does_not_open_the_gate_for_other_arguments() -> None:
    """Somebody changes the call in an unsealed dump after it was approved: it is asked about again."""
    target = agent(call("1", "pay", amount=5))
    run = Simulator().run(target, "go").run
    assert run is not None
    run.answer("1", Approved())
    changed = target.load(run.dumps().replace('{"amount":5}', '{"amount":500}'))
    result = Simulator().run(target, changed)
    assert (result.stop_reason, RAN) == ("approval_required", [])


KEYS = st.text(max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def with_args(args: Any) -> ToolCallPart:
    return ToolCallPart(id="1", name="t", args=args)


@given(st.dictionaries(KEYS, JSON), st.dictionaries(KEYS, JSON), st.randoms())
def test_a_digest_is_of_the_arguments_and_not_of_their_order(one: Any, other: Any, random: Any) -> None:
    shuffled = list(one.items())
    random.shuffle(shuffled)
    assert digest_of(with_args(dict(shuffled))) == digest_of(with_args(one))
    are_same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest_of(with_args(one)) == digest_of(with_args(other))) == are_same
    assert digest_of(with_args(one)) != digest_of(with_args(one).model_copy(update={"name": "u"}))


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (Approved(remember=True), [5, 5]),
        (Approved(remember=CallPattern.of("pay")), [5, 5, 7]),
        (Approved(), [5]),
    ],
)
def test_a_remembered_approval_is_not_asked_for_again(first: Decision, then: list[int]) -> None:
    asked: list[int] = []

    def approve(request: ApprovalRequest) -> Decision:
        asked.append(request.args["amount"])
        return first if len(asked) == 1 else Denied()

    calls = call("1", "pay", amount=5), call("2", "pay", amount=5), call("3", "pay", amount=7)
    told(agent(*calls, approval=approve))
    assert then == RAN


def test_a_remembered_denial_goes_before_a_remembered_approval() -> None:
    target = agent(call("1", "pay", amount=5), call("2", "pay", amount=7))
    run = target.start("go")
    run.remember(CallPattern.of("pay"), allowed=True)
    run.remember(CallPattern.of("pay(amount:=7)"), allowed=False, reason="seven is too much")
    result = Simulator().run(target, run)
    first, second = results(result.new_messages)
    assert (first.result, second.is_error, second.result) == ("paid 5", True, "seven is too much")


def test_what_is_remembered_goes_from_run_to_run_and_through_a_dump() -> None:
    first = Simulator().run(agent(call("1", "pay", amount=5)), "go")
    assert first.run is not None
    first.run.answer("1", Approved(remember=CallPattern.of("pay")))
    target = agent(call("1", "pay", amount=5))
    run = target.load(target.load(first.run.dumps()).dumps())
    result = Simulator().run(target, run)
    assert [str(entry.pattern) for entry in result.remembered] == ["pay"]
    again = Simulator().run(
        agent(call("1", "pay", amount=9)), "go", history=result.new_messages, remembered=result.remembered
    )
    assert (again.stop_reason, RAN) == ("stop", [9])


@pytest.mark.parametrize("wrong", [{"pattern": "pay", "allowed": True}, CallPattern.of("pay"), "pay"])
def test_what_is_remembered_is_checked_before_a_model_is_paid(wrong: Any) -> None:
    with pytest.raises(InvalidInput, match=r"remembered\[0\] should be a Remembered"):
        agent().run_sync("go", remembered=[wrong])


# Modes.


def test_a_mode_refuses_before_anybody_is_asked() -> None:
    asked: list[str] = []
    target = agent(
        call("1", "pay", amount=5), call("2", "look", at=1), approval=lambda request: asked.append("")
    )
    first, second = told(target, steering=Steering(mode=PLAN))
    assert first.is_error and "plan" in first.result and (asked, RAN) == ([], [])
    assert second.result == "seen 1"


def test_a_mode_that_approves_is_not_asked_about_and_cannot_overrule_the_policy() -> None:
    easy = Mode("easy", approves=("pay",))
    assert told(agent(call("1", "pay", amount=5)), steering=Steering(mode=easy))[0].result == "paid 5"
    target = agent(call("1", "pay", amount=5), policy=ToolPolicy(deny=["pay"]))
    assert told(target, steering=Steering(mode=easy))[0].is_error and RAN == []


def test_a_gate_that_only_says_no_has_words_all_the_same() -> None:
    class Closed(Mode):
        def gate(self, call: ToolCallPart, tool: Tool | None) -> Any:
            return False

    [only] = told(agent(call("1", "look", at=1)), steering=Steering(mode=Closed("closed")))
    assert only.is_error and only.result == "the mode 'closed' does not allow this call"


def test_what_was_decided_outside_is_told_when_the_run_goes_on() -> None:
    target = agent(call("1", "pay", amount=5), call("2", "pay", amount=6))
    run = Simulator().run(target, "go").run
    assert run is not None
    run.answer("1", Denied(reason="no"))
    run.answer("2", Answered(result="by hand"))
    events = [event for event in events_of(target, run) if getattr(event, "id", None)]
    assert [event for event in events if isinstance(event, ToolCallDecided)] == [
        ToolCallDecided(1, "pay", "1", False, "approval", "no"),
        ToolCallDecided(1, "pay", "2", True, "approval", "answered by somebody else"),
    ]
    assert [event.result for event in events if isinstance(event, ToolCallResult)] == [
        "approval denied: no",
        "by hand",
    ]


def test_steering_is_a_handle() -> None:
    with pytest.raises(InvalidInput, match=r"steering should be a tako.Steering, not str"):
        agent().run_sync("go", steering="left")


# External tools.


def test_an_external_call_is_held_to_the_policy_too() -> None:
    target = agent(call("1", "ask"), policy=ToolPolicy(deny=["ask"]))
    result = Simulator().run(target, "go")
    assert result.stop_reason == "stop" and results(result.new_messages)[0].is_error


@pytest.mark.parametrize("with_callback", [False, True])
def test_an_external_call_waits_for_its_result(with_callback: bool) -> None:
    approval: Callable[[Any], bool] | None = (lambda request: True) if with_callback else None
    result = Simulator().run(agent(call("1", "ask"), call("2", "look", at=1), approval=approval), "go")
    assert result.stop_reason == "result_required"
    assert [(one.call.id, one.waits_for) for one in result.pending] == [("1", "result")]


def test_events_of_a_run_that_pauses_end_with_what_is_pending() -> None:
    events = events_of(agent(call("1", "pay", amount=5)), "go")
    assert kinds(events) == ["step_start", "tool_call_start", "tool_call_pending", "final"]
    assert [one.call.id for one in events[-1].result.pending] == ["1"]
