"""The command line: `python -m tako.eval --orch my_agents:agent --dataset tasks.jsonl --out report.html`.

| it ends with | when                                                                   |
|--------------|------------------------------------------------------------------------|
| 0            | the evaluation ran, and pass@k is not under --fail-under                |
| 1            | it ran, and pass@k is                                                  |
| 2            | it could not run, or a report could not be written                     |
| 130          | Ctrl-C: the reports are on what was done. The second one ends at once  |
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TextIO

from tako.cancellation import CancellationToken
from tako.errors import InvalidInput, TakoError
from tako.eval.evaluation import AttemptDone, Eval
from tako.eval.external import load_dataset
from tako.eval.files import check_writable, load_jsonl, write_report
from tako.eval.names import named
from tako.eval.progress import ProgressBar
from tako.eval.report import EvalReport
from tako.eval.task import Dataset

__all__ = ["cli"]

INTERRUPTED: Final = 128 + signal.SIGINT


def cli(argv: Sequence[str] | None = None) -> int:
    """Evaluate as the arguments say; gives what the process should end with."""
    asked = _parser().parse_args(argv)
    try:
        with _cancelled_by_ctrl_c() as token:
            report = _evaluate(asked, token)
        print(report)
        for path in asked.out:
            write_report(report, path)
    except TakoError as error:
        print(f"tako.eval: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"tako.eval: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    if token.is_cancelled:
        return INTERRUPTED
    return int(report.pass_at_k < asked.fail_under)


@contextmanager
def _cancelled_by_ctrl_c() -> Iterator[CancellationToken]:
    """A token for the first Ctrl-C; the second does what it did before."""
    token = CancellationToken()

    def stop(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        token.cancel()

    try:
        before = signal.signal(signal.SIGINT, stop)
    except ValueError:  # somebody's thread, to which no signals come
        yield token
        return
    try:
        yield token
    finally:
        signal.signal(signal.SIGINT, before)


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
    add("--journals", metavar="FOLDER", help="keep each attempt there, and go on from what is there")
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


def _evaluate(asked: argparse.Namespace, token: CancellationToken) -> EvalReport:
    for path in asked.out:
        check_writable(path)
    if not 0 <= asked.fail_under <= 1:
        raise InvalidInput(f"--fail-under should be a share from 0 to 1, not {asked.fail_under:g}")
    evaluation = Eval(
        named(asked.orch),
        _dataset(asked.dataset, asked.limit),
        k=asked.k,
        attempts=asked.attempts,
        concurrency=asked.concurrency,
        grader=None if asked.grader is None else named(asked.grader),
        orch_name=asked.orch,
        allow_unsafe_grader=asked.allow_unsafe_grader,
        journals=asked.journals,
    )
    if asked.quiet or not sys.stderr.isatty():
        return evaluation.run_sync(cancel=token)
    with evaluation.stream_sync(cancel=token) as events:
        _show(events, sys.stderr)
        return events.result


def _dataset(name: str, limit: int | None) -> Dataset:
    return load_jsonl(name).first(limit) if name.endswith(".jsonl") else load_dataset(name, limit=limit)


def _show(events: Iterable[AttemptDone], where: TextIO) -> None:
    """Write the bar over itself until all is done."""
    bar = ProgressBar()
    for event in events:
        print(f"\r\x1b[K{bar.line(event)}", end="", file=where, flush=True)
    print(file=where)
