"""Run the benches and print one table: `python -m bench.run [--only call,stream] [--seconds 2]`.

Ends with status 1 if an aim is missed, so that a slower version is noticed.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterator

from bench import agent, call, concurrency, decode, history, imports, mcp_calls, stream, vendors
from bench.measure import NOMINAL, Line, speed
from bench.vendor import core, stay_on

BENCHES: dict[str, Callable[[float], Iterator[Line]]] = {
    "decode": decode.lines,
    "vendors": vendors.lines,
    "call": call.lines,
    "stream": stream.lines,
    "agent": agent.lines,
    "concurrency": concurrency.lines,
    "history": history.lines,
    "mcp": mcp_calls.lines,
    "imports": imports.lines,
}
HEADINGS = ("work", "against", "ours", "floor", "unit", "ratio", "aim", "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(BENCHES), help="names of benches, with commas between")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each line of the table, about")
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    if unknown := set(names).difference(BENCHES):
        parser.error(f"no bench is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    found: list[Line] = []
    for name in names:
        for line in BENCHES[name](arguments.seconds):
            print(".", end="", file=sys.stderr, flush=True)
            found.append(line)
    print(file=sys.stderr)
    print_table(found)
    over = [line.work for line in found if line.aim is not None and not line.aim.is_met(line)]
    print(f"\nPython {platform.python_version()}, now at {speed() / NOMINAL:.2f} of nominal speed.")
    print(f"over their aim: {', '.join(over)}" if over else "every aim is met")
    return 1 if over else 0


def print_table(found: list[Line]) -> None:
    rows = [HEADINGS, *(_cells(line) for line in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    rows.insert(1, tuple("-" * width for width in widths))
    for row in rows:
        print(" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cells(line: Line) -> tuple[str, ...]:
    verdict = "" if line.aim is None else "ok" if line.aim.is_met(line) else "OVER"
    return (
        line.work,
        line.against,
        f"{line.ours:.2f}",
        f"{line.floor:.2f}",
        line.unit,
        f"{line.ratio:.2f}",
        "" if line.aim is None else str(line.aim),
        verdict,
    )


if __name__ == "__main__":
    stay_on(core(0))
    sys.exit(main())
