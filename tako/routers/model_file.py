"""Reading a model's file: it blocks and touches the disk; flows reach it through the Call effect alone."""

from __future__ import annotations

import os
from typing import Final, TypeAlias

from tako.errors import InvalidInput
from tako.routers.model import RouterModel

__all__ = ["ModelFile", "Path", "path_text"]

Path: TypeAlias = str | os.PathLike[str]

MOST_OF_A_FILE: Final = 32 * 1024 * 1024
"""The largest model takes about 25 MiB, if each of its weights has seventeen digits."""


class ModelFile:
    """A model in a file: read at its first use, and then kept, whatever becomes of the file."""

    __slots__ = ("_model", "path")

    def __init__(self, path: Path) -> None:
        """Raises InvalidInput for what is no path; the file is not touched before its first use."""
        self.path = path_text(path)
        self._model: RouterModel | None = None

    def model(self) -> RouterModel:
        """The model, read if it was not yet; raises InvalidInput that names the file."""
        if self._model is None:
            self._model = self._read()
        return self._model

    def _read(self) -> RouterModel:
        try:
            with open(self.path, "rb") as file:
                data = file.read(MOST_OF_A_FILE + 1)
        except OSError as error:
            raise InvalidInput(f"the model {self.path} cannot be read: {error.strerror}") from error
        if len(data) > MOST_OF_A_FILE:
            raise InvalidInput(f"the model {self.path} is longer than {MOST_OF_A_FILE} bytes")
        try:
            return RouterModel.loads(data)
        except InvalidInput as error:
            raise InvalidInput(f"the model {self.path} cannot be used: {error}") from None


def path_text(path: object) -> str:
    """The path as text; raises InvalidInput."""
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidInput(f"path should be the path of a file, not {path!r}")
    return text
