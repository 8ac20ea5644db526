"""A vendor on 127.0.0.1 that costs the client nothing: another process, on the other core.

It speaks chat completions only, and as little HTTP as that takes. The answer is chosen by the first
two segments of the path, so that one process serves every load:

    /{chunks}/{milliseconds}/v1/chat/completions

A streamed answer has that many chunks of text, that many milliseconds apart; with 0 it is written at
once. Every event is one HTTP chunk, as vendors send it. What is written was rendered before.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from bench.payloads import frames, openai_answer, openai_events

__all__ = ["serving"]

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
STREAM = re.compile(rb'"stream": ?true')
PATH = re.compile(rb"POST /(\d+)/(\d+)/v1/chat/completions ")

WHOLE_HEAD = (
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_123\r\n"
    "openai-processing-ms: 5\r\ncontent-length: {}\r\n\r\n"
)
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nx-request-id: req_123\r\n"
    b"openai-processing-ms: 5\r\ntransfer-encoding: chunked\r\n\r\n"
)
REFUSAL = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


@contextmanager
def serving() -> Iterator[str]:
    """The address of a vendor that runs until the `with` is left."""
    command = [sys.executable, "-m", "bench.vendor", "--core", str(core(-1))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def core(index: int) -> int:
    """One of the cores that this process may use; -1 where nobody can tell."""
    return sorted(os.sched_getaffinity(0))[index] if hasattr(os, "sched_getaffinity") else -1


def stay_on(number: int) -> None:
    """Keep this process on one core, so that client and vendor are not in each other's way."""
    if number >= 0:
        os.sched_setaffinity(0, {number})


@cache
def _whole() -> bytes:
    body = openai_answer()
    return WHOLE_HEAD.format(len(body)).encode() + body


@cache
def _streamed(chunks: int) -> list[bytes]:
    writes = [b"%x\r\n%b\r\n" % (len(frame), frame) for frame in frames(openai_events(chunks))]
    writes[0] = STREAM_HEAD + writes[0]
    writes[-1] += b"0\r\n\r\n"
    return writes


@cache
def _streamed_at_once(chunks: int) -> bytes:
    return b"".join(_streamed(chunks))


class Vendor(asyncio.Protocol):
    """One connection; requests come one after the other."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        received = self._received = self._received + data
        head, mark, body = received.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if mark and len(body) >= (int(length[1]) if length else 0):
            self._received = b""
            self._answer(PATH.match(head), body)

    def _answer(self, path: re.Match[bytes] | None, body: bytes) -> None:
        if path is None:
            self.transport.write(REFUSAL)
            return
        chunks, delay = int(path[1]), int(path[2]) / 1000
        if not STREAM.search(body):
            self.transport.write(_whole())
        elif not delay:
            self.transport.write(_streamed_at_once(chunks))
        else:
            loop = asyncio.get_running_loop()
            self._write_next(iter(_streamed(chunks)), loop.time(), delay)

    def _write_next(self, writes: Iterator[bytes], moment: float, delay: float) -> None:
        data = next(writes, None)
        if data is not None and not self.transport.is_closing():
            self.transport.write(data)
            moment += delay
            asyncio.get_running_loop().call_at(moment, self._write_next, writes, moment, delay)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Vendor, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _main() -> None:
    from bench.concurrency import allow_many_sockets

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--core", type=int, default=-1, help="stay on this one")
    stay_on(parser.parse_args().core)
    allow_many_sockets()
    asyncio.run(_serve())


if __name__ == "__main__":
    _main()
