"""Commands that mean harm, or do it by mistake: each ends in clear words, in bounded time and memory."""

from __future__ import annotations

import os
import resource
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from tako.cancellation import CancellationToken
from tako.errors import ToolError
from tako.tools.builtin.bash import MAX_COMMAND, bash_tool
from tako.tools.builtin.running import PIECE
from tests.tools.builtin.bash_kit import (
    BUSY_MACHINE,
    LONG,
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

MIB = 1024**2

# It doubles at each step as a fork bomb does, and has a fuse: it ends by itself after some seconds, and has
# never more than 512 processes, whatever the code under test does.
BOMB = "b() { if [ $1 -gt 0 ]; then b $(($1-1)) & b $(($1-1)) & fi; sleep 8; }; b 8"


@needs_proc
def test_10_GB_of_output_are_stopped_at_the_limit_and_memory_stays_flat() -> None:
    with nothing_left_behind() as environ:
        tracemalloc.start()
        began = time.monotonic()
        pieces, output = bash(
            "yes | head -c 10G",
            max_total_output=50 * MIB,
            max_output=10_000,
            environ=environ,
            timeout_ms=20_000,
        )
        took, (_, peak) = time.monotonic() - began, tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert output.is_error
    assert output.value.startswith(
        "The command was stopped because it wrote more than 52,428,800 bytes. What it had written:\ny\ny\n"
    )
    assert " bytes cut ...]" in output.value
    assert len(output.value) < 10_200
    assert peak < 2 * MIB
    assert took < 10
    assert len(pieces) < 2 + took / 0.1
    assert max(map(len, pieces)) < PIECE + 60


def test_much_output_below_the_limit_is_counted_to_the_byte() -> None:
    text = result_of("yes | head -c 20M; echo end", max_output=1_000)
    assert f"[... {20 * MIB + 4 - 1_000:,} bytes cut ...]" in text
    assert text.endswith("y\nend\n")


@needs_proc
def test_a_fork_bomb_is_stopped() -> None:
    with nothing_left_behind() as environ:
        began = time.monotonic()
        text = error_of(BOMB, max_processes=50, environ=environ)
        assert time.monotonic() - began < LONG
    assert "The command was stopped because it ran " in text
    assert " processes, of 50 allowed." in text


@needs_proc
def test_a_fork_bomb_is_stopped_while_nobody_reads_the_progress() -> None:
    with nothing_left_behind() as environ:
        steps = bash_tool(".", max_processes=50, environ=environ)(f"echo up; {BOMB}", context(), 5_000)
        assert next(steps) == "up\n"
        until(lambda: not alive(environ[WITNESS]))
        with pytest.raises(StopIteration) as stop:
            next(steps)
        assert " processes, of 50 allowed." in stop.value.value.value


@needs_proc
def test_too_much_memory_is_stopped() -> None:
    with nothing_left_behind() as environ:
        text = error_of(
            f"x=$(head -c {60 * MIB} /dev/zero | tr '\\0' x); sleep 30", max_memory=40 * MIB, environ=environ
        )
    assert "The command was stopped because it used " in text
    assert " bytes of memory, of 41,943,040 allowed." in text


def test_a_file_that_grows_too_large_is_stopped(tmp_path: Path) -> None:
    text = error_of("head -c 1M /dev/zero > big", max_file_size=100_000, root=str(tmp_path))
    assert text.startswith(("Killed by SIGXFSZ", "Exit code: 153 (SIGXFSZ)"))
    assert 100_000 <= (tmp_path / "big").stat().st_size < 102_000


def test_no_core_is_written_and_without_a_limit_there_is_none() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        assert result_of("ulimit -c; ulimit -f", max_file_size=None).split() == ["0", "unlimited"]
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


SLEEP = f"30.{os.getpid()}"
"""Seconds, as no other test on this machine has them."""
QUIET = ">/dev/null 2>&1"
ESCAPES = {
    "session": f"setsid sleep {SLEEP} {QUIET} &",
    "grandchildren": f"setsid sh -c 'sleep {SLEEP} & sleep {SLEEP} &' &",
    "daemon": f"(setsid sh -c 'setsid sleep {SLEEP} & exit' & exit) &",
    "jobs": f"set -m; exec 3>&1 {QUIET}; sleep {SLEEP} 3>&- & sleep {SLEEP} 3>&- & exec >&3;",
    "no environment": f"env -i setsid sleep {SLEEP} {QUIET} &",
    "no TERM": f"trap '' TERM HUP; setsid sleep {SLEEP} {QUIET} &",
}


@needs_proc
@pytest.mark.parametrize(
    ("escape", "how"),
    [*((escape, "is cancelled") for escape in ESCAPES), ("daemon", "ends"), ("no environment", "ends")],
)
def test_who_leaves_the_process_group_is_found(escape: str, how: str) -> None:
    token = CancellationToken()
    with nothing_left_behind() as environ:
        steps = bash_tool(".", environ=environ)(
            f"{ESCAPES[escape]} sleep 0.1; echo up; {'true' if how == 'ends' else f'sleep {SLEEP}'}",
            context(token),
            5_000,
        )
        assert next(steps) == "up\n"
        if how == "is cancelled":
            token.cancel()
        began = time.monotonic()
        with pytest.raises(StopIteration) as stop:
            next(steps)
        assert time.monotonic() - began < (LONG if how == "ends" else 0.05 + BUSY_MACHINE)
        # One with an empty environment would not be seen by the witness.
        assert _sleepers() == []
    if how == "ends":
        assert "[still running in the background, and stopped: sleep" in stop.value.value.value


def test_it_may_kill_itself_and_all_beside_it() -> None:
    assert error_of("sleep 5 & echo up; kill -9 0") == "Killed by SIGKILL\nup\n"


@needs_proc
def test_closed_output_is_no_end() -> None:
    with nothing_left_behind() as environ:
        began = time.monotonic()
        assert error_of("echo up; exec >&- 2>&-; sleep 0.2; exit 7", environ=environ) == "Exit code: 7\nup\n"
        assert time.monotonic() - began > 0.2


@needs_proc
def test_a_cancel_is_heard_when_the_output_is_closed() -> None:
    token = CancellationToken()
    with nothing_left_behind() as environ:
        timer = threading.Timer(0.1, token.cancel)
        timer.start()
        began = time.monotonic()
        error_of("exec >&- 2>&-; sleep 30", cancel=token, environ=environ)
        assert time.monotonic() - began < 0.1 + 0.05 + BUSY_MACHINE
        timer.join()


def test_binary_output_is_text_all_the_same() -> None:
    text = result_of(r"printf 'a\0b\xff\x01\xc3\xa9\x1b[1m\xf0\x9f|'; head -c 1000 /dev/urandom")
    assert text.startswith("a\ufffdb\ufffd\ufffdé\x1b[1m\ufffd|")
    assert not set(text) & {chr(code) for code in (*range(8), 127)}
    text.encode("utf-8")


def test_a_command_that_asks_gets_the_end_of_input_and_not_what_is_typed_for_us() -> None:
    ours = os.dup(0)
    reader, writer = os.pipe()
    try:
        os.dup2(reader, 0)
        os.write(writer, b"typed\n")
        assert result_of("read answer; echo code=$?; cat; wc -c") == "code=1\n0\n"
        assert os.read(0, 100) == b"typed\n"
    finally:
        os.dup2(ours, 0)
        for file in (ours, reader, writer):
            os.close(file)
    assert error_of("read answer < /dev/tty").startswith("Exit code: 1\n")


def test_output_without_a_line_end_is_seen() -> None:
    pieces, output = bash("printf abc; sleep 0.05")
    assert (pieces, output.value) == (["abc"], "abc")


def test_a_command_of_a_megabyte_is_refused_in_words() -> None:
    with pytest.raises(
        ToolError, match=r"1,000,005 bytes, and 100,000 are allowed; write the long part to a file"
    ):
        bash("echo " + "x" * 1_000_000)
    longest = "echo " + "x" * (MAX_COMMAND - 5)
    assert len(result_of(longest, max_output=200_000)) == MAX_COMMAND - 4


@pytest.mark.parametrize(
    ("command", "words"), [("echo a\0b", "NUL"), ("echo \ud800", "surrogate")], ids=["NUL", "surrogate"]
)
def test_what_no_shell_can_be_given_is_refused_in_words(command: str, words: str) -> None:
    with pytest.raises(ToolError, match=words):
        bash(command)


def test_a_working_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    tool = bash_tool(str(root))
    assert result_of("rmdir ../root; echo still here", root=str(root)) == "still here\n"
    assert not root.exists()
    with pytest.raises(ToolError, match="the working directory does not exist"):
        list(tool("true", context(), 1_000))
    root.write_text("a file now")
    with pytest.raises(ToolError, match="the working directory does not exist"):
        list(tool("true", context(), 1_000))


@needs_proc
def test_it_leads_a_session_has_no_files_of_ours_and_signals_as_they_were() -> None:
    leader, session = result_of("echo $$; cut -d' ' -f6 /proc/$$/stat").split()
    assert leader == session
    # 3 is the directory that ls reads.
    assert result_of("ls /proc/self/fd").split() == ["0", "1", "2", "3"]
    mine = [line for line in Path("/proc/self/status").read_text().splitlines() if "SigBlk" in line]
    assert result_of("grep SigBlk /proc/self/status").splitlines() == mine
    # A writer whose reader has gone is ended by SIGPIPE, which Python itself ignores.
    assert result_of("yes | head -n 1; echo ${PIPESTATUS[0]}") == "y\n141\n"


def _sleepers() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if line == f"sleep\0{SLEEP}\0".encode():
            found.append(path.parent.name)
    return found
