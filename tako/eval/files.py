"""The files of an evaluation: datasets in, reports out. Blocking functions, for people at a terminal."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from tako.errors import InvalidInput
from tako.eval.html import as_html
from tako.eval.report import EvalReport
from tako.eval.task import Dataset, Task
from tako.models import describe

__all__ = ["load_jsonl", "write_report"]


def load_jsonl(path: str | Path, *, name: str | None = None) -> Dataset:
    """A dataset from a file with one task a line; empty lines do not count.

    Raises InvalidInput that names the line.
    """
    file = Path(path)
    tasks: list[Task] = []
    for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            tasks.append(Task.model_validate_json(line))
        except ValidationError as error:
            raise InvalidInput(f"{file}, line {number}, is no task: {describe(error)}") from error
    return Dataset(name=name or file.stem, tasks=tuple(tasks))


def write_report(report: EvalReport, path: str | Path) -> None:
    """Write it as HTML if the name ends so, otherwise as JSON."""
    file = Path(path)
    text = as_html(report) if file.suffix.lower() in (".html", ".htm") else report.model_dump_json(indent=2)
    file.write_text(text, encoding="utf-8")
