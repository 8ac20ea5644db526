"""Each fuzz target with some random inputs: they stay runnable, and the machines stay unbroken.

`make fuzz` is the real thing, guided by coverage, for a minute each.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TARGETS = sorted((ROOT / "fuzz").glob("fuzz_*.py"))


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.stem)
def test_random_inputs(target: Path) -> None:
    command = [sys.executable, str(target), "--runs", "100", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("100 inputs")


def test_every_decoder_of_a_vendor_has_a_target() -> None:
    """So that a new vendor is fuzzed as well; Azure, Codex and compatible hosts share a decoder."""
    vendors = {path.parent.name for path in (ROOT / "tako" / "providers").glob("*/decode.py")}
    names = {"chat_completions": "openai"}
    assert {names.get(vendor, vendor) for vendor in vendors} <= {path.stem[5:] for path in TARGETS}
