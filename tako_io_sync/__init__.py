"""tako's blocking arm: plain Python on requests. No event loop is started, hidden or borrowed.

It works in a WSGI worker, in a thread, under gevent, after fork, in a notebook, inside a running
asyncio or trio loop, and inside a tool of another agent.

    import tako_io_sync

    result = tako_io_sync.run(agent, "How deep is the sea?")

    with tako_io_sync.stream(agent, "How deep is the sea?") as events:
        for event in events:
            ...
    events.result

The arm decides nothing. Which effect comes next, what a cancel and a deadline mean, and which
children run is the core's; the arm performs one effect at a time and feeds its outcome back.
Everything happens on the caller's own thread, except:

- the children of a Gather, which get a thread each;
- a Call, a Resolve and the look-up of a name that somebody could cancel (there is a token, a
  deadline, or it is inside a Gather), which must be able to be left behind;
- an `async def` function that cannot run on this thread, because a loop runs there already;
- deadlines for sockets, which one watchdog thread watches while there are any.

So a plain call starts no thread, and none of these threads outlives its run, but for a function
that was cancelled and does not stop.
"""

from __future__ import annotations

from typing import Any, TypeVar

from tako.cancellation import CancellationToken
from tako.driving.targets import MakesFlow
from tako.effects import Flow
from tako_io_sync.runtime import EventStream, Runtime, default_runtime

__all__ = ["EventStream", "Runtime", "default_runtime", "run", "stream"]

T = TypeVar("T")


def run(
    target: Flow[T] | MakesFlow[T],
    *arguments: Any,
    cancel: CancellationToken | None = None,
    runtime: Runtime | None = None,
    **options: Any,
) -> T:
    """Drive a flow, or the flow of an agent, to its end, blocking; raises what the flow raises."""
    return (runtime or default_runtime()).run(target, *arguments, cancel=cancel, **options)


def stream(
    target: Flow[T] | MakesFlow[T],
    *arguments: Any,
    cancel: CancellationToken | None = None,
    runtime: Runtime | None = None,
    **options: Any,
) -> EventStream[T]:
    """Iterate over the events of a flow, blocking; nothing is done before the first is asked for."""
    return (runtime or default_runtime()).stream(target, *arguments, cancel=cancel, **options)
