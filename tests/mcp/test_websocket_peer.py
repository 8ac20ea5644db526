"""WebSocket against a server that is written with another library, websockets, over real sockets."""

from __future__ import annotations

import http
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trustme
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from tako.effects import Call, TlsOptions
from tako.errors import InvalidInput, TakoError, TransportError
from tako.links import Socket
from tako.mcp import connect
from tako.mcp.environment import expanded
from tako.mcp.websocket import WebSocket
from tako.wire.websocket import UpgradeRefused, WebSocketClient
from tests.mcp.arms import ARMS, Session, Steps, run
from tests.mcp.echo_peer import answered

ERA = "2025-06-18"
AUTHORITY = trustme.CA()
ROOTS = AUTHORITY.cert_pem.bytes().decode()
BIG = "grün und blau, " * 70_000


def echo(connection: ServerConnection) -> None:
    for text in connection:
        if (answer := answered(text)) is not None:
            connection.send(answer)


@contextmanager
def serving(handler: Callable[[ServerConnection], None] = echo, **options: Any) -> Iterator[int]:
    """A server on a port of this machine."""
    settings = {"subprotocols": ["mcp"], "max_size": None, **options}
    with serve(handler, "127.0.0.1", 0, **settings) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.socket.getsockname()[1]
        finally:
            server.shutdown()
            thread.join(10)


@pytest.mark.parametrize("arm", ARMS)
def test_tools_of_a_server_by_another_library(arm: str) -> None:
    seen = []

    def look(connection: ServerConnection) -> None:
        seen.append((connection.subprotocol, [type(one).__name__ for one in connection.protocol.extensions]))
        echo(connection)

    def steps(session: Session) -> Steps:
        assert [tool.name for tool in (yield session.tools())] == ["echo"]
        for text in ("hi", BIG):
            assert (yield session.call("echo", {"text": text})).text == text

    with serving(look) as port:
        run(arm, WebSocket(f"ws://127.0.0.1:{port}/mcp", era=ERA), steps)
    assert seen == [("mcp", ["PerMessageDeflate"])]


def test_pings_fragments_and_binary_messages() -> None:
    ponged = []

    def awkward(connection: ServerConnection) -> None:
        for text in connection:
            ponged.append(connection.ping().wait(5))
            if (answer := answered(text)) is not None:
                third = len(answer) // 3
                parts = [answer[:third], answer[third : 2 * third], answer[2 * third :]]
                connection.send(parts if len(ponged) % 2 else [part.encode() for part in parts])

    with serving(awkward, compression=None) as port:
        with connect(WebSocket(f"ws://127.0.0.1:{port}", era=ERA)) as session:
            for text in ("hi", "grün", BIG):
                assert session.call("echo", {"text": text}).text == text
    assert all(ponged) and len(ponged) >= 4


def test_a_server_without_subprotocols_and_with_tls_and_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEA_TOKEN", "s3a$HOME")
    seen = []

    def guarded(connection: ServerConnection, request: Request) -> Response | None:
        seen.append((request.path, request.headers["Authorization"], request.headers["X-Price"]))
        return None

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    with serving(subprotocols=None, ssl=context, process_request=guarded) as port:
        server = WebSocket(
            f"wss://127.0.0.1:{port}/mcp?team=1",
            headers={"Authorization": "Bearer ${SEA_TOKEN}", "X-Price": "$$5"},
            tls=TlsOptions(extra_roots=ROOTS),
            era=ERA,
        )
        assert "Bearer" not in repr(server) and "team" not in server.label
        with connect(server) as session:
            assert session.call("echo", {"text": "hi"}).text == "hi"
        with pytest.raises(TransportError, match="certificate"):
            connect(WebSocket(f"wss://127.0.0.1:{port}", era=ERA)).__enter__()
    assert seen == [("/mcp?team=1", "Bearer s3a$HOME", "$5")]


def failing(handler: Callable[[ServerConnection], None] = echo, **options: Any) -> TakoError:
    """How a call ends."""
    with serving(handler, **options) as port:
        with pytest.raises(TakoError) as caught:
            with connect(WebSocket(f"ws://127.0.0.1:{port}/mcp", era=ERA)) as session:
                session.call("echo", {"text": "hi"})
    return caught.value


def test_a_refused_upgrade_keeps_status_words_and_challenge() -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(http.HTTPStatus.UNAUTHORIZED, "first log in\n")
        response.headers["WWW-Authenticate"] = 'Bearer resource_metadata="https://x"'
        response.headers["Retry-After"] = "3"
        return response

    error = failing(process_request=refuse)
    assert isinstance(error, UpgradeRefused)
    assert (error.status, error.body, error.retry_after) == (401, "first log in\n", 3.0)
    assert error.challenges == ('Bearer resource_metadata="https://x"',)
    assert "the WebSocket server ws://127.0.0.1" in str(error) and "first log in" in str(error)


def test_a_server_that_takes_another_subprotocol() -> None:
    def other(connection: ServerConnection, request: Request, response: Response) -> None:
        response.headers = Headers(response.headers)
        del response.headers["Sec-WebSocket-Protocol"]
        response.headers["Sec-WebSocket-Protocol"] = "chat"

    assert "unrecognized subprotocol chat" in str(failing(process_response=other))


def test_a_close_in_the_middle_of_a_call_says_why() -> None:
    def tired(connection: ServerConnection) -> None:
        for text in connection:
            if json.loads(text)["method"] == "tools/call":
                connection.close(1013, "come back later")
            elif (answer := answered(text)) is not None:
                connection.send(answer)

    error = failing(tired)
    assert type(error) is TransportError and error.code == "1013"
    assert "code 1013 (TRY_AGAIN_LATER): come back later" in str(error)


def test_a_server_that_vanishes() -> None:
    def vanishing(connection: ServerConnection) -> None:
        for text in connection:
            if json.loads(text)["method"] == "tools/call":
                connection.socket.close()
                return
            if (answer := answered(text)) is not None:
                connection.send(answer)

    assert isinstance(failing(vanishing), TransportError)


@pytest.mark.parametrize(
    ("url", "options", "words"),
    [
        ("http://a.example", {}, "ws:// or wss://"),
        ("a.example", {}, "ws:// or wss://"),
        ("ws://", {}, "host"),
        ("ws://me:secret@a.example", {}, "user or password"),
        (7, {}, "url should be text"),
        ("ws://a.example", {"tls": TlsOptions()}, "tls is for wss://"),
        ("ws://a.example", {"headers": "Authorization: x"}, "headers should be a mapping"),
        ("ws://a.example", {"headers": 7}, "headers should be a mapping"),
        ("ws://a.example", {"headers": {"X-Number": 7}}, "'X-Number' is given as int"),
        ("ws://a.example", {"era": "yesterday"}, "era"),
    ],
)
def test_a_wrong_argument_is_named(url: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        WebSocket(url, **options)


def plan(server: WebSocket, environ: dict[str, str]) -> tuple[Socket, WebSocketClient]:
    """Where it would connect, and how it would frame."""
    flow = server._connect()
    try:
        assert isinstance(next(flow), Call)  # for the environment
        flow.send(environ)
    except StopIteration as stop:
        endpoint, framing = stop.value
        return endpoint, framing
    raise AssertionError("it asks for more than the environment")


def test_where_it_connects() -> None:
    headers = {"X-Key": "$KEY"}
    endpoint, framing = plan(WebSocket("ws://[::1]/x", headers=headers), {"KEY": "first"})
    assert endpoint == Socket("::1", 80) and b"\r\nX-Key: first\r\n" in framing.opening()
    endpoint, framing = plan(WebSocket("WSS://A.example:8443", headers=headers), {"KEY": "second"})
    assert endpoint == Socket("a.example", 8443, TlsOptions(), ("http/1.1",))
    assert b"\r\nX-Key: second\r\n" in framing.opening()


def test_a_variable_that_is_missing_is_named_at_connect_time() -> None:
    server = WebSocket("ws://a.example", headers={"Authorization": "Bearer $SEA_TOKEN_2"})
    with pytest.raises(InvalidInput, match=r"header Authorization needs .* SEA_TOKEN_2"):
        plan(server, {"SEA_TOKEN": "secret"})
    with pytest.raises(InvalidInput, match="line break") as caught:
        plan(server, {"SEA_TOKEN_2": "secret\n"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        ("$A", "1"),
        ("${A}b$A.", "1b1."),
        ("$AB", "x"),
        ("$$A $$$A $", "$A $1 $"),
        ("$5 ${5} ${A", "$5 ${5} ${A"),
        ("$B", "$A"),
    ],
)
def test_variables_are_filled_in_once(value: str, becomes: str) -> None:
    assert expanded(value, {"A": "1", "AB": "x", "B": "$A"}, "it") == becomes
