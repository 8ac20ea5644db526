"""Task and Dataset: what an agent is asked in an evaluation, and how one sees that it did well."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from tako.errors import InvalidInput
from tako.eval.patch_spec import PatchSpec
from tako.models import Value

__all__ = ["Dataset", "Task"]


class Task(Value):
    """One question. Of the expectations that are set all must hold; a task without any passes never.

    expected_substring  is somewhere in the answer
    expected_regex      finds something in the answer (Python's `re.search`)
    verify_patch        the answer is a patch, which is applied and tested; see `grade_patch`
    max_tokens          of an answer, for agents that take it
    metadata            what you like; it is in the report
    """

    called: ClassVar[str | None] = "Task"

    id: Annotated[str, Field(min_length=1)]
    prompt: str
    expected_substring: str | None = None
    expected_regex: str | None = None
    verify_patch: PatchSpec | None = None
    max_tokens: int | None = Field(default=None, gt=0)
    metadata: dict[str, Any] = Field(default_factory=dict)

    @field_validator("expected_regex")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except re.error as error:
                raise PydanticCustomError(
                    "regex", "is no regular expression: {error}", {"error": str(error)}
                ) from error
        return pattern

    def passes(self, output: str) -> bool:
        """Whether the answer is as expected, as far as one can tell without running anything."""
        if self.verify_patch is not None:
            return False
        checks: list[bool] = []
        if self.expected_substring is not None:
            checks.append(self.expected_substring in output)
        if self.expected_regex is not None:
            checks.append(re.search(self.expected_regex, output) is not None)
        return bool(checks) and all(checks)

    async def verify_async(self, output: str) -> bool:
        """Whether the answer is as expected; a patch is tested: RUNS WHAT A MODEL WROTE."""
        if self.verify_patch is None:
            return self.passes(output)
        from tako.eval.patches import grade_patch  # few tasks have one

        passed, _ = await grade_patch(self.verify_patch, output)
        return passed


class Dataset(Value):
    """Tasks under a name. No two of them have the same id."""

    called: ClassVar[str | None] = "Dataset"

    name: str
    tasks: tuple[Task, ...]

    @field_validator("tasks")
    @classmethod
    def _distinct(cls, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
        seen: set[str] = set()
        for task in tasks:
            if task.id in seen:
                raise PydanticCustomError("ids", "has two tasks with the id {id}", {"id": repr(task.id)})
            seen.add(task.id)
        return tasks

    def __len__(self) -> int:
        return len(self.tasks)

    def first(self, count: int | None) -> Dataset:
        """The first so many tasks; all if None."""
        if count is not None and count < 1:
            raise InvalidInput(f"limit should be a whole number of at least 1, not {count!r}")
        return self if count is None else self.model_copy(update={"tasks": self.tasks[:count]})
