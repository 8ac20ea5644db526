"""Credentials of programs that nobody sits in front of: what they show instead of a user's consent.

| credentials       | what it has                                    | grant                                 |
|-------------------|------------------------------------------------|---------------------------------------|
| ClientCredentials | a secret, or a private key (extra `auth`)      | client_credentials                    |
| WorkloadIdentity  | an assertion that its platform signed for it   | jwt-bearer                            |
| EnterpriseManaged | the user's ID token of the company's provider  | token-exchange there, then jwt-bearer |

Invariants. A new grant is made when the tokens end; nothing is refreshed. A private key signs in a Call, and
leaves this process in no form. An assertion of ours is for one issuer, lives for LIFE seconds, and is new
for each request. Secrets are in no repr.

Which authorization server gets to see a secret is said by the MCP server, unless `issuer` is given: give it.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from tako.effects import Entropy, Flow, Now, call
from tako.errors import InvalidInput
from tako.mcp.auth.authorizer import Credentials
from tako.mcp.auth.clients import Client, secret_method
from tako.mcp.auth.discovery import Found
from tako.mcp.auth.grants import exchange_id_token
from tako.mcp.auth.tokens import TokenStorage
from tako.mcp.auth.urls import check_own

__all__ = ["ClientCredentials", "EnterpriseManaged", "WorkloadIdentity"]

LIFE: Final = 300
"""Seconds that an assertion which we sign is good for."""
ALGORITHMS: Final = ("ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA")

_JWT_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_CLIENT_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

TextSource: TypeAlias = str | Callable[[], str] | Callable[[], Awaitable[str]]
"""A text, or a function that is asked for it each time; it may block, or be `async def`."""


class _Machine(Credentials):
    """A program with a client_id of its own."""

    def __init__(
        self,
        owner: str,
        client_id: str,
        scopes: Sequence[str] | None,
        storage: TokenStorage | None,
        issuer: str | None,
    ) -> None:
        super().__init__(owner, scopes, storage, issuer)
        if not isinstance(client_id, str) or not client_id:
            raise InvalidInput(f"{owner}: client_id should be a text")
        self.client_id = client_id

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.client_id!r}>"

    @property
    def account(self) -> str:
        return self.client_id


class ClientCredentials(_Machine):
    """A program that is let in as itself (RFC 6749, 4.4). Raises InvalidInput.

    client_secret  shown to the token endpoint; or
    private_key    PEM: signs an assertion instead (RFC 7523), with `algorithm`; needs the extra `auth`
    """

    def __init__(
        self,
        client_id: str,
        client_secret: str | None = None,
        *,
        private_key: str | None = None,
        algorithm: str = "ES256",
        scopes: Sequence[str] | None = None,
        storage: TokenStorage | None = None,
        issuer: str | None = None,
    ) -> None:
        super().__init__("ClientCredentials", client_id, scopes, storage, issuer)
        if (client_secret is None) == (private_key is None):
            raise InvalidInput("ClientCredentials: give either client_secret or private_key")
        if algorithm not in ALGORITHMS:
            raise InvalidInput(f"ClientCredentials: algorithm should be one of {', '.join(ALGORITHMS)}")
        self._secret = client_secret
        self._key = private_key
        self._algorithm = algorithm

    def client(self, found: Found, scopes: tuple[str, ...]) -> Flow[Client]:
        yield from ()
        method = "private_key_jwt" if self._key is not None else secret_method(found.server)
        return Client(self.client_id, method, self._secret)

    def form(self, found: Found, client: Client, scopes: tuple[str, ...]) -> Flow[dict[str, str]]:
        form = {"grant_type": "client_credentials", **_scope(scopes)}
        if self._key is not None:
            form["client_assertion_type"] = _CLIENT_ASSERTION
            form["client_assertion"] = yield from self._assertion(found.server.issuer)
        return form

    def _assertion(self, audience: str) -> Flow[str]:
        """A JWT that says that we are we, to one issuer, once."""
        issued = int((yield Now()))
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": audience,
            "iat": issued,
            "exp": issued + LIFE,
            "jti": base64.urlsafe_b64encode((yield Entropy(18))).decode(),
        }
        signed: str = yield from call(_sign, claims, self._key, self._algorithm)
        return signed


def _sign(claims: dict[str, object], key: str, algorithm: str) -> str:
    try:
        import jwt
    except ImportError:
        raise InvalidInput(
            "ClientCredentials: private_key needs PyJWT: pip install tako-sansio[auth]"
        ) from None
    try:
        return jwt.encode(claims, key, algorithm=algorithm)
    except (ValueError, TypeError, NotImplementedError, jwt.PyJWTError):  # whose words may quote the key
        raise InvalidInput(
            f"ClientCredentials: private_key is no PEM key that {algorithm} can sign with; give the key that "
            "belongs to the algorithm"
        ) from None


class WorkloadIdentity(_Machine):
    """A program that its platform vouches for, with a JWT for this authorization server (RFC 7523).

    The assertion may be used by whoever gets to see it: give `issuer`.
    """

    def __init__(
        self,
        client_id: str,
        assertion: TextSource,
        *,
        scopes: Sequence[str] | None = None,
        storage: TokenStorage | None = None,
        issuer: str | None = None,
    ) -> None:
        super().__init__("WorkloadIdentity", client_id, scopes, storage, issuer)
        self._assertion = assertion

    def client(self, found: Found, scopes: tuple[str, ...]) -> Flow[Client]:
        yield from ()
        return Client(self.client_id)

    def form(self, found: Found, client: Client, scopes: tuple[str, ...]) -> Flow[dict[str, str]]:
        assertion = yield from _ask(self._assertion, "WorkloadIdentity: assertion")
        return {"grant_type": _JWT_BEARER, "assertion": assertion, **_scope(scopes)}


class EnterpriseManaged(_Machine):
    """A user whom a company has signed in already: its identity provider decides, and nobody is asked again.

    client_id, client_secret          of this program at the MCP server's authorization server
    id_token                          the user's, from the provider; or a function that has it
    provider_token_endpoint           where it is exchanged for an assertion (RFC 8693)
    provider_client_id, provider_client_secret   of this program at the provider
    """

    def __init__(
        self,
        client_id: str,
        client_secret: str | None = None,
        *,
        id_token: TextSource,
        provider_token_endpoint: str,
        provider_client_id: str,
        provider_client_secret: str | None = None,
        scopes: Sequence[str] | None = None,
        storage: TokenStorage | None = None,
        issuer: str | None = None,
    ) -> None:
        super().__init__("EnterpriseManaged", client_id, scopes, storage, issuer)
        self._secret = client_secret
        self._id_token = id_token
        self._endpoint = check_own(provider_token_endpoint, "EnterpriseManaged: provider_token_endpoint")
        method = "none" if provider_client_secret is None else "client_secret_basic"
        self._at_provider = Client(provider_client_id, method, provider_client_secret)

    def client(self, found: Found, scopes: tuple[str, ...]) -> Flow[Client]:
        yield from ()
        method = "none" if self._secret is None else secret_method(found.server)
        return Client(self.client_id, method, self._secret)

    def form(self, found: Found, client: Client, scopes: tuple[str, ...]) -> Flow[dict[str, str]]:
        id_token = yield from _ask(self._id_token, "EnterpriseManaged: id_token")
        assertion = yield from exchange_id_token(self._endpoint, self._at_provider, id_token, found, scopes)
        return {"grant_type": _JWT_BEARER, "assertion": assertion, **_scope(scopes)}


def _scope(scopes: tuple[str, ...]) -> dict[str, str]:
    return {"scope": " ".join(scopes)} if scopes else {}


def _ask(source: TextSource, what: str) -> Flow[str]:
    value = (yield from call(source)) if callable(source) else source
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"{what} should be a text that is not empty, or a function that returns one")
    return value
