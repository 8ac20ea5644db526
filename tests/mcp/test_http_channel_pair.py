"""HttpChannel where the server is of 2024-11-05: one long event stream, and a POST for each message."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tako.effects import OnError, Succeeded, gather, within
from tako.errors import ProtocolError, TakoError, TimedOut, TransportError
from tako.links import Socket
from tako.mcp.errors import McpError
from tako.mcp.http_peer import HttpRefusal
from tako.mcp.versions import REVISIONS
from tako.testing import Answer, Simulator
from tako.testing.faults import Faults
from tako.testing.vendor import Hangup, Pause, ReceivedRequest, ScriptedVendor
from tests.mcp.http_channel_kit import (
    ACCEPTED,
    Client,
    Ear,
    event,
    note,
    question,
    refused,
    result,
)

Json = Any
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
ENDPOINT = b"event: endpoint\ndata: /messages?session=1\n\n"


class PairServer:
    """Says on its stream what a function makes of each message that is posted; `after` is then the delay."""

    def __init__(
        self,
        asked: Any = None,
        *,
        greeting: Iterable[Any] = (HEAD, ENDPOINT),
        posts: Answer = ACCEPTED,
        first: int = 405,
    ) -> None:
        self.asked = asked or (lambda message: [result(message["id"], message.get("params"))])
        self.greeting = list(greeting)
        self.posts = posts
        self.first = first
        self.messages: list[Json] = []
        self.requests: list[ReceivedRequest] = []
        self.got = b""
        self.endpoints: list[Socket] = []
        self.simulator: Any = None

    def client(self, *, seed: int = 0, faults: Faults | None = None, **options: Any) -> Client:
        client = Client(ScriptedVendor(self.post), **options)
        self.simulator = client.simulator = Simulator(
            seed, vendor=ScriptedVendor(self.post), peers=self.connect, faults=faults
        )
        return client.open(None)

    # The stream.

    def connect(self, endpoint: Any) -> PairServer:
        self.endpoints.append(endpoint)
        return self

    def connected(self) -> Iterable[Any]:
        return self.greeting

    def received(self, data: bytes) -> Iterable[Any]:
        self.got += data
        return ()

    def say(self, *pieces: Any) -> None:
        links = self.simulator.shared.links
        for link in links._links.values():
            links._schedule(link, [event(piece) if isinstance(piece, dict) else piece for piece in pieces])

    # The posts.

    def post(self, request: ReceivedRequest) -> Answer:
        self.requests.append(request)
        assert request.method == "POST"
        if request.target == "/mcp":
            return Answer((b"use GET",), self.first)
        message = json.loads(request.body)
        self.messages.append(message)
        if message.get("method") == "initialize":
            self.say(result(message["id"], {"protocolVersion": "2024-11-05"}))
        elif "id" in message and "method" in message:
            self.say(*self.asked(message))
        return self.posts

    def answers(self) -> list[Json]:
        return [message for message in self.messages if "method" not in message]


def initialized(server: PairServer, **options: Any) -> Client:
    client = server.client(**options)
    assert client.ask("initialize") == {"protocolVersion": "2024-11-05"}
    client.channel.settle(REVISIONS["2024-11-05"])
    client.tell("notifications/initialized")
    return client


@pytest.mark.parametrize("status", [400, 404, 405])
def test_a_server_that_refuses_a_post_is_asked_for_a_stream(status: int) -> None:
    server = PairServer(first=status)
    client = initialized(server, headers={"x-key": "$$k"})
    assert client.ask(params={"a": 1}) == {"a": 1}
    assert client.channel.is_open
    assert [request.target for request in server.requests] == ["/mcp"] + ["/messages?session=1"] * 3
    assert server.got.startswith(b"GET /mcp HTTP/1.1\r\n")
    assert b"accept: text/event-stream\r\n" in server.got
    assert b"x-key: $k\r\n" in server.got
    assert server.requests[-1].header("x-key") == "$k"
    assert server.endpoints == [Socket("server", 80)]
    client.run(client.channel.close())
    assert not client.channel.is_open
    with pytest.raises(TransportError, match="not connected"):
        client.ask()


def test_a_refusal_that_is_none_of_these_stands() -> None:
    for first in (401, 403, 500):
        server = PairServer(first=first)
        with pytest.raises(HttpRefusal) as caught:
            server.client().ask("initialize")
        assert caught.value.status == first
        assert server.got == b""


@pytest.mark.parametrize(
    "greeting",
    [
        [b"HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<p>"],
        [HEAD, b"event: endpoint\ndata: http://evil/x\n\n"],
        [HEAD, b"event: endpoint\ndata: //evil/x\n\n"],
        [HEAD, b"event: endpoint\ndata: https://server/x\n\n"],
        [HEAD, b"event: endpoint\ndata: :\x01\n\n"],
        [HEAD, Pause(99)],
        [HEAD, b": only this\n\n", Hangup()],
        [b"SSH-2.0-OpenSSH\r\n", Hangup()],
        [Hangup()],
    ],
)
def test_what_is_no_such_stream_leaves_the_refusal(greeting: list[Any]) -> None:
    server = PairServer(greeting=greeting)
    client = server.client()
    with pytest.raises(HttpRefusal, match="HTTP 405: use GET") as caught:
        client.ask("initialize")
    assert isinstance(caught.value.__cause__, TakoError)
    assert client.simulator.now == (10 if Pause(99) in greeting else 0)
    assert server.simulator.shared.links.open == ()
    assert {request.target for request in server.requests} == {"/mcp"}


def test_what_is_said_before_the_answer() -> None:
    def asked(message: Json) -> list[Any]:
        return [
            note("notifications/progress", progressToken=message["id"], progress=1),
            note("notifications/message", level="info"),
            question("q", "x/y"), Pause(3), question("p", "ping"), Pause(1),
            result(message["id"], "done"),
        ]  # fmt: skip

    server = PairServer(asked)
    client = initialized(server)
    client.ear = Ear(thinks=2.0)
    assert client.ask(hears=True, timeout=3.0) == "done"
    assert [method for method, _ in client.ear.heard] == ["notifications/progress"]
    assert [notice.method for notice in client.channel.overheard] == ["notifications/message"]
    assert server.answers() == [result("q", {"did": "x/y"}), result("p", {})]


def test_what_nobody_could_take_is_answered_with_the_next_request() -> None:
    def asked(message: Json) -> list[Any]:
        if message["params"].get("first"):  # in one piece, so that it comes when nobody waits any more
            return [event(result(message["id"], 1)) + event(question("q", "x/y"))]
        return [Pause(1), result(message["id"], 2)]

    server = PairServer(asked)
    client = initialized(server)
    assert (client.ask(params={"first": True}), server.answers()) == (1, [])
    assert client.ask() == 2
    assert server.answers() == [result("q", {"did": "x/y"})]


def test_errors_silence_and_refused_posts() -> None:
    client = initialized(PairServer(lambda message: [refused(message["id"], -5)]))
    with pytest.raises(McpError) as refusal:
        client.ask()
    assert refusal.value.number == -5
    server = PairServer(lambda message: [Pause(99)])
    client = initialized(server)
    with pytest.raises(TimedOut, match="silent for 5 seconds"):
        client.ask(timeout=5.0)
    client.tell()
    assert [message["method"] for message in server.messages[-2:]] == [
        "notifications/cancelled", "notifications/x",
    ]  # fmt: skip
    server.posts = Answer((b"no such session",), 404)
    for flow in (client.asking(), client.channel.tell("x", {})):
        with pytest.raises(HttpRefusal, match="no such session"):
            client.run(flow)


def test_the_end_of_the_stream_is_heard_by_everybody() -> None:
    server = PairServer(lambda message: [Pause(1), Hangup()])
    client = initialized(server)
    outcomes = client.run(gather(*[client.asking() for _ in range(5)], on_error=OnError.COLLECT))
    assert {type(outcome.error) for outcome in outcomes} == {TransportError}
    assert not client.channel.is_open


def test_listening() -> None:
    server = PairServer()
    client = initialized(server)
    server.say(note("a"), question("q", "x/y"), Pause(1), note("b"), Pause(1), Hangup())
    with pytest.raises(TransportError):
        client.run(client.channel.listen(client.ear))
    assert [method for method, _ in client.ear.heard] == ["a", "b"]
    assert server.answers() == [result("q", {"did": "x/y"})]


@given(st.integers(0, 999), st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_many_ask_over_one_stream(seed: int, pauses: list[int]) -> None:
    server = PairServer(
        lambda message: [
            Pause(pauses[message["params"]["n"]]),
            note("notifications/progress", progressToken=message["id"], progress=message["params"]["n"]),
            question(f"q{message['id']}", "x/y"),
            Pause(1),
            result(message["id"], message["params"]["n"]),
        ]
    )
    client = initialized(server, seed=seed, faults=Faults(cut="seeded"))
    flows = [client.asking(params={"n": n}, hears=True, timeout=60.0) for n in range(len(pauses))]
    assert client.run(gather(*flows)) == [Succeeded(n) for n in range(len(pauses))]
    assert len(client.ear.heard) == len(pauses)
    assert len(client.ear.asked) == len(pauses)


@given(st.binary(max_size=60), st.integers(0, 200), st.booleans())
def test_any_bytes_on_the_stream(data: bytes, place: int, chunked: bool) -> None:
    whole = HEAD + ENDPOINT
    if chunked:
        whole = whole.replace(b"\r\n\r\n", b"\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n" % len(ENDPOINT))
    spoiled = whole[:place] + data + whole[place:]
    client = PairServer(greeting=[spoiled, Hangup()]).client(faults=Faults(cut="seeded"))
    with pytest.raises(TakoError):
        client.run(within(30.0, client.asking("initialize", timeout=20.0)))
    assert client.simulator.now <= 30.0


def test_a_batch_needs_a_revision_that_has_them() -> None:
    server = PairServer(lambda message: [f"data: [{json.dumps(result(message['id'], 1))}]\n\n".encode()])
    client = initialized(server)
    client.channel.settle(REVISIONS["2025-03-26"])
    assert client.ask() == 1


def test_a_stream_of_rubbish_is_a_protocol_error() -> None:
    client = initialized(PairServer(lambda message: [b"data: " + b"x" * (17 << 20) + b"\n\n"]))
    with pytest.raises(ProtocolError):
        client.ask()
    assert not client.channel.is_open
