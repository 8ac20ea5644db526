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
from enum import Enum
from typing import Any, Final, Protocol, TypeAlias

from tako.cancellation import CancellationToken
from tako.effects import Ask, Flow, Headers, Sleep, Succeeded, Tell, ask, gather, hang_up, open_link, within
from tako.errors import Cancelled, Interrupted, InvalidInput, ProtocolError, TimedOut, TransportError
from tako.links import Endpoint
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

__all__ = ["UNSENT", "Channel", "Ear", "Json", "LinkChannel", "Outgoing", "answer"]

Json: TypeAlias = Any


class _Unsent(Enum):
    UNSENT = "unsent"


UNSENT: Final = _Unsent.UNSENT
"""The `partial` of a TransportError whose request did not reach the server."""


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
        self._conversation: Conversation | None = None
        self._link = 0

    @property
    def is_open(self) -> bool:
        return self._conversation is not None and not self._conversation.is_over

    def open(self) -> Flow[None]:
        yield from self.close()
        endpoint, framing = yield from self._connect()
        conversation = Conversation(framing, self.peer)
        self._link = yield from open_link(endpoint, conversation)
        self._conversation = conversation
        self.overheard = conversation.overheard

    def settle(self, revision: Revision | None) -> None:
        self._opened().takes_batches = revision is not None and revision.has_batches

    def ask(self, request: Outgoing, ear: Ear) -> Flow[Json]:
        question = Question(request.method, request.params, request.hears)
        reply = yield from self._wait(question, request.timeout)
        if type(reply) is Interlude:
            return (yield from self._attend(reply, ear, request.timeout))
        return reply

    def tell(self, method: str, params: dict[str, Json]) -> Flow[None]:
        yield Tell(self._link, Notice(method, params))

    def listen(self, ear: Ear) -> Flow[None]:
        while True:
            heard: Heard = yield Ask(self._link, NEXT)
            if isinstance(heard, Incoming):
                yield from answer(self._link, heard, ear)
            else:
                yield from ear.hear(heard.method, heard.params)

    def close(self) -> Flow[None]:
        if self._conversation is not None:
            self._conversation = None
            yield from hang_up(self._link)

    def _wait(self, message: Question | Resume, timeout: float | None) -> Flow[Json | Interlude]:
        waiting = ask(self._link, message)
        return waiting if timeout is None else within(timeout, waiting)

    def _opened(self) -> Conversation:
        if self._conversation is None:
            raise TransportError(f"{self.peer} is not connected", phase="link", partial=UNSENT)
        return self._conversation

    def _attend(self, interlude: Interlude, ear: Ear, timeout: float | None) -> Flow[Json]:
        """Wait on for an answer, and meanwhile do what the peer asks for."""
        conversation = self._opened()
        try:
            reply: Json | Interlude = interlude
            while type(reply) is Interlude:
                heard = reply.heard
                if isinstance(heard, Notice):
                    yield from ear.hear(heard.method, heard.params)
                    reply = yield from self._wait(Resume(interlude.id), timeout)
                else:
                    reply = yield from self._beside(heard, interlude.id, ear, timeout)
            return reply
        except BaseException:
            conversation.abandon(interlude.id)  # if it is away, nobody will resume it
            raise

    def _beside(self, incoming: Incoming, question: int, ear: Ear, timeout: float | None) -> Flow[Json]:
        """Answer the peer, and wait for our own answer at the same time, which may need the other."""

        done, silent = CancellationToken(), CancellationToken()

        def reply() -> Flow[None]:
            yield from answer(self._link, incoming, ear)
            if timeout is not None:
                yield Sleep(timeout)
                silent.cancel()

        def wait() -> Flow[Json]:
            heard = yield Ask(self._link, Resume(question))
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
                raise TimedOut(f"{self.peer} was silent for {timeout:g} seconds", phase="mcp") from None
            finally:
                done.cancel()  # who has answered us waits for nothing any more

        outcomes = yield from gather(reply_until_done(), wait_until_silent())
        assert isinstance(outcomes[1], Succeeded)
        return outcomes[1].value


def answer(link: int, incoming: Incoming, ear: Ear) -> Flow[None]:
    """Have the ear answer a request of the peer's, and send that; nothing if the peer has cancelled it."""
    told: Reply | Refusal
    try:
        result = yield from within(None, ear.answer(incoming.method, incoming.params), incoming.token)
        told = Reply(incoming.id, result)
    except Interrupted:
        return
    except McpError as error:
        told = Refusal(incoming.id, error.number, error.message, error.data)
    except (InvalidInput, ProtocolError) as error:
        told = Refusal(incoming.id, jsonrpc.INVALID_PARAMS, error.message)
    except Cancelled:
        raise
    except Exception as error:  # the host's own function failed: the peer need not know how
        told = Refusal(incoming.id, jsonrpc.INTERNAL_ERROR, f"the client failed: {type(error).__name__}")
    yield Tell(link, told)
