"""How a cost is measured on a machine whose speed swings by a factor of two.

- CPU time and not wall time: what other programs do in between does not count.
- Ratios: both sides run in turns, a slice of some hundredths of a second each, so that a slow moment
  hits both alike. The ratio is the median over the pairs of slices.
- Microseconds are told at nominal speed: each pair is timed beside a document that is parsed again
  and again, and scaled to a machine that parses NOMINAL of them in a second. So an aim in
  microseconds means the same on a slow machine as on a fast one, as far as that can be had. System
  calls slow down less than Python does, so ratios are what to trust.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import Literal, TypeAlias

__all__ = ["Aim", "Comparison", "Cost", "Line", "Work", "compare", "compare_costs", "count_calls", "speed"]

Work: TypeAlias = Callable[[], int]
"""Does some work, checks its result, and says how many units it was."""
Cost: TypeAlias = Callable[[], float]
"""Does some work, and says how many microseconds of CPU a unit took."""

SLICE_SECONDS = 0.04
LEAST_PAIRS = 5

NOMINAL = 540_000
"""Documents a second: a quiet core of the machine on which the peers were measured."""
DOCUMENT = json.dumps({"a": [1, 2.5, "x" * 40, None, True] * 4, "b": {"c": "d" * 100}})


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a unit of work costs here and there, in microseconds of CPU at nominal speed."""

    ours: float
    floor: float
    ratio: float
    """The median of the ratios, which is not the ratio of the medians."""

    def line(self, work: str, against: str, aim: Aim | None = None) -> Line:
        """This as a line of the table."""
        return Line(work, against, self.ours, self.floor, self.ratio, aim)


@dataclass(frozen=True, slots=True)
class Aim:
    """What is to be held: a `ratio` at most, a `cost` at most, a `rate` (the floor's is 1) at least."""

    of: Literal["ratio", "cost", "rate"]
    limit: float

    def value(self, line: Line) -> float:
        """What is compared with the limit."""
        if self.of == "cost":
            return line.ours
        return line.ratio if self.of == "ratio" else 1 / line.ratio

    def is_met(self, line: Line) -> bool:
        value = self.value(line)
        return value >= self.limit if self.of == "rate" else value <= self.limit

    def __str__(self) -> str:
        return f"{self.of} {'>=' if self.of == 'rate' else '<='} {self.limit:.3g}"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    work: str
    against: str
    ours: float
    floor: float
    ratio: float
    aim: Aim | None = None
    unit: str = "us"


def compare(ours: Work, floor: Work, seconds: float) -> Comparison:
    """Run both in turns for about that long."""
    return compare_costs(_measured(ours), _measured(floor), seconds)


def compare_costs(ours: Cost, floor: Cost, seconds: float) -> Comparison:
    """The same, of what knows its cost itself: another process, say."""
    pairs: list[tuple[float, float]] = []
    gc.collect()
    gc.freeze()  # what other benches have loaded is not walked through again and again in this one
    end = perf_counter() + seconds
    before = speed()
    while len(pairs) < LEAST_PAIRS or perf_counter() < end:
        first = ours()
        # ours, floor, floor, ours: what grows or falls steadily hits both alike.
        second = (floor() + floor()) / 2
        first = (first + ours()) / 2
        after = speed()
        factor = (before + after) / 2 / NOMINAL
        before = after
        pairs.append((first * factor, second * factor))
    return Comparison(
        ours=median(pair[0] for pair in pairs),
        floor=median(pair[1] for pair in pairs),
        ratio=median(pair[0] / pair[1] for pair in pairs),
    )


def speed(documents: int = 2000) -> float:
    """Documents that are parsed in a second of CPU just now."""
    loads, start = json.loads, process_time()
    for _ in range(documents):
        loads(DOCUMENT)
    return documents / (process_time() - start)


def count_calls(work: Callable[[], object]) -> int:
    """Functions called and generators resumed on this thread, Python's and C's: no clock, so no noise."""
    count = 0

    def profile(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call" or event == "c_call"

    former = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(former)
    return count - 1  # the call that takes the profile off again


def _measured(work: Work) -> Cost:
    """What costs a slice of it has, from now on."""
    rounds = _rounds(work)
    return lambda: _cost(work, rounds)


def _rounds(work: Work) -> int:
    """How often to do it in one slice."""
    work()  # what is made at first use
    start, rounds = perf_counter(), 0
    while perf_counter() - start < SLICE_SECONDS:
        work()
        rounds += 1
    return max(1, rounds)


def _cost(work: Work, rounds: int) -> float:
    """Microseconds of CPU for a unit."""
    units = 0
    start = process_time()
    for _ in range(rounds):
        units += work()
    return (process_time() - start) / units * 1e6
