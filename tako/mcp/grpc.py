"""Grpc: a server behind the bridge of the first tako, one stream of gRPC in each direction.

    service tako.mcp.bridge.v1.McpBridge { rpc Open(stream Frame) returns (stream Frame); }
    message Frame { bytes json = 1; }

Each Frame is one JSON text. This is nobody's standard: it is here for those who run such bridges. Needs h2:
`pip install tako-sansio[grpc]`.

| endpoint              | arguments for TLS | connection                                            |
|-----------------------|-------------------|-------------------------------------------------------|
| http://, or host:port | none              | plain HTTP/2                                          |
| https://              | none              | TLS; the system's roots are trusted                   |
| https:// or host:port | ca_...            | TLS; that CA alone is trusted                         |
|                       | client_... too    | the same, and we show a certificate                   |
| http://               | any               | refused: nothing would be encrypted                   |
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from tako.effects import Flow, TlsOptions
from tako.errors import InvalidInput
from tako.links import Endpoint, Socket
from tako.mcp.channel import Channel, LinkChannel
from tako.mcp.config import ServerConfig
from tako.mcp.framing import MAX_TEXT, Framing
from tako.wire.route import Origin, parse_url

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Grpc"]

PATH: Final = "/tako.mcp.bridge.v1.McpBridge/Open"
Pem: TypeAlias = bytes | str | None
Path: TypeAlias = "str | PathLike[str] | None"


@dataclass(frozen=True, eq=False, repr=False)
class Grpc(ServerConfig):
    """An MCP server that is reached over gRPC.

    endpoint            http://host:port, https://host:port, or host:port
    ca_pem, ca_path     the certificates of who may vouch for the server, inline or as a file
    client_cert_pem, client_cert_path, client_key_pem, client_key_path
                        who we are, for a server that wants to know (mTLS)
    domain_name         whose certificate the server has to have, if not the endpoint's host

    Raises InvalidInput, which is a ValueError, and names the argument.
    """

    endpoint: str
    ca_pem: Pem = field(default=None, repr=False, kw_only=True)
    ca_path: Path = field(default=None, kw_only=True)
    client_cert_pem: Pem = field(default=None, repr=False, kw_only=True)
    client_cert_path: Path = field(default=None, kw_only=True)
    client_key_pem: Pem = field(default=None, repr=False, kw_only=True)
    client_key_path: Path = field(default=None, kw_only=True)
    domain_name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._tls()
        self._origin()

    @property
    def label(self) -> str:
        return f"the gRPC server {self._origin().endpoint}"

    def channel(self) -> Channel:
        return LinkChannel(self.label, self._connect)

    def _connect(self) -> Flow[tuple[Endpoint, Framing]]:
        try:
            from tako.wire.grpc import GrpcStream
        except ImportError as error:
            raise InvalidInput(
                "Grpc needs h2, which is not installed: pip install tako-sansio[grpc]"
            ) from error

        yield from ()  # nothing has to be asked for
        origin = self._origin()
        tls = (self._tls() or TlsOptions()) if origin.scheme == "https" else None
        framing = GrpcStream(origin.authority, PATH, scheme=origin.scheme, max_text=MAX_TEXT, peer=self.label)
        endpoint = Socket(origin.host, origin.port, tls, ("h2",) if tls else (), server_name=self.domain_name)
        return endpoint, framing

    def _origin(self) -> Origin:
        """Where it is; raises InvalidInput."""
        if not isinstance(self.endpoint, str):
            raise InvalidInput(f"endpoint should be text, not {type(self.endpoint).__name__}")
        is_secure = self._tls() is not None or self.domain_name is not None
        url = self.endpoint
        if "://" not in url:
            url = f"{'https' if is_secure else 'http'}://{url}"
        try:
            target = parse_url(url)
        except InvalidInput as error:
            raise InvalidInput(
                f"endpoint should be http://host:port or https://host:port: {error}"
            ) from error
        if target.path != "/":
            raise InvalidInput("endpoint should have no path: the service has a name of its own")
        if target.origin.scheme == "http" and is_secure:
            raise InvalidInput("endpoint is http://, which is not encrypted; for certificates use https://")
        return target.origin

    def _tls(self) -> TlsOptions | None:
        """The certificates that were given, None if there are none; raises InvalidInput."""
        ca = _one("ca", self.ca_pem, self.ca_path)
        certificate = _one("client_cert", self.client_cert_pem, self.client_cert_path)
        key = _one("client_key", self.client_key_pem, self.client_key_path)
        wrong = []
        if (certificate is None) != (key is None):
            wrong.append(
                "client_cert_pem and client_key_pem (or client_cert_path and client_key_path) go together"
            )
        if ca is None and (certificate is not None or key is not None):
            wrong.append("ca_pem is required (or ca_path) where a client certificate is given")
        if wrong:
            raise InvalidInput("; ".join(wrong))
        for name in ("ca_pem", "client_cert_pem", "client_key_pem"):
            if getattr(self, name) is not None and "-----BEGIN" not in _text(getattr(self, name)):
                raise InvalidInput(f"{name} holds no PEM text; for a file there is {name[:-3]}path")
        if ca is None:
            return None
        return TlsOptions(extra_roots=ca, client_cert=certificate, client_key=key, system_roots=False)


def _one(label: str, pem: Pem, path: Path) -> str | None:
    """The PEM text, or the path; raises InvalidInput for both, or for what is neither."""
    if pem is not None and path is not None:
        raise InvalidInput(f"{label}: pass inline bytes or a path, not both")
    if path is not None:
        try:
            return os.fspath(path)
        except TypeError:
            raise InvalidInput(f"{label}_path should be a path, not {type(path).__name__}") from None
    if pem is None:
        return None
    if not isinstance(pem, bytes | str):
        raise InvalidInput(f"{label}_pem should be bytes, not {type(pem).__name__}")
    return _text(pem)


def _text(pem: bytes | str) -> str:
    return pem.decode("utf-8", "replace") if isinstance(pem, bytes) else pem
