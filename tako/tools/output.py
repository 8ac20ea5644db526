"""ToolOutput: what a tool gives back when there is more to say than one value.

A tool may return any JSON, or what a model can see: a picture, a document, a list of such parts. For
all the rest there is ToolOutput: an error in the tool's own words that is no exception, a value for
programs beside the parts for the model, a cache mark.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tako.parts import CacheControl, Part, TextPart, parts_of

__all__ = ["ToolOutput"]


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """The result of one call.

    value          text or any JSON: what programs read, and the model if there is no content
    content        what the model reads instead: text, pictures, documents
    is_error       the tool could not do it; the model is told so
    cache_control  the end of a prefix that the vendor should keep
    """

    value: Any = None
    content: tuple[Part, ...] = ()
    is_error: bool = False
    cache_control: CacheControl | None = None

    @classmethod
    def error(cls, words: str) -> ToolOutput:
        """A failure in words for the model."""
        return cls(words, is_error=True)

    @classmethod
    def of(cls, content: str | Iterable[Part]) -> ToolOutput:
        """Parts for the model; the value is their text."""
        parts = tuple(parts_of(content))
        return cls("".join([part.text for part in parts if type(part) is TextPart]), parts)
