"""Channel: how the messages of one session reach its server, as flows.

| a channel is | until                        | and then                                              |
|--------------|------------------------------|-------------------------------------------------------|
| new          | `open`                       | asks and tells go through                             |
| open         | the peer is gone             | they raise TransportError; `is_open` is False         |
|              | `close`                      | the same                                              |

A session asks by the side of other askers, and while it waits the server may say and ask things of its
own: those go to the `Ear` that came with the request. What a server says on nobody's account goes to whoever
listens, or into `overheard`, which a session reads at its next occasion.

Invariants. A request that is answered with an error raises McpError; TransportError, TimedOut and
ProtocolError say that there was no answer. `TransportError.partial is UNSENT` says that the server cannot
have seen the request, so that it may be sent again. A channel that was lost can be opened again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from tako.cancellation import CancellationToken
from tako.effects import (
    Ask,
    Failed,
    Flow,
    Headers,
    Sleep,
    Succeeded,
    Tell,
    Within,
    gather,
    hang_up,
    open_link,
    within,
)
from tako.errors import Cancelled, Interrupted, InvalidInput, ProtocolError, TimedOut, TransportError
from tako.links import UNSENT, Endpoint
from tako.mcp.conversation import (
    NEXT,
    Conversation,
    Heard,
    Incoming,
    Interlude,
    Notice,
    Question,
    Refusal,
    Reply,
    Resume,
)
from tako.mcp.errors import McpError
from tako.mcp.framing import Framing
from tako.mcp.versions import Revision
from tako.wire import jsonrpc

__all__ = ["UNSENT", "Channel", "Ear", "Json", "LinkChannel", "Outgoing", "told"]

Json: TypeAlias = Any


@dataclass(slots=True)
class Outgoing:
    """A request to a server.

    name     what it is about (a tool's or prompt's name, a resource's URI), for the header Mcp-Name
    headers  more headers for HTTP in the modern era: Mcp-Param-*
    """

    method: str
    params: dict[str, Json]
    name: str | None = None
    headers: Headers = ()
    hears: bool = False
    """Whether progress is to be heard."""
    timeout: float | None = None
    """Seconds of silence after which TimedOut is raised: progress, and what the host is asked for
    meanwhile, begin them anew."""


class Ear(Protocol):
    """Who hears what a server says while it works on a request."""

    def answer(self, method: str, params: Mapping[str, Json]) -> Flow[Json]:
        """The result of a request of the server's; raises McpError to refuse it."""

    def hear(self, method: str, params: Mapping[str, Json]) -> Flow[None]:
        """A notification: progress, a log message, a change."""


class Channel(ABC):
    """One conversation with a server."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        """What the server is called in messages."""
        self.overheard: deque[Notice] = deque()
        """What was said on nobody's account, oldest first; bounded by the channel."""

    mirrors = False
    """Whether some arguments of a call are said in headers too: Outgoing.headers."""

    @property
    @abstractmethod
    def is_open(self) -> bool: ...

    @abstractmethod
    def open(self) -> Flow[None]:
        """Connect, for the first time or again; raises TransportError or TimedOut."""

    def settle(self, revision: Revision | None) -> None:
        """What is spoken from here on; None while that has to be found out by the handshake."""
        return None

    @abstractmethod
    def ask(self, request: Outgoing, ear: Ear) -> Flow[Json]:
        """The result of a request."""

    @abstractmethod
    def tell(self, method: str, params: dict[str, Json]) -> Flow[None]:
        """Send a notification."""

    @abstractmethod
    def listen(self, ear: Ear) -> Flow[None]:
        """Hand what the server says on nobody's account to the ear, for as long as the server talks."""

    @abstractmethod
    def close(self) -> Flow[None]:
        """End the conversation in order. Never fails."""


class LinkChannel(Channel):
    """A channel over a link: a Conversation in some Framing. Both are made anew each time it is opened."""

    def __init__(self, peer: str, connect: Callable[[], Flow[tuple[Endpoint, Framing]]]) -> None:
        super().__init__(peer)
        self._connect = connect
        self._line: _Line | None = None

    @property
    def is_open(self) -> bool:
        line = self._line
        return line is not None and line.is_whole and not line.conversation.is_over

    def open(self) -> Flow[None]:
        yield from self.close()
        endpoint, framing = yield from self._connect()
        conversation = Conversation(framing, self.peer)
        link = yield from open_link(endpoint, conversation)
        self.overheard = conversation.overheard
        self._line = _Line(self.peer, link, conversation)

    def settle(self, revision: Revision | None) -> None:
        self._opened().conversation.takes_batches = revision is not None and revision.has_batches

    def ask(self, request: Outgoing, ear: Ear) -> Flow[Json]:
        return (self._line or self._opened()).ask(request, ear)

    def tell(self, method: str, params: dict[str, Json]) -> Flow[None]:
        yield Tell(self._opened().link, Notice(method, params))

    def listen(self, ear: Ear) -> Flow[None]:
        return self._opened().listen(ear)

    def close(self) -> Flow[None]:
        line, self._line = self._line, None
        if line is not None:
            yield from hang_up(line.link)

    def _opened(self) -> _Line:
        line = self._line
        if line is None:
            raise TransportError(f"{self.peer} is not connected", phase="link", partial=UNSENT)
        return line


class _Line:
    """One link and the Conversation over it. A request stays with the line that it was made on, though the
    channel may have another by the time of its answer."""

    __slots__ = ("conversation", "is_whole", "link", "peer")

    def __init__(self, peer: str, link: int, conversation: Conversation) -> None:
        self.is_whole = True
        """False once the link was found to be lost, or not to be there: after a fork, in another loop."""
        self.peer = peer
        self.link = link
        self.conversation = conversation

    def ask(self, request: Outgoing, ear: Ear) -> Flow[Json]:
        question, timeout = Question(request.method, request.params, request.hears), request.timeout
        asking = Ask(self.link, question)
        try:
            reply = yield asking if timeout is None else Within(timeout, _performed(asking))
        except (TimedOut, Cancelled, GeneratorExit) as error:
            if question.id is not None:
                self.conversation.abandon(question.id)  # an interlude may have come at the same moment
            if isinstance(error, TimedOut):
                raise self._silence(timeout) from None
            raise
        except TransportError as error:
            if question.id is None:
                error.partial = UNSENT  # the link was lost or closed before the conversation heard of it
                self.is_whole = False
            raise
        return reply if type(reply) is not Interlude else (yield from self._attend(reply, ear, timeout))

    def listen(self, ear: Ear) -> Flow[None]:
        while True:
            heard: Heard = yield Ask(self.link, NEXT)
            if isinstance(heard, Incoming):
                yield from self._answer(heard, ear)
            else:
                yield from ear.hear(heard.method, heard.params)

    def _attend(self, interlude: Interlude, ear: Ear, timeout: float | None) -> Flow[Json]:
        """Wait on for an answer, and meanwhile do what the peer asks for."""
        reply: Json | Interlude = interlude
        try:
            while type(reply) is Interlude:
                heard = reply.heard
                if isinstance(heard, Incoming):
                    reply = yield from self._beside(heard, interlude.id, ear, timeout)
                else:
                    yield from ear.hear(heard.method, heard.params)
                    reply = yield from self._resume_within(timeout, interlude.id)
            return reply
        except BaseException:
            self.conversation.abandon(interlude.id)  # if it is away, nobody will resume it
            raise

    def _resume(self, question: int) -> Flow[Json | Interlude]:
        """What came, or comes, after the last interlude."""
        try:
            return (yield Ask(self.link, Resume(question)))
        except TransportError as error:
            outcome = self.conversation.left(question)  # its answer may have come before the loss
            if outcome is None:
                error.partial = None  # the question itself was sent long ago
                raise
        if isinstance(outcome, Failed):
            raise outcome.error
        return outcome.value

    def _resume_within(self, timeout: float | None, question: int) -> Flow[Json | Interlude]:
        try:
            return (yield from within(timeout, self._resume(question)))
        except TimedOut:
            raise self._silence(timeout) from None

    def _beside(self, incoming: Incoming, question: int, ear: Ear, timeout: float | None) -> Flow[Json]:
        """Answer the peer, and wait for our own answer at the same time, which may need the other."""

        done, silent = CancellationToken(), CancellationToken()

        def reply() -> Flow[None]:
            yield from self._answer(incoming, ear)
            if timeout is not None:
                yield Sleep(timeout)
                silent.cancel()

        def wait() -> Flow[Json]:
            heard = yield from self._resume(question)
            if type(heard) is Interlude:
                heard = yield from self._attend(heard, ear, None)
            return heard

        def reply_until_done() -> Flow[None]:
            try:
                yield from within(None, reply(), done)
            except Interrupted:
                return

        def wait_until_silent() -> Flow[Json]:
            try:
                return (yield from within(None, wait(), silent))
            except Interrupted:
                raise self._silence(timeout) from None
            finally:
                done.cancel()  # who has answered us waits for nothing any more

        outcomes = yield from gather(reply_until_done(), wait_until_silent())
        assert isinstance(outcomes[1], Succeeded)
        return outcomes[1].value

    def _answer(self, incoming: Incoming, ear: Ear) -> Flow[None]:
        """Have the ear answer a request of the peer's, and send that, unless the peer has cancelled it."""
        try:
            yield Tell(self.link, (yield from told(incoming, ear)))
        except Interrupted:
            return
        except InvalidInput as error:  # what JSON cannot say
            words = f"the client failed: {error.message}"
            yield Tell(self.link, Refusal(incoming.id, jsonrpc.INTERNAL_ERROR, words))
        except BaseException:
            self.conversation.abandon(incoming)  # the peer is not to wait for ever
            raise

    def _silence(self, seconds: float | None) -> TimedOut:
        words = self.conversation.last_words
        return TimedOut(f"{self.peer} was silent for {seconds or 0:g} seconds{words}", phase="mcp")


def _performed(asking: Ask) -> Flow[Json | Interlude]:
    return (yield asking)


def told(incoming: Incoming, ear: Ear) -> Flow[Reply | Refusal]:
    """The answer to a request of the peer's; raises Interrupted if the peer has cancelled it."""
    try:
        result = yield from within(None, ear.answer(incoming.method, incoming.params), incoming.token)
        return Reply(incoming.id, result)
    except (Cancelled, Interrupted):
        raise
    except McpError as error:
        return Refusal(incoming.id, error.number, error.message, error.data)
    except (InvalidInput, ProtocolError) as error:
        return Refusal(incoming.id, jsonrpc.INVALID_PARAMS, error.message)
    except Exception as error:  # the host's own function failed: the peer need not know how
        return Refusal(incoming.id, jsonrpc.INTERNAL_ERROR, f"the client failed: {type(error).__name__}")
