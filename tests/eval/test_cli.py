"""The command line, as somebody at a terminal would use it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tako.errors import InvalidInput
from tako.eval import EvalReport, as_html, cli, load_jsonl

AGENT = "tests.eval.agents:make_agent()"


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    file = tmp_path / "some.jsonl"
    lines = [
        {"id": "a", "prompt": "say a", "expected_substring": "a"},
        {"id": "line\u2028end", "prompt": "say b", "expected_substring": "c"},
    ]
    file.write_text("\n\n".join([json.dumps(line, ensure_ascii=False) for line in lines]) + "\n", "utf-8")
    return file


def test_defect_106_it_can_be_run_as_a_module(tasks: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    command = [sys.executable, "-m", "tako.eval", "--orch", AGENT, "--dataset", str(tasks), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{AGENT} on some: pass@1 50.0% (2 tasks, 2 attempts)")
    report = EvalReport.model_validate_json(out.read_text())
    assert [result.passes for result in report.task_results] == [1, 0]


def test_both_reports_are_written_and_a_share_can_be_asked_for(
    tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--orch", AGENT, "--dataset", str(tasks), "--limit", "1", "--k", "2", "--quiet"]
    files = [tmp_path / "r.json", tmp_path / "r.html"]
    for file in files:
        arguments += ["--out", str(file)]
    assert cli([*arguments, "--fail-under", "1.0"]) == 0
    assert all(file.stat().st_size for file in files)
    assert "pass@2 100.0% (1 tasks, 2 attempts)" in capsys.readouterr().out
    assert cli(["--orch", AGENT, "--dataset", str(tasks), "--fail-under", "0.9", "--quiet"]) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--orch", "nowhere:agent"], "there is no 'nowhere:agent'"),
        (["--orch", AGENT, "--dataset", "unheard_of"], "unknown dataset 'unheard_of'"),
        (["--orch", AGENT, "--dataset", "missing.jsonl"], "missing.jsonl: No such file"),
        (["--orch", AGENT, "--k", "0"], "k should be a whole number"),
        (["--orch", "tests.eval.agents:broken()"], "could not be made: KeyError: 'OPENAI_API_KEY'"),
        (["--orch", AGENT, "--out", "nowhere/at/all.json"], "there is no folder 'nowhere/at'"),
        (["--orch", AGENT, "--out", "report.pdf"], "as .json or .html, and not as 'report.pdf'"),
        (["--orch", AGENT, "--fail-under", "90"], "should be a share from 0 to 1, not 90"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli([*arguments, "--quiet"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("tako.eval: ")
    assert words in said
    assert said.count("\n") == 1


def test_ctrl_c_ends_with_a_report_on_what_was_done(tasks: Path, tmp_path: Path) -> None:
    out, before = tmp_path / "report.json", signal.getsignal(signal.SIGINT)
    arguments = ["--dataset", str(tasks), "--attempts", "50", "--concurrency", "1", "--out", str(out)]
    assert cli(["--orch", "tests.eval.agents:interrupts", "--quiet", *arguments]) == 130
    report = EvalReport.model_validate_json(out.read_text())
    assert 50 <= report.total_attempts < report.planned_attempts == 100
    assert report.task_results[0].passes == 50
    assert "it was cancelled" in as_html(report)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_file_from_windows_is_read_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tasks.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"id": "a", "prompt": "p"}\r\n\r\n')
    assert [task.id for task in load_jsonl(file).tasks] == ["a"]
    file.write_bytes(b"\n\n")
    with pytest.raises(InvalidInput, match="has no tasks"):
        load_jsonl(file)


def test_a_line_that_is_no_task_is_named(tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text('{"id": "a", "prompt": "p"}\n{"id": 3}\n')
    with pytest.raises(InvalidInput, match=r"bad\.jsonl, line 2, is no task: "):
        load_jsonl(file)
