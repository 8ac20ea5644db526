"""Replies of models that live in the process: what is easy to write, as what a vendor would send."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

from tako.errors import InvalidInput
from tako.events import (
    ChatChunk,
    ChatEnd,
    MediaBlock,
    OpaqueBlock,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolCall,
)
from tako.models import (
    AudioPart,
    ChatResponse,
    FinishReason,
    ImagePart,
    Message,
    OpaquePart,
    Part,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    Usage,
    VideoPart,
)

__all__ = ["WholeReply", "chunks_of", "response_of", "text_chunks"]

WholeReply: TypeAlias = str | Part | Sequence[Part] | Message | ChatResponse

WORDS = re.compile(r"\s*\S+")


def response_of(reply: WholeReply, usage: Usage) -> ChatResponse:
    """The response that a reply stands for; the reason to stop is read off its calls."""
    if isinstance(reply, Message):
        message = reply
    elif isinstance(reply, ChatResponse):
        return reply
    elif isinstance(reply, str | Sequence):
        message = Message.assistant(reply)
    else:
        message = Message.assistant((reply,))
    reason: FinishReason = "tool_calls" if message.tool_calls else "stop"
    return ChatResponse(message=message, finish_reason=reason, usage=usage)


def chunks_of(response: ChatResponse) -> list[ChatChunk]:
    """The stream in which a vendor would have sent this response."""
    chunks: list[ChatChunk] = []
    for part in response.message.content:
        match part:
            case TextPart(text=text):
                chunks += text_chunks(text)
                if part.citations or part.replay:
                    chunks.append(TextBlock(part))
            case ImagePart() | AudioPart() | VideoPart():
                chunks.append(MediaBlock(part))
            case ThinkingPart(text=text):
                chunks += [ThinkingDelta(word) for word in _words(text)]
                chunks.append(ThinkingBlock(part))
            case ToolCallPart():
                chunks.append(ToolCall(part))
            case OpaquePart():
                chunks.append(OpaqueBlock(part))
            case _:
                raise InvalidInput(f"a model does not answer with a part of type {part.type!r}")
    chunks.append(
        ChatEnd(
            response.finish_reason,
            response.usage,
            response.raw_finish_reason,
            response.model,
            response.response_id,
        )
    )
    return chunks


def text_chunks(text: str) -> list[TextDelta]:
    """Text word by word."""
    return [TextDelta(word) for word in _words(text)]


def _words(text: str) -> list[str]:
    """The words with the space before them, and what is left at the end: nothing is lost."""
    words = WORDS.findall(text)
    rest = text[sum(map(len, words)) :]
    return [*words, rest] if rest else words
