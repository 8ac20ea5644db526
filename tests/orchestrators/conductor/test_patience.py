"""A limit on the time that a flow itself takes: what counts, what does not, and what is told."""

from __future__ import annotations

from typing import Any

import pytest

from tako.effects import Call, Emit, Flow, Gather, Now, OnError, Sleep, Within, within
from tako.errors import Cancelled, TimedOut
from tako.orchestrators.conductor.patience import patient
from tako.testing import Faults, Simulator


def talking(pieces: int, pause: float) -> Flow[str]:
    """Says something, waits, says something."""
    for number in range(pieces):
        yield Emit((number,))
        yield Sleep(pause)
    return "done"


@pytest.mark.parametrize("slow", [0.0, 100.0])
def test_35_the_time_of_a_slow_listener_does_not_count(slow: float) -> None:
    simulator = Simulator(faults=Faults(slow_reader=slow))
    run = simulator.stream(patient(talking(5, 1.0), 5.5))
    assert list(run) == [0, 1, 2, 3, 4] and run.result == "done"
    assert simulator.now >= 4 * slow


@pytest.mark.parametrize("slow", [0.0, 100.0])
def test_35_its_own_time_does(slow: float) -> None:
    run = Simulator(faults=Faults(slow_reader=slow)).stream(patient(talking(9, 1.0), 5.5))
    with pytest.raises(TimedOut, match=r"worker timed out after 5\.5s"):
        list(run)


@pytest.mark.parametrize("slow", [0.0, 100.0])
def test_35_what_runs_side_by_side_counts_once(slow: float) -> None:
    def side_by_side() -> Flow[int]:
        outcomes = yield Gather((talking(3, 1.0), talking(3, 1.0), talking(3, 1.0)))
        return len(outcomes)

    # Nobody emits while nobody waits, unless the listener holds all three back.
    simulator = Simulator(faults=Faults(slow_reader=slow))
    run = simulator.stream(patient(side_by_side(), 3.5))
    assert len(list(run)) == 9 and run.result == 3
    with pytest.raises(TimedOut):
        Simulator(faults=Faults(slow_reader=slow)).run(patient(side_by_side(), 2.5))


def test_a_flow_whose_time_is_up_still_says_what_it_has() -> None:
    def stubborn() -> Flow[str]:
        said = []
        for seconds in (1.0, 1.0, 9.0, 1.0):
            try:
                yield Sleep(seconds)
                said.append("slept")
            except Cancelled:
                said.append("stopped")
        return " ".join(said)

    with pytest.raises(TimedOut) as caught:
        Simulator().run(patient(stubborn(), 3.0))
    assert caught.value.partial == "slept slept stopped stopped"


def test_all_that_runs_side_by_side_is_stopped_at_once() -> None:
    def many() -> Flow[Any]:
        return (yield Gather((talking(1, 9.0), talking(1, 0.5), talking(9, 0.4)), 3, OnError.COLLECT))

    simulator = Simulator()
    with pytest.raises(TimedOut):
        simulator.run(patient(many(), 2.0))
    assert simulator.now == pytest.approx(2.0)


def test_a_limit_of_the_flows_own_is_its_own() -> None:
    def careful() -> Flow[str]:
        try:
            yield from within(1.0, talking(1, 9.0))
        except TimedOut as error:
            return error.message
        return "?"

    assert Simulator().run(patient(careful(), 2.0)) == "not done within 1 seconds"


def test_a_time_out_of_the_effect_itself_is_its_own_too() -> None:
    def late() -> None:
        raise TimedOut("the peer was late")

    def flow() -> Flow[str]:
        with pytest.raises(TimedOut, match="the peer"):
            yield Call(late)
        yield Sleep(1.0)
        return "went on"

    assert Simulator().run(patient(flow(), 2.0)) == "went on"


def test_an_error_goes_through_and_its_time_counts() -> None:
    def fail() -> None:
        raise KeyError("mine")

    def flow() -> Flow[str]:
        with pytest.raises(KeyError):
            yield Call(fail)
        with pytest.raises(KeyError):
            yield Call(fail)
        return "went on"

    slow_calls = Faults(call_seconds=2.0)
    assert Simulator(faults=slow_calls).run(patient(flow(), 5.0)) == "went on"
    with pytest.raises(TimedOut):
        Simulator(faults=slow_calls).run(patient(flow(), 3.0))


def test_the_cancel_of_the_run_is_no_time_out() -> None:
    with pytest.raises(Cancelled):
        Simulator(faults=Faults(cancel_at=1.0)).run(patient(talking(9, 1.0), 5.0))


def test_a_cancel_does_not_cost_what_had_come() -> None:
    def flow() -> Flow[list[str]]:
        had = []
        try:
            had.append((yield Call(lambda: "done")))
            yield Sleep(1.0)
        except Cancelled:
            pass
        return had

    def had(number: int) -> list[str]:
        return Simulator(faults=Faults(cancel_after=number)).run(patient(flow(), 5.0))

    # The first effect asks for the time, the second is the call.
    assert [had(number) for number in (1, 2, 3, 4)] == [[], ["done"], ["done"], ["done"]]


def test_without_a_limit_nothing_is_added() -> None:
    simulator = Simulator()
    assert simulator.run(patient(talking(2, 1.0), None)) == "done"
    assert not [one for one in simulator.trace if isinstance(one.effect, Now | Within)]
