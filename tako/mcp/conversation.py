"""Conversation: JSON-RPC between two who may both ask, as the machine of a link. Either side uses it.

What is asked and told through the link:

| message              | effect | what comes back                                                      |
|----------------------|--------|----------------------------------------------------------------------|
| Question             | Ask    | the result, raised McpError, or an Interlude                         |
| Resume(id)           | Ask    | the same, for a question whose Interlude has been attended to        |
| NEXT                 | Ask    | an Incoming or a Notice: what the peer says on nobody's account      |
| END                  | Ask    | True at the end of what the peer says; False if BACKLOG requests are |
|                      |        | untaken, so that one who asks only to have the link read leaves it   |
| Notice               | Tell   |                                                                      |
| Reply, Refusal       | Tell   | the answer to an Incoming; nothing is sent if it was cancelled       |

A question of ours, by its id:

| state    | from                                  | until                                              |
|----------|---------------------------------------|----------------------------------------------------|
| waiting  | it was sent, or resumed               | its answer, or an Interlude, is the outcome        |
| away     | an Interlude was its outcome          | Resume; what comes meanwhile is kept for it        |
| gone     | it has its answer; `forget`, `abandon`| a late answer is dropped                           |

To whom what the peer says goes: progress, and what a subscription is told, to the question that it
names; a request, and any other notice, to who asks NEXT; else a request is an Interlude of the oldest
question that waits, and a notice is `overheard`.
A request that nobody can take yet is kept; beyond MAX_KEPT, or MAX_SERVED by a server, they are refused.
`ping`, which the modern era has not, is answered here.

Invariants. An id that we gave is never given again. A message with `method` is never taken for an answer,
whatever its id. A forgotten question is cancelled at the peer, by a notice; a question that the peer cancels
has its `Incoming.token` cancelled, and gets no answer. A server whose client has ended its output still
takes and answers what came before; any other end is the end of all. Lines of a server that are no JSON are
dropped, for many print to where they should not; the last is said in the error if the link is lost.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias, TypeGuard

from pydantic_core import to_json

from tako.cancellation import CancellationToken
from tako.effects import Failed, Outcome, Succeeded
from tako.errors import InvalidInput, ProtocolError, TakoError, TransportError
from tako.mcp.errors import McpError
from tako.mcp.framing import Framing
from tako.mcp.versions import is_modern
from tako.wire import jsonrpc
from tako.wire.jsonrpc import PARSE_ERROR

__all__ = [
    "END",
    "NEXT",
    "Conversation",
    "Heard",
    "Incoming",
    "Interlude",
    "Notice",
    "Question",
    "Refusal",
    "Reply",
    "Resume",
    "dumped",
    "next_of",
]

Json: TypeAlias = Any

MAX_KEPT: Final = 256
"""Requests and notices of the peer that are kept until somebody takes them, each."""
BACKLOG: Final = 64
"""Requests that wait to be taken, before a server leaves the client waiting."""
MAX_SERVED: Final = 2048
"""Requests at a server: those that are worked on, a BACKLOG, and as many as come in one piece of 64 KiB."""
BUSY: Final = -32000
CANCELLED: Final = "notifications/cancelled"
PROGRESS: Final = "notifications/progress"
SUBSCRIPTION: Final = "io.modelcontextprotocol/subscriptionId"


class _Peer(Enum):
    NEXT = "next"
    END = "end"


NEXT: Final = _Peer.NEXT
END: Final = _Peer.END


@dataclass(slots=True)
class Question:
    """A request of ours; its id, which is also its progress token, is given when it is asked."""

    method: str
    params: dict[str, Json] | None = None
    hears: bool = False
    """Whether progress is wanted; then the params carry the token."""
    id: int | None = None
    """None until a Conversation has been asked it."""


@dataclass(slots=True)
class Resume:
    """Go on waiting for the answer to the question with this id."""

    id: int


@dataclass(slots=True)
class Notice:
    """A notification, ours or theirs."""

    method: str
    params: Mapping[str, Json] = field(default_factory=dict)


@dataclass(slots=True)
class Incoming:
    """A request of the peer's. The token is cancelled when it wants no answer any more."""

    id: jsonrpc.Id
    method: str
    params: Mapping[str, Json]
    token: CancellationToken = field(default_factory=CancellationToken)


@dataclass(slots=True)
class Reply:
    id: jsonrpc.Id
    result: Json


@dataclass(slots=True)
class Refusal:
    id: jsonrpc.Id
    number: int
    message: str
    data: Json = None


Heard: TypeAlias = Incoming | Notice


@dataclass(slots=True)
class Interlude:
    """Before the answer, the peer has said this; then the question with the id is to be resumed."""

    id: int
    heard: Heard


@dataclass(slots=True)
class _Pending:
    method: str
    hears: bool
    is_away: bool = False
    kept: deque[Outcome[Any]] = field(default_factory=deque)
    """What came while it was away."""


class Conversation:
    """A LinkMachine. `peer` is what the other side is called in messages."""

    def __init__(self, framing: Framing, peer: str, *, is_server: bool = False) -> None:
        self.overheard: deque[Notice] = deque(maxlen=MAX_KEPT)
        """Notices of the peer's that nobody has waited for; the oldest go first, if they are too many."""
        self.takes_batches = False
        """Whether the revision that is spoken has batches."""
        self._framing = framing
        self._peer = peer
        self._is_server = is_server
        self._poke: Callable[[], None] | None = None
        self._last_id = 0
        self._pending: dict[int, _Pending] = {}
        self._takers: deque[object] = deque()
        self._watchers: list[object] = []
        self._incoming: dict[jsonrpc.Id, Incoming] = {}
        self._untaken: deque[Incoming] = deque()
        self._outcomes: list[tuple[Hashable, Outcome[Any]]] = []
        self._outgoing = bytearray(framing.opening())
        self._abandoned: deque[int | Incoming] = deque()
        self._error: TakoError | None = None
        self._stray = b""

    # What a driver calls.

    def attach(self, poke: Callable[[], None]) -> None:
        self._poke = poke

    def ask(self, message: Question | Resume | _Peer) -> Hashable:
        if type(message) is Question:
            return self._question(message)
        if type(message) is Resume:
            return self._resume(message.id)
        if message is NEXT:
            return self._take()
        if message is END:
            return self._watch()
        raise InvalidInput(f"a Conversation can be asked a Question, Resume, NEXT or END, not {message!r}")

    def tell(self, message: Notice | Reply | Refusal) -> None:
        match message:
            case Notice(method, params):
                self._send({"jsonrpc": "2.0", "method": method, "params": params} if params else
                           {"jsonrpc": "2.0", "method": method})  # fmt: skip
            case Reply(id, result):
                if id in self._incoming:
                    self._send({"jsonrpc": "2.0", "id": id, "result": result})
                    del self._incoming[id]  # not before: who gave what JSON cannot say may yet refuse it
            case Refusal(id):
                if id in self._incoming:
                    self._refuse(message)
                    del self._incoming[id]
            case _:
                raise InvalidInput(f"a Conversation can be told a Notice, Reply or Refusal, not {message!r}")

    def forget(self, ticket: Hashable) -> None:
        if isinstance(ticket, int):
            self._drop(ticket)
        elif ticket in self._watchers:
            self._watchers.remove(ticket)
        else:
            self._takers.remove(ticket)

    def receive_data(self, data: bytes) -> None:
        if self._error is not None:
            return
        framing = self._framing
        framing.receive_data(data)
        try:
            while type(text := framing.next_text()) is bytes:
                self._heard(text)
        except TakoError as error:
            self._fail(error)
        if not data and self._is_server:
            self._hear_no_more(TransportError(f"{self._peer} has ended its output", phase="link"))

    def lost(self, error: TakoError) -> None:
        whose = "" if self._is_server else f"{self._peer} is gone: "
        error.message = f"{whose}{error.message}{self.last_words}"
        self._fail(error)

    def data_to_send(self) -> bytes:
        while self._abandoned:
            self._give_up(self._abandoned.popleft())
        pending = self._framing.data_to_send()
        if not self._outgoing:
            return pending
        data = bytes(self._outgoing) + pending
        self._outgoing.clear()
        return data

    def outcomes(self) -> Sequence[tuple[Hashable, Outcome[Any]]]:
        outcomes = self._outcomes
        if outcomes:
            self._outcomes = []
        return outcomes

    def goodbye(self) -> None:
        self._framing.goodbye()

    @property
    def is_over(self) -> bool:
        # A client whose input has ended is not: the driver, who knows why, calls `lost`.
        return self._error is not None and not self._incoming

    # What a flow may call, from any thread, though it cannot wait any more.

    def abandon(self, what: int | Incoming) -> None:
        """The question with this id will not be resumed; the request will not be answered, but refused."""
        self._abandoned.append(what)  # the driver may be in another thread, and takes it up when it is poked
        if self._poke is not None:
            self._poke()

    def left(self, id: int) -> Outcome[Any] | None:
        """What is still kept for a question that is away: to be asked for once the link is lost."""
        pending = self._pending.get(id)
        return pending.kept.popleft() if pending is not None and pending.kept else None

    # Asking.

    def _question(self, question: Question) -> int:
        if self._error is not None:
            raise copy(self._error)
        self._last_id = id = self._last_id + 1
        params = question.params
        if question.hears:
            params = dict(params or {})
            params["_meta"] = {**params.get("_meta", {}), "progressToken": id}
        message = {"jsonrpc": "2.0", "id": id, "method": question.method}
        if params is not None:
            message["params"] = params
        self._send(message)
        question.id = id
        self._pending[id] = pending = _Pending(question.method, question.hears)
        if self._untaken and not self._is_server:
            self._interrupt(id, pending, self._untaken.popleft())
        return id

    def _resume(self, id: int) -> int:
        pending = self._pending.get(id)
        if pending is None or not pending.is_away:
            raise InvalidInput(f"question {id} is not away")
        pending.is_away = False
        if pending.kept:
            self._settle(id, pending, pending.kept.popleft())
        elif self._untaken and not self._is_server:
            self._interrupt(id, pending, self._untaken.popleft())
        return id

    def _take(self) -> object:
        ticket = object()
        if self._untaken:
            self._outcomes.append((ticket, Succeeded(self._untaken.popleft())))
        elif (notice := next_of(self.overheard)) is not None:
            self._outcomes.append((ticket, Succeeded(notice)))
        elif self._error is not None:
            self._outcomes.append((ticket, Failed(copy(self._error))))
        else:
            self._takers.append(ticket)
        return ticket

    def _watch(self) -> object:
        ticket = object()
        self._watchers.append(ticket)
        if self._error is not None or len(self._untaken) >= BACKLOG:
            self._dismiss_watchers()
        return ticket

    def _dismiss_watchers(self) -> None:
        has_ended = self._error is not None
        self._outcomes += [(ticket, Succeeded(has_ended)) for ticket in self._watchers]
        self._watchers.clear()

    def _give_up(self, what: int | Incoming) -> None:
        if isinstance(what, int):
            self._drop(what)
        elif self._incoming.get(what.id) is what and self._error is None:
            self.tell(Refusal(what.id, BUSY, "this is not worked on any more"))

    def _drop(self, id: int) -> None:
        pending = self._pending.pop(id, None)
        if pending is None or self._error is not None:
            return
        for outcome in pending.kept:
            heard = outcome.value.heard if _is_interlude(outcome) else None
            if isinstance(heard, Incoming):
                self._pass_on(heard)
        if pending.method != "initialize":  # which must not be cancelled
            self.tell(Notice(CANCELLED, {"requestId": id}))

    def _settle(self, id: int, pending: _Pending, outcome: Outcome[Any]) -> None:
        """Give a question that waits its outcome, which may not be its last."""
        if _is_interlude(outcome):
            pending.is_away = True
        else:
            del self._pending[id]
        self._outcomes.append((id, outcome))

    def _interrupt(self, id: int, pending: _Pending, heard: Heard) -> None:
        outcome: Outcome[Any] = Succeeded(Interlude(id, heard))
        if pending.is_away:
            pending.kept.append(outcome)
        else:
            self._settle(id, pending, outcome)

    # Hearing.

    def _heard(self, text: bytes) -> None:
        message = jsonrpc.parse(text)
        if type(message) is jsonrpc.Success:
            self._answered(message.id, Succeeded(message.result))
        elif type(message) is jsonrpc.Batch:
            self._heard_batch(message)
        else:
            self._heard_other(message, text)

    def _heard_batch(self, batch: jsonrpc.Batch) -> None:
        if not self.takes_batches:
            return self._send_error(None, jsonrpc.INVALID_REQUEST, "this revision of MCP has no batches")
        for member in batch.members:
            if type(member) is jsonrpc.Success:
                self._answered(member.id, Succeeded(member.result))
            else:
                self._heard_other(member, b"")

    def _heard_other(self, message: object, text: bytes) -> None:
        match message:
            case jsonrpc.Failure(id, error):
                self._answered(id, Failed(McpError(error.message, error.code, error.data)))
            case jsonrpc.Request(method, params, id):
                self._requested(Incoming(id, method, params if isinstance(params, Mapping) else {}))
            case jsonrpc.Notification(method, params):
                self._noticed(Notice(method, params if isinstance(params, Mapping) else {}))
            case jsonrpc.Malformed(reason, id, answer):
                if answer is None:
                    self._answered(id, Failed(ProtocolError(f"{self._peer} gave a spoiled answer: {reason}")))
                elif answer.error.code == PARSE_ERROR and not self._is_server:
                    self._stray = text[:200]
                else:
                    self._send_error(answer.id, answer.error.code, f"{answer.error.message}: {reason}")

    def _answered(self, id: jsonrpc.Id, outcome: Outcome[Any]) -> None:
        pending = self._pending.get(id) if type(id) is int else None
        if pending is None:
            return  # it was forgotten, or never asked
        if pending.is_away:
            pending.kept.append(outcome)
        else:
            del self._pending[id]  # type: ignore[arg-type]
            self._outcomes.append((id, outcome))

    def _requested(self, incoming: Incoming) -> None:
        if incoming.method == "ping" and not is_modern(incoming.params):
            return self._send({"jsonrpc": "2.0", "id": incoming.id, "result": {}})
        if incoming.id in self._incoming:
            return self._send_error(incoming.id, jsonrpc.INVALID_REQUEST, "this id is in use already")
        most = MAX_SERVED if self._is_server else MAX_KEPT
        if len(self._incoming) >= most:
            return self._send_error(incoming.id, BUSY, f"more than {most} requests at once")
        self._incoming[incoming.id] = incoming
        self._pass_on(incoming)

    def _noticed(self, notice: Notice) -> None:
        if notice.method == PROGRESS:
            token = notice.params.get("progressToken")
            pending = self._pending.get(token) if type(token) is int else None
            if pending is not None and pending.hears and len(pending.kept) < MAX_KEPT:
                self._interrupt(token, pending, notice)  # type: ignore[arg-type]
        elif notice.method == CANCELLED:
            id = notice.params.get("requestId")
            incoming = self._incoming.pop(id, None) if type(id) in (str, int, float) else None
            if incoming is not None:
                incoming.token.cancel()
        else:
            self._pass_on_notice(notice)

    def _pass_on_notice(self, notice: Notice) -> None:
        """To the subscription that it belongs to, if it names one of ours."""
        meta = notice.params.get("_meta")
        id = meta.get(SUBSCRIPTION) if isinstance(meta, Mapping) else None
        pending = self._pending.get(id) if type(id) is int else None
        if pending is None or id is None:
            self._pass_on(notice)
        elif len(pending.kept) < MAX_KEPT:
            self._interrupt(id, pending, notice)

    def _pass_on(self, heard: Heard) -> None:
        """Give it to who waits for it."""
        if self._takers:
            self._outcomes.append((self._takers.popleft(), Succeeded(heard)))
        elif isinstance(heard, Notice):
            self.overheard.append(heard)
        else:
            if not self._is_server:
                for id, pending in self._pending.items():
                    if not pending.is_away:
                        return self._interrupt(id, pending, heard)
            self._untaken.append(heard)
            if len(self._untaken) >= BACKLOG:
                self._dismiss_watchers()

    # Sending, and the end.

    def _refuse(self, refusal: Refusal) -> None:
        self._send_error(refusal.id, refusal.number, refusal.message, refusal.data)

    def _send_error(self, id: jsonrpc.Id, number: int, words: str, data: Json = None) -> None:
        error: dict[str, Json] = {"code": number, "message": words}
        if data is not None:
            error["data"] = data
        self._send({"jsonrpc": "2.0", "id": id, "error": error})

    def _send(self, message: Mapping[str, Json]) -> None:
        self._outgoing += self._framing.encode(dumped(message))

    def _fail(self, error: TakoError) -> None:
        """It is over: everybody who waits hears why, and nobody wants our answers."""
        self._hear_no_more(error)
        incoming, self._incoming = self._incoming, {}
        for request in incoming.values():
            request.token.cancel()

    def _hear_no_more(self, error: TakoError) -> None:
        """Nothing comes any more, though our answers may yet be read: everybody who waits hears why."""
        if self._error is not None:
            return
        self._error = error
        waiting: list[Hashable] = [id for id, pending in self._pending.items() if not pending.is_away]
        waiting += self._takers
        for pending in self._pending.values():
            if pending.is_away:
                pending.kept.append(Failed(error))
        for id in waiting:
            self._pending.pop(id, None)  # type: ignore[call-overload]
        self._takers.clear()
        self._dismiss_watchers()
        self._outcomes += [(ticket, Failed(copy(error))) for ticket in waiting]

    @property
    def last_words(self) -> str:
        """What of the peer's output was no message, which may say why it fell silent."""
        if not self._stray:
            return ""
        return f"; its last line that was no message: {self._stray.decode('utf-8', 'replace').strip()!r}"


def next_of(overheard: deque[Notice]) -> Notice | None:
    """The oldest notice, taken out. A session and a driver may both do so, each in a thread of its own."""
    try:
        return overheard.popleft()
    except IndexError:
        return None


def _is_interlude(outcome: Outcome[Any]) -> TypeGuard[Succeeded[Interlude]]:
    return type(outcome) is Succeeded and type(outcome.value) is Interlude


def dumped(message: Mapping[str, Json]) -> bytes:
    """One line of JSON; raises InvalidInput for what JSON cannot say."""
    try:
        text = to_json(message, inf_nan_mode="constants")
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the message cannot be written as JSON: {error}") from None
    if b"NaN" in text or b"Infinity" in text:  # maybe only in a string
        try:
            json.dumps(message, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidInput(f"the message cannot be written as JSON: {error}") from None
    return text
