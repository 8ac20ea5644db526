"""Judging: what the orchestrators ask of a verifier: the score of an answer, and of one that still grows.

A whole answer is judged by `scored`; where a journal is kept, once and for all. An answer on its way is
judged by `watched`: the flow that makes it is driven as it is, and who listens hears a VerifierScore with
`is_partial` right behind the text that it is about.

| what the flow emits, at the path       | the watch                                                     |
|----------------------------------------|---------------------------------------------------------------|
| StepStart                              | a new one: what comes next is another answer                  |
| AssistantText, one or more             | is asked once about all the text since                        |
| anything else, or at another path      | hears nothing of it                                           |

Invariants. The answer is never cut, held back or changed by what judges it: a watch that fails is not
asked again about this answer, and the whole one will be judged all the same. What judging has used is in
the ledger, that of a judge that failed as well. Nobody listens: nothing is emitted, so nothing is watched.
A partial score is shown and decides nothing, so a journal does not keep it; and so, where one is kept, no
watch is asked that has to ask others (a model, say): a run that goes on would ask again, and pay again.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeVar

from tako.effects import Effect, Emit, Flow
from tako.errors import Cancelled, TakoError
from tako.events import AssistantText, StepStart, SubAgentEvent, VerifierScore
from tako.interposing import interposed, into_children
from tako.orchestrators.ledger import Ledger
from tako.orchestrators.place import Place
from tako.verifiers.base import Candidate, Score, Verifier, Watch

__all__ = ["scored", "watched"]

T = TypeVar("T")


def scored(place: Place, verifier: Verifier, candidate: Candidate, ledger: Ledger) -> Flow[Score]:
    """What the verifier thinks of a whole answer; raises a TakoError where it cannot be judged."""
    flow = verifier.score_flow(candidate)
    if place.is_journalled:
        from tako.orchestrators.tasks import score_task  # most runs keep no journal

        flow = place.kept(flow, score_task(candidate))
    return (yield from _booked(flow, ledger))


def watched(
    flow: Flow[T],
    verifier: Verifier,
    task: str,
    *,
    place: Place,
    path: tuple[str, ...],
    step: int,
    branch: int,
    ledger: Ledger,
) -> Flow[T]:
    """The flow as it is, and beside what it says at the path what the verifier thinks of it so far.

    The scores are told at `place`, the place of whoever asks; `path` is that of who is judged, whole from
    the outermost run, as Place has it. A verifier that only judges whole answers leaves the flow to itself.
    """
    watch = verifier.watch()
    if watch is None:
        return flow
    return _Watched(verifier, watch, task, place, path, step, branch, ledger).wrap(flow)


class _Watched:
    """An answer on its way, and what watches it."""

    __slots__ = ("branch", "ledger", "path", "place", "step", "task", "text", "verifier", "watch")

    def __init__(
        self,
        verifier: Verifier,
        watch: Watch,
        task: str,
        place: Place,
        path: tuple[str, ...],
        step: int,
        branch: int,
        ledger: Ledger,
    ) -> None:
        self.verifier, self.task, self.ledger, self.place = verifier, task, ledger, place
        self.path, self.step, self.branch = path, step, branch
        self.watch: Watch | None = watch
        self.text = ""

    def wrap(self, flow: Flow[T]) -> Flow[T]:
        return interposed(flow, self._layer)

    def _layer(self, effect: Effect) -> Flow[Any]:
        reply = yield into_children(effect, lambda _, child: self.wrap(child))
        if type(effect) is Emit and self._hears(effect.events):
            yield from self._judge()
        return reply

    def _hears(self, events: Sequence[Any]) -> bool:
        """Whether the answer has grown by these."""
        before = self.text
        for one in events:
            path, event = (one.path, one.event) if type(one) is SubAgentEvent else ((), one)
            if path != self.path:
                continue
            if type(event) is StepStart:
                self.text = before = ""
                self.watch = self.verifier.watch()
            elif type(event) is AssistantText:
                self.text += event.delta
        return len(self.text) > len(before)

    def _judge(self) -> Flow[None]:
        if self.watch is None:
            return
        try:
            said = self.watch(Candidate(self.task, self.text))
            if isinstance(said, Generator) and self.place.is_journalled:
                said.close()
                return
            if isinstance(said, Generator):
                said = yield from _booked(said, self.ledger)
            elif said is not None:
                self.ledger.add(said.usage, said.cost_usd)
        except Cancelled:
            raise
        except Exception:  # a function of the caller's may raise anything, and the answer is not to blame
            self.watch = None
            return
        if said is not None:
            yield self.place.tell(VerifierScore(self.step, self.branch, said.value, True, said.reason))


def _booked(flow: Flow[Score], ledger: Ledger) -> Flow[Score]:
    """The score, of which the ledger is told what it took; of a judge that failed as well."""
    try:
        score = yield from flow
    except TakoError as error:
        ledger.add_failure(error)
        raise
    ledger.add(score.usage, score.cost_usd)
    return score
