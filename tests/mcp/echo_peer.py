"""What the servers that are written with other libraries answer: enough of MCP to list and call one tool."""

from __future__ import annotations

import json

__all__ = ["answered"]

TOOL = {
    "name": "echo",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
}


def answered(text: bytes | str) -> str | None:
    """The answer to a JSON text, None if it wants none."""
    message = json.loads(text)
    if "id" not in message:
        return None
    match message["method"]:
        case "initialize":
            result = {
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "echo", "version": "1"},
            }
        case "tools/list":
            result = {"tools": [TOOL]}
        case "tools/call":
            result = {"content": [{"type": "text", "text": message["params"]["arguments"]["text"]}]}
        case _:
            result = {}
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}, ensure_ascii=False)
