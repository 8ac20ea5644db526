"""A small town: an MCP server that lets in by tokens, the authorization server it names, and a user.

Both servers are functions from a request to an answer, so the same town is played in virtual time by the
Simulator and over loopback. What the authorization server gets is checked as a strict one would, and kept.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import pytest

from tako.effects import Close, Flow, Headers, HttpRequest, send
from tako.errors import TakoError
from tako.mcp.auth import AuthorizationError, Authorizer, OAuth
from tako.testing import Answer, ReceivedRequest, ScriptedVendor, Simulator

MCP = "https://mcp.test/mcp"
ISSUER = "https://as.test"
REDIRECT = "http://127.0.0.1:8765/callback"


def document(value: object, status: int = 200) -> Answer:
    return Answer.json(json.dumps(value), status)


NOT_FOUND = Answer((b"<html>nothing here</html>",), 404, (("content-type", "text/html"),))


@dataclass
class Issuer:
    """An authorization server. Its fields are what it does; what is None is not in its metadata."""

    url: str = ISSUER
    methods: tuple[str, ...] | None = ("none",)
    pkce: tuple[str, ...] | None = ("S256",)
    scopes: tuple[str, ...] | None = None
    registers: bool = True
    takes_documents: bool = False
    iss: str | None = "right"
    """What its redirects have as `iss`: "right" is its own URL."""
    says_iss: bool = True
    life: float | None = 3600
    gives_refresh: bool = False
    rotates: bool = True
    metadata_at: str | None = None
    """The path of its metadata; None for RFC 8414's."""
    metadata: dict[str, Any] = field(default_factory=dict)
    """What is different in its metadata."""
    assigned_method: str | None = None
    secrets_end: float | None = None
    refuse: Callable[[dict[str, str]], Answer | None] = lambda form: None
    """May answer a token request in its stead."""
    after: Callable[[ReceivedRequest], Answer | None] = lambda request: None
    """May answer any request in its stead."""

    def __post_init__(self) -> None:
        self.registered: list[dict[str, Any]] = []
        self.asked: list[dict[str, str]] = []
        """Each authorization request."""
        self.forms: list[dict[str, str]] = []
        """Each token request, with `basic` for what the header says."""
        self.clients: dict[str, str | None] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.refreshes: dict[str, str] = {}
        """The refresh tokens that are good, each with its scopes."""
        self.granted: dict[str, set[str]] = {}
        """The scopes of each access token that is good."""
        self.vendor = ScriptedVendor(self.answer)
        self._numbers = count(1)

    @property
    def path(self) -> str:
        return urlsplit(self.url).path.rstrip("/")

    def answer(self, request: ReceivedRequest) -> Answer:
        instead = self.after(request)
        if instead is not None:
            return instead
        here = self.metadata_at or f"/.well-known/oauth-authorization-server{self.path}"
        if request.method == "GET" and request.target == here:
            return document(self.described())
        if request.method == "POST" and request.target == f"{self.path}/register" and self.registers:
            return self._register(json.loads(request.body))
        if request.method == "POST" and request.target == f"{self.path}/token":
            return self._token(request)
        return NOT_FOUND

    def described(self) -> dict[str, Any]:
        said = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "registration_endpoint": f"{self.url}/register" if self.registers else None,
            "token_endpoint_auth_methods_supported": self.methods,
            "code_challenge_methods_supported": self.pkce,
            "scopes_supported": self.scopes,
            "client_id_metadata_document_supported": self.takes_documents or None,
            "authorization_response_iss_parameter_supported": self.says_iss or None,
            **self.metadata,
        }
        return {name: value for name, value in said.items() if value is not None}

    def _register(self, wanted: dict[str, Any]) -> Answer:
        self.registered.append(wanted)
        client_id = f"client-{len(self.registered)}"
        method = self.assigned_method or wanted.get("token_endpoint_auth_method")
        secret = None if method == "none" else f"secret of {client_id}"
        self.clients[client_id] = secret
        said = {
            "client_id": client_id,
            "client_secret": secret,
            "client_secret_expires_at": self.secrets_end,
            "token_endpoint_auth_method": method,
        }
        return document({name: value for name, value in said.items() if value is not None}, 201)

    def browse(self, url: str) -> str:
        """The user's browser: goes to the authorization endpoint, says yes, and comes back."""
        assert url.startswith(f"{self.url}/authorize?"), url
        asked = dict(parse_qsl(urlsplit(url).query, strict_parsing=True))
        self.asked.append(asked)
        code = f"code-{next(self._numbers)}"
        self.codes[code] = asked
        given = {"code": code, "state": asked["state"]}
        if self.iss is not None:
            given["iss"] = self.url if self.iss == "right" else self.iss
        return f"{asked['redirect_uri']}?{urlencode(given)}"

    def _token(self, request: ReceivedRequest) -> Answer:
        form = dict(parse_qsl(request.body.decode(), strict_parsing=True))
        assert request.header("content-type") == "application/x-www-form-urlencoded"
        basic = request.header("authorization")
        if basic is not None:
            form["basic"] = base64.b64decode(basic.removeprefix("Basic ")).decode()
        self.forms.append(form)
        refused = self.refuse(form)
        if refused is not None:
            return refused
        client_id = form.get("client_id") or unquote_plus(form.get("basic", "").partition(":")[0])
        if client_id in self.clients and self.clients[client_id] is not None:
            given = form.get("client_secret") or unquote_plus(form.get("basic", ":").partition(":")[2])
            if given != self.clients[client_id]:
                return document({"error": "invalid_client"}, 401)
        match form["grant_type"]:
            case "authorization_code":
                return self._for_code(form, client_id)
            case "refresh_token":
                return self._for_refresh(form)
            case _:
                return self._grant(form.get("scope", ""))

    def _for_code(self, form: dict[str, str], client_id: str) -> Answer:
        asked = self.codes.pop(form["code"], None)
        proof = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(proof).decode().rstrip("=")
        if (
            asked is None
            or asked["client_id"] != client_id
            or asked["redirect_uri"] != form["redirect_uri"]
            or (asked["code_challenge"], asked["code_challenge_method"]) != (challenge, "S256")
            or asked["resource"] != form["resource"]
        ):
            return document({"error": "invalid_grant"}, 400)
        return self._grant(asked.get("scope", ""))

    def _for_refresh(self, form: dict[str, str]) -> Answer:
        scope = self.refreshes.get(form["refresh_token"])
        if scope is None:
            return document({"error": "invalid_grant"}, 400)
        if self.rotates:
            del self.refreshes[form["refresh_token"]]
        return self._grant(scope)

    def _grant(self, scope: str) -> Answer:
        number = next(self._numbers)
        token = f"token-{number}"
        self.granted[token] = set(scope.split())
        said: dict[str, Any] = {"access_token": token, "token_type": "bearer", "scope": scope}
        if self.life is not None:
            said["expires_in"] = self.life
        if self.gives_refresh and (self.rotates or not self.refreshes):
            said["refresh_token"] = f"refresh-{number}"
            self.refreshes[f"refresh-{number}"] = scope
        return document(said)


@dataclass
class Resource:
    """An MCP server. `needs` are the scopes of every request; the query of a URL has more of them."""

    issuer: Issuer
    url: str = MCP
    metadata_at: str | None = "/.well-known/oauth-protected-resource/mcp"
    metadata: dict[str, Any] = field(default_factory=dict)
    challenge: str | None = None
    """None names the metadata, "bare" does not, "scopes" says the scopes with a 401 too, "mute" not even
    with a 403."""
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.vendor = ScriptedVendor(self.answer)
        self.refusals = 0

    @property
    def origin(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def answer(self, request: ReceivedRequest) -> Answer:
        if request.method == "GET" and request.target == self.metadata_at:
            return document(
                {"resource": self.url, "authorization_servers": [self.issuer.url], **self.metadata}
            )
        if request.target.partition("?")[0] != urlsplit(self.url).path:
            return self.issuer.answer(request) if self.issuer.url == self.origin else NOT_FOUND
        token = (request.header("authorization") or "").removeprefix("Bearer ")
        granted = self.issuer.granted.get(token)
        needed = {*self.needs, *urlsplit(request.target).query.split("&")} - {""}
        if granted is None:
            return self._refuse(401, needed if self.challenge == "scopes" else set())
        if not needed <= granted:
            return self._refuse(403, needed)
        return document({"ok": True})

    def _refuse(self, status: int, needed: set[str]) -> Answer:
        self.refusals += 1
        said = [f'resource_metadata="{self.origin}{self.metadata_at}"'] if self.challenge != "bare" else []
        if needed and self.challenge != "mute":
            said.append(f'scope="{" ".join(sorted(needed))}"')
        if status == 403:
            said.append('error="insufficient_scope"')
        return Answer((), status, (("www-authenticate", f"Bearer {', '.join(said)}"),))


class Town:
    """One server, one issuer, one user. `visit` is a request by a program that authorizes if it has to."""

    def __init__(self, issuer: Issuer, resource: Resource, /, **options: Any) -> None:
        self.issuer = issuer
        self.resource = resource
        self.options = options
        self.auth = self.program()
        self.simulator = self.simulate()

    def simulate(self, **options: Any) -> Simulator:
        vendors = {"as.test": self.issuer.vendor, "mcp.test": self.resource.vendor}
        return Simulator(vendor=vendors, **options)

    def program(self) -> OAuth:
        """A program that starts: it knows what its storage knows."""
        given = {"redirect": self.issuer.browse, "redirect_uri": REDIRECT, **self.options}
        return OAuth(**given)

    def visit(self, query: str = "", auth: Any = None) -> int:
        """The status of one request in the end."""
        authorizer = (auth or self.auth).authorizer(self.resource.url)
        return self.simulator.run(visit(authorizer, self.resource.url + query))


def visit(authorizer: Authorizer, url: str) -> Flow[int]:
    """What an HTTP transport does."""
    for attempt in count(1):
        yield from authorizer.renew()
        headers = yield from authorizer.headers(url)
        status, answered = yield from ask(url, headers)
        if status not in (401, 403):
            return status
        if not (yield from authorizer.challenged(status, answered, attempt, headers)):
            return status
    raise AssertionError


def ask(url: str, headers: Headers) -> Flow[tuple[int, Headers]]:
    head = yield from send(HttpRequest("POST", url, headers))
    yield Close(head.exchange)
    return head.status, head.headers


def town(
    resource: dict[str, Any] | None = None, program: dict[str, Any] | None = None, **issuer: Any
) -> Town:
    """A town whose issuer, server and program have these options."""
    server = Issuer(**issuer)
    return Town(server, Resource(server, **(resource or {})), **(program or {}))


def refusal(place: Town, code: str | None = None, kind: type[TakoError] = AuthorizationError) -> str:
    with pytest.raises(kind) as caught:
        place.visit()
    assert code is None or caught.value.code == code
    return str(caught.value)


def targets(place: Town) -> list[str]:
    """The documents that were asked for."""
    requests = [*place.resource.vendor.requests, *place.issuer.vendor.requests]
    return [request.target for request in requests if request.method == "GET"]
