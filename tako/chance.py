"""Chance: the only source of randomness in the core, and it is none: the same seed, the same numbers.

| class  | numbers from                                        | for                                 |
|--------|-----------------------------------------------------|-------------------------------------|
| Chance | SplitMix64 (Steele, Lea and Flood, 2014): a counter | some numbers of a stream, now and   |
|        | that is mixed well                                  | then                                |
| Draws  | SHAKE-128 of a seed, a number and a count of blocks | hundreds of draws from a            |
|        |                                                     | distribution, on numbered occasions |

They are here because the core does not import `random`, whose numbers may also change from one Python
to the next. In Python a block of hash is several times as fast as a counter that is mixed word by word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import shake_128
from itertools import chain, count
from math import cos, exp, log, sqrt, tau
from struct import pack, unpack
from typing import NamedTuple

__all__ = ["BetaShape", "Chance", "Draws"]

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15

_BLOCK = 21
"""Words of 64 bits: what SHAKE-128 gives in one round, so that a few draws cost no more than they must."""
_AS_DOUBLES = f"<{_BLOCK}d"
# A double with the exponent of 1.0 and any mantissa is from 1 up to 2: so a whole block of hash becomes
# a block of fractions by two operations on one large number.
_MANTISSAS = int.from_bytes(((1 << 52) - 1).to_bytes(8, "little") * _BLOCK, "little")
_ONES = int.from_bytes(pack("<d", 1.0) * _BLOCK, "little")


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


class Draws:
    """The draws of one occasion: they follow from a seed and the number of the occasion, and nothing else.

    So a machine that counts its occasions is resumed by its counter. Each number is from 0 to 2**64 - 1.
    Between two systems whose `log` and `cos` differ, a draw may differ in its last digit.
    """

    __slots__ = ("fraction",)

    fraction: Callable[[], float]
    """A number from 0, without 0, to 1: its logarithm exists."""

    def __init__(self, seed: int, number: int) -> None:
        self.fraction = chain.from_iterable(_blocks(pack("<QQ", seed, number))).__next__

    def student(self, freedom: float) -> float:
        """From Student's distribution with so many degrees of freedom, at least 0.25 (Bailey, 1994)."""
        fraction = self.fraction
        return sqrt(freedom * (fraction() ** (-2.0 / freedom) - 1.0)) * cos(tau * fraction())

    def log_odds(self, shape: BetaShape) -> float:
        """The logarithm of p / (1 - p) for a draw p from a beta distribution (Cheng's BA, 1978).

        It grows with p, and where p itself would be 1, or 0, for many draws, it tells them apart. Two
        fractions are enough for most shapes, and about eight are needed for the worst.
        """
        fraction = self.fraction
        a, b, total, slope, weight, limit, centre = shape
        while True:
            first = fraction()
            if first == 1.0:
                continue
            value = slope * log(first / (1.0 - first))
            # log(b + a * exp(value)), also where the power is too large for a float.
            high = log(b + a * exp(value)) if value < 700.0 else value + log(a)
            if limit - total * high + weight * value >= log(first * first * fraction()):
                return value + centre


class BetaShape(NamedTuple):
    """A beta distribution, ready to be drawn from: all that follows from its a and b, worked out once."""

    a: float
    b: float
    total: float
    slope: float
    weight: float
    limit: float
    centre: float

    @classmethod
    def of(cls, a: float, b: float) -> BetaShape:
        """Of a and b, each from 1e-6 to 1e9."""
        total = a + b
        least = a if a < b else b
        slope = 1.0 / least if least <= 1.0 else sqrt((total - 2.0) / (2.0 * a * b - total))
        return cls(a, b, total, slope, a + 1.0 / slope, total * log(total) - log(4.0), log(a / b))


def _blocks(key: bytes) -> Iterator[list[float]]:
    """Fractions without end, each made of 52 bits."""
    for block in count():
        digest = shake_128(key + pack("<Q", block)).digest(8 * _BLOCK)
        mantissas = int.from_bytes(digest, "little") & _MANTISSAS
        numbers: tuple[float, ...] = unpack(_AS_DOUBLES, (mantissas | _ONES).to_bytes(8 * _BLOCK, "little"))
        yield [2.0 - number for number in numbers]
