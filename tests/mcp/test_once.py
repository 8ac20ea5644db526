"""Once: never two at a time, nobody gets what is older than their question, and nobody is forgotten."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import tako_io_asyncio
import tako_io_sync
import tako_io_trio
from tako.effects import Failed, Flow, OnError, Outcome, Succeeded, gather, now, sleep, within
from tako.errors import Cancelled, TakoError, TimedOut
from tako.mcp.once import Once
from tako.testing import Faults, Simulator


@dataclass(frozen=True)
class Wish:
    """Somebody comes `after` so many seconds; a turn of theirs takes `lasts`; they wait for `patience`."""

    after: int
    lasts: int
    fails: bool
    patience: int | None


class Stage:
    """What tasks of a run have in common: the Once, and a diary of the turns."""

    def __init__(self) -> None:
        self.once: Once[int] = Once()
        self.running = 0
        self.most = 0
        self.ended: dict[int, float] = {}
        """When each turn ended well or badly, by its number."""
        self.turns = 0

    def turn(self, wish: Wish) -> Flow[int]:
        self.turns += 1
        number = self.turns
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            yield from sleep(wish.lasts)
            self.ended[number] = yield from now()
            if wish.fails:
                raise TakoError(str(number))
            return number
        finally:
            self.running -= 1

    def wisher(self, wish: Wish) -> Flow[tuple[float, int]]:
        yield from sleep(wish.after)
        came = yield from now()
        try:
            number = yield from within(wish.patience, self.once.run(lambda: self.turn(wish)))
        except TakoError as error:
            error.partial = came
            raise
        return came, number


wishes = st.builds(Wish, st.integers(0, 12), st.integers(1, 6), st.booleans(), st.none() | st.integers(1, 8))


@given(st.lists(wishes, min_size=1, max_size=8), st.integers(0, 2**16))
def test_one_at_a_time_and_everybody_hears_of_a_turn_of_their_own_time(wished: list[Wish], seed: int) -> None:
    stage = Stage()
    flows = [stage.wisher(wish) for wish in wished]
    outcomes = Simulator(seed).run(gather(*flows, on_error=OnError.COLLECT))
    assert stage.most == 1
    assert repr(stage.once) == "<Once idle>"
    for wish, outcome in zip(wished, outcomes, strict=True):
        if isinstance(outcome, Failed) and isinstance(outcome.error, TimedOut):
            assert wish.patience is not None
            continue
        came, number = _heard(outcome)
        assert came <= stage.ended[number]
    assert 1 <= stage.turns <= len(wished)


def _heard(outcome: Outcome[tuple[float, int]]) -> tuple[float, int]:
    if isinstance(outcome, Succeeded):
        return outcome.value
    assert isinstance(outcome.error, TakoError)
    return outcome.error.partial, int(outcome.error.message)


@given(st.integers(2, 8), st.integers(0, 2**16))
def test_who_comes_at_one_moment_shares_one_turn(many: int, seed: int) -> None:
    stage = Stage()
    flows = [stage.wisher(Wish(0, 5, fails=False, patience=None)) for _ in range(many)]
    assert Simulator(seed).run(gather(*flows)) == [Succeeded((0.0, 1))] * many


def test_a_failure_is_shared_in_copies() -> None:
    stage = Stage()
    flows = [stage.wisher(Wish(0, 5, fails=True, patience=None)) for _ in range(4)]
    outcomes = Simulator().run(gather(*flows, on_error=OnError.COLLECT))
    errors = [outcome.error for outcome in outcomes if isinstance(outcome, Failed)]
    assert [str(error) for error in errors] == ["1"] * 4
    assert len({id(error) for error in errors}) == 4
    assert stage.turns == 1


def test_an_error_that_cannot_be_copied_is_shared_as_it_is() -> None:
    class Odd(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one} {two}")

    def fail() -> Flow[int]:
        yield from sleep(1)
        raise Odd(1, 2)

    once: Once[int] = Once()
    outcomes = Simulator().run(gather(once.run(fail), once.run(fail), on_error=OnError.COLLECT))
    assert [str(outcome.error) for outcome in outcomes if isinstance(outcome, Failed)] == ["1 2"] * 2


@given(st.integers(1, 5), st.integers(0, 2**16))
def test_if_the_one_is_stopped_the_next_takes_over(patience: int, seed: int) -> None:
    stage = Stage()
    flows = [
        stage.wisher(Wish(0, 6, fails=False, patience=patience)),
        *[stage.wisher(Wish(1, 6, fails=False, patience=None)) for _ in range(3)],
    ]
    first, *others = Simulator(seed).run(gather(*flows, on_error=OnError.COLLECT))
    assert isinstance(first, Failed) and isinstance(first.error, TimedOut)
    assert stage.most == 1
    assert [other.value[1] for other in others if isinstance(other, Succeeded)] == [2, 2, 2]


def test_nothing_is_remembered() -> None:
    stage = Stage()

    def twice() -> Flow[list[int]]:
        wish = Wish(0, 1, fails=False, patience=None)
        return [(yield from stage.wisher(wish))[1], (yield from stage.wisher(wish))[1]]

    assert Simulator().run(twice()) == [1, 2]


def test_a_run_that_is_cancelled_leaves_it_idle() -> None:
    stage = Stage()
    flow = gather(*[stage.wisher(Wish(0, 5, fails=False, patience=None)) for _ in range(3)])
    with pytest.raises(Cancelled):
        Simulator(faults=Faults(cancel_at=2.0)).run(flow)
    assert repr(stage.once) == "<Once idle>"


# In the three arms, and across them.


def run_trio(flow: Flow[Any]) -> Any:
    async def main() -> Any:
        async with tako_io_trio.Runtime() as runtime:
            return await runtime.run(flow)

    return trio.run(main)


def run_asyncio(flow: Flow[Any]) -> Any:
    async def main() -> Any:
        async with tako_io_asyncio.Runtime() as runtime:
            return await runtime.run(flow)

    return asyncio.run(main())


def run_sync(flow: Flow[Any]) -> Any:
    with tako_io_sync.Runtime() as runtime:
        return runtime.run(flow)


ARMS: list[Callable[[Flow[Any]], Any]] = [run_sync, run_trio, run_asyncio]


class Counted:
    """A turn that counts itself, and ends a moment after everybody has come."""

    def __init__(self, everybody: int) -> None:
        self.once: Once[str] = Once()
        self.everybody = everybody
        self.came: list[None] = []
        self.turns: list[None] = []

    def want(self) -> Flow[str]:
        self.came.append(None)
        return (yield from self.once.run(self._turn))

    def _turn(self) -> Flow[str]:
        self.turns.append(None)
        while len(self.came) < self.everybody:
            yield from sleep(0.01)
        yield from sleep(0.2)  # a thread may have come, and not have asked yet
        return "done"


def test_across_threads_and_arms() -> None:
    counted = Counted(12)
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda arm=arm: results.append(arm(counted.want())))
        for arm in ARMS
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == ["done"] * 12
    assert len(counted.turns) == 1


@pytest.mark.parametrize("arm", ARMS[1:], ids=["trio", "asyncio"])
def test_a_thousand_tasks(arm: Callable[[Flow[Any]], Any]) -> None:
    counted = Counted(1000)
    outcomes = arm(gather(*[counted.want() for _ in range(1000)]))
    assert outcomes == [Succeeded("done")] * 1000
    assert len(counted.turns) == 1
