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
        write(f"{'vendor':<22} {'endpoint':<40} {'exchanges':>9} {'equal':>6} {'not':>4}")
        for row in rows:
            equal = row.exchanges - len(row.unequal)
            write(f"{row.vendor:<22} {row.endpoint:<40} {row.exchanges:>9} {equal:>6} {len(row.unequal):>4}")
            for id in row.unequal:
                write(f"    {id}: {row.reasons.get(id, 'not explained')}")
        total, unequal = sum(row.exchanges for row in rows), sum(len(row.unequal) for row in rows)
        write(f"{'all':<63} {total:>9} {total - unequal:>6} {unequal:>4}")
    if survivals:
        terminalreporter.section("recorded requests, read and encoded again")
        for entry in survivals:
            share = 100 * entry.survived / max(1, entry.requests)
            write(f"{entry.vendor:<22} {entry.survived:>4} of {entry.requests:>4} unchanged ({share:.1f} %)")
