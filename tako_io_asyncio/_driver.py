"""Driver: a flow and everything that it has in flight. Step it, perform one effect, feed back, again.

What may cut a wait short, and how the driver hears of it:

| what                    | how                                                    | then                  |
|-------------------------|--------------------------------------------------------|-----------------------|
| the token, any thread   | `_on_cancel`, in the loop's thread                     | Steps.interrupt       |
| a deadline of a Within  | a timer, set for this one effect                       | Steps.interrupt       |
| Task.cancel, Ctrl-C     | asyncio.CancelledError, or whatever is no Exception    | `close`, raised again |

The first two cancel the task that waits, and take that back before the flow goes on, so that
nobody else ever sees it. A Receive without a deadline, which is to say a token of the model's
answer, is spared all of this: the token shuts the sockets of the exchanges that the flow has opened,
and that wakes it.

Invariants. A driver is stepped by one task at a time. When its flow has ended, however it did,
`outcome` is set, its exchanges are closed, and the token knows it no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tako.cancellation import CancellationToken
from tako.driving.exchange import Exchange
from tako.driving.steps import MAX_REFUSALS, Returned, Steps
from tako.effects import (
    Call,
    Close,
    Effect,
    Emit,
    Entropy,
    Failed,
    Flow,
    Gather,
    HttpHead,
    HttpRequest,
    Now,
    Receive,
    Resolve,
    Send,
    Sleep,
)
from tako.errors import Cancelled, InvalidInput
from tako_io_asyncio._calls import perform_call
from tako_io_asyncio._gather import NO_MORE, Group
from tako_io_asyncio._http import ByteStream, receive, resolve

if TYPE_CHECKING:
    from tako_io_asyncio import Runtime

__all__ = ["Driver"]

T = TypeVar("T")


class Driver(Generic[T]):
    """One flow on its way: `advance` until it gives None, or `close`; then `result`."""

    __slots__ = (
        "_exchanges", "_group", "_interrupted", "_loop", "_numbers", "_opened", "_runtime", "_undo",
        "_waiting", "outcome", "steps",
    )  # fmt: skip

    def __init__(
        self,
        runtime: Runtime,
        flow: Flow[T],
        token: CancellationToken | None,
        parent: Driver[Any] | None = None,
    ) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._runtime = runtime
        self._exchanges: dict[int, Exchange[ByteStream]] = parent._exchanges if parent else {}
        self._numbers: count[int] = parent._numbers if parent else count(1)
        self._opened: set[int] = set()
        self._group: Group | None = None
        self._waiting: asyncio.Task[Any] | None = None
        self._interrupted = False
        self.steps: Steps[T] = Steps(flow, loop.time, token, parent.steps.deadline if parent else None)
        self.outcome: Returned[T] | Failed | None = None
        self._undo = token.on_cancel(self._cancel_soon) if token is not None else None

    def child(self, flow: Flow[Any], token: CancellationToken) -> Driver[Any]:
        """The driver of a flow of a Gather."""
        return Driver(self._runtime, flow, token, self)

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
            step = self.steps.send(None) if self._group is None else await self._hear_children(self._group)
            while not isinstance(step, Emit):
                if isinstance(step, Returned):
                    self._end(step)
                    return None
                if isinstance(step, Gather):
                    self._group = Group(self, step)
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
                outcome = self._run_out()
            except Exception as error:
                outcome = Failed(error)
            finally:
                self._end(outcome)

    def _run_out(self) -> Returned[T]:
        """Cancel the flow and let it speak to nobody until it ends. Raises what it raises."""
        step = self.steps.cancel()
        for _ in range(MAX_REFUSALS):
            if isinstance(step, Returned):
                return step
            step = self.steps.send(None)
        self.steps.close()
        raise Cancelled("cancelled: the flow would not stop and was closed")

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
        for number in self._opened:
            if (exchange := self._exchanges.pop(number, None)) is not None:
                exchange.close()

    # Being cut short.

    def _cancel_soon(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._on_cancel)
        except RuntimeError:
            pass  # the loop is closed, and with it everything that was in flight

    def _on_cancel(self) -> None:
        """The token was cancelled: wake what waits, and break off what is open though nobody pulls."""
        self._interrupt()
        if self._group is not None:
            self._group.cancel()
        for number in self._opened:
            if (exchange := self._exchanges.get(number)) is not None:
                exchange.close()

    def _interrupt(self) -> None:
        if self._waiting is not None and not self._interrupted:
            self._interrupted = True
            self._waiting.cancel()

    def _check_deadline(self, deadline: float) -> None:
        # A timer may be early by a step of the clock, and Steps would not believe it.
        if self._loop.time() < deadline:
            self._loop.call_at(deadline, self._check_deadline, deadline)
        elif self.steps.deadline == deadline:
            self._interrupt()

    # Performing effects.

    async def _perform(self, effect: Effect) -> Effect | Returned[T]:
        """Do what the flow asks for and go on with the reply, the failure or the interruption."""
        steps = self.steps
        try:
            if steps.deadline is None and isinstance(effect, Receive) and effect.exchange in self._opened:
                reply = await receive(self._exchange(effect.exchange))
            elif steps.deadline is None and steps.token is None and not isinstance(effect, Call):
                reply = await self._do(effect)
            else:
                reply = await self._do_guarded(effect)
        except _Interrupted:
            return steps.interrupt()
        except Exception as error:
            if isinstance(effect, Receive) and steps.must_stop:
                return steps.interrupt()
            if isinstance(error, Cancelled) and steps.must_stop:
                return steps.interrupt(partial=error.partial, abandoned=error.abandoned)
            return steps.throw(error)
        return steps.send(reply)

    async def _do_guarded(self, effect: Effect) -> Any:
        """Perform an effect that the token and the deadline can cut short; then raises _Interrupted."""
        task = asyncio.current_task()
        assert task is not None
        cancels = task.cancelling()
        deadline = self.steps.deadline
        timer = None if deadline is None else self._loop.call_at(deadline, self._check_deadline, deadline)
        self._waiting = task
        interrupted = False
        try:
            try:
                return await self._do(effect)
            finally:
                self._waiting = None
                if timer is not None:
                    timer.cancel()
                if self._interrupted:
                    self._interrupted, interrupted = False, True
                    task.uncancel()
                if task.cancelling() > cancels:
                    raise asyncio.CancelledError  # not ours; a function that was called may have swallowed it
        except asyncio.CancelledError:
            if interrupted and task.cancelling() <= cancels:
                raise _Interrupted from None
            raise

    async def _do(self, effect: Effect) -> Any:
        match effect:
            case Receive():
                return await receive(self._exchange(effect.exchange))
            case Call():
                return await perform_call(effect, self.steps)
            case Send():
                return await self._send(effect.request)
            case Close():
                if (exchange := self._exchanges.pop(effect.exchange, None)) is not None:
                    exchange.close()
            case Sleep():
                await asyncio.sleep(max(0.0, effect.seconds))
            case Now():
                return self._runtime.clock()
            case Entropy():
                return self._runtime.entropy(effect.size)
            case Resolve():
                return await resolve(effect.host, effect.port)
            case _:
                raise InvalidInput(
                    f"a flow should yield effects and nothing else, not {type(effect).__name__}"
                )

    async def _send(self, request: HttpRequest) -> HttpHead:
        network = await self._runtime.network()
        exchange = await network.open(request)
        number = next(self._numbers)
        self._exchanges[number] = exchange
        self._opened.add(number)
        return HttpHead(exchange.status, exchange.headers, number)

    def _exchange(self, number: int) -> Exchange[ByteStream]:
        exchange = self._exchanges.get(number)
        if exchange is None:
            raise InvalidInput(f"exchange {number} is not open; it was closed, or its flow has ended")
        return exchange

    async def _hear_children(self, group: Group) -> Effect | Returned[T]:
        """Pass on an event of the children; when they have all ended, go on with their outcomes.

        They hear of the token and of the deadline themselves, so this wait needs no guard.
        """
        event = await group.next_event()
        if event is not NO_MORE:
            return Emit((event,))
        self._group = None
        return group.resume()


class _Interrupted(Exception):
    """The token or the deadline cut the effect short."""
