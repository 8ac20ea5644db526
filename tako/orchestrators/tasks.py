"""Tasks: what a journal is told of each piece of work that an orchestrator asks for.

| task        | the work                 | is about                                | gives            |
|-------------|--------------------------|-----------------------------------------|------------------|
| model_task  | one call of a model      | the provider and the whole request      | a ChatResponse   |
| tool_task   | one call of a tool       | its name and the arguments              | a ToolResultPart |
| ruling_task | an approval callback     | the call, and the path to its agent     | a Decision       |
| choice_task | a router's choice        | the conversation and the candidates     | RoutingDecision  |
| score_task  | a verifier's judgement   | the answer, and what it answers         | a Score          |
| value_task  | anything that gives JSON | what its caller says                    | that JSON        |

They are made only where a journal is kept, and none of them does anything. A piece of work may run once,
or not at all; so what it changes besides giving its result belongs behind it, and not into it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tako.effects import Task
from tako.events import AssistantMedia, AssistantText, AssistantThinking, AssistantThinkingBlock, OrchEvent
from tako.models import (
    AudioPart,
    ChatRequest,
    ChatResponse,
    ImagePart,
    Message,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    Value,
    VideoPart,
)
from tako.orchestrators.decisions import BoundDecision
from tako.orchestrators.place import Show
from tako.providers.base import Provider

if TYPE_CHECKING:
    from tako.routers.base import Situation
    from tako.verifiers.base import Candidate

__all__ = [
    "choice_task",
    "model_task",
    "ruling_task",
    "score_task",
    "shown",
    "tool_task",
    "value_task",
]


def model_task(provider: Provider, request: ChatRequest, step: int, show: Show | None = None) -> Task:
    """One call of a model; told again, its answer comes in one piece."""

    def retell(response: ChatResponse) -> Sequence[Any]:
        return () if show is None else show(shown(step, response.message))

    return Task(
        "model",
        lambda: {"provider": provider.id, **_asked(request)},
        _dumped,
        ChatResponse.model_validate,
        retell,
    )


def tool_task(name: str, arguments: Any) -> Task:
    """One call of a tool, from its arguments to what the model will read."""
    return Task(
        "tool", lambda: {"tool": name, "arguments": arguments}, _dumped, ToolResultPart.model_validate
    )


def ruling_task(call: ToolCallPart, path: tuple[str, ...] = ()) -> Task:
    """What an approval callback says of a call."""
    return Task(
        "approval",
        lambda: {"tool": call.name, "arguments": call.args, "path": list(path)},
        _dumped,
        lambda kept: BoundDecision.model_validate({"decision": kept, "digest": ""}).decision,
    )


def choice_task(situation: Situation) -> Task:
    """What a router chooses."""
    from tako.routers.base import RoutingDecision  # most runs have no router

    return Task(
        "route",
        lambda: {
            "task": situation.task,
            "candidates": list(situation.candidates),
            "step": situation.step,
            "messages": [_asked(message) for message in situation.messages],
        },
        _dumped,
        RoutingDecision.model_validate,
    )


def score_task(candidate: Candidate) -> Task:
    """What a verifier thinks of a whole answer."""
    from tako.verifiers.base import Score  # most runs have no verifier

    return Task(
        "score",
        lambda: {
            "task": candidate.task,
            "text": candidate.text,
            "messages": [_asked(message) for message in candidate.messages],
        },
        _dumped,
        Score.model_validate,
    )


def value_task(kind: str, about: Callable[[], Any]) -> Task:
    """Work whose result is JSON already."""
    return Task(kind, about)


def shown(step: int, message: Message) -> list[OrchEvent]:
    """What a whole answer says, as events."""
    events: list[OrchEvent] = []
    for part in message.content:
        if type(part) is TextPart:
            events.append(AssistantText(step, part.text))
        elif type(part) is ThinkingPart:
            events += (AssistantThinking(step, part.text), AssistantThinkingBlock(step, part))
        elif isinstance(part, ImagePart | AudioPart | VideoPart):
            events.append(AssistantMedia(step, part))
    return events


def _dumped(value: Value) -> Any:
    """As JSON, with every None: the arguments of a call may be null."""
    return value.model_dump(mode="json")


def _asked(value: Value) -> dict[str, Any]:
    """As JSON without what is as it is by default: a field that comes with a new version changes nothing."""
    return value.model_dump(mode="json", exclude_defaults=True)
