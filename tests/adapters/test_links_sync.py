"""Links of the blocking arm: a child that many threads ask at once, and every way in which that ends."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tako.cancellation import CancellationToken
from tako.driving.live_link import LiveLink
from tako.effects import Ask, Failed, Flow, Hangup, Keep, Open, Sleep, Succeeded, Tell, Within
from tako.errors import Cancelled, Interrupted, InvalidInput, TimedOut, ToolError, TransportError
from tako.links import Child
from tako_io_sync import Runtime
from tests.adapters.links_kit import LineMachine, servant
from tests.adapters.sync.kit import Cancelling, in_time, nothing_left_behind, three_tries, wait_until

SOON = 0.05
THREADS: dict[int, list[threading.Thread]] = {}


def one(effect: Any) -> Flow[Any]:
    return (yield effect)


def later(effect: Any) -> Flow[Any]:
    yield Sleep(SOON / 2)
    return (yield effect)


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with nothing_left_behind(), Runtime() as runtime:
        yield runtime


@pytest.fixture
def machine() -> LineMachine:
    return LineMachine()


@pytest.fixture
def link(runtime: Runtime, machine: LineMachine) -> int:
    number: int = runtime.run(one(Open(servant(), machine)))
    runtime.run(one(Ask(number, "echo ready")))
    return number


def pid(runtime: Runtime, link: int) -> int:
    return int(runtime.run(one(Ask(link, "pid"))))


def is_zombie(process: int) -> bool:
    with open(f"/proc/{process}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"


def is_gone(process: int) -> bool:
    """An orphan of ours may wait for a first process that does not reap."""
    try:
        return is_zombie(process)
    except FileNotFoundError:
        return True


def is_no_child(process: int) -> bool:
    try:
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What each gave back, or raised, and when: started, not awaited; `join` it."""
    results: list[Any] = [None] * count

    def run(index: int) -> None:
        try:
            results[index] = work(index)
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    THREADS[id(results)] = threads
    return results


def join(results: list[Any]) -> list[Any]:
    for thread in THREADS.pop(id(results)):
        thread.join(10)
        assert not thread.is_alive(), "somebody still waits"
    return results


def test_asks_tells_and_failures(runtime: Runtime, link: int) -> None:
    def flow() -> Flow[list[Any]]:
        yield Tell(link, "one")
        yield Tell(link, "two")
        told = yield Ask(link, "told")
        try:
            yield Ask(link, "fail that went wrong")
        except ToolError as error:
            return [told, str(error), (yield Ask(link, "echo after"))]
        return []

    assert runtime.run(flow()) == ["2", "that went wrong", "after"]
    with pytest.raises(ToolError, match="a line of text"):
        runtime.run(one(Ask(link, "two\nlines")))
    with pytest.raises(ToolError, match="a line of text"):
        runtime.run(one(Tell(link, 7)))
    assert runtime.run(one(Ask(link, "echo still"))) == "still"


def test_a_child_gets_its_environment_and_directory(runtime: Runtime, tmp_path: Path) -> None:
    endpoint = servant((("TAKO_SECRET", "squid"),), str(tmp_path))
    assert "squid" not in repr(endpoint)
    link = runtime.run(one(Open(endpoint, LineMachine())))
    assert runtime.run(one(Ask(link, "environ TAKO_SECRET"))) == "squid"
    assert runtime.run(one(Ask(link, "environ PATH"))) == "(none)"
    assert runtime.run(one(Ask(link, "directory"))) == str(tmp_path)
    process = pid(runtime, link)
    assert os.getsid(process) == os.getpgid(process) == process
    runtime.run(one(Hangup(link)))


@pytest.mark.parametrize(
    ("child", "words"),
    [
        (Child(("no-such-command", "--key=secret")), "'no-such-command' cannot be started: No such"),
        (Child((__file__,)), "Permission denied"),
        (Child((sys.executable,), directory="/no/such/place"), "in the directory '/no/such/place': No such"),
    ],
)
def test_what_cannot_be_started(runtime: Runtime, child: Child, words: str) -> None:
    with pytest.raises(TransportError, match=words) as caught:
        runtime.run(one(Open(child, LineMachine())))
    assert caught.value.phase == "link"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("child", [Child(()), Child(("a\0b",))])
def test_what_can_never_be_started(runtime: Runtime, child: Child) -> None:
    with pytest.raises(InvalidInput):
        runtime.run(one(Open(child, LineMachine())))
    with pytest.raises(InvalidInput, match="a link leads to"):
        runtime.run(one(Open("somewhere", LineMachine())))  # type: ignore[arg-type]


def test_32_threads_lose_nothing_and_cross_nothing(runtime: Runtime, machine: LineMachine, link: int) -> None:
    def work(index: int) -> list[bool]:
        def flow() -> Flow[list[bool]]:
            right = []
            for count in range(300):
                text = f"{index}:{count}"
                right.append((yield Ask(link, f"echo {text}")) == text)
            return right

        return runtime.run(flow())

    assert join(in_threads(32, work)) == [[True] * 300] * 32
    assert not machine.forgotten
    assert runtime.links[link].reader is None


def test_the_reader_hands_over(runtime: Runtime, link: int) -> None:
    """Whoever is answered first goes; the rest still get theirs, in whatever order."""
    held = in_threads(8, lambda _: runtime.run(one(Ask(link, "hold"))))
    wait_until(lambda: len(runtime.links[link].waiters) == 8, "all wait")
    assert runtime.run(one(Ask(link, "release"))) == "released"
    assert join(held) == ["released"] * 8


@pytest.mark.parametrize("system", ["tells", "is asked"])
@three_tries
def test_kill_9_is_heard_by_all_at_once(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    if system == "is asked":  # where there are no process descriptors
        monkeypatch.delattr(os, "pidfd_open")
    link = runtime.run(one(Open(servant(), LineMachine())))
    process = pid(runtime, link)
    grandchild = int(runtime.run(one(Ask(link, "spawn"))))  # which holds the pipes
    runtime.run(one(Ask(link, "complain 9000")))
    heard: list[float] = []

    def work(_: int) -> None:
        try:
            runtime.run(one(Ask(link, "hold")))
        finally:
            heard.append(time.monotonic())

    results = in_threads(32, work)
    wait_until(lambda: len(runtime.links[link].waiters) == 32, "all wait")
    start = time.monotonic()
    os.kill(process, signal.SIGKILL)
    errors = join(results)
    for error in errors:
        assert isinstance(error, TransportError)
        assert (error.code, error.phase) == ("-9", "link")
        assert "was killed by signal 9" in error.message
        assert error.message.endswith("x" * 8192)
        assert "[... 808 bytes cut ...]" in error.message
    assert len({id(error) for error in errors}) == 32, "each has an error of its own"
    assert is_no_child(process)
    wait_until(lambda: is_gone(grandchild), "the grandchild lives")
    with pytest.raises(TransportError, match="signal 9"):
        runtime.run(one(Ask(link, "echo anybody")))
    runtime.run(one(Hangup(link)))
    with pytest.raises(TransportError, match="not open here"):
        runtime.run(one(Ask(link, "echo anybody")))
    in_time(max(heard) - start, 0.5)


def test_death_with_words(runtime: Runtime, link: int) -> None:
    words = "has exited with code 7; the end of its standard error:\nfull of woe"
    with pytest.raises(TransportError, match=words) as caught:
        runtime.run(one(Ask(link, "die 7 full of woe")))
    assert caught.value.code == "7"
    with pytest.raises(TransportError, match="full of woe"):
        runtime.run(one(Tell(link, "anything")))


def test_what_was_answered_before_death_is_not_lost(runtime: Runtime, link: int) -> None:
    """It has answered and died while nobody was reading; who asks next cannot write any more."""
    process = pid(runtime, link)
    opened = runtime.links[link]
    with opened:
        asking = opened._live.ask("echo last words", lambda: None)
        opened._flush()
    time.sleep(SOON)
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: is_zombie(process), "it is dead")
    with pytest.raises(TransportError, match="signal 9"):
        runtime.run(one(Ask(link, "echo anybody")))
    assert asking.outcome == Succeeded("last words")


@three_tries
def test_a_child_that_closes_its_output_but_lives(runtime: Runtime, link: int) -> None:
    process = pid(runtime, link)
    start = time.monotonic()
    with pytest.raises(TransportError, match="has closed the connection") as caught:
        runtime.run(one(Ask(link, "close")))
    assert caught.value.code is None
    assert is_no_child(process)
    in_time(time.monotonic() - start, 0.5)


def test_nobody_asks_so_nobody_reads(
    runtime: Runtime, machine: LineMachine, link: int, tmp_path: Path
) -> None:
    progress = tmp_path / "progress"
    runtime.run(one(Tell(link, f"flood {progress}")))
    wait_until(lambda: progress.exists() and progress.read_text() != "", "it has begun")
    seen, since = 0, time.monotonic()
    while time.monotonic() - since < 0.2:  # until it has not moved for a while
        now = int(progress.read_text() or 0)
        if now != seen:
            seen, since = now, time.monotonic()
        assert now < 300_000, "somebody reads"
        time.sleep(0.01)
    assert machine.unasked == 0
    with pytest.raises(TimedOut):
        runtime.run(one(Within(SOON, one(Ask(link, "echo unheard")))))
    assert machine.unasked > 0, "who waits reads"
    runtime.run(one(Hangup(link, 0)))


@pytest.mark.parametrize("effect", [Ask, Tell])
@three_tries
def test_a_child_that_reads_nothing_can_be_left(
    runtime: Runtime, machine: LineMachine, link: int, effect: Any
) -> None:
    runtime.run(one(Tell(link, "deaf")))
    token, large = CancellationToken(), "echo " + "x" * 10_000_000
    with Cancelling(token, SOON) as cancelling, pytest.raises(Cancelled):
        runtime.run(one(effect(link, large)), cancel=token)
    in_time(cancelling.took)
    assert machine.forgotten == ([2] if effect is Ask else [])
    runtime.run(one(Hangup(link, 0)))


def test_both_sides_write_more_than_the_pipes_hold(runtime: Runtime, link: int) -> None:
    size = 1_000_000
    answers = in_threads(4, lambda _: runtime.run(one(Ask(link, "echo " + "x" * size))))
    assert [len(answer) for answer in join(answers)] == [size] * 4
    runtime.run(one(Tell(link, "echo " + "x" * size)))
    assert runtime.run(one(Ask(link, "told"))) == "1"


def test_the_reader_writes_for_others(runtime: Runtime, link: int) -> None:
    """The child takes what one tells it little by little, and says nothing, while another reads."""
    held = in_threads(1, lambda _: runtime.run(one(Ask(link, "hold"))))
    wait_until(lambda: runtime.links[link].reader is not None, "it reads")
    runtime.run(one(Within(5, one(Tell(link, "echo " + "x" * 3_000_000)))))
    assert runtime.run(one(Ask(link, "release"))) == "released"
    assert join(held) == ["released"]


@pytest.mark.parametrize("how", ["token", "part", "deadline"])
@three_tries
def test_the_reader_is_cut_short_and_the_others_go_on(
    runtime: Runtime, machine: LineMachine, link: int, how: str
) -> None:
    token = CancellationToken()
    flow = {
        "token": one(Ask(link, "hold")),
        "part": one(Within(None, one(Ask(link, "hold")), token)),
        "deadline": one(Within(SOON, one(Ask(link, "hold")))),
    }[how]
    first = in_threads(1, lambda _: runtime.run(flow, cancel=token if how == "token" else None))
    wait_until(lambda: runtime.links[link].reader is not None, "it reads")
    others = in_threads(4, lambda _: runtime.run(one(Ask(link, "hold"))))
    wait_until(lambda: len(runtime.links[link].waiters) == 5, "all wait")
    start = time.monotonic()
    token.cancel()
    (error,) = join(first)
    took = time.monotonic() - start
    assert type(error) is {"token": Cancelled, "part": Interrupted, "deadline": TimedOut}[how]
    assert machine.forgotten == [2]
    assert runtime.links[link].reader is not None
    assert runtime.run(one(Ask(link, "release"))) == "released"
    assert join(others) == ["released"] * 4
    in_time(took)


@three_tries
def test_one_who_follows_is_cut_short(runtime: Runtime, machine: LineMachine, link: int) -> None:
    reader = in_threads(1, lambda _: runtime.run(one(Ask(link, "hold"))))
    wait_until(lambda: runtime.links[link].reader is not None, "it reads")
    token = CancellationToken()
    with Cancelling(token, SOON) as cancelling, pytest.raises(Cancelled):
        runtime.run(one(Ask(link, "hold")), cancel=token)
    assert machine.forgotten == [3]
    runtime.run(one(Ask(link, "release")))
    assert join(reader) == ["released"]
    in_time(cancelling.took)


@three_tries
def test_a_signal_handler_cancels_the_reader(runtime: Runtime, link: int) -> None:
    token = CancellationToken()
    former = signal.signal(signal.SIGALRM, lambda *_: token.cancel())
    try:
        signal.setitimer(signal.ITIMER_REAL, SOON)
        start = time.monotonic()
        with pytest.raises(Cancelled):
            runtime.run(one(Ask(link, "hold")), cancel=token)
        in_time(time.monotonic() - start, SOON + 0.1)
    finally:
        signal.signal(signal.SIGALRM, former)


def test_a_keyboard_interrupt_of_the_reader(runtime: Runtime, machine: LineMachine, link: int) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    follower = in_threads(1, lambda _: runtime.run(later(Ask(link, "hold"))))
    former = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, SOON)
        with pytest.raises(KeyboardInterrupt):
            runtime.run(one(Ask(link, "hold")))
    finally:
        signal.signal(signal.SIGALRM, former)
    assert machine.forgotten
    wait_until(lambda: runtime.links[link].reader is not None, "the other reads")
    runtime.run(one(Ask(link, "release")))
    assert join(follower) == ["released"]


class Torn(LineMachine):
    """As if Ctrl-C came between a read and what is done with it."""

    def receive_data(self, data: bytes) -> None:
        raise KeyboardInterrupt


def test_an_interrupt_while_data_is_in_hand_is_the_end_of_the_link(runtime: Runtime) -> None:
    """Nobody knows then which bytes the machine has had."""
    link = runtime.run(one(Open(servant(), Torn())))
    with pytest.raises(KeyboardInterrupt):
        runtime.run(one(Ask(link, "echo")))
    with pytest.raises(TransportError, match="was lost: something was raised"):
        runtime.run(one(Ask(link, "echo")))


def test_an_ordered_end(runtime: Runtime, machine: LineMachine, link: int) -> None:
    process = pid(runtime, link)
    grandchild = int(runtime.run(one(Ask(link, "spawn"))))
    start = time.monotonic()
    runtime.run(one(Hangup(link, 5)))
    assert time.monotonic() - start < 2
    assert machine.has_said_goodbye
    assert "closed at this end" in str(machine.error)
    assert is_no_child(process)
    wait_until(lambda: is_gone(grandchild), "the grandchild lives")
    runtime.run(one(Hangup(link)))  # and again


def test_an_end_by_force(runtime: Runtime, link: int) -> None:
    process = pid(runtime, link)
    runtime.run(one(Ask(link, "stubborn")))
    start = time.monotonic()
    runtime.run(one(Hangup(link, 0.1)))
    assert 0.55 < time.monotonic() - start < 2, "0.1 s, then SIGTERM, which is not heeded for 0.5 s"
    assert is_no_child(process)


def test_an_end_that_is_demanded(runtime: Runtime, link: int) -> None:
    """It reads no more, so it does not see the end of its input, but it heeds SIGTERM."""
    process = pid(runtime, link)
    runtime.run(one(Tell(link, "deaf")))
    start = time.monotonic()
    runtime.run(one(Hangup(link, 0.1)))
    assert 0.1 < time.monotonic() - start < 0.55
    assert is_no_child(process)


@three_tries
def test_a_hangup_that_is_cut_short_is_one_by_force(runtime: Runtime, link: int) -> None:
    process = pid(runtime, link)
    runtime.run(one(Ask(link, "stubborn")))
    token = CancellationToken()
    with Cancelling(token, SOON) as cancelling, pytest.raises(Cancelled):
        runtime.run(one(Hangup(link, 5)), cancel=token)
    assert is_no_child(process)
    in_time(cancelling.took, 0.2)


def test_a_hangup_while_others_ask(runtime: Runtime, link: int) -> None:
    results = in_threads(8, lambda _: runtime.run(one(Ask(link, "hold"))))
    wait_until(lambda: len(runtime.links[link].waiters) == 8, "all wait")
    runtime.run(one(Hangup(link)))
    for error in join(results):
        assert isinstance(error, TransportError)
        assert "closed at this end" in str(error)


def test_some_hang_up_at_once(runtime: Runtime, link: int) -> None:
    opened = runtime.links[link]

    def hang_up(_: int) -> bool:
        opened.say_goodbye()
        return opened.wait_until_closed(2, None)

    assert join(in_threads(4, hang_up)) == [True] * 4


def test_an_answer_during_the_hangup_is_an_answer(runtime: Runtime, link: int) -> None:
    results = in_threads(1, lambda _: runtime.run(one(Ask(link, "nap 0.1"))))
    wait_until(lambda: runtime.links[link].reader is not None, "it reads")
    runtime.run(one(Hangup(link)))
    assert join(results) == ["0.1"]


def test_a_machine_that_is_over(runtime: Runtime, machine: LineMachine, link: int) -> None:
    process = pid(runtime, link)
    held = in_threads(4, lambda _: runtime.run(one(Ask(link, "hold"))))
    wait_until(lambda: len(runtime.links[link].waiters) == 4, "all wait")
    assert runtime.run(one(Ask(link, "over"))) == ""
    assert machine.has_said_goodbye
    for error in [*join(held), machine.error]:
        assert isinstance(error, TransportError)
        assert "closed at this end" in str(error)
    wait_until(lambda: is_no_child(process), "it lives")
    with pytest.raises(TransportError, match="closed at this end"):
        runtime.run(one(Ask(link, "echo anybody")))


def test_a_poke_from_another_thread(runtime: Runtime, machine: LineMachine, link: int) -> None:
    """The machine answers and says something by itself, while somebody reads, and while nobody does."""
    assert machine.poke is not None
    machine.say("- told by itself\n")
    machine.poke()
    assert runtime.run(one(Ask(link, "told"))) == "1"
    results = in_threads(2, lambda _: runtime.run(one(Ask(link, "hold"))))
    wait_until(lambda: len(runtime.links[link].waiters) == 2, "both wait")
    machine.give(3, Succeeded("by itself"))
    machine.give(4, Failed(ToolError("by itself")))
    machine.poke()
    answered, failed = sorted(join(results), key=str)
    assert {answered if isinstance(answered, str) else failed} == {"by itself"}
    assert isinstance(failed, ToolError) or isinstance(answered, ToolError)


def test_a_poke_by_the_holder_of_the_lock(runtime: Runtime) -> None:
    class Poking(LineMachine):
        def receive_data(self, data: bytes) -> None:
            super().receive_data(data)
            assert self.poke is not None
            self.poke()

    link = runtime.run(one(Open(servant(), Poking())))
    assert runtime.run(one(Ask(link, "echo fine"))) == "fine"


def test_a_cancelled_open_leaves_nothing(runtime: Runtime) -> None:
    """The token is cancelled while the child is being started."""
    token = CancellationToken()
    with Cancelling(token, 0.0005), contextlib.suppress(Cancelled):
        for _ in range(20):
            runtime.run(hanging_up(servant()), cancel=token)
    runtime.close()
    assert not len(runtime.links)

    class Cancels(LineMachine):
        def attach(self, poke: Callable[[], None]) -> None:
            own.cancel()

    own = CancellationToken()
    with pytest.raises(Cancelled):
        runtime.run(one(Open(servant(), Cancels())), cancel=own)
    assert not len(runtime.links)


def hanging_up(child: Child) -> Flow[None]:
    link = yield Open(child, LineMachine())
    yield Hangup(link, 0)


def test_a_machine_that_cannot_be_attached_leaves_nothing(runtime: Runtime) -> None:
    class Broken(LineMachine):
        def attach(self, poke: Callable[[], None]) -> None:
            raise ToolError("not today")

    with pytest.raises(ToolError):
        runtime.run(one(Open(servant(), Broken())))


class Kept:
    def __init__(self, farewell: Callable[[], Flow[None]]) -> None:
        self.farewell = farewell


def test_keep_makes_it_once_and_bids_farewell(runtime: Runtime) -> None:
    said: list[str] = []
    made: list[Kept] = []

    def make() -> Kept:
        time.sleep(0.01)
        made.append(Kept(lambda: farewell("a")))
        return made[-1]

    def farewell(name: str) -> Flow[None]:
        yield Sleep(0)
        said.append(name)

    def fails() -> Flow[None]:
        yield Sleep(0)
        raise ToolError("never mind")

    results = join(in_threads(8, lambda _: runtime.run(one(Keep("key", make)))))
    assert len(made) == 1
    assert all(result is made[0] for result in results)
    runtime.run(one(Keep("other", lambda: Kept(fails))))
    runtime.close()
    assert said == ["a"]
    runtime.close()
    assert said == ["a"], "once"


def test_a_farewell_can_use_its_link_which_is_closed_then(
    runtime: Runtime, link: int, tmp_path: Path
) -> None:
    said: list[Any] = []
    process = pid(runtime, link)

    def farewell() -> Flow[None]:
        said.append((yield Ask(link, "echo farewell")))

    runtime.run(one(Keep(link, lambda: Kept(farewell))))
    runtime.close()
    assert said == ["farewell"]
    assert is_no_child(process)


@three_tries
def test_a_farewell_that_does_not_end_is_cut_short(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tako_io_sync.runtime.FAREWELL", 0.1)
    runtime.run(one(Keep("key", lambda: Kept(lambda: one(Sleep(30))))))
    start = time.monotonic()
    runtime.close()
    in_time(time.monotonic() - start, 0.5)


def test_an_ask_alone_is_cheap(runtime: Runtime, link: int) -> None:
    """Function calls are the currency; and there is no thread, and no wake-up."""
    calls = 0

    def profile(_: Any, event: str, __: Any) -> None:
        nonlocal calls
        calls += event == "call"

    def flow(times: int) -> Flow[None]:
        for _ in range(times):
            yield Ask(link, "echo x")

    runtime.run(flow(5))
    before, former = threading.active_count(), sys.getprofile()
    counts = []
    for times in (10, 110):
        calls = 0
        sys.setprofile(profile)
        try:
            runtime.run(flow(times))
        finally:
            sys.setprofile(former)
        counts.append(calls)
    assert threading.active_count() == before
    assert (counts[1] - counts[0]) / 100 <= 52, "of which a dozen are the machine's and the flow's"
    assert not runtime.links[link].waker._is_set


def test_a_lost_link_says_why_to_each_for_ever(machine: LineMachine) -> None:
    live = LiveLink(machine)
    live.lost(TransportError("gone", phase="link"))
    errors = []
    for _ in range(2):
        with pytest.raises(TransportError) as caught:
            live.tell("x")
        errors.append(caught.value)
    assert errors[0] is not errors[1]
