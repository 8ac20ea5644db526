"""The tables that these tests print at their end."""

from __future__ import annotations

import pytest

from tests.corpus.tables import REQUESTS, TABLE


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TABLE] = []
    config.stash[REQUESTS] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows, survivals = config.stash[TABLE], config.stash[REQUESTS]
    write = terminalreporter.write_line
    if rows:
        terminalreporter.section("recorded exchanges")
        write(f"{'vendor':<22} {'endpoint':<40} {'exchanges':>9} {'equal':>6} {'cut call':>9} {'not':>4}")
        for row in rows:
            equal = row.exchanges - len(row.unequal) - row.cut_calls
            counts = f"{row.exchanges:>9} {equal:>6} {row.cut_calls:>9} {len(row.unequal):>4}"
            write(f"{row.vendor:<22} {row.endpoint:<40} {counts}")
            for id in row.unequal:
                write(f"    {id}: {row.reasons.get(id, 'not explained')}")
        total, unequal = sum(row.exchanges for row in rows), sum(len(row.unequal) for row in rows)
        cut = sum(row.cut_calls for row in rows)
        write(f"{'all':<63} {total:>9} {total - unequal - cut:>6} {cut:>9} {unequal:>4}")
        write("cut call: the limit of tokens ended the answer in a call; tako raises, the rest is equal")
    if survivals:
        terminalreporter.section("recorded requests, read and encoded again")
        for entry in survivals:
            share = 100 * entry.survived / max(1, entry.requests)
            write(f"{entry.vendor:<22} {entry.survived:>4} of {entry.requests:>4} unchanged ({share:.1f} %)")
