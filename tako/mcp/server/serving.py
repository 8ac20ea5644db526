"""serve: from tools, an agent or a McpServer to a program that somebody can connect to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tako import _adapters
from tako.cancellation import CancellationToken
from tako.driving.targets import MakesFlow
from tako.errors import InvalidInput
from tako.mcp.server.server import McpServer
from tako.serving import Handler
from tako.tools.tool import Tool

__all__ = ["serve", "serve_async"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")
ANYWHERE = ("0.0.0.0", "::", "")


def serve(
    what: McpServer | Iterable[Tool | Callable[..., Any]] | MakesFlow[Any],
    *,
    name: str | None = None,
    http: str | None = None,
    path: str = "/mcp",
    hosts: Iterable[str] | None = None,
    origins: Iterable[str] = (),
    cancel: CancellationToken | None = None,
    ready: Callable[[int], None] | None = None,
) -> None:
    """Serve tools, an agent or a McpServer, in plain blocking Python: over stdio, or HTTP at "host:port".

    what     functions and Tools; an agent, which becomes one tool; or a McpServer
    name     what the client is told we are called; a McpServer has its own
    path     where over HTTP; `hosts` and `origins` are those of McpServer.handler
    cancel   ends it; so does Ctrl-C, and over stdio the client
    ready    called with the port, once clients can connect

    Raises InvalidInput for what cannot be served, TransportError where it cannot listen.
    """
    server = _server(what, name)
    if http is None:
        _adapters.run_sync(server.flow(), cancel)
    else:
        host, port = _address(http)
        _adapters.serve_sync(_handler(server, host, path, hosts, origins), host, port, cancel, ready)


async def serve_async(
    what: McpServer | Iterable[Tool | Callable[..., Any]] | MakesFlow[Any],
    *,
    name: str | None = None,
    http: str | None = None,
    path: str = "/mcp",
    hosts: Iterable[str] | None = None,
    origins: Iterable[str] = (),
    cancel: CancellationToken | None = None,
    ready: Callable[[int], None] | None = None,
) -> None:
    """The same as `serve`, under asyncio or trio, whichever is running."""
    server = _server(what, name)
    if http is None:
        await _adapters.run_async(server.flow(), cancel)
    else:
        host, port = _address(http)
        await _adapters.serve_async(_handler(server, host, path, hosts, origins), host, port, cancel, ready)


def _server(what: Any, name: str | None) -> McpServer:
    if not isinstance(what, McpServer):
        return McpServer(what, name=name or "tako")
    if name is not None:
        raise InvalidInput("name: this McpServer has one already; pass McpServer(..., name=...)")
    return what


def _handler(
    server: McpServer, host: str, path: str, hosts: Iterable[str] | None, origins: Iterable[str]
) -> Handler:
    if hosts is None and host not in LOOPBACK:
        if host in ANYWHERE:
            raise InvalidInput(
                f"http={host!r} listens on every address, so say by which names it may be called: "
                'hosts=["mcp.example.com"], or hosts=["*"] if something in front of it checks them'
            )
        hosts = [host]
    return server.handler(path, hosts=hosts, origins=origins)


def _address(http: str) -> tuple[str, int]:
    """The host and the port of "host:port"; raises InvalidInput."""
    if isinstance(http, str):
        host, colon, port = http.rpartition(":")
        if colon and port.isascii() and port.isdigit() and int(port) < 65536:
            return host.removeprefix("[").removesuffix("]"), int(port)
    raise InvalidInput(f'http should be "host:port", as "127.0.0.1:8000", not {http!r}')
