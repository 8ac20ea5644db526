"""The simulator as a driver: virtual time, the seed, side by side, cancelling, and what it reports."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.effects import (
    EVENT_BUFFER,
    Call,
    Emit,
    Entropy,
    Failed,
    Flow,
    Gather,
    HttpHead,
    HttpRequest,
    Now,
    OnError,
    Receive,
    Send,
    Sleep,
    Succeeded,
    Within,
)
from tako.errors import Cancelled, Interrupted, InvalidInput, TakoError, TimedOut
from tako.testing import Answer, Deadlock, Faults, Pause, ScriptedVendor, Simulator, strategies
from tests.effort import examples

REQUEST = HttpRequest("GET", "http://a.test/", read_timeout=None)


def asks(*effects: Any) -> Flow[Any]:
    """A flow that asks for the effects in turn and returns what it got: replies, or errors."""
    got: list[Any] = []
    for effect in effects:
        try:
            got.append((yield effect))
        except Exception as error:
            got.append(error)
    return got


def counting(name: str, count: int, *, seconds: float = 0.0) -> Flow[str]:
    for number in range(count):
        yield Sleep(seconds)
        yield Emit([(name, number)])
    return name


# Time.


def test_time_passes_in_waits_and_goes_on_from_run_to_run() -> None:
    simulator = Simulator(start=100.0)
    assert simulator.run(asks(Now(), Sleep(2.5), Now())) == [100.0, None, 102.5]
    assert simulator.run(asks(Now())) == [102.5]
    assert simulator.now == 102.5


def test_negative_sleep_takes_no_time() -> None:
    assert Simulator().run(asks(Sleep(-5), Now()))[1] == 0.0


def test_sleeping_side_by_side_takes_as_long_as_the_longest() -> None:
    simulator = Simulator()
    simulator.run(asks(Gather(tuple(asks(Sleep(seconds)) for seconds in (3, 1, 2)))))
    assert simulator.now == 3


def test_a_limit_takes_no_longer_than_it_says() -> None:
    simulator = Simulator()
    result = simulator.run(asks(Within(2, asks(Sleep(5))), Now()))
    assert isinstance(result[0], TimedOut)
    assert result[1] == 2


def test_a_wait_that_ends_in_the_moment_of_its_limit_ends_well() -> None:
    assert Simulator().run(asks(Within(2, asks(Sleep(2))))) == [[None]]


def test_a_called_function_takes_the_time_that_the_faults_say() -> None:
    simulator = Simulator(faults=Faults(call_seconds=3.0))
    assert simulator.run(asks(Call(len, ("ab",)), Now())) == [2, 3.0]


# The seed.


def interleaving(seed: int) -> tuple[Any, ...]:
    run = Simulator(seed).stream(asks(Gather(tuple(counting(name, 3) for name in "abc"))))
    return tuple(run)


def everything(seed: int) -> tuple[Any, ...]:
    """All that a rich run shows."""
    vendor = ScriptedVendor(Answer((b"one", Pause(1), b"two", b"three")))
    faults = Faults(cut="seeded", jitter=2.0, slow_reader=0.25)
    simulator = Simulator(seed, vendor, faults=faults)

    def fetch() -> Flow[Any]:
        head: HttpHead = yield Send(REQUEST)
        while data := (yield Receive(head.exchange)):
            yield Emit([data])
        return (yield Entropy(8))

    run = simulator.stream(asks(Gather((fetch(), fetch(), counting("a", 2, seconds=1))), Within(1, fetch())))
    return [*run], repr(run.result), run.trace, simulator.now


@given(st.integers(0, 2**64))
def test_the_same_seed_is_the_same_run(seed: int) -> None:
    assert everything(seed) == everything(seed)


def test_different_seeds_are_different_runs() -> None:
    assert len({repr(everything(seed)) for seed in range(20)}) == 20


def test_every_interleaving_is_reached() -> None:
    def orders(seed: int) -> tuple[str, ...]:
        return tuple(Simulator(seed).stream(asks(Gather(tuple(asks(Emit([name])) for name in "abc")))))

    assert len({orders(seed) for seed in range(200)}) == 6


def test_nobody_is_starved() -> None:
    for seed in range(50):
        names = [
            name for name, _ in Simulator(seed).stream(asks(Gather((counting("a", 60), counting("b", 60)))))
        ]
        first_half = names[:60]
        assert min(first_half.count("a"), first_half.count("b")) > 10


def test_the_seed_does_not_matter_where_nothing_is_side_by_side() -> None:
    runs = [list(Simulator(seed).stream(counting("a", 10))) for seed in range(10)]
    assert all(run == runs[0] for run in runs)


def test_entropy_comes_from_the_seed_alone() -> None:
    one, other = (Simulator(1).run(asks(Entropy(5), Entropy(20))) for _ in range(2))
    assert one == other
    assert [len(data) for data in one] == [5, 20]
    assert one != Simulator(2).run(asks(Entropy(5), Entropy(20)))
    side = asks(Gather((counting("a", 2), counting("b", 2))), Entropy(5))
    assert Simulator(1).run(side)[1] == one[0]


# Events and results.


def test_events_come_one_by_one_and_the_flow_goes_on_when_they_were_taken() -> None:
    reached: list[int] = []

    def flow() -> Flow[str]:
        yield Emit(["a", "b"])
        reached.append(1)
        yield Emit(["c"])
        return "done"

    run = Simulator().stream(flow())
    assert next(run) == "a"
    assert next(run) == "b"
    assert reached == []
    assert next(run) == "c"
    assert reached == [1]
    with pytest.raises(StopIteration):
        next(run)
    assert run.result == "done"


def test_the_result_reads_on_to_the_end() -> None:
    assert Simulator().stream(counting("a", 5)).result == "a"


def failing(after: Any) -> Flow[None]:
    yield Emit([after])
    raise KeyError("x")


def test_a_failure_is_raised_once_by_the_events_and_always_by_the_result() -> None:
    run = Simulator().stream(failing("a"))
    assert next(run) == "a"
    with pytest.raises(KeyError):
        next(run)
    with pytest.raises(StopIteration):
        next(run)
    for _ in range(2):
        with pytest.raises(KeyError):
            _ = run.result


def test_a_told_failure_is_raised_by_the_result_alone() -> None:
    def flow() -> Flow[Any]:
        yield Emit(["a"])
        return Failed(KeyError("x"))

    run = Simulator().stream(flow())
    assert list(run) == ["a"]
    with pytest.raises(KeyError):
        _ = run.result
    with pytest.raises(KeyError):
        Simulator().run(flow())


def test_a_told_failure_of_a_child_is_its_outcome() -> None:
    def child() -> Flow[Any]:
        yield Now()
        return Failed(error)

    error = KeyError("x")
    assert Simulator().run(asks(Gather((child(),), on_error=OnError.COLLECT))) == [[Failed(error)]]


def test_an_agent_is_asked_for_its_flow() -> None:
    class Agent:
        def flow(self, prompt: Any, *, streaming: bool = False, **options: Any) -> Flow[Any]:
            yield Emit([prompt])
            return streaming, options

    assert Simulator().run(Agent(), "hi", steps=3) == (False, {"steps": 3})
    run = Simulator().stream(Agent(), "hi")
    assert list(run) == ["hi"]
    assert run.result == (True, {})


# Side by side.


def test_outcomes_come_in_the_order_of_the_flows() -> None:
    result = Simulator().run(
        asks(Gather(tuple(counting(name, 1, seconds=s) for name, s in zip("abc", (3, 1, 2), strict=True))))
    )
    assert result == [[Succeeded("a"), Succeeded("b"), Succeeded("c")]]


def test_children_are_at_most_a_buffer_ahead_of_the_consumer() -> None:
    simulator = Simulator(faults=Faults(slow_reader=1.0))
    said = [0]

    def chatty() -> Flow[None]:
        for number in range(EVENT_BUFFER * 2):
            said[0] += 1
            yield Emit([number])

    seen = most = 0
    for _ in simulator.stream(asks(Gather((chatty(), chatty(), chatty())))):
        seen += 1
        most = max(most, said[0] - seen)
    assert seen == EVENT_BUFFER * 6
    # What is in the buffer, and the one event that each child holds in its hand.
    assert EVENT_BUFFER <= most <= EVENT_BUFFER + 3


def test_a_parent_goes_on_when_the_events_of_its_children_were_taken() -> None:
    simulator = Simulator(faults=Faults(slow_reader=1.0))
    run = simulator.stream(asks(Gather((asks(Emit(range(10))),)), Now()))
    assert list(run) == list(range(10))
    assert run.result[1] == 9.0


def test_more_events_at_once_than_the_buffer_holds() -> None:
    events = list(range(EVENT_BUFFER * 3))
    assert list(Simulator().stream(asks(Gather((asks(Emit(events)),))))) == events
    assert list(Simulator().stream(asks(Emit(events), Emit([])))) == events


def test_a_child_goes_on_when_there_was_room_for_all_its_events() -> None:
    taken = 0
    went_on: list[int] = []

    def child() -> Flow[None]:
        yield Emit(list(range(EVENT_BUFFER * 3)))
        yield Call(lambda: went_on.append(taken))

    for _ in Simulator(faults=Faults(slow_reader=1.0)).stream(asks(Gather((child(),)))):
        taken += 1
    assert went_on == [EVENT_BUFFER * 2]


# Cancelling.


def stubborn(log: list[Any]) -> Flow[Any]:
    """Waits three times, and tells of each."""
    for seconds in (1.0, 2.0, 4.0):
        try:
            log.append((yield Sleep(seconds)))
        except Cancelled:
            log.append("cancelled")
    return log


@pytest.mark.parametrize(
    ("faults", "expected", "end"),
    [
        (Faults(), [None, None, None], 7.0),
        (Faults(cancel_after=0), ["cancelled"] * 3, 0.0),
        (Faults(cancel_after=1), [None, "cancelled", "cancelled"], 1.0),
        (Faults(cancel_after=2), [None, None, "cancelled"], 3.0),
        (Faults(cancel_after=3), [None, None, None], 7.0),
        (Faults(cancel_during=1), ["cancelled"] * 3, 0.0),
        (Faults(cancel_during=2), [None, "cancelled", "cancelled"], 1.0),
        (Faults(cancel_during=3), [None, None, "cancelled"], 3.0),
        (Faults(cancel_at=0.0), ["cancelled"] * 3, 0.0),
        (Faults(cancel_at=0.5), ["cancelled"] * 3, 0.5),
        (Faults(cancel_at=1.0), [None, "cancelled", "cancelled"], 1.0),
        (Faults(cancel_at=6.5), [None, None, "cancelled"], 6.5),
    ],
)
def test_every_point_at_which_a_flow_can_be_cancelled(
    faults: Faults, expected: list[Any], end: float
) -> None:
    simulator = Simulator(faults=faults)
    assert simulator.run(stubborn([])) == expected
    assert simulator.now == end


@pytest.mark.parametrize(
    ("moment", "struck_at", "replies"),
    [
        ({"cancel_at": 1.5}, 1.5, [None, None]),
        ({"cancel_after": 1}, 1.0, [None, None]),
        ({"cancel_during": 2}, 1.0, [None, None]),
    ],
)
def test_what_is_done_instead_of_cancelling(
    moment: dict[str, Any], struck_at: float, replies: list[Any]
) -> None:
    """It happens once, at that moment; and a reply is only lost to whom it stops."""
    moments: list[float] = []
    simulator = Simulator()
    simulator.faults = Faults(**moment, instead=lambda: moments.append(simulator.now))
    assert simulator.run(asks(Sleep(1.0), Sleep(2.0))) == replies
    assert (moments, simulator.now) == ([struck_at], 3.0)
    token = CancellationToken()
    simulator.faults = Faults(**moment, instead=token.cancel)
    first, second = Simulator(faults=simulator.faults).run(
        asks(Sleep(1.0), Within(None, asks(Sleep(2.0)), token))
    )
    assert first is None and isinstance(second, Interrupted)


def test_the_reply_to_the_effect_during_which_a_run_is_cancelled_is_lost() -> None:
    called: list[int] = []
    effects = (Now(), Entropy(1), Call(called.append, (1,)), Call(_takes_token, token_argument="token"))
    for effect in effects:
        (reply,) = Simulator(faults=Faults(cancel_during=1)).run(asks(effect))
        assert isinstance(reply, Cancelled)
        assert reply.abandoned is (effect is effects[2])
    assert called == [1]


def _takes_token(token: CancellationToken) -> CancellationToken:
    return token


def test_the_given_token_is_listened_to_and_not_cancelled() -> None:
    token = CancellationToken()
    run = Simulator().stream(asks(Emit(["a"]), Sleep(9), Emit(["b"])), cancel=token)
    assert next(run) == "a"
    token.cancel()
    assert list(run) == ["b"]
    other = CancellationToken()
    Simulator(faults=Faults(cancel_at=0.0)).run(stubborn([]), cancel=other)
    assert not other.is_cancelled


def test_a_function_may_cancel_its_own_run_and_its_reply_counts() -> None:
    token = CancellationToken()
    result = Simulator().run(asks(Call(token.cancel), Sleep(1)), cancel=token)
    assert result[0] is None
    assert isinstance(result[1], Cancelled)


@pytest.mark.parametrize(
    ("seconds", "token_argument", "abandoned", "end"),
    [(10.0, None, True, 1.05), (10.0, "token", False, 1.0), (1.02, None, None, 1.02)],
)
def test_a_function_that_does_not_stop_is_abandoned(
    seconds: float, token_argument: str | None, abandoned: bool | None, end: float
) -> None:
    """It has 50 ms; one that takes a token heeds it; one that ends in time gives its value."""

    def tool(token: CancellationToken | None = None) -> str:
        tokens.append(token)
        return "value"

    tokens: list[CancellationToken | None] = []
    simulator = Simulator(faults=Faults(call_seconds=seconds, cancel_at=1.0))
    (reply,) = simulator.run(asks(Call(tool, token_argument=token_argument)))
    assert simulator.now == pytest.approx(end)
    if abandoned is None:
        assert reply == "value"
    else:
        assert reply.abandoned is abandoned
    for token in tokens:
        assert token is None or token.is_cancelled


def test_an_abandoned_function_within_a_limit_is_a_timeout() -> None:
    simulator = Simulator(faults=Faults(call_seconds=10.0))
    (error,) = simulator.run(asks(Within(1, _calls_once())))
    assert isinstance(error, TimedOut)
    assert isinstance(error.__cause__, Cancelled)
    assert error.__cause__.abandoned


def _calls_once() -> Flow[Any]:
    return (yield Call(len, ("ab",)))


def test_a_cancelled_gather_keeps_what_its_children_gave() -> None:
    simulator = Simulator(faults=Faults(cancel_at=2.0))
    (error,) = simulator.run(
        asks(Gather((counting("a", 1, seconds=1), counting("b", 9, seconds=1)), limit=2))
    )
    assert isinstance(error, Cancelled)
    assert error.partial[0] == Succeeded("a")
    assert isinstance(error.partial[1].error, Cancelled)


def test_children_that_were_not_started_are_not_started_when_time_is_up() -> None:
    started: list[str] = []

    def child(name: str) -> Flow[None]:
        started.append(name)
        yield Sleep(5)

    simulator = Simulator()
    simulator.run(asks(Within(2, asks(Gather(tuple(map(child, "abc")), limit=1)))))
    assert started == ["a"]
    assert simulator.now == 2


# Closing.


def test_closing_gives_back_what_the_flow_had_and_drops_its_events() -> None:
    def flow() -> Flow[Any]:
        told: list[Any] = []
        try:
            for number in range(9):
                yield Emit([number])
                told.append(number)
        except Cancelled:
            yield Emit(["dropped"])
            told += yield from asks(Sleep(1))
        return told

    with Simulator().stream(flow()) as run:
        assert next(run) == 0
        assert next(run) == 1
    assert run.result[:-1] == [0]
    assert isinstance(run.result[-1], Cancelled)
    assert list(run) == []
    run.close()


def test_closing_cancels_the_children() -> None:
    run = Simulator().stream(asks(Gather((counting("a", 99, seconds=1), counting("b", 99, seconds=1)))))
    next(run)
    run.close()
    assert isinstance(run.result[0], Cancelled)
    assert run.now == 1.0


def test_closing_before_the_start() -> None:
    run = Simulator().stream(counting("a", 3))
    run.close()
    assert list(run) == []
    with pytest.raises(Cancelled):
        _ = run.result


def test_closing_a_flow_that_then_fails() -> None:
    def flow() -> Flow[None]:
        try:
            yield Emit(["a"])
        finally:
            raise KeyError("x")

    run = Simulator().stream(flow())
    next(run)
    run.close()
    assert list(run) == []
    with pytest.raises(KeyError):
        _ = run.result


# What cannot go on.


def test_a_deadlock_says_who_waits_for_what() -> None:
    vendor = ScriptedVendor(Answer((Pause(math.inf), b"x")))

    def fetch() -> Flow[Any]:
        head: HttpHead = yield Send(REQUEST)
        return (yield Receive(head.exchange))

    with pytest.raises(Deadlock) as caught:
        Simulator(vendor=vendor).run(asks(Sleep(2), Gather((fetch(), asks(Sleep(1))))))
    text = str(caught.value)
    assert "at 3 s" in text
    assert "task 0 waits for Gather [fetch, asks] since 2 s" in text
    assert "task 0.0 waits for Receive from exchange 1 since 2 s" in text
    assert "task 0.1" not in text


def test_a_flow_that_goes_round_without_end_is_stopped() -> None:
    def spin() -> Flow[None]:
        try:
            while True:
                yield Now()
        finally:
            closed.append(1)

    closed: list[int] = []
    with pytest.raises(Deadlock, match="100 effects"):
        Simulator(max_effects=100).run(spin())
    assert closed == [1]


def test_an_interrupt_of_the_caller_closes_all_flows() -> None:
    closed: list[str] = []

    def child(name: str, effect: Any) -> Flow[None]:
        try:
            yield effect
        finally:
            closed.append(name)

    def press() -> None:
        raise KeyboardInterrupt

    run = Simulator().stream(child("0", Gather((child("0.0", Sleep(9)), _later(child("0.1", Call(press)))))))
    with pytest.raises(KeyboardInterrupt):
        list(run)
    assert sorted(closed) == ["0", "0.0", "0.1"]
    with pytest.raises(Cancelled):
        _ = run.result


def _later(flow: Flow[Any]) -> Flow[Any]:
    yield Sleep(1)
    return (yield from flow)


def test_a_run_without_a_vendor_says_so() -> None:
    with pytest.raises(InvalidInput, match="vendor="):
        Simulator().run(_sends())


def _sends() -> Flow[Any]:
    return (yield Send(REQUEST))


# The trace.


def test_the_trace_holds_every_effect_with_its_times() -> None:
    simulator = Simulator()
    run = simulator.stream(
        asks(Sleep(1), Emit(["x"]), Gather((asks(Call(len, (3,))),)), Within(1, asks(Sleep(9))))
    )
    list(run)
    seen = [(entry.number, entry.task, entry.what, entry.began, entry.ended) for entry in run.trace]
    assert seen == [
        (1, "0", "Sleep 1 s", 0.0, 1.0),
        (2, "0", "Emit ['x']", 1.0, 1.0),
        (3, "0", "Gather [asks]", 1.0, 1.0),
        (4, "0.0", "Call len", 1.0, 1.0),
        (5, "0", "Sleep 9 s", 1.0, 2.0),
    ]
    outcomes = [entry.outcome for entry in run.trace]
    assert outcomes[:3] == ["replied", "taken", "replied"]
    assert outcomes[3].startswith("TypeError: ")
    assert outcomes[4] == "cut short"
    assert run.trace[0].effect == Sleep(1)
    assert simulator.trace is run.trace


# Whatever goes wrong.


def fetcher(log: list[Any]) -> Flow[Any]:
    """A flow with a bit of everything, that gives back what it had."""

    def fetch(limit: float) -> Flow[Any]:
        try:
            head: HttpHead = yield Send(HttpRequest("GET", "http://a.test/", read_timeout=limit))
            while data := (yield Receive(head.exchange)):
                yield Emit([data])
            return (yield Call(len, (b"x",)))
        finally:
            log.append("left")

    try:
        yield Gather((fetch(1), limited(5, fetch(100)), fetch(10)), 2, OnError.COLLECT)
        yield from fetch(50)
    except TakoError as error:
        log.append(error)
    return log


def limited(seconds: float, flow: Flow[Any]) -> Flow[Any]:
    return (yield Within(seconds, flow))


@settings(max_examples=examples(3), deadline=None)
@given(strategies.faults(body_size=20, cancel=True), st.integers(0, 2**32))
def test_whatever_goes_wrong_a_run_ends_leaves_nothing_open_and_can_be_repeated(
    faults: Faults, seed: int
) -> None:
    def play() -> tuple[Any, ...]:
        simulator = Simulator(seed, ScriptedVendor(Answer((b"0123456789", Pause(3), b"abc"))), faults=faults)
        run = simulator.stream(fetcher([]))
        events = list(run)
        assert run.open_exchanges == ()
        assert all(entry.ended is not None for entry in run.trace)
        return events, repr(run.result), run.trace

    assert play() == play()


@given(st.integers(0, 40), st.sampled_from(["cancel_after", "cancel_during"]), st.integers(0, 99))
def test_cancelled_around_any_effect_nothing_new_begins(number: int, how: str, seed: int) -> None:
    """From the moment of the cancellation no effect but Emit begins."""
    token_seen: list[int] = []
    options: dict[str, Any] = {how: number if how == "cancel_after" else number + 1}
    simulator = Simulator(seed, ScriptedVendor(Answer((b"0123456789", b"abc"))), faults=Faults(**options))
    run = simulator.stream(fetcher(token_seen))
    list(run)
    cancelled_at = next((entry.number for entry in run.trace if entry.number == options[how]), None)
    if how == "cancel_during" and cancelled_at is not None:
        later = [entry for entry in run.trace[cancelled_at:] if not entry.what.startswith("Emit")]
        assert later == []
    if how == "cancel_after" and number == 0:
        assert [entry for entry in run.trace if not entry.what.startswith("Emit")] == []


def test_simulators_may_be_nested_in_a_called_function() -> None:
    inner: Callable[[], Any] = lambda: Simulator().run(asks(Sleep(5), Now()))  # noqa: E731
    assert Simulator().run(asks(Call(inner), Now())) == [[None, 5.0], 0.0]
