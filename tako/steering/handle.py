"""Steering: the handle of a session, by which others have a say while an agent works.

One handle is for one agent and for at most one run at a time; it can be used for one run after the
other. The user's side may be called from any thread, any task and any signal handler, at any time; the
agent's side is called by the agent's flow, one thing after the other, through `Call` effects.

| the user                          | takes effect                                                     |
|-----------------------------------|------------------------------------------------------------------|
| `queue`                           | at the next request; never between a call and its result         |
| `set_mode`, `confirm_mode`        | at the next request, also the first of the next run              |
| `add_policy`, `remove_policy`     | at the next request                                              |
| `add_guard`, `remove_guard`       | at the end of the turn                                           |
| `interrupt_tool`                  | at once: its result is a cancelled one, and the turn goes on     |
| `interrupt_turn`                  | at once: what there is is kept; the run goes on with what is     |
|                                   | queued, and ends if nothing is                                   |
| `interrupt`, `close`              | at once, for the whole run; `close` also for later ones          |

| lives as long as | what                                                                             |
|------------------|----------------------------------------------------------------------------------|
| the turn         | its calls, its tokens, the mode that its calls are asked against                  |
| the run          | queued messages, what guards have counted, "next_turn" and "every_turn" policies |
| the handle       | mode, proposed mode, guards, "persistent" policies, what nobody was told yet     |

Decisions where nothing was given. Messages that wait are delivered before the run may finish, and
guards with the trigger "finish" are not asked then, for the user has the word. The prompts of guards go
in front of messages that came while they were asked. Who proposes a mode while another proposal waits
is refused: what the operator confirms is what the operator was shown. A proposal outlives its run.
A message is told of as queued when it is taken, and as delivered in the request that holds it; one
that is never delivered is only in `result.undelivered`. Who may call what is up to the program: a tool
that has the handle can do all that its user can.

Why there is no lock. A lock is held when a signal handler interrupts its holder, and waits for itself for
ever. All shared state is changed by single indivisible steps of dict and deque instead:

| state             | written by | the step                       | if two come at a time                |
|-------------------|------------|--------------------------------|--------------------------------------|
| the active run    | agents     | `setdefault`, `pop` of one key | one run begins, the other is "busy"  |
| closed            | users      | one field, never set back      | `close` looks for a run after it has |
|                   |            |                                | written, `begin_run` looks after it  |
|                   |            |                                | has begun: one of them sees the other |
| the mode wanted   | users      | `append` to a deque of one     | the last one counts                  |
| the mode proposed | tools      | `setdefault`, `pop` of one key | one waits, one confirmation gets it  |
| the mode in force | the agent  | one field                      | readers see the one or the other     |
| policies, guards  | users      | keys of a dict, copied to read | counts from this turn or from the next |
| notices           | all        | `append`, `popleft`            | each is told once                    |
| the inbox         | all        | see `inbox`                    |                                      |
| turns and calls   | all        | see `interrupts`, `steered_run` |                                     |

A flow may be cancelled while a user's function keeps an agent-side call busy, and end the run. When that
call comes back it finds its own run ended, and nobody else's: it has the run, and not the handle's slot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tako import _adapters
from tako.cancellation import CancellationToken
from tako.effects import Flow
from tako.errors import InvalidInput, SteeringError
from tako.events import (
    MessageDelivered,
    MessageQueued,
    ModeChanged,
    ModeProposed,
    UserAnswered,
    UserAsked,
)
from tako.models import Message, Part, Role, TextPart
from tako.steering.guards import ContinuationGuard, Guards, Verdict
from tako.steering.inbox import Queued
from tako.steering.interrupts import InterruptOutcome
from tako.steering.modes import DEFAULT, Mode, mode_of
from tako.steering.prompt_policies import PromptPolicies, PromptPolicy
from tako.steering.questions import Bridge, QuestionSet, UserInput, asking, ready_to_ask
from tako.steering.steered_run import Past, SteeredRun
from tako.steering.turns import Snapshot, TurnEnd, TurnInputs

if TYPE_CHECKING:
    from tako.events import OrchEvent

__all__ = ["NOTICE_LIMIT", "Steering"]

NOTICE_LIMIT = 1000
"""Events that wait to be told; beyond it the oldest are forgotten. What they tell of has happened anyway."""


class Steering:
    """The handle of a session: `agent.run(prompt, steering=handle)`.

    mode  what is in force from the start
    ask   the bridge: shows a QuestionSet to the user and returns a UserInput, plain or async
    """

    def __init__(self, *, mode: Mode | str = DEFAULT, ask: Bridge | None = None) -> None:
        if ask is not None and not callable(ask):
            raise InvalidInput(f"ask should be a function of a QuestionSet, not {type(ask).__name__}")
        self._mode = mode_of(mode)
        self._wanted: deque[tuple[Mode, str]] = deque(maxlen=1)
        self._proposed: dict[str, tuple[Mode]] = {}  # under one key, or empty
        self._runs: dict[str, SteeredRun] = {}  # under one key, or empty
        self._closed = False
        self._past = Past()
        self._notices: deque[OrchEvent] = deque(maxlen=NOTICE_LIMIT)
        self._policies = PromptPolicies(self._notices)
        self._guards = Guards()
        self.bridge = ask

    def __repr__(self) -> str:
        return f"<Steering {self._mode.name}, {'active' if self.is_active else 'no run'}>"

    # What goes on

    @property
    def is_active(self) -> bool:
        """Whether a run is under this handle."""
        return "run" in self._runs

    @property
    def turn_id(self) -> str | None:
        """The turn that takes messages; None between runs and when the run is about to finish."""
        run = self._runs.get("run")
        return None if run is None else run.inbox.turn_id

    @property
    def mode(self) -> Mode:
        """The mode in force."""
        return self._mode

    @property
    def pending_mode(self) -> Mode | None:
        """The mode that was proposed and waits for the operator."""
        proposal = self._proposed.get("mode")
        return None if proposal is None else proposal[0]

    # The user's side

    def queue(self, content: str | Iterable[Part] | Message, *, turn_id: str | None = None) -> str:
        """Hand in a message for the next request; returns the id of the turn that took it.

        It is delivered, or it is in the result's `undelivered`. With `turn_id` it is taken only while
        that turn is the active one. Raises SteeringError: "empty", "not_text", "no_active_turn",
        "turn_mismatch", "queue_full".
        """
        message = _text_message(content)
        run = self._runs.get("run")
        if run is None:
            raise SteeringError(
                "no run is active that could take a message; start one with it instead",
                code="no_active_turn",
            )
        return run.inbox.put(message, turn_id)

    def interrupt_tool(self, call_id: str) -> InterruptOutcome:
        """Stop one call, also one that was announced and has not begun; the others and the turn go on."""
        run = self._runs.get("run")
        call = None if run is None else run.calls.get(call_id)
        if call is not None:
            return call.interrupt()
        return _finished_if(call_id in self._past.calls)

    def interrupt_turn(self, turn_id: str | None = None) -> InterruptOutcome:
        """Stop the turn, or that turn only, if it is named. Between two turns it is the next one."""
        run = self._runs.get("run")
        if turn_id is None:
            return _finished_if(bool(self._past.turns)) if run is None else run.interrupt_turn()
        if run is not None:
            active, turn = run.turn
            if active == turn_id:
                return turn.interrupt()
        return _finished_if(turn_id in self._past.turns)

    def interrupt(self) -> InterruptOutcome:
        """Stop the whole run; its result holds what there was."""
        run = self._runs.get("run")
        return _finished_if(bool(self._past.turns)) if run is None else run.whole.interrupt()

    def close(self) -> None:
        """End the session: stop the run, and refuse later ones."""
        self._closed = True
        self.interrupt()

    def set_mode(self, mode: Mode | str) -> None:
        """The operator's word: in force from the next request on. Raises InvalidInput for an unknown name."""
        self._wanted.append((mode_of(mode), "operator"))

    def propose_mode(self, mode: Mode | str) -> None:
        """What an agent or a tool wants: it waits for `confirm_mode` or `reject_mode`.

        Raises SteeringError "mode_pending" while another one waits; the same one again changes nothing.
        """
        proposal = (mode_of(mode),)
        waiting = self._proposed.setdefault("mode", proposal)
        if waiting is proposal:
            self._notices.append(ModeProposed(proposal[0].name, "agent"))
        elif waiting != proposal:
            raise SteeringError(
                f"mode {waiting[0].name!r} is proposed already; wait until it is confirmed or rejected",
                code="mode_pending",
            )

    def confirm_mode(self) -> Mode:
        """Agree to the proposal, for the next request on. Raises SteeringError "no_pending_mode"."""
        mode = self._take_proposal()
        self._wanted.append((mode, "agent"))
        return mode

    def reject_mode(self) -> Mode:
        """Drop the proposal. Raises SteeringError "no_pending_mode"."""
        return self._take_proposal()

    def _take_proposal(self) -> Mode:
        proposal = self._proposed.pop("mode", None)
        if proposal is None:
            raise SteeringError("no mode is proposed; set_mode changes it directly", code="no_pending_mode")
        return proposal[0]

    def add_guard(self, guard: ContinuationGuard) -> str:
        """Install a guard and return its id."""
        return self._guards.add(guard)

    def remove_guard(self, id: str) -> None:
        """Take a guard away. Raises SteeringError "not_found"."""
        self._guards.remove(id)

    def add_policy(self, policy: PromptPolicy) -> str:
        """Install a prompt policy and return its id."""
        return self._policies.add(policy)

    def remove_policy(self, id: str) -> None:
        """Take a prompt policy away. Raises SteeringError "not_found"."""
        self._policies.remove(id)

    def ask_flow(self, questions: QuestionSet, timeout: float | None = None) -> Flow[UserInput]:
        """Ask the user over the bridge; see `questions` for what can come of it.

        While a run is on, it is told at its next boundary that the user was asked.
        """
        bridge = ready_to_ask(self.bridge, questions, timeout)
        self._tell(UserAsked(questions))
        said = yield from asking(bridge, questions, timeout)
        self._tell(UserAnswered(said))
        return said

    def ask_sync(
        self,
        questions: QuestionSet,
        timeout: float | None = None,
        *,
        cancel: CancellationToken | None = None,
    ) -> UserInput:
        """Ask the user, blocking; a tool passes its own `context.cancel`."""
        return _adapters.run_sync(self.ask_flow(questions, timeout), cancel)

    async def ask(
        self,
        questions: QuestionSet,
        timeout: float | None = None,
        *,
        cancel: CancellationToken | None = None,
    ) -> UserInput:
        """Ask the user under asyncio or trio, whichever is running."""
        return await _adapters.run_async(self.ask_flow(questions, timeout), cancel)

    def _tell(self, event: OrchEvent) -> None:
        if self.is_active:
            self._notices.append(event)

    # The agent's side

    def begin_run(self, run_id: str, cancel: CancellationToken) -> None:
        """A run begins; `cancel` is its own token. Raises SteeringError "busy" or "closed"."""
        run = SteeredRun(run_id, cancel, self._past)
        active = run if self._closed else self._runs.setdefault("run", run)
        if active is not run:
            raise SteeringError(
                f"run {active.run_id!r} is under this handle; wait for its end, or use a handle of its own",
                code="busy",
            )
        # A token that is cancelled already is of a run that was over before this came to be performed,
        # and will not end again.
        if self._closed or cancel.is_cancelled:
            self._runs.pop("run", None)
            if self._closed:
                raise SteeringError("the session was closed; make a new Steering", code="closed")
            raise SteeringError("the run has ended", code="no_active_run")

    def begin_turn(self, turn_id: str, step: int, snapshot: Snapshot) -> TurnInputs:
        """A request is about to be made: what goes into it, and the turn's token.

        Runs users' code (`PromptPolicy.when`), and takes from the inbox after that. A turn that is
        over before it has begun takes nothing: what waits goes to `interrupted_turn`.
        """
        run = self._active()
        turn = run.begin_turn(turn_id)
        events = self._told()
        if turn.is_interrupted:
            return TurnInputs((), self._mode, (), turn.token, tuple(events))
        self._change_mode(step, events)
        contents, applied = self._policies.pick(step, snapshot)
        messages = self._taken(run.inbox.take(), events)
        events += [MessageDelivered(step, message) for message in (*run.owed, *messages)]
        run.owed.clear()
        instructions = [self._mode.instructions] if self._mode.instructions else []
        return TurnInputs(
            tuple(messages),
            self._mode,
            (*instructions, *contents),
            turn.token,
            (*events, *applied),
        )

    def resume_turn(self, turn_id: str, step: int) -> TurnInputs:
        """A turn goes on in which the run was paused: what its calls are asked against, and its token.

        No request is made, so what waits in the inbox waits for the next.
        """
        turn = self._active().begin_turn(turn_id)
        events = self._told()
        self._change_mode(step, events)
        return TurnInputs((), self._mode, (), turn.token, tuple(events))

    def watch_calls(self, call_ids: Iterable[str]) -> dict[str, CancellationToken]:
        """Calls were announced: a token for each, by which it can be stopped from now on."""
        return self._active().watch(call_ids)

    def call_ended(self, call_id: str) -> None:
        """A call has its result. After the run nothing is left to do."""
        run = self._runs.get("run")
        if run is not None:
            run.call_ended(call_id)

    def end_turn(self, snapshot: Snapshot, finishing: bool) -> TurnEnd:
        """A turn is over; `finishing` says that the run would be, too. Runs users' code (`decide`).

        A finishing run goes on if messages wait or a guard says so; otherwise, and after an Abort, the
        inbox is closed. An interrupt that has come until now overrules the guards.
        """
        run = self._active()
        events = self._told()
        turn = run.turn[1]
        verdict = None if turn.is_interrupted else self._verdict(run, snapshot, finishing)
        if turn.is_interrupted and finishing:
            return self._after_interrupt(run, events)
        if verdict is None or turn.is_interrupted:
            return self._go_on(run, [], events)
        events += verdict.events
        if verdict.abort is not None:
            run.close()
            return TurnEnd((), verdict.abort, tuple(events))
        run.iterations.update(verdict.counted)
        messages = [Message.user(guard.prompt) for guard in verdict.continuing]
        if finishing:
            queued = run.inbox.take() if messages else run.inbox.take_or_close()
            messages += self._taken(queued, events)
            if not messages:
                run.close()
                return TurnEnd((), None, tuple(events))
        return self._go_on(run, messages, events)

    def interrupted_turn(self) -> TurnEnd:
        """A turn was interrupted: what waits, to go on with; if nothing does, the inbox is closed."""
        return self._after_interrupt(self._active(), self._told())

    def end_run(self, cancel: CancellationToken | None = None) -> tuple[Message, ...]:
        """The run is over: the messages that it accepted and has not delivered. Never raises.

        With the token that it began with, another run that is under the handle now is left alone.
        """
        run = self._runs.get("run")
        if run is None or (cancel is not None and run.whole.token is not cancel):
            return ()
        self._policies.end_run()
        self._runs.pop("run", None)
        return run.end()

    def _active(self) -> SteeredRun:
        run = self._runs.get("run")
        if run is None:
            raise SteeringError("no run is under this handle; begin_run comes first", code="no_active_run")
        return run

    def _told(self) -> list[OrchEvent]:
        """What was noted since the last boundary; bounded, though others may go on noting."""
        events: list[OrchEvent] = []
        while self._notices and len(events) < NOTICE_LIMIT:
            try:
                events.append(self._notices.popleft())
            except IndexError:
                break
        return events

    def _change_mode(self, step: int, events: list[OrchEvent]) -> None:
        try:
            mode, by = self._wanted.pop()
        except IndexError:
            return
        if mode != self._mode:
            events.append(ModeChanged(step, self._mode.name, mode.name, by))
            self._mode = mode

    def _verdict(self, run: SteeredRun, snapshot: Snapshot, finishing: bool) -> Verdict:
        """What the guards say; those for the finish have no say while the user has a message in."""
        if finishing and run.inbox.is_empty:
            return self._guards.ask(snapshot, ("turn_end", "finish"), run.iterations)
        return self._guards.ask(snapshot, ("turn_end",), run.iterations)

    def _go_on(self, run: SteeredRun, messages: list[Message], events: list[OrchEvent]) -> TurnEnd:
        """Another turn follows; an interrupt that came too late for this one stops that."""
        run.pass_on()
        run.owed += messages
        return TurnEnd(tuple(messages), None, tuple(events))

    def _after_interrupt(self, run: SteeredRun, events: list[OrchEvent]) -> TurnEnd:
        """An interrupted turn was heeded: what waits follows, or nothing."""
        messages = self._taken(run.inbox.take_or_close(), events)
        if messages:
            run.expect_turn()
            run.owed += messages
        else:
            run.close()
        return TurnEnd(tuple(messages), None, tuple(events))

    def _taken(self, queued: list[Queued], events: list[OrchEvent]) -> list[Message]:
        """The messages alone; the events tell of each that it was queued."""
        events += [MessageQueued(turn_id, message) for turn_id, message in queued]
        return [message for _, message in queued]


def _finished_if(known: bool) -> InterruptOutcome:
    return InterruptOutcome.ALREADY_FINISHED if known else InterruptOutcome.UNKNOWN


def _text_message(content: str | Iterable[Part] | Message) -> Message:
    """A user's message of text; raises SteeringError "empty" or "not_text", in this order."""
    if isinstance(content, Message):
        if content.role is not Role.USER:
            raise InvalidInput(f"queue: the message should be a user's, not {content.role.value!r}")
        message = content
    elif isinstance(content, Iterable) and not isinstance(content, bytes):
        message = Message.user(content)
    else:
        raise InvalidInput(f"queue: content should be text or parts, not {type(content).__name__}")
    texts = [part.text for part in message.content if type(part) is TextPart]
    others = len(texts) < len(message.content)
    if not others and not any(text.strip() for text in texts):
        raise SteeringError("the message is empty; write what the model should know", code="empty")
    if others:
        raise SteeringError(
            "only text can be handed to a run that goes on; start a run with the rest", code="not_text"
        )
    return message
