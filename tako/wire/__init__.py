"""Wire machines: bytes in, events out, knowing nothing of language models.

Each is fed with `receive_data(data)`, where b"" is the end of the input, and asked with
`next_event()` until that returns NEED_DATA, or END when nothing can come any more. What the peer
did wrong is raised as a ProtocolError, and raised again at every later call.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal, TypeAlias

__all__ = ["END", "NEED_DATA", "End", "NeedData", "Pause"]


class Pause(Enum):
    """Why a machine has no event to give."""

    NEED_DATA = "need data"
    END = "end"


NeedData: TypeAlias = Literal[Pause.NEED_DATA]
End: TypeAlias = Literal[Pause.END]
NEED_DATA: Final = Pause.NEED_DATA
END: Final = Pause.END
