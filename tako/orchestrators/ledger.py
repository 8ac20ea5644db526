"""Ledger: what a run has used, its own calls of models and those of all that it ran.

Invariants. Everything that was used is booked, however it ended: a failure brings what it has used with
it. A price that is not known makes the sum unknown, and never smaller.
"""

from __future__ import annotations

from typing import Any

from tako.errors import TakoError
from tako.models import NOT_COUNTED, ChatResponse, Usage
from tako.orchestrators.result import RunResult, SubAgentUsage
from tako.providers.base import Provider

__all__ = ["Ledger"]


class Ledger:
    """Fill it while the run goes on; read it at any moment."""

    __slots__ = ("_cost", "_is_priced", "_runs", "_usage", "still_running")

    def __init__(self) -> None:
        self._usage = NOT_COUNTED
        self._cost = 0.0
        self._is_priced = True
        self._runs: list[SubAgentUsage] = []
        self.still_running: list[str] = []
        """Blocking tools that were left behind, with the path to them."""

    @property
    def usage(self) -> Usage:
        return self._usage

    @property
    def cost_usd(self) -> float | None:
        """The price of it all; None if a part of it is not known."""
        return self._cost if self._is_priced else None

    @property
    def sub_agents(self) -> tuple[SubAgentUsage, ...]:
        """What each nested run has used, in the order in which they were booked."""
        return tuple(self._runs)

    def add(self, usage: Usage, cost_usd: float | None) -> None:
        """Something was used, at a price that may not be known; nothing used costs nothing."""
        if usage == NOT_COUNTED and cost_usd is None:
            return
        self._usage += usage
        if cost_usd is None:
            self._is_priced = False
        else:
            self._cost += cost_usd

    def add_reply(self, provider: Provider, usage: Usage) -> None:
        """A model has answered, wholly or in part."""
        self.add(usage, None if usage == NOT_COUNTED else provider.capabilities.cost_usd(usage))

    def add_failed_call(self, provider: Provider, error: TakoError) -> None:
        """A call of a model that broke has used what came of it."""
        if isinstance(error.partial, ChatResponse):
            self.add_reply(provider, error.partial.usage)

    def add_run(self, path: tuple[str, ...], model: str, result: RunResult[Any]) -> None:
        """A nested run has ended, with this result."""
        self.add(result.usage, result.cost_usd)
        self._runs.append(
            SubAgentUsage(
                path=path,
                model=model,
                usage=result.usage,
                steps=result.steps,
                cost_usd=result.cost_usd,
                sub_agents=result.sub_agents,
            )
        )
        self.still_running += [f"{path[-1]}/{name}" for name in result.still_running]

    def add_failed_run(self, path: tuple[str, ...], model: str, error: TakoError) -> None:
        """A nested run has failed: what there was of it is its `partial`."""
        if isinstance(error.partial, RunResult):
            self.add_run(path, model, error.partial)
