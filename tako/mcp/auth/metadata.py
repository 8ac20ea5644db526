"""Metadata: what a resource says about who lets into it, and what an authorization server about itself.

| document                              | found at, in this order                                        |
|---------------------------------------|----------------------------------------------------------------|
| of the resource (RFC 9728)            | `resource_metadata` of the challenge                           |
| `https://host/a/mcp`                  | `https://host/.well-known/oauth-protected-resource/a/mcp`      |
|                                       | `https://host/.well-known/oauth-protected-resource`            |
| of an authorization server (RFC 8414) | `https://host/.well-known/oauth-authorization-server/tenant`   |
| `https://host/tenant`                 | `https://host/.well-known/openid-configuration/tenant`         |
|                                       | `https://host/tenant/.well-known/openid-configuration`         |
| the same, `https://host`              | `https://host/.well-known/oauth-authorization-server`          |
|                                       | `https://host/.well-known/openid-configuration`                |
| of a server of the revision           | the same two at the MCP server's own origin, and if there are  |
| 2025-03-26, which has none of its     | none, its `/authorize`, `/token` and `/register`               |
| resource                              |                                                                |

Invariants. Nothing of a document is believed before it is known whose it is: the metadata of a resource names
a resource that has our server in it, and that of an authorization server the very issuer that was asked for,
letter by letter. Every URL that is kept may be asked (see urls.py). Lists are cut to MOST_NAMES.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from tako.errors import InvalidInput
from tako.mcp.auth.challenges import scopes_of
from tako.mcp.auth.errors import AuthorizationError
from tako.mcp.auth.urls import check_named, covers, origin_of, shown

__all__ = [
    "ResourceMetadata", "ServerMetadata", "assumed_server", "read_resource", "read_server",
    "resource_places", "server_places",
]  # fmt: skip

MOST_NAMES: Final = 100


@dataclass(frozen=True, slots=True)
class ResourceMetadata:
    """The protected resource: `resource` is its name as it was published, which is sent back like that."""

    resource: str
    issuers: tuple[str, ...]
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """An authorization server. None of a list is "it does not say"."""

    issuer: str
    token_endpoint: str
    authorization_endpoint: str | None = None
    registration_endpoint: str | None = None
    scopes: tuple[str, ...] | None = None
    challenge_methods: tuple[str, ...] | None = None
    """Of PKCE (RFC 7636)."""
    token_methods: tuple[str, ...] | None = None
    """How clients may authenticate at the token endpoint."""
    takes_metadata_documents: bool = False
    """Whether the URL of a client's metadata may be its client_id."""
    sends_issuer: bool = False
    """Whether its redirects have `iss` (RFC 9207)."""
    is_assumed: bool = False
    """True if there is no document, and these are the defaults of 2025-03-26."""


def resource_places(url: str, named: str | None, *, local: bool) -> list[str]:
    """Where the metadata of the resource at `url` may be; `named` is what the challenge says."""
    path = urlsplit(url).path.rstrip("/")
    root = f"{origin_of(url)}/.well-known/oauth-protected-resource"
    places = [root + path, root] if path else [root]
    if named is not None:
        places.insert(0, check_named(named, "the resource_metadata of the server's challenge", local=local))
    return list(dict.fromkeys(places))


def server_places(issuer: str) -> list[str]:
    """Where the metadata of an authorization server may be."""
    path, origin = urlsplit(issuer).path.rstrip("/"), origin_of(issuer)
    oauth, oidc = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
    if not path:
        return [origin + oauth, origin + oidc]
    # A tenant's metadata is never at the root: that one is somebody else's.
    return [origin + oauth + path, origin + oidc + path, origin + path + oidc]


def read_resource(document: dict[str, Any], url: str) -> ResourceMetadata | None:
    """The metadata in a document, None if it is something else; raises AuthorizationError for another's."""
    resource, servers = document.get("resource"), document.get("authorization_servers")
    if not isinstance(resource, str):
        return None
    try:
        ours = covers(resource, url)
    except InvalidInput:
        ours = False
    if not ours:
        raise AuthorizationError(
            f"the metadata that {shown(url)} leads to is of another resource ({shown(resource)}); a token "
            "for that one is not asked for. The server's operator has to correct its `resource`",
            code="resource_mismatch",
            phase="authorization",
        )
    issuers = _names(servers) or ()
    if not issuers:
        raise AuthorizationError(
            f"the metadata of {shown(url)} names no authorization server",
            code="unsupported_server",
            phase="authorization",
        )
    scopes = scopes_of(" ".join(_names(document.get("scopes_supported")) or ()))
    return ResourceMetadata(resource, issuers, scopes)


def read_server(
    document: dict[str, Any], issuer: str, *, local: bool, exact: bool = True
) -> ServerMetadata | None:
    """The metadata in a document; None if it is something else. Raises AuthorizationError for another's.

    Not `exact`, a slash at the end of an issuer without a path makes no difference: for 2025-03-26, where
    nobody has named the issuer.
    """
    said, token_endpoint = document.get("issuer"), document.get("token_endpoint")
    if not isinstance(said, str):
        return None
    if said != issuer and (exact or said != f"{issuer}/"):
        raise AuthorizationError(
            f"the metadata of the authorization server {shown(issuer)} is of another issuer ({shown(said)}), "
            "and must not be used (RFC 8414, 3.3)",
            code="issuer_mismatch",
            phase="authorization",
        )

    def endpoint(name: str) -> str | None:
        value = document.get(name)
        return check_named(value, f"the {name} of {shown(issuer)}", local=local) if value else None

    return ServerMetadata(
        issuer=said,
        token_endpoint=check_named(token_endpoint, f"the token_endpoint of {shown(issuer)}", local=local),
        authorization_endpoint=endpoint("authorization_endpoint"),
        registration_endpoint=endpoint("registration_endpoint"),
        scopes=_names(document.get("scopes_supported")),
        challenge_methods=_names(document.get("code_challenge_methods_supported")),
        token_methods=_names(document.get("token_endpoint_auth_methods_supported")),
        takes_metadata_documents=document.get("client_id_metadata_document_supported") is True,
        sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
    )


def assumed_server(url: str) -> ServerMetadata:
    """The authorization server of an MCP server that says nothing about it: 2025-03-26, "fallbacks"."""
    origin = origin_of(url)
    return ServerMetadata(
        issuer=origin,
        token_endpoint=f"{origin}/token",
        authorization_endpoint=f"{origin}/authorize",
        registration_endpoint=f"{origin}/register",
        is_assumed=True,
    )


def _names(value: object) -> tuple[str, ...] | None:
    """The texts of a list, None if it is not a list."""
    if not isinstance(value, list):
        return None
    return tuple(name for name in value if isinstance(name, str))[:MOST_NAMES]
