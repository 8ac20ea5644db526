"""The stores: what a killed process leaves, who may write, and what is no journal."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tako.effects import Call
from tako.errors import InvalidInput, TransportError
from tako.journal import Ended, Entry, Journal, JournalError, JournalMismatch, kept_in
from tako.journal.entry import line_of, read_line
from tako.journal.failures import failure_of, json_of_failure
from tako.journal.store import HEAD
from tako.orchestrators.single_agent import SingleAgent
from tako.providers.fake import Fake
from tests.effort import examples
from tests.journal.killed import agent
from tests.orchestrators.kit import replied

ROOT = Path(__file__).parents[2]
SUFFIXES = ["jsonl", "sqlite"]


def recorded(journal: Journal, text: str = "hi") -> Any:
    return SingleAgent(Fake(text)).run_sync("go", journal=journal)


def in_another_process(path: Path, log: Path, die_at: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, str(ROOT / "tests" / "journal" / "killed.py"), str(path), str(log), die_at]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)


def test_a_process_that_is_killed_leaves_a_journal_from_which_another_goes_on(tmp_path: Path) -> None:
    """kill -9 while something is done: that is done again, and nothing else. For a file, see the example."""
    path, log, die_at = tmp_path / "run.sqlite", tmp_path / "log", "tool 1.1"
    died = in_another_process(path, log, die_at)
    assert died.returncode == -9, died.stderr
    before = Counter(log.read_text().split("\n"))
    journal = Journal(path)
    assert not journal.is_finished
    expected = agent(str(tmp_path / "other")).run_sync("go")
    assert agent(str(log)).run_sync("go", journal=journal) == expected
    done = Counter(log.read_text().split("\n"))
    assert done[die_at] == 2
    assert [what for what, times in done.items() if times > 1 and what] == [die_at]
    assert before[die_at] == 1
    assert journal.is_finished


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_journal_is_written_by_one_run_at_a_time(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"run.{suffix}"
    recording = Journal(path).open()
    with pytest.raises(JournalError, match="being written by another run"):
        recorded(Journal(path))
    assert Journal(path).entries() == []  # reading is free
    recording.close()
    assert recorded(Journal(path)).text == "hi"


def test_two_runs_that_share_one_journal_are_told_so(tmp_path: Path) -> None:
    """The same object, in two threads: the first has it, the second does nothing."""
    for journal in (Journal.memory(), Journal(tmp_path / "run.jsonl"), Journal(tmp_path / "run.db")):
        nested: list[str] = []

        def answer(request: Any, journal: Journal = journal, nested: list[str] = nested) -> str:
            with pytest.raises(JournalError, match="wait for it, or give this run a journal of its own"):
                recorded(journal, "second")
            nested.append("tried")
            return "first"

        assert SingleAgent(Fake(script=answer)).run_sync("go", journal=journal).text == "first"
        assert nested == ["tried"]
        assert journal.result == Ended("first", "stop", 1)


def test_a_journal_that_is_had_too_late_is_let_go() -> None:
    """A cancelled run leaves the thread behind that was about to open it."""
    journal = Journal.memory()
    flow = kept_in(journal, lambda: SingleAgent(Fake("hi")).flow("go"))
    effect = next(flow)
    assert isinstance(effect, Call)
    flow.close()
    effect.function(*effect.arguments)
    assert recorded(journal).text == "hi"


def test_what_was_put_off_is_written_before_what_builds_on_it() -> None:
    """Also where another flow has already taken it with it, and its own write comes later."""
    journal = Journal.memory()
    recording = journal.open()
    recording.put_off(Entry((1, 1, 1), "now", value=5.0))
    first, second = (recording.keep([Entry((1, place, 2), "work")]) for place in (0, 1))
    calls = [next(first), next(second)]
    for call in reversed(calls):
        assert isinstance(call, Call)
        call.function(*call.arguments)
        assert (1, 1, 1) in {entry.at for entry in journal.entries()}
    for flow in (second, first):
        with pytest.raises(StopIteration):
            flow.send(None)
    (call,) = recording.keep([Entry((2,), "work")])
    assert isinstance(call, Call)
    assert len(call.arguments[0]) == 1


def test_a_database_holds_many_runs_which_write_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    first, second = Journal(path, run="a"), Journal(path, run="b")
    recording = first.open()
    assert recorded(second, "from b").text == "from b"
    recording.close()
    assert recorded(first, "from a").text == "from a"
    assert [first.result.text, second.result.text] == ["from a", "from b"]  # type: ignore[union-attr]
    assert Journal(path, run="c").entries() == []
    assert [name for name in os.listdir(tmp_path) if name.endswith(".lock")] == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_threads_append_side_by_side(tmp_path: Path, suffix: str) -> None:
    journal = Journal(tmp_path / f"run.{suffix}", sync="off")
    recording = journal.open()
    writer = recording.writer
    assert writer is not None

    def append(thread: int) -> None:
        for number in range(1, 21):
            writer.append([line_of(Entry((thread, 0, number), "x", value="y" * 3000))])

    threads = [threading.Thread(target=append, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recording.close()
    assert {entry.at for entry in journal.entries()} == {(t, 0, n) for t in range(8) for n in range(1, 21)}
    assert len(journal.entries()) == 160


def test_a_file_cut_at_any_byte_is_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    expected = recorded(Journal(path, sync="off"))
    data = path.read_bytes()
    whole = [index + 1 for index, byte in enumerate(data) if byte == 10]
    model = Fake("hi")
    for size in range(0, len(data), 41):
        path.write_bytes(data[:size])
        journal = Journal(path, sync="off")
        assert len(journal.entries()) == max(0, sum(end <= size for end in whole) - 1)
        before, kept = model.call_count, len(journal.steps())
        assert SingleAgent(model).run_sync("go", journal=journal) == expected
        assert model.call_count - before == 1 - kept
        assert len(journal.steps()) == 1
        assert journal.is_finished


@given(st.integers(0, 400), st.integers(1, 255))
@settings(max_examples=examples(0.5))
def test_a_changed_byte_is_seen(place: int, change: int) -> None:
    line = line_of(Entry((1, 2, 3), "model", "d" * 32, {"asked": "é" * 50}, {"x": [1, None, "y\u2028"]}))
    changed = bytearray(line)
    changed[place % len(line)] ^= change
    assert read_line(line) is not None
    assert read_line(bytes(changed)) is None


def test_a_line_in_the_middle_that_was_changed_is_an_error_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    recorded(Journal(path))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[2].replace(b"hi", b"ho"), *lines[3:]]))
    with pytest.raises(JournalError, match="line 3 is not as it was written"):
        recorded(Journal(path))
    with pytest.raises(JournalError, match="line 3"):
        Journal(path).steps()


@pytest.mark.parametrize("content", [b"some text of mine\n", b"\x00" * 100, HEAD[:-1] + b"\r\n", HEAD[5:]])
def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_bytes(content)
    words = "another version of tako" if content.startswith(b'{"tako') else "no journal"
    with pytest.raises(JournalError, match=words):
        recorded(Journal(path))
    assert path.read_bytes() == content


def test_a_journal_of_another_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(content := b'{"tako_journal":2}\n{"more":1}\n')
    with pytest.raises(JournalError, match=r"run\.jsonl was written by another version of tako.* its own"):
        recorded(Journal(path))
    assert path.read_bytes() == content


def test_a_database_that_is_none_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_bytes(b"some text of mine, longer than a head of sqlite is\n" * 10)
    with pytest.raises(JournalError, match="not a database"):
        recorded(Journal(path))


def test_an_entry_of_a_database_that_was_changed_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    recorded(Journal(path))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE tako_journal SET entry = substr(entry, 1, 20)")
    with pytest.raises(JournalError, match="as it was written"):
        Journal(path).entries()


@pytest.mark.parametrize("path", ["nowhere/run.jsonl", "nowhere/run.db"])
def test_a_place_that_is_not_there_is_said(tmp_path: Path, path: str) -> None:
    with pytest.raises(JournalError, match="cannot be opened: No such file"):
        recorded(Journal(tmp_path / path))
    with pytest.raises(JournalError, match="cannot be read: No such file"):
        Journal(tmp_path / path).entries()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device without room")
def test_a_run_whose_entries_cannot_be_written_ends() -> None:
    model = Fake("hi")
    with pytest.raises(JournalError):
        SingleAgent(model).run_sync("go", journal=Journal.file("/dev/full"))
    assert model.call_count == 0


@pytest.mark.skipif(os.name != "posix", reason="modes")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_journal_is_for_its_owner_alone(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"run.{suffix}"
    recorded(Journal(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_begins_with_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "run"
    recorded(Journal.file(path))
    assert path.read_bytes().startswith(HEAD)
    recorded(Journal.sqlite(tmp_path / "base"))
    assert Journal.sqlite(tmp_path / "base").is_finished


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Journal("run.txt"), r"path should end in \.jsonl"),
        (lambda: Journal(5), "path should be the path of a file, not 5"),  # type: ignore[arg-type]
        (lambda: Journal(""), "path should be"),
        (lambda: Journal("a\0b.jsonl"), "path should be"),
        (lambda: Journal("a\ud800.db"), "path should be"),
        (lambda: Journal("run.jsonl", run="a"), "a .jsonl file holds one run"),
        (lambda: Journal("run.db", run="../x"), "run should be a name"),
        (lambda: Journal("run.jsonl", sync="maybe"), "sync should be"),  # type: ignore[arg-type]
        (lambda: Journal("run.jsonl", secrets="abcdef"), "secrets should be a list"),
        (lambda: Journal("run.jsonl", secrets=["abc"]), r"secrets\[0\] should be text of at least 6"),
    ],
)
def test_wrong_arguments_are_named(make: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        make()


def test_nothing_is_touched_before_its_first_use(tmp_path: Path) -> None:
    Journal(tmp_path / "run.jsonl"), Journal(tmp_path / "run.db")
    assert os.listdir(tmp_path) == []


def test_failures_come_back_as_they_were() -> None:
    error = TransportError(
        "gone", provider="p", phase="body", status=502, retry_after=1.5, partial=replied("half"), code="c"
    )
    again = failure_of(json_of_failure(error))
    assert type(again) is TransportError
    assert again.partial == error.partial
    assert (again.message, again.provider, again.phase, again.status, again.retry_after, again.code) == (
        "gone", "p", "body", 502, 1.5, "c",
    )  # fmt: skip
    assert type(failure_of(json_of_failure(JournalMismatch("x")))) is InvalidInput
