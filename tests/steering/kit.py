"""What the tests of steering share: the agent's side in short, and intruders between two opcodes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import tako.steering
from tako.cancellation import CancellationToken
from tako.events import MessageDelivered
from tako.steering import Snapshot, Steering, TurnEnd, TurnInputs

ROOM = str(Path(tako.steering.__file__).parent)


class Agent:
    """Calls the agent's side of a handle as the flow does, and keeps what it is given."""

    def __init__(self, steering: Steering) -> None:
        self.steering = steering
        self.run = steering.new_run()
        self.step = 0
        self.delivered: list[str] = []
        self.undelivered: list[str] = []
        self.events: list[Any] = []

    def begin_run(self) -> Agent:
        self.run.begin("run")
        return self

    @property
    def cancel(self) -> CancellationToken:
        return self.run.token

    def begin_turn(self, **snapshot: Any) -> TurnInputs:
        self.step += 1
        inputs = self.run.begin_turn(f"turn-{self.step}", self.step, Snapshot(step=self.step - 1, **snapshot))
        self.delivered += [message.text for message in inputs.messages]
        self.run.delivered()
        self.events += inputs.events
        return inputs

    def end_turn(self, finishing: bool = False, **snapshot: Any) -> TurnEnd:
        return self._kept(self.run.end_turn(Snapshot(step=self.step, **snapshot), finishing))

    def interrupted_turn(self) -> TurnEnd:
        return self._kept(self.run.interrupted_turn())

    def end_run(self) -> list[str]:
        self.undelivered += [message.text for message in self.run.end()]
        return self.undelivered

    def _kept(self, end: TurnEnd) -> TurnEnd:
        self.delivered += [message.text for message in end.messages]
        self.run.delivered()
        self.events += end.events
        return end

    def told(self) -> list[str]:
        """The texts of which MessageDelivered has told."""
        return [event.message.text for event in self.events if type(event) is MessageDelivered]


def kinds(events: Sequence[Any]) -> list[str]:
    return [event.kind for event in events]


def disturbed(action: Callable[[], Any], intruder: Callable[[], Any], place: int) -> bool:
    """Run an action, and the intruder before the opcode number `place` that it runs in this room.

    As a signal handler does that lands there, or a thread that is given the processor for so long.
    False if the action has no so many opcodes; then the intruder has not run.
    """
    passed, before = 0, sys.gettrace()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal passed
        if not frame.f_code.co_filename.startswith(ROOM):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            passed += 1
            if passed == place + 1:
                sys.settrace(None)
                intruder()
                sys.settrace(trace)
        return trace

    sys.settrace(trace)
    try:
        action()
    finally:
        sys.settrace(before)
    return passed > place
