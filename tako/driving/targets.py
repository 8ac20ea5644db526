"""What a driver can be given: a flow, or anything that makes one of its arguments, like an agent."""

from __future__ import annotations

from collections.abc import Generator
from inspect import isgenerator
from typing import Any, Protocol, TypeVar, runtime_checkable

from tako.effects import Flow
from tako.errors import InvalidInput

__all__ = ["MakesFlow", "as_flow"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@runtime_checkable
class MakesFlow(Protocol[T_co]):
    """An agent or any other orchestrator."""

    def flow(self, prompt: Any, *, streaming: bool = False, **options: Any) -> Flow[T_co]: ...


def as_flow(
    target: Flow[T] | MakesFlow[T], *arguments: Any, streaming: bool = False, **options: Any
) -> Flow[T]:
    """The flow itself, or the one that an agent makes of a prompt and its options.

    `streaming` is for the agent: whether somebody will look at the answer while it is made.
    """
    if isgenerator(target) or isinstance(target, Generator):  # the second takes longer
        if arguments or options:
            raise InvalidInput("a flow has its arguments already; pass the prompt when it is made")
        return target
    if isinstance(target, MakesFlow):
        return target.flow(*arguments, streaming=streaming, **options)
    raise InvalidInput(f"expected an agent or a flow, not {type(target).__name__}")
