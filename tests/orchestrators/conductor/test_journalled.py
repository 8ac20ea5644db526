"""A Conductor whose journal is kept: it goes on where it was killed, and nobody is asked twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tako.events import AssistantText
from tako.journal import Journal
from tako.models import ChatRequest
from tako.orchestrators.conductor import Conductor
from tako.providers import Fake
from tako.testing import Faults, Simulator
from tests.orchestrators.conductor.kit import answer, deltas, own, plan


def made() -> tuple[Conductor, list[Fake], list[str]]:
    """A Conductor, its models, and what its verifier was asked."""
    asked: list[str] = []

    def reply(request: ChatRequest) -> str:
        return answer("It is 42.") if "Worker results" in request.messages[-1].text else PLAN

    def score(task: str, text: str) -> float:
        asked.append(text)
        return 0.5

    models = [Fake(script=reply, delay_ms=5), Fake("A", delay_ms=5), Fake("B", delay_ms=10)]
    return Conductor(models[0], {"a": models[1], "b": models[2]}, verifier=score), models, asked


PLAN = plan(("a", "x"), ("b", "y"))


@pytest.mark.parametrize("cancel_at", [0.003, 0.007, 0.012, 0.017])
def test_it_goes_on_where_it_was_broken_off(tmp_path: Path, cancel_at: float) -> None:
    journal = Journal(tmp_path / "run.jsonl")
    one, models, _ = made()
    before = Simulator(faults=Faults(cancel_at=cancel_at)).run(one.flow("go", journal=journal))
    assert before.stop_reason == "cancelled"
    finished = int(cancel_at > 0.005) + int(cancel_at > 0.010) + int(cancel_at > 0.015)
    one, models, asked = made()
    after = Simulator().run(one.flow("go", journal=journal))
    assert (after.text, after.steps, after.usage.total) == ("It is 42.", 4, 8)
    assert [[done.score for done in each.results] for each in after.rounds] == [[0.5, 0.5], []]
    assert sum(model.call_count for model in models) == 4 - finished
    assert sorted(asked) == (["A", "B"] if finished < 3 else [])


def test_a_replay_is_told_without_anybody_being_asked(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run.jsonl")
    before = Simulator().run(made()[0].flow("go", journal=journal))
    one, models, asked = made()
    run = Simulator().stream(one.flow("go", journal=journal, streaming=True))
    events = list(run)
    assert deltas(own(events)) == "It is 42."
    assert len([event for event in own(events) if isinstance(event, AssistantText)]) == 1
    assert [model.call_count for model in models] == [0, 0, 0] and asked == []
    assert events[-1].result.rounds == before.rounds and run.result.usage == before.usage
