"""Links under asyncio and trio: many askers at once, every kind of end, and nothing left behind.

Each case is played by both arms. After each, `play` looks for descriptors, tasks, warnings of what was
not closed, and here for child processes too, dead or alive.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

import tako_io_asyncio
from tako.cancellation import CancellationToken
from tako.driving import async_links, live_link
from tako.effects import (
    Ask,
    Flow,
    Gather,
    Hangup,
    Keep,
    OnError,
    Open,
    Succeeded,
    Tell,
    TlsOptions,
    Within,
)
from tako.errors import Cancelled, InvalidInput, TakoError, TimedOut, ToolError, TransportError
from tako.links import Child, Endpoint, Socket
from tako_io_asyncio._links import Link
from tests.adapters.async_kit import (
    Arm,
    AsyncioArm,
    Cancelling,
    Certificates,
    TrioArm,
    descriptors,
    full_backlog,
    wait_until,
)
from tests.adapters.links_kit import LineMachine, echo_server, servant

PROMPT = 0.5
"""Seconds in which a waiting asker has to hear; 0.1 was seen on a machine that is not busy."""


@pytest.fixture(params=[AsyncioArm, TrioArm], ids=["asyncio", "trio"])
def arm(request: pytest.FixtureRequest) -> Arm:
    made: Arm = request.param()
    return made


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return Certificates.make()


@pytest.fixture(scope="module", autouse=True)
def _cheap_collections() -> Iterator[None]:
    """Each scenario collects garbage to see what it left; what was there before need not be looked at."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


Scene = Callable[[Any, int, LineMachine], Any]


def play(
    arm: Arm, scene: Scene, endpoint: Endpoint | None = None, machine: LineMachine | None = None
) -> None:
    """The scene gets a runtime, the number of an open link, and its machine."""
    machine = machine or LineMachine()

    async def scenario() -> None:
        async with arm.Runtime() as runtime:
            number = await runtime.run(one(Open(endpoint or servant(), machine)))
            await scene(runtime, number, machine)

    before = children()
    arm.play(scenario)
    wait_until(lambda: children() <= before, "a process was left behind")


def one(effect: Any) -> Flow[Any]:
    return (yield effect)


def ask(link: int, message: Any) -> Flow[Any]:
    return (yield Ask(link, message))


def reason(link: int, message: str) -> Flow[tuple[TakoError, float]]:
    """Why an Ask failed, and when."""
    try:
        yield Ask(link, message)
    except TakoError as error:
        return error, time.monotonic()
    raise AssertionError("it should have failed")


def all_of(*flows: Flow[Any]) -> Flow[list[Any]]:
    outcomes = yield Gather(flows, on_error=OnError.COLLECT)
    return [outcome.value if isinstance(outcome, Succeeded) else outcome.error for outcome in outcomes]


def children() -> set[str]:
    found: set[str] = set()
    for task in os.listdir("/proc/self/task"):
        try:
            found.update(Path(f"/proc/self/task/{task}/children").read_text().split())
        except OSError:
            pass  # a thread that has just ended
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# Asking and telling.


def test_answers_failures_and_tells(arm: Arm) -> None:
    async def scene(runtime: Any, link: int, machine: LineMachine) -> None:
        def flow() -> Flow[None]:
            assert (yield Ask(link, "echo one two")) == "one two"
            yield Tell(link, "note")
            yield Tell(link, "note")
            assert (yield Ask(link, "told")) == "2"
            with pytest.raises(ToolError, match="no good"):
                yield Ask(link, "fail no good")
            for effect in (Ask(link, 5), Tell(link, 5)):
                with pytest.raises(ToolError, match="a line of text"):
                    yield effect
            with pytest.raises(TransportError, match="not open here"):
                yield Ask(link + 1, "echo")
            assert (yield Ask(link, "big 3000000")) == "x" * 3_000_000

        await runtime.run(flow())

    play(arm, scene)


def test_environment_and_directory(arm: Arm, tmp_path: Path) -> None:
    async def scene(runtime: Any, link: int, _: LineMachine) -> None:
        assert await runtime.run(ask(link, "environ SHIP")) == "octopus"
        assert await runtime.run(ask(link, "environ HOME")) == "(none)"
        assert await runtime.run(ask(link, "directory")) == os.path.realpath(tmp_path)

    play(arm, scene, servant((("SHIP", "octopus"),), str(tmp_path)))


def test_a_thousand_tasks_on_one_child(arm: Arm) -> None:
    """No answer is lost, and none is another's, though they come in any order."""

    def flow(link: int, task: int) -> Flow[int]:
        for turn in range(5):
            assert (yield Ask(link, f"echo {task}.{turn}")) == f"{task}.{turn}"
        return task

    async def scene(runtime: Any, link: int, _: LineMachine) -> None:
        done = await runtime.run(all_of(*(flow(link, task) for task in range(1000))))
        assert done == list(range(1000))

    play(arm, scene)


def test_a_poke_from_another_thread(arm: Arm) -> None:
    async def scene(runtime: Any, link: int, machine: LineMachine) -> None:
        def answer() -> None:
            time.sleep(0.05)
            assert machine.poke is not None
            for ticket in (1, 2, 3):
                machine.give(ticket, Succeeded("by itself"))
            machine.say("- note\n- note\n")
            machine.poke()

        thread = threading.Thread(target=answer)
        thread.start()
        answers = await runtime.run(all_of(*(ask(link, "hold") for _ in range(3))))
        assert answers == ["by itself"] * 3  # the one who reads, and those who follow
        assert await runtime.run(ask(link, "told")) == "2"
        thread.join()

    play(arm, scene)


def test_keep_and_farewell(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_links, "FAREWELL", 0.2)
    said: list[Any] = []

    class Guest:
        def __init__(self, link: int, last: str) -> None:
            self.link, self.last = link, last

        def farewell(self) -> Flow[None]:
            said.append((yield Ask(self.link, self.last)))

    async def scene(runtime: Any, link: int, _: LineMachine) -> None:
        for last in ("hold", "fail me", "echo bye"):
            first = await runtime.run(one(Keep(last, lambda last=last: Guest(link, last))))  # type: ignore[misc]
            again = await runtime.run(one(Keep(last, lambda: Guest(link, "echo another"))))
            assert first is again

    start = time.monotonic()
    play(arm, scene)
    assert said == ["bye"]
    assert time.monotonic() - start < 1.5


# Waits that are cut short.


@pytest.mark.parametrize("how", ["task", "token", "token of a Within", "deadline"])
def test_one_who_leaves_disturbs_nobody(arm: Arm, how: str) -> None:
    """The first to ask is the one who reads, where askers read."""

    async def scene(runtime: Any, link: int, machine: LineMachine) -> None:
        answers: list[Any] = []
        left: list[float] = []

        async def leave() -> None:
            with Cancelling() as token:
                start = time.monotonic()
                if how == "task":
                    async with arm.leave_after(0.05) as leaving:
                        await runtime.run(ask(link, "hold"))
                    assert leaving.left
                elif how == "token":
                    with pytest.raises(Cancelled):
                        await runtime.run(ask(link, "hold"), cancel=token)
                elif how == "deadline":
                    with pytest.raises(TimedOut):
                        await runtime.run(one(Within(0.05, ask(link, "hold"))))
                else:
                    with pytest.raises(TakoError):
                        await runtime.run(one(Within(None, ask(link, "hold"), token)))
                left.append(time.monotonic() - start)

        async def stay() -> None:
            await arm.sleep(0.01)
            answers.append(await runtime.run(ask(link, "nap 0.1")))

        await arm.side_by_side(leave, stay, stay)
        assert answers == ["0.1"] * 2
        assert left[0] < 0.05 + PROMPT
        assert machine.forgotten == [1]
        assert await runtime.run(ask(link, "release")) == "released"

    play(arm, scene)


def test_a_peer_that_does_not_read(arm: Arm) -> None:
    """Whoever tells waits; whoever asks again and again piles up nothing without end."""

    async def scene(runtime: Any, link: int, _: LineMachine) -> None:
        await runtime.run(one(Tell(link, "deaf")))
        line = "echo " + "x" * 100_000
        with pytest.raises(TimedOut):  # what it still reads, and what the pipe holds, is soon over
            for _ in range(20):
                await runtime.run(one(Within(0.1, one(Tell(link, line)))))
        start = time.monotonic()
        for make in [Tell, Ask] * 8:
            with pytest.raises(TimedOut):
                await runtime.run(one(Within(0.01, one(make(link, line)))))
        waiting = len((await runtime.links())[link].live.outgoing)
        assert 100_000 < waiting < live_link.ROOM + 100_100
        assert time.monotonic() - start < 2
        heard, _ = await runtime.run(all_of(reason(link, line), one(Hangup(link, 0.05))))
        assert "closed at this end" in str(heard[0])

    play(arm, scene)


def test_tells_wait_for_a_peer_that_reads_slowly(arm: Arm) -> None:
    async def scene(runtime: Any, link: int, _: LineMachine) -> None:
        await runtime.run(one(Tell(link, "nap 0.1")))
        lines = [one(Tell(link, "note " + "x" * 30_000)) for _ in range(20)]
        start = time.monotonic()
        assert await runtime.run(all_of(*lines)) == [None] * 20
        assert time.monotonic() - start > 0.05
        assert await runtime.run(ask(link, "told")) == "21"

    play(arm, scene)


def test_a_flood_that_nobody_asked_for_is_held_back(arm: Arm, tmp_path: Path) -> None:
    progress = tmp_path / "progress"

    async def scene(runtime: Any, link: int, machine: LineMachine) -> None:
        await runtime.run(one(Tell(link, f"flood {progress}")))
        await arm.until(
            lambda: progress.exists() and int(progress.read_text() or 0) > 60_000, "it did not begin"
        )
        await arm.sleep(0.1)
        written = int(progress.read_text())
        await arm.sleep(0.1)
        assert int(progress.read_text()) == written
        assert machine.unasked == 0 and written <= 1 << 17
        with pytest.raises(TimedOut):
            await runtime.run(one(Within(0.1, ask(link, "echo"))))
        assert machine.unasked > written
        await runtime.run(one(Hangup(link, 0.05)))

    play(arm, scene)


# Ends.


def test_kill_nine_with_a_hundred_waiting(arm: Arm) -> None:
    async def scene(runtime: Any, link: int, machine: LineMachine) -> None:
        pid = int(await runtime.run(ask(link, "pid")))
        await runtime.run(ask(link, "complain 20000"))
        killed: list[float] = []

        def kill() -> None:
            killed.append(time.monotonic())
            os.kill(pid, signal.SIGKILL)

        timer = threading.Timer(0.1, kill)
        timer.start()
        heard = await runtime.run(all_of(*(reason(link, "hold") for _ in range(100))))
        timer.join()
        errors = [error for error, _ in heard]
        assert {type(error) for error in errors} == {TransportError} and len({*map(id, errors)}) == 100
        assert {error.code for error in errors} == {"-9"}
        assert "killed by signal 9" in str(errors[0]) and "11,808 bytes cut" in str(errors[0])
        assert max(moment for _, moment in heard) - killed[0] < PROMPT
        with pytest.raises(TransportError, match="signal 9"):
            await runtime.run(ask(link, "echo"))
        assert isinstance(machine.error, TransportError)

    play(arm, scene)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="there are no process descriptors anyway")
def test_death_is_noticed_without_process_descriptors(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise OSError("an old kernel")

    monkeypatch.setattr(os, "pidfd_open", refuse)

    async def scene(runtime: Any, link: int, _: LineMachine) -> None:
        await runtime.run(ask(link, "spawn"))
        start = time.monotonic()
        error, moment = await runtime.run(reason(link, "die 3"))
        assert error.code == "3" and moment - start < PROMPT

    play(arm, scene)


def test_a_grandchild_that_holds_the_pipes_hides_no_death(arm: Arm) -> None:
    async def scene(runtime: Any, link: int, _: LineMachine) -> None:
        grandchild = int(await runtime.run(ask(link, "spawn")))
        start = time.monotonic()
        error, moment = await runtime.run(reason(link, "die 3 the last words"))
        assert moment - start < PROMPT
        assert error.code == "3" and str(error).endswith("standard error:\nthe last words")
        await arm.until(lambda: not is_alive(grandchild), "the grandchild lives")

    play(arm, scene)


def test_a_death_that_nobody_waits_for_is_heard_by_the_next(arm: Arm) -> None:
    async def scene(runtime: Any, link: int, machine: LineMachine) -> None:
        await runtime.run(one(Tell(link, "die 4 alone")))
        await arm.until(lambda: machine.error is not None, "nobody noticed")
        error, _ = await runtime.run(reason(link, "echo"))
        assert error.code == "4" and "alone" in str(error)
        with pytest.raises(TransportError, match="code 4"):
            await runtime.run(one(Tell(link, "note")))

    play(arm, scene)


HASTY = """
import os, time
os.read(0, 65536)
time.sleep(0.03)
os.write(1, b"1 the answer\\n")
os.write(2, b"the last words")
os._exit(5)
"""


def test_what_it_said_before_it_died_still_counts(arm: Arm) -> None:
    """The answer, the last words and the death are all there when the loop looks, in either order."""

    async def scene(runtime: Any, link: int, _: LineMachine) -> None:
        async def hear() -> None:
            assert await runtime.run(ask(link, "any")) == "the answer"
            error, _ = await runtime.run(reason(link, "more"))
            assert error.code == "5" and "the last words" in str(error)

        async def hold_up() -> None:
            await arm.sleep(0.01)
            time.sleep(0.08)

        await arm.side_by_side(hear, hold_up)

    for _ in range(4):
        play(arm, scene, Child((sys.executable, "-S", "-E", "-c", HASTY)))


class Scripted:
    """The wire of a child that has left an answer in the pipe; nothing of it was read when it died."""

    is_child = True
    ends_with_input = True

    def __init__(self, link: Link) -> None:
        self.link = link

    def drain(self) -> None:
        self.link.received(b"1 late\n")

    def write(self, data: bytearray) -> int:
        return len(data)

    def listen(self) -> None: ...
    def await_room(self) -> None: ...
    def finish(self) -> None: ...
    def terminate(self) -> None: ...
    def close(self) -> None: ...


def test_what_is_left_in_the_pipe_is_read_before_the_loss_is_told() -> None:
    async def scenario() -> None:
        link = Link(asyncio.get_running_loop(), "the child", LineMachine())
        link.start(Scripted(link))
        answers = [asyncio.create_task(link.ask("any")) for _ in range(2)]
        await asyncio.sleep(0)
        link.exited(3)
        assert await answers[0] == "late"
        with pytest.raises(TransportError, match="exited with code 3"):
            await answers[1]
        assert link.is_gone

    asyncio.run(scenario())


def test_a_child_that_closes_its_output_and_lives(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_links, "ORDERLY", 0.05)
    received, ends = async_links.AsyncLink.received, 0

    def count(link: async_links.AsyncLink, data: bytes) -> None:
        nonlocal ends
        ends += not data
        received(link, data)

    monkeypatch.setattr(async_links.AsyncLink, "received", count)

    async def scene(runtime: Any, link: int, machine: LineMachine) -> None:
        pid = int(await runtime.run(ask(link, "pid")))
        start = time.monotonic()
        heard = await runtime.run(all_of(*(reason(link, line) for line in ("hold", "hold", "close"))))
        for error, moment in heard:
            assert error.code is None and "has closed the connection" in str(error)
            assert moment - start < PROMPT
        assert machine.has_ended and ends <= 2, "its exit was not waited for quietly"
        await arm.until(lambda: not is_alive(pid), "it lives")

    play(arm, scene)


def test_hangup_while_others_ask(arm: Arm) -> None:
    async def scene(runtime: Any, link: int, machine: LineMachine) -> None:
        def hang_up() -> Flow[str]:
            assert (yield Ask(link, "echo")) == ""
            yield Hangup(link)
            return "done"

        start = time.monotonic()
        *heard, done = await runtime.run(all_of(*(reason(link, "hold") for _ in range(3)), hang_up()))
        assert done == "done" and machine.has_said_goodbye
        assert all("closed at this end" in str(error) for error, _ in heard)
        assert time.monotonic() - start < PROMPT
        await runtime.run(one(Hangup(link)))
        with pytest.raises(TransportError, match="not open here"):
            await runtime.run(ask(link, "echo"))

    play(arm, scene)


def test_a_stubborn_child_is_killed_with_its_children(arm: Arm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_links, "TERMINATION", 0.1)

    async def scene(runtime: Any, link: int, _: LineMachine) -> None:
        pid = int(await runtime.run(ask(link, "pid")))
        grandchild = int(await runtime.run(ask(link, "spawn")))
        await runtime.run(ask(link, "stubborn"))
        start = time.monotonic()
        await runtime.run(one(Hangup(link, 0.1)))
        assert 0.2 <= time.monotonic() - start < 0.2 + PROMPT
        assert not is_alive(pid)
        await arm.until(lambda: not is_alive(grandchild), "the grandchild lives")

    play(arm, scene)


def test_a_hangup_that_is_cut_short_is_by_force(arm: Arm) -> None:
    async def scene(runtime: Any, link: int, _: LineMachine) -> None:
        pid = int(await runtime.run(ask(link, "pid")))
        await runtime.run(ask(link, "stubborn"))
        with pytest.raises(TimedOut):
            await runtime.run(one(Within(0.05, one(Hangup(link, 5.0)))))
        assert not is_alive(pid)

    play(arm, scene)


def test_a_machine_that_is_over_is_hung_up(arm: Arm) -> None:
    async def scene(runtime: Any, link: int, machine: LineMachine) -> None:
        pid = int(await runtime.run(ask(link, "pid")))
        heard = await runtime.run(all_of(reason(link, "hold"), reason(link, "over")))
        assert "closed at this end" in str(heard[0][0])
        await arm.until(lambda: not is_alive(pid), "it was not ended")

    play(arm, scene)


def test_a_run_that_ends_without_aclose(arm: Arm, caplog: pytest.LogCaptureFixture) -> None:
    pids: list[int] = []

    def flow() -> Flow[None]:
        for _ in range(2):
            link = yield Open(servant(), LineMachine())
            pids.append(int((yield Ask(link, "pid"))))
            yield Ask(link, "stubborn")

    async def scenario() -> None:
        await arm.run(flow())

    before, files = children(), descriptors()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trio.run(scenario) if arm.name == "trio" else asyncio.run(scenario())
        gc.collect()
    assert len(pids) == 2 and not any(map(is_alive, pids))
    assert children() <= before and descriptors() <= files
    assert not caplog.records, "the library has complained"


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the loop's own, for it is left so on purpose
def test_a_loop_that_was_closed_without_its_generators() -> None:
    """What it left is ended when the Runtime is used again."""
    runtime = tako_io_asyncio.Runtime()

    def flow() -> Flow[int]:
        link = yield Open(servant(), LineMachine())
        return int((yield Ask(link, "pid")))

    before = children()
    pids = []
    for _ in range(2):
        loop = asyncio.new_event_loop()
        pids.append(loop.run_until_complete(runtime.run(flow())))
        if len(pids) == 2:
            assert not is_alive(pids[0])
            loop.run_until_complete(runtime.aclose())
        loop.close()
    assert children() <= before
    gc.collect()


# Opening.


def test_what_cannot_be_started(arm: Arm, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    cases: list[tuple[Child, type[TakoError], str]] = [
        (Child(("no-such-command-of-tako",)), TransportError, "No such file"),
        (Child((str(plain),)), TransportError, "Permission denied"),
        (servant(directory=str(tmp_path / "missing")), TransportError, "in the directory '.*missing'"),
        (Child(()), InvalidInput, "command: expected a program"),
        (Child(("a\0b",)), InvalidInput, "null byte"),
    ]

    async def scenario() -> None:
        async with arm.Runtime() as runtime:
            for endpoint, kind, words in cases:
                with pytest.raises(kind, match=words) as caught:
                    await runtime.run(one(Open(endpoint, LineMachine())))
                assert caught.value.phase == ("link" if kind is TransportError else None)

    arm.play(scenario)


def test_open_under_a_cancelled_token(arm: Arm) -> None:
    async def scenario() -> None:
        token = CancellationToken()
        token.cancel()
        async with arm.Runtime() as runtime:
            with pytest.raises(Cancelled):
                await runtime.run(one(Open(servant(), LineMachine())), cancel=token)
            async with arm.leave_after(0):
                await runtime.run(one(Open(servant(), LineMachine())))

    before = children()
    arm.play(scenario)
    assert children() <= before


def test_connecting_is_cut_short(arm: Arm) -> None:
    async def scenario() -> None:
        with full_backlog() as port:
            async with arm.Runtime() as runtime:
                with Cancelling() as token, pytest.raises(Cancelled):
                    await runtime.run(one(Open(Socket("127.0.0.1", port), LineMachine())), cancel=token)
                with pytest.raises(TimedOut, match=r"longer than 0\.05 s"):
                    hurried = Socket("127.0.0.1", port, connect_timeout=0.05)
                    await runtime.run(one(Open(hurried, LineMachine())))

    arm.play(scenario)


# Sockets.


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_sockets(arm: Arm, certificates: Certificates, secure: bool) -> None:
    context = certificates.server_context("server.test") if secure else None
    if context is not None:
        context.set_alpn_protocols(["tako"])

    async def scene(runtime: Any, link: int, _: LineMachine) -> None:
        assert await runtime.run(ask(link, "alpn")) == ("tako" if secure else "(none)")
        answers = await runtime.run(all_of(*(ask(link, f"echo {number}") for number in range(100))))
        assert answers == [str(number) for number in range(100)]
        long = "x" * 2_000_000
        assert await runtime.run(all_of(ask(link, f"echo {long}"), ask(link, "echo short"))) == [
            long,
            "short",
        ]
        with pytest.raises(TimedOut):
            await runtime.run(one(Within(0.05, ask(link, "hold"))))
        heard = await runtime.run(all_of(reason(link, "hold"), reason(link, "close")))
        assert all("has closed the connection" in str(error) for error, _ in heard)

    async def hangs_up(runtime: Any, link: int, machine: LineMachine) -> None:
        start = time.monotonic()
        assert await runtime.run(ask(link, "echo")) == ""
        await runtime.run(one(Hangup(link, 0.2)))
        took = time.monotonic() - start
        assert machine.has_said_goodbye and (took < 0.2 if machine.is_over else 0.2 < took < 0.2 + PROMPT)

    with echo_server(context) as port:
        tls = TlsOptions(certificates.roots, system_roots=False) if secure else None
        endpoint = Socket("127.0.0.1", port, tls, ("tako",) if secure else (), "server.test")
        play(arm, scene, endpoint)
        play(arm, hangs_up, endpoint)
        play(arm, hangs_up, endpoint, LineMachine(over_after_goodbye=False))


def test_connections_that_fail(arm: Arm, certificates: Certificates) -> None:
    context = certificates.server_context("server.test")

    async def reset(runtime: Any, link: int, _: LineMachine) -> None:
        error, _ = await runtime.run(reason(link, "reset"))
        assert "was lost: Connection reset" in str(error) or "has closed" in str(error)

    async def scenario() -> None:
        async with arm.Runtime() as runtime:
            for endpoint, words in (
                (Socket("127.0.0.1", closed), "refused"),
                (Socket("127.0.0.1", secure, TlsOptions(), (), "server.test"), "is not trusted"),
                (Socket("127.0.0.1", plain, TlsOptions(), (), "server.test", 0.2), "handshake .* 0.2 s"),
            ):
                with pytest.raises((TransportError, TimedOut), match=words):
                    await runtime.run(one(Open(endpoint, LineMachine())))

    with echo_server() as closed:
        play(arm, reset, Socket("127.0.0.1", closed))
    with echo_server(context) as secure, echo_server() as plain:
        arm.play(scenario)
