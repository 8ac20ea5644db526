"""Prompt policies: their order, their scopes, their triggers, and what is told of them."""

from __future__ import annotations

from typing import Any

import pytest

from tako.errors import InvalidInput, SteeringError
from tako.events import GuardFired, PromptPolicyApplied, PromptPolicyInstalled, PromptPolicyRemoved
from tako.steering import PromptPolicy, Snapshot, Steering
from tests.steering.kit import Agent, kinds


def begun() -> Agent:
    return Agent(Steering()).begin_run()


def applied(agent: Agent) -> tuple[str, ...]:
    """What the next request's system prompt holds."""
    instructions = agent.begin_turn().instructions
    agent.end_turn()
    return instructions


def test_G02_one_for_the_next_turn_is_in_that_request_alone() -> None:
    agent = begun()
    agent.steering.add_policy(PromptPolicy("once", "ONCE", scope="next_turn"))
    assert [applied(agent), applied(agent)] == [("ONCE",), ()]


def test_G07_the_highest_precedence_comes_first_and_equal_ones_as_they_came() -> None:
    agent = begun()
    for name, precedence in [("a", 0), ("b", 5), ("c", -1), ("d", 0), ("e", 5)]:
        agent.steering.add_policy(PromptPolicy(name, name.upper(), precedence=precedence))
    assert applied(agent) == ("B", "E", "A", "D", "C")


def test_G07_one_for_every_turn_stays_until_it_is_removed_or_the_run_ends() -> None:
    agent = begun()
    id = agent.steering.add_policy(PromptPolicy("a", "A"))
    agent.steering.add_policy(PromptPolicy("b", "B"))
    assert [applied(agent), applied(agent)] == [("A", "B"), ("A", "B")]
    agent.steering.remove_policy(id)
    assert applied(agent) == ("B",)
    agent.end_run()
    assert applied(Agent(agent.steering).begin_run()) == ()


def test_a_persistent_one_outlives_the_run_and_one_for_the_next_turn_does_not() -> None:
    agent = begun()
    agent.steering.add_policy(PromptPolicy("a", "A", scope="persistent"))
    agent.steering.add_policy(PromptPolicy("b", "B", scope="next_turn", when=lambda snapshot: False))
    assert applied(agent) == ("A",)
    agent.end_run()
    assert applied(Agent(agent.steering).begin_run()) == ("A",)
    with pytest.raises(SteeringError):
        agent.steering.remove_policy("policy-2")


def test_what_is_installed_between_two_runs_is_for_the_next() -> None:
    agent = begun()
    agent.end_run()
    agent.steering.add_policy(PromptPolicy("a", "A"))
    agent.run.end()
    assert applied(Agent(agent.steering).begin_run()) == ("A",)


def test_G07_one_that_does_not_match_stays_installed() -> None:
    agent = begun()
    match = [False, True, True]
    agent.steering.add_policy(
        PromptPolicy("a", "A", scope="next_turn", when=lambda snapshot: match[snapshot.step])
    )
    assert [applied(agent), applied(agent), applied(agent)] == [(), ("A",), ()]


def test_a_trigger_sees_the_run() -> None:
    seen: list[Snapshot] = []
    agent = begun()
    agent.steering.add_policy(PromptPolicy("a", "A", when=lambda s: seen.append(s) or True))  # type: ignore[func-returns-value]
    agent.begin_turn(text="what I said", tool_calls=("bash",))
    assert seen == [Snapshot(step=0, text="what I said", tool_calls=("bash",))]


def test_G07_one_that_raises_does_not_match_and_is_told_of() -> None:
    class Odd:
        def __bool__(self) -> bool:
            raise OSError("no truth")

    agent = begun()
    first = agent.steering.add_policy(PromptPolicy("a", "A", when=lambda snapshot: 1 / 0 > 0))
    second = agent.steering.add_policy(PromptPolicy("b", "B", when=lambda snapshot: Odd()))  # type: ignore[arg-type, return-value]
    assert applied(agent) == ()
    assert [event for event in agent.events if type(event) is GuardFired] == [
        GuardFired(1, "a", first, "failed", 0, "ZeroDivisionError: division by zero"),
        GuardFired(1, "b", second, "failed", 0, "OSError: no truth"),
    ]
    agent.steering.remove_policy(first)


def test_G07_everything_is_told() -> None:
    agent = begun()
    once = agent.steering.add_policy(PromptPolicy("once", "ONCE", scope="next_turn", precedence=3))
    gone = agent.steering.add_policy(PromptPolicy("gone", "GONE"))
    agent.steering.remove_policy(gone)
    applied(agent)
    assert agent.events == [
        PromptPolicyInstalled(once, "once", "next_turn", 3),
        PromptPolicyInstalled(gone, "gone", "every_turn", 0),
        PromptPolicyRemoved(gone, "gone"),
        PromptPolicyApplied(1, once, "once", "next_turn", 3),
        PromptPolicyRemoved(once, "once"),
    ]
    agent.steering.add_policy(PromptPolicy("late", "LATE"))
    assert kinds(agent.end_turn(finishing=True).events) == ["prompt_policy_installed"]


@pytest.mark.parametrize("id", ["policy-1", "nonsense"])
def test_one_that_is_not_there_cannot_be_removed(id: str) -> None:
    with pytest.raises(SteeringError) as caught:
        Steering().remove_policy(id)
    assert caught.value.code == "not_found"


async def coroutine(snapshot: Snapshot) -> bool:
    return True


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"content": ""}, "content"),
        ({"content": "\n"}, "content"),
        ({"content": None}, "content"),
        ({"name": ""}, "name"),
        ({"scope": "always"}, "scope"),
        ({"precedence": "high"}, "precedence"),
        ({"when": True}, "when"),
        ({"when": coroutine}, "when"),
    ],
)
def test_a_wrong_argument_is_named(fields: Any, word: str) -> None:
    with pytest.raises(InvalidInput, match=f"PromptPolicy: {word}"):
        PromptPolicy(**({"name": "n", "content": "c"} | fields))
    with pytest.raises(InvalidInput, match="PromptPolicy"):
        Steering().add_policy("words")  # type: ignore[arg-type]
