"""The plan of a batch: every call once, barriers where they belong, and no bound ever broken."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tako.errors import InvalidInput
from tako.models import ToolCallPart
from tako.tools import Tool
from tako.tools.concurrency import (
    ConcurrencyConfig,
    Lane,
    Route,
    Stage,
    ToolConcurrency,
    plan,
    route_of,
    take,
)

ROUTES = {"r": Route.READ_ONLY, "c": Route.CONCURRENT, "s": Route.SERIAL, "i": Route.INSTANT}
CONFIGS = st.builds(
    ConcurrencyConfig,
    read_only=st.integers(1, 4),
    mutating=st.integers(1, 4),
    tools=st.dictionaries(
        st.sampled_from(["r", "r2", "c", "c2", "s", "i"]),
        st.integers(1, 3) | st.builds(ToolConcurrency, limit=st.none() | st.integers(1, 3)),
    ),
)
BATCHES = st.lists(st.sampled_from(["r", "r2", "c", "c2", "s", "s2", "i"]), max_size=12)


def batch(names: Sequence[str]) -> list[ToolCallPart]:
    return [ToolCallPart(id=str(index), name=name) for index, name in enumerate(names)]


def routing(call: ToolCallPart) -> Route:
    return ROUTES[call.name[0]]


def planned(names: str, config: ConcurrencyConfig | None = None) -> list[Stage]:
    return plan(batch(names), routing, config or ConcurrencyConfig())


def cut(names: str) -> str:
    """How a batch of one-letter calls is cut."""
    return "|".join("".join(call.name for call in stage.calls) for stage in planned(names))


def tool(**options: Any) -> Tool:
    return Tool(lambda: None, name="t", **options)


@pytest.mark.parametrize(
    ("tool", "told", "route"),
    [
        (None, None, Route.INSTANT),
        (tool(read_only=True), None, Route.READ_ONLY),
        (tool(), None, Route.SERIAL),
        (tool(concurrent=True), None, Route.CONCURRENT),
        (tool(), 3, Route.SERIAL),
        (tool(read_only=True), 3, Route.READ_ONLY),
        (tool(), ToolConcurrency(), Route.CONCURRENT),
        (tool(read_only=True), ToolConcurrency(limit=2), Route.READ_ONLY),
        (tool(concurrent=True), ToolConcurrency(concurrent=False), Route.SERIAL),
        (tool(read_only=True), ToolConcurrency(concurrent=False), Route.SERIAL),
    ],
)
def test_the_route_of_a_tool(tool: Tool | None, told: int | ToolConcurrency | None, route: Route) -> None:
    assert route_of(tool, ConcurrencyConfig(tools={} if told is None else {"t": told})) is route


def test_a_tool_that_runs_an_agent_runs_side_by_side_unless_told_otherwise() -> None:
    agent = tool()
    agent.recursive = True
    assert route_of(agent, ConcurrencyConfig()) is Route.CONCURRENT
    alone = ConcurrencyConfig(tools={"t": ToolConcurrency(concurrent=False)})
    assert route_of(agent, alone) is Route.SERIAL


@pytest.mark.parametrize(
    ("names", "stages"),
    [
        ("", ""),
        ("r", "r"),
        ("rrsr", "rr|s|r"),
        ("rsr", "r|s|r"),
        ("ss", "s|s"),
        ("ccrrcs", "cc|rr|c|s"),
        ("rir", "rir"),
        ("cic", "cic"),
        ("sis", "si|s"),
        ("iis", "iis"),
        ("iirr", "iirr"),
        ("ic", "ic"),
        ("ii", "ii"),
        ("riisic", "rii|si|c"),
    ],
)
def test_a_batch_is_cut_where_the_route_changes_and_never_by_an_instant_call(names: str, stages: str) -> None:
    assert cut(names) == stages


def test_lanes_and_limits() -> None:
    config = ConcurrencyConfig(read_only=5, mutating=6, tools={"r": 2, "c": ToolConcurrency(limit=9)})
    reads, changes, alone = plan(batch(["r", "r2", "r", "r", "r2", "c", "c", "s"]), routing, config)
    shared = reads.lanes[0]
    assert [call.id for call in shared] == ["0", "2", "3"]
    assert [[call.id for call in lane] for lane in reads.lanes if lane is not shared] == [["1"], ["4"]]
    assert [lane is shared for lane in reads.lanes] == [True, False, True, False]
    assert (reads.limit, changes.limit, alone.limit) == (5, 6, 1)
    assert changes.lanes[0] is changes.lanes[1] and len(changes.lanes) == 2
    assert alone.lanes == (deque(alone.calls),)


def test_a_lane_is_emptied_by_whoever_comes_first() -> None:
    (stage,) = planned("rr", ConcurrencyConfig(tools={"r": 1}))
    (lane,) = stage.lanes
    first, second = stage.calls
    assert (take(lane), take(lane), take(lane)) == (first, second, None)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: ToolConcurrency(limit=0), "ToolConcurrency: limit"),
        (lambda: ConcurrencyConfig(read_only=0), "ConcurrencyConfig: read_only"),
        (lambda: ConcurrencyConfig(mutating=True), "ConcurrencyConfig: mutating"),
        (lambda: ConcurrencyConfig(tools={"web": 0}), "ConcurrencyConfig: tools.web"),
    ],
)
def test_a_bound_is_a_positive_whole_number(made: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        made()


def test_the_configuration_is_kept_in_json() -> None:
    config = ConcurrencyConfig(read_only=2, tools={"web": 3, "write": ToolConcurrency(limit=4)})
    assert ConcurrencyConfig.model_validate_json(config.model_dump_json()) == config


@given(BATCHES, CONFIGS)
def test_every_call_stands_in_one_stage_and_one_lane_in_the_models_order(
    names: list[str], config: ConcurrencyConfig
) -> None:
    calls = batch(names)
    stages = plan(calls, routing, config)
    assert [call for stage in stages for call in stage.calls] == calls
    for stage in stages:
        lanes = list({id(lane): lane for lane in stage.lanes}.values())
        assert sorted((call.id for lane in lanes for call in lane), key=int) == [
            call.id for call in stage.calls
        ]
        assert all(
            [*map(int, (call.id for call in lane))] == sorted(int(call.id) for call in lane) for lane in lanes
        )
        assert [int(lane[0].id) for lane in lanes] == sorted(int(lane[0].id) for lane in lanes)


@given(BATCHES, CONFIGS)
def test_barriers_stand_where_the_route_changes(names: list[str], config: ConcurrencyConfig) -> None:
    stages = plan(batch(names), routing, config)
    kinds = [{routing(call) for call in stage.calls} - {Route.INSTANT} for stage in stages]
    real = [call for call in batch(names) if routing(call) is not Route.INSTANT]
    assert all(len(kind) == 1 for kind in kinds) or not real
    for stage, kind in zip(stages, kinds, strict=True):
        assert stage.route in (kind or {Route.INSTANT})
        if stage.route is Route.SERIAL:
            assert sum(routing(call) is Route.SERIAL for call in stage.calls) == 1
    pairs = pairwise(real)
    barriers = sum(routing(one) is not routing(two) or routing(one) is Route.SERIAL for one, two in pairs)
    assert len(stages) == barriers + bool(names)


@given(BATCHES, CONFIGS, st.randoms(use_true_random=False))
@example(["r"] * 5, ConcurrencyConfig(read_only=4, tools={"r": 2}), Random(1))
@example(["c"] * 5, ConcurrencyConfig(read_only=4, mutating=3), Random(1))
@example(["r"] * 5, ConcurrencyConfig(read_only=3, mutating=4), Random(1))
def test_no_bound_is_broken_however_long_a_call_takes(
    names: list[str], config: ConcurrencyConfig, chance: Random
) -> None:
    performed: list[str] = []
    for stage in plan(batch(names), routing, config):
        performed += simulated(stage, config, chance)
    assert sorted(performed, key=int) == [str(index) for index in range(len(names))]


def simulated(stage: Stage, config: ConcurrencyConfig, chance: Random) -> list[str]:
    """Run the lanes as a Gather does, calls ending in any order; asserts the bounds all the while."""
    bounds = {Route.READ_ONLY: config.read_only, Route.CONCURRENT: config.mutating}
    waiting, running, done = list(stage.lanes), list[tuple[Lane, ToolCallPart]](), list[str]()
    while waiting or running:
        while waiting and len(running) < stage.limit:
            lane = waiting.pop(0)
            if (call := take(lane)) is not None:
                running.append((lane, call))
        assert len(running) <= bounds.get(stage.route, 1)
        counted = Counter(call.name for _, call in running)
        assert all(count <= (config.cap(name) or count) for name, count in counted.items())
        if running:
            lane, call = running.pop(chance.randrange(len(running)))
            done.append(call.id)
            if (following := take(lane)) is not None:
                running.append((lane, following))
    return done


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6))
def test_the_bounds_are_used_to_the_full(calls: int, limit: int, cap: int) -> None:
    (stage,) = planned("r" * calls, ConcurrencyConfig(read_only=limit, tools={"r": cap}))
    side_by_side = 1 if calls == 1 else min(stage.limit, len(stage.lanes))
    assert side_by_side == min(calls, limit, cap)
