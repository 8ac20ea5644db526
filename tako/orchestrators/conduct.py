"""Conducting a run: ask it for its next step, perform it, feed the run, again.

The run decides what comes next, the agent what is allowed; here is the sequence, and what a user with a
handle may change of it between two steps:

| boundary                        | what is asked of the handle                                          |
|---------------------------------|----------------------------------------------------------------------|
| the run begins                  | whether it is free; it gets the token that stops the whole run       |
| the model is about to be called | what was queued, the mode, the prompt policies; the turn's token     |
| the calls of a batch are told   | a token for each call                                                |
| a turn has ended                | whether a guard wants another, or ends the run                       |
| the run would end               | the same, and what is queued: then it goes on                        |
| a turn was interrupted          | what is queued: then it goes on, otherwise it ends                   |
| the run has ended               | what was queued and never delivered                                  |

Where there is a cast, a router chooses who is called at a step of the model, and a reply that could be the
end may be followed by another speaker's turn: how, is in `casting.speaking`.

Invariants. The handle is asked by the Call effect only, so that a recording replays: what a user does is
in the replies, and in the Cancelled that a stopped part is thrown, for nobody here looks at a token. It
is told without an effect what changes none: that messages have arrived, that a call or the run is over.
What it gave is fed to the run before anything else is done. Events are made only while somebody listens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from tako.effects import Call, Entropy, Flow, as_task, within
from tako.errors import Cancelled, Interrupted, InvalidInput, OutputInvalid, SteeringError, TakoError
from tako.events import (
    AssistantMedia,
    AssistantText,
    AssistantThinking,
    AssistantThinkingBlock,
    ChatChunk,
    Final,
    HistoryTrimmed,
    MediaBlock,
    OrchEvent,
    OutputRetry,
    StepStart,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
    ToolCallResult,
    TurnInterrupted,
)
from tako.models import (
    ChatResponse,
    Message,
    Role,
    ToolResultPart,
)
from tako.orchestrators.agent_run import AgentRun
from tako.orchestrators.agent_steps import (
    Broken,
    CallModel,
    CallTools,
    CheckOutput,
    HistoryReplaced,
    ModelReplied,
    OutputAccepted,
    OutputRejected,
    Told,
)
from tako.orchestrators.batch import perform_batch
from tako.orchestrators.equipment import Trim
from tako.orchestrators.gate import decided
from tako.orchestrators.place import Show
from tako.orchestrators.result import RunResult
from tako.orchestrators.scope import Scope
from tako.orchestrators.tasks import model_task, shown
from tako.providers.base import Relay

if TYPE_CHECKING:
    from tako.orchestrators.casting.casting import Casting
    from tako.steering import Snapshot, SteeredRun, Steering, TurnEnd, TurnInputs

__all__ = ["conduct"]


def conduct(scope: Scope) -> Flow[RunResult[Any]]:
    """The run from where it stands to its end; raises what ended it, if that was an error."""
    return _steps(scope) if scope.steering is None else _with_handle(scope, scope.steering)


def _with_handle(scope: Scope, steering: Steering) -> Flow[RunResult[Any]]:
    """The same, and what the user does with the handle; it is given back, however the run ends."""
    steered = scope.steered = steering.new_run()
    try:
        return (yield from within(None, _steps(scope), steered.token))
    except Interrupted as error:  # the user stopped the whole run; this is its result
        return cast("RunResult[Any]", error.partial)
    except Cancelled:  # before anything had begun
        scope.run.feed(Broken("cancelled"))
        return (yield from _finished(scope))
    finally:
        steered.end()  # should `begin` still be under way somewhere, it comes too late


def _steps(scope: Scope) -> Flow[RunResult[Any]]:
    run, steered, casting, begun = scope.run, scope.steered, scope.equipment.casting, False
    try:
        if not run.run_id:
            run.run_id = (yield Entropy(8)).hex()
        if steered is not None:
            yield Call(steered.begin, (run.run_id,))
        begun = True
        if scope.show is not None and (answered := run.take_unshown()):
            yield scope.tell(*_answers(run, answered))
        while True:
            if scope.equipment.servers:
                from tako.orchestrators.furnishing import furnish  # an agent without servers needs no MCP

                yield from furnish(scope)
            step = run.next_step()
            if type(step) is CallModel:
                yield from _spoken(scope, step) if steered is None else _ask_model(scope, steered)
            elif type(step) is CallTools:
                yield from perform_batch(scope, step) if steered is None else _use_tools(scope, steered, step)
            elif type(step) is CheckOutput:
                yield from _check_output(scope, step)
            elif casting is not None and (yield from _has_another(scope, casting)):
                continue
            elif steered is None or not (yield from _goes_on(scope, steered)):
                break
    except TakoError as error:
        if isinstance(error, SteeringError) and not begun:
            raise  # the handle was not free, and nothing has happened to the run
        response = error.partial if isinstance(error.partial, ChatResponse) else None
        run.feed(Broken("cancelled" if isinstance(error, Cancelled) else "error", response))
        if not isinstance(error, Cancelled):
            error.partial, error.usage = _closed(scope), run.usage
            raise
    return (yield from _finished(scope))


def _finished(scope: Scope) -> Flow[RunResult[Any]]:
    """The result, of which everybody is told who listens."""
    result = _closed(scope)
    if scope.show is not None:
        try:
            yield scope.tell(Final(result.text, result.usage, result))
        except Cancelled:
            pass  # too late to change anything: the run has ended
    return result


def _answers(run: AgentRun, results: list[ToolResultPart]) -> list[OrchEvent]:
    """What was decided from outside while nobody listened, and so became a result."""
    events: list[OrchEvent] = []
    for part in results:
        events += (
            decided(run.step, part.name, part.id, run.batch.decisions[part.id].decision),
            ToolCallResult(run.step, part.name, part.id, part.result, part.is_error, part.content),
        )
    return events


def _closed(scope: Scope) -> RunResult[Any]:
    """The result. From here on nothing can be queued; what was, and the model was not told, is in it."""
    undelivered = () if scope.steered is None else scope.steered.end()
    result = scope.result()
    result.undelivered = undelivered
    return result


# A turn: what the user may interrupt.


def _ask_model(scope: Scope, steered: SteeredRun) -> Flow[None]:
    yield from _begin_turn(scope, steered)
    now = scope.run.next_step()
    if type(now) is CallModel:  # unless a guard has ended the run
        yield from _interruptible(scope, _spoken(scope, now), now.step)


def _use_tools(scope: Scope, steered: SteeredRun, step: CallTools) -> Flow[None]:
    if scope.turn is None:  # the run was paused in the middle of its turn
        inputs = yield Call(steered.resume_turn, (_turn_id(scope.run, step.step), step.step))
        yield from _take(scope, inputs)
    yield from _interruptible(scope, perform_batch(scope, step), step.step)


def _interruptible(scope: Scope, flow: Flow[None], number: int) -> Flow[None]:
    """A part of that turn, until the user stops it; what there is of it stays in the run."""
    try:
        yield from within(None, flow, scope.turn)
    except Interrupted as error:
        response = error.partial if isinstance(error.partial, ChatResponse) else None
        scope.run.feed(Broken("interrupted", response))
        if scope.show is not None:
            yield scope.tell(TurnInterrupted(number, _turn_id(scope.run, number)))


def _begin_turn(scope: Scope, steered: SteeredRun) -> Flow[None]:
    """End the turn before, if there was one, and take what the user has for the next."""
    run = scope.run
    if scope.turn is not None:
        end: TurnEnd = yield Call(steered.end_turn, (_snapshot(run), False))
        yield from _heed(scope, end)
        if run.is_finished:
            return
    number = run.step + 1
    inputs = yield Call(steered.begin_turn, (_turn_id(run, number), number, _snapshot(run)))
    yield from _take(scope, inputs)


def _take(scope: Scope, inputs: TurnInputs) -> Flow[None]:
    scope.mode, scope.instructions, scope.turn = inputs.mode, inputs.instructions, inputs.token
    yield from _deliver(scope, inputs.messages, inputs.events)


def _goes_on(scope: Scope, steered: SteeredRun) -> Flow[bool]:
    """Whether the run that has come to its end does not end: a guard or the user wants more."""
    run = scope.run
    if not run.can_go_on:
        return False
    scope.turn = None
    if run.stop_reason == "interrupted":
        end: TurnEnd = yield Call(steered.interrupted_turn)
    else:
        end = yield Call(steered.end_turn, (_snapshot(run), True))
    yield from _heed(scope, end)
    return not run.is_finished


def _heed(scope: Scope, end: TurnEnd) -> Flow[None]:
    """Do what the guards and the user want at the end of a turn."""
    if end.abort is not None:
        scope.run.feed(Broken("aborted", detail=end.abort))
    yield from _deliver(scope, end.messages, end.events)  # with an abort there are no messages


def _deliver(scope: Scope, messages: tuple[Message, ...], events: tuple[OrchEvent, ...]) -> Flow[None]:
    """Give the messages to the run first, so that nothing that happens to us can lose them."""
    if messages:
        scope.run.feed(Told(messages))
        if scope.steered is not None:
            scope.steered.delivered()
    if scope.show is not None and events:
        yield scope.tell(*events)


def _turn_id(run: AgentRun, step: int) -> str:
    return f"turn_{run.run_id}_{step}"


def _snapshot(run: AgentRun) -> Snapshot:
    """What guards, and the triggers of prompt policies, may know of the run."""
    from tako.steering import Snapshot  # a run without a handle does not need it

    said = (message for message in reversed(run.new_messages) if message.role is Role.ASSISTANT)
    last = next(said, None)
    calls = () if last is None else tuple([call.name for call in last.tool_calls])
    return Snapshot(step=run.step, text="" if last is None else last.text, tool_calls=calls, usage=run.usage)


# The steps.


def _spoken(scope: Scope, step: CallModel) -> Flow[None]:
    """The step on the model; where there is a cast, on whom of it the router chooses."""
    casting = scope.equipment.casting
    if casting is None:
        return _call_model(scope, step)
    from tako.orchestrators.casting.speaking import take_turn  # it needs agents, which need what is here

    return take_turn(scope, casting, step, _call_model)


def _has_another(scope: Scope, casting: Casting) -> Flow[bool]:
    """Whether somebody else of the cast speaks, although the run has come to its end."""
    from tako.orchestrators.casting.speaking import goes_on

    return goes_on(scope, casting)


def _call_model(scope: Scope, step: CallModel) -> Flow[None]:
    run, equipment, show = scope.run, scope.equipment, scope.show
    if equipment.trim is not None:
        step = yield from _trimmed(scope, equipment.trim, step)
    request = equipment.request(run, step, scope.instructions)
    provider, wants_output = equipment.provider, equipment.wants_output
    streams = show is not None and provider.capabilities.supports_streaming
    if show is not None:
        yield scope.tell(StepStart(step.step, _turn_id(run, step.step)))
    if show is not None and streams:
        asking = provider.stream_flow(request, _relay(step.step, show))
    else:
        asking = provider.chat_flow(request)
    if scope.is_journalled:
        asking = as_task(asking, model_task(provider, request, step.step, show if streams else None))
    response = yield from asking
    run.feed(ModelReplied(response, wants_output))  # first, so that a cancel does not lose it
    if show is not None and not streams and (events := shown(step.step, response.message)):
        yield scope.tell(*events)


def _trimmed(scope: Scope, trim: Trim, step: CallModel) -> Flow[CallModel]:
    """The step with what the caller's trimmer has made of its messages; raises InvalidInput."""
    before = list(step.messages)
    try:
        after = yield Call(trim, (list(before),))
    except TakoError:
        raise
    except Exception as error:
        raise InvalidInput(f"trim raised {type(error).__name__}: {error}", phase="trim") from error
    if not isinstance(after, Sequence) or isinstance(after, str | bytes):
        raise InvalidInput(f"trim should return a list of messages, not {type(after).__name__}", phase="trim")
    if not after:
        raise InvalidInput(
            "trim returned no messages; it should leave the last question at least", phase="trim"
        )
    if len(after) == len(before) and all(new is old for new, old in zip(after, before, strict=True)):
        return step
    scope.run.feed(HistoryReplaced(tuple(after)))
    if scope.show is not None:
        yield scope.tell(HistoryTrimmed(step.step, len(before), len(after)))
    return cast(CallModel, scope.run.next_step())


def _check_output(scope: Scope, step: CheckOutput) -> Flow[None]:
    run, output, provider = scope.run, scope.equipment.output, scope.equipment.provider
    try:
        value = step.text if output is None else output.check(step.text)
    except InvalidInput as error:
        run.feed(OutputRejected(error.message))
        if run.is_finished:
            raise OutputInvalid(
                f"the answer does not fit output_type: {error.message}",
                provider=provider.id,
                model=provider.model,
                phase="output",
                body=step.text,
            ) from error
        if scope.show is not None:
            yield scope.tell(OutputRetry(step.step, error.message))
    else:
        run.feed(OutputAccepted(value))


# What a model says, as the agent's events.


def _relay(step: int, show: Show) -> Relay:
    """What a provider streams."""

    def relay(chunks: list[ChatChunk]) -> Sequence[Any]:
        events: list[OrchEvent] = []
        for chunk in chunks:
            if type(chunk) is TextDelta:
                events.append(AssistantText(step, chunk.text))
            elif type(chunk) is ThinkingDelta:
                events.append(AssistantThinking(step, chunk.text))
            elif type(chunk) is ThinkingBlock:
                events.append(AssistantThinkingBlock(step, chunk.part))
            elif type(chunk) is MediaBlock:
                events.append(AssistantMedia(step, chunk.part))
        return show(events) if events else events

    return relay
