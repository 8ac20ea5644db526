"""A server that goes wrong at any point of its life: what it says is cut off, broken, spoiled or followed by
silence after every so many bytes, in either era. Whatever happens, the story ends, in time, with what it came
to or with one TakoError; and the next connection works.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.effects import Failed, Flow, Gather, OnError, Outcome
from tako.errors import TakoError
from tako.mcp import Host, Session
from tako.testing.faults import Faults
from tako.testing.vendor import Hangup, Pause, Piece, Reset
from tests.mcp.kit import At, ScriptedServer, World, line, note, question, text, tool

ERAS = ("2025-11-25", "2026-07-28")
PATIENCE = 30.0


def speaking(speaks: str) -> ScriptedServer:
    """A server that does a bit of everything."""
    server: ScriptedServer

    def call(params: Any) -> Any:
        meta = params.get("_meta", {})
        if (token := meta.get("progressToken")) is not None:
            yield note("notifications/progress", progressToken=token, progress=1)
        yield note("notifications/message", level="info", data="working")
        if speaks != "2026-07-28":
            yield question("q", "roots/list")
        yield line({"id": server.heard[-1]["id"], "result": text(f"called {params['name']}")})

    server = ScriptedServer(
        {
            "tools/list": lambda params: {
                "tools": [tool("a"), tool("b")],
                "ttlMs": 0,
                "cacheScope": "private",
            },
            "tools/call": call,
            "resources/read": lambda params: {"contents": [{"uri": params["uri"], "text": "deep ☃"}]},
        },
        speaks=speaks,
    )
    return server


class Breaking:
    """A server of whose output `after` bytes get through; then it does something else."""

    def __init__(self, server: ScriptedServer, after: int, instead: Iterable[Piece]) -> None:
        self.server = server
        self.left = after
        self.instead = tuple(instead)
        self.is_broken = False

    def connected(self) -> Iterable[Piece]:
        return self._limited(self.server.connected())

    def received(self, data: bytes) -> Iterable[Piece]:
        return self._limited(self.server.received(data))

    def _limited(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            if self.is_broken:
                return
            if isinstance(piece, bytes) and len(piece) > self.left:
                self.is_broken = True
                yield piece[: self.left]
                yield from self.instead
                return
            if isinstance(piece, bytes):
                self.left -= len(piece)
            yield piece


def story(session: Session) -> Flow[list[Any]]:
    """Some of what one does with a server, one thing after the other and side by side."""

    def hear(*told: Any) -> Flow[None]:
        yield from ()

    tools = yield from session.tools()
    flows: tuple[Flow[Any], ...] = (
        session.call("a", on_progress=hear),
        session.call("b"),
        session.read("x:y"),
    )
    outcomes: list[Outcome[Any]] = yield Gather(flows, None, OnError.COLLECT)
    return [tools, *outcomes]


def check(speaks: str, after: int, instead: Iterable[Piece], faults: Faults | None = None) -> bool:
    """Whether the server broke; raises if the story did not end as it should."""
    broken = Breaking(speaking(speaks), after, instead)
    world = World(speaking(speaks), faults=faults)
    peers: list[Any] = [broken, speaking(speaks), speaking(speaks)]
    world.simulator.shared._peers = lambda endpoint: peers.pop(0) if len(peers) > 1 else peers[0]
    session = Session(At(host=Host(roots=["file:///tmp"]), timeout=PATIENCE))
    try:
        tools, *outcomes = world.run(story(session))
        assert [one.name for one in tools] == ["a", "b"]
        for outcome in outcomes:
            assert not isinstance(outcome, Failed) or isinstance(outcome.error, TakoError)
    except TakoError:
        pass
    assert world.simulator.now <= 10 * PATIENCE, "it took for ever"
    # Whatever it was, the next one works.
    world.simulator.now += 1
    assert world.run(Session(At(host=Host(roots=["file:///tmp"]))).call("a")).text == "called a"
    return broken.is_broken


INSTEAD: dict[str, tuple[Piece, ...]] = {
    "ends": (Hangup(),),
    "breaks": (Reset(),),
    "is silent": (),
    "is slow and ends": (Pause(5.0), Hangup()),
    "prints": (b"\nTraceback (most recent call last):\n  boom\n", Hangup()),
    "spoils": (b'{"jsonrpc":"2.0","id":1,"result":{}}\n' * 3 + b"\x00\xff{]\n", Hangup()),
    "repeats itself": (b"\n" + b'{"jsonrpc":"2.0","id":2,"result":{}}\n' * 2, Hangup()),
    "asks without end": (b"\n" + b'{"jsonrpc":"2.0","id":"s","method":"roots/list"}\n' * 400, Hangup()),
    "tells without end": (b"\n" + b'{"jsonrpc":"2.0","method":"notifications/message"}\n' * 2000, Hangup()),
}


@pytest.mark.parametrize("speaks", ERAS)
@pytest.mark.parametrize("instead", INSTEAD)
def test_a_server_may_go_wrong_at_any_point(speaks: str, instead: str) -> None:
    after = 0
    while check(speaks, after, INSTEAD[instead]):
        after += 61  # a prime, so that it falls into every part of a message
    assert after > 500, "it went wrong often"


@given(st.data())
def test_a_server_may_go_wrong_in_any_way(data: st.DataObject) -> None:
    after = data.draw(st.integers(0, 1500))
    garbage = data.draw(st.binary(max_size=60))
    ending = data.draw(st.sampled_from([(Hangup(),), (Reset(),), ()]))
    cut = data.draw(st.sampled_from([(1,), (3, 7), (64,), "written"]))
    check(data.draw(st.sampled_from(ERAS)), after, (garbage or b"\n", *ending), Faults(cut=cut, delay=0.01))


@pytest.mark.parametrize("speaks", ERAS)
@pytest.mark.parametrize("cut", [(1,), (2, 3), (1000,)])
def test_however_its_bytes_are_cut_the_story_is_the_same(speaks: str, cut: tuple[int, ...]) -> None:
    def told(faults: Faults | None) -> Any:
        world = World(speaking(speaks), faults=faults)
        return world.run(story(Session(At(host=Host(roots=["file:///tmp"])))))

    assert told(Faults(cut=cut)) == told(None)
