"""A file for the moment: the one thing that OpenSSL takes from nowhere but a file is a private key.

This is input and output in the core, and the only one outside of the built-in tools. It is here because
the adapters need it alike, and they call it where they load certificates, which reads files anyway.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import mkstemp

__all__ = ["private_file"]


@contextmanager
def private_file(text: str) -> Iterator[str]:
    """The path of a file that holds the text, and that nobody else can read (0600); then it is gone.

    Raises OSError.
    """
    handle, path = mkstemp(prefix="tako-", suffix=".pem")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        yield path
    finally:
        os.unlink(path)
