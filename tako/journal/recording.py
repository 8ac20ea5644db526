"""Recording: a journal while a run goes on: what was kept before, and what becomes of what is new.

| what the run does             | becomes                                                                    |
|-------------------------------|----------------------------------------------------------------------------|
| work that is to be kept       | lines, which are where a killed process leaves them before the run goes on |
| reads the clock, draws chance | a line that is put off: it is written with what comes next                 |
| other work than before        | the end of the run, by JournalMismatch; `wording` says where the two part  |
| anything new, in a replay     | the same                                                                   |

Invariants. What was put off stays so until it is written: where flows run side by side it may be written
twice, which changes nothing, and is never behind what was built on it. A run that has met something fatal
writes no more, and ends by that, whatever it makes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic_core import from_json

from tako.effects import Call, Flow, Task
from tako.errors import Cancelled, TakoError
from tako.journal.entry import (
    DROPPED,
    Entry,
    Position,
    Reached,
    abridged,
    digest_of,
    holding,
    json_of,
    line_of,
    standing,
)
from tako.journal.errors import JournalError, JournalMismatch
from tako.journal.failures import json_of_failure
from tako.journal.scrubbing import MARK, Scrubber
from tako.journal.wording import difference, named, shown_place

if TYPE_CHECKING:
    from tako.journal.store import Writer

__all__ = ["Recording"]


class Recording:
    """`kept` is what the run goes on from, by position; without a writer nothing new is done."""

    __slots__ = ("_unwritten", "calls", "fatal", "kept", "name", "reached", "scrub", "writer")

    def __init__(self, name: str, entries: Sequence[Entry], scrub: Scrubber, writer: Writer | None) -> None:
        """Blocks where there is something to write: which failures are going to be tried again."""
        last = standing(entries)
        self.name = name
        self.scrub = scrub
        self.writer = writer
        self.kept = {entry.at: entry for entry in holding(last)}
        self.reached = Reached()
        for position in self.kept:
            self.reached.add(position)
        self.fatal: TakoError | None = None
        """What ends the run, whatever it makes of it."""
        self.calls = 0
        """How many calls of models were asked for, to tell people where they are."""
        self._unwritten: dict[Position, Entry] = {}  # filled from several threads
        gone = [list(position) for position in last if position not in self.kept]
        if writer is not None and gone:
            writer.append([line_of(Entry((), DROPPED, value=gone))])

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()

    # What is new.

    def put_off(self, entry: Entry) -> None:
        """Keep this with what is kept next: nothing was paid for it."""
        self._unwritten[entry.at] = entry

    def keep(self, entries: Iterable[Entry]) -> Flow[None]:
        """Write these, and what was put off; raises Cancelled if that was cut short."""
        if self.writer is None or self.fatal is not None:
            return
        late = tuple(self._unwritten.copy().values())
        try:
            yield Call(self.writer.append, ([line_of(entry) for entry in (*late, *entries)],))
        except Cancelled:
            raise
        except TakoError as error:
            self.end_by(error)
        for entry in late:
            self._unwritten.pop(entry.at, None)

    def about(self, task: Task) -> tuple[str, Any]:
        """The digest of what a task is about, and as much of that as somebody will read."""
        try:
            about = self.scrub(from_json(json_of(task.about(), task.kind)))
            return digest_of(task.kind, about), abridged(about)
        except TakoError as error:
            self.end_by(error)

    def was_scrubbed(self, task: Task) -> bool:
        """Whether the task is about what a run that goes on has got back without its secrets."""
        return bool(self.kept) and MARK.encode() in json_of(task.about(), task.kind)

    def encoded(self, task: Task, value: Any) -> Any:
        """What the task gave, as JSON that can be kept."""
        try:
            return self.scrub(from_json(json_of(task.encode(value), task.kind)))
        except TakoError as error:
            self.end_by(error)
        except (ValueError, TypeError) as error:
            self.end_by(JournalError(f"journal: what {task.kind!r} gave cannot be kept: {error}"))

    def told(self, error: TakoError) -> dict[str, Any]:
        """How something failed, as JSON that can be kept."""
        told: dict[str, Any] = self.scrub(json_of_failure(error))
        return told

    # What does not fit.

    def require(self, entry: Entry, kind: str, digest: str = "", asked: Any = None) -> None:
        """See to it that the entry is of that which is asked for now."""
        if entry.kind != kind:
            self.differs(
                entry.at,
                f"the journal has {named(entry.kind, entry.asked)}, and the run now asks for "
                f"{named(kind, asked)}",
            )
        if entry.digest != digest:
            self.differs(
                entry.at,
                f"the journal has {named(entry.kind, entry.asked)}, and the run now asks for another; "
                f"they differ in {difference(entry.asked, asked)}",
            )

    def require_writer(self, position: Position, wanted: str) -> None:
        """See to it that what is not kept may be done now."""
        if self.writer is None:
            self.differs(
                position,
                f"the journal ends here, and the run asks for {wanted}; a replay does nothing that is not "
                "kept",
            )

    def differs(self, position: Position, words: str) -> NoReturn:
        """End the run, for it does not do what it did."""
        step = max(self.calls, 1)
        self.end_by(
            JournalMismatch(
                f"journal {self.name}, step {step} (at {shown_place(position)}): {words}. Run what was "
                "recorded, with the same prompt and options; or fork the journal (journal.fork(...)), or "
                "delete it",
                step=step,
            )
        )

    def end_by(self, error: TakoError) -> NoReturn:
        """End the run by this error, or by the one that came first."""
        self.fatal = self.fatal or error
        raise self.fatal
