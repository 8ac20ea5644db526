"""What the layer does, case by case, where no drawn run would come to it often."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tako.cancellation import CancellationToken
from tako.effects import Call, Emit, Flow, Gather, Sleep, Task, as_task, entropy, now, sleep, within
from tako.errors import Cancelled, InvalidInput, TakoError, TransportError
from tako.journal import Ended, Journal, JournalError, JournalMismatch, kept_in
from tako.testing.simulator import Simulator


def work(name: str, seconds: float = 1.0, **fields: Any) -> Flow[Any]:
    def flow() -> Flow[str]:
        yield Sleep(seconds)
        return f"{name} done"

    return as_task(flow(), Task("work", lambda: name, **fields))


def run(make: Any, journal: Journal, simulator: Simulator | None = None) -> Any:
    return (simulator or Simulator()).run(kept_in(journal, make))


def test_a_limit_that_was_kept_is_not_set_again() -> None:
    """Replies from a journal come at once, and so another flow's cancel would come too early."""

    def make() -> Flow[Any]:
        token = CancellationToken()

        def canceller() -> Flow[str]:
            said = yield from work("a", 5)
            token.cancel()
            return said

        def two() -> Flow[list[str]]:
            first = yield from work("b", 1)
            yield Call(str)  # what is not kept has to be waited for
            return [first, (yield from work("c", 1))]

        def limited() -> Flow[list[str]]:
            return (yield from within(None, two(), token))

        outcomes = yield Gather((canceller(), limited()))
        return [outcome.value for outcome in outcomes]

    journal = Journal.memory()
    expected = run(make, journal)
    assert expected == ["a done", ["b done", "c done"]]
    for seed in range(8):
        assert run(make, Journal.replay(journal), Simulator(seed)) == expected


def test_no_time_passes_where_the_run_has_gone_on_since() -> None:
    def make() -> Flow[Any]:
        yield from sleep(100)
        yield from work("a")
        yield from sleep(50)
        return (yield from now())

    journal = Journal.memory()
    assert run(make, journal) == 151
    simulator = Simulator()
    assert run(make, journal, simulator) == 151
    assert simulator.now == 0


def test_an_error_that_a_run_goes_on_after_is_kept() -> None:
    attempts: list[str] = []

    def failing() -> Flow[str]:
        attempts.append("x")
        yield Sleep(1)
        raise TransportError("gone", provider="p")

    def make() -> Flow[Any]:
        try:
            yield from as_task(failing(), Task("work", lambda: "x"))
        except TransportError as error:
            return [error.provider, (yield from work("then"))]

    journal = Journal.memory()
    expected = run(make, journal)
    assert run(make, Journal.replay(journal)) == expected == ["p", "then done"]
    assert attempts == ["x"]
    assert run(make, Journal.memory(journal._store.lines[:1])) == expected
    assert attempts == ["x", "x"]  # nothing was built on it


def test_a_failure_that_was_tried_again_does_not_come_back() -> None:
    results = iter([TransportError("gone"), None])

    def once() -> Flow[str]:
        error = next(results)
        yield Sleep(0)
        if error:
            raise error
        return "well"

    def limited() -> Flow[Any]:
        yield from within(1, sleep(5) if first[0] else sleep(0))
        return "in time"

    first = [True]

    def make() -> Flow[Any]:
        try:
            said = yield from limited()
        except TakoError as error:
            said = type(error).__name__
        return [said, (yield from as_task(once(), Task("work", lambda: said)))]

    journal = Journal.memory()
    with pytest.raises(TransportError):
        run(make, journal)
    del journal._store.lines[1:]  # the limit that was reached, and nothing that builds on it
    first[0] = False
    expected = run(make, journal)
    assert expected == ["in time", "well"]
    assert run(make, Journal.replay(journal)) == expected


def test_events_of_what_is_kept_are_told_again() -> None:
    def make() -> Flow[Any]:
        return (yield from work("a", retell=lambda value: (f"told {value}",)))

    journal = Journal.memory()
    run(make, journal)
    told = list(Simulator().stream(kept_in(Journal.replay(journal), make)))
    assert told == ["told a done"]


def test_the_same_work_in_another_order_of_keys_is_the_same() -> None:
    def make(about: Any) -> Any:
        def flow() -> Flow[Any]:
            yield Emit(())
            return 5

        return lambda: as_task(flow(), Task("work", lambda: about))

    journal = Journal.memory()
    run(make({"a": 1, "b": [1.5, None]}), journal)
    assert run(make({"b": (1.5, None), "a": 1}), Journal.replay(journal)) == 5
    with pytest.raises(JournalMismatch, match="differ in a"):
        run(make({"b": [1.5, None], "a": 2}), journal)


@pytest.mark.parametrize("value", [object(), {1: object()}, b"\xff"])
def test_what_is_no_json_ends_the_run(value: Any) -> None:
    def flow() -> Flow[Any]:
        yield Sleep(0)
        return value

    with pytest.raises((InvalidInput, JournalError), match="journal: what 'work'"):
        run(lambda: as_task(flow(), Task("work", lambda: 1)), Journal.memory())
    with pytest.raises(InvalidInput, match="journal: what 'work'"):
        run(lambda: as_task(sleep(0), Task("work", lambda: value)), Journal.memory())


def test_a_mismatch_ends_a_run_that_would_go_on_after_any_error() -> None:
    def make(name: str) -> Any:
        def flow() -> Flow[str]:
            try:
                yield from work(name)
            except TakoError:
                pass
            return "went on"

        return flow

    journal = Journal.memory()
    run(make("a"), journal)
    with pytest.raises(JournalMismatch):
        run(make("b"), journal)


def test_a_mismatch_ends_a_run_that_would_rather_fail_by_itself() -> None:
    def make(name: str) -> Any:
        def flow() -> Flow[str]:
            try:
                yield from work(name)
            except TakoError as error:
                raise KeyError("of mine") from error
            return "well"

        return flow

    journal = Journal.memory()
    run(make("a"), journal)
    with pytest.raises(JournalMismatch):
        run(make("b"), journal)


@pytest.mark.parametrize("seconds", [None, 0.5])
def test_a_token_is_cancelled_again_if_it_was_that_which_stopped_the_flow(seconds: float | None) -> None:
    def stopping(token: CancellationToken) -> Flow[None]:
        yield Sleep(1)
        token.cancel()
        yield Sleep(1)

    def make() -> Flow[Any]:
        token = CancellationToken()
        try:
            yield from within(seconds, as_task(stopping(token), Task("stop", lambda: 1)), token)
        except TakoError as error:
            return [type(error).__name__, token.is_cancelled, (yield from work("c"))]

    journal = Journal.memory()
    expected = run(make, journal)
    assert expected[:2] == (["Interrupted", True] if seconds is None else ["TimedOut", False])
    assert run(make, Journal.replay(journal)) == expected


def test_a_gather_that_was_cut_short_gives_what_it_had_again() -> None:
    def gathering() -> Flow[Any]:
        try:
            yield Gather((work("a", 5), work("b", 0.5), work("c", 6)))
        except Cancelled as error:
            return [getattr(outcome, "value", "cut") for outcome in error.partial]

    def make() -> Flow[Any]:
        try:
            yield from within(1, gathering())
        except TakoError as error:
            return [error.partial, (yield from work("d"))]

    journal = Journal.memory()
    expected = run(make, journal)
    assert expected == [["cut", "b done", "cut"], "d done"]
    for seed in range(4):
        assert run(make, Journal.replay(journal), Simulator(seed)) == expected


def test_a_replay_of_nothing_does_not_even_look_at_the_clock() -> None:
    with pytest.raises(JournalMismatch, match="the journal ends here, and the run asks for 'now'"):
        run(now, Journal.replay(Journal.memory()))


def test_a_kept_reading_of_another_size_is_a_mismatch() -> None:
    def make(size: int) -> Any:
        def flow() -> Flow[Any]:
            chance = yield from entropy(size)
            return [chance.hex(), (yield from work("a"))]

        return flow

    journal = Journal.memory()
    run(make(4), journal)
    with pytest.raises(JournalMismatch, match="has 'entropy', and the run now asks for another"):
        run(make(8), journal)


def test_a_finished_run_that_is_run_again_writes_nothing() -> None:
    journal = Journal.memory()
    run(lambda: work("a"), journal)
    lines = list(journal._store.lines)
    run(lambda: work("a"), journal)
    assert journal._store.lines == lines


def test_a_flow_that_was_cut_short_comes_as_far_again() -> None:
    """Between two places there may be many effects that are not kept: it was the third that was cut."""

    def resting() -> Flow[Any]:
        told: list[str] = []
        try:
            for _ in range(5):
                yield Sleep(1)
                told.append("rested")
        except Cancelled:
            return told

    def make() -> Flow[Any]:
        try:
            yield from within(2.5, resting())
        except TakoError as error:
            return [error.partial, (yield from work("c"))]

    journal = Journal.memory()
    expected = run(make, journal)
    assert run(make, Journal.replay(journal)) == expected == [["rested", "rested"], "c done"]


def test_what_work_had_to_say_that_was_cut_short_is_said_again() -> None:
    def talking() -> Flow[str]:
        try:
            yield Sleep(9)
        except Cancelled as error:
            error.partial = "half"
            raise
        return "whole"

    def hearing() -> Flow[Any]:
        try:
            return (yield from as_task(talking(), Task("work", lambda: 1)))
        except Cancelled as error:
            return error.partial

    def make() -> Flow[Any]:
        try:
            yield from within(1, hearing())
        except TakoError as error:
            return [error.partial, (yield from work("c"))]

    journal = Journal.memory()
    expected = run(make, journal)
    assert run(make, Journal.replay(journal)) == expected == ["half", "c done"]


def test_a_gather_that_was_stopped_stops_for_the_same_reason() -> None:
    def failing() -> Flow[Any]:
        yield from work("b", 1)
        raise KeyError("enough")

    def make() -> Flow[Any]:
        try:
            yield Gather((work("a", 5), failing()))
        except KeyError as error:
            return [str(error), (yield from work("c"))]

    journal = Journal.memory()
    expected = run(make, journal)
    for seed in range(4):
        assert run(make, Journal.replay(journal), Simulator(seed)) == expected == ["'enough'", "c done"]


def test_a_child_that_never_began_does_not_begin() -> None:
    def failing() -> Flow[Any]:
        yield from work("a")
        raise TransportError("gone")

    def noting(notes: list[str]) -> Flow[Any]:
        notes.append("begun")
        return (yield from work("b"))

    def make() -> Flow[Any]:
        notes: list[str] = []
        try:
            yield Gather((failing(), noting(notes)), limit=1)
        except TransportError:
            return [notes, (yield from work("c"))]

    journal = Journal.memory()
    expected = run(make, journal)
    assert run(make, Journal.replay(journal)) == expected == [[], "c done"]


def test_what_was_refused_after_the_time_was_up_is_refused_again() -> None:
    def talking() -> Flow[str]:
        try:
            yield Sleep(1)
        except TakoError:
            pass
        return "talked"

    def stubborn() -> Flow[Any]:
        said: list[str] = []
        try:
            yield Sleep(9)
        except TakoError:
            said.append("cut")
        for flow in (within(None, talking()), gathered(talking()), now()):
            try:
                said.append((yield from flow))
            except TakoError:
                said.append("refused")
        return said

    def gathered(flow: Flow[Any]) -> Flow[Any]:
        return repr((yield Gather((flow,))))

    def make() -> Flow[Any]:
        try:
            yield from within(1, stubborn())
        except TakoError as error:
            return [error.partial, (yield from work("c"))]

    journal = Journal.memory()
    expected = run(make, journal)
    assert run(make, Journal.replay(journal)) == expected == [["cut"] + ["refused"] * 3, "c done"]


def test_a_result_that_says_it_was_cancelled_is_no_end() -> None:
    def make(reason: str) -> Any:
        def flow() -> Flow[Any]:
            yield from work("a")
            return SimpleNamespace(text="half", stop_reason=reason)

        return flow

    journal = Journal.memory()
    run(make("cancelled"), journal)
    assert journal.result is None
    run(make("stop"), journal)
    assert journal.result == Ended("half", "stop")
