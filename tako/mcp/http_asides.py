"""Asides: what a server asks and says on the stream of the session, which belongs to no request.

Servers of the handshake era may ask there even what they need for a request that waits. So that stream, a
GET, is heard by the side of requests, where the host can be asked anything:

| a request                          | the stream of the session                                         |
|------------------------------------|-------------------------------------------------------------------|
| is about to be sent                | is begun before it, since what is said while nobody hears it is   |
|                                    | lost; it is one for all who wait then, see once                   |
| has a stream that is to be resumed | is not begun: the server may want to be left alone for so long    |
| has waited HEAD_START for it       | is sent; if the server holds the beginning back until it has      |
|                                    | something to say, later ones in the session do not wait for it    |
| brings its answer                  | is given up, or goes over to another request that waits           |
| while somebody listens             | is left to who listens                                            |

Invariants. What goes wrong with the stream is no failure of a request. A server that does not offer it is
not asked again in the same session. While the host works on what was asked there, or a user is asked to
let us in, no request that waits is too late: nobody knows which of them it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from tako.cancellation import CancellationToken
from tako.effects import Flow, Sleep, Succeeded, gather, sleep, within
from tako.errors import Cancelled, Interrupted, TakoError
from tako.mcp.channel import Ear, Outgoing
from tako.mcp.once import Once

__all__ = ["Asides"]

T = TypeVar("T")
Json: TypeAlias = Any

HEAD_START: Final = 1.0
"""Seconds at most that a request waits for this stream to begin. Less would be too little for a server that
is far away, whose question would be lost; so it is waited for in vain once in a session."""
PAUSE: Final = 0.2
"""Seconds after which it is looked again whether a stream is still to be resumed."""
WORK: Final = ("tools/call", "prompts/get", "resources/read", "completion/complete")
"""Requests at which a server does what its author has written, and may want to ask."""


class Asides:
    """The stream of one session. `hear` follows it for as long as there is one, into an Ear."""

    def __init__(self, hear: Callable[[Ear], Flow[None]]) -> None:
        self.resuming: set[object] = set()
        """Who waits for the moment at which its own stream may be resumed."""
        self._hear = hear
        self._once: Once[None] = Once()
        self._is_offered = True
        self._is_held_back = False
        """Whether it was waited for in vain, without a word, and has not begun since."""
        self._is_put_off = False
        self._listeners: set[object] = set()
        self._giving_way = CancellationToken()
        """Cancelled when somebody wants to listen."""
        self._begun = CancellationToken()
        """Cancelled when the stream has begun, or will not."""
        self._at_work: set[object] = set()
        self._last_work: object = None

    def begin_session(self) -> None:
        """What was known of the last session's stream says nothing of this one's."""
        self._is_offered = True
        self._is_held_back = False

    def listen(self, ear: Ear) -> Flow[None]:
        """For who wants to hear the stream itself."""
        listener = object()
        self._listeners.add(listener)
        giving_way, self._giving_way = self._giving_way, CancellationToken()
        giving_way.cancel()
        try:
            yield from self._hear(_BusyEar(self, ear))
        finally:
            self._listeners.discard(listener)

    def may_matter(self, request: Outgoing) -> bool:
        """Whether the server may ask here what it needs for the request."""
        return request.method in WORK and self._is_offered and not self._listeners

    def beside(
        self, make: Callable[[CancellationToken], Flow[Json]], timeout: float | None, ear: Ear
    ) -> Flow[Json]:
        """What the flow of `make` returns, with this stream heard meanwhile.

        The token that it is made with is cancelled after as many seconds as are the limit, if nothing was
        done for the server in them.
        """
        late, over = CancellationToken(), CancellationToken()

        def wait() -> Flow[Json]:
            try:
                yield from self._wait_for_begin()
                return (yield from make(late))
            finally:
                over.cancel()

        def hear() -> Flow[None]:
            try:
                yield from within(None, self._meanwhile(timeout, late, ear), over)
            except Interrupted:
                return

        outcomes = yield from gather(wait(), hear())
        assert isinstance(outcomes[0], Succeeded)
        return outcomes[0].value

    def working(self, flow: Flow[T]) -> Flow[T]:
        """The flow's result; meanwhile no request is too late."""
        work = object()
        self._at_work.add(work)
        try:
            return (yield from flow)
        finally:
            self._last_work = work
            self._at_work.discard(work)

    @property
    def last_work(self) -> object:
        """Another one after each `working`."""
        return self._last_work

    def has_worked_since(self, last_work: object) -> bool:
        return bool(self._at_work) or self._last_work is not last_work

    def begun(self) -> None:
        """The server lets us hear it."""
        self._is_held_back = False
        self._begun.cancel()

    def put_off(self) -> None:
        """The server lets us hear it later, if we ask again: so it does not hold the beginning back."""
        self._is_put_off = True

    def _wait_for_begin(self) -> Flow[None]:
        begun = self._begun
        if begun.is_cancelled or self._is_held_back:
            return
        try:
            yield from within(None, sleep(HEAD_START), begun)
            self._is_held_back = not self._is_put_off
        except Interrupted:
            return

    def _meanwhile(self, timeout: float | None, late: CancellationToken, ear: Ear) -> Flow[None]:
        if timeout is None:
            yield from self._join(ear)
        else:
            yield from gather(self._join(ear), self._count(timeout, late))

    def _count(self, timeout: float, late: CancellationToken) -> Flow[None]:
        while True:
            last_work = self._last_work
            yield Sleep(timeout)
            if not self.has_worked_since(last_work):
                late.cancel()
                return

    def _join(self, ear: Ear) -> Flow[None]:
        while self.resuming:
            yield Sleep(PAUSE)
        yield from self._once.run(partial(self._lead, ear))

    def _lead(self, ear: Ear) -> Flow[None]:
        """Hear it for all who wait."""
        giving_way, self._is_put_off = self._giving_way, False
        try:
            if self._listeners or not self._is_offered:
                return
            yield from within(None, self._hear(_BusyEar(self, ear)), giving_way)
            self._is_offered = False
        except Interrupted:
            return  # somebody listens, and hears it all
        except Cancelled:
            raise
        except TakoError:
            self._is_offered = False
        finally:
            begun, self._begun = self._begun, CancellationToken()
            begun.cancel()


class _BusyEar:
    """An ear whose work counts as work that is done for all."""

    __slots__ = ("_asides", "_ear", "hear")

    def __init__(self, asides: Asides, ear: Ear) -> None:
        self._asides = asides
        self._ear = ear
        self.hear = ear.hear

    def answer(self, method: str, params: Mapping[str, Json]) -> Flow[Json]:
        return self._asides.working(self._ear.answer(method, params))
