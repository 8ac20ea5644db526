"""The picture in the documentation is what the code beside it draws."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from tests.test_docs import BLOCK, ROOT

PAGE = ROOT / "docs" / "ab-mcts.md"
PICTURE = Path("images/ab-mcts.svg")


def test_the_picture_of_the_page_is_the_tree_of_its_first_example() -> None:
    """If a drawing has changed on purpose: write `drawn` there."""
    text = PAGE.read_text(encoding="utf-8")
    first = BLOCK.search(text)
    assert first is not None
    module = ModuleType("page")
    exec(compile(first.group(1), str(PAGE), "exec"), module.__dict__)
    drawn = module.__dict__["result"].search.as_svg()
    assert (PAGE.parent / PICTURE).read_text(encoding="utf-8") == drawn
    assert f"]({PICTURE.as_posix()})" in text
