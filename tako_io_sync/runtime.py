"""Runtime: what outlives a run. Its connections and links, what it keeps for flows, the watchdog, and
where time and chance come from.

There is one for the process, made at first use, that `run` and `stream` take if they are given
none. A forked child starts with fresh connections, and without links and what was kept: those of its
parent are the parent's. Links that nobody has closed end when the process does, or when their runtime
is collected.
"""

from __future__ import annotations

import inspect
import os
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterator
from types import TracebackType
from typing import Any, Generic, TypeVar

import requests

from tako.cancellation import CancellationToken
from tako.driving.clock import never_back
from tako.driving.targets import MakesFlow, as_flow
from tako.effects import Flow, OnError, gather, within
from tako.errors import InvalidInput
from tako.links import Kept
from tako_io_sync._driver import Driver
from tako_io_sync._http import Transport
from tako_io_sync._links import Links
from tako_io_sync._watchdog import Watchdog

__all__ = ["EventStream", "Runtime", "default_runtime"]

T = TypeVar("T")

FAREWELL = 2.0
"""Seconds that each of what is kept has to take its leave, and then all links together to end in order."""

AT_EXIT = (0.2, 0.1)
"""Seconds that links have to end in order when the process ends, and those that they have after SIGTERM."""


class Runtime:
    """Drives flows with plain blocking calls, in any number of threads at once.

    session      whose settings, mounted adapters and connections are used; it stays open. Without
                 one there is a Session of the runtime's own, which `close` closes.
    max_threads  children of one Gather that run at the same time
    entropy      where chance comes from: bytes of the length asked for
    clock        where Now comes from: seconds since the epoch, which never go back
    """

    def __init__(
        self,
        session: requests.Session | None = None,
        max_threads: int = 64,
        *,
        entropy: Callable[[int], bytes] = os.urandom,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if session is not None and not isinstance(session, requests.Session):
            raise InvalidInput(f"session: expected a requests.Session, not {type(session).__name__}")
        if type(max_threads) is not int or max_threads < 1:
            raise InvalidInput("max_threads: expected an int of at least 1")
        self.max_threads = max_threads
        self.entropy = entropy
        self.clock: Callable[[], float] = clock or never_back(time.time)
        self.transport = Transport(session)
        self.watchdog = Watchdog()
        self.links = Links()
        self._kept: dict[Hashable, Kept] = {}
        self._making = threading.RLock()
        weakref.finalize(self, self.links.close, *AT_EXIT)
        _runtimes.add(self)

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(
        self,
        target: Flow[T] | MakesFlow[T],
        *arguments: Any,
        cancel: CancellationToken | None = None,
        **options: Any,
    ) -> T:
        """Drive a flow, or the flow of an agent, to its end, blocking; raises what the flow raises."""
        result: T = Driver(self, as_flow(target, *arguments, **options), cancel).run()
        return result

    def stream(
        self,
        target: Flow[T] | MakesFlow[T],
        *arguments: Any,
        cancel: CancellationToken | None = None,
        **options: Any,
    ) -> EventStream[T]:
        """Iterate over the events of a flow, blocking; nothing is done before the first is asked for."""
        if not isinstance(target, Iterator):
            options["streaming"] = True
        return EventStream(Driver(self, as_flow(target, *arguments, **options), cancel))

    def keep(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """What is kept under the key, made once, however many threads want it."""
        kept = self._kept.get(key)
        if kept is None:
            with self._making:
                kept = self._kept.get(key)
                if kept is None:
                    kept = self._kept[key] = make()
        return kept

    def close(self) -> None:
        """Say farewell to what was kept, and close links and connections. What still runs is not stopped,
        but will find none of them any more."""
        with self._making:
            kept, self._kept = list(self._kept.values()), {}
        try:
            if kept:
                self.run(
                    gather(*[within(FAREWELL, one.farewell()) for one in kept], on_error=OnError.COLLECT)
                )
        finally:
            self.links.close(FAREWELL)
            self.transport.close()

    def start_afresh(self) -> None:
        """In a forked child: forget what is the parent's. Locks may be held by threads that are not here."""
        self.transport.forget()
        self.watchdog = Watchdog()
        self.links.forget()
        self._kept = {}
        self._making = threading.RLock()


class EventStream(Generic[T]):
    """The events of a flow, and then its result. Use it in a `with`, or read it to the end.

    For one thread at a time. To stop it from another one, cancel its token.
    """

    __slots__ = ("_driver", "_events", "_opened")

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._events = driver.events()
        self._opened = False

    def __enter__(self) -> EventStream[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        self._opened = True
        return self._events

    def __next__(self) -> Any:
        self._opened = True
        return next(self._events)

    def close(self) -> None:
        """Stop; what the flow still gives back is the result. Idempotent."""
        self._check_thread()
        if self._opened:
            self._events.close()
        else:  # closing a generator that was never started would not run a line of it
            self._opened = True
            self._events.close()
            self._driver.unwind()
            self._driver.release()

    @property
    def result(self) -> T:
        """What the flow returned; reads on to the end if need be. Raises what the flow raised."""
        self._check_thread()
        for _ in self:
            pass
        driver = self._driver
        if driver.error is not None:
            raise driver.error
        assert driver.returned is not None
        result: T = driver.returned.unwrap()
        return result

    def _check_thread(self) -> None:
        if inspect.getgeneratorstate(self._events) == inspect.GEN_RUNNING:
            raise InvalidInput("the stream is being read by another thread; to stop it, cancel its token")


_runtimes: weakref.WeakSet[Runtime] = weakref.WeakSet()
_default: dict[str, Runtime] = {}


def default_runtime() -> Runtime:
    """The runtime of this process, made at first use."""
    runtime = _default.get("runtime")
    return runtime if runtime is not None else _default.setdefault("runtime", Runtime())


def _start_afresh() -> None:
    """In a forked child: forget what is the parent's."""
    _default.clear()
    for runtime in list(_runtimes):
        runtime.start_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)
