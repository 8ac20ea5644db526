"""Envelope: what each request of the modern era says of itself, and what HTTP headers repeat of it.

| where                       | what                        | if it is missing, or wrong               |
|-----------------------------|-----------------------------|------------------------------------------|
| `_meta` protocolVersion     | the revision                | -32602; one that we do not speak: -32022 |
| `_meta` clientCapabilities  | what the client can do      | -32602                                   |
| `_meta` clientInfo          | who it is                   | may be missing                           |
| `_meta` logLevel            | the log messages it wants   | none are sent                            |
| header MCP-Protocol-Version | the revision                | -32020                                   |
| header Mcp-Method           | the method                  | -32020                                   |
| header Mcp-Name             | the name or URI concerned   | -32020                                   |
| headers Mcp-Param-*         | arguments that the tool's   | -32020, also if there is one for an      |
|                             | schema marks `x-mcp-header` | argument that is not there               |

The headers are for those between us and the client, who route by them. What they say must be what the body
says, or somebody routes by one thing while we do another: so they are compared, and a header that
comes twice is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from tako.effects import Headers
from tako.mcp.errors import HEADER_MISMATCH, UNSUPPORTED_VERSION, McpError
from tako.mcp.mirrored import Marks, decoded, mirrored
from tako.mcp.server.client import LEVELS
from tako.mcp.server.methods import Peer
from tako.mcp.versions import MODERN, VERSION_KEY, newest
from tako.wire.jsonrpc import INVALID_PARAMS

__all__ = ["check_arguments", "check_headers", "introduced"]

Json: TypeAlias = Any
Params: TypeAlias = Mapping[str, Json]

CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"
INFO_KEY: Final = "io.modelcontextprotocol/clientInfo"
LEVEL_KEY: Final = "io.modelcontextprotocol/logLevel"
NAMED_BY: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
ROUTING: Final = ("mcp-protocol-version", "mcp-method", "mcp-name")


def introduced(params: Params) -> Peer:
    """The peer that a request introduces; raises McpError."""
    meta = params.get("_meta")
    if not isinstance(meta, Mapping):
        raise McpError(
            "a request of this era has a _meta that says its revision and capabilities", INVALID_PARAMS
        )
    version, capabilities = meta.get(VERSION_KEY), meta.get(CAPABILITIES_KEY)
    if not isinstance(version, str):
        raise McpError(f"_meta should have {VERSION_KEY!r}, a text", INVALID_PARAMS)
    if not isinstance(capabilities, Mapping):
        raise McpError(f"_meta should have {CAPABILITIES_KEY!r}, an object", INVALID_PARAMS)
    revision = newest((version,), MODERN)
    if revision is None:
        supported = [revision.name for revision in MODERN]
        raise McpError(
            f"this server does not speak the revision {version!r} in this era",
            UNSUPPORTED_VERSION,
            {"supported": supported, "requested": version},
        )
    info, level = meta.get(INFO_KEY), meta.get(LEVEL_KEY)
    return Peer(
        revision,
        capabilities,
        info if isinstance(info, Mapping) else {},
        level if level in LEVELS else None,
    )


def check_headers(headers: Headers, method: str, params: Params) -> None:
    """Raise McpError unless the headers say what the body says."""
    told = _told_once(headers)
    meta = params.get("_meta")
    version = meta.get(VERSION_KEY) if isinstance(meta, Mapping) else None
    if isinstance(version, str) and told.get("mcp-protocol-version") != version:
        raise _mismatch("MCP-Protocol-Version", "the revision in _meta")
    if told.get("mcp-method") != method:
        raise _mismatch("Mcp-Method", "the method")
    key = NAMED_BY.get(method)
    name = params.get(key) if key is not None else None
    if isinstance(name, str) and decoded(told.get("mcp-name", "")) != name:
        raise _mismatch("Mcp-Name", f"params.{key}")


def check_arguments(headers: Headers, marks: Marks, arguments: Json) -> None:
    """Raise McpError unless headers repeat the arguments that the tool's schema marks, and no others."""
    wanted = {
        name.lower(): value
        for name, value in mirrored(marks, arguments if isinstance(arguments, Mapping) else {})
    }
    for path, mark in marks.items():
        header = f"Mcp-Param-{mark}"
        values = [value.strip(" \t") for name, value in headers if name == header.lower()]
        if len(values) > 1:
            raise McpError(f"the header {header} comes more than once", HEADER_MISMATCH)
        if not _agree(values[0] if values else None, wanted.get(header.lower())):
            raise _mismatch(header, f"the argument {'.'.join(path)}")


def _told_once(headers: Headers) -> dict[str, str]:
    told: dict[str, str] = {}
    for name, value in headers:
        if name in ROUTING:
            if name in told:
                raise McpError(f"the header {name} comes more than once", HEADER_MISMATCH)
            told[name] = value.strip(" \t")
    return told


def _mismatch(header: str, what: str) -> McpError:
    return McpError(f"the header {header} should say the same as {what}", HEADER_MISMATCH)


def _agree(given: str | None, wanted: str | None) -> bool:
    """Whether two values of a header say the same; None is one that is not there."""
    if given is None or wanted is None:
        return given is wanted
    told = decoded(given)
    if told is None or told == decoded(wanted):
        return told is not None
    whole, point, zeros = told.partition(".")  # 42.0 is the integer 42
    return whole == wanted and point == "." and zeros.strip("0") == "" and wanted.removeprefix("-").isdigit()
