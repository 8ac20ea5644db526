"""A call of a tool over MCP, beside the official SDK's client and beside what one writes by hand.

Each side is a process of its own that calls when it is told to and says what that took (`mcp_player.py`), so
that loops of all kinds can be run in turns. The server (`mcp_echo.py`) is on the other core.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.measure import Aim, Line, compare_costs
from bench.vendor import core
from tests.mcp import peers

__all__ = ["lines"]

HERE = Path(__file__).parent
CALLS = 100
"""In one turn of one side."""


def lines(seconds: float) -> Iterator[Line]:
    for over, costs in (("stdio", dict.fromkeys(ARMS, 45.0)), ("HTTP", {"trio": 120.0, "asyncio": 120.0})):
        with ExitStack() as stack:
            server = stack.enter_context(serving(over))
            bare = stack.enter_context(playing(sys.executable, "bare", server))
            try:
                official = stack.enter_context(playing(str(peers.python("mcp2")), "official", server))
            except peers.Unavailable as error:
                print(f"\nwithout the official SDK: {error}", file=sys.stderr)
                official = None
            for arm in ARMS:
                ours = stack.enter_context(playing(sys.executable, arm, server))
                work = f"MCP call over {over}, {arm}"
                if official is not None:
                    aim = Aim("cost", costs[arm]) if arm in costs else None
                    yield compare_costs(ours, official, seconds).line(work, "the official SDK", aim)
                if over == "HTTP" and arm == "blocking":
                    yield compare_costs(ours, bare, seconds).line(work, "Session.post", Aim("ratio", 1.2))
                elif over == "stdio":
                    yield compare_costs(ours, bare, seconds).line(work, "a bare loop over pipes")


ARMS = ("blocking", "trio", "asyncio")


@contextmanager
def serving(over: str) -> Iterator[list[str]]:
    """How the players reach the server; over stdio each starts one for itself."""
    command = [sys.executable, str(HERE / "mcp_echo.py"), over.lower(), str(core(-1))]
    if over == "stdio":
        yield command
        return
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield [f"http://127.0.0.1:{int(process.stdout.readline())}/mcp"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextmanager
def playing(python: str, side: str, server: list[str]) -> Iterator[Callable[[], float]]:
    """A player; each call of it gives the microseconds of CPU that one call of the tool took."""
    process = subprocess.Popen(
        [python, str(HERE / "mcp_player.py"), side, str(core(0)), *server],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": "" if side == "official" else str(peers.ROOT)},
    )
    assert process.stdin is not None and process.stdout is not None
    writing, reading = process.stdin, process.stdout

    def turn() -> float:
        print(CALLS, file=writing, flush=True)
        return float(reading.readline()) / CALLS * 1e6

    try:
        assert reading.readline() == "ready\n", f"the {side} player did not start"
        turn()  # what is made at first use
        yield turn
    finally:
        writing.close()
        reading.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
