"""HttpPeer: a server behind HTTP, and what every exchange with it has in common.

| the answer is                       | then                                                               |
|-------------------------------------|--------------------------------------------------------------------|
| 2xx                                 | it is given to who asked                                           |
| 307, 308 to the same origin         | sent again to there, MOST_REDIRECTS times; 308 is remembered       |
| 401, 403, and there is `auth`       | it is ended, and Challenged: `meet` asks what to do about it       |
| anything else                       | given to who asked, who makes an error of it with `refusal`        |

| a refusal                           | is the error                                                       |
|-------------------------------------|--------------------------------------------------------------------|
| its body is an error of JSON-RPC    | McpError, with the status; also if its id is null                  |
| any other                           | HttpRefusal, with status, the beginning of the body, retry_after   |

`send` renews what ends soon, and meets challenges by itself. `send_once` leaves both to who has a limit of
time, and does them outside of it: somebody may have to be asked, and what is renewed must not get lost.

Invariants. A body is sent to no other origin than the one that the user named, nor are headers. An error
from before the request could be written has the `partial` UNSENT. Of a refusal at most MOST_OF_A_REFUSAL
bytes are read. No exchange is open while a challenge is met. No value of a header, and no query, is in a
message.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final, Protocol
from urllib.parse import urljoin

from tako.effects import Close, Flow, Headers, HttpHead, HttpRequest, Now, Receive, Send, TlsOptions, call
from tako.errors import InvalidInput, ProtocolError, TimedOut, TransportError
from tako.mcp.channel import UNSENT
from tako.mcp.environment import expanded_headers
from tako.mcp.errors import McpError
from tako.wire import jsonrpc
from tako.wire.retry_after import retry_hint
from tako.wire.route import parse_url

__all__ = [
    "EVENT_STREAM",
    "MOST_OF_AN_ANSWER",
    "PATIENCE",
    "Authorizer",
    "Challenged",
    "Credentials",
    "HttpPeer",
    "HttpRefusal",
    "joined",
    "kind_of",
    "may_pass",
    "shown",
]

MOST_OF_AN_ANSWER: Final = 16 * 1024 * 1024
"""Bytes of an answer in JSON, and of an event."""
MOST_OF_A_REFUSAL: Final = 64 * 1024
MOST_REDIRECTS: Final = 5
MOST_CHALLENGES: Final = 8
"""How often one request is sent again because it was refused; an Authorizer gives up sooner."""
EVENT_STREAM: Final = "text/event-stream"
PATIENCE: Final = 120.0
"""Seconds that a server may be silent where nothing else says it."""

_REDIRECTS: Final = (301, 302, 303, 307, 308)
_UNSENT_PHASES: Final = ("resolve", "connect", "tls", "proxy")
_WANTS_AUTH: Final = ': it wants authorization; give auth=OAuth(...), or headers={"authorization": ...}'
_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")


class Authorizer(Protocol):
    """The tokens for one server, as an exchange sees them: see tako.mcp.auth."""

    def headers(self, url: str, /) -> Flow[Headers]:
        """What is to be sent to be let in, as far as it is known."""

    def renew(self) -> Flow[None]:
        """Get what `headers` gives anew if it ends soon; it is never called under a limit of time."""

    def challenged(self, status: int, headers: Headers, attempt: int, sent: Headers, /) -> Flow[bool]:
        """After a 401 or 403 to what was `sent`, the first of a request being attempt 1: whether to send it
        again."""


class Credentials(Protocol):
    """What OAuth and ClientCredentials are to an Http."""

    def authorizer(self, url: str, /, tls: TlsOptions | None = None) -> Authorizer:
        """The tokens for a server; raises InvalidInput for a URL that credentials must not go to."""


class HttpRefusal(TransportError):
    """The server refused by a status alone, which says nothing of the request itself."""

    @property
    def retryable(self) -> bool:  # type: ignore[override]
        """True for what another try may cure: overload and the server's own failures."""
        return self.status is not None and may_pass(self.status)


class Challenged(TransportError):
    """A 401 or 403 that the Authorizer may have an answer to; `refusal` is what it is if it has none."""

    def __init__(self, refusal: McpError | HttpRefusal, status: int, headers: Headers, sent: Headers) -> None:
        super().__init__(refusal.message, status=status, phase="head")
        self.refusal = refusal
        self.headers = headers
        self.sent = sent
        """What the Authorizer had given for the request."""


class HttpPeer:
    """Where requests go, and with what. `name` is what the server is called in messages."""

    __slots__ = ("_given", "auth", "name", "own", "tls", "url")

    def __init__(
        self,
        name: str,
        url: str,
        headers: Headers = (),
        *,
        auth: Authorizer | None = None,
        tls: TlsOptions | None = None,
    ) -> None:
        self.name = name
        self.url = url
        self.auth = auth
        self.tls = tls
        self.own = headers
        """The user's headers, which go with every request; with their variables filled in once open."""
        self._given = headers

    def open(self) -> Flow[None]:
        """Fill in what the environment holds now; raises InvalidInput that names a missing variable."""
        if any("$" in value for _, value in self._given):
            environ: Mapping[str, str] = yield from call(dict, os.environ)
            self.own = expanded_headers(self._given, environ)

    def send(
        self,
        method: str,
        headers: Headers,
        body: bytes = b"",
        *,
        url: str | None = None,
        read_timeout: float | None = PATIENCE,
    ) -> Flow[HttpHead]:
        """The head of an answer that is neither a redirect nor a challenge.

        Raises TransportError and TimedOut, HttpRefusal for a redirect that is not followed, McpError or
        HttpRefusal for a challenge that could not be met, and what the Authorizer raises.
        """
        attempt = 0
        if self.auth is not None:
            yield from self.auth.renew()
        while True:
            try:
                return (yield from self.send_once(method, headers, body, url=url, read_timeout=read_timeout))
            except Challenged as challenged:
                attempt += 1
                yield from self.meet(challenged, attempt)

    def send_once(
        self,
        method: str,
        headers: Headers,
        body: bytes = b"",
        *,
        url: str | None = None,
        read_timeout: float | None = PATIENCE,
    ) -> Flow[HttpHead]:
        """The same, but nothing is renewed, and Challenged is for the caller to catch, who may `meet` it."""
        target = url or self.url
        auth, redirects = self.auth, 0
        while True:
            own: Headers = () if auth is None else (yield from auth.headers(target))
            whole = (*headers, *own) if own else headers
            try:
                head: HttpHead = yield Send(
                    HttpRequest(method, target, whole, body, read_timeout=read_timeout, tls=self.tls)
                )
            except (TransportError, TimedOut) as error:
                if error.phase in _UNSENT_PHASES:
                    error.partial = UNSENT
                raise
            status = head.status
            if status < 300:
                return head
            if status in _REDIRECTS:
                redirects += 1
                target = yield from self._redirected(head, target, redirects)
                if status == 308 and url is None:
                    self.url = target
            elif status in (401, 403) and auth is not None:
                refusal = yield from self.refusal(head)
                raise Challenged(refusal, status, head.headers, own)
            else:
                return head

    def meet(self, challenged: Challenged, attempt: int) -> Flow[None]:
        """Get what it takes to send a request again that was refused for the how manieth time.

        Raises the refusal if that is to no avail, and what the Authorizer raises.
        """
        auth = self.auth
        assert auth is not None and challenged.status is not None
        if attempt > MOST_CHALLENGES or not (
            yield from auth.challenged(challenged.status, challenged.headers, attempt, challenged.sent)
        ):
            raise challenged.refusal

    def _redirected(self, head: HttpHead, url: str, count: int) -> Flow[str]:
        """Where to go from there; raises HttpRefusal if we do not."""
        yield from self.drain(head)
        status, location = head.status, head.header("location") or ""
        target = joined(url, location)
        if not target:
            why = "to what is no http or https URL"
        elif parse_url(target).origin != parse_url(url).origin:
            why = f"to {shown(target)}, another origin; if it is the server that you mean, give that URL"
        elif status not in (307, 308):
            why = f"to {shown(target)} in a way that loses the request; give that URL"
        elif count > MOST_REDIRECTS:
            why = f"more than {MOST_REDIRECTS} times, lastly to {shown(target)}"
        else:
            return target
        raise HttpRefusal(f"{self.name} redirects {why}", status=status, phase="head")

    def refusal(self, head: HttpHead) -> Flow[McpError | HttpRefusal]:
        """The error that an answer stands for that is not 2xx. Ends the exchange."""
        body = yield from self.drain(head)
        hint = retry_hint(head.headers, (yield Now()))
        status = head.status
        message = jsonrpc.parse(body)
        if type(message) is jsonrpc.Failure and status != 401:
            error = message.error
            return McpError(error.message, error.code, error.data, status=status, retry_after=hint)
        text = body.decode("utf-8", "replace").strip()
        words = f"{self.name} answered HTTP {status}"
        if status == 401:
            words += _WANTS_AUTH if self.auth is None else ": it does not take what auth= has got for it"
        elif text and kind_of(head) != "text/html":
            words += f": {text[:200]}"
        return HttpRefusal(words, status=status, phase="head", retry_after=hint, body=text or None)

    def drain(self, head: HttpHead) -> Flow[bytes]:
        """The beginning of a body that is of little interest; nothing of a stream. Ends the exchange."""
        data = bytearray()
        if kind_of(head) != EVENT_STREAM:
            try:
                while (piece := (yield Receive(head.exchange))) and len(data) < MOST_OF_A_REFUSAL:
                    data += piece
            except (TransportError, TimedOut, ProtocolError):
                pass  # the head has said it already
        yield Close(head.exchange)
        return bytes(data[:MOST_OF_A_REFUSAL])

    def whole_body(self, head: HttpHead) -> Flow[bytes]:
        """All of a body; raises ProtocolError if it is larger than MOST_OF_AN_ANSWER. Ends the exchange."""
        exchange = head.exchange
        body: bytes = yield Receive(exchange)
        if body:
            piece: bytes = yield Receive(exchange)
            if piece:
                body = yield from self._rest(exchange, bytearray(body), piece)
        yield Close(exchange)
        return body

    def _rest(self, exchange: int, data: bytearray, piece: bytes) -> Flow[bytes]:
        while piece:
            data += piece
            if len(data) > MOST_OF_AN_ANSWER:
                yield Close(exchange)
                raise ProtocolError(
                    f"{self.name} answers with over {MOST_OF_AN_ANSWER:,} bytes; ask it for less at once",
                    phase="body",
                )
            piece = yield Receive(exchange)
        return bytes(data)


def may_pass(status: int) -> bool:
    """Whether another try may be answered with another status."""
    return status >= 500 or status in (408, 425, 429)


def kind_of(head: HttpHead) -> str:
    """The type of a body, without its parameters; "" if the head does not say it."""
    kind = head.header("content-type")
    return "" if kind is None else kind.partition(";")[0].strip().lower()


def shown(url: str) -> str:
    """A URL for messages: what comes after a question mark may be a secret."""
    target = parse_url(url)
    return f"{target.origin.scheme}://{target.origin.authority}{target.path.partition('?')[0]}"[:200]


def joined(url: str, location: str) -> str:
    """The URL that a server means by a location, seen from another; "" if it is no http or https URL."""
    if not location or _CONTROL.search(location):  # urljoin would drop some of these
        return ""
    try:
        target = urljoin(url, location)
        parse_url(target)
    except (InvalidInput, ValueError):
        return ""
    return target
