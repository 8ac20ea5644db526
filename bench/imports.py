"""What it costs until something can be done: CPU time of fresh interpreters, side by side."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

from bench.measure import Aim, Line

__all__ = ["lines"]

ROOT = Path(__file__).parents[1]
LEAST = 5
FLOOR = "import json, socket, ssl"
AGENT = "import tako; tako.SingleAgent(tako.providers.OpenAI('gpt-4o-mini', 'sk-bench'))"
WORKS = (("import tako", "import tako", 30 / 18), ("import, and an agent on OpenAI", AGENT, 130 / 18))
"""With the aims: 30 and 130 ms where the floor is 18. Reading files does not slow down as parsing does,
so here nothing is scaled to nominal speed."""


def lines(seconds: float) -> Iterator[Line]:
    for name, statement, limit in WORKS:
        pairs: list[tuple[float, float]] = []
        end = perf_counter() + seconds
        while len(pairs) < LEAST or perf_counter() < end:
            pairs.append((milliseconds(statement), milliseconds(FLOOR)))
        ours, floor = (median(pair[side] for pair in pairs) for side in (0, 1))
        ratio = median(first / second for first, second in pairs)
        yield Line(name, FLOOR, ours, floor, ratio, Aim("ratio", limit), unit="ms")


def milliseconds(statement: str) -> float:
    """CPU time of the statement alone, in an interpreter of its own."""
    program = (
        f"import sys, time; sys.path.insert(0, {str(ROOT)!r}); start = time.process_time(); {statement}; "
        "print(1000 * (time.process_time() - start))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)
