"""What an editor knows of MCP: `connect` has two faces, and each has sessions of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_type

import tako
from tako.effects import Flow
from tako.mcp import (
    AsyncSession,
    BlockingSession,
    CallResult,
    Completion,
    Connection,
    Contents,
    Declined,
    Elicitation,
    Grpc,
    Host,
    Http,
    LogMessage,
    McpServer,
    Notice,
    OAuth,
    PromptResult,
    SamplingRequest,
    Session,
    Stdio,
    ToolInfo,
    WebSocket,
    connect,
    serve,
)
from tako.models import Message


def ask(question: Elicitation) -> Mapping[str, Any] | type[Declined]:
    return Declined if question.schema is None else {"name": "Ada"}


async def approve(request: SamplingRequest) -> bool:
    return len(request.request.messages) < 10


def log(message: LogMessage) -> None:
    assert_type(message.level, str)


host = Host(
    sampling=tako.providers.Fake("yes"), approve=approve, elicitation=ask, roots=["file:///srv"], log=log
)
clock = Stdio("uvx", ["mcp-server-time"], env={"TZ": "UTC", "DEBUG": None}, host=host, timeout=5.0)
notes = Http("https://x/mcp", headers={"authorization": "Bearer $TOKEN"}, prefix="notes", era="handshake")
board = Http("https://x/mcp", auth=OAuth(redirect=str, redirect_uri="http://127.0.0.1/callback"))
chat = WebSocket("wss://x/mcp", only=["say"])
bridge = Grpc("https://x:443", only=lambda info: info.read_only is True, check=lambda infos: len(infos))

assert_type(connect(clock, cancel=tako.CancellationToken()), Connection)
assert_type(tako.mcp.connect(clock), Connection)


def told(done: float, total: float | None, message: str | None) -> None: ...


def blocking() -> None:
    with connect(clock) as session:
        assert_type(session, BlockingSession)
        assert_type(session.tools(), tuple[ToolInfo, ...])
        result = session.call("convert", {"time": "12:00"}, on_progress=told, timeout=1.0)
        assert_type(result, CallResult)
        assert_type(result.text, str)
        assert_type(result.is_error, bool)
        assert_type(session.read("file:///a"), tuple[Contents, ...])
        assert_type(session.prompt("greet").to_messages(), list[Message])
        assert_type(session.complete("mood", "gl", prompt="greet"), Completion)
        assert_type(session.instructions, str | None)
        assert_type(session.revision, str)
        with session.listen() as notices:
            for notice in notices:
                assert_type(notice, Notice)


async def asynchronous() -> None:
    async with connect(notes) as session:
        assert_type(session, AsyncSession)
        assert_type(await session.tools(), tuple[ToolInfo, ...])
        assert_type(await session.call("convert"), CallResult)
        assert_type(await session.prompt("greet"), PromptResult)
        async with session.listen() as notices:
            async for notice in notices:
                assert_type(notice, Notice)


def with_an_agent() -> None:
    agent = tako.SingleAgent(tako.providers.Fake("hello"), mcp_servers=[clock, notes, board, chat, bridge])
    serve(agent, name="hello")
    serve([told], name="told", http="127.0.0.1:8000")
    assert_type(tako.mcp.server.McpServer(agent, name="hello"), McpServer)


def as_a_flow(session: Session) -> Flow[str]:
    result = yield from session.call("convert")
    assert_type(result, CallResult)
    return result.text


def refused() -> None:
    connect("python server.py")  # type: ignore[arg-type]
    connect(clock).call("convert")  # type: ignore[attr-defined]
    tako.SingleAgent(tako.providers.Fake("hello"), mcp_servers=clock)  # type: ignore[arg-type]
    Stdio("python", ["server.py"], {"KEY": "value"})  # type: ignore[call-arg, arg-type]
    _ = tako.mcp.HTTP  # type: ignore[attr-defined]
    _ = tako.SingleAgents  # type: ignore[attr-defined]
