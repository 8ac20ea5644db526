"""Gather: children in threads, their events in order of arrival, none outlives it."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from tako.cancellation import CancellationToken
from tako.effects import (
    EVENT_BUFFER,
    Call,
    Emit,
    Failed,
    Flow,
    Gather,
    OnError,
    Receive,
    Send,
    Sleep,
    Succeeded,
    Within,
)
from tako.errors import Cancelled, TimedOut
from tako.testing.vendor import Answer, Pause, ScriptedVendor
from tako_io_sync import Runtime
from tako_io_sync.loopback import LoopbackServer
from tests.adapters.sync.kit import (
    Cancelling,
    fetch,
    in_time,
    nothing_left_behind,
    post,
    three_tries,
    wait_until,
)


def gathering(*flows: Flow[Any], limit: int | None = None, on_error: OnError = OnError.STOP) -> Flow[Any]:
    return (yield Gather(flows, limit, on_error))


def worker(name: str, *seconds: float) -> Flow[str]:
    for number, pause in enumerate(seconds):
        yield Sleep(pause)
        yield Emit((f"{name}{number}",))
    return name


def failing(seconds: float, error: Exception) -> Flow[None]:
    yield Sleep(seconds)
    raise error


def test_nothing_to_gather(runtime: Runtime) -> None:
    assert runtime.run(gathering()) == []


def test_events_come_in_order_of_arrival_and_outcomes_in_that_of_the_flows(runtime: Runtime) -> None:
    with nothing_left_behind():
        events = runtime.stream(gathering(worker("a", 0.09, 0.06), worker("b", 0.03, 0.03), worker("c", 0)))
        assert list(events) == ["c0", "b0", "b1", "a0", "a1"]
        assert events.result == [Succeeded("a"), Succeeded("b"), Succeeded("c")]


def test_run_drops_events_and_needs_no_consumer(runtime: Runtime) -> None:
    def chatty() -> Flow[int]:
        for number in range(10 * EVENT_BUFFER):
            yield Emit((number,))
        return 1

    assert runtime.run(gathering(chatty(), chatty())) == [Succeeded(1)] * 2


@pytest.mark.parametrize(
    ("limit", "max_threads", "most"), [(2, 64, 2), (None, 3, 3), (None, 64, 6), (9, 64, 6)]
)
def test_no_more_than_the_limit_run_at_once(limit: int | None, max_threads: int, most: int) -> None:
    running, peak, lock = 0, 0, threading.Lock()

    def child() -> Flow[None]:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        yield Sleep(0.03)
        with lock:
            running -= 1

    with Runtime(max_threads=max_threads) as runtime:
        runtime.run(gathering(*(child() for _ in range(6)), limit=limit))
    assert peak == most


@three_tries
def test_the_first_failure_stops_the_others(runtime: Runtime) -> None:
    ended: list[str] = []

    def long() -> Flow[None]:
        try:
            yield Sleep(30)
        finally:
            ended.append("long")

    def never() -> Flow[None]:
        ended.append("started")
        yield Sleep(0)

    start = time.monotonic()
    with nothing_left_behind(), pytest.raises(LookupError, match="first"):
        runtime.run(gathering(long(), failing(0.03, LookupError("first")), never(), limit=2))
    in_time(time.monotonic() - start, 0.15)
    assert ended == ["long"]


def test_failures_can_be_collected(runtime: Runtime) -> None:
    error = LookupError("mine")
    outcomes = runtime.run(gathering(worker("a", 0.03), failing(0, error), on_error=OnError.COLLECT))
    assert outcomes == [Succeeded("a"), Failed(error)]


def test_a_failure_that_was_told_in_events_is_a_failure(runtime: Runtime) -> None:
    error = LookupError("mine")

    def child() -> Flow[Any]:
        yield Emit(("failed",))
        return Failed(error)

    assert runtime.run(gathering(child(), on_error=OnError.COLLECT)) == [Failed(error)]


def test_a_consumer_that_does_not_read_stops_the_children(runtime: Runtime) -> None:
    said = [0, 0]

    def chatty(index: int) -> Flow[None]:
        for number in range(1000):
            said[index] = number
            yield Emit((number,))

    with nothing_left_behind(), runtime.stream(gathering(chatty(0), chatty(1))) as events:
        next(events)
        wait_until(lambda: sum(said) >= EVENT_BUFFER, "the buffer does not fill")
        time.sleep(0.05)
        assert sum(said) <= EVENT_BUFFER + 2
        assert len(list(events)) == 1999


def test_a_stopped_consumer_stops_the_socket_of_a_child(runtime: Runtime) -> None:
    def relay(url: str) -> Flow[None]:
        head = yield Send(post(url))
        while data := (yield Receive(head.exchange)):
            yield Emit((len(data),))

    with (
        LoopbackServer(ScriptedVendor(Answer((b"x" * 100_000,) * 500))) as server,
        nothing_left_behind(),
        runtime.stream(gathering(relay(server.url))) as events,
    ):
        next(events)
        time.sleep(0.3)
        assert len(server.sent) < 300  # what 64 reads and the buffers of two sockets can hold


@pytest.mark.parametrize("full", [False, True], ids=["waiting", "with a full buffer"])
@three_tries
def test_leaving_the_with_ends_the_children(full: bool, runtime: Runtime) -> None:
    ended: list[int] = []

    def child(index: int) -> Flow[None]:
        try:
            while True:
                yield Emit((index,))
                yield Sleep(0 if full else 30)
        finally:
            ended.append(index)

    with nothing_left_behind():
        with runtime.stream(gathering(*(child(index) for index in range(5)), limit=4)) as events:
            next(events)
            time.sleep(0.05)
            start = time.monotonic()
        in_time(time.monotonic() - start, 0.1)
        assert sorted(ended) == [0, 1, 2, 3]
        with pytest.raises(Cancelled):
            _ = events.result


def test_events_of_cancelled_children_are_handed_out(runtime: Runtime) -> None:
    token = CancellationToken()

    def child(name: str) -> Flow[str]:
        try:
            yield Sleep(30)
        except Cancelled:
            yield Emit((f"{name} was cancelled",))
        return name

    def parent() -> Flow[Any]:
        try:
            yield Gather((child("a"), child("b")))
        except Cancelled as error:
            return error.partial

    with Cancelling(token, 0.03):
        events = runtime.stream(parent(), cancel=token)
        assert sorted(events) == ["a was cancelled", "b was cancelled"]
        assert events.result in (None, [Succeeded("a"), Succeeded("b")])


@three_tries
def test_a_deadline_ends_children_and_their_parents_wait(runtime: Runtime) -> None:
    def parent() -> Flow[Any]:
        try:
            yield Within(0.05, gathering(worker("a", 0), worker("b", 30)))
        except TimedOut as error:
            return error.partial

    with nothing_left_behind():
        start = time.monotonic()
        outcomes = runtime.run(parent())
        in_time(time.monotonic() - start, 0.15)
        assert outcomes[0] == Succeeded("a")
        assert isinstance(outcomes[1].error, Cancelled)


@three_tries
def test_a_blocking_tool_in_a_child_is_left_behind_when_another_fails(runtime: Runtime) -> None:
    release = threading.Event()

    def blocked() -> Flow[None]:
        yield Call(lambda: release.wait(5))

    with nothing_left_behind():
        start = time.monotonic()
        with pytest.raises(LookupError):
            runtime.run(gathering(blocked(), failing(0.02, LookupError())))
        in_time(time.monotonic() - start, 0.02 + 0.1)
        release.set()


def test_gathers_within_gathers(runtime: Runtime) -> None:
    def nested(depth: int) -> Flow[int]:
        yield Emit((depth,))
        if depth == 0:
            return 1
        outcomes = yield Gather((nested(depth - 1), nested(depth - 1)))
        return sum(outcome.value for outcome in outcomes)

    with nothing_left_behind():
        events = runtime.stream(nested(4))
        assert len(list(events)) == 31
        assert events.result == 16


@three_tries
def test_side_by_side_over_http(runtime: Runtime) -> None:
    with (
        LoopbackServer(ScriptedVendor(Answer((b"one", Pause(0.1), b"two")))) as server,
        nothing_left_behind(),
    ):
        start = time.monotonic()
        outcomes = runtime.run(gathering(*(fetch(post(server.url)) for _ in range(8))))
        in_time(time.monotonic() - start, 0.4)
        assert outcomes == [Succeeded((200, b"onetwo"))] * 8
        runtime.close()


def test_when_the_system_has_no_thread_left(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start"):
        runtime.run(gathering(worker("a", 0)))
