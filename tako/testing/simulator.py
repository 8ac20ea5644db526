"""The simulator: a driver with virtual time, in which a seed chooses who goes on.

    simulator = Simulator(seed=7, vendor=ScriptedVendor(Answer.json(...)))
    result = simulator.run(agent, "What is the weather?")

Every flow that is driven is a task: the outermost one, and each child of a Gather. A task always
waits for one effect.

| the task waits for | until                                    | cut short by token or deadline    |
|--------------------|------------------------------------------|-----------------------------------|
| Emit               | its events were taken; of a child: until | no; dropped once closed           |
|                    | there was room for all of them           |                                   |
| Gather             | its children have ended, and the         | yes: the children are, and then   |
|                    | consumer has taken what they emitted     | it is                             |
| anything else      | a moment that is known when it begins    | yes, see world.Wait               |

The consumer is one more that can be chosen, while there are events. Among all whose wait is over
the seed chooses one; if there is none, time jumps to where the next one is over.

Invariants. The same seed, flow, vendor and faults give the same trace, events and result. Time
passes only in waits. A wait that ends in the same moment in which it would be cut short ends well.
The children of a Gather are at most EVENT_BUFFER events ahead of the consumer. If nobody can ever
go on, that is a Deadlock, which says who waits for what.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from tako.cancellation import CancellationToken
from tako.chance import Chance
from tako.driving.gathering import Gathering
from tako.driving.steps import Returned, Steps
from tako.driving.targets import MakesFlow, as_flow
from tako.effects import EVENT_BUFFER, Effect, Emit, Failed, Flow, Gather, Outcome, Succeeded
from tako.errors import Cancelled, TakoError
from tako.testing.describing import describe, describe_error
from tako.testing.faults import Faults
from tako.testing.vendor import ScriptedVendor
from tako.testing.world import Shared, Wait, World

if TYPE_CHECKING:
    from types import TracebackType

    from tako.testing.link_peers import Peers

__all__ = ["Deadlock", "Performed", "SimulatedRun", "Simulator"]

T = TypeVar("T")


class Deadlock(TakoError):
    """Nobody in a simulated run can go on, or nobody ever ends; the message says who waits for what."""


@dataclass(slots=True)
class Performed:
    """One effect of a run, in the order in which they began. Two are equal if they look the same."""

    number: int
    """From 1; what `Faults.cancel_after` and `cancel_during` count."""
    task: str
    """The outermost flow is 0, the third child of its Gather 0.2."""
    what: str
    began: float
    ended: float | None = None
    """None while it is in flight."""
    outcome: str = ""
    """"replied", "taken" (of events), "cut short", or the error that the flow was given."""
    effect: Effect | None = field(default=None, compare=False, repr=False)


class Simulator:
    """A world with a clock of its own, in which flows are run one after the other.

    `vendor` answers every host, or is a mapping from host (or "host:port") to who answers there.
    `addresses` is what Resolve finds, `peers` who is at the end of a link. The clock starts at `start`
    and goes on from run to run, and so do the links and what is kept.
    A run that performs more than `max_effects` is a Deadlock: a flow that goes round without end.
    """

    def __init__(
        self,
        seed: int = 0,
        vendor: ScriptedVendor | Mapping[str, ScriptedVendor] | None = None,
        *,
        faults: Faults | None = None,
        addresses: Mapping[str, Sequence[str]] | None = None,
        peers: Peers | None = None,
        start: float = 0.0,
        max_effects: int = 1_000_000,
    ) -> None:
        self.now = start
        """The virtual time, in seconds; what Now replies."""
        self.trace: list[Performed] = []
        """What the flows of the last run asked for."""
        self.faults = faults or Faults()
        self.max_effects = max_effects
        self._vendor = vendor
        self._addresses = addresses
        self._chance = Chance(seed)
        self.shared = Shared(peers, self.faults, self._chance, lambda: self.now)
        """What the runs have in common: `kept` values by their keys, and the `links`."""
        self._entropy = Chance(seed, stream=1)

    def run(
        self,
        target: Flow[T] | MakesFlow[T],
        *arguments: Any,
        cancel: CancellationToken | None = None,
        **options: Any,
    ) -> T:
        """Drive a flow, or the flow of an agent, to its end; its events are dropped."""
        run = self._start(as_flow(target, *arguments, **options), cancel)
        for _ in run:
            pass
        return run.result

    def stream(
        self,
        target: Flow[T] | MakesFlow[T],
        *arguments: Any,
        cancel: CancellationToken | None = None,
        **options: Any,
    ) -> SimulatedRun[T]:
        """The events of a flow, one by one, and then `.result`."""
        return self._start(as_flow(target, *arguments, streaming=True, **options), cancel)

    def _start(self, flow: Flow[T], cancel: CancellationToken | None) -> SimulatedRun[T]:
        def clock() -> float:
            return self.now

        world = World(
            self._vendor, self._addresses, self.faults, self._chance, self._entropy, clock, self.shared
        )
        run = SimulatedRun(flow, self, world, self._chance, cancel)
        self.trace = run.trace
        return run


@dataclass(slots=True)
class _Emission:
    """What of an Emit has not gone into the buffer yet."""

    events: deque[Any]


@dataclass(slots=True)
class _Family:
    """A Gather, and the children that run."""

    gathering: Gathering
    token: CancellationToken


_AnyWait: TypeAlias = Wait | _Emission | _Family | None
"""None before the first."""
_Resume: TypeAlias = Callable[[], Effect | Returned[Any]]


@dataclass(slots=True, eq=False)
class _Task:
    """A flow that is driven; `index` is its place in the Gather of its parent."""

    name: str
    steps: Steps[Any]
    parent: _Task | None = None
    index: int = 0
    wait: _AnyWait = None
    entry: Performed | None = None


class SimulatedRun(Generic[T]):
    """The events of a simulated flow: iterate over it, then ask for `result`; or `close()` it.

    `trace` is what its flows have asked for so far. Leaving it as a context manager closes it.
    """

    def __init__(
        self,
        flow: Flow[T],
        simulator: Simulator,
        world: World,
        chance: Chance,
        cancel: CancellationToken | None,
    ) -> None:
        self.trace: list[Performed] = []
        self._simulator = simulator
        self._faults = simulator.faults
        self._world = world
        self._chance = chance
        self._token = cancel.child() if cancel is not None else CancellationToken()
        self._buffer: deque[Any] = deque()
        self._busy_until = simulator.now
        cancel_at = self._faults.cancel_at
        self._cancel_at = math.inf if cancel_at is None else simulator.now + cancel_at
        self._closed = False
        self._outcome: Outcome[T] | None = None
        self._told = False
        self._root = _Task("0", Steps(flow, self._clock, self._token, discard=world.discard))
        self._tasks: list[_Task] = [self._root]

    def __enter__(self) -> SimulatedRun[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while self._outcome is None:
            try:
                task = self._choose()
                if task is None:
                    self._busy_until = self.now + self._faults.slow_reader
                    return self._buffer.popleft()
                self._resume(task)
            except Exception as error:
                self._abandon(error)
                raise
            except BaseException:
                self._abandon(Cancelled("cancelled: the run was broken off"))
                raise
        if isinstance(self._outcome, Failed) and not self._told:
            self._told = True
            raise self._outcome.error
        raise StopIteration

    @property
    def now(self) -> float:
        """The virtual time."""
        return self._simulator.now

    @property
    def open_exchanges(self) -> tuple[int, ...]:
        """The exchanges that are neither closed nor discarded; none once the run has ended."""
        return self._world.open_exchanges

    @property
    def result(self) -> T:
        """What the flow returned; reads on to the end. Raises what the flow raised."""
        for _ in self:
            pass
        outcome = self._outcome
        assert outcome is not None
        if isinstance(outcome, Failed):
            raise outcome.error
        return Returned(outcome.value).unwrap()

    def close(self) -> None:
        """Cancel what runs and drop its events; `result` is what the flow still gives back."""
        if self._outcome is not None:
            return
        self._closed = self._told = True
        self._token.cancel()
        self._buffer.clear()
        for task in self._tasks:
            if isinstance(task.wait, _Emission):
                task.wait.events.clear()
        if not isinstance(self._root.wait, _Family):
            self._step(self._root, self._root.steps.cancel)
        for _ in self:
            pass

    def _clock(self) -> float:
        return self._simulator.now

    # Choosing who goes on.

    def _choose(self) -> _Task | None:
        """The task that goes on, or None for the consumer. Lets time pass if it has to; raises Deadlock."""
        while True:
            if self.now >= self._cancel_at:
                self._strike()
                self._cancel_at = math.inf
            self._simulator.shared.links.deliver()
            ready: list[_Task | None] = [task for task in self._tasks if self._is_ready(task)]
            if self._buffer and self.now >= self._busy_until:
                ready.append(None)
            if ready:
                return ready[self._chance.below(len(ready))] if len(ready) > 1 else ready[0]
            moment = min(self._moments())
            if moment == math.inf:
                raise Deadlock(f"nobody can go on, at {self.now:g} s: {self._waits()}")
            self._simulator.now = moment

    def _is_ready(self, task: _Task) -> bool:
        """Whether the wait of a task is over; cuts it short if it is not and has to be."""
        wait = task.wait
        if wait is None:
            return True
        if isinstance(wait, _Emission):
            if task is self._root:
                return not self._buffer
            return not wait.events or len(self._buffer) < EVENT_BUFFER
        if not self._is_over(task, wait) and task.steps.must_stop:
            self._stop(wait)
        return self._is_over(task, wait)

    def _is_over(self, task: _Task, wait: Wait | _Family) -> bool:
        if isinstance(wait, Wait):
            return wait.until <= self.now
        return wait.gathering.is_done and not (task is self._root and self._buffer)

    def _stop(self, wait: Wait | _Family) -> None:
        if isinstance(wait, Wait):
            wait.stop(self.now)
        else:
            wait.token.cancel()
            wait.gathering.close()

    def _moments(self) -> Iterator[float]:
        """When somebody may be able to go on who is not now."""
        yield self._cancel_at
        yield self._simulator.shared.links.next_arrival()
        if self._buffer:
            yield self._busy_until
        for task in self._tasks:
            if isinstance(task.wait, Wait):
                yield task.wait.until
            deadline = task.steps.deadline
            if deadline is not None and deadline > self.now:
                yield deadline

    def _waits(self) -> str:
        entries = [task.entry for task in self._tasks]
        return "; ".join(
            f"task {entry.task} waits for {entry.what} since {entry.began:g} s" for entry in entries if entry
        )

    # Going on.

    def _resume(self, task: _Task) -> None:
        """The wait of a task is over, or a part of its events can be taken: go on."""
        wait, steps = task.wait, task.steps
        if isinstance(wait, _Emission) and wait.events:
            room = math.inf if task is self._root else EVENT_BUFFER
            while wait.events and len(self._buffer) < room:
                self._buffer.append(wait.events.popleft())
            if task is self._root or wait.events:
                return
        if self._faults.cancel_after == (task.entry.number if task.entry else 0):
            self._strike()
        outcome, resume = self._reply(wait, steps)
        if task.entry is not None:
            task.entry.ended, task.entry.outcome = self.now, outcome
        self._step(task, resume)

    def _reply(self, wait: _AnyWait, steps: Steps[Any]) -> tuple[str, _Resume]:
        """What becomes of a wait that is over: in words, and the way to tell the flow."""
        if isinstance(wait, _Family):
            failure = wait.gathering.error
            return describe_error(failure) if failure else "replied", partial(wait.gathering.resume, steps)
        if not isinstance(wait, Wait):
            return "taken", partial(steps.send, None)
        if wait.interrupted:
            return "cut short", partial(steps.interrupt, abandoned=wait.abandoned)
        try:
            reply = wait.finish()
        except Exception as error:
            return describe_error(error), partial(steps.throw, error)
        return "replied", partial(steps.send, reply)

    def _step(self, task: _Task, resume: _Resume) -> None:
        """Resume a flow, and begin what it asks for next."""
        try:
            effect = resume()
        except Exception as error:
            self._end(task, Failed(error))
            return
        if isinstance(effect, Returned):
            self._end(task, Succeeded(effect.value))
        else:
            self._begin(task, effect)

    def _begin(self, task: _Task, effect: Effect) -> None:
        number = len(self.trace) + 1
        if number > self._simulator.max_effects:
            raise Deadlock(
                f"{self._simulator.max_effects} effects were performed and there is no end of them"
            )
        task.entry = Performed(number, task.name, describe(effect), self.now, effect=effect)
        self.trace.append(task.entry)
        if isinstance(effect, Emit):
            task.wait = _Emission(deque(() if self._closed else effect.events))
        elif isinstance(effect, Gather):
            task.wait = _Family(Gathering(effect), self._token_of(task).child())
            self._start_children(task, task.wait)
        else:
            task.wait = self._world.begin(effect, task.steps.opened, self._token_of(task))
        if number == self._faults.cancel_during:
            self._strike()
            if isinstance(task.wait, Wait) and task.steps.must_stop:
                task.wait.lose(self.now)

    def _strike(self) -> None:
        """Cancel the run, or do what the test wants to happen at this moment."""
        (self._faults.instead or self._token.cancel)()

    def _token_of(self, task: _Task) -> CancellationToken:
        return task.steps.token or self._token

    def _start_children(self, parent: _Task, family: _Family) -> None:
        """Start as many children as may run."""
        while (child := family.gathering.next_to_start()) is not None:
            index, flow = child
            steps = Steps(
                flow,
                self._clock,
                family.token.child(),
                parent.steps.deadline,
                discard=self._world.discard,
            )
            self._tasks.append(_Task(f"{parent.name}.{index}", steps, parent, index))

    def _end(self, task: _Task, outcome: Outcome[Any]) -> None:
        """A flow has ended: close what it left open and tell whoever waits for it."""
        self._tasks.remove(task)
        self._world.discard(task.steps.all_opened)
        if task.parent is None:
            self._outcome = outcome
            self._token.detach()
            return
        if isinstance(outcome, Succeeded) and isinstance(outcome.value, Failed):
            outcome = outcome.value
        family = task.parent.wait
        assert isinstance(family, _Family)
        family.gathering.ended(task.index, outcome)
        if not family.gathering.is_open or task.parent.steps.must_stop:
            self._stop(family)
        self._start_children(task.parent, family)

    def _abandon(self, error: Exception) -> None:
        """The run cannot go on: close its flows, the youngest first."""
        self._outcome, self._told = Failed(error), True
        self._token.detach()
        for task in reversed(self._tasks):
            task.steps.close()
            self._world.discard(task.steps.all_opened)
        self._tasks.clear()
