"""PatchSpec: which repository a patch is for, and how one sees that it works."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from tako.models import Value

__all__ = ["PatchSpec"]


class PatchSpec(Value):
    """`test_command` is run in a clone of `repo` at `base_commit`, with the patch applied."""

    called: ClassVar[str | None] = "PatchSpec"

    repo: str
    base_commit: Annotated[str, Field(pattern=r"^[^-]")]
    """Not an option of git."""
    test_command: tuple[str, ...] = ()
    apply_timeout_secs: float = Field(default=60, gt=0)
    test_timeout_secs: float = Field(default=300, gt=0)
