"""What every vendor asks of a history, and how a run keeps to it.

Each call is answered once, in the order of the calls, by the one tool message that follows. Vendors
refuse anything else, with words that nobody understands; here it is said before anything is sent.
"""

from __future__ import annotations

from collections.abc import Sequence

from tako.errors import InvalidInput
from tako.models import Message, Role, ToolCallPart, ToolResultPart

__all__ = ["are_distinct", "require_answered", "require_replayable", "with_own_ids"]


def require_answered(history: Sequence[Message], prompt: Sequence[Message]) -> None:
    """Raise InvalidInput if the history or the prompt ends with calls that have no results."""
    for messages, answers in ((history, prompt), (prompt, ())):
        if not messages or not messages[-1].tool_calls or (answers and answers[0].role is Role.TOOL):
            continue
        ids = ", ".join(call.id for call in messages[-1].tool_calls)
        raise InvalidInput(
            f"{'history' if messages is history else 'prompt'} ends with calls that have no results ({ids}); "
            "append result.new_messages as it is, or continue the run itself: agent.run_sync(result.run)"
        )


def require_replayable(messages: Sequence[Message], argument: str) -> None:
    """Raise InvalidInput, naming who made the messages, if calls and results do not belong together."""
    open_ids: list[str] = []
    for index, message in enumerate(messages):
        if not isinstance(message, Message):
            raise InvalidInput(f"{argument}[{index}] should be a Message, not {type(message).__name__}")
        if message.role is Role.TOOL:
            answered = [part.id for part in message.content if type(part) is ToolResultPart]
            if answered != open_ids:
                raise InvalidInput(
                    f"{argument}[{index}] has results for {answered}, the calls before it are {open_ids}; "
                    "keep or drop an assistant message and its results together"
                )
            open_ids = []
            continue
        if open_ids:
            break
        open_ids = [call.id for call in message.tool_calls]
    if open_ids:
        raise InvalidInput(
            f"{argument}: the calls {open_ids} have no results; keep or drop an assistant message and its "
            "results together"
        )


def with_own_ids(message: Message, position: int) -> Message:
    """The message with calls that can be told apart, where they cannot.

    The position in the conversation keeps the ids of two runs apart, of which one is the other's history.
    """
    return Message.assistant(
        [
            part.model_copy(update={"id": f"call_{position}_{index}"}) if type(part) is ToolCallPart else part
            for index, part in enumerate(message.content)
        ]
    )


def are_distinct(calls: tuple[ToolCallPart, ...]) -> bool:
    """Whether each call has an id, and no two the same: some servers repeat an id, or send none."""
    if len(calls) == 1:
        return bool(calls[0].id)
    ids = {call.id for call in calls}
    return "" not in ids and len(ids) == len(calls)
