"""What the tests of the agent share: a conversation's rules, and short ways to write replies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tako.models import ChatRequest, ChatResponse, Message, Role, ToolCallPart, ToolResultPart, Usage
from tako.providers.fake import Fake, Reply
from tako.testing.simulator import Simulator


def call(id: str, name: str, **args: Any) -> ToolCallPart:
    return ToolCallPart(id=id, name=name, args=args)


def replied(*parts: Any, usage: Usage | None = None, **fields: Any) -> ChatResponse:
    """A whole answer: of parts, or of a text."""
    content = parts[0] if len(parts) == 1 and isinstance(parts[0], str) else parts
    return ChatResponse(
        message=Message.assistant(content),
        usage=usage or Usage(input_tokens=10, output_tokens=5),
        **fields,
    )


def results(messages: Sequence[Message]) -> list[ToolResultPart]:
    """All results of tools in a conversation, in order."""
    return [part for message in messages for part in message.content if isinstance(part, ToolResultPart)]


def assert_replayable(messages: Sequence[Message]) -> None:
    """What every vendor asks of a history: each call is answered once, in order, by the next message."""
    open_ids: list[str] = []
    for message in messages:
        if message.role is Role.TOOL:
            assert open_ids, "results without calls"
            assert [part.id for part in message.content if isinstance(part, ToolResultPart)] == open_ids
            assert len(message.content) == len(open_ids)
            open_ids = []
            continue
        assert not open_ids, f"calls without results: {open_ids}"
        open_ids = [part.id for part in message.tool_calls]
        assert all(open_ids), "a call without an id"
        assert len(set(open_ids)) == len(open_ids), "two calls with one id"
    assert not open_ids, f"calls without results: {open_ids}"


class Recorded(Fake):
    """A Fake that keeps the requests it was asked."""

    def __init__(self, *script: Reply) -> None:
        self.requests: list[ChatRequest] = []
        replies = list(script)

        def answer(request: ChatRequest) -> Reply:
            self.requests.append(request)
            return replies[min(len(self.requests), len(replies)) - 1]

        super().__init__(script=answer)


def events_of(target: Any, prompt: Any, *, seed: int = 0, **options: Any) -> list[Any]:
    return list(Simulator(seed).stream(target, prompt, **options))


def kinds(events: Sequence[Any]) -> list[str]:
    return [event.kind for event in events]
