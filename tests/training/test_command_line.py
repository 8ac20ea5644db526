"""`python -m tako.training`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tako.journal import Journal
from tako.journal.entry import line_of
from tako.journal.store import HEAD
from tako.routers import RouterModel
from tako.training import Rollout, cli, onnx_bytes, to_lines

from .test_journals import route, score

QUICK = ["--hidden", "4", "--epochs", "20", "--lr", "0.2", "--seed", "7"]


def test_a_router_is_trained_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rollouts, json, onnx = (str(tmp_path / name) for name in ("r.jsonl", "router.json", "router.ONNX"))
    Path(rollouts).write_bytes(to_lines([Rollout("`x`", 0), Rollout("hello", 1)] * 4))
    assert (
        cli(["--rollouts", rollouts, "--out", json, "--out", onnx, "--labels", "code", "chat", *QUICK]) == 0
    )
    said = capsys.readouterr().out
    assert said.startswith("8 rollouts, 2 classes, loss 0.") and "right of those trained on: 100.0%" in said
    model = RouterModel.loads(Path(json).read_text())
    assert model.labels == ("code", "chat") and len(model.layers[0].biases) == 4
    assert Path(onnx).read_bytes() == onnx_bytes(model)


def test_journals_do_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal, out = tmp_path / "run.jsonl", tmp_path / "router.json"
    entries = [route((1,), 0), score((2,), 1.0), route((3,), 1, "y"), score((4,), 1.0)]
    journal.write_bytes(HEAD + b"".join(map(line_of, entries)))
    assert len(Journal(journal).entries()) == 4
    assert cli(["--journal", str(journal), "--out", str(out), *QUICK]) == 0
    assert "2 rollouts" in capsys.readouterr().out and out.exists()


def test_what_cannot_be_done_is_said_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "router.json")
    unscored = tmp_path / "unscored.jsonl"
    unscored.write_bytes(HEAD + line_of(route((1,), 0)))
    for arguments, words in (
        (["--out", out], "say what to train on"),
        (["--out", out, "--journal", str(unscored)], "nothing to learn from in"),
        (["--out", out, "--rollouts", "gone.jsonl"], "gone.jsonl cannot be read"),
        (["--out", out, "--rollouts", __file__], "line 1 is no JSON"),
        (["--out", out, "--rollouts", "x", "--lr", "-1"], "x cannot be read"),
    ):
        assert cli(arguments) == 2
        assert words in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli(["--rollouts", "x"])
    assert list(tmp_path.iterdir()) == [unscored]
