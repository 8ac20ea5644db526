"""Our client against servers that others wrote: the whole round, over each transport, on each arm."""

from __future__ import annotations

import asyncio
import base64
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

from tako.errors import TimedOut
from tako.mcp import Elicitation, Host, Http, LogMessage, McpError, Notice, Stdio, WebSocket, connect
from tests.mcp.arms import ARMS, Session, Steps, run
from tests.mcp.interop.conftest import Start, command
from tests.mcp.interop.server import PNG, WAV

ROOT_URI = "file:///srv/project"


@dataclass
class Heard:
    """A host that answers everything, and keeps what it was told."""

    log: list[LogMessage] = field(default_factory=list)
    changed: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def host(self) -> Host:
        return Host(
            sampling=self.sample,
            elicitation=self.elicit,
            roots=[ROOT_URI],
            log=self.log.append,
            changed=lambda method, params: self.changed.append((method, dict(params))),
            log_level="info",
        )

    def sample(self, request: Any) -> str:
        self.asked.append(request.messages[-1].text)
        return "Paris"

    def elicit(self, question: Elicitation) -> dict[str, Any]:
        self.asked.append(question.message)
        return {"name": "Ada"}


@dataclass(frozen=True)
class Peer:
    """A server, how to reach it, and what it cannot do there."""

    name: str
    over: str
    era: str = "auto"
    revision: str = "2025-11-25"
    lacks: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.name}-{self.over}-{self.era}"

    def server(self, start: Start, host: Host) -> Any:
        match self.over:
            case "stdio":
                program, *arguments = command(self.name, "stdio")
                return Stdio(program, arguments, host=host, era=self.era)
            case "websocket":
                return WebSocket(f"ws://127.0.0.1:{start(self.name)}/mcp", host=host, era=self.era)
            case "http":
                return Http(f"http://127.0.0.1:{start(self.name)}/mcp", host=host, era=self.era)
            case "everything's http":
                port = start("everything streamableHttp")
                return Http(f"http://127.0.0.1:{port}/mcp", host=host, era=self.era)
            case "sse":
                return Http(f"http://127.0.0.1:{start('everything sse')}/sse", host=host, era=self.era)
        raise AssertionError(self.over)


MODERN = "2026-07-28"
NO_CHANGES = frozenset({"subscribing"})
"""No resources/subscribe, or it is only heard while one listens: see below."""
PEERS = [
    Peer("official", "stdio", "handshake", lacks=NO_CHANGES),
    Peer("official", "stdio", "auto", MODERN, NO_CHANGES),
    Peer("official", "http", "handshake", lacks=NO_CHANGES),
    Peer("official", "http", "modern", MODERN, NO_CHANGES),
    Peer("fastmcp", "stdio", "handshake", lacks=NO_CHANGES),
    Peer("fastmcp", "http", "handshake", lacks=NO_CHANGES),
    # fastmcp has no way to ask the client in the modern era.
    Peer("fastmcp", "http", "auto", MODERN, NO_CHANGES | {"asking"}),
    Peer("websocket", "websocket", "handshake"),
]
LISTENING = [
    Peer("official", "stdio", "modern", MODERN),
    Peer("official", "http", "modern", MODERN),
    Peer("official", "http", "handshake"),
]
EVERYTHING = [
    Peer("everything", "stdio", "handshake"),
    Peer("everything", "everything's http"),
    Peer("everything", "sse", "handshake"),
]


THOROUGH = os.environ.get("TAKO_HYPOTHESIS") == "thorough"
"""`make test-all` has every round; otherwise some take turns: each starts a program that is slow to start."""


def rounds() -> list[tuple[Peer, str]]:
    """Each library over each transport on each arm, and the eras take turns at it."""
    everyone = [(peer, arm) for peer in PEERS for arm in ARMS]
    if THOROUGH:
        return everyone
    eras: dict[tuple[str, str], list[Peer]] = {}
    for peer in PEERS:
        eras.setdefault((peer.name, peer.over), []).append(peer)
    return [
        (peer, arm)
        for peer, arm in everyone
        if peer is (same := eras[peer.name, peer.over])[ARMS.index(arm) % len(same)]
    ]


def listened_to(arm: str) -> list[Peer]:
    """Whom an arm listens to: the three take turns."""
    return LISTENING if THOROUGH else [LISTENING[ARMS.index(arm)]]


@pytest.mark.parametrize(("peer", "arm"), rounds(), ids=str)
def test_the_whole_round(peer: Peer, arm: str, start: Start) -> None:
    heard = Heard()
    taken: list[str] = []

    def steps(session: Session) -> Steps:
        for part in (tools, contents, resources, prompts, asking, subscribing, cancelling):
            if part.__name__ not in peer.lacks:
                yield from part(session, heard, peer)
                taken.append(part.__name__)

    run(arm, peer.server(start, heard.host()), steps)
    assert len(taken) == 7 - len(peer.lacks)


def tools(session: Session, heard: Heard, peer: Peer) -> Steps:
    offered = {tool.name: tool for tool in (yield session.tools())}
    assert session.revision == peer.revision
    assert session.server_info["name"] == peer.name
    assert session.instructions == "Be kind."
    assert offered["add"].description == "The sum of two numbers."
    assert set(offered["add"].input_schema["required"]) == {"a", "b"}
    assert offered["add"].output_schema is not None
    assert (yield session.call("add", {"a": 2, "b": 40})).structured == {"sum": 42}
    text = "line\nline\u2028line \U0001f419 " * 1000
    assert (yield session.call("echo", {"text": text})).text == text
    failed = yield session.call("fail", {"why": "because"})
    assert failed.is_error and failed.text
    yield session.ping()

    progress: list[tuple[float, float | None, str | None]] = []
    counted = yield session.call(
        "count", {"to": 3}, on_progress=lambda done, total, message: progress.append((done, total, message))
    )
    assert counted.text == "counted"
    assert progress == [(1, 3, "number 1"), (2, 3, "number 2"), (3, 3, "number 3")]


def contents(session: Session, heard: Heard, peer: Peer) -> Steps:
    text, image, audio, resource = (yield session.call("mixed", {})).content
    assert text.text == "look"
    assert (image.kind, image.mime) == ("image", "image/png")
    assert base64.b64decode(image.data_b64) == PNG
    assert (audio.kind, audio.mime) == ("audio", "audio/wav")
    assert base64.b64decode(audio.data_b64) == WAV
    assert resource.kind == "resource" and resource.contents.data == b"a fine day"


def resources(session: Session, heard: Heard, peer: Peer) -> Steps:
    assert {one.uri for one in (yield session.resources())} == {"note://today", "note://icon"}
    (read,) = yield session.read("note://today")
    assert (read.text, read.mime) == ("a fine day", "text/plain")
    (read,) = yield session.read("note://icon")
    assert (read.data, read.mime) == (PNG, "image/png")
    (template,) = yield session.resource_templates()
    assert template.uri_template == "note://days/{day}"
    (read,) = yield session.read("note://days/monday")
    assert read.text == "the notes of monday"
    with pytest.raises(McpError):
        yield session.read("note://nowhere")


def prompts(session: Session, heard: Heard, peer: Peer) -> Steps:
    (prompt,) = yield session.prompts()
    assert prompt.name == "greet" and [argument.name for argument in prompt.arguments] == ["name"]
    got = yield session.prompt("greet", {"name": "Ada"})
    (message,) = got.to_messages()
    assert message.text == "Please greet Ada."
    found = yield session.complete("name", "A", prompt="greet")
    assert found.values == ("Ada", "Alan")


def asking(session: Session, heard: Heard, peer: Peer) -> Steps:
    if peer.revision == MODERN or "logging" in session.capabilities:
        yield session.set_log_level("info")
    assert (yield session.call("say", {"text": "mind the gap"})).text == "said"
    assert [(message.level, message.logger) for message in heard.log] == [("warning", "talk")]
    assert "mind the gap" in str(heard.log[0].data)
    assert (yield session.call("ask_person", {})).text == "accept: Ada"
    assert (yield session.call("ask_model", {})).text == "Paris"
    assert heard.asked == ["Who are you?", "What is the capital of France?"]
    assert (yield session.call("ask_folders", {})).text.rstrip("/") == ROOT_URI


def subscribing(session: Session, heard: Heard, peer: Peer) -> Steps:
    yield session.subscribe("note://today")
    yield session.call("change", {"uri": "note://today"})
    yield from until(session, lambda: bool(heard.changed))
    method, params = heard.changed[0]
    assert (method, params["uri"]) == ("notifications/resources/updated", "note://today")


def cancelling(session: Session, heard: Heard, peer: Peer) -> Steps:
    before = int((yield session.call("cancellations", {})).text)
    with pytest.raises(TimedOut):
        yield session.call("sleep", {"seconds": 30}, timeout=0.2)
    for _ in range(50):
        after = int((yield session.call("cancellations", {})).text)
        if after == before + 1:
            return
        yield session.call("sleep", {"seconds": 0.02})
    raise AssertionError("the server was not told that the call is over")


def until(session: Session, happened: Callable[[], bool]) -> Steps:
    """Make harmless requests until it has happened: what a server tells by itself comes in its own time."""
    for _ in range(100):
        if happened():
            return
        yield session.call("sleep", {"seconds": 0.02})
    raise AssertionError("the server was silent")


class TestListening:
    """While one part of a program listens, another does what is heard of."""

    @pytest.mark.parametrize("peer", listened_to("blocking"), ids=str)
    def test_blocking(self, peer: Peer, start: Start) -> None:
        with connect(peer.server(start, Host())) as session:
            if peer.revision == MODERN:
                session.subscribe("note://today")
            heard = threading.Event()

            def change() -> None:
                while not heard.wait(0.05):
                    session.call("change", {"uri": "note://today"})

            changing = threading.Thread(target=change)
            changing.start()
            try:
                with session.listen() as notices:
                    assert is_of_today(next(iter(notices)))
            finally:
                heard.set()
                changing.join(10)

    @pytest.mark.parametrize("peer", listened_to("trio"), ids=str)
    def test_trio(self, peer: Peer, start: Start) -> None:
        async def main() -> None:
            async with connect(peer.server(start, Host())) as session:
                if peer.revision == MODERN:
                    await session.subscribe("note://today")

                async def change() -> None:
                    while True:
                        await session.call("change", {"uri": "note://today"})
                        await trio.sleep(0.05)

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(change)
                    async with session.listen() as notices:
                        async for notice in notices:
                            assert is_of_today(notice)
                            break
                    nursery.cancel_scope.cancel()

        trio.run(main)

    @pytest.mark.parametrize("peer", listened_to("asyncio"), ids=str)
    def test_asyncio(self, peer: Peer, start: Start) -> None:
        async def main() -> None:
            async with connect(peer.server(start, Host())) as session:
                if peer.revision == MODERN:
                    await session.subscribe("note://today")

                async def change() -> None:
                    while True:
                        await session.call("change", {"uri": "note://today"})
                        await asyncio.sleep(0.05)

                changing = asyncio.create_task(change())
                async with session.listen() as notices:
                    async for notice in notices:
                        assert is_of_today(notice)
                        break
                changing.cancel()
                await asyncio.wait([changing])

        asyncio.run(main())


def is_of_today(notice: Notice) -> bool:
    return (notice.method, notice.params["uri"]) == ("notifications/resources/updated", "note://today")


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("peer", EVERYTHING, ids=str)
def test_the_server_with_everything(peer: Peer, arm: str, start: Start) -> None:
    heard = Heard()
    ended: list[bool] = []

    def steps(session: Session) -> Steps:
        names = {tool.name for tool in (yield session.tools())}
        assert {"echo", "get-sum", "get-tiny-image"} <= names
        assert session.server_info["name"] == "mcp-servers/everything" and session.instructions
        assert (yield session.call("echo", {"message": "hi"})).text == "Echo: hi"
        assert "5" in (yield session.call("get-sum", {"a": 2, "b": 3})).text
        weather = yield session.call("get-structured-content", {"location": "Chicago"})
        assert weather.structured == {"temperature": 36, "conditions": "Light rain / drizzle", "humidity": 82}
        image = next(
            piece for piece in (yield session.call("get-tiny-image", {})).content if piece.kind == "image"
        )
        assert base64.b64decode(image.data_b64).startswith(b"\x89PNG")
        links = yield session.call("get-resource-links", {"count": 2})
        assert [piece.kind for piece in links.content].count("resource_link") == 2
        held = yield session.call("get-resource-reference", {"resourceType": "Text", "resourceId": 1})
        assert any(piece.kind == "resource" and piece.contents.text for piece in held.content)
        wrong = yield session.call("get-sum", {"a": "two"})
        assert wrong.is_error

        progress: list[float] = []
        yield session.call(
            "trigger-long-running-operation",
            {"duration": 0.1, "steps": 4},
            on_progress=lambda done, total, message: progress.append(done),
        )
        assert progress == [1, 2, 3, 4]

        listed = yield session.resources()
        assert listed
        (read,) = yield session.read(listed[0].uri)
        assert read.text
        assert len((yield session.resource_templates())) == 2
        (read,) = yield session.read("demo://resource/dynamic/blob/3")
        assert read.data

        assert {"simple-prompt", "args-prompt"} <= {prompt.name for prompt in (yield session.prompts())}
        asked = yield session.prompt("args-prompt", {"city": "Oslo"})
        assert asked.to_messages()[0].text == "What's weather in Oslo?"
        found = yield session.complete(
            "name", "A", prompt="completable-prompt", context={"department": "Engineering"}
        )
        assert found.values == ("Alice",)

        assert "Ada" in (yield session.call("trigger-elicitation-request", {})).text
        assert "Paris" in (yield session.call("trigger-sampling-request", {"prompt": "France?"})).text
        assert ROOT_URI in (yield session.call("get-roots-list", {})).text
        assert len(heard.asked) == 2

        yield session.set_log_level("debug")
        yield session.subscribe("demo://resource/dynamic/text/1")
        yield session.call("toggle-subscriber-updates", {})
        for _ in range(100):
            if heard.changed and heard.log:
                break
            yield session.call("trigger-long-running-operation", {"duration": 0.02, "steps": 1})
        assert ("notifications/resources/updated", "demo://resource/dynamic/text/1") in [
            (method, params.get("uri")) for method, params in heard.changed
        ]
        yield session.call("toggle-subscriber-updates", {})
        yield session.ping()
        with pytest.raises(TimedOut):
            yield session.call("trigger-long-running-operation", {"duration": 30, "steps": 1}, timeout=0.2)
        assert (yield session.call("echo", {"message": "still here"})).text == "Echo: still here"
        ended.append(True)

    run(arm, peer.server(start, heard.host()), steps)
    assert ended == [True]
