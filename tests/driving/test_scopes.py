"""Steps with tokens of their parts: what an interruption means, and that frames leave all as it was."""

from __future__ import annotations

import math
import sys
import weakref
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.driving.steps import Returned, Steps
from tako.effects import Emit, Flow, Gather, Now, Sleep, Within
from tako.errors import Cancelled, Interrupted, TakoError, TransportError
from tests.effort import examples

from .test_steps import Clock, asks, started


def test_interrupted_the_frame_is_refused_every_wait_and_then_the_parent_runs_again() -> None:
    token = CancellationToken()
    steps, _, _ = started(asks(Within(None, asks(Sleep(9), Sleep(8), Emit(["x"])), token), Now()))
    token.cancel()
    assert steps.must_stop
    assert steps.interrupt() == Emit(["x"])
    assert steps.send(None) == Now()
    assert not steps.must_stop
    assert steps.send(6.0) == Returned(["Interrupted", 6.0])


def test_what_an_interrupted_flow_still_gives_back_is_the_partial() -> None:
    def outer() -> Flow[Any]:
        try:
            yield Within(None, asks(Sleep(9)), token)
        except Interrupted as error:
            return str(error), error.partial, type(error.__cause__)

    token = CancellationToken()
    steps, _, _ = started(outer())
    token.cancel()
    assert steps.interrupt() == Returned(("interrupted", ["Cancelled"], type(None)))


def test_an_interrupted_flow_that_fails_for_another_reason_keeps_it() -> None:
    def inner() -> Flow[None]:
        try:
            yield Sleep(9)
        except Cancelled:
            raise TransportError("broken") from None

    token = CancellationToken()
    steps, _, _ = started(asks(Within(None, inner(), token)))
    token.cancel()
    assert steps.interrupt() == Returned(["TransportError"])


@pytest.mark.parametrize("by_the_flow", [False, True])
def test_a_flow_that_hears_of_its_token_before_the_driver_does_is_interrupted(by_the_flow: bool) -> None:
    """A function that heeds its token may raise Cancelled at once, and so may the flow itself."""

    def inner() -> Flow[None]:
        yield Now()
        token.raise_if_cancelled()

    def outer() -> Flow[Any]:
        try:
            yield Within(None, inner(), token)
        except Interrupted as error:
            return error.partial, type(error.__cause__)

    token = CancellationToken()
    steps, _, _ = started(outer())
    token.cancel()
    error = Cancelled(partial="half", abandoned=True)
    end = steps.send(0.0) if by_the_flow else steps.throw(error)
    assert end == Returned((None if by_the_flow else "half", Cancelled))


def test_what_a_flow_makes_of_the_cancelled_that_a_function_raised_is_the_partial() -> None:
    def outer() -> Flow[Any]:
        try:
            yield Within(None, asks(Now()), token)
        except Interrupted as error:
            return error.partial

    token = CancellationToken()
    steps, _, _ = started(outer())
    token.cancel()
    assert steps.throw(Cancelled()) == Returned(["Cancelled"])


def test_what_an_interrupted_flow_has_opened_is_closed_although_it_returned() -> None:
    token, discarded = CancellationToken(), []
    steps, _, _ = started(asks(Within(None, asks(Sleep(9)), token), Now()), discard=discarded.append)
    steps.opened.add(7)
    token.cancel()
    assert steps.interrupt() == Now()
    assert discarded == [{7}]
    assert not steps.all_opened


def test_a_cancelled_that_nobody_asked_for_is_an_error_like_others() -> None:
    steps, effect, _ = started(asks(Within(9, raising(Cancelled()), CancellationToken()), Now()))
    assert effect == Now()
    assert steps.send(0.0) == Returned(["Cancelled", 0.0])


def raising(error: Exception) -> Flow[None]:
    raise error
    yield


def test_a_token_that_is_cancelled_when_its_flow_has_its_last_reply_stops_nothing() -> None:
    token = CancellationToken()
    steps, _, _ = started(asks(Within(None, asks(Sleep(1)), token), Now()))
    token.cancel()
    assert steps.send(None) == Now()
    assert steps.send(1.0) == Returned([[None], 1.0])


def test_refused_a_gather_its_flows_are_closed() -> None:
    token, flow = CancellationToken(), asks(Now())
    token.cancel()
    started(asks(Gather((flow,))), token=token)
    assert flow.gi_frame is None  # type: ignore[attr-defined]


def test_of_two_tokens_that_are_related_the_outer_one_is_heard() -> None:
    """The link of the inner frame is reached first, and wakes the driver when it alone is cancelled."""

    def middle() -> Flow[Any]:
        return (yield from asks(Within(None, asks(Sleep(9)), token.child()), Now()))

    def outer() -> Flow[Any]:
        try:
            yield Within(None, middle(), token)
        except Interrupted as error:
            return error.partial

    def wake() -> None:
        if not woken:
            woken.append(steps.interrupt())

    token, woken = CancellationToken(), list[Any]()
    steps, _, _ = started(outer(), wake=wake)
    token.cancel()
    assert woken == [Now()]
    assert steps.interrupt() == Returned([["Cancelled"], "Cancelled"]), "the inner one just ends"


def test_the_wake_of_a_frame_that_has_ended_is_not_called() -> None:
    token, woken = CancellationToken(), []
    steps, _, _ = started(asks(Within(None, asks(Now()), token), Now()), wake=lambda: woken.append(1))
    steps.send(0.0)
    token.cancel()
    assert not woken
    assert not steps.must_stop


def test_other_threads_may_ask_while_frames_come_and_go() -> None:
    """What `must_stop` looks at may be gone when it looks again."""

    class Vanishing(Steps[Any]):
        """Each of its limits is there the first time that somebody looks."""

        limits: list[Any]

        def look(self) -> Any:
            return self.limits.pop() if self.limits else None

        def keep(self, limit: Any) -> None:
            self.limits = [limit]

    for name, limit in ("token", CancellationToken()), ("deadline", 9.0):
        kind = type("Vanishing", (Vanishing,), {name: property(Vanishing.look, Vanishing.keep)})
        steps = kind(asks(Now()), Clock())
        setattr(steps, name, limit)
        assert not steps.must_stop


def test_closed_with_frames_open_it_lets_go_of_their_tokens() -> None:
    run, token = CancellationToken(), CancellationToken()
    steps, _, _ = started(asks(Within(5, asks(Within(None, asks(Now()), token)), token)), token=run)
    steps.opened.add(3)
    assert len(token._callbacks) == 2
    steps.close()
    assert not token._callbacks
    assert not run._callbacks
    assert (steps.token, steps.deadline, steps.scopes, steps.opened) == (run, None, 0, {3})


def test_no_recursion_however_many_frames_are_closed() -> None:
    def nested(depth: int) -> Flow[None]:
        if depth == 0:
            yield Now()
        else:
            yield Within(9, nested(depth - 1), token)

    token = CancellationToken()
    steps, _, _ = started(nested(sys.getrecursionlimit() * 2))
    steps.close()
    assert not token._callbacks


@pytest.mark.parametrize("end", ["return", "close"])
def test_the_driver_is_let_go_when_the_flow_has_ended(end: str) -> None:
    """It holds us, so that both would wait for the garbage collector."""

    class Driver:
        def wake(self) -> None: ...
        def discard(self, opened: set[int]) -> None: ...

    driver = Driver()
    steps, _, _ = started(asks(Now()), wake=driver.wake, discard=driver.discard)
    gone = weakref.ref(driver)
    del driver
    assert gone() is not None
    if end == "return":
        steps.send(0.0)
    else:
        steps.close()
    assert gone() is None


@dataclass
class Model:
    """A frame as it should be."""

    deadline: float
    token: int | None
    opened: set[int] = field(default_factory=set)


def puppet(seen: list[str]) -> Flow[None]:
    """A flow whose replies are commands."""
    while (command := (yield Now())) != "return":
        if command == "raise":
            raise TransportError("raised")
        try:
            seconds, token = command
            yield Within(seconds, puppet(seen), token)
        except Cancelled:
            raise
        except TakoError as error:
            seen.append(type(error).__name__)


class Puppets:
    """Frames opened and ended by command, beside a model of them.

    The second token cancels the third in a callback, and the fourth is a child of the second.
    """

    def __init__(self) -> None:
        second = CancellationToken()
        self.tokens = [CancellationToken(), second, CancellationToken(), second.child()]
        second.on_cancel(self.tokens[2].cancel)
        self.callbacks = [0, 2, 0, 0]
        self.woken = 0
        self.discarded: set[int] = set()
        self.seen: list[str] = []
        self.expected: list[str] = []
        self.frames = [Model(math.inf, None)]
        self.run = CancellationToken()
        self.clock = Clock()
        self.steps = Steps(puppet(self.seen), self.clock, self.run, None, self.wake, self.discarded.update)
        self.lost: set[int] = set()
        self.held: list[Any] = []  # as a function would that was left behind
        self.steps.send(None)

    def wake(self) -> None:
        self.woken += 1

    def is_cancelled(self, frame: Model) -> bool:
        return frame.token is not None and self.tokens[frame.token].is_cancelled

    def open(self, seconds: float | None, number: int | None) -> None:
        self.steps.send((seconds, None if number is None else self.tokens[number]))
        if number is not None and self.tokens[number].is_cancelled:
            self.expected.append("Interrupted")
        else:
            limit = math.inf if seconds is None else self.clock.now + seconds
            self.frames.append(Model(min(limit, self.frames[-1].deadline), number))

    def end(self, command: str) -> None:
        if len(self.frames) > 1:
            self.steps.send(command)
            frame = self.frames.pop()
            if command == "return":
                self.frames[-1].opened |= frame.opened
            else:
                self.expected.append("TransportError")
                self.lost |= frame.opened

    def cancel(self, number: int) -> None:
        cancelled, before = [token.is_cancelled for token in self.tokens], self.woken
        self.tokens[number].cancel()
        self.tokens[number].cancel()
        fresh = [token.is_cancelled and not was for token, was in zip(self.tokens, cancelled, strict=True)]
        stopped = any(frame.token is not None and fresh[frame.token] for frame in self.frames)
        assert (self.woken > before) is stopped
        self.stop()

    def stop(self) -> None:
        """What the driver does, and what should come of it."""
        outermost = next(
            (
                (index, frame)
                for index, frame in enumerate(self.frames)
                if self.is_cancelled(frame) or self.clock.now >= frame.deadline
            ),
            None,
        )
        assert self.steps.must_stop is (outermost is not None)
        if outermost is None:
            return
        self.steps.interrupt()
        index, frame = outermost
        self.expected.append("Interrupted" if self.is_cancelled(frame) else "TimedOut")
        for ended in self.frames[index:]:
            self.lost |= ended.opened
        del self.frames[index:]

    def check(self) -> None:
        steps, innermost = self.steps, self.frames[-1]
        scopes = [frame.token for frame in self.frames if frame.token is not None]
        assert self.seen == self.expected
        assert steps.scopes == len(scopes)
        assert (math.inf if steps.deadline is None else steps.deadline) == innermost.deadline
        assert steps.opened == innermost.opened
        assert steps.all_opened == set().union(*[frame.opened for frame in self.frames])
        assert self.discarded == self.lost
        assert not steps.must_stop
        assert (steps.token is self.run) is (not scopes)
        self.held.append(steps.token)
        for number, token in enumerate(self.tokens):
            if not token.is_cancelled:
                assert len(token._callbacks) == self.callbacks[number] + scopes.count(number)
        if not scopes:
            assert not any(
                len(token._callbacks) > count
                for token, count in zip(self.tokens, self.callbacks, strict=True)
            )
        assert len(self.run._callbacks) == bool(scopes)  # the frames' tokens are a chain


numbers = st.integers(0, 3)
commands = st.one_of(
    st.tuples(st.just("open"), st.sampled_from([None, 1, 4, 9]), st.none() | numbers),
    st.tuples(st.just("end"), st.sampled_from(["return", "raise"])),
    st.tuples(st.just("cancel"), numbers),
    st.tuples(st.just("pass"), st.sampled_from([1, 3])),
    st.tuples(st.just("exchange")),
)


@settings(max_examples=examples(3))
@given(st.lists(commands, max_size=25), st.booleans())
def test_frames_in_any_order_leave_everything_as_it_was(steps: list[Any], closed: bool) -> None:
    puppets = Puppets()
    for number, (kind, *arguments) in enumerate(steps):
        match kind:
            case "open":
                puppets.open(*arguments)
            case "end":
                puppets.end(*arguments)
            case "cancel":
                puppets.cancel(*arguments)
            case "pass":
                puppets.clock.now += arguments[0]
                puppets.stop()
            case _:
                puppets.steps.opened.add(number)
                puppets.frames[-1].opened.add(number)
        puppets.check()
    left = puppets.steps.all_opened
    if closed:
        puppets.steps.close()
        puppets.frames[:] = [Model(math.inf, None, left)]
    while len(puppets.frames) > 1:
        puppets.end("return")
    if not closed:
        assert puppets.steps.send("return") == Returned(None)
    puppets.check()
    assert puppets.steps.opened == left
