"""Gathering: who may start, what an end means, how the parent goes on; and random trees of flows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.driving.gathering import Gathering
from tako.driving.steps import Returned, Steps
from tako.effects import Call, Failed, Flow, Gather, Now, OnError, Outcome, Sleep, Succeeded
from tako.errors import Cancelled
from tako.testing.faults import Faults
from tako.testing.simulator import Simulator
from tests.effort import examples

from .programs import TOKENS, Program, evaluate, flow_of, programs, words


def child(name: int) -> Flow[int]:
    yield Now()
    return name


def gathering_of(count: int, **options: Any) -> Gathering:
    return Gathering(Gather(tuple(child(number) for number in range(count)), **options))


def start_all(gathering: Gathering) -> list[int]:
    started = []
    while (found := gathering.next_to_start()) is not None:
        started.append(found[0])
    return started


def parent_of(gathering: Gathering, token: CancellationToken | None = None) -> tuple[Steps[Any], list[Any]]:
    """A parent that waits, and the list of what it will have been given."""
    given: list[Any] = []

    def flow() -> Flow[None]:
        try:
            given.append((yield Gather(())))
        except Exception as error:
            given.append(error)

    steps = Steps(flow(), lambda: 0.0, token)
    steps.send(None)
    return steps, given


def test_without_a_limit_all_start() -> None:
    gathering = gathering_of(3)
    assert start_all(gathering) == [0, 1, 2]
    assert not gathering.is_done


def test_with_a_limit_one_starts_when_one_has_ended() -> None:
    gathering = gathering_of(4, limit=2)
    assert start_all(gathering) == [0, 1]
    gathering.ended(1, Succeeded("b"))
    assert start_all(gathering) == [2]
    gathering.ended(2, Succeeded("c"))
    gathering.ended(0, Succeeded("a"))
    assert start_all(gathering) == [3]
    assert not gathering.is_done
    gathering.ended(3, Succeeded("d"))
    assert gathering.is_done
    assert gathering.outcomes() == [Succeeded("a"), Succeeded("b"), Succeeded("c"), Succeeded("d")]


def test_nothing_to_gather_is_done() -> None:
    gathering = gathering_of(0)
    assert gathering.is_done
    assert start_all(gathering) == []
    assert gathering.outcomes() == []


def test_a_failure_closes_it_and_the_first_one_counts() -> None:
    gathering = gathering_of(4, limit=3)
    start_all(gathering)
    first, second = KeyError("first"), KeyError("second")
    gathering.ended(1, Failed(first))
    assert not gathering.is_open
    assert not gathering.is_done
    assert start_all(gathering) == []
    gathering.ended(0, Failed(second))
    gathering.ended(2, Succeeded(2))
    assert gathering.is_done
    with pytest.raises(KeyError, match="first"):
        gathering.outcomes()


def test_a_collected_failure_closes_nothing() -> None:
    gathering = gathering_of(2, limit=1, on_error=OnError.COLLECT)
    start_all(gathering)
    error = KeyError("x")
    gathering.ended(0, Failed(error))
    assert gathering.is_open
    assert start_all(gathering) == [1]
    gathering.ended(1, Succeeded(1))
    assert gathering.outcomes() == [Failed(error), Succeeded(1)]


def test_closed_by_the_driver_those_that_wait_are_closed_and_count_as_cancelled() -> None:
    flows = tuple(child(number) for number in range(3))
    gathering = Gathering(Gather(flows, 1))
    start_all(gathering)
    gathering.close()
    assert not gathering.is_open
    assert not gathering.is_done
    assert [flow.gi_frame is None for flow in flows] == [False, True, True]  # type: ignore[attr-defined]
    gathering.ended(0, Succeeded(0))
    outcomes = gathering.outcomes()
    assert words(outcomes) == [0, ("Cancelled", None), ("Cancelled", None)]
    gathering.close()
    assert gathering.outcomes() == outcomes


# How the parent goes on: what came of the children, whether it must stop, and what it is given.

ERROR = KeyError("x")
HALF: list[Outcome[Any]] = [Succeeded(0), Failed(Cancelled())]


@pytest.mark.parametrize(
    ("on_error", "outcomes", "must_stop", "expected"),
    [
        (OnError.STOP, [Succeeded(0), Succeeded(1)], False, "outcomes"),
        (OnError.STOP, [Succeeded(0), Succeeded(1)], True, "outcomes"),
        (OnError.STOP, [Succeeded(0), Failed(ERROR)], False, "error"),
        (OnError.STOP, [Failed(ERROR), Failed(Cancelled())], True, "error"),
        (OnError.STOP, HALF, True, "interrupted"),
        (OnError.COLLECT, HALF, True, "interrupted"),
        (OnError.COLLECT, HALF, False, "outcomes"),
        (OnError.COLLECT, [Succeeded(0), Failed(ERROR)], True, "outcomes"),
    ],
)
def test_how_the_parent_goes_on(
    on_error: OnError, outcomes: list[Outcome[Any]], must_stop: bool, expected: str
) -> None:
    gathering = gathering_of(2, on_error=on_error)
    start_all(gathering)
    token = CancellationToken()
    steps, given = parent_of(gathering, token)
    for index, outcome in enumerate(outcomes):
        gathering.ended(index, outcome)
    if must_stop:
        token.cancel()
    assert gathering.resume(steps) == Returned(None)
    if expected == "outcomes":
        assert given == [outcomes]
    elif expected == "error":
        assert given == [ERROR]
    else:
        assert isinstance(given[0], Cancelled)
        assert given[0].partial == outcomes


@settings(max_examples=examples(6))
@given(programs(side=True), st.integers(0, 2**64 - 1))
def test_random_trees_do_what_the_reference_does(
    case: tuple[Program, float, tuple[float, ...]], seed: int
) -> None:
    """Within, Gather and failures in each other, cancelled or interrupted, whatever the interleaving."""
    program, cancel_at, times = case
    tokens = [CancellationToken() for _ in range(TOKENS)]
    faults = Faults(cancel_at=None if cancel_at == float("inf") else cancel_at)
    simulator = Simulator(seed, faults=faults)
    ended: list[Any] = []

    def recorded() -> Flow[None]:
        try:
            outcome: Any = yield from flow_of(program, tokens)
        except Exception as error:
            outcome = error
        ended.append((words(outcome), simulator.now))

    def cancelled(token: CancellationToken, time: float) -> Flow[None]:
        yield Sleep(time)
        yield Call(token.cancel)

    def flow() -> Flow[None]:
        stops = [
            cancelled(token, time)
            for token, time in zip(tokens, times, strict=True)
            if 0 < time < float("inf")
        ]
        yield Gather((recorded(), *stops), on_error=OnError.COLLECT)

    for token, time in zip(tokens, times, strict=True):
        if not time:
            token.cancel()
    said: list[tuple[float, Any]] = []
    try:
        for event in simulator.stream(flow()):
            said.append((simulator.now, event))
    except Cancelled:
        pass
    expected, expected_said, ends = evaluate(program, cancel_at, times)
    assert ended == [(expected, ends)]
    # Those that are stopped in one moment speak in any order.
    assert sorted(said, key=repr) == sorted(expected_said, key=repr)
    assert not any(token._callbacks for token in tokens)
