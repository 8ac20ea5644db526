"""RemoteTool: a tool of an MCP server as a tool of an agent, and all tools of several servers together.

| what the server says            | what it is for the agent                                               |
|---------------------------------|------------------------------------------------------------------------|
| readOnlyHint                    | a read-only tool: it runs beside others, and rules may trust it so far |
| content                         | what the model reads: text, pictures, sound, documents                 |
| structuredContent               | the value, for programs                                                |
| isError; an error; a lost call  | an error result in words; the agent goes on                            |
| progress                        | ToolProgress events                                                |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tako.effects import Emit, Flow, Succeeded, gather, keep
from tako.errors import InvalidInput, ToolError, TransportError
from tako.mcp.catalogue import CallResult, ToolInfo
from tako.mcp.config import ServerConfig
from tako.mcp.errors import McpError
from tako.mcp.session import Session
from tako.parts import TextPart
from tako.tools.output import ToolOutput
from tako.tools.tool import Tool

if TYPE_CHECKING:
    from tako.tools.context import ToolContext
    from tako.tools.tool import Progress

__all__ = ["Catalogues", "RemoteTool", "catalogues_of", "sessions_of", "tools_of"]

Catalogues: TypeAlias = list[tuple[ToolInfo, ...]]
"""The tools that each of some servers offers, in the order of the servers."""

MAX_NAME: Final = 64
"""Characters that every vendor takes in a tool's name; they are letters, digits, _ and -."""


class RemoteTool(Tool):
    """One tool of a server. `info` is what the server says of it."""

    __slots__ = ("_session", "info")

    def __init__(self, session: Session, info: ToolInfo, prefix: str | None) -> None:
        name = f"{prefix}_{info.name}" if prefix else info.name
        super().__init__(
            _called_elsewhere,
            name=re.sub(r"[^A-Za-z0-9_-]", "_", name)[:MAX_NAME],
            description=info.description or info.title or "",
            input_schema=info.input_schema,
            read_only=info.read_only is True,
        )
        self.is_flow = True
        self.info = info
        self._session = session

    def invoke(
        self, arguments: Any, make_context: Callable[[], ToolContext], progress: Progress | None = None
    ) -> Flow[Any]:
        if not isinstance(arguments, Mapping):
            raise ToolError(f"tool {self.name!r} takes its arguments by name")

        def show(done: float, total: float | None, message: str | None) -> Flow[None]:
            if progress is not None:
                yield Emit(progress({"progress": done, "total": total, "message": message}))

        if self._session.config.check is not None:
            yield from self._session.known_tools()  # it was not asked for them if a journal knew them
        try:
            result = yield from self._session.call(
                self.info.name, arguments, on_progress=None if progress is None else show
            )
        except McpError as error:
            raise ToolError(f"the server refused the call: {error.message}") from error
        except TransportError as error:
            raise ToolError(
                f"the call was lost, and nobody knows whether it was done: {error.message}"
            ) from error
        return _output(result)


def _called_elsewhere() -> None:
    raise InvalidInput("a tool of an MCP server is called by an agent, or by a session's call()")


def _output(result: CallResult) -> ToolOutput:
    parts = tuple([piece.part() for piece in result.content])
    value = result.structured if result.structured is not None else result.text
    if result.structured is None and all(type(part) is TextPart for part in parts):
        return ToolOutput("".join([part.text for part in parts if type(part) is TextPart]),
                          is_error=result.is_error)  # fmt: skip
    return ToolOutput(value, parts, result.is_error)


def sessions_of(servers: Iterable[ServerConfig]) -> Flow[tuple[Session, ...]]:
    """The sessions that this Runtime keeps for these servers; they need not be connected."""
    sessions: list[Session] = []
    for server in servers:
        sessions.append((yield from keep(server, _making(server))))
    return tuple(sessions)


def _making(server: ServerConfig) -> Callable[[], Session]:
    return lambda: Session(server)


def catalogues_of(sessions: tuple[Session, ...]) -> Flow[Catalogues]:
    """What each server offers; they are asked side by side."""
    if len(sessions) == 1:
        return [(yield from sessions[0].known_tools())]
    outcomes = yield from gather(*[session.known_tools() for session in sessions])
    return [outcome.value for outcome in outcomes if isinstance(outcome, Succeeded)]


def tools_of(sessions: tuple[Session, ...], catalogues: Catalogues, taken: Iterable[str]) -> list[RemoteTool]:
    """The tools of all servers, as they offer them; raises InvalidInput if two have the same name.

    `taken` are the names that the agent's own tools have.
    """
    owners = dict.fromkeys(taken, "the agent itself")
    found: list[RemoteTool] = []
    for session, tools in zip(sessions, catalogues, strict=True):
        label = session.config.label
        for tool in _made(session, tools):
            if tool.name in owners:
                raise InvalidInput(
                    f"both {owners[tool.name]} and {label} have a tool named {tool.name!r}; "
                    'give one of the servers a prefix: Stdio(..., prefix="git")'
                )
            owners[tool.name] = label
            found.append(tool)
    return found


def _made(session: Session, tools: tuple[ToolInfo, ...]) -> Sequence[RemoteTool]:
    """The tools that are wanted, made once for as long as they are the same."""
    made = session.made
    if made is None or made[0] is not tools:
        config = session.config
        wanted = [RemoteTool(session, info, config.prefix) for info in tools if _is_wanted(config, info)]
        made = session.made = tools, wanted
    return made[1]


def _is_wanted(config: ServerConfig, info: ToolInfo) -> bool:
    only = config.only
    if only is None:
        return True
    return bool(only(info)) if callable(only) else info.name in only
