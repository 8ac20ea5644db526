"""A server that offers one of everything, for the tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tako.effects import Flow, Sleep
from tako.errors import ToolError
from tako.mcp.server import (
    Client,
    Elicit,
    Embedded,
    McpServer,
    Prompt,
    Resource,
    ResourceLink,
    Roots,
    Sample,
    ServedTool,
    Template,
    answer,
)
from tako.models import Message
from tako.parts import AudioPart, DocumentPart, ImagePart, ImageUrlPart
from tako.tools import Tool, ToolContext, ToolOutput, tool

PIXEL = "iVBORw0KGgo="


@dataclass
class Point:
    x: int
    y: int


@tool(read_only=True)
def add(a: int, b: int = 1) -> int:
    """Add two numbers.

    Args:
        a: the first
    """
    return a + b


async def later(text: str) -> str:
    return text.upper()


def count(to: int) -> Iterator[str]:
    for number in range(1, to + 1):
        yield f"{number} of {to}"


def point(x: int) -> Point:
    return Point(x, -x)


def nap(seconds: float) -> Flow[str]:
    yield Sleep(seconds)
    return f"slept {seconds:g}"


def everything() -> ToolOutput:
    return answer(
        "words",
        ImagePart(mime="image/png", data_b64=PIXEL),
        AudioPart(mime="audio/wav", data_b64=PIXEL),
        ImageUrlPart(url="https://x.test/a.png"),
        DocumentPart(data_b64=PIXEL, title="a b"),
        DocumentPart(url="https://x.test/a.pdf"),
        DocumentPart(text="plain", mime="text/plain"),
        Embedded("test://e", "inside", mime="text/plain"),
        Embedded("test://b", blob=b"\x00\xff"),
        ResourceLink("test://l", "link", "a link", "text/plain"),
    )


def fails(how: str) -> str:
    if how == "words":
        raise ToolError("try another way")
    raise RuntimeError("boom")


def speaks(context: ToolContext) -> str:
    client = Client.of(context)
    for done in (1, 0.5, 2):  # the second is no progress, and is not sent
        client.progress(done, 2, f"at {done}")
    client.log("debug", {"a": 1}, "here")
    client.log("error", "bad")
    return "spoken"


def asks(context: ToolContext) -> str:
    client = Client.of(context)
    client.state["rounds"] = client.state.get("rounds", 0) + 1
    name = client.elicit(
        "Who?", {"type": "object", "properties": {"name": {"type": "string"}}}, key="user_name"
    )
    if not name.accepted:
        return f"{name.action}, {client.state['rounds']} rounds"
    said = client.sample(f"greet {name.content['name']}", max_tokens=5, system="be short", key="greeting")
    return f"{said.text} {client.roots()[0].uri}, {client.state['rounds']} rounds"


def asks_all(context: ToolContext) -> str:
    found = Client.of(context).ask(who=Elicit("Who?"), what=Sample("hi"), where=Roots())
    return f"{found['who'].action} {found['what'].model} {len(found['where'])}"


@tool(approval=True)
def wipes(what: str) -> str:
    return f"wiped {what}"


def greet(name: str, mood: str = "glad") -> list[Any]:
    """Greets somebody.

    Args:
        name: whom
    """
    return [f"Hello {name}, I am {mood}", Message.assistant("Hello"), Embedded("test://e", "inside")]


def asks_first(context: ToolContext) -> str:
    return f"for {Client.of(context).elicit('Who?', key='who').action}"


RAW = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {"n": {"type": "integer"}},
    "properties": {"region": {"type": "string", "x-mcp-header": "Region"}, "n": {"$ref": "#/$defs/n"}},
    "if": {"required": ["n"]},
}


def raw(**given: Any) -> str:
    return repr(given)


def numbers(typed: str, others: dict[str, str]) -> list[str]:
    return [f"{typed}{number}{others.get('rest', '')}" for number in range(150)]


# Made once: each has a model of its arguments, which takes longer to make than a test does.
TOOLS = [
    ServedTool(one)
    for one in (
        add, later, count, point, everything, fails, speaks, asks, asks_all, wipes,
        Tool.from_flow(nap), Tool(raw, input_schema=RAW, name="raw"),
    )
]  # fmt: skip
TOOLS.append(ServedTool(Tool(later, name="samples"), title="Samples", requires=["sampling"]))
RESOURCES = [
    Resource("test://text", "some text"),
    Resource("test://blob", b"\x00\x01"),
    Resource("test://json", lambda: {"a": [1]}, name="json", description="a json"),
    Resource("test://many", lambda: [Embedded("test://m/1", "1"), Embedded("test://m/2", blob=b"2")]),
    Resource("test://bad", lambda: 1 / 0),
]
TEMPLATES = [
    Template("test://item/{id}/{+rest}", lambda id, rest: f"{id}:{rest}", name="item", mime="text/x"),
]
PROMPTS = [Prompt(greet), Prompt(asks_first)]
COMPLETIONS = {"greet": {"name": ["Ann", "anton", "Bob"]}, "test://item/{id}/{+rest}": {"id": numbers}}


def everything_server(**options: Any) -> McpServer:
    """A new server of all that."""
    given = {
        "name": "all",
        "instructions": "Use it.",
        "resources": RESOURCES,
        "templates": TEMPLATES,
        "prompts": PROMPTS,
        "completions": COMPLETIONS,
        **options,
    }
    return McpServer(TOOLS, **given)
