"""Our own standard streams as a link, in a process of its own: pipes, a socket, files, a terminal."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.async_kit import descriptors

SERVER = r"""
import sys
from tako.driving import async_links
from tako.effects import Ask, Hangup, Open, Succeeded, Tell
from tako.errors import InvalidInput, TakoError
from tako.links import StandardStreams

class Loud:
    # Answers each line in capitals. The one Ask lasts until the input ends, and then it still owes a Tell.
    def __init__(self):
        self.rest, self.answers, self.has_ended, self.is_over = b"", bytearray(), False, False

    def attach(self, poke): pass
    def ask(self, message): return message
    def forget(self, ticket): pass
    def lost(self, error): pass
    def goodbye(self): self.answers += b"bye\n"; self.is_over = True

    def tell(self, message):
        self.answers += message
        self.is_over = self.has_ended

    def receive_data(self, data):
        self.has_ended |= not data
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            size = line.partition(b"*")[2]
            self.answers += line.upper() * int(size or 1) + b"\n"
            self.has_ended |= line == b"stop"

    def data_to_send(self):
        data = bytes(self.answers)
        self.answers.clear()
        return data

    def outcomes(self):
        return [("all", Succeeded("served"))] if self.has_ended else []

def flow():
    link = yield Open(StandardStreams(), Loud())
    print("printed")
    try:
        yield Open(StandardStreams(), Loud())
    except InvalidInput:
        print("taken", sys.stdin.read() == "")
    answer = yield Ask(link, "all")
    try:
        yield Tell(link, b"x" * int(sys.argv[2]) + b"late\n")
    except TakoError as error:
        print(error, file=sys.stderr)
    yield Hangup(link)
    link = yield Open(StandardStreams(), Loud())  # what was given back can be taken again
    yield Hangup(link, 0.2)
    return answer

if sys.argv[1] == "trio":
    import trio, tako_io_trio
    async_links.ORDERLY = 0.2
    answer = trio.run(tako_io_trio.run, flow())
elif sys.argv[1] == "asyncio":
    import asyncio, tako_io_asyncio
    async_links.ORDERLY = 0.2
    answer = asyncio.run(tako_io_asyncio.run(flow()))
else:
    import tako_io_sync, tako_io_sync._link
    tako_io_sync._link.ORDERLY = 0.2
    answer = tako_io_sync.run(flow())
if sys.argv[2] == "0":
    print("after:", answer)
"""
ARMS = ["sync", "asyncio", "trio"]


@pytest.fixture(params=ARMS)
def command(request: pytest.FixtureRequest) -> list[str]:
    return server(request.param)


def server(arm: str, late: int = 0) -> list[str]:
    return [sys.executable, "-W", "error", "-c", SERVER, arm, str(late)]


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    files = descriptors()
    yield
    assert descriptors() == files


def check(output: bytes, errors: bytes, answers: bytes) -> None:
    """What is printed goes elsewhere, what is owed when the input ends is sent; then it is over."""
    assert output == answers + b"bye\nafter: served\n"
    assert errors == b"printed\ntaken True\n"


def test_pipes(command: list[str]) -> None:
    """More than a pipe holds, to one who reads it late; then the end of the input."""
    done = subprocess.run(command, input=b"one\nx*300000\ntwo\n", capture_output=True, timeout=20)
    check(done.stdout, done.stderr, b"ONE\n" + b"X*300000" * 300_000 + b"\nTWO\nlate\n")


def test_who_ends_and_reads_nothing_is_not_waited_for() -> None:
    """The last words are, of a machine that is over, but not for ever."""
    started = [
        subprocess.Popen(
            server(arm, 1_000_000),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for arm in ARMS
    ]
    for process in started:
        assert process.wait(20) == 0
        assert process.stderr is not None and process.stdout is not None
        with process.stderr, process.stdout:
            assert process.stderr.read() == (
                b"printed\ntaken True\nour standard input has closed the connection\n"
            )


def test_a_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            server("sync"), stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.PIPE
        )
        theirs.close()
        ours.sendall(b"one\n")
        ours.shutdown(socket.SHUT_WR)
        with ours.makefile("rb") as file:
            output = file.read()
        check(output, process.communicate(timeout=20)[1], b"ONE\nlate\n")


@pytest.mark.parametrize("arm", ["asyncio", "trio"])
def test_files(arm: str, tmp_path: Path) -> None:
    """No loop can watch them."""
    (tmp_path / "input").write_bytes(b"one\n" + b"y" * 200_000 + b"\ntwo\n")
    with open(tmp_path / "input", "rb") as source, open(tmp_path / "output", "wb") as sink:
        done = subprocess.run(server(arm), stdin=source, stdout=sink, stderr=subprocess.PIPE, timeout=20)
    check((tmp_path / "output").read_bytes(), done.stderr, b"ONE\n" + b"Y" * 200_000 + b"\nTWO\nlate\n")


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
            _, errors = process.communicate(timeout=20)
            assert os.get_blocking(theirs)
        check(os.read(ours, 65536), errors, b"ONE\nSTOP\nlate\nbye\n")
    finally:
        os.close(ours)
        os.close(theirs)
