"""Other people's clients against our server: `python client.py LIBRARY MODE stdio PROGRAM ... | URL`.

Runs in an environment of its own, where tako is not. LIBRARY is official or fastmcp, MODE what both call so:
legacy, auto, or a revision of the modern era. The server is the one of the conformance suite. Prints, as
JSON, what came of everything that a client can do.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import mcp_types as types

NAME = {"name": "Ada", "response": "Ada"}
ANSWER = types.TextContent(type="text", text="Paris")


async def official(mode: str, target: list[str]) -> dict[str, Any]:
    from mcp.client.client import Client
    from mcp.client.stdio import StdioServerParameters, stdio_client

    heard: list[Any] = []

    async def elicit(context: Any, params: Any) -> types.ElicitResult:
        return types.ElicitResult(action="accept", content=NAME)

    async def sample(context: Any, params: Any) -> types.CreateMessageResult:
        return types.CreateMessageResult(role="assistant", content=ANSWER, model="a model")

    async def roots(context: Any) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root(uri="file:///srv")])

    async def log(params: Any) -> None:
        heard.append([params.level, params.data])

    transport: Any = target[0]
    if target[0] == "stdio":
        transport = stdio_client(StdioServerParameters(command=target[1], args=target[2:]))
    async with Client(
        transport,
        mode=mode,
        elicitation_callback=elicit,
        sampling_callback=sample,
        list_roots_callback=roots,
        logging_callback=log,
        log_level="debug",
    ) as client:
        if client.protocol_version < "2026":
            await client.set_logging_level("debug")
            await client.send_ping()
        templates = (await client.list_resource_templates()).resource_templates
        reference = types.PromptReference(type="ref/prompt", name="test_prompt_with_arguments")
        found = await client.complete(reference, {"name": "arg1", "value": "pa"})
        return {
            "revision": client.protocol_version,
            "server": client.server_info.name,
            "heard": heard,
            "resources": [str(one.uri) for one in (await client.list_resources()).resources],
            "templates": [one.uri_template for one in templates],
            "read": [one.text for one in (await client.read_resource("test://static-text")).contents],
            "filled": [one.text for one in (await client.read_resource("test://template/7/data")).contents],
            "prompts": [one.name for one in (await client.list_prompts()).prompts],
            "prompt": [
                message.content.text
                for message in (
                    await client.get_prompt("test_prompt_with_arguments", {"arg1": "one", "arg2": "two"})
                ).messages
            ],
            "completion": found.completion.values,
            "tools": [tool.name for tool in (await client.list_tools()).tools],
            **await calls(client.call_tool, "progress_callback"),
        }


async def fastmcp(mode: str, target: list[str]) -> dict[str, Any]:
    from fastmcp import Client
    from fastmcp.client.elicitation import ElicitResult
    from fastmcp.client.transports import StdioTransport

    heard: list[Any] = []

    async def elicit(message: str, kind: Any, params: Any, context: Any) -> ElicitResult:
        wanted = params.requested_schema["properties"]
        return ElicitResult(action="accept", content={key: NAME[key] for key in NAME if key in wanted})

    async def sample(messages: Any, params: Any, context: Any) -> str:
        return "Paris"

    async def log(message: Any) -> None:
        heard.append([message.level, message.data])

    transport: Any = target[0]
    if target[0] == "stdio":
        transport = StdioTransport(command=target[1], args=target[2:], keep_alive=False)
    async with Client(
        transport,
        mode=mode,
        elicitation_handler=elicit,
        sampling_handler=sample,
        roots=["file:///srv"],
        log_handler=log,
    ) as client:
        told = client.session.server_info  # a revision of the modern era that is pinned needs no discovery
        if client.session.protocol_version < "2026":
            await client.set_logging_level("debug")
            await client.ping()
        reference = types.PromptReference(type="ref/prompt", name="test_prompt_with_arguments")
        found = await client.complete(reference, {"name": "arg1", "value": "pa"})
        return {
            "revision": client.session.protocol_version,
            "server": told.name if told is not None else "not asked",
            "heard": heard,
            "resources": [str(one.uri) for one in await client.list_resources()],
            "templates": [one.uri_template for one in await client.list_resource_templates()],
            "read": [one.text for one in await client.read_resource("test://static-text")],
            "filled": [one.text for one in await client.read_resource("test://template/7/data")],
            "prompts": [one.name for one in await client.list_prompts()],
            "prompt": [
                message.content.text
                for message in (
                    await client.get_prompt("test_prompt_with_arguments", {"arg1": "one", "arg2": "two"})
                ).messages
            ],
            "completion": found.values,
            "tools": [tool.name for tool in await client.list_tools()],
            **await calls(client.call_tool_mcp, "progress_handler"),
        }


async def calls(call: Any, on_progress: str) -> dict[str, Any]:
    """What the tools give."""
    steps: list[Any] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        steps.append([done, total])

    async def text(name: str, arguments: dict[str, Any] | None = None, **options: Any) -> str:
        result = await call(name, arguments or {}, **options)
        return "".join(piece.text for piece in result.content if piece.type == "text")

    failed = await call("test_error_handling", {})
    mixed = await call("test_multiple_content_types", {})
    return {
        "text": await text("test_simple_text"),
        "is_error": failed.is_error,
        "mixed": [piece.type for piece in mixed.content],
        "audio": [piece.mime_type for piece in (await call("test_audio_content", {})).content],
        "structured": (await call("test_structured_content", {"a": 2, "b": 40})).structured_content,
        "logged": await text("test_tool_with_logging"),
        "counted": await text("test_tool_with_progress", **{on_progress: progress}),
        "progress": steps,
        "person": await text("test_elicitation", {"message": "Who are you?"}),
        "model": await text("test_sampling", {"prompt": "What is the capital of France?"}),
        "folders": await text("test_input_required_result_list_roots"),
    }


def main(library: str, mode: str, *target: str) -> None:
    do = official if library == "official" else fastmcp
    print(json.dumps(asyncio.run(do(mode, list(target)))))


if __name__ == "__main__":
    main(*sys.argv[1:])
