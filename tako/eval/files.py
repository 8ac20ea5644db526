"""The files of an evaluation: datasets in, reports out. Blocking functions, for people at a terminal."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from tako.errors import InvalidInput
from tako.eval.html import as_html
from tako.eval.report import EvalReport
from tako.eval.task import Dataset, Task
from tako.models import describe

__all__ = ["check_writable", "load_jsonl", "make_folder", "write_report"]

BOM = b"\xef\xbb\xbf"
PAGES = (".html", ".htm")


def load_jsonl(path: str | Path, *, name: str | None = None) -> Dataset:
    """A dataset from a file with one task a line; empty lines do not count.

    Raises InvalidInput that names the line, OSError for a file that cannot be read.
    """
    file = Path(path)
    tasks: list[Task] = []
    for number, line in enumerate(file.read_bytes().removeprefix(BOM).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            tasks.append(Task.model_validate_json(line))
        except ValidationError as error:
            raise InvalidInput(f"{file}, line {number}, is no task: {describe(error)}") from error
    if not tasks:
        raise InvalidInput(f"{file} has no tasks; it should have one a line, as JSON")
    return Dataset(name=name or file.stem, tasks=tuple(tasks))


def write_report(report: EvalReport, path: str | Path) -> None:
    """Write it as HTML if the name ends so, otherwise as JSON."""
    file = Path(path)
    text = as_html(report) if file.suffix.lower() in PAGES else report.model_dump_json(indent=2)
    file.write_text(text, encoding="utf-8")


def check_writable(path: str | Path) -> None:
    """Whether a report can be written there, before hours are spent on it; raises InvalidInput."""
    file = Path(path)
    if file.suffix.lower() not in (".json", *PAGES):
        raise InvalidInput(f"a report is written as .json or .html, and not as {str(file)!r}")
    if not file.parent.is_dir():
        raise InvalidInput(f"{file} cannot be written: there is no folder {str(file.parent)!r}")


def make_folder(path: str) -> None:
    """Make a folder for journals, if it is not there; raises InvalidInput."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"journals: the folder {path!r} cannot be made: {error.strerror}") from error
