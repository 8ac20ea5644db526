"""Every orchestrator, killed after any of its entries, ends as if it had not been."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tako.journal import Journal
from tako.orchestrators.ab_mcts import AbMcts
from tako.orchestrators.base import Orchestrator
from tako.orchestrators.conductor import Conductor
from tako.orchestrators.self_caller import SelfCaller
from tako.orchestrators.single_agent import SingleAgent
from tako.orchestrators.trinity import Trinity
from tako.providers.fake import Fake
from tako.testing.simulator import Simulator

HOUR = 3_600_000.0


def conductor(slow: float, **options: Any) -> Conductor:
    def plan(request: Any) -> str:
        if any(message.role.value == "assistant" for message in request.messages):
            return json.dumps({"halt": True, "final_answer": "both were asked"})
        return json.dumps({"dispatch": [{"worker": "a", "task": "x"}, {"worker": "b", "task": "y"}]})

    workers = {"a": Fake("A says", delay_ms=slow), "b": Fake("B says", delay_ms=20)}
    return Conductor(Fake(script=plan), workers=workers, **options)


def counting(request: Any) -> str:
    return f"answer {len(request.messages)}"


def judge(text: str) -> float:
    return (len(text) + ord(text[-1])) % 7 / 10


MADE: dict[str, Callable[[], Orchestrator[Any]]] = {
    "conductor": lambda: conductor(50),
    "a conductor whose worker is too slow": lambda: conductor(HOUR, worker_timeout_secs=1),
    "a conductor that takes the first": lambda: conductor(HOUR, join="first"),
    "self caller": lambda: SelfCaller(SingleAgent(Fake(script=counting)), judge, max_depth=2),
    "search": lambda: AbMcts(Fake(script=counting), verifier=judge, max_iterations=6, batch_size=2, seed=3),
    "trinity": lambda: Trinity(roles={"x": Fake("X"), "y": Fake("Y")}, router=lambda task: 1),
}


@pytest.mark.parametrize("name", MADE)
def test_a_killed_run_ends_as_it_would_have(name: str) -> None:
    make, journal = MADE[name], Journal.memory()
    expected = Simulator(1).run(make(), "go", journal=journal)
    lines = journal._store.lines
    for kept in range(0, len(lines) + 1, 1 + len(lines) // 6):
        left = Journal.memory(lines[:kept])
        result = Simulator(kept).run(make(), "go", journal=left)
        assert result.text == expected.text
        assert Simulator(0).run(make(), "go", journal=Journal.replay(left)) == result
    assert Simulator(2).run(make(), "go", journal=journal) == expected
