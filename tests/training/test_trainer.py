"""The trainer: what it learns, what it refuses, what it writes."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.chance import Chance
from tako.errors import InvalidInput
from tako.routers import RouterModel, featurise_text
from tako.routers.model import Layer
from tako.training import Rollout, TrinityTrainer, label_from_scores, rollouts_of_lines, to_lines
from tako.training.network import Network, Text
from tako.training.trainer import START

from ..effort import examples

PROMPTS = ("`x`", "1 + 1", "How are you?")
ROLLOUTS = [
    Rollout.from_prompt(f"{prompt}{' more' * n}", label)
    for label, prompt in enumerate(PROMPTS)
    for n in range(4)
]
QUICK: dict[str, Any] = {"hidden": 8, "epochs": 40, "lr": 0.2, "batch_size": 4}


@pytest.fixture(scope="module")
def trained() -> TrinityTrainer:
    return TrinityTrainer(**QUICK).fit(ROLLOUTS)


def loss_of(model: RouterModel, batch: list[list[float]], labels: list[int]) -> float:
    shares = [model.probabilities(features)[label] for features, label in zip(batch, labels, strict=True)]
    return -sum(math.log(share) for share in shares)


@settings(max_examples=examples(0.3))
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(2, 3))
def test_a_step_goes_down_the_gradient_of_the_loss(seed: int, hidden: int, classes: int) -> None:
    """Each weight is moved by what the loss changes when it is moved a little, found by trying that out."""
    chance = Chance(seed)
    network = Network(hidden, classes, chance)
    batch = [
        [chance.fraction() if chance.below(2) else float(chance.below(2)) for _ in range(16)]
        for _ in range(3)
    ]
    labels = [chance.below(classes) for _ in batch]
    before = network.model()
    loss = network.learn([Text.of(features) for features in batch], labels, rate=1.0)
    assert loss == pytest.approx(loss_of(before, batch, labels))
    after, little = network.model(), 1e-6
    for place in range(2):
        for unit in range(len(before.layers[place].biases)):
            for weight in range(len(before.layers[place].weights[unit])):
                up = loss_of(_moved(before, place, unit, weight, little), batch, labels)
                down = loss_of(_moved(before, place, unit, weight, -little), batch, labels)
                moved = after.layers[place].weights[unit][weight] - before.layers[place].weights[unit][weight]
                assert moved == pytest.approx(-(up - down) / (2 * little) / 3, abs=1e-5)
            up = loss_of(_moved(before, place, unit, None, little), batch, labels)
            down = loss_of(_moved(before, place, unit, None, -little), batch, labels)
            moved = after.layers[place].biases[unit] - before.layers[place].biases[unit]
            assert moved == pytest.approx(-(up - down) / (2 * little) / 3, abs=1e-5)


def _moved(model: RouterModel, place: int, unit: int, weight: int | None, by: float) -> RouterModel:
    layers = list(model.layers)
    weights, biases = [list(row) for row in layers[place].weights], list(layers[place].biases)
    if weight is None:
        biases[unit] += by
    else:
        weights[unit][weight] += by
    layers[place] = Layer(tuple(map(tuple, weights)), tuple(biases))
    return RouterModel(tuple(layers))


def test_the_weights_at_the_start_are_scaled_to_their_layers() -> None:
    inner, outer = Network(64, 16, Chance(3)).model().layers
    for layer, inputs, outputs in ((inner, 16, 64), (outer, 64, 16)):
        values = [value for row in layer.weights for value in row]
        assert sum(values) / len(values) == pytest.approx(0, abs=0.02)
        spread = math.sqrt(sum(value * value for value in values) / len(values))
        assert spread == pytest.approx(math.sqrt(2 / (inputs + outputs)), rel=0.1)
        assert set(layer.biases) == {0.0}


def test_it_learns_what_it_is_shown(trained: TrinityTrainer) -> None:
    assert [trained.predict(f"{prompt} please") for prompt in PROMPTS] == [0, 1, 2]
    shares = trained.predict_proba("`x`")
    assert sum(shares) == pytest.approx(1) and shares[0] > 0.8
    assert trained.loss is not None and 0 < trained.loss < 0.3 and trained.n_classes == 3


def test_the_same_seed_gives_the_same_model_and_another_one_another(trained: TrinityTrainer) -> None:
    assert TrinityTrainer(**QUICK).fit(iter(ROLLOUTS)).model() == trained.model()
    other = TrinityTrainer(**{**QUICK, "epochs": 1}, seed=7).fit(ROLLOUTS).model()
    assert other != TrinityTrainer(**{**QUICK, "epochs": 1}).fit(ROLLOUTS).model()


def test_each_epoch_goes_through_all_rollouts_in_an_order_of_its_own() -> None:
    learned = TrinityTrainer(hidden=2, epochs=1, batch_size=1).fit(ROLLOUTS).model()
    in_order = Network(2, 3, Chance(42, START))
    for one in ROLLOUTS:
        in_order.learn([Text.of(one.features)], [one.label], 0.05)
    assert learned != in_order.model()


@pytest.mark.parametrize("hidden", [1, 2, 24])
def test_units_that_nothing_reaches_are_left_out_and_nothing_else_is_different(hidden: int) -> None:
    """Of one or two units all may be out of reach, and then the biases of the classes learn alone."""
    texts, labels = [Text.of(one.features) for one in ROLLOUTS], [one.label for one in ROLLOUTS]
    for seed in range(2):
        saving, whole = Network(hidden, 3, Chance(seed)), Network(hidden, 3, Chance(seed))
        for _ in range(3):
            for first in range(0, len(texts), 4):
                part = slice(first, first + 4)
                saved = saving.learn(texts[part], labels[part], 0.2)
                assert saved == whole.learn(texts[part], labels[part], 0.2)
            saving.end_epoch()
        assert saving.model() == whole.model()
        assert hidden < 24 or 0 < len(saving._awake) < len(whole._awake) == 24


def test_training_goes_on_from_the_weights_of_an_earlier_one(trained: TrinityTrainer) -> None:
    again = TrinityTrainer(**{**QUICK, "epochs": 1}, weights=trained.model())
    assert again.predict("`x`") == 0  # it knows what it was given before it learns
    again.fit(ROLLOUTS)
    fresh = TrinityTrainer(**{**QUICK, "epochs": 1}).fit(ROLLOUTS)
    assert again.loss is not None and fresh.loss is not None and again.loss < trained.loss < fresh.loss  # type: ignore[operator]
    assert again.model() != trained.model()
    assert again.hidden == 8  # as the weights have it, whatever was said
    with pytest.raises(InvalidInput, match="weights are for 3 candidates, and there are 4 classes"):
        TrinityTrainer(weights=trained.model(), n_classes=4).fit(ROLLOUTS)


def test_labels_are_the_models_names_and_there_may_be_more_classes_than_were_seen() -> None:
    named = TrinityTrainer(hidden=2, epochs=1, labels=["a", "b", "c", "d"]).fit(ROLLOUTS)
    assert named.model().labels == ("a", "b", "c", "d") and named.model().outputs == 4
    assert TrinityTrainer(hidden=2, epochs=1, n_classes=5).fit(ROLLOUTS).model().outputs == 5
    again = TrinityTrainer(epochs=1, weights=named.model(), n_classes=4).fit(ROLLOUTS)
    assert again.model().labels == ("a", "b", "c", "d")
    with pytest.raises(InvalidInput, match="labels are b, a, c, d, and weights are for a, b, c, d; leave"):
        TrinityTrainer(weights=named.model(), labels=["b", "a", "c", "d"])


def test_what_cannot_be_a_model_is_said_before_the_work_is_done() -> None:
    with pytest.raises(InvalidInput, match="labels has a name twice"):
        TrinityTrainer(epochs=10**9, labels=["a", "b", "a"]).fit(ROLLOUTS)
    with pytest.raises(InvalidInput, match="more than 1000000 weights; take a smaller hidden"):
        TrinityTrainer(epochs=10**9, hidden=2000, n_classes=501).fit(ROLLOUTS)


def test_features_that_are_given_are_used() -> None:
    flipped = [dataclasses.replace(one, prompt="ignored") for one in ROLLOUTS]
    bare = [Rollout(one.prompt, one.label) for one in ROLLOUTS]
    first = TrinityTrainer(**{**QUICK, "epochs": 2}).fit(flipped).model()
    assert first == TrinityTrainer(**{**QUICK, "epochs": 2}).fit(bare).model()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"hidden": 0}, "hidden should be a whole number from 1 to 4096, not 0"),
        ({"hidden": 5000}, "hidden should be"),
        ({"epochs": 0}, "epochs should be a whole number of at least 1"),
        ({"epochs": 1.0}, "epochs should be"),
        ({"batch_size": True}, "batch_size should be"),
        ({"seed": "42"}, "seed should be a whole number, not '42'"),
        ({"n_classes": -1}, "n_classes should be"),
        ({"lr": 0}, "lr should be a number above 0"),
        ({"lr": math.nan}, "lr should be a number above 0, not nan"),
        ({"lr": math.inf}, "lr should be a number above 0"),
        ({"labels": "abc"}, "labels should be a list of the names"),
        ({"labels": ["a", ""]}, "labels should be a list of the names"),
        ({"labels": 3}, "labels should be a list of the names"),
        ({"labels": ["a", "b"], "n_classes": 3}, "n_classes is 3, and there are 2 labels"),
        ({"weights": {}}, "weights should be a RouterModel, not dict"),
        ({"weights": RouterModel((Layer(((0.0,) * 16,), (0.0,)),))}, "a model of two layers, not 1"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        TrinityTrainer(**arguments)


def test_defect_108_rollouts_are_checked_before_anything_is_learned() -> None:
    for rollouts, words in (
        ([], "rollouts is empty"),
        (None, r"rollouts\[0\] should be a Rollout, not NoneType"),
        ([*ROLLOUTS, ("x", 1)], r"rollouts\[12\] should be a Rollout, not tuple"),
        ([Rollout("x", 3)], r"rollouts\[0\] has the label 3, and there are 3 classes, from 0 to 2"),
    ):
        with pytest.raises(ValueError, match=words):
            TrinityTrainer(n_classes=3).fit(rollouts)  # type: ignore[arg-type]
    for trainer in (TrinityTrainer(), TrinityTrainer(labels=["a"])):
        for ask in (trainer.model, lambda trainer=trainer: trainer.predict("x")):
            with pytest.raises(InvalidInput, match=r"nothing has been learned yet; call fit"):
                ask()


def test_a_training_that_runs_away_says_so() -> None:
    for rate in (1e5, 1e300):
        trainer = TrinityTrainer(hidden=4, epochs=30, lr=rate)
        with pytest.raises(InvalidInput, match="numbers without bounds; take a smaller lr than"):
            trainer.fit(ROLLOUTS)
        with pytest.raises(InvalidInput, match="nothing has been learned"):
            trainer.model()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("x", True), "label should be the place of a candidate, from 0, not True"),
        (("x", "0"), "label should be the place"),
        (("x", 1.0), "label should be the place"),
        (("x", -1), "label should be from 0 to 4095, not -1"),
        (("x", 4096), "label should be from 0 to 4095"),
        ((3, 0), "prompt should be text, not int"),
        (("x", 0, [1.0]), "features should be 16 numbers, not 1"),
        (("x", 0, [math.nan] * 16), "features should be numbers from -1e6 to 1e6, not nan"),
        (("x", 0, ["1"] * 16), "features should be numbers"),
        (("x", 0, None), "features should be numbers, not NoneType"),
    ],
)
def test_a_rollout_is_checked_when_it_is_made(arguments: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Rollout(*arguments)
    if len(arguments) == 2:
        with pytest.raises(InvalidInput, match=words):
            Rollout.from_prompt(*arguments)


def test_a_rollout_has_the_features_of_its_prompt() -> None:
    assert list(Rollout.from_prompt("1 + 1", 2).features) == featurise_text("1 + 1")


def test_the_label_is_the_place_of_the_best_score() -> None:
    assert label_from_scores([0.1, 0.9, 0.9]) == 1
    assert label_from_scores((-1,)) == 0
    wrong: list[tuple[Any, str]] = [
        ([], "scores is empty"),
        ([0.1, math.nan], "one of them is nan"),
        ([None, 1], "one of them is None"),
        ("01", "scores should be a list of numbers, not str"),
        (iter([1]), "scores should be a list of numbers"),
    ]
    for scores, words in wrong:
        with pytest.raises(InvalidInput, match=words):
            label_from_scores(scores)


def test_a_line_ends_with_a_line_feed_and_nothing_else() -> None:
    assert rollouts_of_lines(b'{"prompt": "x",\r "label": 0}\r\n') == [Rollout.from_prompt("x", 0)]


@settings(max_examples=examples(0.5))
@given(st.lists(st.tuples(st.text(), st.integers(0, 9)), max_size=5))
def test_rollouts_come_back_from_their_lines(pairs: list[tuple[str, int]]) -> None:
    rollouts = [Rollout.from_prompt(*pair) for pair in pairs]
    assert rollouts_of_lines(to_lines(rollouts)) == rollouts


def test_what_no_file_can_hold_becomes_a_question_mark_and_a_file_is_bytes() -> None:
    assert to_lines([Rollout("a\ud800", 0)]) == b'{"prompt":"a?","label":0}\n'
    with pytest.raises(InvalidInput, match="data should be bytes, not str"):
        rollouts_of_lines("{}")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'\n\n{"prompt": "x"', "r.jsonl, line 3 is no JSON"),
        (b"[1]", "r.jsonl, line 1 should look like"),
        (b'{"prompt": "x"}', "line 1 should look like"),
        (b'{"prompt": "x", "label": 0}\n{"prompt": 1, "label": 0}', "line 2: prompt should be text"),
        (b'{"prompt": "x", "label": "0"}', "line 1: label should be the place"),
        (b'{"prompt": "\xff", "label": 0}', "line 1 is no JSON"),
        (b"[" * 9999, "line 1 is no JSON"),
    ],
)
def test_a_line_that_is_no_rollout_is_named(data: bytes, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        rollouts_of_lines(data, "r.jsonl")


def test_it_learns_from_a_file_and_writes_what_it_learned(tmp_path: Path, trained: TrinityTrainer) -> None:
    path = tmp_path / "rollouts.jsonl"
    path.write_bytes(
        to_lines(ROLLOUTS).replace(b"\n", b"\r\n\n") + b'{"prompt": "`x`", "label": 0, "more": 1}'
    )
    assert TrinityTrainer(hidden=2, epochs=1).fit_jsonl(path).model().outputs == 3
    trained.export_json(tmp_path / "router.json")
    assert RouterModel.loads((tmp_path / "router.json").read_bytes()) == trained.model()
    with pytest.raises(InvalidInput, match=r"gone\.jsonl cannot be read: No such file"):
        TrinityTrainer().fit_jsonl(tmp_path / "gone.jsonl")
    with pytest.raises(InvalidInput, match=r"router\.onnx cannot be written: No such file"):
        trained.export_onnx(tmp_path / "gone" / "router.onnx")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidInput, match="folder cannot be written: Is a directory"):
        trained.export_json(tmp_path / "folder")
    (tmp_path / "folder").rmdir()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["rollouts.jsonl", "router.json"]


def test_defect_108_nothing_but_python_is_needed_and_whoever_needs_more_is_told() -> None:
    """In a process of its own, where neither numpy nor onnx can be imported."""
    program = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['numpy', 'onnx', 'onnxruntime']))\n"
        "from tako.training import Rollout, TrinityTrainer, onnx_bytes\n"
        "from tako.routers import ModelRouter, OnnxRouter\n"
        "trainer = TrinityTrainer(hidden=2, epochs=1).fit([Rollout('a', 0), Rollout('b', 1)])\n"
        "onnx_bytes(trainer.model())\n"
        "print(ModelRouter(trainer.model()).choose_sync('x', ['a', 'b']).index in (0, 1))\n"
        "try:\n"
        "    OnnxRouter('router.onnx').choose_sync('x', ['a', 'b'])\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.startswith("True\n") and "pip install tako-sansio[onnx]" in done.stdout, done.stderr
