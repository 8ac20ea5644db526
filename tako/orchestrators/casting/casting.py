"""Casting: who may speak in a run where that is not one model alone, and who chooses among them.

It is a value, a part of an agent's equipment. What has been said and chosen is in the run (`turns`), how a
turn is performed in `speaking`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from tako.errors import InvalidInput
from tako.orchestrators.agent_run import AgentRun
from tako.orchestrators.agent_steps import CallModel
from tako.orchestrators.base import Orchestrator
from tako.orchestrators.casting.turns import UNKNOWN
from tako.orchestrators.equipment import ASKED, Equipment
from tako.orchestrators.options import RunOptions
from tako.providers.base import Provider
from tako.routers.base import Router, Situation
from tako.routers.function import router_of
from tako.verifiers.base import Verifier

__all__ = ["Casting", "Kind", "Scene", "Speaker", "casting_among"]

Kind: TypeAlias = Literal["worker", "thinker", "verifier"]
"""What the words of a speaker are: an answer, advice, or a verdict; see `speaking`."""

FOR_MODELS = tuple([name for name in RunOptions.model_fields if name == "system" or name in ASKED])
"""Options that an orchestrator in a role does not hear of: it has its own."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """One of the cast.

    name          what events call it
    label         what the router knows it by
    who           a model, or whatever else makes an answer of a conversation
    kind          what its words are: see the table at the head of this file
    instructions  stand behind the system prompt when it speaks
    """

    name: str
    label: str
    who: Provider | Orchestrator[Any]
    kind: Kind = "worker"
    instructions: str = ""


@dataclass(frozen=True, slots=True)
class Scene(Situation):
    """What the router of a cast is asked about. `task` is what the user said, not a stage direction."""

    asked: str = ""
    kinds: tuple[Kind, ...] = ()
    """What each candidate is."""
    spoken: tuple[int, ...] = ()
    """Who has spoken so far in this run, by place."""

    @property
    def task(self) -> str:
        return self.asked


@dataclass(frozen=True, slots=True)
class Casting:
    """Who may speak, who chooses among them, and who judges their answers.

    With `min_confidence` an answer that the verifier gives less is not final.
    """

    speakers: tuple[Speaker, ...]
    router: Router
    verifier: Verifier | None = None
    min_confidence: float | None = None

    @property
    def providers(self) -> tuple[Provider, ...]:
        """The models among those who may speak."""
        return tuple([one.who for one in self.speakers if isinstance(one.who, Provider)])

    @property
    def is_checked(self) -> bool:
        """There is a verifier in the cast, so that no worker has the last word."""
        return any(one.kind == "verifier" for one in self.speakers)

    def speaker(self, place: int) -> Speaker:
        """Who stands there; raises InvalidInput for a run of another cast."""
        if not 0 <= place < len(self.speakers):
            raise InvalidInput(
                f"this run was made with another cast: it speaks of place {place}, and there are "
                f"{len(self.speakers)}; go on with the roles, or candidates, that it was started with"
            )
        return self.speakers[place]

    def cost_usd(self, run: AgentRun) -> float | None:
        """The price of what was said, chosen and judged; None if a part of it is not known."""
        if run.turns is None:
            return None if run.step else 0.0
        cost = run.turns.beside_cost
        for place, usage in run.turns.usage.items():
            who = self.speakers[place].who if 0 <= place < len(self.speakers) else None
            if isinstance(who, Orchestrator):
                continue  # what it has used is among the runs
            price = None if who is None else who.capabilities.cost_usd(usage)
            cost = None if cost is None or price is None else cost + price
        return cost

    def require_heard(self, options: RunOptions, equipment: Equipment) -> None:
        """Raise InvalidInput for what is for models alone, where there is none in the cast."""
        if self.providers:
            return
        usual = RunOptions()
        unheard = [name for name in FOR_MODELS if getattr(options, name) != getattr(usual, name)]
        unheard += ["tools"] if len(equipment.tools) else []
        unheard += ["mcp_servers"] if equipment.servers else []
        if unheard:
            raise InvalidInput(
                f"{', '.join(unheard)}: for roles that are providers, and there is none; give this to the "
                "orchestrators in the roles"
            )

    def equip(self, equipment: Equipment, run: AgentRun) -> Equipment:
        """With the model that has spoken last: what its tools run with, in a run that is resumed."""
        self.require_heard(run.options, equipment)
        last = run.turns.spoken[-1] if run.turns and run.turns.spoken else UNKNOWN
        who = None if last == UNKNOWN else self.speaker(last).who
        return replace(equipment, provider=who) if isinstance(who, Provider) else equipment

    def situation(self, step: CallModel, asked: str, spoken: tuple[int, ...]) -> Scene:
        """What the router is asked."""
        return Scene(
            messages=tuple(step.messages),
            candidates=tuple([one.label for one in self.speakers]),
            step=step.step,
            asked=asked,
            kinds=tuple([one.kind for one in self.speakers]),
            spoken=spoken,
        )


def casting_among(provider: Provider, candidates: object, router: object) -> Casting | None:
    """The provider and its candidates, all of them workers; None if there are none. Raises InvalidInput."""
    if isinstance(candidates, Provider | str) or not isinstance(candidates, Iterable):
        raise InvalidInput(f"candidates should be a list of providers, not {type(candidates).__name__}")
    others = tuple(candidates)
    for index, one in enumerate(others):
        if not isinstance(one, Provider):
            hint = f"; write tako.provider({one!r})" if isinstance(one, str) else ""
            raise InvalidInput(
                f"candidates[{index}] must be a tako.providers.* instance, not {type(one).__name__}{hint}"
            )
    if not others and router is None:
        return None
    if not others:
        raise InvalidInput(
            "router has nobody to choose from; pass candidates=[...], the other providers that may be asked"
        )
    if router is None:
        raise InvalidInput(
            "candidates alone cannot be chosen among; pass router=..., one of tako.routers or a function"
        )
    return Casting(tuple([Speaker(one.id, one.id, one) for one in (provider, *others)]), router_of(router))
