"""What is believed at a node, and whether anything below it can still be expanded.

A branch is a node that may have children, which a failure may not. At each one on the way down two
sources of answers compete: a new child made here (GEN), and the children that are there (CONT).

| a score is told to | at the parent of the new node | at each branch above it, up to the root |
|--------------------|-------------------------------|-----------------------------------------|
| GEN                | yes                           |                                         |
| CONT               |                               | yes                                     |
| its own posterior  | unless it is the root         | unless it is the root                   |

The posterior of the new node itself begins with its score. So the belief in a child is the belief in
everything that came of it (node aggregation), and CONT is about what going on has brought, not about
new children. Where each action has an arm of its own, a score is told to the arm of the action that made
the child through which it came.

A branch is open when a child can be made at it or below. `open_children` counts those below that are open,
so a change is passed up only as far as it changes something.
"""

from __future__ import annotations

from collections.abc import Sequence

from tako.chance import Draws
from tako.orchestrators.tree_search.posteriors import Posterior, Prior

__all__ = ["Arm", "Branch", "likeliest"]


class Arm:
    """What is believed at a node about its answers: those of all actions, or those of one."""

    __slots__ = ("every", "generate", "proceed")

    def __init__(self, prior: Prior) -> None:
        self.generate: Posterior = prior.posterior()
        self.proceed: Posterior = prior.posterior()
        self.every: Posterior = prior.posterior()
        """Both together: by it an action is compared with the others."""

    def prefers_to_generate(self, draws: Draws) -> bool:
        """GEN against CONT, by Thompson sampling."""
        return self.generate.draw(draws) >= self.proceed.draw(draws)


class Branch:
    """A node that may have children, and its place among the others.

    value     the belief in this node and what came of it; its parent asks
    arms      the beliefs by which it chooses, by action, or by None for all
    children  those of its children that are branches themselves
    places    how many children it may have, failures not counted
    taken     how many of these places are taken: by children, and by trials that may become some
    """

    __slots__ = (
        "action",
        "arms",
        "children",
        "depth",
        "is_open",
        "number",
        "open_children",
        "parent",
        "places",
        "taken",
        "value",
    )

    def __init__(
        self, number: int, parent: Branch | None, action: str | None, value: Posterior, places: int
    ) -> None:
        self.number = number
        self.parent = parent
        self.action = action
        self.value = value
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.arms: dict[str | None, Arm] = {}
        self.children: list[Branch] = []
        self.places = places
        self.taken = 0
        self.open_children = 0
        self.is_open = False

    @property
    def has_room(self) -> bool:
        """Whether a child can be made here."""
        return self.taken < self.places

    def refresh(self) -> None:
        """Find out anew whether this branch is open, after its places or its children have changed."""
        branch: Branch | None = self
        while branch is not None:
            is_open = branch.taken < branch.places or branch.open_children > 0
            if is_open is branch.is_open:
                return
            branch.is_open = is_open
            branch = branch.parent
            if branch is not None:
                branch.open_children += 1 if is_open else -1


def likeliest(branches: Sequence[Branch], draws: Draws) -> Branch:
    """The branch to go into, by Thompson sampling: each as often as it is believed to be the best."""
    best = branches[0]
    if len(branches) == 1:
        return best
    most = best.value.draw(draws)
    for branch in branches[1:]:
        value = branch.value.draw(draws)
        if value > most:
            best, most = branch, value
    return best
