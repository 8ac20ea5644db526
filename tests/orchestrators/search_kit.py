"""What the tests of the search share: candidates who answer by the number of the trial, and judges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tako.effects import Flow, Sleep
from tako.errors import TakoError, TransportError
from tako.events import AssistantText
from tako.models import Message, Principal, Usage
from tako.orchestrators.ab_mcts import AbMcts
from tako.orchestrators.ab_mcts.search_result import SearchResult
from tako.orchestrators.ab_mcts.search_run import SearchRun
from tako.orchestrators.ab_mcts.search_steps import (
    Answer,
    Expand,
    Expansion,
    Outcome,
    SearchOptions,
    Spending,
    TrialFailed,
    TrialScored,
)
from tako.orchestrators.base import Orchestrator
from tako.orchestrators.opening import Opening
from tako.orchestrators.place import Place
from tako.orchestrators.result import RunResult, StopReason
from tako.routers.base import Router, RoutingDecision, Situation
from tako.testing import Simulator, check_history
from tako.verifiers import Candidate, Score, Verifier
from tako.verifiers.base import Watch

ONE_EACH = Usage(input_tokens=1, output_tokens=1)
SEED = bytes(range(8))


def score_of(number: int) -> float:
    """Of the answer of a trial: looks like chance, and is none."""
    return (number * 7919 % 97) / 100


def by_number(text: str) -> float:
    """A verifier of what an Oracle says."""
    return score_of(int(text.removeprefix("answer ")))


def said(number: int) -> str | TakoError:
    """Each fifth trial fails."""
    return TransportError(f"lost {number}") if number % 5 == 3 else f"answer {number}"


class Oracle(Orchestrator[RunResult[None]]):
    """An orchestrator that answers by the number of the trial; `asked` are the histories and prompts."""

    def __init__(
        self,
        plan: Callable[[int], str | TakoError] = said,
        seconds: Callable[[int], float] = lambda number: 0.0,
        stop_reason: StopReason = "stop",
        cost_usd: float | None = None,
    ) -> None:
        self.plan, self.seconds, self.stop_reason, self.cost_usd = plan, seconds, stop_reason, cost_usd
        self.asked: list[tuple[Sequence[Message], Sequence[Message], dict[str, Any]]] = []

    def perform(
        self, prompt: Any, place: Place, *, history: Sequence[Message] = (), **options: Any
    ) -> Flow[RunResult[None]]:
        self.asked.append((history, prompt, options))
        number = int(place.path[-1].rpartition(":")[2])
        yield Sleep(self.seconds(number))
        reply = self.plan(number)
        text = "" if isinstance(reply, TakoError) else reply
        messages = [*prompt, Message.assistant(text)] if text else list(prompt)
        result = RunResult[None](text, ONE_EACH, 1, messages, self.stop_reason, cost_usd=self.cost_usd)
        if isinstance(reply, TakoError):
            reply.partial, reply.usage = result, ONE_EACH
            raise reply
        if place.show is not None:
            yield place.tell(*[AssistantText(1, word) for word in text.split()])
        return result


def new_run(history: Sequence[Message] = (), **options: Any) -> SearchRun:
    """A search that was begun, on the question "Why?"."""
    opening = Opening((Message.user("Why?"),), tuple(history), None, Principal(user_id="ada"))
    run = SearchRun(opening, SearchOptions(**{"seed": 7, **options}))
    run.begin(SEED)
    return run


def outcome_of(trial: Expansion, score: float | None = None) -> Outcome:
    """What comes of a trial, where nobody answers but its number; with a score it does not fail."""
    reply = said(trial.number) if score is None else f"answer {trial.number}"
    spent = Spending(usage=ONE_EACH)
    if isinstance(reply, TakoError):
        return TrialFailed(number=trial.number, candidate=trial.candidate, error=reply.message, spent=spent)
    messages = (*(trial.prompt if trial.parent else ()), Message.assistant(reply))
    answer = Answer.of(messages, questions=trial.questions, text=reply, reason=f"because of {trial.number}")
    value = score_of(trial.number) if score is None else score
    return TrialScored(
        number=trial.number, candidate=trial.candidate, answer=answer, score=value, spent=spent
    )


def finish(run: SearchRun) -> SearchRun:
    """The search, brought to its end by hand."""
    while isinstance(step := run.next_step(), Expand):
        for trial in step.trials:
            run.feed(outcome_of(trial))
    return run


def search(*arguments: Any, seed: int = 0, prompt: Any = "Why?", **options: Any) -> SearchResult:
    """The result of a search in the simulator, of which what always holds is checked."""
    agent = AbMcts(*arguments, **{"seed": 7, "min_confidence": None, "max_iterations": 8, **options})
    result = Simulator(seed).run(agent, prompt)
    assert isinstance(result, SearchResult)
    check_history(result.new_messages)
    return result


def half(text: str) -> float:
    return 0.5


class Judge(Verifier):
    """Gives the same score to all, has used something, and says in words what it thinks."""

    def __init__(self, value: float = 0.5, usage: Usage = ONE_EACH, watches: bool = False) -> None:
        self.score, self.watches = Score(value=value, reason="so so", usage=usage), watches
        self.asked: list[Candidate] = []

    def score_flow(self, candidate: Candidate) -> Flow[Score]:
        self.asked.append(candidate)
        yield Sleep(0)
        return self.score

    def watch(self) -> Watch | None:
        return (lambda candidate: self.score) if self.watches else None


class Choosing(Router):
    """Chooses place after place, and has used something."""

    def __init__(self) -> None:
        self.asked: list[Situation] = []

    def choose_flow(self, situation: Situation) -> Flow[RoutingDecision]:
        self.asked.append(situation)
        yield Sleep(0)
        return RoutingDecision(
            index=situation.step % len(situation.candidates), reason="in turn", usage=ONE_EACH
        )
