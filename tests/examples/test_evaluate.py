"""The example of an evaluation does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.evaluate import main


def test_it_shows_each_attempt_and_writes_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    assert main(str(page)) == pytest.approx(0.4)
    said = capsys.readouterr().out
    assert "30/30" in said
    assert "four facts on synthetic: pass@2 40.0% (10 tasks, 30 attempts)" in said
    assert "<h1>four facts on synthetic</h1>" in page.read_text()
