"""Evaluation: how well an agent does on tasks, how sure that is, and what it costs.

| to                                              | use                                                  |
|-------------------------------------------------|------------------------------------------------------|
| say what is asked and expected                  | Task, Dataset, load_jsonl, load_dataset              |
| run it here, blocking or async                  | Eval(agent, dataset, k=..., attempts=...)            |
| run it on other processes or machines           | run_on(executor, "module:agent", dataset)            |
| grade otherwise than by what the task expects   | Grader, Verified, any Verifier, a function           |
| read what came of it                            | EvalReport, as_html, write_report                    |
| do it from a terminal                           | python -m tako.eval                                  |

Each name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tako.eval.attempting import RunFn
    from tako.eval.command_line import cli
    from tako.eval.evaluation import AttemptDone, Eval
    from tako.eval.external import load_dataset, load_gpqa_diamond, load_swe_bench_lite
    from tako.eval.files import load_jsonl, write_report
    from tako.eval.graders import Expected, Grade, Grader, Verified, grader_of
    from tako.eval.html import as_html
    from tako.eval.patch_spec import PatchSpec
    from tako.eval.patches import grade_patch
    from tako.eval.report import Attempt, EvalReport, TaskResult, pass_at_k
    from tako.eval.scaling import run_on, stream_on
    from tako.eval.synthetic import load_synthetic
    from tako.eval.task import Dataset, Task

__all__ = [
    "Attempt",
    "AttemptDone",
    "Dataset",
    "Eval",
    "EvalReport",
    "Expected",
    "Grade",
    "Grader",
    "PatchSpec",
    "RunFn",
    "Task",
    "TaskResult",
    "Verified",
    "as_html",
    "cli",
    "grade_patch",
    "grader_of",
    "load_dataset",
    "load_gpqa_diamond",
    "load_jsonl",
    "load_swe_bench_lite",
    "load_synthetic",
    "pass_at_k",
    "run_on",
    "stream_on",
    "write_report",
]

_NAMES_OF = {
    "attempting": "RunFn",
    "command_line": "cli",
    "evaluation": "AttemptDone Eval",
    "external": "load_dataset load_gpqa_diamond load_swe_bench_lite",
    "files": "load_jsonl write_report",
    "graders": "Expected Grade Grader Verified grader_of",
    "html": "as_html",
    "patch_spec": "PatchSpec",
    "patches": "grade_patch",
    "report": "Attempt EvalReport TaskResult pass_at_k",
    "scaling": "run_on stream_on",
    "synthetic": "load_synthetic",
    "task": "Dataset Task",
}
_HOME_OF = {name: home for home, names in _NAMES_OF.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
