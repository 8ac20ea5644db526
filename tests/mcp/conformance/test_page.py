"""The page says of every scenario how it went, on every arm, and that what is required passes."""

from __future__ import annotations

import pytest

from tests.mcp.arms import ARMS
from tests.mcp.conformance.page import PAGE, Table, read, written
from tests.mcp.conformance.scenarios import REQUIRED, UNSCORED, Role

SETS = list(REQUIRED)


@pytest.mark.parametrize(("role", "revision"), SETS)
def test_the_page_has_each_scenario_and_each_required_one_passes(role: Role, revision: str) -> None:
    rows = read(PAGE.read_text(encoding="utf-8"))[role, revision]
    assert set(rows) == {*REQUIRED[role, revision], *UNSCORED[role, revision]}
    assert {name: arms for name, arms in rows.items() if len(arms) != len(ARMS)} == {}
    assert [name for name in REQUIRED[role, revision] if not all(rows[name])] == []


def test_tables_are_read_as_they_were_written() -> None:
    sets = {
        (role, revision): {
            name: tuple(bool((number + column) % 3) for column in range(len(ARMS)))
            for number, name in enumerate((*REQUIRED[role, revision], *UNSCORED[role, revision]))
        }
        for role, revision in SETS
    }
    page = written(
        PAGE.read_text(encoding="utf-8"),
        [Table(role, revision, tuple(rows.items())) for (role, revision), rows in sets.items()],
    )
    assert read(page) == sets
    assert written(page, [Table(*key, tuple(rows.items())) for key, rows in sets.items()]) == page
