"""Discovery: from the refusal of a server to who lets into it, as a flow.

| what is found                                          | and then                                         |
|--------------------------------------------------------|--------------------------------------------------|
| metadata of the resource                               | its authorization server's, which has to exist   |
| none of it (404, another origin, no JSON) at any place | the server is of 2025-03-26: it is its own       |
|                                                        | authorization server, with or without metadata   |
| none of it, and one place answered 5xx or 429          | TransportError: that says nothing                |

Invariants. Documents are asked for one after the other, and the first that is one is taken, or refused. What
comes back names one resource and one authorization server, and both have been checked (see metadata.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tako.effects import Flow, TlsOptions
from tako.errors import TransportError
from tako.mcp.auth.errors import AuthorizationError
from tako.mcp.auth.exchange import fetch
from tako.mcp.auth.metadata import (
    ResourceMetadata,
    ServerMetadata,
    assumed_server,
    read_resource,
    read_server,
    resource_places,
    server_places,
)
from tako.mcp.auth.urls import canonical, check_named, is_local, origin_of, shown

__all__ = ["Found", "discover"]


@dataclass(frozen=True, slots=True)
class Found:
    """What a token is asked for (`resource`, RFC 8707), and whom."""

    resource: str
    scopes: tuple[str, ...]
    server: ServerMetadata
    is_legacy: bool = False
    """True for a server of 2025-03-26, which publishes nothing about its resource."""
    tls: TlsOptions | None = None
    """Whom to trust when it is asked."""


def discover(url: str, named: str | None, issuer: str | None, tls: TlsOptions | None = None) -> Flow[Found]:
    """Who lets into the server at `url`.

    `named` is the place that its challenge has named; `issuer` the one authorization server that is
    trusted, None for any; `tls` whose certificates are. Raises AuthorizationError, TransportError,
    TimedOut, ProtocolError.
    """
    local = is_local(url)
    metadata = yield from _resource_metadata(url, named, tls, local=local)
    if metadata is None:
        server = yield from _own_server(url, tls, local=local)
        _require_trusted(server.issuer, issuer, url)
        return Found(canonical(url), (), server, is_legacy=True, tls=tls)
    chosen = issuer if issuer in metadata.issuers else metadata.issuers[0]
    assert chosen is not None
    _require_trusted(chosen, issuer, url)
    server = yield from _server_metadata(chosen, tls, local=local)
    return Found(metadata.resource, metadata.scopes, server, tls=tls)


def _require_trusted(found: str, trusted: str | None, url: str) -> None:
    if trusted is not None and found != trusted:
        raise AuthorizationError(
            f"{shown(url)} leads to the authorization server {shown(found)}, and these credentials are for "
            f"{shown(trusted)} alone (issuer=...)",
            code="issuer_mismatch",
            phase="authorization",
        )


def _resource_metadata(
    url: str, named: str | None, tls: TlsOptions | None, *, local: bool
) -> Flow[ResourceMetadata | None]:
    troubled: int | None = None
    for place in resource_places(url, named, local=local):
        answered = yield from fetch(place, tls)
        if answered.status >= 500 or answered.status == 429:
            troubled = answered.status
        elif answered.status == 200 and answered.json is not None:
            metadata = read_resource(answered.json, url)
            if metadata is not None:
                return metadata
    if troubled is not None:
        raise TransportError(
            f"{shown(url)} could not say who lets into it: its metadata answered {troubled}; try again later",
            phase="authorization",
            status=troubled,
        )
    return None


def _server_metadata(issuer: str, tls: TlsOptions | None, *, local: bool) -> Flow[ServerMetadata]:
    issuer = check_named(issuer, "the authorization server", local=local)
    document = yield from _first_document(server_places(issuer), issuer, tls)
    server = read_server(document, issuer, local=local) if document is not None else None
    if server is None:
        raise AuthorizationError(
            f"the authorization server {shown(issuer)} publishes no metadata (RFC 8414)",
            code="unsupported_server",
            phase="authorization",
        )
    return server


def _own_server(url: str, tls: TlsOptions | None, *, local: bool) -> Flow[ServerMetadata]:
    """The authorization server of an MCP server of 2025-03-26, which is itself."""
    origin = origin_of(url)
    document = yield from _first_document(server_places(origin), origin, tls)
    server = read_server(document, origin, local=local, exact=False) if document is not None else None
    return server or assumed_server(url)


def _first_document(places: list[str], issuer: str, tls: TlsOptions | None) -> Flow[dict[str, Any] | None]:
    """The first JSON object that is the metadata of an issuer, whichever."""
    for place in places:
        answered = yield from fetch(place, tls)
        if answered.status >= 500 or answered.status == 429:
            raise TransportError(
                f"the metadata of the authorization server {shown(issuer)} answered {answered.status}; "
                "try again later",
                phase="authorization",
                status=answered.status,
            )
        if answered.status == 200 and answered.text("issuer") is not None:
            return answered.json
    return None
