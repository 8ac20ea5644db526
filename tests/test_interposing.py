"""A layer that changes nothing is as good as `yield from`: for any flow, whatever its driver does to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tako.effects import Effect, Emit, Entropy, Flow, Gather, Now, OnError, Sleep, Within
from tako.errors import Cancelled, TakoError
from tako.interposing import interposed, into_children
from tests.effort import examples

# Flows, as lists of what they do.

ACTS = st.sampled_from(["ask and go on", "ask and give up", "ask", "raise", "return"])
KINDS = st.sampled_from(["inside", "within", "gather"])
PROGRAMS: st.SearchStrategy[list[Any]] = st.recursive(
    st.lists(ACTS, min_size=1, max_size=4),
    lambda below: st.lists(
        ACTS | st.tuples(KINDS, st.lists(below, min_size=1, max_size=3)), min_size=1, max_size=4
    ),
    max_leaves=6,
)
MOVES = st.lists(st.sampled_from(["reply", "fail", "break", "cancel", "close"]), min_size=2, max_size=12)


def acted(program: list[Any], log: list[Any]) -> Flow[Any]:
    """What the program says; the log has all that happens to it, also the close."""
    try:
        for number, act in enumerate(program):
            if act == "return":
                return f"returned at {number}"
            if act == "raise":
                raise KeyError(number)
            try:
                if isinstance(act, str):
                    said = yield Sleep(number)
                elif act[0] == "inside":
                    said = []
                    for below in act[1]:
                        said.append((yield from acted(below, log)))
                elif act[0] == "within":
                    said = yield Within(number, acted(act[1][0], log))
                else:
                    said = yield Gather(tuple([acted(below, log) for below in act[1]]), 2, OnError.COLLECT)
                log.append(("heard", said))
            except Exception as error:
                log.append(("caught", repr(error)))
                if act == "ask and give up":
                    return "gave up"
                if act != "ask and go on":
                    raise
    finally:
        log.append("left")
    return log.count("left")


def driven(flow: Flow[Any], moves: list[str], log: list[Any]) -> str:
    """Drive it by these moves, and what is in a Gather or a Within before it; how it ended."""
    error: Exception | None = None
    reply: Any = None
    while True:
        try:
            effect = flow.send(reply) if error is None else flow.throw(error)
        except StopIteration as stop:
            return f"returned {stop.value!r}"
        except Exception as raised:
            return f"raised {raised!r}"
        log.append(type(effect).__name__)
        children = effect.flows if isinstance(effect, Gather) else ()
        if isinstance(effect, Within):
            children = (effect.flow,)
        said = [driven(child, moves, log) for child in children]
        move = moves.pop(0) if moves else "reply"
        if move == "close":
            flow.close()
            return "closed"
        failures = {"fail": TakoError("no"), "break": RuntimeError("no"), "cancel": Cancelled()}
        error, reply = failures.get(move), (said, len(log))


def layered(flow: Flow[Any]) -> Flow[Any]:
    """Under a layer that changes nothing, and so is each flow in it."""

    def layer(effect: Effect) -> Flow[Any]:
        return (yield into_children(effect, lambda _, child: layered(child)))

    return interposed(flow, layer)


def bare(flow: Flow[Any]) -> Flow[Any]:
    return (yield from flow)


def story(around: Callable[[Flow[Any]], Flow[Any]], program: list[Any], moves: list[str]) -> list[Any]:
    log: list[Any] = []
    log.append(driven(around(acted(program, log)), list(moves), log))
    return log


@settings(max_examples=examples(3))
@given(PROGRAMS, MOVES)
def test_any_flow_goes_as_it_would_by_yield_from(program: list[Any], moves: list[str]) -> None:
    told = story(layered, program, moves)
    event(str(told[-1]).split(" ")[0])
    assert told == story(bare, program, moves)


@settings(max_examples=examples(1))
@given(PROGRAMS, MOVES, st.integers(1, 4))
def test_and_so_under_many_layers(program: list[Any], moves: list[str], layers: int) -> None:
    def around(flow: Flow[Any]) -> Flow[Any]:
        for _ in range(layers):
            flow = layered(flow)
        return flow

    assert story(around, program, moves) == story(bare, program, moves)


# What a layer may do.


def asks(log: list[Any]) -> Flow[Any]:
    try:
        log.append((yield Now()))
        log.append((yield Sleep(1)))
    except TakoError as error:
        log.append(error.message)
    finally:
        log.append("left")
    return "done"


def test_a_layer_may_answer_by_itself_and_ask_for_more() -> None:
    def layer(effect: Effect) -> Flow[Any]:
        if type(effect) is Now:
            return 7.0
        yield Emit(("before",))
        said = yield effect
        yield Emit(("after",))
        return said

    log: list[Any] = []
    flow = interposed(asks(log), layer)
    assert flow.send(None) == Emit(("before",))
    assert flow.send(None) == Sleep(1)
    assert flow.send("slept") == Emit(("after",)) and log == [7.0]
    with pytest.raises(StopIteration, match="done"):
        flow.send(None)
    assert log == [7.0, "slept", "left"]


def test_what_a_layer_raises_is_thrown_into_the_flow_whoever_has_raised_it() -> None:
    def layer(effect: Effect) -> Flow[Any]:
        if type(effect) is Now:
            raise TakoError("not now")
        return (yield effect)

    log: list[Any] = []
    with pytest.raises(StopIteration, match="done"):
        interposed(asks(log), layer).send(None)
    assert log == ["not now", "left"]


@pytest.mark.parametrize("has_begun", [True, False])
def test_a_close_closes_the_layer_first_and_then_the_flow(has_begun: bool) -> None:
    log: list[Any] = []

    def layer(effect: Effect) -> Flow[Any]:
        try:
            return (yield effect)
        finally:
            log.append("layer left")

    inner = asks(log)  # held here, so that it is not just forgotten
    flow = interposed(inner, layer)
    if has_begun:
        flow.send(None)
    flow.close()
    assert log == (["layer left", "left"] if has_begun else [])


def test_a_flow_is_closed_also_where_its_layer_breaks_the_rules() -> None:
    def layer(effect: Effect) -> Flow[Any]:
        try:
            return (yield effect)
        except GeneratorExit:
            yield Sleep(1)  # a flow must not wait when it is closed
            raise

    log: list[Any] = []
    flow = interposed(asks(log), layer)
    flow.send(None)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        flow.close()
    assert log == ["left"]


# Flows in effects.


def nothing() -> Flow[Any]:
    return (yield Sleep(0))


def test_the_flows_in_an_effect_are_replaced_by_place_and_nothing_else_is() -> None:
    wrapped: list[int] = []

    def wrap(place: int, child: Flow[Any]) -> Flow[Any]:
        wrapped.append(place)
        return child

    flows = (nothing(), nothing())
    gather = Gather(flows, 3, OnError.COLLECT)
    limit = Within(2.0, flows[0])
    assert into_children(gather, wrap) == gather and wrapped == [0, 1]
    assert into_children(limit, wrap) == limit and wrapped == [0, 1, 0]
    chance = Entropy(8)
    assert into_children(chance, wrap) is chance and wrapped == [0, 1, 0]
