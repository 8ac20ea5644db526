"""The bash tool: by hand, in an agent on the simulator, and on the three arms."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tako.cancellation import CancellationToken
from tako.effects import Flow, Succeeded
from tako.errors import Cancelled, InvalidInput, ToolError
from tako.events import ToolCallStart, ToolProgress
from tako.models import ToolCallPart
from tako.orchestrators.result import RunResult
from tako.orchestrators.single_agent import SingleAgent
from tako.testing import check_history
from tako.tools.builtin.bash import INTERVAL, bash_tool
from tako.tools.builtin.family import Family
from tako.tools.builtin.running import MARK
from tests.contracts.drivers import ARMS, DRIVERS, Driver
from tests.contracts.subjects import ANTHROPIC
from tests.contracts.wires.reply import Reply
from tests.orchestrators.kit import results
from tests.tools.builtin.bash_kit import (
    BUSY_MACHINE,
    LONG,
    WAIT_TO_GO,
    WITNESS,
    alive,
    bash,
    context,
    error_of,
    needs_proc,
    nothing_left_behind,
    result_of,
    until,
)

drivers = pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
arms = pytest.mark.parametrize("driver", ARMS, ids=lambda driver: driver.name)

CANCELLED = "The command was cancelled and stopped. What it had written:\npart\n"


def test_the_result_is_what_was_written_in_the_order_of_arrival() -> None:
    assert result_of("echo one; echo two >&2; echo three") == "one\ntwo\nthree\n"
    assert result_of("true") == "(no output)"


def test_it_runs_in_the_root_and_each_call_in_a_new_shell(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    assert result_of("cd below; x=1; pwd", root=str(tmp_path)) == f"{tmp_path}/below\n"
    assert result_of("pwd; echo x=$x", root=str(tmp_path)) == f"{tmp_path}\nx=\n"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("echo out; exit 3", "Exit code: 3\nout\n"),
        ("false", "Exit code: 1\n(no output)"),
        ("kill -SEGV $$", "Killed by SIGSEGV\n(no output)"),
        ("exit 137", "Exit code: 137 (SIGKILL)\n(no output)"),
        ("exit 255", "Exit code: 255\n(no output)"),
    ],
)
def test_another_code_than_0_is_an_error_that_keeps_the_output(command: str, expected: str) -> None:
    assert error_of(command) == expected


def test_a_mistake_in_the_command_is_told_as_the_shell_tells_it() -> None:
    assert error_of("no-such-program-at-all") == (
        "Exit code: 127\nbash: line 1: no-such-program-at-all: command not found\n"
    )
    assert "syntax error" in error_of("if then")
    assert "bash: line 1: --version: command not found" in error_of("--version")


def test_A25_it_is_a_mutating_tool_with_the_schema_of_the_original() -> None:
    tool = bash_tool(".", timeout=120, max_timeout=600)
    assert (tool.name, tool.tool_class) == ("bash", "mutating")
    schema = tool.schema.input_schema
    assert schema["required"] == ["command"]
    assert set(schema["properties"]) == {"command", "timeout_ms"}
    assert schema["properties"]["timeout_ms"]["default"] == 120_000
    assert all(prop["description"] for prop in schema["properties"].values())
    assert "600,000" in tool.schema.description


@pytest.mark.parametrize("timeout_ms", [0, -1, 2_001, 10**30])
def test_a_time_out_of_range_is_an_error_in_words(timeout_ms: int) -> None:
    with pytest.raises(ToolError, match=r"timeout_ms should be from 1 to 2,000, not "):
        bash("true", timeout_ms=timeout_ms, timeout=1, max_timeout=2)


def test_the_longest_time_is_in_range() -> None:
    assert result_of("echo", timeout_ms=2_000, timeout=1, max_timeout=2) == "\n"


@pytest.mark.parametrize("command", ["", " \n\t"])
def test_an_empty_command_is_an_error(command: str) -> None:
    with pytest.raises(ToolError, match="empty"):
        bash(command)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"root": ""}, "root"),
        ({"root": "a\0b"}, "root"),
        ({"shell": ""}, "shell"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"max_timeout": True}, "max_timeout"),
        ({"timeout": 10, "max_timeout": 5}, r"timeout \(10\)"),
        ({"max_output": 0}, "max_output"),
        ({"max_processes": 0}, "max_processes"),
        ({"max_memory": 1.5}, "max_memory"),
        ({"max_file_size": -1}, "max_file_size"),
        ({"max_total_output": "1"}, "max_total_output"),
        ({"keep": "GITHUB_TOKEN"}, "keep"),
        ({"environ": {}, "keep": ("A",)}, "keep"),
        ({"environ": {"A=B": ""}}, "environ"),
        ({"environ": {"A": "a\0b"}}, "environ"),
    ],
)
def test_a_wrong_argument_is_named_at_construction(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=f"bash: {words}"):
        bash_tool(**{"root": ".", **options})


def test_progress_comes_as_it_is_written_and_not_for_each_line() -> None:
    began = time.monotonic()
    pieces, output = bash("for i in $(seq 60); do echo $i; sleep 0.005; done")
    assert "".join(pieces) == output.value
    assert pieces[0].startswith("1\n") and len(pieces[0]) < 20
    assert 2 < len(pieces) < 3 + (time.monotonic() - began) / INTERVAL
    silent, output = bash("true")
    assert (silent, output.value) == ([], "(no output)")


def test_a_character_is_never_split_between_two_pieces(tmp_path: Path) -> None:
    command = rf"printf 'a\xc3'; {WAIT_TO_GO}; printf '\xa9b\xe2\x82'"
    steps = bash_tool(str(tmp_path))(command, context(), 5_000)
    assert next(steps) == "a"
    (tmp_path / "go").touch()
    assert next(steps)[:2] == "éb"
    with pytest.raises(StopIteration) as stop:
        while True:
            next(steps)
    assert stop.value.value.value == "aéb\ufffd"


def test_a_long_output_keeps_its_beginning_and_its_end() -> None:
    tool = bash_tool(".", max_output=100)
    text = result_of("echo begin; seq 10000; echo end", max_output=100)
    assert text.startswith("begin\n1\n2\n")
    assert text.endswith("\n9999\n10000\nend\n")
    assert "[... 48,804 bytes cut ...]" in text
    assert len(text) < 140
    # The agent does not cut again what was cut here.
    assert tool.max_output is not None and tool.max_output >= 140


@needs_proc
@pytest.mark.parametrize("trap", ["", "trap '' TERM;"], ids=["heeds", "ignores"])
def test_timeouts_keep_what_there_was(trap: str) -> None:
    with nothing_left_behind() as environ:
        began = time.monotonic()
        text = error_of(f"{trap} echo part; sleep 30 & sleep 30", timeout_ms=150, environ=environ)
        assert time.monotonic() - began < LONG
    assert text == "The command timed out after 150 ms. What it had written:\npart\n"


@needs_proc
def test_the_time_is_over_also_when_nobody_reads_the_progress() -> None:
    with nothing_left_behind() as environ:
        steps = bash_tool(".", environ=environ)("echo part; sleep 30", context(), 150)
        assert next(steps) == "part\n"
        witness = environ[WITNESS]
        assert alive(witness)
        until(lambda: not alive(witness))
        with pytest.raises(StopIteration) as stop:
            next(steps)
    assert stop.value.value.value == "The command timed out after 150 ms. What it had written:\npart\n"


@needs_proc
@pytest.mark.parametrize("trap", ["", "trap '' TERM;"], ids=["heeds", "ignores"])
def test_a_cancel_while_it_waits_stops_everything_at_once(trap: str) -> None:
    token = CancellationToken()
    with nothing_left_behind() as environ:
        steps = bash_tool(".", environ=environ)(
            f"{trap} echo part; sleep 30 & sleep 30", context(token), 5_000
        )
        assert next(steps) == "part\n"
        cancelled_at = 0.0

        def cancel() -> None:
            nonlocal cancelled_at
            cancelled_at = time.monotonic()
            token.cancel()

        timer = threading.Timer(0.05, cancel)
        timer.start()
        with pytest.raises(StopIteration) as stop:
            next(steps)
        late = time.monotonic() - cancelled_at
        timer.join()
    assert late < 0.05 + BUSY_MACHINE
    assert stop.value.value.is_error
    assert stop.value.value.value == CANCELLED


@needs_proc
@pytest.mark.parametrize("how", ["thrown", "closed", "collected"])
def test_a_cancel_between_two_steps_stops_everything_at_once(how: str) -> None:
    with nothing_left_behind() as environ:
        steps = bash_tool(".", environ=environ)("echo part; sleep 30 & sleep 30", context(), 5_000)
        next(steps)
        began = time.monotonic()
        if how == "thrown":
            with pytest.raises(StopIteration) as stop:
                steps.throw(Cancelled())
            assert stop.value.value.value == CANCELLED
        elif how == "closed":
            steps.close()
        del steps
        assert time.monotonic() - began < 0.05 + BUSY_MACHINE


@needs_proc
def test_work_that_was_done_is_not_forgotten_when_it_is_cancelled() -> None:
    environ = {"PATH": os.environ["PATH"], WITNESS: uuid4().hex}
    steps = bash_tool(".", environ=environ)("echo done", context(), 5_000)
    assert next(steps) == "done\n"
    until(lambda: not alive(environ[WITNESS]))
    with pytest.raises(StopIteration) as stop:
        steps.throw(Cancelled())
    assert (stop.value.value.is_error, stop.value.value.value) == (False, "done\n")


def test_a_cancelled_call_starts_nothing(tmp_path: Path) -> None:
    token = CancellationToken()
    token.cancel()
    with pytest.raises(Cancelled):
        bash("touch begun", root=str(tmp_path), cancel=token)
    assert list(tmp_path.iterdir()) == []


@needs_proc
def test_what_is_left_in_the_background_is_stopped_and_named() -> None:
    with nothing_left_behind() as environ:
        began = time.monotonic()
        text = result_of("sleep 30 & sleep 31 >/dev/null 2>&1 & echo here; exit", environ=environ)
        assert time.monotonic() - began < LONG
    assert text == "here\n[still running in the background, and stopped: sleep, sleep]"


@needs_proc
def test_a_command_that_ended_in_time_has_not_timed_out_if_it_is_read_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signal = Family.signal

    def signal_and_wait(family: Family, number: int) -> None:
        signal(family, number)
        time.sleep(0.05)  # until those that it has killed cannot be seen any more

    monkeypatch.setattr(Family, "signal", signal_and_wait)
    with nothing_left_behind() as environ:
        steps = bash_tool(".", environ=environ)("sleep 30 & echo done", context(), 100)
        assert next(steps) == "done\n"
        until(lambda: not alive(environ[WITNESS]))
        with pytest.raises(StopIteration) as stop:
            next(steps)
    assert stop.value.value.value == "done\n[still running in the background, and stopped: sleep]"
    assert not stop.value.value.is_error


def test_a_background_process_may_finish_its_output() -> None:
    assert result_of("(sleep 0.1; echo later) & echo now") == "now\nlater\n"


def test_without_bash_the_command_runs_in_sh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path))
    said = error_of("shift 5 5; missing", environ={})
    assert "sh: " in said
    assert "bash" not in said


def test_a_shell_that_there_is_not_is_an_error() -> None:
    with pytest.raises(ToolError, match="there is no shell 'no-such-shell'"):
        bash("true", shell="no-such-shell")


def test_another_shell_can_be_chosen() -> None:
    assert result_of("echo $0", shell="/bin/sh") == "sh\n"


def test_marks_of_commands_around_this_one_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, "outer")
    for options in ({}, {"environ": {"PATH": os.environ["PATH"]}}):
        outer, _, inner = result_of(f"echo ${MARK}", **options).strip().partition(":")
        assert outer == "outer"
        assert len(inner) == 16


# In an agent: on the simulator and on the arms.


class Play:
    """An agent whose model, at a vendor of the wire, asks for one command and then says "Done."."""

    def __init__(self, command: str, timeout_ms: int = 5_000, **options: Any) -> None:
        call = ToolCallPart(id="1", name="bash", args={"command": command, "timeout_ms": timeout_ms})
        self._said = [Reply("", (call,)), Reply("Done.")]
        self._tool = bash_tool(**{"root": ".", **options})
        self.vendor = ANTHROPIC.vendor(self._said)

    def run(self, driver: Driver, **options: Any) -> RunResult[Any]:
        observed = driver.observe(self.vendor, self._flow, **options)
        assert isinstance(observed.outcome, Succeeded), observed.outcome
        result: RunResult[Any] = observed.outcome.value
        check_history(result.new_messages)
        return result

    def _flow(self, url: str) -> Flow[RunResult[Any]]:
        agent = SingleAgent(ANTHROPIC.provider(url, self._said), tools=[self._tool])
        return agent.flow("go", streaming=True)


@drivers
def test_in_an_agent_its_progress_is_seen_live_and_its_result_is_read(driver: Driver, tmp_path: Path) -> None:
    play = Play(f"echo one; {WAIT_TO_GO}; echo two", root=str(tmp_path))
    seen: list[Any] = []

    def on_event(event: Any) -> None:
        if isinstance(event, ToolProgress):
            seen.append(event.progress)
            (tmp_path / "go").touch()  # without this there is no second

    run = play.run(driver, on_event=on_event)
    assert seen == ["one\n", "two\n"]
    (result,) = results(run.new_messages)
    assert (result.result, result.is_error) == ("one\ntwo\n", False)
    assert (run.text, len(play.vendor.requests)) == ("Done.", 2)


@needs_proc
@drivers
def test_A13_a_cancel_100_ms_into_sleep_10_ends_the_run(driver: Driver) -> None:
    token = CancellationToken()
    timer = threading.Timer(0.1, token.cancel)
    began = 0.0

    def on_event(event: Any) -> None:
        nonlocal began
        if isinstance(event, ToolCallStart):
            began = time.monotonic()
            timer.start()

    with nothing_left_behind() as environ:
        play = Play("echo part; sleep 10", timeout_ms=20_000, environ=environ)
        run = play.run(driver, cancel=token, on_event=on_event)
        took = time.monotonic() - began
        timer.join()
    assert run.stop_reason == "cancelled"
    assert 0.09 < took < LONG
    assert len(play.vendor.requests) == 1
    (result,) = results(run.new_messages)
    assert result.is_error
    assert result.result == CANCELLED


@needs_proc
@arms
def test_a_cancel_on_an_arm_leaves_no_process_even_of_those_that_ignore_TERM(driver: Driver) -> None:
    token = CancellationToken()
    cancelled_at = 0.0

    def cancel() -> None:
        nonlocal cancelled_at
        cancelled_at = time.monotonic()
        token.cancel()

    timer = threading.Timer(0.05, cancel)

    def on_event(event: Any) -> None:
        if isinstance(event, ToolProgress):
            timer.start()

    with nothing_left_behind() as environ:
        play = Play("trap '' TERM; setsid sleep 30 & echo up; sleep 30", environ=environ)
        run = play.run(driver, cancel=token, on_event=on_event)
        while alive(environ[WITNESS]) and time.monotonic() < cancelled_at + 0.1 + BUSY_MACHINE:
            time.sleep(0.005)
        assert alive(environ[WITNESS]) == []
        timer.join()
    assert run.stop_reason == "cancelled"


@needs_proc
@drivers
def test_timeouts_keep_the_output_and_the_run_goes_on(driver: Driver) -> None:
    with nothing_left_behind() as environ:
        run = Play("echo part; sleep 30", timeout_ms=100, environ=environ).run(driver)
    assert run.text == "Done."
    (result,) = results(run.new_messages)
    assert result.is_error
    assert result.result == "The command timed out after 100 ms. What it had written:\npart\n"
