"""docs/checklist.md is honest: each id stands in it once, with tests that are there and have its name."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "checklist.md"
IDS = [
    f"{letter}{number:02d}"
    for letter, ranges in {
        "A": [range(1, 15), range(20, 29)],
        "E": [range(1, 13)],
        "R": [range(1, 5)],
        "M": [range(1, 2)],
        "N": [range(1, 11)],
        "T": [range(1, 11)],
        "O": [range(1, 9)],
        "K": [range(1, 3)],
        "G": [range(1, 17)],
    }.items()
    for numbers in ranges
    for number in numbers
]
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


@cache
def functions(path: str) -> frozenset[str]:
    """The test functions of a file."""
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


@cache
def rows() -> list[list[str]]:
    """The cells of the rows that have four: those of the lines, not those of what was open."""
    lines = PAGE.read_text(encoding="utf-8").split("\n")
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [cells for cells in found if len(cells) == 4 and cells[3] != "here"]


def test_every_id_stands_in_the_page_once_and_in_order() -> None:
    assert len(IDS) == 86
    assert [cells[0] for cells in rows() if re.fullmatch(r"[A-Z]\d\d", cells[0])] == IDS


@pytest.mark.parametrize("cells", rows(), ids=lambda cells: cells[0])
def test_what_a_row_names_is_there(cells: list[str]) -> None:
    id, says, where, here = cells
    named = NAMED.findall(where)
    assert says and named
    assert where == "<br>".join(f"`{path}::{name}`" for path, name in named), "nothing but tests"
    for path, name in named:
        assert name in functions(path), f"{path} has no {name}"
        if id in IDS:
            assert name.startswith(f"test_{id}_")
    assert here.startswith(("same", "otherwise"))
    assert not here.startswith("otherwise") or len(here) > 20, "and why"


def test_every_test_with_an_id_stands_in_its_row() -> None:
    told = {name for cells in rows() for _, name in NAMED.findall(cells[2])}
    for path in (TESTS / "checklist").glob("test_*.py"):
        for name in functions(f"checklist/{path.name}"):
            if name.startswith("test_") and path.name != "test_page.py":
                assert name in told, f"{path.name} has {name}, and the page does not tell of it"
