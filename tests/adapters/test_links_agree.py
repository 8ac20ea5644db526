"""What every arm has to do alike with a peer that misbehaves: one flow, driven by each."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import tako_io_asyncio
import tako_io_sync
import tako_io_trio
from tako.driving.live_link import MOST_PROVOKED, ROOM
from tako.effects import Ask, Flow, Hangup, Open, Tell, Within
from tako.errors import InvalidInput, TimedOut, ToolError, TransportError
from tako.links import Child
from tests.adapters.async_kit import Arm, AsyncioArm, TrioArm
from tests.adapters.links_kit import LineMachine, servant


def _asyncio(flow: Flow[Any]) -> Any:
    async def main() -> Any:
        async with tako_io_asyncio.Runtime() as runtime:
            return await runtime.run(flow)

    return asyncio.run(main())


def _trio(flow: Flow[Any]) -> Any:
    async def main() -> Any:
        async with tako_io_trio.Runtime() as runtime:
            return await runtime.run(flow)

    return trio.run(main)


def _sync(flow: Flow[Any]) -> Any:
    with tako_io_sync.Runtime() as runtime:
        return runtime.run(flow)


@pytest.fixture(params=[_sync, _asyncio, _trio], ids=["sync", "asyncio", "trio"])
def drive(request: pytest.FixtureRequest) -> Callable[[Flow[Any]], Any]:
    chosen: Callable[[Flow[Any]], Any] = request.param
    return chosen


CHATTERER = r"""
import os, select
rest, stood, answer = memoryview((b"* " + b"x" * 1021 + b"\n") * 4096), 0, b"1 %d\n"
os.set_blocking(1, False)
while rest or answer:
    if not rest:
        rest, answer = memoryview(answer % stood), b""
    readable, writable, _ = select.select([0] if stood else [], [1], [], 0.3)
    if writable:
        rest = rest[os.write(1, rest[:65536]):]
    elif not readable and not stood:
        stood = (4 << 20) - len(rest)
    if readable and not os.read(0, 65536):
        break
while os.read(0, 65536):
    pass
"""
"""Writes four MiB, and reads from when it was held back on; then answers when that was."""


class Parrot(LineMachine):
    """Says all that belongs to no question again."""

    def receive_data(self, data: bytes) -> None:
        before = self.unasked
        super().receive_data(data)
        self.say("- " + "y" * (self.unasked - before) + "\n")


def test_one_who_makes_us_talk_and_does_not_listen_is_held_back(drive: Callable[[Flow[Any]], Any]) -> None:
    """Until it listens: nothing is lost, and what is unwritten is bounded."""

    def flow() -> Flow[int]:
        link = yield Open(Child((sys.executable, "-S", "-E", "-c", CHATTERER)), Parrot())
        answer = yield Ask(link, "when")
        return int(answer)

    assert MOST_PROVOKED < drive(flow()) < 1.5 * MOST_PROVOKED


def test_nobody_says_more_than_there_is_room_for(drive: Callable[[Flow[Any]], Any]) -> None:
    """Who gives up has said nothing to the machine, however often it is tried; and a Hangup still ends it."""
    machine = LineMachine()

    def flow() -> Flow[None]:
        link = yield Open(servant(), machine)
        yield Tell(link, "deaf")
        for effect in (Ask(link, "x" * 30_000), Tell(link, "x" * 30_000)) * 15:
            with pytest.raises(TimedOut):
                while True:
                    yield Within(0.01, _one(effect))
        yield Hangup(link, 0)
        with pytest.raises(TransportError):
            yield Ask(link, "gone")

    drive(flow())
    assert machine.said < ROOM + 30_000 + 3 * (1 << 16)  # a pipe, what the child has read, and some


class Unfit(LineMachine):
    def attach(self, poke: Callable[[], None]) -> None:
        raise ToolError("it does not fit")


def test_a_machine_that_cannot_be_attached_leaves_no_child(
    drive: Callable[[Flow[Any]], Any], tmp_path: Path
) -> None:
    note = tmp_path / "pid"
    command = ("sh", "-c", f"echo $$ > {note}; exec sleep 60")

    def flow() -> Flow[None]:
        with pytest.raises(ToolError):
            yield Open(Child(command), Unfit())

    drive(flow())
    if note.exists() and (pid := note.read_text()):
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


@pytest.mark.parametrize("arm", [AsyncioArm(), TrioArm()], ids=["asyncio", "trio"])
def test_closing_in_another_loop_is_refused(arm: Arm) -> None:
    """Links and connections are watched by the loop that they were opened in."""
    refused: list[InvalidInput] = []

    async def scenario() -> None:
        async with arm.Runtime() as runtime:
            link = await runtime.run(_one(Open(servant(), LineMachine())))

            def elsewhere() -> None:
                try:
                    trio.run(runtime.aclose) if arm.name == "trio" else asyncio.run(runtime.aclose())
                except InvalidInput as error:
                    refused.append(error)

            thread = threading.Thread(target=elsewhere)
            thread.start()
            await arm.until(lambda: not thread.is_alive(), "it did not end")
            assert await runtime.run(_one(Ask(link, "echo still"))) == "still"

    arm.play(scenario)
    assert "close it there" in str(refused[0])


def _one(effect: Any) -> Flow[Any]:
    return (yield effect)
