"""SteeredRun: what a handle knows of the run that goes on: its inbox, its turn, its calls.

| what | begins with                            | ends with                     | its token is a child of |
|------|----------------------------------------|-------------------------------|-------------------------|
| run  | `begin_run`                            | `end`                         | given by the agent      |
| turn | the run, or the end of the turn before | `expect_turn`, `close`, `end` | the run's               |
| call | `watch`                                | `call_ended`, or its turn     | the turn's              |

There is a turn at any time. It has no name until `begin_turn` gives it one: so an interrupt that comes
between two turns stops the next one before it has begun, and nobody's word falls into a gap.

An interrupt may also come when the turn's work is done and the turn is not over yet. It was told that it
counts, so `pass_on` has it stop the turn that follows. A turn that was stopped before it began is
started afresh if a message waits, for then the user has said how to go on.

All but `inbox.put` and `interrupt` is done by the agent alone, one thing after the other. Others read
`turn` and `calls`, each in one step; a Stoppable that they got hold of and that has ended meanwhile
says so. A name is put among `past` before it leaves `turn` or `calls`, and others look in the other
order, so that they find it in one of the two.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from tako.cancellation import CancellationToken
from tako.models import Message
from tako.steering.inbox import Inbox
from tako.steering.interrupts import InterruptOutcome, Stoppable

__all__ = ["PAST_LIMIT", "Past", "SteeredRun"]

PAST_LIMIT = 1000
"""Names of turns and of calls that a handle remembers after they have ended."""


class Past:
    """The turns and calls of a session that have ended, as far back as the limit goes."""

    __slots__ = ("calls", "turns")

    def __init__(self) -> None:
        self.turns: deque[str] = deque(maxlen=PAST_LIMIT)
        self.calls: deque[str] = deque(maxlen=PAST_LIMIT)


class SteeredRun:
    """One run under a handle, from `begin_run` to `end_run`."""

    __slots__ = ("calls", "inbox", "iterations", "owed", "past", "run_id", "turn", "whole")

    def __init__(self, run_id: str, cancel: CancellationToken, past: Past) -> None:
        self.run_id = run_id
        self.whole = Stoppable(cancel)
        self.inbox = Inbox()
        self.turn: tuple[str | None, Stoppable] = None, self._stoppable()
        self.calls: dict[str, Stoppable] = {}
        self.past = past
        self.iterations: dict[str, int] = {}
        """How often each guard has gone on."""
        self.owed: list[Message] = []
        """Messages that were handed out at the end of a turn and are told of at the next."""

    def begin_turn(self, turn_id: str) -> Stoppable:
        """Name the turn, and let the inbox take messages for it."""
        if self.turn[0] is not None:
            self.pass_on()
        turn = self.turn[1]
        if turn.is_interrupted and not self.inbox.is_empty:
            turn = self._stoppable()
        self.turn = turn_id, turn
        self.inbox.turn_id = turn_id
        return turn

    def expect_turn(self) -> Stoppable:
        """The turn is over and another follows; returns the one that is over."""
        turn_id, over = self.turn
        self._end_calls()
        if turn_id is not None:
            self.past.turns.append(turn_id)
        self.turn = None, self._stoppable()
        over.end()
        over.token.detach()
        return over

    def pass_on(self) -> None:
        """The same, and an interrupt that the old turn has not heeded is for the new one."""
        if self.expect_turn().is_interrupted:
            self.turn[1].interrupt()

    def interrupt_turn(self) -> InterruptOutcome:
        """Stop the turn, or the one that has taken its place while we were at it."""
        while True:
            turn = self.turn
            outcome = turn[1].interrupt()
            if outcome is InterruptOutcome.INTERRUPTED or self.turn is turn:
                return outcome

    def watch(self, call_ids: Iterable[str]) -> dict[str, CancellationToken]:
        """A token for each call that was announced."""
        watched = {id: Stoppable(self.turn[1].token.child()) for id in call_ids}
        self.calls.update(watched)
        return {id: call.token for id, call in watched.items()}

    def call_ended(self, call_id: str) -> None:
        """Nobody can interrupt the call from now on. A call that nobody watched is none."""
        call = self.calls.get(call_id)
        if call is not None:
            call.end()
            self.past.calls.append(call_id)
            self.calls.pop(call_id, None)
            call.token.detach()

    def close(self) -> None:
        """No turn follows this one: nothing is accepted or interrupted but the run as a whole."""
        self.inbox.close()
        self.turn[1].end()

    def end(self) -> tuple[Message, ...]:
        """The run is over; what was queued and not read."""
        unread = self.inbox.end()
        self.whole.end()
        self._end_calls()
        turn_id, turn = self.turn
        turn.end()
        turn.token.detach()
        if turn_id is not None:
            self.past.turns.append(turn_id)
        return tuple([message for _, message in unread])

    def _end_calls(self) -> None:
        for call_id in list(self.calls):
            self.call_ended(call_id)

    def _stoppable(self) -> Stoppable:
        return Stoppable(self.whole.token.child())
