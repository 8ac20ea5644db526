"""SearchRun: a search for the best answer as a machine whose whole state is data.

Ask `next_step()` what to do, do it, `feed()` what came of it, and again. It holds no function, no clock
and no connection, so at any moment it can be written to JSON (`dumps`), read in another process
(`loads`), or copied to try two ways.

| state     | next_step()                      | fed with                   | next state                     |
|-----------|----------------------------------|----------------------------|--------------------------------|
| unseeded  | InvalidInput                     | `begin(chance)`            | between                        |
| between   | Expand, with a new batch         |                            | expanding                      |
|           | Finished, where the search ends  |                            | between                        |
| expanding | Expand, with what is left of it  | TrialScored or TrialFailed | expanding; when the batch is   |
|           |                                  |                            | whole and settled: between     |
|           |                                  | TrialDropped               | expanding; the trial stays     |

| between two batches the search ends   | with                                                            |
|---------------------------------------|-----------------------------------------------------------------|
| nothing has succeeded, and each       | "error": the first of these failures                            |
| candidate has failed in a way that    |                                                                 |
| another try cannot cure               |                                                                 |
| nothing has succeeded until the end   | "error": the last one that failed                               |
| a score has reached min_confidence    | "stop"                                                          |
| max_iterations are used, or the tree  | "stop"                                                          |
| has no place for another node         |                                                                 |
| the tokens or dollars are used up     | "budget"; also where the price is not known, for then nobody    |
|                                       | could say that they are not                                     |

Invariants. The iteration, the trial and the node that comes of it have one number. A batch goes into the
tree as a whole, in the order of its numbers (`settle`): so a tree follows from the seed and the replies,
whatever arrived first, and a dump in the middle of a batch goes on to the same tree. What a state does not
expect is refused with InvalidInput and changes nothing. Trials may be fed from several threads at once,
but TrialDropped, `settle` and `next_step` are for one. The end is no state: with options that allow more
(`run.options`), a search goes on from where it ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, from_json, to_json

from tako.errors import InvalidInput, TakoError
from tako.models import Message, Usage, describe
from tako.orchestrators.ab_mcts.search_steps import (
    Answer,
    BestAnswer,
    Expand,
    Expansion,
    Finished,
    Outcome,
    SearchOptions,
    SearchSnapshot,
    Spending,
    Step,
    TrialDropped,
    TrialFailed,
    TrialScored,
    answer_of,
)
from tako.orchestrators.history import require_answered
from tako.orchestrators.limits import cut_text
from tako.orchestrators.opening import Opening
from tako.orchestrators.result import SubAgentUsage
from tako.orchestrators.tree_search import Node, TreeSearch, Trial

__all__ = ["SearchRun", "planted"]

REASON_LIMIT = 4000
"""Characters of a verifier's reason that a candidate gets to read."""
NO_REASON = "not given"
UNFINISHED = "cancelled before there was an answer"


def planted(options: SearchOptions, seed: int) -> TreeSearch:
    """The tree that a search begins with; raises InvalidInput that names the argument."""
    return TreeSearch(
        options.candidates,
        seed=seed,
        posterior=options.posterior,
        prior=options.prior,
        model_selection=options.model_selection,
        branching_factor=options.branching_factor,
        max_depth=options.max_depth,
    )


class SearchRun:
    """The state of one search. See the tables at the head of this file."""

    __slots__ = ("_hopeless", "_outcomes", "_spent", "_tree", "opening", "options", "run_id")

    def __init__(self, opening: Opening, options: SearchOptions) -> None:
        self.opening = opening
        self.options = options
        self.run_id = ""
        self._tree = None if options.seed is None else planted(options, options.seed)
        self._outcomes: dict[int, TrialScored | TrialFailed] = {}  # of the open batch
        self._spent = Spending()  # but for what is in the outcomes
        self._hopeless: dict[str, int] = {}  # by candidate, the first trial that another could not cure

    def __repr__(self) -> str:
        return f"<SearchRun, {self.iterations} of {self.options.max_iterations} iterations>"

    def begin(self, chance: bytes) -> None:
        """Give it its id, and its seed if it has none: eight bytes of chance, once."""
        if self.run_id:
            raise InvalidInput("this search has begun already")
        if not isinstance(chance, bytes) or len(chance) != 8:
            raise InvalidInput("chance should be eight bytes: secrets.token_bytes(8)")
        self.run_id = chance.hex()
        if self._tree is None:
            self._tree = planted(self.options, int.from_bytes(chance))

    # Step by step.

    def next_step(self) -> Step:
        """What to do now. Asked again before anything was fed, it says the same."""
        self.settle()
        tree, options = self._begun(), self.options
        if not tree.pending:
            if (end := self._end(tree)) is not None:
                return end
            if not tree.ask(min(options.batch_size, options.max_iterations - self.iterations)):
                return self._ended(tree, "stop", "the tree has no place for another node")
        return Expand(tuple([self._expansion(*one) for one in _batch(tree) if one[0] not in self._outcomes]))

    def feed(self, outcome: Outcome) -> None:
        """What came of a trial; raises InvalidInput if it is not open, or nobody has that name."""
        if not self.is_open(outcome.number):
            raise InvalidInput(f"no trial {outcome.number} is open; feed what the last next_step() asked for")
        if isinstance(outcome, TrialDropped):
            self._spent += outcome.spent
            return
        if outcome.candidate not in self.options.candidates:
            raise InvalidInput(f"there is no candidate {outcome.candidate!r} in this search")
        self._outcomes[outcome.number] = outcome

    def is_open(self, number: int) -> bool:
        """Whether that trial was asked for, and nothing has come of it yet."""
        tree = self._tree
        return (
            tree is not None
            and 0 <= number - len(tree.nodes) < len(tree.pending)
            and number not in self._outcomes
        )

    def settle(self) -> tuple[Node, ...]:
        """Put the batch into the tree, if all of it is there; its nodes, in order."""
        tree, outcomes = self._tree, self._outcomes
        if tree is None or not outcomes or len(outcomes) < len(tree.pending):
            return ()
        batch = _batch(tree)
        nodes = tuple([_told(tree, trial, outcomes[number]) for number, trial in batch])
        for number, _ in batch:
            outcome = outcomes.pop(number)
            self._spent += outcome.spent
            if isinstance(outcome, TrialFailed) and outcome.is_hopeless:
                self._hopeless.setdefault(outcome.candidate, number)
        return nodes

    def _end(self, tree: TreeSearch) -> Finished | None:
        """Why there is no other batch, if there is none."""
        options, best = self.options, tree.best()
        if not best and len(self._hopeless) == len(options.candidates):
            first = min(self._hopeless.values())
            return Finished("error", tree.nodes[first].error or "", first)
        score = (best[0].score or 0.0) if best else 0.0
        if best and options.min_confidence is not None and score >= options.min_confidence:
            return Finished("stop", f"min_confidence was reached: {score:g}")
        if self.iterations >= options.max_iterations:
            return self._ended(tree, "stop", f"all {options.max_iterations} iterations were used")
        if self.iterations and (spent := self._overspent()):
            return self._ended(tree, "budget", spent)
        return None

    def _ended(self, tree: TreeSearch, reason: Any, detail: str) -> Finished:
        """So, unless nothing has succeeded."""
        if tree.best():
            return Finished(reason, detail)
        last = len(tree.nodes) - 1
        return Finished("error", tree.nodes[last].error or "", last)

    def _overspent(self) -> str:
        """In words; nothing if there is something left."""
        tokens, dollars = self.options.max_total_tokens, self.options.max_cost_usd
        if tokens is not None and self.usage.total >= tokens:
            return f"max_total_tokens was reached: {self.usage.total}"
        if dollars is None:
            return ""
        if (cost := self.cost_usd) is None:
            return "max_cost_usd cannot be kept: the price of what was used is not known"
        return f"max_cost_usd was reached: {cost:g}" if cost >= dollars else ""

    # The conversation of a node.

    def _expansion(self, number: int, trial: Trial) -> Expansion:
        tree, opening = self._begun(), self.opening
        node = tree.nodes[trial.node]
        if node.parent is None:
            return Expansion(number, 0, trial.action, opening.history, opening.prompt)
        history = [*opening.messages]
        for one in _path(tree, node):
            history += answer_of(one).messages
        prompt = (self._refine_prompt(node),)
        return Expansion(number, node.number, trial.action, tuple(history), prompt)

    def _refine_prompt(self, node: Node) -> Message:
        """The user's turn between an answer and a better one."""
        reason = cut_text(answer_of(node).reason, REASON_LIMIT) or NO_REASON
        words = self.options.refine_prompt.replace("{score}", f"{node.score:.2f}")
        return Message.user(words.replace("{reason}", reason))

    # What there is.

    @property
    def tree(self) -> TreeSearch:
        """The tree so far. Of an open batch it has the answers that are there; what of it is not finished
        is a failure where a number has to be kept free, and otherwise not in it: then it is a copy."""
        tree = self._begun()
        if not self._outcomes:
            return tree
        tree = TreeSearch.loads(tree.dumps())
        last = max(self._outcomes)
        for number, trial in _batch(tree):
            if number in self._outcomes:
                _told(tree, trial, self._outcomes[number])
            elif number < last:
                tree.fail(trial.id, UNFINISHED)
            else:
                tree.give_back(trial.id)
        return tree

    def best(self, k: int = 1) -> list[BestAnswer]:
        """The k best answers, the best one first; of equals the older one."""
        if self._tree is None:
            return []
        return [BestAnswer(answer_of(node).text, node.score or 0.0, node) for node in self.tree.best(k)]

    @property
    def iterations(self) -> int:
        """How many trials are in the tree."""
        return 0 if self._tree is None else len(self._tree.nodes) - 1

    @property
    def spent(self) -> Spending:
        """What was used, by trials that failed or were dropped as well."""
        spent = self._spent
        for number in sorted(self._outcomes):
            spent += self._outcomes[number].spent
        return spent

    @property
    def usage(self) -> Usage:
        return self.spent.usage

    @property
    def cost_usd(self) -> float | None:
        """The price of it all; None if a part of it is not known."""
        return self.spent.cost_usd

    @property
    def sub_agents(self) -> tuple[SubAgentUsage, ...]:
        """What each trial's run has used."""
        return self.spent.runs

    def as_data(self) -> dict[str, Any]:
        """The tree as JSON: the root, in which all others are nested as `children`."""
        return self.tree.as_data()

    def as_text(self) -> str:
        """The tree, drawn with lines; the best answer has a star."""
        return self.tree.as_text(self._label)

    def as_dot(self) -> str:
        """The tree in the language of Graphviz."""
        return self.tree.as_dot(self._label)

    def as_svg(self) -> str:
        """The tree as a picture."""
        return self.tree.as_svg(self._label)

    def _label(self, node: Node) -> str:
        """What a drawing says of a node besides its number, candidate and score."""
        if node.parent is None:
            return self.opening.task
        return answer_of(node).text if node.error is None else ""

    def _begun(self) -> TreeSearch:
        if self._tree is None:
            raise InvalidInput("this search has no seed yet; call run.begin(secrets.token_bytes(8))")
        return self._tree

    # The state as data.

    def dumps(self) -> str:
        """The search as JSON text, at any moment."""
        opening = self.opening
        snapshot = SearchSnapshot(
            run_id=self.run_id,
            options=self.options,
            prompt=opening.prompt,
            history=opening.history,
            system=opening.system,
            principal=opening.principal,
            tree=None if self._tree is None else from_json(self._tree.dumps()),
            spent=self._spent,
            outcomes=tuple([self._outcomes[number] for number in sorted(self._outcomes)]),
            hopeless=self._hopeless,
        )
        try:
            return snapshot.model_dump_json()
        except PydanticSerializationError as error:
            raise InvalidInput(
                f"this search cannot be dumped, something in it is not JSON: {error}"
            ) from error

    @classmethod
    def loads(cls, text: str | bytes) -> SearchRun:
        """A search from its text; raises InvalidInput when it is none. The text is believed: whoever can
        write it can put words into the mouths of the models."""
        try:
            data = SearchSnapshot.model_validate_json(text)
        except ValidationError as error:
            raise InvalidInput(f"this is not a search that was dumped: {describe(error)}") from error
        try:
            return cls._restored(data)
        except (TakoError, ValidationError) as error:
            words = describe(error) if isinstance(error, ValidationError) else error.message
            raise InvalidInput(f"this is not a search that was dumped: {words}") from error

    @classmethod
    def _restored(cls, data: SearchSnapshot) -> SearchRun:
        require_answered(data.history, data.prompt)
        run = cls(Opening(data.prompt, data.history, data.system, data.principal), data.options)
        run.run_id, run._spent, run._hopeless = data.run_id, data.spent, dict(data.hopeless)
        if data.tree is not None:
            run._tree = TreeSearch.loads(to_json(data.tree).decode())
            _require_answers(run._tree, data)
        for outcome in data.outcomes:
            if isinstance(outcome, TrialScored):
                _require_messages(outcome.answer, f"trial {outcome.number}")
            run.feed(outcome)
        return run

    def copy(self) -> SearchRun:
        """A search that goes its own way from here."""
        return SearchRun.loads(self.dumps())


def _batch(tree: TreeSearch) -> list[tuple[int, Trial]]:
    """The trials of the open batch with their numbers, those of the nodes that they will be."""
    return list(enumerate(tree.pending, len(tree.nodes)))


def _told(tree: TreeSearch, trial: Trial, outcome: TrialScored | TrialFailed) -> Node:
    """The new node of the tree."""
    if outcome.candidate != trial.action:
        tree.assign(trial.id, outcome.candidate)
    if isinstance(outcome, TrialFailed):
        return tree.fail(trial.id, outcome.error)
    return tree.tell(trial.id, outcome.score, outcome.answer.model_dump(mode="json", exclude_defaults=True))


def _path(tree: TreeSearch, node: Node) -> Iterator[Node]:
    """The nodes from the first below the root to this one."""
    nodes = [node]
    while (parent := nodes[-1].parent) is not None:
        nodes.append(tree.nodes[parent])
    return reversed(nodes[:-1])


def _require_answers(tree: TreeSearch, data: SearchSnapshot) -> None:
    """Raise InvalidInput if the tree is not that of these options, or a node has no answer."""
    if tuple(tree.actions) != data.options.candidates:
        raise InvalidInput("its tree has other actions than it has candidates")
    for candidate, number in data.hopeless.items():
        if candidate not in data.options.candidates or not 0 < number < len(tree.nodes):
            raise InvalidInput("its tree does not have the failures that are said to be hopeless")
    for node in tree.nodes[1:]:
        if node.error is None:
            _require_messages(answer_of(node), f"node {node.number}")


def _require_messages(answer: Answer, whose: str) -> None:
    if not answer.messages:
        raise InvalidInput(f"{whose} has no answer")
