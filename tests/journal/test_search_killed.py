"""A journalled AbMcts, killed at ten random points, finishes with the tree of the one that was not killed.

Run by itself this file is what is killed: `python test_search_killed.py directory` makes a process for each
life of one search. A life that is to be killed is killed by another process when its journal has grown to so
many bytes, whatever its threads are doing then. From what it leaves two go on: one that is let come to its
end, on a copy, and the next one to be killed. Processes are forked, so that the imports are done once.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

import pytest

from tako.errors import TransportError
from tako.journal import Journal
from tako.orchestrators.ab_mcts import AbMcts, SearchRun
from tako.providers.fake import Fake
from tako.testing import Simulator

ROOT = Path(__file__).parents[2]
POINTS = 10
BATCH = 3
SLOW = 50.0
"""Milliseconds of an answer where somebody is to be killed: a busy machine may keep the killer waiting."""


def searcher(
    note: Callable[[str], object] = lambda done: None, delay_ms: float = 0, seed: int | None = 5
) -> AbMcts:
    """Two candidates and a judge that note what they do; each fifth question or so gets no answer.

    What they say follows from what they were asked, and says what that was.
    """

    def candidate(name: str) -> Fake:
        def answer(request: Any) -> str:
            asked = crc32("\n".join([name, *[message.text for message in request.messages]]).encode())
            note(f"{name} {asked}")
            if asked % 5 == 0:
                raise TransportError(f"{name} {asked}")
            return f"{name} {asked}"

        return Fake(id=name, script=answer, delay_ms=delay_ms)

    def judge(text: str) -> float:
        note(f"judge {text}")
        return crc32(text.encode()) % 97 / 100

    return AbMcts(
        candidates=[candidate("a"), candidate("b")],
        verifier=judge,
        seed=seed,
        batch_size=BATCH,
        max_iterations=12,
        branching_factor=2,
        min_confidence=None,
    )


def kept_in(path: Path) -> Counter[str]:
    """The calls that have given something, as `note` would have said it."""
    journal = Journal(path)
    answers = [step.text for step in journal.steps() if step.response is not None]
    scores = [f"judge {entry.asked['text']}" for entry in journal.entries() if entry.kind == "score"]
    return Counter([*answers, *scores])


def require_nothing_twice(kept: Counter[str], made: Counter[str], needed: Counter[str]) -> None:
    """What was finished is not made again; a failure may be, while nothing is built on it, but once."""
    failures = {call for call in needed if not call.startswith("judge") and not int(call.split()[1]) % 5}
    for call in {*made, *needed}:
        if call in failures:
            assert made[call] <= needed[call], call
        else:
            assert made[call] + kept[call] == needed[call], call


def outcome(run: SearchRun) -> dict[str, Any]:
    """All that is in a search, but for its name, which chance gave it."""
    data: dict[str, Any] = json.loads(run.dumps())
    del data["run_id"]
    return data


# What is killed.


def live(path: Path, log: Path, end: Path, delay_ms: float = 0) -> None:
    """Bring the search to its end, note in `log` what is done, and write `end`."""
    with open(log, "ab", buffering=0) as file:
        agent = searcher(lambda done: file.write(f"{done}\n".encode()), delay_ms)
        end.write_text(agent.run_sync("Why?", journal=Journal(path)).search.dumps())


def forked(*life: Any) -> int:
    """A process that lives it."""
    if process := os.fork():
        return process
    status = 1
    try:
        live(*life)
        status = 0
    finally:
        os._exit(status)


def killed(process: int, path: Path, size: int) -> int:
    """Kill the process when its journal is so large; its exit code."""
    while not path.exists() or path.stat().st_size < size:
        time.sleep(0.0005)
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
    os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def all_lives(directory: Path) -> None:
    """One search that is not killed, then another that is, at one point after the other."""
    whole = directory / "whole.jsonl"
    live(whole, directory / "whole.log", directory / "whole.end")  # not forked: imports the rest for all
    assert threading.active_count() == 1
    size = whole.stat().st_size
    first = sum(len(line) for line in whole.read_bytes().splitlines(keepends=True)[:3])
    path = directory / "run.jsonl"
    codes = []
    for number, point in enumerate(sorted(Random(6).sample(range(first, size * 4 // 5), POINTS))):
        process = forked(path, directory / "killed.log", directory / "never.end", SLOW)
        codes.append(killed(process, path, point))
        copy = directory / f"{number}.jsonl"
        shutil.copy(path, copy)
        shutil.copy(path, directory / f"{number}.left.jsonl")
        os.waitpid(forked(copy, directory / f"{number}.log", directory / f"{number}.end"), 0)
    print(json.dumps(codes))


# What comes of it.


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork, and no kill -9")
def test_killed_at_ten_random_points_it_finishes_with_the_same_tree(tmp_path: Path) -> None:
    """And no call that was finished is made again."""
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == [-signal.SIGKILL] * POINTS
    assert not (tmp_path / "never.end").exists()
    expected = SearchRun.loads((tmp_path / "whole.end").read_text())
    needed = Counter((tmp_path / "whole.log").read_text().splitlines())
    nodes = expected.tree.nodes[1:]  # both candidates, answers that go on from others, and failures
    assert {node.action for node in nodes} == {"a", "b"} and max(node.depth for node in nodes) > 2
    assert any(node.error for node in nodes)
    ended = [SearchRun.loads((tmp_path / f"{number}.end").read_text()) for number in range(POINTS)]
    left = [kept_in(tmp_path / f"{number}.left.jsonl") for number in range(POINTS)]
    for number in range(POINTS):
        assert ended[number].tree.dumps() == expected.tree.dumps()
        assert outcome(ended[number]) == outcome(expected)  # what was used, too
        made = Counter((tmp_path / f"{number}.log").read_text().splitlines())
        require_nothing_twice(left[number], made, needed)
    assert len({run.dumps() for run in ended}) == 1  # they went on from one search, and are one
    progress = [kept.total() for kept in left]
    assert progress == sorted(progress) and len(set(progress)) > POINTS // 2


def test_torn_anywhere_its_journal_leads_to_the_same_tree(tmp_path: Path) -> None:
    """What a kill -9 can leave of a line, and a full disk as well. Its seed is in the journal, too."""
    path, torn = tmp_path / "run.jsonl", tmp_path / "torn.jsonl"

    def run(world: int, note: Callable[[str], object], path: Path) -> SearchRun:
        result = Simulator(world).run(searcher(note, seed=None), "Why?", journal=Journal(path, sync="off"))
        return result.search

    needed: list[str] = []
    expected = run(0, needed.append, path)
    lines = path.read_bytes().splitlines(keepends=True)
    data, seeded = b"".join(lines), next(n for n, line in enumerate(lines) if b'"at":[1]' in line) + 1
    assert outcome(run(1, str, tmp_path / "other.jsonl")) != outcome(expected)
    for world in range(1, POINTS):
        torn.write_bytes(data[: Random(world).randrange(sum(map(len, lines[:seeded])), len(data))])
        kept, made = kept_in(torn), list[str]()
        assert run(world, made.append, torn).dumps() == expected.dumps()
        require_nothing_twice(kept, Counter(made), Counter(needed))


if __name__ == "__main__":
    all_lives(Path(sys.argv[1]))
