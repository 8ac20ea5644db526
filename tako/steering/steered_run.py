"""SteeredRun: the agent's side of a handle, for one run: its inbox, its turn, its calls.

| what | begins with                            | ends with                     |
|------|----------------------------------------|-------------------------------|
| run  | `begin`, if the handle is free         | `end`                         |
| turn | the run, or the end of the turn before | the next turn, no next, `end` |
| call | `watch_calls`                          | `call_ended`, or its turn     |

Each has a token of its own, which is cancelled by an interrupt of this very thing and by nothing else. The
agent performs a turn within its run and a call within its turn, so what stops the one stops the other; and
whoever asks why a call was stopped finds the token that was cancelled, and not one that fell with it.

The agent makes one before it does anything else, calls it at its boundaries, one after the other, through
`Call` effects, and calls `end` in any case. So there is nothing that could be lost with the reply of an
effect, and nothing that a call which is late could do to another run:

| a call that was left behind while the flow was cancelled   | what becomes of it                         |
|------------------------------------------------------------|--------------------------------------------|
| `begin` that comes after `end`                             | gives the handle back, and raises          |
| any other                                                  | acts on what has ended, and nobody reads it |
| one that takes messages                                    | they stay the inbox's until `delivered`, so |
|                                                            | `end` returns them                         |

There is a turn at any time. It has no name until `begin_turn` gives it one: so an interrupt that comes
between two turns stops the next one before it has begun, and nobody's word falls into a gap.

An interrupt may also come when the turn's work is done and the turn is not over yet. It was told that it
counts, so it stops the turn that follows. A turn that was stopped before it began is started afresh if a
message waits, for then the user has said how to go on; TurnInterrupted tells of the one before it.

Users call `inbox.put` and `interrupt_turn`, and read `turn` and `calls`, each in one step; a Stoppable that
they got hold of and that has ended meanwhile says so. A name is put among the past before it leaves `turn`
or `calls`, and users look in the other order, so that they find it in one of the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tako.cancellation import CancellationToken
from tako.errors import SteeringError
from tako.events import MessageDelivered, MessageQueued, TurnInterrupted
from tako.models import Message
from tako.steering.guards import Verdict
from tako.steering.inbox import Inbox, Queued
from tako.steering.interrupts import InterruptOutcome, Stoppable
from tako.steering.session import Session
from tako.steering.turns import Snapshot, TurnEnd, TurnInputs

if TYPE_CHECKING:
    from tako.events import OrchEvent

__all__ = ["SteeredRun"]


class SteeredRun:
    """One run under a handle: `steering.new_run()`.

    `token` stops the whole run. After `end` each method but that is without effect on the handle.
    """

    __slots__ = (
        "_ended", "_iterations", "_may_leave", "_owed", "_session", "_unheeded",
        "calls", "inbox", "run_id", "token", "turn", "whole",
    )  # fmt: skip

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ended = False
        self._may_leave = {"once": True}
        self._iterations: dict[str, int] = {}
        """How often each guard has gone on."""
        self._owed: list[Message] = []
        """Messages that were handed out at the end of a turn and are told of at the next."""
        self.run_id = ""
        self._unheeded: str | None = None
        """The turn that ended in its own way when it had been interrupted."""
        self.whole = Stoppable()
        self.token = self.whole.token
        self.inbox = Inbox()
        self.calls: dict[str, Stoppable] = {}
        self.turn: tuple[str | None, Stoppable] = None, Stoppable()

    # The run

    def begin(self, run_id: str) -> None:
        """Take the handle. Raises SteeringError "busy", "closed", or "no_active_run" if it comes too late."""
        session = self._session
        self.run_id = run_id
        self._require_going_on()
        active = self if session.closed else session.runs.setdefault("run", self)
        if active is not self:
            raise SteeringError(
                f"run {active.run_id!r} is under this handle; wait for its end, or use a handle of its own",
                code="busy",
            )
        # Whoever closed, or ended us, before this line may not have seen that we have the handle.
        if session.closed:
            self._leave()
            raise SteeringError("the session was closed; make a new Steering", code="closed")
        if self._ended:
            self._leave()
            self._require_going_on()

    def end(self) -> tuple[Message, ...]:
        """The run is over: the messages that it accepted and has not delivered. Once; never raises."""
        if self._ended:
            return ()
        self._ended = True
        self._leave()
        unread = self.inbox.end()
        self.whole.end()
        self._end_calls()
        turn_id, turn = self.turn
        turn.end()
        if turn_id is not None:
            self._session.past_turns.append(turn_id)
        return tuple([message for _, message in unread])

    def _leave(self) -> None:
        """Give the handle back if we have it. One alone does it, so that nobody else's run is put out."""
        runs = self._session.runs
        if runs.get("run") is self and self._may_leave.pop("once", False):
            self._session.policies.end_run()
            runs.pop("run", None)

    def _require_going_on(self) -> None:
        if self._ended:
            raise SteeringError(
                "the run has ended; a new one needs a SteeredRun of its own", code="no_active_run"
            )

    # A turn begins

    def begin_turn(self, turn_id: str, step: int, snapshot: Snapshot) -> TurnInputs:
        """A request is about to be made: what goes into it, and the turn's token.

        Runs users' code (`PromptPolicy.when`), and takes from the inbox after that. A turn that is
        over before it has begun takes nothing: what waits goes to `interrupted_turn`.
        """
        session = self._session
        events = session.told()
        turn = self._named_turn(turn_id, step, events)
        if turn.is_interrupted:
            return TurnInputs((), session.mode, (), turn.token, tuple(events))
        events += session.change_mode(step)
        mode = session.mode
        contents, applied = session.policies.pick(step, snapshot)
        messages = _taken(self.inbox.take(), events)
        events += [MessageDelivered(step, message) for message in (*self._owed, *messages)]
        self._owed.clear()
        instructions = (*([mode.instructions] if mode.instructions else []), *contents)
        return TurnInputs(tuple(messages), mode, instructions, turn.token, (*events, *applied))

    def resume_turn(self, turn_id: str, step: int) -> TurnInputs:
        """A turn goes on in which the run was paused: what its calls are asked against, and its token.

        No request is made, so what waits in the inbox waits for the next.
        """
        events = self._session.told()
        turn = self._named_turn(turn_id, step, events)
        events += self._session.change_mode(step)
        return TurnInputs((), self._session.mode, (), turn.token, tuple(events))

    def delivered(self) -> None:
        """The messages that were handed out are in the run, and not the inbox's any more."""
        self.inbox.acknowledge()

    def _named_turn(self, turn_id: str, step: int, events: list[OrchEvent]) -> Stoppable:
        """Name the turn, and let the inbox take messages for it."""
        self._require_going_on()
        if self.turn[0] is not None:
            self._pass_on()
        turn = self.turn[1]
        if turn.is_interrupted and not self.inbox.is_empty:
            turn = Stoppable()
            if self._unheeded is not None:
                events.append(TurnInterrupted(step - 1, self._unheeded))
        self._unheeded = None
        self.turn = turn_id, turn
        self.inbox.turn_id = turn_id
        return turn

    # Its calls

    def watch_calls(self, call_ids: Iterable[str]) -> dict[str, CancellationToken]:
        """Calls were announced: a token for each, by which it can be stopped from now on."""
        self._require_going_on()
        watched = {id: Stoppable() for id in call_ids}
        self.calls.update(watched)
        return {id: call.token for id, call in watched.items()}

    def call_ended(self, call_id: str) -> None:
        """A call has its result: nobody can interrupt it. A call that nobody watched is none."""
        call = self.calls.get(call_id)
        if call is not None:
            call.end()
            self._session.past_calls.append(call_id)
            self.calls.pop(call_id, None)

    def _end_calls(self) -> None:
        for call_id in list(self.calls):
            self.call_ended(call_id)

    # It ends

    def end_turn(self, snapshot: Snapshot, finishing: bool) -> TurnEnd:
        """A turn is over; `finishing` says that the run would be, too. Runs users' code (`decide`).

        A finishing run goes on if messages wait or a guard says so; otherwise, and after an Abort, the
        inbox is closed. An interrupt that has come until now overrules the guards.
        """
        self._require_going_on()
        events = self._session.told()
        turn = self.turn[1]
        verdict = None if turn.is_interrupted else self._verdict(snapshot, finishing)
        if turn.is_interrupted and finishing:
            return self._after_interrupt(events)
        if verdict is None or turn.is_interrupted:
            return self._go_on([], events)
        events += verdict.events
        if verdict.abort is not None:
            self._close()
            return TurnEnd((), verdict.abort, tuple(events))
        self._iterations.update(verdict.counted)
        messages = [Message.user(guard.prompt) for guard in verdict.continuing]
        if finishing:
            queued = self.inbox.take() if messages else self.inbox.take_or_close()
            messages += _taken(queued, events)
            if not messages:
                self._close()
                return TurnEnd((), None, tuple(events))
        return self._go_on(messages, events)

    def interrupted_turn(self) -> TurnEnd:
        """A turn was interrupted: what waits, to go on with; if nothing does, the inbox is closed."""
        self._require_going_on()
        return self._after_interrupt(self._session.told())

    def interrupt_turn(self) -> InterruptOutcome:
        """The user's: stop the turn, or the one that has taken its place while we were at it."""
        while True:
            turn = self.turn
            outcome = turn[1].interrupt()
            if outcome is InterruptOutcome.INTERRUPTED or self.turn is turn:
                return outcome

    def _verdict(self, snapshot: Snapshot, finishing: bool) -> Verdict:
        """What the guards say; those for the finish have no say while the user has a message in."""
        guards = self._session.guards
        if finishing and self.inbox.is_empty:
            return guards.ask(snapshot, ("turn_end", "finish"), self._iterations)
        return guards.ask(snapshot, ("turn_end",), self._iterations)

    def _go_on(self, messages: list[Message], events: list[OrchEvent]) -> TurnEnd:
        """Another turn follows; an interrupt that came too late for this one stops that."""
        self._pass_on()
        self._owed += messages
        return TurnEnd(tuple(messages), None, tuple(events))

    def _after_interrupt(self, events: list[OrchEvent]) -> TurnEnd:
        """An interrupted turn was heeded: what waits follows, or nothing."""
        messages = _taken(self.inbox.take_or_close(), events)
        if messages:
            self._expect_turn()
            self._owed += messages
        else:
            self._close()
        return TurnEnd(tuple(messages), None, tuple(events))

    def _expect_turn(self) -> Stoppable:
        """The turn is over and another follows; returns the one that is over."""
        turn_id, over = self.turn
        self._end_calls()
        if turn_id is not None:
            self._session.past_turns.append(turn_id)
        self.turn = None, Stoppable()
        over.end()
        return over

    def _pass_on(self) -> None:
        """The same, and an interrupt that the old turn has not heeded is for the new one."""
        turn_id = self.turn[0]
        if self._expect_turn().is_interrupted:
            self.turn[1].interrupt()
            self._unheeded = turn_id

    def _close(self) -> None:
        """No turn follows this one: nothing is accepted or interrupted but the run as a whole."""
        self.inbox.close()
        self.turn[1].end()


def _taken(queued: list[Queued], events: list[OrchEvent]) -> list[Message]:
    """The messages alone; the events tell of each that it was queued."""
    events += [MessageQueued(turn_id, message) for turn_id, message in queued]
    return [message for _, message in queued]
