"""A model that needs no key: it finds a slip in `greet.sh`, mends it, tries it out, and says what it saw.

It has no memory but the conversation, as every model: what it does next it reads off what was done since
its last whole answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tako import ChatRequest, ContentPart, Message, Role
from tako.models import TextPart, ThinkingPart, ToolCallPart, ToolResultPart
from tako.providers.fake import Reply

__all__ = ["reply", "workspace"]

TRY_OUT = "for step in 1 2 3; do echo test $step; sleep 0.2; done; sh greet.sh"


@contextmanager
def workspace() -> Iterator[Path]:
    """Something to work on, that is nobody's."""
    with TemporaryDirectory() as root:
        (Path(root) / "greet.sh").write_text('echo "Helo, world"\n')
        yield Path(root)


def reply(request: ChatRequest) -> Reply:
    """What the model says to this request."""
    turn = _since_last_answer(request.messages)
    results = [part for message in turn for part in message.content if isinstance(part, ToolResultPart)]
    if not any(tool.name == "edit" for tool in request.tools):  # the explorer
        return "There is greet.sh, a greeting." if results else [_call("glob", 0, pattern="**/*.sh")]
    done = [result.name for result in results]
    if not done:
        return [
            ThinkingPart(text="Somebody should look around, while I read the script."),
            TextPart(text="I look at the script."),
            _call("read", 0, file_path="greet.sh"),
            _call("explore", 1, prompt="Which scripts are there?"),
        ]
    if "edit" not in done:
        change = {"old_string": "Helo", "new_string": "Hello"}
        return [TextPart(text="There is a slip."), _call("edit", 2, file_path="greet.sh", **change)]
    if "bash" not in done:
        return [_call("bash", 3, command=TRY_OUT)]
    return _answer(turn, results)


def _answer(turn: list[Message], results: list[ToolResultPart]) -> str:
    asked, *also = [message.text for message in turn if message.role is Role.USER]
    said = [f'You asked: "{asked}".', *(f'You also said: "{text}".' for text in also)]
    last = str(results[-1].result).strip().splitlines()[-1]
    said += [f"{result.name} did not work: {result.result}." for result in results if result.is_error]
    return " ".join([*said, f"The last thing I saw is: {last}"])


def _since_last_answer(messages: tuple[Message, ...] | list[Message]) -> list[Message]:
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].role is Role.ASSISTANT and not messages[index].tool_calls:
            return list(messages[index + 1 :])
    return list(messages)


def _call(name: str, number: int, **args: object) -> ToolCallPart:
    return ContentPart.tool_call(f"{name}_{number}", name, args)
