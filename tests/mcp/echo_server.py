"""An MCP server that echoes, as bare as can be, for tests that count: `stdio` or `http PORT_FILE`.

    echo  {"text"}   gives the text back; over stdio the answers to what came in one read go in another order
    pid   {}         the process id
    stall {}         never answers
    loud  {"bytes"}  writes so much to standard error first

It knows the handshake of 2025-06-18 and nothing else of MCP.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from typing import Any

Json = Any


def answer(message: Json) -> Json | None:
    """The answer to a message; None where there is none."""
    method, params = message.get("method"), message.get("params") or {}
    if "id" not in message or method is None:
        return None
    if method == "initialize":
        result = {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "echo", "version": "1"},
        }
    elif method == "tools/list":
        schema = {"type": "object"}
        result = {
            "tools": [{"name": name, "inputSchema": schema} for name in ("echo", "pid", "stall", "loud")]
        }
    elif method == "tools/call":
        name, arguments = params["name"], params.get("arguments") or {}
        if name == "stall":
            return None
        if name == "loud":
            sys.stderr.write("x" * arguments["bytes"])
            sys.stderr.flush()
        words = str(os.getpid()) if name == "pid" else arguments.get("text", "")
        result = {"content": [{"type": "text", "text": words}]}
    else:
        return {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "not found"}}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def stdio() -> None:
    chance, rest = random.Random(7), b""
    while data := os.read(0, 65536):
        *lines, rest = (rest + data).split(b"\n")
        answers = [found for text in lines if (found := answer(json.loads(text))) is not None]
        chance.shuffle(answers)
        written = b"".join([json.dumps(found).encode() + b"\n" for found in answers])
        while written:
            written = written[os.write(1, written) :]


class Http(asyncio.Protocol):
    """POST in, JSON out, on connections that are kept."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if not found:
                return
            fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
            size = int(fields.get(b"content-length", b"0"))
            if len(rest) < size:
                return
            body, self.buffer = rest[:size], rest[size:]
            given = answer(json.loads(body)) if body else None
            text = b"" if given is None else json.dumps(given).encode()
            status = b"202 Accepted" if given is None else b"200 OK"
            self.transport.write(  # type: ignore[attr-defined]
                b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                % (status, len(text), text)
            )


async def http(port_file: str) -> None:
    server = await asyncio.get_running_loop().create_server(Http, "127.0.0.1", 0, backlog=2000)
    port = server.sockets[0].getsockname()[1]
    with open(port_file + ".new", "w") as file:
        file.write(str(port))
    os.replace(port_file + ".new", port_file)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        stdio()
    else:
        asyncio.run(http(sys.argv[2]))
