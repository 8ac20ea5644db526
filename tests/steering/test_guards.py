"""Continuation guards: who is asked when, what follows, and the bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tako.errors import InvalidInput, SteeringError
from tako.events import GuardFired
from tako.models import Message
from tako.steering import Abort, ContinuationGuard, Snapshot, Steering
from tako.steering.turns import REASON_LIMIT
from tests.steering.kit import Agent


def running() -> Agent:
    agent = Agent(Steering()).begin_run()
    agent.begin_turn()
    return agent


def saying(decision: Any, name: str = "guard", bound: int = 2, **fields: Any) -> ContinuationGuard:
    return ContinuationGuard(name, f"{name}: go on", lambda snapshot: decision, bound, **fields)


def raising(error: Exception) -> Callable[[Snapshot], Any]:
    def decide(snapshot: Snapshot) -> Any:
        raise error

    return decide


def fired(agent: Agent) -> list[tuple[str, str, int]]:
    return [
        (event.name, event.decision, event.iteration) for event in agent.events if type(event) is GuardFired
    ]


def test_G06_it_goes_on_up_to_its_bound_in_each_run() -> None:
    agent = running()
    agent.steering.add_guard(saying("continue"))
    for _ in range(2):
        for _ in range(2):
            assert agent.end_turn(finishing=True).messages == (Message.user("guard: go on"),)
            agent.begin_turn()
        assert agent.end_turn(finishing=True).messages == ()
        assert fired(agent) == [("guard", "continue", 1), ("guard", "continue", 2), ("guard", "exhausted", 2)]
        assert agent.told() == ["guard: go on"] * 2
        agent.end_run()
        agent = Agent(agent.steering).begin_run()
        agent.begin_turn()


def test_G06_an_abort_ends_the_run_and_wins_over_all() -> None:
    agent = running()
    asked: list[str] = []
    agent.steering.add_guard(saying("continue", "first"))
    agent.steering.add_guard(saying(Abort("enough"), "second"))
    agent.steering.add_guard(ContinuationGuard("third", "x", lambda snapshot: asked.append("third"), 1))  # type: ignore[arg-type, return-value]
    agent.steering.queue("for nobody")
    agent.end_turn()
    agent.begin_turn()
    end = agent.end_turn(finishing=True)
    assert (end.messages, end.abort, asked) == ((), "enough", [])
    assert fired(agent) == [("first", "stop", 0), ("second", "abort", 0)]
    assert agent.steering.turn_id is None


def test_an_abort_leaves_what_waits_to_the_result() -> None:
    agent = running()
    agent.steering.add_guard(saying(Abort("enough"), trigger="turn_end"))
    agent.steering.queue("for nobody")
    assert agent.end_turn(finishing=True).abort == "enough"
    with pytest.raises(SteeringError, match="no turn is active"):
        agent.steering.queue("late")
    assert agent.end_run() == ["for nobody"]


@pytest.mark.parametrize(
    ("decide", "reason"),
    [
        (raising(KeyError("gone")), "KeyError: 'gone'"),
        (
            raising(ValueError("x" * 1000)),
            "ValueError: " + "x" * (REASON_LIMIT - 12) + " [... 512 characters cut ...]",
        ),
        (lambda snapshot: True, 'decide should return "continue", "stop" or Abort(...), not bool'),
        (lambda snapshot: None, 'decide should return "continue", "stop" or Abort(...), not NoneType'),
    ],
)
def test_G06_one_that_fails_has_no_say_and_is_told_of(decide: Any, reason: str) -> None:
    agent = running()
    id = agent.steering.add_guard(ContinuationGuard("broken", "x", decide, 1))
    agent.steering.add_guard(saying("continue", "whole"))
    assert agent.end_turn(finishing=True).messages == (Message.user("whole: go on"),)
    assert agent.events[0] == GuardFired(1, "broken", id, "failed", 0, reason)


def test_an_exception_that_cannot_be_said_is_a_failure_too() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    agent = running()
    agent.steering.add_guard(ContinuationGuard("broken", "x", raising(Mute()), 1))
    agent.end_turn(finishing=True)
    assert agent.events[0].reason == "Mute"


def test_all_that_go_on_are_sent_in_their_order_and_before_what_came_meanwhile() -> None:
    agent = running()

    def decide(snapshot: Snapshot) -> Any:
        agent.steering.queue("meanwhile")
        return "continue"

    agent.steering.add_guard(saying("continue", "one"))
    agent.steering.add_guard(saying("stop", "silent"))
    agent.steering.add_guard(ContinuationGuard("two", "two: go on", decide, 1))
    agent.end_turn(finishing=True)
    assert agent.delivered == ["one: go on", "two: go on", "meanwhile"]
    assert fired(agent) == [("one", "continue", 1), ("silent", "stop", 0), ("two", "continue", 1)]


def test_the_trigger_says_when_it_is_asked() -> None:
    agent = running()
    agent.steering.add_guard(saying("continue", "finish", 9))
    agent.steering.add_guard(saying("continue", "always", 9, trigger="turn_end"))
    assert agent.end_turn(finishing=False).messages == (Message.user("always: go on"),)
    agent.begin_turn()
    agent.end_turn(finishing=True)
    assert agent.delivered == ["always: go on", "finish: go on", "always: go on"]


def test_the_user_has_the_word_before_a_guard_of_the_finish() -> None:
    agent = running()
    agent.steering.add_guard(saying("continue"))
    agent.steering.queue("me first")
    agent.end_turn(finishing=True)
    assert (agent.delivered, fired(agent)) == (["me first"], [])


def test_it_sees_the_run() -> None:
    seen: list[Snapshot] = []
    agent = running()
    agent.steering.add_guard(ContinuationGuard("eye", "x", lambda s: seen.append(s) or "stop", 1))  # type: ignore[func-returns-value]
    agent.end_turn(finishing=True, text="done", tool_calls=("read", "edit"))
    assert seen == [Snapshot(step=1, text="done", tool_calls=("read", "edit"))]


def test_one_that_was_removed_is_not_asked() -> None:
    agent = running()
    id = agent.steering.add_guard(saying("continue"))
    agent.steering.remove_guard(id)
    assert agent.end_turn(finishing=True).messages == ()
    with pytest.raises(SteeringError) as caught:
        agent.steering.remove_guard(id)
    assert caught.value.code == "not_found"


async def coroutine(snapshot: Snapshot) -> str:
    return "continue"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"max_iterations": 0}, "max_iterations"),
        ({"max_iterations": None}, "max_iterations"),
        ({"max_iterations": True}, "max_iterations"),
        ({"max_iterations": 1.5}, "max_iterations"),
        ({"name": ""}, "name"),
        ({"prompt": " "}, "prompt"),
        ({"decide": "continue"}, "decide"),
        ({"decide": coroutine}, "decide"),
        ({"trigger": "start"}, "trigger"),
    ],
)
def test_G06_a_wrong_argument_is_refused(fields: Any, word: str) -> None:
    whole = {"name": "n", "prompt": "p", "decide": lambda snapshot: "stop", "max_iterations": 1}
    with pytest.raises(InvalidInput, match=f"ContinuationGuard: {word}"):
        ContinuationGuard(**(whole | fields))


def test_G06_the_bound_is_mandatory() -> None:
    with pytest.raises(TypeError, match="max_iterations"):
        ContinuationGuard("n", "p", lambda snapshot: "stop")  # type: ignore[call-arg]
    with pytest.raises(InvalidInput, match="ContinuationGuard"):
        Steering().add_guard("guard")  # type: ignore[arg-type]
