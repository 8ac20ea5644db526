"""The test kit: test an agent, a provider, an adapter or any other flow without network or clock.

| to                                               | use                                          |
|--------------------------------------------------|----------------------------------------------|
| run a flow in virtual time, with faults          | Simulator, Faults                            |
| answer its HTTP requests                         | ScriptedVendor, Answer, Pause, Reset, Hangup |
| step it by hand, effect by effect                | Playbook, ANY, matching                      |
| check a provider or an adapter of your own       | check_provider, check_adapter                |
| check one contract                               | check_history, check_split_invariance, ...   |
| make test data with Hypothesis                   | strategies (`pip install tako-sansio[testing]`) |

Each name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tako.testing import strategies
    from tako.testing.conformance import (
        check_determinism,
        check_history,
        check_split_invariance,
        check_stream_contract,
        check_truncation,
        comparable,
        first_difference,
    )
    from tako.testing.faults import Faults
    from tako.testing.patterns import ANY, matching
    from tako.testing.playbook import Playbook, PlaybookMismatch
    from tako.testing.scenarios import SCENARIOS, Scenario
    from tako.testing.simulator import Deadlock, Performed, SimulatedRun, Simulator
    from tako.testing.suites import Observed, check_adapter, check_provider, check_scenario, simulate
    from tako.testing.vendor import Answer, Hangup, Pause, ReceivedRequest, Reset, ScriptedVendor

__all__ = [
    "ANY",
    "SCENARIOS",
    "Answer",
    "Deadlock",
    "Faults",
    "Hangup",
    "Observed",
    "Pause",
    "Performed",
    "Playbook",
    "PlaybookMismatch",
    "ReceivedRequest",
    "Reset",
    "Scenario",
    "ScriptedVendor",
    "SimulatedRun",
    "Simulator",
    "check_adapter",
    "check_determinism",
    "check_history",
    "check_provider",
    "check_scenario",
    "check_split_invariance",
    "check_stream_contract",
    "check_truncation",
    "comparable",
    "first_difference",
    "matching",
    "simulate",
    "strategies",
]

_HOMES = {
    "conformance": (
        "check_determinism",
        "check_history",
        "check_split_invariance",
        "check_stream_contract",
        "check_truncation",
        "comparable",
        "first_difference",
    ),
    "faults": ("Faults",),
    "patterns": ("ANY", "matching"),
    "playbook": ("Playbook", "PlaybookMismatch"),
    "scenarios": ("SCENARIOS", "Scenario"),
    "simulator": ("Deadlock", "Performed", "SimulatedRun", "Simulator"),
    "suites": ("Observed", "check_adapter", "check_provider", "check_scenario", "simulate"),
    "vendor": ("Answer", "Hangup", "Pause", "ReceivedRequest", "Reset", "ScriptedVendor"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "strategies":
        return import_module("tako.testing.strategies")
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
