"""Done when 5: a router trained on two hundred rollouts beats the rule router, and both ways to run it agree.

On tasks whose right role is not what the default rules say (`tasks`), with one label of ten wrong in the
training set, and two hundred held-out tasks of another seed. The margin that is promised: 30 points. What
was seen, in thirty epochs: 46 % right by the rules, 93 % by what was learned (82 to 99 % with other seeds and
epochs: a kind of task is learned as a whole, and the last one of eleven is the hardest).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tako.models import Message
from tako.routers import ModelRouter, OnnxRouter, RegexRouter, Router, RoutingDecision, Situation
from tako.testing import Simulator
from tako.training import Rollout, TrinityTrainer

from .tasks import tasks

ROLES = ("code|fake:a", "math|fake:b", "chat|fake:c")
MARGIN = 0.30


@pytest.fixture(scope="module")
def trained() -> TrinityTrainer:
    return TrinityTrainer(epochs=30, labels=("code", "math", "chat")).fit(tasks(200, seed=1, wrong_in=10))


@pytest.fixture(scope="module")
def held_out() -> list[Rollout]:
    return tasks(200, seed=2)


def chosen(router: Router, rollouts: list[Rollout]) -> list[RoutingDecision]:
    simulator = Simulator()
    situations = [Situation((Message.user(one.prompt),), ROLES) for one in rollouts]
    return [simulator.run(router.choose_flow(situation)) for situation in situations]


def accuracy(router: Router, rollouts: list[Rollout]) -> float:
    pairs = zip(chosen(router, rollouts), rollouts, strict=True)
    return sum(decision.index == one.label for decision, one in pairs) / len(rollouts)


def test_a_trained_router_beats_the_rules_by_the_margin(
    trained: TrinityTrainer, held_out: list[Rollout]
) -> None:
    by_rules = accuracy(RegexRouter(), held_out)
    learned = accuracy(ModelRouter(trained.model()), held_out)
    assert 0.3 < by_rules < 0.6  # the rules are not what decides here, and not useless either
    assert learned >= by_rules + MARGIN


def test_onnx_and_pure_inference_agree(
    tmp_path: Path, trained: TrinityTrainer, held_out: list[Rollout]
) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: the extra `onnx`")
    trained.export_onnx(tmp_path / "router.onnx")
    trained.export_json(tmp_path / "router.json")
    pure = chosen(ModelRouter(tmp_path / "router.json"), held_out)
    onnx = chosen(OnnxRouter(tmp_path / "router.onnx"), held_out)
    assert [one.index for one in pure] == [one.index for one in onnx]
    assert max(abs(a.confidence - b.confidence) for a, b in zip(pure, onnx, strict=True)) < 1e-5
