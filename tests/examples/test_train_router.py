"""The recipe for a router that learns: run as it stands."""

from __future__ import annotations

import pytest

from examples.train_router import main


def test_it_learns_who_is_good_at_what(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 0
    assert capsys.readouterr().out.splitlines() == [
        "12 rollouts from 24 journals",
        "good answers to new tasks, by the rules: 0 of 2",
        "by what was learned: 2 of 2",
        "'11 people share 40 stamps. How many are left over?' -> calculator",
    ]
