"""Gather: children in daemon threads, and the one inbox that they and their parent share.

Gathering decides which children run and what their ends mean; here they run. Everything that the
parent waits for comes into one inbox, in order of arrival: the events of the children, their ends,
and WAKE when the parent itself must stop.

Invariants. At most EVENT_BUFFER events wait there: an event needs a slot, which the consumer gives
back when it has taken the event, so a consumer that does not pull stops the children. The parent's
thread does nothing but hand out events, so they are pulled, not pushed. No child outlives the
Gather: whatever ends it, the children's token is cancelled and their ends are waited for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tako.cancellation import CancellationToken
from tako.driving.gathering import Gathering
from tako.driving.steps import Returned
from tako.effects import EVENT_BUFFER, Effect, Failed, Flow, Gather, Outcome, Succeeded
from tako_io_sync._calls import WAKE
from tako_io_sync._mailbox import Mailbox

if TYPE_CHECKING:
    from tako_io_sync._driver import Driver

__all__ = ["gather"]


@dataclass(slots=True)
class _Ended:
    """A child has ended. What is no Exception in it (SystemExit) is the parent's to raise."""

    index: int
    outcome: Outcome[Any] | BaseException


class _Children:
    """The threads of one Gather, and their inbox."""

    def __init__(self, parent: Driver, *, drop: bool) -> None:
        token = parent.steps.token
        self.token = CancellationToken() if token is None else token.child()
        self.inbox: Mailbox[Any] = Mailbox()
        self.slots = threading.Semaphore(EVENT_BUFFER)
        self._parent = parent
        self._deadline = parent.steps.deadline
        self._emit: Callable[[Any], None] | None = None if drop else self._put
        self._dropping = False
        self._threads: dict[int, threading.Thread] = {}

    def start(self, index: int, flow: Flow[Any]) -> None:
        """Drive a flow in a thread of its own; its _Ended comes into the inbox."""
        context = copy_context()
        thread = threading.Thread(
            target=context.run, args=(self._drive, index, flow), name=f"tako-gather-{index}", daemon=True
        )
        self._threads[index] = thread
        try:
            thread.start()
        except RuntimeError as error:  # the system has no more threads
            del self._threads[index]
            flow.close()
            self.inbox.put(_Ended(index, Failed(error)))

    def join(self, index: int) -> None:
        """Wait for the thread of a child whose end has come."""
        thread = self._threads.pop(index, None)
        if thread is not None:
            thread.join()

    def abandon_events(self) -> None:
        """Nobody will take events any more: children that wait for a slot go on."""
        self._dropping = True
        self.slots.release()

    def _drive(self, index: int, flow: Flow[Any]) -> None:
        outcome: Outcome[Any] | BaseException
        parent = self._parent
        try:
            child = type(parent)(parent.runtime, flow, self.token, deadline=self._deadline, parent=parent)
            outcome = Succeeded(child.run(self._emit))
        except Exception as error:
            outcome = Failed(error)
        except BaseException as error:
            outcome = error
        self.inbox.put(_Ended(index, outcome))

    def _put(self, event: Any) -> None:
        self.slots.acquire()
        if self._dropping:
            self.slots.release()  # for the next that waits
        else:
            self.inbox.put(event)


def gather(parent: Driver, effect: Gather, *, drop: bool) -> Generator[Any, None, Effect | Returned[Any]]:
    """Run the flows side by side, yielding their events; resumes the parent in the end."""
    limit = min(effect.limit or len(effect.flows), parent.runtime.max_threads)
    gathering = Gathering(replace(effect, limit=limit))
    children = _Children(parent, drop=drop)
    inbox, slots = children.inbox, children.slots
    try:
        while True:
            while (start := gathering.next_to_start()) is not None:
                children.start(*start)
            if gathering.is_done:
                break
            item = parent.wait(inbox) if gathering.is_open else inbox.get()
            if item is WAKE:
                gathering.close()
                children.token.cancel()
            elif type(item) is _Ended:
                _end(gathering, children, item)
            else:
                slots.release()
                yield item
    finally:
        children.token.cancel()
        children.token.detach()
        if not gathering.is_done:
            children.abandon_events()
            gathering.close()
            while not gathering.is_done:
                item = inbox.get()
                if type(item) is _Ended:
                    _end(gathering, children, item)
    return gathering.resume(parent.steps)


def _end(gathering: Gathering, children: _Children, ended: _Ended) -> None:
    """Book the end of a child; raises what must not be booked."""
    children.join(ended.index)
    outcome = ended.outcome
    if isinstance(outcome, BaseException):
        gathering.ended(ended.index, Failed(RuntimeError(f"the child raised {type(outcome).__name__}")))
        raise outcome
    gathering.ended(ended.index, outcome)
    if not gathering.is_open:
        children.token.cancel()
