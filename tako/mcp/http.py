"""Http: a server at an http:// or https:// URL, over Streamable HTTP or the pair that came before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from tako.effects import TlsOptions
from tako.errors import InvalidInput
from tako.mcp.config import ServerConfig
from tako.mcp.environment import header_pairs
from tako.mcp.http_peer import Authorizer, Credentials, HttpPeer, shown
from tako.mcp.mirrored import TOKEN
from tako.wire.route import parse_url

if TYPE_CHECKING:
    from tako.mcp.channel import Channel

__all__ = ["Http"]

OWNED: Final = frozenset(
    ("accept", "connection", "content-encoding", "content-length", "content-type", "host", "last-event-id",
     "mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id", "transfer-encoding")
)  # fmt: skip
"""Headers that are the protocol's, and with them all that begin with Mcp-Param-."""


@dataclass(frozen=True, eq=False, repr=False)
class Http(ServerConfig):
    """An MCP server that is reached over HTTP.

    url           http://... or https://...; it says where the session is, so no query belongs in messages
    headers       sent with every request; in a value `$NAME` and `${NAME}` are variables of the
                  environment, read when the connection is made, and `$$` is a dollar sign
    auth          how to be let in: OAuth(...) or ClientCredentials(...)
    timeout_secs  seconds that the server may send nothing at all on its way to an answer, keep-alives
                  included; None for no limit but `timeout`, which says how long it may have nothing to say
    tls           whom to trust and who we are, for https://; whom to trust, for `auth` as well

    The other arguments are those of ServerConfig. Raises InvalidInput that names the argument.
    """

    url: str
    headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = field(default=None, kw_only=True)
    auth: Credentials | None = field(default=None, kw_only=True)
    timeout_secs: float | None = field(default=None, kw_only=True)
    tls: TlsOptions | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.url, str):
            raise InvalidInput(f"url should be text, not {type(self.url).__name__}")
        if self.url.strip(" ").lower().startswith(("ws:", "wss:")):
            raise InvalidInput(
                "url should begin with http:// or https://; for ws:// and wss:// there is WebSocket"
            )
        scheme = parse_url(self.url).origin.scheme
        if self.tls is not None and scheme != "https":
            raise InvalidInput("tls is for https:// URLs; this one is not encrypted")
        seconds = self.timeout_secs
        if seconds is not None and (
            isinstance(seconds, bool)
            or not isinstance(seconds, int | float)
            or not 0 < seconds < float("inf")
        ):
            raise InvalidInput(
                f"timeout_secs should be a positive number of seconds or None, not {seconds!r}"
            )
        headers = tuple([(name.lower(), value) for name, value in header_pairs(self.headers)])
        for name, _ in headers:
            if not TOKEN.fullmatch(name):
                raise InvalidInput(f"headers: {name[:40]!r} is not the name of a header")
            if name in OWNED or name.startswith("mcp-param-"):
                raise InvalidInput(f"headers cannot hold {name!r}, which the protocol itself sets")
            if name == "authorization" and self.auth is not None:
                raise InvalidInput("headers cannot hold 'authorization' where auth= is given: leave one out")
        if self.auth is not None:
            self._authorizer(self.auth)
        object.__setattr__(self, "headers", headers)  # a generator can be read once only

    def __repr__(self) -> str:
        return f"Http({shown(self.url)!r})"

    @property
    def label(self) -> str:
        return f"the MCP server {shown(self.url)}"

    def channel(self) -> Channel:
        from tako.mcp.http_channel import HttpChannel

        given = header_pairs(self.headers)
        auth = None if self.auth is None else self._authorizer(self.auth)
        server = HttpPeer(self.label, self.url.strip(" "), given, auth=auth, tls=self.tls)
        return HttpChannel(server, self.timeout_secs, can_be_asked=bool(self.host.capabilities))

    def _authorizer(self, auth: Credentials) -> Authorizer:
        """Whom we trust holds for the authorization server too; who we are is for the server alone."""
        tls = None if self.tls is None else replace(self.tls, client_cert=None, client_key=None)
        return auth.authorizer(self.url.strip(" "), tls)
