"""Chance: the only source of randomness in the core, and it is none: the same seed, the same numbers.

SplitMix64 (Steele, Lea and Flood, 2014): a counter that is mixed well. It is here because the core
does not import `random`, whose numbers may also change from one Python to the next.
"""

from __future__ import annotations

__all__ = ["Chance"]

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15


def _mix(value: int) -> int:
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


class Chance:
    """Numbers that follow from a seed. Two purposes with one seed draw from streams of their own."""

    __slots__ = ("_state",)

    def __init__(self, seed: int, stream: int = 0) -> None:
        self._state = _mix((seed & _MASK) ^ _mix(stream))

    def _next(self) -> int:
        self._state = (self._state + _STEP) & _MASK
        return _mix(self._state)

    def below(self, limit: int) -> int:
        """A number from 0 to limit - 1."""
        return (self._next() * limit) >> 64

    def fraction(self) -> float:
        """A number from 0 up to 1, without 1."""
        return (self._next() >> 11) / (1 << 53)

    def data(self, size: int) -> bytes:
        """So many bytes."""
        words = [self._next().to_bytes(8, "little") for _ in range(-(-size // 8))]
        return b"".join(words)[:size]
