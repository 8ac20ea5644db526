"""Function calls are the currency: what the arm adds to requests, counted, so that no noise can break it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from tako.effects import Call, Emit, Flow
from tako.testing.vendor import Answer, ScriptedVendor
from tako_io_sync import Runtime
from tako_io_sync.loopback import LoopbackServer
from tests.adapters.sync.kit import fetch, nothing_left_behind, post, relay


def calls(function: Callable[[], Any]) -> int:
    """Python functions called, and generators resumed, by one of many like it."""
    for _ in range(3):
        function()
    count = 0

    def profile(_: Any, event: str, __: Any) -> None:
        nonlocal count
        count += event == "call"

    former = sys.getprofile()
    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(former)
    return count


def test_a_blocking_call(runtime: Runtime) -> None:
    body = Answer.json(b'{"choices": []}', x_request_id="1")
    with LoopbackServer(ScriptedVendor(body)) as server, closing(HTTPAdapter()) as adapter:
        prepared = requests.Request("POST", server.url, json={}).prepare()
        floor = calls(lambda: adapter.send(prepared).content)
        ours = calls(lambda: runtime.run(fetch(post(server.url))))
    assert ours <= floor + 40


def test_a_chunk_of_many_that_came_together(runtime: Runtime) -> None:
    framed = b"5\r\nabcde\r\n" * 2000 + b"0\r\n\r\n"
    answer = Answer((framed,), headers=(("transfer-encoding", "chunked"),))
    with LoopbackServer(ScriptedVendor(answer)) as server:
        assert calls(lambda: list(runtime.stream(relay(post(server.url))))) < 2 * 2000


def test_an_event_of_a_batch_is_one_resume(runtime: Runtime) -> None:
    def flow(size: int) -> Flow[None]:
        yield Emit(tuple(range(size)))

    def consume(size: int) -> None:
        for _ in runtime.stream(flow(size)):
            pass

    assert calls(lambda: consume(1100)) - calls(lambda: consume(100)) <= 1001


def test_a_call_of_a_plain_function(runtime: Runtime) -> None:
    def flow(times: int) -> Flow[None]:
        for _ in range(times):
            yield Call(abs, (-1,))

    assert (calls(lambda: runtime.run(flow(110))) - calls(lambda: runtime.run(flow(10)))) / 100 <= 14


def test_a_plain_run_starts_no_thread_and_leaves_none(runtime: Runtime, monkeypatch: Any) -> None:
    def refuse(thread: Any) -> None:
        raise AssertionError(f"{thread.name} was started")

    with LoopbackServer(ScriptedVendor(Answer.json(b"{}"))) as server, nothing_left_behind():
        request = post(server.url)
        runtime.run(fetch(request))  # the server has a thread for the connection now
        monkeypatch.setattr("threading.Thread.start", refuse)
        assert runtime.run(fetch(request)) == (200, b"{}")
        monkeypatch.undo()
        runtime.close()
