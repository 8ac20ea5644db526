"""Authorization as a program meets it: sessions over HTTP that are let in, in virtual time and on sockets."""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from tako.effects import TlsOptions
from tako.errors import TransportError
from tako.mcp import Http, OAuth, connect
from tako.mcp.auth import FileTokens
from tako.mcp.channel import Outgoing
from tako.mcp.versions import REVISIONS
from tako.testing import Answer, Pause, ReceivedRequest
from tako_io_sync.loopback import LoopbackServer
from tests.mcp.auth.kit import MCP, REDIRECT, Issuer, Resource, Town
from tests.mcp.http_channel_kit import Ear, Server, result, said

Json = Any
ERA = "2025-06-18"


class Guarded(Resource):
    """An MCP server behind a Resource: what that one lets in comes to it."""

    def __init__(self, issuer: Issuer, **options: Any) -> None:
        super().__init__(issuer, **options)
        self.server = Server(called, session="s")

    def answer(self, request: ReceivedRequest) -> Answer:
        answer = super().answer(request)
        return self.server.answer(request) if answer.body == b'{"ok": true}' else answer


def called(message: Json) -> Answer:
    """Says the arguments back."""
    text = json.dumps(message["params"]["arguments"]) if message["method"] == "tools/call" else ""
    return said(result(message["id"], {"content": [{"type": "text", "text": text}], "tools": []}))


# In virtual time.


class Visitor:
    """A session in a town: its user, if it has to ask one, thinks for some seconds."""

    def __init__(self, *, thinks: float = 0.0, **issuer: Any) -> None:
        server = Issuer(**issuer)
        self.town = Town(server, Guarded(server), redirect=self._browse)
        self.issuer = server
        self.channel = Http(MCP, auth=self.town.auth).channel()
        self._thinks = thinks

    def _browse(self, url: str) -> str:
        self.town.simulator.now += self._thinks
        return self.issuer.browse(url)

    def run(self, flow: Any) -> Any:
        return self.town.simulator.run(flow)

    def begin(self) -> Visitor:
        self.run(self.channel.open())
        self.run(self.channel.ask(Outgoing("initialize", {}, timeout=5.0), Ear()))
        self.channel.settle(REVISIONS[ERA])
        return self

    def call(self) -> Json:
        asked = Outgoing("tools/call", {"name": "echo", "arguments": {}}, timeout=5.0)
        return self.run(self.channel.ask(asked, Ear()))["content"][0]["text"]

    def slow(self, seconds: float) -> None:
        """Let the authorization server take so long from now on."""
        answer = self.issuer.answer
        self.issuer.vendor._answers = lambda request: replace(answer(request), before=(Pause(seconds),))


def test_no_time_is_counted_while_the_user_is_at_the_browser() -> None:
    visitor = Visitor(thinks=600.0).begin()
    assert visitor.call() == "{}"
    assert len(visitor.issuer.asked) == 1


def test_a_renewal_takes_no_time_of_the_request_and_is_not_lost() -> None:
    visitor = Visitor(gives_refresh=True, life=1000).begin()
    visitor.slow(20.0)
    for renewed, moment in enumerate((950.0, 2000.0), 1):
        visitor.town.simulator.now = moment
        assert visitor.call() == "{}"
        assert visitor.town.simulator.now == moment + 20.0
        assert len(visitor.issuer.forms) == 1 + renewed
    assert len(visitor.issuer.asked) == 1


def test_a_farewell_renews_nothing() -> None:
    visitor = Visitor(gives_refresh=True, life=1000).begin()
    visitor.slow(20.0)
    visitor.town.simulator.now = 950.0
    visitor.run(visitor.channel.close())
    assert visitor.town.resource.vendor.requests[-1].method == "DELETE"
    assert visitor.town.simulator.now == 950.0
    assert len(visitor.issuer.forms) == 1


# On sockets.


@contextmanager
def on_sockets(tls: ssl.SSLContext | None = None, **options: Any) -> Iterator[Guarded]:
    issuer = Issuer(gives_refresh=True, **options)
    resource = Guarded(issuer)
    with (
        LoopbackServer(issuer.vendor, tls=tls) as authorization,
        LoopbackServer(resource.vendor, tls=tls) as server,
    ):
        issuer.url = authorization.url
        resource.url = f"{server.url}/mcp"
        yield resource


def program(resource: Guarded, **options: Any) -> OAuth:
    return OAuth(redirect=resource.issuer.browse, redirect_uri=REDIRECT, **options)


def test_whom_to_trust_holds_for_the_authorization_server_too() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = TlsOptions(extra_roots=authority.cert_pem.bytes().decode())
    with on_sockets(context) as resource:
        server = Http(resource.url, auth=program(resource), tls=trusting, era=ERA)
        with connect(server) as session:
            session.call("echo", {})
            resource.issuer.granted.clear()
            session.call("echo", {})
        assert len(resource.issuer.registered) == len(resource.issuer.asked) == 1
        assert [form["grant_type"] for form in resource.issuer.forms] == [
            "authorization_code", "refresh_token",
        ]  # fmt: skip
        with pytest.raises(TransportError) as caught, connect(replace(server, tls=None)):
            pass
        assert caught.value.phase == "tls"


def in_threads(many: int, work: Callable[[int], None]) -> None:
    failed: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not failed, failed[0]
    assert not any(thread.is_alive() for thread in threads)


def test_32_threads_are_let_in_and_renewed_once() -> None:
    with on_sockets() as resource:
        server = Http(resource.url, auth=program(resource), era=ERA)
        inside = threading.Barrier(32, resource.issuer.granted.clear)

        def work(number: int) -> None:
            with connect(server) as session:
                inside.wait(10)
                assert session.call("echo", {"n": number}).text == json.dumps({"n": number})

        in_threads(32, work)
        let_in_once(resource)


@pytest.mark.parametrize("arm", ["trio", "asyncio"])
def test_200_tasks_are_let_in_and_renewed_once(arm: str) -> None:
    with on_sockets() as resource:
        server = Http(resource.url, auth=program(resource), era=ERA)
        connections = [connect(server) for _ in range(10)]
        sessions: list[Any] = []

        async def enter(number: int) -> None:
            sessions.append(await connections[number].__aenter__())

        async def leave(number: int) -> None:
            await connections[number].__aexit__(None, None, None)

        async def call(number: int) -> None:
            answer = await sessions[number % 10].call("echo", {"n": number})
            assert answer.text == json.dumps({"n": number})

        async def main(every: Any) -> None:
            await every(enter, 10)
            resource.issuer.granted.clear()
            await every(call, 200)
            await every(leave, 10)

        if arm == "trio":
            trio.run(main, every_in_trio)
        else:
            asyncio.run(main(every_in_asyncio))
        let_in_once(resource)


async def every_in_trio(work: Any, many: int) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(many):
            nursery.start_soon(work, number)


async def every_in_asyncio(work: Any, many: int) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(many):
            group.create_task(work(number))


def let_in_once(resource: Guarded) -> None:
    issuer = resource.issuer
    assert len(issuer.asked) == len(issuer.registered) == 1
    assert [form["grant_type"] for form in issuer.forms] == ["authorization_code", "refresh_token"]


class Forgetful(Server):
    """A server that forgets its first session once so many calls have come with it, and refuses them all."""

    def __init__(self, calls: int) -> None:
        super().__init__(called)
        self.sessions = 0
        self.calls: list[tuple[str, int]] = []
        self._all_there = threading.Barrier(calls)

    def answer(self, request: ReceivedRequest) -> Answer:
        method = json.loads(request.body or b"{}").get("method")
        if method == "initialize":
            self.sessions += 1
            self.session = f"s{self.sessions}"
        elif method == "tools/call":
            session = request.header("mcp-session-id") or ""
            self.calls.append((session, json.loads(request.body)["params"]["arguments"]["n"]))
            if session == "s1":
                self._all_there.wait(10)
                return Answer((b"gone",), 404)
        return super().answer(request)


@pytest.mark.parametrize("arm", ["sync", "trio", "asyncio"])
def test_a_session_that_ends_under_32_calls_is_begun_anew_once(arm: str) -> None:
    forgetful = Forgetful(32)
    with LoopbackServer(forgetful) as loopback:
        server = Http(f"{loopback.url}/mcp", era=ERA)
        if arm == "sync":
            with connect(server) as session:
                in_threads(32, lambda number: right(number, session.call("echo", {"n": number})))
        else:

            async def main(every: Any) -> None:
                async with connect(server) as session:

                    async def call(number: int) -> None:
                        right(number, await session.call("echo", {"n": number}))

                    await every(call, 32)

            if arm == "trio":
                trio.run(main, every_in_trio)
            else:
                asyncio.run(main(every_in_asyncio))
    assert forgetful.sessions == 2
    assert sorted(forgetful.calls) == [(f"s{n}", number) for n in (1, 2) for number in range(32)]


def right(number: int, answer: Any) -> None:
    assert answer.text == json.dumps({"n": number})


WRITER = """
import sys
from tako.mcp.auth.token_file import FileTokens
tokens = FileTokens(sys.argv[1])
sys.stdin.read(1)
for number in range(20):
    tokens.set(f"{sys.argv[2]} {number}", "x" * 500)
    assert tokens.get(f"{sys.argv[2]} {number}") == "x" * 500
"""


def test_four_programs_keep_tokens_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], stdin=subprocess.PIPE)
            )
            for name in "abcd"
        ]
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.close()
        assert [writer.wait(20) for writer in writers] == [0] * 4
    tokens = FileTokens(path)
    assert all(tokens.get(f"{name} {number}") for name in "abcd" for number in range(20))
