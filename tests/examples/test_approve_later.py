"""The recipe for approvals that take days: run as it stands, and then what it refuses."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from examples.approve_later import Answer, Application, change
from tako import InvalidInput

ROOT = Path(__file__).parents[2]
KEY = "a key that is long enough"


def test_a_run_is_approved_in_another_process_than_the_killed_one_it_was_begun_in() -> None:
    keyless = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    done = subprocess.run(
        [sys.executable, "-m", "examples.approve_later"],
        cwd=ROOT,
        env=keyless,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    expected = [
        ("ask ", "status: approval_required", '  call: refund {"order_number": "A-17", "cents": 4200}\n'),
        ("somebody changes 4200 to 9900",),
        ("decide ", "status: refused", "  why: the seal of this run is not right"),
        ("somebody changes 9900 to 4200",),
        ("show ", "status: approval_required", "digest: "),
        ("decide ", "status: stop", "  text: It is done: 42.00 were paid back for order A-17.\n"),
        ("decide ", "status: refused", "  why: there is no run "),
        ("refunds: [('A-17', 4200)]",),
    ]
    parts = done.stdout.strip().split("\n\n")
    for part, (begin, *words) in zip(parts, expected, strict=True):
        assert part.startswith(begin)
        assert all(word in part for word in words), part
        if words:
            assert part.endswith("(its process is gone: SIGKILL)")


@pytest.fixture
def application(tmp_path: Path) -> Application:
    return Application(tmp_path / "application.db", KEY)


def decide(application: Application, asked: Answer, allow: bool = True, **changed: str) -> Answer:
    """Send back what was shown, but for what somebody changed."""
    sent = {name: str(asked[name]) for name in ("id", "call_id", "digest")}
    return application.decide(**{"owner": "ada", **sent, **changed}, allow=allow)


def refunds(application: Application) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(application.database)) as rows:
        return rows.execute("SELECT * FROM refunds").fetchall()


def test_a_denial_is_read_by_the_model_and_nothing_is_paid(application: Application) -> None:
    asked = application.ask("ada", "I want my money.")
    assert decide(application, asked, allow=False) == {
        "status": "stop",
        "text": "It is done: approval denied: the owner refused.",
    }
    assert refunds(application) == []


def test_a_decision_of_somebody_else_or_on_another_call_is_refused(application: Application) -> None:
    asked = application.ask("ada", "I want my money.")
    with pytest.raises(LookupError, match="waits for eve"):
        decide(application, asked, owner="eve")
    with pytest.raises(LookupError, match="waits for eve"):
        application.show("eve", str(asked["id"]))
    with pytest.raises(InvalidInput, match="for other arguments"):
        decide(application, asked, digest="0" * 64)
    with pytest.raises(InvalidInput, match="no call 'call_2'"):
        decide(application, asked, call_id="call_2")
    assert refunds(application) == []
    assert decide(application, asked)["status"] == "stop"  # none of that has done any harm
    assert refunds(application) == [("A-17", 4200)]


def test_a_run_that_was_changed_or_robbed_of_its_seal_is_refused(application: Application) -> None:
    asked = application.ask("ada", "I want my money.")
    change(application.database, 4200, 9900)
    with pytest.raises(InvalidInput, match="the seal of this run is not right"):
        decide(application, asked)
    change(application.database, 9900, 4200)
    unsealed = application.agent.load(stored(application), KEY).dumps()
    with closing(sqlite3.connect(application.database)) as rows, rows:
        rows.execute("UPDATE waiting SET run = ?", (unsealed,))
    with pytest.raises(InvalidInput, match="not sealed"):
        decide(application, asked)
    with pytest.raises(InvalidInput, match="the seal of this run is not right"):
        sealed = application.agent.load(unsealed).dumps("another key of that length")
        application.agent.load(sealed, KEY)
    assert refunds(application) == []


def stored(application: Application) -> str:
    with closing(sqlite3.connect(application.database)) as rows:
        [(run,)] = rows.execute("SELECT run FROM waiting").fetchall()
    return str(run)
