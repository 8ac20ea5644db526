"""The command line: `python -m tako.training --rollouts rollouts.jsonl --out router.json`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tako.errors import InvalidInput, TakoError
from tako.training.files import read_file
from tako.training.journals import rollouts_from_journals
from tako.training.rollout import Rollout, rollouts_of_lines
from tako.training.trainer import TrinityTrainer

__all__ = ["cli"]


def cli(argv: Sequence[str] | None = None) -> int:
    """0 if a router was trained, 2 if it could not be."""
    asked = _parser().parse_args(argv)
    try:
        rollouts = _rollouts(asked.rollouts, asked.journal)
        trainer = TrinityTrainer(
            hidden=asked.hidden, epochs=asked.epochs, lr=asked.lr, seed=asked.seed, labels=asked.labels
        ).fit(rollouts)
        for path in asked.out:
            export = trainer.export_onnx if path.lower().endswith(".onnx") else trainer.export_json
            export(path)
    except TakoError as error:
        print(f"tako.training: {error}", file=sys.stderr)
        return 2
    right = sum([trainer.predict(one.prompt) == one.label for one in rollouts])
    print(
        f"{len(rollouts)} rollouts, {trainer.n_classes} classes, loss {trainer.loss:.4f}, right of those "
        f"trained on: {right / len(rollouts):.1%}; written: {', '.join(asked.out)}"
    )
    return 0


def _rollouts(paths: Sequence[str], journals: Sequence[str]) -> list[Rollout]:
    """Those of the files, and then those of the journals; raises InvalidInput."""
    if not paths and not journals:
        raise InvalidInput("say what to train on: --rollouts FILE, or --journal FILE")
    found = [one for path in paths for one in rollouts_of_lines(read_file(path), path)]
    found += rollouts_from_journals(journals)
    if not found:
        raise InvalidInput(
            f"there is nothing to learn from in {', '.join([*paths, *journals])}; of a journal those choices "
            "of a router count that a score of at least 0.5 comes after"
        )
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tako.training", description="Train a router on what was right in earlier runs."
    )
    add = parser.add_argument
    add(
        "--rollouts",
        action="append",
        default=[],
        metavar="FILE",
        help='one {"prompt": ..., "label": ...} a line; again for more files',
    )
    add("--journal", action="append", default=[], metavar="FILE", help="a journal with choices and scores")
    add("--out", action="append", required=True, metavar="FILE", help=".onnx, or anything else for JSON")
    add("--labels", nargs="+", default=(), metavar="NAME", help="the names of the candidates, in order")
    add("--hidden", type=int, default=32, help="units in the hidden layer (32)")
    add("--epochs", type=int, default=200, help="how often each rollout is learned from (200)")
    add("--lr", type=float, default=0.05, help="the learning rate (0.05)")
    add("--seed", type=int, default=42, help="of the weights and the order (42)")
    return parser
