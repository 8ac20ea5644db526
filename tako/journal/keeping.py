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
| the network      |                                 | performed, but in a replay                            |
| all the rest     |                                 | performed, each time                                  |

What a run has gone on from is settled: a limit of time that was kept there is not set again, for replies
from a journal are quicker than those that were waited for, and limits would cut something else short.

Invariants. A Task that is in the journal is about the same as the one that is asked for, or the run ends by
JournalMismatch, whatever it makes of it. Nothing that a run builds on is less durable than what it builds.
What is cut short by a cancel cannot be kept, for nothing can be waited for any more: it is held back, until
whoever cut it short goes on, and is dropped if that was the whole run. In a Task nothing is looked at. All
this is right because a flow that is fed the same replies asks for the same.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, NoReturn

from tako.effects import (
    Ask,
    Effect,
    Emit,
    Entropy,
    Failed,
    Flow,
    Gather,
    Now,
    OnError,
    Open,
    Resolve,
    Send,
    Sleep,
    Task,
    Tell,
    Within,
)
from tako.errors import Cancelled, Interrupted, TakoError, TimedOut
from tako.interposing import interposed
from tako.journal.entry import END, Entry, Position
from tako.journal.errors import JournalError
from tako.journal.failures import failure_of
from tako.journal.recording import Recording
from tako.journal.wording import named, shown_place

__all__ = ["performed"]

STOPPED: Final = "stopped"
"""Of a Within or a Gather: what it has thrown."""
CUT: Final = "cut"
"""Where a flow was cut short that was not in a Task; the value counts the effects since the last place."""
DONE_ONCE: Final = "tool"
"""The kind of a Task that may change the world; so it is not done with words that were scrubbed."""
NETWORK: Final = (Send, Resolve, Open, Ask, Tell)


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
        kind = type(effect)
        if kind is Emit:
            return (yield effect)
        if self._recording.fatal is not None:
            raise self._recording.fatal
        if isinstance(effect, Within):
            flow = self._within(effect) if effect.task is None else self._task(effect, effect.task)
            return (yield from flow)
        if isinstance(effect, Gather):
            return (yield from self._gather(effect))
        if kind is Now or kind is Entropy:
            return (yield from self._reading(effect))
        return (yield from self._other(effect))

    def _other(self, effect: Effect) -> Flow[Any]:
        """What is not kept; but where it was cut short is."""
        self._others += 1
        recording, here = self._recording, (*self._flow, self._number)
        entry = recording.kept.get((*self._flow, self._number + 1))
        if entry is not None and entry.kind == CUT and entry.value == self._others:
            self._next()
            raise failure_of(entry.error or {})
        if type(effect) is Sleep and recording.reached.is_built_on(here):
            return None
        if isinstance(effect, NETWORK):
            recording.require_writer(here, f"the network ({type(effect).__name__})")
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
        digest, asked = recording.about(task)
        entry = recording.kept.get(position)
        if entry is not None:
            recording.require(entry, task.kind, digest, asked)
            return (yield from self._retold(entry, task))
        self._require_doable(position, task, asked)
        return (yield from self._done(effect, task, Entry(position, task.kind, digest, asked)))

    def _require_doable(self, position: Position, task: Task, asked: Any) -> None:
        recording, wanted = self._recording, named(task.kind, asked)
        recording.require_writer(position, wanted)
        if task.kind == DONE_ONCE and recording.was_scrubbed(task):
            recording.differs(
                position,
                f"the run now asks for {wanted}, of which a part was scrubbed when the model's reply was "
                "kept, and so it cannot be done",
            )

    def _done(self, effect: Within, task: Task, entry: Entry) -> Flow[Any]:
        """What the task gives, once it is kept; `entry` has all but that."""
        recording = self._recording
        try:
            value = yield replace(effect, task=None)
            entry = replace(entry, value=recording.encoded(task, value))
        except Cancelled as error:
            self.held.append(replace(entry, error=recording.told(error), is_cut=True))
            raise
        except TakoError as error:
            yield from self._keep(replace(entry, error=recording.told(error)))
            raise
        yield from self._keep(entry)
        return value

    def _retold(self, entry: Entry, task: Task) -> Flow[Any]:
        """What was kept, and its events for who listens."""
        try:
            value = failure_of(entry.error) if entry.error is not None else task.decode(entry.value)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            name = self._recording.name
            words = (
                f"what was kept of {entry.kind!r} at {shown_place(entry.at)} cannot be read by this version"
            )
            self._recording.end_by(JournalError(f"journal {name}: {words}: {error}"))
        if entry.error is not None:
            raise value
        if events := task.retell(value):
            yield Emit(events)
        return value

    # Time and chance.

    def _reading(self, effect: Effect) -> Flow[Any]:
        position, recording = self._next(), self._recording
        kind = "now" if type(effect) is Now else "entropy"
        digest = f"{effect.size}" if isinstance(effect, Entropy) else ""
        entry = recording.kept.get(position)
        if entry is not None:
            recording.require(entry, kind, digest)
            if entry.error is not None:
                raise failure_of(entry.error)
            return entry.value if kind == "now" else bytes.fromhex(entry.value)
        recording.require_writer(position, repr(kind))
        try:
            value = yield effect
        except Cancelled as error:
            self.held.append(Entry(position, kind, digest, error=recording.told(error), is_cut=True))
            raise
        recording.put_off(Entry(position, kind, digest, value=value if kind == "now" else value.hex()))
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
                told = (Entry(position, STOPPED, error=recording.told(error)),)
            yield from self._keep(*self._given_up(child), *told)
            raise
        yield from self._keep(*self._given_up(child))
        return value

    def _stopped_again(self, entry: Entry, child: _Branch, effect: Within) -> Flow[Any]:
        """As far as it came, and then what the flow around it was thrown; see Steps for its `partial`."""
        self._recording.require(entry, STOPPED)
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
        if entry is not None and entry.kind == CUT:
            raise failure_of(entry.error or {})
        is_stopped, places = entry is not None, range(len(effect.flows))
        children = [self._below(position, place, is_stopped=is_stopped) for place in places]
        flows = [child.run(flow) for child, flow in zip(children, effect.flows, strict=True)]
        effect = replace(effect, flows=tuple(flows))
        if entry is not None:
            recording.require(entry, STOPPED)
            return self._failed_again(entry, (yield replace(effect, on_error=OnError.COLLECT)))
        if self.is_stopped:
            return _cut_short((yield replace(effect, on_error=OnError.COLLECT)))
        try:
            outcomes = yield effect
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
        self._recording.differs(entry.at, f"child {place} failed there, and now it does not")

    def _below(self, position: Position, place: int, *, is_stopped: bool = False) -> _Branch:
        return _Branch(self._recording, (*position, place), is_stopped=is_stopped or self.is_stopped)

    # What is kept, and what is held back.

    def _next(self) -> Position:
        self._number += 1
        self._others = 0
        return (*self._flow, self._number)

    def _keep(self, *entries: Entry) -> Flow[None]:
        """Keep these; if that is cut short, hold them back."""
        if not entries:
            return
        try:
            yield from self._recording.keep(entries)
        except Cancelled:
            self.held += [replace(entry, is_cut=True) for entry in entries]

    def _cut(self, position: Position, error: Cancelled, others: int = 0) -> None:
        """Hold back that the flow came no further than this."""
        told = self._recording.told(error)
        self.held.append(Entry(position, CUT, value=others, error=told, is_cut=True))

    def _hold(self, *children: _Branch) -> None:
        """We are cut short ourselves: whoever did it will know what becomes of theirs."""
        self.held += self._given_up(*children)

    def _given_up(self, *children: _Branch) -> list[Entry]:
        """What these could not keep."""
        found: list[Entry] = []
        for child in children:
            if not child.has_begun:
                child._cut((*child._flow, 0), Cancelled("cancelled before it started"))
            found += child.held
        return found


def _cut_short(outcomes: list[Any]) -> list[Any]:
    """What a Gather gives that was stopped; see Gathering: Cancelled if that cost it a child."""
    if any(type(outcome) is Failed and isinstance(outcome.error, Cancelled) for outcome in outcomes):
        raise Cancelled(partial=outcomes)
    return outcomes
