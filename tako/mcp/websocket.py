"""WebSocket: a server at a ws:// or wss:// URL. Each message is one JSON text; the subprotocol is "mcp".

MCP has no WebSocket transport of its own; this is the one of the official SDK's first generation. The
subprotocol is offered; a server that takes none is used all the same, one that takes another is an error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tako.effects import Flow, TlsOptions, call
from tako.errors import InvalidInput
from tako.links import Endpoint, Socket
from tako.mcp.channel import Channel, LinkChannel
from tako.mcp.config import ServerConfig
from tako.mcp.environment import expanded_headers, header_pairs
from tako.mcp.framing import MAX_TEXT, Framing
from tako.wire.route import Target, parse_url

__all__ = ["WebSocket"]

SUBPROTOCOL: Final = "mcp"
_SCHEMES: Final = {"ws": "http", "wss": "https"}


@dataclass(frozen=True, eq=False, repr=False)
class WebSocket(ServerConfig):
    """An MCP server that is reached over a WebSocket.

    url      ws://... or wss://...
    headers  sent with the upgrade; in a value `$NAME` and `${NAME}` are variables of the environment, read
             when the connection is made, and `$$` is a dollar sign
    tls      whom to trust and who we are, for wss://

    Raises InvalidInput that names the argument.
    """

    url: str
    headers: Mapping[str, str] | None = field(default=None, repr=False, kw_only=True)
    tls: TlsOptions | None = field(default=None, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        scheme, _ = self._parts()
        header_pairs(self.headers)
        if self.tls is not None and scheme != "wss":
            raise InvalidInput("tls is for wss:// URLs; this one is not encrypted")

    @property
    def label(self) -> str:
        scheme, target = self._parts()
        path = target.path.partition("?")[0]  # keys are often in the query
        return f"the WebSocket server {scheme}://{target.origin.authority}{path}"

    def channel(self) -> Channel:
        return LinkChannel(self.label, self._connect)

    def _connect(self) -> Flow[tuple[Endpoint, Framing]]:
        from tako.wire.websocket import WebSocketClient  # with wsproto, which not every program needs

        headers = header_pairs(self.headers)
        if headers:
            environ: Mapping[str, str] = yield from call(dict, os.environ)
            headers = expanded_headers(headers, environ)
        scheme, target = self._parts()
        origin = target.origin
        tls = (self.tls or TlsOptions()) if scheme == "wss" else None
        framing = WebSocketClient(
            origin.authority,
            target.path,
            max_text=MAX_TEXT,
            headers=headers,
            subprotocol=SUBPROTOCOL,
            peer=self.label,
        )
        return Socket(origin.host, origin.port, tls, ("http/1.1",) if tls else ()), framing

    def _parts(self) -> tuple[str, Target]:
        url = self.url
        if not isinstance(url, str):
            raise InvalidInput(f"url should be text, not {type(url).__name__}")
        scheme, separator, rest = url.strip(" ").partition("://")
        scheme = scheme.lower()
        if not separator or scheme not in _SCHEMES:
            raise InvalidInput(
                "url should begin with ws:// or wss://; for http:// and https:// there is Http"
            )
        return scheme, parse_url(f"{_SCHEMES[scheme]}://{rest}")
