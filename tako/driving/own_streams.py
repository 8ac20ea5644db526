"""The standard streams of this process, taken for a link and given back.

While they are taken nobody else gets at the protocol: descriptor 1 leads to standard error, so that what is
printed shows up there, and descriptor 0 to nothing, so that a child which inherits it does not eat our input.

This is input and output in the core, as in private_file.py: the adapters need it alike, and only one of them
at a time may have the streams.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Final

from tako.errors import InvalidInput, TransportError

__all__ = ["OwnStreams"]

_free: Final = [True]  # whoever pops it has the streams; a list does so at once, also among threads


class OwnStreams:
    """`source` and `sink` are descriptors of our input and output until `close`, or `forget`.

    Raises InvalidInput if they are taken, TransportError if we were started without them.
    """

    def __init__(self) -> None:
        try:
            _free.pop()
        except IndexError:
            raise InvalidInput("the standard streams are a link already: hang up that one first") from None
        _flush_output()
        opened: list[int] = []
        try:
            for descriptor in (0, 1):
                opened.append(os.dup(descriptor))
            nothing = os.open(os.devnull, os.O_RDONLY)
        except OSError as error:
            for descriptor in opened:
                os.close(descriptor)
            _free.append(True)
            raise TransportError(
                f"the standard streams are not open: {error.strerror}", phase="link"
            ) from error
        self.source, self.sink = opened
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        os.close(nothing)
        self._is_open = True

    def close(self) -> None:
        """Put them back. Idempotent."""
        if self._is_open:
            _flush_output()
            os.dup2(self.source, 0)
            os.dup2(self.sink, 1)
            self.forget()

    def forget(self) -> None:
        """Let go of them, and leave 0 and 1 as they are: in a forked process."""
        if self._is_open:
            self._is_open = False
            os.close(self.source)
            os.close(self.sink)
            _free.append(True)


def _flush_output() -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # there may be none, or it is closed
        sys.stdout.flush()
