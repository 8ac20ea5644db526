"""Steps: the state of a flow that is being driven. Every driver holds one per flow.

A flow under `Within` is a flow inside a flow with a deadline or a token, so the state is a stack of
frames. The driver performs what `send` or `throw` return and knows nothing of nesting, deadlines or
the rules of cancelling; those are here, once, for all adapters and the simulator.

| state       | how it is reached                          | what the flow gets at its next wait         |
|-------------|--------------------------------------------|---------------------------------------------|
| running     | from the start                             | replies                                     |
| expired     | a frame's deadline passed (`interrupt`)    | Cancelled, until that frame ends; then its  |
|             |                                            | parent gets TimedOut and is running again   |
| interrupted | a frame's own token was cancelled          | the same, but the parent gets Interrupted   |
| cancelled   | the run's token was cancelled, `cancel()`  | Cancelled, until the flow ends              |
| ended       | the flow returned or raised                |                                             |

`token` is at any moment that of the innermost frame, which is cancelled with each token around it. So
what a driver derives from it (the token of a Call, those of children) is stopped by all of them; and
whatever the driver waits for inside a frame with a token is cut short when `wake` is called.

Invariants. An effect is only handed to the driver while its frame is running, but for Emit, which
is always allowed: a cancelled flow may still say what it has. A flow that swallows Cancelled for
ever is closed after MAX_REFUSALS tries, and so is one that is unwound and emits for ever. Nothing
here recurses, however many flows are nested.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from tako.cancellation import CancellationToken
from tako.effects import Effect, Emit, Failed, Flow, Within
from tako.errors import Cancelled, Interrupted, TimedOut

__all__ = ["Returned", "Steps"]

T = TypeVar("T")

MAX_REFUSALS = 100
WOULD_NOT_STOP = "cancelled: the flow would not stop and was closed"

_Resumption: TypeAlias = tuple[Callable[[Any], Effect], Any]
"""Which flow is resumed next, and with what: its `send` or `throw`, and the argument."""


@dataclass(slots=True)
class Returned(Generic[T]):
    """The flow has ended and this is its result."""

    value: T

    def unwrap(self) -> T:
        """The result. A flow whose events already told of its failure returns it as Failed; it is
        raised here, when the result is asked for, and not in the iteration."""
        if isinstance(self.value, Failed):
            raise self.value.error
        return self.value


def _nothing() -> None:
    """The waking of a driver that looks at `must_stop` by itself; the undoing of no link."""


@dataclass(slots=True)
class _Frame:
    flow: Flow[Any]
    deadline: float | None
    token: CancellationToken | None
    seconds: float | None = None
    unlink: Callable[[], None] = _nothing
    """Takes the frame's token from what cancels it."""
    owns_token: bool = False
    stopped: type[TimedOut] | type[Interrupted] | None = None
    """What the parent is to get, once the frame has ended."""
    refusals: int = 0


class Steps(Generic[T]):
    """A flow on its way: `send` or `throw`, perform what comes back, and again.

    `clock` is the driver's monotonic clock; it is read only where a Within asks for it. `wake` is
    called when the token of a frame is cancelled, from any thread: look at `must_stop`, and if it is
    True cut short what is waited for.
    """

    __slots__ = ("_cancelled", "_clock", "_frames", "_resume", "_wake", "deadline", "scopes", "token")

    def __init__(
        self,
        flow: Flow[T],
        clock: Callable[[], float],
        token: CancellationToken | None = None,
        deadline: float | None = None,
        wake: Callable[[], None] = _nothing,
    ) -> None:
        self._frames = [_Frame(flow, deadline, token)]
        self._wake = wake
        self._resume = flow.send  # the innermost flow's, kept at hand for the hot path
        self._clock = clock
        self._cancelled = False
        self.token = token
        """What stops the innermost flow."""
        self.deadline = deadline
        """When the innermost flow has to be done, on the driver's clock."""
        self.scopes = 0
        """How many frames have a token of their own."""

    def send(self, reply: Any) -> Effect | Returned[T]:
        """Resume with a reply: the next effect to perform, or Returned. Raises what the flow raises."""
        step: Effect | Returned[T] | _Resumption
        try:
            effect = self._resume(reply)
        except StopIteration as stop:
            step = self._pop(stop.value, None)
        except Exception as error:
            step = self._pop(None, error)
        else:
            kind = type(effect)
            if kind is Emit or (
                kind is not Within and self.token is None and self.deadline is None and not self._cancelled
            ):
                return effect  # nobody can stop it: as `_admit` would, which costs as much as a small effect
            step = self._admit(effect)
        return self._run(*step) if isinstance(step, tuple) else step

    def throw(self, error: Exception) -> Effect | Returned[T]:
        """Resume with a failure; otherwise like `send`."""
        return self._run(self._frames[-1].flow.throw, error)

    def interrupt(self, *, partial: Any = None, abandoned: bool = False) -> Effect | Returned[T]:
        """Resume after a wait that the token or the deadline cut short.

        `partial` is what there was of the reply; `abandoned` says that the function which was
        called is still running.
        """
        error = self._reason()
        error.partial, error.abandoned = partial, abandoned
        return self.throw(error)

    def cancel(self) -> Effect | Returned[T]:
        """Resume with Cancelled, now and at each wait from now on: the driver itself has to stop."""
        self._cancelled = True
        return self.throw(Cancelled())

    def unwind(self) -> Returned[T]:
        """Cancel the flow and run it to its end while nobody listens; raises what it raises.

        For a driver that has to stop. Nothing is left to perform then, and events are dropped.
        """
        step = self.cancel()
        for _ in range(MAX_REFUSALS):
            if isinstance(step, Returned):
                return step
            step = self.send(None)
        self.close()
        raise Cancelled(WOULD_NOT_STOP)

    def close(self) -> None:
        """Close what is left of the flow, innermost first, all of it whatever one of them raises."""
        if self._frames:
            frame = self._frames.pop()
            try:
                frame.unlink()
                frame.flow.close()
            finally:
                self.close()

    @property
    def must_stop(self) -> bool:
        """True when the token is cancelled or the deadline has passed: do not wait for anything."""
        if self._cancelled or (self.token is not None and self.token.is_cancelled):
            return True
        return self.deadline is not None and self._clock() >= self.deadline

    def _reason(self) -> Cancelled:
        """Why the wait was cut short; marks the outermost frame that is to be stopped."""
        run = self._frames[0].token
        if self._cancelled or (run is not None and run.is_cancelled):
            self._cancelled = True
            return Cancelled()
        moment = self._clock()
        for frame in self._frames:
            if frame.owns_token and frame.token is not None and frame.token.is_cancelled:
                frame.stopped = Interrupted
                return Cancelled("cancelled: interrupted")
            if frame.deadline is not None and moment >= frame.deadline:
                frame.stopped = TimedOut
                return Cancelled("cancelled: the time limit was reached")
        return Cancelled()

    def _run(self, resume: Callable[[Any], Effect], argument: Any) -> Effect | Returned[T]:
        """Resume flows until one has an effect for the driver, or the outermost has ended."""
        step: Effect | Returned[T] | _Resumption
        while True:
            try:
                effect = resume(argument)
            except StopIteration as stop:
                step = self._pop(stop.value, None)
            except Exception as error:
                step = self._pop(None, error)
            else:
                step = self._admit(effect)
            if not isinstance(step, tuple):
                return step
            resume, argument = step

    def _admit(self, effect: Effect) -> Effect | Returned[T] | _Resumption:
        """Give an effect to the driver, unless it opens a frame or must be refused."""
        if type(effect) is Emit:
            return effect
        if self.must_stop:
            return self._refuse(effect)
        if type(effect) is not Within:
            return effect
        if effect.seconds is not None:
            deadline = self._clock() + effect.seconds
            self.deadline = deadline if self.deadline is None else min(deadline, self.deadline)
        frame = _Frame(effect.flow, self.deadline, self.token, effect.seconds)
        self._frames.append(frame)
        if effect.token is not None:
            self._link(frame, effect.token)
        self._resume = effect.flow.send
        return self._resume, None

    def _link(self, frame: _Frame, own: CancellationToken) -> None:
        """Give the frame a token that is cancelled with its own, and with the one around it."""
        token = self.token.child() if self.token is not None else CancellationToken()
        frame.token, frame.owns_token = token, True
        self.token = token
        self.scopes += 1
        undo, unwake = own.on_cancel(token.cancel), token.on_cancel(self._wake)

        def unlink() -> None:
            undo()
            unwake()
            token.detach()

        frame.unlink = unlink

    def _refuse(self, effect: Effect) -> _Resumption | Returned[T]:
        """There is no more waiting: throw the reason, and close the flow that will not hear it."""
        if type(effect) is Within:
            effect.flow.close()
        frame = self._frames[-1]
        reason = self._reason()
        frame.refusals += 1
        if frame.refusals <= MAX_REFUSALS:
            return frame.flow.throw, reason
        try:
            frame.flow.close()
        except Exception as error:
            return self._pop(None, error)
        return self._pop(None, Cancelled(WOULD_NOT_STOP))

    def _pop(self, value: Any, error: Exception | None) -> _Resumption | Returned[T]:
        """The innermost flow has ended: resume its parent with the result."""
        frame = self._frames.pop()
        if not self._frames:
            self.deadline = None
            if error is not None:
                raise error
            return Returned(value)
        around = self._frames[-1]
        self.deadline, self.token = around.deadline, around.token
        if frame.owns_token:
            self.scopes -= 1
            frame.unlink()
        self._resume = around.flow.send
        if frame.stopped is not None and (error is None or isinstance(error, Cancelled)):
            partial = error.partial if isinstance(error, Cancelled) else value
            words = (
                "interrupted"
                if frame.stopped is Interrupted
                else f"not done within {frame.seconds:g} seconds"
            )
            stopped = frame.stopped(words, partial=partial)
            stopped.__cause__ = error
            error = stopped
        return (around.flow.send, value) if error is None else (around.flow.throw, error)
