"""Steering without locks: an intruder at every opcode, and threads that hammer.

The intruder is what a signal handler or another thread does at the worst of moments. One side is run
opcode by opcode, and at each of them, one run after the other, the whole of the other side.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tako.errors import SteeringError
from tako.models import Message
from tako.steering import PLAN, ContinuationGuard, InterruptOutcome, PromptPolicy, Snapshot, Steering
from tako.steering.inbox import Inbox
from tests.steering.kit import Agent, disturbed


class User:
    """Queues messages and keeps what was said of each."""

    def __init__(self, steering: Steering) -> None:
        self.steering = steering
        self.accepted: list[str] = []
        self.refused: list[str] = []

    def queue(self, text: str, turn_id: str | None = None) -> None:
        try:
            self.steering.queue(text, turn_id=turn_id)
        except SteeringError:
            self.refused.append(text)
        else:
            self.accepted.append(text)


def running() -> tuple[Agent, User]:
    steering = Steering()
    agent = Agent(steering).begin_run()
    agent.begin_turn()
    return agent, User(steering)


AGENT: dict[str, Callable[[Agent], Any]] = {
    "end_turn": lambda agent: agent.end_turn(),
    "finish": lambda agent: agent.end_turn(finishing=True),
    "interrupted_turn": lambda agent: agent.interrupted_turn(),
    "begin_turn": lambda agent: agent.begin_turn(),
    "end_run": lambda agent: agent.end_run(),
}


def account(agent: Agent, user: User) -> None:
    """Nothing accepted is lost, nothing refused is delivered, nothing comes twice."""
    agent.end_run()
    given = agent.delivered + agent.undelivered
    assert sorted(given) == sorted(user.accepted)
    assert not set(given) & set(user.refused)


@pytest.mark.parametrize("name", AGENT)
@pytest.mark.parametrize(("lock", "waiting"), [(None, 0), ("turn-1", 1)])
def test_the_agent_is_interrupted_by_a_message_at_every_opcode(
    name: str, lock: str | None, waiting: int
) -> None:
    for place in range(2000):
        agent, user = running()
        for index in range(waiting):
            user.queue(f"waiting {index}")
        more = disturbed(lambda: AGENT[name](agent), lambda: user.queue("new", lock), place)  # noqa: B023
        assert len(user.accepted) + len(user.refused) == waiting + more
        account(agent, user)
        if not more:
            break
    assert 50 < place < 1999


@pytest.mark.parametrize("name", AGENT)
@pytest.mark.parametrize("lock", [None, "turn-1"])
def test_a_message_is_overtaken_by_the_agent_at_every_opcode(name: str, lock: str | None) -> None:
    for place in range(500):
        agent, user = running()
        more = disturbed(lambda: user.queue("new", lock), lambda: AGENT[name](agent), place)  # noqa: B023
        account(agent, user)
        if not more:
            break
    assert 50 < place < 499


@pytest.mark.parametrize("name", AGENT)
def test_an_interrupt_that_counts_is_never_forgotten(name: str) -> None:
    """INTERRUPTED: the turn of the moment is stopped, or the next one, or none follows."""
    for place in range(2000):
        agent, _ = running()
        outcomes: list[InterruptOutcome] = []
        stop = agent.steering.interrupt_turn
        before = agent.run.turn[1].token
        more = disturbed(lambda: AGENT[name](agent), lambda: outcomes.append(stop()), place)  # noqa: B023
        if outcomes == [InterruptOutcome.INTERRUPTED] and agent.steering.turn_id is not None:
            after = agent.run.turn[1].token
            assert before.is_cancelled or after.is_cancelled
            if name == "end_turn":
                assert agent.begin_turn().token.is_cancelled
        elif outcomes and agent.steering.turn_id is not None:
            pytest.fail(f"at opcode {place} a run that goes on could not be interrupted: {outcomes}")
        if not more:
            break
    assert 50 < place < 1999


@pytest.mark.parametrize("name", ["end_turn", "finish", "begin_turn", "end_run"])
def test_an_interrupt_is_overtaken_by_the_agent_at_every_opcode(name: str) -> None:
    for place in range(500):
        agent, _ = running()
        outcomes: list[InterruptOutcome] = []
        stop = agent.steering.interrupt_turn
        more = disturbed(lambda: outcomes.append(stop()), lambda: AGENT[name](agent), place)  # noqa: B023
        if agent.steering.turn_id is not None:
            assert outcomes == [InterruptOutcome.INTERRUPTED]
            if name == "end_turn":
                agent.begin_turn()
            assert agent.run.turn[1].token.is_cancelled
        if not more:
            break
    assert 10 < place < 499


LATE: dict[str, Callable[[Agent], Any]] = {
    "end_turn": lambda agent: agent.run.end_turn(Snapshot(), False),
    "finish": lambda agent: agent.run.end_turn(Snapshot(), True),
    "interrupted_turn": lambda agent: agent.run.interrupted_turn(),
    "begin_turn": lambda agent: agent.run.begin_turn("turn-2", 2, Snapshot()),
    "resume_turn": lambda agent: agent.run.resume_turn("turn-2", 2),
    "watch_calls": lambda agent: agent.run.watch_calls(["a"]),
}


@pytest.mark.parametrize("name", LATE)
def test_a_call_that_was_left_behind_cannot_lose_a_message_or_touch_the_next_run(name: str) -> None:
    """While it is busy, the flow is cancelled and ends the run, and another begins; then it goes on."""
    for place in range(2000):
        agent, user = running()
        user.queue("waiting")
        following = Agent(agent.steering)

        def end_and_begin() -> None:
            agent.end_run()  # noqa: B023
            following.begin_run()  # noqa: B023
            following.begin_turn()  # noqa: B023
            user.queue("for the next run")  # noqa: B023

        try:
            more = disturbed(lambda: LATE[name](agent), end_and_begin, place)  # noqa: B023
        except SteeringError as error:
            assert error.code == "no_active_run"
            more = True
        if not more:
            break
        assert agent.undelivered == ["waiting"]
        assert following.run.calls == {}
        assert following.end_run() == ["for the next run"]
    assert 20 < place < 1999


@pytest.mark.parametrize("another", [True, False])
def test_a_run_begins_while_it_is_ended_at_every_opcode_and_another_is_safe(another: bool) -> None:
    """The flow was cancelled while `begin` was under way; by the time it goes on, another run has begun."""
    for place in range(500):
        steering = Steering()
        late, following = steering.new_run(), steering.new_run()
        outcome: list[str | None] = []

        def begin() -> None:
            try:
                late.begin("late")  # noqa: B023
            except SteeringError as error:
                outcome.append(error.code)  # noqa: B023

        def end_and_begin() -> None:
            late.end()  # noqa: B023
            if not another:
                return
            try:
                following.begin("following")  # noqa: B023
            except SteeringError as error:
                outcome.append(error.code)  # noqa: B023

        more = disturbed(begin, end_and_begin, place)
        assert outcome in ([], ["no_active_run"], ["busy"])  # all of them are the late one's
        assert steering._session.run is ((following if another else None) if more else late)
        if not more:
            break
    assert 20 < place < 499


def test_a_call_ends_and_is_interrupted_at_every_opcode() -> None:
    for place in range(500):
        agent, _ = running()
        outcomes: list[InterruptOutcome] = []
        steering = agent.steering
        token = agent.run.watch_calls(["c"])["c"]
        ended = lambda: agent.run.call_ended("c")  # noqa: B023, E731
        more = disturbed(ended, lambda: outcomes.append(steering.interrupt_tool("c")), place)  # noqa: B023
        assert InterruptOutcome.UNKNOWN not in outcomes
        assert token.is_cancelled == (outcomes == [InterruptOutcome.INTERRUPTED])
        assert steering.interrupt_tool("c") is InterruptOutcome.ALREADY_FINISHED
        if not more:
            break
    assert 20 < place < 499


def test_a_session_is_closed_while_a_run_begins_at_every_opcode() -> None:
    for place in range(500):
        steering = Steering()
        run = steering.new_run()
        refused = False

        def begin() -> None:
            nonlocal refused
            try:
                run.begin("run")  # noqa: B023
            except SteeringError as error:
                refused = error.code == "closed"

        more = disturbed(begin, steering.close, place)
        steering.close()
        assert refused or run.token.is_cancelled
        assert steering.is_active is not refused
        if not more:
            break
    assert 20 < place < 499


def test_two_runs_begin_at_every_opcode_and_one_is_busy() -> None:
    for place in range(500):
        steering = Steering()
        begun: list[str] = []

        def begin(name: str) -> None:
            try:
                steering.new_run().begin(name)  # noqa: B023
            except SteeringError as error:
                assert error.code == "busy"
            else:
                begun.append(name)  # noqa: B023

        more = disturbed(lambda: begin("one"), lambda: begin("two"), place)
        assert len(begun) == 1
        if not more:
            break
    assert 20 < place < 499


def test_a_proposal_is_confirmed_once_at_every_opcode() -> None:
    for place in range(500):
        steering = Steering()
        steering.propose_mode(PLAN)
        confirmed: list[bool] = []

        def confirm() -> None:
            try:
                confirmed.append(steering.confirm_mode() is PLAN)  # noqa: B023
            except SteeringError as error:
                assert error.code == "no_pending_mode"

        more = disturbed(confirm, confirm, place)
        assert confirmed == [True]
        if not more:
            break
    assert 10 < place < 499


def test_a_policy_for_one_turn_is_used_or_removed_and_not_both() -> None:
    for place in range(2000):
        agent, _ = running()
        steering = agent.steering
        id = steering.add_policy(PromptPolicy("once", "ONCE", scope="next_turn"))
        removed: list[bool] = []

        def remove() -> None:
            try:
                steering.remove_policy(id)  # noqa: B023
                removed.append(True)  # noqa: B023
            except SteeringError:
                removed.append(False)  # noqa: B023

        used: list[str] = []
        more = disturbed(lambda: used.extend(agent.begin_turn().instructions), remove, place)  # noqa: B023
        assert (used == ["ONCE"]) is (removed != [True])
        if not more:
            break
    assert 50 < place < 1999


def hammer(*workers: Callable[[], None]) -> None:
    """Run workers in threads that are given the processor in turn, very often; raise what one raised."""
    failures: list[BaseException] = []

    def guarded(worker: Callable[[], None]) -> None:
        try:
            worker()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(worker,)) for worker in workers]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)
    finally:
        sys.setswitchinterval(interval)
    if failures:
        raise failures[0]


def test_threads_queue_while_an_agent_runs_and_finishes() -> None:
    """Four users hammer one handle through run after run: each message has one fate, in its user's order."""
    steering = Steering()
    users = [User(steering) for _ in range(4)]
    agents = [Agent(steering).begin_run()]
    agents[0].begin_turn()

    def use(user: User, name: int) -> None:
        for index in range(300):
            user.queue(f"{name}:{index}")

    def is_over() -> bool:
        return all(len(user.accepted) + len(user.refused) == 300 for user in users)

    def work() -> None:
        while True:
            agent, over = agents[-1], is_over()
            for step in range(6):
                if not agent.end_turn(finishing=step > 2).messages and step > 2:
                    break
                agent.begin_turn()
            agent.end_run()
            if over:
                return
            agents.append(Agent(steering).begin_run())
            agents[-1].begin_turn()

    hammer(work, *[lambda user=user, name=name: use(user, name) for name, user in enumerate(users)])
    given = [text for agent in agents for text in agent.delivered + agent.undelivered]
    for name, user in enumerate(users):
        assert user.accepted == [text for text in given if text.startswith(f"{name}:")]
    assert sum(len(user.accepted) for user in users) == len(given) > 0


def test_threads_change_everything_while_an_agent_runs() -> None:
    steering = Steering()
    agent = Agent(steering).begin_run()
    over = threading.Event()

    def change() -> None:
        while not over.is_set():
            policy = steering.add_policy(PromptPolicy("words", "words", scope="persistent"))
            guard = steering.add_guard(ContinuationGuard("guard", "more", lambda snapshot: "continue", 1))
            steering.set_mode("plan")
            steering.interrupt_tool("call")
            steering.set_mode("default")
            steering.remove_guard(guard)
            steering.remove_policy(policy)

    def work() -> None:
        try:
            for _ in range(100):
                inputs = agent.begin_turn()
                assert len(inputs.instructions) <= 4
                agent.run.watch_calls(["call"])
                agent.run.call_ended("call")
                agent.end_turn(finishing=False)
            agent.end_run()
        finally:
            over.set()

    hammer(work, change, change)
    again = Agent(steering).begin_run()
    again.begin_turn()
    assert again.begin_turn().instructions == ()
    assert again.end_turn(finishing=True).messages == ()


def test_an_inbox_that_has_ended_is_not_opened_by_a_reader_that_comes_late() -> None:
    """A user who got hold of it before would be told that the message was taken."""
    inbox = Inbox()
    inbox.end()
    inbox.turn_id = "turn"
    with pytest.raises(SteeringError, match="no turn is active"):
        inbox.put(Message.user("for nobody"))


def test_an_inbox_is_drained_by_two_readers_without_a_message_given_twice() -> None:
    inbox = Inbox()
    inbox.turn_id = "turn"
    taken: list[list[str]] = [[], []]
    accepted: list[str] = []
    over = threading.Event()

    def write() -> None:
        for index in range(500):
            inbox.put(Message.user(str(index)))
            accepted.append(str(index))
        over.set()

    def read(mine: list[str]) -> None:
        while not over.is_set():
            mine += [message.text for _, message in inbox.take()]

    hammer(write, lambda: read(taken[0]), lambda: read(taken[1]))
    inbox.acknowledge()
    rest = [message.text for _, message in inbox.take()]
    assert sorted(taken[0] + taken[1] + rest, key=int) == accepted
    assert [message.text for _, message in inbox.end()] == rest
