"""Inbox: messages on their way from the user to the model, none lost and none accepted too late.

| state  | `turn_id`       | how it is reached                                | `put`             |
|--------|-----------------|--------------------------------------------------|-------------------|
| closed | None            | at first; `take_or_close` found nothing; `close` | "no_active_turn"  |
| open   | the turn's      | a turn begins                                    | accepts           |
| ended  | None, for ever  | `end`                                            | "no_active_turn"  |

The promise: a message for which `put` returns is handed out by `take` or `take_or_close`, and is the inbox's
until the reader acknowledges it; what is not acknowledged, `end` hands out. A message for which `put` raises
is never handed out. Why this holds with no lock, for a writer in any thread, or in a signal handler that
interrupts the reader's own thread, or a reader that was left behind and comes after the end:

- Each message is a Letter with an owner, who is written once: exactly one of all who want it gets it.
- The writer looks, stores, and looks again. If the inbox was closed meanwhile, or the turn is not the one
  that was asked for, it takes its message back. Did it get it: then nobody else will, and it is refused. Was
  it somebody's: then the reader has it, and it is accepted.
- The reader closes first and takes afterwards. So a message stored before its last look is taken, and
  the writer of one stored later sees the closing at its second look.
- If that last look finds something, the inbox is opened again, for the run goes on. A writer who came just
  then may be refused though the run goes on: it keeps the message and can try again, so nothing is lost.
- `end` writes a field that nobody sets back, so a reader that comes late cannot open what has ended.

First in, first out: a dict keeps the order in which keys came in. Copying the keys is one step as well.
"""

from __future__ import annotations

from tako.errors import SteeringError
from tako.models import Message

__all__ = ["QUEUE_LIMIT", "Inbox", "Queued"]

QUEUE_LIMIT = 1000
"""Messages that may wait at a time."""

Queued = tuple[str, Message]
"""The turn during which a message came, and the message."""


_WRITER = object()
"""The owner of a message that was taken back."""


class Letter:
    """A message on its way; it is claimed once."""

    __slots__ = ("_owner", "queued")

    def __init__(self, queued: Queued) -> None:
        self.queued = queued
        self._owner: dict[str, object] = {}

    def claim(self, by: object) -> bool:
        """Whether it is theirs now, and was nobody's before: `by` is new for each who asks."""
        return self._owner.setdefault("owner", by) is by

    @property
    def is_claimed(self) -> bool:
        return bool(self._owner)

    @property
    def is_withdrawn(self) -> bool:
        return self._owner.get("owner") is _WRITER


class Inbox:
    """The queue of one run. `put` is the writers', from anywhere; the rest is the agent's alone."""

    __slots__ = ("_ended", "_letters", "turn_id")

    def __init__(self) -> None:
        self.turn_id: str | None = None
        """The turn that accepts messages; None while there is none."""
        self._ended = False
        self._letters: dict[Letter, None] = {}

    def put(self, message: Message, expected: str | None = None) -> str:
        """Store a message and return the turn that accepted it.

        Raises SteeringError: "no_active_turn", "turn_mismatch" if the turn is not the expected one, or
        "queue_full".
        """
        turn_id = self._admit(expected)
        if len(self._letters) >= QUEUE_LIMIT:
            raise SteeringError(
                f"{QUEUE_LIMIT} messages wait already; queue more when the model has read them",
                code="queue_full",
            )
        letter = Letter((turn_id, message))
        self._letters[letter] = None
        try:
            self._admit(expected)
        except SteeringError:
            if letter.claim(_WRITER):
                self._letters.pop(letter, None)
                raise
        return turn_id

    def _admit(self, expected: str | None) -> str:
        turn_id = self.turn_id
        if turn_id is None or self._ended:
            raise SteeringError(
                "no turn is active that could take a message; start a run with it instead",
                code="no_active_turn",
            )
        if expected is not None and expected != turn_id:
            raise SteeringError(
                f"turn {expected!r} was expected, but turn {turn_id!r} is active; look at what has "
                "happened since, and queue the message for the active turn, or for any (turn_id=None)",
                code="turn_mismatch",
            )
        return turn_id

    @property
    def is_empty(self) -> bool:
        return all(letter.is_claimed for letter in list(self._letters))

    def take(self) -> list[Queued]:
        """All that wait, in the order in which they came."""
        reader = object()
        return [letter.queued for letter in list(self._letters) if letter.claim(reader)]

    def acknowledge(self) -> None:
        """What was taken has arrived, and is not given back at the end."""
        for letter in list(self._letters):
            if letter.is_claimed:
                self._letters.pop(letter, None)

    def take_or_close(self) -> list[Queued]:
        """All that wait; if there is nothing, the inbox is closed."""
        entries = self.take()
        if entries:
            return entries
        turn_id, self.turn_id = self.turn_id, None
        entries = self.take()
        if entries:
            self.turn_id = turn_id
        return entries

    def close(self) -> None:
        """Accept nothing more; what waits is left for `end`."""
        self.turn_id = None

    def end(self) -> list[Queued]:
        """Close for ever; what has not arrived."""
        self._ended = True
        self.turn_id = None
        reader = object()
        left = list(self._letters)
        for letter in left:
            letter.claim(reader)
        self._letters.clear()
        return [letter.queued for letter in left if not letter.is_withdrawn]
