"""Router: what chooses who speaks next, among candidates that it knows by place and name.

A choice is a place and not a name: two candidates may be the same model. Wherever a router is wanted a
function will do as well (`router_of`).

Invariants. A choice is one of the candidates, or the router raises a TakoError. What choosing has used is
in the choice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from tako import _adapters
from tako.effects import Flow
from tako.errors import InvalidInput
from tako.models import NOT_COUNTED, Message, Role, TextPart, Usage, Value

if TYPE_CHECKING:
    from tako.cancellation import CancellationToken

__all__ = ["Router", "RoutingDecision", "Situation"]


@dataclass(frozen=True, slots=True)
class Situation:
    """What a router is asked about; raises InvalidInput where there is nobody to choose from."""

    messages: tuple[Message, ...]
    """The conversation so far."""
    candidates: tuple[str, ...]
    """Their names, in order; several may have the same."""
    step: int = 1
    """How often a model will have been asked in this run, with the call that the choice is for."""

    def __post_init__(self) -> None:
        names = self.candidates
        if not isinstance(names, Sequence) or isinstance(names, str) or not names or not _are_texts(names):
            raise InvalidInput("candidates should be a list of names, with one at least to choose from")

    @property
    def task(self) -> str:
        """The text of the last message of the user, a line for each part; a tool's results are none."""
        for message in reversed(self.messages):
            if message.role is Role.USER:
                return "\n".join([part.text for part in message.content if type(part) is TextPart])
        return ""


class RoutingDecision(Value):
    """Who speaks next."""

    index: int = Field(ge=0)
    """The place among the candidates."""
    confidence: float = Field(default=1.0, ge=0, le=1, allow_inf_nan=False)
    reason: str = ""
    usage: Usage = NOT_COUNTED
    """What the router has used, if it is a model."""
    cost_usd: float | None = None


class Router(ABC):
    """Write `choose_flow`; the blocking and the async ways to ask follow from it."""

    @abstractmethod
    def choose_flow(self, situation: Situation) -> Flow[RoutingDecision]:
        """Choose; raises a TakoError where that cannot be done."""

    def choose_sync(
        self, prompt: str, candidates: Sequence[str], *, cancel: CancellationToken | None = None
    ) -> RoutingDecision:
        """Choose for a prompt, blocking."""
        situation = _situation(prompt, candidates)
        return _adapters.run_sync(self.choose_flow(situation), cancel)

    async def choose(
        self, prompt: str, candidates: Sequence[str], *, cancel: CancellationToken | None = None
    ) -> RoutingDecision:
        """Choose for a prompt under asyncio or trio, whichever is running."""
        situation = _situation(prompt, candidates)
        return await _adapters.run_async(self.choose_flow(situation), cancel)


def _are_texts(names: Iterable[object]) -> bool:
    return not [name for name in names if not isinstance(name, str)]


def _situation(prompt: str, candidates: Sequence[str]) -> Situation:
    """What there is to choose for a prompt by itself; raises InvalidInput."""
    if not isinstance(prompt, str):
        raise InvalidInput(f"prompt should be text, not {type(prompt).__name__}")
    is_list = isinstance(candidates, Iterable) and not isinstance(candidates, str)
    return Situation((Message.user(prompt),), tuple(candidates) if is_list else ())
