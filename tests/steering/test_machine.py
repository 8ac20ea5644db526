"""The handle against a simple model: any order of what users and an agent can do, one after the other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tako.cancellation import CancellationToken
from tako.errors import SteeringError
from tako.events import PromptPolicyApplied
from tako.steering import (
    ACCEPT_EDITS,
    DEFAULT,
    PLAN,
    Abort,
    ContinuationGuard,
    InterruptOutcome,
    PromptPolicy,
    Steering,
    TurnEnd,
)
from tests.steering.kit import Agent

INTERRUPTED = InterruptOutcome.INTERRUPTED
FINISHED = InterruptOutcome.ALREADY_FINISHED
UNKNOWN = InterruptOutcome.UNKNOWN
MODES = st.sampled_from([DEFAULT, PLAN, ACCEPT_EDITS])


class Handle(RuleBasedStateMachine):
    """`now` is where the agent is: "idle", "between" two turns, in a "turn", or "closing"."""

    @initialize()
    def start(self) -> None:
        self.steering = Steering()
        self.agent = Agent(self.steering)
        self.now = "idle"
        self.count = 0
        self.named: str | None = None  # the turn that takes messages
        self.stopped = False  # the turn, or the one to come, is interrupted
        self.waiting: list[str] = []
        self.accepted: list[str] = []
        self.past_turns: list[str] = []
        self.calls: dict[str, CancellationToken] = {}
        self.past_calls: set[str] = set()
        self.mode, self.wanted, self.proposed = DEFAULT, None, None
        self.policies: dict[str, PromptPolicy] = {}
        self.guards: dict[str, tuple[str, str, int]] = {}
        self.iterations: dict[str, int] = {}
        self.prompts: dict[str, str] = {}
        self.prompted: list[str] = []
        self.begin_run()
        self.begin_turn()

    def refused(self, code: str, function: Any, *arguments: Any, **keywords: Any) -> None:
        with pytest.raises(SteeringError) as caught:
            function(*arguments, **keywords)
        assert caught.value.code == code

    # The user

    @rule(lock=st.sampled_from(["none", "active", "other"]))
    def queue(self, lock: str) -> None:
        self.count += 1
        text = f"message {self.count}"
        turn_id = {"none": None, "active": self.named, "other": "another"}[lock]
        if self.named is None:
            self.refused("no_active_turn", self.steering.queue, text, turn_id=turn_id)
        elif lock == "other":
            self.refused("turn_mismatch", self.steering.queue, text, turn_id=turn_id)
        else:
            assert self.steering.queue(text, turn_id=turn_id) == self.named
            self.waiting.append(text)
            self.accepted.append(text)

    @rule(data=st.data())
    def interrupt_something(self, data: st.DataObject) -> None:
        what = data.draw(st.sampled_from(["turn", "named turn", "tool"]))
        if what == "turn":
            self.interrupt_turn()
        elif what == "named turn":
            self.interrupt_named_turn(data)
        else:
            self.interrupt_tool(data.draw(st.sampled_from(["a", "b", "c"])))

    def interrupt_turn(self) -> None:
        expected = FINISHED if self.past_turns or self.now == "closing" else UNKNOWN
        if self.now in ("between", "turn") or (self.now == "closing" and self.stopped):
            expected, self.stopped = INTERRUPTED, True
        assert self.steering.interrupt_turn() is expected

    def interrupt_named_turn(self, data: st.DataObject) -> None:
        names = [*self.past_turns, "another", *([] if self.named is None else [self.named])]
        name = data.draw(st.sampled_from(names))
        expected = FINISHED if name in self.past_turns else UNKNOWN
        if self.now == "turn" and name == self.named:
            expected, self.stopped = INTERRUPTED, True
        assert self.steering.interrupt_turn(name) is expected

    def interrupt_tool(self, id: str) -> None:
        expected = INTERRUPTED if id in self.calls else FINISHED if id in self.past_calls else UNKNOWN
        assert self.steering.interrupt_tool(id) is expected
        if id in self.calls:
            assert self.calls[id].is_cancelled
            assert self.stopped or not self.inputs.token.is_cancelled

    @rule(what=st.sampled_from(["set", "propose", "confirm", "reject"]), mode=MODES)
    def change_mode(self, what: str, mode: Any) -> None:
        if what == "set":
            self.set_mode(mode)
        elif what == "propose":
            self.propose(mode)
        else:
            self.answer_proposal(agree=what == "confirm")

    def set_mode(self, mode: Any) -> None:
        self.steering.set_mode(mode)
        self.wanted = mode

    def propose(self, mode: Any) -> None:
        if self.proposed in (None, mode):
            self.steering.propose_mode(mode)
            self.proposed = mode
        else:
            self.refused("mode_pending", self.steering.propose_mode, mode)

    def answer_proposal(self, *, agree: bool) -> None:
        answer = self.steering.confirm_mode if agree else self.steering.reject_mode
        if self.proposed is None:
            self.refused("no_pending_mode", answer)
            return
        assert answer() is self.proposed
        if agree:
            self.wanted = self.proposed
        self.proposed = None

    @rule(
        scope=st.sampled_from(["next_turn", "every_turn", "persistent"]),
        precedence=st.integers(-1, 1),
        when=st.sampled_from([None, True, False, ValueError]),
    )
    def add_policy(self, scope: Any, precedence: int, when: Any) -> None:
        self.count += 1

        def matches(snapshot: Any) -> bool:
            if when is ValueError:
                raise ValueError("no")
            return bool(when)

        name = "matches" if when in (None, True) else "does not"
        policy = PromptPolicy(
            name, f"words {self.count}", scope, precedence, None if when is None else matches
        )
        self.policies[self.steering.add_policy(policy)] = policy

    @rule(data=st.data())
    def remove_something(self, data: st.DataObject) -> None:
        if data.draw(st.booleans()):
            self.remove_policy(data)
        else:
            self.remove_guard(data)

    def remove_policy(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from([*self.policies, "policy-0"]))
        if self.policies.pop(id, None) is None:
            self.refused("not_found", self.steering.remove_policy, id)
        else:
            self.steering.remove_policy(id)

    @rule(
        decision=st.sampled_from(["continue", "continue", "continue", "stop", "abort", "raise"]),
        trigger=st.sampled_from(["finish", "turn_end"]),
        bound=st.integers(1, 2),
    )
    def add_guard(self, decision: Any, trigger: Any, bound: int) -> None:
        def decide(snapshot: Any) -> Any:
            if decision == "raise":
                raise KeyError("no")
            return Abort("enough") if decision == "abort" else decision

        self.count += 1
        id = self.steering.add_guard(ContinuationGuard("guard", f"go {self.count}", decide, bound, trigger))
        self.guards[id] = (decision, trigger, bound)
        self.prompts[id] = f"go {self.count}"

    def remove_guard(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from([*self.guards, "guard-0"]))
        if self.guards.pop(id, None) is None:
            self.refused("not_found", self.steering.remove_guard, id)
        else:
            self.steering.remove_guard(id)

    # The agent

    @rule(finishing=st.lists(st.booleans(), min_size=1, max_size=3))
    def go_on(self, finishing: list[bool]) -> None:
        self.pass_boundaries(finishing)

    @rule(finishing=st.lists(st.booleans(), min_size=4, max_size=10))
    def go_far(self, finishing: list[bool]) -> None:
        self.pass_boundaries(finishing)

    def pass_boundaries(self, finishing: list[bool]) -> None:
        """Some boundaries in a row: most of what can go wrong takes several turns."""
        for flag in finishing:
            if self.now == "idle":
                self.begin_run()
            elif self.now == "between":
                self.begin_turn()
            elif self.now == "turn" and self.stopped and flag:
                self.interrupted_turn()
            elif self.now == "turn":
                self.end_turn(flag)
            else:
                self.end_run()

    def begin_run(self) -> None:
        self.agent = Agent(self.steering).begin_run()
        self.now, self.stopped, self.accepted, self.iterations = "between", False, [], {}
        self.prompted = []
        self.told = 0  # of how many messages the events have said that they are delivered

    def begin_turn(self) -> None:
        self.stopped = self.stopped and not self.waiting
        self.count += 1
        self.agent.step = self.count - 1
        inputs = self.inputs = self.agent.begin_turn()
        self.now, self.named = "turn", f"turn-{self.count}"
        assert inputs.token.is_cancelled is self.stopped
        if self.stopped:
            assert (inputs.messages, inputs.instructions, inputs.mode) == ((), (), self.mode)
            return
        assert [message.text for message in inputs.messages] == self.waiting
        self.waiting = []
        self.told = len(self.agent.delivered)
        self.mode, self.wanted = self.wanted or self.mode, None
        assert inputs.mode is self.mode
        applied = sorted(
            [(id, policy) for id, policy in self.policies.items() if policy.name == "matches"],
            key=lambda entry: -entry[1].precedence,
        )
        addendum = [self.mode.instructions] if self.mode.instructions else []
        assert [*inputs.instructions] == addendum + [policy.content for _, policy in applied]
        told = [event.id for event in inputs.events if type(event) is PromptPolicyApplied]
        assert told == [id for id, _ in applied]
        for id, policy in applied:
            if policy.scope == "next_turn":
                del self.policies[id]

    @precondition(lambda self: self.now == "turn")
    @rule(ids=st.sets(st.sampled_from(["a", "b", "c"]), min_size=1))
    def watch(self, ids: set[str]) -> None:
        new = sorted(ids - set(self.calls))
        self.calls.update(self.agent.run.watch_calls(new))

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def call_ended(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.calls)))
        self.agent.run.call_ended(id)
        del self.calls[id]
        self.past_calls.add(id)

    def end_turn(self, finishing: bool) -> None:
        messages, abort = ([], None) if self.stopped else self.guarded(finishing)
        end = self.agent.end_turn(finishing)
        assert end.abort == abort
        if abort is not None:
            assert end.messages == ()
            self.close()
        elif finishing:
            self.went_on_or_closed(end, messages, heeded=self.stopped)
        else:
            assert [message.text for message in end.messages] == messages
            self.turn_over()

    def guarded(self, finishing: bool) -> tuple[list[str], str | None]:
        """The prompts of the guards that go on, or the reason of the abort."""
        asked = [
            id
            for id, (_, trigger, _) in self.guards.items()
            if trigger == "turn_end" or (finishing and not self.waiting)
        ]
        if any(self.guards[id][0] == "abort" for id in asked):
            return [], "enough"
        continuing = [
            id
            for id in asked
            if self.guards[id][0] == "continue" and self.iterations.get(id, 0) < self.guards[id][2]
        ]
        for id in continuing:
            self.iterations[id] = self.iterations.get(id, 0) + 1
        prompts = [self.prompts[id] for id in continuing]
        self.prompted += prompts
        return prompts, None

    def interrupted_turn(self) -> None:
        self.went_on_or_closed(self.agent.interrupted_turn(), [], heeded=True)

    def went_on_or_closed(self, end: TurnEnd, prompts: list[str], *, heeded: bool) -> None:
        assert [message.text for message in end.messages] == prompts + self.waiting
        self.waiting = []
        if end.messages:
            self.turn_over()
            self.stopped = self.stopped and not heeded
        else:
            self.close()

    def turn_over(self) -> None:
        assert self.named is not None
        self.now = "between"
        self.past_turns.append(self.named)
        self.past_calls |= set(self.calls)
        self.calls = {}

    def close(self) -> None:
        assert self.named is not None
        self.now, self.closing, self.named = "closing", self.named, None

    def end_run(self) -> None:
        assert self.agent.end_run()[-len(self.waiting) :] == self.waiting or not self.waiting
        self.waiting = []
        if self.now == "idle":
            return
        texts = [text for text in self.agent.delivered if text not in self.prompted]
        assert texts + self.agent.undelivered == self.accepted
        assert self.agent.told() == self.agent.delivered[: self.told]
        if self.now == "turn" or self.now == "closing":
            self.past_turns.append(self.named or self.closing)
        self.past_calls |= set(self.calls)
        self.calls = {}
        self.now, self.named, self.stopped = "idle", None, False
        self.policies = {id: one for id, one in self.policies.items() if one.scope == "persistent"}
        assert self.agent.end_run() == self.agent.undelivered

    @rule(how=st.sampled_from(["not", "not", "end", "interrupt"]))
    def stop(self, how: str) -> None:
        """End the run where it is, as a limit or a failure does; now and then, or nothing gets far."""
        if how == "end":
            self.end_run()
        elif how == "interrupt":
            self.interrupt()

    def interrupt(self) -> None:
        """The whole run: its own token, and no turn's."""
        if self.now == "idle":
            assert self.steering.interrupt() is (FINISHED if self.past_turns else UNKNOWN)
            return
        assert self.steering.interrupt() is INTERRUPTED
        assert self.agent.cancel.is_cancelled
        self.end_run()

    @invariant()
    def reads_true(self) -> None:
        if not hasattr(self, "steering"):
            return
        assert self.steering.is_active is (self.now != "idle")
        assert self.steering.turn_id == self.named
        assert self.steering.mode is self.mode
        assert self.steering.pending_mode is self.proposed
        assert self.agent.cancel.is_cancelled <= (self.now == "idle")


TestHandle = Handle.TestCase
TestHandle.settings = settings(stateful_step_count=40, deadline=None)
