"""An MCP server that costs its client nothing: `python bench/mcp_echo.py stdio|http [CORE]`.

It has one tool, which gives back its text, and speaks as little of MCP and HTTP as that takes: what is
measured is the client. Over HTTP it tells its port first. It imports nothing of ours.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
from typing import Any

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
ACCEPTED = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n"
REFUSED = b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
TOOLS = {"tools": [{"name": "echo", "description": "The same text", "inputSchema": SCHEMA}]}


def answer(request: dict[str, Any]) -> bytes | None:
    """The answer to a message; None for a notification."""
    if "id" not in request:
        return None
    match request["method"]:
        case "tools/call":
            text = request["params"]["arguments"]["text"]
            result: Any = {"content": [{"type": "text", "text": text}], "isError": False}
        case "initialize":
            result = {
                "protocolVersion": request["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "echo", "version": "1"},
            }
        case "tools/list":
            result = TOOLS
        case _:
            result = {}
    return json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}).encode()


class Echo(asyncio.Protocol):
    """One connection; requests come one after the other."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data
        head, mark, body = received.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not mark or len(body) < (int(length[1]) if length else 0):
            return
        self._received = b""
        if not head.startswith(b"POST"):
            self.transport.write(REFUSED)
            return
        answered = answer(json.loads(body))
        self.transport.write(ACCEPTED if answered is None else HEAD % len(answered) + answered)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main(over: str, core: str = "") -> None:
    if core:
        os.sched_setaffinity(0, {int(core)})
    if over == "http":
        asyncio.run(serve())
        return
    out = sys.stdout.buffer
    for line in sys.stdin.buffer:
        answered = answer(json.loads(line))
        if answered is not None:
            out.write(answered + b"\n")
            out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
