"""AbMcts, wherever it is cancelled, dumped or late: the same tree; and the contracts of its streams."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.chance import Chance
from tako.effects import EVENT_BUFFER, Flow
from tako.events import AssistantText, Final, NodeAdded
from tako.models import Message
from tako.orchestrators.ab_mcts import AbMcts
from tako.orchestrators.ab_mcts.search_result import SearchResult
from tako.orchestrators.base import Orchestrator
from tako.orchestrators.place import Place
from tako.orchestrators.result import RunResult
from tako.testing import Faults, ScriptedVendor, Simulator, check_history, first_difference
from tests.contracts.drivers import ARMS, Driver
from tests.effort import examples
from tests.orchestrators.search_kit import ONE_EACH, SEED, Oracle, by_number

ITERATIONS = 7
NOBODY = ScriptedVendor(())
"""No candidate here asks over the network."""


def agent_of(seed: int = 7, batch_size: int = 3, delays: int = 0, iterations: int = ITERATIONS) -> AbMcts:
    """Two oracles, whose answers take as long as the delays have it, and a search that knows its seed."""

    def seconds(number: int) -> float:
        return Chance(delays, number).fraction()

    return AbMcts(
        candidates=[Oracle(seconds=seconds), Oracle(seconds=seconds)],
        verifier=by_number,
        seed=seed,
        batch_size=batch_size,
        max_iterations=iterations,
        min_confidence=None,
    )


def tree_of(result: RunResult[Any]) -> str:
    assert isinstance(result, SearchResult)
    return result.search.tree.dumps()


@settings(max_examples=examples(1))
@given(
    seed=st.integers(0, 3),
    batch_size=st.integers(1, 4),
    delays=st.integers(0, 99),
    chance=st.integers(0, 99),
)
def test_25_the_same_seed_and_replies_give_the_same_tree_whatever_arrives_first(
    seed: int, batch_size: int, delays: int, chance: int
) -> None:
    expected = Simulator().run(agent_of(seed, batch_size), "Why?")
    agent = agent_of(seed, batch_size, delays)
    assert tree_of(Simulator(chance).run(agent, "Why?")) == tree_of(expected)
    events = list(Simulator(chance).stream(agent, "Why?"))
    assert events[-1].result == expected
    assert [event.node for event in events if isinstance(event, NodeAdded)] == list(range(1, ITERATIONS + 1))


@settings(max_examples=examples(1))
@given(data=st.data(), batch_size=st.integers(1, 3), delays=st.integers(0, 9), streaming=st.booleans())
def test_4_and_6_cancelled_anywhere_it_gives_what_it_has_and_goes_on_to_the_same_tree(
    data: st.DataObject, batch_size: int, delays: int, streaming: bool
) -> None:
    agent = agent_of(7, batch_size, delays, iterations=6)
    world = Simulator()
    whole = world.run(agent.flow("Why?", streaming=streaming))
    place = data.draw(st.integers(0, len(world.trace)))
    kind = data.draw(st.sampled_from(["cancel_after", "cancel_during"]))
    token = CancellationToken()
    world = Simulator(faults=Faults(**{kind: place}))
    result = world.run(agent.flow("Why?", streaming=streaming), cancel=token)
    check_history(result.new_messages)
    if result.stop_reason != "cancelled":
        assert result == whole
        return
    assert result.text == "" or result.text in {one.text for one in whole.best(ITERATIONS)}
    assert result.usage.total <= whole.usage.total
    begun = agent.load(result.search.dumps())
    gone_on = Simulator().run(agent, begun)
    assert tree_of(gone_on) == tree_of(whole)
    assert gone_on.text == whole.text


@settings(max_examples=examples(1))
@given(data=st.data(), batch_size=st.integers(1, 3))
def test_dumped_at_any_event_it_goes_on_to_the_same_tree(data: st.DataObject, batch_size: int) -> None:
    agent = agent_of(7, batch_size, delays=5)
    count = sum(1 for _ in Simulator().stream(agent, "Why?"))
    place = data.draw(st.integers(0, count - 1))
    run = agent.start("Why?")
    texts = [run.dumps() for number, _ in enumerate(Simulator().stream(agent, run)) if number == place]
    assert tree_of(Simulator(3).run(agent, agent.load(texts[0]))) == run.tree.dumps()


def test_what_a_cancelled_trial_has_used_is_counted_once_it_is_done_again() -> None:
    """26: what was there of it when it was cut short is in the books."""
    agent = AbMcts(Oracle(seconds=lambda number: 1.0), lambda text: 0.5, seed=7, batch_size=2)
    cut = Simulator(faults=Faults(cancel_after=4)).run(agent, "Why?")
    assert cut.stop_reason == "cancelled"
    assert cut.usage.total == 4  # both had answered, and nobody had judged them
    assert len(cut.sub_agents) == 2
    assert (cut.text, cut.search.iterations) == ("", 0)


@pytest.mark.parametrize("driver", ARMS, ids=lambda driver: driver.name)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_8_all_arms_give_the_same_events_and_tree(driver: Driver, batch_size: int) -> None:
    agent = agent_of(7, batch_size)
    for oracle in agent.equipment.candidates.values():
        assert isinstance(oracle, Oracle)
        oracle.seconds = lambda number: 0.0 if batch_size == 1 else 0.01 * (number % 3)

    def flow(url: str) -> Flow[RunResult[Any]]:
        run = agent.start("Why?")
        run.begin(SEED)  # each driver has a chance of its own
        return agent.flow(run, streaming=True)

    events = list(Simulator().stream(flow("")))
    seen = driver.observe(NOBODY, flow)
    assert first_difference(_ordered(events), _ordered(seen.events)) is None
    expected, got = events[-1], seen.events[-1]
    assert type(got) is type(expected) is Final
    assert got.result == expected.result
    assert tree_of(got.result) == tree_of(expected.result)


def _ordered(events: list[Any]) -> list[Any]:
    """What runs side by side may be told in any order; of one trial the order counts."""
    return sorted(events, key=lambda event: (str(getattr(event, "path", "")), event.kind))


class Chatter(Orchestrator[RunResult[None]]):
    """Says a lot, and counts how much was taken."""

    def __init__(self) -> None:
        self.told = 0

    def perform(self, prompt: Any, place: Place, **options: Any) -> Flow[RunResult[None]]:
        for _ in range(1000):
            yield place.tell(AssistantText(1, "x"))
            self.told += 1
        return RunResult("x", ONE_EACH, 1, [*prompt, Message.assistant("x")], "stop")


@pytest.mark.parametrize("batch_size", [1, 4])
def test_7_a_consumer_that_does_not_read_holds_the_rollouts_back(batch_size: int) -> None:
    chatter = Chatter()
    agent = AbMcts(chatter, lambda text: 0.5, batch_size=batch_size, max_iterations=4)
    run = Simulator().stream(agent, "Why?")
    for _ in range(100):
        next(run)
    assert chatter.told <= 100 + EVENT_BUFFER
    run.close()
    assert run.result.stop_reason == "cancelled"


def test_9_fed_the_same_replies_it_asks_for_the_same_effects() -> None:
    one, other = Simulator(4), Simulator(4)
    for world in (one, other):
        world.run(agent_of(delays=3), "Why?")
    assert one.trace == other.trace
    assert len(one.trace) > ITERATIONS
