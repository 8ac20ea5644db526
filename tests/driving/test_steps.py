"""Steps: each row of its table, each edge between rows, and random flows against a plain reference."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import example, given, settings

from tako.cancellation import CancellationToken
from tako.driving.steps import MAX_REFUSALS, Returned, Steps
from tako.effects import Emit, Failed, Flow, Now, Sleep, Succeeded, Within
from tako.errors import Cancelled, TakoError, TimedOut, TransportError
from tests.effort import examples

from .programs import NEVER, TOKENS, Limit, Program, Try, Wait, evaluate, flow_of, programs, words


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def started(flow: Flow[Any], **options: Any) -> tuple[Steps[Any], Any, Clock]:
    """A flow at its first effect."""
    clock = Clock()
    steps = Steps(flow, clock, **options)
    return steps, steps.send(None), clock


def asks(*effects: Any) -> Flow[Any]:
    """A flow that asks for the effects in turn, and returns what it got: replies, or errors' names."""
    got: list[Any] = []
    for effect in effects:
        try:
            got.append((yield effect))
        except TakoError as error:
            got.append(type(error).__name__)
    return got


# Running.


def test_a_reply_resumes_and_the_result_is_returned() -> None:
    steps, effect, _ = started(asks(Now(), Sleep(1)))
    assert effect == Now()
    assert steps.send(5.0) == Sleep(1)
    assert steps.send(None) == Returned([5.0, None])


def test_a_thrown_error_reaches_the_wait_and_what_the_flow_raises_comes_out() -> None:
    def flow() -> Flow[None]:
        try:
            yield Now()
        except TransportError as error:
            raise KeyError("x") from error

    steps, _, _ = started(flow())
    with pytest.raises(KeyError) as caught:
        steps.throw(TransportError("t"))
    assert isinstance(caught.value.__cause__, TransportError)


def test_a_flow_that_ends_at_once() -> None:
    assert started(asks())[1] == Returned([])


def test_a_flow_that_raises_at_once() -> None:
    def flow() -> Flow[None]:
        raise KeyError("x")
        yield

    with pytest.raises(KeyError):
        started(flow())


def test_a_told_failure_is_raised_when_the_result_is_asked_for() -> None:
    returned: Returned[Any] = Returned(Failed(KeyError("x")))
    with pytest.raises(KeyError):
        returned.unwrap()
    assert Returned(3).unwrap() == 3
    assert Returned(Succeeded(3)).unwrap() == Succeeded(3)


def test_a_flow_within_a_flow_is_not_seen_by_the_driver() -> None:
    def outer() -> Flow[Any]:
        first = yield Within(9, asks(Now(), Sleep(1)))
        second = yield Within(9, asks())
        return first, second

    steps, effect, _ = started(outer())
    assert effect == Now()
    assert steps.send(1.0) == Sleep(1)
    assert steps.send(None) == Returned(([1.0, None], []))


def test_a_failure_within_is_the_parents() -> None:
    def inner() -> Flow[None]:
        yield Now()
        raise KeyError("x")

    def outer() -> Flow[str]:
        try:
            yield Within(9, inner())
        except KeyError:
            yield Sleep(1)
        return "caught"

    steps, _, _ = started(outer())
    assert steps.send(0.0) == Sleep(1)
    assert steps.send(None) == Returned("caught")


def test_no_recursion_however_deep_flows_are_nested() -> None:
    def nested(depth: int) -> Flow[int]:
        if depth == 0:
            yield Now()
            return 0
        return 1 + (yield Within(9, nested(depth - 1)))

    depth = sys.getrecursionlimit() * 2
    steps, effect, _ = started(nested(depth))
    assert effect == Now()
    assert steps.send(0.0) == Returned(depth)


# Deadlines.


def test_the_deadline_is_the_nearest_of_all_frames() -> None:
    def outer() -> Flow[Any]:
        yield Within(5, asks(Within(9, asks(Now())), Now()))
        yield Now()

    steps, _, clock = started(outer())
    assert steps.deadline == 5
    clock.now = 1
    steps.send(0.0)
    assert steps.deadline == 5
    steps.send(0.0)
    assert steps.deadline is None
    assert steps.send(0.0) == Returned(None)
    assert steps.deadline is None


def test_a_deadline_given_by_the_driver_is_a_cancellation_not_a_timeout() -> None:
    steps, _, clock = started(asks(Sleep(9), Sleep(9)), deadline=5.0)
    clock.now = 5.0
    assert steps.must_stop
    assert steps.interrupt() == Returned(["Cancelled", "Cancelled"])


def test_must_stop_turns_true_at_the_deadline_and_not_before() -> None:
    steps, _, clock = started(asks(Within(5, asks(Sleep(9)))))
    clock.now = 4.999
    assert not steps.must_stop
    clock.now = 5.0
    assert steps.must_stop


def test_expired_the_frame_is_refused_every_wait_and_then_the_parent_runs_again() -> None:
    steps, _, clock = started(asks(Within(5, asks(Sleep(9), Sleep(8), Sleep(7))), Now()))
    clock.now = 5.0
    assert steps.interrupt() == Now()
    assert steps.send(6.0) == Returned(["TimedOut", 6.0])


def timed_out(inner: Flow[Any], *, at: float = 5.0, **options: Any) -> TimedOut:
    """The error that the parent gets of a flow whose wait was interrupted after five seconds."""

    def outer() -> Flow[Any]:
        try:
            yield Within(5, inner)
        except TimedOut as error:
            return error

    steps, _, clock = started(outer())
    clock.now = at
    step = steps.interrupt(**options)
    assert isinstance(step, Returned)
    assert isinstance(step.value, TimedOut)
    return step.value


def test_what_an_expired_flow_still_gives_back_is_the_partial() -> None:
    assert timed_out(asks(Sleep(9))).partial == ["Cancelled"]


def test_what_an_expired_flow_raises_with_its_cancellation_is_the_partial() -> None:
    def inner() -> Flow[None]:
        try:
            yield Sleep(9)
        except Cancelled as error:
            error.partial = "half"
            raise

    assert timed_out(inner()).partial == "half"


def test_what_the_driver_says_of_an_interrupted_wait_reaches_the_flow() -> None:
    def inner() -> Flow[None]:
        yield Sleep(9)

    error = timed_out(inner(), partial=[1], abandoned=True)
    assert error.partial == [1]
    assert isinstance(error.__cause__, Cancelled)
    assert error.__cause__.abandoned
    assert str(error) == "not done within 5 seconds"


def test_an_expired_flow_that_fails_for_another_reason_keeps_it() -> None:
    def inner() -> Flow[None]:
        try:
            yield Sleep(9)
        except Cancelled:
            raise TransportError("broken") from None

    steps, _, clock = started(asks(Within(5, inner())))
    clock.now = 5.0
    assert steps.interrupt() == Returned(["TransportError"])


def test_the_outermost_frame_whose_time_is_up_expires() -> None:
    inner = asks(Within(5, asks(Sleep(9))), Sleep(8))
    steps, _, clock = started(asks(Within(5, inner), Now()))
    clock.now = 5.0
    # Both deadlines are the same: the inner flow is cancelled, not timed out.
    assert steps.interrupt() == Now()
    assert steps.send(0.0) == Returned(["TimedOut", 0.0])


def test_an_event_of_an_expired_flow_is_still_handed_out() -> None:
    def inner() -> Flow[None]:
        try:
            yield Sleep(9)
        finally:
            yield Emit(["bye"])

    steps, _, clock = started(asks(Within(5, inner())))
    clock.now = 5.0
    assert steps.interrupt() == Emit(["bye"])
    assert steps.send(None) == Returned(["TimedOut"])


def test_a_limit_of_no_time_refuses_the_first_wait() -> None:
    assert started(asks(Within(0, asks(Sleep(1)))))[1] == Returned(["TimedOut"])


def test_a_flow_that_is_done_in_time_is_not_timed_out_afterwards() -> None:
    steps, _, clock = started(asks(Within(5, asks(Sleep(5)))))
    clock.now = 5.0
    assert steps.send(None) == Returned([[None]])


def test_a_healthy_flow_may_time_out_as_often_as_it_likes() -> None:
    def polls() -> Flow[int]:
        late = 0
        for _ in range(MAX_REFUSALS * 2):
            try:
                yield Within(1, asks(Sleep(9), Sleep(8)))
            except TimedOut:
                late += 1
        return late

    steps, step, clock = started(polls())
    while not isinstance(step, Returned):
        clock.now += 1
        step = steps.interrupt()
    assert step == Returned(MAX_REFUSALS * 2)


# Cancellation.


@pytest.mark.parametrize("by_token", [True, False])
def test_cancelled_every_wait_is_refused_but_events_are_not(by_token: bool) -> None:
    token = CancellationToken()
    steps, _, _ = started(asks(Sleep(9), Emit(["x"]), Sleep(8), Within(1, asks(Now()))), token=token)
    if by_token:
        token.cancel()
    assert steps.must_stop is by_token
    assert (steps.interrupt() if by_token else steps.cancel()) == Emit(["x"])
    assert steps.must_stop
    assert steps.send(None) == Returned(["Cancelled", None, "Cancelled", "Cancelled"])


def test_a_flow_whose_token_was_cancelled_before_gets_no_wait_at_all() -> None:
    token = CancellationToken()
    token.cancel()
    assert started(asks(Sleep(1)), token=token)[1] == Returned(["Cancelled"])


def test_a_cancellation_beats_a_deadline() -> None:
    token = CancellationToken()
    steps, _, clock = started(asks(Within(5, asks(Sleep(9))), Sleep(1)), token=token)
    clock.now = 5.0
    token.cancel()
    assert steps.interrupt() == Returned([["Cancelled"], "Cancelled"])


def test_a_cancelled_flow_that_was_refused_a_within_closes_its_flow() -> None:
    inner = asks(Now())
    token = CancellationToken()
    token.cancel()
    started(asks(Within(1, inner)), token=token)
    assert inner.gi_frame is None  # type: ignore[attr-defined]


def test_an_interrupt_without_a_reason_is_a_cancellation_of_one_wait() -> None:
    steps, _, _ = started(asks(Sleep(9), Now()))
    assert steps.interrupt() == Now()
    assert steps.send(1.0) == Returned(["Cancelled", 1.0])


def deaf(seen: list[int]) -> Flow[None]:
    """A flow that does not hear."""
    while True:
        try:
            yield Sleep(1)
        except Cancelled:
            seen.append(1)


def test_a_flow_that_would_not_stop_is_closed() -> None:
    seen: list[int] = []
    steps, _, _ = started(deaf(seen))
    with pytest.raises(Cancelled, match="would not stop"):
        steps.cancel()
    assert len(seen) == MAX_REFUSALS + 1


def test_an_expired_flow_that_would_not_stop_is_closed_and_its_parent_goes_on() -> None:
    steps, _, clock = started(asks(Within(5, deaf([])), Now()))
    clock.now = 5.0
    assert steps.interrupt() == Now()
    assert steps.send(0.0) == Returned(["TimedOut", 0.0])


def babbling(seen: list[int]) -> Flow[None]:
    """A flow that only emits, for ever."""
    for number in count():
        seen.append(number)
        try:
            yield Emit([number])
        except Cancelled:
            continue


def test_unwound_a_flow_runs_to_its_end_and_nobody_hears_it() -> None:
    steps, _, _ = started(asks(Sleep(9), Emit(["x"]), Within(1, asks(Now()))))
    assert steps.unwind() == Returned(["Cancelled", None, "Cancelled"])


def test_unwound_a_flow_raises_what_it_raises() -> None:
    def stubborn() -> Flow[None]:
        try:
            yield Sleep(9)
        finally:
            raise TransportError("gone", phase="body")

    steps, _, _ = started(stubborn())
    with pytest.raises(TransportError, match="gone"):
        steps.unwind()


def test_unwound_a_flow_that_emits_for_ever_is_closed() -> None:
    seen: list[int] = []
    steps, _, _ = started(babbling(seen))
    with pytest.raises(Cancelled, match="would not stop"):
        steps.unwind()
    assert len(seen) == MAX_REFUSALS + 2
    steps.close()  # it is closed already


def stone_deaf() -> Flow[None]:
    """A flow that cannot even be closed, at the first try."""
    for _ in range(MAX_REFUSALS + 3):
        try:
            yield Sleep(1)
        except BaseException:
            pass


def test_a_flow_that_cannot_be_closed_is_an_error_of_its_own() -> None:
    steps, _, _ = started(stone_deaf())
    with pytest.raises(RuntimeError, match="GeneratorExit"):
        steps.cancel()


# Closing.


def test_close_runs_the_cleanup_innermost_first() -> None:
    closed: list[str] = []

    def flow(name: str, effect: Any) -> Flow[None]:
        try:
            yield effect
        finally:
            closed.append(name)

    steps, _, _ = started(flow("outer", Within(5, flow("inner", Sleep(9)))))
    steps.close()
    steps.close()
    assert closed == ["inner", "outer"]


def test_close_closes_all_whatever_one_of_them_raises() -> None:
    closed: list[str] = []

    def flow(name: str, effect: Any) -> Flow[None]:
        try:
            yield effect
        finally:
            closed.append(name)
            raise KeyError(name)

    steps, _, _ = started(flow("outer", Within(5, flow("inner", Sleep(9)))))
    with pytest.raises(KeyError):
        steps.close()
    assert closed == ["inner", "outer"]


# Against the reference.


def drive(
    program: Program, cancel_at: float, times: tuple[float, ...]
) -> tuple[Any, list[tuple[float, Any]], float]:
    """A driver in a few lines, for one flow that sleeps. It looks at `must_stop` only when it is woken."""
    clock, token, said = Clock(), CancellationToken(), []
    tokens = [CancellationToken() for _ in range(TOKENS)]
    woken: list[bool] = []
    token.on_cancel(lambda: woken.append(True))
    switches = sorted(zip((cancel_at, *times), (token, *tokens), strict=True), key=lambda pair: pair[0])

    def wait_until(moment: float) -> bool:
        """Let time pass; whether it went well."""
        end = max(clock.now, min(moment, math.inf if steps.deadline is None else steps.deadline))
        while switches and switches[0][0] <= end:
            clock.now, switch = switches.pop(0)
            woken.clear()
            switch.cancel()
            if woken and steps.must_stop:
                return False
        clock.now = end
        return end >= moment

    steps = Steps(flow_of(program, tokens), clock, token, wake=lambda: woken.append(True))
    for time, switch in switches[:]:
        if not time:
            switch.cancel()
            switches.remove((time, switch))
    try:
        outcome: Any = drive_on(steps, wait_until, said, clock)
    except Exception as error:
        outcome = error
    assert not any(token._callbacks for token in tokens)
    assert (steps.token, steps.deadline, steps.scopes) == (token, None, 0)
    return words(outcome), said, clock.now


def drive_on(steps: Steps[Any], wait_until: Callable[[float], bool], said: list[Any], clock: Clock) -> Any:
    step: Any = steps.send(None)
    while not isinstance(step, Returned):
        if isinstance(step, Emit):
            said += [(clock.now, event) for event in step.events]
            step = steps.send(None)
        else:
            step = steps.send(None) if wait_until(clock.now + step.seconds) else steps.interrupt()
    return step.value


@settings(max_examples=examples(6))
@given(programs(side=False))
@example(((Try((Limit(1.0, (Limit(2.0, (Try((Wait(4.0),), True), Wait(8.0))),)),), False),), math.inf, NEVER))
@example(((Limit(None, (Limit(2.0, (Wait(4.0),), 1),), 0), Wait(8.0)), math.inf, (1.0, 2.0, 0.0)))
def test_random_flows_do_what_the_reference_does(case: tuple[Program, float, tuple[float, ...]]) -> None:
    program, cancel_at, times = case
    assert drive(program, cancel_at, times) == evaluate(program, cancel_at, times)
