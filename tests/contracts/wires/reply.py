"""What a model is to say in a test, and the pieces in which a vendor would send it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tako.models import ToolCallPart

__all__ = ["Reply", "arguments_text", "pieces", "plain_json"]


@dataclass(frozen=True)
class Reply:
    """What the model says: text, and the calls that it asks for."""

    text: str = ""
    calls: tuple[ToolCallPart, ...] = ()

    @property
    def words(self) -> list[str]:
        return re.findall(r"\s*\S+|\s+$", self.text)


def plain_json(value: Any) -> str:
    """JSON as vendors write it, with letters as they are."""
    return json.dumps(value, ensure_ascii=False)


def arguments_text(call: ToolCallPart, number: int) -> str:
    """The arguments as text; vendors differ in whether they escape letters."""
    return json.dumps(call.args, ensure_ascii=number % 2 == 0)


def pieces(text: str) -> Iterator[str]:
    """A text in the small pieces in which arguments are streamed."""
    for start in range(0, len(text), 5):
        yield text[start : start + 5]
