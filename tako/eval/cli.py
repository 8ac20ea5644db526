"""The command line: `python -m tako.eval --orch my_agents:agent --dataset tasks.jsonl --out report.html`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TextIO

from tako.errors import TakoError
from tako.eval.evaluation import AttemptDone, Eval
from tako.eval.external import load_dataset
from tako.eval.files import load_jsonl, write_report
from tako.eval.names import named
from tako.eval.progress import ProgressBar
from tako.eval.report import EvalReport
from tako.eval.task import Dataset

__all__ = ["cli"]


def cli(argv: Sequence[str] | None = None) -> int:
    """0 if the evaluation ran and is not under --fail-under, 1 if it is, 2 if it could not run."""
    asked = _parser().parse_args(argv)
    sys.path.insert(0, "")  # where a module of the user's stands
    try:
        report = _evaluate(asked)
        for path in asked.out:
            write_report(report, path)
    except TakoError as error:
        print(f"tako.eval: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"tako.eval: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    print(report)
    return int(report.pass_at_k < asked.fail_under)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tako.eval", description="How well an agent does on a dataset."
    )
    add = parser.add_argument
    add("--orch", required=True, metavar="MODULE:NAME", help='the agent; with "()" behind it, what makes it')
    add("--dataset", default="synthetic", help="synthetic, swe_bench_lite, gpqa_diamond, or a .jsonl file")
    add("--limit", type=int, help="only the first so many tasks")
    add("--k", type=int, default=1, help="tell pass@k (1)")
    add("--attempts", type=int, help="how often each task is tried (k times)")
    add("--concurrency", type=int, default=4, help="attempts at once (4)")
    add("--grader", metavar="MODULE:NAME", help="a grader, a verifier or a function of (task, output)")
    add("--allow-unsafe-grader", action="store_true", help="run code that a model has written")
    add(
        "--out",
        action="append",
        default=[],
        metavar="FILE",
        help="write the report: .json or .html; again for both",
    )
    add("--fail-under", type=float, default=0.0, metavar="SHARE", help="exit with 1 if pass@k is below")
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def _evaluate(asked: argparse.Namespace) -> EvalReport:
    one = Eval(
        named(asked.orch),
        _dataset(asked.dataset, asked.limit),
        k=asked.k,
        attempts=asked.attempts,
        concurrency=asked.concurrency,
        grader=None if asked.grader is None else named(asked.grader),
        orch_name=asked.orch,
        allow_unsafe_grader=asked.allow_unsafe_grader,
    )
    if asked.quiet or not sys.stderr.isatty():
        return one.run_sync()
    with one.stream_sync() as events:
        _show(events, sys.stderr)
        return events.result


def _dataset(name: str, limit: int | None) -> Dataset:
    return load_jsonl(name).first(limit) if name.endswith(".jsonl") else load_dataset(name, limit=limit)


def _show(events: object, where: TextIO) -> None:
    """Write the bar over itself until all is done."""
    bar = ProgressBar()
    for event in events:  # type: ignore[attr-defined]
        if isinstance(event, AttemptDone):
            print(f"\r\x1b[K{bar.line(event)}", end="", file=where, flush=True)
    print(file=where)
