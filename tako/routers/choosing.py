"""Choosing: from what somebody means, a place or a name, to the place of a candidate.

Candidates have the names that an orchestrator gives them: the id of a provider, or `role|provider_id`.

| what is meant        | is the candidate                                                             |
|----------------------|------------------------------------------------------------------------------|
| a whole number       | at that place, from 0                                                        |
| a name               | of that whole name; else of that role; else on the provider of that id       |

Invariants. True is no place, and neither is 1.0: who says so has made a mistake. A name that several
candidates have is refused, because nobody can say which of them is meant: a place can.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex, TypeAlias

from tako.effects import Call, Flow
from tako.errors import InvalidInput, TakoError
from tako.routers.base import Router, RoutingDecision, Situation

__all__ = ["Target", "asked", "chosen", "place_named", "place_of", "require_target"]

Target: TypeAlias = int | str
"""A candidate, by its place or by its name."""


def require_target(value: object, argument: str) -> None:
    """Raises InvalidInput, which names the argument, for what cannot be a place or a name."""
    if isinstance(value, str) and value:
        return
    place = _whole(value)
    if place is None or place < 0:
        raise InvalidInput(
            f"{argument} should be the name of a candidate or its place from 0, not {_shown(value)}"
        )


def place_of(target: object, candidates: Sequence[str], who: str = "the router") -> int:
    """The place of the candidate that is meant; raises InvalidInput."""
    if isinstance(target, str):
        return _place_of_name(target, candidates, who)
    place = _whole(target)
    if place is None:
        raise InvalidInput(
            f"{who} chose {_shown(target)}; it should give the place of a candidate from 0, or its name",
            phase="router",
        )
    if not 0 <= place < len(candidates):
        raise InvalidInput(
            f"{who} chose the place {place}, and there are {len(candidates)} candidates, from place 0 to "
            f"{len(candidates) - 1}",
            phase="router",
        )
    return place


def _place_of_name(name: str, candidates: Sequence[str], who: str) -> int:
    place = place_named(name, candidates, who)
    if place is None:
        raise InvalidInput(
            f"{who} chose {name[:200]!r}, which is no candidate; there are "
            f"{', '.join(map(repr, candidates))}",
            phase="router",
        )
    return place


def place_named(name: str, candidates: Sequence[str], who: str) -> int | None:
    """The place of the candidate of that name, None if nobody has it; raises InvalidInput if several have."""
    ways: tuple[Callable[[str], str], ...] = (_itself, _role, _provider)
    for way in ways:
        places = [place for place, candidate in enumerate(candidates) if name and way(candidate) == name]
        if len(places) > 1:
            raise InvalidInput(
                f"{who} chose {name!r}, which is the name of {len(places)} candidates; choose one of them by "
                f"its place ({', '.join(map(str, places))})",
                phase="router",
            )
        if places:
            return places[0]
    return None


def chosen(router: Router, situation: Situation) -> Flow[RoutingDecision]:
    """What a router of anybody's chooses, checked; raises a TakoError."""
    decision = yield from router.choose_flow(situation)
    who = f"the router {type(router).__name__}"
    if not isinstance(decision, RoutingDecision):
        raise InvalidInput(f"{who} gave {_shown(decision)}; it should give a RoutingDecision", phase="router")
    place_of(decision.index, situation.candidates, who)
    return decision


def asked(function: Callable[..., Any], argument: object, who: str) -> Flow[Any]:
    """What somebody's function gives, plain or async; what it raises becomes a TakoError."""
    try:
        return (yield Call(function, (argument,)))
    except TakoError:
        raise
    except Exception as error:
        raise TakoError(f"{who} raised {type(error).__name__}: {error}", phase="router") from error


def _itself(candidate: str) -> str:
    return candidate


def _role(candidate: str) -> str:
    return candidate.partition("|")[0]


def _provider(candidate: str) -> str:
    return candidate.partition("|")[2]


def _whole(value: object) -> int | None:
    """Its value if it is a whole number of some kind: numpy's are."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        return None
    try:
        return operator.index(value)
    except TypeError:  # an array has the method, and no value
        return None


def _shown(value: object) -> str:
    """A number as it is; of anything else the kind, for it may be long, or a secret."""
    return repr(value)[:40] if isinstance(value, int | float) else f"a {type(value).__name__}"
