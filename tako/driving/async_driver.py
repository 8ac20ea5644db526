"""AsyncDriver: a flow and everything that it has in flight, under an async library.

Step the flow, perform one effect, feed back, again. This is what asyncio and trio do alike; how
they wait, start and stop is in their arms. What may cut a wait short, and what then happens:

| what                          | how the driver hears of it       | then                  |
|-------------------------------|----------------------------------|-----------------------|
| the token, any thread         | `_on_cancel`, in its own thread  | Steps.interrupt       |
| the token of a Within, the    | `_on_wake`, in its own thread    | Steps.interrupt       |
| same                          |                                  |                       |
| a deadline of a Within        | the guard around the one effect  | Steps.interrupt       |
| the task's cancelling, Ctrl-C | whatever is no Exception         | `close`, raised again |

The guard is the library's, and raises Interrupted. A Receive without a deadline, which is to say a
token of the model's answer, is spared it if the innermost flow itself has opened the exchange: its token
shuts the sockets of those, which are lost with it anyway, and that wakes it. What a flow around it has
opened is received from under the guard, and outlives that. What has come already, and whatever waits for
nothing, is given without one.

A wake may come late, when its Within has ended: it is heard only if the innermost flow must stop. All
this happens in the thread of the flow, so between looking and acting nothing else can.

| state of a driver | how it is reached                       | `advance`           | `result`           |
|-------------------|-----------------------------------------|---------------------|--------------------|
| running           | from the start                          | the next events     | InvalidInput       |
| ended             | the flow returned or raised, or `close` | None                | the flow's outcome |

Invariants. A driver is stepped by one task at a time. When its flow has ended, however it did,
`outcome` is set, its exchanges are closed, and the token knows it no more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import count
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from tako.cancellation import CancellationToken
from tako.driving.async_group import NO_MORE, AsyncGroup
from tako.driving.async_http import AsyncNetwork, receive
from tako.driving.async_links import AsyncLinks
from tako.driving.calls import perform_call
from tako.driving.exchange import Exchange
from tako.driving.steps import Returned, Steps
from tako.effects import (
    Ask,
    Call,
    Close,
    Effect,
    Emit,
    Entropy,
    Failed,
    Flow,
    Gather,
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
from tako.errors import Cancelled, InvalidInput, TransportError
from tako.wire import NEED_DATA

__all__ = ["AsyncDriver", "AsyncRuntime", "Interrupted"]

T = TypeVar("T")


AT_ONCE: Final = frozenset((Close, Now, Entropy))
"""Effects that wait for nothing, and so need no guard."""


class Interrupted(Exception):
    """The token or the deadline cut the effect short."""


class AsyncRuntime(Protocol):
    """What a driver asks of the runtime that it runs on."""

    @property
    def clock(self) -> Callable[[], float]: ...
    @property
    def entropy(self) -> Callable[[int], bytes]: ...
    async def network(self) -> AsyncNetwork[Any]: ...
    async def links(self) -> AsyncLinks: ...


class AsyncDriver(ABC, Generic[T]):
    """One flow on its way: `advance` until it gives None, or `close`; then `result`."""

    __slots__ = ("_exchanges", "_group", "_numbers", "_runtime", "_undo", "outcome", "steps")

    guards_every_call: ClassVar[bool]
    """Whether a function that is called could swallow the cancelling of the task that called it."""

    _checkpoint: Callable[[], Awaitable[None]] | None = None
    """The library's call to hear of a cancelling although nothing is waited for, if it has one."""

    def __init__(
        self,
        runtime: AsyncRuntime,
        flow: Flow[T],
        token: CancellationToken | None,
        parent: AsyncDriver[Any] | None,
        clock: Callable[[], float],
    ) -> None:
        self._runtime = runtime
        self._exchanges: dict[int, Exchange[Any]] = parent._exchanges if parent else {}
        self._numbers: count[int] = parent._numbers if parent else count(1)
        self._group: AsyncGroup | None = None
        self.steps: Steps[T] = Steps(
            flow,
            clock,
            token,
            parent.steps.deadline if parent else None,
            wake=self._wake_soon,
            discard=self._close_all,
        )
        self.outcome: Returned[T] | Failed | None = None
        self._undo = token.on_cancel(self._cancel_soon) if token is not None else None

    @property
    def result(self) -> T:
        """What the flow returned, once it has ended. Raises what it raised, InvalidInput before the end."""
        if self.outcome is None:
            raise InvalidInput(
                "the stream has not ended; iterate to its end, or close it, before asking for the result"
            )
        if isinstance(self.outcome, Failed):
            raise self.outcome.error
        return self.outcome.unwrap()

    async def advance(self) -> Sequence[Any] | None:
        """Step the flow to its next events; None once it has ended. Raises what the flow raises, once."""
        if self.outcome is not None:
            return None
        try:
            if self._checkpoint is not None:
                await self._checkpoint()
            step = self.steps.send(None) if self._group is None else await self._hear_children(self._group)
            while type(step) is not Emit:  # effects are a closed set, without subclasses
                if isinstance(step, Returned):
                    self._end(step)
                    return None
                if type(step) is Gather:
                    self._group = self._gather(step)
                    step = await self._hear_children(self._group)
                else:
                    step = await self._perform(step)
            return step.events
        except Exception as error:  # the flow's own: everything else was thrown into it
            self._end(Failed(error))
            raise
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Cancel the flow and let it end, waiting for its children alone; what it raises is kept."""
        if self.outcome is not None:
            return
        outcome: Returned[T] | Failed = Failed(Cancelled())
        try:
            if self._group is not None:
                await self._group.stop()
        finally:
            try:
                outcome = self.steps.unwind()
            except Exception as error:
                outcome = Failed(error)
            finally:
                self._end(outcome)

    def forget(self) -> None:
        """Nobody will step this any more: let go of what is open. From any thread."""
        if self._undo is not None:
            self._undo()
        if self.outcome is None:
            self._cancel_soon()

    def _end(self, outcome: Returned[T] | Failed) -> None:
        self.outcome = outcome
        self._group = None
        if self._undo is not None:
            self._undo()
        self._close_all(self.steps.all_opened)

    def _cancel_soon(self) -> None:
        self._soon(self._on_cancel)

    def _wake_soon(self) -> None:
        self._soon(self._on_wake)

    def _on_cancel(self) -> None:
        """The token was cancelled: wake what waits, and break off what is open though nobody pulls."""
        self._break_off(self.steps.all_opened)

    def _on_wake(self) -> None:
        """The token of a Within was cancelled: as `_on_cancel`, for what the innermost flow has opened."""
        if self.steps.must_stop:
            self._break_off(self.steps.opened)

    def _break_off(self, opened: set[int]) -> None:
        self._interrupt()
        if self._group is not None:
            self._group.cancel()
        for number in opened:
            if (exchange := self._exchanges.get(number)) is not None:
                exchange.close()

    def _close_all(self, opened: set[int]) -> None:
        """Nobody will receive from these exchanges any more."""
        for number in opened:
            if (exchange := self._exchanges.pop(number, None)) is not None:
                exchange.close()

    # The library's own.

    @abstractmethod
    def child(self, flow: Flow[Any], token: CancellationToken) -> AsyncDriver[Any]:
        """The driver of a flow of a Gather: one whose `parent` is this."""

    @abstractmethod
    def _gather(self, effect: Gather) -> AsyncGroup:
        """The children of a Gather, on their way."""

    @abstractmethod
    def _soon(self, function: Callable[[], None]) -> None:
        """Have it called where the flow runs, unless that is over. From any thread."""

    @abstractmethod
    def _interrupt(self) -> None:
        """Cut short what `_do_guarded` performs at the moment, if it does."""

    @abstractmethod
    async def _do_guarded(self, effect: Effect) -> Any:
        """`_do`, but `_interrupt` and the deadline of `steps` cut it short; then raises Interrupted."""

    @abstractmethod
    def _on_thread(self, function: Callable[[], Any], token: CancellationToken) -> Awaitable[Any]:
        """As calls.OnThread says."""

    @abstractmethod
    def _sleep(self, seconds: float) -> Awaitable[object]: ...

    @abstractmethod
    def _look_up(self, host: str, port: int) -> Awaitable[Iterable[str]]:
        """The addresses of a host, in the resolver's order; raises OSError."""

    # Performing effects.

    async def _perform(self, effect: Effect) -> Effect | Returned[T]:
        """Do what the flow asks for and go on with the reply, the failure or the interruption."""
        steps = self.steps
        try:
            if type(effect) is Receive:
                reply = self._exchange(effect.exchange).take()
                if reply is NEED_DATA:
                    reply = await self._receive(effect)
            elif type(effect) in AT_ONCE or (
                steps.deadline is None
                and steps.token is None
                and not (self.guards_every_call and type(effect) is Call)
            ):
                reply = await self._do(effect)
            else:
                reply = await self._do_guarded(effect)
        except Interrupted:
            return steps.interrupt()
        except Exception as error:
            if type(effect) is Receive and steps.must_stop:
                return steps.interrupt()
            return steps.throw(error)
        return steps.send(reply)

    def _receive(self, effect: Receive) -> Awaitable[Any]:
        """What comes next, of which nothing has come yet."""
        steps = self.steps
        if steps.deadline is None and effect.exchange in steps.opened:
            return receive(self._exchange(effect.exchange))
        return self._do_guarded(effect)

    async def _do(self, effect: Effect) -> Any:
        match effect:
            case Receive():
                return await receive(self._exchange(effect.exchange))
            case Ask():
                return await (await self._runtime.links())[effect.link].ask(effect.message)
            case Call():
                return await perform_call(effect, self.steps.token, self._on_thread)
            case Send():
                return await self._send(effect.request)
            case Close():
                self.steps.opened.discard(effect.exchange)
                if (exchange := self._exchanges.pop(effect.exchange, None)) is not None:
                    exchange.close()
            case Sleep():
                await self._sleep(max(0.0, effect.seconds))
            case Now():
                return self._runtime.clock()
            case Entropy():
                return self._runtime.entropy(effect.size)
            case Resolve():
                return await self._resolve(effect.host, effect.port)
            case Tell():
                await (await self._runtime.links())[effect.link].tell(effect.message)
            case Open():
                return await (await self._runtime.links()).open(effect.endpoint, effect.machine)
            case Hangup():
                await (await self._runtime.links()).hang_up(effect.link, effect.seconds)
            case Keep():
                return (await self._runtime.links()).keep(effect.key, effect.make)
            case _:
                raise InvalidInput(
                    f"a flow should yield effects and nothing else, not {type(effect).__name__}"
                )

    async def _send(self, request: HttpRequest) -> HttpHead:
        network = await self._runtime.network()
        exchange = await network.open(request)
        number = next(self._numbers)
        self._exchanges[number] = exchange
        self.steps.opened.add(number)
        return HttpHead(exchange.status, exchange.headers, number)

    async def _resolve(self, host: str, port: int) -> tuple[str, ...]:
        try:
            return tuple(dict.fromkeys(await self._look_up(host, port)))
        except OSError as error:
            reason = error.strerror or error
            raise TransportError(
                f"no address of {host} can be found: {reason}; check the name", phase="resolve"
            ) from error

    def _exchange(self, number: int) -> Exchange[Any]:
        exchange = self._exchanges.get(number)
        if exchange is None:
            raise InvalidInput(f"exchange {number} is not open; it was closed, or its flow has ended")
        return exchange

    async def _hear_children(self, group: AsyncGroup) -> Effect | Returned[T]:
        """Pass on an event of the children; when they have all ended, go on with their outcomes.

        They hear of the token and of the deadline themselves, so this wait needs no guard.
        """
        event = await group.next_event()
        if event is not NO_MORE:
            return Emit((event,))
        self._group = None
        return group.resume()
