"""Any run of tasks, chance, flows side by side and limits of time goes on, wherever it was cut off.

The runs here are drawn. Each flow tells in every task what it knows so far, so a run that went another way
the second time would ask for something else, and end by JournalMismatch.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tako.cancellation import CancellationToken
from tako.effects import (
    Call,
    Flow,
    Gather,
    OnError,
    Sleep,
    Succeeded,
    Task,
    as_task,
    entropy,
    now,
    within,
)
from tako.errors import Cancelled, TakoError, TransportError
from tako.journal import Journal, kept_in
from tako.testing.faults import Faults
from tako.testing.simulator import Simulator
from tests.effort import examples


@dataclass(frozen=True)
class Work:
    name: str
    seconds: float
    fails: int  # so many times


@dataclass(frozen=True)
class Look:
    at_clock: bool


@dataclass(frozen=True)
class Rest:
    seconds: float


@dataclass(frozen=True)
class Side:
    children: tuple[Any, ...]
    stops: bool
    limit: int | None


@dataclass(frozen=True)
class Limit:
    seconds: float
    inner: Any


@dataclass(frozen=True)
class Row:
    items: tuple[Any, ...]


SECONDS = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.7])


def programs() -> st.SearchStrategy[Any]:
    leaf = st.one_of(
        st.builds(Work, st.uuids().map(lambda id: id.hex[:8]), SECONDS, st.sampled_from([0, 0, 0, 1, 99])),
        st.builds(Look, st.booleans()),
        st.builds(Rest, SECONDS),
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds(Row, st.lists(inner, min_size=1, max_size=3).map(tuple)),
            st.builds(
                Side,
                st.lists(inner, min_size=1, max_size=3).map(tuple),
                st.booleans(),
                st.sampled_from([None, 1, 2]),
            ),
            st.builds(Limit, SECONDS.filter(bool), inner),
        ),
        max_leaves=10,
    ).map(lambda program: Row((program, Work("last", 0.1, 0))))


class Enough(Exception):
    """What a flow may raise that is no TakoError: the others are not needed any more."""


class World:
    """Counts what is done in it."""

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()
        self.done: Counter[str] = Counter()

    def work(self, work: Work) -> Flow[Any]:
        self.begun[work.name] += 1
        attempt = self.begun[work.name]
        try:
            yield Sleep(work.seconds)
        except Cancelled as error:
            if len(work.name) % 2:
                raise
            error.partial = f"half of {work.name}"
            raise
        if attempt <= work.fails:
            raise TransportError(f"{work.name} broke")
        yield Call(self.done.update, ([work.name],))
        return f"{work.name} done"

    def flow(self, program: Any, known: list[Any]) -> Flow[Any]:
        """What came of it, as JSON; `known` is what its flow has seen."""
        match program:
            case Work():
                task = Task("work", lambda: [program.name, list(known)])
                try:
                    said = yield from as_task(self.work(program), task)
                except Cancelled:
                    raise
                except TakoError as error:
                    said = error.message
            case Look(at_clock):
                said = (yield from now()) if at_clock else (yield from entropy(4)).hex()
            case Rest(seconds):
                yield Sleep(seconds)
                said = "rested"
            case Row(items):
                said = []
                for item in items:
                    said.append((yield from self.flow(item, known)))
            case Limit(seconds, inner):
                token = CancellationToken()
                try:
                    if seconds == 0.3:
                        flow = self.telling(inner, token)
                        said = yield from within(None, flow, token)
                    else:
                        said = yield from within(seconds, self.telling(inner))
                except Cancelled:
                    raise
                except TakoError as error:
                    said = [type(error).__name__, error.message, error.partial, token.is_cancelled]
            case Side(children, stops, limit):
                said = yield from self.side(children, stops, limit)
        known.append(said)
        return said

    def telling(self, program: Any, token: CancellationToken | None = None) -> Flow[Any]:
        """In a flow of its own, which when it is stopped tells what it knows; it may stop itself."""
        known: list[Any] = []
        try:
            if token is not None:
                yield from self.flow(Work("before", 0.1, 0), known)
                yield from as_task(self.stopping(token), Task("stop", lambda: list(known)))
            return (yield from self.flow(program, known))
        except Cancelled as error:
            return ["stopped", error.partial if isinstance(error.partial, str) else None, known]

    def stopping(self, token: CancellationToken) -> Flow[None]:
        """Cancels what it is in, as one does that has a clock of its own."""
        token.cancel()
        yield Sleep(1)

    def side(self, children: Any, stops: bool, limit: int | None) -> Flow[Any]:
        flows = tuple([self.child(child) for child in children])
        try:
            outcomes = yield Gather(flows, limit, OnError.STOP if stops else OnError.COLLECT)
        except Cancelled:
            raise
        except (Enough, TakoError) as error:
            return ["side broke", str(error)]
        return [one.value if type(one) is Succeeded else repr(one.error) for one in outcomes]

    def child(self, program: Any) -> Flow[Any]:
        """One that gives up where its first work fails."""
        known: list[Any] = []
        said = yield from self.flow(program, known)
        if isinstance(program, Work) and program.fails:
            raise (Enough if program.seconds else TransportError)(f"no use without {program.name}")
        return said


def run(program: Any, journal: Journal, world: World, seed: int, faults: Faults | None = None) -> Any:
    flow = kept_in(journal, lambda: world.flow(program, []))
    return Simulator(seed, faults=faults).run(flow)


def cut_at(journal: Journal, size: int) -> Journal:
    """What a process leaves behind that was killed when so many bytes were written."""
    return Journal.memory(b"".join(journal._store.lines)[:size].splitlines(keepends=True))


@given(programs(), st.integers(0, 9), st.integers(0, 9))
@settings(max_examples=examples(0.4))
def test_a_recording_replays_without_doing_anything(program: Any, seed: int, other: int) -> None:
    journal, world = Journal.memory(), World()
    result = run(program, journal, world, seed)
    begun = dict(world.begun)
    replayed = run(program, Journal.replay(journal), world, other)
    assert replayed == result
    assert world.begun == begun


@given(programs(), st.integers(0, 9), st.integers(0, 9), st.floats(0, 1))
@settings(max_examples=examples(0.6))
def test_a_killed_run_goes_on_without_repeating_what_was_done(
    program: Any, seed: int, other: int, share: float
) -> None:
    whole = Journal.memory()
    run(program, whole, World(), seed)
    lines = whole._store.lines
    left = cut_at(whole, int(share * len(b"".join(lines))))
    kept = {
        entry.asked[0]
        for entry in left.entries()
        if entry.value is not None and not entry.is_cut and entry.kind == "work"
    }
    world = World()
    result = run(program, left, world, other)
    assert not (kept - {"before"}) & world.begun.keys()  # of which there are several
    assert run(program, Journal.replay(left), World(), seed) == result


@given(programs(), st.integers(0, 9), st.integers(0, 9), st.integers(1, 30))
@settings(max_examples=examples(0.4))
def test_a_cancelled_run_goes_on_too(program: Any, seed: int, other: int, effects: int) -> None:
    journal, world = Journal.memory(), World()
    try:
        run(program, journal, world, seed, Faults(cancel_after=effects))
    except Cancelled:
        pass
    result = run(program, journal, world, other)
    assert run(program, Journal.replay(journal), World(), seed) == result
    again = World()
    assert run(program, journal, again, seed) == result
    assert not again.begun
