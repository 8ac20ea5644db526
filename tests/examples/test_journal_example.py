"""The example of a journal, run as it stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_killed_run_goes_on_and_sends_no_letter_twice(tmp_path: Path) -> None:
    keyless = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "journal.py"), str(tmp_path / "run.jsonl")],
        cwd=tmp_path,
        env={**keyless, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "A process begins:",
        "  to Ada: The meeting is on Monday.",
        "  killed before the letter to Grace is sent",
        "In the journal: 2 replies of the model, finished: False",
        "Another goes on:",
        "  to Grace: The meeting is on Monday.",
        "  to Mary: The meeting is on Monday.",
        "  Ada, Grace, Mary know of it.",
        "A replay sends nothing:",
        "  the same result: True",
        "What if the model had stopped after Ada?",
        "  I have told Ada; shall I go on?",
        "  step 1, fake:test: Now Ada.",
        "  step 2, fake:test: Now Grace.",
        "  step 3, fake:test: Now Mary.",
        "  step 4, fake:test: Ada, Grace, Mary know of it.",
    ]
