"""Books: what a run with workers has used: a ledger of its own, and a page for each that runs beside others.

Invariants. Two that run side by side never write into one ledger, because in the blocking arm they are
threads. The pages stand in the order in which they were opened, which is that of the plans, whoever was done
first; all can be read at any moment, and together they are the whole.
"""

from __future__ import annotations

from tako.models import NOT_COUNTED, Usage
from tako.orchestrators.ledger import Ledger
from tako.orchestrators.result import SubAgentUsage

__all__ = ["Books"]


class Books:
    """Open a page for each that runs beside others; what the run itself uses is in `own`."""

    __slots__ = ("_pages", "own")

    def __init__(self) -> None:
        self.own = Ledger()
        self._pages = [self.own]

    def page(self) -> Ledger:
        """A new one, for somebody alone."""
        page = Ledger()
        self._pages.append(page)
        return page

    @property
    def usage(self) -> Usage:
        return sum([page.usage for page in self._pages], NOT_COUNTED)

    @property
    def cost_usd(self) -> float | None:
        """The price of it all; None if a part of it is not known."""
        total = 0.0
        for page in self._pages:
            cost = page.cost_usd
            if cost is None:
                return None
            total += cost
        return total

    @property
    def sub_agents(self) -> tuple[SubAgentUsage, ...]:
        return tuple([run for page in self._pages for run in page.sub_agents])

    @property
    def still_running(self) -> tuple[str, ...]:
        return tuple([name for page in self._pages for name in page.still_running])
