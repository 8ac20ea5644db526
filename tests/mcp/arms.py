"""What one does with a session, written once for the three arms.

A step function is a generator: it yields what a session gives, a value in the blocking arm and an awaitable
in the others, and goes on with the value. What is raised is raised where it was yielded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any, TypeAlias

import trio

from tako.mcp import connect

__all__ = ["ARMS", "Server", "Session", "Steps", "run"]

ARMS = ("blocking", "trio", "asyncio")

Server: TypeAlias = Any
"""Stdio, Http, WebSocket or Grpc."""
Session: TypeAlias = Any
"""What `connect` gives: with values in the blocking arm, with awaitables in the others."""
Steps: TypeAlias = Generator[Any, Any, None]


def run(arm: str, server: Server, steps: Callable[[Session], Steps]) -> None:
    """Connect to the server on that arm, and take the steps."""
    match arm:
        case "blocking":
            _blocking(server, steps)
        case "trio":
            trio.run(_awaiting, server, steps)
        case "asyncio":
            asyncio.run(_awaiting(server, steps))
        case _:
            raise ValueError(f"an arm is one of {', '.join(ARMS)}, not {arm!r}")


def _blocking(server: Server, steps: Callable[[Session], Steps]) -> None:
    with connect(server) as session:
        taken = steps(session)
        try:
            value = next(taken)
            while True:
                value = taken.send(value)
        except StopIteration:
            return


async def _awaiting(server: Server, steps: Callable[[Session], Steps]) -> None:
    async with connect(server) as session:
        taken = steps(session)
        try:
            awaitable = next(taken)
            while True:
                try:
                    value = await awaitable
                except Exception as error:
                    awaitable = taken.throw(error)
                else:
                    awaitable = taken.send(value)
        except StopIteration:
            return
