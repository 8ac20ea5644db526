"""RunningCommand and Family: threads, forks, signals, gevent; what is seen of processes."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from tako.cancellation import CancellationToken
from tako.tools.builtin.bash import bash_tool
from tako.tools.builtin.family import Family, _member, _send, processes
from tako.tools.builtin.running import CANCEL_GRACE, TICK, Limits, RunningCommand
from tests.tools.builtin.bash_kit import (
    BUSY_MACHINE,
    LONG,
    WAIT_TO_GO,
    WITNESS,
    alive,
    bash,
    context,
    needs_proc,
    nothing_left_behind,
    result_of,
    until,
)

NO_LIMITS = Limits(None, None, None)


def running(command: str, timeout: float = 5.0) -> RunningCommand:
    return RunningCommand(
        ("sh", "-c", command),
        directory=".",
        environ={"PATH": os.environ["PATH"]},
        timeout=timeout,
        limits=NO_LIMITS,
        max_output=1_000,
    )


@needs_proc
def test_commands_side_by_side_in_threads_do_not_disturb_each_other() -> None:
    with nothing_left_behind() as environ, ThreadPoolExecutor(8) as pool:
        said = list(
            pool.map(lambda n: result_of(f"sleep 0.05; echo {n}; sleep 0.05", environ=environ), range(16))
        )
    assert said == [f"{n}\n" for n in range(16)]


@needs_proc
def test_each_step_may_be_taken_by_another_thread() -> None:
    with nothing_left_behind() as environ:
        steps = bash_tool(".", environ=environ)(
            "echo one; sleep 0.15; echo two; sleep 0.15", context(), 5_000
        )
        with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
            assert one.submit(next, steps).result() == "one\n"
            assert other.submit(next, steps).result() == "two\n"
        with pytest.raises(StopIteration) as stop:
            next(steps)
    assert stop.value.value.value == "one\ntwo\n"


@needs_proc
def test_a_signal_handler_may_cancel() -> None:
    token = CancellationToken()
    with nothing_left_behind() as environ:
        before = signal.signal(signal.SIGALRM, lambda number, frame: token.cancel())
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            began = time.monotonic()
            _, output = bash("sleep 30", cancel=token, environ=environ)
        finally:
            signal.signal(signal.SIGALRM, before)
        assert time.monotonic() - began < 0.05 + 0.05 + BUSY_MACHINE
    assert output.value == "The command was cancelled and stopped. What it had written:\n(no output)"


@needs_proc
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("how", ["closed", "iterated"])
def test_a_process_that_was_forked_off_from_ours_does_not_stop_the_command(how: str, tmp_path: Path) -> None:
    with nothing_left_behind() as environ, warnings.catch_warnings():
        steps = bash_tool(str(tmp_path), environ=environ)(
            f"echo one; {WAIT_TO_GO}; echo two; sleep 30", context(), 5_000
        )
        assert next(steps) == "one\n"
        child = os.fork()
        if child == 0:
            if how == "closed":
                steps.close()
            else:
                next(steps, None)
            os._exit(0)
        os.waitpid(child, 0)
        assert alive(environ[WITNESS])
        (tmp_path / "go").touch()
        assert next(steps) == "two\n"
        steps.close()


@needs_proc
@pytest.mark.parametrize(
    ("command", "ending"),
    [
        ("echo up; sleep 30", "timed out after 400 ms"),
        ("echo up; sleep 30 & sleep 30 >/dev/null 2>&1 &", ""),
    ],
)
def test_in_a_program_with_no_file_left_to_open_a_command_is_stopped(command: str, ending: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with nothing_left_behind():
        environ = {"PATH": os.environ["PATH"], "OUR_WITNESS": uuid4().hex}
        steps = bash_tool(".", environ=environ)(command, context(), 400)
        assert next(steps) == "up\n"
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(lowest, soft), hard))
        try:
            with pytest.raises(OSError):
                os.close(os.dup(0))
            output = None
            while output is None:
                try:
                    next(steps)
                except StopIteration as stop:
                    output = stop.value
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        # Nobody could be seen, so nobody was waited for.
        until(lambda: not alive(environ["OUR_WITNESS"]))
        assert ending in output.value and output.value.endswith("up\n")


@needs_proc
def test_an_exit_code_that_somebody_else_collected_is_unknown_and_no_0() -> None:
    steps = bash_tool(".")("echo up; sleep 0.1; exit 4", context(), 5_000)
    assert next(steps) == "up\n"
    assert os.waitpid(-1, 0)[1] == 4 << 8
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value.value.startswith("up\n[the exit code is unknown: ")


@needs_proc
def test_a_wake_after_the_close_writes_to_nobody() -> None:
    command = running("true")
    while command.pump():
        pass
    command.close()
    reader, writer = os.pipe()  # likely with the numbers of the files just closed
    os.set_blocking(reader, False)
    command.wake()
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    os.close(reader)
    os.close(writer)


@needs_proc
def test_a_wake_ends_the_wait_at_once() -> None:
    command = running("sleep 30")
    command.wake()
    took = []
    for _ in range(5):
        began = time.monotonic()
        assert command.pump()
        took.append(time.monotonic() - began)
    command.close()
    assert min(took) < TICK / 2


@needs_proc
def test_a_wake_from_a_signal_handler_does_not_wait_for_the_thread_that_it_interrupts() -> None:
    command = running("true")
    with command._wake_lock:
        taken = command._wake_lock.acquire(timeout=1)  # as the handler would
        assert taken
        command._wake_lock.release()
    command.close()


@needs_proc
def test_a_command_that_cannot_start_leaves_nothing() -> None:
    with nothing_left_behind(), pytest.raises(OSError):
        RunningCommand(
            ("/no/such/shell",), directory=".", environ={}, timeout=1, limits=NO_LIMITS, max_output=1
        )


@needs_proc
def test_a_stop_gives_time_to_clean_up() -> None:
    command = running("trap 'echo cleaned; exit 3' TERM; echo up; while :; do sleep 0.01; done")
    while not command.output.total:
        assert command.pump()
    command.is_cancelled = True
    began = time.monotonic()
    command.stop(CANCEL_GRACE)
    command.close()
    assert time.monotonic() - began < 0.05 + BUSY_MACHINE
    assert command.output.text().startswith("up\n")
    command = running("trap 'echo cleaned; exit 3' TERM; echo up; while :; do sleep 0.01; done", timeout=0.1)
    while command.pump():
        pass
    command.close()
    assert command.output.text().endswith("cleaned\n")
    assert (command.verdict, command.exit_code) == ("timed out after 100 ms", 3)


@needs_proc
def test_members_are_seen_with_names_of_any_kind_and_strangers_are_not() -> None:
    strangers = processes()
    odd = "a) R 1 (b"
    program = f"echo $$; cp $(command -v sleep) '/tmp/{odd}' && exec '/tmp/{odd}' 30"
    with (
        subprocess.Popen(("sh", "-c", program), start_new_session=True, stdout=subprocess.PIPE) as leader,
        subprocess.Popen(("sleep", "30"), start_new_session=True) as stranger,
    ):
        try:
            family = Family(leader.pid, "no such mark", strangers | {stranger.pid})
            end = time.monotonic() + 3
            while [member.name for member in family.look()] != [odd] and time.monotonic() < end:
                time.sleep(0.005)
            (member,) = family.look()
            assert (member.pid, member.name, member.parent) == (leader.pid, odd, os.getpid())
            assert (member.group, member.session, member.is_zombie) == (leader.pid, leader.pid, False)
            family.signal(signal.SIGKILL)
            assert leader.wait(3) == -signal.SIGKILL
            assert stranger.poll() is None
        finally:
            leader.kill()
            stranger.kill()
            os.unlink(f"/tmp/{odd}")


@needs_proc
@pytest.mark.parametrize("has_files", [True, False], ids=["by file", "by number"])
def test_nobody_is_signalled_who_has_only_the_number_of_a_member(
    has_files: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_files:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    with subprocess.Popen(("sleep", "30"), start_new_session=True) as other:
        try:
            known = _member(other.pid)
            assert known is not None
            _send(replace(known, born=known.born - 1), signal.SIGKILL)
            Family(other.pid + 10**7, "no such mark", processes()).signal(signal.SIGKILL)
            with pytest.raises(subprocess.TimeoutExpired):
                other.wait(0.05)
            _send(known, signal.SIGKILL)
            assert other.wait(LONG) == -signal.SIGKILL
        finally:
            other.kill()


@needs_proc
def test_a_group_whose_leader_somebody_else_collected_is_left_alone() -> None:
    """Its number may be another's by now: here that of a process that is not our child."""
    with subprocess.Popen(("sh", "-c", "setsid sleep 30 & echo $!"), stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        orphan = int(parent.stdout.readline())
        parent.wait()
        until(lambda: (member := _member(orphan)) is not None and member.group == orphan)
        try:
            Family(orphan, "no such mark", processes()).signal(signal.SIGKILL)
            time.sleep(0.05)
            member = _member(orphan)
            assert member is not None and not member.is_zombie
        finally:
            os.kill(orphan, signal.SIGKILL)


@needs_proc
def test_the_signals_that_this_thread_blocks_are_left_alone() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        assert result_of("true") == "(no output)"
        assert signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


AT_EXIT = """
import sys, threading
from tests.tools.builtin.bash_kit import WITNESS, alive, bash_tool, context, os
environ = {"PATH": os.environ["PATH"], WITNESS: sys.argv[1]}
def started():
    steps = bash_tool(".", environ=environ)("echo up; sleep 30", context(), 25_000)
    assert next(steps) == "up\\n"
    return steps
def leave():
    cycle = [started()]
    cycle.append(cycle)
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        print(len(alive(sys.argv[1])))
    sys.exit()
threading.Thread(target=list, args=(started(),), daemon=True).start()
kept = started()
leave()  # and before us a child to which the commands do not belong
"""


@needs_proc
def test_a_command_ends_with_its_program_and_not_with_a_fork_of_it() -> None:
    witness = uuid4().hex
    done = subprocess.run(
        (sys.executable, "-c", AT_EXIT, witness), capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")  # nor do they complain at its end
    assert int(done.stdout) >= 3
    until(lambda: not alive(witness))


UNDER_GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent, tempfile
from tako.cancellation import CancellationToken
from tests.tools.builtin.bash_kit import error_of, nothing_left_behind, result_of
gevent.sleep(0.01)  # its loop has files of its own
result_of("true")
# Each waits until all are there.
meet = "touch $0.{n}; until [ $(ls | wc -l) = 6 ]; do sleep 0.02; done; echo {n}"
with nothing_left_behind() as environ, tempfile.TemporaryDirectory() as root:
    jobs = [gevent.spawn(result_of, meet.format(n=n), environ=environ, root=root) for n in range(6)]
    token = CancellationToken()
    jobs.append(gevent.spawn(error_of, "sleep 30", cancel=token, environ=environ))
    jobs.append(gevent.spawn(error_of, "exit 3", environ=environ))
    gevent.sleep(0.1)
    token.cancel()
    gevent.joinall(jobs)
    print([job.value for job in jobs])
"""


@needs_proc
def test_under_gevent_commands_run_side_by_side() -> None:
    pytest.importorskip("gevent")
    done = subprocess.run((sys.executable, "-c", UNDER_GEVENT), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    cancelled = "The command was cancelled and stopped. What it had written:\n(no output)"
    said = [*(f"{n}\n" for n in range(6)), cancelled, "Exit code: 3\n(no output)"]
    assert done.stdout == f"{said}\n"
