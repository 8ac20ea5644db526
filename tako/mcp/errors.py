"""McpError: the other side of an MCP conversation understood a request and said no."""

from __future__ import annotations

from typing import Any, Final

from tako.errors import TakoError

__all__ = [
    "HEADER_MISMATCH",
    "MISSING_CAPABILITY",
    "RESOURCE_NOT_FOUND",
    "UNSUPPORTED_VERSION",
    "URL_ELICITATION_REQUIRED",
    "McpError",
]

HEADER_MISMATCH: Final = -32020
MISSING_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022
RESOURCE_NOT_FOUND: Final = -32002
URL_ELICITATION_REQUIRED: Final = -32042


class McpError(TakoError):
    """An error that was answered, or is to be: raised in a handler it is what the peer gets to read.

    number  the JSON-RPC code; `code` is the same as text
    data    what came with it
    """

    def __init__(self, message: str, number: int = -32603, data: Any = None, **fields: Any) -> None:
        super().__init__(message, **{"code": str(number), "phase": "mcp", **fields})
        self.number = number
        self.data = data
