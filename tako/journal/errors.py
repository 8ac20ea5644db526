"""What can be wrong with a journal."""

from __future__ import annotations

from tako.errors import InvalidInput, TakoError

__all__ = ["JournalError", "JournalMismatch"]


class JournalError(TakoError):
    """The journal cannot be read or written, or somebody else is writing it. No work is done unkept."""


class JournalMismatch(InvalidInput):
    """The run does not do what the journal says that it did; `step` counts the calls of models, from 1."""

    def __init__(self, message: str, *, step: int = 0) -> None:
        super().__init__(message, phase="journal")
        self.step = step

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message,), self.__dict__
