"""The servers that others wrote, started once for all tests: those that can be shared."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.mcp import peers

PROGRAM = str(Path(__file__).parent / "server.py")
SECONDS_TO_START = 30.0

Start: TypeAlias = Callable[[str], int]
"""By the name of a server: the port where it listens."""


def command(name: str, where: str) -> list[str]:
    """How that server is started. Where it cannot be had the test is skipped, but fails in CI."""
    match name:
        case "everything":
            return [_had(peers.node), _had(peers.everything), where]
        case "websocket":
            return [python("mcp1"), PROGRAM, name, where]
        case "official" | "fastmcp":
            return [python("mcp2"), PROGRAM, name, where]
    _, arm = name.split()
    return [sys.executable, "-m", "tests.mcp.conformance.server", arm, where]


def python(name: str) -> str:
    """The interpreter of an environment where tako is not; skips like `command`."""
    return _had(lambda: peers.python(name))


def _had(get: Callable[[], Path]) -> str:
    try:
        return str(get())
    except peers.Unavailable as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@contextmanager
def running(arguments: list[str], port: int, log: Path, **environ: str) -> Iterator[None]:
    """A program that listens there, once it does; ended with its log in the error if it does not."""
    with log.open("w") as file:
        process = subprocess.Popen(
            arguments,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environ},
            cwd=peers.ROOT,
        )
    try:
        end = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start a server at its first use, and end it after the last test."""
    folder = tmp_path_factory.mktemp("servers")
    ports: dict[str, int] = {}

    with ExitStack() as stack:

        def start(name: str) -> int:
            if name not in ports:
                port = free_port()
                kind, _, transport = name.partition(" ")
                where = transport if kind == "everything" else str(port)
                arguments = command(name if kind == "ours" else kind, where)
                stack.enter_context(running(arguments, port, folder / f"{name}.log", PORT=str(port)))
                ports[name] = port
            return ports[name]

        yield start
