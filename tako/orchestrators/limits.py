"""What a tool says may be longer than a model should read: it is cut in the middle, and the cut is told.

The beginning says what it is, the end how it came out; so two thirds of what is kept are the beginning.
"""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from tako.models import TextPart
from tako.parts import Part

__all__ = ["cut_content", "cut_result", "cut_text"]


def cut_text(text: str, limit: int) -> str:
    """The text, with no more than `limit` characters of it, and a line that says what is missing."""
    if len(text) <= limit:
        return text
    head = limit - limit // 3
    tail = text[len(text) - (limit - head) :]
    return f"{text[:head]}\n[... {len(text) - limit:,} of {len(text):,} characters cut ...]\n{tail}"


def cut_result(result: Any, limit: int) -> Any:
    """The result as it is, or its JSON as a text that is cut."""
    if isinstance(result, str):
        return cut_text(result, limit)
    if result is None or isinstance(result, bool | int | float):
        return result
    text = to_json(result).decode()
    return result if len(text) <= limit else cut_text(text, limit)


def cut_content(content: tuple[Part, ...], limit: int) -> tuple[Part, ...]:
    """The parts, their texts cut; the limit is for all texts together."""
    kept: list[Part] = []
    left = limit
    for part in content:
        if type(part) is TextPart:
            text = cut_text(part.text, left)
            left -= min(len(part.text), left)
            part = part if text is part.text else part.model_copy(update={"text": text})
        kept.append(part)
    return tuple(kept)
