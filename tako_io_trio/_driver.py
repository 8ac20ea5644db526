"""Driver: a flow and everything that it has in flight. Step it, perform one effect, feed back, again.

What may cut a wait short, and how the driver hears of it:

| what                    | how                                                    | then                  |
|-------------------------|--------------------------------------------------------|-----------------------|
| the token, any thread   | `_on_cancel`, in trio's thread                         | Steps.interrupt       |
| a deadline of a Within  | the deadline of a cancel scope                         | Steps.interrupt       |
| a scope around, Ctrl-C  | trio.Cancelled, or whatever is no Exception            | `close`, raised again |

The first two cancel a scope that is around the one effect in flight, and around nothing else. A
Receive without a deadline, which is to say a token of the model's answer, is spared the scope: the
token shuts the sockets of the exchanges that the flow has opened, and that wakes it.

Invariants. A driver is stepped by one task at a time. When its flow has ended, however it did,
`outcome` is set, its exchanges are closed, and the token knows it no more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

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
from tako_io_trio._calls import perform_call
from tako_io_trio._gather import NO_MORE, Group
from tako_io_trio._http import ByteStream, receive, resolve

if TYPE_CHECKING:
    from tako_io_trio import Runtime

__all__ = ["Driver"]

T = TypeVar("T")


class Driver(Generic[T]):
    """One flow on its way: `advance` until it gives None, or `close`; then `result`."""

    __slots__ = (
        "_exchanges", "_group", "_numbers", "_opened", "_run", "_runtime", "_scope", "_undo",
        "outcome", "steps",
    )  # fmt: skip

    def __init__(
        self,
        runtime: Runtime,
        flow: Flow[T],
        token: CancellationToken | None,
        parent: Driver[Any] | None = None,
    ) -> None:
        self._run = trio.lowlevel.current_trio_token()
        self._runtime = runtime
        self._exchanges: dict[int, Exchange[ByteStream]] = parent._exchanges if parent else {}
        self._numbers: count[int] = parent._numbers if parent else count(1)
        self._opened: set[int] = set()
        self._group: Group | None = None
        self._scope: trio.CancelScope | None = None
        self.steps: Steps[T] = Steps(
            flow, trio.current_time, token, parent.steps.deadline if parent else None
        )
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
            await trio.lowlevel.checkpoint_if_cancelled()
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
            self._run.run_sync_soon(self._on_cancel)
        except trio.RunFinishedError:
            pass  # the run is over, and with it everything that was in flight

    def _on_cancel(self) -> None:
        """The token was cancelled: wake what waits, and break off what is open though nobody pulls."""
        if self._scope is not None:
            self._scope.cancel()
        if self._group is not None:
            self._group.cancel()
        for number in self._opened:
            if (exchange := self._exchanges.get(number)) is not None:
                exchange.close()

    # Performing effects.

    async def _perform(self, effect: Effect) -> Effect | Returned[T]:
        """Do what the flow asks for and go on with the reply, the failure or the interruption."""
        steps = self.steps
        try:
            if steps.deadline is None and isinstance(effect, Receive) and effect.exchange in self._opened:
                reply = await receive(self._exchange(effect.exchange))
            elif steps.deadline is None and steps.token is None:
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
        deadline = self.steps.deadline
        with trio.CancelScope(deadline=math.inf if deadline is None else deadline) as scope:
            self._scope = scope
            try:
                return await self._do(effect)
            finally:
                self._scope = None
        raise _Interrupted

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
                await trio.sleep(max(0.0, effect.seconds))
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
