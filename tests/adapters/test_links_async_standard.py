"""Our own standard streams as a link: a process of its own serves lines there, by either arm."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.async_kit import descriptors

SERVER = r"""
import sys
from tako.effects import Ask, Hangup, Open, Succeeded
from tako.errors import InvalidInput, TakoError
from tako.links import StandardStreams

class Loud:
    # Answers each line in capitals; the one Ask there is lasts until the input ends.
    is_over = False

    def __init__(self):
        self.rest, self.answers, self.ended = b"", bytearray(), False

    def attach(self, poke): pass
    def ask(self, message): return message
    def tell(self, message): self.answers += message
    def forget(self, ticket): pass
    def lost(self, error): self.ended = True
    def goodbye(self): self.answers += b"bye\n"; self.is_over = True

    def receive_data(self, data):
        self.ended |= not data
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            size = line.partition(b"*")[2]
            self.answers += line.upper() * int(size or 1) + b"\n"
            self.ended |= line == b"stop"

    def data_to_send(self):
        data = bytes(self.answers)
        self.answers.clear()
        return data

    def outcomes(self):
        return [("all", Succeeded("served"))] if self.ended else []

def flow():
    link = yield Open(StandardStreams(), Loud())
    print("printed")
    try:
        yield Open(StandardStreams(), Loud())
    except InvalidInput:
        print("taken", sys.stdin.read() == "")
    answer = yield Ask(link, "all")
    yield Hangup(link)
    return answer

if sys.argv[1] == "trio":
    import trio, tako_io_trio
    answer = trio.run(tako_io_trio.run, flow())
else:
    import asyncio, tako_io_asyncio
    answer = asyncio.run(tako_io_asyncio.run(flow()))
print("after:", answer)
"""


@pytest.fixture(params=["asyncio", "trio"])
def command(request: pytest.FixtureRequest) -> list[str]:
    return [sys.executable, "-W", "error", "-c", SERVER, request.param]


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    files = descriptors()
    yield
    assert descriptors() == files


def check(output: bytes, errors: bytes, answers: bytes) -> None:
    assert output == answers + b"after: served\n"
    assert errors == b"printed\ntaken True\n"


def test_pipes(command: list[str]) -> None:
    """More than a pipe holds, to one who reads it late; then the end of the input."""
    done = subprocess.run(command, input=b"one\nx*300000\ntwo\n", capture_output=True, timeout=10)
    check(done.stdout, done.stderr, b"ONE\n" + b"X*300000" * 300_000 + b"\nTWO\n")


def test_files(command: list[str], tmp_path: Path) -> None:
    """No loop can watch them."""
    (tmp_path / "input").write_bytes(b"one\n" + b"y" * 200_000 + b"\ntwo\n")
    with open(tmp_path / "input", "rb") as source, open(tmp_path / "output", "wb") as sink:
        done = subprocess.run(command, stdin=source, stdout=sink, stderr=subprocess.PIPE, timeout=10)
    check((tmp_path / "output").read_bytes(), done.stderr, b"ONE\n" + b"Y" * 200_000 + b"\nTWO\n")


def test_a_terminal(command: list[str]) -> None:
    """Its flags are left alone, for it is others' too."""
    ours, theirs = pty.openpty()
    flags = termios.tcgetattr(theirs)
    flags[1] &= ~termios.OPOST
    flags[3] &= ~termios.ECHO
    termios.tcsetattr(theirs, termios.TCSANOW, flags)
    try:
        with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE) as process:
            os.write(ours, b"one\nstop\n")
            _, errors = process.communicate(timeout=10)
            assert os.get_blocking(theirs)
        check(os.read(ours, 65536), errors, b"ONE\nSTOP\nbye\n")
    finally:
        os.close(ours)
        os.close(theirs)
