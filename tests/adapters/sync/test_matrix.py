"""Where blocking code has to work: in loops, in threads, under gevent, after fork, inside itself."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trio

import tako_io_sync
from tako.cancellation import CancellationToken
from tako.effects import Call, Flow, Gather, Within, call
from tako.errors import Cancelled, TimedOut
from tako.testing.vendor import Answer, Pause, ScriptedVendor
from tako_io_sync import Runtime
from tako_io_sync.loopback import LoopbackServer
from tests.adapters.sync.kit import Cancelling, fetch, in_time, nothing_left_behind, post, three_tries

ROOT = Path(__file__).parents[3]


async def answer_async() -> str:
    await asyncio.sleep(0.001)
    return "async"


def everything(url: str) -> Flow[list[Any]]:
    """HTTP, a plain and an async call, all of that limited, and all of that side by side."""
    plain = [(yield from fetch(post(url))), (yield from call(str, 7)), (yield from call(answer_async))]
    limited = yield Within(30, once(url))
    outcomes = yield Gather((once(url), once(url)))
    return [plain, limited, *(outcome.value for outcome in outcomes)]


def once(url: str) -> Flow[list[Any]]:
    return [(yield from fetch(post(url))), (yield from call(str, 7)), (yield from call(answer_async))]


EXPECTED = [[(200, b"{}"), "7", "async"]] * 4
VENDOR = ScriptedVendor(Answer.json(b"{}"))


def test_inside_a_running_asyncio_loop(runtime: Runtime) -> None:
    async def main() -> Any:
        return runtime.run(everything(server.url))

    with LoopbackServer(VENDOR) as server, nothing_left_behind():
        assert asyncio.run(main()) == EXPECTED
        runtime.close()


def test_inside_a_running_trio_loop(runtime: Runtime) -> None:
    async def main() -> Any:
        return runtime.run(everything(server.url))

    with LoopbackServer(VENDOR) as server, nothing_left_behind():
        assert trio.run(main) == EXPECTED
        runtime.close()


@three_tries
def test_a_cancel_inside_a_running_loop(runtime: Runtime) -> None:
    async def forever() -> None:
        await asyncio.sleep(30)

    async def main() -> None:
        token = CancellationToken()
        with Cancelling(token, 0.03) as cancelling, pytest.raises(Cancelled):
            runtime.run(call(forever), cancel=token)
        in_time(cancelling.took)

    with nothing_left_behind():
        asyncio.run(main())


def test_32_threads_share_a_runtime(runtime: Runtime) -> None:
    results: list[Any] = []
    with LoopbackServer(VENDOR) as server, nothing_left_behind():
        threads = [
            threading.Thread(target=lambda: results.append(runtime.run(everything(server.url))))
            for _ in range(32)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [EXPECTED] * 32
        runtime.close()


@pytest.mark.parametrize("token", [None, CancellationToken()], ids=["plain", "with a token"])
def test_nested_five_deep_inside_tools(token: CancellationToken | None, runtime: Runtime) -> None:
    def agent(url: str, depth: int) -> Flow[list[Any]]:
        if depth == 0:
            return (yield from everything(url))
        result: list[Any] = yield Call(lambda: runtime.run(agent(url, depth - 1), cancel=token))
        return result

    async def async_tool() -> Any:
        return runtime.run(agent(server.url, 5), cancel=token)

    with LoopbackServer(VENDOR) as server, nothing_left_behind():
        assert runtime.run(agent(server.url, 5), cancel=token) == EXPECTED
        assert runtime.run(call(async_tool), cancel=token) == EXPECTED
        runtime.close()


def test_the_default_runtime_is_one(runtime: Runtime) -> None:
    assert tako_io_sync.default_runtime() is tako_io_sync.default_runtime()
    with LoopbackServer(VENDOR) as server:
        assert [tako_io_sync.run(fetch(post(server.url))) for _ in range(2)] == [(200, b"{}")] * 2
        assert server.connections == 1


def run_script(script: str, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_under_gevent_8_calls_overlap() -> None:
    script = """
        from gevent import monkey; monkey.patch_all()
        import sys, time, threading
        import tako_io_sync
        from tako.cancellation import CancellationToken
        from tako.errors import Cancelled
        from tests.adapters.sync.test_matrix import everything, fetch, post
        url, results = sys.argv[1], []
        start = time.monotonic()
        def work():
            results.append(tako_io_sync.run(fetch(post(url + "/slow"))))
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert len(results) == 8, results
        assert time.monotonic() - start < 1.5, time.monotonic() - start
        tako_io_sync.run(everything(url))
        token = CancellationToken()
        timer = threading.Timer(0.05, token.cancel)
        timer.start()
        start = time.monotonic()
        try:
            tako_io_sync.run(fetch(post(url + "/slow")), cancel=token)
        except Cancelled:
            assert time.monotonic() - start < 0.5
            print("good")
    """
    slow, fast = Answer((b"a", Pause(0.4), b"b")), Answer.json(b"{}")
    with LoopbackServer(
        ScriptedVendor(lambda request: slow if request.target == "/slow" else fast)
    ) as server:
        assert run_script(script, server.url) == "good\n"


def test_after_fork() -> None:
    """A child has connections of its own, whatever its parent's threads were holding when it was born."""
    script = """
        import os, sys, threading
        import requests
        import tako_io_sync
        from tests.adapters.sync.test_matrix import everything, fetch, post, EXPECTED
        url = sys.argv[1]
        given = requests.Session()
        runtimes = [tako_io_sync.default_runtime(), tako_io_sync.Runtime(), tako_io_sync.Runtime(given)]
        for runtime in runtimes:
            assert runtime.run(everything(url)) == EXPECTED
        stop = threading.Event()
        def work():
            while not stop.is_set():
                for runtime in runtimes:
                    runtime.run(fetch(post(url + "/parent")))
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads: thread.start()
        children = []
        for _ in range(5):
            child = os.fork()
            if child == 0:
                try:
                    assert tako_io_sync.default_runtime() is not runtimes[0]
                    for runtime in (tako_io_sync.default_runtime(), *runtimes):
                        assert runtime.run(everything(url)) == EXPECTED
                    os._exit(0)
                except BaseException:
                    import traceback; traceback.print_exc()
                    os._exit(1)
            children.append(child)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for thread in threads: thread.join()
        for runtime in runtimes:
            assert runtime.run(everything(url)) == EXPECTED
        print("good")
    """
    with LoopbackServer(VENDOR) as server:
        assert run_script(script, server.url) == "good\n"


def test_importing_the_arm_imports_no_async_library() -> None:
    script = """
        import sys, tako_io_sync
        tako_io_sync.default_runtime()
        print([name for name in ("asyncio", "trio") if name in sys.modules])
    """
    assert run_script(script) == "[]\n"


@three_tries
def test_time_on_a_busy_machine_does_not_matter_to_a_watchdog(runtime: Runtime) -> None:
    """Many deadlines at once, of which each ends its own flow alone."""
    results: list[Any] = []

    def flow(url: str, seconds: float) -> Flow[str]:
        try:
            yield Within(seconds, fetch(post(url)))
        except TimedOut:
            return "late"
        return "in time"

    with LoopbackServer(ScriptedVendor(Answer((b"a", Pause(0.15), b"b")))) as server, nothing_left_behind():
        threads = [
            threading.Thread(target=lambda s=s: results.append((s, runtime.run(flow(server.url, s)))))
            for s in (0.05, 30, 0.06, 31, 0.04, 32)
        ]
        start = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        in_time(time.monotonic() - start, 2)
        assert all((outcome == "late") == (seconds < 1) for seconds, outcome in results)
        runtime.close()
