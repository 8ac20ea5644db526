"""An agent as a tool of a server: it takes a prompt, says how it gets on, and gives its answer."""

from __future__ import annotations

import re
from typing import Any

from tako.driving.targets import MakesFlow
from tako.effects import Flow
from tako.errors import Cancelled
from tako.events import AssistantText, ToolCallStart
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
    elif isinstance(event, ToolCallStart):
        client.went_on(f"calls {event.name}")
