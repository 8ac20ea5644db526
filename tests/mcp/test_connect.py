"""connect: a session in blocking code, under trio and under asyncio, with a process at the other end."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trio

from bench.measure import count_calls
from tako import CancellationToken
from tako.errors import Cancelled, InvalidInput, TimedOut, TransportError
from tako.mcp import McpError, Stdio, connect
from tests.mcp.arms import ARMS, Steps, run

ECHO = str(Path(__file__).with_name("echo_server.py"))
SILENT = "import sys; sys.stdin.read()"


def echo(**options: Any) -> Stdio:
    return Stdio(sys.executable, [ECHO, "stdio"], **{"era": "handshake", **options})


def children() -> set[int]:
    """Our processes."""
    return {
        int(one) for one in Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
    }


@pytest.mark.parametrize("arm", ARMS)
def test_what_is_asked_is_answered(arm: str) -> None:
    pids: list[int] = []

    def steps(session: Any) -> Steps:
        assert session.revision == "2025-06-18"
        assert (session.server_info["name"], session.instructions) == ("echo", None)
        assert "tools" in session.capabilities
        assert "2025-06-18" in repr(session)
        assert [info.name for info in (yield session.tools())] == ["echo", "pid", "stall", "loud"]
        assert (yield session.call("echo", {"text": "hi"})).text == "hi"
        pids.append(int((yield session.call("pid")).text))
        with pytest.raises(McpError, match="not found"):
            yield session.read("a:b")
        with pytest.raises(TimedOut, match=r"was silent for 0\.05 seconds"):
            yield session.call("stall", timeout=0.05)
        assert (yield session.call("echo", {"text": "on"})).text == "on"

    run(arm, echo(), steps)
    assert not Path(f"/proc/{pids[0]}").exists()


@pytest.mark.parametrize("arm", ARMS)
def test_the_era_is_found_out_when_it_is_not_told(arm: str) -> None:
    def steps(session: Any) -> Steps:
        assert session.revision == "2025-06-18"
        yield session.call("echo")

    run(arm, echo(era="auto"), steps)


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize(
    ("server", "words"),
    [
        (Stdio("there-is-no-such-program"), "cannot be started"),
        (Stdio(sys.executable, ["-c", "import sys; sys.exit('out of order')"]), "out of order"),
    ],
)
def test_a_server_that_is_not_there_is_an_error_at_the_door(arm: str, server: Stdio, words: str) -> None:
    def steps(session: Any) -> Steps:
        raise AssertionError("it was entered")
        yield

    with pytest.raises(TransportError, match=words):
        run(arm, server, steps)


# Cut short.


def test_a_blocking_connect_that_is_cancelled_leaves_no_process() -> None:
    token, before = CancellationToken(), children()
    connection = connect(Stdio(sys.executable, ["-c", SILENT], era="handshake"), cancel=token)
    threading.Timer(0.2, token.cancel).start()
    with pytest.raises(Cancelled), connection:
        raise AssertionError("it was entered")
    assert children() <= before
    assert connection._session is None


@pytest.mark.parametrize("library", ["trio", "asyncio"])
def test_a_connect_that_is_cancelled_leaves_no_process(library: str) -> None:
    server, before = Stdio(sys.executable, ["-c", SILENT], era="handshake"), children()

    async def enter() -> None:
        async with connect(server):
            raise AssertionError("it was entered")

    async def on_trio() -> None:
        with trio.move_on_after(0.2) as scope:
            await enter()
        assert scope.cancelled_caught

    async def on_asyncio() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(enter(), 0.2)

    trio.run(on_trio) if library == "trio" else asyncio.run(on_asyncio())
    assert children() <= before


def test_a_token_stops_what_is_under_way_and_what_comes_after() -> None:
    token = CancellationToken()
    with connect(echo(), cancel=token) as session:
        pid = int(session.call("pid").text)
        threading.Timer(0.1, token.cancel).start()
        began = time.monotonic()
        for _ in range(2):
            with pytest.raises(Cancelled):
                session.call("stall")
        assert time.monotonic() - began < 5
    assert not Path(f"/proc/{pid}").exists()


# How it may be used.


def test_it_is_entered_once_at_a_time_and_may_be_again() -> None:
    connection = connect(echo())
    assert "Connection to" in repr(connection)
    for _ in range(2):
        with connection as session:
            assert session.call("echo", {"text": "x"}).text == "x"
            with pytest.raises(InvalidInput, match="open already"), connection:
                pass
    with pytest.raises(InvalidInput, match="closed"):
        session.call("echo")


@pytest.mark.parametrize("wrong", ["python server.py", None, Stdio])
def test_what_is_no_server_is_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="Stdio, Http, WebSocket or Grpc"):
        connect(wrong)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"command": ""}, "command"),
        ({"command": 5}, "command"),
        ({"args": "-m x"}, "args"),
        ({"args": [5]}, "args"),
        ({"env": {"A": 5}}, "env"),
        ({"env": {5: "A"}}, "env"),
        ({"cwd": 5}, "cwd"),
        ({"timeout": 0}, "timeout"),
        ({"era": "stone"}, "era"),
        ({"host": 5}, "host"),
        ({"prefix": 5}, "prefix"),
        ({"only": "x"}, "only"),
        ({"check": "x"}, "check"),
    ],
)
def test_a_wrong_argument_is_refused_at_once(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Stdio(**{"command": "x", **options})


def test_a_child_has_the_variables_and_the_folder_that_it_was_given(tmp_path: Path) -> None:
    os.environ["TAKO_TEST_OURS"] = "ours"
    try:
        code = (
            "import os; print(os.getcwd(), *map(os.environ.get, ('A', 'TAKO_TEST_OURS')), file=open(2, 'w'))"
        )
        taken = Stdio(sys.executable, ["-c", code], env={"A": "1", "TAKO_TEST_OURS": None}, cwd=tmp_path)
        kept = Stdio(sys.executable, ["-c", code])
        for server, words in ((taken, f"{tmp_path} 1 None"), (kept, "None ours")):
            with pytest.raises(TransportError) as caught, connect(server):
                pass
            assert words in caught.value.message
    finally:
        del os.environ["TAKO_TEST_OURS"]


def test_what_a_call_costs() -> None:
    """Python's functions and C's, from `session.call` to its result. Two thirds are the driver's and the
    link's; a busy machine may make the answer come in two pieces, or late."""
    with connect(echo()) as session:
        for _ in range(3):
            session.call("echo", {"text": "hello"})
        cost = min(count_calls(lambda: session.call("echo", {"text": "hello"})) for _ in range(10))
    assert cost <= 180
