"""OAuth: a program whose user is asked, in a browser, to let it in.

    Http("https://x.example/mcp", auth=OAuth(redirect=show_and_wait, redirect_uri="http://127.0.0.1:8765/callback"))

The program's part is one function: it is given a URL, shows it to the user, and gives back the URL that the
browser came to when the user was done. All the rest is found out: who lets into the server, what it is asked
for, and as whom.

Invariants. Nothing is asked before the server refuses a request. Secrets are in no repr.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar
from urllib.parse import urlsplit

from tako.effects import Flow, Now, call
from tako.errors import InvalidInput
from tako.mcp.auth.authorizer import Credentials
from tako.mcp.auth.clients import Client, load_client, register, secret_method
from tako.mcp.auth.discovery import Found
from tako.mcp.auth.grants import AsksUser, Redirect, ask_user
from tako.mcp.auth.tokens import Tokens, TokenStorage, dump
from tako.mcp.auth.urls import check_own

__all__ = ["OAuth"]


class OAuth(Credentials):
    """Authorization by the user (RFC 6749 4.1, with PKCE). Raises InvalidInput.

    redirect             shows a URL to the user, and gives back the one (or its query) that the browser was
                         sent to; may block, or be `async def`
    redirect_uri         where the browser is sent to
    client_id            the program, if it was registered with the authorization server by hand
    client_secret        what was given to it there
    client_metadata_url  where the program's metadata are published, for servers that take such a client_id
    client_name          what it is called where it registers itself
    scopes               what to ask for, besides what the server says is needed
    storage              where tokens are kept; in memory if there is none
    issuer               the one authorization server that may be asked; by default the one that the MCP
                         server names. Give it with a client_secret, or a server that lies gets to see that
    """

    asks_user: ClassVar[bool] = True

    def __init__(
        self,
        *,
        redirect: AsksUser,
        redirect_uri: str,
        client_id: str | None = None,
        client_secret: str | None = None,
        client_metadata_url: str | None = None,
        client_name: str = "tako",
        scopes: Sequence[str] | None = None,
        storage: TokenStorage | None = None,
        issuer: str | None = None,
    ) -> None:
        super().__init__("OAuth", scopes, storage, issuer)
        if not callable(redirect):
            raise InvalidInput("OAuth: redirect should be a function that is given a URL and returns one")
        if client_secret is not None and client_id is None:
            raise InvalidInput("OAuth: a client_secret belongs to a client_id; give that too")
        if client_metadata_url is not None:
            _check_metadata_url(client_metadata_url)
        self.client_id = client_id
        self.client_metadata_url = client_metadata_url
        self.client_name = client_name
        self._secret = client_secret
        self._redirect = Redirect(_checked_redirect(redirect_uri), redirect)

    def __repr__(self) -> str:
        who = self.client_id or self.client_metadata_url or self.client_name
        return f"<OAuth of {who!r} by {self._redirect.uri!r}>"

    @property
    def account(self) -> str:
        return self.client_id or self.client_metadata_url or "registered"

    def client(self, found: Found, scopes: tuple[str, ...]) -> Flow[Client]:
        server = found.server
        if self.client_id is not None:
            method = secret_method(server) if self._secret is not None else "none"
            return Client(self.client_id, method, self._secret)
        if self.client_metadata_url is not None and server.takes_metadata_documents:
            return Client(self.client_metadata_url)
        known = yield from self._registration(server.issuer)
        if known is not None and (known.expires_at is None or (yield Now()) < known.expires_at):
            return known
        # Also for what later calls may need: a registration may be all that can ever be asked for.
        all_scopes = tuple(dict.fromkeys((*scopes, *found.scopes)))
        fresh = yield from register(server, self.client_name, self._redirect.uri, all_scopes, found.tls)
        yield from call(self.storage.set, self._key(server.issuer), dump(fresh))
        return fresh

    def form(self, found: Found, client: Client, scopes: tuple[str, ...]) -> Flow[dict[str, str]]:
        return ask_user(self._redirect, found, client, scopes)

    def known_client(self, tokens: Tokens) -> Flow[Client | None]:
        if tokens.client_id == self.client_id:
            return Client(tokens.client_id, tokens.method, self._secret)
        if tokens.client_id == self.client_metadata_url:
            return Client(tokens.client_id)
        known = yield from self._registration(tokens.issuer)
        return known if known is not None and known.client_id == tokens.client_id else None

    def forget_client(self, issuer: str) -> Flow[None]:
        yield from call(self.storage.set, self._key(issuer), None)

    def _registration(self, issuer: str) -> Flow[Client | None]:
        return load_client((yield from call(self.storage.get, self._key(issuer))))

    def _key(self, issuer: str) -> str:
        return f"client {self._redirect.uri} {issuer}"


def _check_metadata_url(url: str) -> None:
    """The client_id of a metadata document: https, and with a path."""
    parts = urlsplit(check_own(url, "OAuth: client_metadata_url"))
    if parts.scheme != "https" or parts.path in ("", "/") or parts.fragment:
        raise InvalidInput("OAuth: client_metadata_url should begin with https:// and have a path")


def _checked_redirect(uri: str) -> str:
    """http for this machine alone, https, or a scheme of the program's own (RFC 8252, 7.1)."""
    if not isinstance(uri, str) or not uri.isascii() or not uri.isprintable() or " " in uri or "#" in uri:
        raise InvalidInput("OAuth: redirect_uri should be a URL without a fragment")
    scheme = uri.partition(":")[0].lower()
    if scheme in ("http", "https"):
        return check_own(uri, "OAuth: redirect_uri")
    if "." not in scheme:
        raise InvalidInput(
            "OAuth: redirect_uri should begin with http://127.0.0.1:PORT/, with https://, or with a scheme "
            "of your own like com.example.app:/"
        )
    return uri
