"""Tapping: a flow whose events are looked at where it runs, and go no further.

An agent emits what it does to whoever iterates over it. Inside a tool nobody iterates: the events become
progress for the client. So the flow is driven through here: every effect goes on to the driver as it is, but
an Emit is taken out, also from the flows inside a Gather or Within.

This is the one place of the package that hands on effects by hand, for nothing else can stand between a flow
and its driver. It forwards replies, errors and the close as `yield from` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from tako.effects import Effect, Emit, Flow, Gather, Within

__all__ = ["tapped"]

T = TypeVar("T")


def tapped(flow: Flow[T], tap: Callable[[Any], object]) -> Flow[T]:
    """The flow, without its events: `tap` is called with each of them."""
    resume: Callable[[Any], Effect] = flow.send
    argument: Any = None
    try:
        while True:
            try:
                effect = resume(argument)
            except StopIteration as stop:
                result: T = stop.value
                return result
            resume, argument = flow.send, None
            if isinstance(effect, Emit):
                for event in effect.events:
                    tap(event)
                continue
            try:
                argument = yield _tapped_within(effect, tap)
            except GeneratorExit:
                raise
            except BaseException as error:
                resume, argument = flow.throw, error
    finally:
        flow.close()


def _tapped_within(effect: Effect, tap: Callable[[Any], object]) -> Effect:
    if isinstance(effect, Gather):
        return replace(effect, flows=tuple([tapped(child, tap) for child in effect.flows]))
    if isinstance(effect, Within):
        return replace(effect, flow=tapped(effect.flow, tap))
    return effect
