"""The handle, case by case: messages, interrupts, modes, and the life of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tako.errors import InvalidInput, SteeringError
from tako.events import MessageDelivered, MessageQueued, ModeChanged, ModeProposed, TurnInterrupted
from tako.models import Message
from tako.parts import ContentPart, TextPart
from tako.steering import (
    ACCEPT_EDITS,
    DEFAULT,
    PLAN,
    Abort,
    ContinuationGuard,
    InterruptOutcome,
    Mode,
    PromptPolicy,
    Snapshot,
    Steering,
)
from tako.steering.inbox import QUEUE_LIMIT
from tako.steering.session import NOTICE_LIMIT
from tests.steering.kit import Agent, kinds

IMAGE = ContentPart.image(b"\x89PNG\r\n\x1a\n")


def running(**options: Any) -> Agent:
    agent = Agent(Steering(**options)).begin_run()
    agent.begin_turn()
    return agent


def code_of(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> str | None:
    with pytest.raises(SteeringError) as caught:
        function(*arguments, **keywords)
    return caught.value.code


class TestMessages:
    def test_G01_a_message_comes_with_the_next_request_and_not_before(self) -> None:
        agent = running()
        assert agent.steering.queue("look here") == "turn-1"
        agent.run.watch_calls(["c"])
        agent.run.call_ended("c")
        assert agent.end_turn(finishing=False).messages == ()
        inputs = agent.begin_turn()
        assert inputs.messages == (Message.user("look here"),)
        assert inputs.events == (
            MessageQueued("turn-1", Message.user("look here")),
            MessageDelivered(2, Message.user("look here")),
        )

    @pytest.mark.parametrize("content", ["", " \n", [], [TextPart(text="")]])
    def test_G05_an_empty_message_is_told_first(self, content: Any) -> None:
        assert code_of(Steering().queue, content) == "empty"

    @pytest.mark.parametrize("content", [[IMAGE], [TextPart(text=""), IMAGE], Message.user([IMAGE])])
    def test_G05_then_what_is_not_text(self, content: Any) -> None:
        assert code_of(Steering().queue, content) == "not_text"

    def test_G05_then_that_no_turn_is_active_and_then_which_it_is(self) -> None:
        steering = Steering()
        agent = Agent(steering)
        assert code_of(steering.queue, "hi", turn_id="turn-9") == "no_active_turn"
        agent.begin_run()
        assert code_of(steering.queue, "hi", turn_id="turn-9") == "no_active_turn"
        agent.begin_turn()
        with pytest.raises(SteeringError, match=r"'turn-9' was expected.*'turn-1' is active") as caught:
            steering.queue("hi", turn_id="turn-9")
        assert caught.value.code == "turn_mismatch"
        assert steering.queue("hi", turn_id="turn-1") == "turn-1"
        agent.end_turn(finishing=True)
        agent.begin_turn()
        agent.end_turn(finishing=True)
        assert steering.turn_id is None
        assert code_of(steering.queue, "too late", turn_id="turn-2") == "no_active_turn"
        assert agent.end_run() == []

    @pytest.mark.parametrize("content", [7, b"bytes", [7], Message.assistant("I say")])
    def test_what_is_no_message_of_a_user_is_invalid(self, content: Any) -> None:
        with pytest.raises(InvalidInput):
            running().steering.queue(content)

    def test_parts_and_messages_are_as_good_as_text(self) -> None:
        agent = running()
        agent.steering.queue(iter([TextPart(text="one"), TextPart(text="two")]))
        agent.steering.queue(Message.user("three"))
        agent.end_turn()
        agent.begin_turn()
        assert agent.delivered == ["onetwo", "three"]

    def test_what_waits_is_delivered_before_the_run_may_finish(self) -> None:
        agent = running()
        agent.steering.queue("wait")
        assert [message.text for message in agent.end_turn(finishing=True).messages] == ["wait"]
        assert agent.steering.turn_id == "turn-1"
        agent.steering.queue("and this")
        assert agent.begin_turn().messages == (Message.user("and this"),)
        assert agent.told() == ["wait", "and this"]
        assert kinds(agent.events) == ["message_queued"] * 2 + ["message_delivered"] * 2

    def test_the_queue_has_a_limit(self) -> None:
        agent = running()
        for index in range(QUEUE_LIMIT):
            agent.steering.queue(str(index))
        assert code_of(agent.steering.queue, "one more") == "queue_full"
        assert agent.end_run() == [str(index) for index in range(QUEUE_LIMIT)]

    def test_what_is_not_delivered_is_given_back_once(self) -> None:
        agent = running()
        agent.steering.queue("for nobody")
        assert agent.run.end() == (Message.user("for nobody"),)
        assert agent.run.end() == ()


class TestInterrupts:
    def test_G03_one_call_is_stopped_and_the_others_go_on(self) -> None:
        agent = running()
        steering = agent.steering
        tokens = agent.run.watch_calls(["a", "b"])
        assert steering.interrupt_tool("a") is InterruptOutcome.INTERRUPTED
        assert steering.interrupt_tool("a") is InterruptOutcome.INTERRUPTED
        assert (tokens["a"].is_cancelled, tokens["b"].is_cancelled) == (True, False)
        agent.run.call_ended("a")
        assert steering.interrupt_tool("a") is InterruptOutcome.ALREADY_FINISHED
        assert steering.interrupt_tool("z") is InterruptOutcome.UNKNOWN
        agent.run.call_ended("z")
        assert steering.interrupt_tool("z") is InterruptOutcome.UNKNOWN

    def test_an_id_that_a_vendor_uses_again_is_another_call(self) -> None:
        agent = running()
        agent.run.watch_calls(["call_0"])
        agent.end_turn()
        assert agent.steering.interrupt_tool("call_0") is InterruptOutcome.ALREADY_FINISHED
        agent.begin_turn()
        token = agent.run.watch_calls(["call_0"])["call_0"]
        assert agent.steering.interrupt_tool("call_0") is InterruptOutcome.INTERRUPTED
        assert token.is_cancelled

    def test_a_turn_stops_and_the_run_goes_on_with_what_is_queued(self) -> None:
        agent = Agent(Steering()).begin_run()
        turn = agent.begin_turn().token
        call = agent.run.watch_calls(["a"])["a"]
        agent.steering.queue("do that instead")
        assert agent.steering.interrupt_turn("turn-1") is InterruptOutcome.INTERRUPTED
        assert (turn.is_cancelled, call.is_cancelled, agent.cancel.is_cancelled) == (True, False, False)
        assert agent.interrupted_turn().messages == (Message.user("do that instead"),)
        assert agent.steering.interrupt_turn("turn-1") is InterruptOutcome.ALREADY_FINISHED
        assert not agent.begin_turn().token.is_cancelled
        assert agent.steering.interrupt_turn("turn-3") is InterruptOutcome.UNKNOWN

    def test_after_an_interrupted_turn_with_nothing_queued_the_run_takes_no_more(self) -> None:
        agent = running()
        agent.steering.interrupt_turn()
        assert agent.interrupted_turn().messages == ()
        assert code_of(agent.steering.queue, "late") == "no_active_turn"

    @pytest.mark.parametrize("when", ["in the turn", "between the turns"])
    def test_an_interrupt_that_comes_too_late_for_its_turn_stops_the_next(self, when: str) -> None:
        agent = running()
        agent.steering.add_policy(PromptPolicy("once", "ONCE", scope="next_turn"))
        if when == "in the turn":
            assert agent.steering.interrupt_turn() is InterruptOutcome.INTERRUPTED
        agent.end_turn()
        if when == "between the turns":
            assert agent.steering.interrupt_turn() is InterruptOutcome.INTERRUPTED
        inputs = agent.begin_turn()
        assert inputs.token.is_cancelled
        assert inputs.instructions == ()
        agent.steering.queue("go on")
        assert agent.interrupted_turn().messages == (Message.user("go on"),)
        inputs = agent.begin_turn()
        assert not inputs.token.is_cancelled
        assert inputs.instructions == ("ONCE",)

    def test_an_interrupt_too_late_is_dropped_for_a_message_that_waits(self) -> None:
        agent = running()
        agent.steering.interrupt_turn()
        agent.steering.queue("go on")
        agent.end_turn()
        inputs = agent.begin_turn()
        assert inputs.messages == (Message.user("go on"),)
        assert not inputs.token.is_cancelled
        assert [event for event in inputs.events if type(event) is TurnInterrupted] == [
            TurnInterrupted(1, "turn-1")
        ]
        agent.end_turn()
        assert not any(type(event) is TurnInterrupted for event in agent.begin_turn().events)

    def test_an_interrupt_overrules_the_guards(self) -> None:
        """Also one that comes while they are asked; and what they wanted is not counted."""
        agent = running()
        stop = [True]

        def decide(snapshot: Snapshot) -> Any:
            if stop:
                agent.steering.interrupt_turn()
            return "continue"

        agent.steering.add_guard(ContinuationGuard("guard", "go on", decide, max_iterations=1))
        assert agent.end_turn(finishing=True).messages == ()
        assert agent.steering.turn_id is None
        agent.end_run()
        stop.clear()
        agent = Agent(agent.steering).begin_run()
        agent.begin_turn()
        assert agent.end_turn(finishing=True).messages == (Message.user("go on"),)

    def test_the_whole_run(self) -> None:
        steering = Steering()
        assert steering.interrupt() is InterruptOutcome.UNKNOWN
        assert steering.interrupt_turn() is InterruptOutcome.UNKNOWN
        agent = Agent(steering).begin_run()
        turn = agent.begin_turn().token
        assert steering.interrupt() is InterruptOutcome.INTERRUPTED
        assert agent.cancel.is_cancelled
        assert not turn.is_cancelled  # it falls with the run, in which the agent performs it
        agent.end_run()
        assert steering.interrupt() is InterruptOutcome.ALREADY_FINISHED
        assert steering.interrupt_turn() is InterruptOutcome.ALREADY_FINISHED


class TestLife:
    def test_one_run_at_a_time_and_then_another(self) -> None:
        agent = running()
        assert code_of(agent.steering.new_run().begin, "second") == "busy"
        agent.end_run()
        assert not agent.steering.is_active
        Agent(agent.steering).begin_run()
        assert agent.steering.is_active

    def test_a_closed_session_stops_and_refuses(self) -> None:
        agent = running()
        agent.steering.close()
        assert agent.cancel.is_cancelled
        agent.end_run()
        assert code_of(agent.steering.new_run().begin, "again") == "closed"
        assert not agent.steering.is_active

    def test_G09_the_turn_that_is_active_can_be_asked_for(self) -> None:
        steering = Steering()
        agent = Agent(steering)
        assert steering.turn_id is None
        agent.begin_run()
        assert steering.turn_id is None
        agent.begin_turn()
        assert steering.turn_id == "turn-1"
        agent.end_run()
        assert steering.turn_id is None

    def test_a_run_that_has_ended_does_nothing_more_to_the_handle(self) -> None:
        agent = running()
        agent.end_run()
        following = Agent(agent.steering).begin_run()
        following.begin_turn()
        agent.steering.queue("for the next run")
        agent.steering.add_policy(PromptPolicy("words", "WORDS"))
        ended = agent.run
        assert code_of(ended.begin, "run") == "no_active_run"
        assert code_of(ended.begin_turn, "t", 1, Snapshot()) == "no_active_run"
        assert code_of(ended.resume_turn, "t", 1) == "no_active_run"
        assert code_of(ended.end_turn, Snapshot(), False) == "no_active_run"
        assert code_of(ended.interrupted_turn) == "no_active_run"
        assert code_of(ended.watch_calls, ["a"]) == "no_active_run"
        ended.call_ended("a")
        ended.delivered()
        assert ended.end() == ()
        inputs = following.begin_turn()
        assert (inputs.messages, inputs.instructions) == ((Message.user("for the next run"),), ("WORDS",))

    def test_a_run_that_was_refused_takes_nothing_from_the_one_that_is_on(self) -> None:
        agent = running()
        agent.steering.add_policy(PromptPolicy("words", "WORDS"))
        refused = agent.steering.new_run()
        assert code_of(refused.begin, "second") == "busy"
        assert refused.end() == ()
        assert agent.steering.is_active
        assert agent.begin_turn().instructions == ("WORDS",)

    def test_what_was_handed_out_and_has_not_arrived_is_given_back(self) -> None:
        """The flow was cancelled, and the reply of its effect was lost."""
        agent = running()
        for text in ("one", "two"):
            agent.steering.queue(text)
        assert len(agent.run.end_turn(Snapshot(), True).messages) == 2
        agent.steering.queue("three")
        assert agent.end_run() == ["one", "two", "three"]

    def test_a_turn_in_which_the_run_was_paused_goes_on_without_what_waits(self) -> None:
        agent = Agent(Steering(mode="plan")).begin_run()
        agent.steering.set_mode("default")
        agent.steering.add_policy(PromptPolicy("once", "ONCE", scope="next_turn"))
        inputs = agent.run.resume_turn("turn-7", 7)
        assert (inputs.messages, inputs.instructions, inputs.mode) == ((), (), DEFAULT)
        assert kinds(inputs.events) == ["prompt_policy_installed", "mode_changed"]
        agent.steering.queue("wait", turn_id="turn-7")
        assert agent.steering.interrupt_turn() is InterruptOutcome.INTERRUPTED
        assert inputs.token.is_cancelled
        assert agent.interrupted_turn().messages == (Message.user("wait"),)
        assert agent.begin_turn().instructions == ("ONCE",)

    def test_a_turn_that_begins_ends_the_one_before(self) -> None:
        agent = Agent(Steering()).begin_run()
        first = agent.begin_turn().token
        call = agent.run.watch_calls(["a"])["a"]
        agent.begin_turn()
        assert agent.steering.interrupt_tool("a") is InterruptOutcome.ALREADY_FINISHED
        assert agent.steering.interrupt_turn("turn-1") is InterruptOutcome.ALREADY_FINISHED
        assert (first.is_cancelled, call.is_cancelled) == (False, False)

    def test_what_nobody_was_told_is_bounded(self) -> None:
        steering = Steering()
        for _ in range(NOTICE_LIMIT):
            steering.remove_policy(steering.add_policy(PromptPolicy("a", "b")))
        assert len(Agent(steering).begin_run().begin_turn().events) == NOTICE_LIMIT

    def test_a_callback_may_use_the_handle_that_asks_it(self) -> None:
        """`when` and `decide` queue, install, remove and interrupt; each counts from where it came in."""
        agent = Agent(Steering()).begin_run()
        steering = agent.steering
        ids: list[str] = []

        def when(snapshot: Snapshot) -> bool:
            if steering.turn_id == "turn-2":
                steering.queue("from when")
                steering.remove_policy(ids.pop())
                ids.append(steering.add_policy(PromptPolicy("later", "LATER")))
            return True

        def decide(snapshot: Snapshot) -> Any:
            steering.queue("from decide")
            steering.remove_guard(guard)
            return "stop"

        agent.begin_turn()
        agent.end_turn()
        ids.append(steering.add_policy(PromptPolicy("asked", "ASKED", when=when)))
        assert agent.begin_turn().instructions == ("ASKED",)
        assert agent.delivered == ["from when"]
        guard = steering.add_guard(ContinuationGuard("guard", "more", decide, max_iterations=1))
        assert agent.end_turn(finishing=True).messages == (Message.user("from decide"),)
        assert agent.begin_turn().instructions == ("LATER",)
        assert agent.end_turn(finishing=True).messages == ()

    def test_a_callback_may_interrupt_the_run(self) -> None:
        agent = running()

        def decide(snapshot: Snapshot) -> Any:
            agent.steering.interrupt()
            return Abort("I have stopped it")

        agent.steering.add_guard(ContinuationGuard("guard", "more", decide, max_iterations=1))
        assert agent.end_turn(finishing=True).abort == "I have stopped it"
        assert agent.cancel.is_cancelled

    def test_its_repr_says_what_is_in_force(self) -> None:
        assert repr(Steering(mode="plan")) == "<Steering plan, no run>"
        assert repr(running().steering) == "<Steering default, active>"

    def test_what_is_no_bridge_is_invalid(self) -> None:
        with pytest.raises(InvalidInput, match="ask should be a function"):
            Steering(ask="me")  # type: ignore[arg-type]


class TestModes:
    def test_the_operators_word_counts_from_the_next_request(self) -> None:
        agent = running()
        agent.steering.set_mode("plan")
        assert agent.steering.mode is DEFAULT
        agent.end_turn()
        inputs = agent.begin_turn()
        assert inputs.mode is agent.steering.mode is PLAN
        assert inputs.instructions == (PLAN.instructions,)
        assert inputs.events == (ModeChanged(2, "default", "plan", "operator"),)

    def test_the_last_word_counts_and_no_change_is_no_event(self) -> None:
        agent = running()
        agent.steering.set_mode("plan")
        agent.steering.set_mode(DEFAULT)
        agent.end_turn()
        assert agent.begin_turn().events == ()

    def test_a_proposal_waits_for_the_operator(self) -> None:
        agent = running()
        steering = agent.steering
        steering.propose_mode("accept_edits")
        steering.propose_mode(ACCEPT_EDITS)
        assert steering.pending_mode is ACCEPT_EDITS
        assert code_of(steering.propose_mode, "plan") == "mode_pending"
        agent.end_turn()
        inputs = agent.begin_turn()
        assert inputs.mode is DEFAULT
        assert agent.events == [ModeProposed("accept-edits", "agent")]
        assert steering.confirm_mode() is ACCEPT_EDITS
        assert steering.pending_mode is None
        agent.end_turn()
        inputs = agent.begin_turn()
        assert inputs.mode is ACCEPT_EDITS
        assert inputs.events == (ModeChanged(3, "default", "accept-edits", "agent"),)

    def test_a_rejected_proposal_changes_nothing(self) -> None:
        agent = running()
        agent.steering.propose_mode(PLAN)
        agent.steering.reject_mode()
        assert code_of(agent.steering.reject_mode) == "no_pending_mode"
        assert code_of(agent.steering.confirm_mode) == "no_pending_mode"
        agent.end_turn()
        assert agent.begin_turn().mode is DEFAULT

    def test_mode_and_proposal_outlive_the_run(self) -> None:
        agent = running(mode="plan")
        agent.steering.propose_mode(DEFAULT)
        agent.end_run()
        assert agent.steering.mode is PLAN
        agent.steering.confirm_mode()
        assert Agent(agent.steering).begin_run().begin_turn().mode is DEFAULT

    def test_the_modes_words_stand_before_the_policies(self) -> None:
        agent = running(mode=Mode("careful", instructions="Be careful."))
        agent.steering.add_policy(PromptPolicy("first", "First of all.", precedence=100))
        agent.end_turn()
        assert agent.begin_turn().instructions == ("Be careful.", "First of all.")
