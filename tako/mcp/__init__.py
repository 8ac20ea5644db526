"""MCP: servers whose tools, resources and prompts a program or an agent uses, and being one.

    from tako.mcp import Stdio, connect

    with connect(Stdio("uvx", ["mcp-server-time"])) as session:
        print(session.call("get_current_time", {"timezone": "Asia/Tokyo"}).text)

    agent = SingleAgent(provider, mcp_servers=[Stdio("uvx", ["mcp-server-time"])])

| file             | holds                                                                        |
|------------------|------------------------------------------------------------------------------|
| versions         | the revisions, as a table                                                    |
| config, stdio, http, websocket, grpc | where a server is and how it is used: what users make    |
| host, sampling   | what we do for servers: sampling, elicitation, roots, logs                   |
| framing          | bytes to texts and back, for what goes over a link                           |
| conversation     | JSON-RPC, either side: the machine of a link                                 |
| channel          | how a session's messages reach the server                                    |
| negotiation, session, mirrored | the client: eras, requests, input, changes, headers            |
| catalogue        | what a server offers and gives, as values                                    |
| connection       | `connect`: a session for blocking and for async code                         |
| once             | what many want at the same time is done by one                               |
| auth             | OAuth, as flows                                                              |
| server           | the other direction                                                          |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tako.mcp import auth, server
    from tako.mcp.auth import (
        AuthorizationError,
        Authorizer,
        ClientCredentials,
        Credentials,
        EnterpriseManaged,
        FileTokens,
        MemoryTokens,
        OAuth,
        TokenStorage,
        WorkloadIdentity,
    )
    from tako.mcp.catalogue import (
        CallResult,
        Completion,
        Content,
        Contents,
        PromptArgument,
        PromptInfo,
        PromptMessage,
        PromptResult,
        ResourceInfo,
        TemplateInfo,
        ToolInfo,
    )
    from tako.mcp.config import ServerConfig
    from tako.mcp.connection import AsyncSession, BlockingSession, Connection, connect
    from tako.mcp.conversation import Notice
    from tako.mcp.errors import McpError
    from tako.mcp.grpc import Grpc
    from tako.mcp.host import Declined, Elicitation, Host, LogMessage
    from tako.mcp.http import Http
    from tako.mcp.sampling import SamplingRequest
    from tako.mcp.server import McpServer, serve, serve_async
    from tako.mcp.session import Session
    from tako.mcp.stdio import Stdio
    from tako.mcp.websocket import WebSocket

__all__ = [
    "AsyncSession",
    "AuthorizationError",
    "Authorizer",
    "BlockingSession",
    "CallResult",
    "ClientCredentials",
    "Completion",
    "Connection",
    "Content",
    "Contents",
    "Credentials",
    "Declined",
    "Elicitation",
    "EnterpriseManaged",
    "FileTokens",
    "Grpc",
    "Host",
    "Http",
    "LogMessage",
    "McpError",
    "McpServer",
    "MemoryTokens",
    "Notice",
    "OAuth",
    "PromptArgument",
    "PromptInfo",
    "PromptMessage",
    "PromptResult",
    "ResourceInfo",
    "SamplingRequest",
    "ServerConfig",
    "Session",
    "Stdio",
    "TemplateInfo",
    "TokenStorage",
    "ToolInfo",
    "WebSocket",
    "WorkloadIdentity",
    "auth",
    "connect",
    "serve",
    "serve_async",
    "server",
]

_HOMES = {
    "AsyncSession": "connection",
    "AuthorizationError": "auth",
    "Authorizer": "auth",
    "BlockingSession": "connection",
    "CallResult": "catalogue",
    "ClientCredentials": "auth",
    "Completion": "catalogue",
    "Connection": "connection",
    "Content": "catalogue",
    "Contents": "catalogue",
    "Credentials": "auth",
    "Declined": "host",
    "Elicitation": "host",
    "EnterpriseManaged": "auth",
    "FileTokens": "auth",
    "Grpc": "grpc",
    "Host": "host",
    "Http": "http",
    "LogMessage": "host",
    "McpError": "errors",
    "McpServer": "server",
    "MemoryTokens": "auth",
    "Notice": "conversation",
    "OAuth": "auth",
    "PromptArgument": "catalogue",
    "PromptInfo": "catalogue",
    "PromptMessage": "catalogue",
    "PromptResult": "catalogue",
    "ResourceInfo": "catalogue",
    "SamplingRequest": "sampling",
    "ServerConfig": "config",
    "Session": "session",
    "Stdio": "stdio",
    "TemplateInfo": "catalogue",
    "TokenStorage": "auth",
    "ToolInfo": "catalogue",
    "WebSocket": "websocket",
    "WorkloadIdentity": "auth",
    "connect": "connection",
    "serve": "server",
    "serve_async": "server",
}


if not TYPE_CHECKING:  # a checker that saw this would believe that there is every name

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name in _HOMES:
            value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
            globals()[name] = value
            return value
        if name in __all__:
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
