"""Evaluations where the first tako had them."""

from tako.eval import (
    Dataset,
    Eval,
    EvalReport,
    PatchSpec,
    RunFn,
    Task,
    TaskResult,
    cli,
    grade_patch,
    load_dataset,
    load_jsonl,
    load_synthetic,
)

__all__ = [
    "Dataset",
    "Eval",
    "EvalReport",
    "PatchSpec",
    "RunFn",
    "Task",
    "TaskResult",
    "cli",
    "grade_patch",
    "load_dataset",
    "load_jsonl",
    "load_synthetic",
]
