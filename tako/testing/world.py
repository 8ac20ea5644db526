"""The simulated world: what Send, Receive, Call and their like are answered, in virtual time.

An effect that begins becomes a Wait: it is over at a moment that is known at once, because a
scripted vendor follows its script whoever listens. So nothing is ever polled, and time can jump
from one end of a wait to the next.

Invariants. A Receive gives what has arrived by now and never waits for more than a first byte. A
function that is called runs at the beginning of its wait, on the caller's thread; `call_seconds`
later its reply is given. What a fault, a script or a function raises is the reply.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tako.cancellation import CancellationToken
from tako.chance import Chance
from tako.driving.calls import GRACE
from tako.effects import (
    Ask,
    Call,
    Close,
    Effect,
    Entropy,
    Hangup,
    HttpHead,
    HttpRequest,
    Keep,
    Now,
    Open,
    Receive,
    Resolve,
    Send,
    Sleep,
    Tell,
)
from tako.errors import InvalidInput, TakoError, TimedOut, TransportError
from tako.links import Endpoint, Kept, LinkMachine
from tako.testing.describing import name_of
from tako.testing.faults import Faults
from tako.testing.link_peers import Links, Peers
from tako.testing.vendor import Answer, Pause, ReceivedRequest, Reset, ScriptedVendor
from tako.testing.vendor import Hangup as HungUp
from tako.wire.route import Origin, parse_url

__all__ = ["Shared", "Wait", "World"]


@dataclass(slots=True)
class Wait:
    """An effect in flight: over at `until`, when `finish` gives the reply or raises."""

    until: float
    finish: Callable[[], Any]
    heeds: bool = True
    """False for a plain function: it cannot be stopped, only left behind."""
    token: CancellationToken | None = None
    interrupted: bool = False
    abandoned: bool = False
    stopping: bool = False
    undo: Callable[[], None] | None = None
    """What is to be done if it is cut short."""

    def stop(self, now: float) -> None:
        """The wait is cut short: at once, or as soon as a function has had its grace."""
        if self.stopping:
            return
        self.stopping = True
        if self.token is not None:
            self.token.cancel()
        if self.undo is not None:
            self.undo()
        if self.heeds:
            self.until, self.interrupted = now, True
        elif self.until > now + GRACE:
            self.until, self.interrupted, self.abandoned = now + GRACE, True, True

    def lose(self, now: float) -> None:
        """The reply will not come; otherwise as `stop`."""
        self.until = math.inf
        self.stop(now)


def answered(reply: Any, now: float) -> Wait:
    """A wait that is over at once."""
    return Wait(now, lambda: reply)


def failed(error: Exception, until: float) -> Wait:
    """A wait that ends in an error."""

    def finish() -> Any:
        raise error

    return Wait(until, finish)


@dataclass(slots=True)
class _Arrival:
    moment: float
    what: bytes | Reset | HungUp | None
    """None is the end of the body."""


class _Exchange:
    """One answer, played: what arrives when, and what of it has been received."""

    def __init__(self, origin: Origin, request: HttpRequest, answer: Answer) -> None:
        self.peer = origin.endpoint
        self.patience = math.inf if request.read_timeout is None else request.read_timeout
        self.answer = answer
        self.body: deque[_Arrival] = deque()

    def late(self, phase: str) -> TimedOut:
        return TimedOut(f"{self.peer} sent nothing for {self.patience:g} seconds", phase=phase)

    def broken(self, what: Reset | HungUp, phase: str) -> TransportError:
        how = "the connection was reset" if type(what) is Reset else "the peer hung up too early"
        return TransportError(f"{self.peer}: {how}", phase=phase)

    def take(self, now: float, size: int | None) -> bytes:
        """What has arrived: one piece as it was written, or up to `size` bytes of them all.

        A fault is raised again and again; so is the end given."""
        taken: list[bytes] = []
        while self.body and self.body[0].moment <= now:
            what = self.body[0].what
            if not isinstance(what, bytes):
                if not taken and what is not None:
                    raise self.broken(what, "body")
                break
            self.body.popleft()
            if size is None:
                return what
            taken.append(what[:size])
            if len(what) > size:
                self.body.appendleft(_Arrival(now, what[size:]))
            size -= len(taken[-1])
            if not size:
                break
        return b"".join(taken)


class Shared:
    """What all runs of a Simulator have in common: what is kept, and the links."""

    def __init__(
        self, peers: Peers | None, faults: Faults, chance: Chance, clock: Callable[[], float]
    ) -> None:
        self.kept: dict[Hashable, Kept] = {}
        self._peers = peers
        self._faults = faults
        self._chance = chance
        self._read = 0
        self.links = Links(clock, self._late, self._size)

    def keep(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]

    def open(self, endpoint: Endpoint, machine: LinkMachine) -> int:
        if self._peers is None:
            raise InvalidInput("the Simulator has nobody at the end of a link; pass peers=...")
        return self.links.connect(self._peers(endpoint), machine, "the peer")

    def _late(self) -> float:
        jitter = self._faults.jitter
        return self._faults.delay + (jitter * self._chance.fraction() if jitter else 0.0)

    def _size(self) -> int | None:
        cut = self._faults.cut
        if cut == "written":
            return None
        if cut == "seeded":
            return 1 + self._chance.below(2 ** (1 + self._chance.below(10)))
        self._read += 1
        return cut[(self._read - 1) % len(cut)]


class World:
    """Everything outside the flows of one run. Exchanges are numbered from 1."""

    def __init__(
        self,
        vendor: ScriptedVendor | Mapping[str, ScriptedVendor] | None,
        addresses: Mapping[str, Sequence[str]] | None,
        faults: Faults,
        chance: Chance,
        entropy: Chance,
        clock: Callable[[], float],
        shared: Shared,
    ) -> None:
        self._shared = shared
        self._vendor = vendor
        self._addresses = addresses
        self._faults = faults
        self._chance = chance
        self._entropy = entropy
        self._clock = clock
        self._exchanges: dict[int, _Exchange] = {}
        self._opened = 0
        self._received = 0

    def begin(self, effect: Effect, opened: set[int], token: CancellationToken) -> Wait:
        """Start an effect. `opened` are the exchanges of the asking flow: a new one is put in."""
        now = self._clock()
        try:
            match effect:
                case Send(request):
                    return self._send(request, opened, now)
                case Receive(exchange):
                    return self._receive(exchange, now)
                case Close(exchange):
                    opened.discard(exchange)
                    self._exchanges.pop(exchange, None)
                    return answered(None, now)
                case Sleep(seconds):
                    return Wait(now + max(0.0, seconds), lambda: None)
                case Call():
                    return self._call(effect, token.child(), now)
                case Now():
                    return answered(now, now)
                case Entropy(size):
                    return answered(self._entropy.data(size), now)
                case Resolve(host):
                    return answered(self._resolve(host), now)
                case Keep(key, make):
                    return answered(self._shared.keep(key, make), now)
                case Open() | Ask() | Tell() | Hangup():
                    return self._over_link(effect, now)
        except (InvalidInput, TransportError) as error:
            return failed(error, now)
        kind = type(effect).__name__
        return failed(InvalidInput(f"a flow should yield effects and nothing else, not {kind}"), now)

    def discard(self, opened: set[int]) -> None:
        """Nobody will receive from these exchanges any more."""
        for exchange in opened:
            self._exchanges.pop(exchange, None)

    @property
    def open_exchanges(self) -> tuple[int, ...]:
        return tuple(self._exchanges)

    def _over_link(self, effect: Open | Ask | Tell | Hangup, now: float) -> Wait:
        links = self._shared.links
        try:
            match effect:
                case Open(endpoint, machine):
                    number = self._shared.open(endpoint, machine)
                    opening = Wait(now + self._faults.connect_delay, lambda: number)
                    opening.undo = lambda: links.hang_up(number)
                    return opening
                case Ask(link, message):
                    return self._ask(link, message)
                case Tell(link, message):
                    links.live(link).tell(message)
                    links.flush(link)
                case Hangup(link):
                    links.hang_up(link)
        except TakoError as error:  # what the machine refuses it with
            return failed(error, now)
        return answered(None, now)

    def _ask(self, number: int, message: Any) -> Wait:
        links = self._shared.links
        live = links.live(number)
        wait = Wait(math.inf, lambda: asking.result())

        def wake() -> None:
            wait.until = self._clock()

        def forget() -> None:
            live.forget(asking)
            links.flush(number)

        asking = live.ask(message, wake)
        wait.undo = forget
        links.flush(number)
        return wait

    def _resolve(self, host: str) -> tuple[str, ...]:
        if self._addresses is None or host not in self._addresses:
            raise TransportError(
                f"no address is known for {host}; give the Simulator one: addresses={{{host!r}: [...]}}",
                phase="resolve",
            )
        return tuple(dict.fromkeys(self._addresses[host]))

    def _vendor_for(self, origin: Origin) -> ScriptedVendor:
        if isinstance(self._vendor, ScriptedVendor):
            return self._vendor
        if self._vendor is None:
            raise InvalidInput(
                "the Simulator has nobody to answer a request; pass vendor=ScriptedVendor(...)"
            )
        vendor = self._vendor.get(origin.endpoint) or self._vendor.get(origin.host)
        if vendor is None:
            raise TransportError(f"no vendor of this Simulator answers for {origin.host}", phase="connect")
        return vendor

    def _send(self, request: HttpRequest, opened: set[int], now: float) -> Wait:
        target = parse_url(request.url)
        vendor, faults = self._vendor_for(target.origin), self._faults
        limit = request.connect_timeout
        if limit is not None and faults.connect_delay > limit:
            message = f"no connection to {target.origin.endpoint} within {limit:g} seconds"
            return failed(TimedOut(message, phase="connect"), now + limit)
        headers = tuple((name.lower(), value) for name, value in request.headers)
        answer = vendor.answer(ReceivedRequest(request.method, target.path, headers, request.body))
        exchange = _Exchange(target.origin, request, answer)
        connected = now + faults.connect_delay
        head_at, failure = self._play_head(answer, connected)
        if head_at > connected + exchange.patience:
            return failed(exchange.late("head"), connected + exchange.patience)
        if failure is not None:
            return failed(exchange.broken(failure, "head"), head_at)
        self._opened += 1
        number = self._opened
        self._exchanges[number] = exchange
        opened.add(number)
        exchange.body.extend(self._play_body(answer, head_at))
        return Wait(head_at, lambda: HttpHead(answer.status, _headers(answer), number))

    def _late(self) -> float:
        """How much later than its script an answer's next piece comes."""
        jitter = self._faults.jitter
        return self._faults.delay + (jitter * self._chance.fraction() if jitter else 0.0)

    def _play_head(self, answer: Answer, moment: float) -> tuple[float, Reset | HungUp | None]:
        moment += self._late()
        for step in answer.before:
            if not isinstance(step, Pause):
                return moment, step
            moment += step.seconds
        return moment, None

    def _play_body(self, answer: Answer, moment: float) -> list[_Arrival]:
        arrivals: list[_Arrival] = []
        for piece in self._faults.spoil(answer.pieces):
            if isinstance(piece, Pause):
                moment += piece.seconds
            elif isinstance(piece, bytes):
                moment += self._late()
                if piece:
                    arrivals.append(_Arrival(moment, piece))
            else:
                ends = type(piece) is HungUp and answer.framing == "close"
                return [*arrivals, _Arrival(moment, None if ends else piece)]
        return [*arrivals, _Arrival(moment, None)]

    def _receive(self, number: int, now: float) -> Wait:
        exchange = self._exchanges.get(number)
        if exchange is None:
            raise InvalidInput(f"exchange {number} is not open; it was closed, or its flow has ended")
        arrives = max(now, exchange.body[0].moment)
        if arrives > now + exchange.patience:
            return failed(exchange.late("body"), now + exchange.patience)
        return Wait(arrives, lambda: exchange.take(self._clock(), self._next_size()))

    def _next_size(self) -> int | None:
        cut = self._faults.cut
        if cut == "written":
            return None
        if cut == "seeded":
            return 1 + self._chance.below(2 ** (1 + self._chance.below(10)))
        self._received += 1
        return cut[(self._received - 1) % len(cut)]

    def _call(self, effect: Call, token: CancellationToken, now: float) -> Wait:
        keywords = dict(effect.keywords)
        if effect.token_argument is not None:
            keywords[effect.token_argument] = token
        heeds, finish = _run(effect, keywords)
        heeds = heeds or effect.token_argument is not None
        return Wait(now + self._faults.call_seconds, finish, heeds, token)


def _headers(answer: Answer) -> tuple[tuple[str, str], ...]:
    headers = [(name.lower(), value) for name, value in answer.headers]
    if answer.framing == "length":
        headers.append(("content-length", str(len(answer.body))))
    elif answer.framing == "chunked":
        headers.append(("transfer-encoding", "chunked"))
    return tuple(headers)


def _run(effect: Call, keywords: dict[str, Any]) -> tuple[bool, Callable[[], Any]]:
    """Call the function: whether it can be stopped, and what gives its value or raises its error."""
    error: Exception
    awaited = False
    try:
        value = effect.function(*effect.arguments, **keywords)
        awaited = hasattr(type(value), "__await__")
        if awaited:
            value = _complete(value, effect)
        return awaited, lambda: value
    except (StopIteration, StopAsyncIteration) as stop:
        # Thrown into a generator as it is, it would look like the generator's own end.
        error = RuntimeError(f"{name_of(effect.function)} raised {type(stop).__name__}")
        error.__cause__ = stop
    except Exception as raised:
        error = raised
    return awaited, failed(error, 0.0).finish


def _complete(awaitable: Any, effect: Call) -> Any:
    """Step an awaitable to its end, which it has to reach without waiting."""
    steps = awaitable.__await__()
    try:
        next(steps)
    except StopIteration as stop:
        return stop.value
    steps.close()
    raise InvalidInput(
        f"{name_of(effect.function)} waits for an event loop, and a Simulator has none: "
        "let it wait by an effect of the flow, or test it on an adapter"
    )
