"""The example of roles: it runs without a key, and shows who speaks."""

from __future__ import annotations

import pytest

from examples.trinity import main


def test_the_roles_are_shown_as_they_speak(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    three, routed, judged = capsys.readouterr().out.strip().split("\n\n# ")
    speakers = [line.split(" ")[1].rstrip(":") for line in three.split("\n") if line[:1].isdigit()]
    assert speakers == ["thinker", "worker", "verifier"] * 2
    assert "3. verifier: REVISE The arms of an octopus are not legs." in three
    assert three.endswith("-> 20 legs: the octopuses have arms. (stop after 6 steps)")
    assert "1. sums: It is 20." in routed and "1. words: An octopus is a mollusc" in routed
    assert "1. writer: 20.  [0.20: show how you got there]" in judged
    assert judged.endswith("-> 2 * 10 = 20, because octopuses have no legs. (stop after 2 steps)")
