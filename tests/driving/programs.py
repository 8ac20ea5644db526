"""Random flows, and what they should do: a reference that knows nothing of Steps and Gathering.

A program is a tuple of operations. `flow_of` makes a flow of it; `evaluate` works out by plain
recursion when it says what, and how it ends. All durations of a program, and the times at which its
TOKENS are cancelled, are different powers of two, so that no two things happen in one moment unless
one is the cause of the other.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.effects import Emit, Failed, Flow, Gather, OnError, Sleep, Succeeded, Within
from tako.errors import Cancelled, Interrupted, TimedOut

TOKENS = 3
NEVER = (math.inf,) * TOKENS


@dataclass(frozen=True)
class Wait:
    seconds: float


@dataclass(frozen=True)
class Say:
    word: int


@dataclass(frozen=True)
class Fail:
    word: int


@dataclass(frozen=True)
class Limit:
    seconds: float | None
    program: Program
    token: int | None = None
    """The number of the token that stops it, too."""


@dataclass(frozen=True)
class Side:
    programs: tuple[Program, ...]
    limit: int | None
    on_error: OnError


@dataclass(frozen=True)
class Try:
    program: Program
    everything: bool
    """Also a cancellation."""


Program = tuple[Any, ...]


def words(thing: Any) -> Any:
    """Results and errors as values that can be compared."""
    if isinstance(thing, Succeeded):
        return words(thing.value)
    if isinstance(thing, Failed):
        return words(thing.error)
    if isinstance(thing, (Cancelled, TimedOut, Interrupted)):
        return type(thing).__name__, words(thing.partial)
    if isinstance(thing, Exception):
        return type(thing).__name__, str(thing)
    if isinstance(thing, list):
        return [words(item) for item in thing]
    return thing


def flow_of(program: Program, tokens: Sequence[CancellationToken]) -> Flow[Any]:
    results: list[Any] = []
    for operation in program:
        match operation:
            case Wait(seconds):
                yield Sleep(seconds)
                results.append("waited")
            case Say(word):
                yield Emit([word])
            case Fail(word):
                raise ValueError(word)
            case Limit(seconds, inner, number):
                token = None if number is None else tokens[number]
                results.append((yield Within(seconds, flow_of(inner, tokens), token)))
            case Side(programs, limit, on_error):
                flows = tuple([flow_of(inner, tokens) for inner in programs])
                results.append((yield Gather(flows, limit, on_error)))
            case Try(inner, everything):
                try:
                    results.append((yield from flow_of(inner, tokens)))
                except Exception as error:
                    if isinstance(error, Cancelled) and not everything:
                        yield Emit(["cancelled"])
                        raise
                    results.append(error)
    return results


# The reference.


@dataclass
class Frame:
    deadline: float
    cancel_at: float = math.inf
    stopped: type[TimedOut] | type[Interrupted] | None = None


@dataclass
class Thread:
    """One line of execution: its time, when it is cancelled, its limits, what it has said."""

    now: float
    cancel_at: float
    frames: list[Frame]
    times: Sequence[float] = NEVER
    """When the tokens are cancelled."""
    said: list[tuple[float, Any]] = field(default_factory=list)

    @property
    def cancelled_at(self) -> float:
        """When some token around it is cancelled."""
        return min(self.cancel_at, *[frame.cancel_at for frame in self.frames])

    @property
    def stop_at(self) -> float:
        return min(self.cancelled_at, self.frames[-1].deadline)

    def interrupted(self, partial: Any = None) -> Cancelled:
        if self.now < self.cancel_at:
            frame = next(each for each in self.frames if self.now >= min(each.deadline, each.cancel_at))
            frame.stopped = Interrupted if self.now >= frame.cancel_at else TimedOut
        return Cancelled(partial=partial)

    def wait(self, seconds: float) -> None:
        if self.now < self.stop_at and self.now + seconds <= self.stop_at:
            self.now += seconds
            return
        self.now = max(self.now, self.stop_at)
        raise self.interrupted()


def evaluate(
    program: Program, cancel_at: float = math.inf, times: Sequence[float] = NEVER
) -> tuple[Any, list[tuple[float, Any]], float]:
    """How a program ends, what it says when, and when it ends."""
    thread = Thread(0.0, cancel_at, [Frame(math.inf)], times)
    outcome = _outcome(program, thread)
    return words(outcome), thread.said, thread.now


def _outcome(program: Program, thread: Thread) -> Succeeded[Any] | Failed:
    try:
        return Succeeded(_run(program, thread))
    except (ValueError, Cancelled) as error:  # TakoErrors are ValueErrors
        return Failed(error)


def _run(program: Program, thread: Thread) -> Any:
    results: list[Any] = []
    for operation in program:
        match operation:
            case Wait(seconds):
                thread.wait(seconds)
                results.append("waited")
            case Say(word):
                thread.said.append((thread.now, word))
            case Fail(word):
                raise ValueError(word)
            case Limit():
                results.append(_limited(operation, thread))
            case Side():
                results.append(_side(operation, thread))
            case Try(inner, everything):
                try:
                    results.append(_run(inner, thread))
                except Exception as error:
                    if isinstance(error, Cancelled) and not everything:
                        thread.said.append((thread.now, "cancelled"))
                        raise
                    results.append(error)
    return results


def _limited(limit: Limit, thread: Thread) -> Any:
    if thread.now >= thread.stop_at:
        raise thread.interrupted()
    seconds = math.inf if limit.seconds is None else limit.seconds
    cancel_at = math.inf if limit.token is None else thread.times[limit.token]
    frame = Frame(min(thread.now + seconds, thread.frames[-1].deadline), cancel_at)
    thread.frames.append(frame)
    outcome = _outcome(limit.program, thread)
    thread.frames.pop()
    error = outcome.error if isinstance(outcome, Failed) else None
    if frame.stopped and (error is None or isinstance(error, Cancelled)):
        raise frame.stopped("", partial=error.partial if error is not None else outcome.value)
    if error is not None:
        raise error
    return outcome.value


def _side(side: Side, thread: Thread) -> Any:
    if thread.now >= thread.stop_at:
        raise thread.interrupted()
    ended = _race(side, thread, thread.cancelled_at, thread.stop_at)
    failed = [
        end
        for end in ended
        if isinstance(end[1], Failed) and end[0] > -math.inf and side.on_error is OnError.STOP
    ]
    failure = min(failed, key=lambda end: end[0], default=None)
    if failure is not None and failure[0] < thread.stop_at:
        stopped = _race(side, thread, failure[0], failure[0])
        before = [-math.inf < end[0] <= failure[0] for end in ended]
        ended = [end if early else late for end, late, early in zip(ended, stopped, before, strict=True)]
    thread.now = max([thread.now, *(end[0] for end in ended)])
    outcomes = [end[1] for end in ended]
    for end in ended:
        thread.said.extend(end[2])
    error = failure[1].error if failure is not None else None
    cut = any(isinstance(outcome, Failed) and isinstance(outcome.error, Cancelled) for outcome in outcomes)
    if cut and thread.now >= thread.stop_at and (error is None or isinstance(error, Cancelled)):
        raise thread.interrupted(outcomes)
    if error is not None:
        raise error
    return outcomes


def _race(side: Side, thread: Thread, cancel_at: float, closes: float) -> list[tuple[float, Any, list[Any]]]:
    """When each child ends (-inf: it never began), how, and what it says, if all are cancelled and
    none begins any more at some time."""
    limit = side.limit or len(side.programs)
    running: list[float] = []
    ended = []
    for program in side.programs:
        start = thread.now
        if len(running) >= limit:
            start = min(running)
            running.remove(start)
        if start >= closes and start > thread.now:
            ended.append((-math.inf, Failed(Cancelled()), []))
            running.append(start)
            continue
        child = Thread(start, cancel_at, [Frame(thread.frames[-1].deadline)], thread.times)
        outcome = _outcome(program, child)
        ended.append((child.now, outcome, child.said))
        running.append(child.now)
    return ended


# Strategies.


@st.composite
def programs(draw: st.DrawFn, *, side: bool) -> tuple[Program, float, tuple[float, ...]]:
    """A program, when to cancel it (or never), and when its tokens are. With `side`, flows run side by
    side, and none swallows a cancellation: which of two that are stopped at once fails first is chance."""
    order = list(range(50))  # the sums of all of them are exact in a float
    random.Random(draw(st.integers(0, 99))).shuffle(order)
    exponents = iter(order)
    program = _draw_program(draw, exponents, depth=0, side=side)
    cancel_at = 2.0 ** next(exponents, 60) if draw(st.booleans()) else math.inf
    times = [2.0 ** next(exponents, 60) if draw(st.booleans()) else math.inf for _ in range(TOKENS)]
    if draw(st.booleans()):
        times[0] = 0.0  # it was cancelled before
    return program, cancel_at, tuple(times)


def _draw_program(draw: st.DrawFn, exponents: Iterator[int], *, depth: int, side: bool) -> Program:
    operations: list[Any] = []
    kinds = ["wait", "wait", "say", "fail"]
    if depth < 3:
        kinds += ["limit", "limit", "try", "try"] + ["side"] * (2 * side)
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from(kinds))
        seconds = 2.0 ** next(exponents, 60)
        if seconds == 2.0**60:
            break

        def inner() -> Program:
            return _draw_program(draw, exponents, depth=depth + 1, side=side)

        if kind == "wait":
            operations.append(Wait(seconds))
        elif kind == "say":
            operations.append(Say(draw(st.integers(0, 9))))
        elif kind == "fail":
            operations.append(Fail(draw(st.integers(0, 9))))
        elif kind == "limit":
            token = draw(st.sampled_from((None, *range(TOKENS))))
            limit = None if token is not None and draw(st.booleans()) else seconds
            operations.append(Limit(limit, inner(), token))
        elif kind == "try":
            operations.append(Try(inner(), everything=not side and draw(st.booleans())))
        else:
            children = tuple(
                (Wait(2.0 ** next(exponents, 61)), *inner()) for _ in range(draw(st.integers(0, 3)))
            )
            on_error = draw(st.sampled_from(OnError))
            operations.append(Side(children, draw(st.sampled_from((None, 1, 2))), on_error))
    return tuple(operations)
