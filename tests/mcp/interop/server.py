"""A server with something of everything, on other people's libraries: `python server.py LIBRARY stdio|PORT`.

Runs in an environment of its own, where tako is not. LIBRARY is one of

| name       | library                                | eras      | speaks over                |
|------------|----------------------------------------|-----------|----------------------------|
| official   | the official Python SDK, 2.x           | both      | stdio, Streamable HTTP     |
| fastmcp    | fastmcp, which stands on it            | both      | stdio, Streamable HTTP     |
| websocket  | the official Python SDK, as of 1.x     | handshake | WebSocket                  |
"""

import asyncio
import sys
from typing import Annotated, Any

from pydantic import BaseModel

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
WAV = b"RIFF" + bytes(range(64))

cancelled = 0


class Sum(BaseModel):
    sum: int


class Name(BaseModel):
    name: str
    polite: bool = True


def add(a: int, b: int) -> Sum:
    """The sum of two numbers."""
    return Sum(sum=a + b)


def echo(text: str) -> str:
    """The same text."""
    return text


def fail(why: str) -> str:
    """Fails."""
    raise ValueError(why)


async def sleep(seconds: float) -> str:
    """Sleeps, and counts how often it was not let."""
    global cancelled
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        cancelled += 1
        raise
    return "slept"


def cancellations() -> int:
    """How often a sleep was cancelled."""
    return cancelled


def today() -> str:
    return "a fine day"


def icon() -> bytes:
    return PNG


def day(day: str) -> str:
    return f"the notes of {day}"


def greet(name: str) -> str:
    """A greeting."""
    return f"Please greet {name}."


def known_names(typed: str) -> list[str]:
    return [name for name in ("Ada", "Alan", "Grace") if name.startswith(typed)]


def offer(mcp: Any) -> Any:
    """What each library is told in the same words."""
    for function in (add, echo, fail, sleep, cancellations):
        mcp.tool()(function)
    mcp.resource("note://today", mime_type="text/plain")(today)
    mcp.resource("note://icon", mime_type="image/png")(icon)
    mcp.resource("note://days/{day}", mime_type="text/plain")(day)
    mcp.prompt()(greet)
    return mcp


def official() -> Any:
    from mcp.server.mcpserver import (
        Audio,
        Context,
        Elicit,
        ElicitationResult,
        Image,
        ListRoots,
        MCPServer,
        Resolve,
        Sample,
    )
    from mcp_types import (
        Completion,
        CreateMessageResult,
        EmbeddedResource,
        ListRootsResult,
        SamplingMessage,
        TextContent,
        TextResourceContents,
    )

    mcp = offer(MCPServer("official", instructions="Be kind."))

    @mcp.tool(structured_output=False)
    def mixed() -> list[Any]:
        resource = TextResourceContents(uri="note://today", mime_type="text/plain", text="a fine day")
        return [
            "look",
            Image(data=PNG, format="png"),
            Audio(data=WAV, format="wav"),
            EmbeddedResource(type="resource", resource=resource),
        ]

    @mcp.tool()
    async def count(to: int, ctx: Context) -> str:
        for number in range(to):
            await ctx.report_progress(number + 1, to, f"number {number + 1}")
        return "counted"

    @mcp.tool()
    async def say(text: str, ctx: Context) -> str:
        await ctx.warning(text, logger_name="talk")
        return "said"

    @mcp.tool()
    async def change(uri: str, ctx: Context) -> str:
        await ctx.notify_resource_updated(uri)
        await ctx.session.send_resource_updated(uri)
        return "changed"

    async def asked_for_name() -> Elicit[Name]:
        return Elicit("Who are you?", Name)

    @mcp.tool()
    def ask_person(person: Annotated[ElicitationResult[Name], Resolve(asked_for_name)]) -> str:
        return f"{person.action}: {person.data.name if person.action == 'accept' else ''}"

    def asked_for_capital() -> Sample:
        content = TextContent(type="text", text="What is the capital of France?")
        return Sample([SamplingMessage(role="user", content=content)], max_tokens=50)

    @mcp.tool()
    def ask_model(answer: Annotated[CreateMessageResult, Resolve(asked_for_capital)]) -> str:
        return answer.content.text

    def asked_for_folders() -> ListRoots:
        return ListRoots()

    @mcp.tool()
    def ask_folders(folders: Annotated[ListRootsResult, Resolve(asked_for_folders)]) -> str:
        return " ".join(str(root.uri) for root in folders.roots)

    @mcp.completion()
    async def complete(ref: Any, argument: Any, context: Any) -> Completion:
        return Completion(values=known_names(argument.value))

    return mcp


def fastmcp() -> Any:
    from fastmcp import Context, FastMCP
    from fastmcp.utilities.types import Audio, File, Image
    from mcp_types import SamplingMessage, TextContent

    mcp = offer(FastMCP("fastmcp", instructions="Be kind."))

    @mcp.tool()
    def mixed() -> list[Any]:
        return [
            "look",
            Image(data=PNG, format="png"),
            Audio(data=WAV, format="wav"),
            File(data=b"a fine day", format="plain", name="today"),
        ]

    @mcp.tool()
    async def count(to: int, ctx: Context) -> str:
        for number in range(to):
            await ctx.report_progress(number + 1, to, f"number {number + 1}")
        return "counted"

    @mcp.tool()
    async def say(text: str, ctx: Context) -> str:
        await ctx.warning(text, logger_name="talk")
        return "said"

    @mcp.tool()
    async def ask_person(ctx: Context) -> str:
        answer = await ctx.elicit("Who are you?", Name)
        return f"{answer.action}: {answer.data.name if answer.action == 'accept' else ''}"

    @mcp.tool()
    async def ask_model(ctx: Context) -> str:
        content = TextContent(type="text", text="What is the capital of France?")
        question = SamplingMessage(role="user", content=content)
        answer = await ctx.session.create_message(
            [question], max_tokens=50, related_request_id=ctx.request_id
        )
        return answer.content.text

    @mcp.tool()
    async def ask_folders(ctx: Context) -> str:
        return " ".join(str(root.uri) for root in (await ctx.session.list_roots()).roots)

    @mcp.completion()
    async def complete(ref: Any, argument: Any, context: Any) -> list[str]:
        return known_names(argument.value)

    return mcp


def websocket() -> Any:
    from mcp.server.fastmcp import Audio, Context, FastMCP, Image
    from mcp.types import (
        Completion,
        EmbeddedResource,
        SamplingMessage,
        TextContent,
        TextResourceContents,
    )

    mcp = offer(FastMCP("websocket", instructions="Be kind."))

    @mcp.tool(structured_output=False)
    def mixed() -> list[Any]:
        resource = TextResourceContents(uri="note://today", mimeType="text/plain", text="a fine day")
        return [
            "look",
            Image(data=PNG, format="png"),
            Audio(data=WAV, format="wav"),
            EmbeddedResource(type="resource", resource=resource),
        ]

    @mcp.tool()
    async def count(to: int, ctx: Context) -> str:
        for number in range(to):
            await ctx.report_progress(number + 1, to, f"number {number + 1}")
        return "counted"

    @mcp.tool()
    async def say(text: str, ctx: Context) -> str:
        await ctx.log("warning", text, logger_name="talk")
        return "said"

    @mcp.tool()
    async def change(uri: str, ctx: Context) -> str:
        await ctx.session.send_resource_updated(uri)
        return "changed"

    @mcp.tool()
    async def ask_person(ctx: Context) -> str:
        answer = await ctx.elicit("Who are you?", Name)
        return f"{answer.action}: {answer.data.name if answer.action == 'accept' else ''}"

    @mcp.tool()
    async def ask_model(ctx: Context) -> str:
        content = TextContent(type="text", text="What is the capital of France?")
        answer = await ctx.session.create_message(
            [SamplingMessage(role="user", content=content)], max_tokens=50
        )
        return answer.content.text

    @mcp.tool()
    async def ask_folders(ctx: Context) -> str:
        return " ".join(str(root.uri) for root in (await ctx.session.list_roots()).roots)

    @mcp.completion()
    async def complete(ref: Any, argument: Any, context: Any) -> Completion:
        return Completion(values=known_names(argument.value))

    @mcp._mcp_server.subscribe_resource()
    async def subscribe(uri: Any) -> None:
        """Everybody hears of every change."""

    @mcp._mcp_server.unsubscribe_resource()
    async def unsubscribe(uri: Any) -> None:
        """Nobody is kept."""

    return mcp


def over_websocket(mcp: Any, port: int) -> None:
    import uvicorn
    from mcp.server.websocket import websocket_server
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute

    async def talk(socket: Any) -> None:
        async with websocket_server(socket.scope, socket.receive, socket.send) as (reading, writing):
            server = mcp._mcp_server
            await server.run(reading, writing, server.create_initialization_options())

    app = Starlette(routes=[WebSocketRoute("/mcp", talk)])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


def main(library: str, where: str) -> None:
    match library, where:
        case "official", "stdio":
            official().run("stdio")
        case "official", port:
            official().run("streamable-http", host="127.0.0.1", port=int(port))
        case "fastmcp", "stdio":
            fastmcp().run("stdio", show_banner=False)
        case "fastmcp", port:
            fastmcp().run("http", host="127.0.0.1", port=int(port), show_banner=False)
        case "websocket", port:
            over_websocket(websocket(), int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
