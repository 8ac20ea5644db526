"""PairChannel: a session over HTTP as of 2024-11-05: one long event stream, and a POST for each message.

| event     | is                                                                                         |
|-----------|--------------------------------------------------------------------------------------------|
| endpoint  | the URL to post to, of the same origin; the first one counts, and it has to come first     |
| message   | anything that the server says, the answers to all requests among it                        |
| any other | passed over                                                                                |

The stream serves many askers of several runs, so it is a link: a GET whose answer does not end. What is
said there goes to who waits for it as in any Conversation; what the Conversation wants to send is not
written to the link, but handed to who asks, who posts it:

| asked of the machine  | comes back                                                              |
|-----------------------|-------------------------------------------------------------------------|
| ENDPOINT              | the URL, once it is known                                               |
| Question              | first an Interlude with a TO_POST; then as in any Conversation          |
| Post(message)         | the texts that are to be posted now, its own last                       |

Invariants. Texts are taken in the order in which they were made; each by one flow. A stream that has ended
is not resumed: its session is gone with it. No proxy is asked for the stream, as for any link.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from tako.effects import Ask, Failed, Flow, Succeeded, TlsOptions, ask, hang_up, open_link, within
from tako.errors import Cancelled, ProtocolError, TakoError, TimedOut, TransportError
from tako.links import Socket
from tako.mcp.channel import UNSENT, Ear, Outgoing
from tako.mcp.conversation import (
    NEXT,
    Conversation,
    Incoming,
    Interlude,
    Notice,
    Question,
    Refusal,
    Reply,
    Resume,
)
from tako.mcp.errors import McpError
from tako.mcp.http_peer import EVENT_STREAM, MOST_OF_AN_ANSWER, HttpPeer, HttpRefusal, joined
from tako.mcp.posting import PostingChannel, Reading
from tako.mcp.versions import Revision
from tako.wire import END, NEED_DATA, End, NeedData
from tako.wire.http1 import BodyData, Http1Connection, ResponseHead
from tako.wire.jsonrpc import Success
from tako.wire.route import parse_url
from tako.wire.sse import SSEParser

__all__ = ["PairChannel", "PairConversation", "PairFraming"]

Json: TypeAlias = Any
Headers: TypeAlias = tuple[tuple[str, str], ...]

ENDPOINT_SECONDS: Final = 10.0
"""How long the server may take to say where to post."""
MOST_ATTEMPTS: Final = 3
TO_POST: Final = "tako/post"
"""The method of the Notice with the texts of a question; it comes from the machine, never from a peer."""


class _Endpoint(Enum):
    ENDPOINT = "endpoint"


ENDPOINT: Final = _Endpoint.ENDPOINT


@dataclass(slots=True)
class Post:
    """A message of ours that is to be posted."""

    message: Notice | Reply | Refusal


class PairFraming:
    """A Framing: texts come as events of the answer to a GET; those of ours are put aside."""

    def __init__(self, name: str, url: str, headers: Headers) -> None:
        """Raises InvalidInput for headers that HTTP cannot carry."""
        self._name = name
        self._url = url
        target = parse_url(url)
        self._connection = Http1Connection(peer=name)
        self._opening = self._connection.send_request(
            "GET", target.path, headers, b"", authority=target.origin.authority
        )
        self._parser = SSEParser(MOST_OF_AN_ANSWER)
        self._texts: deque[bytes] = deque()
        self._unposted: list[bytes] = []
        self._error: TakoError | None = None
        self._has_ended = False
        self.endpoint: str | None = None
        self.refused: ResponseHead | None = None
        """What the GET was answered with, if not with a stream."""

    def opening(self) -> bytes:
        return self._opening

    def encode(self, text: bytes) -> bytes:
        self._unposted.append(text)
        return b""

    def take(self) -> tuple[bytes, ...]:
        """What is to be posted, once."""
        texts = tuple(self._unposted)
        self._unposted.clear()
        return texts

    def receive_data(self, data: bytes) -> None:
        if not self.is_over:
            self._connection.receive_data(data)

    def next_text(self) -> bytes | NeedData | End:
        while not self._texts:
            if self._error is not None:
                raise self._error
            if self._has_ended:
                return END
            try:
                event = self._connection.next_event()
                if event is NEED_DATA:
                    return NEED_DATA
                self._take(event)
            except TakoError as error:
                self._error = error
        return self._texts.popleft()

    def _take(self, event: object) -> None:
        if isinstance(event, ResponseHead):
            kind = dict(event.headers).get("content-type", "").partition(";")[0].strip().lower()
            if event.status != 200 or kind != EVENT_STREAM:
                self.refused = event
                words = f"{self._name} answers a GET with HTTP {event.status} and no stream of events"
                raise HttpRefusal(words, status=event.status, phase="head")
            return
        data = event.data if isinstance(event, BodyData) else b""
        for found in self._parser.feed(data):
            if found.event == "endpoint" and self.endpoint is None:
                self.endpoint = self._checked(found.data)
            elif found.event == "message" and found.data:
                self._texts.append(found.data.encode("utf-8", "surrogatepass"))
        self._has_ended = not data

    def _checked(self, location: str) -> str:
        url = joined(self._url, location)
        if not url or parse_url(url).origin != parse_url(self._url).origin:
            raise ProtocolError(
                f"{self._name} wants messages to be posted to another origin, or to what is no URL",
                phase="body",
            )
        return url

    def data_to_send(self) -> bytes:
        return b""

    def goodbye(self) -> None:
        self._has_ended = True

    @property
    def is_over(self) -> bool:
        return self._has_ended or self._error is not None


class PairConversation(Conversation):
    """A Conversation whose texts are posted by who asks it."""

    def __init__(self, framing: PairFraming, peer: str) -> None:
        super().__init__(framing, peer)
        self._pair = framing
        self._asking: list[Hashable] = []
        """Who waits for the endpoint."""

    def ask(self, message: Any) -> Hashable:
        if message is not ENDPOINT and not isinstance(message, Post):
            return super().ask(message)
        ticket = object()
        if isinstance(message, Post):
            self.tell(message.message)
            self._outcomes.append((ticket, Succeeded(self._pair.take())))
        else:
            self._asking.append(ticket)
            self._tell_endpoint()
        return ticket

    def forget(self, ticket: Hashable) -> None:
        if ticket in self._asking:
            self._asking.remove(ticket)
        else:
            super().forget(ticket)

    def receive_data(self, data: bytes) -> None:
        super().receive_data(data)
        self._tell_endpoint()

    def _tell_endpoint(self) -> None:
        if self._pair.endpoint is not None:
            self._outcomes += [(ticket, Succeeded(self._pair.endpoint)) for ticket in self._asking]
            self._asking.clear()

    def _fail(self, error: TakoError) -> None:
        super()._fail(error)
        self._outcomes += [(ticket, Failed(error)) for ticket in self._asking]
        self._asking.clear()

    def _question(self, question: Question) -> int:
        untaken, self._untaken = self._untaken, deque()
        id = super()._question(question)
        self._untaken = untaken  # they come after its own text
        texts = Notice(TO_POST, {"texts": self._pair.take()})
        self._interrupt(id, self._pending[id], texts)
        return id

    def _requested(self, incoming: Incoming) -> None:
        if incoming.method == "ping" and incoming.id not in self._incoming:
            self._incoming[incoming.id] = incoming  # its answer has to be posted as well
            self._pass_on(incoming)
        else:
            super()._requested(incoming)


class PairChannel(PostingChannel):
    """A channel over the pair of an event stream and POSTs."""

    def __init__(self, server: HttpPeer) -> None:
        super().__init__(server.name)
        self._server = server
        self._conversation: PairConversation | None = None
        self._link = 0
        self._url = ""
        self._headers: Headers = ()

    @property
    def is_open(self) -> bool:
        return self._conversation is not None and not self._conversation.is_over

    def open(self) -> Flow[None]:
        """Connect, and hear where to post. Raises HttpRefusal, ProtocolError, TransportError or TimedOut."""
        yield from self.close()
        server = self._server
        self._headers = (*server.own, ("content-type", "application/json"), ("accept", "application/json"))
        attempt = 0
        if server.auth is not None:
            yield from server.auth.renew()
        while True:
            attempt += 1
            sent: Headers = () if server.auth is None else (yield from server.auth.headers(server.url))
            headers = (*server.own, *sent, ("accept", EVENT_STREAM), ("accept-encoding", "identity"))
            framing = PairFraming(self.peer, server.url, headers)
            try:
                return (yield from self._connect(framing))
            except HttpRefusal as error:
                head = framing.refused
                if server.auth is None or head is None or head.status not in (401, 403):
                    raise
                if attempt >= MOST_ATTEMPTS:
                    raise
                if not (yield from server.auth.challenged(head.status, head.headers, attempt, sent)):
                    raise error from None

    def _connect(self, framing: PairFraming) -> Flow[None]:
        origin = parse_url(self._server.url).origin
        tls = (self._server.tls or TlsOptions()) if origin.scheme == "https" else None
        conversation = PairConversation(framing, self.peer)
        link = yield from open_link(
            Socket(origin.host, origin.port, tls, ("http/1.1",) if tls else ()), conversation
        )
        try:
            self._url = yield from within(ENDPOINT_SECONDS, ask(link, ENDPOINT))
        except Cancelled:
            raise
        except TakoError:
            yield from hang_up(link)
            raise
        self._link = link
        self._conversation = conversation
        self.overheard = conversation.overheard

    def settle(self, revision: Revision | None) -> None:
        if self._conversation is not None:
            self._conversation.takes_batches = revision is not None and revision.has_batches

    def ask(self, request: Outgoing, ear: Ear) -> Flow[Json]:
        conversation = self._opened()
        question = Question(request.method, request.params, request.hears)
        first: Interlude = yield Ask(self._link, question)
        reading = Reading(ear, first.id, hears=request.hears, timeout=request.timeout)
        try:
            assert isinstance(first.heard, Notice)
            yield from self._post(first.heard.params["texts"])
            return (yield from self._read(reading))
        except TimedOut as error:
            conversation.abandon(first.id)
            if error.phase is None:
                raise self._silence(request.timeout) from None
            raise
        except BaseException:
            conversation.abandon(first.id)  # if it is away, nobody will resume it
            raise

    def tell(self, method: str, params: dict[str, Json]) -> Flow[None]:
        self._opened()
        yield from self._post((yield Ask(self._link, Post(Notice(method, params)))))

    def listen(self, ear: Ear) -> Flow[None]:
        self._opened()
        yield from self._read(Reading(ear))

    def close(self) -> Flow[None]:
        if self._conversation is not None:
            self._conversation = None
            yield from hang_up(self._link)

    def _opened(self) -> PairConversation:
        if self._conversation is None:
            raise TransportError(f"{self.peer} is not connected", phase="link", partial=UNSENT)
        return self._conversation

    def _arrive(self, reading: Reading) -> Flow[None]:
        if reading.messages:
            return
        if reading.id is None:
            reading.messages.append((yield Ask(self._link, NEXT)))
            return
        reply = yield Ask(self._link, Resume(reading.id))
        heard = reply.heard if type(reply) is Interlude else Success(reading.id, reply)
        reading.messages.append(heard)

    def _await(self, reading: Reading) -> Flow[None]:
        return self._arrive(reading)

    def _say(self, told: Reply | Refusal) -> Flow[None]:
        texts = yield Ask(self._link, Post(told))
        yield from self._post(texts, is_answer=True)

    def _post(self, texts: tuple[bytes, ...], *, is_answer: bool = False) -> Flow[None]:
        """Post the texts; only a refusal of the last is an error, and none of an answer of ours."""
        for left, text in enumerate(texts, 1 - len(texts)):
            is_awaited = left == 0 and not is_answer
            try:
                head = yield from self._server.send("POST", self._headers, text, url=self._url)
            except (HttpRefusal, McpError):
                if is_awaited:
                    raise
                continue
            if head.status >= 300 and is_awaited:
                raise (yield from self._server.refusal(head))
            yield from self._server.drain(head)
