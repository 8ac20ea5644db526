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

If several frames are to be stopped at once, it is the outermost of them that is; those in it just end.

`token` is at any moment that of the innermost frame, which is cancelled with each token around it. So
what a driver derives from it (the token of a Call, those of children) is stopped by all of them; and
whatever the driver waits for inside a frame with a token is cut short when `wake` is called.

`opened` are the exchanges of the innermost frame: the driver puts in what it opens. Whose they are next:

| the frame                                  | its exchanges                                          |
|--------------------------------------------|--------------------------------------------------------|
| returned, and was not stopped              | are its parent's: the result may be one of them        |
| was stopped, or raised                     | are closed (`discard`) before its parent hears of it   |
| was the outermost, or all were closed      | are what is left in `opened`, for the driver to close  |

So what a frame was stopped with keeps no socket busy, and what was opened outside of it stays usable.

Invariants. An effect is only handed to the driver while its frame is running, but for Emit, which
is always allowed: a cancelled flow may still say what it has. A flow that swallows Cancelled for
ever is closed after MAX_REFUSALS tries, and so is one that is unwound and emits for ever. When a
frame has ended, however it did, `token`, `deadline`, `scopes` and `opened` are those around it, and
the token that it was given knows it no more. Nothing here recurses, however many flows are nested.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from inspect import GEN_CREATED, getgeneratorstate, isgenerator
from typing import Any, Generic, TypeAlias, TypeVar

from tako.cancellation import CancellationToken
from tako.effects import Effect, Emit, Failed, Flow, Gather, Within
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


def _keep(opened: set[int]) -> None:
    """The discarding of a driver that closes exchanges when the outermost flow ends, and not before."""


@dataclass(slots=True)
class _Frame:
    flow: Flow[Any]
    deadline: float | None
    token: CancellationToken | None
    seconds: float | None = None
    unlink: Callable[[], None] = _nothing
    """Takes the frame's token from what cancels it."""
    own: CancellationToken | None = None
    """The token that its Within came with."""
    opened: set[int] = field(default_factory=set)
    stopped: type[TimedOut] | type[Interrupted] | None = None
    """What the parent is to get, once the frame has ended."""
    refusals: int = 0


class Steps(Generic[T]):
    """A flow on its way: `send` or `throw`, perform what comes back, and again.

    `clock` is the driver's monotonic clock; it is read only where a Within asks for it. `wake` is
    called when the token of a frame is cancelled, from any thread, and maybe when that frame has ended:
    look at `must_stop`, and if it is True cut short what is waited for. `discard` is called with
    exchanges that are to be closed now.
    """

    __slots__ = (
        "_cancelled", "_clock", "_discard", "_frames", "_resume", "_wake",
        "deadline", "opened", "scopes", "token",
    )  # fmt: skip

    def __init__(
        self,
        flow: Flow[T],
        clock: Callable[[], float],
        token: CancellationToken | None = None,
        deadline: float | None = None,
        wake: Callable[[], None] = _nothing,
        discard: Callable[[set[int]], None] = _keep,
    ) -> None:
        outermost = _Frame(flow, deadline, token)
        self._frames = [outermost]
        self._wake = wake
        self._discard = discard
        self._resume = flow.send  # the innermost flow's, kept at hand for the hot path
        self._clock = clock
        self._cancelled = False
        self.token = token
        """What stops the innermost flow."""
        self.deadline = deadline
        """When the innermost flow has to be done, on the driver's clock."""
        self.scopes = 0
        """How many frames have a token of their own."""
        self.opened = outermost.opened
        """The exchanges that the innermost flow has opened, or was left."""

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
        """Resume with a failure; otherwise like `send`.

        Cancelled is what a function that heeds its token raises, maybe before the driver itself hears
        of it: then it is an interruption, whoever was first.
        """
        if isinstance(error, Cancelled) and self.must_stop:
            self._reason()
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
        """Resume with Cancelled, now and at each wait from now on: the driver itself has to stop.

        A flow that has not begun would not run a line, and so could not say what it has; it begins, and
        hears of it at its first wait.
        """
        self._cancelled = True
        flow: object = self._frames[-1].flow
        if isgenerator(flow) and getgeneratorstate(flow) == GEN_CREATED:
            step = self._run(self._frames[-1].flow.send, None)
            if isinstance(step, Returned):
                return step  # it has heard of it, or has waited for nothing
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
        if not self._frames:
            return
        self.opened, self.token = self.all_opened, self._frames[0].token
        self.scopes = 0
        frames, self._frames = self._frames, []
        self._end()
        with ExitStack() as closing:
            for frame in frames:
                frame.unlink()
                closing.callback(frame.flow.close)

    @property
    def must_stop(self) -> bool:
        """True when the token is cancelled or the deadline has passed: do not wait for anything.

        May be asked from any thread.
        """
        token, deadline = self.token, self.deadline
        if self._cancelled or (token is not None and token.is_cancelled):
            return True
        return deadline is not None and self._clock() >= deadline

    @property
    def all_opened(self) -> set[int]:
        """The exchanges of all frames; once the flow has ended, those that it left open."""
        return self.opened.union(*[frame.opened for frame in self._frames])

    def _reason(self) -> Cancelled:
        """Why the wait was cut short; marks the outermost frame that is to be stopped."""
        run = self._frames[0].token
        if self._cancelled or (run is not None and run.is_cancelled):
            self._cancelled = True
            return Cancelled()
        moment = self._clock()
        for frame in self._frames:
            # Asked itself, and not the token linked to it: of two that are related the inner one's link
            # may be reached first.
            if frame.own is not None and frame.own.is_cancelled:
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
        self.opened = frame.opened
        if effect.token is not None:
            self._link(frame, effect.token)
        self._resume = effect.flow.send
        return self._resume, None

    def _link(self, frame: _Frame, own: CancellationToken) -> None:
        """Give the frame a token that is cancelled with its own, and with the one around it."""
        token = self.token.child() if self.token is not None else CancellationToken()
        frame.token, frame.own = token, own
        self.token = token
        self.scopes += 1
        token.on_cancel(self._wake)
        undo = own.on_cancel(token.cancel)

        def unlink() -> None:
            undo()
            token.detach()

        frame.unlink = unlink

    def _refuse(self, effect: Effect) -> _Resumption | Returned[T]:
        """There is no more waiting: throw the reason, and close the flow that will not hear it."""
        if type(effect) is Within:
            effect.flow.close()
        elif type(effect) is Gather:
            for child in effect.flows:
                child.close()
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
        if isinstance(error, Cancelled) and self.must_stop:
            self._reason()  # it may have looked at its token by itself
        frame = self._frames.pop()
        if not self._frames:
            self._end()
            if error is not None:
                raise error
            return Returned(value)
        around = self._frames[-1]
        self.deadline, self.token, self.opened = around.deadline, around.token, around.opened
        if frame.own is not None:
            self.scopes -= 1
            frame.unlink()
        if frame.opened:
            if error is None and frame.stopped is None:
                around.opened |= frame.opened
            else:
                self._discard(frame.opened)
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

    def _end(self) -> None:
        """Nothing is to be done for this flow any more: let go of the driver, which holds us."""
        self.deadline = None
        self._wake, self._discard = _nothing, _keep
