"""The example of the Conductor runs as it stands, without keys."""

from __future__ import annotations

import pytest

from examples import conductor


def test_a_newsroom_writes_something_on_octopuses(capsys: pytest.CaptureFixture[str]) -> None:
    conductor.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "plan 1: The facts first. ['biologist', 'historian']"
    assert lines[1] == (
        "  step1-1 {'worker': 'biologist', 'result': 'Three: two for the gills, one for the rest.'}"
    )
    assert "  step3-2 ERROR {'worker': 'slow joker', 'error': 'it was stopped'}" in lines
    answer = "Three hearts beat in an octopus, as Aristotle half knew. It is armed, not alarmed."
    assert answer in lines
    assert "writer:step2-1: An octopus has three hearts. Aristotle wrote of it." in lines
    assert lines[-1].endswith("[['done', 'done'], ['done'], ['done', 'cancelled'], []]")
