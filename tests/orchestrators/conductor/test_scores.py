"""A Conductor's verifier: each answer of a worker is scored, and the coordinator is told."""

from __future__ import annotations

import pytest

from tako.effects import Flow, Sleep
from tako.errors import ProviderError
from tako.events import VerifierScore
from tako.models import Usage
from tako.orchestrators.conductor import Conductor
from tako.providers import Fake
from tako.testing import Simulator
from tako.verifiers.base import Candidate, Score, Verifier, Watch
from tests.orchestrators.conductor.kit import answer, own, plan
from tests.orchestrators.kit import Recorded

END = answer("done")


class Lengths(Verifier):
    """Scores by length, also of what still grows; its judge has used something."""

    def score_flow(self, candidate: Candidate) -> Flow[Score]:
        yield Sleep(1.0)
        if candidate.text == "odd":
            raise ProviderError("cannot judge this")
        used = Usage(input_tokens=100, output_tokens=0)
        return Score(value=min(1.0, len(candidate.text) / 10), reason=f"for {candidate.task!r}", usage=used)

    def watch(self) -> Watch | None:
        return lambda candidate: Score(value=min(1.0, len(candidate.text) / 10))


@pytest.mark.parametrize("streaming", [True, False])
def test_38_each_answer_is_scored_in_a_run_and_in_a_stream(streaming: bool) -> None:
    workers = {
        "a": Fake("four"),
        "b": Fake(script=[ProviderError("overloaded")]),
        "c": Fake("odd"),
        "d": Fake("seven77"),
    }
    coordinator = Recorded(plan(*[(name, "x") for name in workers]), END)
    one, simulator = Conductor(coordinator, workers, verifier=Lengths()), Simulator()
    run = simulator.stream(one.flow("the question", streaming=streaming))
    events, result = list(run), run.result
    found = result.rounds[0].results
    assert [one.score for one in found] == [0.4, None, None, 0.7]
    assert [one.reason for one in found] == [
        "for 'the question'",
        "",
        "cannot judge this",
        "for 'the question'",
    ]
    assert simulator.now == pytest.approx(1.0)  # side by side
    assert result.usage.input_tokens == 2 + 4 + 200
    told = coordinator.requests[1].messages[-1].text
    assert "[score 0.40: for 'the question']" in told and "[not scored: cannot judge this]" in told
    if streaming:
        scores = [event for event in own(events) if isinstance(event, VerifierScore)]
        assert [(one.step, one.branch, one.score) for one in scores if not one.is_partial] == [
            (1, 1, 0.4),
            (1, 4, 0.7),
        ]
        assert {one.branch for one in scores if one.is_partial} == {1, 3, 4}


def test_a_function_is_a_verifier() -> None:
    one = Conductor(
        Fake(script=[plan(("a", "x")), END]),
        {"a": Fake("fine")},
        verifier=lambda task, text: (0.25, task + text),
    )
    (found,) = Simulator().run(one, "the question").rounds[0].results
    assert (found.score, found.reason) == (0.25, "the questionfine")
