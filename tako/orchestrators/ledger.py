"""Ledger: what a run has used, its own calls of models and those of all that it ran.

Invariants. Everything that was used is booked, however it ended: a failure brings what it has used with
it. A price that is not known makes the sum unknown, and never smaller. Two that run side by side never
write on one page, because in the blocking arm they are threads: each is given a page of its own, and the
pages stand in the order in which they were opened, whoever was done first. All can be read at any moment.
"""

from __future__ import annotations

from typing import Any

from tako.errors import TakoError
from tako.models import NOT_COUNTED, ChatResponse, Usage
from tako.orchestrators.result import RunResult, SubAgentUsage
from tako.providers.base import Provider

__all__ = ["Ledger"]


class Ledger:
    """Fill it while the run goes on; what is read of it is the sum over its pages too."""

    __slots__ = ("_cost", "_is_priced", "_left_running", "_pages", "_runs", "_usage")

    def __init__(self) -> None:
        self._usage = NOT_COUNTED
        self._cost = 0.0
        self._is_priced = True
        self._runs: list[SubAgentUsage] = []
        self._left_running: list[str] = []
        self._pages: list[Ledger] = []

    def page(self) -> Ledger:
        """A page for somebody who runs beside others."""
        page = Ledger()
        self._pages.append(page)
        return page

    @property
    def usage(self) -> Usage:
        return sum([page.usage for page in self._pages], self._usage)

    @property
    def cost_usd(self) -> float | None:
        """The price of it all; None if a part of it is not known."""
        total: float | None = self._cost if self._is_priced else None
        for page in self._pages:
            cost = page.cost_usd
            total = None if total is None or cost is None else total + cost
        return total

    @property
    def sub_agents(self) -> tuple[SubAgentUsage, ...]:
        """What each nested run has used, in the order in which they were booked, page by page."""
        return (*self._runs, *[run for page in self._pages for run in page.sub_agents])

    @property
    def still_running(self) -> tuple[str, ...]:
        """Blocking tools that were left behind, with the path to them."""
        return (*self._left_running, *[name for page in self._pages for name in page.still_running])

    def add(self, usage: Usage, cost_usd: float | None) -> None:
        """Somebody was asked who may have used something; where nobody counted anything, it was nothing."""
        if usage != NOT_COUNTED or cost_usd is not None:
            self._book(usage, cost_usd)

    def _book(self, usage: Usage, cost_usd: float | None) -> None:
        self._usage += usage
        if cost_usd is None:
            self._is_priced = False
        else:
            self._cost += cost_usd

    def add_reply(self, provider: Provider, usage: Usage) -> None:
        """A model has answered, wholly or in part; the price of one that does not count is not known."""
        self._book(usage, provider.capabilities.cost_usd(usage))

    def add_failed_call(self, provider: Provider, error: TakoError) -> None:
        """A call of a model that broke has used what came of it."""
        if isinstance(error.partial, ChatResponse):
            self.add_reply(provider, error.partial.usage)

    def add_failure(self, error: TakoError) -> None:
        """Somebody who was asked (a judge, a router) has failed: what was used is in the error."""
        if isinstance(error.partial, RunResult):
            self.add(error.partial.usage, error.partial.cost_usd)
        elif isinstance(error.usage, Usage):
            self.add(error.usage, None)
        elif isinstance(error.partial, ChatResponse):
            self.add(error.partial.usage, None)

    def add_result(self, result: RunResult[Any]) -> None:
        """A run has ended that is no other's, but a part of this one."""
        if result.steps:
            self._book(result.usage, result.cost_usd)
        else:
            self.add(result.usage, result.cost_usd)

    def add_run(self, path: tuple[str, ...], model: str, result: RunResult[Any]) -> None:
        """A nested run has ended, with this result."""
        self.add_result(result)
        self._runs.append(
            SubAgentUsage(
                path=path,
                model=model,
                usage=result.usage,
                steps=result.steps,
                cost_usd=result.cost_usd,
                sub_agents=result.sub_agents,
                depth=result.depth,
            )
        )
        self._left_running += [f"{path[-1]}/{name}" for name in result.still_running]

    def add_failed_run(self, path: tuple[str, ...], model: str, error: TakoError) -> None:
        """A nested run has failed: what there was of it is its `partial`."""
        if isinstance(error.partial, RunResult):
            self.add_run(path, model, error.partial)
