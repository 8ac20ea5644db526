"""Speaking: a step of a run with a casting, and what becomes of the run when somebody has spoken.

A run calls the model at a step; with a casting somebody of the cast has the turn and is called instead: a
model with instructions of its own, or a whole orchestrator. A router chooses who, among all of them, by
place. What each kind of speaker says means something else for how the run goes on:

| says it, without calling tools | is                | the run                                               |
|--------------------------------|-------------------|-------------------------------------------------------|
| a worker                       | the answer        | ends; goes on while a verifier of the cast has yet to |
|                                |                   | accept it, or the judge gives it less than is wanted  |
| a thinker                      | advice            | goes on                                               |
| a verifier                     | a verdict         | ends if it accepts an answer that is whole, and that  |
|                                |                   | the judge gives as much as is wanted; else goes on    |

What a worker says comes as the run's own AssistantText; what the others say, and whatever an agent does
on its way to its answer, as SubAgentEvents under the name of the role. A run that goes on is told so in the
user's name, by a stage direction: so no vendor sees two turns of the assistant in a row, and the next
speaker knows what those words were. When no step is left it ends with "max_steps" instead. Its text is the
last answer in any case; advice and verdicts stay in the conversation.

Invariants. Whose turn it is, is in the run (`turns`), and so nobody is asked again about a step that was
chosen for. What the router and the judge have used is booked, also if they fail. A judge is asked once about
each answer of a worker, listened to or not; what it thinks of one that grows is told and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tako.effects import Flow
from tako.errors import TakoError
from tako.events import (
    AssistantMedia,
    AssistantText,
    AssistantThinking,
    AssistantThinkingBlock,
    OrchEvent,
    RoleChosen,
    StepStart,
    SubAgentEvent,
    VerifierScore,
)
from tako.models import ChatResponse, FinishReason, Message, Role, TextPart
from tako.orchestrators.agent_run import GOES_ON
from tako.orchestrators.agent_steps import CallModel, ModelReplied, Told
from tako.orchestrators.base import Orchestrator
from tako.orchestrators.casting.casting import Casting, Speaker
from tako.orchestrators.casting.directions import DIRECTION, direction_after, place_of_task, task_of
from tako.orchestrators.casting.turns import Turns
from tako.orchestrators.judging import scored, watched
from tako.orchestrators.ledger import Ledger
from tako.orchestrators.nesting import nested
from tako.orchestrators.place import Show
from tako.orchestrators.result import RunResult
from tako.orchestrators.scope import Scope
from tako.providers.base import Provider
from tako.routers.choosing import chosen
from tako.verifiers.base import Candidate, Verifier

__all__ = ["goes_on", "take_turn"]

WORDS = frozenset((AssistantText, AssistantThinking, AssistantThinkingBlock, AssistantMedia))
"""What a model says, as events."""


def take_turn(
    scope: Scope, casting: Casting, step: CallModel, call_model: Callable[[Scope, CallModel], Flow[None]]
) -> Flow[None]:
    """Choose who speaks, unless that was done, and let it speak; the run is fed with what it says."""
    run = scope.run
    if run.turns is None:  # who spoke before, if anybody did, is not known, and nor is its price
        run.turns = Turns(beside_cost=None if run.step else 0.0)
    if run.turns.now is None:
        yield from _choose(scope, casting, step, run.turns)
    place = run.turns.now
    assert place is not None
    speaker = casting.speaker(place)
    if isinstance(speaker.who, Provider):
        flow = _on_model(scope, speaker, speaker.who, step, call_model)
    else:
        flow = _on_agent(scope, speaker, speaker.who, step)
    if casting.verifier is None or speaker.kind != "worker" or scope.show is None:
        yield from flow
    else:
        yield from _while_judged(scope, casting.verifier, flow, step, place)


def _choose(scope: Scope, casting: Casting, step: CallModel, turns: Turns) -> Flow[None]:
    """Ask the router, and give the turn to whom it means."""
    situation = casting.situation(step, task_of(step.messages), turns.spoken)
    flow = chosen(casting.router, situation)
    if scope.is_journalled:
        from tako.orchestrators.tasks import choice_task  # most runs keep no journal

        flow = scope.place.kept(flow, choice_task(situation))
    ledger = Ledger()
    try:
        decision = yield from flow
    except TakoError as error:
        ledger.add_failure(error)
        error.partial = None  # what it had to say is no part of the conversation
        scope.run.turns = turns.asked(ledger)
        raise
    ledger.add(decision.usage, decision.cost_usd)
    speaker = casting.speaker(decision.index)
    turns = turns.asked(ledger).given(decision.index, is_answer=speaker.kind == "worker")
    scope.run.turns = turns
    if scope.show is not None:
        yield scope.tell(
            RoleChosen(step.step, speaker.name, decision.index, decision.confidence, decision.reason)
        )


def _on_model(
    scope: Scope,
    speaker: Speaker,
    provider: Provider,
    step: CallModel,
    call_model: Callable[[Scope, CallModel], Flow[None]],
) -> Flow[None]:
    """The step as any other, on this model; the tools that it calls find it as theirs."""
    if scope.equipment.provider is not provider:
        scope.equipment = replace(scope.equipment, provider=provider)
    before, show = scope.instructions, scope.show
    if speaker.instructions:
        scope.instructions = (*before, speaker.instructions)
    if show is not None and speaker.kind != "worker":
        scope.show = _aside(speaker.name, show)
    try:
        yield from call_model(scope, step)
    finally:
        scope.instructions, scope.show = before, show


def _aside(name: str, show: Show) -> Show:
    """What becomes of the events of a speaker whose words are no answer: they come under its name."""

    def aside(events: Sequence[OrchEvent]) -> Sequence[Any]:
        return show([SubAgentEvent((name,), event) if type(event) in WORDS else event for event in events])

    return aside


def _on_agent(scope: Scope, speaker: Speaker, agent: Orchestrator[Any], step: CallModel) -> Flow[None]:
    """The step as a run of its own, whose answer is what is said."""
    run, ledger = scope.run, Ledger()
    if scope.show is not None:
        yield scope.tell(StepStart(step.step, f"turn_{run.run_id}_{step.step}"))
    begin = place_of_task(step.messages) or 0
    history, prompt = step.messages[:begin], _prompt(speaker, step.messages[begin:])
    try:
        result = yield from nested(
            scope.place, speaker.name, agent, prompt, ledger, history=history, principal=run.options.principal
        )
    except TakoError as error:
        if isinstance(error.partial, RunResult):
            error.partial = _as_reply(error.partial, "error")
        raise
    finally:
        assert run.turns is not None
        run.turns = run.turns.ran(ledger)
        for name in ledger.still_running:
            run.left_running(name)
    run.feed(ModelReplied(_as_reply(result, _reason(result)), scope.equipment.wants_output))
    if scope.show is not None and result.text and speaker.kind == "worker":
        yield scope.tell(AssistantText(step.step, result.text))


def _prompt(speaker: Speaker, asked: Sequence[Message]) -> list[Message]:
    """The task and what was said of it, and what the agent should be behind it: its system prompt is its own.

    The task is in the prompt, and not in the history, because whatever the agent is takes it from there:
    what to have judged, which pictures to show to others.
    """
    if not speaker.instructions:
        return list(asked)
    said = f"{DIRECTION}{speaker.instructions}"
    if asked and asked[-1].role is Role.USER:
        return [*asked[:-1], Message.user((*asked[-1].content, TextPart(text=f"\n\n{said}")))]
    return [*asked, Message.user(said)]


def _as_reply(result: RunResult[Any], reason: FinishReason) -> ChatResponse:
    """The answer as if a model had given it; what it has used is booked as a run."""
    return ChatResponse(message=Message.assistant(result.text), finish_reason=reason)


def _reason(result: RunResult[Any]) -> FinishReason:
    """Why it stopped, in a model's words; an answer that a limit has stopped is cut off."""
    if result.stop_reason in ("stop", "length", "content_filter", "other"):
        return result.stop_reason
    return "length" if result.stop_reason in ("max_steps", "budget") else "other"


def _while_judged(
    scope: Scope, verifier: Verifier, flow: Flow[None], step: CallModel, place: int
) -> Flow[None]:
    """The turn, and what the judge thinks of the answer while it grows."""
    run, ledger = scope.run, Ledger()
    task = task_of(step.messages)
    try:
        yield from watched(
            flow,
            verifier,
            task,
            path=scope.path,
            step=step.step,
            branch=place,
            ledger=ledger,
            place=scope.place,
        )
    finally:
        assert run.turns is not None
        run.turns = run.turns.asked(ledger)


# The end of a turn.


def goes_on(scope: Scope, casting: Casting) -> Flow[bool]:
    """Whether somebody else speaks, although a reply has come that could be the end."""
    run = scope.run
    if run.turns is None or not run.turns.is_open:
        return False
    speaker = casting.speaker(run.turns.spoken[-1])
    if speaker.kind == "worker" and casting.verifier is not None:
        yield from _judge(scope, casting.verifier, run.turns)
    direction = direction_after(casting, speaker, run) if run.stop_reason in GOES_ON else ""
    run.turns = run.turns.settled()
    if not direction:
        return False
    # Without a step left there is nobody to read it, and the run ends with "max_steps".
    is_last = run.step >= run.options.max_steps
    run.feed(Told(() if is_last else (Message.user(DIRECTION + direction),)))
    return not run.is_finished


def _judge(scope: Scope, verifier: Verifier, turns: Turns) -> Flow[None]:
    """Have the answer scored, and tell of it."""
    run, ledger, messages = scope.run, Ledger(), tuple(scope.run.messages)
    candidate = Candidate(task_of(messages), run.result().text, messages)
    try:
        score = yield from scored(scope.place, verifier, candidate, ledger)
    finally:
        run.turns = turns.asked(ledger)
    run.turns = run.turns.judged(score.value, score.reason)
    if scope.show is not None:
        yield scope.tell(VerifierScore(run.step, turns.spoken[-1], score.value, False, score.reason))
