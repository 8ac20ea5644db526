"""SelfCaller: an answer is judged, and while it is not good enough, revised by whoever gave it.

| state     | what is done                                          | next                                   |
|-----------|-------------------------------------------------------|----------------------------------------|
| answering | the inner orchestrator is run on the conversation     | judging; ended, if it was stopped      |
| judging   | the guard scores the text, a Recursion event tells it | ended, at the mark or at the cap; else |
|           |                                                       | revising                               |
| revising  | the answer and the revision prompt are said           | answering, one deeper                  |
| ended     | the result is one of the attempts                     |                                        |

The depth. The first attempt of the outermost SelfCaller has depth 0, and one at depth `max_depth` is the
last. Attempts are run on behalf of a principal whose metadata says how deep they stand and what the cap is;
so a SelfCaller in them, wherever it is, begins at that depth, and the smaller of the two caps holds. How
deep those in an attempt have gone comes back in its result, through workers, roles, rollouts and tools too,
and there the one around it goes on. So however they stand in each other, they make chains of at most
`max_depth` + 1 attempts: one chain, where each has one inner run; several side by side, where it has many.

| the run ends with                      | the result is                                                     |
|----------------------------------------|-------------------------------------------------------------------|
| an attempt at or above the mark        | that attempt                                                      |
| the cap                                | the last one; with keep="best" the best one, the later of equals  |
| a cancel, a stop, a failure            | the best one that was judged; if there is none, what there was    |

Invariants. An answer is streamed to its end: the guard judges, it never cuts. Everything is counted: each
attempt, the guard, and the attempt that broke. SelfCallers stand at most MAX_NESTED in each other, so one
that runs itself comes to an end. `new_messages` is the prompt and the attempt that is the result; what was
said to have it revised is not in it. There is one Final, and steps are counted on from attempt to attempt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeAlias, cast

from tako.effects import Call, Flow
from tako.errors import Cancelled, InvalidInput, TakoError
from tako.events import Final, OrchEvent, Recursion
from tako.models import NOT_COUNTED, Message, Principal, Usage
from tako.orchestrators.base import Orchestrator, Prompt
from tako.orchestrators.judging import scored, watched
from tako.orchestrators.ledger import Ledger
from tako.orchestrators.nesting import answered, run_of
from tako.orchestrators.opening import Opening
from tako.orchestrators.place import Place, Show
from tako.orchestrators.result import OutputT, RunResult, StopReason
from tako.providers.base import Provider
from tako.verifiers import verifier_of
from tako.verifiers.base import Candidate, Score, Verifier

__all__ = ["Attempt", "Revise", "SelfCaller", "SelfCallerResult"]

DEPTH = "tako.recursion.depth"
CAP = "tako.recursion.max_depth"
NESTED = "tako.recursion.nested"
"""Of the principal that an attempt is run for: its depth, the cap, and how many SelfCallers are around it."""

MAX_NESTED = 8
LARGEST = 10**6
"""What stands in the metadata may come from outside, and is no larger."""

STOPPED = ("budget", "interrupted", "aborted")
"""Ends of an attempt after which another one is not wanted."""
NOTHING_SAID = "(no answer)"
"""What stands for an empty answer: vendors refuse a message without content."""

Revise: TypeAlias = Callable[[str, Score], str | Awaitable[str]]
"""Makes of an answer and its score what is said to have it revised."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of the inner orchestrator. If it broke or was stopped it was not judged: no `confidence`."""

    text: str
    confidence: float | None = None
    reason: str = ""
    steps: int = 0
    usage: Usage = NOT_COUNTED
    """Its own, without the guard's."""


@dataclass(slots=True, repr=False)
class SelfCallerResult(RunResult[OutputT]):
    """The answer, and how it came about; `usage`, `cost_usd` and `steps` are those of all attempts.

    attempts    all of them, in order
    confidence  what the guard thinks of the answer; None if it was not asked, or could not say
    depth       how deep the attempts have gone
    """

    attempts: tuple[Attempt, ...] = ()
    confidence: float | None = None
    depth: int = 0


class SelfCaller(Orchestrator[SelfCallerResult[OutputT]], Generic[OutputT]):
    """An orchestrator whose answers are judged and revised.

    inner            any orchestrator, a SelfCaller as well; of a provider an agent on it
    confidence       the guard: a verifier, or a function of the text (or of task and text) that gives a
                     number from 0 to 1
    max_depth        how often an answer may be revised; where one stands in another, the smallest cap holds
    min_confidence   the mark: an answer with this score is good enough
    revision_prompt  what is said to have an answer revised: a text, or a function of the answer and its
                     Score, plain or async; otherwise our own words, with the guard's reason
    keep             which attempt is the result if none was good enough: the "last", or the "best"

    Raises InvalidInput that names the argument.
    """

    def __init__(
        self,
        inner: Orchestrator[RunResult[OutputT]] | Provider,
        confidence: Verifier | Callable[..., Any],
        *,
        max_depth: int = 3,
        min_confidence: float = 0.7,
        revision_prompt: str | Revise | None = None,
        keep: Literal["last", "best"] = "last",
    ) -> None:
        self.inner: Orchestrator[RunResult[OutputT]] = run_of(inner, argument="inner")
        self.confidence = verifier_of(confidence, "confidence")
        if isinstance(max_depth, bool) or not isinstance(max_depth, int) or not 0 <= max_depth <= LARGEST:
            raise InvalidInput(f"max_depth should be a whole number from 0 to {LARGEST}, not {max_depth!r}")
        if isinstance(min_confidence, bool) or not isinstance(min_confidence, int | float):
            raise InvalidInput(f"min_confidence should be a number, not {type(min_confidence).__name__}")
        if not 0 <= min_confidence <= 1:
            raise InvalidInput(f"min_confidence should be from 0 to 1, as scores are, not {min_confidence!r}")
        if isinstance(revision_prompt, str) and not revision_prompt.strip():
            raise InvalidInput("revision_prompt is empty; leave it out for the default")
        if not (revision_prompt is None or isinstance(revision_prompt, str) or callable(revision_prompt)):
            raise InvalidInput(
                "revision_prompt should be text or a function of (text, score), "
                f"not {type(revision_prompt).__name__}"
            )
        if keep not in ("last", "best"):
            raise InvalidInput(f'keep should be "last" or "best", not {keep!r}')
        self.max_depth = max_depth
        self.min_confidence = min_confidence
        self.revision_prompt = revision_prompt
        self.keep = keep

    def __repr__(self) -> str:
        return f"<SelfCaller of {self.inner!r}, at most {self.max_depth} deep>"

    def perform(self, prompt: Prompt, place: Place, **options: Any) -> Flow[SelfCallerResult[OutputT]]:
        """The attempts, one after the other; `options` are those of Opening."""
        return _Revising(self, Opening.of(prompt, **options), place).run()


@dataclass(slots=True)
class _Made(Generic[OutputT]):
    """An attempt with all that came of it; `answer` is what it has added to the conversation."""

    attempt: Attempt
    result: RunResult[OutputT]
    answer: tuple[Message, ...]


class _Revising(Generic[OutputT]):
    """One run. See the table at the head of this file."""

    __slots__ = (
        "caller", "cap", "conversation", "depth", "ledger", "made", "nested", "opening", "place", "steps",
    )  # fmt: skip

    def __init__(self, caller: SelfCaller[OutputT], opening: Opening, place: Place) -> None:
        metadata = opening.principal.metadata
        self.caller, self.opening, self.place = caller, opening, place
        self.depth = _inherited(metadata, DEPTH, 0)
        self.cap = min(caller.max_depth, _inherited(metadata, CAP, caller.max_depth))
        self.nested = _inherited(metadata, NESTED, 0) + 1
        if self.nested > MAX_NESTED:
            raise InvalidInput(
                f"SelfCallers stand more than {MAX_NESTED} deep in each other; does one of them run itself? "
                "An orchestrator should not contain itself, and none needs so many"
            )
        self.conversation = list(opening.prompt)
        self.ledger = Ledger()
        self.made: list[_Made[OutputT]] = []
        self.steps = 0

    def run(self) -> Flow[SelfCallerResult[OutputT]]:
        """All of it; a cancel and a failure have the best answer there was."""
        try:
            stopped = yield from self._attempts()
        except Cancelled:
            stopped = "cancelled"
        except TakoError as error:
            error.partial, error.usage = self._result("error"), self.ledger.usage
            raise
        result = self._result(stopped)
        if self.place.show is not None:
            try:
                yield self.place.tell(Final(result.text, result.usage, result))
            except Cancelled:
                pass  # too late to change anything: the run has ended
        return result

    def _attempts(self) -> Flow[StopReason | None]:
        """Attempts until one is good enough, or there may be no more; why they were stopped, if they were."""
        caller = self.caller
        while True:
            result = yield from self._attempt()
            if result.stop_reason in STOPPED:
                return result.stop_reason
            score = yield from self._judge(self.made[-1])
            if score.value >= caller.min_confidence or self.depth >= self.cap:
                return None
            said = yield from self._revision(result.text, score)
            before = result.text if result.text.strip() else NOTHING_SAID
            self.conversation += (Message.assistant(before), Message.user(said))
            self.depth += 1

    def _attempt(self) -> Flow[RunResult[OutputT]]:
        """Run the inner one on the conversation; booked however it ends. Raises what ended it."""
        inner, opening = self.caller.inner, self.opening
        try:
            flow = inner.perform(
                list(self.conversation),
                self._inner_place(),
                history=opening.history,
                system=None if opening.system is None else opening.system.content,
                principal=self._principal(),
            )
            result = yield from self._watched(flow)
        except TakoError as error:
            if isinstance(error.partial, RunResult):
                self._book(error.partial)
            raise
        self._book(result)
        return answered(type(inner).__name__, result)

    def _watched(self, flow: Flow[RunResult[OutputT]]) -> Flow[RunResult[OutputT]]:
        """The attempt, and while somebody listens what the guard thinks of it on its way."""
        if self.place.show is None:
            return flow
        return watched(
            flow,
            self.caller.confidence,
            self.opening.task,
            path=self.place.path,
            step=self.steps + 1,
            branch=self.depth,
            ledger=self.ledger,
            place=self.place,
        )

    def _judge(self, made: _Made[OutputT]) -> Flow[Score]:
        candidate = Candidate(self.opening.task, made.result.text, (*self.opening.messages, *made.answer))
        score = yield from scored(self.place, self.caller.confidence, candidate, self.ledger)
        made.attempt = replace(made.attempt, confidence=score.value, reason=score.reason)
        if self.place.show is not None:
            yield self.place.tell(Recursion(self.depth, score.value, score.reason))
        return score

    def _revision(self, text: str, score: Score) -> Flow[str]:
        """What is said to have the answer revised."""
        prompt = self.caller.revision_prompt
        if prompt is None:
            return _in_our_words(score, self.caller.min_confidence)
        if isinstance(prompt, str):
            return prompt
        flow = _in_their_words(prompt, text, score)
        if self.place.is_journalled:
            from tako.orchestrators.tasks import value_task  # most runs keep no journal

            flow = self.place.kept(flow, value_task("revision", lambda: {"text": text, "score": score.value}))
        return (yield from flow)

    # What the inner one is told of where it stands.

    def _inner_place(self) -> Place:
        """This very place, for it speaks for us; but the end is ours, and steps are counted on."""
        show = self.place.show
        return self.place if show is None else replace(self.place, show=_continued(show, self.steps))

    def _principal(self) -> Principal:
        entries = {DEPTH: str(self.depth), CAP: str(self.cap), NESTED: str(self.nested)}
        return self.opening.with_metadata(**entries).principal

    # What came of it.

    def _book(self, result: RunResult[OutputT]) -> None:
        self.ledger.add_result(result)
        self.steps += result.steps
        self.depth = max(self.depth, result.depth)
        attempt = Attempt(result.text, steps=result.steps, usage=result.usage)
        self.made.append(_Made(attempt, result, _answer_in(result, self.conversation)))

    def _chosen(self, stopped: StopReason | None) -> _Made[OutputT] | None:
        """The attempt that is the result."""
        judged = [made for made in self.made if made.attempt.confidence is not None]
        if not judged:
            return self.made[-1] if self.made else None
        if stopped is None and self.caller.keep == "last":
            return judged[-1]
        return max(reversed(judged), key=lambda made: made.attempt.confidence or 0.0)

    def _result(self, stopped: StopReason | None) -> SelfCallerResult[OutputT]:
        chosen = self._chosen(stopped)
        result = SelfCallerResult[OutputT](
            text="",
            usage=self.ledger.usage,
            steps=self.steps,
            new_messages=list(self.opening.prompt),
            stop_reason=stopped or "stop",
            cost_usd=self.ledger.cost_usd,
            still_running=tuple([name for made in self.made for name in made.result.still_running]),
            sub_agents=tuple([used for made in self.made for used in made.result.sub_agents]),
            attempts=tuple([made.attempt for made in self.made]),
            depth=self.depth,
        )
        if chosen is not None:
            answer = chosen.result
            result.text, result.output, result.detail = answer.text, answer.output, answer.detail
            result.stop_reason = stopped or answer.stop_reason
            result.confidence = chosen.attempt.confidence
            result.remembered = answer.remembered
            result.new_messages += chosen.answer
        return result


def _continued(show: Show, steps: int) -> Show:
    """What becomes of the events of an attempt before which there were so many steps."""

    def on(event: Any) -> OrchEvent:
        if steps and hasattr(event, "step"):
            event = copy(event)
            event.step += steps
        return cast(OrchEvent, event)

    def shown(events: Sequence[OrchEvent]) -> Sequence[Any]:
        told = [on(event) for event in events if type(event) is not Final]
        return show(told) if told else ()

    return shown


def _answer_in(result: RunResult[Any], conversation: Sequence[Message]) -> tuple[Message, ...]:
    """What a run has added to the conversation that it was given as its prompt."""
    size = len(conversation)
    if result.new_messages[:size] == conversation:
        return tuple(result.new_messages[size:])
    return (Message.assistant(result.text),) if result.text else ()


def _in_our_words(score: Score, mark: float) -> str:
    reason = f" What was said of it: {score.reason}" if score.reason else ""
    return (
        f"This answer was judged with {score.value:.2f} on a scale from 0 to 1, and {mark:.2f} is wanted."
        f"{reason}\nRead it again, find out what is wrong with it or missing, and then answer anew, whole "
        "and from the beginning. Do not speak of this review."
    )


def _in_their_words(revise: Revise, text: str, score: Score) -> Flow[str]:
    """What the caller's function says; raises InvalidInput if that is nothing."""
    try:
        said = yield Call(revise, (text, score))
    except TakoError:
        raise
    except Exception as error:
        raise InvalidInput(
            f"revision_prompt raised {type(error).__name__}: {error}", phase="revision"
        ) from error
    if not isinstance(said, str) or not said.strip():
        given = "empty text" if isinstance(said, str) else type(said).__name__
        raise InvalidInput(f"revision_prompt should give text to be said, not {given}", phase="revision")
    return said


def _inherited(metadata: Mapping[str, str], key: str, otherwise: int) -> int:
    """What a SelfCaller around this one has said; a cap that cannot be read is none, so it is refused."""
    said = metadata.get(key)
    if said is None:
        return otherwise
    if not (said.isascii() and said.isdecimal() and len(said) <= len(str(LARGEST))):
        raise InvalidInput(
            f"principal.metadata[{key!r}] should be a whole number, not {said[:40]!r}; SelfCallers write it "
            "themselves, so leave it out"
        )
    return int(said)
