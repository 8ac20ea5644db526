"""Where a run stands: who hears its events, under which path, and whether its work is kept."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tako.effects import Emit, Flow, Sleep, Task, Within
from tako.events import AssistantText, OrchEvent, SubAgentEvent
from tako.orchestrators.place import AUDIENCE, TOP, Place, under

NAMES = st.lists(st.sampled_from("abc"), max_size=4)
HELLO = AssistantText(1, "hello")


def at(names: list[str], place: Place) -> Place:
    for name in names:
        place = place.below(name)
    return place


@given(NAMES, NAMES)
def test_what_is_told_below_comes_under_the_whole_path(names: list[str], inner: list[str]) -> None:
    place = at(names, AUDIENCE)
    assert (place.path, place.depth) == (tuple(names), len(names))
    event: OrchEvent = SubAgentEvent(tuple(inner), HELLO) if inner else HELLO
    path = (*names, *inner)
    assert list(place.tell(event).events) == [SubAgentEvent(path, HELLO) if path else HELLO]


def test_nobody_hears_what_is_said_below_where_nobody_listens() -> None:
    assert at(["a", "b"], TOP).show is None


def test_events_are_shown_together_and_in_order() -> None:
    two = AssistantText(1, "two")
    told = AUDIENCE.below("w").tell(HELLO, two)
    assert told == Emit([SubAgentEvent(("w",), HELLO), SubAgentEvent(("w",), two)])
    assert AUDIENCE.tell(HELLO, two).events == (HELLO, two)


def test_a_trace_hears_its_own_part_of_the_path_and_whoever_is_around_the_whole() -> None:
    heard: list[Any] = []
    show = under("child", AUDIENCE.below("parent").show, heard.append)
    assert show([HELLO]) == [SubAgentEvent(("parent", "child"), HELLO)]
    assert heard == [SubAgentEvent(("child",), HELLO)]
    assert under("child", None, heard.append)([HELLO]) == () and len(heard) == 2


def _rests() -> Flow[str]:
    yield Sleep(1)
    return "rested"


def test_work_is_kept_where_a_journal_is_also_below() -> None:
    task, flow = Task("tool", lambda: None), _rests()
    assert TOP.below("w").kept(flow, task) is flow
    kept = next(Place(is_journalled=True).below("w").kept(flow, task))
    assert isinstance(kept, Within) and (kept.flow, kept.task, kept.seconds) == (flow, task, None)
    flow.close()
