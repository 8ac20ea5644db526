"""A server over our own standard input and output: one client, both eras.

What runs side by side, all in one Gather:

| flow      | does                                                                                     |
|-----------|------------------------------------------------------------------------------------------|
| worker, N | takes the next message (NEXT), performs it, sends the reply; again                       |
| mouth     | sends what is said meanwhile: progress, log, news; ends what still runs when the client  |
|           | has gone                                                                                 |
| ear       | has the link read though every worker is busy, so that a cancellation is heard, and the  |
|           | end; while too many requests wait for a worker it does not, and the client has to wait   |

| a connection is | from                                | and                                                |
|-----------------|-------------------------------------|----------------------------------------------------|
| opening         | the start                           | one worker takes one message after the other       |
| serving         | `initialize` was answered, or there | all workers do                                     |
|                 | was a request of the modern era     |                                                    |
| ending          | the client has ended its output     | what was asked is done and sent, until nothing is  |
|                 |                                     | finished for GRACE seconds; what still runs is     |
|                 |                                     | cancelled then, and the flow returns               |

A request of the modern era says so itself and is served as such, whatever was before it; any other is of
the handshake era, for which the client must have initialized.

Invariants. The reply to a request comes behind all that was said while it was worked on. A request that the
client cancels gets no reply. A subscription of the modern era keeps no worker busy.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, TypeAlias

from tako.cancellation import CancellationToken
from tako.effects import Ask, Flow, Sleep, Tell, gather, hang_up, open_link, within
from tako.errors import Cancelled, Interrupted, InvalidInput, TakoError
from tako.links import StandardStreams
from tako.mcp.conversation import END, NEXT, Conversation, Heard, Incoming, Notice, Question, Refusal, Reply
from tako.mcp.errors import McpError
from tako.mcp.framing import Lines
from tako.mcp.server.envelope import introduced
from tako.mcp.server.mailbox import Mailbox
from tako.mcp.server.methods import Peer, initialized, perform, welcome
from tako.mcp.server.news import Subscription, for_session
from tako.mcp.server.server import McpServer, News
from tako.mcp.versions import is_modern
from tako.wire.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST, Id

__all__ = ["GRACE", "serve_link", "serve_streams"]

Json: TypeAlias = Any
Said: TypeAlias = Notice | Reply | Refusal

MAX_LISTENS: Final = 100
GRACE: Final = 2.0
"""Seconds in which a call has to end when the client has gone."""
PAUSE: Final = 0.02
"""Seconds between two looks at whether requests still wait for a worker."""


def serve_streams(server: McpServer, concurrency: int = 16) -> Flow[None]:
    """Serve our standard input and output until they end."""
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise InvalidInput(f"concurrency should be a whole number of at least 1, not {concurrency!r}")
    conversation = Conversation(Lines(), "the client", is_server=True)
    link = yield from open_link(StandardStreams(), conversation)
    yield from serve_link(server, link, conversation, concurrency)
    yield from hang_up(link)


def serve_link(server: McpServer, link: int, conversation: Conversation, concurrency: int = 16) -> Flow[None]:
    """Serve who is at the other end of a link, over which the conversation goes, until they have gone."""
    connection = _Connection(server, link, conversation)
    stop_listening = server.listen(connection.bring)
    try:
        if (yield from connection.open()):
            workers = [connection.work(number) for number in range(concurrency)]
            connection.busy.update(range(concurrency))
            yield from gather(*workers, connection.mouth(), connection.ear())
    finally:
        stop_listening()


class _Connection:
    """One client. `busy` are the workers that have not ended, `running` the requests they work on."""

    def __init__(self, server: McpServer, link: int, conversation: Conversation) -> None:
        self.server = server
        self.link = link
        self.conversation = conversation
        self.outbox: Mailbox[Said] = Mailbox()
        self.session: Peer | None = None
        self.busy: set[int] = set()
        self.running: set[CancellationToken] = set()
        self.finished = 0
        self.has_ended = False
        self.is_late = False
        """True when the client has gone, and what runs has had its time."""
        self.first: Heard | None = None
        self.subscriptions: dict[Id, Subscription] = {}

    def bring(self, news: News) -> None:
        """News, from any thread."""
        if self.session is not None:
            self._say(for_session(news, self.session))
        for subscription in list(self.subscriptions.values()):
            self._say(subscription.about(news))

    def _say(self, notice: tuple[str, dict[str, Json]] | None) -> None:
        if notice is not None:
            self.outbox.put(Notice(*notice))

    # What runs.

    def open(self) -> Flow[bool]:
        """Take messages one after the other until it is known how to go on; False if the client has gone."""
        while (heard := (yield from self._next())) is not None:
            if isinstance(heard, Incoming) and is_modern(heard.params):
                self.first = heard
                return True
            yield from self._attend(heard)
            if self.session is not None:
                return True
        return False

    def work(self, number: int) -> Flow[None]:
        """One worker, until the client has gone."""
        try:
            heard, self.first = self.first, None
            if heard is None:
                heard = yield from self._next()
            while heard is not None:
                yield from self._attend(heard)
                heard = yield from self._next()
        finally:
            self.busy.discard(number)
            if not self.busy:
                self.outbox.close()

    def mouth(self) -> Flow[None]:
        """Send what is said until all workers have ended, and stop those that do not in time."""
        seconds, finished = None, 0
        while True:
            said = yield from self.outbox.take(seconds)
            for one in said:
                yield from self._tell(one)
            if said:
                continue
            if self.outbox.is_closed:
                return
            if not self.has_ended:
                continue
            if seconds is None:
                seconds = GRACE
                yield from self._end_subscriptions()
            elif finished < self.finished:
                finished = self.finished
            else:
                self.is_late = True
                for token in list(self.running):
                    token.cancel()

    def ear(self) -> Flow[None]:
        """Have the link read until the client has gone."""
        try:
            while not (yield Ask(self.link, END)):
                yield Sleep(PAUSE)
        except Cancelled:
            raise
        except TakoError:
            pass  # it is lost
        self.has_ended = True
        self.outbox.ring()

    def _next(self) -> Flow[Heard | None]:
        """What the client says next; None if it has gone."""
        if self.is_late:
            return None
        try:
            heard: Heard = yield Ask(self.link, NEXT)
            return heard
        except Cancelled:
            raise
        except TakoError:
            return None

    def _attend(self, heard: Heard) -> Flow[None]:
        """Perform a request and send the answer. Notices of the client need nothing to be done."""
        if isinstance(heard, Notice):
            return
        voice = _Voice(self)
        told: Said
        self.running.add(heard.token)
        try:
            result = yield from within(None, self._perform(heard, voice), heard.token)
            if result is None:
                return
            told = Reply(heard.id, result)
        except Interrupted:
            return
        except McpError as error:
            told = Refusal(heard.id, error.number, error.message, error.data)
        except Cancelled:  # by the function itself, or else the next effect is cut short as well
            told = Refusal(heard.id, INTERNAL_ERROR, "it was cancelled at the server")
        finally:
            self.running.discard(heard.token)
            self.finished += 1
        if voice.has_spoken:
            self.outbox.put(told, must=True)
        else:
            yield from self._tell(told)

    def _perform(self, incoming: Incoming, voice: _Voice) -> Flow[Json]:
        """The result; None for a subscription, which is answered when it ends. Raises McpError."""
        method, params = incoming.method, incoming.params
        if is_modern(params):
            peer = introduced(params)
            if method == "subscriptions/listen":
                return self._subscribe(incoming)
            return (yield from perform(self.server, peer, method, params, voice))
        if method == "initialize":
            return self._initialize(params)
        if self.session is None:
            raise McpError("initialize first, or say in _meta which revision this is", INVALID_REQUEST)
        return (yield from perform(self.server, self.session, method, params, voice))

    def _initialize(self, params: Mapping[str, Json]) -> Json:
        if self.session is not None:
            raise McpError("this connection has been initialized already", INVALID_REQUEST)
        session = initialized(params)
        self.conversation.takes_batches = session.revision.has_batches
        self.session = session
        return welcome(self.server, session)

    def _subscribe(self, incoming: Incoming) -> None:
        if len(self.subscriptions) >= MAX_LISTENS:
            raise McpError(f"more than {MAX_LISTENS} subscriptions on one connection", INTERNAL_ERROR)
        subscription = Subscription(incoming.id, incoming.params)
        self.outbox.put(Notice(*subscription.opening()), must=True)  # before any news can be
        self.subscriptions[incoming.id] = subscription
        incoming.token.on_cancel(partial(self._unsubscribe, incoming.id))

    def _unsubscribe(self, id: Id) -> None:
        self.subscriptions.pop(id, None)

    def _end_subscriptions(self) -> Flow[None]:
        for id, subscription in list(self.subscriptions.items()):
            yield from self._tell(Reply(id, {"resultType": "complete", "_meta": subscription.meta}))

    def _tell(self, told: Said) -> Flow[None]:
        """Send; to somebody who has gone, nothing."""
        try:
            yield Tell(self.link, told)
        except InvalidInput as error:  # JSON cannot say it
            if not isinstance(told, Notice):
                words = f"the server failed: {error.message}"
                yield from self._tell(Refusal(told.id, INTERNAL_ERROR, words))
        except Cancelled:
            raise
        except TakoError:
            pass  # whoever asks for the next message hears of it


class _Voice:
    """How the client is reached while a request is worked on."""

    __slots__ = ("_connection", "has_spoken")

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self.has_spoken = False

    def say(self, method: str, params: dict[str, Json]) -> None:
        self.has_spoken = True
        self._connection.outbox.put(Notice(method, params))

    def ask(self, method: str, params: dict[str, Json]) -> Flow[Json]:
        return (yield Ask(self._connection.link, Question(method, params or None)))
