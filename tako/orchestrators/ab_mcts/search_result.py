"""SearchResult: what a search for the best answer gives back, however it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from tako.orchestrators.ab_mcts.search_steps import answer_of
from tako.orchestrators.result import RunResult, StopReason

if TYPE_CHECKING:
    from tako.orchestrators.ab_mcts.search_run import SearchRun
    from tako.orchestrators.ab_mcts.search_steps import BestAnswer

__all__ = ["SearchResult", "result_of"]


@dataclass(slots=True, repr=False)
class SearchResult(RunResult[None]):
    """A RunResult whose text is the best answer there is; "" if there is none.

    new_messages  the prompt and what was said on the way to the best answer
    steps         how often a model was called by all candidates
    detail        why the search ended
    search        the search itself: `search.tree` with its drawings, `search.dumps()` to keep it, and
                  `agent.run_sync(result.search)` to go on, where it has not ended
    """

    search: SearchRun = field(default=cast(Any, None), repr=False, compare=False)

    def best(self, k: int = 1) -> list[BestAnswer]:
        """The k best answers as (text, score, node), the best one first."""
        return self.search.best(k)


def result_of(search: SearchRun, reason: StopReason, detail: str = "") -> SearchResult:
    """What there is, at any moment. An answer that was cut off is not said to be whole."""
    found, spent = search.best(), search.spent
    answer = answer_of(found[0].node) if found else None
    if reason == "stop" and answer is not None and answer.stop_reason != "stop":
        reason, detail = answer.stop_reason, f"{detail}; the best answer was cut off"
    return SearchResult(
        text="" if answer is None else answer.text,
        usage=spent.usage,
        steps=sum([run.steps for run in spent.runs]),
        new_messages=[*search.opening.prompt, *(() if answer is None else answer.said)],
        stop_reason=reason,
        cost_usd=spent.cost_usd,
        still_running=spent.still_running,
        detail=detail,
        sub_agents=spent.runs,
        search=search,
    )
