"""What a driver can be given: a flow, or anything that makes one of its arguments, like an agent."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol, TypeVar, runtime_checkable

from tako.effects import Flow
from tako.errors import InvalidInput

__all__ = ["MakesFlow", "as_flow"]

T = TypeVar("T", covariant=True)


@runtime_checkable
class MakesFlow(Protocol[T]):
    """An agent or any other orchestrator."""

    def flow(self, *arguments: Any, **options: Any) -> Flow[T]: ...


def as_flow(target: Flow[T] | MakesFlow[T], *arguments: Any, **options: Any) -> Flow[T]:
    """The flow itself, or the one that an agent makes of a prompt and its options."""
    if isinstance(target, Generator):
        if arguments or options:
            raise InvalidInput("a flow has its arguments already; pass the prompt when it is made")
        return target
    if isinstance(target, MakesFlow):
        return target.flow(*arguments, **options)
    raise InvalidInput(f"expected an agent or a flow, not {type(target).__name__}")
