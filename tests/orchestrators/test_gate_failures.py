"""Rules that fail, and rules that change while a batch is under way: the gate stays shut."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tako.effects import Gather
from tako.errors import InvalidInput, ProviderError
from tako.events import ToolCallDecided, ToolCallPending, ToolCallResult
from tako.models import ToolCallPart
from tako.orchestrators.approval import ApprovalRequest
from tako.orchestrators.decisions import Approved, Decision, Denied, PendingCall, Remembered
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.fake import Fake
from tako.steering import Mode, Steering
from tako.testing.faults import Faults
from tako.testing.simulator import Simulator
from tako.tools import CallPattern, Tool, ToolPolicy, tool
from tests.orchestrators.kit import call, events_of, results

RAN: list[Any] = []


@tool
def change(to: int) -> str:
    RAN.append(to)
    return f"changed to {to}"


@tool(approval=True)
def pay(amount: int) -> str:
    RAN.append(amount)
    return f"paid {amount}"


def agent(*calls: ToolCallPart, **options: Any) -> SingleAgent[None]:
    RAN.clear()
    return SingleAgent(Fake(script=[list(calls), "done"]), tools=[change, pay], **options)


def told(target: SingleAgent[Any], **options: Any) -> list[ToolCallResult]:
    return [event for event in events_of(target, "go", **options) if isinstance(event, ToolCallResult)]


class Unspeakable(Exception):
    """It cannot even be told."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


FAILURES = (KeyError("rules"), ProviderError("no rules"), OSError("caf\udce9"), Unspeakable())


class Broken:
    """Somebody's rule with a mistake in it."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, *arguments: object) -> Any:
        raise self.error


class BrokenPolicy(ToolPolicy):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.refusal = Broken(error)  # type: ignore[assignment,method-assign]


class BrokenMode(Mode):
    def gate(self, call: ToolCallPart, tool: Tool | None) -> Any:
        raise FAILURES[int(self.instructions)]


@pytest.mark.parametrize("number", range(len(FAILURES)))
@pytest.mark.parametrize("rule", ["policy", "needs_approval", "approval", "mode"])
@pytest.mark.parametrize("side_by_side", [False, True])
def test_a_rule_that_fails_refuses_the_call_and_not_the_run(
    rule: str, number: int, side_by_side: bool
) -> None:
    broken = Broken(FAILURES[number])
    rules: dict[str, Any] = {
        "policy": BrokenPolicy(FAILURES[number]),
        "needs_approval": broken,
        "approval": broken,
    }
    options = {rule: rules[rule]} if rule in rules else {}
    steering = Steering(mode=BrokenMode("strange", instructions=str(number))) if rule == "mode" else None
    calls = [call("1", "pay", amount=1), call("2", "pay", amount=2)][: 1 + side_by_side]
    answers = results(agent(*calls, **options).run_sync("go", steering=steering).new_messages)
    assert [answer.id for answer in answers] == [one.id for one in calls]
    assert all(answer.is_error and "failed" in answer.result for answer in answers) and RAN == []


def test_a_predicate_that_has_to_be_awaited_is_refused_when_the_agent_is_made() -> None:
    async def needs(asked: ToolCallPart, one: Tool) -> bool:
        return False

    with pytest.raises(InvalidInput, match="needs_approval should be a plain function"):
        agent(needs_approval=needs)


def test_it_is_told_who_let_a_call_pass() -> None:
    easy = Mode("easy", approves=("pay",))
    remembered = [Remembered(pattern=CallPattern.of("pay"), allowed=True)]
    for by, options in (
        ("mode", {"steering": Steering(mode=easy)}),
        ("remembered", {"remembered": remembered}),
    ):
        events = events_of(agent(call("1", "pay", amount=5)), "go", **options)
        [decided] = [event for event in events if isinstance(event, ToolCallDecided)]
        assert decided == ToolCallDecided(1, "pay", "1", True, by) and RAN == [5]


def test_a_denial_that_is_remembered_holds_for_the_rest_of_the_batch() -> None:
    def approve(request: ApprovalRequest) -> Decision:
        return Denied(reason="hands off", remember=CallPattern.of("change"))

    first, second = told(agent(call("1", "pay", amount=5), call("2", "change", to=1), approval=approve))
    assert first.is_error and (second.result, second.is_error) == ("hands off", True)
    assert RAN == []


def test_a_denial_that_is_remembered_is_read_as_what_denies() -> None:
    """With a glob it touches more than an approval with the same glob would let pass."""
    ran: list[str] = []

    @tool
    def shell(command: str) -> None:
        ran.append(command)

    for allowed, needs in ((False, "marked"), (True, "all")):
        remembered = [Remembered(pattern=CallPattern.of("shell(command=git *)"), allowed=allowed)]
        model = Fake(script=[call("1", "shell", command="git log; rm -rf ~"), "done"])
        target = SingleAgent(model, tools=[shell], needs_approval=needs)
        result = Simulator().run(target, "go", remembered=remembered)
        assert results(result.new_messages)[0].is_error and ran == []


def test_what_is_remembered_of_edited_arguments_is_what_was_approved() -> None:
    asked: list[int] = []

    def approve(request: ApprovalRequest) -> Decision:
        asked.append(request.args["amount"])
        return Approved(args={"amount": 5}, remember=True)

    calls = call("1", "pay", amount=1000), call("2", "pay", amount=1000), call("3", "pay", amount=5)
    told(agent(*calls, approval=approve))
    assert (asked, RAN) == ([1000, 1000], [5, 5, 5])


def test_a_call_that_no_pattern_can_say_is_asked_about_again() -> None:
    asked: list[str] = []

    @tool(approval=True)
    def weigh(weight: float) -> None:
        pass

    def approve(request: ApprovalRequest) -> Decision:
        asked.append(request.call.id)
        return Approved(remember=True)

    calls = [call("1", "weigh", weight=float("nan")), call("2", "weigh", weight=float("nan"))]
    target = SingleAgent(Fake(script=[calls, "done"]), tools=[weigh], approval=approve)
    result = Simulator().run(target, "go")
    assert (asked, result.remembered, result.stop_reason) == (["1", "2"], (), "stop")


@pytest.mark.parametrize("seed", range(5))
def test_a_call_is_planned_as_it_was_approved(seed: int) -> None:
    """What it was before would be refused by now, and refused calls stand beside any other."""
    log: list[str] = []

    @tool
    def spend(amount: int) -> Iterator[None]:
        log.append(f"spending {amount}")
        yield
        log.append("spent")

    @tool(read_only=True)
    def see() -> None:
        log.append("seen")

    model = Fake(script=[[call("1", "spend", amount=1000), call("2", "see")], "done"])
    run = Simulator().run(SingleAgent(model, tools=[spend, see], needs_approval="all"), "go").run
    assert run is not None
    run.answer("1", Approved(args={"amount": 5}))
    run.answer("2", Approved())
    stricter = SingleAgent(model, tools=[spend, see], policy=ToolPolicy(deny=["spend(amount:=1000)"]))
    Simulator(seed).run(stricter, run)
    assert log == ["spending 5", "spent", "seen"]


def test_a_refused_call_does_not_stand_between_others() -> None:
    @tool(read_only=True)
    def see() -> str:
        return "seen"

    model = Fake(script=[[call("1", "see"), call("2", "change", to=1), call("3", "see")], "done"])
    simulator = Simulator()
    simulator.run(SingleAgent(model, tools=[see, change], policy=ToolPolicy(deny=["change"])), "go")
    assert [len(one.effect.flows) for one in simulator.trace if isinstance(one.effect, Gather)] == [3]


def test_a_pending_call_that_shows_other_arguments_is_not_the_one_that_waits() -> None:
    run = Simulator().run(agent(call("1", "pay", amount=5000)), "go").run
    assert run is not None
    shown = PendingCall(call=call("1", "pay", amount=5), waits_for="approval")
    with pytest.raises(InvalidInput, match="made for other arguments"):
        run.answer(shown, Approved())
    with pytest.raises(InvalidInput, match="made for other arguments"):
        run.answer("1", Approved(), digest="")
    assert run.pending


def test_a_call_that_has_its_result_is_not_asked_about_again() -> None:
    """A predicate may change its mind; what is done is done."""
    times: list[str] = []

    def needs(asked: ToolCallPart, one: Tool) -> bool:
        times.append(asked.id)
        return asked.id == "2" or times.count("1") > 2

    target = agent(call("1", "change", to=1), call("2", "pay", amount=5), needs_approval=needs)
    result = Simulator().run(target, "go")
    assert [pending.call.id for pending in result.pending] == ["2"]
    assert results(result.new_messages)[0].result == "changed to 1"


def test_edited_arguments_that_are_no_json_are_refused() -> None:
    with pytest.raises(InvalidInput, match="should be JSON"):
        Approved(args={"amount": object()})


def test_a_call_that_the_user_takes_back_while_somebody_is_asked_is_refused() -> None:
    steering = Steering()
    asked: list[str] = []

    def approve(request: ApprovalRequest) -> bool:
        asked.append(request.call.id)
        return True

    # A second for the handle at the run, the turn and the calls each; the fourth is the callback's.
    faults = Faults(call_seconds=1.0, cancel_at=3.5, instead=lambda: steering.interrupt_tool("1"))
    simulator = Simulator(faults=faults)
    result = simulator.run(agent(call("1", "pay", amount=5), approval=approve), "go", steering=steering)
    [answer] = results(result.new_messages)
    assert answer.result == "cancelled while it waited for approval: the user interrupted this call"
    assert (asked, RAN, result.stop_reason) == (["1"], [], "stop")


def test_a_tool_that_is_not_there_is_told_of_as_one_that_changes_something() -> None:
    events = events_of(agent(call("1", "nowhere")), "go")
    assert [event.tool_class for event in events if isinstance(event, ToolCallPending)] == ["mutating"]
