"""A thousand streams at once in one event loop, 100 chunks each, 5 ms apart: time and memory.

Each side is a process of its own, `python -m bench.concurrency SIDE ADDRESS`, for memory that one
has used another one seems not to need. The rounds take turns.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from urllib.parse import urlsplit

from bench.call import PROMPT, SYSTEM
from bench.measure import NOMINAL, Aim, Line, speed
from bench.payloads import text_of
from bench.stream import STREAM
from bench.vendor import core, serving, stay_on
from tako import SingleAgent
from tako.events import AssistantText
from tako.providers import OpenAI

__all__ = ["lines"]

STREAMS, CHUNKS, APART = 1000, 100, 5
LEAST_ROUNDS = 3
PATH = f"/{CHUNKS}/{APART}/v1"


def lines(seconds: float) -> Iterator[Line]:
    rounds: list[dict[str, tuple[float, float]]] = []
    with serving() as address:
        end = perf_counter() + seconds
        while len(rounds) < LEAST_ROUNDS or perf_counter() < end:
            rounds.append({side: _measured(side, address) for side in SIDES})
    floor = median(costs["protocol"][0] for costs in rounds)
    memory = median(costs["protocol"][1] for costs in rounds)
    for side, limit in (("asyncio", 20), ("trio", 25)):
        ours = median(costs[side][0] for costs in rounds)
        ratio = median(costs[side][0] / costs["protocol"][0] for costs in rounds)
        work = f"chunk of {STREAMS:,} streams, {side}"
        yield Line(work, "a bare asyncio.Protocol", ours, floor, ratio, Aim("cost", limit))
        ours = median(costs[side][1] for costs in rounds)
        work = f"memory of a stream, {side}"
        yield Line(work, "a bare asyncio.Protocol", ours, memory, ours / memory, Aim("cost", 25), unit="KiB")


def _measured(side: str, address: str) -> tuple[float, float]:
    command = [sys.executable, "-m", "bench.concurrency", side, address]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    cost, memory = json.loads(done.stdout)
    return cost, memory


class Counting(asyncio.Protocol):
    """The least that can be done: count the events in the bytes, and look at nothing else."""

    def __init__(self, request: bytes, done: asyncio.Future[None]) -> None:
        self._request = request
        self._done = done
        self._events = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._events += data.count(b"data: {")
        if data.endswith(b"\r\n0\r\n\r\n"):
            assert self._events >= CHUNKS
            self._transport.close()
            self._done.set_result(None)


async def one_protocol(address: str) -> None:
    place, loop = urlsplit(address), asyncio.get_running_loop()
    body = json.dumps(STREAM).encode()
    head = f"POST {PATH}/chat/completions HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n"
    done = loop.create_future()
    assert place.hostname is not None and place.port is not None
    await loop.create_connection(lambda: Counting(head.encode() + body, done), place.hostname, place.port)
    await done


def one_stream(address: str) -> Callable[[str], Awaitable[None]]:
    provider = OpenAI("gpt-4o-mini", "sk-bench", base_url=f"{address}{PATH}")
    agent, text = SingleAgent(provider, system=SYSTEM), text_of(CHUNKS)

    async def run(_address: str) -> None:
        async with agent.stream(PROMPT) as events:
            texts = [event.delta async for event in events if type(event) is AssistantText]
        assert "".join(texts) == text

    return run


async def _together(one: Callable[[str], Awaitable[None]], address: str, streams: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(streams):
            group.create_task(one(address))  # type: ignore[arg-type]


async def _together_in_trio(one: Callable[[str], Awaitable[None]], address: str, streams: int) -> None:
    import trio

    async with trio.open_nursery() as nursery:
        for _ in range(streams):
            nursery.start_soon(one, address)


async def _shot(together: Callable[[int], Awaitable[None]]) -> tuple[float, float]:
    """Microseconds of CPU a chunk at nominal speed, KiB a stream."""
    await together(5)
    gc.collect()
    before, fast = peak_memory(), speed(20_000)
    start = process_time()
    await together(STREAMS)
    spent = process_time() - start
    factor = (fast + speed(20_000)) / 2 / NOMINAL
    return spent * factor / STREAMS / CHUNKS * 1e6, (peak_memory() - before) / STREAMS


def peak_memory() -> float:
    """The most that this process has held at any time, in KiB."""
    try:
        # Not getrusage: under Linux its figure begins with what the parent had held.
        status = Path("/proc/self/status").read_text()
    except FileNotFoundError:
        import resource

        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return size / 1024 if sys.platform == "darwin" else size
    return float(status.partition("VmHWM:")[2].split()[0])


def allow_many_sockets() -> None:
    import resource

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _protocol(address: str) -> tuple[float, float]:
    return asyncio.run(_shot(lambda streams: _together(one_protocol, address, streams)))


def _asyncio(address: str) -> tuple[float, float]:
    one = one_stream(address)
    return asyncio.run(_shot(lambda streams: _together(one, address, streams)))


def _trio(address: str) -> tuple[float, float]:
    import trio

    one = one_stream(address)
    return trio.run(_shot, lambda streams: _together_in_trio(one, address, streams))


SIDES: dict[str, Callable[[str], tuple[float, float]]] = {
    "protocol": _protocol,
    "asyncio": _asyncio,
    "trio": _trio,
}


if __name__ == "__main__":
    stay_on(core(0))
    allow_many_sockets()
    print(json.dumps(SIDES[sys.argv[1]](sys.argv[2])))
