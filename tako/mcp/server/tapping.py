"""Tapping: a flow whose events are looked at where it runs, and go no further.

An agent emits what it does to whoever iterates over it. Inside a tool nobody iterates: the events become
progress for the client.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tako.effects import Effect, Emit, Flow
from tako.interposing import interposed, into_children

__all__ = ["tapped"]

T = TypeVar("T")


def tapped(flow: Flow[T], tap: Callable[[Any], object]) -> Flow[T]:
    """The flow, without its events: `tap` is called with each of them."""

    def layer(effect: Effect) -> Flow[Any]:
        if isinstance(effect, Emit):
            for event in effect.events:
                tap(event)
            return None
        return (yield into_children(effect, lambda _, child: tapped(child, tap)))

    return interposed(flow, layer)
