"""Grants: the ways in which an authorization server is asked for tokens, each one request.

| grant                 | what is shown                             | who uses it                          |
|-----------------------|-------------------------------------------|--------------------------------------|
| authorization_code    | the code that the user brought, and the   | OAuth: somebody sits at a browser    |
|                       | verifier of PKCE                          |                                      |
| refresh_token         | the refresh token                         | OAuth, if it was given one           |
| client_credentials    | who we are                                | ClientCredentials: a program alone   |
| jwt-bearer (RFC 7523) | an assertion that somebody else signed    | WorkloadIdentity, EnterpriseManaged  |
| token-exchange (8693) | the user's ID token, at the identity      | EnterpriseManaged, for an assertion  |
|                       | provider of the user's company            |                                      |

    verifier (Entropy) --S256--> challenge --> the authorization URL --> the user's browser --> redirect?code=
    token endpoint  <-- code, verifier, redirect_uri, resource, client <--                            |

Invariants. A redirect is believed if it has the state that we made for this one request, and names no issuer
but the one we asked; before that nothing else of it is looked at. A token is taken if it is a Bearer token
that can stand in a header. Errors quote nothing that was secret in the request.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final, NoReturn, TypeAlias
from urllib.parse import parse_qsl, urlencode

from tako.effects import Entropy, Flow, Now, TlsOptions, call
from tako.mcp.auth.challenges import scopes_of
from tako.mcp.auth.clients import Client, authenticate, server_said_no
from tako.mcp.auth.discovery import Found
from tako.mcp.auth.errors import AuthorizationError
from tako.mcp.auth.exchange import Answered, post_form
from tako.mcp.auth.metadata import ServerMetadata
from tako.mcp.auth.tokens import Tokens
from tako.mcp.auth.urls import shown

__all__ = ["AsksUser", "Redirect", "ask_for_tokens", "ask_user", "exchange_id_token", "refresh"]

MOST_OF_A_REDIRECT: Final = 32 * 1024
EARLY: Final = 60.0
"""Seconds before the end of a token at which it is renewed; at most a tenth of its life."""
LONGEST_LIFE: Final = 10 * 365 * 86400.0

_ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"
_ID_JAG: Final = "urn:ietf:params:oauth:token-type:id-jag"


AsksUser: TypeAlias = Callable[[str], str] | Callable[[str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Redirect:
    """What a program gives so that its user can be asked: where the browser comes back, and a function that
    shows the URL and gives back the one that the browser came to."""

    uri: str
    ask: AsksUser = field(repr=False)


def ask_user(
    redirect: Redirect, found: Found, client: Client, scopes: tuple[str, ...]
) -> Flow[dict[str, str]]:
    """Have the user authorize us: the form that gets tokens for it. Raises AuthorizationError."""
    endpoint = found.server.authorization_endpoint
    if endpoint is None:
        raise _unsupported(found.server, "has no authorization_endpoint, so no user can be asked there")
    _require_pkce(found)
    verifier, state = _text((yield Entropy(32))), _text((yield Entropy(32)))
    asked = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": redirect.uri,
        "state": state,
        "code_challenge": _text(hashlib.sha256(verifier.encode()).digest()),
        "code_challenge_method": "S256",
        "resource": found.resource,
    }
    if scopes:
        asked["scope"] = " ".join(scopes)
    if "offline_access" in scopes:
        asked["prompt"] = "consent"  # OIDC core, 11: without it the scope is ignored
    # RFC 6749, 3.1: the endpoint may have a query of its own, which is kept.
    joint = "&" if "?" in endpoint else "?"
    answer = yield from call(redirect.ask, endpoint.partition("#")[0] + joint + urlencode(asked))
    return {
        "grant_type": "authorization_code",
        "code": _code_of(answer, state, found.server),
        "redirect_uri": redirect.uri,
        "code_verifier": verifier,
    }


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _require_pkce(found: Found) -> None:
    """2025-11-25, "Authorization Code Protection": refuse a server whose metadata does not offer S256."""
    methods = found.server.challenge_methods
    if methods is None and found.is_legacy:
        return  # in 2025-03-26 nobody had to say so
    if methods is None or "S256" not in methods:
        raise _unsupported(
            found.server, "does not offer PKCE with S256 (code_challenge_methods_supported), without which a "
            "code can be stolen"
        )  # fmt: skip


def _unsupported(server: ServerMetadata, why: str) -> AuthorizationError:
    message = f"the authorization server {shown(server.issuer)} {why}"
    return AuthorizationError(message, code="unsupported_server", phase="authorization")


def _code_of(answer: object, state: str, server: ServerMetadata) -> str:
    """The code of a redirect that is believed."""
    if not isinstance(answer, str) or len(answer) > MOST_OF_A_REDIRECT:
        raise AuthorizationError(
            "redirect should give back the URL that the browser was sent to, or its query, as a string",
            code="state_mismatch",
            phase="redirect",
        )
    before, mark, after = answer.strip().partition("#")[0].partition("?")
    query = after if mark else before
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=50)
    except ValueError:
        pairs = []
    given: dict[str, str] = {}
    for name, value in pairs:
        if given.setdefault(name, value) != value:
            raise _disbelieved(f"has two values for {name[:40]!r}", "state_mismatch")
    if not hmac.compare_digest(given.get("state", "").encode("utf-8", "replace"), state.encode()):
        raise _disbelieved("answers another request than this one (state)", "state_mismatch")
    _require_issuer(given.get("iss"), server)
    if "error" in given:
        _user_refused(given)
    if not given.get("code"):
        raise _disbelieved("has no code", "state_mismatch")
    return given["code"]


def _disbelieved(why: str, code: str) -> AuthorizationError:
    return AuthorizationError(
        f"the browser's redirect {why}; it is not used. Authorize again", code=code, phase="redirect"
    )


def _require_issuer(issuer: str | None, server: ServerMetadata) -> None:
    """RFC 9207, 2.4: also an error may come from an attacker's server, so this is looked at first."""
    if issuer is None and server.sends_issuer:
        raise _disbelieved(f"does not say that it is from {shown(server.issuer)} (iss)", "issuer_mismatch")
    if issuer is not None and issuer != server.issuer:
        raise _disbelieved(f"is from another server than {shown(server.issuer)} (iss)", "issuer_mismatch")


def _user_refused(given: dict[str, str]) -> NoReturn:
    answered = Answered(400, dict(given))
    error = server_said_no(answered, "the authorization was refused", "redirect")
    error.status = None
    raise error


def ask_for_tokens(
    found: Found, client: Client, form: dict[str, str], scopes: tuple[str, ...]
) -> Flow[Tokens]:
    """Tokens for a grant. Raises AuthorizationError, TransportError, TimedOut, ProtocolError."""
    server = found.server
    answered = yield from _post(
        server.token_endpoint, client, {**form, "resource": found.resource}, found.tls
    )
    moment: float = yield Now()
    before = Tokens(
        access="",
        issuer=server.issuer,
        token_endpoint=server.token_endpoint,
        resource=found.resource,
        client_id=client.client_id,
        method=client.method,
        requested=scopes,
        granted_at=moment,
    )
    return _read(answered, before, moment)


def refresh(tokens: Tokens, client: Client, tls: TlsOptions | None = None) -> Flow[Tokens]:
    """New tokens for a refresh token; raises what `ask_for_tokens` raises."""
    form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh or "", "resource": tokens.resource}
    answered = yield from _post(tokens.token_endpoint, client, form, tls)
    moment: float = yield Now()
    return _read(answered, replace(tokens, granted_at=None), moment)


def exchange_id_token(
    endpoint: str, client: Client, id_token: str, found: Found, scopes: tuple[str, ...]
) -> Flow[str]:
    """An assertion (ID-JAG) for an authorization server, from the provider that signed the ID token."""
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token_type": _ID_JAG,
        "audience": found.server.issuer,
        "resource": found.resource,
        "subject_token": id_token,
        "subject_token_type": _ID_TOKEN,
    }
    if scopes:
        form["scope"] = " ".join(scopes)
    answered = yield from _post(endpoint, client, form, found.tls)
    assertion = answered.text("access_token")
    if assertion is None or answered.text("issued_token_type") != _ID_JAG:
        raise AuthorizationError(
            f"the identity provider at {shown(endpoint)} answered without an ID-JAG",
            code="unsupported_server",
            phase="token",
        )
    return assertion


_SECRETS: Final = ("client_secret", "refresh_token", "code", "code_verifier", "assertion", "subject_token",
                   "client_assertion")  # fmt: skip


def _post(endpoint: str, client: Client, form: dict[str, str], tls: TlsOptions | None) -> Flow[Answered]:
    """Ask a token endpoint; raises AuthorizationError if it says no."""
    form = dict(form)
    headers = () if "client_assertion" in form else authenticate(client, form)
    answered = yield from post_form(endpoint, form, headers, tls)
    if answered.status not in (200, 201) or answered.json is None or answered.text("error"):
        secrets = [client.secret, *[form.get(name) for name in _SECRETS]]
        raise server_said_no(answered, f"{shown(endpoint)} gave no token", "token", secrets)
    return answered


def _read(answered: Answered, before: Tokens, moment: float) -> Tokens:
    """The tokens of an answer; what it leaves out is as before (RFC 6749, 5.1 and 6)."""
    access, kind = answered.text("access_token"), answered.text("token_type")
    if access is None or not access.isascii() or not access.isprintable() or " " in access:
        raise _useless(before, "no access token that can stand in a header")
    if kind is None or kind.lower() != "bearer":
        raise _useless(before, f"a token of the kind {(kind or 'unsaid')[:40]!r}, and not a Bearer token")
    assert answered.json is not None
    life = _seconds(answered.json.get("expires_in"))
    granted = scopes_of(answered.json.get("scope"))
    return replace(
        before,
        access=access,
        refresh=answered.text("refresh_token") or before.refresh,
        requested=tuple(dict.fromkeys((*before.requested, *granted))),
        renew_at=None if life is None else moment + life - min(EARLY, life / 10),
    )


def _useless(before: Tokens, what: str) -> AuthorizationError:
    return AuthorizationError(
        f"{shown(before.token_endpoint)} gave {what}", code="unsupported_server", phase="token"
    )


def _seconds(value: object) -> float | None:
    """A life in seconds; some servers write it as text. None for what makes no sense."""
    try:
        seconds = float(value) if isinstance(value, (int, float, str)) else math.nan
    except (ValueError, OverflowError):
        return None
    return min(seconds, LONGEST_LIFE) if seconds >= 0 else None
