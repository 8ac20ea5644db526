"""The scenarios are fit to be compared with, and `check_adapter` finds an adapter that differs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tako.cancellation import CancellationToken
from tako.effects import Emit, Flow
from tako.testing import (
    SCENARIOS,
    Faults,
    Scenario,
    ScriptedVendor,
    Simulator,
    check_adapter,
    comparable,
    simulate,
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_scenario_does_not_depend_on_the_interleaving(scenario: Scenario) -> None:
    expected = comparable(simulate(scenario))
    for seed in range(1, 8):
        assert comparable(simulate(scenario, seed)) == expected


def test_no_two_scenarios_have_one_name() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names)


class Adapter:
    """An adapter made of a simulator, and its world; `meddle` makes it a wrong one."""

    def __init__(self, *, faults: Faults | None = None, drop_event: bool = False) -> None:
        self.faults = faults or Faults()
        self.drop_event = drop_event
        self.cancel_at: float | None = None
        self.vendor = ScriptedVendor([])

    @contextmanager
    def serve(self, vendor: ScriptedVendor) -> Iterator[str]:
        self.vendor = vendor
        yield "http://served.test"

    def later(self, seconds: float, function: Any) -> None:
        self.cancel_at = seconds

    def stream(self, flow: Flow[Any], token: CancellationToken) -> Any:
        from dataclasses import replace

        faults = replace(self.faults, cancel_at=self.cancel_at)
        self.cancel_at = None
        addresses = {"127.0.0.1": ["127.0.0.1"]}
        simulator = Simulator(99, {"served.test": self.vendor}, faults=faults, addresses=addresses)
        run = simulator.stream(_dropping(flow) if self.drop_event else flow, cancel=token)
        return run

    def run(self, flow: Flow[Any], token: CancellationToken) -> Any:
        return self.stream(flow, token).result


def _dropping(flow: Flow[Any]) -> Flow[Any]:
    """A flow whose last event of each Emit gets lost."""
    reply: Any = None
    error: Exception | None = None
    while True:
        try:
            effect = flow.send(reply) if error is None else flow.throw(error)
        except StopIteration as stop:
            return stop.value
        if isinstance(effect, Emit):
            effect.events = effect.events[:-1]
        reply = error = None
        try:
            reply = yield effect
        except Exception as raised:
            error = raised


def check(adapter: Adapter, scenarios: list[Scenario] = SCENARIOS) -> None:
    check_adapter(adapter.run, adapter.stream, adapter.serve, adapter.later, scenarios)


def test_an_adapter_that_agrees_passes() -> None:
    check(Adapter())


@pytest.mark.parametrize(
    ("adapter", "words"),
    [
        (Adapter(drop_event=True), "'a plain answer', streamed: event number 0"),
        (Adapter(faults=Faults(reset_at=3)), "'a plain answer', streamed: "),
        (
            Adapter(faults=Faults(delay=1.0)),
            "no head in time|three side by side|beyond|cancelled|no body in time",
        ),
        (Adapter(faults=Faults(cancel_after=1)), "'a plain answer', streamed: "),
    ],
)
def test_an_adapter_that_differs_is_found(adapter: Adapter, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check(adapter)


def test_an_adapter_whose_run_differs_is_found() -> None:
    adapter = Adapter()
    with pytest.raises(AssertionError, match="'a plain answer', run: ended with 7 instead of"):
        check_adapter(lambda flow, token: 7, adapter.stream, adapter.serve, adapter.later, SCENARIOS[:1])
