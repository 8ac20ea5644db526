"""Keeping: the layer between a run and its driver that takes from the journal what is in there.

| the run asks for | in the journal                  | not in the journal                                    |
|------------------|---------------------------------|-------------------------------------------------------|
| a Task           | its result is the reply, its    | it is performed, and its result is kept before the    |
|                  | events are told again, and      | run gets it; a TakoError too, for the run may go on   |
|                  | nothing is done                 | after it                                              |
| Now, Entropy     | the reply is the same           | performed, and kept together with what comes next     |
| Within, Gather   | was stopped: everything in it   | performed; the layer is around each flow in it. If it |
|                  | goes as far as it went, and     | is stopped, that is kept, and how far everything in   |
|                  | the same error is thrown        | it had come                                           |
| Sleep            | the run has gone on since:      | performed                                             |
|                  | no time passes                  |                                                       |
| all the rest     |                                 | performed, each time                                  |

What a run has gone on from is settled: a limit of time that was kept there is not set again, for replies
from a journal are quicker than those that were waited for, and limits would cut something else short.

Invariants. A Task that is in the journal is about the same as the one that is asked for, or the run ends by
JournalMismatch, whatever it makes of it. Nothing that a run builds on is less durable than what it builds.
What is cut short by a cancel cannot be kept, for nothing can be waited for any more: it is held back, until
whoever cut it short goes on, and is dropped if that was the whole run. In a Task that is whole nothing is
looked at. All this is right because a flow that is fed the same replies asks for the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

from pydantic_core import from_json

from tako.effects import (
    Call,
    Effect,
    Emit,
    Entropy,
    Failed,
    Flow,
    Gather,
    Now,
    OnError,
    Sleep,
    Task,
    Within,
)
from tako.errors import Cancelled, Interrupted, TakoError, TimedOut
from tako.interposing import interposed, into_children
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
from tako.journal.failures import failure_of, json_of_failure
from tako.journal.scrubbing import MARK, Scrubber

if TYPE_CHECKING:
    from tako.journal.store import Writer

__all__ = ["END", "LIVE", "Recording", "performed"]

END: Final = "end"
STOPPED: Final = "stopped"
"""Of a Within or a Gather: what it has thrown."""
CUT: Final = "cut"
"""Where a flow was cut short that was not in a Task; the value counts the effects since the last place."""
LIVE: Final = "live"
"""The kind of a Task that is performed each time, with all that is in it, and never kept."""
DONE_ONCE: Final = "tool"
"""The kind of a Task that may change the world; so it is not done with words that were scrubbed."""


class Recording:
    """A journal while a run goes on: what was kept, and the writer; without one nothing new is done."""

    __slots__ = ("calls", "fatal", "kept", "name", "reached", "scrub", "unwritten", "writer")

    def __init__(self, name: str, entries: Sequence[Entry], scrub: Scrubber, writer: Writer | None) -> None:
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
        self.unwritten: deque[Entry] = deque()  # filled from several threads
        if gone := [list(position) for position in last if position not in self.kept]:
            self.unwritten.append(Entry((), DROPPED, value=gone))

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()

    def end_by(self, error: TakoError) -> NoReturn:
        """End the run by this error."""
        self.fatal = self.fatal or error
        raise self.fatal


def performed(recording: Recording, flow: Flow[Any]) -> Flow[Any]:
    """The flow's result, each of its tasks from the recording, or kept there."""
    root = _Branch(recording, ())
    try:
        result = yield from root.run(flow)
    except Exception as error:
        if recording.fatal is not None and error is not recording.fatal:
            raise recording.fatal from error
        raise
    if recording.fatal is not None:
        raise recording.fatal
    if getattr(result, "stop_reason", None) != "cancelled":
        yield from root.end(result)
    return result


class _Branch:
    """One flow of the run: where it stands, and how many things it has asked for."""

    __slots__ = ("_flow", "_number", "_others", "_recording", "failure", "has_begun", "held", "is_stopped")

    def __init__(self, recording: Recording, flow: Position, *, is_stopped: bool = False) -> None:
        self._recording = recording
        self._flow = flow
        self._number = 0
        self._others = 0
        """How many effects that are not kept came since."""
        self.has_begun = False
        self.is_stopped = is_stopped
        """It was stopped, and comes as far as it came."""
        self.held: list[Entry] = []
        """What was cut short, and cannot be kept yet."""
        self.failure: Exception | None = None
        """What the flow has raised."""

    def run(self, flow: Flow[Any]) -> Flow[Any]:
        self.has_begun = True
        never = self._recording.kept.get((*self._flow, 0))
        if never is not None:
            flow.close()
            raise failure_of(never.error or {})
        try:
            return (yield from interposed(flow, self._layer))
        except Exception as error:
            self.failure = error
            raise

    def end(self, result: Any) -> Flow[None]:
        """Keep that the run has ended, and how."""
        position = self._next()
        if position in self._recording.kept:
            return
        told: dict[str, Any] = {}
        for name in ("text", "stop_reason", "steps", "cost_usd"):
            value = getattr(result, name, None)
            if isinstance(value, str | int | float):
                told[name] = value
        yield from self._keep(Entry(position, END, value=self._recording.scrub(told)))

    def _layer(self, effect: Effect) -> Flow[Any]:
        kind, recording = type(effect), self._recording
        if kind is Emit:
            return (yield effect)
        if recording.fatal is not None:
            raise recording.fatal
        if isinstance(effect, Within):
            if effect.task is None:
                return (yield from self._within(effect))
            if effect.task.kind == LIVE:
                return (yield effect)
            return (yield from self._task(effect, effect.task))
        if isinstance(effect, Gather):
            return (yield from self._gather(effect))
        if kind is Now or kind is Entropy:
            return (yield from self._reading(effect))
        return (yield from self._other(effect))

    def _other(self, effect: Effect) -> Flow[Any]:
        """What is not kept; but where it was cut short is."""
        self._others += 1
        reached, entry = self._recording.reached, self._recording.kept.get((*self._flow, self._number + 1))
        if entry is not None and entry.kind == CUT and entry.value == self._others:
            self._next()
            raise failure_of(entry.error or {})
        if type(effect) is Sleep and reached.is_built_on((*self._flow, self._number)):
            return None
        try:
            return (yield effect)
        except Cancelled as error:
            others = self._others
            self._cut(self._next(), error, others)
            raise

    # Tasks.

    def _task(self, effect: Within, task: Task) -> Flow[Any]:
        position, recording = self._next(), self._recording
        recording.calls += task.kind == "model"
        digest, asked = self._about(effect, task)
        entry = recording.kept.get(position)
        if entry is not None:
            effect.flow.close()
            self._require(entry, task.kind, digest, asked)
            return (yield from self._retold(entry, task))
        if self.is_stopped:
            effect.flow.close()
            raise Cancelled()
        self._require_writer(effect, task.kind)
        if task.kind == DONE_ONCE and self._is_scrubbed(task):
            effect.flow.close()
            self._differs(
                f"the run now asks for {_named(task.kind, asked)}, of which a part was scrubbed when the "
                "model's reply was kept, and so it cannot be done"
            )
        if task.is_whole:
            inner = None
        else:
            inner = self._below(position, 0)
            effect = replace(effect, flow=inner.run(effect.flow))
        try:
            value = yield replace(effect, task=None)
            entry = Entry(position, task.kind, digest, asked, self._encoded(task, value))
        except Cancelled as error:
            self._hold(inner)
            self.held.append(Entry(position, task.kind, digest, asked, error=self._told(error), is_cut=True))
            raise
        except TakoError as error:
            if error is recording.fatal:
                raise
            yield from self._keep(
                *self._given_up(inner), Entry(position, task.kind, digest, asked, error=self._told(error))
            )
            raise
        yield from self._keep(*self._given_up(inner), entry)
        return value

    def _is_scrubbed(self, task: Task) -> bool:
        return bool(self._recording.kept) and MARK.encode() in json_of(task.about(), task.kind)

    def _about(self, effect: Within, task: Task) -> tuple[str, Any]:
        """The digest of what a task is about, and as much of that as somebody will read."""
        try:
            about = self._recording.scrub(from_json(json_of(task.about(), task.kind)))
            return digest_of(task.kind, about), abridged(about)
        except TakoError as error:
            effect.flow.close()
            self._recording.end_by(error)

    def _retold(self, entry: Entry, task: Task) -> Flow[Any]:
        """What was kept, and its events for who listens."""
        try:
            value = failure_of(entry.error) if entry.error is not None else task.decode(entry.value)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self._recording.end_by(
                JournalError(
                    f"journal {self._recording.name}: what was kept of {entry.kind!r} at "
                    f"{_place(entry.at)} cannot be read by this version: {error}"
                )
            )
        if entry.error is not None:
            raise value
        if events := task.retell(value):
            yield Emit(events)
        return value

    def _encoded(self, task: Task, value: Any) -> Any:
        try:
            return self._recording.scrub(from_json(json_of(task.encode(value), task.kind)))
        except (ValueError, TypeError) as error:
            if isinstance(error, TakoError):
                self._recording.end_by(error)
            self._recording.end_by(JournalError(f"journal: what {task.kind!r} gave cannot be kept: {error}"))

    def _told(self, error: TakoError) -> dict[str, Any]:
        told: dict[str, Any] = self._recording.scrub(json_of_failure(error))
        return told

    # Time and chance.

    def _reading(self, effect: Effect) -> Flow[Any]:
        position, recording = self._next(), self._recording
        kind = "now" if type(effect) is Now else "entropy"
        digest = f"{effect.size}" if isinstance(effect, Entropy) else ""
        entry = recording.kept.get(position)
        if entry is not None:
            self._require(entry, kind, digest, None)
            if entry.error is not None:
                raise failure_of(entry.error)
            return entry.value if kind == "now" else bytes.fromhex(entry.value)
        if self.is_stopped:
            raise Cancelled()
        self._require_writer(None, kind)
        try:
            value = yield effect
        except Cancelled as error:
            self.held.append(Entry(position, kind, digest, error=self._told(error), is_cut=True))
            raise
        entry = Entry(position, kind, digest, value=value if kind == "now" else value.hex())
        recording.unwritten.append(entry)
        return value

    # Flows in flows.

    def _within(self, effect: Within) -> Flow[Any]:
        position, recording = self._next(), self._recording
        entry, child = recording.kept.get(position), self._below(position, 0)
        if entry is not None:
            return (yield from self._stopped_again(entry, child, effect))
        if recording.reached.is_built_on(position):
            return (yield from child.run(effect.flow))
        try:
            value = yield replace(effect, flow=child.run(effect.flow))
        except Cancelled:
            self._hold(child)
            raise
        except Exception as error:
            told: tuple[Entry, ...] = ()
            if isinstance(error, TimedOut | Interrupted) and error is not child.failure:
                told = (Entry(position, STOPPED, error=self._told(error)),)
            yield from self._keep(*self._given_up(child), *told)
            raise
        yield from self._keep(*self._given_up(child))
        return value

    def _stopped_again(self, entry: Entry, child: _Branch, effect: Within) -> Flow[Any]:
        """As far as it came, and then what the flow around it was thrown; see Steps for its `partial`."""
        self._require(entry, STOPPED, "", None)
        child.is_stopped = True
        cut: Cancelled | None = None
        try:
            partial = yield from child.run(effect.flow)
        except Cancelled as error:
            cut, partial = error, error.partial
        failure = failure_of(entry.error or {})
        failure.partial = partial
        if effect.token is not None and isinstance(failure, Interrupted):
            effect.token.cancel()  # as it was: whoever gave it may look
        raise failure from cut

    def _gather(self, effect: Gather) -> Flow[Any]:
        position, recording = self._next(), self._recording
        entry = recording.kept.get(position)
        children: list[_Branch] = []

        def wrap(place: int, flow: Flow[Any]) -> Flow[Any]:
            children.append(self._below(position, place, is_stopped=entry is not None))
            return children[-1].run(flow)

        wrapped = into_children(effect, wrap)
        assert isinstance(wrapped, Gather)
        if entry is not None and entry.kind == CUT:
            for flow in effect.flows:
                flow.close()
            raise failure_of(entry.error or {})
        if entry is not None:
            self._require(entry, STOPPED, "", None)
            return self._failed_again(entry, (yield replace(wrapped, on_error=OnError.COLLECT)))
        if self.is_stopped:
            return _cut_short((yield replace(wrapped, on_error=OnError.COLLECT)))
        try:
            outcomes = yield wrapped
        except Cancelled as error:
            if not any(child.has_begun for child in children):
                self._cut(position, error)
            self._hold(*children)
            raise
        except Exception as error:  # whatever it is: what raised it will raise it again
            who = [place for place, child in enumerate(children) if child.failure is error]
            told = (Entry(position, STOPPED, value=who[0], is_cut=True),) if who else ()
            yield from self._keep(*self._given_up(*children), *told)
            raise
        yield from self._keep(*self._given_up(*children))
        return outcomes

    def _failed_again(self, entry: Entry, outcomes: list[Any]) -> NoReturn:
        """Throw what the first child that failed has raised."""
        place = entry.value
        if isinstance(place, int) and 0 <= place < len(outcomes) and type(outcomes[place]) is Failed:
            raise outcomes[place].error
        self._differs(f"child {place} failed there, and now it does not")

    def _below(self, position: Position, place: int, *, is_stopped: bool = False) -> _Branch:
        return _Branch(self._recording, (*position, place), is_stopped=is_stopped or self.is_stopped)

    # What is kept.

    def _cut(self, position: Position, error: Cancelled, others: int = 0) -> None:
        """Hold back that the flow came no further than this."""
        self.held.append(Entry(position, CUT, value=others, error=self._told(error), is_cut=True))

    def _next(self) -> Position:
        self._number += 1
        self._others = 0
        return (*self._flow, self._number)

    def _keep(self, *entries: Entry) -> Flow[None]:
        """Write these, and what was put off; if that is cut short, hold them back."""
        recording = self._recording
        if not entries or recording.writer is None or recording.fatal is not None:
            return
        late: list[Entry] = []
        while recording.unwritten:
            try:
                late.append(recording.unwritten.popleft())
            except IndexError:  # another thread was quicker
                break
        try:
            yield Call(recording.writer.append, ([line_of(entry) for entry in (*late, *entries)],))
        except Cancelled:
            recording.unwritten.extendleft(reversed(late))
            self.held += [replace(entry, is_cut=True) for entry in entries]
        except TakoError as error:
            recording.end_by(error)

    def _hold(self, *children: _Branch | None) -> None:
        """We are cut short ourselves: whoever did it will know what becomes of theirs."""
        self.held += self._given_up(*children)

    def _given_up(self, *children: _Branch | None) -> list[Entry]:
        """What these could not keep."""
        found: list[Entry] = []
        for child in children:
            if child is not None:
                if not child.has_begun:
                    child._cut((*child._flow, 0), Cancelled("cancelled before it started"))
                found += child.held
                child.held = []
        return found

    # What does not fit.

    def _require(self, entry: Entry, kind: str, digest: str, asked: Any) -> None:
        if entry.kind != kind:
            self._differs(f"the journal has {_a(entry)}, and the run now asks for {_named(kind, asked)}")
        if entry.digest != digest:
            self._differs(
                f"the journal has {_a(entry)}, and the run now asks for another "
                f"({_named(kind, asked)}{_difference(entry.asked, asked)})"
            )

    def _require_writer(self, effect: Within | None, kind: str) -> None:
        """What is not kept may be done now."""
        recording = self._recording
        if recording.writer is not None:
            return
        if effect is not None:
            effect.flow.close()
        self._differs(
            f"the journal ends here, and the run asks for {kind!r}; a replay does nothing that is not kept"
        )

    def _differs(self, words: str) -> NoReturn:
        recording = self._recording
        recording.end_by(
            JournalMismatch(
                f"journal {recording.name}, step {max(recording.calls, 1)} "
                f"(at {_place((*self._flow, self._number))}): {words}. Run what was recorded, with the same "
                "prompt and options; or fork the journal (journal.fork(...)), or delete it",
                step=max(recording.calls, 1),
            )
        )


def _cut_short(outcomes: list[Any]) -> list[Any]:
    """What a Gather gives that was stopped; see Gathering: Cancelled if that cost it a child."""
    if any(type(outcome) is Failed and isinstance(outcome.error, Cancelled) for outcome in outcomes):
        raise Cancelled(partial=outcomes)
    return outcomes


def _a(entry: Entry) -> str:
    return _named(entry.kind, entry.asked)


def _named(kind: str, asked: Any) -> str:
    """A task in few words."""
    name = ""
    if isinstance(asked, dict):
        name = next((str(asked[key]) for key in ("tool", "model", "provider") if asked.get(key)), "")
    return f"{kind} {name!r}" if name else f"{kind!r}"


def _difference(before: Any, now: Any) -> str:
    """Which fields differ, as far as what is kept for readers tells."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return ""
    names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    return f"; they differ in {', '.join(names)}" if names else ""


def _place(position: Position) -> str:
    return ".".join(map(str, position)) or "the beginning"
