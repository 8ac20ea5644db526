"""A client that calls the echo server when it is told to: `python bench/mcp_player.py SIDE CORE SERVER...`.

SIDE is an arm of ours (blocking, trio, asyncio), "official" (the SDK of that name, in an environment of its
own, where tako is not) or "bare": what one writes by hand, a loop over pipes or a requests Session. SERVER is
a URL, or a program. For each number that it reads it makes as many calls, one after the other, and
prints how many seconds of CPU they took. Being ready, it prints a line.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from time import process_time
from typing import Any, TypeAlias

TEXT = "Hello, how are you today?"
CALL = {
    "jsonrpc": "2.0",
    "id": 7,
    "method": "tools/call",
    "params": {"name": "echo", "arguments": {"text": TEXT}},
}
START = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "bare", "version": "1"},
    },
}
ACCEPT = {"accept": "application/json, text/event-stream"}

One: TypeAlias = Callable[[], Any]
AwaitOne: TypeAlias = Callable[[], Awaitable[Any]]


def rounds() -> Iterator[int]:
    print("ready", flush=True)
    for line in sys.stdin:
        yield int(line)


def play(one: One) -> None:
    for count in rounds():
        start = process_time()
        for _ in range(count):
            assert one() == TEXT
        print(process_time() - start, flush=True)


async def play_async(one: AwaitOne) -> None:
    # Reading blocks the loop, which has nothing else to do.
    for count in rounds():
        start = process_time()
        for _ in range(count):
            assert await one() == TEXT
        print(process_time() - start, flush=True)


def ours(server: list[str]) -> Any:
    from tako.mcp import Stdio, connect

    if server[0].startswith("http"):
        from tako.mcp import Http

        return connect(Http(server[0], era="handshake"))
    return connect(Stdio(server[0], server[1:], era="handshake"))


def blocking(server: list[str]) -> None:
    with ours(server) as session:
        play(lambda: session.call("echo", {"text": TEXT}).text)


async def awaiting(server: list[str]) -> None:
    async with ours(server) as session:

        async def one() -> Any:
            return (await session.call("echo", {"text": TEXT})).text

        await play_async(one)


async def official(server: list[str]) -> None:
    from mcp.client.client import Client  # type: ignore[import-not-found]
    from mcp.client.stdio import StdioServerParameters, stdio_client  # type: ignore[import-not-found]

    target: Any = server[0]
    if not server[0].startswith("http"):
        target = stdio_client(StdioServerParameters(command=server[0], args=server[1:]))
    async with Client(target, mode="legacy") as client:

        async def one() -> Any:
            return (await client.call_tool("echo", {"text": TEXT})).content[0].text

        await play_async(one)


def bare_http(url: str) -> None:
    import requests

    with requests.Session() as session:
        session.headers.update(ACCEPT)
        play(lambda: session.post(url, json=CALL, timeout=60).json()["result"]["content"][0]["text"])


def bare_stdio(command: list[str]) -> None:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        writing, reading = process.stdin, process.stdout

        def ask(request: dict[str, Any]) -> Any:
            writing.write(json.dumps(request).encode() + b"\n")
            writing.flush()
            return json.loads(reading.readline())["result"]

        ask(START)
        play(lambda: ask(CALL)["content"][0]["text"])
        writing.close()


def main(side: str, core: str, *server: str) -> None:
    if int(core) >= 0:
        os.sched_setaffinity(0, {int(core)})
    target = list(server)
    match side:
        case "blocking":
            blocking(target)
        case "asyncio":
            asyncio.run(awaiting(target))
        case "trio":
            import trio

            trio.run(awaiting, target)
        case "official":
            asyncio.run(official(target))
        case "bare" if server[0].startswith("http"):
            bare_http(server[0])
        case "bare":
            bare_stdio(target)


if __name__ == "__main__":
    main(*sys.argv[1:])
