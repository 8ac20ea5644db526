"""Media: which pictures, documents and sounds a model can be shown, by what it says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tako.models import (
    AudioPart,
    Capabilities,
    DocumentPart,
    ImagePart,
    ImageUrlPart,
    Message,
    Part,
    Role,
    TextPart,
    VideoPart,
)

__all__ = ["shown_to", "with_notes"]

UNSEEN = "(there is a picture, a document or a sound here that you cannot read; a worker may be able to)"


def shown_to(capabilities: Capabilities, parts: Iterable[Part]) -> tuple[Part, ...]:
    """Those of the parts that it can read."""
    return tuple([part for part in parts if _can_read(capabilities, part)])


def with_notes(capabilities: Capabilities, messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages, with a note in the place of what it cannot read."""
    return tuple([_with_notes(capabilities, message) for message in messages])


def _with_notes(capabilities: Capabilities, message: Message) -> Message:
    if message.role is not Role.USER or all(_can_read(capabilities, part) for part in message.content):
        return message
    parts = [part if _can_read(capabilities, part) else TextPart(text=UNSEEN) for part in message.content]
    return Message.user(parts)


def _can_read(capabilities: Capabilities, part: Part) -> bool:
    if isinstance(part, ImagePart | ImageUrlPart | VideoPart):
        return capabilities.supports_vision
    if isinstance(part, DocumentPart):
        return capabilities.supports_documents
    return capabilities.supports_audio if isinstance(part, AudioPart) else True
