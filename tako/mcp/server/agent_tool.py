"""An agent as a tool of a server: it takes a prompt, says how it gets on, and gives its answer.

An agent is any orchestrator. The client hears, as progress, what it answers, and in words what it does:

| event         | of the agent itself        | of those who work for it (workers, roles, rollouts) |
|---------------|----------------------------|-----------------------------------------------------|
| AssistantText | piece by piece             |                                                     |
| ToolCallStart | "calls weather"            | "research: calls weather"                           |
| RoleChosen    | "thinker speaks"           | and so on                                           |
| NodeAdded     | "answer 3: 0.40"           |                                                     |
| Recursion     | "answer judged with 0.40"  |                                                     |
"""

from __future__ import annotations

import re
from typing import Any

from tako.driving.targets import MakesFlow
from tako.effects import Flow
from tako.errors import Cancelled
from tako.events import AssistantText, NodeAdded, Recursion, RoleChosen, SubAgentEvent, ToolCallStart
from tako.mcp.server.client import Client
from tako.mcp.server.offers import ServedTool
from tako.mcp.server.tapping import tapped
from tako.tools.context import ToolContext
from tako.tools.output import ToolOutput
from tako.tools.tool import Tool

__all__ = ["agent_tool"]

DESCRIPTION = (
    "Hand a task to an agent, which works on it alone and gives back its answer. It knows nothing of this "
    "conversation: put everything that it needs into the prompt."
)


def agent_tool(agent: MakesFlow[Any], name: str) -> ServedTool:
    """The tool. Its name is the server's, with what the protocol does not allow in one made an underscore."""

    def run(prompt: str, context: ToolContext) -> Flow[ToolOutput]:
        client = Client.of(context)
        flow = agent.flow(prompt, streaming=True)
        result = yield from tapped(flow, lambda event: _tell(client, event))
        reason = getattr(result, "stop_reason", "stop")
        text = str(getattr(result, "text", result))
        if reason == "cancelled":
            raise Cancelled(partial=text)
        if reason == "stop":
            return ToolOutput(text)
        return ToolOutput.error(f"the agent stopped before it was done ({reason}); it last said: {text}")

    allowed = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:64] or "agent"
    return ServedTool(Tool.from_flow(run, name=allowed, description=DESCRIPTION))


def _tell(client: Client, event: Any) -> None:
    """What the agent does, as a step of progress."""
    if isinstance(event, AssistantText):
        client.went_on(event.delta)
    elif isinstance(event, SubAgentEvent):
        if words := _words(event.event):
            client.went_on(f"{'/'.join(event.path)}: {words}")
    elif words := _words(event):
        client.went_on(words)


def _words(event: Any) -> str:
    """What is said of something that was done; nothing of most."""
    match event:
        case ToolCallStart():
            return f"calls {event.name}"
        case RoleChosen():
            return f"{event.role} speaks"
        case NodeAdded():
            return f"answer {event.node}: {event.error or f'{event.score:.2f}'}"
        case Recursion():
            return f"answer judged with {event.confidence:.2f}"
    return ""
