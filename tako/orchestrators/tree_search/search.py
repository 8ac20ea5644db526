"""TreeSearch: a search over answers as a machine whose whole state is data.

Ask it for trials, have them answered by whoever answers, and tell it the scores, in any order:

    search = TreeSearch(("haiku", "sonnet"), seed=7)
    for trial in search.ask(4):
        state, score = answer(search.nodes[trial.node].state, trial.action)
        search.tell(trial.id, score, state)
    [best] = search.best()

It holds no function, no clock and no connection, so between any two calls it can be written to JSON
(`dumps`) and read in another process (`loads`).

| call      | a trial that is                        | becomes                                           |
|-----------|----------------------------------------|---------------------------------------------------|
| ask       |                                        | pending; none where nothing can be expanded       |
| assign    | pending                                | pending, with another action                      |
| tell      | pending                                | a node with its score                             |
| fail      | pending                                | a failed node: counts as a score of 0, takes none |
|           |                                        | of its parent's places, is never expanded or best |
| give_back | pending                                | nothing: as if never asked, but for its number    |
| any       | not pending (unknown, or told already) | InvalidInput, and nothing has changed             |

How a trial is chosen (AB-MCTS-A, Inoue and others, arXiv 2503.04412): from the root down, at each node
between a new child (GEN) and the children that are there (CONT), then among these; each time a number is
drawn from each belief and the largest wins (Thompson sampling). See `branch` for who believes what.

| model_selection | which action makes a new child                                                    |
|-----------------|-----------------------------------------------------------------------------------|
| thompson        | drawn from the beliefs in the actions, over the whole tree                        |
| ucb             | the one with the highest upper confidence bound, over the whole tree              |
| stack           | drawn at each node, before GEN and CONT: each action has its own beliefs there    |

Invariants. The tree follows from the options and the calls in their order, and from nothing else: the draws
of trial n follow from the seed and n, and numbers are not used twice. A call that raises has changed
nothing. A node has at most `branching_factor` children that did not fail, trials that may become such
included, and none stands deeper than `max_depth`; nothing is asked of a subtree that has no place left.
A tell costs as much as its node is deep; a trial, as many draws as there are children on its way down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import nsmallest
from typing import Any, Final

from tako.chance import Draws
from tako.errors import InvalidInput
from tako.orchestrators.tree_search import drawing, snapshot
from tako.orchestrators.tree_search.bandit import Bandit
from tako.orchestrators.tree_search.branch import Arm, Branch, likeliest
from tako.orchestrators.tree_search.node import Node, Trial, state_of
from tako.orchestrators.tree_search.options import (
    LAST_NUMBER,
    MOST_PENDING,
    ModelSelection,
    Options,
    score_of,
    whole,
)
from tako.orchestrators.tree_search.posteriors import Family, Prior
from tako.orchestrators.tree_search.svg import svg_of

__all__ = ["TreeSearch"]

LONGEST_ERROR: Final = 2000
"""So many characters of an error are kept."""


class TreeSearch:
    """A search that is asked for trials and told their scores; raises InvalidInput for wrong options.

    actions           who can make a child: names, told apart by what comes of them
    seed              a whole number from 0 to 2**64 - 1; the same one gives the same tree
    posterior         what scores are taken for: "gaussian", or "beta"
    prior             a GaussianPrior or a BetaPrior, as `posterior` says
    model_selection   "thompson", "ucb" or "stack"; nothing to choose where there is one action
    branching_factor  how many children a node may have, from 1; None for any number
    max_depth         how deep a node may stand, from 1 to 100; the root's children stand at 1
    """

    def __init__(
        self,
        actions: Sequence[str] = ("answer",),
        *,
        seed: int,
        posterior: Family = "gaussian",
        prior: Prior | None = None,
        model_selection: ModelSelection = "thompson",
        branching_factor: int | None = None,
        max_depth: int | None = None,
    ) -> None:
        self._options = Options.of(
            actions, seed, posterior, prior, model_selection, branching_factor, max_depth
        )
        self._by_action = model_selection == "stack"
        self._bandit = Bandit(self._options)
        self._unknown = Arm(self._options.prior)
        """What is believed of an arm before its first score; never told any."""
        self._asked = 0
        self._pending: dict[int, Trial] = {}
        self._nodes = [Node(0, None, None, None, None, 0)]
        self._branches: dict[int, Branch] = {}
        """By the numbers of their nodes; a failed node has none."""
        self._branch_off(0, None, None)

    def __repr__(self) -> str:
        return f"TreeSearch({len(self._nodes) - 1} told, {len(self._pending)} pending)"

    @property
    def actions(self) -> tuple[str, ...]:
        """Who can make a child."""
        return self._options.actions

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The root and everything that was told, each at the place of its number."""
        return tuple(self._nodes)

    @property
    def pending(self) -> tuple[Trial, ...]:
        """What was asked and not told yet, in the order of asking."""
        return tuple(self._pending.values())

    def best(self, k: int = 1) -> tuple[Node, ...]:
        """The k nodes with the highest scores, the best one first; of equals the earlier one."""
        answers = [(-node.score, node.number) for node in self._nodes if node.score is not None]
        return tuple([self._nodes[number] for _, number in nsmallest(whole("k", k, 1), answers)])

    def ask(self, count: int = 1) -> tuple[Trial, ...]:
        """So many trials, or fewer, or none, where fewer can be expanded; raises InvalidInput."""
        if len(self._pending) + whole("count", count, 1) > MOST_PENDING:
            raise InvalidInput(f"count should leave at most {MOST_PENDING} trials pending: tell some first")
        trials: list[Trial] = []
        while len(trials) < count and self._branches[0].is_open and self._asked < LAST_NUMBER:
            branch, action = self._select(Draws(self._options.seed, self._asked + 1))
            self._asked += 1
            trials.append(Trial(self._asked, branch.number, action))
            self._hold(trials[-1])
        return tuple(trials)

    def assign(self, trial_id: int, action: str) -> Trial:
        """Have a pending trial made by another action; raises InvalidInput."""
        trial = self._pending_trial(trial_id)
        if action not in self._options.actions:
            raise InvalidInput(f"action should be one of {self._options.actions}, not {action!r}")
        self._pending[trial_id] = assigned = Trial(trial.id, trial.node, action)
        return assigned

    def tell(self, trial_id: int, score: float, state: Any = None) -> Node:
        """A pending trial has brought an answer: the new node; raises InvalidInput."""
        trial = self._pending_trial(trial_id)
        value = score_of(score)
        kept = state_of(state)
        self._release(trial)
        return self._grow(trial, value, kept)

    def fail(self, trial_id: int, error: str | BaseException) -> Node:
        """A pending trial has brought nothing: the failed node; raises InvalidInput."""
        trial = self._pending_trial(trial_id)
        reason = _reason_of(error)
        self._release(trial).refresh()
        return self._wither(trial, reason)

    def give_back(self, trial_id: int) -> None:
        """A pending trial will not be made, and that says nothing about it; raises InvalidInput."""
        self._release(self._pending_trial(trial_id)).refresh()

    def dumps(self) -> str:
        """The search as JSON text, which `loads` goes on from."""
        return snapshot.write(self._options, self._asked, self._nodes[1:], self.pending)

    @classmethod
    def loads(cls, text: str | bytes) -> TreeSearch:
        """The search in a text of `dumps`; raises InvalidInput for what no search could have written.

        The beliefs are learned anew from the scores, in the order of telling, so they are the same ones.
        """
        saved = snapshot.read(text)
        options = saved.options
        search = cls(
            options.actions,
            seed=options.seed,
            posterior=options.posterior,
            prior=saved.prior,
            model_selection=options.model_selection,
            branching_factor=options.branching_factor,
            max_depth=options.max_depth,
        )
        for number, node in enumerate(saved.nodes, 1):
            trial = search._possible(Trial(number, node.parent, node.action))
            if node.score is None:
                search._wither(trial, node.error or "")
            else:
                search._grow(trial, node.score, state_of(node.state))
        for pending in saved.pending:
            search._hold(search._possible(Trial(pending.id, pending.node, pending.action)))
        search._asked = saved.asked
        return search

    def as_data(self) -> dict[str, Any]:
        """The tree as one JSON object: the root, in which all others are nested as `children`."""
        return drawing.data_of(self._nodes)

    def as_text(self, label: Callable[[Node], str] | None = None) -> str:
        """The tree drawn with lines of text; `label` says what else to say of a node."""
        return drawing.text_of(self._nodes, label)

    def as_dot(self, label: Callable[[Node], str] | None = None) -> str:
        """The tree in the language of Graphviz."""
        return drawing.dot_of(self._nodes, label)

    def as_svg(self, label: Callable[[Node], str] | None = None) -> str:
        """The tree as a picture that needs nothing else."""
        return svg_of(self._nodes, label)

    def _select(self, draws: Draws) -> tuple[Branch, str]:
        """Go down from the root, which is open, to where a child is to be made, and by which action."""
        branch = self._branches[0]
        step = self._step_by_action if self._by_action else self._step
        while True:
            found = step(branch, draws)
            if isinstance(found, str):
                return branch, found
            branch = found

    def _step(self, branch: Branch, draws: Draws) -> Branch | str:
        """The child to go into, or the action that makes a new one."""
        if branch.open_children and not (branch.has_room and branch.arms[None].prefers_to_generate(draws)):
            return likeliest([child for child in branch.children if child.is_open], draws)
        return self._bandit.choose(draws, self._pending.values())

    def _step_by_action(self, branch: Branch, draws: Draws) -> Branch | str:
        """The same, where the action is chosen first."""
        open_children: dict[str | None, list[Branch]] = {}
        for child in branch.children:
            if child.is_open:
                open_children.setdefault(child.action, []).append(child)
        has_room = branch.has_room
        able = [name for name in self._options.actions if has_room or name in open_children]
        arms = branch.arms
        action = max(able, key=lambda name: arms.get(name, self._unknown).every.draw(draws))
        if action in open_children and not (has_room and arms[action].prefers_to_generate(draws)):
            return likeliest(open_children[action], draws)
        return action

    def _pending_trial(self, trial_id: int) -> Trial:
        whole("trial_id", trial_id, 1)
        trial = self._pending.get(trial_id)
        if trial is None:
            why = "is not pending any more" if trial_id <= self._asked else "was never asked"
            raise InvalidInput(f"trial_id should be of a pending trial: trial {trial_id} {why}")
        return trial

    def _hold(self, trial: Trial) -> None:
        """Keep a trial as pending, and a place for its child."""
        self._pending[trial.id] = trial
        branch = self._branches[trial.node]
        branch.taken += 1
        branch.refresh()

    def _release(self, trial: Trial) -> Branch:
        """Let go of a pending trial and of the place that was kept for it; to be refreshed."""
        del self._pending[trial.id]
        branch = self._branches[trial.node]
        branch.taken -= 1
        return branch

    def _grow(self, trial: Trial, score: float, state: Any) -> Node:
        """Add the answer to a trial, and learn from it."""
        parent = self._branches[trial.node]
        node = self._add(trial, score, state, None)
        parent.taken += 1
        child = self._branch_off(node.number, parent, trial.action)
        parent.children.append(child)
        parent.refresh()
        child.value.observe(score)
        self._learn(parent, trial.action, score)
        return node

    def _wither(self, trial: Trial, error: str) -> Node:
        """Add the failure of a trial, and learn from it."""
        node = self._add(trial, None, None, error)
        self._learn(self._branches[trial.node], trial.action, 0.0)
        return node

    def _branch_off(self, number: int, parent: Branch | None, action: str | None) -> Branch:
        depth = 0 if parent is None else parent.depth + 1
        value = self._options.prior.posterior()
        self._branches[number] = branch = Branch(number, parent, action, value, self._options.places(depth))
        branch.refresh()
        return branch

    def _add(self, trial: Trial, score: float | None, state: Any, error: str | None) -> Node:
        above = self._nodes[trial.node]
        node = Node(len(self._nodes), above.number, trial.action, score, state, above.depth + 1, (), error)
        self._nodes.append(node)
        self._nodes[above.number] = Node(
            above.number,
            above.parent,
            above.action,
            above.score,
            above.state,
            above.depth,
            (*above.children, node.number),
            above.error,
        )
        return node

    def _learn(self, parent: Branch, action: str, score: float) -> None:
        """Tell a score to everybody it concerns, from the parent of its node up to the root."""
        self._bandit.observe(action, score)
        arm = self._arm(parent, action)
        arm.generate.observe(score)
        if self._by_action:
            arm.every.observe(score)
        branch = parent
        while (above := branch.parent) is not None:
            branch.value.observe(score)
            arm = self._arm(above, branch.action)
            arm.proceed.observe(score)
            if self._by_action:
                arm.every.observe(score)
            branch = above

    def _arm(self, branch: Branch, action: str | None) -> Arm:
        key = action if self._by_action else None
        arm = branch.arms.get(key)
        if arm is None:
            branch.arms[key] = arm = Arm(self._options.prior)
        return arm

    def _possible(self, trial: Trial) -> Trial:
        """A trial from a text, if this search could have asked for it now; raises InvalidInput."""
        branch = self._branches.get(trial.node)
        if branch is None or not branch.has_room or trial.action not in self._options.actions:
            raise InvalidInput(
                f"{snapshot.NOT_DUMPED}: no child of node {trial.node} can be made by {trial.action!r}"
            )
        return trial


def _reason_of(error: str | BaseException) -> str:
    """What to keep of an error, as text that can be written."""
    if not isinstance(error, str | BaseException):
        raise InvalidInput(f"error should be text or an exception, not {type(error).__name__}")
    text = str(error) or type(error).__name__
    return text[:LONGEST_ERROR].encode("utf-8", "replace").decode()
