"""The effects: everything that a flow can ask for, and nothing else.

A flow is a generator. It yields an effect, is sent the reply (or thrown the error), and returns
its result; flows compose with `yield from`. Whoever holds a flow can drive it: the three
adapters, the simulator, a recorder, a test that sends replies by hand.

| effect  | reply               | what the driver does                                             |
|---------|---------------------|------------------------------------------------------------------|
| Emit    | None                | hands the events over one by one; resumes when all were taken    |
| Send    | HttpHead            | opens an HTTP exchange and waits for the head of the answer      |
| Receive | bytes, b"" = end    | gives what the socket has, at once                               |
| Close   | None                | ends an exchange; the connection is kept if its body was read    |
| Resolve | addresses           | asks the resolver for every address of a host                    |
| Call    | its return value    | runs user code; an `async def` is awaited                        |
| Gather  | list of outcomes    | runs flows side by side; none outlives it                        |
| Within  | the flow's result   | runs a flow under a limit of time, or a token of its own; throws |
|         |                     | TimedOut or Interrupted                                          |
| Sleep   | None                |                                                                  |
| Now     | seconds since epoch | never goes back within a run                                     |
| Entropy | bytes               | the only chance there is                                         |
| Keep    | what was made       | gives what all flows of this Runtime share under a key           |
| Open    | number of the link  | connects; the machine frames what goes over it                   |
| Ask     | what was answered   | gives the machine a message, and waits for the answer to it      |
| Tell    | None                | gives the machine a message, and waits until it is on its way    |
| Hangup  | None                | ends a link; whoever still asks is told                          |

Invariants. The set is closed: a new provider, tool or orchestrator is a new flow. A reply is a
plain value; an exchange is known to a flow by its number alone. A driver throws TakoErrors into a
flow (and, for Call, what the function raised). Cleanup is never an effect: exchanges that a flow
leaves open are closed by the driver when the flow ends. A flow under Within that ends well leaves
them to its parent; one that was stopped, or failed, to nobody: they are closed then. Only the wait
that is in flight is cut short, so what the parent had opened before can still be received from. A
child of a Gather may receive from what the flows around it have opened, one at a time.

A link is no exchange: it is the Runtime's, any flow that runs there may ask over it, also many at
once, and it lives until Hangup, or until the Runtime is closed. What it is, and what its machine has
to do, is in tako.links.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

if TYPE_CHECKING:
    from tako.cancellation import CancellationToken
    from tako.links import Endpoint, Kept, LinkMachine

__all__ = [
    "Ask",
    "Call",
    "Close",
    "Effect",
    "Emit",
    "Entropy",
    "Failed",
    "Flow",
    "Gather",
    "Hangup",
    "HttpHead",
    "HttpRequest",
    "Keep",
    "Now",
    "OnError",
    "Open",
    "Outcome",
    "Receive",
    "Resolve",
    "Send",
    "Sleep",
    "Succeeded",
    "Task",
    "Tell",
    "TlsOptions",
    "Within",
    "as_task",
    "ask",
    "call",
    "entropy",
    "gather",
    "hang_up",
    "keep",
    "now",
    "open_link",
    "receive",
    "resolve",
    "send",
    "sleep",
    "tell",
    "within",
]

T = TypeVar("T")
K = TypeVar("K", bound="Kept")
Headers: TypeAlias = tuple[tuple[str, str], ...]

EVENT_BUFFER = 64
"""Events that the children of a Gather may be ahead of the consumer, all together."""


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """Who we are and whom we trust. The system's roots are always trusted, unless told otherwise."""

    extra_roots: str | None = None
    """PEM certificates to trust besides the system's."""
    client_cert: str | None = field(default=None, repr=False)
    """Our certificate chain: PEM text, or the path of a file of it."""
    client_key: str | None = field(default=None, repr=False)
    """Its key, if that is not in the same file: PEM text, or a path."""
    system_roots: bool = True


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One HTTP request, whole. Header values hold secrets, so they are not in the repr."""

    method: str
    url: str
    headers: Headers = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)
    connect_timeout: float | None = 10.0
    """Seconds for name, connection and TLS."""
    read_timeout: float | None = 120.0
    """Seconds between two reads; the answer as a whole is bounded with Within."""
    pinned_address: str | None = None
    """Connect to this IP address; the name in the URL is still the one that TLS checks. Straight there:
    no proxy, and no credentials but those in these headers."""
    tls: TlsOptions | None = None


@dataclass(frozen=True, slots=True)
class HttpHead:
    """The head of an answer: names are in lower case. `exchange` is the number to receive from."""

    status: int
    headers: Headers
    exchange: int

    def header(self, name: str) -> str | None:
        """The first value of a header, by its lower-case name."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class OnError(Enum):
    """What a Gather does when a child fails."""

    STOP = "stop"
    """Cancel the others, wait for them, and throw the first error."""
    COLLECT = "collect"
    """Let the others finish; the failure is an outcome."""


@dataclass(slots=True)
class Emit:
    """Hand events to whoever iterates. The flow goes on when the last of them was taken."""

    events: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Send:
    request: HttpRequest


@dataclass(slots=True)
class Receive:
    exchange: int


@dataclass(frozen=True, slots=True)
class Close:
    exchange: int


@dataclass(frozen=True, slots=True)
class Resolve:
    host: str
    port: int = 443


@dataclass(slots=True)
class Call:
    """Run a function that is not ours: a tool, a callback, a blocking library.

    With `token_argument` the driver passes, under that name, a CancellationToken that is
    cancelled when the call should stop.
    """

    function: Callable[..., Any]
    arguments: Sequence[Any] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    token_argument: str | None = None


@dataclass(frozen=True, slots=True)
class Gather:
    """Run flows side by side, `limit` at a time. Outcomes come in the order of the flows."""

    flows: tuple[Flow[Any], ...]
    limit: int | None = None
    on_error: OnError = OnError.STOP


def _itself(value: Any) -> Any:
    return value


def _no_events(value: Any) -> Sequence[Any]:
    return ()


@dataclass(frozen=True, slots=True)
class Task:
    """A flow whose result can be kept instead of being worked for again; see tako.journal.

    Its result alone is kept, and nothing of the way to it.

    kind    what is done: "model", "tool", "score", "route", ...
    about   what it is done about, as JSON: a call that is made again is about the same
    encode  makes JSON of the result
    decode  makes the result of that JSON
    retell  the events that tell somebody who listens of a result that nobody worked for
    """

    kind: str
    about: Callable[[], Any]
    encode: Callable[[Any], Any] = _itself
    decode: Callable[[Any], Any] = _itself
    retell: Callable[[Any], Sequence[Any]] = _no_events


@dataclass(frozen=True, slots=True)
class Within:
    """Run a flow until its time is up, or its token is cancelled; None is no limit of that kind.

    A flow that was stopped is thrown Cancelled and may still return something: that is the
    `partial` of the error which its parent gets, TimedOut or Interrupted. Drivers do not look at `task`.
    """

    seconds: float | None
    flow: Flow[Any]
    token: CancellationToken | None = None
    task: Task | None = None


@dataclass(frozen=True, slots=True)
class Sleep:
    seconds: float


@dataclass(frozen=True, slots=True)
class Now:
    pass


@dataclass(frozen=True, slots=True)
class Entropy:
    size: int


@dataclass(frozen=True, slots=True)
class Keep:
    """What the Runtime has under the key; if nothing, what `make` gives, which must not wait.

    The Runtime holds on to it, and bids it farewell when it is closed.
    """

    key: Hashable
    make: Callable[[], Kept]


@dataclass(frozen=True, slots=True)
class Open:
    """Connect, and put the machine between those who ask and the bytes. It is this link's alone."""

    endpoint: Endpoint
    machine: LinkMachine


@dataclass(slots=True)
class Ask:
    """A message that is answered. Cut short, the machine is told that nobody waits any more."""

    link: int
    message: Any


@dataclass(slots=True)
class Tell:
    """A message that is not answered; the flow goes on when the system has taken its bytes."""

    link: int
    message: Any


@dataclass(frozen=True, slots=True)
class Hangup:
    """End a link: in order if the peer does so too within the seconds, else by force. Never fails."""

    link: int
    seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class Succeeded(Generic[T]):
    """The outcome of a child that returned."""

    value: T


@dataclass(frozen=True, slots=True)
class Failed:
    """The outcome of a child that raised, or was cancelled."""

    error: Exception


Outcome: TypeAlias = Succeeded[T] | Failed
Effect: TypeAlias = (
    Emit | Send | Receive | Close | Resolve | Call | Gather | Within | Sleep | Now | Entropy
    | Keep | Open | Ask | Tell | Hangup
)  # fmt: skip
Flow: TypeAlias = Generator[Effect, Any, T]


# The helpers give a reply its type: `head = yield from send(request)`.


def send(request: HttpRequest) -> Flow[HttpHead]:
    """Open an exchange; raises TransportError or TimedOut."""
    head: HttpHead = yield Send(request)
    return head


def receive(exchange: int) -> Flow[bytes]:
    """What the socket has, b"" at the end of the body; raises TransportError or TimedOut."""
    data: bytes = yield Receive(exchange)
    return data


def resolve(host: str, port: int = 443) -> Flow[tuple[str, ...]]:
    """Every address of the host; raises TransportError."""
    addresses: tuple[str, ...] = yield Resolve(host, port)
    return addresses


def call(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Flow[Any]:
    """The function's return value, awaited if need be; raises what it raises."""
    return (yield Call(function, arguments, keywords))


def gather(
    *flows: Flow[T], limit: int | None = None, on_error: OnError = OnError.STOP
) -> Flow[list[Outcome[T]]]:
    """Outcomes in the order of the flows."""
    outcomes: list[Outcome[T]] = yield Gather(flows, limit, on_error)
    return outcomes


def within(seconds: float | None, flow: Flow[T], token: CancellationToken | None = None) -> Flow[T]:
    """The flow's result; raises TimedOut or Interrupted, whose `partial` is what the flow still gave back."""
    result: T = yield Within(seconds, flow, token)
    return result


def as_task(flow: Flow[T], task: Task) -> Flow[T]:
    """The flow's result, from wherever a journal has it."""
    result: T = yield Within(None, flow, None, task)
    return result


def sleep(seconds: float) -> Flow[None]:
    yield Sleep(seconds)


def now() -> Flow[float]:
    moment: float = yield Now()
    return moment


def entropy(size: int) -> Flow[bytes]:
    chance: bytes = yield Entropy(size)
    return chance


def keep(key: Hashable, make: Callable[[], K]) -> Flow[K]:
    """What this Runtime keeps under the key, made now if there is nothing yet."""
    kept: K = yield Keep(key, make)
    return kept


def open_link(endpoint: Endpoint, machine: LinkMachine) -> Flow[int]:
    """The number of a new link; raises TransportError or TimedOut."""
    link: int = yield Open(endpoint, machine)
    return link


def ask(link: int, message: Any) -> Flow[Any]:
    """What the machine gives as the answer; raises what it gives as the failure, or why the link was lost."""
    return (yield Ask(link, message))


def tell(link: int, message: Any) -> Flow[None]:
    """Send a message; raises what the machine refuses it with, or why the link was lost."""
    yield Tell(link, message)


def hang_up(link: int, seconds: float = 2.0) -> Flow[None]:
    yield Hangup(link, seconds)
