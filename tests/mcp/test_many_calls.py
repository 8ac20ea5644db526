"""Ten thousand calls on one connection: none lost, none crossed, memory flat; and what happens at a death.

From 32 threads, and from 1,000 tasks of trio, over stdio and over HTTP; fewer from 1,000 tasks of asyncio.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from tako.errors import TransportError
from tako.mcp import Http, ServerConfig, Stdio, connect

ECHO = str(Path(__file__).with_name("echo_server.py"))
CALLS = 10_000
THREADS = 32
TASKS = 1000


@pytest.fixture(scope="module")
def http_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port_file = tmp_path_factory.mktemp("echo") / "port"
    process = subprocess.Popen([sys.executable, ECHO, "http", str(port_file)])
    try:
        while not port_file.exists():
            assert process.poll() is None
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port_file.read_text()}/mcp"
    finally:
        process.kill()
        process.wait()


def stdio() -> Stdio:
    return Stdio(sys.executable, [ECHO, "stdio"], era="handshake")


@pytest.fixture(params=["stdio", "http"])
def server(request: pytest.FixtureRequest) -> ServerConfig:
    if request.param == "stdio":
        return stdio()
    return Http(request.getfixturevalue("http_url"), era="handshake")


def grown(work: Callable[[], None]) -> int:
    """Bytes that are still held after the work, beyond those before."""
    gc.collect()
    tracemalloc.start(1)
    try:
        before, _ = tracemalloc.get_traced_memory()
        work()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        return after - before
    finally:
        tracemalloc.stop()


def test_from_32_threads(server: ServerConfig) -> None:
    with connect(server) as session:
        wrong: list[Any] = []

        def work(thread: int, calls: int) -> None:
            for number in range(calls):
                words = f"{thread}.{number}"
                answered = session.call("echo", {"text": words}).text
                if answered != words:
                    wrong.append((words, answered))

        def all_at_once(calls: int) -> None:
            threads = [threading.Thread(target=work, args=(number, calls)) for number in range(THREADS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        all_at_once(CALLS // THREADS)
        assert wrong == []
        all_at_once(5)
        assert grown(lambda: all_at_once(30)) < 200_000


@pytest.mark.parametrize("library", ["trio", "asyncio"])
def test_from_1000_tasks(server: ServerConfig, library: str) -> None:
    answered: list[tuple[str, str]] = []
    calls = CALLS if library == "trio" else CALLS // 5

    async def work(session: Any, task: int) -> None:
        for number in range(calls // TASKS):
            words = f"{task}.{number}"
            answered.append((words, (await session.call("echo", {"text": words})).text))

    async def on_trio() -> None:
        async with connect(server) as session:
            async with trio.open_nursery() as nursery:
                for task in range(TASKS):
                    nursery.start_soon(work, session, task)

    async def on_asyncio() -> None:
        async with connect(server) as session:
            await asyncio.gather(*[work(session, task) for task in range(TASKS)])

    if library == "trio":
        trio.run(on_trio)
    else:
        asyncio.run(on_asyncio())
    assert len(answered) == calls
    assert [pair for pair in answered if pair[0] != pair[1]] == []


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_server_that_is_killed_is_told_of_at_once_and_leaves_nothing() -> None:
    def once() -> float:
        with connect(stdio()) as session:
            pid = int(session.call("pid").text)
            session.call("loud", {"bytes": 50})
            heard: list[tuple[float, TransportError]] = []

            def wait() -> None:
                try:
                    session.call("stall")
                except TransportError as error:
                    heard.append((time.monotonic(), error))

            threads = [threading.Thread(target=wait) for _ in range(8)]
            for thread in threads:
                thread.start()
            time.sleep(0.05)
            struck = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            for thread in threads:
                thread.join()
            assert len(heard) == 8
            assert all(
                "killed by signal 9" in error.message and "xxxxx" in error.message for _, error in heard
            )
            assert not Path(f"/proc/{pid}").exists(), "it is a zombie"
            return max(moment for moment, _ in heard) - struck

    once()
    before = descriptors()
    latest = min(once() for _ in range(3))
    assert descriptors() == before
    assert latest < 0.1


@pytest.mark.parametrize("library", ["trio", "asyncio"])
def test_a_server_that_is_killed_is_told_of_at_once_to_tasks(library: str) -> None:
    async def once(start: Callable[[Any, list[Any]], Any]) -> float:
        async with connect(stdio()) as session:
            pid = int((await session.call("pid")).text)
            heard: list[Any] = []
            struck = await start(session, heard)
            assert len(heard) == 8
            assert all("killed by signal 9" in error.message for _, error in heard), heard
            assert not Path(f"/proc/{pid}").exists(), "it is a zombie"
            return max(moment for moment, _ in heard) - struck

    async def wait(session: Any, heard: list[Any]) -> None:
        try:
            await session.call("stall")
        except TransportError as error:
            heard.append((time.monotonic(), error))

    async def strike(session: Any, sleep: Callable[[float], Any]) -> float:
        pid = int((await session.call("pid")).text)
        await sleep(0.05)
        moment = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        return moment

    async def with_trio(session: Any, heard: list[Any]) -> float:
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(wait, session, heard)
            return await strike(session, trio.sleep)

    async def with_asyncio(session: Any, heard: list[Any]) -> float:
        waiting = [asyncio.create_task(wait(session, heard)) for _ in range(8)]
        moment = await strike(session, asyncio.sleep)
        await asyncio.gather(*waiting)
        return moment

    def run() -> float:
        return trio.run(once, with_trio) if library == "trio" else asyncio.run(once(with_asyncio))

    run()
    before = descriptors()
    latest = min(run() for _ in range(3))
    assert descriptors() == before
    assert latest < 0.1
