"""AsyncGroup under a library that a test steps by hand: where its tasks stand when it is cancelled."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, cast

from tako.driving.async_driver import AsyncDriver
from tako.driving.async_group import NO_MORE, AsyncGroup
from tako.driving.steps import Returned, Steps
from tako.effects import Failed, Flow, Gather, OnError, Sleep
from tako.errors import Cancelled


class Parent:
    """As much of a driver as a group whose children never start asks for."""

    def __init__(self) -> None:
        self.steps: Steps[list[Any]] = Steps(gathering(), lambda: 0.0)


class Room:
    def __init__(self) -> None:
        self.places = 0

    async def acquire(self) -> None:
        self.places -= 1

    def release(self) -> None:
        self.places += 1


class Group(AsyncGroup):
    """A group that starts late: what has been told is in `news`."""

    native_cancelled = GeneratorExit

    def __init__(self, parent: Parent, effect: Gather) -> None:
        super().__init__(cast("AsyncDriver[Any]", parent), effect, Room())
        self.news = 0

    def _spawn(self, index: int, flow: Flow[Any]) -> None:
        raise AssertionError("nothing may start")

    async def _wait_for_news(self) -> None:
        await until_told()

    def _tell(self) -> None:
        self.news += 1

    async def _outlast(self) -> None:
        while not self._gathering.is_done:
            await self._wait_for_news()


@coroutine
def until_told() -> Generator[None, None, None]:
    yield


def gathering() -> Flow[list[Any]]:
    return (yield Gather((sleeping(), sleeping()), on_error=OnError.COLLECT))


def sleeping() -> Flow[None]:
    yield Sleep(1)


def result_of(task: Coroutine[Any, Any, Any]) -> Any:
    """Step a task that is expected to end now."""
    try:
        task.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


def test_cancelled_before_a_child_has_started_the_parent_that_waits_is_told() -> None:
    parent = Parent()
    effect = parent.steps.send(None)
    assert isinstance(effect, Gather)
    group = Group(parent, effect)
    waiting = group.next_event()
    waiting.send(None)
    group.cancel()
    assert group.news == 1
    assert result_of(waiting) is NO_MORE
    end = group.resume()
    assert isinstance(end, Returned)
    outcomes = end.unwrap()
    assert all(isinstance(outcome, Failed) and isinstance(outcome.error, Cancelled) for outcome in outcomes)
    assert len(outcomes) == 2


def test_stopped_before_a_child_has_started_there_is_nothing_to_wait_for() -> None:
    parent = Parent()
    effect = parent.steps.send(None)
    assert isinstance(effect, Gather)
    assert result_of(Group(parent, effect).stop()) is None
