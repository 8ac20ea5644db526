"""Playbook: a flow stepped by hand, against a script of expected effects and given replies.

    result = (
        Playbook(flow)
        .expect(Send(ANY), reply=HttpHead(200, (), 1))
        .expect(Receive(1), reply=b"{}")
        .expect(Receive(1), raises=TransportError("reset", phase="body"))
        .expect(Close)
        .returns("what there was")
    )

Each call is played at once, so that a mismatch points at its line. Nothing is driven behind the
script's back: the flow in a Within or a Gather is not run. It is given to you by `children()`, and
has a playbook of its own.

Invariant. What the flow does next is known before it is asked for: an effect, events, its result or
its error. Nothing of it is passed over; to leave events out of account, say `emits_anything()`.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any, Generic, NoReturn, TypeVar

from tako.effects import Effect, Emit, Flow, Gather, Within
from tako.testing.describing import brief, describe, describe_error
from tako.testing.patterns import ANY, differences

__all__ = ["Playbook", "PlaybookMismatch"]

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)


class PlaybookMismatch(AssertionError):
    """The flow did something else than its playbook says."""


class _Ended:
    """The flow is over: what it returned or raised."""

    def __init__(self, value: Any, error: Exception | None) -> None:
        self.value = value
        self.error = error

    def __repr__(self) -> str:
        if self.error is not None:
            return f"it raised {describe_error(self.error)}"
        return f"it returned {brief(self.value)}"


class Playbook(Generic[T]):
    """A script for one flow; every method checks one step. All raise PlaybookMismatch."""

    def __init__(self, flow: Flow[T]) -> None:
        self._flow = flow
        self._script: list[str] = []
        self._events: deque[Any] = deque()
        self._matched: Effect | None = None
        self._next: Effect | _Ended
        self._advance(None, None)

    @property
    def effect(self) -> Effect | None:
        """The effect that the last `expect` found, whole."""
        return self._matched

    def expect(
        self, effect: Effect | type[Any], *, reply: Any = None, raises: Exception | None = None
    ) -> Playbook[T]:
        """The flow asks for this effect (a pattern) and is given the reply, or the error is thrown in."""
        if self._events:
            self._mismatch(describe(effect), f"the event {brief(self._events[0])}")
        got = self._next
        if isinstance(got, _Ended):
            self._mismatch(describe(effect), repr(got))
        found = differences(effect, got)
        if found:
            self._mismatch(describe(effect), describe(got), [str(difference) for difference in found])
        self._script.append(f"{describe(got)}  ->  {_words(reply, raises)}")
        self._matched = got
        self._advance(reply, raises)
        return self

    def emits(self, *events: Any) -> Playbook[T]:
        """The flow emits these events (patterns), by one Emit or by several."""
        for event in events:
            if not self._events:
                got = self._next
                self._mismatch(f"the event {brief(event)}", got if isinstance(got, _Ended) else describe(got))
            found = differences(event, self._events[0])
            if found:
                lines = [str(difference) for difference in found]
                self._mismatch(f"the event {brief(event)}", f"the event {brief(self._events[0])}", lines)
            self._script.append(f"emitted {brief(self._take_event())}")
        return self

    def emits_anything(self) -> list[Any]:
        """Take all events that come before the next effect or the end, and return them."""
        taken: list[Any] = []
        while self._events:
            taken.append(self._take_event())
        self._script.append(f"emitted {len(taken)} events")
        return taken

    def returns(self, value: Any = ANY) -> T:
        """The flow is over and its result fits; returns the result."""
        ended = self._ended("the end of the flow")
        if ended.error is not None:
            self._mismatch(f"the result {brief(value)}", repr(ended))
        found = differences(value, ended.value)
        if found:
            self._mismatch(
                f"the result {brief(value)}", repr(ended), [str(difference) for difference in found]
            )
        result: T = ended.value
        return result

    def raises(self, kind: type[E], match: str = "") -> E:
        """The flow is over with this error, whose text holds the regular expression; returns the error."""
        expected = f"the error {kind.__name__}" + (f" with {match!r}" if match else "")
        error = self._ended(expected).error
        if not isinstance(error, kind) or not re.search(match, str(error)):
            self._mismatch(expected, repr(self._next))
        return error

    def children(self) -> tuple[Playbook[Any], ...]:
        """A playbook for each flow of the Gather or Within that the last `expect` found."""
        match self._matched:
            case Gather(flows):
                return tuple([Playbook(flow) for flow in flows])
            case Within(_, flow):
                return (Playbook(flow),)
        self._mismatch("a Gather or Within to have the children of", describe(self._matched))

    def close(self) -> None:
        """Leave the flow where it is."""
        self._flow.close()

    def _advance(self, reply: Any, error: Exception | None) -> None:
        """Resume the flow; what it does then is kept for the next line of the script."""
        while not self._events:
            try:
                self._next = self._flow.send(reply) if error is None else self._flow.throw(error)
            except StopIteration as stop:
                self._next = _Ended(stop.value, None)
            except Exception as raised:
                self._next = _Ended(None, raised)
            if not isinstance(self._next, Emit):
                return
            self._events.extend(self._next.events)
            reply = error = None

    def _take_event(self) -> Any:
        """Take the next event; after the last one of an Emit the flow goes on."""
        event = self._events.popleft()
        self._advance(None, None)
        return event

    def _ended(self, expected: str) -> _Ended:
        if self._events:
            self._mismatch(expected, f"the event {brief(self._events[0])}")
        if not isinstance(self._next, _Ended):
            self._mismatch(expected, describe(self._next))
        return self._next

    def _mismatch(self, expected: str, got: object, details: list[str] | None = None) -> NoReturn:
        lines = [f"{number:3}  {line}" for number, line in enumerate(self._script, 1)]
        lines.append(f"{len(lines) + 1:3}  expected  {expected}")
        lines.append(f"     got       {got}")
        lines.extend(f"               {line}" for line in details or ())
        text = "\n".join(["the flow left its playbook:", *lines])
        if isinstance(self._next, _Ended) and self._next.error is not None:
            raise PlaybookMismatch(text) from self._next.error
        raise PlaybookMismatch(text)


def _words(reply: Any, error: Exception | None) -> str:
    return f"raised {describe_error(error)}" if error is not None else brief(reply)
