"""Clients: as whom we come to an authorization server, and how we prove it at its token endpoint.

| who we are                     | when                                              | and prove it by    |
|--------------------------------|---------------------------------------------------|--------------------|
| the client that was configured | there is a client_id                              | its secret, if any |
| the URL of our metadata        | the server takes such (CIMD), and there is one    | nothing            |
| a client that was registered   | the server has a registration endpoint (RFC 7591) | what it was given  |

| method                | the request of a token has                                                       |
|-----------------------|----------------------------------------------------------------------------------|
| `none`                | `client_id`                                                                      |
| `client_secret_basic` | an Authorization header: both parts as in a form, then base64 (RFC 6749, 2.3.1)  |
| `client_secret_post`  | `client_id` and `client_secret`                                                  |
| `private_key_jwt`     | `client_assertion`, which is signed (RFC 7523)                                   |

Invariants. A registration is known by its issuer and its redirect, and shown to no other. A server may
assign another method than we asked for: one that we cannot do is an error now, not at the token endpoint.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote_plus

from pydantic_core import to_json

from tako.effects import Flow, Headers, TlsOptions
from tako.mcp.auth.errors import AuthorizationError
from tako.mcp.auth.exchange import Answered, post_json
from tako.mcp.auth.metadata import ServerMetadata
from tako.mcp.auth.tokens import load_record
from tako.mcp.auth.urls import is_local, shown

__all__ = ["Client", "authenticate", "load_client", "register", "secret_method", "server_said_no"]

NONE: Final = "none"
BASIC: Final = "client_secret_basic"
POST: Final = "client_secret_post"
_WITH_SECRET: Final = (BASIC, POST)


@dataclass(frozen=True, slots=True)
class Client:
    """One client of one authorization server."""

    client_id: str
    method: str = NONE
    secret: str | None = field(default=None, repr=False)
    expires_at: float | None = None
    """When the secret is of no use any more; None for never."""
    is_registered: bool = False
    """True if it was registered by us, so that it can be again."""


def load_client(text: object) -> Client | None:
    """A registration as a storage kept it; None for what is no such record."""
    record = load_record(text)
    if record is None:
        return None
    client_id, method, secret = (record.get(name) for name in ("client_id", "method", "secret"))
    if not isinstance(client_id, str) or method not in (NONE, *_WITH_SECRET):
        return None
    if method != NONE and not isinstance(secret, str):
        return None
    return Client(client_id, method, secret, _moment(record.get("expires_at")), is_registered=True)


def secret_method(server: ServerMetadata) -> str:
    """How a client that has a secret shows it to this server. RFC 8414, 2: with Basic, unless it says so."""
    methods = server.token_methods or ()
    return POST if POST in methods and BASIC not in methods else BASIC


def authenticate(client: Client, form: dict[str, str]) -> Headers:
    """Add to a form, and as headers, what proves who we are."""
    if client.method == BASIC:
        pair = f"{quote_plus(client.client_id)}:{quote_plus(client.secret or '')}"
        return (("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"),)
    form["client_id"] = client.client_id
    if client.method == POST:
        form["client_secret"] = client.secret or ""
    return ()


def register(
    server: ServerMetadata,
    name: str,
    redirect_uri: str,
    scopes: Sequence[str],
    tls: TlsOptions | None = None,
) -> Flow[Client]:
    """Register with a server (RFC 7591). Raises AuthorizationError, TransportError, TimedOut."""
    if server.registration_endpoint is None:
        raise AuthorizationError(
            f"the authorization server {shown(server.issuer)} registers nobody by itself: register this "
            "program there, and give OAuth its client_id (and client_secret)",
            code="registration_needed",
            phase="registration",
        )
    method = _wanted_method(server)
    wanted: dict[str, object] = {
        "client_name": name,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        # OIDC registration, 2: "native" is for redirects to this machine and to schemes of one's own.
        "application_type": "native" if _is_native(redirect_uri) else "web",
    }
    if method is not None:
        wanted["token_endpoint_auth_method"] = method
    if scopes:
        wanted["scope"] = " ".join(scopes)
    answered = yield from post_json(server.registration_endpoint, to_json(wanted), tls)
    if answered.status not in (200, 201):
        raise server_said_no(
            answered, f"{shown(server.issuer)} did not register this program", "registration"
        )
    return _read(answered.json or {}, method)


def _is_native(redirect_uri: str) -> bool:
    return not redirect_uri.startswith(("http://", "https://")) or is_local(redirect_uri)


def _wanted_method(server: ServerMetadata) -> str | None:
    """What we ask for: a program on a user's machine keeps no secret, so none if that is possible."""
    if server.token_methods is None:
        return None
    return next((method for method in (NONE, *_WITH_SECRET) if method in server.token_methods), None)


def _read(record: dict[str, object], asked: str | None) -> Client:
    """A client as a server describes it; `asked` is the method that it may leave unsaid (RFC 7591, 3.2.1)."""
    client_id, secret = record.get("client_id"), record.get("client_secret") or None
    method = record.get("token_endpoint_auth_method") or asked or (BASIC if secret else NONE)
    if not isinstance(client_id, str) or not client_id or not isinstance(secret, (str, type(None))):
        raise _useless("without a client_id")
    if method not in (NONE, *_WITH_SECRET):
        raise _useless(f"with the method {str(method)[:60]!r}, which a program like this cannot do")
    if method != NONE and not secret:
        raise _useless(f"with the method {method}, and without a secret")
    expires_at = _moment(record.get("client_secret_expires_at"))
    return Client(client_id, str(method), secret if method != NONE else None, expires_at, is_registered=True)


def _useless(how: str) -> AuthorizationError:
    return AuthorizationError(
        f"the authorization server registered this program {how}; register it there by hand, and give OAuth "
        "its client_id",
        code="unsupported_server",
        phase="registration",
    )


def _moment(value: object) -> float | None:
    """Seconds since the epoch; 0 is how servers write "never"."""
    return float(value) if isinstance(value, (int, float)) and value > 0 else None


def server_said_no(
    answered: Answered, what: str, phase: str, secrets: Sequence[str | None] = ()
) -> AuthorizationError:
    """The error for an answer of a server that is none of success. `secrets` is what it must not quote."""
    code = answered.text("error")
    reason = answered.text("error_description") or code or f"status {answered.status}"
    for secret in secrets:
        if secret:
            reason = reason.replace(secret, "…")
    reason = "".join(letter if letter.isprintable() else " " for letter in reason[:300])
    return AuthorizationError(
        f"{what}: {reason}", code=code and code[:100], status=answered.status, phase=phase
    )
