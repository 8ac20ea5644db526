"""The example of a tree search: run as it stands, and what it says of itself."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from examples.tree_search import ANSWER, QUESTION, judge, main


def test_the_search_is_drawn_and_goes_on_from_its_dump(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    picture = tmp_path / "tree.svg"
    main(str(picture))
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[0] == QUESTION
    assert lines[1].startswith(f"{ANSWER} (min_confidence was reached: 1")
    assert lines[3].startswith(f"root {QUESTION}")
    assert sum(line.endswith("* best") for line in lines) == 1
    assert any("hasty" in line for line in lines) and any("careful" in line for line in lines)
    assert f"  {ANSWER} with 1.000, by careful" in lines
    assert "Stopped after 6, dumped, loaded and gone on with: the same tree." in lines
    assert ElementTree.fromstring(picture.read_text(encoding="utf-8")).tag.endswith("svg")


def test_the_judge_says_what_is_wrong() -> None:
    assert judge(ANSWER) == (1, "that is it")
    assert judge("3140") == (1 - 1 / 12, "in 3140 these are wrong: 4")
    assert judge("9999")[0] == 0
