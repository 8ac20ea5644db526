"""Authorizer: what one MCP server gets to see of us, and what is done when it refuses us.

    headers(url)     -> the Authorization header of a request, or none
    renew()          -> gets new tokens ahead of their end; no limit of time should be on it
    challenged(...)  -> after a 401 or 403: get what is needed; True: try again

| refused with                                        | is answered by                                       |
|-----------------------------------------------------|------------------------------------------------------|
| 401, and somebody has got new tokens since          | True                                                 |
| 401, with tokens that can be refreshed              | discovery; the same issuer: a refresh                |
| 401, with none, or the refresh was refused, or the  | discovery; the grant (for OAuth: the user is asked)  |
| issuer is another one now                           |                                                      |
| 401 again, with tokens that were granted just now   | False: more of them would not help                   |
| 403 insufficient_scope                              | the grant, for all scopes so far and those that it   |
|                                                     | names; if it names none, those of the resource       |
| the same, and that was asked for once               | False: it is not given                               |
| anything else, or MOST_ATTEMPTS times               | False                                                |

| the authorization server says  | and then                                                                  |
|--------------------------------|---------------------------------------------------------------------------|
| invalid_grant to a refresh     | the grant                                                                 |
| invalid_client                 | a client that we registered is registered again, and the grant made again |

Which scopes are asked for: those of the program and of the challenge, else those that the resource's metadata
lists, else none; with what was asked for before, so that more for one call does not cost another its own.
`offline_access` is asked for where the server lists it and a refresh token is of use.

Invariants. Of all threads and tasks that meet one refusal, in whatever arms, one does what is needed and the
others get what came of it. Tokens go to the origin of their server alone, and are used for one issuer alone.
Whoever was renewed keeps what the server gave, before it is used: a refresh token is good for one time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import ClassVar, Final

from tako.effects import Flow, Headers, Now, TlsOptions, call
from tako.errors import InvalidInput, ProtocolError, TimedOut, TransportError
from tako.mcp.auth.challenges import MOST_SCOPES, Bearer, bearer_of, scopes_of
from tako.mcp.auth.clients import Client
from tako.mcp.auth.discovery import Found, discover
from tako.mcp.auth.errors import REFUSED_CLIENT, AuthorizationError
from tako.mcp.auth.grants import ask_for_tokens, refresh
from tako.mcp.auth.tokens import MemoryTokens, Tokens, TokenStorage, dump, load_tokens
from tako.mcp.auth.urls import canonical, check_own, origin_of
from tako.mcp.once import Once

__all__ = ["Authorizer", "Credentials"]

MOST_ATTEMPTS: Final = 3
"""Refusals of one request that are answered."""
JUST_NOW: Final = 30.0
"""Seconds after a grant within which a server that refuses its tokens will not take the next ones either."""
LATER: Final = 60.0
"""Seconds until a renewal is tried again that did not get through."""
OFFLINE: Final = "offline_access"

_ANYTHING: Final = Bearer()


class Credentials(ABC):
    """How a program is let into MCP servers: who it is, and what it has to show. The same for all arms."""

    asks_user: ClassVar[bool] = False
    """True if somebody has to be asked for a grant."""

    def __init__(
        self, owner: str, scopes: Sequence[str] | None, storage: TokenStorage | None, issuer: str | None
    ) -> None:
        self.scopes = _checked_scopes(owner, scopes)
        self.storage: TokenStorage = MemoryTokens() if storage is None else storage
        self.issuer = None if issuer is None else check_own(issuer, f"{owner}: issuer")
        self._authorizers: dict[tuple[str, TlsOptions | None], Authorizer] = {}

    def authorizer(self, url: str, tls: TlsOptions | None = None) -> Authorizer:
        """The one Authorizer for an MCP server, which trusts whom `tls` says, wherever it has to ask.

        Raises InvalidInput for a URL that must not be asked.
        """
        server = canonical(check_own(url, "the URL of an MCP server that is authorized for"))
        return self._authorizers.setdefault((server, tls), Authorizer(self, server, tls))

    @property
    @abstractmethod
    def account(self) -> str:
        """Whose tokens they are, as a part of the key that they are kept under."""

    @abstractmethod
    def client(self, found: Found, scopes: tuple[str, ...]) -> Flow[Client]:
        """As whom we come to this authorization server. Raises AuthorizationError."""

    @abstractmethod
    def form(self, found: Found, client: Client, scopes: tuple[str, ...]) -> Flow[dict[str, str]]:
        """The grant, as a form for the token endpoint. Raises AuthorizationError."""

    def known_client(self, tokens: Tokens) -> Flow[Client | None]:
        """Who may refresh these tokens; None if nobody can."""
        yield from ()
        return None

    def forget_client(self, issuer: str) -> Flow[None]:
        """The registration with an issuer is void."""
        yield from ()


def _checked_scopes(owner: str, scopes: Sequence[str] | None) -> tuple[str, ...]:
    given = () if scopes is None else scopes
    if isinstance(given, str) or not all(scopes_of(scope) == (scope,) for scope in given):
        raise InvalidInput(f"{owner}: scopes should be a list of scopes, each a text without spaces")
    return tuple(given)


class _Unread(Enum):
    UNREAD = "unread"


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A request was refused: with what, for the how manieth time, and what tokens it had."""

    status: int
    challenge: Bearer
    attempt: int
    tokens: Tokens | None


class Authorizer:
    """The tokens for one MCP server; `url` is the server's."""

    __slots__ = (
        "_credentials",
        "_found",
        "_key",
        "_origin",
        "_reading",
        "_stepped",
        "_tls",
        "_tokens",
        "_working",
        "url",
    )

    def __init__(self, credentials: Credentials, url: str, tls: TlsOptions | None = None) -> None:
        self.url = url
        self._tls = tls
        self._credentials = credentials
        self._origin = origin_of(url)
        self._key = f"tokens {credentials.account} {url}"
        self._tokens: Tokens | _Unread | None = _Unread.UNREAD
        self._found: Found | None = None
        self._stepped: set[frozenset[str]] = set()
        """The scopes that a 403 made us ask for."""
        self._reading: Once[None] = Once()
        self._working: Once[None] = Once()

    def __repr__(self) -> str:
        return f"<Authorizer for {self._origin}>"

    def headers(self, request_url: str) -> Flow[Headers]:
        """What a request to a URL has now; asks nobody. Raises what the storage raises."""
        tokens = self._tokens
        if isinstance(tokens, _Unread):
            tokens = yield from self._current()
        if tokens is None or (request_url != self.url and origin_of(request_url) != self._origin):
            return ()
        return tokens.headers

    def renew(self) -> Flow[None]:
        """Get new tokens if those that there are end soon. Raises what the storage raises.

        Who gives this up in the middle may lose a refresh token that is good for one time: the next one to
        come is refused, and the user is asked again. So what has a limit of time does it beforehand.
        """
        tokens = self._tokens
        if isinstance(tokens, _Unread):
            tokens = yield from self._current()
        if tokens is not None and tokens.renew_at is not None and (yield Now()) >= tokens.renew_at:
            yield from self._working.run(partial(self._renew, tokens))

    def challenged(
        self, status: int, headers: Headers, attempt: int, sent: Headers | None = None
    ) -> Flow[bool]:
        """Whether to try a refused request again; gets what it takes for that.

        `attempt` counts the refusals of this request, from 1. `sent` is what `headers` gave for it, by which
        is known whether others have got new tokens since; None is "what there is now". Raises
        AuthorizationError, TransportError, TimedOut, ProtocolError, and what the program's function raises.
        """
        challenge = bearer_of(headers) or _ANYTHING
        wants_scopes = status == 403 and challenge.error == "insufficient_scope"
        if attempt > MOST_ATTEMPTS or not (status == 401 or wants_scopes):
            return False
        tokens = yield from self._current()
        if sent is not None and sent != (tokens.headers if tokens is not None else ()):
            return True
        refusal = _Refusal(status, challenge, attempt, tokens)
        led: list[_Refusal] = []

        def lead() -> Flow[None]:
            led.append(refusal)
            return self._answer(refusal)

        while self._tokens is tokens and not led:
            yield from self._working.run(lead)
        return self._tokens is not tokens

    def _current(self) -> Flow[Tokens | None]:
        """The tokens that there are; asks the storage the first time."""
        if isinstance(self._tokens, _Unread):
            yield from self._reading.run(self._read)
        assert not isinstance(self._tokens, _Unread)
        return self._tokens

    def _read(self) -> Flow[None]:
        if isinstance(self._tokens, _Unread):
            self._tokens = load_tokens((yield from call(self._credentials.storage.get, self._key)))

    def _keep(self, tokens: Tokens) -> Flow[None]:
        self._tokens = tokens
        yield from call(self._credentials.storage.set, self._key, dump(tokens))

    # What one does for all.

    def _renew(self, tokens: Tokens) -> Flow[None]:
        """Get new tokens ahead of time. Never fails: the old ones may do; if not, the server says so."""
        if self._tokens is not tokens:
            return
        try:
            if tokens.refresh is not None:
                yield from self._refresh(tokens)
            elif self._found is not None and not self._credentials.asks_user:
                yield from self._obtain(self._found, tokens.requested)
            else:
                self._tokens = replace(tokens, renew_at=None)
        except AuthorizationError:
            self._tokens = replace(tokens, renew_at=None)
        except (TransportError, TimedOut, ProtocolError):
            self._tokens = replace(tokens, renew_at=(yield Now()) + LATER)

    def _answer(self, refusal: _Refusal) -> Flow[None]:
        """Get tokens that a refused request would be let in with; in vain, leave those that there are."""
        tokens = refusal.tokens
        if self._tokens is not tokens:
            return
        if refusal.status == 401 and refusal.attempt > 1 and (yield from _is_new(tokens)):
            return
        challenge = refusal.challenge
        found = yield from discover(
            self.url, challenge.resource_metadata, self._credentials.issuer, self._tls
        )
        if tokens is not None and tokens.issuer != found.server.issuer:
            tokens = None  # the server has moved to another issuer, to which nothing of the old one is shown
        self._found = found
        can_refresh = tokens is not None and tokens.refresh and tokens.resource == found.resource
        if can_refresh and refusal.status == 401 and refusal.attempt == 1:
            assert tokens is not None
            if (yield from self._refresh(tokens)):
                return
        scopes = self._scopes(found, challenge, tokens, is_too_little=refusal.status == 403)
        if refusal.status == 403:
            had = tokens is not None and not challenge.scopes and set(scopes) <= set(tokens.requested)
            if had or frozenset(scopes) in self._stepped:
                return
            self._stepped.add(frozenset(scopes))
        yield from self._obtain(found, scopes)

    def _scopes(
        self, found: Found, challenge: Bearer, tokens: Tokens | None, *, is_too_little: bool
    ) -> tuple[str, ...]:
        wanted = (*self._credentials.scopes, *challenge.scopes) or found.scopes
        if is_too_little and not challenge.scopes:
            wanted = (*wanted, *found.scopes)
        before = tokens.requested if tokens is not None else ()
        scopes = dict.fromkeys((*before, *wanted))
        if OFFLINE in (found.server.scopes or ()):
            if scopes and self._credentials.asks_user:
                scopes[OFFLINE] = None
        elif OFFLINE not in self._credentials.scopes:
            scopes.pop(OFFLINE, None)  # never where the server does not list it
        return tuple(scopes)[:MOST_SCOPES]

    def _refresh(self, tokens: Tokens) -> Flow[bool]:
        """Whether the server gave new tokens for the refresh token. Raises TransportError, TimedOut."""
        client = yield from self._credentials.known_client(tokens)
        try:
            if client is not None:
                yield from self._keep((yield from refresh(tokens, client, self._tls)))
                return True
        except AuthorizationError as error:
            if error.code == REFUSED_CLIENT:
                yield from self._credentials.forget_client(tokens.issuer)
        self._tokens = replace(tokens, refresh=None, renew_at=None)
        return False

    def _obtain(self, found: Found, scopes: tuple[str, ...]) -> Flow[None]:
        """Make the grant, and keep what comes of it."""
        credentials = self._credentials
        client = yield from credentials.client(found, scopes)
        try:
            tokens = yield from self._grant(found, client, scopes)
        except AuthorizationError as error:
            if error.code != REFUSED_CLIENT or not client.is_registered:
                raise
            yield from credentials.forget_client(found.server.issuer)
            client = yield from credentials.client(found, scopes)
            tokens = yield from self._grant(found, client, scopes)
        yield from self._keep(tokens if credentials.asks_user else replace(tokens, refresh=None))

    def _grant(self, found: Found, client: Client, scopes: tuple[str, ...]) -> Flow[Tokens]:
        form = yield from self._credentials.form(found, client, scopes)
        return (yield from ask_for_tokens(found, client, form, scopes))


def _is_new(tokens: Tokens | None) -> Flow[bool]:
    """Whether these tokens were granted, and not refreshed, a moment ago."""
    if tokens is None or tokens.granted_at is None:
        return False
    moment: float = yield Now()
    return moment - tokens.granted_at < JUST_NOW
