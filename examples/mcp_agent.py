"""An agent whose tools are those of a MCP server, and the server: both are this file.

    python examples/mcp_agent.py            the agent; it starts the server, and asks before it orders
    python examples/mcp_agent.py serve      the server alone, over stdio, for any client

The model is a fake one that plays a script, so no key is needed. With a real one, write
`tako.provider("openai:gpt-4o-mini")` instead.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tako import SingleAgent, ToolContext, tool
from tako.events import OrchEvent
from tako.mcp import Elicitation, Host, LogMessage, Stdio, serve
from tako.mcp.server import Client
from tako.models import ToolCallPart
from tako.providers import Fake

STOCK = {"lamp": 3, "chair": 0}


# The server.


@tool(read_only=True)
def in_stock(item: str) -> int:
    """How many there are of an item."""
    return STOCK[item]


def count_all() -> Iterator[str]:
    """Count everything: what is yielded is progress for whoever waits."""
    for item, count in STOCK.items():
        yield f"{item}: {count}"


def order(item: str, count: int, context: ToolContext) -> str:
    """Order more of an item, if the user wants that."""
    client = Client.of(context)
    if not client.elicit(f"Order {count} of {item!r}?").accepted:
        return "Nothing was ordered."
    client.log("info", f"{count} of {item!r} were ordered")
    return "They come on Monday."


# The agent.


def ask(question: Elicitation) -> bool:
    """What the server wants to know of the user. A program with a terminal would use input()."""
    print(f"  the server asks: {question.message}  yes")
    return True


def heard(message: LogMessage) -> None:
    print(f"  the server logs: {message.data}")


SHOP = Stdio(
    sys.executable,
    [__file__, "serve"],
    prefix="shop",
    host=Host(elicitation=ask, log=heard, log_level="info"),
)
SCRIPT: list[ToolCallPart | str] = [
    ToolCallPart(id="1", name="shop_in_stock", args={"item": "chair"}),
    ToolCallPart(id="2", name="shop_count_all", args={}),
    ToolCallPart(id="3", name="shop_order", args={"item": "chair", "count": 2}),
    "There was no chair left, so I have ordered two. They come on Monday.",
]


def show(event: OrchEvent) -> None:
    if event.kind == "tool_call_start":
        print(f"{event.name} {event.args}")
    elif event.kind == "tool_progress":
        print(f"  {event.progress}")
    elif event.kind == "tool_call_result":
        print(f"  -> {event.result}")


def main() -> None:
    agent = SingleAgent(Fake(script=SCRIPT), system="You look after the shop.", mcp_servers=[SHOP])
    with agent.stream_sync("Do we have chairs?") as events:
        for event in events:
            show(event)
    print(events.result.text)


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve([in_stock, count_all, order], name="shop")
    else:
        main()
