"""The time of day for Now: a clock that never goes back, made of one that somebody may set back."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["never_back"]


def never_back(clock: Callable[[], float]) -> Callable[[], float]:
    """The same clock; while it shows less than it has shown, the latest that it has shown."""
    latest = 0.0

    def time() -> float:
        nonlocal latest
        latest = max(latest, clock())
        return latest

    return time
