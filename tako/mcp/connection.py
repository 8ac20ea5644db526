"""connect: one MCP server, used directly, in blocking code or under asyncio or trio.

    with connect(Stdio("server")) as session:             # blocking
        session.call("add", {"a": 1, "b": 2}).text

    async with connect(Stdio("server")) as session:       # asyncio or trio, whichever runs
        (await session.call("add", {"a": 1, "b": 2})).text

Each connection is its own, whoever else uses the same config, and ends with its block. A session may be
used by any number of threads, or of tasks of the loop that it was opened in, at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from tako import _adapters
from tako.effects import Flow, call
from tako.errors import InvalidInput
from tako.mcp.config import ServerConfig
from tako.mcp.session import Session

if TYPE_CHECKING:
    from tako._adapters import AsyncEvents, SyncEvents
    from tako.cancellation import CancellationToken
    from tako.mcp.catalogue import (
        CallResult,
        Completion,
        Contents,
        PromptInfo,
        PromptResult,
        ResourceInfo,
        TemplateInfo,
        ToolInfo,
    )
    from tako.mcp.conversation import Notice
    from tako.mcp.session import OnProgress

__all__ = ["AsyncSession", "BlockingSession", "Connection", "connect"]

T = TypeVar("T")
Json: TypeAlias = Any
Listener: TypeAlias = Callable[[float, float | None, str | None], object]
"""Told how far a call is: progress, total and message; plain or async."""


def connect(server: ServerConfig, *, cancel: CancellationToken | None = None) -> Connection:
    """A connection to a server, for `with` or `async with`. Nothing is done before that.

    `cancel` stops whatever is under way over it, and everything from then on. Raises InvalidInput.
    """
    if not isinstance(server, ServerConfig):
        raise InvalidInput(
            f"connect takes a Stdio, Http, WebSocket or Grpc of tako.mcp, not {type(server).__name__}"
        )
    return Connection(server, cancel)


class Connection(AbstractContextManager["BlockingSession"], AbstractAsyncContextManager["AsyncSession"]):
    """What `connect` gives. It can be entered once at a time, in either way."""

    def __init__(self, server: ServerConfig, cancel: CancellationToken | None) -> None:
        self._server = server
        self._cancel = cancel
        self._session: Session | None = None

    def __repr__(self) -> str:
        return f"<Connection to {self._server.label}>"

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            hint = "; a session has: with connect(...) as session:" if hasattr(BlockingSession, name) else ""
            raise AttributeError(f"a Connection has no {name!r}{hint}")

    def __enter__(self) -> BlockingSession:
        session = self._begin()
        try:
            _adapters.run_sync(session.ready(), self._cancel)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return BlockingSession(session, self._cancel)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            _adapters.run_sync(session.farewell())

    async def __aenter__(self) -> AsyncSession:
        session = self._begin()
        try:
            await _adapters.run_async(session.ready(), self._cancel)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return AsyncSession(session, self._cancel)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await _adapters.run_async(session.farewell())

    def _begin(self) -> Session:
        if self._session is not None:
            raise InvalidInput(f"this connection to {self._server.label} is open already; connect again")
        self._session = session = Session(self._server)
        return session


def _relay(listener: Listener | None) -> OnProgress | None:
    if listener is None:
        return None
    if not callable(listener):
        raise InvalidInput(f"on_progress should be a function, not {type(listener).__name__}")
    return lambda *told: call(listener, *told)


class _Described:
    """What a session knows without asking."""

    __slots__ = ("_cancel", "_session")

    def __init__(self, session: Session, cancel: CancellationToken | None) -> None:
        self._session = session
        self._cancel = cancel

    def __repr__(self) -> str:
        return f"<{type(self).__name__} with {self._session.config.label}, {self.revision}>"

    @property
    def revision(self) -> str:
        """The revision of MCP that is spoken."""
        return self._session.agreement.revision.name

    @property
    def server_info(self) -> Mapping[str, Json]:
        """Who the server says it is: name, version, ..."""
        return self._session.agreement.server_info

    @property
    def capabilities(self) -> Mapping[str, Json]:
        return self._session.agreement.capabilities

    @property
    def instructions(self) -> str | None:
        """How the server wants to be used, in words for a model."""
        return self._session.agreement.instructions


class BlockingSession(_Described):
    """A session in plain blocking Python; each method is that of tako.mcp.session.Session."""

    __slots__ = ()

    def _run(self, flow: Flow[T], cancel: CancellationToken | None = None) -> T:
        return _adapters.run_sync(flow, cancel or self._cancel)

    def tools(self) -> tuple[ToolInfo, ...]:
        return self._run(self._session.tools())

    def call(
        self,
        name: str,
        arguments: Mapping[str, Json] | None = None,
        *,
        on_progress: Listener | None = None,
        timeout: float | None = None,
        cancel: CancellationToken | None = None,
    ) -> CallResult:
        """Call a tool; a result with `is_error` is the tool's own failure."""
        flow = self._session.call(name, arguments, on_progress=_relay(on_progress), timeout=timeout)
        return self._run(flow, cancel)

    def resources(self) -> tuple[ResourceInfo, ...]:
        return self._run(self._session.resources())

    def resource_templates(self) -> tuple[TemplateInfo, ...]:
        return self._run(self._session.resource_templates())

    def read(self, uri: str) -> tuple[Contents, ...]:
        """What a resource holds."""
        return self._run(self._session.read(uri))

    def prompts(self) -> tuple[PromptInfo, ...]:
        return self._run(self._session.prompts())

    def prompt(self, name: str, arguments: Mapping[str, str] | None = None) -> PromptResult:
        """A prompt, filled in."""
        return self._run(self._session.prompt(name, arguments))

    def complete(
        self,
        argument: str,
        value: str,
        *,
        prompt: str | None = None,
        template: str | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Completion:
        """Values for an argument of a prompt or a resource template that begin like `value`."""
        flow = self._session.complete(argument, value, prompt=prompt, template=template, context=context)
        return self._run(flow)

    def subscribe(self, uri: str) -> None:
        """Have the server tell when a resource changes."""
        self._run(self._session.subscribe(uri))

    def unsubscribe(self, uri: str) -> None:
        self._run(self._session.unsubscribe(uri))

    def listen(self, *, cancel: CancellationToken | None = None) -> SyncEvents[Notice, None]:
        """What the server says on its own account: `with session.listen() as notices: for notice in ...`."""
        return _adapters.stream_sync(self._session.listen, cancel or self._cancel)

    def set_log_level(self, level: str) -> None:
        self._run(self._session.set_log_level(level))

    def ping(self) -> None:
        self._run(self._session.ping())


class AsyncSession(_Described):
    """A session under asyncio or trio; each method is that of tako.mcp.session.Session."""

    __slots__ = ()

    async def _run(self, flow: Flow[T], cancel: CancellationToken | None = None) -> T:
        return await _adapters.run_async(flow, cancel or self._cancel)

    async def tools(self) -> tuple[ToolInfo, ...]:
        return await self._run(self._session.tools())

    async def call(
        self,
        name: str,
        arguments: Mapping[str, Json] | None = None,
        *,
        on_progress: Listener | None = None,
        timeout: float | None = None,
        cancel: CancellationToken | None = None,
    ) -> CallResult:
        """Call a tool; a result with `is_error` is the tool's own failure."""
        flow = self._session.call(name, arguments, on_progress=_relay(on_progress), timeout=timeout)
        return await self._run(flow, cancel)

    async def resources(self) -> tuple[ResourceInfo, ...]:
        return await self._run(self._session.resources())

    async def resource_templates(self) -> tuple[TemplateInfo, ...]:
        return await self._run(self._session.resource_templates())

    async def read(self, uri: str) -> tuple[Contents, ...]:
        """What a resource holds."""
        return await self._run(self._session.read(uri))

    async def prompts(self) -> tuple[PromptInfo, ...]:
        return await self._run(self._session.prompts())

    async def prompt(self, name: str, arguments: Mapping[str, str] | None = None) -> PromptResult:
        """A prompt, filled in."""
        return await self._run(self._session.prompt(name, arguments))

    async def complete(
        self,
        argument: str,
        value: str,
        *,
        prompt: str | None = None,
        template: str | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Completion:
        """Values for an argument of a prompt or a resource template that begin like `value`."""
        flow = self._session.complete(argument, value, prompt=prompt, template=template, context=context)
        return await self._run(flow)

    async def subscribe(self, uri: str) -> None:
        """Have the server tell when a resource changes."""
        await self._run(self._session.subscribe(uri))

    async def unsubscribe(self, uri: str) -> None:
        await self._run(self._session.unsubscribe(uri))

    def listen(self, *, cancel: CancellationToken | None = None) -> AsyncEvents[Notice, None]:
        """What the server says on its own account: `async with session.listen() as notices: ...`."""
        return _adapters.stream_async(self._session.listen, cancel or self._cancel)

    async def set_log_level(self, level: str) -> None:
        await self._run(self._session.set_log_level(level))

    async def ping(self) -> None:
        await self._run(self._session.ping())
