"""Command: the answer in a file, a process that judges it, and nothing of either left behind."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import tako_io_asyncio
import tako_io_sync
import tako_io_trio
from tako.cancellation import CancellationToken
from tako.effects import Call, Flow
from tako.errors import Cancelled, InvalidInput, TakoError
from tako.testing import ANY, Playbook, Simulator
from tako.verifiers import Candidate, Command, Score
from tako.verifiers.command import Ended
from tests.tools.builtin.bash_kit import WITNESS, alive, needs_proc, nothing_left_behind, until
from tests.verifiers.kit import TASK, score

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")

ARMS: dict[str, Callable[[Flow[Any], CancellationToken], Any]] = {
    "sync": lambda flow, token: tako_io_sync.run(flow, cancel=token),
    "trio": lambda flow, token: trio.run(lambda: tako_io_trio.run(flow, cancel=token)),
    "asyncio": lambda flow, token: asyncio.run(tako_io_asyncio.run(flow, cancel=token)),
}
AT_ONCE = 1.0
"""Seconds that a cancel may take on a busy machine; the command would go on for sixty."""

SH = ["sh", "{file}"]
PYTHON = [sys.executable, "-S", "-E"]


def shell(**options: Any) -> Command:
    """Runs the answer as a script of the shell, which starts quickly."""
    return Command(SH, **{"filename": "answer.sh", **options})


def played(verifier: Command, text: str, ended: Ended) -> Score:
    """The score if the command ends so; nothing is run."""
    playbook = Playbook(verifier.score_flow(Candidate(TASK, text)))
    score: Score = playbook.expect(Call(ANY, ANY, ANY, "cancel"), reply=ended).returns()
    return score


def given_to(verifier: Command, text: str) -> str:
    """What would be written into the answer's file."""
    playbook = Playbook(verifier.score_flow(Candidate(TASK, text))).expect(Call)
    assert isinstance(playbook.effect, Call)
    playbook.close()
    return str(playbook.effect.arguments[1])


@contextmanager
def no_directory_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert list(tmp_path.iterdir()) == []


# What is run, and what its end means: no process.


def test_the_code_of_an_answer_is_its_longest_block_and_text_is_all() -> None:
    text = "Run `f`:\n```sh\nf\n```\n```py\ndef f(): ...\n```"
    assert given_to(shell(), text) == "def f(): ...\n"
    assert given_to(shell(extract="text"), text) == text
    assert given_to(shell(), "exit 0") == "exit 0"


@pytest.mark.parametrize(
    ("ended", "expected", "reason"),
    [
        (Ended(0, "2 passed\n"), 1.0, "2 passed"),
        (Ended(1, "1 failed\n"), 0.0, "exit code 1\n1 failed"),
        (Ended(-11, ""), 0.0, "killed by signal 11"),
        (Ended(-1, "so far", "timed out after 300 ms"), 0.0, "the command timed out after 300 ms\nso far"),
        (Ended(0, "x" * 9_000 + "end"), 1.0, "x" * 1_997 + "end"),
    ],
)
def test_the_exit_code_is_the_score_and_the_end_of_the_output_the_reason(
    ended: Ended, expected: float, reason: str
) -> None:
    assert played(shell(), "", ended) == Score(value=expected, reason=reason)


@pytest.mark.parametrize(
    ("pattern", "output", "expected"),
    [
        (r"(\d+) of (\d+) passed", "1 of 9 passed\n7 of 10 passed\n", 0.7),
        (r"score: (\S+)", "score: 0.25", 0.25),
        (r"score: (\S+)", "score: 85%", 0.85),
        (r"score: (\S+)", "Segmentation fault", 0.0),
    ],
)
def test_a_score_is_found_in_the_output_whatever_the_exit_code(
    pattern: str, output: str, expected: float
) -> None:
    assert played(shell(score=pattern), "", Ended(1, output)).value == expected


@pytest.mark.parametrize("output", ["3 of 0 passed", "3 of 2 passed"])
def test_what_is_found_and_is_no_score_is_an_error(output: str) -> None:
    flow = shell(score=r"(\d+) of (\d+) passed").score_flow(Candidate(TASK, ""))
    Playbook(flow).expect(Call, reply=Ended(0, output)).raises(TakoError, r"score found '3/\d' in the output")


def test_a_function_may_read_the_output() -> None:
    verifier = shell(score=lambda output: (output.count("ok") / 4, "counted"))
    playbook = Playbook(verifier.score_flow(Candidate(TASK, "")))
    playbook.expect(Call, reply=Ended(1, "ok ok\n")).expect(Call)
    assert isinstance(playbook.effect, Call)
    assert playbook.effect.arguments == ("ok ok\n",)
    playbook.close()
    stopped = played(verifier, "", Ended(-1, "ok ok ok ok", "timed out after 1 ms"))
    assert stopped.value == 0.0  # what was stopped has not passed


# What a command sees, and what becomes of it: processes.


def test_it_runs_beside_its_files_in_a_private_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"tests/test_it.py": "from answer import f\nassert f(3) == 9\nimport os\nprint(os.getcwd())"}
    command = [*PYTHON, "-c", "import runpy, sys; sys.path[:0] = ['']; runpy.run_path('tests/test_it.py')"]
    with no_directory_left(tmp_path, monkeypatch):
        said = score(Command(command, files=files), "```py\ndef f(x):\n    return x * x\n```")
        assert said.value == 1.0, said.reason
        assert said.reason.startswith(f"{tmp_path}/tako-")


def test_a_failed_test_is_a_nought_with_what_it_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with no_directory_left(tmp_path, monkeypatch):
        said = score(shell(), "echo to stdout; echo to stderr >&2; exit 3")
    assert said == Score(value=0.0, reason="exit code 3\nto stdout\nto stderr")


def test_it_may_run_elsewhere_and_finds_its_file_all_the_same(tmp_path: Path) -> None:
    said = score(shell(directory=str(tmp_path)), "pwd; cat $0 | wc -l; test -d {directory}")
    assert said.reason.split("\n")[1:3] == [str(tmp_path), "0"]
    there = Command(["test", "-f", "{directory}/answer.sh"], filename="answer.sh")
    assert score(there, "x").value == 1.0


def test_secrets_of_the_program_stay_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_TAKO_API_KEY", "secret")
    monkeypatch.setenv("OF_TAKO_COLOUR", "blue")
    tells = "echo $OF_TAKO_API_KEY-$OF_TAKO_COLOUR-$MORE"
    assert score(shell(), tells).reason == "-blue-"
    assert score(shell(keep=["OF_TAKO_API_KEY"]), tells).reason == "secret-blue-"
    environ = {"PATH": os.environ["PATH"], "MORE": "more"}
    assert score(shell(environ=environ), tells).reason == "--more"


def test_a_long_output_loses_its_middle() -> None:
    said = score(shell(max_output=40), "echo begin; head -c 100000 /dev/zero | tr '\\0' x; echo end")
    assert said.value == 1.0
    assert "bytes cut" in said.reason
    assert said.reason.endswith("end")
    assert len(said.reason) < 100


@needs_proc
def test_defect_107_out_of_time_leaves_no_grandchildren(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with no_directory_left(tmp_path, monkeypatch), nothing_left_behind() as environ:
        script = "sleep 60 & (setsid sleep 61 &) ; echo started; chmod 000 .; wait"
        said = score(shell(timeout=0.3, environ=environ), script)
        assert said == Score(value=0.0, reason="the command timed out after 300 ms\nstarted")


@needs_proc
@pytest.mark.parametrize("arm", ARMS)
def test_a_cancel_ends_all_of_it_at_once(arm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with no_directory_left(tmp_path, monkeypatch), nothing_left_behind() as environ:
        verifier, token = shell(environ=environ), CancellationToken()
        moments: list[float] = []

        def stop() -> None:
            until(lambda: "sleep" in alive(environ[WITNESS]))
            moments.append(time.monotonic())
            token.cancel()

        canceller = threading.Thread(target=stop)
        canceller.start()
        flow = verifier.score_flow(Candidate(TASK, "(setsid sleep 60 &) ; sleep 61"))
        try:
            with pytest.raises(Cancelled):
                ARMS[arm](flow, token)
            took = time.monotonic() - moments[0]
        finally:
            canceller.join()
        assert took < AT_ONCE


def test_what_was_cancelled_before_is_not_started() -> None:
    from tako.verifiers.command_run import run_command

    token = CancellationToken()
    token.cancel()
    with pytest.raises(Cancelled):
        run_command(None, "", token)  # type: ignore[arg-type]


def test_what_cannot_be_run_is_an_error_and_no_score() -> None:
    for verifier in (Command(["of-tako-there-is-none"]), shell(directory="/of-tako-there-is-none")):
        with pytest.raises(TakoError, match=r"could not be run: .*of-tako-there-is-none"):
            Simulator().run(verifier.score_flow(Candidate(TASK, "")))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Command("pytest -q"), "command should be a list of words"),
        (lambda: Command([]), "command should be a list of words"),
        (lambda: Command(["a", "b\0"]), r"command\[1\] should be text"),
        (lambda: shell(filename="../a"), "filename should name a file below"),
        (lambda: shell(filename="/a"), "filename should"),
        (lambda: shell(filename=""), "filename should"),
        (lambda: shell(files={"a/./b": ""}), "files should name"),
        (lambda: shell(files={"b": b""}), r"files\['b'\] should be text, not bytes"),
        (lambda: shell(files=["b"]), "files should be a dict"),
        (lambda: shell(files={"answer.sh": ""}), "which is the file of the answer"),
        (lambda: shell(files={"answer.sh/b": ""}), "cannot be a file and the directory"),
        (lambda: shell(extract="python"), "extract should be 'code' or 'text'"),
        (lambda: shell(score="("), "score is no regular expression"),
        (lambda: shell(score="a"), "score should have one group"),
        (lambda: shell(score=0.5), "score should be a regular expression"),
        (lambda: shell(directory=""), "directory should be text"),
        (lambda: shell(environ={"A=": "b"}), "environ has a name"),
        (lambda: shell(environ={"A": "\0"}), r"environ\['A'\] should be text"),
        (lambda: shell(environ={"A": ""}, keep=["A"]), "keep chooses"),
        (lambda: shell(keep="HOME"), "keep should be a collection"),
        (lambda: shell(timeout=0), "timeout should"),
        (lambda: shell(timeout=float("inf")), "timeout should"),
        (lambda: shell(max_output=None), "max_output should"),
        (lambda: shell(max_processes=0), "max_processes should"),
        (lambda: shell(max_memory=True), "max_memory should"),
    ],
)
def test_wrong_arguments_are_refused_by_name(make: Callable[[], Command], message: str) -> None:
    with pytest.raises(InvalidInput, match=f"Command: .*{message}"):
        make()
