"""ServerConfig: what Stdio, Http, WebSocket and Grpc have in common: which server, and how it is used.

A value without I/O. One such object is one connection in each Runtime, which the agents that are given it
share; to have another connection, make another object. `connect(...)` always makes one of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from tako.errors import InvalidInput
from tako.mcp.host import NOBODY, Host
from tako.mcp.versions import era_of

if TYPE_CHECKING:
    from tako.mcp.catalogue import ToolInfo
    from tako.mcp.channel import Channel

__all__ = ["Check", "Only", "ServerConfig", "require_timeout"]

Only: TypeAlias = "Sequence[str] | Callable[[ToolInfo], bool] | None"
Check: TypeAlias = "Callable[[Sequence[ToolInfo]], object] | None"


def require_timeout(timeout: object) -> None:
    """Raises InvalidInput for what is no limit of time."""
    if timeout is not None and (
        isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0
    ):
        raise InvalidInput(f"timeout should be a positive number of seconds or None, not {timeout!r}")


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class ServerConfig(ABC):
    """How any server is used; see its four kinds for where it is.

    host     what the server may ask of us, and who hears what it says
    era      "auto": the modern era is tried first; "modern"; "handshake"; or one revision: "2025-06-18"
    timeout  seconds for one request; None for no limit. A call may have its own
    prefix   what the names of its tools begin with in an agent: "git" makes "git_status" of "status"
    only     which of its tools an agent gets: names, or a function of a ToolInfo
    check    called with the tools before they are first used, and when they have changed; to refuse them
             it raises. Plain or async

    Raises InvalidInput that names the argument.
    """

    host: Host = field(default=NOBODY, repr=False)
    era: str = "auto"
    timeout: float | None = 60.0
    prefix: str | None = None
    only: Only = field(default=None, repr=False)
    check: Check = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.host, Host):
            raise InvalidInput(f"host should be a tako.mcp.Host, not {type(self.host).__name__}")
        era_of(self.era)
        require_timeout(self.timeout)
        if self.prefix is not None and not isinstance(self.prefix, str):
            raise InvalidInput(f"prefix should be text, not {type(self.prefix).__name__}")
        if isinstance(self.only, str) or not (
            self.only is None or callable(self.only) or all(isinstance(name, str) for name in self.only)
        ):
            raise InvalidInput("only should be names of tools, or a function of a ToolInfo")
        if self.check is not None and not callable(self.check):
            raise InvalidInput(f"check should be a function, not {type(self.check).__name__}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.label}>"

    @property
    @abstractmethod
    def label(self) -> str:
        """What the server is called in messages; no secrets."""

    @abstractmethod
    def channel(self) -> Channel:
        """A channel to it, not yet open."""
