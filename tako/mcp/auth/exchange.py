"""The HTTP exchanges of authorization: small JSON documents are fetched, and forms are posted.

| exchange | redirects                                             | what is kept of the answer         |
|----------|-------------------------------------------------------|------------------------------------|
| fetch    | followed within the origin, at most MOST_REDIRECTS;   | status, and the JSON object if it  |
|          | one to another origin counts as "it is not here"      | is one                             |
| post     | not followed: a body with a secret goes nowhere else  | the same                           |

Invariants. An exchange takes at most SECONDS, body included, and at most MOST_OF_A_BODY bytes are read; it
is closed when it is over. What cannot be read as a JSON object has `json` None. The messages of errors quote
no query and no body. TransportError and TimedOut are what another try may cure: no connection, a status of
5xx or 429.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode, urljoin

from pydantic_core import from_json

from tako.effects import Close, Flow, Headers, HttpHead, HttpRequest, Now, Receive, Send, TlsOptions, within
from tako.errors import InvalidInput, ProtocolError, TimedOut, TransportError
from tako.mcp.auth.urls import origin_of, shown
from tako.mcp.versions import MODERN
from tako.wire.retry_after import retry_hint
from tako.wire.route import parse_url

__all__ = ["Answered", "fetch", "post_form", "post_json"]

SECONDS: Final = 30.0
MOST_OF_A_BODY: Final = 64 * 1024
MOST_REDIRECTS: Final = 3

_ALWAYS: Final = (("Accept", "application/json"), ("Accept-Encoding", "identity"), ("User-Agent", "tako"))
_REVISION: Final = ("MCP-Protocol-Version", MODERN[-1].name)
"""2025-03-26, "Server Metadata Discovery": by it a server may choose what to say."""
_REDIRECTS: Final = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Answered:
    """What a server has answered. It may hold tokens: not in the repr."""

    status: int
    json: dict[str, Any] | None = field(repr=False)
    """The body, if it is a JSON object."""
    location: str | None = field(default=None, repr=False)
    retry_after: float | None = None

    def text(self, name: str) -> str | None:
        """A member that is a text and not empty."""
        value = self.json.get(name) if self.json is not None else None
        return value if isinstance(value, str) and value else None


def fetch(url: str, tls: TlsOptions | None = None) -> Flow[Answered]:
    """GET a document; `tls` says whom to trust. A status of 5xx is an answer here.

    Raises TransportError, TimedOut, ProtocolError.
    """
    for _ in range(MOST_REDIRECTS + 1):
        asked = HttpRequest("GET", url, (*_ALWAYS, _REVISION), read_timeout=SECONDS, tls=_for(url, tls))
        answered = yield from _exchange(asked)
        if answered.status not in _REDIRECTS or not answered.location:
            return answered
        try:
            target = urljoin(url, answered.location)
            if origin_of(target) != origin_of(url):
                return answered
        except (InvalidInput, ValueError):
            return answered
        url = target
    raise ProtocolError(f"{shown(url)} redirects more than {MOST_REDIRECTS} times", phase="head")


def post_form(
    url: str, form: dict[str, str], headers: Headers = (), tls: TlsOptions | None = None
) -> Flow[Answered]:
    """POST a form; raises what `fetch` raises, and TransportError for 5xx and 429."""
    kind = ("Content-Type", "application/x-www-form-urlencoded")
    return _post(url, (*_ALWAYS, kind, *headers), urlencode(form).encode("ascii"), tls)


def post_json(url: str, body: bytes, tls: TlsOptions | None = None) -> Flow[Answered]:
    """POST a document; raises what `post_form` raises."""
    return _post(url, (*_ALWAYS, ("Content-Type", "application/json")), body, tls)


def _for(url: str, tls: TlsOptions | None) -> TlsOptions | None:
    """What of it is of use for a URL, which may be a plain one of this machine."""
    return tls if parse_url(url).origin.scheme == "https" else None


def _post(url: str, headers: Headers, body: bytes, tls: TlsOptions | None) -> Flow[Answered]:
    asked = HttpRequest("POST", url, headers, body, read_timeout=SECONDS, tls=_for(url, tls))
    answered = yield from _exchange(asked)
    if answered.status >= 500 or answered.status == 429:
        raise TransportError(
            f"{shown(url)} answered {answered.status}; try again later",
            phase="authorization",
            status=answered.status,
            retry_after=answered.retry_after,
        )
    return answered


def _exchange(request: HttpRequest) -> Flow[Answered]:
    try:
        return (yield from within(SECONDS, _ask(request)))
    except TimedOut as error:
        error.message = f"{shown(request.url)} did not answer within {SECONDS:g} seconds"
        raise


def _ask(request: HttpRequest) -> Flow[Answered]:
    head: HttpHead = yield Send(request)
    data = bytearray()
    while piece := (yield Receive(head.exchange)):
        data += piece
        if len(data) > MOST_OF_A_BODY:
            raise ProtocolError(
                f"{shown(request.url)} answers with more than {MOST_OF_A_BODY} bytes", phase="body"
            )
    yield Close(head.exchange)
    hint = retry_hint(head.headers, (yield Now())) if head.status >= 400 else None
    return Answered(head.status, _object(bytes(data)), head.header("location"), hint)


def _object(data: bytes) -> dict[str, Any] | None:
    try:
        value = from_json(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
