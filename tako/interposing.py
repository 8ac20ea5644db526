"""Interposing: a layer between a flow and whoever drives it.

A flow delegates by `yield from`, and so nobody sees the effects of another; a recorder, a listener or a
judge of what is being said has to. `interposed` hands each effect of a flow to a layer, which is a flow
itself: it may perform the effect (`yield effect`), do something before or after, or reply by itself.

| the flow                 | the layer                              | the flow is resumed with          |
|--------------------------|----------------------------------------|-----------------------------------|
| yields an effect         | is called with it, and driven          |                                   |
|                          | returns                                | what it returned                  |
|                          | raises, or is thrown an error          | that error, thrown in             |
| returns, or raises       |                                        |                                   |
| is closed                | is closed first                        | the close                         |

Invariants. Nothing else in tako hands on effects by hand. Replies, errors and the close go through as
`yield from` would let them. A flow inside a Gather or a Within is a flow of its own: a layer that wants
to see what it does says so, with `into_children`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from tako.effects import Effect, Flow, Gather, Within

__all__ = ["Layer", "interposed", "into_children"]

T = TypeVar("T")

Layer: TypeAlias = Callable[[Effect], Flow[Any]]
"""Makes of an effect the flow that gets the reply to it."""


def interposed(flow: Flow[T], layer: Layer) -> Flow[T]:
    """The flow, each of whose effects is the layer's to perform."""
    resume: Callable[[Any], Effect] = flow.send
    argument: Any = None
    try:
        while True:
            try:
                effect = resume(argument)
            except StopIteration as stop:
                result: T = stop.value
                return result
            try:
                resume, argument = flow.send, (yield from layer(effect))
            except Exception as error:
                resume, argument = flow.throw, error
    finally:
        flow.close()


def into_children(effect: Effect, wrap: Callable[[int, Flow[Any]], Flow[Any]]) -> Effect:
    """The effect, with each flow in it replaced by what `wrap` makes of its place and it."""
    if type(effect) is Gather:
        return replace(effect, flows=tuple([wrap(place, child) for place, child in enumerate(effect.flows)]))
    if type(effect) is Within:
        return replace(effect, flow=wrap(0, effect.flow))
    return effect
