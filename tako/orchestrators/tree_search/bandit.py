"""Which action makes a new child, as far as that is decided for the whole tree at once.

| way      | the action with                                                    | unless                     |
|----------|--------------------------------------------------------------------|----------------------------|
| thompson | the largest draw from the belief in it                             |                            |
| ucb      | the highest bound: mean + sqrt(2 ln N / n), for n of N scores told | one has no score: that one |

Of equal bounds the action with the fewest trials pending is taken, then the first: so the first batch of a
search is not one action alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, log, sqrt

from tako.chance import Draws
from tako.orchestrators.tree_search.node import Trial
from tako.orchestrators.tree_search.options import Options
from tako.orchestrators.tree_search.posteriors import Posterior

__all__ = ["Bandit"]


class Bandit:
    """The actions of a tree, and what all scores say about each."""

    __slots__ = ("_actions", "_beliefs", "_bounded", "_counts", "_sums")

    def __init__(self, options: Options) -> None:
        self._actions = options.actions
        self._bounded = options.model_selection == "ucb"
        self._beliefs: dict[str, Posterior] = {name: options.prior.posterior() for name in self._actions}
        self._counts = dict.fromkeys(self._actions, 0)
        self._sums = dict.fromkeys(self._actions, 0.0)

    def observe(self, action: str, score: float) -> None:
        """An answer of this action has this score."""
        if len(self._actions) == 1:
            return
        self._beliefs[action].observe(score)
        self._counts[action] += 1
        self._sums[action] += score

    def choose(self, draws: Draws, pending: Iterable[Trial]) -> str:
        """The action to try next."""
        if len(self._actions) == 1:
            return self._actions[0]
        if not self._bounded:
            return max(self._actions, key=lambda action: self._beliefs[action].draw(draws))
        waiting = dict.fromkeys(self._actions, 0)
        for trial in pending:
            waiting[trial.action] += 1
        return max(self._actions, key=lambda action: (self._bound(action), -waiting[action]))

    def _bound(self, action: str) -> float:
        count = self._counts[action]
        if not count:
            return inf
        return self._sums[action] / count + sqrt(2.0 * log(sum(self._counts.values())) / count)
