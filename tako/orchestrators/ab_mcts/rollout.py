"""Rollouts: performing a search: ask it for its next batch, have it answered and scored, feed it, again.

| of a trial | is performed by                                                                         |
|------------|-----------------------------------------------------------------------------------------|
| the choice | the router, if there is one; else the tree has chosen                                   |
| the answer | the candidate, an agent or any orchestrator, nested as "<candidate>:<number>"           |
| the score  | the verifier, of the whole answer; of one that grows, where somebody listens and it can |

| a trial ends with                  | and the search                                                        |
|------------------------------------|-----------------------------------------------------------------------|
| an answer, and a score             | has a new node                                                        |
| an answer that is none (refused,   | has a new node that failed, with a score of 0, and goes on. If        |
| out of steps, ...), or an error of | nothing has succeeded yet, and for none of the candidates another try |
| the router, candidate or verifier  | can help (a wrong key, a wrong argument), the first error is raised   |
| Cancelled                          | returns what it has; the trial is still to be done                    |

Events: for each trial of a batch a StepStart; then, mixed, what the candidates say, as SubAgentEvents, and
the RoleChosen and VerifierScores; when the batch is done a NodeAdded for each. The number of the trial is
the `step`, the `branch` and the node. At the end the best answer comes whole, as one AssistantText.

Invariants. An error carries as `partial` the SearchResult up to there. What was used is counted, whoever
used it and however that ended. A trial that has ended is in the search before anybody hears of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tako.effects import Entropy, Failed, Flow, Gather, OnError
from tako.errors import Cancelled, InvalidInput, ProviderError, TakoError
from tako.events import AssistantText, Final, NodeAdded, OrchEvent, RoleChosen, StepStart, VerifierScore
from tako.models import Message
from tako.orchestrators.ab_mcts.search_result import SearchResult, result_of
from tako.orchestrators.ab_mcts.search_run import SearchRun
from tako.orchestrators.ab_mcts.search_steps import (
    Answer,
    Expand,
    Expansion,
    Finished,
    Spending,
    TrialDropped,
    TrialFailed,
    TrialScored,
)
from tako.orchestrators.base import Orchestrator
from tako.orchestrators.judging import scored, watched
from tako.orchestrators.ledger import Ledger
from tako.orchestrators.limits import cut_text
from tako.orchestrators.nesting import nested
from tako.orchestrators.place import Place
from tako.orchestrators.result import RunResult
from tako.orchestrators.tree_search import Node
from tako.routers.base import Router, Situation
from tako.routers.choosing import chosen
from tako.verifiers.base import Candidate, Score, Verifier

__all__ = ["SearchEquipment", "search"]

ERROR_LIMIT = 2000
"""Characters of an error that are kept."""
HOPELESS = frozenset((400, 401, 403, 404))
"""What a vendor says of a request that it will never take."""


@dataclass(frozen=True, slots=True)
class SearchEquipment:
    """Who answers, by the names in the tree, who scores, and who chooses; see AbMcts."""

    candidates: Mapping[str, Orchestrator[Any]]
    verifier: Verifier
    router: Router | None = None


def search(equipment: SearchEquipment, run: SearchRun, place: Place) -> Flow[SearchResult]:
    """The search from where it stands to its end; raises what ended it, if that was an error."""
    errors: dict[int, TakoError] = {}
    try:
        if not run.run_id:
            run.begin((yield Entropy(8)))
        while isinstance(step := run.next_step(), Expand):
            yield from _expand(equipment, run, place, step, errors)
    except Cancelled:
        result = result_of(run, "cancelled")
    else:
        result = result_of(run, step.stop_reason, step.detail)
        if step.failure is not None:
            raise _failure(step, result, errors)
    if place.show is not None:
        try:
            yield place.tell(*_last_words(run, result))
        except Cancelled:
            pass  # too late to change anything: the search has ended
    return result


def _failure(end: Finished, result: SearchResult, errors: Mapping[int, TakoError]) -> TakoError:
    """Why nothing has succeeded; in another process than it happened in, its words are left."""
    assert end.failure is not None
    error = errors.get(end.failure) or TakoError(f"no answer could be found: {end.detail}", phase="search")
    error.partial, error.usage = result, result.usage
    return error


def _last_words(run: SearchRun, result: SearchResult) -> list[OrchEvent]:
    """The best answer, and the end."""
    words: list[OrchEvent] = [AssistantText(one.node.number, one.text) for one in run.best() if one.text]
    return [*words, Final(result.text, result.usage, result)]


def _expand(
    equipment: SearchEquipment, run: SearchRun, place: Place, step: Expand, errors: dict[int, TakoError]
) -> Flow[None]:
    """Perform a batch, side by side, and put it into the tree."""
    if place.show is not None:
        turn = f"turn_{run.run_id}"
        yield place.tell(*[StepStart(trial.number, f"{turn}_{trial.number}") for trial in step.trials])
    rollouts = [Rollout(equipment, run, place, trial) for trial in step.trials]
    try:
        if len(rollouts) == 1:
            yield from rollouts[0].perform()
        else:
            flows = tuple([rollout.perform() for rollout in rollouts])
            for outcome in (yield Gather(flows, None, OnError.COLLECT)):
                if type(outcome) is Failed:
                    raise outcome.error
    finally:
        for rollout in rollouts:
            rollout.close()
    errors.update({one.trial.number: one.error for one in rollouts if one.error is not None})
    nodes = run.settle()
    if place.show is not None:
        yield place.tell(*[_added(node) for node in nodes])


def _added(node: Node) -> NodeAdded:
    parent, candidate = node.parent or 0, node.action or ""
    return NodeAdded(node.number, node.number, parent, candidate, node.score or 0.0, node.error or "")


@dataclass(frozen=True, slots=True)
class _Crossroads(Situation):
    """What the router is asked about. `task` is what the user asked, and not a turn of the search's own."""

    asked: str = ""

    @property
    def task(self) -> str:
        return self.asked


@dataclass(slots=True)
class Rollout:
    """One trial that is being performed."""

    equipment: SearchEquipment
    run: SearchRun
    place: Place
    trial: Expansion
    ledger: Ledger = field(default_factory=Ledger)
    candidate: str = ""
    """Who answers, once that is known."""
    error: TakoError | None = None

    def perform(self) -> Flow[None]:
        """Bring the trial to its end, and feed the search; raises Cancelled, and no other TakoError."""
        self.candidate = self.trial.candidate
        try:
            if self.equipment.router is not None:
                self.candidate = yield from self._chosen(self.equipment.router)
            answer = yield from self._answered()
            score = yield from self._scored(answer)
        except Cancelled:
            raise
        except TakoError as error:
            self._failed(error)
            return
        number = self.trial.number
        self.run.feed(
            TrialScored(
                number=number,
                candidate=self.candidate,
                answer=answer.model_copy(update={"reason": score.reason}),
                score=score.value,
                spent=Spending.of(self.ledger),
            )
        )
        if self.place.show is not None:
            yield self.place.tell(VerifierScore(number, number, score.value, False, score.reason))

    def close(self) -> None:
        """The batch is over: a trial that is not was cancelled, and what it has used is counted."""
        if self.run.is_open(self.trial.number):
            self.run.feed(TrialDropped(number=self.trial.number, spent=Spending.of(self.ledger)))

    def _failed(self, error: TakoError) -> None:
        self.error = error
        self.run.feed(
            TrialFailed(
                number=self.trial.number,
                candidate=self.candidate,
                error=_words(error),
                is_hopeless=_is_hopeless(error),
                spent=Spending.of(self.ledger),
            )
        )

    def _chosen(self, router: Router) -> Flow[str]:
        """Who answers; raises what the router raises."""
        trial, names = self.trial, tuple(self.equipment.candidates)
        messages = (*trial.history, *trial.prompt)
        situation = _Crossroads(messages, names, trial.number, self.run.opening.task)
        flow = chosen(router, situation)
        if self.place.is_journalled:
            from tako.orchestrators.tasks import choice_task  # most runs keep no journal

            flow = self.place.kept(flow, choice_task(situation))
        try:
            decision = yield from flow
        except TakoError as error:
            self.ledger.add_failure(error)
            raise
        self.ledger.add(decision.usage, decision.cost_usd)
        name = names[decision.index]
        if self.place.show is not None:
            yield self.place.tell(
                RoleChosen(trial.number, name, decision.index, decision.confidence, decision.reason)
            )
        return name

    def _answered(self) -> Flow[Answer]:
        """What the candidate says; raises what it raises, and TakoError for what is no answer."""
        trial, opening, name = self.trial, self.run.opening, f"{self.candidate}:{self.trial.number}"
        options: dict[str, Any] = {"history": trial.history, "principal": opening.principal}
        if opening.system is not None:
            options["system"] = opening.system.content
        candidate = self.equipment.candidates[self.candidate]
        flow = nested(self.place, name, candidate, trial.prompt, self.ledger, **options)
        if self.place.show is not None:
            flow = watched(
                flow,
                self.equipment.verifier,
                opening.task,
                path=self.place.below(name).path,
                step=trial.number,
                branch=trial.number,
                ledger=self.ledger,
                place=self.place,
            )
        return _answer(trial, (yield from flow))

    def _scored(self, answer: Answer) -> Flow[Score]:
        """What the verifier thinks of it; raises what it raises."""
        trial = self.trial
        messages: tuple[Message, ...] = (*trial.history, *trial.prompt, *answer.said)
        candidate = Candidate(self.run.opening.task, answer.text, messages)
        return (yield from scored(self.place, self.equipment.verifier, candidate, self.ledger))


def _answer(trial: Expansion, result: RunResult[Any]) -> Answer:
    """The answer in the result; raises TakoError where it ended in another way than with one."""
    if result.stop_reason not in ("stop", "length"):
        said = f": {result.detail}" if result.detail else ""
        raise TakoError(f"the answer ended with {result.stop_reason!r}{said}", phase="search", partial=result)
    asked, messages = len(trial.prompt), result.new_messages
    return Answer.of(
        messages if trial.parent else messages[asked:],
        questions=trial.questions,
        text=result.text,
        stop_reason=result.stop_reason,
    )


def _words(error: TakoError) -> str:
    """What the tree keeps of an error: text that can be written, and not too much of it."""
    words = error.message or type(error).__name__
    return cut_text(words, ERROR_LIMIT).encode("utf-8", "replace").decode()


def _is_hopeless(error: TakoError) -> bool:
    """Whether another try would end in the same way."""
    return isinstance(error, InvalidInput) or (isinstance(error, ProviderError) and error.status in HOPELESS)
