"""Where the links of the blocking arm lead, and where they have to work: sockets, TLS, our own standard
streams; after a fork, under gevent, inside a running loop, and at the end of the process."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tako.cancellation import CancellationToken
from tako.effects import Ask, Flow, Hangup, Open, Tell, TlsOptions, Within
from tako.errors import Cancelled, InvalidInput, TimedOut, TransportError
from tako.links import Endpoint, Socket
from tako_io_sync import Runtime
from tests.adapters.links_kit import LineMachine, echo_server, servant
from tests.adapters.sync.kit import (
    Cancelling,
    Certificates,
    full_backlog,
    in_time,
    nothing_left_behind,
    silent_server,
    three_tries,
    wait_until,
)
from tests.adapters.sync.test_matrix import run_script
from tests.adapters.test_links_sync import is_gone, is_no_child, one

SOON = 0.05


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    return Certificates.make()


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    with nothing_left_behind(), Runtime() as runtime:
        yield runtime


def opened(runtime: Runtime, endpoint: Endpoint) -> int:
    number: int = runtime.run(one(Open(endpoint, LineMachine())))
    return number


def talk(endpoint: Endpoint) -> Flow[list[Any]]:
    link = yield Open(endpoint, LineMachine())
    large = "x" * 3_000_000
    yield Tell(link, "echo unheard")
    said = [
        (yield Ask(link, "echo fine")),
        len((yield Ask(link, "echo " + large))),
        (yield Ask(link, "alpn")),
    ]
    yield Hangup(link)
    return said


def test_a_socket(runtime: Runtime) -> None:
    with echo_server() as port:
        assert runtime.run(talk(Socket("127.0.0.1", port))) == ["fine", 3_000_000, "(none)"]
        assert runtime.run(talk(Socket("localhost", port)), cancel=CancellationToken())[0] == "fine"


def test_tls(runtime: Runtime, certificates: Certificates) -> None:
    asked: list[str] = []
    context = certificates.server_context("octopus.example", "127.0.0.1", names_asked=asked)
    context.set_alpn_protocols(["ink/2", "ink/1"])
    trusting = TlsOptions(extra_roots=certificates.roots)
    with echo_server(context) as port:
        named = Socket("127.0.0.1", port, trusting, ("ink/1",), "octopus.example")
        assert runtime.run(talk(named)) == ["fine", 3_000_000, "ink/1"]
        assert asked == ["octopus.example"]
        assert runtime.run(talk(Socket("127.0.0.1", port, trusting)))[2] == "(none)"
        with pytest.raises(TransportError, match="is not trusted") as caught:
            opened(runtime, Socket("127.0.0.1", port, TlsOptions()))
        assert caught.value.phase == "tls"
        with pytest.raises(TransportError, match="is not trusted"):
            opened(runtime, Socket("127.0.0.1", port, trusting, server_name="squid.example"))
        with pytest.raises(InvalidInput, match="extra_roots"):
            opened(runtime, Socket("127.0.0.1", port, TlsOptions(extra_roots="/no/such/file")))


def test_many_threads_over_tls(runtime: Runtime, certificates: Certificates) -> None:
    with echo_server(certificates.server_context("127.0.0.1")) as port:
        link = opened(runtime, Socket("127.0.0.1", port, TlsOptions(extra_roots=certificates.roots)))
        wrong: list[str] = []

        def work(index: int) -> None:
            def flow() -> Flow[None]:
                for count in range(50):
                    text = f"{index}:{count}:{'x' * 997 * index}"
                    if (yield Ask(link, f"echo {text}")) != text:
                        wrong.append(text)

            runtime.run(flow())

        threads = [threading.Thread(target=work, args=(index,)) for index in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


@pytest.mark.parametrize(
    ("how", "words"), [("close", "has closed the connection$"), ("reset", "Connection reset")]
)
def test_a_peer_that_hangs_up(runtime: Runtime, how: str, words: str) -> None:
    with echo_server() as port:
        link = opened(runtime, Socket("127.0.0.1", port))
        with pytest.raises(TransportError, match=words) as caught:
            runtime.run(one(Ask(link, how)))
        assert f"127.0.0.1:{port}" in str(caught.value)
        with pytest.raises(TransportError, match=words):
            runtime.run(one(Ask(link, "echo x")))


def test_what_cannot_be_reached(runtime: Runtime) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        for token in (None, CancellationToken()):
            with pytest.raises(TransportError, match="refused") as caught:
                runtime.run(one(Open(Socket("127.0.0.1", port), LineMachine())), cancel=token)
            assert caught.value.phase == "connect"
    with pytest.raises(TransportError, match=r"no-such-host\.invalid"):
        opened(runtime, Socket("no-such-host.invalid", 1))


@pytest.mark.parametrize("phase", ["connect", "tls"])
@three_tries
def test_a_slow_open_has_limits(runtime: Runtime, phase: str) -> None:
    tls = TlsOptions() if phase == "tls" else None
    with silent_server() if tls else full_backlog() as port:
        start = time.monotonic()
        with pytest.raises(TimedOut, match=r"longer than 0\.05 s.*connect_timeout") as caught:
            opened(runtime, Socket("127.0.0.1", port, tls, connect_timeout=SOON))
        assert caught.value.phase == phase
        took = time.monotonic() - start
        token = CancellationToken()
        with Cancelling(token, SOON) as cancelling, pytest.raises(Cancelled):
            runtime.run(one(Open(Socket("127.0.0.1", port, tls), LineMachine())), cancel=token)
        with pytest.raises(TimedOut, match="not done within"):
            runtime.run(one(Within(SOON, one(Open(Socket("127.0.0.1", port, tls), LineMachine())))))
    in_time(took, 1)  # the roots are loaded in that time
    in_time(cancelling.took)


def test_inside_a_running_loop(runtime: Runtime) -> None:
    async def main() -> Any:
        return runtime.run(talk(servant()))

    assert asyncio.run(main())[:2] == ["fine", 3_000_000]


def test_a_runtime_that_is_collected_ends_its_links() -> None:
    with nothing_left_behind():
        runtime = Runtime()
        process = int(runtime.run(one(Ask(opened(runtime, servant()), "pid"))))
        del runtime
        gc.collect()
        wait_until(lambda: is_no_child(process), "it lives")


def test_the_end_of_the_process_is_the_end_of_all_links() -> None:
    script = """
        import threading, time
        import tako_io_sync
        from tako.effects import Ask, Open
        from tests.adapters.links_kit import LineMachine, servant
        from tests.adapters.test_links_sync import one
        links = [tako_io_sync.run(one(Open(servant(), LineMachine()))) for _ in range(3)]
        def hold():
            tako_io_sync.run(one(Ask(links[0], "hold")))
        threading.Thread(target=hold, daemon=True).start()
        time.sleep(0.05)
        tako_io_sync.run(one(Ask(links[1], "stubborn")))
        print(*[tako_io_sync.run(one(Ask(link, question)))
                for link in links[1:] for question in ("pid", "spawn")])
    """
    start = time.monotonic()
    processes = [int(number) for number in run_script(script).split()]
    assert time.monotonic() - start < 5
    assert len(processes) == 4
    for process in processes:
        wait_until(lambda process=process: is_gone(process), "it lives")  # type: ignore[misc]


def test_after_fork() -> None:
    """The child has none of its parent's links, and leaves them and their processes alone."""
    script = """
        import os, threading
        import tako_io_sync
        from tako.effects import Ask, Keep, Open
        from tako.errors import TransportError
        from tests.adapters.links_kit import LineMachine, echo_server, servant
        from tests.adapters.test_links_sync import Kept, one, wait_until
        from tako.links import Socket
        run = tako_io_sync.run
        runtime = tako_io_sync.default_runtime()
        with echo_server() as port:
            before = len(os.listdir("/proc/self/fd"))
            links = [run(one(Open(each, LineMachine()))) for each in (servant(), Socket("127.0.0.1", port))]
            kept = run(one(Keep("key", lambda: Kept(None))))
            answers = []
            threads = [
                threading.Thread(target=lambda: answers.append(run(one(Ask(links[0], "hold")))))
                for _ in range(4)
            ]
            for thread in threads: thread.start()
            wait_until(lambda: len(runtime.links[links[0]].waiters) == 4, "all wait")
            with runtime.links[links[0]]:  # a lock that is held while the child is born
                child = os.fork()
                if child == 0:
                    try:
                        assert len(os.listdir("/proc/self/fd")) == before + 1  # the server's end
                        for link in links:
                            try:
                                runtime.run(one(Ask(link, "echo x")))
                                os._exit(2)
                            except TransportError:
                                pass
                        assert runtime.run(one(Keep("key", lambda: "mine"))) == "mine"
                        link = runtime.run(one(Open(servant(), LineMachine())))
                        assert link not in links
                        assert runtime.run(one(Ask(link, "echo x"))) == "x"
                        runtime._kept.clear()
                        runtime.close()
                        os._exit(0)
                    except BaseException:
                        import traceback; traceback.print_exc()
                        os._exit(1)
            assert os.waitpid(child, 0)[1] == 0
            assert [run(one(Ask(link, "echo still"))) for link in links] == ["still"] * 2
            run(one(Ask(links[0], "release")))
            for thread in threads: thread.join()
            assert answers == ["released"] * 4
            assert run(one(Keep("key", None))) is kept
            runtime._kept.clear()
            runtime.close()
        print("good")
    """
    assert run_script(script) == "good\n"


def test_under_gevent() -> None:
    script = """
        from gevent import monkey; monkey.patch_all()
        import os, signal, threading, time
        import tako_io_sync
        from tako.cancellation import CancellationToken
        from tako.effects import Ask, Hangup, Open, Tell
        from tako.errors import Cancelled, TransportError
        from tests.adapters.links_kit import LineMachine, echo_server, servant
        from tests.adapters.test_links_sync import in_threads, join, one, wait_until
        run = tako_io_sync.run
        runtime = tako_io_sync.default_runtime()
        link = run(one(Open(servant(), LineMachine())))
        ticks = []
        def tick():
            while not ticks or ticks[-1] is not None:
                ticks.append(time.sleep(0.005) or 1)
        def work(index):
            return [run(one(Ask(link, f"echo {index}:{count}"))) == f"{index}:{count}" for count in range(20)]
        assert join(in_threads(16, work)) == [[True] * 20] * 16
        start = time.monotonic()
        threading.Timer(0.1, lambda: ticks.append(len(ticks))).start()
        assert run(one(Ask(link, "nap 0.2"))) == "0.2"
        assert ticks == [0], "others run meanwhile"
        assert len(run(one(Ask(link, "echo " + "x" * 1000000)))) == 1000000
        held = in_threads(4, lambda _: run(one(Ask(link, "hold"))))
        token = CancellationToken()
        threading.Timer(0.05, token.cancel).start()
        try:
            run(one(Ask(link, "hold")), cancel=token)
        except Cancelled:
            print("cancelled")
        process = int(run(one(Ask(link, "pid"))))
        start = time.monotonic()
        os.kill(process, signal.SIGKILL)
        codes = [error.code for error in join(held)]
        assert time.monotonic() - start < 0.5, time.monotonic() - start
        print(*codes)
        link = run(one(Open(servant(), LineMachine())))
        run(one(Ask(link, "echo x")))
        start = time.monotonic()
        run(one(Hangup(link)))
        assert time.monotonic() - start < 1
    """
    assert run_script(script) == "cancelled\n-9 -9 -9 -9\n"


def test_standard_streams_that_are_not_there() -> None:
    script = """
        import os, sys
        import tako_io_sync
        from tako.effects import Open
        from tako.errors import TransportError
        from tako.links import StandardStreams
        from tests.adapters.links_kit import LineMachine
        from tests.adapters.test_links_sync import one
        output = os.dup(1)
        os.close(0)
        for _ in range(2):
            try:
                tako_io_sync.run(one(Open(StandardStreams(), LineMachine())))
            except TransportError as error:
                print(error)
    """
    assert run_script(script) == "the standard streams are not open: Bad file descriptor\n" * 2
