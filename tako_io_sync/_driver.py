"""The driver: steps one flow, does exactly one thing at a time, feeds the outcome back.

Steps decides what happens (nesting, deadlines, cancelling) and Gathering which children run; here
is only how each effect is done with plain blocking calls, on the caller's own thread. A wait can be
cut short in three ways, and a plain call, which has no token and no deadline, pays for none:

- the token of the run is cancelled: its callback shuts the sockets of every open exchange and puts
  WAKE into the inbox that the thread waits at. Once cancelled, nothing is waited for any more.
- the token of a Within is cancelled: Steps calls `_wake`, which stops the one exchange that is waited
  for, or puts WAKE into the inbox, and touches nothing else.
- the deadline passes: waits at an inbox have a timeout; for a socket the watchdog does what a token
  of a Within does.

| in flight under a Within             | is waited for  | cut short                                  |
|--------------------------------------|----------------|--------------------------------------------|
| Send, Receive of the innermost flow  | in the socket  | its operation is stopped: it is lost with  |
| from an exchange that it has opened  |                | the flow                                   |
| Receive from another exchange        | at an inbox    | a Reading is left; the next Receive takes  |
|                                      |                | it up again, so nothing is lost            |
| Call, Resolve, Sleep, Gather         | at an inbox    | as _calls.py and _gather.py say            |
| Open, Ask, Tell, Hangup              | at an inbox    | as _link.py and _links.py say              |

A wake may come late, when its Within has ended and something else is in flight. So who wakes looks at
`must_stop` and acts under the lock without which the thread that drives cannot go on to anything else.

Invariants. What a flow leaves open is closed when it ends, however it ends. KeyboardInterrupt and
its like make the flow stop where it is (`unwind`: no effect is performed any more) and go on to the
caller. Only the thread that drives ever touches the flow.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from itertools import count
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from tako.cancellation import CancellationToken
from tako.driving.steps import Returned, Steps
from tako.effects import (
    Ask,
    Call,
    Close,
    Effect,
    Emit,
    Entropy,
    Flow,
    Gather,
    Hangup,
    HttpHead,
    Keep,
    Now,
    Open,
    Receive,
    Resolve,
    Send,
    Sleep,
    Tell,
)
from tako.errors import InvalidInput, TransportError
from tako_io_sync._calls import WAKE, Interrupted, on_worker, perform_call
from tako_io_sync._connections import look_up
from tako_io_sync._exchange import Exchange, Reading
from tako_io_sync._gather import gather
from tako_io_sync._mailbox import Empty, Mailbox

if TYPE_CHECKING:
    from tako.links import Kept
    from tako_io_sync._connections import Operation
    from tako_io_sync._private_loop import PrivateLoop
    from tako_io_sync._watchdog import Watch
    from tako_io_sync.runtime import Runtime

__all__ = ["Driver", "Inbox"]

T = TypeVar("T")


class Inbox(Protocol):
    """Where a driver waits: a Mailbox, or what behaves like one and does something useful meanwhile."""

    def put(self, item: Any, /) -> None:
        """Never waits; from any thread, and from a signal handler."""

    def get(self, *, timeout: float | None) -> Any:
        """What was put in; raises Empty after the seconds."""


class Driver:
    """One flow that is being driven. Children of a Gather have drivers of their own, and `parent`."""

    __slots__ = (
        "_current", "_exchanges", "_inbox", "_lock", "_loop", "_numbers", "_parent", "_readings", "_root",
        "_undo",
        "_watch", "error", "returned", "runtime", "steps",
    )  # fmt: skip

    def __init__(
        self,
        runtime: Runtime,
        flow: Flow[Any],
        token: CancellationToken | None,
        *,
        deadline: float | None = None,
        parent: Driver | None = None,
    ) -> None:
        self.runtime = runtime
        self.steps: Steps[Any] = Steps(
            flow, monotonic, token, deadline, wake=self._wake, discard=self._close_all
        )
        self.returned: Returned[Any] | None = None
        self.error: Exception | None = None
        self._parent = parent
        self._root: Driver = self if parent is None else parent._root
        self._numbers: Iterator[int] = count(1) if parent is None else parent._numbers  # of exchanges
        self._loop: PrivateLoop | None = None  # the root's is used
        self._exchanges: dict[int, Exchange | Operation] = {}
        self._readings: dict[int, Reading] = {}  # that go on beside the flow
        self._inbox: Inbox | None = None
        self._current: Operation | None = None  # what is waited for, if a part of the flow may be stopped
        self._watch: Watch | None = None
        self._lock = threading.RLock()
        self._undo = None if token is None else token.on_cancel(self._stop)

    def run(self, emit: Callable[[Any], None] | None = None) -> Any:
        """Drive the flow to its end; raises what it raises. Without `emit` its events are dropped."""
        steps = self.steps
        try:
            effect = steps.send(None)
            while True:
                kind = type(effect)
                if kind is Emit:
                    if emit is not None:
                        for event in effect.events:  # type: ignore[union-attr]
                            emit(event)
                    effect = steps.send(None)
                elif kind is Returned:
                    return effect.unwrap()  # type: ignore[union-attr]
                elif kind is Gather:
                    effect = _pull(gather(self, effect, drop=emit is None), emit)  # type: ignore[arg-type]
                else:
                    effect = self._advance(effect)  # type: ignore[arg-type]
        except Exception:
            raise
        except BaseException:
            self.unwind()
            raise
        finally:
            self.release()

    def events(self) -> Generator[Any, None, None]:
        """The events of the flow. `returned` or `error` is set when they have ended or this is closed."""
        steps = self.steps
        try:
            effect = steps.send(None)
            while True:
                kind = type(effect)
                if kind is Emit:
                    yield from effect.events  # type: ignore[union-attr]
                    effect = steps.send(None)
                elif kind is Returned:
                    self.returned = effect  # type: ignore[assignment]
                    return
                elif kind is Gather:
                    effect = yield from gather(self, effect, drop=False)  # type: ignore[arg-type]
                else:
                    effect = self._advance(effect)  # type: ignore[arg-type]
        except Exception as error:
            self.error = error
            raise
        except GeneratorExit:
            self.unwind()
        except BaseException:
            self.unwind()
            raise
        finally:
            self.release()

    def unwind(self) -> None:
        """End the flow without doing anything for it any more; what it still gives back is kept."""
        try:
            self.returned = self.steps.unwind()
        except Exception as error:
            self.error = error

    def release(self) -> None:
        """Close the flow, if something else than its own end ended the drive, and what it left open."""
        self.steps.close()
        if self._undo is not None:
            self._undo()
        if self._watch is not None:
            self.runtime.watchdog.end(self._watch)
        self._close_all(list(self._exchanges))
        if self._loop is not None:
            self._loop.close()

    @property
    def can_stop(self) -> bool:
        """Whether somebody could want to cut short what is done now."""
        return self.steps.token is not None or self.steps.deadline is not None

    def wait(self, inbox: Inbox, seconds: float | None = None) -> Any:
        """What comes into the inbox, WAKE when the flow must stop; raises Empty after the seconds."""
        steps = self.steps
        deadline = steps.deadline
        end = None if seconds is None else monotonic() + seconds
        if deadline is not None and (end is None or deadline < end):
            end = deadline
        self._inbox = inbox
        try:
            if steps.token is not None and steps.token.is_cancelled:
                return WAKE  # it was cancelled before anybody could know where we wait
            while True:
                left = None if end is None else min(max(0.0, end - monotonic()), threading.TIMEOUT_MAX)
                try:
                    return inbox.get(timeout=left)
                except Empty:
                    if steps.must_stop:
                        return WAKE
                    if end is not deadline:
                        raise
        finally:
            self._inbox = None

    def loop(self) -> PrivateLoop:
        """The private asyncio loop of the whole run."""
        root = self._root
        if root._loop is None:
            from tako_io_sync._private_loop import PrivateLoop

            with root._lock:
                if root._loop is None:
                    root._loop = PrivateLoop()
        return root._loop

    def _stop(self) -> None:
        """The token was cancelled; runs in the thread that did it."""
        for exchange in list(self._exchanges.values()):
            (exchange.operation if isinstance(exchange, Exchange) else exchange).stop()
        inbox = self._inbox
        if inbox is not None:
            inbox.put(WAKE)

    def _wake(self) -> None:
        """The token of a Within was cancelled; runs in the thread that did it, maybe too late."""
        with self._lock:
            operation, inbox = self._current, self._inbox
            if not self.steps.must_stop:
                return
            if operation is not None:
                operation.stop()
            if inbox is not None:
                inbox.put(WAKE)

    def _advance(self, effect: Effect) -> Effect | Returned[Any]:
        """Perform an effect and resume the flow with its outcome."""
        perform = _PERFORM.get(type(effect))
        if perform is None:
            return self.steps.throw(InvalidInput(f"a flow yields effects, not {type(effect).__name__}"))
        try:
            reply = perform(self, effect)
        except Interrupted as cut:
            return self.steps.interrupt(abandoned=cut.abandoned)
        except Exception as error:
            if type(effect) is not Call and self.steps.must_stop:
                return self.steps.interrupt()  # it failed because it was stopped
            return self.steps.throw(error)
        return self.steps.send(reply)

    def _send(self, effect: Send) -> HttpHead:
        number = next(self._numbers)
        operation, send, can_interrupt = self.runtime.transport.prepare(
            effect.request, can_stop=self.can_stop
        )
        self._exchanges[number] = operation
        try:
            if not operation.can_stop:
                exchange = send()
            else:
                if self.steps.token is not None and self.steps.token.is_cancelled:
                    operation.stop()  # it was cancelled before `_stop` could know of it
                exchange = self._until_stopped(
                    operation, send if can_interrupt else partial(on_worker, self, send)
                )
        except BaseException:
            del self._exchanges[number]
            raise
        self._exchanges[number] = exchange
        self.steps.opened.add(number)
        if operation.stopped and self.steps.must_stop:
            raise Interrupted  # the head had come when it was stopped: nobody can read on
        return HttpHead(exchange.status, exchange.headers, number)

    def _receive(self, effect: Receive) -> bytes:
        number, steps = effect.exchange, self.steps
        exchange = self._exchanges.get(number)
        if not isinstance(exchange, Exchange):
            return self._owner(number)._read_beside(number, self)
        if number in self._readings:
            return self._read_beside(number, self)
        if steps.deadline is None and not steps.scopes:
            return exchange.receive()  # only the token of the run can stop it, which stops all
        if number in steps.opened:
            data = self._until_stopped(exchange.operation, exchange.receive)
            if exchange.operation.stopped and steps.must_stop:
                raise Interrupted  # what looks like the next piece, or the end, is the last that came
            return data
        return self._read_beside(number, self)

    def _owner(self, number: int) -> Driver:
        """The driver of the flow around this one that has opened an exchange; raises InvalidInput."""
        driver = self._parent
        while driver is not None:
            if isinstance(driver._exchanges.get(number), Exchange):
                return driver
            driver = driver._parent
        raise InvalidInput(f"exchange {number} is not open: it was closed, or is another flow's")

    def _read_beside(self, number: int, waiting: Driver) -> bytes:
        """Receive on a thread, so that the exchange outlives a wait that is cut short.

        `waiting` is the driver that waits: this one, or that of a child in a Gather.
        """
        reading = self._readings.get(number)
        if reading is None:
            exchange = self._exchanges[number]
            assert isinstance(exchange, Exchange)
            reading = self._readings[number] = Reading(exchange)
        while (outcome := waiting.wait(reading.inbox)) is WAKE:
            if waiting.steps.must_stop:  # else it was meant for a wait that is over
                raise Interrupted
        del self._readings[number]
        return reading.result(outcome)

    def _close(self, effect: Close) -> None:
        self.steps.opened.discard(effect.exchange)
        self._close_all((effect.exchange,))

    def _close_all(self, opened: Iterable[int]) -> None:
        """Nobody will receive from these exchanges any more."""
        for number in opened:
            exchange = self._exchanges.pop(number, None)
            reading = self._readings.pop(number, None)
            if reading is not None:
                reading.stop()
            elif isinstance(exchange, Exchange):
                exchange.close()

    def _until_stopped(self, operation: Operation, perform: Callable[[], T]) -> T:
        """Perform it; the watchdog, or the token of a Within, stops the operation."""
        steps, deadline = self.steps, self.steps.deadline
        if deadline is None and not steps.scopes:
            return perform()
        former = self._watch
        if deadline is not None and (former is None or former.deadline != deadline):
            self._watch = self.runtime.watchdog.watch(deadline, partial(self._expire, deadline))
            if former is not None:
                self.runtime.watchdog.end(former)
        self._current = operation
        try:
            if steps.must_stop:
                operation.stop()  # before anybody could know of it
            return perform()
        finally:
            with self._lock:
                self._current = None

    def _expire(self, deadline: float) -> None:
        """A deadline has passed; runs in the watchdog's thread."""
        with self._lock:
            if self._current is not None and self.steps.deadline == deadline:
                self._current.stop()

    def _resolve(self, effect: Resolve) -> tuple[str, ...]:
        try:
            look = partial(look_up, effect.host, effect.port)
            found = on_worker(self, look) if self.can_stop else look()
        except OSError as error:
            raise TransportError(
                f"the name {effect.host!r} cannot be resolved: {error.strerror or error}; is it right?",
                phase="resolve",
            ) from error
        return tuple(dict.fromkeys(entry[4][0] for entry in found))

    def _sleep(self, effect: Sleep) -> None:
        seconds = max(0.0, effect.seconds)
        if not self.can_stop:
            sleep(seconds)
            return
        try:
            self.wait(Mailbox(), seconds)
        except Empty:
            return
        raise Interrupted

    def _now(self, effect: Now) -> float:
        return self.runtime.clock()

    def _entropy(self, effect: Entropy) -> bytes:
        return self.runtime.entropy(effect.size)

    def _keep(self, effect: Keep) -> Kept:
        return self.runtime.keep(effect.key, effect.make)

    def _open(self, effect: Open) -> int:
        return self.runtime.links.open(self, effect.endpoint, effect.machine)

    def _ask(self, effect: Ask) -> Any:
        return self.runtime.links[effect.link].ask(self, effect.message)

    def _tell(self, effect: Tell) -> None:
        self.runtime.links[effect.link].tell(self, effect.message)

    def _hang_up(self, effect: Hangup) -> None:
        self.runtime.links.hang_up(self, effect.link, effect.seconds)


_PERFORM: dict[type, Callable[[Driver, Any], Any]] = {
    Send: Driver._send,
    Receive: Driver._receive,
    Close: Driver._close,
    Resolve: Driver._resolve,
    Call: perform_call,
    Sleep: Driver._sleep,
    Now: Driver._now,
    Entropy: Driver._entropy,
    Keep: Driver._keep,
    Open: Driver._open,
    Ask: Driver._ask,
    Tell: Driver._tell,
    Hangup: Driver._hang_up,
}


def _pull(gathered: Generator[Any, None, T], emit: Callable[[Any], None] | None) -> T:
    """Hand on the events of a Gather; what it comes to."""
    try:
        while True:
            event = next(gathered)
            if emit is not None:
                emit(event)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        gathered.close()
