"""A recording of a steered run replays: fed the same replies, a fresh flow asks for the same effects.

The recorder stands around each flow, also of those inside others, and writes down each resumption: which
flow, what it was sent or thrown, what it asked for then. The replay does the same to a fresh flow, in the
same order, and performs nothing. Its handle must not be asked: what the first run was told by its handle
is among the replies. What an interrupt does is there too, as the Cancelled that a flow was thrown; the
state of a token, which nobody writes down, is never looked at by the flow of an agent itself.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import pytest

from tako.effects import Call, Emit, Flow, Gather, Within
from tako.errors import SteeringError
from tako.steering import ContinuationGuard, PromptPolicy, SteeredRun, Steering
from tako.testing.faults import Faults
from tako.testing.simulator import Simulator
from tests.orchestrators.test_interruptions import AGENT, STRIKES, Story

Path = tuple[int, ...]


@dataclass
class Resumption:
    """A flow was sent a value, or thrown an error, and this came of it."""

    path: Path
    value: Any
    outcome: str


def resumed(flow: Flow[Any], value: Any) -> Any:
    """The next effect of a flow; raises StopIteration, or what it raises."""
    return flow.throw(value) if isinstance(value, Exception) else flow.send(value)


def described(effect: Any) -> str:
    """What is asked for; of functions their names, and flows tell of themselves by what they ask for."""
    if isinstance(effect, Emit):
        return f"Emit {[*effect.events]!r}"
    if isinstance(effect, Call):
        own = isinstance(getattr(effect.function, "__self__", None), SteeredRun)
        return f"Call {effect.function.__qualname__} {effect.arguments if own else len(effect.arguments)}"
    if isinstance(effect, Within):
        return f"Within {effect.seconds}"
    if isinstance(effect, Gather):
        return f"Gather {len(effect.flows)} {effect.limit} {effect.on_error}"
    return repr(effect)


def inner(effect: Any) -> tuple[Flow[Any], ...]:
    if isinstance(effect, Gather):
        return effect.flows
    return (effect.flow,) if isinstance(effect, Within) else ()


def recording(flow: Flow[Any], log: list[Resumption], path: Path = ()) -> Flow[Any]:
    """The same flow, each of whose resumptions is written down."""
    value: Any = None
    number = 0
    while True:
        try:
            effect = resumed(flow, value)
        except StopIteration as stop:
            log.append(Resumption(path, value, "returned"))
            return stop.value
        except Exception as error:
            log.append(Resumption(path, value, f"raised {type(error).__name__}: {error}"))
            raise
        log.append(Resumption(path, value, described(effect)))
        children = tuple(
            [recording(child, log, (*path, number, index)) for index, child in enumerate(inner(effect))]
        )
        if isinstance(effect, Within):
            effect = Within(effect.seconds, children[0], effect.token)
        elif isinstance(effect, Gather):
            effect = Gather(children, effect.limit, effect.on_error)
        number += 1
        try:
            value = yield effect
        except GeneratorExit:
            flow.close()
            raise
        except Exception as error:
            value = error


def replay(flow: Flow[Any], log: list[Resumption]) -> None:
    """Resume a fresh flow as the log tells; raises AssertionError where it asks for something else."""
    flows: dict[Path, Flow[Any]] = {(): flow}
    counts: dict[Path, int] = {}
    for number, entry in enumerate(log):
        effect = None
        try:
            effect = resumed(flows[entry.path], entry.value)
            outcome = described(effect)
        except StopIteration:
            outcome = "returned"
        except Exception as error:
            outcome = f"raised {type(error).__name__}: {error}"
        assert outcome == entry.outcome, f"at resumption {number} of {len(log)}, of flow {entry.path}"
        count = counts[entry.path] = counts.get(entry.path, -1) + 1
        for index, child in enumerate(inner(effect)):
            flows[(*entry.path, count, index)] = child
    for one in reversed(flows.values()):
        one.close()


class Mute(SteeredRun):
    """May be told things, for that changes no effect; must not be asked, but by a Call."""


def mute(method: str) -> Any:
    @functools.wraps(getattr(SteeredRun, method))
    def asked(*arguments: Any) -> Any:
        raise AssertionError(f"{method} was called without an effect")

    return asked


for method in ("begin", "begin_turn", "resume_turn", "watch_calls", "end_turn", "interrupted_turn"):
    setattr(Mute, method, mute(method))


class MuteSteering(Steering):
    """A handle of which nothing is to be had but a run that is mute."""

    def new_run(self) -> SteeredRun:
        return Mute(self._session)

    def __getattribute__(self, name: str) -> Any:
        assert name in ("new_run", "_session"), f"the handle was asked for {name}"
        return super().__getattribute__(name)


def told(how: str, place: int | None, *, streaming: bool) -> tuple[Story, list[Resumption], Simulator]:
    """The story under a handle with something of everything; a strike comes after that effect."""
    story, log, simulator = Story(), list[Resumption](), Simulator()
    steering = story.steering
    steering.add_guard(ContinuationGuard("once more", "look again", lambda snapshot: "continue", 1))
    steering.add_guard(ContinuationGuard("content", "go on", lambda snapshot: "stop", 1, "turn_end"))
    steering.add_policy(PromptPolicy("once", "ONCE", "next_turn"))
    steering.add_policy(PromptPolicy("late", "LATE", when=lambda snapshot: snapshot.step > 1))
    steering.set_mode("accept-edits")
    if place is not None:
        simulator.faults = Faults(cancel_after=place, instead=story.strike(how, simulator))
    flow = AGENT.flow("go", streaming=streaming, steering=steering)
    try:
        story.events += simulator._start(recording(flow, log), story.token)
    except SteeringError as error:
        assert error.code == "closed"
    return story, log, simulator


@pytest.mark.parametrize(
    ("how", "streaming"), [*[(how, True) for how in STRIKES], ("turn and a word", False)]
)
def test_a_fresh_flow_that_is_fed_the_same_replies_asks_for_the_same(how: str, streaming: bool) -> None:
    _, log, simulator = told(how, None, streaming=streaming)
    every = 4 if how.startswith("tool") else 7
    places = [None, *range(len(how) % every, len(simulator.trace), every)]
    struck = 0
    for place in places:
        story, log, _ = told(how, place, streaming=streaming)
        struck += story.log.count("struck")
        handle = MuteSteering()
        replay(AGENT.flow("go", streaming=streaming, steering=handle), log)
    assert struck > 0


def test_the_replay_notices_another_reply() -> None:
    _, log, _ = told("word", 20, streaming=True)
    place = next(
        number for number, entry in enumerate(log) if entry.value == "seen 1" and entry.outcome != "returned"
    )
    log[place] = Resumption(log[place].path, None, log[place].outcome)
    with pytest.raises(AssertionError, match="at resumption"):
        replay(AGENT.flow("go", streaming=True, steering=MuteSteering()), log)
