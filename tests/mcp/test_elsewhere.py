"""A session that is used where its link is not: in a forked process, in a second event loop, in another arm.

It connects there anew, and no call goes over a link of somebody else.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import trio

import tako_io_asyncio
import tako_io_sync
import tako_io_trio
from tako.effects import Flow
from tako.mcp import Session, Stdio, connect

ECHO = str(Path(__file__).with_name("echo_server.py"))


def server() -> Stdio:
    return Stdio(sys.executable, [ECHO, "stdio"], era="handshake")


def test_in_a_forked_process_each_session_has_a_server_of_its_own() -> None:
    with connect(server()) as session:
        ours = session.call("pid").text
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                with connect(server()) as other:  # its link would have had the number of the parent's
                    theirs = {other.call("pid").text, session.call("pid").text}
                os.write(write, " ".join(sorted(theirs)).encode())
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        found = os.read(read, 100).decode().split()
        os.close(read)
        os.close(write)
        assert len(found) == 2, "the two did not share one"
        assert ours not in found
        assert session.call("pid").text == ours, "and ours is as it was"


def test_a_session_goes_on_in_another_loop_and_in_another_arm() -> None:
    session = Session(server())

    def pid() -> Flow[str]:
        return (yield from session.call("pid")).text

    async def on_asyncio() -> str:
        async with tako_io_asyncio.Runtime() as runtime:
            return await runtime.run(pid())

    async def on_trio() -> str:
        async with tako_io_trio.Runtime() as runtime:
            return await runtime.run(pid())

    with tako_io_sync.Runtime() as runtime:
        found = [asyncio.run(on_asyncio()), asyncio.run(on_asyncio()), trio.run(on_trio), runtime.run(pid())]
        assert len(set(found)) == 4
        assert runtime.run(pid()) == found[-1]
