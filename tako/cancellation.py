"""CancellationToken: one switch for everything that is in flight.

States: live, then cancelled, for ever. A child is cancelled with its parent and never the other
way round. The token may be cancelled from any thread or signal handler; it holds no lock, so a
callback may create, cancel or detach tokens. Each callback runs exactly once, in the thread that
cancels (or at once, in the caller's, if the token was cancelled already): whoever takes it out of
the table runs it, and taking a key out of a dict is one indivisible step.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable

from tako.errors import Cancelled

__all__ = ["CancellationToken"]


def _nothing() -> None:
    """What `on_cancel` gives back when there is nothing left to undo."""


class CancellationToken:
    """A switch that stops what it was handed to: `token.cancel()`, from anywhere."""

    __slots__ = ("__weakref__", "_callbacks", "_cancelled", "_parent", "_parent_undo")

    def __init__(self) -> None:
        self._cancelled = False
        self._callbacks: dict[object, Callable[[], None]] = {}
        self._parent: CancellationToken | None = None
        self._parent_undo: Callable[[], None] = _nothing

    def __repr__(self) -> str:
        return f"<CancellationToken {'cancelled' if self._cancelled else 'live'}>"

    @property
    def is_cancelled(self) -> bool:
        """True from the first `cancel()` on."""
        return self._cancelled

    def cancel(self) -> None:
        """Stop everything that listens, whatever one of the listeners raises. Idempotent, irreversible."""
        self._cancelled = True
        while self._callbacks:
            try:
                _, callback = self._callbacks.popitem()
            except KeyError:
                return  # another thread took the last one
            try:
                callback()
            except BaseException:
                self.cancel()
                raise

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` once the token is; for loops in tools that have no other place to stop."""
        if self._cancelled:
            raise Cancelled

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` run once when the token is cancelled; returns a function that undoes this."""
        key = object()
        callbacks = self._callbacks
        callbacks[key] = callback
        if self._cancelled:
            mine = callbacks.pop(key, None)
            if mine is not None:
                mine()
            return _nothing

        def undo() -> None:
            callbacks.pop(key, None)

        return undo

    def child(self) -> CancellationToken:
        """A token that is cancelled with this one, and can be cancelled alone.

        The parent holds it weakly: a token that lives as long as the server does not collect
        the children of every request. The child holds the parent, so that a chain of tokens does
        not break where nobody holds the one in the middle.
        """
        child = CancellationToken()
        child._parent = self
        reference = weakref.ref(child, lambda _: child_died())

        def cascade() -> None:
            alive = reference()
            if alive is not None:
                alive.cancel()

        child_died = child._parent_undo = self.on_cancel(cascade)
        return child

    def detach(self) -> None:
        """Cut this token from its parent, for good. What a driver does when its work has ended."""
        self._parent_undo()
        self._parent = None
