"""FunctionRouter: a router that is somebody's own function; and `router_of`, which takes either.

| the function takes                                            | it is given                          |
|---------------------------------------------------------------|--------------------------------------|
| an argument that is annotated as Situation, or is named so    | the Situation                        |
| any other argument                                            | the task as text: what the user said |

| it gives                       | which is                                                            |
|--------------------------------|---------------------------------------------------------------------|
| a whole number                 | the place of a candidate, from 0                                    |
| a text                         | its name: the whole of it, the role, or the id of the provider      |
| a RoutingDecision              | itself                                                              |
| anything else, True and 1.0 too| an error that says so                                               |

The function is run by the Call effect, plain or async, under every adapter.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from tako.effects import Flow
from tako.errors import InvalidInput
from tako.routers.base import Router, RoutingDecision, Situation
from tako.routers.choosing import asked, place_of

__all__ = ["FunctionRouter", "Sight", "router_of", "sight_of"]


Sight = Callable[[Situation], object]
"""What a function gets to see of a situation."""


class FunctionRouter(Router):
    """Chooses by a function of (task) or of (situation: Situation), plain or async."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Raises InvalidInput for what cannot be called with one argument."""
        self._sight = sight_of(function, "function")
        self._function = function
        self.name = _name_of(function)
        """What errors call it."""

    def __repr__(self) -> str:
        return f"<FunctionRouter {self.name}>"

    def choose_flow(self, situation: Situation) -> Flow[RoutingDecision]:
        who = f"the router {self.name}"
        value = yield from asked(self._function, self._sight(situation), who)
        if isinstance(value, RoutingDecision):
            place_of(value.index, situation.candidates, who)
            return value
        return RoutingDecision(index=place_of(value, situation.candidates, who), reason=self.name)


def router_of(value: object, argument: str = "router") -> Router:
    """The router that somebody means: one as it is, a function as a FunctionRouter.

    Raises InvalidInput that names the argument.
    """
    if isinstance(value, Router):
        return value
    if isinstance(value, type) and issubclass(value, Router):
        raise InvalidInput(f"{argument} should be a router and not its class: write {value.__name__}(...)")
    if not callable(value):
        raise InvalidInput(
            f"{argument} must be a tako.routers.Router, such as RegexRouter(), or a function of (task) or "
            f"(situation) that gives the place or the name of a candidate, not {type(value).__name__}"
        )
    try:
        return FunctionRouter(value)
    except InvalidInput as error:
        raise InvalidInput(f"{argument}: {error}") from None


def sight_of(function: object, argument: str) -> Sight:
    """What the function wants to see; raises InvalidInput, which names the argument."""
    if not callable(function):
        raise InvalidInput(f"{argument} should be a function, not {type(function).__name__}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-in ones have none
        return _task
    try:
        signature.bind(None)
    except TypeError:
        raise InvalidInput(
            f"{argument} should take one argument, the task or the situation, and {_name_of(function)} takes "
            f"{signature}"
        ) from None
    first = next(iter(signature.parameters.values()))
    return _whole if _is_situation(first) else _task


def _is_situation(parameter: inspect.Parameter) -> bool:
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty:
        return parameter.name == "situation"
    return annotation is Situation or (
        isinstance(annotation, str) and annotation.rpartition(".")[2] == Situation.__name__
    )


def _whole(situation: Situation) -> object:
    return situation


def _task(situation: Situation) -> object:
    return situation.task


def _name_of(function: object) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
