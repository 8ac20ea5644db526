"""The grading of patches where the first tako had it."""

from tako.eval import PatchSpec, grade_patch

__all__ = ["PatchSpec", "grade_patch"]
