"""The files of a training: functions that block and touch the disk, for who trains; no flow calls them."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

from tako.errors import InvalidInput
from tako.routers.model_file import Path, path_text

__all__ = ["read_file", "write_file"]

MOST_OF_A_FILE: Final = 1024 * 1024 * 1024


def read_file(path: Path) -> bytes:
    """What is in a file; raises InvalidInput that names it."""
    name = path_text(path)
    try:
        with open(name, "rb") as file:
            data = file.read(MOST_OF_A_FILE + 1)
    except OSError as error:
        raise InvalidInput(f"{name} cannot be read: {error.strerror}") from error
    if len(data) > MOST_OF_A_FILE:
        raise InvalidInput(f"{name} is longer than {MOST_OF_A_FILE} bytes; train with a part of it")
    return data


def write_file(path: Path, data: bytes) -> None:
    """Put the data in a file, whole or not at all; raises InvalidInput that names it."""
    name = path_text(path)
    fresh = f"{name}.{os.getpid()}.new"
    try:
        try:
            with open(fresh, "wb") as file:
                file.write(data)
            os.replace(fresh, name)
        except BaseException:
            with suppress(OSError):
                os.remove(fresh)
            raise
    except OSError as error:
        raise InvalidInput(f"{name} cannot be written: {error.strerror}") from error
