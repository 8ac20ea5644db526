"""JSON Pointer (RFC 6901), compiled once: where in a vendor's JSON something is.

| pointer       | finds                                                        |
|---------------|--------------------------------------------------------------|
| `""`          | the whole value                                              |
| `"/a/0/b"`    | `b` of the first element (or of the member `0`) of `a`       |
| `"/a~1b/m~0"` | the member `m~` of the member `a/b`                          |
| `"/"`         | the member whose name is empty                               |

What is not there is None, and so is null: a vendor means the same by both. `-`, the element after
the last one, is never there.
"""

from __future__ import annotations

import re
from typing import Any

from tako.errors import InvalidInput

__all__ = ["Pointer"]

STRAY_TILDE = re.compile(r"~(?![01])")
INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


class Pointer:
    """One pointer. Raises InvalidInput for text that is none."""

    __slots__ = ("_steps", "text")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str) or (text and not text.startswith("/")) or STRAY_TILDE.search(text):
            raise InvalidInput(f"should be a JSON pointer, such as /choices/0/message/content, not {text!r}")
        self.text = text
        names = [name.replace("~1", "/").replace("~0", "~") for name in text.split("/")[1:]]
        self._steps = tuple((name, int(name) if INDEX.fullmatch(name) else None) for name in names)

    def __repr__(self) -> str:
        return f"Pointer({self.text!r})"

    def find(self, value: Any) -> Any:
        """What is there, or None. Never raises."""
        for name, index in self._steps:
            if isinstance(value, dict):
                value = value.get(name)
            elif isinstance(value, list) and index is not None and index < len(value):
                value = value[index]
            else:
                return None
        return value
